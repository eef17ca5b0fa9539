"""Names on a host that follow from ids."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
import pytest

from nova.network import model


@given(key=st.text(), other=st.text())
def test_device_names_are_bounded(key: str, other: str) -> None:
    name = model.bounded_device_name('br', key)
    assert len(name) == model.DEVICE_NAME_MAX == 15
    assert name.startswith('br')
    assert (model.bounded_device_name('br', other) == name) == (key == other)


def test_a_prefix_that_leaves_no_room_is_refused() -> None:
    with pytest.raises(ValueError, match='no room'):
        model.bounded_device_name('bridge', 'key')

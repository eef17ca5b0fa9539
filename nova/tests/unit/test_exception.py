from __future__ import annotations

import copy
import json
import pickle
import re
from typing import Any

import pytest

from nova import exception

_CONVERSION = re.compile(r'%\((\w+)\)([a-z])')
_DRAWN = re.compile(r'^ {4}(?P<indent>[│├└─ ]*)(?P<name>[A-Z]\w+)(?:\s+(?P<code>\d{3})\b)?')


def drawn_tree() -> dict[str, tuple[str | None, int | None]]:
    """Class -> (its parent, its code if one is given), as the module's docstring draws it."""
    tree: dict[str, tuple[str | None, int | None]] = {}
    above: list[str] = []
    for line in (exception.__doc__ or '').splitlines():
        if match := _DRAWN.match(line):
            depth = len(match['indent']) // 4
            above = [*above[:depth], match['name']]
            parent = above[depth - 1] if depth else None
            tree[match['name']] = (parent, int(match['code']) if match['code'] else None)
    return tree


def real_classes() -> dict[str, type[exception.NovaException]]:
    return {
        name: value
        for name, value in vars(exception).items()
        if isinstance(value, type) and issubclass(value, exception.NovaException)
    }


CLASSES = list(real_classes().values())


def example(cls: type[exception.NovaException]) -> exception.NovaException:
    """An exception with a value for every part of its text."""
    kwargs: dict[str, Any] = {
        name: 7 if conversion == 'd' else f'<{name}>'
        for name, conversion in _CONVERSION.findall(cls.msg_fmt)
    }
    return cls(**kwargs)


def test_the_docstring_draws_the_real_tree() -> None:
    drawn = {name: parent for name, (parent, _) in drawn_tree().items()}
    real = {name: cls.__base__.__name__ for name, cls in real_classes().items() if cls.__base__}
    assert drawn == {**real, 'NovaException': None}


def test_the_docstring_gives_every_code_that_differs_from_the_parents() -> None:
    given = {name: code for name, (_, code) in drawn_tree().items() if code is not None}
    own = {name: cls.code for name, cls in real_classes().items() if 'code' in vars(cls)}
    assert given == {name: code for name, code in own.items() if name != 'NovaException'}


@pytest.mark.parametrize('cls', CLASSES)
def test_the_text_uses_every_value(cls: type[exception.NovaException]) -> None:
    error = example(cls)
    assert str(error) == error.message
    assert '%' not in str(error)
    for value in error.kwargs.values():
        assert str(value) in str(error)


@pytest.mark.parametrize('cls', [cls for cls in CLASSES if _CONVERSION.search(cls.msg_fmt)])
def test_a_missing_value_is_an_error_at_once(cls: type[exception.NovaException]) -> None:
    with pytest.raises(KeyError):
        cls()


@pytest.mark.parametrize('cls', CLASSES)
def test_survives_pickle_and_copy(cls: type[exception.NovaException]) -> None:
    error = example(cls)
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301
        assert type(again) is cls
        assert (str(again), again.kwargs) == (str(error), error.kwargs)


@pytest.mark.parametrize('cls', CLASSES)
def test_survives_rpc(cls: type[exception.NovaException]) -> None:
    """oslo.messaging sends ``args`` and ``kwargs`` as JSON and calls the class with them."""
    error = example(cls)
    args, kwargs = json.loads(json.dumps([error.args, error.kwargs]))
    again = cls(*args, **kwargs)
    assert (str(again), again.kwargs, again.args) == (str(error), error.kwargs, error.args)


def test_a_message_replaces_the_text() -> None:
    error = exception.NetworkNotFound('gone', network_id='x')
    assert (str(error), error.kwargs) == ('gone', {'network_id': 'x'})


def test_only_faults_are_unsafe_to_show() -> None:
    """And those only where the class does not say otherwise (OSSA-2019-003)."""
    unsafe = {cls for cls in CLASSES if not cls.safe}
    assert exception.Fault in unsafe
    assert all(issubclass(cls, exception.Fault) for cls in unsafe)
    assert all(cls.code >= 500 for cls in unsafe)

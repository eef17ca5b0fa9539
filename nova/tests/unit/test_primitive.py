from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import datetime
import enum
import json
from typing import Any
import zoneinfo

from hypothesis import given
from hypothesis import strategies as st
import pytest

from nova import primitive
from nova.db import records
from nova.network import model


class Colour(enum.StrEnum):
    RED = 'red'
    BLUE = 'blue'


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


@primitive.versioned('2.3')
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    number: int


@primitive.versioned('2.3')
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One field of every supported annotation."""

    text: str
    flag: bool
    ratio: float
    at: datetime.datetime
    colour: Colour
    level: Level
    inner: Inner
    texts: tuple[str, ...] = ()
    inners: tuple[Inner, ...] = ()
    colours: tuple[Colour, ...] = ()
    by_name: Mapping[str, int] = dataclasses.field(default_factory=dict)
    inner_by_name: Mapping[str, Inner] = dataclasses.field(default_factory=dict)
    maybe_text: str | None = None
    maybe_inner: Inner | None = None
    maybe_texts: tuple[str, ...] | None = None
    maybe_colour: Colour | None = None


st.register_type_strategy(datetime.datetime, st.datetimes(timezones=st.just(datetime.UTC)))
NETWORK_INFOS = st.lists(st.builds(model.VIF), max_size=8).map(
    lambda vifs: model.NetworkInfo(
        tuple(dataclasses.replace(vif, index=2 * i) for i, vif in enumerate(vifs))
    )
)
CLASSES = [
    Sample,
    model.VIF,
    records.ComputeNode,
    records.Fault,
    records.Flavor,
    records.FloatingIp,
    records.Instance,
    records.Network,
    records.RequestedNetwork,
    records.SecurityGroup,
    records.SecurityGroupMember,
    records.SecurityGroupRule,
    records.SecurityGroups,
    records.Service,
    records.Vif,
    records.WantedNic,
]


def over_the_wire(value: Any) -> Any:
    return primitive.from_primitive(json.loads(json.dumps(primitive.to_primitive(value))))


def sample(**changes: Any) -> Sample:
    values: dict[str, Any] = {
        'text': 't',
        'flag': True,
        'ratio': 0.5,
        'at': datetime.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=datetime.UTC),
        'colour': Colour.RED,
        'level': Level.HIGH,
        'inner': Inner(number=1),
    }
    return Sample(**{**values, **changes})


def test_every_class_of_ours_is_in_these_tests() -> None:
    modules = (model, records)
    registered = {
        cls
        for module in modules
        for cls in vars(module).values()
        if dataclasses.is_dataclass(cls) and cls.__module__ == module.__name__
    }
    inside_others = {
        model.NetworkInfo,
        model.Network,
        model.Subnet,
        model.Route,
        records.NewInstance,
        records.NewNetwork,
        records.NewRule,
    }
    assert registered - inside_others == set(CLASSES) - {Sample}


@pytest.mark.parametrize('cls', CLASSES)
@given(data=st.data())
def test_round_trip(cls: type[Any], data: st.DataObject) -> None:
    value = data.draw(st.builds(cls))
    again = over_the_wire(value)
    assert again == value
    assert type(again) is cls


@given(info=NETWORK_INFOS)
def test_round_trip_of_a_network_info(info: model.NetworkInfo) -> None:
    again = over_the_wire(info)
    assert again == info
    assert hash(again) == hash(info)


@given(info=NETWORK_INFOS)
def test_the_wire_changes_nothing(info: model.NetworkInfo) -> None:
    """A call within the process and one over a broker give the callee the same."""
    direct = primitive.to_primitive({'network_info': info})
    assert json.loads(json.dumps(direct)) == direct
    assert primitive.from_primitive(direct) == over_the_wire({'network_info': info})


def test_types_come_back() -> None:
    value = sample(
        texts=('a',),
        inners=(Inner(number=2),),
        colours=(Colour.BLUE,),
        by_name={'a': 1},
        inner_by_name={'b': Inner(number=3)},
        maybe_texts=('x',),
        maybe_colour=Colour.RED,
        maybe_inner=Inner(number=4),
    )
    again = over_the_wire(value)
    assert again == value
    for one, other in zip(dataclasses.astuple(again), dataclasses.astuple(value), strict=True):
        assert type(one) is type(other)
    assert type(again.colours[0]) is Colour


def test_a_primitive_holds_json_values_only() -> None:
    data = primitive.to_primitive(sample())[primitive.DATA]
    assert {name: type(value) for name, value in data.items() if value is not None} == {
        'text': str,
        'flag': bool,
        'ratio': float,
        'at': str,
        'colour': str,
        'level': int,
        'inner': dict,
        'texts': list,
        'inners': list,
        'colours': list,
        'by_name': dict,
        'inner_by_name': dict,
    }


def test_a_time_keeps_its_instant() -> None:
    at = datetime.datetime(2026, 7, 1, 12, tzinfo=zoneinfo.ZoneInfo('Europe/Berlin'))
    assert over_the_wire(sample(at=at)).at == at


def test_bare_containers() -> None:
    value = {'a': (1, 2), 'b': [Inner(number=1)], 'c': {'d': None}}
    assert over_the_wire(value) == {'a': [1, 2], 'b': [Inner(number=1)], 'c': {'d': None}}


@pytest.mark.parametrize('value', [object(), b'bytes', 1j, [object()], {'a': object()}])
def test_what_is_not_registered_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match='cannot cross RPC'):
        primitive.to_primitive(value)


def test_an_unregistered_dataclass_is_refused() -> None:
    @dataclasses.dataclass
    class Stranger:
        a: int

    with pytest.raises(TypeError, match='Stranger'):
        primitive.to_primitive(Stranger(1))


def test_two_classes_of_one_name_are_refused() -> None:
    with pytest.raises(TypeError, match=r'test_primitive\.Inner'):
        primitive.versioned('1.0')(Inner)


def changed(**changes: Any) -> dict[str, Any]:
    return {**primitive.to_primitive(sample()), **changes}


@pytest.mark.parametrize('version', ['2.0', '2.3', '2.4', '2.10'])
def test_any_minor_version_is_read(version: str) -> None:
    assert primitive.from_primitive(changed(**{primitive.VERSION: version})) == sample()


@pytest.mark.parametrize('version', ['1.3', '3.0', '20.3'])
def test_another_major_version_is_refused(version: str) -> None:
    with pytest.raises(primitive.IncompatibleVersion, match=version):
        primitive.from_primitive(changed(**{primitive.VERSION: version}))


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(primitive.IncompatibleVersion, match=r'elsewhere\.Thing'):
        primitive.from_primitive(changed(**{primitive.TYPE: 'elsewhere.Thing'}))


def test_a_field_of_a_later_minor_version_is_dropped() -> None:
    data = {**primitive.to_primitive(sample())[primitive.DATA], 'later': 1}
    assert primitive.from_primitive(changed(**{primitive.DATA: data})) == sample()


def test_a_field_that_an_earlier_minor_version_lacks_takes_its_default() -> None:
    data = primitive.to_primitive(sample(maybe_text='x', texts=('y',)))[primitive.DATA]
    del data['maybe_text'], data['texts']
    assert primitive.from_primitive(changed(**{primitive.DATA: data})) == sample()


def test_a_missing_field_without_default_is_an_error() -> None:
    data = primitive.to_primitive(sample())[primitive.DATA]
    del data['text']
    with pytest.raises(TypeError, match='text'):
        primitive.from_primitive(changed(**{primitive.DATA: data}))

"""Frozen dataclasses to and from plain JSON values, with a version on each, for RPC.

A class is registered by the decorator :func:`versioned`. Its primitive is
``{'nova.type': 'model.VIF', 'nova.version': '1.0', 'nova.data': {...}}``. A reader accepts its own
major version and any minor: a minor version may add fields that have defaults (a reader that does
not know a field drops it, one that misses it takes the default); anything else is a new major.

Type annotations drive the reading, so tuples come back as tuples and enums as enums. Supported
annotations: the JSON scalars, ``datetime`` (UTC, ISO 8601), enums, registered classes, unions with
None, ``tuple[X, ...]`` and ``Mapping[str, X]``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
import dataclasses
import datetime
import enum
import functools
import types
import typing
from typing import Any, TypeVar

T = TypeVar('T')

TYPE, VERSION, DATA = 'nova.type', 'nova.version', 'nova.data'

_registry: dict[str, tuple[type[Any], str]] = {}


class IncompatibleVersion(ValueError):
    """The primitive's type is unknown here or its major version is not ours."""


def versioned(version: str) -> Callable[[type[T]], type[T]]:
    """Register the decorated frozen dataclass with ``version`` (``major.minor``), under the last
    part of its module's name and its own (``model.VIF``).
    """

    def register(cls: type[T]) -> type[T]:
        name = _name(cls)
        if name in _registry:
            raise TypeError(f'two classes named {name} are registered')
        _registry[name] = (cls, version)
        return cls

    return register


def _name(cls: type[Any]) -> str:
    return f'{cls.__module__.rpartition(".")[2]}.{cls.__name__}'


def to_primitive(value: Any) -> Any:
    """``value`` as JSON values.

    :raises TypeError: it holds something that is neither registered nor a JSON value.
    """
    if isinstance(value, enum.Enum):  # before int and str, which StrEnum and IntEnum are
        return value.value
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    if isinstance(value, (list, tuple, set, frozenset)):
        return [to_primitive(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): to_primitive(item) for key, item in value.items()}
    name = _name(type(value))
    if dataclasses.is_dataclass(value) and name in _registry:
        data = {f.name: to_primitive(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {TYPE: name, VERSION: _registry[name][1], DATA: data}
    raise TypeError(f'{type(value).__name__} is not registered and cannot cross RPC')


def from_primitive(value: Any) -> Any:
    """What :func:`to_primitive` was given, but for bare tuples and sets, which come as lists.

    :raises IncompatibleVersion: see the module's docstring.
    """
    if isinstance(value, list):
        return [from_primitive(item) for item in value]
    if isinstance(value, dict):
        if TYPE in value:
            return _read_object(value)
        return {key: from_primitive(item) for key, item in value.items()}
    return value


def _read_object(value: Mapping[str, Any]) -> Any:
    name, version = value[TYPE], value[VERSION]
    if name not in _registry:
        raise IncompatibleVersion(f'unknown type {name}')
    cls, ours = _registry[name]
    if version.partition('.')[0] != ours.partition('.')[0]:
        raise IncompatibleVersion(f'{name} {version} cannot be read as {ours}')
    known = _annotations(name)
    return cls(
        **{key: _read(known[key], item) for key, item in value[DATA].items() if key in known}
    )


@functools.cache
def _annotations(name: str) -> dict[str, Any]:
    cls, _version = _registry[name]
    hints = typing.get_type_hints(cls)
    return {f.name: hints[f.name] for f in dataclasses.fields(cls) if f.init}


def _read(annotation: Any, value: Any) -> Any:
    if value is None:
        return None
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        inner = [a for a in typing.get_args(annotation) if a is not type(None)]
        return _read(inner[0], value) if len(inner) == 1 else from_primitive(value)
    if origin is tuple:
        return tuple(_read(typing.get_args(annotation)[0], item) for item in value)
    if origin is not None and issubclass(origin, Mapping):
        return {key: _read(typing.get_args(annotation)[1], item) for key, item in value.items()}
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return annotation(value)
    if annotation is datetime.datetime:
        return datetime.datetime.fromisoformat(value)
    return from_primitive(value)

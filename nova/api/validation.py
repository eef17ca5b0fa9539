"""Check a body or a query against a JSON schema, and say in plain words what is wrong and where.

A schema's ``description`` is the reason that a caller reads when the value does not match it; so it
says what the value has to be.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
import functools
import re
from typing import Any
import uuid

import jsonschema
import jsonschema.exceptions
import netaddr

from nova import exception

Schema = Mapping[str, Any]

#: Of a wrong value, no more than this is repeated in the answer.
_SHOWN = 60
#: Fields whose wrong value is not repeated.
_SECRET = frozenset({'adminPass', 'user_data'})

_formats = jsonschema.FormatChecker(formats=())


def check_body(schema: Schema, body: object) -> None:
    """:raises InvalidInput: ``body`` does not match; the text names the field by its path below
    the outermost key (``networks[1].uuid``)."""
    error = _first_error(schema, body)
    if error is not None:
        path = list(error.absolute_path)
        inner = path[1:] or ([] if _inner_names(error) else path)
        raise exception.InvalidInput(field=_name(inner, error), reason=_reason(error))


def check_query(schema: Schema, query: Mapping[str, str]) -> None:
    """:raises InvalidInput: a query parameter does not match."""
    error = _first_error(schema, dict(query))
    if error is not None:
        field = _name(list(error.absolute_path), error)
        raise exception.InvalidInput(field=f'query parameter {field}', reason=_reason(error))


def check_text(value: object, path: tuple[str | int, ...] = ()) -> None:
    """Texts of a body or a query hold no NUL, which PostgreSQL cannot store, and no lone surrogate
    (JSON can write both), which has no UTF-8.

    :raises InvalidInput: one does; the text names the field.
    """
    if isinstance(value, str) and ('\x00' in value or not _has_utf8(value)):
        raise exception.InvalidInput(
            field=_dotted(path[1:] or path), reason='it holds a character that is not allowed'
        )
    if isinstance(value, Mapping):
        for key, item in value.items():
            check_text(key, (*path, '(a key)'))
            check_text(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            check_text(item, (*path, index))


def _has_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _first_error(schema: Schema, value: object) -> Any:
    validator = _validator(_Key(schema))
    found: Any = jsonschema.exceptions.best_match(validator.iter_errors(value))
    # Of alternatives that all fail, what they have in common is the better reason.
    while found is not None and found.parent is not None:
        if 'description' not in _schema(found.parent):
            break
        found = found.parent
    return found


class _Key:
    """Lets a schema, which is never changed, be the key of a cache by its identity."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema

    def __hash__(self) -> int:
        return id(self.schema)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and other.schema is self.schema


@functools.cache
def _validator(key: _Key) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(key.schema, format_checker=_formats)


def _name(path: Iterable[str | int], error: jsonschema.ValidationError) -> str:
    return _dotted([*path, *_inner_names(error)[:1]])


def _dotted(parts: Iterable[str | int]) -> str:
    text = ''.join(f'[{part}]' if isinstance(part, int) else f'.{part}' for part in parts)
    return text.lstrip('.') or 'the request body'


def _inner_names(error: jsonschema.ValidationError) -> list[str]:
    """The fields that an error about a whole object is really about."""
    if error.validator == 'additionalProperties' and isinstance(error.instance, Mapping):
        return sorted(set(error.instance) - set(_schema(error).get('properties', {})))
    if error.validator == 'required' and isinstance(error.instance, Mapping):
        return [name for name in _limit(error) if name not in error.instance]
    return []


def _schema(error: jsonschema.ValidationError) -> Mapping[str, Any]:
    return error.schema if isinstance(error.schema, Mapping) else {}


def _limit(error: jsonschema.ValidationError) -> Any:
    """The value of the keyword that does not match."""
    return error.validator_value


def _reason(error: jsonschema.ValidationError) -> str:
    if error.validator == 'required':
        return 'it is required'
    if error.validator == 'additionalProperties':
        return 'there is no such field'
    wanted = _schema(error).get('description') or _wanted(error)
    if _SECRET & set(error.absolute_path):
        return f'it is not {wanted}'
    return f'{_abbreviate(error.instance)} is not {wanted}'


def _abbreviate(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f'{text[:_SHOWN]}...'


def _wanted(error: jsonschema.ValidationError) -> str:
    limit = _limit(error)
    match error.validator:
        case 'type':
            kinds = [limit] if isinstance(limit, str) else limit
            return f'of type {" or ".join(kinds)}'
        case 'format':
            return f'of the form {limit}'
        case 'enum':
            return f'one of {", ".join(repr(choice) for choice in limit)}'
        case 'const':
            return f'{limit!r}, the only value supported'
        case 'minLength' | 'minItems' | 'minProperties':
            return f'of at least {limit} element(s) or character(s)'
        case 'maxLength' | 'maxItems' | 'maxProperties':
            return f'of at most {limit} element(s) or character(s)'
        case 'minimum':
            return f'at least {limit}'
        case 'maximum':
            return f'at most {limit}'
        case _:
            return f'acceptable: {error.message[:200]}'


@_formats.checks('uuid')
def _is_uuid(value: object) -> bool:
    """Only the canonical form: other spellings of one UUID would be other keys elsewhere."""
    if not isinstance(value, str):
        return True
    try:
        return str(uuid.UUID(value)) == value.lower()
    except ValueError:
        return False


@_formats.checks('ip-address')
def _is_ip_address(value: object) -> bool:
    return not isinstance(value, str) or netaddr.valid_ipv4(value) or netaddr.valid_ipv6(value)


@_formats.checks('base64')
def _is_base64(value: object) -> bool:
    if not isinstance(value, str):
        return True
    try:
        base64.b64decode(re.sub(r'\s', '', value), validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


@_formats.checks('printable')
def _is_printable(value: object) -> bool:
    """No control, format, surrogate or unassigned characters, and no space at either end."""
    return not isinstance(value, str) or (value.isprintable() and value == value.strip())

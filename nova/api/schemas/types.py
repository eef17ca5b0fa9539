"""What several schemas are made of."""

from __future__ import annotations

from typing import Any

from nova import exception
from nova.api.validation import Schema

UUID: Schema = {'type': 'string', 'format': 'uuid', 'description': 'a UUID'}

NAME: Schema = {
    'type': 'string',
    'minLength': 1,
    'maxLength': 255,
    'format': 'printable',
    'description': '1 to 255 printable characters without a space at either end',
}

BOOLEAN: Schema = {
    'enum': [True, False, 'True', 'true', 'False', 'false', '1', '0'],
    'description': 'true or false',
}

#: A query parameter that is a number.
NUMBER: Schema = {
    'type': 'string',
    'pattern': r'^[0-9]{1,9}\Z',
    'description': 'a whole number from 0',
}


def count(*, minimum: int = 0, maximum: int = 2**31 - 1) -> dict[str, Any]:
    """An integer, which clients may write as a string of digits (whose range the reader of the
    body checks by :func:`integer`)."""
    return {
        'anyOf': [
            {'type': 'integer', 'minimum': minimum, 'maximum': maximum},
            {'type': 'string', 'pattern': r'^[0-9]{1,9}\Z'},
        ],
        'description': f'a whole number from {minimum} to {maximum}',
    }


def integer(value: object, field: str, *, minimum: int, maximum: int = 2**31 - 1) -> int:
    """The number that a value which matches :func:`count` means.

    :raises InvalidInput: it is out of range.
    """
    number = int(str(value))
    if not minimum <= number <= maximum:
        raise exception.InvalidInput(
            field=field, reason=f'{number} is not a whole number from {minimum} to {maximum}'
        )
    return number


def is_true(value: object) -> bool:
    """What a value that matches :data:`BOOLEAN` means."""
    return value is True or str(value).lower() in ('true', '1')


def wrap(key: str, properties: dict[str, Any], required: tuple[str, ...] = ()) -> dict[str, Any]:
    """A body ``{key: {...}}`` that holds these fields and no others."""
    return {
        'type': 'object',
        'properties': {
            key: {
                'type': 'object',
                'properties': properties,
                'required': list(required),
                'additionalProperties': False,
            }
        },
        'required': [key],
        'additionalProperties': False,
    }


#: What the value of an action without parameters is: clients send null, and some an empty object.
NOTHING: Schema = {
    'anyOf': [{'type': 'null'}, {'type': 'object', 'maxProperties': 0}],
    'description': 'null',
}


def bare(action: str) -> Schema:
    """The body of an action without parameters."""
    return {
        'type': 'object',
        'properties': {action: NOTHING},
        'required': [action],
        'additionalProperties': False,
    }


def or_null(schema: Schema) -> Schema:
    """The same, or null: how clients send a field for which they were told nothing."""
    return {
        'anyOf': [schema, {'type': 'null'}],
        'description': f'{schema["description"]}, or null',
    }


#: Security groups, by name or UUID.
GROUPS: Schema = {
    'type': 'array',
    'maxItems': 100,
    'items': {
        'type': 'object',
        'properties': {'name': NAME},
        'required': ['name'],
        'additionalProperties': False,
    },
}

"""Bodies and queries of servers and their actions.

A field that this service does not implement is refused, not ignored: a user who asks for a key, a
personality or a volume and gets a server without it is worse off than one who gets an error.
"""

from __future__ import annotations

from typing import Any

from nova.api import microversion
from nova.api.schemas import types
from nova.api.validation import Schema

METADATA: Schema = {
    'type': 'object',
    'maxProperties': 128,
    'propertyNames': {
        'pattern': r'^[a-zA-Z0-9\-_:. ]{1,255}\Z',
        'description': 'a key of 1 to 255 letters, digits, spaces and -_:. characters',
    },
    'additionalProperties': {
        'type': 'string',
        'maxLength': 255,
        'description': 'a text of at most 255 characters',
    },
}

_PORT: Schema = {'type': 'null', 'description': 'null: networks are served without ports'}

_TAG: Schema = {
    'type': 'string',
    'pattern': r'^[^,/]{1,60}\Z',
    'format': 'printable',
    'description': 'a tag of 1 to 60 printable characters without commas and slashes',
}

#: The one mapping that says what ``imageRef`` says: boot from a local disk made of the image.
#: ``openstack server create --image`` always sends it.
_BOOT_DISK: Schema = {
    'type': 'array',
    'maxItems': 1,
    'items': {
        'type': 'object',
        'properties': {
            'uuid': types.UUID,
            'source_type': {'const': 'image'},
            'destination_type': {'const': 'local'},
            'boot_index': {'enum': [0, '0']},
            'delete_on_termination': {'const': True},
        },
        'required': ['uuid', 'source_type', 'destination_type', 'boot_index'],
        'additionalProperties': False,
    },
    'description': 'one local boot disk made of the image; no other block device is supported',
}

_NO_HINTS: Schema = {
    'type': 'object',
    'maxProperties': 0,
    'description': 'empty; no scheduler hint is supported',
}

#: Fields of the Compute API that users know of, for which "no such field" would be puzzling.
_UNSUPPORTED: Schema = {'not': {}, 'description': 'supported'}

_NO_DESCRIPTION: Schema = {'type': 'null', 'description': 'null; descriptions are not stored'}


def _networks(version: microversion.Version) -> dict[str, Any]:
    nic: dict[str, Any] = {
        'uuid': types.UUID,
        'fixed_ip': {
            'type': 'string',
            'format': 'ip-address',
            'description': 'an IP address',
        },
        'port': _PORT,
        'security_groups': types.GROUPS,
    }
    if version >= (2, 32):
        nic['tag'] = _TAG
    return {
        # 'auto' belongs to 2.37; the SDK sends it at any version when it is told to.
        'if': {'type': 'string'},
        'then': {
            'const': 'auto',
            'description': "'auto' or a list of networks",
        },
        'else': {
            'type': 'array',
            'items': {
                'type': 'object',
                'properties': nic,
                'required': ['uuid'],
                'additionalProperties': False,
            },
        },
    }


def _create(version: microversion.Version) -> Schema:
    server = {
        'name': types.NAME,
        'imageRef': types.UUID,
        'flavorRef': {
            'type': ['string', 'integer'],
            'minLength': 1,
            'maxLength': 255,
            'description': 'the id of a flavor',
        },
        'networks': _networks(version),
        'metadata': METADATA,
        'min_count': types.count(minimum=1),
        'max_count': types.count(minimum=1),
        'return_reservation_id': types.BOOLEAN,
        'availability_zone': types.NAME,
        'config_drive': {
            'anyOf': [types.BOOLEAN, {'enum': ['', None]}],
            'description': 'true or false',
        },
        'user_data': {
            'type': 'string',
            'maxLength': 65535,
            'format': 'base64',
            'description': 'base64 of at most 65535 characters',
        },
        'adminPass': {'type': 'string', 'description': 'a text'},
        'block_device_mapping_v2': _BOOT_DISK,
        'OS-DCF:diskConfig': {'enum': ['AUTO', 'MANUAL']},
        'OS-SCH-HNT:scheduler_hints': _NO_HINTS,
        'accessIPv4': _UNSUPPORTED,
        'accessIPv6': _UNSUPPORTED,
        'block_device_mapping': _UNSUPPORTED,
        'key_name': _UNSUPPORTED,
        'personality': _UNSUPPORTED,
        'security_groups': types.GROUPS,
    }
    if version >= (2, 19):
        server['description'] = _NO_DESCRIPTION
    schema = types.wrap('server', server, ('name', 'imageRef', 'flavorRef'))
    schema['properties'] |= {
        'OS-SCH-HNT:scheduler_hints': _NO_HINTS,
        'os:scheduler_hints': _NO_HINTS,
    }
    return schema


_CREATE = {
    low: _create(low)
    for low in (
        microversion.Version(2, 32),
        microversion.Version(2, 19),
        microversion.MIN,
    )
}


def create(version: microversion.Version) -> Schema:
    """``POST /servers``."""
    return next(schema for low, schema in _CREATE.items() if version >= low)


_UPDATE = types.wrap('server', {'name': types.NAME}, ('name',))
_UPDATE_2_19 = types.wrap('server', {'name': types.NAME, 'description': _NO_DESCRIPTION}, ('name',))


def update(version: microversion.Version) -> Schema:
    """``PUT /servers/{server_id}``: only the name can be changed."""
    return _UPDATE_2_19 if version >= (2, 19) else _UPDATE


_CONSOLE_OUTPUT = types.wrap(
    'os-getConsoleOutput',
    {
        'length': {
            'anyOf': [
                {'type': 'null'},
                {'type': 'integer', 'minimum': -1},
                {'type': 'string', 'pattern': r'^(-1|[0-9]{1,9})\Z'},
            ],
            'description': 'a number of lines, or null or -1 for all',
        }
    },
)


def console_output(version: microversion.Version) -> Schema:
    """The action ``os-getConsoleOutput``. The nova client sends the length as a string."""
    return _CONSOLE_OUTPUT


_START, _STOP = types.bare('os-start'), types.bare('os-stop')
_REBOOT = types.wrap(
    'reboot',
    {
        'type': {
            'enum': ['SOFT', 'HARD', 'soft', 'hard', 'Soft', 'Hard'],
            'description': 'SOFT or HARD',
        }
    },
    ('type',),
)


def start(version: microversion.Version) -> Schema:
    """The action ``os-start``."""
    return _START


def stop(version: microversion.Version) -> Schema:
    """The action ``os-stop``."""
    return _STOP


def reboot(version: microversion.Version) -> Schema:
    """The action ``reboot``."""
    return _REBOOT


_TRUE_OR_FALSE: Schema = {
    'enum': ['True', 'true', '1', 'False', 'false', '0', ''],
    'description': 'true or false',
}

#: An unknown filter is refused: ignored, it would list servers that the caller did not mean, and
#: scripts delete what they listed.
LIST: Schema = {
    'type': 'object',
    'properties': {
        'name': {'type': 'string', 'maxLength': 255},
        'status': {'type': 'string', 'maxLength': 255},
        'vm_state': {'type': 'string', 'maxLength': 255},
        'host': {'type': 'string', 'maxLength': 255},
        'image': {'type': 'string', 'maxLength': 255},
        'flavor': {'type': 'string', 'maxLength': 255},
        'reservation_id': {'type': 'string', 'maxLength': 255},
        'uuid': {'type': 'string', 'maxLength': 255},
        'project_id': {'type': 'string', 'maxLength': 255},
        'tenant_id': {'type': 'string', 'maxLength': 255},
        'all_tenants': _TRUE_OR_FALSE,
        'deleted': {
            'enum': ['False', 'false', '0'],
            'description': 'false; deleted servers are not kept',
        },
        'limit': types.NUMBER,
        'marker': {'type': 'string', 'maxLength': 255},
        'sort_key': {'const': 'created_at'},
        'sort_dir': {'const': 'desc'},
    },
    'additionalProperties': False,
}

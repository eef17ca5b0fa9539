"""Cheetah templates that give XML: compiled once, every value escaped or refused.

Cheetah itself escapes nothing, prints nothing for None, and looks names up in builtins, dicts
and call results until something fits. Here a placeholder is a plain Python expression, and its
value goes through :class:`XmlFilter`.
"""

from __future__ import annotations

from importlib import resources
import re
from typing import Any
import warnings

from nova import exception

with warnings.catch_warnings():
    # Cheetah imports the standard library's cgi, which nothing here uses.
    warnings.filterwarnings('ignore', "'cgi' is deprecated", DeprecationWarning)
    from Cheetah import Filters
    from Cheetah.Template import Template

_ESCAPES = {'&': '&amp;', '<': '&lt;', '>': '&gt;', "'": '&apos;', '"': '&quot;'}
#: Everything but the characters that need care; one test passes most values.
_PLAIN = re.compile(r'[ !#$%(-;=?-~]*', re.ASCII)
_MARKUP = re.compile(r'[&<>\'"]')
#: The complement of Char in XML 1.0, section 2.2.
_FORBIDDEN = re.compile('[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]')


class XmlFilter(Filters.Filter):  # type: ignore[misc]
    """Turns the value of each placeholder into XML character data.

    It is right between tags and in attribute values with either quote.
    """

    def filter(self, val: object, rawExpr: str = '', **_: object) -> str:
        """:param rawExpr: the placeholder, which Cheetah passes under this name.

        :raises TypeError: ``val`` is neither text nor a whole number; None above all.
        :raises InvalidName: it holds a character that XML cannot carry.
        """
        if type(val) is int:
            return str(val)
        if not isinstance(val, str):
            raise TypeError(f'{rawExpr} is {val!r}, which is neither text nor a whole number')
        return escape(val, rawExpr)


def escape(text: str, field: str) -> str:
    """``text`` as XML character data.

    :param field: what the text is, for the error.
    :raises InvalidName: the text holds a character that XML 1.0 forbids, however it is written.
    """
    if _PLAIN.fullmatch(text):
        return text
    if found := _FORBIDDEN.search(text):
        reason = f'U+{ord(found[0]):04X} cannot be written in XML'
        raise exception.InvalidName(field=field, value=text, reason=reason)
    return _MARKUP.sub(lambda match: _ESCAPES[match[0]], text)


def compile_template(name: str) -> Any:
    """The class of the template file ``name`` of this package.

    An instance takes its values as attributes, which the template reads from ``$self``;
    :func:`render` does both.
    """
    return Template.compile(
        source=resources.files(__package__).joinpath(name).read_text(encoding='utf-8'),
        compilerSettings={
            'useNameMapper': False,
            'useSearchList': False,
            'alwaysFilterNone': False,
        },
    )


def render(template: Any, **values: object) -> str:
    """The text of a template class for these values."""
    instance = template(filter=XmlFilter)
    for name, value in values.items():
        setattr(instance, name, value)
    return str(instance.respond())

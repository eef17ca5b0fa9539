from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
import pytest

from nova import exception
from nova.virt.libvirt import xmltemplate


@pytest.mark.parametrize(
    ('text', 'escaped'),
    [
        ('', ''),
        ('plain-1.2_3:4/5', 'plain-1.2_3:4/5'),
        ('a & b', 'a &amp; b'),
        ('<a b="c" d=\'e\'>', '&lt;a b=&quot;c&quot; d=&apos;e&apos;&gt;'),
        ('&amp;', '&amp;amp;'),
        ('Zürich 🐧', 'Zürich 🐧'),
    ],
)
def test_escape(text: str, escaped: str) -> None:
    assert xmltemplate.escape(text, 'name') == escaped


@pytest.mark.parametrize('character', ['\0', '\x08', '\x0b', '\x1f', '\ud800', '\ufffe', '\uffff'])
def test_what_xml_cannot_carry_is_refused(character: str) -> None:
    with pytest.raises(exception.InvalidName, match=f'{ord(character):04X}'):
        xmltemplate.escape(f'a{character}b', 'name')


@given(st.text(st.characters(exclude_categories=['Cs', 'Cc'], exclude_characters='\ufffe\uffff')))
def test_a_parser_gives_back_what_was_escaped(text: str) -> None:
    escaped = xmltemplate.escape(text, 'name')
    root = etree.fromstring(f"""<a b="{escaped}" c='{escaped}'>{escaped}</a>""")
    assert (root.get('b'), root.get('c'), root.text or '') == (text, text, text)


@pytest.mark.parametrize('value', [None, 1.5, True, b'x', ['x'], object()])
def test_only_text_and_whole_numbers_are_values(value: object) -> None:
    with pytest.raises(TypeError, match='neither text nor a whole number'):
        xmltemplate.XmlFilter().filter(value, rawExpr='$x')

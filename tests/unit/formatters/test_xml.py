"""Documents as XML formats build and write them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from apps.core.text import strip_forbidden
from formatters.xml import XML_LANG, add, as_lxml, document, serialize

DECLARATION = 'version="1.0"'


def read(root: Any) -> Any:
    return etree.fromstring(serialize(root, declaration=DECLARATION))


@given(st.text(), st.text(), st.text())
def test_readers_get_what_was_written(text: str, value: str, tail: str) -> None:
    """Whatever XML allows comes out as it was put in, line ends and tabs included."""
    root = document("root")
    element = add(root, "child", text, name=value)
    element.tail = strip_forbidden(tail)

    (found,) = read(root)

    assert (strip_forbidden(text), strip_forbidden(value), strip_forbidden(tail)) == (
        found.text or "",
        found.get("name"),
        found.tail or "",
    )


def test_namespaces() -> None:
    """Elements are in the namespace of what they are added to; one inside may have another."""
    root = document("message", "http://example.com/one", version="2")
    add(root, "head", "A").set(XML_LANG, "de")
    body = add(root, "body")
    inner = document("story", "http://example.com/two")
    add(inner, "p", "B & C")
    body.append(inner)
    bare = document("plain")
    body.append(bare)

    written = serialize(root, declaration=DECLARATION)

    assert written == (
        '<?xml version="1.0"?>\n'
        '<message xmlns="http://example.com/one" version="2"><head xml:lang="de">A</head>'
        '<body><story xmlns="http://example.com/two"><p>B &amp; C</p></story>'
        '<plain xmlns=""/></body></message>'
    )
    assert "{http://example.com/two}p" in [e.tag for e in as_lxml(root).iter()]


def test_attributes_of_other_namespaces() -> None:
    """There is no prefix for them, so they are refused rather than lost."""
    root = document("root")
    root.set("{http://example.com/}name", "value")
    with pytest.raises(ValueError, match="no prefix"):
        serialize(root, declaration=DECLARATION)


def test_document_types() -> None:
    """The address of a DTD stands before the root."""
    written = serialize(document("NewsML"), declaration=DECLARATION, doctype="http://example.com/d")
    assert '<!DOCTYPE NewsML SYSTEM "http://example.com/d">' in written

"""XML as formats write it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from apps.core.text import strip_forbidden
from formatters.xml import (
    add,
    add_written,
    as_lxml,
    document,
    element,
    escaped,
    leaf,
    name_token,
)

DECLARATION = 'version="1.0"'
any_text = st.text() | st.text("ab&<>\"'\r\n\t\x00\ud800\ufffe]")


def read(written: str) -> Any:
    return etree.fromstring(document(written, declaration=DECLARATION))


@given(any_text, any_text, any_text)
def test_readers_get_what_was_written(text: str, value: str, tail: str) -> None:
    """Whatever XML allows comes out as it was put in, line ends and tabs included."""
    (found,) = read(element("root", leaf("child", text, name=value) + escaped(tail)))

    assert (strip_forbidden(text), strip_forbidden(value), strip_forbidden(tail)) == (
        found.text or "",
        found.get("name"),
        found.tail or "",
    )


@given(any_text, any_text)
def test_trees_take_text_of_any_kind(text: str, value: str) -> None:
    """Elements of a tree are as clean as those that are written."""
    root = etree.Element("root")
    added = add(root, "child", text, name=value)

    assert (strip_forbidden(text), strip_forbidden(value)) == (added.text or "", added.get("name"))


def test_elements() -> None:
    """What holds nothing is one tag; content is taken as it is, text is not."""
    assert '<p class="&lt;a&gt; &quot;b&quot;"/>' == element("p", **{"class": '<a> "b"'})
    assert "<p><b>x</b></p>" == element("p", "<b>x</b>")
    assert "<p>&lt;b&gt;</p>" == leaf("p", "<b>")
    assert "<p/>" == leaf("p", "\x00")


@pytest.mark.parametrize("namespace", ["", "http://example.com/one"])
def test_trees_and_written_elements(namespace: str) -> None:
    """What is written below a tree is in the namespace of its parent."""
    prefix = f"{{{namespace}}}" if namespace else ""
    root = as_lxml(element("root", xmlns=namespace) if namespace else "<root/>")
    add(root, "one")
    add_written(root, "two", "a<b/>c", name="value")

    assert [f"{prefix}{tag}" for tag in ("root", "one", "two", "b")] == [e.tag for e in root.iter()]
    assert 1 <= etree.tostring(root).count(b"xmlns") + (not namespace) <= 1


def test_document_types() -> None:
    """A document type stands before the root."""
    written = document("<NewsML/>", declaration=DECLARATION, doctype='NewsML SYSTEM "urn:d"')

    assert '<?xml version="1.0"?>\n<!DOCTYPE NewsML SYSTEM "urn:d">\n<NewsML/>' == written


@pytest.mark.parametrize(
    ("value", "token"), [("a.b:c-1", "a.b:c-1"), (17, "17"), ("a b", ""), ("é", ""), (None, "")]
)
def test_name_tokens(value: object, token: str) -> None:
    """What is none is left out."""
    assert token == name_token(value)

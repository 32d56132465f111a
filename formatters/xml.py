"""XML as it is written: elements as text, and documents of them.

Formats write their documents straight away, as text with elements in it: making elements first and
writing them afterwards costs several times as much. So whatever is not markup passes through
`escaped`, `quoted` or `leaf` on its way. Superdesk's layouts, and packages that are made of parts,
are built as trees of lxml instead.
"""

import re
from typing import Any

from lxml import etree

from apps.core.text import strip_forbidden

XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
NAME_TOKEN = re.compile(r"[\w.:-]+", re.ASCII)
HTML_VOID = frozenset({"br", "hr", "img"})


def escaped(text: str) -> str:
    """Return `text` as the content of an element, without the characters that XML forbids."""
    # Most texts are one line of letters and signs that need nothing.
    if text.isprintable() and not ("&" in text or "<" in text or ">" in text):
        return text
    return escaped_clean(strip_forbidden(text))


def escaped_clean(text: str) -> str:
    """As `escaped`, of text that holds no forbidden characters: bodies are cleaned as a whole."""
    safe = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # Readers turn bare carriage returns into line feeds.
    return safe.replace("\r", "&#13;")


def quoted(value: str) -> str:
    """Return `value` as that of an attribute, in quotes, without the characters XML forbids."""
    # Most values need quotes and no more. Without this question, NITF takes 10 % longer.
    if value.isprintable() and not ("&" in value or "<" in value or ">" in value or '"' in value):
        return f'"{value}"'
    safe = escaped(value).replace('"', "&quot;")
    # Readers turn bare line ends and tabs in attributes into spaces.
    safe = safe.replace("\n", "&#10;").replace("\t", "&#9;")
    return f'"{safe}"'


def element(tag: str, content: str = "", /, **attributes: str) -> str:
    """Return an element.

    Args:
        content: what stands in it, as XML.
    """
    start = tag
    for name, value in attributes.items():
        start += f" {name}={quoted(value)}"
    return f"<{start}>{content}</{tag}>" if content else f"<{start}/>"


def leaf(tag: str, text: str = "", /, **attributes: str) -> str:
    """Return an element that holds nothing but `text`."""
    content = escaped(text)
    if attributes:
        return element(tag, content, **attributes)
    return f"<{tag}>{content}</{tag}>" if content else f"<{tag}/>"


def document(root: str, *, declaration: str, doctype: str = "") -> str:
    """Return a document, without white space added to its content.

    Args:
        root: the root element, as XML.
        declaration: what stands in the XML declaration (`version="1.0" encoding="UTF-8"`).
        doctype: name of the root and address of a DTD, as a document type declaration has them;
            none gives no such declaration.
    """
    dtd = f"<!DOCTYPE {doctype}>\n" if doctype else ""
    return f"<?xml {declaration}?>\n{dtd}{root}"


def name_token(value: object) -> str:
    """Return `value` as an XML name token, empty where it is none."""
    text = str(value) if isinstance(value, (str, int)) else ""
    return text if NAME_TOKEN.fullmatch(text) else ""


def as_lxml(written: str) -> Any:
    """Return an element that was written as text as a tree of lxml."""
    return etree.fromstring(written, etree.XMLParser(huge_tree=True, resolve_entities=False))


def add(parent: etree._Element, tag: str, text: str | None = None, /, **attributes: str) -> Any:
    """Append an element to a tree of lxml, in the namespace of `parent`, and return it.

    Characters that XML forbids are left out of text and attributes.
    """
    known = str(parent.tag)
    name = known[: known.index("}") + 1] + tag if known[0] == "{" else tag
    clean = {key: strip_forbidden(str(value)) for key, value in attributes.items()}
    appended = etree.SubElement(parent, name, clean)
    if text:
        appended.text = strip_forbidden(text)
    return appended


def add_written(parent: etree._Element, tag: str, content: str, /, **attributes: str) -> None:
    """Append an element to a tree of lxml, in the namespace of `parent`.

    Args:
        content: what stands in it, as XML without a namespace of its own.
    """
    namespace = etree.QName(parent).namespace
    named = {"xmlns": namespace} if namespace else {}
    parent.append(as_lxml(element(tag, content, **named, **attributes)))


def as_superdesk(root: etree._Element, declaration: str) -> str:
    """Return `root` as Superdesk writes it: indented, empty elements with an end tag.

    Args:
        declaration: see `document`.
    """
    for each in root.iter(etree.Element):
        is_void = etree.QName(each).localname in HTML_VOID
        if not len(each) and each.text is None and not is_void:
            each.text = ""
    written = etree.tostring(root, encoding="unicode", pretty_print=True)
    return f"<?xml {declaration}?>" + written

"""Small help with XML: elements that are always well-formed, names, serialising.

Documents are built with the standard library's elements: making one costs a fifth of what one of
lxml costs, and formats make hundreds for each item. Nothing is parsed with it. What rearranges a
finished document turns it into a tree of lxml.
"""

import re
from functools import lru_cache
from typing import Any, TypeAlias
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr

from lxml import etree

from apps.core.text import strip_forbidden

XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
NAME_TOKEN = re.compile(r"[\w.:-]+", re.ASCII)


Element: TypeAlias = Any
"""An element of the standard library, or of lxml."""

_has_special = re.compile('[&<>"\r\n\t]').search
"""Finds what cannot stand in an attribute as it is."""

_XML = "{http://www.w3.org/XML/1998/namespace}"


def document(tag: str, namespace: str | None = None, **attributes: str) -> Element:
    """Return the root of a new document.

    Args:
        namespace: of the root, and of the elements that `add` puts below it.
    """
    return ElementTree.Element(f"{{{namespace}}}{tag}" if namespace else tag, attributes)


def add(parent: Element, tag: str, text: str | None = None, /, **attributes: str) -> Element:
    """Append an element in the namespace of `parent` and return it.

    Characters that XML forbids are left out of text and attributes.
    """
    known = parent.tag
    name = known[: known.index("}") + 1] + tag if known[0] == "{" else tag
    if attributes:
        attributes = {key: strip_forbidden(str(value)) for key, value in attributes.items()}
    # `sub_element`, without the cost of another call.
    library = ElementTree if isinstance(parent, ElementTree.Element) else etree
    element = library.SubElement(parent, name, attributes)
    if text:
        element.text = strip_forbidden(text)
    return element


def sub_element(parent: Element, name: str, attributes: dict[str, str]) -> Element:
    """Append an element of the same library as `parent`.

    Args:
        name: with its namespace in braces.
    """
    if isinstance(parent, ElementTree.Element):
        return ElementTree.SubElement(parent, name, attributes)
    return etree.SubElement(parent, name, attributes)


def name_token(value: object) -> str:
    """Return `value` as an XML name token, empty where it is none."""
    text = str(value) if isinstance(value, (str, int)) else ""
    return text if NAME_TOKEN.fullmatch(text) else ""


def serialize(root: Element, *, declaration: str, doctype: str = "") -> str:
    """Return `root` as text, without white space added to its content.

    Args:
        declaration: what stands in the XML declaration (`version="1.0" encoding="UTF-8"`).
        doctype: address of a DTD; none gives no document type declaration.
    """
    name = etree.QName(root.tag).localname
    dtd = f"<!DOCTYPE {name} SYSTEM {quoteattr(doctype)}>\n" if doctype else ""
    return f"<?xml {declaration}?>\n{dtd}{_written(root)}"


def as_lxml(root: Element) -> etree._Element:
    """Return a finished document as a tree of lxml."""
    return etree.fromstring(_written(root))


def _written(root: Element) -> str:
    if not isinstance(root, ElementTree.Element):
        return etree.tostring(root, encoding="unicode")
    parts: list[str] = []
    _write(parts, root, "")
    return "".join(parts)


def _write(parts: list[str], element: Any, inherited: str) -> None:
    """Append the text of `element` to `parts`.

    Args:
        inherited: the default namespace around it.
    """
    namespace, name = _split(element.tag)
    start = f"<{name}" if namespace == inherited else f"<{name} xmlns={quoteattr(namespace)}"
    for key, value in element.items():
        safe = _escaped_attribute(value) if _has_special(value) else value
        start += f' {_attribute(key)}="{safe}"'
    text = element.text
    if text and not len(element):
        parts.append(f"{start}>{_escaped(text)}</{name}>")
    elif text or len(element):
        parts.append(f"{start}>{_escaped(text)}" if text else f"{start}>")
        for child in element:
            _write(parts, child, namespace)
        parts.append(f"</{name}>")
    else:
        parts.append(f"{start}/>")
    tail = element.tail
    if tail:
        parts.append(_escaped(tail))


@lru_cache(1000)
def _split(tag: str) -> tuple[str, str]:
    """Return namespace, "" for none, and local name of a tag."""
    if tag[0] != "{":
        return "", tag
    namespace, _, name = tag[1:].partition("}")
    return namespace, name


@lru_cache(1000)
def _attribute(key: str) -> str:
    """Return the name of an attribute as it is written.

    Raises:
        ValueError: it is in a namespace other than that of `xml:lang`.
    """
    if key[0] != "{":
        return key
    if not key.startswith(_XML):
        raise ValueError(f"attribute {key} has no prefix")
    return f"xml:{key.removeprefix(_XML)}"


def _escaped(text: str) -> str:
    if "&" in text:
        text = text.replace("&", "&amp;")
    if "<" in text:
        text = text.replace("<", "&lt;")
    if ">" in text:
        text = text.replace(">", "&gt;")
    # Readers turn bare carriage returns into line feeds.
    return text.replace("\r", "&#13;") if "\r" in text else text


def _escaped_attribute(value: str) -> str:
    # Readers turn bare line ends and tabs in attributes into spaces.
    escaped = _escaped(value).replace('"', "&quot;")
    return escaped.replace("\n", "&#10;").replace("\t", "&#9;")


HTML_VOID = frozenset({"br", "hr", "img"})


def as_superdesk(root: etree._Element, declaration: str) -> str:
    """Return `root` as Superdesk writes it: indented, empty elements with an end tag.

    Args:
        declaration: see `serialize`.
    """
    for element in root.iter(etree.Element):
        is_void = etree.QName(element).localname in HTML_VOID
        if not len(element) and element.text is None and not is_void:
            element.text = ""
    written = etree.tostring(root, encoding="unicode", pretty_print=True)
    return f"<?xml {declaration}?>" + written

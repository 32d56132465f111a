"""Small help with XML: elements that are always well-formed, names, serialising."""

import re
from typing import Any
from xml.sax.saxutils import quoteattr

from lxml import etree

from apps.core.text import strip_forbidden

XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
NAME_TOKEN = re.compile(r"[\w.:-]+", re.ASCII)


def add(parent: etree._Element, tag: str, text: str | None = None, /, **attributes: str) -> Any:
    """Append an element in the namespace of `parent` and return it.

    Characters that XML forbids are left out of text and attributes.
    """
    known = parent.tag
    # Cut out rather than parsed by `QName`: formats add hundreds of elements to each item.
    name = known[: known.index("}") + 1] + tag if known[0] == "{" else tag
    clean = {key: strip_forbidden(str(value)) for key, value in attributes.items()}
    element = etree.SubElement(parent, name, clean)
    if text:
        element.text = strip_forbidden(text)
    return element


def name_token(value: object) -> str:
    """Return `value` as an XML name token, empty where it is none."""
    text = str(value) if isinstance(value, (str, int)) else ""
    return text if NAME_TOKEN.fullmatch(text) else ""


def serialize(root: etree._Element, *, declaration: str, doctype: str = "") -> str:
    """Return `root` as text, without white space added to its content.

    Args:
        declaration: what stands in the XML declaration (`version="1.0" encoding="UTF-8"`).
        doctype: address of a DTD; none gives no document type declaration.
    """
    name = etree.QName(root).localname
    dtd = f"<!DOCTYPE {name} SYSTEM {quoteattr(doctype)}>\n" if doctype else ""
    return f"<?xml {declaration}?>\n{dtd}" + etree.tostring(root, encoding="unicode")


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

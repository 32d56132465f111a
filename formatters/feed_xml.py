"""Media RSS, which Atom and RSS feeds use alike (Media RSS 1.5.1)."""

from typing import Any

from lxml import etree

from formatters.feed import Medium

ATOM = "http://www.w3.org/2005/Atom"
MEDIA = "http://search.yahoo.com/mrss/"
MAKERS = {"image": "photographer", "video": "camera operator"}
"""Roles of those who make media (EBU role codes), by what Media RSS calls these."""


def add_in(parent: Any, namespace: str, tag: str, text: str = "", **attributes: str | None) -> Any:
    """Append an element of `namespace`, "" for none; attributes that are None are left out."""
    element = etree.SubElement(parent, f"{{{namespace}}}{tag}" if namespace else tag)
    for name, value in attributes.items():
        if value is not None:
            element.set(name, value)
    element.text = text or None
    return element


def add_media(parent: Any, medium: Medium) -> None:
    """Append `media:content` with title, description, credits, rights and thumbnail."""
    file = medium.file
    content = add_in(
        parent,
        MEDIA,
        "content",
        url=file.href,
        medium=medium.kind,
        type=file.mimetype or None,
        width=_number(file.width),
        height=_number(file.height),
        fileSize=_number(file.size),
        duration=_number(file.seconds),
    )
    if medium.title:
        add_in(content, MEDIA, "title", medium.title, type="plain")
    if medium.caption:
        add_in(content, MEDIA, "description", medium.caption, type="plain")
    if medium.maker:
        add_in(content, MEDIA, "credit", medium.maker, role=MAKERS.get(medium.kind, "author"))
    if medium.credit:
        add_in(content, MEDIA, "credit", medium.credit)
    if medium.rights:
        add_in(content, MEDIA, "copyright", medium.rights, url=medium.terms_url or None)
    if medium.thumbnail:
        add_in(content, MEDIA, "thumbnail", url=medium.thumbnail)


def _number(value: float | None) -> str | None:
    return str(round(value)) if value else None


def document(root: Any) -> bytes:
    """Return `root` as a document in UTF-8."""
    written: bytes = etree.tostring(root, encoding="utf-8", xml_declaration=True)
    return written

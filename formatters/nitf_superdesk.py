"""NITF as Superdesk lays it out, for subscribers whose readers expect that (formats contract 3.5).

It is not valid by the standard. The content of the body is the one thing that is written in full,
as in the valid form: Superdesk's loses lists, tables and links.
"""

from typing import Any

from lxml import etree

from apps.core.documents import object_of, objects_of, text_of, texts_of
from apps.core.embargo import embargo_of
from apps.core.text import plain_text
from apps.core.vocabulary import PubStatus
from formatters.base import Document, FormatContext
from formatters.body import parse_body
from formatters.conversions import body_with_footer, created_time, iso_time
from formatters.nitf_body import NITFBody
from formatters.xml import add, add_written

VERSION = "-//IPTC//DTD NITF 3.6//EN"


def superdesk_nitf(
    item: Document, context: FormatContext, namespace: str | None = None
) -> etree._Element:
    """Return `item` as an `nitf` element in Superdesk's layout.

    Args:
        namespace: that of the document around it; Superdesk gives NITF none of its own.
    """
    names: Any = {None: namespace} if namespace else None
    root = etree.Element(f"{{{namespace}}}nitf" if namespace else "nitf", nsmap=names)
    root.set("version", VERSION)
    _head(add(root, "head"), item, context)
    body = add(root, "body")
    writer = NITFBody()
    _body_head(add(body, "body.head"), item, writer)
    html = body_with_footer(item)
    if item.get("format") == "preserved":
        add(add(body, "body.content"), "pre", plain_text(html))
    else:
        add_written(body, "body.content", writer.blocks(parse_body(html)) or "<p/>")
    end = add(body, "body.end")
    if text_of(item, "ednote"):
        add(end, "tagline", text_of(item, "ednote"))
    return root


def _head(head: etree._Element, item: Document, context: FormatContext) -> None:
    add(head, "title", text_of(item, "headline"))
    tobject = add(head, "tobject", **{"tobject.type": "news"})
    genre = next(iter(objects_of(item, "genre")), {})
    if genre.get("name"):
        add(tobject, "tobject.property", **{"tobject.property.type": genre["name"]})
    for subject in objects_of(item, "subject"):
        add(tobject, "tobject.subject", **{"tobject.subject.refnum": subject.get("qcode") or ""})
    embargo = embargo_of(item, context.now)
    status = "embargoed" if embargo else text_of(item, "pubstatus") or PubStatus.USABLE
    expiry = iso_time(embargo) if embargo else item.get("expiry")
    docdata = add(head, "docdata", **{"management-status": status})
    created = created_time(item)
    add(docdata, "date.expire", norm=str(expiry or ""))
    add(docdata, "urgency", **{"ed-urg": str(item.get("urgency") or "")})
    add(docdata, "date.issue", norm=str(created or ""))
    add(docdata, "doc-id", **{"id-string": text_of(item, "guid")})
    add(docdata, "ed-msg", info=text_of(item, "ednote"))
    keywords = texts_of(item, "keywords")
    if keywords:
        key_list = add(head, "key-list")
        for keyword in keywords:
            add(key_list, "keyword", key=keyword)


def _body_head(head: etree._Element, item: Document, writer: NITFBody) -> None:
    add(add(head, "hedline"), "hl1", text_of(item, "headline"))
    dateline = text_of(object_of(item, "dateline"), "text")
    for tag, text in (("byline", text_of(item, "byline")), ("dateline", dateline)):
        if text:
            add(head, tag, text)
    if text_of(item, "abstract"):
        add_written(head, "abstract", writer.blocks(parse_body(text_of(item, "abstract"))))
    for company in objects_of(item, "company_codes"):
        codes = {
            "idsrc": company.get("security_exchange") or "",
            "value": company.get("qcode") or "",
        }
        add(head, "org", text_of(company, "name"), **codes)

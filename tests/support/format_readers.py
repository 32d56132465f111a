"""What each format says at a place, by readers that are not ours.

A place is what the format's standard calls it: a path of keys for JSON and feeds, an XPath for
XML, property names for NewsML-G2, what a person sees for texts.
"""

import json
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from email import message_from_bytes, policy
from functools import cache
from io import BytesIO
from time import struct_time
from typing import Any

import feedparser
from lxml import etree, html
from markdown_it import MarkdownIt
from NewsMLG2 import NewsMLG2Document
from pyld import jsonld

from transmitters.base import Delivery
from transmitters.email_message import Recipient, compose, content_of, mail_parts

SCHEMA_ORG = "http://schema.org/"
LINKED_DATA = {"@vocab": SCHEMA_ORG, "url": {"@type": "@id"}, "contentUrl": {"@type": "@id"}}
"""The part of schema.org's own context that matters here: names are of its vocabulary."""

MEDIA = {"media": "http://search.yahoo.com/mrss/"}

_STEP = re.compile(r"(?P<name>[^.\[\]]+)(?:\[(?P<key>\w+)=(?P<value>[^\]]+)\])?")


class Reader:
    """A document that has been read.

    Args:
        find: returns what stands at a place.
        everything: all that the document says.
        source: the document.
    """

    def __init__(
        self, find: Callable[[str], Iterable[Any]], everything: Iterable[Any], source: bytes = b""
    ) -> None:
        self._find = find
        self.everything = "\n".join(map(str, everything))
        self.source = source.decode("utf-8", "replace")

    def at(self, place: str) -> list[str]:
        """Return what stands at `place`, none where there is no such place."""
        return [str(value) for value in self._find(place) if value is not None]


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for held in value.values():
            yield from _leaves(held)
    elif isinstance(value, struct_time):
        yield datetime(*value[:6], tzinfo=UTC).isoformat()
    elif isinstance(value, (list, tuple)):
        for held in value:
            yield from _leaves(held)
    else:
        yield value


def followed(value: Any, path: str) -> Iterator[Any]:
    """Yield what stands at the end of a path of keys; each entry of a list is followed."""
    reached = [value]
    for step in _STEP.finditer(path):
        found: list[Any] = []
        for holder in _flat(reached):
            held = holder.values() if step["name"] == "*" else [holder.get(step["name"])]
            found += [one for one in _flat(held) if _has(one, step["key"], step["value"])]
        reached = found
    for end in reached:
        yield from _leaves(end)


def _flat(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, list):
            yield from _flat(value)
        elif value is not None:
            yield value


def _has(value: Any, key: str | None, wanted: str | None) -> bool:
    return key is None or (isinstance(value, Mapping) and str(value.get(key)) == wanted)


def _found(value: Any, path: str) -> Iterator[Any]:
    try:
        yield from followed(value, path)
    except AttributeError:
        return


def of_json(data: bytes) -> Reader:
    """Read JSON by paths such as `infoSources[role=source].name`; `*` is any key."""
    document = json.loads(data)
    return Reader(lambda place: _found(document, place), _leaves(document))


def of_json_feed(data: bytes) -> Reader:
    """Read the only entry of a JSON feed."""
    items = json.loads(data)["items"]
    return Reader(lambda place: _found(items, place), _leaves(items))


def _official_context(address: str, _: Any) -> dict[str, Any]:
    """Return the context that a document refers to; nothing is fetched."""
    assert address == "https://schema.org"
    document = {"@context": LINKED_DATA}
    return {"document": document, "documentUrl": address, "contextUrl": None, "contentType": ""}


def of_json_ld(data: bytes) -> Reader:
    """Read JSON-LD by the properties of schema.org, as RDF has them."""
    options = {"documentLoader": _official_context, "base": "https://example.com/"}
    [expanded] = jsonld.expand(json.loads(data), options)
    said = _plain(expanded)
    return Reader(lambda place: _found(said, place), _leaves(said))


def _plain(node: Any) -> Any:
    """Return an expanded node with the names that schema.org's documents have."""
    if isinstance(node, list):
        return [_plain(entry) for entry in node]
    if not isinstance(node, dict):
        return node
    if "@value" in node:
        return node["@value"]
    named = {key.removeprefix(SCHEMA_ORG): _plain(value) for key, value in node.items()}
    return named["@id"] if set(named) == {"@id"} else named


def of_feed(data: bytes) -> Reader:
    """Read the only entry of an Atom or RSS feed, as feedparser names it.

    Of several pictures feedparser keeps the last one's texts; so they are read by the elements of
    Media RSS.
    """
    feed = feedparser.parse(data)
    assert not feed.bozo, feed.get("bozo_exception")
    entries = [dict(entry) for entry in feed.entries]
    for entry in entries:
        # A time is there as its feed has it, and read.
        entry |= {key.removesuffix("_parsed"): entry[key] for key in entry if "_parsed" in key}
    root = etree.fromstring(data)

    def find(place: str) -> Iterable[Any]:
        if place.startswith("media:"):
            return map(_said, root.xpath(f"//{place}", namespaces=MEDIA))
        return _found(entries, place)

    said = [*_leaves(entries), *map(_said, root.iterfind(".//media:*", MEDIA))]
    return Reader(find, said, data)


def of_xml(data: bytes) -> Reader:
    """Read XML without namespaces by XPath, from any element on."""
    root = etree.fromstring(data)
    return Reader(lambda place: map(_said, root.xpath(f"//{place}")), _all_of(data))


def _said(found: Any) -> str:
    return str(found) if isinstance(found, str) else "".join(map(str, found.itertext()))


def of_g2(data: bytes) -> Reader:
    """Read NewsML-G2 by the names of its properties, from the items of the message on."""
    message = NewsMLG2Document(data).get_item()
    # The library knows messages without what is in them, and items by themselves.
    root = etree.fromstring(data)
    inside = root.iterfind(".//{*}itemSet/*")
    items = [NewsMLG2Document(etree.tostring(item, with_tail=False)).get_item() for item in inside]

    def find(place: str) -> Iterable[str]:
        if place.startswith("assert/"):
            # The details in it are not known to the library.
            return map(_said, root.xpath(f"//{_of_any_namespace(place)}"))
        holders = [message] if place.startswith("/") else items
        return _properties(holders, place.removeprefix("/").split("/"))

    return Reader(find, _all_of(data))


def _of_any_namespace(path: str) -> str:
    steps = path.split("/")
    return "/".join(s if s.startswith("@") else f"*[local-name()='{s}']" for s in steps)


def _all_of(data: bytes) -> Iterator[str]:
    root = etree.fromstring(data)
    yield from map(str, root.itertext())
    for element in root.iter("*"):
        yield from map(str, element.attrib.values())


def _properties(holders: list[Any], steps: list[str]) -> list[Any]:
    for step in steps:
        holders = [value for holder in holders for value in _property(holder, step)]
    return [holder if isinstance(holder, str) else _text(holder) for holder in holders]


def _property(holder: Any, step: str) -> list[Any]:
    """Return an attribute (`@name`) or the elements of a name, where `[@name=...]` holds."""
    matched = re.fullmatch(r"(@?)([\w:]+)(?:\[@(\w+)='([^']+)'\])?", step)
    assert matched, step
    is_attribute, name, key, wanted = matched.groups()
    if is_attribute:
        known = holder.get_attribute_definitions()
        ids = [id_ for id_, definition in known.items() if definition["xml_name"] == name]
        return [value for id_ in ids if (value := getattr(holder, id_)) is not None]
    found: list[Any] = []
    for id_, definition in holder.get_element_definitions():
        if definition["xml_name"] == name:
            value = getattr(holder, id_)
            found += list(value) if definition["type"] == "array" else [value] if value else []
    return [one for one in found if key is None or wanted in _property(one, f"@{key}")]


def _text(holder: Any) -> str:
    return " ".join("".join(map(str, holder.to_xml().itertext())).split())


def of_text(data: bytes) -> Reader:
    """Read plain text: `line` is any of its lines, `first line` the first."""
    return _lines(data.decode("utf-8"))


def _lines(text: str) -> Reader:
    lines = [line for line in text.splitlines() if line.strip()]
    places = {"line": lines, "first line": lines[:1]}
    return Reader(lambda place: places[place], lines)


@cache
def _markdown() -> MarkdownIt:
    return MarkdownIt("commonmark").enable("table")


def of_markdown(data: bytes) -> Reader:
    """Read markdown by the elements that a CommonMark parser makes of it."""
    return _page(_markdown().render(data.decode("utf-8")))


def _page(markup: str) -> Reader:
    root = html.document_fromstring(f"<html><body>{markup}</body></html>")
    said = [*root.itertext(), *(value for e in root.iter("*") for value in e.attrib.values())]
    return Reader(lambda place: map(_said, root.xpath(f"//{place}")), said)


def of_mail(data: bytes) -> Reader:
    """Read a mail: `Subject`, `text` for a line of its text, `html:` with an XPath."""
    sent = Delivery(
        key="k", item_id="i", item_version=1, content_type="text", publishing_action="",
        headline=None, body=data,
    )  # fmt: skip
    ada = Recipient("", "ada@example.com")
    content = content_of(sent, mail_parts(sent))
    sent_at = datetime(2026, 3, 4, tzinfo=UTC)
    message = compose(content, id="<1@example.com>", sender=ada, to=[ada], sent_at=sent_at)
    mail = message_from_bytes(message.as_bytes(), policy=policy.default)
    text, page = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text is not None
    lines = _lines(text.get_content())
    markup = _page(page.get_content()) if page else _lines("")

    def find(place: str) -> Iterable[str]:
        if place.startswith("html:"):
            return markup.at(place.removeprefix("html:"))
        return lines.at("line") if place == "text" else [str(mail[place])]

    return Reader(find, [mail["Subject"], lines.everything, markup.everything])


def of_idml(data: bytes) -> Reader:
    """Read a package for InDesign: a place is a paragraph style."""
    said: dict[str, list[str]] = {}
    with zipfile.ZipFile(BytesIO(data)) as package:
        stories = [name for name in package.namelist() if name.startswith("Stories/")]
        for name in stories:
            for paragraph in etree.fromstring(package.read(name)).iter("ParagraphStyleRange"):
                style = str(paragraph.get("AppliedParagraphStyle")).removeprefix("ParagraphStyle/")
                text = " ".join("".join(map(str, paragraph.itertext())).split())
                said.setdefault(style, []).append(text)
    return Reader(lambda place: said.get(place, []), _leaves(said))


READERS: Mapping[str, Callable[[bytes], Reader]] = {
    **dict.fromkeys(("ninjs", "ninjs2", "newsroom ninjs", "ftp ninjs", "ninjs3"), of_json),
    "imatrics": of_json,
    "jsonld": of_json_ld,
    "json feed": of_json_feed,
    "atom": of_feed,
    "rss": of_feed,
    "nitf": of_xml,
    "newsml12": of_xml,
    "newsmlg2": of_g2,
    "text": of_text,
    "markdown": of_markdown,
    "email": of_mail,
    "idml": of_idml,
}

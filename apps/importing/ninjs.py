"""News items of other systems as items of the archive: ninjs 1.x, 2.x, 3.x and Superdesk's ninjs.

The three generations say the same in different shapes, so one reading serves them all: 3.x spells
in camel case what 2.x spells in lower case, so keys are compared in lower case; 1.x has plain
fields and objects where later ones have lists. What is not understood or has a bad value is left
out.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from apps.core.codes import known_concept, stored_code
from apps.core.documents import EMPTY
from apps.core.vocabulary import ItemType, PubStatus
from apps.importing.ninjs_fields import (
    Fields,
    integer,
    lowered,
    non_empty,
    objects,
    text,
    texts_of,
    time,
)

TEXT_FIELDS = {
    "slugline": "slugline",
    "language": "language",
    "usageterms": "usageterms",
    "copyrightholder": "copyrightholder",
    "copyrightnotice": "copyrightnotice",
    "ednote": "ednote",
    "by": "byline",
    "byline": "byline",
    "source": "source",
    "mimetype": "mimetype",
}
TIME_FIELDS = {
    "versioncreated": "versioncreated",
    "firstcreated": "firstcreated",
    "embargoed": "embargoed",
    "embargoeduntil": "embargoed",
}
CONCEPT_FIELDS = {
    "subject": "subject",
    "subjects": "subject",
    "service": "anpa_category",
    "genre": "genre",
    "genres": "genre",
    "person": "person",
    "people": "person",
    "organisation": "organisation",
    "organisations": "organisation",
    "event": "event",
    "events": "event",
    "object": "object",
    "objects": "object",
}
EXTRA_FIELDS = (
    "profile",
    "altids",
    "rightsinfo",
    "contentcreated",
    "expires",
    "trustindicator",
    "trustindicators",
    "digitalsourcetype",
    "eventdetails",
    "plannedcoverage",
)
"""Fields without a place of their own in an item; they are kept under `extra`."""

RENDITION_NAMES = {
    "main": "original",
    "preview": "viewImage",
    "viewimage": "viewImage",
    "baseimage": "baseImage",
    "small": "thumbnail",
}
"""Rendition names of agencies, and the names under which the archive knows them."""

DEEPEST_ASSOCIATION = 10
"""Associations within associations that are followed, so that no document can exhaust the stack."""

URGENCIES = range(1, 10)
EMBARGOED = "embargoed"
"""What some providers have for `pubstatus`, besides the values of the standard."""


def item_from_ninjs(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ninjs `document` as an item, with its associations inside.

    The item has neither state nor desk; its `guid` is the document's `uri`.

    Raises:
        ValueError: no ninjs at all: not an object, neither `uri` nor `guid`, or an unknown type.
    """
    return _item(document, depth=0)


def _item(document: Mapping[str, Any], depth: int) -> Fields:
    if not isinstance(document, Mapping):
        raise ValueError(f"a ninjs document is a JSON object, not {type(document).__name__}")
    fields = lowered(document)
    guid = text(fields.get("uri")) or text(fields.get("guid"))
    if not guid:
        raise ValueError("a ninjs document needs a uri")
    item: Fields = {"guid": guid, "uri": guid, "type": _type(fields)}
    item |= _simple_fields(fields)
    item |= texts_of(fields, item["type"])
    item |= _concepts(fields)
    item |= _places(fields)
    item |= _people(fields)
    item |= non_empty({"renditions": _renditions(fields.get("renditions"))})
    if depth < DEEPEST_ASSOCIATION:
        item |= non_empty({"associations": _associations(fields.get("associations"), depth + 1)})
    _add_title(item, text(fields.get("title")))
    _add_extra(item, fields)
    return item


def _type(fields: Fields) -> str:
    declared = fields.get("type")
    if declared in (None, "component"):
        # A type is optional. What only has renditions is a medium, most likely a picture.
        has_body = "bodies" in fields or any(key.startswith("body") for key in fields)
        is_medium = "renditions" in fields and not has_body
        return ItemType.PICTURE.value if is_medium else ItemType.TEXT.value
    if not isinstance(declared, str) or declared not in set(ItemType):
        raise ValueError(f"unknown ninjs type {declared!r}")
    return declared


def _simple_fields(fields: Fields) -> Fields:
    item: Fields = {}
    for key, name in TEXT_FIELDS.items():
        item |= non_empty({name: text(fields.get(key))})
    for key, name in TIME_FIELDS.items():
        moment = time(fields.get(key))
        if moment is None and name == "embargoed" and fields.get(key) not in EMPTY:
            # Nobody would know until when the item must not be shown.
            raise ValueError(f"{key} {str(fields[key])[:50]!r} is no time")
        item |= non_empty({name: moment})
    urgency, priority = integer(fields.get("urgency")), integer(fields.get("priority"))
    keywords = fields.get("keywords")
    item |= non_empty(
        {
            "urgency": urgency if urgency in URGENCIES else None,
            "priority": priority,
            "keywords": [word for word in keywords if isinstance(word, str)]
            if isinstance(keywords, list)
            else None,
        }
    )
    item |= non_empty({"pubstatus": _status(fields.get("pubstatus"))})
    item |= non_empty({"ingest_version": _version(fields)})
    item |= non_empty({"rewrite_of": _evolved_from(fields.get("evolvedfrom"))})
    if located := text(fields.get("located")):
        item["dateline"] = {"located": {"city": located}}
    return item


def _status(value: Any) -> str:
    """Return the status of a document; one that nobody knows keeps it from being published."""
    if value in EMPTY:
        return ""
    named = re.split("[:/]", str(value).strip().lower())[-1]
    known = {"cancelled": PubStatus.CANCELED.value, EMBARGOED: EMBARGOED}
    known |= {status.value: status.value for status in PubStatus}
    return known.get(named, PubStatus.WITHHELD.value)


def _version(fields: Fields) -> str:
    """Return the version of a document; where it names none, when it was made."""
    version = fields.get("version")
    if isinstance(version, int) and not isinstance(version, bool):
        return str(version)
    moment = time(fields.get("versioncreated"))
    return text(version) or (moment.isoformat() if moment else "")


def _evolved_from(value: Any) -> str:
    """Return the id of the document that this one is an update of."""
    first = next(iter(value), "") if isinstance(value, list) else value
    return text(first.get("uri")) if isinstance(first, Mapping) else text(first)


# Concepts


def _concept(entry: Fields, *, is_subject: bool = False) -> Fields:
    """Return a concept as a vocabulary entry; its code is unique within the scheme.

    Args:
        is_subject: see `stored_code`.
    """
    name, uri = text(entry.get("name")), text(entry.get("uri"))
    code = text(entry.get("literal")) or text(entry.get("code"))
    scheme = text(entry.get("scheme"))
    if code and uri.endswith(code):
        scheme = scheme or uri.removesuffix(code)
    elif known_concept(uri) and not known_concept(code, scheme, is_subject=is_subject):
        code, scheme = uri, ""
    name = name or code or uri
    code, scheme = stored_code(code or uri or name, scheme, is_subject=is_subject)
    return non_empty({"qcode": code, "name": name, "scheme": scheme})


def _distinct(entries: Iterable[Fields]) -> list[Fields]:
    """Return the entries that say something, each once: the archive refuses equal codes."""
    found = {(entry.get("scheme"), entry.get("qcode")): entry for entry in entries if entry}
    return list(found.values())


def _concepts(fields: Fields) -> Fields:
    item: Fields = {}
    for key, name in CONCEPT_FIELDS.items():
        is_subject = name == "subject"
        entries = _distinct(
            _concept(entry, is_subject=is_subject) for entry in objects(fields.get(key, []))
        )
        item |= non_empty({name: entries})
    symbols = (
        {
            "name": text(entry.get("name")),
            "qcode": text(symbol.get("ticker")) or text(symbol.get("symbol")),
            "security_exchange": text(symbol.get("exchange")),
        }
        for key in ("organisation", "organisations")
        for entry in objects(fields.get(key, []))
        for symbol in objects(entry.get("symbols", []))
    )
    return item | non_empty({"company_codes": [symbol for symbol in symbols if symbol["qcode"]]})


def _places(fields: Fields) -> Fields:
    entries = objects(fields.get("place", [])) + objects(fields.get("places", []))
    return non_empty({"place": _distinct(_place(entry) for entry in entries)})


def _place(entry: Fields) -> Fields:
    place = _concept(entry)
    if place.get("scheme") == "geonames":
        # Places of this scheme have their code where Superdesk's client puts it.
        place["code"] = place["qcode"]
    return place | _location(entry)


def _location(entry: Fields) -> Fields:
    geometry = entry.get("geojson") or entry.get("geometry_point")
    point = lowered(geometry) if isinstance(geometry, Mapping) else {}
    coordinates = point.get("coordinates")
    if point.get("type") != "Point" or not isinstance(coordinates, list) or len(coordinates) < 2:
        return {}
    if not all(isinstance(number, (int, float)) for number in coordinates):
        return {}
    lon, lat = coordinates[:2]
    if entry.get("scheme") == "geonames":
        # Superdesk's own ninjs writes the latitude first.
        lon, lat = lat, lon
    return {"location": {"lat": lat, "lon": lon}}


def _people(fields: Fields) -> Fields:
    """Return the authors, and the source where only `infosources` names it."""
    authors = [
        non_empty({key: text(entry.get(key)) for key in ("name", "role", "biography")})
        for entry in objects(fields.get("authors", []))
    ]
    item = non_empty({"authors": [author for author in authors if author.get("name")]})
    sources = objects(fields.get("infosource", [])) + objects(fields.get("infosources", []))
    names = [text(entry.get("name")) or text(entry.get("literal")) for entry in sources]
    if not text(fields.get("source")):
        item |= non_empty({"source": ", ".join(name for name in names if name)})
    return item


# Renditions and associations


def _named(value: Any, prefix: str) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the entries of an object, or of a list whose entries carry their `name`."""
    if isinstance(value, Mapping):
        return [(str(key), entry) for key, entry in value.items() if isinstance(entry, Mapping)]
    entries = value if isinstance(value, list) else []
    return [
        (text(entry.get("name")) or f"{prefix}-{number}", entry)
        for number, entry in enumerate(entries, 1)
        if isinstance(entry, Mapping)
    ]


def _free(name: str, taken: Mapping[str, Any]) -> str:
    candidate, number = name, 1
    while candidate in taken:
        number += 1
        candidate = f"{name}-{number}"
    return candidate


def _renditions(value: Any) -> Fields:
    named: Fields = {}
    for name, entry in _named(value, "rendition"):
        if rendition := _rendition(lowered(entry)):
            known = RENDITION_NAMES.get(name.lower(), name)
            named[known if known not in named else _free(name, named)] = rendition
    if named and "original" not in named:
        # Editors and formats look for the original: the largest one takes its place.
        largest = max(named.values(), key=lambda entry: entry.get("width", 0))
        named["original"] = dict(largest)
    return named


def _rendition(entry: Fields) -> Fields:
    if not text(entry.get("href")):
        return {}
    return non_empty(
        {
            "href": text(entry.get("href")),
            "mimetype": text(entry.get("contenttype")) or text(entry.get("mimetype")),
            "width": integer(entry.get("width")),
            "height": integer(entry.get("height")),
            "size": integer(entry.get("sizeinbytes")),
            "duration": integer(entry.get("duration")),
            "title": text(entry.get("title")),
            "poi": entry.get("poi") if isinstance(entry.get("poi"), Mapping) else None,
        }
    )


def _associations(value: Any, depth: int) -> Fields:
    associations: Fields = {}
    for name, entry in _named(value, "association"):
        try:
            associated = _item(entry, depth)
        except ValueError:
            # What cannot be read as an item is left out; the story itself must come through.
            continue
        associations[_free(name, associations)] = associated
    return associations


# What is left


def _add_title(item: Fields, title: str) -> None:
    """Put the title where the item lacks a text; an item has no title of its own."""
    if not title:
        return
    for field in ("headline", "slugline"):
        if not item.get(field):
            item[field] = title
            return
    if title not in (item["headline"], item["slugline"]):
        item.setdefault("extra", {})["title"] = title


def _add_extra(item: Fields, fields: Fields) -> None:
    given = fields.get("extra")
    extra = dict(given) if isinstance(given, Mapping) else {}
    extra |= item.get("extra", {})
    extra |= {key: fields[key] for key in EXTRA_FIELDS if key in fields}
    linked = lowered(extra["rightsinfo"]) if isinstance(extra.get("rightsinfo"), Mapping) else {}
    if text(linked.get("linkedrights")):
        item.setdefault("usageterms", linked["linkedrights"])
    item |= non_empty({"extra": extra})

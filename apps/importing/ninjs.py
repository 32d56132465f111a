"""News items of other systems as items of the archive: ninjs 1.x, 2.x, 3.x and Superdesk's ninjs.

The three generations say the same in different shapes, so one reading serves them all: 3.x spells
in camel case what 2.x spells in lower case, so keys are compared in lower case; 1.x has plain
fields and objects where later ones have lists. What is not understood or has a bad value is left
out.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from apps.core import json
from apps.core.documents import EMPTY, object_of
from apps.core.text import comparable
from apps.core.vocabulary import ItemType, PubStatus
from apps.importing.ninjs_concepts import concepts_of, people_of, places_of, sources_of
from apps.importing.ninjs_fields import (
    Fields,
    free_name,
    integer,
    lowered,
    non_empty,
    number,
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
    "creditline": "creditline",
    "mimetype": "mimetype",
}
TIME_FIELDS = {
    "versioncreated": "versioncreated",
    "firstcreated": "firstcreated",
    "embargoed": "embargoed",
    "embargoeduntil": "embargoed",
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
KEPT_FIELDS = frozenset({*EXTRA_FIELDS, "infosources", "title"})
"""All that import keeps there besides variants of texts."""

RENDITION_NAMES = {
    "main": "original",
    "preview": "viewImage",
    "viewimage": "viewImage",
    "baseimage": "baseImage",
    "small": "thumbnail",
}
"""Rendition names of agencies, and the names under which the archive knows them."""

RENDITION_TEXTS = (
    *("title", "format", "aspectratio", "videocodec", "transportprotocol", "scantype", "bitrate"),
)
"""What ninjs says of a rendition, besides what an item needs to know."""

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
    uri = text(fields.get("uri")) or text(fields.get("guid"))
    if not uri:
        raise ValueError("a ninjs document needs a uri")
    item: Fields = {"guid": uri, "uri": uri, "type": _type(fields)}
    item |= _simple_fields(fields)
    texts, sources = texts_of(fields, item["type"]), sources_of(fields)
    kept = {**sources.pop("extra", {}), **texts.pop("extra", {}), **_kept(fields)}
    item |= texts | sources
    item |= concepts_of(fields) | places_of(fields) | people_of(fields)
    _take_ids(item, kept)
    item |= non_empty({"renditions": _renditions(fields.get("renditions"))})
    if depth:
        item |= non_empty({"order": integer(fields.get("order"))})
    if depth < DEEPEST_ASSOCIATION:
        item |= non_empty({"associations": _associations(fields.get("associations"), depth + 1)})
    _add_title(item, kept, text(fields.get("title")))
    _add_rights(item, kept)
    given = fields.get("extra")
    own = dict(given) if isinstance(given, Mapping) else {}
    return item | non_empty({"extra": own | non_empty(kept)})


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
    item |= non_empty(
        {
            "urgency": urgency if urgency in URGENCIES else None,
            "priority": priority,
            "annotations": objects(fields.get("annotations", [])),
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


def _renditions(value: Any) -> Fields:
    named: Fields = {}
    entries = _named(value, "rendition")
    names = {name for name, _ in entries}
    for name, entry in entries:
        if rendition := _rendition(lowered(entry)):
            ours = RENDITION_NAMES.get(name.lower(), name)
            # What has a name of ours keeps it, whatever other agencies call theirs.
            known = name if ours in names else ours
            named[free_name(known, named)] = rendition
    if named and "original" not in named:
        # Editors and formats look for the original: the largest one takes its place.
        largest = max(named.values(), key=lambda entry: entry.get("width", 0))
        named["original"] = dict(largest)
    return named


def _rendition(entry: Fields) -> Fields:
    """Return a rendition; one that has no address says nothing."""
    if not text(entry.get("href")):
        return {}
    duration = number(entry.get("duration"))
    return non_empty(
        {
            "href": text(entry.get("href")),
            "mimetype": text(entry.get("contenttype")) or text(entry.get("mimetype")),
            "width": integer(entry.get("width")),
            "height": integer(entry.get("height")),
            "size": integer(entry.get("sizeinbytes")),
            "duration": duration if duration is not None and duration >= 0 else None,
            "poi": entry.get("poi") if isinstance(entry.get("poi"), Mapping) else None,
            **{key: text(entry.get(key)) for key in RENDITION_TEXTS},
            "framerate": number(entry.get("framerate")),
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
        associations[free_name(name, associations)] = associated
    return associations


# What is left


def _add_title(item: Fields, kept: Fields, title: str) -> None:
    """Put the title where the item lacks a text; an item has no title of its own."""
    if not title or comparable(title) == comparable(item.get("headline", "")):
        return
    for field in ("headline", "slugline"):
        if not item.get(field):
            item[field] = title
            return
    if title != item["slugline"]:
        kept["title"] = title


def _kept(fields: Fields) -> Fields:
    """Return the fields that an item has no place for, spelt as in 2.x."""
    kept = {key: fields[key] for key in EXTRA_FIELDS if key in fields}
    for key in ("altids", "trustindicators", "trustindicator"):
        if isinstance(kept.get(key), list):
            kept[key] = objects(kept[key])
    for key in ("rightsinfo", "digitalsourcetype"):
        if isinstance(kept.get(key), Mapping):
            kept[key] = lowered(kept[key])
    encoded = object_of(kept, "rightsinfo").get("encodedrights")
    if isinstance(encoded, (dict, list)):
        # ODRL in JSON-LD stands in a text, as the standard has it.
        kept["rightsinfo"]["encodedrights"] = json.dumps(encoded).decode()
    created = time(kept.get("contentcreated"))
    if created and created == time(fields.get("firstcreated")):
        # Formats tell it by the item where nothing else is known.
        del kept["contentcreated"]
    return kept


def _add_rights(item: Fields, kept: Fields) -> None:
    """Let a link to the rights stand in for terms of use."""
    rights = kept.get("rightsinfo")
    link = text(rights.get("linkedrights")) if isinstance(rights, Mapping) else ""
    if link:
        item.setdefault("usageterms", link)


def _take_ids(item: Fields, kept: Fields) -> None:
    """Take what our own ninjs 3 says among the other ids: what the item is here, too."""
    left = []
    for entry in kept["altids"] if isinstance(kept.get("altids"), list) else []:
        role, value = text(entry.get("role")), text(entry.get("value"))
        if role == "guid" and value and item["uri"].endswith(":item:" + quote(value, safe="")):
            item["guid"] = value
        elif role == "evolvedFrom" and value:
            item.setdefault("rewrite_of", value)
        elif role == "ingestId" and value:
            item["ingest_id"] = value
        else:
            left.append(entry)
    if isinstance(kept.get("altids"), list):
        kept["altids"] = left

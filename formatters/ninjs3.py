"""The format `ninjs3`: IPTC ninjs 3.1, valid by its official schema (formats contract 8).

A destination whose config says `version: "2.2"` gets ninjs 2.2, which spells the same in
lower case.
"""

from collections.abc import Iterator
from typing import Any

from apps.core.documents import object_of, objects_of, text_of
from apps.core.embargo import embargo_of
from apps.core.vocabulary import ItemType
from formatters import ninjs3_fields as fields
from formatters.base import Document, FormatContext, Formatted, Formatter
from formatters.conversions import (
    RIGHTS_FIELDS,
    created_time,
    language_of,
    number_within,
    publish_status,
    rights_of,
    without_empty,
)
from formatters.json import encode
from formatters.ninjs import NINJSFormatter
from formatters.ninjs_associations import RELATED_CONTENT, associated_items
from formatters.ninjs_fields import profile_name
from formatters.uris import item_uri

SCHEMA = "http://www.iptc.org/std/ninjs/ninjs-schema_{version}.json"
VERSIONS = ("3.1", "2.2")
NAMES_OF_2_2 = {"embargoedUntil": "embargoed"}
"""Fields that ninjs 2.2 calls by another name, letter case apart."""
NOT_IN_2_2 = (
    *("poi", "aspectratio", "videocodec", "framerate", "transportprotocol", "scantype", "bitrate"),
)
"""What ninjs 2.2 does not say of renditions."""
SENT_TYPES = {str(t): str(t) for t in ItemType} | {str(ItemType.PREFORMATTED): str(ItemType.TEXT)}
UNKNOWN_TO_2_2 = frozenset({ItemType.EVENT, ItemType.PLANNING})


class NINJS3Formatter(Formatter):
    """Write any item as IPTC ninjs."""

    type = "ninjs3"
    name = "IPTC ninjs 3"
    media_type = "application/json"
    file_extension = "json"
    error_code = NINJSFormatter.error_code
    error_text = NINJSFormatter.error_text
    item_types = frozenset(ItemType)
    options = ("packaged", "version")
    is_extra = True
    can_preview = True
    can_export = True

    def write(self, item: Document, context: FormatContext) -> list[Formatted]:
        guid = item.get("guid") or item.get("uri")
        self.require(item, guid=guid, type=item.get("type"))
        version = self.choice(item, context, "version", VERSIONS)
        standard = {"name": "ninjs", "version": version, "schema": SCHEMA.format(version=version)}
        document = {"standard": standard, **_document(item, context)}
        associations = [*_members(item, context), *_associations(item, context)]
        document |= without_empty({"associations": associations})
        return [Formatted(encode(_as_2_2(document) if version == "2.2" else document))]


def _document(item: Document, context: FormatContext) -> dict[str, Any]:
    """Return `item` without its associations."""
    uri = item_uri(text_of(item, "guid") or text_of(item, "uri"), context.settings.urn_domain)
    kind = text_of(item, "type")
    version = item.get("_current_version")
    extra = fields.spelt_as_in_2(object_of(item, "extra"))
    kept = {name: text_of(extra, name) for name in ("profile", "title")}
    return {
        "uri": uri,
        **({"type": SENT_TYPES[kind]} if kind in SENT_TYPES else {}),
        "representationType": "full",
        "version": str(1 if version is None else version),
        "pubStatus": publish_status(item),
    } | without_empty(
        {
            "profile": profile_name(item, context) if item.get("profile") else kept["profile"],
            "firstCreated": fields.time(created_time(item)),
            "versionCreated": fields.time(item.get("versioncreated")),
            "contentCreated": fields.time(extra.get("contentcreated") or item.get("firstcreated")),
            "embargoedUntil": fields.time(embargo_of(item, context.now)),
            "expires": fields.time(extra.get("expires")),
            "urgency": number_within(item.get("urgency"), 1, 9),
            **_rights(item, context),
            "edNote": text_of(item, "ednote"),
            "language": language_of(item, context) if item.get("language") else "",
            "title": text_of(item, "title") or kept["title"] or text_of(item, "headline"),
            "by": text_of(item, "byline"),
            "slugline": text_of(item, "slugline"),
            "located": text_of(object_of(object_of(item, "dateline"), "located"), "city"),
            "headlines": fields.headlines(item),
            "descriptions": fields.descriptions(item),
            "bodies": fields.bodies(item, context),
            "people": fields.people(item, context),
            "organisations": fields.organisations(item),
            "places": fields.places(item, context),
            "subjects": fields.subjects(item),
            "genres": fields.concepts(item, "genre"),
            "events": fields.concepts(item, "event"),
            "objects": fields.concepts(item, "object"),
            "infoSources": fields.sources(item, extra),
            "renditions": fields.renditions(item),
            "altIds": fields.alternative_ids(item, uri, extra),
            "digitalSourceType": fields.digital_source_type(item),
            "trustIndicators": fields.trust_indicators(extra, context),
            "rightsInfo": fields.rights_info(extra, context),
        }
    )


def _rights(item: Document, context: FormatContext) -> dict[str, Any]:
    known = rights_of(item, context)
    return {name: known[field] for field, name in RIGHTS_FIELDS.items()}


def _associations(item: Document, context: FormatContext) -> Iterator[dict[str, Any]]:
    """Yield the associated items, under the key they have; their own associations stay out."""
    for entry in associated_items(object_of(item, "associations"), context):
        stored, is_full = entry.stored, True
        if entry.kind == RELATED_CONTENT and stored.get("_type") is None:
            is_full = str(stored.get("_id")) in context.related
            stored = context.related.get(str(stored.get("_id")), stored)
        guid = text_of(stored, "guid") or text_of(stored, "uri") or text_of(stored, "_id")
        if guid.strip():
            document = _document({**stored, "guid": guid}, context)
            document["representationType"] = "full" if is_full else "partial"
            yield {"name": entry.key, "rel": entry.key.split("--")[0] or entry.key, **document}


def _members(item: Document, context: FormatContext) -> Iterator[dict[str, Any]]:
    """Yield the members of a package, by group; a member that is only referred to is partial."""
    if item.get("type") != ItemType.COMPOSITE:
        return
    for group in objects_of(item, "groups"):
        found = [ref for ref in objects_of(group, "refs") if text_of(ref, "residRef").strip()]
        group_id = str(group.get("id") or "group")
        for number, reference in enumerate(found if group_id != "root" else ()):
            name = group_id if len(found) == 1 else f"{group_id}-{number}"
            yield {"name": name, "rel": group_id, **_member(reference, context)}


def _member(reference: Document, context: FormatContext) -> dict[str, Any]:
    guid = text_of(reference, "residRef")
    embedded = context.package_items.get(guid)
    if embedded and context.config.get("packaged"):
        return _document({**embedded, "guid": embedded.get("guid") or guid}, context)
    shown = ("type", "headline", "slugline", "_current_version", "pubstatus")
    known = {field: reference[field] for field in shown if reference.get(field) is not None}
    document = _document({**known, "guid": guid}, context)
    return document | {"representationType": "partial"}


def _as_2_2(document: dict[str, Any]) -> dict[str, Any]:
    """Return a document of ninjs 3.1 as one of 2.2."""
    lowered: dict[str, Any] = _lowered(document)
    for part in (lowered, *lowered.get("associations", ())):
        if part.get("type") in UNKNOWN_TO_2_2:
            del part["type"]
        for rendition in part.get("renditions", ()):
            for name in NOT_IN_2_2:
                rendition.pop(name, None)
    for association in lowered.get("associations", ()):
        del association["rel"]
    return lowered


def _lowered(value: Any) -> Any:
    if isinstance(value, dict):
        return {NAMES_OF_2_2.get(key, key.lower()): _lowered(v) for key, v in value.items()}
    return [_lowered(entry) for entry in value] if isinstance(value, list) else value

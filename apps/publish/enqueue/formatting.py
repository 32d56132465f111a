"""Formats items for destinations: once for all destinations that agree on format and options."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from pymongo.database import Database

from apps.core import json
from apps.core.ids import object_id
from apps.core.registry import Registry
from apps.core.service import Document
from apps.publish.enqueue.matching import RoutingRules
from formatters.base import FormatContext, FormatSettings, Formatted, Formatter

ALWAYS_SENT = frozenset(
    {"attachments", "refs", "place", "organisation", "person", "authors", "language", "embargoed"}
)
STANDARD_FIELDS = frozenset(
    {"usageterms", "keywords", "slugline", "genre", "anpa_take_key", "priority", "urgency"}
    | {"anpa_category", "subject", "company_codes", "ednote", "headline", "abstract", "byline"}
    | {"dateline", "body_html", "body_footer", "sign_off", "media_description"}
)
"""Fields that a content profile can switch off."""


@dataclass(frozen=True)
class Payload:
    """One formatted part, stored once and shared by the rows of its destinations.

    Attributes:
        id: the same for every destination that shares it.
    """

    id: str
    formatted: Formatted
    formatter: type[Formatter]


class Lookups:
    """The documents that formats read besides the item, for one batch.

    Args:
        db: the database.
        vocabularies: as read for the routing rules.
        rules: the routing rules, for formats that name products.
    """

    VOCABULARIES = ("rightsinfo", "locators", "job_titles", "crop_sizes")

    def __init__(
        self,
        db: Database[Document],
        vocabularies: Sequence[Mapping[str, Any]],
        rules: RoutingRules,
    ) -> None:
        self._db = db
        self.rules = rules
        by_id = {v["_id"]: v for v in vocabularies}
        self.vocabularies = {
            name: [i for i in by_id[name].get("items") or () if i.get("is_active", True)]
            for name in self.VOCABULARIES
            if name in by_id
        }
        self.vocabulary_fields = {v["_id"]: v for v in vocabularies if v.get("field_type")}
        self.profiles: dict[str, Document] = {}
        self.users: dict[str, Document] = {}

    def load(self, items: Iterable[Mapping[str, Any]]) -> None:
        """Read profiles and authors of `items`: at most one command each."""
        items = list(items)
        profiles = {item["profile"] for item in items if item.get("profile")}
        missing = sorted(profiles - set(self.profiles))
        if missing:
            found = self._db["content_types"].find({"_id": {"$in": missing}})
            self.profiles.update({str(p["_id"]): p for p in found})
        authors = [a for item in items for a in item.get("authors") or () if isinstance(a, dict)]
        ids = [object_id(str(a["parent"])) for a in authors if a.get("parent")]
        names = [a["name"] for a in authors if a.get("name") and not a.get("parent")]
        if ids or names:
            wanted = {"$or": [{"_id": {"$in": ids}}, {"display_name": {"$in": names}}]}
            found = self._db["users"].find(wanted, {"password": 0, "session_preferences": 0})
            self.users.update({str(user["_id"]): user for user in found})


class ItemFormats:
    """Formats of one published row.

    Args:
        row: the published row.
        lookups: see `Lookups`.
        registry: formats by name.
        settings: see `FormatSettings`.
        now: time of formatting.
    """

    def __init__(
        self,
        row: Mapping[str, Any],
        lookups: Lookups,
        registry: Registry[Formatter],
        settings: FormatSettings,
        now: datetime,
    ) -> None:
        self._row_id = str(row["_id"])
        self._item = published_item(row, lookups.profiles.get(str(row.get("profile"))))
        self._lookups = lookups
        self._registry = registry
        self._settings = settings
        self._now = now
        self._done: dict[str, list[Payload]] = {}

    def formatter(self, destination: Mapping[str, Any]) -> type[Formatter] | None:
        """Return the formatter of a destination, or None where none takes this item."""
        found = self._registry.find(str(destination.get("format")))
        return found if found and found.can_format(self._item) else None

    def payloads(
        self,
        formatter: type[Formatter],
        config: Mapping[str, Any],
        destination: str,
        sequence_number: int,
    ) -> list[Payload]:
        """Return the formatted parts for a destination.

        Args:
            config: the destination's config without secrets.
            destination: id of the lane, for formats that show the sequence number.

        Raises:
            FormatError: the item cannot be written in this format.
        """
        options = {key: config[key] for key in formatter.options if key in config}
        own = f"{destination} {sequence_number}" if formatter.numbered else ""
        key = _key(self._row_id, formatter.type, options, own)
        if key not in self._done:
            context = self._context(formatter, options, sequence_number)
            parts = formatter().format(self._item, context)
            self._done[key] = [
                Payload(f"{key}-{number}", part, formatter) for number, part in enumerate(parts)
            ]
        return self._done[key]

    def _context(
        self, formatter: type[Formatter], config: Mapping[str, Any], sequence_number: int
    ) -> FormatContext:
        return FormatContext(
            settings=self._settings,
            now=self._now,
            sequence_number=sequence_number if formatter.numbered else 0,
            config=config,
            products=self._products() if formatter.shows_products else (),
            vocabularies=self._lookups.vocabularies,
            vocabulary_fields=self._lookups.vocabulary_fields,
            profiles=self._lookups.profiles,
            users=self._lookups.users,
        )

    def _products(self) -> list[Document]:
        matching = self._lookups.rules.matching_products(self._item, self._now)
        return [{"code": product.id, "name": product.name} for product in matching]

    def documents(self) -> list[Document]:
        """Return the payload documents to store."""
        return [
            {
                "_id": payload.id,
                "item_id": self._item["item_id"],
                "item_version": self._item.get("_current_version"),
                "body": payload.formatted.body,
                "encoding": payload.formatted.encoding,
                "media_type": payload.formatter.media_type,
                "file_extension": payload.formatter.file_extension,
                "_created": self._now,
            }
            for payloads in self._done.values()
            for payload in payloads
        ]


def _key(row_id: str, format_type: str, options: Mapping[str, Any], own: str) -> str:
    said = json.dumps([format_type, sorted(options.items()), own])
    return f"{row_id}-{sha256(said).hexdigest()[:16]}"


def published_item(row: Mapping[str, Any], profile: Mapping[str, Any] | None) -> Document:
    """Return the item as formats see it: under its own id, trimmed to its content profile."""
    schema = (profile or {}).get("schema") or {}
    item = {
        name: value
        for name, value in row.items()
        if not (profile and name in STANDARD_FIELDS and schema.get(name) is None)
    }
    item["_id"] = row["item_id"]
    if item.get("associations"):
        item["associations"] = {
            key: _without_null_renditions(value) for key, value in item["associations"].items()
        }
    return item


def _without_null_renditions(association: Any) -> Any:
    if not isinstance(association, Mapping) or not association.get("renditions"):
        return association
    renditions = {k: v for k, v in association["renditions"].items() if v is not None}
    return {**association, "renditions": renditions}


def format_settings(settings: Mapping[str, Any]) -> FormatSettings:
    """Return the formatters' share of the settings."""
    return FormatSettings(
        default_language=settings["DEFAULT_LANGUAGE"],
        default_timezone=settings["DEFAULT_TIMEZONE"],
        media_prefix=settings["MEDIA_PREFIX"],
        urn_domain=settings["URN_DOMAIN"],
        provider_id=settings["NEWSML_PROVIDER_ID"],
        common_renditions=tuple(settings["NINJS_COMMON_RENDITIONS"]),
        place_extended=settings["NINJS_PLACE_EXTENDED"],
        japanese_characters_per_minute=int(settings["JAPANESE_CHARACTERS_PER_MINUTE"]),
    )

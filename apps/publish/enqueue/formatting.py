"""Formats items for destinations: once for all destinations that agree on format and options."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from hashlib import sha256
from typing import Any

from bson import ObjectId
from pymongo.database import Database

from apps.core import json
from apps.core.clock import Clock
from apps.core.embargo import embargo_of
from apps.core.registry import Registry
from apps.core.service import Document
from apps.core.vocabulary import TEXT_TYPES, ItemType
from apps.publish.enqueue.references import References, associations_of
from apps.publish.enqueue.rules import routing_rules
from apps.publish.enqueue.subscribers import Subscriber
from apps.store.collections import VOCABULARIES
from formatters.base import FormatContext, FormatSettings, Formatted, Formatter
from formatters.ninjs import ContentApiFormatter

LARGEST = 15 * 1024 * 1024
"""Bytes of a body: documents of the store end at 16 MB."""
EMBEDDED = "editor_"
"""Prefix of the keys of associations that are embedded in the text."""


@dataclass
class Payload:
    """One formatted part, stored once and shared by the rows of its destinations.

    Attributes:
        id: the same for every destination that shares it.
        formatted: without its body once it is stored.
        size: bytes of the body.
    """

    id: str
    formatted: Formatted
    formatter: type[Formatter]
    size: int

    @cached_property
    def row_fields(self) -> Document:
        """Fields of rows about their body: size, encoding of text, or the id of a binary."""
        fields: Document = {"payload_id": self.id, "payload_size": self.size}
        if isinstance(self.formatted.body, str):
            return {**fields, "item_encoding": self.formatted.encoding}
        return {**fields, **self._encoded_item, "formatted_item": ""}

    def drop_body(self) -> None:
        """Forget the body, which is stored by now."""
        self.formatted = replace(self.formatted, body=self.formatted.body[:0])

    def document(self, item: Mapping[str, Any], now: datetime) -> Document:
        """Return the document to store.

        Args:
            item: what is written in it.
            now: time of formatting.
        """
        return {
            "_id": self.id,
            "item_id": item["item_id"],
            "item_version": item.get("_current_version"),
            "body": self.formatted.body,
            "encoding": self.formatted.encoding,
            **self._encoded_item,
            "media_type": self.formatter.media_type,
            "file_extension": self.formatter.file_extension,
            "_created": now,
        }

    @property
    def _encoded_item(self) -> Document:
        if isinstance(self.formatted.body, str):
            return {}
        return {"encoded_item_id": ObjectId(sha256(self.id.encode()).digest()[:12])}


class ItemFormats:
    """Formats of one published row.

    Args:
        row: the published row.
        references: hold what the row refers to.
        registry: formats by name.
        settings: see `FormatSettings`.
        now: time of formatting.

    Attributes:
        unstored_bytes: of the bodies that `take_documents` returns.
    """

    def __init__(
        self,
        row: Mapping[str, Any],
        references: References,
        registry: Registry[Formatter],
        settings: FormatSettings,
        now: datetime,
    ) -> None:
        self._row_id = str(row["_id"])
        self._item = references.trimmed(row)
        self._references = references
        self._registry = registry
        self._settings = settings
        self._now = now
        # A resend after the end of an embargo says nothing of it: it is another form of the item.
        self._embargo = embargo_of(self._item, now)
        self._done: dict[bytes, list[Payload]] = {}
        self._unstored: list[Payload] = []
        self.unstored_bytes = 0
        self._refused: dict[bytes, Exception] = {}

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
        subscriber: Subscriber | None = None,
    ) -> list[Payload]:
        """Return the formatted parts for a destination.

        Args:
            config: the destination's config without secrets.
            destination: id of the lane, for formats that show the sequence number.
            subscriber: who receives it, for formats that depend on the recipient's products.

        Raises:
            FormatError: the item cannot be written in this format.
            ServerError: a member of a package that is to go inside it is not published.
        """
        options = {key: config[key] for key in formatter.options if key in config}
        own = f"{destination} {sequence_number}" if formatter.numbered else ""
        unwanted = self._unwanted_embeds(formatter, subscriber)
        version = _version(formatter.type, options, own, unwanted, self._embargo)
        if version in self._refused:
            raise self._refused[version].with_traceback(None)
        if version not in self._done:
            try:
                context = self._context(formatter, options, sequence_number, unwanted)
                self._done[version] = self._formatted(formatter, context, version)
            except Exception as error:
                # What fails for one destination fails for all that share it.
                self._refused[version] = error
                raise
        return self._done[version]

    def _formatted(
        self, formatter: type[Formatter], context: FormatContext, version: bytes
    ) -> list[Payload]:
        # A copy of its own, so that no plug-in can change what the next one gets.
        parts = formatter().format(_copied(self._item), context)
        key = f"{self._row_id}-{sha256(version).hexdigest()[:16]}"
        payloads = [
            Payload(f"{key}-{number}", part, formatter, self._size_of(formatter, part))
            for number, part in enumerate(parts)
        ]
        self._unstored += payloads
        self.unstored_bytes += sum(payload.size for payload in payloads)
        return payloads

    def content_api_document(self) -> Document:
        """Return the item as the content API keeps it.

        Raises:
            FormatError: the item cannot be written so.
        """
        context = self._context(ContentApiFormatter, {}, 0, None)
        (part,) = ContentApiFormatter().format(_copied(self._item), context)
        return dict(json.loads(part.data))

    def _size_of(self, formatter: type[Formatter], part: Formatted) -> int:
        """Return the bytes of a part.

        Raises:
            FormatError: the store could not hold it, which would keep the whole batch from it.
        """
        size = stored = len(part.data)
        if isinstance(part.body, str):
            # The store holds text in UTF-8, whatever it is sent in.
            stored = len(part.body.encode(errors="replace"))
        if stored > LARGEST:
            cause = f"{stored} bytes are more than the {LARGEST} that can be stored"
            raise formatter().refusal(self._item, "body", cause)
        return size

    def _context(
        self,
        formatter: type[Formatter],
        config: Mapping[str, Any],
        sequence_number: int,
        unwanted_embeds: frozenset[str] | None,
    ) -> FormatContext:
        references = self._references
        return FormatContext(
            settings=self._settings,
            now=self._now,
            sequence_number=sequence_number if formatter.numbered else 0,
            config=config,
            vocabularies=references.vocabularies,
            vocabulary_fields=references.vocabulary_fields,
            profiles=references.profiles,
            users=references.users,
            attachments=references.attachments,
            related=references.related,
            package_items=self._members if config.get("packaged") else {},
            members=self._listed_members if formatter.lists_members else None,
            products=self._products if formatter.shows_products else (),
            association_products=self._associated if formatter.shows_products else {},
            assignments=references.assignments,
            unwanted_embeds=unwanted_embeds,
        )

    @cached_property
    def _members(self) -> dict[str, Document]:
        """Members of a package as they were published, trimmed as they are on their own."""
        if self._item.get("type") != ItemType.COMPOSITE:
            return {}
        members = self._references.members_of(self._item)
        return {member: self._references.trimmed(row) for member, row in members.items()}

    @cached_property
    def _listed_members(self) -> dict[str, Document] | None:
        """Members of a package that are published, None for what is no package."""
        if self._item.get("type") != ItemType.COMPOSITE:
            return None
        members = self._references.published_members_of(self._item)
        return {member: self._references.trimmed(row) for member, row in members.items()}

    @cached_property
    def _products(self) -> list[Document]:
        return self._products_of(self._item)

    @cached_property
    def _associated(self) -> dict[str, list[Document]]:
        """Products of associated items, by id."""
        related = self._references.related
        return {
            str(held["_id"]): self._products_of(related.get(str(held["_id"]), held))
            for _key, held in associations_of(self._item)
            if held.get("_id")
        }

    def _products_of(self, item: Mapping[str, Any]) -> list[Document]:
        matching = self._references.rules.matching_products(item, self._now)
        return [{"code": product.id, "name": product.name} for product in matching]

    @cached_property
    def _embeds(self) -> dict[str, frozenset[str]]:
        """Ids of the products that take each medium embedded in the text, by its key."""
        return {
            key: frozenset(str(product["code"]) for product in self._products_of(held))
            for key, held in associations_of(self._item)
            if key.startswith(EMBEDDED)
        }

    def _unwanted_embeds(
        self, formatter: type[Formatter], subscriber: Subscriber | None
    ) -> frozenset[str] | None:
        """Return the keys of embedded media that none of the subscriber's products takes.

        Returns:
            None where embedded media are not filtered.
        """
        is_asked = self._settings.filter_embeds and formatter.filters_embeds
        if not is_asked or subscriber is None or self._item.get("type") not in TEXT_TYPES:
            return None
        own = {str(product) for product in subscriber.products}
        return frozenset(key for key, products in self._embeds.items() if not own & products)

    def take_documents(self) -> list[Document]:
        """Return the payload documents to store, and hold their bodies no longer."""
        documents = [payload.document(self._item, self._now) for payload in self._unstored]
        for payload in self._unstored:
            # What rows say of a body is settled while it is there.
            payload.row_fields  # noqa: B018
            payload.drop_body()
        self._unstored.clear()
        self.unstored_bytes = 0
        return documents


def _version(
    format_type: str,
    options: Mapping[str, Any],
    own: str,
    unwanted: frozenset[str] | None,
    embargo: datetime | None,
) -> bytes:
    """Return what names one formatted form of an item."""
    embeds = None if unwanted is None else sorted(unwanted)
    until = [] if embargo is None else [embargo.isoformat()]
    return json.dumps([format_type, sorted(options.items()), own, embeds, *until])


def _copied(value: Any) -> Any:
    """Return a copy of `value`; what cannot be changed is shared."""
    if isinstance(value, Mapping):
        return {key: _copied(entry) for key, entry in value.items()}
    return [_copied(entry) for entry in value] if isinstance(value, list) else value


def format_settings(settings: Mapping[str, Any]) -> FormatSettings:
    """Return the formatters' share of the settings."""
    return FormatSettings(
        default_language=settings["DEFAULT_LANGUAGE"],
        default_timezone=settings["DEFAULT_TIMEZONE"],
        urn_domain=settings["URN_DOMAIN"],
        provider_id=settings["NEWSML_PROVIDER_ID"],
        common_renditions=tuple(settings["NINJS_COMMON_RENDITIONS"]),
        place_extended=settings["NINJS_PLACE_EXTENDED"],
        newsml12_doctype=settings["NEWSML12_DOCTYPE"] or "",
        email_templates=settings["EMAIL_TEMPLATES"] or "",
        email_prefixes=settings["EMAIL_PREFIXES"],
        trust_indicators=tuple(settings["NINJS_TRUST_INDICATORS"]),
        rights_info=settings["NINJS_RIGHTS_INFO"],
        japanese_characters_per_minute=int(settings["JAPANESE_CHARACTERS_PER_MINUTE"]),
        media_prefix=settings["MEDIA_PREFIX"],
        filter_embeds=settings["EMBED_PRODUCT_FILTERING"],
    )


class ItemFormatting:
    """Formats single items, outside of the batches of routing.

    Args:
        db: the database.
        clock: source of time.
        formatters: output formats by name.
        settings: those of the formats.

    Attributes:
        formatters: as given.
    """

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        formatters: Registry[Formatter],
        settings: Mapping[str, Any],
    ) -> None:
        self._db = db
        self._clock = clock
        self.formatters = formatters
        self._settings = format_settings(settings)

    def references(self, items: Sequence[Document]) -> References:
        """Return what formats need to know besides `items`, read at once."""
        vocabularies = list(self._db[VOCABULARIES].find({}))
        references = References(
            self._db, vocabularies, lambda: routing_rules(self._db, vocabularies)
        )
        references.load(items)
        return references

    def formats_of(self, row: Document, references: References | None = None) -> ItemFormats:
        """Return the formats of a published row, or of what has the shape of one.

        Args:
            references: hold what the row refers to; read unless given.
        """
        references = references or self.references([row])
        now = self._clock.precise()
        return ItemFormats(row, references, self.formatters, self._settings, now)

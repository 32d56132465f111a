"""The ninjs family: one JSON object per item, as readers of Superdesk know it.

The format `ninjs` extends IPTC ninjs 1.1 and is frozen on the wire (formats contract 3.1). The
others derive from it and override its hooks.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from apps.core.documents import object_of, objects_of, text_of
from apps.core.media_files import media_file_name
from apps.core.text import strip_forbidden
from apps.core.vocabulary import ItemType
from formatters import ninjs_fields as fields
from formatters.base import Document, FormatContext, Formatted, Formatter
from formatters.conversions import RIGHTS_FIELDS, rights, sent_type, without_empty
from formatters.json import encode
from formatters.ninjs_associations import (
    RELATED_CONTENT,
    Associated,
    associated_items,
    by_field,
    by_key,
)
from formatters.ninjs_embeds import filtered, rebuilt

UPDATE_FIELDS = ("rewrite_sequence", "rewrite_of")
"""Fields of an update that `ninjs2` sends."""

NEWSROOM_RENDITIONS = ("original", "viewImage", "baseImage")
"""Renditions of a picture that Newshub reads, besides its crops."""

PLANNING = {"coverage_id": "coverage_item", "planning_id": "planning_item"}
"""Fields for Newshub, and where an item's planning assignment has them."""


class NINJSFormatter(Formatter):
    """Write any item as ninjs.

    Formats of the family override the hooks `guid`, `version`, `rendition_names`, `rendition` and
    `additions`; all of them apply to associated items too.
    """

    type: ClassVar[str] = "ninjs"
    name: ClassVar[str | None] = "NINJS"
    media_type: ClassVar[str] = "application/json"
    file_extension: ClassVar[str] = "json"
    error_code: ClassVar[int] = 7004
    error_text: ClassVar[str] = 'Article couldn"t be converted to NinJS'
    item_types: ClassVar[frozenset[str]] = frozenset(ItemType)
    options: ClassVar[tuple[str, ...]] = ("packaged",)
    can_preview: ClassVar[bool] = True
    can_export: ClassVar[bool] = True

    def write(self, item: Document, context: FormatContext) -> list[Formatted]:
        self.require(item, guid=self.guid(item), type=text_of(item, "type"))
        return [Formatted(encode(self.document(item, context)))]

    def guid(self, item: Document) -> Any:
        """Return the guid under which the recipient files the item."""
        return item.get("guid") or item.get("uri")

    def version(self, item: Document) -> Any:
        """Return the version, which is sent as text."""
        version = item.get("_current_version")
        return 1 if version is None else version

    def rendition_names(self, context: FormatContext) -> list[str]:
        """Return the renditions that are sent of a picture, in order."""
        return [*context.settings.common_renditions, "original", *fields.crop_names(context)]

    def rendition(self, stored: Document, context: FormatContext) -> dict[str, Any]:
        """Return one rendition as it is sent."""
        return fields.rendition(stored)

    def additions(self, item: Document, context: FormatContext) -> dict[str, Any]:
        """Return what a format of the family adds to the document or replaces in it."""
        return {}

    def document(
        self, item: Document, context: FormatContext, *, is_nested: bool = False
    ) -> dict[str, Any]:
        """Return `item` as a ninjs object that may still hold datetimes and ids.

        Args:
            is_nested: the item is associated with another one; its own associations stay out.
        """
        document = self._identity(item) | fields.byline_and_place(item) | fields.copied(item)
        document |= fields.texts(item)
        document |= fields.place_and_profile(item, context)
        if not is_nested:
            document |= self._associated(item, context)
        document |= fields.dates_and_priority(item, context)
        document |= fields.subjects(item)
        document |= self._renditions(item, context)
        if item.get("order") is not None:
            document["order"] = item["order"]
        document |= fields.descriptions(item)
        document |= fields.relations(item)
        if not any(document.get(field) for field in RIGHTS_FIELDS):
            document |= rights(item, context)
        document |= fields.genre_and_signal(item)
        document |= without_empty({"attachments": fields.attachments(item, context)})
        document |= fields.figures(document, text_of(item, "language"), context)
        document |= without_empty({"authors": fields.authors(item, context)})
        return document | self.additions(item, context)

    def _identity(self, item: Document) -> dict[str, Any]:
        return {
            "guid": self.guid(item) or item.get("_id"),
            "version": str(self.version(item)),
            "type": sent_type(text_of(item, "type")),
        }

    def _renditions(self, item: Document, context: FormatContext) -> dict[str, Any]:
        stored = object_of(item, "renditions")
        if not stored:
            is_linked = item.get("url") is not None
            return {"renditions": fields.linked_renditions(item)} if is_linked else {}
        is_picture = item.get("type") == ItemType.PICTURE
        names = self.rendition_names(context) if is_picture else stored
        found = ((name, stored.get(name)) for name in names)
        sent = {
            name: self.rendition(rendition, context)
            for name, rendition in found
            if isinstance(rendition, Mapping)
        }
        return {"renditions": sent}

    def _associated(self, item: Document, context: FormatContext) -> dict[str, Any]:
        """Return `associations` and `extra_items` of a story or a package."""
        is_package = item.get("type") == ItemType.COMPOSITE
        if not is_package and not item.get("associations"):
            return {}
        members = self._members(item, context) if is_package else {}
        stored = associated_items(object_of(item, "associations"), context)
        written = ((entry, self._association(entry, context)) for entry in stored)
        entries = [(entry, sent) for entry, sent in written if sent is not None]
        extra_items = by_field(entries)
        return {
            "associations": members | by_key(entries),
            **({"extra_items": extra_items} if extra_items else {}),
        }

    def _members(self, item: Document, context: FormatContext) -> dict[str, Any]:
        """Return the members of a package: under the group's id, numbered where there are more."""
        members: dict[str, Any] = {}
        for group in objects_of(item, "groups"):
            if group.get("id") == "root":
                continue
            found = [
                self._member(reference, context)
                for reference in objects_of(group, "refs")
                if strip_forbidden(str(reference.get("residRef") or "")).strip()
            ]
            for number, member in enumerate(found):
                key = str(group.get("id"))
                members[key if len(found) == 1 else f"{key}-{number}"] = member
        return members

    def _member(self, reference: Document, context: FormatContext) -> dict[str, Any]:
        guid = str(reference["residRef"])
        member = {"guid": guid, "type": sent_type(text_of(reference, "type"))}
        if reference.get("label"):
            member["label"] = reference["label"]
        embedded = context.package_items.get(guid)
        if embedded and context.config.get("packaged"):
            member |= self.document(embedded, context, is_nested=True)
        return member

    def _association(self, entry: Associated, context: FormatContext) -> dict[str, Any] | None:
        """Return an associated item, None for one that nothing identifies."""
        item = entry.stored
        if entry.kind == RELATED_CONTENT and item.get("_type") is None:
            # Such a field stores a reference only; what has left the archive stays a reference.
            related = context.related.get(str(item.get("_id")), item)
            item = {**related, "order": item.get("order")}
        if not (self.guid(item) or item.get("_id")):
            return None
        sent = self.document(item, context, is_nested=True)
        for name, rendition in sent.get("renditions", {}).items():
            if name != "original":
                rendition.pop("poi", None)
        return sent


class NINJS2Formatter(NINJSFormatter):
    """As ninjs; the version is the correction sequence, and updates say what they update.

    Formats contract 3.2.
    """

    type = "ninjs2"
    name = "NINJSv2"

    def version(self, item: Document) -> Any:
        sequence = item.get("correction_sequence")
        return 1 if sequence is None else sequence

    def additions(self, item: Document, context: FormatContext) -> dict[str, Any]:
        return {field: item[field] for field in UPDATE_FIELDS if item.get(field) is not None}


class NewsroomNinjsFormatter(NINJSFormatter):
    """As ninjs, for Newshub: with the products that the item matches and its planning assignment.

    Formats contract 3.3.
    """

    type = "newsroom ninjs"
    name: ClassVar[str | None] = "Newsroom NINJS"
    shows_products = True
    can_preview = False
    can_export = False

    def rendition_names(self, context: FormatContext) -> list[str]:
        return [*NEWSROOM_RENDITIONS, *fields.crop_names(context)]

    def guid(self, item: Document) -> Any:
        return item["ingest_id"] if keeps_ingest_id(item) else super().guid(item)

    def version(self, item: Document) -> Any:
        if keeps_ingest_id(item) and item.get("ingest_version"):
            return item["ingest_version"]
        return super().version(item)

    def additions(self, item: Document, context: FormatContext) -> dict[str, Any]:
        products = context.association_products.get(str(item.get("_id")), context.products)
        added: dict[str, Any] = {"products": list(products)}
        assignment = context.assignments.get(str(item.get("assignment_id")), {})
        for field, source in PLANNING.items():
            if assignment.get(source):
                added[field] = assignment[source]
        if item.get("refs"):
            added["refs"] = item["refs"]
        return added


class ContentApiFormatter(NewsroomNinjsFormatter):
    """The content API's copy of an item: as newsroom ninjs, without the products.

    Routing contract 9. It is not registered, so no destination can name it.
    """

    type = "content api"
    name = None
    shows_products = False

    def additions(self, item: Document, context: FormatContext) -> dict[str, Any]:
        added = super().additions(item, context)
        del added["products"]
        return added


class FTPNinjsFormatter(NINJSFormatter):
    """As ninjs, with links to the files that a transfer of media leaves in `associated_path`.

    Formats contract 3.4.
    """

    type = "ftp ninjs"
    name = "NINJS FTP"
    options = ("packaged", "associated_path", "include_original")
    filters_embeds = True

    def document(
        self, item: Document, context: FormatContext, *, is_nested: bool = False
    ) -> dict[str, Any]:
        unwanted = context.unwanted_embeds
        if unwanted is None or is_nested:
            return super().document(item, context, is_nested=is_nested)
        document = super().document(filtered(item, unwanted), context)
        if "body_html" in document:
            sent = document.get("associations", {})
            document["body_html"] = rebuilt(document["body_html"], sent, unwanted)
            document |= fields.figures(document, text_of(item, "language"), context)
        return document

    def rendition_names(self, context: FormatContext) -> list[str]:
        crops = fields.crop_names(context)
        return ["original", *crops] if context.config.get("include_original") else crops

    def rendition(self, stored: Document, context: FormatContext) -> dict[str, Any]:
        sent = fields.rendition(stored)
        if stored.get("media"):
            directory = str(context.config.get("associated_path") or "").lstrip("/")
            separator = "/" if directory and not directory.endswith("/") else ""
            sent["href"] = f"{directory}{separator}{media_file_name(stored)}"
        return sent


def keeps_ingest_id(item: Document) -> bool:
    """Whether the item goes out under the id it came in with."""
    asked = item.get("auto_publish") or object_of(item, "extra").get("publish_ingest_id_as_guid")
    return bool(item.get("ingest_id") and asked)

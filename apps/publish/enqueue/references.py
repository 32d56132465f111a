"""Documents that the items of a batch refer to, read for all of them at once.

`References` holds the documents that formats read besides the item. `AssociatedMedia` are the media
that are sent again with the item that holds them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import cached_property
from typing import Any

from pymongo.database import Database

from apps.archive.packages import member_refs
from apps.core.documents import objects_of
from apps.core.errors import ServerError
from apps.core.ids import forms_of, id_key
from apps.core.service import Document
from apps.core.text import is_blank
from apps.core.vocabulary import (
    MEDIA_TYPES,
    WITHDRAWING_OPERATIONS,
    ItemType,
    Operation,
    State,
)
from apps.newsroom.vocabularies.items import is_active
from apps.publish.enqueue.decisions import Item
from apps.publish.enqueue.rules import RoutingRules
from apps.store.by_id import find_all_by_id
from apps.store.collections import (
    ARCHIVE,
    ASSIGNMENTS,
    ATTACHMENTS,
    CONTENT_TYPES,
    PUBLISHED,
    USERS,
)


def associations_of(item: Item) -> Iterator[tuple[str, Item]]:
    """Yield key and association of all that `item` holds; what has another shape is left out.

    Items may have been stored by others, and one of them must not stop a whole batch.
    """
    held = item.get("associations")
    if held and isinstance(held, Mapping):
        yield from ((str(key), each) for key, each in held.items() if isinstance(each, Mapping))


# What formats read.

VOCABULARIES = ("rightsinfo", "locators", "job_titles", "crop_sizes")
"""Vocabularies that formats read."""

OUT = frozenset({State.PUBLISHED, State.CORRECTED, State.CORRECTION, State.BEING_CORRECTED})
"""States in which an item may be shown as related to another one."""

SWITCHABLE_FIELDS = frozenset(
    {"usageterms", "keywords", "slugline", "genre", "anpa_take_key", "priority", "urgency"}
    | {"anpa_category", "subject", "company_codes", "ednote", "headline", "abstract", "byline"}
    | {"dateline", "body_html", "body_footer", "sign_off", "media_description", "sms", "footer"}
    | {"feature_media", "relatedItems"}
)
"""Fields that a content profile can switch off. Whatever is not among them is always sent."""

RELATED_CONTENT = "related_content"
HIDDEN_USER_FIELDS = {"password": 0, "session_preferences": 0}
KEPT_AS_THEY_ARE = frozenset({"body_html", "body_text", "fields_meta"})
"""Fields whose texts are the content itself; blanks are part of it."""
LEVELS = 2
"""An item, and what is associated with it."""

MISSING_MEMBER = "Can not find package {package} published item {member}"


class References:
    """The documents that formatters are handed, so that they need no store.

    Args:
        db: the database.
        vocabularies: as stored.
        rules: returns the routing rules; called when a format asks for the products of an item.
    """

    def __init__(
        self,
        db: Database[Document],
        vocabularies: Sequence[Document],
        rules: Callable[[], RoutingRules],
    ) -> None:
        self._db = db
        self._build_rules = rules
        by_id = {v["_id"]: v for v in vocabularies}
        self.vocabularies = {
            name: [
                without_blanks(item) for item in by_id[name].get("items") or () if is_active(item)
            ]
            for name in VOCABULARIES
            if name in by_id
        }
        self.vocabulary_fields = {v["_id"]: v for v in vocabularies if v.get("field_type")}
        self.profiles: dict[str, Document] = {}
        self.users: dict[str, Document] = {}
        self.attachments: dict[str, Document] = {}
        self.related: dict[str, Document] = {}
        self.assignments: dict[str, Document] = {}
        self._not_out: set[str] = set()
        self._asked: dict[str, set[str]] = {}
        self._packages: list[Item] = []
        self._members: dict[tuple[str, int | None], Document] | None = None

    @cached_property
    def rules(self) -> RoutingRules:
        """The routing rules, for formats that depend on products."""
        return self._build_rules()

    def load(self, items: Iterable[Item]) -> None:
        """Read what `items` refer to: at most one command for each kind of reference."""
        items = list(items)
        self._packages += [item for item in items if item.get("type") == ItemType.COMPOSITE]
        wanted = {str(held["_id"]) for item in items for _, held in self.related_content(item)}
        found = self._found(ARCHIVE, wanted)
        related = {id_: item for id_, item in found.items() if item.get("state") in OUT}
        self.related |= _by_id_without_blanks(related)
        self._not_out |= found.keys() - related.keys()
        self._load_details([*items, *related.values()])

    def related_content(self, item: Item) -> Iterator[tuple[str, Item]]:
        """Yield key and association of what only names an item of the archive."""
        for key, held in associations_of(item):
            field = self.vocabulary_fields.get(key.partition("--")[0], {})
            is_related = "--" in key and field.get("field_type") == RELATED_CONTENT
            if is_related and held.get("_type") is None and held.get("_id"):
                yield key, held

    def trimmed(self, row: Item) -> Document:
        """Return a published row as formats see it (formats contract 1.5 step 1).

        It stands under the item's own id, has the fields that its content profile enables and no
        texts that show nothing, and names no related items that are not out: the editor was warned
        that they will not be sent.
        """
        item = published_item(row, self.profiles.get(str(row.get("profile"))))
        related = self.related_content(item)
        unsent = {key for key, held in related if str(held["_id"]) in self._not_out}
        if unsent:
            held = item["associations"]
            item["associations"] = {key: held[key] for key in held if key not in unsent}
        return item

    def _load_details(self, items: Sequence[Item]) -> None:
        """Read profiles, assignments, attachments and authors of items and their associations."""
        everything = [each for item in items for each in _with_associated(item)]
        self.profiles |= self._found(CONTENT_TYPES, _ids_in(everything, "profile"))
        assignments = self._found(ASSIGNMENTS, _ids_in(everything, "assignment_id"))
        self.assignments |= _by_id_without_blanks(assignments)
        attachments = [entry for each in everything for entry in objects_of(each, "attachments")]
        found = self._found(ATTACHMENTS, _ids_in(attachments, "attachment"))
        self.attachments |= _by_id_without_blanks(found)
        self._load_users([entry for each in everything for entry in objects_of(each, "authors")])

    def _found(self, collection: str, ids: set[str]) -> dict[str, Document]:
        """Return documents by id as text; no command where all of them were asked for before."""
        asked = self._asked.setdefault(collection, set())
        wanted = sorted(ids - asked)
        if not wanted:
            return {}
        asked.update(wanted)
        found = find_all_by_id(self._db[collection], wanted)
        return {id_: document for id_ in wanted if (document := found.get(id_)) is not None}

    def _load_users(self, authors: Sequence[Item]) -> None:
        parents = {str(author["parent"]) for author in authors if author.get("parent")}
        names = {str(a["name"]) for a in authors if a.get("name") and not a.get("parent")}
        ids = sorted(parents - self.users.keys())
        names -= {str(user.get("display_name")) for user in self.users.values()}
        if not ids and not names:
            return
        wanted = {
            "$or": [
                {"_id": {"$in": forms_of(ids)}},
                {"display_name": {"$in": sorted(names)}},
            ]
        }
        found = self._db[USERS].find(wanted, HIDDEN_USER_FIELDS)
        self.users.update({id_key(user["_id"]): without_blanks(user) for user in found})

    def members_of(self, package: Item) -> dict[str, Document]:
        """Return the published members of a package by id, each in the version that is in it.

        Two commands, once for all packages of the batch.

        Raises:
            ServerError: a member is not published in that version.
        """
        members = self.published_members_of(package)
        for member, _version in _member_versions(package):
            if member not in members:
                text = MISSING_MEMBER.format(package=package.get("item_id"), member=member)
                raise ServerError(text)
        return members

    def published_members_of(self, package: Item) -> dict[str, Document]:
        """Return the members of a package that are published, as `members_of` does."""
        if self._members is None:
            self._members = self._published_members()
        return {
            member: self._members[member, version]
            for member, version in _member_versions(package)
            if (member, version) in self._members
        }

    def _published_members(self) -> dict[tuple[str, int | None], Document]:
        packages = self._packages
        wanted = {member for package in packages for member, _ in _member_versions(package)}
        rows = list(
            self._db[PUBLISHED]
            .find({"item_id": {"$in": sorted(wanted)}})
            .sort([("item_id", 1), ("publish_sequence_no", 1)])
        )
        self._load_details(rows)
        members: dict[tuple[str, int | None], Document] = {}
        for row in rows:
            # The last row counts where a package names no version.
            members[row["item_id"], None] = row
            members[row["item_id"], row.get("_current_version")] = row
        return members


def _member_versions(package: Item) -> Iterator[tuple[str, int | None]]:
    for ref in member_refs(package.get("groups")):
        if ref["residRef"]:
            yield str(ref["residRef"]), ref.get("_current_version")


def _with_associated(item: Item, levels: int = LEVELS) -> Iterator[Item]:
    yield item
    if levels > 1:
        for _key, held in associations_of(item):
            yield from _with_associated(held, levels - 1)


def _ids_in(documents: Iterable[Item], field: str) -> set[str]:
    return {str(document[field]) for document in documents if document.get(field)}


def published_item(row: Item, profile: Mapping[str, Any] | None) -> Document:
    """Return the item as formats see it: under its own id, trimmed to its content profile.

    Texts that show nothing are left out.
    """
    schema = (profile or {}).get("schema") or {}
    item = without_blanks(
        {
            name: value
            for name, value in row.items()
            if not (profile and name in SWITCHABLE_FIELDS and schema.get(name) is None)
        }
    )
    item["_id"] = row["item_id"]
    if item.get("associations"):
        item["associations"] = {
            key: _without_null_renditions(value) for key, value in item["associations"].items()
        }
    return item


def without_blanks(document: Document) -> Document:
    """Return a document without texts of blanks only, at any depth: they count as missing.

    Empty texts stay, and so do texts that are the content itself. What holds none is returned as
    it is.
    """
    return _without_blanks(document) if _has_blanks(document) else document


def _has_blanks(document: Mapping[Any, Any]) -> bool:
    for name, value in document.items():
        if isinstance(value, str):
            # Nearly all texts begin with a letter, a digit or a tag.
            if value and not (value[0].isalnum() or value[0] == "<") and _is_left_out(name, value):
                return True
        elif isinstance(value, dict):
            if name not in KEPT_AS_THEY_ARE and _has_blanks(value):
                return True
        elif isinstance(value, list) and value and _has_blanks(dict(enumerate(value))):
            return True
    return False


def _without_blanks(document: Mapping[Any, Any]) -> dict[Any, Any]:
    return {
        name: value if name in KEPT_AS_THEY_ARE else _deeply_without_blanks(value)
        for name, value in document.items()
        if not _is_left_out(name, value)
    }


def _deeply_without_blanks(value: Any) -> Any:
    if isinstance(value, dict):
        return _without_blanks(value)
    if isinstance(value, list):
        return list(_without_blanks(dict(enumerate(value))).values())
    return value


def _is_left_out(name: Any, value: Any) -> bool:
    is_text = isinstance(value, str) and value != ""
    return is_text and name not in KEPT_AS_THEY_ARE and is_blank(value)


def _by_id_without_blanks(documents: Mapping[str, Document]) -> dict[str, Document]:
    return {id_: without_blanks(document) for id_, document in documents.items()}


def _without_null_renditions(association: Any) -> Any:
    if not isinstance(association, Mapping) or not association.get("renditions"):
        return association
    renditions = {k: v for k, v in association["renditions"].items() if v is not None}
    return {**association, "renditions": renditions}


# Media that are sent again (routing contract 8.6). A recipient of a story may lack its pictures:
# they came before it was a subscriber, or before it had a product for them.

FOLLOWING = (Operation.CORRECT, Operation.BEING_CORRECTED)
LIVE = (State.PUBLISHED, State.CORRECTED, State.BEING_CORRECTED)


class MediaResend(StrEnum):
    """Setting PUBLISH_ASSOCIATIONS_RESEND: with what associated media are sent again."""

    NEW = "new"
    """New stories, not their corrections and updates."""
    UPDATES = "updates"
    """New stories and their updates."""
    CORRECTIONS = "corrections"
    """Everything but withdrawals."""


def is_due(item: Item, when: Any) -> bool:
    """Whether associated media are sent with this version of an item.

    Args:
        when: see `MediaResend`; anything else is never.
    """
    if item.get("operation") in WITHDRAWING_OPERATIONS:
        return False
    is_correction = item.get("operation") in FOLLOWING
    if when == MediaResend.CORRECTIONS:
        return True
    if when == MediaResend.UPDATES:
        return not is_correction
    return bool(when == MediaResend.NEW and not is_correction and not item.get("rewrite_of"))


def media_ids(item: Item) -> Iterator[str]:
    """Yield the ids of associated media that did not go out with the item anyway, each once."""
    seen = set()
    for _key, held in associations_of(item):
        is_ours = held.get("_fetchable") is not False and held.get("type") in MEDIA_TYPES
        id_ = held.get("_id")
        if is_ours and isinstance(id_, str) and not held.get("is_queued") and id_ not in seen:
            seen.add(id_)
            yield id_


class AssociatedMedia:
    """The media that are sent again with the items of one batch.

    Args:
        rows: newest published row of each, by item id.
        when: setting PUBLISH_ASSOCIATIONS_RESEND.
    """

    def __init__(self, rows: Mapping[str, Document], when: Any) -> None:
        self.rows = rows
        self._when = when

    @classmethod
    def load(cls, db: Database[Document], items: Iterable[Item], when: Any) -> "AssociatedMedia":
        """Read the media of `items`; one command, none where there are none."""
        due = [item for item in items if is_due(item, when)]
        wanted = sorted({media for item in due for media in media_ids(item)})
        newest: dict[str, Document] = {}
        if wanted:
            last = {"item_id": {"$in": wanted}, "last_published_version": True}
            for row in db[PUBLISHED].find(last).sort("publish_sequence_no", 1):
                newest[row["item_id"]] = row
        return cls(newest, when)

    def of(self, item: Item) -> Iterator[Document]:
        """Yield the published rows to send to the recipients of `item`.

        Media of which something newer is about to go out are left out, and those that were
        published by the same action as the item.
        """
        if not is_due(item, self._when):
            return
        mark = {"item_id": item["item_id"], "version": item.get("_current_version")}
        for media in media_ids(item):
            row = self.rows.get(media)
            if row is None or row.get("state") not in LIVE or row.get("published_with") == mark:
                continue
            if (row.get("publish_sequence_no") or 0) < (item.get("publish_sequence_no") or 0):
                yield row

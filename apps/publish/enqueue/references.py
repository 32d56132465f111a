"""The documents that formats read besides the item: for all items of a batch at once."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from pymongo.database import Database

from apps.core.errors import ServerError
from apps.core.ids import object_id
from apps.core.service import Document
from apps.core.vocabulary import ItemType, State
from apps.publish.enqueue.matching import RoutingRules
from apps.store.collections import PUBLISHED, USERS

Item = Mapping[str, Any]

VOCABULARIES = ("rightsinfo", "locators", "job_titles", "crop_sizes")
"""Vocabularies that formats read."""

OUT = frozenset({State.PUBLISHED, State.CORRECTED, State.CORRECTION, State.BEING_CORRECTED})
"""States in which an item may be shown as related to another one."""

STANDARD_FIELDS = frozenset(
    {"usageterms", "keywords", "slugline", "genre", "anpa_take_key", "priority", "urgency"}
    | {"anpa_category", "subject", "company_codes", "ednote", "headline", "abstract", "byline"}
    | {"dateline", "body_html", "body_footer", "sign_off", "media_description", "sms", "footer"}
    | {"feature_media", "relatedItems"}
)
"""Fields that a content profile can switch off. Whatever is not among them is always sent."""

RELATED_CONTENT = "related_content"
HIDDEN_USER_FIELDS = {"password": 0, "session_preferences": 0}
LEVELS = 2
"""An item, and what is associated with it."""

MISSING_MEMBER = "Can not find package {package} published item {member}"


class Lookups:
    """What formatters are handed, so that they need no store.

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
            name: [i for i in by_id[name].get("items") or () if i.get("is_active", True)]
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
        references = {str(held["_id"]) for item in items for _, held in self.references(item)}
        found = self._found("archive", references)
        related = {id_: item for id_, item in found.items() if item.get("state") in OUT}
        self.related |= related
        self._not_out |= found.keys() - related.keys()
        self._load_references([*items, *related.values()])

    def references(self, item: Item) -> Iterator[tuple[str, Item]]:
        """Yield key and association of what only names an item of the archive."""
        for key, held in associations_of(item):
            field = self.vocabulary_fields.get(key.partition("--")[0], {})
            is_related = "--" in key and field.get("field_type") == RELATED_CONTENT
            if is_related and held.get("_type") is None and held.get("_id"):
                yield key, held

    def trimmed(self, row: Item) -> Document:
        """Return a published row as formats see it (formats contract 1.5 step 1).

        It stands under the item's own id, has the fields that its content profile enables, and
        names no related items that are not out: the editor was told that they will not be sent.
        """
        item = published_item(row, self.profiles.get(str(row.get("profile"))))
        unsent = {key for key, held in self.references(item) if str(held["_id"]) in self._not_out}
        if unsent:
            held = item["associations"]
            item["associations"] = {key: held[key] for key in held if key not in unsent}
        return item

    def _load_references(self, items: Sequence[Item]) -> None:
        everything = [each for item in items for each in _with_associated(item)]
        self.profiles |= self._found("content_types", _texts(everything, "profile"))
        self.assignments |= self._found("assignments", _texts(everything, "assignment_id"))
        references = [r for each in everything for r in _objects(each, "attachments")]
        self.attachments |= self._found("attachments", _texts(references, "attachment"))
        self._load_users([author for each in everything for author in _objects(each, "authors")])

    def _found(self, collection: str, ids: set[str]) -> dict[str, Document]:
        """Return documents by id as text; no command where all of them were asked for before."""
        asked = self._asked.setdefault(collection, set())
        wanted = sorted(ids - asked)
        if not wanted:
            return {}
        asked.update(wanted)
        # An id may be stored as text that looks like an ObjectId, in profiles for example.
        either = list(dict.fromkeys([*wanted, *(object_id(id_) for id_ in wanted)]))
        found = self._db[collection].find({"_id": {"$in": either}})
        return {str(document["_id"]): document for document in found}

    def _load_users(self, authors: Sequence[Item]) -> None:
        parents = {str(author["parent"]) for author in authors if author.get("parent")}
        names = {str(a["name"]) for a in authors if a.get("name") and not a.get("parent")}
        ids = sorted(parents - self.users.keys())
        names -= {str(user.get("display_name")) for user in self.users.values()}
        if not ids and not names:
            return
        wanted = {
            "$or": [
                {"_id": {"$in": [object_id(id_) for id_ in ids]}},
                {"display_name": {"$in": sorted(names)}},
            ]
        }
        found = self._db[USERS].find(wanted, HIDDEN_USER_FIELDS)
        self.users.update({str(user["_id"]): user for user in found})

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
        self._load_references(rows)
        members: dict[tuple[str, int | None], Document] = {}
        for row in rows:
            # The last row counts where a package names no version.
            members[row["item_id"], None] = row
            members[row["item_id"], row.get("_current_version")] = row
        return members


def associations_of(item: Item) -> Iterator[tuple[str, Item]]:
    """Yield key and association of all that `item` holds; what has another shape is left out.

    Items may have been stored by others, and one of them must not stop a whole batch.
    """
    held = item.get("associations")
    if held and isinstance(held, Mapping):
        yield from ((str(key), each) for key, each in held.items() if isinstance(each, Mapping))


def _member_versions(package: Item) -> Iterator[tuple[str, int | None]]:
    for group in _objects(package, "groups"):
        for ref in _objects(group, "refs"):
            if ref.get("residRef"):
                yield str(ref["residRef"]), ref.get("_current_version")


def _with_associated(item: Item, levels: int = LEVELS) -> Iterator[Item]:
    yield item
    if levels > 1:
        for _key, held in associations_of(item):
            yield from _with_associated(held, levels - 1)


def _texts(documents: Iterable[Item], field: str) -> set[str]:
    return {str(document[field]) for document in documents if document.get(field)}


def _objects(item: Item, field: str) -> list[Item]:
    value = item.get(field)
    members = value if isinstance(value, list) else ()
    return [entry for entry in members if isinstance(entry, Mapping)]


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

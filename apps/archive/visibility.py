"""Who may see an item: the one place that decides, for every way to an item.

An item on a stage that is hidden from a user (`invisible_stages`, resources contract 8) does not
exist for that user, neither in lists nor by its id, administrators included. A personal item, one
without a desk that has not been out, is in the lists, searches, events, exports and autosaves of
its users alone; by its id everybody may read it (resources contract 9.1). The system sees
everything.

The rule is here as a predicate, as a query of lists, and as the audience of events. A test holds
them to the same answer.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bson import ObjectId
from pymongo.database import Database

from apps.core.caller import Caller
from apps.core.documents import object_of
from apps.core.errors import Forbidden
from apps.core.ids import id_forms
from apps.core.notifier import Audience, Viewpoint
from apps.core.service import Document
from apps.core.vocabulary import PUBLISH_STATES
from apps.store.collections import ARCHIVE, MEDIA_REFERENCES

NOT_READABLE = "User does not have permissions to read the item."
OF_ANOTHER_USER = "Item belongs to another user."

CREATORS = ("original_creator", "version_creator")
FIELDS = ("task", "state", *CREATORS)
"""Fields of an item that the rule looks at."""

NOTHING = (None, "")
OUT = tuple(sorted(PUBLISH_STATES))
"""States in which an item without a desk is everybody's: it has been published, or will be."""


# The rule.


def hidden_stages(caller: Caller) -> Sequence[Any]:
    """Return the ids of the stages that are hidden from the caller, in each of their forms.

    Superdesk stores them with users as texts; items name their stages by either.
    """
    stages = (caller.user or {}).get("invisible_stages") or ()
    return [form for id_ in stages for form in id_forms(id_)]


def may_read(item: Mapping[str, Any], caller: Caller) -> bool:
    """Whether the caller may read the item by its id."""
    return task_of(item).get("stage") not in hidden_stages(caller)


def may_see(item: Mapping[str, Any], caller: Caller) -> bool:
    """Whether the item is in the lists of the caller."""
    if not may_read(item, caller):
        return False
    return caller.user is None or not is_personal(item) or str(caller.user_id) in users_of(item)


def is_personal(item: Mapping[str, Any]) -> bool:
    """Whether the item is its users' own: on no desk, and neither out nor scheduled.

    An item that nobody has written, such as one that a command imported, is everybody's.
    """
    is_placeless = task_of(item).get("desk") in NOTHING and item.get("state") not in OUT
    return is_placeless and bool(users_of(item))


def users_of(item: Mapping[str, Any]) -> set[str]:
    """Return the ids of the users whose own a personal item is: its holder and its writers."""
    named = (task_of(item).get("user"), *(item.get(field) for field in CREATORS))
    return {str(id_) for id_ in named if id_ not in NOTHING}


def task_of(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return desk, stage and user of an item; nothing where the item has no such thing."""
    return object_of(item, "task")


# By id.


def check_may_read(item: Mapping[str, Any], caller: Caller) -> None:
    """Refuse an item that the caller may not read (lifecycle contract 0.2).

    Raises:
        Forbidden: it is on a stage that is hidden from the caller.
    """
    if not may_read(item, caller):
        raise Forbidden(NOT_READABLE)


def check_may_see(item: Mapping[str, Any], caller: Caller) -> None:
    """Refuse an item that is not in the caller's lists.

    Raises:
        Forbidden: it is on a stage that is hidden from the caller, or another user's own.
    """
    check_may_read(item, caller)
    if not may_see(item, caller):
        raise Forbidden(OF_ANOTHER_USER)


def check_found(db: Database[Document], document: Mapping[str, Any], caller: Caller) -> None:
    """Refuse an item of `archive` that was read by its id, perhaps with some of its fields only.

    Costs a command where these leave the place of the item out, for callers from whom a stage is
    hidden.

    Raises:
        Forbidden: as `check_may_read`.
    """
    if not hidden_stages(caller):
        return
    if "task" in document:
        check_may_read(document, caller)
    else:
        check_may_read_ids(db, [document["_id"]], caller)


def check_may_read_ids(db: Database[Document], ids: Iterable[Any], caller: Caller) -> None:
    """Refuse a request that names items which the caller may not read.

    One command for callers from whom a stage is hidden, none for all others. What names no item of
    `archive` is let through.

    Raises:
        Forbidden: as `check_may_read`.
    """
    hidden, wanted = hidden_stages(caller), [id_ for id_ in ids if isinstance(id_, str)]
    if not hidden or not wanted:
        return
    query = {"_id": {"$in": wanted}, "task.stage": {"$in": list(hidden)}}
    if db[ARCHIVE].find_one(query, {"_id": 1}):
        raise Forbidden(NOT_READABLE)


def check_may_see_id(db: Database[Document], item_id: Any, caller: Caller) -> None:
    """Refuse an item by its id as `check_may_see` does; one command. One that is gone is no secret.

    Raises:
        Forbidden: as `check_may_see`.
    """
    if caller.user is not None:
        item = db[ARCHIVE].find_one({"_id": item_id}, dict.fromkeys(FIELDS, 1))
        check_may_see(item or {}, caller)


def check_may_read_media(db: Database[Document], media_id: str, caller: Caller) -> None:
    """Refuse a binary of which all items are hidden from the caller.

    Two commands for callers from whom a stage is hidden, none for all others. What belongs to no
    item, or to one that is gone, is let through.

    Raises:
        Forbidden: as `check_may_read`.
    """
    if not hidden_stages(caller):
        return
    references = db[MEDIA_REFERENCES].find({"media_id": media_id}, {"item_id": 1})
    ids = {reference["item_id"] for reference in references}
    items = list(db[ARCHIVE].find({"_id": {"$in": sorted(ids)}}, {"task": 1})) if ids else []
    if items and not any(may_read(item, caller) for item in items):
        raise Forbidden(NOT_READABLE)


# Lists. Eve changes lists inside of the queries that it gets, in place: they are made anew for
# each, and hold no null, of which it makes an id.


def readable(query: Document, caller: Caller, stage: str = "task.stage") -> Document:
    """Return the query of a list without what is on stages that are hidden from the caller.

    For rows that have been published, which are nobody's own.

    Args:
        stage: the field with the stage.
    """
    hidden = hidden_stages(caller)
    return both(query, {stage: {"$nin": texts(hidden)}}) if hidden else query


def visible(query: Document, caller: Caller) -> Document:
    """Return the query of a list of items without what the caller may not see."""
    if caller.user is None:
        return query
    own = own_items(caller)
    ownerless = {"$nor": [{field: something()} for field in ("task.user", *CREATORS)]}
    not_of_others: Document = {
        "$or": [{"task.desk": something()}, {"state": {"$in": list(OUT)}}, *own, ownerless]
    }
    return both(readable(query, caller), not_of_others)


def something() -> Document:
    """Return the condition that a field names something."""
    return {"$ne": None, "$nin": [""]}


def own_items(caller: Caller) -> list[Document]:
    """Return the conditions of which one holds for the items that are the caller's own."""
    own = {"$in": id_forms(caller.user_id)}
    return [{field: own} for field in ("task.user", *CREATORS)]


def both(first: Document, second: Document) -> Document:
    """Return the query for what both find; neither may take a condition of the other away."""
    return {"$and": [first, second]} if first else second


class HiddenItems:
    """The items that a caller may not see, for lists of what belongs to items and does not tell.

    Args:
        db: the database.
        source: the collection of the items.
        stage: its field with the stage of an item.
    """

    def __init__(
        self, db: Database[Document], source: str = ARCHIVE, stage: str = "task.stage"
    ) -> None:
        self._db = db
        self._source = source
        self._stage = stage

    def without_unreadable(self, query: Document, field: str, caller: Caller) -> Document:
        """Return the query of a list without what belongs to items on hidden stages.

        One command for callers from whom a stage is hidden, none for all others.

        Args:
            field: names the item.
        """
        hidden = hidden_stages(caller)
        if not hidden:
            return query
        return self._without(query, field, {self._stage: {"$in": list(hidden)}})

    def without_unseen(self, query: Document, field: str, caller: Caller) -> Document:
        """Return the query of a list without what belongs to items that the caller may not see.

        One command.

        Args:
            field: names the item.
        """
        if caller.user is None:
            return query
        own = own_items(caller)
        of_others: Document = {
            "task.desk": {"$in": list(NOTHING)},
            "state": {"$nin": list(OUT)},
            "$nor": own,
            "$or": [{name: something()} for name in ("task.user", *CREATORS)],
        }
        on_stages = {self._stage: {"$in": list(hidden_stages(caller))}}
        branches = [on_stages, of_others] if hidden_stages(caller) else [of_others]
        return self._without(query, field, {"$or": branches})

    def check(self, item_id: Any, caller: Caller) -> None:
        """Refuse an item as `check_may_see_id` does.

        Raises:
            Forbidden: the caller may not see it.
        """
        check_may_see_id(self._db, item_id, caller)

    def _without(self, query: Document, field: str, hidden: Document) -> Document:
        ids = [item["_id"] for item in self._db[self._source].find(hidden, {"_id": 1})]
        return both(query, {field: {"$nin": texts(ids)}}) if ids else query


def texts(ids: Iterable[Any]) -> list[Any]:
    """Return ids as the queries of lists compare with them: Eve takes some texts for ObjectIds."""
    return [
        re.compile(f"^{id_}$") if isinstance(id_, str) and ObjectId.is_valid(id_) else id_
        for id_ in ids
    ]


# Events.


def audience(*items: Iterable[Mapping[str, Any]]) -> Audience:
    """Return who may be told of something about items.

    Args:
        items: each item in the forms that the event is about, such as before and after a change.
            Who sees one of its forms may be told of it, but only who sees every item of all.
    """
    entries = [[viewpoint(form) for form in forms] for forms in items]
    return [forms for forms in entries if forms and {} not in forms]


def audience_of_write(document: Document, original: Document | None) -> Audience:
    """Return who may be told that an item was written, as `ResourceService.audience` does."""
    before = original or {}
    return audience([{**before, **document}, before] if before else [document])


def audience_of_id(db: Database[Document], item_id: Any) -> Audience:
    """Return who may be told of something about an item that is not at hand; one command."""
    item = db[ARCHIVE].find_one({"_id": item_id}, dict.fromkeys(FIELDS, 1))
    return audience([item or {}])


def viewpoint(item: Mapping[str, Any]) -> Viewpoint:
    """Return who sees the item: its stage, and its users where it is their own."""
    point: Viewpoint = {}
    if stage := task_of(item).get("stage"):
        point["stage"] = str(stage)
    if is_personal(item):
        point["users"] = sorted(users_of(item))
    return point

"""Which items have to go together (lifecycle contract 5.14).

An item waits for those it is connected with: a package and its members for each other, a story and
its updates for each other, broadcast items, and media for the items that use it.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from pymongo.database import Database

from apps.archive.associations import associations_with_ids
from apps.archive.broadcasts import may_have_scripts
from apps.archive.packages import member_refs, package_ids
from apps.core.documents import object_of
from apps.core.service import Document
from apps.core.vocabulary import MEDIA_TYPES, State
from apps.store.collections import ARCHIVE


class Connections:
    """A batch of items with everything that they are connected with.

    Args:
        db: the database.
        batch: the items to start from.

    Attributes:
        items: all of them by id.
    """

    def __init__(self, db: Database[Document], batch: Iterable[Document]) -> None:
        self._db = db
        self.items: dict[str, Document] = {item["_id"]: item for item in batch}
        self._edges: dict[str, set[str]] = {}
        self._users: dict[str, set[str]] = {}
        new = list(self.items)
        while new:
            new = self._follow(new)

    def group(self, item_id: str) -> set[str]:
        """Return the ids of the items that have to go with `item_id`, itself included."""
        reached: set[str] = set()
        waiting = [item_id]
        while waiting:
            reached.add(current := waiting.pop())
            waiting.extend(self._edges.get(current, set()) - reached)
        return {id_ for id_ in reached if id_ in self.items}

    def users(self, item_id: str) -> set[str]:
        """Return the ids of the items that hold `item_id` in their associations."""
        return self._users.get(item_id, set())

    def _follow(self, ids: list[str]) -> list[str]:
        """Note what `ids` are connected with; return the items that are seen for the first time."""
        items = [self.items[id_] for id_ in ids]
        self._users.update(self._users_of([i["_id"] for i in items if may_be_associated(i)]))
        scripts = self._scripts_of([i["_id"] for i in items if may_have_scripts(i)])
        for item in items:
            own = linked_ids(item) | scripts.get(item["_id"], set())
            self._edges[item["_id"]] = own | self.users(item["_id"])
        wanted = set().union(*(self._edges[id_] for id_ in ids)) - set(self.items)
        found = list(self._db[ARCHIVE].find({"_id": {"$in": sorted(wanted)}}))
        self.items.update({item["_id"]: item for item in found})
        return [item["_id"] for item in found]

    def _scripts_of(self, ids: list[str]) -> dict[str, set[str]]:
        """Return the broadcast scripts of each of `ids`; one command, none without ids."""
        if not ids:
            return {}
        named = {"broadcast.master_id": {"$in": ids}}
        scripts: dict[str, set[str]] = {}
        for script in self._db[ARCHIVE].find(named, {"broadcast.master_id": 1}):
            scripts.setdefault(script["broadcast"]["master_id"], set()).add(script["_id"])
        return scripts

    def _users_of(self, ids: list[str]) -> dict[str, set[str]]:
        """Return the users of each of `ids`; one command, none without ids."""
        if not ids:
            return {}
        # The server writes `refs` whenever it writes associations, whose keys no index can name.
        found = self._db[ARCHIVE].find({"refs._id": {"$in": ids}}, {"associations": 1})
        users: dict[str, set[str]] = {}
        for item in found:
            for _key, held in associations_with_ids(item):
                users.setdefault(held["_id"], set()).add(item["_id"])
        return users


def may_be_associated(item: Mapping[str, Any]) -> bool:
    """Whether other items that hold `item` in their associations keep it from going."""
    return item.get("type") in MEDIA_TYPES or item.get("state") == State.SPIKED


def linked_ids(item: Mapping[str, Any]) -> set[str]:
    """Return the ids of the items that `item` itself names."""
    broadcast = object_of(item, "broadcast")
    named = [
        item.get("rewrite_of"),
        item.get("rewritten_by"),
        broadcast.get("master_id"),
        broadcast.get("rewrite_id"),
        *package_ids(item),
        *(ref["residRef"] for ref in member_refs(item.get("groups"))),
    ]
    return {id_ for id_ in named if id_ and isinstance(id_, str)}

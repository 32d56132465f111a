"""Who may see the items of a stage: `is_visible` and the members of its desk."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any

from pymongo import UpdateOne
from pymongo.database import Database

from apps.core.documents import objects_of
from apps.core.ids import id_forms, id_key
from apps.core.notifier import Notifier
from apps.core.service import Document
from apps.notifications.viewers import VISIBILITY_EVENT
from apps.store.collections import DESKS, STAGES, USERS


class StageVisibility:
    """Keeps `invisible_stages` of users, which spares reads of items a look at desks.

    Args:
        db: the database.
        notifier: tells the websocket process.
    """

    def __init__(self, db: Database[Document], notifier: Notifier) -> None:
        self._db = db
        self._notifier = notifier

    def recompute(self, user_ids: Collection[Any] | None = None) -> Mapping[Any, list[Any]]:
        """Set `invisible_stages` of the users, of all users when None; return them by user.

        Invisible are stages that are not visible, on desks that the user is not a member of
        (resources contract 8 rule 7). Etags of users stay as they are.
        """
        hidden = list(self._db[STAGES].find({"is_visible": False}, {"desk": 1}))
        members = self._members([stage.get("desk") for stage in hidden])
        forms = [form for id_ in user_ids or () for form in id_forms(id_)]
        wanted = {} if user_ids is None else {"_id": {"$in": forms}}
        found: dict[Any, list[Any]] = {}
        changes, changed = [], {}
        for user in self._db[USERS].find(wanted, {"invisible_stages": 1}):
            key = id_key(user["_id"])
            stages = [s["_id"] for s in hidden if key not in members[id_key(s.get("desk"))]]
            found[user["_id"]] = stages
            if stages != user.get("invisible_stages"):
                change = {"$set": {"invisible_stages": stages}}
                changes.append(UpdateOne({"_id": user["_id"]}, change))
                changed[str(user["_id"])] = list(map(str, stages))
        if changes:
            self._db[USERS].bulk_write(changes, ordered=False)
        if changes or user_ids is None:
            all_hidden = [str(stage["_id"]) for stage in hidden]
            self._notifier.push(VISIBILITY_EVENT, users=changed, stages=all_hidden)
        return found

    def _members(self, desk_ids: Collection[Any]) -> Mapping[str, set[str]]:
        """Return the members of desks; both by the texts of their ids, whatever form these have."""
        members: dict[str, set[str]] = defaultdict(set)
        forms = [form for id_ in desk_ids for form in id_forms(id_)]
        for desk in self._db[DESKS].find({"_id": {"$in": forms}}, {"members": 1}):
            users = {id_key(member.get("user")) for member in objects_of(desk, "members")}
            members[id_key(desk["_id"])] |= users
        return members

"""Who may see the items of a stage: `is_visible` and the members of its desk."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any

from pymongo import UpdateOne
from pymongo.database import Database

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

    def recompute(self, user_ids: Collection[Any] | None = None) -> None:
        """Set `invisible_stages` of the users, of all users when None.

        Invisible are stages that are not visible, on desks that the user is not a member of
        (resources contract 8 rule 7). Etags of users stay as they are.
        """
        hidden = list(self._db[STAGES].find({"is_visible": False}, {"desk": 1}))
        members = self._members({stage.get("desk") for stage in hidden})
        wanted = {} if user_ids is None else {"_id": {"$in": list(user_ids)}}
        changes, changed = [], {}
        for user in self._db[USERS].find(wanted, {"invisible_stages": 1}):
            stages = [s["_id"] for s in hidden if user["_id"] not in members[s.get("desk")]]
            if stages != user.get("invisible_stages"):
                change = {"$set": {"invisible_stages": stages}}
                changes.append(UpdateOne({"_id": user["_id"]}, change))
                changed[str(user["_id"])] = list(map(str, stages))
        if changes:
            self._db[USERS].bulk_write(changes, ordered=False)
        if changes or user_ids is None:
            all_hidden = [str(stage["_id"]) for stage in hidden]
            self._notifier.push(VISIBILITY_EVENT, users=changed, stages=all_hidden)

    def _members(self, desk_ids: Collection[Any]) -> Mapping[Any, set[Any]]:
        members: dict[Any, set[Any]] = defaultdict(set)
        for desk in self._db[DESKS].find({"_id": {"$in": list(desk_ids)}}, {"members": 1}):
            members[desk["_id"]] = {member.get("user") for member in desk.get("members") or ()}
        return members

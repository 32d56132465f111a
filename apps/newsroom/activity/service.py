"""Activities as users read them (resources contract 22.1)."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any, Protocol

from pymongo.database import Database

from apps.core import json
from apps.core.caller import Caller
from apps.core.clock import Clock
from apps.core.documents import objects_of
from apps.core.errors import Forbidden
from apps.core.service import Document, ResourceService

SHOWN = timedelta(days=1)

NOT_LISTED = "User is not in the notification list"
NOT_UNREAD = "Can not set notification as read"
NOT_OTHERS = "Can not set other users notification as read"
NOT_MORE = "Can not update"

STAMPS = frozenset({"_updated", "_etag"})


class UnseenItems(Protocol):
    """The items that a caller may not see."""

    def without_unseen(self, query: Document, field: str, caller: Caller) -> Document:
        """Return the query of a list without what belongs to such items; `field` names them."""
        ...

    def check(self, item_id: Any, caller: Caller) -> None:
        """Refuse such an item by raising."""
        ...


class ActivityService(ResourceService):
    """Rows of the last day; a recipient may mark them as read, once.

    What is not addressed to a user is shown as far as the user sees the item that it is about.

    Args:
        hidden: the items that a caller may not see.
    """

    resource = "activity"

    def __init__(self, db: Database[Document], clock: Clock, hidden: UnseenItems) -> None:
        super().__init__(db, clock)
        self._hidden = hidden

    def list_filter(self, lookup: Document, caller: Caller) -> Document:
        """Leave out what is older than a day, hidden, or what another user did in private."""
        query = {**lookup, "_created": {"$gte": self.clock.now() - SHOWN}}
        wanted = wanted_user(caller.arguments.get("where"))
        if wanted is not None and wanted != str(caller.user_id):
            query["$nor"] = [{"resource": "archive", "desk": None}]
        if not_hidden := self._hidden.without_unseen({}, "item", caller):
            query["$or"] = [{"recipients.user_id": caller.user_id}, not_hidden]
        return query

    def on_found(self, document: Document, caller: Caller) -> None:
        # The client may have asked for other fields.
        whole = {"item", "recipients"} <= document.keys()
        activity = document if whole else self.find(document["_id"])
        if str(caller.user_id) not in marks_of(activity) and activity.get("item"):
            self._hidden.check(activity["item"], caller)

    def on_update(self, updates: Document, original: Document, caller: Caller) -> None:
        """Let users mark their own entry as read, and nothing else.

        Raises:
            Forbidden: the request does anything else.
        """
        before, after = marks_of(original), marks_of(updates)
        own = str(caller.user_id)
        if own not in before or own not in after:
            raise Forbidden(NOT_LISTED)
        if before[own] and not after[own]:
            raise Forbidden(NOT_UNREAD)
        if {**before, own: True} != {**after, own: True}:
            raise Forbidden(NOT_OTHERS)
        if updates.keys() - STAMPS != {"recipients"}:
            raise Forbidden(NOT_MORE)
        # Of several users at once, each changes the entry of their own only.
        updates["recipients"] = [
            {**entry, "read": entry.get("read") or (key_of(entry) == own and after[own])}
            for entry in objects_of(original, "recipients")
        ]


def marks_of(activity: Mapping[str, Any]) -> dict[str, bool]:
    """Return who has read it: user, or desk, to whether it is read."""
    return {key_of(entry): bool(entry.get("read")) for entry in objects_of(activity, "recipients")}


def key_of(entry: Mapping[str, Any]) -> str:
    """Return the id of the user, or desk, that an entry of the recipients is for."""
    return str(entry.get("user_id") or entry.get("desk_id"))


def wanted_user(where: str | None) -> str | None:
    """Return the user whose activities the `where` of a list asks for, None when it is not said."""
    with suppress(ValueError):
        query = json.loads(where or "")
        if isinstance(query, Mapping) and query.get("user"):
            return str(query["user"])
    return None

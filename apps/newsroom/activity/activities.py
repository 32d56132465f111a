"""New rows of `activity`, and the users whom they are for (resources contract 22.1)."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo.database import Database

from apps.core.documents import object_of
from apps.core.notifier import Notifier, Viewpoint
from apps.core.service import Document, new_etag
from apps.core.vocabulary import UserType
from apps.store.collections import ACTIVITY, ARCHIVE, USERS

CONTACT = dict.fromkeys(("display_name", "username", "email", "is_active", "user_preferences"), 1)
"""Fields that say how a user is reached."""
EMAIL_PREFERENCE = "email:notification"


def new_activity(
    name: str,
    message: str,
    *,
    now: datetime,
    recipients: Iterable[ObjectId],
    item: Mapping[str, Any] | None = None,
    user: Mapping[str, Any] | None = None,
    resource: str = "archive",
    **data: Any,
) -> Document:
    """Return a row that tells `recipients` something; none of them has read it.

    Args:
        name: what kind of thing happened, as clients know it (`error`).
        message: text with `{{ name }}` where a value of `data` belongs.
        recipients: ids of users.
        item: the item that it is about; of a published row, its item.
        user: who did it; None for the system.
        resource: what the item is a document of.
        data: values for the message.
    """
    item, user = item or {}, user or {}
    called = item.get("slugline") or item.get("headline") or item.get("unique_name")
    return {
        "_id": ObjectId(),
        "name": name,
        "message": message,
        "data": data,
        "recipients": [{"user_id": id_, "read": False} for id_ in dict.fromkeys(recipients)],
        "item": str(item.get("item_id") or item.get("_id") or "") or None,
        "item_slugline": called,
        "desk": object_of(item, "task").get("desk"),
        "resource": resource,
        "user": user.get("_id"),
        "user_name": user.get("display_name") or user.get("username"),
        "_created": now,
        "_updated": now,
        "_etag": new_etag(),
    }


def activities_in(note: Mapping[str, Any]) -> list[Document]:
    """Return the activities among the follow-ups of a journalled write."""
    return [
        write["insert"]
        for write in note.get("follow_ups") or ()
        if write["in"] == ACTIVITY and "insert" in write
    ]


def tell_activities(
    notifier: Notifier,
    activities: Iterable[Mapping[str, Any]],
    seen_by: Iterable[Viewpoint] | None = None,
) -> None:
    """Tell clients of activities: `activity` with those whom they are for.

    Args:
        seen_by: who sees the items that they are about, and is told like their recipients; None
            where they are about no item, and everybody is told.
    """
    for activity in activities:
        shown = {name: value for name, value in activity.items() if name != "_etag"}
        own: Viewpoint = {"users": [str(entry["user_id"]) for entry in activity["recipients"]]}
        audience = [] if seen_by is None else [[own, viewpoint] for viewpoint in seen_by] or [[own]]
        notifier.push("activity", audience=audience, _dest=activity["recipients"], activity=shown)


def viewpoints_of(db: Database[Document], rows: Sequence[Mapping[str, Any]]) -> list[Viewpoint]:
    """Return who sees the items of `rows`, published ones or deliveries, for `tell_activities`.

    One command where rows do not tell the stages.
    """
    unknown = {str(row.get("item_id")) for row in rows if "task" not in row}
    query = {"_id": {"$in": sorted(unknown)}}
    items = db[ARCHIVE].find(query, {"task.stage": 1}) if unknown else ()
    stages = [object_of(known, "task").get("stage") for known in (*rows, *items)]
    return [{"stage": name} for name in sorted({str(stage) for stage in stages if stage})]


def filled(message: str, data: Mapping[str, Any]) -> str:
    """Return a message with the values of `data` in their places, on one line."""
    for name, value in data.items():
        message = message.replace(f"{{{{ {name} }}}}", str(value if value is not None else "-"))
    return " ".join(message.split())


def wants_mail(person: Mapping[str, Any]) -> bool:
    """Whether a user has an address and does not refuse mails."""
    preference = (person.get("user_preferences") or {}).get(EMAIL_PREFERENCE) or {}
    return bool(person.get("email")) and preference.get("enabled") is not False


def administrators(db: Database[Document]) -> list[Document]:
    """Return the administrators who are not switched off."""
    query = {"user_type": UserType.ADMINISTRATOR, "is_active": {"$ne": False}}
    return list(db[USERS].find(query, CONTACT).sort("_id", 1))

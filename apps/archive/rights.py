"""Who may work on an item: membership of its desk, its owner, its lock."""

from collections.abc import Mapping
from typing import Any

from pymongo.database import Database

from apps.core.caller import Caller
from apps.core.errors import Forbidden
from apps.core.service import Document
from apps.store.collections import DESKS

NOT_PERMITTED = "User does not have sufficient permissions."
NOT_A_MEMBER = "User is not a member of the desk."
NOT_READABLE = "User does not have permissions to read the item."
OF_ANOTHER_USER = "Item belongs to another user."


def is_member(db: Database[Document], desk_id: Any, caller: Caller) -> bool:
    """Whether the caller is a member of the desk; the system and administrators count as such."""
    if caller.user is None or caller.is_administrator:
        return True
    query = {"_id": desk_id, "members.user": caller.user_id}
    return db[DESKS].find_one(query, {"_id": 1}) is not None


def check_may_read(item: Mapping[str, Any], caller: Caller) -> None:
    """Refuse items on stages that are hidden from the caller (lifecycle contract 0.2).

    Raises:
        Forbidden: the item is on one.
    """
    hidden = (caller.user or {}).get("invisible_stages") or []
    if (item.get("task") or {}).get("stage") in hidden:
        raise Forbidden(NOT_READABLE)


def check_may_edit(db: Database[Document], item: Mapping[str, Any], caller: Caller) -> None:
    """Refuse who may not work on the item (lifecycle contract 3.7, lock).

    Raises:
        Forbidden: no privilege, not on the item's desk, or it is somebody else's own item.
    """
    if not caller.may("archive"):
        raise Forbidden(NOT_PERMITTED)
    task = item.get("task") or {}
    if task.get("desk"):
        if not is_member(db, task["desk"], caller):
            raise Forbidden(NOT_A_MEMBER)
    elif task.get("user") and caller.user and str(task["user"]) != str(caller.user_id):
        raise Forbidden(OF_ANOTHER_USER)


def check_may_send_to(db: Database[Document], desk_id: Any, caller: Caller) -> None:
    """Refuse who may not put items on a desk.

    Raises:
        Forbidden: neither the privilege `move` nor member of the desk.
    """
    if not caller.may("move") and not is_member(db, desk_id, caller):
        raise Forbidden(f"User is not member of desk: {desk_id}")


def is_locked_by_other(item: Mapping[str, Any], caller: Caller) -> bool:
    """Whether a user other than the caller has locked the item."""
    holder = item.get("lock_user")
    return bool(holder and caller.user and str(holder) != str(caller.user_id))

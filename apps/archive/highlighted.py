"""Items that are marked for a highlight, as members of its package (resources contract 13, 23)."""

from datetime import datetime, timedelta
from typing import Any

from pymongo.database import Database

from apps.archive.packages import MAIN, member_ids, ref_to
from apps.archive.visibility import visible
from apps.core.caller import Caller
from apps.core.documents import objects
from apps.core.errors import BadRequest
from apps.core.schemas import as_stored
from apps.core.service import Document
from apps.core.vocabulary import GONE_STATES
from apps.store.by_id import find_by_id
from apps.store.collections import ARCHIVE, HIGHLIGHTS

MOST = 200
"""Items that are put into a package at most."""


def fill_with_highlighted(
    db: Database[Document], package: Document, now: datetime, caller: Caller
) -> None:
    """Put the items that are marked for the package's `highlight` into its main group, in place.

    Those that the package holds already stay where they are. How old they may be is said by
    `auto_insert` of the highlight.

    Args:
        db: the database.
        package: an item that is created, with its groups.
        now: time of its creation.
        caller: who creates it; only what the caller sees is put in.

    Raises:
        BadRequest: there is no such highlight.
    """
    highlight = find_by_id(db[HIGHLIGHTS], package["highlight"])
    if highlight is None:
        raise BadRequest(f"Highlight not found: {package['highlight']}")
    main = main_group(package.get("groups"))
    if main is None:
        return
    marked = {
        "highlights": as_stored(highlight["_id"]),
        "versioncreated": {"$gte": since(str(highlight.get("auto_insert") or "now/d"), now)},
        "state": {"$nin": list(GONE_STATES)},
    }
    known = set(member_ids(package["groups"]))
    found = (
        db[ARCHIVE]
        .find(visible(marked, caller))
        .sort([("versioncreated", -1), ("_id", 1)])
        .limit(MOST)
    )
    refs: list[Any] = main.setdefault("refs", [])
    refs.extend(ref_to(item) for item in found if item["_id"] not in known)


def main_group(groups: Any) -> Document | None:
    """Return the group that marked items go to; None where a client sent no such thing."""
    main = next((group for group in objects(groups) if group.get("id") == MAIN), None)
    return main if main and isinstance(main.get("refs", []), list) else None


def since(span: str, now: datetime) -> datetime:
    """Return when a span of time that ends now began.

    Args:
        span: `now-1h` to `now-24h`, `now/d` for today, `now/w` for this week from Monday.
        now: its end.
    """
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if span == "now/w":
        return midnight - timedelta(days=now.weekday())
    hours = span.removeprefix("now-").removesuffix("h")
    return now - timedelta(hours=int(hours)) if hours.isdigit() else midnight

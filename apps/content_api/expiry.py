"""Removes from the content API what has been there for long enough (routing contract 9)."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from pymongo.database import Database

from apps.core.clock import Clock
from apps.core.service import Document
from apps.core.stopping import ASKED
from apps.store.collections import API_AUDIT, ITEMS, ITEMS_VERSIONS

BATCH = 100
AUDIT_BATCH = 1000


class CopyExpiry:
    """Forgets chains of updates whose last change is long ago, each as a whole, and old audits.

    Args:
        db: the database of the content API.
        clock: source of time.
        settings: CONTENT_API_EXPIRY_DAYS, CONTENT_API_AUDIT_EXPIRY_DAYS.
    """

    def __init__(self, db: Database[Document], clock: Clock, settings: Mapping[str, Any]) -> None:
        self._db = db
        self._clock = clock
        self._days = settings["CONTENT_API_EXPIRY_DAYS"]
        self._audit_days = settings["CONTENT_API_AUDIT_EXPIRY_DAYS"]

    def run(self, days: float | None = None) -> int:
        """Remove what is older; return how many items went.

        Args:
            days: in the place of the setting for items; 0 removes none.
        """
        self._forget_audit()
        age = timedelta(days=self._days if days is None else days)
        if not age:
            return 0
        now = self._clock.now()
        return sum(self._remove(roots, age, now) for roots in self._old_roots(now - age))

    def _forget_audit(self) -> None:
        """Remove old rows of `api_audit`, a batch at a time."""
        if not self._audit_days:
            return
        audit = self._db[API_AUDIT]
        old = {"_created": {"$lte": self._clock.now() - timedelta(days=self._audit_days)}}
        while not ASKED.is_set():
            rows = list(audit.find(old, {"_id": 1}).sort("_created", 1).limit(AUDIT_BATCH))
            if not rows:
                return
            audit.delete_many({"_id": {"$in": [row["_id"] for row in rows]}})

    def _old_roots(self, limit: datetime) -> Iterator[list[Document]]:
        """Yield the items that chains begin with, and those without one, in batches."""
        query: Document = {"_updated": {"$lte": limit}, "ancestors.0": {"$exists": False}}
        while not ASKED.is_set():
            found = self._db[ITEMS].find(query, {"_updated": 1, "expiry": 1})
            roots = list(found.sort("_id", 1).limit(BATCH))
            if not roots:
                return
            yield roots
            query["_id"] = {"$gt": roots[-1]["_id"]}

    def _remove(self, roots: list[Document], age: timedelta, now: datetime) -> int:
        """Remove the chains of which every item is old."""
        fields = {"_updated": 1, "expiry": 1, "ancestors": 1}
        ids = [root["_id"] for root in roots]
        updates = list(self._db[ITEMS].find({"ancestors": {"$in": ids}}, fields))
        young = {root["_id"] for root in roots if not _is_old(root, age, now)}
        young |= {a for u in updates if not _is_old(u, age, now) for a in u["ancestors"]}
        gone = [id_ for id_ in ids if id_ not in young]
        members = [u["_id"] for u in updates if u["ancestors"][0] in set(gone)]
        everything = [*members, *gone]
        if not everything:
            return 0
        # The beginning of a chain goes last: whoever dies in between finds it again.
        self._db[ITEMS_VERSIONS].delete_many({"_id_document": {"$in": everything}})
        self._db[ITEMS].delete_many({"_id": {"$in": members}})
        self._db[ITEMS].delete_many({"_id": {"$in": gone}})
        return len(everything)


def _is_old(item: Mapping[str, Any], age: timedelta, now: datetime) -> bool:
    """Whether the time of an item is over: the one it names, else some days after its change."""
    expiry = item.get("expiry") or item["_updated"] + age
    return bool(expiry <= now)

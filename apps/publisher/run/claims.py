"""Who works on a record: one worker at a time, whose token is part of every write."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pymongo import ReturnDocument
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from apps.core.clock import Clock
from apps.core.errors import WiredeskError
from apps.core.service import Document
from apps.publisher.schema import HISTORY, Phase, RecordStatus
from apps.store.collections import PUBLISHING_RECORDS
from transmitters.cms.base import ErrorClass, RemoteState


class LostClaim(WiredeskError):
    """Another worker has taken the record over: what this one knows does not count any more."""


class NewWish(WiredeskError):
    """Something else is wanted of the record now: what was not sent is not sent any more."""


@dataclass
class Claim:
    """A record in one worker's hands.

    Attributes:
        record: as stored, with the worker's own writes.
        token: of this claim; each one that follows has a greater one.
        phase: of the record when it was claimed.
    """

    record: Document
    token: int
    phase: str

    @property
    def id(self) -> Any:
        return self.record["_id"]

    @property
    def wish(self) -> Mapping[str, Any]:
        """What is wanted of the record; empty where nothing ever was."""
        return self.record.get("desired") or {}


class RecordClaims:
    """Take records, and write them as long as nobody else has taken them since.

    Args:
        db: the database.
        clock: source of the current time.
        lease: how long a claim holds that is not written by.
        owner: name of the process.
    """

    def __init__(self, db: Database[Document], clock: Clock, lease: timedelta, owner: str) -> None:
        self._records = db[PUBLISHING_RECORDS]
        self._clock = clock
        self._lease = lease
        self._owner = owner

    def take(self, record_id: Any, *, holds_lane: bool = False) -> Claim | None:
        """Claim a record that has something due; None where it has not, or another has it.

        Args:
            holds_lane: the caller has the lease of the record's lane, so whoever claimed the
                record before is gone.
        """
        now = self._clock.precise()
        due: Document = {"_id": record_id, "next_attempt_at": {"$lte": now}}
        if not holds_lane:
            due["$or"] = [{"lease_until": None}, {"lease_until": {"$lte": now}}]
        record = self._records.find_one_and_update(
            due,
            {
                "$set": {"lease_owner": self._owner, "lease_until": now + self._lease},
                "$inc": {"claim_token": 1},
            },
            return_document=ReturnDocument.AFTER,
        )
        if record is None:
            return None
        return Claim(record, record["claim_token"], record.get("phase") or Phase.IDLE)

    def write(
        self,
        claim: Claim,
        changes: Mapping[str, Any],
        entry: Mapping[str, Any] | None = None,
        *,
        same_wish: bool = False,
    ) -> None:
        """Write a claimed record, and hold it for another while.

        Args:
            entry: of its history.
            same_wish: only if nothing else is wanted since the record was claimed.

        Raises:
            LostClaim: another worker has it.
            NewWish: something else is wanted.
        """
        changes = {"lease_until": self._clock.precise() + self._lease, **changes}
        update: Document = {"$set": {**changes, "_updated": self._clock.now()}}
        if entry is not None:
            update["$push"] = {"history": {"$each": [dict(entry)], "$slice": -HISTORY}}
        query: Document = {"_id": claim.id, "claim_token": claim.token}
        if same_wish:
            query["desired.seq"] = claim.wish.get("seq")
        if not self._updated(claim, query, update):
            if same_wish and self._records.find_one(
                {"_id": claim.id, "claim_token": claim.token}, {"_id": 1}
            ):
                raise NewWish
            raise LostClaim
        claim.record.update(changes)

    def _updated(self, claim: Claim, query: Document, update: Document) -> bool:
        try:
            return bool(self._records.update_one(query, update).matched_count)
        except DuplicateKeyError:
            self._correct_others(claim, update["$set"]["external_id"])
        return bool(self._records.update_one(query, update).matched_count)

    def _correct_others(self, claim: Claim, external_id: str) -> None:
        """Take a post from the record that held its id, say of a time before a site was restored.

        Ours was found by its marks, so what the other one held is there no more.
        """
        held = {"integration": claim.record["integration"], "external_id": external_id}
        other = self._records.find_one({**held, "_id": {"$ne": claim.id}}, {"status": 1})
        if other is None:
            return
        changes: Document = {
            "external_id": None,
            "remote_state": RemoteState.DELETED,
            "payload_hash": None,
        }
        if other["status"] == RecordStatus.PUBLISHED:
            changes["status"] = RecordStatus.FAILED
            changes["error"] = {
                "class": ErrorClass.NOT_FOUND,
                "code": "remote_missing",
                "message": "The post is gone: its id at the site is that of another one",
                "retryable": False,
                "at": self._clock.precise(),
            }
        self._records.update_one({**held, "_id": other["_id"]}, {"$set": changes})

    def finish(
        self, claim: Claim, changes: Mapping[str, Any], entry: Mapping[str, Any] | None = None
    ) -> bool:
        """Write the outcome and let the record go.

        A wish that came meanwhile stays: the record is due again, whatever `changes` say.

        Returns:
            Whether nothing else is wanted.

        Raises:
            LostClaim: another worker has the record.
        """
        freed = {**changes, "lease_owner": None, "lease_until": None}
        try:
            self.write(claim, freed, entry, same_wish=True)
        except NewWish:
            due: Document = {"next_attempt_at": self._clock.precise()}
            if freed.get("phase") == Phase.IDLE:
                due["phase"] = Phase.READY
            if "status" in freed:
                due["status"] = waiting_status(
                    freed.get("remote_state", claim.record.get("remote_state"))
                )
            self.write(claim, {**freed, **due}, entry)
            return False
        return True

    def let_go(self, claim: Claim, changes: Mapping[str, Any]) -> None:
        """Let a record go of which something else is wanted; only what is known of it is kept.

        Raises:
            LostClaim: another worker has it.
        """
        self.write(claim, {**changes, "lease_owner": None, "lease_until": None})


def waiting_status(remote_state: Any) -> RecordStatus:
    """Return the status of a record whose wish is still to be carried out."""
    is_live = remote_state == RemoteState.LIVE
    return RecordStatus.PUBLISHED if is_live else RecordStatus.PENDING

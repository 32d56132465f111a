"""What is wanted of a post: the one place that writes `desired` of a record (cms contract 4.2).

A record holds one wish; the newest one counts, by its `seq`. Whoever carries a wish out announces
its write (`phase`, with the slug) only where `desired.seq` is still the one that it has read, so
that no write follows a newer wish. Whoever ends a wish sets `phase` to `idle`, or `next_attempt_at`
to null, under the same condition. An idle record that is due has its post looked at once more.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from apps.core.clock import Clock
from apps.core.errors import Conflict
from apps.core.notifier import Notifier
from apps.core.service import Document, new_etag
from apps.publisher.events import tell_record
from apps.publisher.lanes import SiteLanes
from apps.publisher.schema import HISTORY, IN_DOUBT, Outcome, Phase, RecordStatus, WishAction
from apps.store.collections import PUBLISHING_RECORDS
from transmitters.cms.base import RemoteState, RetractMode

TRIES = 20
"""Times that a wish is written again because a worker has moved the record meanwhile."""

REQUESTS = "request_ids"
"""Ids of the requests whose wishes a record got, the newest ones: none makes its wish twice."""
MOST_REQUESTS = 20

OFF_SITE = frozenset(
    {None, RemoteState.ABSENT, RemoteState.DRAFT, RemoteState.TRASHED, RemoteState.DELETED}
)
"""States of posts that readers do not see."""

NOT_FAILED = (
    "The record is {}: only one that has failed is tried again. "
    "POST publish with force to have it written once more"
)

LOOKED_AT = (
    *("status", "phase", "remote_state", "published_version", "external_id", "slug", "content"),
    "next_attempt_at",
)
"""Fields that `decide` goes by, besides the wish that is there."""


@dataclass(frozen=True)
class Piece:
    """A piece of content at an integration.

    Attributes:
        integration: the integration, as stored; of it `_id`, `account`, `site`, `destination`.
        content: id of the item that is to be shown.
        key: identity of the piece, see `apps/publisher/records/content.py`.
    """

    integration: Mapping[str, Any]
    content: str
    key: str


@dataclass(frozen=True)
class Wish:
    """What is wanted.

    Attributes:
        version: of the item; None where it is not known.
        by: id of the user, None for the system.
        force: write also what has not changed.
        schedule_at: not before this time; None for now.
        is_sent_early: the site is told of the schedule, and keeps it by itself.
        deployment: that it belongs to.
        mode: how to retract; None for what the options of the integration say.
        is_kill: the item is killed or recalled: a draft of it does not stay, either.
        request: id of the request that it belongs to, where that may come again.
    """

    action: WishAction
    version: int | None = None
    by: Any = None
    force: bool = False
    schedule_at: datetime | None = None
    is_sent_early: bool = False
    deployment: ObjectId | None = None
    mode: RetractMode | None = None
    is_kill: bool = False
    request: ObjectId | None = None

    @property
    def is_retract(self) -> bool:
        return self.action == WishAction.RETRACT


class Result(StrEnum):
    """What became of a wish.

    Attributes:
        QUEUED: it is the record's wish now.
        DONE: nothing was left to do at the site.
        UNCHANGED: it was dropped: the site shows that already, or something newer.
    """

    QUEUED = "queued"
    DONE = "done"
    UNCHANGED = "unchanged"


@dataclass(frozen=True)
class Decision:
    """What a wish does to a record.

    Attributes:
        updates: of the record's fields, without `desired.seq`.
        entry: of the record's history.
    """

    result: Result
    updates: Mapping[str, Any] = field(default_factory=dict)
    entry: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Made:
    """A wish that was made.

    Attributes:
        record: as it is now; None where there is none, and nothing to retract.
        seq: number of the wish; of one that was dropped the number of the one that counts.
    """

    result: Result
    record: Document | None

    @property
    def seq(self) -> int:
        return seq_of(self.record or {})


def seq_of(record: Mapping[str, Any]) -> int:
    """Return the number of a record's wish, 0 where it has none."""
    return int((record.get("desired") or {}).get("seq") or 0)


def is_settled(record: Mapping[str, Any], seq: int) -> bool:
    """Whether the wish `seq` was carried out, given up, or replaced by a newer one."""
    return seq_of(record) > seq or not is_waiting(record)


def is_waiting(record: Mapping[str, Any]) -> bool:
    """Whether a wish is still to be carried out."""
    return record.get("phase") != Phase.IDLE and record.get("next_attempt_at") is not None


def has_ended(record: Mapping[str, Any]) -> bool:
    """Whether nothing waits: the last wish was carried out, given up, or taken back.

    A post that its site publishes by itself, later, still waits for that.
    """
    waits = record.get("phase") != Phase.IDLE and record.get("next_attempt_at") is not None
    is_planned = record.get("status") == RecordStatus.PENDING
    return not waits and not (is_planned and record.get("remote_state") == RemoteState.SCHEDULED)


def is_live(record: Mapping[str, Any]) -> bool:
    """Whether readers of the site see the post, as far as is known."""
    shown = ("external_id", "external_url", "published_at")
    return record.get("remote_state") == RemoteState.LIVE and all(map(record.get, shown))


def was_taken_off(record: Mapping[str, Any]) -> bool:
    """Whether the post was retracted, and nothing else is wanted since."""
    wanted = (record.get("desired") or {}).get("action")
    return record.get("status") == RecordStatus.RETRACTED and wanted == WishAction.RETRACT


def was_never_sent(record: Mapping[str, Any]) -> bool:
    """Whether no write of the record can have reached the site: none was announced."""
    return (
        record.get("phase") not in IN_DOUBT
        and not record.get("slug")
        and not record.get("external_id")
        and record.get("remote_state") in (None, RemoteState.ABSENT)
    )


# Decisions.


def decide(record: Mapping[str, Any], content: str, wish: Wish, now: datetime) -> Decision:
    """Return what a wish does to a stored record.

    Args:
        content: id of the item that it is about.
    """
    if (
        is_same(record, content, wish)
        or is_of_same_deployment(record, content, wish)
        or was_made_by(record, wish.request)
    ):
        return Decision(Result.QUEUED)
    if wish.is_retract:
        return _retract(record, content, wish, now)
    if is_outdated(record, content, wish):
        return Decision(Result.UNCHANGED, entry=_entry(record, wish, now, Outcome.SUPERSEDED))
    action = WishAction.UPDATE if is_live(record) else WishAction.PUBLISH
    status = RecordStatus.PUBLISHED if is_live(record) else RecordStatus.PENDING
    due = wish.schedule_at if wish.schedule_at and not wish.is_sent_early else now
    updates = {
        **_wanted(record, wish, action, now, due),
        "status": status,
        "content": content,
        "content_version": wish.version,
        "scheduled_at": wish.schedule_at,
        "retracted_at": None,
    }
    return Decision(Result.QUEUED, updates)


def is_same(record: Mapping[str, Any], content: str, wish: Wish) -> bool:
    """Whether a record waits for just this already, and has not failed on the way.

    After a failure a wish is worth a try of its own.
    """
    waiting = record.get("desired")
    is_fresh = is_waiting(record) and not record.get("error")
    if not waiting or not is_fresh or record.get("content") != content:
        return False
    same = ("version", "force", "schedule_at", "deployment", "mode")
    retracts = waiting.get("action") == WishAction.RETRACT
    return retracts == wish.is_retract and all(
        waiting.get(name) == getattr(wish, name) for name in same
    )


def is_of_same_deployment(record: Mapping[str, Any], content: str, wish: Wish) -> bool:
    """Whether the deployment that a wish belongs to has made one already.

    It makes one for each record, however many processes work on it. Whether that one was carried
    out, or has failed, changes nothing.
    """
    known = (record.get("desired") or {}).get("deployment")
    return known is not None and known == wish.deployment and record.get("content") == content


def was_made_by(record: Mapping[str, Any], request: ObjectId | None) -> bool:
    """Whether a request has made its wish for a record; what came afterwards counts as it is.

    Args:
        request: its id; None where it cannot come again.
    """
    return request is not None and request in (record.get(REQUESTS) or ())


def is_outdated(record: Mapping[str, Any], content: str, wish: Wish) -> bool:
    """Whether a version is older than what the site shows, or than what is wanted already.

    Versions of different items cannot be compared.
    """
    if wish.version is None or record.get("content") != content:
        return False
    wanted = (record.get("desired") or {}).get("version")
    known = [v for v in (record.get("published_version"), wanted) if v is not None]
    return wish.version < max(known, default=wish.version)


def _retract(record: Mapping[str, Any], content: str, wish: Wish, now: datetime) -> Decision:
    if record.get("content") != content:
        return Decision(Result.UNCHANGED, entry=_entry(record, wish, now, Outcome.NOT_SHOWN))
    wanted = {
        **_wanted(record, wish, WishAction.RETRACT, now, now),
        "scheduled_at": None,
        "content_version": record.get("content_version")
        if wish.version is None
        else max(wish.version, record.get("content_version") or 0),
    }
    if record["status"] == RecordStatus.RETRACTED:
        return _retract_again(record, wish, wanted)
    if was_never_sent(record):
        done = {
            "status": RecordStatus.RETRACTED,
            "remote_state": RemoteState.ABSENT,
            "retracted_at": now,
            "phase": Phase.IDLE,
            "next_attempt_at": None,
            "error": None,
        }
        entry = _entry(record, wish, now, Outcome.NOT_SENT)
        return Decision(Result.DONE, {**wanted, **done}, entry)
    return Decision(Result.QUEUED, wanted)


def _retract_again(record: Mapping[str, Any], wish: Wish, wanted: Document) -> Decision:
    """Decide on a post that is off its site, or on its way there."""
    is_at = {RemoteState.DRAFT: 1, RemoteState.TRASHED: 2}.get(record["remote_state"], 3)
    wanted_at = {None: 1, RetractMode.TRASH: 2, RetractMode.DELETE: 3}.get(wish.mode, 1)
    if wish.is_kill and (record.get("desired") or {}).get("version") != wish.version:
        # Readers see nothing of a draft, but whoever has its address may, and it can come back.
        wanted_at = max(wanted_at, 2)
    if not record.get("external_id") or wanted_at <= is_at:
        return Decision(Result.UNCHANGED)
    return Decision(Result.QUEUED, wanted)


def is_droppable(record: Mapping[str, Any]) -> bool:
    """Whether nothing has been sent yet of a wish to publish that waits."""
    waits = record.get("phase") == Phase.READY and record.get("next_attempt_at") is not None
    is_clear = is_live(record) or record.get("remote_state") in OFF_SITE
    publishes = (record.get("desired") or {}).get("action") != WishAction.RETRACT
    return waits and is_clear and publishes


def dropped(record: Mapping[str, Any], now: datetime) -> Decision:
    """Return what a record is without the wish that waits."""
    off: Document = {"status": RecordStatus.RETRACTED, "retracted_at": now}
    updates = {
        **({"status": RecordStatus.PUBLISHED} if is_live(record) else off),
        "content_version": record.get("published_version"),
        "phase": Phase.IDLE,
        "next_attempt_at": None,
        "scheduled_at": None,
        "error": None,
    }
    last = Wish(WishAction.PUBLISH, version=record.get("content_version"))
    return Decision(Result.DONE, updates, _entry(record, last, now, Outcome.TAKEN_BACK))


def _wanted(
    record: Mapping[str, Any], wish: Wish, action: WishAction, now: datetime, due: datetime
) -> Document:
    phase, waits = record.get("phase"), record.get("next_attempt_at")
    in_doubt = phase in IN_DOUBT
    if phase == Phase.UNKNOWN and waits is not None:
        # The site may still be at work: it is asked when it was to be asked.
        due = max(due, waits)
    desired = {
        "action": action,
        "version": wish.version,
        "at": now,
        "by": wish.by,
        "force": wish.force,
        "schedule_at": wish.schedule_at,
        "deployment": wish.deployment,
        "mode": wish.mode,
    }
    return {
        "desired": desired,
        "phase": phase if in_doubt else Phase.READY,
        "next_attempt_at": due,
        "retry_attempt": 0,
    }


def _entry(record: Mapping[str, Any], wish: Wish, now: datetime, outcome: Outcome) -> Document:
    return {
        "at": now,
        "action": wish.action,
        "phase": record.get("phase"),
        "outcome": outcome,
        "status": record.get("status"),
        "version": wish.version,
    }


# Writes.


class Wishes:
    """Makes wishes; safe against workers and others who make some at the same time.

    Args:
        lanes: where the records of integrations wait.
        notifier: tells clients.
    """

    def __init__(
        self, db: Database[Document], clock: Clock, lanes: SiteLanes, notifier: Notifier
    ) -> None:
        self._records = db[PUBLISHING_RECORDS]
        self._clock = clock
        self._lanes = lanes
        self._notifier = notifier

    def make(self, piece: Piece, wish: Wish, *, metadata: Document | None = None) -> Made:
        """Make a wish for a piece of content; its record is made when there is none.

        Two commands, and those of the lane; one more for a new record.

        Args:
            metadata: of a new record.

        Raises:
            Conflict: workers moved the record every time.
        """
        same = {"integration": piece.integration["_id"], "content_key": piece.key}
        record = self._records.find_one(same)
        if record is None:
            if wish.is_retract:
                return Made(Result.UNCHANGED, None)
            record = self._create(piece, wish, metadata or {})
            if record is not None:
                return Made(Result.QUEUED, record)
            record = self._records.find_one(same)
        return self._write(record, piece.content, wish)

    def make_for(self, record: Mapping[str, Any], wish: Wish) -> Made:
        """Make a wish for a stored record.

        Raises:
            Conflict: workers moved the record every time, or it is gone.
        """
        return self._write(dict(record), str(record["content"]), wish)

    def renew(self, record: Mapping[str, Any]) -> bool:
        """Let a live post that nothing is wanted of be compared once more with its story.

        Returns:
            False where something is wanted of it, or came meanwhile: that counts, and is carried
            out with all that is known by then.
        """
        if record.get("phase") != Phase.IDLE or not is_live(record):
            return False
        now = self._clock.now()
        wish = Wish(WishAction.UPDATE, version=record.get("published_version"))
        decision = decide(record, str(record["content"]), wish, now)
        changed = self._store(dict(record), decision, now)
        if changed is not None:
            self._announce(changed)
        return changed is not None

    def retry(self, record: Mapping[str, Any], by: Any) -> Document:
        """Let a record that has failed be tried again: the wish that it failed with.

        Raises:
            Conflict: it has not failed.
        """
        if record["status"] != RecordStatus.FAILED:
            raise Conflict(NOT_FAILED.format(record["status"]))
        last = record.get("desired") or {}
        now = self._clock.now()
        mode, schedule_at = last.get("mode"), last.get("schedule_at")
        wish = Wish(
            action=WishAction(last.get("action") or WishAction.PUBLISH),
            version=last.get("version"),
            by=by,
            force=bool(last.get("force")),
            schedule_at=schedule_at if schedule_at and schedule_at > now else None,
            mode=RetractMode(mode) if mode else None,
        )
        made = self.make_for(record, wish)
        return dict(made.record or {})

    def take_back(self, record_id: Any, seq: int) -> bool:
        """Drop a wish to publish of which nothing has been sent; two commands.

        Returns:
            False where it is too late, or something else is wanted by now.
        """
        record = self._records.find_one({"_id": record_id})
        if record is None or seq_of(record) != seq or not is_droppable(record):
            return False
        now = self._clock.now()
        decision = dropped(record, now)
        free = self._store(record, decision, now, lease_owner=None)
        if free is not None:
            tell_record(self._notifier, self._records.database, free)
        return free is not None

    def _create(self, piece: Piece, wish: Wish, metadata: Document) -> Document | None:
        """Store a new record with its wish; None when another process was first."""
        now = self._clock.now()
        record = new_record(piece, now, metadata)
        decision = decide(record, piece.content, wish, now)
        record.update(decision.updates)
        record["desired"]["seq"] = 1
        if wish.request is not None:
            record[REQUESTS] = [wish.request]
        try:
            self._records.insert_one(record)
        except DuplicateKeyError:
            return None
        self._announce(record)
        return record

    def _write(self, record: Document | None, content: str, wish: Wish) -> Made:
        for _ in range(TRIES):
            if record is None:
                break
            now = self._clock.now()
            decision = decide(record, content, wish, now)
            if not decision.updates and not decision.entry:
                if decision.result == Result.QUEUED:
                    # Whoever made the wish may have died before it had woken the lane.
                    self._wake(record)
                return Made(decision.result, record)
            request = wish.request if decision.updates else None
            changed = self._store(record, decision, now, request=request)
            if changed is not None:
                if decision.updates:
                    self._announce(changed)
                return Made(decision.result, changed)
            record = self._records.find_one({"_id": record["_id"]})
        raise Conflict("The record is being written. Try again.")

    def _store(
        self,
        record: Document,
        decision: Decision,
        now: datetime,
        *,
        request: ObjectId | None = None,
        **more: Any,
    ) -> Document | None:
        """Store a decision unless the record has moved since it was read; return it as stored.

        Args:
            request: that the decision belongs to, where it may come again.
            more: what the record has to be like, too.
        """
        as_read = {name: record.get(name) for name in LOOKED_AT}
        as_read |= {"_id": record["_id"], "desired.seq": (record.get("desired") or {}).get("seq")}
        as_read |= more
        stamps = {"_updated": now, "_etag": new_etag()}
        updates = dict(decision.updates)
        if "desired" in updates:
            updates["desired"] = {**updates["desired"], "seq": seq_of(record) + 1}
        change: Document = {"$set": {**updates, **stamps}}
        added: Document = {}
        if decision.entry:
            added["history"] = {"$each": [decision.entry], "$slice": -HISTORY}
        if request is not None:
            added[REQUESTS] = {"$each": [request], "$slice": -MOST_REQUESTS}
        if added:
            change["$push"] = added
        return self._records.find_one_and_update(
            as_read, change, return_document=ReturnDocument.AFTER
        )

    def _announce(self, record: Mapping[str, Any]) -> None:
        self._wake(record)
        tell_record(self._notifier, self._records.database, record)

    def _wake(self, record: Mapping[str, Any]) -> None:
        due = record.get("next_attempt_at")
        if due is not None:
            is_urgent = record["desired"]["action"] == WishAction.RETRACT
            self._lanes.wake(record["integration"], due, urgent=is_urgent)


def new_record(piece: Piece, now: datetime, metadata: Mapping[str, Any]) -> Document:
    """Return a record of which nothing is known at the site, without a wish, not stored yet."""
    return {
        "_id": ObjectId(),
        "_created": now,
        "_updated": now,
        "_etag": new_etag(),
        "created_at": now,
        "account": piece.integration["account"],
        "site": piece.integration["site"],
        "integration": piece.integration["_id"],
        "destination": piece.integration["destination"],
        "content": piece.content,
        "content_key": piece.key,
        "content_version": None,
        "published_version": None,
        "status": RecordStatus.PENDING,
        "phase": Phase.IDLE,
        "remote_state": RemoteState.ABSENT,
        "desired": None,
        "error": None,
        "warnings": [],
        "media": [],
        "terms": [],
        "history": [],
        "metadata": dict(metadata),
        "retry_attempt": 0,
        "next_attempt_at": None,
    }

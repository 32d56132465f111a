"""Carries out deployments: each is a lane, and its rows become wishes (cms contract 4.4).

A row goes through three writes: it is listed, its wish is made, and what became of the wish is
kept. Wishes name their deployment, so whoever finds one that its row does not know of yet takes it
over. Counts are those of the rows as they are stored. The sites are the business of their own lanes
(`apps/publisher/run`): a row only waits for its record.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Event
from typing import Any

import structlog
from bson import ObjectId
from pymongo import ReturnDocument, UpdateOne
from pymongo.database import Database

from apps.core.clock import Clock
from apps.core.documents import object_of, text_of
from apps.core.errors import Conflict
from apps.core.notifier import Notifier
from apps.core.service import Document, new_etag
from apps.core.stopping import ASKED
from apps.lanes import Lane, LaneKind, LaneOutcome, LaneRun, LaneServer, RetryPolicy, RunContext
from apps.publisher.deployments.listing import Listing, LostList, NoList, is_off, stays_shown
from apps.publisher.deployments.outcomes import End, end_of, error_of, is_over, retracts
from apps.publisher.deployments.service import log_of
from apps.publisher.events import tell_deployment
from apps.publisher.lanes import SiteLanes
from apps.publisher.records.content import Content, Contents
from apps.publisher.records.requests import Refused
from apps.publisher.records.wishes import (
    Piece,
    Result,
    Wish,
    Wishes,
    is_of_same_deployment,
    seq_of,
)
from apps.publisher.schema import (
    RUNNING,
    DeploymentItemState,
    DeploymentStatus,
    WishAction,
)
from apps.store.collections import (
    DEPLOYMENT_ITEMS,
    DEPLOYMENT_LANES,
    DEPLOYMENT_RECORDS,
    PUBLISHER_INTEGRATIONS,
    PUBLISHING_RECORDS,
)
from apps.store.mongo import is_outage
from transmitters.cms.base import ErrorClass

log = structlog.get_logger(__name__)

WINDOW = 20
"""Rows of an integration whose wishes wait for its lane at a time. Wishes of others stand behind
no more than these, and no more than these go on once a deployment is canceled."""
MOST_STARTED = 200
"""The same, with those that are tried again later: they hold up nobody."""
LOOK_AGAIN = timedelta(seconds=30)
LOGGED_ROWS = 5000
"""Failures that fill an `error_log` whatever they say."""

COUNTED = ("total", "done", "unchanged", "failed", "skipped", "retracted")
FAILURE = "class", "code", "message"


def deployment_lanes(lease: timedelta, retries: RetryPolicy) -> LaneKind:
    """Return the lanes of deployments: one for each."""
    return LaneKind(
        name="deployments",
        lanes=DEPLOYMENT_LANES,
        work=DEPLOYMENT_RECORDS,
        in_progress={"lease_owner": {"$type": "string"}},
        waiting={"status": {"$in": [status.value for status in RUNNING]}},
        lease=lease,
        threads=2,
        retries=retries,
        lane_field="_id",
        lane_id=str,
        look_again=LOOK_AGAIN,
        look_for_waiting=LOOK_AGAIN,
    )


@dataclass
class Progress:
    """What one look at a deployment has come to.

    Attributes:
        waiting: rows whose wishes wait for their sites, by integration; those that are tried again
            later are not among them.
        started: all rows whose wishes are made, by integration.
        begun: wishes made, or found to be made, by this look.
        has_more: there are more rows that could go on at once.
    """

    waiting: Counter[Any] = field(default_factory=Counter)
    started: Counter[Any] = field(default_factory=Counter)
    begun: int = 0
    has_more: bool = False

    def add(self, integration: Any, *, is_put_off: bool) -> None:
        self.started[integration] += 1
        self.waiting[integration] += not is_put_off

    def room(self, integration: Any) -> int:
        """Return for how many rows more wishes may be made."""
        return max(
            0,
            min(WINDOW - self.waiting[integration], MOST_STARTED - self.started[integration]),
        )


class Stopped(Exception):
    """The deployment was canceled, or another process has it."""


class DeploymentServer(LaneServer):
    """Takes deployments on, a look at a time.

    Args:
        listing: builds lists.
        contents: looks up items.
        wishes: makes wishes.
        check: raises `Refused` where nothing can be published at an integration.
        notifier: tells clients.
        context: of the run.
    """

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        *,
        listing: Listing,
        contents: Contents,
        wishes: Wishes,
        check: Callable[[Mapping[str, Any]], None],
        notifier: Notifier,
        context: RunContext,
    ) -> None:
        self._deployments = db[DEPLOYMENT_RECORDS]
        self._rows = db[DEPLOYMENT_ITEMS]
        self._records = db[PUBLISHING_RECORDS]
        self._integrations = db[PUBLISHER_INTEGRATIONS]
        self._clock = clock
        self._listing = listing
        self._contents = contents
        self._wishes = wishes
        self._check = check
        self._notifier = notifier
        self._context = context

    def serve(self, lane: Lane) -> LaneOutcome:
        deployment = self._claimed(lane)
        if deployment is None:
            return LaneOutcome()
        try:
            if deployment["status"] in RUNNING and deployment.get("list") is None:
                self._list(lane, deployment)
            progress = self._look_at_started(deployment)
            if deployment["status"] == DeploymentStatus.DEPLOYING:
                self._start(lane, deployment, progress)
            else:
                self._leave_out(deployment)
            is_ended = self._note(lane, deployment)
        except (Stopped, LostList):
            more = self._context.may_continue(lane)
            return LaneOutcome(more=more, next_due=self._clock.precise() + LOOK_AGAIN)
        next_due = None if is_ended else self._clock.precise() + LOOK_AGAIN
        return LaneOutcome(sent=progress.begun, more=progress.has_more, next_due=next_due)

    # The deployment.

    def _claimed(self, lane: Lane) -> Document | None:
        """Return a deployment of which something is left to do, marked as taken."""
        deployment = self._deployments.find_one({"_id": ObjectId(lane.id)})
        if deployment is None or self._is_done(deployment):
            return None
        if self._context.claims.rise_above(lane, [deployment]):
            return None
        taken = self._context.claims.fields(lane, self._clock.precise())
        query = {"_id": deployment["_id"], "claim_token": {"$not": {"$gte": lane.token}}}
        return self._deployments.find_one_and_update(
            query, {"$set": taken}, return_document=ReturnDocument.AFTER
        )

    def _is_done(self, deployment: Mapping[str, Any]) -> bool:
        if deployment["status"] in RUNNING or deployment.get("lease_owner"):
            return False
        # One that was canceled has rows whose wishes are still carried out.
        return not self._rows.find_one(self._of(deployment, DeploymentItemState.QUEUED), {"_id": 1})

    def _of(self, deployment: Mapping[str, Any], state: DeploymentItemState) -> Document:
        listed = {"deployment": deployment["_id"], "list": deployment.get("list")}
        return {**listed, "state": state}

    def _write(self, lane: Lane, deployment: Document, changes: Mapping[str, Any]) -> None:
        """Write a deployment that is as it was read.

        Raises:
            Stopped: it is not.
        """
        names = ("_id", "status", "error_log")
        query = {**{n: deployment.get(n) for n in names}, "claim_token": lane.token}
        stamps = {"_updated": self._clock.now(), "_etag": new_etag()}
        changes = {**changes, **stamps}
        if not self._deployments.update_one(query, {"$set": changes}).matched_count:
            raise Stopped
        deployment.update(changes)

    def _list(self, lane: Lane, deployment: Document) -> None:
        """Freeze the list.

        Raises:
            Stopped, LostList: the deployment is not this process's any more.
        """
        now = self._clock.now()
        if deployment["status"] == DeploymentStatus.PENDING:
            started = {"status": DeploymentStatus.DEPLOYING, "started_at": now}
            self._write(lane, deployment, started)
            tell_deployment(self._notifier, deployment)
        metadata = {**object_of(deployment, "metadata"), "snapshot_at": now}
        integrations, problem = self._built(deployment, lane.token)
        if problem:
            log_text = log_of([f"{now.isoformat()} {problem}"])
            changes = {"status": DeploymentStatus.FAILED, "completed_at": now}
            self._write(lane, deployment, {**changes, "error_log": log_text})
            tell_deployment(self._notifier, deployment)
        listed = {"list": lane.token, "integrations": integrations, "metadata": metadata}
        self._write(lane, deployment, listed)

    def _built(self, deployment: Document, number: int) -> tuple[list[ObjectId], str]:
        """Return the integrations of a deployment whose list is stored, or why there is none.

        Raises:
            LostList: the deployment is not this process's any more.
        """
        try:
            return self._listing.build(deployment, number), ""
        except LostList:
            raise
        except NoList as error:
            return [], str(error)
        except Exception as error:
            if is_outage(error):
                raise
            log.exception("deployment.not_listed", deployment=str(deployment["_id"]))
            return [], "The list could not be built: an item or a record cannot be read"

    def _note(self, lane: Lane, deployment: Document) -> bool:
        """Store how far the deployment is, and let it go; return whether it has ended.

        Raises:
            Stopped: it is not as it was read.
        """
        counts, queued = self._counts(deployment)
        changes: Document = {"lease_owner": None, "lease_until": None}
        before = object_of(deployment, "counts")
        is_news = counts != before
        if is_news:
            changes |= {"counts": counts, "items_deployed": counts["done"]}
        if counts["failed"] != before.get("failed"):
            changes["error_log"] = self._error_log(deployment, counts["failed"])
        if not queued and deployment["status"] == DeploymentStatus.DEPLOYING:
            is_good = not counts["failed"]
            status = DeploymentStatus.COMPLETED if is_good else DeploymentStatus.FAILED
            changes |= {"status": status, "completed_at": self._clock.now()}
            is_news = True
        self._write(lane, deployment, changes)
        if is_news:
            tell_deployment(self._notifier, deployment)
        return not queued

    def _counts(self, deployment: Mapping[str, Any]) -> tuple[dict[str, int], int]:
        """Return how many rows are in which state, and how many wait; one command."""
        listed = {"deployment": deployment["_id"], "list": deployment.get("list")}
        by_state = {"_id": {"state": "$state", "action": "$action"}, "rows": {"$sum": 1}}
        counts, queued = dict.fromkeys(COUNTED, 0), 0
        for group in self._rows.aggregate([{"$match": listed}, {"$group": by_state}]):
            state, number = group["_id"]["state"], group["rows"]
            counts["total"] += number
            if state == DeploymentItemState.QUEUED:
                queued += number
            else:
                counts[state] += number
            is_done = state == DeploymentItemState.DONE
            if is_done and group["_id"]["action"] == WishAction.RETRACT:
                counts["retracted"] += number
        return counts, queued

    def _error_log(self, deployment: Mapping[str, Any], count: int) -> str:
        """Return the log anew, so that no line is in it twice and none is missing."""
        failed = self._of(deployment, DeploymentItemState.FAILED)
        rows = list(self._rows.find(failed).sort("ended_at", -1).limit(LOGGED_ROWS))
        lines = [(row["ended_at"], line_of(row)) for row in reversed(rows)]
        if name := text_of(deployment, "canceled_by"):
            lines.append((deployment["completed_at"], f"canceled by {name}"))
            lines.sort(key=lambda line: line[0])
        return log_of([line for _, line in lines], is_cut=count > len(rows))

    def _leave_out(self, deployment: Mapping[str, Any]) -> None:
        """End the rows of a canceled deployment whose wishes are not made."""
        waiting = {**self._of(deployment, DeploymentItemState.QUEUED), "seq": None}
        ended = {"state": DeploymentItemState.SKIPPED, "ended_at": self._clock.precise()}
        self._rows.update_many(waiting, {"$set": ended})

    # Rows whose wishes are made.

    def _look_at_started(self, deployment: Mapping[str, Any]) -> Progress:
        """Keep what has become of wishes; two commands, one more where there is news."""
        started = {**self._of(deployment, DeploymentItemState.QUEUED), "seq": {"$gt": 0}}
        rows = list(self._rows.find(started))
        ids = [row["record"] for row in rows]
        found = self._records.find({"_id": {"$in": ids}}) if ids else ()
        records = {record["_id"]: record for record in found}
        progress, writes = Progress(), []
        for row in rows:
            record = records.get(row["record"])
            end = end_of(row, record)
            if end is None:
                is_put_off = bool((record or {}).get("error"))
                progress.add(row["integration"], is_put_off=is_put_off)
                continue
            query = {"_id": row["_id"], "state": DeploymentItemState.QUEUED, "seq": row["seq"]}
            writes.append(UpdateOne(query, {"$set": self._ended(end)}))
        if writes:
            self._rows.bulk_write(writes, ordered=False)
        return progress

    def _ended(self, end: End) -> Document:
        if end.again:
            return {"seq": None, "is_followed": False}
        if end.state is None:
            return {"seq": end.seq, "is_followed": True}
        return {"state": end.state, "error": end.error, "ended_at": self._clock.precise()}

    # Rows that wait.

    def _start(self, lane: Lane, deployment: Document, progress: Progress) -> None:
        """Make the wishes that there is room for.

        Raises:
            Stopped: the deployment is not this process's any more, or was canceled.
        """
        for id_ in deployment["integrations"]:
            room = progress.room(id_)
            waiting = self._of(deployment, DeploymentItemState.QUEUED)
            query = {**waiting, "seq": None, "integration": id_}
            rows = list(self._rows.find(query).sort("order", 1).limit(room)) if room else []
            if not rows:
                continue
            integration = self._integrations.find_one({"_id": id_})
            newest = self._contents.newest_rows(row["content"] for row in rows)
            now = self._clock.now()
            for row in rows:
                self._check_own(lane, deployment)
                known = newest.get(row["content"])
                content = Content.of(known, now) if known else None
                fields = self._begin(deployment, row, content, integration)
                self._rows.update_one(
                    {"_id": row["_id"], "state": DeploymentItemState.QUEUED, "seq": None},
                    {"$set": fields},
                )
                progress.begun += 1
                # What has ended already makes room for others.
                progress.has_more |= "state" in fields

    def _check_own(self, lane: Lane, deployment: Mapping[str, Any]) -> None:
        """Raises:
        Stopped: nothing more may be begun.
        """
        names = ("_id", "status")
        own = {**{name: deployment[name] for name in names}, "claim_token": lane.token}
        if not self._context.may_continue(lane) or not self._deployments.find_one(own, {"_id": 1}):
            raise Stopped

    def _begin(
        self,
        deployment: Mapping[str, Any],
        row: Mapping[str, Any],
        content: Content | None,
        integration: Document | None,
    ) -> Document:
        """Make the wish of a row; return the fields of the row that follow from it."""
        try:
            return self._wished(deployment, row, content, integration)
        except Refused as refusal:
            error = error_of(refusal.error_class, refusal.code, refusal.message, refusal.help)
            return self._at_once(DeploymentItemState.FAILED, error)
        except Exception as problem:
            if is_outage(problem):
                raise
            # One item keeps no other from going on.
            log.exception("deployment.row_crashed", content=row["content"])
            error = error_of(ErrorClass.VALIDATION, "unreadable", "The item cannot be looked at")
            return self._at_once(DeploymentItemState.FAILED, error)

    def _wished(
        self,
        deployment: Mapping[str, Any],
        row: Mapping[str, Any],
        content: Content | None,
        integration: Document | None,
    ) -> Document:
        """Make the wish of a row.

        Raises:
            Refused: nothing can be published at the integration.
        """
        if integration is None:
            raise Refused(ErrorClass.CONFIG, "integration_gone", "The integration is gone")
        if content is None:
            return self._skipped("expired", "The item has expired")
        same = {"integration": row["integration"], "content_key": row["content_key"]}
        record = self._records.find_one(same)
        # One that was made by a process that died is found by its deployment, whatever it is.
        wish = Wish(WishAction.PUBLISH, deployment=deployment["_id"])
        if record is None or not is_of_same_deployment(record, content.id, wish):
            wanted = self._wish(deployment, content, record)
            if wanted is None:
                return self._skipped("not_publishable", f"The item is {content.state}")
            wish = wanted
            if record is not None and stands_in(record, content.id, wish):
                return self._followed(record, wish)
            if not wish.is_retract:
                self._check(integration)
        try:
            made = self._wishes.make(Piece(integration, content.id, row["content_key"]), wish)
        except Conflict:
            # Workers move the record: the next look tries again.
            return {"error": None}
        fields: Document = {"action": wish.action}
        if made.result == Result.QUEUED and made.record is not None:
            return {**fields, **wish_of(made.record)}
        of_record = {"record": made.record["_id"] if made.record else None}
        is_done = made.result == Result.DONE
        state = DeploymentItemState.DONE if is_done else DeploymentItemState.UNCHANGED
        return {**fields, **of_record, **self._at_once(state)}

    def _wish(
        self,
        deployment: Mapping[str, Any],
        content: Content,
        record: Mapping[str, Any] | None,
    ) -> Wish | None:
        """Return what is wanted of an item as it is by now; None for nothing."""
        if content.is_withdrawn and not is_off(record):
            action = WishAction.RETRACT
        elif stays_shown(content):
            action = WishAction.PUBLISH
        else:
            return None
        options = object_of(object_of(deployment, "metadata"), "options")
        return Wish(
            action=action,
            version=content.version,
            by=deployment.get("requested_by"),
            force=bool(options.get("force")) and action != WishAction.RETRACT,
            deployment=deployment["_id"],
        )

    def _followed(self, record: Mapping[str, Any], wish: Wish) -> Document:
        """Return the fields of a row that waits for somebody else's wish."""
        now = self._clock.now()
        if (record["desired"].get("schedule_at") or now) > now:
            return self._skipped("scheduled", "The item is scheduled at the site")
        return {**wish_of(record), "action": wish.action, "is_followed": True}

    def _at_once(self, state: DeploymentItemState, error: Document | None = None) -> Document:
        if error is not None:
            error = {**error, "at": self._clock.precise()}
        return {"state": state, "error": error, "ended_at": self._clock.precise()}

    def _skipped(self, code: str, message: str) -> Document:
        error = error_of(ErrorClass.VALIDATION, code, message)
        return self._at_once(DeploymentItemState.SKIPPED, error)


def deployment_waker(lanes: SiteLanes, clock: Clock) -> Callable[[Mapping[str, Any], object], None]:
    """Return what is told of records that were worked on: their deployments go on at once.

    One command for a record whose wish is over and belongs to a deployment, none for others.
    """

    def tell(record: Mapping[str, Any], result: object) -> None:
        deployment = (record.get("desired") or {}).get("deployment")
        if deployment is not None and is_over(record):
            lanes.wake(deployment, clock.precise())

    return tell


def wish_of(record: Mapping[str, Any]) -> Document:
    """Return the fields of a row whose record has a wish."""
    desired = record["desired"]
    action = WishAction.RETRACT if retracts(record) else WishAction.PUBLISH
    of_wish = {"seq": desired["seq"], "action": action, "wished_at": desired["at"]}
    return {"record": record["_id"], **of_wish}


def stands_in(record: Mapping[str, Any], content: str, wish: Wish) -> bool:
    """Whether a wish of somebody else's waits, whose end is to be waited for.

    Withdrawing something waits for nobody but those who withdraw it.
    """
    if record["content"] != content or not seq_of(record) or is_over(record):
        return False
    return retracts(record) or not wish.is_retract


def line_of(row: Mapping[str, Any]) -> str:
    """Return a failure as a line of an `error_log`."""
    error_class, code, message = (text_of(row.get("error") or {}, name) for name in FAILURE)
    at: datetime = row["ended_at"].replace(microsecond=0)
    text = " ".join(message.split())
    return f"{at.isoformat()} {row['content']} {row['integration']} {error_class}/{code} {text}"


class DeploymentRun:
    """Takes on every deployment of which something is due.

    Safe to run in several processes at once and to kill at any point.

    Args:
        kind: see `deployment_lanes`.
        services: collaborators of `DeploymentServer`, by name.
    """

    def __init__(
        self, db: Database[Document], clock: Clock, kind: LaneKind, **services: Any
    ) -> None:
        def new_server(context: RunContext) -> LaneServer:
            return DeploymentServer(db, clock, context=context, **services)

        self._lanes = LaneRun(db, clock, kind, new_server)

    def run(self, stop: Event = ASKED) -> int:
        """Take on what is due; return how many rows were begun.

        Args:
            stop: ends the run early; unless given, it ends when the process is asked to.

        Raises:
            PyMongoError: the store is away.
        """
        return self._lanes.run(stop)

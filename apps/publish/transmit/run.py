"""The transmit run: delivers everything that is due in the lanes of the wire."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from random import Random
from threading import Event
from typing import Any

from pymongo.database import Database

from apps.core.clock import Clock
from apps.core.errors import NotFound
from apps.core.notifier import Notifier
from apps.core.registry import Registry
from apps.core.service import Document
from apps.core.vocabulary import RowState
from apps.lanes.kind import LaneKind
from apps.lanes.retries import RetryPolicy
from apps.lanes.run import LaneRun, RunContext
from apps.media.storage import MediaStorage
from apps.publish.queue.payloads import Payloads
from apps.publish.transmit.attempt import Attempts, RowSender
from apps.publish.transmit.claim import RowClaims
from apps.publish.transmit.destinations import Subscribers, TransmitterPool, transmit_settings
from apps.publish.transmit.failures import Failures
from apps.publish.transmit.lane import LaneTools, RowServer
from apps.publish.transmit.recover import LostRows, Recovery
from apps.secrets.vault import Vault
from apps.store.collections import PUBLISH_LANES, PUBLISH_QUEUE, PUBLISHED
from apps.store.indexes import WAITING_ROWS
from apps.store.sequences import Sequences
from transmitters.base import Transmitter

TURN_SECONDS = 1.0
"""Time after which a task serves no further lane. A batch that has begun is delivered."""


def lane_kind(settings: Mapping[str, Any]) -> LaneKind:
    """Return the lanes of `publish_queue`.

    Args:
        settings: LEASE_SECONDS, TRANSMIT_THREADS, MAX_TRANSMIT_RETRY_ATTEMPT, RETRY_JITTER.
    """
    retries = int(settings["MAX_TRANSMIT_RETRY_ATTEMPT"])
    return LaneKind(
        name="transmit",
        lanes=PUBLISH_LANES,
        work=PUBLISH_QUEUE,
        in_progress={"state": RowState.IN_PROGRESS},
        waiting={"state": WAITING_ROWS},
        lease=timedelta(seconds=settings["LEASE_SECONDS"]),
        threads=int(settings["TRANSMIT_THREADS"]),
        retries=RetryPolicy(retries, settings["RETRY_JITTER"], Random()),
    )


def not_formatted(row: Document) -> str:
    """Refuse to format a row.

    Raises:
        NotFound: always.
    """
    raise NotFound("There is nothing to format the item with")


class TransmitContent:
    """Deliver what is due.

    Safe to run in several processes at once and to kill at any point: a lane is leased by one run
    at a time, and what a dead run held is sent again with the same key when its lease ends.

    Args:
        transmitters: delivery types by name.
        vault: decrypts the secrets of destinations.
        media: the binaries that deliveries take along.
        notifier: tells clients.
        on_failed: called with rows of one lane that have failed for good.
        settings: LEASE_SECONDS, TRANSMIT_THREADS, MAX_TRANSMIT_QUERY_LIMIT,
            MAX_TRANSMIT_RETRY_ATTEMPT, RETRY_JITTER, ERROR_NOTIFICATIONS,
            EMAIL_NOTIFICATION_RESEND and those of the transmitters.
        sends_mail: whether mails are sent at all.
        format_row: formats the item of a row that could not be formatted before.
    """

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        *,
        sequences: Sequences,
        transmitters: Registry[Transmitter],
        vault: Vault,
        media: MediaStorage,
        notifier: Notifier,
        settings: Mapping[str, Any],
        on_failed: Callable[[Sequence[Document]], None] = lambda rows: None,
        sends_mail: bool = False,
        format_row: Callable[[Document], str] = not_formatted,
    ) -> None:
        self._db = db
        self._clock = clock
        self._notifier = notifier
        self._on_failed = on_failed
        self._registry = transmitters
        self._pool = TransmitterPool(transmitters, transmit_settings(settings))
        self._payloads = Payloads(db)
        self._kind = lane_kind(settings)
        self._limit = int(settings["MAX_TRANSMIT_QUERY_LIMIT"])
        self._recovery = Recovery(db, clock, sequences, notifier=notifier, on_failed=on_failed)
        self._failures = Failures(
            db, clock, notifier=notifier, sends_mail=sends_mail, settings=settings
        )
        self._sender = RowSender(
            Attempts(clock, self._kind.retries),
            transmitters=self._pool,
            vault=vault,
            media=media,
            payloads=self._payloads,
            find_item=self._published_version,
            format_row=format_row,
        )
        self._lanes = LaneRun(
            db,
            clock,
            self._kind,
            self._new_server,
            lost=LostRows(db, clock, self._kind),
            prepare=self._recovery.adopt,
        )

    def run(self, stop: Event | None = None) -> int:
        """Attempt every delivery that is due now; return how many were attempted.

        Args:
            stop: ends the run early; rows that were not started go back.

        Raises:
            PyMongoError: the store is away. The next run looks for rows that were lost meanwhile.
        """
        return self._lanes.run(stop)

    def take_turn(self, again: Callable[[], object]) -> int:
        """Attempt what is due, for a while; return how many deliveries were attempted.

        However much waits, other tasks of the worker process get their turn, too: what is published
        meanwhile has to be routed.

        Args:
            again: called where more is due; asks for the next turn.

        Raises:
            PyMongoError: the store is away.
        """
        return self._lanes.run(seconds=TURN_SECONDS, on_ended=again)

    def close(self) -> None:
        """Close the connections to destinations."""
        self._pool.close()

    def _published_version(self, row: Mapping[str, Any]) -> Document | None:
        """Return the version of the item that a row is about, None when it is gone."""
        version = {"item_id": row["item_id"], "_current_version": row.get("item_version")}
        return self._db[PUBLISHED].find_one(version, sort=[("publish_sequence_no", -1)])

    def _new_server(self, run: RunContext) -> RowServer:
        tools = LaneTools(
            db=self._db,
            clock=self._clock,
            kind=self._kind,
            claims=RowClaims(self._db, self._clock, run.claims),
            sender=self._sender,
            payloads=self._payloads,
            registry=self._registry,
            notifier=self._notifier,
            failures=self._failures,
            closed=set(),
            recovery=self._recovery,
            may_continue=run.may_continue,
            on_failed=self._on_failed,
        )
        return RowServer(tools, Subscribers(self._db), run.upcoming, self._limit)


class TransmitTurn:
    """What the task of the transmit run does.

    Args:
        transmit: the run.
        again: starts the task once more, behind those that wait.
    """

    def __init__(self, transmit: TransmitContent, again: Callable[[], None]) -> None:
        self._transmit = transmit
        self._again = again

    def run(self) -> int:
        """Take one turn; return how many deliveries were attempted."""
        return self._transmit.take_turn(self._again)

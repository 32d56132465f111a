"""The transmit run: delivers everything that is due in the lanes of the wire."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from random import Random
from threading import Event
from typing import Any

from pymongo.database import Database

from apps.core.clock import Clock
from apps.core.errors import NotFound
from apps.core.notifier import Notifier
from apps.core.registry import Registry
from apps.core.service import Document
from apps.core.stopping import ASKED
from apps.core.tasks import Run
from apps.core.vocabulary import RowState
from apps.lanes.health import HealthPolicy
from apps.lanes.kind import LaneKind
from apps.lanes.retries import RetryPolicy
from apps.lanes.run import LaneRun, RunContext
from apps.media.storage import MediaStorage
from apps.monitoring.counters import DeliveryCounters
from apps.publish.queue.payloads import Payloads
from apps.publish.queue.rows import published_version
from apps.publish.transmit.attempt import Attempts, RowSender
from apps.publish.transmit.attempt_log import AttemptLog
from apps.publish.transmit.claim import RowClaims
from apps.publish.transmit.destinations import Subscribers, TransmitterPool, transmit_settings
from apps.publish.transmit.failures import Failures
from apps.publish.transmit.lane import LaneTools, RowServer
from apps.publish.transmit.recover import LostRows, Recovery
from apps.publish.transmit.results import ResultWriter
from apps.routing.subscribers.stored_destinations import subscriber_part_of
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
        settings: LEASE_SECONDS, TRANSMIT_THREADS, MAX_TRANSMIT_RETRY_ATTEMPT, RETRY_JITTER,
            DISABLE_FAILING_AFTER_DAYS, DISABLE_FAILING_AFTER_ATTEMPTS, DISABLE_GONE.
    """
    retries = int(settings["MAX_TRANSMIT_RETRY_ATTEMPT"])
    days = float(settings["DISABLE_FAILING_AFTER_DAYS"])
    return LaneKind(
        name="transmit",
        lanes=PUBLISH_LANES,
        work=PUBLISH_QUEUE,
        in_progress={"state": RowState.IN_PROGRESS},
        waiting={"state": WAITING_ROWS},
        lease=timedelta(seconds=settings["LEASE_SECONDS"]),
        threads=int(settings["TRANSMIT_THREADS"]),
        group=subscriber_part_of,
        retries=RetryPolicy(retries, settings["RETRY_JITTER"], Random()),
        health=HealthPolicy(
            hopeless_after=timedelta(days=days) if days > 0 else None,
            hopeless_attempts=int(settings["DISABLE_FAILING_AFTER_ATTEMPTS"]),
            gives_up_gone=bool(settings["DISABLE_GONE"]),
        ),
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
        counters: of deliveries.
        on_claim: called whenever this process looks for what is due.
        settings: LEASE_SECONDS, TRANSMIT_THREADS, MAX_TRANSMIT_QUERY_LIMIT,
            ERROR_NOTIFICATIONS, EMAIL_NOTIFICATION_RESEND, PUBLIC_URL, those of `lane_kind` and of
            the transmitters.
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
        counters: DeliveryCounters,
        settings: Mapping[str, Any],
        on_claim: Callable[[], None] = lambda: None,
        sends_mail: bool = False,
        format_row: Callable[[Document], str] = not_formatted,
    ) -> None:
        self._db = db
        self._clock = clock
        self._notifier = notifier
        self._registry = transmitters
        self._pool = TransmitterPool(transmitters, transmit_settings(settings))
        self._payloads = Payloads(db)
        self._kind = lane_kind(settings)
        self._limit = int(settings["MAX_TRANSMIT_QUERY_LIMIT"])
        self._attempt_log = AttemptLog(counters, transmitters, self._kind.retries)
        self._result_writer = ResultWriter()
        self._on_claim = on_claim
        self._failures = Failures(
            db, clock, notifier=notifier, sends_mail=sends_mail, settings=settings
        )
        self._recovery = Recovery(
            db,
            clock,
            sequences,
            notifier=notifier,
            on_failed=self._failures.exhausted,
            on_lost=self._attempt_log.lost,
        )
        self._sender = RowSender(
            Attempts(clock, self._kind.retries),
            transmitters=self._pool,
            vault=vault,
            media=media,
            payloads=self._payloads,
            find_item=partial(published_version, db[PUBLISHED]),
            format_row=format_row,
        )
        self._lanes = LaneRun(
            db,
            clock,
            self._kind,
            self._new_server,
            lost=LostRows(db, clock, self._kind),
            prepare=self._recovery.adopt,
            finish=self._attempt_log.close,
        )

    def run(self, stop: Event = ASKED) -> int:
        """Attempt every delivery that is due now; return how many were attempted.

        Args:
            stop: ends the run early; rows that were not started go back. Unless given, the run ends
                when the process is asked to.

        Raises:
            PyMongoError: the store is away. The next run looks for rows that were lost meanwhile.
        """
        return self._run(stop=stop)

    def take_turn(self, again: Callable[[], object], *, urgent_only: bool = False) -> int:
        """Attempt what is due, for a while; return how many deliveries were attempted.

        However much waits, other tasks of the worker process get their turn, too: what is published
        meanwhile has to be routed.

        Args:
            again: called where more is due; asks for the next turn.
            urgent_only: leave all but what is urgent to others.

        Raises:
            PyMongoError: the store is away.
        """
        return self._run(seconds=TURN_SECONDS, on_ended=again, urgent_only=urgent_only)

    def _run(self, **how: Any) -> int:
        """Run the lanes; the arguments are those of `LaneRun.run`."""
        try:
            sent = self._lanes.run(**how)
            self._on_claim()
            return sent
        finally:
            self._attempt_log.close()

    def close(self) -> None:
        """Close the connections to destinations, once what is under way has ended."""
        self._lanes.wait()
        self._pool.close()

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
            attempt_log=self._attempt_log,
            result_writer=self._result_writer,
            on_claim=self._on_claim,
            closed=set(),
            recovery=self._recovery,
            may_continue=run.may_continue,
            urgent_only=run.urgent_only,
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


class PriorityTurn:
    """What the task of urgent deliveries does. It waits for nothing that is not urgent.

    Args:
        enqueue: routes what was published: a kill, too.
        transmit: the run.
        again: starts the task once more, behind those that wait.
    """

    def __init__(self, enqueue: Run, transmit: TransmitContent, again: Callable[[], None]) -> None:
        self._enqueue = enqueue
        self._transmit = transmit
        self._again = again

    def run(self) -> int:
        """Take one turn; return how many deliveries were attempted."""
        self._enqueue.run()
        return self._transmit.take_turn(self._again, urgent_only=True)

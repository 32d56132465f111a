"""One transmit run: delivers everything that is due, several lanes at a time."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from random import Random
from threading import Event
from typing import Any
from uuid import uuid4

from pymongo.database import Database
from pymongo.errors import PyMongoError

from apps.core.clock import Clock
from apps.core.errors import NotFound
from apps.core.notifier import Notifier
from apps.core.registry import Registry
from apps.core.service import Document
from apps.lanes.claims import LaneClaims
from apps.lanes.dispatcher import Dispatcher, Heartbeat
from apps.lanes.retries import RetryPolicy
from apps.media.storage import MediaStorage
from apps.publish.queue.payloads import Payloads
from apps.publish.transmit.attempt import Attempts, RowSender
from apps.publish.transmit.claim import RowClaims
from apps.publish.transmit.destinations import Subscribers, TransmitterPool, transmit_settings
from apps.publish.transmit.failures import Failures
from apps.publish.transmit.lane import LaneTools
from apps.publish.transmit.recover import Recovery
from apps.publish.transmit.worker import LaneWorker
from apps.secrets.vault import Vault
from apps.store.collections import PUBLISH_LANES
from apps.store.sequences import Sequences
from transmitters.base import Transmitter

LOOK_FOR_WAITING = timedelta(minutes=5)
NEVER = datetime.min.replace(tzinfo=UTC)


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
        self._lease = timedelta(seconds=settings["LEASE_SECONDS"])
        self._threads = int(settings["TRANSMIT_THREADS"])
        self._limit = int(settings["MAX_TRANSMIT_QUERY_LIMIT"])
        self._recovery = Recovery(db, clock, sequences, notifier=notifier, on_failed=on_failed)
        self._looked_for_lost_at = self._looked_for_waiting_at = NEVER
        self._failures = Failures(
            db, clock, notifier=notifier, sends_mail=sends_mail, settings=settings
        )
        retries = int(settings["MAX_TRANSMIT_RETRY_ATTEMPT"])
        policy = RetryPolicy(retries, settings["RETRY_JITTER"], Random())
        self._sender = RowSender(
            Attempts(clock, policy),
            transmitters=self._pool,
            vault=vault,
            media=media,
            payloads=self._payloads,
            format_row=format_row,
        )

    def run(self, stop: Event | None = None) -> int:
        """Attempt every delivery that is due now; return how many were attempted.

        Args:
            stop: ends the run early; rows that were not started go back.

        Raises:
            PyMongoError: the store is away. The next run looks for rows that were lost meanwhile.
        """
        try:
            return self._run(stop or Event())
        except PyMongoError:
            self._looked_for_lost_at = self._looked_for_waiting_at = NEVER
            raise

    def _run(self, stop: Event) -> int:
        self._look_after_rows()
        claims = LaneClaims(self._db[PUBLISH_LANES], self._clock, self._lease, uuid4().hex)
        dispatcher = Dispatcher(claims)
        waiting = dispatcher.waiting()
        if not waiting:
            return 0
        with Heartbeat(claims, self._lease, stop) as heartbeat:
            worker = LaneWorker(
                self._tools(claims, heartbeat),
                dispatcher,
                Subscribers(self._db),
                self._limit,
            )
            count = min(self._threads, waiting)
            with ThreadPoolExecutor(count, "transmit") as threads:
                return sum(threads.map(lambda _: worker.work(), range(count)))

    def close(self) -> None:
        """Close the connections to destinations."""
        self._pool.close()

    def _look_after_rows(self) -> None:
        self._recovery.adopt()
        now = self._clock.precise()
        if now - self._looked_for_lost_at > self._lease:
            self._recovery.wake_lost()
            self._looked_for_lost_at = now
        if now - self._looked_for_waiting_at > LOOK_FOR_WAITING:
            self._recovery.wake_waiting()
            self._looked_for_waiting_at = now

    def _tools(self, claims: LaneClaims, heartbeat: Heartbeat) -> LaneTools:
        return LaneTools(
            db=self._db,
            clock=self._clock,
            lanes=claims,
            claims=RowClaims(self._db, self._clock, claims),
            sender=self._sender,
            payloads=self._payloads,
            registry=self._registry,
            notifier=self._notifier,
            failures=self._failures,
            closed=set(),
            recovery=self._recovery,
            may_continue=heartbeat.is_safe,
            on_failed=self._on_failed,
        )

"""What is measured of the wire, for Prometheus, of all processes (delivery contract 14.4).

A scrape costs the same whatever is stored: it counts by indexes, up to a limit, and looks at the
destinations that have waited for longest, up to a limit. Finished rows are not looked at: what has
become of them is counted when it happens (`apps/monitoring/counters.py`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Any

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from pymongo.database import Database

from apps.core.clock import Clock, moment_of
from apps.core.documents import object_of, objects_of, text_of
from apps.core.ids import id_key
from apps.core.service import Document
from apps.core.vocabulary import RowState
from apps.lanes.breaker import Circuit
from apps.monitoring.counters import ATTEMPT_MS, DELIVERED_SECONDS, totals
from apps.monitoring.exposition import buckets_of, exposed
from apps.monitoring.processes import last_claim, processes, tasks_of
from apps.publish.queue.lane_state import HELD_TO, held_to
from apps.publish.queue.sending import as_stored, rows_being_sent
from apps.publish.transmit.held import HeldRows
from apps.routing.subscribers.stored_destinations import (
    destination_id,
    destination_of,
    subscriber_of,
)
from apps.store.by_id import find_all_by_id
from apps.store.collections import PUBLISH_LANES, PUBLISH_QUEUE, SUBSCRIBERS
from apps.store.indexes import DOWN_LANES, EPOCH

PREFIX = "wiredesk"
OPEN_STATES = (RowState.PENDING, RowState.IN_PROGRESS, RowState.RETRYING)
MOST_ROWS = 100_000
"""Rows of a state that are counted."""
MOST_DESTINATIONS = 100
"""Destinations that are told apart: those that have waited for longest."""
OF_DESTINATION = ("subscriber", "destination", "subscriber_name", "destination_name")


class DeliveryMetrics:
    """Tells what is measured.

    Args:
        db: the database.
        clock: source of the current time.
    """

    def __init__(self, db: Database[Document], clock: Clock) -> None:
        self._db = db
        self._rows = db[PUBLISH_QUEUE]
        self._lanes = db[PUBLISH_LANES]
        self._clock = clock

    def text(self) -> bytes:
        """Return what is measured in the form that Prometheus reads."""
        now = self._clock.precise()
        found = processes(self._db, now)
        return exposed(
            chain(
                [self._waiting()],
                self._destinations(now),
                counted(totals(self._db)),
                running(found, now),
            )
        )

    def _waiting(self) -> Metric:
        rows = _gauge("rows", f"Rows of the delivery queue by state, {MOST_ROWS} at most", "state")
        being_sent = rows_being_sent(self._db)
        for state in OPEN_STATES:
            shown = as_stored({"state": state}, being_sent)
            rows.add_metric([state], self._rows.count_documents(shown, limit=MOST_ROWS))
        return rows

    def _destinations(self, now: datetime) -> Iterator[Metric]:
        """Yield what is measured of destinations where something waits, or that are down."""
        waiting = self._waiting_lanes()
        down = self._lanes_that_are_down()
        names = self._names(lane["_id"] for lane in (*waiting, *down))
        lag = _gauge("lag_seconds", "Age of the oldest row that is due", *OF_DESTINATION)
        longest = 0.0
        for lane in waiting:
            # Of others nothing is due: they were closed, or are gone.
            if lane["_id"] in names and (since := self._due_since(lane, now)) is not None:
                age = max((now - since).total_seconds(), 0.0)
                longest = max(longest, age)
                lag.add_metric(names[lane["_id"]], age)
        yield lag
        most = _gauge("lag_seconds_max", "The longest of these")
        most.add_metric([], longest)
        yield most
        yield from self._breakers(down, names, now)

    def _breakers(
        self, down: Sequence[Document], names: Mapping[str, list[str]], now: datetime
    ) -> Iterator[Metric]:
        text = "Destinations whose breaker is not closed"
        breaker = _gauge("breaker", text, *OF_DESTINATION, "state")
        for lane in down:
            until = moment_of(object_of(lane, "breaker").get("open_until"))
            state = Circuit.OPEN if until and until > now else Circuit.HALF_OPEN
            if lane["_id"] in names:
                breaker.add_metric([*names[lane["_id"]], state], 1)
        yield breaker
        number = _gauge("breakers", "How many these are, told apart or not")
        count = len(breaker.samples)
        if len(down) == MOST_DESTINATIONS:
            count = self._lanes.count_documents(DOWN_LANES, limit=MOST_ROWS)
        number.add_metric([], count)
        yield number

    def _waiting_lanes(self) -> list[Document]:
        """Return the lanes with work that are due first; one command."""
        found = self._lanes.find({"wake_at": {"$gt": EPOCH}, "paused": None}, {HELD_TO: 1})
        return list(found.sort("wake_at", 1).limit(MOST_DESTINATIONS))

    def _lanes_that_are_down(self) -> list[Document]:
        found = self._lanes.find({**DOWN_LANES, "paused": None}, {"breaker.open_until": 1})
        return list(found.sort("breaker.open_until", 1).limit(MOST_DESTINATIONS))

    def _names(self, lanes: Iterable[str]) -> dict[str, list[str]]:
        """Return the labels of lanes whose subscribers are active; one command."""
        owners = {lane: subscriber_of(lane) for lane in lanes}
        fields = {"name": 1, "is_active": 1, "destinations": 1}
        found = find_all_by_id(self._db[SUBSCRIBERS], set(owners.values()), fields)
        return {
            lane: labels_of(lane, subscriber)
            for lane, owner in owners.items()
            if (subscriber := found.get(owner)) and subscriber.get("is_active")
        }

    def _due_since(self, lane: Mapping[str, Any], now: datetime) -> datetime | None:
        """Return since when the oldest row of a lane is due; None where none is; three commands.

        Of rows that wait for their first attempt that of each priority that comes next is the
        oldest. Those that are held back are not due.
        """
        fields = {"_created": 1, "next_retry_attempt_at": 1}
        last = held_to(lane)
        free = {} if last is None else HeldRows(self._rows, lane["_id"], last).others
        waiting = {"lane": lane["_id"], "state": RowState.PENDING, **free}
        times = []
        for priority in (True, False):
            next_one = self._rows.find_one(
                {**waiting, "priority": priority}, fields, sort=[("order_no", 1)]
            )
            times.append(moment_of((next_one or {}).get("_created")))
        again = {**waiting, "state": RowState.RETRYING, "next_retry_attempt_at": {"$lte": now}}
        retry = self._rows.find_one(again, fields, sort=[("next_retry_attempt_at", 1)])
        times.append(moment_of((retry or {}).get("next_retry_attempt_at")))
        return min(filter(None, times), default=None)


def labels_of(lane: str, subscriber: Mapping[str, Any]) -> list[str]:
    """Return the labels of a lane."""
    wanted = destination_of(lane)
    own = (d for d in objects_of(subscriber, "destinations") if destination_id(d) == wanted)
    name = text_of(next(own, {}), "name")
    return [id_key(subscriber["_id"]), wanted, text_of(subscriber, "name"), name]


def counted(types: Iterable[Mapping[str, Any]]) -> Iterator[Metric]:
    """Yield what has been counted since the beginning.

    Args:
        types: the counts of delivery types.
    """
    attempts = CounterMetricFamily(
        f"{PREFIX}_attempts", "Attempts at deliveries", labels=("type", "outcome")
    )
    lasted = _histogram("attempt_seconds", "How long attempts took")
    delivered = _histogram("delivered_seconds", "From publication to delivery")
    for known in types:
        type_ = str(known["type"])
        for outcome, count in sorted(object_of(known, "outcomes").items()):
            attempts.add_metric([type_, outcome], count)
        lasted.add_metric([type_], *buckets_of(object_of(known, "ms"), ATTEMPT_MS, 0.001))
        delivered.add_metric([type_], *buckets_of(object_of(known, "seconds"), DELIVERED_SECONDS))
    yield from (attempts, lasted, delivered)


def running(found: list[Document], now: datetime) -> Iterator[Metric]:
    """Yield what is known of the processes that are alive."""
    alive = _gauge("processes", "Processes that are alive", "name")
    names = [text_of(process, "name") for process in found]
    for name in sorted(set(names)):
        alive.add_metric([name], names.count(name))
    tick = _gauge("task_age_seconds", "Since when no process was at work on a task", "task")
    for task, at in sorted(tasks_of(found).items()):
        tick.add_metric([task], max((now - at).total_seconds(), 0.0))
    claim = _gauge("claim_age_seconds", "Since when nobody has looked for due deliveries")
    if claimed_at := last_claim(found):
        claim.add_metric([], max((now - claimed_at).total_seconds(), 0.0))
    yield from (alive, tick, claim)


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"{PREFIX}_{name}", text, labels=labels)


def _histogram(name: str, text: str) -> HistogramMetricFamily:
    return HistogramMetricFamily(f"{PREFIX}_{name}", text, labels=("type",))

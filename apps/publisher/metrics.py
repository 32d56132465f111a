"""What is measured of CMS sites, for Prometheus: by integration, and of one account only.

Counts are kept in the lanes of integrations, where they are written with the release of the lane;
what waits is looked up when somebody asks.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from pymongo.database import Database

from apps.core.clock import Clock
from apps.core.documents import object_of
from apps.core.service import Document
from apps.monitoring.counters import step_of
from apps.monitoring.exposition import buckets_of, exposed
from apps.publisher.schema import Phase, RecordStatus, WishAction
from apps.store.collections import PUBLISHER_INTEGRATIONS, PUBLISHER_LANES, PUBLISHING_RECORDS

PREFIX = "wiredesk_publisher"
LABELS = ("account", "integration", "name", "destination")
LIVE_BOUNDS = (5, 15, 30, 60, 120, 300, 900, 3600)
"""Seconds until readers see a version, the upper ends of the steps in which they are counted."""
NO_ERROR = "none"


def seconds_until_live(seconds: float) -> dict[str, float]:
    """Return what is added to the counts of a lane for a version that readers see."""
    return {f"live.steps.{step_of(seconds, LIVE_BOUNDS)}": 1, "live.seconds": seconds}


class PublisherMetrics:
    """Tells what is measured; three commands, whatever there is.

    Args:
        db: the database.
        clock: source of the current time.
    """

    def __init__(self, db: Database[Document], clock: Clock) -> None:
        self._db = db
        self._clock = clock

    def text(self, account: str | None) -> bytes:
        """Return what is measured in the form that Prometheus reads.

        Args:
            account: whose integrations; None for all.
        """
        return exposed(self._metrics(account))

    def _metrics(self, account: str | None) -> Iterable[Metric]:
        query = {} if account is None else {"account": account}
        fields = dict.fromkeys(("account", "name", "destination"), 1)
        found = list(self._db[PUBLISHER_INTEGRATIONS].find(query, fields).sort("_id", 1))
        labels = {each["_id"]: _labels(each) for each in found}
        ids = {"_id": {"$in": [str(id_) for id_ in labels]}}
        lanes = {lane["_id"]: lane for lane in self._db[PUBLISHER_LANES].find(ids, {"counts": 1})}
        counts = {id_: object_of(lanes.get(str(id_)) or {}, "counts") for id_ in labels}
        yield from _counted(labels, counts)
        yield from self._waiting(labels)

    def _waiting(self, labels: Mapping[Any, list[str]]) -> Iterable[Metric]:
        waiting = _gauge(
            "waiting", "Records that wait, by the class of what is in the way", "class"
        )
        age = _gauge("queue_age_seconds", "For how long the oldest of them has waited")
        kills = _gauge("kills_outstanding", "Retractions that are not carried out yet")
        failed = _gauge(
            "failed", "Records that were given up, by the class of their error", "class"
        )
        now = self._clock.precise()
        by_class, summed = self._by_class(labels, now), {id_: _Sum() for id_ in labels}
        for row in by_class:
            id_, name = row["_id"]["integration"], row["_id"].get("class") or NO_ERROR
            if row["_id"]["waits"]:
                waiting.add_metric([*labels[id_], name], row["count"])
                summed[id_].add(row)
            else:
                failed.add_metric([*labels[id_], name], row["count"])
        for id_, total in summed.items():
            oldest = (now - total.oldest).total_seconds() if total.oldest else 0.0
            age.add_metric(labels[id_], max(oldest, 0.0))
            kills.add_metric(labels[id_], total.kills)
        return (waiting, age, kills, failed)

    def _by_class(self, labels: Mapping[Any, list[str]], now: datetime) -> Iterable[Document]:
        """Return how many records wait or were given up, by integration and class of error."""
        ours = {"integration": {"$in": list(labels)}}
        waits = {**ours, "phase": {"$ne": Phase.IDLE}, "next_attempt_at": {"$type": "date"}}
        given_up = {**ours, "status": RecordStatus.FAILED, "next_attempt_at": None}
        since = {"$max": ["$desired.at", "$desired.schedule_at"]}
        of_kill = {"$eq": ["$desired.action", WishAction.RETRACT]}
        return self._db[PUBLISHING_RECORDS].aggregate(
            [
                {"$match": {"$or": [waits, given_up]}},
                {
                    "$group": {
                        "_id": {
                            "integration": "$integration",
                            "class": "$error.class",
                            "waits": {"$eq": [{"$type": "$next_attempt_at"}, "date"]},
                        },
                        "count": {"$sum": 1},
                        "oldest": {"$min": {"$cond": [{"$lte": [since, now]}, since, None]}},
                        "kills": {"$sum": {"$cond": [of_kill, 1, 0]}},
                    }
                },
            ]
        )


class _Sum:
    """Of the records of an integration that wait."""

    def __init__(self) -> None:
        self.oldest: datetime | None = None
        self.kills = 0

    def add(self, row: Mapping[str, Any]) -> None:
        self.oldest = min(filter(None, (self.oldest, row["oldest"])), default=None)
        self.kills += row["kills"]


def _labels(integration: Mapping[str, Any]) -> list[str]:
    names = ("account", "_id", "name", "destination")
    return [str(integration.get(name) or "") for name in names]


def _gauge(name: str, text: str, *more: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"{PREFIX}_{name}", text, labels=(*LABELS, *more))


def _counter(name: str, text: str, *more: str) -> CounterMetricFamily:
    return CounterMetricFamily(f"{PREFIX}_{name}", text, labels=(*LABELS, *more))


def _counted(
    labels: Mapping[Any, list[str]], counts: Mapping[Any, Mapping[str, Any]]
) -> Iterable[Metric]:
    """Return the metrics that lanes have counted."""
    outcomes = _counter("outcomes", "Wishes that were carried out, by what came of them", "outcome")
    errors = _counter("errors", "Tries that have failed, by the class of their error", "class")
    twins = _counter("duplicates_removed", "Second posts of a story that were found and removed")
    text = "Seconds until readers saw a version, since it went out, or was asked for"
    live = HistogramMetricFamily(f"{PREFIX}_live_seconds", text, labels=LABELS)
    for id_, own in labels.items():
        known = counts[id_]
        for family, name in ((outcomes, "outcomes"), (errors, "errors")):
            for word, count in sorted(object_of(known, name).items()):
                family.add_metric([*own, word], count)
        twins.add_metric(own, known.get("duplicates_removed") or 0)
        measured = object_of(known, "live")
        counted = {**measured, "sum": measured.get("seconds")}
        live.add_metric(own, *buckets_of(counted, LIVE_BOUNDS, 1.0))
    return (outcomes, errors, twins, live)

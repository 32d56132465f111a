"""What is measured, in the text form that Prometheus reads."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import Lock
from typing import Any

from cachetools import TTLCache, cached
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from apps.core.documents import object_of
from apps.monitoring.counters import BEYOND

CONTENT_TYPE = CONTENT_TYPE_LATEST
KEPT_SECONDS = 5
"""How long an answer counts: asking more often costs the store nothing."""


class Metrics:
    """Everything that is measured of an installation, of all its processes.

    Args:
        parts: return the text of one part each.
    """

    def __init__(self, parts: Sequence[Callable[[], bytes]]) -> None:
        kept: TTLCache[Any, bytes] = TTLCache(1, KEPT_SECONDS)
        # Who asks while it is being written waits for that.
        self.text = cached(kept, lock=Lock())(lambda: b"".join(part() for part in parts))


class _Measured(Collector):
    """Hands metrics to the library as they are."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def exposed(metrics: Iterable[Metric]) -> bytes:
    """Return metrics as text."""
    registry = CollectorRegistry()
    registry.register(_Measured(list(metrics)))
    return generate_latest(registry)


def buckets_of(
    counted: Mapping[str, Any], bounds: Iterable[int], unit: float = 1.0
) -> tuple[list[tuple[str, float]], float]:
    """Return the buckets of a histogram, each with all below it, and the sum of what was counted.

    Args:
        counted: `steps` by their upper ends, and `sum`.
        bounds: upper ends of all steps but the last.
        unit: seconds of what was counted.
    """
    steps, total = object_of(counted, "steps"), 0.0
    buckets = []
    for bound in bounds:
        total += steps.get(str(bound)) or 0
        buckets.append((str(bound * unit), total))
    buckets.append(("+Inf", total + (steps.get(BEYOND) or 0)))
    return buckets, (counted.get("sum") or 0) * unit

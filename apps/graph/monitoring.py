"""The part of the object graph that tells how the installation does."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from apps.core.service import ResourceService
from apps.graph.foundation import Foundation
from apps.monitoring.exposition import Metrics
from apps.monitoring.health import Health
from apps.monitoring.service import DeliveryCountersService, ProcessesService
from apps.publish.metrics import DeliveryMetrics
from apps.publisher.metrics import PublisherMetrics


@dataclass(frozen=True)
class MonitoringServices:
    """What those who run an installation ask.

    Attributes:
        metrics: of the wire and of all CMS sites, for Prometheus.
        health: whether it works.
        services: the service behind each resource.
    """

    metrics: Metrics
    health: Health
    services: Mapping[str, ResourceService]


def build_monitoring(base: Foundation, sites: PublisherMetrics) -> MonitoringServices:
    """Build the services of monitoring.

    Args:
        sites: what is measured of CMS sites.
    """
    db, clock, settings = base.db, base.clock, base.settings
    wire = DeliveryMetrics(db, clock)
    return MonitoringServices(
        metrics=Metrics([wire.text, partial(sites.text, None)]),
        health=Health(
            db,
            clock,
            base.process,
            settings["REDIS_URL"],
            has_workers=not settings["CELERY_TASK_ALWAYS_EAGER"],
        ),
        services={
            "delivery_counters": DeliveryCountersService(db, clock),
            "processes": ProcessesService(db, clock),
        },
    )

"""The object graph of a process: every service with its collaborators."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pymongo.monitoring import CommandListener

from apps.content_api.expiry import CopyExpiry
from apps.core import hooks
from apps.core.clock import Clock
from apps.core.service import ResourceService
from apps.core.tasks import wake_up
from apps.graph.content_api import ContentApiServices, build_content_api
from apps.graph.editing import EditingServices, build_editing
from apps.graph.foundation import Foundation, build_foundation
from apps.graph.monitoring import MonitoringServices, build_monitoring
from apps.graph.newsroom import NewsroomServices, build_newsroom
from apps.graph.output import OutputServices, build_output
from apps.graph.publisher import build_publisher, build_site_work
from apps.graph.publishing import PublishingServices, build_publishing, transmit_wake_up
from apps.graph.retention import RetentionServices, build_retention
from apps.graph.routing import RoutingServices, build_routing
from apps.monitoring.processes import ProcessNotes
from apps.publish.content.pictures import check_mapping
from apps.publish.enqueue import EnqueueContent
from apps.publish.enqueue.formatting import ItemFormatting
from apps.publish.transmit import (
    PriorityTurn,
    TransmitContent,
    TransmitTurn,
    transmit,
    transmit_priority,
)
from apps.publisher.deployments.run import DeploymentRun
from apps.publisher.run.run import SiteRun
from apps.publisher.run.upkeep import Cleanup, LateRetractions, SiteSync
from apps.publisher.services import PublisherServices
from apps.retention.expiry import ContentExpiry
from apps.retention.legal_archive.items import LegalItems
from apps.retention.legal_archive.queue import LegalQueue


@dataclass(frozen=True)
class Graph(Foundation):
    """What the web process, the workers and the commands share."""

    newsroom: NewsroomServices
    editing: EditingServices
    routing: RoutingServices
    content_api: ContentApiServices
    publishing: PublishingServices
    publisher: PublisherServices
    retention: RetentionServices
    output: OutputServices
    monitoring: MonitoringServices

    # What Celery tasks run (apps/core/tasks.py).
    enqueue: EnqueueContent
    transmit: TransmitContent
    transmit_turn: TransmitTurn
    priority_turn: PriorityTurn
    expiry: ContentExpiry
    content_api_expiry: CopyExpiry
    legal_items: LegalItems
    legal_queue: LegalQueue
    site_run: SiteRun
    deployment_run: DeploymentRun
    site_sync: SiteSync
    late_retractions: LateRetractions
    publisher_cleanup: Cleanup

    @property
    def services(self) -> dict[str, ResourceService]:
        """The service behind each resource."""
        return {
            **self.newsroom.services,
            **self.editing.services,
            **self.routing.services,
            **self.content_api.services,
            **self.publishing.services,
            **self.publisher.services,
            **self.retention.services,
            **self.output.services,
            **self.monitoring.services,
        }

    def close(self) -> None:
        """Let go of connections."""
        self.transmit.close()
        super().close()


def build_graph(
    settings: Mapping[str, Any],
    *,
    clock: Clock | None = None,
    listeners: Sequence[CommandListener] = (),
    has_indexes: bool = False,
    process: ProcessNotes | None = None,
    answer_seconds: float | None = None,
) -> Graph:
    """Connect and build every service.

    Args:
        settings: as `settings.load` returns them, with the addresses of both stores.
        clock: source of time; the store's unless given.
        listeners: pymongo command listeners, for benchmarks.
        has_indexes: the caller has seen to the indexes of the database.
        process: what this process does; nothing yet unless given.
        answer_seconds: longest wait for one answer of the database; any, unless given.

    Raises:
        ConfigurationError: a setting names what is not there.
    """
    hooks.load_receivers(settings["HOOK_MODULES"])
    check_mapping(settings["PICTURE_METADATA_MAPPING"])
    base = build_foundation(
        settings,
        clock,
        listeners,
        has_indexes=has_indexes,
        process=process,
        answer_seconds=answer_seconds,
    )
    editing = build_editing(base)
    content_api = build_content_api(base)
    formatting = ItemFormatting(base.db, base.clock, base.formatters, settings)
    publisher = build_publisher(base)
    publishing = build_publishing(
        base, editing, content_api.backlog, formatting, [publisher.following]
    )
    retention = build_retention(base, publishing.collaborators, publisher.following.withdraw)
    site_work = build_site_work(base, publisher, transmit_wake_up(base))
    return Graph(
        **vars(base),
        newsroom=build_newsroom(base, editing.unlocker),
        editing=editing,
        routing=build_routing(base),
        content_api=content_api,
        publishing=publishing,
        publisher=publisher,
        retention=retention,
        output=build_output(base, formatting, content_api.subscriber_token),
        monitoring=build_monitoring(base, publisher.metrics),
        enqueue=publishing.enqueue,
        transmit=publishing.transmit,
        transmit_turn=TransmitTurn(publishing.transmit, wake_up(transmit)),
        priority_turn=PriorityTurn(
            publishing.enqueue, publishing.transmit, wake_up(transmit_priority)
        ),
        expiry=retention.expiry,
        content_api_expiry=content_api.expiry,
        legal_items=retention.legal_items,
        legal_queue=retention.legal_queue,
        site_run=site_work.run,
        deployment_run=site_work.deployments,
        site_sync=site_work.site_sync,
        late_retractions=site_work.late_retractions,
        publisher_cleanup=site_work.cleanup,
    )

"""The part of the object graph that publishes to CMS sites."""

from collections.abc import Callable
from functools import partial
from typing import Any

from apps.graph.foundation import Foundation
from apps.publisher.deployments.service import DeploymentsService
from apps.publisher.integrations.addresses import Addresses
from apps.publisher.integrations.connection import ConnectionTests
from apps.publisher.integrations.credentials import opened
from apps.publisher.integrations.platforms import Platforms
from apps.publisher.integrations.service import IntegrationsService
from apps.publisher.lanes import SiteLanes, StoredLanes
from apps.publisher.media.service import MediaService
from apps.publisher.records.content import Contents
from apps.publisher.records.idempotency import IdempotentRequests
from apps.publisher.records.requests import PublishRequests
from apps.publisher.records.service import RecordsService
from apps.publisher.records.status import StatusService
from apps.publisher.records.wishes import Wishes
from apps.publisher.run.pace import Pace, SiteLimits
from apps.publisher.services import PublisherServices
from apps.publisher.site_definition.service import SiteDefinitions
from apps.publisher.sites.service import SitesService
from apps.publisher.targets import Targets
from apps.publisher.taxonomies.service import Taxonomies, TaxonomyMapService


def build_publisher(
    base: Foundation,
    *,
    wake_deployments: Callable[[], None] = lambda: None,
    sync_terms: Callable[[Any], None] = lambda integration_id: None,
) -> PublisherServices:
    """Build the services of CMS sites.

    Args:
        wake_deployments: lets a worker look for deployments.
        sync_terms: reads the terms of an integration from its site, soon.
    """
    db, clock, settings, notifier = base.db, base.clock, base.settings, base.notifier
    lanes: SiteLanes = StoredLanes(db, clock)
    limits = SiteLimits(Pace.connect(settings["REDIS_URL"], settings), partial(opened, base.vault))
    platforms = Platforms(db, base.platforms, base.vault, settings, limits)
    contents, targets = Contents(db, clock.now), Targets(db)
    wishes = Wishes(db, clock, lanes, notifier)
    integrations = IntegrationsService(
        db,
        clock,
        platforms=platforms,
        vault=base.vault,
        addresses=Addresses(
            allow_http=bool(settings["PUBLISHER_ALLOW_HTTP"]),
            allow_private=bool(settings["PUBLISHER_ALLOW_PRIVATE"]),
        ),
        lanes=lanes,
        notifier=notifier,
    )
    return PublisherServices(
        opened=platforms,
        wishes=wishes,
        sites=SitesService(db, clock, base.platforms),
        integrations=integrations,
        records=RecordsService(
            db,
            clock,
            wishes=wishes,
            contents=contents,
            targets=targets,
            platforms=platforms,
            notifier=notifier,
        ),
        deployments=DeploymentsService(
            db,
            clock,
            targets=targets,
            contents=contents,
            sequences=base.sequences,
            wake=wake_deployments,
            notifier=notifier,
        ),
        taxonomy_map=TaxonomyMapService(db, clock),
        media=MediaService(db, clock),
        requests=PublishRequests(
            db, clock, contents=contents, targets=targets, platforms=platforms, wishes=wishes
        ),
        idempotent=IdempotentRequests(db, clock),
        status=StatusService(db, clock, contents),
        tests=ConnectionTests(
            db,
            clock,
            integrations=integrations,
            platforms=platforms,
            lanes=lanes,
            notifier=notifier,
        ),
        taxonomies=Taxonomies(db, clock, integrations, sync_terms),
        site_definitions=SiteDefinitions(db, clock, settings),
    )

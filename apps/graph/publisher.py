"""The part of the object graph that publishes to CMS sites."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from random import Random
from uuid import uuid4

from celery import Task

from apps.core.tasks import wake_up
from apps.graph.foundation import Foundation
from apps.lanes import RetryPolicy
from apps.publish.queue.handed_over import HandedOverRows
from apps.publisher.deployments.listing import Listing
from apps.publisher.deployments.run import DeploymentRun, deployment_lanes, deployment_waker
from apps.publisher.deployments.service import DeploymentsService
from apps.publisher.deployments.tasks import deploy
from apps.publisher.integrations.addresses import Addresses
from apps.publisher.integrations.connection import ConnectionTests
from apps.publisher.integrations.credentials import opened
from apps.publisher.integrations.platforms import Platforms
from apps.publisher.integrations.service import IntegrationsService
from apps.publisher.lanes import SiteLanes, StoredLanes
from apps.publisher.media.service import MediaService
from apps.publisher.metrics import PublisherMetrics
from apps.publisher.records.content import Contents
from apps.publisher.records.following import Following
from apps.publisher.records.requests import PublishRequests, check_usable
from apps.publisher.records.service import RecordsService
from apps.publisher.records.status import StatusService
from apps.publisher.records.wishes import Wishes
from apps.publisher.run.claims import RecordClaims
from apps.publisher.run.follow_up import OpenRows, Schedules
from apps.publisher.run.media import MediaLedger
from apps.publisher.run.pace import Pace, SiteLimits
from apps.publisher.run.public_pages import PublicPages
from apps.publisher.run.results import Results
from apps.publisher.run.run import SiteRun, site_lanes
from apps.publisher.run.steps import Steps
from apps.publisher.run.supersession import Supersession
from apps.publisher.run.tasks import dispatch
from apps.publisher.run.terms import TermLedger
from apps.publisher.run.upkeep import Cleanup, LateRetractions, SiteSync
from apps.publisher.services import PublisherServices
from apps.publisher.site_definition.service import SiteDefinitions
from apps.publisher.sites.service import SitesService
from apps.publisher.targets import Targets
from apps.publisher.taxonomies.service import Taxonomies, TaxonomyMapService
from apps.publisher.transmitter import SiteDeliveries, transmitter_for
from apps.store.collections import DEPLOYMENT_LANES
from apps.store.idempotency import IdempotentRequests


def build_publisher(base: Foundation) -> PublisherServices:
    """Build the services of CMS sites."""
    db, clock, settings, notifier = base.db, base.clock, base.settings, base.notifier
    lanes: SiteLanes = StoredLanes(db, clock, sites_wake_up(base))
    limits = SiteLimits(Pace.connect(settings["REDIS_URL"], settings), partial(opened, base.vault))
    platforms = Platforms(db, base.platforms, base.vault, settings, limits)
    contents, targets = Contents(db, clock.now), Targets(db)
    wishes = Wishes(db, clock, lanes, notifier)
    deliveries = SiteDeliveries(db, clock, contents=contents, platforms=platforms, wishes=wishes)
    for platform in base.platforms:
        base.transmitters.add(transmitter_for(platform, deliveries))
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
        following=Following(
            db,
            clock,
            contents=contents,
            platforms=base.platforms,
            wishes=wishes,
            alert=base.alerts.not_on_site,
            max_age=timedelta(seconds=settings["RULES_MAX_AGE_SECONDS"]),
        ),
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
            lanes=deployment_lanes_of(base),
            notifier=notifier,
        ),
        taxonomy_map=TaxonomyMapService(db, clock),
        media=MediaService(db, clock),
        requests=PublishRequests(
            db, clock, contents=contents, targets=targets, platforms=platforms, wishes=wishes
        ),
        idempotent=IdempotentRequests(db, clock, other_body=409),
        status=StatusService(db, clock, contents),
        tests=ConnectionTests(
            db,
            clock,
            integrations=integrations,
            platforms=platforms,
            lanes=lanes,
            notifier=notifier,
        ),
        taxonomies=Taxonomies(
            db, clock, integrations, lambda integration_id: lanes.wake(integration_id, clock.now())
        ),
        site_definitions=SiteDefinitions(db, clock, settings),
        metrics=PublisherMetrics(db, clock),
    )


def sites_wake_up(base: Foundation, task: Task = dispatch) -> Callable[[], None]:
    """Return what starts a run; nothing where deliveries wait for the next tick.

    Args:
        task: of the run; that of sites unless given.
    """
    return wake_up(task) if base.settings["TRANSMIT_IMMEDIATELY"] else lambda: None


@dataclass(frozen=True)
class SiteWork:
    """What carries out the wishes."""

    run: SiteRun
    deployments: DeploymentRun
    steps: Steps
    site_sync: SiteSync
    late_retractions: LateRetractions
    cleanup: Cleanup


def deployment_lanes_of(base: Foundation) -> SiteLanes:
    """Return the lanes of deployments."""
    return StoredLanes(base.db, base.clock, sites_wake_up(base, deploy), DEPLOYMENT_LANES)


def build_site_work(
    base: Foundation, publisher: PublisherServices, wake_transmit: Callable[[], None]
) -> SiteWork:
    """Build what carries out the wishes of all integrations, and the deployments.

    Args:
        publisher: opens the sites of integrations, and makes wishes.
        wake_transmit: starts the transmit run, for rows that are called back.
    """
    platforms = publisher.opened
    db, clock, settings = base.db, base.clock, base.settings
    owner = uuid4().hex
    lease = timedelta(seconds=settings["LEASE_SECONDS"])
    tries = int(settings["MAX_TRANSMIT_RETRY_ATTEMPT"])
    kind = site_lanes(
        lease=lease,
        threads=int(settings["PUBLISHER_THREADS"]),
        retries=RetryPolicy(tries, settings["RETRY_JITTER"], Random()),
    )
    claims = RecordClaims(db, clock, lease, owner)
    terms = TermLedger(db, clock, owner)
    pages = PublicPages(platforms.page_client, platforms.foreign_client)
    rows = OpenRows(db, HandedOverRows(db, clock), wake_transmit)
    contents = Contents(db, clock.now)
    schedules = Schedules(db, clock, contents, platforms, publisher.wishes)

    def prepare() -> None:
        rows.run()
        schedules.run()

    results = Results(
        db,
        clock,
        claims,
        base.notifier,
        base.alerts.not_on_site,
        kind.retries,
        on_result=[rows.tell, deployment_waker(deployment_lanes_of(base), clock)],
    )
    steps = Steps(
        db,
        clock,
        platform_of=platforms.open,
        claims=claims,
        results=results,
        media=MediaLedger(
            db, clock, base.media, owner, int(settings["PUBLISHER_MAX_PIXELS"]), pages.fetch
        ),
        terms=terms,
        supersession=Supersession(db, publisher.wishes),
        visit=pages.visit,
    )
    sync = SiteSync(
        db,
        clock,
        terms=terms,
        platforms=platforms,
        tests=publisher.tests,
        lanes=StoredLanes(db, clock, sites_wake_up(base)),
        retries=kind.retries,
        alert=base.alerts.not_on_site,
    )
    return SiteWork(
        run=SiteRun(db, clock, kind, steps, platforms.open, prepare, sync),
        deployments=build_deployment_run(base, publisher, lease, kind.retries),
        steps=steps,
        site_sync=sync,
        late_retractions=LateRetractions(db, clock, base.alerts.not_on_site),
        cleanup=Cleanup(db, clock),
    )


def build_deployment_run(
    base: Foundation, publisher: PublisherServices, lease: timedelta, retries: RetryPolicy
) -> DeploymentRun:
    """Build what carries out deployments.

    Args:
        lease: how long a claim is good for without being renewed.
        retries: of the lanes' engine.
    """
    contents = Contents(base.db, base.clock.now)
    return DeploymentRun(
        base.db,
        base.clock,
        deployment_lanes(lease, retries),
        listing=Listing(base.db, base.clock, contents, publisher.opened),
        contents=contents,
        wishes=publisher.wishes,
        check=partial(check_usable, publisher.opened),
        notifier=base.notifier,
    )

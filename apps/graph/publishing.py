"""The part of the object graph that publishes: lifecycle actions, enqueue run, transmit run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from apps.archive.actions.item_copy import ItemCopier
from apps.archive.actions.spike import SpikeService
from apps.content_api.backlog import CopyBacklog
from apps.core import hooks
from apps.core.service import Document, ResourceService
from apps.core.tasks import wake_up
from apps.graph.editing import EditingServices, build_context
from apps.graph.foundation import Foundation
from apps.mail.tasks import send_mails
from apps.publish.content.collaborators import Collaborators
from apps.publish.content.correction import CorrectionService
from apps.publish.content.package_items import PackageItemsService
from apps.publish.content.parent_packages import ParentPackages
from apps.publish.content.pictures import Pictures
from apps.publish.content.services import PublishServices
from apps.publish.destinations.connection_tests import ConnectionTests
from apps.publish.destinations.older_rows import OlderRows
from apps.publish.destinations.pausing import Pausing
from apps.publish.destinations.replay import Replay
from apps.publish.destinations.rotation import SecretRotation
from apps.publish.destinations.service import DestinationsService
from apps.publish.destinations.states import DestinationStates
from apps.publish.enqueue import EnqueueContent, enqueue_published
from apps.publish.enqueue.formatting import ItemFormatting
from apps.publish.enqueue.reformat import Reformatting
from apps.publish.enqueue.resends import ResendRequests
from apps.publish.enqueue.run import Follower
from apps.publish.explain.service import ExplainService
from apps.publish.resend.service import ResendService, ResendsService
from apps.publish.row_actions.service import RowActions
from apps.publish.service import PublishedService, PublishQueueService
from apps.publish.transmit import TransmitContent, transmit
from apps.publish.transmit.preview import DeliveryPreviews
from apps.retention.legal_archive.tasks import import_legal_archive
from apps.routing.internal_destinations.copies import DeskCopies
from apps.routing.subscribers.signing_secrets import SigningSecrets
from apps.store.idempotency import IdempotentRequests
from apps.validate.service import ValidateResource


@dataclass(frozen=True)
class PublishingServices:
    """Services of publishing.

    Attributes:
        collaborators: what every publish service works with.
        operations: the services of the publish operations.
        explain: tells who received an item, and why.
        queue: the delivery queue.
        row_actions: does with rows of the delivery queue what clients ask for.
        previews: shows what would be sent for a row.
        destinations: finds destinations of subscribers, and does what is asked of them.
        destination_states: tells how these do.
        idempotent: answers once what clients ask for several times.
        services: the service behind each resource.
    """

    collaborators: Collaborators
    operations: PublishServices
    explain: ExplainService
    queue: PublishQueueService
    row_actions: RowActions
    previews: DeliveryPreviews
    destinations: DestinationsService
    destination_states: DestinationStates
    idempotent: IdempotentRequests
    enqueue: EnqueueContent
    transmit: TransmitContent
    services: Mapping[str, ResourceService]


def build_publishing(
    base: Foundation,
    editing: EditingServices,
    backlog: CopyBacklog,
    formatting: ItemFormatting,
    followers: Sequence[Follower] = (),
) -> PublishingServices:
    """Build the services of publishing.

    Args:
        editing: copies items to other desks.
        backlog: stores copies for the content API.
        formatting: builds the formats of items.
        followers: act on what goes out.
    """
    db, clock, settings = base.db, base.clock, base.settings
    collaborators = build_collaborators(base)
    operations = PublishServices(collaborators)
    explain = ExplainService(db, clock)
    queue = PublishQueueService(
        db,
        clock,
        sequences=base.sequences,
        notifier=base.notifier,
        transmitters=base.transmitters,
        vault=base.vault,
        settings=settings,
    )
    older_rows = build_older_rows(base)
    states = DestinationStates(db, clock, older_rows, base.transmitters)
    pausing = Pausing(db, clock, notifier=base.notifier, older_rows=older_rows, states=states)
    secrets = SigningSecrets(db, clock, base.vault)
    rotation = SecretRotation(secrets, base.transmitters, base.notifier)
    tests = ConnectionTests(base.transmitters, base.vault, settings)
    row_actions = RowActions(db, clock, queue, base.notifier)
    replay = Replay(db, base.transmitters, row_actions, settings)
    return PublishingServices(
        collaborators=collaborators,
        operations=operations,
        explain=explain,
        queue=queue,
        row_actions=row_actions,
        previews=DeliveryPreviews(db, base.transmitters, settings, base.media),
        destinations=DestinationsService(
            db, {**pausing.actions, **rotation.actions, **tests.actions, **replay.actions}
        ),
        destination_states=states,
        idempotent=IdempotentRequests(db, clock, other_body=422),
        enqueue=build_enqueue(base, operations, editing, backlog, followers),
        transmit=TransmitContent(
            db,
            clock,
            sequences=base.sequences,
            transmitters=base.transmitters,
            vault=base.vault,
            media=base.media,
            notifier=base.notifier,
            counters=base.counters,
            on_claim=base.process.claimed,
            settings=settings,
            sends_mail=base.outbox.is_open,
            format_row=Reformatting(db, base.sequences, formatting).format,
        ),
        services={
            **operations.by_endpoint,
            "archive_correction": CorrectionService(collaborators),
            "archive_resend": ResendService(
                db,
                clock,
                journal=base.journal,
                requests=ResendRequests(db, clock, timedelta(seconds=settings["LEASE_SECONDS"])),
                wake_up=wake_up(enqueue_published),
                settings=settings,
            ),
            "resends": ResendsService(db, clock),
            "explain": explain,
            "published": PublishedService(db, clock, base.sequences, base.notifier),
            "published_package_items": PackageItemsService(
                collaborators, operations.by_endpoint["archive_correct"]
            ),
            "publish_queue": queue,
            "validate": ValidateResource(db, clock, base.validator),
        },
    )


def build_older_rows(base: Foundation) -> OlderRows:
    """Return what finds deliveries that have become old while nothing was sent."""
    hours = float(base.settings["HOLD_OLDER_THAN_HOURS"])
    return OlderRows(base.db, base.clock, base.notifier, hours)


def build_collaborators(base: Foundation) -> Collaborators:
    """Return what every publish service works with."""
    settings = base.settings
    return Collaborators(
        db=base.db,
        legal_db=base.legal_db,
        clock=base.clock,
        settings=settings,
        validator=base.validator,
        journal=base.journal,
        sequences=base.sequences,
        places=base.places,
        notifier=base.notifier,
        wake_up=wake_up(enqueue_published),
        wake_mailer=wake_up(send_mails),
        wake_legal=legal_wake_up(base),
        spike=SpikeService(build_context(base)),
        pictures=Pictures(base.media, settings) if settings["PICTURE_METADATA_MAPPING"] else None,
        crop_files=base.crop_files,
        sends_mail=base.outbox.is_open,
    )


def build_enqueue(
    base: Foundation,
    operations: PublishServices,
    editing: EditingServices,
    backlog: CopyBacklog,
    followers: Sequence[Follower] = (),
) -> EnqueueContent:
    """Build the enqueue run; the arguments are those of `build_publishing`."""
    wake_legal = legal_wake_up(base)

    def on_released(item: Document) -> None:
        hooks.tell(hooks.item_published, "archive_publish", item=item, after_scheduled=True)
        wake_legal()

    return EnqueueContent(
        base.db,
        base.clock,
        journal=base.journal,
        catch_up=ParentPackages(build_collaborators(base), operations).catch_up,
        desk_copies=DeskCopies(
            editing.context, ItemCopier(editing.context), on_failed=base.alerts.not_copied
        ),
        sequences=base.sequences,
        formatters=base.formatters,
        backlog=backlog if base.settings["CONTENTAPI_ENABLED"] else None,
        notifier=base.notifier,
        wake_up=transmit_wake_up(base),
        on_released=on_released,
        on_failed=base.alerts.not_routed,
        settings=base.settings,
        followers=followers,
    )


def transmit_wake_up(base: Foundation) -> Callable[[], None]:
    """Return what starts the transmit run; nothing where deliveries wait for the next tick."""
    return wake_up(transmit) if base.settings["TRANSMIT_IMMEDIATELY"] else lambda: None


def legal_wake_up(base: Foundation) -> Callable[[], None]:
    """Return what starts the import into the long-term archive; nothing where there is none."""
    return wake_up(import_legal_archive) if base.settings["LEGAL_ARCHIVE"] else lambda: None

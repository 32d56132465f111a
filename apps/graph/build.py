"""The object graph: every service with its collaborators, built in one place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pymongo.database import Database
from pymongo.monitoring import CommandListener

from apps.archive.actions.base import Tools as EditingTools
from apps.archive.actions.item_copy import Copying
from apps.archive.actions.rewrite import RewriteService
from apps.archive.crop_files import CropFiles
from apps.archive.journal.journal import Journal
from apps.archive.places import Places
from apps.archive.service import ArchiveService
from apps.content_api.backlog import CopyBacklog
from apps.content_api.expiry import CopyExpiry
from apps.content_api.service import ContentApi
from apps.content_api.store import CopyStore
from apps.content_api.tokens.service import SubscriberTokenService
from apps.content_api.transmitter import transmitter_for
from apps.core import hooks
from apps.core.clock import Clock, SystemClock
from apps.core.notifier import Notifier
from apps.core.registry import Registry
from apps.core.service import Document, ResourceService
from apps.core.tasks import wake_up
from apps.core.vocabulary import Operation
from apps.graph.editing import Editing, build_editing
from apps.graph.newsroom import Newsroom, build_newsroom
from apps.graph.output import Output, build_output
from apps.graph.routing import Routing, build_routing
from apps.mail.mailer import Mailer
from apps.mail.outbox import Outbox
from apps.mail.tasks import send_mails
from apps.media.storage import MediaStorage
from apps.newsroom.activity.alerts import Alerts
from apps.newsroom.activity.service import ActivityService
from apps.newsroom.auth.service import AuthService
from apps.newsroom.macros.macros import Macros
from apps.newsroom.users.service import UsersService
from apps.notifications.bus import Notifications
from apps.publish.content.common import BasePublishService
from apps.publish.content.correct import CorrectPublishService
from apps.publish.content.correction import CorrectionService
from apps.publish.content.kill import KillPublishService
from apps.publish.content.package_items import PackageItemsService
from apps.publish.content.parent_packages import Holders
from apps.publish.content.pictures import Pictures, check_mapping
from apps.publish.content.publication import Tools
from apps.publish.content.publish import ArchivePublishService
from apps.publish.content.take_down import TakeDownPublishService
from apps.publish.content.unpublish import UnpublishService
from apps.publish.enqueue import EnqueueContent, enqueue_published
from apps.publish.enqueue.formatting import ItemFormatting
from apps.publish.enqueue.reformat import Reformatting
from apps.publish.enqueue.resends import ResendRequests
from apps.publish.explain.service import ExplainService
from apps.publish.queue.content_api_rows import ContentApiRows
from apps.publish.resend.service import ResendService
from apps.publish.service import PublishedService, PublishQueueService
from apps.publish.transmit import TransmitContent, transmit
from apps.retention.archived.service import ArchivedService
from apps.retention.expiry import ContentExpiry
from apps.retention.expiry.purge import Purge
from apps.retention.legal_archive.items import LegalItems
from apps.retention.legal_archive.queue import LegalQueue
from apps.retention.legal_archive.service import build_services as legal_services
from apps.retention.legal_archive.tasks import import_legal_archive
from apps.routing.internal_destinations.copies import DeskCopies
from apps.secrets.vault import Vault
from apps.store.indexes import ensure_indexes
from apps.store.mongo import connect, other_database
from apps.store.sequences import Sequences
from apps.validate.service import ValidateResource
from apps.validate.validate import ValidateService
from formatters import build_registry as build_formatters
from transmitters import build_registry as build_transmitters
from transmitters.base import Transmitter

PUBLISH_SERVICES: tuple[type[BasePublishService], ...] = (
    ArchivePublishService,
    CorrectPublishService,
    KillPublishService,
    TakeDownPublishService,
    UnpublishService,
)
"""The lifecycle actions; each is the service behind the endpoint that it names."""


@dataclass(frozen=True)
class Graph:
    """What the web process, the workers and the commands share."""

    settings: Mapping[str, Any]
    db: Database[Document]
    content_db: Database[Document]
    """That of the content API."""
    legal_db: Database[Document]
    """That of the long-term archive."""
    clock: Clock
    notifier: Notifier
    newsroom: Newsroom
    editing: Editing
    routing: Routing
    subscriber_token: SubscriberTokenService
    content_api: ContentApi
    content_api_expiry: CopyExpiry
    auth: AuthService
    users: UsersService
    activity: ActivityService
    archive: ArchiveService
    rewrite: RewriteService
    archived: ArchivedService
    published: PublishedService
    publish_queue: PublishQueueService
    correction: CorrectionService
    resend: ResendService
    explain: ExplainService
    publish: Mapping[str, BasePublishService]
    """Publish services by endpoint."""
    package_items: PackageItemsService
    validate: ValidateResource
    enqueue: EnqueueContent
    transmit: TransmitContent
    transmitters: Registry[Transmitter]
    """Delivery types by name."""
    outbox: Outbox
    expiry: ContentExpiry
    media: MediaStorage
    legal_archive: Mapping[str, ResourceService]
    """Services of the long-term archive by resource."""
    legal_items: LegalItems
    legal_queue: LegalQueue
    output: Output

    @property
    def services(self) -> dict[str, ResourceService]:
        """The service behind each resource."""
        return {
            **self.newsroom.services,
            **self.editing.services,
            **self.routing.services,
            **self.output.services,
            "subscriber_token": self.subscriber_token,
            "activity": self.activity,
            "archive": self.archive,
            "archive_rewrite": self.rewrite,
            "archived": self.archived,
            "published": self.published,
            "publish_queue": self.publish_queue,
            "validate": self.validate,
            self.correction.endpoint: self.correction,
            "archive_resend": self.resend,
            "explain": self.explain,
            "published_package_items": self.package_items,
            **self.publish,
            **self.legal_archive,
        }

    def close(self) -> None:
        """Let go of connections."""
        self.transmit.close()
        self.db.client.close()
        self.content_db.client.close()
        self.legal_db.client.close()


def build_graph(
    settings: Mapping[str, Any],
    *,
    clock: Clock | None = None,
    listeners: Sequence[CommandListener] = (),
    has_indexes: bool = False,
) -> Graph:
    """Connect and build every service.

    Args:
        settings: as `settings.load` returns them, with the addresses of both stores.
        clock: source of time; the machine's unless given.
        listeners: pymongo command listeners, for benchmarks.
        has_indexes: the caller has seen to the indexes of the database.
    """
    hooks.load_receivers(settings["HOOK_MODULES"])
    check_mapping(settings["PICTURE_METADATA_MAPPING"])
    clock = clock or SystemClock()
    db = connect(settings, listeners)
    if not has_indexes:
        ensure_indexes(db)
    sequences = Sequences(db)
    journal = Journal(db, clock)
    places = Places(db)
    notifier = Notifications.connect(settings["REDIS_URL"], settings["NOTIFICATION_CHANNEL"], clock)
    formatters, transmitters = build_formatters(), build_transmitters()
    formatting = ItemFormatting(db, clock, formatters, settings)
    content_db = other_database(
        db, settings["CONTENTAPI_MONGO_URI"], settings["CONTENTAPI_MONGO_DBNAME"], listeners
    )
    legal_db = other_database(
        db, settings["LEGAL_ARCHIVE_URI"], settings["LEGAL_ARCHIVE_DBNAME"], listeners
    )
    content_api_rows = ContentApiRows(db, clock, notifier)
    backlog = CopyBacklog(db, clock, CopyStore(content_db, clock), content_api_rows.succeed)
    transmitters.add(transmitter_for(backlog))
    validator = ValidateService(db, settings)
    media = MediaStorage(db)
    vault = Vault.of(settings)
    tokens = SubscriberTokenService(db, clock, vault=vault)
    macros = Macros(settings["MACROS_DIR"])
    crop_files = CropFiles(db, media, settings)
    archive = ArchiveService(
        db,
        clock,
        legal_db=legal_db,
        journal=journal,
        sequences=sequences,
        places=places,
        notifier=notifier,
        macros=macros,
        crop_files=crop_files,
        settings=settings,
    )
    editing_tools = EditingTools(db, clock, settings, journal, sequences, places, notifier, macros)
    editing = build_editing(editing_tools, archive)
    newsroom = build_newsroom(db, clock, notifier, settings, editing.unlocking)
    has_legal_archive = bool(settings["LEGAL_ARCHIVE"])
    legal_items = LegalItems(db, legal_db, is_on=has_legal_archive)
    wake_legal = wake_up(import_legal_archive) if has_legal_archive else sleep_on

    def on_released(item: Document) -> None:
        hooks.tell(hooks.item_published, "archive_publish", item=item, after_scheduled=True)
        wake_legal()

    outbox = Outbox(db, clock, mailer=Mailer(settings), settings=settings)
    is_told = bool(settings["ERROR_NOTIFICATIONS"])
    alerts = Alerts(db, clock, notifier, is_on=is_told, sends_mail=outbox.is_open)
    actions: dict[Operation, BasePublishService] = {}
    tools = Tools(
        db=db,
        legal_db=legal_db,
        clock=clock,
        settings=settings,
        validator=validator,
        journal=journal,
        sequences=sequences,
        places=places,
        notifier=notifier,
        wake_up=wake_up(enqueue_published),
        wake_mailer=wake_up(send_mails),
        wake_legal=wake_legal,
        pictures=Pictures(media, settings),
        crop_files=crop_files,
        sends_mail=outbox.is_open,
        actions=actions,
    )
    publish = {service.endpoint: service(tools) for service in PUBLISH_SERVICES}
    actions.update({service.operation: service for service in publish.values()})
    return Graph(
        settings=settings,
        db=db,
        content_db=content_db,
        legal_db=legal_db,
        clock=clock,
        notifier=notifier,
        newsroom=newsroom,
        editing=editing,
        routing=build_routing(
            db, clock, notifier, formatters, transmitters, vault, macros, settings
        ),
        subscriber_token=tokens,
        content_api=ContentApi(content_db, db, clock, settings),
        content_api_expiry=CopyExpiry(content_db, clock, settings),
        auth=newsroom.auth,
        users=newsroom.users,
        activity=ActivityService(db, clock),
        archive=archive,
        rewrite=RewriteService(
            db,
            clock,
            archive=archive,
            journal=journal,
            places=places,
            notifier=notifier,
            settings=settings,
        ),
        archived=ArchivedService(tools),
        published=PublishedService(db, clock, notifier),
        publish_queue=PublishQueueService(
            db,
            clock,
            sequences=sequences,
            notifier=notifier,
            transmitters=transmitters,
            vault=vault,
            settings=settings,
        ),
        correction=CorrectionService(tools),
        explain=ExplainService(db, clock),
        resend=ResendService(
            db,
            clock,
            journal=journal,
            requests=ResendRequests(db, clock, timedelta(seconds=settings["LEASE_SECONDS"])),
            wake_up=wake_up(enqueue_published),
            settings=settings,
        ),
        publish=publish,
        package_items=PackageItemsService(tools, publish["archive_correct"]),
        validate=ValidateResource(db, clock, validator),
        enqueue=EnqueueContent(
            db,
            clock,
            journal=journal,
            catch_up=Holders(tools).catch_up,
            desk_copies=DeskCopies(
                editing_tools,
                Copying(editing_tools),
                on_failed=alerts.not_copied,
            ),
            sequences=sequences,
            formatters=formatters,
            backlog=backlog if settings["CONTENTAPI_ENABLED"] else None,
            notifier=notifier,
            wake_up=wake_up(transmit),
            on_released=on_released,
            on_failed=alerts.not_routed,
            settings=settings,
        ),
        transmit=TransmitContent(
            db,
            clock,
            sequences=sequences,
            transmitters=transmitters,
            vault=vault,
            media=media,
            notifier=notifier,
            settings=settings,
            on_failed=alerts.not_delivered,
            sends_mail=outbox.is_open,
            format_row=Reformatting(db, sequences, formatting).format,
        ),
        transmitters=transmitters,
        outbox=outbox,
        expiry=ContentExpiry(
            db,
            clock,
            journal=journal,
            purge=Purge(db, clock, outbox=outbox, settings=settings),
            legal=legal_items,
            notifier=notifier,
            settings=settings,
        ),
        legal_archive=legal_services(legal_db, clock),
        legal_items=legal_items,
        legal_queue=LegalQueue(db, legal_db, is_on=has_legal_archive),
        media=media,
        output=build_output(db, clock, formatting, validator, media, tokens, settings),
    )


def sleep_on() -> None:
    """Wake nothing up: what would be done is switched off."""

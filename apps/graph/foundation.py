"""What all parts of the object graph stand on: stores, plug-ins, and services that they share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pymongo.database import Database
from pymongo.monitoring import CommandListener

from apps.archive.crop_files import CropFiles
from apps.archive.journal.journal import Journal
from apps.archive.places import Places
from apps.core.clock import Clock
from apps.core.notifier import Notifier
from apps.core.registry import Registry
from apps.core.service import Document
from apps.mail.mailer import Mailer
from apps.mail.outbox import Outbox
from apps.media.storage import MediaStorage
from apps.monitoring.counters import DeliveryCounters
from apps.monitoring.processes import ProcessNotes
from apps.newsroom.activity.alerts import Alerts
from apps.newsroom.macros.macros import Macros
from apps.notifications.bus import Notifications
from apps.secrets.vault import Vault
from apps.store.clock import StoreClock
from apps.store.indexes import ARCHIVING_INDEXES, drop_retired_indexes, ensure_indexes
from apps.store.mongo import connect, other_database
from apps.store.sequences import Sequences
from apps.validate.validate import ValidateService
from formatters import build_registry as build_formatters
from formatters.base import Formatter
from transmitters import build_registry as build_transmitters
from transmitters.base import Transmitter
from transmitters.cms.base import Platform
from transmitters.cms.registry import build_registry as build_platforms


@dataclass(frozen=True)
class Foundation:
    """Stores, plug-ins and shared services of a process.

    Attributes:
        settings: as `settings.load` returns them.
        content_db: that of the content API.
        legal_db: that of the long-term archive.
        formatters: output formats by name.
        transmitters: delivery types by name.
        platforms: CMS platforms by name.
        counters: of deliveries.
        process: what this process does.
    """

    settings: Mapping[str, Any]
    clock: Clock
    db: Database[Document]
    content_db: Database[Document]
    legal_db: Database[Document]
    notifier: Notifier
    formatters: Registry[Formatter]
    transmitters: Registry[Transmitter]
    platforms: Registry[Platform]
    vault: Vault
    sequences: Sequences
    journal: Journal
    places: Places
    macros: Macros
    media: MediaStorage
    crop_files: CropFiles
    validator: ValidateService
    outbox: Outbox
    alerts: Alerts
    counters: DeliveryCounters
    process: ProcessNotes

    def close(self) -> None:
        """Let go of connections."""
        for db in (self.db, self.content_db, self.legal_db):
            db.client.close()


def build_foundation(
    settings: Mapping[str, Any],
    clock: Clock | None,
    listeners: Sequence[CommandListener],
    *,
    has_indexes: bool,
    process: ProcessNotes | None = None,
    answer_seconds: float | None = None,
) -> Foundation:
    """Connect, and build what all parts share; the arguments are those of `build_graph`."""
    clock = clock or StoreClock()
    told = (clock,) if isinstance(clock, StoreClock) else ()
    db = connect(settings, [*listeners, *told], answer_seconds)
    if not has_indexes:
        ensure_indexes(db)
        if settings["LEGAL_ARCHIVE"]:
            ensure_indexes(db, ARCHIVING_INDEXES)
        drop_retired_indexes(db)
    notifier = Notifications.connect(settings["REDIS_URL"], settings["NOTIFICATION_CHANNEL"], clock)
    media = MediaStorage(db)
    outbox = Outbox(db, clock, mailer=Mailer(settings), settings=settings)
    alerts = Alerts(
        db,
        clock,
        notifier,
        is_on=bool(settings["ERROR_NOTIFICATIONS"]),
        sends_mail=outbox.is_open,
    )
    return Foundation(
        settings=settings,
        clock=clock,
        db=db,
        content_db=other_database(
            db,
            settings["CONTENTAPI_MONGO_URI"],
            settings["CONTENTAPI_MONGO_DBNAME"],
            listeners,
            answer_seconds,
        ),
        legal_db=other_database(
            db,
            settings["LEGAL_ARCHIVE_URI"],
            settings["LEGAL_ARCHIVE_DBNAME"],
            listeners,
            answer_seconds,
        ),
        notifier=notifier,
        formatters=build_formatters(),
        transmitters=build_transmitters(),
        platforms=build_platforms(),
        vault=Vault.of(settings),
        sequences=Sequences(db),
        journal=Journal(db, clock, alerts.not_completed),
        places=Places(db),
        macros=Macros(settings["MACROS_DIR"]),
        media=media,
        crop_files=CropFiles(db, media, settings),
        validator=ValidateService(db, settings),
        outbox=outbox,
        alerts=alerts,
        counters=DeliveryCounters(db, clock, timedelta(days=settings["DELIVERY_COUNTERS_DAYS"])),
        process=process or ProcessNotes(clock),
    )

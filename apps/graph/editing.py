"""The part of the object graph that editors work with: items, locks, autosaves, moves, copies."""

from collections.abc import Mapping
from dataclasses import dataclass

from apps.archive.actions.base import ActionContext
from apps.archive.actions.broadcast import BroadcastService
from apps.archive.actions.copy import CopyService
from apps.archive.actions.duplicate import DuplicateService
from apps.archive.actions.fetch import FetchService
from apps.archive.actions.item_copy import ItemCopier
from apps.archive.actions.lock import LockService
from apps.archive.actions.move import MoveService
from apps.archive.actions.rewrite import RewriteService
from apps.archive.actions.spike import SpikeService
from apps.archive.actions.translate import TranslateService
from apps.archive.actions.unlock import ItemUnlocker, UnlockService
from apps.archive.actions.unspike import UnspikeService
from apps.archive.autosave import AutosaveService
from apps.archive.highlights.service import (
    DeskMarksService,
    HighlightMarksService,
    HighlightsService,
)
from apps.archive.service import ArchiveService
from apps.archive.views import (
    HistoryService,
    IngestService,
    MediaReferencesService,
    RelatedService,
    WorkqueueService,
)
from apps.core.service import ResourceService
from apps.graph.foundation import Foundation


@dataclass(frozen=True)
class EditingServices:
    """Services of the resources around one item.

    Attributes:
        archive: creates and saves items.
        context: what every action works with.
        unlocker: unlocks items when login sessions end.
        services: the service behind each resource.
    """

    archive: ArchiveService
    context: ActionContext
    unlocker: ItemUnlocker
    services: Mapping[str, ResourceService]


def build_editing(base: Foundation) -> EditingServices:
    """Build the services of items and of the editor's actions."""
    db, clock = base.db, base.clock
    archive = ArchiveService(
        db,
        clock,
        legal_db=base.legal_db,
        journal=base.journal,
        sequences=base.sequences,
        places=base.places,
        notifier=base.notifier,
        macros=base.macros,
        crop_files=base.crop_files,
        settings=base.settings,
    )
    context = build_context(base)
    unlocker, copier = ItemUnlocker(context, archive), ItemCopier(context)
    services = {
        "archive": archive,
        "archive_rewrite": RewriteService(context, archive),
        "archive_broadcast": BroadcastService(context, archive),
        "archive_lock": LockService(context),
        "archive_unlock": UnlockService(context, unlocker),
        "archive_autosave": AutosaveService(db, clock),
        "archive_spike": SpikeService(context),
        "archive_unspike": UnspikeService(context),
        "move": MoveService(context),
        "duplicate": DuplicateService(context, copier),
        "copy": CopyService(context, copier),
        "translate": TranslateService(context, copier),
        "fetch": FetchService(context),
        "ingest": IngestService(db, clock),
        "highlights": HighlightsService(db, clock),
        "marked_for_highlights": HighlightMarksService(context),
        "marked_for_desks": DeskMarksService(context),
        "workqueue": WorkqueueService(db, clock),
        "archive_history": HistoryService(db, clock),
        "media_references": MediaReferencesService(db, clock),
        "archive_related": RelatedService(db, clock),
    }
    return EditingServices(archive, context, unlocker, services)


def build_context(base: Foundation) -> ActionContext:
    """Return what every action works with."""
    return ActionContext(
        db=base.db,
        clock=base.clock,
        settings=base.settings,
        journal=base.journal,
        sequences=base.sequences,
        places=base.places,
        notifier=base.notifier,
        macros=base.macros,
    )

"""The part of the object graph that editors work with: items, locks, autosaves, moves, copies."""

from collections.abc import Mapping
from dataclasses import dataclass

from apps.archive.actions.base import Tools
from apps.archive.actions.copy import CopyService
from apps.archive.actions.duplicate import DuplicateService
from apps.archive.actions.fetch import FetchService
from apps.archive.actions.item_copy import Copying
from apps.archive.actions.lock import LockService
from apps.archive.actions.move import MoveService
from apps.archive.actions.rewrite import RewriteService
from apps.archive.actions.spike import SpikeService
from apps.archive.actions.translate import TranslateService
from apps.archive.actions.unlock import Unlocking, UnlockService
from apps.archive.actions.unspike import UnspikeService
from apps.archive.autosave import AutosaveService
from apps.archive.highlights.service import (
    DeskMarksService,
    HighlightMarksService,
    HighlightsService,
)
from apps.archive.service import ArchiveService
from apps.archive.views import IngestService, RelatedService, WorkqueueService
from apps.core.service import ResourceService
from apps.graph.foundation import Foundation


@dataclass(frozen=True)
class EditingServices:
    """Services of the resources around one item.

    Attributes:
        archive: creates and saves items.
        tools: what every action works with.
        unlocking: unlocks items when login sessions end.
        services: the service behind each resource.
    """

    archive: ArchiveService
    tools: Tools
    unlocking: Unlocking
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
    tools = Tools(
        db=db,
        clock=clock,
        settings=base.settings,
        journal=base.journal,
        sequences=base.sequences,
        places=base.places,
        notifier=base.notifier,
        macros=base.macros,
    )
    unlocking, copying = Unlocking(tools, archive), Copying(tools)
    services = {
        "archive": archive,
        "archive_rewrite": RewriteService(
            db,
            clock,
            archive=archive,
            journal=base.journal,
            places=base.places,
            notifier=base.notifier,
            settings=base.settings,
        ),
        "archive_lock": LockService(tools),
        "archive_unlock": UnlockService(tools, unlocking),
        "archive_autosave": AutosaveService(db, clock),
        "archive_spike": SpikeService(tools),
        "archive_unspike": UnspikeService(tools),
        "move": MoveService(tools),
        "duplicate": DuplicateService(tools, copying),
        "copy": CopyService(tools, copying),
        "translate": TranslateService(tools, copying),
        "fetch": FetchService(tools),
        "ingest": IngestService(db, clock),
        "highlights": HighlightsService(db, clock),
        "marked_for_highlights": HighlightMarksService(tools),
        "marked_for_desks": DeskMarksService(tools),
        "workqueue": WorkqueueService(db, clock),
        "archive_related": RelatedService(db, clock),
    }
    return EditingServices(archive, tools, unlocking, services)

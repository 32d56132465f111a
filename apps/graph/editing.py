"""The part of the object graph that editors work with: locks, autosaves, moves, copies."""

from collections.abc import Mapping
from dataclasses import dataclass

from apps.archive.actions.base import ActionContext
from apps.archive.actions.copy import CopyService
from apps.archive.actions.duplicate import DuplicateService
from apps.archive.actions.fetch import FetchService
from apps.archive.actions.item_copy import ItemCopier
from apps.archive.actions.lock import LockService
from apps.archive.actions.move import MoveService
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
from apps.archive.views import IngestService, RelatedService, WorkqueueService
from apps.core.service import ResourceService


@dataclass(frozen=True)
class Editing:
    """Services of the resources around one item.

    Attributes:
        services: the service behind each resource.
        unlocker: unlocks items when login sessions end.
    """

    services: Mapping[str, ResourceService]
    unlocker: ItemUnlocker


def build_editing(context: ActionContext, archive: ArchiveService) -> Editing:
    """Build the services of the editor's actions.

    Args:
        context: what every action works with.
        archive: saves items.
    """
    db, clock = context.db, context.clock
    unlocker = ItemUnlocker(context, archive)
    copier = ItemCopier(context)
    return Editing(
        services={
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
            "archive_related": RelatedService(db, clock),
        },
        unlocker=unlocker,
    )

"""The part of the object graph that editors work with: locks, autosaves, moves, copies."""

from collections.abc import Mapping
from dataclasses import dataclass

from apps.archive.actions.base import Tools
from apps.archive.actions.copy import CopyService
from apps.archive.actions.duplicate import DuplicateService
from apps.archive.actions.fetch import FetchService
from apps.archive.actions.item_copy import Copying
from apps.archive.actions.lock import LockService
from apps.archive.actions.move import MoveService
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


@dataclass(frozen=True)
class Editing:
    """Services of the resources around one item.

    Attributes:
        services: the service behind each resource.
        unlocking: unlocks items when login sessions end.
    """

    services: Mapping[str, ResourceService]
    unlocking: Unlocking


def build_editing(tools: Tools, archive: ArchiveService) -> Editing:
    """Build the services of the editor's actions.

    Args:
        tools: what every action works with.
        archive: saves items.
    """
    db, clock = tools.db, tools.clock
    unlocking = Unlocking(tools, archive)
    copying = Copying(tools)
    return Editing(
        services={
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
        },
        unlocking=unlocking,
    )

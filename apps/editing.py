"""The part of the object graph that editors work with: locks, autosaves, moves, copies."""

from collections.abc import Mapping
from dataclasses import dataclass

from apps.archive.action import Tools
from apps.archive.autosave import AutosaveService
from apps.archive.copy import CopyService
from apps.archive.copying import Copying
from apps.archive.duplicate import DuplicateService
from apps.archive.fetch import FetchService
from apps.archive.ingest import IngestService
from apps.archive.lock import LockService
from apps.archive.move import MoveService
from apps.archive.service import ArchiveService
from apps.archive.spike import SpikeService
from apps.archive.translate import TranslateService
from apps.archive.unlock import Unlocking, UnlockService
from apps.archive.unspike import UnspikeService
from apps.archive.views import RelatedService, WorkqueueService
from apps.core.service import ResourceService
from apps.highlights.marks import DeskMarksService, HighlightMarksService
from apps.highlights.service import HighlightsService


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

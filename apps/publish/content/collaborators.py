"""What the publish services work with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pymongo.database import Database

from apps.archive.actions.spike import SpikeService
from apps.archive.crop_files import CropFiles
from apps.archive.journal.journal import Journal
from apps.archive.places import Places
from apps.core.clock import Clock
from apps.core.notifier import Notifier
from apps.core.service import Document
from apps.publish.content.pictures import Pictures
from apps.store.sequences import Sequences
from apps.validate.validate import ValidateService


@dataclass(frozen=True)
class Collaborators:
    """Stores and services that every publish service calls.

    Attributes:
        legal_db: database of the long-term archive.
        wake_up: starts the enqueue task now; losing the call costs one tick.
        wake_priority: the same for the task that routes and delivers what is urgent, where a worker
            may be kept free for it.
        wake_mailer: the same for the task that sends mails.
        wake_legal: the same for the import into the long-term archive, where there is one.
        spike: puts items into the bin.
        pictures: write metadata into the files of pictures; None where no tags are set.
        crop_files: cut pictures.
        sends_mail: whether mails are sent at all.
    """

    db: Database[Document]
    legal_db: Database[Document]
    clock: Clock
    settings: Mapping[str, Any]
    validator: ValidateService
    journal: Journal
    sequences: Sequences
    places: Places
    notifier: Notifier
    wake_up: Callable[[], None]
    wake_priority: Callable[[], None]
    wake_mailer: Callable[[], None]
    wake_legal: Callable[[], None]
    spike: SpikeService
    pictures: Pictures | None
    crop_files: CropFiles
    sends_mail: bool

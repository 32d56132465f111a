"""One publish action on one item, from request to store."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from pymongo.database import Database

from apps.archive.crop_files import CropFiles
from apps.archive.journal.journal import Journal
from apps.archive.packages import Packages
from apps.archive.places import Place, Places
from apps.core.caller import Caller
from apps.core.clock import Clock
from apps.core.notifier import Notifier
from apps.core.service import Document
from apps.core.vocabulary import Operation
from apps.core.workflow import Action
from apps.publish.content.pictures import Pictures
from apps.publish.content.request import Batch
from apps.store.sequences import Sequences
from apps.validate.validate import ValidateService


class NestedAction(Protocol):
    """A publish action on an item that goes with another one."""

    def act_within(
        self, updates: Document, original: Document, batch: Batch, row: Mapping[str, Any]
    ) -> Document:
        """Publish without further checks; return the item as stored."""


@dataclass(frozen=True)
class Tools:
    """What every publish service works with.

    Attributes:
        legal_db: database of the long-term archive.
        wake_up: starts the enqueue task now; losing the call costs one tick.
        wake_mailer: the same for the task that sends mails.
        wake_legal: the same for the import into the long-term archive, where there is one.
        pictures: write metadata into the files of pictures.
        crop_files: cut pictures.
        sends_mail: whether mails are sent at all.
        actions: the publish services, for what goes out with something else.
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
    wake_mailer: Callable[[], None]
    wake_legal: Callable[[], None]
    pictures: Pictures
    crop_files: CropFiles
    sends_mail: bool
    actions: Mapping[Operation, NestedAction]

    def batch(self, caller: Caller) -> Batch:
        """Return what the publications of a new request share."""
        return Batch(caller, Packages(self.db, self.legal_db), self.places, self.sequences, self.db)


@dataclass(frozen=True)
class Attempt:
    """An action that is being checked and stamped; nothing is stored yet.

    Attributes:
        original: the item as stored.
        updates: what will be stored; checks read it, stamps add to it.
        action: the workflow action that the state must allow.
        act: the `act` of the validators to use.
        place: desk and stage of the item.
        batch: what this publication shares with others of the same request.
    """

    original: Mapping[str, Any]
    updates: Document
    caller: Caller
    now: datetime
    action: Action
    act: str
    place: Place
    batch: Batch

    def validator(self, tools: Tools) -> ValidateService:
        """Return the validation, with the rules of this attempt read already."""
        return self.batch.validator or tools.validator

    @property
    def acts(self) -> set[str]:
        """The `act`s of the validators that the item and what it holds are checked with."""
        return {self.act, "auto_publish"} if self.updates.get("auto_publish") else {self.act}

    @property
    def item(self) -> Document:
        """The item as it would be stored."""
        return {**self.original, **self.updates}

"""Shared by the editor's actions: collaborators, the shape of a command, history."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
from pymongo.database import Database

from apps.archive.authorship import next_sign_off
from apps.archive.events import tell_update
from apps.archive.journal.follow_ups import record
from apps.archive.journal.journal import NOT_IN_HISTORY, Journal
from apps.archive.packages import Packages, is_package
from apps.archive.places import Place, Places
from apps.archive.times import expiry_on
from apps.archive.visibility import audience_of_write, check_found, check_may_read, hidden_stages
from apps.core.caller import Caller
from apps.core.clock import Clock
from apps.core.errors import EtagMismatch, NotFound, PreconditionFailed, ServiceError
from apps.core.notifier import Audience, Notifier
from apps.core.service import Document, ResourceService, new_etag
from apps.core.vocabulary import Operation
from apps.newsroom.macros.macros import Macros
from apps.store.mongo import is_outage
from apps.store.sequences import Sequences

log = structlog.get_logger(__name__)

T = TypeVar("T")

ATTEMPTS = 5
"""Of an operation that others overtake."""


@dataclass(frozen=True)
class ActionContext:
    """The collaborators of an action, and reads and rows that all actions need.

    Attributes:
        settings: as `settings.load` returns them.
        journal: stores items with everything that follows.
        sequences: source of `unique_id`.
        places: desks and stages.
        notifier: tells clients.
        macros: of the installation.
    """

    db: Database[Document]
    clock: Clock
    settings: Mapping[str, Any]
    journal: Journal
    sequences: Sequences
    places: Places
    notifier: Notifier
    macros: Macros

    def item(self, item_id: str) -> Document:
        """Return the item as stored, with all rows of its last write in place.

        Raises:
            NotFound: no such item.
        """
        item = self.journal.read(item_id)
        if item is None:
            raise NotFound(f"Failed to find item with guid: {item_id}")
        return item

    def readable_item(self, item_id: str, caller: Caller) -> Document:
        """Return the item as stored, for a caller who can see it.

        Raises:
            NotFound: no such item.
            Forbidden: it is on a stage that is hidden from the caller.
        """
        item = self.item(item_id)
        check_may_read(item, caller)
        return item

    def check_members(self, package: Mapping[str, Any], caller: Caller) -> None:
        """Refuse a package of which the caller may not read all members, at any depth.

        Before anything is done with one of them. No command for callers from whom nothing is
        hidden.

        Raises:
            Forbidden: a member is on a stage that is hidden from the caller.
        """
        if hidden_stages(caller) and is_package(package):
            for member in Packages(self.db).below([package]).values():
                check_may_read(member, caller)

    def working_task(self, desk_id: Any, caller: Caller) -> Document:
        """Return the `task` of an item on the working stage of a desk, held by the caller.

        Raises:
            NotFound: there is no such desk.
        """
        desk = self.places.of({"desk": desk_id}).desk or {}
        return {"desk": desk["_id"], "stage": desk.get("working_stage"), "user": caller.user_id}

    def expiry(self, place: Place) -> Any:
        """Return when an item that comes to `place` now expires; None for never."""
        return expiry_on(place, self.clock.now(), self.settings)

    def sign_off(self, item: Mapping[str, Any], caller: Caller) -> str:
        """Return the item's sign-off after the caller worked on it."""
        mark = (caller.user or {}).get("sign_off")
        return next_sign_off(item.get("sign_off"), mark, keep_all=self.settings["FULL_SIGN_OFF"])

    def history(
        self,
        operation: Operation,
        item: Mapping[str, Any],
        changes: Mapping[str, Any],
        caller: Caller,
    ) -> Document:
        """Return the follow-up that adds a row of `archive_history` (lifecycle contract 3.13)."""
        update = {name: value for name, value in changes.items() if name not in NOT_IN_HISTORY}
        return record(operation, item, update, caller.user_id, self.clock.now())

    def lock_history(
        self, operation: Operation, item: Mapping[str, Any], lock: Mapping[str, Any], caller: Caller
    ) -> Document:
        """Return the follow-up that adds a row about the lock; it shows the lock fields."""
        return record(operation, item, lock, caller.user_id, self.clock.now())

    def tell_update(self, items: Iterable[Mapping[str, Any]], caller: Caller) -> None:
        """Tell clients that items have changed: `content:update`."""
        tell_update(self.notifier, items, caller.user_id)


class ItemCommand(ResourceService):
    """A command on one item, POST `/archive/<item id>/<verb>`.

    Subclasses say in `act` what happens; the answer is what `act` returns.

    Args:
        context: see `ActionContext`.
    """

    document_type = "archive"

    def __init__(self, context: ActionContext) -> None:
        super().__init__(context.db, context.clock)
        self.context = context

    @abstractmethod
    def act(self, item_id: str, request: Mapping[str, Any], caller: Caller) -> Document:
        """Do it and return the answer to the client.

        Args:
            item_id: the item that the URL names.
            request: the body, with the defaults of the schema.
            caller: who asks.

        Raises:
            ServiceError: a rule refuses it.
        """

    def audience(self, document: Document, original: Document | None = None) -> Audience:
        return audience_of_write(document, original)

    def create(self, documents: list[Document], caller: Caller) -> list[Any]:
        for document in documents:
            request = {k: v for k, v in document.items() if not k.startswith("_")}
            answer = self.act(request.pop("target_id", ""), request, caller)
            document.clear()
            document.update(answer)
        return [document["_id"] for document in documents]

    def on_created(self, documents: list[Document], caller: Caller) -> None:
        """Point the answer at the item, not at the command."""
        for document in documents:
            if self_link := (document.get("_links") or {}).get("self"):
                self_link["href"] = f"/archive/{document['_id']}"


class ItemUpdate(ResourceService):
    """A command on one item, PATCH `/archive/<verb>/<item id>`, that makes a version.

    `on_update` of the subclasses completes the updates; storing is the same for all.

    Attributes:
        operation: written to the item and to its history.
    """

    resource = "archive"
    operation: Operation

    def __init__(self, context: ActionContext) -> None:
        super().__init__(context.db, context.clock)
        self.context = context

    def on_found(self, document: Document, caller: Caller) -> None:
        check_found(self.db, document, caller)

    def audience(self, document: Document, original: Document | None = None) -> Audience:
        return audience_of_write(document, original)

    def stamp(self, updates: Document, original: Mapping[str, Any], caller: Caller) -> None:
        """Set what every version of this kind gets."""
        updates["operation"] = self.operation
        updates["versioncreated"] = updates["_updated"] = self.clock.now()
        updates["version_creator"] = str(caller.user_id or "")
        updates["_current_version"] = self.context.journal.next_version(original)
        updates.setdefault("sign_off", self.context.sign_off(original, caller))

    def update(self, id: Any, updates: Document, original: Document, caller: Caller) -> None:
        after = {**original, **updates}
        own = self.context.history(self.operation, after, updates, caller)
        follow_ups = [own, *self.follow_ups(updates, original, caller)]
        note = self.context.journal.action(follow_ups, after["_current_version"])
        self.context.journal.write(updates, original, note)

    def follow_ups(
        self, updates: Mapping[str, Any], original: Mapping[str, Any], caller: Caller
    ) -> list[Document]:
        """Return the writes of other documents that belong to the action."""
        return []


def retry_when_overtaken(attempt: Callable[[], T], refusal: ServiceError) -> T:
    """Return what `attempt` returns; it reads an item and writes it only as it has read it.

    The conditional write excludes two operations at once and leaves nothing behind when a process
    dies. Whoever comes too late reads the item again, a few times.

    Raises:
        ServiceError: `refusal`, when others keep writing the item.
    """
    for _ in range(ATTEMPTS):
        try:
            return attempt()
        except PreconditionFailed:
            continue
    raise refusal


def try_with_script(attempt: Callable[[], object], script_id: str, failed: str) -> None:
    """Do with a broadcast script what its master goes through; that it fails keeps nobody else.

    Args:
        attempt: see `retry_when_overtaken`.
        failed: what is logged then.
    """
    try:
        retry_when_overtaken(attempt, EtagMismatch())
    except Exception as error:
        if is_outage(error):
            raise
        log.exception(failed, item=script_id)


def with_new_etag(changes: Mapping[str, Any]) -> Document:
    """Return `changes` of an item with the etag that they give it."""
    return {**changes, "_etag": new_etag()}

"""The request to send an item again: checked and stored here, routed by the enqueue run."""

from collections.abc import Callable, Mapping
from typing import Any

from pymongo.database import Database

from apps.archive.broadcasts import is_broadcast_script
from apps.archive.journal.journal import Journal
from apps.archive.visibility import HiddenItems, audience_of_id, check_may_read, check_may_read_ids
from apps.core import hooks
from apps.core.caller import Caller
from apps.core.clock import Clock
from apps.core.errors import BadRequest, SchemaIssues
from apps.core.ids import id_key
from apps.core.notifier import Audience
from apps.core.service import Document, ResourceService
from apps.core.vocabulary import TEXT_TYPES, State, SubscriberType
from apps.publish.enqueue.resends import ResendRequests
from apps.store.by_id import find_all_by_id
from apps.store.collections import PUBLISHED, SUBSCRIBERS

RESENT_STATES = (State.PUBLISHED, State.CORRECTED, State.KILLED, State.BEING_CORRECTED)

NOT_FOUND = "Story couldn't be found!"
NOT_TEXT = "Only text stories can be resent!"
NOT_OUT = "Only published, corrected or killed stories can be resent!"
NOT_NEWEST = "Please use the newest version {} to resend!"
UPDATED = "Updated story cannot be resent!"
NOBODY_CHOSEN = "No subscribers selected!"
NOBODY_ACTIVE = "No active subscribers found!"
WIRE_ONLY = "Only wire subscribers can receive broadcast stories!"


class ResendService(ResourceService):
    """Takes requests to send an item that is out; each one makes new queue rows.

    Args:
        journal: completes what a dead process left undone of the item.
        requests: the store of requests.
        wake_up: starts the enqueue task now; losing the call costs one tick.
        settings: BROADCAST_ENABLED.
    """

    resource = "archive"

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        *,
        journal: Journal,
        requests: ResendRequests,
        wake_up: Callable[[], None],
        settings: Mapping[str, Any],
    ) -> None:
        super().__init__(db, clock)
        self._journal = journal
        self._requests = requests
        self._wake_up = wake_up
        self._has_broadcasts = bool(settings["BROADCAST_ENABLED"])

    def create(self, documents: list[Document], caller: Caller) -> list[Any]:
        """Store each request; from then on it is carried out, whatever dies.

        Returns:
            The ids of the items.

        Raises:
            BadRequest: a rule refuses it (routing contract 11).
        """
        for document in documents:
            item = self._item(document["original_id"], caller)
            subscribers = self._check(item, document)
            sent = {"item": {**item, "_id": item["item_id"]}, "subscribers": subscribers}
            hooks.ask(hooks.item_resend, self.resource, **sent)
            self._requests.add(item, subscribers, caller.user_id)
            hooks.tell(hooks.item_resent, self.resource, **sent)
            document["_id"] = item["item_id"]
        return [document["_id"] for document in documents]

    def audience(self, document: Document, original: Document | None = None) -> Audience:
        return audience_of_id(self.db, document["_id"])

    def on_created(self, documents: list[Document], caller: Caller) -> None:
        """Let the enqueue task start now."""
        self._wake_up()

    def _item(self, item_id: str, caller: Caller) -> Document:
        """Return the item as it would be sent: its last published row, where there is one.

        An item under correction stands for the row that is out meanwhile.

        Raises:
            BadRequest: no such item.
            Forbidden: it is hidden from the caller.
        """
        item = self._journal.read(item_id)
        if item is None:
            raise BadRequest(NOT_FOUND)
        check_may_read(item, caller)
        last = {"item_id": item_id, "last_published_version": True}
        row = self.db[PUBLISHED].find_one(last, sort=[("publish_sequence_no", -1)])
        if row is None:
            # Nothing of it is out, so its state refuses it, whatever it says.
            return {**item, "item_id": item_id, "state": None}
        if item.get("state") == State.CORRECTION and row.get("state") == State.BEING_CORRECTED:
            return row
        kept = ("type", "state", "_current_version", "rewritten_by", "genre")
        return {**row, **{name: item.get(name) for name in kept}}

    def _check(self, item: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[Any]:
        """Check in the order of the table (routing contract 11); return the ids of who gets it.

        Args:
            wanted: the request.

        Raises:
            BadRequest: the first refusal.
            SchemaIssues: nothing else refuses it, but the subscribers are no list.
        """
        if item.get("type") not in TEXT_TYPES:
            raise BadRequest(NOT_TEXT)
        if item.get("state") not in RESENT_STATES:
            raise BadRequest(NOT_OUT)
        if wanted.get("version") != item.get("_current_version"):
            raise BadRequest(NOT_NEWEST.format(item.get("_current_version")))
        if item.get("rewritten_by"):
            raise BadRequest(UPDATED)
        active = self._active(wanted.get("subscribers"))
        if (
            self._has_broadcasts
            and is_broadcast_script(item)
            and any(
                subscriber.get("subscriber_type") != SubscriberType.WIRE for subscriber in active
            )
        ):
            raise BadRequest(WIRE_ONLY)
        return [subscriber["_id"] for subscriber in active]

    def _active(self, wanted: Any) -> list[Document]:
        """Return the active ones of the subscribers that a request lists, by ids of any form.

        Raises:
            BadRequest: there are none.
            SchemaIssues: it is no list.
        """
        if not wanted:
            raise BadRequest(NOBODY_CHOSEN)
        if not isinstance(wanted, list):
            raise SchemaIssues({"subscribers": "must be of list type"})
        fields = {"subscriber_type": 1, "is_active": 1}
        chosen = find_all_by_id(self.db[SUBSCRIBERS], wanted, fields)
        found = {id_key(one["_id"]): one for id_ in wanted if (one := chosen.get(id_))}
        active = [subscriber for subscriber in found.values() if subscriber.get("is_active")]
        if not active:
            raise BadRequest(NOBODY_ACTIVE)
        return active


class ResendsService(ResourceService):
    """`resends`: requests that are not carried out yet, and those that could not be."""

    resource = "resends"

    def list_filter(self, lookup: Document, caller: Caller) -> Document:
        return HiddenItems(self.db).without_unreadable(lookup, "item_id", caller)

    def on_found(self, document: Document, caller: Caller) -> None:
        # The client may have asked for other fields.
        whole = document if "item_id" in document else self.find(document["_id"])
        check_may_read_ids(self.db, [whole.get("item_id")], caller)

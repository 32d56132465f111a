"""`published` and `publish_queue` at the REST edge."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bson import ObjectId
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from apps.archive.events import tell_marked, tell_update
from apps.archive.schema import LOCK_FIELDS
from apps.archive.visibility import (
    HiddenItems,
    audience_of_write,
    check_may_read,
    check_may_read_ids,
    hidden_stages,
    readable,
)
from apps.core.caller import Caller
from apps.core.clock import Clock
from apps.core.documents import object_of, text_of
from apps.core.errors import BadRequest, Conflict, NotFound, SchemaIssues
from apps.core.ids import ById, object_id
from apps.core.notifier import Audience, Notifier
from apps.core.registry import Registry
from apps.core.service import Document, ResourceService, new_etag
from apps.core.vocabulary import (
    FINAL_ROW_STATES,
    PUBLISH_STATES,
    WAITING_ROW_STATES,
    RowState,
    State,
)
from apps.lanes.waking import wake
from apps.publish.content.publication import PUBLISHED_SEQUENCE
from apps.publish.queue.actions import FINISHED, STARTED, actions_of
from apps.publish.queue.handed_over import HandedOverRows, called_back, is_handed_over
from apps.publish.queue.lane_state import HELD_TO, why_waiting
from apps.publish.queue.payloads import Payloads
from apps.publish.queue.rows import (
    ORDER_SEQUENCE,
    complete_row,
    encoded,
    lane_of,
    lanes_of,
    sequence_of,
)
from apps.publish.queue.sending import (
    WaitingRows,
    as_read,
    as_stored,
    asks_for_state,
    is_among,
    rows_being_sent,
    show_sending,
)
from apps.publish.resource import ACTIONS, INTERNAL_ROW, SERVER_WRITTEN
from apps.routing.products.matching import split_codes
from apps.routing.subscribers.destination_secrets import sealed, secret_keys, without_secrets
from apps.secrets.vault import Vault
from apps.store.by_id import find_all_by_id, find_by_id
from apps.store.collections import ARCHIVE, PUBLISH_LANES, SUBSCRIBERS
from apps.store.idempotency import IdempotentRequest
from apps.store.mongo import raise_unless_duplicates
from apps.store.sequences import Bounds, Sequences
from transmitters.base import Transmitter

ALLOWED_STATES = PUBLISH_STATES | {State.SPIKED}
NO_ITEM_ID = "_id is required: the id of the item."


class PublishedService(ResourceService):
    """The outbox as clients see it: rows that look like items (lifecycle contract 3.9).

    Args:
        sequences: source of `publish_sequence_no`.
        notifier: tells clients.
    """

    resource = "published"
    document_type = "published"

    def __init__(
        self, db: Database[Document], clock: Clock, sequences: Sequences, notifier: Notifier
    ) -> None:
        super().__init__(db, clock)
        self._sequences = sequences
        self._notifier = notifier

    def list_filter(self, lookup: Document, caller: Caller) -> Document:
        """Leave out rows that were published on a hidden stage, or whose items are on one."""
        query = HiddenItems(self.db).without_unreadable(lookup, "item_id", caller)
        return readable(query, caller)

    def on_found(self, document: Document, caller: Caller) -> None:
        if hidden_stages(caller):
            # The client may have asked for other fields.
            row = self.find(document["_id"])
            check_may_read(row, caller)
            check_may_read_ids(self.db, [row.get("item_id")], caller)

    def audience(self, document: Document, original: Document | None = None) -> Audience:
        return audience_of_write(document, original)

    def on_create(self, documents: list[Document], caller: Caller) -> None:
        """Let rows stand under ids of their own: what clients send is the id of the item.

        Raises:
            BadRequest: a row names no item, or its state is none of what has gone out.
            Forbidden: its item is hidden from the caller.
        """
        named = (document.get(name) for document in documents for name in ("_id", "item_id"))
        check_may_read_ids(self.db, named, caller)
        for document in documents:
            self._check_state(document)
            item_id = document.pop("_id", None) or document.get("item_id")
            if not item_id:
                raise BadRequest(NO_ITEM_ID)
            document.update({"_id": ObjectId(), "item_id": str(item_id)})
            document.setdefault("versioncreated", self.clock.now())
        unnumbered = [d for d in documents if d.get("publish_sequence_no") is None]
        if unnumbered:
            first = self._sequences.draw(PUBLISHED_SEQUENCE, len(unnumbered))
            for number, document in enumerate(unnumbered, start=first):
                document["publish_sequence_no"] = number

    def on_created(self, documents: list[Document], caller: Caller) -> None:
        """Let the rows be the last of their items."""
        for document in documents:
            if document.get("last_published_version"):
                others = {"item_id": document["item_id"], "_id": {"$ne": document["_id"]}}
                last = {**others, "last_published_version": True}
                self.collection.update_many(last, {"$set": {"last_published_version": False}})

    def on_update(self, updates: Document, original: Document, caller: Caller) -> None:
        self._check_state(updates)

    def on_updated(self, updates: Document, original: Document, caller: Caller) -> None:
        """Tell clients when the row is marked for another user."""
        if not tell_marked(self._notifier, updates, original):
            return
        item = {**original, "_id": original.get("item_id")}
        tell_update(self._notifier, [item], caller.user_id)

    def item_filter(self, lookup: Document) -> Document:
        """Find a row by its own id, or by that of its item: of its rows, the last one."""
        own = object_id(lookup.get("_id"))
        if own is None or self.collection.find_one({"_id": own}, {"_id": 1}):
            return lookup
        # Ids of items may look like those of rows.
        last = {"item_id": str(lookup["_id"]), "last_published_version": True}
        row = self.collection.find_one(last, {"_id": 1})
        return {**lookup, **(row or {})}

    def on_fetched(self, documents: list[Document], caller: Caller) -> None:
        """Swap ids, unless `published_id` asks for those stored, and add the current item."""
        ids = {id_ for document in documents if (id_ := text_of(document, "item_id"))}
        items = {item["_id"]: item for item in self.db[ARCHIVE].find({"_id": {"$in": list(ids)}})}
        for document in documents:
            self._shape(document, items.get(text_of(document, "item_id")), caller)

    def _shape(self, document: Document, item: Mapping[str, Any] | None, caller: Caller) -> None:
        if item is not None:
            shown = {k: v for k, v in item.items() if k != "journal"}
            document["archive_item"] = shown
            document.update({field: item.get(field) for field in LOCK_FIELDS})
        if not caller.arguments.get("published_id"):
            document["_id"], document["item_id"] = document.get("item_id"), document["_id"]

    def _check_state(self, document: Mapping[str, Any]) -> None:
        state = document.get("state")
        if state is not None and state not in ALLOWED_STATES:
            raise BadRequest(f"Invalid state ({state}) for the Published item.")


class PublishQueueService(ResourceService):
    """Deliveries as clients see them: list, cancel, send again (routing contract 8.9).

    Args:
        sequences: source of sequence numbers.
        notifier: tells clients.
        transmitters: say which keys of a destination are secret; take back what they handed over.
        vault: encrypts the secrets of destinations that clients post.
        settings: MAX_VALUE_OF_PUBLISH_SEQUENCE.
    """

    resource = "publish_queue"

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        *,
        sequences: Sequences,
        notifier: Notifier,
        transmitters: Registry[Transmitter],
        vault: Vault,
        settings: Mapping[str, Any],
    ) -> None:
        super().__init__(db, clock)
        self._transmitters = transmitters
        self._held = HandedOverRows(db, clock)
        self._secrets = secret_keys(transmitters)
        self._vault = vault
        self._sequences = sequences
        self._notifier = notifier
        self._maximum = int(settings["MAX_VALUE_OF_PUBLISH_SEQUENCE"])
        self._payloads = Payloads(db)

    def list_filter(self, lookup: Document, caller: Caller) -> Document:
        """Leave out deliveries of items on hidden stages."""
        return HiddenItems(self.db).without_unreadable(lookup, "item_id", caller)

    def where(self, query: Document) -> Document:
        """Let queries find rows that are being sent by the state that they are shown with."""
        return as_stored(query, rows_being_sent(self.db)) if asks_for_state(query) else query

    def on_found(self, document: Document, caller: Caller) -> None:
        if hidden_stages(caller):
            # The client may have asked for other fields.
            self._check_readable(self.find(document["_id"]), caller)

    def readable(self, id: str, caller: Caller) -> Document:
        """Return the row of an id of any form as it is stored.

        Raises:
            NotFound: there is none.
            Forbidden: its item is hidden from the caller.
        """
        row = find_by_id(self.collection, id)
        if row is None:
            raise NotFound(
                f"There is no row {id} in the delivery queue. GET /publish_queue lists all"
            )
        self._check_readable(row, caller)
        return row

    def _check_readable(self, row: Mapping[str, Any], caller: Caller) -> None:
        check_may_read_ids(self.db, [row.get("item_id")], caller)

    def on_create(self, documents: list[Document], caller: Caller) -> None:
        """Complete rows that a client posts, usually copies of finished ones.

        Raises:
            SchemaIssues: one cannot be sent.
            Forbidden: its item is hidden from the caller.
        """
        check_may_read_ids(self.db, (document["item_id"] for document in documents), caller)
        for document in documents:
            check_encoding(document)
            for field in SERVER_WRITTEN:
                document.pop(field, None)
        self._complete(documents)

    def send_again(
        self,
        rows: Sequence[Mapping[str, Any]],
        asked: IdempotentRequest,
        sequence_numbers: Mapping[Any, int] | None = None,
    ) -> list[Document]:
        """Store a new row for each of `rows`, and let them be sent; five commands, seldom more.

        They have new keys and the newest places in the order, which is that of `rows`; what is sent
        is what the old ones would send now. Old rows stay as they are.

        Args:
            asked: the request for them; it has one new row for each of `rows`, whoever makes it.
            sequence_numbers: id of a row to the `publish_sequence_no` of the newest that is out of
                its item: what is published later keeps the new row from being sent. Those of rows
                that are not named are sent whatever happens.

        Returns:
            The new rows.
        """
        now = self.clock.now()
        numbers = sequence_numbers or {}
        copies = []
        for row in rows:
            fields = {"_id": asked.id_for(row["_id"]), "_etag": new_etag(), "resend_id": asked.id}
            copy = {**copy_of(row), **fields, "_created": now, "_updated": now}
            if number := numbers.get(row["_id"]):
                copy["publish_sequence_no"] = number
            copies.append(copy)
        self._complete(copies, rows)
        try:
            self.collection.insert_many(copies, ordered=False)
        except BulkWriteError as error:
            # Another try was not dead, and has made some of them.
            raise_unless_duplicates(error)
        self._wake(copies)
        return copies

    def _complete(
        self, documents: list[Document], originals: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        """Give new rows what routing gives its own.

        Args:
            originals: those that they are copies of, in the same order.
        """
        first = self._sequences.draw(ORDER_SEQUENCE, len(documents))
        subscribers = self._subscribers(documents)
        for place, document in enumerate(documents):
            subscriber = subscribers.get(document.get("subscriber_id")) or {}
            if subscriber:
                # Lanes, and what is known of recipients, go by the id as it is stored.
                document["subscriber_id"] = subscriber["_id"]
            if document.get("codes") is None:
                document["codes"] = list(split_codes(subscriber.get("codes")))
            if document.get("priority") is None:
                document["priority"] = bool(subscriber.get("priority"))
            document.setdefault("state", RowState.PENDING)
            document.setdefault("_id", ObjectId())
            document["moved_to_legal"] = False
            document["retry_attempt"] = 0
            self._seal(document, originals[place] if originals else {})
            complete_row(document, first + place)
        self._number(documents, subscribers)

    def on_created(self, documents: list[Document], caller: Caller) -> None:
        self._wake(row for row in documents if row["state"] == RowState.PENDING)
        self.hide(documents)

    def _wake(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Let rows be sent that wait, even where the breaker of their lane is open."""
        # Fields that clients do not see may be gone from the documents by now.
        due = ({"lane": lane_of(row), "priority": row.get("priority")} for row in rows)
        wake(self.db[PUBLISH_LANES], lanes_of(due), self.clock.precise(), probe=True)

    def on_update(self, updates: Document, original: Document, caller: Caller) -> None:
        check_encoding(updates)
        for field in SERVER_WRITTEN:
            updates.pop(field, None)
        self._seal(updates, original)
        is_in_progress = original.get("state") == RowState.IN_PROGRESS
        held = self._held_row(original) if is_in_progress and "state" in updates else None
        if held is not None and updates["state"] != RowState.IN_PROGRESS:
            # Whoever has it finds nothing to call back; sent again, it begins anew.
            updates.update(handed_over=None, lane=lane_of({**held, **updates}))
        if original.get("fault") and updates.get("state", RowState.FAILED) != RowState.FAILED:
            updates["fault"] = None
        if updates.get("state") != RowState.CANCELED:
            return
        if is_in_progress and not (held is not None and self._is_taken_back(held)):
            raise Conflict(STARTED)
        if original.get("state") in FINAL_ROW_STATES:
            raise Conflict(FINISHED)

    def _held_row(self, row: Mapping[str, Any]) -> Document | None:
        """Return a row as stored if others have it; clients' rows do not show that."""
        stored = self.find(row["_id"])
        return stored if is_handed_over(stored) else None

    def _is_taken_back(self, row: Mapping[str, Any]) -> bool:
        """Whether what was handed over is not carried out any more, for this row."""
        if self._held.has_others(row):
            # They want it still.
            return True
        kind = self._transmitters.find(text_of(object_of(row, "destination"), "delivery_type"))
        handed_over = called_back(row)
        return kind is not None and handed_over is not None and kind.take_back(handed_over)

    def update(self, id: Any, updates: Document, original: Document, caller: Caller) -> None:
        """Store the change; a row that was taken meanwhile is not canceled any more."""
        if "state" in updates and original.get("state") in WAITING_ROW_STATES:
            self._change_waiting(id, updates, original)
            return
        condition = {"_id": id, "state": original.get("state")}
        if not self.collection.update_one(condition, {"$set": updates}).matched_count:
            raise Conflict(STARTED)

    def _change_waiting(self, id: Any, updates: Document, original: Document) -> None:
        """Change the state of a row that waits as stored.

        One that is being sent is not canceled. With another state the outcome of what is being sent
        counts no more.
        """
        row = self.find(id)
        written = dict(updates)
        with WaitingRows(self.db).kept_back([row], self.clock.precise()) as notes:
            if is_among(notes, row):
                if updates["state"] == RowState.CANCELED:
                    raise Conflict(STARTED)
                if updates["state"] == RowState.IN_PROGRESS:
                    del written["state"]
                else:
                    written["claim_token"] = notes[row["lane"]].token
            same = {**as_read(row), "state": original["state"]}
            if not self.collection.update_one(same, {"$set": written}).matched_count:
                raise Conflict(STARTED)

    def on_updated(self, updates: Document, original: Document, caller: Caller) -> None:
        row = {**original, **updates}
        if row.get("state") == RowState.PENDING:
            self._wake([row])
        self._notifier.push(
            "publish_queue:update",
            queue_id=str(row["_id"]),
            state=row.get("state"),
            completed_at=row.get("completed_at"),
            error_message=row.get("error_message"),
        )
        if "destination" in row:
            # What is stored by now; this is for the answer.
            updates["destination"] = row["destination"]
            self.hide([updates])

    def on_fetched(self, documents: list[Document], caller: Caller) -> None:
        """Show the formatted item of rows that share theirs, and what may be done with each.

        What is for the server only is hidden.

        Raises:
            TooLarge: what was sent for them is more than an answer may hold.
        """
        texts = self._payloads.texts(documents)
        self.show_state(documents)
        for document in documents:
            if document.get("formatted_item") is None:
                document["formatted_item"] = texts.get(document["_id"], "")
            if "state" in document:
                # The client may have asked for other fields.
                document[ACTIONS] = actions_of(document)
        self.hide(documents)

    def show_state(self, rows: Iterable[Document]) -> None:
        """Give rows what clients see of their state besides what is stored with them, in place.

        Those that are being sent are `in-progress`. `held` says why a row waits whose destination
        is sent nothing. Three commands where one waits, one more where anything is being sent.
        """
        waiting = [row for row in rows if row.get("state") in WAITING_ROW_STATES]
        if not waiting:
            return
        show_sending(waiting, rows_being_sent(self.db))
        waiting = [row for row in waiting if row["state"] in WAITING_ROW_STATES]
        waiting = [row for row in waiting if row.get("subscriber_id")]
        waiting = [row for row in waiting if object_of(row, "destination")]
        if not waiting:
            return
        ids = sorted({lane_of(row) for row in waiting})
        fields = {"paused": 1, HELD_TO: 1}
        lanes = {d["_id"]: d for d in self.db[PUBLISH_LANES].find({"_id": {"$in": ids}}, fields)}
        owners = find_all_by_id(
            self.db[SUBSCRIBERS],
            [row["subscriber_id"] for row in waiting],
            {"name": 1, "is_active": 1},
        )
        for row in waiting:
            name = str(row["destination"].get("name"))
            owner = owners.get(row["subscriber_id"])
            if reason := why_waiting(lanes.get(lane_of(row), {}), row, name, owner):
                row["held"] = reason

    def hide(self, documents: list[Document]) -> None:
        """Remove the fields that only the server reads, and the secrets of destinations."""
        for document in documents:
            if isinstance(document.get("destination"), Mapping):
                (document["destination"],) = without_secrets(
                    [document["destination"]], self._secrets
                )
            for field in (*INTERNAL_ROW, "payload_id", "payload_size"):
                document.pop(field, None)

    def _seal(self, row: Document, original: Mapping[str, Any]) -> None:
        """Encrypt the secrets of a destination that a client sends whole."""
        if isinstance(row.get("destination"), Mapping):
            (row["destination"],) = sealed(
                [row["destination"]],
                [original.get("destination") or {}],
                self._secrets,
                self._vault,
            )

    def _subscribers(self, documents: Iterable[Mapping[str, Any]]) -> ById[Document]:
        """Return the subscribers that rows name, by id; one command."""
        ids = (document.get("subscriber_id") for document in documents)
        fields = {"codes": 1, "priority": 1, "sequence_num_settings": 1}
        return find_all_by_id(self.db[SUBSCRIBERS], ids, fields)

    def _number(self, documents: Iterable[Document], subscribers: ById[Document]) -> None:
        """Draw the sequence numbers of rows that have none, those of all rows together."""
        unnumbered: dict[str, list[Document]] = {}
        bounds: dict[str, Bounds] = {}
        for document in documents:
            if document.get("published_seq_num") is not None:
                continue
            id_ = document.get("subscriber_id")
            key = sequence_of(id_)
            wanted = (subscribers.get(id_) or {}).get("sequence_num_settings") or {}
            bounds[key] = Bounds.of(wanted, self._maximum)
            unnumbered.setdefault(key, []).append(document)
        counts = {key: len(rows) for key, rows in unnumbered.items()}
        for key, numbers in self._sequences.draw_wrapping(counts, bounds).items():
            for document, number in zip(unnumbered[key], numbers, strict=True):
                document["published_seq_num"] = number


COPIED = (
    *("item_id", "item_version", "publishing_action", "headline", "unique_name", "content_type"),
    *("ingest_provider", "publish_schedule", "published_in_package", "associated_items"),
    *("formatted_item", "item_encoding", "encoded_item_id", "payload_id", "payload_size"),
    *("subscriber_id", "destination"),
)
"""What a row that is sent again has of the old one: whom it is for, and what is sent."""


BODIES = frozenset({"formatted_item", "encoded_item_id", "payload_id"})
"""Of these one says what is sent."""


def copy_of(row: Mapping[str, Any]) -> Document:
    """Return the start of a row that is sent as another one was, without that one's delivery."""
    copy = {field: row[field] for field in COPIED if row.get(field) is not None}
    if not BODIES & copy.keys():
        # What its format refused may be formatted by now.
        copy["unformatted"] = True
    return copy


def check_encoding(row: Mapping[str, Any]) -> None:
    """Check that the text of a row can be written in the encoding that it names.

    Raises:
        SchemaIssues: there is no such encoding.
    """
    name = row.get("item_encoding")
    if encoded(text_of(row, "formatted_item"), name) is None:
        raise SchemaIssues({"item_encoding": f"unallowed value {name}"})

"""The ledger of recipients: who has received which item. Corrections and kills go by it.

One document per item in `recipients`. It lives as long as the item, in `archive` and after that in
`archived`, unlike the rows of the delivery queue (routing contract R7). Before these go, what they
say of deliveries is put into it, under `delivered`: subscriber id to the newest version delivered.
Ids of subscribers are names of fields there, in the form of `apps/store/field_names.py`.
"""

from collections.abc import Hashable, Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from bson import ObjectId
from pymongo import UpdateOne
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from apps.core.documents import number_of, object_of, text_of, texts_of
from apps.core.service import Document
from apps.core.vocabulary import CONTENT_API, PublishingAction, RowState
from apps.store.by_id import find_all_by_id
from apps.store.collections import PUBLISH_QUEUE, RECIPIENTS, SUBSCRIBERS
from apps.store.field_names import by_id, field_of

COUNTED = [PublishingAction.PUBLISHED, PublishingAction.CORRECTED]
"""Actions that make somebody a recipient."""

ROW_FIELDS = (
    *("item_id", "subscriber_id", "codes", "item_version", "associated_items"),
    "destination.delivery_type",
)

MANY = 200
"""Recipients of an item that are stored by a command of their own where it has none yet."""

DELIVERED_FIELDS = ("item_id", "subscriber_id", "item_version", "state")
"""Fields of queue rows that say which version was delivered."""


class LedgerEntry(NamedTuple):
    """The ledger's entry of one subscriber's copy of an item.

    Attributes:
        codes: of the newest delivery.
        api_enabled: whether the content API has the item for the subscriber.
        version: the newest version that was queued.
        associated: ids of the associated items that it may see, of all versions.
        members: of a package, the members that its own package held last.
        only_packaged: of a package, only destinations that take packages whole get it.
        products: ids of its products that a version of the item matched.
    """

    codes: tuple[str, ...] = ()
    api_enabled: bool = False
    version: int = 0
    associated: tuple[str, ...] = ()
    members: tuple[str, ...] = ()
    only_packaged: bool = False
    products: tuple[Any, ...] = ()

    def after(self, earlier: "LedgerEntry | None") -> "LedgerEntry":
        """Return the entry as it follows an earlier one: what was given is not taken back."""
        if earlier is None:
            return self
        associated = tuple(dict.fromkeys((*earlier.associated, *self.associated)))
        api_enabled = self.api_enabled or earlier.api_enabled
        return self._replace(
            associated=associated,
            api_enabled=api_enabled,
            version=max(self.version, earlier.version),
            products=tuple(dict.fromkeys((*earlier.products, *self.products))),
        )


class Ledger:
    """Recipients of the items of one batch, and what the batch adds.

    Args:
        db: the database.
    """

    def __init__(self, db: Database[Document]) -> None:
        self._db = db
        self._known: dict[str, dict[ObjectId, LedgerEntry]] = {}
        self._receivers: dict[str, frozenset[ObjectId]] = {}
        self._added: dict[str, dict[ObjectId, LedgerEntry]] = {}
        self._from_queue: set[str] = set()

    def load(self, item_ids: Iterable[str], *, look_back: Iterable[str]) -> None:
        """Read the recipients of `item_ids`; one command.

        Args:
            look_back: items whose recipients are needed. Where the ledger has none of them, the
                delivery queue is asked: its rows may have been written by others.
        """
        wanted = sorted(set(item_ids) - set(self._known))
        for document in self._db[RECIPIENTS].find({"_id": {"$in": wanted}}):
            entries = document.get("subscribers") or {}
            self._receivers[document["_id"]] = frozenset(document.get("receivers") or ())
            self._known[document["_id"]] = {
                id_: _entry(entry) for id_, entry in by_id(entries).items()
            }
        missing = sorted(set(look_back) & set(wanted) - set(self._known))
        if missing:
            self._load_from_queue(missing)

    def _load_from_queue(self, item_ids: list[str]) -> None:
        rows = self._db[PUBLISH_QUEUE].find(
            {"item_id": {"$in": item_ids}, "publishing_action": {"$in": COUNTED}},
            dict.fromkeys(ROW_FIELDS, 1),
        )
        for row in _with_stored_subscribers(self._db, rows.sort("_id", 1)):
            if (subscriber := _subscriber_of(row)) is not None:
                known = self._known.setdefault(row["item_id"], {})
                known[subscriber] = _entry_of_row(row).after(known.get(subscriber))
                self._from_queue.add(row["item_id"])

    def keep(self, item_ids: Iterable[str]) -> None:
        """Put on record whom the delivery queue alone knows as recipients, before its rows go."""
        ids = list(item_ids)
        self.load(ids, look_back=ids)
        self._added = {id_: self._known[id_] for id_ in ids if id_ in self._from_queue}
        self.save()

    def of(self, item_id: str) -> Mapping[ObjectId, LedgerEntry]:
        """Return the recipients of an item by subscriber id, those of this batch included."""
        return self._known.get(item_id, {})

    def add(self, item_id: str, subscriber_id: ObjectId, entry: LedgerEntry) -> None:
        """Add a recipient of the item."""
        known = self._known.setdefault(item_id, {})
        known[subscriber_id] = entry.after(known.get(subscriber_id))
        self._added.setdefault(item_id, {})[subscriber_id] = known[subscriber_id]

    def save(self, routed_at: datetime | None = None) -> None:
        """Store what was added; one command for the whole batch.

        Args:
            routed_at: when it was routed, which puts the items at the head of feeds; None where
                nothing is routed now.
        """
        for item_id, entries in list(self._added.items()):
            if len(entries) >= MANY and self._has_inserted(item_id, entries, routed_at):
                del self._added[item_id]
        if not self._added:
            return
        self._db[RECIPIENTS].bulk_write(
            [
                UpdateOne({"_id": item_id}, self._change(item_id, entries, routed_at), upsert=True)
                for item_id, entries in self._added.items()
            ],
            ordered=False,
        )
        self._added.clear()

    def _has_inserted(
        self, item_id: str, entries: Mapping[ObjectId, LedgerEntry], routed_at: datetime | None
    ) -> bool:
        """Store the recipients of an item that has none yet; return whether it had none.

        Stores take a document of thousands of recipients at once, and long for an update of it.
        """
        if item_id in self._receivers:
            return False
        stored = {field_of(id_): _stored(entry) for id_, entry in entries.items()}
        document: Document = {"_id": item_id, "subscribers": stored}
        if routed_at is not None:
            document |= {"routed_at": routed_at, "receivers": list(entries)}
        try:
            self._db[RECIPIENTS].insert_one(document)
        except DuplicateKeyError:
            return False
        return True

    def _change(
        self, item_id: str, entries: Mapping[ObjectId, LedgerEntry], routed_at: datetime | None
    ) -> Document:
        written: Document = {
            f"subscribers.{field_of(id_)}": _stored(entry) for id_, entry in entries.items()
        }
        if routed_at is None:
            return {"$set": written}
        written["routed_at"] = routed_at
        # The same subscribers once more, in a form that an index can find them by.
        new = [id_ for id_ in entries if id_ not in self._receivers.get(item_id, ())]
        return {"$set": written, "$addToSet": {"receivers": {"$each": new}}}


def recall_recipients(
    db: Database[Document], item_ids: Iterable[str], rows: Iterable[Mapping[str, Any]]
) -> None:
    """Put on record whom rows name as recipients of items of which the ledger knows nobody.

    Args:
        rows: kept elsewhere, like those of the delivery queue.
    """
    ledger = Ledger(db)
    ledger.load(item_ids, look_back=())
    unknown = [
        row
        for row in rows
        if row.get("publishing_action") in COUNTED and not ledger.of(row["item_id"])
    ]
    for row in _with_stored_subscribers(db, unknown):
        if (subscriber := _subscriber_of(row)) is not None:
            ledger.add(row["item_id"], subscriber, _entry_of_row(row))
    ledger.save()


def _entry(stored: Mapping[str, Any]) -> LedgerEntry:
    return LedgerEntry(
        codes=tuple(stored.get("codes") or ()),
        api_enabled=bool(stored.get("api_enabled")),
        version=int(stored.get("version") or 0),
        associated=tuple(stored.get("associated") or ()),
        members=tuple(stored.get("members") or ()),
        only_packaged=bool(stored.get("only_packaged")),
        products=tuple(stored.get("products") or ()),
    )


def _entry_of_row(row: Mapping[str, Any]) -> LedgerEntry:
    """Return what a row of the delivery queue says of its subscriber's copy."""
    delivery_type = object_of(row, "destination").get("delivery_type")
    return LedgerEntry(
        codes=tuple(texts_of(row, "codes")),
        api_enabled=delivery_type == CONTENT_API,
        version=number_of(row, "item_version"),
        associated=tuple(texts_of(row, "associated_items")),
    )


def _subscriber_of(row: Mapping[str, Any]) -> Any:
    """Return the id of the subscriber of a row, None where others wrote none that can be one."""
    id_ = row.get("subscriber_id")
    return id_ if isinstance(id_, Hashable) else None


def _with_stored_subscribers(
    db: Database[Document], rows: Iterable[Mapping[str, Any]]
) -> list[Document]:
    """Return rows with the ids of their subscribers as these are stored; one command, or none.

    Rows that others wrote may name them by text.
    """
    found = list(rows)
    stored = find_all_by_id(db[SUBSCRIBERS], map(_subscriber_of, found), {"_id": 1})
    return [
        {**row, "subscriber_id": (stored.get(id_) or {"_id": id_})["_id"]}
        for row in found
        for id_ in [_subscriber_of(row)]
    ]


def _stored(entry: LedgerEntry) -> Document:
    stored: Document = {
        "codes": list(entry.codes),
        "api_enabled": entry.api_enabled,
        "version": entry.version,
    }
    if entry.associated:
        stored["associated"] = list(entry.associated)
    if entry.members:
        stored["members"] = list(entry.members)
    if entry.only_packaged:
        stored["only_packaged"] = True
    if entry.products:
        stored["products"] = list(entry.products)
    return stored


# Which version of an item each subscriber has.


def keep_delivered(db: Database[Document], rows: Iterable[Mapping[str, Any]]) -> None:
    """Put on record what was delivered by `rows`, which are about to go; two commands.

    Items that the ledger does not know are left out.

    Args:
        rows: with `DELIVERED_FIELDS`.
    """
    rows = _with_stored_subscribers(db, rows)
    writes = [
        UpdateOne(
            {"_id": item_id},
            {"$max": {f"delivered.{field_of(id_)}": version for id_, version in of.items()}},
        )
        for item_id, of in _newest(rows).items()
    ]
    if writes:
        db[RECIPIENTS].bulk_write(writes, ordered=False)


def keep_delivered_of(db: Database[Document], item_ids: Iterable[str]) -> None:
    """Put on record what was delivered of items whose rows are about to go; three commands."""
    query = {"item_id": {"$in": sorted(item_ids)}, "state": RowState.SUCCESS}
    keep_delivered(db, db[PUBLISH_QUEUE].find(query, dict.fromkeys(DELIVERED_FIELDS, 1)))


def delivered_versions(db: Database[Document], item_id: str) -> dict[ObjectId, int]:
    """Return the newest version of an item that each subscriber has; three commands."""
    query = {"item_id": item_id, "state": RowState.SUCCESS}
    rows = db[PUBLISH_QUEUE].find(query, dict.fromkeys(DELIVERED_FIELDS, 1))
    found = _newest(_with_stored_subscribers(db, rows)).get(item_id, {})
    ledger = db[RECIPIENTS].find_one({"_id": item_id}, {"delivered": 1}) or {}
    for id_, version in by_id(ledger.get("delivered") or {}).items():
        found[id_] = max(version, found.get(id_, 0))
    return found


def _newest(rows: Iterable[Mapping[str, Any]]) -> dict[str, dict[ObjectId, int]]:
    """Return the newest delivered version by item and subscriber."""
    found: dict[str, dict[ObjectId, int]] = {}
    for row in rows:
        item_id, subscriber = text_of(row, "item_id"), _subscriber_of(row)
        version = number_of(row, "item_version")
        # Rows that others wrote may say less.
        if row.get("state") == RowState.SUCCESS and subscriber is not None and version:
            of_item = found.setdefault(item_id, {})
            of_item[subscriber] = max(version, of_item.get(subscriber, 0))
    return found

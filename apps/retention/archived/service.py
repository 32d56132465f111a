"""Archived items: read, kill and take down (lifecycle contract 3.10, 5.12)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from hashlib import sha256
from typing import Any

from bson import ObjectId

from apps.archive.broadcasts import is_broadcast_script
from apps.archive.journal.follow_ups import insertion, with_follow_ups
from apps.archive.packages import is_package, member_ids, member_refs
from apps.archive.schema import ITEM_SCHEMA, UNLOCKED
from apps.archive.times import expiry_of_published
from apps.archive.visibility import audience, audience_of_write, check_may_read, readable
from apps.core import hooks
from apps.core.caller import Caller
from apps.core.documents import object_of, objects, objects_of
from apps.core.errors import BadRequest, IncompleteWrite, NotFound, WiredeskError
from apps.core.notifier import Audience
from apps.core.service import Document, ResourceService, new_etag
from apps.core.vocabulary import ItemType, Operation, PubStatus, State
from apps.publish.content.collaborators import Collaborators
from apps.publish.content.notice import kill_mail, notice
from apps.publish.content.publication import PUBLISHED_SEQUENCE
from apps.publish.queue.recipients import recall_recipients
from apps.store.collections import (
    ARCHIVE,
    ARCHIVED,
    LEGAL_PUBLISH_QUEUE,
    PUBLISHED,
    RECIPIENTS,
    SUBSCRIBERS,
)

STATES = {Operation.KILL: State.KILLED, Operation.TAKEDOWN: State.RECALLED}
REPLACEABLE = ("headline", "abstract", "body_html")
"""Fields that the request may replace; the others stay as they were archived."""
TAKES = "takes"
"""`package_type` of a package that holds the parts of one story."""

NOT_TEXT = "Only Text articles are allowed to be Killed in Archived repo"
IS_BROADCAST = "Killing of Broadcast Items isn't allowed in Archived repo"
IS_MASTER = "Can't kill as this article acts as a Master Story for existing broadcast(s)"
IN_PRODUCTION = "Can't Kill as article is still available in production"
IN_PACKAGE = "Can't kill as article is part of a Package"


class ArchivedService(ResourceService):
    """Rows of `archived`, one for each version that was published.

    A kill brings the item back as killed: everybody who ever received it is told.

    Args:
        collaborators: as the publish services have them.
        withdraw: takes an item that does not come back off the sites that show it; is given its
            id and its version.
    """

    resource = "archived"
    document_type = "archived"

    def __init__(
        self,
        collaborators: Collaborators,
        withdraw: Callable[[str, int], None] = lambda item_id, version: None,
    ) -> None:
        super().__init__(collaborators.db, collaborators.clock)
        self._collaborators = collaborators
        self._withdraw = withdraw

    # Read.

    def list_filter(self, lookup: Document, caller: Caller) -> Document:
        """Leave out rows on stages that the caller cannot see."""
        return readable(lookup, caller)

    def on_found(self, document: Document, caller: Caller) -> None:
        whole = document if "task" in document else self.find(document["_id"])
        check_may_read(whole, caller)

    def audience(self, document: Document, original: Document | None = None) -> Audience:
        return audience_of_write(document, original)

    # Kill and takedown.

    def on_update(self, updates: Document, original: Document, caller: Caller) -> None:
        if updates.get("operation") not in STATES:
            # No rule of the item refuses this, the request is not one: envelope E.
            raise WiredeskError("operation must be kill or takedown")

    def update(self, id: Any, updates: Document, original: Document, caller: Caller) -> None:
        """Bring the item back as killed or recalled; safe against a crash at any point.

        The takes package of the item, and all takes in it, are withdrawn with it. What is marked as
        archived only does not come back: it goes from here, and mails tell of it.

        Raises:
            BadRequest: the item, or one that would be withdrawn with it, is still in production.
        """
        operation = Operation(updates["operation"])
        asked = {name: updates[name] for name in REPLACEABLE if name in updates}
        newest = self._newest(original["item_id"])
        rows = self._with_takes(newest)
        others = [self._withdrawn(row, {**row, **asked}, operation, caller) for row in rows]
        item = self._withdrawn(newest, {**original, **asked}, operation, caller)
        for package in filter(is_package, (item, *others)):
            _show_members(package, [item, *others])
        # Members of a package are routed before it.
        notes = self._notes(sorted((*others, item), key=is_package), updates, caller)
        if (newest.get("flags") or {}).get("marked_archived_only"):
            self._forget([*rows, newest], notes)
        else:
            self._bring_back(item, others, notes)
        for row in rows:
            self._tell(row, caller)
        updates.update({name: item[name] for name in (*REPLACEABLE, "state") if name in item})
        updates["_current_version"] = item["_current_version"]

    def _with_takes(self, newest: Document) -> list[Document]:
        """Return the last rows of what is withdrawn with an item: takes, then their package.

        Args:
            newest: the last row of the item.

        Raises:
            BadRequest: one of them is still in production.
        """
        package = self._takes_package(newest)
        if package is None:
            return []
        takes = [id_ for id_ in member_ids(package.get("groups")) if id_ != newest["item_id"]]
        wanted = dict.fromkeys((*takes, package["item_id"]))
        wanted.pop(newest["item_id"], None)
        found = {"_id": {"$in": list(wanted)}}
        for item in self.db[ARCHIVE].find(found, {"state": 1}):
            if item.get("state") not in STATES.values():
                raise BadRequest(IN_PRODUCTION)
            del wanted[item["_id"]]
        return [row for id_ in wanted if (row := self._last(id_)) is not None]

    def _takes_package(self, row: Document) -> Document | None:
        """Return the last row of the takes package that an archived item is, or is in."""
        if is_package(row):
            return row if row.get("package_type") == TAKES else None
        for link in objects_of(row, "linked_in_packages"):
            if link.get("package_type") != TAKES:
                continue
            package = self._last(link.get("package"))
            if package and row["item_id"] in member_ids(package.get("groups")):
                return package
        return None

    def _bring_back(
        self, item: Document, others: Sequence[Document], notes: Mapping[str, Document]
    ) -> None:
        """Store the item with the note of all that follows, the others among it.

        Raises:
            BadRequest: it is still in production.
        """
        journal = self._collaborators.journal
        self._recall_recipients([item["_id"], *(other["_id"] for other in others)])
        note = notes[item["_id"]]
        follow = [insertion(ARCHIVE, {**o, "journal": notes[o["_id"]]}) for o in others]
        note.update(with_follow_ups(note, follow))
        if not journal.store_new(item, note):
            raise BadRequest(IN_PRODUCTION)
        journal.add_publication(item, note)
        for other in others:
            # What cannot be written is told to administrators, and tried again.
            with suppress(IncompleteWrite):
                journal.complete_own(other["_id"])

    def _forget(self, rows: Sequence[Document], notes: Mapping[str, Document]) -> None:
        """Remove items that are archived only; the one that was addressed is the last."""
        for row in rows:
            id_, version = row["item_id"], row.get("_current_version")
            name = row.get("archived_id") or f"{id_}:{version}"
            # The same id if this dies half-way and is asked for again: nobody gets two mails.
            notes[id_]["row_id"] = ObjectId(sha256(name.encode()).digest()[:12])
            if "mail" in notes[id_]:
                self._collaborators.journal.add_mails(notes[id_])
            self._withdraw(id_, _version(row) + 1)
            self.collection.delete_many({"item_id": id_})
            self.db[RECIPIENTS].delete_one({"_id": id_})

    def _recall_recipients(self, item_ids: Sequence[str]) -> None:
        """Take who had items from the long-term archive, where nothing else says it."""
        rows = self._collaborators.legal_db[LEGAL_PUBLISH_QUEUE].find(
            {"item_id": {"$in": list(item_ids)}}
        )
        # The subscribers are there by name, and their ids aside.
        own = [{**row, "subscriber_id": row.get("_subscriber_id")} for row in rows]
        recall_recipients(self.db, item_ids, own)

    def on_updated(self, updates: Document, original: Document, caller: Caller) -> None:
        self._collaborators.wake_up()
        self._collaborators.wake_mailer()
        self._collaborators.wake_legal()
        self._tell(original, caller)

    def _tell(self, row: Document, caller: Caller) -> None:
        """Tell that an item has left the archive."""
        hooks.tell(hooks.archived_removed, self.resource, item=row)
        self._collaborators.notifier.push(
            "item:deleted:archived",
            audience=audience([row]),
            item=row["item_id"],
            user=str(caller.user_id or ""),
        )

    def _newest(self, item_id: str) -> Document:
        row = self._last(item_id)
        if row is None:
            raise NotFound(f"{item_id} is not archived any more")
        return row

    def _last(self, item_id: Any) -> Document | None:
        """Return the last row of an item."""
        return self.collection.find_one({"item_id": item_id}, sort=[("_current_version", -1)])

    def _withdrawn(
        self,
        newest: Mapping[str, Any],
        wanted: Mapping[str, Any],
        operation: Operation,
        caller: Caller,
    ) -> Document:
        """Return the item as it comes back.

        Args:
            newest: the last row of the item.
            wanted: what `REPLACEABLE` fields are taken from: a row, with what the request says.
        """
        now = self.clock.now()
        header = notice(operation, newest, newest.get("versioncreated") or now)
        item = {name: newest[name] for name in ITEM_SCHEMA if name in newest}
        return {
            **item,
            **{name: wanted[name] for name in REPLACEABLE if name in wanted},
            **UNLOCKED,
            "_id": newest["item_id"],
            "_created": newest.get("firstcreated") or newest.get("_created") or now,
            "_updated": now,
            "_etag": new_etag(),
            "body_html": header + (wanted.get("body_html") or ""),
            "state": STATES[operation],
            "operation": operation,
            "pubstatus": PubStatus.CANCELED,
            "version_creator": str(caller.user_id or ""),
            "versioncreated": now,
            "expiry": self._expiry(newest),
            "expiry_status": None,
            "_current_version": _version(newest) + 1,
        }

    def _notes(
        self, items: Sequence[Document], updates: Mapping[str, Any], caller: Caller
    ) -> dict[str, Document]:
        """Return the notes of items that come back, by id; they are routed in the order given.

        Args:
            updates: the request.
        """
        found = self.db[SUBSCRIBERS].find({}, {"email": 1}).sort("_id", 1)
        subscribers = list(found) if self._collaborators.sends_mail else []
        first = self._collaborators.sequences.draw(PUBLISHED_SEQUENCE, len(items))
        notes = {}
        for number, item in enumerate(items, start=first):
            note = self._collaborators.journal.publication(item, number, caller.user_id)
            note.update({"revived": True, "changed": sorted(updates)})
            if self._collaborators.sends_mail:
                headline = updates.get("headline")
                note["mail"] = kill_mail(item["operation"], item, headline, subscribers)
            notes[item["_id"]] = note
        return notes

    def _expiry(self, row: Mapping[str, Any]) -> Any:
        """Return when the item expires anew; its desk may be gone by now."""
        place = self._collaborators.places.where(object_of(row, "task"))
        return expiry_of_published(place, self.clock.now(), self._collaborators.settings)

    # Delete: checks whether a kill is possible, and removes nothing.

    def on_delete(self, document: Document, caller: Caller) -> None:
        """Refuse where a kill would not be possible (lifecycle contract 3.10).

        Raises:
            BadRequest: it would not.
        """
        item_id = document["item_id"]
        if document.get("type") != ItemType.TEXT:
            raise BadRequest(NOT_TEXT)
        if self._collaborators.settings["BROADCAST_ENABLED"]:
            if is_broadcast_script(document):
                raise BadRequest(IS_BROADCAST)
            if self._is_master(item_id):
                raise BadRequest(IS_MASTER)
        if self.db[ARCHIVE].find_one({"_id": item_id}, {"_id": 1}):
            raise BadRequest(IN_PRODUCTION)
        if self._is_in_package(document):
            raise BadRequest(IN_PACKAGE)

    def delete(self, document: Document, caller: Caller) -> None:
        """Remove nothing: archived items go by a kill, or by age."""

    def _is_master(self, item_id: str) -> bool:
        named = {"broadcast.master_id": item_id}
        found = (self.db[name].find(named, {"genre": 1}) for name in (ARCHIVE, PUBLISHED, ARCHIVED))
        return any(is_broadcast_script(script) for scripts in found for script in scripts)

    def _is_in_package(self, document: Mapping[str, Any]) -> bool:
        if document.get("linked_in_packages"):
            return True
        holding = {"groups.refs.residRef": document["item_id"]}
        return any(self.db[n].find_one(holding, {"_id": 1}) for n in (ARCHIVE, ARCHIVED))


def _version(row: Mapping[str, Any]) -> int:
    """Return the version of a row; others may have stored it as text."""
    return int(row.get("_current_version") or 1)


def _show_members(package: Document, withdrawn: Iterable[Mapping[str, Any]]) -> None:
    """Let the refs of a package show the versions of members that are withdrawn with it."""
    versions = {item["_id"]: item["_current_version"] for item in withdrawn}
    package["groups"] = deepcopy(objects(package.get("groups")))
    for ref in member_refs(package["groups"]):
        if ref["residRef"] in versions:
            ref.update({"location": ARCHIVE, "_current_version": versions[ref["residRef"]]})

"""Archived items: read, kill and take down (lifecycle contract 3.10, 5.12)."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from bson import ObjectId

from apps.archive.schema import ITEM_SCHEMA, UNLOCKED
from apps.archive.times import expiry_of_published
from apps.archive.visibility import audience, audience_of_write, check_may_read, readable
from apps.core import hooks
from apps.core.caller import Caller
from apps.core.documents import object_of, objects_of
from apps.core.errors import BadRequest, NotFound, WiredeskError
from apps.core.notifier import Audience
from apps.core.service import Document, ResourceService, new_etag
from apps.core.vocabulary import BROADCAST_SCRIPT, ItemType, Operation, PubStatus, State
from apps.publish.content.collaborators import Collaborators
from apps.publish.content.notice import kill_mail, notice
from apps.publish.content.publication import PUBLISHED_SEQUENCE
from apps.store.collections import ARCHIVE, ARCHIVED, PUBLISHED, RECIPIENTS, SUBSCRIBERS

STATES = {Operation.KILL: State.KILLED, Operation.TAKEDOWN: State.RECALLED}
REPLACEABLE = ("headline", "abstract", "body_html")
"""Fields that the request may replace; the others stay as they were archived."""

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
    """

    resource = "archived"
    document_type = "archived"

    def __init__(self, collaborators: Collaborators) -> None:
        super().__init__(collaborators.db, collaborators.clock)
        self._collaborators = collaborators

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

        An item that is marked as archived only does not come back: it goes from here, and a mail
        tells of it.

        Raises:
            BadRequest: the item is still in production.
        """
        operation = Operation(updates["operation"])
        newest = self._newest(original["item_id"])
        item = self._withdrawn(newest, {**original, **updates}, updates, operation, caller)
        note = self._note(item, updates, caller)
        if (newest.get("flags") or {}).get("marked_archived_only"):
            # The same id if this dies half-way and is asked for again: nobody gets two mails.
            note["row_id"] = ObjectId(sha256(newest["archived_id"].encode()).digest()[:12])
            self._collaborators.journal.add_mails(note)
            self.collection.delete_many({"item_id": item["_id"]})
            self.db[RECIPIENTS].delete_one({"_id": item["_id"]})
        elif self._collaborators.journal.store_new(item, note):
            self._collaborators.journal.add_publication(item, note)
        else:
            raise BadRequest(IN_PRODUCTION)
        updates.update({name: item[name] for name in (*REPLACEABLE, "state") if name in item})
        updates["_current_version"] = item["_current_version"]

    def on_updated(self, updates: Document, original: Document, caller: Caller) -> None:
        self._collaborators.wake_up()
        self._collaborators.wake_mailer()
        self._collaborators.wake_legal()
        hooks.tell(hooks.archived_removed, self.resource, item=original)
        self._collaborators.notifier.push(
            "item:deleted:archived",
            audience=audience([original]),
            item=original["item_id"],
            user=str(caller.user_id or ""),
        )

    def _newest(self, item_id: str) -> Document:
        row = self.collection.find_one({"item_id": item_id}, sort=[("_current_version", -1)])
        if row is None:
            raise NotFound(f"{item_id} is not archived any more")
        return row

    def _withdrawn(
        self,
        newest: Mapping[str, Any],
        wanted: Mapping[str, Any],
        updates: Mapping[str, Any],
        operation: Operation,
        caller: Caller,
    ) -> Document:
        """Return the item as it comes back.

        Args:
            newest: the last row of the item.
            wanted: the row that was addressed, with what the request says.
            updates: the request.
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
            "_current_version": int(newest.get("_current_version") or 1) + 1,
        }

    def _note(
        self,
        item: Mapping[str, Any],
        updates: Mapping[str, Any],
        caller: Caller,
    ) -> Document:
        number = self._collaborators.sequences.draw(PUBLISHED_SEQUENCE)
        note = self._collaborators.journal.publication(item, number, caller.user_id)
        note.update({"revived": True, "changed": sorted(updates)})
        if self._collaborators.sends_mail:
            subscribers = self.db[SUBSCRIBERS].find({}, {"email": 1}).sort("_id", 1)
            note["mail"] = kill_mail(item["operation"], item, updates.get("headline"), subscribers)
        return note

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
            genres = objects_of(document, "genre")
            if any(genre.get("name") == BROADCAST_SCRIPT for genre in genres):
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
        scripts = {"genre.name": BROADCAST_SCRIPT, "broadcast.master_id": item_id}
        stored_in = (ARCHIVE, PUBLISHED, ARCHIVED)
        return any(self.db[name].find_one(scripts, {"_id": 1}) for name in stored_in)

    def _is_in_package(self, document: Mapping[str, Any]) -> bool:
        if document.get("linked_in_packages"):
            return True
        holding = {"groups.refs.residRef": document["item_id"]}
        return any(self.db[n].find_one(holding, {"_id": 1}) for n in (ARCHIVE, ARCHIVED))

"""Fetch an ingested item to a desk (resources contract 12)."""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

from apps.archive.actions.base import ActionContext, ItemCommand, with_new_etag
from apps.archive.associations import (
    NOT_TAKEN,
    associations_with_ids,
    named_items,
    refs_of,
    usage_changes,
)
from apps.archive.events import tell_arrival, tell_stage
from apps.archive.journal.follow_ups import change, insertion, with_follow_ups
from apps.archive.journal.journal import version_row
from apps.archive.journal.media_references import new_references
from apps.archive.macro_changes import changes_of_macro, changes_of_stages
from apps.archive.packages import is_package, link_changes, member_refs
from apps.archive.places import NOWHERE, Place, check_may_send_to, task_with_ids
from apps.archive.schema import CONTENT, ITEM_SCHEMA, METADATA, WORK
from apps.archive.visibility import check_may_read_ids
from apps.core import hooks
from apps.core.caller import Caller
from apps.core.documents import objects_of
from apps.core.errors import NotFound
from apps.core.ids import tag_guid
from apps.core.service import Document
from apps.core.vocabulary import MEDIA_TYPES, ItemType, Operation, State
from apps.core.workflow import Action, check_allowed
from apps.store.collections import ARCHIVE, ARCHIVE_VERSIONS, INGEST

NOT_FETCHED = frozenset(WORK) | {"_id", "guid", "unique_id", "unique_name", "version"}
OF_THE_ASSOCIATION = frozenset(CONTENT) | frozenset(METADATA) | {"renditions", "poi", "order"}
"""Fields that an association keeps when its item is fetched."""


class FetchService(ItemCommand):
    """POST `/ingest/<item id>/fetch`; item fields in the body win over those of the source.

    Members of a package and ingested associations are fetched with it, in the same journalled
    write: after a crash all of them are there, or none.
    """

    resource = "fetch"

    def act(self, item_id: str, request: Mapping[str, Any], caller: Caller) -> Document:
        sources = _Sources(self.context)
        source = sources.get(item_id)
        check_may_read_ids(self.db, named_items(request), caller)
        where = task_with_ids({name: request.get(name) for name in ("desk", "stage")})
        place = self._place(where)
        check_may_send_to(self.db, where["desk"], caller)
        fetching = _Fetching(self.context, sources, place, caller)
        item = fetching.fetch(source, request)
        self._store(item, fetching)
        tell_arrival(self.context.notifier, "item:fetch", item, source, caller.user_id)
        tell_stage(self.context.notifier, item)
        return item

    def _place(self, where: Mapping[str, Any]) -> Place:
        """Return where the item goes: the desk's incoming stage, unless the request names one."""
        place = self.context.places.of(where)
        incoming = (place.desk or {}).get("incoming_stage")
        if place.stage or not incoming:
            return place
        return self.context.places.of({**where, "stage": incoming})

    def _store(self, item: Document, fetching: "_Fetching") -> None:
        # Of the item itself everything but history and marks is in the write that has the note.
        writes = [*fetching.stored_with(item), *fetching.marks]
        note = self.context.journal.action(writes, item["_current_version"])
        used = [write for each in fetching.items for write in usage_changes(each, {}, note["at"])]
        note = with_follow_ups(note, used)
        self.context.journal.create(item, note)
        for each in fetching.items:
            source = fetching.source_of(each)
            hooks.tell(hooks.item_fetched, "archive", item=each, original=source)


class _Sources:
    """Ingested items, read once each.

    Args:
        context: see `ActionContext`.
    """

    def __init__(self, context: ActionContext) -> None:
        self._context = context
        self._known: dict[str, Document] = {}

    def read(self, ids: Iterable[str]) -> None:
        """Read items; one command, none when all are known."""
        wanted = sorted(set(ids) - self._known.keys())
        if wanted:
            rows = self._context.db[INGEST].find({"_id": {"$in": wanted}})
            self._known.update({row["_id"]: row for row in rows})

    def __contains__(self, item_id: str) -> bool:
        return item_id in self._known

    def get(self, item_id: str) -> Document:
        """Return an item that may be fetched.

        Raises:
            NotFound: no such item.
            TransitionError: its state does not allow it.
        """
        self.read([item_id])
        if item_id not in self:
            raise NotFound(f"Failed to find ingest item with _id: {item_id}")
        source = self._known[item_id]
        check_allowed(Action.FETCH, source.get("state", State.INGESTED))
        return source


class _Fetching:
    """One fetch: makes the items and collects the writes that store them.

    Args:
        context: see `ActionContext`.
        sources: ingested items.
        place: desk and stage where all items go.
        caller: who fetches them.

    Attributes:
        items: the items that were made, what holds others last.
        marks: follow-ups that record the fetch, mark the sources, and link members.
    """

    def __init__(
        self, context: ActionContext, sources: _Sources, place: Place, caller: Caller
    ) -> None:
        self._context = context
        self._sources = sources
        self._place = place
        self._caller = caller
        self._guids: dict[str, str] = {}
        self.items: list[Document] = []
        self.marks: list[Document] = []

    def fetch(self, source: Document, request: Mapping[str, Any]) -> Document:
        """Return the item that `source` becomes, after all that it holds.

        Args:
            source: the ingested item.
            request: `macro` and item fields that win over those of the source.
        """
        context = self._context
        guid = self._guids[source["_id"]] = tag_guid(
            context.settings["URN_DOMAIN"], context.clock.now()
        )
        changes: Document = {}
        if request.get("macro"):
            changes = changes_of_macro(context.macros, request["macro"], source, self._place)
        item = self._item(source, changes, request, guid)
        if is_package(item):
            item["groups"] = self._with_members(item)
        self._fetch_associated(item)
        item.update(changes_of_stages(context.macros, item, NOWHERE, self._place))
        if item.get("associations"):
            item["refs"] = refs_of(item["associations"])
        item = with_new_etag(item)
        self._collect(item, source)
        return item

    def _item(
        self, source: Document, changes: Document, request: Mapping[str, Any], guid: str
    ) -> Document:
        context, now, desk = self._context, self._context.clock.now(), self._place.desk or {}
        macro_state = {"state": changes["state"]} if changes.get("state") else {}
        source = {**source, **changes}
        kept = {k: v for k, v in source.items() if k in ITEM_SCHEMA and k not in NOT_FETCHED}
        sent = {k: v for k, v in request.items() if k in ITEM_SCHEMA and k not in NOT_FETCHED}
        number = context.sequences.draw("ARCHIVE_SEQ")
        user_id = str(self._caller.user_id or "")
        stage_id = (self._place.stage or {}).get("_id")
        item = {
            "type": ItemType.TEXT,
            "pubstatus": "usable",
            "priority": context.settings["DEFAULT_PRIORITY_VALUE_FOR_MANUAL_ARTICLES"],
            **deepcopy(kept),
            "state": State.FETCHED,
            **macro_state,
            "_id": guid,
            "guid": guid,
            "unique_id": number,
            "unique_name": f"#{number}",
            "uri": source.get("guid") or source["_id"],
            "ingest_id": source["_id"],
            "ingest_version": str(source.get("version", "")) or None,
            "family_id": source["_id"],
            "event_id": source.get("event_id") or tag_guid(context.settings["URN_DOMAIN"], now),
            "task": {"desk": desk["_id"], "stage": stage_id, "user": None},
            "operation": Operation.FETCH,
            "original_creator": user_id,
            "version_creator": user_id,
            "sign_off": context.sign_off(source, self._caller),
            "expiry": context.expiry(self._place),
            **dict.fromkeys(("versioncreated", "_created", "_updated"), now),
            "firstcreated": source.get("firstcreated") or now,
            "_current_version": 1,
            **sent,
        }
        if (self._place.stage or {}).get("task_status"):
            item["task"]["status"] = (self._place.stage or {})["task_status"]
        if item["type"] not in MEDIA_TYPES and desk.get("default_content_profile"):
            item["profile"] = desk["default_content_profile"]
        item["profile"] = item.get("profile") or item["type"]
        return item

    def _with_members(self, package: Document) -> list[Document]:
        """Return the groups of a package with fetched items in the places of ingested ones."""
        groups = deepcopy(objects_of(package, "groups"))
        refs = [ref for ref in member_refs(groups) if ref.get("location") in (None, INGEST)]
        self._sources.read(ref["residRef"] for ref in refs)
        for ref in refs:
            is_named = ref.get("location") == INGEST
            if not is_named and ref["residRef"] not in self._sources:
                continue
            guid = self._fetched(ref["residRef"], package["state"])
            ref.update({"residRef": guid, "guid": guid, "location": ARCHIVE})
        return groups

    def _fetch_associated(self, item: Document) -> None:
        """Put fetched items into the places of ingested associations."""
        held_items = list(associations_with_ids(item))
        self._sources.read(held["_id"] for _, held in held_items)
        for key, held in held_items:
            if held["_id"] not in self._sources:
                continue
            guid = self._fetched(held["_id"], item["state"])
            fetched = next((i for i in self.items if i["_id"] == guid), {"_id": guid})
            own = {name: held[name] for name in OF_THE_ASSOCIATION if name in held}
            kept = {name: value for name, value in fetched.items() if name not in NOT_TAKEN}
            item["associations"][key] = {**kept, **own}

    def _fetched(self, item_id: str, state: str) -> str:
        """Return the id of the item that an ingested one becomes; each is fetched once."""
        if item_id not in self._guids:
            self.fetch(self._sources.get(item_id), {"state": state})
        return self._guids[item_id]

    def source_of(self, item: Mapping[str, Any]) -> Document:
        """Return the ingested item that became `item`."""
        return self._sources.get(item["ingest_id"])

    def stored_with(self, holder: Document) -> list[Document]:
        """Return the follow-ups that store everything that was made except `holder`."""
        return [
            write
            for item in self.items
            if item["_id"] != holder["_id"]
            for write in (
                insertion(ARCHIVE_VERSIONS, {"_id": f"{item['_id']}:1", **version_row(item)}),
                insertion(ARCHIVE, item),
            )
        ]

    def _collect(self, item: Document, source: Document) -> None:
        context = self._context
        self.items.append(item)
        self.marks += [
            context.history(Operation.FETCH, item, item, self._caller),
            change(INGEST, {"_id": source["_id"]}, {"archived": context.clock.now()}),
            *link_changes(item["_id"], [], item.get("groups")),
            *new_references(item, {}),
        ]

"""Fetch an ingested item to a desk (resources contract 12)."""

from collections.abc import Mapping
from typing import Any

from apps.archive.action import ItemCommand, with_new_etag
from apps.archive.events import tell_arrival
from apps.archive.follow_ups import change
from apps.archive.places import Place
from apps.archive.rights import check_may_send_to
from apps.archive.schema import ITEM_SCHEMA, WORK
from apps.archive.service import with_ids
from apps.core import hooks
from apps.core.caller import Caller
from apps.core.errors import NotFound
from apps.core.ids import tag_guid
from apps.core.service import Document
from apps.core.vocabulary import MEDIA_TYPES, ItemType, Operation, State
from apps.core.workflow import Action, check_allowed

NOT_FETCHED = frozenset(WORK) | {"_id", "guid", "unique_id", "unique_name", "version"}


class FetchService(ItemCommand):
    """POST `/ingest/<item id>/fetch`; item fields in the body win over those of the source."""

    resource = "fetch"

    def act(self, item_id: str, request: Mapping[str, Any], caller: Caller) -> Document:
        source = self.db["ingest"].find_one({"_id": item_id})
        if source is None:
            raise NotFound(f"Failed to find ingest item with _id: {item_id}")
        check_allowed(Action.FETCH, source.get("state", State.INGESTED))
        where = with_ids({name: request.get(name) for name in ("desk", "stage")})
        place = self.tools.places.of(where)
        check_may_send_to(self.db, where["desk"], caller)
        item = self._item(source, request, place, caller)
        self._store(item, source, caller)
        tell_arrival(self.tools.notifier, "item:fetch", item, source, caller.user_id)
        return item

    def _item(
        self, source: Mapping[str, Any], request: Mapping[str, Any], place: Place, caller: Caller
    ) -> Document:
        tools, now, desk = self.tools, self.clock.now(), place.desk or {}
        kept = {k: v for k, v in source.items() if k in ITEM_SCHEMA and k not in NOT_FETCHED}
        sent = {k: v for k, v in request.items() if k in ITEM_SCHEMA and k not in NOT_FETCHED}
        number = tools.sequences.draw("ARCHIVE_SEQ")
        guid = tag_guid(tools.settings["URN_DOMAIN"], now)
        stage_id = (place.stage or {}).get("_id") or desk.get("incoming_stage")
        user_id = str(caller.user_id or "")
        item = {
            "type": ItemType.TEXT,
            "pubstatus": "usable",
            "state": State.FETCHED,
            "priority": tools.settings["DEFAULT_PRIORITY_VALUE_FOR_MANUAL_ARTICLES"],
            **{**kept, "state": State.FETCHED},
            "_id": guid,
            "guid": guid,
            "unique_id": number,
            "unique_name": f"#{number}",
            "uri": source.get("guid") or source["_id"],
            "ingest_id": source["_id"],
            "ingest_version": str(source.get("version", "")) or None,
            "family_id": source["_id"],
            "event_id": source.get("event_id") or tag_guid(tools.settings["URN_DOMAIN"], now),
            "task": {"desk": desk["_id"], "stage": stage_id, "user": None},
            "operation": Operation.FETCH,
            "original_creator": user_id,
            "version_creator": user_id,
            "sign_off": tools.sign_off(source, caller),
            "expiry": tools.expiry(place),
            **dict.fromkeys(("versioncreated", "_created", "_updated"), now),
            "firstcreated": source.get("firstcreated") or now,
            "_current_version": 1,
            **sent,
        }
        if item["type"] not in MEDIA_TYPES and desk.get("default_content_profile"):
            item["profile"] = desk["default_content_profile"]
        item["profile"] = item.get("profile") or item["type"]
        return with_new_etag(item)

    def _store(self, item: Document, source: Mapping[str, Any], caller: Caller) -> None:
        note = self.tools.journal.action(
            [
                self.tools.history(Operation.FETCH, item, item, caller),
                change("ingest", {"_id": source["_id"]}, {"archived": self.clock.now()}),
            ],
            item["_current_version"],
        )
        self.db["archive"].insert_one({**item, "journal": note})
        self.tools.journal.complete(item, note)
        hooks.tell(hooks.item_fetched, "archive", item=item, original=source)

"""Write a broadcast script for a story that is out (lifecycle contract 5.15)."""

from collections.abc import Mapping
from typing import Any

from apps.archive.actions.base import ActionContext, ItemCommand
from apps.archive.places import check_may_send_to
from apps.archive.service import ArchiveService
from apps.archive.visibility import check_may_read
from apps.core.caller import Caller
from apps.core.documents import objects_of
from apps.core.errors import BadRequest, NotFound
from apps.core.service import Document
from apps.core.vocabulary import BROADCAST_SCRIPT, TEXT_TYPES, State
from apps.store.collections import VOCABULARIES

COPIED = (
    "urgency",
    "priority",
    "anpa_category",
    "type",
    "profile",
    "subject",
    "dateline",
    "slugline",
    "place",
    "family_id",
)
"""Fields that a script takes from its master."""

NO_MASTER = "Cannot find the requested item id."
NOT_TEXT = "Invalid content type."
NOT_OUT = "Invalid content state."
NO_GENRE = "Cannot find the Broadcast Script genre."


class BroadcastService(ItemCommand):
    """POST `/archive/<item id>/broadcast`.

    Args:
        archive: creates the script.
    """

    resource = "archive_broadcast"

    def __init__(self, context: ActionContext, archive: ArchiveService) -> None:
        super().__init__(context)
        self._archive = archive

    def act(self, item_id: str, request: Mapping[str, Any], caller: Caller) -> Document:
        master = self.context.journal.read(item_id)
        if master is None:
            raise NotFound(NO_MASTER)
        check_may_read(master, caller)
        if master.get("type") not in TEXT_TYPES:
            raise BadRequest(NOT_TEXT)
        if master.get("state") not in (State.PUBLISHED, State.CORRECTED):
            raise BadRequest(NOT_OUT)
        script: Document = {name: master[name] for name in COPIED if master.get(name) is not None}
        script["genre"] = [self._genre()]
        script["task"] = self._task(request.get("desk"), caller)
        script["broadcast"] = {
            "status": "",
            "master_id": item_id,
            "rewrite_id": master.get("rewritten_by"),
        }
        self._archive.post([script], caller)
        return script

    def _genre(self) -> Document:
        vocabulary = self.db[VOCABULARIES].find_one({"_id": "genre"}) or {}
        for genre in objects_of(vocabulary, "items"):
            if genre.get("qcode") == BROADCAST_SCRIPT and genre.get("is_active"):
                return {"qcode": genre["qcode"], "name": genre.get("name")}
        raise BadRequest(NO_GENRE)

    def _task(self, desk_id: Any, caller: Caller) -> Document:
        user = {"user": caller.user_id}
        if not desk_id:
            return user
        desk = self.context.places.of({"desk": desk_id}).desk or {}
        check_may_send_to(self.db, desk_id, caller)
        return {"desk": desk_id, "stage": desk.get("working_stage"), **user}

"""Rules of content profiles. Validation reads their `schema` (`apps/validate`)."""

from collections.abc import Mapping
from typing import Any

from bson import ObjectId
from pymongo.database import Database

from apps.core.caller import Caller
from apps.core.clock import Clock
from apps.core.errors import BadRequest, ServiceError
from apps.core.schemas import as_stored, fill_defaults
from apps.core.service import Document, ResourceService
from apps.newsroom.content_types.resource import CONTENT_TYPE_SCHEMA
from apps.store.collections import ARCHIVE, DESKS
from apps.validate.rules import NEVER_IN_PROFILES, hidden_fields
from apps.validate.validate import VocabularyReader, check_profile

DESKS_REFER = "Cannot disable content profile as following desks are referencing: {names}"


class ProfileInUse(ServiceError):
    """A used profile is not deleted. Clients know the refusal by this status."""

    status = 202

    def __init__(self) -> None:
        super().__init__("", {"is_used": True})


class ContentTypesService(ResourceService):
    """Content profiles."""

    resource = "content_types"

    def __init__(self, db: Database[Document], clock: Clock) -> None:
        super().__init__(db, clock)

    def on_create(self, documents: list[Document], caller: Caller) -> None:
        fill_defaults(documents, CONTENT_TYPE_SCHEMA)
        for document in documents:
            document.setdefault("_id", str(ObjectId()))
            self._check_schema(document, {})
            if caller.user is not None:
                document["created_by"] = document["updated_by"] = caller.user_id

    def on_update(self, updates: Document, original: Document, caller: Caller) -> None:
        if caller.user is not None:
            updates["updated_by"] = caller.user_id
        if original.get("enabled") and updates.get("enabled") is False:
            self._check_no_desk_refers(original["_id"])
        self._check_schema(updates, original)

    def _check_schema(self, changes: Mapping[str, Any], original: Mapping[str, Any]) -> None:
        """Refuse rules that would keep every item of the profile from being published."""
        schema = changes.get("schema")
        if schema is not None and schema != original.get("schema"):
            profile_id = original.get("_id", changes.get("_id"))
            check_profile(profile_id, schema, VocabularyReader(self.db)())

    def _check_no_desk_refers(self, profile_id: Any) -> None:
        found = self.db[DESKS].find({"default_content_profile": as_stored(profile_id)}, {"name": 1})
        names = ", ".join(sorted(str(desk.get("name")) for desk in found))
        if names:
            raise BadRequest(DESKS_REFER.format(names=names))

    def on_delete(self, document: Document, caller: Caller) -> None:
        if document.get("is_used") or self._has_items(document["_id"]):
            raise ProfileInUse

    def on_deleted(self, document: Document, caller: Caller) -> None:
        default = {"default_content_profile": as_stored(document["_id"])}
        self.db[DESKS].update_many(default, {"$set": {"default_content_profile": None}})

    def on_fetched(self, documents: list[Document], caller: Caller) -> None:
        """Leave out the fields that profiles do not show (resources contract 14 rule 8)."""
        hidden = hidden_fields(VocabularyReader(self.db)()) | {NEVER_IN_PROFILES}
        for document in documents:
            for part in ("schema", "editor"):
                if isinstance(document.get(part), Mapping):
                    document[part] = {
                        field: value
                        for field, value in document[part].items()
                        if field not in hidden
                    }

    def _has_items(self, profile_id: Any) -> bool:
        return self.db[ARCHIVE].find_one({"profile": as_stored(profile_id)}, {"_id": 1}) is not None

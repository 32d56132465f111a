"""Rules of the taxonomy map, and terms of sites as last synced (cms contract 3.5)."""

from collections.abc import Callable, Mapping
from typing import Any

from pymongo.database import Database

from apps.core.caller import Caller
from apps.core.clock import Clock
from apps.core.documents import object_of, objects_of
from apps.core.errors import SchemaIssues
from apps.core.service import Document
from apps.publisher.accounts import found_by_id, is_of_caller, missing_value
from apps.publisher.identity import INSTALLATION, installation_of
from apps.publisher.integrations.rows import IntegrationRows
from apps.publisher.integrations.service import IntegrationsService
from apps.publisher.schema import MapMode, MapState
from apps.store.collections import PUBLISHER_INTEGRATIONS, PUBLISHER_TERMS

UNCHANGEABLE = "cannot be changed"
TERM_FIELDS = ("remote_id", "name", "slug", "parent", "count")


class TaxonomyMapService(IntegrationRows):
    """What terms of items stand for at integrations."""

    resource = "publisher_taxonomy_map"

    def on_create(self, documents: list[Document], caller: Caller) -> None:
        for document in documents:
            integration = self._integration_of(document, caller)
            document.update(integration=integration["_id"], account=integration["account"])
            document.setdefault("mode", MapMode.MANUAL)
            same = {name: document[name] for name in ("integration", "scheme", "qcode")}
            if self.collection.find_one(same, {"_id": 1}):
                raise SchemaIssues({"qcode": {"unique": 1}})
            document.update(self._filled(document, integration))

    def on_created(self, documents: list[Document], caller: Caller) -> None:
        super().on_created(documents, caller)
        for document in documents:
            document.pop(INSTALLATION, None)

    def on_update(self, updates: Document, original: Document, caller: Caller) -> None:
        for field in ("integration", "scheme", "qcode"):
            if field in updates and str(updates[field]) != str(original[field]):
                raise SchemaIssues({field: UNCHANGEABLE})
            updates.pop(field, None)
        integration = found_by_id(self.db[PUBLISHER_INTEGRATIONS], original["integration"]) or {}
        updates.update(self._filled({**original, **updates}, integration))

    def on_updated(self, updates: Document, original: Document, caller: Caller) -> None:
        super().on_updated(updates, original, caller)
        updates.pop(INSTALLATION, None)

    def _integration_of(self, document: Mapping[str, Any], caller: Caller) -> Document:
        id_ = document["integration"]
        integration = found_by_id(self.db[PUBLISHER_INTEGRATIONS], id_)
        if integration is None or not is_of_caller(integration, caller):
            raise SchemaIssues({"integration": missing_value(id_, PUBLISHER_INTEGRATIONS)})
        return integration

    def _filled(self, row: Mapping[str, Any], integration: Mapping[str, Any]) -> Document:
        """Return what the server writes of a row: the term as the site had it at the last sync.

        Raises:
            SchemaIssues: a row of a person's does not say what it stands for.
        """
        if row["mode"] == MapMode.MANUAL:
            missing = [name for name in ("taxonomy", "remote_id") if not row.get(name)]
            if missing:
                raise SchemaIssues({name: {"required": 1} for name in missing})
        here = installation_of(integration)
        named = {name: row.get(name) for name in ("integration", "taxonomy", "remote_id")}
        named[INSTALLATION] = here
        term = self.db[PUBLISHER_TERMS].find_one(named) if row.get("remote_id") else None
        known = term or {}
        return {
            "remote_slug": known.get("slug"),
            "remote_name": known.get("name"),
            INSTALLATION: here,
            "state": MapState.OK,
        }


class Taxonomies:
    """Terms of sites.

    Args:
        integrations: finds them.
        sync: lets an integration be read from its site, soon.
    """

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        integrations: IntegrationsService,
        sync: Callable[[Any], None],
    ) -> None:
        self._terms = db[PUBLISHER_TERMS]
        self._clock = clock
        self._integrations = integrations
        self._sync = sync

    def of(self, id: Any, caller: Caller) -> Document:
        """Return the terms of an integration as last synced, by taxonomy.

        Raises:
            PlainError: 404, there is no such integration.
        """
        integration = self._integrations.one(id, caller)
        # Rows without a name are locks of terms that are being made.
        here = {"integration": integration["_id"], INSTALLATION: installation_of(integration)}
        named = {**here, "name": {"$type": "string"}}
        found = self._terms.find(named)
        by_taxonomy: dict[str, list[Document]] = {}
        for term in found.sort([("taxonomy", 1), ("name", 1), ("remote_id", 1)]):
            told = {name: term.get(name) for name in TERM_FIELDS}
            by_taxonomy.setdefault(term["taxonomy"], []).append(told)
        remote = objects_of(object_of(integration, "remote"), "taxonomies")
        names = {str(known.get("id")): known.get("name") for known in remote}
        items = [
            {"taxonomy": taxonomy, "name": names.get(taxonomy, taxonomy), "terms": terms}
            for taxonomy, terms in by_taxonomy.items()
        ]
        return {"_items": items, "synced_at": integration.get("synced_at")}

    def request_sync(self, id: Any, caller: Caller) -> Document:
        """Let the terms of an integration be read from its site, and return what is answered.

        Raises:
            PlainError: 404, there is no such integration.
        """
        integration = self._integrations.one(id, caller)
        now = self._clock.now()
        requested = {"$set": {"sync_requested_at": now}}
        self._integrations.collection.update_one({"_id": integration["_id"]}, requested)
        self._sync(integration["_id"])
        return {"_status": "OK", "integration": str(integration["_id"]), "sync_requested_at": now}

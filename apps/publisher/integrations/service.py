"""Rules of `publisher_integrations` (cms contract 3.2, 13)."""

from collections.abc import Mapping
from typing import Any

from bson import ObjectId
from pymongo.database import Database

from apps.core.caller import Caller
from apps.core.clock import Clock
from apps.core.documents import object_of
from apps.core.errors import PlainError, SchemaIssues
from apps.core.notifier import Notifier
from apps.core.schemas import fill_defaults
from apps.core.service import Document, new_etag
from apps.publisher.accounts import AccountService, found_by_id, is_of_caller, missing_value
from apps.publisher.bodies import checked as checked_body
from apps.publisher.events import tell_integration
from apps.publisher.identity import INSTALLATION, new_installation
from apps.publisher.integrations.addresses import Addresses
from apps.publisher.integrations.credentials import (
    CREDENTIALS,
    NEEDED_AGAIN,
    Rotation,
    checked,
    has_credentials,
    renewed,
    sealed,
    shown,
    values_of,
)
from apps.publisher.integrations.options import issues_of, target_of, whole_options
from apps.publisher.integrations.platforms import Platforms
from apps.publisher.integrations.resource import INTEGRATION_SCHEMA
from apps.publisher.lanes import SiteLanes
from apps.publisher.schema import IntegrationState
from apps.secrets.vault import Vault
from apps.store.collections import (
    PUBLISHER_MEDIA,
    PUBLISHER_SITES,
    PUBLISHER_TAXONOMY_MAP,
    PUBLISHER_TERMS,
    PUBLISHING_RECORDS,
)
from transmitters.cms.base import Platform, RemoteState

UNCHANGEABLE = "cannot be changed"
AT_THE_SITE = (RemoteState.LIVE, RemoteState.SCHEDULED)
HAS_RECORDS = "Records of the integration are live or scheduled at the site"
BELONGING = (PUBLISHING_RECORDS, PUBLISHER_MEDIA, PUBLISHER_TERMS, PUBLISHER_TAXONOMY_MAP)
"""Collections of what is known of a site, and is forgotten with its integration."""

UNSAVED_SCHEMA: Mapping[str, Any] = {
    "site": {"type": "string", "required": True},
    "destination": {"type": "string", "required": True},
    "base_url": {"type": "string", "nullable": True},
    "options": {"type": "dict", "nullable": True, "allow_unknown": True},
    # What is wrong with them is told by key.
    CREDENTIALS: {"nullable": True},
    "name": {"type": "string", "nullable": True},
}
"""What a connection test of settings that are not saved is asked with."""

RECONNECTS = frozenset({CREDENTIALS, "base_url", "options", "active"})
"""Fields after whose change a site is worth another try."""


class IntegrationsService(AccountService):
    """Integrations of sites; what they log in with is encrypted before it is stored.

    Args:
        platforms: opens sites, and knows the platforms.
        vault: encrypts credentials.
        addresses: checks addresses.
        lanes: where the records of integrations wait.
        notifier: tells clients.
    """

    resource = "publisher_integrations"

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        *,
        platforms: Platforms,
        vault: Vault,
        addresses: Addresses,
        lanes: SiteLanes,
        notifier: Notifier,
    ) -> None:
        super().__init__(db, clock)
        self._platforms = platforms
        self._vault = vault
        self._addresses = addresses
        self._lanes = lanes
        self._notifier = notifier

    # Create.

    def on_create(self, documents: list[Document], caller: Caller) -> None:
        super().on_create(documents, caller)
        fill_defaults(documents, INTEGRATION_SCHEMA)
        for document in documents:
            self._prepare(document, caller)
            now = self.clock.now()
            unknown = {"remote": None, "synced_at": None, "sync_error": None}
            document.update({"state": IntegrationState.NEW, "state_at": now, **unknown})

    def _prepare(self, document: Document, caller: Caller) -> None:
        """Check and complete a new integration, as it is stored.

        Raises:
            SchemaIssues: something is wrong with it.
        """
        document.setdefault("_id", ObjectId())
        site, platform = self._site_of(document, caller), self._platform_of(document)
        document["site"], document["account"] = site["_id"], site["account"]
        document["options"] = document.get("options") or {}
        self._check_options(platform, document["options"], site)
        document["base_url"] = self._checked_url(platform, document.get("base_url"))
        document["target"] = self._target(platform, document, site)
        self._check_free(document)
        sent = document.pop(CREDENTIALS, None)
        document[CREDENTIALS] = (
            sealed(platform, document, sent, self._vault, self.clock.now()) if sent else {}
        )

    def on_created(self, documents: list[Document], caller: Caller) -> None:
        for document in documents:
            tell_integration(self._notifier, document)
            # What the site has is read soon.
            self._lanes.wake(document["_id"], self.clock.now())
        self.on_fetched(documents, caller)

    # Change.

    def on_update(self, updates: Document, original: Document, caller: Caller) -> None:
        for field in ("destination", "site"):
            if field in updates and str(updates[field]) != str(original[field]):
                raise SchemaIssues({field: UNCHANGEABLE})
            updates.pop(field, None)
        platform = self._platform_of(original)
        site = found_by_id(self.db[PUBLISHER_SITES], original["site"]) or {}
        if "options" in updates:
            updates["options"] = updates["options"] or {}
            self._check_options(platform, updates["options"], site)
        stored = original
        if "base_url" in updates:
            updates["base_url"] = self._checked_url(platform, updates["base_url"])
            if updates["base_url"] != original["base_url"]:
                stored = self._rebased(platform, updates, original, caller)
        whole = {**original, **updates, "site": original["site"]}
        updates["target"] = whole["target"] = self._target(platform, whole, site)
        if stored is not original:
            # Ids of the site that it led to name something else at the one that it leads to.
            updates.update({INSTALLATION: new_installation(), "remote": None, "synced_at": None})
        elif whole["target"] != original.get("target"):
            updates[INSTALLATION] = new_installation()
        if {"base_url", "options", "name"} & updates.keys():
            self._check_free(whole)
        if CREDENTIALS in updates:
            now = self.clock.now()
            updates[CREDENTIALS] = sealed(platform, stored, updates[CREDENTIALS], self._vault, now)
            if stored is not original and not has_credentials(platform, updates):
                raise SchemaIssues({CREDENTIALS: NEEDED_AGAIN})
        if {CREDENTIALS, "base_url"} & updates.keys():
            self._renew_state(updates)
        if {CREDENTIALS, "base_url", "options"} & updates.keys():
            updates.update(sync_requested_at=self.clock.precise(), sync_error=None)
        if whole["base_url"] != original["base_url"] or whole["target"] != original.get("target"):
            # What is known is that of another place.
            updates["remote"] = None

    def _rebased(
        self, platform: type[Platform], updates: Document, original: Document, caller: Caller
    ) -> Document:
        """Return an integration without what it logs in with, for it goes elsewhere.

        Raises:
            SchemaIssues: nothing was sent to log in with there.
            PlainError: 409, posts are where it was, and the request does not say `rebase`.
        """
        if values_of(original) and CREDENTIALS not in updates:
            raise SchemaIssues({CREDENTIALS: NEEDED_AGAIN})
        if not is_set(caller, "rebase"):
            self._check_unused(original)
        return {**original, CREDENTIALS: {}}

    def _renew_state(self, updates: Document) -> None:
        state = {"state": IntegrationState.NEW, "state_message": None, "paused_until": None}
        updates.update(state, state_at=self.clock.now())

    def on_updated(self, updates: Document, original: Document, caller: Caller) -> None:
        whole = {**original, **updates}
        if any(updates.get(f, original.get(f)) != original.get(f) for f in RECONNECTS):
            self._lanes.resume(original["_id"])
            self._lanes.wake(original["_id"], self.clock.now())
        if whole["state"] != original["state"]:
            tell_integration(self._notifier, whole)
        # What the client is answered; it is stored already.
        updates[CREDENTIALS] = shown(whole)
        updates.pop(INSTALLATION, None)

    # Delete.

    def on_delete(self, document: Document, caller: Caller) -> None:
        if not is_set(caller, "force"):
            self._check_unused(document)

    def on_deleted(self, document: Document, caller: Caller) -> None:
        for name in BELONGING:
            self.db[name].delete_many({"integration": document["_id"]})

    def _check_unused(self, integration: Mapping[str, Any]) -> None:
        at_the_site = {"$in": [state.value for state in AT_THE_SITE]}
        query = {"integration": integration["_id"], "remote_state": at_the_site}
        if self.db[PUBLISHING_RECORDS].find_one(query, {"_id": 1}):
            raise PlainError(409, HAS_RECORDS)

    # Read.

    def on_fetched(self, documents: list[Document], caller: Caller) -> None:
        """Show of credentials only that they are there."""
        for document in documents:
            if CREDENTIALS in document:
                document[CREDENTIALS] = shown(document)

    # Checks.

    def _site_of(self, document: Mapping[str, Any], caller: Caller) -> Document:
        site = found_by_id(self.db[PUBLISHER_SITES], document.get("site"))
        if site is None or not is_of_caller(site, caller):
            raise SchemaIssues({"site": missing_value(document.get("site"), PUBLISHER_SITES)})
        return site

    def _platform_of(self, document: Mapping[str, Any]) -> type[Platform]:
        platform = self._platforms.registry.find(document["destination"])
        if platform is None:
            raise SchemaIssues({"destination": f"unallowed value {document['destination']}"})
        return platform

    def _check_options(
        self, platform: type[Platform], options: Mapping[str, Any], site: Mapping[str, Any]
    ) -> None:
        if issues := issues_of(platform, options, object_of(site, "defaults")):
            raise SchemaIssues({"options": issues})

    def _checked_url(self, platform: type[Platform], sent: Any) -> str:
        if sent is None and platform.default_base_url is None:
            raise SchemaIssues({"base_url": {"required": 1}})
        url, issue = self._addresses.checked(str(sent or platform.default_base_url))
        if issue:
            raise SchemaIssues({"base_url": issue})
        return url

    def _target(
        self, platform: type[Platform], document: Mapping[str, Any], site: Mapping[str, Any]
    ) -> str:
        options, defaults = object_of(document, "options"), object_of(site, "defaults")
        return target_of(whole_options(platform, options, defaults))

    def _check_free(self, document: Mapping[str, Any]) -> None:
        """Check that no other integration has the name at this site, or the same target."""
        same_target = ("account", "destination", "base_url", "target")
        for field, names in (("name", ("site", "name")), ("base_url", same_target)):
            others = {name: document[name] for name in names}
            others["_id"] = {"$ne": document["_id"]}
            if self.collection.find_one(others, {"_id": 1}):
                raise SchemaIssues({field: {"unique": 1}})

    # Settings that are not saved yet.

    def unsaved(self, body: Mapping[str, Any], caller: Caller) -> tuple[Document, dict[str, str]]:
        """Return an integration as it would be, and the credentials to test it with.

        Args:
            body: `site`, `destination`, `base_url`, `credentials`, `options`.

        Raises:
            SchemaIssues: something is wrong with it.
        """
        document = {**checked_body(UNSAVED_SCHEMA, body), "_id": ObjectId()}
        site, platform = self._site_of(document, caller), self._platform_of(document)
        options = object_of(document, "options")
        self._check_options(platform, options, site)
        document["base_url"] = self._checked_url(platform, document.get("base_url"))
        document.update(site=site["_id"], account=site["account"], options=options)
        return document, checked(platform, document.pop(CREDENTIALS, None) or {})

    # Keys.

    def rotate_secrets(self) -> Rotation:
        """Encrypt all credentials with the newest key."""
        rotation = Rotation()
        for integration in self.collection.find({}, {CREDENTIALS: 1}):
            before = object_of(integration, CREDENTIALS)
            values = renewed(self._vault, integration, rotation)
            if values:
                same = {"_id": integration["_id"], CREDENTIALS: before}
                change = {CREDENTIALS: {**before, "values": values}, "_etag": new_etag()}
                # Who has written it meanwhile has used the newest key.
                self.collection.update_one(same, {"$set": change})
        return rotation


def is_set(caller: Caller, argument: str) -> bool:
    """Whether a query argument of the request means yes."""
    return caller.arguments.get(argument, "").lower() in ("1", "true")

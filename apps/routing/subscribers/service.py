"""Rules of `subscribers` (routing contract 1)."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pymongo.database import Database

from apps.core.caller import Caller
from apps.core.clock import Clock
from apps.core.documents import objects
from apps.core.errors import BadRequest, SchemaIssues
from apps.core.notifier import Notifier
from apps.core.registry import Registry
from apps.core.schemas import fill_defaults
from apps.core.service import Document, new_etag
from apps.core.userinfo import apart
from apps.routing.filters.rule_service import RuleService, names_of
from apps.routing.products.matching import ProductType
from apps.routing.subscribers.condition_search import ConditionSearch
from apps.routing.subscribers.destination_secrets import (
    has_plain_secrets,
    is_secret,
    sealed,
    secret_keys,
    without_plain_secrets,
    without_secrets,
)
from apps.routing.subscribers.destinations import misconfigured, undeliverable, unstorable
from apps.routing.subscribers.resource import SUBSCRIBER_SCHEMA
from apps.routing.subscribers.stored_destinations import config_of, destination_id, lane_id
from apps.secrets.vault import UnreadableSecret, Vault
from apps.store.by_id import find_all_by_id
from apps.store.collections import PRODUCTS
from formatters.base import Formatter
from transmitters.base import Transmitter
from transmitters.networks import AddressGuard

PRIVILEGE = "subscribers"

REACHED_BY = frozenset({"is_active", "destinations", "products", "api_products"})
"""Fields that say whether an active subscriber can be sent something."""
REQUIRED: Mapping[str, Any] = {"required": 1}


@dataclass
class Rotation:
    """Outcome of encrypting the secrets of all destinations anew.

    Attributes:
        renewed: how many secrets are encrypted with the newest key now.
        unreadable: subscriber, destination and key of those that no key fits.
    """

    renewed: int = 0
    unreadable: list[str] = field(default_factory=list)


class SubscribersService(RuleService):
    """Subscribers of items, with their destinations.

    Secrets of destinations are encrypted before they are stored and go out as they are stored:
    clients may send them back, but cannot read them.

    Args:
        vault: encrypts secrets.
        wake_lanes: makes the lanes with these ids due.
        hold_older: holds deliveries of a subscriber back that have become old while it was
            inactive.
        notifier: tells clients.
        formatters, transmitters: what destinations may name where they are checked strictly.
        guard: which addresses destinations may name.
        settings: MAX_VALUE_OF_PUBLISH_SEQUENCE, STRICT_DESTINATIONS, EXCLUDED_VOCABULARY_FIELDS.
    """

    resource = "subscribers"

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        *,
        notifier: Notifier,
        formatters: Registry[Formatter],
        transmitters: Registry[Transmitter],
        guard: AddressGuard,
        vault: Vault,
        wake_lanes: Callable[[Iterable[str]], None],
        hold_older: Callable[[Any], None],
        settings: Mapping[str, Any],
    ) -> None:
        super().__init__(db, clock)
        self._notifier = notifier
        self._formatters = formatters
        self._transmitters = transmitters
        self._guard = guard
        self._vault = vault
        self._wake_lanes = wake_lanes
        self._hold_older = hold_older
        self._secrets = secret_keys(transmitters)
        self._maximum = int(settings["MAX_VALUE_OF_PUBLISH_SEQUENCE"])
        self._is_strict = bool(settings["STRICT_DESTINATIONS"])
        self._condition_search = ConditionSearch(db, settings["EXCLUDED_VOCABULARY_FIELDS"])

    # Writes.

    def on_create(self, documents: list[Document], caller: Caller) -> None:
        super().on_create(documents, caller)
        fill_defaults(documents, SUBSCRIBER_SCHEMA)
        for document in documents:
            self._complete(document, {})
            self._check(document, document, {}, caller)

    def on_created(self, documents: list[Document], caller: Caller) -> None:
        self._notifier.push("subscriber:create", _id=[document["_id"] for document in documents])

    def on_update(self, updates: Document, original: Document, caller: Caller) -> None:
        self._complete(updates, original)
        self._check(updates, {**original, **updates}, original, caller)
        if updates.get("is_active") is False and "last_closed" not in updates:
            # Tells it from one that delivery has closed, whose rows are kept for it.
            now = self.clock.now()
            updates["last_closed"] = {"closed_at": now, "closed_by": caller.user_id}
        if updates.get("is_active") and not original.get("is_active"):
            # Before it is active: otherwise what has become old could be on its way by then.
            self._hold_older(original["_id"])

    def on_updated(self, updates: Document, original: Document, caller: Caller) -> None:
        self._release_lanes({**original, **updates}, original)
        self._notifier.push("subscriber:update", _id=[original["_id"]])

    def _complete(self, updates: Document, original: Document) -> None:
        stored = original.get("destinations")
        if updates.get("destinations") is not None:
            # The schema cannot ask a PATCH for keys: to it every part of a PATCH is an update.
            if issues := unstorable(updates["destinations"]):
                raise SchemaIssues({"destinations": issues})
            updates["destinations"] = sealed(
                updates["destinations"], stored, self._secrets, self._vault
            )
        elif has_plain_secrets(stored, self._secrets):
            written = objects(stored)
            updates["destinations"] = sealed(written, written, self._secrets, self._vault)

    def _release_lanes(self, subscriber: Document, original: Document) -> None:
        """Let rows go out that were held while the subscriber was inactive or set up wrongly."""
        destinations = subscriber.get("destinations")
        was_ready = original.get("is_active") and original.get("destinations") == destinations
        if was_ready or not subscriber.get("is_active"):
            return
        ids = map(destination_id, objects(destinations))
        lanes = [lane_id(subscriber["_id"], id_) for id_ in ids]
        self._wake_lanes(lanes)

    def rotate_secrets(self) -> Rotation:
        """Encrypt all secrets with the newest key, those that are stored plain as well."""
        rotation = Rotation()
        for subscriber in self.collection.find({}, {"name": 1, "destinations": 1}):
            while not self._rotate(subscriber, rotation):
                # Somebody has written it meanwhile.
                subscriber = self.find(subscriber["_id"])
        return rotation

    def _rotate(self, subscriber: Document, rotation: Rotation) -> bool:
        """Renew the secrets of a subscriber; False when it has changed in the store."""
        before = subscriber.get("destinations")
        renewed, unreadable = 0, []
        after: list[Document] = []
        for destination in objects(before):
            config = apart(config_of(destination))
            for key in sorted(key for key in config if is_secret(key, self._secrets)):
                try:
                    config[key] = self._vault.renew(config[key])
                    renewed += 1
                except UnreadableSecret:
                    unreadable.append(f"{subscriber['name']}, {destination.get('name')}, {key}")
            after.append({**destination, "config": config})
        if renewed:
            # A new etag: secrets that a client has read before are no longer those stored.
            change = {"destinations": after, "_etag": new_etag()}
            same = {"_id": subscriber["_id"], "destinations": before}
            if not self.collection.update_one(same, {"$set": change}).matched_count:
                return False
        rotation.renewed += renewed
        rotation.unreadable += unreadable
        return True

    # Checks, in their order (routing contract 1.1).

    def _check(
        self,
        written: Document,
        subscriber: Document,
        original: Mapping[str, Any],
        caller: Caller,
    ) -> None:
        """Check a write.

        Args:
            written: what the client sends.
            subscriber: the whole subscriber as it will be.
            original: as it was before; empty for a new one.
        """
        check_sequence_numbers(written.get("sequence_num_settings") or {}, self._maximum)
        # An inactive subscriber may be incomplete, and one that was stored so is left so.
        changed = {f for f in REACHED_BY & written.keys() if written[f] != original.get(f)}
        if subscriber.get("is_active") and changed:
            check_reachable(subscriber)
            self._check_products(subscriber, "products", ProductType.API, "Products")
            self._check_products(subscriber, "api_products", ProductType.DIRECT, "API Products")
            self._check_deliverable(subscriber)
        if changed & {"is_active", "destinations"}:
            destinations = objects(subscriber.get("destinations"))
            if issues := misconfigured(destinations, self._transmitters, self._guard, caller):
                raise SchemaIssues({"destinations": issues})

    def _check_products(
        self, subscriber: Document, field: str, closed: ProductType, label: str
    ) -> None:
        listed = subscriber.get(field) or ()
        found = find_all_by_id(self.db[PRODUCTS], listed, {"name": 1, "product_type": 1})
        products = [product for id_ in listed if (product := found.get(id_)) is not None]
        if names := names_of((p for p in products if p.get("product_type") == closed), ", "):
            raise BadRequest(f"Invalid Product Type. {label} {names}.", {"products": 1})

    def _check_deliverable(self, subscriber: Document) -> None:
        if not self._is_strict:
            return
        destinations = objects(subscriber.get("destinations"))
        if issues := undeliverable(destinations, self._formatters, self._transmitters):
            raise SchemaIssues({"destinations": issues})

    # Reads.

    def computed(self, caller: Caller) -> list[Document] | None:
        """Return what a search by filter condition finds; None for an ordinary list."""
        condition = caller.arguments.get("filter_condition")
        if condition is None:
            return None
        found = self._condition_search.find(condition)
        self.on_fetched(found["selected_subscribers"], caller)
        return [found]

    def on_fetched(self, documents: list[Document], caller: Caller) -> None:
        """Hide the secrets of destinations, and tokens of older data, which open nothing here."""
        for document in documents:
            document.pop("content_api_token", None)
            if "destinations" in document:
                document["destinations"] = without_secrets(document["destinations"], self._secrets)

    def on_fetched_item(self, document: Document, caller: Caller) -> None:
        """Hide secrets of destinations from those who may not write them; plain ones from all."""
        if not caller.may(PRIVILEGE):
            self.on_fetched([document], caller)
        elif "destinations" in document:
            document["destinations"] = without_plain_secrets(
                document["destinations"], self._secrets
            )


def check_sequence_numbers(wanted: Mapping[str, Any], maximum: int) -> None:
    """Check `sequence_num_settings`.

    Args:
        wanted: `{min, max}`; empty is not checked.
        maximum: upper end where none is set.

    Raises:
        BadRequest: the range is empty or starts below 1.
    """
    if not wanted:
        return
    field, issues = "Value of Minimum in Sequence Number Settings", {"sequence_num_settings.min": 1}
    lowest = wanted.get("min", 1)
    if lowest <= 0:
        raise BadRequest(f"{field} should be greater than 0", issues)
    if lowest >= wanted.get("max", maximum):
        raise BadRequest(f"{field} should be less than the value of Maximum", issues)


def check_reachable(subscriber: Mapping[str, Any]) -> None:
    """Check that an active subscriber can be sent something.

    Raises:
        BadRequest: it has neither destinations nor API products, or products to send nowhere.
    """
    if not subscriber.get("destinations") and not subscriber.get("api_products"):
        issues = {"destinations": REQUIRED, "api_products": REQUIRED}
        raise BadRequest("At least one destination or one API Product should be specified", issues)
    if subscriber.get("products") and not subscriber.get("destinations"):
        raise BadRequest("Destinations not specified.", {"destinations": REQUIRED})

"""Delivery types of CMS sites: a row stores a wish, and ends with it (cms contract 2.5).

A row of a subscriber that names an integration is a wish like any other: it ends in the same record
as a request to publish, so both ways lead to one post. The row is handed over until the record
has carried the wish out or given it up; see `apps/publish/queue/handed_over.py`.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from pymongo.database import Database
from pymongo.errors import PyMongoError

from apps.core.caller import Caller
from apps.core.clock import Clock
from apps.core.errors import Conflict, PermanentFailure, TemporaryFailure
from apps.core.ids import object_id
from apps.core.registry import Field
from apps.core.service import Document
from apps.core.vocabulary import WITHDRAWING_ACTIONS, PublishingAction
from apps.publisher.accounts import found_by_id, is_of_caller, missing_value
from apps.publisher.integrations.platforms import Platforms
from apps.publisher.records.content import Content, Contents, why_no_post
from apps.publisher.records.wishes import (
    Made,
    Piece,
    Result,
    Wish,
    Wishes,
    has_ended,
    is_live,
    seq_of,
    was_taken_off,
)
from apps.publisher.schema import RecordStatus, WishAction
from apps.store.collections import PUBLISHER_INTEGRATIONS, PUBLISHING_RECORDS
from transmitters.base import Delivery, HandedOver, Mode, Receipt, Superseded, Transmitter
from transmitters.cms.base import ErrorClass, Platform

INTEGRATION = "integration"
UNREACHED = frozenset({ErrorClass.TRANSIENT, ErrorClass.AMBIGUOUS})
"""Classes of errors without an answer of the site that settles anything."""
OURS = frozenset(
    {
        *("not_publishable", "unsupported_type", "internal_error"),
        *("no_credentials", "credentials_unreadable", "integration_inactive"),
        *("media_missing", "media_unreadable", "media_too_large", "media_type"),
        *("media_not_usable", "media_not_fetched"),
    }
)
"""Codes of errors that lie in the item, its files or this installation, whatever the site does."""
NOT_ITS_VERSION = "A newer version of the item has taken its place"
WITHDRAWN = "The item was withdrawn meanwhile"
PUBLISHED_AGAIN = "The item was published again meanwhile"
TAKEN_OFF = "The post was taken off the site: a correction does not bring it back"
KEPT = "The version that is shown stays"
KILLING = frozenset({PublishingAction.KILLED, PublishingAction.RECALLED})
NOTHING_THERE = "Nothing of the item is at the site"

Sent = Receipt | HandedOver | Superseded


class SiteDeliveries:
    """Turns deliveries into wishes, and what became of these into outcomes.

    Args:
        contents: looks up items.
        platforms: know the options of integrations.
        wishes: makes wishes.
    """

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        *,
        contents: Contents,
        platforms: Platforms,
        wishes: Wishes,
    ) -> None:
        self.integrations = db[PUBLISHER_INTEGRATIONS]
        self._records = db[PUBLISHING_RECORDS]
        self._clock = clock
        self._contents = contents
        self._platforms = platforms
        self._wishes = wishes

    def wish(self, delivery: Delivery, integration: Document) -> Sent:
        """Store what a delivery wants.

        Raises:
            Conflict: workers moved the record every time.
            NotPublished: the item was never published.
        """
        if delivery.publishing_action == PublishingAction.BEING_CORRECTED:
            return Receipt(message=KEPT)
        if delivery.publishing_action in WITHDRAWING_ACTIONS:
            return self._retract(delivery, integration)
        return self._publish(delivery, integration)

    def _publish(self, delivery: Delivery, integration: Document) -> Sent:
        row = self._contents.newest_rows([delivery.item_id]).get(delivery.item_id)
        if row is None:
            raise NotPublished
        content = Content.of(row, self._clock.now())
        if content.is_withdrawn:
            return Superseded(WITHDRAWN)
        options = self._platforms.options_of(integration)
        if self._contents.is_outdated(content, options):
            return Superseded(NOT_ITS_VERSION)
        key = self._contents.key_of(content, options)
        reason = why_no_post(content.kind, options)
        if reason and not self._is_live(integration, key):
            return Receipt(message=reason)
        if delivery.publishing_action == PublishingAction.CORRECTED and not delivery.is_resent:
            same = {"integration": integration["_id"], "content_key": key}
            if was_taken_off(self._records.find_one(same) or {}):
                return Superseded(TAKEN_OFF)
        wish = Wish(
            WishAction.PUBLISH,
            version=delivery.item_version,
            force=delivery.is_resent,
            schedule_at=content.hidden_until,
            is_sent_early=options.get("schedule_mode") == "remote",
        )
        made = self._wishes.make(Piece(integration, content.id, key), wish)
        if made.result == Result.QUEUED:
            return _handed_over(made)
        return Superseded(NOT_ITS_VERSION)

    def _is_live(self, integration: Document, key: str) -> bool:
        same = {"integration": integration["_id"], "content_key": key}
        return is_live(self._records.find_one(same) or {})

    def _retract(self, delivery: Delivery, integration: Document) -> Sent:
        shown = {"integration": integration["_id"], "content": delivery.item_id}
        record = self._records.find_one(shown)
        if record is None:
            return Receipt(message=NOTHING_THERE)
        is_kill = delivery.publishing_action in KILLING
        wish = Wish(WishAction.RETRACT, version=delivery.item_version, is_kill=is_kill)
        made = self._wishes.make_for(record, wish)
        return _handed_over(made) if made.result == Result.QUEUED else Receipt()

    def outcome(self, delivery: Delivery, integration: Document, errors: "SiteErrors") -> Sent:
        """Return what became of a delivery that was handed over.

        Raises:
            PermanentFailure: it failed for good.
            Conflict, NotPublished: as of `wish`.
        """
        held = delivery.handed_over
        assert held is not None, "it was handed over"
        record = self._records.find_one({"_id": object_id(held.to)})
        if record is None:
            # Nothing tells whether it was carried out.
            return self.wish(delivery, integration)
        if not has_ended(record):
            message = (record.get("error") or {}).get("message") or ""
            return HandedOver(held.to, held.mark, message)
        is_last = held.mark == str(seq_of(record))
        wanted = (record.get("desired") or {}).get("version")
        if record["status"] == RecordStatus.FAILED:
            if is_last or wanted == delivery.item_version:
                raise errors.of_record(record)
            return Superseded(NOT_ITS_VERSION)
        is_off = record["status"] == RecordStatus.RETRACTED
        if delivery.publishing_action in WITHDRAWING_ACTIONS:
            return Receipt() if is_off else Superseded(PUBLISHED_AGAIN)
        if is_off:
            return Superseded(WITHDRAWN)
        if not is_last and _is_past(record, delivery):
            return Superseded(NOT_ITS_VERSION)
        return Receipt(
            external_id=record.get("external_id"), external_url=record.get("external_url")
        )

    def take_back(self, handed_over: HandedOver) -> bool:
        """Drop the wish of a delivery; whether that could be done in time."""
        if not handed_over.mark.isdecimal():
            return False
        return self._wishes.take_back(object_id(handed_over.to), int(handed_over.mark))


class NotPublished(Exception):
    """The item was never published, or is not there any more."""


def _handed_over(made: Made) -> HandedOver:
    record = made.record or {}
    message = (record.get("error") or {}).get("message") or ""
    return HandedOver(str(record["_id"]), str(made.seq), message)


def _is_past(record: Mapping[str, Any], delivery: Delivery) -> bool:
    is_same = record.get("content") == delivery.item_id
    return not is_same or (record.get("published_version") or 0) > delivery.item_version


class SiteErrors:
    """Errors of deliveries to a platform: a code for the connection, for its answers 4xx, and 5xx.

    Args:
        platform: has the codes, in this order.
    """

    def __init__(self, platform: type[Platform]) -> None:
        self._texts = dict(platform.errors)
        self._codes = sorted(platform.errors)
        name = platform.name.replace(" ", "")
        self._names = [f"Publish{name}{kind}Error" for kind in ("", "Client", "Server")]

    def refused(self, cause: str) -> PermanentFailure:
        """Return the error of a delivery that is wrong in itself."""
        return PermanentFailure(*self._named(1), cause, is_ours=True)

    def unstored(self, cause: str) -> TemporaryFailure:
        """Return the error of a delivery whose wish could not be stored."""
        return TemporaryFailure(*self._named(0), cause, is_ours=True)

    def of_record(self, record: Mapping[str, Any]) -> PermanentFailure:
        """Return the error that a wish has ended with."""
        error = record.get("error") or {}
        status = error.get("status")
        kind = 0 if error.get("class") in UNREACHED else 1
        if isinstance(status, int):
            kind = 2 if status >= 500 else 1 if status >= 400 else kind
        said = (error.get("message") or "The post could not be published", error.get("help"))
        cause = f"{error.get('class')}/{error.get('code')}: {'. '.join(filter(None, said))}"
        is_ours = status is None and error.get("code") in OURS
        return PermanentFailure(*self._named(kind), cause, response_status=status, is_ours=is_ours)

    def _named(self, kind: int) -> tuple[int, str, str]:
        place = min(kind, len(self._codes) - 1)
        code = self._codes[place]
        return code, self._names[place], self._texts[code]


class SiteTransmitter(Transmitter):
    """Hand deliveries over to the records of an integration."""

    fields = (Field(INTEGRATION, "Id of the integration that stories go to", required=True),)
    mode = Mode.REPLACE
    site_errors: ClassVar[SiteErrors]
    deliveries: ClassVar[SiteDeliveries]

    @classmethod
    def config_issues(cls, config: Mapping[str, Any], caller: Caller) -> Mapping[str, Any]:
        """Return that the integration is missing, of another account, or of another platform."""
        id_ = config.get(INTEGRATION)
        if id_ is None or id_ == "":
            return {INTEGRATION: {"required": 1}}
        found = found_by_id(cls.deliveries.integrations, id_)
        if found is None or not is_of_caller(found, caller):
            return {INTEGRATION: missing_value(id_, PUBLISHER_INTEGRATIONS)}
        if found["destination"] != cls.type:
            return {INTEGRATION: f"is one of {found['destination']}"}
        return {}

    @classmethod
    def take_back(cls, handed_over: HandedOver) -> bool:
        return cls.deliveries.take_back(handed_over)

    def send(self, delivery: Delivery) -> Sent:
        """Make the wish of a delivery, or tell what became of it.

        Raises:
            TemporaryFailure: it cannot be stored now.
            PermanentFailure: there is no such integration or item, or the wish has failed.
        """
        errors = self.site_errors
        id_ = self.destination.config.get(INTEGRATION)
        try:
            integration = found_by_id(self.deliveries.integrations, id_)
            if integration is None or integration["destination"] != self.type:
                raise errors.refused(f"There is no integration {id_} of {self.name}")
            if delivery.handed_over is not None:
                return self.deliveries.outcome(delivery, integration, errors)
            return self.deliveries.wish(delivery, integration)
        except NotPublished:
            raise errors.refused("The item was never published") from None
        except (Conflict, PyMongoError) as error:
            raise errors.unstored(str(error)) from error


def transmitter_for(platform: type[Platform], deliveries: SiteDeliveries) -> type[SiteTransmitter]:
    """Return the delivery type of a platform in an installation.

    Args:
        deliveries: makes the wishes.
    """
    made = {
        "type": platform.destination,
        "name": platform.name,
        "errors": platform.errors,
        "site_errors": SiteErrors(platform),
        "deliveries": deliveries,
        "__doc__": SiteTransmitter.__doc__,
    }
    return type(f"{platform.__name__}Transmitter", (SiteTransmitter,), made)

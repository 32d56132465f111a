"""POST `/publish/`: wishes for many items at many integrations (cms contract 2.1)."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from threading import BoundedSemaphore
from typing import Any

from bson import ObjectId
from pymongo.database import Database

from apps.core.caller import Caller
from apps.core.clock import Clock
from apps.core.errors import SchemaIssues
from apps.core.service import Document
from apps.core.vocabulary import MEDIA_TYPES, State
from apps.publisher.accounts import missing_value
from apps.publisher.bodies import checked, moment
from apps.publisher.integrations.credentials import has_credentials
from apps.publisher.integrations.platforms import Platforms
from apps.publisher.records.content import KILLED, Content, Contents, schedule_of, why_no_post
from apps.publisher.records.wishes import (
    Made,
    Piece,
    Result,
    Wish,
    Wishes,
    is_live,
    is_settled,
    seq_of,
    was_made_by,
)
from apps.publisher.schema import RecordStatus, WishAction
from apps.publisher.targets import AMBIGUOUS, Targets
from apps.store.collections import PUBLISHED, PUBLISHING_RECORDS
from apps.store.idempotency import LONGEST_KEY, IdempotentRequest
from transmitters.cms.base import ErrorClass

MOST_ITEMS, MOST_INTEGRATIONS = 100, 50
LONGEST_WAIT = 60
WAITING_REQUESTS = 4
"""Requests of a process that may wait for sites; others are answered at once."""
LOOK_SECONDS = 0.1, 1.0
"""Seconds between two looks of a request that waits: the first, and the longest."""

AUTO = "auto"
ID_RULES = {"type": "string", "minlength": 1, "maxlength": 1000}

PUBLISH_SCHEMA: Mapping[str, Any] = {
    "content": {"type": ["string", "list"], "required": True},
    "integrations": {
        "type": "list",
        "minlength": 1,
        "maxlength": MOST_INTEGRATIONS,
        "schema": ID_RULES,
    },
    "destination": {"type": "string"},
    "site": ID_RULES,
    "action": {
        "type": "string",
        "allowed": [AUTO, *(action.value for action in WishAction)],
        "default": AUTO,
    },
    "schedule_at": {"type": ["string", "datetime"], "nullable": True},
    "force": {"type": "boolean", "default": False},
    "wait": {"type": "number", "min": 0, "max": LONGEST_WAIT, "default": 0},
    "idempotency_key": {"type": "string", "minlength": 1, "maxlength": LONGEST_KEY},
}

CONTENT_SCHEMA: Mapping[str, Any] = {
    "content": {
        "type": "list",
        "minlength": 1,
        "maxlength": MOST_ITEMS,
        "schema": ID_RULES,
    }
}


class Refused(Exception):
    """A pair of item and integration is refused; the others are not.

    Args:
        error_class: of the answer's error.
    """

    def __init__(self, error_class: ErrorClass, code: str, message: str, help: str = "") -> None:
        super().__init__(message)
        self.error_class = error_class
        self.code = code
        self.message = message
        self.help = help


@dataclass(frozen=True)
class PublishRequest:
    """A request whose form is right.

    Attributes:
        items: with their rows, by id in the order of the request.
        integrations: as stored.
        are_named: the request names the integrations; else they are those of a site.
        action: None takes what the state of each item asks for.
        wait: seconds.
        id: of a request that may come again; None of others.
    """

    items: Sequence[tuple[Content, Mapping[str, Any]]]
    integrations: Sequence[Document]
    are_named: bool
    action: WishAction | None
    schedule_at: datetime | None = None
    force: bool = False
    wait: float = 0
    id: ObjectId | None = None


@dataclass
class Operation:
    """One item at one integration.

    Attributes:
        seq: of the wish.
    """

    content: str
    integration: Document
    action: WishAction | None = None
    result: str = "refused"
    record: Document | None = None
    error: Document | None = None
    seq: int = 0
    creates: bool = False

    @property
    def is_refused(self) -> bool:
        return self.result == "refused"

    @property
    def told(self) -> Document:
        """The operation as clients are told of it."""
        record = self.record or {}
        return {
            "content": self.content,
            "integration": str(self.integration["_id"]),
            "destination": self.integration["destination"],
            "record": str(record["_id"]) if record else None,
            "status": record.get("status"),
            "operation": self._operation,
            "result": self.result,
            "external_id": record.get("external_id"),
            "external_url": record.get("external_url"),
            "error": self.error if self.error is not None else record.get("error"),
        }

    @property
    def _operation(self) -> str:
        if self.action is None or self.is_refused:
            return "none"
        if self.action == WishAction.RETRACT:
            return "retract"
        return "create" if self.creates else "update"


@dataclass
class Outcome:
    """What became of a request.

    Attributes:
        is_refused: no wish of it could be made.
        is_over: nothing of it is left to wait for.
    """

    operations: list[Operation] = field(default_factory=list)
    is_refused: bool = False
    is_over: bool = False

    @property
    def told(self) -> Document:
        status = "ERR" if self.is_refused else "OK"
        return {"_status": status, "operations": [each.told for each in self.operations]}


class PublishRequests:
    """Makes wishes of requests.

    Args:
        contents: looks up items.
        targets: finds integrations.
        platforms: knows their platforms and options.
        wishes: makes wishes.
        sleep: waits some seconds.
    """

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        *,
        contents: Contents,
        targets: Targets,
        platforms: Platforms,
        wishes: Wishes,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._records = db[PUBLISHING_RECORDS]
        self._clock = clock
        self._contents = contents
        self._targets = targets
        self._platforms = platforms
        self._wishes = wishes
        self._sleep = sleep
        self._waiting = BoundedSemaphore(WAITING_REQUESTS)

    # What is asked for.

    def read(
        self, body: Mapping[str, Any], caller: Caller, asked: IdempotentRequest
    ) -> PublishRequest:
        """Return what a body asks for.

        Args:
            asked: the request; times of a further try are judged as in the first one.

        Raises:
            SchemaIssues: it breaks the schema, or names what is not there.
        """
        document = checked(PUBLISH_SCHEMA, body)
        content = document["content"]
        ids = [content] if isinstance(content, str) else content
        ids = list(dict.fromkeys(checked(CONTENT_SCHEMA, {"content": ids})["content"]))
        schedule_at = moment(document, "schedule_at")
        if schedule_at is not None and schedule_at <= asked.begun_at:
            raise SchemaIssues({"schedule_at": "must be in the future"})
        self._check_destination(document)
        found = self._contents.find(ids, caller)
        for id_ in ids:
            if id_ not in found:
                raise SchemaIssues({"content": missing_value(id_, PUBLISHED, "item_id")})
        action = document["action"]
        return PublishRequest(
            items=[found[id_] for id_ in ids],
            integrations=self._integrations(document, caller),
            are_named="integrations" in document,
            action=None if action == AUTO else WishAction(action),
            schedule_at=schedule_at,
            force=document["force"],
            wait=float(document["wait"]),
            id=asked.id if asked.has_key else None,
        )

    def _check_destination(self, document: Mapping[str, Any]) -> None:
        destination = document.get("destination")
        if destination is not None and destination not in self._platforms.registry:
            raise SchemaIssues({"destination": f"unallowed value {destination}"})

    def _integrations(self, document: Mapping[str, Any], caller: Caller) -> list[Document]:
        site, destination = document.get("site"), document.get("destination")
        if "integrations" in document:
            return self._targets.named(
                caller, document["integrations"], "integrations", site, destination
            )
        if site is None and destination is None:
            only = self._targets.only_site(caller)
            if only is None:
                raise SchemaIssues({"site": {"required": 1}})
            site = only["_id"]
        fitting = self._targets.fitting(caller, site, destination)
        active = [each for each in fitting if each.get("active") is not False]
        if not fitting:
            named = "site" if site is not None else "destination"
            raise SchemaIssues({named: "has no active integration"})
        if len(active) > 1 and document.get("site") is None and destination is not None:
            raise SchemaIssues({"destination": AMBIGUOUS})
        if len(fitting) > MOST_INTEGRATIONS:
            raise SchemaIssues({"integrations": f"max length is {MOST_INTEGRATIONS}"})
        return fitting

    # What is done.

    def make(self, request: PublishRequest, caller: Caller) -> Outcome:
        """Make the wishes of a request, and wait for them if it asks for that.

        Two commands for each pair, one for each integration, and those of waiting.
        """
        operations: list[Operation] = []
        for integration in request.integrations:
            options = self._platforms.options_of(integration)
            for content, row in request.items:
                operation = Operation(content.id, integration)
                try:
                    self._carry_out(operation, content, row, options, request, caller)
                except Refused as refusal:
                    operation.error = self._error_of(refusal)
                # One that is switched off is left alone, unless a post has to go.
                is_meant = request.are_named or integration.get("active") is not False
                if is_meant or operation.action == WishAction.RETRACT:
                    operations.append(operation)
        order = {content.id: place for place, (content, _) in enumerate(request.items)}
        if not operations:
            raise SchemaIssues({"site": "has no active integration"})
        operations.sort(key=lambda each: order[each.content])
        outcome = Outcome(operations, all(each.is_refused for each in operations))
        if request.wait and not outcome.is_refused and self._waiting.acquire(blocking=False):
            try:
                self._wait_for(outcome, request.wait)
            finally:
                self._waiting.release()
        return outcome

    def _carry_out(
        self,
        operation: Operation,
        content: Content,
        row: Mapping[str, Any],
        options: Mapping[str, Any],
        request: PublishRequest,
        caller: Caller,
    ) -> None:
        """Make the wish of one pair.

        Raises:
            Refused: it cannot be made.
        """
        integration = operation.integration
        key = self._contents.key_of(content, options)
        same = {"integration": integration["_id"], "content_key": key}
        record = self._records.find_one(same)
        if record is None and content.is_expired:
            # Nothing may be left of the chain that it was in.
            shown = {"integration": integration["_id"], "content": content.id}
            record = self._records.find_one(shown)
        operation.record = record
        if record is not None and was_made_by(record, request.id):
            self._take_over(operation, record, request)
            return
        schedule_at = schedule_for(content, row, request)
        action = wanted_action(content, record, request, schedule_at)
        if action is None or self._contents.is_outdated(content, options):
            operation.result = Result.UNCHANGED
            return
        if action != WishAction.RETRACT:
            check_type(content, options)
            check_usable(self._platforms, integration)
        wish = Wish(
            action=action,
            version=content.version,
            by=caller.user_id,
            force=request.force,
            schedule_at=schedule_at if action != WishAction.RETRACT else None,
            is_sent_early=options.get("schedule_mode") == "remote",
            is_kill=action == WishAction.RETRACT and content.is_killed,
            request=request.id,
        )
        operation.action = action
        operation.creates = not (record and record.get("external_id"))
        if content.is_expired and record is not None:
            made = self._wishes.make_for(record, wish)
        else:
            made = self._wishes.make(Piece(integration, content.id, key), wish)
        self._note(operation, made)

    def _take_over(self, operation: Operation, record: Document, request: PublishRequest) -> None:
        """Tell of a wish that an earlier try has made; its lane is woken."""
        operation.action = WishAction(record["desired"]["action"])
        operation.creates = not record.get("external_id")
        wish = Wish(action=operation.action, request=request.id)
        self._note(operation, self._wishes.make_for(record, wish))

    def _note(self, operation: Operation, made: Made) -> None:
        operation.record, operation.seq = made.record, made.seq
        operation.result = made.result
        if made.result == Result.QUEUED and made.record and is_settled(made.record, made.seq):
            operation.result = result_of(made.record, made.seq)
        if made.result == Result.UNCHANGED:
            operation.action = None

    def _error_of(self, refusal: Refused) -> Document:
        return {
            "class": refusal.error_class,
            "code": refusal.code,
            "message": refusal.message,
            "status": None,
            "retryable": False,
            "at": self._clock.now(),
            "retry_at": None,
            "field": None,
            "help": refusal.help,
        }

    # Waiting.

    def _wait_for(self, outcome: Outcome, seconds: float) -> None:
        """Look at the records until all wishes are settled, or the time is over."""
        ends, pause = time.monotonic() + seconds, LOOK_SECONDS[0]
        while True:
            self._look_at(outcome.operations)
            left = ends - time.monotonic()
            outcome.is_over = not any(each.result == Result.QUEUED for each in outcome.operations)
            if outcome.is_over or left <= 0:
                return
            self._sleep(min(pause, left))
            pause = min(pause * 2, LOOK_SECONDS[1])

    def _look_at(self, operations: Iterable[Operation]) -> None:
        """Take over what has become of the wishes that wait; one command, none without such."""
        waiting = [each for each in operations if each.result == Result.QUEUED and each.record]
        ids = [each.record["_id"] for each in waiting if each.record]
        found = {record["_id"]: record for record in self._records.find({"_id": {"$in": ids}})}
        for operation in waiting:
            record = found.get((operation.record or {}).get("_id"))
            if record is None:
                operation.result = Result.DONE
                continue
            operation.record = record
            if is_settled(record, operation.seq):
                operation.result = result_of(record, operation.seq)


def check_usable(platforms: Platforms, integration: Mapping[str, Any]) -> None:
    """Check whether an integration is switched on and has what it takes to log in.

    Raises:
        Refused: nothing can be published there.
    """
    if integration.get("active") is False:
        message = f"The integration {integration['name']} is switched off"
        raise Refused(ErrorClass.CONFIG, "integration_inactive", message)
    platform = platforms.registry.find(integration["destination"])
    if platform is None or not has_credentials(platform, integration):
        message = f"The integration {integration['name']} has no credentials"
        help_ = "Enter the integration's credentials"
        raise Refused(ErrorClass.CONFIG, "no_credentials", message, help_)


def check_type(content: Content, options: Mapping[str, Any]) -> None:
    """Check whether items of the type get a post of their own.

    Raises:
        Refused: they do not.
    """
    if reason := why_no_post(content.kind, options):
        is_media = content.kind in MEDIA_TYPES
        help_ = "Publish a story that shows it" if is_media else ""
        raise Refused(ErrorClass.UNSUPPORTED, "unsupported_type", reason, help_)


def result_of(record: Mapping[str, Any], seq: int) -> str:
    """Return what became of a wish that is settled."""
    if seq_of(record) > seq:
        return Result.UNCHANGED
    if record["status"] == RecordStatus.FAILED:
        return "refused"
    history = record.get("history") or [{}]
    return Result.UNCHANGED if history[-1].get("outcome") == "unchanged" else Result.DONE


def schedule_for(
    content: Content, row: Mapping[str, Any], request: PublishRequest
) -> datetime | None:
    """Return when an item may be shown at the earliest; None for now."""
    own = schedule_of(row) if content.was_out and content.state == State.SCHEDULED else None
    times = [at for at in (own, request.schedule_at) if at is not None]
    return max(times, default=None)


def wanted_action(
    content: Content,
    record: Mapping[str, Any] | None,
    request: PublishRequest,
    schedule_at: datetime | None,
) -> WishAction | None:
    """Return what a request wants of an item at an integration; None for nothing.

    Raises:
        Refused: its state does not allow it (cms contract 2.1).
    """
    if request.action == WishAction.RETRACT:
        return WishAction.RETRACT if record is not None else None
    if request.action is None and content.is_withdrawn:
        return WishAction.RETRACT if record is not None else None
    if request.action == WishAction.UPDATE and not (record and is_live(record)):
        message = "There is no live post to update"
        raise Refused(ErrorClass.VALIDATION, "not_published", message, "Publish it first")
    if request.action is None and content.was_out and content.state == State.BEING_CORRECTED:
        return None
    if not may_be_shown(content, schedule_at):
        raise Refused(ErrorClass.VALIDATION, "not_publishable", why_not(content))
    return WishAction.PUBLISH


def may_be_shown(content: Content, schedule_at: datetime | None) -> bool:
    """Whether the newest version of an item may be shown at a time; None is now."""
    if not content.was_out:
        return False
    if content.state == State.SCHEDULED:
        return schedule_at is not None
    is_free = content.hidden_until is None or (
        schedule_at is not None and schedule_at >= content.hidden_until
    )
    return content.state in (State.PUBLISHED, State.CORRECTED) and is_free


def why_not(content: Content) -> str:
    """Return why an item cannot be published, naming its state."""
    if content.is_expired:
        return "The item has expired: its posts can be retracted, and nothing else"
    if content.hidden_until is not None and content.state not in KILLED:
        return (
            f"The item is {content.state}, under embargo until {content.hidden_until.isoformat()}"
        )
    return f"An item in state {content.state or 'unknown'} cannot be published"

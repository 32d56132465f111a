"""What follows from the outcome of a wish: the record, its integration, the item, events.

Each class of errors has the same consequences for every platform (cms contract).
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import structlog
from pymongo.database import Database

from apps.core.clock import Clock
from apps.core.notifier import Notifier
from apps.core.service import Document
from apps.lanes import RetryPolicy
from apps.publisher.events import tell_integration, tell_record
from apps.publisher.identity import (
    INSTALLATION,
    SEEN,
    installation_of,
    is_elsewhere,
    new_installation,
    seen_again,
)
from apps.publisher.metrics import seconds_until_live
from apps.publisher.run.claims import Claim, RecordClaims, waiting_status
from apps.publisher.schema import (
    IntegrationState,
    Outcome,
    Phase,
    RecordStatus,
    WishAction,
    ref_of,
)
from apps.store.collections import ARCHIVE, ARCHIVED, PUBLISHED, PUBLISHER_INTEGRATIONS
from transmitters.cms.base import (
    HELP,
    RETRYABLE,
    ErrorClass,
    Platform,
    PlatformError,
    RemotePost,
    RemoteState,
)

log = structlog.get_logger(__name__)

FIRST_LOOK = timedelta(seconds=15)
SECOND_LOOK = timedelta(seconds=60)
"""After a create whose answer was lost: a slow server may still be at work."""
TWIN_CHECK = timedelta(seconds=120)
LONGEST_PAUSE = 6 * 3600
USUAL_PAUSE = 60
ANNOUNCED = "announced"
"""Outcome in the history of a write that is about to be sent."""
RETRACT_AGAIN = timedelta(hours=1)
CHECK_AGAIN = timedelta(minutes=5)
MESSAGE_LENGTH = 1000

LOOKED_UP = frozenset({ErrorClass.AUTH, ErrorClass.MEDIA, ErrorClass.TAXONOMY})
"""Classes of errors whose usual help clients, and the table of common issues, go by."""
DOWN = frozenset({ErrorClass.TRANSIENT, ErrorClass.AMBIGUOUS})
ASKED_TO_WAIT = frozenset({ErrorClass.AUTH, ErrorClass.RATE_LIMITED})
"""Classes of errors that say nothing of whether the site works."""


class Result(StrEnum):
    """What came of carrying out a wish."""

    DONE = "done"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    WAITING = "waiting"


class Wait(Exception):
    """The wish cannot be carried out now; it costs no attempt.

    Args:
        until: when to look again.
        error: why, where the record is to show it.
    """

    def __init__(self, until: datetime, error: PlatformError | None = None) -> None:
        super().__init__(until)
        self.until = until
        self.error = error


class NotNow(PlatformError):
    """Something that a story needs of another host cannot be had now; says nothing of the site."""


@dataclass
class Task:
    """One record on its way through the steps.

    Attributes:
        holds_lane: this worker alone serves the integration.
        version: of the item that is shown, once it is loaded.
        post: what is at the site, as far as it is known.
        creates: the write that is under way makes a new post.
        follows_doubt: it does so after one whose answer was lost.
        was_sent: something was announced, and may have been sent.
        answered: whether the site answered, where that says how the site does.
        warnings: codes of what the reader will miss.
        written: facts of the site that the record has to keep, whatever happens next.
        out_at: when the version went out in the newsroom.
        counts: what metrics are made of, by name.
    """

    claim: Claim
    integration: Document
    started_at: datetime
    holds_lane: bool = False
    version: int | None = None
    post: RemotePost | None = None
    creates: bool = False
    follows_doubt: bool = False
    was_sent: bool = False
    answered: bool | None = None
    warnings: list[str] = field(default_factory=list)
    written: dict[str, Any] = field(default_factory=dict)
    out_at: datetime | None = None
    counts: Counter[str] = field(default_factory=Counter)
    _platform: Platform | None = None

    def use(self, platform: Platform) -> None:
        """Take the site's platform."""
        self._platform = platform

    @property
    def platform(self) -> Platform:
        assert self._platform is not None, "nothing is asked of a site before its platform is there"
        return self._platform

    @property
    def options(self) -> Mapping[str, Any]:
        """Options of the integration, defaults filled in."""
        return self._platform.site.options if self._platform is not None else {}

    @property
    def record(self) -> Document:
        return self.claim.record

    @property
    def is_elsewhere(self) -> bool:
        """Whether the record knows its post in another installation of the site only."""
        return is_elsewhere(self.record, self.integration)

    @property
    def retracts(self) -> bool:
        return self.claim.wish.get("action") == WishAction.RETRACT

    @property
    def ref(self) -> str:
        """What marks the post of the record."""
        return ref_of(self.record["integration"], self.record["content_key"])

    def found(self, post: RemotePost, *, is_seen: bool = True) -> None:
        """Keep what is known of the post, whatever happens next.

        Args:
            is_seen: the site has just shown that it is ours.
        """
        self.post = post
        self.written.update(facts_of(post))
        if is_seen:
            self.written[SEEN] = seen_again(self.record, self.integration, post, self.started_at)

    def warn(self, *codes: str) -> None:
        self.warnings.extend(code for code in codes if code not in self.warnings)


class Results:
    """Store outcomes and tell of them.

    Args:
        db: the database.
        clock: source of the current time.
        claims: the way to records.
        notifier: tells clients.
        alert: tells administrators; is given a text and the record that it is about.
        on_result: told of every outcome, with the record as it is then.
        retries: when a failed wish is tried again.
    """

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        claims: RecordClaims,
        notifier: Notifier,
        alert: Callable[[str, Mapping[str, Any]], None],
        retries: RetryPolicy,
        on_result: Sequence[Callable[[Mapping[str, Any], Result], None]] = (),
    ) -> None:
        self._db = db
        self._clock = clock
        self._claims = claims
        self._notifier = notifier
        self._alert = alert
        self._on_result = list(on_result)
        self._retries = retries

    def entry(self, task: Task, action: str, outcome: str, **more: Any) -> Document:
        """Return an entry of the record's history: no bodies, no headers."""
        now = self._clock.precise()
        took = round((now - task.started_at).total_seconds() * 1000)
        entry = {"at": now, "action": action, "phase": task.record.get("phase"), "outcome": outcome}
        return {**entry, "ms": took, "version": task.version, **more}

    def announce(self, task: Task, action: str, **changes: Any) -> None:
        """Write ahead what is about to be sent (step 6).

        Raises:
            NewWish: something else is wanted; nothing may be sent.
        """
        changes["phase"] = Phase.SENT
        task.was_sent = True
        entry = {**self.entry(task, action, ANNOUNCED), "phase": Phase.SENT}
        self._claims.write(task.claim, changes, entry, same_wish=True)

    def note(self, task: Task, action: str, outcome: str, **more: Any) -> None:
        """Add to the history, and store what is known of the post."""
        self._claims.write(task.claim, {}, self.entry(task, action, outcome, **more))

    # Good ends.

    def published(
        self,
        task: Task,
        post: RemotePost,
        outcome: str,
        payload_hash: str | None,
        *,
        looks_again: bool = False,
    ) -> Result:
        """The post shows what was wanted, or will by itself at its time.

        Args:
            looks_again: whatever the options say: something else follows from it.
        """
        now, record = self._clock.precise(), task.record
        is_scheduled = post.state == RemoteState.SCHEDULED
        first = record.get("first_published_at") or post.published_at or now
        checks_at = post.published_at if is_scheduled else None
        if not is_scheduled and (looks_again or task.options.get("verify_public", True)):
            checks_at = now
        if task.follows_doubt:
            checks_at = now + TWIN_CHECK
        shown: Document = {"status": RecordStatus.PENDING, "scheduled_at": post.published_at}
        if not is_scheduled:
            self._count_live(task)
            shown = {
                "status": RecordStatus.PUBLISHED,
                "published_at": record.get("published_at") or first,
                "first_published_at": first,
                "published_version": task.version,
                "scheduled_at": None,
                "retracted_at": None,
                "drift": None,
            }
        changes = {
            **facts_of(post),
            **task.written,
            **shown,
            "payload_hash": payload_hash,
            "content_version": task.version,
        }
        return self._good(task, changes, outcome, checks_at)

    def _count_live(self, task: Task) -> None:
        """Count how long it took until readers saw the version, if they see it for the first time.

        Since it went out, or somebody asked for it, or its time had come, whatever was last.
        """
        wish = task.claim.wish
        is_asked = wish.get("by") is not None or wish.get("deployment") is not None
        asked_at = wish.get("at") if is_asked or task.out_at is None else None
        since = max(filter(None, (task.out_at, asked_at, wish.get("schedule_at"))), default=None)
        if since is not None and task.record.get("published_version") != task.version:
            seconds = (self._clock.precise() - since).total_seconds()
            task.counts.update(seconds_until_live(max(seconds, 0.0)))

    def unchanged(self, task: Task, outcome: str = "unchanged", **changes: Any) -> Result:
        """There was nothing to write."""
        if outcome == "unchanged":
            changes.update(published_version=task.version, content_version=task.version)
        state = task.record.get("remote_state")
        status = RecordStatus.PUBLISHED if state == RemoteState.LIVE else task.record["status"]
        self._good(task, {"status": status, **changes}, outcome, None)
        return Result.UNCHANGED

    def superseded(self, task: Task) -> Result:
        """A newer post is shown in the place of this one, which is off the site."""
        now = self._clock.precise()
        changes = {"status": RecordStatus.RETRACTED, "retracted_at": now, "scheduled_at": None}
        self._good(task, changes, Outcome.SUPERSEDED, None)
        return Result.UNCHANGED

    def retracted(self, task: Task, state: RemoteState, checks_at: datetime | None) -> Result:
        """The post is off the site."""
        changes = {
            **task.written,
            "status": RecordStatus.RETRACTED,
            "remote_state": state,
            "retracted_at": self._clock.precise(),
            "scheduled_at": None,
            "payload_hash": None,
        }
        return self._good(task, changes, "retracted", checks_at)

    def _good(
        self, task: Task, changes: Document, outcome: str, checks_at: datetime | None
    ) -> Result:
        action = str(task.claim.wish.get("action") or "check")
        task.counts[f"outcomes.{outcome}"] += 1
        changes |= {
            "phase": Phase.IDLE,
            "error": None,
            "retry_attempt": 0,
            "next_attempt_at": checks_at,
            "warnings": list(task.warnings),
        }
        entry = {**self.entry(task, action, outcome), "phase": Phase.IDLE}
        self._claims.finish(task.claim, changes, entry)
        if task.was_sent:
            task.answered = True
            self._integration_works(task)
        self._tell(task, Result.DONE)
        return Result.DONE

    def checked(self, task: Task, again: datetime | None = None) -> Result:
        """A later look at the post has ended.

        Args:
            again: when to look once more, if ever.
        """
        changes = {
            **task.written,
            "next_attempt_at": again,
            "retry_attempt": 0,
            "warnings": list(task.warnings),
        }
        self._claims.finish(task.claim, changes)
        return Result.UNCHANGED

    # Others.

    def waits(self, task: Task, wait: Wait) -> Result:
        """Look again later, as if nothing had been tried."""
        changes: Document = {**task.written, "next_attempt_at": wait.until}
        if wait.error is not None:
            changes["error"] = self._error(wait.error, wait.until)
        self._claims.finish(task.claim, changes)
        return Result.WAITING

    def other_installation(self, task: Task, post: RemotePost) -> None:
        """The id of the record is that of somebody else's post: the site is another one by now."""
        message = f"The post {post.id} is not ours: the site was restored, or set up anew"
        self.note(task, "look_up", "not_ours", message=message)
        if task.is_elsewhere:
            return
        before, id_ = installation_of(task.integration), task.integration["_id"]
        integrations = self._db[PUBLISHER_INTEGRATIONS]
        changes = {INSTALLATION: new_installation(), "synced_at": None}
        same = {"_id": id_, INSTALLATION: before}
        if integrations.update_one(same, {"$set": changes}).matched_count:
            name = task.integration.get("name") or id_
            text = f"The site {name} was restored or set up anew: its posts are looked for again"
            self._alert(text, task.integration)
        found = integrations.find_one({"_id": id_}, {INSTALLATION: 1}) or changes
        task.integration[INSTALLATION] = installation_of(found)

    def alert(self, text: str, task: Task) -> None:
        """Tell administrators."""
        self._alert(text, task.record)

    def failed(self, task: Task, error: PlatformError) -> Result:
        """Draw the consequences of an error."""
        if isinstance(error, NotNow):
            return self._again(task, error, int(task.record.get("retry_attempt") or 0))
        if error.error_class in DOWN:
            task.answered = False
        elif error.status is not None and error.error_class not in ASKED_TO_WAIT:
            task.answered = True
        match error.error_class:
            case ErrorClass.AUTH:
                return self._locked_out(task, error)
            case ErrorClass.RATE_LIMITED:
                return self._paused(task, error)
        tries = int(task.record.get("retry_attempt") or 0)
        if error.error_class not in RETRYABLE:
            return self._given_up(task, error, tries)
        if task.claim.phase == Phase.IDLE:
            return self._unchecked(task, tries)
        return self._again(task, error, tries)

    def _unchecked(self, task: Task, tries: int) -> Result:
        """A later look could not be taken."""
        now = self._clock.precise()
        following = self._retries.after_failure(tries, now, due_at=now + CHECK_AGAIN)
        changes = {
            **task.written,
            "next_attempt_at": following.due_at,
            "retry_attempt": following.tries,
        }
        self._claims.finish(task.claim, changes)
        return Result.WAITING

    def _again(self, task: Task, error: PlatformError, tries: int) -> Result:
        now = self._clock.precise()
        is_doubtful = error.error_class == ErrorClass.AMBIGUOUS
        following = self._retries.after_failure(
            tries,
            now,
            # What should not be seen is tried until it is gone.
            counts=not (task.retracts and self._retries.is_exhausted(tries)),
            retry_after=error.retry_after,
            due_at=now + FIRST_LOOK if is_doubtful else None,
        )
        if following.due_at is None:
            return self._given_up(task, error, following.tries)
        changes = {
            "retry_attempt": following.tries,
            "phase": Phase.UNKNOWN if is_doubtful else self._phase_after(task),
            "next_attempt_at": following.due_at,
        }
        return self._bad(task, error, changes, Result.WAITING)

    def _given_up(self, task: Task, error: PlatformError, tries: int) -> Result:
        changes: Document = {
            "retry_attempt": tries,
            "phase": Phase.IDLE,
            "next_attempt_at": None,
            "status": RecordStatus.FAILED,
        }
        if task.retracts:
            # What should not be seen is still there: it is tried until it is gone.
            again = self._clock.precise() + RETRACT_AGAIN
            changes.update(phase=Phase.READY, next_attempt_at=again)
            self._alert(f"Kill not carried out: {error.message}", task.record)
        return self._bad(task, error, changes, Result.FAILED)

    def _locked_out(self, task: Task, error: PlatformError) -> Result:
        self._integration_state(
            task, IntegrationState.AUTH_FAILED, f"{error.code}: {error.message}"
        )
        # It stays due: whoever changes the credentials wakes the lane.
        due = self._clock.precise()
        return self._bad(
            task, error, {"phase": self._phase_after(task), "next_attempt_at": due}, Result.WAITING
        )

    def _paused(self, task: Task, error: PlatformError) -> Result:
        seconds = min(error.retry_after or USUAL_PAUSE, LONGEST_PAUSE)
        until = self._clock.precise() + timedelta(seconds=seconds)
        self._integration_state(task, IntegrationState.PAUSED, error.message, paused_until=until)
        changes = {"phase": self._phase_after(task), "next_attempt_at": until}
        return self._bad(task, error, changes, Result.WAITING)

    def _phase_after(self, task: Task) -> str:
        """Return the phase of a record whose last request was refused as a whole.

        An earlier doubt stays: it ends with a look-up.
        """
        if task.retracts and task.was_sent:
            return Phase.UNKNOWN
        if task.creates or task.claim.phase == Phase.IDLE:
            return Phase.READY
        return task.claim.phase

    def _bad(self, task: Task, error: PlatformError, changes: Document, result: Result) -> Result:
        record = task.record
        task.counts[f"errors.{error.error_class}"] += 1
        facts = facts_of(task.post) if task.post is not None and task.post.id else {}
        state = facts.get("remote_state", record.get("remote_state"))
        due = changes.get("next_attempt_at")
        changes = {
            "status": waiting_status(state),
            **facts,
            **task.written,
            # What was announced may not be there.
            "payload_hash": None,
            **changes,
            "error": self._error(error, due),
            "warnings": list(task.warnings),
        }
        more = {"class": error.error_class, "code": error.code, "status": error.status}
        text = error.message[:MESSAGE_LENGTH]
        action = str(task.claim.wish.get("action") or "check")
        self._claims.finish(
            task.claim, changes, self.entry(task, action, result, message=text, **more)
        )
        log.info(
            "publisher.not_carried_out",
            record=str(record["_id"]),
            error_class=error.error_class,
            code=error.code,
        )
        self._tell(task, result)
        return result

    def _error(self, error: PlatformError, due: datetime | None) -> Document:
        return {
            "class": error.error_class,
            "code": error.code,
            "message": error.message[:MESSAGE_LENGTH],
            "status": error.status,
            "retryable": _may_pass(error),
            "at": self._clock.precise(),
            "retry_at": due,
            "field": error.field,
            "help": help_of(error),
        }

    # The integration.

    def _integration_works(self, task: Task) -> None:
        if task.integration.get("state") != IntegrationState.OK:
            self._integration_state(task, IntegrationState.OK, "", paused_until=None)

    def _integration_state(
        self, task: Task, state: IntegrationState, message: str, **more: Any
    ) -> None:
        now = self._clock.precise()
        changes: Document = {"state": state, "state_message": message or None, "state_at": now}
        if state == IntegrationState.OK:
            changes["last_ok_at"] = now
        # Not where somebody has changed the credentials that failed.
        same = {"_id": task.integration["_id"], "credentials": task.integration.get("credentials")}
        query = {**same, "state": {"$ne": state}}
        is_news = (
            self._db[PUBLISHER_INTEGRATIONS]
            .update_one(query, {"$set": {**changes, **more}})
            .matched_count
        )
        if not is_news:
            if more:
                self._db[PUBLISHER_INTEGRATIONS].update_one(same, {"$set": more})
            return
        task.integration.update({**changes, **more})
        tell_integration(self._notifier, task.integration)
        if state == IntegrationState.AUTH_FAILED:
            name = task.integration.get("name") or task.integration["_id"]
            self._alert(f"The site {name} refuses the credentials ({message})", task.integration)

    # Everybody else.

    def _tell(self, task: Task, result: Result) -> None:
        record = task.record
        url = record.get("external_url")
        self._mark_item(record["content"], record, url)
        tell_record(self._notifier, self._db, record)
        for told in self._on_result:
            told(record, result)

    def _mark_item(self, item_id: str, record: Mapping[str, Any], url: str | None) -> None:
        """Keep the item's list of where it is; its etag stays, no editor is disturbed."""
        entry = {
            "integration": str(record["integration"]),
            "destination": record["destination"],
            "status": record["status"],
            "external_url": url,
        }
        last = {"item_id": item_id, "last_published_version": True}
        is_there = self._mark(ARCHIVE, {"_id": item_id}, entry)
        if not self._mark(PUBLISHED, last, entry) and not is_there:
            self._mark(ARCHIVED, last, entry)

    def _mark(self, name: str, query: Mapping[str, Any], entry: Document) -> bool:
        """Put an entry into the list of an item; False where there is no such item."""
        collection = self._db[name]
        while (item := collection.find_one(query, {"publisher": 1})) is not None:
            before = item.get("publisher")
            own = [each for each in before or () if isinstance(each, dict)]
            if entry in own:
                return True
            others = [each for each in own if each.get("integration") != entry["integration"]]
            unchanged = {"_id": item["_id"], "publisher": before}
            update = {"$set": {"publisher": [*others, entry]}}
            if collection.update_one(unchanged, update).matched_count:
                return True
        return False


def _may_pass(error: PlatformError) -> bool:
    """Whether what has failed may be done without anything being changed in the item."""
    by_class = error.error_class in RETRYABLE or error.error_class == ErrorClass.AUTH
    return by_class or isinstance(error, NotNow)


def help_of(error: PlatformError) -> str:
    """Return what a person can do: what holds for the class of the error, then what is special."""
    usual = HELP[error.error_class]
    if error.error_class not in LOOKED_UP or error.help.startswith(usual):
        return error.help
    return f"{usual}. {error.help}"


def facts_of(post: RemotePost) -> Document:
    """Return the fields of a record that say what is at the site."""
    facts: Document = {
        "external_id": post.id,
        "remote_state": post.state,
        "remote_modified": post.modified or None,
    }
    if post.url and post.state == RemoteState.LIVE:
        facts["external_url"] = post.url
    return facts

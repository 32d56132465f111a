"""Carrying out a wish: nine steps, any of which may be the last that a process makes.

    1  claim the record; can the integration be used?
    2  load the item; may it be shown?
    3  look for the post where it is not known, or in doubt
    4  files and terms
    5  transform; nothing changed: done
    6  announce the write
    7  write, once
    8  compare the answer with what was sent
    9  store the outcome

Whoever dies before 6 has made no post. Whoever dies after it leaves the record in doubt, and the
next worker looks for the post before anything else. No post is created without a look-up.

Steps 1 to 3 and the choice of what to do are here, 4 to 9 of a story in `writing.py`, those of what
is taken off in `retraction.py`.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import structlog
from pymongo.database import Database

from apps.core.clock import Clock, moment_of
from apps.core.service import Document
from apps.publisher.run import story as stories
from apps.publisher.run.claims import Claim, LostClaim, NewWish, RecordClaims
from apps.publisher.run.finding import OFF_SITE, PostFinder, identity_of
from apps.publisher.run.media import MediaLedger
from apps.publisher.run.pace import taking_off
from apps.publisher.run.results import Result, Results, Task, Wait
from apps.publisher.run.retraction import Retraction
from apps.publisher.run.supersession import Supersession
from apps.publisher.run.terms import TermLedger
from apps.publisher.run.writing import Writing
from apps.publisher.schema import IntegrationState, Phase
from apps.store.collections import ARCHIVED, PUBLISHED, PUBLISHER_INTEGRATIONS
from apps.store.mongo import is_outage
from transmitters.cms.base import ErrorClass, Platform, PlatformError, RemoteState

log = structlog.get_logger(__name__)

SCHEDULED_AHEAD = timedelta(seconds=120)
"""A site is told of a schedule only if it is farther ahead."""


class Steps:
    """Takes records through their wishes; any number of threads may share it.

    Args:
        db: the database.
        clock: source of the current time.
        platform_of: returns the platform of an integration; raises `PlatformError` where its
            credentials cannot be used.
        claims, results, media, terms, supersession: see their classes.
        visit: asks for a public page of a site, by both addresses, without credentials; returns the
            status, None for no answer.
    """

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        *,
        platform_of: Callable[[Mapping[str, Any]], Platform],
        claims: RecordClaims,
        results: Results,
        media: MediaLedger,
        terms: TermLedger,
        supersession: Supersession,
        visit: Callable[[str, str], int | None],
    ) -> None:
        self._db = db
        self._clock = clock
        self._platform_of = platform_of
        self._claims = claims
        self._results = results
        self._finder = PostFinder(clock, results)
        self._supersession = supersession
        self._writing = Writing(db, clock, results, media, terms, self._finder, supersession)
        self._retraction = Retraction(clock, results, media, self._finder, supersession, visit)

    def carry_out(
        self,
        record_id: Any,
        integration: Document | None = None,
        *,
        platform: Platform | None = None,
        holds_lane: bool = False,
        on_answer: Callable[[bool], None] = lambda answered: None,
        on_counts: Callable[[Mapping[str, float]], None] = lambda counts: None,
    ) -> Result | None:
        """Do what is due of a record; return what came of it, None where nothing was due.

        Args:
            integration: of the record, where the caller knows it; how it does is written there,
                so that nobody who goes by it asks a site again that must not be asked.
            platform: of the integration, where the caller has it.
            holds_lane: the caller alone serves the integration.
            on_answer: told whether the site answered, where that says how the site does.
            on_counts: told what metrics are made of.
        """
        claim = self._claims.take(record_id, holds_lane=holds_lane)
        if claim is None:
            return None
        if integration is None:
            wanted = {"_id": claim.record["integration"]}
            integration = self._db[PUBLISHER_INTEGRATIONS].find_one(wanted) or {}
        task = Task(claim, integration, self._clock.precise(), holds_lane)
        try:
            result = self._carried_out(task, claim, platform)
        except LostClaim:
            log.warning("publisher.claim_lost", record=str(record_id))
            return None
        if task.answered is not None:
            on_answer(task.answered)
        on_counts(task.counts)
        return result

    def _carried_out(self, task: Task, claim: Claim, platform: Platform | None) -> Result:
        try:
            self._check_usable(task)
            task.use(platform or self._platform_of(task.integration))
            item = self._item(task)
            if claim.phase == Phase.IDLE:
                done = self._retraction.check(task, item or {})
                return done if done is not None else self._publish(task, item)
            if task.retracts:
                with taking_off():
                    return self._retraction.run(task, item or {})
            return self._publish(task, item)
        except Wait as wait:
            return self._results.waits(task, wait)
        except NewWish:
            self._claims.let_go(claim, task.written)
            return Result.WAITING
        except PlatformError as error:
            return self._results.failed(task, error)
        except LostClaim:
            raise
        except Exception as error:
            if is_outage(error):
                raise
            log.exception("publisher.record_crashed", record=str(claim.id))
            return self._stumbled(task)

    def _stumbled(self, task: Task) -> Result:
        """Let a record be tried again that the program is not up to; it tells so."""
        error = PlatformError(
            ErrorClass.AMBIGUOUS if task.was_sent else ErrorClass.TRANSIENT,
            "internal_error",
            "Something in the item, or in the answers of the site, was not foreseen",
            help="The log of the workers says what, under publisher.record_crashed",
        )
        result = self._results.failed(task, error)
        # It says nothing of how the site does.
        task.answered = None
        return result

    def _check_usable(self, task: Task) -> None:
        """Wait where the site must not be asked.

        Raises:
            PlatformError: it is switched off; what was published there can still be withdrawn.
        """
        integration, now = task.integration, self._clock.precise()
        paused_until = integration.get("paused_until")
        if paused_until is not None and paused_until > now:
            raise Wait(paused_until)
        if integration.get("state") == IntegrationState.AUTH_FAILED:
            raise Wait(now)
        if not integration.get("active", True) and not task.retracts:
            message = "The integration is switched off"
            raise PlatformError(ErrorClass.CONFIG, "integration_inactive", message)

    def _item(self, task: Task) -> Document | None:
        query = {"item_id": task.record["content"], "last_published_version": True}
        item = self._db[PUBLISHED].find_one(query)
        if item is not None:
            task.version = item.get("_current_version")
            task.out_at = moment_of(item.get("versioncreated"))
            return item
        of_item = {"item_id": task.record["content"]}
        return self._db[ARCHIVED].find_one(of_item, sort=[("_current_version", -1)])

    def _publish(self, task: Task, item: Mapping[str, Any] | None) -> Result:
        stories.check_publishable(item, task.options)
        assert item is not None, "what was never published is refused"
        if self._supersession.is_over(task, item):
            return self._give_way(task, item)
        schedule_at = self._schedule(task, item)
        identity = identity_of(task, item)
        post = None
        if not task.record.get("external_id"):
            post = self._finder.look_up(task, identity)
        return self._writing.run(task, item, identity, schedule_at, post)

    def _give_way(self, task: Task, item: Mapping[str, Any]) -> Result:
        """Show nothing of a story whose rewrite is shown in its place."""
        if task.record.get("remote_state") in (*OFF_SITE, RemoteState.ABSENT):
            return self._results.superseded(task)
        with taking_off():
            return self._retraction.run(task, item)

    def _schedule(self, task: Task, item: Mapping[str, Any]) -> datetime | None:
        """Return when the site is to publish by itself, None for now.

        Raises:
            Wait: it is too early, and the site must not know.
        """
        now = self._clock.precise()
        times = [task.claim.wish.get("schedule_at"), stories.hidden_until(item, now)]
        at: datetime | None = max((time for time in times if time and time > now), default=None)
        if at is None:
            return None
        is_remote = task.options.get("schedule_mode") == "remote" and task.platform.can_schedule
        if not is_remote or at - now < SCHEDULED_AHEAD:
            raise Wait(at)
        return at

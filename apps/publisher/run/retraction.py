"""Taking posts off their sites, and looking later whether what was done still holds."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from apps.core.clock import Clock
from apps.core.service import Document
from apps.publisher.run import story as stories
from apps.publisher.run.finding import (
    OFF_SITE,
    PostFinder,
    identity_of,
    known_post,
    was_doubtful,
    written_fresh,
)
from apps.publisher.run.media import MediaLedger
from apps.publisher.run.results import TWIN_CHECK, Result, Results, Task
from apps.publisher.run.supersession import Supersession
from apps.publisher.schema import IN_DOUBT
from transmitters.cms.base import (
    RETRYABLE,
    ErrorClass,
    PlatformError,
    PostIdentity,
    RemotePost,
    RemoteState,
    RetractMode,
)

PUBLIC_AGAIN = timedelta(seconds=60)
SCHEDULE_GRACE = timedelta(minutes=5)
"""After a schedule that the site has missed the post is published by us."""
GONE_STATUSES = frozenset({404, 410})
STOPS_REMOVAL = RETRYABLE | {ErrorClass.AUTH, ErrorClass.CONFIG}
"""Classes of errors of an overwriting that will be those of the removal, too."""
DONE_BY = {
    RetractMode.DELETE: frozenset({RemoteState.DELETED}),
    RetractMode.TRASH: frozenset({RemoteState.DELETED, RemoteState.TRASHED}),
}
"""States in which nothing is left to do of a mode; any that is off the site for the others."""


class Retraction:
    """Take posts off: overwrite what was killed, remove it, its files, and look at the page.

    Args:
        clock: source of the current time.
        results, media, finder, supersession: see their classes.
        visit: asks for a public page of a site, by both addresses, without credentials; returns the
            status, None for no answer.
    """

    def __init__(
        self,
        clock: Clock,
        results: Results,
        media: MediaLedger,
        finder: PostFinder,
        supersession: Supersession,
        visit: Callable[[str, str], int | None],
    ) -> None:
        self._clock = clock
        self._results = results
        self._media = media
        self._finder = finder
        self._supersession = supersession
        self._visit = visit

    def run(self, task: Task, item: Mapping[str, Any]) -> Result:
        """Carry out the wish to retract.

        Args:
            item: its last version, as far as it is known.
        """
        record, identity = task.record, identity_of(task, item)
        post = self._known(task, identity) if record.get("external_id") else None
        if (
            post is None
            and record.get("slug")
            and (task.is_elsewhere or not record.get("external_id"))
        ):
            post = self._finder.look_up(task, identity)
        if post is None:
            was_there = bool(record.get("external_id"))
            state = RemoteState.DELETED if was_there else RemoteState.ABSENT
            return self._end(task, item, state)
        self._results.announce(task, "retract", slug=identity.slug, ref=identity.ref)
        return self._end(task, item, self._take_off(task, post, item, identity))

    def _known(self, task: Task, identity: PostIdentity) -> RemotePost | None:
        """Return the post that the record knows; None when it is gone, or the id is another's.

        One in doubt may be half off: overwriting would bring back what is off already.
        """
        if task.claim.phase not in IN_DOUBT and self._finder.was_just_seen(task):
            post = known_post(task.record)
            task.found(post, is_seen=False)
            return post
        found = self._finder.read(task, identity)
        if found is not None:
            task.found(found)
        return found

    def _end(self, task: Task, item: Mapping[str, Any], state: RemoteState) -> Result:
        task.post = None
        task.written["remote_state"] = state
        self._media.release(task, removes=bool(task.options.get("retract_media", True)))
        again: datetime | None = None
        if task.follows_doubt:
            again = self._clock.precise() + TWIN_CHECK
        elif self._status(task) not in GONE_STATUSES:
            again = self._clock.precise() + PUBLIC_AGAIN
        elif self._supersession.concerns(task, item):
            again = self._clock.precise()
        return self._results.retracted(task, state, again)

    def _status(self, task: Task) -> int | None:
        """Return the status of the public page; 404 where none is to be looked at."""
        url = task.record.get("external_url")
        if not url or not task.options.get("verify_public", True):
            return 404
        return self._visit(url, task.platform.site.base_url)

    def _take_off(
        self, task: Task, post: RemotePost, item: Mapping[str, Any], identity: PostIdentity
    ) -> RemoteState:
        platform = task.platform
        ours = partial(self._finder.is_ours, task, identity=identity)
        is_kill = _is_kill(task, item)
        mode = _mode(task, is_kill=is_kill)
        if task.claim.phase in IN_DOUBT and post.state in DONE_BY.get(mode, OFF_SITE):
            # It was just read: only the answer to the removal was lost.
            return post.state
        if post.state == RemoteState.SCHEDULED:
            post = written_fresh(task, post, platform.unschedule, is_ours=ours) or post
        is_there = post.state not in (RemoteState.TRASHED, RemoteState.DELETED)
        if is_kill and item and is_there and task.options.get("kill_overwrite", True):
            post = self._overwritten(task, post, item, identity, mode)
        done = written_fresh(
            task,
            post,
            lambda fresh: replace(fresh, state=_retracted(task, fresh, mode)),
            is_ours=ours,
        )
        return done.state if done is not None else RemoteState.DELETED

    def _overwritten(
        self,
        task: Task,
        post: RemotePost,
        item: Mapping[str, Any],
        identity: PostIdentity,
        mode: RetractMode,
    ) -> RemotePost:
        """Replace a killed text before it is removed: copies of the page show what remains."""
        platform = task.platform
        try:
            payload = platform.payload(stories.withdrawal_story(item, identity))
            done = written_fresh(
                task,
                post,
                lambda fresh: platform.overwrite(fresh, payload, identity, mode),
                is_ours=partial(self._finder.is_ours, task, identity=identity),
            )
        except PlatformError as error:
            if error.error_class in STOPS_REMOVAL:
                raise
            task.warn("kill_not_overwritten")
            return post
        return done or post

    # Later looks at what is done.

    def check(self, task: Task, item: Mapping[str, Any]) -> Result | None:
        """Look once more at a record of which nothing is wanted.

        Returns:
            None where the site has missed a schedule: the post is to be published now.
        """
        task.warn(*(task.record.get("warnings") or ()))
        self._supersession.follow(task, item)
        match task.record.get("remote_state"):
            case RemoteState.SCHEDULED:
                return self._check_schedule(task, item)
            case RemoteState.LIVE:
                if was_doubtful(task.record):
                    self._finder.ours(task, identity_of(task, item))
                status = self._status(task)
                if status in GONE_STATUSES and task.options.get("verify_public", True):
                    task.warn("not_public")
                return self._results.checked(task)
        self._check_gone(task, item)
        return self._results.checked(task)

    def _check_gone(self, task: Task, item: Mapping[str, Any]) -> None:
        """Make sure that nothing of a retracted post is left."""
        if was_doubtful(task.record):
            found = self._finder.ours(task, identity_of(task, item))
            if found is not None and found.state not in OFF_SITE:
                # It came after we had looked for it.
                mode = _mode(task, is_kill=_is_kill(task, item))
                state = _retracted(task, found, mode)
                task.written.update(external_id=found.id, remote_state=state)
        status = self._status(task)
        if status is not None and status not in GONE_STATUSES:
            task.warn("still_public")
            self._results.alert("A retracted story can still be read at its address", task)

    def _check_schedule(self, task: Task, item: Mapping[str, Any]) -> Result | None:
        """See whether the site has published what it was to publish by itself."""
        record, now = task.record, self._clock.precise()
        due: datetime = record.get("scheduled_at") or now
        post = self._finder.read(task, identity_of(task, item))
        if post is None:
            message = "The scheduled post is gone from the site"
            raise PlatformError(ErrorClass.NOT_FOUND, "remote_missing", message)
        task.version = record.get("content_version")
        if post.state == RemoteState.LIVE:
            task.found(post)
            return self._results.published(
                task,
                post,
                "released",
                record.get("payload_hash"),
                looks_again=self._supersession.concerns(task, item),
            )
        if now < due + SCHEDULE_GRACE:
            return self._results.checked(task, now + PUBLIC_AGAIN)
        task.warn("schedule_forced")
        return None


def _is_kill(task: Task, item: Mapping[str, Any]) -> bool:
    """Whether a post goes because its item was killed or taken down.

    Of such items nothing is left when they have expired. What is retracted because of its item,
    and not by a person, was one of them, or is taken for one.
    """
    if not item:
        return task.claim.wish.get("by") is None
    return item.get("state") in stories.KILLED_STATES


def _mode(task: Task, *, is_kill: bool) -> RetractMode:
    platform, options = task.platform, task.options
    wanted = task.claim.wish.get("mode")
    if not wanted and is_kill:
        wanted = options.get("kill_mode") or platform.kill_mode
    return RetractMode(wanted or options.get("retract_mode") or platform.retract_modes[0])


def _retracted(task: Task, post: RemotePost, mode: RetractMode) -> RemoteState:
    """Take a post off; warn where the site keeps as a draft what was to be removed."""
    state = task.platform.retract(post, mode)
    if state == RemoteState.DRAFT and mode in (RetractMode.TRASH, RetractMode.DELETE):
        task.warn("left_as_draft")
    return state


def drift_of(post: RemotePost, now: datetime) -> Document:
    """Return what is kept of an edit that somebody has made at the site."""
    return {
        "seen_at": now,
        "remote_modified": post.modified,
        "by": post.fields.get("modified_by"),
    }

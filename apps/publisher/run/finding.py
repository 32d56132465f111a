"""Finding our post at a site: before every create, after every doubt, and twice where needed."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from apps.core.clock import Clock
from apps.publisher.identity import SEEN, SEEN_JUST_NOW, is_of_record
from apps.publisher.run import story as stories
from apps.publisher.run.results import ANNOUNCED, FIRST_LOOK, SECOND_LOOK, Results, Task, Wait
from apps.publisher.schema import IN_DOUBT
from transmitters.cms.base import (
    ErrorClass,
    PlatformError,
    PostIdentity,
    RemotePost,
    RemoteState,
)

COLLISIONS = 3
"""Times that a post is read again because somebody wrote it meanwhile."""
OFF_SITE = frozenset({RemoteState.DRAFT, RemoteState.TRASHED, RemoteState.DELETED})
REMOVED = frozenset({RemoteState.TRASHED, RemoteState.DELETED})


def identity_of(task: Task, item: Mapping[str, Any]) -> PostIdentity:
    """Return what the post of a record is found by; the slug of the first attempt stays."""
    record, ref = task.record, task.ref
    headline = stories.headline_of(item)
    is_clean = task.options.get("slug_mode") == "clean"
    return PostIdentity(
        ref=ref,
        slug=record.get("slug") or stories.slug_of(headline, ref, is_clean=is_clean),
        title=headline,
        since=record.get("created_at"),
    )


def known_post(record: Mapping[str, Any]) -> RemotePost:
    """Return the post of a record as it was last seen."""
    ref, seen = record.get("ref"), record.get(SEEN) or {}
    return RemotePost(
        id=record["external_id"],
        state=RemoteState(record.get("remote_state") or RemoteState.UNKNOWN),
        url=record.get("external_url") or "",
        slug=record.get("slug") or "",
        modified=record.get("remote_modified") or "",
        published_at=record.get("published_at"),
        refs=(ref,) if ref and seen.get("adopted") is None else (),
    )


def doubtful_since(task: Task) -> datetime | None:
    """Return when the last write was sent of which nobody knows what came of it.

    None where there is no doubt.
    """
    if task.claim.phase not in IN_DOUBT:
        return None
    for entry in reversed(task.record.get("history") or ()):
        if entry.get("class") == ErrorClass.AMBIGUOUS or entry.get("outcome") == ANNOUNCED:
            at: datetime = entry["at"]
            return at
    return None


def was_doubtful(record: Mapping[str, Any]) -> bool:
    """Whether the answer of a write was ever lost, or a create made twice."""
    history = record.get("history") or ()
    creates = [e for e in history if e.get("action") == "create" and e.get("outcome") == ANNOUNCED]
    return len(creates) > 1 or any(e.get("class") == ErrorClass.AMBIGUOUS for e in history)


class PostFinder:
    """Look for posts of ours, and keep one of each.

    Args:
        clock: source of the current time.
        results: where what was removed is noted.
    """

    def __init__(self, clock: Clock, results: Results) -> None:
        self._clock = clock
        self._results = results

    def was_just_seen(self, task: Task) -> bool:
        """Whether the post of the record was seen to be ours so lately that it still is."""
        at = (task.record.get(SEEN) or {}).get("at")
        return not task.is_elsewhere and bool(at and task.started_at - at < SEEN_JUST_NOW)

    def read(self, task: Task, identity: PostIdentity) -> RemotePost | None:
        """Return the post that has the id of the record; None when it is gone, or not ours.

        The ids of a site mean something else when it was restored from a backup, or set up anew.
        Then nothing is written by them, and all that was learned there is learned again.
        """
        post = task.platform.read(task.record["external_id"])
        if post is None or self.is_ours(task, post, identity):
            return post
        self._results.other_installation(task, post)
        return None

    def is_ours(self, task: Task, post: RemotePost, identity: PostIdentity) -> bool:
        return is_of_record(task.platform, task.record, task.integration, post, identity)

    def look_up(self, task: Task, identity: PostIdentity) -> RemotePost | None:
        """Return our post if it is at the site; of several the one to keep, the others go.

        Raises:
            Wait: it is too early to tell: the site may still be at work on an earlier create.
            PlatformError: nobody knows whether it is there.
        """
        now, since = self._clock.precise(), doubtful_since(task)
        if since is not None and now < since + FIRST_LOOK:
            raise Wait(since + FIRST_LOOK)
        found = self.ours(task, identity)
        if found is not None:
            task.found(found)
            return found
        if since is not None:
            if now < since + SECOND_LOOK:
                raise Wait(since + SECOND_LOOK)
            task.follows_doubt = True
        return None

    def ours(self, task: Task, identity: PostIdentity) -> RemotePost | None:
        """Return our post, the one of the record before others; its twins are removed."""
        ours = [post for post in task.platform.look_up(identity) if post.is_ours]
        if not ours:
            return None
        recorded = task.record.get("external_id")
        kept = next((post for post in ours if post.id == recorded), ours[0])
        twins = [post for post in ours if post.id != kept.id and post.state not in REMOVED]
        for post in twins:
            task.platform.discard(post)
        if twins:
            task.counts["duplicates_removed"] += len(twins)
            ids = ", ".join(post.id for post in twins)
            message = f"Kept {kept.id}, removed {ids}"
            self._results.note(task, "look_up", "duplicate_removed", message=message)
        return kept


def written_fresh(
    task: Task,
    post: RemotePost,
    write: Callable[[RemotePost], RemotePost],
    allows: Callable[[RemotePost], bool] = lambda found: True,
    *,
    is_ours: Callable[[RemotePost], bool],
) -> RemotePost | None:
    """Write a post, reading it again where somebody has written it meanwhile.

    Args:
        allows: told how the post is then; whether it may be written all the same.
        is_ours: told the same; whether it is still the post of the record.

    Returns:
        What `write` returns; None when the post is gone.

    Raises:
        PlatformError: the write is refused, or collides again and again.
    """
    for _ in range(COLLISIONS):
        try:
            return write(post)
        except PlatformError as error:
            if error.error_class == ErrorClass.NOT_FOUND:
                return None
            if error.error_class != ErrorClass.CONFLICT:
                raise
            collision = error
        found = task.platform.read(post.id)
        if found is None or not is_ours(found):
            return None
        is_same = bool(post.modified) and found.modified == post.modified
        if is_same or not allows(found):
            raise collision
        post = found
    raise collision

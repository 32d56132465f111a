"""Steps 4 to 9 of a story: what is sent to its site, and what is made of the answer."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from pymongo.database import Database

from apps.core.clock import Clock
from apps.core.service import Document
from apps.core.vocabulary import ItemType
from apps.publisher.run import story as stories
from apps.publisher.run.finding import OFF_SITE, PostFinder, written_fresh
from apps.publisher.run.media import MediaLedger
from apps.publisher.run.results import MESSAGE_LENGTH, Result, Results, Task
from apps.publisher.run.retraction import drift_of
from apps.publisher.run.supersession import Supersession
from apps.publisher.run.terms import TermLedger
from apps.publisher.schema import IN_DOUBT, RecordStatus
from apps.store.collections import PUBLISHING_RECORDS
from transmitters.cms.base import (
    ErrorClass,
    Mismatch,
    Payload,
    PlatformError,
    PostIdentity,
    RemotePost,
    RemoteState,
    Story,
)

GONE = "remote_missing"
OF_LEDGERS = frozenset({ErrorClass.MEDIA, ErrorClass.TAXONOMY})
"""Classes of errors of a write that mean that a ledger names what the site does not have."""


@dataclass
class _Draft:
    """A story on its way to a site.

    Attributes:
        story: without times, its files and terms at the site.
        digest: tells whether it has changed since it was sent.
        schedule_at: when the site is to publish it by itself; None for now.
        is_resynced: the site was asked what it has; it is not asked twice.
    """

    task: Task
    item: Mapping[str, Any]
    identity: PostIdentity
    schedule_at: datetime | None
    story: Story
    digest: str = ""
    is_resynced: bool = False


class Writing:
    """Create and update posts.

    Args:
        db: the database.
        clock: source of the current time.
        results, media, terms, finder, supersession: see their classes.
    """

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        results: Results,
        media: MediaLedger,
        terms: TermLedger,
        finder: PostFinder,
        supersession: Supersession,
    ) -> None:
        self._db = db
        self._clock = clock
        self._results = results
        self._media = media
        self._terms = terms
        self._finder = finder
        self._supersession = supersession

    def run(
        self,
        task: Task,
        item: Mapping[str, Any],
        identity: PostIdentity,
        schedule_at: datetime | None,
        post: RemotePost | None,
    ) -> Result:
        """Let the site show an item.

        Args:
            schedule_at: when the site is to publish it by itself; None for now.
            post: what a look-up has found; None where the record knows its post, or there is none.
        """
        draft = _Draft(task, item, identity, schedule_at, Story(identity, "", ""))
        self._prepare(draft)
        record, known = task.record, task.record.get("external_id")
        if post is None and known:
            is_settled = (
                record.get("remote_state") == RemoteState.LIVE
                and task.claim.phase not in IN_DOUBT
                and not task.is_elsewhere
            )
            is_same = record.get("payload_hash") == draft.digest and schedule_at is None
            if is_same and is_settled and not task.claim.wish.get("force"):
                return self._results.unchanged(task)
            was_here = not task.is_elsewhere
            post = self._finder.read(task, identity)
            if post is None:
                if was_here and task.is_elsewhere:
                    # Files and terms were prepared for the site as it was.
                    self._prepare(draft)
                post = self._gone(draft)
            elif is_settled and self._keeps_edit(task, post):
                drift = drift_of(post, self._clock.precise())
                return self._results.unchanged(task, "remote_edit_kept", drift=drift)
        if post is None:
            return self._create(draft)
        return self._update(draft, post)

    # 4, 5

    def _prepare(self, draft: _Draft, *, distrust: bool = False, resync: bool = False) -> None:
        """Bring files and terms to the site, and make the story of them.

        Args:
            distrust: ask the site whether it has the files that the ledger knows.
            resync: ask the site what terms it has.
        """
        task, item = draft.task, draft.item
        renditions = task.options.get("renditions") or ()
        rehost = bool(task.options.get("rehost"))
        wanted = stories.wanted_media(item, renditions, self._clock.precise(), rehost=rehost)
        media = self._media.transfer(task, wanted, distrust=distrust)
        terms = self._terms.resolve(task, list(stories.wanted_terms(item)), resync=resync)
        draft.story = stories.story_of(
            item,
            draft.identity,
            task.options,
            media=media,
            terms=terms,
            links=self._links(task, item),
            newer=self._supersession.link(task, item),
        )
        draft.digest = stories.payload_hash(task.platform.payload(draft.story))

    def _links(self, task: Task, item: Mapping[str, Any]) -> dict[str, str]:
        """Return where the members of a package can be read at the same site."""
        if item.get("type") != ItemType.COMPOSITE:
            return {}
        ids = sorted({str(ref["residRef"]) for ref in stories.member_refs(item)})
        query = {
            "content": {"$in": ids},
            "integration": task.record["integration"],
            "status": RecordStatus.PUBLISHED,
        }
        found = self._db[PUBLISHING_RECORDS].find(query, {"content": 1, "external_url": 1})
        return {row["content"]: row["external_url"] for row in found if row.get("external_url")}

    def _payload(self, draft: _Draft, post: RemotePost | None = None) -> Payload:
        """Return what is sent: the time of the publication goes out with the first one only.

        Args:
            post: that is to be written; terms which editors of the site gave it may have to stay.
        """
        task, story = draft.task, draft.story
        if post is not None and task.options.get("keep_remote_terms"):
            story = replace(story, terms=self._terms.with_those_of_others(task, post, story.terms))
        is_first = not task.record.get("first_published_at")
        timed = stories.with_times(
            story,
            published_at=stories.first_published(draft.item) if is_first else None,
            schedule_at=draft.schedule_at,
        )
        payload = task.platform.payload(timed)
        task.warn(*payload.warnings)
        return payload

    # 3, for a post that was known

    def _gone(self, draft: _Draft) -> RemotePost | None:
        """Look for a post that is not where it was; None where a new one is to be created.

        Raises:
            PlatformError: it must not be made anew.
        """
        task = draft.task
        found = self._finder.look_up(task, draft.identity)
        if found is not None:
            return found
        removed_by_us = task.record.get("remote_state") in (*OFF_SITE, RemoteState.ABSENT)
        if task.options.get("on_remote_missing", "recreate") == "fail" and not removed_by_us:
            task.post = None
            task.written["remote_state"] = RemoteState.DELETED
            message = "The post was removed from the site"
            if task.is_elsewhere:
                message = "The post is not at the site, which was restored or set up anew"
            raise PlatformError(ErrorClass.NOT_FOUND, GONE, message)
        return None

    def _keeps_edit(self, task: Task, post: RemotePost) -> bool:
        """Whether somebody has edited the post at the site, and that is to stay.

        Raises:
            PlatformError: the option says that it is an error.
        """
        before = task.record.get("remote_modified")
        if not before or not post.modified or post.modified == before:
            return False
        match task.options.get("on_remote_edit", "overwrite"):
            case "fail":
                task.written["drift"] = drift_of(post, self._clock.precise())
                message = "The post was edited at the site since it was published"
                raise PlatformError(ErrorClass.CONFLICT, "remote_edited", message)
            case "skip":
                return True
        self._results.note(task, "update", "remote_edit_overwritten")
        return False

    # 6, 7

    def _announce(self, draft: _Draft, action: str) -> None:
        identity = draft.identity
        self._results.announce(
            draft.task, action, slug=identity.slug, ref=identity.ref, payload_hash=draft.digest
        )

    def _create(self, draft: _Draft) -> Result:
        task, payload = draft.task, self._payload(draft)
        self._announce(draft, "create")
        task.creates, task.post = True, None
        try:
            post = task.platform.create(payload, draft.identity)
        except PlatformError as error:
            self._resync_after(draft, error, "create")
            # Some sites refuse what they have made half of.
            kept = self._finder.ours(task, draft.identity)
            return self._create(draft) if kept is None else self._update(draft, kept)
        task.creates = False
        task.found(post)
        if Mismatch.SLUG in post.mismatches:
            # Ours may have been there; it may as well be somebody else's.
            kept = self._finder.ours(task, draft.identity)
            if kept is not None and kept.id != post.id:
                task.found(kept)
                return self._update(draft, kept)
        return self._compared(draft, post, "created")

    def _update(self, draft: _Draft, post: RemotePost) -> Result:
        answer = self._written(draft, post)
        if answer is None:
            # It went away while we were at it.
            found = self._gone(draft)
            if found is None:
                return self._create(draft)
            answer = self._there(self._written(draft, found))
        draft.task.found(answer)
        return self._compared(draft, answer, "updated")

    def _written(self, draft: _Draft, post: RemotePost) -> RemotePost | None:
        task, payload = draft.task, self._payload(draft, post)
        self._announce(draft, "update")
        try:
            return written_fresh(
                task,
                post,
                lambda fresh: task.platform.update(fresh, payload, draft.identity),
                lambda found: not self._keeps_edit(task, found),
                is_ours=partial(self._finder.is_ours, task, identity=draft.identity),
            )
        except PlatformError as error:
            self._resync_after(draft, error, "update")
        return self._written(draft, post)

    def _resync_after(self, draft: _Draft, error: PlatformError, action: str) -> None:
        """Ask the site what it has, where a write was refused for a file or a term that it misses.

        Raises:
            PlatformError: the one given, if it says something else, or the site was asked before.
        """
        if error.error_class not in OF_LEDGERS or draft.is_resynced:
            raise error
        draft.task.creates = False
        is_file = error.error_class == ErrorClass.MEDIA
        text = error.message[:MESSAGE_LENGTH]
        more = {"class": error.error_class, "code": error.code, "message": text}
        self._results.note(draft.task, action, "resynced", **more)
        self._resync(draft, files=is_file, terms=not is_file)

    def _resync(self, draft: _Draft, *, files: bool, terms: bool) -> None:
        draft.is_resynced = True
        self._prepare(draft, distrust=files, resync=terms)

    def _there(self, post: RemotePost | None) -> RemotePost:
        if post is None:
            message = "The post is removed from the site again and again"
            raise PlatformError(ErrorClass.NOT_FOUND, GONE, message)
        return post

    # 8, 9

    def _compared(self, draft: _Draft, post: RemotePost, outcome: str) -> Result:
        """Compare an answer with what was sent; what is missing is sent once more.

        Raises:
            PlatformError: it is missing then, too.
        """
        missing = post.mismatches.keys() - {Mismatch.SLUG}
        if missing and not draft.is_resynced:
            self._resync(draft, files=Mismatch.MEDIA in missing, terms=Mismatch.TERMS in missing)
            post = self._there(self._written(draft, post))
            draft.task.found(post)
        if problem := _problem(post.mismatches):
            raise problem
        looks_again = self._supersession.concerns(draft.task, draft.item)
        return self._results.published(
            draft.task, post, outcome, draft.digest, looks_again=looks_again
        )


def _problem(mismatches: Mapping[Mismatch, Any]) -> PlatformError | None:
    """Return the error of an answer that differs from what was sent twice."""
    for kind, error_class, code, what in (
        (Mismatch.MEDIA, ErrorClass.MEDIA, "media_not_attached", "these files"),
        (Mismatch.TERMS, ErrorClass.TAXONOMY, "term_mismatch", "these terms"),
        (Mismatch.STATE, ErrorClass.CONFIG, "state_mismatch", "the state"),
    ):
        if kind in mismatches:
            names = ", ".join(str(name) for name in mismatches[kind])
            return PlatformError(error_class, code, f"The site did not take {what}: {names}")
    return None

"""Items as wishes go by them: which piece of content they are, and what their state asks for."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pymongo.database import Database

from apps.archive.visibility import FIELDS as RULE_FIELDS
from apps.archive.visibility import check_may_see, hidden_stages, may_see
from apps.core.caller import Caller
from apps.core.clock import moment_of
from apps.core.documents import number_of, object_of, text_of
from apps.core.embargo import embargo_of
from apps.core.service import Document
from apps.core.vocabulary import MEDIA_TYPES, TEXT_TYPES, ItemType, State
from apps.publisher.schema import WishAction
from apps.store.collections import ARCHIVE, ARCHIVED, PUBLISHED, PUBLISHING_RECORDS

SHOWN = frozenset({State.PUBLISHED, State.CORRECTED})
"""States of items that readers see in their newest version."""
KILLED = frozenset({State.KILLED, State.RECALLED})
WITHDRAWN = KILLED | {State.UNPUBLISHED}

FIELDS = dict.fromkeys(
    (
        *("item_id", "state", "_current_version", "publish_sequence_no", "type"),
        *("embargo", "embargoed", "publish_schedule", "schedule_settings"),
        *("rewrite_of", "rewritten_by", "task"),
    ),
    1,
)
LONGEST_CHAIN = 100
"""Rewrites of rewrites that are followed to the first story."""


@dataclass(frozen=True)
class Content:
    """An item, as its newest published version is.

    Attributes:
        kind: type of the item.
        was_out: it has been published, or will be by its schedule.
        is_expired: its time is over; its posts can be retracted, and nothing else.
        rewrite_of, rewritten_by: ids of the story that it updates, and of its update.
    """

    id: str
    state: str
    version: int | None
    was_out: bool = True
    hidden_until: datetime | None = None
    rewrite_of: str = ""
    rewritten_by: str = ""
    kind: str = ""
    is_expired: bool = False

    @classmethod
    def of(cls, row: Mapping[str, Any], now: datetime) -> "Content":
        """Return what a row of `published` says of its item."""
        return cls(
            id=str(row["item_id"]),
            state=text_of(row, "state"),
            version=number_of(row, "_current_version") or None,
            hidden_until=embargo_of(row, now),
            rewrite_of=text_of(row, "rewrite_of"),
            rewritten_by=text_of(row, "rewritten_by"),
            kind=text_of(row, "type"),
        )

    @property
    def is_shown(self) -> bool:
        """Whether readers may see the newest version now."""
        return self.was_out and self.state in SHOWN and self.hidden_until is None

    @property
    def shown_version(self) -> int | None:
        """The version that readers should see now; None for none."""
        return self.version if self.is_shown else None

    @property
    def is_withdrawn(self) -> bool:
        return self.was_out and self.state in WITHDRAWN

    @property
    def is_killed(self) -> bool:
        return self.was_out and self.state in KILLED

    @property
    def action(self) -> WishAction | None:
        """What the state of the item asks of sites; None for nothing."""
        if self.is_withdrawn:
            return WishAction.RETRACT
        return WishAction.PUBLISH if self.is_shown else None


def why_no_post(kind: str, options: Mapping[str, Any]) -> str | None:
    """Return why items of a type get no post of their own at a site; None where they do.

    Args:
        kind: type of the item.
        options: of the integration, defaults filled in.
    """
    if kind in TEXT_TYPES or (kind == ItemType.COMPOSITE and options.get("packages", True)):
        return None
    if kind in MEDIA_TYPES:
        return f"An item of type {kind} goes to sites with the stories that show it"
    return f"Items of type {kind} are not published at this site"


def schedule_of(item: Mapping[str, Any]) -> datetime | None:
    """Return when a scheduled item goes out."""
    settings = object_of(item, "schedule_settings")
    return moment_of(settings.get("utc_publish_schedule") or item.get("publish_schedule"))


class Contents:
    """Looks up items by what went out of them.

    Args:
        now: the current time.
    """

    def __init__(self, db: Database[Document], now: Callable[[], datetime]) -> None:
        self._db = db
        self._now = now

    def newest_rows(self, ids: Iterable[str]) -> dict[str, Document]:
        """Return the newest published row of each item, by the item's id; one command."""
        wanted = list(dict.fromkeys(ids))
        last = {"item_id": {"$in": wanted}, "last_published_version": True}
        newest: dict[str, Document] = {}
        for row in self._db[PUBLISHED].find(last, FIELDS) if wanted else ():
            known = newest.get(row["item_id"])
            order = number_of(row, "publish_sequence_no")
            if known is None or order > number_of(known, "publish_sequence_no"):
                newest[row["item_id"]] = row
        return newest

    def find(self, ids: Iterable[str], caller: Caller) -> dict[str, tuple[Content, Document]]:
        """Return the items that the caller may know of, each with its row, by id.

        One command, a second one where items were never published, two more where they are not
        there at all, and one for callers from whom a stage is hidden.
        """
        wanted, now = list(dict.fromkeys(ids)), self._now()
        rows = self.newest_rows(wanted)
        found = {id_: (Content.of(row, now), row) for id_, row in rows.items()}
        missing = [id_ for id_ in wanted if id_ not in rows]
        if missing:
            for item in self._db[ARCHIVE].find({"_id": {"$in": missing}}):
                if may_see(item, caller):
                    state = text_of(item, "state")
                    kind = text_of(item, "type")
                    known = Content(item["_id"], state, None, was_out=False, kind=kind)
                    found[item["_id"]] = (known, item)
        for id_ in self.hidden(found, caller):
            del found[id_]
        if missing := [id_ for id_ in missing if id_ not in found]:
            found |= self._expired(missing, caller)
        return found

    def _expired(self, ids: Sequence[str], caller: Caller) -> dict[str, tuple[Content, Document]]:
        """Return those of the items that have expired, and of which something is left."""
        found: dict[str, tuple[Content, Document]] = {}
        rows = self._db[ARCHIVED].find({"item_id": {"$in": list(ids)}})
        last = {row["item_id"]: row for row in rows.sort("_current_version", 1)}
        for id_, row in last.items():
            if may_see(row, caller):
                found[id_] = (_expired(id_, row), row)
        gone: Document = {"content": {"$in": [id_ for id_ in ids if id_ not in last]}}
        if caller.user is not None:
            gone["account"] = caller.account
        for record in self._db[PUBLISHING_RECORDS].find(gone, {"content": 1}):
            found[record["content"]] = (_expired(record["content"], {}), {})
        return found

    def check_may_see(self, ids: Sequence[str], caller: Caller) -> None:
        """Refuse a request that names items which the caller may not see; one command.

        Raises:
            Forbidden: it does.
        """
        if caller.user is None or not ids:
            return
        named = {"_id": {"$in": list(ids)}}
        for item in self._db[ARCHIVE].find(named, dict.fromkeys(RULE_FIELDS, 1)):
            check_may_see(item, caller)

    def hidden(self, ids: Iterable[str], caller: Caller) -> set[str]:
        """Return those of the ids whose items stand on stages that are hidden from the caller."""
        hidden, wanted = hidden_stages(caller), list(ids)
        if not hidden or not wanted:
            return set()
        on_stage = {"_id": {"$in": wanted}, "task.stage": {"$in": list(hidden)}}
        return {item["_id"] for item in self._db[ARCHIVE].find(on_stage, {"_id": 1})}

    def key_of(self, content: Content, options: Mapping[str, Any]) -> str:
        """Return the identity of a piece of content: its item, or the first of its chain.

        Args:
            options: of the integration, defaults filled in.
        """
        if options.get("rewrite_policy") != "update_post":
            return content.id
        first, earlier = content.id, content.rewrite_of
        for _ in range(LONGEST_CHAIN):
            if not earlier:
                break
            first = earlier
            earlier = text_of(self._story(first), "rewrite_of")
        return first

    def _story(self, id_: str) -> Document:
        """Return what is known of a member of a chain, which may have expired."""
        for name, field in ((PUBLISHED, "item_id"), (ARCHIVE, "_id"), (ARCHIVED, "item_id")):
            if story := self._db[name].find_one({field: id_}, {"rewrite_of": 1}):
                return story
        return {}

    def is_outdated(self, content: Content, options: Mapping[str, Any]) -> bool:
        """Whether a site shows a later member of the chain in the place of this one."""
        if options.get("rewrite_policy") != "update_post" or not content.rewritten_by:
            return False
        row = self.newest_rows([content.rewritten_by]).get(content.rewritten_by)
        return row is not None and row.get("state") in SHOWN


def _expired(id_: str, row: Mapping[str, Any]) -> Content:
    """Return an item that has expired.

    Args:
        row: what is left of it in `archived`; empty for nothing.
    """
    return Content(
        id=id_,
        state=text_of(row, "state"),
        version=number_of(row, "_current_version") or None,
        was_out=False,
        rewrite_of=text_of(row, "rewrite_of"),
        kind=text_of(row, "type"),
        is_expired=True,
    )

"""What is looked after before each run: rows of deliveries that wait, and schedules of items."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog
from pymongo.database import Database

from apps.core.clock import Clock
from apps.core.documents import number_of, text_of
from apps.core.embargo import embargo_of
from apps.core.errors import Conflict
from apps.core.ids import object_id
from apps.core.service import Document
from apps.core.vocabulary import State
from apps.publish.queue.handed_over import HandedOverRows
from apps.publisher.integrations.platforms import Platforms
from apps.publisher.records.content import Contents, schedule_of
from apps.publisher.records.wishes import Wish, Wishes, has_ended
from apps.publisher.run.results import Result
from apps.publisher.schema import WishAction
from apps.store.collections import PUBLISHER_INTEGRATIONS, PUBLISHING_RECORDS
from transmitters.cms.base import RetractMode

log = structlog.get_logger(__name__)

PAGE = 500
FIELDS = dict.fromkeys(("phase", "next_attempt_at", "remote_state", "status"), 1)
PUBLISHES = [WishAction.PUBLISH, WishAction.UPDATE]
AS_DRAFT = (RetractMode.DRAFT, RetractMode.UNPUBLISH)


class OpenRows:
    """Calls rows of the delivery queue back whose records have ended.

    Args:
        db: the database.
        rows: the rows that wait.
        wake_up: starts the transmit run.
    """

    def __init__(
        self, db: Database[Document], rows: HandedOverRows, wake_up: Callable[[], None]
    ) -> None:
        self._records = db[PUBLISHING_RECORDS]
        self._rows = rows
        self._wake_up = wake_up

    def tell(self, record: Mapping[str, Any], result: Result) -> None:
        """Call back what waits for a record that has an outcome; one command for most."""
        if result != Result.WAITING and has_ended(record):
            self._call_back([str(record["_id"])])

    def run(self) -> int:
        """Look at rows that nobody has called back yet; return how many were.

        Their records have ended before they were handed over, or a process died in between, or the
        records are gone. One command where no row is to be looked at.
        """
        rows = self._rows.to_look_at()
        if not rows:
            return 0
        owners = {row["_id"]: text_of(row["handed_over"], "to") for row in rows}
        ids = set(owners.values())
        query = {"_id": {"$in": [object_id(id_) for id_ in sorted(ids)]}}
        open_records = {
            str(record["_id"])
            for record in self._records.find(query, FIELDS)
            if not has_ended(record)
        }
        self._rows.put_off([row for row in rows if owners[row["_id"]] in open_records])
        return self._call_back(sorted(ids - open_records))

    def _call_back(self, records: Sequence[str]) -> int:
        count = self._rows.call_back(records) if records else 0
        if count:
            self._wake_up()
        return count


class Schedules:
    """Lets posts that wait for their time follow their items: taken back, or scheduled anew.

    Args:
        contents: looks up items.
        platforms: know the options of integrations, and how posts are taken back.
        wishes: makes wishes.
    """

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        contents: Contents,
        platforms: Platforms,
        wishes: Wishes,
    ) -> None:
        self._records = db[PUBLISHING_RECORDS]
        self._integrations = db[PUBLISHER_INTEGRATIONS]
        self._clock = clock
        self._contents = contents
        self._platforms = platforms
        self._wishes = wishes

    def run(self) -> int:
        """Look at what waits; return how many wishes were made. One command where nothing does."""
        # An index has these alone.
        planned = {"scheduled_at": {"$type": "date"}}
        found = self._records.find(
            {**planned, "desired.action": {"$in": PUBLISHES}}, batch_size=PAGE
        )
        count, page = 0, []
        for record in found:
            page.append(record)
            if len(page) == PAGE:
                count += self._follow_all(page)
                page = []
        return count + self._follow_all(page)

    def _follow_all(self, records: Sequence[Document]) -> int:
        waiting = [record for record in records if not has_ended(record)]
        rows = self._contents.newest_rows(record["content"] for record in waiting)
        return sum(self._follow(record, rows.get(record["content"])) for record in waiting)

    def _follow(self, record: Document, row: Mapping[str, Any] | None) -> bool:
        """Let a record follow its item; whether that took a wish."""
        wish = self._wish(record, row)
        if wish is None:
            return False
        try:
            self._wishes.make_for(record, wish)
        except Conflict:
            # It is looked at again before the next run.
            log.warning("publisher.schedule_not_followed", record=str(record["_id"]))
            return False
        return True

    def _wish(self, record: Mapping[str, Any], row: Mapping[str, Any] | None) -> Wish | None:
        if row is None:
            return Wish(WishAction.RETRACT, mode=self._mode(record))
        if row.get("state") != State.SCHEDULED:
            return None
        now, wanted = self._clock.now(), record["desired"]
        times = [at for at in (schedule_of(row), embargo_of(row, now)) if at is not None]
        due, version = max(times, default=now), number_of(row, "_current_version") or None
        planned = wanted.get("schedule_at") or now
        if due <= now or (version == wanted.get("version") and due <= planned):
            return None
        integration = self._integrations.find_one({"_id": record["integration"]})
        if integration is None:
            return None
        is_early = self._platforms.options_of(integration).get("schedule_mode") == "remote"
        return Wish(WishAction.PUBLISH, version=version, schedule_at=due, is_sent_early=is_early)

    def _mode(self, record: Mapping[str, Any]) -> RetractMode | None:
        """Return how a post is taken back that nobody has seen: it becomes a draft again."""
        platform = self._platforms.registry.find(record["destination"])
        modes = platform.retract_modes if platform is not None else ()
        return next((mode for mode in AS_DRAFT if mode in modes), None)

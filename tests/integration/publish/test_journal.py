"""A publish action is whole or not there, whatever dies or competes between its writes."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from apps.archive.journal.journal import Journal
from apps.core.errors import PreconditionFailed
from apps.core.service import Document
from apps.graph.build import Graph
from apps.publish.content.common import BasePublishService
from tests.support.clients import Client
from tests.support.crashes import Crash, CrashingDatabase, each_write
from tests.support.dying import publish_services
from tests.support.newsdesk import Newsdesk
from tests.support.newsroom import push

NOWHERE = "http://127.0.0.1:9"
WRITES = 7
"""Item, autosave, version, history, three on `published`: the last flag, the schedule, the row."""


@pytest.fixture
def desk(desk: Newsdesk) -> Newsdesk:
    """The desk, with one subscriber that takes everything."""
    desk.newsroom.subscriber("s", push(NOWHERE))
    return desk


def dying_publisher(graph: Graph, before: int) -> BasePublishService:
    """Return the publish service of a process that dies before its write number `before`."""
    db: Any = CrashingDatabase(graph.db, before)
    return publish_services(graph, db=db, journal=Journal(db, graph.clock))["archive_publish"]


def die_publishing(graph: Graph, item: Document, before: int) -> None:
    with pytest.raises(Crash):
        dying_publisher(graph, before).patch(item["_id"], {"headline": "published"})


def by_tick(desk: Newsdesk, graph: Graph, item: Document) -> None:
    """The enqueue task comes by."""
    graph.clock.advance(seconds=6)  # type: ignore[attr-defined]
    graph.enqueue.run()


def by_next_write(desk: Newsdesk, graph: Graph, item: Document) -> None:
    """Somebody corrects the item; then the enqueue task comes by."""
    desk.act("correct", item, headline="corrected")
    graph.enqueue.run()


Finish = Callable[[Newsdesk, Graph, Document], None]


class TestCrash:
    @pytest.mark.parametrize("before", each_write(WRITES, first=2))
    @pytest.mark.parametrize(("finish", "version"), [(by_tick, 2), (by_next_write, 3)])
    def test_is_completed_once(
        self, desk: Newsdesk, graph: Graph, before: int, finish: Finish, version: int
    ) -> None:
        """Once the item is stored the action comes to its end: each row is there exactly once."""
        item = desk.story()
        die_publishing(graph, item, before)

        finish(desk, graph, item)

        versions = graph.db["archive_versions"].find({"_id_document": item["_id"]})
        assert sorted(v["_current_version"] for v in versions) == list(range(1, version + 1))
        published = list(
            graph.db["published"].find({"item_id": item["_id"]}).sort("publish_sequence_no", 1)
        )
        assert [row["_current_version"] for row in published] == list(range(2, version + 1))
        assert [row["last_published_version"] for row in published] == [
            row["_current_version"] == version for row in published
        ]
        history = graph.db["archive_history"].find({"item_id": item["_id"], "operation": "publish"})
        assert [row["version"] for row in history] == [2]
        assert [row["item_version"] for row in desk.rows()] == list(range(2, version + 1))
        assert desk.queue_states(item) == ["queued"] * (version - 1)
        stored = graph.db["archive"].find_one({"_id": item["_id"]})
        assert stored is not None
        assert stored.get("journal") is None

    def test_before_the_item_is_stored_nothing_happened(self, desk: Newsdesk, graph: Graph) -> None:
        """A process that dies before its first write leaves an item that can be published."""
        item = desk.story()
        die_publishing(graph, item, 1)

        by_tick(desk, graph, item)

        assert graph.db["published"].count_documents({}) == 0
        assert item["_etag"] == desk.client.etag_of(f"archive/{item['_id']}")
        assert desk.act("publish", item)["_current_version"] == 2

    @pytest.mark.parametrize("before", each_write(WRITES, first=2))
    def test_dying_again_while_completing_changes_nothing(
        self, desk: Newsdesk, graph: Graph, before: int
    ) -> None:
        """Whoever completes an action may die doing so; the next one completes it."""
        item = desk.story()
        die_publishing(graph, item, 2)
        with pytest.raises(Crash):
            Journal(CrashingDatabase(graph.db, before), graph.clock).complete(item["_id"])  # type: ignore[arg-type]

        by_tick(desk, graph, item)

        assert desk.queue_states(item) == ["queued"]
        assert graph.db["archive_versions"].count_documents({"_id_document": item["_id"]}) == 2
        assert graph.db["archive_history"].count_documents({"operation": "publish"}) == 1

    def test_is_left_alone_while_its_process_may_live(self, desk: Newsdesk, graph: Graph) -> None:
        """What was begun a moment ago is not taken for abandoned."""
        item = desk.story()
        die_publishing(graph, item, 2)

        assert graph.enqueue.run() == 0
        assert graph.db["published"].count_documents({}) == 0

    def test_a_save_is_completed_too(self, desk: Newsdesk, graph: Graph) -> None:
        """A save that died behind the item gets its version row; nothing is published."""
        item = desk.story()
        journal = Journal(graph.db, graph.clock)
        stored = graph.db["archive"].find_one({"_id": item["_id"]})
        assert stored is not None
        journal.store({"headline": "saved", "_current_version": 2}, stored, journal.note(2))

        by_tick(desk, graph, item)

        versions = desk.client.get(f"archive/{item['_id']}", version="all").get_json()["_items"]
        assert [v["headline"] for v in versions] == ["Rivers rise", "saved"]
        assert graph.db["published"].count_documents({}) == 0


class LateJournal(Journal):
    """A journal whose process is held up behind the first write of an action."""

    def __init__(self, graph: Graph, meanwhile: Callable[[], object]) -> None:
        super().__init__(graph.db, graph.clock)
        self._meanwhile = meanwhile

    def add_publication(self, *arguments: Any) -> None:
        self._meanwhile()
        super().add_publication(*arguments)


class TestCompetition:
    def test_a_publisher_that_wakes_up_late_undoes_nothing(
        self, desk: Newsdesk, graph: Graph
    ) -> None:
        """Others completed its action and corrected the item: theirs stays the last version."""
        item = desk.story()

        def meanwhile() -> None:
            desk.act("correct", item, headline="corrected")

        late = publish_services(graph, journal=LateJournal(graph, meanwhile))["archive_publish"]
        late.patch(item["_id"], {})

        rows = list(graph.db["published"].find({}).sort("publish_sequence_no", 1))
        assert [(row["_current_version"], row["last_published_version"]) for row in rows] == [
            (2, False),
            (3, True),
        ]
        graph.enqueue.run()
        assert [row["publishing_action"] for row in desk.rows()] == ["published", "corrected"]

    def test_a_publisher_that_wakes_up_late_keeps_a_new_schedule(
        self, desk: Newsdesk, graph: Graph
    ) -> None:
        """Only what was scheduled before an action is dropped by it."""
        item = desk.published()
        graph.enqueue.run()

        def meanwhile() -> None:
            desk.act("publish", item, publish_schedule="2030-01-01T13:00:00+0000")

        late = publish_services(graph, journal=LateJournal(graph, meanwhile))["archive_unpublish"]
        late.patch(item["_id"], {})

        assert desk.queue_states(item)[-1] == "pending"

    def test_one_of_many_wins(self, app: Any, desk: Newsdesk, graph: Graph) -> None:
        """Requests with one etag: one is 200, the others 412, and there is one row per winner."""
        item = desk.story()
        path = f"archive/publish/{item['_id']}"
        editors = [Client(app, desk.client.token) for _ in range(8)]

        with ThreadPoolExecutor(len(editors)) as threads:
            answers = list(threads.map(lambda e: e.patch(path, {}, etag=item["_etag"]), editors))

        codes = sorted(answer.status_code for answer in answers)
        assert codes == [200] + [412] * 7, [answer.text for answer in answers]
        assert graph.db["published"].count_documents({}) == 1
        assert graph.db["archive_versions"].count_documents({"_id_document": item["_id"]}) == 2

    def test_winners_of_many_rounds_leave_one_row_each(
        self, app: Any, desk: Newsdesk, graph: Graph
    ) -> None:
        """Corrections that race from the newest etag: versions and rows have no gap, no double."""
        item = desk.published()

        def correct(number: int) -> int:
            editor = Client(app, desk.client.token)
            path = f"archive/correct/{item['_id']}"
            return sum(
                editor.patch(path, {"headline": f"{number}-{r}"}).status_code == 200
                for r in range(5)
            )

        with ThreadPoolExecutor(4) as threads:
            won = sum(threads.map(correct, range(4)))
        graph.enqueue.run()

        versions = list(range(2, won + 3))
        rows = list(graph.db["published"].find({}).sort("publish_sequence_no", 1))
        assert [row["_current_version"] for row in rows] == versions
        assert [row["item_version"] for row in desk.rows()] == versions
        assert [r["_current_version"] for r in rows if r["last_published_version"]] == [won + 2]

    def test_a_write_of_what_has_changed_is_refused(self, desk: Newsdesk, graph: Graph) -> None:
        """The item as read must still be the item as stored."""
        item = desk.story()
        stored = graph.db["archive"].find_one({"_id": item["_id"]})
        desk.published()
        desk.act("publish", item)
        journal = Journal(graph.db, graph.clock)
        assert stored is not None

        with pytest.raises(PreconditionFailed):
            journal.store({"headline": "lost"}, stored, journal.note(2))

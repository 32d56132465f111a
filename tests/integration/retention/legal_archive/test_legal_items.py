"""The long-term archive of items (lifecycle contract 5.1 step 23, 5.14; resources contract 19)."""

from typing import Any

import pytest

from apps.core.service import Document
from apps.graph.build import Graph
from apps.retention.legal_archive.items import LegalItems
from apps.store.mongo import connect
from tests.support.clients import Client
from tests.support.commands import CommandCounter
from tests.support.crashes import Crash, CrashingDatabase, each_write
from tests.support.newsdesk import HandClock, Newsdesk

COLLECTIONS = ("legal_archive", "legal_archive_versions", "legal_archive_history")


def in_legal(desk: Newsdesk, item: Document) -> Document:
    """Return the item as the long-term archive shows it; fails the test unless it is there."""
    answer = desk.client.get(f"legal_archive/{item['_id']}")
    assert answer.status_code == 200, answer.text
    return dict(answer.get_json())


def counts(graph: Graph) -> dict[str, int]:
    return {name: graph.db[name].count_documents({}) for name in COLLECTIONS}


def moved(graph: Graph) -> list[bool]:
    rows = graph.db["published"].find({}).sort("publish_sequence_no", 1)
    return [row["moved_to_legal"] for row in rows]


def forget(graph: Graph) -> None:
    """Let the long-term archive lack what is published."""
    for name in COLLECTIONS:
        graph.db[name].delete_many({})
    graph.db["published"].update_many({}, {"$set": {"moved_to_legal": False}})


class TestImport:
    def test_a_published_item_is_there_with_names(self, desk: Newsdesk, graph: Graph) -> None:
        """Desk, stage and people are named; locks and etags are not kept."""
        graph.db["users"].update_many({}, {"$set": {"display_name": "Ada Bell"}})
        item = desk.published(headline="Rivers rise")

        kept = in_legal(desk, item)

        assert (kept["state"], kept["_current_version"], kept["_type"]) == (
            ("published", 2, "legal_archive")
        )
        assert (kept["task"]["desk"], kept["task"]["stage"]) == ("Sports", "Working")
        assert (kept["original_creator"], kept["version_creator"]) == ("Ada Bell", "Ada Bell")
        stored = graph.db["legal_archive"].find_one({"_id": item["_id"]}) or {}
        assert not {"_etag", "lock_user", "lock_session", "journal"} & set(stored)
        assert moved(graph) == [True]

    def test_all_versions_and_all_history_are_there(self, desk: Newsdesk, graph: Graph) -> None:
        """Also those from before the publication, each once."""
        item = desk.published()
        desk.act("correct", item, headline="Rivers fall")

        versions = desk.client.get(f"legal_archive/{item['_id']}", version="all").get_json()
        assert [v["_current_version"] for v in versions["_items"]] == [1, 2, 3]
        assert [v["headline"] for v in versions["_items"]][1:] == ["Rivers rise", "Rivers fall"]
        history = desk.client.get(
            "legal_archive_history", where=f'item_id=="{item["_id"]}"'
        ).get_json()["_items"]
        assert [row["operation"] for row in history] == ["create", "publish", "correct"]
        assert all(isinstance(row["user_id"], str) and row["user_id"] for row in history)
        assert history[0]["update"]["task"]["desk"] == "Sports"
        assert moved(graph) == [True, True]

    def test_versions_have_the_id_of_their_item(self, desk: Newsdesk) -> None:
        """`?_id=` filters by it."""
        one, _other = desk.published(), desk.published()

        rows = desk.client.get("legal_archive_versions", _id=one["_id"]).get_json()["_items"]

        assert [(row["_id"], row["_current_version"]) for row in rows] == [
            (one["_id"], 1),
            (one["_id"], 2),
        ]

    @pytest.mark.parametrize("operation", ["correct", "kill", "takedown", "unpublish"])
    def test_every_action_brings_its_version(self, desk: Newsdesk, operation: str) -> None:
        """The copy is the newest version that is out, or was withdrawn."""
        done = desk.act(operation, desk.published())

        kept = in_legal(desk, done)
        assert (kept["state"], kept["_current_version"]) == (done["state"], 3)

    def test_what_is_only_scheduled_is_not(
        self, desk: Newsdesk, graph: Graph, clock: HandClock
    ) -> None:
        """It comes when its hour has come."""
        item = desk.act("publish", desk.story(), publish_schedule="2030-01-01T13:00:00+0000")
        graph.legal_items.run()
        assert counts(graph)["legal_archive"] == 0

        clock.advance(minutes=61)
        graph.enqueue.run()

        kept = in_legal(desk, item)
        assert (kept["state"], kept["_current_version"]) == ("published", 3)

    def test_a_package_names_its_members_in_the_archive(self, desk: Newsdesk, graph: Graph) -> None:
        """Refs have the location `legal_archive`; members are imported, too."""
        member = desk.story()
        package = desk.story(
            type="composite",
            groups=[
                {"id": "root", "role": "grpRole:NEP", "refs": [{"idRef": "main"}]},
                {"id": "main", "role": "grpRole:main", "refs": [{"residRef": member["_id"]}]},
            ],
        )
        desk.act("publish", package)

        kept = in_legal(desk, package)
        assert kept["groups"][1]["refs"][0]["location"] == "legal_archive"
        assert in_legal(desk, member)["state"] == "published"

    def test_work_after_the_publication_stays_out(self, desk: Newsdesk, graph: Graph) -> None:
        """What was out is imported, not what an editor makes of it since."""
        item = desk.act("unpublish", desk.published())
        forget(graph)
        answer = desk.client.patch(f"archive/{item['_id']}", {"headline": "A draft"})
        assert answer.status_code == 200, answer.text

        graph.legal_items.run()

        kept = in_legal(desk, item)
        assert (kept["headline"], kept["state"]) == ("Rivers rise", "unpublished")
        assert kept["_current_version"] == 3

    def test_a_newer_copy_stays(self, desk: Newsdesk, graph: Graph) -> None:
        """An older row only gets its mark."""
        item = desk.published()
        desk.act("correct", item, headline="Rivers fall")
        graph.db["published"].update_one({"state": "published"}, {"$set": {"moved_to_legal": None}})

        assert graph.legal_items.run() == 1

        assert in_legal(desk, item)["headline"] == "Rivers fall"
        assert moved(graph) == [True, True]

    def test_a_row_without_versions_is_imported(self, desk: Newsdesk, graph: Graph) -> None:
        """Rows that others wrote get the one version that they are."""
        graph.db["published"].insert_one(
            {"item_id": "x", "type": "text", "state": "published", "headline": "From elsewhere"}
        )
        assert graph.legal_items.run() == 1

        assert in_legal(desk, {"_id": "x"})["headline"] == "From elsewhere"
        assert graph.db["legal_archive_versions"].count_documents({"_id_document": "x"}) == 1

    def test_one_that_cannot_be_imported_stops_no_other(self, desk: Newsdesk, graph: Graph) -> None:
        """It stays for the next run."""
        good = desk.published()
        forget(graph)
        graph.db["published"].insert_one({"item_id": "bad", "_current_version": "no number"})

        assert graph.legal_items.run() == 1

        assert in_legal(desk, good)["state"] == "published"
        bad = graph.db["published"].find_one({"item_id": "bad"}) or {}
        assert not bad.get("moved_to_legal")

    def test_pages_do_not_matter(self, desk: Newsdesk, graph: Graph) -> None:
        """However few rows are taken at once, all are imported."""
        for _ in range(3):
            desk.act("correct", desk.published())
        forget(graph)

        assert graph.legal_items.run(page_size=2) == 6
        assert graph.legal_items.run(page_size=2) == 0
        assert counts(graph)["legal_archive"] == 3

    def test_the_etag_of_a_row_stays(self, desk: Newsdesk, graph: Graph) -> None:
        """Being imported is no change that clients see."""
        desk.published()
        forget(graph)
        before = graph.db["published"].find_one() or {}

        graph.legal_items.run()

        after = graph.db["published"].find_one() or {}
        assert (after["_etag"], after["_updated"]) == (before["_etag"], before["_updated"])


WRITES = 9
"""Two versions, two rows of the history, the item, the mark of its row; the rest is no crash."""


@pytest.mark.parametrize("before", each_write(WRITES))
def test_an_import_that_dies_is_completed_by_the_next(
    desk: Newsdesk, graph: Graph, before: int
) -> None:
    """Nothing is missing, and nothing is there twice."""
    desk.published()
    expected = counts(graph)
    forget(graph)
    db: Any = CrashingDatabase(graph.db, before)
    try:
        LegalItems(db, db, is_on=True).run()
    except Crash:
        assert moved(graph) == [False]

    graph.legal_items.run()

    assert counts(graph) == expected
    assert moved(graph) == [True]


class TestReading:
    def test_needs_the_privilege(self, desk: Newsdesk, editor: Client, graph: Graph) -> None:
        """Of all four resources; nobody writes them."""
        item = desk.published()
        paths = (
            "legal_archive",
            f"legal_archive/{item['_id']}",
            "legal_archive_versions",
            "legal_archive_history",
            "legal_publish_queue",
        )
        assert {editor.get(path).status_code for path in paths} == {403}
        graph.db["users"].update_one(
            {"username": "editor"}, {"$set": {"privileges": {"legal_archive": 1}}}
        )
        assert {editor.get(path).status_code for path in paths} == {200}
        assert editor.post("legal_archive", {}).status_code == 405
        assert desk.client.delete(f"legal_archive/{item['_id']}").status_code == 405

    @pytest.mark.parametrize(
        ("query", "found"),
        [("RIVERS", 2), ("rise rivers", 1), ("rivers dry", 0), ("<p>", 2), ("picture", 1)],
    )
    def test_finds_items_by_their_words(self, desk: Newsdesk, query: str, found: int) -> None:
        """All words have to be in headline, slugline or description, in any case and order."""
        desk.published(headline="Rivers rise")
        desk.published(headline="Rivers fall", description_text="<p>A picture</p>")

        answer = desk.client.get("legal_archive", query=query).get_json()

        assert answer["_meta"]["total"] == found

    def test_does_not_show_how_it_searches(self, desk: Newsdesk) -> None:
        """The words that are kept for that are no field of the item."""
        assert "search_terms" not in in_legal(desk, desk.published())


class TestExpiry:
    def test_what_is_not_imported_stays(
        self, desk: Newsdesk, graph: Graph, clock: HandClock
    ) -> None:
        """Items and deliveries: both have to be there before anything goes."""
        item = desk.published()
        graph.enqueue.run()
        graph.transmit.run()
        clock.advance(minutes=61)
        assert graph.expiry.run() == 0
        stored = graph.db["archive"].find_one({"_id": item["_id"]}) or {}
        assert stored["expiry_status"] == "invalid"

        assert graph.legal_queue.run() == 1
        assert graph.expiry.run() == 1

        assert desk.client.get(f"archived/{item['_id']}:2").status_code == 200
        assert in_legal(desk, item)["state"] == "published"

    def test_what_was_done_since_is_kept(
        self, desk: Newsdesk, graph: Graph, clock: HandClock, admin: Client
    ) -> None:
        """History that no import has seen goes over before the item goes."""
        item = desk.published()
        admin.create(f"archive/{item['_id']}/lock", {"lock_action": "correct"})
        admin.create(f"archive/{item['_id']}/unlock", {})
        graph.enqueue.run()
        graph.transmit.run()
        graph.legal_queue.run()
        clock.advance(minutes=61)
        assert graph.expiry.run() == 1

        rows = list(graph.db["legal_archive_history"].find({"item_id": item["_id"]}))
        assert [row["operation"] for row in rows] == [
            "create",
            "publish",
            "item_lock",
            "item_unlock",
        ]
        assert rows[2]["update"]["lock_user"] == rows[2]["user_id"] == "admin"
        assert "lock_session" not in rows[2]["update"]

    def test_a_schedule_that_was_overtaken_holds_nothing(
        self, desk: Newsdesk, graph: Graph, clock: HandClock
    ) -> None:
        """Its row was never out, so it is not waited for."""
        item = desk.act("publish", desk.story(), publish_schedule="2030-01-01T12:30:00+0000")
        desk.act("kill", item)
        graph.enqueue.run()
        clock.advance(minutes=200)

        assert graph.expiry.run() == 1

    def test_a_kill_from_the_archive_is_imported(
        self, desk: Newsdesk, graph: Graph, clock: HandClock
    ) -> None:
        """Its version joins those that are there."""
        item = desk.published()
        graph.enqueue.run()
        graph.transmit.run()
        graph.legal_queue.run()
        clock.advance(minutes=61)
        assert graph.expiry.run() == 1

        row = desk.client.get(f"archived/{item['_id']}:2").get_json()
        answer = desk.client.patch(f"archived/{row['_id']}", {"operation": "kill"})

        assert answer.status_code == 200, answer.text
        assert in_legal(desk, item)["state"] == "killed"
        versions = desk.client.get(f"legal_archive/{item['_id']}", version="all").get_json()
        assert [v["_current_version"] for v in versions["_items"]] == [1, 2, 3]


class TestSwitchedOff:
    @pytest.fixture
    def settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        return {**settings, "LEGAL_ARCHIVE": False}

    @pytest.mark.parametrize(
        "path",
        [
            "legal_archive",
            "legal_archive_versions",
            "legal_archive_history",
            "legal_publish_queue",
            "legal_publish_queue/5f0000000000000000000000",
        ],
    )
    def test_the_resources_do_not_exist(self, desk: Newsdesk, path: str) -> None:
        assert desk.client.get(path).status_code == 404

    def test_nothing_is_imported_and_nothing_waits(
        self, desk: Newsdesk, graph: Graph, clock: HandClock
    ) -> None:
        desk.published()
        graph.enqueue.run()
        graph.transmit.run()

        assert (graph.legal_items.run(), graph.legal_queue.run()) == (0, 0)
        assert set(counts(graph).values()) == {0}
        clock.advance(minutes=61)
        assert graph.expiry.run() == 1


def test_the_cost_does_not_grow_with_the_items(desk: Newsdesk, graph: Graph) -> None:
    """A page of items is imported with as many commands as one; an idle run takes one."""
    commands = CommandCounter()
    db = connect(graph.settings, [commands])

    def cost(items: int) -> int:
        for _ in range(items):
            desk.published()
        forget(graph)
        commands.count = 0
        LegalItems(db, db, is_on=True).run()
        return commands.count

    with db.client:
        one, many = cost(1), cost(8)
        commands.count = 0
        LegalItems(db, db, is_on=True).run()
        assert (many, commands.count) == (one, 1)

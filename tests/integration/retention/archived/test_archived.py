"""Archived items at the HTTP edge (lifecycle contract 3.10, 5.12)."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from apps.archive.journal.journal import Journal
from apps.core.service import Document
from apps.graph.build import Graph
from apps.retention.archived.service import ArchivedService
from tests.support.clients import Client
from tests.support.crashes import Crash, CrashingDatabase, each_write
from tests.support.events import Events
from tests.support.mailbox import Mailbox
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.newsroom import file_in


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with Mailbox() as box:
        yield box


@pytest.fixture
def settings(settings: dict[str, Any], mailbox: Mailbox) -> dict[str, Any]:
    """Mail goes to the mailbox."""
    return {**settings, "MAIL_SERVER": "127.0.0.1", "MAIL_PORT": mailbox.port}


@pytest.fixture
def desk(desk: Newsdesk, tmp_path: Path) -> Newsdesk:
    """The desk, with two subscribers that take everything."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        desk.newsroom.subscriber(name, file_in(tmp_path / name), email=f"desk@{name}.example")
    return desk


def archived(desk: Newsdesk, graph: Graph, clock: HandClock, **fields: Any) -> Document:
    """Publish and correct a story and let it expire; return its newest row as a client sees it."""
    item = desk.published(**fields)
    desk.act("correct", item, headline="Rivers fall")
    clock.advance(minutes=61)
    assert graph.expiry.run() == 1
    return dict(desk.client.get(f"archived/{item['_id']}:3").get_json())


def by_subscriber(desk: Newsdesk, **wanted: Any) -> set[ObjectId]:
    return {row["subscriber_id"] for row in desk.rows(**wanted)}


@pytest.mark.parametrize(("operation", "state"), [("kill", "killed"), ("takedown", "recalled")])
def test_withdrawal_brings_the_item_back(
    desk: Newsdesk, graph: Graph, clock: HandClock, mailbox: Mailbox, operation: str, state: str
) -> None:
    """Item and row are back with the next version, everybody who had it is told.

    Lifecycle scenario 75.
    """
    row = archived(desk, graph, clock)
    graph.db["subscribers"].update_one({"name": "two"}, {"$set": {"is_active": False}})
    desk.newsroom.subscriber("new", file_in("/nowhere"), email="same@one.example")
    answer = desk.client.patch(
        f"archived/{row['_id']}",
        {"operation": operation, "headline": "Stop", "body_html": "<p>No</p>"},
    )
    assert answer.status_code == 200, answer.text

    item = desk.client.get(f"archive/{row['item_id']}").get_json()
    assert (state, operation, "canceled", 4) == tuple(
        item[f] for f in ("state", "operation", "pubstatus", "_current_version")
    )
    assert item["headline"] == "Stop"
    assert item["body_html"].startswith(f"<p>Please {operation} story slugged rivers headlined")
    assert item["body_html"].endswith("<p>No</p>")
    (published,) = graph.db["published"].find({})
    assert (state, 4, "queued") == tuple(
        published[f] for f in ("state", "_current_version", "queue_state")
    )
    had = {s["_id"] for s in graph.db["subscribers"].find({"name": {"$in": ["one", "two"]}})}
    assert had == by_subscriber(desk, publishing_action=state)
    assert graph.db["archived"].count_documents({}) == 0
    (to,) = mailbox.recipients
    assert sorted(to) == ["desk@one.example", "desk@two.example", "same@one.example"]
    assert mailbox.received[0][1]["Subject"] == "Stop"
    versions = graph.db["archive_versions"].find({"_id_document": row["item_id"]})
    assert [4] == [version["_current_version"] for version in versions]


def test_clients_are_told(
    desk: Newsdesk, graph: Graph, clock: HandClock, settings: dict[str, Any]
) -> None:
    """A kill pushes `item:deleted:archived`."""
    row = archived(desk, graph, clock)
    with Events(settings["REDIS_URL"], settings["NOTIFICATION_CHANNEL"]) as events:
        desk.client.patch(f"archived/{row['_id']}", {"operation": "kill"})
        (told,) = events.named("item:deleted:archived")
    assert told["item"] == row["item_id"]


def test_archived_only(desk: Newsdesk, graph: Graph, clock: HandClock, mailbox: Mailbox) -> None:
    """Lifecycle scenario 75: an item marked so is deleted and mailed about, nothing else."""
    row = archived(desk, graph, clock, flags={"marked_archived_only": True})
    answer = desk.client.patch(f"archived/{row['_id']}", {"operation": "kill"})
    assert answer.status_code == 200, answer.text
    for collection in ("archived", "archive", "published", "publish_queue"):
        assert graph.db[collection].count_documents({}) == 0, collection
    assert len(mailbox.received) == 1


def test_without_operation(desk: Newsdesk, graph: Graph, clock: HandClock) -> None:
    """A PATCH that says nothing to do is 400 in envelope E."""
    row = archived(desk, graph, clock)
    for body in ({"headline": "x"}, {"operation": "correct"}):
        answer = desk.client.patch(f"archived/{row['_id']}", body)
        assert answer.status_code == 400
        assert answer.get_json()["_error"]["code"] == 400
    assert graph.db["archived"].count_documents({}) == 2


def test_item_in_production_is_not_replaced(desk: Newsdesk, graph: Graph, clock: HandClock) -> None:
    """An archived row of an item that is in production kills nothing."""
    row = archived(desk, graph, clock)
    graph.db["archive"].insert_one({"_id": row["item_id"], "headline": "alive"})
    answer = desk.client.patch(f"archived/{row['_id']}", {"operation": "kill"})
    assert answer.status_code == 400
    assert "available in production" in answer.text


@pytest.mark.parametrize("before", each_write(10))
def test_crash(
    desk: Newsdesk, graph: Graph, clock: HandClock, mailbox: Mailbox, before: int
) -> None:
    """A kill that dies at any write either did nothing or is completed, once."""
    row = archived(desk, graph, clock)
    stored = graph.retention.services["archived"].find(ObjectId(row["_id"]))
    dying: Any = CrashingDatabase(graph.db, before)
    collaborators = graph.publishing.collaborators
    service = ArchivedService(replace(collaborators, db=dying, journal=Journal(dying, clock)))
    try:
        service.patch(stored["_id"], {"operation": "kill", "headline": "Stop"})
    except Crash:
        clock.advance(seconds=6)
        graph.enqueue.run()
        graph.outbox.run()
    if graph.db["archived"].count_documents({}):
        assert graph.db["archive"].count_documents({}) == 0
        assert mailbox.received == []
        assert desk.client.patch(f"archived/{row['_id']}", {"operation": "kill"}).status_code == 200
    assert graph.db["published"].count_documents({"state": "killed"}) == 1
    assert len(desk.rows(publishing_action="killed")) == 2
    assert graph.db["archived"].count_documents({}) == 0
    assert len(mailbox.received) == 1


class TestTakes:
    """A story in parts, archived by Superdesk, with a package around them."""

    TEXTS = ("one", "two", "three")

    @pytest.fixture
    def rows(self, desk: Newsdesk, graph: Graph, clock: HandClock) -> list[Document]:
        """Store two versions of each take and of the package; the old package held one take."""
        link = [{"package": "package", "package_type": "takes"}]
        rows: list[Document] = []
        for version, taken in ((2, self.TEXTS[:1]), (3, self.TEXTS)):
            refs = [
                {"residRef": id_, "type": "text", "location": "archived", "_current_version": 3}
                for id_ in taken
            ]
            groups = [{"id": "root", "refs": [{"idRef": "main"}]}, {"id": "main", "refs": refs}]
            texts = [{"item_id": id_, "type": "text", "linked_in_packages": link} for id_ in taken]
            package = {"item_id": "package", "type": "composite", "groups": groups}
            rows += [
                {
                    "state": "published",
                    "headline": f"Story {row['item_id']}",
                    "slugline": row["item_id"],
                    "guid": row["item_id"],
                    "task": desk.newsroom.task,
                    "_updated": clock.now(),
                    "_current_version": version,
                    "archived_id": f"{row['item_id']}:{version}",
                    **row,
                }
                for row in (*texts, {**package, "package_type": "takes"})
            ]
        graph.db["archived"].insert_many(rows)
        return rows

    @pytest.fixture
    def had(self, graph: Graph, rows: list[Document]) -> dict[str, ObjectId]:
        """Let the long-term archive know who had what: `one` the texts, `two` the package."""
        found = {s["name"]: s["_id"] for s in graph.db["subscribers"].find({})}
        graph.db["legal_publish_queue"].insert_many(
            {
                "item_id": id_,
                "item_version": 3,
                "publishing_action": "published",
                "subscriber_id": name,
                "_subscriber_id": str(found[name]),
            }
            for name, ids in (("one", self.TEXTS), ("two", ("package",)))
            for id_ in ids
        )
        return found

    def act(self, desk: Newsdesk, named: str, **body: Any) -> Any:
        """Kill what is archived under `<item>:<version>`, at the address that its row gives."""
        row = desk.client.get(f"archived/{named}").get_json()
        return desk.client.patch(row["_links"]["self"]["href"], {"operation": "kill", **body})

    def killed(self, graph: Graph) -> dict[str, tuple[str, int]]:
        return {i["_id"]: (i["state"], i["_current_version"]) for i in graph.db["archive"].find()}

    @pytest.mark.parametrize("addressed", ["one:2", "two:3", "package:3"])
    def test_all_are_killed(
        self,
        desk: Newsdesk,
        graph: Graph,
        mailbox: Mailbox,
        had: dict[str, ObjectId],
        addressed: str,
    ) -> None:
        """Whichever is addressed: all come back, each is mailed about and goes to who had it."""
        answer = self.act(desk, addressed, body_html="<p>No</p>")
        assert answer.status_code == 200, answer.text

        assert dict.fromkeys((*self.TEXTS, "package"), ("killed", 4)) == self.killed(graph)
        assert graph.db["archived"].count_documents({}) == 0
        everybody = ["desk@one.example", "desk@two.example"]
        assert [everybody] * 4 == mailbox.recipients
        said = "".join(message.get_content() for _, message in mailbox.received)
        assert all(f"Please kill story slugged {id_} " in said for id_ in (*self.TEXTS, "package"))
        for id_, name in (*((id_, "one") for id_ in self.TEXTS), ("package", "two")):
            rows = desk.rows(item_id=id_, publishing_action="killed")
            assert [had[name]] == [row["subscriber_id"] for row in rows], id_
            item = desk.client.get(f"archive/{id_}").get_json()
            assert item["body_html"].endswith("<p>No</p>")
        refs = item["groups"][1]["refs"]
        assert [("archive", 4)] * 3 == [(r["location"], r["_current_version"]) for r in refs]
        (last,) = graph.db["published"].find({}).sort("publish_sequence_no", -1).limit(1)
        assert last["item_id"] == "package"

    def test_clients_are_told_of_each(
        self, desk: Newsdesk, rows: list[Document], settings: dict[str, Any]
    ) -> None:
        """`item:deleted:archived` for every item that has left."""
        with Events(settings["REDIS_URL"], settings["NOTIFICATION_CHANNEL"]) as events:
            self.act(desk, "two:3", operation="takedown")
            told = events.named("item:deleted:archived")
        assert {*self.TEXTS, "package"} == {each["item"] for each in told}

    def test_archived_only(
        self, desk: Newsdesk, graph: Graph, mailbox: Mailbox, rows: list[Document]
    ) -> None:
        """All go, each with a mail; rows that nobody gave an id of the archive, too."""
        only = {"flags": {"marked_archived_only": True}}
        graph.db["archived"].update_many({}, {"$set": only})
        nameless = {"item_id": "three", "_current_version": 3}
        graph.db["archived"].update_one(nameless, {"$unset": {"archived_id": 1}})
        assert self.act(desk, "one:3").status_code == 200
        assert graph.db["archived"].count_documents({}) == 0
        assert self.killed(graph) == {}
        assert len(mailbox.received) == 4

    def test_a_take_in_production(
        self, desk: Newsdesk, graph: Graph, mailbox: Mailbox, rows: list[Document]
    ) -> None:
        """It has to be withdrawn there first; then the others are."""
        graph.db["archive"].insert_one({"_id": "two", "type": "text", "state": "published"})
        refused = self.act(desk, "one:3")
        assert "available in production" in refused.text
        assert (refused.status_code, mailbox.received) == (400, [])
        assert graph.db["archived"].count_documents({}) == len(rows)

        graph.db["archive"].update_one({"_id": "two"}, {"$set": {"state": "killed"}})
        assert self.act(desk, "one:3").status_code == 200
        assert len(mailbox.received) == 3

    def test_a_plain_package_stays(
        self, desk: Newsdesk, graph: Graph, mailbox: Mailbox, rows: list[Document]
    ) -> None:
        """Only a takes package goes with what is in it."""
        link = {"linked_in_packages": [{"package": "package"}]}
        graph.db["archived"].update_many({"type": "text"}, {"$set": link})
        assert self.act(desk, "one:3").status_code == 200
        assert {"one": ("killed", 4)} == self.killed(graph)
        assert len(mailbox.received) == 1

    @pytest.mark.parametrize("before", each_write(24))
    def test_crash(
        self,
        desk: Newsdesk,
        graph: Graph,
        clock: HandClock,
        mailbox: Mailbox,
        had: dict[str, ObjectId],
        before: int,
    ) -> None:
        """A kill that dies at any write did nothing, or is completed: each is mailed about once."""
        row = graph.db["archived"].find_one({"archived_id": "two:3"})
        dying: Any = CrashingDatabase(graph.db, before)
        collaborators = graph.publishing.collaborators
        service = ArchivedService(replace(collaborators, db=dying, journal=Journal(dying, clock)))
        body = {"operation": "kill", "headline": "Stop"}
        try:
            service.patch(row["_id"] if row else None, dict(body))
        except Crash:
            # What the first run completes has others follow.
            for _ in range(2):
                clock.advance(seconds=6)
                graph.enqueue.run()
            graph.outbox.run()
        if graph.db["archived"].count_documents({"item_id": "two"}):
            assert (self.killed(graph), mailbox.received) == ({}, [])
            assert self.act(desk, "two:3", **body).status_code == 200
        assert dict.fromkeys((*self.TEXTS, "package"), ("killed", 4)) == self.killed(graph)
        assert len(desk.rows(publishing_action="killed")) == 4
        assert graph.db["archived"].count_documents({}) == 0
        assert len(mailbox.received) == 4


class TestDelete:
    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"type": "picture"}, "Only Text articles are allowed to be Killed in Archived repo"),
            (
                {"genre": [{"name": "Broadcast Script", "qcode": "b"}]},
                "Killing of Broadcast Items isn't allowed in Archived repo",
            ),
            (
                {"linked_in_packages": [{"package": "p"}]},
                "Can't kill as article is part of a Package",
            ),
        ],
    )
    def test_refusals(
        self, desk: Newsdesk, graph: Graph, clock: HandClock, fields: Document, message: str
    ) -> None:
        """DELETE says what stands in the way of a kill."""
        row = archived(desk, graph, clock)
        graph.db["archived"].update_many({}, {"$set": fields})
        answer = desk.client.delete(f"archived/{row['_id']}")
        assert (400, message) == (answer.status_code, answer.get_json()["_message"])

    def test_master_of_a_broadcast(self, desk: Newsdesk, graph: Graph, clock: HandClock) -> None:
        """The story behind a broadcast script cannot be killed."""
        row = archived(desk, graph, clock)
        script = {"genre": [{"name": "Broadcast Script"}]}
        graph.db["archive"].insert_one(
            {"_id": "script", "broadcast": {"master_id": row["item_id"]}, **script}
        )
        answer = desk.client.delete(f"archived/{row['_id']}")
        assert "Master Story" in answer.get_json()["_message"]

    def test_removes_nothing(self, desk: Newsdesk, graph: Graph, clock: HandClock) -> None:
        """DELETE of what could be killed is 204, and the row stays."""
        row = archived(desk, graph, clock)
        assert desk.client.delete(f"archived/{row['_id']}").status_code == 204
        assert graph.db["archived"].count_documents({}) == 2


class TestAccess:
    def test_privilege(
        self, desk: Newsdesk, graph: Graph, clock: HandClock, editor: Client
    ) -> None:
        """Reading needs no privilege, a kill and a deletion need `archived`."""
        row = archived(desk, graph, clock)
        assert len(editor.get("archived").get_json()["_items"]) == 2
        path, etag = f"archived/{row['_id']}", row["_etag"]
        assert editor.patch(path, {"operation": "kill"}, etag=etag).status_code == 403
        assert editor.delete(path, etag=etag).status_code == 403

    def test_etag(self, desk: Newsdesk, graph: Graph, clock: HandClock) -> None:
        """A kill of a row that has changed is 412."""
        row = archived(desk, graph, clock)
        answer = desk.client.patch(f"archived/{row['_id']}", {"operation": "kill"}, etag="old")
        assert answer.status_code == 412

    def test_hidden_stage(
        self, desk: Newsdesk, graph: Graph, clock: HandClock, editor: Client
    ) -> None:
        """Rows on stages that a user cannot see are left out, and 403 one by one."""
        row = archived(desk, graph, clock)
        hidden = {"invisible_stages": [desk.newsroom.desk["working_stage"]]}
        graph.db["users"].update_one({"username": "editor"}, {"$set": hidden})
        assert editor.get("archived").get_json()["_items"] == []
        assert editor.get(f"archived/{row['_id']}").status_code == 403

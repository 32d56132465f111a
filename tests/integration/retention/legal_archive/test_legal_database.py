"""The long-term archive in a database of its own (resources contract 19)."""

from collections.abc import Iterator
from typing import Any

import pytest

from apps.core import json
from apps.graph.build import Graph, build_graph
from apps.retention.legal_archive.items import LegalItems
from apps.retention.legal_archive.queue import LegalQueue
from apps.store.mongo import connect, other_database
from tests.support.clients import Client
from tests.support.crashes import Crash, CrashingDatabase, each_write
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.services import empty

COLLECTIONS = (
    *("legal_archive", "legal_archive_versions", "legal_archive_history"),
    *("legal_publish_queue", "legal_publish_payloads"),
)
IMPORT_WRITES = 9
"""Two versions, two rows of the history, an item and its mark; a payload, a delivery, its mark."""


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    """The archive has a server of its own, as far as settings tell."""
    return {
        **settings,
        "LEGAL_ARCHIVE_URI": settings["MONGO_URI"],
        "LEGAL_ARCHIVE_DBNAME": f"{settings['MONGO_DBNAME']}_legal",
    }


@pytest.fixture(autouse=True)
def legal_is_empty(graph: Graph) -> None:
    empty(graph.legal_db)


def counts(db: Any) -> dict[str, int]:
    return {name: db[name].count_documents({}) for name in COLLECTIONS}


def deliver(graph: Graph) -> None:
    graph.enqueue.run()
    graph.transmit.run()


def test_copies_are_there_and_nowhere_else(desk: Newsdesk, graph: Graph) -> None:
    """Item, versions, history, delivery and what was sent; marks stay with what was copied."""
    item = desk.published()
    deliver(graph)
    graph.legal_queue.run()

    assert graph.legal_db.name != graph.db.name
    assert counts(graph.legal_db) == {
        "legal_archive": 1,
        "legal_archive_versions": 2,
        "legal_archive_history": 2,
        "legal_publish_queue": 1,
        "legal_publish_payloads": 1,
    }
    assert set(counts(graph.db).values()) == {0}
    moved = [graph.db[name].find_one({}) or {} for name in ("published", "publish_queue")]
    assert [(row["item_id"], row["moved_to_legal"]) for row in moved] == [(item["_id"], True)] * 2
    assert not {"archive", "published", "publish_queue"} & set(
        graph.legal_db.list_collection_names()
    )


def test_clients_read_it_as_ever(desk: Newsdesk, graph: Graph, editor: Client) -> None:
    """All four resources, versions and words; names come from the main database."""
    item = desk.published()
    deliver(graph)
    graph.legal_queue.run()

    kept = desk.client.get(f"legal_archive/{item['_id']}").get_json()
    assert (kept["headline"], kept["task"]["desk"]) == ("Rivers rise", "Sports")
    versions = desk.client.get(f"legal_archive/{item['_id']}", version="all").get_json()
    assert [v["_current_version"] for v in versions["_items"]] == [1, 2]
    one = desk.client.get(f"legal_archive/{item['_id']}", version="1").get_json()
    assert one["_current_version"] == 1
    assert desk.client.get("legal_archive", query="rise rivers").get_json()["_meta"]["total"] == 1
    rows = desk.client.get("legal_archive_versions", _id=item["_id"]).get_json()["_items"]
    assert len(rows) == 2
    told = desk.client.get("legal_archive_history", where=f'item_id=="{item["_id"]}"').get_json()
    assert [row["operation"] for row in told["_items"]] == ["create", "publish"]
    (delivery,) = desk.client.get("legal_publish_queue").get_json()["_items"]
    assert delivery["subscriber_id"] == "Daily Planet"
    assert json.loads(delivery["formatted_item"])["headline"] == "Rivers rise"
    assert editor.get("legal_archive").status_code == 403


def test_it_has_its_indexes(desk: Newsdesk, graph: Graph) -> None:
    """Before the first copy: they keep a version from being there twice."""
    desk.published()

    found = graph.legal_db["legal_archive_versions"].index_information()

    assert any(index.get("unique") for name, index in found.items() if name != "_id_")


def test_what_expires_is_kept(desk: Newsdesk, graph: Graph, clock: HandClock) -> None:
    """Nothing goes before its copies are there; then only they are left, with all history."""
    item = desk.published()
    deliver(graph)
    desk.client.create(f"archive/{item['_id']}/lock", {"lock_action": "correct"})
    clock.advance(minutes=61)
    assert graph.expiry.run() == 0

    graph.legal_queue.run()
    assert graph.expiry.run() == 1

    assert desk.client.get(f"archive/{item['_id']}").status_code == 404
    assert desk.client.get(f"legal_archive/{item['_id']}").get_json()["state"] == "published"
    assert counts(graph.legal_db)["legal_archive_history"] == 3


def test_a_package_may_hold_what_is_there(desk: Newsdesk, graph: Graph) -> None:
    """Members are looked up where their location says; what is not there is refused."""
    item = desk.published()
    graph.db["archive"].delete_many({})
    ref = {"residRef": item["_id"], "location": "legal_archive"}

    def groups(*refs: dict[str, Any]) -> list[dict[str, Any]]:
        root = {"id": "root", "role": "grpRole:NEP", "refs": [{"idRef": "main"}]}
        return [root, {"id": "main", "role": "grpRole:main", "refs": list(refs)}]

    package = desk.story(type="composite", groups=groups(ref))
    assert package["groups"][1]["refs"][0]["guid"] == item["guid"]
    wrong = groups({"residRef": "gone", "location": "legal_archive"})
    answer = desk.client.patch(f"archive/{package['_id']}", {"groups": wrong})
    assert answer.get_json()["_issues"] == {
        "validator exception": "404: Invalid item reference: gone"
    }


@pytest.mark.parametrize("before", each_write(IMPORT_WRITES))
def test_an_import_that_dies_between_both_databases_is_completed(
    desk: Newsdesk, graph: Graph, before: int
) -> None:
    """Marks come after the copies, so what is marked is there; nothing is there twice."""
    desk.published()
    deliver(graph)
    graph.legal_queue.run()
    expected = counts(graph.legal_db)
    empty(graph.legal_db)
    for name in ("published", "publish_queue"):
        graph.db[name].update_many({}, {"$set": {"moved_to_legal": False}})
    db = CrashingDatabase(graph.db, before)
    legal_db: Any = db.beside(graph.legal_db)
    main: Any = db
    try:
        LegalItems(main, legal_db, is_on=True).run()
        LegalQueue(main, legal_db, is_on=True).run()
    except Crash:
        for row in graph.db["published"].find({"moved_to_legal": True}):
            assert graph.legal_db["legal_archive"].find_one({"_id": row["item_id"]})
        for row in graph.db["publish_queue"].find({"moved_to_legal": True}):
            assert graph.legal_db["legal_publish_queue"].find_one({"_id": row["_id"]})

    graph.legal_items.run()
    graph.legal_queue.run()

    assert counts(graph.legal_db) == expected
    assert graph.db["published"].count_documents({"moved_to_legal": True}) == 1


def test_a_name_alone_is_a_database_of_the_main_server(settings: dict[str, Any]) -> None:
    """No second connection, and times with their zone as everywhere."""
    db = connect(settings)
    with db.client:
        other = other_database(db, None, "elsewhere")
        assert (other.client is db.client, other.name) == (True, "elsewhere")
        assert other.codec_options.tz_aware
        assert other_database(db, None, None) is db


class TestAway:
    """Nobody serves the archive's database."""

    SECRET = "s3cret"

    @pytest.fixture
    def settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        uri = f"mongodb://legal:{self.SECRET}@127.0.0.1:9/?serverSelectionTimeoutMS=100"
        return {**settings, "LEGAL_ARCHIVE_URI": uri}

    @pytest.fixture(autouse=True)
    def legal_is_empty(self, recovered: Graph) -> None:
        empty(recovered.legal_db)

    @pytest.fixture
    def recovered(self, settings: dict[str, Any], clock: HandClock) -> Iterator[Graph]:
        """The same installation with the database back."""
        back = {**settings, "LEGAL_ARCHIVE_URI": settings["MONGO_URI"]}
        graph = build_graph(back, clock=clock)
        yield graph
        graph.close()

    def test_nothing_waits_for_it_and_nothing_is_lost(
        self,
        desk: Newsdesk,
        graph: Graph,
        recovered: Graph,
        clock: HandClock,
        caplog: pytest.LogCaptureFixture,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """Items go out; copies are made when it is back; until then nothing expires."""
        items = [desk.published(), desk.published()]
        deliver(graph)
        assert [row["state"] for row in desk.rows()] == ["success", "success"]
        answer = desk.client.get("legal_archive")
        assert answer.status_code == 503
        clock.advance(minutes=61)
        assert graph.expiry.run() == 0

        assert recovered.legal_items.run() == 2
        assert recovered.legal_queue.run() == 2
        assert recovered.expiry.run() == 2

        kept = {item["_id"] for item in recovered.legal_db["legal_archive"].find({})}
        assert kept == {item["_id"] for item in items}
        output = capsys.readouterr()
        for text in (answer.text, caplog.text, output.out, output.err):
            assert self.SECRET not in text

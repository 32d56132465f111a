"""The long-term archive of deliveries (resources contract 19, delivery contract 8)."""

from typing import Any

import pytest
from bson import ObjectId

from apps.core import json
from apps.core.service import Document
from apps.core.tasks import TASKS
from apps.graph.build import Graph
from apps.retention.legal_archive.queue import LegalQueue
from apps.retention.legal_archive.tasks import import_legal_archive, import_legal_publish_queue
from tests.support.crashes import Crash, CrashingDatabase
from tests.support.newsdesk import HandClock, Newsdesk


def deliver(graph: Graph) -> None:
    graph.enqueue.run()
    graph.transmit.run()


def legal_rows(desk: Newsdesk) -> list[Document]:
    return list(desk.client.get("legal_publish_queue").get_json()["_items"])


def test_a_finished_delivery_is_kept_with_what_was_sent(desk: Newsdesk, graph: Graph) -> None:
    """The subscriber is named; id and state are those of the delivery (delivery scenario 39)."""
    item = desk.published()
    deliver(graph)
    before = desk.row()

    assert graph.legal_queue.run() == 1

    (kept,) = legal_rows(desk)
    assert (kept["_id"], kept["state"], kept["item_id"]) == (
        (str(before["_id"]), "success", item["_id"])
    )
    assert kept["subscriber_id"] == "Daily Planet"
    assert kept["_subscriber_id"] == str(before["subscriber_id"])
    assert json.loads(kept["formatted_item"])["headline"] == "Rivers rise"
    after = desk.row()
    assert (after["moved_to_legal"], after["_etag"]) == (True, before["_etag"])


@pytest.mark.parametrize(
    "broken",
    [
        {"subscriber_id": {"a": 1}},
        {"subscriber_id": [1]},
        {"payload_id": {"a": 1}},
        {"payload_id": 5},
        {"encoded_item_id": [1]},
        {"destination": {"config": 5}},
        {"destination": 5},
    ],
    ids=repr,
)
def test_one_that_cannot_be_imported_stops_no_other(
    desk: Newsdesk, graph: Graph, broken: Document
) -> None:
    """Those before and behind it are imported."""
    for _ in range(3):
        desk.published()
    deliver(graph)
    rows = desk.rows()
    desk.db["publish_queue"].update_one({"_id": rows[1]["_id"]}, {"$set": broken})

    graph.legal_queue.run()

    kept = {row["_id"] for row in graph.db["legal_publish_queue"].find({}, {"_id": 1})}
    assert {rows[0]["_id"], rows[2]["_id"]} <= kept


def test_what_was_sent_outlives_the_queue(desk: Newsdesk, graph: Graph, clock: HandClock) -> None:
    """Also when the delivery, its payload and the subscriber are gone."""
    desk.published()
    deliver(graph)
    graph.legal_queue.run()
    graph.db["subscribers"].delete_many({})
    clock.advance(minutes=61)
    assert graph.expiry.run() == 1
    assert graph.db["publish_payloads"].count_documents({}) == 0

    (kept,) = legal_rows(desk)
    assert json.loads(kept["formatted_item"])["headline"] == "Rivers rise"
    assert kept["subscriber_id"] == "Daily Planet"


def test_the_row_of_a_deleted_subscriber_says_so(desk: Newsdesk, graph: Graph) -> None:
    desk.published()
    deliver(graph)
    graph.db["subscribers"].delete_many({})

    graph.legal_queue.run()

    assert [row["subscriber_id"] for row in legal_rows(desk)] == ["Deleted Subscriber"]


@pytest.mark.parametrize("state", ["pending", "in-progress", "retrying", "error"])
def test_a_delivery_that_has_not_ended_waits(desk: Newsdesk, graph: Graph, state: str) -> None:
    desk.published()
    graph.enqueue.run()
    graph.db["publish_queue"].update_many({}, {"$set": {"state": state}})

    assert graph.legal_queue.run() == 0
    assert not desk.row()["moved_to_legal"]


@pytest.mark.parametrize("state", ["success", "canceled", "failed"])
def test_every_end_is_kept_once(desk: Newsdesk, graph: Graph, state: str) -> None:
    """A second run adds nothing."""
    desk.published()
    graph.enqueue.run()
    graph.db["publish_queue"].update_many({}, {"$set": {"state": state}})

    assert [graph.legal_queue.run(), graph.legal_queue.run()] == [1, 0]
    assert [row["state"] for row in legal_rows(desk)] == [state]


def test_no_secret_is_kept(desk: Newsdesk, graph: Graph) -> None:
    """Not even one that somebody has put into a row."""
    desk.published()
    deliver(graph)
    graph.db["publish_queue"].update_many(
        {}, {"$set": {"destination.config.secret_token": "s3cret", "destination.config.a": 1}}
    )

    graph.legal_queue.run()

    stored = str(list(graph.db["legal_publish_queue"].find()))
    assert "s3cret" not in stored
    assert "hunter2" not in stored
    assert legal_rows(desk)[0]["destination"]["config"]["a"] == 1


def test_binaries_are_kept(desk: Newsdesk, graph: Graph) -> None:
    """Also for a row that names its binary only, as a copy that a client posts does."""
    binary = ObjectId()
    payload = {"_id": "p", "body": b"zip", "media_type": "a/b", "file_extension": "idml"}
    graph.db["publish_payloads"].insert_one({**payload, "encoded_item_id": binary, "item_id": "x"})
    row = {"item_id": "x", "state": "success", "encoded_item_id": binary, "destination": {}}
    graph.db["publish_queue"].insert_one(row)

    graph.legal_queue.run()

    kept = graph.db["legal_publish_payloads"].find_one({"encoded_item_id": binary}) or {}
    assert (kept["_id"], kept["body"]) == ("p", b"zip")
    assert legal_rows(desk)[0]["encoded_item_id"] == str(binary)


def test_pages_do_not_matter(desk: Newsdesk, graph: Graph) -> None:
    for _ in range(5):
        desk.published()
    deliver(graph)

    assert graph.legal_queue.run(page_size=2) == 5
    assert len(legal_rows(desk)) == 5


@pytest.mark.parametrize("before", [1, 2, 3])
def test_an_import_that_dies_is_completed_by_the_next(
    desk: Newsdesk, graph: Graph, before: int
) -> None:
    """Payload, row and mark: whatever is missing is made up for."""
    desk.published()
    deliver(graph)
    db: Any = CrashingDatabase(graph.db, before)
    with pytest.raises(Crash):
        LegalQueue(db, db, is_on=True).run()
    assert not desk.row()["moved_to_legal"]

    assert graph.legal_queue.run() == 1
    assert json.loads(legal_rows(desk)[0]["formatted_item"])["headline"] == "Rivers rise"


def test_rows_that_are_not_kept_yet_are_not_forgotten(
    desk: Newsdesk, graph: Graph, clock: HandClock
) -> None:
    """However old they are."""
    desk.published()
    deliver(graph)
    clock.advance(days=30)
    graph.expiry.run()
    assert len(desk.rows()) == 1


def test_the_tasks_are_on_the_schedule(desk: Newsdesk, graph: Graph) -> None:
    """Deliveries every five minutes; items after a failure again within three."""
    desk.published()
    deliver(graph)
    graph.db["published"].update_many({}, {"$set": {"moved_to_legal": False}})

    done = [import_legal_archive.apply().get(), import_legal_publish_queue.apply().get()]

    assert done == [1, 1]
    schedule = [TASKS[t.name] for t in (import_legal_archive, import_legal_publish_queue)]
    assert [(t.queue, t.seconds) for t in schedule] == [("legal", 180), ("legal", 300)]

"""Deliveries to the content API that are given up before their copy is stored.

Routing contract 9, R8.
"""

from collections.abc import Iterator
from typing import Any

import pytest

import apps.content_api.backlog as backlog_module
from apps.content_api.backlog import CopyBacklog
from apps.content_api.store import CopyStore
from apps.core.service import Document
from apps.graph.build import Graph, build_graph
from apps.publish.queue.content_api_rows import ContentApiRows
from tests.support.crashes import Crash, CrashingDatabase
from tests.support.events import Events
from tests.support.newsdesk import HandClock, Newsdesk


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    """The first try is the last, and nobody serves the database of the content API."""
    return {
        **settings,
        "CONTENTAPI_MONGO_URI": "mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=100",
        "CONTENTAPI_MONGO_DBNAME": settings["MONGO_DBNAME"],
        "MAX_TRANSMIT_RETRY_ATTEMPT": 0,
    }


@pytest.fixture
def recovered(settings: dict[str, Any], clock: HandClock) -> Iterator[Graph]:
    """The same installation with the database back."""
    graph = build_graph({**settings, "CONTENTAPI_MONGO_URI": None}, clock=clock)
    yield graph
    graph.close()


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog_module, "PAUSE_SECONDS", 0)


@pytest.fixture(autouse=True)
def readers(desk: Newsdesk) -> list[str]:
    """Two subscribers that read everything; their ids."""
    product = desk.newsroom.product("everything")
    named = ("First", "Second")
    return [str(desk.newsroom.subscriber(n, products=[], api_products=[product])) for n in named]


@pytest.fixture
def given_up(desk: Newsdesk, graph: Graph, clock: HandClock) -> list[Document]:
    """Two items whose deliveries have all failed; the database is back, and it is time."""
    items = [desk.published(headline=headline) for headline in ("Rain", "Snow")]
    graph.enqueue.run()
    graph.transmit.run()
    assert ["failed"] * 4 == states(desk)
    clock.advance(minutes=1)
    return items


def states(desk: Newsdesk) -> list[str]:
    return [row["state"] for row in desk.rows()]


def waiting(graph: Graph) -> int:
    return graph.db["content_api_backlog"].count_documents({})


def test_they_succeed_with_the_copy(
    desk: Newsdesk,
    given_up: list[Document],
    recovered: Graph,
    readers: list[str],
    events: Events,
) -> None:
    """At the next enqueue run, once: clients and the long-term archive learn of it."""
    recovered.db["publish_queue"].update_many({}, {"$set": {"moved_to_legal": True}})

    recovered.enqueue.run()
    recovered.enqueue.run()

    rows = desk.client.get("publish_queue").get_json()["_items"]
    assert [("success", None, False)] * 4 == [
        (row["state"], row["error_message"], row["moved_to_legal"]) for row in rows
    ]
    assert all(row["completed_at"] for row in rows)
    assert all("copy_key" not in row for row in rows)
    for item in given_up:
        copy = recovered.db["items"].find_one({"_id": item["_id"]}) or {}
        assert readers == copy["subscribers"]
        assert 1 == recovered.db["items_versions"].count_documents({"_id_document": item["_id"]})
    (told,) = [e for e in events.named("publish_queue:update") if e["state"] == "success"]
    assert {row["_id"] for row in rows} == {one["queue_id"] for one in told["items"]}
    assert 0 == waiting(recovered)


def test_they_succeed_when_another_delivery_stores_the_copy(
    desk: Newsdesk, graph: Graph, recovered: Graph, clock: HandClock
) -> None:
    """Of two readers of an item one was given up; the try of the other one serves both."""
    desk.published()
    graph.enqueue.run()
    given_up, left = desk.rows()
    graph.db["publish_queue"].update_one({"_id": given_up["_id"]}, {"$set": {"state": "failed"}})

    recovered.transmit.run()

    assert ["success", "success"] == states(desk)
    assert [1] == [len(row.get("attempts") or ()) for row in desk.rows(_id=left["_id"])]
    assert 0 == waiting(recovered)


def test_an_attempt_that_fails_meanwhile_changes_nothing(
    desk: Newsdesk, graph: Graph, recovered: Graph, clock: HandClock, events: Events
) -> None:
    """The copy is stored while the last attempt still waits for a store that is away."""
    desk.published()
    graph.enqueue.run()
    clock.advance(minutes=1)
    carry_out = CopyBacklog.carry_out

    def slowly(backlog: CopyBacklog, *arguments: Any) -> None:
        had_to_wait = waiting(recovered)
        recovered.enqueue.run()
        # A delivery that begins when the copy is there has nothing left to do.
        if had_to_wait:
            raise backlog_module.ServerError("too late")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CopyBacklog, "carry_out", slowly)
        graph.transmit.run()
    assert carry_out is CopyBacklog.carry_out

    assert ["success", "success"] == states(desk)
    told = [e["state"] for e in events.named("publish_queue:update")]
    assert "failed" not in told


def test_others_stay_failed(desk: Newsdesk, given_up: list[Document], recovered: Graph) -> None:
    """Deliveries of other versions, of other types, those canceled, and those without a copy."""
    rows = desk.rows()
    changes: list[Document] = [
        {"item_version": 99},
        {"destination.delivery_type": "http_push"},
        {"state": "canceled"},
        {"copy_key": "another"},
    ]
    for row, change in zip(rows, changes, strict=True):
        recovered.db["publish_queue"].update_one({"_id": row["_id"]}, {"$set": change})

    recovered.enqueue.run()

    assert ["failed", "failed", "canceled", "failed"] == states(desk)


def test_a_row_that_a_client_sent_again_succeeds_too(
    desk: Newsdesk, given_up: list[Document], recovered: Graph
) -> None:
    """It names no copy, and asks for the one that there is."""
    row = desk.rows()[0]
    kept = ("item_id", "item_version", "publishing_action", "subscriber_id", "destination")
    fields = {name: str(row[name]) if name == "subscriber_id" else row[name] for name in kept}
    sent_again = desk.client.create("publish_queue", {**fields, "state": "failed"})

    recovered.enqueue.run()

    assert "success" == desk.client.get(f"publish_queue/{sent_again['_id']}").get_json()["state"]


def test_a_process_that_dies_in_between_loses_none(
    desk: Newsdesk, given_up: list[Document], recovered: Graph, clock: HandClock
) -> None:
    """Before each of its writes: the next run completes it, with one version of each item."""
    died = 0
    for before in range(1, 100):
        db: Any = CrashingDatabase(recovered.db, before)
        dying = CopyBacklog(
            db,
            clock,
            CopyStore(db, clock),
            ContentApiRows(db, clock, recovered.notifier).succeed,
        )
        try:
            dying.retry_due()
        except Crash:
            died += 1
            done = not waiting(recovered)
            assert not done or ["success"] * 4 == states(desk)
        else:
            break
    assert died >= 6
    assert ["success"] * 4 == states(desk)
    assert 0 == waiting(recovered)
    assert 2 == recovered.db["items_versions"].count_documents({})

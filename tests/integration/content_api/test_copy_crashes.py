"""Copies whose process dies: whatever is written by then, the next run completes it."""

from typing import Any

import pytest

from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.crashes import DEATHS
from tests.support.dying import dies_routing
from tests.support.newsdesk import HandClock, Newsdesk


def crash_at_writes(graph: Graph, clock: HandClock, publish: Any, stride: int) -> int:
    """Publish, die before the first write of the run, a later one ..., and recover each time.

    Args:
        publish: makes something to route and returns it.
        stride: from one of these writes to the next.

    Returns:
        How many writes a run has at most.
    """
    for before in range(1, 100, stride):
        items = publish()
        if not dies_routing(graph, before):
            return before - 1
        clock.advance(minutes=2)
        graph.enqueue.run()
        graph.transmit.run()
        check_whole(graph, items)
    raise AssertionError("the run never ends")


def check_whole(graph: Graph, items: list[Document]) -> None:
    """Check that every version of `items` is copied once and delivered once."""
    for item in items:
        rows = list(graph.db["publish_queue"].find({"item_id": item["_id"]}))
        copy = graph.db["items"].find_one({"_id": item["_id"]})
        versions = list(graph.db["items_versions"].find({"_id_document": item["_id"]}))
        published = graph.db["published"].count_documents({"item_id": item["_id"]})
        assert copy is not None
        assert published == len(rows) == len(versions)
        assert {"success"} == {row["state"] for row in rows}
        assert item["pubstatus"] == copy["pubstatus"]
        assert item["_current_version"] == copy["_current_version"]
        assert {copy["pubstatus"]} == {version["pubstatus"] for version in versions}


@pytest.fixture(autouse=True)
def reader(desk: Newsdesk) -> None:
    product = desk.newsroom.product("everything")
    desk.newsroom.subscriber("Reader", products=[], api_products=[product])


@DEATHS
def test_a_publication_and_its_update(
    desk: Newsdesk, graph: Graph, clock: HandClock, stride: int
) -> None:
    """A story and its update in one run: both copies, the link between them, one row each."""

    def publish() -> list[Document]:
        story = desk.published()
        update = desk.client.create(f"archive/{story['_id']}/rewrite", {})
        return [story, desk.act("publish", update)]

    writes = crash_at_writes(graph, clock, publish, stride)

    assert writes >= 8
    updates = list(graph.db["items"].find({"evolvedfrom": {"$exists": True}}))
    for update in updates:
        (ancestor,) = update["ancestors"]
        parent = graph.db["items"].find_one({"_id": ancestor})
        assert parent is not None
        assert update["_id"] == parent["nextversion"]


@DEATHS
def test_a_kill(desk: Newsdesk, graph: Graph, clock: HandClock, stride: int) -> None:
    """The item and all its versions are canceled, whatever dies in between."""

    def publish() -> list[Document]:
        story = desk.published()
        graph.enqueue.run()
        return [desk.act("kill", story)]

    assert crash_at_writes(graph, clock, publish, stride) >= 8

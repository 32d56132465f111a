"""Corrections and kills of stories whose first delivery waits for a retry.

Delivery contract X13, O1, O4, O5; routing contract 8.3.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from apps.core.service import Document
from apps.graph.build import Graph
from apps.routing.subscribers.stored_destinations import lane_id
from tests.support.conservation import Conservation, Recorder, check_manifest, check_newest
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.newsroom import file_in, push
from tests.support.receivers import HTTPReceiver

pytestmark = pytest.mark.usefixtures("conserved")

WITHDRAWALS = {"kill": "killed", "takedown": "recalled", "unpublish": "unpublished"}


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    return {**settings, "RETRY_JITTER": 0}


def deliver(graph: Graph) -> None:
    graph.enqueue.run()
    graph.transmit.run()


@pytest.mark.parametrize("operations", [("correct",), ("correct", "kill"), *zip(WITHDRAWALS)])
def test_at_receivers_that_keep_the_newest(
    desk: Newsdesk,
    graph: Graph,
    clock: HandClock,
    receiver: HTTPReceiver,
    operations: tuple[str, ...],
) -> None:
    """Who has the story gets what follows; who is down gets the last of it alone."""
    receiver.answer(recorder := Recorder(lambda r: 503 if r.path == "/down" else 200))
    lanes = {}
    for name in ("up", "down"):
        subscriber = desk.newsroom.subscriber(name, push(f"{receiver.url}/{name}"))
        lanes[lane_id(subscriber, "push")] = f"/{name}"
    item = desk.published()
    deliver(graph)
    # It matches them no more: who has had it is told all the same.
    no_match = {"$set": {"product_type": "direct", "content_filter": {"filter_id": "gone"}}}
    graph.db["products"].update_many({}, no_match if operations[0] != "correct" else {"$set": {}})
    for operation in operations:
        desk.act(operation, item, headline=operation)
        deliver(graph)
    recorder.answer = lambda request: 200
    for _ in range(3):
        clock.advance(minutes=20)
        graph.transmit.run()

    assert Conservation(graph.db).check()["failed"] == 0
    for lane, path in lanes.items():
        arrivals = recorder.arrivals(path)
        check_manifest(graph.db, {lane: arrivals})
        check_newest(graph.db, lane, arrivals)
        accepted = [json.loads(each.body)["headline"] for each in arrivals if each.is_accepted]
        assert accepted[-1] == operations[-1]
    behind = [row["state"] for row in desk.rows() if row["lane"] == list(lanes)[1]]
    if operations[-1] in WITHDRAWALS:
        assert behind == ["canceled"] * len(operations) + ["success"]
    else:
        assert behind[-1] == "success"


@pytest.mark.parametrize("operation", ["correct", *WITHDRAWALS])
def test_at_receivers_of_every_version(
    desk: Newsdesk, graph: Graph, clock: HandClock, tmp_path: Path, operation: str
) -> None:
    """A correction waits for its story; a withdrawal goes at once, and the story never."""
    inbox = tmp_path / "inbox"
    desk.newsroom.subscriber("files", file_in(inbox))
    item = desk.published(headline="story")
    deliver(graph)
    before = desk.row()
    desk.act(operation, item, headline=operation)
    deliver(graph)
    inbox.mkdir()
    for _ in range(3):
        clock.advance(minutes=5)
        graph.transmit.run()

    assert before["state"] == "retrying"
    Conservation(graph.db).check()
    files: list[Document] = [json.loads(file.read_bytes()) for file in inbox.iterdir()]
    headlines = sorted(file["headline"] for file in files)
    states = [row["state"] for row in desk.rows()]
    if operation == "correct":
        assert (headlines, states) == (["correct", "story"], ["success", "success"])
    else:
        assert (headlines, states) == ([operation], ["canceled", "success"])
        assert desk.rows()[0]["superseded_by"] == desk.rows()[1]["_id"]

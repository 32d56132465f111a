"""Outcomes are on record within two seconds, also while the next delivery of their lane hangs.

Delivery contract C5.
"""

from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from pymongo.errors import OperationFailure

from apps.core.clock import SystemClock
from apps.core.service import Document
from apps.graph.build import Graph
from apps.publish.transmit.results import Results
from tests.support.newsdesk import Newsdesk
from tests.support.newsroom import push
from tests.support.processes import wait_until
from tests.support.queues import fill, wait_for_leases
from tests.support.receivers import Fault, HTTPReceiver, Received, Reply
from tests.support.worker_processes import RUN, kill, process

PATIENCE_SECONDS = 60.0


@pytest.fixture
def clock() -> SystemClock:
    """The time of processes beside this one."""
    return SystemClock()


@pytest.fixture
def queued(desk: Newsdesk, graph: Graph, receiver: HTTPReceiver) -> list[Document]:
    """Rows of one lane, each of another item."""
    return queue(desk, graph, receiver)


def queue(
    desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, **subscriber: Any
) -> list[Document]:
    owner = desk.newsroom.subscriber("one", push(receiver.url), **subscriber)
    return fill(graph.db, owner, push(receiver.url), graph.clock.precise(), items=3)


def state_of(desk: Newsdesk, row_id: ObjectId) -> str:
    """Return the state of a row as clients see it."""
    return str(desk.client.get(f"publish_queue/{row_id}").get_json()["state"])


def test_a_process_that_is_killed_amid_a_delivery_repeats_only_that(
    desk: Newsdesk,
    graph: Graph,
    receiver: HTTPReceiver,
    queued: list[Document],
    settings: dict[str, Any],
    tmp_path: Path,
) -> None:
    """The receiver takes the first and hangs on the second: the first is shown as `success`."""
    names = ("MONGO_URI", "MONGO_DBNAME", "REDIS_URL", "NOTIFICATION_CHANNEL")
    environment = {name: settings[name] for name in names} | {"LEASE_SECONDS": 2}
    receiver.answer([200, Fault.HANG])
    first, second, third = (row["_id"] for row in queued)
    with process([*RUN, "transmit"], environment, tmp_path) as run:
        receiver.wait_for(2, PATIENCE_SECONDS)
        wait_until(lambda: state_of(desk, first) == "success", PATIENCE_SECONDS)
        assert [state_of(desk, row) for row in (second, third)] == ["in-progress"] * 2
        assert len(receiver.requests) == 2
        kill(run)

    wait_for_leases(graph)
    graph.transmit.run()

    keys = [request.headers["webhook-id"] for request in receiver.requests]
    first_key, second_key, third_key = (row["idempotency_key"] for row in queued)
    assert keys == [first_key, second_key, second_key, third_key]
    assert [row["state"] for row in desk.rows()] == ["success"] * 3


def test_lines_that_go_on_beside_one_that_hangs_are_on_record(
    desk: Newsdesk, graph: Graph, receiver: HTTPReceiver
) -> None:
    """Of a subscriber that is sent several items at once."""
    rows = queue(desk, graph, receiver, **{"async": True})
    hanging = rows[0]["item_id"]
    others = [row["_id"] for row in rows[1:]]
    seen: list[str] = []

    def answer(request: Received) -> Reply:
        if request.json()["guid"] == hanging:
            wait_until(lambda: {state_of(desk, row) for row in others} == {"success"}, 60)
            seen.append(state_of(desk, rows[0]["_id"]))
        return 200

    receiver.answer(answer)
    graph.transmit.run()

    assert seen == ["in-progress"]
    assert [row["state"] for row in desk.rows()] == ["success"] * 3


def test_a_row_that_cannot_be_written_is_in_nobodys_way(
    desk: Newsdesk,
    graph: Graph,
    receiver: HTTPReceiver,
    queued: list[Document],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What goes wrong beside the delivery ends its batch; the rest goes on, with the same keys."""
    failed: list[int] = []
    store = Results._store

    def refuse_once(results: Results, waiting: Any) -> Any:
        if not failed:
            failed.append(len(receiver.requests))
            raise OperationFailure("no", code=9)
        return store(results, waiting)

    def answer(request: Received) -> Reply:
        if len(receiver.requests) == 2:
            wait_until(lambda: failed, PATIENCE_SECONDS)
        return 200

    monkeypatch.setattr(Results, "_store", refuse_once)
    receiver.answer(answer)
    graph.transmit.run()
    assert failed == [2]
    assert len(receiver.requests) == 2
    graph.db["publish_lanes"].update_many({}, {"$set": {"wake_at": graph.clock.precise()}})
    graph.transmit.run()

    keys = [request.headers["webhook-id"] for request in receiver.requests]
    first_key, second_key, third_key = (row["idempotency_key"] for row in queued)
    assert keys == [first_key, second_key, first_key, third_key]
    assert [row["state"] for row in desk.rows()] == ["success"] * 3

"""Requests to publish with an idempotency key whose processes die (cms contract 2.1, rule 9)."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from apps.core.service import Document
from apps.graph.build import Graph
from apps.store.idempotency import ABANDONED
from tests.support.applications import Applications
from tests.support.crashes import DEATHS, Crash, CrashingDatabase
from tests.support.dying import answering
from tests.support.fake_sites import SITES, FakeWordPress
from tests.support.newsdesk import HandClock
from tests.support.publisher_client import Publisher, put_out, shown
from tests.support.services import empty_services

MOST_WRITES = 40
STORIES = ["a", "b"]


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    return {**settings, "SESSION_EXPIRY_MINUTES": 1_000_000}


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def graph(settings: dict[str, Any], clock: HandClock) -> Any:
    """Services whose only platform is in memory, with that clock."""
    with empty_services(settings, clock=clock) as built:
        built.platforms.add(FakeWordPress, replace=True)
        SITES.clear()
        yield built


@pytest.fixture
def dies(graph: Graph, applications: Applications) -> Callable[[int, Callable[[], Any]], bool]:
    """Let a process answer a request that dies before one of its writes; whether it died."""

    def answer(before: int, ask: Callable[[], Any]) -> bool:
        applications.serving(answering(graph, CrashingDatabase(graph.db, before)))
        try:
            ask()
        except Crash:
            return True
        finally:
            applications.serving(graph)
        return False

    return answer


def records(graph: Graph) -> list[Document]:
    return list(graph.db["publishing_records"].find({}).sort("content", 1))


def seqs(graph: Graph) -> list[int]:
    return [record["desired"]["seq"] for record in records(graph)]


def gone(clock: HandClock) -> None:
    """Let the time pass after which a request that nobody has answered is tried again."""
    clock.at += ABANDONED + timedelta(seconds=1)


@DEATHS
def test_each_wish_is_made_once(
    publisher: Publisher, integration: Any, graph: Graph, clock: HandClock, dies: Any, stride: int
) -> None:
    """Also where what the dead process has wished for was carried out meanwhile."""
    for before in range(1, MOST_WRITES, stride):
        for name in ("publishing_records", "publisher_lanes"):
            graph.db[name].delete_many({})
        for story in STORIES:
            put_out(graph.db, story)

        def ask() -> Any:
            return publisher.publish(STORIES, force=True, idempotency_key=f"k{before}")  # noqa: B023

        died = dies(before, ask)
        if died:
            for record in records(graph):
                shown(graph.db, record["_id"], external_id=record["content"])
            gone(clock)
        answer = ask()

        assert answer.status_code == 202
        told = answer.get_json()["operations"]
        assert [operation["content"] for operation in told] == STORIES
        assert {operation["result"] for operation in told} <= {"queued", "done"}
        assert all(operation["record"] for operation in told)
        assert seqs(graph) == [1, 1]
        waiting = [record for record in records(graph) if record["phase"] != "idle"]
        assert not waiting or graph.db["publisher_lanes"].find_one({"wake_at": {"$lte": clock.at}})
        if not died:
            return
    pytest.fail("It takes more writes than these tests die at")


def test_newer_wish_stays(
    publisher: Publisher, integration: Any, graph: Graph, clock: HandClock, dies: Any
) -> None:
    """What somebody else has wished for since the process died is not undone."""
    put_out(graph.db)
    publisher.publish("story")
    shown(graph.db, records(graph)[0]["_id"])

    def ask() -> Any:
        return publisher.publish("story", action="retract", idempotency_key="k")

    # Its wish is made, its answer is not.
    assert dies(3, ask)
    assert [record["desired"]["action"] for record in records(graph)] == ["retract"]
    publisher.publish("story", action="publish")
    gone(clock)

    answer = ask()

    assert answer.status_code == 202
    (record,) = records(graph)
    assert record["desired"]["action"] in ("publish", "update")
    assert record["desired"]["seq"] == 3


def test_time_that_has_come_meanwhile_is_none_that_was_over(
    publisher: Publisher, integration: Any, graph: Graph, clock: HandClock, dies: Any
) -> None:
    """`schedule_at` lay ahead when the request was made first; a later request is refused."""
    put_out(graph.db)
    at = (clock.at + timedelta(seconds=90)).strftime("%Y-%m-%dT%H:%M:%S+0000")

    def ask(key: str) -> Any:
        return publisher.publish("story", schedule_at=at, idempotency_key=key)

    assert dies(2, lambda: ask("k"))
    gone(clock)

    assert ask("k").status_code == 202
    assert ask("other").status_code == 400
    assert ask("other").status_code == 400


def test_ids_of_requests_are_not_shown(
    publisher: Publisher, integration: Any, graph: Graph
) -> None:
    put_out(graph.db)
    answer = publisher.publish("story", idempotency_key="k")
    (operation,) = answer.get_json()["operations"]

    assert "request_ids" in records(graph)[0]
    assert "request_ids" not in publisher.get(f"records/{operation['record']}").get_json()
    retracted = publisher.post(f"records/{operation['record']}/retract")
    assert "request_ids" not in retracted.get_json()

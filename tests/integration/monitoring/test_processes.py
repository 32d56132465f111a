"""Processes that are alive, and what they do (delivery contract 14.3)."""

from datetime import timedelta
from typing import Any

from apps.graph.build import Graph
from apps.monitoring.processes import EVERY_SECONDS, ProcessHeartbeat, ProcessNotes
from tests.support.clients import Client
from tests.support.newsdesk import HandClock
from tests.support.processes import wait_until


def listed(client: Client) -> list[dict[str, Any]]:
    answer = client.get("processes")
    assert answer.status_code == 200, answer.text
    return list(answer.get_json()["_items"])


def heartbeat(graph: Graph, notes: ProcessNotes) -> ProcessHeartbeat:
    return ProcessHeartbeat(graph.db, notes, graph.settings["REDIS_URL"])


def test_what_a_process_does_is_listed(graph: Graph, editor: Client, clock: HandClock) -> None:
    """For every user, as deliveries are."""
    notes = ProcessNotes(clock, "worker")
    notes.task_started("a")
    notes.task_started("b")
    clock.advance(seconds=3)
    notes.claimed()
    notes.task_ended("b", failed=True)
    heartbeat(graph, notes).beat()

    (process,) = listed(editor)

    assert (process["name"], process["started_at"]) == ("worker", "2030-01-01T12:00:00+0000")
    assert process["claimed_at"] == process["beat_at"] == "2030-01-01T12:00:03+0000"
    assert {
        task["name"]: (task["is_running"], task.get("has_failed")) for task in process["tasks"]
    } == {
        "a": (True, None),
        "b": (False, True),
    }
    assert "expires_at" not in process


def test_nobody_reads_them_without_a_session_and_nobody_writes_them(
    graph: Graph, anonymous: Client, admin: Client, clock: HandClock
) -> None:
    heartbeat(graph, ProcessNotes(clock, "web")).beat()
    assert anonymous.get("processes").status_code == 401
    assert admin.post("processes", {"name": "x"}).status_code == 405
    id_ = listed(admin)[0]["_id"]
    alone = admin.get(f"processes/{id_}")
    assert alone.status_code == 200
    for shown in (alone.get_json(), listed(admin)[0]):
        # They have times of their own; those that Eve makes up say 1970.
        assert not {"_created", "_updated"} & shown.keys()
    assert admin.delete(f"processes/{id_}", etag="x").status_code == 405


def test_a_beat_goes_on_where_the_last_one_was(
    graph: Graph, admin: Client, clock: HandClock
) -> None:
    one = heartbeat(graph, ProcessNotes(clock, "web"))
    for _ in range(3):
        one.beat()
        clock.advance(seconds=EVERY_SECONDS)
    assert len(listed(admin)) == 1
    assert graph.db["processes"].count_documents({}) == 1


def test_who_is_silent_is_not_listed_and_expires(
    graph: Graph, admin: Client, clock: HandClock
) -> None:
    heartbeat(graph, ProcessNotes(clock, "gone")).beat()
    clock.advance(seconds=31)
    heartbeat(graph, ProcessNotes(clock, "alive")).beat()
    assert [process["name"] for process in listed(admin)] == ["alive"]
    gone = graph.db["processes"].find_one({"name": "gone"})
    assert gone is not None
    assert gone["expires_at"] - gone["beat_at"] == timedelta(minutes=5)
    indexes = graph.db["processes"].index_information().values()
    expiring = [i for i in indexes if i.get("expireAfterSeconds") == 0]
    assert [i["key"] for i in expiring] == [[("expires_at", 1)]]


def test_a_heartbeat_writes_by_itself_and_takes_its_leave(graph: Graph, clock: HandClock) -> None:
    found = graph.db["processes"]
    one = heartbeat(graph, ProcessNotes(clock, "web")).start()
    wait_until(lambda: found.count_documents({"name": "web"}))
    one.stop()
    assert found.count_documents({}) == 0

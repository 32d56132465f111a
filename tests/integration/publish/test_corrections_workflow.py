"""Corrections in a state of their own (lifecycle contract 5.6, lifecycle scenario 77)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apps.core.service import Document
from apps.graph.build import Graph, build_graph
from tests.support.events import Events
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.newsroom import file_in
from tests.support.services import empty_services


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    return {**settings, "CORRECTIONS_WORKFLOW": True}


def correction(desk: Newsdesk, item: Document, **arguments: Any) -> Any:
    return desk.client.patch(f"archive/correction/{item['_id']}", {}, **arguments)


def read(desk: Newsdesk, item: Document) -> Document:
    return dict(desk.client.get(f"archive/{item['_id']}").get_json())


def row_states(desk: Newsdesk) -> list[str]:
    rows = desk.db["published"].find({}).sort("publish_sequence_no", 1)
    return [row["state"] for row in rows]


def test_begins_on_the_desk(desk: Newsdesk, settings: dict[str, Any]) -> None:
    """Lifecycle scenario 77: `correction`, on the working stage, version and etag as before."""
    incoming = {**desk.newsroom.task, "stage": str(desk.newsroom.desk["incoming_stage"])}
    item = desk.published(task=incoming)
    with Events(settings["REDIS_URL"], settings["NOTIFICATION_CHANNEL"]) as events:
        answer = correction(desk, item)
        told = events.named("item:correction")

    seen = read(desk, item)
    assert answer.status_code == 200
    assert (seen["state"], seen["operation"], seen["task"]["stage"]) == (
        "correction",
        "correction",
        desk.newsroom.task["stage"],
    )
    assert (seen["_current_version"], seen["_etag"]) == (2, item["_etag"])
    assert answer.get_json()["_etag"] == item["_etag"]
    assert row_states(desk) == ["being_corrected"]
    assert told == [{"item": item["_id"], "user": str(desk.client.session["user"])}]


@pytest.mark.parametrize("was", ["published", "corrected"])
def test_can_be_given_up(desk: Newsdesk, was: str) -> None:
    """Lifecycle scenario 77: item and row return to the state they had."""
    item = desk.published()
    if was == "corrected":
        item = desk.act("correct", item)
    correction(desk, item)

    correction(desk, item, remove_correction="true")

    seen = read(desk, item)
    assert (seen["state"], seen["operation"]) == (was, "cancel_correction")
    assert row_states(desk)[-1] == was
    assert seen["_etag"] == item["_etag"]
    found = {"item_id": item["_id"], "operation": "correction"}
    assert desk.db["archive_history"].count_documents(found) == 2


@pytest.mark.parametrize(
    ("operation", "state"), [("correct", "corrected"), ("publish", "published"), ("kill", "killed")]
)
def test_ends_with_a_publication(desk: Newsdesk, graph: Graph, operation: str, state: str) -> None:
    """Lifecycle scenario 77: the row turns back and a new one is added."""
    item = desk.published()
    graph.enqueue.run()
    correction(desk, item)

    desk.act(operation, item)
    graph.enqueue.run()

    assert row_states(desk) == ["published", state]


def test_can_be_saved(desk: Newsdesk) -> None:
    """Lifecycle contract 2.2: while it is written, a correction is saved like any item."""
    item = desk.published()
    correction(desk, item)

    answer = desk.client.patch(f"archive/{item['_id']}", {"headline": "saved"})

    assert (answer.status_code, answer.get_json()["state"]) == (200, "correction")


@pytest.mark.parametrize("operation", ["kill", "takedown"])
def test_is_for_what_is_out(desk: Newsdesk, operation: str) -> None:
    """Lifecycle contract 2.3: other states are refused."""
    item = desk.act(operation, desk.published())

    answer = correction(desk, item)

    expected = {"validator exception": "412: Workflow transition is invalid."}
    assert (400, expected) == (answer.status_code, answer.get_json()["_issues"])


def test_needs_a_published_row(desk: Newsdesk) -> None:
    """Lifecycle contract 5.6: without a row of the outbox there is nothing to correct."""
    item = desk.published()
    desk.db["published"].delete_many({})

    issues = correction(desk, item).get_json()["_issues"]

    assert issues["validator exception"].startswith("500: Failed to generate correction: ")


def test_is_off_by_default(desk: Newsdesk, settings: dict[str, Any]) -> None:
    """Lifecycle contract 7: without the setting there are no corrections of this kind."""
    item = desk.published()
    own = build_graph({**settings, "CORRECTIONS_WORKFLOW": False})
    with pytest.raises(Exception, match="not in use"):
        own.publishing.services["archive_correction"].patch(item["_id"], {})
    own.close()

    assert read(desk, item)["state"] == "published"


class TestScheduled:
    """`ALLOW_UPDATING_SCHEDULED_ITEMS`: the correction begins before the story has been out."""

    @pytest.fixture
    def settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        return {**settings, "ALLOW_UPDATING_SCHEDULED_ITEMS": True}

    @pytest.fixture
    def graph(self, settings: dict[str, Any], clock: HandClock) -> Iterator[Graph]:
        with empty_services(settings, clock=clock) as built:
            yield built

    @pytest.fixture
    def item(self, desk: Newsdesk, tmp_path: Path) -> Document:
        desk.newsroom.subscriber("s", file_in(tmp_path))
        return desk.act("publish", desk.story(), publish_schedule="2030-01-01T13:00:00+0000")

    def test_the_story_waits_for_its_correction(
        self, desk: Newsdesk, graph: Graph, clock: HandClock, item: Document
    ) -> None:
        """Not for its time: nothing goes out until the correction does."""
        assert correction(desk, item).status_code == 200
        clock.advance(hours=2)
        graph.enqueue.run()
        assert (read(desk, item)["state"], desk.rows()) == ("correction", [])

        desk.act("correct", item, headline="Rivers fall")
        graph.enqueue.run()

        assert [row["item_version"] for row in desk.rows()] == [3]
        assert row_states(desk) == ["scheduled", "corrected"]

    def test_given_up_it_is_scheduled_as_before(
        self, desk: Newsdesk, graph: Graph, clock: HandClock, item: Document
    ) -> None:
        """And comes out, once."""
        correction(desk, item)
        assert correction(desk, item, remove_correction="true").status_code == 200

        seen = read(desk, item)
        assert seen["state"] == "scheduled"
        assert seen["publish_schedule"] == item["publish_schedule"]
        assert seen["schedule_settings"] == item["schedule_settings"]
        graph.enqueue.run()
        assert desk.rows() == []
        clock.advance(hours=2)
        graph.enqueue.run()
        graph.enqueue.run()
        assert (read(desk, item)["state"], len(desk.rows())) == ("published", 1)

    def test_a_kill_goes_to_nobody(self, desk: Newsdesk, graph: Graph, item: Document) -> None:
        """Nobody has the story."""
        correction(desk, item)
        desk.act("kill", item)
        graph.enqueue.run()
        assert desk.rows() == []


def test_what_is_only_scheduled_is_refused_without_the_setting(desk: Newsdesk) -> None:
    item = desk.act("publish", desk.story(), publish_schedule="2130-01-01T13:00:00+0000")
    answer = correction(desk, item)
    assert answer.get_json()["_issues"] == {
        "validator exception": "412: Workflow transition is invalid."
    }

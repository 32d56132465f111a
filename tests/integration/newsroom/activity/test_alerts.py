"""Administrators are told what went wrong on the way to subscribers (resources contract 22.1)."""

from typing import Any

import pytest

from apps.core.service import Document
from apps.graph.build import Graph
from apps.newsroom.activity.activities import filled
from tests.support.clients import Client
from tests.support.events import Events
from tests.support.mailbox import Mailbox
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.newsroom import file_in
from tests.support.queues import fill, leave_claimed


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Deliveries fail at once."""
    return {**settings, "MAX_TRANSMIT_RETRY_ATTEMPT": 0}


@pytest.fixture
def desk(desk: Newsdesk) -> Newsdesk:
    """The desk, with a subscriber whose directory is not there."""
    desk.newsroom.subscriber("Daily Planet", file_in("/nowhere/at/all"))
    return desk


def deliver(graph: Graph) -> None:
    graph.enqueue.run()
    graph.transmit.run()


def activities(client: Client) -> list[Document]:
    return list(client.get("activity").get_json()["_items"])


def test_of_deliveries_that_failed(
    desk: Newsdesk, graph: Graph, editor: Client, events: Events
) -> None:
    """Only administrators are recipients."""
    item = desk.published()
    deliver(graph)

    row = desk.row()
    assert row["state"] == "failed"
    (activity,) = activities(desk.client)
    assert (activity["name"], activity["resource"]) == ("delivery.exhausted", "publish_queue")
    assert activity["recipients"] == [{"user_id": desk.client.session["user"], "read": False}]
    subscriber = row["subscriber_id"]
    assert (activity["item"], activity["data"]) == (
        item["_id"],
        {
            "provider_id": "file",
            "count": 1,
            "subscriber": "Daily Planet",
            "destination": "file",
            "error": row["error_message"],
            "item": item["_id"],
            "version": row["item_version"],
            "operation": "published",
            "status": None,
            "items": [item["_id"]],
            "link": f"{graph.settings['PUBLIC_URL']}/subscribers/{subscriber}/destinations/file",
        },
    )
    assert events.named("activity")[0]["activity"]["name"] == "delivery.exhausted"


def test_of_deliveries_whose_workers_died(
    desk: Newsdesk, graph: Graph, clock: HandClock, events: Events, mailbox: Mailbox
) -> None:
    """Given up after three unknown outcomes: told like every other final failure."""
    subscriber = graph.db["subscribers"].find_one({})["_id"]
    destination = file_in("/nowhere/at/all")
    fill(graph.db, subscriber, destination, clock.precise(), items=1, unknown_outcomes=2)
    leave_claimed(graph.db, clock)
    clock.advance(seconds=61)

    graph.transmit.run()
    graph.outbox.run()

    row = desk.row()
    assert (row["state"], len(row["attempts"])) == ("failed", 1)
    (activity,) = activities(desk.client)
    assert (activity["item"], activity["data"]["count"]) == (row["item_id"], 1)
    assert activity["data"]["error"] == row["error_message"]
    assert "worker died" in row["error_message"]
    assert mailbox.received[0][1]["Subject"].startswith("1 deliveries to Daily Planet (file)")
    assert events.named("activity")[0]["activity"]["name"] == "delivery.exhausted"
    told = events.named("publish_queue:update")[-1]
    assert (told["queue_id"], told["state"]) == (str(row["_id"]), "failed")
    assert told["error_message"] == row["error_message"]


def test_those_of_one_destination_together(desk: Newsdesk, graph: Graph) -> None:
    """One activity says how many, and of which items."""
    subscriber = graph.db["subscribers"].find_one({})["_id"]
    fill(graph.db, subscriber, file_in("/nowhere/at/all"), graph.clock.precise(), items=3)

    graph.transmit.run()

    (activity,) = activities(desk.client)
    items = [f"item-{number:04}" for number in range(3)]
    assert (activity["data"]["count"], activity["data"]["items"]) == (3, items)


def test_once_an_hour(desk: Newsdesk, graph: Graph, clock: HandClock, mailbox: Mailbox) -> None:
    """However often a destination fails: one activity and one mail, which count the others."""
    for minutes in (0, 10, 60):
        clock.advance(minutes=minutes)
        desk.published()
        deliver(graph)
        graph.outbox.run()

    assert mailbox.recipients == [["admin@example.com"]] * 2
    subjects = [mail["Subject"] for _, mail in mailbox.received]
    assert subjects[0].startswith("1 deliveries to Daily Planet (file)")
    assert subjects[1].startswith("2 deliveries to Daily Planet (file)")
    assert len(activities(desk.client)) == 2


def test_who_refuses_mails_gets_none(desk: Newsdesk, graph: Graph, mailbox: Mailbox) -> None:
    """The activity is there all the same."""
    refused = {"user_preferences": {"email:notification": {"enabled": False}}}
    graph.db["users"].update_many({}, {"$set": refused})
    desk.published()
    deliver(graph)
    graph.outbox.run()

    assert (mailbox.received, len(activities(desk.client))) == ([], 1)


def test_of_items_that_cannot_be_routed(desk: Newsdesk, graph: Graph) -> None:
    """With the reason that stands on the row."""
    graph.db["subscribers"].delete_many({})
    item = desk.published()
    again = {"operation": "invent", "queue_state": "pending"}
    graph.db["published"].update_one({}, {"$set": again})

    graph.enqueue.run()

    (activity,) = activities(desk.client)
    assert (activity["item"], activity["resource"]) == (item["_id"], "published")
    assert activity["data"] == {
        "headline": "Rivers rise",
        "error": "400: Unknown operation 'invent'",
    }


class TestOff:
    @pytest.fixture
    def settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        return {**settings, "ERROR_NOTIFICATIONS": False}

    def test_nobody_is_told(self, desk: Newsdesk, graph: Graph, mailbox: Mailbox) -> None:
        """Neither of what could not be delivered nor of what could not be routed."""
        desk.published()
        deliver(graph)
        again = {"operation": "invent", "queue_state": "pending"}
        graph.db["published"].update_one({}, {"$set": again})
        graph.enqueue.run()
        graph.outbox.run()

        assert graph.db["published"].find_one()["queue_state"] == "error"
        assert graph.db["publish_queue"].find_one()["state"] == "failed"
        assert (mailbox.received, activities(desk.client)) == ([], [])


class TestRetries:
    @pytest.fixture
    def settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        return {**settings, "MAX_TRANSMIT_RETRY_ATTEMPT": 3}

    def test_a_delivery_that_is_tried_again_is_no_failed_one(
        self, desk: Newsdesk, graph: Graph
    ) -> None:
        """It is told as an error of its destination (delivery contract 7)."""
        desk.published()
        deliver(graph)

        assert desk.row()["state"] == "retrying"
        assert [a["resource"] for a in activities(desk.client)] == ["subscribers"]


def test_texts_hold_their_values() -> None:
    """What is not known is a dash."""
    data = {"count": 2, "destination": None, "error": "a\nb"}
    assert filled("{{ count }} to {{ destination }}: {{ error }}", data) == "2 to -: a b"

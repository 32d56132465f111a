"""What failing deliveries come to (delivery contract 7)."""

from collections.abc import Iterator
from typing import Any

import pytest

from apps.core.service import Document
from apps.graph.build import Graph, build_graph
from tests.support.clients import Client
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.newsroom import push
from tests.support.queues import fill
from tests.support.receivers import HTTPReceiver


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Mails are written, and not sent."""
    return {
        **settings,
        "MAIL_SERVER": "127.0.0.1",
        "MAIL_PORT": 9,
        "RETRY_JITTER": 0,
    }


def deliver(graph: Graph) -> None:
    graph.enqueue.run()
    graph.transmit.run()


def shown(desk: Newsdesk, subscriber: Any) -> Document:
    return dict(desk.client.get(f"subscribers/{subscriber}").get_json())


def told(desk: Newsdesk) -> list[tuple[str, str]]:
    """Return name and message of the activities about deliveries."""
    rows = desk.db["activity"].find({"resource": "subscribers"}).sort("_id", 1)
    return [(row["name"], row["message"]) for row in rows]


class TestClosing:
    def test_a_critical_error_closes_the_subscriber(self, desk: Newsdesk, graph: Graph) -> None:
        """At the first such error; its rows are kept, nothing more is sent.

        Delivery scenario 26.
        """
        with HTTPReceiver(answers=[503]) as receiver:
            fields: Document = {"critical_errors": {"14002": True}}
            subscriber = desk.newsroom.subscriber("s", push(receiver.url), **fields)
            for _ in range(3):
                desk.published()

            deliver(graph)
            graph.transmit.run()

            assert len(receiver.requests) == 1
        closed = shown(desk, subscriber)
        expected = "Subscriber made inactive due to critical error: "
        expected += "PublishHTTPPushServerError Error 14002"
        assert closed["is_active"] is False
        assert closed["last_closed"]["message"].startswith(expected)
        assert closed["last_closed"]["closed_at"]
        assert "closed_by" not in closed["last_closed"]
        assert sorted(row["state"] for row in desk.rows()) == ["pending", "pending", "retrying"]

    def test_what_was_held_goes_out_when_it_is_active_again(
        self, desk: Newsdesk, graph: Graph, clock: HandClock
    ) -> None:
        """In order; an item that was killed meanwhile arrives only as kill.

        Delivery scenario 27.
        """
        with HTTPReceiver(answers=[503]) as receiver:
            fields: Document = {"critical_errors": {"14002": True}, "email": "a@example.com"}
            subscriber = desk.newsroom.subscriber("s", push(receiver.url), **fields)
            first, killed, last = (desk.published() for _ in range(3))
            deliver(graph)
            desk.act("kill", killed)
            graph.enqueue.run()
            clock.advance(minutes=5)

            answer = desk.client.patch(f"subscribers/{subscriber}", {"is_active": True})
            assert answer.status_code == 200, answer.text
            graph.transmit.run()

            sent = [(r.json()["guid"], r.json()["pubstatus"]) for r in receiver.requests[1:]]
        assert sorted(sent) == sorted(
            [(first["guid"], "usable"), (killed["guid"], "canceled"), (last["guid"], "usable")]
        )
        order = [guid for guid, status in sent if status == "usable"]
        assert order == [first["guid"], last["guid"]]
        states = {row["state"] for row in desk.rows()}
        assert states == {"success", "canceled"}

    def test_a_subscriber_that_a_user_closed_gets_no_kill(
        self, desk: Newsdesk, graph: Graph
    ) -> None:
        """Routing scenario 30: deactivated, it is told nothing; who did it is on record."""
        subscriber = desk.newsroom.subscriber("s", push("http://127.0.0.1:9"))
        item = desk.published()
        graph.enqueue.run()
        desk.client.patch(f"subscribers/{subscriber}", {"is_active": False})

        desk.act("kill", item)
        graph.enqueue.run()

        assert shown(desk, subscriber)["last_closed"]["closed_by"]
        assert [row["publishing_action"] for row in desk.rows()] == ["published"]

    @pytest.mark.parametrize("critical", [{"14002": False}, {"14001": True}, {}, None])
    def test_other_errors_do_not(
        self, desk: Newsdesk, graph: Graph, critical: dict[str, bool] | None
    ) -> None:
        """Delivery scenario 28: it stays active."""
        fields: Document = {} if critical is None else {"critical_errors": critical}
        with HTTPReceiver(answers=[503]) as receiver:
            subscriber = desk.newsroom.subscriber("s", push(receiver.url), **fields)
            desk.published()
            deliver(graph)

        assert shown(desk, subscriber)["is_active"] is True

    def test_an_inactive_subscriber_is_sent_nothing(self, desk: Newsdesk, graph: Graph) -> None:
        """Delivery scenario 29: pending rows wait."""
        with HTTPReceiver() as receiver:
            subscriber = desk.newsroom.subscriber("s", push(receiver.url))
            desk.published()
            graph.enqueue.run()
            desk.client.patch(f"subscribers/{subscriber}", {"is_active": False})
            graph.transmit.run()

            assert receiver.requests == []
        assert desk.row()["state"] == "pending"


class TestTelling:
    def test_administrators_are_told_once(
        self, desk: Newsdesk, graph: Graph, clock: HandClock
    ) -> None:
        """One activity an hour with a count, one mail a day, and the recovery.

        Delivery scenario 6.
        """
        refused = "http://127.0.0.1:9"
        subscriber = desk.newsroom.subscriber("s", push(refused))
        desk.published()
        deliver(graph)
        clock.advance(minutes=1)
        graph.transmit.run()

        ((name, message),) = told(desk)
        assert name == "error"
        assert message.startswith("Error [14000] on a Subscribers destination {{name}}: ")
        (activity,) = desk.db["activity"].find({})
        assert activity["data"] == {"name": "push", "provider_id": "push", "count": 1}
        (mail,) = desk.db["mails"].find({})
        assert mail["to"] == ["admin@example.com"]
        assert mail["subject"].startswith("System Error [14000] on a Subscribers destination push")
        clock.advance(hours=1)
        graph.transmit.run()
        assert [name for name, _ in told(desk)] == ["error", "error"]
        assert desk.db["activity"].find_one({"data.count": 2}) is not None
        assert desk.db["mails"].count_documents({}) == 1

        with HTTPReceiver() as receiver:
            there = {"destinations.0.config.resource_url": receiver.url}
            desk.db["subscribers"].update_one({"_id": subscriber}, {"$set": there})
            clock.advance(hours=1)
            graph.transmit.run()
            desk.published()
            deliver(graph)
            assert len(receiver.requests) == 2
        assert [name for name, _ in told(desk)] == ["error", "error", "destination.recovered"]

    def test_nobody_is_told_where_the_setting_says_so(
        self, desk: Newsdesk, settings: dict[str, Any], clock: HandClock
    ) -> None:
        """ERROR_NOTIFICATIONS off: no activity, no mail; critical errors close all the same."""
        silent = build_graph({**settings, "ERROR_NOTIFICATIONS": False}, clock=clock)
        fields: Document = {"critical_errors": {"14000": True}}
        subscriber = desk.newsroom.subscriber("s", push("http://127.0.0.1:9"), **fields)
        desk.published()
        deliver(silent)
        silent.close()

        assert told(desk) == []
        assert desk.db["mails"].count_documents({}) == 0
        assert shown(desk, subscriber)["is_active"] is False


class TestEvents:
    """What becomes of a destination: once an hour at most, for administrators."""

    @pytest.fixture
    def receiver(self, desk: Newsdesk) -> Iterator[HTTPReceiver]:
        with HTTPReceiver() as server:
            self.subscriber = desk.newsroom.subscriber("Daily", push(server.url))
            yield server

    def events_of(self, desk: Newsdesk) -> list[str]:
        rows = desk.db["activity"].find({"name": {"$ne": "error"}}).sort("_id", 1)
        return [row["name"] for row in rows]

    def mails(self, desk: Newsdesk) -> list[str]:
        return [mail["subject"] for mail in desk.db["mails"].find({}).sort("_id", 1)]

    def queue(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, clock: HandClock, items: int
    ) -> None:
        key = f"{clock.at:%d%H%M%S}"
        for number in range(items):
            own = {"idempotency_key": f"{key}-{number}", "payload_id": f"{key}-{number}"}
            own["item_id"] = f"item-{key}-{number}"
            fill(graph.db, self.subscriber, push(receiver.url), clock.at, items=1, **own)
        graph.transmit.run()

    @pytest.mark.parametrize(
        ("status", "expected"),
        [(400, ["delivery.exhausted", "destination.failing"]), (503, ["destination.failing"])],
    )
    def test_any_number_of_failures_is_one_mail(
        self,
        desk: Newsdesk,
        graph: Graph,
        clock: HandClock,
        receiver: HTTPReceiver,
        status: int,
        expected: list[str],
    ) -> None:
        """And one activity of each kind."""
        receiver.answer(lambda request: status)
        fill(graph.db, self.subscriber, push(receiver.url), clock.at, items=100)
        for _ in range(20):
            graph.transmit.run()
            clock.advance(minutes=2)

        assert self.events_of(desk) == expected
        assert len(self.mails(desk)) == 1

    def test_the_fourth_failure_in_a_row_is_told(
        self, desk: Newsdesk, graph: Graph, clock: HandClock, receiver: HTTPReceiver
    ) -> None:
        """With the item, what was done with it, what the receiver said, and where to look."""
        receiver.answer([503, 503, 503, 200, 503, 503, 503, 503])
        for number in range(8):
            self.queue(desk, graph, receiver, clock, 1)
            assert ("destination.failing" in self.events_of(desk)) is (number == 7)
            desk.db["publish_queue"].update_many({}, {"$set": {"state": "canceled"}})
            desk.db["publish_lanes"].update_many({}, {"$unset": {"breaker": 1}})
            clock.advance(minutes=1)

        activity = desk.db["activity"].find_one({"name": "destination.failing"})
        path = f"subscribers/{self.subscriber}/destinations/push"
        row = desk.rows()[-1]
        assert {key: activity["data"][key] for key in ("failures", "status", "operation")} == {
            "failures": 4,
            "status": 503,
            "operation": "published",
        }
        assert (activity["item"], activity["data"]["version"]) == (row["item_id"], 1)
        assert activity["data"]["link"].endswith(path)
        assert activity["recipients"][0]["user_id"] == desk.db["users"].find_one({})["_id"]

    def test_the_recovery_is_told_once(
        self, desk: Newsdesk, graph: Graph, clock: HandClock, receiver: HTTPReceiver
    ) -> None:
        """By mail, too, as the failing was; also where it goes up and down all the time."""
        receiver.answer([400] * 4)
        self.queue(desk, graph, receiver, clock, 6)
        for _ in range(5):
            clock.advance(minutes=1)
            receiver.answer([400] * 4)
            self.queue(desk, graph, receiver, clock, 6)

        assert self.events_of(desk) == [
            "delivery.exhausted",
            "destination.failing",
            "destination.recovered",
        ]
        assert self.mails(desk)[1:] == ["push of Daily takes deliveries again."]

    def test_that_it_is_disabled_is_told(
        self, desk: Newsdesk, graph: Graph, clock: HandClock, receiver: HTTPReceiver
    ) -> None:
        """With the reason, and that withdrawals wait, too."""
        receiver.answer([410])
        self.queue(desk, graph, receiver, clock, 3)

        assert self.events_of(desk) == ["delivery.exhausted", "destination.disabled"]
        subject = self.mails(desk)[1]
        assert subject.startswith("push of Daily is disabled: It answered 410: it is gone.")
        assert "withdrawals neither" in subject

    def test_a_withdrawal_that_waits_is_told(
        self, desk: Newsdesk, graph: Graph, clock: HandClock, receiver: HTTPReceiver
    ) -> None:
        """Somebody has to tell the receiver otherwise."""
        item = desk.published()
        deliver(graph)
        desk.client.post(f"subscribers/{self.subscriber}/destinations/push/pause", {})
        desk.published()
        deliver(graph)
        assert self.events_of(desk) == []
        desk.act("kill", item)
        deliver(graph)

        (activity,) = desk.db["activity"].find({"name": "destination.withdrawal_held"})
        assert (activity["item"], activity["data"]["operation"]) == (item["_id"], "killed")
        subject = f"A withdrawal of {item['_id']} waits"
        assert [mail.startswith(subject) for mail in self.mails(desk)] == [True]

    def test_who_may_not_see_the_item_is_not_told(
        self, desk: Newsdesk, graph: Graph, clock: HandClock, receiver: HTTPReceiver, editor: Client
    ) -> None:
        """Only administrators are recipients."""
        receiver.answer([410])
        self.queue(desk, graph, receiver, clock, 1)

        rows = desk.db["activity"].find({"name": {"$ne": "error"}})
        admin = desk.db["users"].find_one({"username": "admin"})["_id"]
        assert {tuple(r["user_id"] for r in row["recipients"]) for row in rows} == {(admin,)}

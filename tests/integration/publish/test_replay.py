"""Sending again what a destination should have got (delivery contract 7.2)."""

from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from apps.core.service import Document
from apps.graph.build import Graph
from apps.publish.destinations import replay as module
from apps.publish.row_actions.service import MOST_ROWS
from tests.support.clients import Client
from tests.support.newsdesk import START, HandClock, Newsdesk
from tests.support.newsroom import file_in, push
from tests.support.queues import fill
from tests.support.receivers import HTTPReceiver

SINCE = "2030-01-01T12:00:00+0000"


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Queries take as long as a busy machine needs."""
    return {**settings, "QUERY_TIMEOUT_SECONDS": 600}


@pytest.fixture
def subscriber(desk: Newsdesk, receiver: HTTPReceiver) -> ObjectId:
    return desk.newsroom.subscriber("Daily", push(receiver.url))


def replay(client: Client, subscriber: Any, id: str = "push", **body: Any) -> Any:
    return client.post(f"subscribers/{subscriber}/destinations/{id}/replay", body)


def replayed(client: Client, subscriber: Any, expected: int, **more: Any) -> Document:
    answer = replay(client, subscriber, expected=expected, **{"since": SINCE, **more})
    assert answer.status_code == 200, answer.text
    return dict(answer.get_json())


def deliver(graph: Graph) -> None:
    graph.enqueue.run()
    graph.transmit.run()


def told(receiver: HTTPReceiver) -> list[tuple[str, str]]:
    bodies = (request.json() for request in receiver.requests)
    return [(body["headline"], body["pubstatus"]) for body in bodies]


class TestWhatIsSent:
    def test_is_all_since_then_in_its_order(
        self,
        desk: Newsdesk,
        graph: Graph,
        receiver: HTTPReceiver,
        subscriber: Any,
        clock: HandClock,
    ) -> None:
        """What came before stays as it is; what has failed goes, too."""
        desk.published(headline="before")
        deliver(graph)
        clock.advance(hours=1)
        receiver.answer([200, 400, 200])
        for headline in ("a", "b", "c"):
            desk.published(headline=headline)
        deliver(graph)
        assert [row["state"] for row in desk.rows()] == ["success", "success", "failed", "success"]
        seen = len(receiver.requests)

        answer = replayed(desk.client, subscriber, 3, since="2030-01-01T12:30:00+0000")
        graph.transmit.run()

        assert (answer["done"], answer["left_out"]) == (3, [])
        assert [headline for headline, _ in told(receiver)[seen:]] == ["a", "b", "c"]
        keys = {row["idempotency_key"] for row in desk.rows()}
        assert len(keys) == len(desk.rows()) == 7

    def test_is_the_newest_version_where_the_receiver_keeps_that(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, subscriber: Any
    ) -> None:
        item = desk.published(headline="one")
        deliver(graph)
        desk.act("correct", item, headline="two")
        deliver(graph)
        seen = len(receiver.requests)

        replayed(desk.client, subscriber, 1)
        graph.transmit.run()

        assert told(receiver)[seen:] == [("two", "usable")]

    def test_is_every_version_where_each_stands_for_itself(
        self, desk: Newsdesk, graph: Graph, tmp_path: Path
    ) -> None:
        """In the order of the versions, and each once however often it was sent again."""
        subscriber = desk.newsroom.subscriber("Files", file_in(tmp_path))
        item = desk.published(headline="one")
        deliver(graph)
        desk.act("correct", item, headline="two")
        deliver(graph)
        row = desk.rows()[0]
        assert desk.client.post(f"publish_queue/{row['_id']}/resend", {}).status_code == 200
        graph.transmit.run()

        replay_answer = replay(desk.client, subscriber, "file", since=SINCE, expected=2)
        graph.transmit.run()

        assert replay_answer.status_code == 200, replay_answer.text
        again = desk.rows()[3:]
        assert [row["headline"] for row in again] == ["one", "two"]
        assert {row["state"] for row in again} == {"success"}

    def test_has_the_kill_last(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, subscriber: Any
    ) -> None:
        """Nothing from before it is shown to anybody again."""
        item = desk.published(headline="one")
        deliver(graph)
        desk.act("kill", item)
        deliver(graph)
        seen = len(receiver.requests)

        replayed(desk.client, subscriber, 1)
        graph.transmit.run()

        assert [status for _, status in told(receiver)[seen:]] == ["canceled"]

    @pytest.mark.parametrize("by_file", [True, False])
    def test_has_nothing_from_before_a_kill_in_any_mode(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, tmp_path: Path, by_file: bool
    ) -> None:
        destination = file_in(tmp_path) if by_file else push(receiver.url)
        subscriber = desk.newsroom.subscriber("s", destination)
        item = desk.published(headline="one")
        deliver(graph)
        desk.act("kill", item)
        deliver(graph)

        answer = replay(desk.client, subscriber, destination["_id"], since=SINCE, expected=1)

        (row,) = answer.get_json()["_items"]
        assert desk.row(_id=ObjectId(row["_id"]))["publishing_action"] == "killed"

    def test_is_not_what_somebody_has_canceled(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, subscriber: Any
    ) -> None:
        desk.published(headline="a")
        graph.enqueue.run()
        desk.client.post(f"publish_queue/{desk.row()['_id']}/cancel", {})

        replayed(desk.client, subscriber, 0)

    def test_is_of_this_destination_alone(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, subscriber: Any
    ) -> None:
        with HTTPReceiver() as other:
            desk.newsroom.subscriber("other", push(other.url))
            desk.published(headline="a")
            deliver(graph)
            replayed(desk.client, subscriber, 1)
            graph.transmit.run()

            assert (len(receiver.requests), len(other.requests)) == (2, 1)


class TestWhatGoesByItself:
    @pytest.mark.parametrize("state", ["pending", "retrying", "in-progress"])
    def test_is_left_out_with_all_versions_of_its_item(
        self,
        desk: Newsdesk,
        graph: Graph,
        receiver: HTTPReceiver,
        subscriber: Any,
        state: str,
    ) -> None:
        """An older version must not come behind a newer one that waits."""
        item = desk.published(headline="one")
        other = desk.published(headline="other")
        deliver(graph)
        desk.act("correct", item, headline="two")
        graph.enqueue.run()
        newest = desk.rows()[-1]
        desk.db["publish_queue"].update_one({"_id": newest["_id"]}, {"$set": {"state": state}})

        answer = replayed(desk.client, subscriber, 1)

        assert answer["left_out"] == [item["_id"]]
        (row,) = answer["_items"]
        assert desk.row(_id=ObjectId(row["_id"]))["item_id"] == other["_id"]

    def test_is_left_out_as_long_as_it_is_not_routed(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, subscriber: Any
    ) -> None:
        item = desk.published(headline="one")
        deliver(graph)
        desk.act("kill", item)

        assert replayed(desk.client, subscriber, 0)["left_out"] == [item["_id"]]
        deliver(graph)

        assert [status for _, status in told(receiver)] == ["usable", "canceled"]

    def test_has_the_last_word_when_it_comes_afterwards(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, subscriber: Any
    ) -> None:
        """A kill while the replay waits to be sent."""
        item = desk.published(headline="one")
        deliver(graph)
        replayed(desk.client, subscriber, 1)
        desk.act("kill", item)
        # The kill is not routed yet.
        graph.transmit.run()
        deliver(graph)

        assert [status for _, status in told(receiver)] == ["usable", "canceled"]
        assert [row["state"] for row in desk.rows()] == ["success", "canceled", "success"]

    def test_has_the_last_word_when_it_comes_in_between(
        self,
        desk: Newsdesk,
        graph: Graph,
        receiver: HTTPReceiver,
        subscriber: Any,
        monkeypatch: Any,
    ) -> None:
        """A kill that is published and routed while the rows are looked for."""
        item = desk.published(headline="one")
        deliver(graph)
        read, times = module.Replay._read, []

        def read_and_kill(self: Any, *arguments: Any) -> Any:
            found = read(self, *arguments)
            times.append(len(found))
            if len(times) == 1:
                desk.act("kill", item)
                graph.enqueue.run()
            return found

        monkeypatch.setattr(module.Replay, "_read", read_and_kill)

        assert replayed(desk.client, subscriber, 0)["left_out"] == [item["_id"]]
        assert times == [1, 2]


class TestRequests:
    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"since": SINCE}, "expected"),
            ({"since": SINCE, "expected": None}, "expected"),
            ({"since": SINCE, "expected": "1"}, "expected"),
            ({"expected": 1}, "since"),
            ({"expected": 1, "since": "yesterday"}, "since"),
            ({"expected": 1, "since": 5}, "since"),
            ({"expected": 1, "since": ""}, "since"),
            ({"expected": 1, "since": SINCE, "until": SINCE}, "until"),
            ({}, "since"),
        ],
        ids=str,
    )
    def test_of_another_shape_are_400(
        self, desk: Newsdesk, subscriber: Any, body: Document, field: str
    ) -> None:
        answer = replay(desk.client, subscriber, **body)

        assert answer.status_code == 400, answer.text
        assert field in answer.get_json()["_issues"]

    @pytest.mark.parametrize("expected", [0, 2, -1])
    def test_of_a_wrong_number_say_the_real_one(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, subscriber: Any, expected: int
    ) -> None:
        desk.published()
        deliver(graph)

        answer = replay(desk.client, subscriber, since=SINCE, expected=expected)

        assert answer.status_code == 409
        assert answer.get_json()["_message"].startswith("1 deliveries would be sent again")
        assert len(desk.rows()) == 1

    def test_of_too_many_rows_are_400(
        self,
        desk: Newsdesk,
        graph: Graph,
        receiver: HTTPReceiver,
        subscriber: Any,
        clock: HandClock,
    ) -> None:
        """A thousand are taken."""
        fill(graph.db, subscriber, push(receiver.url), clock.at, items=MOST_ROWS + 1)
        graph.db["publish_queue"].update_many({}, {"$set": {"state": "success"}})

        assert (
            replay(desk.client, subscriber, since=SINCE, expected=MOST_ROWS + 1).status_code == 400
        )
        graph.db["publish_queue"].update_one({}, {"$set": {"state": "canceled"}})
        assert replayed(desk.client, subscriber, MOST_ROWS)["done"] == MOST_ROWS

    def test_read_no_more_than_is_looked_at(
        self,
        desk: Newsdesk,
        graph: Graph,
        receiver: HTTPReceiver,
        subscriber: Any,
        clock: HandClock,
        monkeypatch: Any,
    ) -> None:
        monkeypatch.setattr(module, "MOST_READ", 5)
        fill(graph.db, subscriber, push(receiver.url), clock.at, items=1, versions=6)

        assert replay(desk.client, subscriber, since=SINCE, expected=0).status_code == 400

    @pytest.mark.parametrize(
        ("subscriber_id", "id"), [(ObjectId(), "push"), ("x", "push"), (None, "other")]
    )
    def test_for_nobody_are_404(
        self, desk: Newsdesk, subscriber: Any, subscriber_id: Any, id: str
    ) -> None:
        owner = subscriber_id or subscriber

        assert replay(desk.client, owner, id, since=SINCE, expected=0).status_code == 404

    def test_need_the_privilege(self, editor: Client, subscriber: Any) -> None:
        assert replay(editor, subscriber, since=SINCE, expected=0).status_code == 403

    @pytest.mark.parametrize(
        "fields",
        [{"item_id": 5}, {"item_id": None}, {"order_no": "x"}, {"item_version": "x"}],
        ids=str,
    )
    def test_bear_with_odd_rows(
        self,
        desk: Newsdesk,
        graph: Graph,
        receiver: HTTPReceiver,
        subscriber: Any,
        fields: Document,
    ) -> None:
        """What others wrote keeps nothing else from being sent again."""
        desk.published(headline="odd")
        desk.published(headline="b")
        deliver(graph)
        odd = desk.rows()[0]
        desk.db["publish_queue"].update_one({"_id": odd["_id"]}, {"$set": fields})
        count = 1 if "item_id" in fields else 2

        replayed(desk.client, subscriber, count)
        graph.transmit.run()

        assert "b" in [headline for headline, _ in told(receiver)[2:]]


def test_a_paused_destination_keeps_the_rows(
    desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, subscriber: Any
) -> None:
    """They go out when it goes on; until then they are not tried at once, either."""
    desk.published(headline="a")
    deliver(graph)
    door = f"subscribers/{subscriber}/destinations/push"
    assert desk.client.post(f"{door}/pause", {}).status_code == 200

    replayed(desk.client, subscriber, 1)
    graph.transmit.run()

    row = desk.rows()[-1]
    change = {"$set": {"state": "retrying", "next_retry_attempt_at": START}}
    desk.db["publish_queue"].update_one({"_id": row["_id"]}, change)
    shown = desk.client.get(f"publish_queue/{row['_id']}").get_json()
    answer = desk.client.post(f"publish_queue/{row['_id']}/run_now", {})
    assert (len(receiver.requests), shown["_actions"]) == (1, ["cancel"])
    assert (answer.status_code, answer.get_json()["_message"]) == (409, shown["held"])


def test_a_request_that_comes_twice_is_carried_out_once(
    desk: Newsdesk, graph: Graph, subscriber: Any
) -> None:
    """With an idempotency key; with another body it is 422 (delivery contract 1.3)."""
    desk.published(headline="a")
    deliver(graph)
    path = f"subscribers/{subscriber}/destinations/push/replay"
    body, headers = {"since": SINCE, "expected": 1}, {"Idempotency-Key": "k"}

    def ask(**more: Any) -> Any:
        return desk.client.request("POST", path, json={**body, **more}, headers=headers)

    first, again, other = ask(), ask(), ask(expected=2)

    assert (first.status_code, first.get_json()["done"]) == (200, 1)
    assert (again.status_code, again.data) == (200, first.data)
    assert (other.status_code, len(desk.rows())) == (422, 2)

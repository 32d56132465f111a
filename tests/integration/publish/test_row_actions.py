"""Actions on rows of the delivery queue, one or many at a time (delivery contract 1.1)."""

from collections.abc import Callable, Iterator
from threading import Thread
from typing import Any

import pytest
from bson import ObjectId
from pymongo.errors import AutoReconnect

from apps.core import json
from apps.core.service import Document
from apps.graph.build import Graph
from apps.publish.row_actions.service import MOST_ROWS
from tests.support.clients import Client
from tests.support.commands import CommandCounter
from tests.support.events import Events
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.newsroom import push
from tests.support.queues import fill
from tests.support.receivers import HTTPReceiver
from tests.support.services import empty_services

ACTIONS = ("resend", "cancel", "run_now")
ALLOWED: dict[str, list[str]] = {
    "pending": ["cancel"],
    "retrying": ["cancel", "run_now"],
    "in-progress": [],
    "success": ["resend"],
    "failed": ["resend"],
    "canceled": ["resend"],
    "error": ["resend"],
}
TABLE = [(state, action) for state in ALLOWED for action in ACTIONS]
PLANTED = "planted-77c1"
UNKNOWN_ID = "0123456789abcdef01234567"


@pytest.fixture
def commands() -> CommandCounter:
    return CommandCounter()


@pytest.fixture
def graph(settings: dict[str, Any], clock: HandClock, commands: CommandCounter) -> Iterator[Graph]:
    with empty_services(settings, clock=clock, listeners=[commands]) as built:
        yield built


@pytest.fixture
def subscriber(desk: Newsdesk, receiver: HTTPReceiver) -> ObjectId:
    return desk.newsroom.subscriber("s", push(receiver.url, secret_token=PLANTED))


@pytest.fixture
def queued(desk: Newsdesk, graph: Graph, subscriber: ObjectId) -> list[Document]:
    """Three items, routed but not sent; their rows as stored, oldest first."""
    for headline in "abc":
        desk.published(headline=headline)
    graph.enqueue.run()
    return desk.rows()


def put(desk: Newsdesk, row: Document, **fields: Any) -> None:
    desk.db["publish_queue"].update_one({"_id": row["_id"]}, {"$set": fields})


def put_all(desk: Newsdesk, **fields: Any) -> None:
    desk.db["publish_queue"].update_many({}, {"$set": fields})


def act(client: Client, row: Document, action: str) -> Any:
    return client.post(f"publish_queue/{row['_id']}/{action}", {})


def act_on_all(client: Client, action: str, expected: Any, where: Any = None) -> Any:
    body = {"action": action, "where": {} if where is None else where, "expected": expected}
    return client.post("publish_queue/actions", body)


def told(receiver: HTTPReceiver) -> list[str]:
    return [request.json()["headline"] for request in receiver.requests]


def message_of(answer: Any) -> str:
    return str(answer.get_json()["_message"])


class TestWhatIsAllowed:
    @pytest.mark.parametrize("state", ALLOWED)
    def test_is_listed_with_each_row(
        self, desk: Newsdesk, queued: list[Document], state: str
    ) -> None:
        """In lists, by the id of the row and by that of the item."""
        put(desk, queued[0], state=state)

        listed = desk.client.get("publish_queue", sort="order_no").get_json()["_items"]
        alone = desk.client.get(f"publish_queue/{queued[0]['_id']}").get_json()
        by_item = desk.client.get(f"publish_queue/{queued[0]['item_id']}").get_json()

        assert [row["_actions"] for row in listed] == [ALLOWED[state], ["cancel"], ["cancel"]]
        assert alone["_actions"] == by_item["_actions"] == ALLOWED[state]

    @pytest.mark.parametrize(("state", "action"), TABLE)
    def test_is_what_is_done(
        self, desk: Newsdesk, queued: list[Document], clock: HandClock, state: str, action: str
    ) -> None:
        """What is listed is done; all else is 409 with a reason and a way out, and does nothing."""
        put(desk, queued[0], state=state, next_retry_attempt_at=clock.at)
        before = desk.rows()

        answer = act(desk.client, queued[0], action)
        of_many = act_on_all(desk.client, action, 1, {"_id": str(queued[1]["_id"])})

        assert of_many.status_code == 200
        if action in ALLOWED[state]:
            assert answer.status_code == 200, answer.text
            return
        assert answer.status_code == 409
        assert len(message_of(answer)) > 30
        assert desk.rows()[0] == before[0]

    @pytest.mark.parametrize(("state", "action"), TABLE)
    def test_holds_for_many_rows_as_for_one(
        self, desk: Newsdesk, queued: list[Document], clock: HandClock, state: str, action: str
    ) -> None:
        """Each row has its own outcome, and its own reason."""
        put(desk, queued[1], state=state, next_retry_attempt_at=clock.at)

        answer = act_on_all(desk.client, action, 3).get_json()

        outcomes = {item["_id"]: item for item in answer["_items"]}
        assert list(outcomes) == [str(row["_id"]) for row in queued]
        other, own = (outcomes[str(row["_id"])] for row in queued[:2])
        assert own["outcome"] == ("done" if action in ALLOWED[state] else "refused")
        assert ("message" in own) == (own["outcome"] == "refused")
        assert other["outcome"] == ("done" if action == "cancel" else "refused")
        assert answer["done"] + answer["refused"] == answer["matched"] == 3

    def test_is_told_where_the_state_is_asked_for(
        self, desk: Newsdesk, queued: list[Document]
    ) -> None:
        """A client that asks for some fields gets the actions where the state is among them."""
        path = "publish_queue"
        one = desk.client.get(path, projection='{"headline": 1}').get_json()["_items"][0]
        two = desk.client.get(path, projection='{"state": 1}').get_json()["_items"][0]

        assert "_actions" not in one
        assert two["_actions"] == ["cancel"]

    def test_costs_no_command_for_each_row(
        self,
        desk: Newsdesk,
        graph: Graph,
        clock: HandClock,
        subscriber: ObjectId,
        commands: CommandCounter,
    ) -> None:
        """A page of one row and one of twenty-five."""
        fill(graph.db, subscriber, push("http://127.0.0.1:9"), clock.at, items=25)
        put_all(desk, state="retrying")
        counts = []
        for size in (1, 25, 1, 25):
            before = commands.count
            page = desk.client.get("publish_queue", max_results=size).get_json()["_items"]
            counts.append(commands.count - before)
            assert [row["_actions"] for row in page] == [["cancel", "run_now"]] * size

        assert len(set(counts[2:])) == 1

    def test_is_not_taken_from_clients(self, desk: Newsdesk, queued: list[Document]) -> None:
        """Who sends a row back as it was read is understood."""
        row = desk.client.get(f"publish_queue/{queued[0]['_id']}").get_json()
        path = f"publish_queue/{row['_id']}"

        patched = desk.client.patch(path, {"_actions": ["x"], "headline": "y"}, etag=row["_etag"])
        posted = desk.client.post("publish_queue", {"item_id": "a", "_actions": ["resend"]})

        assert (patched.status_code, posted.status_code) == (200, 201)
        assert not any("_actions" in stored for stored in desk.rows())

    @pytest.mark.parametrize("state", ["gone", None, 5, {"a": 1}])
    def test_is_nothing_of_a_row_in_an_odd_state(
        self, desk: Newsdesk, queued: list[Document], state: Any
    ) -> None:
        """What others have written is refused in plain words."""
        put(desk, queued[0], state=state)

        assert desk.client.get(f"publish_queue/{queued[0]['_id']}").get_json()["_actions"] == []
        for action in ACTIONS:
            answer = act(desk.client, queued[0], action)
            assert (answer.status_code, "state" in message_of(answer)) == (409, True)


class TestRequests:
    @pytest.mark.parametrize("action", ["retry", "pause", "RESEND", "constructor"])
    def test_unknown_actions_are_404(
        self, desk: Newsdesk, queued: list[Document], action: str
    ) -> None:
        one, many = act(desk.client, queued[0], action), act_on_all(desk.client, action, 3)

        assert (one.status_code, many.status_code) == (404, 404)
        assert "resend, cancel, run_now" in message_of(one)

    @pytest.mark.parametrize("id", [UNKNOWN_ID, "no-id", "tag:x", "$where", "%00"])
    def test_unknown_rows_are_404(self, desk: Newsdesk, queued: list[Document], id: str) -> None:
        assert act(desk.client, {"_id": id}, "cancel").status_code == 404

    def test_the_id_of_an_item_is_none_of_a_row(
        self, desk: Newsdesk, queued: list[Document]
    ) -> None:
        """An item may have many rows: nobody guesses which was meant."""
        assert act(desk.client, {"_id": queued[0]["item_id"]}, "cancel").status_code == 404

    def test_need_the_privilege_that_writes_need(
        self, editor: Client, desk: Newsdesk, queued: list[Document]
    ) -> None:
        """As PATCH and POST of the queue."""
        put_all(desk, state="failed")
        before = desk.rows()

        for action in ACTIONS:
            assert act(editor, queued[0], action).status_code == 403
            assert act_on_all(editor, action, 3).status_code == 403
        assert act(Client(editor.app), queued[0], "resend").status_code == 401
        assert act_on_all(Client(editor.app), "resend", 3).status_code == 401
        assert desk.rows() == before

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"action": "cancel", "where": {}}, "expected"),
            ({"action": "cancel", "where": {}, "expected": None}, "expected"),
            ({"action": "cancel", "where": {}, "expected": "3"}, "expected"),
            ({"action": "cancel", "where": {}, "expected": True}, "expected"),
            ({"action": "cancel", "where": {}, "expected": 3.0}, "expected"),
            ({"action": "cancel", "expected": 3}, "where"),
            ({"action": "cancel", "where": None, "expected": 3}, "where"),
            ({"where": {}, "expected": 3}, "action"),
            ({"action": ["cancel"], "where": {}, "expected": 3}, "action"),
            ({"action": "cancel", "where": {}, "expected": 3, "force": True}, "force"),
            ({}, "action"),
        ],
        ids=str,
    )
    def test_of_another_shape_are_400(
        self, desk: Newsdesk, queued: list[Document], body: Document, field: str
    ) -> None:
        """Nobody acts on rows without saying which, and how many they take them for."""
        answer = desk.client.post("publish_queue/actions", body)

        assert answer.status_code == 400, answer.text
        assert field in answer.get_json()["_issues"]
        assert {row["state"] for row in desk.rows()} == {"pending"}

    @pytest.mark.parametrize(
        "where",
        [
            "nonsense(",
            [],
            5,
            "[]",
            {"$where": "1"},
            {"state": {"$where": "1"}},
            {"destination.config.secret_token": {"$regex": "^p"}},
            '{"destination.config.secret_token": {"$regex": "^p"}}',
            {"lane": "x"},
            {"$or": []},
            {"$or": [{"lane": "x"}]},
            {"state": {"$regex": "(a+)+$"}},
            {"": 1},
            {"item_id": {"$in": list(range(2000))}},
            json.loads('{"a":' * 40 + "1" + "}" * 40),
        ],
        ids=lambda where: str(where)[:40],
    )
    def test_ask_for_no_more_than_lists(
        self, desk: Newsdesk, queued: list[Document], where: Any
    ) -> None:
        """The same parsing, the same limits: what a list refuses is refused here."""
        text = where if isinstance(where, str) else json.dumps(where).decode()

        answer = act_on_all(desk.client, "cancel", 0, where)

        assert answer.status_code == 400, answer.text
        assert desk.client.get("publish_queue", where=text).status_code == 400

    @pytest.mark.parametrize(
        "wanted",
        [
            lambda row: {"_id": str(row["_id"])},
            lambda row: json.dumps({"item_id": row["item_id"]}).decode(),
            lambda row: f'headline=="a" and item_id=="{row["item_id"]}"',
            lambda row: {"$and": [{"headline": "a"}, {"state": {"$in": ["pending", "failed"]}}]},
            lambda row: {"destination.name": "push", "headline": {"$regex": "^a$"}},
            lambda row: {"subscriber_id": str(row["subscriber_id"]), "headline": "a"},
            lambda row: {"_created": {"$lte": "2040-01-01T00:00:00+0000"}, "headline": "a"},
        ],
    )
    def test_find_rows_as_lists_do(
        self, desk: Newsdesk, queued: list[Document], wanted: Callable[[Document], Any]
    ) -> None:
        where = wanted(queued[0])
        text = where if isinstance(where, str) else json.dumps(where).decode()

        listed = desk.client.get("publish_queue", where=text).get_json()["_items"]
        answer = act_on_all(desk.client, "cancel", len(listed), where)

        assert answer.status_code == 200, answer.text
        assert [item["_id"] for item in answer.get_json()["_items"]] == [str(queued[0]["_id"])]
        assert [row["state"] for row in desk.rows()] == ["canceled", "pending", "pending"]

    @pytest.mark.parametrize("expected", [0, 2, 4, -1, 10**12])
    def test_of_a_wrong_number_say_the_real_one(
        self, desk: Newsdesk, queued: list[Document], expected: int
    ) -> None:
        answer = act_on_all(desk.client, "cancel", expected)

        assert answer.status_code == 409
        assert message_of(answer).startswith("3 rows match")
        assert {row["state"] for row in desk.rows()} == {"pending"}

    def test_of_too_many_rows_are_400(
        self, desk: Newsdesk, graph: Graph, clock: HandClock, subscriber: ObjectId
    ) -> None:
        """A thousand are taken, one more is not."""
        fill(graph.db, subscriber, push("http://127.0.0.1:9"), clock.at, items=MOST_ROWS + 1)

        too_many = act_on_all(desk.client, "cancel", MOST_ROWS + 1)
        one_less = act_on_all(desk.client, "cancel", MOST_ROWS, {"item_id": {"$ne": "item-0000"}})

        assert (too_many.status_code, one_less.status_code) == (400, 200)
        assert str(MOST_ROWS) in message_of(too_many)
        assert one_less.get_json()["done"] == MOST_ROWS
        assert [row["item_id"] for row in desk.rows(state="pending")] == ["item-0000"]

    def test_of_no_row_do_nothing(self, desk: Newsdesk) -> None:
        answer = act_on_all(desk.client, "resend", 0)

        assert (answer.status_code, answer.get_json()["_items"]) == (200, [])


class TestCancel:
    def test_is_never_sent_and_holds_up_nobody(
        self,
        desk: Newsdesk,
        graph: Graph,
        receiver: HTTPReceiver,
        queued: list[Document],
        events: Events,
    ) -> None:
        """As by PATCH (delivery scenario 22); clients are told."""
        answer = act(desk.client, queued[1], "cancel")
        (message,) = events.named("publish_queue:update")

        graph.transmit.run()

        shown = answer.get_json()
        assert (shown["state"], shown["_actions"]) == ("canceled", ["resend"])
        assert shown["_etag"] != queued[1]["_etag"]
        assert told(receiver) == ["a", "c"]
        assert (message["queue_id"], message["state"]) == (str(queued[1]["_id"]), "canceled")

    def test_of_what_is_being_sent_comes_too_late(
        self, desk: Newsdesk, queued: list[Document]
    ) -> None:
        """Delivery contract C1a."""
        put(desk, queued[0], state="in-progress")

        answer = act(desk.client, queued[0], "cancel")

        assert message_of(answer).startswith("Transmission has already started.")

    @pytest.mark.parametrize("by_one", [True, False])
    def test_that_comes_while_a_run_sends_stops_or_says_so(
        self,
        desk: Newsdesk,
        graph: Graph,
        receiver: HTTPReceiver,
        queued: list[Document],
        by_one: bool,
    ) -> None:
        """A receiver that cancels all rows during the first one: they are in progress by then."""
        answers = []

        def cancel_meanwhile(request: Any) -> int:
            if not answers:
                if by_one:
                    answers.extend(act(desk.client, row, "cancel") for row in queued)
                else:
                    answers.append(act_on_all(desk.client, "cancel", 3))
            return 200

        receiver.answer(cancel_meanwhile)
        graph.transmit.run()

        states = {str(row["_id"]): row["state"] for row in desk.rows()}
        if by_one:
            done = [
                str(r["_id"]) for r, a in zip(queued, answers, strict=True) if a.status_code == 200
            ]
        else:
            items = answers[0].get_json()["_items"]
            done = [item["_id"] for item in items if item["outcome"] == "done"]
        assert [id_ for id_, state in states.items() if state == "canceled"] == done
        assert len(receiver.requests) == 3 - len(done)

    def test_and_a_run_never_do_both(
        self,
        desk: Newsdesk,
        graph: Graph,
        receiver: HTTPReceiver,
        clock: HandClock,
        subscriber: ObjectId,
    ) -> None:
        """While rows are sent in batches, they are canceled one by one from behind, and all."""
        rows = fill(graph.db, subscriber, push(receiver.url), clock.at, items=120)
        run = Thread(target=lambda: [None for _ in range(20) if graph.transmit.run()])
        run.start()
        done = set()
        for row in rows[:20:-1]:
            if act(desk.client, row, "cancel").status_code == 200:
                done.add(row["item_id"])
        everything = {"action": "cancel", "where": {}, "expected": len(rows)}
        items = desk.client.post("publish_queue/actions", everything).get_json()["_items"]
        run.join()

        of_row = {str(row["_id"]): row["item_id"] for row in rows}
        done |= {of_row[item["_id"]] for item in items if item["outcome"] == "done"}
        states = {row["item_id"]: row["state"] for row in desk.rows()}
        assert {item for item, state in states.items() if state == "canceled"} == done
        assert set(told(receiver)) == states.keys() - done
        assert len(told(receiver)) == len(states) - len(done)

    def test_says_of_each_row_what_has_become_of_it(
        self, desk: Newsdesk, graph: Graph, queued: list[Document], monkeypatch: Any
    ) -> None:
        """A row that is taken between the look at it and the write is not said to be canceled."""
        actions = graph.publishing.row_actions
        look = actions.matching

        def look_and_lose(*arguments: Any) -> Any:
            found = look(*arguments)
            put(desk, queued[1], state="in-progress")
            return found

        monkeypatch.setattr(actions, "matching", look_and_lose)

        items = act_on_all(desk.client, "cancel", 3).get_json()["_items"]

        assert [item["outcome"] for item in items] == ["done", "refused", "done"]
        assert items[1]["message"].startswith("Transmission has already started")
        assert [r["state"] for r in desk.rows()] == ["canceled", "in-progress", "canceled"]


class TestRunNow:
    def test_a_retry_is_due_at_once(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, queued: list[Document]
    ) -> None:
        """It is a retry like any: it is counted."""
        receiver.answer([503])
        graph.transmit.run()
        before = desk.row(state="retrying")

        assert graph.transmit.run() == 0
        answer = act(desk.client, before, "run_now")
        receiver.answer([503])
        assert graph.transmit.run() == 1

        assert (answer.status_code, answer.get_json()["state"]) == (200, "retrying")
        after = desk.row(state="retrying")
        assert (before["retry_attempt"], after["retry_attempt"]) == (1, 2)
        act(desk.client, after, "run_now")
        graph.transmit.run()
        assert {row["state"] for row in desk.rows()} == {"success"}

    def test_a_receiver_that_was_down_is_probed(
        self,
        desk: Newsdesk,
        graph: Graph,
        receiver: HTTPReceiver,
        clock: HandClock,
        subscriber: ObjectId,
    ) -> None:
        """Also while the breaker is open. Delivery contract B5."""
        fill(graph.db, subscriber, push(receiver.url), clock.at, items=10)
        receiver.answer(lambda request: 503)
        graph.transmit.run()
        assert graph.transmit.run() == 0
        receiver.answer(lambda request: 200)

        answer = act_on_all(desk.client, "run_now", 5, {"state": "retrying"})
        graph.transmit.run()

        assert answer.get_json()["done"] == 5
        assert {row["state"] for row in desk.rows()} == {"success"}


class TestResend:
    def test_makes_a_row_of_its_own(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, queued: list[Document]
    ) -> None:
        """A new key, the newest order and a new number; the old row is untouched."""
        graph.transmit.run()
        before = desk.rows()

        answer = act(desk.client, queued[0], "resend")
        graph.transmit.run()

        assert answer.status_code == 200, answer.text
        assert desk.rows()[:3] == before
        (again,) = desk.rows()[3:]
        assert answer.get_json()["_id"] == str(again["_id"])
        assert again["order_no"] > before[-1]["order_no"]
        assert (again["published_seq_num"], again["state"]) == (4, "success")
        assert again["idempotency_key"] not in {row["idempotency_key"] for row in before}
        first, *_, last = receiver.requests
        assert first.body == last.body
        assert first.headers["webhook-id"] != last.headers["webhook-id"]
        assert "x-superdesk-signature" in last.headers

    def test_sends_what_the_row_holds_itself(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, subscriber: ObjectId
    ) -> None:
        """A row of a client, with a destination that no subscriber has: its secret goes along."""
        own = {**push(receiver.url, secret_token=PLANTED), "_id": "own", "name": "own"}
        body = {"item_id": "a", "formatted_item": '{"headline": "own"}', "destination": own}
        row = desk.client.create("publish_queue", {**body, "subscriber_id": str(subscriber)})
        graph.transmit.run()

        answer = act(desk.client, row, "resend")
        graph.transmit.run()

        assert PLANTED not in answer.text
        assert PLANTED not in str(desk.rows())
        one, two = receiver.requests
        signature = "x-superdesk-signature"
        assert (one.body, one.headers[signature]) == (two.body, two.headers[signature])

    def test_of_many_keeps_their_order(
        self,
        desk: Newsdesk,
        graph: Graph,
        receiver: HTTPReceiver,
        clock: HandClock,
        subscriber: Any,
    ) -> None:
        """More rows than are written at once."""
        fill(graph.db, subscriber, push(receiver.url), clock.at, items=250)
        put_all(desk, state="failed")

        answer = act_on_all(desk.client, "resend", 250)
        while graph.transmit.run():
            pass

        items = answer.get_json()["_items"]
        assert (answer.get_json()["done"], len({item["new_row"] for item in items})) == (250, 250)
        assert told(receiver) == [f"item-{number:04}" for number in range(250)]
        new = [str(row["_id"]) for row in desk.rows(state="success")]
        assert new == [item["new_row"] for item in items]

    def test_of_large_bodies_takes_few_at_a_time(
        self, desk: Newsdesk, graph: Graph, queued: list[Document], monkeypatch: Any
    ) -> None:
        """Memory is bounded by what rows hold themselves, not by their number."""
        put_all(desk, state="failed", formatted_item="x" * 1000)
        monkeypatch.setattr("apps.publish.row_actions.service.TEXT_AT_ONCE", 1500)
        sizes = []
        queue = graph.services["publish_queue"]
        send_again = queue.send_again  # type: ignore[attr-defined]
        monkeypatch.setattr(
            queue,
            "send_again",
            lambda rows, *more: sizes.append(len(rows)) or send_again(rows, *more),
        )

        assert act_on_all(desk.client, "resend", 3).get_json()["done"] == 3
        assert sizes == [2, 1]

    def test_that_breaks_off_says_how_far_it_came(
        self, desk: Newsdesk, graph: Graph, queued: list[Document], monkeypatch: Any
    ) -> None:
        """The database goes away: nobody is told of a row that it is sent who does not know."""
        put_all(desk, state="failed")
        monkeypatch.setattr("apps.publish.row_actions.service.ROWS_AT_ONCE", 1)
        queue = graph.services["publish_queue"]
        send_again = queue.send_again  # type: ignore[attr-defined]

        def once(*arguments: Any) -> Any:
            monkeypatch.setattr(queue, "send_again", away)
            return send_again(*arguments)

        def away(*arguments: Any) -> Any:
            raise AutoReconnect("away")

        monkeypatch.setattr(queue, "send_again", once)
        broken = act_on_all(desk.client, "resend", 3).get_json()
        unanswered = act_on_all(desk.client, "resend", 3, {"state": "failed"})

        assert [item["outcome"] for item in broken["_items"]] == ["done", "unknown", "refused"]
        assert (broken["done"], broken["unknown"], broken["refused"]) == (1, 1, 1)
        # Where nothing was done it is as for any request.
        assert (unanswered.status_code, len(desk.rows())) == (503, 4)

    def test_of_what_its_format_refused_formats_it(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, queued: list[Document]
    ) -> None:
        """A row that failed without a body goes out once the format takes the item."""
        put(desk, queued[0], state="failed", error_message="7004")
        unset = {"$unset": {"payload_id": 1}}
        desk.db["publish_queue"].update_one({"_id": queued[0]["_id"]}, unset)

        act(desk.client, queued[0], "resend")
        graph.transmit.run()

        assert told(receiver) == ["b", "c", "a"]

    @pytest.mark.parametrize(
        "fields",
        [
            {"destination": None},
            {"destination": "x"},
            {"destination": {"config": 5}},
            {"destination": {"_id": {"a": 1}}},
            {"subscriber_id": None},
            {"subscriber_id": {"a": 1}},
            {"subscriber_id": "gone"},
            {"item_version": "x"},
            {"order_no": "x"},
            {"item_encoding": "nope"},
            {"publishing_action": None},
        ],
        ids=str,
    )
    def test_of_odd_rows_blocks_nobody(
        self,
        desk: Newsdesk,
        graph: Graph,
        receiver: HTTPReceiver,
        queued: list[Document],
        fields: Document,
    ) -> None:
        """What others have written is sent or fails; the rest goes."""
        put(desk, queued[0], state="failed", **fields)

        answer = act(desk.client, queued[0], "resend")
        many = act_on_all(desk.client, "resend", 1, {"_id": str(queued[0]["_id"])})
        graph.transmit.run()

        assert (answer.status_code, many.status_code) == (200, 200), answer.text
        assert told(receiver)[:2] == ["b", "c"]
        ended = [row["state"] for row in desk.rows() if row["_id"] != queued[0]["_id"]]
        assert set(ended) <= {"success", "failed"}


class TestHiddenItems:
    def test_are_out_of_reach_one_by_one_and_together(
        self, desk: Newsdesk, editor: Client, graph: Graph, queued: list[Document]
    ) -> None:
        """Rows of an item on a hidden stage are neither counted nor changed."""
        stage = ObjectId()
        graph.db["archive"].update_one(
            {"_id": queued[0]["item_id"]}, {"$set": {"task.stage": stage}}
        )
        graph.db["users"].update_many(
            {}, {"$set": {"invisible_stages": [stage], "privileges.publish_queue": 1}}
        )

        assert act(editor, queued[0], "cancel").status_code == 403
        wrong, right = act_on_all(editor, "cancel", 3), act_on_all(editor, "cancel", 2)

        assert (wrong.status_code, right.status_code) == (409, 200)
        assert [row["state"] for row in desk.rows()] == ["pending", "canceled", "canceled"]


class TestIdempotencyKeys:
    """A request that comes twice is carried out once (delivery contract 1.3)."""

    def ended(self, desk: Newsdesk) -> None:
        desk.db["publish_queue"].update_many({}, {"$set": {"state": "success"}})

    def ask(self, desk: Newsdesk, key: str, path: str = "actions", **body: Any) -> Any:
        asked = {"action": "resend", "where": {"state": "success"}, "expected": 3}
        return desk.client.request(
            "POST",
            f"publish_queue/{path}",
            json=body if path != "actions" else {**asked, **body},
            headers={"Idempotency-Key": key},
        )

    def test_of_a_request_about_many(self, desk: Newsdesk, queued: list[Document]) -> None:
        """The repeat gets the first answer, to the last byte."""
        self.ended(desk)

        first, again = self.ask(desk, "k1"), self.ask(desk, "k1")
        assert (first.status_code, first.get_json()["done"]) == (200, 3)
        assert (again.status_code, again.data) == (200, first.data)
        assert len(desk.rows()) == 6
        assert self.ask(desk, "k2").status_code == 200
        assert len(desk.rows()) == 9

    def test_of_one_row(self, desk: Newsdesk, queued: list[Document]) -> None:
        """The repeat is shown the row that the first one has made."""
        self.ended(desk)
        path = f"{queued[0]['_id']}/resend"

        first, again = self.ask(desk, "k1", path), self.ask(desk, "k1", f"{path}/")
        assert [answer.status_code for answer in (first, again)] == [200, 200]
        assert first.get_json() == again.get_json()
        assert len(desk.rows()) == 4

    def test_of_another_request_is_422(self, desk: Newsdesk, queued: list[Document]) -> None:
        """Also for another path; nothing is done."""
        self.ended(desk)
        assert self.ask(desk, "k1").status_code == 200

        others = [
            self.ask(desk, "k1", action="cancel"),
            self.ask(desk, "k1", where={}),
            self.ask(desk, "k1", f"{queued[0]['_id']}/resend"),
        ]
        assert [answer.status_code for answer in others] == [422] * 3
        assert "key" in others[0].get_json()["_error"]["message"]
        assert len(desk.rows()) == 6

    def test_of_a_request_under_way_is_409(self, desk: Newsdesk, queued: list[Document]) -> None:
        """One that was given up, since its process has died, is carried out."""
        self.ended(desk)
        self.ask(desk, "k1", f"{queued[0]['_id']}/resend")
        desk.db["idempotent_requests"].update_one({}, {"$set": {"answer": None}})

        waiting = self.ask(desk, "k1", f"{queued[0]['_id']}/resend")
        assert (waiting.status_code, waiting.headers["Retry-After"]) == (409, "2")
        assert len(desk.rows()) == 4

    def test_is_not_used_up_by_a_refusal(self, desk: Newsdesk, queued: list[Document]) -> None:
        refused = self.ask(desk, "k1")
        self.ended(desk)
        assert refused.status_code == 409
        assert self.ask(desk, "k1").status_code == 200

    def test_belongs_to_a_user(
        self, desk: Newsdesk, queued: list[Document], anonymous: Client
    ) -> None:
        """Nobody finds it in the store, and nobody else gets the answer."""
        self.ended(desk)
        self.ask(desk, "planted-key")
        headers = {"Idempotency-Key": "planted-key"}
        refused = anonymous.request("POST", "publish_queue/actions", json={}, headers=headers)

        assert refused.status_code == 401
        assert "planted-key" not in str(list(desk.db["idempotent_requests"].find({})))

    @pytest.mark.parametrize("key", ["", "x" * 129])
    def test_of_odd_lengths_is_refused(
        self, desk: Newsdesk, queued: list[Document], key: str
    ) -> None:
        self.ended(desk)
        answer = self.ask(desk, key)
        assert answer.status_code == 400
        assert "idempotency_key" in answer.get_json()["_issues"]
        assert len(desk.rows()) == 3

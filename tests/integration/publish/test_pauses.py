"""Destinations that are paused, and go on (delivery contract 7.1)."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from werkzeug.test import TestResponse

from apps.core.service import Document
from apps.graph.build import Graph, build_graph
from tests.support.clients import Client
from tests.support.commands import CommandCounter
from tests.support.events import Events
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.newsroom import file_in, push
from tests.support.queues import fill, leave_claimed
from tests.support.receivers import HTTPReceiver


@pytest.fixture
def subscriber(desk: Newsdesk, receiver: HTTPReceiver) -> Any:
    return desk.newsroom.subscriber("Daily", push(receiver.url))


class Door:
    """The destination of the one subscriber, as clients reach it."""

    def __init__(self, client: Client, subscriber: Any, destination: str = "push") -> None:
        self.client = client
        self.path = f"subscribers/{subscriber}/destinations/{destination}"

    def do(self, action: str, **body: Any) -> TestResponse:
        return self.client.post(f"{self.path}/{action}", body)

    def done(self, action: str, **body: Any) -> Document:
        answer = self.do(action, **body)
        assert answer.status_code == 200, answer.text
        return dict(answer.get_json())

    def refused(self, action: str, **body: Any) -> str:
        answer = self.do(action, **body)
        assert answer.status_code == 409, answer.text
        return str(answer.get_json()["_message"])

    def state(self) -> Document:
        answer = self.client.get(self.path)
        assert answer.status_code == 200, answer.text
        return dict(answer.get_json())


@pytest.fixture
def door(desk: Newsdesk, subscriber: Any) -> Door:
    return Door(desk.client, subscriber)


def deliver(graph: Graph) -> int:
    graph.enqueue.run()
    return graph.transmit.run()


def heard(receiver: HTTPReceiver) -> list[str]:
    return [request.json()["headline"] for request in receiver.requests]


class TestPausing:
    def test_rows_are_made_and_kept_until_it_goes_on(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, door: Door
    ) -> None:
        """Then they go out in order."""
        paused = door.done("pause")
        assert (paused["state"], paused["waiting"]) == ("paused", 0)
        for headline in ("one", "two"):
            desk.published(headline=headline)
        assert deliver(graph) == 0

        assert [row["state"] for row in desk.rows()] == ["pending", "pending"]
        assert door.state()["waiting"] == 2
        assert receiver.requests == []

        assert door.done("resume")["state"] == "ok"
        graph.transmit.run()
        assert heard(receiver) == ["one", "two"]

    @pytest.mark.parametrize("ending", ["", "/"])
    def test_with_and_without_a_final_slash(self, door: Door, ending: str) -> None:
        """As every route."""
        assert door.do(f"pause{ending}").status_code == 200
        assert door.client.get(f"{door.path}{ending}").get_json()["state"] == "paused"
        assert door.do(f"resume{ending}").status_code == 200

    def test_a_body_is_not_needed(self, door: Door) -> None:
        assert door.client.request("POST", f"{door.path}/pause").status_code == 200

    def test_says_who_has_paused_it_and_what_to_do(
        self, desk: Newsdesk, door: Door, clock: HandClock
    ) -> None:
        """Also after a worker has looked at the lane."""
        door.done("pause")
        desk.db["publish_lanes"].update_many({}, {"$set": {"wake_at": clock.at}})
        desk.client.app.extensions["graph"].transmit.run()

        shown = door.state()
        assert shown["state"] == "paused"
        assert shown["paused_by"]["_id"] == desk.client.session["user"]
        assert shown["message"].startswith("Paused by admin since 2030-01-01 12:00 UTC.")
        assert "resume" in shown["next_step"]

    def test_rows_tell_why_they_wait(self, desk: Newsdesk, graph: Graph, door: Door) -> None:
        """In lists and one by one; such a row may be posted again as it was read.

        Delivery contract W6.
        """
        desk.published()
        graph.enqueue.run()
        door.done("pause")

        (listed,) = desk.client.get("publish_queue").get_json()["_items"]
        shown = desk.client.get(f"publish_queue/{listed['_id']}").get_json()
        assert listed["held"] == shown["held"] == "Destination push is paused. POST resume there."
        copy = {k: v for k, v in shown.items() if not k.startswith("_")}
        posted = desk.client.create("publish_queue", copy)
        assert "held" not in desk.db["publish_queue"].find_one({"item_id": posted["item_id"]})

    def test_one_whose_deliveries_fail_for_a_reason_of_ours(
        self, desk: Newsdesk, graph: Graph
    ) -> None:
        """The receiver is not to blame, and nobody is told that all is well."""
        destination = {**push("http://127.0.0.1:9"), "delivery_type": "PublicArchive"}
        subscriber = desk.newsroom.subscriber("old", destination)
        desk.published()
        deliver(graph)

        shown = desk.client.get(f"subscribers/{subscriber}/destinations").get_json()["_items"][0]

        assert (shown["state"], shown["last_failure"]["fault"]) == ("ok", "ours")
        assert shown["message"] == "Nothing keeps deliveries back, but the last one failed."
        assert "last_failure" in shown["next_step"]

    def test_rows_tell_that_their_subscriber_is_inactive(
        self, desk: Newsdesk, graph: Graph, subscriber: Any, door: Door
    ) -> None:
        """What keeps them when that has ended comes first."""
        desk.published()
        graph.enqueue.run()
        subscribers = desk.db["subscribers"]
        subscribers.update_one({"_id": subscriber}, {"$set": {"is_active": False}})
        desk.db["publish_queue"].update_one({}, {"$set": {"state": "retrying"}})

        (row,) = desk.client.get("publish_queue").get_json()["_items"]
        assert row["held"] == "Subscriber Daily is inactive. Make it active."
        assert row["_actions"] == ["cancel"]
        refused = desk.client.post(f"publish_queue/{row['_id']}/run_now", {})
        assert (refused.status_code, refused.get_json()["_message"]) == (409, row["held"])
        door.done("pause")
        (row,) = desk.client.get("publish_queue").get_json()["_items"]
        assert row["held"] == "Destination push is paused. POST resume there."
        for state in ("pending", "retrying"):
            desk.db["publish_queue"].update_one({}, {"$set": {"state": state}})
            for action in ("resend", "run_now"):
                refused = desk.client.post(f"publish_queue/{row['_id']}/{action}", {})
                assert (refused.status_code, refused.get_json()["_message"]) == (409, row["held"])
        door.done("resume")
        subscribers.update_one({"_id": subscriber}, {"$set": {"is_active": True}})
        (row,) = desk.client.get("publish_queue").get_json()["_items"]
        assert ("held" in row, row["_actions"]) == (False, ["cancel", "run_now"])

    @pytest.mark.parametrize("odd", [{"a": 1}, ["x"], 7, "nobody"])
    def test_rows_of_odd_subscribers_are_listed(
        self, desk: Newsdesk, graph: Graph, subscriber: Any, odd: Any
    ) -> None:
        desk.published()
        graph.enqueue.run()
        desk.db["publish_queue"].update_one({}, {"$set": {"subscriber_id": odd}})

        (row,) = desk.client.get("publish_queue").get_json()["_items"]
        assert "held" not in row

    def test_a_withdrawal_waits_too_and_goes_first(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, door: Door
    ) -> None:
        """It cancels what waits of its item."""
        door.done("pause")
        item = desk.published(headline="story")
        other = desk.published(headline="other")
        deliver(graph)
        desk.act("kill", item, headline="killed")
        assert deliver(graph) == 0

        door.done("resume")
        graph.transmit.run()

        assert heard(receiver) == ["killed", "other"]
        assert [r["state"] for r in desk.rows(item_id=item["_id"])] == ["canceled", "success"]
        assert [r["state"] for r in desk.rows(item_id=other["_id"])] == ["success"]

    def test_another_destination_goes_on(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver
    ) -> None:
        """Of the same subscriber."""
        other = {**push(receiver.url), "_id": "second/one", "name": "second"}
        one = desk.newsroom.subscriber("Two", push(receiver.url), other)
        Door(desk.client, one, "second/one").done("pause")
        desk.published()

        assert deliver(graph) == 1

    def test_what_a_worker_has_begun_is_finished(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, door: Door
    ) -> None:
        """Its batch; what comes behind waits."""
        door.client.get("subscribers")

        def pause_once(request: Any) -> int:
            door.do("pause")
            return 200

        receiver.answer(pause_once)
        for _ in range(3):
            desk.published()
        deliver(graph)
        assert len(receiver.requests) == 3
        desk.published()

        assert deliver(graph) == 0
        assert door.state()["state"] == "paused"

    def test_what_a_worker_left_behind_is_brought_back(
        self, desk: Newsdesk, graph: Graph, clock: HandClock, door: Door
    ) -> None:
        """A process that died while it sent: its rows wait with the others."""
        desk.published()
        graph.enqueue.run()
        leave_claimed(graph.db, clock)
        door.done("pause")
        clock.advance(seconds=61)

        assert graph.transmit.run() == 0

        assert desk.row()["state"] == "pending"
        assert desk.db["publish_lanes"].find_one({})["lease_owner"] is None

    def test_clients_are_told(self, door: Door, events: Events, subscriber: Any) -> None:
        door.done("pause")

        assert events.named("subscriber:update")[0]["_id"] == [str(subscriber)]

    def test_a_subscriber_is_saved_as_before(
        self, desk: Newsdesk, door: Door, subscriber: Any
    ) -> None:
        """What a client has read it sends back whole."""
        door.done("pause")
        shown = desk.client.get(f"subscribers/{subscriber}").get_json()
        whole = {k: v for k, v in shown.items() if not k.startswith("_")}

        answer = desk.client.patch(f"subscribers/{subscriber}", whole)

        assert answer.status_code == 200, answer.text
        assert door.state()["state"] == "paused"

    def test_one_that_was_removed_lets_its_rows_go(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, subscriber: Any, door: Door
    ) -> None:
        """Otherwise they would wait for ever. Delivery contract W7."""
        desk.published()
        graph.enqueue.run()
        door.done("pause")
        other = {**push(receiver.url), "_id": "other"}
        changed = desk.client.patch(f"subscribers/{subscriber}", {"destinations": [other]})
        assert changed.status_code == 200, changed.text

        assert (door.state()["state"], door.state()["waiting"]) == ("paused", 1)
        assert door.do("pause").status_code == 404
        door.done("resume")
        graph.transmit.run()

        assert desk.row()["state"] == "success"
        assert door.client.get(door.path).status_code == 404


class TestRefusals:
    def test_what_is_not_there_is_not_found(
        self, desk: Newsdesk, subscriber: Any, door: Door
    ) -> None:
        """An action, a destination, a subscriber."""
        assert door.do("invent").status_code == 404
        for path in (
            f"subscribers/{subscriber}/destinations/other",
            "subscribers/5f0000000000000000000000/destinations/push",
            "subscribers/x/destinations/push",
        ):
            assert desk.client.get(path).status_code == 404
            answer = desk.client.post(f"{path}/pause", {})
            assert answer.status_code == 404
            assert answer.get_json()["_message"]

    @pytest.mark.parametrize(
        "body", [{"older": "perhaps"}, {"older": 1}, {"other": 1}, [], {"older": ["send"]}]
    )
    def test_other_bodies(self, door: Door, body: Any) -> None:
        door.done("pause")

        assert door.client.post(f"{door.path}/resume", body).status_code == 400
        assert door.state()["state"] == "paused"

    def test_what_is_allowed_is_told(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, door: Door
    ) -> None:
        """`_actions`: nothing else of the three is done; secrets, tests and replays always are."""

        def allowed() -> list[str]:
            told = door.state()["_actions"]
            (listed,) = door.client.get(door.path.rpartition("/")[0]).get_json()["_items"]
            assert listed["_actions"] == told
            for action in {"pause", "resume", "enable"} - set(told):
                door.refused(action)
            *ways_on, test, rotation, replay = told
            assert [test, rotation, replay] == ["test", "rotate_secret", "replay"]
            assert door.done("test")["is_ok"]
            assert door.done("rotate_secret", replace="newest")["secret"]
            assert door.done("replay", since="2040-01-01T00:00:00+0000", expected=0)["done"] == 0
            return ways_on

        seen = [allowed()]
        door.done("pause")
        seen.append(allowed())
        door.done("resume")
        receiver.answer([410])
        desk.published()
        deliver(graph)
        seen.append(allowed())

        assert seen == [["pause"], ["resume"], ["enable"]]

    def test_what_the_type_does_not_have_is_not_told(self, desk: Newsdesk, tmp_path: Any) -> None:
        """Files are not signed; types that nobody knows are neither signed nor tested."""
        unknown = {**file_in(tmp_path), "_id": "old", "delivery_type": "PublicArchive"}
        subscriber = desk.newsroom.subscriber(
            "Files", {**file_in(tmp_path), "_id": "file"}, unknown
        )
        for destination, told in (
            ("file", ["pause", "test", "replay"]),
            ("old", ["pause", "replay"]),
        ):
            door = Door(desk.client, subscriber, destination)
            assert door.state()["_actions"] == told
            for action in {"test", "rotate_secret"} - set(told):
                door.refused(action)

    def test_of_one_that_the_subscriber_does_not_have_any_more(
        self, desk: Newsdesk, door: Door, subscriber: Any
    ) -> None:
        """It goes on, and nothing else."""
        door.done("pause")
        desk.db["subscribers"].update_one({"_id": subscriber}, {"$set": {"destinations": []}})

        assert door.state()["_actions"] == ["resume"]
        for action in ("test", "rotate_secret", "replay", "pause"):
            assert door.do(action).status_code == 404

    def test_what_the_state_does_not_allow(self, door: Door) -> None:
        """With the reason and what to do."""
        assert "not paused" in door.refused("resume")
        assert "not disabled" in door.refused("enable")
        door.done("pause")
        assert "POST resume" in door.refused("pause")
        assert "not disabled" in door.refused("enable")

    def test_of_a_disabled_one(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, door: Door
    ) -> None:
        receiver.answer([410])
        desk.published()
        deliver(graph)

        assert "POST enable" in door.refused("pause")
        assert "POST enable" in door.refused("resume")

    def test_without_the_privilege(self, door: Door, editor: Client) -> None:
        """Whoever may edit subscribers may; everybody may look."""
        other = Door(editor, "x")
        other.path = door.path

        assert [other.do(action).status_code for action in ("pause", "resume", "enable")] == [
            403
        ] * 3
        assert other.state()["state"] == "ok"

    def test_nobody(self, door: Door, anonymous: Client) -> None:
        assert anonymous.post(f"{door.path}/pause", {}).status_code == 401
        assert anonymous.get(door.path).status_code == 401


class TestStates:
    """What is told of a destination."""

    def test_one_that_was_never_used_is_fine(self, door: Door) -> None:
        shown = door.state()
        assert (shown["state"], shown["message"]) == ("ok", "Nothing keeps deliveries back.")
        assert (shown["waiting"], shown["held"], shown["last_success_at"]) == (0, 0, None)
        assert (shown["name"], shown["delivery_type"]) == ("push", "http_push")

    def test_one_that_gets_its_deliveries(self, desk: Newsdesk, graph: Graph, door: Door) -> None:
        desk.published()
        deliver(graph)

        shown = door.state()
        assert (shown["state"], shown["last_success_at"]) == ("ok", "2030-01-01T12:00:00+0000")
        assert (shown["message"], shown["next_step"]) == ("Deliveries get through.", "")

    def test_one_that_fails(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, clock: HandClock, door: Door
    ) -> None:
        """Since when, why, and when it is tried next."""
        receiver.answer([503])
        desk.published()
        deliver(graph)

        shown = door.state()
        assert shown["state"] == "failing"
        assert shown["message"] == "Failing since 2030-01-01 12:00 UTC: 1 attempts in a row."
        assert (shown["last_failure"]["status"], shown["last_failure"]["code"]) == (503, 14002)
        assert shown["next_attempt_at"] > "2030-01-01T12:00:59"
        assert shown["waiting"] == 1

    def test_one_that_is_down(
        self,
        graph: Graph,
        receiver: HTTPReceiver,
        clock: HandClock,
        subscriber: Any,
        door: Door,
    ) -> None:
        """Until when it is left alone."""
        receiver.answer(lambda request: 503)
        fill(graph.db, subscriber, push(receiver.url), clock.at, items=10)
        graph.transmit.run()

        shown = door.state()
        assert (shown["state"], shown["failures"]) == ("open", 5)
        assert shown["open_until"] == "2030-01-01T12:00:30+0000"
        clock.advance(seconds=31)
        assert door.state()["state"] == "failing"

    def test_one_whose_subscriber_was_closed(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver
    ) -> None:
        """With the error that has closed it."""
        critical: Document = {"critical_errors": {"14002": True}}
        subscriber = desk.newsroom.subscriber("Closed", push(receiver.url), **critical)
        receiver.answer([503])
        desk.published()
        deliver(graph)

        shown = Door(desk.client, subscriber).state()
        assert shown["state"] == "inactive"
        assert "critical error: PublishHTTPPushServerError" in shown["message"]
        assert shown["next_step"] == "Make the subscriber active."

    def test_all_of_a_subscriber(self, desk: Newsdesk, receiver: HTTPReceiver) -> None:
        """In their order, without counts."""
        other = {**push(receiver.url), "_id": "other", "name": "other"}
        subscriber = desk.newsroom.subscriber("Two", push(receiver.url), other)
        Door(desk.client, subscriber, "other").done("pause")

        for ending in ("", "/"):
            answer = desk.client.get(f"subscribers/{subscriber}/destinations{ending}")
            items = answer.get_json()["_items"]
            assert [(one["_id"], one["state"]) for one in items] == [
                ("push", "ok"),
                ("other", "paused"),
            ]
        missing = desk.client.get("subscribers/5f0000000000000000000000/destinations")
        assert missing.status_code == 404

    def test_costs_little(self, desk: Newsdesk, door: Door, settings: dict[str, Any]) -> None:
        """However much waits there: two commands besides those of every request."""
        counter = CommandCounter()
        graph = build_graph(settings, listeners=[counter])
        target = graph.publishing.destinations.target(door.path.split("/")[1], "push")
        counter.count = 0
        graph.publishing.destination_states.of(target)
        asked = counter.count
        graph.close()

        assert asked == 2


class TestOlder:
    """Deliveries that have become old are sent only once somebody has said so."""

    def queue(self, desk: Newsdesk, graph: Graph, *headlines: str) -> None:
        for headline in headlines:
            desk.published(headline=headline)
        deliver(graph)

    @pytest.fixture
    def aged(self, desk: Newsdesk, graph: Graph, clock: HandClock, door: Door) -> None:
        """Two deliveries older than a day, and one that is not."""
        door.done("pause")
        self.queue(desk, graph, "one", "two")
        clock.advance(hours=20)
        self.queue(desk, graph, "three")
        clock.advance(hours=5)

    def test_it_is_asked(self, aged: None, graph: Graph, door: Door) -> None:
        """With their number; nothing goes out, and nothing has changed.

        Delivery contract W1.
        """
        answer = door.do("resume")

        assert answer.status_code == 409
        assert answer.get_json()["_issues"] == {
            "held": 2,
            "oldest": "2030-01-01T12:00:00+0000",
        }
        assert answer.get_json()["_message"].startswith(
            "2 deliveries to destination push are older"
        )
        assert graph.transmit.run() == 0
        shown = door.state()
        assert (shown["state"], shown["waiting"], shown["held"]) == ("paused", 3, 2)

    def test_they_are_sent(
        self, aged: None, graph: Graph, receiver: HTTPReceiver, door: Door
    ) -> None:
        assert door.done("resume", older="send")["state"] == "ok"
        graph.transmit.run()

        assert heard(receiver) == ["one", "two", "three"]

    def test_they_are_canceled(
        self,
        aged: None,
        desk: Newsdesk,
        graph: Graph,
        receiver: HTTPReceiver,
        door: Door,
        events: Events,
    ) -> None:
        """Clients are told of each."""
        assert door.done("resume", older="cancel")["canceled"] == 2
        graph.transmit.run()

        assert heard(receiver) == ["three"]
        assert [row["state"] for row in desk.rows()] == ["canceled", "canceled", "success"]
        told = events.named("publish_queue:update")[0]["items"]
        assert [entry["state"] for entry in told] == ["canceled", "canceled"]

    def test_a_withdrawal_is_never_too_old(
        self,
        desk: Newsdesk,
        graph: Graph,
        clock: HandClock,
        receiver: HTTPReceiver,
        door: Door,
    ) -> None:
        """Whoever has the story has to be told, however late; it needs no question.

        Delivery contract W3.
        """
        item = desk.published(headline="story")
        deliver(graph)
        door.done("pause")
        desk.act("kill", item, headline="killed")
        graph.enqueue.run()
        clock.advance(days=3)

        door.done("resume")
        graph.transmit.run()

        assert heard(receiver) == ["story", "killed"]

    def test_nobody_is_asked_where_the_setting_says_so(
        self, aged: None, settings: dict[str, Any], clock: HandClock, door: Door
    ) -> None:
        """HOLD_OLDER_THAN_HOURS 0."""
        graph = door.client.app.extensions["graph"]
        graph.publishing.destination_states._older_rows.hours = 0

        assert door.do("resume").status_code == 200


def test_what_the_content_api_shows_is_never_held_back(
    desk: Newsdesk, graph: Graph, clock: HandClock
) -> None:
    """It is copied when it is published; nobody is asked about it later.

    Delivery contract W5.
    """
    product = desk.newsroom.product("api")
    reader = desk.newsroom.subscriber("Reader", products=[], api_products=[product])
    item = desk.published()
    graph.enqueue.run()
    clock.advance(days=3)
    for is_active in (False, True):
        answer = desk.client.patch(f"subscribers/{reader}", {"is_active": is_active})
        assert answer.status_code == 200, answer.text
    deliver(graph)

    assert desk.row()["state"] == "success"
    assert graph.db["items"].find_one({"_id": item["_id"]})["subscribers"] == [str(reader)]


class TestActivation:
    """A PATCH that makes a subscriber active cannot ask: older deliveries are held back."""

    def close(self, desk: Newsdesk, subscriber: Any) -> None:
        closed = desk.client.patch(f"subscribers/{subscriber}", {"is_active": False})
        assert closed.status_code == 200

    def open(self, desk: Newsdesk, subscriber: Any) -> None:
        opened = desk.client.patch(f"subscribers/{subscriber}", {"is_active": True})
        assert opened.status_code == 200, opened.text

    def age(
        self,
        desk: Newsdesk,
        graph: Graph,
        clock: HandClock,
        subscriber: Any,
        destination: Document,
        versions: int = 1,
    ) -> None:
        """Queue three items; then it is inactive for two days."""
        fill(graph.db, subscriber, destination, clock.at, items=3, versions=versions)
        self.close(desk, subscriber)
        clock.advance(days=2)
        self.open(desk, subscriber)

    def test_older_ones_wait_and_newer_ones_go(
        self,
        desk: Newsdesk,
        graph: Graph,
        clock: HandClock,
        receiver: HTTPReceiver,
        subscriber: Any,
        door: Door,
    ) -> None:
        """Until somebody says it.

        Delivery contract W2.
        """
        self.age(desk, graph, clock, subscriber, push(receiver.url))
        desk.published(headline="new")
        deliver(graph)
        clock.advance(minutes=6)
        graph.transmit.run()

        assert heard(receiver) == ["new"]
        shown = door.state()
        assert (shown["state"], shown["waiting"], shown["held"]) == ("holding", 3, 3)
        listed = desk.client.get("publish_queue", where='{"state":"pending"}').get_json()
        row = listed["_items"][0]
        assert "holds older deliveries back" in row["held"]

        assert "3 deliveries" in door.refused("resume")
        door.done("resume", older="send")
        graph.transmit.run()
        assert heard(receiver) == ["new", *(f"item-{n:04}" for n in range(3))]
        assert door.state()["state"] == "ok"

    def test_they_may_be_canceled(
        self,
        desk: Newsdesk,
        graph: Graph,
        clock: HandClock,
        receiver: HTTPReceiver,
        subscriber: Any,
        door: Door,
    ) -> None:
        self.age(desk, graph, clock, subscriber, push(receiver.url))

        assert door.done("resume", older="cancel")["canceled"] == 3
        graph.transmit.run()

        assert receiver.requests == []
        assert {row["state"] for row in desk.rows()} == {"canceled"}

    def test_a_newer_version_takes_the_place_of_one_that_is_held_back(
        self,
        desk: Newsdesk,
        graph: Graph,
        clock: HandClock,
        receiver: HTTPReceiver,
        subscriber: Any,
        door: Door,
    ) -> None:
        """Otherwise the older one would overwrite it later. Delivery contract O4.

        Delivery contract W4.
        """
        where = push(receiver.url)
        self.age(desk, graph, clock, subscriber, where)
        newer(graph, clock, subscriber, where)
        graph.transmit.run()

        assert [r.json()["version"] for r in receiver.requests] == [2]
        door.done("resume", older="send")
        graph.transmit.run()
        sent = [(r.json()["guid"], r.json()["version"]) for r in receiver.requests]
        assert sent == [("item-0000", 2), ("item-0001", 1), ("item-0002", 1)]
        assert len(desk.rows(state="canceled")) == 1

    def test_where_every_version_counts_newer_ones_wait_behind_it(
        self, desk: Newsdesk, graph: Graph, clock: HandClock, tmp_path: Any
    ) -> None:
        """Delivery contract O1: files. Other items go.

        Delivery contract W4.
        """
        where = file_in(tmp_path)
        subscriber = desk.newsroom.subscriber("Files", where)
        door = Door(desk.client, subscriber, where["_id"])
        self.age(desk, graph, clock, subscriber, where)
        newer(graph, clock, subscriber, where)
        newer(graph, clock, subscriber, where, item="item-9999")
        graph.transmit.run()

        assert [f.name.partition("-2-")[0] for f in tmp_path.iterdir()] == ["item-9999"]
        door.done("resume", older="send")
        graph.transmit.run()
        assert len(list(tmp_path.iterdir())) == 5
        assert {row["state"] for row in desk.rows()} == {"success"}

    @pytest.mark.parametrize("kind", ["push", "file"])
    def test_a_withdrawal_overtakes_and_cancels_what_is_held_back(
        self,
        desk: Newsdesk,
        graph: Graph,
        clock: HandClock,
        receiver: HTTPReceiver,
        tmp_path: Any,
        kind: str,
    ) -> None:
        """Delivery contract O5."""
        where = push(receiver.url) if kind == "push" else file_in(tmp_path)
        subscriber = desk.newsroom.subscriber("Other", where)
        self.age(desk, graph, clock, subscriber, where)
        killed = {"publishing_action": "killed", "priority": True}
        newer(graph, clock, subscriber, where, **killed)
        graph.transmit.run()

        states = [row["state"] for row in desk.rows(item_id="item-0000")]
        assert states == ["canceled", "success"]
        assert len(desk.rows(state="pending")) == 2

    def test_many_that_are_held_back_hide_nothing(
        self,
        desk: Newsdesk,
        graph: Graph,
        clock: HandClock,
        receiver: HTTPReceiver,
        subscriber: Any,
    ) -> None:
        """More than one claim takes."""
        where = push(receiver.url)
        self.age(desk, graph, clock, subscriber, where, versions=50)
        fresh(graph, clock, subscriber, where, 3)

        assert graph.transmit.run() == 3
        assert graph.transmit.run() == 0


def newer(
    graph: Graph,
    clock: HandClock,
    subscriber: Any,
    destination: Document,
    item: str = "item-0000",
    **fields: Any,
) -> None:
    """Queue the second version of an item."""
    key = f"{item}-2"
    own = {"item_id": item, "item_version": 2, "idempotency_key": key, "payload_id": key}
    fill(graph.db, subscriber, destination, clock.at, items=1, **{**own, **fields})


def fresh(
    graph: Graph, clock: HandClock, subscriber: Any, destination: Document, items: int
) -> None:
    """Queue items that are not there yet."""
    for number in range(items):
        newer(graph, clock, subscriber, destination, f"fresh-{number}")


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.chaos)])
@pytest.mark.parametrize("kind", ["push", "file"])
def test_whatever_is_done_nothing_is_lost_or_doubled(
    desk: Newsdesk,
    graph: Graph,
    clock: HandClock,
    receiver: HTTPReceiver,
    tmp_path: Any,
    kind: str,
    seed: int,
) -> None:
    """Pauses, activations, gone and failing receivers, in any order: what is received is what the
    rows say, once, and of each item never an older version after a newer one.
    """
    rng = Random(seed)
    where = push(receiver.url) if kind == "push" else file_in(tmp_path)
    subscriber = desk.newsroom.subscriber("Any", where)
    door = Door(desk.client, subscriber, where["_id"])
    receiver.answer(lambda request: rng.choice([200, 200, 200, 503, 400, 410]))
    versions: dict[str, int] = {}

    def publish() -> None:
        for item in rng.sample([f"item-{number}" for number in range(6)], 2):
            version = versions[item] = versions.get(item, 0) + 1
            newer(graph, clock, subscriber, where, item, **row_of(item, version))

    def activate(value: bool) -> None:
        desk.client.patch(f"subscribers/{subscriber}", {"is_active": value})

    steps: list[Callable[[], object]] = [
        publish,
        publish,
        lambda: graph.transmit.run(),
        lambda: graph.transmit.run(),
        lambda: door.do("pause"),
        lambda: door.do("resume"),
        lambda: door.do("resume", older=rng.choice(["send", "cancel"])),
        lambda: door.do("enable", older=rng.choice(["send", "cancel"])),
        lambda: activate(False),
        lambda: activate(True),
        lambda: clock.advance(minutes=rng.choice([1, 30])),
        lambda: clock.advance(hours=rng.choice([3, 30])),
    ]
    for _ in range(60):
        rng.choice(steps)()
    receiver.answer(lambda request: 200)
    activate(True)
    for _ in range(8):
        for action in ("resume", "enable"):
            door.do(action, older="send")
        clock.advance(hours=2)
        graph.transmit.run()

    rows = desk.rows()
    assert len(rows) == sum(versions.values())
    assert {row["state"] for row in rows} <= {"success", "failed", "canceled"}
    done = [row for row in rows if row["state"] == "success"]
    if kind == "file":
        names = {file.name.partition(f"-{where['_id']}")[0] for file in tmp_path.iterdir()}
        assert len(names) == len(done)
        order = sorted(done, key=lambda row: row["attempts"][-1]["at"])
    else:
        taken = [r.headers["webhook-id"] for r in receiver.requests if r.headers["webhook-id"]]
        keys = {row["idempotency_key"]: row for row in done}
        order = [keys[key] for key in dict.fromkeys(reversed(taken)) if key in keys][::-1]
        assert len(order) == len(done)
    for item in versions:
        sent = [row["item_version"] for row in order if row["item_id"] == item]
        assert sent == sorted(sent)
    assert door.state()["state"] == "ok"


def row_of(item: str, version: int) -> Document:
    """Return the fields of a row that tell it from those of other versions."""
    key = f"{item}-{version}"
    return {"item_version": version, "idempotency_key": key, "payload_id": key}

"""Sending a published item again (routing contract 11; lifecycle scenario 76)."""

import hmac
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId
from werkzeug.test import TestResponse

from apps.core.service import Document
from apps.graph.build import Graph
from apps.publish.enqueue.resends import ResendRequests, ResendRouter
from tests.support.clients import Client
from tests.support.crashes import Crash, CrashingDatabase, each_write
from tests.support.newsdesk import Newsdesk
from tests.support.newsroom import file_in, push
from tests.support.receivers import HTTPReceiver
from tests.support.routing import routing_tools

NOWHERE = "http://127.0.0.1:9"
LEASE = timedelta(seconds=60)


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Items are out again while they are corrected."""
    return {**settings, "CORRECTIONS_WORKFLOW": True}


def resend(desk: Newsdesk, item: Document, subscribers: Any, version: int) -> TestResponse:
    body = {"subscribers": subscribers and [str(id_) for id_ in subscribers], "version": version}
    return desk.client.post(f"archive/{item['_id']}/resend", body)


def refusal(answer: TestResponse) -> tuple[int, str]:
    return answer.status_code, answer.get_json()["_message"]


@pytest.fixture
def subscriber(desk: Newsdesk) -> ObjectId:
    """A subscriber that matches everything."""
    return desk.newsroom.subscriber("Daily", push(NOWHERE))


@pytest.fixture
def item(desk: Newsdesk, graph: Graph, subscriber: ObjectId) -> Document:
    """A published and routed story."""
    published = desk.published()
    graph.enqueue.run()
    return published


class TestRefusals:
    def test_of_an_unknown_item(self, desk: Newsdesk) -> None:
        """Check 1."""
        answer = resend(desk, {"_id": "nothing"}, [], 1)

        assert (400, "Story couldn't be found!") == refusal(answer)

    def test_of_anything_but_text(self, desk: Newsdesk) -> None:
        """Check 2."""
        answer = resend(desk, desk.published(type="picture"), [], 2)

        assert (400, "Only text stories can be resent!") == refusal(answer)

    def test_of_what_is_not_out(self, desk: Newsdesk) -> None:
        """Check 3: neither a draft of a story nor a withdrawn one."""
        text = "Only published, corrected or killed stories can be resent!"
        withdrawn = desk.act("unpublish", desk.published())

        assert (400, text) == refusal(resend(desk, desk.story(), [], 1))
        assert (400, text) == refusal(resend(desk, withdrawn, [], 3))

    @pytest.mark.parametrize("version", [1, 3, None])
    def test_of_another_version(self, desk: Newsdesk, item: Document, version: Any) -> None:
        """Check 4 (lifecycle scenario 76) comes before that of subscribers, names the version."""
        answer = resend(desk, item, [], version)

        assert (400, "Please use the newest version 2 to resend!") == refusal(answer)

    def test_of_an_updated_story(self, desk: Newsdesk, item: Document) -> None:
        """Check 5 (lifecycle scenario 76)."""
        assert desk.client.post(f"archive/{item['_id']}/rewrite", {}).status_code == 201

        assert (400, "Updated story cannot be resent!") == refusal(resend(desk, item, [], 2))

    @pytest.mark.parametrize("chosen", [[], None])
    def test_without_subscribers(self, desk: Newsdesk, item: Document, chosen: Any) -> None:
        """Check 6."""
        assert (400, "No subscribers selected!") == refusal(resend(desk, item, chosen, 2))

    def test_when_none_is_active(self, desk: Newsdesk, item: Document) -> None:
        """Check 7, for subscribers that are inactive and for those that do not exist."""
        asleep = desk.newsroom.subscriber("Asleep", push(NOWHERE), is_active=False)

        answer = resend(desk, item, [asleep, ObjectId()], 2)

        assert (400, "No active subscribers found!") == refusal(answer)

    def test_of_broadcast_scripts_to_others_than_wire(
        self, desk: Newsdesk, subscriber: ObjectId
    ) -> None:
        """Check 8."""
        wire = desk.newsroom.subscriber("Wire", push(NOWHERE), subscriber_type="wire")
        script = desk.published(genre=[{"qcode": "Broadcast Script", "name": "Broadcast Script"}])

        refused = resend(desk, script, [wire, subscriber], 2)

        assert (400, "Only wire subscribers can receive broadcast stories!") == refusal(refused)
        assert 201 == resend(desk, script, [wire], 2).status_code

    @pytest.mark.parametrize("subscribers", ["all", 1, {"a": 1}, True])
    def test_of_what_is_no_list_of_ids(
        self, desk: Newsdesk, item: Document, subscribers: Any
    ) -> None:
        """Bad bodies break the schema; nothing is stored."""
        body = {"subscribers": subscribers, "version": 2}

        answer = desk.client.post(f"archive/{item['_id']}/resend", body)

        assert (400, {"subscribers"}) == (answer.status_code, set(answer.get_json()["_issues"]))
        assert 0 == desk.db["resends"].count_documents({})

    @pytest.mark.parametrize(
        "subscribers", [["x"], [{"gt": ""}], [["x"]], [None], [1.5, True], ["5f" * 12]]
    )
    def test_of_ids_that_nobody_has(
        self, desk: Newsdesk, item: Document, subscribers: list[Any]
    ) -> None:
        """Ids are looked up, whatever they look like (check 7)."""
        body = {"subscribers": subscribers, "version": 2}

        answer = desk.client.post(f"archive/{item['_id']}/resend", body)

        assert (400, "No active subscribers found!") == refusal(answer)

    @pytest.mark.parametrize("subscribers", ["all", ["x"], [{"gt": ""}], 1, None])
    def test_of_what_is_not_out_comes_before_subscribers(
        self, desk: Newsdesk, subscribers: Any
    ) -> None:
        """So do all checks of the item."""
        out, body = desk.published(), {"subscribers": subscribers}
        desk.db["archive"].update_one({"_id": out["_id"]}, {"$set": {"rewritten_by": "x"}})
        wanted = {
            "nothing": (1, "Story couldn't be found!"),
            desk.story(type="picture")["_id"]: (1, "Only text stories can be resent!"),
            desk.story()["_id"]: (
                "x",
                "Only published, corrected or killed stories can be resent!",
            ),
            desk.published()["_id"]: ("x", "Please use the newest version 2 to resend!"),
            out["_id"]: (2, "Updated story cannot be resent!"),
        }
        for id_, (version, text) in wanted.items():
            answer = desk.client.post(f"archive/{id_}/resend", {**body, "version": version})
            assert (400, text) == refusal(answer)

    def test_of_what_others_stored(self, desk: Newsdesk, subscriber: ObjectId) -> None:
        """What says that it is out is checked like anything else; there is nothing to send."""
        stored = {"type": "text", "state": "published", "_current_version": 4}
        desk.db["archive"].insert_one({"_id": "stored", **stored})
        for version, chosen, text in (
            (3, [1], "Please use the newest version 4 to resend!"),
            (4, [], "No subscribers selected!"),
            (4, [1], "No active subscribers found!"),
            (4, [subscriber], "Only published, corrected or killed stories can be resent!"),
        ):
            assert (400, text) == refusal(resend(desk, {"_id": "stored"}, chosen, version))
        assert 0 == desk.db["resends"].count_documents({})

    def test_of_what_is_archived(self, desk: Newsdesk, item: Document) -> None:
        """It has left the newsroom (check 1)."""
        desk.db["archived"].insert_one({"item_id": item["_id"], "archived_id": "x"})
        desk.db["archive"].delete_one({"_id": item["_id"]})
        assert (400, "Story couldn't be found!") == refusal(resend(desk, item, [1], 2))

    @pytest.mark.parametrize("body", [{}, {"version": True}, {"version": "2"}, {"version": [2]}])
    def test_of_no_version(self, desk: Newsdesk, item: Document, body: Document) -> None:
        """What is no number is no version (check 4)."""
        desk.db["archive"].update_one({"_id": item["_id"]}, {"$set": {"_current_version": 1}})
        answer = desk.client.post(f"archive/{item['_id']}/resend", {**body, "subscribers": [1]})
        assert (400, "Please use the newest version 1 to resend!") == refusal(answer)

    @pytest.mark.parametrize("id_", ["sub-1", 7, "7", "5f" * 12, ObjectId()])
    @pytest.mark.parametrize("is_active", [True, False])
    def test_by_ids_of_any_form(
        self, desk: Newsdesk, graph: Graph, item: Document, id_: Any, is_active: bool
    ) -> None:
        """Of those who are active the rows are made; others do not count (check 7)."""
        desk.newsroom.subscriber("Own", push(NOWHERE), products=[], _id=id_, is_active=is_active)
        answer = resend(desk, item, [id_, "nobody", id_], 2)
        graph.enqueue.run()
        if is_active:
            assert answer.status_code == 201, answer.text
        else:
            assert (400, "No active subscribers found!") == refusal(answer)
        made = [row["subscriber_id"] for row in desk.rows(resend_id={"$exists": True})]
        assert made == [id_] * is_active

    def test_without_the_privilege(self, item: Document, editor: Client) -> None:
        """Everybody else needs `resend`."""
        assert 403 == editor.post(f"archive/{item['_id']}/resend", {}).status_code


def test_makes_new_rows_and_history(
    desk: Newsdesk, graph: Graph, item: Document, subscriber: ObjectId
) -> None:
    """New rows under new keys, a history row with the subscribers; the item stays.

    Lifecycle scenario 76.
    """
    answer = resend(desk, item, [subscriber], 2)
    graph.enqueue.run()

    first, again = desk.rows()
    same = ("item_id", "item_version", "subscriber_id", "destination", "publishing_action", "lane")
    assert (201, item["_id"]) == (answer.status_code, answer.get_json()["_id"])
    assert [first[name] for name in same] == [again[name] for name in same]
    assert first["idempotency_key"] != again["idempotency_key"]
    assert first["published_seq_num"] + 1 == again["published_seq_num"]
    assert first["order_no"] < again["order_no"]
    history = desk.db["archive_history"].find_one({"operation": "resend"})
    assert ({"subscribers": [subscriber]}, 2) == (history["update"], history["version"])
    stored = desk.client.get(f"archive/{item['_id']}").get_json()
    assert (item["_etag"], "published", 2) == (
        stored["_etag"],
        stored["state"],
        stored["_current_version"],
    )
    assert 0 == desk.db["resends"].count_documents({})


def test_each_request_makes_rows(
    desk: Newsdesk, graph: Graph, item: Document, subscriber: ObjectId
) -> None:
    """Routing scenario 39: twice makes two further rows."""
    for _ in range(2):
        assert 201 == resend(desk, item, [subscriber], 2).status_code
    graph.enqueue.run()

    assert 3 == len({row["idempotency_key"] for row in desk.rows()})


def test_goes_to_all_destinations_of_the_chosen_and_to_nobody_else(
    desk: Newsdesk, graph: Graph, item: Document, tmp_path: Any
) -> None:
    """The chosen need not match; inactive ones among them are left out."""
    newsroom = desk.newsroom
    chosen = newsroom.subscriber("Chosen", push(NOWHERE), file_in(tmp_path), products=[])
    asleep = newsroom.subscriber("Asleep", push(NOWHERE), is_active=False)

    resend(desk, item, [chosen, asleep], 2)
    graph.enqueue.run()

    resent = desk.rows(resend_id={"$exists": True})
    assert [(chosen, "push"), (chosen, "file")] == [
        (row["subscriber_id"], row["destination"]["_id"]) for row in resent
    ]


@pytest.mark.parametrize("listed", [True, False])
def test_codes_are_those_of_all_direct_products(
    desk: Newsdesk, graph: Graph, item: Document, listed: bool
) -> None:
    """Also of products that the item does not match; none at all without products."""
    regional = {"geo_restrictions": "Nowhere", "codes": "r, s"}
    products = [desk.newsroom.product("regional", **regional)] if listed else []
    chosen = desk.newsroom.subscriber("Coded", push(NOWHERE), products=products, codes="a,r")

    resend(desk, item, [chosen], 2)
    graph.enqueue.run()

    assert (["a", "r", "s"] if listed else []) == desk.row(subscriber_id=chosen)["codes"]


def test_sends_the_newest_version_with_credentials(desk: Newsdesk, graph: Graph) -> None:
    """The receiver gets the correction, signed with the destination's secret.

    Routing scenario 39.
    """
    with HTTPReceiver() as receiver:
        late = desk.newsroom.subscriber("Late", push(receiver.url, secret_token="x"), products=[])
        corrected = desk.act("correct", desk.published(), headline="Rivers fall")
        graph.enqueue.run()

        resend(desk, corrected, [late], 3)
        graph.enqueue.run()
        graph.transmit.run()

        (request,) = receiver.wait_for(1)
    assert ("3", "Rivers fall") == (request.json()["version"], request.json()["headline"])
    signature = hmac.new(b"x", request.body, "sha1").hexdigest()
    assert f"sha1={signature}" == request.headers["x-superdesk-signature"]
    assert ("corrected", "success") == tuple(
        desk.row(subscriber_id=late)[name] for name in ("publishing_action", "state")
    )


def test_whoever_got_a_resend_gets_the_kill(desk: Newsdesk, graph: Graph, item: Document) -> None:
    """A resend makes its subscribers recipients."""
    late = desk.newsroom.subscriber("Late", push(NOWHERE), products=[])
    resend(desk, item, [late], 2)
    graph.enqueue.run()

    desk.act("kill", item)
    graph.enqueue.run()

    assert ["published", "killed"] == [
        r["publishing_action"] for r in desk.rows(subscriber_id=late)
    ]


def test_a_killed_story_is_resent_as_killed(
    desk: Newsdesk, graph: Graph, item: Document, subscriber: ObjectId
) -> None:
    """What is sent is the last operation."""
    killed = desk.act("kill", item)
    graph.enqueue.run()

    assert 201 == resend(desk, killed, [subscriber], 3).status_code
    graph.enqueue.run()

    assert ["published", "killed", "killed"] == [r["publishing_action"] for r in desk.rows()]


def test_an_item_under_correction_is_resent_as_it_is_out(
    desk: Newsdesk, graph: Graph, item: Document, subscriber: ObjectId
) -> None:
    """The row in `being_corrected` stands for the item, which has been edited since."""
    desk.act("correction", item)
    changed = desk.client.patch(f"archive/{item['_id']}", {"headline": "Unfinished"})
    assert changed.status_code == 200, changed.text

    assert 201 == resend(desk, item, [subscriber], 2).status_code
    graph.enqueue.run()

    assert ("being_corrected", "Rivers rise") == tuple(
        desk.rows()[-1][name] for name in ("publishing_action", "headline")
    )


class TestOrder:
    def test_nothing_is_resent_after_a_newer_version(
        self, desk: Newsdesk, graph: Graph, item: Document, subscriber: ObjectId
    ) -> None:
        """A kill between the request and its routing has the last word."""
        resend(desk, item, [subscriber], 2)
        desk.act("kill", item)
        graph.enqueue.run()

        assert ["published", "killed"] == [r["publishing_action"] for r in desk.rows()]
        request = desk.db["resends"].find_one({})
        assert ("error", "A newer version of the item was published") == (
            request["state"],
            request["error_message"],
        )

    def test_a_kill_that_overtakes_the_rows_has_the_last_word(
        self, desk: Newsdesk, graph: Graph
    ) -> None:
        """A kill that is published when the rows are there already: the lane looks once more."""
        with HTTPReceiver() as receiver:
            subscriber = desk.newsroom.subscriber("Daily", push(receiver.url))
            item = desk.published()
            graph.enqueue.run()
            graph.transmit.run()
            resend(desk, item, [subscriber], 2)
            graph.enqueue.run()
            desk.act("kill", item)
            # As if the rows had been written behind the kill's look at what waits.
            graph.transmit.run()
            graph.enqueue.run()
            graph.transmit.run()

            statuses = [request.json()["pubstatus"] for request in receiver.requests]

        assert ["usable", "canceled"] == statuses
        assert ["success", "canceled", "success"] == [row["state"] for row in desk.rows()]

    def test_a_request_that_failed_is_shown(
        self, desk: Newsdesk, graph: Graph, item: Document, subscriber: ObjectId, editor: Client
    ) -> None:
        """GET `/resends`, for those who may ask for resends."""
        resend(desk, item, [subscriber], 2)
        (waiting,) = desk.client.get("resends").get_json()["_items"]
        desk.act("kill", item)
        graph.enqueue.run()

        (failed,) = desk.client.get("resends").get_json()["_items"]

        assert ("pending", "error") == (waiting["state"], failed["state"])
        assert "A newer version of the item was published" == failed["error_message"]
        assert (item["_id"], [str(subscriber)]) == (failed["item_id"], failed["subscribers"])
        assert "follow_ups" not in failed
        assert 403 == editor.get("resends").status_code

    def test_waits_for_its_version(
        self, desk: Newsdesk, graph: Graph, item: Document, subscriber: ObjectId
    ) -> None:
        """While the version is being routed by another run, the request waits."""
        row = {"item_id": item["_id"]}
        resend(desk, item, [subscriber], 2)
        lease = {
            "queue_state": "in_progress",
            "queue_lease_until": graph.clock.precise().replace(year=9999),
        }
        desk.db["published"].update_one(row, {"$set": lease})
        graph.enqueue.run()
        before = len(desk.rows())

        desk.db["published"].update_one(row, {"$set": {"queue_state": "queued"}})
        desk.db["resends"].update_one({}, {"$set": {"due_at": graph.clock.precise()}})
        graph.enqueue.run()

        assert (1, 2) == (before, len(desk.rows()))


class TestCrash:
    @pytest.mark.parametrize("before", each_write(11))
    def test_a_run_that_dies_is_completed(
        self, desk: Newsdesk, graph: Graph, item: Document, subscriber: ObjectId, before: int
    ) -> None:
        """Whatever the write before which the run dies: each destination gets one further row."""
        other = desk.newsroom.subscriber("Other", push(NOWHERE), products=[])
        resend(desk, item, [subscriber, other], 2)
        dying = dying_run(graph, before)
        with suppress(Crash):
            dying.run()
        desk.db["resends"].update_many({}, {"$set": {"due_at": graph.clock.precise()}})

        graph.enqueue.run()

        resent = [row["subscriber_id"] for row in desk.rows(resend_id={"$exists": True})]
        assert [subscriber, other] == resent
        assert 0 == desk.db["resends"].count_documents({})

    def test_a_request_whose_process_dies_has_its_history(
        self, desk: Newsdesk, graph: Graph, item: Document, subscriber: ObjectId
    ) -> None:
        """A process that dies after storing the request leaves the rest to the enqueue run."""
        row = graph.db["published"].find_one({"item_id": item["_id"]})
        db: Any = CrashingDatabase(graph.db, 2)
        with pytest.raises(Crash):
            ResendRequests(db, graph.clock, LEASE).add(row, [subscriber], None)

        graph.enqueue.run()

        assert 1 == desk.db["archive_history"].count_documents({"operation": "resend"})
        assert 2 == len(desk.rows())


def dying_run(graph: Graph, before: int) -> ResendRouter:
    """Return a run of a process that dies before its write number `before`."""
    db: Any = CrashingDatabase(graph.db, before)
    tools = routing_tools(graph, db=db)
    requests = ResendRequests(db, graph.clock, LEASE)
    return ResendRouter(tools, requests, 5, 10)

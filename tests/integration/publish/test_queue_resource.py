"""`publish_queue` as clients see it: list, cancel, send again (routing contract 8.9).

Canceling: delivery contract C1a.
"""

import hmac
from base64 import b64decode
from typing import Any

import pytest
from bson import ObjectId

from apps.core import json
from apps.graph.build import Graph
from tests.support.clients import Client
from tests.support.events import Events
from tests.support.newsdesk import Newsdesk
from tests.support.newsroom import push
from tests.support.receivers import HTTPReceiver

REFUSED = "validator exception"
PLANTED = "planted-5d2e8"
COPIED = (
    *("item_id", "item_version", "publishing_action", "formatted_item", "headline"),
    *("content_type", "subscriber_id", "unique_name", "destination", "ingest_provider"),
    *("item_encoding", "encoded_item_id"),
)
"""What clients copy to send a row again."""

ODD_ROWS: list[tuple[dict[str, Any], str]] = [
    ({"item_encoding": "nope"}, "There is no encoding nope"),
    ({"item_encoding": "rot13"}, "There is no encoding rot13"),
    ({"item_encoding": 5}, "item_encoding"),
    ({"formatted_item": b"\xff"}, "formatted_item"),
    ({"formatted_item": {"a": 1}}, "formatted_item"),
    ({"formatted_item": None, "payload_id": {"a": 1}}, "nothing to send"),
    ({"formatted_item": None}, "nothing to send"),
    ({"destination": None}, ""),
    ({"destination": "x"}, "destination"),
    ({"destination": {"config": 5}}, "destination.config"),
    ({"destination": {"delivery_type": 5}}, "destination.delivery_type"),
    ({"destination": {"delivery_type": "pigeon"}}, "pigeon"),
    ({"item_version": "x"}, "item_version"),
    ({"published_seq_num": []}, "published_seq_num"),
    ({"retry_attempt": "x"}, "retry_attempt"),
]
"""What others may have written into a row, and what its failure says."""
ODD_ROWS += [
    ({"next_retry_attempt_at": "x", "state": "retrying"}, "next_retry_attempt_at"),
    ({"attempts": [5]}, "attempts"),
    ({"attempts": [{"at": 5}], "state": "retrying"}, "attempts"),
    ({"publishing_action": {}}, "publishing_action"),
    ({"publishing_action": ["killed"]}, "publishing_action"),
    ({"resend_id": "x", "publish_sequence_no": "x"}, "publish_sequence_no"),
    ({"claim_token": float("nan")}, "claim_token"),
]
ODD_ROWS_IN_LANE: list[tuple[dict[str, Any], str]] = [
    ({"item_id": None}, "item_id"),
    ({"item_id": 5, "state": "retrying"}, "item_id"),
    ({"item_id": {"a": 1}}, "item_id"),
    ({"item_id": [1], "state": "in-progress", "claim_token": 0}, "item_id"),
    ({"order_no": "x"}, "order_no"),
    ({"order_no": {"a": 1}}, "order_no"),
    ({"order_no": float("nan"), "priority": True}, "order_no"),
    ({"order_no": float("inf"), "state": "retrying"}, "order_no"),
    ({"claim_token": 2**63 - 1}, "claim_token"),
    ({"claim_token": 2**63 - 1, "state": "in-progress"}, "claim_token"),
    ({"unknown_outcomes": 2**63 - 1, "state": "in-progress", "claim_token": 0}, "unknown"),
]
"""What routing gives rows anew that others wrote without a lane."""


@pytest.fixture
def subscriber(desk: Newsdesk, receiver: HTTPReceiver) -> ObjectId:
    return desk.newsroom.subscriber("s", push(receiver.url, secret_token="s3cret"))


@pytest.fixture
def queued(desk: Newsdesk, graph: Graph, subscriber: ObjectId) -> list[dict[str, Any]]:
    """Three items, routed but not sent; their rows as the API lists them, oldest first."""
    for headline in "abc":
        desk.published(headline=headline)
    graph.enqueue.run()
    return listed(desk.client)


def listed(client: Client) -> list[dict[str, Any]]:
    rows = client.get("publish_queue", sort="order_no").get_json()["_items"]
    return [dict(row) for row in rows]


def told(receiver: HTTPReceiver) -> list[str]:
    return [request.json()["headline"] for request in receiver.requests]


def cancel(client: Client, row: dict[str, Any]) -> Any:
    return client.patch(f"publish_queue/{row['_id']}", {"state": "canceled"}, etag=row["_etag"])


class TestList:
    def test_shows_what_is_sent_and_nothing_of_the_server(
        self, desk: Newsdesk, queued: list[dict[str, Any]]
    ) -> None:
        """The formatted item is there; leases, lanes and secrets are not."""
        row = queued[0]

        assert json.loads(row["formatted_item"])["headline"] == "a"
        assert row["destination"]["config"].keys() == {"resource_url"}
        hidden = {"lane", "lease_owner", "lease_until", "claim_token", "payload_id"}
        assert not hidden & row.keys()
        assert (row["state"], row["retry_attempt"], row["moved_to_legal"]) == ("pending", 0, False)

    def test_is_newest_first_and_found_by_item(
        self, desk: Newsdesk, queued: list[dict[str, Any]]
    ) -> None:
        """The default order is by id, descending; an item id finds one of its rows."""
        rows = desk.client.get("publish_queue").get_json()["_items"]

        assert [row["headline"] for row in rows] == ["c", "b", "a"]
        found = desk.client.get(f"publish_queue/{queued[1]['item_id']}").get_json()
        assert found["_id"] == queued[1]["_id"]

    def test_needs_the_privilege_to_write(
        self, editor: Client, queued: list[dict[str, Any]]
    ) -> None:
        """Without `publish_queue` nothing can be posted or canceled."""
        assert cancel(editor, queued[0]).status_code == 403
        assert editor.post("publish_queue", {"item_id": "a"}).status_code == 403

    @pytest.mark.parametrize("method", ["PUT", "DELETE"])
    def test_is_neither_replaced_nor_deleted(
        self, desk: Newsdesk, queued: list[dict[str, Any]], method: str
    ) -> None:
        """Methods that nobody has a privilege for are not routed: 405, with or without an id."""
        headers = {"If-Match": queued[0]["_etag"]}

        for path in ("publish_queue", f"publish_queue/{queued[0]['_id']}"):
            answer = desk.client.request(method, path, json={"item_id": "x"}, headers=headers)
            assert answer.status_code == 405

        assert len(desk.rows()) == 3


class TestCancel:
    def test_is_never_sent_and_holds_up_nobody(
        self,
        desk: Newsdesk,
        graph: Graph,
        receiver: HTTPReceiver,
        queued: list[dict[str, Any]],
        events: Events,
    ) -> None:
        """Delivery scenario 22: canceled while pending; the next rows go; clients are told."""
        answer = cancel(desk.client, queued[1])
        (message,) = events.named("publish_queue:update")

        graph.transmit.run()

        assert (answer.status_code, told(receiver)) == (200, ["a", "c"])
        assert [row["state"] for row in listed(desk.client)] == ["success", "canceled", "success"]
        assert (message["queue_id"], message["state"]) == (queued[1]["_id"], "canceled")

    def test_a_retry_can_be_canceled(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, queued: list[dict[str, Any]]
    ) -> None:
        """What waits for its next attempt is not attempted again."""
        receiver.answer([503])
        graph.transmit.run()
        row = listed(desk.client)[0]

        answer = cancel(desk.client, row)

        assert (row["state"], answer.status_code) == ("retrying", 200)
        assert answer.get_json()["state"] == "canceled"

    @pytest.mark.parametrize(
        ("state", "message"),
        [
            ("in-progress", "409: Transmission has already started"),
            ("success", "409: Transmission has already finished"),
            ("failed", "409: Transmission has already finished"),
            ("canceled", "409: Transmission has already finished"),
        ],
    )
    def test_comes_too_late(
        self,
        desk: Newsdesk,
        graph: Graph,
        queued: list[dict[str, Any]],
        state: str,
        message: str,
    ) -> None:
        """Delivery contract C1a: what is being sent, or has ended, cannot be canceled."""
        key = {"_id": ObjectId(queued[0]["_id"])}
        graph.db["publish_queue"].update_one(key, {"$set": {"state": state}})

        answer = cancel(desk.client, queued[0])

        assert (answer.status_code, answer.get_json()["_issues"][REFUSED]) == (400, message)
        assert desk.row(**key)["state"] == state

    def test_knows_its_states(self, desk: Newsdesk, queued: list[dict[str, Any]]) -> None:
        """A state that does not exist is refused."""
        path = f"publish_queue/{queued[0]['_id']}"

        answer = desk.client.patch(path, {"state": "gone"}, etag=queued[0]["_etag"])

        assert answer.get_json()["_issues"] == {"state": "unallowed value gone"}


class TestSecrets:
    """Of destinations that others put into rows; those of routing name none.

    Routing contract 1.2.
    """

    def shown(self, client: Client, row: dict[str, Any]) -> list[str]:
        """Return the texts in which clients see a row."""
        path = f"publish_queue/{row['_id']}"
        answers = [client.get("publish_queue"), client.get(path)]
        answers.append(client.get(f"publish_queue/{row['item_id']}"))
        answers.append(client.patch(path, {"state": "canceled"}))
        assert {answer.status_code for answer in answers} == {200}
        return [answer.text for answer in answers]

    @pytest.fixture
    def whole(self, receiver: HTTPReceiver) -> dict[str, Any]:
        """A destination that no subscriber has, with a secret and credentials."""
        url = receiver.url.replace("http://", f"http://user:{PLANTED}-2@")
        return {**push(url, secret_token=PLANTED), "_id": "whole", "name": "whole"}

    def test_of_posted_rows_are_encrypted_and_used(
        self,
        desk: Newsdesk,
        graph: Graph,
        subscriber: ObjectId,
        receiver: HTTPReceiver,
        whole: dict[str, Any],
    ) -> None:
        """Whoever posts a destination whole sees its address again, nobody sees its secrets."""
        body = {"item_id": "a", "subscriber_id": str(subscriber), "formatted_item": "{}"}

        posted = desk.client.post("publish_queue", {**body, "destination": whole})
        graph.transmit.run()
        other = desk.client.create("publish_queue", {**body, "destination": whole})
        change = {"destination": {**whole, "name": "changed"}}
        path = f"publish_queue/{other['_id']}"
        changed = desk.client.patch(path, change)

        assert changed.status_code == 200, changed.text
        seen = [posted.text, changed.text, *self.shown(desk.client, other)]
        assert PLANTED not in "".join(seen)
        assert PLANTED not in str(desk.rows())
        first, second = desk.rows()
        assert (first["state"], second["destination"]["name"]) == ("success", "changed")
        (request,) = receiver.requests
        signature = hmac.new(PLANTED.encode(), request.body, "sha1").hexdigest()
        assert request.headers["x-superdesk-signature"] == f"sha1={signature}"
        assert b64decode(request.headers["authorization"].split()[1]) == (
            f"user:{PLANTED}-2".encode()
        )

    def test_of_rows_that_others_wrote_are_hidden(
        self, desk: Newsdesk, queued: list[dict[str, Any]], whole: dict[str, Any]
    ) -> None:
        """Those of an older installation hold secrets in clear."""
        key = {"_id": ObjectId(queued[0]["_id"])}
        desk.db["publish_queue"].update_one(key, {"$set": {"destination": whole}})

        seen = "".join(self.shown(desk.client, queued[0]))
        assert PLANTED not in seen
        assert '"lane"' not in seen
        where = '{"destination.config.secret_token": {"$regex": "^p"}}'
        assert desk.client.get("publish_queue", where=where).status_code == 400
        where = '{"$and": [{"destination.name": "whole"}, {"state": "canceled"}]}'
        assert len(desk.client.get("publish_queue", where=where).get_json()["_items"]) == 1


class TestSendAgain:
    def test_makes_new_rows_of_copies(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, queued: list[dict[str, Any]]
    ) -> None:
        """Three finished rows posted at once: new numbers, old ones untouched.

        Delivery scenario 23.
        """
        graph.transmit.run()
        before = desk.rows()
        finished = listed(desk.client)
        copies = [{name: row.get(name) for name in COPIED} for row in finished]

        answer = desk.client.post("publish_queue", [strip(copy) for copy in copies])

        assert answer.status_code == 201, answer.text
        assert desk.rows()[:3] == before
        again = desk.rows()[3:]
        assert [(r["state"], r["moved_to_legal"]) for r in again] == [("pending", False)] * 3
        numbers = [row["published_seq_num"] for row in desk.rows()]
        assert numbers == [1, 2, 3, 4, 5, 6]
        graph.transmit.run()
        assert told(receiver) == list("abcabc")
        assert len({request.headers["webhook-id"] for request in receiver.requests}) == 6
        assert {row["state"] for row in desk.rows()} == {"success"}
        # The secret is the subscriber's, though the copy of the row holds none.
        assert "x-superdesk-signature" in receiver.requests[-1].headers

    @pytest.mark.parametrize(
        ("sent", "codes", "priority"),
        [
            ({}, ["a", "b"], True),
            ({"codes": None, "priority": None}, ["a", "b"], True),
            ({"codes": ["x"], "priority": False}, ["x"], False),
            ({"codes": [], "publishing_action": "killed", "priority": False}, [], True),
        ],
    )
    def test_codes_and_priority_are_those_of_the_subscriber(
        self,
        desk: Newsdesk,
        queued: list[dict[str, Any]],
        subscriber: ObjectId,
        sent: dict[str, Any],
        codes: list[str],
        priority: bool,
    ) -> None:
        """Unless the client says otherwise; clients that send again copy neither.

        Routing contract 8.9.
        """
        own = {"$set": {"codes": "a, b,", "priority": True}}
        desk.db["subscribers"].update_one({"_id": subscriber}, own)
        copy = strip({name: queued[0].get(name) for name in COPIED})

        desk.client.create("publish_queue", {**copy, **sent})

        row = desk.rows()[-1]
        assert (row["codes"], row["priority"]) == (codes, priority)

    def test_server_fields_are_not_taken_from_clients(
        self, desk: Newsdesk, queued: list[dict[str, Any]]
    ) -> None:
        """What the server writes is ignored on POST, an idempotency key above all."""
        copy = {
            **strip({name: queued[0].get(name) for name in COPIED}),
            "idempotency_key": queued[0]["idempotency_key"],
            "order_no": -1,
            "attempts": [{"outcome": "success"}],
            "retry_attempt": 7,
        }

        answer = desk.client.post("publish_queue", copy)

        assert answer.status_code == 201, answer.text
        row = desk.rows()[-1]
        assert row["order_no"] > desk.rows()[-2]["order_no"] > 0
        assert row["idempotency_key"] != queued[0]["idempotency_key"]
        assert (row.get("attempts"), row["retry_attempt"]) == (None, 0)

    @pytest.mark.parametrize(
        "missing",
        [
            ("headline",),
            ("headline", "unique_name", "content_type", "publishing_action", "item_version"),
            ("destination",),
            ("subscriber_id",),
            ("formatted_item",),
            ("subscriber_id", "destination", "formatted_item"),
        ],
    )
    def test_an_odd_row_never_blocks_others(
        self,
        desk: Newsdesk,
        graph: Graph,
        receiver: HTTPReceiver,
        queued: list[dict[str, Any]],
        missing: tuple[str, ...],
    ) -> None:
        """A row that lacks something is delivered or failed, and the rest goes.

        Delivery scenario 24.
        """
        copy = {name: queued[0].get(name) for name in COPIED if name not in missing}
        assert desk.client.post("publish_queue", strip(copy)).status_code == 201
        desk.published(headline="after")
        graph.enqueue.run()

        graph.transmit.run()

        states = [row["state"] for row in desk.rows()]
        assert states[3] in ("success", "failed")
        assert states[:3] + states[4:] == ["success"] * 4
        odd = desk.rows()[3]
        assert odd["state"] == "success" or odd["error_message"]

    @pytest.mark.parametrize(
        "destination",
        [
            {"config": ["x"]},
            {"config": "x", "delivery_type": "http_push"},
            {"_id": 7, "delivery_type": 7, "config": {}},
            {"_id": {"a": 1}},
        ],
    )
    def test_an_odd_destination_never_blocks_others(
        self,
        desk: Newsdesk,
        graph: Graph,
        receiver: HTTPReceiver,
        queued: list[dict[str, Any]],
        subscriber: ObjectId,
        destination: dict[str, Any],
    ) -> None:
        """Delivery scenario 24: a destination of another shape is refused or its row fails."""
        row = {
            "item_id": "odd",
            "subscriber_id": str(subscriber),
            "formatted_item": "{}",
            "destination": destination,
        }

        answer = desk.client.post("publish_queue", row)
        graph.transmit.run()

        assert answer.status_code in (201, 400), answer.text
        assert {row["state"] for row in desk.rows(item_id={"$ne": "odd"})} == {"success"}
        assert all(r["state"] == "failed" for r in desk.rows(item_id="odd"))

    def test_tells_no_resource_events(
        self, desk: Newsdesk, queued: list[dict[str, Any]], events: Events
    ) -> None:
        """Neither a post nor a change is told as `resource:created` or `resource:updated`.

        Routing contract 8.9.
        """
        copy = strip({name: queued[0].get(name) for name in COPIED})

        row = desk.client.create("publish_queue", copy)
        assert cancel(desk.client, row).status_code == 200

        assert events.named("publish_queue:update")
        assert events.named("resource:created") == events.named("resource:updated") == []

    def test_refuses_a_row_without_an_item(self, desk: Newsdesk) -> None:
        """`item_id` is required."""
        answer = desk.client.post("publish_queue", {"headline": "x"})

        assert answer.status_code == 400
        assert answer.get_json()["_issues"] == {"item_id": {"required": 1}}

    def test_takes_rows_that_other_programs_write(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, subscriber: ObjectId
    ) -> None:
        """A row without any of our fields, as an older installation left it, is delivered."""
        graph.db["publish_queue"].insert_one(
            {
                "item_id": "old",
                "item_version": 2,
                "formatted_item": '{"headline": "old"}',
                "subscriber_id": subscriber,
                "destination": {
                    "name": "push",
                    "format": "ninjs",
                    "delivery_type": "http_push",
                    "config": {"resource_url": receiver.url},
                },
                "publishing_action": "published",
                "state": "pending",
            }
        )

        graph.transmit.run()

        assert (desk.row()["state"], told(receiver)) == ("success", ["old"])


def strip(copy: dict[str, Any]) -> dict[str, Any]:
    """Return a copy as clients send it: without what is not set."""
    return {name: value for name, value in copy.items() if value is not None}


class TestOddRows:
    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"item_encoding": "nope"}, "item_encoding"),
            ({"item_encoding": "rot13"}, "item_encoding"),
            ({"item_encoding": "base64"}, "item_encoding"),
            ({"item_encoding": 5}, "item_encoding"),
            ({"item_encoding": "x\0"}, "item_encoding"),
            ({"destination": "x"}, "destination"),
            ({"destination": {"config": 5}}, "destination"),
            ({"destination": {"name": {}}}, "destination"),
            ({"destination": {"delivery_type": []}}, "destination"),
            ({"destination": {"format": 5}}, "destination"),
            ({"formatted_item": {}}, "formatted_item"),
            ({"codes": [5]}, "codes"),
            ({"item_version": "x"}, "item_version"),
            ({"published_seq_num": "x"}, "published_seq_num"),
            ({"publishing_action": {}}, "publishing_action"),
            ({"item_id": 5}, "item_id"),
        ],
        ids=str,
    )
    def test_are_refused(
        self,
        desk: Newsdesk,
        queued: list[dict[str, Any]],
        change: dict[str, Any],
        field: str,
    ) -> None:
        """On POST and on PATCH: what transmit reads is checked before it is stored."""
        row = {key: queued[0][key] for key in COPIED if queued[0].get(key) is not None}
        path, etag = f"publish_queue/{queued[0]['_id']}", queued[0]["_etag"]

        posted = desk.client.post("publish_queue", {**row, "formatted_item": "x", **change})
        patched = desk.client.patch(path, change, etag=etag)

        assert (posted.status_code, patched.status_code) == (400, 400)
        assert field in posted.get_json()["_issues"]
        assert len(listed(desk.client)) == 3

    def test_of_the_server_cannot_be_changed(
        self, desk: Newsdesk, queued: list[dict[str, Any]]
    ) -> None:
        """Attempts and keys are what the server wrote."""
        path, etag = f"publish_queue/{queued[0]['_id']}", queued[0]["_etag"]
        written = {"attempts": [5], "order_no": -1, "idempotency_key": "x"}

        answer = desk.client.patch(path, written, etag=etag)

        assert answer.status_code == 200
        row = desk.client.get(path).get_json()
        assert {key: row.get(key) for key in written} == {
            key: queued[0].get(key) for key in written
        }

    @pytest.mark.parametrize("in_lane", [True, False])
    def test_that_others_stored_fail_and_hold_up_none(
        self,
        graph: Graph,
        desk: Newsdesk,
        queued: list[dict[str, Any]],
        receiver: HTTPReceiver,
        in_lane: bool,
    ) -> None:
        """Such a row is listed, ends in `failed` with its reason, and the others go out.

        Rows without a lane are looked at before they get one, others once they stop their lane.
        """
        rows = graph.db["publish_queue"]
        row = dict(rows.find_one({"_id": ObjectId(queued[0]["_id"])}) or {})
        for field in ("payload_id", "idempotency_key"):
            del row[field]
        odd = [*ODD_ROWS, *(ODD_ROWS_IN_LANE if in_lane else ())]
        lane = {} if in_lane else {"lane": None}
        stored = {
            ObjectId(): ({**row, "formatted_item": "x", **lane, **change}, reason)
            for change, reason in odd
        }
        rows.insert_many({**change, "_id": id_} for id_, (change, _) in stored.items())

        assert stored.keys() <= {ObjectId(row["_id"]) for row in listed(desk.client)}
        graph.transmit.run()

        assert sorted(told(receiver)) == ["a", "b", "c"]
        for id_, (_, reason) in stored.items():
            ended = desk.client.get(f"publish_queue/{id_}").get_json()
            assert (ended["state"], reason in ended["error_message"]) == ("failed", True), ended

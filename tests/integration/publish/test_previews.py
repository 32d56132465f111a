"""What would be sent for a row, before it is (delivery contract 1.2)."""

from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from apps.core import json
from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.clients import Client
from tests.support.newsdesk import Newsdesk
from tests.support.newsroom import file_in, push
from tests.support.receivers import HTTPReceiver

PLANTED = "planted-3ab9"
UNKNOWN_ID = "0123456789abcdef01234567"
WHSEC = "whsec_cGxhbnRlZC0zYWI5LXBsYW50ZWQtM2FiOQ=="
MASKED = {"x-superdesk-signature": "sha1=****", "webhook-signature": "v1,****"}
MASKED["authorization"] = "Basic ****"


def destination(type: str, **config: Any) -> Document:
    return {"_id": "d", "name": "d", "format": "ninjs", "delivery_type": type, "config": config}


def queued(desk: Newsdesk, graph: Graph, wanted: Document, **item: Any) -> Document:
    """Return the row of an item for a destination, which a client has set up."""
    subscriber = desk.newsroom.subscriber("s", wanted)
    path = f"subscribers/{subscriber}"
    changed = desk.client.patch(path, {"destinations": [wanted]})
    assert changed.status_code == 200, changed.text
    desk.published(headline="a", **item)
    graph.enqueue.run()
    return desk.row()


def preview(client: Client, row: Document) -> Any:
    return client.get(f"publish_queue/{row['_id']}/preview")


class TestHTTPPush:
    @pytest.mark.parametrize("envelope", ["none", "cloudevents-structured", "cloudevents-binary"])
    def test_is_what_the_receiver_gets(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, envelope: str
    ) -> None:
        """The same body and the same headers, but for what proves who sends."""
        url = receiver.url.replace("http://", f"http://user:{PLANTED}@")
        secret = {"secret_token": PLANTED, "signature_v1": WHSEC}
        row = queued(desk, graph, push(url, **secret, envelope=envelope))

        answer = preview(desk.client, row)
        assert receiver.requests == []
        graph.transmit.run()

        shown = answer.get_json()
        (request,) = receiver.requests
        assert shown["error_message"] is None
        assert shown["body"].encode() == request.body
        assert (shown["body_bytes"], shown["is_cut"]) == (len(request.body), False)
        headers = {name.lower(): value for name, value in shown["headers"].items()}
        # Of the attempt, which this is none of.
        assert headers.pop("webhook-timestamp").isdecimal()
        sent = {name: request.headers[name] for name in headers}
        assert headers == {**sent, **MASKED}
        own = {"host", "content-length", "accept-encoding", "user-agent", "connection"}
        own |= {"webhook-timestamp"}
        assert request.headers.keys() - headers.keys() <= own
        assert shown["address"].endswith(receiver.url.removeprefix("http://"))
        for secret_text in (PLANTED, WHSEC, WHSEC.removeprefix("whsec_")):
            assert secret_text not in answer.text
        assert request.headers["x-superdesk-signature"] not in answer.text

    def test_names_the_media_that_go_first(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver
    ) -> None:
        binary = str(graph.media.put(b"a picture", "a.jpg", "image/jpeg"))
        picture = {"original": {"href": "http://x/original", "media": binary}}
        held = {"featuremedia": {"_id": "p", "type": "picture", "renditions": picture}}

        wanted = push(receiver.url, assets_url=f"{receiver.url}/assets")
        row = queued(desk, graph, wanted, associations=held)

        assert preview(desk.client, row).get_json()["media"] == [binary]
        assert receiver.requests == []

    def test_of_a_member_of_a_package_that_goes_whole_is_empty(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver
    ) -> None:
        row = queued(desk, graph, push(receiver.url, packaged=True))
        inside = {"$set": {"published_in_package": "p"}}
        graph.db["publish_queue"].update_one({"_id": row["_id"]}, inside)

        shown = preview(desk.client, row).get_json()

        assert (shown["body"], shown["message"]) == ("", "sent inside its package")


class TestOtherTypes:
    def test_a_file_has_the_name_that_is_written(
        self, desk: Newsdesk, graph: Graph, tmp_path: Path
    ) -> None:
        row = queued(desk, graph, file_in(tmp_path, file_extension="xyz"))

        shown = preview(desk.client, row).get_json()
        assert list(tmp_path.iterdir()) == []
        graph.transmit.run()

        (file,) = tmp_path.iterdir()
        assert (shown["address"], shown["file_name"]) == (str(tmp_path), file.name)
        assert shown["body"] == file.read_text()

    @pytest.mark.parametrize(
        ("type", "address"),
        [("ftp", "ftp://ftp.invalid:21/in%20box"), ("sftp", "sftp://ftp.invalid:22/in%20box")],
    )
    def test_an_upload_has_a_server_and_a_directory(
        self, desk: Newsdesk, graph: Graph, type: str, address: str
    ) -> None:
        """Nobody is asked: the server does not exist."""
        config = {"host": "ftp.invalid", "username": "u", "password": PLANTED, "path": "in box"}
        row = queued(desk, graph, destination(type, **config))

        answer = preview(desk.client, row)

        shown = answer.get_json()
        assert (shown["error_message"], shown["address"]) == (None, address)
        assert shown["file_name"].endswith("-2-1.json")
        assert PLANTED not in answer.text

    def test_a_mail_has_recipients_and_headers(self, desk: Newsdesk, graph: Graph) -> None:
        config = {"recipients": "a@example.com; B <b@example.com>", "recipients_bcc": "c@x.example"}
        own = {
            "host": "mail.invalid",
            "username": "u",
            "password": PLANTED,
            "sender": "d@x.example",
        }
        row = queued(desk, graph, destination("email", **config, **own))

        answer = preview(desk.client, row)

        shown = answer.get_json()
        assert shown["address"] == "a@example.com; b@example.com; c@x.example"
        assert shown["headers"]["To"] == "a@example.com, B <b@example.com>"
        assert shown["headers"]["From"] == "d@x.example"
        assert shown["headers"]["Message-ID"].startswith(f"<{row['idempotency_key']}@")
        assert json.loads(shown["body"])["headline"] == "a"
        assert PLANTED not in answer.text

    def test_the_content_api_gets_a_body(self, desk: Newsdesk, graph: Graph) -> None:
        api = desk.newsroom.product("api", product_type="api")
        desk.newsroom.subscriber("s", api_products=[api])
        desk.published(headline="a")
        graph.enqueue.run()

        shown = preview(desk.client, desk.row()).get_json()

        assert shown["delivery_type"] == "content_api"
        assert shown["error_message"] is None or shown["error_message"].startswith("There is")


class TestWhatCannotBeSent:
    @pytest.mark.parametrize(
        ("fields", "reason"),
        [
            ({"payload_id": None}, "nothing to send"),
            ({"payload_id": None, "unformatted": True}, "not formatted yet"),
            ({"subscriber_id": ObjectId(UNKNOWN_ID)}, "subscriber does not exist"),
            ({"subscriber_id": {"a": 1}}, "subscriber does not exist"),
            ({"item_encoding": "nope"}, "encoding nope"),
            ({"destination": {"_id": "x", "delivery_type": "PublicArchive"}}, "PublicArchive"),
            ({"destination": {"_id": "x", "delivery_type": "http_push"}}, "resource_url"),
            ({"destination": {"_id": "x", "delivery_type": "File"}}, "file_path"),
            ({"destination": {"_id": "x", "delivery_type": "ftp"}}, "host is missing"),
            ({"destination": {"_id": "x", "delivery_type": "email"}}, "Recipient"),
            ({"destination": "x"}, "destination"),
            ({"destination": None}, "unknown transmitter"),
            ({"item_version": "x"}, "item_version"),
        ],
        ids=str,
    )
    def test_says_why(
        self,
        desk: Newsdesk,
        graph: Graph,
        receiver: HTTPReceiver,
        fields: Document,
        reason: str,
    ) -> None:
        """As the failure of the row would."""
        row = queued(desk, graph, push(receiver.url))
        graph.db["publish_queue"].update_one({"_id": row["_id"]}, {"$set": fields})

        answer = preview(desk.client, row)

        assert answer.status_code == 200, answer.text
        assert reason in answer.get_json()["error_message"]

    @pytest.mark.parametrize("id", [UNKNOWN_ID, "no-id", "tag:x"])
    def test_an_unknown_row_is_404(self, desk: Newsdesk, id: str) -> None:
        assert preview(desk.client, {"_id": id}).status_code == 404


class TestBounds:
    @pytest.mark.parametrize("letter", ["x", "ü", "€", "\U0001f600"])
    def test_a_long_body_is_cut(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, letter: str
    ) -> None:
        row = queued(desk, graph, push(receiver.url))
        own = {"$set": {"formatted_item": letter * 1_000_000}}
        graph.db["publish_queue"].update_one({"_id": row["_id"]}, own)

        answer = preview(desk.client, row)

        shown = answer.get_json()
        assert (len(shown["body"]), shown["is_cut"]) == (200_000, True)
        assert shown["body_bytes"] == 1_000_000 * len(letter.encode())
        assert len(answer.data) < 1_000_000

    def test_bytes_that_are_no_text_are_base64(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver
    ) -> None:
        row = queued(desk, graph, push(receiver.url))
        own = {"$set": {"formatted_item": "ä" * 10, "item_encoding": "latin-1"}}
        graph.db["publish_queue"].update_one({"_id": row["_id"]}, own)

        shown = preview(desk.client, row).get_json()

        assert (b64decode(shown["body"]), shown["body_encoding"]) == (b"\xe4" * 10, "base64")


def test_whoever_reads_the_row_reads_it(
    desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, editor: Client
) -> None:
    """No privilege is needed; an item on a hidden stage hides the preview of its rows."""
    row = queued(desk, graph, push(receiver.url))

    assert preview(editor, row).status_code == editor.get(f"publish_queue/{row['_id']}").status_code
    assert preview(Client(editor.app), row).status_code == 401
    stage = ObjectId()
    graph.db["archive"].update_one({"_id": row["item_id"]}, {"$set": {"task.stage": stage}})
    graph.db["users"].update_many({}, {"$set": {"invisible_stages": [stage]}})
    assert preview(editor, row).status_code == 403


def test_plain_secrets_of_older_data_are_masked_too(
    desk: Newsdesk, graph: Graph, receiver: HTTPReceiver
) -> None:
    """In a subscriber, and in a row that holds a destination of its own."""
    url = receiver.url.replace("http://", f"http://user:{PLANTED}@")
    row = queued(desk, graph, push(receiver.url))
    plain = push(url, secret_token=PLANTED, password=PLANTED)
    graph.db["subscribers"].update_one({}, {"$set": {"destinations": [plain]}})
    first = preview(desk.client, row)
    own = {"$set": {"destination": {**plain, "_id": "other"}}}
    graph.db["publish_queue"].update_one({"_id": row["_id"]}, own)
    second = preview(desk.client, row)

    for answer in (first, second):
        assert answer.get_json()["headers"]["x-superdesk-signature"] == "sha1=****"
        assert PLANTED not in answer.text

"""What HTTP push sends of each format, with and without an envelope (formats contract 1.7)."""

import hmac
import json
from typing import Any
from urllib.parse import unquote

import pytest
from jsonschema import Draft7Validator
from lxml import etree

from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.newsroom import push
from tests.support.receivers import HTTPReceiver, Received
from tests.support.schema_files import schema

TOKEN = "123456789"
G2 = "application/vnd.iptc.g2.newsmessage+xml"


@pytest.fixture
def eager() -> bool:
    """Tasks run at once."""
    return True


def destination(receiver: HTTPReceiver, format: str, **config: Any) -> Document:
    return {**push(f"{receiver.url}/push", **config), "format": format}


def is_signed(request: Received) -> bool:
    expected = hmac.new(TOKEN.encode(), request.body, "sha1").hexdigest()
    return bool(request.headers["x-superdesk-signature"] == f"sha1={expected}")


class TestFormats:
    def test_newsmlg2(self, desk: Newsdesk, receiver: HTTPReceiver) -> None:
        """Formats scenario 45: XML with its MIME type, and the signature over those bytes."""
        desk.newsroom.subscriber("G2", destination(receiver, "newsmlg2", secret_token=TOKEN))

        desk.published(headline="Rivers & lakes")

        (request,) = receiver.requests
        assert G2 == request.headers["content-type"]
        assert is_signed(request)
        root = etree.fromstring(request.body)
        assert "newsMessage" == etree.QName(root).localname
        assert "Rivers & lakes" in "".join(root.itertext())
        assert "success" == desk.row()["state"]

    @pytest.mark.parametrize(
        ("format", "content_type"),
        [
            ("nitf", "application/nitf+xml"),
            ("newsml12", "application/xml"),
            ("ninjs", "application/json"),
            ("text", "text/plain; charset=utf-8"),
        ],
    )
    def test_any_format(
        self, desk: Newsdesk, receiver: HTTPReceiver, format: str, content_type: str
    ) -> None:
        """The body is what was formatted, whatever that is; nothing parses it.

        Formats contract F14.
        """
        desk.newsroom.subscriber("Push", destination(receiver, format, secret_token=TOKEN))

        desk.published(headline="Flüsse steigen")

        (request,) = receiver.requests
        assert content_type == request.headers["content-type"]
        assert is_signed(request)
        assert "flüsse steigen" in request.body.decode("utf-8").lower()


class TestMedia:
    def answers(self, request: Received) -> int:
        return 404 if request.method == "GET" else 200

    def test_media_go_first(self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver) -> None:
        """Files that the receiver lacks, then the item; once for each file.

        Delivery contract 5.1.
        """
        receiver.answer(self.answers)
        media = str(graph.media.put(b"\xff\xd8\xff picture", "flood.jpg"))
        config = {"assets_url": f"{receiver.url}/assets", "secret_token": TOKEN}
        desk.newsroom.subscriber("Push", destination(receiver, "ninjs", **config))
        renditions = {"original": {"href": "https://example.com/a.jpg", "media": media}}
        picture = {"_id": "p", "type": "picture", "renditions": renditions}

        desk.published(associations={"featuremedia": picture})

        check, upload, item = receiver.requests
        assert ("GET", f"/assets/{media}") == (check.method, check.path)
        assert ("POST", "/assets") == (upload.method, upload.path)
        assert b"\xff\xd8\xff picture" in upload.body
        assert b"Content-Type: image/jpeg" in upload.body
        assert is_signed(upload)
        assert ("POST", "/push") == (item.method, item.path)
        assert "success" == desk.row()["state"]

    def test_media_that_are_not_stored(self, desk: Newsdesk, receiver: HTTPReceiver) -> None:
        """An item whose picture is not there is not sent without it: the row says why."""
        receiver.answer(self.answers)
        config = {"assets_url": f"{receiver.url}/assets"}
        desk.newsroom.subscriber("Push", destination(receiver, "ninjs", **config))
        renditions = {"original": {"href": "https://example.com/a.jpg", "media": "gone"}}

        desk.published(
            associations={"featuremedia": {"_id": "p", "type": "picture", "renditions": renditions}}
        )

        assert "failed" == desk.row()["state"]
        assert "gone: it is not stored here" in desk.row()["error_message"]

    def test_only_json_refers_to_media(self, desk: Newsdesk, receiver: HTTPReceiver) -> None:
        """Formats contract 1.7: media discovery is for JSON; other formats go out alone."""
        config = {"assets_url": f"{receiver.url}/assets"}
        desk.newsroom.subscriber("Push", destination(receiver, "nitf", **config))
        renditions = {"original": {"href": "https://example.com/a.jpg", "media": "gone"}}

        desk.published(
            associations={"featuremedia": {"_id": "p", "type": "picture", "renditions": renditions}}
        )

        assert ["/push"] == [request.path for request in receiver.requests]


class TestCloudEvents:
    def published_twice(
        self, desk: Newsdesk, receiver: HTTPReceiver, clock: HandClock, graph: Graph
    ) -> tuple[Received, Received]:
        """Publish to a receiver that fails once; return both attempts."""
        receiver.answer([503])
        desk.published(headline="Rivers & lakes")
        clock.advance(hours=1)
        graph.transmit.run()
        first, second = receiver.requests
        assert "success" == desk.row()["state"]
        return first, second

    def test_structured(
        self, desk: Newsdesk, receiver: HTTPReceiver, clock: HandClock, graph: Graph
    ) -> None:
        """Valid by its schema; `id` is one per row, the same on every retry.

        Formats scenario 49.
        """
        config = {"envelope": "cloudevents-structured", "secret_token": TOKEN}
        desk.newsroom.subscriber("Push", destination(receiver, "ninjs", **config))

        first, second = self.published_twice(desk, receiver, clock, graph)

        assert first.body == second.body
        assert is_signed(first)
        assert "application/cloudevents+json; charset=utf-8" == first.headers["content-type"]
        event = json.loads(first.body)
        row = desk.row()
        assert {
            "specversion": "1.0",
            "id": row["idempotency_key"],
            "source": "http://127.0.0.1:5000/api",
            "type": "wiredesk.item.published",
            "subject": row["item_id"],
            "itemversion": "2",
            "time": "2030-01-01T12:00:00.000Z",
            "datacontenttype": "application/json",
        } == {name: value for name, value in event.items() if name != "data"}
        assert "Rivers & lakes" == event["data"]["headline"]
        envelope = json.loads(schema("cloudevents/cloudevents.json").read_text("utf-8"))
        assert [] == [e.message for e in Draft7Validator(envelope).iter_errors(event)]

    def test_binary(
        self, desk: Newsdesk, receiver: HTTPReceiver, clock: HandClock, graph: Graph
    ) -> None:
        """Formats scenario 49: binary mode has `ce-` headers and the untouched body."""
        config = {"envelope": "cloudevents-binary", "secret_token": TOKEN}
        desk.newsroom.subscriber("Push", destination(receiver, "nitf", **config))

        first, second = self.published_twice(desk, receiver, clock, graph)

        headers = {n: v for n, v in first.headers.items() if n.lower().startswith("ce-")}
        assert headers == {n: v for n, v in second.headers.items() if n.lower().startswith("ce-")}
        row = desk.row()
        assert row["idempotency_key"] == first.headers["ce-id"]
        assert row["item_id"] == unquote(first.headers["ce-subject"])
        assert ("1.0", "wiredesk.item.published", "2030-01-01T12:00:00.000Z") == tuple(
            first.headers[f"ce-{name}"] for name in ("specversion", "type", "time")
        )
        assert "application/nitf+xml" == first.headers["content-type"]
        payload = graph.db["publish_payloads"].find_one({"_id": row["payload_id"]})
        assert payload is not None
        assert payload["body"].encode() == first.body == second.body
        assert is_signed(first)

    @pytest.mark.parametrize("format", ["nitf", "text"])
    def test_structured_text(self, desk: Newsdesk, receiver: HTTPReceiver, format: str) -> None:
        """What is no JSON travels as text within the event."""
        config = {"envelope": "cloudevents-structured"}
        desk.newsroom.subscriber("Push", destination(receiver, format, **config))

        desk.published(headline="Rivers rise")

        (request,) = receiver.requests
        event = json.loads(request.body)
        assert "rivers rise" in event["data"].lower()
        assert event["datacontenttype"] in ("application/nitf+xml", "text/plain")

    def test_every_row_has_an_id_of_its_own(self, desk: Newsdesk, receiver: HTTPReceiver) -> None:
        """Versions and destinations are told apart; the type says what happened.

        Formats scenario 49.
        """
        config = {"envelope": "cloudevents-binary"}
        one, two = (
            {**destination(receiver, "ninjs", **config), "_id": name, "name": name}
            for name in ("one", "two")
        )
        desk.newsroom.subscriber("Push", one, two)

        story = desk.published()
        desk.act("correct", story, headline="Rivers fall")
        desk.act("kill", story)

        events = [(r.headers["ce-id"], r.headers["ce-type"]) for r in receiver.requests]
        assert 6 == len({id_ for id_, _type in events})
        assert {f"wiredesk.item.{word}" for word in ("published", "corrected", "killed")} == {
            type_ for _id, type_ in events
        }

    def test_no_envelope(self, desk: Newsdesk, receiver: HTTPReceiver) -> None:
        """`none` is what destinations have that say nothing."""
        desk.newsroom.subscriber("Push", destination(receiver, "ninjs", envelope="none"))
        desk.published()
        (request,) = receiver.requests
        assert "application/json" == request.headers["content-type"]
        assert not [name for name in request.headers if name.lower().startswith("ce-")]

    def test_an_unknown_envelope(self, desk: Newsdesk, receiver: HTTPReceiver) -> None:
        """A destination that is set up wrongly fails at once, and says how."""
        desk.newsroom.subscriber("Push", destination(receiver, "ninjs", envelope="letter"))
        desk.published()
        row = desk.row()
        assert "failed" == row["state"]
        assert "envelope letter is unknown" in row["error_message"]
        assert not receiver.requests

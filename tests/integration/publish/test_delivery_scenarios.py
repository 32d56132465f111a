"""Scenarios of deliveries that cross several parts: from a publication to what arrives."""

from pathlib import Path
from typing import Any

import pytest

from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.newsroom import file_in, push
from tests.support.receivers import HTTPReceiver, Received, Reply


def deliver(graph: Graph) -> None:
    graph.enqueue.run()
    graph.transmit.run()


class Assets:
    """Answers of a receiver that keeps media, as `/assets/<id>` and `/assets`.

    Attributes:
        there: texts of media that it has got.
        is_full: whether it takes no more.
    """

    def __init__(self) -> None:
        self.there: dict[str, bytes] = {}
        self.is_full = False

    def __call__(self, request: Received) -> Reply:
        if request.method == "GET":
            return 200 if request.path.removeprefix("/assets/") in self.there else 404
        if request.path != "/assets":
            return 200
        if self.is_full:
            return 500
        id_ = request.body.partition(b'name="media_id"\r\n\r\n')[2].partition(b"\r\n")[0].decode()
        self.there[id_] = request.body
        return 201


def steps(receiver: HTTPReceiver) -> list[str]:
    return [f"{request.method} {request.path.split('/')[1]}" for request in receiver.requests]


@pytest.fixture
def picture(graph: Graph) -> Document:
    media = str(graph.media.put(b"\xff\xd8\xff picture", "flood.jpg", "image/jpeg"))
    original = {"href": "x", "media": media, "mimetype": "image/jpeg"}
    return {
        "_id": "flood",
        "type": "picture",
        "headline": "Flood",
        "renditions": {"original": original},
    }


class TestMedia:
    def test_go_before_the_item_where_they_are_missing(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, picture: Document
    ) -> None:
        """Delivery scenario 8: what the receiver has is not posted again."""
        assets = Assets()
        receiver.answer(assets)
        place = receiver.url.rstrip("/")
        desk.newsroom.subscriber("one", push(f"{place}/push", assets_url=f"{place}/assets"))
        desk.published(associations={"featuremedia": picture})
        deliver(graph)

        assert steps(receiver) == ["GET assets", "POST assets", "POST push"]
        ((id_, form),) = assets.there.items()
        assert id_ == picture["renditions"]["original"]["media"]
        assert b'name="media"' in form
        assert b"\xff\xd8\xff picture" in form

        desk.published(associations={"featuremedia": {**picture, "_id": "again"}})
        deliver(graph)
        assert steps(receiver)[3:] == ["POST push"]

    def test_hold_the_item_back_until_they_are_taken(
        self,
        desk: Newsdesk,
        graph: Graph,
        receiver: HTTPReceiver,
        picture: Document,
        clock: HandClock,
    ) -> None:
        """Delivery scenario 9: what was taken is not uploaded again."""
        assets = Assets()
        assets.is_full = True
        receiver.answer(assets)
        place = receiver.url.rstrip("/")
        desk.newsroom.subscriber("one", push(f"{place}/push", assets_url=f"{place}/assets"))
        desk.published(associations={"featuremedia": picture})
        deliver(graph)

        (row,) = desk.rows()
        assert (row["state"], row["retry_attempt"]) == ("retrying", 1)
        assert "Error pushing media file" in row["error_message"]
        assert "POST push" not in steps(receiver)

        assets.is_full = False
        clock.advance(minutes=2)
        graph.transmit.run()
        assert steps(receiver)[-2:] == ["POST assets", "POST push"]
        assert [row["state"] for row in desk.rows()] == ["success"]


def test_a_package_arrives_whole_and_once(
    desk: Newsdesk, graph: Graph, receiver: HTTPReceiver
) -> None:
    """Delivery scenario 10: where `packaged` is set, its members never come alone."""
    desk.newsroom.validators(item_type="composite")
    desk.newsroom.subscriber("one", push(receiver.url, packaged=True))
    members = [desk.story(headline=headline) for headline in ("one", "two")]
    refs = [{"residRef": member["_id"]} for member in members]
    groups: list[Any] = [
        {"id": "root", "refs": [{"idRef": "main"}]},
        {"id": "main", "refs": refs},
    ]
    whole = desk.story(type="composite", headline="both", groups=groups)
    desk.act("publish", whole)
    deliver(graph)

    (posted,) = (request.json() for request in receiver.requests)
    assert posted["headline"] == "both"
    inside = str(posted["associations"])
    assert all(member["_id"] in inside for member in members)


def test_a_directory_that_is_missing(
    desk: Newsdesk, graph: Graph, tmp_path: Path, clock: HandClock
) -> None:
    """Delivery scenario 35: told with its code; then one file, and nothing beside it."""
    directory = tmp_path / "wire"
    desk.newsroom.subscriber("one", file_in(directory))
    desk.published()
    deliver(graph)

    (row,) = desk.rows()
    assert row["state"] == "retrying"
    assert row["error_message"].startswith("PublishFileError Error 13000 - File publish error")

    directory.mkdir()
    clock.advance(minutes=2)
    graph.transmit.run()
    assert [row["state"] for row in desk.rows()] == ["success"]
    assert len(list(directory.iterdir())) == 1

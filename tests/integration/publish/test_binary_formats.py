"""Binary formats through the pipeline (formats contract 1.5)."""

import zipfile
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from apps.core.ids import object_id
from apps.graph.build import Graph
from apps.publish.enqueue import formatting
from formatters.idml import IDMLFormatter
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.newsroom import file_in

COPIED = ("item_id", "item_version", "publishing_action", "formatted_item", "destination")


@pytest.fixture
def eager() -> bool:
    """Tasks run at once."""
    return True


@pytest.fixture
def subscriber(desk: Newsdesk, tmp_path: Path) -> ObjectId:
    return desk.newsroom.subscriber("Files", {**file_in(tmp_path), "format": "idml"})


def listed(desk: Newsdesk) -> list[dict[str, Any]]:
    rows = desk.client.get("publish_queue", sort="order_no").get_json()["_items"]
    return [dict(row) for row in rows]


def headline_in(file: Path) -> str:
    with zipfile.ZipFile(BytesIO(file.read_bytes())) as package:
        return package.read("Stories/Story_story_1.xml").decode()


class TestDelivery:
    def test_the_row_names_the_binary(
        self, desk: Newsdesk, subscriber: ObjectId, tmp_path: Path
    ) -> None:
        """The row has `encoded_item_id` and an empty `formatted_item`; the file is the zip.

        Formats scenario 42.
        """
        desk.published(headline="Rivers rise")

        [row] = listed(desk)
        assert ("", "success") == (row["formatted_item"], row["state"])
        assert ObjectId.is_valid(row["encoded_item_id"])
        [file] = tmp_path.iterdir()
        assert ".idml" == file.suffix
        assert "Rivers rise" in headline_in(file)

    def test_a_client_sends_it_again(
        self, desk: Newsdesk, graph: Graph, subscriber: ObjectId, tmp_path: Path
    ) -> None:
        """A copy of the row that a client posts names the same binary, and is delivered.

        Formats scenario 42.
        """
        desk.published(headline="Rivers rise")
        [row] = listed(desk)
        [first] = tmp_path.iterdir()
        body = first.read_bytes()
        first.unlink()

        copy = {name: row[name] for name in COPIED}
        copy |= {"subscriber_id": str(subscriber), "encoded_item_id": row["encoded_item_id"]}
        answer = desk.client.post("publish_queue", copy)
        graph.transmit.run()

        assert 201 == answer.status_code, answer.text
        assert ["success", "success"] == [r["state"] for r in listed(desk)]
        assert [body] == [file.read_bytes() for file in tmp_path.iterdir()]

    def test_destinations_share_one(self, desk: Newsdesk, graph: Graph, tmp_path: Path) -> None:
        """One item in one format is stored once."""
        for name in "ab":
            (tmp_path / name).mkdir()
            desk.newsroom.subscriber(name, {**file_in(tmp_path / name), "format": "idml"})

        desk.published()

        assert 1 == len({row["encoded_item_id"] for row in listed(desk)})
        assert 1 == graph.db["publish_payloads"].count_documents({})

    def test_a_body_that_is_too_large_is_a_failed_row(
        self,
        desk: Newsdesk,
        subscriber: ObjectId,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """What the store cannot hold fails with the format's code; others get theirs.

        Formats scenario 38.
        """
        monkeypatch.setattr(formatting, "LARGEST", 6000)
        (tmp_path / "text").mkdir()
        desk.newsroom.subscriber("Text", {**file_in(tmp_path / "text"), "format": "text"})

        desk.published(headline="h")

        states = {row["destination"]["format"]: row for row in listed(desk)}
        assert "success" == states["text"]["state"]
        assert "failed" == states["idml"]["state"]
        assert states["idml"]["error_message"].startswith(f"7012 {IDMLFormatter.error_text}: ")


class TestDeletion:
    @pytest.fixture
    def settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        return {**settings, "PUBLISH_QUEUE_EXPIRY_MINUTES": 60, "CONTENT_EXPIRY_MINUTES": 0}

    @pytest.fixture
    def clock(self) -> HandClock:
        """The time that is in new ids."""
        return HandClock(datetime.now(UTC))

    def age(self, graph: Graph, row: dict[str, Any]) -> None:
        """Make a row a day older, by the time in its id."""
        stored = graph.db["publish_queue"].find_one_and_delete({"_id": object_id(row["_id"])})
        assert stored is not None
        old = ObjectId(bytes([stored["_id"].binary[0] - 1]) + stored["_id"].binary[1:])
        graph.db["publish_queue"].insert_one({**stored, "_id": old})

    def test_goes_with_its_last_row(
        self, desk: Newsdesk, graph: Graph, subscriber: ObjectId
    ) -> None:
        """The binary is there while a row names it, a client's copy too, and gone after.

        Formats scenario 43.
        """
        desk.published()
        [row] = listed(desk)
        copy = {name: row[name] for name in COPIED}
        copy |= {"subscriber_id": str(subscriber), "encoded_item_id": row["encoded_item_id"]}
        desk.client.post("publish_queue", copy)
        graph.transmit.run()

        self.age(graph, row)
        graph.expiry.run()
        kept = graph.db["publish_payloads"].count_documents({})
        [again] = listed(desk)
        self.age(graph, again)
        graph.expiry.run()

        assert (1, 0) == (kept, graph.db["publish_payloads"].count_documents({}))
        assert [] == listed(desk)

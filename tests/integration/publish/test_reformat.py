"""Items whose formatting broke for another reason than a refusal (routing contract 8.1, R5)."""

from pathlib import Path
from typing import Any

import pytest

from apps.core.errors import FormatError
from apps.core.service import Document
from apps.graph.build import Graph
from formatters.idml import IDMLFormatter
from formatters.ninjs import NINJSFormatter
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.newsroom import file_in, push
from tests.support.receivers import HTTPReceiver
from tests.support.routing import permitting


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Retries are due when the ladder says so."""
    return {**settings, "RETRY_JITTER": 0}


def breaking(*arguments: Any) -> Any:
    raise RuntimeError("out of order")


def refusing(*arguments: Any) -> Any:
    raise FormatError(7004, "no", item_id="x", cause="never")


def test_is_formatted_before_it_is_sent(
    desk: Newsdesk, graph: Graph, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A visible row in `retrying`; by the ladder of retries it goes out once the fault is gone."""
    with HTTPReceiver() as receiver:
        desk.newsroom.subscriber("s", push(receiver.url))
        item = desk.published()
        with monkeypatch.context() as broken:
            broken.setattr(NINJSFormatter, "format", breaking)
            graph.enqueue.run()
            first = desk.row()
            clock.advance(minutes=1)
            graph.transmit.run()
            second = desk.row()
        clock.advance(minutes=1)
        graph.transmit.run()
        early = len(receiver.requests)
        clock.advance(minutes=1)
        graph.transmit.run()

        assert (first["state"], first["retry_attempt"]) == ("retrying", 1)
        assert "out of order" in first["error_message"]
        assert (second["state"], second["retry_attempt"]) == ("retrying", 2)
        assert early == 0
        (request,) = receiver.requests
        assert request.json()["guid"] == item["guid"]
    row = desk.row()
    assert (row["state"], row["error_message"]) == ("success", None)
    assert desk.queue_states(item) == ["queued"]


def test_what_fails_is_tried_once_for_all_who_share_it(
    desk: Newsdesk, graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each destination has its row that says why, but the format is asked once."""
    asked: list[type] = []

    def counting(formatter: NINJSFormatter, *arguments: Any) -> Any:
        asked.append(type(formatter))
        return breaking()

    for name in ("s", "t"):
        desk.newsroom.subscriber(name, push("http://127.0.0.1:9"))
    desk.published()
    monkeypatch.setattr(NINJSFormatter, "format", counting)
    graph.enqueue.run()

    rows = list(graph.db["publish_queue"].find({}))
    assert ["retrying", "retrying"] == [row["state"] for row in rows]
    assert all("out of order" in row["error_message"] for row in rows)
    assert asked.count(NINJSFormatter) == 1


def test_a_binary_is_named_by_its_row(
    desk: Newsdesk, graph: Graph, clock: HandClock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A binary that is written later goes by its id, as one that is written at once does."""
    desk.newsroom.subscriber("s", {**file_in(tmp_path), "format": "idml"})
    desk.published()
    with monkeypatch.context() as broken:
        broken.setattr(IDMLFormatter, "format", breaking)
        graph.enqueue.run()
    clock.advance(minutes=1)
    graph.transmit.run()

    row = desk.row()
    payload = graph.db["publish_payloads"].find_one({"_id": row["payload_id"]}) or {}
    assert row["state"] == "success"
    assert (row["formatted_item"], str(row["encoded_item_id"])) == (
        "",
        str(payload["encoded_item_id"]),
    )
    assert len(list(tmp_path.iterdir())) == 1


def test_a_refusal_is_final(
    desk: Newsdesk, graph: Graph, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the format itself says that it cannot be, the row is failed."""
    desk.newsroom.subscriber("s", push("http://127.0.0.1:9"))
    desk.published()
    with monkeypatch.context() as broken:
        broken.setattr(NINJSFormatter, "format", breaking)
        graph.enqueue.run()
    monkeypatch.setattr(NINJSFormatter, "format", refusing)
    clock.advance(minutes=1)
    graph.transmit.run()

    row = desk.row()
    assert (row["state"], row["error_message"]) == (
        "failed",
        "FormatterError Error 7004 - no:never",
    )


def test_a_package_is_the_copy_of_its_subscriber(
    desk: Newsdesk, graph: Graph, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Formatted later, it holds no more members than were received."""
    desk.newsroom.validators(item_type="composite")
    with HTTPReceiver() as receiver:
        only = permitting(desk, "slugline", "eq", "flood")
        product = desk.newsroom.product("flood", content_filter=only)
        desk.newsroom.subscriber("s", push(receiver.url), products=[product])
        flood, storm = desk.story(slugline="flood"), desk.story(slugline="storm")
        refs: list[Document] = [{"residRef": flood["_id"]}, {"residRef": storm["_id"]}]
        groups = [{"id": "root", "refs": [{"idRef": "main"}]}, {"id": "main", "refs": refs}]
        desk.act("publish", desk.story(type="composite", groups=groups))
        with monkeypatch.context() as broken:
            broken.setattr(NINJSFormatter, "format", breaking)
            graph.enqueue.run()
        clock.advance(minutes=1)
        graph.transmit.run()

        package = next(r.json() for r in receiver.requests if r.json()["type"] == "composite")
    assert [member["guid"] for member in package["associations"].values()] == [flood["_id"]]

"""The log line of an attempt (delivery contract 14.1)."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import structlog

from apps.core.logs import configure_logs
from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.newsroom import push
from tests.support.queues import fill, leave_claimed
from tests.support.receivers import HTTPReceiver
from tests.support.worker_processes import process

LOGGED_RUN = """
from apps.core.logs import configure_logs
from tests.support.pipeline_run import main

configure_logs("INFO")
main("transmit")
"""

TEXT, COUNT = {"type": "string", "minLength": 1}, {"type": "integer", "minimum": 0}
OPTIONAL_TEXT, OPTIONAL_COUNT = {"type": ["string", "null"]}, {"type": ["integer", "null"]}
FIELDS: dict[str, Any] = {
    **dict.fromkeys(("row", "item", "subscriber", "key", "trace_id", "type"), TEXT),
    **dict.fromkeys(("operation", "destination"), OPTIONAL_TEXT),
    **dict.fromkeys(("version", "status", "ms", "bytes"), OPTIONAL_COUNT),
    "claim": COUNT,
    "attempt": {"type": "integer", "minimum": 1},
    "of": {"const": 11},
    "outcome": {
        "enum": ["success", "retrying", "failed", "canceled", "in-progress", "unknown"],
    },
    "next_at": OPTIONAL_TEXT,
    "event": {"const": "delivery.attempted"},
    "logger": {"const": "apps.publish.transmit.attempt_log"},
    "level": {"const": "info"},
    "timestamp": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT[\d:.]+Z$"},
}
SCHEMA = {
    "type": "object",
    "properties": FIELDS,
    "required": sorted(FIELDS),
    "additionalProperties": False,
}


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    return {**settings, "RETRY_JITTER": 0}


@pytest.fixture(autouse=True)
def _as_in_production() -> Iterator[None]:
    """Lines have the form that they have everywhere."""
    before = structlog.get_config() if structlog.is_configured() else None
    configure_logs("INFO")
    yield
    structlog.configure(**before) if before else structlog.reset_defaults()


def lines_in(caplog: pytest.LogCaptureFixture) -> list[Document]:
    """Return the lines of attempts as they are written, each of which has the form."""
    found = []
    for record in caplog.records:
        if isinstance(record.msg, dict) and record.msg["event"] == "delivery.attempted":
            line = json.loads(
                structlog.processors.JSONRenderer(default=str)(None, "", dict(record.msg))
            )
            jsonschema.validate(line, SCHEMA)
            found.append(line)
    caplog.clear()
    return found


def test_each_attempt_writes_one(
    desk: Newsdesk,
    graph: Graph,
    receiver: HTTPReceiver,
    clock: HandClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With what was sent, what came of it, and when it is tried again."""
    receiver.answer([503, 200])
    desk.newsroom.subscriber("one", push(receiver.url))
    desk.published(headline="Storm")
    graph.enqueue.run()
    published = graph.db["published"].find_one({}) or {}

    graph.transmit.run()
    clock.advance(seconds=61)
    graph.transmit.run()

    first, second = lines_in(caplog)
    row = desk.row()
    sent = receiver.requests[0]
    assert first == {
        **{name: second[name] for name in ("timestamp", "logger", "level", "event")},
        "timestamp": first["timestamp"],
        "row": str(row["_id"]),
        "key": sent.headers["webhook-id"],
        "item": row["item_id"],
        "version": 2,
        "operation": "published",
        "subscriber": str(row["subscriber_id"]),
        "destination": "push",
        "type": "http_push",
        "attempt": 1,
        "of": 11,
        "outcome": "retrying",
        "status": 503,
        "ms": row["attempts"][0]["ms"],
        "bytes": len(sent.body),
        "next_at": "2030-01-01 12:01:00+00:00",
        "claim": 1,
        "trace_id": str(published["_id"]),
    }
    assert (second["attempt"], second["outcome"], second["status"]) == (2, "success", 200)
    assert (second["claim"], second["next_at"]) == (2, None)


def test_deliveries_of_one_publication_have_one_trace(
    desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    """Another version has another one, and so has a resend; clients do not see it."""
    ids = [desk.newsroom.subscriber(name, push(receiver.url)) for name in ("one", "two")]
    item = desk.published()
    graph.enqueue.run()
    graph.transmit.run()
    first = lines_in(caplog)
    sent = {"subscribers": [str(ids[0])], "version": 2}
    assert desk.client.post(f"archive/{item['_id']}/resend", sent).status_code == 201
    request = graph.db["resends"].find_one({}) or {}
    graph.enqueue.run()
    graph.transmit.run()
    (again,) = lines_in(caplog)
    desk.act("correct", desk.client.get(f"archive/{item['_id']}").get_json())
    graph.enqueue.run()
    graph.transmit.run()
    corrected = lines_in(caplog)

    assert len({line["trace_id"] for line in first}) == 1
    assert len({line["trace_id"] for line in corrected}) == 1
    assert again["trace_id"] == str(request["_id"])
    assert len({line["trace_id"] for line in (*first, again, *corrected)}) == 3
    shown = desk.client.get("publish_queue").get_json()["_items"]
    assert len(shown) == 5
    assert not [row for row in shown if {"trace_id", "published_at"} & row.keys()]


def test_rows_that_cannot_be_sent(
    desk: Newsdesk,
    graph: Graph,
    receiver: HTTPReceiver,
    clock: HandClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nothing was sent; whatever others wrote into the row, the line has its form."""
    subscriber = desk.newsroom.subscriber("one", push(receiver.url))
    fill(graph.db, subscriber, push(receiver.url), clock.at, items=1, payload_id=None)
    graph.transmit.run()
    (line,) = lines_in(caplog)
    assert (line["outcome"], line["bytes"], line["status"]) == ("failed", None, None)


def test_the_attempt_of_a_process_that_died(
    desk: Newsdesk,
    graph: Graph,
    receiver: HTTPReceiver,
    clock: HandClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Who takes the row over writes its line."""
    subscriber = desk.newsroom.subscriber("one", push(receiver.url))
    fill(graph.db, subscriber, push(receiver.url), clock.at, items=2)
    leave_claimed(graph.db, clock, item_id="item-0000")
    clock.advance(seconds=61)

    graph.transmit.run()

    lost, *sent = lines_in(caplog)
    assert (lost["item"], lost["outcome"]) == ("item-0000", "unknown")
    assert (lost["ms"], lost["bytes"], lost["status"], lost["next_at"]) == (None,) * 4
    assert [line["outcome"] for line in sent] == ["success", "success"]
    types = graph.db["delivery_counters"].find_one({"_id": "type http_push"}) or {}
    assert types["outcomes"] == {"unknown": 1, "success": 2}
    assert (types["attempts"], types["delivered"]) == (3, 2)


def test_as_a_process_writes_it_without_a_secret(
    desk: Newsdesk,
    graph: Graph,
    receiver: HTTPReceiver,
    settings: dict[str, Any],
    tmp_path: Path,
) -> None:
    """Whatever is secret of a destination, in its address, or in what its receiver says."""
    receiver.answer(lambda request: (500, {}, b"planted-answer"))
    address = receiver.url.replace("http://", "http://user:planted-password@")
    config = {"resource_url": f"{address}?key=planted-key", "secret_token": "planted-token"}
    desk.newsroom.subscriber("one", {**push(receiver.url), "config": config})
    desk.published(body_html="<p>planted-body</p>")
    graph.enqueue.run()
    # The process has a clock of its own.
    graph.db["publish_lanes"].update_many(
        {}, {"$set": {"wake_at": datetime(2020, 1, 1, tzinfo=UTC)}}
    )
    names = ("MONGO_URI", "MONGO_DBNAME", "REDIS_URL", "NOTIFICATION_CHANNEL", "ENCRYPTION_KEYS")
    environment = {name: settings[name] for name in names} | {
        "ENCRYPTION_KEYS": ",".join(settings["ENCRYPTION_KEYS"])
    }
    with process(["-c", LOGGED_RUN], environment, tmp_path) as run:
        assert run.wait(60) == 0

    text = (tmp_path / "log").read_text()
    found = [json.loads(line) for line in text.splitlines() if "delivery.attempted" in line]
    assert len(found) == 1
    jsonschema.validate(found[0], SCHEMA)
    assert found[0]["status"] == 500
    assert "planted" not in text

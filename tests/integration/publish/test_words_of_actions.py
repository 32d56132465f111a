"""What refused actions say: a status, the reason in plain words, and what to do next.

Delivery contract 1.1, 7.1 and 7.2.
"""

from typing import Any

import pytest
from bson import ObjectId

from apps.core.service import Document
from tests.support.newsdesk import Newsdesk
from tests.support.newsroom import file_in, push
from tests.support.queues import fill
from tests.support.receivers import HTTPReceiver

SINCE = "2030-01-01T12:00:00+0000"
NOBODY = "0123456789abcdef01234567"


@pytest.fixture
def names(desk: Newsdesk, receiver: HTTPReceiver, clock: Any, tmp_path: Any) -> dict[str, Any]:
    """A subscriber with two destinations, and a row that has been delivered."""
    destination = push(receiver.url)
    subscriber: ObjectId = desk.newsroom.subscriber("s", destination, file_in(tmp_path))
    (row,) = fill(desk.db, subscriber, destination, clock.at, items=1, state="success")
    return {"subscriber": subscriber, "row": row["_id"], "nobody": NOBODY}


def said(answer: Any) -> str:
    """Return all words of an error, whatever its envelope."""
    body = answer.get_json()
    issues = body.get("_issues") or {}
    return " ".join([str(body.get("_message") or body["_error"]["message"]), str(issues)])


BULK = {"action": "resend", "where": {}, "expected": 1}


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("publish_queue/{row}/nothing", {}, 404, ["nothing", "resend, cancel, run_now"]),
        ("publish_queue/{nobody}/resend", {}, 404, [NOBODY, "GET /publish_queue"]),
        ("publish_queue/{row}/cancel", {}, 409, ["finished", "nothing to cancel"]),
        ("publish_queue/{row}/run_now", {}, 409, ["finished", "Resend the row"]),
        ("publish_queue/{row}/resend", {"x": 1}, 400, ["unknown field"]),
        ("publish_queue/actions", {**BULK, "action": "nothing"}, 404, ["resend, cancel, run_now"]),
        ("publish_queue/actions", {**BULK, "expected": 2}, 409, ["1 rows match", "expected 1"]),
        ("publish_queue/actions", {"action": "resend", "where": {}}, 400, ["expected", "required"]),
        ("publish_queue/actions", {**BULK, "expected": "1"}, 400, ["expected", "integer"]),
        ("{to}/push/nothing", {}, 404, ["nothing", "pause", "replay"]),
        ("{to}/none/pause", {}, 404, ["none", "/destinations lists all"]),
        ("{other}/push/pause", {}, 404, [NOBODY, "GET /subscribers lists all"]),
        ("{to}/push/resume", {}, 409, ["not paused", "GET it"]),
        ("{to}/push/enable", {}, 409, ["not disabled", "GET it"]),
        ("{to}/push/enable", {"x": 1}, 400, ["unknown field"]),
        ("{to}/file/rotate_secret", {}, 409, ["not signed", "PATCH the subscriber"]),
        ("{to}/push/replay", {"since": SINCE}, 400, ["expected", "required"]),
        ("{to}/push/replay", {"since": "soon", "expected": 1}, 400, ["since", "time"]),
        ("{to}/push/replay", {"since": SINCE, "expected": 7}, 409, ["1 deliver", "expected 1"]),
    ],
)
def test_refusal_says_why_and_what_to_do(
    desk: Newsdesk, names: Document, path: str, body: Any, status: int, words: list[str]
) -> None:
    """Nothing is written."""
    to, other = f"subscribers/{names['subscriber']}/destinations", f"subscribers/{NOBODY}"
    before = desk.rows()

    answer = desk.client.post(path.format(to=to, other=f"{other}/destinations", **names), body)

    assert answer.status_code == status, answer.text
    assert not [word for word in words if word not in said(answer)], said(answer)
    assert desk.rows() == before

"""Embargoes (lifecycle contract 5.5)."""

from typing import Any

import pytest

from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.newsroom import push

PAST, LATER, LATEST = (f"2030-01-01T{hour}:00:00+0000" for hour in (11, 13, 14))
BOTH = "An item can't have both Publish Schedule and Embargo"


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Items expire."""
    return {**settings, "PUBLISHED_CONTENT_EXPIRY_MINUTES": 30}


@pytest.fixture
def embargoed(desk: Newsdesk) -> Document:
    """A story that is out under an embargo of an hour."""
    desk.newsroom.subscriber("s", push("http://127.0.0.1:9"))
    return desk.published(embargo=LATER)


def refusal(answer: Any) -> tuple[int, Any]:
    body = answer.get_json()
    return answer.status_code, body.get("_message") or body["_issues"]["validator exception"]


def test_does_not_hold_the_item_back(desk: Newsdesk, graph: Graph, embargoed: Document) -> None:
    """Published and queued at once; kept in item and row; expiry counts from it.

    Lifecycle scenario 37.
    """
    graph.enqueue.run()

    row = desk.db["published"].find_one({})
    assert (embargoed["state"], embargoed["embargo"]) == ("published", LATER)
    assert row["embargo"].strftime("%H:%M") == "13:00"
    assert embargoed["expiry"] == "2030-01-01T13:30:00+0000"
    assert len(desk.rows()) == 1


def test_ends_with_a_correction_after_it(
    desk: Newsdesk, clock: HandClock, embargoed: Document
) -> None:
    """Lifecycle scenario 38: the correction of an item whose embargo has passed removes it."""
    clock.advance(hours=2)

    assert desk.act("correct", embargoed, headline="new")["embargo"] is None


@pytest.mark.parametrize("embargo", [LATEST, None])
def test_may_be_changed_by_a_correction(
    desk: Newsdesk, embargoed: Document, embargo: str | None
) -> None:
    """Lifecycle scenario 39: a new one is stored, null removes it."""
    assert desk.act("correct", embargoed, embargo=embargo)["embargo"] == embargo


def test_stays_through_a_correction(desk: Newsdesk, embargoed: Document) -> None:
    """Lifecycle scenario 39: a running embargo that the request does not name stays."""
    assert desk.act("correct", embargoed, headline="new")["embargo"] == LATER


@pytest.mark.parametrize("operation", ["correct", "kill", "takedown", "unpublish"])
def test_cannot_be_set_afterwards(desk: Newsdesk, operation: str) -> None:
    """Lifecycle scenario 40: what is out without an embargo gets none."""
    item = desk.published()

    answer = desk.client.patch(f"archive/{operation}/{item['_id']}", {"embargo": LATER})

    assert (400, "400: Embargo can't be set after publishing") == refusal(answer)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"embargo": PAST}, "Embargo cannot be earlier than now"),
        ({"embargo": LATER, "publish_schedule": LATER}, BOTH),
    ],
)
def test_is_refused_alike_on_post_and_patch(desk: Newsdesk, fields: Document, text: str) -> None:
    """Lifecycle scenario 41: the rules of embargoes hold for new items and for saves."""
    posted = desk.client.post("archive", desk.newsroom.story(**fields))
    saved = desk.client.patch(f"archive/{desk.story()['_id']}", fields)

    assert (400, text) == refusal(posted)
    assert (400, f"400: {text}") == refusal(saved)


def test_is_refused_on_an_update(desk: Newsdesk) -> None:
    """Lifecycle scenario 41: what follows another story is not held back."""
    update = desk.story(rewrite_of="x")

    answer = desk.client.patch(f"archive/{update['_id']}", {"embargo": LATER})

    assert (400, "400: Rewrites doesn't support Embargo") == refusal(answer)


@pytest.mark.parametrize("operation", ["kill", "takedown", "unpublish"])
def test_ends_with_a_withdrawal(desk: Newsdesk, embargoed: Document, operation: str) -> None:
    """Lifecycle contract 3.6: embargo and schedule are reset."""
    item = desk.act(operation, embargoed)

    fields = ("embargo", "publish_schedule", "schedule_settings")
    assert [item[name] for name in fields] == [None, None, {}]

"""Schedules that a real WordPress and a real Ghost keep by themselves (cms scenario 31, 32)."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from apps.core.service import Document
from apps.graph.build import Graph
from apps.publisher.run.results import Result
from tests.integration.publisher.run.test_real_sites import (
    GhostDesk,
    RealDesk,
    WordPressDesk,
    story,
)
from tests.peers.proxy import Fault, Proxy
from tests.support.processes import wait_until

pytestmark = [pytest.mark.peers, pytest.mark.timeout(400)]

LATER = timedelta(hours=2)
SOON = {"wordpress": timedelta(seconds=64), "ghost": timedelta(seconds=20)}
"""How far ahead a site keeps a time; WordPress publishes at once what is nearer than a minute."""
LATE_SECONDS = 120
"""WordPress releases when somebody visits it."""


@pytest.fixture(params=["wordpress", "ghost"])
def desk(request: pytest.FixtureRequest, graph: Graph) -> Iterator[RealDesk]:
    peer = request.getfixturevalue(request.param)
    kind = WordPressDesk if request.param == "wordpress" else GhostDesk
    with Proxy(peer.url) as proxy:
        real = kind(graph, proxy, peer)
        real.options["schedule_mode"] = "remote"
        yield real


def scheduled(desk: RealDesk, item: Document, at: datetime) -> Document:
    """Let the site publish an item at a time; return its record."""
    record = desk.wish(item, schedule_at=at, is_sent_early=True)
    assert desk.run(record) == Result.DONE, desk.record(record)["error"]
    record = desk.record(record)
    assert (record["status"], record["remote_state"]) == ("pending", "scheduled")
    assert record["scheduled_at"] == at
    assert desk.ours(record) == [record["external_id"]]
    assert desk.platform(desk.integration).read(record["external_id"]).state == "scheduled"  # type: ignore[union-attr]
    return record


def at(desk: RealDesk, ahead: timedelta) -> datetime:
    return desk.clock.at.replace(microsecond=0) + ahead


def address(desk: RealDesk, record: Document) -> str:
    """Return where a post is to appear."""
    if isinstance(desk, WordPressDesk):
        return f"{desk.peer.url}/?p={record['external_id']}"
    return f"{desk.peer.url}/{record['slug']}/"  # type: ignore[attr-defined]


def test_a_schedule_is_moved_and_its_story_corrected(desk: RealDesk) -> None:
    """One post, which nobody sees; the new text and the new time are what the site holds."""
    item = desk.item(**story(desk))
    first = scheduled(desk, item, at(desk, LATER))
    moved = scheduled(desk, item, at(desk, 2 * LATER))
    item = desk.change(item, headline="Lakes rise", body_html="<p>Lakes rose.</p>")
    corrected = scheduled(desk, item, at(desk, 2 * LATER))
    sooner = scheduled(desk, item, at(desk, LATER / 2))
    ids = {record["external_id"] for record in (first, moved, corrected, sooner)}
    assert ids == {first["external_id"]}
    assert desk.page(address(desk, sooner))[0] == 404

    record = desk.run_until_settled(desk.wish(item))

    assert record["status"] == "published", record["error"]
    assert record["external_id"] == first["external_id"]
    status, page = desk.page(record["external_url"])
    assert status == 200
    assert "Lakes rose." in page
    assert record["published_at"] <= datetime.now(UTC)


def test_a_schedule_is_taken_back(desk: RealDesk) -> None:
    """The post becomes a draft; a later publication is live at once, at the same post."""
    item = desk.item(**story(desk))
    first = scheduled(desk, item, at(desk, LATER))
    mode = "draft" if isinstance(desk, WordPressDesk) else "unpublish"

    off = desk.run_until_settled(desk.wish(item, "retract", mode=mode))

    assert (off["status"], off["remote_state"]) == ("retracted", "draft")
    assert desk.page(address(desk, off))[0] == 404
    again = desk.run_until_settled(desk.wish(item))
    assert again["status"] == "published", again["error"]
    assert again["external_id"] == first["external_id"]
    assert desk.page(again["external_url"])[0] == 200
    assert again["published_at"] <= datetime.now(UTC)
    assert desk.ours(again) == [first["external_id"]]


def test_a_scheduled_story_is_killed(desk: RealDesk) -> None:
    """Nothing appears, and its pictures go."""
    item = desk.item(**story(desk))
    record = scheduled(desk, item, at(desk, LATER))
    pictures = [media["remote_url"] for media in record["media"]]
    item = desk.change(item, state="killed", headline="Kill", body_html="<p>Withdrawn.</p>")

    killed = desk.run_until_settled(desk.wish(item, "retract", is_kill=True))

    assert killed["status"] == "retracted", killed["error"]
    assert desk.page(address(desk, killed))[0] == 404
    assert desk.ours(killed) == []
    shown = [url for url in pictures if desk.visit(url) == 200]
    assert bool(shown) is ("media_left_public" in killed["warnings"])


@pytest.mark.parametrize("fault", [Fault.LOSE_ANSWER, Fault.LOSE_REQUEST], ids=["lost", "unsent"])
def test_the_answer_to_a_schedule_is_lost(desk: RealDesk, fault: Fault) -> None:
    """One post, scheduled."""
    item = desk.item(**story(desk, associations={}, body_html="<p>Rivers rose.</p>"))
    desk.proxy.rule(fault, method="POST", target="/posts", times=1)
    record = desk.wish(item, schedule_at=at(desk, LATER), is_sent_early=True)
    for _ in range(6):
        desk.run(record)
        found = desk.record(record)
        if found["remote_state"] == "scheduled":
            break
        desk.clock.at = max(desk.clock.at, found["next_attempt_at"])
    assert (found["status"], found["remote_state"]) == ("pending", "scheduled")
    assert desk.ours(found) == [found["external_id"]]


def test_its_time_comes(desk: RealDesk) -> None:
    """The site publishes by itself, not before; then the record is published, and nothing more."""
    item = desk.item(**story(desk))
    # A site is told of what is two minutes ahead, by our clock.
    soon = SOON[desk.destination]
    due = datetime.now(UTC).replace(microsecond=0) + soon
    desk.clock.at = due - timedelta(seconds=125)
    first = scheduled(desk, item, due)
    assert desk.page(address(desk, first))[0] == 404

    def is_shown() -> bool:
        if isinstance(desk, WordPressDesk):
            desk.peer.release_scheduled()
        return desk.page(address(desk, first))[0] == 200

    wait_until(is_shown, soon.seconds + LATE_SECONDS)

    assert datetime.now(UTC) >= due
    desk.clock.at = datetime.now(UTC)
    before = desk.proxy.writes
    record = desk.run_until_settled(first)
    assert (record["status"], record["remote_state"]) == ("published", "live")
    assert record["external_id"] == first["external_id"]
    assert record["published_at"] == due
    assert record["published_version"] == 1
    assert "schedule_forced" not in record["warnings"]
    assert desk.proxy.writes == before
    assert desk.ours(record) == [first["external_id"]]
    item = desk.change(item, headline="Lakes rise", body_html="<p>Lakes rose.</p>")
    record = desk.run_until_settled(desk.wish(item))
    assert (record["external_id"], record["published_at"]) == (first["external_id"], due)
    assert "Lakes rose." in desk.page(record["external_url"])[1]
    assert desk.ours(record) == [first["external_id"]]

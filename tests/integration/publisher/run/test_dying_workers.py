"""Workers that die at any point of a wish: one post, one picture, one term of each name, once."""

from collections.abc import Callable
from typing import Any

import pytest

from apps.core.service import Document
from tests.support.crashes import Crash, CrashingDatabase, each_write
from tests.support.site_desk import FaultySite, SiteDesk
from transmitters.cms.http import SiteClient

MOST_WRITES = 24
MOST_REQUESTS = 16
LANE = pytest.mark.parametrize("holds_lane", [False, True], ids=["lease-ends", "lane-taken-over"])


def story(desk: SiteDesk) -> Document:
    """Store an item with a picture, a category and a tag that the site does not have."""
    return desk.item(
        associations={"featuremedia": desk.picture()},
        anpa_category=[{"name": "Sport", "qcode": "s"}],
        keywords=["Rivers"],
    )


def is_whole(desk: SiteDesk, site: FaultySite, record: Document, title: str) -> None:
    """Check that there is one of each, and that the record tells the truth."""
    assert (record["status"], record["phase"], record["error"]) == ("published", "idle", None)
    post = site.post()
    assert record["external_id"] == str(post["id"])
    assert post["title"] == title
    assert desk.visit(record["external_url"]) == 200
    (medium,) = site.content.media.values()
    assert post["featured_media"] == medium["id"]
    (tag,) = site.content.terms["tags"].values()
    assert post["tags"] == [tag["id"]]
    names = [term["name"] for term in site.content.terms["categories"].values()]
    assert names == ["Uncategorized", "Sport"]
    desk.clock.advance(minutes=1)
    desk.terms.sync(desk.integration, desk.platform(desk.integration))
    assert not [row for row in desk.db["publisher_terms"].find() if "name" not in row]


def is_gone(desk: SiteDesk, site: FaultySite, record: Document) -> None:
    assert (record["status"], record["phase"]) == ("retracted", "idle")
    assert not site.posts()
    assert not site.content.media
    assert desk.visit(record["external_url"]) == 404


class Mortal(SiteClient):
    """Sends requests for a process that dies before one of them, or after its answer."""

    def __init__(self, desk: SiteDesk, number: int, *, after: bool) -> None:
        self._left = number
        dies: dict[str, Any] = {"after" if after else "before": self._count}
        super().__init__(desk.http, **dies)

    def _count(self, *answer: object) -> None:
        self._left -= 1
        if self._left == 0:
            raise Crash


def dying(desk: SiteDesk, record: Document, **worker: Any) -> bool:
    """Carry out a wish in a process that dies; whether it did."""
    try:
        desk.worker(name="dying", **worker).carry_out(record["_id"])
    except Crash:
        return True
    return False


def prepared(desk: SiteDesk, action: str) -> tuple[Document, Callable[..., None]]:
    """Return a record with a wish, and what has to hold when it was carried out."""
    item = story(desk)
    record = desk.wish(item)
    if action == "create":
        return record, lambda site, done: is_whole(desk, site, done, "Rivers rise")
    desk.run_until_settled(record)
    if action == "update":
        record = desk.wish(desk.change(item, headline="Rivers fall"))
        return record, lambda site, done: is_whole(desk, site, done, "Rivers fall")
    record = desk.wish(desk.change(item, state="killed", headline="Kill"), "retract")
    return record, lambda site, done: is_gone(desk, site, done)


@LANE
@pytest.mark.parametrize("action", ["create", "update", "kill"])
@pytest.mark.parametrize("before", each_write(MOST_WRITES))
def test_dead_before_a_write_of_the_store(
    desk: SiteDesk, site: FaultySite, action: str, before: int, holds_lane: bool
) -> None:
    record, holds = prepared(desk, action)
    dying(desk, record, db=CrashingDatabase(desk.db, before))
    holds(site, desk.run_until_settled(record, 200, holds_lane=holds_lane, name="next"))


@pytest.mark.parametrize("action", ["create", "update", "kill"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", each_write(MOST_REQUESTS))
def test_dead_at_a_request_to_the_site(
    desk: SiteDesk, site: FaultySite, action: str, after: bool, number: int
) -> None:
    record, holds = prepared(desk, action)
    dying(desk, record, client=Mortal(desk, number, after=after))
    # Without the lane's lease it has to be waited until a lost upload is nobody's any more.
    holds(site, desk.run_until_settled(record, most=200, name="next"))


def test_no_wish_takes_more_steps_than_these_tests_die_at(desk: SiteDesk) -> None:
    for action in ("create", "update", "kill"):
        record, _ = prepared(desk, action)
        assert not dying(desk, record, db=CrashingDatabase(desk.db, MOST_WRITES))
    for action in ("create", "update", "kill"):
        record, _ = prepared(desk, action)
        assert not dying(desk, record, client=Mortal(desk, MOST_REQUESTS, after=False))


@pytest.mark.parametrize("number", each_write(MOST_REQUESTS))
@pytest.mark.parametrize("fault", ["lost", "proxy", "down", "refused"])
def test_line_that_fails_at_one_request(
    desk: SiteDesk, site: FaultySite, fault: str, number: int
) -> None:
    record, holds = prepared(desk, "create")
    seen = 0

    def fails(request: object) -> str | None:
        nonlocal seen
        seen += 1
        return fault if seen == number else None

    site.fault = fails
    done = desk.run_until_settled(record)
    site.fault = lambda request: None
    holds(site, done)


def test_line_that_loses_every_third_answer(desk: SiteDesk, site: FaultySite) -> None:
    seen = 0

    def fails(request: object) -> str | None:
        nonlocal seen
        seen += 1
        return "lost" if seen % 3 == 0 else None

    site.fault = fails
    records = [desk.wish(story(desk)) for _ in range(10)]
    for record in records:
        record = desk.run_until_settled(record)
        assert record["status"] == "published", [
            (e["action"], e["outcome"], e.get("class"), e.get("message")) for e in record["history"]
        ]
    assert len(site.posts()) == len({one["title"] + one["slug"] for one in site.posts()}) == 10
    assert len(site.content.media) == 1
    assert len(site.content.terms["tags"]) == 1

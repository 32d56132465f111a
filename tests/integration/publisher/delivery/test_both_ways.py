"""A site that publishes by itself, and is the destination of a subscriber, too: one post, and each
row ends as its version does (cms contract 2.5, 7)."""

from datetime import timedelta
from itertools import pairwise

import pytest

from apps.core.service import Document
from tests.support.site_desk import FaultySite
from tests.support.site_newsroom import SiteNewsroom

SATURDAY = {"body_html": "<p>Rivers rose on Saturday.</p>"}
ORDERS = pytest.mark.parametrize("order", ["enqueue first", "site first", "at once"])


@pytest.fixture
def newsroom(newsroom: SiteNewsroom) -> SiteNewsroom:
    """The newsroom, whose stories reach the site both ways."""
    newsroom.subscribe()
    newsroom.auto_publish({})
    return newsroom


def go(newsroom: SiteNewsroom, order: str) -> None:
    """Let everything that is due happen, the runs in an order that workers may have."""
    newsroom.graph.enqueue.run()
    if order == "site first":
        newsroom.graph.site_run.run()
    newsroom.graph.transmit.run()
    if order == "at once":
        newsroom.go(1)
    newsroom.settle()


def shown(site: FaultySite) -> list[str]:
    """Return the headlines that readers see."""
    return sorted(post["title"] for post in site.content.live())


def check(newsroom: SiteNewsroom, site: FaultySite, status: str, rows: int) -> Document:
    """Check the only record, the only post and the rows; return the record."""
    record = newsroom.record()
    assert (record["status"], record["error"]) == (status, None)
    assert len(site.content.live()) == (1 if status == "published" else 0)
    assert newsroom.creates() == 1
    assert newsroom.states() == ["success"] * rows
    seqs = [entry.get("version") or 0 for entry in record["history"]]
    assert all(before <= after for before, after in pairwise(seqs))
    return record


@ORDERS
def test_the_whole_life(newsroom: SiteNewsroom, site: FaultySite, order: str) -> None:
    """Published, corrected, unpublished, published again, killed, taken down."""
    item = newsroom.desk.published()
    go(newsroom, order)
    first = check(newsroom, site, "published", 1)
    newsroom.desk.act("correct", item, headline="Rivers rise again", **SATURDAY)
    go(newsroom, order)
    check(newsroom, site, "published", 2)
    assert shown(site) == ["Rivers rise again"]
    newsroom.desk.act("unpublish", item)
    go(newsroom, order)
    check(newsroom, site, "retracted", 3)
    newsroom.desk.act("publish", item)
    go(newsroom, order)
    again = check(newsroom, site, "published", 4)
    same = ("external_id", "external_url", "slug", "first_published_at")
    assert {name: again[name] for name in same} == {name: first[name] for name in same}
    newsroom.desk.act("kill", item)
    go(newsroom, order)
    check(newsroom, site, "retracted", 5)
    answer = newsroom.publisher.client.patch(f"archive/takedown/{item['_id']}", {})
    if answer.status_code == 200:
        go(newsroom, order)
    check(newsroom, site, "retracted", len(newsroom.states()))
    assert not any("Friday" in post["content"] for post in site.posts("trash"))


@ORDERS
@pytest.mark.parametrize("policy", ["new_post", "update_post"])
def test_with_rewrites(newsroom: SiteNewsroom, site: FaultySite, order: str, policy: str) -> None:
    """Rewrites of rewrites, corrected and withdrawn: as many posts as the policy says."""
    newsroom.options(rewrite_policy=policy)
    story = newsroom.desk.published()
    go(newsroom, order)
    second = newsroom.publisher.client.create(f"archive/{story['_id']}/rewrite", {})
    second = newsroom.desk.act("publish", second, headline="Second")
    go(newsroom, order)
    third = newsroom.publisher.client.create(f"archive/{second['_id']}/rewrite", {})
    third = newsroom.desk.act("publish", third, headline="Third")
    newsroom.desk.act("correct", third, headline="Third, corrected")
    go(newsroom, order)
    in_place = policy == "update_post"
    wanted = ["Third, corrected"] if in_place else ["Rivers rise", "Second", "Third, corrected"]
    assert shown(site) == wanted
    assert newsroom.creates() == (1 if in_place else 3)
    newsroom.desk.act("kill", story)
    go(newsroom, order)
    assert shown(site) == (wanted if in_place else wanted[1:])
    newsroom.desk.act("takedown", third)
    go(newsroom, order)
    assert shown(site) == ([] if in_place else ["Second"])
    assert set(newsroom.states()) <= {"success", "canceled"}
    records = newsroom.db["publishing_records"].find({})
    assert not any(record["error"] for record in records)


@ORDERS
def test_under_an_embargo(newsroom: SiteNewsroom, site: FaultySite, order: str) -> None:
    """Nothing is sent before its end; corrected meanwhile, the newest version is shown, once."""
    ends = newsroom.clock.now() + timedelta(minutes=30)
    text = ends.strftime("%Y-%m-%dT%H:%M:%S+0000")
    item = newsroom.desk.published(embargo=text)
    for _ in range(2):
        newsroom.go(1)
    newsroom.desk.act("correct", item, headline="Rivers rise again", **SATURDAY)
    newsroom.go(2)
    assert site.requests == []
    newsroom.clock.at = ends + timedelta(seconds=1)
    go(newsroom, order)
    record = newsroom.record()
    assert (record["status"], shown(site)) == ("published", ["Rivers rise again"])
    assert newsroom.creates() == 1
    assert newsroom.states()[-1] == "success"
    assert set(newsroom.states()) <= {"success", "canceled"}
    newsroom.desk.act("kill", item)
    go(newsroom, order)
    assert shown(site) == []


@ORDERS
def test_killed_under_an_embargo(newsroom: SiteNewsroom, site: FaultySite, order: str) -> None:
    ends = newsroom.clock.now() + timedelta(minutes=30)
    item = newsroom.desk.published(embargo=ends.strftime("%Y-%m-%dT%H:%M:%S+0000"))
    newsroom.go(2)
    newsroom.desk.act("kill", item)
    go(newsroom, order)
    newsroom.clock.at = ends + timedelta(minutes=1)
    go(newsroom, order)
    assert site.writes() == []
    assert newsroom.record()["status"] == "retracted"
    assert newsroom.states()[-1] == "success"


@ORDERS
def test_scheduled(newsroom: SiteNewsroom, site: FaultySite, order: str) -> None:
    """Scheduled, taken back, scheduled anew: out once, at the last time."""
    item, due = newsroom.desk.story(), newsroom.clock.now() + timedelta(hours=1)
    for hours in (0, 1):
        at = (due + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%S+0000")
        newsroom.desk.act("publish", item, publish_schedule=at)
        newsroom.go(2)
        if not hours:
            newsroom.save(item, publish_schedule=None)
            newsroom.go(2)
    newsroom.clock.at = due + timedelta(minutes=1)
    newsroom.go(2)
    assert site.requests == []
    newsroom.clock.at = due + timedelta(hours=1, seconds=1)
    newsroom.go(2)
    go(newsroom, order)
    check(newsroom, site, "published", len(newsroom.states()))
    newsroom.desk.act("correct", item, **SATURDAY)
    go(newsroom, order)
    assert site.shows("Saturday")
    check(newsroom, site, "published", len(newsroom.states()))


def test_the_site_is_down_all_the_while(newsroom: SiteNewsroom, site: FaultySite) -> None:
    """Published, corrected, unpublished, published again before anything arrives: one post."""
    site.fault = lambda request: "down"
    item = newsroom.desk.published()
    newsroom.go(1)
    newsroom.desk.act("correct", item, headline="Rivers rise again", **SATURDAY)
    newsroom.go(1)
    newsroom.desk.act("unpublish", item)
    newsroom.go(1)
    newsroom.desk.act("publish", item)
    newsroom.go(1)
    site.fault = lambda request: None
    newsroom.settle()
    record = newsroom.record()
    assert (record["status"], shown(site)) == ("published", ["Rivers rise again"])
    assert newsroom.creates() <= 2
    assert len(site.posts("publish", "draft", "future", "trash")) == 1
    states = newsroom.states()
    assert (states[-1], set(states[:-1]) <= {"canceled", "success"}) == ("success", True)

"""The whole life of a story at a site, whatever way it takes there (cms contract 2.5, 7)."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from apps.core.service import Document
from tests.support.site_desk import FaultySite
from tests.support.site_newsroom import REQUEST, SUBSCRIBER, WAYS, SiteNewsroom

BODY = {"body_html": "<p>Rivers rose on Saturday.</p>"}
WITHDRAWALS = pytest.mark.parametrize("withdrawal", ["kill", "takedown", "unpublish"])


def text_of(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S+0000")


def schedule(newsroom: SiteNewsroom, **ahead: float) -> tuple[Document, datetime]:
    """Schedule a story; return it and its time."""
    due = newsroom.clock.now() + timedelta(**ahead)
    return newsroom.act("publish", publish_schedule=text_of(due)), due


@WAYS
def test_one_post_in_all_its_states(newsroom: SiteNewsroom, site: FaultySite, way: str) -> None:
    """Cms scenario 3, 6."""
    newsroom.use(way)
    item = newsroom.act("publish")
    newsroom.go()
    first = newsroom.record()
    newsroom.act("correct", item, headline="Rivers rise again", **BODY)
    newsroom.go()
    newsroom.act("unpublish", item)
    newsroom.go()
    assert newsroom.record()["status"] == "retracted"
    assert not site.content.live()
    newsroom.act("publish", item)
    newsroom.go()
    record = newsroom.record()
    same = ("external_id", "external_url", "slug", "first_published_at")
    assert {name: record[name] for name in same} == {name: first[name] for name in same}
    assert (record["status"], newsroom.creates(), len(site.posts())) == ("published", 1, 1)
    assert site.shows("Saturday")
    assert set(newsroom.states()) <= {"success"}


@WAYS
@WITHDRAWALS
def test_withdrawn(newsroom: SiteNewsroom, site: FaultySite, way: str, withdrawal: str) -> None:
    """Cms scenario 5."""
    newsroom.use(way)
    item = newsroom.act("publish")
    newsroom.go()
    newsroom.act(withdrawal, item)
    newsroom.go()
    record = newsroom.record()
    assert (record["status"], record["error"]) == ("retracted", None)
    assert not site.content.live()
    is_overwritten = not any("Friday" in post["content"] for post in site.posts("trash"))
    assert is_overwritten is (withdrawal != "unpublish")


@WAYS
@WITHDRAWALS
def test_withdrawn_while_it_is_being_created(
    newsroom: SiteNewsroom, site: FaultySite, way: str, withdrawal: str
) -> None:
    """Cms scenario 7."""
    newsroom.use(way)
    site.fault = lambda request: "down" if request.writes else None
    item = newsroom.act("publish")
    newsroom.go()
    newsroom.act(withdrawal, item)
    site.fault = lambda request: None
    creates = newsroom.creates()
    newsroom.settle()
    assert newsroom.record()["status"] == "retracted"
    assert newsroom.creates() == creates
    assert not site.posts()
    if way == SUBSCRIBER:
        assert newsroom.states() == ["canceled", "success"]


@WAYS
def test_a_kill_while_the_site_is_down(newsroom: SiteNewsroom, site: FaultySite, way: str) -> None:
    """Cms scenario 8."""
    newsroom.use(way)
    item = newsroom.act("publish")
    newsroom.go()
    site.fault = lambda request: "down"
    newsroom.act("kill", item)
    for _ in range(10):
        newsroom.go(1)
        newsroom.clock.advance(minutes=1)
    assert newsroom.record()["status"] == "published"
    assert newsroom.record()["error"]
    if way == SUBSCRIBER:
        assert newsroom.states() == ["success", "in-progress"]
    site.fault = lambda request: None
    newsroom.settle()
    assert newsroom.record()["status"] == "retracted"
    assert not site.content.live()
    assert set(newsroom.states()) <= {"success"}


@WAYS
def test_a_correction_before_the_story_is_there(
    newsroom: SiteNewsroom, site: FaultySite, way: str
) -> None:
    """The newest version is shown, once; the row of the older one says what took its place."""
    newsroom.use(way)
    site.fault = lambda request: "down"
    item = newsroom.act("publish")
    newsroom.go()
    newsroom.act("correct", item, **BODY)
    newsroom.go()
    site.fault = lambda request: None
    newsroom.settle()
    assert site.shows("Saturday")
    assert len(site.posts()) == 1
    if way == SUBSCRIBER:
        older, newer = newsroom.desk.rows()
        assert (older["state"], newer["state"]) == ("canceled", "success")
        assert older["attempts"][-1]["message"] == "A newer version of the item has taken its place"


@WAYS
def test_scheduled(newsroom: SiteNewsroom, site: FaultySite, way: str) -> None:
    """Cms scenario 31."""
    newsroom.use(way)
    _item, due = schedule(newsroom, minutes=10)
    newsroom.go()
    assert site.requests == []
    newsroom.clock.at = due - timedelta(seconds=1)
    newsroom.go()
    assert site.requests == []
    newsroom.clock.at = due
    newsroom.go()
    assert len(site.content.live()) == 1
    newsroom.settle()
    assert (newsroom.record()["status"], newsroom.creates()) == ("published", 1)


@WAYS
def test_descheduled(newsroom: SiteNewsroom, site: FaultySite, way: str) -> None:
    """Cms scenario 32: nothing is sent; a later publication is live at once."""
    newsroom.use(way)
    item, due = schedule(newsroom, minutes=10)
    newsroom.go()
    newsroom.save(item, publish_schedule=None)
    newsroom.go()
    if way == REQUEST:
        record = newsroom.record()
        assert (record["status"], record["history"][-1]["outcome"]) == ("retracted", "not_sent")
    newsroom.clock.at = due + timedelta(minutes=1)
    newsroom.go()
    assert site.requests == []
    newsroom.save(item, publish_schedule=None)
    newsroom.act("publish", item)
    newsroom.go()
    assert newsroom.record()["status"] == "published"
    assert len(site.content.live()) == 1


@pytest.mark.parametrize("mode", ["local", "remote"])
def test_scheduled_anew(newsroom: SiteNewsroom, site: FaultySite, mode: str) -> None:
    """The post follows the item to its new time, which may be later or earlier."""
    newsroom.options(schedule_mode=mode)
    newsroom.use(REQUEST)
    item, due = schedule(newsroom, hours=2)
    newsroom.go()
    for hours in (3, 1):
        later = due + timedelta(hours=hours - 2)
        newsroom.save(item, publish_schedule=None)
        newsroom.desk.act("publish", item, publish_schedule=text_of(later))
        newsroom.go()
        assert newsroom.record()["scheduled_at"] == later
        assert not site.content.live()
    newsroom.clock.at = due - timedelta(hours=1)
    newsroom.settle(seconds=30)
    assert len(site.content.live()) == 1
    assert newsroom.record()["status"] == "published"


def test_a_schedule_of_the_site_is_taken_back(newsroom: SiteNewsroom, site: FaultySite) -> None:
    """Cms scenario 32, `schedule_mode` `remote`."""
    newsroom.options(schedule_mode="remote")
    newsroom.use(REQUEST)
    item, due = schedule(newsroom, minutes=10)
    newsroom.go()
    assert site.post()["status"] == "future"
    newsroom.save(item, publish_schedule=None)
    newsroom.go()
    assert site.post()["status"] == "draft"
    newsroom.clock.at = due + timedelta(minutes=1)
    newsroom.go()
    assert not site.content.live()
    newsroom.save(item, publish_schedule=None)
    newsroom.act("publish", item)
    newsroom.go()
    assert len(site.content.live()) == 1
    assert newsroom.creates() == 1


@WAYS
def test_being_corrected_leaves_what_is_shown(
    newsroom: SiteNewsroom, site: FaultySite, way: str
) -> None:
    newsroom.use(way)
    item = newsroom.act("publish")
    newsroom.go()
    writes = len(site.writes())
    answer: Any = newsroom.publisher.client.patch(f"archive/correction/{item['_id']}", {})
    newsroom.go()
    assert answer.status_code in (200, 400, 404)
    assert len(site.writes()) == writes
    assert newsroom.record()["status"] == "published"


@WAYS
@pytest.mark.parametrize("policy", ["new_post", "update_post"])
def test_a_rewrite(newsroom: SiteNewsroom, site: FaultySite, way: str, policy: str) -> None:
    """Cms scenario 40."""
    newsroom.options(rewrite_policy=policy)
    newsroom.use(way)
    story = newsroom.act("publish")
    newsroom.go()
    update = newsroom.publisher.client.create(f"archive/{story['_id']}/rewrite", {})
    newsroom.act("publish", update, headline="Rivers fall")
    newsroom.go()
    shown = sorted(post["title"] for post in site.content.live())
    in_place = policy == "update_post"
    assert shown == (["Rivers fall"] if in_place else ["Rivers fall", "Rivers rise"])
    newsroom.act("kill", story)
    newsroom.go()
    assert [post["title"] for post in site.content.live()] == ["Rivers fall"]
    newsroom.act("kill", update)
    newsroom.go()
    assert not site.content.live()
    assert newsroom.creates() == (1 if in_place else 2)
    assert set(newsroom.states()) <= {"success"}


@WAYS
@pytest.mark.parametrize("way_of_old", ["none", "link", "retract"])
def test_a_superseded_story(
    newsroom: SiteNewsroom, site: FaultySite, way: str, way_of_old: str
) -> None:
    """What becomes of the earlier post, once the update is live, and when that is killed."""
    newsroom.options(supersede=way_of_old)
    newsroom.use(way)
    story = newsroom.act("publish")
    newsroom.go()
    update = newsroom.publisher.client.create(f"archive/{story['_id']}/rewrite", {})
    site.fault = lambda request: "down" if request.writes else None
    newsroom.act("publish", update, headline="Rivers & lakes")
    newsroom.go()
    (earlier,) = site.content.live()
    assert "<a href" not in earlier["content"]
    site.fault = lambda request: None
    newsroom.settle()
    url = newsroom.record(update)["external_url"]
    link = f'<a href="{url}">Rivers &amp; lakes</a>'
    posts = {post["title"]: post for post in site.content.live()}
    assert len(posts) == (1 if way_of_old == "retract" else 2)
    assert (link in earlier["content"]) is (way_of_old == "link")
    newsroom.act("kill", update)
    newsroom.settle()
    assert link not in earlier["content"]
    left = [post["title"] for post in site.content.live()]
    assert left == ([] if way_of_old == "retract" else ["Rivers rise"])

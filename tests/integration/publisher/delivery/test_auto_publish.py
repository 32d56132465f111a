"""Sites that publish by themselves, and what follows where posts are (cms contract 7.2)."""

from typing import Any

import pytest

from apps.core.service import Document
from apps.publisher.records import wishes
from tests.support.site_desk import FaultySite
from tests.support.site_newsroom import AUTO, SUBSCRIBER, WAYS, SiteNewsroom

BODY = {"body_html": "<p>Rivers rose on Saturday.</p>"}


def test_off_by_default(newsroom: SiteNewsroom) -> None:
    newsroom.desk.published()
    newsroom.go()
    assert newsroom.db["publishing_records"].count_documents({}) == 0


def test_the_whole_life_of_a_story(newsroom: SiteNewsroom, site: FaultySite) -> None:
    newsroom.auto_publish({})
    item = newsroom.desk.published()
    newsroom.go(1)
    first = newsroom.record()
    assert (first["status"], first["desired"]["by"]) == ("published", None)
    newsroom.desk.act("correct", item, **BODY)
    newsroom.go(1)
    assert site.shows("Saturday")
    newsroom.desk.act("unpublish", item)
    newsroom.go(1)
    assert newsroom.record()["status"] == "retracted"
    assert not site.content.live()
    newsroom.desk.act("publish", item)
    newsroom.go(1)
    again = newsroom.record()
    assert (again["status"], again["external_url"]) == ("published", first["external_url"])
    assert newsroom.creates() == 1
    newsroom.desk.act("takedown", item)
    newsroom.go(1)
    assert newsroom.record()["status"] == "retracted"
    assert not site.content.live()


@pytest.mark.parametrize(
    ("rules", "fields", "fits"),
    [
        ({}, {}, True),
        ({"desks": []}, {}, True),
        ({"desks": ["own"]}, {}, True),
        ({"desks": ["other"]}, {}, False),
        ({"content_types": ["story"]}, {"profile": "story"}, True),
        ({"content_types": ["story"]}, {"profile": "note"}, False),
        ({"content_types": ["story"]}, {}, False),
        ({"filter": "urgent"}, {"urgency": 1}, True),
        ({"filter": "urgent"}, {"urgency": 5}, False),
        ({"filter": "gone"}, {"urgency": 1}, False),
        ({}, {"type": "picture"}, False),
    ],
)
def test_what_fits(newsroom: SiteNewsroom, rules: Document, fields: Document, fits: bool) -> None:
    names = _named(newsroom)
    wanted = {
        key: names[value] if isinstance(value, str) else [names[name] for name in value]
        for key, value in rules.items()
    }
    newsroom.auto_publish(wanted)
    if rules.get("filter") == "gone":
        newsroom.db["content_filters"].delete_many({})
    newsroom.desk.published(**fields)
    newsroom.go(1)
    assert (newsroom.db["publishing_records"].count_documents({}) == 1) is fits


def _named(newsroom: SiteNewsroom) -> dict[str, str]:
    """Store desks, profiles and a filter; return their ids by the names that tests call them."""
    db = newsroom.db
    for name in ("story", "note"):
        db["content_types"].insert_one({"_id": name, "label": name})
    condition = {"name": "urgency", "field": "urgency", "operator": "in", "value": "1,2"}
    statement = {"expression": {"fc": [db["filter_conditions"].insert_one(condition).inserted_id]}}
    urgent = {"name": "urgent", "content_filter": [statement]}
    urgent_id = str(db["content_filters"].insert_one(urgent).inserted_id)
    return {
        "own": str(newsroom.desk.newsroom.task["desk"]),
        "other": str(db["desks"].insert_one({"name": "Other"}).inserted_id),
        "story": "story",
        "note": "note",
        "urgent": urgent_id,
        "gone": urgent_id,
    }


def test_what_came_by_request_is_followed(newsroom: SiteNewsroom, site: FaultySite) -> None:
    """Corrections and withdrawals follow for every record, also where `auto_publish` is off."""
    item = newsroom.desk.published()
    newsroom.publisher.publish(item["_id"])
    newsroom.go()
    newsroom.desk.act("correct", item, **BODY)
    newsroom.go(1)
    assert site.shows("Saturday")
    newsroom.desk.act("kill", item)
    newsroom.go(1)
    assert newsroom.record()["status"] == "retracted"
    assert not site.content.live()


@pytest.mark.parametrize("way", [SUBSCRIBER, AUTO])
def test_what_a_person_took_off_stays_off(
    newsroom: SiteNewsroom, site: FaultySite, way: str
) -> None:
    newsroom.use(way)
    item = newsroom.desk.published()
    newsroom.go()
    newsroom.publisher.post(f"records/{newsroom.record()['_id']}/retract")
    newsroom.go()
    newsroom.desk.act("correct", item, **BODY)
    newsroom.go()
    assert newsroom.record()["status"] == "retracted"
    assert not site.content.live()


def test_an_integration_that_is_switched_off_still_withdraws(
    newsroom: SiteNewsroom, site: FaultySite
) -> None:
    newsroom.auto_publish({})
    item = newsroom.desk.published()
    newsroom.go()
    newsroom.publisher.patch(f"integrations/{newsroom.integration['_id']}", {"active": False})
    newsroom.desk.published(headline="Lakes fall")
    newsroom.desk.act("kill", item)
    newsroom.go()
    assert newsroom.record()["status"] == "retracted"
    assert not site.content.live()


@WAYS
def test_a_kill_removes_the_draft_that_a_person_left(
    newsroom: SiteNewsroom, site: FaultySite, way: str
) -> None:
    newsroom.use(way)
    item = newsroom.act("publish")
    newsroom.go()
    newsroom.publisher.post(f"records/{newsroom.record()['_id']}/retract", {"mode": "draft"})
    newsroom.go()
    assert [post["status"] for post in site.posts()] == ["draft"]
    newsroom.act("kill", item)
    newsroom.go()
    assert newsroom.record()["remote_state"] == "trashed"
    assert site.posts() == []


@pytest.mark.parametrize(("policy", "follows"), [("new_post", False), ("update_post", True)])
def test_a_rewrite_of_what_came_by_request(
    newsroom: SiteNewsroom, site: FaultySite, policy: str, follows: bool
) -> None:
    """A post of its own needs a wish of its own; one that takes the place of the story does not."""
    newsroom.options(rewrite_policy=policy)
    story = newsroom.desk.published()
    newsroom.publisher.publish(story["_id"])
    newsroom.go()
    update = newsroom.publisher.client.create(f"archive/{story['_id']}/rewrite", {})
    newsroom.desk.act("publish", update, headline="Rivers fall")
    newsroom.go(1)
    (post,) = site.content.live()
    assert post["title"] == ("Rivers fall" if follows else "Rivers rise")


def test_what_fits_two_ways_is_one_post(newsroom: SiteNewsroom, site: FaultySite) -> None:
    newsroom.auto_publish({})
    newsroom.subscribe()
    item = newsroom.desk.published()
    newsroom.publisher.publish(item["_id"])
    newsroom.go()
    newsroom.desk.act("correct", item, **BODY)
    newsroom.go()
    newsroom.desk.act("kill", item)
    newsroom.go()
    assert newsroom.states() == ["success"] * 3
    assert newsroom.creates() == 1
    assert not site.content.live()


def test_an_embargo_is_kept(newsroom: SiteNewsroom, site: FaultySite) -> None:
    """Cms scenario 31: nothing is sent before, no picture either."""
    newsroom.auto_publish({})
    newsroom.subscribe()
    ends = newsroom.clock.now().replace(microsecond=0)
    ends = ends.replace(year=ends.year + 1)
    embargo: dict[str, Any] = {"embargo": ends.strftime("%Y-%m-%dT%H:%M:%S+0000")}
    newsroom.desk.act("publish", newsroom.desk.story(), **embargo)
    newsroom.go()
    assert site.requests == []
    assert newsroom.record()["scheduled_at"] == ends
    assert newsroom.states() == ["in-progress"]
    newsroom.clock.at = ends
    newsroom.go()
    assert newsroom.states() == ["success"]
    assert len(site.content.live()) == 1


def test_what_cannot_be_followed_is_told(
    newsroom: SiteNewsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And keeps nothing else from being delivered, or followed."""

    def fail(*arguments: Any) -> None:
        raise ValueError("broken")

    newsroom.use(SUBSCRIBER)
    newsroom.auto_publish({})
    broken = newsroom.desk.published(headline="Broken")
    contents = newsroom.graph.publisher.following
    whole = contents._wish

    def wish(content: Any, target: Any) -> None:
        return fail() if content.id == broken["_id"] else whole(content, target)

    monkeypatch.setattr(contents, "_wish", wish)
    newsroom.desk.published(headline="Whole")
    newsroom.go()
    (told,) = newsroom.db["activity"].find({"name": "error"})
    assert told["data"]["error"] == "Broken was not brought to its site: broken"
    assert newsroom.states() == ["success", "success"]
    assert len(newsroom.site.content.live()) == 2


@pytest.mark.parametrize("way", [SUBSCRIBER, AUTO])
def test_what_workers_keep_from_being_written_is_wanted_later(
    newsroom: SiteNewsroom, site: FaultySite, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Nothing is lost, and versions keep their order, however often the record is moved."""
    newsroom.use(way)
    newsroom.auto_publish({})
    item = newsroom.desk.published()
    newsroom.go()
    with monkeypatch.context() as busy:
        busy.setattr(wishes, "TRIES", 0)
        newsroom.desk.act("correct", item, **BODY)
        newsroom.graph.enqueue.run()
        newsroom.desk.act("unpublish", item)
        newsroom.desk.act("publish", item)
        newsroom.graph.enqueue.run()
    states = [row["queue_state"] for row in newsroom.db["published"].find().sort("_id", 1)]
    assert states[1:] == ["pending"] * 3
    assert newsroom.db["activity"].count_documents({"name": "error"}) == 0
    newsroom.settle()
    assert newsroom.record()["status"] == "published"
    assert site.shows("Saturday")
    newsroom.desk.act("kill", item)
    with monkeypatch.context() as busy:
        busy.setattr(wishes, "TRIES", 0)
        newsroom.graph.enqueue.run()
    newsroom.settle()
    assert newsroom.record()["status"] == "retracted"
    assert not site.content.live()
    assert newsroom.creates() == 1
    assert not newsroom.db["published"].count_documents({"queue_state": "pending"})

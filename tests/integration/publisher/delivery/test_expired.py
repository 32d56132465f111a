"""Items that have expired, and their posts: what can still be done (cms contract 7.4)."""

from typing import Any

import pytest

from apps.core.service import Document
from tests.support.site_desk import FaultySite
from tests.support.site_newsroom import AUTO, REQUEST, SiteNewsroom

WITHDRAWALS = pytest.mark.parametrize("operation", ["kill", "takedown"])


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Sessions outlast items."""
    return {**settings, "PUBLISHED_CONTENT_EXPIRY_MINUTES": 60, "SESSION_EXPIRY_MINUTES": 10**6}


def expired(newsroom: SiteNewsroom, **fields: Any) -> Document:
    """Publish a story at the site, and let it expire."""
    item = newsroom.desk.published(**fields)
    newsroom.publisher.publish(item["_id"])
    newsroom.go()
    expire(newsroom, item)
    return item


def expire(newsroom: SiteNewsroom, item: Document) -> None:
    newsroom.clock.advance(days=30)
    newsroom.graph.expiry.run()
    assert newsroom.db["archive"].find_one({"_id": item["_id"]}) is None
    assert newsroom.db["published"].find_one({"item_id": item["_id"]}) is None


def withdraw(newsroom: SiteNewsroom, item: Document, operation: str) -> None:
    """Kill or take down an archived item, as its clients do."""
    row = newsroom.db["archived"].find_one({"item_id": item["_id"]})
    path = f"archived/{row['archived_id']}"
    answer = newsroom.publisher.client.patch(
        f"archived/{newsroom.publisher.client.get(path).get_json()['_id']}",
        {"operation": operation, "headline": "Stop", "body_html": "<p>Withdrawn.</p>"},
    )
    assert answer.status_code == 200, answer.text


def status_of(newsroom: SiteNewsroom, item: Document) -> Document:
    (row,) = newsroom.publisher.get("publish/status", content=item["_id"]).get_json()["_items"]
    return dict(row)


def publish(newsroom: SiteNewsroom, item: Document, action: str) -> Document:
    """Ask for something; return the only operation, with the status of the answer."""
    answer = newsroom.publisher.publish(item["_id"], action=action)
    (operation,) = answer.get_json()["operations"]
    return {**operation, "answer": answer.status_code}


@WITHDRAWALS
@pytest.mark.parametrize("is_archived_only", [False, True])
def test_withdrawn_after_it_has_expired(
    newsroom: SiteNewsroom, site: FaultySite, operation: str, is_archived_only: bool
) -> None:
    """Posts go with their item, also with one that does not come back from the archive."""
    newsroom.options(kill_mode="delete")
    item = expired(newsroom, flags={"marked_archived_only": is_archived_only})
    newsroom.db["archived"].update_many(
        {"item_id": item["_id"]}, {"$set": {"flags.marked_archived_only": is_archived_only}}
    )
    withdraw(newsroom, item, operation)
    newsroom.settle()
    record = newsroom.record()
    assert (record["status"], record["remote_state"]) == ("retracted", "deleted")
    assert site.posts("publish", "draft", "trash") == []


def test_what_stays_and_can_be_asked_for(newsroom: SiteNewsroom, site: FaultySite) -> None:
    """The post stays; it can be retracted by request, and by its record, and not be published."""
    item = expired(newsroom)
    assert len(site.content.live()) == 1
    row = status_of(newsroom, item)
    assert (row["status"], row["stale"]) == ("published", False)
    for action in ("auto", "publish", "update"):
        operation = publish(newsroom, item, action)
        assert (operation["answer"], operation["result"]) == (400, "refused")
        assert operation["error"]["code"] == "not_publishable"
        assert "expired" in operation["error"]["message"]
    operation = publish(newsroom, item, "retract")
    assert (operation["answer"], operation["operation"]) == (202, "retract")
    newsroom.settle()
    assert status_of(newsroom, item)["status"] == "retracted"
    assert not site.content.live()
    archived = newsroom.db["archived"].find_one({"item_id": item["_id"]})
    assert archived["publisher"][0]["status"] == "retracted"


def test_retracted_by_its_record(newsroom: SiteNewsroom, site: FaultySite) -> None:
    """A person's retraction is no kill: it goes by `retract_mode`."""
    newsroom.options(kill_mode="delete", retract_mode="draft")
    expired(newsroom)
    answer = newsroom.publisher.post(f"records/{newsroom.record()['_id']}/retract")
    assert answer.status_code == 202
    newsroom.settle()
    assert newsroom.record()["remote_state"] == "draft"


@pytest.mark.parametrize("by", ["record", "request"])
def test_removed_for_good(newsroom: SiteNewsroom, site: FaultySite, by: str) -> None:
    """Nothing of the item is left but its post, which can be seen, and retracted."""
    item = expired(newsroom)
    newsroom.db["archived"].delete_many({})
    row = status_of(newsroom, item)
    assert (row["status"], row["stale"]) == ("published", False)
    if by == "record":
        newsroom.publisher.post(f"records/{newsroom.record()['_id']}/retract")
    else:
        assert publish(newsroom, item, "publish")["error"]["code"] == "not_publishable"
        assert publish(newsroom, item, "retract")["answer"] == 202
    newsroom.settle()
    record = newsroom.record()
    assert (record["status"], record["error"]) == ("retracted", None)
    assert not site.content.live()
    assert newsroom.publisher.delete(f"records/{record['_id']}").status_code == 204


def test_items_that_never_were(newsroom: SiteNewsroom) -> None:
    answer = newsroom.publisher.publish("urn:nothing", action="retract")
    assert answer.status_code == 400
    assert "must exist in resource 'published'" in answer.text


def test_a_failed_record_that_is_tried_again(newsroom: SiteNewsroom, site: FaultySite) -> None:
    site.fault = lambda request: "invalid" if request.writes else None
    expired(newsroom)
    assert newsroom.record()["status"] == "failed"
    site.fault = lambda request: None
    newsroom.publisher.post(f"records/{newsroom.record()['_id']}/retry")
    newsroom.settle()
    record = newsroom.record()
    assert (record["status"], record["error"]["code"]) == ("failed", "not_publishable")
    assert "expired" in record["error"]["message"]


@WITHDRAWALS
def test_a_kill_that_is_not_carried_out_before_the_item_is_gone(
    newsroom: SiteNewsroom, site: FaultySite, operation: str
) -> None:
    """It stays a kill: killed items leave nothing in the archive."""
    newsroom.options(kill_mode="delete", retract_mode="draft")
    item = newsroom.desk.published()
    newsroom.publisher.publish(item["_id"])
    newsroom.go()
    site.fault = lambda request: "down"
    newsroom.desk.act(operation, item)
    newsroom.go()
    newsroom.db["archive"].delete_many({})
    newsroom.db["published"].delete_many({})
    site.fault = lambda request: None
    newsroom.settle()
    assert newsroom.record()["remote_state"] == "deleted"
    assert site.posts("publish", "draft", "trash") == []


@pytest.mark.parametrize("way", [REQUEST, AUTO])
def test_a_rewrite_of_what_has_expired(newsroom: SiteNewsroom, site: FaultySite, way: str) -> None:
    """A chain is one post however old its first stories are; the last one takes it off."""
    newsroom.options(rewrite_policy="update_post")
    newsroom.use(way)
    chain = [newsroom.act("publish")]
    newsroom.go()
    for headline in ("Second", "Third"):
        update = newsroom.publisher.client.create(f"archive/{chain[-1]['_id']}/rewrite", {})
        chain.append(newsroom.act("publish", update, headline=headline))
        newsroom.go()
    assert [post["title"] for post in site.content.live()] == ["Third"]
    move_to_archived(newsroom, chain[:2])
    newsroom.act("correct", chain[-1], headline="Fourth")
    newsroom.go()
    assert [post["title"] for post in site.content.live()] == ["Fourth"]
    assert newsroom.creates() == 1
    newsroom.act("kill", chain[-1])
    newsroom.go()
    assert not site.content.live()


def move_to_archived(newsroom: SiteNewsroom, items: list[Document]) -> None:
    """Leave of items what is left of them when their time is over."""
    for item in items:
        for row in newsroom.db["published"].find({"item_id": item["_id"]}):
            archived_id = f"{item['_id']}:{row['_current_version']}"
            newsroom.db["archived"].insert_one({**row, "archived_id": archived_id})
        newsroom.db["published"].delete_many({"item_id": item["_id"]})
        newsroom.db["archive"].delete_one({"_id": item["_id"]})

"""Subscribers whose destination is a CMS site: rows, records and posts (cms contract 2.5)."""

from typing import Any

import pytest

from tests.support.site_desk import FaultySite
from tests.support.site_newsroom import SiteNewsroom


def test_publish_correct_kill(newsroom: SiteNewsroom, site: FaultySite) -> None:
    """Cms scenario 1, 3, 5, through a subscriber."""
    newsroom.subscribe()
    item = newsroom.desk.published()
    newsroom.go(1)
    (row,) = newsroom.desk.rows()
    record = newsroom.record()
    assert (row["state"], record["status"]) == ("success", "published")
    last = row["attempts"][-1]
    assert last["external_id"] == record["external_id"] == str(site.post()["id"])
    assert last["external_url"] == record["external_url"]
    assert row["completed_at"]
    assert site.shows("Rivers rose on Friday.")
    newsroom.desk.act("correct", item, body_html="<p>Rivers rose on Saturday.</p>")
    newsroom.go(1)
    assert newsroom.states() == ["success", "success"]
    assert site.shows("Saturday")
    assert newsroom.record()["published_version"] == record["published_version"] + 1
    newsroom.desk.act("kill", item, body_html="<p>Withdrawn.</p>")
    newsroom.go(1)
    assert newsroom.states() == ["success"] * 3
    assert newsroom.record()["status"] == "retracted"
    assert not site.content.live()
    assert newsroom.creates() == 1


def test_a_row_waits_in_no_lane(newsroom: SiteNewsroom, site: FaultySite) -> None:
    """What was handed over is in progress, for clients too, and nobody leases it.

    Delivery contract H1.
    """
    newsroom.subscribe()
    site.fault = lambda request: "down"
    newsroom.desk.published()
    newsroom.go(1)
    (row,) = newsroom.desk.rows()
    assert (row["state"], row["lane"], row.get("lease_owner")) == ("in-progress", None, None)
    shown = newsroom.publisher.client.get(f"publish_queue/{row['_id']}").get_json()
    assert shown["state"] == "in-progress"
    assert not {"lane", "handed_over"} & shown.keys()
    for _ in range(5):
        newsroom.clock.advance(minutes=10)
        newsroom.graph.transmit.run()
    (row,) = newsroom.desk.rows()
    assert (row["state"], len(row["attempts"])) == ("in-progress", 1)
    site.fault = lambda request: None
    newsroom.settle()
    assert newsroom.states() == ["success"]
    assert newsroom.creates() == 1


@pytest.mark.parametrize(
    ("error", "code", "fault"),
    [
        ({"class": "config", "code": "rest_no_route", "status": 404}, 16001, "theirs"),
        ({"class": "media", "code": "x", "status": 500}, 16002, "theirs"),
        ({"class": "transient", "code": "x", "status": None}, 16000, "theirs"),
        ({"class": "validation", "code": "x", "status": None}, 16001, "theirs"),
        ({"class": "media", "code": "media_missing", "status": None}, 16001, "ours"),
        (None, 16001, "theirs"),
    ],
)
def test_a_refused_wish_fails_its_row(
    newsroom: SiteNewsroom, error: dict[str, Any] | None, code: int, fault: str
) -> None:
    newsroom.subscribe()
    newsroom.desk.published()
    newsroom.graph.enqueue.run()
    newsroom.graph.transmit.run()
    failed = {"status": "failed", "phase": "idle", "next_attempt_at": None, "error": error}
    newsroom.db["publishing_records"].update_one({}, {"$set": failed})
    newsroom.clock.advance(seconds=3)
    newsroom.go(1)
    (row,) = newsroom.desk.rows()
    assert (row["state"], row["fault"]) == ("failed", fault)
    assert f"Error {code} - WordPress publish" in row["error_message"]


def test_both_ways_make_one_post(newsroom: SiteNewsroom, site: FaultySite) -> None:
    """Cms scenario 13."""
    newsroom.subscribe()
    item = newsroom.desk.published()
    newsroom.publisher.publish(item["_id"])
    newsroom.go()
    newsroom.publisher.publish(item["_id"])
    newsroom.go()
    assert newsroom.states() == ["success"]
    assert newsroom.creates() == 1
    assert len(site.posts()) == 1
    assert newsroom.record()["status"] == "published"


@pytest.mark.parametrize("eager", [True])
def test_an_outcome_that_comes_before_the_row_is_handed_over(newsroom: SiteNewsroom) -> None:
    """The worker is so fast that the post is there before the transmit run has noted anything."""
    newsroom.subscribe()
    newsroom.desk.published()
    newsroom.go()
    assert newsroom.states() == ["success"]
    assert newsroom.record()["status"] == "published"

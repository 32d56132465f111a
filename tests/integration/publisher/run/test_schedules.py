"""Publishing at a time: by us, with nothing sent before, or by the site."""

from datetime import timedelta

import pytest

from apps.publisher.run.results import Result
from tests.support.site_desk import FaultySite, SiteDesk


def test_nothing_is_sent_before_its_time(desk: SiteDesk, site: FaultySite) -> None:
    due = desk.clock.at + timedelta(seconds=90)
    item = desk.item(associations={"featuremedia": desk.picture()})
    record = desk.wish(item, schedule_at=due)
    assert desk.run(record) is None
    assert desk.record(record)["scheduled_at"] == due
    desk.clock.advance(seconds=89)
    assert desk.run(record) is None
    assert not site.requests
    desk.clock.advance(seconds=1)
    assert desk.run(record) == Result.DONE
    assert desk.record(record)["status"] == "published"


@pytest.mark.parametrize("field", ["utc_embargo", "utc_publish_schedule"])
def test_embargo_and_schedule_of_the_item_hold_it_back(
    desk: SiteDesk, site: FaultySite, field: str
) -> None:
    due = desk.clock.at + timedelta(minutes=5)
    state = "scheduled" if field == "utc_publish_schedule" else "published"
    record = desk.wish(desk.item(state=state, schedule_settings={field: due}))
    assert desk.run(record) == Result.WAITING
    assert not site.requests
    assert desk.record(record)["next_attempt_at"] == due


def test_descheduled_story_is_never_sent(desk: SiteDesk, site: FaultySite) -> None:
    item = desk.item()
    record = desk.wish(item, schedule_at=desk.clock.at + timedelta(seconds=90))
    desk.wish(item, "retract")
    desk.clock.advance(hours=1)
    assert desk.run(record) is None
    assert desk.record(record)["status"] == "retracted"
    assert not site.requests


def remote(desk: SiteDesk, seconds: int) -> dict[str, object]:
    desk.options["schedule_mode"] = "remote"
    due = desk.clock.at + timedelta(seconds=seconds)
    return {"schedule_at": due, "is_sent_early": True}


def test_site_publishes_by_itself(desk: SiteDesk, site: FaultySite) -> None:
    record = desk.wish(desk.item(), **remote(desk, 600))
    assert desk.run(record) == Result.DONE
    waiting = desk.record(record)
    assert (waiting["status"], waiting["remote_state"]) == ("pending", "scheduled")
    assert site.post()["status"] == "future"
    assert desk.visit(f"{site.url}/{waiting['slug']}/") == 404
    desk.clock.advance(seconds=600)
    record = desk.run_until_settled(record)
    assert (record["status"], record["remote_state"]) == ("published", "live")
    assert record["published_version"] == 1
    assert desk.visit(record["external_url"]) == 200


def test_schedule_that_is_too_near_is_kept_by_us(desk: SiteDesk, site: FaultySite) -> None:
    record = desk.wish(desk.item(), **remote(desk, 30))
    assert desk.run(record) == Result.WAITING
    assert not site.posts()
    desk.clock.advance(seconds=30)
    assert desk.run(record) == Result.DONE
    assert site.post()["status"] == "publish"


def test_schedule_that_the_site_has_missed_is_forced(
    desk: SiteDesk, site: FaultySite, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = desk.wish(desk.item(), **remote(desk, 600))
    desk.run(record)
    monkeypatch.setattr(site.content, "visit", lambda: None)
    record = desk.run_until_settled(record)
    assert record["status"] == "published"
    assert "schedule_forced" in record["warnings"]
    assert site.post()["status"] == "publish"


def test_schedule_of_the_site_is_taken_back(desk: SiteDesk, site: FaultySite) -> None:
    item = desk.item()
    record = desk.wish(item, **remote(desk, 600))
    desk.run(record)
    desk.wish(item, "retract", mode="draft")
    record = desk.run_until_settled(record)
    assert (record["status"], record["remote_state"]) == ("retracted", "draft")
    desk.clock.advance(hours=1)
    assert not site.content.live()
    record = desk.run_until_settled(desk.wish(item))
    assert record["status"] == "published"
    assert site.post()["date_gmt"] <= site.content.stamp()


def test_schedule_is_moved(desk: SiteDesk, site: FaultySite) -> None:
    item = desk.item()
    record = desk.wish(item, **remote(desk, 600))
    desk.run(record)
    desk.wish(item, **remote(desk, 1200))
    desk.run(record)
    desk.clock.advance(seconds=700)
    assert not site.content.live()
    assert desk.run_until_settled(record)["status"] == "published"

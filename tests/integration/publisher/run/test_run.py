"""Lanes of integrations: who goes first, who waits, and that one site holds up no other."""

from datetime import timedelta

import pytest
from bson import ObjectId
from structlog.testing import capture_logs

from tests.support.newsdesk import HandClock
from tests.support.site_desk import FaultySite, SiteDesk, StrictWordPress
from transmitters.cms.base import Payload, RemoteState, Story


def states(desk: SiteDesk) -> set[str]:
    return {record["status"] for record in desk.db["publishing_records"].find()}


def test_everything_that_is_due_is_carried_out(desk: SiteDesk, site: FaultySite) -> None:
    for number in range(12):
        desk.wish(desk.item(headline=f"Story {number}"))
    desk.run_all()
    assert states(desk) == {"published"}
    assert len(site.posts()) == 12
    assert desk.site_run().run() == 0


def test_retractions_go_first_then_the_oldest(desk: SiteDesk, site: FaultySite) -> None:
    desk.options["parallel"] = 1
    item, _ = desk.published(headline="Killed")
    desk.run_all()
    site.requests.clear()
    for number in range(3):
        desk.clock.advance(seconds=1)
        desk.wish(desk.item(headline=f"Story {number}"))
    desk.clock.advance(seconds=1)
    desk.wish(desk.change(item, state="killed", headline="Gone"), "retract")
    desk.site_run().run()
    sent = [request.method for request in site.writes()]
    assert sent == ["POST", "DELETE", "POST", "POST", "POST"]
    titles = [post["title"] for post in site.posts()]
    assert titles == ["Story 0", "Story 1", "Story 2"]


def test_wrong_credentials_stop_the_lane_until_they_change(
    desk: SiteDesk, site: FaultySite
) -> None:
    desk.options["parallel"] = 1
    for _ in range(4):
        desk.wish(desk.item())
    site.password = "changed"
    desk.site_run().run()
    asked = len(site.requests)
    assert asked == 1
    for _ in range(3):
        desk.clock.advance(hours=1)
        desk.wish(desk.item())
        desk.site_run().run()
    assert len(site.requests) == asked
    site.password = "abcdefghijklmnopqrstuvwx"
    desk.db["publisher_integrations"].update_one({}, {"$set": {"state": "new"}})
    desk.resume()
    desk.run_all()
    assert states(desk) == {"published"}
    assert len(site.posts()) == 7
    assert all(record["retry_attempt"] == 0 for record in desk.db["publishing_records"].find())


def test_site_that_asks_to_slow_down_is_left_alone(desk: SiteDesk, site: FaultySite) -> None:
    desk.options["parallel"] = 1
    for _ in range(4):
        desk.wish(desk.item())
    site.fault = lambda request: "busy"
    desk.site_run().run()
    site.fault = lambda request: None
    asked = len(site.requests)
    desk.clock.advance(seconds=89)
    desk.site_run().run()
    assert len(site.requests) == asked
    desk.clock.advance(seconds=1)
    desk.run_all()
    assert states(desk) == {"published"}


def test_dead_site_holds_up_no_other(desk: SiteDesk, clock: HandClock) -> None:
    dead = FaultySite(clock.precise)
    with dead:
        other = desk.add_integration(dead.url, "Dead")
        dead.fault = lambda request: "down"
        for _ in range(60):
            desk.wish(desk.item(), integration=other)
        record = desk.wish(desk.item())
        desk.site_run().run()
        assert desk.record(record)["status"] == "published"
        asked = len(dead.requests)
        # The breaker is open: no attempt is used up for nothing.
        assert asked <= 12
        clock.advance(seconds=10)
        desk.site_run().run()
        assert len(dead.requests) == asked
        dead.fault = lambda request: None
        desk.run_all(most=200)
    assert len(dead.posts()) == 60


def test_kill_passes_the_breaker(desk: SiteDesk, site: FaultySite) -> None:
    item, record = desk.published()
    desk.run_all()
    site.fault = lambda request: "down"
    for _ in range(12):
        desk.wish(desk.item())
    desk.site_run().run()
    site.fault = lambda request: None
    desk.wish(desk.change(item, state="killed"), "retract")
    desk.site_run().run()
    assert desk.record(record)["status"] == "retracted"


def test_record_that_nobody_can_carry_out_holds_up_no_other(
    desk: SiteDesk, site: FaultySite
) -> None:
    bad = desk.wish(desk.item(headline=["no", "text"], associations={"featuremedia": 7}, groups=5))
    desk.db["publishing_records"].update_one({"_id": bad["_id"]}, {"$set": {"history": 7}})
    good = desk.wish(desk.item())
    desk.site_run().run()
    assert desk.record(good)["status"] == "published"
    assert desk.record(bad)["next_attempt_at"] > desk.clock.at


def test_record_over_which_the_program_stumbles_is_given_up(
    desk: SiteDesk, site: FaultySite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried like one whose site fails, tells why, and says nothing of how the site does."""
    make = StrictWordPress.payload

    def stumble(platform: StrictWordPress, story: Story) -> Payload:
        return {}["nothing"] if story.headline == "Stumble" else make(platform, story)

    monkeypatch.setattr(StrictWordPress, "payload", stumble)
    bad, *others = [desk.wish(desk.item(headline="Stumble")) for _ in range(12)]
    with capture_logs():
        desk.site_run().run()
        good = desk.wish(desk.item())
        desk.site_run().run()
        assert desk.record(good)["status"] == "published"
        ids = [record["_id"] for record in others]
        desk.db["publishing_records"].delete_many({"_id": {"$in": ids}})
        desk.run_all()
    record = desk.record(bad)
    assert (record["status"], record["next_attempt_at"]) == ("failed", None)
    assert (record["error"]["class"], record["error"]["code"]) == ("transient", "internal_error")
    assert record["error"]["help"]


def test_retraction_over_which_the_program_stumbles_is_not_given_up(
    desk: SiteDesk, site: FaultySite, monkeypatch: pytest.MonkeyPatch
) -> None:
    item, record = desk.published()

    def stumble(platform: StrictWordPress, *args: object) -> RemoteState:
        raise AssertionError

    with monkeypatch.context() as patch, capture_logs():
        patch.setattr(StrictWordPress, "retract", stumble)
        desk.wish(desk.change(item, state="unpublished"), "retract")
        for _ in range(14):
            desk.clock.advance(hours=2)
            desk.site_run().run()
        assert desk.record(record)["next_attempt_at"] > desk.clock.at
        assert desk.record(record)["error"]["code"] == "internal_error"
    desk.clock.advance(hours=2)
    desk.site_run().run()
    assert desk.record(record)["status"] == "retracted"


def test_lane_of_a_worker_that_died_is_taken_over(desk: SiteDesk, site: FaultySite) -> None:
    record = desk.wish(desk.item())
    lane = {"_id": str(desk.integration["_id"])}
    held = {"lease_owner": "dead", "lease_until": desk.clock.at + timedelta(seconds=60)}
    desk.db["publisher_lanes"].update_one(lane, {"$set": held})
    desk.db["publishing_records"].update_one({"_id": record["_id"]}, {"$set": held})
    desk.site_run().run()
    assert not site.requests
    desk.clock.advance(seconds=61)
    desk.site_run().run()
    assert desk.record(record)["status"] == "published"


def test_integration_that_is_gone_leaves_no_lane_behind(desk: SiteDesk, site: FaultySite) -> None:
    desk.wish(desk.item())
    desk.db["publisher_integrations"].delete_many({})
    assert desk.site_run().run() == 0
    assert not site.requests


def test_thousand_records_behind_a_dead_site(desk: SiteDesk, clock: HandClock) -> None:
    """(cms scenario 47) A story for another site goes out within two ticks."""
    with FaultySite(clock.precise) as dead:
        dead.fault = lambda request: "down"
        other = desk.add_integration(dead.url, "Dead")
        waiting = desk.wish(desk.item(), integration=other)
        first = desk.record(waiting)
        row = desk.db["published"].find_one({"item_id": first["content"]}) or {}
        ids = [f"urn:{number}" for number in range(999)]
        for name, one, keys in (
            ("published", row, ("item_id",)),
            ("publishing_records", first, ("content", "content_key")),
        ):
            copies = [{**one, "_id": ObjectId(), **dict.fromkeys(keys, id_)} for id_ in ids]
            desk.db[name].insert_many(copies)
        desk.site_run().run()
        clock.advance(seconds=1)
        record = desk.wish(desk.item())
        desk.site_run().run()
        assert desk.record(record)["status"] == "published"
        assert len(dead.requests) <= 12
        query = {"integration": other["_id"], "retry_attempt": 0}
        assert desk.db["publishing_records"].count_documents(query) >= 988

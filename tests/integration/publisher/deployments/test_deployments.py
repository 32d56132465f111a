"""Deployments: many items of a site at once, in full or what has changed (cms contract 4.4)."""

from collections.abc import Sequence
from typing import Any

import pytest

from apps.graph.build import Graph
from tests.support.clients import first_client
from tests.support.deployment_desk import DeploymentDesk, titles
from tests.support.events import Events
from tests.support.publisher_client import Publisher
from tests.support.site_desk import FaultySite

NOTHING = {"total": 0, "done": 0, "unchanged": 0, "failed": 0, "skipped": 0, "retracted": 0}


def counted(**counts: int) -> dict[str, int]:
    return {**NOTHING, "total": sum(counts.values()) - counts.get("retracted", 0), **counts}


def refuse(site: FaultySite, *ids: str, fault: str = "invalid") -> None:
    """Let the site refuse the posts of items."""

    def fails(request: Any) -> str | None:
        is_post = request.writes and request.path.startswith("/wp/v2/posts")
        return fault if is_post and any(id_.encode() in request.body for id_ in ids) else None

    site.fault = fails


def rest(site: FaultySite) -> None:
    """Let the site ask everybody to wait."""
    site.fault = lambda request: "busy"


def record_of(desk: DeploymentDesk, id_: str) -> dict[str, Any]:
    found = desk.db["publishing_records"].find_one({"content": id_})
    assert found is not None
    return dict(found)


# In full.


def test_full_deployment_publishes_the_oldest_first(
    desk: DeploymentDesk, site: FaultySite, integration: Any
) -> None:
    desk.options(integration, parallel=1)
    desk.put_out(range(5))
    id_ = desk.start()
    assert desk.told(id_)["status"] == "pending"
    done = desk.run(id_)
    assert (done["status"], done["items_deployed"], done["error_log"]) == ("completed", 5, "")
    assert done["counts"] == counted(done=5)
    assert done["started_at"] <= done["completed_at"]
    assert done["metadata"]["snapshot_at"] == done["started_at"]
    assert titles(site) == [f"Story item-00{number}" for number in range(5)]


def test_three_of_fifty_fail_and_are_tried_again(desk: DeploymentDesk, site: FaultySite) -> None:
    """(cms scenario 38)"""
    ids = desk.put_out(range(50))
    bad = [ids[7], ids[23], ids[41]]
    refuse(site, *bad)
    first = desk.start()
    done = desk.run(first)
    assert (done["status"], done["items_deployed"]) == ("failed", 47)
    assert done["counts"] == counted(done=47, failed=3)
    lines = done["error_log"].splitlines()
    assert [line.split()[1] for line in lines] == bad
    assert all("validation/rest_invalid_param" in line for line in lines)
    site.fault = lambda request: None
    site.requests.clear()
    second = desk.publisher.post(f"deployments/{first}/retry").get_json()
    assert second["metadata"]["retry_of"] == first
    done = desk.run(second["_id"])
    assert (done["status"], done["items_deployed"]) == ("completed", 3)
    assert done["counts"] == counted(done=3)
    assert len(site.writes()) == 3
    assert len(set(titles(site))) == len(titles(site)) == 50
    again = desk.publisher.post(f"deployments/{second['_id']}/retry")
    assert again.status_code == 409


def test_empty_deployment_is_completed_at_once(desk: DeploymentDesk) -> None:
    """(cms scenario 38)"""
    for deployment_type in ("full", "incremental"):
        done = desk.run(desk.start(deployment_type))
        assert (done["status"], done["items_deployed"]) == ("completed", 0)
        assert done["counts"] == NOTHING


def test_one_at_a_time(desk: DeploymentDesk, site: FaultySite, integration: Any) -> None:
    """(cms scenario 38) For a site and an integration; another one of the site may run."""
    desk.put_out(range(2))
    rest(site)
    id_ = desk.start()
    desk.look()
    body = {"site": desk.site_id, "deployment_type": "incremental"}
    refused = desk.publisher.post("deployments", body)
    assert refused.status_code == 409
    assert refused.headers["Location"].endswith(f"deployments/{id_}")
    other = desk.start(integration=integration["_id"])
    site.fault = lambda request: None
    assert desk.run(id_)["items_deployed"] + desk.run(other)["items_deployed"] == 2
    assert len(titles(site)) == 2
    assert desk.run(desk.start())["status"] == "completed"


def test_what_is_shown_already_is_unchanged(desk: DeploymentDesk, site: FaultySite) -> None:
    desk.put_out(range(4))
    desk.run(desk.start())
    site.requests.clear()
    done = desk.run(desk.start())
    assert (done["status"], done["items_deployed"]) == ("completed", 0)
    assert done["counts"] == counted(unchanged=4)
    assert not site.writes()
    done = desk.run(desk.start(force=True))
    assert done["counts"] == counted(done=4)
    assert len(site.writes()) == len(titles(site)) == 4


def test_withdrawn_items_are_taken_off(desk: DeploymentDesk, site: FaultySite) -> None:
    ids = desk.put_out(range(6))
    desk.run(desk.start())
    for id_, state in zip(ids, ("killed", "recalled", "unpublished"), strict=False):
        desk.change(id_, 2, state=state)
    # It is shown until the correction is out.
    desk.change(ids[3], 2, state="being_corrected")
    # An item whose time is over in this system stays where it is.
    desk.db["published"].delete_many({"item_id": ids[4]})
    # What never was at the site has nothing to go from there.
    desk.change("gone", 2, state="killed")
    done = desk.run(desk.start())
    assert done["counts"] == counted(done=3, unchanged=1, retracted=3)
    assert done["items_deployed"] == 3
    assert titles(site) == [f"Story {id_}" for id_ in ids[3:]]
    assert desk.run(desk.start("incremental"))["counts"] == NOTHING


def test_only_what_may_be_shown_is_listed(desk: DeploymentDesk, site: FaultySite) -> None:
    later = "2200-01-01T00:00:00+0000"
    desk.change("embargoed", 1, embargo=later)
    desk.change("scheduled", 1, state="scheduled", publish_schedule=later)
    desk.change("picture", 1, type="picture")
    desk.change("story", 1)
    desk.db["archive"].insert_one({"_id": "draft", "type": "text", "state": "in_progress"})
    done = desk.run(desk.start())
    assert done["counts"] == counted(done=1)
    assert titles(site) == ["Story story"]


def test_site_takes_the_profiles_that_it_is_for(desk: DeploymentDesk, site: FaultySite) -> None:
    desk.db["content_types"].insert_many([{"_id": "news"}, {"_id": "sport"}])
    desk.publisher.patch(f"sites/{desk.site_id}", {"content_types": ["news"]})
    desk.change("a", 1, profile="news")
    desk.change("b", 1, profile="sport")
    desk.change("c", 1)
    assert desk.run(desk.start())["counts"] == counted(done=1)
    assert titles(site) == ["Story a"]


def test_integration_that_is_off_shows_nothing_new(
    desk: DeploymentDesk, site: FaultySite, integration: Any
) -> None:
    desk.put_out(range(2))
    desk.run(desk.start())
    desk.put_out(range(2, 4))
    desk.publisher.patch(f"integrations/{integration['_id']}", {"active": False})
    done = desk.run(desk.start())
    assert (done["status"], done["items_deployed"]) == ("failed", 0)
    assert "The site has no active integration" in done["error_log"]
    # What has to go goes from there, too.
    desk.change("item-000", 2, state="killed")
    done = desk.run(desk.start())
    assert (done["status"], done["counts"]) == ("completed", counted(done=1, retracted=1))
    assert titles(site) == ["Story item-001"]


def test_integration_without_credentials_fails_each_item(
    desk: DeploymentDesk, integration: Any
) -> None:
    desk.put_out(range(2))
    desk.db["publisher_integrations"].update_one(
        {"_id": desk.id_of(integration)}, {"$unset": {"credentials": 1}}
    )
    done = desk.run(desk.start())
    assert (done["status"], done["counts"]) == ("failed", counted(failed=2))
    assert done["error_log"].count("config/no_credentials") == 2


def test_site_without_integrations(desk: DeploymentDesk, integration: Any) -> None:
    desk.publisher.delete(f"integrations/{integration['_id']}", force="true")
    done = desk.run(desk.start())
    assert (done["status"], done["items_deployed"]) == ("failed", 0)
    assert "no integration" in done["error_log"]


def test_update_takes_the_place_of_its_story(
    desk: DeploymentDesk, site: FaultySite, integration: Any
) -> None:
    """Where `rewrite_policy` says so there is one row, and one post, for the chain."""
    desk.options(integration, rewrite_policy="update_post")
    desk.change("first", 1)
    desk.run(desk.start())
    desk.change("first", 2, rewritten_by="second")
    desk.change("second", 1, rewrite_of="first")
    assert desk.run(desk.start("incremental"))["counts"] == counted(done=1)
    assert titles(site) == ["Story second"]
    # A kill of a member that is not shown takes nothing off.
    desk.change("first", 3, state="killed", rewritten_by="second")
    assert desk.run(desk.start())["counts"] == counted(unchanged=1)
    assert titles(site) == ["Story second"]


# What has changed.


def test_two_corrections_of_fifty(desk: DeploymentDesk, site: FaultySite) -> None:
    """(cms scenario 39)"""
    ids = desk.put_out(range(50))
    desk.run(desk.start())
    for id_ in (ids[3], ids[30]):
        desk.change(id_, 2, state="corrected")
    site.requests.clear()
    done = desk.run(desk.start("incremental"))
    assert (done["status"], done["items_deployed"]) == ("completed", 2)
    assert done["counts"] == counted(done=2)
    assert len(site.writes()) == 2
    assert len(titles(site)) == 50
    assert site.shows("item-003 in version 2")


def test_incremental_deployment_takes_what_is_not_as_it_should_be(
    desk: DeploymentDesk, site: FaultySite
) -> None:
    never, older, killed, good, off, *failed = desk.put_out(range(8))
    refuse(site, *failed)
    without_first = {"items": [older, killed, good, off, *failed]}
    desk.run(desk.start(filter=without_first))
    hopeless, retryable, corrected = failed
    records = desk.db["publishing_records"]
    records.update_one({"content": retryable}, {"$set": {"error.retryable": True}})
    desk.change(older, 2)
    desk.change(killed, 2, state="killed")
    desk.change(corrected, 2)
    desk.publisher.post(f"records/{record_of(desk, off)['_id']}/retract")
    site.fault = lambda request: None
    desk.graph.site_run.run()
    done = desk.run(desk.start("incremental"))
    assert done["counts"] == counted(done=5, retracted=1)
    last = str(done["_id"])
    listed = [row["content"] for row in desk.rows() if str(row["deployment"]) == last]
    assert sorted(listed) == sorted([never, older, killed, retryable, corrected])
    assert record_of(desk, hopeless)["status"] == "failed"
    assert record_of(desk, off)["status"] == "retracted"


# Filters.


@pytest.mark.parametrize(
    ("narrowed", "wanted"),
    [
        ({"desk": "d1"}, ["a"]),
        ({"content_type": "p1"}, ["b"]),
        ({"items": ["c", "a", "c", "unknown"]}, ["a", "c"]),
        ({"items": []}, ["a", "b", "c"]),
        ({"desk": "d1", "items": ["b"]}, []),
        ({"since": "2026-02-02T00:00:00+0000"}, ["b", "c"]),
        ({"until": "2026-02-02T00:00:00+0000"}, ["a", "b"]),
        ({"since": "2026-01-15T00:00:00Z", "until": "2026-02-15T00:00:00Z"}, ["b"]),
        ({"desk": None, "since": None}, ["a", "b", "c"]),
    ],
)
def test_filters(
    desk: DeploymentDesk, site: FaultySite, narrowed: Any, wanted: Sequence[str]
) -> None:
    desk.change("a", 1, task={"desk": "d1"}, _created=desk.moment("2026-01-02T00:00:00Z"))
    desk.change("b", 1, profile="p1", _created=desk.moment("2026-02-02T00:00:00Z"))
    desk.change("c", 1, task={"desk": "d2"}, _created=desk.moment("2026-03-02T00:00:00Z"))
    done = desk.run(desk.start(filter=narrowed))
    assert done["counts"]["done"] == len(wanted)
    assert titles(site) == [f"Story {id_}" for id_ in wanted]


@pytest.mark.parametrize(
    "narrowed",
    [
        {"desks": "d1"},
        {"desk": ["d1"]},
        {"items": "a"},
        {"items": [1]},
        {"since": "soon"},
        {"since": "2026-02-02T00:00:00Z", "until": "2026-02-01T00:00:00Z"},
    ],
)
def test_filter_that_says_nothing_is_refused(desk: DeploymentDesk, narrowed: Any) -> None:
    body = {"site": desk.site_id, "deployment_type": "full", "filter": narrowed}
    answer = desk.publisher.post("deployments", body)
    assert answer.status_code == 400
    assert "filter" in answer.get_json()["_issues"]
    assert not desk.db["deployment_records"].count_documents({})


def test_what_nobody_may_know_of_is_not_deployed_for_them(
    desk: DeploymentDesk, site: FaultySite, app: Any, graph: Graph
) -> None:
    desk.change("open", 1, task={"stage": "s1"})
    desk.change("hidden", 1, task={"stage": "s2"})
    desk.publisher = Publisher(first_client(app, graph, "partly", user_type="administrator"))
    stages = {"$set": {"invisible_stages": ["s2"]}}
    desk.db["users"].update_one({"username": "partly"}, stages)
    assert desk.run(desk.start())["counts"] == counted(done=1)
    assert titles(site) == ["Story open"]


# Cancel.


def test_canceled_deployment_begins_nothing_more(
    desk: DeploymentDesk, site: FaultySite, events: Events
) -> None:
    """(cms scenario 38) What has begun is finished, and counted."""
    desk.put_out(range(30))
    rest(site)
    id_ = desk.start()
    desk.look()
    begun = desk.db["publishing_records"].count_documents({})
    assert 0 < begun < 30
    answer = desk.publisher.post(f"deployments/{id_}/cancel")
    assert answer.status_code == 202
    assert answer.get_json()["status"] == "failed"
    assert answer.get_json()["error_log"] == "canceled by admin\n"
    site.fault = lambda request: None
    done = desk.run(id_)
    assert done["status"] == "failed"
    assert done["error_log"] == "canceled by admin\n"
    assert done["counts"] == counted(done=begun, skipped=30 - begun)
    assert done["items_deployed"] == len(titles(site)) == begun
    assert desk.publisher.post(f"deployments/{id_}/cancel").status_code == 409
    assert desk.publisher.post(f"deployments/{id_}/retry").status_code == 409
    assert desk.run(desk.start())["counts"] == counted(done=30 - begun, unchanged=begun)


def test_deployment_that_is_canceled_before_it_begins(
    desk: DeploymentDesk, site: FaultySite
) -> None:
    desk.put_out(range(2))
    id_ = desk.start()
    desk.publisher.post(f"deployments/{id_}/cancel")
    assert desk.run(id_)["counts"] == NOTHING
    assert not site.writes()


def test_failures_after_the_cancel_are_logged_behind_it(
    desk: DeploymentDesk, site: FaultySite
) -> None:
    ids = desk.put_out(range(2))
    rest(site)
    id_ = desk.start()
    desk.look()
    desk.publisher.post(f"deployments/{id_}/cancel")
    refuse(site, ids[1])
    done = desk.run(id_)
    assert done["items_deployed"] == 1
    canceled, failure = done["error_log"].splitlines()
    assert canceled == "canceled by admin"
    assert ids[1] in failure


# Others who want something of the same records.


def test_record_that_somebody_else_pushes_is_waited_for(
    desk: DeploymentDesk, site: FaultySite
) -> None:
    first, second = desk.put_out(range(2))
    rest(site)
    desk.publisher.publish(first)
    desk.graph.site_run.run()
    id_ = desk.start()
    desk.look()
    assert record_of(desk, first)["desired"]["seq"] == 1
    site.fault = lambda request: None
    done = desk.run(id_)
    assert done["counts"] == counted(done=1, unchanged=1)
    assert titles(site) == [f"Story {first}", f"Story {second}"]


def test_where_somebody_else_fails_the_deployment_tries_by_itself(
    desk: DeploymentDesk, site: FaultySite
) -> None:
    (item,) = desk.put_out(range(1))
    desk.publisher.publish(item)
    id_ = desk.start()
    desk.graph.deployment_run.run()
    refuse(site, item)
    desk.graph.site_run.run()
    assert record_of(desk, item)["status"] == "failed"
    site.fault = lambda request: None
    assert desk.run(id_)["counts"] == counted(done=1)


def test_newer_wish_of_somebody_else_replaces_that_of_a_deployment(
    desk: DeploymentDesk, site: FaultySite
) -> None:
    (item,) = desk.put_out(range(1))
    rest(site)
    id_ = desk.start()
    desk.look()
    desk.change(item, 2)
    desk.publisher.publish(item)
    site.fault = lambda request: None
    assert desk.run(id_)["counts"] == counted(unchanged=1)
    assert site.shows("in version 2")
    assert len(titles(site)) == 1


def test_wish_that_follows_one_that_was_carried_out_changes_no_count(
    desk: DeploymentDesk, site: FaultySite
) -> None:
    (item,) = desk.put_out(range(1))
    id_ = desk.start()
    desk.graph.deployment_run.run()
    desk.graph.site_run.run()
    desk.clock.advance(seconds=5)
    desk.change(item, 2)
    desk.publisher.publish(item)
    desk.graph.site_run.run()
    assert desk.run(id_)["counts"] == counted(done=1)
    assert site.shows("in version 2")


def test_item_that_is_withdrawn_before_its_turn(desk: DeploymentDesk, site: FaultySite) -> None:
    ids = desk.put_out(range(30))
    rest(site)
    id_ = desk.start()
    desk.look()
    desk.change(ids[-1], 2, state="killed")
    desk.change(ids[-2], 2, embargo="2200-01-01T00:00:00+0000")
    desk.db["published"].delete_many({"item_id": ids[-3]})
    desk.change(ids[-4], 2)
    site.fault = lambda request: None
    done = desk.run(id_)
    assert done["counts"] == counted(done=27, skipped=3)
    assert site.shows(f"{ids[-4]} in version 2")


def test_kill_that_cannot_be_carried_out_ends_the_deployment(
    desk: DeploymentDesk, site: FaultySite
) -> None:
    """It is tried again every hour, and nobody waits for that."""
    (item,) = desk.put_out(range(1))
    desk.run(desk.start())
    desk.change(item, 2, state="killed")
    site.fault = lambda request: "invalid" if request.writes else None
    done = desk.run(desk.start())
    assert (done["status"], done["counts"]) == ("failed", counted(failed=1))
    assert record_of(desk, item)["status"] == "failed"
    site.fault = lambda request: None
    done = desk.run(desk.start())
    assert done["counts"] == counted(done=1, retracted=1)
    assert titles(site) == []


def test_record_that_is_forgotten_meanwhile(desk: DeploymentDesk, site: FaultySite) -> None:
    desk.put_out(range(2))
    rest(site)
    id_ = desk.start()
    desk.look()
    desk.db["publishing_records"].delete_one({"content": "item-000"})
    site.fault = lambda request: None
    assert desk.run(id_)["counts"] == counted(done=1, skipped=1)


def test_row_that_cannot_be_read_holds_up_no_other(
    desk: DeploymentDesk, site: FaultySite, integration: Any
) -> None:
    desk.put_out(range(3))
    records = desk.db["publishing_records"]
    same = {"integration": desk.id_of(integration), "content_key": "item-001"}
    # Stored by somebody else, without what every record has.
    records.insert_one({**same, "content": "item-001", "desired": {"seq": 1}, "status": "pending"})
    done = desk.run(desk.start())
    assert (done["status"], done["counts"]) == ("failed", counted(done=2, failed=1))
    records.update_one(same, {"$unset": {"content": 1}})
    desk.change("item-002", 2)
    done = desk.run(desk.start("incremental"))
    assert (done["status"], done["counts"]) == ("failed", counted(done=1, failed=1))
    assert "item-001" in done["error_log"]
    records.delete_one(same)
    assert desk.run(desk.start())["status"] == "completed"


# Several sites.


def test_dead_site_holds_up_no_other(
    desk: DeploymentDesk, site: FaultySite, integration: Any
) -> None:
    """(cms scenario 47) Of one deployment, however many rows stand behind the dead one."""
    desk.put_out(range(60))
    with FaultySite(desk.clock.precise) as dead:
        # Its rows come first.
        other = desk.integration(dead, name="a dead one")
        dead.fault = lambda request: "refused"
        id_ = desk.start()
        for _ in range(12):
            desk.look()
        assert len(titles(site)) == 60
        told = desk.told(id_)
        assert told["status"] == "deploying"
        assert (told["counts"]["done"], told["counts"]["total"]) == (60, 120)
        of_dead = {"integration": desk.id_of(other)}
        assert desk.db["publishing_records"].count_documents(of_dead) < 60
        dead.fault = lambda request: None
        done = desk.run(id_)
        assert (done["status"], done["items_deployed"]) == ("completed", 120)
        assert len(titles(dead)) == 60


def test_deployment_of_one_integration_leaves_the_others_alone(
    desk: DeploymentDesk, site: FaultySite, integration: Any
) -> None:
    desk.put_out(range(3))
    with FaultySite(desk.clock.precise) as other_site:
        other = desk.integration(other_site, name="other")
        assert desk.run(desk.start(integration=other["_id"]))["items_deployed"] == 3
        assert (len(titles(other_site)), len(titles(site))) == (3, 0)


# What is told of them.


def test_progress_is_told(desk: DeploymentDesk, site: FaultySite, events: Events) -> None:
    desk.put_out(range(3))
    id_ = desk.start()
    desk.run(id_)
    told = [
        (event["status"], event["items_deployed"], event["total"])
        for event in events.named("publisher:deployment")
        if event["deployment"] == id_
    ]
    assert told[0] == ("pending", 0, 0)
    assert ("deploying", 0, 3) in told
    assert told[-1] == ("completed", 3, 3)


def test_clients_are_told_what_is_theirs_to_know(desk: DeploymentDesk, site: FaultySite) -> None:
    desk.put_out(range(2))
    rest(site)
    body = {"site": desk.site_id, "deployment_type": "full"}
    started = desk.publisher.post("deployments", body).get_json()
    desk.look()
    canceled = desk.publisher.post(f"deployments/{started['_id']}/cancel").get_json()
    inner = {"hidden_stages", "canceled_by", "integrations", "list"}
    for told in (started, canceled, desk.told(started["_id"])):
        assert not inner & told.keys()


def test_status_of_a_deployment(desk: DeploymentDesk, site: FaultySite) -> None:
    ids = desk.put_out(range(3))
    refuse(site, ids[2])
    id_ = desk.start()
    desk.run(id_)
    answer = desk.publisher.get("publish/status", deployment=id_).get_json()
    assert [row["content"] for row in answer["_items"]] == ids
    assert (answer["summary"]["published"], answer["summary"]["failed"]) == (2, 1)


def test_rows_go_after_thirty_days_and_the_counts_stay(desk: DeploymentDesk) -> None:
    desk.put_out(range(3))
    id_ = desk.start()
    desk.run(id_)
    desk.clock.advance(days=31)
    assert desk.graph.publisher_cleanup.run() == 3
    desk.wake(id_)
    desk.graph.deployment_run.run()
    (kept,) = desk.db["deployment_records"].find()
    assert (kept["status"], kept["items_deployed"]) == ("completed", 3)
    assert not desk.rows()

"""POST `/publish/`: what requests become (cms contract 2.1)."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Event
from typing import Any

import pytest

from apps.graph.build import Graph
from apps.publisher.records import requests
from tests.support.clients import Client, client_of
from tests.support.events import Events
from tests.support.publisher_client import Publisher, put_out, shown


def only(answer: Any) -> dict[str, Any]:
    """Return the only operation of an answer."""
    (operation,) = answer.get_json()["operations"]
    return dict(operation)


def test_a_request_becomes_a_wish(
    publisher: Publisher, integration: Any, graph: Graph, events: Events
) -> None:
    put_out(graph.db)

    answer = publisher.publish("story")

    assert answer.status_code == 202
    operation = only(answer)
    assert answer.get_json()["_status"] == "OK"
    assert operation == {
        "content": "story",
        "integration": integration["_id"],
        "destination": "wordpress",
        "record": operation["record"],
        "status": "pending",
        "operation": "create",
        "result": "queued",
        "external_id": None,
        "external_url": None,
        "error": None,
    }
    record = publisher.get(f"records/{operation['record']}/").get_json()
    assert record["desired"]["action"] == "publish"
    assert (record["desired"]["version"], record["content_version"]) == (2, 2)
    assert (record["phase"], record["remote_state"]) == ("ready", "absent")
    assert record["created_at"] == record["_created"]
    lane = graph.db["publisher_lanes"].find_one({})
    assert lane["_id"] == integration["_id"]
    assert events.named("publisher:record") == [
        {
            "record": operation["record"],
            "content": "story",
            "integration": integration["_id"],
            "status": "pending",
            "remote_state": "absent",
        }
    ]


def test_eight_requests_at_once_make_one_record(
    publisher: Publisher, app: Any, integration: Any, graph: Graph
) -> None:
    """(cms scenario 12)"""
    put_out(graph.db)
    admin = graph.db["users"].find_one({"username": "admin"})
    clients = [Publisher(client_of(app, admin)) for _ in range(8)]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda client: client.publish("story"), clients))

    assert {answer.status_code for answer in answers} == {202}
    assert len({only(answer)["record"] for answer in answers}) == 1
    assert graph.db["publishing_records"].count_documents({}) == 1


# What cannot be asked for.


@pytest.mark.parametrize(
    ("body", "issues"),
    [
        ({}, {"content": {"required": 1}}),
        ({"content": 1}, {"content": "must be of ['string', 'list'] type"}),
        ({"content": ""}, {"content": {"0": {"minlength": 1}}}),
        ({"content": []}, {"content": {"minlength": 1}}),
        ({"content": [1]}, {"content": {"0": "must be of string type"}}),
        ({"content": ["x"] * 101}, {"content": "max length is 100"}),
        ({"content": "story", "nonsense": 1}, {"nonsense": "unknown field"}),
        ({"content": "story", "integrations": ["x"] * 51}, {"integrations": "max length is 50"}),
        ({"content": "story", "integrations": []}, {"integrations": {"minlength": 1}}),
        ({"content": "story", "integrations": "x"}, {"integrations": "must be of list type"}),
        ({"content": "story", "destination": "typo3"}, {"destination": "unallowed value typo3"}),
        ({"content": "story", "action": "delete"}, {"action": "unallowed value delete"}),
        ({"content": "story", "force": "yes"}, {"force": "must be of boolean type"}),
        ({"content": "story", "wait": 61}, {"wait": "max value is 60"}),
        ({"content": "story", "wait": -1}, {"wait": "min value is 0"}),
        ({"content": "story", "wait": "1"}, {"wait": "must be of number type"}),
        ({"content": "story", "schedule_at": "soon"}, {"schedule_at": "must be of datetime type"}),
        (
            {"content": "story", "schedule_at": "2020-01-01T00:00:00Z"},
            {"schedule_at": "must be in the future"},
        ),
        ({"content": "story", "idempotency_key": 1}, {"idempotency_key": "must be of string type"}),
        (
            {"content": "story", "idempotency_key": "x" * 129},
            {"idempotency_key": "must have 1 to 128 characters"},
        ),
        (
            {"content": "nothing"},
            {"content": "value 'nothing' must exist in resource 'published', field 'item_id'."},
        ),
        (
            {"content": "story", "site": "nowhere"},
            {"site": "value 'nowhere' must exist in resource 'publisher_sites', field '_id'."},
        ),
        (
            {"content": "story", "integrations": ["x"]},
            {
                "integrations": "value 'x' must exist in resource 'publisher_integrations',"
                " field '_id'."
            },
        ),
    ],
)
def test_a_request_with_faults_is_refused(
    publisher: Publisher, integration: Any, graph: Graph, body: Any, issues: Any
) -> None:
    put_out(graph.db)

    answer = publisher.post("publish/", body)

    assert answer.status_code == 400
    assert answer.get_json()["_issues"] == issues
    assert answer.get_json()["_error"]["code"] == 400
    assert not graph.db["publishing_records"].count_documents({})


@pytest.mark.parametrize("data", ["", "[]", "[1]", "null", "{", '{"content": {"$ne": 1}}'])
def test_a_body_that_is_no_request_is_refused(publisher: Publisher, data: str) -> None:
    answer = publisher.client.request(
        "POST", "v1/publisher/publish", data=data, content_type="application/json"
    )

    assert answer.status_code == 400


def test_what_is_meant_has_to_be_clear(publisher: Publisher, graph: Graph) -> None:
    """One site, or one integration; otherwise it has to be named."""
    put_out(graph.db)
    assert publisher.publish("story").get_json()["_issues"] == {"site": {"required": 1}}
    first = publisher.site()
    assert publisher.publish("story").get_json()["_issues"] == {"site": "has no active integration"}
    main = publisher.integration(first)
    assert publisher.publish("story").status_code == 202
    second = publisher.site(slug="second")
    assert publisher.publish("story").get_json()["_issues"] == {"site": {"required": 1}}
    assert publisher.publish("story", destination="wordpress").status_code == 202
    other = publisher.integration(second, base_url="http://127.0.0.1:8")
    ambiguous = publisher.publish("story", destination="wordpress").get_json()["_issues"]
    assert "more than one" in ambiguous["destination"]
    both = publisher.publish("story", integrations=[main["_id"], other["_id"], main["_id"]])
    assert len(both.get_json()["operations"]) == 2
    assert len(publisher.publish("story", site=second["_id"]).get_json()["operations"]) == 1
    foreign = publisher.publish("story", site=second["_id"], integrations=[main["_id"]])
    assert foreign.status_code == 400


# What is refused, pair by pair.


@pytest.mark.parametrize("state", ["in_progress", "spiked", "draft"])
def test_what_was_never_published_is_refused_by_its_state(
    publisher: Publisher, integration: Any, graph: Graph, state: str
) -> None:
    graph.db["archive"].insert_one({"_id": "story", "type": "text", "state": state})

    answer = publisher.publish("story")

    assert (answer.status_code, answer.get_json()["_status"]) == (400, "ERR")
    operation = only(answer)
    assert (operation["result"], operation["operation"]) == ("refused", "none")
    assert (operation["error"]["class"], operation["error"]["code"]) == (
        "validation",
        "not_publishable",
    )
    assert state in operation["error"]["message"]


def test_what_is_under_embargo_is_refused_until_then(
    publisher: Publisher, integration: Any, graph: Graph
) -> None:
    ends = graph.clock.now() + timedelta(hours=1)
    put_out(graph.db, embargo=ends)

    refused = only(publisher.publish("story"))
    scheduled = publisher.publish("story", schedule_at=ends.isoformat())

    assert refused["error"]["code"] == "not_publishable"
    assert "embargo" in refused["error"]["message"]
    assert scheduled.status_code == 202


@pytest.mark.parametrize("action", ["publish", "update"])
@pytest.mark.parametrize("state", ["killed", "recalled", "unpublished"])
def test_what_is_withdrawn_is_not_published(
    publisher: Publisher, integration: Any, graph: Graph, action: str, state: str
) -> None:
    put_out(graph.db, state=state)

    answer = publisher.publish("story", action=action)

    assert answer.status_code == 400
    assert only(answer)["result"] == "refused"


def test_an_update_needs_a_live_post(publisher: Publisher, integration: Any, graph: Graph) -> None:
    put_out(graph.db)

    refused = publisher.publish("story", action="update")
    record = only(publisher.publish("story"))["record"]
    shown(graph.db, graph.db["publishing_records"].find_one({})["_id"])
    again = only(publisher.publish("story", action="publish"))

    assert (refused.status_code, only(refused)["error"]["code"]) == (400, "not_published")
    assert (again["operation"], again["record"], again["status"]) == ("update", record, "published")


def test_integrations_that_cannot_be_used_are_refused_the_others_not(
    publisher: Publisher, site: Any, graph: Graph
) -> None:
    put_out(graph.db)
    good = publisher.integration(site)
    off = publisher.integration(site, name="off", base_url="http://127.0.0.1:8", active=False)
    bare = publisher.integration(site, name="x", base_url="http://127.0.0.1:7", credentials={})
    ids = [good["_id"], off["_id"], bare["_id"]]

    answer = publisher.publish("story", integrations=ids)

    results = {o["integration"]: o for o in answer.get_json()["operations"]}
    assert answer.status_code == 202
    assert results[good["_id"]]["result"] == "queued"
    assert results[off["_id"]]["error"]["code"] == "integration_inactive"
    assert results[bare["_id"]]["error"]["code"] == "no_credentials"
    assert results[bare["_id"]]["error"]["class"] == "config"
    everything = publisher.publish("story", integrations=ids[1:])
    assert (everything.status_code, everything.get_json()["_status"]) == (400, "ERR")


# The life cycle.


@pytest.mark.parametrize("state", ["killed", "recalled", "unpublished"])
def test_a_withdrawal_takes_the_post_off_even_where_nothing_else_can_be_done(
    publisher: Publisher, integration: Any, graph: Graph, state: str
) -> None:
    put_out(graph.db)
    publisher.publish("story")
    shown(graph.db, graph.db["publishing_records"].find_one({})["_id"])
    put_out(graph.db, state=state, _current_version=3)
    publisher.patch(f"integrations/{integration['_id']}", {"active": False})

    operation = only(publisher.publish("story"))

    assert (operation["operation"], operation["result"]) == ("retract", "queued")
    assert operation["status"] == "published"
    record = publisher.get(f"records/{operation['record']}").get_json()
    assert (record["desired"]["action"], record["desired"]["version"]) == ("retract", 3)
    assert graph.db["publisher_lanes"].find_one({})["urgent"] is True


def test_a_kill_of_what_was_never_sent_is_done_at_once(
    publisher: Publisher, integration: Any, graph: Graph
) -> None:
    put_out(graph.db)
    publisher.publish("story")
    put_out(graph.db, state="killed", _current_version=3)

    operation = only(publisher.publish("story"))

    assert (operation["result"], operation["status"]) == ("done", "retracted")


def test_nothing_is_done_where_nothing_is_wanted(
    publisher: Publisher, integration: Any, graph: Graph
) -> None:
    put_out(graph.db, "killed", state="killed")
    put_out(graph.db, "held", state="being_corrected")

    killed, held = publisher.publish(["killed", "held"]).get_json()["operations"]

    for operation in (killed, held):
        assert (operation["operation"], operation["result"]) == ("none", "unchanged")
        assert operation["record"] is None


def test_what_is_scheduled_waits_for_its_time(
    publisher: Publisher, integration: Any, graph: Graph
) -> None:
    due = graph.clock.now() + timedelta(hours=2)
    put_out(graph.db, state="scheduled", schedule_settings={"utc_publish_schedule": due})
    put_out(graph.db, "now")

    publisher.publish("story")
    publisher.publish("now", schedule_at=(due + timedelta(hours=1)).isoformat())

    story = graph.db["publishing_records"].find_one({"content": "story"})
    other = graph.db["publishing_records"].find_one({"content": "now"})
    assert story["scheduled_at"] == story["next_attempt_at"] == due
    assert other["scheduled_at"] == due + timedelta(hours=1)


def test_rewrites_are_posts_of_their_own_or_one(
    publisher: Publisher, site: Any, graph: Graph
) -> None:
    put_out(graph.db, "first", rewritten_by="second")
    put_out(graph.db, "second", rewrite_of="first", rewritten_by="third")
    put_out(graph.db, "third", rewrite_of="second")
    own = publisher.integration(site)
    one = publisher.integration(
        site,
        name="one",
        base_url="http://127.0.0.1:8",
        options={"rewrite_policy": "update_post"},
    )
    ids = ["first", "third"]

    publisher.publish(ids, integrations=[own["_id"]])
    operations = publisher.publish(ids, integrations=[one["_id"]]).get_json()["operations"]

    keys = graph.db["publishing_records"].find({"integration": {"$exists": True}})
    by_url = sorted((r["content_key"], r["content"]) for r in keys)
    assert by_url == [("first", "first"), ("first", "third"), ("third", "third")]
    assert [o["result"] for o in operations] == ["unchanged", "queued"]
    put_out(graph.db, "first", state="killed", _current_version=3)
    killed = publisher.publish("first", integrations=[one["_id"]])
    assert only(killed)["result"] == "unchanged"


def test_an_older_version_is_dropped(publisher: Publisher, integration: Any, graph: Graph) -> None:
    put_out(graph.db, _current_version=5)
    publisher.publish("story")
    shown(graph.db, graph.db["publishing_records"].find_one({})["_id"])
    graph.db["published"].update_many({}, {"$set": {"_current_version": 4}})

    operation = only(publisher.publish("story"))

    assert (operation["result"], operation["operation"]) == ("unchanged", "none")
    history = publisher.get(f"records/{operation['record']}").get_json()["history"]
    assert history[-1]["outcome"] == "superseded"


# Idempotency keys.


def test_a_repeated_key_gets_the_first_answer(
    publisher: Publisher, integration: Any, graph: Graph
) -> None:
    """(cms scenario 15)"""
    put_out(graph.db)

    first = publisher.publish("story", idempotency_key="k1")
    record = graph.db["publishing_records"].find_one({})
    again = publisher.post("publish", {"content": "story"}, headers={"Idempotency-Key": "k1"})
    other = publisher.publish("story", force=True, idempotency_key="k1")
    new = publisher.publish("story", force=True, idempotency_key="k2")

    assert (again.status_code, again.data) == (first.status_code, first.data)
    assert other.status_code == 409
    assert other.get_json()["_error"]["code"] == 409
    assert new.status_code == 202
    assert graph.db["publishing_records"].find_one({})["desired"]["seq"] == 2
    assert record["desired"]["seq"] == 1


def test_a_key_belongs_to_an_account(
    publisher: Publisher, stranger: Publisher, integration: Any, graph: Graph
) -> None:
    put_out(graph.db)
    publisher.publish("story", idempotency_key="k1")
    stranger.integration(stranger.site())

    answer = stranger.publish("story", idempotency_key="k1")

    assert answer.status_code == 202
    assert only(answer)["integration"] != integration["_id"]


def test_a_request_with_faults_does_not_use_up_its_key(
    publisher: Publisher, integration: Any, graph: Graph
) -> None:
    assert publisher.publish("story", idempotency_key="k1").status_code == 400
    put_out(graph.db)
    assert publisher.publish("story", idempotency_key="k1", force=True).status_code == 202


def test_header_and_body_agree_on_the_key(publisher: Publisher, integration: Any) -> None:
    body = {"content": "story", "idempotency_key": "a"}

    answer = publisher.post("publish", body, headers={"Idempotency-Key": "b"})

    assert list(answer.get_json()["_issues"]) == ["idempotency_key"]


def test_a_key_under_way_asks_to_try_again(
    publisher: Publisher, integration: Any, graph: Graph
) -> None:
    put_out(graph.db)
    publisher.publish("story", idempotency_key="k1")
    graph.db["idempotent_requests"].update_one({}, {"$set": {"answer": None}})

    waiting = publisher.publish("story", idempotency_key="k1")
    long_ago = graph.clock.now() - timedelta(minutes=10)
    graph.db["idempotent_requests"].update_one({}, {"$set": {"created_at": long_ago}})
    taken_over = publisher.publish("story", idempotency_key="k1")

    assert (waiting.status_code, waiting.headers["Retry-After"]) == (409, "2")
    assert taken_over.status_code == 202


# Waiting.


class Site:
    """Carries out wishes as soon as a request looks whether they are."""

    def __init__(self, graph: Graph, **outcome: Any) -> None:
        self.graph = graph
        self.outcome = outcome

    def sleep(self, seconds: float) -> None:
        for record in self.graph.db["publishing_records"].find({}):
            shown(self.graph.db, record["_id"], **self.outcome)


@pytest.mark.parametrize(
    ("outcome", "result", "status"),
    [
        ({}, "done", "published"),
        ({"history": [{"outcome": "unchanged"}]}, "unchanged", "published"),
        ({"status": "failed", "error": {"class": "config"}}, "refused", "failed"),
    ],
)
def test_a_request_may_wait_for_the_outcome(
    publisher: Publisher,
    integration: Any,
    graph: Graph,
    monkeypatch: Any,
    outcome: Any,
    result: str,
    status: str,
) -> None:
    put_out(graph.db)
    monkeypatch.setattr(graph.publisher.requests, "_sleep", Site(graph, **outcome).sleep)

    answer = publisher.publish("story", wait=30)

    assert answer.status_code == 200
    operation = only(answer)
    assert (operation["result"], operation["status"]) == (result, status)
    assert operation["external_id"] == "7"


def test_a_wait_that_is_over_is_answered_as_queued(
    publisher: Publisher, integration: Any, graph: Graph
) -> None:
    put_out(graph.db)

    answer = publisher.publish("story", wait=0.2)

    assert (answer.status_code, only(answer)["result"]) == (202, "queued")


def test_four_requests_wait_the_fifth_is_answered_at_once(
    publisher: Publisher, app: Any, integration: Any, graph: Graph, monkeypatch: Any
) -> None:
    put_out(graph.db)
    free, waiting = Event(), []

    def sleep(seconds: float) -> None:
        waiting.append(seconds)
        assert free.wait(60)
        Site(graph).sleep(seconds)

    monkeypatch.setattr(graph.publisher.requests, "_sleep", sleep)
    admin = graph.db["users"].find_one({"username": "admin"})
    clients = [Publisher(client_of(app, admin)) for _ in range(requests.WAITING_REQUESTS)]
    with ThreadPoolExecutor(len(clients)) as pool:
        answers = [pool.submit(client.publish, "story", wait=60) for client in clients]
        while len(waiting) < len(clients):
            assert not any(answer.done() for answer in answers)

        fifth = publisher.publish("story", wait=60)
        free.set()

        assert fifth.status_code == 202
        assert {answer.result().status_code for answer in answers} == {200}


def test_items_on_hidden_stages_are_not_there(
    publisher: Publisher, app: Any, integration: Any, graph: Graph, admin: Client
) -> None:
    put_out(graph.db, task={"desk": "d", "stage": "hidden"})
    publisher.publish("story")
    user = graph.db["users"].find_one({"username": "admin"})
    graph.db["users"].update_one({"_id": user["_id"]}, {"$set": {"invisible_stages": ["hidden"]}})
    record = graph.db["publishing_records"].find_one({})["_id"]

    assert "must exist" in publisher.publish("story").text
    assert publisher.get("records").get_json()["_items"] == []
    assert publisher.get(f"records/{record}").status_code == 403
    assert publisher.post(f"records/{record}/retract").status_code == 403
    assert publisher.get("publish/status", content="story").get_json()["_items"] == []

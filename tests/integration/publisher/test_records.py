"""Records and deployments by request (cms contract 3.3, 3.4, 4.1, 4.4)."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from bson import ObjectId

from apps.graph.build import Graph
from apps.publisher.schema import ref_of
from tests.support.clients import client_of
from tests.support.events import Events
from tests.support.fake_sites import SITES, FakeSite
from tests.support.publisher_client import BASE_URL, Publisher, put_out, shown
from transmitters.cms.base import ErrorClass, PlatformError, RemotePost, RemoteState

URL = "https://kestrel.example/story/"


@pytest.fixture
def record(publisher: Publisher, integration: Any, graph: Graph) -> dict[str, Any]:
    """A record of an item, before anything is wished of it."""
    put_out(graph.db)
    body = {"content": "story", "integration": integration["_id"]}
    return dict(publisher.post("records", body).get_json())


def test_a_record_is_created_once(
    publisher: Publisher, integration: Any, graph: Graph, events: Events
) -> None:
    """(cms scenario 14)"""
    put_out(graph.db)
    body = {"content": "story", "integration": integration["_id"], "metadata": {"a": 1}}

    first, second = publisher.post("records/", body), publisher.post("records/", body)

    record = first.get_json()
    assert (first.status_code, record["status"]) == (201, "pending")
    assert (record["phase"], record["metadata"]) == ("idle", {"a": 1})
    assert record["created_at"] == record["_created"]
    assert second.status_code == 409
    assert second.get_json() == {
        "_status": "ERR",
        "_error": {
            "code": 409,
            "message": "A publishing record for this content and destination exists",
        },
    }
    assert second.headers["Location"] == f"/api/v1/publisher/records/{record['_id']}"
    assert [event["record"] for event in events.named("publisher:record")] == [record["_id"]]
    published = publisher.publish("story").get_json()["operations"][0]
    assert published["record"] == record["_id"]


def test_of_eight_at_once_one_is_created(
    publisher: Publisher, app: Any, integration: Any, graph: Graph
) -> None:
    put_out(graph.db)
    admin = graph.db["users"].find_one({"username": "admin"})
    clients = [Publisher(client_of(app, admin)) for _ in range(8)]
    body = {"content": "story", "integration": integration["_id"]}

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda client: client.post("records", body), clients))

    assert sorted(answer.status_code for answer in answers) == [201, *[409] * 7]
    assert all(a.headers["Location"] for a in answers if a.status_code == 409)


@pytest.mark.parametrize(
    ("body", "issues"),
    [
        ({}, {"integration": {"required": 1}}),
        ({"destination": "wordpress", "status": "published"}, {"status": "field is read-only"}),
        ({"destination": "wordpress", "account": "other"}, {"account": "field is read-only"}),
        ({"destination": "wordpress", "external_url": URL}, {"external_id": {"required": 1}}),
        ({"destination": "wordpress", "nonsense": 1}, {"nonsense": "unknown field"}),
        ({"destination": "wordpress", "metadata": 1}, {"metadata": "must be of dict type"}),
        (
            {"destination": "wordpress", "metadata": {"a": "x" * 17000}},
            {"metadata": "must not be larger than 16384 bytes"},
        ),
        (
            {"destination": "wordpress", "content": "nothing"},
            {"content": "value 'nothing' must exist in resource 'published', field 'item_id'."},
        ),
        ({"destination": "ghost"}, {"integration": {"required": 1}}),
    ],
)
def test_a_record_with_faults_is_refused(
    publisher: Publisher, integration: Any, graph: Graph, body: Any, issues: Any
) -> None:
    put_out(graph.db)

    answer = publisher.post("records", {"content": "story", **body})

    assert answer.status_code == 400
    assert answer.get_json()["_issues"] == issues
    assert not graph.db["publishing_records"].count_documents({})


def test_the_integration_may_follow_from_the_site(
    publisher: Publisher, site: Any, integration: Any, graph: Graph
) -> None:
    put_out(graph.db)
    body = {"content": "story", "site": site["_id"], "destination": "wordpress"}

    assert publisher.post("records", body).get_json()["integration"] == integration["_id"]
    publisher.integration(site, name="b", base_url="http://127.0.0.1:8")
    put_out(graph.db, "other")
    ambiguous = publisher.post("records", {**body, "content": "other"})
    assert "more than one" in ambiguous.get_json()["_issues"]["integration"]


# Adoption.


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (RemoteState.LIVE, "published"),
        (RemoteState.DRAFT, "pending"),
        (RemoteState.SCHEDULED, "pending"),
        (RemoteState.TRASHED, "retracted"),
    ],
)
def test_a_post_that_is_there_is_adopted(
    publisher: Publisher, integration: Any, graph: Graph, state: RemoteState, status: str
) -> None:
    put_out(graph.db)
    SITES[BASE_URL] = FakeSite(posts={"42": RemotePost("42", state, URL, "story")})
    body = {"content": "story", "integration": integration["_id"], "external_id": "42"}

    record = publisher.post("records", body).get_json()

    assert (record["status"], record["remote_state"]) == (status, state)
    assert (record["external_id"], record["external_url"]) == ("42", URL)
    assert bool(record.get("published_at")) is (status == "published")
    assert record["payload_hash"] == ""
    assert "seen" not in record
    assert graph.db["publishing_records"].find_one({})["seen"]["adopted"] == []
    put_out(graph.db, "other")
    held = publisher.post("records", {**body, "content": "other"})
    assert held.status_code == 409
    assert held.headers["Location"].endswith(record["_id"])


def test_a_post_that_is_not_there_is_not_adopted(
    publisher: Publisher, integration: Any, graph: Graph
) -> None:
    put_out(graph.db)
    body = {"content": "story", "integration": integration["_id"], "external_id": "42"}

    missing = publisher.post("records", body)
    error = PlatformError(ErrorClass.AUTH, "rest_not_logged_in", "The password is wrong")
    SITES[BASE_URL] = FakeSite(failures={"read": error})
    unread = publisher.post("records", body)

    assert missing.get_json()["_issues"] == {"external_id": "not found at the destination"}
    assert unread.status_code == 400
    assert "auth/rest_not_logged_in" in unread.get_json()["_issues"]["external_id"]
    assert not graph.db["publishing_records"].count_documents({})


@pytest.mark.parametrize("is_moved", [True, False])
def test_a_look_at_a_post_of_somebody_else_finds_ours_gone(
    publisher: Publisher, integration: Any, graph: Graph, is_moved: bool
) -> None:
    """Its id was learned before the site was restored: what it names now is not ours."""
    put_out(graph.db)
    publisher.publish("story")
    id_ = graph.db["publishing_records"].find_one({})["_id"]
    shown(graph.db, id_)
    foreign = RemotePost("7", RemoteState.LIVE, "https://a.example/x/", "x", refs=("f" * 16,))
    SITES[BASE_URL] = FakeSite(posts={"7": foreign})
    if is_moved:
        stored = graph.db["publishing_records"].find_one({})
        ref = ref_of(stored["integration"], stored["content_key"])
        ours = RemotePost("8", RemoteState.LIVE, URL, "story", refs=(ref,))
        SITES[BASE_URL].posts["8"] = ours

    answer = publisher.post(f"records/{id_}/reconcile")

    record = answer.get_json()
    assert answer.status_code == 200
    assert "seen" not in record
    if is_moved:
        assert (record["external_id"], record["external_url"]) == ("8", URL)
        assert record["remote_state"] == "live"
    else:
        assert (record["external_id"], record["remote_state"]) == ("7", "deleted")


# One record.


def test_only_metadata_is_changed(publisher: Publisher, record: Any) -> None:
    path = f"records/{record['_id']}"

    changed = publisher.patch(path, {"metadata": {"b": 2}})
    refused = [
        publisher.patch(path, {field: value})
        for field, value in {
            "status": "published",
            "content": "other",
            "external_id": "7",
            "external_url": URL,
            "integration": "0" * 24,
        }.items()
    ]
    without = publisher.client.request(
        "PATCH", f"v1/publisher/{path}", json={"metadata": {}}, headers={}
    )

    assert changed.get_json()["metadata"] == {"b": 2}
    assert {answer.status_code for answer in refused} == {400}
    assert all("field is read-only" in answer.text for answer in refused)
    assert without.status_code == 428


def test_a_record_is_forgotten_only_when_nothing_is_left(
    publisher: Publisher, record: Any, graph: Graph
) -> None:
    stored, path = graph.db["publishing_records"], f"records/{record['_id']}"
    for fields in (
        {"remote_state": "live"},
        {"remote_state": "scheduled"},
        {"remote_state": "draft"},
        {"remote_state": "unknown"},
        {"remote_state": "absent", "phase": "sent"},
        {"remote_state": "absent", "phase": "unknown"},
    ):
        stored.update_one({}, {"$set": fields})
        answer = publisher.delete(path)
        assert answer.status_code == 409, fields
        message = "Record is still live at the destination"
        assert answer.get_json()["_error"] == {"code": 409, "message": message}
    stored.update_one({}, {"$set": {"remote_state": "trashed", "phase": "idle"}})
    assert publisher.delete(path).status_code == 204


def test_what_has_failed_is_tried_again(
    publisher: Publisher, record: Any, graph: Graph, events: Events
) -> None:
    stored, path = graph.db["publishing_records"], f"records/{record['_id']}"
    assert publisher.post(f"{path}/retry").status_code == 409
    failed = {"status": "failed", "error": {"class": "validation"}, "retry_attempt": 3}
    publisher.publish("story")
    stored.update_one({}, {"$set": {**failed, "next_attempt_at": None, "phase": "idle"}})

    answer = publisher.post(f"{path}/retry/")

    again = answer.get_json()
    assert (answer.status_code, again["status"], again["phase"]) == (202, "pending", "ready")
    assert (again["retry_attempt"], again["desired"]["seq"]) == (0, 2)
    assert events.named("publisher:record")[-1]["status"] == "pending"


def test_a_failed_update_of_a_live_post_is_published_again(
    publisher: Publisher, record: Any, graph: Graph
) -> None:
    publisher.publish("story")
    shown(graph.db, ObjectId(record["_id"]), status="failed", error={"class": "validation"})

    again = publisher.post(f"records/{record['_id']}/retry").get_json()

    assert (again["status"], again["desired"]["action"]) == ("published", "update")


def test_a_post_is_taken_off(publisher: Publisher, record: Any, graph: Graph) -> None:
    path = f"records/{record['_id']}"
    publisher.publish("story")
    shown(graph.db, ObjectId(record["_id"]))

    wrong = publisher.post(f"{path}/retract", {"mode": "unpublish"})
    unknown = publisher.post(f"{path}/retract", {"how": "draft"})
    answer = publisher.post(f"{path}/retract/", {"mode": "draft"})

    assert wrong.get_json()["_issues"] == {"mode": "unallowed value unpublish"}
    assert unknown.get_json()["_issues"] == {"how": "unknown field"}
    wish = answer.get_json()["desired"]
    assert (answer.status_code, wish["action"], wish["mode"]) == (202, "retract", "draft")
    assert answer.get_json()["status"] == "published"


def test_what_was_never_sent_is_retracted_at_once(publisher: Publisher, record: Any) -> None:
    answer = publisher.post(f"records/{record['_id']}/retract")

    told = answer.get_json()
    assert (told["status"], told["next_attempt_at"]) == ("retracted", None)
    assert told["retracted_at"]


@pytest.mark.parametrize(
    ("before", "post", "status", "state"),
    [
        ({}, RemotePost("7", RemoteState.LIVE, URL, "story"), "published", "live"),
        ({}, RemotePost("7", RemoteState.TRASHED, URL, "story"), "failed", "trashed"),
        ({}, None, "failed", "deleted"),
        (
            {"status": "retracted", "remote_state": "trashed"},
            RemotePost("7", RemoteState.LIVE, URL, "story"),
            "failed",
            "live",
        ),
        ({"status": "retracted", "remote_state": "trashed"}, None, "retracted", "deleted"),
        (
            {"status": "pending", "remote_state": "scheduled", "published_at": None},
            RemotePost("7", RemoteState.LIVE, URL, "story"),
            "published",
            "live",
        ),
    ],
)
def test_a_look_at_the_site_says_what_has_become_of_a_post(
    publisher: Publisher,
    record: Any,
    graph: Graph,
    before: Any,
    post: RemotePost | None,
    status: str,
    state: str,
) -> None:
    publisher.publish("story")
    shown(graph.db, ObjectId(record["_id"]), **before)
    SITES[BASE_URL] = FakeSite(posts={"7": post} if post else {})

    answer = publisher.post(f"records/{record['_id']}/reconcile/")

    told = answer.get_json()
    assert (answer.status_code, told["status"], told["remote_state"]) == (200, status, state)
    assert told["external_id"] == "7"
    assert bool(told["error"]) is (status == "failed")
    assert told["history"][-1]["action"] == "reconcile"


def test_a_post_that_somebody_has_edited_shows_it(
    publisher: Publisher, record: Any, graph: Graph
) -> None:
    publisher.publish("story")
    shown(graph.db, ObjectId(record["_id"]), remote_modified="monday")
    post = RemotePost("7", RemoteState.LIVE, URL, "story", modified="tuesday")
    SITES[BASE_URL] = FakeSite(posts={"7": post})

    told = publisher.post(f"records/{record['_id']}/reconcile").get_json()

    assert told["drift"]["remote_modified"] == "tuesday"


def test_a_site_that_cannot_be_read_changes_nothing(
    publisher: Publisher, record: Any, graph: Graph
) -> None:
    publisher.publish("story")
    shown(graph.db, ObjectId(record["_id"]))
    before = graph.db["publishing_records"].find_one({})
    error = PlatformError(ErrorClass.TRANSIENT, "http_503", "The site is down")
    SITES[BASE_URL] = FakeSite(failures={"read": error})

    answer = publisher.post(f"records/{record['_id']}/reconcile")

    assert answer.status_code == 409
    assert "transient/http_503" in answer.get_json()["_error"]["message"]
    assert graph.db["publishing_records"].find_one({}) == before


@pytest.mark.parametrize("id_", ["0" * 24, "nothing", "7"])
@pytest.mark.parametrize("action", ["retry", "retract", "reconcile"])
def test_what_is_not_there_is_404(publisher: Publisher, id_: str, action: str) -> None:
    answer = publisher.post(f"records/{id_}/{action}")

    assert answer.status_code == 404
    assert answer.get_json()["_error"]["code"] == 404


def test_lists_are_searched_sorted_and_paged(
    publisher: Publisher, integration: Any, graph: Graph
) -> None:
    names = ["a", "b", "c"]
    for name in names:
        put_out(graph.db, name)
    publisher.publish(names)

    def contents(**arguments: Any) -> list[str]:
        rows = publisher.get("records/", **arguments).get_json()["_items"]
        return [row["content"] for row in rows]

    assert sorted(contents()) == names
    assert contents(where='{"content": "b"}') == ["b"]
    assert len(contents(where='{"desired.action": "publish"}')) == 3
    assert len(contents(where=f'{{"integration": "{integration["_id"]}"}}')) == 3
    assert contents(sort='[("content", -1)]', max_results=2) == ["c", "b"]
    assert contents(sort="content", max_results=2, page=2) == ["c"]


# Deployments.


def test_a_deployment_is_started_once(
    publisher: Publisher, site: Any, integration: Any, events: Events
) -> None:
    body = {
        "site": site["_id"],
        "deployment_type": "full",
        "filter": {"desk": "d", "since": "2026-01-01T00:00:00Z"},
        "metadata": {"why": "launch"},
    }

    first, second = publisher.post("deployments/", body), publisher.post("deployments/", body)
    other = publisher.post("deployments", {**body, "integration": integration["_id"]})

    deployment = first.get_json()
    assert (first.status_code, deployment["status"]) == (202, "pending")
    assert deployment["items_deployed"] == 0
    assert deployment["metadata"] == {
        "why": "launch",
        "query": {"desk": "d", "since": "2026-01-01T00:00:00+0000"},
        "options": {"force": False},
    }
    assert second.status_code == 409
    message = f"Deployment {deployment['_id']} is running"
    assert second.get_json()["_error"]["message"] == message
    assert second.headers["Location"] == f"/api/v1/publisher/deployments/{deployment['_id']}"
    assert other.status_code == 202
    assert publisher.get("deployments/").get_json()["_meta"]["total"] == 2
    told = {"deployment": deployment["_id"], "status": "pending", "items_deployed": 0, "total": 0}
    assert events.named("publisher:deployment")[0] == told


@pytest.mark.parametrize(
    ("body", "issues"),
    [
        ({"site": None}, {"site": "null value not allowed"}),
        ({"site": "x"}, {"site": "value 'x' must exist in resource 'publisher_sites', fie"}),
        ({"deployment_type": "half"}, {"deployment_type": "unallowed value half"}),
        ({"integration": "x"}, {"integration": "value 'x' must exist in resource 'publi"}),
        ({"force": 1}, {"force": "must be of boolean type"}),
        ({"filter": {"state": "published"}}, {"filter": {"state": "unknown field"}}),
        ({"filter": {"since": "soon"}}, {"filter": {"since": "must be of datetime type"}}),
        ({"filter": {"items": "a"}}, {"filter": {"items": "must be of list type"}}),
        ({"filter": {"desk": {"$ne": 1}}}, None),
        (
            {"filter": {"since": "2026-02-01", "until": "2026-01-01"}},
            {"filter": {"until": "must not be before since"}},
        ),
        ({"filter": []}, {"filter": "must be of dict type"}),
        ({"metadata": {"query": {}}}, {"metadata": {"query": "is written by the server"}}),
        ({"metadata": {"a": "x" * 17000}}, {"metadata": "must not be larger than 16384 bytes"}),
        ({"status": "completed"}, {"status": "unknown field"}),
    ],
)
def test_a_deployment_with_faults_is_refused(
    publisher: Publisher, site: Any, graph: Graph, body: Any, issues: Any
) -> None:
    answer = publisher.post("deployments", {"site": site["_id"], "deployment_type": "full", **body})

    assert answer.status_code == 400
    assert not graph.db["deployment_records"].count_documents({})
    if issues is not None:
        found = answer.get_json()["_issues"]
        (name,) = issues
        wanted = issues[name]
        is_text = isinstance(wanted, str)
        assert found[name].startswith(wanted) if is_text else found == issues


def test_an_integration_that_is_off_is_not_deployed_to(
    publisher: Publisher, site: Any, integration: Any
) -> None:
    publisher.patch(f"integrations/{integration['_id']}", {"active": False})
    body = {"site": site["_id"], "integration": integration["_id"], "deployment_type": "full"}

    answer = publisher.post("deployments", body)

    assert answer.get_json()["_issues"] == {"integration": "is not active"}


def test_a_deployment_is_canceled_and_tried_again(
    publisher: Publisher, site: Any, integration: Any, graph: Graph
) -> None:
    body = {"site": site["_id"], "deployment_type": "incremental", "metadata": {"a": 1}}
    path = f"deployments/{publisher.post('deployments', body).get_json()['_id']}"
    assert publisher.post(f"{path}/retry").status_code == 409

    canceled = publisher.post(f"{path}/cancel/")

    told = canceled.get_json()
    assert (canceled.status_code, told["status"]) == (202, "failed")
    assert told["error_log"] == "canceled by admin\n"
    assert told["completed_at"]
    assert publisher.post(f"{path}/cancel").status_code == 409
    assert "No item" in publisher.post(f"{path}/retry").get_json()["_error"]["message"]
    row = {"deployment": ObjectId(told["_id"]), "content": "a", "state": "failed"}
    graph.db["deployment_items"].insert_one({**row, "integration": ObjectId(integration["_id"])})
    again = publisher.post(f"{path}/retry/")
    assert (again.status_code, again.get_json()["status"]) == (202, "pending")
    metadata = again.get_json()["metadata"]
    assert (metadata["retry_of"], metadata["a"]) == (told["_id"], 1)


# Status.


def test_status_tells_where_content_stands(
    publisher: Publisher, site: Any, integration: Any, graph: Graph
) -> None:
    names = ["a", "b", "c"]
    for name in names:
        put_out(graph.db, name)
    publisher.publish(["a", "b"])
    first = graph.db["publishing_records"].find_one({"content": "a"})["_id"]
    shown(graph.db, first)

    def status(**arguments: Any) -> Any:
        return publisher.get("publish/status/", **arguments).get_json()

    told = status(content="a,b, c")
    assert told["summary"] == {
        "pending": 1,
        "published": 1,
        "failed": 0,
        "retracted": 0,
        "not_published": 1,
    }
    rows = {row["content"]: row for row in told["_items"]}
    assert rows["a"]["stale"] is False
    assert rows["a"]["external_url"] == URL
    assert (rows["a"]["record"], rows["a"]["operation"]) == (str(first), "publish")
    assert (rows["c"]["record"], rows["c"]["status"]) == (None, None)
    assert rows["a"].keys() == rows["c"].keys()
    put_out(graph.db, "a", "corrected", _current_version=3)
    assert status(content=["a", "b"])["_items"][0]["stale"] is True
    assert status(content="a", destination="ghost")["summary"]["not_published"] == 1
    assert status(content="a", integration=integration["_id"])["summary"]["published"] == 1
    assert status(content="a", site=site["_id"])["summary"]["published"] == 1
    put_out(graph.db, "a", "killed", _current_version=4)
    assert status(content="a")["_items"][0]["stale"] is True
    shown(graph.db, first, status="retracted", remote_state="trashed")
    assert status(content="a")["_items"][0]["stale"] is False


def test_status_of_a_deployment(
    publisher: Publisher, site: Any, integration: Any, graph: Graph
) -> None:
    put_out(graph.db, "a")
    put_out(graph.db, "b")
    publisher.publish("a")
    started = publisher.post("deployments", {"site": site["_id"], "deployment_type": "full"})
    id_ = started.get_json()["_id"]
    graph.db["deployment_items"].insert_many(
        {"deployment": ObjectId(id_), "content": name, "integration": ObjectId(integration["_id"])}
        for name in ("a", "b")
    )

    told = publisher.get("publish/status", deployment=id_).get_json()

    assert (told["summary"]["pending"], told["summary"]["not_published"]) == (1, 1)
    assert publisher.get("publish/status", deployment="0" * 24).status_code == 404


def test_status_of_nothing_is_refused(publisher: Publisher) -> None:
    answer = publisher.get("publish/status/")

    assert answer.status_code == 400
    message = "content or deployment is required"
    assert answer.get_json()["_error"] == {"code": 400, "message": message}


def test_refused_actions_say_what_to_do(
    publisher: Publisher, integration: Any, graph: Graph
) -> None:
    """409 with the reason; nothing is written."""
    put_out(graph.db)
    (operation,) = publisher.publish("story").get_json()["operations"]
    record = f"records/{operation['record']}"
    body = {"site": integration["site"], "deployment_type": "full"}
    deployment = f"deployments/{publisher.post('deployments', body).get_json()['_id']}"
    before = publisher.get(record).get_json()

    still_runs = publisher.post(f"{deployment}/retry")
    assert publisher.post(f"{deployment}/cancel").status_code == 202
    refused = {
        "only one that has failed": [publisher.post(f"{record}/retry"), still_runs],
        "nothing to cancel": [publisher.post(f"{deployment}/cancel")],
        "Start a new deployment": [publisher.post(f"{deployment}/retry")],
    }

    for words, answers in refused.items():
        for answer in answers:
            assert answer.status_code == 409
            assert words in answer.get_json()["_error"]["message"]
    assert publisher.get(record).get_json() == before
    assert publisher.post(f"{record}/nothing").status_code == 404
    assert publisher.post(f"records/{'0' * 24}/retry").status_code == 404

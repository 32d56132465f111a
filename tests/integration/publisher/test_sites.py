"""Sites and integrations: what they may be, and who may know of them (cms contract 3.1, 3.2)."""

from typing import Any

import pytest

from apps.graph.build import Graph
from tests.support.clients import Client, first_client
from tests.support.publisher_client import API, BASE_URL, CREDENTIALS, Publisher, put_out, shown


def test_a_site_is_told_with_its_defaults(publisher: Publisher) -> None:
    site = publisher.site()

    assert (site["timezone"], site["public"], site["account"]) == ("UTC", False, "default")
    assert publisher.get(f"sites/{site['_id']}/").get_json()["slug"] == "kestrel"
    assert publisher.get("sites/").get_json()["_meta"]["total"] == 1


@pytest.mark.parametrize(
    ("field", "value", "issue"),
    [
        ("slug", "The Kestrel", "value does not match regex '^[a-z0-9][a-z0-9-]{0,62}$'"),
        ("slug", "kestrel", {"unique": 1}),
        ("url", "kestrel.example", "must be a URL that begins with http:// or https://"),
        ("url", "https://me:secret@kestrel.example", "must be a URL that begins with http:// or "),
        ("timezone", "Mars/Olympus", "unknown time zone"),
        ("language", "not a language", "value does not match regex"),
        ("defaults", {"nonsense": 1}, {"nonsense": "unknown field"}),
        ("defaults", {"slug_mode": "odd"}, {"slug_mode": "unallowed value odd"}),
        ("account", "other", "field is read-only"),
        ("content_types", ["nothing"], {"0": "must be of objectid type"}),
        ("nonsense", 1, "unknown field"),
    ],
)
def test_a_site_with_faults_is_refused(
    publisher: Publisher, field: str, value: Any, issue: Any
) -> None:
    publisher.site()
    body = {"name": "x", "slug": "other", "url": "https://x.example", field: value}

    answer = publisher.post("sites", body)

    assert answer.status_code == 400
    found = answer.get_json()["_issues"][field]
    assert str(found).startswith(issue) if isinstance(issue, str) else found == issue


def test_two_accounts_may_use_one_name(publisher: Publisher, stranger: Publisher) -> None:
    assert publisher.site()["account"] == "default"
    assert stranger.site()["account"] == "other"


def test_a_site_with_integrations_stays(publisher: Publisher, site: Any, integration: Any) -> None:
    answer = publisher.delete(f"sites/{site['_id']}")

    assert answer.status_code == 409
    assert answer.get_json()["_error"] == {"code": 409, "message": "The site has integrations"}
    assert publisher.delete(f"integrations/{integration['_id']}").status_code == 204
    assert publisher.delete(f"sites/{site['_id']}").status_code == 204


def test_what_is_of_another_account_is_not_there(
    publisher: Publisher, stranger: Publisher, site: Any, integration: Any, graph: Graph
) -> None:
    """(cms scenario 44) By no address, and in no list."""
    put_out(graph.db)
    record = publisher.publish("story").get_json()["operations"][0]["record"]
    body = {"site": site["_id"], "deployment_type": "full"}
    deployment = publisher.post("deployments", body).get_json()["_id"]
    row = {"integration": integration["_id"], "scheme": "s", "qcode": "q"}
    mapped = {**row, "taxonomy": "categories", "remote_id": "1"}
    term = publisher.client.create(f"{API}/taxonomy-map", mapped)["_id"]
    paths = {
        "sites": site["_id"],
        "integrations": integration["_id"],
        "records": record,
        "deployments": deployment,
        "taxonomy-map": term,
    }

    for name, id_ in paths.items():
        assert publisher.get(f"{name}/{id_}").status_code == 200, name
        missing, foreign = stranger.get(f"{name}/{'0' * 24}"), stranger.get(f"{name}/{id_}")
        assert foreign.status_code == missing.status_code == 404, name
        assert foreign.get_json() == missing.get_json()
        assert stranger.get(name).get_json()["_items"] == []
        headers = {"If-Match": publisher.get(f"{name}/{id_}").get_json()["_etag"]}
        for method, status in () if name == "deployments" else (("PATCH", 404), ("DELETE", 204)):
            for asked in (id_, "0" * 24):
                path = f"{API}/{name}/{asked}"
                answer = stranger.client.request(method, path, json={}, headers=headers)
                assert answer.status_code == status, (name, method)
        assert publisher.get(f"{name}/{id_}").status_code == 200, name
    for action in ("retry", "retract", "reconcile"):
        assert stranger.post(f"records/{record}/{action}").status_code == 404
    for action in ("cancel", "retry"):
        assert stranger.post(f"deployments/{deployment}/{action}").status_code == 404
    assert stranger.post(f"integrations/{integration['_id']}/test").status_code == 404
    assert stranger.get(f"integrations/{integration['_id']}/taxonomies").status_code == 404
    assert stranger.post(f"integrations/{integration['_id']}/taxonomies/sync").status_code == 404
    for path, body in (
        ("publish", {"content": "story", "site": site["_id"]}),
        ("publish", {"content": "story", "integrations": [integration["_id"]]}),
        ("records", {"content": "story", "integration": integration["_id"]}),
        ("deployments", {"site": site["_id"], "deployment_type": "full"}),
        ("integrations", {"site": site["_id"], "destination": "wordpress", "name": "x"}),
        ("integrations/test", {"site": site["_id"], "destination": "wordpress"}),
        ("taxonomy-map", mapped),
    ):
        answer = stranger.post(path, body)
        assert answer.status_code == 400, (path, answer.text)
        assert "must exist in resource" in answer.text, answer.text
    assert stranger.get("publish/status", content="story").get_json()["summary"] == {
        **dict.fromkeys(("pending", "published", "failed", "retracted"), 0),
        "not_published": 1,
    }
    assert graph.db["publishing_records"].count_documents({}) == 1


@pytest.mark.parametrize(
    ("privilege", "may_read", "may_publish", "may_administer"),
    [
        (None, False, False, False),
        ("publisher_read", True, False, False),
        ("publisher_publish", False, True, False),
        ("publisher_admin", False, False, True),
    ],
)
def test_each_privilege_opens_its_part(
    app: Any,
    graph: Graph,
    site: Any,
    privilege: str | None,
    may_read: bool,
    may_publish: bool,
    may_administer: bool,
) -> None:
    privileges = {privilege: 1} if privilege else {}
    client = Publisher(first_client(app, graph, "somebody", privileges=privileges))
    reads = ["records", "deployments", "sites", "integrations", "media", "taxonomy-map"]
    for path in [*reads, "publish/status"]:
        assert (client.get(path).status_code != 403) is may_read, path
    head = client.client.request("HEAD", f"{API}/records")
    assert (head.status_code != 403) is may_read
    for path in ("publish", "deployments", "records", "records/1/retry"):
        assert (client.post(path).status_code != 403) is may_publish, path
    for path in ("sites", "integrations", "integrations/test", "taxonomy-map"):
        assert (client.post(path).status_code != 403) is may_administer, path


def test_a_missing_privilege_is_told_as_an_error_of_http(editor: Client) -> None:
    for answer in (Publisher(editor).get("records"), Publisher(editor).post("publish")):
        assert answer.status_code == 403
        assert answer.get_json()["_error"]["code"] == 403


def test_only_administrators_move_users_to_another_account(
    app: Any, graph: Graph, admin: Client, editor: Client
) -> None:
    manager = first_client(app, graph, "manager", privileges={"users": 1})
    user = graph.db["users"].find_one({"username": "editor"})
    path = f"users/{user['_id']}"

    assert "another account" in manager.patch(path, {"account": "other"}).text
    assert "another account" in editor.patch(path, {"account": "other"}).text
    assert manager.patch(path, {"account": "default"}).status_code == 200
    assert admin.patch(path, {"account": "other"}).status_code == 200
    # Whoever was logged in with the old account is not any more.
    assert editor.get("users").status_code == 401
    new = {"username": "new", "email": "n@example.com", "password": "secret-123", "account": "x"}
    assert manager.post("users", new).status_code == 403


# Integrations.


@pytest.mark.parametrize(
    ("url", "issue"),
    [
        ("http://kestrel.example", "must begin with https://"),
        ("http://169.254.169.254/latest", "must begin with https://"),
        ("https://169.254.169.254", "must not have a private or link-local address"),
        ("https://10.0.0.7", "must not have a private or link-local address"),
        ("https://[fd00::1]", "must not have a private or link-local address"),
        ("https://[::ffff:10.0.0.1]", "must not have a private or link-local address"),
        ("https://0.0.0.0", "must not have a private or link-local address"),
        ("https://2130706433", "must not have a private or link-local address"),
        ("https://me:secret@kestrel.example", "must not hold a user name or a password"),
        ("https://kestrel.example?x=1", "must have neither query nor fragment"),
        ("https://kestrel.example#x", "must have neither query nor fragment"),
        ("ftp://kestrel.example", "must be a URL that begins with https://"),
        ("https://", "must be a URL that begins with https://"),
        ("https://kestrel.example:port", "must be a URL"),
        ("https://kestrel.example\\@evil.example", "must be a URL without spaces"),
        ("kestrel", "must be a URL that begins with https://"),
    ],
)
def test_an_address_where_passwords_must_not_go_is_refused(
    publisher: Publisher, site: Any, url: str, issue: str
) -> None:
    """(cms scenario 45)"""
    body = {"site": site["_id"], "destination": "wordpress", "name": "x", "base_url": url}

    answer = publisher.post("integrations", body)

    assert answer.status_code == 400
    assert answer.get_json()["_issues"] == {"base_url": issue}
    assert "secret" not in answer.text


def test_an_address_is_stored_without_its_final_slash(publisher: Publisher, site: Any) -> None:
    integration = publisher.integration(site, base_url="http://LOCALHOST:8000/blog/")

    assert integration["base_url"] == "http://localhost:8000/blog"


@pytest.mark.parametrize(
    ("fields", "issues"),
    [
        ({"destination": "typo3"}, {"destination": "unallowed value typo3"}),
        ({"base_url": None}, {"base_url": "null value not allowed"}),
        ({"options": {"nonsense": 1}}, {"options": {"nonsense": "unknown field"}}),
        ({"options": {"parallel": 0}}, {"options": {"parallel": "min value is 1"}}),
        (
            {"options": {"kill_mode": "unpublish"}},
            {"options": {"kill_mode": "unallowed value unpublish"}},
        ),
        ({"state": "ok"}, {"state": "field is read-only"}),
        ({"remote": {"user": "me"}}, {"remote": "field is read-only"}),
        ({"credentials": {"token": "x"}}, {"credentials": {"token": "unknown field"}}),
        ({"credentials": {"username": 1}}, {"credentials": {"username": "must be of string type"}}),
        (
            {"credentials": {"username": "a", "application_password": "short"}},
            {"credentials": {"application_password": "must be 24 letters and digits"}},
        ),
    ],
)
def test_an_integration_with_faults_is_refused(
    publisher: Publisher, site: Any, fields: Any, issues: Any, graph: Graph
) -> None:
    body = {
        "site": site["_id"],
        "destination": "wordpress",
        "name": "x",
        "base_url": BASE_URL,
        "credentials": CREDENTIALS,
        **fields,
    }

    answer = publisher.post("integrations", body)

    assert answer.status_code == 400
    assert answer.get_json()["_issues"] == issues
    assert not graph.db["publisher_integrations"].count_documents({})


def test_two_integrations_do_not_share_a_name_or_a_target(
    publisher: Publisher, site: Any, integration: Any
) -> None:
    body = {"site": site["_id"], "destination": "wordpress"}
    same_name = publisher.post("integrations", {**body, "name": "main", "base_url": "http://[::1]"})
    same_target = publisher.post("integrations", {**body, "name": "b", "base_url": BASE_URL + "/"})
    publisher.integration(site, name="usual port", base_url="https://LOCALHOST:443/blog/")
    same_port = {**body, "name": "c", "base_url": "https://localhost/blog"}
    assert publisher.post("integrations", same_port).get_json()["_issues"] == {
        "base_url": {"unique": 1}
    }
    other = {**body, "name": "pages", "base_url": BASE_URL, "options": {"post_type": "pages"}}

    assert same_name.get_json()["_issues"] == {"name": {"unique": 1}}
    assert same_target.get_json()["_issues"] == {"base_url": {"unique": 1}}
    assert publisher.post("integrations", other).status_code == 201


def test_destination_and_site_cannot_be_changed(
    publisher: Publisher, site: Any, integration: Any
) -> None:
    path, other = f"integrations/{integration['_id']}", publisher.site(slug="other")

    assert publisher.patch(path, {"destination": "ghost"}).status_code == 400
    assert publisher.patch(path, {"site": other["_id"]}).status_code == 400
    assert publisher.patch(path, {"site": site["_id"], "name": "new"}).status_code == 200


def test_an_integration_with_live_posts_stays_unless_it_is_forced(
    publisher: Publisher, integration: Any, graph: Graph
) -> None:
    put_out(graph.db)
    publisher.publish("story")
    record = graph.db["publishing_records"].find_one({})
    shown(graph.db, record["_id"])
    path = f"integrations/{integration['_id']}"
    moved = {"base_url": "http://localhost:8", "credentials": CREDENTIALS}

    assert publisher.delete(path).status_code == 409
    assert publisher.patch(path, moved).status_code == 409
    assert publisher.patch(path, moved, rebase="true").status_code == 200
    assert publisher.delete(path, force="true").status_code == 204
    assert not graph.db["publishing_records"].count_documents({})


def test_another_address_is_another_installation(
    publisher: Publisher, integration: Any, graph: Graph
) -> None:
    """What was learned of the site is not taken for what is at the new one; clients see nothing."""
    path, stored = f"integrations/{integration['_id']}", graph.db["publisher_integrations"]
    stored.update_one({}, {"$set": {"remote": {"version": "6.1"}, "synced_at": None}})
    moved = {"base_url": "http://localhost:8", "credentials": CREDENTIALS}

    same = publisher.patch(path, {"base_url": BASE_URL, "name": "other"})
    assert same.status_code == 200
    assert "installation" not in stored.find_one({})
    answer = publisher.patch(path, moved)

    first = stored.find_one({})
    assert (first["remote"], bool(first["installation"])) == (None, True)
    for shown_as in (answer, publisher.get(path), publisher.get("integrations")):
        assert "installation" not in shown_as.get_data(as_text=True)
    publisher.patch(path, {**moved, "base_url": BASE_URL})
    assert stored.find_one({})["installation"] not in (None, first["installation"])


def test_another_type_of_posts_is_another_installation(
    publisher: Publisher, integration: Any, graph: Graph
) -> None:
    path, stored = f"integrations/{integration['_id']}", graph.db["publisher_integrations"]
    assert publisher.patch(path, {"options": {"kill_overwrite": False}}).status_code == 200
    assert "installation" not in stored.find_one({})
    assert publisher.patch(path, {"options": {"post_type": "pages"}}).status_code == 200
    assert stored.find_one({})["installation"]


@pytest.mark.parametrize("id_", ["abc/../x", 7, "6b0d7118f32dacde5f4d9420", "a\r\nb", None])
def test_ids_are_made_by_the_server(
    publisher: Publisher, site: Any, integration: Any, id_: Any
) -> None:
    """Lanes go by them."""
    row = {"integration": integration["_id"], "scheme": "s", "qcode": "q", "mode": "ignore"}
    bodies = {
        "sites": {"name": "x", "slug": "x", "url": "https://x.example"},
        "integrations": {
            "site": site["_id"],
            "destination": "wordpress",
            "name": "x",
            "base_url": "http://127.0.0.1:8",
        },
        "taxonomy-map": row,
        "records": {"content": "x", "integration": integration["_id"]},
    }
    for path, body in bodies.items():
        answer = publisher.post(path, {**body, "_id": id_})
        assert (answer.status_code, path) == (400, path)
        assert "_id" in answer.get_json()["_issues"], path


def test_what_was_answered_can_be_sent_back(publisher: Publisher, site: Any) -> None:
    path = f"sites/{site['_id']}"
    changed = publisher.patch(path, {"_id": site["_id"], "name": "Other"})
    assert changed.status_code == 200, changed.text
    assert publisher.patch(path, {"_id": "0" * 24}).status_code == 400


def test_a_new_document_is_named_by_its_path(publisher: Publisher) -> None:
    body = {"name": "x", "slug": "x", "url": "https://x.example"}
    answer = publisher.post("sites/", body)
    path = f"/api/v1/publisher/sites/{answer.get_json()['_id']}"
    assert answer.headers["Location"].removeprefix("http://localhost") == path


@pytest.mark.parametrize("pattern", ["javascript:alert(1)", "//x.example/{slug}", "{slug}", ""])
def test_addresses_of_pages_are_paths(publisher: Publisher, pattern: str) -> None:
    body = {"name": "x", "slug": "x", "url": "https://x.example"}
    good = {"page": "/{slug}/", "media": "https://cdn.example/{file}"}
    answer = publisher.post("sites", {**body, "url_structure": {**good, "post": pattern}})
    assert list(answer.get_json()["_issues"]["url_structure"]) == ["post"]
    assert publisher.post("sites", {**body, "url_structure": good}).status_code == 201

"""Logging in, sessions, and who may do what.

Resources contract 4; resources scenario R01, R02, R03, R04, R05, R06, R07, R08, R09.
"""

from typing import Any

import pytest
from bson import ObjectId

from apps.core.clock import SystemClock
from apps.graph.build import Graph
from tests.support.clients import Client, log_in_with_password, make_user
from tests.support.events import Events

CREDENTIALS = {"username": "admin", "password": "admin_password"}


class TestLogin:
    def test_opens_a_session(self, admin: Client, anonymous: Client) -> None:
        """Resources scenario R01: right credentials give a token and never the password."""
        answer = anonymous.post("auth_db", CREDENTIALS)

        assert answer.status_code == 201
        session = answer.get_json()
        assert session["token"]
        assert session["user"] == admin.session["user"]
        assert session["username"] == "admin"
        assert "password" not in session

    @pytest.mark.parametrize(
        "credentials",
        [
            {"username": "admin", "password": "wrong"},
            {"username": "nobody", "password": "admin_password"},
            {"username": "admin", "password": ""},
        ],
    )
    def test_refuses_wrong_credentials(
        self, admin: Client, anonymous: Client, credentials: dict[str, str]
    ) -> None:
        """Resources scenario R02: a wrong name and a wrong password are refused alike."""
        answer = anonymous.post("auth_db", credentials)

        assert answer.status_code == 401
        assert answer.get_json()["_issues"] == {"credentials": 1}

    def test_needs_both_fields(self, anonymous: Client) -> None:
        """Missing credentials are reported field by field."""
        answer = anonymous.post("auth_db", {})

        assert answer.status_code == 400
        issues = answer.get_json()["_issues"]
        assert issues == {"username": {"required": 1}, "password": {"required": 1}}

    @pytest.mark.parametrize(
        ("fields", "issues"),
        [
            ({"is_active": False}, {"is_active": False}),
            ({"is_enabled": False, "is_active": False}, {"is_enabled": False}),
            ({"user_type": "external"}, {"user_type": "external"}),
        ],
    )
    def test_refuses_users_who_are_switched_off(
        self, graph: Graph, anonymous: Client, fields: dict[str, Any], issues: dict[str, Any]
    ) -> None:
        """Resources scenario R03: inactive, disabled and external users may not log in."""
        make_user(graph, "foo", **fields)

        answer = anonymous.post("auth_db", {"username": "foo", "password": "foo_password"})

        assert answer.status_code == 403
        assert answer.get_json()["_issues"] == issues

    def test_leaves_the_etag_of_the_user_alone(self, app: Any, admin: Client) -> None:
        """Resources scenario R06: logging in and out is no change of the user."""
        path = f"users/{admin.session['user']}"
        before = admin.get(path).get_json()

        second = log_in_with_password(app, "admin")
        answer = second.delete(f"auth_db/{second.session['_id']}")

        assert answer.status_code == 204
        after = admin.get(path).get_json()
        assert after["_etag"] == before["_etag"]
        assert after["last_activity_at"] is not None


class TestSession:
    def test_is_needed(self, anonymous: Client) -> None:
        """Without a token requests are refused, in a form that browsers may read.

        Resources scenario R04.
        """
        answer = anonymous.request("GET", "users", headers={"Origin": "http://localhost:9000"})

        assert answer.status_code == 401
        assert answer.get_json()["_issues"] == {"auth": 1}
        assert answer.headers["Access-Control-Allow-Origin"] == "http://localhost:9000"

    def test_is_not_needed_for_the_home_page(self, anonymous: Client) -> None:
        """Resources scenario R05: the list of resources is public."""
        assert anonymous.get("").status_code == 200

    def test_ends_when_it_is_deleted(self, admin: Client) -> None:
        """Resources scenario R06: the token of an ended session stands for nobody."""
        assert admin.delete(f"auth/{admin.session['_id']}").status_code == 204

        assert admin.get("users").status_code == 401

    def test_of_others_is_out_of_reach(self, admin: Client, editor: Client) -> None:
        """Users neither see nor end the sessions of others."""
        path = f"auth_db/{admin.session['_id']}"

        assert editor.get(path).status_code == 403
        assert editor.delete(path, etag=admin.session["_etag"]).status_code == 403

    def test_unlocks_its_items_when_it_ends(
        self, app: Any, admin: Client, graph: Graph, events: Events
    ) -> None:
        """Items locked in the session are free again, those of other sessions are not.

        Resources scenario R07.
        """
        other = log_in_with_password(app, "admin")
        graph.db["archive"].insert_many(
            [locked("mine", other), locked("elsewhere", admin), {**locked("draft", other), **NEW}]
        )

        other.delete(f"auth_db/{other.session['_id']}")

        left = {item["_id"]: item["lock_user"] for item in graph.db["archive"].find()}
        assert left == {"mine": None, "elsewhere": ObjectId(admin.session["user"])}
        assert {event["item"] for event in events.named("item:unlock")} == {"mine", "draft"}

    def test_unlocks_everything_when_it_is_the_last(self, admin: Client, graph: Graph) -> None:
        """Resources scenario R07: with the last session go locks of sessions that were lost."""
        item = {**locked("lost", admin), "lock_session": ObjectId()}
        graph.db["archive"].insert_one(item)

        admin.delete(f"auth_db/{admin.session['_id']}")

        assert graph.db["archive"].find_one({"_id": "lost"})["lock_user"] is None

    def test_refuses_two_authorization_headers(self, admin: Client) -> None:
        """A request that names two callers has none."""
        headers = [("Authorization", f"Bearer {admin.token}"), ("Authorization", "Bearer x")]

        assert admin.http.get("/api/users", headers=headers).status_code == 401

    @pytest.mark.parametrize(
        "header",
        [
            "",
            "Basic",
            "Basic \u00e9",
            "Basic !!!",
            "Basic /w==",
            "Bearer",
            "Bearer \u00e9\u00ff",
            "x" * 10_000,
            "Token \x7f",
        ],
    )
    @pytest.mark.parametrize("path", ["users", "items", "archive/x"])
    def test_refuses_what_holds_no_token(self, anonymous: Client, path: str, header: str) -> None:
        """Whatever the header holds, also bytes that are no text."""
        answer = anonymous.request("GET", path, headers={"Authorization": header})

        assert (401, {"auth": 1}) == (answer.status_code, answer.get_json()["_issues"])

    @pytest.mark.parametrize("form", ["Bearer {}", "Token {}", "{}"])
    def test_takes_the_token_in_several_forms(self, admin: Client, form: str) -> None:
        """The token may come bare or with a scheme."""
        headers = {"Authorization": form.format(admin.token)}

        assert admin.http.get("/api/users", headers=headers).status_code == 200


class TestPrivileges:
    def test_come_with_the_role(self, app: Any, admin: Client, editor: Client) -> None:
        """Resources scenario R08: a user may create desks once the user's role says so."""
        refused = editor.post("desks", {"name": "Sports"})
        assert refused.status_code == 403
        assert refused.get_json()["_message"] == (
            "Insufficient privileges for the requested operation."
        )

        role = admin.create("roles", {"name": "Chief", "privileges": {"desks": 1}})
        editor.delete(f"auth_db/{editor.session['_id']}")
        admin.patch(f"users/{editor.session['user']}", {"role": role["_id"]})

        assert (
            log_in_with_password(app, "editor").post("desks", {"name": "Sports"}).status_code == 201
        )

    def test_of_the_user_win_over_the_role(self, app: Any, admin: Client, graph: Graph) -> None:
        """A user's own privileges may take away what the role grants."""
        role = admin.create("roles", {"name": "Chief", "privileges": {"desks": 1}})
        make_user(graph, "foo", role=ObjectId(role["_id"]), privileges={"desks": 0})

        assert log_in_with_password(app, "foo").post("desks", {"name": "Sports"}).status_code == 403

    def test_are_needed_even_by_administrators(self, admin: Client) -> None:
        """Resources scenario R09: what no privilege allows is refused to everybody."""
        rules = {"_id": "publish_text", "act": "publish", "type": "text", "schema": {}}

        assert admin.post("validators", rules).status_code == 403
        assert admin.get("validators").status_code == 405

    def test_are_listed(self, editor: Client) -> None:
        """Clients read what can be granted, sorted by label."""
        listed = editor.get("privileges").get_json()["_items"]

        labels = [privilege["label"] for privilege in listed]
        assert labels == sorted(labels)
        published = next(p for p in listed if p["name"] == "publish")
        assert {"label", "description", "category"} <= published.keys()


NEW = {"_current_version": 0, "state": "draft"}


def locked(id: str, client: Client) -> dict[str, Any]:
    """Return an item that the session of `client` has locked."""
    return {
        "_id": id,
        "state": "in_progress",
        "_current_version": 2,
        "lock_user": ObjectId(client.session["user"]),
        "lock_session": ObjectId(client.session["_id"]),
        "lock_time": SystemClock().now(),
        "lock_action": "edit",
    }

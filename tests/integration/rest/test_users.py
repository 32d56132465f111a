"""Users at the HTTP edge (resources contract 5; resources scenario R10, R11)."""

from typing import Any

import pytest
from bson import ObjectId

from apps.graph.build import Graph
from tests.support.clients import Client, log_in_with_password, make_user
from tests.support.events import Events


def user(**fields: Any) -> dict[str, Any]:
    """Return the body of a POST that creates a user."""
    return {"username": "jdoe", "email": "jdoe@example.com", "password": "secret", **fields}


class TestCreate:
    def test_completes_the_user(self, admin: Client) -> None:
        """A new user gets a display name, a sign-off and flags, and the password stays hidden."""
        created = admin.create(
            "users", user(first_name="Jane", last_name="Doe", email="Jane.Doe@Example.com")
        )

        assert created["display_name"] == "Jane Doe"
        assert created["sign_off"] == "JD"
        assert created["email"] == "jane.doe@example.com"
        assert (created["is_active"], created["is_enabled"]) == (True, True)
        assert (created["user_type"], created["needs_activation"]) == ("user", True)
        assert created["invisible_stages"] == []
        assert "password" not in created

    def test_signs_with_the_user_name_of_people_without_names(self, admin: Client) -> None:
        """Without names the sign-off is made of the user name."""
        created = admin.create("users", user())

        assert (created["display_name"], created["sign_off"]) == ("jdoe", "JDO")

    def test_gives_the_default_role(self, admin: Client) -> None:
        """Users without a role get the default one."""
        role = admin.create("roles", {"name": "Writer", "is_default": True})

        assert admin.create("users", user())["role"] == role["_id"]

    def test_lets_the_user_log_in(self, app: Any, admin: Client) -> None:
        """The password is stored as a hash that logs in."""
        admin.create("users", user(password="jdoe_password"))

        assert log_in_with_password(app, "jdoe").get("users").status_code == 200

    def test_refuses_what_is_taken(self, admin: Client) -> None:
        """Resources scenario R10: user name and mail address belong to one user."""
        admin.create("users", user())

        answer = admin.post("users", user())

        assert answer.status_code == 400
        assert answer.get_json()["_issues"] == {"email": {"unique": 1}, "username": {"unique": 1}}

    @pytest.mark.parametrize(
        ("fields", "issues"),
        [
            ({"email": "no address"}, {"email": "must be of email type"}),
            ({"email": None}, {"email": {"required": 1}}),
            ({"username": "a b"}, {"username": {"pattern": 1}}),
            ({"twitter": "jane"}, {"twitter": {"pattern": 1}}),
            ({"password": "1234"}, {"password": {"minlength": 1}}),
            ({"user_type": "robot"}, {"user_type": "unallowed value robot"}),
            ({"sign_off": "j/d"}, {"sign_off": "value does not match regex '^[a-zA-Z0-9]+$'"}),
            ({"first_name": 1}, {"first_name": "must be of string type"}),
            ({"unheard": 1}, {"unheard": "unknown field"}),
        ],
    )
    def test_refuses_bad_input(
        self, admin: Client, fields: dict[str, Any], issues: dict[str, Any]
    ) -> None:
        """Each bad field is reported under its name."""
        answer = admin.post("users", user(**fields))

        assert answer.status_code == 400
        assert answer.get_json()["_issues"] == issues

    def test_reports_all_that_is_missing_at_once(self, admin: Client) -> None:
        """A name and, for users and administrators, a mail address are required."""
        answer = admin.post("users", {})

        assert answer.get_json()["_issues"] == {
            "username": {"required": 1},
            "email": {"required": 1},
        }

    def test_takes_external_users_without_mail_address(self, admin: Client) -> None:
        """Only users who log in need a mail address."""
        external = {"username": "stringer", "user_type": "external"}

        assert admin.create("users", external)["user_type"] == "external"

    def test_refuses_a_role_that_does_not_exist(self, admin: Client) -> None:
        """References are checked."""
        answer = admin.post("users", user(role=str(ObjectId())))

        assert "must exist in resource 'roles'" in answer.get_json()["_issues"]["role"]


class TestChange:
    def test_keeps_the_password_out_of_the_answer(self, app: Any, admin: Client) -> None:
        """A new password logs in and is not shown, not even as a hash."""
        created = admin.create("users", user())

        answer = admin.patch(f"users/{created['_id']}", {"password": "jdoe_password"})

        assert answer.status_code == 200
        assert "password" not in answer.get_json()
        assert log_in_with_password(app, "jdoe").session["user"] == created["_id"]

    def test_renames(self, admin: Client) -> None:
        """The display name follows the names."""
        created = admin.create("users", user(first_name="Jane", last_name="Doe"))

        answer = admin.patch(f"users/{created['_id']}", {"last_name": "Roe"})

        assert answer.get_json()["display_name"] == "Jane Roe"

    @pytest.mark.parametrize(
        "changes", [{"user_type": "administrator"}, {"privileges": {"kill": 1}}, {"role": None}]
    )
    def test_of_own_rights_needs_a_privilege(self, editor: Client, changes: dict[str, Any]) -> None:
        """Resources scenario R11: nobody promotes themselves."""
        answer = editor.patch(f"users/{editor.session['user']}", changes)

        assert answer.status_code == 400
        assert answer.get_json()["_issues"] == {
            "validator exception": (
                "403: Insufficient privileges to update role/user_type/privileges"
            )
        }

    def test_of_own_status_is_refused(self, admin: Client) -> None:
        """Administrators cannot lock themselves out."""
        answer = admin.patch(f"users/{admin.session['user']}", {"is_active": False})

        assert answer.get_json()["_issues"] == {
            "validator exception": "403: Not allowed to change your own status"
        }

    def test_of_status_needs_a_privilege(self, admin: Client, editor: Client) -> None:
        """Plain users switch nobody off."""
        answer = editor.patch(f"users/{admin.session['user']}", {"is_active": False})

        assert answer.get_json()["_issues"] == {
            "validator exception": "403: Insufficient privileges to change user state"
        }

    def test_of_rights_waits_until_the_user_logs_out(self, admin: Client, editor: Client) -> None:
        """Rights do not change under the hands of people who are at work."""
        path = f"users/{editor.session['user']}"

        refused = admin.patch(path, {"privileges": {"kill": 1}})
        editor.delete(f"auth_db/{editor.session['_id']}")
        accepted = admin.patch(path, {"privileges": {"kill": 1}})

        assert refused.get_json()["_issues"] == {
            "validator exception": (
                "403: Not allowed to change the role/user_type/privileges of a logged-in user"
            )
        }
        assert accepted.status_code == 200

    def test_of_others_needs_a_privilege(self, admin: Client, editor: Client) -> None:
        """Plain users change themselves only."""
        own = editor.patch(f"users/{editor.session['user']}", {"byline": "By Foo"})
        other = editor.patch(f"users/{admin.session['user']}", {"byline": "By Foo"})

        assert own.status_code == 200
        assert other.status_code == 400

    def test_of_status_ends_sessions(self, admin: Client, editor: Client, events: Events) -> None:
        """Users who are switched off are thrown out at once; enabling also activates."""
        path = f"users/{editor.session['user']}"

        admin.patch(path, {"is_enabled": False, "is_active": False})
        thrown_out = editor.get("users").status_code
        enabled = admin.patch(path, {"is_enabled": True}).get_json()

        assert thrown_out == 401
        assert enabled["is_active"] is True
        assert events.named("user_disabled") == [{"updated": 1, "user_id": editor.session["user"]}]

    @pytest.mark.parametrize(
        ("changes", "event"),
        [
            ({"is_active": False}, "user_inactivated"),
            ({"privileges": {"kill": 0}}, "user_privileges_revoked"),
            ({"user_type": "external"}, "user_type_changed"),
            ({"byline": "By Jane"}, "user"),
            ({"user_type": "administrator"}, "user"),
        ],
    )
    def test_is_told(
        self, admin: Client, events: Events, changes: dict[str, Any], event: str
    ) -> None:
        """Clients learn what kind of change it was."""
        created = admin.create("users", user(privileges={"kill": 1}))

        admin.patch(f"users/{created['_id']}", changes)

        assert events.named(event)[-1] == {"updated": 1, "user_id": created["_id"]}


class TestDelete:
    def test_switches_the_user_off(self, admin: Client, editor: Client, graph: Graph) -> None:
        """Users stay stored, without sessions and locks, and can be asked for."""
        user_id = editor.session["user"]
        lock = {"_id": "locked", "lock_user": ObjectId(user_id), "_current_version": 1}
        graph.db["archive"].insert_one(lock)

        answer = admin.delete(f"users/{user_id}")

        assert answer.status_code == 204
        assert admin.get(f"users/{user_id}").get_json()["is_enabled"] is False
        assert editor.get("users").status_code == 401
        assert graph.db["archive"].find_one({"_id": "locked"})["lock_user"] is None

    def test_of_oneself_is_refused(self, admin: Client) -> None:
        """Nobody disables their own profile."""
        answer = admin.delete(f"users/{admin.session['user']}")

        assert answer.status_code == 403
        assert answer.get_json()["_message"] == "Not allowed to disable your own profile."


class TestRead:
    def test_lists_who_can_log_in(self, admin: Client, graph: Graph) -> None:
        """Inactive and disabled users are listed on request only."""
        make_user(graph, "inactive", is_active=False)
        make_user(graph, "disabled", is_active=False, is_enabled=False)

        assert names(admin) == ["admin"]
        assert names(admin, show_inactive=1) == ["admin", "inactive"]
        assert names(admin, show_inactive=1, show_disabled=1) == ["admin", "disabled", "inactive"]

    def test_finds_by_name(self, admin: Client) -> None:
        """Users can be looked up by name."""
        assert admin.get("users/admin").get_json()["_id"] == admin.session["user"]

    def test_tells_the_source_of_datelines(self, admin: Client) -> None:
        """Clients find the agency's abbreviation with each user."""
        assert admin.get("users/admin").get_json()["dateline_source"] == "WD"


class TestPassword:
    def test_is_changed_by_who_knows_it(self, app: Any, admin: Client, anonymous: Client) -> None:
        """The old password is proof enough, without a session; neither is shown."""
        created = admin.create("users", user())
        change = {"username": "jdoe", "old_password": "secret", "new_password": "jdoe_password"}

        answer = anonymous.post("change_user_password", change)

        assert answer.status_code == 201
        body = answer.get_json()
        assert (body["username"], body["_id"]) == ("jdoe", created["_id"])
        assert body["_etag"] == admin.get(f"users/{created['_id']}").get_json()["_etag"]
        assert not {"old_password", "new_password", "password"} & body.keys()
        assert log_in_with_password(app, "jdoe").session["user"] == created["_id"]

    @pytest.mark.parametrize(
        "change",
        [
            {"username": "jdoe", "old_password": "wrong", "new_password": "new password"},
            {"username": "nobody", "old_password": "secret", "new_password": "new password"},
            {"username": "jdoe", "old_password": "secret", "new_password": ""},
        ],
    )
    def test_stays_otherwise(
        self, admin: Client, anonymous: Client, change: dict[str, str]
    ) -> None:
        """Every failure is answered alike and changes nothing."""
        admin.create("users", user())

        answer = anonymous.post("change_user_password", change)

        assert answer.status_code == 401
        assert answer.get_json()["_issues"] == {"credentials": 1}
        login = {"username": "jdoe", "password": "secret"}
        assert anonymous.post("auth_db", login).status_code == 201

    @pytest.mark.parametrize("field", ["password", "session_preferences"])
    def test_is_no_condition_of_lists(self, editor: Client, field: str) -> None:
        """Hashes cannot be guessed by asking who has one that begins with a letter."""
        where = f'{{"$or": [{{"{field}": {{"$regex": "^a"}}}}]}}'

        assert editor.get("users", where=where).status_code == 400


def names(client: Client, **arguments: Any) -> list[str]:
    """Return the names of the listed users."""
    return [user["username"] for user in client.get("users", **arguments).get_json()["_items"]]

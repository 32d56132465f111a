"""Every way to a password, at the HTTP edge (resources contract 4.3, 5)."""

from typing import Any

import pytest
from bson import ObjectId

from apps.graph.build import Graph
from apps.newsroom.auth.passwords import hash_password
from apps.newsroom.users.service import UsersService
from tests.support.clients import Client, log_in, log_in_with_password, make_user
from tests.support.services import empty_services

READY = hash_password("stolen", 4)


def user(**fields: Any) -> dict[str, Any]:
    return {"username": "foo", "email": "foo@example.com", **fields}


def may_log_in(app: Any, username: str, password: str) -> bool:
    answer = Client(app).post("auth_db", {"username": username, "password": password})
    assert answer.status_code in (201, 401), answer.text
    return answer.status_code == 201


class TestReadyHash:
    """A text that looks like a hash is a password like any other."""

    def test_in_a_new_user(self, app: Any, admin: Client) -> None:
        admin.create("users", user(password=READY))

        assert may_log_in(app, "foo", READY)
        assert not may_log_in(app, "foo", "stolen")

    def test_of_another_user(self, app: Any, admin: Client) -> None:
        path = f"users/{admin.create('users', user())['_id']}"

        assert 200 == admin.patch(path, {"password": READY}).status_code
        assert may_log_in(app, "foo", READY)
        assert not may_log_in(app, "foo", "stolen")

    def test_in_a_change(self, app: Any, graph: Graph, anonymous: Client) -> None:
        make_user(graph, "foo")
        change = {"username": "foo", "old_password": "foo_password", "new_password": READY}

        anonymous.create("change_user_password", change)
        assert may_log_in(app, "foo", READY)
        assert not may_log_in(app, "foo", "stolen")


class TestOwn:
    def test_needs_the_old_one(self, app: Any, graph: Graph) -> None:
        """A PATCH of oneself is refused, and says what to do; nothing else of it is stored."""
        make_user(graph, "foo")
        foo = log_in(app, "foo")

        answer = foo.patch(
            f"users/{foo.session['user']}", {"password": "another one", "byline": "By Foo"}
        )

        assert 400 == answer.status_code
        assert {
            "validator exception": "403: A change of your own password needs the old one: "
            "send both to change_user_password"
        } == answer.get_json()["_issues"]
        assert may_log_in(app, "foo", "foo_password")
        assert "byline" not in foo.get(f"users/{foo.session['user']}").get_json()

    def test_needs_it_of_administrators_too(self, app: Any, admin: Client) -> None:
        """Whoever finds an open session cannot make it their account."""
        answer = admin.patch(f"users/{admin.session['user']}", {"password": "another one"})

        assert 400 == answer.status_code
        assert may_log_in(app, "admin", "admin_password")

    def test_of_another_needs_the_privilege(self, app: Any, graph: Graph, editor: Client) -> None:
        path = f"users/{make_user(graph, 'foo')['_id']}"

        assert 400 == editor.patch(path, {"password": "another one"}).status_code
        assert may_log_in(app, "foo", "foo_password")

    def test_of_another_is_given_with_the_privilege(self, app: Any, graph: Graph) -> None:
        make_user(graph, "chief", privileges={"users": 1})
        path = f"users/{make_user(graph, 'foo')['_id']}"

        assert 200 == log_in(app, "chief").patch(path, {"password": "another one"}).status_code
        assert may_log_in(app, "foo", "another one")


BAD = [
    (None, "null value not allowed"),
    (12345678, "must be of string type"),
    (True, "must be of string type"),
    (["long enough"], "must be of string type"),
    ({"ne": None}, "must be of string type"),
    ("", {"minlength": 1}),
    ("1234", {"minlength": 1}),
    ("x" * 73, "max length is 72 bytes"),
    ("ä" * 37, "max length is 72 bytes"),
    ("nul\0nul", "must be a text without NUL"),
]


class TestBad:
    @pytest.mark.parametrize(("password", "issue"), BAD)
    def test_is_refused(self, admin: Client, graph: Graph, password: Any, issue: Any) -> None:
        """By POST and PATCH, with the same words, before anything is stored."""
        stored = make_user(graph, "bar")

        posted = admin.post("users", user(password=password))
        patched = admin.patch(f"users/{stored['_id']}", {"password": password, "byline": "x"})

        assert (400, {"password": issue}) == (posted.status_code, posted.get_json()["_issues"])
        assert (400, {"password": issue}) == (patched.status_code, patched.get_json()["_issues"])
        assert {"admin", "bar"} == {one["username"] for one in graph.db["users"].find()}
        assert "byline" not in graph.db["users"].find_one({"username": "bar"})

    @pytest.mark.parametrize("password", [None, 12345678, True, ["admin_password"], {"ne": None}])
    @pytest.mark.parametrize("field", ["username", "password"])
    def test_is_refused_at_log_in(
        self, admin: Client, anonymous: Client, field: str, password: Any
    ) -> None:
        """What is no text is no name and no password."""
        right = {"username": "admin", "password": "admin_password"}
        answer = anonymous.post("auth_db", {**right, field: password})

        assert 400 == answer.status_code
        assert [field] == list(answer.get_json()["_issues"])

    @pytest.mark.parametrize("password", ["nul\0", "x" * 100_000, "\0", "ä" * 100, " "])
    def test_text_is_wrong_at_log_in(self, admin: Client, anonymous: Client, password: str) -> None:
        credentials = {"username": "admin", "password": password}

        assert 401 == anonymous.post("auth_db", credentials).status_code

    @pytest.mark.parametrize(
        ("change", "status"),
        [
            ({"new_password": "x" * 73}, 400),
            ({"new_password": "nul\0nul"}, 400),
            ({"new_password": 5}, 400),
            ({"old_password": ["foo_password"]}, 400),
            ({"old_password": {"$ne": None}}, 400),
            ({"username": {"$gt": ""}}, 400),
            ({"username": None}, 400),
            ({"old_password": "nul\0nul"}, 401),
            ({"new_password": ""}, 401),
        ],
    )
    def test_is_refused_in_a_change(
        self, app: Any, graph: Graph, anonymous: Client, change: dict[str, Any], status: int
    ) -> None:
        make_user(graph, "foo")
        right = {"username": "foo", "old_password": "foo_password", "new_password": "another"}

        answer = anonymous.post("change_user_password", {**right, **change})

        assert status == answer.status_code
        assert may_log_in(app, "foo", "foo_password")

    def test_is_told_to_nobody_who_does_not_know_the_old_one(
        self, graph: Graph, anonymous: Client
    ) -> None:
        """A bad new password says nothing of the old one."""
        make_user(graph, "foo")
        change = {"username": "foo", "old_password": "wrong", "new_password": "x" * 73}

        assert 401 == anonymous.post("change_user_password", change).status_code


class TestLength:
    def test_is_free_in_a_change(self, app: Any, graph: Graph, anonymous: Client) -> None:
        """Where the setting is not set, as in Superdesk."""
        make_user(graph, "foo")
        change = {"username": "foo", "old_password": "foo_password", "new_password": "x"}

        anonymous.create("change_user_password", change)
        assert may_log_in(app, "foo", "x")

    def test_counts_everywhere_where_it_is_set(
        self, applications: Any, settings: dict[str, Any]
    ) -> None:
        """POST and PATCH of users, a change, and what mails and commands set."""
        with empty_services({**settings, "PASSWORD_MIN_LENGTH": 12}) as graph:
            app = applications.serving(graph)
            make_user(graph, "chief", user_type="administrator")
            chief = log_in_with_password(app, "chief")
            posted = chief.post("users", user(password="x" * 11))
            created = chief.create("users", user(password="x" * 12))
            patched = chief.patch(f"users/{created['_id']}", {"password": "x" * 11})
            change = {"username": "foo", "old_password": "x" * 12, "new_password": "x" * 11}
            changed = chief.post("change_user_password", change)

        issue = {"minlength": 1}
        assert [
            (400, {"password": issue}),
            (400, {"password": issue}),
            (400, {"new_password": issue}),
        ] == [(a.status_code, a.get_json()["_issues"]) for a in (posted, patched, changed)]


class TestStored:
    def test_time_is_that_of_the_server(self, admin: Client, graph: Graph) -> None:
        """Nobody keeps a password from expiring, or makes one expire."""
        future = "2099-01-01T00:00:00+0000"
        created = admin.create("users", user(password="secret", password_changed_on=future))
        admin.patch(f"users/{created['_id']}", {"password_changed_on": future})

        stored = graph.db["users"].find_one({"username": "foo"})
        assert stored["password_changed_on"].year < 2099

    def test_hash_is_renewed_at_log_in(self, app: Any, graph: Graph, admin: Client) -> None:
        """With the work factor of the setting; the etag, the time and other sessions stay."""
        make_user(graph, "foo")
        foo = log_in(app, "foo")
        old = hash_password("foo_password", 6)
        graph.db["users"].update_one({"username": "foo"}, {"$set": {"password": old}})
        before = graph.db["users"].find_one({"username": "foo"})

        assert may_log_in(app, "foo", "foo_password")

        after = graph.db["users"].find_one({"username": "foo"})
        assert ("$2b$06$", "$2b$04$") == (before["password"][:7], after["password"][:7])
        assert {
            field for field in before.keys() | after.keys() if before.get(field) != after.get(field)
        } == {"password", "last_activity_at"}
        assert may_log_in(app, "foo", "foo_password")
        assert 200 == foo.get("users").status_code

    def test_hash_is_not_renewed_over_a_new_password(
        self, app: Any, graph: Graph, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A change that comes between log-in and renewal wins."""
        id = make_user(graph, "foo")["_id"]
        old = hash_password("foo_password", 6)
        graph.db["users"].update_one({"_id": id}, {"$set": {"password": old}})
        users: UsersService = graph.newsroom.users
        passwords = type(users._passwords)
        renewed = passwords.renewed

        def late(self: Any, password: str, stored: str) -> Any:
            users.set_password(ObjectId(id), "another one")
            return renewed(self, password, stored)

        monkeypatch.setattr(passwords, "renewed", late)
        log_in_with_password(app, "foo")
        monkeypatch.undo()

        assert may_log_in(app, "foo", "another one")


class TestSecrets:
    """What nobody is shown, and nobody can ask for."""

    SECRETS = ("password", "security_stamp", "session_preferences")

    def test_of_users_are_in_no_answer(self, admin: Client, graph: Graph, editor: Client) -> None:
        created = admin.create("users", user(password="secret"))
        path = f"users/{created['_id']}"
        patched = admin.patch(path, {"password": "another one"}).get_json()
        graph.db["users"].update_many({}, {"$set": {"session_preferences": {"a": 1}}})

        answers = [
            created,
            patched,
            editor.get(path).get_json(),
            editor.get("users/foo").get_json(),
        ]
        for secret in self.SECRETS:
            for wanted in (f'{{"{secret}": 1}}', f'{{"{secret}": 1, "username": 1}}'):
                answers += [
                    editor.get(path, projection=wanted).get_json(),
                    *editor.get("users", projection=wanted).get_json().get("_items", []),
                ]
        answers += editor.get("users").get_json()["_items"]
        assert [] == [one for one in answers if set(self.SECRETS) & one.keys()]
        assert [] == [one for one in answers if "$2b$" in str(one)]

    def test_of_users_are_not_shown_where_they_are_embedded(
        self, admin: Client, graph: Graph, desk: dict[str, Any]
    ) -> None:
        members = [{"user": admin.session["user"]}]
        admin.patch(f"desks/{desk['_id']}", {"members": members})

        listed = admin.get(f"desks/{desk['_id']}/users").get_json()
        embedded = admin.get("desks", embedded='{"members.user": 1}').get_json()

        assert "$2b$" not in str(listed)
        assert "$2b$" not in str(embedded)

    @pytest.mark.parametrize("secret", SECRETS)
    @pytest.mark.parametrize(
        "where",
        [
            '{{"{0}": "x"}}',
            '{{"{0}": {{"$regex": "^a"}}}}',
            '{{"$or": [{{"{0}": {{"$gt": "a"}}}}]}}',
            '{{"$and": [{{"$nor": [{{"{0}": "x"}}]}}]}}',
            '{{"{0}.x": 1}}',
            '{0}=="x"',
        ],
    )
    def test_of_users_are_no_condition(self, editor: Client, secret: str, where: str) -> None:
        """Hashes cannot be guessed by asking who has one that begins with a letter."""
        assert 400 == editor.get("users", where=where.format(secret)).status_code
        assert (
            400 == editor.get(f"desks/{ObjectId()}/users", where=where.format(secret)).status_code
        )

    @pytest.mark.parametrize("secret", SECRETS)
    @pytest.mark.parametrize("sort", ["{0}", "-{0}", "username,{0}", '[("{0}", 1)]', "{0}.x"])
    def test_of_users_are_no_order(self, editor: Client, secret: str, sort: str) -> None:
        """Nor from the order of those who have them."""
        assert 400 == editor.get("users", sort=sort.format(secret)).status_code

    @pytest.mark.parametrize("value", ['"$password"', '{"$concat": ["$password"]}'])
    def test_of_users_are_in_no_other_field(self, editor: Client, value: str) -> None:
        """A projection that computes is refused."""
        answer = editor.get("users", projection=f'{{"username": {value}}}')

        assert 400 == answer.status_code

    def test_of_sessions_are_shown_once(self, app: Any, admin: Client, graph: Graph) -> None:
        """The token is in the answer to a log-in; the store has its hash."""
        client = log_in_with_password(app, "admin")
        token = client.session["token"]
        stored = graph.db["auth"].find_one({"_id": client.session_id})

        assert token not in str(stored)
        for resource in ("auth", "auth_db"):
            path = f"{resource}/{client.session['_id']}"
            for arguments in ({}, {"projection": '{"user": 1, "token": 1, "token_hash": 1}'}):
                shown = client.get(path, **arguments).get_json()
                assert not {"token", "token_hash", "security_stamps", "password"} & shown.keys()
            assert client.session["user"] == client.get(path).get_json()["user"]
        assert 200 == client.get("users").status_code

    def test_of_the_store_let_nobody_in(self, app: Any, admin: Client, graph: Graph) -> None:
        """Who has read the database has no session; tokens that are stored in clear are none."""
        stored = graph.db["auth"].find_one({})
        graph.db["auth"].insert_one({**stored, "_id": ObjectId(), "token_hash": "x", "token": "y"})

        tokens = (stored["token_hash"], "y", "x", "")
        assert [401] * 4 == [Client(app, token).get("users").status_code for token in tokens]

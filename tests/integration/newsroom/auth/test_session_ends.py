"""What ends sessions, and open websockets with them.

Resources contract 4.1, 5.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from bson import ObjectId

from apps.graph.build import Graph
from apps.newsroom.auth.service import AuthService
from apps.notifications.websocket import UNAUTHORIZED, Timing
from tests.integration.test_websocket import Browser, serving, wait_for_listener
from tests.support.clients import Client, log_in, log_in_with_password, make_user
from tests.support.newsroom import Newsroom

ENDED = (UNAUTHORIZED, "session ended")

PATIENT = Timing(ping=0.05, recheck=3600.0)
"""A periodic check that no test lives to see."""


@pytest.fixture
def port(graph: Graph, settings: dict[str, Any]) -> Iterator[int]:
    """A websocket process that is told of ended sessions, or never learns of them."""
    with serving(
        settings["REDIS_URL"],
        settings["NOTIFICATION_CHANNEL"],
        graph.db,
        mongo_uri=settings["MONGO_URI"],
        timing=PATIENT,
    ) as port:
        wait_for_listener(settings["REDIS_URL"], settings["NOTIFICATION_CHANNEL"])
        yield port


@pytest.fixture
def foo(app: Any, graph: Graph) -> Client:
    """A user who is logged in."""
    make_user(graph, "foo")
    return log_in(app, "foo")


def disable(admin: Client, user_id: str) -> None:
    assert admin.patch(f"users/{user_id}", {"is_enabled": False}).status_code == 200


def deactivate(admin: Client, user_id: str) -> None:
    assert admin.patch(f"users/{user_id}", {"is_active": False}).status_code == 200


def delete(admin: Client, user_id: str) -> None:
    assert admin.delete(f"users/{user_id}").status_code == 204


def give_password(admin: Client, user_id: str) -> None:
    assert admin.patch(f"users/{user_id}", {"password": "another one"}).status_code == 200


def change_password(admin: Client, user_id: str) -> None:
    anonymous = Client(admin.app)
    change = {"username": "foo", "old_password": "foo_password", "new_password": "another one"}
    anonymous.create("change_user_password", change)


def set_password(admin: Client, user_id: str) -> None:
    """As a mailed token does."""
    admin.app.extensions["graph"].newsroom.users.set_password(ObjectId(user_id), "another one")


def create_again(admin: Client, user_id: str) -> None:
    """As `users:create` does."""
    users = admin.app.extensions["graph"].newsroom.users
    users.patch(ObjectId(user_id), {"password": "another one", "user_type": "user"})


def make_external(admin: Client, user_id: str) -> None:
    """As who may not log in has no session."""
    users = admin.app.extensions["graph"].newsroom.users
    users.patch(ObjectId(user_id), {"user_type": "external"})


WAYS = [
    disable,
    deactivate,
    delete,
    give_password,
    change_password,
    set_password,
    create_again,
    make_external,
]


@pytest.mark.parametrize("end", WAYS)
class TestEveryWay:
    def test_ends_all_sessions_of_the_user(
        self, app: Any, admin: Client, foo: Client, end: Callable[[Client, str], None]
    ) -> None:
        """The tokens stand for nobody, those of others stay."""
        second = log_in(app, "foo")

        end(admin, foo.session["user"])

        assert [401, 401] == [client.get("users").status_code for client in (foo, second)]
        assert 200 == admin.get("users").status_code
        assert 0 == app.extensions["graph"].db["auth"].count_documents(
            {"user": ObjectId(foo.session["user"])}
        )

    def test_closes_open_websockets_at_once(
        self,
        app: Any,
        admin: Client,
        foo: Client,
        port: int,
        end: Callable[[Client, str], None],
    ) -> None:
        """They are closed long before the periodic check; those of others stay open."""
        second = log_in(app, "foo")
        with (
            Browser(port, f"/?token={admin.token}") as staying,
            Browser(port, f"/?token={foo.token}") as leaving,
            Browser(port, f"/?token={second.token}") as also_leaving,
        ):
            end(admin, foo.session["user"])

            assert [ENDED, ENDED] == [leaving.end(), also_leaving.end()]
            assert staying.next(lambda message: message.get("clients") == 1)

    def test_unlocks_the_items(
        self, admin: Client, foo: Client, graph: Graph, end: Callable[[Client, str], None]
    ) -> None:
        """As a log-out does: what was typed becomes a version."""
        item = admin.create("archive", Newsroom(graph.db).story())
        lock = {"lock_user": ObjectId(foo.session["user"]), "lock_session": foo.session_id}
        graph.db["archive"].update_one({"_id": item["_id"]}, {"$set": lock})
        graph.db["archive_autosave"].insert_one({"_id": item["_id"], "headline": "typed"})

        end(admin, foo.session["user"])

        stored = admin.get(f"archive/{item['_id']}").get_json()
        assert (None, None, "typed", 2) == (
            stored["lock_user"],
            stored["lock_session"],
            stored["headline"],
            stored["_current_version"],
        )

    def test_ends_them_even_when_it_dies_before_it_removes_them(
        self,
        admin: Client,
        foo: Client,
        graph: Graph,
        monkeypatch: pytest.MonkeyPatch,
        end: Callable[[Client, str], None],
    ) -> None:
        """The change and the end of the sessions are one write."""

        def dies(*arguments: Any) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(AuthService, "end_older", dies)
        with pytest.raises(KeyboardInterrupt):
            end(admin, foo.session["user"])
        graph.db["users"].update_many({}, {"$set": {"is_active": True, "is_enabled": True}})

        assert 1 == graph.db["auth"].count_documents({"user": ObjectId(foo.session["user"])})
        assert 401 == foo.get("users").status_code


class TestOwnChange:
    def test_keeps_the_session_that_made_it(
        self, app: Any, foo: Client, graph: Graph, port: int
    ) -> None:
        """Its requests, its websocket and its locks; the user's other sessions end."""
        other = log_in(app, "foo")
        change = {"username": "foo", "old_password": "foo_password", "new_password": "another one"}
        user = ObjectId(foo.session["user"])
        graph.db["archive"].insert_many(
            {"_id": id, "lock_user": user, "lock_session": client.session_id, "state": "fetched"}
            for id, client in (("mine", foo), ("other", other))
        )
        with (
            Browser(port, f"/?token={foo.token}") as staying,
            Browser(port, f"/?token={other.token}") as leaving,
        ):
            foo.create("change_user_password", change)

            assert ENDED == leaving.end()
            assert staying.next(lambda message: message.get("clients") == 1)
        assert (200, 401) == (foo.get("users").status_code, other.get("users").status_code)
        held = {item["_id"]: item["lock_user"] for item in graph.db["archive"].find()}
        assert {"mine": user, "other": None} == held

    def test_keeps_it_time_and_again(self, foo: Client) -> None:
        """A session outlives several changes of its own."""
        words = ["foo_password", "second one", "third one"]
        for old, new in pairwise(words):
            change = {"username": "foo", "old_password": old, "new_password": new}
            foo.create("change_user_password", change)

        assert 200 == foo.get("users").status_code

    def test_does_not_keep_the_session_of_somebody_else(self, admin: Client, foo: Client) -> None:
        """Whoever knows the password and is logged in under another name ends all of them."""
        change = {"username": "foo", "old_password": "foo_password", "new_password": "another one"}

        admin.create("change_user_password", change)

        assert (200, 401) == (admin.get("users").status_code, foo.get("users").status_code)


class TestOtherEnds:
    def test_of_a_log_out_closes_the_websocket(self, app: Any, foo: Client, port: int) -> None:
        """A log-out closes those of its session; the user's others stay."""
        second = log_in(app, "foo")
        with (
            Browser(port, f"/?token={foo.token}") as leaving,
            Browser(port, f"/?token={second.token}") as staying,
        ):
            foo.delete(f"auth/{foo.session['_id']}")

            assert ENDED == leaving.end()
            assert staying.next(lambda message: message.get("clients") == 1)

    def test_of_age_counts_for_websockets(self, foo: Client, graph: Graph, port: int) -> None:
        """A session that the API refuses opens no websocket, before anybody has removed it."""
        old = graph.clock.now().replace(year=2020)
        graph.db["auth"].update_many({}, {"$set": {"_updated": old}})

        assert 401 == foo.get("users").status_code
        assert UNAUTHORIZED == Browser(port, f"/?token={foo.token}").end()[0]

    def test_of_age_are_carried_out_by_the_next_log_in(
        self, app: Any, foo: Client, graph: Graph, port: int
    ) -> None:
        """The session goes, its items are unlocked, and its websockets are closed."""
        lock = {"lock_user": ObjectId(foo.session["user"]), "lock_session": foo.session_id}
        graph.db["archive"].insert_one({"_id": "mine", **lock})
        with Browser(port, f"/?token={foo.token}") as leaving:
            old = graph.clock.now().replace(year=2020)
            graph.db["auth"].update_many({}, {"$set": {"_updated": old}})
            second = log_in_with_password(app, "foo")

            assert ENDED == leaving.end()
        assert [second.session_id] == [one["_id"] for one in graph.db["auth"].find()]
        assert graph.db["archive"].find_one({"_id": "mine"})["lock_user"] is None

    def test_of_age_spare_a_session_that_is_used_meanwhile(
        self, app: Any, foo: Client, graph: Graph, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A request that comes before the session is removed keeps it."""
        now = graph.clock.now()
        graph.db["auth"].update_many({}, {"$set": {"_updated": now.replace(year=2020)}})
        remove = AuthService._remove_unused

        def late(service: Any, session_id: Any, oldest: Any) -> bool:
            graph.db["auth"].update_one({"_id": session_id}, {"$set": {"_updated": now}})
            return remove(service, session_id, oldest)

        monkeypatch.setattr(AuthService, "_remove_unused", late)
        log_in_with_password(app, "foo")

        assert 200 == foo.get("users").status_code

    def test_are_told_to_no_client(
        self, app: Any, admin: Client, foo: Client, graph: Graph, port: int
    ) -> None:
        """Clients hear nothing of the sessions of others."""
        with Browser(port, f"/?token={admin.token}") as browser:
            foo.delete(f"auth/{foo.session['_id']}")
            graph.notifier.push("end")

            assert "sessions:ended" not in browser.events_until("end")

    def test_of_one_with_an_item_that_cannot_be_unlocked(
        self, foo: Client, graph: Graph, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The user leaves, and the other items are unlocked."""
        lock = {"lock_user": ObjectId(foo.session["user"]), "lock_session": foo.session_id}
        graph.db["archive"].insert_many({"_id": id, **lock} for id in ("bad", "good"))
        broken = {"_id": "bad", "_current_version": "x", "task": 5, "state": "in_progress"}
        graph.db["archive"].replace_one({"_id": "bad"}, {**broken, **lock})
        graph.db["archive_autosave"].insert_one({"_id": "bad", "headline": "typed"})

        assert 204 == foo.delete(f"auth/{foo.session['_id']}").status_code

        left = [item["_id"] for item in graph.db["archive"].find({"lock_user": {"$ne": None}})]
        assert ["bad"] == left

    def test_of_the_past_do_not_come_back(self, admin: Client, foo: Client) -> None:
        """Who is switched on again logs in again."""
        path = f"users/{foo.session['user']}"
        admin.patch(path, {"is_active": False})
        admin.patch(path, {"is_active": True})

        assert 401 == foo.get("users").status_code


class TestRace:
    def test_log_in_while_the_password_changes(
        self, app: Any, admin: Client, graph: Graph, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A session that is opened with the old password, a moment too late, is not in force."""
        user = make_user(graph, "foo")
        create = AuthService.create

        def late(service: Any, documents: Any, caller: Any) -> Any:
            give_password(admin, str(user["_id"]))
            return create(service, documents, caller)

        monkeypatch.setattr(AuthService, "create", late)
        client = log_in_with_password(app, "foo")

        assert 401 == client.get("users").status_code

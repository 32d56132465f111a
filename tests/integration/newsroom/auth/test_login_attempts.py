"""Failed log-ins are counted, by name and by address (resources contract 4.4)."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from redis import Redis
from werkzeug.test import TestResponse

from apps.graph.build import Graph, build_graph
from apps.newsroom.auth.passwords import Passwords
from apps.processes.embedded.children import free_port
from tests.support.clients import Client, make_user
from tests.support.services import empty_services

PER_NAME, PER_ADDRESS = 10, 25


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Names have the limit of an installation, addresses a lower one."""
    limits = {"LOGIN_FAILURES_PER_NAME": PER_NAME, "LOGIN_FAILURES_PER_ADDRESS": PER_ADDRESS}
    return {**settings, **limits}


@pytest.fixture(autouse=True)
def redis(settings: dict[str, Any]) -> Iterator[Redis]:
    """A Redis that has counted nothing yet."""
    with Redis.from_url(settings["REDIS_URL"]) as client:
        forget(client)
        yield client
        forget(client)


def forget(redis: Redis, pattern: str = "*:login:*") -> None:
    """Let everything that is counted, or the waits alone, come to its end."""
    for key in redis.keys(pattern):
        redis.delete(key)


@pytest.fixture
def foo(graph: Graph) -> dict[str, Any]:
    return make_user(graph, "foo")


def try_one(
    app: Any,
    username: str = "foo",
    password: str = "wrong",
    address: str = "192.0.2.1",
    **headers: str,
) -> TestResponse:
    """Try to log in from an address."""
    return Client(app).request(
        "POST",
        "auth_db",
        json={"username": username, "password": password},
        environ_base={"REMOTE_ADDR": address},
        headers=headers,
    )


def try_change(app: Any, username: str = "foo", password: str = "wrong") -> TestResponse:
    change = {"username": username, "old_password": password, "new_password": "foo_password"}
    return Client(app).post("change_user_password", change)


def statuses(answers: list[TestResponse]) -> list[int]:
    return [answer.status_code for answer in answers]


class TestName:
    @pytest.mark.parametrize("username", ["foo", "nobody"])
    def test_has_to_wait_after_too_many(self, app: Any, foo: Any, username: str) -> None:
        """Whether somebody has it or not; each further attempt has to wait longer."""
        answers = [try_one(app, username) for _ in range(PER_NAME)]
        late = [try_one(app, username, address=f"192.0.2.{n}") for n in range(2, 8)]

        assert [401] * PER_NAME == statuses(answers)
        assert [429] * 6 == statuses(late)
        assert ["1", "2", "4", "8", "16", "32"] == [one.headers["Retry-After"] for one in late]
        assert {
            "_status": "ERR",
            "_message": "Too many attempts. Try again in 1 s.",
            "_issues": {"credentials": 1},
            "internal_error": 429,
        } == late[0].get_json()

    def test_waits_ten_minutes_at_most(self, app: Any, foo: Any, redis: Redis) -> None:
        waits = [try_one(app).headers.get("Retry-After") for _ in range(PER_NAME + 14)]

        assert ["512", "600", "600", "600", "600"] == waits[-5:]
        assert max(redis.ttl(key) for key in redis.keys("*:login:*")) <= 600

    def test_is_not_looked_at_before_the_time_is_over(
        self, app: Any, foo: Any, redis: Redis
    ) -> None:
        """Guesses that come too early find nothing, the right one neither; afterwards it does."""
        for _ in range(PER_NAME + 1):
            try_one(app)

        early = try_one(app, password="foo_password")
        forget(redis, "*:wait")
        in_time = try_one(app, password="foo_password")

        assert (429, 201) == (early.status_code, in_time.status_code)

    def test_is_looked_at_once_when_the_time_is_over(
        self, app: Any, foo: Any, redis: Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for _ in range(PER_NAME + 1):
            try_one(app)
        looked = counted(monkeypatch)
        forget(redis, "*:wait")

        assert [429] * 3 == statuses([try_one(app) for _ in range(3)])
        assert 1 == len(looked)

    def test_starts_anew_after_the_right_password(self, app: Any, foo: Any) -> None:
        """A success clears the count of its name."""
        for _ in range(3):
            wrong = [try_one(app, address=f"192.0.2.{n}") for n in range(PER_NAME - 1)]
            assert {401} == set(statuses(wrong))
            assert 201 == try_one(app, password="foo_password").status_code

    def test_starts_anew_when_the_window_ends(self, app: Any, foo: Any, redis: Redis) -> None:
        for _ in range(PER_NAME + 5):
            try_one(app)
        forget(redis)

        assert 401 == try_one(app).status_code

    def test_does_not_count_for_others(self, app: Any, graph: Graph, foo: Any) -> None:
        make_user(graph, "bar")
        for n in range(PER_NAME + 5):
            try_one(app, address=f"192.0.2.{n}")

        assert 401 == try_one(app, "bar").status_code
        assert 201 == try_one(app, "bar", "bar_password").status_code

    def test_counts_in_changes_of_passwords(self, app: Any, foo: Any) -> None:
        """The old password cannot be guessed there either."""
        answers = [(try_one, try_change)[n % 2](app) for n in range(PER_NAME + 4)]

        assert [401] * PER_NAME + [429] * 4 == statuses(answers)
        assert 429 == try_change(app, password="foo_password").status_code

    @pytest.mark.parametrize("flags", [{"is_active": False}, {"user_type": "external"}])
    def test_of_who_may_not_log_in_is_counted_by_the_password_alone(
        self, app: Any, graph: Graph, flags: dict[str, Any]
    ) -> None:
        """Who knows the password guesses nothing."""
        make_user(graph, "off", **flags)

        right = [try_one(app, "off", "off_password") for _ in range(PER_NAME + 3)]
        assert {403} == set(statuses(right))

    def test_is_not_passed_by_many_at_once(
        self, app: Any, graph: Graph, foo: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """However many are sent at once, no more than the limit, and one, are looked at."""
        looked = counted(monkeypatch)
        together = Barrier(PER_NAME * 3)

        def attempt(number: int) -> int:
            together.wait()
            return try_one(app, address=f"192.0.2.{number}").status_code

        with ThreadPoolExecutor(PER_NAME * 3) as threads:
            answers = list(threads.map(attempt, range(PER_NAME * 3)))

        assert [401] * PER_NAME + [429] * PER_NAME * 2 == sorted(answers)
        assert PER_NAME <= len(looked) <= PER_NAME + 1

    def test_is_counted_by_all_processes_together(
        self, app: Any, applications: Any, settings: dict[str, Any], graph: Graph, foo: Any
    ) -> None:
        for _ in range(PER_NAME):
            try_one(app)
        other = build_graph(settings, has_indexes=True)
        try:
            assert 429 == try_one(applications.serving(other)).status_code
        finally:
            other.close()


class TestAddress:
    def test_has_to_wait_after_too_many(self, app: Any, foo: Any) -> None:
        """Whatever names it tries."""
        answers = [try_one(app, f"name{n}") for n in range(PER_ADDRESS)]
        late = [try_one(app, f"another{n}") for n in range(3)]

        assert {401} == set(statuses(answers))
        assert [429] * 3 == statuses(late)
        assert ["1", "2", "4"] == [one.headers["Retry-After"] for one in late]

    def test_never_holds_up_the_right_password(self, app: Any, graph: Graph, foo: Any) -> None:
        """A whole newsroom may share an address with somebody who guesses."""
        for n in range(PER_ADDRESS + 10):
            try_one(app, f"name{n}")

        assert 201 == try_one(app, password="foo_password").status_code
        assert 429 == try_one(app, "another").status_code
        assert 201 == try_one(app, password="foo_password").status_code

    def test_does_not_count_for_others(self, app: Any, foo: Any) -> None:
        for n in range(PER_ADDRESS + 5):
            try_one(app, f"name{n}", address="192.0.2.1")

        assert 401 == try_one(app, address="192.0.2.2").status_code

    def test_of_ipv6_is_a_network(self, app: Any, foo: Any) -> None:
        for n in range(PER_ADDRESS):
            try_one(app, f"name{n}", address=f"2001:db8::{n:x}")

        assert 429 == try_one(app, address="2001:db8::ffff").status_code
        assert 401 == try_one(app, address="2001:db8:0:1::1").status_code

    def test_cannot_be_invented(self, app: Any, foo: Any) -> None:
        """What a client says of its address does not count."""
        for n in range(PER_ADDRESS):
            try_one(app, f"name{n}", **{"X-Forwarded-For": f"198.51.100.{n}"})

        assert 429 == try_one(app, **{"X-Forwarded-For": "198.51.100.200"}).status_code

    def test_is_what_a_trusted_proxy_says(
        self, applications: Any, settings: dict[str, Any]
    ) -> None:
        """The last one: what comes before it the client has written."""
        with empty_services({**settings, "TRUSTED_PROXIES": 1}) as graph:
            app = applications.serving(graph)
            for n in range(PER_ADDRESS):
                try_one(app, f"name{n}", **{"X-Forwarded-For": f"203.0.113.{n}, 198.51.100.1"})

            late = try_one(app, **{"X-Forwarded-For": "198.51.100.1"})
            other = try_one(app, **{"X-Forwarded-For": "198.51.100.1, 198.51.100.2"})

        assert (429, 401) == (late.status_code, other.status_code)

    def test_that_is_beyond_takes_half_of_the_threads(
        self, app: Any, foo: Any, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The others are sent away at once, and nobody else has to wait for it."""
        for n in range(PER_ADDRESS):
            try_one(app, f"name{n}")
        half = int(settings["WEB_THREADS"]) // 2
        begun, done = Barrier(half + 1), Barrier(half + 1)
        matches = Passwords.matches

        def slow(self: Any, password: str, stored: Any) -> bool:
            if password == "slow":
                begun.wait()
                done.wait()
            return matches(self, password, stored)

        monkeypatch.setattr(Passwords, "matches", slow)
        with ThreadPoolExecutor(half) as threads:
            busy = [threads.submit(try_one, app, f"slow{n}", "slow") for n in range(half)]
            begun.wait()
            sent_away = try_one(app, password="foo_password")
            elsewhere = try_one(app, password="foo_password", address="192.0.2.2")
            done.wait()

        assert (429, "1") == (sent_away.status_code, sent_away.headers["Retry-After"])
        assert 201 == elsewhere.status_code
        assert {429} == {one.result().status_code for one in busy}
        assert 201 == try_one(app, password="foo_password").status_code


class TestStore:
    def test_holds_no_names(self, app: Any, foo: Any, redis: Redis) -> None:
        """Who reads Redis learns neither names nor addresses nor passwords, and all of it goes."""
        for _ in range(PER_NAME + 2):
            try_one(app, password="wrong-word")

        keys = [key.decode() for key in redis.keys("*:login:*")]
        values = [str(redis.get(key)) for key in keys]
        assert 3 == len(keys)
        assert not [one for one in keys + values if "foo" in one or "192.0" in one or "word" in one]
        assert all(0 < redis.ttl(key) <= 600 for key in keys)

    def test_is_as_large_for_long_names(self, app: Any, redis: Redis) -> None:
        try_one(app, "n" * 100_000)

        assert max(len(key) for key in redis.keys("*:login:*")) < 200

    def test_may_be_away(self, applications: Any, settings: dict[str, Any]) -> None:
        """Then a process counts for itself, and who knows a password still logs in."""
        away = {**settings, "REDIS_URL": f"redis://127.0.0.1:{free_port()}/1"}
        with empty_services(away) as graph:
            app = applications.serving(graph)
            for name in ("foo", "bar"):
                make_user(graph, name)
            right = [try_one(app, password="foo_password") for _ in range(PER_NAME * 2)]
            wrong = [try_one(app) for _ in range(PER_NAME + 3)]
            names = [try_one(app, f"name{n}") for n in range(PER_ADDRESS)]
            other = try_one(app, "bar", "bar_password")

        assert {201} == set(statuses(right))
        assert [401] * PER_NAME + [429] * 3 == statuses(wrong)
        assert ["1", "2", "4"] == [one.headers["Retry-After"] for one in wrong[-3:]]
        assert 429 == names[-1].status_code
        assert 201 == other.status_code

    def test_may_refuse_to_count(
        self, app: Any, foo: Any, redis: Redis, settings: dict[str, Any]
    ) -> None:
        """Also when it answers with an error."""
        try_one(app)
        for key in redis.keys("*:login:*"):
            redis.delete(key)
            redis.lpush(key, "no number")

        assert 401 == try_one(app).status_code
        assert 201 == try_one(app, password="foo_password").status_code


@pytest.mark.parametrize("limit", ["LOGIN_FAILURES_PER_NAME", "LOGIN_FAILURES_PER_ADDRESS"])
def test_a_limit_of_zero_is_none(applications: Any, settings: dict[str, Any], limit: str) -> None:
    with empty_services({**settings, limit: 0}) as graph:
        app = applications.serving(graph)
        many = PER_NAME + 5 if "NAME" in limit else PER_ADDRESS + 5
        names = ["foo"] * many if "NAME" in limit else [f"name{n}" for n in range(many)]

        assert {401} == {try_one(app, name).status_code for name in names}


def counted(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return a list that grows with each password that is looked at."""
    looked: list[Any] = []
    matches: Callable[..., bool] = Passwords.matches

    def counting(self: Any, password: str, stored: Any) -> bool:
        looked.append(stored)
        return matches(self, password, stored)

    monkeypatch.setattr(Passwords, "matches", counting)
    return looked

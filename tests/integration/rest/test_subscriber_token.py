"""Tokens of subscribers (routing contract 9.1)."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from bson import ObjectId
from bson.json_util import dumps
from cryptography.fernet import Fernet

from apps.content_api.tokens.service import SubscriberTokenService, new_token
from apps.core.tokens import hash_token
from apps.graph.build import Graph
from apps.secrets.vault import Vault
from tests.support.clients import Client, log_in, make_user
from tests.support.events import Events
from tests.support.newsdesk import HandClock
from tests.support.newsroom import Newsroom
from tests.support.services import empty_services

BASE64 = re.compile(r"[A-Za-z0-9+/]{54}==")


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Sessions outlive every wait."""
    return {**settings, "SESSION_EXPIRY_MINUTES": 1_000_000}


@pytest.fixture
def graph(settings: dict[str, Any], clock: HandClock) -> Iterator[Graph]:
    with empty_services(settings, clock=clock) as built:
        yield built


@pytest.fixture
def subscriber(graph: Graph) -> ObjectId:
    return Newsroom(graph.db).subscriber("Daily", products=[])


def test_tokens_can_stand_in_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two slashes in a row, which servers take for one, do not come out."""
    slashes = b"\xff\xff\xff" * 13 + b"\xff"
    drawn = iter([slashes, b"\xff" + bytes(39), bytes(40)])
    monkeypatch.setattr("secrets.token_bytes", lambda count: next(drawn))

    assert "AAAA" == new_token()[:4]


def path_of(token: str) -> str:
    """Return the path of a token as a careful client writes it."""
    return f"subscriber_token/{quote(token)}"


def test_a_token_is_random_and_stands_for_its_subscriber(
    admin: Client, graph: Graph, subscriber: ObjectId
) -> None:
    """The server makes the token, whatever the client sends as `_id`."""
    body = {"subscriber": str(subscriber), "_id": "mine"}
    first, second = (admin.create("subscriber_token", body) for _ in range(2))

    assert BASE64.fullmatch(first["_id"])
    assert first["_id"] != second["_id"]
    assert "expiry" not in first
    found = graph.content_api.subscriber_token.subscriber_of(first["_id"])
    assert found is not None
    assert subscriber == found["_id"]
    assert graph.content_api.subscriber_token.subscriber_of("mine") is None


def test_a_token_can_be_listed_read_and_removed(admin: Client, subscriber: ObjectId) -> None:
    """Those who manage subscribers see tokens again, under `_id`; DELETE ends them."""
    token = admin.create("subscriber_token", {"subscriber": str(subscriber)})["_id"]

    (listed,) = admin.get("subscriber_token").get_json()["_items"]
    read = admin.get(path_of(token)).get_json()
    removed = admin.delete(path_of(token), read["_etag"])

    assert token == listed["_id"] == read["_id"]
    assert str(subscriber) == read["subscriber"]
    assert "token" not in read
    assert f"subscriber_token/{token}" == read["_links"]["self"]["href"]
    assert 204 == removed.status_code
    assert [] == admin.get("subscriber_token").get_json()["_items"]


@pytest.mark.parametrize("token", ["a/b+c==", "plain"])
def test_tokens_that_others_wrote_work(
    admin: Client, graph: Graph, subscriber: ObjectId, token: str
) -> None:
    """A migrated token is its own `_id`; paths take slash, plus and equals sign."""
    graph.db["subscriber_token"].insert_one({"_id": token, "subscriber": subscriber})

    read = admin.get(f"subscriber_token/{token}")

    assert token == read.get_json()["_id"]
    assert graph.content_api.subscriber_token.subscriber_of(token) is not None
    assert 204 == admin.delete(f"subscriber_token/{token}", read.get_json()["_etag"]).status_code
    assert graph.content_api.subscriber_token.subscriber_of(token) is None


def test_the_database_does_not_give_tokens_away(
    admin: Client, graph: Graph, subscriber: ObjectId, settings: dict[str, Any]
) -> None:
    """Neither the token nor anything that works as one is stored or announced."""
    with Events(settings["REDIS_URL"], settings["NOTIFICATION_CHANNEL"]) as events:
        token = admin.create("subscriber_token", {"subscriber": str(subscriber)})["_id"]
        announced = str(events.named("resource:created"))

    names = graph.db.list_collection_names()
    stored = "".join(dumps(list(graph.db[name].find({}))) for name in names)
    assert token not in stored
    assert token not in announced
    assert graph.content_api.subscriber_token.subscriber_of(hash_token(token)) is None
    assert 404 == admin.get(path_of(hash_token(token))).status_code


def test_expiry_days_set_the_expiry(
    admin: Client, graph: Graph, subscriber: ObjectId, clock: HandClock
) -> None:
    """`expiry_days` 7 is seven days; a token that has expired is gone once used.

    Routing scenario 41.
    """
    token = admin.create("subscriber_token", {"subscriber": str(subscriber), "expiry_days": 7})

    assert "2030-01-08T12:00:00+0000" == token["expiry"]
    clock.advance(days=7, seconds=-1)
    assert graph.content_api.subscriber_token.subscriber_of(token["_id"]) is not None
    clock.advance(seconds=1)
    assert graph.content_api.subscriber_token.subscriber_of(token["_id"]) is None
    assert 0 == graph.db["subscriber_token"].count_documents({})


def test_older_clients_send_an_expiry(
    admin: Client, subscriber: ObjectId, clock: HandClock
) -> None:
    """An `expiry` to come is taken, one that has passed refused; `never_expire` says nothing."""
    wanted = {"subscriber": str(subscriber), "never_expire": True}
    future, past = (clock.at + timedelta(days=d) for d in (1, -1))

    taken = admin.create("subscriber_token", {**wanted, "expiry": future.isoformat()})
    refused = admin.post("subscriber_token", {**wanted, "expiry": past.isoformat()})

    assert "2030-01-02T12:00:00+0000" == taken["expiry"]
    assert "never_expire" not in taken
    assert 400 == refused.status_code
    assert {"expiry": "field is read-only"} == refused.get_json()["_issues"]


@pytest.mark.parametrize(
    ("body", "issues"),
    [
        ({}, {"subscriber": {"required": 1}}),
        ({"subscriber": str(ObjectId())}, None),
        ({"subscriber": None, "expiry_days": 10**9}, None),
    ],
)
def test_a_token_needs_a_subscriber_that_exists(admin: Client, body: Any, issues: Any) -> None:
    """A body without one is refused."""
    answer = admin.post("subscriber_token", body)

    assert 400 == answer.status_code
    assert issues is None or issues == answer.get_json()["_issues"]


def test_far_expiries_are_refused(admin: Client, subscriber: ObjectId) -> None:
    """No date is that far away."""
    body = {"subscriber": str(subscriber), "expiry_days": 10**9}

    answer = admin.post("subscriber_token", body)

    assert 400 == answer.status_code
    assert {"expiry_days": "max value is 36500"} == answer.get_json()["_issues"]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_tokens_are_for_those_who_manage_subscribers(
    editor: Client, app: Any, graph: Graph, subscriber: ObjectId, method: str
) -> None:
    """Everything needs the privilege `subscribers`."""
    make_user(graph, "manager", privileges={"subscribers": 1})
    manager = log_in(app, "manager")
    body = {"subscriber": str(subscriber)} if method == "POST" else None

    allowed = manager.request(method, "subscriber_token", json=body)
    refused = editor.request(method, "subscriber_token", json=body)

    assert allowed.status_code in (200, 201)
    assert 403 == refused.status_code


def test_tokens_of_inactive_subscribers_stand_for_nobody(
    admin: Client, graph: Graph, subscriber: ObjectId
) -> None:
    """The token comes back to life with the subscriber."""
    token = admin.create("subscriber_token", {"subscriber": str(subscriber)})["_id"]
    subscribers = graph.db["subscribers"]

    subscribers.update_one({"_id": subscriber}, {"$set": {"is_active": False}})
    assert graph.content_api.subscriber_token.subscriber_of(token) is None
    subscribers.update_one({"_id": subscriber}, {"$set": {"is_active": True}})
    assert graph.content_api.subscriber_token.subscriber_of(token) is not None


def test_tokens_are_rotated_with_the_other_secrets(
    graph: Graph, subscriber: ObjectId, clock: HandClock, tmp_path: Any
) -> None:
    """After a rotation the newest key alone shows tokens; without a key they still work."""
    old, new = (Fernet.generate_key().decode() for _ in range(2))

    def service(*keys: str) -> SubscriberTokenService:
        return SubscriberTokenService(graph.db, clock, vault=Vault(keys, tmp_path))

    (token,) = service(old).post([{"subscriber": subscriber}])
    renewed = service(new, old).rotate_secrets()

    shown = dict(graph.db["subscriber_token"].find_one({}) or {})
    service(new).on_fetched_item(shown, None)  # type: ignore[arg-type]
    assert (1, []) == renewed
    assert token == shown["_id"]
    assert service(old).subscriber_of(token) is not None
    assert (0, [hash_token(token)]) == service(old).rotate_secrets()


@pytest.mark.parametrize("token", ["a/b+c==", "plain", hash_token("plain")])
def test_tokens_that_others_wrote_are_hashed_with_the_rotation(
    admin: Client, graph: Graph, subscriber: ObjectId, token: str
) -> None:
    """They work and are shown as before, with all that was stored of them; a hash is no token."""
    expiry = graph.clock.now().replace(year=2099)
    others = {"subscriber": subscriber, "expiry": expiry}
    graph.db["subscriber_token"].insert_one({"_id": token, **others})
    tokens = graph.content_api.subscriber_token

    assert [(1, []), (1, [])] == [tokens.rotate_secrets() for _ in range(2)]

    stored = graph.db["subscriber_token"].find_one({})
    assert hash_token(token) == stored["_id"]
    assert others == {field: stored[field] for field in others}
    assert tokens.subscriber_of(token) is not None
    assert tokens.subscriber_of(hash_token(token)) is None
    assert [token] == [one["_id"] for one in admin.get("subscriber_token").get_json()["_items"]]

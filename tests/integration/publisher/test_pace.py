"""The pace of requests to a service, kept in a real Redis."""

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from threading import Lock
from typing import Any
from uuid import uuid4

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from urllib3 import HTTPHeaderDict

from apps.publisher.run.pace import WINDOW_SECONDS, Limit, Pace, SiteLimits, taking_off
from apps.secrets.vault import UnreadableSecret
from tests.peers.webflow import Behaviour, WebflowPeer
from transmitters.base import TransmitSettings
from transmitters.cms.base import ErrorClass, PlatformError, PostIdentity, Site, Story
from transmitters.cms.http import SiteAnswer, SiteClient
from transmitters.cms.webflow import Webflow
from transmitters.http_client import HTTPClient

TOKEN = "a-secret-token"


class Waiting:
    """Waits without waiting: what was counted grows older instead."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        self.redis = redis
        self.prefix = prefix
        self.waits: list[float] = []
        self._lock = Lock()

    def __call__(self, seconds: float) -> None:
        with self._lock:
            self.waits.append(seconds)
            for key in self.redis.scan_iter(f"{self.prefix}:*"):
                for member in self.redis.zrange(key, 0, -1):
                    self.redis.zincrby(key, -seconds * 1000, member)

    @property
    def passed(self) -> float:
        return sum(self.waits)


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    client = Redis.from_url(redis_url)
    yield client
    client.close()


@pytest.fixture
def waiting(redis: Redis) -> Waiting:
    return Waiting(redis, f"test_{uuid4().hex}")


@pytest.fixture
def pace(redis: Redis, waiting: Waiting) -> Pace:
    return Pace(redis, waiting.prefix, sleep=waiting)


def take(pace: Pace, count: int, rate: int = 10, token: str = TOKEN) -> None:
    limit = pace.limit(token, rate)
    for _ in range(count):
        limit.before()


def test_requests_within_the_rate_go_out_at_once(pace: Pace, waiting: Waiting) -> None:
    """A tenth of the rate is kept."""
    take(pace, 9)

    assert waiting.waits == []


def test_the_next_one_waits_until_the_first_has_left(pace: Pace, waiting: Waiting) -> None:
    """No window of a minute sees more."""
    take(pace, 9)
    take(pace, 1)

    assert WINDOW_SECONDS - 5 < waiting.passed <= WINDOW_SECONDS
    take(pace, 80)
    assert waiting.passed > 8 * WINDOW_SECONDS


def test_what_takes_stories_off_uses_the_rest(pace: Pace, waiting: Waiting) -> None:
    """And waits only where nothing at all is left."""
    take(pace, 9)
    with taking_off():
        take(pace, 1)
        assert waiting.waits == []
        take(pace, 1)
    assert waiting.waits != []


@pytest.mark.parametrize("rate", [1, 2, 3, 54, 120])
def test_every_rate_lets_something_through(pace: Pace, waiting: Waiting, rate: int) -> None:
    """Never more than the rate, retractions included."""
    kept = max(1, rate // 10)
    ordinary = max(1, rate - kept)
    take(pace, ordinary, rate)
    assert waiting.waits == []
    with taking_off():
        take(pace, rate - ordinary, rate)
        assert waiting.waits == []
        take(pace, 1, rate)
    assert waiting.waits != []


def test_tokens_are_counted_apart(pace: Pace, waiting: Waiting, redis: Redis) -> None:
    """Two integrations with one token share it; Redis does not learn it."""
    take(pace, 9)
    take(pace, 9, token="another")

    assert waiting.waits == []
    keys = [key.decode() for key in redis.scan_iter(f"{waiting.prefix}:*")]
    assert len(keys) == 2
    assert TOKEN not in "".join(keys)


def test_limits_are_those_of_the_integration(pace: Pace) -> None:
    """One token is one limit, whatever integration has it; without a rate there is none."""
    secrets = {"a": "one", "b": "one", "c": "two"}

    def credentials_of(integration: Mapping[str, Any]) -> Mapping[str, str]:
        if integration["_id"] not in secrets:
            raise UnreadableSecret("no key fits")
        return {"token": secrets[integration["_id"]]}

    limits = SiteLimits(pace, credentials_of)

    def limit(name: str, rate: int | None = 54) -> Limit | None:
        integration = {"_id": name, "base_url": "https://api.example.com"}
        return limits(integration, {"rate_per_minute": rate})

    assert limit("a") == limit("b") != limit("c")
    assert limit("a", None) is limit("unreadable") is None


def test_workers_share_the_rate(redis: Redis, waiting: Waiting) -> None:
    """However many ask at once."""
    refused = []

    def worker(_: int) -> int:
        pace = Pace(redis, waiting.prefix, sleep=waiting)
        key = f"{waiting.prefix}:pace:shared"
        done = sum(pace._take(key, 40) == 0 for _ in range(20))
        refused.append(20 - done)
        return done

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(worker, range(8))) == 40
    assert sum(refused) == 120


def answer_of(status: int, data: object = None, **headers: str) -> SiteAnswer:
    return SiteAnswer(status, HTTPHeaderDict(headers), data)


def test_a_pause_holds_for_everybody_with_the_token(pace: Pace, redis: Redis) -> None:
    """As long as the service has asked for; the workers go on with something else."""
    slow = answer_of(429, {"code": "too_many_requests"}, **{"Retry-After": "37"})
    pace.limit(TOKEN, 10).after(slow)

    for takes in (taking_off(), nullcontext()):
        with takes, pytest.raises(PlatformError) as raised:
            take(pace, 1)
        assert raised.value.error_class is ErrorClass.RATE_LIMITED
        assert raised.value.retry_after == pytest.approx(37, abs=5)
    take(pace, 1, token="another")


@pytest.mark.parametrize(
    "answer",
    [answer_of(200, {}, **{"Retry-After": "60"}), answer_of(429), answer_of(503, {})],
)
def test_other_answers_ask_for_no_pause(pace: Pace, waiting: Waiting, answer: SiteAnswer) -> None:
    """Good ones name a time, too; what is no JSON is not of the service."""
    pace.limit(TOKEN, 10).after(answer)

    take(pace, 1)
    assert waiting.waits == []


def test_counts_expire(pace: Pace, waiting: Waiting, redis: Redis) -> None:
    """A token that is not used leaves nothing behind."""
    take(pace, 1)

    [key] = redis.scan_iter(f"{waiting.prefix}:*")
    assert 0 < redis.pttl(key) <= WINDOW_SECONDS * 1000


def test_requests_are_spread_while_redis_is_away() -> None:
    """Each process by itself; Redis is left alone for a while after it failed."""
    waits: list[float] = []
    now = [0.0]
    away = Redis(host="127.0.0.1", port=9, retry=Retry(NoBackoff(), 0))
    pace = Pace(away, "test", sleep=waits.append, monotonic=lambda: now[0])

    take(pace, 3)

    assert waits == [WINDOW_SECONDS / 9] * 3
    away.close()


def test_a_deployment_keeps_the_limit_of_the_service(pace: Pace, waiting: Waiting) -> None:
    """200 stories go out to a service that allows 60 requests a minute, and none is refused."""
    behaviour = Behaviour(rate_limit=60, clock=lambda: time.time() + waiting.passed)
    http = HTTPClient(TransmitSettings())
    with WebflowPeer(behaviour) as peer:
        site = peer.add_site("daily")
        articles = peer.add_collection(site, "articles", [peer.field("body", "RichText")])
        options = {"collection": articles, "site_id": site}
        place = Site("integration", peer.url, {"token": peer.add_token()}, options)
        limit = pace.limit(place.credentials["token"], Webflow.rate_per_minute)
        client = SiteClient(http, before=limit.before, after=limit.after)
        found = Webflow(place, client).test()
        platform = Webflow(Site(place.id, place.base_url, place.credentials, options, found.remote),
                           client)  # fmt: skip
        for number in range(200):
            identity = PostIdentity(f"{number:016x}", f"story-{number}", f"Story {number}")
            story = Story(identity, identity.title, "<p>Text</p>")
            platform.look_up(identity)
            platform.create(platform.payload(story), identity)

        assert len(peer.live_items(articles)) == 200
        assert len(peer.calls) == 800 + 4
    http.close()
    # As fast as the rate, less what is kept, allows.
    assert waiting.passed < 804 / (Webflow.rate_per_minute * 0.9) * 60 * 1.05

"""Answers that no site should give: each is told as a failure of the site, and can be stored."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, is_dataclass
from random import Random
from typing import Any

import bson
import pytest

from apps.demo.site import PASSWORD, USERNAME, StandInSite
from apps.publisher.integrations.connection import kept_of
from tests.peers.webflow import WebflowPeer
from tests.support.hostile_sites import GHOST_URL, HostileClient, HostileGhost, calls
from transmitters.base import TransmitSettings
from transmitters.cms.base import ConnectionTest, Platform, PlatformError, Site
from transmitters.cms.ghost import Ghost
from transmitters.cms.http import SiteClient
from transmitters.cms.webflow import Webflow
from transmitters.cms.wordpress import WordPress
from transmitters.http_client import HTTPClient

SEED = int(os.environ.get("WIREDESK_FUZZ_SEED") or 1)
ROUNDS, ROUNDS_OF_CAMPAIGN = 40, 300
CALLS = 4
"""Besides a connection test, in a round."""

Open = Callable[[Random], Platform]


@pytest.fixture(scope="module")
def http() -> Iterator[HTTPClient]:
    client = HTTPClient(TransmitSettings(allow_private_addresses=True))
    yield client
    client.close()


@pytest.fixture
def wordpress(http: HTTPClient, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    # A list without end is a request for each of its pages.
    monkeypatch.setattr("transmitters.cms.wordpress.MOST_PAGES", 10)
    with StandInSite() as there:
        credentials = {"username": USERNAME, "application_password": PASSWORD}
        site = Site("i", there.url, credentials)
        tested = Site(
            "i", there.url, credentials, {}, WordPress(site, SiteClient(http)).test().remote
        )
        yield lambda random: WordPress(tested, HostileClient(http, random))


@pytest.fixture
def ghost(http: HTTPClient) -> Open:
    site = Site("i", GHOST_URL, {"admin_api_key": f"{'0' * 24}:{'0' * 64}"})
    return lambda random: Ghost(site, HostileGhost(http, random))


@pytest.fixture
def webflow(http: HTTPClient) -> Iterator[Open]:
    with WebflowPeer() as peer:
        place = peer.add_site("daily")
        tags = peer.add_collection(place, "tags", [])
        peer.add_item(tags, name="a", slug="a")
        fields = [
            peer.field("post-body", "RichText"),
            peer.field("tags", "MultiReference", collectionId=tags),
            peer.field("main-image", "Image"),
        ]
        options = {"site_id": place, "collection": peer.add_collection(place, "articles", fields)}
        credentials = {"token": peer.add_token()}
        site = Site("i", peer.url, credentials, options)
        remote = Webflow(site, SiteClient(http)).test().remote
        tested = Site("i", peer.url, credentials, options, remote)
        yield lambda random: Webflow(tested, HostileClient(http, random))


PLATFORMS = (("wordpress", "categories"), ("ghost", "tags"), ("webflow", "tags"))


@pytest.mark.parametrize(("name", "taxonomy"), PLATFORMS)
def test_no_answer_breaks_anything(
    request: pytest.FixtureRequest, name: str, taxonomy: str
) -> None:
    """WIREDESK_FUZZ_SEED names other answers."""
    assert broken(request.getfixturevalue(name), taxonomy, ROUNDS) == []


@pytest.mark.chaos
@pytest.mark.parametrize(("name", "taxonomy"), PLATFORMS)
def test_no_answer_of_a_campaign_breaks_anything(
    request: pytest.FixtureRequest, name: str, taxonomy: str
) -> None:
    """The same with more answers."""
    assert broken(request.getfixturevalue(name), taxonomy, ROUNDS_OF_CAMPAIGN) == []


def broken(open: Open, taxonomy: str, rounds: int) -> list[str]:
    """Return which calls did anything else than return what can be stored, or tell a failure."""
    found = []
    for number in range(rounds):
        random = Random(f"{SEED}:{number}")
        for name in ("test", *random.sample(sorted(calls(open(random), taxonomy)), CALLS)):
            try:
                result = calls(open(random), taxonomy)[name]()
            except PlatformError as error:
                result = [error.code, error.message, error.field, error.status, error.retry_after]
            except Exception as error:
                found.append(f"{SEED}:{number} {name}: {error!r}")
                continue
            try:
                bson.encode({"result": stored(result)})
            except (bson.errors.BSONError, OverflowError, ValueError) as error:
                found.append(f"{SEED}:{number} {name} is kept: {error!r}")
    return found


def stored(result: Any) -> Any:
    """Return what the publisher keeps of what a platform returns."""
    if isinstance(result, ConnectionTest):
        told = [[check.message, check.error and check.error.help] for check in result.checks]
        return [kept_of(result.remote), told]
    if is_dataclass(result) and not isinstance(result, type):
        return {key: value for key, value in asdict(result).items() if key not in ("fields",)}
    if isinstance(result, Sequence) and not isinstance(result, str):
        return [stored(one) for one in result]
    return result

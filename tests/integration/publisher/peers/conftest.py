"""A newsroom and a site of each kind: WordPress, Ghost, and a look-alike of Webflow."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any, Protocol

import pytest

from apps.graph.build import Graph
from tests.peers.proxy import Proxy
from tests.peers.webflow import Behaviour, WebflowPeer
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.newsroom import Newsroom
from tests.support.peer_newsroom import (
    GhostPlace,
    PeerNewsroom,
    Place,
    WebflowPlace,
    WordPressPlace,
)
from tests.support.publisher_client import Publisher
from tests.support.services import empty_services


class Opens(Protocol):
    def __call__(
        self, place: Place, *, modes: tuple[str, ...] = (), **options: Any
    ) -> PeerNewsroom: ...


KINDS = [
    pytest.param("wordpress", marks=pytest.mark.peers),
    pytest.param("ghost", marks=pytest.mark.peers),
    "webflow",
]


@pytest.fixture
def settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **settings,
        "PUBLISHER_ALLOW_HTTP": True,
        "PUBLISHER_ALLOW_PRIVATE": True,
        "SESSION_EXPIRY_MINUTES": 1_000_000,
    }


@pytest.fixture
def clock() -> HandClock:
    # The clock of a site is compared with it.
    return HandClock(datetime.now(UTC))


@pytest.fixture
def graph(settings: Mapping[str, Any], clock: HandClock) -> Iterator[Graph]:
    with empty_services(settings, clock=clock) as built:
        yield built


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, clock: HandClock) -> Iterator[Place]:
    match request.param:
        case "wordpress":
            yield WordPressPlace(request.getfixturevalue("wordpress"))
        case "ghost":
            yield GhostPlace(request.getfixturevalue("ghost"))
        case _:
            behaviour = Behaviour(clock=lambda: clock.at.timestamp(), publish_touches=True)
            with WebflowPeer(behaviour) as peer:
                yield WebflowPlace(peer)


@pytest.fixture
def opens(graph: Graph, publisher: Publisher, clock: HandClock) -> Iterator[Opens]:
    """Open a newsroom that publishes to a site: `opens(place, slug_mode="clean")`."""
    with ExitStack() as lines:

        def open_newsroom(
            place: Place, *, modes: tuple[str, ...] = (), **options: Any
        ) -> PeerNewsroom:
            desk = Newsdesk(publisher.client, Newsroom(graph.db))
            for kind in ("text", "composite", "picture"):
                desk.newsroom.validators(item_type=kind)
            add = {"X-Peer-Modes": ",".join(modes)} if modes else None
            proxy = lines.enter_context(Proxy(place.url, add=add))
            options.setdefault("is_named_by_proxy", "plain" in modes)
            made = PeerNewsroom(graph, publisher, desk, place, proxy, clock, **options)
            assert made.tested["ok"], made.tested["checks"]
            # What a new site has is read first.
            made.go()
            made.proxy.clear()
            return made

        yield open_newsroom


@pytest.fixture
def newsroom(opens: Opens, place: Place) -> PeerNewsroom:
    return opens(place)

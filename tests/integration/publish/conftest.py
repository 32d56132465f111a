"""Fixtures of tests that follow items from the desk to their receivers.

Time is the test's, and so are tasks: what would run in the background is left for the test to run,
unless its module says `eager`.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from apps.graph.build import Graph
from tests.support.clients import Client
from tests.support.conservation import Conservation
from tests.support.events import Events
from tests.support.failover import FailoverProxy
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.newsroom import Newsroom
from tests.support.receivers import HTTPReceiver
from tests.support.services import empty_services


@pytest.fixture
def eager() -> bool:
    """Whether tasks run at once, within what wakes them up; a module may override it."""
    return False


@pytest.fixture
def settings(settings: dict[str, Any], eager: bool) -> dict[str, Any]:
    """Sessions outlive every wait; a module may add to this."""
    return {
        **settings,
        "CELERY_TASK_ALWAYS_EAGER": eager,
        "SESSION_EXPIRY_MINUTES": 1_000_000,
    }


@pytest.fixture
def clock() -> HandClock:
    """A clock that the test moves."""
    return HandClock()


@pytest.fixture
def graph(settings: dict[str, Any], clock: HandClock) -> Iterator[Graph]:
    """Services on an empty database, with that clock."""
    with empty_services(settings, clock=clock) as built:
        yield built


@pytest.fixture
def conserved(graph: Graph) -> Iterator[None]:
    """In the end no row is lost, doubled or in progress, whatever has gone wrong meanwhile."""
    conservation = Conservation(graph.db)
    yield
    conservation.check(may_wait=True)


@pytest.fixture
def desk(admin: Client, graph: Graph) -> Newsdesk:
    """A desk whose texts and pictures are valid whatever they say."""
    newsroom = Newsroom(graph.db)
    newsroom.validators()
    newsroom.validators(item_type="picture")
    return Newsdesk(admin, newsroom)


@pytest.fixture
def receiver() -> Iterator[HTTPReceiver]:
    """A receiver of HTTP pushes that takes everything, until the test says otherwise."""
    with HTTPReceiver() as server:
        yield server


@pytest.fixture(scope="module")
def proxy(stores: Any) -> Iterator[FailoverProxy]:
    """What the services take for their server."""
    if "," in stores.mongo_uri or "@" in stores.mongo_uri or "+srv" in stores.mongo_uri:
        pytest.skip("faults are put in front of a single MongoDB without log-in only")
    with FailoverProxy(stores.mongo_uri) as running:
        yield running


@pytest.fixture
def events(settings: dict[str, Any]) -> Iterator[Events]:
    """The notifications sent from here on."""
    with Events(settings["REDIS_URL"], settings["NOTIFICATION_CHANNEL"]) as listening:
        yield listening

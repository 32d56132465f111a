"""Stores for the whole session: real servers, of its own for each worker of a test run.

The embedded MongoDB uses one core at most, so one for all workers would hold them up. Servers that
`manage.py test` is given are shared: each worker has databases of its own there, and removes them.
"""

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cache
from random import getrandbits
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from pymongo import monitoring

from apps.core import registry
from apps.core.memory import settle_memory
from apps.processes.embedded.stores import StoreAddresses, resolve_stores
from tests.peers.ghost import GhostPeer
from tests.peers.shared import Peers
from tests.peers.wordpress import WordPressPeer
from tests.support.commands import SentCommands
from tests.support.services import (
    borrowed_redis,
    in_database,
    lent_connections,
    remove_databases,
)
from tests.support.url_rules import LazyRule

# Suites live outside the test modules; their assertions explain themselves all the same.
pytest.register_assert_rewrite("tests.suites.transmitter_suite")

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
MONGO, REDIS = "WIREDESK_TEST_MONGO", "WIREDESK_TEST_REDIS"
"""Addresses of servers to use instead, which all workers share."""
RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID", uuid4().hex)[:8]
"""Tells the databases of this run from those of others on the same server."""

SENT = SentCommands()
# Of all clients that are made from here on, whatever thread or event loop they serve.
monitoring.register(SENT)

# A busy machine is no failure: tests are judged by what they find, not by how long they take.
for profile, examples in (("wiredesk", 30), ("chaos", 400)):
    hypothesis_settings.register_profile(
        profile,
        max_examples=examples,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
hypothesis_settings.load_profile("wiredesk")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let campaigns be longer, and be repeated."""
    parser.addoption("--long", action="store_true", help="campaigns of hundreds of faults")
    parser.addoption("--campaign-seed", type=int, help="the seed that a campaign has printed")
    parser.addoption(
        "--need-peer",
        action="append",
        default=[],
        metavar="NAME",
        help="fail, not skip, where this server of another project is not installed (tests/peers)",
    )


@pytest.fixture
def seed(request: pytest.FixtureRequest, capsys: Any) -> int:
    """What the course of a case follows from, as far as a course can be repeated."""
    number = request.config.getoption("--campaign-seed")
    number = getrandbits(32) if number is None else number
    with capsys.disabled():
        sys.stderr.write(f"\n{request.node.name}: --campaign-seed={number}\n")
    return int(number)


def pytest_collection_finish() -> None:
    """Spare what lives as long as the session from garbage collection: a tenth of a run's time."""
    settle_memory()
    gc.set_threshold(100_000, 20, 20)


@pytest.fixture(scope="session", autouse=True)
def _fast_starts() -> Iterator[None]:
    """Spare each test's own services and application what is the same for all of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Flask, "url_rule_class", LazyRule)
        patch.setattr(registry, "entry_points", cache(registry.entry_points))
        yield


@pytest.fixture(autouse=True)
def _commands_that_mongodb_takes() -> Iterator[None]:
    """Fail the test that has sent what the store contract does not list (store contract 4)."""
    yield
    if faults := SENT.take():
        pytest.fail("\n".join(faults), pytrace=False)


@pytest.fixture(scope="session")
def stores(
    tmp_path_factory: pytest.TempPathFactory, database_name: str, redis_db: int
) -> Iterator[StoreAddresses]:
    """Addresses of a real MongoDB-protocol server and a real Redis."""
    given = os.environ.get(MONGO), os.environ.get(REDIS)
    addresses, stop = resolve_stores(*given, tmp_path_factory.mktemp("stores"))
    with ExitStack() as session:
        session.callback(stop)
        if given[0]:
            session.callback(remove_databases, addresses.mongo_uri, database_name)
        if given[1]:
            session.enter_context(borrowed_redis(in_database(addresses.redis_url, redis_db)))
        session.enter_context(lent_connections(addresses.mongo_uri))
        yield addresses


@pytest.fixture(scope="session")
def peers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Peers:
    """Servers of other projects, shared by all workers."""
    temporary = tmp_path_factory.getbasetemp()
    is_worker = "PYTEST_XDIST_WORKER" in os.environ
    needed = request.config.getoption("--need-peer")
    return Peers(temporary.parent if is_worker else temporary, frozenset(needed))


@pytest.fixture(scope="session")
def wordpress(peers: Peers) -> Iterator[WordPressPeer]:
    """A WordPress with a user for each role."""
    with peers.use("wordpress") as found:
        yield WordPressPeer(**found)


@pytest.fixture(scope="session")
def ghost(peers: Peers) -> Iterator[GhostPeer]:
    """A Ghost with an integration of its owner."""
    with peers.use("ghost") as found:
        yield GhostPeer(**found)


@pytest.fixture(scope="session")
def vsftpd(peers: Peers) -> Iterator[dict[str, Any]]:
    """An FTP server with TLS."""
    with peers.use("vsftpd") as found:
        yield found


@pytest.fixture(scope="session")
def sshd(peers: Peers) -> Iterator[dict[str, Any]]:
    """An SFTP server."""
    with peers.use("sshd") as found:
        yield found


@pytest.fixture(scope="session")
def postgresql(peers: Peers) -> Iterator[dict[str, Any]]:
    """A PostgreSQL that can be reached by ODBC."""
    with peers.use("postgresql") as found:
        yield found


@pytest.fixture(scope="session")
def mariadb(peers: Peers) -> Iterator[dict[str, Any]]:
    """A MariaDB that can be reached by ODBC."""
    with peers.use("mariadb") as found:
        yield found


@pytest.fixture(scope="session")
def moto(peers: Peers) -> Iterator[str]:
    """Address of a look-alike of Amazon's services."""
    with peers.use("moto") as found:
        yield found["url"]


@pytest.fixture(scope="session")
def database_name() -> str:
    """A database of its own for each test worker; others begin with its name."""
    return f"wiredesk_{RUN}_{WORKER}"


@pytest.fixture(scope="session")
def redis_db() -> int:
    """Number of a Redis database of its own for each test worker; 0 stays free."""
    return int(WORKER.removeprefix("gw")) + 1


@pytest.fixture(scope="session")
def redis_url(stores: StoreAddresses, redis_db: int) -> str:
    """Address of the worker's own Redis database."""
    return in_database(stores.redis_url, redis_db)

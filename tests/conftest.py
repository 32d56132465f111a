"""Stores for the whole session: real servers, shared by the workers of one test run.

The process that controls the session starts them and stops them; its workers inherit the addresses.
"""

import gc
import os
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pytest
from flask import Flask
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from apps.core import registry
from apps.core.errors import ConfigurationError
from apps.embedded.stores import EmbeddedStores, StoreAddresses
from tests.support.url_rules import LazyRule

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
MONGO, REDIS = "WIREDESK_TEST_MONGO", "WIREDESK_TEST_REDIS"

# A busy machine is no failure: tests are judged by what they find, not by how long they take.
hypothesis_settings.register_profile(
    "wiredesk", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("wiredesk")


def pytest_configure(config: pytest.Config) -> None:
    """Start the stores, unless this is a worker, nothing will run, or servers are given."""
    if MONGO in os.environ and REDIS in os.environ:
        return
    if config.option.collectonly or config.option.help:
        return
    directory = Path(mkdtemp(prefix="wiredesk-test-"))
    config.add_cleanup(lambda: shutil.rmtree(directory))
    stores = EmbeddedStores(directory)
    config.add_cleanup(stores.stop)
    try:
        addresses = stores.start()
    except ConfigurationError as error:
        raise pytest.UsageError(str(error)) from error
    environment = pytest.MonkeyPatch()
    config.add_cleanup(environment.undo)
    environment.setenv(MONGO, addresses.mongo_uri)
    environment.setenv(REDIS, addresses.redis_url)


def pytest_collection_finish() -> None:
    """Spare what lives as long as the session from garbage collection: a tenth of a run's time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


@pytest.fixture(scope="session", autouse=True)
def _fast_starts() -> Iterator[None]:
    """Spare each test's own services and application what is the same for all of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Flask, "url_rule_class", LazyRule)
        patch.setattr(registry, "entry_points", cache(registry.entry_points))
        yield


@pytest.fixture(scope="session")
def stores() -> StoreAddresses:
    """Addresses of a real MongoDB-protocol server and a real Redis."""
    return StoreAddresses(os.environ[MONGO], os.environ[REDIS])


@pytest.fixture(scope="session")
def database_name() -> str:
    """A database of its own for each test worker."""
    return f"wiredesk_{WORKER}"


@pytest.fixture(scope="session")
def redis_db() -> int:
    """Number of a Redis database of its own for each test worker; 0 stays free."""
    return int(WORKER.removeprefix("gw")) + 1


@pytest.fixture(scope="session")
def redis_url(stores: StoreAddresses, redis_db: int) -> str:
    """Address of the worker's own Redis database."""
    return f"{stores.redis_url.rsplit('/', 1)[0]}/{redis_db}"

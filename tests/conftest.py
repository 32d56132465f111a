"""Stores for the whole session: real servers, shared by the workers of one test run."""

import os
from pathlib import Path

import pytest

from apps.embedded.stores import EmbeddedStores, StoreAddresses

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "gw0")


def pytest_configure(config: pytest.Config) -> None:
    """Start the stores in the process that controls the session; its workers are told where."""
    if os.environ.get("WIREDESK_TEST_MONGO"):
        return
    directory = Path(config.rootpath) / "var" / f"test-{os.getpid()}"
    stores = EmbeddedStores(directory)
    addresses = stores.start()
    os.environ["WIREDESK_TEST_MONGO"] = addresses.mongo_uri
    os.environ["WIREDESK_TEST_REDIS"] = addresses.redis_url
    config.add_cleanup(lambda: _discard(stores, directory))


def _discard(stores: EmbeddedStores, directory: Path) -> None:
    stores.stop()
    for name in ("WIREDESK_TEST_MONGO", "WIREDESK_TEST_REDIS"):
        os.environ.pop(name, None)
    for path in sorted(directory.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    directory.rmdir()


@pytest.fixture(scope="session")
def stores() -> StoreAddresses:
    """Addresses of a real MongoDB-protocol server and a real Redis."""
    return StoreAddresses(os.environ["WIREDESK_TEST_MONGO"], os.environ["WIREDESK_TEST_REDIS"])


@pytest.fixture(scope="session")
def database_name() -> str:
    """A database of its own for each test worker."""
    return f"wiredesk_{WORKER}"


@pytest.fixture(scope="session")
def redis_url(stores: StoreAddresses) -> str:
    """A Redis database of its own for each test worker."""
    return f"{stores.redis_url.rsplit('/', 1)[0]}/{int(WORKER.removeprefix('gw')) + 1}"

"""Fixtures of tests at the HTTP edge: an API on an empty database, and clients of it."""

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

import pytest
from cryptography.fernet import Fernet

import settings as settings_module
from apps.graph.build import Graph
from tests.support.applications import Applications
from tests.support.clients import FAST_HASH, Client, first_client
from tests.support.services import empty_services


@pytest.fixture(scope="session")
def worker_settings() -> dict[str, Any]:
    """What the settings of one test worker alone are like.

    The channel, because Redis tells every listener of one, whatever its database.
    """
    return {
        "NOTIFICATION_CHANNEL": f"test_{uuid4().hex}",
        "ENCRYPTION_KEYS": [Fernet.generate_key().decode()],
        "SECRET_KEY": uuid4().hex,
    }


@pytest.fixture(scope="session")
def applications() -> Applications:
    """The applications of the worker."""
    return Applications()


@pytest.fixture
def settings(
    stores: Any, database_name: str, redis_url: str, worker_settings: dict[str, Any]
) -> dict[str, Any]:
    """Settings of the API under test; a test module may override this fixture."""
    return settings_module.load(
        {
            "MONGO_URI": stores.mongo_uri,
            "MONGO_DBNAME": database_name,
            "REDIS_URL": redis_url,
            "BCRYPT_GENSALT_WORK_FACTOR": FAST_HASH,
            # Counted in Redis, where tests would find the failures of others.
            "LOGIN_FAILURES_PER_NAME": 0,
            "LOGIN_FAILURES_PER_ADDRESS": 0,
            "CELERY_TASK_ALWAYS_EAGER": True,
            # Tests write rules straight into the database.
            "RULES_MAX_AGE_SECONDS": 0,
            "DEFAULT_SOURCE_VALUE_FOR_MANUAL_ARTICLES": "AAP",
            **worker_settings,
        },
        environ={},
    )


@pytest.fixture
def graph(settings: Mapping[str, Any]) -> Iterator[Graph]:
    """Services on an empty database."""
    with empty_services(settings) as built:
        yield built


@pytest.fixture
def app(applications: Applications, graph: Graph) -> Any:
    """The API, which serves the services of this test."""
    return applications.serving(graph)


@pytest.fixture
def anonymous(app: Any) -> Client:
    """A client that is not logged in."""
    return Client(app)


@pytest.fixture
def admin(app: Any, graph: Graph) -> Client:
    """An administrator with the sign-off `abc`."""
    return first_client(app, graph, "admin", user_type="administrator", sign_off="abc")


@pytest.fixture
def editor(app: Any, graph: Graph) -> Client:
    """A user without any privilege, with the sign-off `foo`."""
    return first_client(app, graph, "editor", sign_off="foo")

"""Fixtures of the fuzz: an API on an empty database, whose tasks the test runs itself."""

from collections.abc import Iterator
from typing import Any

import pytest

import settings as settings_module
from apps.graph.build import Graph
from tests.integration.conftest import applications, worker_settings
from tests.support.applications import Applications
from tests.support.clients import FAST_HASH
from tests.support.services import empty_services

__all__ = ["applications", "worker_settings"]


@pytest.fixture
def graph(
    stores: Any, database_name: str, redis_url: str, worker_settings: dict[str, Any]
) -> Iterator[Graph]:
    """Services on an empty database."""
    settings = {
        "MONGO_URI": stores.mongo_uri,
        "MONGO_DBNAME": database_name,
        "REDIS_URL": redis_url,
        "BCRYPT_GENSALT_WORK_FACTOR": FAST_HASH,
        "RULES_MAX_AGE_SECONDS": 0,
        "LEGAL_ARCHIVE": True,
        **worker_settings,
    }
    with empty_services(settings_module.load(settings, environ={})) as built:
        yield built


@pytest.fixture
def app(applications: Applications, graph: Graph) -> Any:
    """The API, which serves the services of this test."""
    return applications.serving(graph)

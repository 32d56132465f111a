"""Fixtures of cases in which processes of an installation die."""

from collections.abc import Iterator
from typing import Any

import pytest

import settings as settings_module
from apps.graph.build import Graph
from tests.support.newsroom import Newsroom
from tests.support.services import empty_services
from tests.support.worker_processes import settings_of

LEASE = 3


@pytest.fixture
def environment(stores: Any, database_name: str, redis_url: str) -> dict[str, Any]:
    """The settings of the processes under test."""
    return settings_of(
        stores,
        f"{database_name}_chaos",
        redis_url,
        CELERY_PREFIX="",
        LEASE_SECONDS=LEASE,
        LOG_LEVEL="WARNING",
    )


@pytest.fixture
def graph(environment: dict[str, Any]) -> Iterator[Graph]:
    """Services on the same, empty database, to look at it and to run steps in this process."""
    eager = {**environment, "CELERY_TASK_ALWAYS_EAGER": True}
    with empty_services(settings_module.load(eager, environ={})) as built:
        yield built


@pytest.fixture
def newsroom(graph: Graph) -> Newsroom:
    return Newsroom(graph.db)

"""Fixtures of tests of internal destinations: two desks, and a clock that the test moves."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from apps.core.service import Document
from apps.graph.build import Graph
from tests.integration.publish.conftest import clock, graph  # noqa: F401
from tests.support.clients import Client
from tests.support.newsdesk import Newsdesk
from tests.support.newsroom import Newsroom

Destination = Callable[..., Document]
Macro = Callable[..., None]


@pytest.fixture
def settings(settings: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """Tasks are left for the test to run; sessions outlive every wait."""
    return {
        **settings,
        "CELERY_TASK_ALWAYS_EAGER": False,
        "SESSION_EXPIRY_MINUTES": 1_000_000,
        "MACROS_DIR": str(tmp_path),
    }


@pytest.fixture
def desk(admin: Client, graph: Graph) -> Newsdesk:  # noqa: F811
    """A desk whose items are valid whatever they say."""
    newsroom = Newsroom(graph.db)
    for kind in ("text", "picture", "composite"):
        newsroom.validators(item_type=kind)
    return Newsdesk(admin, newsroom)


@pytest.fixture
def features(admin: Client, desk: Newsdesk) -> Document:
    """Another desk, made by the API."""
    return admin.create("desks", {"name": "Features"})


@pytest.fixture
def destination(admin: Client, features: Document) -> Destination:
    """Create an internal destination that copies to the desk `features`."""

    def create(**fields: Any) -> Document:
        return admin.create(
            "internal_destinations", {"name": "features", "desk": features["_id"], **fields}
        )

    return create


@pytest.fixture
def macro(tmp_path: Path) -> Macro:
    """Write a macro whose callback consists of `lines`."""

    def store(name: str, *lines: str) -> None:
        body = "".join(f"    {line}\n" for line in lines)
        (tmp_path / f"{name}.py").write_text(f"def callback(item, **context):\n{body}")

    return store

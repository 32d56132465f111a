"""Fixtures of tests of the REST resources: what clients are told, and the usual documents."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.support.clients import Client
from tests.support.events import Events


@pytest.fixture
def events(settings: Mapping[str, Any]) -> Iterator[Events]:
    """The notifications sent from here on."""
    with Events(settings["REDIS_URL"], settings["NOTIFICATION_CHANNEL"]) as listening:
        yield listening


@pytest.fixture
def desk(admin: Client) -> dict[str, Any]:
    """A desk as a client has created it."""
    return admin.create("desks", {"name": "Sports"})

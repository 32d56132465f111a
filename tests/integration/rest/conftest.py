"""Fixtures of tests of the REST resources: what clients are told, and the usual documents."""

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

import pytest

from tests.support.clients import Client
from tests.support.events import Events


@pytest.fixture
def settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The usual settings with a notification channel of this test alone."""
    return {**settings, "NOTIFICATION_CHANNEL": f"test_{uuid4().hex}"}


@pytest.fixture
def events(settings: Mapping[str, Any]) -> Iterator[Events]:
    """The notifications sent from here on."""
    with Events(settings["REDIS_URL"], settings["NOTIFICATION_CHANNEL"]) as listening:
        yield listening


@pytest.fixture
def desk(admin: Client) -> dict[str, Any]:
    """A desk as a client has created it."""
    return admin.create("desks", {"name": "Sports"})

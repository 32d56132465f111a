"""Fixtures of tests of activities: mail goes to a mailbox, time is the test's."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from tests.integration.expiry.conftest import graph  # noqa: F401
from tests.integration.publish.conftest import clock, desk  # noqa: F401
from tests.support.events import Events
from tests.support.mailbox import Mailbox


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with Mailbox() as box:
        yield box


@pytest.fixture
def settings(settings: dict[str, Any], mailbox: Mailbox) -> dict[str, Any]:
    return {
        **settings,
        "MAIL_SERVER": "127.0.0.1",
        "MAIL_PORT": mailbox.port,
        "ADMINS": ["desk@agency.example"],
        "NOTIFICATION_CHANNEL": f"test_{uuid4().hex}",
    }


@pytest.fixture
def events(settings: dict[str, Any]) -> Iterator[Events]:
    """The notifications sent from here on."""
    with Events(settings["REDIS_URL"], settings["NOTIFICATION_CHANNEL"]) as listening:
        yield listening

"""A deployment whose process is killed at random moments ends complete, and no item is there twice.

cms scenario 38.
"""

import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
from cryptography.fernet import Fernet

import settings as settings_module
from apps.core.caller import Caller
from apps.core.service import Document
from apps.demo.site import PASSWORD, USERNAME
from apps.graph.build import Graph
from tests.support.publisher_client import put_out
from tests.support.services import empty_services
from tests.support.site_desk import FaultySite
from tests.support.worker_processes import ROOT, kill, process

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1800)]

ITEMS, DEATHS = 500, 10
DEPLOY = [str(ROOT / "manage.py"), "publisher:deploy", "kestrel"]


@pytest.fixture
def environment(environment: dict[str, Any]) -> dict[str, Any]:
    """The settings of the processes under test."""
    return {
        **environment,
        "ENCRYPTION_KEYS": Fernet.generate_key().decode(),
        "NO_BOOTSTRAP": "1",
    }


@pytest.fixture
def graph(environment: dict[str, Any]) -> Iterator[Graph]:
    """Services on the same, empty database, to look at it."""
    with empty_services(settings_module.load(environment, environ={})) as built:
        yield built


@pytest.fixture
def site() -> Iterator[FaultySite]:
    with FaultySite(lambda: datetime.now(UTC)) as open_site:
        yield open_site


def set_up(graph: Graph, site: FaultySite) -> None:
    """Store a site with an integration, and items that have gone out."""
    caller = Caller(user={"_id": None, "user_type": "administrator"})
    services = graph.publisher
    kestrel: Document = {
        "name": "The Kestrel",
        "slug": "kestrel",
        "url": "https://kestrel.example",
    }
    (site_id,) = services.sites.post([kestrel], caller)
    wordpress: Document = {
        "site": site_id,
        "destination": "wordpress",
        "name": "main",
        "base_url": site.url,
        "credentials": {"username": USERNAME, "application_password": PASSWORD},
    }
    (integration_id,) = services.integrations.post([wordpress], caller)
    assert services.tests.of_stored(integration_id, caller)["ok"]
    for number in range(ITEMS):
        shown = {"headline": f"Story {number}", "body_html": f"<p>Story {number}.</p>"}
        put_out(graph.db, f"item-{number:03}", **shown)


def wait_until(condition: Callable[[], bool], child: subprocess.Popen[bytes]) -> None:
    """Wait for something that a process does."""
    deadline = time.monotonic() + 300
    while not condition():
        assert child.poll() is None, "the process has ended"
        assert time.monotonic() < deadline, "not within five minutes"
        time.sleep(0.01)


def test_deployment_of_500_items_killed_ten_times(
    graph: Graph, site: FaultySite, environment: dict[str, Any], tmp_path: Path
) -> None:
    set_up(graph, site)
    random = Random(500)
    steps = sorted(random.randrange(1, 7 * ITEMS // 2) for _ in range(DEATHS))
    arguments = DEPLOY
    for number, requests in enumerate(steps):
        directory = tmp_path / str(number)
        directory.mkdir()
        with process(arguments, environment, directory) as child:
            # Requests come at any moment of what is done for an item.
            wait_until(lambda at=requests: len(site.requests) >= at, child)
            time.sleep(random.random() / 20)
            kill(child)
        arguments = [*DEPLOY, "--follow"]
    directory = tmp_path / "last"
    directory.mkdir()
    with process(arguments, environment, directory) as child:
        assert child.wait(1200) == 0
    (deployment,) = graph.db["deployment_records"].find()
    assert (deployment["status"], deployment["items_deployed"]) == ("completed", ITEMS)
    assert deployment["counts"]["done"] == deployment["counts"]["total"] == ITEMS
    assert deployment["error_log"] == ""
    assert len([each for each in site.writes() if each.path == "/wp/v2/posts"]) == ITEMS
    titles = [post["title"] for post in site.posts()]
    assert len(titles) == len(set(titles)) == ITEMS

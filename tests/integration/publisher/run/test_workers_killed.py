"""A worker of CMS sites that is killed in the middle of a write leaves one post (cms scenario 11).

A process of its own, from the command that `manage.py run publisher` starts, on the real stores.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from subprocess import Popen
from typing import Any
from uuid import uuid4

import pytest

from apps.core.json import dumps
from apps.demo.site import PASSWORD, USERNAME, SiteRequest
from apps.graph.build import Graph
from tests.support.processes import wait_until
from tests.support.publisher_client import Publisher, put_out
from tests.support.services import empty_services
from tests.support.site_desk import FaultySite, picture_bytes
from tests.support.worker_processes import SITES_WORKER, kill, process

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(400)]

LEASE = 3
PATIENCE = 240
"""Seconds: a create that may have arrived is looked for after 15 and after 60."""


@pytest.fixture
def environment(settings: Mapping[str, Any], database_name: str) -> dict[str, Any]:
    """Settings of the processes under test; they share them with the services of the test."""
    names = ("MONGO_URI", "REDIS_URL", "SECRET_KEY", "ENCRYPTION_KEYS")
    return {
        **{name: settings[name] for name in names},
        "MONGO_DBNAME": f"{database_name}_sites",
        "CELERY_PREFIX": f"{uuid4().hex}_",
        "NOTIFICATION_CHANNEL": f"test_{uuid4().hex}",
        "LEASE_SECONDS": LEASE,
        "PUBLISHER_ALLOW_HTTP": True,
        "PUBLISHER_ALLOW_PRIVATE": True,
        "LOG_LEVEL": "WARNING",
    }


@pytest.fixture
def graph(settings: Mapping[str, Any], environment: dict[str, Any]) -> Iterator[Graph]:
    # Wishes wake nobody here: the workers are woken by their own schedule.
    changed = {**settings, **environment, "CELERY_TASK_ALWAYS_EAGER": False}
    with empty_services(changed) as built:
        yield built


@pytest.fixture
def site() -> Iterator[FaultySite]:
    with FaultySite(lambda: datetime.now(UTC)) as open_site:
        yield open_site


def directory(path: Path) -> Path:
    path.mkdir()
    return path


def is_create(request: SiteRequest) -> bool:
    return request.method == "POST" and request.path == "/wp/v2/posts"


@pytest.mark.parametrize("step", ["after 6", "after 7", "after 8"])
def test_worker_killed(
    graph: Graph,
    publisher: Publisher,
    site: FaultySite,
    environment: dict[str, Any],
    tmp_path: Path,
    step: str,
) -> None:
    """After the announcement, after the write, and after its answer was read."""
    credentials = {"username": USERNAME, "application_password": PASSWORD}
    integration = publisher.integration(
        publisher.site(), base_url=site.url, credentials=credentials
    )
    assert publisher.post(f"integrations/{integration['_id']}/test").get_json()["ok"]
    media = str(graph.media.put(picture_bytes(), "picture.png"))
    picture = {"type": "picture", "renditions": {"original": {"media": media}}}
    put_out(graph.db, body_html="<p>Rivers.</p>", associations={"featuremedia": picture})
    site.requests.clear()
    workers: list[Popen[bytes]] = []
    killed: list[str] = []

    def fault(request: SiteRequest) -> str | None:
        if killed:
            return None
        if step == "after 8" and is_create(request):
            # What the answer shows differs from what was sent: it is read, and the file asked for.
            site.content.media.clear()
        is_answered = any(is_create(one) for one in site.requests[:-1])
        if (is_create(request) and step != "after 8") or (step == "after 8" and is_answered):
            killed.append(step)
            kill(workers[0])
            return "refused" if step == "after 6" else "lost"
        return None

    site.fault = fault
    assert publisher.publish("story").status_code == 202
    told = {
        name: value if isinstance(value, str) else dumps(value).decode()
        for name, value in environment.items()
    }
    with process(SITES_WORKER, told, directory(tmp_path / "one")) as worker:
        workers.append(worker)
        wait_until(lambda: bool(killed), PATIENCE)
    record = graph.db["publishing_records"].find_one({})
    assert record is not None
    assert record["phase"] == "sent"

    with process(SITES_WORKER, told, directory(tmp_path / "two")):
        query = {"status": "published", "phase": "idle"}
        wait_until(lambda: graph.db["publishing_records"].find_one(query) is not None, PATIENCE)
    record = graph.db["publishing_records"].find_one({})
    assert record is not None
    assert record["external_id"] == str(site.post()["id"])
    assert site.post()["status"] == "publish"
    assert site.post()["featured_media"] in site.content.media
    assert len(site.content.media) == 1
    assert not site.posts("trash")

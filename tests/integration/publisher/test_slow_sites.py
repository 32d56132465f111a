"""Requests that wait for a site: so long at most, and so many at a time (cms contract 13.2)."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest

from apps.graph.build import Graph
from apps.publisher.integrations import platforms
from apps.publisher.integrations.platforms import AT_ONCE
from tests.support.clients import Client
from tests.support.fake_sites import SITES, FakeWordPress
from tests.support.processes import wait_until
from tests.support.publisher_client import BASE_URL, CREDENTIALS, Publisher, put_out, shown
from tests.support.receivers import Fault, HTTPReceiver
from transmitters.cms.base import ConnectionTest, RemotePost
from transmitters.cms.wordpress import WordPress

RELEASED = Event()


class StuckWordPress(FakeWordPress):
    """Hangs until it is let go, as a site does whose name is never resolved."""

    def test(self, *, write: bool = False) -> ConnectionTest:
        self.there.seen.append("asked")
        RELEASED.wait()
        return super().test(write=write)

    def read(self, post_id: str) -> RemotePost | None:
        self.there.seen.append("asked")
        RELEASED.wait()
        return super().read(post_id)


@pytest.fixture
def stuck(graph: Graph) -> Iterator[None]:
    RELEASED.clear()
    graph.platforms.add(StuckWordPress, replace=True)
    yield
    RELEASED.set()


def times_asked() -> int:
    return SITES[BASE_URL].seen.count("asked") if BASE_URL in SITES else 0


@pytest.mark.usefixtures("stuck")
def test_a_site_that_never_answers(
    publisher: Publisher, integration: Any, site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test says so, whether its settings are saved or not."""
    monkeypatch.setattr(platforms, "TEST_SECONDS", 0.2)
    body = {"site": site["_id"], "destination": "wordpress", "base_url": BASE_URL}
    saved = publisher.post(f"integrations/{integration['_id']}/test")
    unsaved = publisher.post("integrations/test", {**body, "credentials": CREDENTIALS})
    for answer in (saved, unsaved):
        (check,) = answer.get_json()["checks"]
        assert (answer.status_code, check["name"], check["code"]) == (200, "time", "too_slow")
        assert check["help"]
    found = publisher.get(f"integrations/{integration['_id']}").get_json()
    assert (found["state"], found["state_message"]) == ("new", f"too_slow: {check['message']}")


@pytest.mark.usefixtures("stuck")
def test_looks_at_a_site_that_never_answers(
    graph: Graph, publisher: Publisher, integration: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever waits for a site: reconciling, and records of posts that are there."""
    monkeypatch.setattr(platforms, "TEST_SECONDS", 0.2)
    put_out(graph.db)
    put_out(graph.db, "other")
    publisher.publish("story")
    record = graph.db["publishing_records"].find_one({})
    shown(graph.db, record["_id"])

    other = {"content": "other", "integration": integration["_id"]}
    looked = publisher.post(f"records/{record['_id']}/reconcile")
    adopted = publisher.post("records", {**other, "external_id": "9"})

    assert looked.status_code == 409
    assert "too_slow" in looked.get_json()["_error"]["message"]
    assert adopted.status_code == 400
    assert "too_slow" in str(adopted.get_json()["_issues"]["external_id"])


@pytest.mark.usefixtures("stuck")
def test_so_many_at_a_time(app: Any, publisher: Publisher, integration: Any) -> None:
    """One more is told to come back, and nothing is asked for it."""
    path = f"integrations/{integration['_id']}/test"
    with ThreadPoolExecutor(AT_ONCE) as threads:
        clients = [Publisher(Client(app, publisher.client.token)) for _ in range(AT_ONCE)]
        waiting = [threads.submit(each.post, path) for each in clients]
        wait_until(lambda: times_asked() == AT_ONCE, 10)
        refused = publisher.post(path)
        RELEASED.set()
        answers = [each.result() for each in waiting]
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) > 0
    assert refused.get_json()["_error"]["code"] == 429
    assert times_asked() == AT_ONCE
    assert all(answer.get_json()["ok"] for answer in answers)
    wait_until(lambda: publisher.post(path).status_code == 200, 10)


@pytest.mark.parametrize("write", [False, True])
def test_a_site_that_trickles(
    graph: Graph,
    publisher: Publisher,
    site: Any,
    monkeypatch: pytest.MonkeyPatch,
    write: bool,
) -> None:
    """Every request of the test is answered at once, and no answer has an end."""
    graph.platforms.add(WordPress, replace=True)
    monkeypatch.setattr(platforms, "TEST_SECONDS", 1.0)
    monkeypatch.setattr(platforms, "PATIENT_SECONDS", 0.4)
    with HTTPReceiver(lambda request: Fault.SLOW_BODY) as receiver:
        integration = publisher.integration(site, base_url=receiver.url)
        answer = publisher.post(f"integrations/{integration['_id']}/test", {"write": write})
        assert receiver.requests
        told = answer.get_json()
        assert (answer.status_code, told["ok"]) == (200, False)
        assert told["checks"][-1]["class"] in ("transient", "config")

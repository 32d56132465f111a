"""Sites are read by the worker: what a connection test finds, and their terms (cms contract 10)."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from apps.demo.site import PASSWORD, USERNAME
from apps.graph.build import Graph
from tests.support.newsdesk import HandClock
from tests.support.publisher_client import Publisher, put_out
from tests.support.services import empty_services
from tests.support.site_desk import FaultySite
from transmitters.cms.base import Taxonomy
from transmitters.cms.wordpress import WordPress

WRONG = {"username": USERNAME, "application_password": "x" * 24}
RIGHT = {"username": USERNAME, "application_password": PASSWORD}


@pytest.fixture
def settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    more = {"PUBLISHER_ALLOW_HTTP": True, "PUBLISHER_ALLOW_PRIVATE": True}
    return {**settings, **more, "SESSION_EXPIRY_MINUTES": 1_000_000}


@pytest.fixture
def clock() -> HandClock:
    # The connection test compares clocks.
    return HandClock(datetime.now(UTC))


@pytest.fixture
def graph(settings: Mapping[str, Any], clock: HandClock) -> Iterator[Graph]:
    with empty_services(settings, clock=clock) as built:
        yield built


@pytest.fixture
def integration(publisher: Publisher, site: FaultySite) -> dict[str, Any]:
    site.content.add_term("categories", {"name": "Arts & Culture"})
    return publisher.integration(publisher.site(), base_url=site.url, credentials=RIGHT)


def shown(publisher: Publisher, integration: Mapping[str, Any]) -> dict[str, Any]:
    return dict(publisher.get(f"integrations/{integration['_id']}").get_json())


def names(publisher: Publisher, integration: Mapping[str, Any]) -> list[str]:
    found = publisher.get(f"integrations/{integration['_id']}/taxonomies").get_json()
    return [term["name"] for each in found["_items"] for term in each["terms"]]


def test_a_new_integration_is_read(
    graph: Graph, publisher: Publisher, integration: Any, site: FaultySite, clock: HandClock
) -> None:
    """By the next run, without a request; then every six hours."""
    assert shown(publisher, integration)["synced_at"] is None
    graph.site_run.run()
    found = shown(publisher, integration)
    assert found["synced_at"]
    assert (found["state"], found["sync_error"]) == ("ok", None)
    assert found["remote"]["capabilities"]
    assert names(publisher, integration) == ["Arts & Culture", "Uncategorized"]
    before = len(site.requests)
    assert graph.site_sync.run() == 0
    graph.site_run.run()
    assert len(site.requests) == before
    site.content.add_term("categories", {"name": "Sport"})
    clock.advance(hours=6)
    assert graph.site_sync.run() == 1
    graph.site_run.run()
    assert "Sport" in names(publisher, integration)


def test_the_first_story_goes_by_what_was_found(
    graph: Graph, publisher: Publisher, integration: Any, site: FaultySite
) -> None:
    """A story that is there before the site was read waits for that."""
    put_out(graph.db, body_html="<p>Rivers rose.</p>")
    publisher.publish("story")
    graph.site_run.run()
    (row,) = publisher.get("publish/status", content="story").get_json()["_items"]
    assert row["status"] == "published", row["error"]
    paths = [request.path for request in site.requests]
    assert paths.index("/wp/v2/users/me") < paths.index("/wp/v2/posts")


@pytest.mark.parametrize("change", ["credentials", "base_url", "options", "asked"])
def test_a_change_is_followed(
    graph: Graph,
    publisher: Publisher,
    integration: Any,
    site: FaultySite,
    clock: HandClock,
    change: str,
) -> None:
    """Of credentials, address or target; and somebody may ask."""
    graph.site_run.run()
    first = shown(publisher, integration)
    site.content.add_term("categories", {"name": "Sport"})
    path = f"integrations/{integration['_id']}"
    clock.advance(minutes=1)
    with FaultySite(clock.precise) as other:
        other.content.add_term("categories", {"name": "Sport"})
        bodies = {
            "credentials": {"credentials": RIGHT},
            "base_url": {"base_url": other.url, "credentials": RIGHT},
            "options": {"options": {"post_type": "pages"}},
        }
        if change == "asked":
            assert publisher.post(f"{path}/taxonomies/sync").status_code == 202
        else:
            answer = publisher.patch(path, bodies[change])
            assert answer.status_code == 200, answer.text
        graph.site_run.run()
    after = shown(publisher, integration)
    assert after["synced_at"] > first["synced_at"]
    assert after["sync_requested_at"] is None
    if change in ("base_url", "asked", "credentials"):
        assert "Sport" in names(publisher, integration)


def test_wrong_credentials_are_told_once(
    graph: Graph, publisher: Publisher, integration: Any, site: FaultySite, clock: HandClock
) -> None:
    """Nothing is asked with them again; the right ones are tried at once."""
    publisher.patch(f"integrations/{integration['_id']}", {"credentials": WRONG})
    graph.site_run.run()
    found = shown(publisher, integration)
    assert (found["state"], found["sync_error"]["class"]) == ("auth_failed", "auth")
    assert graph.db["activity"].count_documents({"name": "error"}) == 1
    before = len(site.requests)
    clock.advance(hours=7)
    assert graph.site_sync.run() == 0
    graph.site_run.run()
    assert len(site.requests) == before
    clock.advance(hours=-7)
    publisher.patch(f"integrations/{integration['_id']}", {"credentials": RIGHT})
    graph.site_run.run()
    found = shown(publisher, integration)
    assert (found["state"], found["sync_error"]) == ("ok", None)
    assert found["synced_at"]


def test_a_site_that_is_down_is_read_later(
    graph: Graph, publisher: Publisher, integration: Any, site: FaultySite, clock: HandClock
) -> None:
    """By the ladder of deliveries, and by itself."""
    site.fault = lambda request: "down"
    graph.site_run.run()
    found = shown(publisher, integration)
    assert (found["synced_at"], found["sync_error"]["class"]) == (None, "transient")
    before = len(site.requests)
    graph.site_run.run()
    assert len(site.requests) == before
    site.fault = lambda request: None
    clock.advance(minutes=2)
    graph.site_run.run()
    assert shown(publisher, integration)["synced_at"]


def test_what_has_to_go_goes_first(
    graph: Graph, publisher: Publisher, integration: Any, site: FaultySite
) -> None:
    put_out(graph.db, body_html="<p>Rivers rose.</p>")
    publisher.publish("story")
    graph.site_run.run()
    put_out(graph.db, state="killed", _current_version=3)
    publisher.publish("story")
    publisher.post(f"integrations/{integration['_id']}/taxonomies/sync")
    site.requests.clear()
    graph.site_run.run()
    assert site.requests[0].writes
    assert not site.content.live()
    assert shown(publisher, integration)["sync_requested_at"] is None


def test_a_wake_up_that_got_lost(graph: Graph, publisher: Publisher, integration: Any) -> None:
    """Whoever stored the integration died before its lane was woken."""
    graph.db["publisher_lanes"].delete_many({})
    graph.site_run.run()
    assert shown(publisher, integration)["synced_at"] is None
    assert graph.site_sync.run() == 1
    graph.site_run.run()
    assert shown(publisher, integration)["synced_at"]


@pytest.mark.parametrize("body", [{"active": False}, {"credentials": {"username": None}}])
def test_what_cannot_be_asked_is_not(
    graph: Graph, publisher: Publisher, integration: Any, site: FaultySite, body: Any
) -> None:
    publisher.patch(f"integrations/{integration['_id']}", body)
    graph.site_run.run()
    assert site.requests == []
    assert graph.site_sync.run() == 0


@pytest.mark.parametrize("fault", [AssertionError, RuntimeError("no"), OverflowError])
def test_a_site_that_cannot_be_read_holds_up_no_other(
    graph: Graph,
    publisher: Publisher,
    integration: Any,
    site: FaultySite,
    monkeypatch: pytest.MonkeyPatch,
    fault: Exception,
) -> None:
    """Whatever the program stumbles over there; stories go there all the same."""
    other = publisher.integration(
        {"_id": integration["site"]},
        name="other",
        base_url=site.url.replace("127.0.0.1", "localhost"),
        credentials=RIGHT,
    )
    usual = WordPress.taxonomies

    def read(platform: WordPress) -> Sequence[Taxonomy]:
        if platform.site.id == integration["_id"]:
            raise fault
        return usual(platform)

    monkeypatch.setattr(WordPress, "taxonomies", read)
    put_out(graph.db, body_html="<p>Rivers rose.</p>")
    publisher.publish("story", integrations=[integration["_id"]])

    graph.site_run.run()

    assert names(publisher, other) == ["Arts & Culture", "Uncategorized"]
    found = shown(publisher, integration)
    assert found["synced_at"] is None
    assert found["sync_error"]["code"] in ("sync_crashed", "foreign_answer")
    (row,) = publisher.get("publish/status", content="story").get_json()["_items"]
    assert row["status"] == "published", row["error"]

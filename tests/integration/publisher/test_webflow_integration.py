"""Integrations with a Webflow site, over HTTP."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.peers.webflow import WebflowPeer
from tests.support.publisher_client import Publisher


@pytest.fixture
def peer() -> Iterator[WebflowPeer]:
    with WebflowPeer() as open_peer:
        yield open_peer


@pytest.fixture
def settings_of_site(peer: WebflowPeer, site: dict[str, Any]) -> dict[str, Any]:
    """What is sent to set an integration up."""
    place = peer.add_site("daily")
    articles = peer.add_collection(place, "articles", [peer.field("body", "RichText")])
    return {
        "site": site["_id"],
        "destination": "webflow",
        "name": "Daily",
        "base_url": peer.url,
        "credentials": {"token": peer.add_token()},
        "options": {"collection": articles, "site_id": place, "field_map": {"ref": None}},
    }


def test_a_webflow_site_is_connected(
    publisher: Publisher, peer: WebflowPeer, settings_of_site: dict[str, Any]
) -> None:
    """Its collection is known then; the token is shown nowhere."""
    made = publisher.post("integrations/", settings_of_site)
    assert made.status_code == 201, made.text
    path = f"integrations/{made.get_json()['_id']}"

    told = publisher.post(f"{path}/test/")

    assert told.get_json()["ok"] is True, told.text
    after = publisher.get(path)
    assert after.get_json()["state"] == "ok"
    fields = after.get_json()["remote"]["collection_fields"]
    assert [field["slug"] for field in fields] == ["name", "slug", "body"]
    token = settings_of_site["credentials"]["token"]
    assert token not in made.text + told.text + after.text


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"options": {"collection": "x"}}, "options"),
        ({"options": {"site_id": None}}, "options"),
        ({"options": {"field_map": {"body": 5}}}, "options"),
        ({"options": {"domain": "not a domain"}}, "options"),
        ({"options": {"kill_mode": "trash"}}, "options"),
        ({"options": {"schedule_mode": "remote"}}, "options"),
        ({"options": {"nothing": 1}}, "options"),
        ({"credentials": {"token": "a b"}}, "credentials"),
        ({"credentials": {"username": "x"}}, "credentials"),
    ],
)
def test_wrong_settings_are_refused(
    publisher: Publisher, settings_of_site: dict[str, Any], changes: dict[str, Any], field: str
) -> None:
    """By name."""
    body = {**settings_of_site, field: {**settings_of_site[field], **changes[field]}}

    answer = publisher.post("integrations/", body)

    assert answer.status_code == 400
    assert set(answer.get_json()["_issues"]) == {field}


def test_a_token_that_may_only_read(
    publisher: Publisher, peer: WebflowPeer, settings_of_site: dict[str, Any]
) -> None:
    """The test says which scopes it lacks."""
    settings_of_site["credentials"] = {"token": peer.add_token(["sites:read", "cms:read"])}
    made = publisher.post("integrations/", settings_of_site).get_json()

    told = publisher.post(f"integrations/{made['_id']}/test/").get_json()

    [failed] = [check for check in told["checks"] if not check["ok"]]
    assert (failed["name"], failed["class"]) == ("rights", "permission")
    assert "cms:write" in failed["message"]
    assert "new token" in failed["help"]

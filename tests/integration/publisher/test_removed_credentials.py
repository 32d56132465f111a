"""Removing what integrations of each platform log in with (cms contract 13.1, rule 3)."""

from typing import Any

import pytest

from apps.graph.build import Graph
from tests.support.clients import Client
from tests.support.publisher_client import BASE_URL, Publisher
from transmitters.cms.wordpress import WordPress

SETTINGS: dict[str, dict[str, Any]] = {
    "wordpress": {
        "base_url": BASE_URL,
        "credentials": {
            "username": "wire",
            "application_password": "abcd efgh ijkl mnop qrst uvwx",
        },
    },
    "ghost": {"base_url": BASE_URL, "credentials": {"admin_api_key": f"{'a' * 24}:{'b' * 64}"}},
    "webflow": {
        "credentials": {"token": "a-token-of-the-site"},
        "options": {"collection": "a" * 24, "site_id": "b" * 24},
    },
}
KEYS = [(name, key) for name, fields in SETTINGS.items() for key in fields["credentials"]]


@pytest.fixture
def publisher(admin: Client) -> Publisher:
    """An administrator, where integrations are of the real platforms."""
    return Publisher(admin)


@pytest.fixture
def graph(graph: Graph) -> Graph:
    """Services with the WordPress that speaks HTTP."""
    graph.platforms.add(WordPress, replace=True)
    return graph


def added(publisher: Publisher, destination: str) -> dict[str, Any]:
    fields = {"site": publisher.site()["_id"], "destination": destination, "name": "main"}
    answer = publisher.post("integrations", {**fields, **SETTINGS[destination]})
    assert answer.status_code == 201, answer.get_json()
    return dict(answer.get_json())


@pytest.mark.parametrize(("destination", "key"), KEYS)
def test_null_removes_one_secret(
    publisher: Publisher, graph: Graph, destination: str, key: str
) -> None:
    path = f"integrations/{added(publisher, destination)['_id']}"
    kept = sorted(SETTINGS[destination]["credentials"].keys() - {key})

    answer = publisher.patch(path, {"credentials": {key: None}})

    assert answer.status_code == 200, answer.get_json()
    assert publisher.get(path).get_json()["credentials"]["fields"] == kept
    stored = graph.db["publisher_integrations"].find_one({})["credentials"]
    assert sorted(stored["values"]) == kept
    assert key not in stored["hints"] | stored["plain"]
    assert publisher.patch(path, {"credentials": {key: None}}).status_code == 200
    refused = publisher.post(f"{path}/test").get_json()["checks"][0]
    assert (refused["class"], refused["code"]) == ("config", "no_credentials")


@pytest.mark.parametrize("destination", SETTINGS)
def test_null_removes_all(publisher: Publisher, graph: Graph, destination: str) -> None:
    path = f"integrations/{added(publisher, destination)['_id']}"

    for sent in (None, dict.fromkeys(SETTINGS[destination]["credentials"])):
        answer = publisher.patch(path, {"credentials": sent})

        assert answer.status_code == 200, answer.get_json()
        assert answer.get_json()["credentials"] == {"set": False, "fields": []}
    stored = graph.db["publisher_integrations"].find_one({})["credentials"]
    assert (stored["values"], stored["hints"], stored["plain"]) == ({}, {}, {})


@pytest.mark.parametrize("destination", ["wordpress", "ghost"])
def test_another_address_takes_no_nulls(publisher: Publisher, destination: str) -> None:
    path = f"integrations/{added(publisher, destination)['_id']}"

    moved = {"base_url": "http://127.0.0.1:8", "credentials": None}
    answer = publisher.patch(path, moved)

    assert answer.status_code == 400
    assert answer.get_json()["_issues"] == {"credentials": "required when base_url changes"}

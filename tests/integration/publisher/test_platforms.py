"""The platforms there are: their options, credentials and error codes (cms contract 3.6)."""

from typing import Any

import pytest

from apps.graph.build import Graph
from apps.publisher.integrations.options import issues_of, rules_of, whole_options
from tests.support.clients import Client
from tests.support.publisher_client import Publisher
from transmitters.cms.base import Platform
from transmitters.cms.registry import BUILT_IN

ID = "0123456789abcdef01234567"
TARGET = {"collection": ID, "site_id": ID}

KINDS: dict[str, dict[str, Any]] = {
    "wordpress": {
        "base_url": "http://localhost:1",
        "credentials": {"username": "wire", "application_password": "abcd " * 6},
    },
    "ghost": {
        "base_url": "http://localhost:1",
        "credentials": {"admin_api_key": f"{ID}:{'0' * 64}"},
    },
    "webflow": {"credentials": {"token": "a-token-of-webflow"}, "options": TARGET},
}
"""What an integration of each platform needs."""


@pytest.fixture
def graph(graph: Graph) -> Graph:
    """Services with the platforms that are built in."""
    for platform in BUILT_IN:
        graph.platforms.add(platform, replace=True)
    return graph


def test_every_platform_is_known() -> None:
    assert {platform.destination for platform in BUILT_IN} == set(KINDS)


@pytest.mark.parametrize("platform", BUILT_IN)
def test_defaults_keep_the_rules(platform: type[Platform]) -> None:
    options = whole_options(platform, KINDS[platform.destination].get("options"), None)

    assert issues_of(platform, options) == {}
    assert {name for name, rule in rules_of(platform).items() if "default" in rule} <= set(options)
    assert options["retract_mode"] == platform.retract_modes[0]


@pytest.mark.parametrize("destination", KINDS)
def test_an_integration_of_each_platform(
    publisher: Publisher, site: Any, graph: Graph, destination: str
) -> None:
    kind = KINDS[destination]
    body = {"site": site["_id"], "destination": destination, "name": "main", **kind}

    created = publisher.post("integrations", body)

    assert created.status_code == 201, created.text
    shown = created.get_json()
    assert shown["credentials"]["fields"] == sorted(kind["credentials"])
    opened = graph.publisher.opened.open(graph.db["publisher_integrations"].find_one({}))
    assert opened.site.credentials == kind["credentials"]
    assert opened.site.base_url.startswith("http")
    wrong = dict.fromkeys(kind["credentials"], "short and wrong")
    refused = publisher.patch(f"integrations/{shown['_id']}", {"credentials": wrong})
    assert refused.status_code == 400
    assert "credentials" in refused.get_json()["_issues"]
    removed = publisher.patch(
        f"integrations/{shown['_id']}", {"credentials": dict.fromkeys(kind["credentials"])}
    )
    assert removed.get_json()["credentials"] == {"set": False, "fields": []}


@pytest.mark.parametrize("destination", ["wordpress", "ghost"])
def test_a_site_that_is_away_fails_its_test_in_words(
    publisher: Publisher, site: Any, destination: str
) -> None:
    body = {"site": site["_id"], "destination": destination, **KINDS[destination]}

    answer = publisher.post("integrations/test", body)

    assert (answer.status_code, answer.get_json()["ok"]) == (200, False)
    failed = answer.get_json()["checks"][-1]
    assert failed["ok"] is False
    assert failed["message"]
    assert failed["class"]


def test_what_is_required_may_come_from_the_site(publisher: Publisher, site: Any) -> None:
    body = {"site": site["_id"], "destination": "webflow", "name": "main"}
    required = publisher.post("integrations", body)
    publisher.patch(f"sites/{site['_id']}", {"defaults": TARGET})

    filled = publisher.post("integrations", body)

    missing = {"collection": {"required": 1}, "site_id": {"required": 1}}
    assert required.get_json()["_issues"] == {"options": missing}
    assert filled.status_code == 201
    assert (filled.get_json()["target"], filled.get_json()["base_url"]) == (
        ID,
        "https://api.webflow.com/v2",
    )


@pytest.mark.parametrize(
    ("destination", "codes"),
    [
        ("wordpress", {"16000", "16001", "16002"}),
        ("ghost", {"17000", "17001", "17002"}),
        ("webflow", {"18000", "18001", "18002"}),
    ],
)
def test_their_error_codes_are_listed(
    editor: Client, graph: Graph, destination: str, codes: set[str]
) -> None:
    answer = editor.get("io_errors", io_type="publish", source_type=destination)

    (errors,) = answer.get_json()["_items"]
    assert set(errors["source_errors"]) == codes
    assert codes < set(errors["all_errors"])

"""From a request of a client to a page that readers see, by the real WordPress platform."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from apps.demo.site import PASSWORD, USERNAME
from apps.graph.build import Graph
from apps.publisher.integrations.platforms import Platforms
from apps.publisher.run.public_pages import PublicPages
from apps.secrets.vault import Vault
from tests.support.newsdesk import Newsdesk
from tests.support.newsroom import Newsroom
from tests.support.publisher_client import Publisher
from tests.support.services import empty_services
from tests.support.site_desk import FaultySite, holds_password


@pytest.fixture
def settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    # Who makes a wish wakes the worker; here it is the tests that carry it out.
    return {**settings, "PUBLISHER_ALLOW_HTTP": True, "PUBLISHER_ALLOW_PRIVATE": True}


@pytest.fixture
def graph(settings: Mapping[str, Any]) -> Iterator[Graph]:
    with empty_services(settings) as built:
        yield built


@pytest.fixture
def site() -> Iterator[FaultySite]:
    with FaultySite(lambda: datetime.now(UTC)) as open_site:
        yield open_site


@pytest.fixture
def private(graph: Graph, settings: Mapping[str, Any]) -> Platforms:
    """Sites as an installation opens them that allows no private addresses."""
    closed = {**settings, "PUBLISHER_ALLOW_PRIVATE": False}
    return Platforms(graph.db, graph.platforms, Vault.of(settings), closed)


@pytest.fixture
def integration(publisher: Publisher, site: FaultySite) -> dict[str, Any]:
    credentials = {"username": USERNAME, "application_password": PASSWORD}
    return publisher.integration(publisher.site(), base_url=site.url, credentials=credentials)


def test_publish_correct_kill(
    graph: Graph, publisher: Publisher, site: FaultySite, integration: dict[str, Any]
) -> None:
    newsroom = Newsroom(graph.db)
    newsroom.validators()
    desk = Newsdesk(publisher.client, newsroom)
    tested = publisher.post(f"integrations/{integration['_id']}/test").get_json()
    assert tested["ok"], tested["checks"]
    item = desk.published(keywords=["Rivers"])
    publisher.publish(item["_id"])
    graph.site_run.run()
    status = publisher.get("publish/status", content=item["_id"]).get_json()
    (shown,) = status["_items"]
    assert shown["status"] == "published", shown["error"]
    assert site.shows("Rivers rose on Friday.")
    assert desk.client.get(f"archive/{item['_id']}").get_json()["publisher"] == [
        {
            "integration": integration["_id"],
            "destination": "wordpress",
            "status": "published",
            "external_url": shown["external_url"],
        }
    ]
    desk.act("correct", item, body_html="<p>Rivers rose on Saturday.</p>")
    publisher.publish(item["_id"])
    graph.site_run.run()
    assert site.shows("Saturday")
    assert not site.shows("Friday")
    desk.act("kill", item, body_html="<p>Withdrawn.</p>")
    publisher.publish(item["_id"])
    graph.site_run.run()
    assert not site.content.live()
    (shown,) = publisher.get("publish/status", content=item["_id"]).get_json()["_items"]
    assert (shown["status"], shown["error"]) == ("retracted", None)
    for name in graph.db.list_collection_names():
        for document in graph.db[name].find():
            assert not holds_password(str(document)), name


def test_terms_are_read_when_somebody_asks(
    graph: Graph, publisher: Publisher, site: FaultySite, integration: dict[str, Any]
) -> None:
    site.content.add_term("categories", {"name": "Arts & Culture"})
    assert publisher.post(f"integrations/{integration['_id']}/taxonomies/sync").status_code == 202
    graph.site_run.run()
    terms = publisher.get(f"integrations/{integration['_id']}/taxonomies").get_json()
    names = [term["name"] for each in terms["_items"] for term in each["terms"]]
    assert names == ["Arts & Culture", "Uncategorized"]
    assert graph.site_sync.run() == 0
    assert graph.publisher_cleanup.run() == 0


@pytest.mark.parametrize(("target", "status"), [("/gone/", 404), ("/elsewhere/", 410), (None, 404)])
def test_page_that_leads_elsewhere_counts_as_gone(
    graph: Graph, site: FaultySite, target: str | None, status: int
) -> None:
    if target:
        site.redirects["/gone"] = f"{site.url}{target}"
    pages = PublicPages(graph.publisher.opened.page_client, graph.publisher.opened.foreign_client)
    assert pages.visit(f"{site.url}/gone", site.url) == status


@pytest.mark.parametrize(
    "page", ["{here}/", "http://127.1:{port}/", "http://[::ffff:127.0.0.1]:{port}/", "http://["]
)
def test_site_elsewhere_leads_nobody_to_this_machine(
    private: Platforms, site: FaultySite, page: str
) -> None:
    """Neither with the address that it tells of a page, nor with one that it redirects to."""
    pages = PublicPages(private.page_client, private.foreign_client)
    url = page.format(here=site.url, port=site.server_port)
    site.redirects["/leads"] = url
    assert pages.visit(url, "https://kestrel.example") is None
    assert not site.requests
    assert pages.visit(f"{site.url}/leads", site.url) in (None, 410)

"""GET `/site-definition/`: what the public may know (cms contract 2.3, cms scenario 43)."""

from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from apps.graph.build import Graph
from apps.publisher.site_definition.service import SiteDefinitions
from tests.support.clients import Client
from tests.support.fake_sites import PASSWORD
from tests.support.newsdesk import HandClock
from tests.support.publisher_client import Publisher, put_out

PATH = "v1/publisher/site-definition"

CATEGORIES = {
    "_id": "categories",
    "display_name": "Categories",
    "type": "manageable",
    "service": {"all": 1},
    "items": [
        {"qcode": "a", "name": "Home & World", "is_active": True},
        {"qcode": "b", "name": "Old", "is_active": False},
        {"qcode": 7, "name": "Sports", "is_active": True, "parent": "a"},
    ],
}
TOPICS = {
    "_id": "topics",
    "display_name": "Topics",
    "type": "manageable",
    "items": [{"qcode": "t1", "name": "Floods", "is_active": True}],
}
SECRET = {**TOPICS, "_id": "internal", "type": "unmanageable", "display_name": "Internal"}
EXCLUDED = {**TOPICS, "_id": "rightsinfo", "display_name": "Rights"}
PROFILE = {
    "_id": "article",
    "label": "Article",
    "enabled": True,
    "schema": {"headline": {"type": "string", "required": True}, "body_html": {}, "off": None},
}


@pytest.fixture
def site(publisher: Publisher, graph: Graph) -> dict[str, Any]:
    """A public site."""
    graph.db["vocabularies"].insert_many([CATEGORIES, TOPICS, SECRET, EXCLUDED])
    graph.db["content_types"].insert_one(PROFILE)
    return publisher.site(
        public=True,
        description="Write to desk@kestrel.example",
        schemes=["categories", "topics", "internal", "rightsinfo"],
        content_types=["article"],
        url_structure={"post": "/news/{slug}"},
    )


def test_everybody_may_read_it(anonymous: Client, site: Any, integration: Any) -> None:
    for path in (PATH, f"{PATH}/", f"{PATH}/kestrel", f"{PATH}/kestrel/"):
        answer = anonymous.request("GET", path, headers={"Origin": "https://anybody.example"})
        assert answer.status_code == 200, path
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Credentials" not in answer.headers
        assert answer.headers["Cache-Control"] == "public, max-age=300"
        etag = answer.headers["ETag"]
        assert etag.startswith('W/"')
        again = anonymous.request("GET", path, headers={"If-None-Match": etag})
        assert (again.status_code, again.data) == (304, b"")
        assert again.headers["ETag"] == etag
        assert anonymous.request("HEAD", path).status_code == 200
        assert anonymous.request("OPTIONS", path).status_code == 200
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            assert anonymous.request(method, path, json={}).status_code in (401, 404, 405)


def test_it_tells_of_taxonomies_profiles_and_addresses(
    anonymous: Client, site: Any, integration: Any, graph: Graph
) -> None:
    put_out(graph.db, "a", anpa_category=[{"qcode": "a"}], profile="article")
    put_out(graph.db, "b", anpa_category=[{"qcode": "a"}, {"qcode": 7}], profile="article")
    put_out(graph.db, "killed", "killed", anpa_category=[{"qcode": "a"}], profile="article")
    ends = graph.clock.now() + timedelta(hours=1)
    secret = {"anpa_category": [{"qcode": "a"}], "profile": "article", "embargo": ends}
    put_out(graph.db, "embargoed", **secret)
    subject = [{"qcode": "t1", "scheme": "topics"}, {"qcode": "t1", "scheme": "others"}]
    put_out(graph.db, "c", subject=subject, profile="article")

    definition = anonymous.get(f"{PATH}/kestrel").get_json()

    assert definition["site"]["name"] == "The Kestrel"
    assert definition["site"]["updated"] == site["_updated"]
    categories, topics = definition["taxonomies"]
    assert (categories["scheme"], categories["name"]) == ("categories", "Categories")
    assert categories["hierarchical"] is True
    assert categories["terms"] == [
        {"id": "a", "name": "Home & World", "slug": "home-world", "parent": None, "count": 2},
        {"id": "7", "name": "Sports", "slug": "sports", "parent": "a", "count": 1},
    ]
    assert topics["terms"][0]["count"] == 1
    assert definition["content_types"] == [
        {
            "id": "article",
            "name": "Article",
            "kind": "post",
            "fields": [
                {"name": "headline", "type": "string", "required": True},
                {"name": "body_html", "type": "string", "required": False},
            ],
            "destinations": [{"destination": "wordpress", "type": "posts"}],
        }
    ]
    assert definition["url_structure"]["post"] == "/news/{slug}"
    assert definition["links"]["items"].endswith("/items")


def test_private_sites_are_not_there(
    publisher: Publisher, anonymous: Client, site: Any, graph: Graph
) -> None:
    publisher.site(slug="private")

    for client in (anonymous, publisher.client):
        assert client.get(f"{PATH}/private").status_code == 404
        assert client.get(f"{PATH}/nothing").status_code == 404
        listed = client.get(PATH).get_json()
        assert [each["site"]["slug"] for each in listed["_items"]] == ["kestrel"]
        assert listed["_meta"] == {"total": 1}
    publisher.patch(f"sites/{site['_id']}", {"public": False})
    assert anonymous.get(f"{PATH}/kestrel").status_code == 404


def test_it_holds_nothing_secret(
    anonymous: Client, site: Any, integration: Any, graph: Graph
) -> None:
    text = anonymous.get(f"{PATH}/kestrel").text + anonymous.get(PATH).text

    for secret in (
        integration["_id"],
        PASSWORD[-4:],
        "enc:v1",
        "wire",
        "admin",
        "@",
        "Old",
        "Internal",
        "Rights",
        "service",
        "127.0.0.1:9",
        "default",
    ):
        assert secret not in text.replace("wordpress", ""), secret


def counted(client: Client) -> int:
    taxonomies = client.get(f"{PATH}/kestrel").get_json()["taxonomies"]
    return int(taxonomies[0]["terms"][0]["count"])


def test_a_site_is_counted_once_a_minute(
    anonymous: Client, site: Any, graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = HandClock()
    monkeypatch.setattr(graph.publisher.site_definitions, "_clock", clock)
    assert counted(anonymous) == 0
    put_out(graph.db, "a", anpa_category=[{"qcode": "a"}], profile="article")
    clock.advance(seconds=59)
    assert counted(anonymous) == 0
    clock.advance(seconds=1)
    assert counted(anonymous) == 1


def another_process(graph: Graph, clock: HandClock, **more: Any) -> SiteDefinitions:
    return SiteDefinitions(graph.db, clock, graph.settings, **more)


def count_of(definitions: SiteDefinitions) -> int:
    return int(definitions.of("kestrel")["taxonomies"][0]["terms"][0]["count"])


def test_processes_share_what_one_has_counted(site: Any, graph: Graph) -> None:
    """In the same minute; while one counts anew, the others show what was before."""
    clock = HandClock()
    first, second = another_process(graph, clock), another_process(graph, clock)
    assert count_of(first) == 0
    put_out(graph.db, "a", anpa_category=[{"qcode": "a"}], profile="article")
    clock.advance(seconds=59)
    assert count_of(second) == 0
    clock.advance(seconds=2)
    now, id_ = clock.precise(), {"_id": ObjectId(site["_id"])}
    graph.db["publisher_site_contents"].update_one(id_, {"$set": {"claimed_at": now}})
    assert (count_of(first), count_of(second)) == (0, 0)
    # It died.
    clock.advance(seconds=61)
    assert (count_of(second), count_of(first)) == (1, 1)
    assert first.of("kestrel") == second.of("kestrel")


def test_a_first_count_is_waited_for(site: Any, graph: Graph) -> None:
    """One process counts; others that have nothing to show take what it finds."""
    clock = HandClock()
    counting = another_process(graph, clock)
    id_ = ObjectId(site["_id"])
    taken = {"_id": id_, "claimed_at": clock.precise()}
    graph.db["publisher_site_contents"].insert_one(taken)
    naps: list[float] = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            counting._counted(graph.db["publisher_sites"].find_one({}) or {}, clock.precise())
            put_out(graph.db, "a", anpa_category=[{"qcode": "a"}], profile="article")

    waiting = another_process(graph, clock, sleep=nap)
    assert count_of(waiting) == 0
    assert len(naps) == 3

    graph.db["publisher_site_contents"].replace_one({"_id": id_}, taken)
    alone = another_process(graph, clock, sleep=lambda seconds: None)
    assert count_of(alone) == 1

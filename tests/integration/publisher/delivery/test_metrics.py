"""What Prometheus reads of CMS sites (cms contract 14)."""

import json
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.clients import Client, first_client
from tests.support.publisher_client import API, Publisher
from tests.support.site_desk import FaultySite, holds_password
from tests.support.site_newsroom import AUTO, SiteNewsroom

PATH = f"{API}/metrics"
LABELS = {"account", "integration", "name", "destination"}


def samples(client: Client) -> dict[str, float]:
    """Return what is measured, by name and what tells apart values of one integration."""
    answer = client.get(PATH)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    found = {}
    for family in text_string_to_metric_families(answer.text):
        for one in family.samples:
            assert LABELS <= one.labels.keys()
            more = [value for key, value in one.labels.items() if key not in LABELS]
            name = one.name.removeprefix("wiredesk_publisher_")
            found[" ".join([name, *more])] = one.value
    return found


def test_what_is_published_is_counted(newsroom: SiteNewsroom, site: FaultySite) -> None:
    """Outcomes by kind, and seconds until readers saw a version."""
    newsroom.use(AUTO)
    item = newsroom.desk.published()
    newsroom.clock.advance(seconds=20)
    newsroom.go()
    newsroom.desk.act("correct", item, body_html="<p>Rivers rose on Saturday.</p>")
    newsroom.clock.advance(seconds=200)
    newsroom.go()
    newsroom.desk.act("kill", item)
    newsroom.go()
    found = samples(newsroom.publisher.client)
    outcomes = {name: value for name, value in found.items() if name.startswith("outcomes")}
    assert outcomes == {
        "outcomes_total created": 1,
        "outcomes_total updated": 1,
        "outcomes_total retracted": 1,
    }
    assert found["live_seconds_count"] == 2
    assert 220 <= found["live_seconds_sum"] < 260
    steps = [found[f"live_seconds_bucket {bound}.0"] for bound in (5, 15, 60, 120, 300, 3600)]
    assert steps == [0, 0, 1, 1, 2, 2]
    assert (found["queue_age_seconds"], found["kills_outstanding"]) == (0, 0)
    assert found["duplicates_removed_total"] == 0


def test_what_waits_is_shown(newsroom: SiteNewsroom, site: FaultySite) -> None:
    """By the class of what is in the way, with its age; kills apart; and what was given up."""
    newsroom.use(AUTO)
    newsroom.options(on_media_failure="fail")
    killed = newsroom.desk.published()
    newsroom.go()
    newsroom.desk.act("kill", killed)
    newsroom.desk.published(headline="Another")
    site.fault = lambda request: "down"
    newsroom.go()
    newsroom.clock.advance(seconds=90)
    found = samples(newsroom.publisher.client)
    # The kill may have arrived.
    assert (found["waiting transient"], found["waiting ambiguous"]) == (1, 1)
    assert (found["errors_total transient"], found["errors_total ambiguous"]) == (1, 1)
    assert found["kills_outstanding"] == 1
    assert found["queue_age_seconds"] >= 90
    site.fault = lambda request: "invalid"
    newsroom.clock.advance(hours=1)
    newsroom.go()
    found = samples(newsroom.publisher.client)
    assert found["failed validation"] == 1
    assert found["kills_outstanding"] == 1


def test_duplicates_are_counted(newsroom: SiteNewsroom, site: FaultySite) -> None:
    newsroom.use(AUTO)
    item = newsroom.desk.published()
    newsroom.go()
    twin = dict(site.post())
    twin["id"] = 9_999
    site.content.entries[9_999] = twin
    record = newsroom.record()
    doubt = {"phase": "unknown", "external_id": None, "slug": record["slug"]}
    newsroom.db["publishing_records"].update_one({}, {"$set": doubt})
    newsroom.desk.act("correct", item, body_html="<p>Rivers rose on Saturday.</p>")
    newsroom.settle()
    assert samples(newsroom.publisher.client)["duplicates_removed_total"] == 1
    assert len(site.content.live()) == 1


def test_of_the_own_account_only(
    newsroom: SiteNewsroom, stranger: Publisher, app: Any, graph: Any
) -> None:
    """And for those who may read what is published; nobody else, and nothing secret."""
    newsroom.use(AUTO)
    newsroom.desk.published()
    newsroom.go()
    own = newsroom.publisher.client.get(PATH).text
    assert str(newsroom.integration["_id"]) in own
    assert str(newsroom.integration["_id"]) not in stranger.client.get(PATH).text
    assert Client(app).get(PATH).status_code == 401
    plain = first_client(app, graph, "plain", user_type="user")
    assert plain.get(PATH).status_code == 403
    assert not holds_password(own)
    assert "password" not in own


@pytest.mark.parametrize("name", ['quo"te', "back\\slash", "line\nend", "Straße"])
def test_names_of_any_kind(newsroom: SiteNewsroom, name: str) -> None:
    path = f"integrations/{newsroom.integration['_id']}"
    assert newsroom.publisher.patch(path, {"name": name}).status_code == 200
    families = text_string_to_metric_families(newsroom.publisher.client.get(PATH).text)
    names = {one.labels["name"] for family in families for one in family.samples}
    assert names == {name}, json.dumps(sorted(names))

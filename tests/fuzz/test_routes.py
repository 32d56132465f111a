"""Requests that nobody should send, to every route: none is our fault, none hurts anybody else."""

import os
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from apps.graph.build import Graph
from apps.initial_data import load
from tests.support.clients import Client, first_client
from tests.support.fuzzing import Campaign
from tests.support.newsdesk import Newsdesk
from tests.support.newsroom import Newsroom, push
from tests.support.publisher_client import Publisher
from tests.support.receivers import HTTPReceiver

SEED = int(os.environ.get("WIREDESK_FUZZ_SEED") or 1)
PARTS = 4
REQUESTS = 500
"""Requests of one part: 2 000 in a usual run."""
PARTS_OF_CAMPAIGN = 20
REQUESTS_OF_CAMPAIGN = 1000
ROUTE_EVERY = 250
"""Requests after which what they published is routed and sent."""

pytestmark = pytest.mark.timeout(1800)


@pytest.mark.parametrize("part", range(PARTS))
def test_no_request_breaks_anything(app: Any, graph: Graph, tmp_path: Path, part: int) -> None:
    """No 5xx, no long work; then lists are shown, and a story and its kill are delivered.

    WIREDESK_FUZZ_SEED names other requests.
    """
    fuzz(app, graph, tmp_path, f"{SEED}{part:02}", REQUESTS)


@pytest.mark.chaos
@pytest.mark.parametrize("part", range(PARTS_OF_CAMPAIGN))
def test_no_request_of_a_campaign_breaks_anything(
    app: Any, graph: Graph, tmp_path: Path, part: int
) -> None:
    """The same with ten times as many requests."""
    fuzz(app, graph, tmp_path, f"{SEED}{part:02}", REQUESTS_OF_CAMPAIGN)


def fuzz(app: Any, graph: Graph, directory: Path, seed: str, count: int) -> None:
    """Send requests to a newsroom at work, and look at how it is afterwards."""
    newsroom = populated(app, graph)
    campaign = Campaign(app, graph, int(seed), directory)
    broken: list[str] = []
    with HTTPReceiver() as receiver:
        newsroom.subscriber("innocent", push(receiver.url))
        for _ in range(count // ROUTE_EVERY):
            campaign.run(ROUTE_EVERY)
            graph.enqueue.run()
            graph.transmit.run()
        broken += lists_that_fail(app, graph)
        broken += innocents_that_wait(app, graph, receiver)
    report = campaign.report()
    summary = f"WIREDESK_FUZZ_SEED={SEED}: {dict(sorted(campaign.statuses.items()))}"
    assert not [*broken, *filter(None, [report])], "\n".join([summary, *broken, report])


def populated(app: Any, graph: Graph) -> Newsroom:
    """Fill the database with documents of every kind, published ones too."""
    newsroom = Newsroom(graph.db)
    load(graph.db, graph.clock, ["vocabularies", "content_templates", "roles"])
    for kind in ("text", "picture", "composite"):
        newsroom.validators(item_type=kind)
    desk = Newsdesk(first_client(app, graph, "seeder", user_type="administrator"), newsroom)
    desk.published()
    picture = desk.story(type="picture")
    story = desk.story(associations={"featuremedia": {"_id": picture["_id"], "type": "picture"}})
    desk.act("publish", story)
    refs = [{"residRef": story["_id"]}]
    groups = [{"id": "root", "refs": [{"idRef": "main"}]}, {"id": "main", "refs": refs}]
    desk.act("publish", desk.story(type="composite", groups=groups))
    for _ in range(3):
        desk.story()
    client = desk.client
    condition = {"name": "c", "field": "headline", "operator": "like", "value": "river"}
    stored = client.create("filter_conditions", condition)
    rule = {"name": "f", "content_filter": [{"expression": {"fc": [stored["_id"]]}}]}
    rule_id = client.create("content_filters", rule)["_id"]
    content_filter = {"filter_id": rule_id, "filter_type": "permitting"}
    product = client.create("products", {"name": "p", "content_filter": content_filter})
    subscriber = {
        "name": "s",
        "subscriber_type": "wire",
        "is_active": True,
        "email": "s@example.com",
        "products": [product["_id"]],
        "sequence_num_settings": {"min": 1, "max": 9},
        "destinations": [
            {"name": name, "format": name, "delivery_type": "http_push", "config": config}
            for name in ("ninjs", "nitf", "newsmlg2")
            for config in [{"resource_url": "http://127.0.0.1:9"}]
        ],
    }
    subscriber_id = client.create("subscribers", subscriber)["_id"]
    client.create("subscriber_token", {"subscriber": subscriber_id})
    own_desk = client.create("desks", {"name": "d"})
    client.create("stages", {"name": "s", "desk": own_desk["_id"]})
    client.create("highlights", {"name": "day", "desks": []})
    client.create("roles", {"name": "r", "privileges": {"archive": 1}})
    client.create("content_types", {"_id": "t", "label": "t", "schema": {}, "editor": {}})
    client.create(
        "vocabularies", {"_id": "v", "display_name": "v", "type": "manageable", "items": []}
    )
    copies = {"name": "i", "desk": own_desk["_id"], "is_active": True}
    client.create("internal_destinations", copies)
    desk.act("publish", desk.story(), publish_schedule="2099-01-01T00:00:00+0000")
    client.post(f"archive/{desk.story()['_id']}/lock", {"lock_action": "edit"})
    client.patch(f"archive/spike/{desk.story()['_id']}", {})
    client.post("archive_autosave", {"_id": story["_id"], "headline": "unsaved"})
    client.post("marked_for_desks", {"marked_desk": own_desk["_id"], "marked_item": story["_id"]})
    graph.enqueue.run()
    graph.transmit.run()
    connect_a_site(Publisher(client), story["_id"])
    stored_by_others(graph)
    return newsroom


def connect_a_site(publisher: Publisher, item_id: str) -> None:
    """Publish an item to a CMS site that does not answer."""
    site = publisher.site(public=True, content_types=["t"], schemes=["v"])
    integration = publisher.integration(site)
    assert publisher.publish(item_id).status_code == 202
    body = {"site": site["_id"], "deployment_type": "full"}
    assert publisher.post("deployments", body).status_code == 202
    row = {"integration": integration["_id"], "scheme": "v", "qcode": "q", "mode": "ignore"}
    assert publisher.post("taxonomy-map", row).status_code == 201


def stored_by_others(graph: Graph) -> None:
    """Add documents of resources that the API itself does not make."""
    row = graph.db["published"].find_one({"state": "published"}) or {}
    stamps = {"_created": graph.clock.now(), "_updated": graph.clock.now(), "_etag": "e"}
    old = {**row, **stamps, "_id": ObjectId(), "item_id": "old", "guid": "old"}
    graph.db["archived"].insert_one({**old, "archived_id": "old:1"})
    graph.db["ingest"].insert_one({**old, **stamps, "_id": "ingested", "guid": "ingested"})
    graph.db["activity"].insert_one({**stamps, "name": "x", "message": "x", "recipients": []})
    graph.db["legal_archive"].insert_one({**old, **stamps, "_id": "old"})


def lists_that_fail(app: Any, graph: Graph) -> list[str]:
    """Return what cannot be listed any more."""
    admin = first_client(app, graph, "reader", user_type="administrator")
    failing = []
    for rule in app.url_map.iter_rules():
        if not rule.endpoint.endswith("|resource") or "GET" not in rule.methods or rule.arguments:
            continue
        answer = admin.get(rule.rule.removeprefix("/api/"))
        if answer.status_code != 200:
            failing.append(f"GET {rule.rule}: {answer.status_code} {answer.text[:300]}")
    return failing


def innocents_that_wait(app: Any, graph: Graph, receiver: HTTPReceiver) -> list[str]:
    """Publish and kill a story; return what has not been delivered within one tick.

    What rules say is no fault: those that block everything are switched off.
    """
    graph.db["content_filters"].update_many({}, {"$set": {"is_global": False}})
    graph.db["vocabularies"].update_many({}, {"$unset": {"schema": 1}})
    admin = first_client(app, graph, "innocent", user_type="administrator")
    desk = Newsdesk(Client(app, admin.token), Newsroom(graph.db, "Innocents"))
    story = desk.story()
    waiting = []
    for action in ("publish", "kill"):
        desk.act(action, story)
        graph.enqueue.run()
        graph.transmit.run()
        own = [r.json() for r in receiver.requests if r.json().get("guid") == story["guid"]]
        rows = [row for row in desk.rows(item_id=story["_id"]) if is_for(receiver, row)]
        told = {row["publishing_action"] for row in rows}
        if PUBLISHING_ACTIONS[action] not in told or len(own) != len(set(map(delivery_of, rows))):
            shown = [{k: v for k, v in row.items() if k in SHOWN} for row in rows]
            waiting.append(f"{action}: {len(own)} deliveries, rows {shown}")
    return waiting


def is_for(receiver: HTTPReceiver, row: dict[str, Any]) -> bool:
    """Whether a row goes to the receiver: requests may have made more subscribers that have it."""
    return bool(row["destination"]["config"].get("resource_url") == receiver.url)


def delivery_of(row: dict[str, Any]) -> tuple[Any, ...]:
    """Return what there may be one row for."""
    return (row["subscriber_id"], row["destination"]["_id"], row["item_version"])


PUBLISHING_ACTIONS = {"publish": "published", "kill": "killed"}
SHOWN = ("state", "error_message", "publishing_action", "item_version")

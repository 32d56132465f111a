"""Fetching ingested items at the HTTP edge."""

from typing import Any

import pytest
from bson import ObjectId

from apps.graph import Graph
from tests.support.events import Events
from tests.support.newsroom import Newsroom

SOURCE = "tag:wire:1"


@pytest.fixture
def newsroom(graph: Graph) -> Newsroom:
    newsroom = Newsroom(graph.db)
    graph.db["ingest"].insert_one(
        {
            "_id": SOURCE,
            "guid": "urn:wire:1",
            "type": "text",
            "state": "ingested",
            "headline": "From the wire",
            "source": "WIRE",
            "ingest_provider": ObjectId(),
            "_etag": "x",
        }
    )
    return newsroom


def body(newsroom: Newsroom, **fields: Any) -> dict[str, Any]:
    return {"desk": str(newsroom.desk["_id"]), **fields}


def test_makes_an_item_on_the_desk(admin: Any, newsroom: Newsroom, graph: Graph) -> None:
    """R49: fetched, version 1, on the incoming stage, with its origin."""
    fetched = admin.create(f"ingest/{SOURCE}/fetch", body(newsroom))

    item = admin.get(f"archive/{fetched['_id']}").get_json()
    assert ("fetched", "fetch", 1, SOURCE, SOURCE, "urn:wire:1", "WIRE", "From the wire") == (
        item["state"],
        item["operation"],
        item["_current_version"],
        item["ingest_id"],
        item["family_id"],
        item["uri"],
        item["source"],
        item["headline"],
    )
    assert item["guid"].startswith("tag:")
    assert str(newsroom.desk["incoming_stage"]) == item["task"]["stage"]
    assert (graph.db["ingest"].find_one({"_id": SOURCE}) or {})["archived"]
    rows = graph.db["archive_history"].find({"item_id": item["_id"]})
    assert ["fetch"] == [row["operation"] for row in rows]
    assert 1 == graph.db["archive_versions"].count_documents({"_id_document": item["_id"]})


def test_takes_fields_of_the_request(admin: Any, newsroom: Newsroom) -> None:
    """State, stage and content of the request win."""
    request = body(newsroom, stage=newsroom.task["stage"], state="in_progress", headline="Ours")

    item = admin.create(f"ingest/{SOURCE}/fetch", request)

    assert ("in_progress", "Ours", newsroom.task["stage"]) == (
        item["state"],
        item["headline"],
        item["task"]["stage"],
    )


def test_tells_clients(admin: Any, newsroom: Newsroom, settings: Any) -> None:
    """`item:fetch` says where the item is now."""
    with Events(settings["REDIS_URL"], settings["NOTIFICATION_CHANNEL"]) as events:
        item = admin.create(f"ingest/{SOURCE}/fetch", body(newsroom))
        (told,) = events.named("item:fetch")

    assert (item["_id"], str(newsroom.desk["_id"])) == (told["item"], told["to_desk"])


def test_refuses_unknown_things(admin: Any, newsroom: Newsroom) -> None:
    """R49: the ingested item and the desk must exist, and a desk must be named."""
    unknown = str(ObjectId())

    no_item = admin.post("ingest/unknown/fetch", body(newsroom))
    no_desk = admin.post(f"ingest/{SOURCE}/fetch", {"desk": unknown})
    missing = admin.post(f"ingest/{SOURCE}/fetch", {})

    assert (404, "Failed to find ingest item with _id: unknown") == (
        no_item.status_code,
        no_item.get_json()["_message"],
    )
    assert f"Invalid desk identifier {unknown}" == no_desk.get_json()["_message"]
    assert (400, {"desk": {"required": 1}}) == (missing.status_code, missing.get_json()["_issues"])


def test_needs_the_privilege(editor: Any, newsroom: Newsroom) -> None:
    """Without the privilege `fetch` nothing is fetched."""
    assert 403 == editor.post(f"ingest/{SOURCE}/fetch", body(newsroom)).status_code


def test_ingested_items_are_read(admin: Any, editor: Any, newsroom: Newsroom) -> None:
    """`ingest` is read by who may search globally, and written by nobody."""
    assert [SOURCE] == [item["_id"] for item in admin.get("ingest").get_json()["_items"]]
    assert "From the wire" == admin.get(f"ingest/{SOURCE}").get_json()["headline"]
    assert 403 == editor.get("ingest").status_code
    assert 403 == editor.get(f"ingest/{SOURCE}").status_code
    assert 405 == admin.post("ingest", {}).status_code

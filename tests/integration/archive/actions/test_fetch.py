"""Fetching ingested items at the HTTP edge."""

from typing import Any

import pytest
from bson import ObjectId

from apps.graph.build import Graph
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
    """Resources scenario R49: fetched, version 1, on the incoming stage, with its origin."""
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
    """The ingested item and the desk must exist, and a desk must be named.

    Resources scenario R49.
    """
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


class TestHoldings:
    """Resources contract 12: members of a package and ingested associations are fetched with it."""

    @pytest.fixture
    def package(self, graph: Graph, newsroom: Newsroom) -> str:
        picture = {"_id": "pic", "type": "picture", "headline": "Flood", "slugline": "own"}
        held = {"_id": "pic", "type": "picture", "headline": "Cropped"}
        inner = [self.group("inner-text", location="ingest")]
        outer = [self.group("member"), self.group("inner", "member", group="side")]
        graph.db["ingest"].insert_many(
            [
                {"state": "ingested", "_etag": "x", **item}
                for item in (
                    picture,
                    {"_id": "member", "type": "text", "associations": {"featuremedia": held}},
                    {"_id": "inner-text", "type": "text"},
                    {"_id": "inner", "type": "composite", "groups": [self.root("main"), *inner]},
                    {
                        "_id": "pack",
                        "type": "composite",
                        "groups": [self.root("main", "side"), *outer],
                    },
                )
            ]
        )
        return "pack"

    @staticmethod
    def root(*names: str) -> dict[str, Any]:
        return {"id": "root", "role": "grpRole:NEP", "refs": [{"idRef": name} for name in names]}

    @staticmethod
    def group(*ids: str, group: str = "main", **fields: Any) -> dict[str, Any]:
        return {"id": group, "refs": [{"residRef": item_id, **fields} for item_id in ids]}

    def test_go_with_what_holds_them(
        self, admin: Any, newsroom: Newsroom, graph: Graph, package: str
    ) -> None:
        """At any depth, each once, in the state and place of the package, linked to it."""
        fetched = admin.create(f"ingest/{package}/fetch", body(newsroom, state="in_progress"))

        items = {item["ingest_id"]: item for item in graph.db["archive"].find()}
        assert {"pack", "member", "inner", "inner-text", "pic"} == set(items)
        assert {"in_progress"} == {item["state"] for item in items.values()}
        assert {newsroom.desk["incoming_stage"]} == {i["task"]["stage"] for i in items.values()}
        assert 5 == len({item["unique_id"] for item in items.values()})
        refs = [ref for group in fetched["groups"] for ref in group["refs"] if "residRef" in ref]
        ids = {name: item["_id"] for name, item in items.items()}
        assert [(ids["member"], "archive"), (ids["inner"], "archive")] == [
            (ref["residRef"], ref["location"]) for ref in refs[:2]
        ]
        assert ids["member"] == refs[2]["residRef"]
        assert [{"package": ids["pack"]}] == items["member"]["linked_in_packages"]
        assert [{"package": ids["inner"]}] == items["inner-text"]["linked_in_packages"]
        assert 5 == graph.db["archive_history"].count_documents({"operation": "fetch"})
        assert 5 == graph.db["archive_versions"].count_documents({"_current_version": 1})
        assert 5 == graph.db["ingest"].count_documents({"archived": {"$exists": True}})

    def test_associations_become_ours(
        self, admin: Any, newsroom: Newsroom, graph: Graph, package: str
    ) -> None:
        """The association names the fetched picture, with the words that were chosen for it."""
        item = admin.create("ingest/member/fetch", body(newsroom))

        picture = graph.db["archive"].find_one({"ingest_id": "pic"}) or {}
        held = item["associations"]["featuremedia"]
        assert (picture["_id"], "Cropped", "own", "fetched") == (
            held["_id"],
            held["headline"],
            held["slugline"],
            held["state"],
        )
        assert [(picture["_id"], "featuremedia")] == [(r["_id"], r["key"]) for r in item["refs"]]
        assert ("Flood", 1) == (picture["headline"], picture["used_count"])

    def test_refuse_what_is_missing(
        self, admin: Any, newsroom: Newsroom, graph: Graph, package: str
    ) -> None:
        """A member that is not there is named, and nothing is fetched."""
        graph.db["ingest"].delete_one({"_id": "inner-text"})

        answer = admin.post(f"ingest/{package}/fetch", body(newsroom))

        assert (404, "Failed to find ingest item with _id: inner-text") == (
            answer.status_code,
            answer.get_json()["_message"],
        )
        assert 0 == graph.db["archive"].count_documents({})
        assert 0 == graph.db["ingest"].count_documents({"archived": {"$exists": True}})

    def test_a_package_may_hold_itself(self, admin: Any, newsroom: Newsroom, graph: Graph) -> None:
        """Whatever ingest let in, a fetch comes to an end."""
        groups = [self.root("main"), self.group("loop", location="ingest")]
        graph.db["ingest"].insert_one(
            {"_id": "loop", "type": "composite", "state": "ingested", "groups": groups}
        )

        answer = admin.post("ingest/loop/fetch", body(newsroom))

        assert 201 == answer.status_code
        assert 1 == graph.db["archive"].count_documents({})

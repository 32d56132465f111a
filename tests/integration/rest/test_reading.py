"""What the database holds can always be shown, whoever wrote it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import Binary, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.code import Code
from pymongo.errors import OperationFailure

from apps.core import json
from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.clients import Client

ID = ObjectId("65f000000000000000000001")

ODD: dict[str, Any] = {
    "null": None,
    "dbref": DBRef("a", 1),
    "decimal": Decimal128("1.5"),
    "binary": Binary(b"\xff"),
    "regex": Regex("^a", "i"),
    "code": Code("x"),
    "timestamp": Timestamp(5, 1),
    "min": MinKey(),
    "max": MaxKey(),
    "long": Int64(2**60),
    "nan": float("nan"),
    "infinite": float("inf"),
    "number": 5,
    "text": "x",
    "flag": True,
    "date": datetime(2026, 3, 2, tzinfo=UTC),
    "list": [None, 5, "x", [], {}],
    "object": {"x": None, "y": [1]},
    "objects": [{"_id": 5, "name": None, "user": 5, "desk": []}],
    "id": ObjectId(),
}


def stored_resources(app: Any) -> Iterator[Document]:
    """Yield the definition of every resource that can be listed."""
    for definition in app.config["DOMAIN"].values():
        is_listed = "GET" in definition["resource_methods"] and "<" not in definition["url"]
        if is_listed and not definition["internal_resource"]:
            yield definition


def plant(graph: Graph, definition: Document, value: Any) -> Any:
    """Store a document with `value` in every field, next to a plain one; return its id."""
    source = definition["datasource"]["source"]
    # The caller has to be found, whatever is beside.
    unlike = {"username": "odd", "is_active": True, "is_enabled": True}
    fields = {field: value for field in definition["schema"] if not field.startswith("_")}
    if source == "users":
        fields.update(unlike)
    id_ = "odd" if definition["schema"]["_id"]["type"] == "string" else ID
    try:
        graph.db[source].insert_one({**fields, "_id": id_})
    except OperationFailure:
        # Some values do not go into the indexes of the embedded store.
        return None
    return id_


@pytest.mark.parametrize("kind", ODD)
def test_odd_values_in_every_field_of_every_resource(
    app: Any, graph: Graph, admin: Client, kind: str
) -> None:
    """Lists and single documents answer, whatever another program has stored."""
    wrong = {}
    for definition in stored_resources(app):
        source = definition["datasource"]["source"]
        graph.db[source].delete_many({"_id": {"$in": ["odd", ID]}})
        id_ = plant(graph, definition, ODD[kind])
        if id_ is None:
            continue
        related = {f: 1 for f, rules in definition["schema"].items() if "data_rel" in str(rules)}
        embedded = json.dumps(related).decode()
        for path in (definition["url"], f"{definition['url']}/{id_}"):
            answers = (admin.get(path), admin.get(path, embedded=embedded))
            if any(answer.status_code >= 500 for answer in answers):
                wrong[path] = answers[0].text
        graph.db[source].delete_many({"_id": id_})

    assert wrong == {}


@pytest.mark.parametrize("kind", ["dbref", "null", "number", "text", "list", "binary", "min"])
@pytest.mark.parametrize(
    "field", ["_created", "_updated", "_etag", "_links", "_current_version", "_latest_version"]
)
def test_odd_values_in_what_the_server_writes(
    app: Any, graph: Graph, admin: Client, kind: str, field: str
) -> None:
    """Times, etags and versions, too."""
    for name in ("archive", "roles", "published", "vocabularies"):
        id_: Any = "odd" if name in ("archive", "vocabularies") else ID
        try:
            graph.db[name].insert_one({"_id": id_, "name": "x", field: ODD[kind]})
        except OperationFailure:
            continue
        assert (name, admin.get(name).status_code) == (name, 200)
        assert (name, admin.get(f"{name}/{id_}").status_code) == (name, 200)
    for version in ("all", "diffs", "1"):
        assert admin.get("archive/odd", version=version).status_code in (200, 404)


def test_a_document_that_cannot_be_shaped_hides_no_other(
    graph: Graph, admin: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is shown without its content: what should have been hidden of it is not known."""
    for name in "abc":
        admin.create("roles", {"name": name, "description": "secret"})

    def shape(documents: list[Document], caller: Any) -> None:
        for document in documents:
            document["description"] = {"a": "hidden", "c": "hidden"}[document["name"]]

    monkeypatch.setattr(graph.services["roles"], "on_fetched", shape)

    rows = admin.get("roles", sort="name").get_json()["_items"]

    assert [row.get("description") for row in rows] == ["hidden", None, "hidden"]
    assert rows[1].keys() == {"_id", "_created", "_updated", "_etag", "_links"}
    one = admin.get(f"roles/{rows[1]['_id']}")
    assert (one.status_code, "description" in one.get_json()) == (200, False)

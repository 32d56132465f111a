"""`_type` of what is answered to a POST, as reads have it (resources contract 9)."""

from collections.abc import Callable
from typing import Any

import pytest

from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.clients import Client
from tests.support.newsdesk import Newsdesk
from tests.support.newsroom import Newsroom


@pytest.fixture
def desk(admin: Client, graph: Graph) -> Newsdesk:
    newsroom = Newsroom(graph.db)
    newsroom.validators()
    genre = {"qcode": "Broadcast Script", "name": "Broadcast Script", "is_active": True}
    graph.db["vocabularies"].insert_one({"_id": "genre", "items": [genre]})
    graph.db["ingest"].insert_one({"_id": "wire", "type": "text", "state": "ingested"})
    return Newsdesk(admin, newsroom)


Call = Callable[[Newsdesk], tuple[str, Document]]

CALLS: dict[str, Call] = {
    "create": lambda desk: ("archive", desk.newsroom.story()),
    "rewrite": lambda desk: (f"archive/{desk.published()['_id']}/rewrite", {}),
    "broadcast": lambda desk: (f"archive/{desk.published()['_id']}/broadcast", {}),
    "lock": lambda desk: (f"archive/{desk.story()['_id']}/lock", {}),
    "duplicate": lambda desk: (
        f"archive/{desk.story()['_id']}/duplicate",
        {"desk": desk.newsroom.task["desk"], "type": "archive"},
    ),
    "translate": lambda desk: (
        "archive/translate",
        {"guid": desk.story()["_id"], "language": "de"},
    ),
    "fetch": lambda desk: ("ingest/wire/fetch", {"desk": desk.newsroom.task["desk"]}),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_of_items(desk: Newsdesk, call: Call) -> None:
    """Stored it is not."""
    path, body = call(desk)

    answer = desk.client.create(path, body)

    read = desk.client.get(f"archive/{answer['_id']}").get_json()
    assert (answer["_type"], read["_type"]) == ("archive", "archive")
    for collection in ("archive", "archive_versions"):
        assert desk.db[collection].count_documents({"_type": {"$exists": True}}) == 0


def test_of_several(desk: Newsdesk) -> None:
    answer = desk.client.post("archive", [desk.newsroom.story(), {"type": "picture"}]).get_json()

    assert [item["_type"] for item in answer["_items"]] == ["archive", "archive"]


def test_of_published_rows(desk: Newsdesk) -> None:
    created: dict[str, Any] = desk.client.create("published", {"_id": "x", "state": "published"})

    assert created["_type"] == desk.client.get("published/x").get_json()["_type"] == "published"

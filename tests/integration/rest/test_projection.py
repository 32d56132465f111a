"""`projection` shows less of a document; the rules see all of it.

Resources contract 2.
"""

import pytest
from bson import ObjectId

from apps.core import json
from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.clients import Client

HEADLINE = json.dumps({"headline": 1}).decode()


@pytest.fixture
def item(admin: Client) -> Document:
    return admin.create("archive", {"headline": "x", "slugline": "y", "extra": {"a": 1}})


def test_shows_what_is_asked_for(admin: Client, item: Document) -> None:
    """Beside what every document has."""
    shown = admin.get(f"archive/{item['_id']}", projection=HEADLINE).get_json()

    assert shown["headline"] == "x"
    assert not {"slugline", "extra", "state"} & shown.keys()
    assert {"_id", "_etag", "_created", "_updated", "_links"} <= shown.keys()


def test_leaves_out_what_is_not_wanted(admin: Client, item: Document) -> None:
    """The other way round."""
    shown = admin.get(f"archive/{item['_id']}", projection='{"headline": 0}').get_json()

    assert "headline" not in shown
    assert shown["slugline"] == "y"


def test_hides_no_stage_from_the_rules(
    graph: Graph, admin: Client, editor: Client, desk: Document
) -> None:
    """An item on a stage that is hidden from the caller stays hidden."""
    stage = desk["incoming_stage"]
    item = admin.create("archive", {"headline": "x", "task": {"desk": desk["_id"], "stage": stage}})
    admin.patch(f"stages/{stage}", {"is_visible": False})

    plain = editor.get(f"archive/{item['_id']}")
    projected = editor.get(f"archive/{item['_id']}", projection=HEADLINE)

    assert (plain.status_code, projected.status_code) == (403, 403)


@pytest.mark.parametrize(
    "projection", [HEADLINE, '{"state": 1}', '{"state": 0, "lock_user": 0}'], ids=str
)
def test_hides_no_lock_from_writes(
    graph: Graph, admin: Client, item: Document, projection: str
) -> None:
    """A save is compared with the whole item, as it is stored."""
    path, lock = f"archive/{item['_id']}", {"lock_user": ObjectId(), "lock_session": ObjectId()}
    graph.db.archive.update_one({"_id": item["_id"]}, {"$set": lock})
    refused = admin.patch(path, {"slugline": "z"})

    answer = admin.patch(path, {"slugline": "z"}, projection=projection)

    assert (answer.status_code, answer.text) == (400, refused.text)
    stored = graph.db.archive.find_one({"_id": item["_id"]}) or {}
    assert stored["slugline"] == "y"


def test_of_versions(admin: Client, item: Document) -> None:
    """Of one version, and of all."""
    path = f"archive/{item['_id']}"
    admin.patch(path, {"headline": "z"})

    one = admin.get(path, version=1, projection=HEADLINE).get_json()
    versions = admin.get(path, version="all", projection='{"slugline": 0}').get_json()["_items"]

    assert (one["headline"], "slugline" in one) == ("x", False)
    assert [version["headline"] for version in versions] == ["x", "z"]

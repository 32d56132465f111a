"""Formats that installed packages offer, from PATCH to GET (formats contract 1.1, 1.5)."""

import json
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from apps.core import registry
from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.format_plugins import install
from tests.support.newsdesk import Newsdesk
from tests.support.newsroom import file_in
from tests.support.services import empty_services

WELL_BEHAVED = ("ninjs", "ninjs2", "newsroom ninjs", "nitf", "newsmlg2")


@pytest.fixture
def eager() -> bool:
    """Tasks run at once."""
    return True


@pytest.fixture
def graph(
    settings: Mapping[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Graph]:
    """Services that find the package, as `build_graph` finds every installed one."""
    packages = tmp_path / "packages"
    packages.mkdir()
    install(packages)
    monkeypatch.syspath_prepend(packages)
    # Other tests do not look for packages anew each time.
    monkeypatch.setattr(registry, "entry_points", entry_points)
    with empty_services(settings) as built:
        yield built


def destinations(directory: Path, *formats: str) -> list[Document]:
    """Return a destination for each format, with a directory of its own."""
    made = []
    for format_ in formats:
        path = directory / format_
        path.mkdir()
        made.append({**file_in(path), "_id": format_, "format": format_})
    return made


def queue(desk: Newsdesk, item: Document) -> dict[str, Document]:
    """Return the rows of an item as clients read them, by the format of their destination."""
    where = json.dumps({"item_id": item["_id"]})
    listed = desk.client.get("publish_queue", where=where).get_json()["_items"]
    rows = [desk.client.get(f"publish_queue/{row['_id']}").get_json() for row in listed]
    return {row["destination"]["format"]: row for row in rows}


def test_are_listed(desk: Newsdesk) -> None:
    """Formats contract 1.4: beside those that the product has."""
    listed = desk.client.get("output_formats").get_json()["_items"]
    assert {"raising": "Raising", "nitf": "NITF"}.items() <= {
        (format_["type"], format_["name"]) for format_ in listed
    }


def test_a_failing_destination_stops_no_other(desk: Newsdesk, tmp_path: Path) -> None:
    """Its row is failed and holds the code, the next destination's row is good.

    Formats scenario 6.
    """
    desk.newsroom.subscriber("Files", *destinations(tmp_path, "raising", "ninjs"))

    story = desk.published()

    rows = queue(desk, story)
    cause = '7999 Article couldn"t be converted to Nothing: it will not'
    assert ("failed", cause, "") == tuple(
        rows["raising"][field] for field in ("state", "error_message", "formatted_item")
    )
    assert "success" == rows["ninjs"]["state"]
    assert "Rivers rise" == json.loads(rows["ninjs"]["formatted_item"])["headline"]
    assert [] == [*(tmp_path / "raising").iterdir()]
    (file,) = (tmp_path / "ninjs").iterdir()
    assert rows["ninjs"]["formatted_item"] == file.read_text("utf-8")


def test_what_one_format_changes_no_other_sees(desk: Newsdesk, tmp_path: Path) -> None:
    """Formats scenario 9: five formats get the item as it was, and a sixth one that changes it."""
    held = {"_id": "p", "type": "picture", "headline": "Flood", "renditions": {}}
    desk.newsroom.subscriber("Files", *destinations(tmp_path, "greedy", *WELL_BEHAVED))

    story = desk.published(extra={"kept": 1}, associations={"featuremedia": held})

    rows = queue(desk, story)
    assert {"greedy", *WELL_BEHAVED} == rows.keys()
    assert {"success"} == {row["state"] for row in rows.values()}
    assert "changed" == json.loads(rows["greedy"]["formatted_item"])["headline"]
    sent = [json.loads(rows[kind]["formatted_item"]) for kind in WELL_BEHAVED[:3]]
    for document in (*sent, *stored(desk, story)):
        assert ("Rivers rise", {"kept": 1}) == (document["headline"], document["extra"])
        assert "Flood" == document["associations"]["featuremedia"]["headline"]
    assert not any("changed" in rows[kind]["formatted_item"] for kind in WELL_BEHAVED)


def stored(desk: Newsdesk, item: Document) -> list[Document]:
    """Return an item as the desk and as the lists of published items show it."""
    where = json.dumps({"item_id": item["_id"]})
    published = desk.client.get("published", where=where).get_json()["_items"]
    assert published
    return [desk.client.get(f"archive/{item['_id']}").get_json(), *published]

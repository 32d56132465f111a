"""Associations of items that are being written."""

from typing import Any

import pytest

from apps.graph.build import Graph
from tests.support.clients import Client
from tests.support.newsroom import Newsroom


@pytest.fixture
def newsroom(graph: Graph) -> Newsroom:
    return Newsroom(graph.db)


@pytest.fixture
def picture(admin: Client, newsroom: Newsroom) -> dict[str, Any]:
    fields = {"type": "picture", "headline": "Flood", "description_text": "Water"}
    return admin.create("archive", newsroom.story(**fields))


def held(client: Client, item_id: str, key: str = "featuremedia") -> Any:
    return client.get(f"archive/{item_id}").get_json()["associations"][key]


def stored(client: Client, item_id: str) -> Any:
    return client.get(f"archive/{item_id}").get_json()


class TestCreate:
    def test_stamps_associations_and_lists_them(
        self, admin: Client, newsroom: Newsroom, picture: dict[str, Any]
    ) -> None:
        """`_type` goes, times are set, `refs` names each association once.

        Lifecycle contract 5.9.
        """
        media = {"_id": picture["_id"], "guid": picture["guid"], "type": "picture"}
        body = newsroom.story(
            associations={"featuremedia": {**media, "_type": "archive"}, "editor_0": None}
        )

        created = admin.create("archive", body)

        assert "_type" not in held(admin, created["_id"])
        assert created["_created"] == held(admin, created["_id"])["_created"]
        assert [
            {"key": "featuremedia", **media, "uri": None, "source": None},
        ] == created["refs"]


class TestSave:
    def test_overlays_the_item_that_it_names(
        self, admin: Client, newsroom: Newsroom, picture: dict[str, Any]
    ) -> None:
        """What the association says wins, the rest comes from the stored item.

        Lifecycle contract 5.9.
        """
        story = admin.create("archive", newsroom.story())
        media = {"_id": picture["_id"], "type": "picture", "headline": "Flooded road"}

        admin.patch(f"archive/{story['_id']}", {"associations": {"featuremedia": media}})

        shown = held(admin, story["_id"])
        assert ("Flooded road", "Water", picture["guid"]) == (
            shown["headline"],
            shown["description_text"],
            shown["guid"],
        )
        assert "journal" not in shown
        assert "Flood" == stored(admin, picture["_id"])["headline"]

    def test_replaces_associations_as_a_whole(
        self, admin: Client, newsroom: Newsroom, picture: dict[str, Any]
    ) -> None:
        """Lifecycle contract 0.3: a dict in a PATCH replaces the stored one, `refs` follow."""
        media = {"_id": picture["_id"], "type": "picture"}
        story = admin.create("archive", newsroom.story(associations={"editor_0": media}))

        saved = admin.patch(f"archive/{story['_id']}", {"associations": {"featuremedia": None}})

        assert ({"featuremedia": None}, []) == (
            saved.get_json()["associations"],
            saved.get_json()["refs"],
        )

    def test_counts_each_use_once(
        self, admin: Client, newsroom: Newsroom, picture: dict[str, Any]
    ) -> None:
        """Lifecycle scenario 59: a new picture is used once more; sent again it is not counted."""
        story = admin.create("archive", newsroom.story())
        media = {"featuremedia": {"_id": picture["_id"], "type": "picture"}}

        for _ in range(2):
            admin.patch(f"archive/{story['_id']}", {"associations": media})

        used = stored(admin, picture["_id"])
        assert (True, 1) == (used["used"], used["used_count"])
        assert picture["_etag"] == used["_etag"]

    def test_follows_the_editor(
        self, admin: Client, newsroom: Newsroom, picture: dict[str, Any]
    ) -> None:
        """Media of the editor's state are associations, others of that name go.

        Lifecycle contract 5.9.
        """
        media = {"_id": picture["_id"], "type": "picture"}
        story = admin.create("archive", newsroom.story(associations={"editor_0": media}))
        state = {"blocks": [], "entityMap": {"1": {"type": "MEDIA", "data": {"media": media}}}}

        admin.patch(
            f"archive/{story['_id']}",
            {"fields_meta": {"body_html": {"draftjsState": [state]}}},
        )

        shown = stored(admin, story["_id"])["associations"]
        assert shown["editor_0"] is None
        assert picture["_id"] == shown["editor_1"]["_id"]

    def test_nulls_renditions_of_another_file(self, admin: Client, newsroom: Newsroom) -> None:
        """Lifecycle contract 3.3: crops of a file that was replaced do not stay."""
        old = {"original": {"href": "a"}, "16-9": {"href": "a-crop"}}
        new = {"original": {"href": "b"}}
        story = admin.create(
            "archive",
            newsroom.story(associations={"featuremedia": {"type": "picture", "renditions": old}}),
        )

        body = {"associations": {"featuremedia": {"type": "picture", "renditions": new}}}
        admin.patch(f"archive/{story['_id']}", body)

        assert {**new, "16-9": None} == held(admin, story["_id"])["renditions"]

    @pytest.mark.parametrize(
        "media", ["text", 5, [], {"_id": 5}, {"renditions": "x"}, {"renditions": {"original": 1}}]
    )
    def test_bears_with_stored_associations_of_any_shape(
        self, admin: Client, newsroom: Newsroom, graph: Graph, media: Any
    ) -> None:
        """What others have written is no reason for a fault."""
        story = admin.create("archive", newsroom.story())
        odd = {"$set": {"associations": {"a": media}}}
        graph.db["archive"].update_one({"_id": story["_id"]}, odd)
        body = {"associations": {"a": {"type": "picture", "renditions": {"original": {}}}}}

        answer = admin.patch(f"archive/{story['_id']}", body)

        assert 200 == answer.status_code, answer.text

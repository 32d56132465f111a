"""Content profiles at the HTTP edge (resources contract 14; resources scenario R52)."""

from typing import Any

import pytest

from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.clients import Client


@pytest.fixture
def profile(admin: Client) -> Document:
    body = {"_id": "story", "label": "Story", "enabled": True, "schema": {"headline": {}}}
    return admin.create("content_types", body)


class TestCreate:
    def test_names_the_profile_and_its_author(self, admin: Client) -> None:
        """A profile without an id gets one, which is text."""
        created = admin.create("content_types", {"label": "Story"})

        assert admin.get(f"content_types/{created['_id']}").get_json()["label"] == "Story"
        assert created["created_by"] == created["updated_by"] == admin.session["user"]
        assert (created["priority"], created["enabled"], created["is_used"]) == (0, False, False)

    @pytest.mark.parametrize(
        ("body", "field"), [({"label": "STORY"}, "label"), ({"_id": "Story", "label": "x"}, "_id")]
    )
    def test_refuses_a_label_or_id_that_is_taken(
        self, admin: Client, profile: Document, body: Document, field: str
    ) -> None:
        """Resources scenario R52: the case makes no difference."""
        answer = admin.post("content_types", body)

        assert answer.status_code == 400
        assert answer.get_json()["_issues"] == {field: {"unique": 1}}

    def test_allows_one_profile_for_each_other_type(self, admin: Client) -> None:
        """Pictures have one profile, texts any number."""
        admin.create("content_types", {"_id": "picture", "label": "Picture", "type": "picture"})

        second = admin.post("content_types", {"label": "Photo", "type": "picture"})
        texts = [admin.post("content_types", {"label": x, "type": "text"}) for x in "ab"]

        assert second.get_json()["_issues"] == {"type": "Only 1 instance is allowed."}
        assert [answer.status_code for answer in texts] == [201, 201]

    @pytest.mark.parametrize(
        ("fields", "issues"),
        [
            ({"schema": []}, {"schema": "must be of dict type"}),
            ({"priority": "high"}, {"priority": "must be of integer type"}),
            (
                {"widgets_config": [{"widget_id": 1}]},
                {"widgets_config": {"0": {"widget_id": "must be of string type"}}},
            ),
        ],
    )
    def test_refuses_bad_input(
        self, admin: Client, fields: dict[str, Any], issues: dict[str, Any]
    ) -> None:
        """Each bad field is reported under its name."""
        answer = admin.post("content_types", {"label": "Story", **fields})

        assert answer.get_json()["_issues"] == issues


class TestChange:
    def test_replaces_the_schema(self, admin: Client, profile: Document) -> None:
        """Fields that a new schema leaves out are gone."""
        answer = admin.patch("content_types/story", {"schema": {"slugline": {"maxlength": 24}}})

        assert answer.get_json()["schema"] == {"slugline": {"maxlength": 24}}

    def test_does_not_disable_the_default_of_a_desk(self, admin: Client, profile: Document) -> None:
        """Resources scenario R52: the refusal names the desks."""
        for name in ("Sports", "Politics"):
            admin.create("desks", {"name": name, "default_content_profile": "story"})

        answer = admin.patch("content_types/story", {"enabled": False})

        assert answer.status_code == 400
        assert answer.get_json()["_issues"] == {
            "validator exception": (
                "400: Cannot disable content profile as following desks are referencing: "
                "Politics, Sports"
            )
        }


class TestUse:
    def test_is_marked_by_the_first_item(
        self, admin: Client, profile: Document, graph: Graph
    ) -> None:
        """Resources contract 14: `is_used` is set when an item uses the profile; its etag stays."""
        admin.create("archive", {"profile": "story"})

        used = admin.get("content_types/story").get_json()

        assert (True, profile["_etag"]) == (used["is_used"], used["_etag"])


class TestDelete:
    def test_of_a_used_profile_is_refused(
        self, admin: Client, profile: Document, graph: Graph
    ) -> None:
        """Resources scenario R52: the refusal has the status that clients know."""
        graph.db["archive"].insert_one({"_id": "a", "profile": "story"})

        answer = admin.delete("content_types/story")

        assert answer.status_code == 202
        assert answer.get_json()["_issues"] == {"is_used": True}
        assert admin.get("content_types/story").status_code == 200

    def test_of_an_unused_profile_clears_the_default_of_desks(
        self, admin: Client, profile: Document
    ) -> None:
        """No desk keeps a profile that does not exist."""
        desk = admin.create("desks", {"name": "Sports", "default_content_profile": "story"})

        assert admin.delete("content_types/story").status_code == 204

        assert admin.get(f"desks/{desk['_id']}").get_json()["default_content_profile"] is None


class TestRead:
    def test_lists_by_priority(self, admin: Client) -> None:
        """The most important profile comes first."""
        for priority in (1, 3, 2):
            admin.create("content_types", {"label": str(priority), "priority": priority})

        listed = admin.get("content_types").get_json()["_items"]

        assert [p["label"] for p in listed] == ["3", "2", "1"]

    def test_leaves_out_hidden_fields(self, admin: Client, graph: Graph) -> None:
        """Vocabularies that are not shown are no fields of profiles, nor are languages."""
        hidden = {"_id": "mood", "display_name": "Mood", "type": "manageable"}
        graph.newsroom.vocabularies.post([{**hidden, "selection_type": "do not show"}])
        fields: Document = {"mood": {}, "languages": {}, "headline": {}}
        admin.create("content_types", {"_id": "s", "schema": fields, "editor": fields})

        read = admin.get("content_types/s").get_json()

        assert read["schema"] == read["editor"] == {"headline": {}}

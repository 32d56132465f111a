"""Vocabularies at the HTTP edge (resources contract 15; resources scenario R54, R55)."""

from typing import Any

import pytest

from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.clients import Client
from tests.support.events import Events

CATEGORIES: Document = {
    "_id": "categories",
    "display_name": "Categories",
    "type": "manageable",
    "unique_field": "qcode",
    "schema": {"name": {"required": True}, "qcode": {"required": True}},
    "items": [
        {"name": "National", "qcode": "a", "is_active": True},
        {"name": "Racing", "qcode": "r", "is_active": False},
    ],
}


@pytest.fixture
def categories(admin: Client) -> Document:
    return admin.create("vocabularies", CATEGORIES)


def custom_field(**fields: Any) -> Document:
    """Return the body of a POST that creates a custom field."""
    return {
        "_id": "mood",
        "display_name": "Mood",
        "type": "manageable",
        "field_type": "text",
        "items": [],
        **fields,
    }


class TestRead:
    def test_hides_inactive_items(self, admin: Client, categories: Document) -> None:
        """Resources scenario R54: clients are offered active items only, in lists and alone."""
        wanted = [{"name": "National", "qcode": "a"}]

        assert admin.get("vocabularies").get_json()["_items"][0]["items"] == wanted
        assert admin.get("vocabularies/categories").get_json()["items"] == wanted

    def test_shows_all_items_to_those_who_manage_them(
        self, admin: Client, categories: Document
    ) -> None:
        """Resources scenario R54: the list of manageable vocabularies is complete."""
        listed = admin.get("vocabularies", where='{"type":"manageable"}').get_json()["_items"]

        assert listed[0]["items"] == CATEGORIES["items"]

    def test_gives_sizes_of_crops_as_numbers(self, admin: Client) -> None:
        """Old data holds sizes as text."""
        sizes = [{"name": "4-3", "width": "800", "height": "600"}, {"name": "wide", "width": None}]
        crops = {"_id": "crop_sizes", "display_name": "Crops", "type": "manageable"}
        admin.create("vocabularies", {**crops, "items": sizes})

        items = admin.get("vocabularies/crop_sizes").get_json()["items"]

        assert items == [
            {"name": "4-3", "width": 800, "height": 600},
            {"name": "wide", "width": None},
        ]


class TestWrite:
    @pytest.mark.parametrize(
        ("items", "message"),
        [
            ([("a", True), ("A", True)], "Value A for field qcode is not unique"),
            ([("a", True), ("b", True), ("a", True)], "Value a for field qcode is not unique"),
        ],
    )
    def test_refuses_values_that_are_not_unique(
        self, admin: Client, categories: Document, items: list[Any], message: str
    ) -> None:
        """Resources scenario R54: active items differ in the unique field."""
        rows = [{"name": code, "qcode": code, "is_active": active} for code, active in items]

        answer = admin.patch("vocabularies/categories", {"items": rows})

        assert answer.status_code == 400
        assert answer.get_json()["_issues"] == {"validator exception": f"400: {message}"}

    def test_lets_inactive_items_repeat_values(self, admin: Client, categories: Document) -> None:
        """Resources scenario R54: only active items count."""
        rows = [{"name": "A", "qcode": "a"}, {"name": "A", "qcode": "a", "is_active": False}]

        assert admin.patch("vocabularies/categories", {"items": rows}).status_code == 200

    def test_refuses_an_empty_unique_value(self, admin: Client) -> None:
        """A unique field has a value, whether the schema requires it or not."""
        genre = {"_id": "genre", "display_name": "Genre", "type": "manageable", "items": []}
        admin.create("vocabularies", {**genre, "unique_field": "qcode"})

        answer = admin.patch("vocabularies/genre", {"items": [{"name": "Article", "qcode": ""}]})

        assert answer.get_json()["_issues"] == {"validator exception": "400: qcode cannot be empty"}

    def test_refuses_items_without_required_fields(self, admin: Client) -> None:
        """The refusal names the field and the position of the item."""
        answer = admin.post("vocabularies", {**CATEGORIES, "items": [{"qcode": "a"}]})

        assert answer.status_code == 400
        assert answer.get_json()["_message"] == "Required name in item 0"
        assert answer.get_json()["_issues"]["error"]["required_field"] == 1

    def test_refuses_links_to_nothing(self, admin: Client, categories: Document) -> None:
        """Linked values exist in the other vocabulary."""
        link = {"link_vocab": "categories", "link_field": "qcode"}
        desks = {"_id": "beats", "display_name": "Beats", "type": "manageable", "items": []}
        admin.create("vocabularies", {**desks, "schema": {"category": link}})

        good = admin.patch("vocabularies/beats", {"items": [{"category": "a"}]})
        bad = admin.patch("vocabularies/beats", {"items": [{"category": "z"}]})

        assert good.status_code == 200
        assert bad.get_json()["_issues"] == {
            "validator exception": '400: categories "qcode=z" not found'
        }

    def test_makes_codes_unique_by_default(self, admin: Client) -> None:
        """A schema with qcode and no unique field gets one."""
        plain = {key: value for key, value in CATEGORIES.items() if key != "unique_field"}

        assert admin.create("vocabularies", plain)["unique_field"] == "qcode"

    @pytest.mark.parametrize(
        ("fields", "issues"),
        [
            ({"_id": "no blanks"}, {"_id": "value does not match regex '^[a-zA-Z0-9-_]+$'"}),
            ({"type": "other"}, {"type": "unallowed value other"}),
            ({"items": ["a"]}, {"items": {"0": "must be of dict type"}}),
            ({"service": {"all": "x"}}, {"service": {"all": "must be of integer type"}}),
            ({"helper_text": "x" * 121}, {"helper_text": "max length is 120"}),
        ],
    )
    def test_refuses_bad_input(self, admin: Client, fields: Document, issues: Document) -> None:
        """Each bad field is reported under its name."""
        answer = admin.post("vocabularies", {**CATEGORIES, **fields})

        assert answer.status_code == 400
        assert answer.get_json()["_issues"] == issues

    def test_refuses_a_custom_field_named_like_a_field_of_items(self, admin: Client) -> None:
        """A custom field would hide the standard one."""
        answer = admin.post("vocabularies", custom_field(_id="headline"))

        assert answer.status_code == 400
        assert answer.get_json()["_issues"] == {"_id": {"conflict": 1}}

    def test_is_told(self, admin: Client, events: Events) -> None:
        """Clients reload what has changed."""
        admin.create("vocabularies", CATEGORIES)
        admin.patch("vocabularies/categories", {"display_name": "Topics"})

        user = admin.session["user"]
        assert events.named("vocabularies:created") == [
            {"vocabulary": "Categories", "vocabulary_id": "categories", "user": user}
        ]
        assert events.named("vocabularies:updated") == [
            {"vocabulary": "Topics", "vocabulary_id": "categories", "user": user}
        ]


class TestDelete:
    def test_of_a_default_vocabulary_is_refused(self, admin: Client, categories: Document) -> None:
        """Resources scenario R55: items refer to it."""
        answer = admin.delete("vocabularies/categories")

        assert answer.status_code == 400
        assert answer.get_json()["_message"] == "Default vocabularies cannot be deleted"

    def test_of_a_custom_field(self, admin: Client) -> None:
        """Resources scenario R55: it is gone from lists and reads, and its id stays taken."""
        admin.create("vocabularies", custom_field())

        deleted = admin.delete("vocabularies/mood")
        read = admin.get("vocabularies/mood")
        again = admin.post("vocabularies", custom_field())

        assert deleted.status_code == 204
        assert read.status_code == 404
        assert read.get_json()["_deleted"] is True
        assert admin.get("vocabularies").get_json()["_items"] == []
        assert again.status_code == 400
        assert again.get_json()["_issues"] == {"_id": {"deleted": 1}}

    def test_of_a_field_in_use_is_refused(self, admin: Client, graph: Graph) -> None:
        """Resources scenario R55: the refusal lists the content types that use the field."""
        admin.create("vocabularies", custom_field())
        profile = {"_id": "story", "label": "Story", "schema": {"mood": {"type": "string"}}}
        graph.newsroom.content_types.post([profile, {"label": "Other", "schema": {"mood": None}}])

        answer = admin.delete("vocabularies/mood")

        assert answer.status_code == 400
        assert answer.get_json()["_message"] == "Vocabulary Mood is used in 1 content type(s)"
        used = answer.get_json()["_issues"]["content_types"]
        assert [(u["_id"], u["label"]) for u in used] == [("story", "Story")]

"""Publish validation at the HTTP edge: validators, profiles, `/validate`."""

from typing import Any

import pytest

from apps.graph.build import Graph
from tests.support.newsdesk import Newsdesk
from tests.support.newsroom import Newsroom

REFUSED = "validator exception"


@pytest.fixture
def eager() -> bool:
    """Tasks run at once."""
    return True


@pytest.fixture
def newsroom(graph: Graph) -> Newsroom:
    return Newsroom(graph.db)


def test_a_taken_name_is_refused_on_save(admin: Any, newsroom: Newsroom) -> None:
    """Lifecycle scenario 4: the unique name of another item cannot be taken."""
    first = admin.create("archive", newsroom.story())
    second = admin.create("archive", newsroom.story())

    answer = admin.patch(f"archive/{second['_id']}", {"unique_name": first["unique_name"]})

    assert (400, {"unique_name": {"unique": 1}}) == (
        answer.status_code,
        answer.get_json()["_issues"],
    )


def test_an_empty_required_dict_is_missing(admin: Any, newsroom: Newsroom) -> None:
    """Lifecycle scenario 14: a dateline without its required parts, with nested fields."""
    dateline = {"type": "dict", "required": True, "schema": {"text": {"required": True}}}
    newsroom.validators({"dateline": dateline})
    item = admin.create("archive", newsroom.story(dateline={}))

    issues = admin.patch(f"archive/publish/{item['_id']}", {}).get_json()["_issues"]

    assert "[['DATELINE is a required field']]" == issues[REFUSED]
    assert "dateline" in issues["fields"]


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"headline": 7}, "HEADLINE must be of string type"),
        ({"headline": "<b>ab</b>"}, "HEADLINE is too short"),
        ({"headline": "abcdefghijk"}, "HEADLINE is too long"),
        ({"headline": "abcdef", "type": "B"}, "TYPE unallowed value B"),
    ],
)
def test_validate_answers_the_messages(
    admin: Any, newsroom: Newsroom, item: dict[str, Any], message: str
) -> None:
    """`/validate` answers what publishing would refuse; lengths are of the text.

    Lifecycle scenario 78.
    """
    headline = {"type": "string", "minlength": 5, "maxlength": 10}
    newsroom.validators({"headline": headline, "type": {"type": "string", "allowed": ["A"]}})

    answer = admin.create("validate", {"act": "publish", "type": "text", "validate": item})

    assert [message] == answer["errors"]


def test_validate_of_an_unknown_act_uses_the_default_rules(admin: Any) -> None:
    """Lifecycle scenario 78: what no rule set names is judged by the default schema."""
    answer = admin.create("validate", {"act": "nothing", "type": "text", "validate": {}})

    assert ["HEADLINE is a required field"] == answer["errors"]


@pytest.mark.parametrize("body", [{}, {"act": "publish"}, {"act": "publish", "type": "text"}])
def test_validate_needs_its_question(admin: Any, body: dict[str, Any]) -> None:
    """A question without its parts is 400 and names them."""
    answer = admin.post("validate", body)

    missing = {name for name in ("act", "type", "validate") if name not in body}
    assert (400, missing) == (answer.status_code, set(answer.get_json()["_issues"]))


@pytest.mark.parametrize("extra", [{}, {"motto": "<p></p>"}], ids=["missing", "empty markup"])
def test_a_required_custom_field_is_named_as_displayed(
    admin: Any, newsroom: Newsroom, graph: Graph, extra: dict[str, Any]
) -> None:
    """A custom text field of the profile, also in the editor's empty form.

    Lifecycle scenario 79.
    """
    graph.db["vocabularies"].insert_one(
        {"_id": "motto", "display_name": "Motto", "field_type": "text", "items": []}
    )
    schema = {"headline": {}, "motto": {"type": "text", "required": True}}
    graph.db["content_types"].insert_one({"_id": "snap", "label": "Snap", "schema": schema})
    item = admin.create("archive", newsroom.story(profile="snap", extra=extra))

    issues = admin.patch(f"archive/publish/{item['_id']}", {}).get_json()["_issues"]

    assert "[['Motto is a required field']]" == issues[REFUSED]


def test_names_of_fields_follow_the_language_of_the_user(desk: Newsdesk, graph: Graph) -> None:
    """In refusals, in those of what goes out with the item, and in answers of `/validate`."""
    graph.db["validators"].delete_many({})
    desk.newsroom.validators({"headline": {"type": "string", "required": True}})
    graph.db["users"].update_one({"username": "admin"}, {"$set": {"language": "de-AT"}})
    item = desk.story(headline="")

    refused = desk.client.patch(f"archive/publish/{item['_id']}", {})
    question = {"act": "publish", "type": "text", "validate": {}}
    answer = desk.client.create("validate", question)

    assert refused.get_json()["_issues"]["validator exception"] == (
        "[['ÜBERSCHRIFT empty values not allowed']]"
    )
    assert answer["errors"] == ["ÜBERSCHRIFT is a required field"]

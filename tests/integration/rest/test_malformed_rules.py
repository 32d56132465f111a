"""Documents that all items are handled by, with contents that would break for everybody."""

from typing import Any

import pytest
from bson import ObjectId

from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.clients import Client
from tests.support.newsroom import Newsroom

PUSH = {"name": "p", "format": "ninjs", "delivery_type": "http_push"}
QUEUED = {"item_id": "x", "destination": PUSH}

VALID: dict[str, Document] = {
    "content_types": {"label": "Story"},
    "vocabularies": {"_id": "v", "display_name": "V", "type": "manageable", "items": []},
    "desks": {"name": "News"},
    "subscribers": {
        "name": "S",
        "subscriber_type": "wire",
        "email": "s@example.com",
        "sequence_num_settings": {"min": 1, "max": 9},
        "destinations": [{**PUSH, "config": {"resource_url": "http://127.0.0.1:1"}}],
    },
    "publish_queue": QUEUED,
}

MALFORMED: tuple[tuple[str, Document], ...] = (
    ("content_types", {"schema": {"headline": 5}}),
    ("content_types", {"schema": {"headline": {"type": "nonsense"}}}),
    ("content_types", {"schema": {"headline": {"type": [1]}}}),
    ("content_types", {"schema": {"headline": {"maxlength": "long"}}}),
    ("content_types", {"schema": {"headline": {"required": "yes"}}}),
    ("content_types", {"schema": {"headline": {"regex": "("}}}),
    ("content_types", {"schema": {"headline": {"allowed": 5}}}),
    ("content_types", {"schema": {"subject": {"schema": 5}}}),
    ("content_types", {"schema": {"subject": {"mandatory_in_list": 5}}}),
    ("content_types", {"editor": {"headline": 5}}),
    ("vocabularies", {"schema": {"name": 5}}),
    ("vocabularies", {"items": [None]}),
    ("vocabularies", {"items": [{"qcode": ["a"]}]}),
    ("vocabularies", {"items": [{"qcode": "a", "parent": {"qcode": "b"}}]}),
    ("vocabularies", {"items": [{"qcode": "a", "name": 5}]}),
    ("desks", {"members": [None]}),
    ("desks", {"content_expiry": 2**40}),
    ("desks", {"monitoring_settings": [{"_id": "x"}]}),
    ("subscribers", {"destinations": [{}]}),
    ("subscribers", {"destinations": [None]}),
    ("subscribers", {"destinations": [{**PUSH, "config": 5}]}),
    ("subscribers", {"global_filters": {"x": None}}),
    ("publish_queue", {"codes": [None]}),
    ("publish_queue", {"destination": {**PUSH, "config": 5}}),
    ("publish_queue", {"destination": {**PUSH, "format": {"x": 1}}}),
    ("publish_queue", {"associated_items": [5]}),
)


@pytest.mark.parametrize(("resource", "fields"), MALFORMED)
def test_are_refused_on_post_and_patch(
    admin: Client, graph: Graph, resource: str, fields: Document
) -> None:
    """What stands in a list or an object is checked as a whole, in an update as well."""
    document = admin.create(resource, VALID[resource])
    before = list(graph.db[resource].find({}))
    names = {
        "desks": "name",
        "subscribers": "name",
        "vocabularies": "_id",
        "content_types": "label",
    }
    other = {names[resource]: "other"} if resource in names else {}
    body = {**VALID[resource], **other, **fields}

    posted = admin.post(resource, body)
    patched = admin.patch(f"{resource}/{document['_id']}", fields)

    assert (400, 400) == (posted.status_code, patched.status_code), (posted.text, patched.text)
    assert next(iter(fields)) in posted.text
    assert next(iter(fields)) in patched.text
    assert list(graph.db[resource].find({})) == before


def test_objects_and_lists_in_each_other_s_place_are_refused(app: Any, admin: Client) -> None:
    """By every resource, beside something that it refers to: that is looked up at once."""
    wrong = {"list": {"_id": 5, "type": [1], "schema": [1]}, "dict": [{"_id": 5, "type": [1]}, [1]]}
    faults = []
    for resource, definition in app.config["DOMAIN"].items():
        if "POST" not in definition["resource_methods"] or "<" in definition["url"]:
            continue
        schema = definition["schema"]
        referring = {
            name: str(ObjectId())
            for name, rules in schema.items()
            if "data_relation" in rules or "reference" in rules
        }
        for name, rules in schema.items():
            if str(rules.get("type")) not in wrong or not rules.get("schema"):
                continue
            body = {**referring, name: wrong[rules["type"]]}
            answer = admin.post(definition["url"], body)
            if answer.status_code >= 500 or "exception" in (answer.get_json().get("_issues") or {}):
                faults.append((resource, name, answer.status_code, answer.text))
    assert not faults


def test_a_stored_profile_with_odd_rules_can_be_changed(admin: Client, graph: Graph) -> None:
    """An update that leaves the rules as they are is not refused for them."""
    profile = admin.create("content_types", VALID["content_types"])
    odd = {"schema": {"headline": {"type": "nonsense"}}}
    graph.db["content_types"].update_one({"_id": profile["_id"]}, {"$set": odd})

    answer = admin.patch(f"content_types/{profile['_id']}", {"label": "Other", **odd})

    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    "preferences",
    [
        {"dateline:located": {"located": "x"}},
        {"dateline:located": {"located": {"city": 5}}},
        {"dateline:located": 5},
        {"article:default:place": {"place": [None]}},
        {"article:default:place": {"place": "x"}},
    ],
)
def test_preferences_give_items_what_these_can_hold(
    admin: Client, graph: Graph, preferences: Document
) -> None:
    """Preferences are open; what an item cannot hold is not put on it."""
    path = f"users/{admin.session['user']}"
    assert admin.patch(path, {"user_preferences": preferences}).status_code == 200

    item = admin.create("archive", Newsroom(graph.db).story())

    assert not {"place", "dateline"} & item.keys()


def test_what_the_server_notes_of_a_delivery_stays(admin: Client, graph: Graph) -> None:
    """Order, attempts and keys of a row are dropped from what clients send."""
    row = admin.create("publish_queue", QUEUED)
    before: Any = graph.db["publish_queue"].find_one({}) or {}
    sent = {"order_no": -1, "idempotency_key": 5, "attempts": "x", "payload_id": {"x": 1}}

    answer = admin.patch(f"publish_queue/{row['_id']}", {**sent, "headline": "new"})

    assert answer.status_code == 200, answer.text
    after: Any = graph.db["publish_queue"].find_one({}) or {}
    assert after["headline"] == "new"
    assert {name: after.get(name) for name in sent} == {name: before.get(name) for name in sent}

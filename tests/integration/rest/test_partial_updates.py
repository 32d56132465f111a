"""A PATCH is judged by what it changes, whatever is stored beside (resources contract 2)."""

from collections.abc import Mapping
from typing import Any

import pytest
from bson import ObjectId

from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.clients import Client

OPERATIONS = (
    # Operations on whole items, of which validators ask what they like.
    *("archive_correct", "archive_correction", "archive_kill", "archive_publish"),
    *("archive_takedown", "archive_unpublish", "archive_spike", "archive_unspike", "archived"),
    # A row of its own for each item that is there, and one of Eve's.
    *("archive_autosave", "archive_versions"),
    # Its readers change nothing but their own entry.
    "activity",
    # Stored by this server alone, and never without what they belong to.
    *("publisher_integrations", "publisher_taxonomy_map", "publishing_records"),
)
"""Resources whose PATCH is no update of a stored document that others may have left."""

SAMPLES: Mapping[str, Any] = {
    "string": "abc",
    "integer": 1,
    "number": 1,
    "code": "1",
    "boolean": True,
    "datetime": "2030-01-01T00:00:00+0000",
    "email": "a@example.com",
    "any": "x",
}
"""Values by type."""

SAMPLES_OF_FIELDS: Mapping[str, Any] = {
    **{key: [{"id": "main", "refs": []}] for key in ("archive.groups", "published.groups")},
    "highlights.auto_insert": "now/d",
    "filter_conditions.field": "headline",
    "internal_destinations.macro": None,
    "publish_queue.item_encoding": None,
    "published.state": "corrected",
    **dict.fromkeys(("publisher_sites.logo", "publisher_sites.url"), "https://example.com"),
    "publisher_sites.timezone": "Europe/Prague",
    "subscribers.email": "a@example.com",
    "users.password": "a long password",
    "users.twitter": "@abc",
}
"""Values of fields that take few."""

REFERRED = ("users", "desks", "stages", "roles", "content_types", "content_filters", "products")
"""Resources whose documents others name."""

UNIQUE = ("guid", "username", "unique_name", "label", "jid")
"""Fields that an index keeps apart."""


def sample(rules: Mapping[str, Any], referred: Mapping[str, str]) -> Any:
    """Return a value that keeps the rules of a field.

    Args:
        referred: ids of stored documents by resource.
    """
    kind = rules.get("type", "any")
    kind = kind if isinstance(kind, str) else kind[0]
    if "data_relation" in rules:
        return referred[rules["data_relation"]["resource"]]
    if kind == "list":
        return []
    if "allowed" in rules:
        return next(value for value in rules["allowed"] if value)
    if kind == "dict":
        return {
            name: sample(inner, referred)
            for name, inner in (rules.get("schema") or {}).items()
            if inner.get("required")
        }
    return SAMPLES.get(kind, str(ObjectId()))


def store_bare(app: Any, graph: Graph, resource: str, **fields: Any) -> Document:
    """Store a document with hardly anything, as others may have left it."""
    is_text = app.config["DOMAIN"][resource]["schema"]["_id"]["type"] == "string"
    now = graph.clock.now()
    document: Document = {
        "_id": f"bare-{ObjectId()}" if is_text else ObjectId(),
        "_created": now,
        "_updated": now,
        "_etag": "stored",
        "account": "default",  # those of others are not there
        **fields,
    }
    document.update(dict.fromkeys(UNIQUE, str(document["_id"])))
    app.data.collection(resource).insert_one(document)
    return document


def patched(admin: Client, app: Any, resource: str, document: Document, body: Document) -> Any:
    url = app.config["DOMAIN"][resource]["url"]
    return admin.patch(f"{url}/{document['_id']}", body, etag=document["_etag"])


class TestBareDocuments:
    def test_take_each_field_of_every_resource(self, app: Any, admin: Client, graph: Graph) -> None:
        """No update asks for what the document was stored without."""
        referred = {
            resource: str(store_bare(app, graph, resource, name="Referred")["_id"])
            for resource in REFERRED
        }
        refusals = {}

        for resource, definition in app.config["DOMAIN"].items():
            if "PATCH" not in definition["item_methods"] or resource in OPERATIONS:
                continue
            for field, rules in definition["schema"].items():
                if field.startswith("_") or rules.get("readonly"):
                    continue
                place = f"{resource}.{field}"
                value = SAMPLES_OF_FIELDS.get(place, sample(rules, referred))
                document = store_bare(app, graph, resource, state="in_progress", type="text")
                answer = patched(admin, app, resource, document, {field: value})
                app.data.collection(resource).delete_one({"_id": document["_id"]})
                if answer.status_code != 200:
                    refusals[place] = answer.text

        # Without a destination nobody can be made active.
        assert "At least one destination" in refusals.pop("subscribers.is_active")
        assert refusals == {}

    def test_of_every_resource_keep_what_is_required(
        self, app: Any, admin: Client, graph: Graph
    ) -> None:
        """An update takes nothing away that a document has to have."""
        accepted = []
        for resource, definition in app.config["DOMAIN"].items():
            if "PATCH" not in definition["item_methods"] or resource in OPERATIONS:
                continue
            for field, rules in definition["schema"].items():
                if rules.get("required") and not rules.get("nullable") and field != "_id":
                    document = store_bare(app, graph, resource)
                    answer = patched(admin, app, resource, document, {field: None})
                    app.data.collection(resource).delete_one({"_id": document["_id"]})
                    if (answer.status_code, field in answer.text) != (400, True):
                        accepted.append(f"{resource}.{field}: {answer.text}")

        assert accepted == []


class TestUsers:
    def test_without_an_address_may_be_given_privileges(
        self, app: Any, admin: Client, graph: Graph
    ) -> None:
        """The type of a user asks for an address of a new user only."""
        user = store_bare(app, graph, "users", is_active=True)

        answer = patched(
            admin, app, "users", user, {"user_type": "user", "privileges": {"archive": 1}}
        )

        assert answer.status_code == 200, answer.text
        assert answer.get_json()["privileges"] == {"archive": 1}

    def test_do_not_lose_their_address_with_their_type(
        self, app: Any, admin: Client, graph: Graph
    ) -> None:
        """An address that is sent has to be one."""
        user = store_bare(app, graph, "users", email="a@example.com", user_type="external")

        answer = patched(admin, app, "users", user, {"user_type": "user", "email": None})

        assert answer.status_code == 400
        assert answer.get_json()["_issues"] == {"email": {"required": 1}}

    @pytest.mark.parametrize("user_type", ["user", "administrator"])
    def test_keep_an_address(self, app: Any, admin: Client, graph: Graph, user_type: str) -> None:
        """It can be changed, not taken away, but from external ones."""
        user = store_bare(app, graph, "users", email="a@example.com", user_type=user_type)

        answer = patched(admin, app, "users", user, {"email": None})

        assert answer.status_code == 400
        assert answer.get_json()["_issues"] == {"email": {"required": 1}}
        external = store_bare(app, graph, "users", email="b@example.com", user_type="external")
        assert patched(admin, app, "users", external, {"email": None}).status_code == 200

    def test_need_no_address_to_be_sent_back_whole(
        self, app: Any, admin: Client, graph: Graph
    ) -> None:
        """Clients send what they have read."""
        user = store_bare(app, graph, "users", user_type="user")

        answer = patched(admin, app, "users", user, {"email": None, "first_name": "Ann"})

        assert answer.status_code == 200, answer.text

    def test_need_an_address_when_they_are_new(self, admin: Client) -> None:
        """What an update may leave out, a creation brings along."""
        answer = admin.post("users", {"username": "foo", "user_type": "user"})

        assert answer.get_json()["_issues"] == {"email": {"required": 1}}


class TestNestedDocuments:
    def test_are_whole_where_they_are_sent(self, app: Any, admin: Client, graph: Graph) -> None:
        """What is sent of a list takes its place, so each entry has what it needs."""
        desk = store_bare(app, graph, "desks", monitoring_settings=[{"_id": "1"}])

        other = patched(admin, app, "desks", desk, {"description": "x"})
        half = admin.patch(
            f"desks/{desk['_id']}", {"monitoring_settings": [{"_id": "1", "type": "search"}]}
        )

        assert other.status_code == 200, other.text
        assert half.get_json()["_issues"] == {
            "monitoring_settings": {"0": {"max_items": {"required": 1}}}
        }


class TestRulesOfServices:
    def test_active_subscribers_without_destinations_can_be_renamed(
        self, app: Any, admin: Client, graph: Graph
    ) -> None:
        """One that was stored so is left so, and gets nothing wrong besides."""
        subscriber = store_bare(app, graph, "subscribers", is_active=True)

        renamed = patched(admin, app, "subscribers", subscriber, {"name": "B"})
        emptied = admin.patch(f"subscribers/{subscriber['_id']}", {"destinations": []})

        assert renamed.status_code == 200, renamed.text
        assert "At least one destination" in emptied.text

    def test_items_of_vocabularies_are_checked_where_they_are_sent(
        self, app: Any, admin: Client, graph: Graph
    ) -> None:
        """A vocabulary whose items lack what its schema requires can be described."""
        schema = {"name": {"required": True}}
        vocabulary = store_bare(app, graph, "vocabularies", items=[{}], schema=schema)

        described = patched(
            admin, app, "vocabularies", vocabulary, {"description": "x", "schema": schema}
        )
        filled = admin.patch(f"vocabularies/{vocabulary['_id']}", {"items": [{"qcode": "a"}]})

        assert described.status_code == 200, described.text
        assert "Required name in item 0" in filled.text

    @pytest.mark.parametrize(
        ("body", "refusal"),
        [
            ({"name": "A"}, ""),
            ({"operator": "like"}, ""),
            ({"field": "nothing"}, "unallowed value nothing"),
            ({"field": "headline", "operator": "like", "value": ["x"]}, "value"),
        ],
    )
    def test_filter_conditions_are_checked_by_what_is_sent(
        self, app: Any, admin: Client, graph: Graph, body: Document, refusal: str
    ) -> None:
        """A condition that tests nothing yet can be named."""
        condition = store_bare(app, graph, "filter_conditions")

        answer = patched(admin, app, "filter_conditions", condition, body)

        assert answer.status_code == (400 if refusal else 200), answer.text
        assert refusal in answer.text

"""What every resource refuses, on every method, before anything is done.

Resources contract 2.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import pytest
from bson import ObjectId
from werkzeug.test import EnvironBuilder, TestResponse

from apps.core import json
from apps.core.service import Document
from apps.graph.build import Graph
from apps.rest import creation
from tests.support.clients import Client

SIZE_LIMIT = 25_000
REFUSED = (400, 403, 405)
"""Bad, or nobody may write there, or no such method of single documents."""
ANY_ID = "65f000000000000000000000"


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Bodies need not be large to be too large."""
    return {**settings, "MAX_CONTENT_LENGTH": SIZE_LIMIT}


@pytest.fixture
def item(admin: Client) -> Document:
    return admin.create("archive", {"type": "text", "headline": "x", "extra": {"a": 1}})


def writes(app: Any) -> Iterator[tuple[str, str]]:
    """Yield method and path of everything that takes a body."""
    for rule in app.url_map.iter_rules():
        if "|" in rule.endpoint and rule.rule.startswith("/api/"):
            path = "".join(ANY_ID if is_argument else part for is_argument, part in rule._trace)
            for method in {"POST", "PATCH", "PUT"} & rule.methods:
                yield method, path.partition("|")[2].removeprefix("/api/")


def send(client: Client, method: str, path: str, data: Any, **options: Any) -> TestResponse:
    headers = {"If-Match": "x", **options.pop("headers", {})}
    is_sent_as_it_is = isinstance(data, bytes) or "content_type" in options
    body = data if is_sent_as_it_is else json.dumps(data)
    options.setdefault("content_type", "application/json")
    return client.request(method, path, data=body, headers=headers, **options)


NO_DOCUMENTS = (b"1", b"true", b"null", b'"x"', b"[]", b"[[]]", b"[1]", b"[{}, null]", b"", b"{")


@pytest.mark.parametrize("body", [*NO_DOCUMENTS, b'{"a": "\xff"}', b'{"a": "\\ud800"}'], ids=repr)
def test_bodies_are_documents(app: Any, admin: Client, body: bytes) -> None:
    """Whatever the resource and the method: 400, with the reason."""
    answers = {at: send(admin, *at, body) for at in writes(app)}

    assert len(answers) > 50
    wrong = {at: a.text for at, a in answers.items() if a.status_code not in REFUSED}
    assert wrong == {}
    assert {a.status_code for a in answers.values()} >= {400}
    assert "The body" in send(admin, "POST", "archive", body).get_json()["_error"]["message"]


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"$ref": "a", "$id": 1}, "$ref"),
        ({"extra": {"$ref": "a", "$id": 1}}, "extra.$ref"),
        ({"extra": {"a": [1, {"$date": 1}]}}, "extra.a.1.$date"),
        ({"extra": {"a\0b": 1}}, "extra.a\\0b"),
        ({"a\0": 1}, "a\\0"),
        ({"extra": {"a": 2**63}}, "extra.a"),
        ({"extra": [-(2**63), {"b": 2**64 - 1}]}, "extra.1.b"),
    ],
    ids=str,
)
@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT"])
def test_keys_and_numbers_are_such_as_can_be_stored_and_read(
    admin: Client, item: Document, method: str, document: Document, path: str
) -> None:
    """The answer names the place; nothing is stored."""
    where = "archive" if method == "POST" else f"archive/{item['_id']}"

    answer = send(admin, method, where, document, headers={"If-Match": item["_etag"]})

    assert answer.status_code == 400
    assert answer.get_json()["_error"]["message"].startswith(f"{path}: ")
    assert admin.get(f"archive/{item['_id']}").get_json()["_etag"] == item["_etag"]
    assert admin.get("archive").get_json()["_meta"]["total"] == 1


@pytest.mark.parametrize("key", ["$ref", "a\0"])
def test_keys_are_refused_by_every_resource(app: Any, admin: Client, key: str) -> None:
    """Also where the schema would take any key."""
    answers = {at: send(admin, *at, {"a": [{key: 1}]}) for at in writes(app)}

    wrong = {at: a.text for at, a in answers.items() if a.status_code not in REFUSED}
    assert wrong == {}


@pytest.mark.parametrize("depth", [61, 200, 900, 10_000])
def test_documents_are_not_nested_for_ever(admin: Client, item: Document, depth: int) -> None:
    """Nesting that stores and encoders cannot follow is the client's mistake."""
    nested = b'{"extra": {"a": ' + b"[" * depth + b"]" * depth + b"}}"

    assert send(admin, "POST", "archive", nested).status_code == 400
    etag = {"If-Match": item["_etag"]}
    answer = send(admin, "PATCH", f"archive/{item['_id']}", nested, headers=etag)
    assert answer.status_code == 400


def test_fifty_levels_are_taken(admin: Client) -> None:
    """As many as editors' documents have, and more."""
    value: Any = "x"
    for _ in range(50):
        value = [value]

    created = admin.create("archive", {"extra": {"a": value}})

    assert admin.get(f"archive/{created['_id']}").get_json()["extra"]["a"] == value


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT"])
def test_bodies_have_a_limit(app: Any, admin: Client, item: Document, method: str) -> None:
    """413 in the envelope of errors, whether the client says how much it sends or not."""
    where = "archive" if method == "POST" else f"archive/{item['_id']}"
    body = json.dumps({"body_html": "x" * SIZE_LIMIT})

    answer = send(admin, method, where, body, headers={"If-Match": item["_etag"]})

    assert answer.status_code == 413
    assert answer.get_json()["_error"]["code"] == 413
    assert len(answer.data) < 500


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        (b"{}", "text/plain"),
        (b"{}", ""),
        (b"{}", "application/jsonx"),
        (b"headline=x", "application/x-www-form-urlencoded"),
        ({"headline": "x"}, "multipart/form-data"),
        ({"media": (__file__, "a.jpg")}, "multipart/form-data"),
        (b"zz", "multipart/form-data"),
        (b'{"a": 1}', "application/json; charset=utf-16"),
        ('{"a": "ü"}'.encode("latin-1"), "application/json; charset=latin-1"),
    ],
    ids=str,
)
def test_bodies_are_json(app: Any, admin: Client, data: Any, content_type: str) -> None:
    """No form and no file reaches a resource."""
    if isinstance(data, dict) and "media" in data:
        with open(__file__, "rb") as file:
            answer = send(admin, "POST", "archive", {"media": (file, "a")}, content_type=None)
    else:
        answer = send(admin, "POST", "archive", data, content_type=content_type)

    if content_type.endswith("utf-16"):
        # Bytes are UTF-8, whatever the header says.
        assert answer.get_json()["_issues"] == {"a": "unknown field"}
    assert answer.status_code == 400
    assert admin.get("archive").get_json()["_items"] == []


FORMS = ("application/x-www-form-urlencoded", "multipart/form-data", "text/plain", None)


@pytest.mark.parametrize("content_type", FORMS, ids=str)
@pytest.mark.parametrize("has_file", [True, False])
def test_forms_reach_no_resource(
    app: Any, admin: Client, graph: Graph, content_type: str | None, has_file: bool
) -> None:
    """Items, log-in, commands: whatever takes a body says that it has to be JSON.

    Also as an override of the method, and by who is not logged in where nobody has to be.
    """
    fields: Document = {"type": "picture", "headline": "x", "username": "admin", "password": "x"}
    if has_file:
        fields["media"] = (BytesIO(b"\xff\xd8\xff"), "flower.jpg", "image/jpeg")
    headers = {"If-Match": "x"}
    builder = EnvironBuilder(method="POST", data=fields)
    form = {"data": builder.get_request().get_data(), "content_type": builder.content_type}
    if content_type != "multipart/form-data":
        form["content_type"] = content_type
    stored = {name: graph.db[name].count_documents({}) for name in graph.db.list_collection_names()}

    answers = {
        (method, path): admin.request(method, path, headers=headers, **form)
        for method, path in writes(app)
    }
    answers["", "log-in"] = Client(app).request("POST", "auth_db", **form)
    override = {**headers, "X-HTTP-Method-Override": "PATCH"}
    answers["", "override"] = admin.request("POST", f"archive/{ANY_ID}", headers=override, **form)

    refused = {at: answer for at, answer in answers.items() if answer.status_code not in (403, 405)}
    text = "The body has to be JSON, with Content-Type: application/json"
    assert {(400, text)} == {
        (answer.status_code, answer.get_json()["_error"]["message"]) for answer in refused.values()
    }
    assert len(refused) > len(answers) / 2
    left = {name: graph.db[name].count_documents({}) for name in graph.db.list_collection_names()}
    assert stored == left


@pytest.mark.parametrize("id_", ["a\nb", "a\0b", "\x7f", "", "\u2028"], ids=repr)
@pytest.mark.parametrize("field", ["_id", "guid"])
def test_ids_fit_into_addresses(admin: Client, field: str, id_: str) -> None:
    """An item whose address could not be written is not stored."""
    answer = admin.post("archive", {field: id_})

    if field == "guid" and not id_:
        # None: the item gets one.
        assert answer.status_code == 201
        return
    assert answer.status_code == 400
    assert admin.get("archive").get_json()["_items"] == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If-Modified-Since": "x"}, 400),
        ({"If-Modified-Since": "Fri, 31 Dec 9999 23:59:59 GMT"}, 400),
        ({"If-Modified-Since": "Thu, 01 Jan 2099 00:00:00 GMT"}, 304),
        ({"If-None-Match": '"'}, 200),
        ({"If-None-Match": "W/"}, 200),
        ({"If-Match": "*"}, 200),
        ({"X-HTTP-Method-Override": "NONSENSE"}, 405),
        ({"X-HTTP-Method-Override": "TRACE"}, 405),
        ({"Accept": "nonsense;q=x"}, 200),
        ({"Accept": "application/xml"}, 200),
        ({"Range": "bytes=5-1"}, 200),
    ],
    ids=str,
)
def test_headers(admin: Client, item: Document, headers: dict[str, str], status: int) -> None:
    """Odd ones are refused or passed over."""
    answer = admin.request("GET", f"archive/{item['_id']}", headers=headers)

    assert answer.status_code == status


def test_documents_of_a_body_have_a_limit(admin: Client) -> None:
    """Each costs its writes; none is stored."""
    answer = admin.request("POST", "archive", json=[{}] * 501)

    assert answer.status_code == 400
    assert admin.get("archive").get_json()["_items"] == []


@pytest.mark.parametrize("method", ["OPTIONS", "GET", "POST"])
@pytest.mark.parametrize("host", ["a" * 300, "a..b" + "c" * 80])
def test_hosts_that_there_cannot_be(admin: Client, method: str, host: str) -> None:
    """A label of a name has 63 characters."""
    answer = admin.request(method, "archive", headers={"Host": host})

    assert (answer.status_code, answer.get_json()["_error"]["code"]) == (400, 400)


@pytest.mark.parametrize("version", ["all", "diffs"])
class TestVersions:
    @pytest.mark.parametrize("path", ["roles", "desks", "users", "publish_queue", "published"])
    def test_of_what_has_none(self, graph: Graph, admin: Client, version: str, path: str) -> None:
        """Only items have versions."""
        graph.db[path].insert_one({"_id": ObjectId(ANY_ID), "name": "x", "username": "x"})

        assert admin.get(f"{path}/{ANY_ID}", version=version).status_code == 400

    def test_of_an_item_without_version_rows(
        self, graph: Graph, admin: Client, version: str
    ) -> None:
        """What there is, is shown: the item as it is now."""
        now = datetime(2026, 3, 2, tzinfo=UTC)
        graph.db.archive.insert_one(
            {"_id": "a", "guid": "a", "headline": "x", "_created": now, "_updated": now}
        )

        answer = admin.get("archive/a", version=version)

        assert answer.status_code == 200
        assert [row["headline"] for row in answer.get_json()["_items"]] == ["x"]


class TestSecrets:
    """A condition on a secret, or an order by it, tells what it is."""

    @pytest.mark.parametrize(
        ("path", "field"),
        [
            ("users", "password"),
            ("users", "session_preferences"),
            (f"desks/{ANY_ID}/users", "password"),
            ("subscribers", "destinations"),
            ("subscribers", "destinations.config.secret_token"),
            ("subscribers", "destinations.0.config.password"),
            ("subscribers", "content_api_token"),
            ("publish_queue", "destination"),
            ("publish_queue", "destination.config.password"),
            ("subscriber_token", "token"),
            ("subscriber_token", "_id"),
        ],
    )
    def test_are_not_searched_or_sorted_by(self, admin: Client, path: str, field: str) -> None:
        """However the condition is wrapped."""
        conditions: list[Document] = [
            {field: "x"},
            {field: {"$regex": "^a"}},
            {"$or": [{field: {"$gt": "a"}}]},
            {"$nor": [{"$and": [{field: {"$not": {"$lt": "a"}}}]}]},
            {field: {"$elemMatch": {"$gt": "a"}}},
        ]
        for condition in conditions:
            answer = admin.get(path, where=json.dumps(condition).decode())
            assert (answer.status_code, condition) == (400, condition)
        assert admin.get(path, where=f'{field}=="x"').status_code == 400
        for order in (field, f"-{field}", f'[("{field}", 1)]', f"_created,{field}"):
            assert (admin.get(path, sort=order).status_code, order) == (400, order)

    @pytest.mark.parametrize("field", ["password", "session_preferences"])
    def test_are_not_asked_for(self, admin: Client, field: str) -> None:
        """By name neither."""
        assert admin.get("users", projection=f'{{"{field}": 1}}').status_code == 400


class TestSeveral:
    """Several documents in one POST are stored all or none."""

    @pytest.mark.parametrize(
        ("path", "documents", "field"),
        [
            ("archive", [{"guid": "a"}, {"guid": "a"}], "guid"),
            ("archive", [{"_id": "a"}, {"_id": "a"}], "_id"),
            ("archive", [{"unique_name": "a"}, {}, {"unique_name": "a"}], "unique_name"),
            ("roles", [{"name": "a"}, {"name": " A "}], "name"),
            ("desks", [{"name": "a"}, {"name": "b"}, {"name": "A"}], "name"),
            ("content_types", [{"label": "a"}, {"label": "A"}], "label"),
            ("content_types", [{"type": "picture"}, {"type": "picture"}], "type"),
            ("vocabularies", [{"_id": "a", "type": "manageable"}] * 2, "_id"),
            ("products", [{"name": "a", "product_type": "both"}] * 2, "name"),
            ("highlights", [{"name": "a", "desks": []}] * 2, "name"),
        ],
        ids=str,
    )
    def test_with_one_value_that_has_to_be_unique(
        self, graph: Graph, admin: Client, path: str, documents: list[Document], field: str
    ) -> None:
        """They are refused as if the first were stored already; it is not."""
        before = {name: graph.db[name].count_documents({}) for name in (path, "stages")}
        for document in documents:
            if path == "vocabularies":
                document.update({"display_name": "x", "items": []})

        answer = admin.post(path, documents)

        assert answer.status_code == 400, answer.text
        body = answer.get_json()
        assert body["_items"][0] == {"_status": "OK"}
        assert field in body["_items"][-1]["_issues"]
        after = {name: graph.db[name].count_documents({}) for name in (path, "stages")}
        assert after == before

    def test_with_ids_that_turn_out_to_be_the_same(self, graph: Graph, admin: Client) -> None:
        """A guid becomes the id of its item."""
        answer = admin.post("archive", [{"guid": "a"}, {"_id": "a"}])

        assert answer.status_code == 409
        assert graph.db.archive.count_documents({}) == 0

    def test_of_which_a_later_one_breaks_a_rule(self, graph: Graph, admin: Client) -> None:
        """Rules of the service look at all before the first is stored."""
        past = "2020-01-01T00:00:00+0000"

        answer = admin.post("archive", [{"headline": "a"}, {"embargo": past, "type": "text"}])

        assert answer.status_code == 400
        assert graph.db.archive.count_documents({}) == 0

    @pytest.mark.parametrize(
        "path", ["marked_for_highlights", "stages_order", "subscriber_token", "export"]
    )
    def test_are_not_taken_by_commands(self, admin: Client, path: str) -> None:
        """A command does one thing, or nothing."""
        assert admin.post(path, [{}, {}]).status_code == 400


class TestSize:
    """Documents are as large as the store takes, however they have become so."""

    @pytest.fixture(autouse=True)
    def small_store(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(creation, "DOCUMENT_BYTES", 15_000)

    def test_of_new_documents(self, graph: Graph, admin: Client) -> None:
        """Numbers take more in the store than in a body."""
        answer = admin.post("archive", {"extra": {"a": [1] * 3000}})

        assert (answer.status_code, answer.get_json()["_error"]["code"]) == (413, 413)
        assert graph.db.archive.count_documents({}) == 0

    def test_of_growing_ones(self, graph: Graph, admin: Client, item: Document) -> None:
        """Each save is small enough, both together are not; the item stays as it is."""
        path = f"archive/{item['_id']}"
        assert admin.patch(path, {"body_html": "x" * 10_000}).status_code == 200
        before = graph.db.archive.find_one({"_id": item["_id"]})

        answer = admin.patch(path, {"abstract": "x" * 10_000})

        assert answer.status_code == 413
        assert graph.db.archive.find_one({"_id": item["_id"]}) == before

    def test_is_looked_at_before_anything_is_done(self, graph: Graph, admin: Client) -> None:
        """The stages of a desk are not there without it."""
        assert admin.post("desks", {"name": "a", "description": "x" * 16_000}).status_code == 413

        assert graph.db.stages.count_documents({}) == 0

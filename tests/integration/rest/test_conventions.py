"""Conventions of every resource.

Resources contract 2; resources scenario R23, R25, R65, R66, R67.
"""

import json
from typing import Any

import pytest
from bson import ObjectId
from pymongo.errors import ExecutionTimeout

from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.clients import Client, make_user
from tests.support.events import Events


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Pages are small enough to see where they end."""
    return {**settings, "PAGINATION_DEFAULT": 3, "PAGINATION_LIMIT": 4}


class TestLists:
    @pytest.mark.parametrize(
        ("arguments", "page", "rows"),
        [
            ({}, 1, 3),
            ({"max_results": 0}, 1, 3),
            ({"max_results": -5}, 1, 3),
            ({"max_results": "many"}, 1, 3),
            ({"max_results": 99999}, 1, 4),
            ({"page": 0}, 1, 3),
            ({"page": "last"}, 1, 3),
            ({"page": 2}, 2, 2),
        ],
    )
    def test_take_odd_page_sizes_quietly(
        self, admin: Client, arguments: Document, page: int, rows: int
    ) -> None:
        """What makes no sense becomes the default, what is too much the limit.

        Resources scenario R65.
        """
        for number in range(5):
            admin.create("roles", {"name": f"Role {number}"})

        answer = admin.get("roles", **arguments)

        body = answer.get_json()
        assert (body["_meta"]["page"], len(body["_items"])) == (page, rows)
        assert body["_meta"]["total"] == 5
        assert answer.headers["X-Total-Count"] == "5"

    @pytest.mark.parametrize(
        ("where", "status"),
        [
            ('{"$where": "true"}', 400),
            ('{"$expr": {"$eq": [1, 1]}}', 400),
            ('{"$or": [{"$where": "true"}]}', 400),
            ("{", 400),
            ('{"$or": [{"username": {"$regex": "adm"}}]}', 200),
            ('username=="admin"', 200),
        ],
    )
    def test_refuse_queries_that_run_code(self, admin: Client, where: str, status: int) -> None:
        """Resources scenario R66: Mongo queries are allowed, code and nonsense are not."""
        answer = admin.get("users", where=where)

        assert answer.status_code == status
        if status == 200:
            assert [u["username"] for u in answer.get_json()["_items"]] == ["admin"]

    @pytest.mark.parametrize(
        "arguments",
        [
            {"where": "7"},
            {"where": "[1]"},
            {"where": '{"$or": 5}'},
            {"where": '{"name": {"$regex": "("}}'},
            {"where": '{"name": {"$nonsense": 1}}'},
            {"sort": '{"a": {"$foo": 1}}'},
            {"sort": '[("a", 7)]'},
            {"sort": '["a"]'},
            {"sort": "5"},
            {"sort": "a=="},
            {"sort": "a,-b,"},
            {"sort": '[["a..b", 1]]'},
            {"sort": '[["", 1]]'},
            {"sort": '[["$a", 1]]'},
            {"where": f'{{"name": {2**63}}}'},
            {"where": "name in ['a']"},
            {"where": '{"name": {"$regex": "(a+)+$"}}'},
            {"where": '{"$text": {"$search": "a"}}'},
            {"projection": '{"name": {"$slice": 1}}'},
            {"embedded": "[]"},
            {"embedded": '{"user": {}}'},
            {"version": "diffs", "page": 2},
            {"page": 10**30},
        ],
        ids=str,
    )
    @pytest.mark.parametrize("path", ["users", "archive", "published", "publish_queue"])
    def test_malformed_arguments_are_the_client_s_fault(
        self, admin: Client, path: str, arguments: dict[str, str]
    ) -> None:
        """What cannot be a query or an order is answered with 400 and an envelope."""
        answer = admin.get(path, **arguments)

        assert answer.status_code == 400
        assert answer.get_json()["_status"] == "ERR"

    @pytest.mark.parametrize(("sort", "first"), [("-name", "C"), ('[("name", 1)]', "A")])
    def test_sort(self, admin: Client, sort: str, first: str) -> None:
        """Both forms of `sort` are understood."""
        for name in "BAC":
            admin.create("roles", {"name": name})

        assert admin.get("roles", sort=sort).get_json()["_items"][0]["name"] == first

    def test_embed_what_is_referred_to(self, admin: Client, desk: Document) -> None:
        """References are resolved on request."""
        embedded = json.dumps({"desk": 1})

        listed = admin.get("stages", embedded=embedded).get_json()["_items"]

        assert {stage["desk"]["name"] for stage in listed} == {"Sports"}

    def test_embed_users_without_their_secrets(self, admin: Client, graph: Graph) -> None:
        """An embedded user shows no more than a listed one."""
        graph.newsroom.content_types.post(
            [{"label": "x", "created_by": make_user(graph, "a")["_id"]}]
        )

        listed = admin.get("content_types", embedded=json.dumps({"created_by": 1})).get_json()

        author = listed["_items"][0]["created_by"]
        assert author["username"] == "a"
        assert "password" not in author


class TestBodies:
    @pytest.mark.parametrize(
        "field", ["_etag", "_links", "_created", "_updated", "_current_version", "_status"]
    )
    def test_hold_no_fields_of_the_server(self, admin: Client, field: str) -> None:
        """Resources scenario R23: what the server sets, clients do not send."""
        answer = admin.post("roles", {"name": "Writers", field: "x"})

        assert answer.status_code == 400
        assert answer.get_json()["_issues"][field] == "unknown field"

    def test_may_be_lists(self, admin: Client) -> None:
        """One of a list answers like a single one; more answer as a list."""
        one = admin.post("roles", [{"name": "A"}])
        more = admin.post("roles", [{"name": "B"}, {"name": "C"}])

        assert one.get_json()["name"] == "A"
        assert [item["name"] for item in more.get_json()["_items"]] == ["B", "C"]

    def test_are_stored_all_or_none(self, admin: Client) -> None:
        """One bad document keeps the others of its list out."""
        answer = admin.post("roles", [{"name": "A"}, {}])

        assert answer.status_code == 400
        body = answer.get_json()
        assert body["_items"][0] == {"_status": "OK"}
        assert body["_items"][1]["_issues"] == {"name": {"required": 1}}
        assert body["_error"]["message"] == "Insertion failure: 1 document(s) contain(s) error(s)"
        assert admin.get("roles").get_json()["_items"] == []

    def test_conflict_when_validation_came_too_early(
        self, admin: Client, graph: Graph, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Names that were free when they were checked, but not when stored, are a conflict.

        The answer says which documents of the request are stored.
        """

        def taken_meanwhile(documents: list[Document], caller: Any) -> None:
            graph.db.roles.insert_one({"name": "B"})

        monkeypatch.setattr(graph.services["roles"], "on_create", taken_meanwhile)

        answer = admin.post("roles", [{"name": "A"}, {"name": "B"}, {"name": "C"}])

        body = answer.get_json()
        assert (answer.status_code, body["_error"]["code"]) == (409, 409)
        (stored,) = graph.db.roles.find({"name": "A"})
        ok = {"_status": "OK", "_id": str(stored["_id"])}
        assert body["_items"] == [ok, {"_status": "ERR"}, {"_status": "ERR"}]

    @pytest.mark.parametrize(
        ("data", "content_type"),
        [(b"{", "application/json"), (b"[]", "application/json"), (b"{}", "text/plain")],
    )
    def test_are_refused_when_they_cannot_be_read(
        self, admin: Client, data: bytes, content_type: str
    ) -> None:
        """Broken JSON, an empty list and unknown content types are bad requests."""
        answer = admin.request("POST", "roles", data=data, content_type=content_type)

        assert answer.status_code == 400
        assert answer.get_json()["_error"]["code"] == 400

    def test_do_not_change_ids(self, admin: Client, desk: Document) -> None:
        """An id that differs from the stored one is refused."""
        answer = admin.patch(f"desks/{desk['_id']}", {"_id": str(ObjectId())})

        assert answer.status_code == 400

    def test_replace_nested_documents(self, admin: Client) -> None:
        """A PATCH of a dictionary replaces it, it does not merge."""
        role = admin.create("roles", {"name": "A", "privileges": {"kill": 1, "publish": 1}})

        answer = admin.patch(f"roles/{role['_id']}", {"privileges": {"kill": 1}})

        assert answer.get_json()["privileges"] == {"kill": 1}


class TestEtags:
    @pytest.mark.parametrize(
        ("form", "status"),
        [("{}", 200), ('"{}"', 200), ('W/"{}"', 200), ("{}x", 412)],
    )
    def test_guard_changes(self, admin: Client, desk: Document, form: str, status: int) -> None:
        """Changes need the etag of what they change, in any of its forms.

        Resources scenario R25.
        """
        etag = form.format(desk["_etag"])

        answer = admin.patch(f"desks/{desk['_id']}", {"description": "x"}, etag=etag)

        assert answer.status_code == status

    @pytest.mark.parametrize("method", ["PATCH", "DELETE"])
    def test_are_needed(self, admin: Client, desk: Document, method: str) -> None:
        """Resources scenario R25: without an etag nothing is changed."""
        answer = admin.request(method, f"desks/{desk['_id']}", json={})

        assert answer.status_code == 428


class TestMethods:
    def test_options_need_no_login(self, anonymous: Client) -> None:
        """Resources scenario R67: browsers ask before they send credentials."""
        answer = anonymous.request("OPTIONS", "desks", headers={"Origin": "http://localhost"})

        assert answer.status_code == 200
        headers = answer.headers
        assert headers["Access-Control-Allow-Origin"] == "http://localhost"
        assert headers["Access-Control-Allow-Headers"] == "Content-Type, Authorization, If-Match"
        assert headers["Access-Control-Allow-Credentials"] == "true"
        assert headers["Access-Control-Max-Age"] == "86400"
        assert {"GET", "POST"} <= set(headers["Access-Control-Allow-Methods"].split(", "))

    @pytest.mark.parametrize("resource", ["users", "desks", "roles"])
    def test_without_a_privilege_are_refused(self, admin: Client, resource: str) -> None:
        """PUT is offered by no resource of the newsroom."""
        answer = admin.request("PUT", f"{resource}/{ObjectId()}", json={})

        assert answer.status_code in (403, 405)

    @pytest.mark.parametrize("resource", ["users", "roles", "desks", "stages", "vocabularies"])
    def test_do_not_delete_whole_resources(self, admin: Client, resource: str) -> None:
        """A DELETE names one document."""
        assert admin.request("DELETE", resource).status_code == 405


class TestNotifications:
    def test_tell_of_every_write(self, admin: Client, events: Events) -> None:
        """Clients learn which document of which resource has changed, and in which fields."""
        role = admin.create("roles", {"name": "A", "privileges": {"kill": 1}})
        admin.patch(f"roles/{role['_id']}", {"privileges": {"kill": 0}})
        admin.delete(f"roles/{role['_id']}")

        named = {"resource": "roles", "_id": role["_id"]}
        assert named in events.named("resource:created")
        updated = events.named("resource:updated")[-1]
        assert {key: updated[key] for key in named} == named
        assert {"privileges", "privileges.kill"} <= updated["fields"].keys()
        assert "name" not in updated["fields"]
        assert events.named("resource:deleted") == [named]


class TestUnexpected:
    def test_a_query_that_takes_too_long_is_503(
        self, admin: Client, graph: Graph, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With a reason; nobody waits for it."""

        def expired(*_: Any) -> Any:
            raise ExecutionTimeout("operation exceeded time limit", 50)

        monkeypatch.setattr(graph.services["roles"], "list_filter", expired)

        answer = admin.get("roles")

        assert answer.status_code == 503
        assert "takes too long" in answer.get_json()["_error"]["message"]
        assert int(answer.headers["Retry-After"]) > 0


class TestTypes:
    """What `_type` says in answers (resources contract 2)."""

    @pytest.mark.parametrize(
        ("path", "body"),
        [
            ("archive", {"type": "text", "headline": "A"}),
            ("archive", {"type": "picture", "headline": "A"}),
            ("published", {"_id": "an-item", "type": "text", "state": "published"}),
            ("roles", {"name": "Writers"}),
        ],
    )
    def test_of_new_documents_are_those_of_reads(
        self, admin: Client, path: str, body: Document
    ) -> None:
        """A document that was created answers as it does when it is read."""
        created = admin.create(path, body)
        read = admin.get(f"{path}/{created['_id']}").get_json()

        assert created.get("_type") == read.get("_type") == (None if path == "roles" else path)

    def test_are_in_each_of_several_documents(self, admin: Client, graph: Graph) -> None:
        """All documents of one POST have theirs; none is stored."""
        answer = admin.post("archive", [{"type": "text"}, {"type": "picture"}])

        assert [item["_type"] for item in answer.get_json()["_items"]] == ["archive"] * 2
        assert graph.db["archive"].count_documents({"_type": {"$exists": True}}) == 0
        assert graph.db["archive_versions"].count_documents({"_type": {"$exists": True}}) == 0

    def test_of_what_commands_answer(self, admin: Client, desk: Document) -> None:
        """Commands on items answer items."""
        member = {"user": admin.session["user"]}
        admin.patch(f"desks/{desk['_id']}", {"members": [member]})
        task = {"desk": desk["_id"], "stage": desk["working_stage"]}
        item = admin.create("archive", {"type": "text", "task": task, "language": "en"})
        own = admin.create("archive", {"type": "text"})
        commands = {
            f"archive/{item['_id']}/lock": {},
            f"archive/{item['_id']}/unlock": {},
            f"archive/{item['_id']}/duplicate": {"desk": desk["_id"], "type": "archive"},
            f"archive/{own['_id']}/copy": {},
            "archive/translate": {"guid": item["_id"], "language": "de"},
            f"archive/{item['_id']}/move": {
                "task": {"desk": desk["_id"], "stage": desk["incoming_stage"]}
            },
            "archive_autosave": {"_id": item["_id"], "headline": "B"},
        }

        types = {path: admin.create(path, body).get("_type") for path, body in commands.items()}

        assert types == dict.fromkeys(commands, "archive")

"""Items at the HTTP edge: create, read, save, versions, history."""

from typing import Any

import pytest
from bson import ObjectId

from apps.graph.build import Graph
from tests.support.clients import log_in, make_user
from tests.support.newsroom import Newsroom

REFUSED = "validator exception"


@pytest.fixture
def newsroom(graph: Graph) -> Newsroom:
    return Newsroom(graph.db)


class TestCreate:
    def test_fills_what_an_item_needs(self, admin: Any) -> None:
        """Ids, names, version and sign-off of an item that was posted without any.

        Lifecycle scenario 1.
        """
        item = admin.create("archive", {"type": "text", "body_html": "<p>content</p>"})

        assert item["_id"] == item["guid"] == item["family_id"]
        assert item["guid"].startswith("urn:newsml:")
        assert f"#{item['unique_id']}" == item["unique_name"]
        assert item["event_id"].startswith("tag:")
        assert ("draft", 1, "abc", "create", 1, "AAP") == (
            item["state"],
            item["_current_version"],
            item["sign_off"],
            item["operation"],
            item["word_count"],
            item["source"],
        )

    def test_an_empty_post_is_a_text_draft(self, admin: Any) -> None:
        """Nothing is required; defaults of type, priority, urgency, genre and language apply."""
        item = admin.create("archive", {})

        assert ("text", "text", 6, 3, "en", [{"qcode": "Article", "name": "Article (news)"}]) == (
            item["type"],
            item["profile"],
            item["priority"],
            item["urgency"],
            item["language"],
            item["genre"],
        )

    def test_creates_several_at_once(self, admin: Any) -> None:
        """A list of items answers a list; their numbers follow each other."""
        answer = admin.post("archive", [{"headline": "a"}, {"headline": "b"}])

        items = answer.get_json()["_items"]
        assert (201, ["a", "b"]) == (answer.status_code, [item["headline"] for item in items])
        assert items[0]["unique_id"] + 1 == items[1]["unique_id"]

    @pytest.mark.parametrize(
        ("body", "issues"),
        [
            ({"guid": "taken"}, {"guid": {"unique": 1}, "_id": {"unique": 1}}),
            ({"unique_name": "#taken"}, {"unique_name": {"unique": 1}}),
            ({"_etag": "x"}, {"_etag": "unknown field"}),
            ({"_links": {}}, {"_links": "unknown field"}),
            ({"type": "poem"}, {"type": "unallowed value poem"}),
            ({"state": "lost"}, {"state": "unallowed value lost"}),
            ({"headline": 1}, {"headline": "must be of string type"}),
        ],
    )
    def test_refuses_what_breaks_the_schema(self, admin: Any, body: Any, issues: Any) -> None:
        """Taken ids, unknown fields and values that are not allowed.

        Resources scenario R22, R23.
        """
        admin.create("archive", {"_id": "taken", "guid": "taken", "unique_name": "#taken"})
        if "guid" in body:
            body = {**body, "_id": "taken"}

        answer = admin.post("archive", body)

        assert (400, issues) == (answer.status_code, answer.get_json()["_issues"])

    def test_takes_source_and_language_of_the_desk(self, admin: Any, newsroom: Newsroom) -> None:
        """The desk says what its items start with."""
        newsroom.db["desks"].update_one({}, {"$set": {"source": "Desk", "desk_language": "no"}})

        item = admin.create("archive", newsroom.story())

        assert ("Desk", "no") == (item["source"], item["language"])

    def test_needs_the_privilege(self, editor: Any) -> None:
        """Who may not write items is refused before the body is looked at."""
        assert 403 == editor.post("archive", {"nonsense": 1}).status_code

    def test_refuses_an_unknown_desk(self, admin: Any) -> None:
        """A desk that does not exist is 404 and named; nothing is stored."""
        unknown = str(ObjectId())

        answer = admin.post("archive", {"task": {"desk": unknown}})

        assert (404, f"Invalid desk identifier {unknown}") == (
            answer.status_code,
            answer.get_json()["_message"],
        )

    def test_refuses_a_read_only_stage(self, admin: Any, newsroom: Newsroom) -> None:
        """Resources scenario R19: users cannot put items on a read-only stage; ingest can."""
        newsroom.db["stages"].update_many({}, {"$set": {"local_readonly": True}})

        refused = admin.post("archive", newsroom.story())
        ingested = admin.post("archive", newsroom.story(ingest_id="x"))

        assert (403, {"code": 403, "error": {"readonly": True}}, 201) == (
            refused.status_code,
            refused.get_json(),
            ingested.status_code,
        )

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"embargo": "2001-01-01T00:00:00Z"}, "Embargo cannot be earlier than now"),
            (
                {"embargo": "2099-01-01T00:00:00Z", "publish_schedule": "2099-01-01T00:00:00Z"},
                "An item can't have both Publish Schedule and Embargo",
            ),
            ({"publish_schedule": "2001-01-01T00:00:00Z"}, "Schedule cannot be earlier than now"),
        ],
    )
    def test_refuses_impossible_times(self, admin: Any, fields: Any, message: str) -> None:
        """Resources scenario R32; lifecycle scenario 41: embargo and schedule must be possible."""
        answer = admin.post("archive", fields)

        assert (400, message) == (answer.status_code, answer.get_json()["_message"])

    def test_computes_utc_times_of_a_schedule(self, admin: Any) -> None:
        """Resources scenario R33: a wall clock time in a zone becomes UTC."""
        item = admin.create(
            "archive",
            {
                "publish_schedule": "2099-07-01T12:00:00+0000",
                "schedule_settings": {"time_zone": "Australia/Sydney"},
            },
        )

        assert "2099-07-01T02:00:00+0000" == item["schedule_settings"]["utc_publish_schedule"]


class TestSave:
    def test_raises_version_and_state(self, admin: Any, newsroom: Newsroom) -> None:
        """Lifecycle scenario 2: a save is a version, and puts a desk item to in_progress."""
        item = admin.create("archive", newsroom.story())

        saved = admin.patch(f"archive/{item['_id']}", {"headline": "new"}).get_json()

        assert ("in_progress", "update", 2) == (
            saved["state"],
            saved["operation"],
            saved["_current_version"],
        )

    def test_a_personal_draft_stays_a_draft(self, admin: Any) -> None:
        """Lifecycle scenario 2; resources scenario R31: without a desk an item is a draft."""
        item = admin.create("archive", {"headline": "mine"})

        assert (
            "draft" == admin.patch(f"archive/{item['_id']}", {"headline": "x"}).get_json()["state"]
        )

    def test_keeps_every_version(self, admin: Any, newsroom: Newsroom) -> None:
        """Resources scenario R24: all versions, one version, and 404 for one that is not there."""
        path = f"archive/{admin.create('archive', newsroom.story(headline='one'))['_id']}"
        admin.patch(path, {"headline": "two"})
        admin.patch(path, {"headline": "three"})

        versions = admin.get(path, version="all").get_json()["_items"]

        assert ["one", "two", "three"] == [version["headline"] for version in versions]
        assert {3} == {version["_latest_version"] for version in versions}
        assert "one" == admin.get(path, version="1").get_json()["headline"]
        assert 404 == admin.get(path, version="9").status_code

    def test_needs_the_current_etag(self, admin: Any) -> None:
        """428 without, 412 with a stale one; quotes and W/ do not matter.

        Lifecycle scenario 3; resources scenario R25.
        """
        item = admin.create("archive", {})
        path = f"archive/{item['_id']}"

        assert 428 == admin.request("PATCH", path, json={}).status_code
        assert 412 == admin.patch(path, {"headline": "x"}, etag="stale").status_code
        quoted = admin.patch(path, {"headline": "x"}, etag=f'"{item["_etag"]}"')
        assert 200 == quoted.status_code
        assert 200 == admin.patch(path, {}, etag=f'W/"{quoted.get_json()["_etag"]}"').status_code

    def test_replaces_nested_documents(self, admin: Any) -> None:
        """A dict in a PATCH replaces the stored one."""
        item = admin.create("archive", {"extra": {"a": 1, "b": 2}})

        saved = admin.patch(f"archive/{item['_id']}", {"extra": {"b": 3}}).get_json()

        assert {"b": 3} == saved["extra"]

    @pytest.mark.parametrize(
        ("changes", "refusal"),
        [
            (
                {"anpa_category": [{"qcode": "a"}, {"qcode": "a"}]},
                "400: Duplicate category codes are not allowed",
            ),
            (
                {"subject": [{"qcode": "1", "scheme": "s"}, {"qcode": "1", "scheme": "s"}]},
                "400: Duplicate subjects are not allowed",
            ),
        ],
    )
    def test_refuses_repeated_codes(self, admin: Any, changes: Any, refusal: str) -> None:
        """A code stands once; the same code of two schemes is fine.

        Lifecycle scenario 5; resources scenario R29.
        """
        item = admin.create("archive", {})
        path = f"archive/{item['_id']}"

        answer = admin.patch(path, changes)

        assert (400, refusal) == (answer.status_code, answer.get_json()["_issues"][REFUSED])
        schemes = {"subject": [{"qcode": "1", "scheme": "s"}, {"qcode": "1", "scheme": "t"}]}
        assert 200 == admin.patch(path, schemes).status_code

    @pytest.mark.parametrize("argument", ['{"headline": 1}', '{"lock_user": 0}', '{"_etag": 1}'])
    def test_lets_no_argument_hide_what_rules_look_at(
        self, admin: Any, graph: Graph, argument: str
    ) -> None:
        """`projection` is for reading: with it an item is locked as it is without."""
        item = admin.create("archive", {})
        lock = {"lock_user": ObjectId(), "lock_session": ObjectId()}
        graph.db["archive"].update_one({"_id": item["_id"]}, {"$set": lock})

        refused = admin.patch(
            f"archive/{item['_id']}", {"headline": "x"}, item["_etag"], projection=argument
        )

        assert 400 == refused.status_code
        assert "403: The item was locked by another user" == refused.get_json()["_issues"][REFUSED]

    def test_refuses_an_item_that_somebody_else_locked(self, admin: Any, graph: Graph) -> None:
        """The lock of another user holds; `force_unlock` passes it.

        Lifecycle scenario 6; resources scenario R28.
        """
        item = admin.create("archive", {})
        graph.db["archive"].update_one({"_id": item["_id"]}, {"$set": {"lock_user": ObjectId()}})
        path = f"archive/{item['_id']}"

        refused = admin.patch(path, {"headline": "x"})
        forced = admin.patch(path, {"headline": "x", "force_unlock": True})

        assert "403: The item was locked by another user" == refused.get_json()["_issues"][REFUSED]
        assert 200 == forced.status_code
        assert "force_unlock" not in forced.get_json()

    def test_refuses_a_published_item(self, admin: Any, newsroom: Newsroom) -> None:
        """What is out is changed by a correction, not by a save.

        Lifecycle scenario 16; resources scenario R30.
        """
        item = admin.create("archive", newsroom.story(state="published"))

        answer = admin.patch(f"archive/{item['_id']}", {"headline": "x"})

        refusal = "412: Workflow transition is invalid."
        assert (400, refusal) == (answer.status_code, answer.get_json()["_issues"][REFUSED])

    def test_a_name_is_changed_by_who_may(self, app: Any, graph: Graph) -> None:
        """A change of `unique_name` needs its privilege; a taken one is refused."""
        make_user(graph, "writer", privileges={"archive": 1})
        writer = log_in(app, "writer")
        item = writer.create("archive", {})

        answer = writer.patch(f"archive/{item['_id']}", {"unique_name": "#other"})

        refusal = "403: Unauthorized to modify Unique Name"
        assert refusal == answer.get_json()["_issues"][REFUSED]

    def test_appends_sign_offs(self, app: Any, admin: Any, graph: Graph) -> None:
        """Resources scenario R37: abc, then foo: abc/foo; then abc again: foo/abc."""
        make_user(graph, "foo", user_type="administrator", sign_off="foo")
        item = admin.create("archive", {})
        path = f"archive/{item['_id']}"

        second = log_in(app, "foo").patch(path, {"headline": "1"}).get_json()["sign_off"]
        third = admin.patch(path, {"headline": "2"}).get_json()["sign_off"]

        assert ("abc/foo", "foo/abc") == (second, third)

    def test_cannot_change_the_id(self, admin: Any) -> None:
        """An id is for ever."""
        item = admin.create("archive", {})

        assert 400 == admin.patch(f"archive/{item['_id']}", {"_id": "other"}).status_code

    def test_is_not_deleted_over_http(self, admin: Any) -> None:
        """Resources scenario R27: items are not deleted by clients."""
        item = admin.create("archive", {})

        assert 405 == admin.request("DELETE", f"archive/{item['_id']}").status_code


class TestRead:
    def test_lists_what_is_being_worked_on(self, admin: Any, newsroom: Newsroom) -> None:
        """Resources scenario R35: the list leaves out what is out; by id everything is read."""
        fetched = admin.create("archive", newsroom.story())
        published = admin.create("archive", newsroom.story(state="published"))

        listed = [item["_id"] for item in admin.get("archive").get_json()["_items"]]

        assert [fetched["_id"]] == listed
        assert 200 == admin.get(f"archive/{published['_id']}").status_code

    def test_hides_drafts_of_others(self, app: Any, admin: Any, graph: Graph) -> None:
        """Resources scenario R36: a personal draft is its writer's own business."""
        admin.create("archive", {"headline": "mine"})
        make_user(graph, "other", user_type="administrator")

        seen_by_writer = admin.get("archive").get_json()["_meta"]["total"]
        seen_by_other = log_in(app, "other").get("archive").get_json()["_meta"]["total"]

        assert (1, 0) == (seen_by_writer, seen_by_other)

    def test_hides_items_on_invisible_stages(
        self, app: Any, newsroom: Newsroom, graph: Graph
    ) -> None:
        """No list and no look at an item on a stage that is hidden from the user.

        Resources scenario R20.
        """
        graph.db["stages"].update_many({}, {"$set": {"is_visible": False}})
        make_user(graph, "guest", privileges={"archive": 1})
        guest = log_in(app, "guest")
        item = guest.create("archive", newsroom.story())

        answer = guest.get(f"archive/{item['_id']}")

        assert 0 == guest.get("archive").get_json()["_meta"]["total"]
        assert (403, "User does not have permissions to read the item.") == (
            answer.status_code,
            answer.get_json()["_message"],
        )

    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            ("PATCH", "archive/{id}", {"headline": "x"}),
            ("PUT", "archive/{id}", {"headline": "x"}),
            ("PATCH", "archive/publish/{id}", {}),
            ("PATCH", "archive/correct/{id}", {}),
            ("PATCH", "archive/kill/{id}", {}),
            ("PATCH", "archive/takedown/{id}", {}),
            ("PATCH", "archive/unpublish/{id}", {}),
            ("PATCH", "archive/correction/{id}", {}),
            ("PATCH", "archive/spike/{id}", {}),
            ("PATCH", "archive/unspike/{id}", {}),
            ("POST", "archive/{id}/duplicate", {"desk": None, "type": "archive"}),
            ("POST", "archive/{id}/copy", {}),
            ("POST", "archive/{id}/rewrite", {}),
            ("POST", "archive_autosave", {"_id": "{id}", "headline": "x"}),
        ],
    )
    def test_nobody_works_on_what_is_hidden_from_him(
        self, app: Any, newsroom: Newsroom, graph: Graph, method: str, path: str, body: Any
    ) -> None:
        """The refusal of the GET keeps its status, before etags are compared.

        Resources contract 2.6.
        """
        words = ("archive", "publish", "correct", "kill", "takedown", "unpublish", "spike")
        rights = dict.fromkeys((*words, "unspike", "duplicate", "rewrite"), 1)
        make_user(graph, "member", privileges=rights)
        client = log_in(app, "member")
        item = client.create("archive", newsroom.story())
        graph.db["users"].update_one(
            {"username": "member"},
            {"$set": {"invisible_stages": [newsroom.desk["working_stage"]]}},
        )
        sent = {**body, **({"_id": item["_id"]} if "_id" in body else {})}

        answer = client.request(method, path.format(id=item["_id"]), json=sent)

        assert (403, "User does not have permissions to read the item.") == (
            answer.status_code,
            answer.get_json()["_message"],
        )

    def test_a_projection_does_not_uncover_it(
        self, app: Any, newsroom: Newsroom, graph: Graph
    ) -> None:
        """Who leaves the task out of the answer is not shown more."""
        graph.db["stages"].update_many({}, {"$set": {"is_visible": False}})
        make_user(graph, "guest", privileges={"archive": 1})
        guest = log_in(app, "guest")
        item = guest.create("archive", newsroom.story())

        answer = guest.get(f"archive/{item['_id']}", projection='{"headline": 1}')

        assert 403 == answer.status_code

    def test_never_shows_what_is_for_the_server(self, admin: Any, newsroom: Newsroom) -> None:
        """The note of unfinished writes stays inside."""
        item = admin.create("archive", newsroom.story())
        saved = admin.patch(f"archive/{item['_id']}", {"headline": "x"}).get_json()

        assert "journal" not in item
        assert "journal" not in saved
        assert "journal" not in admin.get(f"archive/{item['_id']}").get_json()

    def test_records_who_did_what(self, admin: Any, newsroom: Newsroom) -> None:
        """Resources scenario R58: one history row per operation, with the version it led to."""
        newsroom.validators()
        item = admin.create("archive", newsroom.story())
        admin.patch(f"archive/{item['_id']}", {"headline": "x"})
        admin.patch(f"archive/publish/{item['_id']}", {})

        rows = admin.get("archive_history", where=f'item_id=="{item["_id"]}"').get_json()["_items"]

        assert [("create", 1), ("update", 2), ("publish", 3)] == [
            (row["operation"], row["version"]) for row in rows
        ]
        assert {admin.session["user"]} == {row["user_id"] for row in rows}
        assert {"headline": "x"}.items() <= rows[1]["update"].items()

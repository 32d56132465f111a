"""The publish actions at the HTTP edge: what they store and what they refuse."""

from collections.abc import Callable
from typing import Any

import pytest

from apps.graph.build import Graph
from tests.support.clients import log_in, make_user
from tests.support.newsroom import Newsroom

Story = Callable[..., dict[str, Any]]
REFUSED = "validator exception"


@pytest.fixture
def eager() -> bool:
    """Tasks run at once."""
    return True


@pytest.fixture
def newsroom(graph: Graph) -> Newsroom:
    room = Newsroom(graph.db)
    room.validators()
    return room


@pytest.fixture
def story(admin: Any, newsroom: Newsroom) -> Story:
    """Create stories on the desk."""

    def create(**fields: Any) -> dict[str, Any]:
        return dict(admin.create("archive", newsroom.story(**fields)))

    return create


def act(
    client: Any, operation: str, item: dict[str, Any], body: Any = None, **arguments: Any
) -> Any:
    """PATCH a publish endpoint with the item's current etag."""
    return client.patch(f"archive/{operation}/{item['_id']}", body or {}, **arguments)


class TestPublish:
    def test_publishes_a_story_on_a_desk(self, admin: Any, story: Story) -> None:
        """State, version, operation and pubstatus change, versioncreated does not.

        Lifecycle scenario 7.
        """
        item = story()

        published = act(admin, "publish", item).get_json()

        assert (
            published["state"],
            published["_current_version"],
            published["operation"],
            published["pubstatus"],
        ) == ("published", 2, "publish", "usable")
        assert item["versioncreated"] == published["versioncreated"]
        assert published["firstpublished"] >= item["versioncreated"]

    def test_answers_the_whole_document(self, admin: Any, story: Story) -> None:
        """A write answers the document as stored, with an etag that the next write can use."""
        item = story()

        answer = act(admin, "publish", item)
        published = answer.get_json()

        assert (200, "OK", item["_id"]) == (
            answer.status_code,
            published["_status"],
            published["_id"],
        )
        assert admin.get(f"archive/{item['_id']}").get_json()["_etag"] == published["_etag"]

    def test_stores_what_the_request_changes(self, admin: Any, story: Story) -> None:
        """Content in the request is saved with the action."""
        item = story()

        act(admin, "publish", item, {"headline": "Rivers rise again"})

        assert admin.get(f"archive/{item['_id']}").get_json()["headline"] == "Rivers rise again"

    def test_writes_one_version_per_action(self, admin: Any, story: Story) -> None:
        """Every version can be read back with the content of its time."""
        item = story()
        act(admin, "publish", item, {"headline": "second"})
        act(admin, "correct", item, {"headline": "third"})

        versions = admin.get(f"archive/{item['_id']}", version="all").get_json()["_items"]

        assert [v["_current_version"] for v in versions] == [1, 2, 3]
        assert [v["headline"] for v in versions] == ["Rivers rise", "second", "third"]

    def test_shows_the_row_under_the_id_of_the_item(self, admin: Any, story: Story) -> None:
        """Lifecycle scenario 8: `_id` and `item_id` are swapped unless `published_id` is given."""
        item = story()
        act(admin, "publish", item)

        row = admin.get("published").get_json()["_items"][0]
        stored = admin.get("published", published_id="1").get_json()["_items"][0]

        assert (item["_id"], item["_id"]) == (row["_id"], stored["item_id"])
        assert (len(stored["_id"]), row["last_published_version"]) == (24, True)
        assert row["archive_item"]["state"] == "published"

    def test_clears_the_lock(self, admin: Any, story: Story, graph: Graph) -> None:
        """Publishing does not look at the item's lock; it clears it."""
        item = story()
        lock = {"lock_user": admin.session["_id"], "lock_session": admin.session["_id"]}
        graph.db["archive"].update_one({"_id": item["_id"]}, {"$set": lock})

        published = act(admin, "publish", item).get_json()

        assert (published["lock_user"], published["lock_session"]) == (None, None)

    def test_refuses_a_draft_by_its_state(self, admin: Any, story: Story) -> None:
        """Lifecycle scenario 10: the message names action and state; the status is always 400."""
        item = story(state="draft")

        answer = act(admin, "publish", item)

        assert answer.status_code == 400
        assert answer.get_json()["_issues"][REFUSED] == "412: Can't publish as item state is draft"

    def test_refuses_other_types_in_other_words(self, admin: Any, story: Story) -> None:
        """Lifecycle scenario 11: for other types than text the message speaks of packages."""
        item = story(type="picture", state="published")

        text = act(admin, "publish", item).get_json()["_issues"][REFUSED]

        assert text.startswith("412: Can't publish as either package state or one of the items")

    def test_refuses_without_the_privilege(self, admin: Any, editor: Any, story: Story) -> None:
        """Lifecycle scenario 12: a missing privilege is 403, before anything else is looked at."""
        item = story()

        answer = act(editor, "publish", item, etag="anything")

        assert answer.status_code == 403
        assert answer.get_json() == {
            "_status": "ERR",
            "_message": "Insufficient privileges for the requested operation.",
            "internal_error": 403,
        }

    def test_refuses_an_invalid_item_and_changes_nothing(
        self, admin: Any, newsroom: Newsroom, graph: Graph
    ) -> None:
        """Messages and fields; the item stays, no row appears; then it goes out.

        Lifecycle scenario 13.
        """
        rule = {"headline": {"type": "string", "required": True}}
        graph.db["validators"].update_many({}, {"$set": {"schema": rule}})
        without_headline = {k: v for k, v in newsroom.story().items() if k != "headline"}
        item = admin.create("archive", without_headline)

        answer = act(admin, "publish", item)

        assert answer.status_code == 400
        assert answer.get_json()["_issues"] == {
            REFUSED: "[['HEADLINE is a required field']]",
            "fields": {"headline": "required field"},
        }
        stored = admin.get(f"archive/{item['_id']}").get_json()
        assert (item["_etag"], "fetched") == (stored["_etag"], stored["state"])
        assert graph.db["published"].count_documents({}) == 0
        assert act(admin, "publish", item, {"headline": "There"}).status_code == 200

    @pytest.mark.parametrize("where", ["item", "request"])
    def test_refuses_what_is_not_for_publication(
        self, admin: Any, story: Story, where: str
    ) -> None:
        """Lifecycle scenario 15: the flag counts on the item and in the request."""
        flags = {"flags": {"marked_for_not_publication": True}}
        item = story(**(flags if where == "item" else {}))

        answer = act(admin, "publish", item, flags if where == "request" else {})

        expected = "400: Cannot publish an item which is marked as Not for Publication"
        assert expected == answer.get_json()["_issues"][REFUSED]

    def test_takes_the_source_of_the_desk(
        self, admin: Any, story: Story, newsroom: Newsroom
    ) -> None:
        """The desk's source, or the default; an ingested item keeps its own.

        Lifecycle scenario 17.
        """
        newsroom.db["desks"].update_one({}, {"$set": {"source": "Desk"}})

        assert act(admin, "publish", story()).get_json()["source"] == "Desk"

    def test_sets_the_expiry_from_the_desk(self, admin: Any, story: Story, graph: Graph) -> None:
        """Lifecycle scenario 18: minutes of the desk count from the publication."""
        graph.db["desks"].update_one({}, {"$set": {"content_expiry": 60}})
        item = story()
        act(admin, "publish", item)

        stored = graph.db["archive"].find_one({"_id": item["_id"]})

        assert stored is not None
        assert (stored["expiry"] - stored["firstpublished"]).total_seconds() == 3600

    def test_puts_a_personal_item_on_a_desk(
        self, admin: Any, story: Story, newsroom: Newsroom
    ) -> None:
        """Lifecycle scenario 19: `desk_id` gives a personal item its desk."""
        item = story(task={}, state="in_progress")

        published = act(admin, "publish", item, desk_id=newsroom.task["desk"]).get_json()

        assert newsroom.task["desk"] == published["task"]["desk"]

    def test_refuses_an_unknown_desk(self, admin: Any, story: Story) -> None:
        """A desk id that does not exist is named."""
        item = story(task={}, state="in_progress")

        answer = act(admin, "publish", item, desk_id="5f2f0f0f0f0f0f0f0f0f0f0f")

        expected = "404: Invalid desk identifier 5f2f0f0f0f0f0f0f0f0f0f0f"
        assert expected == answer.get_json()["_issues"][REFUSED]

    def test_publishes_an_item_written_without_a_version(
        self, admin: Any, graph: Graph, newsroom: Newsroom
    ) -> None:
        """Documents of others have no version: what is there becomes 1, the publication 2."""
        task = {"desk": newsroom.desk["_id"], "stage": newsroom.desk["working_stage"]}
        document = {"_id": "foreign", "guid": "foreign", "type": "text", "state": "fetched"}
        graph.db["archive"].insert_one({**document, "headline": "h", "task": task})

        published = act(admin, "publish", {"_id": "foreign"}).get_json()

        versions = admin.get("archive/foreign", version="all").get_json()["_items"]
        assert (
            published["_current_version"],
            [v["_current_version"] for v in versions],
        ) == (2, [1, 2])

    def test_refuses_an_update_before_its_story(
        self, admin: Any, story: Story, graph: Graph
    ) -> None:
        """Lifecycle scenario 62: an update waits until the story it updates is out."""
        first, update = story(), story()
        graph.db["archive"].update_one(
            {"_id": update["_id"]}, {"$set": {"rewrite_of": first["_id"]}}
        )

        answer = act(admin, "publish", update)

        expected = "400: Can't publish update until original story is published."
        assert expected == answer.get_json()["_issues"][REFUSED]


class TestCorrect:
    def test_counts_corrections(self, admin: Any, story: Story, graph: Graph) -> None:
        """Sequence 2, 3; only the newest row is the last published version.

        Lifecycle scenario 27, 28.
        """
        item = story()
        act(admin, "publish", item)
        first = act(admin, "correct", item, {"headline": "one"}).get_json()
        second = act(admin, "correct", item, {"headline": "two"}).get_json()

        rows = list(graph.db["published"].find({}).sort("publish_sequence_no", 1))

        assert (
            second["state"],
            first["correction_sequence"],
            second["correction_sequence"],
        ) == ("corrected", 2, 3)
        assert [row["headline"] for row in rows] == ["Rivers rise", "one", "two"]
        assert [row["last_published_version"] for row in rows] == [False, False, True]

    def test_refuses_an_embargo_after_publication(self, admin: Any, story: Story) -> None:
        """Lifecycle scenario 40: an item that is out without an embargo gets none."""
        item = story()
        act(admin, "publish", item)

        answer = act(admin, "correct", item, {"embargo": "2099-01-01T00:00:00+0000"})

        expected = "400: Embargo can't be set after publishing"
        assert expected == answer.get_json()["_issues"][REFUSED]

    def test_signs_for_every_user(self, app: Any, admin: Any, graph: Graph, story: Story) -> None:
        """Lifecycle scenario 29: publish by abc, correct by foo, kill by bar leaves `abc/foo`."""
        for name in ("foo", "bar"):
            make_user(graph, name, user_type="administrator", sign_off=name)
        item = story()
        act(admin, "publish", item)
        act(log_in(app, "foo"), "correct", item)

        killed = act(log_in(app, "bar"), "kill", item).get_json()

        assert killed["sign_off"] == "abc/foo"


class TestWithdraw:
    @pytest.mark.parametrize(
        ("operation", "state"),
        [("kill", "killed"), ("takedown", "recalled"), ("unpublish", "unpublished")],
    )
    def test_withdraws_a_published_item(
        self, admin: Any, story: Story, operation: str, state: str
    ) -> None:
        """Each operation has its state; all cancel the publication status.

        Lifecycle scenario 31, 32, 33.
        """
        item = story()
        act(admin, "publish", item)

        withdrawn = act(admin, operation, item).get_json()

        assert (state, operation, "canceled", 3) == (
            withdrawn["state"],
            withdrawn["operation"],
            withdrawn["pubstatus"],
            withdrawn["_current_version"],
        )

    @pytest.mark.parametrize("operation", ["kill", "takedown"])
    def test_puts_a_notice_before_the_body(self, admin: Any, story: Story, operation: str) -> None:
        """Lifecycle scenario 31, 32: the body starts with the request to drop the story."""
        item = story()
        act(admin, "publish", item)

        body = act(admin, operation, item, {"body_html": "<p>Wrong.</p>"}).get_json()["body_html"]

        assert body.startswith(f"<p>Please {operation} story slugged rivers headlined Rivers rise")
        assert body.endswith("<p>Wrong.</p>")

    def test_unpublish_leaves_the_body(self, admin: Any, story: Story) -> None:
        """Lifecycle scenario 33: no notice; the item may be edited and published again."""
        item = story()
        first = act(admin, "publish", item).get_json()["firstpublished"]

        assert item["body_html"] == act(admin, "unpublish", item).get_json()["body_html"]
        saved = admin.patch(f"archive/{item['_id']}", {"headline": "New"}).get_json()
        assert saved["state"] == "in_progress"
        assert first == act(admin, "publish", item).get_json()["firstpublished"]

    @pytest.mark.parametrize("operation", ["kill", "takedown", "unpublish"])
    def test_refuses_what_is_not_out(self, admin: Any, story: Story, operation: str) -> None:
        """Lifecycle scenario 34: all three refuse in the words of a kill."""
        answer = act(admin, operation, story())

        expected = "412: Can't kill as item state is fetched"
        assert expected == answer.get_json()["_issues"][REFUSED]

    def test_refuses_a_dateline(self, admin: Any, story: Story) -> None:
        """Lifecycle scenario 35: a withdrawal leaves the dateline alone."""
        item = story()
        act(admin, "publish", item)

        answer = act(admin, "kill", item, {"dateline": {"text": "SYDNEY"}})

        expected = "400: Dateline can't be modified on kill or take down"
        assert expected == answer.get_json()["_issues"][REFUSED]

    def test_a_killed_item_is_dead(self, admin: Any, story: Story) -> None:
        """Lifecycle scenario 36: nothing can be saved on it any more."""
        item = story()
        act(admin, "publish", item)
        act(admin, "kill", item)

        answer = admin.patch(f"archive/{item['_id']}", {"headline": "x"})

        expected = "403: Item isn't in a valid state to be updated."
        assert expected == answer.get_json()["_issues"][REFUSED]


class TestBadInput:
    @pytest.mark.parametrize("operation", ["publish", "correct", "kill", "takedown", "unpublish"])
    def test_needs_an_etag(self, admin: Any, story: Story, operation: str) -> None:
        """Every action needs If-Match, and the current one."""
        item = story()
        path = f"archive/{operation}/{item['_id']}"

        without = admin.request("PATCH", path, json={})
        stale = admin.patch(path, {}, etag="0" * 40)

        assert (without.status_code, stale.status_code) == (428, 412)

    @pytest.mark.parametrize("operation", ["publish", "correct", "kill", "takedown", "unpublish"])
    def test_knows_no_such_item(self, admin: Any, newsroom: Newsroom, operation: str) -> None:
        """An unknown id is 404."""
        assert admin.patch(f"archive/{operation}/nothing", {}, etag="x").status_code == 404

    @pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
    def test_takes_patch_only(self, admin: Any, story: Story, method: str) -> None:
        """The endpoints know no other method."""
        path = f"archive/publish/{story()['_id']}"

        assert admin.request(method, path, json={}).status_code == 405

    @pytest.mark.parametrize(
        ("body", "issue"),
        [
            ({"nonsense": 1}, {"nonsense": "unknown field"}),
            ({"headline": 7}, {"headline": "must be of string type"}),
            ({"pubstatus": "gone"}, {"pubstatus": "unallowed value gone"}),
            ({"publish_schedule": "soon"}, {"publish_schedule": "must be of datetime type"}),
        ],
    )
    def test_names_the_field_that_breaks_the_schema(
        self, admin: Any, story: Story, body: Any, issue: Any
    ) -> None:
        """Schema failures name field and rule; nothing is stored."""
        item = story()

        answer = act(admin, "publish", item, body)

        assert (400, issue) == (answer.status_code, answer.get_json()["_issues"])
        assert item["_etag"] == admin.get(f"archive/{item['_id']}").get_json()["_etag"]

    @pytest.mark.parametrize("content", [b"{", b"", b"[1, 2"])
    def test_refuses_what_is_no_json(self, admin: Any, story: Story, content: bytes) -> None:
        """A body that cannot be read is 400."""
        item = story()
        headers = {"If-Match": item["_etag"], "Content-Type": "application/json"}

        answer = admin.request(
            "PATCH", f"archive/publish/{item['_id']}", data=content, headers=headers
        )

        assert (answer.status_code, answer.get_json()["_error"]["code"]) == (400, 400)

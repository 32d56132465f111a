"""Stages at the HTTP edge (resources contract 8; resources scenario R17, R18, R19, R20)."""

from typing import Any

import pytest
from bson import ObjectId

from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.clients import Client, client_of, new_user
from tests.support.events import Events


@pytest.fixture
def stage(admin: Client, desk: Document) -> Document:
    """A third stage of the desk."""
    return admin.create("stages", {"name": "Copy taster", "desk": desk["_id"]})


def task(stage: Document) -> dict[str, Any]:
    """Return the `task` of an item on `stage`."""
    return {"desk": stage["desk"], "stage": stage["_id"]}


class TestCreate:
    def test_puts_the_stage_last(self, stage: Document) -> None:
        """The first stage after the two that a desk starts with is third.

        Resources scenario R17.
        """
        assert stage["desk_order"] == 3
        assert (stage["is_visible"], stage["local_readonly"]) == (True, False)

    def test_needs_a_name_and_a_desk(self, admin: Client) -> None:
        """Resources scenario R17: both are reported."""
        answer = admin.post("stages", {})

        assert answer.status_code == 400
        assert answer.get_json()["_issues"] == {"name": {"required": 1}, "desk": {"required": 1}}

    def test_refuses_a_name_that_the_desk_has(self, admin: Client, stage: Document) -> None:
        """Resources scenario R17: names are unique on a desk, not between desks."""
        other = admin.create("desks", {"name": "Politics"})

        refused = admin.post("stages", {"name": "copy Taster", "desk": stage["desk"]})
        accepted = admin.post("stages", {"name": "Copy taster", "desk": other["_id"]})

        assert refused.get_json()["_issues"] == {"name": {"unique": 1}}
        assert accepted.status_code == 201

    @pytest.mark.parametrize(
        ("fields", "issues"),
        [
            ({"name": ""}, {"name": {"minlength": 1}}),
            ({"task_status": "later"}, {"task_status": "unallowed value later"}),
            ({"is_visible": "maybe"}, {"is_visible": "must be of boolean type"}),
        ],
    )
    def test_refuses_bad_input(
        self, admin: Client, desk: Document, fields: Document, issues: Document
    ) -> None:
        """Each bad field is reported under its name."""
        answer = admin.post("stages", {"name": "A", "desk": desk["_id"], **fields})

        assert answer.get_json()["_issues"] == issues

    @pytest.mark.parametrize(
        ("flag", "field"),
        [("working_stage", "working_stage"), ("default_incoming", "incoming_stage")],
    )
    def test_moves_the_flag_from_the_old_stage(
        self, admin: Client, desk: Document, flag: str, field: str
    ) -> None:
        """A desk has one working and one incoming stage, and knows which."""
        created = admin.create("stages", {"name": "New", "desk": desk["_id"], flag: True})

        old = admin.get(f"stages/{desk[field]}").get_json()
        assert old[flag] is False
        assert admin.get(f"desks/{desk['_id']}").get_json()[field] == created["_id"]

    def test_is_told(self, admin: Client, desk: Document, events: Events) -> None:
        """Clients are told of the new stage."""
        created = admin.create("stages", {"name": "New", "desk": desk["_id"]})

        ids = {"stage_id": created["_id"], "desk_id": desk["_id"]}
        assert events.named("stage") == [{"created": 1, "is_visible": True, **ids}]


class TestChange:
    @pytest.mark.parametrize(
        ("flag", "field", "word"),
        [
            ("working_stage", "working_stage", "working"),
            ("default_incoming", "incoming_stage", "incoming"),
        ],
    )
    def test_keeps_one_working_and_one_incoming_stage(
        self, admin: Client, desk: Document, flag: str, field: str, word: str
    ) -> None:
        """A flag is moved by setting it elsewhere, never taken away."""
        answer = admin.patch(f"stages/{desk[field]}", {flag: False})

        assert answer.status_code == 400
        assert answer.get_json()["_issues"] == {
            "validator exception": f"403: Must have one {word} stage in a desk"
        }

    def test_of_the_expiry_to_zero_means_the_desk_decides(
        self, admin: Client, stage: Document
    ) -> None:
        """No minutes are stored as none."""
        answer = admin.patch(f"stages/{stage['_id']}", {"content_expiry": 0})

        assert answer.get_json()["content_expiry"] is None

    def test_of_the_order(self, admin: Client, desk: Document, stage: Document) -> None:
        """Stages of a desk can be put in any order."""
        order = [stage["_id"], desk["incoming_stage"], desk["working_stage"]]

        answer = admin.post("stages_order", {"desk": desk["_id"], "stages": order})

        assert answer.status_code == 201
        listed = admin.get("stages").get_json()["_items"]
        assert [s["_id"] for s in listed] == order


class TestDelete:
    @pytest.mark.parametrize(
        ("field", "message"),
        [
            ("working_stage", "Cannot delete a Working Stage."),
            ("incoming_stage", "Cannot delete a Incoming Stage."),
        ],
    )
    def test_of_what_a_desk_needs_is_refused(
        self, admin: Client, desk: Document, field: str, message: str
    ) -> None:
        """Resources scenario R18: a desk keeps its working and its incoming stage."""
        answer = admin.delete(f"stages/{desk[field]}")

        assert answer.status_code == 412
        assert answer.get_json()["_message"] == message

    @pytest.mark.parametrize("collection", ["archive", "archive_versions"])
    def test_is_refused_while_items_are_on_it(
        self, admin: Client, stage: Document, graph: Graph, collection: str
    ) -> None:
        """Resources scenario R18: spiked items and old versions keep their stage, too."""
        item = {"_id": "a", "state": "spiked", "task": {"stage": ObjectId(stage["_id"])}}
        graph.db[collection].insert_one(item)

        answer = admin.delete(f"stages/{stage['_id']}")

        assert answer.status_code == 412
        assert answer.get_json()["_message"] == (
            "Cannot delete stage as it has article(s) or referenced by versions of the article(s)."
        )

    def test_is_refused_while_routing_uses_it(
        self, admin: Client, stage: Document, graph: Graph
    ) -> None:
        """The refusal names the routing schemes."""
        rule = {"actions": {"publish": [{"stage": ObjectId(stage["_id"])}]}}
        graph.db["routing_schemes"].insert_one({"name": "wire", "rules": [rule]})

        answer = admin.delete(f"stages/{stage['_id']}")

        assert answer.get_json()["_message"] == (
            "Stage is referred by Ingest Routing Schemes : wire"
        )

    def test_of_an_empty_stage(self, admin: Client, stage: Document, events: Events) -> None:
        """An empty stage that is neither goes."""
        assert admin.delete(f"stages/{stage['_id']}").status_code == 204

        ids = {"stage_id": stage["_id"], "desk_id": stage["desk"]}
        assert events.named("stage") == [{"deleted": 1, **ids}]


class TestReadOnly:
    def test_keeps_users_from_writing(self, admin: Client, stage: Document) -> None:
        """On a read-only stage only ingested items come to be, and none is changed.

        Resources scenario R19.
        """
        first = admin.create("archive", {"type": "text", "task": task(stage)})
        admin.patch(f"stages/{stage['_id']}", {"local_readonly": True})

        written = admin.post("archive", {"type": "text", "task": task(stage)})
        ingested = admin.post("archive", {"type": "text", "ingest_id": "x", "task": task(stage)})
        changed = admin.patch(f"archive/{first['_id']}", {"headline": "New"})

        assert written.status_code == changed.status_code == 403
        assert written.get_json()["error"] == {"readonly": True}
        assert ingested.status_code == 201


class TestVisibility:
    def test_is_kept_with_the_users(
        self, admin: Client, editor: Client, stage: Document, events: Events
    ) -> None:
        """Who is not a member of the desk does not see an invisible stage.

        Resources scenario R20.
        """
        path = f"users/{editor.session['user']}"
        before = admin.get(path).get_json()

        admin.patch(f"stages/{stage['_id']}", {"is_visible": False})
        hidden = admin.get(path).get_json()
        admin.patch(f"desks/{stage['desk']}", {"members": [{"user": before["_id"]}]})
        member = admin.get(path).get_json()

        assert before["invisible_stages"] == []
        assert hidden["invisible_stages"] == [stage["_id"]]
        assert member["invisible_stages"] == []
        assert hidden["_etag"] == before["_etag"]
        assert events.named("stage_visibility_updated") == [
            {
                "updated": 1,
                "stage_id": stage["_id"],
                "desk_id": stage["desk"],
                "is_visible": False,
            }
        ]

    def test_holds_for_new_users_and_new_stages(self, admin: Client, desk: Document) -> None:
        """Users who come later do not see the stage either."""
        fields = {"name": "Secret", "desk": desk["_id"], "is_visible": False}
        hidden = admin.create("stages", fields)

        created = admin.create("users", {"username": "foo", "email": "foo@example.com"})

        path = f"users/{created['_id']}"
        assert admin.get(path).get_json()["invisible_stages"] == [hidden["_id"]]

    def test_hides_items(self, admin: Client, editor: Client, stage: Document) -> None:
        """Resources scenario R20: who does not see the stage neither reads nor lists its items."""
        item = admin.create("archive", {"type": "text", "state": "fetched", "task": task(stage)})
        before = editor.get("archive").get_json()["_meta"]["total"]

        admin.patch(f"stages/{stage['_id']}", {"is_visible": False})

        answer = editor.get(f"archive/{item['_id']}")
        assert answer.status_code == 403
        assert answer.get_json()["_message"] == ("User does not have permissions to read the item.")
        assert (before, editor.get("archive").get_json()["_meta"]["total"]) == (1, 0)

    def test_follows_the_stage_to_another_desk(
        self, admin: Client, editor: Client, stage: Document
    ) -> None:
        """The members of the desk that it has come to see it."""
        admin.patch(f"stages/{stage['_id']}", {"is_visible": False})
        members = [{"user": editor.session["user"]}]
        other = admin.create("desks", {"name": "Other", "members": members})

        assert 200 == admin.patch(f"stages/{stage['_id']}", {"desk": other["_id"]}).status_code

        seen = [
            admin.get(f"users/{client.session['user']}").get_json()["invisible_stages"]
            for client in (admin, editor)
        ]
        assert [[stage["_id"]], []] == seen

    def test_ends_with_the_stage(self, admin: Client, editor: Client, stage: Document) -> None:
        """A stage that is gone is nobody's concern."""
        admin.patch(f"stages/{stage['_id']}", {"is_visible": False})

        admin.delete(f"stages/{stage['_id']}")

        path = f"users/{editor.session['user']}"
        assert admin.get(path).get_json()["invisible_stages"] == []

    def test_hides_from_administrators(self, admin: Client, desk: Document, events: Events) -> None:
        """A stage that is created invisible is hidden at once from all who are not members."""
        created = admin.create(
            "stages", {"name": "Secret", "desk": desk["_id"], "is_visible": False}
        )

        assert [created["_id"]] == self.hidden(admin, admin.session["user"])
        ids = {"stage_id": created["_id"], "desk_id": desk["_id"]}
        assert events.named("stage") == [{"created": 1, "is_visible": False, **ids}]
        assert [] == events.named("stage_visibility_updated")

    def test_follows_the_members_of_its_desk(
        self, admin: Client, editor: Client, stage: Document
    ) -> None:
        """Those who come see it, those who go do not, and nobody sees it after the desk."""
        users = [client.session["user"] for client in (admin, editor)]
        admin.patch(f"stages/{stage['_id']}", {"is_visible": False})
        seen = []
        for members in ([users[0]], users, [users[1]], []):
            body = {"members": [{"user": user} for user in members]}
            assert 200 == admin.patch(f"desks/{stage['desk']}", body).status_code
            seen.append([self.hidden(admin, user) for user in users])
        assert 204 == admin.delete(f"desks/{stage['desk']}").status_code

        hidden = [stage["_id"]]
        assert [[[], hidden], [[], []], [hidden, []], [hidden, hidden]] == seen
        assert [[], []] == [self.hidden(admin, user) for user in users]

    def test_is_in_the_answer_about_a_new_user(self, admin: Client, stage: Document) -> None:
        """The client needs no second request."""
        admin.patch(f"stages/{stage['_id']}", {"is_visible": False})

        created = admin.create("users", {"username": "foo", "email": "foo@example.com"})

        assert [stage["_id"]] == created["invisible_stages"]

    def test_is_told_with_every_change(
        self, admin: Client, stage: Document, events: Events
    ) -> None:
        """Only a change of the visibility is told under its own name."""
        for updates in ({"is_visible": False}, {"is_visible": False}, {"name": "Tasters"}):
            admin.patch(f"stages/{stage['_id']}", updates)
        admin.patch(f"stages/{stage['_id']}", {"is_visible": True, "name": "Open"})

        ids = {"stage_id": stage["_id"], "desk_id": stage["desk"]}
        assert [{"updated": 1, **ids}] * 2 == [
            told for told in events.named("stage") if "updated" in told
        ]
        assert [
            {"updated": 1, "is_visible": visible, **ids} for visible in (False, True)
        ] == events.named("stage_visibility_updated")

    @pytest.mark.parametrize("form", ["as it is", "as text"])
    @pytest.mark.parametrize("stored", ["as text", "unknown"])
    def test_is_known_of_users_whom_others_stored(
        self, app: Any, admin: Client, stage: Document, graph: Graph, stored: str, form: str
    ) -> None:
        """Superdesk stores the stages of a user as texts; fixtures leave them out."""
        admin.patch(f"stages/{stage['_id']}", {"is_visible": False})
        user: Document = new_user("migrated", privileges={"archive": 1})
        if stored == "as text":
            user["invisible_stages"] = [stage["_id"]]
        graph.db["users"].insert_one(user)
        place: Document = task(stage)
        if form == "as it is":
            place = {name: ObjectId(id_) for name, id_ in place.items()}
        item = {"_id": "secret", "type": "text", "state": "fetched", "task": place}
        graph.db["archive"].insert_one(item)

        client = client_of(app, user)

        assert 403 == client.get("archive/secret").status_code
        assert [] == client.get("archive").get_json()["_items"]
        assert [stage["_id"]] == self.hidden(admin, user["_id"])

    @staticmethod
    def hidden(client: Client, user_id: Any) -> list[str]:
        """Return the stages that are hidden from a user."""
        stages: list[str] = client.get(f"users/{user_id}").get_json()["invisible_stages"]
        return stages

"""Desks at the HTTP edge and from inside.

Resources contract 7; resources scenario R13, R14, R15, R16, R70.
"""

from typing import Any

import pytest
from bson import ObjectId

from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.clients import Client, make_user
from tests.support.events import Events

HAS_ITEMS = "Cannot delete desk as it has article(s) or referenced by versions of the article(s)."


class TestCreate:
    def test_adds_the_stages(self, admin: Client, desk: Document) -> None:
        """A new desk has a working and an incoming stage, linked both ways.

        Resources scenario R13.
        """
        incoming = admin.get(f"stages/{desk['incoming_stage']}").get_json()
        working = admin.get(f"stages/{desk['working_stage']}").get_json()

        assert (incoming["name"], incoming["default_incoming"]) == ("Incoming Stage", True)
        assert (working["name"], working["working_stage"]) == ("Working Stage", True)
        assert (working["desk_order"], incoming["desk_order"]) == (1, 2)
        assert incoming["desk"] == working["desk"] == desk["_id"]

    def test_works_without_a_request(self, graph: Graph) -> None:
        """Resources scenario R70: seeding through the service obeys the same rules."""
        desk_id = graph.newsroom.desks.post([{"name": "Sports"}])[0]

        desk = graph.newsroom.desks.find(desk_id)
        stages = {stage["_id"] for stage in graph.db["stages"].find({"desk": desk_id})}
        assert stages == {desk["working_stage"], desk["incoming_stage"]}
        assert desk["desk_type"] == "authoring"

    def test_keeps_members_once(self, admin: Client, editor: Client) -> None:
        """Resources scenario R15: a member given twice is stored once."""
        member = {"user": editor.session["user"]}

        created = admin.create("desks", {"name": "Sports", "members": [member, member]})

        assert created["members"] == [member]

    @pytest.mark.parametrize("name", ["Sports", "SPORTS", " sports"])
    def test_refuses_a_name_that_is_taken(self, admin: Client, desk: Document, name: str) -> None:
        """Resources scenario R14: the case of a name makes no difference."""
        answer = admin.post("desks", {"name": name})

        assert answer.status_code == 400
        assert answer.get_json()["_issues"] == {"name": {"unique": 1}}

    @pytest.mark.parametrize(
        ("fields", "issues"),
        [
            ({"name": None}, {"name": "null value not allowed"}),
            ({"name": ""}, {"name": "empty values not allowed"}),
            ({"name": "A", "desk_type": "other"}, {"desk_type": "unallowed value other"}),
            (
                {"name": "A", "content_expiry": "soon"},
                {"content_expiry": "must be of integer type"},
            ),
            (
                {"name": "A", "members": [{"who": "me"}]},
                {"members": {"0": {"who": "unknown field"}}},
            ),
        ],
    )
    def test_refuses_bad_input(self, admin: Client, fields: Document, issues: Document) -> None:
        """Each bad field is reported under its name."""
        answer = admin.post("desks", {"name": "A", **fields})

        assert answer.status_code == 400
        assert answer.get_json()["_issues"] == issues

    def test_takes_numbers_as_text(self, admin: Client) -> None:
        """Clients send minutes as text."""
        created = admin.create("desks", {"name": "Sports", "content_expiry": "4320"})

        assert created["content_expiry"] == 4320


class TestChange:
    def test_to_a_name_that_is_taken_is_refused(self, admin: Client, desk: Document) -> None:
        """Renaming obeys the same rule; the desk's own name is no obstacle.

        Resources scenario R14.
        """
        other = admin.create("desks", {"name": "Politics"})

        refused = admin.patch(f"desks/{other['_id']}", {"name": "sports"})
        accepted = admin.patch(f"desks/{desk['_id']}", {"name": "SPORTS"})

        assert refused.status_code == 400
        assert refused.get_json()["_issues"] == {"name": {"unique": 1}}
        assert accepted.status_code == 200

    def test_of_the_type_is_refused_once_items_name_it(
        self, admin: Client, desk: Document, graph: Graph
    ) -> None:
        """Versions of items remember a desk as what it was."""
        version = {"_id_document": "a", "task": {"last_authoring_desk": desk["_id"]}}
        graph.db["archive_versions"].insert_one(version)

        answer = admin.patch(f"desks/{desk['_id']}", {"desk_type": "production"})

        assert answer.get_json()["_issues"] == {
            "validator exception": (
                "400: Cannot update Desk Type as there are article(s) referenced by the Desk."
            )
        }

    def test_is_told(self, admin: Client, editor: Client, desk: Document, events: Events) -> None:
        """Clients are told of changes, and whose membership has ended."""
        path, user_id = f"desks/{desk['_id']}", editor.session["user"]

        admin.patch(path, {"description": "Results"})
        admin.patch(path, {"members": [{"user": user_id}]})
        admin.patch(path, {"members": []})

        assert events.named("desk") == [{"updated": 1, "desk_id": desk["_id"]}]
        assert events.named("desk_membership_revoked") == [
            {"updated": 1, "user_ids": [user_id], "desk_id": desk["_id"]}
        ]


class TestDelete:
    def test_takes_the_stages_along(
        self, admin: Client, desk: Document, graph: Graph, events: Events
    ) -> None:
        """Resources scenario R16: an empty desk goes, and its stages with it."""
        answer = admin.delete(f"desks/{desk['_id']}")

        assert answer.status_code == 204
        assert graph.db["stages"].count_documents({}) == 0
        assert events.named("desk")[-1] == {"deleted": 1, "user_ids": [], "desk_id": desk["_id"]}

    @pytest.mark.parametrize("collection", ["archive", "archive_versions"])
    @pytest.mark.parametrize("as_text", [True, False])
    def test_is_refused_while_items_name_it(
        self, admin: Client, desk: Document, graph: Graph, collection: str, as_text: bool
    ) -> None:
        """Resources scenario R16: neither items nor their versions lose their desk."""
        desk_id = desk["_id"] if as_text else ObjectId(desk["_id"])
        graph.db[collection].insert_one({"_id": "a", "task": {"desk": desk_id}})

        answer = admin.delete(f"desks/{desk['_id']}")

        assert answer.status_code == 412
        assert answer.get_json()["_message"] == HAS_ITEMS
        assert graph.db["stages"].count_documents({}) == 2

    def test_is_refused_for_a_default_desk(
        self, admin: Client, desk: Document, graph: Graph
    ) -> None:
        """Users keep their default desk."""
        make_user(graph, "foo", desk=ObjectId(desk["_id"]))

        answer = admin.delete(f"desks/{desk['_id']}")

        assert answer.status_code == 412
        assert answer.get_json()["_message"] == (
            "Cannot delete desk as it is assigned as default desk to user(s)."
        )

    def test_is_refused_while_routing_uses_it(
        self, admin: Client, desk: Document, graph: Graph
    ) -> None:
        """Routing schemes keep their desks."""
        rule = {"actions": {"fetch": [{"desk": ObjectId(desk["_id"])}]}}
        graph.db["routing_schemes"].insert_one({"name": "wire", "rules": [rule]})

        assert admin.delete(f"desks/{desk['_id']}").status_code == 412

    def test_of_an_unknown_desk_changes_nothing(self, admin: Client) -> None:
        """Deleting what does not exist succeeds."""
        assert admin.delete(f"desks/{ObjectId()}", etag="x").status_code == 204


class TestRead:
    def test_sorts_members_and_drops_unknown_ones(self, admin: Client, graph: Graph) -> None:
        """Members are listed by display name; those who do not exist are left out."""
        zoe = make_user(graph, "zoe", display_name="Zoe")["_id"]
        amy = make_user(graph, "amy", display_name="amy")["_id"]
        members: list[Any] = [{"user": user_id} for user_id in (zoe, ObjectId(), amy)]
        graph.newsroom.desks.post([{"name": "Sports", "members": members}])

        desk = admin.get("desks").get_json()["_items"][0]

        assert desk["members"] == [{"user": str(amy)}, {"user": str(zoe)}]

    def test_finds_the_desks_of_a_user_and_the_users_of_a_desk(
        self, admin: Client, editor: Client, desk: Document
    ) -> None:
        """Membership can be read from both sides."""
        member = {"user": editor.session["user"]}
        politics = admin.create("desks", {"name": "Politics", "members": [member]})

        desks = admin.get(f"users/{member['user']}/desks").get_json()["_items"]
        users = admin.get(f"desks/{politics['_id']}/users").get_json()["_items"]

        assert [d["_id"] for d in desks] == [politics["_id"]]
        assert [u["_id"] for u in users] == [member["user"]]
        assert "password" not in users[0]

"""The resource `internal_destinations`: its rules, and what it keeps from being deleted."""

from typing import Any

import pytest

from apps.core.service import Document
from apps.graph.build import Graph
from tests.integration.routing.internal_destinations.conftest import Destination, Macro
from tests.support.clients import Client
from tests.support.newsdesk import Newsdesk
from tests.support.routing import stored_filter

UNKNOWN = "5f0000000000000000000000"


class TestFields:
    def test_name_and_desk_are_enough(self, destination: Destination, features: Document) -> None:
        """It is active, and takes everything at once."""
        created = destination()

        assert {
            "name": "features",
            "desk": features["_id"],
            "is_active": True,
            "send_after_schedule": False,
        }.items() <= created.items()

    def test_all_fields_are_kept(
        self, destination: Destination, features: Document, desk: Newsdesk, macro: Macro
    ) -> None:
        macro("shout", "pass")
        fields = {
            "is_active": False,
            "stage": features["working_stage"],
            "filter": str(stored_filter(desk, "slugline", "eq", "x")),
            "send_after_schedule": True,
            "macro": "shout",
        }

        created = destination(**fields)

        stored = desk.client.get(f"internal_destinations/{created['_id']}").get_json()
        assert fields.items() <= stored.items()

    @pytest.mark.parametrize("field", ["name", "desk"])
    def test_name_and_desk_are_required(
        self, admin: Client, features: Document, field: str
    ) -> None:
        body = {"name": "features", "desk": features["_id"]}
        del body[field]

        answer = admin.post("internal_destinations", body)

        assert answer.status_code == 400
        assert answer.get_json()["_issues"] == {field: {"required": 1}}

    def test_names_are_unique(self, admin: Client, destination: Destination) -> None:
        """Ignoring case, when it is created and when it is renamed."""
        first = destination(name="Features")
        other = destination(name="Other")

        answers = [
            admin.post("internal_destinations", {"name": "FEATURES", "desk": first["desk"]}),
            admin.patch(f"internal_destinations/{other['_id']}", {"name": "features"}),
        ]

        assert [a.status_code for a in answers] == [400, 400]
        assert [a.get_json()["_issues"] for a in answers] == [{"name": {"unique": 1}}] * 2

    @pytest.mark.parametrize("field", ["desk", "stage", "filter"])
    def test_what_it_names_has_to_exist(
        self, admin: Client, features: Document, field: str
    ) -> None:
        body = {"name": "features", "desk": features["_id"], field: UNKNOWN}

        answer = admin.post("internal_destinations", body)

        assert answer.status_code == 400
        assert field in answer.get_json()["_issues"]

    def test_the_stage_is_one_of_the_desk(
        self, admin: Client, destination: Destination, desk: Newsdesk, features: Document
    ) -> None:
        """Also when only one of them is changed."""
        other = str(desk.newsroom.desk["_id"])
        body = {"name": "x", "desk": other, "stage": features["working_stage"]}
        text = "The stage of an internal destination has to be one of its desk."

        answer = admin.post("internal_destinations", body)
        assert (answer.status_code, answer.get_json()["_message"]) == (400, text)

        id_ = destination(stage=features["working_stage"])["_id"]
        answer = admin.patch(f"internal_destinations/{id_}", {"desk": other})
        assert answer.get_json()["_issues"] == {"validator exception": f"400: {text}"}
        moved = {"desk": other, "stage": None}
        assert admin.patch(f"internal_destinations/{id_}", moved).status_code == 200

    def test_the_macro_has_to_exist(
        self, admin: Client, destination: Destination, features: Document, macro: Macro
    ) -> None:
        """When it is chosen; one that has gone does not keep other things from being changed."""
        body = {"name": "x", "desk": features["_id"], "macro": "gone"}
        answer = admin.post("internal_destinations", body)
        assert (answer.status_code, answer.get_json()["_message"]) == (
            (400, "Macro not found: gone")
        )

        macro("shout", "pass")
        created = destination(macro="shout")
        macro("shout", "syntax error")
        answer = admin.patch(f"internal_destinations/{created['_id']}", {"is_active": False})
        assert answer.status_code == 200


class TestPrivileges:
    def test_writes_need_the_privilege(
        self, admin: Client, editor: Client, graph: Graph, destination: Destination
    ) -> None:
        """Everybody reads; PUT is not there."""
        created = destination()
        path = f"internal_destinations/{created['_id']}"
        body = {"name": "x", "desk": created["desk"]}

        def answers() -> list[int]:
            return [
                editor.get("internal_destinations").status_code,
                editor.post("internal_destinations", body).status_code,
                editor.patch(path, {"is_active": False}).status_code,
                editor.delete(path).status_code,
            ]

        assert answers() == [200, 403, 403, 403]
        graph.db["users"].update_one(
            {"username": "editor"}, {"$set": {"privileges": {"internal_destinations": 1}}}
        )
        assert answers() == [200, 201, 200, 204]
        assert admin.request("PUT", path, json=body).status_code == 405

    def test_the_privilege_can_be_granted(self, admin: Client) -> None:
        names = {p["name"] for p in admin.get("privileges").get_json()["_items"]}

        assert "internal_destinations" in names


class TestInUse:
    @pytest.fixture
    def used(self, destination: Destination, desk: Newsdesk, admin: Client) -> dict[str, Any]:
        """A desk, a stage and a filter that an internal destination names; it is not active."""
        made = admin.create("desks", {"name": "Sunday"})
        stage = admin.create("stages", {"name": "Box", "desk": made["_id"]})
        filter_id = str(stored_filter(desk, "slugline", "eq", "x"))
        named = {"desk": made["_id"], "stage": stage["_id"], "filter": filter_id}
        destination(name="Sunday paper", is_active=False, **named)
        return named

    @pytest.mark.parametrize(
        ("resource", "field", "status", "text"),
        [
            (
                *("desks", "desk", 412),
                "Cannot delete desk as internal destination(s) are associated with the desk",
            ),
            ("stages", "stage", 412, "Stage is referred by Internal Destinations : Sunday paper"),
            (
                *("content_filters", "filter", 400),
                "Content filter has been referenced by internal destination(s) Sunday paper",
            ),
        ],
    )
    def test_what_it_names_cannot_be_deleted(
        self,
        admin: Client,
        graph: Graph,
        used: dict[str, Any],
        resource: str,
        field: str,
        status: int,
        text: str,
    ) -> None:
        """Until the internal destination is gone."""
        path = f"{resource}/{used[field]}"
        answer = admin.delete(path)
        assert (answer.status_code, answer.get_json()["_message"]) == (status, text)

        (found,) = admin.get("internal_destinations").get_json()["_items"]
        assert admin.delete(f"internal_destinations/{found['_id']}").status_code == 204

        assert admin.delete(path).status_code == 204

"""Roles at the HTTP edge (resources contract 6; resources scenario R12)."""

from typing import Any

import pytest

from apps.graph.build import Graph
from tests.support.clients import Client, make_user
from tests.support.events import Events


class TestRoles:
    @pytest.mark.parametrize("name", ["Writer", "WRITER", " writer "])
    def test_have_names_of_their_own(self, admin: Client, name: str) -> None:
        """Resources scenario R12: the case of a name and blanks around it make no difference."""
        admin.create("roles", {"name": "Writer"})

        answer = admin.post("roles", {"name": name})

        assert answer.status_code == 400
        assert answer.get_json()["_issues"] == {"name": {"unique": 1}}

    @pytest.mark.parametrize(
        ("role", "issues"),
        [
            ({}, {"name": {"required": 1}}),
            ({"name": ""}, {"name": "empty values not allowed"}),
            ({"name": "Writer", "privileges": ["kill"]}, {"privileges": "must be of dict type"}),
        ],
    )
    def test_refuse_bad_input(
        self, admin: Client, role: dict[str, Any], issues: dict[str, Any]
    ) -> None:
        """A role needs a name, and privileges by name."""
        assert admin.post("roles", role).get_json()["_issues"] == issues

    def test_with_users_stay(self, admin: Client, graph: Graph) -> None:
        """Resources scenario R12: a role is not deleted under its users."""
        role = graph.newsroom.roles.post([{"name": "Writer"}])[0]
        make_user(graph, "foo", role=role)

        answer = admin.delete(f"roles/{role}")

        assert answer.status_code == 403
        assert answer.get_json()["_message"] == (
            "Cannot delete the role, it still has users in it!"
        )

    def test_without_users_go(self, admin: Client) -> None:
        """A role that nobody has is deleted."""
        role = admin.create("roles", {"name": "Writer"})

        assert admin.delete(f"roles/{role['_id']}").status_code == 204
        assert admin.get(f"roles/{role['_id']}").status_code == 404

    def test_have_one_default_which_stays(self, admin: Client) -> None:
        """A new default role takes the flag from the old one, and is not deleted."""
        old = admin.create("roles", {"name": "Writer", "is_default": True})
        new = admin.create("roles", {"name": "Editor"})

        admin.patch(f"roles/{new['_id']}", {"is_default": True})
        answer = admin.delete(f"roles/{new['_id']}")

        assert admin.get(f"roles/{old['_id']}").get_json()["is_default"] is False
        assert answer.status_code == 403
        assert answer.get_json()["_message"] == "Cannot delete the default role"

    @pytest.mark.parametrize(
        ("privileges", "event", "extra"),
        [
            ({"kill": 0, "publish": 1}, "role_privileges_revoked", "role_id"),
            ({"publish": 1}, "role_privileges_revoked", "role_id"),
            ({"kill": 1, "publish": 1, "correct": 1}, "role", "user_id"),
        ],
    )
    def test_tell_clients_of_changes(
        self, admin: Client, events: Events, privileges: dict[str, int], event: str, extra: str
    ) -> None:
        """Clients are told when privileges are taken away."""
        role = admin.create("roles", {"name": "Writer", "privileges": {"kill": 1, "publish": 1}})

        admin.patch(f"roles/{role['_id']}", {"privileges": privileges})

        assert events.named(event) == [{"updated": 1, extra: role["_id"]}]

"""Delivery types at the HTTP edge (routing contract 2, delivery contract 4)."""

from typing import Any

import pytest

from tests.support.rules import refusal
from transmitters import build_registry
from transmitters.cms.registry import build_registry as build_platforms

SITES = [cls.destination for cls in build_platforms()]
TYPES = [*(cls.type for cls in build_registry()), *SITES]


def test_clients_are_told_of_delivery_types(anonymous: Any) -> None:
    """`client_config` is public; each type has its name and the keys of its config."""
    answer = anonymous.get("client_config")

    types = {one["type"]: one for one in answer.get_json()["config"]["transmitter_types"]}
    assert set(types) == set(TYPES) >= {"http_push", "File"}
    push = types["http_push"]
    assert set(push) == {"type", "name", "config", "template_url"}
    assert push["name"]
    assert {"resource_url", "assets_url", "secret_token", "packaged"} <= set(push["config"])
    assert (push["config"]["packaged"], push["config"]["secret_token"]) == (False, None)
    assert all(types[name]["config"] == {"integration": None} for name in SITES)


def test_all_errors_are_listed(editor: Any) -> None:
    """Those that the types raise, 14001 and 14002 too."""
    answer = editor.get("io_errors", io_type="publish")

    (found,) = answer.get_json()["_items"]
    assert set(found) == {"all_errors"}
    assert {"13000", "14000", "14001", "14002"} <= set(found["all_errors"])
    assert found["all_errors"]["14002"] == "HTTP push publish server error"


@pytest.mark.parametrize("name", ["http_push", "HTTP_PUSH"])
def test_those_of_one_type(editor: Any, name: str) -> None:
    """In any case of letters."""
    answer = editor.get("io_errors", io_type="publish", source_type=name)

    (found,) = answer.get_json()["_items"]
    assert {"14000", "14001", "14002"} == set(found["source_errors"])
    assert found["source_errors"].items() < found["all_errors"].items()


@pytest.mark.parametrize("name", TYPES)
def test_every_type_has_errors(editor: Any, name: str) -> None:
    """Also those whose names have capital letters."""
    answer = editor.get("io_errors", io_type="publish", source_type=name.lower())

    assert answer.get_json()["_items"][0]["source_errors"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({}, "io_type has to be publish"),
        ({"io_type": "ingest"}, "io_type has to be publish"),
        ({"io_type": "publish", "source_type": "pigeon"}, "Unknown source_type pigeon"),
    ],
)
def test_what_is_unknown_is_refused(editor: Any, arguments: Any, text: str) -> None:
    """400 with a text."""
    assert refusal(editor.get("io_errors", **arguments)) == text


def test_errors_are_for_users(anonymous: Any) -> None:
    """Nobody sees them without a session."""
    assert anonymous.get("io_errors", io_type="publish").status_code == 401

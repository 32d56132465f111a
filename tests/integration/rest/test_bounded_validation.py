"""The work of a request grows with what is sent, whatever is wrong with it."""

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.clients import Client
from tests.support.commands import CommandCounter
from tests.support.newsroom import Newsroom
from tests.support.services import empty_services

TWICE = 2.3
"""Growth of the calls for twice as much; four would be that of its square."""


@pytest.fixture
def commands() -> CommandCounter:
    return CommandCounter()


@pytest.fixture
def graph(settings: Mapping[str, Any], commands: CommandCounter) -> Iterator[Graph]:
    """Services whose commands are counted."""
    with empty_services(settings, listeners=[commands]) as built:
        yield built


def calls_of(function: Callable[[], Any]) -> tuple[int, Any]:
    """Return how many functions are called, and the result."""
    count = 0

    def note(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        result = function()
    finally:
        sys.setprofile(None)
    return count, result


def template(desks: list[Any]) -> Document:
    return {"template_name": "x", "template_type": "kill", "data": {}, "template_desks": desks}


def unknown_ids(count: int) -> list[str]:
    return [f"{number:024x}" for number in range(count)]


BODIES: dict[str, tuple[str, Callable[[int], Document]]] = {
    "unknown desks": ("content_templates", lambda n: template(unknown_ids(n))),
    "desks that are no ids": ("content_templates", lambda n: template(["x"] * n)),
    "good associations": (
        "archive",
        lambda n: {"associations": {f"a{k}": {"_id": f"i{k}", "urgency": 3} for k in range(n)}},
    ),
    "malformed associations": (
        "archive",
        lambda n: {"associations": {f"a{k}": {"_id": k, "subject": [None]} for k in range(n)}},
    ),
    "malformed subjects": ("archive", lambda n: {"subject": [{"qcode": [k]} for k in range(n)]}),
    "null keywords": ("archive", lambda n: {"keywords": [None] * n}),
    "malformed groups": (
        "archive",
        lambda n: {"type": "composite", "groups": [{"id": k, "refs": [5]} for k in range(n)]},
    ),
    "malformed renditions": ("archive", lambda n: {"renditions": {f"r{k}": k for k in range(n)}}),
    "unknown conditions": (
        "content_filters",
        lambda n: {
            "name": "f",
            "content_filter": [{"expression": {"fc": [id_]}} for id_ in unknown_ids(n)],
        },
    ),
    "unknown products": (
        "subscribers",
        lambda n: {"name": "s", "products": unknown_ids(n), "destinations": [{}] * n},
    ),
    "unknown fields": ("archive", lambda n: {f"field{k}": 1 for k in range(n)}),
}


@pytest.mark.parametrize("name", BODIES)
def test_twice_as_much_takes_twice_the_work(
    admin: Client, commands: CommandCounter, name: str
) -> None:
    """Calls are counted, not time, and the commands stay as many as they are."""
    resource, body = BODIES[name]
    admin.post(resource, body(5))
    taken = []
    for size in (150, 300):
        before = commands.count
        calls, answer = calls_of(lambda size=size: admin.post(resource, body(size)))
        taken.append((calls, commands.count - before))
        assert answer.status_code == (201 if name.startswith("good") else 400), answer.text

    (calls_before, commands_before), (calls_after, commands_after) = taken
    assert calls_after < TWICE * calls_before
    assert commands_after == commands_before < 20


def test_media_of_a_story_are_counted_as_used_together(
    admin: Client, graph: Graph, commands: CommandCounter
) -> None:
    """Ten pictures cost the commands of one."""
    newsroom = Newsroom(graph.db)
    pictures = [admin.create("archive", newsroom.story(type="picture"))["_id"] for _ in range(11)]

    def cost(ids: list[str]) -> int:
        held = {f"a{k}": {"_id": id_, "type": "picture"} for k, id_ in enumerate(ids)}
        before = commands.count
        admin.create("archive", newsroom.story(associations=held))
        return commands.count - before

    assert cost(pictures[:1]) == cost(pictures[1:])
    used = [graph.db["archive"].find_one({"_id": id_}) or {} for id_ in pictures]
    assert [item["used_count"] for item in used] == [1] * len(pictures)


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("keywords", "x", 5),
        ("subject", {"qcode": "a"}, {"qcode": {}}),
        ("subject", {"qcode": "a"}, None),
        ("fields_meta", {}, 5),
        ("associations", {"type": "text"}, {"_id": 5}),
    ],
)
def test_issues_of_the_first_entries_are_enough(
    admin: Client, field: str, good: Any, bad: Any
) -> None:
    """Whatever stands before them; so the answer and the work have a limit."""
    is_object = field in ("fields_meta", "associations")
    entries = [good] * 250 + [bad] * 250

    answer = admin.post(
        "archive",
        {field: {str(n): each for n, each in enumerate(entries)} if is_object else entries},
    )

    assert answer.status_code == 400
    assert set(answer.get_json()["_issues"][field]) == {str(n) for n in range(250, 350)}


def test_entries_that_have_to_be_looked_up_are_all_checked(admin: Client, graph: Graph) -> None:
    """One wrong one behind many that are right."""
    user = str(admin.session["user"])
    desk = {"name": "d", "members": [{"user": user}] * 300 + [{"user": "0" * 24}]}

    answer = admin.post("desks", desk)

    assert answer.status_code == 400
    assert set(answer.get_json()["_issues"]["members"]) == {"300"}
    assert graph.db["desks"].find_one({"name": "d"}) is None

"""An editor's action is whole or not there, wherever the process dies."""

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from apps.archive.journal.journal import ABANDONED_AFTER, Journal
from apps.core.caller import Caller
from apps.graph.build import Graph
from apps.graph.editing import build_editing
from tests.support.crashes import Crash, CrashingDatabase, each_write
from tests.support.newsroom import Newsroom

WRITES = 7
"""At least as many as the longest of the actions makes."""

FEWEST_WRITES = 3
"""The item, one row of history, the end of the note."""

SOURCE = "tag:wire:1"


class LateClock:
    """The clock of a process that comes by when writes count as abandoned."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock

    def now(self) -> Any:
        return self._clock.now() + ABANDONED_AFTER + timedelta(seconds=1)

    def precise(self) -> Any:
        return self._clock.precise() + ABANDONED_AFTER + timedelta(seconds=1)


def dying_services(graph: Graph, before: int) -> dict[str, Any]:
    """Return the services of a process that dies before its write number `before`."""
    db: Any = CrashingDatabase(graph.db, before)
    dying = replace(graph, db=db, journal=Journal(db, graph.clock))
    return dict(build_editing(dying).services)


@pytest.mark.parametrize("before", each_write(WRITES))
@pytest.mark.parametrize("verb", ["lock", "spike", "move", "duplicate", "translate", "fetch"])
def test_is_completed_or_never_was(graph: Graph, admin: Any, verb: str, before: int) -> None:
    """After a crash at any write, what is stored has its version row and its row of history."""
    newsroom = Newsroom(graph.db)
    story = admin.create("archive", newsroom.story())
    graph.db["ingest"].insert_one({"_id": SOURCE, "type": "text", "state": "ingested"})
    caller = Caller(graph.db["users"].find_one(), {"_id": None})

    has_died = act(dying_services(graph, before), verb, story, newsroom, caller)
    Journal(graph.db, LateClock(graph.clock)).complete_abandoned()

    assert has_died or before > FEWEST_WRITES

    for item in graph.db["archive"].find():
        assert "journal" not in item
        version = {"_id_document": item["_id"], "_current_version": item["_current_version"]}
        assert 1 == graph.db["archive_versions"].count_documents(version)
        told = [r["operation"] for r in graph.db["archive_history"].find({"item_id": item["_id"]})]
        assert told.count(last_row_of(item)) == 1
        if item.get("translated_from"):
            source = graph.db["archive"].find_one({"_id": story["_id"]}) or {}
            assert [item["_id"]] == source["translations"]


@pytest.mark.parametrize("before", each_write(WRITES))
def test_a_mark_is_on_record_and_shown_at_what_is_out(
    graph: Graph, admin: Any, before: int
) -> None:
    """A mark is at the item, at its published row and in its history, or nowhere."""
    newsroom = Newsroom(graph.db)
    newsroom.validators()
    story = admin.create("archive", newsroom.story())
    admin.patch(f"archive/publish/{story['_id']}", {})
    caller = Caller(graph.db["users"].find_one(), {"_id": None})
    request = {"marked_desk": newsroom.desk["_id"], "marked_item": story["_id"]}

    with suppress(Crash):
        dying_services(graph, before)["marked_for_desks"].create([request], caller)
    Journal(graph.db, LateClock(graph.clock)).complete_abandoned()

    item = graph.db["archive"].find_one({"_id": story["_id"]}) or {}
    row = graph.db["published"].find_one({"item_id": story["_id"]}) or {}
    marks = len(item.get("marked_desks") or ())
    assert "journal" not in item
    assert (before > 1) == bool(marks)
    assert marks == len(row.get("marked_desks") or ())
    assert marks == graph.db["archive_history"].count_documents({"operation": "mark"})


WRITES_OF_A_PACKAGE = 16


@pytest.mark.parametrize("before", each_write(WRITES_OF_A_PACKAGE))
def test_a_fetched_package_is_whole_or_not_there(graph: Graph, admin: Any, before: int) -> None:
    """Whatever the fetch of a package had not made when its process died, is made later."""
    newsroom = Newsroom(graph.db)
    refs = [{"residRef": "member", "location": "ingest"}]
    groups = [{"id": "root", "refs": [{"idRef": "main"}]}, {"id": "main", "refs": refs}]
    graph.db["ingest"].insert_many(
        [
            {"_id": SOURCE, "type": "composite", "state": "ingested", "groups": groups},
            {"_id": "member", "type": "text", "state": "ingested"},
        ]
    )
    caller = Caller(graph.db["users"].find_one(), {"_id": None})

    act(dying_services(graph, before), "fetch", {"_id": ""}, newsroom, caller)
    Journal(graph.db, LateClock(graph.clock)).complete_abandoned()

    items = {item["ingest_id"]: item for item in graph.db["archive"].find()}
    if before == 1:
        assert not items
        return
    assert {SOURCE, "member"} == set(items)
    package, member = items[SOURCE], items["member"]
    assert member["_id"] == package["groups"][1]["refs"][0]["residRef"]
    assert [{"package": package["_id"]}] == member["linked_in_packages"]
    for item in items.values():
        assert "journal" not in item
        rows = {"_id_document": item["_id"], "_current_version": 1}
        assert 1 == graph.db["archive_versions"].count_documents(rows)
        assert 1 == graph.db["archive_history"].count_documents({"item_id": item["_id"]})
    assert 2 == graph.db["ingest"].count_documents({"archived": {"$exists": True}})


def act(services: Any, verb: str, story: Any, newsroom: Newsroom, caller: Caller) -> bool:
    """Do it and return whether the process died; actions with fewer writes do not."""
    stage = str(newsroom.desk["incoming_stage"])
    desk = newsroom.desk["_id"]
    commands = {
        "lock": ("archive_lock", story["_id"], {}),
        "move": ("move", story["_id"], {"task": {**newsroom.task, "stage": stage}}),
        "duplicate": ("duplicate", story["_id"], {"desk": desk, "type": "archive"}),
        "translate": ("translate", "", {"guid": story["_id"], "language": "de"}),
        "fetch": ("fetch", SOURCE, {"desk": desk}),
    }
    try:
        if verb == "spike":
            services["archive_spike"].patch(story["_id"], {}, caller)
        else:
            service, item_id, request = commands[verb]
            services[service].act(item_id, request, caller)
    except Crash:
        return True
    return False


def last_row_of(item: Any) -> str:
    """Return the operation that the history of the item must end in."""
    if item.get("lock_user"):
        return "item_lock"
    operation = str(item["operation"])
    return "duplicated_from" if operation == "duplicate" else operation

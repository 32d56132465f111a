"""What editors do is whole or not there: every action, and every write of it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest

from apps.core.caller import Caller
from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.clients import Client
from tests.support.crashes import DEATHS, Crash
from tests.support.dying import MOST_WRITES, complete_abandoned, dying_editing
from tests.support.newsroom import Newsroom

SOURCE = "tag:wire:1"
LATER = "2099-01-01T00:00:00+0000"


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    return {**settings, "CORRECTIONS_WORKFLOW": True}


@dataclass(frozen=True)
class Editing:
    """An editor at work, and what the database holds afterwards."""

    graph: Graph
    admin: Client
    newsroom: Newsroom

    @property
    def caller(self) -> Caller:
        user = self.graph.db["users"].find_one({"username": "admin"}) or {}
        return Caller(user, self.graph.db["auth"].find_one({"user": user["_id"]}))

    @property
    def desk(self) -> Any:
        return self.newsroom.desk["_id"]

    def story(self, **fields: Any) -> Document:
        return self.admin.create("archive", self.newsroom.story(**fields))

    def act(self, path: str, body: Any = None, **arguments: Any) -> Document:
        answer = self.admin.patch(path, body or {}, **arguments)
        assert answer.status_code == 200, answer.text
        return dict(answer.get_json())

    def published(self, **body: Any) -> Document:
        return self.act(f"archive/publish/{self.story()['_id']}", body)

    def stored(self) -> dict[str, Document]:
        return {item["_id"]: item for item in self.graph.db["archive"].find({})}

    def history(self, item_id: str) -> list[str]:
        rows = self.graph.db["archive_history"].find({"item_id": item_id}).sort("_id", 1)
        return [row["operation"] for row in rows]


@pytest.fixture
def editing(graph: Graph, admin: Client) -> Editing:
    newsroom = Newsroom(graph.db)
    newsroom.validators()
    return Editing(graph, admin, newsroom)


Services = Mapping[str, Any]


@dataclass(frozen=True)
class Deed:
    """An action: what is there before, what is done, what the item's history says then."""

    before: Callable[[Editing], Document]
    act: Callable[[Services, Document, Editing], object]
    recorded: str | None


def fresh(editing: Editing) -> Document:
    return editing.story()


def locked(editing: Editing) -> Document:
    item = editing.story()
    return editing.admin.create(f"archive/{item['_id']}/lock", {})


def typed(editing: Editing) -> Document:
    item = locked(editing)
    editing.admin.create("archive_autosave", {"_id": item["_id"], "headline": "typed"})
    return item


def saved(editing: Editing) -> Document:
    return editing.act(f"archive/{editing.story()['_id']}", {"headline": "second"})


def spiked(editing: Editing) -> Document:
    return editing.act(f"archive/spike/{editing.story()['_id']}")


def out(editing: Editing) -> Document:
    return editing.published()


def scheduled(editing: Editing) -> Document:
    return editing.published(publish_schedule=LATER)


def under_correction(editing: Editing) -> Document:
    return editing.act(f"archive/correction/{editing.published()['_id']}")


def update(editing: Editing) -> Document:
    return editing.admin.create(f"archive/{editing.published()['_id']}/rewrite", {})


def save(**changes: Any) -> Callable[[Services, Document, Editing], object]:
    """Return the save of `changes`."""
    return lambda services, item, editing: services["archive"].patch(
        item["_id"], dict(changes), editing.caller
    )


def patch(resource: str) -> Callable[[Services, Document, Editing], object]:
    """Return the PATCH of a resource that needs no body."""
    return lambda services, item, editing: services[resource].patch(item["_id"], {}, editing.caller)


def command(
    resource: str, body: Callable[[Editing, Document], Document] = lambda editing, item: {}
) -> Callable[[Services, Document, Editing], object]:
    """Return the command on an item."""
    return lambda services, item, editing: services[resource].act(
        item["_id"], body(editing, item), editing.caller
    )


def give_up(services: Services, item: Document, editing: Editing) -> None:
    user = editing.caller.user
    caller = Caller(user, arguments={"remove_correction": "true"})
    services["archive_correction"].patch(item["_id"], {}, caller)


def unlink(services: Services, item: Document, editing: Editing) -> None:
    services["archive_rewrite"].delete({"_id": item["_id"]}, editing.caller)


def rewrite(services: Services, item: Document, editing: Editing) -> None:
    services["archive_rewrite"].create([{"original_id": item["_id"]}], editing.caller)


def restore(services: Services, item: Document, editing: Editing) -> None:
    original = editing.stored()[item["_id"]]
    document = {"type": "text", "old_version": 1, "last_version": 2}
    services["archive"].on_replace(document, original, editing.caller)
    services["archive"].update(item["_id"], document, original, editing.caller)


def to_other_stage(editing: Editing, item: Document) -> Document:
    stage = str(editing.newsroom.desk["incoming_stage"])
    return {"task": {**editing.newsroom.task, "stage": stage}}


DEEDS = {
    "save": Deed(fresh, save(headline="new"), "update"),
    "mark": Deed(fresh, save(marked_for_user="somebody"), "update"),
    "deschedule": Deed(scheduled, save(publish_schedule=None), "update"),
    "restore": Deed(saved, restore, None),
    "lock": Deed(fresh, command("archive_lock"), "item_lock"),
    "unlock": Deed(locked, command("archive_unlock"), "item_unlock"),
    "unlock and save": Deed(typed, command("archive_unlock"), "update"),
    "spike": Deed(fresh, patch("archive_spike"), "spike"),
    "spike an update": Deed(update, patch("archive_spike"), "spike"),
    "unspike": Deed(spiked, patch("archive_unspike"), "unspike"),
    "move": Deed(fresh, command("move", to_other_stage), "move"),
    "correction": Deed(out, patch("archive_correction"), "correction"),
    "give up": Deed(under_correction, give_up, "correction"),
    "unlink": Deed(update, unlink, "unlink"),
}
"""Actions that change one item, and perhaps others with it."""

COPIES = {
    "duplicate": Deed(
        saved,
        command("duplicate", lambda editing, item: {"desk": editing.desk, "type": "archive"}),
        "duplicate",
    ),
    "copy": Deed(saved, command("copy"), "duplicate"),
    "translate": Deed(
        saved,
        command("translate", lambda editing, item: {"guid": item["_id"], "language": "de"}),
        "translate",
    ),
    "rewrite": Deed(out, rewrite, "rewrite"),
}
"""Actions that make an item out of another one."""


def crashes(
    editing: Editing, deed: Deed, stride: int
) -> Iterator[tuple[Document, dict[str, Document]]]:
    """Do it on ever new items, dying `stride` writes later each time, until it comes to its end.

    Yields:
        The item, and all items as they were before.
    """
    for before in count(1, stride):
        item = deed.before(editing)
        complete_abandoned(editing.graph)
        known = editing.stored()
        has_died = False
        try:
            deed.act(dying_editing(editing.graph, before), item, editing)
        except Crash:
            has_died = True
        complete_abandoned(editing.graph)
        yield item, known
        if not has_died:
            assert before > 2, "died at no write"
            return
        assert before < MOST_WRITES


def check_whole(editing: Editing) -> None:
    """All items have all their versions; nothing is left to do, nothing belongs to nobody."""
    items = editing.stored()
    assert not [item for item in items.values() if "journal" in item]
    versions: dict[str, list[int]] = {item_id: [] for item_id in items}
    for row in editing.graph.db["archive_versions"].find({}):
        versions[row["_id_document"]].append(row["_current_version"])
    for item_id, numbers in versions.items():
        assert sorted(numbers) == list(range(1, items[item_id]["_current_version"] + 1))
    owners = set(editing.graph.db["archive_history"].distinct("item_id"))
    assert owners <= set(items)


@DEATHS
@pytest.mark.parametrize("verb", DEEDS)
def test_is_completed_or_never_was(editing: Editing, verb: str, stride: int) -> None:
    """After a crash at any write, the item is as before, or changed with all that belongs to it."""
    deed, ends = DEEDS[verb], set()
    for item, known in crashes(editing, deed, stride):
        now = editing.stored()[item["_id"]]
        is_done = now != known[item["_id"]]
        ends.add(is_done)
        check_whole(editing)
        if deed.recorded:
            more = editing.history(item["_id"])[len(history_of(editing, item, deed, is_done)) :]
            assert more == ([deed.recorded] if is_done else [])
        check_ties(editing, now)
        if is_done and verb != "lock":
            assert editing.graph.db["archive_autosave"].find_one({"_id": item["_id"]}) is None
    assert ends == {False, True}


def history_of(editing: Editing, item: Document, deed: Deed, is_done: bool) -> list[str]:
    """Return what the history said before."""
    history = editing.history(item["_id"])
    return history[:-1] if is_done and history and history[-1] == deed.recorded else history


def check_ties(editing: Editing, item: Document) -> None:
    """Items and rows that belong together say so on both sides, or on neither."""
    db = editing.graph.db
    for row in db["published"].find({"item_id": item["_id"], "last_published_version": True}):
        assert (row["state"] == "being_corrected") == (item["state"] == "correction")
    if item["state"] in ("in_progress", "fetched"):
        assert 0 == db["published"].count_documents({"item_id": item["_id"], "state": "scheduled"})
    stories = [i["_id"] for i in db["archive"].find({"rewritten_by": item["_id"]})]
    assert stories == ([item["rewrite_of"]] if item.get("rewrite_of") else [])


@DEATHS
@pytest.mark.parametrize("verb", COPIES)
def test_a_new_item_is_there_with_all_or_not_at_all(
    editing: Editing, verb: str, stride: int
) -> None:
    """After a crash at any write there is no new item, or one with versions, history and ties."""
    deed, ends = COPIES[verb], set()
    for item, known in crashes(editing, deed, stride):
        stored = editing.stored()
        new = [stored[item_id] for item_id in set(stored) - set(known)]
        check_whole(editing)
        ends.add(bool(new))
        assert editing.history(item["_id"]).count(str(deed.recorded)) == len(new) <= 1
        source = stored[item["_id"]]
        for made in new:
            check_ties(editing, made)
            history = editing.history(made["_id"])
            if verb != "rewrite":
                copied = editing.history(item["_id"])
                copied.remove(str(deed.recorded))
                assert history[:-1] == copied
            if verb == "translate":
                assert source["translations"] == [made["_id"]]
    assert ends == {False, True}


@DEATHS
def test_a_fetched_item_is_there_with_all_or_not_at_all(editing: Editing, stride: int) -> None:
    """The item of the wire, its version and its row of history."""
    editing.graph.db["ingest"].insert_one({"_id": SOURCE, "type": "text", "state": "ingested"})
    act = command("fetch", lambda editing, item: {"desk": editing.desk})
    deed = Deed(lambda editing: {"_id": SOURCE}, act, None)

    for _item, known in crashes(editing, deed, stride):
        new = set(editing.stored()) - set(known)
        check_whole(editing)
        assert ["fetch" for _ in new] == [
            op for i in new for op in editing.history(i) if op == "fetch"
        ]


@DEATHS
def test_an_unsaved_draft_goes_with_all_or_stays(editing: Editing, stride: int) -> None:
    """Unlocking a package of version 0 removes it, its history and the links of its members."""

    def draft(editing: Editing) -> Document:
        member = editing.story()
        groups = [
            {"id": "root", "role": "grpRole:NEP", "refs": [{"idRef": "main"}]},
            {"id": "main", "refs": [{"residRef": member["_id"]}]},
        ]
        task = editing.newsroom.task
        body = {"type": "composite", "version": 0, "groups": groups, "task": task}
        item = editing.admin.create("archive", body)
        return editing.admin.create(f"archive/{item['_id']}/lock", {})

    db = editing.graph.db
    for item, known in crashes(editing, Deed(draft, command("archive_unlock"), None), stride):
        is_there = db["archive"].find_one({"_id": item["_id"]}) is not None
        member = known[item["_id"]]["groups"][1]["refs"][0]["residRef"]
        links = editing.stored()[member].get("linked_in_packages") or []
        assert links == ([{"package": item["_id"]}] if is_there else [])
        assert bool(editing.history(item["_id"])) == is_there
        assert db["archive_versions"].count_documents({"_id_document": item["_id"]}) == is_there

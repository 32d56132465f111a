"""Copies come in any order, more than once, from several processes at once."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pymongo.monitoring import CommandListener, CommandStartedEvent

from apps.content_api.copies import Copy, build_copy
from apps.content_api.store import CopyStore
from apps.graph.build import Graph
from apps.store.mongo import connect
from tests.support.crashes import Crash, CrashingDatabase
from tests.support.newsdesk import START, HandClock

ITEM = "urn:item"
READERS = ("a", "b", "c")


def copy_of(
    version: int, readers: Sequence[str], *, canceled: bool = False, item: str = ITEM
) -> Copy:
    row = {"_id": version, "item_id": item, "_current_version": version}
    ninjs = {
        "guid": item,
        "version": str(version),
        "type": "text",
        "headline": f"Take {version}",
        "pubstatus": "canceled" if canceled else "usable",
    }
    return build_copy(row, ninjs, readers, f"{item} {version}", START)


def check(graph: Graph, copies: Sequence[Copy]) -> None:
    """Check what is stored against what was sent."""
    newest = max(copies, key=lambda copy: copy.version)
    item = graph.db["items"].find_one({"_id": ITEM})
    rows = list(graph.db["items_versions"].find({"_id_document": ITEM}))
    canceled = [c.version for c in copies if c.document["pubstatus"] == "canceled"]
    last_cancel = max(canceled, default=0)
    assert item is not None
    assert newest.document["headline"] == item["headline"]
    assert newest.version == item["_current_version"]
    assert {r for c in copies for r in c.subscribers} == set(item["subscribers"])
    assert sorted({c.version for c in copies}) == sorted(r["_current_version"] for r in rows)
    for row in rows:
        is_withdrawn = row["_current_version"] <= last_cancel
        assert ("canceled" if is_withdrawn else "usable") == row["pubstatus"]


@pytest.fixture
def store(graph: Graph) -> CopyStore:
    return CopyStore(graph.db, HandClock())


takes = st.lists(
    st.tuples(st.lists(st.sampled_from(READERS), unique=True), st.booleans()),
    min_size=1,
    max_size=4,
)


# Every example begins with empty collections.
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(takes=takes, data=st.data())
def test_the_newest_version_wins_in_any_order(graph: Graph, takes: Any, data: Any) -> None:
    """Versions come shuffled and repeated, in batches, with processes that die in between."""
    for name in ("items", "items_versions"):
        graph.db[name].delete_many({})
    copies = [copy_of(n, who, canceled=c) for n, (who, c) in enumerate(takes, start=1)]
    order = data.draw(st.permutations([*copies, *copies]))
    cut = data.draw(st.integers(0, len(order)))
    for batch in (order[:cut], order[cut:]):
        if not batch:
            continue
        dying: Any = CrashingDatabase(graph.db, data.draw(st.integers(1, 8)))
        try:
            CopyStore(dying, HandClock()).store(batch)
        except Crash:
            CopyStore(graph.db, HandClock()).store(batch)

    check(graph, copies)


def test_processes_write_the_same_item_at_once(graph: Graph, store: CopyStore) -> None:
    """Each loses to the other now and then; nothing is lost."""
    copies = [copy_of(n, [READERS[n % 3]], canceled=n == 8) for n in range(1, 9)]
    store.store(copies[:1])

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda copy: store.store([copy]), copies * 2))

    check(graph, copies)


class Commands(CommandListener):
    """Counts commands."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def started(self, event: CommandStartedEvent) -> None:
        self.names.append(event.command_name)

    def succeeded(self, event: Any) -> None: ...

    def failed(self, event: Any) -> None: ...


def test_a_batch_costs_four_commands(settings: dict[str, Any], graph: Graph) -> None:
    """However many items it holds; canceled items cost one more each."""
    commands = Commands()
    db = connect(settings, [commands])
    store = CopyStore(db, HandClock())
    batch = [copy_of(1, "a", item=f"urn:{number}") for number in range(50)]
    store.store([copy_of(1, "a")])
    commands.names.clear()

    store.store(batch)

    assert ["find", "insert", "update", "find"] == commands.names
    db.client.close()

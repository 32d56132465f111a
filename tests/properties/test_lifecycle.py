"""Whatever editors do, in whatever order, items stay within the table of the lifecycle contract."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

import settings as settings_module
from app import create_app
from apps.graph import Graph, build_graph
from tests.support.clients import Client, log_in, make_user
from tests.support.newsdesk import START, HandClock
from tests.support.newsroom import Newsroom, push

OUT = ("published", "corrected")
WITHDRAWN = {"kill": "killed", "takedown": "recalled", "unpublish": "unpublished"}
TABLE: dict[str, dict[str, str]] = {
    "save": dict.fromkeys(("fetched", "in_progress", "unpublished"), "in_progress")
    | {"scheduled": "scheduled"},
    "publish": dict.fromkeys(("fetched", "in_progress", "scheduled", "unpublished"), "published"),
    "schedule": dict.fromkeys(("fetched", "in_progress", "scheduled", "unpublished"), "scheduled"),
    "deschedule": {"scheduled": "in_progress"},
    "correct": dict.fromkeys(OUT, "corrected"),
    **{word: dict.fromkeys((*OUT, "scheduled"), state) for word, state in WITHDRAWN.items()},
}
"""Action to state before to state after (lifecycle contract 2.2)."""

DONE = {"queued", "queued_not_transmitted"}


class Lifecycle(RuleBasedStateMachine):
    """Editors at work on a few items over HTTP, and the enqueue task, which comes by at times."""

    graph: Graph
    clock: HandClock
    client: Client
    room: Newsroom

    items = Bundle("items")

    def __init__(self) -> None:
        super().__init__()
        for name in ("archive", "archive_versions", "archive_history", "published"):
            self.graph.db[name].delete_many({})
        self.clock.at = START
        self.states: dict[str, str] = {}

    @initialize(target=items)
    def first(self) -> str:
        return self.create()

    @rule(target=items)
    def create(self) -> str:
        item = self.client.create("archive", self.room.story())
        self.states[item["_id"]] = "fetched"
        return str(item["_id"])

    @rule(item=items)
    def save(self, item: str) -> None:
        self._act("save", item, f"archive/{item}", {"headline": "saved"})

    @rule(item=items)
    def deschedule(self, item: str) -> None:
        if self.states[item] == "scheduled":
            self._act("deschedule", item, f"archive/{item}", {"publish_schedule": None})

    @rule(item=items, word=st.sampled_from(["correct", *WITHDRAWN]))
    def change(self, item: str, word: str) -> None:
        self._act(word, item, f"archive/{word}/{item}", {})

    @rule(item=items)
    def publish(self, item: str) -> None:
        self._act("publish", item, f"archive/publish/{item}", {"publish_schedule": None})

    @rule(item=items, hours=st.integers(1, 3))
    def schedule(self, item: str, hours: int) -> None:
        moment = self.clock.now() + timedelta(hours=hours)
        body = {"publish_schedule": moment.strftime("%Y-%m-%dT%H:%M:%S+0000")}
        self._act("schedule", item, f"archive/publish/{item}", body)

    @rule(target=items, item=items)
    def rewrite(self, item: str) -> Any:
        before = self._stored(item)
        answer = self.client.post(f"archive/{item}/rewrite", {})
        if answer.status_code != 201:
            return item
        update = answer.get_json()
        assert before.get("rewritten_by") is None
        assert before["state"] not in ("killed", "spiked", "scheduled")
        assert self._stored(item)["rewritten_by"] == update["_id"]
        self.states[update["_id"]] = "in_progress"
        return update["_id"]

    @rule(minutes=st.sampled_from([1, 61, 200]))
    def enqueue(self, minutes: int) -> None:
        """Time passes and the enqueue task comes by."""
        self.clock.advance(minutes=minutes)
        self.graph.enqueue.run()
        now = self.clock.now()
        for row in self.graph.db["published"].find({}):
            if row["queue_state"] in DONE:
                continue
            assert (row["queue_state"], row["state"]) == ("pending", "scheduled")
            assert row["schedule_settings"]["utc_publish_schedule"] > now
        for item, state in self.states.items():
            schedule = self._stored(item).get("schedule_settings") or {}
            if state == "scheduled" and schedule["utc_publish_schedule"] <= now:
                self.states[item] = "published"

    def _act(self, word: str, item: str, path: str, body: dict[str, Any]) -> None:
        """Do it: what the table refuses is refused, what is done leads where the table says."""
        after = TABLE[word].get(self.states[item])
        answer = self.client.patch(path, body)
        assert answer.status_code in (200, 400), answer.text
        if after is None:
            assert answer.status_code == 400, (word, self.states[item], answer.text)
        elif answer.status_code == 200:
            self.states[item] = after
        else:
            # Stories and their updates wait for each other; nothing else stands in the way.
            assert "pdate" in answer.text, (word, self.states[item], answer.text)

    def _stored(self, item: str) -> dict[str, Any]:
        found = self.graph.db["archive"].find_one({"_id": item})
        assert found is not None
        return found

    @invariant()
    def states_are_those_of_the_table(self) -> None:
        stored = {i["_id"]: i["state"] for i in self.graph.db["archive"].find({})}
        assert stored == self.states

    @invariant()
    def versions_have_no_gap(self) -> None:
        for item in self.states:
            rows = self.graph.db["archive_versions"].find({"_id_document": item})
            numbers = sorted(row["_current_version"] for row in rows)
            assert numbers == list(range(1, self._stored(item)["_current_version"] + 1))

    @invariant()
    def at_most_one_row_is_the_last(self) -> None:
        last = self.graph.db["published"].find({"last_published_version": True})
        ids = [row["item_id"] for row in last]
        assert len(ids) == len(set(ids))


@pytest.fixture
def machine(stores: Any, database_name: str, redis_url: str) -> Iterator[type[Lifecycle]]:
    """The machine, on an embedded store."""
    clock = HandClock()
    graph = build_graph(
        settings_module.load(
            {
                "MONGO_URI": stores.mongo_uri,
                "MONGO_DBNAME": database_name,
                "REDIS_URL": redis_url,
                "BCRYPT_GENSALT_WORK_FACTOR": 4,
                "CELERY_TASK_ALWAYS_EAGER": False,
                "SESSION_EXPIRY_MINUTES": 1_000_000,
            },
            environ={},
        ),
        clock=clock,
    )
    for name in graph.db.list_collection_names():
        graph.db[name].delete_many({})
    room = Newsroom(graph.db)
    room.validators()
    room.subscriber("s", push("http://127.0.0.1:9"))
    app = create_app(graph=graph)
    make_user(graph, "admin", user_type="administrator", sign_off="abc")
    parts = {"graph": graph, "clock": clock, "client": log_in(app, "admin"), "room": room}
    yield type("Machine", (Lifecycle,), parts)
    graph.close()


def test_items_stay_within_the_table(machine: type[Lifecycle]) -> None:
    """2.2: states, versions, last rows and pending rows hold after every step."""
    run_state_machine_as_test(
        machine,
        settings=hypothesis_settings(
            max_examples=40,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )

"""Whatever editors do, in whatever order, items stay within the rules of the lifecycle.

And in the end each receiver has every item as it is. Lifecycle contract 2.2, 2.3; delivery contract
X22.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase
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
from orjson import loads

import settings as settings_module
from app import create_app
from apps.core.caller import Caller
from apps.graph.build import Graph
from apps.routing.subscribers.stored_destinations import lane_id
from tests.support.clients import Client, log_in, make_user
from tests.support.conservation import Recorder, check_manifest, check_newest
from tests.support.dying import dies, dies_editing, dies_routing
from tests.support.newsdesk import START, HandClock
from tests.support.newsroom import Newsroom, push
from tests.support.receivers import HTTPReceiver
from tests.support.services import empty_services

WALKS, STEPS = 3, 20
WALKS_OF_A_CAMPAIGN, STEPS_OF_A_CAMPAIGN = 40, 40

OUT = ("published", "corrected")
EDITED = ("fetched", "in_progress", "unpublished")
TO_PUBLISH = (*EDITED, "scheduled", "correction")
WITHDRAWN = {"kill": "killed", "takedown": "recalled", "unpublish": "unpublished"}
TABLE: dict[str, dict[str, str]] = {
    "save": dict.fromkeys(EDITED, "in_progress")
    | {"scheduled": "scheduled", "correction": "correction"},
    "publish": dict.fromkeys(TO_PUBLISH, "published"),
    "schedule": dict.fromkeys(TO_PUBLISH, "scheduled"),
    "deschedule": {"scheduled": "in_progress"},
    "correct": dict.fromkeys((*OUT, "correction"), "corrected"),
    **{w: dict.fromkeys((*OUT, "scheduled", "correction"), s) for w, s in WITHDRAWN.items()},
    "correction": dict.fromkeys((*OUT, "correction"), "correction"),
    "spike": dict.fromkeys((*EDITED, "correction", "recalled"), "spiked"),
}
"""Action to state before to state after (lifecycle contract 2.2).

Not in the table: what was spiked returns to its state, a correction that is given up to its row's.
"""

CLEARS_LOCK = {"publish", "schedule", "correct", *WITHDRAWN, "spike"}
REASONS = ("pdate", "package", "Package", "ssociated", "locked by another user")
"""Beside the state only updates, packages and locks refuse anything here."""

ENDED = ("success", "failed", "canceled")
STATUS = {
    **dict.fromkeys(("published", "corrected", "being_corrected"), "usable"),
    **dict.fromkeys(WITHDRAWN.values(), "canceled"),
}
"""State of what is out to what a receiver is told of it."""
DONE = {"queued", "queued_not_transmitted"}
ROW_STATES = {"published", "scheduled", "corrected", "being_corrected", *WITHDRAWN.values()}
PUBLICATIONS = ("publish", "correct", "kill", "takedown", "unpublish")
EDITS = ("save", "lock", "unlock", "spike", "unspike")

Item = dict[str, Any]


class Lifecycle(RuleBasedStateMachine):
    """Two editors at work on a few items over HTTP, processes that die, the enqueue task."""

    graph: Graph
    clock: HandClock
    clients: dict[str, Client]
    room: Newsroom
    receiver: HTTPReceiver
    subscriber: Any

    items = Bundle("items")
    editors = st.sampled_from(["admin", "member"])

    def __init__(self) -> None:
        super().__init__()
        for name in ("archive", "archive_versions", "archive_history", "archive_autosave"):
            self.graph.db[name].delete_many({})
        for name in ("published", "publish_queue", "publish_payloads", "recipients"):
            self.graph.db[name].delete_many({})
        for name in ("publish_lanes", "resends"):
            self.graph.db[name].delete_many({})
        self.refuses = False
        self.recorder = Recorder(lambda request: 503 if self.refuses else 200)
        self.receiver.answer(self.recorder)
        self.clock.at = START
        self.known: dict[str, Item] = {}
        self.may_lag: set[str] = set()

    # What editors do.

    @initialize(target=items)
    def first(self) -> str:
        return self.create()

    @rule(target=items)
    def create(self) -> str:
        return self._created(self.clients["admin"].create("archive", self.room.story()))

    @rule(target=items, first=items, second=items)
    def package(self, first: str, second: str) -> str:
        """Put one or two items into a package."""
        members = dict.fromkeys((first, second))
        groups = [
            {"id": "root", "role": "grpRole:NEP", "refs": [{"idRef": "main"}]},
            {"id": "main", "refs": [{"residRef": member} for member in members]},
        ]
        body = self.room.story(type="composite", groups=groups)
        return self._created(self.clients["admin"].create("archive", body))

    @rule(item=items, editor=editors)
    def save(self, item: str, editor: str) -> None:
        self._act("save", item, f"archive/{item}", {"headline": "saved"}, editor)

    @rule(item=items, editor=editors)
    def deschedule(self, item: str, editor: str) -> None:
        if self.known[item]["state"] == "scheduled":
            self._act("deschedule", item, f"archive/{item}", {"publish_schedule": None}, editor)

    @rule(item=items, operation=st.sampled_from(["correct", *WITHDRAWN]), editor=editors)
    def change(self, item: str, operation: str, editor: str) -> None:
        self._act(operation, item, f"archive/{operation}/{item}", {}, editor)

    @rule(item=items, editor=editors)
    def publish(self, item: str, editor: str) -> None:
        self._act("publish", item, f"archive/publish/{item}", {"publish_schedule": None}, editor)

    @rule(item=items, hours=st.integers(1, 3))
    def schedule(self, item: str, hours: int) -> None:
        moment = self.clock.now() + timedelta(hours=hours)
        body = {"publish_schedule": moment.strftime("%Y-%m-%dT%H:%M:%S+0000")}
        self._act("schedule", item, f"archive/publish/{item}", body, "admin")

    @rule(item=items, editor=editors)
    def begin_correction(self, item: str, editor: str) -> None:
        self._act("correction", item, f"archive/correction/{item}", {}, editor)

    @rule(item=items)
    def give_correction_up(self, item: str) -> None:
        before = self.known[item]
        if before["state"] == "correction":
            path, given_up = f"archive/correction/{item}", {"remove_correction": "true"}
            answer = self.clients["admin"].patch(path, {}, **given_up)
            assert answer.status_code == 200, answer.text
            after = "corrected" if before.get("correction_sequence") else "published"
            self._check_step("give up", item, after)
            # What happened to its members meanwhile, it shows when it goes out again.
            self.may_lag.add(item)

    @rule(item=items, editor=editors)
    def spike(self, item: str, editor: str) -> None:
        self._act("spike", item, f"archive/spike/{item}", {}, editor)

    @rule(item=items, editor=editors)
    def unspike(self, item: str, editor: str) -> None:
        before = self.known[item]
        answer = self.clients[editor].patch(f"archive/unspike/{item}", {})
        assert answer.status_code == (200 if before["state"] == "spiked" else 400), answer.text
        after = before.get("revert_state") if before["state"] == "spiked" else before["state"]
        self._check_step("unspike", item, str(after))

    @rule(item=items, editor=editors)
    def lock(self, item: str, editor: str) -> None:
        holder = self.known[item].get("lock_user")
        answer = self.clients[editor].post(f"archive/{item}/lock", {"lock_action": "edit"})
        is_free = holder in (None, self._user(editor))
        assert answer.status_code == (201 if is_free else 403), answer.text
        self._check_step("lock", item, self.known[item]["state"])
        assert self.known[item]["lock_user"] == (self._user(editor) if is_free else holder)

    @rule(item=items, editor=editors)
    def unlock(self, item: str, editor: str) -> None:
        """Who has the privilege unlocks what others hold; the member of the desk has not."""
        holder = self.known[item].get("lock_user")
        answer = self.clients[editor].post(f"archive/{item}/unlock", {})
        may = editor == "admin" or holder == self._user(editor)
        expected = 400 if holder is None else 201 if may else 403
        assert answer.status_code == expected, answer.text
        self._check_step("unlock", item, self.known[item]["state"])
        assert self.known[item].get("lock_user") == (None if expected == 201 else holder)

    @rule(target=items, item=items)
    def rewrite(self, item: str) -> Any:
        before = self.known[item]
        answer = self.clients["admin"].post(f"archive/{item}/rewrite", {})
        if answer.status_code != 201:
            self._check_step("rewrite", item, before["state"])
            return item
        update = answer.get_json()
        assert before.get("rewritten_by") is None
        assert before["state"] not in ("killed", "spiked", "scheduled")
        assert self._stored()[item]["rewritten_by"] == update["_id"]
        return self._created(update)

    @rule(item=items)
    def resend(self, item: str) -> None:
        """Send the version that is out again; the item stays as it is."""
        known = self.known[item]
        body = {"subscribers": [str(self.subscriber)], "version": known["_current_version"]}
        answer = self.clients["admin"].post(f"archive/{item}/resend", body)
        assert answer.status_code in (201, 400), answer.text
        if answer.status_code == 201:
            assert known["state"] in ROW_STATES, known["state"]
        assert self._stored() == self.known

    # What happens to receivers and processes.

    @rule(refuses=st.booleans())
    def deliver(self, refuses: bool) -> None:
        """The transmit task comes by; the receiver may be down."""
        self.refuses = refuses
        self.graph.transmit.run()
        self.refuses = False

    @rule(minutes=st.sampled_from([1, 61, 200]))
    def enqueue(self, minutes: int) -> None:
        """Time passes and the enqueue task comes by."""
        self.clock.advance(minutes=minutes)
        self.graph.enqueue.run()
        self._check_step("enqueue", None, None)
        self._check_routed()

    @rule(minutes=st.sampled_from([1, 61]), before=st.integers(1, 25))
    def die_routing(self, minutes: int, before: int) -> None:
        """The enqueue run dies; the next one has to wait until its lease has ended."""
        self.clock.advance(minutes=minutes)
        dies_routing(self.graph, before)
        self.enqueue(2)

    @rule(item=items, operation=st.sampled_from(PUBLICATIONS), before=st.integers(1, 25))
    def die_publishing(self, item: str, operation: str, before: int) -> None:
        """A process dies between two writes of a publish action; the enqueue task comes by."""
        after = self._after(operation, item)
        dies(
            self.graph, operation, self.known[item], before, {"headline": operation}, self._caller()
        )
        self._recover(operation, item, after)

    @rule(item=items, operation=st.sampled_from(EDITS), before=st.integers(1, 10))
    def die_editing(self, item: str, operation: str, before: int) -> None:
        """A process dies between two writes of an editor's action; the enqueue task comes by."""
        after = self._after(operation, item)
        dies_editing(self.graph, operation, self.known[item], before, self._caller())
        self._recover(operation, item, after)

    def _recover(self, operation: str, item: str, after: str) -> None:
        self.clock.advance(minutes=1)
        self.graph.enqueue.run()
        held = self._stored()[item]["state"]
        # Its hour may have come meanwhile.
        allowed = {self.known[item]["state"], after}
        released = {"published"} if "scheduled" in allowed else set()
        assert held in allowed | released, (operation, self.known[item]["state"], held)
        self._check_step(operation, item, held)
        self._check_routed()

    # How steps are judged.

    def _created(self, item: Item) -> str:
        stored = self._stored()
        assert {i["_id"]: i["state"] for i in self.known.values()} | {
            item["_id"]: item["state"]
        } == {i["_id"]: i["state"] for i in stored.values()}
        # Members have a link to their new package, stories one to their update.
        self.known = stored
        return str(item["_id"])

    def _after(self, operation: str, item: str) -> str:
        before = self.known[item]
        if operation in ("lock", "unlock"):
            return str(before["state"])
        if operation == "unspike":
            return str(before.get("revert_state") or before["state"])
        return TABLE[operation].get(before["state"], before["state"])

    def _act(self, operation: str, item: str, path: str, body: Item, editor: str) -> None:
        """Do it: what the table refuses is refused, what is done leads where the table says."""
        before = self.known[item]
        after = TABLE[operation].get(before["state"])
        answer = self.clients[editor].patch(path, body)
        assert answer.status_code in (200, 400), answer.text
        if after is None:
            assert answer.status_code == 400, (operation, before["state"], answer.text)
        if answer.status_code == 400:
            assert after is None or any(reason in answer.text for reason in REASONS), (
                operation,
                before["state"],
                answer.text,
            )
            assert self._stored() == self.known, (operation, "is refused and leaves traces")
            return
        assert operation not in ("save", "deschedule") or self._may_save(before, editor)
        self._check_step(operation, item, after)
        held = None if operation in CLEARS_LOCK else before.get("lock_user")
        assert self.known[item].get("lock_user") == held

    def _check_step(self, operation: str, item: str | None, after: str | None) -> None:
        """The item is in its new state; others change only as far as they go with it."""
        stored = self._stored()
        assert set(stored) == set(self.known)
        for item_id, now in stored.items():
            before = self.known[item_id]
            assert now["_current_version"] >= before["_current_version"]
            if item_id == item:
                assert now["state"] == after, (operation, before["state"], now["state"])
            elif now["state"] != before["state"]:
                assert self._goes_along(before, now), (
                    operation,
                    item_id,
                    before["state"],
                    now["state"],
                )
            elif now["_current_version"] != before["_current_version"]:
                assert now["state"] in ("published", "corrected"), (operation, now["state"])
        self.known = stored

    def _goes_along(self, before: Item, now: Item) -> bool:
        """Whether an item may change so because of another one, or because its hour has come."""
        moves = {
            (state, out) for state in (*EDITED, "correction") for out in ("published", "scheduled")
        }
        moves |= {("scheduled", "published"), ("published", "corrected")}
        # A package is released, and a member of it after it.
        moves.add(("scheduled", "corrected"))
        return (before["state"], now["state"]) in moves

    def _check_routed(self) -> None:
        """Everything but what waits for its hour is routed, and nothing is left undone."""
        now = self.clock.now()
        for row in self.graph.db["published"].find({}):
            if row["queue_state"] not in DONE:
                assert (row["queue_state"], row["state"]) == ("pending", "scheduled")
                assert row["schedule_settings"]["utc_publish_schedule"] > now
        assert self.graph.db["archive"].count_documents({"journal": {"$exists": True}}) == 0
        self._check_packages()

    def _check_packages(self) -> None:
        """Packages that are out show the last versions of their members that are out."""
        last = {"last_published_version": True, "state": {"$ne": "scheduled"}}
        versions = {
            r["item_id"]: r["_current_version"] for r in self.graph.db["published"].find(last)
        }
        for package in self.known.values():
            if package["state"] not in OUT or package["_id"] in self.may_lag:
                continue
            for group in package.get("groups") or ():
                for ref in group["refs"]:
                    if (member := ref.get("residRef")) in versions:
                        assert ref["_current_version"] >= versions[member], package["_id"]

    def _may_save(self, item: Item, editor: str) -> bool:
        return item.get("lock_user") in (None, self._user(editor))

    def _user(self, editor: str) -> Any:
        return self._document(editor)["_id"]

    def _caller(self) -> Caller:
        user = self._document("admin")
        return Caller(user, self.graph.db["auth"].find_one({"user": user["_id"]}))

    def _document(self, editor: str) -> Item:
        return self.graph.db["users"].find_one({"username": editor}) or {}

    def _stored(self) -> dict[str, Item]:
        items = self.graph.db["archive"].find({}, {"journal": 0})
        return {item["_id"]: item for item in items}

    # What holds after every step.

    @invariant()
    def versions_have_no_gap(self) -> None:
        numbers: dict[str, list[int]] = {item: [] for item in self.known}
        for row in self.graph.db["archive_versions"].find({}):
            numbers[row["_id_document"]].append(row["_current_version"])
        for item, found in numbers.items():
            assert sorted(found) == list(range(1, self.known[item]["_current_version"] + 1))

    @invariant()
    def one_row_is_the_last(self) -> None:
        rows = list(self.graph.db["published"].find({}).sort("publish_sequence_no", 1))
        newest = {row["item_id"]: row for row in rows}
        last = [row["_id"] for row in rows if row["last_published_version"]]
        assert sorted(last) == sorted(row["_id"] for row in newest.values())
        for item, row in newest.items():
            assert row["state"] in ROW_STATES
            self._check_last(self.known[item], row)

    def _check_last(self, item: Item, row: Item) -> None:
        """The last row is in the state of the item, as far as that is one of published rows."""
        own = item["state"]
        corrected = own == "correction" or item.get("revert_state") == "correction"
        assert (row["state"] == "being_corrected") == corrected, (own, row["state"])
        if own in ROW_STATES:
            assert row["state"] == own, (own, row["state"])

    @invariant()
    def deliveries_are_not_doubled(self) -> None:
        found = Counter(
            (
                row["item_id"],
                row["item_version"],
                row["publishing_action"],
                row["destination"]["_id"],
                row.get("resend_id"),
            )
            for row in self.graph.db["publish_queue"].find({})
        )
        assert not [key for key, count in found.items() if count > 1]

    # What holds in the end.

    def teardown(self) -> None:
        """Everything is delivered: the receiver has every item as it is."""
        self.refuses = False
        unfinished = {"state": {"$nin": list(ENDED)}}
        for _ in range(6):
            self.clock.advance(minutes=61)
            self.graph.enqueue.run()
            self.graph.transmit.run()
            if not self.graph.db["publish_queue"].count_documents(unfinished):
                break
        assert not list(self.graph.db["publish_queue"].find(unfinished))
        lane, came = lane_id(self.subscriber, "push"), self.recorder.arrivals()
        check_manifest(self.graph.db, {lane: came})
        check_newest(self.graph.db, lane, came)
        shown = {
            (b := loads(each.body))["guid"]: b["pubstatus"] for each in came if each.is_accepted
        }
        last = self.graph.db["published"].find({"last_published_version": True, "type": "text"})
        for row in last:
            if row["state"] in STATUS and row["item_id"] in shown:
                assert shown[row["item_id"]] == STATUS[row["state"]], (row["item_id"], row["state"])


@pytest.fixture
def receiver() -> Iterator[HTTPReceiver]:
    """Who gets everything."""
    with HTTPReceiver() as server:
        yield server


@pytest.fixture
def machine(
    stores: Any, database_name: str, redis_url: str, receiver: HTTPReceiver
) -> Iterator[type[Lifecycle]]:
    """The machine, on an embedded store."""
    clock = HandClock()
    settings = settings_module.load(
        {
            "MONGO_URI": stores.mongo_uri,
            "MONGO_DBNAME": database_name,
            "REDIS_URL": redis_url,
            "BCRYPT_GENSALT_WORK_FACTOR": 4,
            "CELERY_TASK_ALWAYS_EAGER": False,
            "SESSION_EXPIRY_MINUTES": 1_000_000,
            "CORRECTIONS_WORKFLOW": True,
        },
        environ={},
    )
    with empty_services(settings, clock=clock) as graph:
        room = Newsroom(graph.db)
        room.validators()
        room.validators(item_type="composite")
        subscriber = room.subscriber("s", push(receiver.url))
        app = create_app(graph=graph)
        room.join(make_user(graph, "admin", user_type="administrator", sign_off="abc"))
        to = {"receiver": receiver, "subscriber": subscriber}
        rights = dict.fromkeys(("archive", *PUBLICATIONS, "spike", "unspike"), 1)
        room.join(make_user(graph, "member", privileges=rights))
        clients = {name: log_in(app, name) for name in ("admin", "member")}
        parts = {"graph": graph, "clock": clock, "clients": clients, "room": room, **to}
        yield type("Machine", (Lifecycle,), parts)


@pytest.mark.timeout(0)
@pytest.mark.hypothesis
def test_items_stay_within_the_rules(machine: type[Lifecycle]) -> None:
    """States, versions, locks, rows and packages hold after every step.

    Lifecycle contract 2.2, 2.3.
    """
    is_campaign = hypothesis_settings.get_current_profile_name() == "chaos"
    run_state_machine_as_test(
        machine,
        settings=hypothesis_settings(
            max_examples=WALKS_OF_A_CAMPAIGN if is_campaign else WALKS,
            stateful_step_count=STEPS_OF_A_CAMPAIGN if is_campaign else STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[phase for phase in Phase if is_campaign or phase != Phase.shrink],
            report_multiple_bugs=False,
        ),
    )

"""A published row that cannot be routed holds up its own item only, and ends in `error`.

Rows are stored as migrations and earlier versions may have left them. Routing contract 8.1, 12.
"""

from datetime import UTC, datetime
from typing import Any

import pytest
from bson import DBRef, Decimal128, ObjectId, Regex

from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.newsroom import push
from tests.support.receivers import HTTPReceiver

AT = datetime(2020, 1, 1, tzinfo=UTC)
DEEP: Any = "x"
for _ in range(60):
    DEEP = {"a": DEEP}

ODD_FIELDS: list[Document] = [
    {"associations": {"a": {"_id": 5, "type": [1]}}},
    {"associations": {"a": {"type": "picture", "guid": {"x": 1}}}},
    {"associations": {"a": {"type": {"b": 1}, "_id": {"x": 1}}}},
    {"associations": {"a": {"_id": ["x"], "renditions": 5}}},
    {"associations": {"a": {"_id": "x", "type": "picture", "renditions": {"original": 5}}}},
    {"associations": {"a": {"associations": "x", "subject": [None]}}},
    {"associations": {"a--1": {"_id": {"b": 1}}}},
    {"associations": [None]},
    {"associations": "x"},
    {"associations": {"a": None, "b": 5, "c": []}},
    {"item_id": None},
    {"item_id": 5},
    {"item_id": ["x"]},
    {"item_id": {"a": 1}},
    {"item_id": ""},
    {"item_id": "there is none"},
    {"rewrite_of": 5},
    {"rewrite_of": {"a": 1}},
    {"rewrite_of": ["x"]},
    {"type": None},
    {"type": 5},
    {"type": ["text"]},
    {"type": {"a": 1}},
    {"type": "composite", "groups": None},
    {"type": "composite", "groups": 5},
    {"type": "composite", "groups": [None, 5, "x"]},
    {"type": "composite", "groups": [{"id": "root", "refs": [None, {"residRef": 5}]}]},
    {"type": "composite", "groups": [{"id": {"a": 1}, "refs": [{"residRef": {"a": 1}}]}]},
    {"type": "composite", "groups": [{"refs": [{"residRef": "x", "_current_version": "two"}]}]},
    {"type": "composite", "groups": {"id": "root"}},
    {"operation": None},
    {"operation": 5},
    {"operation": ["publish"]},
    {"operation": {"a": 1}},
    {"state": None},
    {"state": ["published"]},
    {"state": {"a": 1}},
    {"state": "scheduled", "schedule_settings": "x"},
    {"state": "scheduled", "schedule_settings": {"utc_publish_schedule": AT}},
    {"state": "scheduled", "schedule_settings": {"utc_publish_schedule": "tomorrow"}},
    {"publish_sequence_no": "x"},
    {"publish_sequence_no": "12"},
    {"publish_sequence_no": None},
    {"publish_sequence_no": [1]},
    {"publish_sequence_no": {"a": 1}},
    {"publish_sequence_no": float("nan")},
    {"publish_sequence_no": float("inf")},
    {"publish_sequence_no": -(2**63)},
    {"publish_sequence_no": Decimal128("1")},
    {"_current_version": "x"},
    {"_current_version": None},
    {"_current_version": [1]},
    {"_current_version": 2**62},
    {"queue_attempts": "x"},
    {"queue_attempts": {"a": 1}},
    {"queue_attempts": 2**63 - 1},
    {"queue_retry_at": "x"},
    {"target_subscribers": [None]},
    {"target_subscribers": [5]},
    {"target_subscribers": "x"},
    {"target_subscribers": [{"_id": [1]}]},
    {"target_regions": [None, 5]},
    {"target_regions": {"a": 1}},
    {"target_types": [{"qcode": {"a": 1}, "allow": "x"}]},
    {"target_types": 5},
    {"subject": [None, 5, "x", [1]]},
    {"subject": {"a": 1}},
    {"subject": [{"qcode": {"a": 1}, "scheme": [1]}]},
    {"anpa_category": [None]},
    {"anpa_category": "x"},
    {"genre": [5]},
    {"place": [None, {"qcode": None}]},
    {"place": "x"},
    {"keywords": [None, 5, {"a": 1}]},
    {"keywords": 5},
    {"authors": [None, 5, {"name": {"a": 1}, "parent": [1]}]},
    {"authors": "x"},
    {"attachments": [None, {"attachment": {"a": 1}}]},
    {"attachments": 5},
    {"renditions": [1]},
    {"renditions": {"original": None, "b": 5}},
    {"dateline": "x"},
    {"dateline": {"located": 5, "date": "x"}},
    {"profile": {"a": 1}},
    {"assignment_id": [1]},
    {"task": "x"},
    {"task": [1]},
    {"task": {"desk": {"a": 1}}},
    {"headline": {"a": 1}},
    {"headline": [None]},
    {"body_html": 5},
    {"body_html": {"a": 1}},
    {"firstcreated": "yesterday"},
    {"versioncreated": "today"},
    {"versioncreated": None},
    {"embargo": {"a": 1}},
    {"flags": "x"},
    {"flags": [1]},
    {"extra": [1]},
    {"extra": {"a": {"b": [None]}}},
    {"priority": "x", "urgency": {"a": 1}},
    {"language": {"a": 1}},
    {"source": [1]},
    {"slugline": Regex("x")},
    {"slugline": DBRef("a", 1)},
    {"company_codes": [None, 5]},
    {"sms_message": 5, "word_count": "x"},
    {"version_creator": {"a": 1}},
    {"internal_destinations": 5},
    {"published_in_package": {"a": 1}},
    {"ingest_provider": {"a": 1}},
    {"unique_name": {"a": 1}},
    {"linked_in_packages": [None]},
    {"revived": {"a": 1}},
    {"deep": DEEP},
    {"guid": None},
    {"guid": {"a": 1}},
]

ODD_IDS: list[Any] = ["text", 5, {"a": 1}, {"a": {"b": 1}}, False, AT, b"x", Decimal128("1")]

FATAL: list[Document] = [
    {"associations": "x"},
    {"type": ["text"]},
    {"operation": {"a": 1}},
    {"_current_version": "x"},
    {"target_subscribers": [{"_id": [1]}, None]},
]


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    return {**settings, "CONTENTAPI_ENABLED": True}


@pytest.fixture
def desk(desk: Newsdesk, receiver: HTTPReceiver) -> Newsdesk:
    """The desk, with subscribers whose products look at the items."""
    condition = {"_id": ObjectId(), "name": "c", "field": "headline", "operator": "like"}
    desk.db["filter_conditions"].insert_one({**condition, "value": "never"})
    expression = {"expression": {"fc": [condition["_id"]]}}
    filter_ = {"_id": ObjectId(), "name": "f", "content_filter": [expression]}
    desk.db["content_filters"].insert_one(filter_)
    blocks = {"filter_id": filter_["_id"], "filter_type": "blocking"}
    product = desk.newsroom.product("p", content_filter=blocks)
    desk.newsroom.subscriber("s", push(receiver.url), products=[product], api_products=[product])
    other = desk.client.create("desks", {"name": "Other"})
    destination = {"name": "i", "desk": ObjectId(other["_id"]), "send_after_schedule": False}
    desk.db["internal_destinations"].insert_one({**destination, "is_active": True})
    return desk


def spoil(desk: Newsdesk, item: Document, broken: Document) -> Any:
    """Write `broken` into the pending row of an item; return the id of the row."""
    row = desk.db["published"].find_one({"item_id": item["_id"], "queue_state": "pending"})
    desk.db["published"].update_one({"_id": row["_id"]}, {"$set": broken})
    return row["_id"]


def with_id(desk: Newsdesk, item: Document, row_id: Any) -> None:
    """Let the row of an item have another id."""
    row = desk.db["published"].find_one_and_delete({"item_id": item["_id"]})
    desk.db["published"].insert_one({**row, "_id": row_id})


def goes_on(desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, item: Document) -> None:
    """Route: the innocent item is delivered in the same run; then its kill, in one run."""
    graph.enqueue.run()
    graph.transmit.run()
    assert told(receiver, item) == ["usable"]
    desk.act("kill", item)
    graph.enqueue.run()
    graph.transmit.run()
    assert told(receiver, item) == ["usable", "canceled"]


def told(receiver: HTTPReceiver, item: Document) -> list[str]:
    bodies = [request.json() for request in receiver.requests]
    return [body["pubstatus"] for body in bodies if body["guid"] == item["_id"]]


def state(desk: Newsdesk, row_id: Any) -> tuple[str, str | None]:
    row = desk.db["published"].find_one({"_id": row_id})
    return row["queue_state"], row.get("error_message")


def groups_of(count: int, chaos: bool = False) -> list[Any]:
    """Return the shapes in groups of `count`, as parameters of a test."""
    marks = [pytest.mark.chaos] if chaos else []
    groups = (ODD_FIELDS[start : start + count] for start in range(0, len(ODD_FIELDS), count))
    return [pytest.param(group, id=repr(group)[:60], marks=marks) for group in groups]


class TestShapes:
    @pytest.mark.parametrize("shapes", [*groups_of(12), *groups_of(1, chaos=True)])
    def test_hold_up_nobody(
        self,
        desk: Newsdesk,
        graph: Graph,
        clock: HandClock,
        receiver: HTTPReceiver,
        shapes: list[Document],
    ) -> None:
        """Published before the innocent item, and claimed with it; each ends within three runs."""
        rows = [spoil(desk, desk.published(headline="Guilty"), broken) for broken in shapes]
        innocent = desk.published()

        goes_on(desk, graph, receiver, innocent)

        for _ in range(2):
            clock.advance(minutes=1)
            graph.enqueue.run()
        for row_id, broken in zip(rows, shapes, strict=True):
            queue_state, message = state(desk, row_id)
            waits = broken.get("state") == "scheduled" or isinstance(broken.get("state"), list)
            if not waits:
                assert queue_state in ("queued", "queued_not_transmitted", "error"), broken
            assert (queue_state == "error") == bool(message), broken

    @pytest.mark.parametrize("row_id", ODD_IDS, ids=repr)
    def test_of_ids_hold_up_nobody(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, row_id: Any
    ) -> None:
        guilty, innocent = desk.published(headline="Guilty"), desk.published()
        with_id(desk, guilty, row_id)

        goes_on(desk, graph, receiver, innocent)

    def test_of_all_kinds_at_once_hold_up_nobody(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver
    ) -> None:
        like = desk.published(headline="Guilty")
        row = desk.db["published"].find_one({"item_id": like["_id"]})
        items = [{"_id": f"guilty-{number}"} for number in range(len(ODD_FIELDS))]
        desk.db["archive"].insert_many(items)
        desk.db["published"].insert_many(
            {**row, "_id": ObjectId(), "item_id": item["_id"], **broken}
            for item, broken in zip(items, ODD_FIELDS, strict=True)
        )
        innocent = desk.published()

        goes_on(desk, graph, receiver, innocent)


class TestTheRowItself:
    @pytest.mark.parametrize("broken", FATAL, ids=repr)
    def test_ends_in_error_after_three_runs(
        self, desk: Newsdesk, graph: Graph, clock: HandClock, broken: Document
    ) -> None:
        row_id = spoil(desk, desk.published(), broken)
        states = []
        for _ in range(3):
            graph.enqueue.run()
            states.append(state(desk, row_id)[0])
            clock.advance(minutes=1)

        assert states in (["pending", "pending", "error"], ["error"] * 3)
        assert state(desk, row_id)[1]
        assert desk.db["activity"].count_documents({"name": "error", "resource": "published"}) == 1

    @pytest.mark.parametrize(
        ("item_id", "message"),
        [
            (None, "400: The row names no item"),
            ("gone", "404: Item gone does not exist"),
        ],
    )
    def test_without_an_item_ends_in_error_at_once(
        self, desk: Newsdesk, graph: Graph, item_id: Any, message: str
    ) -> None:
        row_id = spoil(desk, desk.published(), {"item_id": item_id})

        graph.enqueue.run()

        assert (state(desk, row_id), desk.rows()) == (("error", message), [])


class TestOrder:
    def test_later_versions_of_the_item_wait_until_it_ends_in_error(
        self, desk: Newsdesk, graph: Graph, clock: HandClock, receiver: HTTPReceiver
    ) -> None:
        """Its kill goes out then, to whom the version was meant for; others wait for nothing."""
        guilty, innocent = desk.published(headline="Guilty"), desk.published()
        spoil(desk, guilty, {"associations": "x"})
        desk.act("kill", guilty)

        waited = []
        for _ in range(4):
            graph.enqueue.run()
            graph.transmit.run()
            waited.append(told(receiver, guilty))
            clock.advance(minutes=1)

        assert told(receiver, innocent) == ["usable"]
        assert waited == [[], [], ["canceled"], ["canceled"]]
        assert desk.queue_states(guilty) == ["error", "queued"]

    def test_withdrawals_go_first_where_a_batch_fails(
        self, desk: Newsdesk, graph: Graph, settings: dict[str, Any]
    ) -> None:
        """Each after the versions before it, and before all else that was published earlier."""
        others = [desk.published(headline=f"Other {number}") for number in range(6)]
        killed = desk.published(headline="Killed")
        spoil(desk, others[3], {"associations": {"a": {"_id": 5, "type": [1]}}})
        desk.act("kill", killed)

        graph.enqueue.run()

        rows = [
            (row["item_id"], row["publishing_action"])
            for row in desk.rows()
            if row["destination"]["delivery_type"] == "http_push"
        ]
        assert rows[:2] == [(killed["_id"], "published"), (killed["_id"], "killed")]
        rest = [other["_id"] for other in others if other != others[3]]
        assert sorted(rows[2:]) == sorted((item, "published") for item in rest)

    def test_rows_that_wait_hide_none_behind_them(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, settings: dict[str, Any]
    ) -> None:
        """More versions wait for one that is tried again than a batch holds."""
        guilty = desk.published(headline="Guilty")
        later = datetime(2031, 1, 1, tzinfo=UTC)
        spoil(desk, guilty, {"queue_retry_at": later})
        row = desk.db["published"].find_one({"item_id": guilty["_id"]})
        waiting = {"operation": "correct", "queue_retry_at": None}
        desk.db["published"].insert_many(
            {**row, **waiting, "_id": ObjectId(), "publish_sequence_no": number}
            for number in range(1000, 1000 + settings["ENQUEUE_BATCH_SIZE"])
        )
        innocent = desk.published()
        last = {"item_id": innocent["_id"]}
        desk.db["published"].update_one(last, {"$set": {"publish_sequence_no": 5000}})

        goes_on(desk, graph, receiver, innocent)

        assert told(receiver, guilty) == []

"""Documents of all kinds that cannot be read keep no innocent item from being delivered."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId
from pymongo.errors import WriteError

from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.newsdesk import HandClock, Newsdesk, goes_on
from tests.support.newsroom import push
from tests.support.receivers import HTTPReceiver

AT = datetime(2020, 1, 1, tzinfo=UTC)
JUNK: list[Any] = [None, 5, "x", True, [None, 5], {"a": {"b": 1}}, AT, -1.5]

COLLECTIONS: dict[str, list[str]] = {
    "vocabularies": ["items", "field_type", "type", "_updated", "schema"],
    "subscribers": [
        *("subscriber_type", "destinations", "codes", "products", "api_products", "_updated"),
        *("global_filters", "sequence_num_settings", "last_closed", "priority", "email"),
    ],
    "products": ["codes", "content_filter", "geo_restrictions", "product_type", "_updated"],
    "content_filters": ["content_filter", "is_global", "is_archived_filter", "api_block"],
    "filter_conditions": ["field", "operator", "value", "_updated"],
    "content_types": ["schema", "editor", "label", "enabled"],
    "users": ["user_type", "is_active", "email", "user_preferences", "display_name", "sign_off"],
    "desks": ["incoming_stage", "members", "content_expiry", "preserve_published_content"],
    "stages": ["desk", "content_expiry", "is_visible"],
    "internal_destinations": ["desk", "stage", "filter", "macro", "send_after_schedule", "name"],
    "resends": ["row_id", "item_id", "subscribers", "attempts", "follow_ups", "state"],
    "mails": ["to", "subject", "text", "attempts", "state"],
    "content_api_backlog": ["item_id", "version", "document", "subscribers", "attempts"],
    "recipients": ["subscribers", "receivers", "delivered"],
    "activity": ["recipients", "item", "data"],
    "archived": ["item_id", "_current_version", "groups"],
    "validators": ["act", "type", "schema"],
}
"""Collections, and fields of theirs that are read on the way to receivers."""

GOOD: dict[str, Document] = {
    "subscribers": {"is_active": True, "subscriber_type": "all", "destinations": []},
    "products": {"product_type": "both"},
    "internal_destinations": {"is_active": True, "desk": ObjectId()},
    "resends": {"state": "pending", "due_at": AT, "attempts": 0, "row_id": ObjectId()},
    "mails": {"state": "waiting", "due_at": AT, "attempts": 0, "to": ["a@example.com"]},
    "content_api_backlog": {
        **{"due_at": AT, "item_id": "x", "version": 1, "attempts": 0},
        **{"document": {"_id": "x"}, "subscribers": []},
    },
    "content_filters": {"is_global": True},
    "users": {"user_type": "administrator", "is_active": True},
}
"""What the other fields hold, where these have to lead to the one that is broken."""

UNIQUE = {
    **dict.fromkeys(("subscribers", "products", "content_filters", "filter_conditions"), "name"),
    **dict.fromkeys(("desks", "stages", "internal_destinations"), "name"),
    **{"users": "username", "content_types": "label", "archived": "archived_id"},
}


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    return {**settings, "CONTENTAPI_ENABLED": True, "MAIL_SERVER": "127.0.0.1", "MAIL_PORT": 9}


@pytest.fixture
def desk(desk: Newsdesk, receiver: HTTPReceiver) -> Newsdesk:
    """The desk, with one subscriber that takes everything."""
    desk.newsroom.subscriber("innocent", push(receiver.url), sequence_num_settings={})
    return desk


def malformed(collection: str) -> list[Document]:
    """Return documents of a collection with each of the fields broken in each way."""
    documents = []
    for field in COLLECTIONS[collection]:
        for junk in JUNK:
            name = f"{field} {junk!r}"
            document = {"_id": ObjectId(), **GOOD.get(collection, {}), field: junk}
            if collection in ("vocabularies", "validators", "recipients", "content_api_backlog"):
                document["_id"] = name
            if (unique := UNIQUE.get(collection)) and unique != field:
                document[unique] = name
            documents.append(document)
    return documents


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_keep_nothing_from_going_out(
    desk: Newsdesk, graph: Graph, clock: HandClock, receiver: HTTPReceiver, collection: str
) -> None:
    """With every field of theirs broken in every way, all at once."""
    for document in malformed(collection):
        with suppress(WriteError):  # an index refuses some of them
            desk.db[collection].insert_one(document)
    clock.advance(seconds=10)

    goes_on(desk, graph, receiver, headline="Innocent")


def test_mails_that_cannot_be_written_fail(desk: Newsdesk, graph: Graph) -> None:
    desk.db["mails"].insert_many(malformed("mails"))

    graph.outbox.run()

    assert desk.db["mails"].count_documents({"to": None, "state": "failed"}) > 0
    assert desk.db["mails"].count_documents({"to": None, "state": "waiting"}) == 0


def test_resends_that_cannot_be_carried_out_end_in_error(
    desk: Newsdesk, graph: Graph, clock: HandClock
) -> None:
    """Behind them others are carried out."""
    item = desk.published()
    graph.enqueue.run()
    desk.db["resends"].insert_many(malformed("resends"))
    row = desk.db["published"].find_one({"item_id": item["_id"]})
    subscriber = desk.db["subscribers"].find_one({"name": "innocent"})
    good = {"item_id": item["_id"], "row_id": row["_id"], "subscribers": [subscriber["_id"]]}
    request = {"_id": ObjectId(), **GOOD["resends"], **good, "due_at": clock.precise()}
    desk.db["resends"].insert_one(request)

    graph.enqueue.run()

    assert desk.db["resends"].find_one({"_id": request["_id"]}) is None
    assert len(desk.rows(resend_id=request["_id"])) == 1


@pytest.mark.parametrize(
    "broken",
    [
        {"dateline": "x"},
        {"dateline": {"located": 5}},
        {"dateline": {"located": {"city": {"a": 1}, "tz": [1]}}},
        {"slugline": {"a": 1}},
        {"slugline": 5},
        {"place": "x"},
        {"place": [None]},
        {"place": [5, {"qcode": {"a": 1}}]},
        {"linked_in_packages": "x"},
        {"linked_in_packages": [None, 5]},
        {"versioncreated": "x"},
        {"sign_off": {"a": 1}},
        {"marked_for_user": {"a": 1}},
        {"associations": {"a": None, "b": {"_id": 5}}},
        {"flags": "x"},
        {"rewritten_by": {"a": 1}},
        {"unique_name": 5},
        {"genre": "x"},
        {"expiry": "x"},
        {"publish_schedule": "x"},
        {"embargo": "x"},
        {"schedule_settings": "x"},
        {"fields_meta": "x"},
        {"extra": "x"},
        {"profile": {"a": 1}},
        {"_current_version": "2"},
        {"source": {"a": 1}},
    ],
    ids=repr,
)
def test_a_kill_is_made_of_what_is_broken_itself(
    desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, broken: Document
) -> None:
    """What a stored item holds beside its text keeps nobody from killing it."""
    item = desk.published()
    graph.enqueue.run()
    desk.db["archive"].update_one({"_id": item["_id"]}, {"$set": broken})

    answer = desk.client.patch(f"archive/kill/{item['_id']}", {})

    assert answer.status_code == 200, answer.text
    graph.enqueue.run()
    graph.transmit.run()
    told = [r.json() for r in receiver.requests]
    assert [body["pubstatus"] for body in told] == ["canceled"]

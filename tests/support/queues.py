"""Delivery queues of any length for tests, written as routing writes them."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from apps.core import json
from apps.core.clock import Clock
from apps.core.service import Document
from apps.graph.build import Graph
from apps.lanes.waking import wake
from apps.publish.queue.rows import RowKey, lanes_of, new_row
from apps.routing.subscribers.stored_destinations import lane_id
from tests.support.processes import wait_until


def counts(usual: int, campaign: int) -> list[Any]:
    """Return how many rows there are, as parameters of a test: in usual runs, and in campaigns."""
    return [usual, pytest.param(campaign, marks=pytest.mark.chaos)]


def fill(
    db: Any,
    subscriber: ObjectId,
    destination: Document,
    now: datetime,
    *,
    items: int,
    versions: int = 1,
    **fields: Any,
) -> list[Document]:
    """Queue `versions` of `items` for one destination: all first versions, then all second ones."""
    written = [
        _row(subscriber, destination, now, f"item-{number:04}", version, fields)
        for version in range(1, versions + 1)
        for number in range(items)
    ]
    first = db["publish_queue"].count_documents({}) + 1
    for place, row in enumerate(written, start=first):
        row["order_no"] = row["published_seq_num"] = place
    counter = {"$set": {"sequence_number": first + len(written)}}
    db["sequences"].update_one({"key": "publish_queue_order_no"}, counter, upsert=True)
    db["publish_payloads"].insert_many([_payload(row) for row in written])
    db["publish_queue"].insert_many(written)
    wake(db["publish_lanes"], lanes_of(written), now)
    return written


def _row(
    subscriber: ObjectId,
    destination: Document,
    now: datetime,
    item: str,
    version: int,
    fields: Document,
) -> Document:
    key = RowKey(item, version, subscriber, destination["_id"], "published")
    return {
        **new_row(now),
        "item_id": item,
        "item_version": version,
        "subscriber_id": subscriber,
        "destination": {key: destination[key] for key in ("_id", "name", "delivery_type")},
        "lane": lane_id(subscriber, destination["_id"]),
        "publishing_action": "published",
        "headline": item,
        "content_type": "text",
        "priority": False,
        "payload_id": key.text,
        "idempotency_key": key.text,
        **fields,
    }


def _payload(row: Document) -> Document:
    body = {"guid": row["item_id"], "version": row["item_version"], "headline": row["headline"]}
    return {
        "_id": row["payload_id"],
        "body": json.dumps(body).decode(),
        "media_type": "application/json",
        "file_extension": "json",
    }


def publish_items(db: Any, count: int, versions: int = 1, first: int = 0) -> None:
    """Put `versions` of `count` items into `published`, unrouted.

    Args:
        first: number of the first item.
    """
    operations = ("publish", "correct", "correct")
    rows = [
        {
            "_id": ObjectId(),
            "item_id": f"item-{number:03}",
            "guid": f"item-{number:03}",
            "type": "text",
            "state": "published",
            "operation": operations[version - 1],
            "headline": f"version {version}",
            "_current_version": version,
            "queue_state": "pending",
            "publish_sequence_no": version * 1000 + number,
        }
        for version in range(1, versions + 1)
        for number in range(first, first + count)
    ]
    db["archive"].insert_many({"_id": row["item_id"], "type": "text"} for row in rows[:count])
    db["published"].insert_many(rows)


def wait_for_leases(graph: Graph) -> None:
    """Wait until nothing is leased: what dead and stopped processes held is free."""

    def are_over() -> bool:
        later = {"$gte": graph.clock.precise()}
        return not (
            graph.db["publish_lanes"].find_one({"lease_until": later})
            or graph.db["published"].find_one({"queue_lease_until": later})
        )

    wait_until(are_over, 60)


def leave_claimed(
    db: Any, clock: Clock, lease: float = 60, *, are_marked: bool = False, **which: Any
) -> None:
    """Leave rows and their lanes as a worker leaves them that dies after taking them.

    Args:
        lease: seconds.
        are_marked: the rows say so themselves, as those of earlier releases do.
        which: query of the rows; all of them unless given.
    """
    until = clock.precise() + timedelta(seconds=lease)
    held = {"lease_owner": "dead", "lease_until": until}
    for lane in db["publish_queue"].distinct("lane", which):
        change = {"$set": {**held, "wake_at": clock.precise()}, "$inc": {"claim_token": 1}}
        db["publish_lanes"].update_one({"_id": lane}, change)
        token = db["publish_lanes"].find_one({"_id": lane})["claim_token"]
        own = {**which, "lane": lane}
        if are_marked:
            claim = {**held, "state": "in-progress", "claim_token": token}
            db["publish_queue"].update_many(own, {"$set": claim})
            continue
        ids = [row["_id"] for row in db["publish_queue"].find(own, {"_id": 1})]
        ended = {"_id": {"$in": ids}, "state": {"$nin": ["pending", "retrying"]}}
        db["publish_queue"].update_many(ended, {"$set": {"state": "pending"}})
        note = {"token": token, "at": clock.precise(), "ids": ids, "pointless": []}
        db["publish_lanes"].update_one({"_id": lane}, {"$set": {"sending": note}})


def spread_over(db: Any, states: Sequence[str], now: datetime) -> dict[str, set[str]]:
    """Put all rows into `states` in turn; return the keys of the rows by state."""
    keys: dict[str, set[str]] = {state: set() for state in states}
    for number, row in enumerate(db["publish_queue"].find({}).sort("order_no", 1)):
        keys[states[number % len(states)]].add(row["idempotency_key"])
    for state, own in keys.items():
        change = {"state": state, "_updated": now}
        if state == "retrying":
            change |= {"next_retry_attempt_at": now + timedelta(minutes=1), "retry_attempt": 1}
        db["publish_queue"].update_many({"idempotency_key": {"$in": sorted(own)}}, {"$set": change})
    return keys

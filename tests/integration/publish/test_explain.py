"""Why each subscriber got a version, or did not: one fixture per reason.

Routing contract 8.10.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from structlog.testing import capture_logs

from apps.commands.explain import row_of
from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.clients import Client
from tests.support.events import Events
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.newsroom import push
from tests.support.receivers import HTTPReceiver

ROOT = Path(__file__).parent.parent.parent.parent
NOWHERE = "http://127.0.0.1:9"


Explain = Callable[..., dict[str, tuple[str, str]]]


@pytest.fixture
def explained(editor: Client) -> Explain:
    """Return outcome and reason by subscriber, as a user without privileges sees them."""

    def of(item: Document, **arguments: Any) -> dict[str, tuple[str, str]]:
        answer = editor.get(f"explain/{item['_id']}", **arguments)
        assert answer.status_code == 200, answer.text
        return {s["name"]: (s["outcome"], s["reason"]) for s in answer.get_json()["subscribers"]}

    return of


def filter_on(desk: Newsdesk, name: str, value: str, **fields: Any) -> Document:
    """Store a filter on the slugline; return a product's reference to it."""
    condition = {"field": "slugline", "operator": "eq", "value": value}
    desk.db["filter_conditions"].insert_one({"_id": name, "name": name, **condition})
    expression = [{"expression": {"fc": [name]}}]
    desk.db["content_filters"].insert_one(
        {"_id": name, "name": name, "content_filter": expression, **fields}
    )
    return {"filter_id": name, "filter_type": "permitting"}


class TestReasons:
    def test_of_a_publication(self, desk: Newsdesk, graph: Graph, explained: Explain) -> None:
        """Sent, filtered by a product, no products, inactive and no formatter are told apart."""
        newsroom = desk.newsroom
        only = newsroom.product("hills", content_filter=filter_on(desk, "about hills", "hills"))
        own = {**filter_on(desk, "about rivers", "rivers"), "filter_type": "blocking"}
        others = newsroom.product("all else", content_filter=own)
        newsroom.subscriber("Reads", push(NOWHERE))
        newsroom.subscriber("Picky", push(NOWHERE), products=[only, others])
        newsroom.subscriber("Asleep", push(NOWHERE), is_active=False)
        newsroom.subscriber("Odd", {**push(NOWHERE), "format": "morse"})
        newsroom.subscriber("Nowhere")
        item = desk.published()
        graph.enqueue.run()

        told = explained(item)

        assert ("sent", "matched product all of Reads") == told["Reads"]
        refused = "hills: filter about hills does not match; all else: filter about rivers blocks"
        assert ("no product matches", refused) == told["Picky"]
        assert ("inactive", "") == told["Asleep"]
        assert ("no formatter", "push: no formatter morse") == told["Odd"]
        assert ("no destination", "") == told["Nowhere"]

    def test_clients_are_told_of_formats_that_are_missing(
        self, desk: Newsdesk, graph: Graph, events: Events
    ) -> None:
        """One event for each item names what its recipients asked for in vain.

        Lifecycle contract 6.
        """
        morse, smoke = ({**push(NOWHERE), "format": name} for name in ("morse", "smoke"))
        desk.newsroom.subscriber("Odd", morse, smoke)
        desk.newsroom.subscriber("Odder", smoke, push(NOWHERE))
        item = desk.published()

        graph.enqueue.run()

        desk_id, user = str(item["task"]["desk"]), str(item["version_creator"])
        assert events.named("item:publish:wrong:format") == [
            {
                "item": item["_id"],
                "unique_name": item["unique_name"],
                "desk": desk_id,
                "user": user,
                "formats": ["morse", "smoke"],
            }
        ]

    def test_of_a_global_filter(self, desk: Newsdesk, graph: Graph, explained: Explain) -> None:
        """The filter is named; who overrides it gets the item."""
        filter_on(desk, "No rivers", "rivers", is_global=True)
        desk.newsroom.subscriber("Blocked", push(NOWHERE))
        desk.newsroom.subscriber("Free", push(NOWHERE), global_filters={"No rivers": False})
        item = desk.published()
        graph.enqueue.run()

        told = explained(item)

        assert ("global filter", "No rivers") == told["Blocked"]
        assert "sent" == told["Free"][0]

    def test_of_targeting(self, desk: Newsdesk, graph: Graph, explained: Explain) -> None:
        """Who is not meant is told so; who is named, that it is."""
        named = desk.newsroom.subscriber("Named", push(NOWHERE), products=[])
        desk.newsroom.subscriber("Other", push(NOWHERE))
        item = desk.published(target_subscribers=[{"_id": str(named)}])
        graph.enqueue.run()

        assert {"Named": ("sent", "targeted directly"), "Other": ("targeting", "")} == explained(
            item
        )

    def test_of_the_media_type(self, desk: Newsdesk, graph: Graph, explained: Explain) -> None:
        """Wire gets no pictures."""
        desk.newsroom.subscriber("Wire", push(NOWHERE), subscriber_type="wire")
        item = desk.published(type="picture")
        graph.enqueue.run()

        assert {"Wire": ("media type", "")} == explained(item)

    def test_of_a_correction_for_others(
        self, desk: Newsdesk, graph: Graph, explained: Explain
    ) -> None:
        """Who has the story gets its correction for that reason, whoever is named by now."""
        desk.newsroom.subscriber("Reader", push(NOWHERE))
        item = desk.published()
        graph.enqueue.run()
        named = desk.newsroom.subscriber("Named", push(NOWHERE), products=[])
        desk.newsroom.subscriber("Other", push(NOWHERE))
        desk.act("correct", item, target_subscribers=[{"_id": str(named)}])
        graph.enqueue.run()

        assert {
            "Reader": ("sent", "has the story"),
            "Named": ("sent", "targeted directly"),
            "Other": ("targeting", ""),
        } == explained(item)

    def test_of_a_kill(self, desk: Newsdesk, graph: Graph, explained: Explain) -> None:
        """A kill goes to those who have the story, whatever the rules say by now."""
        reader = desk.newsroom.subscriber("Reader", push(NOWHERE))
        item = desk.published()
        graph.enqueue.run()
        desk.newsroom.subscriber("New", push(NOWHERE))
        desk.db["subscribers"].update_one({"_id": reader}, {"$set": {"products": []}})
        desk.act("kill", item)
        graph.enqueue.run()

        assert {"Reader": ("sent", "has the story"), "New": ("not sent before", "")} == explained(
            item
        )
        assert ["Reader"] == list(explained(item, version=2))

    def test_of_a_resend(self, desk: Newsdesk, graph: Graph, explained: Explain) -> None:
        """The later decision stands beside the first one."""
        desk.newsroom.subscriber("First", push(NOWHERE))
        item = desk.published()
        graph.enqueue.run()
        late = desk.newsroom.subscriber("Late", push(NOWHERE), products=[])
        body = {"subscribers": [str(late)], "version": 2}
        assert desk.client.post(f"archive/{item['_id']}/resend", body).status_code == 201
        graph.enqueue.run()

        assert ("sent", "chosen for a resend") == explained(item)["Late"]
        assert "sent" == explained(item)["First"][0]


def test_decisions_are_those_of_their_time(
    desk: Newsdesk, graph: Graph, explained: Explain
) -> None:
    """Rules that change later change no explanation."""
    reader = desk.newsroom.subscriber("Reader", push(NOWHERE))
    item = desk.published()
    graph.enqueue.run()
    before = explained(item)

    desk.db["subscribers"].update_one({"_id": reader}, {"$set": {"is_active": False}})
    desk.db["products"].delete_many({})

    assert before == explained(item)


def test_shows_what_became_of_deliveries(desk: Newsdesk, graph: Graph, editor: Client) -> None:
    """States and errors are those of now."""
    with HTTPReceiver(answers=[400]) as receiver:
        desk.newsroom.subscriber("Strict", push(receiver.url))
        item = desk.published()
        graph.enqueue.run()
        path = f"explain/{item['_id']}"
        (before,) = editor.get(path).get_json()["subscribers"]
        graph.transmit.run()
    (after,) = editor.get(path).get_json()["subscribers"]

    (waiting,), (failed,) = before["deliveries"], after["deliveries"]
    assert ("push", "pending", None) == tuple(
        waiting[key] for key in ("destination", "state", "error_message")
    )
    assert "failed" == failed["state"]
    assert failed["error_message"]


def test_shows_which_version_everybody_has(
    desk: Newsdesk, graph: Graph, clock: HandClock, editor: Client
) -> None:
    """Routing contract R7: the last version delivered, also when the rows that said so are gone."""
    with HTTPReceiver(answers=[200, 400]) as receiver:
        desk.newsroom.subscriber("Strict", push(receiver.url))
        desk.newsroom.subscriber("Closed", push(NOWHERE))
        item = desk.published()
        graph.enqueue.run()
        graph.transmit.run()
        desk.act("correct", item)
        graph.enqueue.run()
        graph.transmit.run()

    def told() -> dict[str, tuple[Any, list[str]]]:
        answer = editor.get(f"explain/{item['_id']}").get_json()
        assert answer["version"] == 3
        return {
            s["name"]: (s["delivered_version"], [d["state"] for d in s["deliveries"]])
            for s in answer["subscribers"]
        }

    before = told()
    over = {"$set": {"state": "failed"}}
    graph.db["publish_queue"].update_many({"state": "retrying"}, over)
    graph.db["publish_queue"].update_many({}, {"$set": {"moved_to_legal": True}})
    graph.db["archive"].update_many({}, {"$set": {"expiry": None}})
    # Ids of rows are of the real time, of which the clock is ahead.
    graph.expiry.run()

    assert {"Strict": (2, ["failed"]), "Closed": (None, ["retrying"])} == before
    assert 0 == graph.db["publish_queue"].count_documents({})
    assert {"Strict": (2, []), "Closed": (None, [])} == told()
    row = row_of(graph.publishing.explain.explain(item["_id"])["subscribers"][1])
    assert ("Strict", "has version 2") == (row[0], row[-1])


def test_shows_items_that_could_not_be_routed(desk: Newsdesk, graph: Graph, editor: Client) -> None:
    """Where nothing was decided, it says why."""
    item = desk.published(target_regions=[{"a": "b"}])
    graph.enqueue.run()

    told = editor.get(f"explain/{item['_id']}").get_json()

    assert ("error", [], []) == (told["state"], told["routings"], told["subscribers"])
    assert "Key is missing" in told["error_message"]


class TestRefusals:
    def test_of_strangers(self, anonymous: Client) -> None:
        """One has to be logged in."""
        assert 401 == anonymous.get("explain/x").status_code

    @pytest.mark.parametrize(
        ("version", "status"), [("7", 404), ("x", 400), ("-1", 400), ("1.5", 400)]
    )
    def test_of_versions(self, desk: Newsdesk, editor: Client, version: str, status: int) -> None:
        """Versions that were not published, and what is no version."""
        item = desk.published()

        answer = editor.get(f"explain/{item['_id']}", version=version)

        assert status == answer.status_code

    def test_of_unknown_and_unpublished_items(self, desk: Newsdesk, editor: Client) -> None:
        """There is nothing to explain."""
        assert 404 == editor.get("explain/unknown").status_code
        assert 404 == editor.get(f"explain/{desk.story()['_id']}").status_code


def test_the_command_prints_a_table(
    desk: Newsdesk, graph: Graph, settings: dict[str, Any], tmp_path: Path
) -> None:
    """`explain` shows the same; an unknown version is a failure with a message."""
    desk.newsroom.subscriber("Reader", push(NOWHERE))
    item = desk.published()
    graph.enqueue.run()
    stores = {name: settings[name] for name in ("MONGO_URI", "MONGO_DBNAME", "REDIS_URL")}
    environment = {**os.environ, **stores, "DATA_DIR": str(tmp_path), "NO_BOOTSTRAP": "1"}

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, str(ROOT / "manage.py"), "explain", item["_id"], *arguments]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=60, check=False
        )

    done, refused = run(), run("--version", "9")

    assert 0 == done.returncode, done.stderr
    assert [item["_id"], "version", "2", "queued"] == done.stdout.splitlines()[0].split()
    assert ["Reader", "sent", "matched product all of Reader", "push pending"] in [
        re.split(r" {2,}", line) for line in done.stdout.splitlines()
    ]
    assert (1, True) == (refused.returncode, "was not published" in refused.stderr)


def test_those_that_nothing_speaks_for_share_one_record(
    desk: Newsdesk, graph: Graph, explained: Explain
) -> None:
    """Which filters refuse is recorded once for all items, as it was when they were routed."""
    newsroom = desk.newsroom
    only = newsroom.product("hills", content_filter=filter_on(desk, "about hills", "hills"))
    newsroom.subscriber("Reads", push(NOWHERE))
    north = newsroom.product("north", geo_restrictions="north")
    broken = newsroom.product("broken", content_filter=filter_on(desk, "bad", "x"))
    desk.db["filter_conditions"].update_one({"_id": "bad"}, {"$set": {"operator": "equals"}})
    gone = ObjectId("6b0000000000000000000000")
    newsroom.subscriber("Picky", push(NOWHERE), products=[only, north, broken, gone])
    newsroom.subscriber("Asleep", push(NOWHERE), is_active=False)
    item = desk.published()
    graph.enqueue.run()
    desk.db["content_filters"].update_one({"_id": "about hills"}, {"$set": {"name": "renamed"}})
    corrected = desk.act("correct", item)
    graph.enqueue.run()
    desk.act("kill", corrected)
    graph.enqueue.run()

    published, corrected_to = explained(item, version=2), explained(item, version=3)
    killed = explained(item, version=4)

    assert ("sent", "matched product all of Reads") == published["Reads"]
    refused = "hills: filter {} does not match; north: region; broken: filter bad is broken"
    refused += f"; product {gone} is gone"
    assert ("no product matches", refused.format("about hills")) == published["Picky"]
    assert ("no product matches", refused.format("renamed")) == corrected_to["Picky"]
    assert ("not sent before", "") == killed["Picky"]
    assert ("inactive", "") == published["Asleep"] == killed["Asleep"]
    (routing,) = desk.db["routing_decisions"].find({"item_version": 2})
    assert 2 == sum(len(group["subscribers"]) for group in routing["groups"])


class TestBrokenRules:
    def test_what_is_broken_is_told_once(
        self,
        desk: Newsdesk,
        graph: Graph,
        explained: Explain,
        events: Events,
    ) -> None:
        """Routing contract R15: log and activity; it takes nothing, and everything else goes on."""
        reference = filter_on(desk, "about hills", "hills")
        desk.db["filter_conditions"].update_one({}, {"$set": {"operator": "equals"}})
        broken = desk.newsroom.product("broken", content_filter=reference)
        gone = {"filter_id": "gone", "filter_type": "blocking"}
        dangling = desk.newsroom.product("dangling", content_filter=gone)
        desk.newsroom.subscriber("Broken", push(NOWHERE), products=[broken, dangling])
        all_of_it = desk.newsroom.product("all of it")
        desk.newsroom.subscriber("Half", push(NOWHERE), products=[broken, all_of_it])
        desk.newsroom.subscriber("Whole", push(NOWHERE))

        items = [desk.published(slugline="hills") for _ in range(2)]
        with capture_logs() as logs:
            graph.enqueue.run()
            items.append(desk.published(slugline="hills"))
            graph.enqueue.run()

        told = desk.client.get("activity").get_json()["_items"]
        reasons = sorted(activity["data"]["reason"] for activity in told)
        assert 2 == len(reasons)
        assert "content filter gone of product dangling is gone" == reasons[1]
        assert "equals" in reasons[0]
        assert {"content_filter:broken"} == {activity["name"] for activity in told}
        about = {(activity["resource"], activity["item"]) for activity in told}
        assert {("content_filters", "about hills"), ("products", str(dangling))} == about
        assert 2 == sum(log["event"] == "routing_rule.broken" for log in logs)
        assert 2 == len(events.named("activity"))
        for item in items:
            refused = "broken: filter about hills is broken; dangling: filter gone is gone"
            assert {
                "Broken": ("no product matches", refused),
                "Half": ("sent", "matched product all of it"),
                "Whole": ("sent", "matched product all of Whole"),
            } == explained(item)

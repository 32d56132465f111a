"""From published items to rows of the delivery queue: who gets what, once, whatever dies between.

Routing contract 8.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from bson import ObjectId

from apps.celery import create_celery
from apps.core import json
from apps.core.service import Document
from apps.graph.build import Graph, build_graph
from tests.support.events import Events
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.newsroom import push
from tests.support.processes import wait_until
from tests.support.queues import counts, fill
from tests.support.receivers import HTTPReceiver
from tests.support.routing import permitting

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def names(desk: Newsdesk) -> Callable[..., list[tuple[str, str]]]:
    """Return recipients and what they are told, sorted."""

    def of(**wanted: Any) -> list[tuple[str, str]]:
        known = {s["_id"]: s["name"] for s in desk.db["subscribers"].find({})}
        rows = desk.rows(**wanted)
        return sorted((known[row["subscriber_id"]], row["publishing_action"]) for row in rows)

    return of


Names = Callable[..., list[tuple[str, str]]]


def only_slugline(desk: Newsdesk, slugline: str) -> Document:
    return permitting(desk, "slugline", "eq", slugline)


def outbox(db: Any, like: Document, *, count: int) -> list[str]:
    """Add publications and corrections of `count` further items to `published`, as yet unrouted.

    Args:
        like: a published item to copy.

    Returns:
        The ids of the items.
    """
    row = db["published"].find_one({"item_id": like["_id"]})
    items = [f"copy-{number:03}" for number in range(count)]
    copies = [
        {
            **row,
            "_id": ObjectId(),
            "item_id": item,
            "guid": item,
            "_current_version": version,
            "operation": operation,
            "queue_state": "pending",
            "publish_sequence_no": row["publish_sequence_no"] + place,
        }
        for place, (version, operation, item) in enumerate(
            ((v, o, i) for v, o in ((2, "publish"), (3, "correct")) for i in items), start=1
        )
    ]
    db["archive"].insert_many({"_id": item, "type": "text"} for item in items)
    db["published"].insert_many(copies)
    return items


class TestPublish:
    def test_puts_codes_of_subscriber_and_products_on_the_row(
        self, desk: Newsdesk, graph: Graph
    ) -> None:
        """Codes are those of the subscriber and its matching products, each once.

        Routing scenario 25.
        """
        products = [
            desk.newsroom.product("a", codes="X,Y"),
            desk.newsroom.product("b", codes="Y, Z"),
            desk.newsroom.product(
                "c", codes="NO", content_filter=only_slugline(desk, "something else")
            ),
        ]
        desk.newsroom.subscriber("s", push(NOWHERE), products=products, codes="W,X")
        desk.published()

        graph.enqueue.run()

        assert sorted(desk.row()["codes"]) == ["W", "X", "Y", "Z"]

    def test_sends_text_to_wire_and_digital_and_pictures_to_digital(
        self, desk: Newsdesk, graph: Graph, names: Names
    ) -> None:
        """Routing scenario 26: two pending rows for a text; a picture does not go to wire."""
        desk.newsroom.subscriber("wire", push(NOWHERE), subscriber_type="wire")
        desk.newsroom.subscriber("digital", push(NOWHERE), subscriber_type="digital")
        text, picture = desk.published(), desk.published(type="picture")

        assert graph.enqueue.run() == 2

        assert names(item_id=text["_id"]) == [("digital", "published"), ("wire", "published")]
        assert names(item_id=picture["_id"]) == [("digital", "published")]
        assert {row["state"] for row in desk.rows()} == {"pending"}

    def test_an_item_for_nobody_is_done_without_rows(self, desk: Newsdesk, graph: Graph) -> None:
        """Routing scenario 37: without a matching subscriber it ends `queued_not_transmitted`."""
        desk.newsroom.subscriber("s", push(NOWHERE), products=[])
        item = desk.published()

        graph.enqueue.run()

        assert (desk.queue_states(item), desk.rows()) == (["queued_not_transmitted"], [])

    def test_an_update_goes_to_those_who_have_the_story(
        self, desk: Newsdesk, graph: Graph, names: Names
    ) -> None:
        """Recipients of the original get the rewrite; its rewrite those of both.

        Routing scenario 32.
        """

        def rewritten(item: Document, slugline: str) -> Document:
            update = desk.client.create(f"archive/{item['_id']}/rewrite", {})
            change = {"slugline": slugline}
            assert desk.client.patch(f"archive/{update['_id']}", change).status_code == 200
            return desk.act("publish", update)

        desk.newsroom.subscriber("all", push(NOWHERE))
        product = desk.newsroom.product("r", content_filter=only_slugline(desk, "rivers"))
        desk.newsroom.subscriber("w", push(NOWHERE), products=[product], subscriber_type="wire")
        desk.newsroom.subscriber("d", push(NOWHERE), products=[product], subscriber_type="digital")
        late = desk.newsroom.product("f", content_filter=only_slugline(desk, "floods"))
        desk.newsroom.subscriber("f", push(NOWHERE), products=[late], subscriber_type="wire")
        story = desk.published()
        update = rewritten(story, "floods")
        second = rewritten(update, "storms")

        graph.enqueue.run()

        got = [[name for name, _ in names(item_id=i["_id"])] for i in (story, update, second)]
        assert got == [["all", "d", "w"], ["all", "d", "f", "w"], ["all", "d", "f", "w"]]
        assert {row["publishing_action"] for row in desk.rows()} == {"published"}

    def test_targets_that_cannot_be_read_stop_the_item_until_it_is_mended(
        self, desk: Newsdesk, graph: Graph
    ) -> None:
        """A target without its key ends in `error`; set to pending it goes again.

        Routing scenario 38.
        """
        desk.newsroom.subscriber("s", push(NOWHERE))
        item = desk.published()
        broken = {"$set": {"target_regions": [{"a": "b"}]}}
        desk.db["published"].update_one({"item_id": item["_id"]}, broken)

        graph.enqueue.run()

        stored = desk.db["published"].find_one({"item_id": item["_id"]})
        assert (stored["queue_state"], desk.rows()) == ("error", [])
        expected = "400: Key is missing on article to be published: 'qcode'"
        assert expected == stored["error_message"]
        mended = {"target_regions": [], "queue_state": "pending"}
        desk.db["published"].update_one({"_id": stored["_id"]}, {"$set": mended})
        graph.enqueue.run()
        assert (desk.queue_states(item), len(desk.rows())) == (["queued"], 1)


class TestFollowers:
    def test_a_correction_goes_to_those_who_have_the_story_and_who_match_now(
        self, desk: Newsdesk, graph: Graph, names: Names
    ) -> None:
        """Routing scenario 28: earlier recipients whatever their product says, and new matches."""
        once = desk.newsroom.product("once", content_filter=only_slugline(desk, "rivers"))
        desk.newsroom.subscriber("before", push(NOWHERE), products=[once])
        item = desk.published()
        graph.enqueue.run()
        desk.newsroom.subscriber("after", push(NOWHERE))

        desk.act("correct", item, slugline="floods")
        graph.enqueue.run()

        assert names(item_version=3) == [("after", "corrected"), ("before", "corrected")]

    def test_a_correction_keeps_those_who_were_targeted_before(
        self, desk: Newsdesk, graph: Graph, names: Names
    ) -> None:
        """Routing scenario 29: s1, s4, s5 were targeted, now s2 is: all four get the correction."""
        ids = {n: desk.newsroom.subscriber(n, push(NOWHERE)) for n in ("s1", "s2", "s4", "s5")}

        def aimed_at(*wanted: str) -> list[Document]:
            return [{"_id": str(ids[name]), "name": name} for name in wanted]

        item = desk.published(target_subscribers=aimed_at("s1", "s4", "s5"))
        graph.enqueue.run()
        desk.act("correct", item, target_subscribers=aimed_at("s2"))
        graph.enqueue.run()

        assert names(item_version=2) == [(n, "published") for n in ("s1", "s4", "s5")]
        assert names(item_version=3) == [(n, "corrected") for n in ("s1", "s2", "s4", "s5")]

    @pytest.mark.parametrize(
        ("operation", "action"),
        [("kill", "killed"), ("takedown", "recalled"), ("unpublish", "unpublished")],
    )
    def test_a_withdrawal_goes_to_those_who_have_the_story(
        self, desk: Newsdesk, graph: Graph, names: Names, operation: str, action: str
    ) -> None:
        """Each under its own operation; a subscriber deactivated meanwhile gets none.

        Routing scenario 30.
        """
        product = desk.newsroom.product("r", content_filter=only_slugline(desk, "rivers"))
        desk.newsroom.subscriber("has it", push(NOWHERE), products=[product])
        desk.newsroom.subscriber("left", push(NOWHERE))
        item = desk.published()
        graph.enqueue.run()
        desk.newsroom.subscriber("never had it", push(NOWHERE))
        desk.db["subscribers"].update_one({"name": "left"}, {"$set": {"is_active": False}})
        desk.db["products"].delete_one({"_id": product})

        desk.act(operation, item)
        graph.enqueue.run()

        assert names(item_version=3) == [("has it", action)]
        assert desk.row(item_version=3)["priority"] is True

    @pytest.mark.parametrize(("fallback", "expected"), [(True, ["s"]), (False, [])])
    def test_a_withdrawal_that_nobody_is_on_record_for(
        self,
        desk: Newsdesk,
        settings: dict[str, Any],
        names: Names,
        fallback: bool,
        expected: list[str],
    ) -> None:
        """Routing scenario 31: it goes to those who match, where the setting says so."""
        item = desk.published()
        own = build_graph(
            {**settings, "UNPUBLISH_TO_MATCHING_SUBSCRIBERS": fallback}, clock=HandClock()
        )
        own.enqueue.run()
        desk.newsroom.subscriber("s", push(NOWHERE))

        desk.act("unpublish", item)
        own.enqueue.run()
        own.close()

        assert names() == [(name, "unpublished") for name in expected]

    def test_recipients_are_known_when_the_queue_is_purged(
        self, desk: Newsdesk, graph: Graph, names: Names
    ) -> None:
        """The ledger outlives the rows; the kill finds those who have the story.

        Routing contract R7.
        """
        product = desk.newsroom.product("r", content_filter=only_slugline(desk, "rivers"))
        desk.newsroom.subscriber("s", push(NOWHERE), products=[product])
        item = desk.published()
        graph.enqueue.run()
        desk.db["publish_queue"].delete_many({})

        desk.act("kill", item, slugline="changed")
        graph.enqueue.run()

        assert names() == [("s", "killed")]

    def test_recipients_are_found_in_rows_that_others_wrote(
        self, desk: Newsdesk, graph: Graph, names: Names
    ) -> None:
        """Routing contract R7: without a ledger the rows of the queue say who has the story."""
        product = desk.newsroom.product("r", content_filter=only_slugline(desk, "rivers"))
        desk.newsroom.subscriber("s", push(NOWHERE), products=[product])
        item = desk.published()
        graph.enqueue.run()
        desk.db["recipients"].delete_many({})

        desk.act("kill", item, slugline="changed")
        graph.enqueue.run()

        assert names(item_version=3) == [("s", "killed")]

    def test_everything_at_once_is_routed_in_order(
        self, desk: Newsdesk, graph: Graph, names: Names
    ) -> None:
        """Publish, correct and kill of one run: the kill finds the recipients of the first.

        Routing contract R3.
        """
        product = desk.newsroom.product("r", content_filter=only_slugline(desk, "rivers"))
        desk.newsroom.subscriber("s", push(NOWHERE), products=[product])
        item = desk.published()
        desk.act("correct", item, slugline="other")
        desk.act("kill", item)

        assert graph.enqueue.run() == 3

        assert [(row["publishing_action"], row["state"]) for row in desk.rows()] == [
            ("published", "canceled"),
            ("corrected", "canceled"),
            ("killed", "pending"),
        ]


class TestFailedVersions:
    """A version in `error` blocks none, but those it was meant for count.

    Routing contract 12, order.
    """

    def fails(self, desk: Newsdesk, item: Document) -> None:
        """Let the newest version of an item end in `error`."""
        newest = {"item_id": item["_id"], "last_published_version": True}
        failed = {"queue_state": "error", "error_message": "500: out of ink"}
        desk.db["published"].update_one(newest, {"$set": failed})

    def test_the_next_correction_goes_to_those_it_was_meant_for(
        self, desk: Newsdesk, graph: Graph, names: Names
    ) -> None:
        """s1 has the story, the correction that failed was for s2, the next one is for s3."""
        ids = {n: desk.newsroom.subscriber(n, push(NOWHERE)) for n in ("s1", "s2", "s3", "s4")}
        targets = {n: [{"_id": str(id_), "name": n}] for n, id_ in ids.items()}
        item = desk.published(target_subscribers=targets["s1"])
        graph.enqueue.run()
        self.fails(desk, desk.act("correct", item, target_subscribers=targets["s2"]))

        desk.act("correct", item, target_subscribers=targets["s3"])
        graph.enqueue.run()

        assert [name for name, _ in names(item_version=4)] == ["s1", "s2", "s3"]
        assert names(item_version=3) == []
        explained = desk.client.get(f"explain/{item['_id']}").get_json()["subscribers"]
        reasons = {s["name"]: s["reason"] for s in explained if s["outcome"] == "sent"}
        assert reasons["s2"] == "an earlier version was meant for it"

    @pytest.mark.parametrize("fallback", [True, False])
    def test_a_kill_goes_to_them_where_it_may_go_to_others_than_recipients(
        self, desk: Newsdesk, settings: dict[str, Any], names: Names, fallback: bool
    ) -> None:
        """Whatever matches by now; UNPUBLISH_TO_MATCHING_SUBSCRIBERS off, nobody is told."""
        product = desk.newsroom.product("r", content_filter=only_slugline(desk, "rivers"))
        desk.newsroom.subscriber("s", push(NOWHERE), products=[product])
        item = desk.published()
        self.fails(desk, item)
        desk.act("kill", item, slugline="other")
        setting = {"UNPUBLISH_TO_MATCHING_SUBSCRIBERS": fallback}

        own = build_graph({**settings, **setting}, clock=HandClock())
        own.enqueue.run()
        own.close()

        assert names() == ([("s", "killed")] if fallback else [])

    def test_so_does_an_update(self, desk: Newsdesk, graph: Graph, names: Names) -> None:
        """It follows the story, which never went out."""
        product = desk.newsroom.product("r", content_filter=only_slugline(desk, "rivers"))
        desk.newsroom.subscriber("s", push(NOWHERE), products=[product])
        story = desk.published()
        self.fails(desk, story)
        desk.published(slugline="floods", rewrite_of=story["_id"])

        graph.enqueue.run()

        assert names() == [("s", "published")]

    def test_targets_that_nobody_can_read_hold_up_nothing(
        self, desk: Newsdesk, graph: Graph, names: Names
    ) -> None:
        """In one run: the publication ends in `error`, the mended correction goes out."""
        desk.newsroom.subscriber("s", push(NOWHERE))
        item = desk.published(target_regions=[{"a": "b"}])
        desk.act("correct", item, target_regions=[])

        graph.enqueue.run()

        assert desk.queue_states(item) == ["error", "queued"]
        assert names() == [("s", "corrected")]


class TestScheduled:
    def test_goes_out_when_its_hour_comes(
        self, desk: Newsdesk, graph: Graph, clock: HandClock
    ) -> None:
        """Routing scenario 34: no rows before; then published, one version more, rows, `queued`."""
        desk.newsroom.subscriber("s", push(NOWHERE))
        item = desk.published(publish_schedule=None)
        later = desk.story()
        desk.act("publish", later, publish_schedule="2030-01-01T13:00:00+0000")

        early = graph.enqueue.run()
        clock.advance(minutes=59)
        graph.enqueue.run()
        before = desk.rows(item_id=later["_id"])
        clock.advance(minutes=1)
        graph.enqueue.run()

        assert (early, before, desk.queue_states(later)) == (1, [], ["queued"])
        stored = desk.client.get(f"archive/{later['_id']}").get_json()
        assert (stored["state"], stored["_current_version"]) == ("published", 3)
        where = {"where": json.dumps({"item_id": later["_id"]}).decode()}
        (out,) = desk.client.get("published", **where).get_json()["_items"]
        told = (out["state"], out["_current_version"], out["queue_state"])
        assert told == ("published", 3, "queued")
        row = desk.row(item_id=later["_id"])
        assert (row["item_version"], row["publishing_action"]) == (3, "published")
        versions = desk.client.get(f"archive/{later['_id']}", version="all").get_json()["_items"]
        assert [v["_current_version"] for v in versions] == [1, 2, 3]
        assert item["state"] == "published"

    def test_a_kill_before_its_hour_leaves_nothing(
        self, desk: Newsdesk, graph: Graph, clock: HandClock
    ) -> None:
        """Routing scenario 45: nobody had it, so nobody is told, and nothing comes out in time."""
        desk.newsroom.subscriber("s", push(NOWHERE))
        item = desk.story()
        desk.act("publish", item, publish_schedule="2030-01-01T13:00:00+0000")
        desk.act("kill", item)

        graph.enqueue.run()
        clock.advance(hours=2)
        graph.enqueue.run()

        assert (desk.rows(), desk.queue_states(item)) == ([], ["queued_not_transmitted"] * 2)
        assert desk.client.get(f"archive/{item['_id']}").get_json()["state"] == "killed"

    def test_its_etag_changes_with_its_state(
        self, desk: Newsdesk, graph: Graph, clock: HandClock
    ) -> None:
        """Who has read it as scheduled cannot act on it as if it were not out yet.

        Routing contract R17.
        """
        item = desk.story()
        scheduled = desk.act("publish", item, publish_schedule="2030-01-01T13:00:00+0000")
        clock.advance(hours=1)
        graph.enqueue.run()

        stale = desk.client.patch(f"archive/kill/{item['_id']}", {}, etag=scheduled["_etag"])

        assert stale.status_code == 412
        killed = desk.act("kill", item)
        assert killed["_current_version"] == 4


class TestOnce:
    def test_a_second_run_finds_nothing(self, desk: Newsdesk, graph: Graph) -> None:
        """What has been routed is not routed again."""
        desk.newsroom.subscriber("s", push(NOWHERE))
        desk.published()

        assert (graph.enqueue.run(), graph.enqueue.run(), len(desk.rows())) == (1, 0, 1)

    def test_routing_twice_writes_every_row_once(self, desk: Newsdesk, graph: Graph) -> None:
        """After a crash behind half of the rows each destination has one row.

        Routing scenario 42.
        """
        for name in ("s1", "s2", "s3"):
            desk.newsroom.subscriber(
                name, push(NOWHERE), {**push(NOWHERE), "_id": "second", "name": "second"}
            )
        item = desk.published()
        graph.enqueue.run()
        whole = desk.rows()
        kept = [row["_id"] for row in whole[::2]]
        desk.db["publish_queue"].delete_many({"_id": {"$nin": kept}})
        again = {"$set": {"queue_state": "pending"}}
        desk.db["published"].update_one({"item_id": item["_id"]}, again)

        graph.enqueue.run()

        rows = desk.rows()
        assert sorted(r["idempotency_key"] for r in rows) == sorted(
            r["idempotency_key"] for r in whole
        )
        assert set(kept) < {row["_id"] for row in rows}
        assert len({row["order_no"] for row in rows}) == 6

    def test_takes_over_what_a_dead_run_held(
        self, desk: Newsdesk, graph: Graph, clock: HandClock
    ) -> None:
        """Routing scenario 43: killed in `in_progress`: after the lease another run finishes it."""
        desk.newsroom.subscriber("s", push(NOWHERE))
        item = desk.published()
        claim = {
            "queue_state": "in_progress",
            "queue_owner": "dead",
            "queue_lease_until": clock.at.replace(minute=1),
            "last_queue_event": clock.at,
        }
        desk.db["published"].update_one({"item_id": item["_id"]}, {"$set": claim})

        before = graph.enqueue.run()
        clock.advance(seconds=61)

        assert (before, graph.enqueue.run(), len(desk.rows())) == (0, 1, 1)
        assert desk.queue_states(item) == ["queued"]

    def test_takes_over_what_another_program_left(
        self, desk: Newsdesk, graph: Graph, clock: HandClock
    ) -> None:
        """A row in progress without any lease comes back after one lease, too.

        Routing contract R1.
        """
        desk.newsroom.subscriber("s", push(NOWHERE))
        item = desk.published()
        left = {"queue_state": "in_progress", "last_queue_event": clock.at}
        desk.db["published"].update_one({"item_id": item["_id"]}, {"$set": left})

        before = graph.enqueue.run()
        clock.advance(seconds=61)

        assert (before, graph.enqueue.run(), desk.queue_states(item)) == (0, 1, ["queued"])

    def test_later_versions_wait_for_one_that_is_being_routed(
        self, desk: Newsdesk, graph: Graph, clock: HandClock
    ) -> None:
        """Routing contract R3: a kill is not routed while another run has the publication."""
        desk.newsroom.subscriber("s", push(NOWHERE))
        item = desk.published()
        held = {
            "queue_state": "in_progress",
            "queue_owner": "other",
            "queue_lease_until": clock.at.replace(minute=1),
        }
        desk.db["published"].update_one({"item_id": item["_id"]}, {"$set": held})
        desk.act("kill", item)

        assert graph.enqueue.run() == 0
        assert desk.queue_states(item) == ["in_progress", "pending"]
        clock.advance(minutes=2)
        assert graph.enqueue.run() == 2
        assert [r["publishing_action"] for r in desk.rows()] == ["published", "killed"]

    def test_a_batch_that_lasts_longer_than_its_lease(
        self, desk: Newsdesk, graph: Graph, clock: HandClock, settings: dict[str, Any]
    ) -> None:
        """The lease is renewed meanwhile: a run that comes along leaves the row to it.

        Routing contract R1.
        """
        desk.newsroom.subscriber("s", push(NOWHERE))
        item = desk.published()
        other = build_graph(settings, clock=clock)
        taken: list[int] = []

        class Slow(HandClock):
            """Lets more than a lease pass amid the batch."""

            def now(self) -> Any:
                if not taken and desk.queue_states(item) == ["in_progress"]:
                    for each in (self, clock):
                        each.advance(minutes=2)
                    held = {"queue_lease_until": {"$gt": clock.at}}
                    wait_until(lambda: desk.db["published"].find_one(held))
                    taken.append(other.enqueue.run())
                return super().now()

        slow = build_graph({**settings, "LEASE_SECONDS": 1}, clock=Slow(clock.at))
        assert slow.enqueue.run() == 1

        for built in (slow, other):
            built.close()
        assert taken == [0]
        assert desk.queue_states(item) == ["queued"]
        assert len(desk.rows()) == 1

    def test_a_run_that_lost_its_lease_adds_nothing(
        self, desk: Newsdesk, graph: Graph, clock: HandClock, settings: dict[str, Any]
    ) -> None:
        """A run that wakes up after others routed the item and its kill writes no row.

        Routing contract R1.
        """
        desk.newsroom.subscriber("s", push(NOWHERE))
        desk.newsroom.subscriber("leaving", push(NOWHERE))
        item = desk.published()
        other = build_graph(settings, clock=clock)

        class WakesUpLate(HandClock):
            """Stops the run after it has read the rules until others have done its work."""

            def now(self) -> Any:
                if desk.queue_states(item) == ["in_progress"]:
                    clock.advance(minutes=2)
                    left = {"$set": {"is_active": False}}
                    desk.db["subscribers"].update_one({"name": "leaving"}, left)
                    assert other.enqueue.run() == 1
                    desk.act("kill", item)
                    assert other.enqueue.run() == 1
                return super().now()

        late = build_graph(settings, clock=WakesUpLate(clock.at))
        late.enqueue.run()

        for built in (late, other):
            built.close()
        actions = [(row["publishing_action"], row["state"]) for row in desk.rows()]
        assert actions == [("published", "canceled"), ("killed", "pending")]

    def test_a_mistake_in_one_item_leaves_the_others_alone(
        self, desk: Newsdesk, graph: Graph
    ) -> None:
        """What cannot be routed ends in `error` with its text; the rest is queued.

        Routing contract 8.1.
        """
        desk.newsroom.subscriber("s", push(NOWHERE))
        bad, good = desk.published(), desk.published()
        desk.db["published"].update_one(
            {"item_id": bad["_id"]}, {"$set": {"operation": "transmogrify"}}
        )

        graph.enqueue.run()

        assert (desk.queue_states(bad), desk.queue_states(good)) == (["error"], ["queued"])
        assert desk.db["published"].find_one({"queue_state": "error"})["error_message"] == (
            "400: Unknown operation 'transmogrify'"
        )

    def test_a_failure_that_may_pass_is_tried_again_later(
        self, desk: Newsdesk, graph: Graph, clock: HandClock
    ) -> None:
        """Routing contract R6: pending with a growing wait; the third failure ends in `error`."""
        desk.newsroom.subscriber("s", push(NOWHERE))
        item = desk.published()
        broken = {"$set": {"associations": "not a mapping"}}
        desk.db["published"].update_one({"item_id": item["_id"]}, broken)
        runs = []
        for _ in range(3):
            runs.append((graph.enqueue.run(), desk.queue_states(item)[0]))
            assert graph.enqueue.run() == 0
            clock.advance(minutes=5)

        assert runs == [(1, "pending")] * 2 + [(1, "error")]
        stored = desk.db["published"].find_one({"item_id": item["_id"]})
        assert stored["error_message"].startswith("500: Failed to publish the item")

    def test_later_versions_wait_for_one_that_is_tried_again(
        self, desk: Newsdesk, graph: Graph, clock: HandClock
    ) -> None:
        """Order guarantee: a correction and an update stay behind a failure that may pass."""
        desk.newsroom.subscriber("s", push(NOWHERE))
        item = desk.published()
        desk.act("correct", item)
        update = desk.published(rewrite_of=item["_id"])
        first = {"item_id": item["_id"], "operation": "publish"}
        broken = {"$set": {"associations": "not a mapping"}}
        desk.db["published"].update_one(first, broken)

        graph.enqueue.run()
        before = (desk.queue_states(item), desk.queue_states(update), desk.rows())
        desk.db["published"].update_one(first, {"$set": {"associations": {}}})
        clock.advance(minutes=1)
        graph.enqueue.run()

        assert before == (["pending", "pending"], ["pending"], [])
        assert [(row["item_id"], row["item_version"]) for row in desk.rows()] == [
            (item["_id"], 2),
            (item["_id"], 3),
            (update["_id"], 2),
        ]


class TestTogether:
    @pytest.mark.parametrize("count", counts(30, 100))
    def test_two_runs_of_each_kind_over_many_items(
        self, desk: Newsdesk, graph: Graph, settings: dict[str, Any], count: int
    ) -> None:
        """Overlapping runs lose nothing, double nothing and keep each item's order.

        Delivery contract C7.
        """
        with HTTPReceiver() as receiver:
            desk.newsroom.subscriber("s", push(receiver.url))
            items = outbox(desk.db, desk.published(), count=count)
            second = build_graph(settings)
            try:
                runs = [
                    run.run for built in (graph, second) for run in (built.enqueue, built.transmit)
                ]
                with ThreadPoolExecutor(4) as threads:
                    for _ in range(3):
                        assert all(done.result() >= 0 for done in map(threads.submit, runs))
                graph.transmit.run()
            finally:
                second.close()
            told = [(r.json()["guid"], int(r.json()["version"])) for r in receiver.requests]

        rows = desk.rows(item_id={"$in": items})
        assert len(rows) == len({row["idempotency_key"] for row in rows}) == 2 * count
        assert {row["state"] for row in rows} == {"success"}
        assert len(told) == len(set(told))
        for item in items:
            assert [version for guid, version in told if guid == item] == [2, 3]

    def test_a_batch_is_announced_by_one_message(
        self, desk: Newsdesk, graph: Graph, events: Events
    ) -> None:
        """Delivery scenario 43, at the bus: 20 changes of state are one `publish_queue:update`."""
        with HTTPReceiver() as receiver:
            subscriber = desk.newsroom.subscriber("s", push(receiver.url))
            fill(graph.db, subscriber, push(receiver.url), graph.clock.precise(), items=20)
            graph.transmit.run()

        (message,) = events.named("publish_queue:update")
        items = message["items"]
        assert len(items) == 20
        assert {item["state"] for item in items} == {"success"}


class TestOutage:
    def test_publishing_works_while_the_broker_is_down(
        self, desk: Newsdesk, graph: Graph, settings: dict[str, Any]
    ) -> None:
        """Delivery scenario 44: 200 all the same; the next tick routes and delivers."""
        create_celery({**settings, "CELERY_BROKER_URL": "redis://127.0.0.1:9/0"}, lambda: graph)
        with HTTPReceiver() as receiver:
            desk.newsroom.subscriber("s", push(receiver.url))

            desk.published()

            assert (graph.enqueue.run(), graph.transmit.run()) == (1, 1)
            assert len(receiver.requests) == 1


class TestSubscriberIds:
    @pytest.mark.parametrize(
        "subscriber_id", ["nab.reuters", "$nab", "a:b..c", "", "6f" * 12, "100%25", 7]
    )
    def test_may_be_of_any_form(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, subscriber_id: Any
    ) -> None:
        """Migrated subscribers may have ids of their own; corrections and kills find them, too."""
        for name, id_ in (("its", subscriber_id), ("other", ObjectId())):
            product = desk.newsroom.product(name)
            fields = {"_id": id_, "products": [product]}
            desk.newsroom.subscriber(name, push(f"{receiver.url}/{name}"), **fields)

        item = desk.published()
        for operation in ("correct", "kill"):
            graph.enqueue.run()
            graph.transmit.run()
            desk.act(operation, item, headline=operation)
        # The rules are for new recipients: those who have it get the kill all the same.
        desk.db["products"].delete_many({})
        graph.enqueue.run()
        graph.transmit.run()

        sent = [(request.path, request.json()["version"]) for request in receiver.requests]
        assert sorted(sent) == [(path, v) for path in ("/its", "/other") for v in ("2", "3", "4")]
        explained = graph.publishing.explain.explain(item["_id"])
        assert {s["subscriber_id"] for s in explained["subscribers"]} >= {subscriber_id}

"""Published items are copied to desks of internal destinations (lifecycle contract 5.1 step 25)."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from bson import ObjectId
from pymongo.monitoring import CommandListener

from apps.core import hooks
from apps.core.errors import BadRequest
from apps.core.service import Document
from apps.graph.build import Graph, build_graph
from tests.integration.routing.internal_destinations.conftest import Destination, Macro
from tests.support.crashes import DEATHS
from tests.support.dying import MOST_WRITES, complete_abandoned, dies_routing
from tests.support.events import Events
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.newsroom import push
from tests.support.routing import stored_filter

NOWHERE = "http://127.0.0.1:9"
HOUR = "2030-01-01T13:00:00+0000"


def copies(desk: Newsdesk, **wanted: Any) -> list[Document]:
    """Return the copies as stored, in the order in which they were made."""
    query = {"processed_from": {"$ne": None}, **wanted}
    return list(desk.db["archive"].find(query).sort("unique_id", 1))


def the_copy(desk: Newsdesk, **wanted: Any) -> Document:
    """Return the one copy that there is."""
    (copy,) = copies(desk, **wanted)
    return copy


def alerts(desk: Newsdesk) -> list[tuple[str, int, str]]:
    """Return destination, number of items and error of what administrators were told."""
    told = desk.db["activity"].find({"name": "error", "resource": "internal_destinations"})
    return [(a["data"]["destination"], a["data"]["count"], a["data"]["error"]) for a in told]


class TestCopy:
    def test_is_routed_to_the_desk(
        self, desk: Newsdesk, graph: Graph, destination: Destination, features: Document
    ) -> None:
        """On its incoming stage, with ids of its own, in the next version."""
        destination()
        item = desk.published(ednote="For editors")
        assert copies(desk) == []

        graph.enqueue.run()

        copy = desk.client.get(f"archive/{the_copy(desk)['_id']}").get_json()
        assert (copy["state"], copy["processed_from"], copy["original_id"]) == (
            ("routed", item["_id"], item["_id"])
        )
        assert (copy["task"]["desk"], copy["task"]["stage"]) == (
            (features["_id"], features["incoming_stage"])
        )
        assert (copy["headline"], copy["ednote"], copy["family_id"]) == (
            ("Rivers rise", "For editors", item["_id"])
        )
        assert copy["guid"] == copy["_id"] != item["_id"]
        assert {"unique_name", "event_id"}.isdisjoint(
            {name for name in copy if copy[name] == item.get(name)}
        )
        assert copy["_current_version"] == item["_current_version"] + 1
        listed = {i["_id"] for i in desk.client.get("archive").get_json()["_items"]}
        assert copy["_id"] in listed

    def test_brings_versions_and_history(
        self, desk: Newsdesk, graph: Graph, destination: Destination
    ) -> None:
        """As a duplicate does: of its source, and a row of its own; the source tells of it."""
        destination()
        item = desk.published()
        graph.enqueue.run()

        copy = the_copy(desk)
        versions = desk.client.get(f"archive/{copy['_id']}", version="all").get_json()["_items"]
        assert [v["_current_version"] for v in versions] == [1, 2, 3]

        def told(item_id: str) -> list[str]:
            rows = desk.client.get("archive_history", where=f'item_id=="{item_id}"').get_json()
            return [row["operation"] for row in rows["_items"]]

        assert told(copy["_id"]) == ["create", "publish", "duplicated_from"]
        assert told(item["_id"]) == ["create", "publish", "duplicate"]

    def test_leaves_behind_what_belongs_to_the_publication(
        self, desk: Newsdesk, graph: Graph, destination: Destination
    ) -> None:
        destination()
        desk.published(embargo="2031-01-01T00:00:00+0000", flags={"marked_for_sms": True})
        graph.enqueue.run()

        copy = the_copy(desk)
        gone = ("firstpublished", "embargo", "publish_schedule", "lock_user", "journal")
        assert {name: copy.get(name) for name in gone} == dict.fromkeys(gone)
        assert copy["flags"]["marked_for_sms"] is False

    def test_is_the_publishers(
        self, desk: Newsdesk, graph: Graph, destination: Destination
    ) -> None:
        """They are its creator, and only their mark signs it off."""
        destination()
        item = desk.published(sign_off="xyz")
        graph.enqueue.run()

        copy = the_copy(desk)
        assert (copy["sign_off"], copy["version_creator"]) == ("abc", item["version_creator"])

    def test_goes_to_the_stage_that_is_named(
        self, desk: Newsdesk, graph: Graph, destination: Destination, features: Document
    ) -> None:
        destination(stage=features["working_stage"])
        desk.published()
        graph.enqueue.run()

        assert str(the_copy(desk)["task"]["stage"]) == features["working_stage"]

    def test_is_not_made_on_the_desk_of_the_item(
        self, desk: Newsdesk, graph: Graph, destination: Destination
    ) -> None:
        destination(desk=str(desk.newsroom.desk["_id"]))
        desk.published()
        graph.enqueue.run()

        assert copies(desk) == []

    def test_is_not_made_for_a_destination_that_is_off(
        self, desk: Newsdesk, graph: Graph, destination: Destination
    ) -> None:
        destination(is_active=False)
        desk.published()
        graph.enqueue.run()

        assert copies(desk) == []

    def test_is_made_for_each_destination(
        self, desk: Newsdesk, graph: Graph, destination: Destination
    ) -> None:
        """Two of one desk are two."""
        destination(name="one")
        destination(name="two")
        desk.published()
        graph.enqueue.run()

        assert len({copy["_id"] for copy in copies(desk)}) == 2

    def test_can_be_published_and_is_found_by_its_source(
        self, desk: Newsdesk, graph: Graph, destination: Destination
    ) -> None:
        """Published there, it goes out in its own right, and is not copied to its own desk."""
        destination()
        desk.newsroom.subscriber("Daily Planet", push(NOWHERE))
        item = desk.published()
        graph.enqueue.run()

        copy = desk.act("publish", the_copy(desk), headline="Rivers in features")
        graph.enqueue.run()

        assert len(copies(desk)) == 1
        where = f'{{"processed_from": "{item["_id"]}"}}'
        (row,) = desk.client.get("published", where=where).get_json()["_items"]
        assert (row["_id"], row["state"]) == (copy["_id"], "published")
        assert {r["item_id"] for r in desk.rows()} == {item["_id"], copy["_id"]}

    def test_is_told(
        self,
        desk: Newsdesk,
        graph: Graph,
        destination: Destination,
        features: Document,
        settings: dict[str, Any],
    ) -> None:
        """To clients of the desk, and to receivers of `item:routed`."""
        destination()
        seen: list[Document] = []

        def routed(sender: Any, item: Document, **rest: Any) -> None:
            seen.append(item)

        item = desk.published()
        with (
            Events(settings["REDIS_URL"], settings["NOTIFICATION_CHANNEL"]) as events,
            hooks.item_routed.connected_to(routed),
        ):
            graph.enqueue.run()
            (update,) = events.named("content:update")
            assert events.named("task:new") == [{}]

        copy = the_copy(desk)
        assert set(update["items"]) == {item["_id"], copy["_id"]}
        assert features["incoming_stage"] in update["stages"]
        assert [i["_id"] for i in seen] == [copy["_id"]]

    def test_has_a_short_id_where_items_have(
        self, settings: dict[str, Any], desk: Newsdesk, clock: HandClock, destination: Destination
    ) -> None:
        destination()
        desk.published()
        graph = build_graph({**settings, "GENERATE_SHORT_GUID": True}, clock=clock)
        try:
            graph.enqueue.run()
        finally:
            graph.close()

        assert ":" not in the_copy(desk)["_id"]


class TestOperations:
    def test_a_correction_is_copied_anew(
        self, desk: Newsdesk, graph: Graph, destination: Destination
    ) -> None:
        """The first copy stays as it is: somebody may be at work on it."""
        destination()
        item = desk.published()
        graph.enqueue.run()
        desk.act("correct", item, headline="Rivers fall")
        graph.enqueue.run()

        found = [(c["headline"], c["_current_version"], c["state"]) for c in copies(desk)]
        assert found == [("Rivers rise", 3, "routed"), ("Rivers fall", 4, "routed")]

    @pytest.mark.parametrize("operation", ["kill", "takedown", "unpublish"])
    def test_what_is_withdrawn_is_not_copied(
        self, desk: Newsdesk, graph: Graph, destination: Destination, operation: str
    ) -> None:
        item = desk.published()
        graph.enqueue.run()
        destination()
        desk.act(operation, item)
        graph.enqueue.run()

        assert copies(desk) == []

    def test_versions_routed_together_have_a_copy_each(
        self, desk: Newsdesk, graph: Graph, destination: Destination
    ) -> None:
        """Each as it went out, whatever the item is by then."""
        destination()
        desk.act("correct", desk.published(), headline="Rivers fall")
        graph.enqueue.run()

        assert [copy["headline"] for copy in copies(desk)] == ["Rivers rise", "Rivers fall"]

    def test_an_update_and_a_duplicate_of_it_are_no_copies(
        self, desk: Newsdesk, graph: Graph, destination: Destination, features: Document
    ) -> None:
        """Lifecycle contract 1.1: they drop `processed_from`."""
        destination()
        desk.published()
        graph.enqueue.run()
        copy = desk.act("publish", the_copy(desk))
        path = f"archive/{copy['_id']}"

        update = desk.client.create(f"{path}/rewrite", {"desk_id": features["_id"]})
        duplicate = desk.client.create(
            f"{path}/duplicate", {"desk": features["_id"], "type": "archive"}
        )

        for made in (update, duplicate):
            assert "processed_from" not in desk.client.get(f"archive/{made['_id']}").get_json()


class TestScheduled:
    def scheduled(self, desk: Newsdesk) -> Document:
        return desk.act(
            "publish",
            desk.story(),
            publish_schedule="2030-01-01T13:00:00",
            schedule_settings={"time_zone": "UTC"},
        )

    def test_is_copied_when_it_is_scheduled(
        self, desk: Newsdesk, graph: Graph, destination: Destination, clock: HandClock
    ) -> None:
        """With its schedule, and not again when its hour has come."""
        destination()
        self.scheduled(desk)
        graph.enqueue.run()

        copy = desk.client.get(f"archive/{the_copy(desk)['_id']}").get_json()
        assert (copy["state"], copy["publish_schedule"]) == ("routed", HOUR)
        assert copy["schedule_settings"]["utc_publish_schedule"] == HOUR

        clock.advance(minutes=61)
        graph.enqueue.run()
        assert desk.db["published"].distinct("state") == ["published"]
        assert len(copies(desk)) == 1

    def test_is_copied_when_it_comes_out_to_those_who_wait(
        self, desk: Newsdesk, graph: Graph, destination: Destination, clock: HandClock
    ) -> None:
        """As published then, without a schedule."""
        destination(send_after_schedule=True)
        self.scheduled(desk)
        graph.enqueue.run()
        assert copies(desk) == []

        clock.advance(minutes=61)
        graph.enqueue.run()

        copy = the_copy(desk)
        assert (copy["state"], copy.get("publish_schedule")) == ("routed", None)
        assert copy["_current_version"] == 4

    def test_corrections_do_not_wait(
        self, desk: Newsdesk, graph: Graph, destination: Destination
    ) -> None:
        """What is not scheduled is copied at once, whoever waits for schedules."""
        destination(send_after_schedule=True)
        desk.act("correct", desk.published())
        graph.enqueue.run()

        assert len(copies(desk)) == 2

    def test_its_hour_may_come_before_any_run(
        self, desk: Newsdesk, graph: Graph, destination: Destination, clock: HandClock
    ) -> None:
        """Then both kinds of destinations get it as it comes out."""
        destination(name="early")
        destination(name="late", send_after_schedule=True)
        self.scheduled(desk)
        clock.advance(minutes=61)
        graph.enqueue.run()

        assert [copy.get("publish_schedule") for copy in copies(desk)] == [None, None]

    def test_one_that_nobody_wants_is_looked_at_once(
        self, desk: Newsdesk, graph: Graph, destination: Destination, clock: HandClock
    ) -> None:
        """Until its hour: then it is matched anew."""
        wanted = destination(filter=str(stored_filter(desk, "headline", "eq", "other")))
        item = self.scheduled(desk)
        graph.enqueue.run()
        row = desk.db["published"].find_one({}) or {}
        assert row["internal_destinations"] == []
        desk.client.patch(f"internal_destinations/{wanted['_id']}", {"filter": None})
        graph.enqueue.run()
        assert copies(desk) == []

        clock.advance(minutes=61)
        graph.enqueue.run()
        assert the_copy(desk)["processed_from"] == item["_id"]

    @pytest.mark.parametrize("before", range(1, 12, 2))
    def test_a_run_that_dies_is_completed(
        self, desk: Newsdesk, graph: Graph, destination: Destination, before: int
    ) -> None:
        """Also where no row is claimed."""
        destination()
        item = self.scheduled(desk)
        died = dies_routing(graph, before)
        complete_abandoned(graph)
        graph.enqueue.run()

        assert died or before > 8
        copy = the_copy(desk)
        assert copy["processed_from"] == item["_id"]
        assert (desk.db["published"].find_one({}) or {})["internal_destinations"]


class TestFilter:
    def test_only_what_matches_is_copied(
        self, desk: Newsdesk, graph: Graph, destination: Destination
    ) -> None:
        destination(filter=str(stored_filter(desk, "slugline", "eq", "rivers")))
        wanted = desk.published()
        desk.published(slugline="budget")
        graph.enqueue.run()

        assert the_copy(desk)["processed_from"] == wanted["_id"]
        assert alerts(desk) == []

    def test_a_broken_filter_keeps_copies_from_its_destination_only(
        self, desk: Newsdesk, graph: Graph, destination: Destination
    ) -> None:
        """Nothing else is held up; administrators are told once, with the items."""
        broken = stored_filter(desk, "headline", "match", "(")
        desk.db["filter_conditions"].update_many({}, {"$set": {"operator": "no such operator"}})
        destination(name="broken", filter=str(broken))
        destination(name="whole")
        desk.newsroom.subscriber("Daily Planet", push(NOWHERE))
        items = [desk.published(), desk.published()]

        graph.enqueue.run()

        assert sorted(c["processed_from"] for c in copies(desk)) == sorted(i["_id"] for i in items)
        assert len(desk.rows()) == 2
        assert alerts(desk) == [("broken", 2, "The content filter is gone or broken")]
        (told,) = desk.db["activity"].find({"resource": "internal_destinations"})
        assert sorted(told["data"]["items"]) == sorted(i["_id"] for i in items)

    def test_a_filter_that_is_gone_lets_nothing_pass(
        self, desk: Newsdesk, graph: Graph, destination: Destination
    ) -> None:
        destination(filter=str(stored_filter(desk, "slugline", "eq", "rivers")))
        desk.db["content_filters"].delete_many({})
        desk.published()
        graph.enqueue.run()

        assert (copies(desk), len(alerts(desk))) == ([], 1)

    def test_mended_it_gets_what_it_missed_when_that_is_routed_again(
        self, desk: Newsdesk, graph: Graph, destination: Destination
    ) -> None:
        """A row that is PATCHed to `pending`; who has their copy gets no second one."""
        filter_id = stored_filter(desk, "slugline", "eq", "rivers")
        desk.db["filter_conditions"].update_many({}, {"$set": {"operator": "no such operator"}})
        destination(name="broken", filter=str(filter_id))
        destination(name="whole")
        desk.published()
        graph.enqueue.run()
        desk.db["filter_conditions"].update_many({}, {"$set": {"operator": "eq"}})
        (first,) = copies(desk)

        row = desk.db["published"].find_one({}) or {}
        desk.db["archive"].delete_one({"_id": first["_id"]})
        answer = desk.client.patch(f"published/{row['_id']}", {"queue_state": "pending"})
        assert answer.status_code == 200, answer.text
        graph.enqueue.run()

        assert the_copy(desk)["_id"] != first["_id"]


class TestMacro:
    def test_changes_the_copy(
        self,
        desk: Newsdesk,
        graph: Graph,
        destination: Destination,
        features: Document,
        macro: Macro,
    ) -> None:
        """It knows where the copy goes; the source stays as it is."""
        macro(
            "translate",
            "item['headline'] = 'Flüsse'",
            "item['ednote'] = str(context['dest_desk_id'])",
            "item['byline'] = context['stage']['name']",
        )
        destination(macro="translate")
        item = desk.published()
        graph.enqueue.run()

        copy = the_copy(desk)
        assert (copy["headline"], copy["ednote"]) == ("Flüsse", features["_id"])
        assert copy["byline"]
        versions = desk.client.get(f"archive/{copy['_id']}", version="all").get_json()["_items"]
        assert [v["headline"] for v in versions][-1] == "Flüsse"
        assert desk.client.get(f"archive/{item['_id']}").get_json()["headline"] == "Rivers rise"

    def test_follows_those_of_the_stage(
        self,
        desk: Newsdesk,
        graph: Graph,
        destination: Destination,
        features: Document,
        macro: Macro,
    ) -> None:
        macro("arrive", "item['headline'] += ' arrive'")
        macro("own", "item['headline'] += ' own'")
        stage = {"_id": ObjectId(features["incoming_stage"])}
        desk.db["stages"].update_one(stage, {"$set": {"incoming_macro": "arrive"}})
        destination(macro="own")
        desk.published(headline="x")
        graph.enqueue.run()

        assert the_copy(desk)["headline"] == "x arrive own"

    @pytest.mark.parametrize(
        ("lines", "error"),
        [
            ("raise ValueError('no dictionary')", "no dictionary"),
            ("syntax error", "Macro cannot be loaded"),
        ],
    )
    def test_that_fails_keeps_copies_from_its_destination_only(
        self,
        desk: Newsdesk,
        graph: Graph,
        destination: Destination,
        macro: Macro,
        lines: str,
        error: str,
    ) -> None:
        """Nothing half done is stored."""
        macro("translate", "pass")
        destination(name="translated", macro="translate")
        destination(name="plain")
        macro("translate", lines)
        desk.published()
        graph.enqueue.run()

        copy = the_copy(desk)
        assert copy["headline"] == "Rivers rise"
        ((name, count, text),) = alerts(desk)
        assert (name, count) == ("translated", 1)
        assert error in text
        assert desk.queue_states({"_id": copy["processed_from"]}) == ["queued_not_transmitted"]

    def test_a_hook_may_refuse_the_copy(
        self, desk: Newsdesk, graph: Graph, destination: Destination
    ) -> None:
        def refuse(sender: Any, item: Document, **rest: Any) -> None:
            raise BadRequest("Not here")

        destination()
        desk.published()
        with hooks.item_duplicate.connected_to(refuse):
            graph.enqueue.run()

        assert (copies(desk), alerts(desk)) == ([], [("features", 1, "Not here")])

    def test_a_desk_that_is_gone_is_told(
        self, desk: Newsdesk, graph: Graph, destination: Destination
    ) -> None:
        gone = destination()["desk"]
        desk.db["desks"].delete_one({"_id": ObjectId(gone)})
        desk.published()
        graph.enqueue.run()

        error = f"Invalid desk identifier {gone}"
        assert (copies(desk), alerts(desk)) == ([], [("features", 1, error)])

    def test_nobody_is_told_where_alerts_are_off(
        self, settings: dict[str, Any], desk: Newsdesk, clock: HandClock, destination: Destination
    ) -> None:
        destination()
        desk.db["desks"].delete_many({"name": "Features"})
        desk.published()
        graph = build_graph({**settings, "ERROR_NOTIFICATIONS": False}, clock=clock)
        try:
            graph.enqueue.run()
        finally:
            graph.close()

        assert (copies(desk), alerts(desk)) == ([], [])


class TestPackages:
    def package(self, desk: Newsdesk, *members: Document) -> Document:
        refs = [{"residRef": member["_id"]} for member in members]
        root = {"id": "root", "role": "grpRole:NEP", "refs": [{"idRef": "main"}]}
        return desk.story(type="composite", groups=[root, {"id": "main", "refs": refs}])

    def test_a_package_is_copied_with_its_members(
        self, desk: Newsdesk, graph: Graph, destination: Destination
    ) -> None:
        """Each has one copy, which the copy of the package holds; the originals can be killed."""
        destination()
        member = desk.story()
        package = desk.act("publish", self.package(desk, member))
        graph.enqueue.run()

        (of_package,) = copies(desk, type="composite")
        (of_member,) = copies(desk, type="text")
        (ref,) = of_package["groups"][1]["refs"]
        assert (ref["residRef"], ref["guid"]) == (of_member["_id"], of_member["guid"])
        assert of_package["processed_from"] == package["_id"]
        assert of_member["processed_from"] == member["_id"]
        links = of_member["linked_in_packages"]
        assert [link["package"] for link in links] == [of_package["_id"]]
        assert desk.act("kill", package)["state"] == "killed"
        assert desk.act("kill", member)["state"] == "killed"

    def test_members_that_do_not_match_come_with_their_package(
        self, desk: Newsdesk, graph: Graph, destination: Destination
    ) -> None:
        """A package without them would be another package."""
        destination(filter=str(stored_filter(desk, "type", "in", "composite")))
        desk.act("publish", self.package(desk, desk.story(), desk.story()))
        graph.enqueue.run()

        assert sorted(copy["type"] for copy in copies(desk)) == ["composite", "text", "text"]
        (of_package,) = copies(desk, type="composite")
        held = {ref["residRef"] for ref in of_package["groups"][1]["refs"]}
        assert held == {copy["_id"] for copy in copies(desk, type="text")}

    @pytest.mark.parametrize("before", range(1, 40, 6))
    def test_a_run_that_dies_leaves_no_second_members(
        self,
        desk: Newsdesk,
        graph: Graph,
        destination: Destination,
        clock: HandClock,
        before: int,
    ) -> None:
        destination()
        desk.act("publish", self.package(desk, desk.story()))
        dies_routing(graph, before)
        clock.advance(minutes=2)
        graph.enqueue.run()

        assert sorted(copy["type"] for copy in copies(desk)) == ["composite", "text"]


class TestOnce:
    def counts(self, desk: Newsdesk) -> dict[str, int]:
        names = ("archive", "archive_versions", "archive_history", "publish_queue")
        return {name: desk.db[name].count_documents({}) for name in names}

    @DEATHS
    def test_a_run_that_dies_anywhere_is_completed(
        self,
        desk: Newsdesk,
        graph: Graph,
        destination: Destination,
        clock: HandClock,
        stride: int,
    ) -> None:
        """Whatever write it dies before: a copy for each destination, with all that is its own."""
        destination(name="one")
        destination(name="two")
        desk.newsroom.subscriber("Daily Planet", push(NOWHERE))
        deaths = 0
        for before in range(1, MOST_WRITES, stride):
            for name in ("archive", "archive_versions", "archive_history", "publish_queue"):
                desk.db[name].delete_many({})
            desk.db["published"].delete_many({})
            item = desk.published()
            died = dies_routing(graph, before)
            # The leases of the dead run end, and its notes count as abandoned.
            clock.advance(minutes=2)
            graph.enqueue.run()
            complete_abandoned(graph)

            assert [copy["processed_from"] for copy in copies(desk)] == [item["_id"]] * 2
            assert self.counts(desk) == {
                "archive": 3,
                "archive_versions": 2 + 2 * 3,
                # Of the source: two, and one for each copy; of a copy: what its source had by
                # then, and its own.
                "archive_history": 4 + 3 + 4,
                "publish_queue": 1,
            }
            assert not desk.db["archive"].count_documents({"journal": {"$ne": None}})
            if not died:
                break
            deaths += 1
        assert deaths * stride > 20

    def test_two_runs_at_once_make_one_copy(
        self,
        desk: Newsdesk,
        graph: Graph,
        destination: Destination,
        settings: Any,
        clock: HandClock,
    ) -> None:
        destination()
        items = [desk.published() for _ in range(4)]
        graphs = [build_graph(settings, clock=clock) for _ in range(3)]
        try:
            with ThreadPoolExecutor(len(graphs)) as pool:
                list(pool.map(lambda built: built.enqueue.run(), graphs))
        finally:
            for built in graphs:
                built.close()

        assert sorted(c["processed_from"] for c in copies(desk)) == sorted(i["_id"] for i in items)

    def test_runs_that_have_lost_their_rows_make_no_second_copy(
        self,
        desk: Newsdesk,
        graph: Graph,
        destination: Destination,
        settings: dict[str, Any],
        clock: HandClock,
    ) -> None:
        """Several that send the same row at once, and one that wakes up later."""
        destination()
        desk.published()
        (row,) = desk.db["published"].find({})
        graphs = [build_graph(settings, clock=clock, has_indexes=True) for _ in range(4)]
        try:
            with ThreadPoolExecutor(len(graphs)) as pool:
                sent = pool.map(lambda g: g.enqueue._desk_copies.send([dict(row)]), graphs)
                assert list(sent) == [None] * 4
        finally:
            for built in graphs:
                built.close()
        first = the_copy(desk)
        assert first.get("journal") is None
        versions = {"_id_document": first["_id"]}
        assert desk.db["archive_versions"].count_documents(versions) == 3

        graph.enqueue._desk_copies.send([row])

        assert the_copy(desk) == first

    def test_a_copy_that_was_spiked_and_removed_does_not_come_back(
        self, desk: Newsdesk, graph: Graph, destination: Destination
    ) -> None:
        """The row tells that its destination has had it."""
        destination()
        desk.published()
        graph.enqueue.run()
        desk.db["archive"].delete_one({"_id": the_copy(desk)["_id"]})
        desk.db["published"].update_many({}, {"$set": {"queue_state": "pending"}})
        graph.enqueue.run()

        assert copies(desk) == []

    def test_an_unknown_publisher_does_no_harm(
        self, desk: Newsdesk, graph: Graph, destination: Destination
    ) -> None:
        """The copy is the system's then."""
        destination()
        desk.published()
        desk.db["published"].update_many({}, {"$set": {"version_creator": str(ObjectId())}})
        graph.enqueue.run()

        assert the_copy(desk)["version_creator"] == ""


class Commands(CommandListener):
    """Counts the commands that touch a collection."""

    def __init__(self, collection: str) -> None:
        self._collection = collection
        self.count = 0

    def started(self, event: Any) -> None:
        self.count += event.command.get(event.command_name) == self._collection

    def succeeded(self, event: Any) -> None:
        """Counted when it started."""

    def failed(self, event: Any) -> None:
        """Counted when it started."""


class TestCost:
    @pytest.fixture
    def commands(self) -> Commands:
        return Commands("internal_destinations")

    @pytest.fixture
    def counted(
        self, settings: dict[str, Any], desk: Newsdesk, clock: HandClock, commands: Commands
    ) -> Iterator[Graph]:
        graph = build_graph(settings, clock=clock, listeners=[commands], has_indexes=True)
        yield graph
        graph.close()

    def test_an_installation_without_destinations_pays_a_command_a_batch(
        self, desk: Newsdesk, counted: Graph, commands: Commands
    ) -> None:
        """And one for each run; requests pay nothing."""
        for _ in range(5):
            desk.published()
        counted.enqueue.run()
        assert commands.count == 2

        commands.count = 0
        counted.enqueue.run()
        assert commands.count == 1

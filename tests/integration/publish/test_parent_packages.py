"""Packages follow their members, also when the process dies that should have corrected them."""

from itertools import count
from typing import Any

import pytest
from bson import ObjectId

from apps.core.caller import Caller
from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.clients import make_user
from tests.support.crashes import DEATHS
from tests.support.dying import MOST_WRITES, dies, dies_routing
from tests.support.newsdesk import Newsdesk
from tests.support.newsroom import push

HOUR = "2030-01-01T13:00:00+0000"

LAST_OF_MEMBER = 8
"""Number of the first write that does not belong to the corrected member any more."""


@pytest.fixture
def desk(desk: Newsdesk) -> Newsdesk:
    desk.newsroom.validators(item_type="composite")
    return desk


def groups(*members: Document) -> list[Document]:
    return [
        {"id": "root", "role": "grpRole:NEP", "refs": [{"idRef": "main"}]},
        {"id": "main", "refs": [{"residRef": member["_id"]} for member in members]},
    ]


def package(desk: Newsdesk, *members: Document) -> Document:
    return desk.story(type="composite", groups=groups(*members))


def stored(desk: Newsdesk, item: Document) -> Document:
    return dict(desk.db["archive"].find_one({"_id": item["_id"]}) or {})


def shown(desk: Newsdesk, item: Document) -> list[tuple[Any, Any]]:
    """Return headline and version of the members that a package shows."""
    return [
        (r.get("headline"), r["_current_version"]) for r in stored(desk, item)["groups"][1]["refs"]
    ]


def publications(desk: Newsdesk, *items: Document) -> list[tuple[str, str, int]]:
    """Return id, state and version of published rows, in the order of their publication."""
    wanted = {"item_id": {"$in": [item["_id"] for item in items]}}
    rows = desk.db["published"].find(wanted).sort("publish_sequence_no", 1)
    return [(row["item_id"], row["state"], row["_current_version"]) for row in rows]


def followed(out: list[tuple[str, str, int]], story: Document, *packages: Document) -> bool:
    """Whether a story came out again, then its packages, each once; the first before the second."""
    ids = [item_id for item_id, _, _ in out]
    expected = [package["_id"] for package in packages]
    return (
        ids[0] == story["_id"]
        and sorted(ids[1:]) == sorted(expected)
        and ids.index(expected[0]) < ids.index(expected[1])
    )


def is_complete(desk: Newsdesk, item: Document) -> bool:
    """Whether all versions are kept and the history tells of the publication once."""
    now = stored(desk, item)
    versions = desk.db["archive_versions"].find({"_id_document": item["_id"]})
    told = {"item_id": item["_id"], "operation": "publish"}
    return (
        sorted(v["_current_version"] for v in versions)
        == list(range(1, now["_current_version"] + 1))
        and 1 == desk.db["archive_history"].count_documents(told)
        and "journal" not in now
    )


def is_whole(desk: Newsdesk, item: Document) -> bool:
    """Whether all versions are kept, the last row alone is the last, and everything is routed."""
    now = stored(desk, item)
    versions = desk.db["archive_versions"].find({"_id_document": item["_id"]})
    rows = list(desk.db["published"].find({"item_id": item["_id"]}).sort("publish_sequence_no", 1))
    return (
        sorted(v["_current_version"] for v in versions)
        == list(range(1, now["_current_version"] + 1))
        and [r["last_published_version"] for r in rows] == [r is rows[-1] for r in rows]
        and rows[-1]["_current_version"] == now["_current_version"]
        and {r["queue_state"] for r in rows} == {"queued_not_transmitted"}
        and "journal" not in now
    )


def tick(graph: Graph) -> None:
    """Time passes and the enqueue task comes by."""
    graph.clock.advance(seconds=61)  # type: ignore[attr-defined]
    graph.enqueue.run()


class TestAtOnce:
    def test_corrects_a_package_once_for_all_that_has_changed_in_it(
        self, desk: Newsdesk, graph: Graph
    ) -> None:
        """A story in two inner packages of one outer one: the outer one is corrected last, once."""
        story = desk.story()
        left, right = package(desk, story), package(desk, story)
        outer = package(desk, left, right, story)
        desk.act("publish", outer)

        desk.act("correct", story, headline="Rivers fall")

        assert [("Rivers fall", 3), (None, 3), (None, 3)] == sorted(
            shown(desk, outer), key=lambda ref: ref[0] is None
        )
        out = publications(desk, story, left, right, outer)[4:]
        assert {(left["_id"], "corrected", 3), (right["_id"], "corrected", 3)} == set(out[1:3])
        assert [(story["_id"], "corrected", 3), (outer["_id"], "corrected", 3)] == [out[0], out[3]]
        assert 4 == len(out)

    def test_corrects_the_other_package_of_two_members_once(
        self, desk: Newsdesk, graph: Graph
    ) -> None:
        """Two members that go out with one package are new in the other."""
        first, second = desk.published(), desk.published()
        live = package(desk, first, second)
        desk.act("publish", live)
        for item in (first, second):
            desk.act("unpublish", item)
            desk.client.patch(f"archive/{item['_id']}", {"headline": "Rivers fall"})
        before = stored(desk, live)["_current_version"]
        other = package(desk, first, second)

        desk.act("publish", other)

        assert before + 1 == stored(desk, live)["_current_version"]
        assert [5, 5] == [version for _, version in shown(desk, live)]

    def test_corrects_more_packages_than_a_page_has(self, desk: Newsdesk, graph: Graph) -> None:
        """Routing contract R10: there is no limit of 100 packages."""
        story = desk.story()
        whole = stored(desk, package(desk, story))
        ids = [f"package-{number}" for number in range(101)]
        live = {"state": "published", "groups": groups(story)}
        desk.db["archive"].insert_many([{**whole, **live, "_id": name} for name in ids])

        desk.act("publish", story)

        of_them = {"_id": {"$in": ids}, "state": "corrected"}
        assert 101 == desk.db["archive"].count_documents(of_them)


class TestCrash:
    @DEATHS
    def test_the_enqueue_run_corrects_what_a_dead_process_owes(
        self, desk: Newsdesk, graph: Graph, stride: int
    ) -> None:
        """After a crash at any write every level follows, in order, each package once."""
        story = desk.story()
        inner, alone = package(desk, story), package(desk, story)
        outer = package(desk, inner)
        items = (story, inner, outer, alone)
        for item in (outer, alone):
            desk.act("publish", item)
        tick(graph)
        for before in count(1, stride):
            known = publications(desk, *items)
            died = dies(graph, "correct", story, before, {"headline": f"Day {before}"})
            tick(graph)

            out = publications(desk, *items)[len(known) :]
            assert [] == out or followed(out, *items), before
            assert (
                [] == out or f"Day {before}" == shown(desk, inner)[0][0] == shown(desk, alone)[0][0]
            )
            assert all(is_whole(desk, item) for item in items)
            assert before < MOST_WRITES
            if not died:
                return

    @DEATHS
    def test_an_enqueue_run_may_die_as_well(
        self, desk: Newsdesk, graph: Graph, stride: int
    ) -> None:
        """The lease of what it was about to route ends; the next run corrects what is left."""
        story = desk.story()
        inner = package(desk, story)
        outer = package(desk, inner)
        items = (story, inner, outer)
        desk.act("publish", outer)
        tick(graph)
        for before in count(1, stride):
            known = publications(desk, *items)
            assert dies(graph, "correct", story, LAST_OF_MEMBER, {"headline": f"Day {before}"})
            graph.clock.advance(seconds=61)  # type: ignore[attr-defined]

            died = dies_routing(graph, before)
            tick(graph)

            assert followed(publications(desk, *items)[len(known) :], *items), before
            assert all(is_whole(desk, item) for item in items)
            assert before < MOST_WRITES
            if not died:
                return

    def test_signs_with_the_name_of_who_corrected_the_member(
        self, desk: Newsdesk, graph: Graph
    ) -> None:
        """The correction of the package is that user's, as it would have been in the request."""
        make_user(graph, "foo", user_type="administrator", sign_off="foo")
        story = desk.story()
        whole = package(desk, story)
        desk.act("publish", whole)
        tick(graph)
        user = graph.db["users"].find_one({"username": "foo"}) or {}

        assert dies(graph, "correct", story, LAST_OF_MEMBER, caller=Caller(user))
        tick(graph)

        after = stored(desk, whole)
        assert ("corrected", "abc/foo", str(user["_id"])) == (
            after["state"],
            after["sign_off"],
            after["version_creator"],
        )
        told = graph.db["archive_history"].find_one({"item_id": whole["_id"], "version": 3}) or {}
        assert ("correct", user["_id"]) == (told["operation"], told["user_id"])

    def test_a_headline_that_was_not_changed_stays_that_of_the_package(
        self, desk: Newsdesk, graph: Graph
    ) -> None:
        """Lifecycle contract 5.7: refs take headline and slugline when they were in the request."""
        story = desk.story()
        own = groups(story)
        own[1]["refs"][0]["headline"] = "As the package says it"
        whole = desk.story(type="composite", groups=own)
        desk.act("publish", whole)
        tick(graph)

        assert dies(graph, "correct", story, LAST_OF_MEMBER, {"byline": "By us"})
        tick(graph)

        assert [("As the package says it", 3)] == shown(desk, whole)


class TestRequestThatNobodyRepeats:
    @DEATHS
    def test_leaves_whole_items_and_those_that_were_not_reached(
        self, desk: Newsdesk, graph: Graph, stride: int
    ) -> None:
        """A package half out: members are out and delivered or untouched, never in between.

        Nobody was told that the package is out; it is as it was, and can be published any time.
        """
        desk.newsroom.subscriber("s", push("http://127.0.0.1:9"))
        for before in count(1, stride):
            first, second = desk.story(), desk.story()
            whole = package(desk, first, second)
            items = (first, second, whole)

            died = dies(graph, "publish", whole, before)
            tick(graph)

            states = [stored(desk, item)["state"] for item in items]
            reached = states.count("published")
            assert states == ["published"] * reached + ["fetched"] * (3 - reached), before
            for item in items[:reached]:
                assert ["queued"] == desk.queue_states(item)
                assert is_complete(desk, item)
            for item in items[reached:]:
                assert [] == publications(desk, item)
                assert item["_etag"] == stored(desk, item)["_etag"]
            sent = desk.rows(item_id={"$in": [item["_id"] for item in items]})
            assert [item["_id"] for item in items[:reached]] == [row["item_id"] for row in sent]
            if not died:
                return
            if reached < 3:
                desk.act("publish", whole)
            assert [item["_id"] for item in items] == [i for i, _, _ in publications(desk, *items)]
            assert before < MOST_WRITES


class TestEnqueueRun:
    def test_leaves_packages_alone_that_are_up_to_date(self, desk: Newsdesk, graph: Graph) -> None:
        """What the request has done is not done again."""
        story = desk.story()
        whole = package(desk, story)
        desk.act("publish", whole)
        desk.act("correct", story)

        for _ in range(2):
            tick(graph)

        assert 4 == len(publications(desk, story, whole))

    def test_shows_a_member_that_went_out_while_the_package_was_stored(
        self, desk: Newsdesk, graph: Graph
    ) -> None:
        """A package that read its member before the correction follows when it is routed."""
        story = desk.story()
        whole = package(desk, story)
        desk.act("publish", whole)
        tick(graph)
        desk.db["archive"].update_one(
            {"_id": story["_id"]}, {"$set": {"linked_in_packages": [], "_etag": "x"}}
        )
        desk.db["archive"].update_one({"_id": whole["_id"]}, {"$set": {"state": "correction"}})
        desk.act("correct", story, headline="Rivers fall")
        tick(graph)
        desk.act("correct", whole)

        for _ in range(2):
            tick(graph)

        assert [("Rivers fall", 3)] == shown(desk, whole)
        assert [3, 4] == [v for i, _, v in publications(desk, whole)[1:] if i == whole["_id"]]

    def test_a_package_that_holds_itself_holds_nothing_up(
        self, desk: Newsdesk, graph: Graph
    ) -> None:
        """Circles are refused at the door; one in the data does not keep the run from ending."""
        story = desk.story()
        inner = package(desk, story)
        outer = package(desk, inner)
        desk.act("publish", outer)
        circle = groups(outer)
        circle[1]["refs"][0]["_current_version"] = 1
        desk.db["archive"].update_one({"_id": inner["_id"]}, {"$set": {"groups": circle}})
        desk.act("correct", outer)

        tick(graph)

        assert {"queued_not_transmitted"} == set(desk.queue_states(outer))

    def test_a_package_that_cannot_be_corrected_holds_no_delivery_up(
        self, desk: Newsdesk, graph: Graph
    ) -> None:
        """The member goes to its subscribers, whatever is wrong with a package around it."""
        desk.newsroom.subscriber("s", push("http://127.0.0.1:9"))
        story = desk.story()
        whole = package(desk, story)
        desk.act("publish", whole)
        desk.db["archive"].update_one(
            {"_id": whole["_id"]}, {"$set": {"task": {"desk": ObjectId()}}}
        )

        desk.act("correct", story)
        tick(graph)

        assert ["queued", "queued"] == desk.queue_states(story)


class TestSchedule:
    def test_a_scheduled_package_shows_the_versions_that_go_out(
        self, desk: Newsdesk, graph: Graph
    ) -> None:
        """At its hour each item is released once; the package shows its members as released."""
        first, second = desk.story(), desk.story()
        whole = package(desk, first, second)
        desk.act("publish", whole, publish_schedule=HOUR)

        graph.clock.advance(hours=2)  # type: ignore[attr-defined]
        for _ in range(2):
            tick(graph)

        assert [(item["_id"], "published", 3) for item in (first, second, whole)] == publications(
            desk, first, second, whole
        )
        row = desk.db["published"].find_one({"item_id": whole["_id"]}) or {}
        version = desk.db["archive_versions"].find_one(
            {"_id_document": whole["_id"], "_current_version": 3}
        )
        for document in (row, stored(desk, whole), version or {}):
            refs = document["groups"][1]["refs"]
            assert [3, 3] == [ref["_current_version"] for ref in refs]

    def test_a_member_that_is_released_later_corrects_the_package(
        self, desk: Newsdesk, graph: Graph
    ) -> None:
        """Lifecycle contract 5.7: whatever brings a member out again is shown by the package."""
        story = desk.published()
        whole = package(desk, story)
        desk.act("publish", whole)
        desk.act("unpublish", story)
        desk.act("publish", story, publish_schedule=HOUR)
        before = stored(desk, whole)["_current_version"]

        tick(graph)
        assert before == stored(desk, whole)["_current_version"]
        graph.clock.advance(hours=2)  # type: ignore[attr-defined]
        tick(graph)

        assert stored(desk, story)["_current_version"] == shown(desk, whole)[0][1]
        assert before + 1 == stored(desk, whole)["_current_version"]

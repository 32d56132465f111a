"""Who receives a package, and which members (routing contract 8.7)."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.newsroom import push
from tests.support.routing import permitting

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def package_validators(desk: Newsdesk) -> None:
    desk.newsroom.validators(item_type="composite")


def in_groups(**members: list[Document]) -> list[Document]:
    """Return package groups by name, with the refs of their members."""
    root = {"id": "root", "refs": [{"idRef": name} for name in members]}
    named = [
        {"id": name, "refs": [{"residRef": item["_id"]} for item in items]}
        for name, items in members.items()
    ]
    return [root, *named]


def packed(desk: Newsdesk, *members: Document, **fields: Any) -> Document:
    """Create a package with everything in its main group."""
    return desk.story(type="composite", groups=in_groups(main=list(members)), **fields)


def subscriber_of(desk: Newsdesk, name: str, slugline: str, **fields: Any) -> None:
    """Store a subscriber of stories with a slugline, and of nothing else."""
    only = permitting(desk, "slugline", "in", slugline)
    product = desk.newsroom.product(f"product of {name}", content_filter=only)
    destinations = fields.pop("destinations", [push(NOWHERE)])
    desk.newsroom.subscriber(name, *destinations, products=[product], **fields)


Copies = Callable[..., dict[str, list[str]]]


@pytest.fixture
def copies(desk: Newsdesk) -> Copies:
    """Return the copies of a package that wait: subscriber name to the members in it."""

    def of(package: Document, action: str = "published") -> dict[str, list[str]]:
        names = {s["_id"]: s["name"] for s in desk.db["subscribers"].find({})}
        rows = desk.rows(item_id=package["_id"], publishing_action=action)
        return {names[row["subscriber_id"]]: members_in(desk, row) for row in rows}

    return of


def members_in(desk: Newsdesk, row: Document) -> list[str]:
    """Return the ids of the members in what a row of the delivery queue sends."""
    shown = desk.client.get(f"publish_queue/{row['_id']}").get_json()
    sent = json.loads(shown["formatted_item"])
    return [member["guid"] for member in sent.get("associations", {}).values()]


class TestPublish:
    def test_everybody_gets_the_members_received(
        self, desk: Newsdesk, graph: Graph, copies: Copies
    ) -> None:
        """Who is blocked from a story gets the package without it, wire gets none.

        Routing scenario 35.
        """
        desk.newsroom.subscriber("all", push(NOWHERE))
        subscriber_of(desk, "two", "flood,storm")
        subscriber_of(desk, "wire", "flood", subscriber_type="wire")
        subscriber_of(desk, "nothing of it", "rivers", api_products=[])
        flood, storm, vote = (desk.story(slugline=s) for s in ("flood", "storm", "vote"))
        package = desk.act("publish", packed(desk, flood, storm, vote))

        graph.enqueue.run()

        assert copies(package) == {
            "all": [flood["_id"], storm["_id"], vote["_id"]],
            "two": [flood["_id"], storm["_id"]],
        }
        who = {s["name"]: s["_id"] for s in desk.db["subscribers"].find({})}
        assert [r["item_id"] for r in desk.rows(subscriber_id=who["wire"])] == [flood["_id"]]
        trimmed = desk.row(item_id=package["_id"], subscriber_id=who["two"])
        sent = desk.client.get(f"publish_queue/{trimmed['_id']}").get_json()["formatted_item"]
        assert storm["_id"] in sent
        assert vote["_id"] not in sent

    def test_a_subscriber_without_any_member_stops_nobody_else(
        self, desk: Newsdesk, graph: Graph, copies: Copies
    ) -> None:
        """Routing contract 8.7 row 3: only that subscriber is left out."""
        for number, slugline in enumerate(("flood", "other", "flood", "other", "flood")):
            subscriber_of(desk, f"s{number}", slugline)
        flood = desk.story(slugline="flood")
        package = desk.act("publish", packed(desk, flood, desk.story(slugline="storm")))

        graph.enqueue.run()

        assert copies(package) == {name: [flood["_id"]] for name in ("s0", "s2", "s4")}

    def test_empty_groups_vanish(self, desk: Newsdesk, graph: Graph) -> None:
        """A group without a member that was received is not in the copy.

        Routing contract 8.7 row 3.
        """
        destination = {**push(NOWHERE), "format": "newsmlg2"}
        subscriber_of(desk, "s", "flood", destinations=[destination])
        flood, storm = desk.story(slugline="flood"), desk.story(slugline="storm")
        groups = in_groups(main=[flood], more=[storm])
        package = desk.act("publish", desk.story(type="composite", groups=groups))

        graph.enqueue.run()

        row = desk.row(item_id=package["_id"])
        sent = desk.client.get(f"publish_queue/{row['_id']}").get_json()["formatted_item"]
        assert 'id="main"' in sent
        assert "more" not in sent
        assert storm["_id"] not in sent

    def test_the_same_copy_is_formatted_once(self, desk: Newsdesk, graph: Graph) -> None:
        """Routing contract R13: as many payloads as there are different copies."""
        for number in range(3):
            subscriber_of(desk, f"flood {number}", "flood")
        for number in range(3):
            subscriber_of(desk, f"both {number}", "flood,storm")
        flood, storm = desk.story(slugline="flood"), desk.story(slugline="storm")
        package = desk.act("publish", packed(desk, flood, storm))

        graph.enqueue.run()

        assert len(desk.rows(item_id=package["_id"])) == 6
        assert desk.db["publish_payloads"].count_documents({"item_id": package["_id"]}) == 2

    def test_members_of_members_are_their_own_packages_business(
        self, desk: Newsdesk, graph: Graph, copies: Copies
    ) -> None:
        """A package in a package goes to those who received the inner one."""
        subscriber_of(desk, "flood", "flood")
        subscriber_of(desk, "vote", "vote")
        flood, vote = desk.story(slugline="flood"), desk.story(slugline="vote")
        inner = packed(desk, flood)
        outer = desk.act("publish", packed(desk, inner, vote))

        graph.enqueue.run()

        assert copies(inner) == {"flood": [flood["_id"]]}
        assert copies(outer) == {"flood": [inner["_id"]], "vote": [vote["_id"]]}

    def test_a_member_that_is_gone_stops_the_package(self, desk: Newsdesk, graph: Graph) -> None:
        """Routing contract 8.7 row 7: it ends in `error` and says which member is missing."""
        desk.newsroom.subscriber("all", push(NOWHERE))
        story = desk.published()
        package = desk.act("publish", packed(desk, story))
        desk.db["archive"].delete_one({"_id": story["_id"]})

        graph.enqueue.run()

        row = desk.db["published"].find_one({"item_id": package["_id"]})
        text = f"400: Package item with id: {story['_id']} has not been published."
        assert (row["queue_state"], row["error_message"]) == ("error", text)

    def test_says_why_somebody_gets_none(self, desk: Newsdesk, graph: Graph) -> None:
        """The explanation tells those with members from those without."""
        subscriber_of(desk, "flood", "flood")
        subscriber_of(desk, "other", "other")
        package = desk.act("publish", packed(desk, desk.story(slugline="flood")))
        graph.enqueue.run()

        explained = desk.client.get(f"explain/{package['_id']}").get_json()["subscribers"]

        assert {(s["name"], s["outcome"], s["reason"]) for s in explained} == {
            ("flood", "sent", "received members of the package"),
            ("other", "no member received", ""),
        }


class TestWhole:
    """Destinations that take packages with their members inside (`config.packaged`)."""

    def test_members_travel_inside(self, desk: Newsdesk, graph: Graph, copies: Copies) -> None:
        """Routing contract 8.6: no rows of their own for members, one for the package."""
        whole = push(NOWHERE, packaged=True)
        subscriber_of(desk, "s", "flood", destinations=[whole])
        flood = desk.story(slugline="flood")
        package = desk.act("publish", packed(desk, flood, desk.story(slugline="storm")))

        graph.enqueue.run()

        assert [row["item_id"] for row in desk.rows()] == [package["_id"]]
        assert copies(package) == {"s": [flood["_id"]]}
        explained = desk.client.get(f"explain/{flood['_id']}").get_json()["subscribers"]
        assert [s["outcome"] for s in explained] == ["inside a package"]

    def test_who_matches_the_package_gets_the_members_that_match(
        self, desk: Newsdesk, graph: Graph, copies: Copies
    ) -> None:
        """Members that went out before, trimmed, to the destination that takes them.

        Routing contract 8.7 row 5.
        """
        flood, storm = desk.published(slugline="flood"), desk.published(slugline="storm")
        graph.enqueue.run()
        plain = {**push(NOWHERE), "_id": "plain", "name": "plain"}
        whole = push(NOWHERE, packaged=True)
        subscriber_of(desk, "late", "flood,rivers", destinations=[plain, whole])
        subscriber_of(desk, "plain", "flood,rivers")
        subscriber_of(desk, "no member", "rivers", destinations=[whole])
        package = desk.act("publish", packed(desk, flood, storm, slugline="rivers"))

        graph.enqueue.run()

        assert copies(package) == {"late": [flood["_id"]]}
        assert desk.row(item_id=package["_id"])["destination"]["name"] == "push"
        desk.act("correct", package, headline="Mended")
        graph.enqueue.run()
        assert copies(package, "corrected") == {"late": [flood["_id"]]}
        assert len(desk.rows(item_id=package["_id"])) == 2


class TestFollowUps:
    def test_a_member_leaves_and_another_comes(
        self, desk: Newsdesk, graph: Graph, copies: Copies
    ) -> None:
        """All recipients get it without the member; one that is added goes first.

        Routing scenario 36.
        """
        desk.newsroom.subscriber("all", push(NOWHERE))
        subscriber_of(desk, "flood", "flood")
        subscriber_of(desk, "vote", "vote")
        flood, storm, vote = (desk.story(slugline=s) for s in ("flood", "storm", "vote"))
        package = desk.act("publish", packed(desk, flood, storm))
        graph.enqueue.run()

        desk.act("correct", package, groups=in_groups(main=[storm, vote]))
        graph.enqueue.run()

        assert copies(package, "corrected") == {
            "all": [storm["_id"], vote["_id"]],
            "flood": [],
            "vote": [vote["_id"]],
        }
        added, corrected = desk.rows(item_id=vote["_id"])[0], desk.rows(item_id=package["_id"])[-1]
        assert (added["publishing_action"], corrected["publishing_action"]) == (
            "published",
            "corrected",
        )
        assert added["order_no"] < corrected["order_no"]

    def test_a_corrected_member_is_in_the_package_of_those_who_got_the_correction(
        self, desk: Newsdesk, graph: Graph, copies: Copies
    ) -> None:
        """Received is what was received in the version that the package holds.

        Routing contract 8.7 row 2.
        """
        desk.newsroom.subscriber("stays", push(NOWHERE))
        desk.newsroom.subscriber("away", push(NOWHERE))
        flood = desk.story(slugline="flood")
        package = desk.act("publish", packed(desk, flood))
        graph.enqueue.run()
        away = {"name": "away"}
        desk.db["subscribers"].update_one(away, {"$set": {"is_active": False}})
        desk.act("correct", desk.client.get(f"archive/{flood['_id']}").get_json())
        graph.enqueue.run()

        desk.db["subscribers"].update_one(away, {"$set": {"is_active": True}})
        desk.act("correct", desk.client.get(f"archive/{package['_id']}").get_json())
        graph.enqueue.run()

        assert [row["item_version"] for row in desk.rows(item_id=package["_id"])] == [2, 2, 3, 4, 4]
        assert copies(package, "corrected") == {"stays": [flood["_id"]], "away": []}

    def test_an_empty_correction_is_an_error(self, desk: Newsdesk, graph: Graph) -> None:
        """Routing contract 8.7 row 8: of a package that others emptied."""
        desk.newsroom.subscriber("all", push(NOWHERE))
        package = desk.act("publish", packed(desk, desk.published()))
        graph.enqueue.run()
        desk.act("correct", package)
        newest = {"item_id": package["_id"], "state": "corrected"}
        desk.db["published"].update_one(newest, {"$set": {"groups": in_groups(main=[])}})

        graph.enqueue.run()

        row = desk.db["published"].find_one(newest)
        text = "400: Corrected package cannot be empty!"
        assert (row["queue_state"], row["error_message"]) == ("error", text)

    @pytest.mark.parametrize(
        ("operation", "action"),
        [("kill", "killed"), ("takedown", "recalled"), ("unpublish", "unpublished")],
    )
    def test_a_withdrawal_goes_to_all_who_have_it(
        self, desk: Newsdesk, graph: Graph, copies: Copies, operation: str, action: str
    ) -> None:
        """With what their copies held, also when nothing is left of it.

        Routing contract 8.7 rows 2, 3.
        """
        desk.newsroom.subscriber("all", push(NOWHERE))
        subscriber_of(desk, "flood", "flood")
        flood, storm = desk.story(slugline="flood"), desk.story(slugline="storm")
        package = desk.act("publish", packed(desk, flood, storm))
        graph.enqueue.run()
        package = desk.act("correct", package, groups=in_groups(main=[storm]))
        graph.enqueue.run()
        desk.newsroom.subscriber("never had it", push(NOWHERE))

        desk.act(operation, package)
        graph.enqueue.run()

        assert copies(package, action) == {"all": [storm["_id"]], "flood": []}

    def test_copies_are_known_when_the_queue_is_purged(
        self, desk: Newsdesk, graph: Graph, copies: Copies
    ) -> None:
        """Routing contract R7: the ledger says who has which members, not the rows."""
        subscriber_of(desk, "flood", "flood")
        flood = desk.story(slugline="flood")
        package = desk.act("publish", packed(desk, flood, desk.story(slugline="storm")))
        graph.enqueue.run()
        desk.db["publish_queue"].delete_many({})

        desk.act("correct", package)
        graph.enqueue.run()

        assert copies(package, "corrected") == {"flood": [flood["_id"]]}


class TestOrder:
    def test_a_package_waits_for_members_that_another_run_routes(
        self, desk: Newsdesk, graph: Graph, clock: HandClock, copies: Copies
    ) -> None:
        """It is routed after everything earlier of its members.

        Routing contract 12, order guarantee.
        """
        desk.newsroom.subscriber("all", push(NOWHERE))
        flood = desk.story(slugline="flood")
        package = desk.act("publish", packed(desk, flood))
        lease = clock.precise() + timedelta(seconds=60)
        taken = {"queue_state": "in_progress", "queue_owner": "other", "queue_lease_until": lease}
        desk.db["published"].update_one({"item_id": flood["_id"]}, {"$set": taken})

        graph.enqueue.run()
        assert desk.rows() == []
        clock.advance(seconds=61)
        graph.enqueue.run()

        assert copies(package) == {"all": [flood["_id"]]}

    def test_a_scheduled_package_waits_for_its_members_too(
        self, desk: Newsdesk, graph: Graph, clock: HandClock, copies: Copies
    ) -> None:
        """Members whose hour has come hold the package up until they are routed."""
        desk.newsroom.subscriber("all", push(NOWHERE))
        flood = desk.story(slugline="flood")
        hour = (clock.now() + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S+0000")
        package = desk.act("publish", packed(desk, flood), publish_schedule=hour)
        clock.advance(hours=1, minutes=1)
        lease = clock.precise() + timedelta(seconds=60)
        taken = {"queue_state": "in_progress", "queue_owner": "other", "queue_lease_until": lease}
        desk.db["published"].update_one({"item_id": flood["_id"]}, {"$set": taken})

        graph.enqueue.run()
        assert desk.rows() == []
        clock.advance(seconds=61)
        graph.enqueue.run()

        assert copies(package) == {"all": [flood["_id"]]}

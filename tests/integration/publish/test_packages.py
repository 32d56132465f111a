"""Packages on the publish actions: members, levels, corrections, kills, crashes."""

from collections.abc import Callable
from typing import Any

import pytest

from app import create_app
from apps.core.service import Document
from apps.graph.build import Graph, build_graph
from tests.support.clients import log_in, make_user
from tests.support.commands import CommandCounter
from tests.support.crashes import DEATHS
from tests.support.dying import MOST_WRITES, complete_abandoned, dies
from tests.support.newsdesk import HandClock, Newsdesk

REFUSED = "validator exception"
IN_PACKAGE = "400: This item is in a package. It needs to be removed before the item can be killed"


@pytest.fixture
def eager() -> bool:
    """Tasks run at once."""
    return True


@pytest.fixture(autouse=True)
def package_validators(desk: Newsdesk) -> None:
    desk.newsroom.validators(item_type="composite")


def groups(*members: Document) -> list[Document]:
    return [
        {"id": "root", "role": "grpRole:NEP", "refs": [{"idRef": "main"}]},
        {"id": "main", "refs": [{"residRef": member["_id"]} for member in members]},
    ]


@pytest.fixture
def package(desk: Newsdesk) -> Callable[..., Document]:
    def create(*members: Document, **fields: Any) -> Document:
        return desk.story(type="composite", groups=groups(*members), **fields)

    return create


Package = Callable[..., Document]


def stored(desk: Newsdesk, item: Document) -> Document:
    return dict(desk.client.get(f"archive/{item['_id']}").get_json())


def rows(desk: Newsdesk, *items: Document) -> list[Document]:
    """Return published rows in publication order."""
    wanted = {"item_id": {"$in": [item["_id"] for item in items]}}
    return list(desk.db["published"].find(wanted).sort("publish_sequence_no", 1))


def refusal(desk: Newsdesk, operation: str, item: Document, body: Any = None) -> str:
    answer = desk.client.patch(f"archive/{operation}/{item['_id']}", body or {})
    assert answer.status_code == 400, answer.text
    return str(answer.get_json()["_issues"][REFUSED])


def versions_in(package: Document) -> list[int]:
    return [ref["_current_version"] for ref in package["groups"][1]["refs"]]


class TestPublish:
    def test_members_go_out_first(self, desk: Newsdesk, package: Package) -> None:
        """Lifecycle scenario 44: three rows, members first, refs carry the members' versions."""
        first, second = desk.story(), desk.story()
        whole = package(first, second)

        published = desk.act("publish", whole)

        out = rows(desk, first, second, whole)
        assert [first["_id"], second["_id"], whole["_id"]] == [row["item_id"] for row in out]
        assert [whole["_id"], whole["_id"], None] == [r.get("published_in_package") for r in out]
        assert ("published", [2, 2], 2) == (
            published["state"],
            versions_in(published),
            published["_current_version"],
        )
        assert [2, 2] == versions_in(stored(desk, whole)) == versions_in(out[2])

    def test_all_levels_go_out(self, desk: Newsdesk, package: Package) -> None:
        """A package in a package goes out before it and after its own members.

        Lifecycle scenario 44.
        """
        story = desk.story()
        inner = package(story)
        outer = package(inner)

        desk.act("publish", outer)

        assert [story["_id"], inner["_id"], outer["_id"]] == [
            row["item_id"] for row in rows(desk, story, inner, outer)
        ]
        assert "published" == stored(desk, inner)["state"]

    def test_leaves_members_alone_that_are_out(self, desk: Newsdesk, package: Package) -> None:
        """Lifecycle contract 5.7: only members that have not left the newsroom are published."""
        story = desk.published()
        whole = package(story)

        published = desk.act("publish", whole)

        assert 1 == len(rows(desk, story))
        assert [2] == versions_in(published)

    def test_schedules_its_members(self, desk: Newsdesk, package: Package) -> None:
        """Members of a scheduled package wait for the same hour."""
        story = desk.story()
        whole = package(story)

        desk.act("publish", whole, publish_schedule="2099-01-01T00:00:00+0000")

        member = stored(desk, story)
        assert ("scheduled", "2099-01-01T00:00:00+0000") == (
            member["state"],
            member["publish_schedule"],
        )

    @DEATHS
    def test_is_whole_after_a_crash_at_any_write(
        self, desk: Newsdesk, package: Package, graph: Graph, stride: int
    ) -> None:
        """A repeated request publishes what is missing, members first, and nothing twice."""
        for before in range(1, MOST_WRITES, stride):
            first, second = desk.story(), desk.story()
            inner = package(second)
            whole = package(first, inner)

            died = dies(graph, "publish", whole, before)
            if stored(desk, whole)["state"] != "published":
                desk.act("publish", whole)
            complete_abandoned(graph)

            order = [first["_id"], second["_id"], inner["_id"], whole["_id"]]
            out = [row["item_id"] for row in rows(desk, first, second, inner, whole)]
            assert (before, order) == (before, out)
            if not died:
                return
        pytest.fail(f"more than {MOST_WRITES} writes")

    def test_refuses_an_empty_package(self, desk: Newsdesk, package: Package) -> None:
        """Lifecycle scenario 45."""
        assert "400: Empty package cannot be published!" == refusal(desk, "publish", package())

    def test_refuses_a_package_under_embargo(self, desk: Newsdesk, package: Package) -> None:
        """Lifecycle scenario 42: also in the request that publishes it."""
        whole = package(desk.story())

        text = refusal(desk, "publish", whole, {"embargo": "2099-01-01T00:00:00+0000"})

        assert "Package" in text
        assert [] == rows(desk, whole)

    def test_refuses_a_missing_member(self, desk: Newsdesk, package: Package) -> None:
        """Lifecycle contract 5.7: a member that is gone is named; nothing goes out."""
        kept, gone = desk.story(), desk.story()
        whole = package(kept, gone)
        desk.db["archive"].delete_one({"_id": gone["_id"]})

        text = refusal(desk, "publish", whole)

        assert f"400: Package item with id: {gone['_id']} does not exist." == text
        assert [] == rows(desk, kept)

    def test_refuses_a_draft_member(self, desk: Newsdesk, package: Package) -> None:
        """Lifecycle contract 2.3: the state of a member counts like the package's own."""
        whole = package(desk.story(state="draft"))

        assert refusal(desk, "publish", whole) == (
            "412: Can't publish as either package state or one of the items state is draft"
        )

    def test_refuses_a_member_that_is_not_for_publication(
        self, desk: Newsdesk, package: Package
    ) -> None:
        """A package is no way around the flag of its member."""
        whole = package(desk.story(flags={"marked_for_not_publication": True}))

        text = refusal(desk, "publish", whole)

        assert "400: Cannot publish an item which is marked as Not for Publication" == text

    def test_costs_four_commands_more_for_each_member(
        self, desk: Newsdesk, package: Package, settings: dict[str, Any], clock: HandClock
    ) -> None:
        """Reads are made once for the whole package: at most 12 commands, and 4 per member."""
        # The first publication of all makes the counter that the others draw from.
        desk.published()
        counter = CommandCounter()
        own = {**settings, "CELERY_TASK_ALWAYS_EAGER": False}
        graph = build_graph(own, clock=clock, listeners=[counter])
        client = log_in(create_app(graph=graph), "admin")
        for size in (1, 5):
            whole = package(*(desk.story() for _ in range(size)))
            counter.count = 0

            path = f"archive/publish/{whole['_id']}"
            answer = client.patch(path, {}, etag=whole["_etag"])

            assert (200, True) == (answer.status_code, counter.count <= 12 + 4 * size)
        graph.close()

    def test_refuses_a_spiked_member(self, desk: Newsdesk, package: Package) -> None:
        """Lifecycle scenario 48."""
        story = desk.story()
        whole = package(story)
        desk.db["archive"].update_one({"_id": story["_id"]}, {"$set": {"state": "spiked"}})

        text = refusal(desk, "publish", whole)

        assert "['Item cannot contain associated spiked item.']" == text

    def test_looks_at_what_members_hold(self, desk: Newsdesk, package: Package) -> None:
        """Associations of members count, at any depth, before the member itself.

        Lifecycle contract 4.6.
        """
        embedded = {
            "_id": "publish_embedded_picture",
            "act": "publish",
            "type": "picture",
            "embedded": True,
            "schema": {"slugline": {"type": "string", "required": True}},
        }
        desk.db["validators"].insert_one(embedded)
        picture = desk.story(type="picture", headline="Flood", slugline="")
        spiked = desk.story(type="picture")
        desk.act("spike", spiked)
        media = {"_id": picture["_id"], "type": "picture", "state": "fetched"}
        deep = desk.story(associations={"featuremedia": media})
        bin_media = {"_id": spiked["_id"], "type": "picture"}
        member = desk.story(associations={"featuremedia": bin_media, "editor_0": None})
        whole = package(package(deep), member)

        text = refusal(desk, "publish", whole)

        assert (
            "['Associated item  Flood: SLUGLINE empty values not allowed', "
            "'Item cannot contain associated spiked item.']"
        ) == text
        assert [] == rows(desk, deep, member, whole)

    def test_collects_what_is_wrong_with_members(self, desk: Newsdesk, package: Package) -> None:
        """Lifecycle scenario 47: members come before the package that holds them."""
        rule = {"abstract": {"type": "string", "required": True}}
        desk.db["validators"].update_one({"_id": "publish_text"}, {"$set": {"schema": rule}})
        rule = {"headline": {"type": "string", "required": True}}
        desk.db["validators"].update_one({"_id": "publish_composite"}, {"$set": {"schema": rule}})
        inner = package(desk.story(slugline=None, headline="test"), headline=None, slugline="in")

        text = refusal(desk, "publish", package(inner))

        assert text == str(
            [
                "Associated item  test: ABSTRACT is a required field",
                f"Associated item in {inner['_id']}: HEADLINE is a required field",
            ]
        )


class TestCorrectMember:
    def test_corrects_every_level_around_it(self, desk: Newsdesk, package: Package) -> None:
        """Lifecycle scenario 49: refs show headline and version; each level gets one row more."""
        story = desk.story()
        inner = package(story)
        outer = package(inner)
        desk.act("publish", outer)

        desk.act("correct", story, headline="Rivers fall")

        ref = stored(desk, inner)["groups"][1]["refs"][0]
        assert ("Rivers fall", 3) == (ref["headline"], ref["_current_version"])
        assert [("corrected", 3), ("corrected", 3)] == [
            (p["state"], p["_current_version"]) for p in (stored(desk, inner), stored(desk, outer))
        ]
        assert [
            (story["_id"], "corrected"),
            (inner["_id"], "corrected"),
            (outer["_id"], "corrected"),
        ] == [(r["item_id"], r["state"]) for r in rows(desk, story, inner, outer)[3:]]

    def test_leaves_unpublished_packages_alone(self, desk: Newsdesk, package: Package) -> None:
        """Lifecycle scenario 50."""
        story = desk.published()
        whole = package(story)

        desk.act("correct", story, headline="Rivers fall")

        assert ("fetched", whole["_etag"]) == (
            stored(desk, whole)["state"],
            stored(desk, whole)["_etag"],
        )


class TestCorrectPackage:
    def test_adds_and_removes_members(self, desk: Newsdesk, package: Package) -> None:
        """A new member is published and linked, one that goes loses its link.

        Lifecycle scenario 51.
        """
        stays, goes, comes = desk.story(), desk.story(), desk.story()
        whole = package(stays, goes)
        desk.act("publish", whole)

        corrected = desk.act("correct", whole, groups=groups(stays, comes))

        assert ("corrected", [2, 2]) == (corrected["state"], versions_in(corrected))
        assert ("published", "published") == (
            stored(desk, comes)["state"],
            stored(desk, goes)["state"],
        )
        assert ([{"package": whole["_id"]}], []) == (
            stored(desk, comes)["linked_in_packages"],
            stored(desk, goes)["linked_in_packages"],
        )
        assert 1 == len(rows(desk, stays))

    def test_refuses_to_empty_it(self, desk: Newsdesk, package: Package) -> None:
        """Lifecycle scenario 51."""
        whole = package(desk.story())
        desk.act("publish", whole)

        text = refusal(desk, "correct", whole, {"groups": groups()})

        assert "['Corrected package cannot be empty!']" == text

    def test_refuses_groups_that_do_not_hang_together(
        self, desk: Newsdesk, package: Package
    ) -> None:
        """Lifecycle contract 1.9: the rules of a save hold for a correction."""
        whole = package(desk.story())
        desk.act("publish", whole)

        text = refusal(desk, "correct", whole, {"groups": groups()[1:]})

        assert "403: Root group is missing." == text


class TestWithdraw:
    @pytest.mark.parametrize("operation", ["kill", "takedown"])
    def test_members_of_living_packages_stay(
        self, desk: Newsdesk, package: Package, operation: str
    ) -> None:
        """Lifecycle scenario 52: first the package, then its members, inner packages among them."""
        story = desk.story()
        inner = package(story)
        outer = package(inner)
        desk.act("publish", outer)

        assert [IN_PACKAGE, IN_PACKAGE] == [refusal(desk, operation, i) for i in (story, inner)]
        for item in (outer, inner, story):
            desk.act(operation, item)

        assert 6 == len(rows(desk, story, inner, outer))

    def test_unpublish_asks_no_package(self, desk: Newsdesk, package: Package) -> None:
        """Lifecycle scenario 52."""
        story = desk.story()
        desk.act("publish", package(story))

        assert "unpublished" == desk.act("unpublish", story)["state"]


class TestPublishedPackageItems:
    def test_adds_published_items_and_corrects_the_package(
        self, desk: Newsdesk, package: Package
    ) -> None:
        """Lifecycle contract 3.12: missing groups are made, links set, the package is corrected."""
        first, second = desk.story(), desk.published()
        whole = package(first)
        desk.act("publish", whole)

        answer = desk.client.post(
            "published_package_items",
            {
                "package_id": whole["_id"],
                "new_items": [{"group": "side", "item_id": second["_id"]}],
            },
        )

        assert 201 == answer.status_code, answer.text
        after = stored(desk, whole)
        assert "corrected" == after["state"]
        assert [{"idRef": "main"}, {"idRef": "side"}] == after["groups"][0]["refs"]
        assert [second["_id"]] == [ref["residRef"] for ref in after["groups"][2]["refs"]]
        assert [{"package": whole["_id"]}] == stored(desk, second)["linked_in_packages"]

    def test_only_stores_items_that_are_not_out(self, desk: Newsdesk, package: Package) -> None:
        """Lifecycle contract 3.12: without a new member that is out there is nothing to correct."""
        whole = package(desk.story())
        desk.act("publish", whole)
        new = desk.story()

        desk.client.create(
            "published_package_items",
            {"package_id": whole["_id"], "new_items": [{"group": "main", "item_id": new["_id"]}]},
        )

        after = stored(desk, whole)
        assert ("published", 1) == (after["state"], len(rows(desk, whole)))
        assert new["_id"] == after["groups"][1]["refs"][-1]["residRef"]
        assert [{"package": whole["_id"]}] == stored(desk, new)["linked_in_packages"]

    def test_refuses_what_it_cannot_add(self, desk: Newsdesk, package: Package) -> None:
        """Lifecycle contract 3.12: each refusal has its text."""
        story = desk.story()
        draft, inner = package(story), package(story)
        outer = package(inner)
        desk.act("publish", outer)

        def message(package_id: str, item_id: str) -> tuple[int, str]:
            new = [{"group": "main", "item_id": item_id}]
            body = {"package_id": package_id, "new_items": new}
            answer = desk.client.post("published_package_items", body)
            return answer.status_code, answer.get_json()["_message"]

        assert [
            (400, "Invalid package identifier"),
            (400, "Package was not published"),
            (400, "Invalid item identifier  none"),
            (400, f"Circular reference in item {outer['_id']}"),
        ] == [
            message("none", story["_id"]),
            message(draft["_id"], story["_id"]),
            message(inner["_id"], "none"),
            message(inner["_id"], outer["_id"]),
        ]


class TestLocks:
    @pytest.fixture
    def settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        return {**settings, "PUBLISH_ASSOCIATED_ITEMS": True}

    def test_refuses_locked_members(
        self, desk: Newsdesk, package: Package, app: Any, graph: Graph
    ) -> None:
        """Lifecycle scenario 46: a member that somebody works on holds the package back."""
        story = desk.story(headline="Flood")
        whole = package(story)
        desk.newsroom.join(make_user(graph, "other", user_type="administrator"))
        other = log_in(app, "other")
        other.create(f"archive/{story['_id']}/lock", {"lock_action": "edit"})

        foreign = refusal(desk, "publish", whole)
        other.create(f"archive/{story['_id']}/unlock", {})
        for item in (whole, story):
            desk.client.create(f"archive/{item['_id']}/lock", {"lock_action": "edit"})
        own = refusal(desk, "publish", whole)

        assert "['Flood: packaged item is locked by another user']" == foreign
        assert "['Flood: packaged item is locked by you. Unlock it and try again']" == own

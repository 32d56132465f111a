"""What clients are told about items (lifecycle contract 6; resources contract 26)."""

from collections.abc import Iterator
from typing import Any

import pytest

from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.clients import Client
from tests.support.events import Events
from tests.support.newsroom import Newsroom


@pytest.fixture
def newsroom(graph: Graph) -> Newsroom:
    newsroom = Newsroom(graph.db)
    newsroom.validators()
    return newsroom


@pytest.fixture
def story(admin: Client, newsroom: Newsroom) -> Document:
    return admin.create("archive", newsroom.story())


@pytest.fixture
def events(settings: Any, story: Document) -> Iterator[Events]:
    """Everything that is told after the story was created."""
    with Events(settings["REDIS_URL"], settings["NOTIFICATION_CHANNEL"]) as events:
        yield events


def names(told: Document) -> tuple[list[str], list[str], list[str]]:
    return sorted(told["items"]), sorted(told["desks"]), sorted(told["stages"])


class TestContentUpdate:
    """`content:update` names items with the desks and stages that show them."""

    def test_after_a_post(self, admin: Client, newsroom: Newsroom, events: Events) -> None:
        """A new item, on its desk and stage."""
        item = admin.create("archive", newsroom.story())

        (told,) = events.named("content:update")
        task = newsroom.task
        assert ([item["_id"]], [task["desk"]], [task["stage"]]) == names(told)
        assert admin.session["user"] == told["user"]

    def test_after_a_save_to_another_stage(
        self, admin: Client, newsroom: Newsroom, events: Events, story: Document
    ) -> None:
        """Both places: it vanishes here and appears there."""
        there = newsroom._desk("Culture")
        task = {"desk": str(there["_id"]), "stage": str(there["working_stage"])}

        admin.patch(f"archive/{story['_id']}", {"task": task})

        (told,) = events.named("content:update")
        desks = sorted([task["desk"], newsroom.task["desk"]])
        stages = sorted([task["stage"], newsroom.task["stage"]])
        assert ([story["_id"]], desks, stages) == names(told)

    def test_after_a_put(self, admin: Client, events: Events, story: Document) -> None:
        """A document that took the item's place."""
        headers = {"If-Match": story["_etag"]}
        path = f"archive/{story['_id']}"
        assert (
            200 == admin.request("PUT", path, json={"headline": "x"}, headers=headers).status_code
        )

        (told,) = events.named("content:update")
        assert [story["_id"]] == names(told)[0]

    @pytest.mark.parametrize("operation", ["correct", "kill", "takedown", "unpublish"])
    def test_after_a_publish_action(
        self, admin: Client, events: Events, story: Document, operation: str
    ) -> None:
        """Together with `item:publish`, for each of the actions."""
        for action in ("publish", operation):
            answer = admin.patch(f"archive/{action}/{story['_id']}", {})
            assert 200 == answer.status_code, answer.text

        assert [[story["_id"]]] * 2 == [names(t)[0] for t in events.named("content:update")][:2]
        expected = {
            "item": story["_id"],
            "unique_name": story["unique_name"],
            "desk": story["task"]["desk"],
            "user": admin.session["user"],
        }
        assert [expected] * 2 == events.named("item:publish")

    def test_after_a_translation(self, admin: Client, events: Events, story: Document) -> None:
        """The source and its translation."""
        body = {"guid": story["_id"], "language": "de"}
        translated = admin.create("archive/translate", body)

        (told,) = events.named("content:update")
        assert sorted([story["_id"], translated["_id"]]) == names(told)[0]

    def test_after_the_unlock_of_an_unsaved_draft(self, admin: Client, events: Events) -> None:
        """It is gone, which `item:expired` says, too."""
        draft = admin.create("archive", {"version": 0, "headline": "x"})
        admin.create(f"archive/{draft['_id']}/lock", {})
        admin.create(f"archive/{draft['_id']}/unlock", {})

        assert [draft["_id"]] == names(events.named("content:update")[-1])[0]
        assert [{"items": {draft["_id"]: 1}}] == events.named("item:expired")


class TestStage:
    """`task:stage` and `task:new`: what stands where."""

    def test_of_a_move_and_of_a_save(
        self, admin: Client, newsroom: Newsroom, events: Events, story: Document
    ) -> None:
        """Both name the stages and desks of before and after."""
        desk, here = newsroom.task["desk"], newsroom.task["stage"]
        there = str(newsroom.desk["incoming_stage"])

        admin.create(f"archive/{story['_id']}/move", {"task": {"desk": desk, "stage": there}})
        admin.patch(f"archive/{story['_id']}", {"task": {"desk": desk, "stage": here}})
        admin.patch(f"archive/{story['_id']}", {"headline": "x"})

        place = {"new_desk": desk, "old_desk": desk}
        assert [
            {"new_stage": there, "old_stage": here, **place},
            {"new_stage": here, "old_stage": there, **place},
        ] == events.named("task:stage")

    def test_of_an_item_that_is_new_on_a_desk(
        self, admin: Client, newsroom: Newsroom, events: Events, story: Document
    ) -> None:
        """Posted, copied, rewritten and fetched items; personal ones are nobody's task."""
        newsroom.db["ingest"].insert_one({"_id": "wire", "type": "text", "state": "ingested"})
        desk = newsroom.task["desk"]

        admin.create("archive", {"headline": "mine"})
        admin.create(f"archive/{story['_id']}/duplicate", {"desk": None, "type": "archive"})
        personal = len(events.named("task:new"))
        admin.create("archive", newsroom.story())
        admin.create(f"archive/{story['_id']}/duplicate", {"desk": desk, "type": "archive"})
        admin.create("archive/translate", {"guid": story["_id"], "language": "de"})
        admin.create(f"archive/{story['_id']}/rewrite", {"desk_id": desk})
        admin.create("ingest/wire/fetch", {"desk": desk})

        assert (0, [{}] * 5) == (personal, events.named("task:new"))

    def test_of_an_item_that_comes_back(
        self, admin: Client, newsroom: Newsroom, events: Events, story: Document
    ) -> None:
        """An item leaves the bin for the incoming stage of its desk."""
        admin.patch(f"archive/spike/{story['_id']}", {})
        admin.patch(f"archive/unspike/{story['_id']}", {})

        (told,) = events.named("task:stage")
        incoming = str(newsroom.desk["incoming_stage"])
        assert (newsroom.task["stage"], incoming) == (told["old_stage"], told["new_stage"])


def test_marks_of_members_that_go_out_with_a_package(
    admin: Client, newsroom: Newsroom, events: Events, story: Document
) -> None:
    """A mark that goes is told, for nested publications too (lifecycle contract 5.1 step 19)."""
    newsroom.validators(item_type="composite")
    user = admin.session["user"]
    admin.patch(f"archive/{story['_id']}", {"marked_for_user": user})
    groups = [
        {"id": "root", "refs": [{"idRef": "main"}]},
        {"id": "main", "refs": [{"residRef": story["_id"]}]},
    ]
    package = admin.create("archive", newsroom.story(type="composite", groups=groups))

    answer = admin.patch(f"archive/publish/{package['_id']}", {})

    assert 200 == answer.status_code, answer.text
    expected = {"item_id": story["_id"], "user_list": [user], "extension": "markForUser"}
    assert [expected, expected] == events.named("item:marked")

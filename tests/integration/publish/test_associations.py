"""Associated items on the publish actions, with PUBLISH_ASSOCIATED_ITEMS on and off."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.clients import log_in, make_user
from tests.support.crashes import DEATHS
from tests.support.dying import MOST_WRITES, complete_abandoned, dies
from tests.support.newsdesk import HandClock, Newsdesk

REFUSED = "validator exception"


@pytest.fixture
def eager() -> bool:
    """Tasks run at once."""
    return True


def picture(desk: Newsdesk, **fields: Any) -> Document:
    return desk.story(**{"type": "picture", "headline": "Flood", **fields})


def media(item: Mapping[str, Any], **fields: Any) -> Document:
    return {"_id": item["_id"], "type": item["type"], **fields}


def with_picture(desk: Newsdesk, item: Mapping[str, Any], **fields: Any) -> Document:
    return desk.story(associations={"featuremedia": media(item, **fields)})


def stored(desk: Newsdesk, item: Mapping[str, Any]) -> Document:
    return dict(desk.client.get(f"archive/{item['_id']}").get_json())


def rows(desk: Newsdesk, *items: Mapping[str, Any]) -> list[Document]:
    """Return published rows in publication order."""
    wanted = {"item_id": {"$in": [item["_id"] for item in items]}}
    return list(desk.db["published"].find(wanted).sort("publish_sequence_no", 1))


def desk_row(desk: Newsdesk, item: Mapping[str, Any]) -> Document:
    """Return the last published row of an item."""
    return rows(desk, item)[-1]


def states(desk: Newsdesk, *items: Mapping[str, Any]) -> list[str]:
    return [stored(desk, item)["state"] for item in items]


def refusal(desk: Newsdesk, operation: str, item: Mapping[str, Any], body: Any = None) -> str:
    answer = desk.client.patch(f"archive/{operation}/{item['_id']}", body or {})
    assert answer.status_code == 400, answer.text
    return str(answer.get_json()["_issues"][REFUSED])


def related(desk: Newsdesk) -> None:
    desk.db["vocabularies"].insert_one({"_id": "media", "field_type": "related_content"})


class TestOff:
    def test_only_the_row_shows_the_action(self, desk: Newsdesk) -> None:
        """Lifecycle scenario 55: one row, whose association is published; the item's is not."""
        flood = picture(desk)
        story = with_picture(desk, flood)

        published = desk.act("publish", story)

        assert "fetched" == states(desk, flood)[0]
        assert "state" not in published["associations"]["featuremedia"]
        (row,) = rows(desk, story, flood)
        held = row["associations"]["featuremedia"]
        assert ("published", "publish") == (held["state"], held["operation"])

    def test_the_row_of_a_scheduled_story_shows_what_the_story_does(
        self, desk: Newsdesk, graph: Graph, clock: HandClock
    ) -> None:
        """Lifecycle contract 5.3: scheduled until the story is out; the picture stays behind."""
        flood = picture(desk)
        story = with_picture(desk, flood)
        desk.act("publish", story, publish_schedule="2030-01-01T13:00:00+0000")
        before = desk_row(desk, story)["associations"]["featuremedia"]

        clock.advance(hours=2)
        graph.enqueue.run()

        after = desk_row(desk, story)["associations"]["featuremedia"]
        assert ("scheduled", "published") == (before["state"], after["state"])
        assert "state" not in stored(desk, story)["associations"]["featuremedia"]
        assert ["published", "fetched"] == states(desk, story, flood)

    def test_asks_before_related_items_are_left_out(self, desk: Newsdesk) -> None:
        """Lifecycle contract 5.1 b: a warning that the request can answer in advance."""
        related(desk)
        other = desk.story()
        story = desk.story(associations={"media--1": media(other)})

        text = refusal(desk, "publish", story)
        confirmed = desk.client.patch(
            f"archive/publish/{story['_id']}", {}, publishing_warnings_confirmed="true"
        )

        assert json.loads(text) == {
            "warnings": [
                "There are unpublished related items that won't be sent out as related items. "
                "Do you want to publish the article anyway?"
            ]
        }
        assert 200 == confirmed.status_code
        shown = confirmed.get_json()["associations"]["media--1"]
        assert {"_id": other["_id"], "type": "text", "order": 1} == shown

    def test_asks_nothing_about_related_items_that_are_out(self, desk: Newsdesk) -> None:
        """Lifecycle contract 5.1 b: related items in a published state need no confirmation."""
        related(desk)
        story = desk.story(associations={"media--1": media(desk.published())})

        assert "published" == desk.act("publish", story)["state"]

    def test_checks_metadata_of_media(self, desk: Newsdesk) -> None:
        """Lifecycle scenario 58: what the media's profile requires, the association has to have."""
        schema = {"headline": {"type": "string", "required": True}}
        desk.db["content_types"].insert_one({"_id": "picture", "schema": schema})
        story = desk.story(associations={"featuremedia": {"type": "picture"}})

        answer = desk.client.patch(f"archive/publish/{story['_id']}", {})

        text = answer.get_json()["_issues"][REFUSED]
        assert "MEDIA'S HEADLINE is a required field" in text

    @pytest.mark.parametrize("state", ["killed", "recalled", "spiked", "scheduled"])
    def test_refuses_items_in_other_states(self, desk: Newsdesk, state: str) -> None:
        """Lifecycle contract 4.6: what was withdrawn, or waits while its parent does not."""
        flood = picture(desk)
        story = with_picture(desk, flood)
        desk.db["archive"].update_one({"_id": flood["_id"]}, {"$set": {"state": state}})

        text = refusal(desk, "publish", story)

        assert f"['Item cannot contain associated {state} item.']" == text

    def test_validates_what_is_not_out(self, desk: Newsdesk) -> None:
        """Lifecycle contract 4.6: associations have validators of their own, marked as embedded."""
        flood = picture(desk, slugline=None)
        story = with_picture(desk, flood)
        rule = {"slugline": {"type": "string", "required": True}}
        desk.db["validators"].insert_one(
            {"act": "publish", "type": "picture", "embedded": True, "schema": rule}
        )

        text = refusal(desk, "publish", story)

        assert "['Associated item  Flood: SLUGLINE is a required field']" == text

    def test_refuses_embargoed_items(self, desk: Newsdesk) -> None:
        """Lifecycle contract 4.6."""
        flood = picture(desk, embargo="2099-01-01T00:00:00+0000")

        text = refusal(desk, "publish", with_picture(desk, flood))

        assert "['Item cannot have associated items with Embargo']" == text

    def test_counts_a_picture_that_comes_with_the_publication(self, desk: Newsdesk) -> None:
        """Lifecycle scenario 59."""
        flood, story = picture(desk), desk.story()

        desk.act("publish", story, associations={"featuremedia": media(flood)})
        desk.act("correct", story, associations={"featuremedia": media(flood)})

        used = stored(desk, flood)
        assert (True, 1) == (used["used"], used["used_count"])


class TestRefresh:
    def test_takes_what_a_newer_item_says(self, desk: Newsdesk) -> None:
        """Lifecycle contract 5.9: metadata follow the newer item, headline and byline do not."""
        flood = picture(desk)
        story = with_picture(desk, flood, headline="Road", slugline="old", _current_version=1)
        desk.client.patch(f"archive/{flood['_id']}", {"slugline": "new", "headline": "Other"})

        held = desk.act("publish", story)["associations"]["featuremedia"]

        assert ("Road", "new") == (held["headline"], held["slugline"])

    def test_only_fills_gaps_otherwise(self, desk: Newsdesk) -> None:
        """Lifecycle contract 5.9: an association that is as new as its item keeps what it says."""
        flood = picture(desk, ednote="wet")
        story = with_picture(desk, flood, slugline="own", _current_version=1)

        held = desk.act("publish", story)["associations"]["featuremedia"]

        assert ("own", "wet") == (held["slugline"], held["ednote"])

    @pytest.mark.parametrize("key", ["featuremedia", "media--1", "editor_0"])
    @pytest.mark.parametrize("version", [{}, {"_current_version": None}])
    def test_takes_what_the_item_says_where_versions_are_missing(
        self, desk: Newsdesk, key: str, version: Document
    ) -> None:
        """Lifecycle contract 5.9: nobody knows which of both is newer."""
        own = {
            "headline": "Road",
            "byline": "by own",
            "usageterms": "own",
            "alt_text": "own",
            "description_text": "own",
        }
        flood = picture(desk, ednote="wet", byline="by other", usageterms="none")
        held = media(flood, **own, slugline="old", keywords=["old"], **version)
        story = desk.story(associations={key: held})
        saved = {"slugline": "new", "keywords": ["new"]}
        desk.client.patch(f"archive/{flood['_id']}", saved)

        shown = desk.act("publish", story)["associations"][key]

        assert own == {name: shown[name] for name in own}
        assert ("new", ["new"], "wet") == (shown["slugline"], shown["keywords"], shown["ednote"])


class TestMetadataFromParent:
    @pytest.fixture
    def settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        return {**settings, "COPY_METADATA_FROM_PARENT": True}

    def test_media_take_it(self, desk: Newsdesk) -> None:
        """Subjects, categories, slugline ... of media are those of the story.

        Lifecycle contract 5.9.
        """
        flood = picture(desk, slugline="flood")

        held = desk.act("publish", with_picture(desk, flood))["associations"]["featuremedia"]

        assert "rivers" == held["slugline"]
        assert "flood" == stored(desk, flood)["slugline"]


class TestOn:
    @pytest.fixture
    def settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        return {**settings, "PUBLISH_ASSOCIATED_ITEMS": True}

    def test_publishes_the_picture_first(self, desk: Newsdesk) -> None:
        """Lifecycle scenario 53: both have rows, and the association is published."""
        flood = picture(desk)
        story = with_picture(desk, flood, headline="Road")

        held = desk.act("publish", story)["associations"]["featuremedia"]

        assert [flood["_id"], story["_id"]] == [r["item_id"] for r in rows(desk, story, flood)]
        assert ("published", "publish", True, 2) == (
            held["state"],
            held["operation"],
            held["is_queued"],
            held["_current_version"],
        )
        assert ("published", "Road") == (
            stored(desk, flood)["state"],
            stored(desk, flood)["headline"],
        )

    def test_stores_related_items_by_their_names(self, desk: Newsdesk) -> None:
        """Lifecycle scenario 53: published too, but stored as id, type and order."""
        related(desk)
        other = desk.story()
        story = desk.story(associations={"media--1": media(other, headline="x", order=2)})

        held = desk.act("publish", story)["associations"]["media--1"]

        assert {"_id": other["_id"], "type": "text", "order": 2} == held
        assert ["published"] == states(desk, other)

    def test_names_the_item_that_is_missing(self, desk: Newsdesk) -> None:
        """Lifecycle scenario 54: nothing is stored."""
        story = desk.story(associations={"featuremedia": {"_id": "none", "type": "picture"}})

        text = refusal(desk, "publish", story)

        assert '400: Associated item "featuremedia" does not exist in the system' == text
        assert ["fetched"] == states(desk, story)

    def test_leaves_items_alone_that_are_not_fetchable(self, desk: Newsdesk) -> None:
        """Lifecycle contract 5.9: such an association only shows state and operation."""
        held = {"_id": "elsewhere", "type": "picture", "_fetchable": False}
        story = desk.story(associations={"featuremedia": held})

        published = desk.act("publish", story)["associations"]["featuremedia"]

        assert ("published", "publish") == (published["state"], published["operation"])

    def test_does_not_publish_twice(self, desk: Newsdesk) -> None:
        """Lifecycle contract 5.9: what is out already is marked with its state."""
        flood = picture(desk)
        desk.act("publish", flood)
        desk.act("correct", flood, headline="Great flood")

        held = desk.act("publish", with_picture(desk, flood))["associations"]["featuremedia"]

        assert ("corrected", 2) == (held["state"], len(rows(desk, flood)))

    def test_publishes_again_what_was_unpublished(self, desk: Newsdesk) -> None:
        """Lifecycle contract 5.9."""
        flood = picture(desk)
        desk.act("publish", flood)
        desk.act("unpublish", flood)

        desk.act("publish", with_picture(desk, flood))

        assert ["published"] == states(desk, flood)

    def test_schedules_with_the_story(self, desk: Newsdesk) -> None:
        """Lifecycle scenario 26: the picture waits for the same hour."""
        flood = picture(desk)

        desk.act("publish", with_picture(desk, flood), publish_schedule="2099-01-01T00:00:00+0000")

        assert ("scheduled", "2099-01-01T00:00:00+0000") == (
            stored(desk, flood)["state"],
            stored(desk, flood)["publish_schedule"],
        )

    @pytest.mark.parametrize("missing", ["association", "item"])
    @pytest.mark.parametrize("operation", ["publish", "correct"])
    def test_reverts_no_save_of_the_picture(
        self, desk: Newsdesk, missing: str, operation: str
    ) -> None:
        """Lifecycle contract 5.9: an association without a version, or an item without one."""
        flood = picture(desk, ednote="old")
        given = {} if missing == "association" else {"_current_version": 1}
        story = with_picture(desk, flood, slugline="old", headline="Road", ednote="old", **given)
        if operation == "correct":
            desk.act("publish", story)
            saved = {"slugline": "new", "ednote": "new", "copyrightholder": "new"}
            desk.db["archive"].update_one({"_id": flood["_id"]}, {"$set": saved})
            where = {"_id": story["_id"]}
            gone = {"associations.featuremedia._current_version": 1}
            desk.db["archive"].update_one(where, {"$unset": gone})
        else:
            saved = {"slugline": "new", "ednote": "new", "copyrightholder": "new"}
            assert desk.client.patch(f"archive/{flood['_id']}", saved).status_code == 200
        if missing == "item":
            where = {"_id": flood["_id"]}
            desk.db["archive"].update_one(where, {"$unset": {"_current_version": 1}})

        shown = desk.act(operation, stored(desk, story))["associations"]["featuremedia"]

        seen = stored(desk, flood)
        assert saved == {name: seen[name] for name in saved}
        assert ("new", "new", "Road") == (shown["slugline"], shown["ednote"], shown["headline"])
        assert rows(desk, flood)[-1]["slugline"] == "new"

    def test_shows_the_schedule_of_its_story(self, desk: Newsdesk, graph: Graph) -> None:
        """Of a picture that waits with it; not of one that is out, and not once it is out."""
        waiting, out = picture(desk), desk.published(type="picture", headline="Sun")
        held = {"featuremedia": media(waiting), "media--1": media(out)}
        story = desk.story(associations=held)
        times = {
            "publish_schedule": "2099-01-01T10:00:00+0000",
            "schedule_settings": {"time_zone": "Europe/Prague"},
        }

        scheduled = desk.act("publish", story, **times)

        (row,) = rows(desk, story)
        for item in (scheduled, stored(desk, story), row):
            shown = item["associations"]["featuremedia"]
            assert shown["state"] == "scheduled"
            assert shown["schedule_settings"]["time_zone"] == "Europe/Prague"
            assert shown["publish_schedule"] == item["publish_schedule"]
            assert "publish_schedule" not in item["associations"]["media--1"]

        taken_back = {"publish_schedule": None}
        assert desk.client.patch(f"archive/{story['_id']}", taken_back).status_code == 200
        shown = desk.act("publish", stored(desk, story))["associations"]["featuremedia"]
        assert shown["state"] == "published"
        assert not {"publish_schedule", "schedule_settings"} & shown.keys()

    def test_moves_the_picture_to_another_hour(self, desk: Newsdesk) -> None:
        """Lifecycle contract 5.4: later and earlier; the story's own headline stays.

        What was scheduled on its own keeps its hour.
        """
        flood = picture(desk)
        alone = desk.act("publish", picture(desk), publish_schedule="2098-01-01T00:00:00+0000")
        held = {"featuremedia": media(flood, headline="Road"), "media--1": media(alone)}
        story = desk.story(associations=held)
        for hour, zone in (("10", "Europe/Prague"), ("12", "Asia/Tokyo"), ("09", "Europe/Prague")):
            times = {
                "publish_schedule": f"2099-01-01T{hour}:00:00+0000",
                "schedule_settings": {"time_zone": zone},
            }

            scheduled = desk.act("publish", story, **times)

            shown = scheduled["associations"]["featuremedia"]
            for item in (shown, stored(desk, flood), desk_row(desk, flood), desk_row(desk, story)):
                assert item["schedule_settings"]["time_zone"] == zone
            assert shown["publish_schedule"] == scheduled["publish_schedule"]
            assert ("scheduled", "Road") == (shown["state"], shown["headline"])
        other = stored(desk, story)["associations"]["media--1"]
        assert other["publish_schedule"] == "2098-01-01T00:00:00+0000"

    def test_refuses_a_picture_that_waits_longer(self, desk: Newsdesk) -> None:
        """Lifecycle contract 4.6: it was scheduled on its own."""
        flood = picture(desk)
        desk.act("publish", flood, publish_schedule="2099-01-01T00:00:00+0000")
        story = with_picture(desk, flood)

        text = refusal(desk, "publish", story, {"publish_schedule": "2098-01-01T00:00:00+0000"})

        assert text == "['Associated item is scheduled later than current item.']"

    def test_keeps_what_the_story_wrote_when_it_is_taken_back(self, desk: Newsdesk) -> None:
        """And what an editor saved of the picture while it waited."""
        flood = picture(desk, ednote="old")
        held = media(flood, headline="Road", order=3, alt_text="a road")
        story = desk.story(associations={"featuremedia": held, "editor_0": held, "media--1": None})
        desk.act("publish", story, publish_schedule="2099-01-01T10:00:00+0000")
        saved = {"headline": "Saved", "ednote": "saved"}
        assert desk.client.patch(f"archive/{flood['_id']}", saved).status_code == 200

        for _ in range(2):
            taken_back = {"publish_schedule": None}
            assert desk.client.patch(f"archive/{story['_id']}", taken_back).status_code == 200
        shown = stored(desk, story)["associations"]
        for key in ("featuremedia", "editor_0"):
            association = shown[key]
            assert (association["publish_schedule"], association["schedule_settings"]) == (None, {})
            assert association["state"] == "in_progress"
        published = desk.act("publish", story)["associations"]

        both = [held[key] for held in (shown, published) for key in ("featuremedia", "editor_0")]
        for association in both:
            assert ("Road", "a road", 3, "saved") == (
                association["headline"],
                association["alt_text"],
                association["order"],
                association["ednote"],
            )
        seen = stored(desk, flood)
        assert ("published", "Saved", "saved") == (seen["state"], seen["headline"], seen["ednote"])

    @pytest.mark.parametrize("is_saved", [False, True])
    def test_comes_out_with_the_picture(
        self, desk: Newsdesk, graph: Graph, clock: HandClock, is_saved: bool
    ) -> None:
        """Lifecycle contract 5.3: the association shows that; a later correction reaches both."""
        flood = picture(desk, ednote="old")
        story = with_picture(desk, flood, headline="Road")
        desk.act("publish", story, publish_schedule="2030-01-01T13:00:00+0000")
        if is_saved:
            desk.client.patch(f"archive/{flood['_id']}", {"ednote": "saved"})
        clock.advance(hours=2)
        for _ in range(3):
            graph.enqueue.run()

        for item in (stored(desk, story), rows(desk, story)[-1]):
            shown = item["associations"]["featuremedia"]
            assert ("published", "published") == (item["state"], shown["state"])
            assert "publish_schedule" not in shown
        before = stored(desk, story)["associations"]["featuremedia"]
        now = stored(desk, flood)["_current_version"]
        assert before["_current_version"] == (2 if is_saved else now)
        changed = {"featuremedia": {**before, "description_text": "Water"}}
        corrected = desk.act("correct", story, associations=changed)["associations"]
        seen = stored(desk, flood)
        assert seen["ednote"] == corrected["featuremedia"]["ednote"]
        assert seen["ednote"] == ("saved" if is_saved else "old")
        assert seen.get("description_text") == (None if is_saved else "Water")
        assert corrected["featuremedia"]["description_text"] == "Water"

    @pytest.mark.parametrize("operation", ["correct", "kill", "takedown"])
    def test_later_operations_revert_no_save_either(self, desk: Newsdesk, operation: str) -> None:
        """Lifecycle contract 5.9: what is out takes only what the request changes."""
        flood = picture(desk, copyrightholder="old", creditline="old")
        story = desk.story()
        whole = {"associations": {"featuremedia": stored(desk, flood)}}
        assert desk.client.patch(f"archive/{story['_id']}", whole).status_code == 200
        saved = {"copyrightholder": "new", "creditline": None}
        assert desk.client.patch(f"archive/{flood['_id']}", saved).status_code == 200
        held = desk.act("publish", story)["associations"]["featuremedia"]

        changed = {"featuremedia": {**held, "headline": "Changed"}}
        desk.act(operation, story, associations=changed)

        seen = stored(desk, flood)
        assert ("new", None) == (seen["copyrightholder"], seen["creditline"])
        assert seen["headline"] == "Changed"

    @pytest.mark.parametrize("key", ["featuremedia", "media--2", "editor_0"])
    @pytest.mark.parametrize("method", ["PATCH", "PUT"])
    def test_a_save_of_the_story_reverts_none(self, desk: Newsdesk, key: str, method: str) -> None:
        """A client sends all that it has of the picture, as old as it is, and no version."""
        flood = picture(desk, slugline="old", copyrightholder="old")
        held = media(flood, slugline="old", copyrightholder="old", headline="Road")
        story = desk.story(associations={key: held, "featuremedia--9": None})
        saved = {"slugline": "new", "copyrightholder": "new"}
        assert desk.client.patch(f"archive/{flood['_id']}", saved).status_code == 200
        body = {"associations": {key: held}, "headline": "Story", "slugline": "story"}

        path = f"archive/{story['_id']}"
        match = {"If-Match": desk.client.etag_of(path)}
        answer = desk.client.request(method, path, json=body, headers=match)
        assert answer.status_code == 200, answer.text
        shown = desk.act("publish", story)["associations"][key]

        seen = stored(desk, flood)
        assert saved == {name: seen[name] for name in saved}
        assert ("new", "Road") == (shown["slugline"], shown["headline"])

    def test_corrects_the_picture_too(self, desk: Newsdesk) -> None:
        """A correction without changes of associations takes the picture along.

        Lifecycle scenario 57.
        """
        flood = picture(desk)
        story = with_picture(desk, flood)
        desk.act("publish", story)

        held = desk.act("correct", story, headline="x")["associations"]["featuremedia"]

        assert ("corrected", None) == (held["state"], held.get("is_queued"))
        assert (["corrected"], 2) == (states(desk, flood), len(rows(desk, flood)))

    def test_corrects_only_the_story_that_drops_its_picture(self, desk: Newsdesk) -> None:
        """Lifecycle scenario 56."""
        flood = picture(desk)
        story = with_picture(desk, flood)
        desk.act("publish", story)

        desk.act("correct", story, associations={"featuremedia": None})

        assert (["published"], 1, 2) == (
            states(desk, flood),
            len(rows(desk, flood)),
            len(rows(desk, story)),
        )

    def test_corrects_with_what_the_request_changes(self, desk: Newsdesk) -> None:
        """Lifecycle contract 5.9: a new caption of the picture is the picture's own correction."""
        flood = picture(desk)
        story = with_picture(desk, flood)
        published = desk.act("publish", story)["associations"]["featuremedia"]

        desk.act("correct", story, associations={"featuremedia": {**published, "headline": "New"}})

        assert ("corrected", "New") == (
            stored(desk, flood)["state"],
            stored(desk, flood)["headline"],
        )

    @pytest.mark.parametrize(
        ("operation", "state"),
        [("kill", "killed"), ("takedown", "recalled"), ("unpublish", "published")],
    )
    def test_withdraws_the_picture(self, desk: Newsdesk, operation: str, state: str) -> None:
        """A takedown recalls the picture, unpublish leaves it.

        Lifecycle scenario 57; lifecycle contract 5.8.
        """
        flood = picture(desk)
        story = with_picture(desk, flood)
        desk.act("publish", story)

        desk.act(operation, story)

        assert [state] == states(desk, flood)

    @pytest.mark.parametrize(
        ("operation", "state"),
        [("kill", "killed"), ("takedown", "recalled"), ("unpublish", "unpublished")],
    )
    def test_a_killed_picture_does_not_keep_its_story_out(
        self, desk: Newsdesk, operation: str, state: str
    ) -> None:
        """A withdrawal is possible at any time (lifecycle contract 5.1 k)."""
        flood, other = picture(desk), picture(desk)
        held = {"featuremedia": media(flood), "featuremedia--2": media(other)}
        story = desk.story(associations=held)
        desk.act("publish", story)
        desk.act("kill", flood)

        desk.act(operation, story)

        assert ([state], ["killed"]) == (states(desk, story), states(desk, flood))
        assert [state if operation != "unpublish" else "published"] == states(desk, other)

    def test_refuses_locked_pictures(self, desk: Newsdesk, app: Any, graph: Graph) -> None:
        """Lifecycle contract 4.6: whoever works on the picture holds the story back."""
        flood = picture(desk)
        story = with_picture(desk, flood)
        desk.newsroom.join(make_user(graph, "other", user_type="administrator"))
        other = log_in(app, "other")
        other.create(f"archive/{flood['_id']}/lock", {"lock_action": "edit"})

        text = refusal(desk, "publish", story)

        assert "['Flood: packaged item is locked by another user']" == text

    @DEATHS
    @pytest.mark.parametrize("operation", ["publish", "correct", "kill"])
    def test_is_whole_after_a_crash_at_any_write(
        self, desk: Newsdesk, graph: Graph, operation: str, stride: int
    ) -> None:
        """A request that is repeated after a crash completes the work, and repeats none of it."""
        for before in range(1, MOST_WRITES, stride):
            flood = picture(desk)
            story = with_picture(desk, flood)
            if operation != "publish":
                desk.act("publish", story)
            version = stored(desk, story)["_current_version"]
            known = len(rows(desk, flood, story))

            died = dies(graph, operation, story, before)
            if stored(desk, story)["_current_version"] == version:
                desk.act(operation, story)
            complete_abandoned(graph)

            assert (before, [flood["_id"], story["_id"]]) == (
                before,
                [row["item_id"] for row in rows(desk, flood, story)[known:]],
            )
            if not died:
                return
        pytest.fail(f"more than {MOST_WRITES} writes")

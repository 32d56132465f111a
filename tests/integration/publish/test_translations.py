"""Translations and the items that they were made of (lifecycle contract 5.10, 5.14)."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from apps.archive.journal.journal import Journal
from apps.archive.packages import member_ids
from apps.core.caller import Caller
from apps.core.errors import PreconditionFailed
from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.crashes import StallingDatabase
from tests.support.dying import publish_services
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.newsroom import groups_of


@pytest.fixture
def eager() -> bool:
    """Tasks run at once."""
    return True


def translate(newsdesk: Newsdesk, item: Document, language: str = "de", **body: Any) -> Document:
    body = {"guid": item["_id"], "language": language, **body}
    return newsdesk.client.create("archive/translate", body)


def spike(desk: Newsdesk, item: Document) -> None:
    assert desk.client.patch(f"archive/spike/{item['_id']}", {}).status_code == 200


def links(desk: Newsdesk, item: Document) -> list[tuple[Any, Any, Any]]:
    """Return `translated_from, translation_id, translations` of the item and of all its rows."""
    names = ("translated_from", "translation_id", "translations")
    stored = [desk.db["archive"].find_one({"_id": item["_id"]}) or {}]
    stored += desk.db["published"].find({"item_id": item["_id"]}).sort("publish_sequence_no", 1)
    return [(each.get(names[0]), each.get(names[1]), each.get(names[2])) for each in stored]


@pytest.mark.parametrize("state", ["draft", "in_progress"])
def test_without_a_desk_the_state_stays(desk: Newsdesk, state: str) -> None:
    """On a desk a translation is submitted."""
    own = desk.client.create("archive", {"headline": "x", "state": state})

    assert translate(desk, own)["state"] == state
    on_desk = translate(desk, own, desk=desk.newsroom.task["desk"])
    assert on_desk["state"] == "submitted"
    assert translate(desk, desk.story(state="in_progress"))["state"] == "submitted"


def test_into_its_own_language(desk: Newsdesk) -> None:
    """There is nothing to translate: the answer is the item."""
    story = desk.story(language="de")

    answer = desk.client.post("archive/translate", {"guid": story["_id"], "language": "de"})

    assert (answer.status_code, answer.get_json()["_id"]) == (201, story["_id"])
    assert links(desk, story) == [(None, None, None)]
    assert desk.db["archive"].count_documents({}) == 1


@pytest.mark.parametrize("on_desk", [True, False])
def test_members_are_translated_with_their_package(desk: Newsdesk, on_desk: bool) -> None:
    """Each is tied to its own source, at any depth; those in that language are members of both."""
    text, picture = desk.published(language="en"), desk.story(language="en", type="picture")
    german = desk.story(language="de")
    inner = desk.story(type="composite", language="en", groups=groups_of(picture, german))
    package = desk.story(type="composite", language="en", groups=groups_of(text, inner))
    body = {"desk": desk.newsroom.task["desk"]} if on_desk else {}

    made = translate(desk, package, "de", **body)

    members = [desk.db["archive"].find_one({"_id": i}) or {} for i in member_ids(made["groups"])]
    inner_ids = list(member_ids(members[1]["groups"]))
    assert inner_ids[1] == german["_id"]
    members.append(desk.db["archive"].find_one({"_id": inner_ids[0]}) or {})
    for source, translation in zip((text, inner, picture), members, strict=True):
        assert (translation["language"], translation["state"]) == ("de", "submitted")
        assert links(desk, translation) == [(source["_id"], source["_id"], None)]
        rows = 2 if source is text else 1
        assert links(desk, source) == [(None, source["_id"], [translation["_id"]])] * rows
    assert linked(desk, members[0]) == [made["_id"]]
    assert linked(desk, german) == [inner["_id"], members[1]["_id"]]


@pytest.mark.parametrize("verb", ["translate", "duplicate"])
@pytest.mark.parametrize("fault", ["spiked", "killed", "gone"])
def test_a_package_is_copied_whole_or_not_at_all(desk: Newsdesk, verb: str, fault: str) -> None:
    """No member is copied before all are known to be there, in a state that allows it."""
    good, bad = desk.story(), desk.story()
    package = desk.story(type="composite", groups=groups_of(good, bad))
    spoil = {"spiked": {"$set": {"state": "spiked"}}, "killed": {"$set": {"state": "killed"}}}
    if fault in spoil:
        desk.db["archive"].update_one({"_id": bad["_id"]}, spoil[fault])
    else:
        desk.db["archive"].delete_one({"_id": bad["_id"]})
    before = desk.db["archive"].count_documents({})

    if verb == "translate":
        path, body = "archive/translate", {"guid": package["_id"], "language": "de"}
    else:
        path = f"archive/{package['_id']}/duplicate"
        body = {"desk": desk.newsroom.task["desk"], "type": "archive"}
    answer = desk.client.post(path, body)

    assert answer.status_code == (404 if fault == "gone" else 412), answer.text
    assert desk.db["archive"].count_documents({}) == before


def test_rows_show_translations_that_are_made_later(desk: Newsdesk) -> None:
    """Of every version that is out; a translation of a translation names the first item."""
    story = desk.published()
    desk.act("correct", story, headline="x")

    german = translate(desk, story)
    french = translate(desk, story, "fr")
    swiss = translate(desk, german, "de-CH")

    ids = [german["_id"], french["_id"]]
    assert links(desk, story) == [(None, story["_id"], ids)] * 3
    assert links(desk, german) == [(story["_id"], story["_id"], [swiss["_id"]])]
    assert links(desk, swiss) == [(german["_id"], story["_id"], None)]


def test_spiked_they_leave_their_source(desk: Newsdesk) -> None:
    """One after the other; without any the source belongs to no translation. Nothing comes back."""
    story = desk.published()
    german, french = translate(desk, story), translate(desk, story, "fr")

    spike(desk, german)
    assert links(desk, german) == [(None, None, None)]
    assert links(desk, story) == [(None, story["_id"], [french["_id"]])] * 2
    spike(desk, french)
    assert links(desk, story) == [(None, None, [])] * 2

    for item in (german, french):
        assert desk.client.patch(f"archive/unspike/{item['_id']}", {}).status_code == 200
        assert links(desk, item) == [(None, None, None)]
    assert links(desk, story) == [(None, None, [])] * 2


def test_spiked_in_the_middle_of_a_chain(desk: Newsdesk) -> None:
    """It leaves what it was made of; what was made of it names both as before."""
    story = desk.story()
    german = translate(desk, story)
    swiss = translate(desk, german, "de-CH")

    spike(desk, swiss)
    assert links(desk, german) == [(story["_id"], story["_id"], [])]
    austrian = translate(desk, german, "de-AT")
    spike(desk, german)

    assert links(desk, german) == [(None, None, [austrian["_id"]])]
    assert links(desk, austrian) == [(german["_id"], story["_id"], None)]
    assert links(desk, story) == [(None, None, [])]


def test_rows_of_a_spiked_translation_name_no_source(desk: Newsdesk) -> None:
    """It was out and withdrawn before: item and rows say the same."""
    story = desk.published()
    german = translate(desk, story)
    desk.act("publish", german)
    desk.act("unpublish", german)

    spike(desk, german)

    assert links(desk, german) == [(None, None, None)] * 3
    assert links(desk, story) == [(None, None, [])] * 2


@pytest.mark.parametrize("operations", [["kill"], ["takedown"], ["correct", "kill"]])
def test_withdrawn_they_stay_tied(desk: Newsdesk, operations: list[str]) -> None:
    """On both sides; a killed or recalled item is not translated."""
    story = desk.published()
    german = translate(desk, story)
    desk.act("publish", german)
    for operation in operations:
        desk.act(operation, german)
        desk.act(operation, story)

    out = 1 + len(operations)
    assert links(desk, story) == [(None, story["_id"], [german["_id"]])] * (out + 1)
    assert links(desk, german) == [(story["_id"], story["_id"], None)] * (out + 1)
    body = {"guid": german["_id"], "language": "fr"}
    assert desk.client.post("archive/translate", body).status_code == 412


def test_a_scheduled_story_and_its_row_show_them(desk: Newsdesk) -> None:
    """The translation is not scheduled; it stays tied when the schedule is taken back."""
    story = desk.story()
    desk.act("publish", story, publish_schedule="2031-01-01T00:00:00+0000")

    german = translate(desk, story)

    assert (german["state"], german.get("publish_schedule")) == ("submitted", None)
    assert links(desk, story) == [(None, story["_id"], [german["_id"]])] * 2
    desk.client.patch(f"archive/{story['_id']}", {"publish_schedule": None})
    assert links(desk, story) == [(None, story["_id"], [german["_id"]])]


def test_translated_by_many_at_once(desk: Newsdesk) -> None:
    """Each translation is listed, at the item and at each row."""
    story = desk.published()
    desk.act("correct", story, headline="x")

    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda language: translate(desk, story, language), "abcdef"))

    ids = {translation["_id"] for translation in made}
    for _, translation_id, translations in links(desk, story):
        assert (translation_id, set(translations)) == (story["_id"], ids)
        assert len(translations) == len(ids)


def test_neither_saved_nor_restored_content_touches_the_ties(desk: Newsdesk) -> None:
    """An earlier version comes back with its content, not with what the item was tied to then."""
    story = desk.story(headline="one")
    saved = desk.client.patch(f"archive/{story['_id']}", {"headline": "two"}).get_json()
    german = translate(desk, story)
    update = desk.client.create(f"archive/{story['_id']}/rewrite", {})
    tied = [(None, story["_id"], [german["_id"]])]

    body = {"old_version": 1, "last_version": 2}
    headers = {"If-Match": saved["_etag"]}
    path = f"archive/{story['_id']}"
    restored = desk.client.request("PUT", path, json=body, headers=headers)

    assert (restored.status_code, restored.get_json()["headline"]) == (200, "one")
    assert links(desk, story) == tied
    assert desk.client.get(path).get_json()["rewritten_by"] == update["_id"]
    desk.client.patch(path, {"headline": "three"})
    assert links(desk, story) == tied


def test_a_spiked_source_keeps_its_translations(desk: Newsdesk) -> None:
    """They name it as before: when it comes back, nothing is lost."""
    story = desk.published()
    desk.act("unpublish", story)
    german = translate(desk, story)
    before = (links(desk, story), links(desk, german))

    spike(desk, story)
    assert (links(desk, story), links(desk, german)) == before
    desk.act("unspike", story)

    assert (links(desk, story), links(desk, german)) == before


@pytest.mark.parametrize("change", ["translation", "spike", "update"])
@pytest.mark.parametrize("before", range(1, 8))
def test_links_that_change_while_a_version_goes_out(
    desk: Newsdesk, graph: Graph, change: str, before: int
) -> None:
    """Whichever write of the publication they come before, the item and all rows show them."""
    story = desk.story()
    german = translate(desk, story) if change == "spike" else story

    def meanwhile() -> None:
        if change == "translation":
            translate(desk, story)
        elif change == "spike":
            spike(desk, german)
        else:
            desk.client.create(f"archive/{story['_id']}/rewrite", {})

    db: Any = StallingDatabase(graph.db, before, meanwhile)
    publisher = publish_services(graph, db=db, journal=Journal(db, graph.clock))["archive_publish"]
    with suppress(PreconditionFailed):
        publisher.patch(story["_id"], {}, Caller(graph.db["users"].find_one(), {"_id": None}))

    assert db.has_stalled
    stored, *rows = [
        graph.db["archive"].find_one({"_id": story["_id"]}) or {},
        *graph.db["published"].find({"item_id": story["_id"]}),
    ]
    names = ("translations", "translation_id", "rewritten_by")
    shown = [{name: each.get(name) for name in names} for each in (stored, *rows)]
    assert shown == [shown[0]] * len(shown)
    if change == "spike":
        assert shown[0] == {"translations": [], "translation_id": None, "rewritten_by": None}
    else:
        assert shown[0]["rewritten_by" if change == "update" else "translations"]


class TestExpiry:
    @pytest.fixture
    def settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        return {**settings, "CONTENT_EXPIRY_MINUTES": 60}

    def test_leaves_the_source_what_it_was(
        self, desk: Newsdesk, graph: Graph, clock: HandClock
    ) -> None:
        """It lists the translation no more, and keeps its `translation_id`."""
        story = desk.published()
        german = translate(desk, story)
        later = {"expiry": clock.now().replace(year=2031)}
        for collection, field in (("archive", "_id"), ("published", "item_id")):
            desk.db[collection].update_many({field: story["_id"]}, {"$set": later})
        clock.advance(minutes=61)

        graph.expiry.run()

        assert desk.db["archive"].find_one({"_id": german["_id"]}) is None
        assert links(desk, story) == [(None, story["_id"], [])] * 2


@pytest.mark.parametrize("nested", [True, False])
def test_a_package_gets_its_groups_back(desk: Newsdesk, nested: bool) -> None:
    """Spiked, they are kept apart; both are lists at any time, members are linked again."""
    member = desk.story()
    if nested:
        member = desk.story(type="composite", groups=groups_of(member))
    package = desk.story(type="composite", groups=groups_of(member))

    spike(desk, package)
    spiked = desk.client.get(f"archive/{package['_id']}").get_json()
    assert (spiked["groups"], spiked["deleted_groups"]) == ([], package["groups"])
    assert linked(desk, member) == []

    body = {"task": {"desk": desk.newsroom.task["desk"]}}
    answer = desk.client.patch(f"archive/unspike/{package['_id']}", body)

    assert answer.status_code == 200, answer.text
    back = desk.client.get(f"archive/{package['_id']}").get_json()
    for item in (answer.get_json(), back):
        assert (item["groups"], item["deleted_groups"]) == (package["groups"], [])
    assert linked(desk, member) == [package["_id"]]


@pytest.mark.parametrize("stored", [None, "x", [], {"a": 1}])
def test_a_package_whose_groups_others_have_broken(desk: Newsdesk, stored: Any) -> None:
    package = desk.story(type="composite", groups=groups_of(desk.story()))
    spike(desk, package)
    broken = {"$set": {"deleted_groups": stored}}
    desk.db["archive"].update_one({"_id": package["_id"]}, broken)

    answer = desk.client.patch(f"archive/unspike/{package['_id']}", {})

    assert answer.status_code == 200, answer.text
    assert (answer.get_json()["groups"], answer.get_json()["deleted_groups"]) == ([], [])


def linked(desk: Newsdesk, member: Document) -> list[Any]:
    stored = desk.db["archive"].find_one({"_id": member["_id"]}) or {}
    return [link["package"] for link in stored.get("linked_in_packages") or ()]


def test_a_package_that_others_have_spiked(desk: Newsdesk) -> None:
    """What it holds still, it holds when it comes back."""
    member = desk.story()
    package = desk.story(type="composite", groups=groups_of(member))
    spiked = {"state": "spiked", "revert_state": "submitted"}
    desk.db["archive"].update_one({"_id": package["_id"]}, {"$set": spiked})

    back = desk.act("unspike", package)

    assert (back["groups"], back["deleted_groups"]) == (package["groups"], [])
    assert linked(desk, member) == [package["_id"]]


def test_rows_of_an_unpublished_item_are_spiked_with_it(desk: Newsdesk) -> None:
    """Those of what was out before stay; once published again, it has a row of its own."""
    story = desk.published()
    desk.act("unpublish", story)

    spike(desk, story)
    rows = list(desk.db["published"].find({"item_id": story["_id"]}).sort("publish_sequence_no", 1))
    assert [(row["state"], row["operation"]) for row in rows] == [
        ("published", "publish"),
        ("spiked", "spike"),
    ]
    assert desk.act("unspike", story)["state"] == "unpublished"
    desk.act("publish", story)

    rows = list(desk.db["published"].find({"item_id": story["_id"]}).sort("publish_sequence_no", 1))
    assert [row["state"] for row in rows] == ["published", "spiked", "published"]

"""Translations and the items that they were made of (lifecycle contract 5.10, 5.14)."""

from typing import Any

import pytest

from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.newsdesk import HandClock, Newsdesk


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
    """Who translated from it is on its own; who it was translated from stays what it is."""
    story = desk.story()
    german = translate(desk, story)
    swiss = translate(desk, german, "de-CH")

    spike(desk, swiss)
    assert links(desk, german) == [(story["_id"], story["_id"], [])]
    austrian = translate(desk, german, "de-AT")
    spike(desk, german)

    assert links(desk, austrian) == [(None, None, None)]
    assert links(desk, story) == [(None, None, [])]


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
        member = desk.story(type="composite", groups=groups_with(member))
    package = desk.story(type="composite", groups=groups_with(member))

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
    package = desk.story(type="composite", groups=groups_with(desk.story()))
    spike(desk, package)
    broken = {"$set": {"deleted_groups": stored}}
    desk.db["archive"].update_one({"_id": package["_id"]}, broken)

    answer = desk.client.patch(f"archive/unspike/{package['_id']}", {})

    assert answer.status_code == 200, answer.text
    assert (answer.get_json()["groups"], answer.get_json()["deleted_groups"]) == ([], [])


def groups_with(member: Document) -> list[Document]:
    refs = [{"residRef": member["_id"], "type": member["type"]}]
    return [{"id": "root", "refs": [{"idRef": "main"}]}, {"id": "main", "refs": refs}]


def linked(desk: Newsdesk, member: Document) -> list[Any]:
    stored = desk.db["archive"].find_one({"_id": member["_id"]}) or {}
    return [link["package"] for link in stored.get("linked_in_packages") or ()]

"""Which items refer to which binaries, and what becomes of them (resources contract 20.5)."""

from typing import Any

import pytest

from apps.archive.journal.journal import Journal
from apps.core.service import Document
from apps.graph.build import Graph
from apps.media.storage import MediaStorage
from tests.support.crashes import Crash, CrashingDatabase, each_write
from tests.support.newsdesk import Newsdesk


def renditions(*ids: Any) -> Document:
    return {f"r{n}": {"href": "/x", "media": str(id)} for n, id in enumerate(ids)}


def picture(desk: Newsdesk, *ids: Any, **fields: Any) -> Document:
    return desk.story(type="picture", renditions=renditions(*ids), **fields)


def rows(desk: Newsdesk, **wanted: Any) -> list[tuple[str, str, str | None, bool]]:
    """Return the references as clients see them."""
    found = desk.client.get("media_references").get_json()["_items"]
    return sorted(
        (row["item_id"], row["media_id"], row["associated_id"], row["published"])
        for row in found
        if all(row[name] == value for name, value in wanted.items())
    )


@pytest.fixture
def files(media: MediaStorage) -> list[str]:
    return [str(media.put(f"file {n}".encode())) for n in range(3)]


def test_a_new_item_refers_to_its_renditions(desk: Newsdesk, files: list[str]) -> None:
    """Not published, each binary once."""
    item = picture(desk, files[0], files[1], files[1])

    assert rows(desk) == sorted((item["_id"], id, None, False) for id in files[:2])


def test_an_association_names_the_item_that_it_shows(desk: Newsdesk, files: list[str]) -> None:
    """A save that adds one adds its references; what is gone from the item stays on record."""
    item = desk.story()
    assert rows(desk) == []
    held = {"_id": "pic", "type": "picture", "renditions": renditions(files[0])}
    path = f"archive/{item['_id']}"

    desk.client.patch(path, {"associations": {"featuremedia": held}})
    desk.client.patch(path, {"headline": "Another"})
    desk.client.patch(path, {"associations": {"featuremedia": None}})

    assert rows(desk) == [(item["_id"], files[0], "pic", False)]


def test_publishing_marks_them(desk: Newsdesk, graph: Graph, files: list[str]) -> None:
    """Also those of items that were written by others, without references."""
    item, other = picture(desk, files[0]), picture(desk, files[1])
    graph.db["media_references"].delete_many({"item_id": item["_id"]})

    desk.act("publish", item)

    assert rows(desk, item_id=item["_id"]) == [(item["_id"], files[0], None, True)]
    assert rows(desk, item_id=other["_id"]) == [(other["_id"], files[1], None, False)]


def test_a_copy_has_references_of_its_own(desk: Newsdesk, files: list[str]) -> None:
    item = picture(desk, files[0])
    request = {"desk": desk.newsroom.task["desk"], "type": "archive"}

    copy = desk.client.create(f"archive/{item['_id']}/duplicate", request)

    assert {row[0] for row in rows(desk, media_id=files[0])} == {item["_id"], copy["_id"]}


def test_can_be_asked_for_by_item_and_by_media(desk: Newsdesk, files: list[str]) -> None:
    item = picture(desk, *files)
    for field, value, count in (("item_id", item["_id"], 3), ("media_id", files[0], 1)):
        answer = desk.client.get("media_references", where=f'{{"{field}": "{value}"}}')
        assert answer.get_json()["_meta"]["total"] == count


class TestRemoval:
    def test_unpublished_binaries_go_with_the_last_item(
        self, desk: Newsdesk, graph: Graph, media: MediaStorage, files: list[str]
    ) -> None:
        """Another item that shows one keeps it."""
        one, two = picture(desk, files[0], files[1]), picture(desk, files[1])

        remove(graph, one)
        assert [media.exists(id) for id in files] == [False, True, True]
        assert {row[0] for row in rows(desk)} == {two["_id"]}

        remove(graph, two)
        assert [media.exists(id) for id in files] == [False, False, True]
        assert rows(desk) == []
        assert graph.db["fs.chunks"].count_documents({}) == 1

    def test_published_binaries_stay(
        self, desk: Newsdesk, graph: Graph, media: MediaStorage, files: list[str]
    ) -> None:
        """What was replaced before the publication goes."""
        item = picture(desk, files[0], files[1])
        desk.client.patch(f"archive/{item['_id']}", {"renditions": renditions(files[1])})
        desk.act("publish", item)

        remove(graph, item)

        assert [media.exists(id) for id in files] == [False, True, True]
        assert rows(desk) == [(item["_id"], files[1], None, True)]

    @pytest.mark.parametrize("before", each_write(13))
    def test_a_removal_that_dies_is_completed(
        self, desk: Newsdesk, graph: Graph, media: MediaStorage, files: list[str], before: int
    ) -> None:
        """No binary is left without anybody who would remove it."""
        item = picture(desk, *files)
        db: Any = CrashingDatabase(graph.db, before)
        try:
            Journal(db, graph.clock).remove(stored(graph, item), archive=False)
        except Crash:
            graph.editing.archive.find(item["_id"])
            if before > 1:
                Journal(graph.db, graph.clock).complete(item["_id"])
            else:
                remove(graph, item)

        assert graph.db["fs.files"].count_documents({}) == 0
        assert graph.db["fs.chunks"].count_documents({}) == 0
        assert graph.db["archive"].count_documents({}) == 0


def stored(graph: Graph, item: Document) -> Document:
    return graph.editing.archive.find(item["_id"])


def remove(graph: Graph, item: Document) -> None:
    """Remove the item as expiry does."""
    Journal(graph.db, graph.clock).complete(item["_id"])
    assert Journal(graph.db, graph.clock).remove(stored(graph, item), archive=False)

"""Around the formatters: rows, numbers, file names (formats contract 1.5 to 1.7)."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from apps.graph.build import Graph, build_graph
from tests.support.newsdesk import Newsdesk
from tests.support.newsroom import file_in, push
from tests.support.queues import counts

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def eager() -> bool:
    """Tasks run at once."""
    return True


def test_a_destination_with_an_unknown_format(desk: Newsdesk, tmp_path: Path) -> None:
    """Formats scenario 5: it gets no row; the other destinations of that subscriber do."""
    unknown = {**push(NOWHERE), "_id": "first", "format": "semaphore"}
    desk.newsroom.subscriber("News", unknown, {**file_in(tmp_path), "_id": "second"})

    published = desk.published()

    assert "second" == desk.row()["destination"]["_id"]
    assert 1 == len([*tmp_path.iterdir()])
    assert ["queued"] == desk.queue_states(published)


class TestNumbers:
    def test_destinations_get_consecutive_numbers(self, desk: Newsdesk) -> None:
        """One number for each destination, also of formats that do not show it.

        Formats scenario 7.
        """
        one = {**push(NOWHERE), "_id": "one", "format": "ninjs"}
        two = {**push(NOWHERE), "_id": "two", "format": "newsmlg2"}
        desk.newsroom.subscriber("News", one, two)

        desk.published()
        desk.published()

        numbers = [(row["destination"]["_id"], row["published_seq_num"]) for row in desk.rows()]
        assert [("one", 1), ("two", 2), ("one", 3), ("two", 4)] == numbers

    @pytest.mark.parametrize(
        ("bounds", "expected"),
        [({"min": 1, "max": 3}, [1, 2, 3, 1]), ({"min": 2, "max": 4}, [2, 3, 4, 2])],
    )
    def test_numbers_wrap(
        self, desk: Newsdesk, bounds: Mapping[str, int], expected: list[int]
    ) -> None:
        """Formats scenario 7: `max` 3 gives 1, 2, 3, then `min`; so is the first."""
        desk.newsroom.subscriber("News", push(NOWHERE), sequence_num_settings=bounds)
        for _ in expected:
            desk.published()
        assert expected == [row["published_seq_num"] for row in desk.rows()]

    def test_a_failed_format_burns_its_number(self, desk: Newsdesk) -> None:
        """Numbers are drawn before formatting, so a failed format leaves a gap.

        Formats contract 1.6.
        """
        failing = {**push(NOWHERE), "_id": "one", "format": "ninjs", "config": {"packaged": True}}
        other = {**push(NOWHERE), "_id": "two", "format": "ninjs"}
        desk.newsroom.validators(item_type="composite")
        desk.newsroom.subscriber("News", failing, other)
        story = desk.published()
        package = desk.story(
            type="composite",
            groups=[
                {"id": "root", "refs": [{"idRef": "main"}]},
                {"id": "main", "refs": [{"residRef": story["_id"]}]},
            ],
        )
        desk.db["published"].delete_many({"item_id": story["_id"]})

        desk.act("publish", package)

        rows = desk.rows(item_id=package["_id"])
        assert [("failed", 3), ("two", 4)] == [
            (rows[0]["state"], rows[0]["published_seq_num"]),
            (rows[1]["destination"]["_id"], rows[1]["published_seq_num"]),
        ]


class TestParallel:
    @pytest.fixture
    def settings(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        return {**settings, "CELERY_TASK_ALWAYS_EAGER": False, "ENQUEUE_BATCH_SIZE": 1}

    @pytest.mark.parametrize("count", counts(20, 50))
    def test_no_number_is_given_twice(
        self, desk: Newsdesk, graph: Graph, settings: Mapping[str, Any], count: int
    ) -> None:
        """Formats scenario 8: items that are formatted in parallel get different numbers."""
        desk.newsroom.subscriber("News", push(NOWHERE))
        for number in range(count):
            desk.published(headline=f"Story {number}")
        others = [build_graph(settings) for _ in range(4)]

        with ThreadPoolExecutor(len(others)) as threads:
            list(threads.map(lambda other: other.enqueue.run(), others))
        graph.enqueue.run()

        for other in others:
            other.close()
        numbers = [row["published_seq_num"] for row in desk.rows()]
        assert count == len(numbers) == len(set(numbers))


def test_wire_gets_no_pictures(desk: Newsdesk) -> None:
    """A wire subscriber gets no row for a picture, an `all` subscriber does.

    Formats scenario 10.
    """
    wire = desk.newsroom.subscriber("Wire", push(NOWHERE), subscriber_type="wire")
    everything = desk.newsroom.subscriber("All", push(NOWHERE), subscriber_type="all")

    picture = desk.published(type="picture")
    story = desk.published()

    assert [everything] == [row["subscriber_id"] for row in desk.rows(item_id=picture["_id"])]
    assert {wire, everything} == {row["subscriber_id"] for row in desk.rows(item_id=story["_id"])}


class TestFileNames:
    @pytest.mark.parametrize(
        ("format", "config", "extension"),
        [
            ("newsmlg2", {}, "xml"),
            ("newsml12", {}, "xml"),
            ("idml", {}, "idml"),
            ("nitf", {}, "ntf"),
            ("ninjs", {}, "json"),
            ("ninjs2", {}, "json"),
            ("newsroom ninjs", {}, "json"),
            ("ftp ninjs", {}, "json"),
            ("email", {}, "txt"),
            ("imatrics", {}, "txt"),
            ("nitf", {"file_extension": "foo"}, "foo"),
            ("idml", {"file_extension": "foo"}, "foo"),
        ],
    )
    def test_extension(
        self, desk: Newsdesk, tmp_path: Path, format: str, config: Any, extension: str
    ) -> None:
        """By format, unless `file_extension` says otherwise; `:` is replaced.

        Formats scenario 44.
        """
        desk.newsroom.subscriber("Files", {**file_in(tmp_path, **config), "format": format})

        story = desk.published()

        (file,) = tmp_path.iterdir()
        assert ":" in story["_id"]
        assert f"{story['_id'].replace(':', '-')}-2-1.{extension}" == file.name

"""A platform that an installed package offers: a module of its own, and nothing else."""

from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from apps.core import registry
from apps.graph.build import Graph
from tests.support.newsdesk import Newsdesk
from tests.support.newsroom import Newsroom
from tests.support.notice_board import Board, install
from tests.support.publisher_client import Publisher
from tests.support.receivers import Fault, Received, Reply
from tests.support.services import empty_services


@pytest.fixture
def graph(
    settings: Mapping[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Graph]:
    """Services that find the package, as `build_graph` finds every installed one."""
    packages = tmp_path / "packages"
    packages.mkdir()
    install(packages)
    monkeypatch.syspath_prepend(packages)
    monkeypatch.setattr(registry, "entry_points", entry_points)
    with empty_services(settings) as built:
        yield built


@pytest.fixture
def board() -> Iterator[Board]:
    with Board() as open_board:
        yield open_board


@pytest.fixture
def integration(publisher: Publisher, board: Board) -> dict[str, Any]:
    return publisher.integration(
        publisher.site(),
        destination="noticeboard",
        base_url=board.url,
        credentials={"key": "a-secret-of-the-board"},
        options={"color": "red"},
    )


def test_stories_reach_it(
    graph: Graph, publisher: Publisher, board: Board, integration: dict[str, Any]
) -> None:
    """Published, corrected and killed, by its options, with its connection test."""
    tested = publisher.post(f"integrations/{integration['_id']}/test").get_json()
    assert tested["ok"], tested
    newsroom = Newsroom(graph.db)
    newsroom.validators()
    desk = Newsdesk(publisher.client, newsroom)
    item = desk.published()
    publisher.publish(item["_id"])
    graph.site_run.run()
    (note,) = board.notes.values()
    assert (note["title"], note["color"]) == (item["headline"], "red")
    desk.act("correct", item, headline="Rivers fall")
    publisher.publish(item["_id"])
    graph.site_run.run()
    (note,) = board.notes.values()
    assert note["title"] == "Rivers fall"
    desk.act("kill", item, body_html="<p>Withdrawn.</p>")
    publisher.publish(item["_id"])
    graph.site_run.run()
    assert not board.notes
    (shown,) = publisher.get("publish/status", content=item["_id"]).get_json()["_items"]
    assert (shown["status"], shown["destination"]) == ("retracted", "noticeboard")


def test_its_form_is_checked(publisher: Publisher, integration: dict[str, Any]) -> None:
    """Its options and credentials are those that it declares; its secrets are shown to nobody."""
    path = f"integrations/{integration['_id']}"
    assert publisher.patch(path, {"options": {"size": 4}}).status_code == 400
    assert publisher.patch(path, {"credentials": {"token": "x"}}).status_code == 400
    assert "a-secret-of" not in publisher.get(path).text


def test_lost_answer_makes_no_second_note(
    graph: Graph, publisher: Publisher, board: Board, integration: dict[str, Any]
) -> None:
    """Whatever the platform, the run looks for the post before it makes one again."""
    serve = board._served
    lost: list[str] = []

    def lose(request: Received) -> Reply:
        reply = serve(request)
        if request.method == "POST" and not lost:
            lost.append(request.path)
            return Fault.RESET
        return reply

    board.answer(lose)
    newsroom = Newsroom(graph.db)
    newsroom.validators()
    item = Newsdesk(publisher.client, newsroom).published()
    publisher.publish(item["_id"])
    graph.site_run.run()
    (shown,) = publisher.get("publish/status", content=item["_id"]).get_json()["_items"]
    assert (shown["status"], shown["error"]["class"]) == ("pending", "ambiguous")
    # The look comes 15 seconds later; here nobody waits for it.
    now = graph.clock.precise()
    graph.db["publishing_records"].update_many({}, {"$set": {"next_attempt_at": now}})
    long_ago = {"$set": {"history.$[].at": now.replace(year=now.year - 1)}}
    graph.db["publishing_records"].update_many({}, long_ago)
    graph.db["publisher_lanes"].update_many({}, {"$set": {"wake_at": now}})
    graph.site_run.run()
    (shown,) = publisher.get("publish/status", content=item["_id"]).get_json()["_items"]
    assert shown["status"] == "published", shown["error"]
    assert len(board.notes) == 1

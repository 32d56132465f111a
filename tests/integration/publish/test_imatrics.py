"""Stories on their way to iMatrics, from the desk to the service (delivery contract 5.7)."""

from collections.abc import Iterator
from typing import Any

import pytest

from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.imatrics_service import KEY, USER, IMatricsService
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.receivers import HTTPReceiver

IMATRICS = {"_id": "tags", "name": "tags", "format": "imatrics", "delivery_type": "imatrics"}


@pytest.fixture
def service() -> IMatricsService:
    return IMatricsService()


@pytest.fixture
def receiver(service: IMatricsService) -> Iterator[HTTPReceiver]:
    with HTTPReceiver(service) as server:
        yield server


@pytest.fixture
def settings(settings: dict[str, Any], receiver: HTTPReceiver) -> dict[str, Any]:
    """The service is the installation's own, not a destination's."""
    return {
        **settings,
        "IMATRICS_BASE_URL": f"{receiver.url}/api/",
        "IMATRICS_USER": USER,
        "IMATRICS_KEY": KEY,
        "RETRY_JITTER": 0,
    }


def deliver(graph: Graph) -> None:
    graph.enqueue.run()
    graph.transmit.run()


def subscribe(desk: Newsdesk) -> Document:
    return desk.newsroom.subscriber("tags", {**IMATRICS, "config": {}})


def test_a_story_is_stored(desk: Newsdesk, graph: Graph, service: IMatricsService) -> None:
    """As the service wants it, and as withdrawn once it is killed."""
    subscribe(desk)
    item = desk.published(headline="Häfen offen", body_html="<p>All clear</p>", language="de")
    deliver(graph)

    article = service.articles[item["guid"]]
    assert desk.row()["state"] == "success"
    assert (article["headline"], article["body"]) == ("Häfen offen", ["All clear"])
    assert (article["language"], article["pubStatus"]) == ("de", True)

    desk.act("kill", item, headline="Withdrawn")
    deliver(graph)
    assert service.articles[item["guid"]]["pubStatus"] is False


def test_versions_arrive_in_order(
    desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, service: IMatricsService, clock: HandClock
) -> None:
    """One waits for the one before it, for a minute at most."""
    subscribe(desk)
    receiver.answer(lambda _: 503)
    item = desk.published(headline="One")
    deliver(graph)
    desk.act("correct", item, headline="Two")
    deliver(graph)
    assert "retrying" == desk.rows()[0]["state"]

    receiver.answer(service)
    clock.advance(seconds=70)
    deliver(graph)

    assert {row["state"] for row in desk.rows()} == {"success"}
    headlines = [request.json()["headline"] for request in receiver.requests]
    assert headlines[-2:] == ["One", "Two"]


def test_failure_is_told_without_the_key(
    desk: Newsdesk, graph: Graph, receiver: HTTPReceiver
) -> None:
    """Neither the row nor what a client reads of it shows it."""
    receiver.answer(lambda request: (401, {}, request.headers["authorization"].encode()))
    subscribe(desk)
    desk.published()
    deliver(graph)

    row = desk.row()
    assert row["state"] == "failed"
    assert row["error_message"] == (
        "PublishIMatricsError Error 20000 - iMatrics publish error:"
        "Error storing article 401: Basic ****"
    )


def test_destination_is_saved(admin: Any) -> None:
    """It needs no config: the service is that of the settings."""
    made = admin.create(
        "subscribers",
        {
            "name": "tags",
            "subscriber_type": "wire",
            "email": "tags@example.com",
            "sequence_num_settings": {"min": 1, "max": 10},
            "is_active": True,
            "destinations": [IMATRICS],
        },
    )

    assert made["destinations"][0]["config"] == {}

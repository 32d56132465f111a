"""Destinations that are paused, and go on (delivery contract 7.1)."""

from typing import Any

import pytest
from werkzeug.test import TestResponse

from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.clients import Client
from tests.support.newsdesk import Newsdesk
from tests.support.newsroom import push
from tests.support.receivers import HTTPReceiver


@pytest.fixture
def subscriber(desk: Newsdesk, receiver: HTTPReceiver) -> Any:
    return desk.newsroom.subscriber("Daily", push(receiver.url))


class Door:
    """The destination of the one subscriber, as clients reach it."""

    def __init__(self, client: Client, subscriber: Any, destination: str = "push") -> None:
        self.client = client
        self.path = f"subscribers/{subscriber}/destinations/{destination}"

    def do(self, action: str, **body: Any) -> TestResponse:
        return self.client.post(f"{self.path}/{action}", body)

    def done(self, action: str, **body: Any) -> Document:
        answer = self.do(action, **body)
        assert answer.status_code == 200, answer.text
        return dict(answer.get_json())

    def refused(self, action: str, **body: Any) -> str:
        answer = self.do(action, **body)
        assert answer.status_code == 409, answer.text
        return str(answer.get_json()["_message"])

    def state(self) -> Document:
        answer = self.client.get(self.path)
        assert answer.status_code == 200, answer.text
        return dict(answer.get_json())


@pytest.fixture
def door(desk: Newsdesk, subscriber: Any) -> Door:
    return Door(desk.client, subscriber)


def deliver(graph: Graph) -> int:
    graph.enqueue.run()
    return graph.transmit.run()


def heard(receiver: HTTPReceiver) -> list[str]:
    return [request.json()["headline"] for request in receiver.requests]


class TestPausing:
    def test_rows_are_made_and_kept_until_it_goes_on(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, door: Door
    ) -> None:
        """Then they go out in order."""
        paused = door.done("pause")
        assert (paused["state"], paused["waiting"]) == ("paused", 0)
        for headline in ("one", "two"):
            desk.published(headline=headline)
        assert deliver(graph) == 0

        assert [row["state"] for row in desk.rows()] == ["pending", "pending"]
        assert door.state()["waiting"] == 2
        assert receiver.requests == []

        assert door.done("resume")["state"] == "ok"
        graph.transmit.run()
        assert heard(receiver) == ["one", "two"]

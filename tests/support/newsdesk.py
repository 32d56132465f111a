"""The desk at work in tests: publishes through the REST API and looks at what came of it."""

from datetime import UTC, datetime, timedelta
from typing import Any

from apps.archive.schema import SERVER_FIELDS
from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.clients import Client
from tests.support.newsroom import Newsroom
from tests.support.receivers import HTTPReceiver

START = datetime(2030, 1, 1, 12, tzinfo=UTC)


class HandClock:
    """A clock that stands still until it is moved."""

    def __init__(self, at: datetime = START) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at.replace(microsecond=0)

    def precise(self) -> datetime:
        return self.at

    def advance(self, **time: float) -> None:
        """Move on by the arguments of a `timedelta`."""
        self.at += timedelta(**time)


class Newsdesk:
    """Creates and publishes items as a client does.

    Args:
        client: logged in, with all privileges.
        newsroom: the seeds of the database behind it.
    """

    def __init__(self, client: Client, newsroom: Newsroom) -> None:
        self.client = client
        self.newsroom = newsroom
        self.db = newsroom.db

    def story(self, **fields: Any) -> Document:
        """Create an item on the desk; fields of the server's are written where it stores them."""
        own = {name: fields.pop(name) for name in SERVER_FIELDS & fields.keys()}
        item = self.client.create("archive", self.newsroom.story(**fields))
        if own:
            self.db["archive"].update_one({"_id": item["_id"]}, {"$set": own})
        return {**item, **own}

    def act(self, operation: str, item: Document, **changes: Any) -> Document:
        """Publish, correct, kill ... an item with `changes`; fails the test unless it is 200."""
        answer = self.client.patch(f"archive/{operation}/{item['_id']}", changes)
        assert answer.status_code == 200, answer.text
        return dict(answer.get_json())

    def published(self, **fields: Any) -> Document:
        """Create an item and publish it."""
        return self.act("publish", self.story(**fields))

    def rows(self, **wanted: Any) -> list[Document]:
        """Return the rows of the delivery queue as stored, in delivery order."""
        return list(self.db["publish_queue"].find(wanted).sort("order_no", 1))

    def row(self, **wanted: Any) -> Document:
        """Return the one row that there is."""
        (row,) = self.rows(**wanted)
        return row

    def queue_states(self, item: Document) -> list[str]:
        """Return how far routing has come with each version of the item."""
        rows = self.db["published"].find({"item_id": item["_id"]})
        return [row["queue_state"] for row in rows.sort("publish_sequence_no", 1)]


def goes_on(desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, **fields: Any) -> None:
    """Publish an innocent item, then kill it: each is delivered within one run."""
    item = desk.published(**fields)
    graph.enqueue.run()
    graph.transmit.run()
    desk.act("kill", item)
    graph.enqueue.run()
    graph.transmit.run()
    told = [r.json() for r in receiver.requests if r.json()["guid"] == item["_id"]]
    assert [body["pubstatus"] for body in told] == ["usable", "canceled"]

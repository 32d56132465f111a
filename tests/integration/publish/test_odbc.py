"""Stories on their way to a database, from the desk to its procedure (delivery contract 5.5)."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.odbc_database import Database
from tests.support.queues import leave_claimed

CONFIG = {
    "connection_string": "Driver={PostgreSQL Unicode};Server=127.0.0.1;PWD=planted-password",
    "stored_procedure": "store",
}


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    return {**settings, "ODBC_PUBLISH": True, "ODBC_TIMEOUT": 20, "RETRY_JITTER": 0}


@pytest.fixture
def database(postgresql: dict[str, Any]) -> Iterator[Database]:
    with closing(Database(postgresql)) as database:
        yield database


def by_odbc(config: Document) -> Document:
    """Return a destination that calls a procedure."""
    return {
        "_id": "odbc",
        "name": "odbc",
        "format": "ninjs",
        "delivery_type": "ODBC",
        "config": config,
    }


def deliver(graph: Graph) -> None:
    graph.enqueue.run()
    graph.transmit.run()


@pytest.mark.peers
class TestDatabase:
    def test_a_story_is_stored(self, desk: Newsdesk, graph: Graph, database: Database) -> None:
        """Value by value, under the key of the row (delivery scenario 37)."""
        parameters = ["idempotency_key", "guid", "version", "headline", "byline", "urgency", "none"]
        desk.newsroom.subscriber("one", by_odbc(database.config(parameters=parameters)))
        item = desk.published(headline="Häfen 'offen'", byline="O'Brien", urgency=2)
        deliver(graph)

        row = desk.row()
        assert (row["state"], row["attempts"][-1]["message"]) == (
            "success",
            f"returned {item['guid']}",
        )
        ((key, guid, headline, byline, urgency),) = database.stored(
            "key", "guid", "type", "body", "urgency"
        )
        assert (key, guid) == (row["idempotency_key"], item["guid"])
        assert (headline, byline, urgency) == ("Häfen 'offen'", "O'Brien", 2)

    def test_versions_arrive_in_order(
        self, desk: Newsdesk, graph: Graph, database: Database, clock: HandClock
    ) -> None:
        """One waits for the one before it, for a minute at most."""
        desk.newsroom.subscriber("one", by_odbc(database.config()))
        database.behave("fail")
        item = desk.published()
        deliver(graph)
        desk.act("correct", item)
        deliver(graph)
        assert desk.rows()[0]["state"] == "retrying"
        assert database.stored("version") == []

        database.behave()
        clock.advance(seconds=70)
        deliver(graph)

        assert {row["state"] for row in desk.rows()} == {"success"}
        versions = [int(version) for (version,) in database.stored("version")]
        assert versions == sorted(set(versions))
        assert len(versions) == 2

    def test_a_worker_that_died_is_repeated_under_its_key(
        self, desk: Newsdesk, graph: Graph, database: Database, clock: HandClock
    ) -> None:
        """So that the procedure can tell (delivery scenario 16)."""
        desk.newsroom.subscriber("one", by_odbc(database.config()))
        desk.published()
        deliver(graph)
        leave_claimed(graph.db, clock)
        clock.advance(seconds=70)
        deliver(graph)

        assert desk.row()["state"] == "success"
        assert [(desk.row()["idempotency_key"],)] * 2 == database.ask("select key from calls")
        assert len(database.stored("key")) == 1

    def test_failure_is_told_without_the_connection_string(
        self, desk: Newsdesk, graph: Graph, database: Database, admin: Any
    ) -> None:
        """Neither the row nor what a client reads of it shows any of it."""
        config = database.config(pwd="planted-password")
        desk.newsroom.subscriber("one", by_odbc(config))
        desk.published()
        deliver(graph)

        row = desk.row()
        assert row["state"] == "retrying"
        assert "PublishODBCError Error 12000 - ODBC publish error:" in row["error_message"]
        shown = str(row) + admin.get("publish_queue").text
        assert "planted-password" not in shown
        assert "Driver=" not in shown


class TestWithoutDatabase:
    @pytest.fixture
    def settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        return {**settings, "ODBC_PUBLISH": False}

    def test_off(self, desk: Newsdesk, graph: Graph) -> None:
        """As it is unless somebody wants it: the row fails and says why (delivery scenario 37)."""
        desk.newsroom.subscriber("one", by_odbc(CONFIG))
        desk.published()
        deliver(graph)

        row = desk.row()
        assert row["state"] == "failed"
        assert row["error_message"] == (
            "PublishODBCError Error 12000 - ODBC publish error:"
            "delivery by ODBC is off (ODBC_PUBLISH)"
        )


def subscriber(config: Document) -> Document:
    """Return an active subscriber as a client sends it."""
    return {
        "name": "one",
        "subscriber_type": "wire",
        "email": "one@example.com",
        "sequence_num_settings": {"min": 1, "max": 10},
        "is_active": True,
        "destinations": [by_odbc(config)],
    }


class TestSubscriber:
    """What the REST API makes of such a destination."""

    def test_connection_string_is_secret(self, admin: Any, graph: Graph) -> None:
        made = admin.create("subscribers", subscriber(CONFIG))

        shown = admin.get(f"subscribers/{made['_id']}").text
        stored = str(graph.db["subscribers"].find_one())
        assert "planted-password" not in shown + stored
        assert "Driver" not in shown + stored

    def test_names_are_checked(self, admin: Any) -> None:
        wrong = {**CONFIG, "stored_procedure": "store; drop table x", "parameters": "a b-c"}
        answer = admin.post("subscribers", subscriber(wrong))

        assert answer.status_code == 400
        issues = answer.get_json()["_issues"]["destinations"]["0"]["config"]
        assert set(issues) == {"stored_procedure", "parameters"}

"""Stories that go out as mails, from the desk to the mailbox (delivery contract 5.3)."""

from collections.abc import Iterator
from typing import Any

import pytest

from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.mailbox import TAKEN, Mailbox
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.queues import leave_claimed

FULL, UNKNOWN = "452 4.2.2 Mailbox full", "550 5.1.1 No such user"


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with Mailbox() as box:
        yield box


@pytest.fixture
def settings(settings: dict[str, Any], mailbox: Mailbox) -> dict[str, Any]:
    """Mails go to the mailbox; failures are told by nothing else."""
    return {
        **settings,
        "MAIL_SERVER": "127.0.0.1",
        "MAIL_PORT": mailbox.port,
        "ADMINS": ["desk@agency.example"],
        "URN_DOMAIN": "agency.example",
        "ERROR_NOTIFICATIONS": False,
        "RETRY_JITTER": 0,
    }


def by_mail(recipients: str = "a@one.example;b@one.example", **config: Any) -> Document:
    """Return a destination that sends stories to addresses."""
    return {
        "_id": "mail",
        "name": "mail",
        "format": "email",
        "delivery_type": "email",
        "config": {"recipients": recipients, **config},
    }


def deliver(graph: Graph) -> None:
    graph.enqueue.run()
    graph.transmit.run()


def refuse(mailbox: Mailbox, **refusals: str) -> None:
    """Refuse addresses by their first letter from now on."""
    mailbox.answer = lambda address: refusals.get(address[0], TAKEN)


def test_a_story_arrives(desk: Newsdesk, graph: Graph, mailbox: Mailbox) -> None:
    """As text and HTML, with an id that follows from the key of the row."""
    desk.newsroom.subscriber("one", by_mail(recipients_bcc="c@two.example"))
    desk.published(headline="Häfen offen", body_html="<p>All clear</p>", format="HTML")

    deliver(graph)

    row, message = desk.row(), mailbox.only()
    assert row["state"] == "success"
    assert mailbox.recipients == [["a@one.example", "b@one.example", "c@two.example"]]
    assert (message["From"], message["Subject"]) == ("desk@agency.example", "Häfen offen")
    assert message["Message-ID"] == f"<{row['idempotency_key']}@agency.example>"
    for kind in ("plain", "html"):
        part = message.get_body((kind,))
        assert part is not None
        assert "All clear" in part.get_content()


def test_another_format_arrives_as_text(desk: Newsdesk, graph: Graph, mailbox: Mailbox) -> None:
    desk.newsroom.subscriber("one", {**by_mail(), "format": "nitf"})
    item = desk.published()

    deliver(graph)

    message = mailbox.only()
    assert message["Subject"] == f"Story: {item['_id']}"
    part = message.get_body(("plain",))
    assert part is not None
    assert "<nitf" in part.get_content()


def test_each_version_is_a_mail(desk: Newsdesk, graph: Graph, mailbox: Mailbox) -> None:
    """A kill says so in its subject."""
    desk.newsroom.subscriber("one", by_mail(), email="")
    item = desk.published(headline="One")
    deliver(graph)
    desk.act("correct", item, headline="Two")
    deliver(graph)
    desk.act("kill", item, headline="Three")
    deliver(graph)

    subjects = [message["Subject"] for _, message in mailbox.received]
    assert subjects == ["One", "Correction: Two", "Kill: Three"]


class TestRefusedAddresses:
    def test_only_they_are_tried_again(
        self, desk: Newsdesk, graph: Graph, mailbox: Mailbox, clock: HandClock
    ) -> None:
        """By the row, across attempts and processes; what others have is the same mail."""
        refuse(mailbox, b=FULL)
        desk.newsroom.subscriber("one", by_mail())
        desk.published()
        deliver(graph)

        row = desk.row()
        assert (row["state"], row["retry_attempt"]) == ("retrying", 1)
        assert row["error_message"] == (
            "PublishEmailError Error 11000 - Email publish error:"
            "not taken for b@one.example: 452 4.2.2 Mailbox full"
        )
        refuse(mailbox)
        clock.advance(minutes=2)
        graph.transmit.run()

        assert desk.row()["state"] == "success"
        assert mailbox.recipients == [["a@one.example"], ["b@one.example"]]
        (_, first), (_, second) = mailbox.received
        assert first["Message-ID"] == second["Message-ID"]

    def test_a_server_that_is_down_changes_nothing_of_that(
        self, desk: Newsdesk, graph: Graph, mailbox: Mailbox, clock: HandClock
    ) -> None:
        """Nor does the death of a process: who has it is on the row."""
        refuse(mailbox, b=FULL)
        desk.newsroom.subscriber("one", by_mail())
        desk.published()
        deliver(graph)
        mailbox.content_answer = "451 Later"
        refuse(mailbox)
        clock.advance(minutes=2)
        graph.transmit.run()
        mailbox.content_answer = TAKEN
        leave_claimed(graph.db, clock)
        clock.advance(minutes=10)
        graph.transmit.run()
        graph.transmit.run()

        assert desk.row()["state"] == "success"
        assert mailbox.recipients == [["a@one.example"], ["b@one.example"]]

    def test_for_good(self, desk: Newsdesk, graph: Graph, mailbox: Mailbox) -> None:
        """Failed, with the address. Who has it tried again has that address asked again."""
        refuse(mailbox, b=UNKNOWN)
        desk.newsroom.subscriber("one", by_mail())
        desk.published()
        deliver(graph)

        row = desk.row()
        assert row["state"] == "failed"
        assert "b@one.example: 550" in row["error_message"]
        refuse(mailbox)
        answer = desk.client.patch(f"publish_queue/{row['_id']}", {"state": "pending"})
        assert answer.status_code == 200, answer.text
        graph.transmit.run()

        assert desk.row()["state"] == "success"
        assert mailbox.recipients == [["a@one.example"], ["b@one.example"]]

    def test_a_copy_of_the_row_goes_to_all(
        self, desk: Newsdesk, graph: Graph, mailbox: Mailbox
    ) -> None:
        """Clients see nothing of who has it, and send nothing of it along."""
        refuse(mailbox, b=UNKNOWN)
        desk.newsroom.subscriber("one", by_mail())
        desk.published()
        deliver(graph)
        shown = desk.client.get(f"publish_queue/{desk.row()['_id']}").get_json()
        assert "progress" not in shown

        wanted = ("item_id", "subscriber_id", "destination", "formatted_item", "content_type")
        fields = (*wanted, "headline", "publishing_action", "item_version")
        copy = {field: shown[field] for field in fields}
        refuse(mailbox)
        assert desk.client.post("publish_queue", copy).status_code == 201
        graph.transmit.run()

        assert mailbox.recipients[-1] == ["a@one.example", "b@one.example"]
        odd = desk.client.post("publish_queue", {**copy, "progress": "{}"})
        assert odd.status_code == 400

    def test_a_full_mailbox_keeps_nothing_from_the_others(
        self, desk: Newsdesk, graph: Graph, mailbox: Mailbox
    ) -> None:
        """The server works: the breaker stays closed, and every story is there at once."""
        refuse(mailbox, b=FULL)
        desk.newsroom.subscriber("one", by_mail())
        for _ in range(8):
            desk.published()
            deliver(graph)

        assert mailbox.recipients == [["a@one.example"]] * 8

    def test_nor_corrections(
        self, desk: Newsdesk, graph: Graph, mailbox: Mailbox, clock: HandClock
    ) -> None:
        """They go at once; who has not got the story gets the correction instead."""
        refuse(mailbox, b=FULL)
        desk.newsroom.subscriber("one", by_mail())
        item = desk.published(headline="One")
        deliver(graph)
        desk.act("correct", item, headline="Two")
        deliver(graph)

        assert mailbox.recipients == [["a@one.example"]] * 2
        first, second = desk.rows()
        assert (first["state"], first["superseded_by"]) == ("canceled", second["_id"])
        assert second["state"] == "retrying"
        shown = desk.client.get(f"publish_queue/{first['_id']}").get_json()
        assert not {"progress", "is_replaceable"} & shown.keys()
        refuse(mailbox)
        clock.advance(minutes=10)
        graph.transmit.run()

        assert [row["state"] for row in desk.rows()] == ["canceled", "success"]
        to, message = mailbox.received[-1]
        assert (to, message["Subject"]) == (["b@one.example"], "Correction: Two")
        assert len(mailbox.received) == 3


def test_a_process_that_dies_behind_the_mail(
    desk: Newsdesk, graph: Graph, mailbox: Mailbox, clock: HandClock
) -> None:
    """Whoever goes on sends the same mail: its id and its date tell it from another one."""
    desk.newsroom.subscriber("one", by_mail())
    desk.published()
    deliver(graph)
    leave_claimed(graph.db, clock)
    clock.advance(minutes=10)
    graph.transmit.run()
    graph.transmit.run()

    assert desk.row()["state"] == "success"
    (_, first), (_, second) = mailbox.received
    assert first["Message-ID"] == second["Message-ID"]
    assert first["Date"] == second["Date"]


def test_a_server_that_refuses_the_connection(
    desk: Newsdesk, graph: Graph, settings: dict[str, Any], clock: HandClock, mailbox: Mailbox
) -> None:
    """Delivery scenario 33: `retrying`, not success."""
    desk.newsroom.subscriber("one", by_mail())
    desk.published()
    graph.enqueue.run()
    mailbox.stop()
    graph.transmit.run()

    row = desk.row()
    assert row["state"] == "retrying"
    assert "Error 11000" in row["error_message"]


def test_nobody_to_send_to(desk: Newsdesk, graph: Graph, mailbox: Mailbox) -> None:
    """Delivery scenario 33: failed, 11000."""
    desk.newsroom.subscriber("one", by_mail(" ; "))
    desk.published()
    deliver(graph)

    row = desk.row()
    assert row["state"] == "failed"
    assert row["error_message"].startswith("PublishEmailError Error 11000 - Email publish error:")


class TestSaving:
    """What a client is told when it saves a destination."""

    def save(self, desk: Newsdesk, **config: Any) -> Any:
        subscriber = desk.newsroom.subscriber("one", by_mail(), email="a@one.example")
        wanted = {"destinations": [by_mail(**config)]}
        return desk.client.patch(f"subscribers/{subscriber}", wanted)

    def test_fine(self, desk: Newsdesk) -> None:
        config = {"host": "mail.one.example", "port": 2525, "security": "tls", "password": "pw"}
        answer = self.save(desk, **config)

        assert answer.status_code == 200, answer.text
        shown = desk.client.get("subscribers").get_json()["_items"][0]
        assert "pw" not in str(shown["destinations"][0]["config"].get("password"))

    @pytest.mark.parametrize(
        ("config", "issues"),
        [
            ({"recipients": "nobody"}, {"recipients": "no address: nobody"}),
            ({"recipients": ["a@b.example"]}, {"recipients": "must be of string type"}),
            ({"sender": "a b"}, {"sender": "no address: a b"}),
            ({"host": "a b"}, {"host": "host is no name of a server"}),
            ({"host": "a.example", "port": "x"}, {"host": "port is no number of a port"}),
        ],
    )
    def test_what_cannot_be(self, desk: Newsdesk, config: Document, issues: Document) -> None:
        answer = self.save(desk, **config)

        assert answer.status_code == 400
        assert answer.get_json()["_issues"] == {"destinations": {"0": {"config": issues}}}


class TestOwnNetwork:
    """Where nothing may connect to addresses of the own network."""

    @pytest.fixture
    def settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        return {**settings, "TRANSMIT_ALLOW_PRIVATE_ADDRESSES": False}

    def test_the_mail_server_of_the_settings_is_the_operators(
        self, desk: Newsdesk, graph: Graph, mailbox: Mailbox
    ) -> None:
        """It may be there; one that a destination names may not.

        Delivery contract G5.
        """
        desk.newsroom.subscriber("own", by_mail())
        named = by_mail(host="127.0.0.1", port=str(mailbox.port), security="none")
        desk.newsroom.subscriber("named", {**named, "_id": "named", "name": "named"})
        desk.published()

        deliver(graph)

        rows = {row["destination"]["name"]: row for row in desk.rows()}
        assert (rows["mail"]["state"], rows["named"]["state"]) == ("success", "failed")
        assert "not allowed" in rows["named"]["error_message"]
        assert len(mailbox.recipients) == 1

"""Subscribers are mailed about kills and takedowns.

Delivery contract 7; lifecycle contract 5.8.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apps.archive.journal.journal import Journal
from apps.core.errors import TemporaryFailure
from apps.graph.build import Graph
from apps.mail.mailer import Mail, Mailer
from tests.support.certificates import self_signed
from tests.support.crashes import Crash, CrashingDatabase, each_write
from tests.support.dying import publish_services
from tests.support.mailbox import Mailbox, bad_mail_server
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.newsroom import groups_of

REFUSED = "450 try later"


@pytest.fixture
def eager() -> bool:
    """Tasks run at once."""
    return True


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with Mailbox() as box:
        yield box


@pytest.fixture
def settings(settings: dict[str, Any], mailbox: Mailbox) -> dict[str, Any]:
    """Mail goes to the mailbox."""
    server = {"MAIL_SERVER": "127.0.0.1", "MAIL_PORT": mailbox.port, "EMAIL_TIMEOUT": 2}
    return {**settings, **server, "ADMINS": ["desk@agency.example"], "URN_DOMAIN": "agency.example"}


def states(graph: Graph) -> list[str]:
    return [mail["state"] for mail in graph.db["mails"].find({}).sort("_id", 1)]


@pytest.mark.parametrize(
    ("operation", "header"), [("kill", "Kill/Takedown Notice"), ("takedown", "Takedown Notice")]
)
def test_every_subscriber_is_told(
    desk: Newsdesk, mailbox: Mailbox, operation: str, header: str
) -> None:
    """Lifecycle scenario 31, 32, delivery scenario 41: to all, active or not, before the answer."""
    desk.newsroom.subscriber("one", email="a@one.example, b@one.example")
    desk.newsroom.subscriber("two", email="c@two.example", is_active=False)
    item = desk.published(place=[{"qcode": "NSW", "name": "New South Wales"}])
    desk.act(operation, item, headline="Stop it", body_html="<p>Not <b>true</b>.</p>")

    assert [["a@one.example", "b@one.example", "c@two.example"]] == mailbox.recipients
    message = mailbox.only()
    assert message["Subject"] == "Stop it"
    assert message["To"] == "undisclosed-recipients:;"
    assert message["From"] == "desk@agency.example"
    lines = message.get_content().splitlines()
    assert [f"NSW:{header}"] * 2 == lines[:2]
    assert lines[3].startswith(f"Please {operation} story slugged rivers headlined Rivers rise at")
    assert lines[4] == "Not true."


def test_an_address_gets_one_mail(desk: Newsdesk, mailbox: Mailbox) -> None:
    """Lifecycle scenario 31: distinct addresses, though several subscribers share one."""
    for name in ("one", "two"):
        desk.newsroom.subscriber(name, email="same@example.com,SAME@example.com")
    desk.act("kill", desk.published(), body_html="x")
    assert len(mailbox.recipients) == 1
    assert mailbox.only()["Subject"] == "Kill Notification"


def test_a_mail_for_each_broadcast_script_that_goes_too(desk: Newsdesk, mailbox: Mailbox) -> None:
    """Lifecycle contract 5.15: it is killed as other items are."""
    desk.newsroom.subscriber("one", email="a@one.example")
    genre = {"qcode": "Broadcast Script", "name": "Broadcast Script", "is_active": True}
    desk.db["vocabularies"].insert_one({"_id": "genre", "items": [genre]})
    master = desk.published()
    body = {"desk": desk.newsroom.task["desk"]}
    script = desk.client.create(f"archive/{master['_id']}/broadcast", body)
    desk.client.patch(f"archive/{script['_id']}", {"headline": "Read this"})
    desk.act("publish", script)

    desk.act("kill", master, body_html="x")

    assert [["a@one.example"]] * 2 == mailbox.recipients


@pytest.mark.parametrize(
    "odd", ["p\u00f6st@one.example", "a b@one.example", "<x>@one.example", "x@\n"]
)
def test_an_odd_address_keeps_nobody_from_being_told(
    desk: Newsdesk, mailbox: Mailbox, odd: str
) -> None:
    """Addresses that others have stored; the server may refuse them, or the mail to them."""
    desk.newsroom.subscriber("one", email=odd)
    desk.newsroom.subscriber("two", email="a@two.example, b@two.example")
    desk.act("kill", desk.published(), headline="Stop")
    assert ["a@two.example", "b@two.example"] in mailbox.recipients


def test_each_item_that_is_killed_has_a_mail(
    desk: Newsdesk, mailbox: Mailbox, graph: Graph
) -> None:
    """A package, then its two members: three mails, each to all."""
    for name in ("one", "two"):
        desk.newsroom.subscriber(name, email=f"{name}@example.com")
    members = [desk.story(), desk.story()]
    package = desk.published(type="composite", groups=groups_of(*members))
    for item in (package, *members):
        newest = desk.client.get(f"archive/{item['_id']}").get_json()
        desk.act("kill", newest, headline=item["_id"])
    everybody = ["one@example.com", "two@example.com"]
    assert [everybody] * 3 == mailbox.recipients


class TestKilledWithAnother:
    """What is withdrawn with a story is told of like the story."""

    @pytest.fixture
    def settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        return {**settings, "PUBLISH_ASSOCIATED_ITEMS": True}

    @pytest.mark.parametrize("operation", ["kill", "takedown"])
    def test_its_pictures(
        self, desk: Newsdesk, graph: Graph, mailbox: Mailbox, operation: str
    ) -> None:
        """One mail each, to the distinct addresses of all."""
        for name, email in (
            ("one", "a@one.example,B@one.example"),
            ("two", "b@ONE.example, a@two.example"),
            ("three", "A@ONE.EXAMPLE"),
            ("four", ""),
            ("five", None),
        ):
            desk.newsroom.subscriber(name, email=email, is_active=name != "two")
        picture = desk.story(type="picture")
        story = desk.published(associations={"featuremedia": {"_id": picture["_id"]}})
        desk.act(operation, story, headline="Stop")

        withdrawn = graph.db["archive"].count_documents({"pubstatus": "canceled"})
        assert (2, 2) == (withdrawn, len(mailbox.received))
        everybody = {"a@one.example", "b@one.example", "a@two.example"}
        for to in mailbox.recipients:
            assert sorted(everybody) == sorted(address.lower() for address in to)
        assert graph.outbox.run() == 0

    def test_its_broadcast_scripts(self, desk: Newsdesk, graph: Graph, mailbox: Mailbox) -> None:
        """A script that is out, as well."""
        desk.newsroom.subscriber("one", email="a@one.example")
        master = desk.published()
        script = desk.published(
            genre=[{"qcode": "Broadcast Script", "name": "Broadcast Script"}],
            broadcast={"master_id": master["_id"]},
        )
        desk.act("kill", master, headline="Stop")
        assert (
            graph.db["archive"].find_one({"_id": script["_id"]}, {"state": 1})["state"] == "killed"
        )
        assert [["a@one.example"]] * 2 == mailbox.recipients


def test_a_refused_second_kill_tells_nobody(desk: Newsdesk, mailbox: Mailbox) -> None:
    """Who asks for a kill again, having missed the answer, causes no second mail."""
    desk.newsroom.subscriber("one", email="a@one.example")
    item = desk.published()
    desk.act("kill", item, headline="Stop")
    for operation in ("kill", "takedown", "unpublish"):
        again = desk.client.patch(f"archive/{operation}/{item['_id']}", {"headline": "Stop"})
        assert again.status_code == 400, again.text
    assert [["a@one.example"]] == mailbox.recipients


def test_unpublish_tells_nobody(desk: Newsdesk, mailbox: Mailbox) -> None:
    """Lifecycle scenario 33: no mail about an unpublication."""
    desk.newsroom.subscriber("one", email="a@one.example")
    desk.act("unpublish", desk.published())
    assert mailbox.received == []


def test_refused_kill_tells_nobody(desk: Newsdesk, mailbox: Mailbox, graph: Graph) -> None:
    """A kill that a rule refuses has sent nothing."""
    desk.newsroom.subscriber("one", email="a@one.example")
    answer = desk.client.patch(f"archive/kill/{desk.story()['_id']}", {"headline": "x"})
    assert answer.status_code == 400
    assert states(graph) == []


def test_headline_cannot_add_headers(desk: Newsdesk, mailbox: Mailbox) -> None:
    """A headline of several lines is a subject of one."""
    desk.newsroom.subscriber("one", email="a@one.example")
    desk.act("kill", desk.published(), headline="Stop\r\nBcc: spy@example.com")
    assert mailbox.only()["Subject"] == "Stop Bcc: spy@example.com"
    assert mailbox.only()["Bcc"] is None


def test_server_that_is_away(
    desk: Newsdesk, mailbox: Mailbox, graph: Graph, clock: HandClock
) -> None:
    """A kill does not fail for a mail server; the mail goes out when the server takes it."""
    mailbox.answer = lambda address: REFUSED
    desk.newsroom.subscriber("one", email="a@one.example")
    desk.act("kill", desk.published(), headline="Stop")
    assert states(graph) == ["waiting"]

    mailbox.answer = lambda address: "250 OK"
    assert graph.outbox.run() == 0
    clock.advance(minutes=4)
    assert graph.outbox.run() == 1
    assert states(graph) == ["sent"]


def test_only_refused_addresses_are_repeated(
    desk: Newsdesk, mailbox: Mailbox, graph: Graph, clock: HandClock
) -> None:
    """Who has the mail does not get it again because another address was refused."""
    mailbox.answer = lambda address: REFUSED if address.startswith("b") else "250 OK"
    desk.newsroom.subscriber("one", email="a@one.example, b@one.example")
    desk.act("kill", desk.published(), headline="Stop")
    mailbox.answer = lambda address: "250 OK"
    clock.advance(minutes=4)
    graph.outbox.run()
    assert [["a@one.example"], ["b@one.example"]] == mailbox.recipients
    first, second = (message["Message-ID"] for _, message in mailbox.received)
    assert first == second


def test_addresses_refused_for_good(desk: Newsdesk, mailbox: Mailbox, graph: Graph) -> None:
    """A mail that the server refuses for good is not tried again."""
    mailbox.answer = lambda address: "550 unknown"
    desk.newsroom.subscriber("one", email="a@one.example")
    desk.act("kill", desk.published(), headline="Stop")
    assert states(graph) == ["failed"]


@pytest.mark.parametrize("before", each_write(7, first=2))
def test_crash_while_killing(
    desk: Newsdesk, mailbox: Mailbox, graph: Graph, clock: HandClock, before: int
) -> None:
    """A kill that dies before any of its later writes is completed; each mail goes out once."""
    desk.newsroom.subscriber("one", email="a@one.example")
    item = desk.published()
    killing = graph.publishing.operations.by_endpoint["archive_kill"]
    stored = killing.find(item["_id"])
    updates: dict[str, Any] = {"headline": "Stop", "body_html": "x"}
    dying: Any = CrashingDatabase(graph.db, before)
    journal = Journal(dying, graph.clock)
    service = publish_services(graph, db=dying, journal=journal)["archive_kill"]
    with pytest.raises(Crash):
        service.patch(stored["_id"], updates)
    clock.advance(seconds=6)
    graph.enqueue.run()
    graph.outbox.run()
    graph.outbox.run()

    assert [["a@one.example"]] == mailbox.recipients
    assert desk.queue_states(item)[-1:] != []


@pytest.mark.parametrize("goodbye", ["421 busy", "250 stay", "500 what"])
def test_taken_is_taken(
    desk: Newsdesk, mailbox: Mailbox, graph: Graph, clock: HandClock, goodbye: str
) -> None:
    """A server that has the mail may end the conversation as it likes: it goes out once."""
    mailbox.goodbye = goodbye
    desk.newsroom.subscriber("one", email="a@one.example")
    desk.act("kill", desk.published(), headline="Stop")
    assert states(graph) == ["sent"]
    clock.advance(minutes=9)
    assert graph.outbox.run() == 0
    assert [["a@one.example"]] == mailbox.recipients


@pytest.mark.parametrize("wanted", ["MAIL_USE_TLS", "MAIL_USE_SSL"])
def test_turns_to_tls(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: str
) -> None:
    """Later or at once: the mail goes to a server whose certificate the system trusts."""
    server, _ = self_signed(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "receiver.pem"))
    with Mailbox(tls=server, always_tls=wanted == "MAIL_USE_SSL") as mailbox:
        mailer = Mailer({**settings, "MAIL_PORT": mailbox.port, wanted: True})
        assert () == mailer.send(Mail("key", ("a@one.example",), "Stop", "Text"))
        assert mailbox.only()["Subject"] == "Stop"


def test_a_wrong_password_says_nothing_of_the_mail(settings: dict[str, Any]) -> None:
    """It may be mended: the mail waits."""
    with Mailbox(user=("desk", "right")) as mailbox:
        login = {"MAIL_PORT": mailbox.port, "MAIL_USERNAME": "desk"}
        mailer = Mailer({**settings, **login, "MAIL_PASSWORD": "wrong"})
        with pytest.raises(TemporaryFailure, match="535"):
            mailer.send(Mail("key", ("a@one.example",), "Stop", "Text"))
        right = Mailer({**settings, **login, "MAIL_PASSWORD": "right"})
        right.send(Mail("key", ("a@one.example",), "Stop", "Text"))
        assert mailbox.recipients == [["a@one.example"]]


class TestBadServer:
    @pytest.fixture(params=["", "2", "220-wait\r\n"], ids=["hangs", "trickles", "goes on"])
    def port(self, request: pytest.FixtureRequest) -> Iterator[int]:
        with bad_mail_server(request.param) as port:
            yield port

    @pytest.fixture
    def settings(self, settings: dict[str, Any], port: int) -> dict[str, Any]:
        return {**settings, "MAIL_PORT": port, "EMAIL_TIMEOUT": 0.1}

    def test_a_server_that_never_comes_to_the_point(
        self, desk: Newsdesk, graph: Graph, clock: HandClock
    ) -> None:
        """Each attempt ends, and with it the request that it is made in; the mail waits."""
        desk.newsroom.subscriber("one", email="a@one.example")
        desk.act("kill", desk.published(), headline="Stop")
        clock.advance(minutes=4)
        assert graph.outbox.run() == 1
        (mail,) = graph.db["mails"].find({})
        assert ("waiting", 2, ["a@one.example"]) == (mail["state"], mail["attempts"], mail["to"])


def test_crash_while_sending(
    desk: Newsdesk, mailbox: Mailbox, graph: Graph, clock: HandClock
) -> None:
    """A mail that a dead process had claimed goes out when the lease has ended, not before."""
    mailbox.answer = lambda address: REFUSED
    desk.newsroom.subscriber("one", email="a@one.example")
    desk.act("kill", desk.published(), headline="Stop")
    mailbox.answer = lambda address: "250 OK"
    clock.advance(minutes=4)
    assert graph.outbox._take() is not None

    assert graph.outbox.run() == 0
    clock.advance(minutes=2)
    assert graph.outbox.run() == 1
    assert [["a@one.example"]] == mailbox.recipients

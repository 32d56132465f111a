"""Names and texts that look like something else, through every format and delivery.

Delivery contract X15. Each is delivered in a form that parses, or refused with the reason; and none
keeps others from going out.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from apps.core.service import Document
from apps.graph.build import Graph
from apps.routing.subscribers.stored_destinations import lane_id
from formatters import BUILT_IN
from tests.support.conservation import Conservation, Recorder, check_manifest
from tests.support.ftp_server import FTPReceiver
from tests.support.imatrics_service import KEY, USER, IMatricsService
from tests.support.mailbox import Mailbox
from tests.support.newsdesk import START, Newsdesk
from tests.support.newsroom import file_in, push
from tests.support.odbc_database import Database
from tests.support.queues import fill
from tests.support.receivers import HTTPReceiver
from tests.support.sftp_server import SFTPReceiver
from tests.support.sqs_queue import SQSQueue
from transmitters import BUILT_IN as TRANSMITTERS

NAMES = {
    "quotes": 'O\'Hara "said" `so`',
    "lines": "first\r\nBcc: x@evil.example\n\nthird\u2028fourth",
    "markup": "</headline><![CDATA[&bogus;]]>--><script>",
    "right to left": "\u202eשלום \u0645\u0631\u062d\u0628\u0627\u202c",
    "emoji": "🚒🇳🇿👩\u200d🚒",
    "half a character": "half \ud83d and \udc00",
    "NUL": "a\x00b",
    "controls": "bell \x07, escape \x1b[31m, delete \x7f, next line \x85",
    "not a character": "\ufffe\uffff",
    "a path": "../../etc/passwd\\..\\x:y",
    "patterns": "%s {0} ${x} $where {{ 9 * 9 }}",
    "blank": " \t\u00a0\u200b",
    "combining": "Z\u0335\u0321" * 40,
    "long": "Ł" * 3000,
}
"""What it is called, and the text."""

FORMATS = tuple(formatter.type for formatter in BUILT_IN if formatter.can_format({"type": "text"}))
PLAIN = ("text", "markdown")
REFUSED = (400, 413)
STORABLE = [text for text in NAMES.values() if text != NAMES["half a character"]]
"""What MongoDB can hold, whoever writes it."""
KINDS = [
    "sftp",
    "imatrics",
    pytest.param("amazon_sqs_fifo", marks=pytest.mark.peers),
    pytest.param("ODBC", marks=pytest.mark.peers),
]
CODES = {kind.type: [f"Error {code} - " for code in kind.errors] for kind in TRANSMITTERS}
"""By delivery type: what stands in the failures that it has thought of."""


@dataclass(frozen=True)
class Reader:
    """Somebody who is delivered to in one of the ways that are not everybody's.

    Attributes:
        arrived: returns what has come, each as text.
    """

    destination: Document
    arrived: Callable[[], list[str]]


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with Mailbox() as box:
        yield box


@pytest.fixture
def tagging() -> IMatricsService:
    return IMatricsService()


@pytest.fixture
def settings(
    settings: dict[str, Any], mailbox: Mailbox, tagging: IMatricsService
) -> Iterator[dict[str, Any]]:
    with HTTPReceiver(tagging) as receiver:
        yield {**settings, **services_of(mailbox, receiver.url)}


def services_of(mailbox: Mailbox, tagging: str) -> dict[str, Any]:
    """Return the settings of the installation's own services."""
    return {
        "MAIL_SERVER": "127.0.0.1",
        "MAIL_PORT": mailbox.port,
        "ERROR_NOTIFICATIONS": False,
        "ADMINS": ["desk@agency.example"],
        "IMATRICS_BASE_URL": f"{tagging}/api/",
        "IMATRICS_USER": USER,
        "IMATRICS_KEY": KEY,
        "ODBC_PUBLISH": True,
    }


@pytest.fixture
def ftp(tmp_path: Path) -> Iterator[FTPReceiver]:
    (tmp_path / "ftp").mkdir()
    with FTPReceiver(tmp_path / "ftp") as server:
        yield server


@pytest.fixture
def sftp(tmp_path: Path) -> Iterator[SFTPReceiver]:
    (tmp_path / "sftp").mkdir()
    with SFTPReceiver(tmp_path / "sftp") as server:
        yield server


@pytest.fixture
def reader(request: pytest.FixtureRequest) -> Iterator[Reader]:
    """A reader of the kind that the test names."""
    kind = request.param
    with ExitStack() as stack:
        format, config, arrived = "ninjs", {}, None
        if kind == "sftp":
            server = request.getfixturevalue("sftp")
            config, arrived = server.config, lambda: files_below(server.root)
        elif kind == "imatrics":
            service, format = request.getfixturevalue("tagging"), "imatrics"
            arrived = lambda: [json.dumps(each) for each in service.articles.values()]  # noqa: E731
        elif kind == "amazon_sqs_fifo":
            queue = SQSQueue(request.getfixturevalue("moto"))
            config, arrived = queue.config(), queue.bodies
        else:
            database = stack.enter_context(closing(Database(request.getfixturevalue("postgresql"))))
            names = ["idempotency_key", "guid", "version", "headline", "body_html", "none", "none"]
            config = database.config(parameters=names)
            arrived = lambda: stored_in(database)  # noqa: E731
        destination = {"_id": "far", "name": "far", "format": format, "delivery_type": kind}
        yield Reader({**destination, "config": config}, arrived)


def files_below(root: Path) -> list[str]:
    return [path.read_text() for path in root.rglob("*") if path.is_file()]


def stored_in(database: Database) -> list[str]:
    """Return the calls of a procedure, each as JSON."""
    return [json.dumps(row) for row in database.stored("guid", "version", "type", "body")]


def deliver(graph: Graph) -> None:
    graph.enqueue.run()
    graph.transmit.run()


def is_whole(body: bytes, format: str) -> bool:
    """Whether what came is XML or JSON that parses, or text; a zip is none of these."""
    if body[:2] == b"PK":
        return True
    text = body.decode()
    if format in PLAIN:
        return "\x00" not in text
    if text.lstrip()[:1] == "<":
        return etree.fromstring(body) is not None
    if text[:1] in "{[":
        return json.loads(text) is not None
    return True


def stories(desk: Newsdesk) -> list[Document]:
    """Publish a story for each name that is everywhere in it; return those that were taken."""
    taken = []
    for name in NAMES.values():
        fields = {
            "headline": name,
            "slugline": name,
            "abstract": f"<p>{name}</p>",
            "byline": name,
            "keywords": [name],
            "ednote": name,
            "body_html": f"<p>{name}</p>",
        }
        made = desk.client.post("archive", desk.newsroom.story(**fields))
        assert made.status_code in (201, *REFUSED), made.text
        if made.status_code == 201:
            item = made.get_json()
            out = desk.client.patch(f"archive/publish/{item['_id']}", {})
            assert out.status_code in (200, *REFUSED), out.text
            if out.status_code == 200:
                taken.append(item)
    return taken


def check_ended(desk: Newsdesk) -> None:
    """Each row has been delivered, or says why not."""
    for row in desk.rows():
        assert row["state"] == "success" or (row["state"] == "failed" and row["error_message"]), row


def test_stories_in_every_format(desk: Newsdesk, graph: Graph) -> None:
    """By HTTP; an innocent story behind them arrives in all formats."""
    with HTTPReceiver(recorder := Recorder()) as receiver:
        wanted = [
            {**push(f"{receiver.url}/{number}"), "_id": f"f{number}", "format": format}
            for number, format in enumerate(FORMATS)
        ]
        subscriber = desk.newsroom.subscriber("all formats", *wanted)
        taken = stories(desk)
        innocent = desk.published(headline="innocent")
        deliver(graph)

    assert len(taken) >= len(NAMES) / 2
    check_ended(desk)
    Conservation(graph.db).check()
    for number in range(len(FORMATS)):
        arrivals = recorder.arrivals(f"/{number}")
        check_manifest(graph.db, {lane_id(subscriber, f"f{number}"): arrivals})
        assert all(is_whole(each.body, FORMATS[number]) for each in arrivals), FORMATS[number]
    arrived = desk.rows(item_id=innocent["_id"], state="success")
    assert len(arrived) == len(FORMATS)


def test_stories_as_files_and_mails(
    desk: Newsdesk, graph: Graph, ftp: FTPReceiver, mailbox: Mailbox, tmp_path: Path
) -> None:
    """Names of files are safe, headers of mails are of one line, and nobody is added to them."""
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    server = {"_id": "ftp", "name": "ftp", "format": "nitf", "delivery_type": "ftp"}
    mail = {"_id": "mail", "name": "mail", "format": "email", "delivery_type": "email"}
    desk.newsroom.subscriber("files", file_in(inbox), {**server, "config": ftp.config})
    desk.newsroom.subscriber("mails", {**mail, "config": {"recipients": "a@one.example"}})
    taken = stories(desk)
    desk.published(headline="innocent")
    deliver(graph)

    check_ended(desk)
    Conservation(graph.db).check()
    done = [row for row in desk.rows() if row["state"] == "success"]
    by_type = {
        kind: sum(row["destination"]["delivery_type"] == kind for row in done)
        for kind in ("File", "ftp", "email")
    }
    assert [len(list(inbox.iterdir())), len(ftp.files()), len(mailbox.received)] == [
        by_type["File"],
        by_type["ftp"],
        by_type["email"],
    ]
    assert min(by_type.values()) > len(taken) / 2
    assert {tuple(to) for to in mailbox.recipients} == {("a@one.example",)}
    for _, message in mailbox.received:
        assert message["Bcc"] is None
        assert "\n" not in message["Subject"]
    assert all(is_whole(body, "nitf") for body in ftp.files().values())


@pytest.mark.parametrize("name", NAMES)
def test_names_of_subscribers_destinations_and_products(
    desk: Newsdesk, graph: Graph, name: str, tmp_path: Path
) -> None:
    """Taken and delivered to, or refused with a reason; others get theirs."""
    text = NAMES[name]
    with ExitStack() as stack:
        receiver = stack.enter_context(HTTPReceiver(recorder := Recorder()))
        other = desk.newsroom.subscriber("other", push(f"{receiver.url}/other"))
        product = desk.client.post("products", {"name": text, "codes": "a,b"})
        answered = [product.status_code]
        product_id = product.get_json().get("_id") or str(desk.newsroom.product())
        subscriber = {
            "name": text,
            "is_active": True,
            "subscriber_type": "wire",
            "email": "a@one.example",
            "sequence_num_settings": {"min": 1, "max": 9999},
            "products": [product_id],
            "destinations": [{**push(f"{receiver.url}/own"), "name": text}],
        }
        made = desk.client.post("subscribers", subscriber)
        answered.append(made.status_code)
        if made.status_code != 201:
            # Others may have written it all the same.
            own = {**subscriber, "name": text if name != "half a character" else "x"}
            answered.append(desk.client.post("subscribers", {**own, "name": "x"}).status_code)
        desk.published()
        deliver(graph)
        lists = ("subscribers", "products", "publish_queue")
        shown = [desk.client.get(path).status_code for path in lists]

    assert set(answered) <= {201, *REFUSED}
    assert shown == [200] * 3
    check_ended(desk)
    assert len(recorder.arrivals("/other")) == 1
    check_manifest(graph.db, {lane_id(other, "push"): recorder.arrivals("/other")})
    if made.status_code == 201:
        assert len(recorder.arrivals("/own")) == 1


def test_names_that_others_have_written(desk: Newsdesk, graph: Graph, tmp_path: Path) -> None:
    """What the store can hold, in documents that no request has checked."""
    with HTTPReceiver(recorder := Recorder()) as receiver:
        lanes = {}
        for number, text in enumerate(STORABLE):
            where = {**push(f"{receiver.url}/{number}"), "name": text}
            id_ = desk.newsroom.subscriber(text, where, products=[desk.newsroom.product(text)])
            lanes[lane_id(id_, "push")] = f"/{number}"
        desk.published()
        deliver(graph)

    assert Conservation(graph.db).check() == {"success": len(STORABLE)}
    check_manifest(graph.db, {lane: recorder.arrivals(path) for lane, path in lanes.items()})
    assert desk.client.get("publish_queue").status_code == 200
    assert desk.client.get("subscribers").status_code == 200


def check_plain(row: Document) -> None:
    """A row that was not delivered says why, in words that its delivery type has for it."""
    if row["state"] != "success":
        codes = CODES[row["destination"]["delivery_type"]]
        assert any(code in row["error_message"] for code in codes), row["error_message"]
        assert "Traceback" not in row["error_message"]


@pytest.mark.parametrize("reader", KINDS, indirect=True)
class TestFarReaders:
    """Readers by SFTP, iMatrics, Amazon SQS and ODBC."""

    def test_stories(self, desk: Newsdesk, graph: Graph, reader: Reader) -> None:
        """What comes parses; what cannot be sent has failed for good, and others get theirs."""
        subscriber = desk.newsroom.subscriber("far", reader.destination)
        taken = stories(desk)
        innocent = desk.published(headline="innocent")
        deliver(graph)

        assert len(taken) >= len(NAMES) / 2
        check_ended(desk)
        for row in desk.rows():
            check_plain(row)
        counts = Conservation(graph.db).check()
        arrived = reader.arrived()
        assert len(arrived) == counts["success"] > len(taken) / 2
        assert all(json.loads(each) for each in arrived)
        assert desk.row(item_id=innocent["_id"])["state"] == "success"
        assert {row["subscriber_id"] for row in desk.rows()} == {subscriber}

    def test_ids_of_items(self, desk: Newsdesk, graph: Graph, reader: Reader) -> None:
        """Rows that others wrote, with ids of items and keys that are no names."""
        id_ = desk.newsroom.subscriber("far", reader.destination)
        for number, text in enumerate(STORABLE):
            odd = {"item_id": text, "headline": text, "idempotency_key": f"{number}-{text}"}
            odd["payload_id"] = str(number)
            fill(graph.db, id_, reader.destination, START, items=1, **odd)
        innocent = desk.published(headline="innocent")
        deliver(graph)

        check_ended(desk)
        for row in desk.rows():
            check_plain(row)
        assert desk.row(item_id=innocent["_id"])["state"] == "success"
        assert len(reader.arrived()) == len(desk.rows(state="success"))

    def test_config(self, desk: Newsdesk, graph: Graph, reader: Reader) -> None:
        """A value is used, or the reason why not is plain; saved, or refused with 400."""
        (kind,) = [
            kind for kind in TRANSMITTERS if kind.type == reader.destination["delivery_type"]
        ]
        odd = [
            {**reader.destination, "_id": f"{number}-{field.name}", "config": config}
            for number, text in enumerate(STORABLE)
            for field in kind.fields
            for config in [{**reader.destination["config"], field.name: text}]
        ]
        odd += [
            {**reader.destination, "_id": f"name-{n}", "name": t} for n, t in enumerate(STORABLE)
        ]
        desk.newsroom.subscriber("odd", *odd)
        desk.newsroom.subscriber("far", reader.destination)
        item = desk.published(headline="innocent")
        deliver(graph)

        rows = desk.rows(item_id=item["_id"])
        assert len(rows) == len(odd) + 1
        for row in rows:
            check_plain(row)
        assert desk.row(**{"destination._id": "far"})["state"] == "success"
        for destination in odd:
            subscriber = {
                "name": str(destination["_id"]),
                "is_active": True,
                "subscriber_type": "wire",
                "email": "a@one.example",
                "sequence_num_settings": {"min": 1, "max": 9999},
                "destinations": [destination],
            }
            made = desk.client.post("subscribers", subscriber)
            assert made.status_code in (201, 400), made.text

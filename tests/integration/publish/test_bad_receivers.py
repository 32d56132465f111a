"""What becomes of deliveries to receivers at their worst (delivery contract 5.8)."""

import socket
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest

from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.certificates import self_signed
from tests.support.ftp_server import FTPReceiver, files_in
from tests.support.mailbox import TAKEN, Mailbox
from tests.support.newsdesk import START, HandClock, Newsdesk
from tests.support.newsroom import push
from tests.support.receivers import Fault, HTTPReceiver, Received, Reply
from tests.support.sftp_server import HOST_KEY, OTHER_HOST_KEY, SFTPReceiver, line_of
from tests.support.tcp_gate import Gate, TCPGate

pytestmark = pytest.mark.usefixtures("conserved")

LADDER = [60 * 2 ** min(6, number) for number in range(11)]
"""Seconds before each retry."""
LONGEST_WAIT = 6 * 3600
ASK_TO_WAIT: Mapping[str, int] = {
    "120": 120,
    "0": 60,
    "-5": 60,
    "1.5": 60,
    "soon": 60,
    "9" * 400: LONGEST_WAIT,
    "Sun, 06 Nov 1994 08:49:37 GMT": 60,
    "Fri, 31 Dec 9999 23:59:59 GMT": LONGEST_WAIT,
    "Thu, 99 Jan 2030 12:00:00 GMT": 60,
}
"""Values of `Retry-After`, and the seconds that the first retry waits."""
DELIVERED = (200, 201, 202, 204, 206, 299)
TEMPORARY = (101, 301, 302, 307, 304, 408, 425, 429, 500, 502, 503, 504, 599, 600, 999, 99)
REFUSED = (400, 401, 403, 404, 405, 409, 410, 413, 415, 418, 422, 451, 499)
ENDS_WELL = (Fault.RESET_MID_BODY, Fault.SLOW_BODY, Fault.ENDLESS_BODY, Fault.INVALID_CHUNK)
"""Their status is whole."""


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    return {
        **settings,
        "RETRY_JITTER": 0,
        "ERROR_NOTIFICATIONS": False,
        "HTTP_PUSH_TIMEOUT": (5, 3),
        "HTTP_PUSH_TOTAL_TIMEOUT": 5,
        "FTP_REPLY_TIMEOUT": 3,
        "FTP_TIMEOUT": 20,
        "EMAIL_TIMEOUT": 3,
    }


def at(receiver: HTTPReceiver, name: str) -> Document:
    """Return a destination with a path of its own."""
    return {**push(f"{receiver.url}/{name}"), "_id": name, "name": name}


def by_path(answers: Mapping[str, Reply]) -> Callable[[Received], Reply]:
    return lambda request: answers[request.path.strip("/")]


def rows_by_name(desk: Newsdesk) -> dict[str, Document]:
    return {row["destination"]["name"]: row for row in desk.rows()}


def states(desk: Newsdesk) -> dict[str, str]:
    return {name: row["state"] for name, row in rows_by_name(desk).items()}


def keys_by_path(receiver: HTTPReceiver) -> dict[str, set[str]]:
    """Return under which keys something came."""
    found: dict[str, set[str]] = {}
    for request in receiver.requests:
        found.setdefault(request.path.strip("/"), set()).add(request.headers["webhook-id"])
    return found


def deliver(graph: Graph) -> None:
    graph.enqueue.run()
    graph.transmit.run()


class TestStatuses:
    """Any status, with and without `Retry-After` (delivery contract X6)."""

    def test_the_status_decides(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, clock: HandClock
    ) -> None:
        """2xx is success, 4xx ends it but for the three that pass, anything else is repeated."""
        answers: dict[str, Reply] = {f"s{s}": s for s in (*DELIVERED, *TEMPORARY, *REFUSED)}
        answers["s410"] = (410, {"Retry-After": "5"}, b"gone")
        receiver.answer(by_path(answers))
        desk.newsroom.subscriber("one", *(at(receiver, name) for name in answers))
        desk.published()
        deliver(graph)

        expected = {
            **{f"s{status}": "success" for status in DELIVERED},
            **{f"s{status}": "retrying" for status in TEMPORARY},
            **{f"s{status}": "failed" for status in REFUSED},
        }
        assert states(desk) == expected
        rows = rows_by_name(desk)
        assert {row["fault"] for row in rows.values() if row["state"] == "failed"} == {"theirs"}
        due = {rows[f"s{status}"]["next_retry_attempt_at"] for status in TEMPORARY}
        assert due == {clock.at + timedelta(seconds=60)}

        receiver.answer(lambda request: 200)
        clock.advance(minutes=2)
        deliver(graph)

        assert set(states(desk).values()) == {"success", "failed"}
        assert all(len(keys) == 1 for keys in keys_by_path(receiver).values())
        assert {len(row["attempts"]) for row in desk.rows(state="failed")} == {1}

    def test_how_long_a_receiver_may_ask_us_to_wait(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, clock: HandClock
    ) -> None:
        """Seconds and dates count, from the ladder up to six hours; junk counts as absent."""
        asked = {
            f"s{status}-{number}": (status, value, seconds)
            for status in (301, 408, 425, 429, 500, 503)
            for number, (value, seconds) in enumerate(ASK_TO_WAIT.items())
        }
        answers: dict[str, Reply] = {
            name: (status, {"Retry-After": value}, b"")
            for name, (status, value, _) in asked.items()
        }
        in_two_hours = format_datetime(datetime.now(UTC) + timedelta(hours=2), usegmt=True)
        answers["date"] = (503, {"Retry-After": in_two_hours}, b"")
        answers["s400"] = (400, {"Retry-After": "120"}, b"")
        answers["s200"] = (200, {"Retry-After": "120"}, b"")
        receiver.answer(by_path(answers))
        desk.newsroom.subscriber("one", *(at(receiver, name) for name in answers))
        desk.published()
        deliver(graph)

        rows = rows_by_name(desk)
        waits = {
            name: round((rows[name]["next_retry_attempt_at"] - START).total_seconds())
            for name in (*asked, "date")
        }
        assert LADDER[0] < waits.pop("date") <= 7200
        assert waits == {name: seconds for name, (*_, seconds) in asked.items()}
        assert (rows["s400"]["state"], rows["s200"]["state"]) == ("failed", "success")

    @pytest.mark.parametrize("number", [12, pytest.param(120, marks=pytest.mark.chaos)])
    def test_any_course(
        self,
        desk: Newsdesk,
        graph: Graph,
        receiver: HTTPReceiver,
        clock: HandClock,
        seed: int,
        number: int,
    ) -> None:
        """However answers follow each other, each row ends where the table says, and once."""
        random = Random(seed)
        names = [f"d{n}" for n in range(number)]
        pool: list[Reply] = [*DELIVERED, *TEMPORARY * 3, *set(REFUSED) - {410}]
        pool += [Fault.CLOSE, Fault.RESET, Fault.CLOSE_MID_HEADERS, Fault.NOT_HTTP] * 2
        pool += [Fault.RESET_MID_BODY, Fault.INVALID_CHUNK]
        courses = {name: [random.choice(pool) for _ in LADDER] for name in names}
        seen: dict[str, int] = dict.fromkeys(names, 0)

        def answer(request: Received) -> Reply:
            name = request.path.strip("/")
            seen[name] += 1
            return courses[name][seen[name] - 1]

        receiver.answer(answer)
        subscriber = desk.newsroom.subscriber("one", *(at(receiver, name) for name in names))
        desk.published()
        deliver(graph)
        for _ in LADDER:
            clock.advance(minutes=70)
            deliver(graph)

        ends = {name: _end_of(course) for name, course in courses.items()}
        assert states(desk) == {name: state for name, (state, _) in ends.items()}
        assert seen == {name: attempts for name, (_, attempts) in ends.items()}
        assert all(len(keys) == 1 for keys in keys_by_path(receiver).values())
        assert desk.db["subscribers"].find_one({"_id": subscriber})["is_active"]


def _end_of(course: list[Reply]) -> tuple[str, int]:
    """Return the state that a row ends in, and after how many attempts."""
    for number, reply in enumerate(course, start=1):
        if reply in DELIVERED or reply in ENDS_WELL:
            return "success", number
        if reply in REFUSED:
            return "failed", number
    return "failed", len(course)


class TestConnections:
    """Connections that go wrong in any way (delivery contract X7)."""

    def test_every_attempt_ends(
        self,
        desk: Newsdesk,
        graph: Graph,
        receiver: HTTPReceiver,
        clock: HandClock,
        tmp_path: Path,
    ) -> None:
        """The run ends, whatever receivers do; rows wait for the retry, or have ended well."""
        receiver.answer(lambda r: Fault[name] if (name := r.path.strip("/")) in names else 200)
        names = {fault.name for fault in Fault}
        server, _ = self_signed(tmp_path)
        with (
            HTTPReceiver(tls=server) as untrusted,
            socket.create_server(("127.0.0.1", 0)) as silent,
            socket.create_server(("127.0.0.1", 0)) as closed,
        ):
            refuses = closed.getsockname()[1]
            closed.close()
            others = {
                "untrusted": f"{untrusted.url}/",
                "silent": f"http://127.0.0.1:{silent.getsockname()[1]}/",
                "silent-tls": f"https://127.0.0.1:{silent.getsockname()[1]}/",
                "plain": f"https://127.0.0.1:{receiver.port}/",
                "refuses": f"http://127.0.0.1:{refuses}/",
                "unknown": "http://nowhere.invalid/",
            }
            desk.newsroom.subscriber(
                "one",
                *(at(receiver, name) for name in (*sorted(names), "fine")),
                *({**push(url), "_id": name, "name": name} for name, url in others.items()),
            )
            desk.published()
            graph.enqueue.run()
            while desk.db["publish_queue"].count_documents({"state": "pending"}):
                graph.transmit.run()

            assert untrusted.requests == []
        ends_well = {fault.name for fault in ENDS_WELL} | {"fine"}
        assert states(desk) == {
            **dict.fromkeys(names | set(others), "retrying"),
            **dict.fromkeys(ends_well, "success"),
            "untrusted": "failed",
        }
        said = rows_by_name(desk)["untrusted"]["error_message"]
        assert "certificate of 127.0.0.1" in said

        names.clear()
        clock.advance(minutes=2)
        deliver(graph)

        mended = {fault.name for fault in Fault}
        assert {states(desk)[name] for name in mended} == {"success"}
        assert all(len(keys) == 1 for keys in keys_by_path(receiver).values())


class TestUploads:
    """Servers of files whose connections end anywhere, and that cannot (delivery contract X16)."""

    @pytest.fixture(params=["ftp", "sftp"])
    def server(self, request: Any, tmp_path: Path) -> Iterator[FTPReceiver | SFTPReceiver]:
        root = tmp_path / "files"
        root.mkdir()
        with {"ftp": FTPReceiver, "sftp": SFTPReceiver}[request.param](root) as running:
            yield running

    @pytest.mark.parametrize("cuts", [3, pytest.param(150, marks=pytest.mark.chaos)])
    def test_cut_anywhere(
        self,
        desk: Newsdesk,
        graph: Graph,
        server: FTPReceiver | SFTPReceiver,
        clock: HandClock,
        seed: int,
        cuts: int,
    ) -> None:
        """No file is ever there in part under its name; the next attempt mends all."""
        random = Random(seed)
        with TCPGate(server.port) as gate:
            target = _upload_to(server, port=gate.port)
            desk.newsroom.subscriber("paper", target)
            desk.published(body_html=f"<p>{'x' * 40_000}</p>")
            deliver(graph)
            (whole,) = files_in(server.root).values()
            length = gate.passed
            for number in range(cuts):
                limit = random.randrange(1, length)
                _let_go(graph)
                gate.cut_after(limit)
                item = desk.published(headline=f"Story {number}")
                deliver(graph)
                row = desk.row(item_id=item["_id"])
                found = _finished(server)
                if row["state"] != "success":
                    assert row["state"] == "retrying", f"cut after {limit} bytes"
                    gate.turn(Gate.OPEN)
                    clock.advance(minutes=20)
                    deliver(graph)
                    assert desk.row(item_id=item["_id"])["state"] == "success"
                gate.turn(Gate.OPEN)
                assert all(b'"headline"' in data and data.endswith(b"}") for data in found)
                assert len(_finished(server)) == number + 2

        assert not [name for name in files_in(server.root) if name.endswith(".part")]
        assert whole in files_in(server.root).values()

    def test_disk_full(
        self, desk: Newsdesk, graph: Graph, server: FTPReceiver | SFTPReceiver, clock: HandClock
    ) -> None:
        """That passes: nothing is there meanwhile, and the file when there is room again."""
        desk.newsroom.subscriber("paper", _upload_to(server))
        _fill_disk(server)
        desk.published()
        deliver(graph)

        assert desk.row()["state"] == "retrying"
        assert "space" in desk.row()["error_message"]
        assert files_in(server.root) == {}
        _free_disk(server)
        clock.advance(minutes=2)
        deliver(graph)
        assert desk.row()["state"] == "success"
        assert len(files_in(server.root)) == 1

    def test_wrong_passive_address(self, desk: Newsdesk, graph: Graph, tmp_path: Path) -> None:
        """Data go where the commands went, and nowhere else.

        Delivery contract G4.
        """
        with FTPReceiver(tmp_path, masquerade="127.9.9.9") as server:
            desk.newsroom.subscriber("paper", _upload_to(server))
            desk.published()
            deliver(graph)

            assert desk.row()["state"] == "success"
            assert len(server.files()) == 1

    def test_changed_host_key(self, desk: Newsdesk, graph: Graph, tmp_path: Path) -> None:
        """Nothing is said to another server; it is for people to find out."""
        with SFTPReceiver(tmp_path) as server:
            server.host_key = OTHER_HOST_KEY
            desk.newsroom.subscriber("paper", _upload_to(server, host_key=line_of(HOST_KEY)))
            desk.published()
            deliver(graph)

            row = desk.row()
            assert (row["state"], row["fault"]) == ("failed", "theirs")
            assert OTHER_HOST_KEY.get_base64() in row["error_message"]
            assert files_in(server.root) == {}


def _upload_to(server: FTPReceiver | SFTPReceiver, **config: Any) -> Document:
    kind = "ftp" if isinstance(server, FTPReceiver) else "sftp"
    return {
        "_id": "paper",
        "name": "paper",
        "format": "ninjs",
        "delivery_type": kind,
        "config": {**server.config, **config},
    }


def _finished(server: FTPReceiver | SFTPReceiver) -> list[bytes]:
    return [data for name, data in files_in(server.root).items() if not name.endswith(".part")]


def _let_go(graph: Graph) -> None:
    """Close the connections that are kept, so that the next delivery makes a new one."""
    graph.transmit.close()


def _fill_disk(server: FTPReceiver | SFTPReceiver) -> None:
    if isinstance(server, FTPReceiver):
        server.behave(STOR="452 No space left.")
    else:
        server.behaviour = {"write": (4, "No space left")}


def _free_disk(server: FTPReceiver | SFTPReceiver) -> None:
    if isinstance(server, FTPReceiver):
        server.behave()
    else:
        server.behaviour = {}


class TestMails:
    """What mail servers say to each address (delivery contract X17)."""

    @pytest.mark.parametrize("number", [12, pytest.param(200, marks=pytest.mark.chaos)])
    def test_each_address_by_itself(
        self, desk: Newsdesk, graph: Graph, clock: HandClock, seed: int, number: int
    ) -> None:
        """4yz is asked again, 5yz is not, and who has the mail gets it once."""
        random = Random(seed)
        people = [f"p{n}@one.example" for n in range(number)]
        replies = [TAKEN] * 2 + ["421 4.3.2 Later", "450 4.2.0 Greylisted", "451 4.3.0 Busy"]
        replies += ["500 What", "550 5.1.1 Unknown", "552 5.2.2 Full", "554 5.7.1 No"]
        courses = {person: [random.choice(replies) for _ in LADDER] for person in people}
        asked: dict[str, int] = dict.fromkeys(people, 0)

        def answer(address: str) -> str:
            asked[address] += 1
            return courses[address][asked[address] - 1]

        with Mailbox(answer) as mailbox:
            config = {"host": "127.0.0.1", "port": mailbox.port, "security": "none"}
            desk.newsroom.subscriber("post", _mail_to(people, **config))
            desk.published()
            deliver(graph)
            for _ in LADDER:
                clock.advance(minutes=70)
                deliver(graph)

            got = [address for to in mailbox.recipients for address in to]
            identities = {message["Message-ID"] for _, message in mailbox.received}
        taken, wanted = _outcome(courses)
        assert sorted(got) == sorted(taken)
        assert len(identities) <= 1
        assert desk.row()["state"] == ("success" if len(taken) == number else "failed")
        assert asked == wanted


def _mail_to(people: list[str], **config: Any) -> Document:
    return {
        "_id": "post",
        "name": "post",
        "format": "email",
        "delivery_type": "email",
        "config": {"recipients": ";".join(people), **config},
    }


def _outcome(courses: Mapping[str, list[str]]) -> tuple[set[str], dict[str, int]]:
    """Return who gets the mail, and how often each address is asked.

    With 421 a server ends the conversation: whom it has taken by then gets nothing yet.
    """
    taken: set[str] = set()
    asked = dict.fromkeys(courses, 0)
    left = list(courses)
    for _ in LADDER:
        admitted: list[str] = []
        for person in tuple(left):
            reply = courses[person][asked[person]]
            asked[person] += 1
            if reply == TAKEN:
                admitted.append(person)
            elif reply.startswith("5"):
                left.remove(person)
            elif reply.startswith("421"):
                break
        else:
            taken.update(admitted)
            left = [person for person in left if person not in taken]
    return taken, asked

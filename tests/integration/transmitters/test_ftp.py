"""Delivery type `ftp` against servers on loopback."""

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from pyftpdlib.handlers import FTPHandler

from apps.core.caller import Caller
from apps.core.errors import PermanentFailure, TemporaryFailure
from tests.suites.transmitter_suite import (
    NetworkFarSide,
    NetworkSuite,
    ThreadSafeSuite,
    TransmitterSuite,
)
from tests.support.cutting import Cut, network
from tests.support.deliveries import (
    BODY,
    MediaStore,
    build_delivery,
    build_destination,
    build_settings,
)
from tests.support.ftp_server import HANG, RESET, FTPReceiver
from transmitters import connections
from transmitters.base import Delivery, MediaFile, Receipt
from transmitters.ftp import FTPTransmitter

NAME = "urn-newsml-example.com-2026-story-2-7.json"


class Server(NetworkFarSide):
    """A server with a directory of the user."""

    def __init__(self, receiver: FTPReceiver) -> None:
        self.receiver = receiver

    @property
    def config(self) -> dict[str, Any]:
        return self.receiver.config

    def documents(self) -> Mapping[str, bytes]:
        return self.receiver.files()

    def accept(self) -> None:
        self.receiver.behave()

    def fail_for_now(self) -> None:
        self.receiver.behave(STOR="452 No space left.")

    def refuse(self) -> None:
        self.receiver.behave(RNFR="502 Not implemented.")

    def hang(self) -> None:
        self.receiver.behave(CONNECT=HANG)

    def reset(self) -> None:
        self.receiver.behave(STOR=RESET)

    def fail_saying(self, text: str) -> None:
        self.receiver.behave(STOR=f"450 {text}")

    def stop(self) -> None:
        self.receiver.stop()

    def assert_let_go(self) -> None:
        self.receiver.assert_no_connections()


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[FTPReceiver]:
    (tmp_path / "ftp").mkdir()
    with FTPReceiver(tmp_path / "ftp") as receiver:
        yield receiver


class TestSuite(TransmitterSuite, NetworkSuite, ThreadSafeSuite):
    transmitter_class = FTPTransmitter

    @pytest.fixture
    def far_side(self, receiver: FTPReceiver) -> Server:
        return Server(receiver)


def transmitter(
    receiver: FTPReceiver, settings: dict[str, Any] | None = None, **config: Any
) -> FTPTransmitter:
    return FTPTransmitter(
        build_destination("ftp", **{**receiver.config, **config}), build_settings(**settings or {})
    )


def send(receiver: FTPReceiver, delivery: Delivery | None = None, **config: Any) -> Receipt:
    """Deliver once, by a transmitter of its own."""
    with closing(transmitter(receiver, **config)) as sender:
        return sender.send(delivery or build_delivery())


class TestFiles:
    """Where items go, and under which names."""

    def test_only_the_file_is_there(self, receiver: FTPReceiver) -> None:
        """It is written under a temporary name, measured, and renamed."""
        receipt = send(receiver)

        assert {NAME: BODY} == receiver.files()
        assert receipt.message == NAME
        steps = [c for c in receiver.commands if c[0] in ("STOR", "SIZE", "RNFR", "RNTO")]
        part = f".{NAME}.part"
        assert steps == [("STOR", part), ("SIZE", part), ("RNFR", part), ("RNTO", NAME)]

    @pytest.mark.parametrize(
        ("extension", "expected"), [("txt", "txt"), (".ntf", "ntf"), ("", "json"), (None, "json")]
    )
    def test_extension(self, receiver: FTPReceiver, extension: str | None, expected: str) -> None:
        """That of the destination wins (delivery scenario 30)."""
        send(receiver, file_extension=extension)

        assert list(receiver.files()) == [NAME.replace("json", expected)]

    @pytest.mark.parametrize("path", ["wire/text", "/wire/text", "wire/text/", " wire/text "])
    def test_path_begins_where_the_login_is(self, receiver: FTPReceiver, path: str) -> None:
        """Directories are made; a leading slash changes nothing, as in Superdesk."""
        send(receiver, path=path)

        assert list(receiver.files()) == [f"wire/text/{NAME}"]

    def test_directory_with_blanks_and_letters_of_any_language(self, receiver: FTPReceiver) -> None:
        send(receiver, path="Zoë & co/新聞")

        assert list(receiver.files()) == [f"Zoë & co/新聞/{NAME}"]

    def test_directory_made_by_somebody_else_meanwhile(self, receiver: FTPReceiver) -> None:
        """A directory that cannot be made because it is there is entered."""

        def made_before(handler: Any) -> None:
            (receiver.root / "wire").mkdir()
            handler.respond("550 File exists.")

        receiver.behave(MKD=made_before)
        send(receiver, path="wire")

        assert list(receiver.files()) == [f"wire/{NAME}"]

    def test_hostile_id(self, receiver: FTPReceiver) -> None:
        """An id with separators, `..` and line ends names a file of the directory."""
        send(receiver, build_delivery(item_id="../../etc/\x00passwd\r\nDELE x"), path="wire")

        assert list(receiver.files()) == ["wire/----etc--passwd--DELE x-2-7.json"]

    def test_active_mode(self, receiver: FTPReceiver) -> None:
        send(receiver, passive=False)

        assert {NAME: BODY} == receiver.files()
        assert not receiver.names("PASV")

    def test_anonymous(self, receiver: FTPReceiver) -> None:
        """Without a user name the user is `anonymous`."""
        with pytest.raises(TemporaryFailure):
            send(receiver, username="", password="")

        assert receiver.names("USER") == ["anonymous"]

    def test_repeat_replaces_what_is_there(self, receiver: FTPReceiver) -> None:
        """Also a temporary file that is longer than the new one."""
        (receiver.root / NAME).write_bytes(b"old")
        (receiver.root / f".{NAME}.part").write_bytes(b"x" * 1000)
        send(receiver)

        assert {NAME: BODY} == receiver.files()

    def test_server_that_renames_to_no_name_that_is_taken(self, receiver: FTPReceiver) -> None:
        """The older file is removed first."""

        def rename(handler: Any) -> None:
            if (receiver.root / NAME).exists():
                handler._rnfr = None
                handler.respond("553 File exists.")
            else:
                FTPHandler.ftp_RNTO(handler, str(receiver.root / NAME))

        (receiver.root / NAME).write_bytes(b"old")
        receiver.behave(RNTO=rename)
        send(receiver)

        assert {NAME: BODY} == receiver.files()

    def test_server_without_size(self, receiver: FTPReceiver) -> None:
        """The facts of the file say how long it is."""
        receiver.behave(SIZE="502 Not implemented.")
        send(receiver)

        assert {NAME: BODY} == receiver.files()

    def test_replies_in_another_encoding(self, receiver: FTPReceiver) -> None:
        """Texts that are not UTF-8 are no failure."""

        def greet(handler: Any) -> None:
            handler.push = lambda text: type(handler).push(handler, text)
            super(FTPHandler, handler).push(b"220 Gr\xfc\xdf Gott\r\n")

        receiver.behave(CONNECT=greet)
        send(receiver)

        assert {NAME: BODY} == receiver.files()


class TestFailing:
    """What failures leave behind and say."""

    @pytest.mark.parametrize(
        ("behaviour", "said"),
        [
            ({"STOR": "552 Quota exceeded."}, "did not store .*: 552 Quota exceeded"),
            ({"STOR": "553 Could not create file."}, "553 Could not create"),
            ({"SIZE": "213 5"}, f"5 of {len(BODY)} bytes of .* have arrived"),
            ({"SIZE": "550 No such file."}, f"0 of {len(BODY)} bytes"),
            ({"RNTO": "550 Permission denied."}, "did not rename .*: 550 Permission denied"),
            ({"CONNECT": "421 Too many users."}, "did not greet: 421 Too many users"),
            ({"CONNECT": "what is this"}, "did not greet"),
            ({"PASV": "227 Entering (1,2,3,4,999,999)"}, "port 256743 for data is not a port"),
            ({"PASV": "227 nothing"}, "did not store"),
            ({"PASV": "425 No data."}, "did not store .*: 425 No data"),
        ],
    )
    def test_may_pass(self, receiver: FTPReceiver, behaviour: dict[str, str], said: str) -> None:
        """A refusal is tried again; no file is left, not even in part."""
        receiver.behave(**behaviour)

        with pytest.raises(TemporaryFailure, match=said):
            send(receiver)
        assert {} == receiver.files()

    def test_wrong_password(self, receiver: FTPReceiver) -> None:
        """It is tried again, and nothing shows the password (delivery scenario 32)."""
        with pytest.raises(TemporaryFailure) as caught:
            send(receiver, password="wr0ng-word")

        text = str(caught.value)
        assert text.startswith("PublishFtpError Error 10000 - FTP publish error:127.0.0.1:")
        assert "did not accept the login: check username and password: 530" in text
        assert "wr0ng-word" not in text

    @pytest.mark.parametrize(
        "behaviour",
        [
            {"RNFR": "502 Not implemented."},
            {"SIZE": "502 Not implemented.", "MLST": "500 What?"},
        ],
    )
    def test_server_that_cannot(self, receiver: FTPReceiver, behaviour: dict[str, str]) -> None:
        """Without renaming or sizes no file is known to be whole: permanent, nothing is left."""
        receiver.behave(**behaviour)

        with pytest.raises(PermanentFailure):
            send(receiver)
        assert {} == receiver.files()

    @pytest.mark.parametrize("reply", ["500 AUTH?", "530 Log in first.", "534 No."])
    def test_no_tls(self, receiver: FTPReceiver, reply: str) -> None:
        """Where TLS is wanted and not offered, the password is not sent: permanent."""
        receiver.behave(AUTH=reply)

        with pytest.raises(PermanentFailure, match="did not use TLS"):
            send(receiver, use_ftps=True)
        assert not receiver.names("USER")

    @pytest.mark.parametrize(
        ("config", "said"),
        [
            ({"host": "ftp://127.0.0.1"}, "host is missing or not a host name"),
            ({"host": "127.0.0.1:21"}, "host holds a port"),
            ({"host": "a\r\nb"}, "host is not a line of text"),
            ({"host": "a" * 64 + ".example"}, "is no host name"),
            ({"port": "ftp"}, "port is not a number"),
            ({"port": 70000}, "port is not a number"),
            ({"port": 0}, "port is not a number"),
            ({"username": "a\nb"}, "username is not a line of text"),
            ({"password": "abc\rDELE"}, "password is not a line of text"),
            ({"password": ["x"]}, "password is not a line of text"),
            ({"path": "a\nb"}, "path is not a line of text"),
            ({"path": "\ud800"}, "path is not a line of text"),
            ({"associated_path": {}}, "associated_path is not a line of text"),
            ({"use_ftps": True, "certificate": "nonsense"}, "certificate is not a certificate"),
        ],
    )
    def test_bad_config(self, receiver: FTPReceiver, config: dict[str, Any], said: str) -> None:
        with pytest.raises(PermanentFailure, match=said):
            send(receiver, **config)

    def test_config_is_checked_when_it_is_saved(self) -> None:
        config = {"host": "ftp://x", "port": "x", "certificate": "x"}

        issues = FTPTransmitter.config_issues(config, Caller())

        assert sorted(issues) == ["certificate", "host", "port"]
        assert FTPTransmitter.config_issues({"host": "ftp.example.com"}, Caller()) == {}

    def test_unknown_host(self) -> None:
        """A name may be known later."""

        def resolve(*_: Any, **__: Any) -> list[Any]:
            raise socket.gaierror(-2, "Name or service not known")

        destination = build_destination("ftp", host="ftp.example.com")

        with pytest.raises(TemporaryFailure, match=r"cannot resolve ftp\.example\.com"):
            FTPTransmitter(destination, build_settings(), resolve).send(build_delivery())

    def test_slow_replies_are_bounded(self, receiver: FTPReceiver) -> None:
        """A byte now and then does not keep an attempt alive."""
        settings = {"ftp_reply_timeout": 5.0, "ftp_total_timeout": 0.5}

        def drip(handler: Any) -> None:
            sock = handler.socket.dup()
            threading.Thread(target=_drip, args=[sock], daemon=True).start()

        receiver.behave(STOR=drip)
        with (
            closing(transmitter(receiver, settings)) as sender,
            pytest.raises(TemporaryFailure, match="timed out"),
        ):
            sender.send(build_delivery())

    def test_endless_reply_is_bounded(self, receiver: FTPReceiver) -> None:
        receiver.behave(PWD="257-" + "\r\n257-and on" * 20_000)

        with pytest.raises(TemporaryFailure, match="the reply does not end"):
            send(receiver)


def _drip(sock: socket.socket) -> None:
    with sock, suppress(OSError):
        sock.setblocking(True)
        sock.sendall(b"150-")
        for _ in range(100):
            sock.sendall(b"x")
            time.sleep(0.05)


class TestConnections:
    """Whom the transmitter talks to."""

    def test_kept_for_the_next_delivery(self, receiver: FTPReceiver) -> None:
        """Deliveries behind each other need one login."""
        with closing(transmitter(receiver, path="wire")) as sender:
            for number in range(3):
                sender.send(build_delivery(sequence_number=number))

        assert len(receiver.names("USER")) == 1
        assert len(receiver.files()) == 3

    def test_bounded_for_the_process(self, receiver: FTPReceiver) -> None:
        """Destinations at one server share its places: one that rests makes room for another."""
        senders = [transmitter(receiver, {"connections_per_host": 2}) for _ in range(4)]
        with ThreadPoolExecutor(4) as pool:
            sent = [
                pool.submit(sender.send, build_delivery(sequence_number=number))
                for number, sender in enumerate(senders * 2)
            ]
            assert all(attempt.result() for attempt in sent)
        assert len(receiver.files()) == 8

        blocked = transmitter(receiver, {"connections_per_host": 0, "ftp_reply_timeout": 0.1})
        with pytest.raises(TemporaryFailure, match=r"connections to .* are busy"):
            blocked.send(build_delivery())
        for sender in senders:
            sender.close()
        receiver.assert_no_connections()

    def test_not_kept_for_long(
        self, receiver: FTPReceiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Servers count connections: one without work is closed."""
        monkeypatch.setattr(connections, "IDLE_SECONDS", 0.05)
        sender = transmitter(receiver)
        sender.send(build_delivery())
        receiver.assert_no_connections()
        sender.send(build_delivery())
        receiver.assert_no_connections()

        assert len(receiver.names("USER")) == 2
        assert receiver.names("QUIT")

    @pytest.mark.parametrize("behaviour", [RESET, "421 Idle for too long."])
    def test_broken_meanwhile(self, receiver: FTPReceiver, behaviour: object) -> None:
        """A connection that the server has ended is no failure of the next delivery."""
        with closing(transmitter(receiver)) as sender:
            sender.send(build_delivery())
            receiver.behave(NOOP=behaviour)
            sender.send(build_delivery(sequence_number=8))

        assert len(receiver.files()) == 2

    def test_address_that_is_not_allowed(self, receiver: FTPReceiver) -> None:
        settings = {"allow_private_addresses": False}

        with pytest.raises(PermanentFailure, match="not allowed"):
            transmitter(receiver, settings).send(build_delivery())
        assert receiver.commands == []

    def test_data_go_to_the_server_whatever_it_says(self, tmp_path: Path) -> None:
        """An address in the reply to PASV is ignored: it may lead anywhere."""
        with FTPReceiver(tmp_path, masquerade="192.0.2.1") as receiver:
            send(receiver)

            assert {NAME: BODY} == receiver.files()

    def test_data_are_fetched_by_the_server_only(self, receiver: FTPReceiver) -> None:
        """In active mode who connects from elsewhere gets nothing."""
        heard: list[bytes] = []

        def intrude(handler: Any) -> None:
            argument = receiver.names("PORT")[-1]
            high, low = argument.split(",")[4:]
            address = ("127.0.0.1", int(high) * 256 + int(low))
            intruder = socket.create_connection(address, 5, ("127.0.0.2", 0))
            FTPHandler.ftp_PORT(handler, argument)
            threading.Thread(target=_hear, args=[intruder, heard], daemon=True).start()

        receiver.behave(PORT=intrude)
        send(receiver, passive=False)

        assert {NAME: BODY} == receiver.files()
        assert b"".join(heard) == b""


def _hear(sock: socket.socket, heard: list[bytes]) -> None:
    with sock, suppress(OSError):
        heard.append(sock.recv(100))


PICTURE = MediaFile("sea.jpg", "image/jpeg", b"\xff\xd8picture")
CROP = MediaFile("crop.jpg", "image/jpeg", b"\xff\xd8crop")
SCAN = MediaFile("scan.pdf", "application/pdf", b"%PDF")
STORED = {"sea/1": PICTURE, "sea-crop": CROP, "scan.pdf": SCAN}
ITEM = {
    "type": "text",
    "associations": {
        "featuremedia": {
            "renditions": {
                "original": {"media": "sea/1", "mimetype": "image/jpeg", "href": "x"},
                "16-9": {"media": "sea-crop", "mimetype": "image/jpeg"},
                "viewImage": {"media": "not-sent", "mimetype": "image/jpeg"},
                "4-3": None,
            }
        },
        "gone": None,
    },
    "attachments": [{"media": "scan.pdf"}],
}


def with_media(media: MediaStore, **changes: Any) -> Delivery:
    body = changes.pop("body", json.dumps(ITEM).encode())
    return build_delivery(body=body, open_media=media.open, **changes)


class TestMedia:
    """Pictures, other media and attachments, where the destination wants them."""

    def test_in_their_own_directory(self, receiver: FTPReceiver) -> None:
        """They come first, each once; a second run uploads none again (delivery scenario 31)."""
        media = MediaStore(**STORED)
        config = {"path": "wire", "push_associated": True, "associated_path": "/pictures/new"}
        send(receiver, with_media(media), **config)
        send(receiver, with_media(media, sequence_number=8), **config)

        files = receiver.files()
        assert {name: data for name, data in files.items() if "story" not in name} == {
            "pictures/new/sea-1.jpg": PICTURE.data,
            "pictures/new/sea-crop.jpg": CROP.data,
            "pictures/new/scan.pdf": SCAN.data,
        }
        assert [name for name in files if "story" in name] == [
            f"wire/{NAME}",
            f"wire/{NAME.replace('-7', '-8')}",
        ]
        assert sorted(media.opened) == sorted(STORED)
        assert receiver.names("RNTO")[3] == NAME

    def test_beside_the_items(self, receiver: FTPReceiver) -> None:
        """Without a directory of their own they lie where the items do."""
        send(receiver, with_media(MediaStore(**STORED)), path="wire", push_associated=True)

        assert len(receiver.files()) == 4
        assert all(name.startswith("wire/") for name in receiver.files())

    def test_of_a_body_that_is_not_json(self, receiver: FTPReceiver) -> None:
        """The item as published says which they are (delivery scenario 31)."""
        delivery = with_media(MediaStore(**STORED), body=b"<nitf/>", open_item=lambda: ITEM)
        send(receiver, delivery, push_associated=True)

        assert {"sea-1.jpg", "sea-crop.jpg", "scan.pdf"} < set(receiver.files())

    def test_not_wanted(self, receiver: FTPReceiver) -> None:
        media = MediaStore(**STORED)
        send(receiver, with_media(media), push_associated="false", associated_path="pictures")

        assert list(receiver.files()) == [NAME]
        assert media.opened == []

    def test_one_that_is_not_stored(self, receiver: FTPReceiver) -> None:
        """The item is not sent without: permanent."""
        with pytest.raises(PermanentFailure, match=r"media file .* is not stored here"):
            send(receiver, with_media(MediaStore()), push_associated=True)
        assert {} == receiver.files()

    def test_one_that_cannot_be_uploaded(self, receiver: FTPReceiver) -> None:
        """Then the item does not go; what has arrived of the media is not uploaded again."""
        media = MediaStore(**STORED)
        stores = FTPHandler.ftp_STOR

        def second_fails(handler: Any) -> None:
            name = receiver.names("STOR")[-1]
            if "crop" in name:
                handler.respond("452 No space left.")
            else:
                stores(handler, str(receiver.root / name))

        receiver.behave(STOR=second_fails)
        with pytest.raises(TemporaryFailure):
            send(receiver, with_media(media), push_associated=True)
        assert sorted(receiver.files()) == ["scan.pdf", "sea-1.jpg"]

        receiver.behave()
        send(receiver, with_media(media), push_associated=True)
        assert media.opened == ["scan.pdf", "sea/1", "sea-crop", "sea-crop"]

    def test_half_a_file_of_before_is_not_taken_for_whole(self, receiver: FTPReceiver) -> None:
        """An empty file of the name is written anew."""
        (receiver.root / "sea-1.jpg").touch()
        send(receiver, with_media(MediaStore(**STORED)), push_associated=True)

        assert receiver.files()["sea-1.jpg"] == PICTURE.data


WRITER = """
import json, sys, time
from tests.support.deliveries import build_delivery, build_destination, build_settings
from transmitters.ftp import FTPClient, FTPTransmitter

def stand_still(client, connection, data):
    connection.sendall(bytes(data)[: len(data) // 2])
    print("writing", flush=True)
    time.sleep(60)

FTPClient._send = stand_still
destination = build_destination("ftp", **json.loads(sys.argv[1]))
FTPTransmitter(destination, build_settings()).send(build_delivery())
"""


class TestCleaningUp:
    """What a process leaves that dies while it uploads."""

    def test_process_that_was_killed(self, receiver: FTPReceiver) -> None:
        """Half a file is under its temporary name only, and goes before the next attempt."""
        config = {**receiver.config, "path": "wire"}
        command = [sys.executable, "-c", WRITER, json.dumps(config)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "writing\n"
            child.kill()
        assert [f"wire/.{NAME}.part"] == list(receiver.files())

        with closing(transmitter(receiver, path="wire")) as sender:
            sender.clean_up([build_delivery()])
            assert {} == receiver.files()
            sender.send(build_delivery(attempt=2))
        assert {f"wire/{NAME}": BODY} == receiver.files()

    def test_removes_what_may_have_been_under_way(self, receiver: FTPReceiver) -> None:
        """Temporary files of these deliveries go; all others stay, whatever their names."""
        config = {"path": "wire", "push_associated": True, "associated_path": "pictures"}
        for name in (f"wire/.{NAME}.part", "pictures/.sea-1.jpg.part"):
            path = receiver.root / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"half")
        others = ["wire/.a.part", f"wire/{NAME}", f"wire/.{NAME}", "pictures/.other.jpg.part"]
        for name in others:
            (receiver.root / name).write_bytes(b"")

        with closing(transmitter(receiver, **config)) as sender:
            sender.clean_up([with_media(MediaStore(**STORED))])

        assert sorted(receiver.files()) == sorted(others)

    def test_server_that_is_down(self, receiver: FTPReceiver) -> None:
        receiver.stop()

        with pytest.raises(TemporaryFailure):
            transmitter(receiver).clean_up([build_delivery()])


class TestCuts:
    """Wherever the connection ends, no file is there in part, and the next attempt mends all."""

    @pytest.mark.parametrize("how", Cut)
    @pytest.mark.parametrize("passive", [True, False])
    def test_here_and_there(self, receiver: FTPReceiver, how: Cut, passive: bool) -> None:
        delivery = with_media(MediaStore(**STORED))
        config = {"passive": passive, "push_associated": True, "path": "wire"}
        whole = bytes_of(receiver, delivery, config)
        self.cut_at(receiver, range(1, whole, 131), how, delivery, config)

    @pytest.mark.chaos
    @pytest.mark.timeout(600)
    @pytest.mark.parametrize("how", Cut)
    def test_at_many_bytes(self, receiver: FTPReceiver, how: Cut) -> None:
        """At every one of a delivery without media, all commands included."""
        config: dict[str, Any] = {"path": "wire"}
        whole = bytes_of(receiver, build_delivery(), config)
        self.cut_at(receiver, range(1, whole), how, build_delivery(), config)

    @pytest.mark.parametrize("how", Cut)
    @pytest.mark.parametrize("limit", [1, len(BODY) // 2, len(BODY) - 1])
    def test_data_only(self, receiver: FTPReceiver, how: Cut, limit: int) -> None:
        """Servers take the end of a connection for the end of the file: its size tells."""
        settings = build_settings(ftp_reply_timeout=1.0)
        with network(limit, how, only=1) as cutting:
            destination = build_destination("ftp", **receiver.config)
            sender = FTPTransmitter(destination, settings, cutting.resolve)
            with closing(sender), pytest.raises(TemporaryFailure):
                sender.send(build_delivery())
        assert NAME not in receiver.files()

        send(receiver)
        assert {NAME: BODY} == receiver.files()

    def cut_at(
        self,
        receiver: FTPReceiver,
        limits: Iterable[int],
        how: Cut,
        delivery: Delivery,
        config: dict[str, Any],
    ) -> None:
        send(receiver, delivery, **config)
        whole = clear(receiver)
        settings = build_settings(ftp_reply_timeout=1.0)
        destination = build_destination("ftp", **{**receiver.config, **config})
        for limit in limits:
            with (
                network(limit, how) as cutting,
                suppress(TemporaryFailure),
                closing(FTPTransmitter(destination, settings, cutting.resolve)) as sender,
            ):
                sender.send(delivery)
            found = receiver.files()
            seen = {n: data for n, data in found.items() if not n.endswith(".part")}
            assert seen.items() <= whole.items(), f"cut after {limit} bytes"
            send(receiver, delivery, **config)
            assert whole == clear(receiver), f"cut after {limit} bytes"


def bytes_of(receiver: FTPReceiver, delivery: Delivery, config: dict[str, Any]) -> int:
    """Return how many bytes go through the network for a delivery."""
    with network() as cutting:
        destination = build_destination("ftp", **{**receiver.config, **config})
        with closing(FTPTransmitter(destination, build_settings(), cutting.resolve)) as sender:
            sender.send(delivery)
        clear(receiver)
        return cutting.passed


def clear(receiver: FTPReceiver) -> Mapping[str, bytes]:
    """Remove the files that are there, and return them."""
    found = receiver.files()
    for name in found:
        (receiver.root / name).unlink()
    return found

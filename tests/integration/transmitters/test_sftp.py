"""Delivery type `sftp` against servers on loopback."""

import json
import socket
import threading
import time
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import paramiko
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

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
from tests.support.ftp_server import files_in
from tests.support.receivers import HTTPReceiver
from tests.support.sftp_server import HOST_KEY, OTHER_HOST_KEY, SFTPReceiver, line_of
from transmitters import connections
from transmitters.base import Delivery, MediaFile, Receipt
from transmitters.sftp import SFTPTransmitter

PASSPHRASE = "open-sesame"
KEY = ed25519.Ed25519PrivateKey.generate()
USER_KEY = KEY.private_bytes(
    Encoding.PEM, PrivateFormat.OpenSSH, BestAvailableEncryption(PASSPHRASE.encode())
).decode()
PUBLIC = paramiko.PKey.from_type_string(
    "ssh-ed25519",
    b64decode(KEY.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).split()[1]),
)
NAME = "urn-newsml-example.com-2026-story-2-7.json"


class Server(NetworkFarSide):
    """A server with a directory of the user."""

    def __init__(self, receiver: SFTPReceiver) -> None:
        self.receiver = receiver

    @property
    def config(self) -> dict[str, Any]:
        return {**self.receiver.config, "private_key": USER_KEY, "passphrase": PASSPHRASE}

    def documents(self) -> Mapping[str, bytes]:
        return files_in(self.receiver.root)

    def accept(self) -> None:
        self.receiver.behaviour = {}

    def fail_for_now(self) -> None:
        self.receiver.behaviour = {"open": (paramiko.SFTP_FAILURE, "No space left")}

    def refuse(self) -> None:
        self.receiver.host_key = OTHER_HOST_KEY

    def hang(self) -> None:
        self.receiver.behaviour = {"connect": SFTPReceiver.HANG}

    def reset(self) -> None:
        self.receiver.behaviour = {"open": SFTPReceiver.RESET}

    def fail_saying(self, text: str) -> None:
        self.receiver.behaviour = {"open": (paramiko.SFTP_FAILURE, text)}

    def stop(self) -> None:
        self.receiver.stop()

    def assert_let_go(self) -> None:
        self.receiver.assert_no_connections()


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[SFTPReceiver]:
    (tmp_path / "sftp").mkdir()
    with SFTPReceiver(tmp_path / "sftp") as receiver:
        yield receiver


class TestSuite(TransmitterSuite, NetworkSuite, ThreadSafeSuite):
    transmitter_class = SFTPTransmitter

    @pytest.fixture
    def far_side(self, receiver: SFTPReceiver) -> Server:
        return Server(receiver)


def transmitter(
    receiver: SFTPReceiver, settings: dict[str, Any] | None = None, **config: Any
) -> SFTPTransmitter:
    return SFTPTransmitter(
        build_destination("sftp", **{**receiver.config, **config}), build_settings(**settings or {})
    )


def send(receiver: SFTPReceiver, delivery: Delivery | None = None, **config: Any) -> Receipt:
    """Deliver once, by a transmitter of its own."""
    with closing(transmitter(receiver, **config)) as sender:
        return sender.send(delivery or build_delivery())


class TestFiles:
    """Where items go, and under which names."""

    def test_only_the_file_is_there(self, receiver: SFTPReceiver) -> None:
        receipt = send(receiver)

        assert {NAME: BODY} == files_in(receiver.root)
        assert receipt.message == NAME

    @pytest.mark.parametrize(
        ("path", "expected"),
        [
            ("wire/text", "home/desk/wire/text/"),
            ("/wire/text/", "wire/text/"),
            ("", "home/desk/"),
            ("/", ""),
            (" ./wire ", "home/desk/wire/"),
        ],
    )
    def test_path(self, receiver: SFTPReceiver, path: str, expected: str) -> None:
        """From where the login is, or absolute; directories are made."""
        receiver.home = "home/desk"
        (receiver.root / receiver.home).mkdir(parents=True)
        send(receiver, path=path)

        assert list(files_in(receiver.root)) == [f"{expected}{NAME}"]

    def test_repeat_replaces_what_is_there(self, receiver: SFTPReceiver) -> None:
        """Also a temporary file that is longer than the new one."""
        (receiver.root / NAME).write_bytes(b"old")
        (receiver.root / f".{NAME}.part").write_bytes(b"x" * 1000)
        send(receiver)

        assert {NAME: BODY} == files_in(receiver.root)

    def test_server_that_renames_to_no_name_that_is_taken(self, receiver: SFTPReceiver) -> None:
        """The older file is removed first."""
        (receiver.root / NAME).write_bytes(b"old")
        receiver.behaviour = {"extended": (paramiko.SFTP_OP_UNSUPPORTED, "Unsupported")}
        send(receiver)

        assert {NAME: BODY} == files_in(receiver.root)

    def test_media_in_their_own_directory(self, receiver: SFTPReceiver) -> None:
        """A second run uploads none again."""
        media = MediaStore(**{"sea/1": MediaFile("sea.jpg", "image/jpeg", b"\xff\xd8sea")})
        item = {"renditions": {"original": {"media": "sea/1", "mimetype": "image/jpeg"}}}
        config = {"path": "wire", "push_associated": True, "associated_path": "pictures/new"}
        delivery = build_delivery(body=json.dumps(item).encode(), open_media=media.open)
        for _ in range(2):
            send(receiver, delivery, **config)

        assert {f"wire/{NAME}", "pictures/new/sea-1.jpg"} == set(files_in(receiver.root))
        assert media.opened == ["sea/1"]


class TestLogin:
    """Who logs in where."""

    @pytest.mark.parametrize("config", [{"password": ""}, {"password": "wrong"}])
    def test_key(self, receiver: SFTPReceiver, config: dict[str, str]) -> None:
        """A key is enough."""
        receiver.user_keys = [PUBLIC]
        send(receiver, private_key=USER_KEY, passphrase=PASSPHRASE, **config)

        assert {NAME: BODY} == files_in(receiver.root)

    @pytest.mark.parametrize("kind", ["rsa", "ecdsa", "pem"])
    def test_keys_of_all_kinds(self, receiver: SFTPReceiver, kind: str) -> None:
        key: Any = ec.generate_private_key(ec.SECP256R1())
        if kind != "ecdsa":
            key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        form = PrivateFormat.TraditionalOpenSSL if kind == "pem" else PrivateFormat.OpenSSH
        text = key.private_bytes(Encoding.PEM, form, NoEncryption()).decode()
        line = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
        name, encoded = line.split()
        receiver.user_keys = [paramiko.PKey.from_type_string(name, b64decode(encoded))]
        send(receiver, password="", private_key=text)

        assert {NAME: BODY} == files_in(receiver.root)

    def test_key_and_password(self, receiver: SFTPReceiver) -> None:
        """A server that wants both gets both."""
        receiver.user_keys, receiver.wants_both = [PUBLIC], True
        send(receiver, private_key=USER_KEY, passphrase=PASSPHRASE)

        assert {NAME: BODY} == files_in(receiver.root)

    def test_password_where_the_key_is_not_known(self, receiver: SFTPReceiver) -> None:
        send(receiver, private_key=USER_KEY, passphrase=PASSPHRASE)

        assert {NAME: BODY} == files_in(receiver.root)

    @pytest.mark.parametrize(
        "config",
        [
            {"password": "wr0ng-word"},
            {"password": "", "private_key": USER_KEY, "passphrase": PASSPHRASE},
            {"username": "somebody-else"},
        ],
    )
    def test_refused(self, receiver: SFTPReceiver, config: dict[str, str]) -> None:
        """It is tried again, and nothing shows the password."""
        with pytest.raises(TemporaryFailure) as caught:
            send(receiver, **config)

        text = str(caught.value)
        assert text.startswith("PublishSFTPError Error 10001 - SFTP publish error:127.0.0.1:")
        assert "did not accept the login: check username, password and private_key" in text
        assert "wr0ng-word" not in text

    def test_host_key_has_changed(self, receiver: SFTPReceiver) -> None:
        """Permanent: nobody is told the password; the failure shows the key that there is."""
        receiver.host_key = OTHER_HOST_KEY

        with pytest.raises(PermanentFailure, match="is not host_key but") as caught:
            send(receiver)
        assert OTHER_HOST_KEY.get_base64() in str(caught.value)
        assert receiver.requests == []

    def test_host_key_is_of_another_type_now(self, receiver: SFTPReceiver) -> None:
        receiver.host_key = paramiko.RSAKey.generate(2048)

        with pytest.raises(PermanentFailure, match="host key may have changed"):
            send(receiver)

    def test_host_key_is_not_pinned(self, receiver: SFTPReceiver) -> None:
        """The failure says which key to ask for: permanent."""
        with pytest.raises(PermanentFailure, match="host_key is missing") as caught:
            send(receiver, host_key="")

        assert HOST_KEY.get_base64() in str(caught.value)
        assert receiver.requests == []

    def test_host_key_while_it_changes(self, receiver: SFTPReceiver) -> None:
        """One of several is enough; comments and names of hosts do not matter."""
        lines = [
            f"# {line_of(OTHER_HOST_KEY)}",
            f"{OTHER_HOST_KEY.get_name()} {OTHER_HOST_KEY.get_base64()} old@server",
            f"[sftp.example.com]:22 {HOST_KEY.get_name()} {HOST_KEY.get_base64()}",
        ]
        send(receiver, host_key="\n".join(lines))

        assert {NAME: BODY} == files_in(receiver.root)

    @pytest.mark.parametrize(
        ("config", "said"),
        [
            ({"username": " "}, "username is missing"),
            ({"password": ""}, "password and private_key are missing"),
            ({"private_key": "nonsense"}, "private_key is not a private key"),
            ({"private_key": USER_KEY}, "passphrase is not the one that it needs"),
            ({"private_key": USER_KEY, "passphrase": "wrong"}, "passphrase is not the one"),
            ({"private_key": 7}, "private_key is not a private key"),
            ({"host_key": "SHA256:abc"}, "host_key is not a public key"),
            ({"host_key": "ssh-ed25519 AAAA"}, "host_key is not a public key"),
            ({"host_key": ["x"]}, "host_key is not a public key"),
            ({"port": "ssh"}, "port is not a number"),
            ({"path": "a\0b"}, "path is not a line of text"),
        ],
    )
    def test_bad_config(self, receiver: SFTPReceiver, config: dict[str, Any], said: str) -> None:
        with pytest.raises(PermanentFailure, match=said):
            send(receiver, **config)
        assert receiver.logins == 0

    def test_config_is_checked_when_it_is_saved(self) -> None:
        config = {"host": "a b", "port": -1, "host_key": "x"}

        assert sorted(SFTPTransmitter.config_issues(config, Caller())) == sorted(config)


class TestFailing:
    """What failures leave behind and say."""

    @pytest.mark.parametrize(
        ("behaviour", "said"),
        [
            ({"open": (paramiko.SFTP_PERMISSION_DENIED, "Not yours")}, "did not store .*Not yours"),
            ({"write": (paramiko.SFTP_FAILURE, "Disk full")}, "did not store .*Disk full"),
            ({"write": (paramiko.SFTP_OK, "")}, f"0 of {len(BODY)} bytes of .* have arrived"),
            (
                {
                    "extended": (paramiko.SFTP_OP_UNSUPPORTED, "Unsupported"),
                    "rename": (paramiko.SFTP_PERMISSION_DENIED, "Not allowed"),
                },
                "did not rename .*Not allowed",
            ),
        ],
    )
    def test_may_pass(self, receiver: SFTPReceiver, behaviour: dict[str, Any], said: str) -> None:
        """A refusal is tried again; no file is left, not even in part."""
        receiver.behaviour = behaviour

        with pytest.raises(TemporaryFailure, match=said):
            send(receiver)
        assert {} == files_in(receiver.root)

    @pytest.mark.parametrize("request_name", ["stat", "open", "write", "extended"])
    def test_no_reply_is_bounded(self, receiver: SFTPReceiver, request_name: str) -> None:
        receiver.behaviour = {request_name: SFTPReceiver.HANG}
        settings = {"ftp_reply_timeout": 0.5, "ftp_total_timeout": 2.0}

        with (
            closing(transmitter(receiver, settings, path="x")) as sender,
            pytest.raises(TemporaryFailure),
        ):
            sender.send(build_delivery())
        assert NAME not in files_in(receiver.root)

    def test_address_that_is_not_allowed(self, receiver: SFTPReceiver) -> None:
        settings = {"allow_private_addresses": False}

        with pytest.raises(PermanentFailure, match="not allowed"):
            transmitter(receiver, settings).send(build_delivery())
        assert receiver.logins == 0

    @pytest.mark.parametrize("says", [b"x" * 4096, b"SSH-2.0-x\r\n\xff\xff\xff\xf0" + b"x" * 4096])
    def test_server_that_says_too_much(self, says: bytes) -> None:
        """A greeting without end, or a packet of any announced length, fills no memory."""
        told = 0

        def talk(listener: socket.socket) -> None:
            nonlocal told
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                connection.sendall(says)
                while told < 1 << 28:
                    told += connection.send(b"x" * (1 << 16))

        with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
            pool.submit(talk, listener)
            config = {"host": "127.0.0.1", "port": listener.getsockname()[1]}
            destination = build_destination("sftp", username="x", password="y", **config)
            with pytest.raises(TemporaryFailure):
                SFTPTransmitter(destination, build_settings()).send(build_delivery())

        assert told < 1 << 26

    def test_server_that_is_none(self) -> None:
        """Something else listens on the port."""
        with HTTPReceiver() as other:
            config = {"host": "127.0.0.1", "port": other.port, "username": "x", "password": "y"}
            destination = build_destination("sftp", **config)
            with pytest.raises(TemporaryFailure, match="did not agree on a connection"):
                SFTPTransmitter(destination, build_settings()).send(build_delivery())


class TestConnections:
    """Connections between deliveries."""

    def test_kept_for_the_next_delivery(self, receiver: SFTPReceiver) -> None:
        with closing(transmitter(receiver, path="wire")) as sender:
            for number in range(3):
                sender.send(build_delivery(sequence_number=number))

        assert receiver.logins == 1
        assert len(files_in(receiver.root)) == 3

    def test_not_kept_for_long(
        self, receiver: SFTPReceiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A connection without work is closed."""
        monkeypatch.setattr(connections, "IDLE_SECONDS", 0.05)
        sender = transmitter(receiver)
        sender.send(build_delivery())
        receiver.assert_no_connections()
        sender.send(build_delivery())
        receiver.assert_no_connections()

        assert receiver.logins == 2

    def test_broken_meanwhile(self, receiver: SFTPReceiver) -> None:
        """A connection that the server has ended is no failure of the next delivery."""
        with closing(transmitter(receiver)) as sender:
            sender.send(build_delivery())
            receiver.break_connections()
            sender.send(build_delivery(sequence_number=8))

        assert len(files_in(receiver.root)) == 2

    def test_what_bounds_an_attempt_ends_with_it(self, receiver: SFTPReceiver) -> None:
        """The connection that is kept is not broken when the time of the attempt is over."""
        timers = set(threading.enumerate())
        with closing(transmitter(receiver)) as sender:
            sender.send(build_delivery())
            deadline = time.monotonic() + 10
            while len(_timers() - timers) > 1:
                assert time.monotonic() < deadline, "a timer is left that ends the attempt"
                time.sleep(0.01)
            (left,) = _timers() - timers
            assert left.interval == connections.IDLE_SECONDS

    def test_cleaning_up(self, receiver: SFTPReceiver) -> None:
        """The temporary files of what may have been under way go; all others stay."""
        for name in (f".{NAME}.part", ".a.part"):
            (receiver.root / name).write_bytes(b"half")
        with closing(transmitter(receiver)) as sender:
            sender.clean_up([build_delivery()])

        assert [".a.part"] == list(files_in(receiver.root))


def _timers() -> set[threading.Timer]:
    return {thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)}


class TestCuts:
    """Wherever the connection ends, no file is there in part, and the next attempt mends all."""

    @pytest.mark.parametrize("how", Cut)
    def test_here_and_there(self, receiver: SFTPReceiver, how: Cut) -> None:
        whole = self.bytes_of_a_delivery(receiver)
        self.cut_at(receiver, range(1, whole, whole // 15), how)

    @pytest.mark.chaos
    @pytest.mark.timeout(600)
    @pytest.mark.parametrize("how", Cut)
    def test_at_many_bytes(self, receiver: SFTPReceiver, how: Cut) -> None:
        self.cut_at(receiver, range(1, self.bytes_of_a_delivery(receiver), 17), how)

    def bytes_of_a_delivery(self, receiver: SFTPReceiver) -> int:
        with network() as cutting:
            destination = build_destination("sftp", **receiver.config)
            with closing(SFTPTransmitter(destination, build_settings(), cutting.resolve)) as sender:
                sender.send(build_delivery())
            (receiver.root / NAME).unlink()
            return cutting.passed

    def cut_at(self, receiver: SFTPReceiver, limits: Iterable[int], how: Cut) -> None:
        settings = build_settings(ftp_reply_timeout=5.0)
        destination = build_destination("sftp", **receiver.config)
        for limit in limits:
            with (
                network(limit, how) as cutting,
                closing(SFTPTransmitter(destination, settings, cutting.resolve)) as sender,
                suppress(TemporaryFailure),
            ):
                sender.send(build_delivery())
            found = files_in(receiver.root)
            assert found.get(NAME, BODY) == BODY, f"cut after {limit} bytes"
            send(receiver)
            assert {NAME: BODY} == files_in(receiver.root), f"cut after {limit} bytes"
            (receiver.root / NAME).unlink()

"""Delivery type `sftp` against servers on loopback."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import paramiko
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)

from tests.suites.transmitter_suite import (
    NetworkFarSide,
    NetworkSuite,
    ThreadSafeSuite,
    TransmitterSuite,
)
from tests.support.ftp_server import files_in
from tests.support.sftp_server import OTHER_HOST_KEY, SFTPReceiver
from transmitters.sftp import SFTPTransmitter

PASSPHRASE = "open-sesame"
KEY = ed25519.Ed25519PrivateKey.generate()
USER_KEY = KEY.private_bytes(
    Encoding.PEM, PrivateFormat.OpenSSH, BestAvailableEncryption(PASSPHRASE.encode())
).decode()
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

"""Uploads to servers of other projects: vsftpd with TLS, and sshd."""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from apps.core.errors import PermanentFailure, TemporaryFailure
from tests.support.cutting import Cut, network
from tests.support.deliveries import BODY, build_delivery, build_destination, build_settings
from tests.support.ftp_server import files_in
from transmitters.base import Receipt
from transmitters.ftp import FTPClient, FTPTransmitter
from transmitters.sftp import SFTPTransmitter
from transmitters.uploads import UploadTransmitter

pytestmark = pytest.mark.peers

NAME = "urn-newsml-example.com-2026-story-2-7.json"


class Peer:
    """A server, the directory that files arrive in, and the config that reaches it."""

    def __init__(
        self, transmitter: type[UploadTransmitter], directory: Path, **config: Any
    ) -> None:
        self.transmitter = transmitter
        self.directory = directory
        self.config = config

    def build(self, *more: Any, **config: Any) -> UploadTransmitter:
        destination = build_destination(self.transmitter.type, **{**self.config, **config})
        return self.transmitter(destination, build_settings(ftp_reply_timeout=5.0), *more)

    def send(self, body: bytes = BODY, **config: Any) -> Receipt:
        with closing(self.build(**config)) as sender:
            return sender.send(build_delivery(body=body))

    def files(self) -> dict[str, bytes]:
        return files_in(self.directory)

    def clear(self) -> None:
        shutil.rmtree(self.directory / "wire", ignore_errors=True)


@pytest.fixture
def ftp(vsftpd: dict[str, Any]) -> Iterator[Peer]:
    peer = Peer(
        FTPTransmitter,
        Path(vsftpd["incoming"]),
        host="127.0.0.1",
        port=vsftpd["port"],
        username="anonymous",
        password="desk@example.com",
        path="incoming/wire",
        use_ftps=True,
        certificate=vsftpd["certificate"],
    )
    yield peer
    peer.clear()


@pytest.fixture
def sftp(sshd: dict[str, Any]) -> Iterator[Peer]:
    peer = Peer(
        SFTPTransmitter,
        Path(sshd["home"]),
        host="127.0.0.1",
        port=sshd["port"],
        username=sshd["username"],
        private_key=sshd["private_key"],
        host_key=sshd["host_keys"]["ed25519"],
        path="wire",
    )
    yield peer
    peer.clear()


@pytest.fixture(params=["ftp", "sftp"])
def peer(request: pytest.FixtureRequest) -> Peer:
    found: Peer = request.getfixturevalue(request.param)
    return found


class TestBoth:
    def test_file_arrives(self, peer: Peer) -> None:
        """In directories that are made, and nothing else; a repeat changes nothing."""
        for _ in range(2):
            peer.send(path=f"{peer.config['path']}/a/b c")

        assert {f"wire/a/b c/{NAME}": BODY} == peer.files()

    def test_files_of_all_sizes(self, peer: Peer) -> None:
        """On one connection."""
        bodies = [b"", b"x", b"\x00\xff\r\n" * 50_000, b"y" * 3_000_000]
        with closing(peer.build()) as sender:
            for number, body in enumerate(bodies):
                sender.send(build_delivery(body=body, sequence_number=number))

        assert bodies == list(peer.files().values())

    @pytest.mark.parametrize("how", Cut)
    def test_connection_ends(self, peer: Peer, how: Cut) -> None:
        """Wherever that is, no file is there in part, and the next attempt mends all."""
        whole = self.bytes_of_a_delivery(peer)
        self.cut_at(peer, range(1, whole, whole // 25), how)

    @pytest.mark.chaos
    @pytest.mark.timeout(600)
    @pytest.mark.parametrize("how", Cut)
    def test_connection_ends_at_many_bytes(self, peer: Peer, how: Cut) -> None:
        whole = self.bytes_of_a_delivery(peer)
        self.cut_at(peer, range(1, whole, whole // 200), how)

    def bytes_of_a_delivery(self, peer: Peer) -> int:
        with network() as cutting:
            with closing(peer.build(cutting.resolve)) as sender:
                sender.send(build_delivery())
            peer.clear()
            return cutting.passed

    def cut_at(self, peer: Peer, limits: Iterable[int], how: Cut) -> None:
        for limit in limits:
            with (
                network(limit, how) as cutting,
                closing(peer.build(cutting.resolve)) as sender,
                suppress(TemporaryFailure),
            ):
                sender.send(build_delivery())
            assert peer.files().get(f"wire/{NAME}", BODY) == BODY, f"cut after {limit} bytes"
            peer.send()
            assert {f"wire/{NAME}": BODY} == peer.files(), f"cut after {limit} bytes"
            peer.clear()


class TestFTP:
    @pytest.mark.parametrize("passive", [True, False])
    def test_data_share_the_tls_session(self, ftp: Peer, passive: bool) -> None:
        """The server takes them in no other one."""
        ftp.send(passive=passive)

        assert {f"wire/{NAME}": BODY} == ftp.files()

    def test_server_asks_for_the_session(self, ftp: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without it nothing arrives, and the failure says why."""
        wrapped = FTPClient._wrapped
        monkeypatch.setattr(
            FTPClient, "_wrapped", lambda client, sock, session=None: wrapped(client, sock)
        )

        with pytest.raises(TemporaryFailure, match=r"522 .*session reuse required"):
            ftp.send()
        assert f"wire/{NAME}" not in ftp.files()

    def test_certificate_that_nobody_has_signed(self, ftp: Peer) -> None:
        """It is not trusted unless the destination says so: permanent."""
        with pytest.raises(PermanentFailure, match=r"certificate of .* is not valid"):
            ftp.send(certificate="")
        assert {} == ftp.files()

    def test_certificate_of_another_host(self, ftp: Peer) -> None:
        with pytest.raises(PermanentFailure, match=r"certificate of .* is not valid"):
            ftp.send(host="localhost")

    def test_without_tls(self, ftp: Peer) -> None:
        """A server that insists on TLS refuses, in its own words."""
        with pytest.raises(TemporaryFailure, match=r"did not accept the login: .*: 5"):
            ftp.send(use_ftps=False)


class TestSFTP:
    @pytest.mark.parametrize("kind", ["ed25519", "rsa"])
    def test_any_key_of_the_server_may_be_pinned(
        self, sftp: Peer, sshd: dict[str, Any], kind: str
    ) -> None:
        sftp.send(host_key=sshd["host_keys"][kind])

        assert {f"wire/{NAME}": BODY} == sftp.files()

    def test_absolute_path(self, sftp: Peer) -> None:
        sftp.send(path=f"{sftp.directory}/wire/deep")

        assert {f"wire/deep/{NAME}": BODY} == sftp.files()

    def test_key_that_is_not_known(self, sftp: Peer, sshd: dict[str, Any]) -> None:
        with pytest.raises(TemporaryFailure, match="did not accept the login"):
            sftp.send(username="nobody", password="x", private_key="")
        assert {} == sftp.files()

    def test_directory_that_is_not_writable(self, sftp: Peer) -> None:
        with pytest.raises(TemporaryFailure, match="did not change to directory"):
            sftp.send(path="/proc/nothing/here")

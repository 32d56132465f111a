"""Delivery type `File`: whole files or none, in allowed directories."""

import errno
import os
import resource
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from apps.core.errors import PermanentFailure, TemporaryFailure
from tests.suites.transmitter_suite import FarSide, ThreadSafeSuite, TransmitterSuite
from tests.support.deliveries import BODY, build_delivery, build_destination, build_settings
from transmitters.base import TransmitSettings
from transmitters.file import MOST_STUCK, FileTransmitter

NAME = "urn-newsml-example.com-2026-story-2-7.json"


class Directory(FarSide):
    """A directory that programs of a recipient pick files up from."""

    def __init__(self, root: Path) -> None:
        self.path = root / "out"
        self.path.mkdir()
        self._away = root / "away"
        self._outside = root.parent / "outside"
        self._refusing = False
        self._descriptors = _open_files()

    @property
    def config(self) -> dict[str, Any]:
        return {"file_path": str(self._outside if self._refusing else self.path)}

    def documents(self) -> Mapping[str, bytes]:
        return {file.name: file.read_bytes() for file in self.path.iterdir()}

    def accept(self) -> None:
        self._away.rename(self.path)

    def fail_for_now(self) -> None:
        self.path.rename(self._away)

    def refuse(self) -> None:
        self._refusing = True

    def assert_let_go(self) -> None:
        assert self._descriptors >= _open_files()


def _open_files() -> set[str]:
    """Return the regular files and directories that this process has open."""
    found = set()
    for entry in os.listdir("/proc/self/fd"):
        try:
            found.add(os.readlink(f"/proc/self/fd/{entry}"))
        except FileNotFoundError:
            continue
    return {name for name in found if name.startswith("/") and not name.startswith("/proc/")}


class TestSuite(TransmitterSuite, ThreadSafeSuite):
    transmitter_class = FileTransmitter

    @pytest.fixture
    def far_side(self, tmp_path: Path) -> Iterator[FarSide]:
        root = tmp_path / "root"
        root.mkdir()
        return Directory(root)

    @pytest.fixture
    def settings(self, tmp_path: Path) -> TransmitSettings:
        return build_settings(file_root=str(tmp_path / "root"))


def transmitter(directory: object, *, root: Path | None = None, **config: Any) -> FileTransmitter:
    destination = build_destination("File", file_path=str(directory), **config)
    return FileTransmitter(destination, build_settings(file_root=str(root) if root else None))


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Let the system refuse to write more than `size` bytes into a file, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class TestWriting:
    """What is in the directory afterwards."""

    def test_only_the_file_is_there(self, tmp_path: Path) -> None:
        """Success leaves the file under its name and no temporary file."""
        receipt = transmitter(tmp_path).send(build_delivery())

        assert {f.name: f.read_bytes() for f in tmp_path.iterdir()} == {NAME: BODY}
        assert receipt.message == NAME

    def test_extension_of_destination_wins(self, tmp_path: Path) -> None:
        """`file_extension` replaces the extension of the format."""
        transmitter(tmp_path, file_extension="txt").send(build_delivery())

        assert [NAME.replace(".json", ".txt")] == os.listdir(tmp_path)

    def test_path_without_slash_is_absolute(self, tmp_path: Path) -> None:
        """A path without a leading slash begins at the root all the same."""
        transmitter(str(tmp_path).lstrip("/")).send(build_delivery())

        assert os.listdir(tmp_path) == [NAME]

    def test_permissions_follow_umask(self, tmp_path: Path) -> None:
        """Other programs may read the file: it is created with the process's umask."""
        before = os.umask(0o027)
        try:
            transmitter(tmp_path).send(build_delivery())
        finally:
            os.umask(before)

        assert stat.S_IMODE((tmp_path / NAME).stat().st_mode) == 0o640

    def test_link_of_that_name_is_replaced(self, tmp_path: Path) -> None:
        """A symbolic link that stands under the name is replaced, not followed."""
        elsewhere = tmp_path / "elsewhere"
        elsewhere.write_bytes(b"untouched")
        out = tmp_path / "out"
        out.mkdir()
        (out / NAME).symlink_to(elsewhere)
        transmitter(out).send(build_delivery())

        assert elsewhere.read_bytes() == b"untouched"
        assert (out / NAME).read_bytes() == BODY

    def test_hostile_id_stays_inside(self, tmp_path: Path) -> None:
        """An item id with separators and `..` names a file in the directory itself."""
        transmitter(tmp_path).send(build_delivery(item_id="../../etc/\x00passwd\n"))

        assert os.listdir(tmp_path) == ["----etc--passwd--2-7.json"]


class TestFailing:
    """What a failure leaves and says."""

    def test_missing_directory(self, tmp_path: Path) -> None:
        """A missing directory is not created; it may be a share that is not mounted yet."""
        with pytest.raises(TemporaryFailure) as caught:
            transmitter(tmp_path / "missing").send(build_delivery())

        assert str(caught.value).startswith("PublishFileError Error 13000 - File publish error:")
        assert caught.value.code == 13000
        assert not (tmp_path / "missing").exists()

    def test_path_is_a_file(self, tmp_path: Path) -> None:
        """A path that is no directory is an error of the same code."""
        file = tmp_path / "file"
        file.touch()

        with pytest.raises(TemporaryFailure, match="13000"):
            transmitter(file).send(build_delivery())

    def test_disk_full_leaves_nothing(self, tmp_path: Path) -> None:
        """A write that the system refuses half-way is temporary and leaves no file at all."""
        with file_size_limit(1000), pytest.raises(TemporaryFailure) as caught:
            transmitter(tmp_path).send(build_delivery(body=b"x" * 5000))

        assert caught.value.__cause__.errno == errno.EFBIG  # type: ignore[union-attr]
        assert os.listdir(tmp_path) == []

    def test_disk_full_keeps_what_was_there(self, tmp_path: Path) -> None:
        """A repeat that fails does not damage the file of the first try."""
        transmitter(tmp_path).send(build_delivery())
        with file_size_limit(1000), pytest.raises(TemporaryFailure):
            transmitter(tmp_path).send(build_delivery(body=b"x" * 5000))

        assert {f.name: f.read_bytes() for f in tmp_path.iterdir()} == {NAME: BODY}

    def test_name_taken_by_directory(self, tmp_path: Path) -> None:
        """A directory under the file's name is a temporary failure that leaves no part."""
        (tmp_path / NAME / "inside").mkdir(parents=True)

        with pytest.raises(TemporaryFailure):
            transmitter(tmp_path).send(build_delivery())
        assert os.listdir(tmp_path) == [NAME]

    def test_nul_in_path(self) -> None:
        """A path with a NUL is no path: permanent."""
        with pytest.raises(PermanentFailure):
            transmitter("/tmp/\0").send(build_delivery())


WRITER = """
import os, sys, time
from tests.support.deliveries import build_delivery, build_destination, build_settings
from transmitters.file import MOST_STUCK, FileTransmitter

def stand_still(descriptor):
    print("writing", flush=True)
    time.sleep(60)

os.fsync = stand_still
FileTransmitter(build_destination("File", file_path=sys.argv[1]), build_settings()).send(
    build_delivery(item_id=sys.argv[2])
)
"""


@contextmanager
def writing(directory: Path, item_id: str) -> Iterator["subprocess.Popen[str]"]:
    """Run a process that stands still in the middle of a file, and kill it at the end."""
    command = [sys.executable, "-c", WRITER, str(directory), item_id]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "writing\n"
        try:
            yield child
        finally:
            child.kill()


class TestCleaningUp:
    """What a process leaves that dies while it writes."""

    def test_removes_what_a_killed_process_left(self, tmp_path: Path) -> None:
        """The unfinished file goes; one that another process is writing stays."""
        with writing(tmp_path, "living") as living:
            with writing(tmp_path, "killed"):
                assert len(os.listdir(tmp_path)) == 2
            transmitter(tmp_path).clean_up()

            (left,) = os.listdir(tmp_path)
            assert "living" in left
            assert living.poll() is None

    def test_leaves_the_files_of_others_alone(self, tmp_path: Path) -> None:
        """Whatever their names look like; links and directories, too."""
        names = [".a.part", ".a.0123abcd.part", "a.part", ".wiredesk.part", "x.wiredesk.part"]
        for name in names:
            (tmp_path / name).touch()
        ours = f".a.{'0' * 32}.wiredesk.part"
        (tmp_path / f".dir{ours}").mkdir()
        (tmp_path / f".link{ours}").symlink_to(tmp_path / "a.part")
        os.mkfifo(tmp_path / f".pipe{ours}")
        before = sorted(os.listdir(tmp_path))

        transmitter(tmp_path).clean_up()

        assert sorted(os.listdir(tmp_path)) == before

    def test_looks_nowhere_else(self, tmp_path: Path) -> None:
        """Outside the allowed directory nothing is removed."""
        ours = tmp_path / f".a.{'0' * 32}.wiredesk.part"
        ours.touch()
        (tmp_path / "root").mkdir()

        with pytest.raises(PermanentFailure):
            transmitter(tmp_path, root=tmp_path / "root").clean_up()
        assert ours.exists()


class TestRoot:
    """The directory outside which nothing is written."""

    @pytest.mark.parametrize("path", ["root", "root/inside", "root/inside/../inside", "root/loop"])
    def test_inside_is_allowed(self, tmp_path: Path, path: str) -> None:
        """The root itself and what is below it are allowed, however it is spelled."""
        (tmp_path / "root/inside").mkdir(parents=True)
        (tmp_path / "root/loop").symlink_to(tmp_path / "root/inside")
        transmitter(tmp_path / path, root=tmp_path / "root").send(build_delivery())

        assert (tmp_path / path / NAME).is_file()

    @pytest.mark.parametrize(
        "path", ["", "outside", "root/../outside", "root/link", "root/link/deep", "root2"]
    )
    def test_outside_is_refused(self, tmp_path: Path, path: str) -> None:
        """Neither `..`, nor a link, nor a similar name leads outside; the refusal is permanent."""
        (tmp_path / "outside/deep").mkdir(parents=True)
        (tmp_path / "root").mkdir()
        (tmp_path / "root2").mkdir()
        (tmp_path / "root/link").symlink_to(tmp_path / "outside")

        with pytest.raises(PermanentFailure, match="outside the allowed directory"):
            transmitter(tmp_path / path, root=tmp_path / "root").send(build_delivery())
        assert [file for file in tmp_path.rglob("*") if file.is_file()] == []

    def test_root_behind_a_link(self, tmp_path: Path) -> None:
        """A root that is itself a link is resolved before it is compared."""
        (tmp_path / "real").mkdir()
        (tmp_path / "root").symlink_to(tmp_path / "real")
        transmitter(tmp_path / "root", root=tmp_path / "root").send(build_delivery())

        assert os.listdir(tmp_path / "real") == [NAME]


def test_share_that_never_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The attempt ends, and so many may be left behind; when it answers, all goes on."""
    answers = threading.Event()
    sync = os.fsync

    def wait_and_sync(descriptor: int) -> None:
        answers.wait()
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", wait_and_sync)
    destination = build_destination("File", file_path=str(tmp_path))
    transmitter = FileTransmitter(destination, build_settings(file_timeout=0.05))
    said = []
    for number in range(MOST_STUCK + 1):
        with pytest.raises(TemporaryFailure) as caught:
            transmitter.send(build_delivery(sequence_number=number))
        said.append(caught.value.cause)
    answers.set()

    assert set(said[:-1]) == {"no answer within 0.05 seconds"}
    assert said[-1] == f"{MOST_STUCK} attempts have not ended, though their time is over"
    patient = FileTransmitter(destination, build_settings())
    patient.send(build_delivery())
    assert (tmp_path / NAME).read_bytes() == BODY

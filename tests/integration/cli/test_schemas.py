"""`schemas`: fetching the files that tests need, from a server on loopback and from folders."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import urllib3

from apps.commands import run_command
from apps.commands.schemas import (
    Refused,
    SchemaFile,
    Unreachable,
    bring,
    copy_from,
    download,
    excerpt,
    listed,
)
from tests.support.certificates import self_signed
from tests.support.receivers import Fault, HTTPReceiver, Received, Reply
from tests.support.schema_files import SCHEMAS, schema

FILES = {"a.xsd": b"<schema/>", "deep/b.json": b"{}"}


@pytest.fixture
def tls(tmp_path: Path) -> tuple[Any, Any]:
    """Contexts of a server and of a client that trusts it."""
    return self_signed(tmp_path)


@pytest.fixture
def client(tls: tuple[Any, Any]) -> Iterator[urllib3.PoolManager]:
    with urllib3.PoolManager(ssl_context=tls[1]) as pool:
        yield pool


@pytest.fixture
def server(tls: tuple[Any, Any]) -> Iterator[HTTPReceiver]:
    """A server that has the files."""

    def answer(request: Received) -> Reply:
        body = FILES.get(request.path.removeprefix("/"))
        return 404 if body is None else (200, {}, body)

    with HTTPReceiver(answer, tls=tls[0]) as receiver:
        yield receiver


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "var" / "schemas"


def entry(data: bytes, **fields: Any) -> dict[str, Any]:
    """Return what a list says of a file."""
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), **fields}


def files_at(url: str, files: Mapping[str, bytes] = FILES) -> list[SchemaFile]:
    """Return the files as a list has them that names `url` as their address."""
    return [
        SchemaFile(name, f"{url}/{name}", len(data), hashlib.sha256(data).hexdigest())
        for name, data in files.items()
    ]


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files below a folder."""
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }


class TestFetching:
    def test_brings_what_is_missing_or_wrong(
        self, server: HTTPReceiver, client: urllib3.PoolManager, target: Path
    ) -> None:
        """Files come to their places; later runs ask only for those that are not right."""
        files = files_at(server.url)

        assert (2, []) == bring(files, target, download(client))
        assert FILES == contents(target)
        assert (0, []) == bring(files, target, download(client))
        (target / "a.xsd").write_bytes(b"<changed>")
        assert (1, []) == bring(files, target, download(client))
        assert FILES == contents(target)
        assert ["/a.xsd", "/deep/b.json", "/a.xsd"] == [r.path for r in server.requests]

    @pytest.mark.parametrize(
        ("reply", "reason"),
        [
            ((200, {}, b"<Schema/>"), "does not have the SHA-256 that is listed"),
            ((200, {}, b"<schema"), "does not have the 9 bytes that are listed"),
            ((200, {}, b"<schema/>" * 2), "does not have the 9 bytes that are listed"),
            (Fault.ENDLESS_BODY, "does not have the 9 bytes that are listed"),
            (404, "answers with status 404"),
            ((302, {"Location": "/elsewhere"}, b""), "answers with status 302"),
        ],
    )
    def test_refuses_what_is_not_as_listed(
        self,
        server: HTTPReceiver,
        client: urllib3.PoolManager,
        target: Path,
        reply: Reply,
        reason: str,
    ) -> None:
        """A line says which file and why; what was there stays, and the others are brought."""
        target.mkdir(parents=True)
        (target / "a.xsd").write_bytes(b"old")
        server.answer([reply, (200, {}, FILES["deep/b.json"])])

        added, [line] = bring(files_at(server.url), target, download(client))

        assert 1 == added
        assert line.startswith("a.xsd: ")
        assert line.endswith(reason)
        assert {"a.xsd": b"old", "deep/b.json": b"{}"} == contents(target)

    @pytest.mark.parametrize(
        "fault", [Fault.RESET_MID_BODY, Fault.CLOSE, Fault.INVALID_CHUNK, Fault.NOT_HTTP]
    )
    def test_stops_where_the_connection_breaks(
        self, server: HTTPReceiver, client: urllib3.PoolManager, target: Path, fault: Fault
    ) -> None:
        """A body that is cut short is no file; what came before it stays."""
        files = files_at(server.url, {"short": b"s", "long": b"x" * 1000})
        server.answer([(200, {}, b"s"), fault])

        with pytest.raises(Unreachable, match=r"/long: .*--from"):
            bring(files, target, download(client))

        assert {"short": b"s"} == contents(target)

    def test_stops_where_there_is_no_server(
        self, server: HTTPReceiver, client: urllib3.PoolManager, target: Path
    ) -> None:
        """The first file says so for all."""
        files = files_at(server.url)
        server.close()

        with pytest.raises(Unreachable, match=r"/a\.xsd: "):
            bring(files, target, download(client))

    def test_trusts_known_certificates_only(self, server: HTTPReceiver, target: Path) -> None:
        """A server that cannot prove who it is counts as none."""
        with urllib3.PoolManager() as stranger, pytest.raises(Unreachable, match="certificate"):
            bring(files_at(server.url), target, download(stranger))

    def test_asks_by_https_only(self, client: urllib3.PoolManager, target: Path) -> None:
        """Another address is refused unasked."""
        with HTTPReceiver() as plain:
            [_, line] = bring(files_at(plain.url), target, download(client))[1]

            assert "is no https address" in line
            assert [] == plain.requests

    def test_keeps_some_rows_of_a_table(
        self, server: HTTPReceiver, client: urllib3.PoolManager, target: Path
    ) -> None:
        """Size and hash are those of the rows that are kept, written in one way."""
        server.answer([(200, {}, b'"id","label"\n"1","A"\n"2","B, b"\n"3","C\nc"\n')])
        kept = b'id,label\r\n3,"C\nc"\r\n1,A\r\n'
        file = SchemaFile(
            "t.csv", f"{server.url}/t.csv", len(kept), entry(kept)["sha256"], ("C\nc", "A")
        )

        assert (1, []) == bring([file], target, download(client))
        assert {"t.csv": kept} == contents(target)

    @pytest.mark.parametrize("table", [b"\xff", b"no table", b"id,label\n1,A\n", b""])
    def test_refuses_another_table(self, table: bytes) -> None:
        """A table without the rows is not the one that is listed."""
        with pytest.raises(Refused, match="not the table"):
            excerpt(table, ["B"])


class TestFolders:
    def test_brings_files_from_a_folder(self, tmp_path: Path, target: Path) -> None:
        """The folder has the layout of the list; a missing file and a wrong one are refused."""
        origin = tmp_path / "origin"
        (origin / "deep").mkdir(parents=True)
        (origin / "deep" / "b.json").write_bytes(b"[]")
        files = files_at("https://example.org", {**FILES, "c": b"c"})
        (origin / "c").write_bytes(b"c")

        added, refused = bring(files, target, copy_from(origin))

        assert [
            f"a.xsd: is not in {origin}",
            "deep/b.json: does not have the SHA-256 that is listed",
        ] == refused
        assert (1, {"c": b"c"}) == (added, contents(target))

    @pytest.mark.parametrize("place", ["schemas/samples", "samples"])
    def test_samples_may_stand_beside_the_schemas(
        self, tmp_path: Path, target: Path, place: str
    ) -> None:
        """Sample items are in the folder of schemas, or in one beside it."""
        (tmp_path / "schemas").mkdir()
        (tmp_path / place).mkdir(exist_ok=True)
        (tmp_path / place / "x.json").write_bytes(b"{}")
        files = files_at("https://example.org", {"samples/x.json": b"{}"})

        assert (1, []) == bring(files, target, copy_from(tmp_path / "schemas"))
        assert {"samples/x.json": b"{}"} == contents(target)


class TestCommand:
    def test_says_what_a_folder_lacks(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A line for each file, and exit status 1."""
        monkeypatch.setenv("DATA_DIR", str(tmp_path / "var"))

        assert 1 == run_command(["schemas", "--from", str(tmp_path)])

        said = capsys.readouterr()
        assert [f"{file.path}: is not in {tmp_path}" for file in listed()] == said.err.splitlines()
        assert f"{tmp_path}/var/schemas: 0 files added, 0 already there\n" == said.out

    def test_takes_the_folder_that_tests_use(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What was taken from a folder can be taken from; `WIREDESK_SCHEMAS` names it as well."""
        schema("ninjs")
        monkeypatch.setenv("DATA_DIR", str(tmp_path))
        monkeypatch.setenv("WIREDESK_SCHEMAS", str(SCHEMAS))

        assert 0 == run_command(["schemas"])
        assert {file.path for file in listed()} == set(contents(tmp_path / "schemas"))

    def test_refuses_a_folder_that_is_none(self, tmp_path: Path) -> None:
        """Wrong use, by its exit status."""
        assert 2 == run_command(["schemas", "--from", str(tmp_path / "none")])


class TestList:
    def test_reads_groups(self, tmp_path: Path) -> None:
        """A group has folder and address; a file may have another name at its publisher."""
        groups = [
            {
                "folder": "atom",
                "address": "https://example.org/x/",
                "licence": "free",
                "files": {"a.rng": entry(b"a"), "b.csv": entry(b"", name="c.csv", rows=["R"])},
            }
        ]
        file = tmp_path / "list.json"
        file.write_text(json.dumps(groups))

        first, second = listed(file)

        assert ("atom/a.rng", "https://example.org/x/a.rng", 1) == (
            first.path,
            first.address,
            first.size,
        )
        assert ("atom/b.csv", "https://example.org/x/c.csv", ("R",)) == (
            second.path,
            second.address,
            second.rows,
        )

    def test_names_each_file_once_at_a_fixed_version(self) -> None:
        """Addresses name a commit, so that what they answer cannot change."""
        paths = [file.path for file in listed()]

        assert len(paths) == len(set(paths))
        for file in listed():
            host, _, _, commit = file.address.removeprefix("https://").split("/")[:4]
            assert "raw.githubusercontent.com" == host
            assert (40, 64) == (len(commit), len(file.sha256))
            assert ".." not in Path(file.path).parts

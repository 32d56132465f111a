"""`schemas`: get the official schemas and sample items that tests read.

They belong to their publishers and are no part of the repository. `schemas.json` lists them: where
a publisher offers each file, its licence, its size and its hash.
"""

import csv
import hashlib
import io
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import click
import urllib3

import settings as settings_module
from apps.core import json
from apps.core.errors import WiredeskError

LIST = Path(__file__).with_name("schemas.json")
SAMPLES = "samples"
TIMEOUT = urllib3.Timeout(connect=10, read=30)
LARGEST_TABLE_BYTES = 8 * 1024 * 1024


class Refused(WiredeskError):
    """A file is not there, or is not the one that is listed."""


class Unreachable(WiredeskError):
    """A publisher's server cannot be reached, or breaks off."""


@dataclass(frozen=True)
class SchemaFile:
    """A file that tests read.

    Args:
        path: where it lies below the folder of schemas.
        address: where its publisher offers it.
        size: in bytes.
        sha256: hash of its contents, as hexadecimal digits.
        rows: labels of the rows to keep of a CSV table; the whole file without any. Size and hash
            are those of what is kept.
    """

    path: str
    address: str
    size: int
    sha256: str
    rows: tuple[str, ...] = ()

    def is_in(self, folder: Path) -> bool:
        """Whether the file lies in `folder`, whole and unchanged."""
        place = folder / self.path
        return place.is_file() and not self.fault(place.read_bytes())

    def fault(self, data: bytes) -> str:
        """Return in what `data` differs from the file that is listed; empty if in nothing."""
        if len(data) != self.size:
            return f"does not have the {self.size} bytes that are listed"
        if hashlib.sha256(data).hexdigest() != self.sha256:
            return "does not have the SHA-256 that is listed"
        return ""


Source = Callable[[SchemaFile], bytes]
"""Returns the contents of a file; raises `Refused` for this one, `Unreachable` for all."""


@click.command("schemas")
@click.option(
    "--from",
    "folder",
    envvar="WIREDESK_SCHEMAS",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Take the files from this folder instead of their publishers.",
)
def schemas(folder: Path | None) -> int:
    """Get the official schemas and sample items that tests need, into DATA_DIR/schemas.

    What is there already, and right, stays.
    """
    target = Path(settings_module.load()["DATA_DIR"]) / "schemas"
    files = listed()
    source = download(urllib3.PoolManager()) if folder is None else copy_from(folder)
    added, refused = bring(files, target, source)
    for line in refused:
        click.echo(line, err=True)
    click.echo(f"{target}: {added} files added, {len(files) - added - len(refused)} already there")
    return 1 if refused else 0


def listed(file: Path = LIST) -> list[SchemaFile]:
    """Return the files of a list: groups, each with the folder and address of its files."""
    return [
        SchemaFile(
            path=f"{group['folder']}/{name}",
            address=group["address"] + entry.get("name", name),
            size=entry["bytes"],
            sha256=entry["sha256"],
            rows=tuple(entry.get("rows", ())),
        )
        for group in json.loads(file.read_bytes())
        for name, entry in group["files"].items()
    ]


def bring(files: Iterable[SchemaFile], target: Path, source: Source) -> tuple[int, list[str]]:
    """Put those of `files` that are missing or wrong into the folder `target`.

    A file that the source lacks, or has wrong, is refused; the others are brought.

    Returns:
        How many were added, and for each that was refused a line that says why.

    Raises:
        Unreachable: the source gives nothing any more; what came before is in its place.
        OSError: nothing can be written there.
    """
    added, refused = 0, []
    for file in files:
        if file.is_in(target):
            continue
        try:
            data = source(file)
            if fault := file.fault(data):
                raise Refused(fault)
        except Refused as error:
            refused.append(f"{file.path}: {error}")
        else:
            write_whole(target / file.path, data)
            added += 1
    return added, refused


def write_whole(place: Path, data: bytes) -> None:
    """Write a file that others see whole or not at all."""
    place.parent.mkdir(parents=True, exist_ok=True)
    partial = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        partial.write_bytes(data)
        partial.replace(place)
    finally:
        partial.unlink(missing_ok=True)


def copy_from(folder: Path) -> Source:
    """Return a source that reads files from a folder of the same layout."""

    def read(file: SchemaFile) -> bytes:
        place = located(folder, file.path)
        if not place.is_file():
            raise Refused(f"is not in {folder}")
        return place.read_bytes()

    return read


def located(folder: Path, path: str) -> Path:
    """Return where a listed file lies; `samples` may also stand beside the folder of schemas."""
    beside = path.startswith(f"{SAMPLES}/") and not (folder / SAMPLES).is_dir()
    return (folder.absolute().parent if beside else folder) / path


def download(client: urllib3.PoolManager) -> Source:
    """Return a source that fetches files from their publishers, over HTTPS only."""

    def read(file: SchemaFile) -> bytes:
        if not file.address.startswith("https://"):
            raise Refused(f"{file.address} is no https address")
        try:
            if file.rows:
                return excerpt(fetched(client, file.address, LARGEST_TABLE_BYTES), file.rows)
            return fetched(client, file.address, file.size)
        except urllib3.exceptions.HTTPError as error:
            raise Unreachable(
                f"{file.address}: {error}; with --from the files come from a folder"
            ) from None

    return read


def fetched(client: urllib3.PoolManager, address: str, limit: int) -> bytes:
    """Return what an address answers, without following it elsewhere.

    Args:
        limit: in bytes; of a longer answer one byte more is returned.

    Raises:
        Refused: the answer is another status than 200.
        HTTPError: there is no whole answer.
    """
    response = client.request(
        "GET", address, redirect=False, retries=False, timeout=TIMEOUT, preload_content=False
    )
    try:
        if response.status != 200:
            raise Refused(f"{address} answers with status {response.status}")
        return response.read(limit + 1)
    finally:
        response.close()


def excerpt(table: bytes, labels: Iterable[str]) -> bytes:
    """Return the heading and some rows of a CSV table whose second column is `label`.

    Raises:
        Refused: no such table, or a row is missing.
    """
    try:
        text = io.StringIO(table.decode(), newline="")
        rows = {row[1]: row for row in csv.reader(text)}
        kept = [rows[label] for label in ("label", *labels)]
    except (UnicodeDecodeError, csv.Error, IndexError, KeyError) as error:
        raise Refused(f"is not the table that is listed ({error!r})") from None
    written = io.StringIO(newline="")
    csv.writer(written).writerows(kept)
    return written.getvalue().encode()

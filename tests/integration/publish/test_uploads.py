"""Stories on their way to servers of FTP and SFTP, as routing and the transmit run send them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.ftp_server import PASSWORD, FTPReceiver
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.queues import fill, leave_claimed


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[FTPReceiver]:
    (tmp_path / "ftp").mkdir()
    with FTPReceiver(tmp_path / "ftp") as receiver:
        yield receiver


def ftp(receiver: FTPReceiver, format: str = "ninjs", **config: Any) -> Document:
    """Return an FTP destination."""
    return {
        "_id": "ftp",
        "name": "Evening paper",
        "format": format,
        "delivery_type": "ftp",
        "config": {**receiver.config, **config},
    }


def deliver(graph: Graph) -> None:
    graph.enqueue.run()
    graph.transmit.run()


def test_versions_arrive_in_order(
    desk: Newsdesk, graph: Graph, receiver: FTPReceiver, clock: HandClock
) -> None:
    """A version waits for the one before it, for a minute at most (delivery scenario 12)."""
    desk.newsroom.subscriber("Evening paper", ftp(receiver, path="wire"))
    receiver.behave(STOR="452 No space left.")
    item = desk.published(headline="first")
    deliver(graph)
    desk.act("correct", item, headline="second")
    deliver(graph)
    states = [row["state"] for row in desk.rows()]
    assert ("retrying", {}) == (states[0], receiver.files())

    receiver.behave()
    clock.advance(seconds=70)
    deliver(graph)

    assert {row["state"] for row in desk.rows()} == {"success"}
    files = receiver.files()
    headlines = [json.loads(files[f"wire/{name}"])["headline"] for name in receiver.names("RNTO")]
    assert headlines == ["first", "second"]


def test_failure_is_told_without_the_password(
    desk: Newsdesk, graph: Graph, receiver: FTPReceiver
) -> None:
    """Neither the row nor what a client reads of it shows it (delivery scenario 32)."""
    receiver.behave(PASS=f"530 {PASSWORD} is not the password.")
    desk.newsroom.subscriber("Evening paper", ftp(receiver))
    desk.published()
    deliver(graph)

    (row,) = desk.rows()
    assert row["state"] == "retrying"
    assert "PublishFtpError Error 10000 - FTP publish error:" in row["error_message"]
    assert "530 **** is not the password." in row["error_message"]
    assert PASSWORD not in str(row)


def test_media_of_a_format_without_json(
    desk: Newsdesk, graph: Graph, receiver: FTPReceiver
) -> None:
    """The item as published says which pictures go along (delivery scenario 31)."""
    media = str(graph.media.put(b"\xff\xd8\xff picture", "flood.jpg", "image/jpeg"))
    original = {"href": "x", "media": media, "mimetype": "image/jpeg"}
    thumbnail = {**original, "media": str(graph.media.put(b"\xff\xd8\xff small", "small.jpg"))}
    picture = {
        "_id": "flood",
        "type": "picture",
        "headline": "Flood",
        "renditions": {"original": original, "thumbnail": thumbnail},
    }
    config = {"push_associated": True, "associated_path": "pictures", "path": "wire"}
    desk.newsroom.subscriber("Evening paper", ftp(receiver, "nitf", **config))
    desk.published(associations={"featuremedia": picture})
    deliver(graph)

    files = receiver.files()
    assert [row["state"] for row in desk.rows()] == ["success"]
    assert files.pop(f"pictures/{media}.jpg") == b"\xff\xd8\xff picture"
    ((name, story),) = files.items()
    assert name.startswith("wire/")
    assert name.endswith(".ntf")
    assert b"<nitf" in story


def test_nothing_unfinished_is_left(
    desk: Newsdesk, graph: Graph, receiver: FTPReceiver, clock: HandClock
) -> None:
    """What a worker left that died while it uploaded goes when the next one takes over.

    Delivery contract 5.2.
    """
    target = ftp(receiver)
    subscriber = desk.newsroom.subscriber("Evening paper", target)
    fill(graph.db, subscriber, target, clock.at, items=1, versions=2)
    kill = {"$set": {"publishing_action": "killed"}}
    graph.db["publish_queue"].update_one({"item_version": 2}, kill)
    leave_claimed(graph.db, clock, item_version=1)
    leftover = receiver.root / ".item-0000-1-1.json.part"
    foreign = receiver.root / ".upload.part"
    for file in (leftover, foreign):
        file.write_bytes(b"half")

    clock.advance(seconds=70)
    deliver(graph)
    deliver(graph)

    assert ["canceled", "success"] == [row["state"] for row in desk.rows()]
    assert {foreign.name, "item-0000-2-2.json"} == set(receiver.files())

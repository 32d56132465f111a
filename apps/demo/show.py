"""Publishes, corrects and kills through the API, and waits for the deliveries."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tabulate import tabulate

from apps.core.errors import ServerError
from apps.core.vocabulary import RowState
from apps.demo.api import API

POLL_SECONDS = 0.02
WAIT_SECONDS = 60.0
FINAL = ("success", "failed", "canceled", "error")


@dataclass(frozen=True)
class DemoStep:
    """One action of the demo.

    Attributes:
        operation: the last part of the endpoint, such as `publish`.
        changes: body of the request.
    """

    operation: str
    item_id: str
    changes: dict[str, Any]


@dataclass(frozen=True)
class Line:
    """One line of the result: one delivery of one action, or what it changed at a site.

    Attributes:
        is_good: it went as it should.
    """

    operation: str
    headline: str
    destination: str
    state: str
    milliseconds: int
    is_good: bool
    message: str = ""


class Follower(Protocol):
    """Somewhere else where each action has to arrive."""

    def follow(self, step: DemoStep, headline: str) -> Line:
        """Wait until an action has arrived, and return what came of it.

        Args:
            headline: of the item, as it is now.
        """
        ...


def steps(item_ids: Sequence[str]) -> list[DemoStep]:
    """Return what the demo does with its stories: publish all, correct one, kill another."""
    publish = [DemoStep("publish", item_id, {}) for item_id in item_ids]
    correct = DemoStep(
        "correct", item_ids[0], {"headline": "Budget passes with a two-vote majority"}
    )
    kill = DemoStep(
        "kill", item_ids[1], {"ednote": "Result was annulled", "body_html": "<p>Void.</p>"}
    )
    return [*publish, correct, kill]


def perform(
    api: API,
    wanted: Sequence[DemoStep],
    recipients: int,
    progress: Callable[[str], None],
    followers: Sequence[Follower] = (),
) -> list[Line]:
    """Do the steps one after the other; return a line for each delivery.

    Args:
        recipients: destinations that each action must reach.
        progress: told what is going on.
        followers: where it arrives besides; each adds a line.

    Raises:
        ServerError: a request is refused, or deliveries do not come to an end.
    """
    lines: list[Line] = []
    for step in wanted:
        progress(f"{step.operation} {step.item_id}")
        item = api.get(f"archive/{step.item_id}")
        asked_at = time.monotonic()
        done = api.patch(f"archive/{step.operation}/{step.item_id}", item["_etag"], step.changes)
        version = done["_current_version"]
        for row, ended_at in wait_for_rows(api, step.item_id, version, recipients):
            lines.append(line_of(step, row, round((ended_at - asked_at) * 1000)))
        lines += [each.follow(step, str(done.get("headline") or "")) for each in followers]
    return lines


def wait_for_rows(
    api: API, item_id: str, version: int, count: int
) -> list[tuple[dict[str, Any], float]]:
    """Return the deliveries of an item version once all have ended, each with when that was seen.

    Raises:
        ServerError: they do not end.
    """
    where = f'publish_queue?where={{"item_id":"{item_id}","item_version":{version}}}'
    ended: dict[str, float] = {}
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        rows = api.get(where)["_items"]
        for row in rows:
            if row["state"] in FINAL:
                ended.setdefault(row["_id"], time.monotonic())
        if count <= len(rows) == len(ended):
            rows.sort(key=lambda row: str(row["destination"]["name"]))
            return [(row, ended[row["_id"]]) for row in rows]
        time.sleep(POLL_SECONDS)
    raise ServerError(f"The deliveries of {item_id} version {version} did not end in time")


def line_of(step: DemoStep, row: dict[str, Any], milliseconds: int) -> Line:
    """Return the line of a delivery; the time runs from the request to the receipt."""
    return Line(
        operation=step.operation,
        headline=str(row.get("headline") or ""),
        destination=row["destination"]["name"],
        state=row["state"],
        milliseconds=milliseconds,
        is_good=row["state"] == RowState.SUCCESS,
        message=row.get("error_message") or "",
    )


def table(lines: Sequence[Line]) -> str:
    """Return the result as a table."""
    head = ("operation", "destination", "state", "ms", "headline")
    rows = [
        (one.operation, one.destination, one.state, one.milliseconds, one.headline or one.message)
        for one in lines
    ]
    return tabulate(rows, head, disable_numparse=True)

"""Error logs, and what follows for a row from its record (cms contract 4.4)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apps.publisher.deployments.outcomes import end_of, is_over
from apps.publisher.deployments.service import CUT, log_of, logged
from apps.publisher.schema import ERROR_LOG_BYTES

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ROW = {"seq": 3, "wished_at": NOW, "action": "publish", "version": 2}


def record(**fields: Any) -> dict[str, Any]:
    """Return a record whose wish of the row was carried out."""
    ended = {"at": NOW, "action": "publish", "phase": "idle", "outcome": "created"}
    return {
        "status": "published",
        "phase": "idle",
        "next_attempt_at": None,
        "published_version": 2,
        "desired": {"action": "publish", "seq": 3, "at": NOW},
        "history": [ended],
        **fields,
    }


def ended(outcome: str, action: str = "publish", **fields: Any) -> dict[str, Any]:
    return {"at": NOW, "action": action, "phase": "idle", "outcome": outcome, **fields}


@pytest.mark.parametrize(
    ("found", "state"),
    [
        (record(), "done"),
        (record(history=[ended("unchanged")]), "unchanged"),
        (record(history=[ended("remote_edit_kept")]), "unchanged"),
        # Looks and refusals that come after it say nothing of it.
        (record(history=[ended("unchanged"), ended("live", "reconcile")]), "unchanged"),
        (record(history=[ended("created"), ended("superseded")]), "done"),
        (record(history=[ended("unchanged", at=NOW - timedelta(days=1))]), "done"),
        (record(history=[]), "done"),
        (record(status="failed", error={"class": "media", "at": NOW}), "failed"),
        # It is looked at once more, which changes nothing.
        (record(next_attempt_at=NOW + timedelta(minutes=1)), "done"),
        (None, "skipped"),
    ],
)
def test_end_of_a_row(found: Any, state: str) -> None:
    end = end_of(ROW, found)
    assert end is not None
    assert end.state == state


def test_row_waits_as_long_as_its_record_does() -> None:
    waiting = record(phase="ready", next_attempt_at=NOW, status="pending")
    assert end_of(ROW, waiting) is None
    assert end_of({**ROW, "is_followed": True}, waiting) is None


def test_wish_that_was_replaced() -> None:
    newer = {"action": "publish", "seq": 4, "at": NOW + timedelta(minutes=1)}
    waiting = record(desired=newer, phase="ready", next_attempt_at=NOW)
    carried_out = end_of(ROW, waiting)
    assert carried_out is not None
    assert carried_out.state == "done"
    replaced = end_of(ROW, {**waiting, "history": []})
    assert replaced is not None
    assert (replaced.state, replaced.seq) == (None, 4)


@pytest.mark.parametrize(
    ("found", "state", "again"),
    [
        (record(), "unchanged", False),
        (record(published_version=1), None, True),
        (record(status="failed", error={"at": NOW}), None, True),
        (record(status="retracted", desired={"action": "retract", "seq": 9}), "unchanged", False),
    ],
)
def test_end_of_somebody_elses_wish(found: Any, state: Any, again: bool) -> None:
    end = end_of({**ROW, "is_followed": True}, found)
    assert end is not None
    assert (end.state, end.again) == (state, again)


def test_retraction_that_was_given_up_is_over_though_it_is_tried_again() -> None:
    wanted = {"action": "retract", "seq": 3, "at": NOW}
    later = NOW + timedelta(hours=1)
    failed = record(status="failed", desired=wanted, phase="ready", next_attempt_at=later)
    assert is_over({**failed, "error": {"at": NOW}})
    # An error from before the wish was made says nothing of it.
    assert not is_over({**failed, "error": {"at": NOW - timedelta(seconds=1)}})
    assert not is_over({**failed, "error": {"at": NOW}, "next_attempt_at": NOW})


def test_long_log_loses_its_oldest_lines() -> None:
    lines = [f"{number} {'ü' * 300}" for number in range(1000)]
    log = log_of(lines)
    assert len(log.encode()) <= ERROR_LOG_BYTES
    first, *rest = log.splitlines()
    assert f"{first}\n" == CUT
    assert rest == lines[-len(rest) :]
    again = logged(log, "canceled by admin")
    assert again.startswith(CUT)
    assert again.count(CUT) == 1
    assert again.endswith("canceled by admin\n")
    assert len(again.encode()) <= ERROR_LOG_BYTES
    assert log_of(["a"], is_cut=True) == f"{CUT}a\n"
    assert log_of([]) == ""

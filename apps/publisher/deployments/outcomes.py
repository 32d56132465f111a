"""What has become of the wish of a row, by its record. Pure functions."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from apps.core.service import Document
from apps.publisher.records.wishes import is_settled, seq_of
from apps.publisher.schema import (
    DeploymentItemState,
    Outcome,
    Phase,
    RecordStatus,
    WishAction,
)
from transmitters.cms.base import ErrorClass

NOT_CARRIED_OUT = frozenset({Outcome.SUPERSEDED, Outcome.NOT_SHOWN, Outcome.NOT_SENT})
"""Entries of a history that are of wishes which nobody carried out."""
ACTIONS = frozenset(action.value for action in WishAction)
NOTHING_WRITTEN = frozenset({"unchanged", "remote_edit_kept"})
WHOLE_SECOND = timedelta(seconds=1)
"""Wishes know their time in whole seconds, entries of the history in parts of them."""


@dataclass(frozen=True)
class End:
    """What is to be done with a row.

    Attributes:
        state: that it ends in; None where it goes on.
        seq: number of somebody else's wish that it waits for.
        again: make its wish anew.
    """

    state: DeploymentItemState | None = None
    error: Document | None = None
    seq: int = 0
    again: bool = False


UNCHANGED, DONE = End(DeploymentItemState.UNCHANGED), End(DeploymentItemState.DONE)
AGAIN = End(again=True)


def end_of(row: Mapping[str, Any], record: Mapping[str, Any] | None) -> End | None:
    """Return what follows for a row whose wish is made; None where it has to wait."""
    if record is None:
        gone = error_of(ErrorClass.NOT_FOUND, "record_gone", "The record was removed")
        return End(DeploymentItemState.SKIPPED, gone)
    if row.get("is_followed"):
        return _end_of_other(row, record) if is_over(record) else None
    if seq_of(record) == row["seq"]:
        return _end_of_own(row, record) if is_over(record) else None
    # Something else is wanted since. That may have come after this one was carried out.
    outcome = _carried_out(record, row["wished_at"], before=record["desired"]["at"])
    if outcome is None:
        return End(seq=seq_of(record))
    return UNCHANGED if outcome in NOTHING_WRITTEN else DONE


def _end_of_own(row: Mapping[str, Any], record: Mapping[str, Any]) -> End:
    if record["status"] == RecordStatus.FAILED:
        return End(DeploymentItemState.FAILED, dict(record.get("error") or {}))
    outcome = _carried_out(record, row["wished_at"])
    return UNCHANGED if outcome in NOTHING_WRITTEN else DONE


def _end_of_other(row: Mapping[str, Any], record: Mapping[str, Any]) -> End:
    if retracts(record) != (row["action"] == WishAction.RETRACT):
        # It is for somebody else to say what is wanted now.
        return UNCHANGED
    if record["status"] == RecordStatus.FAILED:
        return AGAIN
    is_old = int(record.get("published_version") or 0) < int(row.get("version") or 0)
    return AGAIN if is_old and not retracts(record) else UNCHANGED


def _carried_out(
    record: Mapping[str, Any], since: datetime, before: datetime | None = None
) -> str | None:
    """Return the outcome of the last wish that was carried out in this time, None for none."""
    outcome = None
    for entry in record.get("history") or ():
        is_end = entry.get("phase") == Phase.IDLE and entry.get("action") in ACTIONS
        is_in_time = entry["at"] + WHOLE_SECOND > since and (before is None or entry["at"] < before)
        if is_end and is_in_time and entry.get("outcome") not in NOT_CARRIED_OUT:
            outcome = entry.get("outcome")
    return outcome


def retracts(record: Mapping[str, Any]) -> bool:
    """Whether what is wanted of a record is that it goes."""
    return (record.get("desired") or {}).get("action") == WishAction.RETRACT


def is_over(record: Mapping[str, Any]) -> bool:
    """Whether the wish of a record was carried out or given up.

    A retraction that was given up is tried again every hour, for as long as it takes.
    """
    return is_settled(record, seq_of(record)) or has_failed(record)


def has_failed(record: Mapping[str, Any]) -> bool:
    """Whether the wish of a record was given up, and not an earlier one."""
    error, due = record.get("error") or {}, record.get("next_attempt_at")
    if record["status"] != RecordStatus.FAILED or not error.get("at"):
        return False
    is_newer = error["at"] >= record["desired"]["at"]
    return is_newer and (due is None or due > error["at"])


def error_of(error_class: ErrorClass, code: str, message: str, help: str = "") -> Document:
    """Return an error of a row that no site was asked about (cms contract 12.1)."""
    return {
        "class": error_class,
        "code": code,
        "message": message,
        "status": None,
        "retryable": False,
        "retry_at": None,
        "field": None,
        "help": help,
    }

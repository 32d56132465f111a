"""What clients may do with rows of the delivery queue, and the writes that only waiting rows take.

Whoever cancels a row that waits, or changes when it is due, does so by `change_waiting`: a row that
somebody has begun to send meanwhile stays as it is (delivery contract C1a).
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from pymongo.database import Database

from apps.core.service import Document, new_etag
from apps.core.vocabulary import FINAL_ROW_STATES, WAITING_ROW_STATES, RowState
from apps.publish.queue.sending import WaitingRows


class RowAction(StrEnum):
    """What a client may ask for (delivery contract 1.1)."""

    RESEND = "resend"
    CANCEL = "cancel"
    RUN_NOW = "run_now"


ALLOWED: Mapping[RowAction, Collection[RowState]] = {
    # Nothing sends a row in `error`, so it has ended, too.
    RowAction.RESEND: (*FINAL_ROW_STATES, RowState.ERROR),
    RowAction.CANCEL: WAITING_ROW_STATES,
    RowAction.RUN_NOW: (RowState.RETRYING,),
}
"""The states in which an action is allowed."""

STARTED = "Transmission has already started"
FINISHED = "Transmission has already finished"
NEVER_SENT = "Nothing sends a row in state error. Resend it"
REFUSALS: Mapping[RowAction, Mapping[RowState, str]] = {
    RowAction.RESEND: {
        RowState.PENDING: "The row waits to be sent: it goes out by itself",
        RowState.RETRYING: "The row is tried again by itself. Ask for run_now to try it at once",
        RowState.IN_PROGRESS: "The row is being sent. Wait for its outcome",
    },
    RowAction.CANCEL: {
        RowState.IN_PROGRESS: f"{STARTED}. Wait for its outcome",
        RowState.ERROR: NEVER_SENT,
        **dict.fromkeys(FINAL_ROW_STATES, f"{FINISHED}: there is nothing to cancel"),
    },
    RowAction.RUN_NOW: {
        RowState.PENDING: "The row is due already: it goes out when its turn comes",
        RowState.IN_PROGRESS: f"{STARTED}. Wait for its outcome",
        RowState.ERROR: NEVER_SENT,
        **dict.fromkeys(FINAL_ROW_STATES, f"{FINISHED}. Resend the row to send it again"),
    },
}
"""Why an action is not allowed in other states, and what to do."""
ODD_STATE = "The row has the state {}, which nothing is done with. Set its state to pending"


def actions_of(row: Mapping[str, Any]) -> list[str]:
    """Return the actions that are allowed on a row now; arguments as of `refusal_of`."""
    return [action.value for action in RowAction if not refusal_of(action, row)]


def refusal_of(action: RowAction, row: Mapping[str, Any]) -> str:
    """Return why an action is not allowed on a row now; an empty text where it is.

    Args:
        row: with its state, and in `held` why nothing is sent to its destination, if that is so.
    """
    state = row.get("state")
    if row.get("held") and state in WAITING_ROW_STATES and action is not RowAction.CANCEL:
        return str(row["held"])
    if state in ALLOWED[action]:
        return ""
    known = (why for other, why in REFUSALS[action].items() if other == state)
    return next(known, ODD_STATE.format(state))


AS_READ = dict.fromkeys(("state", "lane", "claim_token"), 1)
"""Fields that whoever changes waiting rows has read of them."""


def change_waiting(
    db: Database[Document],
    rows: Sequence[Mapping[str, Any]],
    change: Mapping[str, Any],
    states: Collection[RowState] = WAITING_ROW_STATES,
    fields: Mapping[Any, Mapping[str, Any]] | None = None,
) -> set[Any]:
    """Change rows as long as they wait, and nobody sends them; four commands, or five.

    Args:
        rows: as they were read, with AS_READ.
        change: fields to write; an etag is added unless it brings one.
        states: those that it is for.
        fields: row id to what else is written.

    Returns:
        The ids of the rows that have changed.
    """
    now = change.get("_updated") or datetime.now(UTC)
    changed = {"_etag": new_etag(), **change}
    return WaitingRows(db).change(rows, changed, now, states=states, fields=fields)


def cancel_waiting(
    db: Database[Document],
    rows: Sequence[Mapping[str, Any]],
    now: datetime,
    superseded_by: Mapping[Any, Any] | None = None,
) -> set[Any]:
    """Cancel rows that wait, and return the ids of those that were; commands as `change_waiting`.

    Args:
        rows: as they were read, with AS_READ.
        superseded_by: row id to that of the row that has made it pointless.
    """
    canceled = {"_updated": now, "state": RowState.CANCELED}
    by = {id_: {"superseded_by": newer} for id_, newer in (superseded_by or {}).items()}
    return change_waiting(db, rows, canceled, fields=by)

"""The item's state machine as data: which action is allowed in which state, and where it leads."""

from enum import StrEnum

from apps.core.errors import TransitionError
from apps.core.vocabulary import State

INVALID_TRANSITION = "Workflow transition is invalid."


class Action(StrEnum):
    """What can be done to an item. Takedown and unpublish are checked as `kill`."""

    SAVE = "save"
    PUBLISH = "publish"
    CORRECT = "correct"
    KILL = "kill"


ALLOWED_FROM: dict[Action, frozenset[State]] = {
    Action.SAVE: frozenset(
        {
            State.DRAFT,
            State.INGESTED,
            State.ROUTED,
            State.FETCHED,
            State.SUBMITTED,
            State.IN_PROGRESS,
            State.SCHEDULED,
            State.CORRECTION,
            State.UNPUBLISHED,
        }
    ),
    Action.PUBLISH: frozenset(
        {
            State.ROUTED,
            State.FETCHED,
            State.SUBMITTED,
            State.IN_PROGRESS,
            State.SCHEDULED,
            State.CORRECTION,
            State.UNPUBLISHED,
        }
    ),
    Action.CORRECT: frozenset({State.PUBLISHED, State.CORRECTED, State.CORRECTION}),
    Action.KILL: frozenset({State.SCHEDULED, State.PUBLISHED, State.CORRECTED, State.CORRECTION}),
}
"""Lifecycle contract 2.2."""

KEEP_STATE_ON_SAVE = frozenset(
    {State.INGESTED, State.IN_PROGRESS, State.SCHEDULED, State.CORRECTION}
)


def is_allowed(action: Action, state: str | None) -> bool:
    """Whether `action` may be done to an item in `state`."""
    return state in ALLOWED_FROM[action]


def check_allowed(action: Action, state: str | None) -> None:
    """Refuse `action` on an item in `state`.

    Raises:
        TransitionError: the state does not allow it.
    """
    if not is_allowed(action, state):
        raise TransitionError(INVALID_TRANSITION)


def state_after_save(state: str | None, *, on_desk: bool) -> State:
    """Return the state of an item after an editor saved it (lifecycle contract 2.2, `wip`)."""
    if state in KEEP_STATE_ON_SAVE:
        return State(str(state))
    return State.IN_PROGRESS if on_desk else State.DRAFT

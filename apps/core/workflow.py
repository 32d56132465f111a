"""The item's state machine as data: which action is allowed in which state, and where it leads."""

from enum import StrEnum

from apps.core.errors import TransitionError
from apps.core.vocabulary import State

INVALID_TRANSITION = "Workflow transition is invalid."


class Action(StrEnum):
    """What can be done to an item.

    Takedown and unpublish are checked as `kill`, copy and translate as `duplicate`.
    """

    SAVE = "save"
    PUBLISH = "publish"
    CORRECT = "correct"
    KILL = "kill"
    MOVE = "move"
    SPIKE = "spike"
    UNSPIKE = "unspike"
    DUPLICATE = "duplicate"
    FETCH = "fetch"
    REWRITE = "rewrite"
    CORRECTION = "correction"


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
    Action.MOVE: frozenset(
        {
            State.DRAFT,
            State.ROUTED,
            State.FETCHED,
            State.SUBMITTED,
            State.IN_PROGRESS,
            State.SCHEDULED,
            State.PUBLISHED,
            State.CORRECTION,
            State.UNPUBLISHED,
        }
    ),
    Action.UNSPIKE: frozenset({State.SPIKED}),
    Action.FETCH: frozenset({State.INGESTED}),
    Action.CORRECTION: frozenset(
        {State.PUBLISHED, State.CORRECTED, State.CORRECTION, State.BEING_CORRECTED}
    ),
}
"""Lifecycle contract 2.2. What is not named, states that it does not know among it, is refused."""

REFUSED_FROM: dict[Action, frozenset[State]] = {
    Action.SPIKE: frozenset(
        {State.SPIKED, State.SCHEDULED, State.PUBLISHED, State.CORRECTED, State.KILLED}
    ),
    Action.DUPLICATE: frozenset({State.SPIKED, State.KILLED, State.RECALLED}),
    Action.REWRITE: frozenset({State.KILLED, State.SPIKED, State.SCHEDULED}),
}
"""The same for actions that are allowed from all other states, unknown ones among them."""

KEEP_STATE_ON_SAVE = frozenset(
    {State.INGESTED, State.IN_PROGRESS, State.SCHEDULED, State.CORRECTION}
)

KEEP_STATE_ON_MOVE = frozenset({State.SCHEDULED, State.PUBLISHED, State.CORRECTION})


def is_allowed(action: Action, state: str | None) -> bool:
    """Whether `action` may be done to an item in `state`."""
    if action in REFUSED_FROM:
        return state not in REFUSED_FROM[action]
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

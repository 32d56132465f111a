"""The state machine, cell by cell as the lifecycle contract has it (lifecycle contract 2.2)."""

import pytest

from apps.core.vocabulary import State
from apps.core.workflow import (
    KEEP_STATE_ON_MOVE,
    Action,
    is_allowed,
    state_after_save,
)

ACTIONS = ("save", "publish", "correct", "kill", "correction", "move", "spike", "unspike", "fetch")
TABLE = """
draft           | wip  |      |      |      |      | sub  | spik |      |
ingested        | =    |      |      |      |      |      | spik |      | fetc
routed          | wip  | pub  |      |      |      | sub  | spik |      |
fetched         | wip  | pub  |      |      |      | sub  | spik |      |
submitted       | wip  | pub  |      |      |      | sub  | spik |      |
in_progress     | =    | pub  |      |      |      | sub  | spik |      |
spiked          |      |      |      |      |      |      |      | rev  |
scheduled       | =    | pub  |      | kill |      | =    |      |      |
published       |      |      | corr | kill | corn | =    |      |      |
corrected       |      |      | corr | kill | corn |      |      |      |
correction      | =    | pub  | corr | kill | corn | =    | spik |      |
being_corrected |      |      |      |      | corn |      | spik |      |
killed          |      |      |      |      |      |      |      |      |
recalled        |      |      |      |      |      |      | spik |      |
unpublished     | wip  | pub  |      |      |      | sub  | spik |      |
"""
"""Takedown and unpublish have the cells of kill; publishing a scheduled item is allowed.

Lifecycle contract 2.2.
"""

REFUSE_COPIES = {State.RECALLED, State.KILLED, State.SPIKED}
REFUSE_REWRITES = {State.KILLED, State.SPIKED, State.SCHEDULED}


def cells() -> dict[tuple[str, str], str]:
    """Return the cells by state and action."""
    rows = [[cell.strip() for cell in line.split("|")] for line in TABLE.strip().splitlines()]
    return {
        (row[0], action): cell
        for row in rows
        for action, cell in zip(ACTIONS, row[1:], strict=True)
    }


def test_the_table_has_every_state() -> None:
    """No state is left out of the tests below."""
    assert {state for state, _ in cells()} == set(State)


@pytest.mark.parametrize("action", ACTIONS)
def test_is_allowed_where_the_table_has_an_entry(action: str) -> None:
    """Lifecycle contract 2.2: an empty cell refuses."""
    expected = {state for (state, verb), cell in cells().items() if verb == action and cell}

    assert {state for state in State if is_allowed(Action(action), state)} == expected


def test_copies_and_rewrites() -> None:
    """Lifecycle contract 2.2, second table: copy and translate are checked as duplicate."""
    assert {s for s in State if not is_allowed(Action.DUPLICATE, s)} == REFUSE_COPIES
    assert {s for s in State if not is_allowed(Action.REWRITE, s)} == REFUSE_REWRITES


@pytest.mark.parametrize(
    ("state", "cell"), [(s, c) for (s, a), c in cells().items() if a == "save" and c]
)
def test_a_save_leads_where_the_table_says(state: str, cell: str) -> None:
    """Lifecycle contract 2.2: `=` keeps the state, `wip` is a draft without a desk."""
    assert state_after_save(state, on_desk=True) == (state if cell == "=" else State.IN_PROGRESS)
    assert state_after_save(state, on_desk=False) == (state if cell == "=" else State.DRAFT)


def test_a_move_keeps_what_the_table_says() -> None:
    """Lifecycle contract 2.2: what is out or scheduled stays so, everything else is submitted."""
    kept = {state for (state, action), cell in cells().items() if action == "move" and cell == "="}

    assert kept == KEEP_STATE_ON_MOVE


@pytest.mark.parametrize("action", list(Action))
def test_an_unknown_state_refuses_all_but_the_actions_that_list_what_they_refuse(
    action: Action,
) -> None:
    """Lifecycle contract 2.2: a state that the table does not know."""
    lists_refusals = action in (Action.SPIKE, Action.DUPLICATE, Action.REWRITE)

    assert is_allowed(action, "made up") == is_allowed(action, None) == lists_refusals

"""Which rows of a lane are delivered next (delivery contract O1 to O6)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.service import Document
from apps.core.vocabulary import WITHDRAWING_ACTIONS
from apps.publish.transmit.claim import pick
from transmitters.base import Mode

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
SOON, PAST = NOW + timedelta(minutes=5), NOW - timedelta(minutes=5)


def row(order_no: int, item_id: str = "a", **fields: Any) -> Document:
    """Return a pending row; its id is its place in the order."""
    return {
        "_id": order_no,
        "order_no": order_no,
        "item_id": item_id,
        "state": "pending",
        "publishing_action": "published",
        "priority": False,
        **fields,
    }


def retry(order_no: int, due_at: datetime, item_id: str = "a", **fields: Any) -> Document:
    """Return a row that failed five minutes ago and is tried again at `due_at`."""
    waits = {"state": "retrying", "next_retry_attempt_at": due_at, "attempts": [{"at": PAST}]}
    return row(order_no, item_id, **{**waits, **fields})


def ids(rows: list[Document], mode: Mode) -> list[int]:
    return [r["_id"] for r in pick(*split(rows), mode, NOW).rows]


RECENT = {"attempts": [{"at": NOW - timedelta(seconds=10)}]}


@pytest.mark.parametrize(
    ("rows", "append", "replace"),
    [
        pytest.param([row(2), row(1)], [1, 2], [1, 2], id="first in, first out"),
        pytest.param([retry(1, PAST), row(2)], [1, 2], [1, 2], id="a retry that is due"),
        pytest.param(
            [retry(1, SOON, **RECENT), row(2)], [], [2], id="a retry that is not due, followed"
        ),
        pytest.param([retry(1, SOON)], [], [], id="a retry that is not due, alone"),
        pytest.param(
            [retry(1, SOON), row(2)], [1, 2], [2], id="followed, tried more than 60 s ago"
        ),
        pytest.param(
            [retry(1, SOON, **RECENT), row(2), row(3, "b")], [3], [2, 3], id="others pass"
        ),
        pytest.param(
            [row(1, "b"), row(2, priority=True)], [2, 1], [2, 1], id="priority goes first"
        ),
        pytest.param(
            [row(1), row(2, priority=True)], [1, 2], [1, 2], id="but not before its own line"
        ),
        pytest.param(
            [row(1), row(2, publishing_action="killed"), row(3)],
            [2, 3],
            [2, 3],
            id="a kill makes older versions pointless",
        ),
        pytest.param(
            [retry(1, SOON, **RECENT), row(2, publishing_action="recalled")],
            [2],
            [2],
            id="a takedown waits for no retry",
        ),
        pytest.param(
            [retry(1, PAST, publishing_action="killed"), row(2)],
            [1, 2],
            [1, 2],
            id="what comes after a kill follows it",
        ),
        pytest.param([], [], [], id="nothing"),
    ],
)
def test_picks_what_may_go_now(rows: list[Document], append: list[int], replace: list[int]) -> None:
    """Versions wait for each other where each is a document of its own, else the newest wins."""
    assert ids(rows, Mode.APPEND) == append
    assert ids(rows, Mode.REPLACE) == replace


def test_says_when_to_look_again() -> None:
    """The earliest of the waiting rows counts, with the cap for one that is followed."""
    waiting = [retry(1, SOON, **RECENT), retry(3, SOON + timedelta(hours=1), "b", **RECENT)]

    append = pick([row(2)], waiting, Mode.APPEND, NOW)
    replace = pick([row(2)], waiting, Mode.REPLACE, NOW)

    assert (append.next_due, replace.next_due) == (NOW + timedelta(seconds=50), SOON)
    assert append.older == replace.older == {"a", "b"}


def test_names_the_kill_that_makes_rows_pointless() -> None:
    """The canceled row says what replaced it: the newest withdrawal of its line."""
    rows = [row(1), row(2, publishing_action="unpublished"), row(3), row(4), row(5, "b")]
    rows[3]["publishing_action"] = "killed"

    assert pick(rows, [], Mode.APPEND, NOW).superseded == {1: 4, 2: 4, 3: 4}


def unknown(order_no: int, item_id: str = "a", **fields: Any) -> Document:
    """Return a row that waits again because nobody knows what became of its last attempt."""
    return row(order_no, item_id, attempts=[{"at": PAST, "outcome": "unknown"}], **fields)


@pytest.mark.parametrize(
    ("rows", "append", "replace", "canceled"),
    [
        pytest.param([retry(1, SOON), unknown(2), row(3)], [2], [2, 3], {1: 2}, id="a retry"),
        pytest.param([retry(1, PAST), unknown(2)], [2], [2], {1: 2}, id="a retry that is due"),
        pytest.param([row(1), unknown(2)], [2], [2], {1: 2}, id="a pending one"),
        pytest.param([unknown(1), row(2)], [1, 2], [1, 2], {}, id="nothing older"),
        pytest.param([unknown(1), unknown(2)], [1, 2], [2], {1: 2}, id="two in a row"),
        pytest.param([retry(1, PAST), unknown(2, "b")], [1, 2], [1, 2], {}, id="another item"),
        pytest.param(
            [retry(1, PAST, item_version=3), unknown(2, item_version=1)],
            [2],
            [2],
            {},
            id="an old version that a client sent again",
        ),
    ],
)
def test_nothing_follows_a_newer_row_that_the_receiver_may_have(
    rows: list[Document], append: list[int], replace: list[int], canceled: dict[int, int]
) -> None:
    """It is canceled where the receiver keeps the newest, else it waits until that is known.

    Delivery contract O8.
    """
    assert ids(rows, Mode.APPEND) == append
    assert ids(rows, Mode.REPLACE) == replace
    assert pick(*split(rows), Mode.REPLACE, NOW).superseded == canceled
    assert pick(*split(rows), Mode.APPEND, NOW).superseded == {}


def test_what_waits_for_an_unknown_outcome_is_looked_at_again_at_once() -> None:
    """The lane stays due: delivery contract O8."""
    assert pick([row(1), unknown(2)], [], Mode.APPEND, NOW).next_due == NOW


@st.composite
def lanes(draw: st.DrawFn) -> list[Document]:
    """Draw the rows that wait in one lane, in any order."""
    rows = []
    for order_no in range(1, draw(st.integers(0, 12)) + 1):
        made = row(order_no, draw(st.sampled_from("abc")), priority=draw(st.booleans()))
        made["publishing_action"] = draw(
            st.sampled_from(["published", "corrected", "corrected", "killed"])
        )
        if draw(st.booleans()):
            made |= {
                "state": "retrying",
                "next_retry_attempt_at": NOW + timedelta(seconds=draw(st.integers(-100, 100))),
                "attempts": [{"at": NOW - timedelta(seconds=draw(st.integers(0, 100)))}],
            }
        rows.append(made)
    return draw(st.permutations(rows))


def split(rows: list[Document]) -> tuple[list[Document], list[Document]]:
    return [r for r in rows if r["state"] == "pending"], [
        r for r in rows if r["state"] != "pending"
    ]


def line_of(rows: list[Document], one: Document) -> list[Document]:
    return [r for r in rows if r["item_id"] == one["item_id"]]


@given(lanes(), st.sampled_from(Mode))
def test_versions_of_an_item_are_never_out_of_order(rows: list[Document], mode: Mode) -> None:
    """Whatever priorities and retries say, an older version never follows a newer one.

    Delivery contract O1.
    """
    picked = pick(*split(rows), mode, NOW).rows

    for one in picked:
        places = [r["order_no"] for r in line_of(picked, one)]
        assert places == sorted(places)


@given(lanes())
def test_no_version_passes_one_that_waits(rows: list[Document]) -> None:
    """Before a row everything older of its line goes that is not pointless.

    Delivery contract O1, append.
    """
    selection = pick(*split(rows), Mode.APPEND, NOW)
    going = {r["_id"] for r in selection.rows}

    for one in selection.rows:
        older = {r["_id"] for r in line_of(rows, one) if r["order_no"] < one["order_no"]}
        assert older <= going | set(selection.superseded)


@given(lanes(), st.sampled_from(Mode))
def test_nothing_older_goes_out_beside_a_withdrawal(rows: list[Document], mode: Mode) -> None:
    """What a withdrawal of the line overtakes is canceled, everything else is kept.

    Delivery contract O5.
    """
    selection = pick(*split(rows), mode, NOW)

    for one in rows:
        withdrawals = [
            r["_id"] for r in line_of(rows, one) if r["publishing_action"] in WITHDRAWING_ACTIONS
        ]
        newest = max(withdrawals, default=0)
        assert selection.superseded.get(one["_id"]) == (newest if one["_id"] < newest else None)
    assert not {r["_id"] for r in selection.rows} & set(selection.superseded)


@given(lanes(), st.sampled_from(Mode))
def test_urgent_rows_of_other_lines_go_first(rows: list[Document], mode: Mode) -> None:
    """Within a lane: between items with one row each, priority comes first, then age."""
    picked = pick(*split(rows), mode, NOW).rows
    single = [r for r in picked if len(line_of(picked, r)) == 1]

    ordered = sorted(single, key=lambda r: (not r["priority"], r["order_no"]))
    assert [r["_id"] for r in single] == [r["_id"] for r in ordered]


@given(lanes(), st.sampled_from(Mode))
def test_a_lane_is_never_forgotten(rows: list[Document], mode: Mode) -> None:
    """Where rows wait and none may go, the time to look again is known."""
    selection = pick(*split(rows), mode, NOW)

    assert not rows or selection.rows or (selection.next_due and selection.next_due > NOW)


PARTIAL: Document = {**RECENT, "is_replaceable": True}


@pytest.mark.parametrize(
    ("rows", "picked", "superseded"),
    [
        ([retry(1, SOON, **PARTIAL)], [], {}),
        ([retry(1, SOON, **PARTIAL), row(2)], [2], {1: 2}),
        ([retry(1, PAST, **PARTIAL), row(2)], [2], {1: 2}),
        ([retry(1, SOON, **PARTIAL), retry(2, SOON, **PARTIAL), row(3)], [3], {1: 2, 2: 3}),
        ([retry(1, SOON, **PARTIAL), row(2, "b")], [2], {}),
        ([retry(1, SOON, **RECENT), retry(2, PAST, **PARTIAL), row(3)], [], {2: 3}),
        ([row(1, is_replaceable=True), row(2)], [1, 2], {}),
        ([retry(1, SOON, **PARTIAL, item_version=3), row(2, item_version=2)], [], {}),
        ([retry(1, SOON, **{**PARTIAL, "is_replaceable": "odd"}), row(2)], [], {}),
    ],
)
def test_what_is_left_of_a_version_does_not_hold_up_the_next(
    rows: list[Document], picked: list[int], superseded: dict[int, int]
) -> None:
    """Delivery contract O1: where most have it, the rest get the newer one."""
    selection = pick(*split(rows), Mode.APPEND, NOW)

    assert [row["_id"] for row in selection.rows] == picked
    assert selection.superseded == superseded

"""What is done with associated items, as a table."""

from typing import Any

import pytest

from apps.core.vocabulary import Operation
from apps.publish.content.associated_items import (
    changed_fields,
    changes_of,
    operation_on,
    published_marks,
    trim_related,
)

PUBLISH, CORRECT = Operation.PUBLISH, Operation.CORRECT
KILL, TAKEDOWN = Operation.KILL, Operation.TAKEDOWN


@pytest.mark.parametrize(
    ("operation", "held", "stored", "is_changed", "expected"),
    [
        # What is not out is published, whatever its story goes through but a withdrawal.
        (PUBLISH, None, "fetched", False, PUBLISH),
        (PUBLISH, "fetched", "in_progress", True, PUBLISH),
        (PUBLISH, "unpublished", "unpublished", False, PUBLISH),
        (CORRECT, None, "fetched", False, PUBLISH),
        (PUBLISH, "draft", "draft", False, None),
        # What is out is not published again.
        (PUBLISH, "published", "published", True, None),
        (PUBLISH, None, "corrected", False, None),
        (PUBLISH, None, "scheduled", False, None),
        # A correction takes along what went out with the story.
        (CORRECT, "published", "published", False, CORRECT),
        (CORRECT, "corrected", "corrected", False, None),
        (CORRECT, "corrected", "corrected", True, CORRECT),
        (CORRECT, "fetched", "published", False, None),
        (CORRECT, None, "published", False, None),
        (CORRECT, "published", "killed", False, None),
        # Withdrawals follow the state that the item is really in.
        (KILL, "published", "published", False, KILL),
        (KILL, None, "corrected", False, KILL),
        (KILL, "published", "killed", False, None),
        (KILL, None, "fetched", False, None),
        (TAKEDOWN, "published", "scheduled", False, TAKEDOWN),
    ],
)
def test_each_state_has_its_operation(
    operation: Operation,
    held: str | None,
    stored: str,
    is_changed: bool,
    expected: Operation | None,
) -> None:
    """Lifecycle contract 5.9: the table of associations under PUBLISH_ASSOCIATED_ITEMS."""
    assert expected == operation_on(operation, held, stored, is_changed=is_changed)


@pytest.mark.parametrize(
    ("sent", "before", "expected"),
    [
        (None, {"headline": "a"}, set()),
        ({"headline": "a"}, {}, {"headline"}),
        ({"headline": "a"}, {"headline": "a"}, set()),
        ({"headline": "b"}, {"headline": "a"}, {"headline"}),
        ({"state": "published"}, {"state": "fetched"}, set()),
    ],
)
def test_only_content_is_a_change(
    sent: dict[str, str] | None, before: dict[str, str], expected: set[str]
) -> None:
    """States and versions that a client sends along change nothing at the item."""
    assert expected == changed_fields(sent, before)


def test_a_newer_item_wins() -> None:
    """Lifecycle contract 5.9: a stale association changes nothing at its item."""
    stored = {"headline": "new", "_current_version": 3}

    assert {} == changes_of({"headline": "old", "_current_version": 2}, stored)
    assert {"headline": "own"} == changes_of({"headline": "own", "_current_version": 3}, stored)


@pytest.mark.parametrize("own", [{}, {"_current_version": None}])
@pytest.mark.parametrize("newest", [{}, {"_current_version": 3}])
def test_without_versions_the_item_wins(own: dict[str, Any], newest: dict[str, Any]) -> None:
    """Lifecycle contract 5.9: but for what the holder writes, or the request changes."""
    stored = {"slugline": "new", "headline": "new", "copyrightholder": "new", **newest}
    held = {"slugline": "old", "headline": "own", "copyrightholder": "old", "ednote": "own", **own}

    assert {"headline": "own", "ednote": "own"} == changes_of(held, stored)
    sent = changes_of(held, stored, {"slugline", "copyrightholder"})
    assert {"headline": "own", "ednote": "own", "copyrightholder": "old"} == sent


def test_related_content_is_trimmed_unless_it_is_elsewhere() -> None:
    """Lifecycle contract 5.9: related content keeps id, type and order; 1 is the default order."""
    elsewhere = {"_id": "b", "headline": "b", "_fetchable": False}
    associations = {"media--1": {"_id": "a", "headline": "a"}, "media--2": elsewhere}

    trim_related(associations, frozenset(associations))

    assert {"media--1": {"_id": "a", "order": 1}, "media--2": elsewhere} == associations


def test_marks_name_what_is_there() -> None:
    """Null associations and related content show no state."""
    associations = {"featuremedia": {}, "editor_0": None, "media--1": {"_id": "a"}}
    updates = {"state": "published", "operation": "publish"}

    marks = published_marks(associations, frozenset({"media--1"}), updates)

    assert {"keys": ["featuremedia"], **updates} == marks
    assert {} == published_marks(None, frozenset(), updates)

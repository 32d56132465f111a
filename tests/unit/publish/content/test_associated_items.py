"""What is done with associated items, as a table."""

from typing import Any

import pytest

from apps.archive.associations import refresh
from apps.core.vocabulary import Operation
from apps.publish.content.associated_items import (
    changed_fields,
    changes_of,
    come_out,
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

    assert {} == changes_of({"headline": "old", "_current_version": 2}, stored, PUBLISH)
    own = {"headline": "own", "_current_version": 3}
    assert {"headline": "own"} == changes_of(own, stored, PUBLISH)


@pytest.mark.parametrize("own", [{}, {"_current_version": None}])
@pytest.mark.parametrize("newest", [{}, {"_current_version": 3}])
def test_without_versions_the_item_wins(own: dict[str, Any], newest: dict[str, Any]) -> None:
    """Lifecycle contract 5.9: but for what the holder writes, or the request changes."""
    stored = {"slugline": "new", "headline": "new", "copyrightholder": "new", **newest}
    held = {"slugline": "old", "headline": "own", "copyrightholder": "old", "ednote": "own", **own}

    assert {"headline": "own", "ednote": "own"} == changes_of(held, stored, PUBLISH)
    sent = changes_of(held, stored, PUBLISH, {"slugline", "copyrightholder"})
    assert {"headline": "own", "ednote": "own", "copyrightholder": "old"} == sent


@pytest.mark.parametrize("operation", [CORRECT, KILL, TAKEDOWN])
@pytest.mark.parametrize("version", [{}, {"_current_version": 3}])
def test_what_is_out_takes_only_what_the_request_changes(
    operation: Operation, version: dict[str, Any]
) -> None:
    """Lifecycle contract 5.9: its holder may show the rest as it was when both went out."""
    stored = {"headline": "new", "copyrightholder": "new", "creditline": "new", **version}
    held = dict.fromkeys(stored, "old") | {"byline": "own", **version}

    assert {} == changes_of(held, stored, operation)
    assert {"byline": "own"} == changes_of(held, stored, operation, {"byline"})
    assert {"creditline": "old"} == changes_of(held, stored, operation, {"creditline"})


@pytest.mark.parametrize("empty", [None, "", []])
def test_what_an_editor_has_emptied_stays_empty(empty: Any) -> None:
    """Lifecycle contract 5.9: emptying a field is a save as well."""
    item = {"ednote": empty, "keywords": empty}
    held = {"ednote": "old", "keywords": ["old"]}

    assert {} == changes_of(held, item, PUBLISH)
    refresh(held, item)
    assert not held.get("ednote")
    assert not held.get("keywords")


@pytest.mark.parametrize(("newest", "expected"), [(3, 3), (4, 2), (None, 2)])
def test_shows_the_version_that_its_item_came_out_with(newest: Any, expected: Any) -> None:
    """Lifecycle contract 5.3: one more, unless the item was saved while it waited."""
    item = {"_id": "p", "state": "published", "_current_version": newest}
    held = {"_id": "p", "state": "scheduled", "_current_version": 2, "publish_schedule": 1}

    shown = come_out({"associations": {"a": held, "b": None}}, {"p": item}, {"a"})["a"]

    assert ("published", expected) == (shown["state"], shown.get("_current_version"))
    assert "publish_schedule" not in shown


def test_shows_what_still_waits_as_scheduled() -> None:
    """Others only show what their holder does: what is elsewhere, what is not sent with it."""
    held = {"_id": "p", "state": "scheduled"}
    items = {"p": {**held, "_current_version": 2}}
    elsewhere = {"state": "scheduled", "_fetchable": False}
    associations = {"a": held, "b": held, "c": elsewhere, "d": {"state": "draft"}}

    shown = come_out({"associations": associations}, items, {"a", "c"})

    states = [association["state"] for association in shown.values()]
    assert ["scheduled", "published", "published", "draft"] == states
    assert "scheduled" == held["state"]


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

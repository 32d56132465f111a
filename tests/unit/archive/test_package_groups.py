"""Package groups: their rules and the links that follow from them, without a store."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.archive.journal.follow_ups import addition, subtraction
from apps.archive.packages import check_groups, default_groups, link_changes
from apps.core.errors import ServiceError

IDS = st.lists(st.sampled_from("abcdef"), max_size=6)


def holding(members: list[str]) -> list[dict[str, Any]]:
    groups = default_groups()
    groups[1]["refs"] = [{"residRef": member} for member in members]
    return groups


@given(before=IDS, after=IDS)
def test_links_follow_the_members(before: list[str], after: list[str]) -> None:
    """Every new member is linked once, every one that went is unlinked, the others are left."""
    link = {"linked_in_packages": {"package": "p"}}

    changes = link_changes("p", holding(before), holding(after))

    new, gone = sorted({*after} - {*before}), sorted({*before} - {*after})
    added = [addition("archive", {"_id": {"$in": new}}, link)] if new else []
    taken = [subtraction("archive", {"_id": {"$in": gone}}, link)] if gone else []
    assert [*added, *taken] == changes


@given(members=IDS)
def test_members_are_unique(members: list[str]) -> None:
    """Groups are accepted exactly when no member stands in them twice."""
    try:
        check_groups(holding(members), "p", is_new=True)
        is_accepted = True
    except ServiceError:
        is_accepted = False

    assert (len(set(members)) == len(members)) == is_accepted


@pytest.mark.parametrize(
    "groups",
    [
        None,
        [],
        ["text"],
        [{"id": 1}],
        [{"id": "root"}, None],
        [{"id": "root", "refs": ["residRef"]}],
        [{"id": "root", "refs": [{"residRef": {"$ne": 1}}]}],
        [{"id": "root", "refs": [{}]}],
    ],
)
def test_whatever_is_no_group_is_refused(groups: Any) -> None:
    """Bad input of any shape ends in a refusal of ours."""
    with pytest.raises(ServiceError) as refusal:
        check_groups(groups, "p", is_new=False)

    assert refusal.value.status in (400, 403)

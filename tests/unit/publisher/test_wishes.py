"""What wishes do to records: invariants that hold whatever is wished, and whatever workers do."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from apps.publisher.records.wishes import (
    Decision,
    Piece,
    Result,
    Wish,
    decide,
    is_live,
    is_outdated,
    is_same,
    is_settled,
    new_record,
    was_never_sent,
)
from apps.publisher.schema import IN_DOUBT, Outcome, Phase, RecordStatus, WishAction
from transmitters.cms.base import RemoteState, RetractMode

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
INTEGRATION = {"_id": 1, "account": "default", "site": 2, "destination": "wordpress"}
OFF = {RemoteState.ABSENT, RemoteState.DRAFT, RemoteState.TRASHED, RemoteState.DELETED}


def record(**fields: Any) -> dict[str, Any]:
    """Return a record of which nothing has been sent."""
    return {**new_record(Piece(INTEGRATION, "a", "a"), NOW, {}), **fields}


def live(**fields: Any) -> dict[str, Any]:
    """Return a record whose post is on its site."""
    shown = {
        "status": RecordStatus.PUBLISHED,
        "remote_state": RemoteState.LIVE,
        "external_id": "7",
        "external_url": "https://site.example/a",
        "published_at": NOW,
        "published_version": 3,
        "slug": "a",
        "desired": {"action": "publish", "seq": 1, "version": 3},
    }
    return record(**{**shown, **fields})


def after(before: dict[str, Any], decision: Decision) -> dict[str, Any]:
    """Return the record as it is stored with a decision."""
    changed = {**before, **decision.updates}
    if "desired" in decision.updates:
        last = (before.get("desired") or {}).get("seq") or 0
        changed["desired"] = {**decision.updates["desired"], "seq": last + 1}
    return changed


def check_invariants(document: dict[str, Any]) -> None:
    """What every record keeps, see the table of its states."""
    status = document["status"]
    if status == RecordStatus.PUBLISHED:
        assert is_live(document)
    if status == RecordStatus.RETRACTED:
        assert document["remote_state"] in OFF
    if status == RecordStatus.FAILED:
        assert document["error"]
    if document["phase"] == Phase.READY:
        assert document["next_attempt_at"] is not None


versions = st.integers(1, 9)
wishes = st.builds(
    Wish,
    action=st.sampled_from(WishAction),
    version=st.none() | versions,
    force=st.booleans(),
    schedule_at=st.none() | st.just(NOW + timedelta(hours=1)),
    is_sent_early=st.booleans(),
    mode=st.none() | st.sampled_from(RetractMode),
)


def worked(document: dict[str, Any], what: str) -> dict[str, Any]:
    """Return a record as a worker leaves it that has gone one step on."""
    if document["next_attempt_at"] is None:
        return document
    wanted = document["desired"]
    done = {"phase": Phase.IDLE, "next_attempt_at": None, "error": None}
    if what == "announce":
        return {**document, "phase": Phase.SENT, "slug": document.get("slug") or "a"}
    if what == "lose the answer":
        if document["phase"] != Phase.SENT:
            return document
        later = NOW + timedelta(seconds=15)
        return {**document, "phase": Phase.UNKNOWN, "next_attempt_at": later}
    if what == "fail":
        failed = {"status": RecordStatus.FAILED, "error": {"class": "validation"}}
        return {**document, **done, **failed}
    if wanted["action"] == WishAction.RETRACT:
        off = {"status": RecordStatus.RETRACTED, "remote_state": RemoteState.TRASHED}
        return {**document, **done, **off}
    version = wanted["version"] or document["published_version"] or 1
    return {
        **document,
        **done,
        "status": RecordStatus.PUBLISHED,
        "remote_state": RemoteState.LIVE,
        "external_id": "7",
        "external_url": "https://site.example/a",
        "published_at": NOW,
        "published_version": version,
        "slug": document.get("slug") or "a",
    }


steps = st.lists(
    wishes | st.sampled_from(["announce", "lose the answer", "fail", "finish"]), max_size=30
)


@given(steps)
def test_records_keep_their_invariants_whatever_is_wished_and_done(course: list[Any]) -> None:
    document = after(record(), decide(record(), "a", Wish(WishAction.PUBLISH, 1), NOW))
    check_invariants(document)
    for step in course:
        before = document
        if isinstance(step, str):
            document = worked(document, step)
        else:
            decision = decide(document, "a", step, NOW)
            document = after(document, decision)
            check_wish(before, step, decision, document)
        check_invariants(document)
        assert not before.get("external_id") or document["external_id"]


def check_wish(
    before: dict[str, Any], wish: Wish, decision: Decision, document: dict[str, Any]
) -> None:
    """What holds of every wish on every record."""
    last = before["desired"]["seq"]
    if decision.result == Result.UNCHANGED or is_same(before, "a", wish):
        assert not decision.updates
        return
    assert document["desired"]["seq"] == last + 1
    assert document["desired"]["version"] == wish.version
    assert is_settled(document, last)
    # Nobody may forget that the site has to be asked first.
    assert before["phase"] not in IN_DOUBT or document["phase"] == before["phase"]
    if wish.is_retract:
        assert document["desired"]["action"] == WishAction.RETRACT
        assert decision.result == Result.QUEUED or was_never_sent(before)
    else:
        assert not is_outdated(before, "a", wish)
        assert (document["desired"]["action"] == WishAction.UPDATE) == is_live(before)
        assert document["content_version"] == wish.version


def test_what_is_wanted_already_is_joined_unless_it_has_failed() -> None:
    wish = Wish(WishAction.PUBLISH, 1)
    waiting = after(record(), decide(record(), "a", wish, NOW))
    failing = {**waiting, "error": {"class": "transient"}, "next_attempt_at": NOW}

    assert not decide(waiting, "a", wish, NOW).updates
    assert decide(waiting, "a", Wish(WishAction.PUBLISH, 1, force=True), NOW).updates
    looked_at_later = {**waiting, "phase": Phase.IDLE}
    assert decide(looked_at_later, "a", wish, NOW).updates["phase"] == Phase.READY
    assert decide(failing, "a", wish, NOW).updates["retry_attempt"] == 0


def test_a_kill_of_what_was_never_sent_makes_no_request() -> None:
    waiting = after(record(), decide(record(), "a", Wish(WishAction.PUBLISH, 1), NOW))

    decision = decide(waiting, "a", Wish(WishAction.RETRACT, 2), NOW)

    killed = after(waiting, decision)
    assert decision.result == Result.DONE
    assert killed["status"] == RecordStatus.RETRACTED
    assert killed["next_attempt_at"] is None
    assert decision.entry is not None
    assert decision.entry["outcome"] == Outcome.NOT_SENT


def test_a_kill_of_what_may_have_been_sent_asks_the_site() -> None:
    waiting = record(phase=Phase.UNKNOWN, slug="a", next_attempt_at=NOW, desired={"seq": 1})

    decision = decide(waiting, "a", Wish(WishAction.RETRACT, 2), NOW)

    assert decision.result == Result.QUEUED
    assert after(waiting, decision)["phase"] == Phase.UNKNOWN


def test_a_wish_does_not_hurry_the_look_at_a_site_that_may_still_be_at_work() -> None:
    later = NOW + timedelta(seconds=15)
    waiting = record(phase=Phase.UNKNOWN, slug="a", next_attempt_at=later, desired={"seq": 1})

    decision = decide(waiting, "a", Wish(WishAction.PUBLISH, 2), NOW)

    assert decision.updates["next_attempt_at"] == later


def test_an_older_version_than_the_one_shown_is_dropped() -> None:
    decision = decide(live(), "a", Wish(WishAction.UPDATE, 2), NOW)

    assert decision.result == Result.UNCHANGED
    assert decision.entry is not None
    assert decision.entry["outcome"] == Outcome.SUPERSEDED


def test_a_version_from_before_the_kill_does_not_come_back() -> None:
    killed = live(desired={"action": "retract", "seq": 2, "version": 4})

    assert decide(killed, "a", Wish(WishAction.PUBLISH, 3), NOW).result == Result.UNCHANGED
    assert decide(killed, "a", Wish(WishAction.PUBLISH, 5), NOW).result == Result.QUEUED


def test_versions_of_another_item_of_the_chain_are_not_compared() -> None:
    decision = decide(live(), "rewrite", Wish(WishAction.PUBLISH, 1), NOW)

    assert decision.result == Result.QUEUED
    assert decision.updates["content"] == "rewrite"


def test_the_kill_of_a_member_that_is_not_shown_changes_nothing() -> None:
    decision = decide(live(content="rewrite"), "a", Wish(WishAction.RETRACT, 9), NOW)

    assert decision.result == Result.UNCHANGED
    assert decision.entry is not None
    assert decision.entry["outcome"] == Outcome.NOT_SHOWN


def test_a_failed_update_of_a_live_post_is_tried_again_as_one() -> None:
    failed = live(status=RecordStatus.FAILED, error={"class": "validation"})

    document = after(failed, decide(failed, "a", Wish(WishAction.PUBLISH, 4), NOW))

    assert document["status"] == RecordStatus.PUBLISHED
    assert document["desired"]["action"] == WishAction.UPDATE


def test_a_post_that_is_off_is_taken_off_further_only() -> None:
    off = live(status=RecordStatus.RETRACTED, remote_state=RemoteState.TRASHED)

    def again(mode: RetractMode | None) -> Result:
        return decide(off, "a", Wish(WishAction.RETRACT, 4, mode=mode), NOW).result

    assert again(None) == Result.UNCHANGED
    assert again(RetractMode.DRAFT) == Result.UNCHANGED
    assert again(RetractMode.DELETE) == Result.QUEUED


def test_what_is_scheduled_waits_unless_the_site_keeps_the_schedule() -> None:
    due = NOW + timedelta(hours=2)
    wish = Wish(WishAction.PUBLISH, 1, schedule_at=due)
    early = Wish(WishAction.PUBLISH, 1, schedule_at=due, is_sent_early=True)

    assert decide(record(), "a", wish, NOW).updates["next_attempt_at"] == due
    assert decide(record(), "a", early, NOW).updates["next_attempt_at"] == NOW

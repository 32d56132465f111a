"""What is looked after now and then."""

import pytest

from apps.publisher.run import terms
from apps.publisher.run.upkeep import LateRetractions
from tests.support.site_desk import FaultySite, SiteDesk
from transmitters.cms.base import PlatformError


@pytest.mark.parametrize("why", ["down", "credentials", "paused", "slow"])
def test_late_kill_is_told_whatever_keeps_it(desk: SiteDesk, site: FaultySite, why: str) -> None:
    """(cms scenario 8)"""
    told: list[tuple[str, str]] = []
    late = LateRetractions(
        desk.db, desk.clock, lambda text, about: told.append((about["content"], text))
    )
    item, record = desk.published()
    desk.published(headline="Another")
    desk.wish(desk.change(item, state="killed"), "retract")
    match why:
        case "down":
            site.fault = lambda request: "down"
        case "credentials":
            desk.integration["credentials"]["application_password"] = "no"
            wrong = {"$set": {"credentials": desk.integration["credentials"]}}
            desk.db["publisher_integrations"].update_one({}, wrong)
        case "paused":
            site.fault = lambda request: "busy"
    if why != "slow":
        desk.run(record)
    assert late.run() == 0
    desk.clock.advance(minutes=6)
    assert late.run() == 1
    ((content, text),) = told
    assert content == item["_id"]
    assert text.startswith("Kill not carried out: ")
    assert "no error" not in text

    site.fault = lambda request: None
    if why == "credentials":
        return
    assert desk.run_until_settled(record)["status"] == "retracted"
    assert late.run() == 0


@pytest.mark.parametrize(
    ("limit", "value", "says"),
    [
        ("MOST_TAXONOMIES", 1, "more than 1 taxonomies"),
        ("MOST_TERMS", 2, "more than 2 terms"),
        ("LONGEST_SYNC", 0.0, "takes too long"),
    ],
)
def test_terms_without_end_are_told(
    desk: SiteDesk,
    site: FaultySite,
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
    value: float,
    says: str,
) -> None:
    for number in range(3):
        site.content.add_term("tags", {"name": f"Tag {number}"})
    monkeypatch.setattr(terms, limit, value)

    with pytest.raises(PlatformError, match=says):
        desk.terms.sync(desk.integration, desk.platform(desk.integration))

"""What is looked after now and then."""

from collections.abc import Callable, Sequence

import pytest
from structlog.testing import capture_logs

from apps.publisher.run import terms
from apps.publisher.run.upkeep import LateRetractions, TermSync
from tests.support.site_desk import FaultySite, SiteDesk, StrictWordPress
from transmitters.cms.base import PlatformError, Taxonomy


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


@pytest.mark.parametrize("fault", [AssertionError, RuntimeError("no"), OverflowError])
def test_site_whose_terms_cannot_be_read_holds_up_no_other(
    desk: SiteDesk, site: FaultySite, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    other = desk.add_integration(site.url.replace("127.0.0.1", "localhost"), "Other")
    reading = stumbling(fault, str(desk.integration["_id"]))
    monkeypatch.setattr(StrictWordPress, "taxonomies", reading)

    with capture_logs():
        read = TermSync(desk.db, desk.clock, desk.terms, desk.platform).run()

    assert read == 1
    stored = desk.db["publisher_terms"].find()
    assert {term["integration"] for term in stored} == {other["_id"]}


def stumbling(fault: Exception, where: str) -> Callable[[StrictWordPress], Sequence[Taxonomy]]:
    """Return a way to read taxonomies that fails at one integration."""
    usual = StrictWordPress.taxonomies

    def read(platform: StrictWordPress) -> Sequence[Taxonomy]:
        if platform.site.id == where:
            raise fault
        return usual(platform)

    return read


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
        desk.terms.sync(desk.integration["_id"], desk.platform(desk.integration))

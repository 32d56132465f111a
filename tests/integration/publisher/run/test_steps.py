"""Carrying out wishes of texts: publish, update, retract; no failure makes a second post."""

from datetime import timedelta

import pytest

from apps.core.service import Document
from apps.demo.site import SiteRequest
from apps.publisher.run.results import Result
from tests.support.site_desk import FaultySite, SiteDesk, holds_password


def test_published_story_is_on_the_page_and_in_the_record(desk: SiteDesk, site: FaultySite) -> None:
    item, record = desk.published()
    assert desk.visit(record["external_url"]) == 200
    assert site.shows("Rivers rose on Friday.")
    assert (record["phase"], record["remote_state"], record["error"]) == ("idle", "live", None)
    assert record["published_version"] == item["_current_version"]
    stored = desk.db["archive"].find_one({"_id": item["_id"]})
    assert stored["_etag"] == "etag"
    assert stored["publisher"] == [
        {
            "integration": str(desk.integration["_id"]),
            "destination": "wordpress",
            "status": "published",
            "external_url": record["external_url"],
        }
    ]


def test_same_version_again_sends_nothing(desk: SiteDesk, site: FaultySite) -> None:
    item, record = desk.published()
    before = len(site.requests)
    desk.wish(item)
    assert desk.run(record) == Result.UNCHANGED
    assert len(site.requests) == before
    desk.wish(item, force=True)
    assert desk.run(record) == Result.DONE
    assert len(site.writes()) == 2
    assert site.post()["id"] == int(desk.record(record)["external_id"])


def test_correction_keeps_post_address_and_date(desk: SiteDesk, site: FaultySite) -> None:
    item, record = desk.published()
    before = dict(site.post())
    desk.clock.advance(hours=1)
    item = desk.change(item, headline="Rivers fall", body_html="<p>They fell.</p>")
    changed = desk.run_until_settled(desk.wish(item))
    after = site.post()
    assert (after["id"], after["slug"], after["date_gmt"]) == (
        before["id"],
        before["slug"],
        before["date_gmt"],
    )
    assert after["title"] == "Rivers fall"
    assert changed["published_at"] == record["published_at"]
    assert changed["published_version"] == record["published_version"] + 1
    assert changed["external_url"] == record["external_url"]


def test_kill_overwrites_then_removes(desk: SiteDesk, site: FaultySite) -> None:
    item, record = desk.published(body_html="<p>Wrong.</p>")
    item = desk.change(item, state="killed", headline="Kill", body_html="<p>Withdrawn.</p>")
    record = desk.run_until_settled(desk.wish(item, "retract"))
    assert (record["status"], record["remote_state"]) == ("retracted", "trashed")
    assert desk.visit(record["external_url"]) == 404
    (post,) = site.posts("trash")
    assert "Withdrawn" in post["content"]
    assert "Wrong" not in post["content"]
    assert record["warnings"] == []


def test_unpublished_story_comes_back_as_the_same_post(desk: SiteDesk, site: FaultySite) -> None:
    item, record = desk.published()
    item = desk.change(item, state="unpublished")
    assert desk.run_until_settled(desk.wish(item, "retract"))["status"] == "retracted"
    assert not site.posts()
    item = desk.change(item, state="published")
    again = desk.run_until_settled(desk.wish(item))
    assert again["external_url"] == record["external_url"]
    assert again["external_id"] == record["external_id"] == str(site.post()["id"])
    assert desk.visit(again["external_url"]) == 200


LOSSES = ["lost", "proxy"]


@pytest.mark.parametrize("fault", LOSSES)
def test_lost_answer_of_a_create_makes_one_post(
    desk: SiteDesk, site: FaultySite, fault: str
) -> None:
    record = desk.wish(desk.item())
    site.fault = lambda request: fault if request.writes else None
    assert desk.run(record) == Result.WAITING
    waiting = desk.record(record)
    assert (waiting["status"], waiting["phase"]) == ("pending", "unknown")
    assert waiting["error"]["class"] == "ambiguous"
    assert waiting["next_attempt_at"] == desk.clock.at + timedelta(seconds=15)
    site.fault = lambda request: None
    record = desk.run_until_settled(record)
    assert record["status"] == "published"
    assert record["external_id"] == str(site.post()["id"])


def test_create_that_never_arrived_is_repeated_after_two_look_ups(
    desk: SiteDesk, site: FaultySite
) -> None:
    record = desk.wish(desk.item())
    site.fault = lambda request: "refused" if request.writes else None
    started = desk.clock.at
    desk.run(record)
    site.fault = lambda request: None
    desk.clock.advance(seconds=15)
    assert desk.run(record) == Result.WAITING
    assert desk.record(record)["next_attempt_at"] == started + timedelta(seconds=60)
    assert not site.posts()
    desk.clock.advance(seconds=45)
    assert desk.run(record) == Result.DONE
    checked_at = desk.record(record)["next_attempt_at"]
    assert checked_at == desk.clock.at + timedelta(seconds=120)
    assert desk.run_until_settled(record)["status"] == "published"
    assert site.post()


def test_create_that_arrives_late_leaves_one_post(desk: SiteDesk, site: FaultySite) -> None:
    record = desk.wish(desk.item())
    site.fault = lambda request: "refused" if request.writes else None
    desk.run(record)
    site.fault = lambda request: None
    desk.clock.advance(seconds=60)
    assert desk.run(record) == Result.DONE
    # The first create, which was still at work.
    first = site.post()
    late = {**first, "slug": first["slug"], "status": "publish"}
    site.content.new_entry("posts", {k: late[k] for k in ("title", "content", "slug", "status")})
    record = desk.run_until_settled(record)
    assert site.post()["id"] == int(record["external_id"])
    assert "duplicate_removed" in [entry["outcome"] for entry in record["history"]]


def test_kill_while_a_create_is_in_doubt_leaves_nothing(desk: SiteDesk, site: FaultySite) -> None:
    item = desk.item()
    record = desk.wish(item)
    site.fault = lambda request: "lost" if request.writes else None
    desk.run(record)
    site.fault = lambda request: None
    assert site.posts("publish")
    desk.wish(desk.change(item, state="killed"), "retract")
    record = desk.run_until_settled(record)
    assert record["status"] == "retracted"
    assert not site.posts("publish")
    assert [request.method for request in site.writes()] == ["POST", "POST", "DELETE"]


def test_kill_of_a_create_that_never_arrived_makes_none(desk: SiteDesk, site: FaultySite) -> None:
    item = desk.item()
    record = desk.wish(item)
    site.fault = lambda request: "refused" if request.writes else None
    desk.run(record)
    site.fault = lambda request: None
    desk.wish(desk.change(item, state="killed"), "retract")
    # It comes after everybody has looked for it.
    record = desk.record(record)
    while record["status"] != "retracted":
        desk.clock.at = record["next_attempt_at"]
        desk.run(record)
        record = desk.record(record)
    marker = f"<!-- publisher-ref:{record['ref']} -->"
    site.content.new_entry(
        "posts",
        {"title": "Late", "content": marker, "slug": record["slug"], "status": "publish"},
    )
    record = desk.run_until_settled(record)
    assert record["status"] == "retracted"
    assert not site.posts("publish")


def test_kill_with_the_site_down_is_carried_out_when_it_is_back(
    desk: SiteDesk, site: FaultySite
) -> None:
    item, record = desk.published()
    desk.wish(desk.change(item, state="killed"), "retract")
    site.fault = lambda request: "down"
    for _ in range(12):
        desk.run(record)
        desk.clock.at = desk.record(record)["next_attempt_at"]
    assert site.posts("publish")
    assert desk.record(record)["status"] == "published"
    site.fault = lambda request: None
    assert desk.run_until_settled(record)["status"] == "retracted"
    assert not site.posts("publish")


def test_wish_that_comes_before_the_announcement_stops_the_write(
    desk: SiteDesk, site: FaultySite
) -> None:
    item = desk.item()
    record = desk.wish(item)

    def kills(request: object) -> None:
        site.fault = lambda request: None
        desk.wish(desk.change(item, state="killed"), "retract")

    site.fault = kills  # type: ignore[assignment]
    desk.run(record)
    record = desk.run_until_settled(record)
    assert record["status"] == "retracted"
    assert not site.writes()


def test_correction_that_comes_during_the_write_follows_it(
    desk: SiteDesk, site: FaultySite
) -> None:
    item = desk.item()
    record = desk.wish(item)

    def corrects(request: object) -> None:
        if getattr(request, "writes", False):
            site.fault = lambda request: None
            desk.wish(desk.change(item, headline="Corrected"))

    site.fault = corrects  # type: ignore[assignment]
    desk.run(record)
    record = desk.run_until_settled(record)
    assert (record["status"], record["published_version"]) == ("published", 2)
    assert site.post()["title"] == "Corrected"


def test_record_restored_from_a_backup_finds_its_post(desk: SiteDesk, site: FaultySite) -> None:
    item = desk.item()
    backup = desk.wish(item)
    desk.run_until_settled(backup)
    desk.db["publishing_records"].replace_one({"_id": backup["_id"]}, backup)
    record = desk.run_until_settled(backup)
    assert record["status"] == "published"
    assert record["external_id"] == str(site.post()["id"])


def test_two_workers_one_post(desk: SiteDesk, site: FaultySite) -> None:
    record = desk.wish(desk.item())
    other: list[object] = []

    def meanwhile(request: object) -> None:
        site.fault = lambda request: None
        other.append(desk.run(record, name="other"))

    site.fault = meanwhile  # type: ignore[assignment]
    assert desk.run(record) == Result.DONE
    assert other == [None]
    assert site.post()


@pytest.mark.parametrize("policy", ["recreate", "fail"])
def test_post_that_was_deleted_at_the_site(desk: SiteDesk, site: FaultySite, policy: str) -> None:
    desk.options["on_remote_missing"] = policy
    item, record = desk.published()
    site.content.entries.clear()
    record = desk.run_until_settled(desk.wish(desk.change(item, headline="Again")))
    if policy == "recreate":
        assert record["external_id"] == str(site.post()["id"])
        assert record["status"] == "published"
    else:
        assert (record["status"], record["error"]["code"]) == ("failed", "remote_missing")
        assert record["remote_state"] == "deleted"
        assert not site.posts()


def test_post_in_the_trash_comes_back(desk: SiteDesk, site: FaultySite) -> None:
    item, before = desk.published()
    site.content.trash(site.post())
    record = desk.run_until_settled(desk.wish(desk.change(item, headline="Again")))
    assert record["external_id"] == before["external_id"] == str(site.post()["id"])
    assert record["external_url"] == before["external_url"]


def test_foreign_post_with_our_slug_is_left_alone(desk: SiteDesk, site: FaultySite) -> None:
    desk.options["slug_mode"] = "clean"
    foreign = site.content.new_entry(
        "posts",
        {"title": "Theirs", "content": "Theirs", "slug": "rivers-rise", "status": "publish"},
    )
    _, record = desk.published()
    assert record["external_id"] != str(foreign["id"])
    assert foreign["content"] == "Theirs"
    assert len(site.posts()) == 2
    assert desk.visit(record["external_url"]) == 200


@pytest.mark.parametrize(
    ("policy", "status", "title"),
    [
        ("overwrite", "published", "Corrected"),
        ("fail", "failed", "Edited"),
        ("skip", "published", "Edited"),
    ],
)
def test_edit_of_the_site_meets_a_correction(
    desk: SiteDesk, site: FaultySite, policy: str, status: str, title: str
) -> None:
    desk.options["on_remote_edit"] = policy
    item, record = desk.published()
    desk.clock.advance(minutes=1)
    site.content.write(site.post(), {"title": "Edited"})
    desk.clock.advance(minutes=1)
    record = desk.run_until_settled(desk.wish(desk.change(item, headline="Corrected")))
    assert (record["status"], site.post()["title"]) == (status, title)
    if policy == "fail":
        assert record["error"]["code"] == "remote_edited"
    # A kill always goes through.
    desk.wish(desk.change(item, state="killed"), "retract")
    desk.run_until_settled(record)
    assert not site.posts()


def test_wrong_credentials_stop_the_integration(desk: SiteDesk, site: FaultySite) -> None:
    first, second = desk.wish(desk.item()), desk.wish(desk.item())
    site.password = "changed"
    desk.run(first)
    asked = len(site.requests)
    for record in (first, second, first):
        assert desk.run(record) == Result.WAITING
    assert len(site.requests) == asked
    record = desk.record(first)
    assert (record["status"], record["error"]["class"]) == ("pending", "auth")
    assert record["error"]["help"] == "Check the integration's credentials"
    integration = desk.db["publisher_integrations"].find_one()
    assert integration["state"] == "auth_failed"
    assert len(desk.alerts) == 1
    site.password = "abcdefghijklmnopqrstuvwx"
    desk.db["publisher_integrations"].update_one({}, {"$set": {"state": "new"}})
    for record in (first, second):
        assert desk.run_until_settled(record)["status"] == "published"
    assert desk.db["publisher_integrations"].find_one()["state"] == "ok"


def test_site_that_asks_to_slow_down_pauses_the_integration(
    desk: SiteDesk, site: FaultySite
) -> None:
    first, second = desk.wish(desk.item()), desk.wish(desk.item())
    site.fault = lambda request: "busy"
    desk.run(first)
    site.fault = lambda request: None
    asked = len(site.requests)
    assert desk.run(second) == Result.WAITING
    assert len(site.requests) == asked
    for record in (first, second):
        waiting = desk.record(record)
        assert waiting["next_attempt_at"] == desk.clock.at + timedelta(seconds=90)
        assert waiting["retry_attempt"] == 0
    desk.clock.advance(seconds=90)
    for record in (first, second):
        assert desk.run_until_settled(record)["status"] == "published"


def test_refusal_for_good_fails_and_a_retry_helps(desk: SiteDesk, site: FaultySite) -> None:
    item = desk.item(headline="", slugline="", body_html="")
    record = desk.run_until_settled(desk.wish(item))
    assert (record["status"], record["phase"]) == ("failed", "idle")
    assert record["error"]["class"] == "validation"
    record = desk.run_until_settled(desk.wish(desk.change(item, headline="Filled")))
    assert record["status"] == "published"


def test_failed_update_stays_live_and_is_not_taken_for_done(
    desk: SiteDesk, site: FaultySite
) -> None:
    item, _ = desk.published()
    item = desk.change(item, headline="Second")
    record = desk.wish(item)
    site.fault = lambda request: "down" if request.writes else None
    for _ in range(11):
        desk.run(record)
        record = desk.record(record)
        desk.clock.at = record["next_attempt_at"] or desk.clock.at
    assert (record["status"], record["remote_state"]) == ("failed", "live")
    site.fault = lambda request: None
    desk.wish(item)
    record = desk.run_until_settled(record)
    assert record["status"] == "published"
    assert site.post()["title"] == "Second"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"type": "picture"}, "unsupported_type"),
        ({"state": "spiked"}, "not_publishable"),
        ({"state": "draft"}, "not_publishable"),
    ],
)
def test_item_that_no_site_shows_is_refused(
    desk: SiteDesk, site: FaultySite, fields: dict[str, str], code: str
) -> None:
    record = desk.run_until_settled(desk.wish(desk.item(**fields)))
    assert (record["status"], record["error"]["code"]) == ("failed", code)
    assert not site.requests


def test_package_links_to_its_members(desk: SiteDesk, site: FaultySite) -> None:
    member, record = desk.published(headline="Member")
    other = desk.item(headline="Not there")
    refs = [
        {"residRef": each["_id"], "headline": each["headline"], "type": "text"}
        for each in (member, other)
    ]
    groups = [{"id": "root", "refs": [{"idRef": "main"}]}, {"id": "main", "refs": refs}]
    _, package = desk.published(type="composite", headline="Package", groups=groups)
    post = site.content.entries[int(package["external_id"])]
    assert f'<a href="{record["external_url"]}">Member</a>' in post["content"]
    assert "<li>Not there</li>" in post["content"]
    assert "Friday" not in post["content"].replace("<p>Rivers rose on Friday.</p>", "", 1)


def test_secrets_are_nowhere(desk: SiteDesk, site: FaultySite) -> None:
    desk.published()
    site.password = "changed"
    desk.run(desk.wish(desk.item()))
    for name in ("publishing_records", "archive", "published", "publisher_media"):
        for document in desk.db[name].find():
            assert not holds_password(str(document))


def test_requests_that_each_action_costs(desk: SiteDesk, site: FaultySite) -> None:
    """Of a text whose picture and terms are known; pages and deletions of files apart."""
    known = {"associations": {"featuremedia": desk.picture()}, "keywords": ["Rivers"]}
    desk.published(**known)
    item, other = desk.item(**known), desk.item(**known)

    def costs(record: Document) -> int:
        site.requests.clear()
        desk.run(record)
        sent = [(r.method, r.path[:12]) for r in site.requests if r.is_rest]
        return len([each for each in sent if each != ("DELETE", "/wp/v2/media")])

    record, second = desk.wish(item), desk.wish(other)
    assert costs(record) == costs(second) == 3
    item = desk.change(item, headline="Second")
    assert costs(desk.wish(item)) == 2
    assert costs(desk.wish(item)) == 0
    assert costs(desk.wish(desk.change(item, state="killed"), "retract")) == 2
    other = desk.change(other, state="unpublished")
    assert costs(desk.wish(other, "retract")) == 1


def test_retraction_on_a_line_that_loses_every_third_answer(
    desk: SiteDesk, site: FaultySite
) -> None:
    """It comes to an end: what is off already is not taken off again, step for step."""
    item, record = desk.published(associations={"featuremedia": desk.picture()})
    seen = 0

    def fails(request: SiteRequest) -> str | None:
        nonlocal seen
        seen += request.is_rest
        return "lost" if request.is_rest and seen % 3 == 0 else None

    site.fault = fails
    desk.wish(desk.change(item, state="killed", headline="Kill"), "retract")
    done = desk.run_until_settled(record)
    assert (done["status"], done["error"]) == ("retracted", None)
    assert not site.content.media


def test_site_that_gives_the_id_of_a_lost_post_to_another(desk: SiteDesk, site: FaultySite) -> None:
    """After a site was set up anew both stories are published there again, each as its own post."""
    first, _ = desk.published(headline="Rivers rise")
    second, other = desk.published(headline="Rivers fall")
    site.content.entries.clear()
    site.content._last_id = int(other["external_id"]) - 1
    again = desk.run_until_settled(desk.wish(first, force=True))
    assert (again["status"], again["external_id"]) == ("published", other["external_id"])
    lost = desk.record(other)
    assert (lost["status"], lost["external_id"]) == ("failed", None)
    assert lost["error"]["code"] == "remote_missing"
    restored = desk.run_until_settled(desk.wish(second, force=True))
    assert restored["status"] == "published"
    shown = {str(post["id"]): post["title"] for post in site.posts()}
    assert shown == {again["external_id"]: "Rivers rise", restored["external_id"]: "Rivers fall"}


def test_twin_that_is_a_draft_goes_too(desk: SiteDesk, site: FaultySite) -> None:
    """(cms scenario 18)"""
    item, record = desk.published()
    twin = dict(site.post(), id=999, status="draft", slug=f"{record['slug']}-2")
    site.content.entries[999] = twin
    desk.db["publishing_records"].update_one(
        {"_id": record["_id"]}, {"$set": {"external_id": None, "remote_state": "absent"}}
    )
    desk.run_until_settled(desk.wish(desk.change(item, headline="Rivers fall")))
    assert site.post()["title"] == "Rivers fall"
    assert [post["id"] for post in site.posts("trash")] == [999]


def test_site_without_a_trash_keeps_a_draft_and_warns(desk: SiteDesk, site: FaultySite) -> None:
    site.fault = lambda request: "no_trash" if request.method == "DELETE" else None
    item, _ = desk.published()
    record = desk.run_until_settled(desk.wish(desk.change(item, state="unpublished"), "retract"))
    assert (record["status"], record["remote_state"]) == ("retracted", "draft")
    assert record["warnings"] == ["left_as_draft"]
    assert not site.content.live()


@pytest.mark.parametrize("shows", [True, False])
def test_byline_and_notice_of_a_correction_in_the_text(
    desk: SiteDesk, site: FaultySite, shows: bool
) -> None:
    if shows:
        desk.options |= {"byline": "prepend", "corrections": "show"}
    notice = "CORRECTION: It was <b>Saturday</b>"
    desk.published(byline="By Ann & <i>Bo</i>", ednote=notice, headline="Rivers &amp; <b>rain</b>")
    content = site.post()["content"]
    assert ("By Ann &amp; Bo" in content) is shows
    assert ("CORRECTION: It was Saturday" in content) is shows
    if shows:
        assert content.index("By Ann") < content.index("Rivers rose") < content.index("CORRECTION")
    assert site.post()["title"] in ("Rivers & rain", "Rivers &amp; rain")

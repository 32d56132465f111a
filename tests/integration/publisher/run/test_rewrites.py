"""Rewrites of stories: posts of their own, or the place of the earlier one (cms scenario 40)."""

from typing import Any

import pytest

from apps.core.service import Document
from apps.publisher.records.content import Content, Contents
from apps.publisher.records.wishes import Piece, Wish
from apps.publisher.schema import WishAction
from tests.support.site_desk import FaultySite, SiteDesk


def wish(desk: SiteDesk, item: Document, action: str = "publish") -> Document:
    """Want something of an item as requests do: its options say which post is meant."""
    contents = Contents(desk.db, desk.clock.now)
    row = contents.newest_rows([item["_id"]])[item["_id"]]
    key = contents.key_of(Content.of(row, desk.clock.now()), desk.options)
    made = desk.wishes.make(
        Piece(desk.integration, item["_id"], key),
        Wish(WishAction(action), version=item["_current_version"]),
    )
    assert made.record is not None
    return made.record


def rewrite(desk: SiteDesk, item: Document, headline: str) -> Document:
    """Store a rewrite of an item as published."""
    newer = desk.item(headline=headline, rewrite_of=item["_id"], body_html=f"<p>{headline}.</p>")
    desk.change(item, rewritten_by=newer["_id"])
    return newer


def family(desk: SiteDesk, *headlines: str) -> list[tuple[Document, Document]]:
    """Publish a story and its rewrites, one after the other; return items and records."""
    found: list[tuple[Document, Document]] = []
    for headline in headlines:
        item = rewrite(desk, found[-1][0], headline) if found else desk.item(headline=headline)
        record = wish(desk, item)
        desk.run_all()
        found.append((item, desk.record(record)))
    return [(item, desk.record(record)) for item, record in found]


def post_of(site: FaultySite, record: Document) -> dict[str, Any]:
    return site.content.entries[int(record["external_id"])]


def test_rewrite_takes_the_post_of_its_story(desk: SiteDesk, site: FaultySite) -> None:
    desk.options["rewrite_policy"] = "update_post"
    (first, record), (second, same), (third, _) = family(desk, "One", "Two", "Three")
    assert record["_id"] == same["_id"]
    assert record["content"] == third["_id"]
    assert (site.post()["title"], record["status"]) == ("Three", "published")
    assert record["external_url"].endswith(f"/{record['slug']}/")

    for older in (first, second):
        wish(desk, desk.change(older, state="killed"), "retract")
        desk.run_all()
        assert site.post()["title"] == "Three"
        assert site.post()["status"] == "publish"
        assert desk.record(record)["history"][-1]["outcome"] == "not_shown"

    wish(desk, desk.change(third, state="killed"), "retract")
    desk.run_all()
    assert not site.content.live()
    assert desk.record(record)["status"] == "retracted"


def test_rewrite_is_a_post_of_its_own(desk: SiteDesk, site: FaultySite) -> None:
    (_, first), (_, second) = family(desk, "One", "Two")
    assert first["external_id"] != second["external_id"]
    assert {post["title"] for post in site.content.live()} == {"One", "Two"}
    assert second["external_url"] not in post_of(site, first)["content"]


@pytest.mark.parametrize("looks", [True, False])
def test_earlier_post_links_to_the_rewrite(desk: SiteDesk, site: FaultySite, looks: bool) -> None:
    """Or to the next one, as long as that is shown."""
    desk.options |= {"supersede": "link", "verify_public": looks}
    (first, one), (second, two), (third, three) = family(desk, "One", "Two", "Three")
    assert f'<a href="{two["external_url"]}">Two</a>' in post_of(site, one)["content"]
    assert three["external_url"] in post_of(site, two)["content"]

    wish(desk, desk.change(first, headline="One, corrected", rewritten_by=second["_id"]))
    desk.run_all()
    assert two["external_url"] in post_of(site, one)["content"]

    second = desk.change(second, headline="2 & more", rewritten_by=third["_id"])
    wish(desk, second)
    desk.run_all()
    assert ">2 &amp; more</a>" in post_of(site, one)["content"]

    wish(desk, desk.change(second, state="killed"), "retract")
    desk.run_all()
    assert two["external_url"] not in post_of(site, one)["content"]
    assert three["external_url"] in post_of(site, one)["content"]

    wish(desk, desk.change(third, state="killed"), "retract")
    desk.run_all()
    assert "http" not in post_of(site, one)["content"]


def test_link_follows_no_kill(desk: SiteDesk, site: FaultySite) -> None:
    """What is to go goes, whatever becomes of its rewrite meanwhile."""
    desk.options["supersede"] = "link"
    ((first, one),) = family(desk, "One")
    second = rewrite(desk, first, "Two")
    wish(desk, second)
    wish(desk, desk.change(first, state="killed"), "retract")
    desk.run_all()
    assert [post["title"] for post in site.content.live()] == ["Two"]
    assert desk.record(one)["status"] == "retracted"


def test_earlier_post_gives_way_to_the_rewrite(desk: SiteDesk, site: FaultySite) -> None:
    desk.options["supersede"] = "retract"
    (first, one), (second, two), (_, three) = family(desk, "One", "Two", "Three")
    assert [post["title"] for post in site.content.live()] == ["Three"]
    assert [one["status"], two["status"], three["status"]] == ["retracted"] * 2 + ["published"]

    wish(desk, desk.change(second, headline="Two, corrected"))
    desk.run_all()
    assert [post["title"] for post in site.content.live()] == ["Three"]
    two = desk.record(two)
    assert (two["status"], two["history"][-1]["outcome"]) == ("retracted", "superseded")
    assert first["_id"] == one["content"]


def test_earlier_post_goes_where_the_site_missed_a_member(desk: SiteDesk, site: FaultySite) -> None:
    desk.options["supersede"] = "retract"
    ((first, _),) = family(desk, "One")
    second = rewrite(desk, first, "Two")
    wish(desk, rewrite(desk, second, "Three"))
    desk.run_all()
    assert [post["title"] for post in site.content.live()] == ["Three"]


def test_correction_that_comes_while_the_earlier_post_goes(
    desk: SiteDesk, site: FaultySite
) -> None:
    """It does not bring the post back."""
    desk.options["supersede"] = "retract"
    ((first, one),) = family(desk, "One")
    wish(desk, rewrite(desk, first, "Two"))
    wish(desk, desk.change(desk.db["archive"].find_one({"_id": first["_id"]}), headline="1"))
    desk.run_all()
    assert [post["title"] for post in site.content.live()] == ["Two"]
    assert desk.record(one)["status"] == "retracted"

"""Ids of a site that was restored, set up anew, or is another one: nothing is written by them.

The stand-in site takes the part of WordPress; `test_webflow_site.py` and `test_real_sites.py` have
the same for Webflow, and for real servers.
"""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest

from apps.core.service import Document
from apps.publisher.identity import new_installation
from tests.support.site_desk import FaultySite, SiteDesk, picture_bytes

KILL = {"state": "killed", "headline": "Kill", "body_html": "<p>Withdrawn.</p>"}
FOREIGN: dict[str, Any] = {
    "title": "Somebody else's",
    "content": "<p>Their text.</p>",
    "excerpt": "",
    "slug": "somebody-elses",
    "status": "publish",
    "author": 1,
    "featured_media": 0,
}


@pytest.fixture
def other(desk: SiteDesk) -> Iterator[FaultySite]:
    """Another site, where nothing of ours is."""
    with FaultySite(desk.clock.precise) as open_site:
        yield open_site


def restore(site: FaultySite, record: Document, **fields: Any) -> dict[str, Any]:
    """Bring the site back to before a post of ours; somebody else's has taken its id since."""
    id_ = int(record["external_id"])
    there = site.content.entries[id_]
    site.content.entries[id_] = {**there, **FOREIGN, "categories": [1], "tags": [], **fields}
    return deepcopy(site.content.entries[id_])


def take_id(site: FaultySite, record: Document) -> dict[str, Any]:
    """Let somebody have written posts at another site, one of them with the id of ours."""
    id_ = int(record["external_id"])
    new = site.content.new_entry("posts", {**FOREIGN, "slug": "theirs"})
    del site.content.entries[new["id"]]
    site.content.entries[id_] = {**new, "id": id_}
    return deepcopy(site.content.entries[id_])


def rebase(desk: SiteDesk, site: FaultySite) -> None:
    """Point the integration to another site."""
    moved = {"base_url": site.url, "installation": new_installation()}
    desk.db["publisher_integrations"].update_one({"_id": desk.integration["_id"]}, {"$set": moved})


def do(desk: SiteDesk, item: Document, what: str) -> Document:
    """Correct, retract or kill a story; return its record."""
    match what:
        case "update":
            changed = desk.change(item, body_html="<p>They fell.</p>")
            return desk.run_until_settled(desk.wish(changed))
        case "retract":
            changed = desk.change(item, state="unpublished")
        case _:
            changed = desk.change(item, **KILL)
    return desk.run_until_settled(desk.wish(changed, "retract"))


def outcomes(record: Document) -> list[str]:
    return [entry["outcome"] for entry in record["history"]]


@pytest.mark.parametrize("what", ["update", "retract", "kill"])
@pytest.mark.parametrize("marker", ["", "<!-- publisher-ref:0123456789abcdef -->"])
@pytest.mark.parametrize("slug_mode", ["suffix", "clean"])
def test_restored_site_keeps_the_post_that_has_our_id(
    desk: SiteDesk, site: FaultySite, what: str, marker: str, slug_mode: str
) -> None:
    desk.options["slug_mode"] = slug_mode
    item, record = desk.published(associations={"featuremedia": desk.picture()})
    desk.clock.advance(minutes=5)
    foreign = restore(site, record, content=f"<p>Their text.</p>\n\n{marker}")

    record = do(desk, item, what)

    assert site.content.entries[foreign["id"]] == foreign
    assert outcomes(record).count("not_ours") == 1
    assert len(desk.alerts) == 1
    others = [one for one in site.posts() if one["id"] != foreign["id"]]
    if what == "update":
        assert (record["status"], record["remote_state"]) == ("published", "live")
        assert [str(one["id"]) for one in others] == [record["external_id"]]
        assert "They fell." in others[0]["content"]
        assert others[0]["featured_media"] in site.content.media
    else:
        assert (record["status"], record["remote_state"]) == ("retracted", "deleted")
        assert not others
    # It goes on from there; administrators know already.
    item = desk.change(item, state="published", headline="Again")
    assert desk.run_until_settled(desk.wish(item))["status"] == "published"
    assert len(desk.alerts) == 1
    assert site.content.entries[foreign["id"]] == foreign


@pytest.mark.parametrize("what", ["update", "retract", "kill"])
def test_post_of_ours_that_moved_within_a_restored_site_is_found(
    desk: SiteDesk, site: FaultySite, what: str
) -> None:
    """An import gives posts other ids: ours is known by its marker."""
    item, record = desk.published()
    desk.clock.advance(minutes=5)
    ours = deepcopy(site.post())
    foreign = restore(site, record)
    moved = site.content.next_id()
    site.content.entries[moved] = {**ours, "id": moved}

    record = do(desk, item, what)

    assert site.content.entries[foreign["id"]] == foreign
    assert record["external_id"] == str(moved)
    assert len(site.content.entries) == 2
    state = {"update": "publish"}.get(what, "trash")
    assert site.content.entries[moved]["status"] == state


@pytest.mark.parametrize("what", ["update", "retract", "kill"])
@pytest.mark.parametrize("is_taken", [True, False])
def test_rebased_integration_writes_nothing_by_old_ids(
    desk: SiteDesk, site: FaultySite, other: FaultySite, what: str, is_taken: bool
) -> None:
    item, record = desk.published(associations={"featuremedia": desk.picture()})
    before = deepcopy(site.content.entries)
    foreign = take_id(other, record) if is_taken else None
    rebase(desk, other)

    record = do(desk, item, what)

    if foreign:
        assert other.content.entries[foreign["id"]] == foreign
    ours = [one for one in other.posts() if one["title"] != FOREIGN["title"]]
    if what == "update":
        assert (record["status"], len(ours)) == ("published", 1)
        assert record["external_url"].startswith(other.url)
        assert ours[0]["featured_media"] in other.content.media
    else:
        assert (record["status"], ours) == ("retracted", [])
    assert site.content.entries == before
    assert desk.alerts == [] or what != "update"


def test_same_story_again_is_written_at_the_new_place(
    desk: SiteDesk, site: FaultySite, other: FaultySite
) -> None:
    """Nothing has changed but the site: that nothing is to be written holds for the old one."""
    item, record = desk.published()
    rebase(desk, other)
    record = desk.run_until_settled(desk.wish(item))
    assert (other.post()["status"], record["status"]) == ("publish", "published")
    before = len(other.writes())
    desk.wish(item)
    desk.run_until_settled(record)
    assert len(other.writes()) == before


@pytest.mark.parametrize("what", ["update", "retract", "kill"])
def test_post_that_came_along_to_another_address_is_gone_on_with(
    desk: SiteDesk, site: FaultySite, other: FaultySite, what: str
) -> None:
    """A site that moves to another host takes its posts along, with their ids."""
    item, record = desk.published(associations={"featuremedia": desk.picture()})
    other.content.entries = deepcopy(site.content.entries)
    other.content.media = deepcopy(site.content.media)
    other.content.files = dict(site.content.files)
    rebase(desk, other)

    after = do(desk, item, what)

    assert after["external_id"] == record["external_id"]
    (entry,) = other.content.entries.values()
    assert entry["status"] == {"update": "publish"}.get(what, "trash")
    assert len(other.writes("media")) == (0 if what == "update" else 1)
    assert len(other.content.media) == (1 if what == "update" else 0)
    assert "not_ours" not in outcomes(after)


def test_post_whose_marker_an_editor_has_lost_is_still_ours(
    desk: SiteDesk, site: FaultySite
) -> None:
    for slug_mode in ("suffix", "clean"):
        desk.options["slug_mode"] = slug_mode
        item, record = desk.published(headline=f"Rivers {slug_mode}")
        desk.clock.advance(minutes=5)
        there = site.content.entries[int(record["external_id"])]
        there.update(content="<p>Edited.</p>", title="Edited", author=7)
        record = do(desk, desk.change(item, headline="Another"), "update")
        assert record["external_id"] == str(there["id"])
        assert "They fell." in there["content"]
    assert len(site.posts()) == 2
    assert desk.alerts == []


@pytest.mark.parametrize("what", ["update", "retract", "kill"])
def test_adopted_post_is_ours_without_a_marker(desk: SiteDesk, site: FaultySite, what: str) -> None:
    """However it was edited since, and after a first attempt that failed, too."""
    foreign = site.content.new_entry("posts", dict(FOREIGN))
    item = desk.item()
    record = desk.wish(item)
    adopted: Document = {
        "external_id": str(foreign["id"]),
        "external_url": f"{site.url}/{foreign['slug']}/",
        "remote_state": "live",
        "status": "published",
        "slug": foreign["slug"],
        "ref": "0" * 16,
        "payload_hash": "",
        "seen": {"installation": None, "at": desk.clock.precise(), "adopted": []},
    }
    desk.db["publishing_records"].update_one({"_id": record["_id"]}, {"$set": adopted})
    desk.clock.advance(minutes=5)
    site.content.entries[foreign["id"]].update(slug="edited", title="Edited", date_gmt=None)

    record = do(desk, item, what)

    assert record["external_id"] == str(foreign["id"])
    assert len(site.content.entries) == 1
    entry = site.content.entries[foreign["id"]]
    assert entry["status"] == {"update": "publish"}.get(what, "trash")
    if what == "update":
        # From here on its marker tells, not its id alone.
        desk.clock.advance(minutes=5)
        kept = restore(site, record, slug="one-more")
        do(desk, desk.change(item, headline="Again"), "update")
        assert site.content.entries[kept["id"]] == kept


def test_picture_and_terms_are_not_used_by_old_ids(
    desk: SiteDesk, site: FaultySite, other: FaultySite
) -> None:
    """Those of another site have the ids of ours: neither shown nor removed."""
    story = {
        "associations": {"featuremedia": desk.picture()},
        "keywords": ["Rivers"],
    }
    item, record = desk.published(**story)
    medium, tag = record["media"][0]["remote_id"], record["terms"][0]["remote_id"]
    foreign = other.content.add_media("theirs.png", picture_bytes("green"), {})
    theirs = {**foreign, "id": int(medium)}
    other.content.media = {int(medium): dict(theirs)}
    term = {"id": int(tag), "name": "Theirs", "slug": "theirs", "parent": 0}
    other.content.terms["tags"] = {int(tag): dict(term)}
    other.content._last_id = 1000
    rebase(desk, other)

    record = do(desk, item, "update")

    post = other.post()
    assert (post["featured_media"], post["tags"]) != (int(medium), [int(tag)])
    assert other.content.terms["tags"][post["tags"][0]]["name"] == "Rivers"
    do(desk, desk.change(item, state="published"), "kill")
    assert other.content.media == {int(medium): theirs}
    assert other.content.terms["tags"][int(tag)] == term


def test_restored_site_keeps_pictures_of_others_under_our_ids(
    desk: SiteDesk, site: FaultySite
) -> None:
    item, record = desk.published(associations={"featuremedia": desk.picture()})
    desk.clock.advance(minutes=5)
    id_ = int(record["media"][0]["remote_id"])
    foreign = site.content.add_media("theirs.png", picture_bytes("green"), {})
    del site.content.media[foreign["id"]]
    site.content.media[id_] = {**foreign, "id": id_}

    do(desk, item, "kill")

    assert site.content.media == {id_: {**foreign, "id": id_}}


@pytest.mark.parametrize("named", ["Theirs", "Rivers"])
def test_map_of_a_person_counts_elsewhere_for_the_same_term_only(
    desk: SiteDesk, site: FaultySite, other: FaultySite, named: str
) -> None:
    own = site.content.add_term("tags", {"name": "Rivers"})
    row = {
        "integration": desk.integration["_id"],
        "account": "default",
        "scheme": "keywords",
        "qcode": "water",
        "taxonomy": "tags",
        "remote_id": str(own["id"]),
        "remote_name": "Rivers",
        "mode": "manual",
        "state": "ok",
    }
    desk.db["publisher_taxonomy_map"].insert_one(dict(row))
    item, _ = desk.published(keywords=["water"])
    other.content.terms["tags"] = {
        own["id"]: {"id": own["id"], "name": named, "slug": named.lower(), "parent": 0}
    }
    rebase(desk, other)

    changed = desk.change(item, body_html="<p>They fell.</p>")
    record = desk.run_until_settled(desk.wish(changed))

    stored = desk.db["publisher_taxonomy_map"].find_one({"qcode": "water"})
    assert stored["remote_id"] == row["remote_id"]
    if named == "Rivers":
        assert (record["status"], other.post()["tags"]) == ("published", [own["id"]])
    else:
        assert (record["error"]["code"], stored["state"]) == ("mapping_stale", "missing")
        assert not other.posts()


@pytest.mark.parametrize(("what", "costs"), [("update", 2), ("retract", 1), ("kill", 2)])
@pytest.mark.parametrize("is_late", [True, False])
def test_asking_whose_post_it_is_costs_at_most_a_request(
    desk: SiteDesk, site: FaultySite, what: str, costs: int, is_late: bool
) -> None:
    """An update reads the post anyway; a post that was just seen is not read again."""
    item, _ = desk.published()
    if is_late:
        desk.clock.advance(minutes=5)
    before = len(site.requests)
    do(desk, item, what)
    sent = [request for request in site.requests[before:] if request.is_rest]
    assert len(sent) == costs + (is_late and what != "update")

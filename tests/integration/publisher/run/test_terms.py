"""Categories and tags: the right one at the site, or an error that names the term."""

from typing import Any

import pytest

from apps.publisher.run.results import Result
from tests.support.site_desk import FaultySite, SiteDesk


def category(name: str, qcode: str | None = None, **more: Any) -> dict[str, Any]:
    return {"name": name, "qcode": qcode or name.lower(), **more}


def names_of(site: FaultySite, taxonomy: str = "categories") -> list[str]:
    """Return the names of the terms of the one post."""
    known = site.content.terms[taxonomy]
    return [known[id_]["name"] for id_ in site.post()[taxonomy]]


@pytest.mark.parametrize("there", ["Arts & Culture", "arts & culture", "ARTS & CULTURE"])
def test_category_is_found_by_name(desk: SiteDesk, site: FaultySite, there: str) -> None:
    site.content.add_term("categories", {"name": there})
    _, record = desk.published(anpa_category=[category("Arts & Culture", "a")])
    assert names_of(site) == [there]
    assert len(site.content.terms["categories"]) == 2
    assert record["terms"][0]["scheme"] == "anpa_category"


def test_missing_terms_are_made_parents_first(desk: SiteDesk, site: FaultySite) -> None:
    desk.published(
        anpa_category=[category("Ice hockey", "ih", parent="s"), category("Sport", "s")],
        keywords=["Rivers", "rivers", "Floods"],
    )
    known = {one["name"]: one for one in site.content.terms["categories"].values()}
    assert known["Ice hockey"]["parent"] == known["Sport"]["id"]
    assert sorted(names_of(site, "tags")) == ["Floods", "Rivers"]


def test_known_terms_cost_no_request(desk: SiteDesk, site: FaultySite) -> None:
    desk.published(anpa_category=[category("Sport")], keywords=["Rivers"])
    site.requests.clear()
    desk.published(anpa_category=[category("Sport")], keywords=["Rivers"])
    assert not [r for r in site.requests if "categories" in r.path or "tags" in r.path]


def test_story_that_lost_its_terms_loses_them_at_the_site(desk: SiteDesk, site: FaultySite) -> None:
    item, _ = desk.published(keywords=["Rivers"])
    desk.run_until_settled(desk.wish(desk.change(item, keywords=[])))
    assert site.post()["tags"] == []


def test_renamed_term_keeps_its_place(desk: SiteDesk, site: FaultySite) -> None:
    desk.published(anpa_category=[category("Sport")])
    term = next(t for t in site.content.terms["categories"].values() if t["name"] == "Sport")
    term["name"] = "Sports"
    desk.terms.sync(desk.integration, desk.platform(desk.integration))
    site.content.entries.clear()
    desk.published(anpa_category=[category("Sport")])
    assert names_of(site) == ["Sports"]


def test_term_deleted_at_the_site_is_made_again(desk: SiteDesk, site: FaultySite) -> None:
    desk.published(anpa_category=[category("Sport")])
    site.content.entries.clear()
    known = site.content.terms["categories"]
    known.pop(next(id_ for id_, term in known.items() if term["name"] == "Sport"))
    desk.published(anpa_category=[category("Sport")])
    assert names_of(site) == ["Sport"]


@pytest.mark.parametrize(("was_there", "code"), [(True, "mapping_stale"), (False, "term_mismatch")])
def test_mapped_term_that_the_site_does_not_have_is_an_error(
    desk: SiteDesk, site: FaultySite, was_there: bool, code: str
) -> None:
    """It is never made anew; the site is asked first what it has. cms scenario 27, 28."""
    term = site.content.add_term("categories", {"name": "Games"})
    row = {
        "integration": desk.integration["_id"],
        "scheme": "anpa_category",
        "qcode": "sport",
        "taxonomy": "categories",
        "remote_id": str(term["id"]) if was_there else "999",
        "mode": "manual",
        "state": "ok",
    }
    desk.db["publisher_taxonomy_map"].insert_one(row)
    desk.terms.sync(desk.integration, desk.platform(desk.integration))
    del site.content.terms["categories"][term["id"]]
    item = desk.item(anpa_category=[category("Sport")])
    site.requests.clear()
    record = desk.run_until_settled(desk.wish(item, force=True))
    if was_there:
        # The ledger still has it: only the answer of the site shows that it is gone.
        posts = site.posts()
        assert [post["status"] for post in posts] == ["publish"]
    else:
        assert not site.posts()
    assert (record["status"], record["error"]["code"]) == ("failed", code)
    assert "Sport" in record["error"]["message"]
    assert record["error"]["help"] == "Verify taxonomy sync"
    assert 1 <= len([r for r in site.requests if r.path.endswith("/categories")]) <= 2
    assert [term["name"] for term in site.content.terms["categories"].values()] == ["Uncategorized"]


def test_map_of_a_person_counts_before_the_name(desk: SiteDesk, site: FaultySite) -> None:
    site.content.add_term("categories", {"name": "Sport"})
    other = site.content.add_term("categories", {"name": "Games"})
    key = {"integration": desk.integration["_id"], "scheme": "anpa_category", "qcode": "sport"}
    desk.db["publisher_taxonomy_map"].insert_many(
        [
            {**key, "taxonomy": "categories", "remote_id": str(other["id"]), "mode": "manual"},
            {**key, "qcode": "x", "taxonomy": "categories", "mode": "ignore"},
        ]
    )
    desk.published(anpa_category=[category("Sport"), category("X")])
    assert names_of(site) == ["Games"]


@pytest.mark.parametrize("option", ["create", "skip", "fail"])
def test_two_terms_of_one_name_are_no_guess(desk: SiteDesk, site: FaultySite, option: str) -> None:
    desk.options["unmapped_terms"] = option
    above = site.content.add_term("categories", {"name": "World"})
    for parent in (0, above["id"]):
        site.content.add_term("categories", {"name": "Sport", "parent": parent})
    item = desk.item(anpa_category=[category("Sport")])
    record = desk.run_until_settled(desk.wish(item))
    row = desk.db["publisher_taxonomy_map"].find_one({"qcode": "sport"})
    assert row["state"] == "missing"
    assert len(site.content.terms["categories"]) == 4
    if option == "skip":
        assert (record["status"], record["warnings"]) == ("published", ["term_skipped"])
        return
    assert (record["status"], record["error"]["class"]) == ("failed", "taxonomy")
    assert "Sport" in record["error"]["message"]


@pytest.mark.parametrize("option", ["skip", "fail"])
def test_unmapped_term(desk: SiteDesk, site: FaultySite, option: str) -> None:
    desk.options["unmapped_terms"] = option
    record = desk.run_until_settled(desk.wish(desk.item(keywords=["Rivers"])))
    assert not site.content.terms["tags"]
    if option == "skip":
        assert (record["status"], record["warnings"]) == ("published", ["term_skipped"])
    else:
        assert (record["status"], record["error"]["code"]) == ("failed", "unmapped")
        assert "Rivers" in record["error"]["message"]


def test_stale_id_is_found_out_by_the_answer(desk: SiteDesk, site: FaultySite) -> None:
    """The site drops an unknown id without a word; the term is read again and sent once more."""
    desk.published(anpa_category=[category("Sport")])
    site.content.entries.clear()
    known = site.content.terms["categories"]
    old = next(id_ for id_, term in known.items() if term["name"] == "Sport")
    del known[old]
    new = site.content.add_term("categories", {"name": "Sport"})
    desk.published(anpa_category=[category("Sport")])
    assert site.post()["categories"] == [new["id"]]


def test_two_workers_one_tag(desk: SiteDesk, site: FaultySite) -> None:
    one, other = (desk.wish(desk.item(keywords=["Rivers"])) for _ in range(2))
    seen: list[object] = []

    def meanwhile(request: Any) -> None:
        if request.path.endswith("/tags") and request.writes and not seen:
            seen.append(None)
            seen.append(desk.run(other, name="other"))

    site.fault = meanwhile
    assert desk.run(one) == Result.DONE
    assert seen[1] == Result.WAITING
    assert desk.run_until_settled(other)["status"] == "published"
    assert len(site.content.terms["tags"]) == 1
    assert len(site.writes("tags")) == 1


def test_lost_answer_of_a_new_tag_makes_one(desk: SiteDesk, site: FaultySite) -> None:
    record = desk.wish(desk.item(keywords=["Rivers"]))
    site.fault = lambda request: "lost" if request.writes else None
    assert desk.run(record) == Result.WAITING
    site.fault = lambda request: None
    assert desk.run_until_settled(record)["status"] == "published"
    assert len(site.content.terms["tags"]) == 1
    assert names_of(site, "tags") == ["Rivers"]


def test_hundreds_of_terms(desk: SiteDesk, site: FaultySite) -> None:
    for number in range(205):
        site.content.add_term("tags", {"name": f"Tag {number}"})
    desk.published(keywords=["Tag 7", "Tag 204"])
    assert sorted(names_of(site, "tags")) == ["Tag 204", "Tag 7"]
    assert len(site.content.terms["tags"]) == 205


@pytest.mark.parametrize("keeps", [True, False])
def test_terms_that_an_editor_of_the_site_gave_a_post(
    desk: SiteDesk, site: FaultySite, keeps: bool
) -> None:
    """Those that the map does not know stay with the option; those of the story come and go."""
    desk.options["keep_remote_terms"] = keeps
    item, _ = desk.published(keywords=["Rivers", "Rain"])
    extra = site.content.add_term("tags", {"name": "Front page"})
    site.post()["tags"].append(extra["id"])
    desk.run_until_settled(desk.wish(desk.change(item, keywords=["Rivers", "Snow"])))
    kept = {"Front page"} if keeps else set()
    assert set(names_of(site, "tags")) == {"Rivers", "Snow"} | kept

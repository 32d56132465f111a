"""What sites take as posts, and what becomes of the rest (cms contract 2.5, 7)."""

import pytest

from apps.core.service import Document
from apps.media.storage import MediaStorage
from tests.support.site_desk import FaultySite, picture_bytes
from tests.support.site_newsroom import SUBSCRIBER, WAYS, SiteNewsroom

MEDIA = ["picture", "graphic", "audio", "video"]
UNSHOWN = pytest.mark.parametrize("kind", [*MEDIA, "composite"])


def published(newsroom: SiteNewsroom, kind: str) -> Document:
    """Publish an item of a type that the site does not take as a post."""
    if kind not in ("picture", "composite"):
        newsroom.desk.newsroom.validators(item_type=kind)
    if kind != "composite":
        return newsroom.desk.published(type=kind)
    newsroom.options(packages=False)
    return package(newsroom, newsroom.desk.published(headline="Member"))


def package(newsroom: SiteNewsroom, member: Document) -> Document:
    """Publish a package of one member."""
    ref = {"residRef": member["_id"], "type": "text", "headline": member["headline"]}
    refs: list[Document] = [{**ref, "location": "archive"}]
    groups = [{"id": "root", "refs": [{"idRef": "main"}]}, {"id": "main", "refs": refs}]
    made = newsroom.desk.story(type="composite", headline="Package", groups=groups)
    return newsroom.desk.act("publish", made)


@UNSHOWN
def test_routed_to_a_site_that_does_not_take_it(
    newsroom: SiteNewsroom, site: FaultySite, kind: str
) -> None:
    """The delivery succeeds, says why there is no post, and nobody is alarmed, whatever follows."""
    item = published(newsroom, kind)
    newsroom.subscribe()
    newsroom.go()
    for operation in ("correct", "kill"):
        newsroom.desk.act(operation, item, headline="Another")
        newsroom.go()
    rows = newsroom.desk.rows(item_id=item["_id"])
    assert [row["state"] for row in rows] == ["success"] * 3
    said = rows[0]["attempts"][-1]["message"]
    assert kind in said
    assert newsroom.db["publishing_records"].count_documents({"content": item["_id"]}) == 0
    assert not newsroom.db["activity"].count_documents({"name": "error"})
    titles = [post["title"] for post in site.posts()]
    assert titles == (["Member"] if kind == "composite" else [])


@UNSHOWN
@pytest.mark.parametrize("action", ["auto", "publish"])
def test_asked_for_by_name(
    newsroom: SiteNewsroom, site: FaultySite, kind: str, action: str
) -> None:
    """A request that names such an item is told what is wrong with it."""
    item = published(newsroom, kind)
    answer = newsroom.publisher.publish(item["_id"], action=action)
    assert answer.status_code == 400
    body = answer.get_json()
    (operation,) = body["operations"]
    assert (body["_status"], operation["result"]) == ("ERR", "refused")
    error = operation["error"]
    assert (error["class"], error["code"]) == ("unsupported", "unsupported_type")
    assert kind in error["message"]
    newsroom.go()
    assert newsroom.db["publishing_records"].count_documents({}) == 0
    assert site.writes() == []


def test_one_of_several_does_not_stop_the_others(newsroom: SiteNewsroom, site: FaultySite) -> None:
    picture = newsroom.desk.published(type="picture")
    story = newsroom.desk.published()
    answer = newsroom.publisher.publish([picture["_id"], story["_id"]])
    assert answer.status_code == 202
    assert [each["result"] for each in answer.get_json()["operations"]] == ["refused", "queued"]
    newsroom.go()
    assert len(site.content.live()) == 1


@WAYS
def test_a_package_leads_to_its_members(newsroom: SiteNewsroom, site: FaultySite, way: str) -> None:
    """Cms scenario 50."""
    newsroom.use(way)
    member = newsroom.act("publish", newsroom.desk.story(headline="Member"))
    newsroom.go()
    holder = package(newsroom, member)
    if way != SUBSCRIBER:
        newsroom.publisher.publish(holder["_id"])
    newsroom.go()
    posts = {post["title"]: post for post in site.content.live()}
    assert sorted(posts) == ["Member", "Package"]
    assert newsroom.record(member)["external_url"] in posts["Package"]["content"]
    assert set(newsroom.states()) <= {"success"}


def test_packages_are_switched_off_while_one_is_live(
    newsroom: SiteNewsroom, site: FaultySite
) -> None:
    """What is live and cannot be updated is told; it can still be withdrawn."""
    newsroom.subscribe()
    member = newsroom.desk.published(headline="Member")
    newsroom.go()
    holder = package(newsroom, member)
    newsroom.go()
    newsroom.options(packages=False)
    newsroom.desk.act("correct", holder, headline="Another")
    newsroom.settle()
    assert newsroom.states(holder) == ["success", "failed"]
    # The site was not asked (delivery contract 1).
    assert [row.get("fault") for row in newsroom.desk.rows(item_id=holder["_id"])] == [None, "ours"]
    newsroom.desk.act("kill", holder)
    newsroom.settle()
    assert newsroom.record(holder)["status"] == "retracted"
    assert [post["title"] for post in site.content.live()] == ["Member"]


def test_pictures_go_out_with_their_story(newsroom: SiteNewsroom, site: FaultySite) -> None:
    """Of a story and its picture, both routed to the site, one post is made, with the picture."""
    newsroom.subscribe()
    media = str(MediaStorage(newsroom.db).put(picture_bytes(), "river.png"))
    original = {"media": media, "href": f"/api/upload-raw/{media}"}
    own = {"headline": "The river", "renditions": {"original": original}}
    picture = newsroom.desk.published(type="picture", **own)
    newsroom.desk.published(associations={"featuremedia": picture})
    newsroom.settle()
    assert set(newsroom.states()) == {"success"}
    (medium,) = site.content.media.values()
    assert site.post()["featured_media"] == medium["id"]

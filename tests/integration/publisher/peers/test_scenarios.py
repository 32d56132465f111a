"""What clients ask for and readers see, on each kind of site, through a line that may fail."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from html import unescape
from typing import Any

import pytest

from tests.peers.proxy import Fault, Reply
from tests.support.clients import client_of
from tests.support.peer_newsroom import PeerNewsroom
from tests.support.publisher_client import Publisher

pytestmark = pytest.mark.timeout(300)


def test_a_story_from_its_publication_to_its_kill(newsroom: PeerNewsroom) -> None:
    """One post at one address, written only where something has changed; then nothing of it.

    cms scenario 1 to 5.
    """
    word, place = newsroom.word, newsroom.place
    item = newsroom.desk.act("publish", newsroom.story())
    row = newsroom.bring(item)
    first = newsroom.full(item)
    assert (row["status"], row["error"], row["stale"]) == ("published", None, False)
    assert (row["external_id"], row["external_url"]) == (
        first["external_id"],
        first["external_url"],
    )
    assert newsroom.publisher.client.get(f"archive/{item['_id']}").get_json()["publisher"] == [
        {
            "integration": newsroom.integration["_id"],
            "destination": place.destination,
            "status": "published",
            "external_url": row["external_url"],
        }
    ]
    texts = [f"Rivers & rain {word}", f"Text {word}", f"Lakes {word}", first["slug"]]
    if place.public_paths(word):
        assert place.tells(word, *texts)
    status, page = place.page(row["external_url"])
    page = unescape(page)
    assert status == 200
    assert f"Rivers & rain {word}" in page
    assert f"Text {word} one." in page
    assert "A river at night" in page
    pictures = {media["remote_url"] for media in first["media"]}
    assert len(pictures) == 2
    assert "The river on Friday" in page
    assert place.terms(first["external_id"]) >= {f"Tag {word}"}
    assert newsroom.posts_asked_for() == 1

    newsroom.proxy.clear()
    assert newsroom.bring(item)["external_id"] == row["external_id"]
    assert newsroom.full(item)["history"][-1]["outcome"] == "unchanged"
    assert newsroom.writes() == 0
    newsroom.bring(item, force=True)
    assert 1 <= newsroom.writes() <= 2
    assert newsroom.posts_asked_for() == 0
    assert place.ids(word) == [row["external_id"]]

    newsroom.clock.advance(minutes=1)
    changes = {"headline": f"Lakes {word}", "body_html": f"<p>Text {word} two.</p>"}
    newsroom.desk.act("correct", item, **changes)
    assert newsroom.status(item)["stale"] is True
    corrected = newsroom.bring(item)
    record = newsroom.full(item)
    for name in ("external_id", "external_url", "published_at"):
        assert corrected[name] == row[name]
    assert record["slug"] == first["slug"]
    assert record["published_version"] > first["published_version"]
    assert (corrected["stale"], newsroom.posts_asked_for()) == (False, 0)
    _, page = place.page(row["external_url"])
    assert f"Lakes {word}" in page
    assert f"Text {word} two." in page
    assert f"Text {word} one." not in page

    newsroom.desk.act("kill", item, headline="Withdrawn", body_html="<p>Withdrawn.</p>")
    killed = newsroom.bring(item)
    record = newsroom.full(item)
    assert (killed["status"], killed["error"]) == ("retracted", None)
    assert record["retracted_at"]
    assert place.page(row["external_url"])[0] == 404
    assert place.tells(word, *texts) == []
    assert place.live_ids(word) == []
    shown = {url for url in pictures if place.page_status(url) == 200}
    if place.removes_media:
        assert not shown
        assert record["warnings"] == []
    else:
        assert record["warnings"] == ["media_left_public"]
        assert shown == pictures == {media["remote_url"] for media in record["media"]}
    answer = newsroom.publisher.client.get(f"archive/{item['_id']}").get_json()
    assert [each["status"] for each in answer["publisher"]] == ["retracted"]


def test_an_unpublished_story_comes_back_as_the_same_post(newsroom: PeerNewsroom) -> None:
    """cms scenario 6."""
    item = newsroom.desk.act("publish", newsroom.story())
    row = newsroom.bring(item)
    for _ in range(2):
        newsroom.desk.act("unpublish", item)
        assert newsroom.bring(item)["status"] == "retracted"
        assert newsroom.place.page(row["external_url"])[0] == 404
        newsroom.desk.act("publish", item)
        again = newsroom.bring(item)
        assert again["status"] == "published", again["error"]
        assert (again["external_id"], again["external_url"]) == (
            row["external_id"],
            row["external_url"],
        )
        assert newsroom.place.page(row["external_url"])[0] == 200
        assert newsroom.place.ids(newsroom.word) == [row["external_id"]]
    assert newsroom.posts_asked_for() == 1


@pytest.mark.parametrize("withdrawal", ["kill", "unpublish"])
@pytest.mark.parametrize(
    "fault", [Fault.LOSE_REQUEST, Fault.LOSE_ANSWER, Reply(503)], ids=["lost", "unheard", "down"]
)
def test_a_story_withdrawn_while_its_create_is_in_doubt(
    newsroom: PeerNewsroom, withdrawal: str, fault: Any
) -> None:
    """Nothing is created afterwards, and what was is off. cms scenario 7."""
    rule = newsroom.proxy.rule(fault, method="POST", target=newsroom.place.creates, times=1)
    item = newsroom.desk.act("publish", newsroom.story(associations={}, body_html="<p>One.</p>"))
    newsroom.ask(item)
    newsroom.go()
    assert rule.happened == 1
    assert newsroom.status(item)["status"] == "pending"
    newsroom.desk.act(withdrawal, item)
    row = newsroom.bring(item)
    assert (row["status"], row["error"]) == ("retracted", None)
    assert newsroom.posts_asked_for() == 1
    assert newsroom.place.live_ids(newsroom.word) == []


def test_a_kill_while_the_site_is_down(newsroom: PeerNewsroom) -> None:
    """It is tried, told, and carried out when the site is back. cms scenario 8."""
    item = newsroom.desk.act("publish", newsroom.story(associations={}, body_html="<p>One.</p>"))
    row = newsroom.bring(item)
    newsroom.desk.act("kill", item)
    with newsroom.proxy.down():
        newsroom.ask(item)
        for _ in range(10):
            newsroom.go(1)
            newsroom.clock.advance(minutes=1)
        waiting = newsroom.status(item)
        assert (waiting["status"], waiting["operation"]) == ("published", "retract")
        assert waiting["error"]["retryable"] is True
        assert waiting["retry_at"]
        assert newsroom.graph.late_retractions.run() == 1
        told = newsroom.db["activity"].find_one({"name": "error"})
        assert "Kill not carried out" in str(told)
    newsroom.settle()
    assert newsroom.status(item)["status"] == "retracted"
    assert newsroom.place.page(row["external_url"])[0] == 404


@pytest.mark.parametrize(
    "fault",
    [Fault.LOSE_ANSWER, Fault.CUT_ANSWER, Reply(502, work_done=True), Fault.LOSE_REQUEST, "down"],
    ids=["lost", "cut short", "proxy", "unheard", "down"],
)
def test_a_create_whose_answer_does_not_come(newsroom: PeerNewsroom, fault: Any) -> None:
    """One post, whatever has become of the first attempt. cms scenario 9, 10."""
    item = newsroom.desk.act("publish", newsroom.story())
    newsroom.ask(item)
    if fault == "down":
        with newsroom.proxy.down():
            newsroom.go()
        assert newsroom.status(item)["status"] == "pending"
    else:
        newsroom.proxy.rule(fault, method="POST", target=newsroom.place.creates, times=1)
    newsroom.settle()
    row = newsroom.status(item)
    assert (row["status"], row["error"]) == ("published", None)
    assert newsroom.place.ids(newsroom.word) == [row["external_id"]]
    assert newsroom.place.page(row["external_url"])[0] == 200


def test_eight_requests_at_once_make_one_post(newsroom: PeerNewsroom, app: Any) -> None:
    """Also where several workers carry them out. cms scenario 12."""
    item = newsroom.desk.act("publish", newsroom.story())
    admin = newsroom.db["users"].find_one({"username": "admin"})
    clients = [Publisher(client_of(app, admin)) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda client: client.publish(item["_id"]), clients))
        list(pool.map(lambda _: newsroom.graph.site_run.run(), range(3)))
    assert {answer.status_code for answer in answers} == {202}
    newsroom.settle()
    (record,) = newsroom.db["publishing_records"].find()
    assert record["status"] == "published"
    assert newsroom.posts_asked_for() == 1
    assert newsroom.place.ids(newsroom.word) == [record["external_id"]]


@pytest.mark.parametrize("first", ["subscriber", "request"])
def test_a_subscriber_and_a_request_make_one_post(newsroom: PeerNewsroom, first: str) -> None:
    """Whichever comes first. cms scenario 13."""
    newsroom.subscribe()
    item = newsroom.desk.act("publish", newsroom.story())
    if first == "request":
        newsroom.ask(item)
        newsroom.graph.site_run.run()
    newsroom.go()
    newsroom.bring(item)
    assert newsroom.states() == ["success"]
    row = newsroom.status(item)
    assert row["status"] == "published", row["error"]
    assert newsroom.posts_asked_for() == 1
    assert newsroom.place.ids(newsroom.word) == [row["external_id"]]


def test_one_picture_in_two_stories_is_uploaded_once(newsroom: PeerNewsroom) -> None:
    """Also where both are carried out at once. cms scenario 23."""
    newsroom.options(parallel=4)
    items = [
        newsroom.desk.act(
            "publish",
            newsroom.story(
                body_html="<p>One.</p>", associations={"featuremedia": newsroom.picture()}
            ),
        )
        for _ in range(3)
    ]
    for item in items:
        newsroom.ask(item)
    newsroom.settle()
    records = [newsroom.full(item) for item in items]
    assert {record["status"] for record in records} == {"published"}
    assert len({record["media"][0]["remote_url"] for record in records}) == 1
    assert newsroom.proxy.count("POST", newsroom.place.uploads) == 1


@pytest.mark.parametrize("policy", ["fail", "omit"])
@pytest.mark.parametrize("kind", ["broken", "wrong type"])
def test_a_picture_that_the_site_refuses(newsroom: PeerNewsroom, policy: str, kind: str) -> None:
    """Nothing is published, or the story without it, and it is said. cms scenario 24."""
    newsroom.options(on_media_failure=policy)
    content = {"broken": b"\x89PNG\r\n\x1a\n broken", "wrong type": b"%PDF-1.7 nothing"}[kind]
    held = {"featuremedia": newsroom.picture(content)}
    item = newsroom.desk.act("publish", newsroom.story(body_html="<p>One.</p>", associations=held))
    row = newsroom.bring(item)
    record = newsroom.full(item)
    if policy == "fail":
        assert (row["status"], row["error"]["class"]) == ("failed", "media")
        assert row["error"]["help"] == "Check media library access"
        assert newsroom.posts_asked_for() == 0
        assert newsroom.place.ids(newsroom.word) == []
    else:
        assert row["status"] == "published", row["error"]
        assert record["warnings"] == ["media_omitted:featuremedia"]
        assert newsroom.place.page(row["external_url"])[0] == 200


def test_nothing_is_at_the_site_before_its_time(newsroom: PeerNewsroom) -> None:
    """No picture and no term either; then it is live. cms scenario 31."""
    item = newsroom.desk.act("publish", newsroom.story())
    due = newsroom.clock.now() + timedelta(seconds=90)
    newsroom.ask(item, schedule_at=due.strftime("%Y-%m-%dT%H:%M:%S+0000"))
    for seconds in (0, 45, 44):
        newsroom.clock.advance(seconds=seconds)
        newsroom.go()
    assert newsroom.proxy.requests == []
    row = newsroom.status(item)
    assert (row["status"], row["external_url"]) == ("pending", None)
    newsroom.clock.advance(seconds=2)
    newsroom.go()
    row = newsroom.status(item)
    assert row["status"] == "published", row["error"]
    assert newsroom.place.page(row["external_url"])[0] == 200


def test_a_wish_that_is_taken_back_before_its_time_sends_nothing(newsroom: PeerNewsroom) -> None:
    """A later publication is live at once. cms scenario 32."""
    item = newsroom.desk.act("publish", newsroom.story())
    due = newsroom.clock.now() + timedelta(minutes=10)
    newsroom.ask(item, schedule_at=due.strftime("%Y-%m-%dT%H:%M:%S+0000"))
    newsroom.ask(item, action="retract")
    newsroom.clock.advance(minutes=11)
    newsroom.go()
    assert newsroom.proxy.requests == []
    assert newsroom.status(item)["status"] == "retracted"
    row = newsroom.bring(item)
    assert row["status"] == "published", row["error"]
    assert newsroom.place.page(row["external_url"])[0] == 200


@pytest.mark.parametrize("policy", ["recreate", "fail"])
def test_a_post_that_somebody_removed(newsroom: PeerNewsroom, policy: str) -> None:
    """The next correction makes it anew, or says so. cms scenario 16."""
    newsroom.options(on_remote_missing=policy)
    item = newsroom.desk.act("publish", newsroom.story())
    row = newsroom.bring(item)
    newsroom.place.remove(row["external_id"])
    newsroom.desk.act("correct", item, body_html="<p>Two.</p>")
    again = newsroom.bring(item)
    if policy == "fail":
        assert (again["status"], again["error"]["code"]) == ("failed", "remote_missing")
        assert newsroom.place.ids(newsroom.word) == []
    else:
        assert again["status"] == "published", again["error"]
        assert newsroom.place.ids(newsroom.word) == [again["external_id"]] != [row["external_id"]]


def test_credentials_that_the_site_does_not_take(newsroom: PeerNewsroom) -> None:
    """No second request is made with them; new ones release what waits, in order.

    cms scenario 19.
    """
    path = f"integrations/{newsroom.integration['_id']}"
    wrong = newsroom.place.wrong_credentials
    assert newsroom.publisher.patch(path, {"credentials": wrong}).status_code == 200
    items = [newsroom.desk.act("publish", newsroom.story()) for _ in range(2)]
    for item in items:
        newsroom.ask(item)
    newsroom.go(1)
    # Both were under way at once, and terms are read with new credentials.
    asked = newsroom.proxy.count()
    assert 1 <= asked <= 3
    for _ in range(5):
        newsroom.clock.advance(minutes=20)
        newsroom.go(1)
    assert newsroom.proxy.count() == asked
    for item in items:
        row = newsroom.status(item)
        assert (row["status"], row["error"]["class"]) == ("pending", "auth")
        assert row["error"]["help"].startswith("Check the integration's credentials")
    integration = newsroom.publisher.get(path).get_json()
    assert integration["state"] == "auth_failed"
    assert integration["state_message"]
    right = dict(newsroom.place.credentials)
    assert newsroom.publisher.patch(path, {"credentials": right}).status_code == 200
    assert newsroom.publisher.get(path).get_json()["state"] == "new"
    newsroom.settle()
    assert [newsroom.status(item)["status"] for item in items] == ["published"] * 2
    assert newsroom.publisher.get(path).get_json()["state"] == "ok"

"""What only a WordPress does to stories, from a request to the page."""

from base64 import b64encode
from datetime import timedelta
from typing import Any

import pytest

from tests.integration.publisher.peers.conftest import Opens
from tests.peers.proxy import Fault
from tests.peers.wordpress import WordPressPeer
from tests.support.newsdesk import HandClock
from tests.support.peer_newsroom import PeerNewsroom, WordPressPlace
from tests.support.site_desk import picture_bytes

pytestmark = [pytest.mark.peers, pytest.mark.timeout(300)]


@pytest.fixture
def place(wordpress: WordPressPeer) -> WordPressPlace:
    return WordPressPlace(wordpress)


def published(newsroom: PeerNewsroom, **fields: Any) -> Any:
    """Publish a story; return it and the row of its status."""
    item = newsroom.desk.act("publish", newsroom.story(**fields))
    row = newsroom.bring(item)
    assert row["status"] == "published", row["error"]
    return item, row


# Posts of others, and several of ours.


def test_a_post_in_the_trash_comes_back(newsroom: PeerNewsroom, wordpress: WordPressPeer) -> None:
    """As the same post. cms scenario 16."""
    item, row = published(newsroom)
    wordpress.rest("DELETE", f"/wp/v2/posts/{row['external_id']}")
    newsroom.desk.act("correct", item, body_html=f"<p>Text {newsroom.word} two.</p>")
    again = newsroom.bring(item)
    assert (again["status"], again["external_id"]) == ("published", row["external_id"])
    assert again["external_url"] == row["external_url"]
    assert f"Text {newsroom.word} two." in newsroom.place.page(row["external_url"])[1]
    assert newsroom.place.ids(newsroom.word) == [row["external_id"]]


@pytest.mark.parametrize("is_trashed", [False, True])
def test_a_foreign_post_holds_the_slug(
    opens: Opens, place: WordPressPlace, wordpress: WordPressPeer, is_trashed: bool
) -> None:
    """It is not touched, ours has another address; then both go their own ways. cms scenario 17."""
    newsroom = opens(place, slug_mode="clean")
    slug = f"rivers-rain-{newsroom.word}"
    held = {"title": "Theirs", "content": "By hand.", "slug": slug, "status": "publish"}
    theirs = wordpress.rest("POST", "/wp/v2/posts", data=held)
    if is_trashed:
        wordpress.rest("DELETE", f"/wp/v2/posts/{theirs['id']}")

    def as_it_is() -> Any:
        route = f"/wp/v2/posts/{theirs['id']}"
        found = wordpress.rest("GET", route, context="edit")
        return [found[name] for name in ("status", "modified_gmt")] + [found["content"]["raw"]]

    before = as_it_is()
    item, row = published(newsroom, headline="Rivers & rain")
    assert row["external_id"] != str(theirs["id"])
    newsroom.desk.act("correct", item, body_html=f"<p>Text {newsroom.word} two.</p>")
    assert newsroom.bring(item)["external_id"] == row["external_id"]
    newsroom.desk.act("kill", item)
    assert newsroom.bring(item)["status"] == "retracted"
    assert as_it_is() == before


@pytest.mark.parametrize("status", ["publish", "draft"])
def test_a_post_of_ours_that_is_there_twice(
    newsroom: PeerNewsroom, wordpress: WordPressPeer, status: str
) -> None:
    """The one of the record stays, the other goes to the trash. cms scenario 18."""
    newsroom.proxy.rule(Fault.LOSE_REQUEST, method="POST", target=newsroom.place.creates, times=1)
    item = newsroom.desk.act("publish", newsroom.story())
    newsroom.ask(item)
    for seconds in (0, 16, 46):
        newsroom.clock.advance(seconds=seconds)
        newsroom.go()
    row = newsroom.status(item)
    assert row["status"] == "published", row["error"]
    route = f"/wp/v2/posts/{row['external_id']}"
    ours = wordpress.rest("GET", route, context="edit", role="editor")
    copy = {
        "title": ours["title"]["raw"],
        "content": ours["content"]["raw"],
        "slug": ours["slug"],
        "status": status,
    }
    twin = wordpress.rest("POST", "/wp/v2/posts", data=copy, role="editor")
    newsroom.settle()
    again = newsroom.status(item)
    assert (again["status"], again["external_id"]) == ("published", row["external_id"])
    assert newsroom.place.live_ids(newsroom.word) == [row["external_id"]]
    gone = wordpress.rest("GET", f"/wp/v2/posts/{twin['id']}", context="edit")
    assert gone["status"] == "trash"
    outcomes = [entry["outcome"] for entry in newsroom.full(item)["history"]]
    assert "duplicate_removed" in outcomes


# Credentials and rights.


@pytest.mark.parametrize("modes", [(), ("early-user",)], ids=["usual", "asks early"])
@pytest.mark.parametrize("username", ["editor", "nobody"])
def test_a_password_that_is_wrong(
    opens: Opens, place: WordPressPlace, modes: tuple[str, ...], username: str
) -> None:
    """Told with the code of the site after one attempt. cms scenario 19."""
    newsroom = opens(place, modes=modes)
    path = f"integrations/{newsroom.integration['_id']}"
    wrong = {"username": username, "application_password": "abcd" * 6}
    newsroom.publisher.patch(path, {"credentials": wrong})
    item = newsroom.desk.act("publish", newsroom.story())
    newsroom.ask(item)
    newsroom.go()
    asked = newsroom.proxy.count()
    newsroom.clock.advance(hours=1)
    newsroom.go()
    # Terms are read with new credentials, too.
    assert newsroom.proxy.count() == asked
    assert 1 <= asked <= 2
    row = newsroom.status(item)
    assert (row["status"], row["error"]["class"]) == ("pending", "auth")
    integration = newsroom.publisher.get(path).get_json()
    assert integration["state"] == "auth_failed"
    assert integration["state_message"].startswith(row["error"]["code"])
    if modes:
        assert row["error"]["code"] in ("incorrect_password", "invalid_username")


def test_credentials_appear_nowhere(
    newsroom: PeerNewsroom, place: WordPressPlace, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither as they are nor encoded, whatever succeeds or fails. cms scenario 20."""
    item, _ = published(newsroom)
    path = f"integrations/{newsroom.integration['_id']}"
    wrong = {"application_password": "wxyz" * 6}
    newsroom.publisher.patch(path, {"credentials": wrong})
    newsroom.desk.act("correct", item, body_html="<p>Two.</p>")
    newsroom.ask(item)
    newsroom.go()
    newsroom.publisher.post(f"{path}/test")
    held = place.credentials
    secrets = []
    for password in (held["application_password"], wrong["application_password"]):
        for form in (password, password.replace(" ", "")):
            login = f"{held['username']}:{form}"
            secrets += [form, b64encode(login.encode()).decode(), b64encode(form.encode()).decode()]
    stored = [
        str(document)
        for name in newsroom.db.list_collection_names()
        for document in newsroom.db[name].find()
    ]
    lists = ("records", "integrations", "sites", "media", "deployments", "taxonomy-map", path)
    answers = [newsroom.publisher.get(name).text for name in (*lists, "site-definition")]
    answers.append(newsroom.publisher.get("publish/status", content=item["_id"]).text)
    told = capfd.readouterr()
    for text in (*stored, *answers, told.out, told.err):
        assert not [secret for secret in secrets if secret in text]


@pytest.mark.parametrize(
    ("role", "capability"),
    [
        ("subscriber", "edit_posts"),
        ("contributor", "publish_posts"),
    ],
)
def test_a_user_who_may_not_publish(
    newsroom: PeerNewsroom, wordpress: WordPressPeer, role: str, capability: str
) -> None:
    """The error names what is lacking, and is not tried again. cms scenario 22."""
    path = f"integrations/{newsroom.integration['_id']}"
    newsroom.publisher.patch(path, {"credentials": wordpress.credentials(role)})
    item = newsroom.desk.act(
        "publish", newsroom.story(associations={}, body_html="<p>One.</p>", keywords=[])
    )
    row = newsroom.bring(item)
    assert (row["status"], row["error"]["class"]) == ("failed", "permission")
    assert row["error"]["retryable"] is False
    assert capability in f"{row['error']['message']} {row['error']['help']}"
    assert newsroom.place.live_ids(newsroom.word) == []
    asked = newsroom.proxy.count()
    newsroom.clock.advance(hours=3)
    newsroom.go()
    assert newsroom.proxy.count() == asked


def test_an_author_whose_embeds_become_links(opens: Opens, wordpress: WordPressPeer) -> None:
    """The site would drop them without a word. cms scenario 22."""
    newsroom = opens(WordPressPlace(wordpress, "author"))
    frame = '<iframe src="https://video.example/embed/7"></iframe>'
    body = f'<p>One.</p><div class="embed-block">{frame}<script>alert(1)</script></div>'
    item, row = published(newsroom, body_html=body, associations={})
    assert newsroom.full(item)["warnings"] == ["embeds_stripped"]
    _, page = newsroom.place.page(row["external_url"])
    assert "https://video.example/embed/7" in page
    assert "alert(1)" not in page
    assert "<iframe" not in page.partition("entry-content")[2].partition("</main>")[0]


# Terms.


def test_categories_of_difficult_names(newsroom: PeerNewsroom, wordpress: WordPressPeer) -> None:
    """With signs, in another case, below another one: found, made once, kept. cms scenario 27."""
    word = newsroom.word
    there = wordpress.rest("POST", "/wp/v2/categories", data={"name": f"Arts & Culture {word}"})
    terms = [
        {"name": f"ARTS & culture {word}", "qcode": "arts"},
        {"name": f"Ice <hockey> {word}", "qcode": "ice", "parent": "sport"},
        {"name": f"Sport {word}", "qcode": "sport"},
    ]
    held = {"keywords": [], "anpa_category": terms}
    item, row = published(newsroom, **held)
    shown = wordpress.rest("GET", "/wp/v2/categories", post=row["external_id"])
    by_id = {term["id"]: term for term in shown}
    assert there["id"] in by_id
    assert len(by_id) == 3
    (child,) = [term for term in shown if term["parent"]]
    assert by_id[child["parent"]]["name"] == f"Sport {word}"

    # Renamed terms keep their place, removed ones are made again.
    (sport,) = [term for term in shown if term["name"] == f"Sport {word}"]
    wordpress.rest("POST", f"/wp/v2/categories/{sport['id']}", data={"name": f"Games {word}"})
    wordpress.rest("DELETE", f"/wp/v2/categories/{there['id']}", force="true")
    newsroom.desk.act("correct", item, headline=f"Lakes {word}")
    again = newsroom.bring(item)
    assert again["status"] == "published", again["error"]
    names = newsroom.place.terms(row["external_id"])
    assert {f"Games {word}", f"ARTS & culture {word}"} <= names
    assert len(names) == 3


def test_two_categories_of_one_name(newsroom: PeerNewsroom, wordpress: WordPressPeer) -> None:
    """Nobody guesses which is meant; a row of the map says it. cms scenario 27."""
    name = f"Sport {newsroom.word}"
    above = wordpress.rest("POST", "/wp/v2/categories", data={"name": f"World {newsroom.word}"})
    wordpress.rest("POST", "/wp/v2/categories", data={"name": name})
    below = {"name": name, "parent": above["id"]}
    meant = wordpress.rest("POST", "/wp/v2/categories", data=below)["id"]
    term = {"name": name, "qcode": "sport"}
    item = newsroom.desk.act("publish", newsroom.story(anpa_category=[term]))
    row = newsroom.bring(item)
    assert (row["status"], row["error"]["class"]) == ("failed", "taxonomy")
    assert name in row["error"]["message"]
    assert newsroom.posts_asked_for() == 0
    listed = newsroom.publisher.get("taxonomy-map", where='{"state": "missing"}').get_json()
    (missing,) = listed["_items"]
    change = {"mode": "manual", "taxonomy": "categories", "remote_id": str(meant)}
    assert newsroom.publisher.patch(f"taxonomy-map/{missing['_id']}", change).status_code == 200
    assert newsroom.bring(item)["status"] == "published"
    (shown,) = wordpress.rest("GET", "/wp/v2/categories", post=newsroom.status(item)["external_id"])
    assert shown["id"] == meant


def test_a_category_that_the_site_never_had(newsroom: PeerNewsroom) -> None:
    """Not published, not made, and named. cms scenario 28."""
    row = {
        "integration": newsroom.integration["_id"],
        "scheme": "anpa_category",
        "qcode": "sport",
        "taxonomy": "categories",
        "remote_id": "99999",
    }
    assert newsroom.publisher.post("taxonomy-map", row).status_code == 201
    term = {"name": "Sport", "qcode": "sport"}
    item = newsroom.desk.act("publish", newsroom.story(anpa_category=[term]))
    shown = newsroom.bring(item)
    assert (shown["status"], shown["error"]["code"]) == ("failed", "term_mismatch")
    assert "Sport" in shown["error"]["message"]
    assert newsroom.place.live_ids(newsroom.word) == []


# Times.


def time_in(clock: HandClock, **ahead: float) -> str:
    return (clock.now() + timedelta(**ahead)).strftime("%Y-%m-%dT%H:%M:%S+0000")


def test_a_schedule_that_is_near_is_kept_here(opens: Opens, place: WordPressPlace) -> None:
    """The site would publish at once. cms scenario 31."""
    newsroom = opens(place, schedule_mode="remote")
    item = newsroom.desk.act("publish", newsroom.story())
    newsroom.ask(item, schedule_at=time_in(newsroom.clock, seconds=30))
    newsroom.go()
    assert newsroom.proxy.requests == []
    newsroom.clock.advance(seconds=31)
    newsroom.go()
    assert newsroom.status(item)["status"] == "published"


def test_a_schedule_of_the_site_is_taken_back(
    opens: Opens, place: WordPressPlace, wordpress: WordPressPeer
) -> None:
    """A later publication is live at once. cms scenario 32."""
    newsroom = opens(place, schedule_mode="remote")
    item = newsroom.desk.act("publish", newsroom.story())
    newsroom.ask(item, schedule_at=time_in(newsroom.clock, hours=2))
    newsroom.go()
    row = newsroom.status(item)
    assert (row["status"], row["remote_state"]) == ("pending", "scheduled")
    record = newsroom.full(item)
    route = f"/wp/v2/posts/{record['external_id']}"
    assert wordpress.rest("GET", route)["status"] == "future"
    newsroom.ask(item, action="retract", force=False)
    newsroom.go()
    assert newsroom.status(item)["status"] == "retracted"
    assert wordpress.rest("GET", route, context="edit")["status"] in ("draft", "trash")
    row = newsroom.bring(item)
    assert row["status"] == "published", row["error"]
    assert newsroom.place.page(row["external_url"])[0] == 200
    assert newsroom.place.ids(newsroom.word) == [record["external_id"]]


# Other sites and items.


def test_press_releases_of_a_site_with_plain_links(
    opens: Opens, place: WordPressPlace, wordpress: WordPressPeer
) -> None:
    """Published with its desk, corrected, killed. cms scenario 49."""
    newsroom = opens(place, modes=("plain",), post_type="press-releases")
    word = newsroom.word
    desk = wordpress.rest("POST", "/wp/v2/desks", data={"name": f"Harbour {word}"})
    row = {
        "integration": newsroom.integration["_id"],
        "scheme": "anpa_category",
        "qcode": "harbour",
        "taxonomy": "desks",
        "remote_id": str(desk["id"]),
    }
    assert newsroom.publisher.post("taxonomy-map", row).status_code == 201
    term = {"name": "Harbour", "qcode": "harbour"}
    held = {"featuremedia": newsroom.picture(picture_bytes("green"))}
    body = f"<p>Text {word} one.</p>"
    item, shown = published(newsroom, anpa_category=[term], body_html=body, associations=held)
    stored = wordpress.rest("GET", f"/wp/v2/press-releases/{shown['external_id']}")
    assert stored["desks"] == [desk["id"]]
    assert f"Text {word} one." in newsroom.place.page(shown["external_url"])[1]
    assert newsroom.proxy.count(target="wp-json") == 0
    newsroom.desk.act("correct", item, body_html=f"<p>Text {word} two.</p>")
    again = newsroom.bring(item)
    for name in ("external_id", "external_url", "published_at"):
        assert again[name] == shown[name]
    assert f"Text {word} two." in newsroom.place.page(shown["external_url"])[1]
    newsroom.desk.act("kill", item)
    assert newsroom.bring(item)["status"] == "retracted"
    assert newsroom.place.page(shown["external_url"])[0] == 404


@pytest.mark.parametrize("content_format", ["blocks", "classic"])
@pytest.mark.parametrize(
    "headline",
    [
        "Tom & Jerry <b>bold</b> \"quotes\" 'single'",
        "🌊 Water 🚣 everywhere",
        "مرحبا بالعالم",
        "x" * 400,
    ],
    ids=["signs", "emoji", "right to left", "long"],
)
def test_headlines(
    opens: Opens,
    place: WordPressPlace,
    wordpress: WordPressPeer,
    headline: str,
    content_format: str,
) -> None:
    """They arrive as text, whole. cms scenario 42."""
    newsroom = opens(place, content_format=content_format)
    _, row = published(newsroom, headline=headline, associations={}, body_html="<p>One.</p>")
    route = f"/wp/v2/posts/{row['external_id']}"
    raw = wordpress.rest("GET", route, context="edit")["title"]["raw"]
    plain = headline.replace("<b>", "").replace("</b>", "")
    for entity, sign in (("&amp;", "&"), ("&quot;", '"'), ("&#039;", "'")):
        raw = raw.replace(entity, sign)
    assert raw == f"{plain} {newsroom.word}"


def test_bodies(newsroom: PeerNewsroom) -> None:
    """Of a megabyte: whole; of nothing at all: refused. cms scenario 42."""
    long = "".join(f"<p>Line {number} {newsroom.word}.</p>" for number in range(35_000))
    assert len(long) > 1_000_000
    _, row = published(newsroom, body_html=long, associations={})
    _, page = newsroom.place.page(row["external_url"])
    assert f"Line 0 {newsroom.word}." in page
    assert f"Line 34999 {newsroom.word}." in page

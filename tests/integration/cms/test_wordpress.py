"""WordPress as a platform, against a real one (cms contract WP1 to WP12)."""

import re
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from uuid import uuid4

import pytest

from tests.peers.proxy import Fault, Proxy, Reply
from tests.peers.wordpress import WordPressPeer
from tests.support.receivers import HTTPReceiver
from tests.support.sites import (
    build_identity,
    build_picture,
    build_story,
    build_upload,
    feature,
)
from transmitters.base import TransmitSettings
from transmitters.cms.base import (
    Check,
    ConnectionTest,
    ErrorClass,
    Mismatch,
    PlatformError,
    RemoteMedia,
    RemotePost,
    RemoteState,
    RetractMode,
    Site,
    Story,
    StoryMedia,
)
from transmitters.cms.http import SiteClient
from transmitters.cms.wordpress import WordPress
from transmitters.http_client import HTTPClient

pytestmark = [pytest.mark.peers, pytest.mark.timeout(300)]

Connect = Callable[..., WordPress]

ROLES = ("administrator", "editor", "author", "contributor", "subscriber")
_remotes: dict[tuple[Any, ...], dict[str, Any]] = {}
"""What connection tests have found, by user and options: the same for all tests."""


@pytest.fixture(scope="module")
def http() -> Iterator[HTTPClient]:
    client = HTTPClient(TransmitSettings())
    yield client
    client.close()


@pytest.fixture
def proxy(wordpress: WordPressPeer) -> Iterator[Proxy]:
    with Proxy(wordpress.url) as proxy:
        yield proxy


@pytest.fixture
def connect(wordpress: WordPressPeer, http: HTTPClient, proxy: Proxy) -> Connect:
    """Connect to the peer as a user, with what a connection test has found."""

    def connect(
        role: str = "editor", *, by: Proxy = proxy, tested: bool = True, **options: Any
    ) -> WordPress:
        site = Site("i1", by.url, wordpress.credentials(role), options)
        if tested:
            key = (wordpress.url, role, *sorted(options.items()))
            if key not in _remotes:
                direct = replace(site, base_url=wordpress.url)
                _remotes[key] = WordPress(direct, SiteClient(http)).test().remote
            site = replace(site, remote={**_remotes[key], "api_root": f"{by.url}/wp-json/"})
        return WordPress(site, SiteClient(http))

    return connect


@pytest.fixture
def platform(connect: Connect) -> WordPress:
    """The site as an editor."""
    return connect()


@pytest.fixture
def visitor(wordpress: WordPressPeer) -> Iterator[Callable[..., Proxy]]:
    """Open doors to kinds of sites: `visitor("no-trash")`."""
    doors: list[Proxy] = []

    def open_door(*modes: str, **options: Any) -> Proxy:
        door = Proxy(wordpress.url, add={"X-Peer-Modes": ",".join(modes)}, **options)
        doors.append(door)
        return door

    yield open_door
    for door in doors:
        door.__exit__(None, None, None)


def publish(platform: WordPress, story: Story) -> RemotePost:
    return platform.create(platform.payload(story), story.identity)


def refused(call: Callable[[], object]) -> PlatformError:
    """Return the error of a call."""
    with pytest.raises(PlatformError) as caught:
        call()
    return caught.value


def pictured(media: RemoteMedia, **changes: Any) -> Story:
    """Return a story that features a picture and shows it in its body."""
    shown = StoryMedia("editor_1", media, alt="A ship", caption="The crew")
    body = (
        '<p>Ships.</p><!-- EMBED START Image {id: "editor_1"} --><figure><img src="x"></figure>'
        '<!-- EMBED END Image {id: "editor_1"} -->'
    )
    held = feature(media)
    values = {"body": body, **held, "media": {**held["media"], "editor_1": shown}}
    return build_story(**{**values, **changes})


class TestPosts:
    """What becomes of a story."""

    def test_publish(self, platform: WordPress, wordpress: WordPressPeer, proxy: Proxy) -> None:
        """It is public with headline, text, picture and terms, after three requests."""
        media = platform.upload(build_upload())
        tag = platform.create_term("tags", f"Ports {uuid4().hex[:6]}", "")
        proxy.clear()
        story = pictured(
            media,
            headline='Tom & <b>Jerry</b> at 5 > 3 "sail" ⛵',
            terms={"tags": [tag.id], "categories": ["1"]},
            published_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        )
        assert platform.look_up(story.identity) == []
        post = publish(platform, story)

        assert (post.state, post.slug, post.mismatches) == ("live", story.identity.slug, {})
        assert post.published_at == story.published_at
        assert (proxy.count(), proxy.writes) == (3, 1)
        status, page = wordpress.page(post.url)
        assert status == 200
        assert story.headline.replace('"', "") in unescape(page).replace("“", "").replace("”", "")
        stored = wordpress.rest("GET", f"/wp/v2/posts/{post.id}", context="edit")
        assert (stored["featured_media"], stored["tags"]) == (int(media.id), [int(tag.id)])
        assert media.url in stored["content"]["raw"]
        assert stored["content"]["raw"].endswith(story.identity.marker)

    @pytest.mark.parametrize("content_format", ["blocks", "classic"])
    @pytest.mark.parametrize("role", ["administrator", "author"])
    def test_the_marker_is_kept(self, connect: Connect, role: str, content_format: str) -> None:
        """For users who may write any HTML and those who may not, in both kinds of text."""
        platform = connect(role, content_format=content_format)
        story = build_story()
        publish(platform, story)
        (found,) = platform.look_up(story.identity)
        assert found.is_ours

    def test_the_editor_opens_what_was_sent(
        self, platform: WordPress, wordpress: WordPressPeer
    ) -> None:
        """Blocks that are open are closed, each is of a kind that WordPress knows."""
        media = platform.upload(build_upload())
        story = pictured(media)
        body = (
            "<h2>A -- b</h2><p>One <a href='https://example.com/?a=b--c&d=1'>link</a></p>"
            "<ul><li>a<ul><li>b</li></ul></li></ul><blockquote><p>q</p></blockquote>"
            "<table><tr><td>1</td></tr></table><pre>x</pre><hr><dl><dt>t</dt><dd>d</dd></dl>"
            "<iframe src='https://www.youtube.com/embed/abcdefghijk'></iframe>"
        )
        post = publish(platform, replace(story, body=story.body + body))
        assert post.mismatches == {}
        check = (
            f"$raw = get_post({post.id})->post_content; $known = WP_Block_Type_Registry::"
            "get_instance(); function names($blocks) { foreach ($blocks as $one) { if ("
            "$one['blockName']) yield $one['blockName']; elseif (trim(preg_replace("
            "'/<!-- publisher-ref:[0-9a-f]+ -->/', '', $one['innerHTML'])) !== '') yield 'none';"
            " yield from names($one['innerBlocks']); } } $blocks = parse_blocks($raw);"
            "$names = iterator_to_array(names($blocks), false); foreach ($names as $name)"
            " if (!$known->is_registered($name)) echo 'unknown ', $name;"
            "echo serialize_blocks($blocks) === $raw ? 'same ' : 'other ', count($names);"
        )
        same, _, number = wordpress.run(check).partition(" ")
        assert (same, int(number) > 8) == ("same", True)

    def test_a_correction(
        self, platform: WordPress, wordpress: WordPressPeer, proxy: Proxy
    ) -> None:
        """It keeps id, address and date; two requests, as many as it takes to look and to write."""
        old = uuid4().hex
        story = build_story(
            published_at=datetime(2026, 1, 2, tzinfo=UTC), headline=old, abstract=old
        )
        post = publish(platform, story)
        proxy.clear()
        found = platform.read(post.id)
        assert found is not None
        corrected = replace(story, headline="Harbour closed", abstract="")
        updated = platform.update(found, platform.payload(corrected), story.identity)

        assert proxy.count() == 2
        kept = (updated.id, updated.url, updated.published_at, updated.slug)
        assert kept == (post.id, post.url, post.published_at, post.slug)
        assert updated.modified != post.modified
        assert updated.mismatches == {}
        page = wordpress.page(post.url)[1]
        assert "Harbour closed" in page
        assert old not in page

    def test_fields_of_others_are_left_alone(
        self, platform: WordPress, wordpress: WordPressPeer
    ) -> None:
        """What an editor of the site has set stays, such as terms that are not ours."""
        story = build_story(terms={"categories": ["1"]})
        post = publish(platform, story)
        tag = platform.create_term("tags", f"Local {uuid4().hex[:6]}", "")
        theirs = {"sticky": True, "comment_status": "closed", "tags": [int(tag.id)]}
        wordpress.rest("POST", f"/wp/v2/posts/{post.id}", data=theirs)
        platform.update(post, platform.payload(story), story.identity)

        stored = wordpress.rest("GET", f"/wp/v2/posts/{post.id}")
        assert {name: stored[name] for name in theirs} == theirs

    @pytest.mark.parametrize("status", ["private", "pending", "draft"])
    def test_who_may_read_is_always_sent(
        self, platform: WordPress, wordpress: WordPressPeer, status: str
    ) -> None:
        """A post that somebody has hidden is public again after an update."""
        story = build_story()
        post = publish(platform, story)
        wordpress.rest("POST", f"/wp/v2/posts/{post.id}", data={"status": status})
        found = platform.read(post.id)
        assert found is not None
        assert found.state == RemoteState.DRAFT
        updated = platform.update(found, platform.payload(story), story.identity)
        assert (updated.state, updated.mismatches) == (RemoteState.LIVE, {})
        assert wordpress.page(post.url)[0] == 200

    @pytest.mark.parametrize("role", ["administrator", "editor", "author"])
    @pytest.mark.parametrize("post_type", ["posts", "pages"])
    def test_a_password_that_somebody_has_set_is_gone_with_the_next_update(
        self, connect: Connect, wordpress: WordPressPeer, role: str, post_type: str
    ) -> None:
        """Readers see the text again, and the answer is compared."""
        if (role, post_type) == ("author", "pages"):
            pytest.skip("authors write no pages")
        platform = connect(role, post_type=post_type)
        story = build_story(body=f"<p>Text {uuid4().hex}</p>")
        post = publish(platform, story)
        text = story.body[3:-4]
        assert text in wordpress.page(post.url)[1]
        edited = wordpress.rest(
            "POST", f"/wp/v2/{post_type}/{post.id}", data={"password": "insiders"}
        )
        assert edited["password"] == "insiders"
        assert text not in wordpress.page(post.url)[1]
        updated = platform.update(post, platform.payload(story), story.identity)
        assert (updated.state, updated.mismatches) == (RemoteState.LIVE, {})
        assert wordpress.run(f"echo get_post({post.id})->post_password;") == ""
        assert text in wordpress.page(post.url)[1]

    def test_pages(self, connect: Connect, wordpress: WordPressPeer) -> None:
        """A page has no terms."""
        platform = connect(post_type="pages")
        assert platform.taxonomies() == []
        assert platform.default_taxonomy("anpa_category") is None
        story = build_story()
        post = publish(platform, story)
        assert wordpress.run(f"echo get_post({post.id})->post_type;") == "page"
        assert wordpress.page(post.url)[0] == 200

    def test_an_author(self, connect: Connect) -> None:
        """It is named by its number; whom the site does not know it refuses."""
        platform = connect("administrator")
        post = publish(platform, build_story(author="3"))
        assert post.mismatches == {}
        error = refused(lambda: publish(platform, build_story(author="987654")))
        assert (error.error_class, error.code, error.field) == (
            "validation",
            "rest_invalid_author",
            "author",
        )
        error = refused(lambda: platform.payload(build_story(author="jo")))
        assert (error.error_class, error.field) == ("validation", "author")


class TestPlainLinks:
    """A site without pretty links, and a type of posts of its own."""

    def test_the_whole_life_of_a_press_release(
        self,
        wordpress: WordPressPeer,
        http: HTTPClient,
        visitor: Callable[..., Proxy],
    ) -> None:
        """Found, published with its desk, corrected and killed through `?rest_route=`."""
        door = visitor("plain")
        site = Site(
            "i1", door.url, wordpress.credentials("editor"), {"post_type": "press-releases"}
        )
        tested = WordPress(site, SiteClient(http)).test(write=True)
        assert tested.ok, tested.checks
        assert tested.remote["api_mode"] == "plain"
        assert tested.remote["api_root"] == f"{door.url}/index.php?rest_route=/"
        platform = WordPress(replace(site, remote=tested.remote), SiteClient(http))
        (desks,) = platform.taxonomies()
        assert (desks.id, desks.is_hierarchical) == ("desks", True)
        assert platform.default_taxonomy("desks") == "desks"
        desk = platform.create_term("desks", f"Sports {uuid4().hex[:6]}", "")
        media = platform.upload(build_upload())

        story = pictured(media, terms={"desks": [desk.id]})
        post = publish(platform, story)
        assert (post.state, post.mismatches) == (RemoteState.LIVE, {})
        stored = wordpress.rest("GET", f"/wp/v2/press-releases/{post.id}")
        assert stored["desks"] == [int(desk.id)]
        found = platform.read(post.id)
        assert found is not None
        assert [ours.id for ours in platform.look_up(story.identity)] == [post.id]
        corrected = platform.payload(replace(story, headline="Harbour closed"))
        assert platform.update(found, corrected, story.identity).slug == post.slug
        assert "Harbour closed" in wordpress.page(post.url)[1]
        assert platform.retract(found, RetractMode.TRASH) == RemoteState.TRASHED
        assert wordpress.page(post.url)[0] == 404
        assert door.count(target="wp-json") == 0

    def test_before_the_first_connection_test(self, connect: Connect, proxy: Proxy) -> None:
        """Addresses are used that every site has, whatever its links look like."""
        story = build_story()
        publish(connect(tested=False), story)
        assert proxy.count("POST", r"^/\?rest_route=/wp/v2/posts&") == 1

    def test_an_api_that_was_found_elsewhere_gets_no_password(
        self, connect: Connect, proxy: Proxy
    ) -> None:
        """As when the address was changed after the test."""
        platform = connect()
        with HTTPReceiver() as elsewhere:
            remote = {**platform.site.remote, "api_root": f"{elsewhere.url}/wp-json/"}
            moved = WordPress(replace(platform.site, remote=remote), platform.client)
            moved.look_up(build_identity())
            assert elsewhere.requests == []
        assert proxy.count("GET", "rest_route=") == 2


class TestRetraction:
    """How posts go, and come back."""

    def test_kill(self, platform: WordPress, wordpress: WordPressPeer, proxy: Proxy) -> None:
        """Two requests; the old text is in no public answer, not even an old address of it."""
        word = f"secret{uuid4().hex}"
        story = build_story(body=f"<p>{word}</p>", headline=word, abstract=word)
        post = publish(platform, story)
        proxy.clear()
        kill = replace(story, headline="Withdrawn", body="<p>Withdrawn.</p>", abstract="")
        killed = platform.update(post, platform.payload(kill), story.identity)
        assert platform.retract(killed, RetractMode.TRASH) == RemoteState.TRASHED

        assert proxy.count() == 2
        assert wordpress.page(post.url)[0] == 404
        public = ("/?feed=rss2", "/wp-json/wp/v2/posts?per_page=100", f"/?p={post.id}", "/")
        for path in (*public, f"/wp-json/wp/v2/search?search={word}"):
            assert word not in wordpress.page(wordpress.url + path)[1].replace(f"={word}", "")

    @pytest.mark.parametrize(
        ("mode", "state"),
        [
            (RetractMode.TRASH, RemoteState.TRASHED),
            (RetractMode.DRAFT, RemoteState.DRAFT),
            (RetractMode.DELETE, RemoteState.DELETED),
        ],
    )
    def test_modes(
        self,
        platform: WordPress,
        wordpress: WordPressPeer,
        proxy: Proxy,
        mode: RetractMode,
        state: RemoteState,
    ) -> None:
        """One request takes a post off; again, and of one that is gone, it is a success as well."""
        post = publish(platform, build_story())
        proxy.clear()
        assert platform.retract(post, mode) == state
        assert proxy.count() == 1
        assert wordpress.page(post.url)[0] == 404
        assert platform.retract(post, mode) == state
        found = platform.read(post.id)
        assert (found.state if found else RemoteState.DELETED) == state
        wordpress.run(f"wp_delete_post({post.id}, true);")
        assert platform.retract(post, mode) == RemoteState.DELETED

    def test_a_post_in_the_trash_is_not_made_a_draft(self, platform: WordPress) -> None:
        """Writing it would bring it back."""
        post = publish(platform, build_story())
        platform.retract(post, RetractMode.TRASH)
        found = platform.read(post.id)
        assert found is not None
        assert platform.retract(found, RetractMode.DRAFT) == RemoteState.TRASHED

    def test_a_site_without_trash(
        self, connect: Connect, visitor: Callable[..., Proxy], wordpress: WordPressPeer
    ) -> None:
        """The post becomes a draft."""
        platform = connect(by=visitor("no-trash"))
        post = publish(platform, build_story())
        assert platform.retract(post, RetractMode.TRASH) == RemoteState.DRAFT
        assert wordpress.page(post.url)[0] == 404

    def test_out_of_the_trash(self, platform: WordPress, wordpress: WordPressPeer) -> None:
        """Published again, it is the same post at the same address, with the same date."""
        story = build_story(published_at=datetime(2026, 1, 2, tzinfo=UTC))
        post = publish(platform, story)
        platform.retract(post, RetractMode.TRASH)
        (found,) = platform.look_up(story.identity)
        assert (found.id, found.state, found.is_ours) == (post.id, RemoteState.TRASHED, True)
        back = platform.update(found, platform.payload(story), story.identity)

        assert (back.id, back.url, back.state) == (post.id, post.url, RemoteState.LIVE)
        assert back.published_at == post.published_at
        assert wordpress.page(post.url)[0] == 200

    def test_gone(self, platform: WordPress, wordpress: WordPressPeer) -> None:
        """A post that was deleted is not there, and cannot be updated."""
        story = build_story()
        post = publish(platform, story)
        wordpress.run(f"wp_delete_post({post.id}, true);")
        assert platform.read(post.id) is None
        payload = platform.payload(story)
        error = refused(lambda: platform.update(post, payload, story.identity))
        assert (error.error_class, error.code) == ("not_found", "rest_post_invalid_id")


class TestSchedule:
    """Posts that the site shall publish by itself."""

    def test_release(self, platform: WordPress, wordpress: WordPressPeer) -> None:
        """It is not public before its time, and is once the site has looked."""
        due = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
        post = publish(platform, build_story(schedule_at=due))
        assert (post.state, post.published_at, post.mismatches) == ("scheduled", due, {})
        address = f"{wordpress.url}/?p={post.id}"
        assert wordpress.page(address)[0] == 404
        later = due + timedelta(hours=1)
        story = build_story(schedule_at=later)
        assert platform.update(post, platform.payload(story), story.identity).published_at == later
        wordpress.run(f"wp_publish_post({post.id});")
        found = platform.read(post.id)
        assert found is not None
        assert found.state == RemoteState.LIVE

    def test_too_soon(self, platform: WordPress) -> None:
        """What is due within a minute the site publishes at once; the answer tells."""
        due = datetime.now(UTC) + timedelta(seconds=20)
        assert publish(platform, build_story(schedule_at=due)).mismatches == {
            Mismatch.STATE: ["publish"]
        }

    @pytest.mark.parametrize("is_taken_back", [True, False])
    def test_live_now_after_all(
        self, platform: WordPress, wordpress: WordPressPeer, is_taken_back: bool
    ) -> None:
        """A later publish is live at once, whether the schedule was taken back before or not."""
        story = build_story(schedule_at=datetime.now(UTC) + timedelta(hours=5))
        post = publish(platform, story)
        if is_taken_back:
            assert platform.unschedule(post).state == RemoteState.DRAFT
        found = platform.read(post.id)
        assert found is not None
        now = replace(story, schedule_at=None)
        live = platform.update(found, platform.payload(now), story.identity)
        assert (live.state, live.mismatches) == (RemoteState.LIVE, {})
        assert live.published_at is not None
        assert live.published_at <= datetime.now(UTC)
        assert wordpress.page(live.url)[0] == 200

    def test_a_site_whose_clock_is_behind(self, platform: WordPress) -> None:
        """It takes what is published now for the future: the answer tells, an update mends it."""
        ahead = datetime.now(UTC) + timedelta(minutes=5)
        story = build_story(published_at=ahead)
        payload = platform.payload(story)
        post = platform.create(payload, story.identity)
        assert post.mismatches == {Mismatch.STATE: ["future"]}
        assert platform.update(post, payload, story.identity).mismatches == {}


class TestLookUp:
    """How a post is found again, and told from others."""

    @pytest.mark.parametrize(
        "what",
        [
            Fault.LOSE_ANSWER,
            Fault.CUT_ANSWER,
            Reply(502, work_done=True),
            Reply(504, b"", {}, work_done=True),
            Reply(200, work_done=True),
        ],
        ids=["lost", "cut", "502", "504", "a page"],
    )
    def test_the_answer_of_a_create_is_lost(
        self, platform: WordPress, proxy: Proxy, wordpress: WordPressPeer, what: Fault | Reply
    ) -> None:
        """The outcome is unknown; a look-up finds the one post.

        Delivery contract X18.
        """
        rule = proxy.rule(what, method="POST", target="/posts[?]", times=1)
        story = build_story()
        error = refused(lambda: publish(platform, story))
        assert (error.error_class, rule.happened) == (ErrorClass.AMBIGUOUS, 1)
        (found,) = platform.look_up(story.identity)
        assert (found.state, found.is_ours) == (RemoteState.LIVE, True)
        assert wordpress.page(found.url)[0] == 200

    def test_the_answer_comes_too_late(
        self, platform: WordPress, proxy: Proxy, wordpress: WordPressPeer
    ) -> None:
        """As when it is lost."""
        impatient = HTTPClient(TransmitSettings(http_read_timeout=4, http_total_timeout=4))
        proxy.rule(Fault.HOLD_ANSWER, method="POST", times=1)
        story = build_story()
        hasty = WordPress(platform.site, SiteClient(impatient))
        assert refused(lambda: publish(hasty, story)).error_class == ErrorClass.AMBIGUOUS
        impatient.close()
        assert len(platform.look_up(story.identity)) == 1

    def test_nothing_was_sent(self, platform: WordPress, proxy: Proxy) -> None:
        """A refused connection is worth repeating, and there is nothing to be found."""
        story = build_story()
        with proxy.down():
            error = refused(lambda: publish(platform, story))
            assert error.error_class == ErrorClass.TRANSIENT
            assert refused(lambda: platform.look_up(story.identity)).error_class == "transient"
        assert platform.look_up(story.identity) == []

    @pytest.mark.parametrize(
        ("what", "error_class"),
        [
            (Fault.LOSE_ANSWER, ErrorClass.TRANSIENT),
            (Fault.CUT_ANSWER, ErrorClass.TRANSIENT),
            (Reply(502), ErrorClass.TRANSIENT),
            (Reply(200), ErrorClass.CONFIG),
            (Reply(200, b"{}", {"Content-Type": "application/json"}), ErrorClass.CONFIG),
            (Reply(404), ErrorClass.CONFIG),
            (Reply(401), ErrorClass.AUTH),
            (Reply(429, b"", {"Retry-After": "7"}), ErrorClass.RATE_LIMITED),
            (Reply(503, b"", {"Retry-After": "7"}), ErrorClass.RATE_LIMITED),
            (Reply(301, b"", {"Location": "https://www.example.com/"}), ErrorClass.CONFIG),
        ],
        ids=str,
    )
    @pytest.mark.parametrize("which", ["slug=", "search="])
    def test_a_look_up_that_fails_never_says_none(
        self,
        platform: WordPress,
        proxy: Proxy,
        what: Fault | Reply,
        error_class: ErrorClass,
        which: str,
    ) -> None:
        """Whatever stands in the way."""
        proxy.rule(what, target=which)
        error = refused(lambda: platform.look_up(build_identity()))
        assert error.error_class == error_class
        assert error.retry_after in (None, 7)

    def test_a_request_that_arrives_twice(self, platform: WordPress, proxy: Proxy) -> None:
        """Of two posts of ours the older is kept, the other can be removed."""
        proxy.rule(Fault.REPEAT_REQUEST, method="POST", times=1)
        story = build_story()
        post = publish(platform, story)
        kept, other = platform.look_up(story.identity)
        assert (kept.id, kept.is_ours, other.is_ours) == (post.id, True, True)
        platform.discard(other)
        kept, other = platform.look_up(story.identity)
        assert (kept.state, other.state) == (RemoteState.LIVE, RemoteState.TRASHED)

    def test_somebody_has_given_it_another_slug(
        self, platform: WordPress, wordpress: WordPressPeer
    ) -> None:
        """The marker tells it."""
        story = build_story()
        post = publish(platform, story)
        wordpress.rest("POST", f"/wp/v2/posts/{post.id}", data={"slug": uuid4().hex})
        (found,) = platform.look_up(story.identity)
        assert (found.id, found.is_ours) == (post.id, True)

    @pytest.mark.parametrize("slug", [None, "clean"])
    @pytest.mark.parametrize("published_at", [None, datetime(2026, 1, 2, tzinfo=UTC)])
    def test_a_site_that_removes_comments(
        self,
        connect: Connect,
        visitor: Callable[..., Proxy],
        slug: str | None,
        published_at: datetime | None,
    ) -> None:
        """Without the marker, user and title tell it, with the time or our part of the slug."""
        identity = build_identity(slug and f"ships-{uuid4().hex[:9]}")
        platform = connect(by=visitor("no-comments"))
        post = publish(platform, build_story(identity, published_at=published_at))
        (found,) = platform.look_up(identity)
        assert found.id == post.id
        assert found.is_ours == (slug is None or published_at is None)

    @pytest.mark.parametrize(
        ("fields", "role"),
        [
            ({"title": "Harbour reopens", "content": "By hand."}, "administrator"),
            ({"title": "Another title", "content": "By hand."}, "editor"),
            (
                {"title": "Harbour reopens", "content": "<!-- publisher-ref:0123456789abcdef -->"},
                "editor",
            ),
        ],
        ids=["of another user", "with another title", "with another marker"],
    )
    @pytest.mark.parametrize("is_trashed", [False, True])
    def test_a_foreign_post_holds_the_slug(
        self,
        platform: WordPress,
        wordpress: WordPressPeer,
        fields: dict[str, str],
        role: str,
        is_trashed: bool,
    ) -> None:
        """It is told as foreign, and ours gets another slug; the mismatch says so."""
        identity = build_identity(f"ships-{uuid4().hex[:9]}")
        held = {**fields, "slug": identity.slug, "status": "publish"}
        theirs = wordpress.rest("POST", "/wp/v2/posts", role=role, data=held)["id"]
        if is_trashed:
            wordpress.rest("DELETE", f"/wp/v2/posts/{theirs}")
        (found,) = platform.look_up(identity)
        assert (found.id, found.is_ours) == (str(theirs), False)
        ours = publish(platform, build_story(identity))
        if not is_trashed:
            assert ours.mismatches == {Mismatch.SLUG: [f"{identity.slug}-2"]}
        assert ours.is_ours
        first, second = platform.look_up(identity)
        assert (first.id, first.is_ours, second.is_ours) == (ours.id, True, False)

    def test_an_attachment_holds_the_slug(
        self, platform: WordPress, wordpress: WordPressPeer
    ) -> None:
        """The slug differs, and there is one post of ours all the same."""
        identity = build_identity(f"ships-{uuid4().hex[:9]}")
        media = platform.upload(build_upload())
        wordpress.rest("POST", f"/wp/v2/media/{media.id}", data={"slug": identity.slug})
        page = wordpress.rest("GET", f"/wp/v2/media/{media.id}")["slug"]
        post = publish(platform, build_story(identity))
        assert page == identity.slug
        assert [found.id for found in platform.look_up(identity) if found.is_ours] == [post.id]

    def test_a_number_as_headline(self, platform: WordPress) -> None:
        """WordPress takes a number for a part of a date and changes the slug."""
        identity = build_identity("12")
        post = publish(platform, build_story(identity))
        ours = [found for found in platform.look_up(identity) if found.is_ours]
        assert [found.id for found in ours] == [post.id]

    @pytest.mark.parametrize(
        ("role", "error_class"), [("nobody", "auth"), ("subscriber", "permission")]
    )
    def test_who_cannot_see_drafts(
        self, connect: Connect, wordpress: WordPressPeer, role: str, error_class: str
    ) -> None:
        """An answer without drafts would say that there is none."""
        platform = connect("subscriber" if role == "subscriber" else "editor")
        if role == "nobody":
            wrong = {"username": "editor", "application_password": "x" * 24}
            platform = WordPress(replace(platform.site, credentials=wrong), platform.client)
        error = refused(lambda: platform.look_up(build_identity()))
        assert (error.error_class, error.code) == (error_class, "rest_forbidden_status")


class TestMedia:
    """Pictures."""

    def test_upload(self, platform: WordPress, wordpress: WordPressPeer) -> None:
        """One request stores the file with its texts under a name that follows from its bytes."""
        content = build_picture()
        upload = build_upload(content)
        media = platform.upload(upload)
        assert (media.mime, media.width, media.height) == ("image/png", 8, 6)
        stored = wordpress.rest("GET", f"/wp/v2/media/{media.id}", context="edit")
        assert stored["slug"] == f"img-{upload.sha256[:16]}"
        assert (stored["alt_text"], stored["title"]["raw"]) == ("A ship", "Ship")
        assert unescape(stored["caption"]["raw"]) == upload.caption
        assert wordpress.run(f"echo md5_file(get_attached_file({media.id}));") == upload.md5
        assert platform.find_media(upload) == media
        assert platform.find_media(build_upload()) is None

    def test_the_answer_is_lost(self, platform: WordPress, proxy: Proxy) -> None:
        """The file is found again by its bytes; of two copies the older is taken."""
        proxy.rule(Fault.LOSE_ANSWER, method="POST", target="/media$", times=1)
        upload = build_upload()
        assert refused(lambda: platform.upload(upload)).error_class == ErrorClass.AMBIGUOUS
        found = platform.find_media(upload)
        assert found is not None
        again = platform.upload(upload)
        assert int(again.id) > int(found.id)
        assert platform.find_media(upload) == found

    @pytest.mark.parametrize(
        ("content", "changes"),
        [
            (b"<svg xmlns='http://www.w3.org/2000/svg'/>", {"extension": "svg"}),
            (b"not a picture", {}),
            (b"", {}),
            (b"\x89PNG\r\n\x1a\n" + bytes(9 << 20), {}),
            (b"\x89PNG\r\n\x1a\n" + bytes(17 << 20), {}),
        ],
        ids=["type", "broken", "empty", "larger than a file", "larger than a request"],
    )
    def test_refused_files(
        self, platform: WordPress, content: bytes, changes: dict[str, Any]
    ) -> None:
        """They are of class media, whatever status the site has for it: repeating cannot help."""
        error = refused(lambda: platform.upload(build_upload(content, **changes)))
        assert error.error_class == ErrorClass.MEDIA, error
        assert "media library" in error.help
        said = "not allowed to upload|empty|upload_max_filesize|Content-Disposition"
        assert re.search(said, error.message)

    def test_a_site_that_cannot_store_files(
        self, platform: WordPress, wordpress: WordPressPeer
    ) -> None:
        """It answers as to a file that it never takes; its words tell that it is not for good."""
        before = wordpress.run("echo get_option('upload_path');")
        wordpress.run("update_option('upload_path', '/dev/null/uploads');")
        try:
            error = refused(lambda: platform.upload(build_upload()))
        finally:
            wordpress.run(f"update_option('upload_path', '{before}');")
        assert (error.error_class, error.status) == (ErrorClass.TRANSIENT, 500), error
        assert "Unable to create directory" in error.message
        assert platform.upload(build_upload()).id

    def test_a_full_site(self, connect: Connect, visitor: Callable[..., Proxy]) -> None:
        error = refused(lambda: connect(by=visitor("full")).upload(build_upload()))
        assert (error.error_class, error.status) == (ErrorClass.TRANSIENT, 500)
        assert "No space left." in error.message

    def test_a_proxy_that_takes_no_large_files(self, platform: WordPress, proxy: Proxy) -> None:
        proxy.rule(Reply(413), method="POST")
        error = refused(lambda: platform.upload(build_upload()))
        assert (error.error_class, error.status) == (ErrorClass.MEDIA, 413)

    def test_a_picture_that_is_gone(self, platform: WordPress, wordpress: WordPressPeer) -> None:
        """Nobody is told that the post has none, unless the answer is compared."""
        media = platform.upload(build_upload())
        assert platform.has_media(media)
        wordpress.rest("DELETE", f"/wp/v2/media/{media.id}", force="true")
        assert not platform.has_media(media)
        story = build_story(**feature(media))
        post = publish(platform, story)
        assert post.mismatches == {Mismatch.MEDIA: [media.url]}
        again = platform.upload(build_upload())
        mended = platform.payload(replace(story, **feature(again)))
        assert platform.update(post, mended, story.identity).mismatches == {}

    def test_a_picture_is_taken_off(self, platform: WordPress, wordpress: WordPressPeer) -> None:
        """A correction without picture leaves none."""
        media = platform.upload(build_upload())
        story = build_story(**feature(media))
        post = publish(platform, story)
        platform.update(post, platform.payload(build_story(story.identity)), story.identity)
        assert wordpress.rest("GET", f"/wp/v2/posts/{post.id}")["featured_media"] == 0

    def test_delete(self, platform: WordPress, wordpress: WordPressPeer) -> None:
        """File and page go; once more is a success as well."""
        media = platform.upload(build_upload())
        assert platform.delete_media(media)
        assert wordpress.page(media.url)[0] == 404
        assert platform.delete_media(media)


class TestTerms:
    """Categories, tags and taxonomies of a site's own."""

    def test_all_pages(self, platform: WordPress, wordpress: WordPressPeer) -> None:
        """Every term comes once, with its name as people read it, and its parent."""
        mark = uuid4().hex[:6]
        wordpress.run(
            f"for ($i = 0; $i < 120; $i++) wp_insert_term('T{mark} & ' . $i, 'category');"
        )
        parent = platform.create_term("categories", f"P{mark}", "")
        platform.create_term("categories", f"C{mark}", "", parent.id)
        found = list(platform.terms("categories"))
        assert len({term.id for term in found}) == len(found)
        names = {term.name for term in found}
        assert {f"T{mark} & {number}" for number in range(120)} <= names
        renamed = {"name": f"Renamed {mark}"}
        wordpress.rest("POST", f"/wp/v2/categories/{parent.id}", data=renamed)
        known = {term.id: term.name for term in platform.terms("categories")}
        assert known[parent.id] == f"Renamed {mark}"
        (child,) = [term for term in found if term.name == f"C{mark}"]
        assert (child.parent, child.slug) == (parent.id, f"c{mark}")

    @pytest.mark.parametrize("taxonomy", ["tags", "categories"])
    def test_a_term_that_exists(self, platform: WordPress, taxonomy: str) -> None:
        """Names compare in any case; the one that is there is the answer."""
        name = f"Arts & Culture {uuid4().hex[:6]}"
        made = platform.create_term(taxonomy, name, "")
        assert made.name == name
        again = platform.create_term(taxonomy, name.upper(), "")
        assert (again.id, again.name) == (made.id, name)

    def test_one_name_under_two_parents(self, platform: WordPress) -> None:
        mark = uuid4().hex[:6]
        first, second = (platform.create_term("categories", f"{n}{mark}", "") for n in "ab")
        made = [
            platform.create_term("categories", f"News {mark}", "", p.id) for p in (first, second)
        ]
        assert made[0].id != made[1].id
        assert [term.parent for term in made] == [first.id, second.id]

    @pytest.mark.parametrize("name", ["", "x" * 201])
    def test_names_that_no_term_can_have(self, platform: WordPress, name: str) -> None:
        """The site answers 500; repeating cannot help."""
        error = refused(lambda: platform.create_term("tags", name, ""))
        assert (error.error_class, error.status in (400, 500)) == (ErrorClass.TAXONOMY, True)

    def test_who_may_create_them(self, connect: Connect) -> None:
        """An author may make tags; of categories the error names what is lacking."""
        author = connect("author")
        assert author.create_term("tags", f"Tag {uuid4().hex[:6]}", "").id
        error = refused(lambda: author.create_term("categories", f"C {uuid4().hex[:6]}", ""))
        assert error.error_class == ErrorClass.PERMISSION
        assert "manage_categories" in error.message + error.help

    def test_terms_that_are_gone(self, platform: WordPress) -> None:
        """The site drops them without a word; the answer is compared, for each taxonomy."""
        story = build_story(terms={"tags": ["987654"], "categories": ["1", "987654"]})
        post = publish(platform, story)
        assert post.mismatches == {Mismatch.TERMS: ["tags 987654", "categories 987654"]}
        fixed = platform.payload(replace(story, terms={"tags": [], "categories": ["1"]}))
        assert platform.update(post, fixed, story.identity).mismatches == {}

    def test_a_taxonomy_that_the_type_does_not_have(self, platform: WordPress) -> None:
        post = publish(platform, build_story(terms={"desks": ["1"]}))
        assert post.mismatches == {Mismatch.TERMS: ["desks 1"]}

    @pytest.mark.parametrize("role", ["administrator", "editor"])
    def test_nothing_mapped(self, connect: Connect, wordpress: WordPressPeer, role: str) -> None:
        """The site's default category, for a new post; tags are cleared."""
        platform = connect(role)
        tag = platform.create_term("tags", f"Tag {uuid4().hex[:6]}", "")
        story = build_story(terms={"tags": [tag.id], "categories": []})
        post = publish(platform, story)
        assert post.mismatches == {}
        cleared = platform.payload(replace(story, terms={"tags": [], "categories": []}))
        assert platform.update(post, cleared, story.identity).mismatches == {}
        stored = wordpress.rest("GET", f"/wp/v2/posts/{post.id}")
        assert stored["tags"] == []
        if role == "administrator":
            assert stored["categories"] == [1]

    def test_where_fields_go(self, platform: WordPress) -> None:
        assert platform.default_taxonomy("anpa_category") == "categories"
        assert platform.default_taxonomy("keywords") == "tags"
        assert platform.default_taxonomy("desks") is None


class TestErrors:
    """What failures are taken for, and what they say."""

    def test_roles(self, connect: Connect) -> None:
        """The lacking capability is named by the site's own name of it."""
        lacks = {
            ("contributor", "posts"): "publish_posts",
            ("subscriber", "posts"): "edit_posts",
            ("author", "press-releases"): "the type press_release",
        }
        for (role, post_type), capability in lacks.items():
            platform = connect(role, post_type=post_type)
            error = refused(lambda platform=platform: publish(platform, build_story()))
            assert (error.error_class, capability in error.message) == ("permission", True), error
            assert "role" in error.help

    def test_what_an_author_may_not(self, connect: Connect, platform: WordPress) -> None:
        """Posts of others: neither written nor removed."""
        story = build_story()
        post = publish(platform, story)
        author = connect("author")
        payload = author.payload(story)
        error = refused(lambda: author.update(post, payload, story.identity))
        assert (error.error_class, error.code) == ("permission", "rest_cannot_edit")
        assert "edit_others_posts" in error.message
        error = refused(lambda: author.retract(post, RetractMode.TRASH))
        assert (error.error_class, error.code) == ("permission", "rest_cannot_delete")

    def test_embeds_of_an_author(self, connect: Connect) -> None:
        """Who may not write any HTML sends none that the site would drop without a word."""
        tweet = '<div class="embed-block"><script src="https://x.example/w.js"></script></div>'
        story = build_story(body=f"<p>Look.</p>{tweet}")
        for role in ("author", "editor"):
            payload = connect(role).payload(story)
            assert ("embeds_stripped" in payload.warnings) == (role == "author")

    @pytest.mark.parametrize("modes", [(), ("early-user",)])
    @pytest.mark.parametrize(
        ("username", "password", "code"),
        [
            ("editor", "x" * 24, "incorrect_password"),
            ("editor", "normal-password", "incorrect_password"),
            ("nobody", "x" * 24, "invalid_username"),
            ("no@example.com", "x" * 24, "invalid_email"),
        ],
    )
    def test_wrong_credentials(
        self,
        connect: Connect,
        visitor: Callable[..., Proxy],
        modes: Sequence[str],
        username: str,
        password: str,
        code: str,
    ) -> None:
        """They are of class auth at once, and the error shows no part of them."""
        platform = connect(by=visitor(*modes))
        wrong = {"username": username, "application_password": password}
        platform = WordPress(replace(platform.site, credentials=wrong), platform.client)
        for call in (
            lambda: platform.read("1"),
            lambda: publish(platform, build_story()),
            lambda: platform.upload(build_upload()),
            lambda: platform.create_term("tags", "News", ""),
        ):
            error = refused(call)
            assert error.error_class == ErrorClass.AUTH, error
            assert error.code == code or not modes
            shown = f"{error!r} {error} {error.message} {error.help} {platform.site!r}"
            assert password not in shown
            assert b64encode(f"{username}:{password}".encode()).decode() not in shown

    @pytest.mark.parametrize(
        ("what", "error_class"),
        [
            (Reply(500), ErrorClass.AMBIGUOUS),
            (Reply(503, b"", {"Retry-After": "9"}), ErrorClass.AMBIGUOUS),
            (Reply(406), ErrorClass.AMBIGUOUS),
            (Reply(403), ErrorClass.PERMISSION),
            (Reply(404), ErrorClass.CONFIG),
            (Reply(302, b"", {"Location": "https://login.example.com/"}), ErrorClass.CONFIG),
            (Reply(429, b"", {}), ErrorClass.RATE_LIMITED),
            (
                Reply(500, b'{"code":"internal_server_error","message":"x","data":{"status":500}}'),
                ErrorClass.AMBIGUOUS,
            ),
            (
                Reply(503, b'{"code":"busy","message":"x"}', {"Retry-After": "9"}),
                ErrorClass.RATE_LIMITED,
            ),
            (Reply(400, b'{"code":"rest_invalid_json","message":"x"}'), ErrorClass.VALIDATION),
            (Reply(404, b'{"code":"rest_no_route","message":"x"}'), ErrorClass.CONFIG),
            (Reply(200, b"[]"), ErrorClass.AMBIGUOUS),
            (Reply(201, b'{"title": "not a post"}'), ErrorClass.AMBIGUOUS),
        ],
        ids=str,
    )
    def test_answers_to_a_write(
        self, platform: WordPress, proxy: Proxy, what: Reply, error_class: ErrorClass
    ) -> None:
        """Whatever may stand between WordPress and us."""
        proxy.rule(what, method="POST")
        error = refused(lambda: publish(platform, build_story()))
        assert error.error_class == error_class
        assert "login.example.com/" not in error.message

    def test_credentials_are_not_sent_after_a_redirect(
        self, platform: WordPress, proxy: Proxy
    ) -> None:
        with HTTPReceiver() as elsewhere:
            proxy.rule(Reply(308, b"", {"Location": f"{elsewhere.url}/wp-json/"}))
            assert refused(lambda: publish(platform, build_story())).code == "redirect"
            assert elsewhere.requests == []


def failed(found: ConnectionTest) -> Check:
    """Return the one check that failed, which is the last."""
    assert [check.ok for check in found.checks[:-1]] == [True] * (len(found.checks) - 1)
    assert not found.ok
    return found.checks[-1]


def removed(proxy: Proxy, wordpress: WordPressPeer) -> list[str]:
    """Return the ids of what was removed, which is gone."""
    targets = [request.target for request in proxy.requests if request.method == "DELETE"]
    ids = [target.partition("?")[0].rpartition("/")[2] for target in targets]
    for id in ids:
        assert wordpress.run(f"echo get_post({id})->ID ?? 'gone';") == "gone"
    return ids


class TestConnection:
    """What the connection test says."""

    @pytest.mark.parametrize("write", [False, True])
    def test_all_is_well(
        self, connect: Connect, proxy: Proxy, wordpress: WordPressPeer, write: bool
    ) -> None:
        """It tells what it has found, and leaves nothing behind."""
        found = connect("administrator", tested=False).test(write=write)
        assert found.ok, found.checks
        names = ["reach", "auth_offered", "clock", "login", "target", "rights"]
        assert [check.name for check in found.checks] == names + ["write"] * write
        assert found.remote["version"] == wordpress.version
        assert found.remote["api_root"] == f"{proxy.url}/wp-json/"
        assert (found.remote["api_mode"], found.remote["default_category"]) == ("pretty", 1)
        assert found.remote["user"] == {"id": 1, "name": "administrator"}
        assert found.remote["taxonomies"] == ["categories", "tags"]
        assert found.remote["types"] == ["pages", "posts", "press-releases"]
        assert (proxy.count("POST"), len(removed(proxy, wordpress))) == (2 * write, 2 * write)

    @pytest.mark.parametrize("role", ROLES)
    @pytest.mark.parametrize("post_type", ["posts", "pages", "press-releases"])
    def test_rights(self, connect: Connect, role: str, post_type: str) -> None:
        """What the user lacks for the type of posts is named."""
        found = connect(role, tested=False, post_type=post_type).test(write=True)
        if role in ("administrator", "editor"):
            assert found.ok, found.checks
            return
        if role == "author" and post_type == "posts":
            assert found.ok
            rights = {check.name: check.message for check in found.checks}["rights"]
            assert "embeds" in rights
            assert "edit_others_posts" in rights
            return
        check = failed(found)
        has_some = (role, post_type) == ("contributor", "posts")
        lacks = "publish_posts, upload_files" if has_some else post_type[:-1].replace("-", "_")
        assert check.error is not None
        assert (check.name, check.error.error_class) == ("rights", "permission")
        assert lacks in check.message
        assert lacks in check.error.help

    def test_an_unknown_post_type(self, connect: Connect) -> None:
        """The name of a type is taken for its REST base easily; others are listed."""
        check = failed(connect(tested=False, post_type="press_release").test())
        assert (check.name, check.error and check.error.help) == (
            "target",
            "Enter its REST base, press-releases",
        )
        check = failed(connect(tested=False, post_type="news").test())
        assert check.error is not None
        assert check.error.help == "Enter one of: pages, posts, press-releases"

    @pytest.mark.parametrize(
        ("modes", "username", "code", "says"),
        [
            ((), "editor", "rest_not_logged_in", "Authorization header"),
            (("early-user",), "editor", "incorrect_password", "new application password"),
            (("early-user",), "nobody", "invalid_username", "no such user"),
        ],
    )
    def test_wrong_credentials(
        self,
        connect: Connect,
        visitor: Callable[..., Proxy],
        modes: Sequence[str],
        username: str,
        code: str,
        says: str,
    ) -> None:
        """Public answers are no proof of a log-in: there is one although everything can be read."""
        site = connect(by=visitor(*modes), tested=False).site
        wrong = {"username": username, "application_password": "x" * 24}
        http = HTTPClient(TransmitSettings())
        check = failed(WordPress(replace(site, credentials=wrong), SiteClient(http)).test())
        http.close()
        assert check.error is not None
        assert (check.name, check.error.error_class, check.error.code) == ("login", "auth", code)
        assert says in check.error.help

    def test_a_server_that_drops_the_header(
        self, connect: Connect, visitor: Callable[..., Proxy]
    ) -> None:
        check = failed(connect(by=visitor(drop=("Authorization",)), tested=False).test())
        assert check.error is not None
        assert "drops the Authorization header" in check.error.help

    def test_no_application_passwords(
        self, connect: Connect, visitor: Callable[..., Proxy]
    ) -> None:
        """Without TLS there are none outside tests."""
        check = failed(connect(by=visitor("production"), tested=False).test())
        assert check.error is not None
        assert (check.name, check.error.error_class) == ("auth_offered", "config")
        assert "HTTPS" in check.message

    def test_a_closed_api(self, connect: Connect, visitor: Callable[..., Proxy]) -> None:
        """A security plugin is named as the likely cause."""
        check = failed(connect(by=visitor("rest-off"), tested=False).test())
        assert check.error is not None
        assert (check.name, check.error.code) == ("reach", "rest_disabled")
        assert "security plugin" in check.error.help

    def test_an_api_that_is_gone(self, connect: Connect, visitor: Callable[..., Proxy]) -> None:
        check = failed(connect(by=visitor("rest-gone"), tested=False).test())
        assert check.error is not None
        assert (check.name, check.error.error_class) == ("reach", "config")
        assert "switched off" in check.message
        assert "security plugin" in check.error.help

    def test_an_api_for_users_alone(self, connect: Connect, visitor: Callable[..., Proxy]) -> None:
        """Who cannot log in is told so; who can, publishes."""
        door = visitor("members-only")
        platform = connect(by=door, tested=False)
        found = platform.test(write=True)
        assert found.ok, found
        wrong = {"username": "editor", "application_password": "x" * 24}
        stranger = WordPress(replace(platform.site, credentials=wrong), platform.client)
        check = failed(stranger.test())
        assert check.error is not None
        assert check.error.error_class == "auth"
        assert "application password" in check.error.help

    @pytest.mark.parametrize(
        ("what", "error_class", "says"),
        [
            (Reply(200), "config", "no WordPress behind it"),
            (Reply(404), "config", "no WordPress behind it"),
            (Reply(401), "auth", "asks for a password of its own"),
            (Reply(403), "permission", "firewall"),
            (Reply(502), "transient", "the site is up"),
            (Reply(503, b"", {"Retry-After": "60"}), "rate_limited", "asked again"),
            (Reply(429), "rate_limited", "asked again"),
            (Fault.LOSE_ANSWER, "transient", "the site is up"),
            (
                Reply(301, b"", {"Location": "https://www.example.com/a?b=c"}),
                "config",
                "Enter the address that the site itself uses (https://www.example.com)",
            ),
        ],
        ids=str,
    )
    def test_not_reached(
        self, connect: Connect, proxy: Proxy, what: Fault | Reply, error_class: str, says: str
    ) -> None:
        """Nothing else is tried, and the password is not sent."""
        proxy.rule(what)
        check = failed(connect(tested=False).test(write=True))
        assert check.error is not None
        assert (check.name, check.error.error_class) == ("reach", error_class)
        assert says in check.error.help
        assert not any("authorization" in request.headers for request in proxy.requests)

    def test_nobody_there(self, connect: Connect, proxy: Proxy) -> None:
        platform = connect(tested=False)
        with proxy.down():
            check = failed(platform.test())
        assert check.error is not None
        assert (check.name, check.error.error_class) == ("reach", "transient")
        assert "cannot connect" in check.message

    def test_a_front_page_that_leads_elsewhere_in_the_site(
        self, connect: Connect, proxy: Proxy
    ) -> None:
        """Such as to a language: the API is found all the same."""
        proxy.rule(Reply(302, b"", {"Location": "/en/"}), target="^/$")
        assert connect(tested=False).test().ok

    def test_clocks(self, connect: Connect, proxy: Proxy) -> None:
        """A wrong clock is told, and the other checks are made."""
        index = b'{"namespaces":["wp/v2"],"authentication":{"application-passwords":{}}}'
        late = {"Date": "Wed, 01 Jan 2020 00:00:00 GMT", "Content-Type": "application/json"}
        proxy.rule(Reply(200, index, late), target="_fields=name,home")
        found = connect(tested=False).test()
        told = {check.name: check for check in found.checks}
        assert not told["clock"].ok
        assert "differ by" in told["clock"].message
        assert told["rights"].ok

    @pytest.mark.parametrize(
        ("what", "target", "error_class"),
        [
            (Reply(413), "/media$", "media"),
            (Reply(403), "/posts", "permission"),
            (Reply(502), "/media$", "ambiguous"),
            (Reply(502, work_done=True), "/media$", "ambiguous"),
            (Fault.LOSE_ANSWER, "/posts", "ambiguous"),
        ],
        ids=str,
    )
    def test_a_write_that_fails(
        self,
        connect: Connect,
        proxy: Proxy,
        wordpress: WordPressPeer,
        what: Reply | Fault,
        target: str,
        error_class: str,
    ) -> None:
        """It is told, and what was made before is removed."""
        proxy.rule(what, method="POST", target=target)
        check = failed(connect(tested=False).test(write=True))
        assert check.error is not None
        assert (check.name, check.error.error_class) == ("write", error_class)
        made = [request for request in proxy.requests if request.status == 201]
        assert len(removed(proxy, wordpress)) == len(made)


class TestCredentials:
    """Their form, before anything is sent."""

    def test_spaces_in_the_password(self, platform: WordPress, wordpress: WordPressPeer) -> None:
        """The site shows it in groups of four."""
        password = wordpress.users["editor"]["password"]
        spaced = " ".join(password[at : at + 4] for at in range(0, 24, 4))
        given = {"username": "editor", "application_password": spaced}
        site = replace(platform.site, credentials=given)
        assert WordPress(site, platform.client).read("987654") is None

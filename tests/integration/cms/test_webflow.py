"""The Webflow platform against the look-alike of the service."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import md5, sha256
from html import escape
from io import BytesIO
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import orjson
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.peers.webflow import ALL_SCOPES, Behaviour, WebflowPeer
from tests.support.receivers import Fault, HTTPReceiver
from transmitters.base import TransmitSettings
from transmitters.cms.base import (
    Check,
    ConnectionTest,
    ErrorClass,
    MediaUpload,
    Mismatch,
    Payload,
    PlatformError,
    PostIdentity,
    RemoteMedia,
    RemotePost,
    RemoteState,
    RetractMode,
    Site,
    Story,
    StoryMedia,
)
from transmitters.cms.http import SiteClient
from transmitters.cms.webflow import Webflow
from transmitters.http_client import HTTPClient

REF = "0123456789abcdef"
NOON = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
PNG = b"\x89PNG\r\n\x1a\n" + b"picture" * 100


def upload_of(data: bytes = PNG, *, alt: str = "") -> MediaUpload:
    return MediaUpload(
        sha256=sha256(data).hexdigest(),
        md5=md5(data, usedforsecurity=False).hexdigest(),
        length=len(data),
        mime="image/png",
        extension="png",
        open=lambda: nullcontext(BytesIO(data)),
        alt=alt,
    )


def identity_of(**changes: Any) -> PostIdentity:
    told = {"ref": REF, "slug": f"storm-{REF[:8]}", "title": "Storm", "since": datetime.now(UTC)}
    return PostIdentity(**{**told, **changes})


def story_of(**changes: Any) -> Story:
    told = {
        "identity": identity_of(),
        "headline": "Storm",
        "body": "<p>Waves at the coast.</p>",
        "abstract": "High waves",
        "item": {"firstpublished": NOON},
    }
    return Story(**{**told, **changes})


class Newsroom:
    """A site with articles, sections and tags, and the platform that publishes to it."""

    def __init__(self, peer: WebflowPeer, http: HTTPClient) -> None:
        self.peer = peer
        self.http = http
        self.site = peer.add_site("daily")
        self.sections = peer.add_collection(self.site, "sections", [])
        self.tags = peer.add_collection(self.site, "tags", [])
        self.moods = [{"id": "a" * 24, "name": "Calm"}, {"id": "b" * 24, "name": "Wild"}]
        self.articles = peer.add_collection(
            self.site,
            "articles",
            [
                peer.field("post-body", "RichText"),
                peer.field("post-summary", "PlainText", maxLength=40),
                peer.field("main-image", "Image"),
                peer.field("section", "Reference", collectionId=self.sections),
                peer.field("tags", "MultiReference", collectionId=self.tags),
                peer.field("mood", "Option", options=self.moods),
                peer.field("wire-ref", "PlainText"),
                peer.field("first-seen", "DateTime"),
                peer.field("source-link", "Link"),
                peer.field("score", "Number"),
                peer.field("is-urgent", "Switch"),
                peer.field("gallery", "MultiImage"),
                peer.field("byline", "PlainText"),
            ],
        )
        self.token = peer.add_token()
        self.options: dict[str, Any] = {
            "collection": self.articles,
            "site_id": self.site,
            "field_map": {"ref": "wire-ref"},
            "domain": peer.root,
        }
        self.tested = self.test().remote

    def platform(
        self, *, token: str | None = None, remote: Mapping[str, Any] | None = None, **options: Any
    ) -> Webflow:
        found = getattr(self, "tested", {}) if remote is None else remote
        site = Site(
            "integration",
            self.peer.url,
            {"token": token or self.token},
            {**self.options, **options},
            found,
        )
        return Webflow(site, SiteClient(self.http))

    def test(self, *, write: bool = False, **changes: Any) -> ConnectionTest:
        return self.platform(**changes).test(write=write)

    def create(self, story: Story | None = None, **options: Any) -> RemotePost:
        shown = story or story_of()
        platform = self.platform(**options)
        return platform.create(platform.payload(shown), shown.identity)

    def look_up(self, **changes: Any) -> list[RemotePost]:
        return list(self.platform().look_up(identity_of(**changes)))

    def staged(self) -> list[dict[str, Any]]:
        return self.peer.items(self.articles)

    def live(self) -> list[dict[str, Any]]:
        return self.peer.live_items(self.articles)


def page_at(url: str) -> str | None:
    """Return what visitors find at an address, None where that is nothing."""
    try:
        with urlopen(url, timeout=5) as answer:
            return str(answer.read().decode())
    except HTTPError:
        return None


def failure_of(act: Callable[[], Any]) -> PlatformError:
    with pytest.raises(PlatformError) as raised:
        act()
    return raised.value


@pytest.fixture
def behaviour() -> Behaviour:
    return Behaviour()


@pytest.fixture
def http() -> Iterator[HTTPClient]:
    client = HTTPClient(TransmitSettings(http_read_timeout=5, http_total_timeout=10))
    yield client
    client.close()


@pytest.fixture
def newsroom(behaviour: Behaviour, http: HTTPClient) -> Iterator[Newsroom]:
    with WebflowPeer(behaviour) as peer:
        built = Newsroom(peer, http)
        peer.forget_calls()
        yield built


@pytest.fixture
def platform(newsroom: Newsroom) -> Webflow:
    return newsroom.platform()


def with_picture(platform: Webflow, **changes: Any) -> Story:
    """Return a story with a picture at its head and one in its body."""
    head, inner = platform.upload(upload_of()), platform.upload(upload_of(PNG + b"2"))
    media = {
        "featuremedia": StoryMedia("featuremedia", head, alt="Waves", caption="At the coast"),
        "editor_0": StoryMedia("editor_0", inner, alt="Pier", source_urls=frozenset({inner.url})),
    }
    body = f'<p>Waves.</p><figure><img src="{inner.url}" alt="Pier"></figure>'
    return story_of(media=media, feature="featuremedia", body=body, **changes)


# Publishing, correcting, taking off.


def test_a_story_is_published(newsroom: Newsroom, platform: Webflow) -> None:
    """It is live at its address with headline, text, pictures and terms."""
    world = newsroom.peer.add_item(newsroom.sections, name="World", slug="world")
    sea = newsroom.peer.add_item(newsroom.tags, name="Sea", slug="sea")
    story = with_picture(platform, terms={"section": [world], "tags": [sea]})

    post = platform.create(platform.payload(story), story.identity)

    assert (post.state, post.is_ours, post.mismatches) == (RemoteState.LIVE, True, {})
    assert post.url == f"{newsroom.peer.root}/articles/storm-{REF[:8]}"
    assert post.published_at is not None
    page = page_at(post.url)
    assert page is not None
    for shown in ("Storm", "Waves.", 'alt="Pier"', 'alt="Waves"', world, sea, "High waves"):
        assert shown in page


def test_requests_are_counted(newsroom: Newsroom, platform: Webflow) -> None:
    """Create 4 with the look-up before it, update 3 with the reading, retract 1, kill 2."""
    story = story_of()
    platform.look_up(story.identity)
    post = platform.create(platform.payload(story), story.identity)
    created = len(newsroom.peer.calls)
    read = platform.read(post.id)
    assert read is not None
    platform.update(read, platform.payload(story), story.identity)
    updated = len(newsroom.peer.calls)
    platform.retract(read, RetractMode.UNPUBLISH)
    retracted = len(newsroom.peer.calls)
    platform.retract(read, RetractMode.DELETE)

    assert [created, updated - created, retracted - updated] == [4, 3, 1]
    assert len(newsroom.peer.calls) - retracted == 2


def test_a_correction_keeps_the_item_and_its_address(newsroom: Newsroom, platform: Webflow) -> None:
    """A new headline changes neither slug nor date of publication."""
    post = newsroom.create()
    read = platform.read(post.id)
    assert read is not None
    corrected = story_of(headline="Great storm", body="<p>Great waves.</p>")

    written = platform.update(read, platform.payload(corrected), corrected.identity)

    assert (written.id, written.url, written.slug) == (post.id, post.url, post.slug)
    assert written.published_at == read.published_at
    assert written.state is RemoteState.LIVE
    page = page_at(post.url)
    assert page is not None
    assert "Great storm" in page
    assert "Great waves." in page
    assert len(newsroom.staged()) == 1


def test_only_fields_of_the_map_are_written(newsroom: Newsroom, platform: Webflow) -> None:
    """What an editor of the site owns is left alone."""
    post = newsroom.create()
    newsroom.peer.edit(newsroom.articles, post.id, score=5)
    read = platform.read(post.id)
    assert read is not None

    platform.update(read, platform.payload(story_of(headline="Calm")), identity_of())

    assert newsroom.live()[0]["fieldData"]["score"] == 5


def test_what_is_gone_from_the_story_is_cleared(newsroom: Newsroom, platform: Webflow) -> None:
    """Picture, abstract and terms."""
    world = newsroom.peer.add_item(newsroom.sections, name="World", slug="world")
    sea = newsroom.peer.add_item(newsroom.tags, name="Sea", slug="sea")
    story = with_picture(platform, terms={"section": [world], "tags": [sea]})
    post = platform.create(platform.payload(story), story.identity)
    bare = story_of(abstract="", terms={"section": [], "tags": []})

    written = platform.update(post, platform.payload(bare), bare.identity)

    assert written.mismatches == {}
    fields = newsroom.live()[0]["fieldData"]
    assert {"main-image", "post-summary", "section"} & set(fields) == set()
    assert fields["tags"] == []


def test_unpublishing_keeps_a_draft(newsroom: Newsroom, platform: Webflow) -> None:
    """Which is made live again by an update, at the same address, once."""
    post = newsroom.create()

    assert platform.retract(post, RetractMode.UNPUBLISH) is RemoteState.DRAFT
    assert page_at(post.url) is None
    draft = platform.read(post.id)
    assert draft is not None
    assert draft.state is RemoteState.DRAFT
    again = platform.update(draft, platform.payload(story_of()), identity_of())

    assert (again.id, again.state) == (post.id, RemoteState.LIVE)
    assert again.published_at is not None
    assert page_at(post.url) is not None
    assert len(newsroom.staged()) == 1


@pytest.mark.parametrize("removes", [True, False])
def test_deleting_takes_both_versions_away(
    newsroom: Newsroom, platform: Webflow, removes: bool
) -> None:
    """Whether or not the deletion of an item takes its live version along."""
    newsroom.peer.behaviour.delete_removes_live = removes
    post = newsroom.create()

    assert platform.retract(post, RetractMode.DELETE) is RemoteState.DELETED

    assert page_at(post.url) is None
    assert newsroom.staged() == []
    assert platform.read(post.id) is None


@pytest.mark.parametrize("mode", [RetractMode.UNPUBLISH, RetractMode.DELETE])
def test_taking_off_again_is_a_success(
    newsroom: Newsroom, platform: Webflow, mode: RetractMode
) -> None:
    """What is off, or gone, is what was wanted."""
    post = newsroom.create()
    first = platform.retract(post, mode)

    assert platform.retract(post, mode) is first
    platform.retract(post, RetractMode.DELETE)
    assert platform.retract(post, mode) is RemoteState.DELETED


def test_gone_is_told_from_out_of_sight(newsroom: Newsroom, platform: Webflow) -> None:
    """A token that sees nothing is no proof that a killed story is off the site."""
    post = newsroom.create()
    elsewhere = newsroom.peer.add_site("elsewhere")
    blind = newsroom.platform(token=newsroom.peer.add_token(sites=[elsewhere]))

    for mode in (RetractMode.UNPUBLISH, RetractMode.DELETE):
        error = failure_of(lambda mode=mode: blind.retract(post, mode))
        assert (error.error_class, error.code) == (ErrorClass.CONFIG, "collection_not_found")
    assert failure_of(lambda: blind.read(post.id)).error_class is ErrorClass.CONFIG
    assert failure_of(lambda: blind.look_up(identity_of())).error_class is ErrorClass.CONFIG


def test_what_waits_for_the_site_is_held_back(newsroom: Newsroom, platform: Webflow) -> None:
    """An item that is not live, but would go out with the site, becomes a draft."""
    queued = newsroom.peer.add_item(newsroom.articles, is_live=False, name="Storm", slug="storm")
    staged = newsroom.peer.collections[newsroom.articles].items[queued].staged
    assert staged is not None
    staged["isDraft"] = False

    state = platform.retract(RemotePost(queued, RemoteState.DRAFT), RetractMode.UNPUBLISH)

    assert state is RemoteState.DRAFT
    assert newsroom.staged()[0]["isDraft"] is True


def test_a_live_item_without_staged_version_is_seen(newsroom: Newsroom, platform: Webflow) -> None:
    """Somebody deleted the one and left the other on the site."""
    post = newsroom.create()
    newsroom.peer.collections[newsroom.articles].items[post.id].staged = None

    read = platform.read(post.id)
    assert read is not None
    assert read.state is RemoteState.LIVE
    assert platform.retract(read, RetractMode.DELETE) is RemoteState.DELETED
    assert page_at(post.url) is None


@pytest.mark.parametrize("keeps_date", [True, False])
def test_states_are_told(newsroom: Newsroom, platform: Webflow, keeps_date: bool) -> None:
    """Live with pending changes, archived, taken down: what visitors see counts."""
    newsroom.peer.behaviour.unpublish_keeps_date = keeps_date
    post = newsroom.create()
    staged = newsroom.peer.collections[newsroom.articles].items[post.id].staged
    assert staged is not None

    def state() -> RemoteState:
        read = platform.read(post.id)
        assert read is not None
        return read.state

    for flag in ("isDraft", "isArchived"):
        staged[flag] = True
        assert state() is RemoteState.LIVE
        staged[flag] = False
    platform.retract(post, RetractMode.UNPUBLISH)
    assert state() is RemoteState.DRAFT


def test_a_duplicate_is_removed(newsroom: Newsroom, platform: Webflow) -> None:
    """Live or not."""
    post = newsroom.create()

    platform.discard(post)
    platform.discard(post)

    assert newsroom.staged() == newsroom.live() == []


@pytest.mark.parametrize(
    "headline",
    [
        "R&D <b>up</b>",
        "He said \"no\" & 'yes'",
        "Sturm 🌊 an der Küste",
        "عاصفة على الساحل",
        "1984",
    ],
)
def test_headlines_are_text(newsroom: Newsroom, headline: str) -> None:
    """Character by character; the page encodes them."""
    identity = identity_of(title=headline)
    post = newsroom.create(story_of(headline=headline, identity=identity))

    assert newsroom.live()[0]["fieldData"]["name"] == headline
    page = page_at(post.url)
    assert page is not None
    assert f"<title>{escape(headline)}</title>" in page
    assert [found.id for found in newsroom.look_up(title=headline)] == [post.id]


def test_what_a_reader_sees_of_a_body_stays(newsroom: Newsroom) -> None:
    """Elements that the service does not keep are sent as such that it does."""
    body = """
        <h1>Alpha</h1><p>Bravo <b>Charlie</b> <a href="https://example.com/">Delta</a></p>
        <ul><li>Echo<ul><li>Foxtrot</li></ul></li></ul><blockquote><p>Golf</p></blockquote>
        <table><tr><th>Hotel</th><td>India</td></tr></table><pre>Juliett\n  Kilo</pre>
        <p><code>Lima</code></p><dl><dt>Mike</dt><dd>November</dd></dl><hr>Oscar
        <div class="embed-block"><blockquote class="twitter-tweet">Papa
        <a href="https://twitter.com/a/status/1">Quebec</a></blockquote>
        <script src="https://platform.twitter.com/widgets.js"></script></div>
    """
    words = re.findall("[A-Z][a-z]+", re.sub("<[^>]+>", " ", body))

    post = newsroom.create(story_of(body=body))

    stored = newsroom.live()[0]["fieldData"]["post-body"]
    assert [word for word in words if word not in stored] == []
    assert "widgets.js" not in stored
    assert post.mismatches == {}


def test_a_long_body(newsroom: Newsroom) -> None:
    """A megabyte."""
    body = "<p>Waves at the coast.</p>" * 40_000

    newsroom.create(story_of(body=body))

    assert len(newsroom.live()[0]["fieldData"]["post-body"]) >= 1_000_000


# Identity.


@pytest.mark.parametrize(
    "fault", [Fault.CLOSE, Fault.RESET, Fault.RESET_MID_BODY, (502, {}, b"<h1>Bad gateway</h1>")]
)
@pytest.mark.parametrize("step", ["/collections/[^/]+/items", "/collections/[^/]+/items/publish"])
def test_a_lost_answer_leaves_one_item(
    newsroom: Newsroom, platform: Webflow, fault: Fault, step: str
) -> None:
    """The look-up finds what arrived, and the update makes it live."""
    story = story_of()
    newsroom.peer.lose_answer("POST", step, fault=fault)
    assert failure_of(lambda: newsroom.create(story)).error_class is ErrorClass.AMBIGUOUS

    [found] = newsroom.look_up()
    assert found.is_ours
    written = platform.update(found, platform.payload(story), story.identity)

    assert written.state is RemoteState.LIVE
    assert len(newsroom.staged()) == len(newsroom.live()) == 1


def test_nothing_arrived(newsroom: Newsroom, http: HTTPClient) -> None:
    """A refused connection is no unknown outcome."""
    with HTTPReceiver() as closed:
        address = closed.url
    platform = newsroom.platform()
    away = Webflow(replace(platform.site, base_url=address), SiteClient(http))

    error = failure_of(lambda: away.create(platform.payload(story_of()), identity_of()))

    assert error.error_class is ErrorClass.TRANSIENT


def test_the_marker_tells_whose_item_it_is(newsroom: Newsroom) -> None:
    """Whatever the title says."""
    slug = identity_of().slug
    foreign = {"name": "Storm", "slug": slug, "wire-ref": "f" * 16}
    newsroom.peer.add_item(newsroom.articles, **foreign)
    assert [post.is_ours for post in newsroom.look_up()] == [False]

    ours = {"name": "Changed by somebody", "slug": slug, "wire-ref": REF}
    newsroom.peer.add_item(newsroom.articles, **ours)
    assert [post.is_ours for post in newsroom.look_up()] == [True, False]


@pytest.mark.parametrize(
    ("slug", "name", "age", "is_ours"),
    [
        (f"storm-{REF[:8]}", "Storm", timedelta(days=9), True),
        (f"storm-{REF[:8]}", "Another", timedelta(0), True),
        (f"storm-{REF[:8]}", "Another", timedelta(days=9), False),
        ("storm", "Storm", timedelta(0), True),
        ("storm", "Storm", timedelta(days=9), False),
        ("storm", "Another", timedelta(0), False),
    ],
)
def test_without_a_marker_title_and_time_tell(
    newsroom: Newsroom, slug: str, name: str, age: timedelta, is_ours: bool
) -> None:
    """Two of three: the title, the time, a slug that carries the ref."""
    item = newsroom.peer.add_item(newsroom.articles, name=name, slug=slug)
    staged = newsroom.peer.collections[newsroom.articles].items[item].staged
    assert staged is not None
    staged["createdOn"] = (datetime.now(UTC) - age).isoformat()
    platform = newsroom.platform(field_map={})

    [found] = platform.look_up(identity_of(slug=slug))

    assert found.is_ours is is_ours


def test_a_title_that_was_cut_is_known_again(newsroom: Newsroom) -> None:
    """The item has its beginning only."""
    platform = newsroom.platform(field_map={})
    identity = identity_of(slug="storm", title="storm " * 100)
    story = story_of(headline=identity.title, identity=identity)
    payload = platform.payload(story)
    platform.create(payload, identity)

    assert "title_cut" in payload.warnings
    assert [post.is_ours for post in platform.look_up(identity)] == [True]


@pytest.mark.parametrize("mode", ["suffix", "error"])
@pytest.mark.parametrize("field_map", [{"ref": "wire-ref"}, {}])
def test_a_second_create_leaves_the_first_item(
    newsroom: Newsroom, mode: Any, field_map: dict[str, str]
) -> None:
    """It is returned to be updated; nobody saw another one."""
    newsroom.peer.behaviour.slug_conflict = mode
    first = newsroom.create(field_map=field_map)
    second = newsroom.create(story_of(headline="Great storm"), field_map=field_map)

    assert second.id == first.id
    assert second.mismatches == {Mismatch.SLUG: [identity_of().slug], Mismatch.STATE: ["live"]}
    assert [item["id"] for item in newsroom.staged()] == [first.id]
    assert newsroom.live()[0]["fieldData"]["name"] == "Storm"


def test_a_second_item_goes_when_nobody_knows_of_the_first(newsroom: Newsroom) -> None:
    """It was never public, and the next try looks first."""
    first = newsroom.create()
    newsroom.peer.refuse("GET", "/collections/[^/]+/items", newsroom.peer.error(500, "x"))

    assert failure_of(newsroom.create).error_class is ErrorClass.TRANSIENT
    assert [item["id"] for item in newsroom.staged()] == [first.id]


def test_a_second_item_is_found(newsroom: Newsroom, platform: Webflow) -> None:
    """Also when both were made before the headline was changed."""
    first = newsroom.create(field_map={})
    twin = {**newsroom.live()[0]["fieldData"], "slug": f"{first.slug}-a1b2c"}
    second = newsroom.peer.add_item(newsroom.articles, is_live=False, **twin)

    found = newsroom.platform(field_map={}).look_up(identity_of(title="Great storm"))

    assert [(post.id, post.is_ours) for post in found] == [(first.id, True), (second, True)]
    platform.discard(found[1])
    assert [item["id"] for item in newsroom.staged()] == [first.id]


def test_a_foreign_slug_is_left_alone(newsroom: Newsroom, platform: Webflow) -> None:
    """Ours gets another, and goes out with it."""
    identity = identity_of(slug="storm")
    foreign = newsroom.peer.add_item(newsroom.articles, name="Somebody's", slug="storm")
    story = story_of(identity=identity)
    assert [post.is_ours for post in platform.look_up(identity)] == [False]

    ours = platform.create(platform.payload(story), identity)
    written = platform.update(ours, platform.payload(story), identity)

    assert written.slug.startswith("storm-")
    assert page_at(written.url) is not None
    assert [post.id for post in platform.look_up(identity)] == [ours.id, foreign]


class TestSlugsThatAreRefused:
    """The service answers a taken slug with 400."""

    @pytest.fixture
    def behaviour(self) -> Behaviour:
        return Behaviour(slug_conflict="error", own_slug_refused=True)

    def test_a_foreign_slug_is_told(self, newsroom: Newsroom) -> None:
        """The item of somebody else is left alone."""
        slug = identity_of().slug
        foreign = newsroom.peer.add_item(
            newsroom.articles, name="x", slug=slug, **{"wire-ref": "y"}
        )
        error = failure_of(newsroom.create)

        assert (error.error_class, error.code) == (ErrorClass.CONFLICT, "slug_taken")
        assert error.field == "slug"
        assert [item["id"] for item in newsroom.staged()] == [foreign]

    def test_an_update_leaves_the_slug_out(self, newsroom: Newsroom, platform: Webflow) -> None:
        """Else the item's own slug would be in its way."""
        post = newsroom.create()
        story = story_of(headline="Calm")

        assert platform.update(post, platform.payload(story), story.identity).slug == post.slug


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_look_up_that_fails_is_no_empty_one(newsroom: Newsroom, status: int) -> None:
    """Nor is an answer without the list."""
    answers = (newsroom.peer.error(status, "internal_error"), (200, {}, b"{}"), (200, {}, b"<p>"))
    for answer in answers:
        newsroom.peer.refuse("GET", "/collections/[^/]+/items", answer)
        assert failure_of(newsroom.look_up).error_class in (
            ErrorClass.TRANSIENT, ErrorClass.RATE_LIMITED, ErrorClass.CONFIG,
        )  # fmt: skip


def test_drift_is_seen(newsroom: Newsroom, platform: Webflow) -> None:
    """A person's change is; our own publication is not, whatever times the service sets."""
    newsroom.peer.behaviour.publish_touches = True
    post = newsroom.create()

    def modified() -> str:
        read = platform.read(post.id)
        assert read is not None
        return read.modified

    assert modified() == post.modified
    story = story_of(headline="Calm")
    written = platform.update(post, platform.payload(story), story.identity)
    assert modified() == written.modified != post.modified
    newsroom.peer.edit(newsroom.articles, post.id, byline="Somebody")
    assert modified() != written.modified


# What the service refuses.


def test_an_image_that_cannot_be_fetched_is_an_error(newsroom: Newsroom, platform: Webflow) -> None:
    """Nothing is made without it."""
    media = RemoteMedia("0" * 24, "http://127.0.0.1:9/sea.png")
    shown = {"featuremedia": StoryMedia("featuremedia", media)}
    story = story_of(media=shown, feature="featuremedia")
    error = failure_of(lambda: newsroom.create(story))
    assert (error.error_class, error.field) == (ErrorClass.MEDIA, "main-image")

    inner = {"editor_0": replace(shown["featuremedia"], source_urls=frozenset({media.url}))}
    story = story_of(media=inner, body=f'<p>x</p><figure><img src="{media.url}"></figure>')
    error = failure_of(lambda: newsroom.create(story))
    assert (error.error_class, error.field) == (ErrorClass.MEDIA, "post-body")
    assert newsroom.staged() == []


def test_a_picture_that_was_left_out_is_missed(newsroom: Newsroom, platform: Webflow) -> None:
    """The item stays a draft, whatever the service answers."""
    story = with_picture(platform)
    payload = platform.payload(story)
    lost = {**payload.fields, "main-image": None, "post-body": "<p>Waves.</p>"}
    item = newsroom.peer.add_item(newsroom.articles, is_live=False, name="Storm", slug="storm")
    newsroom.peer.behaviour.rehosts_images = True
    silent = Payload(lost)
    post = platform.update(RemotePost(item, RemoteState.DRAFT), silent, story.identity)

    found = platform._mismatches(newsroom.staged()[0], payload)

    assert post.mismatches == {}
    assert set(found[Mismatch.MEDIA]) == {media.url for media in payload.media}


def test_pictures_on_other_hosts_of_the_service_are_known(
    newsroom: Newsroom, platform: Webflow
) -> None:
    """It may keep a copy for the text."""
    newsroom.peer.behaviour.rehosts_images = True
    story = with_picture(platform)

    assert platform.create(platform.payload(story), story.identity).mismatches == {}


def test_an_archived_item_is_not_published(newsroom: Newsroom, platform: Webflow) -> None:
    """By itself, and when it was archived since it was read; both say what to do."""
    post = newsroom.create()
    staged = newsroom.peer.collections[newsroom.articles].items[post.id].staged
    assert staged is not None
    staged["isArchived"] = True
    read = platform.read(post.id)
    assert read is not None

    for seen in (read, post):
        story = story_of(headline="Calm")
        error = failure_of(
            lambda seen=seen, story=story: platform.update(
                seen, platform.payload(story), story.identity
            )
        )
        assert (error.error_class, error.code) == (ErrorClass.VALIDATION, "item_archived")
        assert "archive" in error.help
    assert platform.retract(read, RetractMode.UNPUBLISH) is RemoteState.DRAFT


def test_a_gone_item_is_not_found(newsroom: Newsroom, platform: Webflow) -> None:
    """An update of it, and its publication."""
    post = newsroom.create()
    newsroom.peer.collections[newsroom.articles].items.clear()

    update = failure_of(lambda: platform.update(post, platform.payload(story_of()), identity_of()))

    assert update.error_class is ErrorClass.NOT_FOUND
    assert failure_of(lambda: platform._publish(post.id)).error_class is ErrorClass.NOT_FOUND


@pytest.mark.parametrize("kind", ["collection", "site"])
def test_the_site_has_to_be_published(newsroom: Newsroom, kind: str) -> None:
    """The draft is there, and goes out when somebody has published the site."""
    if kind == "collection":
        newsroom.peer.collections[newsroom.articles].is_changed = True
    else:
        newsroom.peer.sites[newsroom.site].last_published = None
    error = failure_of(newsroom.create)

    assert error.error_class is ErrorClass.CONFIG
    assert error.help == "Publish the site once in Webflow, then try again"
    [draft] = newsroom.look_up()
    assert (draft.state, draft.is_ours) == (RemoteState.DRAFT, True)


def test_the_site_is_published_where_that_is_allowed(newsroom: Newsroom) -> None:
    """Then the item goes out with the next try; the site itself at most once a minute."""
    newsroom.peer.collections[newsroom.articles].is_changed = True
    platform = newsroom.platform(auto_site_publish=True)
    story = story_of()
    error = failure_of(lambda: platform.create(platform.payload(story), story.identity))
    assert (error.error_class, error.code) == (ErrorClass.TRANSIENT, "site_publishing")

    [draft] = newsroom.look_up()
    written = platform.update(draft, platform.payload(story), story.identity)
    assert written.state is RemoteState.LIVE

    newsroom.peer.collections[newsroom.articles].is_changed = True
    error = failure_of(lambda: platform.update(written, platform.payload(story), story.identity))
    assert error.error_class is ErrorClass.RATE_LIMITED


def test_fields_that_are_gone_are_told(newsroom: Newsroom) -> None:
    """Somebody took one out of the collection since the last test."""
    fields = newsroom.peer.collections[newsroom.articles].fields
    fields[:] = [one for one in fields if one["slug"] != "post-summary"]

    error = failure_of(newsroom.create)

    assert (error.error_class, error.code) == (ErrorClass.CONFIG, "collection_changed")
    assert error.field == "post-summary"
    assert "Test the integration" in error.help


def test_terms_that_are_gone_are_told(newsroom: Newsroom) -> None:
    """An item that is not there, or not published, cannot be referred to."""
    hidden = newsroom.peer.add_item(newsroom.tags, is_live=False, name="Sea", slug="sea")
    for gone in (hidden, "0" * 24):
        error = failure_of(lambda gone=gone: newsroom.create(story_of(terms={"tags": [gone]})))
        assert (error.error_class, error.field) == (ErrorClass.TAXONOMY, "tags")


@pytest.mark.parametrize(
    ("token", "error_class", "said"),
    [
        ("wrong", ErrorClass.AUTH, "does not accept the token"),
        ("reader", ErrorClass.PERMISSION, "lacks the scope cms:write"),
    ],
)
def test_tokens_that_do_not_fit(
    newsroom: Newsroom, token: str, error_class: ErrorClass, said: str
) -> None:
    """Wrong ones, and such that may only read; no secret is in the message."""
    value = newsroom.peer.add_token(["cms:read"]) if token == "reader" else token
    error = failure_of(lambda: newsroom.create(token=value))

    assert error.error_class is error_class
    assert said in error.message
    assert value not in f"{error!r} {error.message} {error.help}" or value == "wrong"
    assert error.help


def test_the_service_asks_to_slow_down(newsroom: Newsroom) -> None:
    """Its `Retry-After` counts then, and not with a good answer."""
    newsroom.peer.behaviour.rate_limit = 1
    newsroom.peer.behaviour.retry_after = 17
    newsroom.peer.behaviour.clock = lambda: 1e9
    assert newsroom.look_up() == []

    error = failure_of(newsroom.look_up)

    assert (error.error_class, error.retry_after) == (ErrorClass.RATE_LIMITED, 17.0)


@pytest.mark.parametrize(("header", "seconds"), [({}, 60.0), ({"Retry-After": "99999"}, 21600.0)])
def test_how_long_to_wait(newsroom: Newsroom, header: dict[str, str], seconds: float) -> None:
    """A minute where nothing is said; six hours at most."""
    answer = newsroom.peer.error(429, "too_many_requests", **header)
    newsroom.peer.refuse("GET", "/collections/[^/]+/items", answer)

    assert failure_of(newsroom.look_up).retry_after == seconds


@pytest.mark.parametrize(
    ("status", "create", "read"),
    [
        (500, ErrorClass.AMBIGUOUS, ErrorClass.TRANSIENT),
        (503, ErrorClass.TRANSIENT, ErrorClass.TRANSIENT),
    ],
)
def test_problems_of_the_service(
    newsroom: Newsroom, status: int, create: ErrorClass, read: ErrorClass
) -> None:
    """What failed inside it may have been done."""
    answer = newsroom.peer.error(status, "internal_error", **{"Retry-After": "5"})
    newsroom.peer.refuse("POST", "/collections/[^/]+/items", answer)
    newsroom.peer.refuse("GET", "/collections/[^/]+/items", answer)

    written = failure_of(newsroom.create)

    assert written.error_class is create
    assert written.retry_after == (5.0 if status == 503 else None)
    assert failure_of(newsroom.look_up).error_class is read


def test_a_redirect_gets_no_token(newsroom: Newsroom) -> None:
    """Another address has to be entered."""
    with HTTPReceiver() as elsewhere:
        reply = (302, {"Location": f"{elsewhere.url}/v2"}, b"")
        newsroom.peer.refuse("POST", "/collections/[^/]+/items", reply)
        error = failure_of(newsroom.create)

        assert error.error_class is ErrorClass.CONFIG
        assert elsewhere.requests == []


# Fields.


def test_values_take_the_type_of_their_field(newsroom: Newsroom) -> None:
    """Each is stored as the service wants it."""
    platform = newsroom.platform(
        field_map={
            "firstpublished": "first-seen",
            "canonical_url": "source-link",
            "priority": "score",
            "extra.urgent": "is-urgent",
            "byline": "byline",
            "extra.mood": "mood",
            "media": "gallery",
            "abstract": None,
        }
    )
    item = {
        "firstpublished": NOON,
        "priority": "3",
        "byline": "By <b>A &amp; B</b>",
        "extra": {"urgent": True, "mood": "wild"},
    }
    picture = platform.upload(upload_of())
    story = story_of(
        item=item,
        canonical_url="https://example.com/storm",
        media={"one": StoryMedia("one", picture, alt="Sea")},
    )

    platform.create(platform.payload(story), story.identity)

    fields = newsroom.live()[0]["fieldData"]
    assert "post-summary" not in fields
    assert fields["first-seen"] == "2026-03-04T12:00:00.000Z"
    assert fields["source-link"] == "https://example.com/storm"
    assert (fields["score"], fields["is-urgent"]) == (3, True)
    assert (fields["byline"], fields["mood"]) == ("By A & B", "b" * 24)
    assert fields["gallery"] == [{"fileId": picture.id, "url": picture.url, "alt": "Sea"}]


@pytest.mark.parametrize(
    ("key", "slug", "value"),
    [
        ("extra.x", "score", "many"),
        ("extra.x", "score", "nan"),
        ("extra.x", "is-urgent", "perhaps"),
        ("extra.x", "first-seen", "yesterday"),
        ("extra.x", "source-link", "javascript:alert(1)"),
        ("extra.x", "mood", "bored"),
    ],
)
def test_values_that_do_not_fit_are_told(
    newsroom: Newsroom, key: str, slug: str, value: object
) -> None:
    """Before anything is sent."""
    platform = newsroom.platform(field_map={key: slug})

    error = failure_of(lambda: platform.payload(story_of(item={"extra": {"x": value}})))

    assert (error.error_class, error.field) == (ErrorClass.VALIDATION, slug)
    assert newsroom.peer.calls == []


def test_texts_are_cut_where_the_collection_says(platform: Webflow) -> None:
    """At a word, with a warning."""
    payload = platform.payload(story_of(abstract="wave " * 20))

    assert len(payload.fields["post-summary"]) <= 40
    assert payload.fields["post-summary"].endswith("…")
    assert "abstract_cut" in payload.warnings


def test_a_field_that_cannot_take_the_body_is_told(newsroom: Newsroom) -> None:
    """Else the story would go out without it."""
    platform = newsroom.platform(field_map={"body": "byline"})

    error = failure_of(lambda: platform.payload(story_of()))

    assert (error.error_class, error.code) == (ErrorClass.CONFIG, "field_type")


def test_plain_text_in_a_field_of_rich_text(newsroom: Newsroom) -> None:
    """Is encoded; other texts of an item are HTML."""
    fields = newsroom.peer.collections[newsroom.articles].fields
    fields.append(newsroom.peer.field("notes", "RichText"))
    tested = newsroom.test().remote
    item = {"extra": {"notes": "<p>R&amp;D<script>alert(1)</script></p>"}}
    abstract = newsroom.platform(field_map={"abstract": "notes"}, remote=tested)
    other = newsroom.platform(field_map={"extra.notes": "notes"}, remote=tested)

    plain = abstract.payload(story_of(abstract="R&D <b>"))
    markup = other.payload(story_of(item=item))

    assert plain.fields["notes"] == "<p>R&amp;D &lt;b&gt;</p>"
    assert markup.fields["notes"] == "<p>R&amp;D</p>"


@pytest.mark.parametrize("headline", ["", "  ", "\n"])
def test_a_story_needs_a_headline(platform: Webflow, headline: str) -> None:
    """Webflow has no items without a name."""
    error = failure_of(lambda: platform.payload(story_of(headline=headline)))

    assert (error.error_class, error.field) == (ErrorClass.VALIDATION, "headline")


def test_one_term_is_what_a_reference_takes(newsroom: Newsroom, platform: Webflow) -> None:
    """More are told."""
    ids = [newsroom.peer.add_item(newsroom.sections, name=n, slug=n) for n in ("one", "two")]

    payload = platform.payload(story_of(terms={"section": ids}))

    assert payload.fields["section"] == ids[0]
    assert payload.terms == {"section": [ids[0]]}
    assert "terms_cut" in payload.warnings


def test_a_required_field_has_to_be_filled(newsroom: Newsroom) -> None:
    """By a text, a picture or a term."""
    fields = newsroom.peer.collections[newsroom.articles].fields
    for slug in ("post-body", "main-image", "section"):
        required = [{**one, "isRequired": one["slug"] == slug} for one in fields]
        platform = newsroom.platform(remote={**newsroom.tested, "collection_fields": required})
        story = story_of(body="", terms={"section": []})

        error = failure_of(lambda platform=platform, story=story: platform.payload(story))

        assert (error.error_class, error.field) == (ErrorClass.VALIDATION, slug)
        assert slug in error.message


def test_the_payload_is_the_same_for_the_same_story(platform: Webflow) -> None:
    """Also once it has been published: changes are told by it."""
    story = story_of()

    assert platform.payload(story) == platform.payload(replace(story, published_at=None))


def test_the_connection_has_to_be_tested_first(newsroom: Newsroom) -> None:
    """Nothing is known of the collection before, nor of another one that was chosen since."""
    for unknown in ({"remote": {}}, {"collection": newsroom.tags}):
        platform = newsroom.platform(**unknown)
        error = failure_of(lambda platform=platform: platform.payload(story_of()))
        assert (error.error_class, error.code) == (ErrorClass.CONFIG, "not_tested")


def test_a_schedule_is_not_for_the_service(newsroom: Newsroom, platform: Webflow) -> None:
    """It is kept here, always."""
    story = story_of(schedule_at=NOON)

    assert not platform.can_schedule
    assert failure_of(lambda: platform.payload(story)).error_class is ErrorClass.UNSUPPORTED
    post = newsroom.create()
    assert failure_of(lambda: platform.unschedule(post)).error_class is ErrorClass.UNSUPPORTED


@pytest.mark.parametrize(
    ("domain", "start"),
    [("www.example.com", "https://www.example.com/"), ("http://a.test:8", "http://a.test:8/")],
)
def test_public_addresses_are_put_together(newsroom: Newsroom, domain: str, start: str) -> None:
    """Domain, collection, slug."""
    post = newsroom.create(domain=domain)

    assert post.url == f"{start}articles/{post.slug}"


@pytest.mark.parametrize(
    ("domains", "root"),
    [([], "https://daily.webflow.io"), (["daily.example"], "https://daily.example")],
)
def test_the_site_names_its_own_address(newsroom: Newsroom, domains: list[str], root: str) -> None:
    """Its first domain, or the one that it has from the service."""
    added = [{"id": "0" * 24, "url": one} for one in domains]
    newsroom.peer.sites[newsroom.site].custom_domains = added
    found = newsroom.test()

    post = newsroom.create(domain=None, remote=found.remote)

    assert post.url.startswith(f"{root}/articles/")


# Files.


def test_a_file_is_uploaded_and_found_again(newsroom: Newsroom, platform: Webflow) -> None:
    """By a name that its content gives, on whatever page of the list."""
    for number in range(120):
        entry = platform._api.post(
            f"/sites/{newsroom.site}/assets", {"fileName": f"{number}.png", "fileHash": "0" * 32}
        )
        assert entry["id"]
    upload = upload_of()
    assert platform.find_media(upload) is None

    media = platform.upload(upload)

    [asset] = newsroom.peer.finished_assets()
    assert (asset.id, asset.data, asset.name) == (media.id, PNG, upload.filename)
    found = platform.find_media(upload)
    assert found is not None
    assert (found.id, found.url) == (media.id, media.url)
    assert platform.has_media(media)
    assert platform.delete_media(media)
    assert platform.delete_media(media)
    assert not platform.has_media(media)


@pytest.mark.parametrize("takes_it", [True, False])
def test_alternative_texts(newsroom: Newsroom, platform: Webflow, takes_it: bool) -> None:
    """Go with the file where the service takes them there."""
    newsroom.peer.behaviour.asset_alt_text = takes_it

    platform.upload(upload_of(alt="Waves"))

    assert newsroom.peer.finished_assets()[0].alt_text == ("Waves" if takes_it else None)


@pytest.mark.parametrize("listed", [True, False])
def test_an_entry_without_bytes_is_no_file(
    newsroom: Newsroom, platform: Webflow, listed: bool
) -> None:
    """Whoever died between the two steps left one."""
    newsroom.peer.behaviour.lists_unfinished_assets = listed
    newsroom.peer.refuse("POST", "/upload", Fault.CLOSE)
    upload = upload_of()
    assert failure_of(lambda: platform.upload(upload)).error_class is ErrorClass.AMBIGUOUS

    assert platform.find_media(upload) is None
    platform.upload(upload)
    assert len(newsroom.peer.finished_assets()) == 1


def test_a_file_whose_answer_was_lost_is_found(newsroom: Newsroom, platform: Webflow) -> None:
    """It is not uploaded again."""
    newsroom.peer.lose_answer("POST", "/upload")
    upload = upload_of()
    assert failure_of(lambda: platform.upload(upload)).error_class is ErrorClass.AMBIGUOUS

    assert platform.find_media(upload) is not None


@pytest.mark.parametrize(
    ("reply", "error_class", "code"),
    [
        ((403, {}, b"<Error><Code>AccessDenied</Code></Error>"), ErrorClass.MEDIA, "AccessDenied"),
        ((400, {}, b"no reason"), ErrorClass.MEDIA, "http_400"),
        ((503, {}, b"<Error><Code>SlowDown</Code></Error>"), ErrorClass.TRANSIENT, "SlowDown"),
    ],
)
def test_the_store_of_files_refuses(
    newsroom: Newsroom, platform: Webflow, reply: Any, error_class: ErrorClass, code: str
) -> None:
    """Its reason is told, and the entry is taken back."""
    newsroom.peer.refuse("POST", "/upload", reply)

    error = failure_of(lambda: platform.upload(upload_of()))

    assert (error.error_class, error.code) == (error_class, code)
    assert newsroom.peer.assets == {}


def test_broken_bytes_are_refused(newsroom: Newsroom, platform: Webflow) -> None:
    """The digest goes along, and the store of files compares it."""
    upload = replace(upload_of(), md5="0" * 32)

    error = failure_of(lambda: platform.upload(upload))

    assert (error.error_class, error.code) == (ErrorClass.MEDIA, "BadDigest")


def test_wrong_types_are_refused(newsroom: Newsroom, platform: Webflow) -> None:
    """By the name that the file would have."""
    upload = replace(upload_of(), extension="exe", mime="application/x-msdownload")

    assert failure_of(lambda: platform.upload(upload)).error_class is ErrorClass.MEDIA


def test_the_token_stays_with_the_service(newsroom: Newsroom, platform: Webflow) -> None:
    """The store of files and the public hosts do not get it."""
    platform.upload(upload_of())
    platform.find_media(upload_of())

    others = [one for one in newsroom.peer.requests if not one.path.startswith("/v2/")]
    assert {one.path.split("/")[1] for one in others} == {"upload", "files"}
    assert all("authorization" not in one.headers for one in others)


def test_uploads_need_tls_where_the_service_has_it(newsroom: Newsroom, http: HTTPClient) -> None:
    """A file does not leave in the clear."""
    secure = replace(newsroom.platform().site, base_url="https://api.example.com/v2")
    platform = Webflow(secure, SiteClient(http))

    error = failure_of(
        lambda: platform._send_bytes(upload_of(), {"uploadUrl": "http://127.0.0.1:9/"})
    )

    assert (error.error_class, error.code) == (ErrorClass.MEDIA, "insecure_upload")


# Terms.


def test_taxonomies_are_fields(newsroom: Newsroom, platform: Webflow) -> None:
    """References and options; options cannot be added."""
    found = {one.id: one.can_create for one in platform.taxonomies()}

    assert found == {"section": True, "tags": True, "mood": False}
    defaults = {scheme: platform.default_taxonomy(scheme) for scheme in ("anpa_category", "mood")}
    assert defaults == {"anpa_category": "section", "mood": "mood"}
    assert platform.default_taxonomy("keywords") == "tags"
    assert platform.default_taxonomy("genre") is None
    mapped = newsroom.platform(field_map={"genre": "mood", "keywords": None})
    assert mapped.default_taxonomy("genre") == "mood"
    assert mapped.default_taxonomy("keywords") is None


def test_terms_are_listed(newsroom: Newsroom, platform: Webflow) -> None:
    """All pages of them."""
    ids = [
        newsroom.peer.add_item(newsroom.tags, name=f"Tag {number}", slug=f"tag-{number}")
        for number in range(205)
    ]

    assert [term.id for term in platform.terms("tags")] == ids
    assert [term.name for term in platform.terms("mood")] == ["Calm", "Wild"]
    assert failure_of(lambda: list(platform.terms("nothing"))).error_class is ErrorClass.TAXONOMY


def test_a_term_is_created_once(newsroom: Newsroom, platform: Webflow) -> None:
    """It is published, so that items can refer to it; a lost answer makes no second one."""
    newsroom.peer.lose_answer("POST", "/collections/[^/]+/items")
    assert failure_of(lambda: platform.create_term("tags", "Sea", "sea")).error_class is (
        ErrorClass.AMBIGUOUS
    )
    term = platform.create_term("tags", "Sea", "sea")

    assert platform.create_term("tags", "Sea", "sea") == term
    assert platform.create_term("tags", "Seas", "sea") == term
    assert [item["id"] for item in newsroom.peer.live_items(newsroom.tags)] == [term.id]
    story = story_of(terms={"tags": [term.id]})
    assert newsroom.create(story).mismatches == {}


def test_an_option_cannot_be_created(platform: Webflow) -> None:
    """A person has to."""
    error = failure_of(lambda: platform.create_term("mood", "Bored", "bored"))

    assert (error.error_class, error.code) == (ErrorClass.TAXONOMY, "unmapped")
    assert "in Webflow" in error.help


# Connection test.


def checks_of(found: ConnectionTest) -> dict[str, bool]:
    return {check.name: check.ok for check in found.checks}


def failed(found: ConnectionTest) -> Check:
    return next(check for check in found.checks if not check.ok)


@pytest.mark.parametrize("introspects", [True, False])
def test_a_good_connection(newsroom: Newsroom, introspects: bool) -> None:
    """Every step is told; what it found is kept."""
    newsroom.peer.behaviour.introspects = introspects
    found = newsroom.test()

    assert found.ok
    assert list(checks_of(found)) == ["login", "clock", "site", "rights", "target", "fields"]
    assert [one["slug"] for one in found.remote["types"]] == ["articles"]
    assert found.remote["timezone"] == "Europe/Vienna"
    assert found.remote.get("capabilities") == (sorted(ALL_SCOPES) if introspects else None)
    assert newsroom.peer.writes == []
    assert newsroom.token not in repr(found)


def test_a_test_that_writes_leaves_nothing_behind(newsroom: Newsroom) -> None:
    """A draft and a picture are made and deleted, whatever fields are required."""
    fields = newsroom.peer.collections[newsroom.articles].fields
    for field in fields:
        is_sure = field["type"] not in ("Reference", "MultiReference", "MultiImage")
        field["isRequired"] = is_sure
    newsroom.options["field_map"] = {
        field["slug"]: field["slug"] for field in fields if field["slug"] not in ("name", "slug")
    }
    found = newsroom.test(write=True)

    assert found.ok
    assert len(newsroom.peer.writes) == 4
    assert (newsroom.staged(), newsroom.peer.assets) == ([], {})


@pytest.mark.parametrize(
    ("spoil", "name", "error_class", "said"),
    [
        ({"token": "wrong"}, "login", ErrorClass.AUTH, "does not accept the token"),
        ({"site_id": "0" * 24}, "site", ErrorClass.CONFIG, "no such site"),
        ({"collection": "0" * 24}, "target", ErrorClass.CONFIG, "no such collection"),
        ({"field_map": {"body": "nothing"}}, "fields", ErrorClass.CONFIG, "no field nothing"),
        ({"field_map": {"body": "score"}}, "fields", ErrorClass.CONFIG, "type Number"),
        ({"auto_site_publish": True}, "rights", ErrorClass.PERMISSION, "sites:write"),
    ],
)
def test_what_is_wrong_is_said(
    newsroom: Newsroom, spoil: dict[str, Any], name: str, error_class: ErrorClass, said: str
) -> None:
    """In words that tell a person what to do."""
    scopes = [scope for scope in ALL_SCOPES if scope != "sites:write"]
    found = newsroom.test(**{"token": newsroom.peer.add_token(scopes), **spoil})

    check = failed(found)
    assert check.error is not None
    assert (check.name, check.error.error_class) == (name, error_class)
    assert said in check.message
    assert check.error.help


def test_scopes_that_are_lacking_are_named(newsroom: Newsroom) -> None:
    """All of them."""
    found = newsroom.test(token=newsroom.peer.add_token(["sites:read", "cms:read"]))

    check = failed(found)
    assert check.message == "The token lacks the scopes cms:write, assets:read, assets:write"


def test_a_required_field_that_nothing_fills(newsroom: Newsroom) -> None:
    """Would refuse every story."""
    fields = newsroom.peer.collections[newsroom.articles].fields
    fields.append(newsroom.peer.field("legal", "PlainText", required=True))

    assert "The field legal is required" in failed(newsroom.test()).message


def test_a_site_that_was_never_published(newsroom: Newsroom) -> None:
    """Takes no items."""
    newsroom.peer.sites[newsroom.site].last_published = None

    check = failed(newsroom.test())
    assert check.error is not None
    assert check.error.help == "Publish the site once in Webflow"


def test_a_clock_that_is_wrong(newsroom: Newsroom) -> None:
    """Is told, and the other steps are made all the same."""
    newsroom.peer.behaviour.clock = lambda: 1e9
    found = newsroom.test()

    assert checks_of(found) == {
        "login": True, "clock": False, "site": True, "rights": True, "target": True,
        "fields": True,
    }  # fmt: skip


def test_nobody_answers(newsroom: Newsroom, http: HTTPClient) -> None:
    """One failing step, no exception; what was known stays known."""
    with HTTPReceiver() as closed:
        address = closed.url
    away = Webflow(replace(newsroom.platform().site, base_url=address), SiteClient(http))

    found = away.test()

    assert checks_of(found) == {"login": False}
    assert found.remote == newsroom.tested


@pytest.mark.parametrize(
    ("token", "is_good"), [("a" * 64, True), ("", False), ("a b", False), ("ä", False)]
)
def test_forms_of_tokens(token: str, is_good: bool) -> None:
    """Whatever has no spaces."""
    assert (Webflow.check_credentials({"token": token}) == {}) is is_good
    assert Webflow.check_credentials({}) != {}


# Answers that nobody expects.

KEYS = (
    "id", "items", "assets", "collections", "fields", "pagination", "total", "fieldData", "slug",
    "name", "code", "message", "details", "param", "description", "errors", "publishedItemIds",
    "authorization", "scope", "rateLimit", "customDomains", "url", "uploadUrl", "uploadDetails",
    "hostedUrl", "originalFileName", "validations", "options", "type", "lastPublished",
    "createdOn", "isDraft", "isArchived",
)  # fmt: skip
TEXTS = st.sampled_from(["", "x", "0" * 24, "storm", "http://127.0.0.1:9/x", "RichText", "Option"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 500) | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6)
    ),
    max_leaves=20,
)
STATUSES = st.sampled_from([200, 202, 204, 302, 400, 401, 403, 404, 409, 413, 429, 500, 503])


@given(status=STATUSES, value=VALUES | st.dictionaries(st.sampled_from(KEYS), VALUES))
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_answer_is_understood_or_told(http: HTTPClient, status: int, value: Any) -> None:
    """Whatever the service answers, `PlatformError` is all that comes of it."""
    reply = (status, {"Content-Type": "application/json"}, orjson.dumps(value))
    site = Site("i", "", {"token": "t"}, {"collection": "c", "site_id": "s"})
    post = RemotePost("0" * 24, RemoteState.LIVE)
    identity = identity_of()
    with HTTPReceiver(lambda _: reply) as receiver:
        platform = Webflow(replace(site, base_url=receiver.url), SiteClient(http))
        acts: list[Callable[[], Any]] = [
            lambda: platform.look_up(identity),
            lambda: platform.read(post.id),
            lambda: platform.create(Payload({"name": "Storm"}), identity),
            lambda: platform.update(post, Payload({"name": "Storm"}), identity),
            lambda: platform.retract(post, RetractMode.UNPUBLISH),
            lambda: platform.discard(post),
            lambda: platform.find_media(upload_of()),
            lambda: platform.upload(upload_of()),
            lambda: platform.has_media(RemoteMedia("0" * 24, "x")),
            lambda: platform.taxonomies(),
            lambda: list(platform.terms("tags")),
            lambda: platform.create_term("tags", "Sea", "sea"),
        ]
        for act in acts:
            with suppress(PlatformError):
                act()
        platform.test(write=True)

"""Ghost against a real one, and through a proxy that loses answers."""

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from tests.peers.ghost import OWNER, GhostPeer
from tests.peers.proxy import Fault, Proxy, Reply
from tests.support.processes import wait_until
from tests.support.sites import build_identity, build_picture, build_upload
from transmitters.base import TransmitSettings
from transmitters.cms import ghost_api
from transmitters.cms.base import (
    ErrorClass,
    MediaUpload,
    Mismatch,
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
from transmitters.cms.ghost import Ghost
from transmitters.cms.http import CHUNK, SiteClient
from transmitters.http_client import HTTPClient

pytestmark = pytest.mark.peers

LONG_AGO = datetime(2020, 5, 17, 9, 30, tzinfo=UTC)


class LateClock:
    """A clock that is behind by some minutes."""

    def __init__(self, minutes: float) -> None:
        self._late = timedelta(minutes=minutes)

    def now(self) -> datetime:
        return datetime.now(UTC).replace(microsecond=0) - self._late

    def precise(self) -> datetime:
        return datetime.now(UTC) - self._late


@pytest.fixture
def http() -> Iterator[HTTPClient]:
    client = HTTPClient(
        TransmitSettings(http_connect_timeout=10, http_read_timeout=30, http_total_timeout=60)
    )
    yield client
    client.close()


@pytest.fixture
def connect(ghost: GhostPeer, http: HTTPClient) -> Callable[..., Ghost]:
    """Return a platform that speaks with the peer, or with it through a proxy."""

    def connected(
        url: str = "", *, key: str = "", clock: Any = None, remote: Any = None, **options: Any
    ) -> Ghost:
        site = Site(
            id="integration",
            base_url=url or ghost.url,
            credentials={"admin_api_key": key or ghost.admin_api_key},
            options={"kind": "posts", "visibility": "public", **options},
            remote=remote or {},
        )
        return Ghost(site, SiteClient(http), clock)

    return connected


@pytest.fixture
def site(connect: Callable[..., Ghost]) -> Ghost:
    return connect()


@pytest.fixture
def proxy(ghost: GhostPeer) -> Iterator[Proxy]:
    with Proxy(ghost.url) as proxy:
        yield proxy


@pytest.fixture
def identity() -> PostIdentity:
    return build_identity()


def story(identity: PostIdentity, **fields: Any) -> Story:
    return Story(
        identity,
        **{
            "headline": "Harbour opens",
            "abstract": "In short.",
            "body": f"<p>The harbour {identity.ref} is open.</p>",
            "terms": {"tags": []},
            "published_at": LONG_AGO,
            **fields,
        },
    )


def publish(site: Ghost, identity: PostIdentity, **fields: Any) -> RemotePost:
    return site.create(site.payload(story(identity, **fields)), identity)


def update(site: Ghost, post: RemotePost, identity: PostIdentity, **fields: Any) -> RemotePost:
    return site.update(post, site.payload(story(identity, **fields)), identity)


def found(site: Ghost, post_id: str) -> RemotePost:
    post = site.read(post_id)
    assert post is not None
    return post


def ours(ghost: GhostPeer, identity: PostIdentity) -> list[Mapping[str, Any]]:
    """Return everything at the peer that carries the marker, in any state, page or post."""
    return [
        post
        for kind in ("posts", "pages")
        for post in ghost.posts(kind)
        if identity.ref in (post["codeinjection_head"] or "")
    ]


def file_of(data: bytes, mime: str, extension: str) -> MediaUpload:
    return build_upload(data, mime=mime, extension=extension)


@contextmanager
def refused(error_class: ErrorClass, code: str = "") -> Iterator[None]:
    """Expect a failure of this class."""
    with pytest.raises(PlatformError) as caught:
        yield
    assert caught.value.error_class == error_class, caught.value
    assert code in ("", caught.value.code), caught.value


class TestPublishing:
    """From the first publication to the last."""

    def test_create(self, ghost: GhostPeer, site: Ghost, identity: PostIdentity) -> None:
        """Text, excerpt, time and access are those of the story; readers see it at its address."""
        post = publish(site, identity)

        assert (post.state, post.slug, post.mismatches) == (RemoteState.LIVE, identity.slug, {})
        assert (post.is_ours, post.published_at) == (True, LONG_AGO)
        status, page = ghost.page(post.url)
        assert (status, "Harbour opens" in page, identity.ref in page) == (200, True, True)
        stored = ghost.post(post.id)
        assert stored["html"] == f"<p>The harbour {identity.ref} is open.</p>"
        assert (stored["custom_excerpt"], stored["visibility"]) == ("In short.", "public")
        assert (stored["email"], stored["newsletter"]) == (None, None)

    def test_correction(self, ghost: GhostPeer, site: Ghost, identity: PostIdentity) -> None:
        """Id, address and time stay, whatever the headline is (cms contract G4)."""
        post = publish(site, identity)
        corrected = update(
            site, found(site, post.id), identity, headline="Harbour shut", body="<p>Shut.</p>"
        )

        assert (corrected.id, corrected.url) == (post.id, post.url)
        assert (corrected.slug, corrected.published_at) == (identity.slug, LONG_AGO)
        stored = ghost.post(post.id)
        assert (stored["title"], stored["html"]) == ("Harbour shut", "<p>Shut.</p>")
        assert ghost.page(post.url)[0] == 200
        assert len(ours(ghost, identity)) == 1

    def test_what_is_gone_from_the_story_goes_from_the_post(
        self, ghost: GhostPeer, site: Ghost, identity: PostIdentity
    ) -> None:
        """An empty body, too, which Ghost would take for no change."""
        media = site.upload(build_upload())
        post = publish(
            site,
            identity,
            media={"featuremedia": StoryMedia("featuremedia", media, "A boat", "Caption")},
            feature="featuremedia",
            canonical_url="https://example.com/a",
        )
        stored = ghost.post(post.id)
        assert (stored["feature_image"], stored["feature_image_alt"]) == (media.url, "A boat")
        assert stored["canonical_url"] == "https://example.com/a"

        update(site, found(site, post.id), identity, abstract="", body="")
        stored = ghost.post(post.id)
        names = ("html", "custom_excerpt", "feature_image", "feature_image_alt", "canonical_url")
        assert [stored[name] for name in names] == [None] * 5

    def test_what_an_editor_of_the_site_owns_stays(
        self, ghost: GhostPeer, site: Ghost, identity: PostIdentity
    ) -> None:
        """Fields without a counterpart in items, and a script that was added to the marker."""
        post = publish(site, identity)
        head = f"<script>1</script>\n{identity.marker}"
        ghost.edit(post.id, featured=True, meta_title="For search engines", codeinjection_head=head)
        update(site, found(site, post.id), identity, headline="Other")

        stored = ghost.post(post.id)
        assert (stored["featured"], stored["meta_title"]) == (True, "For search engines")
        assert stored["codeinjection_head"] == head

    def test_a_lost_marker_comes_back(
        self, ghost: GhostPeer, site: Ghost, identity: PostIdentity
    ) -> None:
        """With the next update, before what somebody has put there instead."""
        post = publish(site, identity)
        ghost.edit(post.id, codeinjection_head="<meta name='a'>")
        update(site, found(site, post.id), identity)

        head = ghost.post(post.id)["codeinjection_head"]
        assert head == f"{identity.marker}\n<meta name='a'>"

    def test_unpublish_and_publish_again(
        self, ghost: GhostPeer, site: Ghost, identity: PostIdentity
    ) -> None:
        """The same post is live at the same address again, with the time that it had."""
        post = publish(site, identity)
        assert site.retract(found(site, post.id), RetractMode.UNPUBLISH) == RemoteState.DRAFT
        assert ghost.page(post.url)[0] == 404
        draft = found(site, post.id)
        assert (draft.state, draft.url, draft.slug) == (RemoteState.DRAFT, "", identity.slug)

        again = update(site, draft, identity, headline="Harbour open again")
        assert (again.state, again.url, again.published_at) == (
            RemoteState.LIVE,
            post.url,
            LONG_AGO,
        )
        assert ghost.page(post.url)[0] == 200
        assert len(ours(ghost, identity)) == 1

    def test_kill(self, ghost: GhostPeer, site: Ghost, identity: PostIdentity) -> None:
        """Nothing public shows the text; the address of the preview does not either."""
        post = publish(site, identity, body=f"<p>Libel {identity.ref}</p>")
        killed = update(site, found(site, post.id), identity, headline="Kill", body="<p>Kill</p>")
        assert site.retract(killed, RetractMode.DELETE) == RemoteState.DELETED

        uuid_address = f"{ghost.url}/p/{identity.ref}/"
        content = f"{ghost.url}/ghost/api/content/posts/?key={ghost.content_api_key}&limit=all"
        search = f"{ghost.url}/ghost/api/content/search-index/posts/?key={ghost.content_api_key}"
        assert (ghost.page(post.url)[0], ghost.page(uuid_address)[0]) == (404, 404)
        for address in (f"{ghost.url}/", f"{ghost.url}/rss/", content, search):
            assert f"Libel {identity.ref}" not in ghost.page(address)[1]
        assert site.look_up(identity) == []

    @pytest.mark.parametrize("mode", [RetractMode.UNPUBLISH, RetractMode.DELETE])
    def test_retracting_twice(self, site: Ghost, identity: PostIdentity, mode: RetractMode) -> None:
        """What is off already is off."""
        post = publish(site, identity)
        first = site.retract(post, mode)
        assert site.retract(post, mode) == first

    def test_modes_that_ghost_has_not(self, site: Ghost, identity: PostIdentity) -> None:
        """A trash becomes a draft."""
        assert site.retract(publish(site, identity), RetractMode.TRASH) == RemoteState.DRAFT

    def test_a_post_that_somebody_deleted(
        self, ghost: GhostPeer, site: Ghost, identity: PostIdentity
    ) -> None:
        """It is read as gone, an update says so, a retraction is done, and it can be made anew."""
        post = publish(site, identity)
        ghost.admin("DELETE", f"posts/{post.id}")

        assert site.read(post.id) is None
        with refused(ErrorClass.NOT_FOUND):
            update(site, post, identity)
        assert site.retract(post, RetractMode.UNPUBLISH) == RemoteState.DELETED
        site.discard(post)
        assert site.look_up(identity) == []
        assert publish(site, identity).slug == identity.slug

    @pytest.mark.parametrize("post_id", ["", "..", "a/b", "0" * 23])
    def test_an_id_that_is_none(self, site: Ghost, identity: PostIdentity, post_id: str) -> None:
        """It never names a list of posts, nor anything else than a post."""
        site.retract(RemotePost(post_id, RemoteState.LIVE), RetractMode.DELETE)
        assert site.read(post_id) is None

    def test_pages(
        self, ghost: GhostPeer, connect: Callable[..., Ghost], identity: PostIdentity
    ) -> None:
        """The option `kind` makes pages; they can be corrected, found and taken off like posts."""
        site = connect(kind="pages")
        page = publish(site, identity)
        assert [one["id"] for one in ghost.posts("pages") if one["id"] == page.id] == [page.id]
        update(site, found(site, page.id), identity, headline="Changed")
        assert ghost.post(page.id, "pages")["title"] == "Changed"
        assert [one.id for one in site.look_up(identity)] == [page.id]
        assert site.retract(page, RetractMode.DELETE) == RemoteState.DELETED

    @pytest.mark.parametrize("visibility", ["members", "paid"])
    def test_who_may_read(
        self,
        ghost: GhostPeer,
        connect: Callable[..., Ghost],
        identity: PostIdentity,
        visibility: str,
    ) -> None:
        """It is sent each time, so a change at the site does not last."""
        site = connect(visibility=visibility)
        post = publish(site, identity)
        assert (ghost.post(post.id)["visibility"], post.mismatches) == (visibility, {})
        ghost.edit(post.id, visibility="public")
        update(site, found(site, post.id), identity)
        assert ghost.post(post.id)["visibility"] == visibility

    @pytest.mark.parametrize("visibility", ["public", "paid"])
    def test_who_may_read_by_tiers(
        self,
        ghost: GhostPeer,
        connect: Callable[..., Ghost],
        identity: PostIdentity,
        visibility: str,
    ) -> None:
        """A post that somebody has kept for some tiers is for the same readers again."""
        site = connect(visibility=visibility)
        post = publish(site, identity)
        (tier, *_others) = ghost.admin("GET", "tiers", filter="type:paid")["tiers"]
        edited = ghost.edit(post.id, visibility="tiers", tiers=[{"id": tier["id"]}])
        assert edited["visibility"] == "tiers"
        update(site, found(site, post.id), identity)
        assert ghost.post(post.id)["visibility"] == visibility
        readers_see = f"The harbour {identity.ref} is open." in ghost.page(post.url)[1]
        assert readers_see is (visibility == "public")

    @pytest.mark.parametrize(
        "headline",
        [
            'Cats & "dogs" <b>not bold</b>',
            "A 'quoted' \\ headline, with; all: sorts (of) [signs]",
            "😀 flood",
            "شرق المتوسط",
            "é" * 255,
        ],
    )
    def test_headlines(
        self, ghost: GhostPeer, site: Ghost, identity: PostIdentity, headline: str
    ) -> None:
        """They arrive as they are: titles are text."""
        assert ghost.post(publish(site, identity, headline=headline).id)["title"] == headline

    def test_long_texts(self, ghost: GhostPeer, site: Ghost, identity: PostIdentity) -> None:
        """Cut to what Ghost takes, with a warning; a megabyte of text is none too many."""
        body = "".join(f"<p>{'word ' * 100}{n}</p>" for n in range(2000))
        payload = site.payload(
            story(identity, headline="😀 word " * 60, abstract="short " * 100, body=body)
        )
        assert {"title_cut", "excerpt_cut"} <= set(payload.warnings)
        post = site.create(payload, identity)
        stored = ghost.post(post.id)
        assert stored["title"].endswith("…")
        assert len(stored["html"]) > 1_000_000


class TestAuthors:
    """Ghost puts the owner's name to a post whose author it does not know."""

    def test_author(self, ghost: GhostPeer, site: Ghost, identity: PostIdentity) -> None:
        """A user of the site is named by the e-mail address."""
        post = publish(site, identity, author=OWNER["email"])
        assert ghost.post(post.id)["authors"][0]["email"] == OWNER["email"]

    @pytest.mark.parametrize("author", ["nobody@ghost.test", "o'brien\"@ghost.test", "x"])
    def test_unknown_author(
        self, ghost: GhostPeer, site: Ghost, identity: PostIdentity, author: str
    ) -> None:
        """Nothing is published in somebody else's name."""
        with refused(ErrorClass.VALIDATION, "unknown_author"):
            publish(site, identity, author=author)
        assert ours(ghost, identity) == []

    def test_authors_of_the_connection_test(
        self, connect: Callable[..., Ghost], proxy: Proxy, identity: PostIdentity
    ) -> None:
        """They are not asked for again."""
        remote = connect().test().remote
        publish(connect(proxy.url, remote=remote), identity, author=OWNER["email"])
        assert proxy.count() == 1


class TestFinding:
    """The look-up before a create, and after an answer that got lost."""

    @pytest.mark.parametrize("kind", ["posts", "pages"])
    def test_every_state(
        self, connect: Callable[..., Ghost], identity: PostIdentity, kind: str
    ) -> None:
        """Live, draft and scheduled posts are found by their marker."""
        site = connect(kind=kind)
        assert site.look_up(identity) == []
        post = publish(site, identity)
        assert [(one.id, one.state) for one in site.look_up(identity)] == [
            (post.id, RemoteState.LIVE)
        ]
        site.retract(post, RetractMode.UNPUBLISH)
        (draft,) = site.look_up(identity)
        assert (draft.state, draft.is_ours) == (RemoteState.DRAFT, True)
        later = datetime.now(UTC) + timedelta(hours=3)
        update(site, draft, identity, schedule_at=later)
        assert site.look_up(identity)[0].state == RemoteState.SCHEDULED

    def test_another_slug(self, ghost: GhostPeer, site: Ghost, identity: PostIdentity) -> None:
        """A person at the site may change it; the marker counts."""
        post = publish(site, identity)
        ghost.edit(post.id, slug=f"changed-{identity.ref}")
        assert [(one.id, one.is_ours) for one in site.look_up(identity)] == [(post.id, True)]
        renamed = update(site, found(site, post.id), identity, headline="New headline")
        assert renamed.slug == f"changed-{identity.ref}"

    def test_a_foreign_post_holds_the_slug(
        self, ghost: GhostPeer, site: Ghost, identity: PostIdentity
    ) -> None:
        """It is told apart, and left alone; the answer to the create tells that it is there."""
        clean = build_identity(f"clean-{identity.ref[:5]}x")
        (foreign,) = ghost.admin("POST", "posts", {"posts": [{"title": "X", "slug": clean.slug}]})[
            "posts"
        ]
        assert [(one.id, one.is_ours) for one in site.look_up(clean)] == [(foreign["id"], False)]
        post = publish(site, clean)
        assert post.mismatches[Mismatch.SLUG] == (f"{clean.slug}-2",)
        assert [(one.id, one.is_ours) for one in site.look_up(clean)] == [
            (post.id, True),
            (foreign["id"], False),
        ]
        assert ghost.post(foreign["id"])["title"] == "X"

    def test_a_post_of_another_integration_holds_the_slug(self, site: Ghost) -> None:
        """Its marker is not ours."""
        one, other = build_identity(slug := f"shared-{uuid4().hex[:8]}"), build_identity(slug)
        post = publish(site, one)
        assert [(hit.id, hit.is_ours) for hit in site.look_up(other)] == [(post.id, False)]

    def test_without_marker(self, ghost: GhostPeer, site: Ghost, identity: PostIdentity) -> None:
        """A slug that ends in our reference will do, one without will not."""
        clean = build_identity(f"clean-{identity.ref[:5]}y")
        for each in (identity, clean):
            ghost.edit(publish(site, each).id, codeinjection_head=None)
        assert [one.is_ours for one in site.look_up(identity)] == [True]
        assert [one.is_ours for one in site.look_up(clean)] == [False]

    def test_the_kind_was_changed_between_two_attempts(
        self, ghost: GhostPeer, connect: Callable[..., Ghost], identity: PostIdentity
    ) -> None:
        """The answer to the create tells that a page holds the slug; then both are found."""
        page = publish(connect(kind="pages"), identity)
        site = connect(kind="posts")
        second = publish(site, identity)
        assert Mismatch.SLUG in second.mismatches

        kept, other = site.look_up(identity)
        assert (kept.id, other.id) == (page.id, second.id)
        site.discard(other)
        assert [one["id"] for one in ours(ghost, identity)] == [page.id]
        assert update(site, found(site, page.id), identity, headline="Page").id == page.id
        assert site.retract(RemotePost(page.id, RemoteState.LIVE), RetractMode.DELETE)
        assert ours(ghost, identity) == []


class TestScheduling:
    """The site publishes by itself."""

    def test_schedule_and_publish_now(
        self, ghost: GhostPeer, site: Ghost, identity: PostIdentity
    ) -> None:
        """A scheduled post is not public; published, it is live now, not in the future."""
        later = datetime.now(UTC) + timedelta(days=2)
        post = publish(site, identity, schedule_at=later)
        assert (post.state, post.url, post.mismatches) == (RemoteState.SCHEDULED, "", {})
        assert ghost.page(f"{ghost.url}/{identity.slug}/")[0] == 404

        live = update(site, found(site, post.id), identity)
        assert live.state == RemoteState.LIVE
        assert live.published_at is not None
        assert live.published_at <= datetime.now(UTC)
        assert ghost.page(live.url)[0] == 200

    def test_taking_a_schedule_back(
        self, ghost: GhostPeer, site: Ghost, identity: PostIdentity
    ) -> None:
        """The post is a draft, and is live now when it is published later."""
        later = datetime.now(UTC) + timedelta(days=2)
        post = publish(site, identity, schedule_at=later)
        draft = site.unschedule(post)
        assert (draft.state, draft.id) == (RemoteState.DRAFT, post.id)
        assert ghost.post(post.id)["status"] == "draft"

        live = update(site, found(site, post.id), identity)
        assert (live.state, live.mismatches) == (RemoteState.LIVE, {})
        assert live.published_at is not None
        assert live.published_at <= datetime.now(UTC)

    def test_another_time(self, ghost: GhostPeer, site: Ghost, identity: PostIdentity) -> None:
        """An update of a scheduled post moves it."""
        first, second = (datetime.now(UTC) + timedelta(days=days) for days in (2, 3))
        post = publish(site, identity, schedule_at=first)
        moved = update(site, found(site, post.id), identity, schedule_at=second)
        assert (moved.state, moved.published_at) == (
            RemoteState.SCHEDULED,
            second.replace(microsecond=0),
        )

    def test_the_time_has_come(self, ghost: GhostPeer, site: Ghost, identity: PostIdentity) -> None:
        """The site publishes it, and it is read as live at its address."""
        post = publish(site, identity, schedule_at=datetime.now(UTC) - timedelta(seconds=30))
        wait_until(lambda: found(site, post.id).state == RemoteState.LIVE, 60)
        assert found(site, post.id).url == f"{ghost.url}/{identity.slug}/"

    def test_a_first_publication_that_lies_ahead(self, site: Ghost, identity: PostIdentity) -> None:
        """Of an item from a machine whose clock is ahead: it is live, and not in the future."""
        ahead = datetime.now(UTC) + timedelta(hours=1)
        post = publish(site, identity, published_at=ahead)
        assert post.state == RemoteState.LIVE
        assert post.published_at is not None
        assert post.published_at <= datetime.now(UTC)


class TestCollisions:
    """A person at the site writes the post meanwhile."""

    def test_an_update_tells(self, ghost: GhostPeer, site: Ghost, identity: PostIdentity) -> None:
        """Nothing is overwritten before somebody has decided; read again, it goes through."""
        post = publish(site, identity)
        stale = replace(found(site, post.id), modified="2020-01-01T00:00:00.000Z")
        ghost.edit(post.id, title="By a person")
        with refused(ErrorClass.CONFLICT, "UPDATE_COLLISION"):
            update(site, stale, identity, headline="By the desk")
        assert ghost.post(post.id)["title"] == "By a person"

        update(site, found(site, post.id), identity, headline="By the desk")
        assert ghost.post(post.id)["title"] == "By the desk"

    @pytest.mark.parametrize("modified", ["2020-01-01T00:00:00.000Z", ""])
    def test_a_retraction_goes_through(
        self, ghost: GhostPeer, site: Ghost, identity: PostIdentity, modified: str
    ) -> None:
        """Whatever is known of the last change, and nothing at all."""
        post = publish(site, identity)
        known = RemotePost(post.id, RemoteState.LIVE, modified=modified)
        assert site.retract(known, RetractMode.UNPUBLISH) == RemoteState.DRAFT
        assert ghost.page(post.url)[0] == 404

    def test_a_post_that_is_written_all_the_time(
        self,
        ghost: GhostPeer,
        connect: Callable[..., Ghost],
        proxy: Proxy,
        identity: PostIdentity,
    ) -> None:
        """After three times it is told."""
        post = publish(connect(), identity)
        error = b'{"errors":[{"message":"Saving failed!","type":"UpdateCollisionError"}]}'
        proxy.rule(Reply(409, error), method="PUT")
        with refused(ErrorClass.CONFLICT):
            connect(proxy.url).retract(post, RetractMode.UNPUBLISH)
        assert proxy.count("PUT") == 3


class TestLostAnswers:
    """Nobody knows what became of a write whose answer did not come."""

    @pytest.mark.parametrize(
        "fault",
        [
            Fault.LOSE_ANSWER,
            Fault.CUT_ANSWER,
            Reply(502, work_done=True),
            Reply(200, b"<html>Welcome</html>", work_done=True),
            Reply(200, b'{"other": "json"}', work_done=True),
        ],
        ids=["lost", "cut", "proxy error", "proxy page", "other json"],
    )
    def test_create(
        self,
        ghost: GhostPeer,
        connect: Callable[..., Ghost],
        proxy: Proxy,
        identity: PostIdentity,
        fault: Fault | Reply,
    ) -> None:
        """It is told as ambiguous, and the look-up finds the one post."""
        site = connect(proxy.url)
        proxy.rule(fault, method="POST", times=1)
        with refused(ErrorClass.AMBIGUOUS):
            publish(site, identity)
        assert [(one.state, one.is_ours) for one in site.look_up(identity)] == [
            (RemoteState.LIVE, True)
        ]
        assert len(ours(ghost, identity)) == 1

    def test_update_and_retraction(
        self, connect: Callable[..., Ghost], proxy: Proxy, identity: PostIdentity
    ) -> None:
        """The same for these; done again they succeed."""
        site = connect(proxy.url)
        post = publish(site, identity)
        for method, act in {
            "PUT": lambda: update(site, found(site, post.id), identity, headline="New"),
            "DELETE": lambda: site.retract(post, RetractMode.DELETE),
        }.items():
            proxy.rule(Fault.LOSE_ANSWER, method=method, times=1)
            with refused(ErrorClass.AMBIGUOUS):
                act()
            act()
        assert site.read(post.id) is None

    @pytest.mark.parametrize("fault", [Fault.LOSE_ANSWER, Reply(502), Reply(503)])
    def test_reading(
        self,
        connect: Callable[..., Ghost],
        proxy: Proxy,
        identity: PostIdentity,
        fault: Fault | Reply,
    ) -> None:
        """A look-up that fails is never taken for a clear none."""
        proxy.rule(fault)
        with refused(ErrorClass.TRANSIENT):
            connect(proxy.url).look_up(identity)

    @pytest.mark.parametrize(
        "reply",
        [Reply(200), Reply(404), Reply(200, b'{"pages": []}'), Reply(200, b"[]")],
        ids=["page", "not found", "other json", "list"],
    )
    def test_a_look_up_that_somebody_else_answers(
        self, connect: Callable[..., Ghost], proxy: Proxy, identity: PostIdentity, reply: Reply
    ) -> None:
        """It is no answer, so there is no create after it."""
        proxy.rule(reply)
        with refused(ErrorClass.CONFIG):
            connect(proxy.url).look_up(identity)

    def test_refused_connections(
        self, ghost: GhostPeer, connect: Callable[..., Ghost], proxy: Proxy, identity: PostIdentity
    ) -> None:
        """Nothing has arrived, so it can be tried again at once."""
        with proxy.down(), refused(ErrorClass.TRANSIENT):
            publish(connect(proxy.url), identity)
        publish(connect(proxy.url), identity)
        assert len(ours(ghost, identity)) == 1


@pytest.mark.chaos
@pytest.mark.timeout(600)
class TestCampaign:
    """Many posts through a proxy that loses every third answer, each written until it is there."""

    def test_one_post_each(
        self, ghost: GhostPeer, connect: Callable[..., Ghost], proxy: Proxy
    ) -> None:
        """Created, corrected and retracted: one post each, all alike, none in the end."""
        site = connect(proxy.url)
        identities = [build_identity() for _ in range(30)]
        for fault in (Fault.LOSE_ANSWER, Fault.CUT_ANSWER, Fault.LOSE_REQUEST):
            proxy.rule(fault, every=9)

        for headline in ("First", "Second"):
            for identity in identities:
                persistently(partial(self._show, site, identity, headline))
            assert self._titles(ghost, identities) == [[headline]] * len(identities)
        for identity in identities:
            persistently(partial(self._remove, site, identity))
        assert self._titles(ghost, identities) == [[]] * len(identities)

    def _titles(self, ghost: GhostPeer, identities: list[PostIdentity]) -> list[list[str]]:
        """Return the titles of the live posts of each."""
        posts = ghost.posts(filter="status:published", fields="title,codeinjection_head")
        heads = [(post["title"], post["codeinjection_head"] or "") for post in posts]
        return [[title for title, head in heads if one.marker in head] for one in identities]

    def _show(self, site: Ghost, identity: PostIdentity, headline: str) -> None:
        known = site.look_up(identity)
        if known:
            update(site, known[0], identity, headline=headline)
        else:
            publish(site, identity, headline=headline)

    def _remove(self, site: Ghost, identity: PostIdentity) -> None:
        for post in site.look_up(identity):
            site.retract(post, RetractMode.DELETE)


def persistently(act: Callable[[], None]) -> None:
    """Act again until nothing is in doubt."""
    for _ in range(20):
        try:
            return act()
        except PlatformError as error:
            if error.error_class not in (ErrorClass.AMBIGUOUS, ErrorClass.TRANSIENT):
                raise
    raise AssertionError("it never came through")


class TestRequests:
    """What an action costs."""

    def test_counts(
        self, connect: Callable[..., Ghost], proxy: Proxy, identity: PostIdentity
    ) -> None:
        """Create 2 with the look-up, update 2, retract 1, kill 2."""
        site = connect(proxy.url)
        costs = {}

        def cost(name: str, *acts: Callable[[], Any]) -> Any:
            before = proxy.count()
            results = [act() for act in acts]
            costs[name] = proxy.count() - before
            return results[-1]

        post = cost("create", lambda: site.look_up(identity), lambda: publish(site, identity))
        post = cost(
            "update", lambda: update(site, found(site, post.id), identity, headline="Corrected")
        )
        known = RemotePost(post.id, RemoteState.LIVE, modified=post.modified)
        cost("retract", lambda: site.retract(known, RetractMode.UNPUBLISH))
        live = update(site, found(site, post.id), identity)
        known = RemotePost(post.id, RemoteState.LIVE, modified=live.modified)
        cost(
            "kill",
            lambda: update(site, known, identity, headline="Kill", body="<p>Kill</p>"),
            lambda: site.retract(known, RetractMode.DELETE),
        )
        assert costs == {"create": 2, "update": 2, "retract": 1, "kill": 2}
        assert site.look_up(identity) == []


EMBED = (
    '<!-- EMBED START Image {{id: "editor_{n}"}} --><figure><img src="/old.png" alt="x">'
    '<figcaption>x</figcaption></figure><!-- EMBED END Image {{id: "editor_{n}"}} -->'
)
"""A picture as items hold it."""

TWEET = (
    '<div class="embed-block"><blockquote class="twitter-tweet"><p>Said</p></blockquote>'
    '<script async src="https://platform.twitter.com/widgets.js"></script></div>'
)


class TestBodies:
    """What readers see of a body after Ghost has read it, and written it anew."""

    @pytest.mark.parametrize(
        ("body", "shows"),
        [
            ('<p class="a" style="color:red">One <b>two</b> <i>three</i></p>', ["One", "two"]),
            ("<h1>Top</h1><h2>Below</h2>", ["<h2", "Top", "Below"]),
            ("<ol start=3><li>a<ul><li>b</li></ul></li></ol>", ["<ol", "<ul", "a", "b"]),
            ("<blockquote><p>Quote</p><p>More</p></blockquote>", ["<blockquote", "Quote", "More"]),
            ("<table><tr><th>Head</th></tr><tr><td>Cell</td></tr></table>", ["<table", "Cell"]),
            ("<pre>line 1\nline 2</pre>", ["<pre", "line 1", "line 2"]),
            ("<dl><dt>Term</dt><dd>Meaning</dd></dl>", ["Term", "Meaning"]),
            (TWEET, ["twitter-tweet", "widgets.js", "Said"]),
            (
                '<iframe src="https://www.youtube.com/embed/abcdefghijk"></iframe>',
                ["youtube.com/embed/abcdefghijk"],
            ),
            ("<hr><p>Caf&eacute; &amp; &lt;b&gt;</p>", ["<hr", "Café &amp; &lt;b&gt;"]),
            ("<p>H<sub>2</sub>O <sup>2</sup> <s>no</s></p>", ["<sub>2</sub>", "<sup>2</sup>"]),
        ],
        ids=lambda value: value[:14] if isinstance(value, str) else "",
    )
    def test_elements(
        self,
        ghost: GhostPeer,
        site: Ghost,
        identity: PostIdentity,
        body: str,
        shows: list[str],
    ) -> None:
        """Each is kept, or becomes what tells the same."""
        html = ghost.post(publish(site, identity, body=body).id)["html"]
        assert [text for text in shows if text not in html] == []

    @pytest.mark.parametrize(
        "body",
        [
            f"<p>a</p>{EMBED.format(n=1)}<p>b</p>{EMBED.format(n=2)}",
            '<p>a <img src="/1.png"> b <a href="https://e.example"><img src="/2.png"></a></p>',
            '<figure><img src="/1.png"><img src="/2.png"><figcaption>c</figcaption></figure>',
            '<ul><li><img src="/1.png"></li></ul><blockquote><img src="/2.png"></blockquote>',
            '<table><tr><td><img src="/1.png"></td><td><img src="/2.png"></td></tr></table>',
            '<h2><img src="/1.png"></h2><div><div><img src="/2.png"></div></div>',
            '<img src="/1.png"><img src="/1.png"><img src="/2.png">',
        ],
        ids=["embeds", "paragraph", "gallery", "list", "table", "heading", "bare"],
    )
    def test_pictures(
        self, ghost: GhostPeer, site: Ghost, identity: PostIdentity, body: str
    ) -> None:
        """None is dropped, wherever it stands."""
        media = {
            f"editor_{n}": StoryMedia(
                f"editor_{n}",
                site.upload(build_upload()),
                alt=f"Alt & {n}",
                caption=f"Caption {n}",
                source_urls=frozenset({f"/{n}.png"}),
            )
            for n in (1, 2)
        }
        payload = site.payload(story(identity, body=body, media=media))
        assert len(payload.media) == 2
        post = site.create(payload, identity)
        assert post.mismatches == {}
        html = ghost.post(post.id)["html"]
        assert all(file.url in html for file in payload.media)
        assert all(f"Alt &amp; {n}" in html for n in (1, 2))

    def test_a_body_of_nothing_but_a_recording(
        self, ghost: GhostPeer, site: Ghost, identity: PostIdentity
    ) -> None:
        """It is kept in a card; as plain HTML Ghost refuses it."""
        media = site.upload(file_of(b"ID3\x03" + b"\0" * 2000, "audio/mpeg", "mp3"))
        shown = StoryMedia("editor_1", media, source_urls=frozenset({"/1.mp3"}))
        post = publish(
            site, identity, body='<audio src="/1.mp3"></audio>', media={"editor_1": shown}
        )
        assert post.mismatches == {}
        assert media.url in ghost.post(post.id)["html"]

    def test_scripts(self, ghost: GhostPeer, site: Ghost, identity: PostIdentity) -> None:
        """What is active in an item reaches no reader."""
        body = (
            "<p onclick=alert(1)>a</p><script>alert(2)</script><a href='javascript:alert(3)'>b</a>"
            "<p>--><!--kg-card-begin: html--><script>alert(4)</script><!--kg-card-end: html--></p>"
        )
        html = ghost.post(publish(site, identity, body=body).id)["html"]
        assert "alert" not in html

    @pytest.mark.parametrize(
        "body", ["", " ", "<p></p>", "<p>&nbsp;</p>", "<!-- x -->", "<script>1</script>"]
    )
    def test_nothing_to_read(
        self, ghost: GhostPeer, site: Ghost, identity: PostIdentity, body: str
    ) -> None:
        """The headline stands alone, also where there was a text before."""
        post = publish(site, identity)
        update(site, found(site, post.id), identity, body=body)
        assert ghost.post(post.id)["html"] is None


class TestMedia:
    """Pictures and recordings."""

    def test_upload(self, ghost: GhostPeer, site: Ghost, identity: PostIdentity) -> None:
        """A picture is public at its address, and shown where the story shows it."""
        media = site.upload(build_upload())
        assert site.has_media(media)
        shown = StoryMedia("featuremedia", media, "Blue", "Sea & <sky>", "AAP")
        post = publish(site, identity, media={"featuremedia": shown}, feature="featuremedia")
        assert post.mismatches == {}
        stored = ghost.post(post.id)
        assert stored["feature_image"] == media.url
        assert "Sea &amp; &lt;sky&gt;" in stored["feature_image_caption"]
        # The theme shows it in several sizes.
        assert media.url.rpartition("/")[2] in ghost.page(post.url)[1]

    def test_a_large_file(self, site: Ghost) -> None:
        """It is read in small parts, and never held whole."""
        data = build_picture() + bytes(9 << 20)  # after its end, where nobody looks
        parts: list[int] = []

        class Stream(io.BytesIO):
            def read(self, size: int | None = -1) -> bytes:
                part = super().read(size)
                parts.append(len(part))
                return part

        upload = replace(file_of(data, "image/png", "png"), open=lambda: Stream(data))
        assert site.has_media(site.upload(upload))
        assert (sum(parts), max(parts)) == (len(data), CHUNK)

    def test_a_picture_that_ghost_drops(self, site: Ghost, identity: PostIdentity) -> None:
        """The answer is compared with what was sent."""
        media = RemoteMedia("x", "https://example.com/never.png")
        payload = site.payload(story(identity))
        dropped = f'<p>a</p><template><img src="{media.url}"></template>'
        payload = replace(payload, fields={**payload.fields, "html": dropped}, media=(media,))
        assert site.create(payload, identity).mismatches == {Mismatch.MEDIA: (media.url,)}

    def test_the_same_picture_twice(self, site: Ghost) -> None:
        """Ghost keeps both: there is no way to find a file or to remove it."""
        upload = build_upload()
        first, second = (site.upload(upload) for _ in range(2))
        assert first.url != second.url
        assert site.find_media(upload) is None
        assert (site.delete_media(first), site.has_media(first)) == (False, True)

    def test_a_file_that_is_gone(self, ghost: GhostPeer, site: Ghost) -> None:
        """It is told by its address."""
        media = RemoteMedia("x", f"{ghost.url}/content/images/2020/01/nothing.png")
        assert not site.has_media(media)

    def test_recordings(self, ghost: GhostPeer, site: Ghost) -> None:
        """Videos and audio files have an upload of their own."""
        media = site.upload(file_of(b"ID3\x03" + b"\0" * 2000, "audio/mpeg", "mp3"))
        assert "/content/media/" in media.url
        assert site.has_media(media)

    @pytest.mark.parametrize(
        ("data", "mime", "extension"),
        [
            (b"%PDF-1.4", "application/pdf", "pdf"),
            (b"BM" + b"\0" * 100, "image/bmp", "bmp"),
            (b"\x89PNG\r\n\x1a\nbroken", "image/png", "png"),
            (b"", "image/png", "png"),
        ],
    )
    def test_files_that_ghost_refuses(
        self, site: Ghost, data: bytes, mime: str, extension: str
    ) -> None:
        """By type, and broken ones."""
        with refused(ErrorClass.MEDIA):
            site.upload(file_of(data, mime, extension))

    def test_a_lost_answer(self, connect: Callable[..., Ghost], proxy: Proxy) -> None:
        """The file may be there; nobody can look it up."""
        proxy.rule(Fault.LOSE_ANSWER, method="POST", times=1)
        with refused(ErrorClass.AMBIGUOUS):
            connect(proxy.url).upload(build_upload())

    def test_too_large_for_the_web_server(
        self, connect: Callable[..., Ghost], proxy: Proxy
    ) -> None:
        """Its page is no answer of Ghost's, and says enough."""
        proxy.rule(Reply(413), method="POST")
        with refused(ErrorClass.MEDIA, "too_large"):
            connect(proxy.url).upload(build_upload())


class TestTags:
    """Tags are sent by the ids that the site gave them."""

    def test_all_pages(
        self, monkeypatch: pytest.MonkeyPatch, site: Ghost, identity: PostIdentity
    ) -> None:
        """However many there are, each once, with its posts counted."""
        monkeypatch.setattr(ghost_api, "PAGE", 2)
        made = [site.create_term("tags", uuid4().hex[:8], "") for _ in range(3)]
        publish(site, identity, terms={"tags": [made[0].id]})
        found = {term.id: term for term in site.terms("tags")}
        assert [found[term.id].name for term in made] == [term.name for term in made]
        assert [found[term.id].count for term in made] == [1, 0, 0]

    @pytest.mark.parametrize("case", ["lower", "upper", "title", "strip"])
    def test_a_tag_that_differs_in_case_only(
        self, ghost: GhostPeer, site: Ghost, case: str
    ) -> None:
        """There is no second one."""
        name = f"Élan & Co. {uuid4().hex[:6]}"
        made = site.create_term("tags", name, "")
        asked = f"  {name} " if case == "strip" else getattr(name, case)()
        assert site.create_term("tags", asked, "").id == made.id

    def test_news(self, ghost: GhostPeer, site: Ghost) -> None:
        """The tag `News` is there from the start, and the vocabulary says `news`."""
        term = site.create_term("tags", "news", "news")
        assert (term.name, term.slug) == ("News", "news")
        named = [one for one in site.terms("tags") if one.name.casefold() == "news"]
        assert len(named) == 1

    def test_names_with_signs(self, site: Ghost) -> None:
        """Quotes, wildcards and backslashes are no part of the question."""
        mark = uuid4().hex[:6]
        for name in (f"100% \\ 'sure' \"now\" _x_ {mark}", f"a,b+c:d[e](f){mark}", "<&>", "شرق"):
            made = site.create_term("tags", name, "")
            again = site.create_term("tags", name, "")
            assert (made.name, again.id) == (name, made.id)

    def test_a_name_that_readers_would_not_see(self, site: Ghost) -> None:
        """Ghost hides tags that begin with `#`."""
        mark = uuid4().hex[:6]
        assert site.create_term("tags", f"#MeToo {mark}", "").name == f"MeToo {mark}"

    @pytest.mark.parametrize("name", ["", "  ", "#", ",", "x" * 192])
    def test_names_that_ghost_does_not_take(self, site: Ghost, name: str) -> None:
        """They are refused before anything is sent."""
        with refused(ErrorClass.TAXONOMY):
            site.create_term("tags", name, "")

    def test_tags_of_a_post(self, ghost: GhostPeer, site: Ghost, identity: PostIdentity) -> None:
        """The list is complete: an empty one clears, none leaves them alone."""
        tags = [site.create_term("tags", uuid4().hex[:8], "").id for _ in range(2)]
        post = publish(site, identity, terms={"tags": tags})
        assert post.mismatches == {}
        assert [tag["id"] for tag in ghost.post(post.id)["tags"]] == tags
        update(site, found(site, post.id), identity, terms={})
        assert [tag["id"] for tag in ghost.post(post.id)["tags"]] == tags
        update(site, found(site, post.id), identity, terms={"tags": []})
        assert ghost.post(post.id)["tags"] == []

    def test_a_tag_that_is_gone(
        self, ghost: GhostPeer, site: Ghost, identity: PostIdentity
    ) -> None:
        """Nothing is published without it."""
        tag = site.create_term("tags", uuid4().hex[:8], "")
        ghost.admin("DELETE", f"tags/{tag.id}")
        with refused(ErrorClass.TAXONOMY):
            publish(site, identity, terms={"tags": [tag.id]})
        assert ours(ghost, identity) == []

    def test_a_tag_that_the_answer_does_not_show(self, site: Ghost, identity: PostIdentity) -> None:
        """It is named."""
        payload = replace(site.payload(story(identity)), terms={"tags": ("f" * 24,)})
        assert site.create(payload, identity).mismatches == {Mismatch.TERMS: ("f" * 24,)}


class TestCredentials:
    """What is wrong with them is told by its own code."""

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            (lambda key: key[:-2] + ("00" if key[-2:] != "00" else "11"), "INVALID_JWT"),
            (lambda key: "0" * 24 + key[24:], "UNKNOWN_ADMIN_API_KEY"),
            (lambda key: "no key", "invalid_key"),
            (lambda key: f"{key[:24]}:zz", "invalid_key"),
        ],
        ids=["secret", "unknown", "no key", "no hex"],
    )
    def test_wrong_keys(
        self,
        ghost: GhostPeer,
        connect: Callable[..., Ghost],
        identity: PostIdentity,
        change: Callable[[str], str],
        code: str,
    ) -> None:
        """A look-up with them is never a clear none."""
        site = connect(key=change(ghost.admin_api_key))
        with refused(ErrorClass.AUTH, code):
            site.look_up(identity)
        test = site.test()
        assert (test.ok, test.checks[-1].name) == (False, "login")
        error = test.checks[-1].error
        assert error is not None
        assert (error.code, bool(error.help)) == (code, True)
        assert ghost.admin_api_key[25:] not in f"{test} {error}"

    def test_a_web_server_that_drops_the_header(
        self, ghost: GhostPeer, connect: Callable[..., Ghost], identity: PostIdentity
    ) -> None:
        """It is said in these words."""
        with Proxy(ghost.url, drop=("authorization",)) as proxy:
            site = connect(proxy.url)
            with refused(ErrorClass.AUTH):
                publish(site, identity)
            assert "Authorization header" in site.test().checks[-1].message

    def test_clocks_that_differ(
        self, ghost: GhostPeer, connect: Callable[..., Ghost], proxy: Proxy, identity: PostIdentity
    ) -> None:
        """The request is signed once more by the site's clock; the test tells of it."""
        site = connect(proxy.url, clock=LateClock(20))
        assert publish(site, identity, published_at=LONG_AGO).state == RemoteState.LIVE
        assert (proxy.count("POST"), len(ours(ghost, identity))) == (2, 1)
        clock = next(check for check in site.test().checks if check.name == "clock")
        assert (clock.ok, clock.error and clock.error.code) == (False, "clock_skew")

    def test_clocks_that_differ_and_no_date(
        self, ghost: GhostPeer, connect: Callable[..., Ghost], identity: PostIdentity
    ) -> None:
        """Without the site's time there is nothing to sign by."""

        class Dateless(Proxy):
            def _forward(self, *args: Any) -> Any:
                status, headers, body = super()._forward(*args)
                headers.pop("Date", None)
                return status, headers, body

        with Dateless(ghost.url) as proxy, refused(ErrorClass.CONFIG, "clock_skew"):
            publish(connect(proxy.url, clock=LateClock(20)), identity)
        assert ours(ghost, identity) == []

    def test_a_fast_clock_is_none_of_ghosts_business(
        self, connect: Callable[..., Ghost], identity: PostIdentity
    ) -> None:
        """Tokens from the future are accepted."""
        post = publish(connect(clock=LateClock(-30)), identity)
        assert post.state == RemoteState.LIVE


class TestConnection:
    """The connection test says what a person has to do."""

    def test_good(self, ghost: GhostPeer, connect: Callable[..., Ghost]) -> None:
        """What is found is kept; nothing is left behind, with and without writing."""
        test = connect().test(write=True)
        assert test.ok, test.checks
        assert [check.name for check in test.checks] == [
            "reach",
            "clock",
            "login",
            "rights",
            "write",
        ]
        assert test.remote["version"] == "5.130"
        assert (test.remote["timezone"], test.remote["authors"]) == ("Etc/UTC", [OWNER["email"]])
        assert "Connection test" not in {post["title"] for post in ghost.posts()}

    @pytest.mark.parametrize(
        ("reply", "code"),
        [
            (Reply(404), "foreign_answer"),
            (Reply(200), "foreign_answer"),
            (Reply(200, b'{"site": 1}'), "foreign_answer"),
            (Reply(301, b"", {"Location": "https://other.example/ghost/?a=secret"}), "redirect"),
            (Reply(503), "http_503"),
            (Reply(200, b'{"site": {"version": "4.48"}}'), "old_version"),
        ],
    )
    def test_nobody_there(
        self, connect: Callable[..., Ghost], proxy: Proxy, reply: Reply, code: str
    ) -> None:
        """A wrong address, another program, another host, a site that is down or too old."""
        proxy.rule(reply)
        test = connect(proxy.url).test()
        (check,) = test.checks
        assert (check.name, check.ok, check.error and check.error.code) == ("reach", False, code)
        assert "secret" not in f"{check.message} {check.error and check.error.help}"

    def test_the_address_of_the_admin(
        self, ghost: GhostPeer, connect: Callable[..., Ghost]
    ) -> None:
        """People copy it from the browser."""
        (check,) = connect(f"{ghost.url}/ghost").test().checks
        assert (check.ok, "without /ghost" in check.message) == (False, True)

    def test_no_connection(self, connect: Callable[..., Ghost], proxy: Proxy) -> None:
        """It raises nothing."""
        with proxy.down():
            assert not connect(proxy.url).test().ok

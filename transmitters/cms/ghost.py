"""Ghost: posts and pages by its Admin API, version 5 and newer (cms contract G1 to G14)."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from html import escape, unescape
from typing import Any, ClassVar
from urllib.parse import urlsplit

from apps.core.clock import Clock, SystemClock, moment_of
from apps.core.registry import Field
from transmitters.cms.base import (
    MARKER,
    ConnectionTest,
    ErrorClass,
    MediaLimits,
    MediaUpload,
    Mismatch,
    Payload,
    Platform,
    PlatformError,
    PostIdentity,
    RemoteMedia,
    RemotePost,
    RemoteState,
    RemoteTerm,
    RetractMode,
    Site,
    Story,
    StoryMedia,
    Taxonomy,
    refs_in,
)
from transmitters.cms.failures import REDIRECTS, foreign_answer, redirected, without_answer
from transmitters.cms.ghost_api import (
    CLOCK_HELP,
    GhostAPI,
    documents,
    failure,
    quoted,
)
from transmitters.cms.http import FilePart, MultipartBody, SiteClient
from transmitters.cms.text import cut_at_word, ghost_html
from transmitters.http_connections import NoAnswer

POSTS, PAGES = "posts", "pages"
TAGS = "tags"
STATES = {
    "draft": RemoteState.DRAFT,
    "published": RemoteState.LIVE,
    "scheduled": RemoteState.SCHEDULED,
}
FIELDS = (
    "id,uuid,title,slug,url,status,visibility,created_at,updated_at,published_at,codeinjection_head"
)
"""What is read of a post; its text comes with the answers of writes only."""

TITLE_LENGTH, EXCERPT_LENGTH, ALT_LENGTH = 255, 300, 191
CAPTION_LENGTH, ADDRESS_LENGTH, TAG_LENGTH = 10_000, 2000, 191
COLLISIONS = 3
"""Times that a retraction is written when somebody else writes the post."""
CLOCK_SECONDS = 60
EMPTY_BODY = "<p>&nbsp;</p>"
"""Ghost makes an empty text of it, and keeps the old one where it gets no text."""

IMAGES = frozenset(
    {"image/jpeg", "image/png", "image/gif", "image/svg+xml", "image/webp", "image/x-icon"}
)
RECORDINGS = frozenset(
    {"video/mp4", "video/webm", "video/ogg", "audio/mpeg", "audio/wav", "audio/ogg", "audio/mp4"}
)

KEY = re.compile(r"[0-9a-f]{24}:[0-9a-f]{64}")
POST_ID = re.compile(r"[0-9a-f]{24}")
PLAIN = re.compile(r"[A-Za-z0-9]+")


class Ghost(Platform):
    """Publish to one Ghost site, as posts or as pages."""

    destination = "ghost"
    name = "Ghost"
    credentials = (
        Field(
            "admin_api_key",
            "Admin API key of a custom integration (Ghost Admin, Settings, Integrations).",
            required=True,
            secret=True,
        ),
    )
    options: ClassVar[Mapping[str, Any]] = {
        "kind": {"type": "string", "allowed": [POSTS, PAGES], "default": POSTS},
        "visibility": {
            "type": "string",
            "allowed": ["public", "members", "paid"],
            "default": "public",
        },
    }
    errors: ClassVar[Mapping[int, str]] = {
        17000: "Ghost publish error",
        17001: "Ghost publish client error",
        17002: "Ghost publish server error",
    }
    retract_modes = (RetractMode.UNPUBLISH, RetractMode.DELETE)
    kill_mode = RetractMode.DELETE
    can_schedule = True
    can_delete_media = False

    def __init__(self, site: Site, client: SiteClient, clock: Clock | None = None) -> None:
        super().__init__(site, client)
        self._clock = clock or SystemClock()
        self._api = GhostAPI(site, client, self._clock)

    @property
    def _kind(self) -> str:
        return str(self.site.options.get("kind") or POSTS)

    @property
    def _kinds(self) -> tuple[str, str]:
        """The kind of post that is made here, and the other one."""
        return (self._kind, PAGES if self._kind == POSTS else POSTS)

    # Connection.

    @classmethod
    def check_credentials(cls, credentials: Mapping[str, str]) -> Mapping[str, str]:
        key = credentials.get("admin_api_key", "")
        if KEY.fullmatch(key):
            return {}
        if re.fullmatch(r"[0-9a-f]{26}", key):
            return {"admin_api_key": "this is a Content API key; the Admin API key is needed"}
        return {"admin_api_key": "must be 24 hex digits, a colon and 64 hex digits"}

    def test(self, *, write: bool = False) -> ConnectionTest:
        found = ConnectionTest()
        steps: list[tuple[str, Callable[[dict[str, Any]], str]]] = [
            ("reach", self._test_reach),
            ("clock", self._test_clock),
            ("login", self._test_login),
            ("rights", self._test_rights),
        ]
        if write:
            steps.append(("write", self._test_write))
        for name, step in steps:
            if not found.make(self, name, partial(step, found.remote)) and name != "clock":
                break
        found.remote.pop("date", None)
        return found

    def _test_reach(self, remote: dict[str, Any]) -> str:
        """Ask for what everybody may know of a site."""
        if self.site.base_url.endswith("/ghost"):
            raise PlatformError(
                ErrorClass.CONFIG,
                "admin_address",
                "This is the address of Ghost Admin; enter that of the site, without /ghost",
                help="Enter the address of the site, without /ghost at its end",
            )
        try:
            answer = self.client.request("GET", self._api.address("site"))
        except NoAnswer as error:
            raise without_answer(error, writes=False) from error
        if answer.status in REDIRECTS:
            raise redirected(answer)
        if answer.status >= 400 and isinstance(answer.data, dict) and "errors" in answer.data:
            raise failure(answer, writes=False)
        site = answer.data.get("site") if isinstance(answer.data, dict) else None
        if not isinstance(site, dict):
            raise foreign_answer(answer, "Ghost", writes=False)
        version = str(site.get("version", ""))
        remote.update(
            version=version, api_root=self._api.root, url=site.get("url"), date=answer.date
        )
        if version.partition(".")[0].isdigit() and int(version.partition(".")[0]) < 5:
            raise PlatformError(
                ErrorClass.CONFIG,
                "old_version",
                f"The site runs Ghost {version}",
                help="Ghost 5 or newer is needed",
            )
        return f"Ghost {version}: {site.get('title', '')}"

    def _test_clock(self, remote: dict[str, Any]) -> str:
        moment = remote.get("date")
        if moment is None:
            return "The site does not tell its time"
        seconds = (moment - self._clock.now()).total_seconds()
        if abs(seconds) > CLOCK_SECONDS:
            raise PlatformError(
                ErrorClass.CONFIG,
                "clock_skew",
                f"The clocks of this machine and of the site differ by {abs(seconds):.0f} seconds",
                help=CLOCK_HELP,
            )
        return "The clocks agree"

    def _test_login(self, remote: dict[str, Any]) -> str:
        self._api.get("config")
        return "The site accepts the Admin API key"

    def _test_rights(self, remote: dict[str, Any]) -> str:
        """Read what publishing needs to know; all keys of integrations may do the same."""
        documents(self._api.get(self._kind, limit=1, fields="id"), self._kind)
        settings = {
            str(one.get("key")): one.get("value")
            for one in documents(self._api.get("settings"), "settings")
        }
        emails = [one.get("email") for one in self._api.pages("users", "users", fields="email")]
        remote.update(
            timezone=settings.get("timezone"),
            locale=settings.get("locale"),
            types=[POSTS, PAGES],
            taxonomies=[TAGS],
            authors=sorted({email for email in emails if email and isinstance(email, str)}),
        )
        if settings.get("is_private"):
            return "The site is private: readers need its password, and public checks will fail"
        return f"{self._kind.capitalize()}, pictures and tags can be published"

    def _test_write(self, remote: dict[str, Any]) -> str:
        """Make a draft and remove it; of a picture nobody could remove what is left."""
        draft = {"title": "Connection test", "status": "draft", "tags": []}
        made = documents(self._api.post(self._kind, {self._kind: [draft]}), self._kind)
        for one in made:
            self._remove(self._kind, str(one.get("id")))
        return "A draft was created and deleted; no picture, since Ghost cannot delete one"

    # Stories.

    def payload(self, story: Story) -> Payload:
        headline, abstract = (" ".join(text.split()) for text in (story.headline, story.abstract))
        if not headline:
            raise PlatformError(
                ErrorClass.VALIDATION,
                "empty_title",
                "The item has no headline, and Ghost would call the post (Untitled)",
                field="headline",
            )
        body = ghost_html(story, embeds=self.site.options.get("embeds") != "strip")
        canonical = _public_address(story.canonical_url)
        feature = story.media.get(story.feature or "")
        fields: dict[str, Any] = {
            "title": cut_at_word(headline, TITLE_LENGTH),
            "html": body.html or EMPTY_BODY,
            "custom_excerpt": cut_at_word(abstract, EXCERPT_LENGTH) or None,
            "canonical_url": canonical,
            "visibility": self.site.options.get("visibility") or "public",
            "status": "scheduled" if story.schedule_at else "published",
            **_feature_fields(feature),
        }
        if moment := story.schedule_at or story.published_at:
            fields["published_at"] = _wire_time(moment)
        if TAGS in story.terms:
            fields["tags"] = [{"id": term} for term in story.terms[TAGS]]
        if story.author:
            fields["authors"] = [{"email": story.author}]
        told = {
            "title_cut": len(headline) > TITLE_LENGTH,
            "excerpt_cut": len(abstract) > EXCERPT_LENGTH,
            "canonical_url_dropped": bool(story.canonical_url) and canonical is None,
        }
        shown = [feature, *(story.media.get(key) for key in body.used_media)]
        files = [media.remote for media in shown if media and media.remote]
        return Payload(
            fields,
            warnings=(*body.warnings, *(code for code, is_told in told.items() if is_told)),
            media=tuple({file.url: file for file in files}.values()),
            terms={TAGS: tuple(story.terms[TAGS])} if TAGS in story.terms else {},
        )

    def look_up(self, identity: PostIdentity) -> Sequence[RemotePost]:
        """Ask for the marker and the slug.

        Posts and pages share their slugs. So the other kind is asked only where something of this
        kind has a slug that was not asked for: the answer to a create tells when a page holds it.
        """
        own, other = self._kinds
        found = self._search(own, identity)
        if found and not any(post.slug == identity.slug for post in found):
            found += self._search(other, identity)
        return sorted(found, key=lambda post: (not post.is_ours, post.id))

    def _search(self, kind: str, identity: PostIdentity) -> list[RemotePost]:
        wanted = f"codeinjection_head:~{quoted(identity.marker)},slug:{quoted(identity.slug)}"
        answer = self._api.get(kind, filter=wanted, fields=FIELDS, limit=100)
        found = [_remote_post(one, kind) for one in documents(answer, kind)]
        return [replace(post, is_ours=self.recognises(post, identity)) for post in found]

    def recognises(self, post: RemotePost, identity: PostIdentity) -> bool:
        """Whether a post carries our marker, or nobody's and a slug that ends in our reference."""
        if post.refs:
            return identity.ref in post.refs
        return post.slug == identity.slug and post.slug.endswith(identity.ref[:8])

    def read(self, post_id: str) -> RemotePost | None:
        for kind in self._kinds:
            found = self._read(kind, post_id)
            if found is not None:
                return found
        return None

    def _read(self, kind: str, post_id: str) -> RemotePost | None:
        try:
            answer = self._api.get(_resource(kind, post_id), fields=FIELDS)
        except PlatformError as error:
            if error.error_class == ErrorClass.NOT_FOUND:
                return None
            raise
        return _remote_post(_only(answer, kind, writes=False), kind)

    def create(self, payload: Payload, identity: PostIdentity) -> RemotePost:
        fields = {
            **payload.fields,
            "slug": identity.slug,
            "codeinjection_head": identity.marker,
        }
        self._check_author(fields)
        answer = self._write("POST", self._kind, self._kind, self._publishable(fields))
        post = _answered(answer, self._kind, payload)
        if post.slug == identity.slug:
            return post
        return _with_mismatch(post, Mismatch.SLUG, [post.slug])

    def update(self, post: RemotePost, payload: Payload, identity: PostIdentity) -> RemotePost:
        kind = str(post.fields.get("kind") or self._kind)
        fields = dict(payload.fields)
        self._check_author(fields)
        if post.state == RemoteState.LIVE:
            # It keeps the time of its publication, and cannot be scheduled any more.
            fields.pop("published_at", None)
            fields.pop("status")
        elif post.published_at and fields["status"] == "published":
            fields["published_at"] = _wire_time(post.published_at)
        head = str(post.fields.get("codeinjection_head") or "")
        if "codeinjection_head" in post.fields and identity.marker not in head:
            fields["codeinjection_head"] = "\n".join(
                part for part in (identity.marker, MARKER.sub("", head).strip()) if part
            )
        fields["updated_at"] = post.modified or self._modified(kind, post)
        resource = _resource(kind, post.id)
        answer = self._write("PUT", resource, kind, self._publishable(fields))
        return _answered(answer, kind, payload)

    def retract(self, post: RemotePost, mode: RetractMode) -> RemoteState:
        for kind in self._kinds_of(post):
            try:
                if mode == RetractMode.DELETE:
                    self._api.delete(_resource(kind, post.id))
                    return RemoteState.DELETED
                self._unpublish(kind, post)
            except PlatformError as error:
                if error.error_class != ErrorClass.NOT_FOUND:
                    raise
            else:
                return RemoteState.DRAFT
        return RemoteState.DELETED

    def unschedule(self, post: RemotePost) -> RemotePost:
        return self._unpublish(str(post.fields.get("kind") or self._kind), post)

    def discard(self, post: RemotePost) -> None:
        self.retract(post, RetractMode.DELETE)

    def _unpublish(self, kind: str, post: RemotePost) -> RemotePost:
        """Make a post a draft, whoever else writes it meanwhile."""
        modified = post.modified or self._modified(kind, post)
        for attempt in range(COLLISIONS):
            fields = {"status": "draft", "updated_at": modified}
            try:
                answer = self._api.put(_resource(kind, post.id), {kind: [fields]})
            except PlatformError as error:
                if error.error_class != ErrorClass.CONFLICT or attempt == COLLISIONS - 1:
                    raise
                modified = self._modified(kind, post)
            else:
                return _remote_post(_only(answer, kind), kind)
        raise AssertionError("the last attempt returns or raises")

    def _modified(self, kind: str, post: RemotePost) -> str:
        """Return when a post was written last, unless its id is that of another one by now."""
        found = self._read(kind, post.id)
        if found is None or (post.refs and found.refs != post.refs and found.slug != post.slug):
            raise PlatformError(ErrorClass.NOT_FOUND, "NotFoundError", "The post is gone")
        return found.modified

    def _kinds_of(self, post: RemotePost) -> Iterable[str]:
        kind = post.fields.get("kind")
        return (str(kind),) if kind else self._kinds

    def _remove(self, kind: str, post_id: str) -> None:
        self._api.delete(_resource(kind, post_id))

    def _write(
        self, method: str, resource: str, kind: str, fields: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Write a post from its HTML; the answer holds what Ghost has made of it."""
        call = self._api.post if method == "POST" else self._api.put
        return _only(call(resource, {kind: [fields]}, source="html", formats="html"), kind)

    def _publishable(self, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return fields that Ghost can publish now: only schedules take a time that lies ahead."""
        moment, now = moment_of(fields.get("published_at")), self._clock.now()
        if fields.get("status") == "published" and moment and moment > now:
            return {**fields, "published_at": _wire_time(now)}
        return fields

    def _check_author(self, fields: Mapping[str, Any]) -> None:
        """Refuse an author whom Ghost does not know: it would silently put the owner's name.

        Raises:
            PlatformError: there is no user with this address.
        """
        for author in fields.get("authors", ()):
            email = str(author["email"])
            if email in self.site.remote.get("authors", ()):
                continue
            answer = self._api.get("users", filter=f"email:{quoted(email)}", limit=1)
            if not documents(answer, "users"):
                raise PlatformError(
                    ErrorClass.VALIDATION,
                    "unknown_author",
                    "No user of the site has the e-mail address of the author",
                    field="author",
                    help="Invite the author in Ghost, or choose another one for this integration",
                )

    # Media.

    @property
    def media_limits(self) -> MediaLimits:
        return MediaLimits(IMAGES | RECORDINGS)

    def find_media(self, upload: MediaUpload) -> RemoteMedia | None:
        return None

    def upload(self, upload: MediaUpload) -> RemoteMedia:
        is_image = upload.mime.startswith("image/")
        path, key = ("images/upload", "images") if is_image else ("media/upload", "media")
        purpose = [("purpose", "image")] if is_image else []
        form = MultipartBody(
            [*purpose, ("ref", upload.filename)],
            FilePart("file", upload.filename, upload.mime, upload.length, upload.open),
        )
        url = str(_only(self._api.upload(path, form), key).get("url") or "")
        if not _public_address(url):
            raise PlatformError(
                ErrorClass.MEDIA, "no_address", "Ghost took the file and gave no address for it"
            )
        return RemoteMedia(url, url, upload.mime)

    def has_media(self, media: RemoteMedia) -> bool:
        try:
            answer = self.client.request("HEAD", media.url)
        except NoAnswer as error:
            raise without_answer(error, writes=False) from error
        if answer.status in (404, 410):
            return False
        if answer.status >= 400:
            raise foreign_answer(answer, "Ghost", writes=False)
        return True

    def delete_media(self, media: RemoteMedia, *, is_sure: bool = False) -> bool:
        return False

    # Terms.

    def taxonomies(self) -> Sequence[Taxonomy]:
        return (Taxonomy(TAGS, "Tags"),)

    def terms(self, taxonomy: str) -> Iterator[RemoteTerm]:
        for tag in self._api.pages(TAGS, TAGS, include="count.posts", order="id asc"):
            yield _remote_term(tag)

    def terms_of(self, post: RemotePost, taxonomies: Sequence[str]) -> Mapping[str, Sequence[str]]:
        for kind in self._kinds_of(post):
            try:
                answer = self._api.get(_resource(kind, post.id), fields="id", include=TAGS)
            except PlatformError as error:
                if error.error_class != ErrorClass.NOT_FOUND:
                    raise
            else:
                found = _only(answer, kind, writes=False)
                return {TAGS: [str(tag.get("id")) for tag in found.get(TAGS) or ()]}
        return {}

    def create_term(
        self, taxonomy: str, name: str, slug: str, parent: str | None = None
    ) -> RemoteTerm:
        """Create a tag, unless there is one whose name differs in case or spaces only.

        Ghost itself makes a second one of the same name. A name that begins with `#` would become a
        tag that readers do not see, so it goes without. Ghost is asked for a part of the name that
        holds no sign of its filters, and no letter whose case its database does not know.
        """
        name = " ".join(name.split()).lstrip("#, ")
        if not name or len(name) > TAG_LENGTH:
            raise PlatformError(
                ErrorClass.TAXONOMY,
                "invalid_name",
                f"Ghost takes names of tags with 1 to {TAG_LENGTH} characters",
                field="name",
                help="Shorten the name, or map the term to a tag",
            )
        part = max(PLAIN.findall(name), key=len, default="")
        wanted = {"filter": f"name:~{quoted(part)}"} if part else {}
        for tag in self._api.pages(TAGS, TAGS, **wanted, order="id asc"):
            if " ".join(str(tag.get("name")).split()).casefold() == name.casefold():
                return _remote_term(tag)
        fields = {"name": name, **({"slug": slug} if slug else {})}
        return _remote_term(_only(self._api.post(TAGS, {TAGS: [fields]}), TAGS))

    def default_taxonomy(self, scheme: str) -> str | None:
        return TAGS


# Between our form and Ghost's.


def _resource(kind: str, post_id: str) -> str:
    """Return the path of a post.

    Raises:
        PlatformError: the id is none of Ghost's; an empty one would name all posts.
    """
    if not POST_ID.fullmatch(post_id):
        raise PlatformError(ErrorClass.NOT_FOUND, "invalid_id", "This is no id of a Ghost post")
    return f"{kind}/{post_id}"


def _only(answer: Any, key: str, *, writes: bool = True) -> Mapping[str, Any]:
    """Return the one document of an answer.

    Raises:
        PlatformError: it holds none, so nobody knows what a write has done.
    """
    try:
        found = documents(answer, key)
    except PlatformError as error:
        if writes:
            error.error_class = ErrorClass.AMBIGUOUS
        raise
    if found:
        return found[0]
    kind = ErrorClass.AMBIGUOUS if writes else ErrorClass.NOT_FOUND
    raise PlatformError(kind, "empty_answer", "Ghost answered without a document")


def _feature_fields(media: StoryMedia | None) -> dict[str, Any]:
    if media is None or media.remote is None:
        return dict.fromkeys(("feature_image", "feature_image_alt", "feature_image_caption"))
    caption = " ".join(part for part in (media.caption, media.credit) if part)
    return {
        "feature_image": media.remote.url,
        "feature_image_alt": cut_at_word(media.alt, ALT_LENGTH) or None,
        "feature_image_caption": escape(cut_at_word(caption, CAPTION_LENGTH), quote=False) or None,
    }


def _answered(answer: Mapping[str, Any], kind: str, payload: Payload) -> RemotePost:
    """Return the post of an answer to a write, with what it does not show of the payload."""
    post = _remote_post(answer, kind)
    wrong = {
        Mismatch.MEDIA: _missing_media(answer, payload),
        Mismatch.TERMS: _other_terms(answer, payload),
        Mismatch.STATE: [
            name
            for name in ("status", "visibility")
            if name in payload.fields and answer.get(name) != payload.fields[name]
        ],
    }
    for mismatch, names in wrong.items():
        if names:
            post = _with_mismatch(post, mismatch, names)
    return post


def _missing_media(answer: Mapping[str, Any], payload: Payload) -> list[str]:
    """Return the addresses of files that are not where they were sent to."""
    html = unescape(str(answer.get("html") or ""))
    sent = unescape(str(payload.fields.get("html") or ""))
    feature = payload.fields.get("feature_image")
    missing = [media.url for media in payload.media if media.url in sent and media.url not in html]
    if feature and answer.get("feature_image") != feature:
        missing.append(str(feature))
    return list(dict.fromkeys(missing))


def _other_terms(answer: Mapping[str, Any], payload: Payload) -> list[str]:
    """Return the tags that were sent and are not shown, or are shown and were not sent."""
    if TAGS not in payload.terms:
        return []
    sent = set(payload.terms[TAGS])
    return sorted(sent ^ {str(tag.get("id")) for tag in answer.get("tags") or ()})


def _with_mismatch(post: RemotePost, mismatch: Mismatch, names: Sequence[str]) -> RemotePost:
    return replace(post, mismatches={**post.mismatches, mismatch: tuple(names)})


def _remote_post(found: Mapping[str, Any], kind: str) -> RemotePost:
    state = STATES.get(str(found.get("status")), RemoteState.UNKNOWN)
    head = str(found.get("codeinjection_head") or "")
    # A draft has no address for readers; the one that Ghost gives shows it to whoever knows it.
    address = str(found.get("url") or "") if state == RemoteState.LIVE else ""
    return RemotePost(
        id=str(found.get("id")),
        state=state,
        url=_public_address(address) or "",
        slug=str(found.get("slug") or ""),
        modified=str(found.get("updated_at") or ""),
        published_at=moment_of(found.get("published_at")),
        refs=refs_in(head),
        created_at=moment_of(found.get("created_at")),
        fields={"kind": kind, "codeinjection_head": head, "title": found.get("title")},
    )


def _remote_term(tag: Mapping[str, Any]) -> RemoteTerm:
    counts = tag.get("count")
    return RemoteTerm(
        id=str(tag.get("id")),
        name=str(tag.get("name") or ""),
        slug=str(tag.get("slug") or ""),
        count=counts.get("posts") if isinstance(counts, dict) else None,
    )


def _public_address(text: str | None) -> str | None:
    """Return an http(s) address that Ghost can store, None for anything else."""
    if not text or len(text) > ADDRESS_LENGTH:
        return None
    try:
        parts = urlsplit(text)
    except ValueError:
        return None
    return text if parts.scheme in ("http", "https") and parts.hostname else None


def _wire_time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")

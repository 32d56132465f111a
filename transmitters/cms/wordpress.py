"""WordPress: posts, pages and custom types, by its REST API (cms contract WP1 to WP12)."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import md5, sha256
from html import escape
from io import BytesIO
from typing import Any, ClassVar
from uuid import uuid4

from PIL import Image

from apps.core.registry import Field
from transmitters.cms.base import (
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
    Taxonomy,
)
from transmitters.cms.failures import (
    MOST_PAGES,
    REDIRECTS,
    endless,
    foreign_answer,
    name_of,
    parts_of,
    redirected,
)
from transmitters.cms.http import FilePart, MultipartBody, SiteAnswer, SiteClient
from transmitters.cms.text import Body, wordpress_blocks, wordpress_classic
from transmitters.cms.wordpress_api import (
    ANY_LINKS,
    DISCOVERED,
    NAME,
    NAMESPACE,
    About,
    TermExists,
    WordPressAPI,
    address_of,
    code_of,
    lacking,
    moment_in,
    not_for,
    number_of,
    one_of,
    raw_text,
    remote_media,
    remote_post,
    remote_term,
    taxonomies_in,
    type_named,
    wire_time,
    writable_types,
)

BLOCKS, CLASSIC = "blocks", "classic"
CATEGORIES, TAGS = "categories", "tags"

FIELDS = "id,status,slug,link,date_gmt,modified_gmt,author,title.raw,content.raw"
"""What is read of a post: not its text as readers see it, which takes the site long to make."""
OPEN = ""
"""Password of posts that everybody may read: one that a person has set keeps readers out."""
EVERY_STATUS = "any,trash"
PER_PAGE = 100

FIELD_MAP: Mapping[str, str] = {
    "headline": "title",
    "body_html": "content",
    "abstract": "excerpt",
    "featuremedia": "featured_media",
    "firstpublished": "date_gmt",
    "authors": "author",
}
"""Where fields of items go, unless `field_map` says otherwise."""

SCHEMES: Mapping[str, str] = {
    "anpa_category": CATEGORIES,
    "subject": TAGS,
    "place": TAGS,
    "keywords": TAGS,
}
"""Taxonomies for fields of items; others go to a taxonomy of their own name."""


NEEDED = ("edit_posts", "publish_posts", "delete_posts", "upload_files")
"""Capabilities without which nothing can be published, or taken back."""
USEFUL: Mapping[str, str] = {
    "edit_others_posts": "posts that somebody else has written cannot be updated",
    "manage_categories": "categories cannot be created",
    "unfiltered_html": "embeds of other sites become links",
}
"""Capabilities, and what goes without each."""
OF_THE_SITE = frozenset({"upload_files", "unfiltered_html"})
"""Capabilities that have one name, whatever the type of posts."""

PASSWORD = re.compile(r"[A-Za-z0-9]{24}")
PASSWORD_FORM = "must be an application password: 24 letters and digits, with or without spaces"  # noqa: S105
CLOCK_SECONDS = 60
INDEX_FIELDS = "name,home,timezone_string,gmt_offset,namespaces,authentication"
GENERATOR = re.compile(r"<generator>https?://wordpress\.org/\?v=([\w.-]{1,40})</generator>")

MIMES = frozenset(
    {
        *("image/jpeg", "image/png", "image/gif", "image/webp"),
        *("video/mp4", "video/webm", "video/ogg", "video/quicktime"),
        *("audio/mpeg", "audio/ogg", "audio/wav", "audio/x-wav", "audio/mp4"),
    }
)
"""What every site takes since version 5.8; it tells nobody what else it does, or how large."""


class WordPress(Platform):
    """Publish to one WordPress site, as posts of one type."""

    destination = "wordpress"
    name = NAME
    credentials = (
        Field("username", "Log-in name or e-mail address of a user of the site.", required=True),
        Field(
            "application_password",
            "Application password of this user (Users, Profile, Application Passwords).",
            required=True,
            secret=True,
        ),
    )
    options: ClassVar[Mapping[str, Any]] = {
        "post_type": {"type": "string", "regex": "[a-zA-Z0-9_-]{1,64}", "default": "posts"},
        "content_format": {
            "type": "string",
            "allowed": [BLOCKS, CLASSIC],
            "default": BLOCKS,
        },
        "field_map": {
            "type": "dict",
            "keysrules": {"type": "string"},
            "valuesrules": {"type": "string", "nullable": True},
            "default": {},
        },
    }
    errors: ClassVar[Mapping[int, str]] = {
        16000: "WordPress publish error",
        16001: "WordPress publish client error",
        16002: "WordPress publish server error",
    }
    retract_modes = (RetractMode.TRASH, RetractMode.DRAFT, RetractMode.DELETE)
    kill_mode = RetractMode.TRASH
    can_schedule = True

    def __init__(self, site: Site, client: SiteClient) -> None:
        super().__init__(site, client)
        self._api = WordPressAPI(site, client)

    @property
    def _post_type(self) -> str:
        """The REST base of the posts."""
        return str(self.site.options.get("post_type") or "posts")

    @property
    def _posts(self) -> str:
        """The route of the posts."""
        found = self.site.remote.get("post_type") or {}
        if found.get("rest_base") == self._post_type:
            return f"{found.get('rest_namespace') or NAMESPACE}/{self._post_type}"
        return f"{NAMESPACE}/{self._post_type}"

    # Connection.

    @classmethod
    def check_credentials(cls, credentials: Mapping[str, str]) -> Mapping[str, str]:
        found: dict[str, str] = {}
        username = credentials.get("username", "").strip()
        if not username or ":" in username:
            found["username"] = "must be the log-in name or e-mail address of a user"
        if not PASSWORD.fullmatch("".join(credentials.get("application_password", "").split())):
            found["application_password"] = PASSWORD_FORM
        return found

    def test(self, *, write: bool = False) -> ConnectionTest:
        found = ConnectionTest()
        tester = _Tester(self, found.remote)
        steps: list[tuple[str, Callable[[], str]]] = [
            ("reach", tester.reach),
            ("auth_offered", tester.auth_offered),
            ("clock", tester.clock),
            ("login", tester.login),
            ("target", tester.target),
            ("rights", tester.rights),
        ]
        if write:
            steps.append(("write", tester.write))
        for name, step in steps:
            if not found.make(self, name, step) and name != "clock":
                break
        return found

    # Posts.

    def payload(self, story: Story) -> Payload:
        body = self._body(story)
        feature = story.media.get(story.feature or "")
        featured = feature.remote if feature else None
        moment = story.schedule_at or story.published_at
        values: dict[str, Any] = {
            # Both are HTML to the site.
            "headline": escape(story.headline, quote=False),
            "body_html": "\n\n".join(part for part in (body.html, story.identity.marker) if part),
            "abstract": escape(story.abstract, quote=False),
            "featuremedia": number_of(featured.id, "featured_media") if featured else 0,
            "firstpublished": wire_time(moment) if moment else None,
            "authors": number_of(story.author, "author") if story.author else None,
        }
        if not (story.headline.strip() or body.html or story.abstract.strip()):
            raise PlatformError(
                ErrorClass.VALIDATION,
                "empty_content",
                "The item has neither headline nor text nor abstract",
                field="content",
            )
        fields = self._mapped(values, story.item)
        if story.schedule_at:
            fields["date_gmt"] = wire_time(story.schedule_at)
        fields["status"] = "future" if story.schedule_at else "publish"
        fields["password"] = OPEN
        terms = {name: tuple(ids) for name, ids in story.terms.items()}
        fields.update(
            {name: [number_of(term, name) for term in ids] for name, ids in terms.items()}
        )
        self._put_into_default_category(fields)
        used = [story.media[key].remote for key in body.used_media if key in story.media]
        shown = [featured if "featured_media" in fields else None, *used]
        return Payload(
            fields,
            warnings=body.warnings,
            media=tuple({media.id: media for media in shown if media}.values()),
            terms=terms,
        )

    def _body(self, story: Story) -> Body:
        """Return the body, without embeds where the user may not write them: no error tells."""
        capabilities = self.site.remote.get("capabilities")
        may = capabilities is None or "unfiltered_html" in capabilities
        embeds = may and self.site.options.get("embeds") != "strip"
        classic = self.site.options.get("content_format") == CLASSIC
        return (wordpress_classic if classic else wordpress_blocks)(story, embeds=embeds)

    def _mapped(self, values: Mapping[str, Any], item: Mapping[str, Any]) -> dict[str, Any]:
        """Return values by field of the site, as `field_map` has it."""
        field_map = self.site.options.get("field_map") or {}
        fields: dict[str, Any] = {}
        meta: dict[str, Any] = {}
        for source, target in {**FIELD_MAP, **field_map}.items():
            value = values[source] if source in values else item.get(source)
            if target is None or value is None:
                continue
            if target.startswith("meta."):
                meta[target.removeprefix("meta.")] = value
            else:
                fields[target] = value
        return {**fields, "meta": meta} if meta else fields

    def _put_into_default_category(self, fields: dict[str, Any]) -> None:
        default = self.site.remote.get("default_category")
        if fields.get(CATEGORIES) == [] and default:
            fields[CATEGORIES] = [default]

    def look_up(self, identity: PostIdentity) -> Sequence[RemotePost]:
        """Ask for the slug, the names that the site makes of it, and for the marker.

        A person may have given the post another slug; an editor may have dropped the marker.
        """
        slug = identity.slug
        slugs = ",".join((slug, f"{slug}__trashed", f"{slug}-2", f"{slug}-3"))
        found = [
            *self._search(identity, slug=slugs),
            *self._search(identity, search=f"publisher-ref:{identity.ref}"),
        ]
        posts = {post.id: post for post in found}
        return sorted(
            posts.values(),
            key=lambda post: (not post.is_ours, post.state == RemoteState.TRASHED, int(post.id)),
        )

    def _search(self, identity: PostIdentity, **query: str) -> Iterator[RemotePost]:
        answer = self._api.get(
            self._posts,
            status=EVERY_STATUS,
            context="edit",
            per_page=PER_PAGE,
            orderby="id",
            order="asc",
            _fields=FIELDS,
            **query,
        )
        if not isinstance(answer.data, list):
            raise foreign_answer(answer, NAME, writes=False)
        for data in answer.data:
            post = remote_post(data, answer)
            ours = self.recognises(post, identity)
            # Compared again: a site may ignore an argument that it does not know.
            if ours or post.slug in query.get("slug", "").split(","):
                yield replace(post, is_ours=ours)

    def recognises(self, post: RemotePost, identity: PostIdentity) -> bool:
        """Whether a post carries our marker, or, without any, is what we would have made."""
        if post.refs:
            return identity.ref in post.refs
        user = (self.site.remote.get("user") or {}).get("id")
        is_by_us = user is not None and post.fields.get("author") in (user, self._author)
        if not is_by_us or post.fields.get("title") != identity.title:
            return False
        # The site dates what is new with the time of its publication, which may be long past.
        modified, since = moment_in(post.modified), identity.since
        is_recent = bool(modified and since and modified >= since.replace(microsecond=0))
        return is_recent or identity.ref[:8] in post.slug

    @property
    def _author(self) -> int | None:
        author = str(self.site.options.get("author") or "")
        return int(author) if author.isdigit() else None

    def read(self, post_id: str) -> RemotePost | None:
        try:
            answer = self._api.get(f"{self._posts}/{post_id}", context="edit", _fields=FIELDS)
        except PlatformError as error:
            if error.error_class == ErrorClass.NOT_FOUND:
                return None
            raise
        return remote_post(answer.data, answer)

    def create(self, payload: Payload, identity: PostIdentity) -> RemotePost:
        fields = {**payload.fields, "slug": identity.slug}
        if fields.get(CATEGORIES) == []:
            del fields[CATEGORIES]  # the site takes its default category then
        post = self._write(self._posts, fields, payload)
        if post.slug == identity.slug:
            return post
        return replace(post, mismatches={**post.mismatches, Mismatch.SLUG: [post.slug]})

    def update(self, post: RemotePost, payload: Payload, identity: PostIdentity) -> RemotePost:
        """Write the post; its time of publication stays, unless it keeps the post from going live.

        A post in the trash comes back with the slug that it had.
        """
        fields = dict(payload.fields)
        seen_at: datetime = post.fields.get("seen_at") or datetime.now(UTC) - timedelta(minutes=5)
        dated = moment_in(post.fields.get("date_gmt"))
        if fields["status"] == "publish":
            wanted = moment_in(fields.pop("date_gmt", None))
            if post.state == RemoteState.SCHEDULED or (dated and dated > seen_at):
                fields["date_gmt"] = wire_time(min(wanted or seen_at, seen_at))
        return self._write(f"{self._posts}/{post.id}", fields, payload)

    def retract(self, post: RemotePost, mode: RetractMode) -> RemoteState:
        route = f"{self._posts}/{post.id}"
        try:
            if mode == RetractMode.DELETE:
                self._api.delete(route, force="true")
                return RemoteState.DELETED
            if mode == RetractMode.DRAFT:
                return self._make_draft(post)
            self._api.delete(route)
        except PlatformError as error:
            if error.error_class == ErrorClass.NOT_FOUND:
                return RemoteState.DELETED
            if error.code == "rest_already_trashed":
                return RemoteState.TRASHED
            if error.code == "rest_trash_not_supported":
                return self._make_draft(post)
            raise
        return RemoteState.TRASHED

    def _make_draft(self, post: RemotePost) -> RemoteState:
        """Make a post a draft; one in the trash stays there: writing it would bring it back."""
        if post.state == RemoteState.TRASHED:
            return RemoteState.TRASHED
        try:
            return self.unschedule(post).state
        except PlatformError as error:
            if error.error_class == ErrorClass.NOT_FOUND:
                return RemoteState.DELETED
            raise

    def unschedule(self, post: RemotePost) -> RemotePost:
        answer = self._api.post(f"{self._posts}/{post.id}", {"status": "draft"})
        return remote_post(answer.data, answer, writes=True)

    def discard(self, post: RemotePost) -> None:
        self.retract(post, RetractMode.TRASH)

    def _write(self, route: str, fields: Mapping[str, Any], payload: Payload) -> RemotePost:
        """Write a post, and return it with what differs from what was to be there."""
        names = ",".join((FIELDS, "featured_media", "password", *payload.terms))
        answer = self._api.post(route, fields, _fields=names)
        data = one_of(answer, writes=True)
        post = remote_post(data, answer, writes=True)
        return replace(post, mismatches=dict(_mismatches(data, payload)))

    # Media.

    @property
    def media_limits(self) -> MediaLimits:
        return MediaLimits(MIMES)

    def find_media(self, upload: MediaUpload) -> RemoteMedia | None:
        answer = self._api.get(
            f"{NAMESPACE}/media",
            "media",
            slug=_media_slug(upload),
            orderby="id",
            order="asc",
            _fields="id,slug,source_url,mime_type,media_details",
        )
        found = answer.data if isinstance(answer.data, list) else []
        for data in found:
            if isinstance(data, dict) and data.get("slug") == _media_slug(upload):
                return remote_media(data, answer, writes=False)
        return None

    def upload(self, upload: MediaUpload) -> RemoteMedia:
        texts = [("slug", _media_slug(upload)), ("alt_text", upload.alt)]
        texts += [("caption", escape(upload.caption, quote=False))] if upload.caption else []
        texts += [("title", escape(upload.title, quote=False))] if upload.title else []
        file = FilePart("file", upload.filename, upload.mime, upload.length, upload.open)
        answer = self._api.upload(f"{NAMESPACE}/media", MultipartBody(texts, file))
        return remote_media(one_of(answer, writes=True), answer, writes=True)

    def has_media(self, media: RemoteMedia) -> bool:
        found = self._found_media(media)
        return found is not None and found.get("status") != "trash"

    def _found_media(self, media: RemoteMedia) -> Mapping[str, Any] | None:
        """Return a file as the site has it; None when it is gone, or its id is another file's."""
        try:
            answer = self._api.get(
                f"{NAMESPACE}/media/{media.id}", "media", _fields="id,status,source_url"
            )
        except PlatformError as error:
            if error.error_class == ErrorClass.NOT_FOUND:
                return None
            raise
        found = one_of(answer, writes=False)
        # The name of a file tells its content; the site may have moved to another host.
        is_same = name_of(str(found.get("source_url"))) == name_of(media.url)
        return found if is_same else None

    def delete_media(self, media: RemoteMedia, *, is_sure: bool = False) -> bool:
        if not is_sure and self._found_media(media) is None:
            return True
        try:
            self._api.delete(f"{NAMESPACE}/media/{media.id}", "media", force="true")
        except PlatformError as error:
            if error.error_class != ErrorClass.NOT_FOUND:
                raise
        return True

    # Terms.

    def taxonomies(self) -> Sequence[Taxonomy]:
        found = self.site.remote.get("post_type") or {}
        name = found.get("name") if found.get("rest_base") == self._post_type else None
        post_type = str(name or type_named(self._types(), self._post_type)["slug"])
        return taxonomies_in(self._api.get(f"{NAMESPACE}/taxonomies", "terms", type=post_type))

    def _types(self) -> Mapping[str, Any]:
        return one_of(self._api.get(f"{NAMESPACE}/types"), writes=False)

    def terms(self, taxonomy: str) -> Iterator[RemoteTerm]:
        for page in range(1, MOST_PAGES + 1):
            answer = self._api.get(
                f"{NAMESPACE}/{taxonomy}",
                "terms",
                per_page=PER_PAGE,
                page=page,
                orderby="id",
                order="asc",
                _fields="id,name,slug,parent,count",
            )
            if not isinstance(answer.data, list):
                raise foreign_answer(answer, NAME, writes=False)
            for data in answer.data:
                yield remote_term(data, answer)
            told = str(answer.headers.get("X-WP-TotalPages", ""))[:9]
            if not answer.data or not told.isdecimal() or int(told) <= page:
                return
        raise endless(NAME, taxonomy)

    def terms_of(self, post: RemotePost, taxonomies: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Return the terms of a post, without the category that the site gives to those of none."""
        names = ",".join(("id", *taxonomies))
        try:
            answer = self._api.get(f"{self._posts}/{post.id}", context="edit", _fields=names)
        except PlatformError as error:
            if error.error_class == ErrorClass.NOT_FOUND:
                return {}
            raise
        data = one_of(answer, writes=False)
        default = {str(self.site.remote.get("default_category"))}
        return {
            name: sorted(_texts(data.get(name)) - (default if name == CATEGORIES else set()))
            for name in taxonomies
        }

    def create_term(
        self, taxonomy: str, name: str, slug: str, parent: str | None = None
    ) -> RemoteTerm:
        route = f"{NAMESPACE}/{taxonomy}"
        fields: dict[str, Any] = {"name": escape(name, quote=False), "slug": slug}
        if parent:
            fields["parent"] = number_of(parent, "parent")
        try:
            answer = self._api.post(route, fields, "terms")
        except TermExists as error:
            if error.term_id is None:
                raise
            answer = self._api.get(f"{route}/{error.term_id}", "terms")
        return remote_term(answer.data, answer, writes=True)

    def default_taxonomy(self, scheme: str) -> str | None:
        taxonomy = SCHEMES.get(scheme, scheme)
        offered = self.site.remote.get("taxonomies")
        if offered is None:
            offered = () if self._post_type == "pages" else (CATEGORIES, TAGS)
        return taxonomy if taxonomy in offered else None


class _Tester:
    """The steps of a connection test; each returns what it has found in words, or raises.

    Args:
        platform: of the integration.
        remote: what is found of the site is put in here.
    """

    def __init__(self, platform: WordPress, remote: dict[str, Any]) -> None:
        self._site = platform.site
        self._client = platform.client
        self._remote = remote
        self._index: Mapping[str, Any] = {}
        self._date: datetime | None = None
        self._capabilities: frozenset[str] = frozenset()

    @property
    def _platform(self) -> WordPress:
        """The platform as it is with what has been found so far."""
        return WordPress(replace(self._site, remote=dict(self._remote)), self._client)

    @property
    def _api(self) -> WordPressAPI:
        return WordPressAPI(replace(self._site, remote=dict(self._remote)), self._client)

    def reach(self) -> str:
        """Find the API: where the front page says, or at the places where it usually is."""
        problem: PlatformError | None = None
        for root in self._roots():
            answer = self._index_at(root)
            index = answer.data if isinstance(answer.data, dict) else {}
            spaces = index.get("namespaces")
            if isinstance(spaces, list) and NAMESPACE in spaces:
                self._index, self._date = index, answer.date
                mode = "plain" if "rest_route=" in root else "pretty"
                self._remote.update(
                    api_root=root,
                    api_mode=mode,
                    url=str(index.get("home") or ""),
                    timezone=str(index.get("timezone_string") or index.get("gmt_offset") or ""),
                    version=self._version(),
                )
                return f"{index.get('name') or 'The site'} answers, with {mode} links"
            if problem is None or code_of(answer):
                problem = self._api.failure(answer, About("posts", False))
                if problem.error_class == ErrorClass.NOT_FOUND:
                    problem = _closed(answer)
        assert problem is not None
        raise problem

    def _index_at(self, root: str) -> SiteAnswer:
        """Ask for the index as anybody may, then, where WordPress shows it to its users, as one."""
        address = address_of(root, "", {"_fields": INDEX_FIELDS})
        answer = self._api.open(address)
        if code_of(answer) and answer.status in (401, 403):
            answer = self._api.open(address, signed=True)
        return answer

    def _version(self) -> str:
        """Return the version of WordPress, which its feeds tell, unless that is switched off."""
        with suppress(PlatformError):
            feed = self._api.open(f"{self._site.base_url}/?feed=rss2")
            if found := GENERATOR.search(feed.text):
                return found[1]
        return ""

    def _roots(self) -> Iterator[str]:
        """Yield addresses where the API may be, on the site's own host: others get no password."""
        base = self._site.base_url
        page = self._api.open(f"{base}/")
        if page.status in REDIRECTS and not _is_same_site(page.headers.get("Location", ""), base):
            raise redirected(page)
        if found := DISCOVERED.search(page.headers.get("Link", "")):
            parts, site = parts_of(found[1]), parts_of(base)
            yield parts._replace(scheme=site.scheme, netloc=site.netloc).geturl()
        yield f"{base}/wp-json/"
        yield base + ANY_LINKS

    def auth_offered(self) -> str:
        offered = self._index.get("authentication")
        if isinstance(offered, dict) and "application-passwords" in offered:
            return "The site takes application passwords"
        reason = (
            "a security plugin may have switched them off"
            if self._site.base_url.startswith("https:")
            else "WordPress offers them over HTTPS only"
        )
        raise PlatformError(
            ErrorClass.CONFIG,
            "application_passwords_off",
            f"The site takes no application passwords: {reason}",
            help="Give the site HTTPS and enter its https address, or allow application passwords "
            "in its security plugin",
        )

    def clock(self) -> str:
        if self._date is None:
            return "The site does not tell its time"
        seconds = abs((self._date - datetime.now(UTC)).total_seconds())
        if seconds > CLOCK_SECONDS:
            raise PlatformError(
                ErrorClass.CONFIG,
                "clock_skew",
                f"The clocks of this machine and of the site differ by {seconds:.0f} seconds",
                help="Set both clocks by NTP: posts could go out early or late",
            )
        return "The clocks agree"

    def login(self) -> str:
        user = one_of(self._api.get(f"{NAMESPACE}/users/me", context="edit"), writes=False)
        names = user.get("capabilities")
        self._remote["user"] = {"id": user.get("id"), "name": user.get("username")}
        if isinstance(names, dict):
            self._capabilities = frozenset(name for name, has in names.items() if has)
        return f"Logged in as {user.get('username')}"

    def target(self) -> str:
        """Find the type of posts and its taxonomies."""
        platform = self._platform
        types = platform._types()
        wanted = platform._post_type
        self._remote["types"] = sorted(str(one.get("rest_base")) for one in writable_types(types))
        found = type_named(types, wanted)
        self._remote["post_type"] = {
            "name": found.get("slug"),
            "rest_base": found.get("rest_base"),
            "rest_namespace": found.get("rest_namespace") or NAMESPACE,
        }
        taxonomies = self._platform.taxonomies()
        self._remote["taxonomies"] = [taxonomy.id for taxonomy in taxonomies]
        if CATEGORIES in self._remote["taxonomies"]:
            with suppress(PlatformError):  # administrators alone may read it
                settings = one_of(self._api.get(f"{NAMESPACE}/settings"), writes=False)
                if isinstance(default := settings.get("default_category"), int):
                    self._remote["default_category"] = default
        named = ", ".join(taxonomy.name for taxonomy in taxonomies) or "no taxonomies"
        return f"{found.get('name')}, with {named}"

    def rights(self) -> str:
        """Compare what the user may do with what publishing needs."""
        has = self._capabilities
        own = self._own_names()
        if own is None:
            name = str(self._remote["post_type"]["name"])
            raise not_for(name, code="missing_capability")
        self._remote["post_type"]["capabilities"] = own
        every = {name: own.get(name, name) for name in (*NEEDED, *USEFUL)}
        self._remote["capabilities"] = sorted(name for name, real in every.items() if real in has)
        if missing := [every[name] for name in NEEDED if every[name] not in has]:
            raise lacking(missing, code="missing_capability")
        lacks = [
            f"{without} (capability {every[name]})"
            for name, without in USEFUL.items()
            if every[name] not in has
        ]
        return "; ".join(["The user may publish", *lacks])

    def _own_names(self) -> dict[str, str] | None:
        """Return the names of capabilities that the type of posts has for itself.

        None where the user may not edit such posts: only those who may are told.
        """
        route = f"{NAMESPACE}/types/{self._remote['post_type']['name']}"
        try:
            found = one_of(self._api.get(route, context="edit"), writes=False).get("capabilities")
        except PlatformError as error:
            if error.error_class != ErrorClass.PERMISSION:
                raise
            return None
        names = found if isinstance(found, dict) else {}
        wanted = {*NEEDED, *USEFUL, "delete_others_posts"} - OF_THE_SITE - {"manage_categories"}
        return {name: str(names[name]) for name in sorted(wanted) if name in names}

    def write(self) -> str:
        """Make a draft and upload a picture; delete both, also where no answer has come."""
        platform, picture = self._platform, _pixel()
        ref = uuid4().hex[:16]
        identity = PostIdentity(ref, f"connection-test-{ref[:8]}")
        draft = {
            "title": "Connection test",
            "content": identity.marker,
            "status": "draft",
            "slug": identity.slug,
        }
        try:
            made = one_of(self._api.post(platform._posts, draft, _fields="id"), writes=True)
            media = platform.upload(picture)
        except PlatformError:
            with suppress(PlatformError):
                self._clean_up(platform, identity, picture)
            raise
        platform.delete_media(media, is_sure=True)
        self._api.delete(f"{platform._posts}/{made.get('id')}", force="true")
        return "A draft and a picture were made and deleted"

    def _clean_up(self, platform: WordPress, identity: PostIdentity, picture: MediaUpload) -> None:
        for post in platform.look_up(identity):
            if post.is_ours:
                self._api.delete(f"{platform._posts}/{post.id}", force="true")
        if media := platform.find_media(picture):
            platform.delete_media(media, is_sure=True)


def _closed(answer: SiteAnswer) -> PlatformError:
    """Return that WordPress answers, and has no REST API for anybody."""
    return PlatformError(
        ErrorClass.CONFIG,
        code_of(answer) or "rest_disabled",
        "The site's REST API is switched off",
        status=answer.status,
        help="Allow the REST API in the security plugin of the site that switches it off, at least "
        "for users who are logged in",
    )


# What is compared and made up here.


def _mismatches(
    data: Mapping[str, Any], payload: Payload
) -> Iterator[tuple[Mismatch, Sequence[str]]]:
    """Yield in what the post of an answer differs from what was sent."""
    sent = payload.fields
    if data.get("status") != sent.get("status"):
        yield Mismatch.STATE, [str(data.get("status"))]
    elif data.get("password"):
        yield Mismatch.STATE, ["password"]
    if media := [media.url for media in payload.media if not _shows(data, sent, media)]:
        yield Mismatch.MEDIA, media
    terms = [
        f"{taxonomy} {term}"
        for taxonomy in payload.terms
        if sent.get(taxonomy) or taxonomy != CATEGORIES
        for term in sorted(_texts(data.get(taxonomy)) ^ _texts(sent.get(taxonomy)))
    ]
    if terms:
        yield Mismatch.TERMS, terms


def _texts(ids: Any) -> set[str]:
    return {str(id) for id in ids} if isinstance(ids, list) else set()


def _shows(data: Mapping[str, Any], sent: Mapping[str, Any], media: RemoteMedia) -> bool:
    """Whether a post shows a file at each place where it was sent."""
    if str(sent.get("featured_media")) == media.id and data.get("featured_media") != int(media.id):
        return False
    forms = (media.url, escape(media.url))
    is_sent = any(form in str(sent.get("content")) for form in forms)
    return not is_sent or any(form in raw_text(data, "content") for form in forms)


def _media_slug(upload: MediaUpload) -> str:
    return f"img-{upload.sha256[:16]}"


def _pixel() -> MediaUpload:
    """Return a picture of one pixel in a color of its own: others may test the site, too."""
    made = BytesIO()
    color = uuid4().bytes
    Image.new("RGB", (1, 1), (color[0], color[1], color[2])).save(made, "PNG")
    content = made.getvalue()
    return MediaUpload(
        sha256=sha256(content).hexdigest(),
        md5=md5(content, usedforsecurity=False).hexdigest(),
        length=len(content),
        mime="image/png",
        extension="png",
        open=lambda: BytesIO(content),
        title="Connection test",
    )


def _is_same_site(address: str, base: str) -> bool:
    """Whether a redirect stays at the site: a path, or the same scheme and host."""
    found, site = parts_of(address), parts_of(base)
    return not found.netloc or (found.scheme, found.netloc) == (site.scheme, site.netloc)

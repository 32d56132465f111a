"""A WordPress in memory, strict where the contract of platforms is, for tests of requests."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from apps.core.registry import Field
from transmitters.cms.base import (
    Check,
    ConnectionTest,
    ErrorClass,
    MediaLimits,
    MediaUpload,
    Payload,
    Platform,
    PlatformError,
    PostIdentity,
    RemoteMedia,
    RemotePost,
    RemoteState,
    RemoteTerm,
    RetractMode,
    Story,
    Taxonomy,
)

PASSWORD = "abcd EFGH ijkl MNOP qrst UVWX"
"""An application password that the sites take."""
PASSWORD_FORM = re.compile(r"[A-Za-z0-9]{24}")
UNAUTHORIZED = PlatformError(
    ErrorClass.AUTH, "rest_not_logged_in", "The site does not accept the password", status=401
)


@dataclass
class FakeSite:
    """What is at one address.

    Attributes:
        posts: by id.
        failures: errors of checks by their name.
        seen: what was asked for.
    """

    posts: dict[str, RemotePost] = field(default_factory=dict)
    failures: dict[str, PlatformError] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)


SITES: dict[str, FakeSite] = {}
"""Sites by their address."""


class FakeWordPress(Platform):
    """Speaks with a site in memory."""

    destination = "wordpress"
    name = "WordPress"
    credentials = (
        Field("username", "Name of the user", required=True),
        Field("application_password", "Password", required=True, secret=True),
    )
    options: Mapping[str, Any] = {
        "post_type": {"type": "string", "default": "posts"},
        "content_format": {"allowed": ["blocks", "classic"], "default": "blocks"},
    }
    errors: Mapping[int, str] = {16000: "WordPress connection error"}
    retract_modes = (RetractMode.TRASH, RetractMode.DRAFT, RetractMode.DELETE)
    kill_mode = RetractMode.TRASH
    can_schedule = True

    @property
    def there(self) -> FakeSite:
        return SITES.setdefault(self.site.base_url, FakeSite())

    @classmethod
    def check_credentials(cls, credentials: Mapping[str, str]) -> Mapping[str, str]:
        password = credentials.get("application_password", "").replace(" ", "")
        if password and not PASSWORD_FORM.fullmatch(password):
            return {"application_password": "must be 24 letters and digits"}
        return {}

    def test(self, *, write: bool = False) -> ConnectionTest:
        self.there.seen.append("test with writes" if write else "test")
        checks = []
        for name in ("reach", "auth offered", "login", "rights", "target", "clock"):
            error = self.there.failures.get(name)
            if name == "login" and self.site.credentials["application_password"] != PASSWORD:
                error = UNAUTHORIZED
            checks.append(Check(name, error is None, error, "" if error else "fine"))
            if error is not None:
                return ConnectionTest(checks)
        return ConnectionTest(checks, {"version": "6.1.9", "user": "wire"})

    def payload(self, story: Story) -> Payload:
        return Payload({"title": story.headline})

    def look_up(self, identity: PostIdentity) -> Sequence[RemotePost]:
        return [post for post in self.there.posts.values() if post.slug == identity.slug]

    def read(self, post_id: str) -> RemotePost | None:
        if error := self.there.failures.get("read"):
            raise error
        return self.there.posts.get(post_id)

    def create(self, payload: Payload, identity: PostIdentity) -> RemotePost:
        id_ = str(len(self.there.posts) + 1)
        url = f"{self.site.base_url}/{identity.slug}/"
        post = RemotePost(id_, RemoteState.LIVE, url, identity.slug)
        self.there.posts[id_] = post
        return post

    def update(self, post: RemotePost, payload: Payload, identity: PostIdentity) -> RemotePost:
        self.there.posts[post.id] = replace(post, state=RemoteState.LIVE)
        return self.there.posts[post.id]

    def retract(self, post: RemotePost, mode: RetractMode) -> RemoteState:
        del self.there.posts[post.id]
        return RemoteState.TRASHED

    def unschedule(self, post: RemotePost) -> RemotePost:
        return replace(post, state=RemoteState.DRAFT)

    def discard(self, post: RemotePost) -> None:
        del self.there.posts[post.id]

    @property
    def media_limits(self) -> MediaLimits:
        return MediaLimits(frozenset({"image/jpeg"}))

    def find_media(self, upload: MediaUpload) -> RemoteMedia | None:
        return None

    def upload(self, upload: MediaUpload) -> RemoteMedia:
        return RemoteMedia(upload.sha256, f"{self.site.base_url}/{upload.filename}")

    def has_media(self, media: RemoteMedia) -> bool:
        return True

    def delete_media(self, media: RemoteMedia, *, is_sure: bool = False) -> bool:
        return True

    def taxonomies(self) -> Sequence[Taxonomy]:
        return [Taxonomy("categories", "Categories", is_hierarchical=True)]

    def terms(self, taxonomy: str) -> Iterator[RemoteTerm]:
        yield RemoteTerm("1", "News", "news")

    def terms_of(self, post: RemotePost, taxonomies: Sequence[str]) -> Mapping[str, Sequence[str]]:
        return {}

    def create_term(
        self, taxonomy: str, name: str, slug: str, parent: str | None = None
    ) -> RemoteTerm:
        return RemoteTerm("2", name, slug, parent)

    def default_taxonomy(self, scheme: str) -> str | None:
        return "categories"

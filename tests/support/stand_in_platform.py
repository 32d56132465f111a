"""A platform for the stand-in site: as little as publishing needs, as strict as it has to be."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from html import unescape
from typing import Any, ClassVar

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
    Story,
    Taxonomy,
)
from transmitters.cms.failures import foreign_answer, slowed_down, without_answer
from transmitters.cms.http import FilePart, MultipartBody, SiteAnswer
from transmitters.http_connections import NoAnswer

STATES = {
    "publish": RemoteState.LIVE,
    "future": RemoteState.SCHEDULED,
    "draft": RemoteState.DRAFT,
    "trash": RemoteState.TRASHED,
}
CLASSES = {
    401: ErrorClass.AUTH,
    403: ErrorClass.PERMISSION,
    404: ErrorClass.NOT_FOUND,
    410: ErrorClass.NOT_FOUND,
}


class StandInPlatform(Platform):
    """Posts of the stand-in site."""

    destination = "wordpress"
    name = "Stand-in"
    credentials = ()
    options: ClassVar[Mapping[str, Any]] = {}
    errors: ClassVar[Mapping[int, str]] = {}
    retract_modes = (RetractMode.TRASH, RetractMode.DRAFT, RetractMode.DELETE)
    kill_mode = RetractMode.TRASH
    can_schedule = True

    @classmethod
    def check_credentials(cls, credentials: Mapping[str, str]) -> Mapping[str, str]:
        return {}

    def test(self, *, write: bool = False) -> ConnectionTest:
        raise NotImplementedError

    def payload(self, story: Story) -> Payload:
        if not (story.headline or story.body):
            raise PlatformError(ErrorClass.VALIDATION, "empty_content", "There is nothing to show")
        body = story.body
        for media in story.media.values():
            for url in media.source_urls if media.remote else ():
                body = body.replace(url, media.remote.url)  # type: ignore[union-attr]
        feature = story.media.get(story.feature or "")
        fields: dict[str, Any] = {
            "title": story.headline,
            "content": f"{body}\n{story.identity.marker}",
            "excerpt": story.abstract,
            "featured_media": int(feature.remote.id) if feature and feature.remote else 0,
            "status": "future" if story.schedule_at else "publish",
            **{name: sorted(map(int, ids)) for name, ids in story.terms.items()},
        }
        if moment := story.schedule_at or story.published_at:
            fields["date_gmt"] = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return Payload(fields)

    # Posts.

    def look_up(self, identity: PostIdentity) -> Sequence[RemotePost]:
        slug = identity.slug
        slugs = ",".join((slug, f"{slug}__trashed", f"{slug}-2", f"{slug}-3"))
        query = f"slug={slugs}&status=any,trash&context=edit&per_page=100&order=asc"
        found = self._send("GET", f"posts?{query}").data
        return [
            replace(_post(data), is_ours=identity.marker in data["content"]["raw"])
            for data in found
        ]

    def read(self, post_id: str) -> RemotePost | None:
        try:
            return _post(self._send("GET", f"posts/{post_id}?context=edit").data)
        except PlatformError as error:
            if error.error_class == ErrorClass.NOT_FOUND:
                return None
            raise

    def create(self, payload: Payload, identity: PostIdentity) -> RemotePost:
        answer = self._send("POST", "posts", {**payload.fields, "slug": identity.slug})
        post = _compared(_post(answer.data), answer.data, payload)
        if post.slug == identity.slug:
            return post
        return replace(post, mismatches={**post.mismatches, Mismatch.SLUG: [post.slug]})

    def update(self, post: RemotePost, payload: Payload, identity: PostIdentity) -> RemotePost:
        fields = dict(payload.fields)
        if post.state == RemoteState.SCHEDULED and fields["status"] == "publish":
            fields["date_gmt"] = "2000-01-01T00:00:00"
        answer = self._send("POST", f"posts/{post.id}", fields)
        return _compared(_post(answer.data), answer.data, payload)

    def retract(self, post: RemotePost, mode: RetractMode) -> RemoteState:
        try:
            if mode == RetractMode.DRAFT:
                self._send("POST", f"posts/{post.id}", {"status": "draft"})
                return RemoteState.DRAFT
            force = "?force=true" if mode == RetractMode.DELETE else ""
            self._send("DELETE", f"posts/{post.id}{force}")
        except PlatformError as error:
            if error.code == "rest_already_trashed":
                return RemoteState.TRASHED
            if error.error_class != ErrorClass.NOT_FOUND:
                raise
            return RemoteState.DELETED
        return RemoteState.DELETED if mode == RetractMode.DELETE else RemoteState.TRASHED

    def unschedule(self, post: RemotePost) -> RemotePost:
        return _post(self._send("POST", f"posts/{post.id}", {"status": "draft"}).data)

    def discard(self, post: RemotePost) -> None:
        self.retract(post, RetractMode.TRASH)

    # Media.

    @property
    def media_limits(self) -> MediaLimits:
        return MediaLimits(frozenset({"image/jpeg", "image/png"}), {"image": 100_000})

    def find_media(self, upload: MediaUpload) -> RemoteMedia | None:
        found = self._send("GET", f"media?slug=img-{upload.sha256[:16]}").data
        return _medium(found[0]) if found else None

    def upload(self, upload: MediaUpload) -> RemoteMedia:
        file = FilePart("file", upload.filename, upload.mime, upload.length, upload.open)
        texts = [("alt_text", upload.alt), ("slug", f"img-{upload.sha256[:16]}")]
        return _medium(self._send("POST", "media", form=MultipartBody(texts, file)).data)

    def has_media(self, media: RemoteMedia) -> bool:
        try:
            self._send("GET", f"media/{media.id}")
        except PlatformError as error:
            if error.error_class == ErrorClass.NOT_FOUND:
                return False
            raise
        return True

    def delete_media(self, media: RemoteMedia) -> bool:
        try:
            self._send("DELETE", f"media/{media.id}?force=true")
        except PlatformError as error:
            if error.error_class != ErrorClass.NOT_FOUND:
                raise
        return True

    # Terms.

    def taxonomies(self) -> Sequence[Taxonomy]:
        return [
            Taxonomy("categories", "Categories", is_hierarchical=True),
            Taxonomy("tags", "Tags"),
        ]

    def terms(self, taxonomy: str) -> Iterator[RemoteTerm]:
        page, pages = 1, 1
        while page <= pages:
            answer = self._send("GET", f"{taxonomy}?per_page=100&page={page}")
            pages = int(answer.headers["X-WP-TotalPages"])
            yield from map(_term, answer.data)
            page += 1

    def create_term(
        self, taxonomy: str, name: str, slug: str, parent: str | None = None
    ) -> RemoteTerm:
        sent = {"name": name, "slug": slug, "parent": int(parent or 0)}
        return _term(self._send("POST", taxonomy, sent).data)

    def default_taxonomy(self, scheme: str) -> str | None:
        return {"anpa_category": "categories", "keywords": "tags"}.get(scheme)

    # Requests.

    def _send(
        self, method: str, route: str, data: Any = None, form: MultipartBody | None = None
    ) -> SiteAnswer:
        known = self.site.credentials
        pair = f"{known.get('username')}:{known.get('application_password')}".encode()
        headers = {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
        address = f"{self.site.base_url}/wp-json/wp/v2/{route}"
        writes = method != "GET"
        try:
            answer = self.client.request(method, address, headers=headers, data=data, form=form)
        except NoAnswer as error:
            raise without_answer(error, writes=writes) from error
        if 200 <= answer.status < 300 and answer.is_json:
            return answer
        if not answer.is_json:
            raise foreign_answer(answer, self.name, writes=writes)
        if answer.status == 429:
            raise slowed_down(answer)
        raise _failure(answer, route)


def _failure(answer: SiteAnswer, route: str) -> PlatformError:
    code = answer.data["code"]
    params = answer.data.get("data", {}).get("details") or {}
    error_class = CLASSES.get(answer.status, ErrorClass.VALIDATION)
    if "status" in params:
        error_class = ErrorClass.AUTH
    elif route.startswith("media") and code.startswith("rest_upload"):
        error_class = ErrorClass.MEDIA
    elif answer.status >= 500:
        error_class = ErrorClass.TRANSIENT
    return PlatformError(error_class, code, answer.data["message"], status=answer.status)


def _post(data: Mapping[str, Any]) -> RemotePost:
    return RemotePost(
        id=str(data["id"]),
        state=STATES[data["status"]],
        url=data["link"],
        slug=data["slug"],
        modified=data["modified_gmt"],
        published_at=datetime.fromisoformat(data["date_gmt"]).replace(tzinfo=UTC),
    )


def _compared(post: RemotePost, data: Mapping[str, Any], payload: Payload) -> RemotePost:
    sent, missing = payload.fields, {}
    if data["featured_media"] != sent["featured_media"]:
        missing[Mismatch.MEDIA] = [str(sent["featured_media"])]
    names = [
        name for name in ("categories", "tags") if sorted(data[name]) != sent.get(name, data[name])
    ]
    if names:
        missing[Mismatch.TERMS] = names
    return replace(post, mismatches=missing)


def _medium(data: Mapping[str, Any]) -> RemoteMedia:
    size = data["media_details"]
    return RemoteMedia(
        str(data["id"]), data["source_url"], data["mime_type"], size["width"], size["height"]
    )


def _term(data: Mapping[str, Any]) -> RemoteTerm:
    parent = str(data["parent"]) if data["parent"] else None
    return RemoteTerm(str(data["id"]), unescape(data["name"]), data["slug"], parent, data["count"])

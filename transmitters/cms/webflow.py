"""Webflow: items of one collection of a site, by the Data API v2 (cms contract W1 to W13).

Items are made as drafts, which no visitor sees, and published when they are as they should be: a
second item of the same story never becomes public.
"""

import json
import re
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import md5, sha256
from io import BytesIO
from secrets import token_hex
from typing import Any, ClassVar
from urllib.parse import quote

from apps.core.clock import moment_of
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
from transmitters.cms.failures import with_words, without_answer
from transmitters.cms.http import FilePart, MultipartBody, SiteClient
from transmitters.cms.webflow_api import (
    READ_AGAIN_HELP,
    SLUG_TAKEN,
    UNPUBLISHED,
    Fields,
    WebflowAPI,
    entries_of,
)
from transmitters.cms.webflow_fields import NAME, REF, SLUG, CollectionField, CollectionFields
from transmitters.http_connections import NoAnswer

OBJECT_ID = "[0-9a-f]{24}"
DOMAIN = r"(https?://)?[A-Za-z0-9.-]+(:[0-9]+)?"

IMAGES = frozenset(
    {"image/png", "image/jpeg", "image/gif", "image/svg+xml", "image/webp", "image/avif"}
)
IMAGE_BYTES = 4_000_000
SCOPES = ("sites:read", "cms:read", "cms:write", "assets:read", "assets:write")
CLOCK_SECONDS = 60
SKEW = timedelta(seconds=60)
"""By which the service's clock and ours may differ."""
STRICT = {"skipInvalidFiles": "false"}
"""Else the service leaves out a picture that it cannot get, and says nothing."""
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)
_OUR_FILE = re.compile(r"[0-9a-f]{16}\.\w+$")


class Webflow(Platform):
    """Publish to one collection of a Webflow site."""

    destination = "webflow"
    name = "Webflow"
    default_base_url = "https://api.webflow.com/v2"
    credentials = (
        Field(
            "token",
            "API token of the site (Webflow, Site settings, Apps & integrations, API access), with "
            "the scopes " + ", ".join(SCOPES) + ".",
            required=True,
            secret=True,
        ),
    )
    options: ClassVar[Mapping[str, Any]] = {
        "collection": {"type": "string", "regex": OBJECT_ID, "required": True},
        "site_id": {"type": "string", "regex": OBJECT_ID, "required": True},
        "field_map": {
            "type": "dict",
            "nullable": True,
            "keysrules": {"type": "string", "minlength": 1},
            "valuesrules": {"type": "string", "nullable": True},
            "default": {},
        },
        "domain": {"type": "string", "nullable": True, "regex": DOMAIN, "default": None},
        "author": {"type": "string", "nullable": True, "regex": OBJECT_ID, "default": None},
        "auto_site_publish": {"type": "boolean", "default": False},
    }
    errors: ClassVar[Mapping[int, str]] = {
        18000: "Webflow publish error",
        18001: "Webflow publish client error",
        18002: "Webflow publish server error",
    }
    retract_modes = (RetractMode.UNPUBLISH, RetractMode.DELETE)
    kill_mode = RetractMode.DELETE
    parallel = 1
    rate_per_minute = 54

    def __init__(self, site: Site, client: SiteClient) -> None:
        super().__init__(site, client)
        self._api = WebflowAPI(site, client)
        self._collection = f"/collections/{site.options.get('collection', '')}"
        self._items = f"{self._collection}/items"
        self._site = f"/sites/{site.options.get('site_id', '')}"

    def _item(self, item_id: str) -> str:
        return f"{self._items}/{quote(item_id, safe='')}"

    # Connection.

    @classmethod
    def check_credentials(cls, credentials: Mapping[str, str]) -> Mapping[str, str]:
        token = credentials.get("token", "")
        if not token:
            return {"token": "required field"}
        if re.search(r"\s", token) or not token.isascii():
            return {"token": "must not contain spaces; copy the token again"}
        return {}

    def test(self, *, write: bool = False) -> ConnectionTest:
        # What is known already stays known when the service is away.
        found = ConnectionTest(remote=dict(self.site.remote))
        steps: list[tuple[str, Callable[[dict[str, Any]], str]]] = [
            ("login", self._test_login),
            ("clock", self._test_clock),
            ("site", self._test_site),
            ("rights", self._test_rights),
            ("target", self._test_target),
            ("fields", self._test_fields),
        ]
        if write:
            steps.append(("write", self._test_write))
        for name, step in steps:
            is_good = found.make(self, name, partial(step, found.remote))
            if not is_good and name not in ("clock", "rights"):
                break
        found.remote.pop("date", None)
        return found

    def _test_login(self, remote: dict[str, Any]) -> str:
        """Ask who the token is; tokens that may not ask are told by the sites that they see."""
        try:
            answer = self._api.exchange("/token/introspect")
        except PlatformError as error:
            if error.error_class not in (ErrorClass.PERMISSION, ErrorClass.CONFIG):
                raise
            answer = self._api.exchange("/sites")
        remote["date"] = answer.date
        remote["api_root"] = self.site.base_url
        for name in ("capabilities", "limits"):
            remote.pop(name, None)
        token = answer.data.get("authorization")
        if isinstance(token, dict):
            if isinstance(token.get("scope"), str):
                remote["capabilities"] = sorted(re.findall(r"[\w:]+", token["scope"]))
            if isinstance(token.get("rateLimit"), int):
                remote["limits"] = {"rate_per_minute": token["rateLimit"]}
        return "Webflow accepts the token"

    def _test_clock(self, remote: dict[str, Any]) -> str:
        there: datetime | None = remote["date"]
        ahead = abs((datetime.now(UTC) - there).total_seconds()) if there else 0.0
        if ahead > CLOCK_SECONDS:
            raise PlatformError(
                ErrorClass.CONFIG,
                "clock_skew",
                f"The clock of this server is off by {ahead:.0f} seconds",
                help="Have the clock of this server set by NTP",
            )
        return "The clocks agree"

    def _test_site(self, remote: dict[str, Any]) -> str:
        site = self._api.get(self._site)
        remote["url"] = _address_of(site)
        remote["timezone"] = site.get("timeZone")
        if site.get("lastPublished") is None:
            raise PlatformError(
                ErrorClass.CONFIG,
                "site_not_published",
                "The site has never been published, so no item of it can be",
                help="Publish the site once in Webflow",
            )
        return f"The token sees the site {site.get('displayName')}"

    def _test_rights(self, remote: dict[str, Any]) -> str:
        wanted = [*SCOPES, *(["sites:write"] if self._publishes_site else [])]
        granted = remote.get("capabilities")
        if granted is None:
            self._api.get(self._items, limit=1)
            self._api.get(f"{self._site}/assets", limit=1)
            return "The token may read; whether it may write shows when something is written"
        if lacking := [scope for scope in wanted if scope not in granted]:
            raise PlatformError(
                ErrorClass.PERMISSION,
                "missing_scopes",
                "The token lacks the scopes " + ", ".join(lacking),
                help="Make a new token in Webflow with these scopes, and enter it here",
            )
        return "The token has every scope that is needed"

    def _test_target(self, remote: dict[str, Any]) -> str:
        """Check that the collection is one of the site: the token may see other sites, too."""
        listed = entries_of(self._api.get(f"{self._site}/collections"), "collections")
        if self.site.options.get("collection") not in [one.get("id") for one in listed]:
            names = ", ".join(f"{one.get('displayName')} ({one.get('id')})" for one in listed)
            raise PlatformError(
                ErrorClass.CONFIG,
                "collection_not_found",
                "The site has no such collection",
                help=f"Enter the id of one of its collections: {names or 'it has none yet'}",
            )
        found = self._api.get(self._collection)
        remote["types"] = [{key: found.get(source) for key, source in _SHOWN_OF_COLLECTION.items()}]
        remote["collection_fields"] = list(entries_of(found, "fields"))
        remote["taxonomies"] = [
            {"id": one.id, "name": one.name} for one in _taxonomies(remote["collection_fields"])
        ]
        return f"Items go to the collection {found.get('displayName')}"

    def _test_fields(self, remote: dict[str, Any]) -> str:
        fields = self._fields_of(remote["collection_fields"])
        if problems := fields.problems():
            first = problems[0]
            raise PlatformError(
                first.error_class,
                first.code,
                "; ".join(problem.message for problem in problems),
                field=first.field,
                help=first.help,
            )
        return "Every required field of the collection is filled"

    def _test_write(self, remote: dict[str, Any]) -> str:
        """Make a draft and a picture of one pixel, and delete both."""
        picture = b64decode(PIXEL)
        upload = MediaUpload(
            sha256=sha256(picture + token_hex(8).encode()).hexdigest(),
            md5=md5(picture, usedforsecurity=False).hexdigest(),
            length=len(picture),
            mime="image/png",
            extension="png",
            open=lambda: nullcontext(BytesIO(picture)),
        )
        media = self.upload(upload)
        try:
            fields = self._fields_of(remote["collection_fields"]).samples("Connection test", media)
            fields[SLUG] = f"connection-test-{token_hex(4)}"
            made = self._api.create(self._items, {"isDraft": True, "fieldData": fields})
            self._api.delete(self._item(made["id"]))
        finally:
            self.delete_media(media, is_sure=True)
        return "A draft and a picture were made and deleted again"

    # Posts.

    def payload(self, story: Story) -> Payload:
        if story.schedule_at is not None:
            raise _no_schedules()
        described = self._known_fields
        if not described:
            raise PlatformError(
                ErrorClass.CONFIG,
                "not_tested",
                "The fields of the collection are not known yet",
                help=READ_AGAIN_HELP,
            )
        return self._fields_of(described).payload(story)

    def _fields_of(self, described: Sequence[Mapping[str, Any]]) -> CollectionFields:
        options = self.site.options
        return CollectionFields(
            described, options.get("field_map") or {}, embeds=options.get("embeds") != "strip"
        )

    @property
    def _known_collection(self) -> Mapping[str, Any]:
        """What the last connection test has found of the collection; empty for another one."""
        types = self.site.remote.get("types") or ()
        wanted = self.site.options.get("collection")
        return next((one for one in types if one.get("id") == wanted), {})

    @property
    def _known_fields(self) -> Sequence[Mapping[str, Any]]:
        return self.site.remote.get("collection_fields") or () if self._known_collection else ()

    @property
    def _ref_field(self) -> str | None:
        return (self.site.options.get("field_map") or {}).get(REF)

    def look_up(self, identity: PostIdentity) -> Sequence[RemotePost]:
        items = list(self._api.pages(self._items, "items", slug=identity.slug))
        if items:
            items += self._twins(items, identity)
        found = [self._post(item) for item in items]
        posts = [replace(post, is_ours=self.recognises(post, identity)) for post in found]
        oldest = datetime.min.replace(tzinfo=UTC)
        return sorted(posts, key=lambda post: (not post.is_ours, post.created_at or oldest))

    def _twins(
        self, items: Sequence[Mapping[str, Any]], identity: PostIdentity
    ) -> Sequence[Mapping[str, Any]]:
        """Return items that were given another slug because one of `items` held it.

        They are asked for by name: slugs can only be asked for whole.
        """
        given = re.compile(re.escape(identity.slug) + "-[0-9a-z]{5}")
        names = [self._title(identity), *(str(_field_data(one).get(NAME) or "") for one in items)]
        found = {one["id"]: one for one in items}
        for name in dict.fromkeys(filter(None, names)):
            for item in self._api.pages(self._items, "items", name=name):
                if given.fullmatch(_slug_of(item)):
                    found.setdefault(item["id"], item)
        return list(found.values())[len(items) :]

    def _title(self, identity: PostIdentity) -> str:
        return self._fields_of(self._known_fields).title(identity.title)

    def recognises(self, post: RemotePost, identity: PostIdentity) -> bool:
        """Tell our item from one that merely holds the slug.

        Its `ref` tells where the collection has a place for it. Else two of three have to fit: the
        title, the time, and the half of the ref that a slug may carry.
        """
        if post.refs:
            return identity.ref in post.refs
        created = post.created_at
        signs = (
            identity.title and post.fields.get("title") == self._title(identity),
            identity.since and created and created >= identity.since - SKEW,
            re.search(rf"-{identity.ref[:8]}(-[0-9a-z]{{5}})?$", post.slug),
        )
        return len([sign for sign in signs if sign]) >= 2

    def read(self, post_id: str) -> RemotePost | None:
        if not re.fullmatch(OBJECT_ID, post_id):
            return None
        item = self._api.find(self._item(post_id))
        if item is not None:
            return self._post(item)
        live = self._live(post_id)
        return None if live is None else self._post(live, RemoteState.LIVE)

    def create(self, payload: Payload, identity: PostIdentity) -> RemotePost:
        """Create the post, once.

        What is not as it was sent stays a draft: a mismatch of the state asks for an `update`. So
        does an item of ours that was there already, which is returned in place of a second one.
        """
        fields = {key: value for key, value in payload.fields.items() if value is not None}
        body = {
            "isArchived": False,
            "isDraft": True,
            "fieldData": {**fields, SLUG: identity.slug},
        }
        try:
            item = self._api.create(self._items, body, **STRICT)
        except PlatformError as error:
            first = self._first_of_ours(identity) if error.code == SLUG_TAKEN else None
            if first is None:
                raise
            return _unfinished(first, identity)
        post = self._post(item, RemoteState.DRAFT)
        if post.slug != identity.slug:
            first = self._first_beside(post, identity)
            if first.id != post.id:
                return _unfinished(first, identity)
            return _unfinished(post, identity, self._mismatches(item, payload))
        live = None
        mismatches = self._mismatches(item, payload)
        if not mismatches:
            self._publish(post.id)
            live = self._live(post.id)
        if live is None:
            mismatches[Mismatch.STATE] = [RemoteState.LIVE.value]
            return replace(post, mismatches=mismatches)
        return replace(
            self._post(live, RemoteState.LIVE), mismatches=self._mismatches(live, payload)
        )

    def _first_beside(self, post: RemotePost, identity: PostIdentity) -> RemotePost:
        """Return our item that held the slug before; the one just made is deleted then.

        Raises:
            PlatformError: nobody knows whether there is one; what was made is deleted.
        """
        try:
            first = self._first_of_ours(identity) or post
        except PlatformError:
            with suppress(PlatformError):
                self._api.delete(self._item(post.id))
            raise
        if first.id != post.id:
            self._api.delete(self._item(post.id))
        return first

    def _first_of_ours(self, identity: PostIdentity) -> RemotePost | None:
        return next((post for post in self.look_up(identity) if post.is_ours), None)

    def update(self, post: RemotePost, payload: Payload, identity: PostIdentity) -> RemotePost:
        """Write the post, and make it live.

        The slug is left out: it never changes, and some sites refuse an item its own.
        """
        if post.fields.get("isArchived"):
            raise _archived()
        fields = {key: value for key, value in payload.fields.items() if key != SLUG}
        item = self._api.patch(self._item(post.id), {"fieldData": fields}, **STRICT)
        written = self._post(item, post.state)
        if mismatches := self._mismatches(item, payload):
            return replace(written, mismatches=mismatches)
        self._publish(post.id)
        published_at = post.published_at if post.state is RemoteState.LIVE else None
        return replace(
            written,
            state=RemoteState.LIVE,
            published_at=published_at or datetime.now(UTC).replace(microsecond=0),
        )

    def _publish(self, item_id: str) -> None:
        """Make an item live; the service tells in a good answer that it did not.

        Raises:
            PlatformError: it is not live.
        """
        try:
            done = self._api.post(f"{self._items}/publish", {"itemIds": [item_id]})
        except PlatformError as error:
            if error.code in UNPUBLISHED and self._publishes_site:
                self._publish_site()
                raise PlatformError(
                    ErrorClass.TRANSIENT,
                    "site_publishing",
                    "The site is being published, after which the item can be",
                    status=error.status,
                ) from error
            raise
        if item_id in _strings(done, "publishedItemIds"):
            return
        said = " ".join(_strings(done, "errors"))
        if "archived" in said:
            raise _archived()
        if "not found" in said:
            raise PlatformError(
                ErrorClass.NOT_FOUND, "item_not_found", "The item is gone", status=202
            )
        raise PlatformError(
            ErrorClass.VALIDATION,
            "not_published",
            f"Webflow did not publish the item: {said[:300] or 'it gave no reason'}",
            status=202,
        )

    @property
    def _publishes_site(self) -> bool:
        return bool(self.site.options.get("auto_site_publish"))

    def _publish_site(self) -> None:
        """Publish all that is staged of the site, wherever it is shown."""
        site = self._api.get(self._site)
        domains = [one["id"] for one in _domains(site) if one.get("id")]
        self._api.post(
            f"{self._site}/publish", {"customDomains": domains, "publishToWebflowSubdomain": True}
        )

    def overwrite(
        self, post: RemotePost, payload: Payload, identity: PostIdentity, mode: RetractMode
    ) -> RemotePost:
        """Overwrite the staged item, which stays where the live one alone is taken down."""
        if mode is not RetractMode.DELETE:
            fields = {key: value for key, value in payload.fields.items() if key != SLUG}
            self._api.patch(self._item(post.id), {"fieldData": fields, "isDraft": True}, **STRICT)
        return post

    def retract(self, post: RemotePost, mode: RetractMode) -> RemoteState:
        """Take a post off the site.

        Deleting takes it down first: that the deletion of an item takes its live version along is
        not promised.
        """
        was_live = self._api.delete(f"{self._item(post.id)}/live")
        if mode is RetractMode.DELETE:
            if not self._api.delete(self._item(post.id)) and not was_live:
                self._check_collection()
            return RemoteState.DELETED
        if was_live:
            return RemoteState.DRAFT
        item = self._api.find(self._item(post.id))
        if item is None:
            self._check_collection()
            return RemoteState.DELETED
        if not item.get("isDraft") and not item.get("isArchived"):
            # It would go out with the next publication of the whole site.
            self._api.patch(self._item(post.id), {"isDraft": True})
        return RemoteState.DRAFT

    def _check_collection(self) -> None:
        """Make sure that an item is gone, and not out of the token's sight.

        Raises:
            PlatformError: the token does not see the collection.
        """
        self._api.get(self._collection)

    def unschedule(self, post: RemotePost) -> RemotePost:
        raise _no_schedules()

    def discard(self, post: RemotePost) -> None:
        self.retract(post, RetractMode.DELETE)

    def _live(self, item_id: str) -> Mapping[str, Any] | None:
        return self._api.find(f"{self._item(item_id)}/live")

    def _post(self, item: Mapping[str, Any], state: RemoteState | None = None) -> RemotePost:
        """Return an item as a post; its state is found out unless it is known."""
        marker = _field_data(item).get(self._ref_field) if self._ref_field else None
        return RemotePost(
            id=item["id"],
            state=state or self._state_of(item),
            url=self._url_of(_slug_of(item)),
            slug=_slug_of(item),
            modified=_digest(item),
            published_at=moment_of(item.get("lastPublished")),
            created_at=moment_of(item.get("createdOn")),
            refs=(str(marker),) if marker else (),
            fields={
                "isArchived": bool(item.get("isArchived")),
                "title": _field_data(item).get(NAME),
            },
        )

    def _state_of(self, item: Mapping[str, Any]) -> RemoteState:
        """Return what visitors see of an item.

        An archived item may be live until the site is published, and so may one with pending
        changes: there the live version is asked for.
        """
        if item.get("lastPublished") is None:
            return RemoteState.DRAFT
        if not item.get("isDraft") and not item.get("isArchived"):
            return RemoteState.LIVE
        return RemoteState.DRAFT if self._live(item["id"]) is None else RemoteState.LIVE

    def _url_of(self, slug: str) -> str:
        """Return the public address of an item; the service does not tell it."""
        root = str(self.site.options.get("domain") or self.site.remote.get("url") or "")
        folder = self._known_collection.get("slug")
        if not root or not folder or not slug:
            return ""
        if "://" not in root:
            root = f"https://{root}"
        return f"{root.rstrip('/')}/{folder}/{slug}"

    def _mismatches(
        self, item: Mapping[str, Any], payload: Payload
    ) -> dict[Mismatch, Sequence[str]]:
        """Return in what an answer differs from what was sent."""
        shown = _field_data(item)
        found: dict[Mismatch, Sequence[str]] = {}
        if lost := _lost_media(payload, shown):
            found[Mismatch.MEDIA] = lost
        wrong = [
            taxonomy for taxonomy, ids in payload.terms.items() if _ids(shown, taxonomy) != set(ids)
        ]
        if wrong:
            found[Mismatch.TERMS] = wrong
        return found

    # Files.

    @property
    def media_limits(self) -> MediaLimits:
        return MediaLimits(IMAGES, {"image": IMAGE_BYTES})

    def find_media(self, upload: MediaUpload) -> RemoteMedia | None:
        for asset in self._api.pages(f"{self._site}/assets", "assets"):
            if asset.get("originalFileName") == upload.filename and self._has_bytes(asset):
                return RemoteMedia(asset["id"], str(asset.get("hostedUrl")), upload.mime)
        return None

    def _has_bytes(self, asset: Mapping[str, Any]) -> bool:
        """Whether a listed file is there: its entry is made before its bytes are sent."""
        try:
            answer = self.client.request("HEAD", str(asset.get("hostedUrl")))
        except NoAnswer as error:
            raise without_answer(error, writes=False) from error
        return answer.status == 200

    def upload(self, upload: MediaUpload) -> RemoteMedia:
        """Upload a file: its entry first, then its bytes, which the service keeps elsewhere."""
        entry = {"fileName": upload.filename, "fileHash": upload.md5}
        try:
            asset = self._api.create(f"{self._site}/assets", entry)
        except PlatformError as error:
            if error.error_class is not ErrorClass.VALIDATION:
                raise
            raise _no_upload(error.code, error.message, error.status) from error
        media = RemoteMedia(asset["id"], str(asset.get("hostedUrl")), upload.mime)
        try:
            self._send_bytes(upload, asset)
        except PlatformError as error:
            if error.error_class is not ErrorClass.AMBIGUOUS:
                with suppress(PlatformError):  # an entry without a file harms nobody
                    self.delete_media(media, is_sure=True)
            raise
        if upload.alt:
            # Not every version of the service takes it here; items name it again.
            with suppress(PlatformError):
                self._api.patch(f"/assets/{media.id}", {"altText": upload.alt})
        return media

    def _send_bytes(self, upload: MediaUpload, asset: Mapping[str, Any]) -> None:
        address = str(asset.get("uploadUrl"))
        if self.site.base_url.startswith("https:") and not address.startswith("https:"):
            raise _no_upload("insecure_upload", "Webflow named an upload address without TLS")
        named = asset.get("uploadDetails")
        if not isinstance(named, dict):
            message = "Webflow's answer does not say how to upload"
            raise PlatformError(ErrorClass.TRANSIENT, "foreign_answer", message)
        details = [(name, str(value)) for name, value in named.items()]
        part = FilePart("file", upload.filename, upload.mime, upload.length, upload.open)
        try:
            answer = self.client.request("POST", address, form=MultipartBody(details, part))
        except NoAnswer as error:
            raise without_answer(error, writes=True) from error
        if 200 <= answer.status < 300:
            return
        reason = re.search(r"<Code>(\w+)</Code>", answer.text)
        told = re.search(r"<Message>([^<]*)</Message>", answer.text)
        words = told[1] if told else ""
        code = reason[1] if reason else f"http_{answer.status}"
        if answer.status >= 500:
            raise PlatformError(
                ErrorClass.TRANSIENT,
                code,
                with_words("Webflow's store of files has a problem of its own", words),
                status=answer.status,
            )
        message = with_words("Webflow's store of files refuses the file", words)
        raise _no_upload(code, message, answer.status)

    def has_media(self, media: RemoteMedia) -> bool:
        found = self._api.find(f"/assets/{quote(media.id, safe='')}")
        named = _OUR_FILE.search(media.url)
        # Its name tells its content; the service may have moved it to another host.
        return found is not None and (
            named is None or str(found.get("originalFileName") or named[0]) == named[0]
        )

    def delete_media(self, media: RemoteMedia, *, is_sure: bool = False) -> bool:
        if not is_sure and not self.has_media(media):
            return True
        self._api.delete(f"/assets/{quote(media.id, safe='')}")
        return True

    # Terms.

    def taxonomies(self) -> Sequence[Taxonomy]:
        return _taxonomies(self._described())

    def terms(self, taxonomy: str) -> Iterator[RemoteTerm]:
        found = self._term_field(taxonomy)
        if found.type == "Option":
            for option in found.options:
                yield RemoteTerm(str(option.get("id")), str(option.get("name")))
            return
        for item in self._api.pages(f"/collections/{found.collection}/items", "items"):
            yield _term_of(item)

    def terms_of(self, post: RemotePost, taxonomies: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Return the terms of an item; a field of one term has no room for those of others."""
        many = [one for one in taxonomies if self._term_field(one).type == "MultiReference"]
        item = self._api.find(self._item(post.id)) if many else None
        fields = _field_data(item) if item is not None else {}
        return {taxonomy: sorted(_ids(fields, taxonomy)) for taxonomy in many}

    def create_term(
        self, taxonomy: str, name: str, slug: str, parent: str | None = None
    ) -> RemoteTerm:
        """Create an item of the collection that the taxonomy leads to.

        The service makes any number of items of one name: those that are there are looked at first.
        """
        found = self._term_field(taxonomy)
        if found.type == "Option":
            raise PlatformError(
                ErrorClass.TAXONOMY,
                "unmapped",
                f"Webflow does not let us add the option {name} to the field {taxonomy}",
                field=taxonomy,
                help="Add the option in Webflow, then synchronise the taxonomies",
            )
        items = f"/collections/{found.collection}/items"
        for query in ({"name": name}, {"slug": slug}):
            for item in self._api.pages(items, "items", **query):
                self._make_term_live(items, item)
                return _term_of(item)
        fields = {NAME: name, SLUG: slug}
        item = self._api.create(items, {"isDraft": True, "fieldData": fields})
        self._make_term_live(items, item)
        return _term_of(item)

    def _make_term_live(self, items: str, item: Mapping[str, Any]) -> None:
        """Publish a term: items cannot refer to one that is not."""
        if item.get("lastPublished") is not None and not item.get("isDraft"):
            return
        done = self._api.post(f"{items}/publish", {"itemIds": [item["id"]]})
        if item["id"] not in _strings(done, "publishedItemIds"):
            raise PlatformError(
                ErrorClass.TAXONOMY,
                "not_published",
                f"Webflow did not publish the term {_field_data(item).get(NAME)}",
                status=202,
                help="Publish, or unarchive, the term in Webflow",
            )

    def default_taxonomy(self, scheme: str) -> str | None:
        return self._fields_of(self._known_fields).taxonomy_for(scheme)

    def _described(self) -> Sequence[Mapping[str, Any]]:
        return entries_of(self._api.get(self._collection), "fields")

    def _term_field(self, taxonomy: str) -> CollectionField:
        return self._fields_of(self._described()).term_field(taxonomy)


_SHOWN_OF_COLLECTION = {"id": "id", "slug": "slug", "name": "displayName"}


def _taxonomies(described: Sequence[Mapping[str, Any]]) -> Sequence[Taxonomy]:
    return [
        Taxonomy(one.slug, one.name, can_create=one.type != "Option")
        for one in CollectionFields(described, {}).term_fields
    ]


def _unfinished(
    post: RemotePost,
    identity: PostIdentity,
    mismatches: Mapping[Mismatch, Sequence[str]] | None = None,
) -> RemotePost:
    """Return a post that a create has found its slug taken by, or has made under another."""
    wrong = {Mismatch.SLUG: [identity.slug], Mismatch.STATE: [RemoteState.LIVE.value]}
    return replace(post, mismatches={**(mismatches or {}), **wrong})


def _no_schedules() -> PlatformError:
    return PlatformError(
        ErrorClass.UNSUPPORTED, "no_schedules", "Webflow does not publish items at a later time"
    )


def _archived() -> PlatformError:
    return PlatformError(
        ErrorClass.VALIDATION,
        "item_archived",
        "Somebody archived the item in Webflow, so it cannot be published",
        status=202,
        help="Take the item out of the archive in Webflow, then try again",
    )


def _no_upload(code: str, message: str, status: int | None = None) -> PlatformError:
    return PlatformError(
        ErrorClass.MEDIA, code, message, status=status, help="Check media library access"
    )


def _field_data(item: Mapping[str, Any]) -> Fields:
    data = item.get("fieldData")
    return data if isinstance(data, dict) else {}


def _slug_of(item: Mapping[str, Any]) -> str:
    return str(_field_data(item).get(SLUG) or "")


def _digest(item: Mapping[str, Any]) -> str:
    """Return what tells two contents of an item apart.

    Times do not: the service sets them when it publishes, too, and then nobody has changed a thing.
    """
    text = json.dumps(_field_data(item), sort_keys=True, ensure_ascii=True)
    return sha256(text.encode()).hexdigest()[:32]


def _strings(found: Mapping[str, Any], key: str) -> list[str]:
    values = found.get(key)
    return [str(value) for value in values] if isinstance(values, list) else []


def _domains(site: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    domains = site.get("customDomains")
    return [one for one in domains if isinstance(one, dict)] if isinstance(domains, list) else []


def _address_of(site: Mapping[str, Any]) -> str:
    """Return where visitors find a site: its first domain, else the service's own for it."""
    for domain in _domains(site):
        if domain.get("url"):
            return f"https://{str(domain['url']).removeprefix('https://').rstrip('/')}"
    return f"https://{site.get('shortName')}.webflow.io"


def _term_of(item: Mapping[str, Any]) -> RemoteTerm:
    fields = _field_data(item)
    return RemoteTerm(item["id"], str(fields.get(NAME) or ""), str(fields.get(SLUG) or ""))


def _ids(fields: Fields, slug: str) -> set[str]:
    """Return the ids that a field of terms holds."""
    value = fields.get(slug)
    if isinstance(value, list):
        return {str(one) for one in value}
    return {str(value)} if value else set()


def _lost_media(payload: Payload, shown: Fields) -> list[str]:
    """Return the addresses of files that were sent in a field and are not in it any longer."""
    lost = []
    for media in payload.media:
        for slug, sent in payload.fields.items():
            if _holds(sent, media) and not _holds(shown.get(slug), media):
                lost.append(media.url)
                break
    return lost


def _holds(value: Any, media: RemoteMedia) -> bool:
    """Whether the value of a field shows a file; the service may have moved it to another host."""
    if isinstance(value, list):
        return any(_holds(one, media) for one in value)
    if isinstance(value, Mapping):
        if value.get("fileId") == media.id:
            return True
        value = value.get("url")
    named = _OUR_FILE.search(media.url)
    return isinstance(value, str) and (media.url in value or bool(named and named[0] in value))

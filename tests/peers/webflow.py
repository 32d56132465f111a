"""A look-alike of Webflow's Data API v2 on loopback, as strict as its public description.

It refuses what the service refuses: unknown fields and arguments, values of a wrong type, tokens
without the scope, uploads that do not keep the policy. It has staged and live items, files, public
pages, and a limit of requests. Where reports of the service's behaviour differ, a test chooses.
"""

import hmac
import re
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import md5
from html import escape
from secrets import token_hex
from typing import Any, Literal
from urllib.error import URLError
from urllib.parse import parse_qs, unquote, urlsplit
from urllib.request import urlopen

import orjson
from lxml import html as lxml_html

from tests.support.receivers import Fault, HTTPReceiver, Received, Reply

ALL_SCOPES = (
    "assets:read", "assets:write", "authorized_user:read", "cms:read", "cms:write", "sites:read",
    "sites:write",
)  # fmt: skip
IMAGE_BYTES = 4 << 20
DOCUMENT_BYTES = 10 << 20
PAGE = 100
MEDIA_TYPES = {
    "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "gif": "image/gif",
    "svg": "image/svg+xml", "webp": "image/webp", "avif": "image/avif",
    "pdf": "application/pdf", "txt": "text/plain", "csv": "text/csv",
}  # fmt: skip
_ID = re.compile(r"[0-9a-f]{24}")
_SLUG = re.compile(r"[_a-zA-Z0-9][-_a-zA-Z0-9]*")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_COLOR = re.compile(r"#([0-9a-fA-F]{3,4}|[0-9a-fA-F]{6}|[0-9a-fA-F]{8})|(rgb|hsl)a?\(.+\)")
_PHONE = re.compile(r"[-+() ./0-9]+")


@dataclass
class Behaviour:
    """How the service behaves where its description is silent or reports differ.

    Attributes:
        slug_conflict: a create with a taken slug gets a random suffix, or is refused.
        own_slug_refused: an update that repeats the item's own slug is refused.
        delete_removes_live: deleting a staged item takes its live version down, too.
        unpublish_keeps_date: an unpublished item keeps `lastPublished`.
        publish_touches: publishing sets `lastUpdated`.
        deduplicates_assets: a second file with the same bytes gets the first one's id.
        lists_unfinished_assets: files whose bytes have not come are listed.
        asset_alt_text: files take an alternative text.
        rehosts_images: pictures in rich text get another address on the service's own hosts.
        introspects: `/token/introspect` serves site tokens.
        rate_limit: requests a minute and token; None for no limit.
        retry_after: seconds that every answer names.
        clock: seconds since 1970.
    """

    slug_conflict: Literal["suffix", "error"] = "suffix"
    own_slug_refused: bool = False
    delete_removes_live: bool = False
    unpublish_keeps_date: bool = False
    publish_touches: bool = False
    deduplicates_assets: bool = False
    lists_unfinished_assets: bool = True
    asset_alt_text: bool = False
    rehosts_images: bool = False
    introspects: bool = True
    rate_limit: int | None = None
    retry_after: int = 60
    clock: Callable[[], float] = time.time


class RefusedError(Exception):
    """The service answers with an error.

    Args:
        details: of a validation error, objects with `param` and `description`.
    """

    def __init__(
        self, status: int, code: str, message: str, details: Sequence[object] = ()
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = {
            "message": message,
            "code": code,
            "externalReference": None,
            "details": list(details),
        }


def _invalid(param: str, description: str) -> RefusedError:
    details = [{"param": param, "description": description}]
    return RefusedError(400, "validation_error", "Validation Error", details)


def _not_found(what: str) -> RefusedError:
    message = f"Requested resource not found: The {what} cannot be found"
    return RefusedError(404, "resource_not_found", message)


def _conflict(message: str) -> RefusedError:
    return RefusedError(409, "conflict", f"Conflict with server data: {message}")


@dataclass
class Token:
    """A bearer token; `sites` are those that it may see."""

    value: str
    scopes: frozenset[str]
    sites: frozenset[str]
    window: float = 0.0
    used: int = 0


@dataclass
class Site:
    id: str
    short_name: str
    custom_domains: list[dict[str, str]]
    last_published: str | None
    published_at: float = float("-inf")


@dataclass
class Item:
    """One item; `staged` is None once it was deleted while its live version stays."""

    id: str
    staged: dict[str, Any] | None
    live: dict[str, Any] | None = None


@dataclass
class ItemCollection:
    """A collection; `is_changed` since the site was published for the last time."""

    id: str
    site: str
    slug: str
    display_name: str
    fields: list[dict[str, Any]]
    items: dict[str, Item] = field(default_factory=dict)
    is_changed: bool = False

    def field_of(self, slug: str) -> dict[str, Any] | None:
        return next((one for one in self.fields if one["slug"] == slug), None)


@dataclass
class Asset:
    id: str
    site: str
    name: str
    file_hash: str
    content_type: str
    hosted_url: str
    created: str
    data: bytes | None = None
    display_name: str = ""
    alt_text: str | None = None


@dataclass
class _Rule:
    """What happens to the next requests that fit."""

    method: str
    path: re.Pattern[str]
    reply: Reply
    times: int
    after_work: bool


@dataclass
class Call:
    """A request that is being answered, with what its path names."""

    received: Received
    token: Token
    query: Mapping[str, str]
    ids: Mapping[str, str]

    def body(self, allowed: Mapping[str, type | tuple[type, ...]]) -> dict[str, Any]:
        """Return the JSON object of the request; every key has to be allowed and of its type."""
        if not self.received.headers.get("content-type", "").startswith("application/json"):
            raise RefusedError(400, "bad_request", "Bad Request: Content-Type must be JSON")
        try:
            found = orjson.loads(self.received.body)
        except ValueError as error:
            raise RefusedError(400, "bad_request", "Bad Request: malformed JSON") from error
        return _checked(found, allowed)

    def arguments(self, *allowed: str) -> Mapping[str, str]:
        """Return the arguments of the request; unknown ones are refused."""
        for name in self.query:
            if name not in allowed:
                raise _invalid(name, "Unknown query parameter")
        return self.query

    def flag(self, name: str, *, default: bool) -> bool:
        value = self.query.get(name, str(default).lower())
        if value not in ("true", "false"):
            raise _invalid(name, "Value must be a boolean")
        return value == "true"


def _checked(found: Any, allowed: Mapping[str, type | tuple[type, ...]]) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise RefusedError(400, "bad_request", "Bad Request: Request is malformed")
    for key, value in found.items():
        if key not in allowed:
            raise _invalid(key, "Unknown property")
        kinds = allowed[key] if isinstance(allowed[key], tuple) else (allowed[key],)
        if type(value) not in kinds:
            raise _invalid(key, f"Value is of the wrong type: {type(value).__name__}")
    return found


Handler = Callable[["WebflowPeer", Call], tuple[int, Any]]
_ROUTES: list[tuple[str, re.Pattern[str], str | None, Handler]] = []


def _route(method: str, path: str, scope: str | None) -> Callable[[Handler], Handler]:
    pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path)

    def register(handler: Handler) -> Handler:
        _ROUTES.append((method, re.compile(pattern), scope, handler))
        return handler

    return register


class WebflowPeer:
    """The service: API under `/v2`, uploads under `/upload`, files under `/files`, public pages.

        with WebflowPeer() as peer:
            site = peer.add_site("daily")
            articles = peer.add_collection(site, "articles", [peer.field("body", "RichText")])
            token = peer.add_token()

    Args:
        behaviour: where reports differ.
    """

    def __init__(self, behaviour: Behaviour | None = None) -> None:
        self.behaviour = behaviour or Behaviour()
        self.tokens: dict[str, Token] = {}
        self.sites: dict[str, Site] = {}
        self.collections: dict[str, ItemCollection] = {}
        self.assets: dict[str, Asset] = {}
        self._rules: list[_Rule] = []
        self._lock = threading.RLock()
        self._key = token_hex(16).encode()
        self._receiver = HTTPReceiver(self._reply)
        self._asked: list[tuple[str, str]] = []

    # Set-up.

    @property
    def root(self) -> str:
        """Address of pages and files, without a slash at the end."""
        return self._receiver.url

    @property
    def url(self) -> str:
        """Address of the API."""
        return f"{self.root}/v2"

    def add_site(self, short_name: str, *, is_published: bool = True) -> str:
        site = Site(token_hex(12), short_name, [], self._now() if is_published else None)
        self.sites[site.id] = site
        return site.id

    @staticmethod
    def field(slug: str, type_: str, *, required: bool = False, **validations: Any) -> dict:
        """Return a field of a collection."""
        return {
            "id": token_hex(12),
            "isEditable": True,
            "isRequired": required,
            "type": type_,
            "slug": slug,
            "displayName": slug.replace("-", " ").title(),
            "helpText": None,
            "validations": validations or None,
        }

    def add_collection(self, site: str, slug: str, fields: Sequence[dict[str, Any]]) -> str:
        """Add a collection; every one has a name and a slug."""
        own = [
            self.field("name", "PlainText", required=True, maxLength=256),
            self.field("slug", "PlainText", required=True, maxLength=256),
        ]
        named = {one["slug"] for one in fields}
        own = [one for one in own if one["slug"] not in named]
        title = slug.replace("-", " ").title()
        added = ItemCollection(token_hex(12), site, slug, title, [*own, *fields])
        self.collections[added.id] = added
        return added.id

    def add_token(
        self, scopes: Collection[str] = ALL_SCOPES, *, sites: Collection[str] | None = None
    ) -> str:
        value = token_hex(32)
        seen = frozenset(self.sites if sites is None else sites)
        self.tokens[value] = Token(value, frozenset(scopes), seen)
        return value

    def add_item(self, collection: str, *, is_live: bool = True, **values: Any) -> str:
        """Add an item as somebody in the Designer would; it need not fit the schema."""
        now = self._now()
        staged = {
            "id": token_hex(12),
            "cmsLocaleId": None,
            "lastPublished": now if is_live else None,
            "lastUpdated": now,
            "createdOn": now,
            "isArchived": False,
            "isDraft": not is_live,
            "fieldData": values,
        }
        item = Item(staged["id"], staged, deepcopy(staged) if is_live else None)
        self.collections[collection].items[item.id] = item
        return item.id

    def edit(self, collection: str, item: str, **values: Any) -> None:
        """Change an item as a person in the Designer would, and publish it."""
        with self._lock:
            found = self.collections[collection].items[item]
            assert found.staged is not None
            found.staged["fieldData"] |= values
            found.staged["lastUpdated"] = self._now()
            self._make_live(found)

    def lose_answer(
        self, method: str, path: str, *, fault: Reply = Fault.CLOSE, times: int = 1
    ) -> None:
        """Carry the next requests out, and answer as told, or not at all.

        Args:
            path: regular expression, of the whole path without `/v2`.
        """
        self._rules.append(_Rule(method, re.compile(path), fault, times, after_work=True))

    def refuse(self, method: str, path: str, reply: Reply, *, times: int = 1) -> None:
        """Answer the next requests as told, without any work."""
        self._rules.append(_Rule(method, re.compile(path), reply, times, after_work=False))

    def error(self, status: int, code: str, message: str = "", **headers: str) -> Reply:
        """Return an error as the service tells it."""
        return self._json(status, RefusedError(status, code, message).body, headers)

    # Evidence.

    @property
    def requests(self) -> list[Received]:
        """Every request, those for pages, files and uploads too."""
        return self._receiver.requests

    @property
    def calls(self) -> list[tuple[str, str]]:
        """Method and path of all requests of the API so far, in order."""
        with self._lock:
            return list(self._asked)

    @property
    def writes(self) -> list[tuple[str, str]]:
        return [call for call in self.calls if call[0] != "GET"]

    def forget_calls(self) -> None:
        """Count requests from here on."""
        with self._lock:
            self._asked.clear()

    def items(self, collection: str) -> list[dict[str, Any]]:
        """Return the staged items of a collection."""
        with self._lock:
            found = self.collections[collection].items.values()
            return [deepcopy(item.staged) for item in found if item.staged is not None]

    def live_items(self, collection: str) -> list[dict[str, Any]]:
        with self._lock:
            found = self.collections[collection].items.values()
            return [deepcopy(item.live) for item in found if item.live is not None]

    def finished_assets(self) -> list[Asset]:
        with self._lock:
            return [asset for asset in self.assets.values() if asset.data is not None]

    # Life.

    def __enter__(self) -> "WebflowPeer":
        self._receiver.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._receiver.close()

    # Answers.

    def _reply(self, request: Received) -> Reply:
        rule = self._rule_for(request)
        if rule is not None and not rule.after_work:
            return rule.reply
        reply = self._answer(request)
        return reply if rule is None else rule.reply

    def _rule_for(self, request: Received) -> _Rule | None:
        path = urlsplit(request.path).path.removeprefix("/v2")
        with self._lock:
            for rule in self._rules:
                if rule.times and rule.method == request.method and rule.path.fullmatch(path):
                    rule.times -= 1
                    if path != urlsplit(request.path).path and not rule.after_work:
                        self._asked.append((request.method, path))
                    return rule
        return None

    def _answer(self, request: Received) -> Reply:
        path = urlsplit(request.path).path
        if path == "/upload":
            return self._upload(request)
        if path.startswith("/files/"):
            return self._file(request)
        if path.startswith("/v2/"):
            return self._api(request, path.removeprefix("/v2"))
        return self._page(request)

    def _api(self, request: Received, path: str) -> Reply:
        with self._lock:
            self._asked.append((request.method, path))
            limits: dict[str, str] = {"Retry-After": str(self.behaviour.retry_after)}
            try:
                token = self._token(request)
                limits |= self._limit(token)
                status, body = self._routed(request, path, token)
            except RefusedError as error:
                status, body = error.status, error.body
            return self._json(status, body, limits)

    def _json(self, status: int, body: Any, headers: Mapping[str, str]) -> Reply:
        named = {"Content-Type": "application/json; charset=utf-8", **headers}
        date = datetime.fromtimestamp(self.behaviour.clock(), UTC)
        named["Date"] = date.strftime("%a, %d %b %Y %H:%M:%S GMT")
        return status, named, b"" if body is None else orjson.dumps(body)

    def _token(self, request: Received) -> Token:
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        token = self.tokens.get(value)
        if scheme != "Bearer" or token is None:
            raise RefusedError(401, "not_authorized", "Request not authorized")
        return token

    def _limit(self, token: Token) -> dict[str, str]:
        limit = self.behaviour.rate_limit
        if limit is None:
            return {"X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "60"}
        now = self.behaviour.clock()
        if now - token.window >= 60:
            token.window, token.used = now, 0
        if token.used >= limit:
            raise RefusedError(429, "too_many_requests", "Too Many Requests")
        token.used += 1
        left = limit - token.used
        return {"X-RateLimit-Limit": str(limit), "X-RateLimit-Remaining": str(left)}

    def _routed(self, request: Received, path: str, token: Token) -> tuple[int, Any]:
        query = parse_qs(urlsplit(request.path).query, keep_blank_values=True)
        for method, pattern, scope, handler in _ROUTES:
            match = pattern.fullmatch(path)
            if match is None or method != request.method:
                continue
            if scope is not None and scope not in token.scopes:
                message = f"OAuthForbidden: You are missing the following scopes - {scope}"
                raise RefusedError(403, "missing_scopes", message)
            ids = {name: unquote(value) for name, value in match.groupdict().items()}
            if wrong := [name for name, value in ids.items() if not _ID.fullmatch(value)]:
                message = f"Validation Error: Provided IDs are invalid: {', '.join(wrong)}"
                raise RefusedError(400, "validation_error", message)
            arguments = {name: values[-1] for name, values in query.items()}
            return handler(self, Call(request, token, arguments, ids))
        raise RefusedError(404, "resource_not_found", "Requested resource not found: Route")

    def _now(self) -> str:
        moment = datetime.fromtimestamp(self.behaviour.clock(), UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    # Pages and files.

    def _page(self, request: Received) -> Reply:
        """Show a live item, as a template of the site would."""
        headers = {"Content-Type": "text/html; charset=utf-8"}
        parts = unquote(urlsplit(request.path).path).strip("/").split("/")
        with self._lock:
            for collection in self.collections.values():
                for item in collection.items.values():
                    shown = item.live
                    if shown and parts == [collection.slug, shown["fieldData"]["slug"]]:
                        return 200, headers, _page_of(collection, shown).encode()
        return 404, headers, b"<h1>Page not found</h1>"

    def _file(self, request: Received) -> Reply:
        path = unquote(urlsplit(request.path).path)
        with self._lock:
            for asset in self.assets.values():
                if asset.hosted_url == self.root + path and asset.data is not None:
                    headers = {"Content-Type": asset.content_type}
                    if request.method == "HEAD":
                        return 200, {**headers, "Content-Length": str(len(asset.data))}, b""
                    return 200, headers, asset.data
        if request.method == "HEAD":
            return 403, {"Content-Type": "application/xml", "Content-Length": "0"}, b""
        return 403, {"Content-Type": "application/xml"}, b"<Error><Code>AccessDenied</Code></Error>"

    # Uploads, as an S3 form.

    def _policy(self, asset: Asset) -> dict[str, str]:
        now = datetime.fromtimestamp(self.behaviour.clock(), UTC)
        limit = IMAGE_BYTES if asset.content_type.startswith("image/") else DOCUMENT_BYTES
        details = {
            "acl": "public-read",
            "bucket": "assets",
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Credential": f"KEY/{now:%Y%m%d}/us-east-1/s3/aws4_request",
            "X-Amz-Date": f"{now:%Y%m%dT%H%M%SZ}",
            "key": f"{asset.site}/{asset.id}_{asset.name}",
            "success_action_status": "201",
            "content-type": asset.content_type,
            "Cache-Control": "max-age=31536000, must-revalidate",
        }
        policy = {
            "expiration": (now + timedelta(hours=1)).isoformat(),
            "conditions": [*({name: value} for name, value in details.items())],
            "range": limit,
        }
        text = b64encode(orjson.dumps(policy)).decode()
        return {**details, "Policy": text, "X-Amz-Signature": self._signed(text, asset.file_hash)}

    def _signed(self, policy: str, file_hash: str) -> str:
        return hmac.new(self._key, f"{policy}:{file_hash}".encode(), "sha256").hexdigest()

    def _upload(self, request: Received) -> Reply:
        try:
            if request.method != "POST":
                raise UploadRefusedError(405, "MethodNotAllowed")
            with self._lock:
                asset = self._received_file(request)
        except UploadRefusedError as error:
            body = f"<Error><Code>{error.code}</Code><Message>{error}</Message></Error>"
            return error.status, {"Content-Type": "application/xml"}, body.encode()
        body = f"<PostResponse><Location>{escape(asset.hosted_url)}</Location></PostResponse>"
        return 201, {"Content-Type": "application/xml"}, body.encode()

    def _received_file(self, request: Received) -> Asset:
        """Store the file of a form that keeps its policy; fields behind the file do not count."""
        if "authorization" in request.headers:
            raise UploadRefusedError(400, "InvalidArgument", "Only one auth mechanism is allowed")
        if "content-length" not in request.headers:
            raise UploadRefusedError(411, "MissingContentLength")
        fields, data = _form_of(request)
        policy_text = fields.get("Policy", "")
        asset = next(
            (
                one
                for one in self.assets.values()
                if fields.get("key") == f"{one.site}/{one.id}_{one.name}"
            ),
            None,
        )
        if asset is None:
            raise UploadRefusedError(403, "AccessDenied", "Invalid according to Policy: key")
        if fields.get("X-Amz-Signature") != self._signed(policy_text, asset.file_hash):
            raise UploadRefusedError(403, "SignatureDoesNotMatch")
        policy = orjson.loads(b64decode(policy_text))
        if datetime.fromisoformat(policy["expiration"]).timestamp() < self.behaviour.clock():
            raise UploadRefusedError(403, "AccessDenied", "Policy expired")
        wanted = {name: value for one in policy["conditions"] for name, value in one.items()}
        for name, value in wanted.items():
            if fields.get(name) != value:
                raise UploadRefusedError(403, "AccessDenied", f"Policy Condition failed: {name}")
        if extra := set(fields) - set(wanted) - {"Policy", "X-Amz-Signature"}:
            raise UploadRefusedError(403, "AccessDenied", f"Extra input fields: {sorted(extra)}")
        if len(data) > policy["range"]:
            raise UploadRefusedError(400, "EntityTooLarge")
        if md5(data, usedforsecurity=False).hexdigest() != asset.file_hash:
            raise UploadRefusedError(400, "BadDigest")
        asset.data = data
        return asset

    # Values.

    def site_of(self, call: Call) -> Site:
        site = self.sites.get(call.ids["site"])
        if site is None or site.id not in call.token.sites:
            raise _not_found("site")
        return site

    def collection_of(self, call: Call) -> ItemCollection:
        found = self.collections.get(call.ids["collection"])
        if found is None or found.site not in call.token.sites:
            raise _not_found("collection")
        return found

    def asset_of(self, call: Call) -> Asset:
        found = self.assets.get(call.ids["asset"])
        if found is None or found.site not in call.token.sites:
            raise _not_found("asset")
        return found

    def values(
        self,
        collection: ItemCollection,
        data: Any,
        *,
        skip_files: bool,
        item: Item | None = None,
    ) -> dict[str, Any]:
        """Return `fieldData` as it is stored.

        Args:
            item: that is updated; None on creation.

        Raises:
            RefusedError: with every fault.
        """
        if not isinstance(data, dict):
            raise _invalid("fieldData", "Value must be an object")
        stored: dict[str, Any] = {}
        faults: list[dict[str, str]] = []
        for slug, value in data.items():
            schema = collection.field_of(slug)
            try:
                if schema is None:
                    raise ValueError("Field not described in schema: undefined")
                stored[slug] = self._value(collection, schema, value, skip_files=skip_files)
            except ValueError as error:
                faults.append({"param": slug, "description": str(error)})
        for schema in collection.fields:
            slug = schema["slug"]
            is_given = stored.get(slug) not in (None, "")
            # The service makes a slug from the name.
            is_due = item is None or slug in data
            is_told = any(one["param"] == slug for one in faults)
            if schema["isRequired"] and is_due and not (is_given or is_told) and slug != "slug":
                faults.append({"param": slug, "description": "Field is required"})
        if faults:
            raise RefusedError(400, "validation_error", "Validation Error", faults)
        return stored

    def _value(
        self, collection: ItemCollection, schema: dict[str, Any], value: Any, *, skip_files: bool
    ) -> Any:
        if value is None:
            return None
        limits = schema["validations"] or {}
        match schema["type"]:
            case "PlainText":
                return _plain_text(schema["slug"], value, limits)
            case "RichText":
                return self._rich_text(_text(value), skip_files=skip_files)
            case "Image" | "File":
                return self._picture(value, skip_files=skip_files)
            case "MultiImage":
                found = [self._picture(one, skip_files=skip_files) for one in _list(value)]
                return [one for one in found if one is not None]
            case "Reference":
                return self._reference(value, limits)
            case "MultiReference":
                return [self._reference(one, limits) for one in _list(value)]
            case "Option":
                if value not in [option["id"] for option in limits["options"]]:
                    raise ValueError("Value is not one of the options")
                return value
        return _scalar(schema["type"], value, limits)

    def _reference(self, value: Any, limits: Mapping[str, Any]) -> str:
        target = self.collections[limits["collectionId"]]
        found = target.items.get(value) if isinstance(value, str) else None
        if found is None or found.staged is None:
            raise ValueError(f"Referenced item not found: {value}")
        if found.live is None:
            raise ValueError(f"Referenced item is not published: {value}")
        return found.id

    def _picture(self, value: Any, *, skip_files: bool) -> dict[str, Any] | None:
        given = {"url": value} if isinstance(value, str) else value
        if not isinstance(given, dict) or set(given) - {"fileId", "url", "alt"}:
            raise ValueError("Value must be a URL or {fileId, url, alt}")
        alt = given.get("alt")
        if alt is not None and not isinstance(alt, str):
            raise ValueError("alt must be text")
        asset = self.assets.get(given.get("fileId", ""))
        if "fileId" in given and (asset is None or asset.data is None):
            if skip_files:
                return None
            raise ValueError(f"File not found: {given['fileId']}")
        if asset is not None:
            return {"fileId": asset.id, "url": asset.hosted_url, "alt": alt}
        return self._imported(given.get("url"), alt, skip_files=skip_files)

    def _imported(self, url: Any, alt: str | None, *, skip_files: bool) -> dict[str, Any] | None:
        """Fetch a picture from its address."""
        if not isinstance(url, str):
            raise ValueError("url is required")
        own = next((one for one in self.assets.values() if one.hosted_url == url), None)
        if own is not None and own.data is not None:
            return {"fileId": own.id, "url": own.hosted_url, "alt": alt}
        if (kind := None if own else self._fetched(url)) is None:
            if skip_files:
                return None
            raise ValueError(f"Remote file failed to import: {url}")
        return {"fileId": token_hex(12), "url": url, "alt": alt, "contentType": kind} | (
            {} if alt else {"alt": None}
        )

    def _fetched(self, url: str) -> str | None:
        """Return the type of the picture at an address; None if there is none."""
        if urlsplit(url).scheme not in ("http", "https") or url.startswith(self.root):
            return None
        with suppress(URLError, OSError, ValueError), urlopen(url, timeout=5) as answer:
            kind = str(answer.headers.get_content_type())
            data = answer.read(IMAGE_BYTES + 1)
            if kind.startswith("image/") and len(data) <= IMAGE_BYTES:
                return kind
        return None

    def _rich_text(self, text: str, *, skip_files: bool) -> str:
        """Keep what the editor of the service knows: no code, no tables, pictures that exist."""
        if not text.strip():
            return ""
        root = lxml_html.fragment_fromstring(text, create_parent="div")
        for element in list(root.iter()):
            if not isinstance(element.tag, str) or element.tag in ("script", "style", "table"):
                element.drop_tree()
            elif element.tag == "pre":
                tail = element.tail
                element.clear()
                element.tail = tail
            elif element.tag == "img":
                self._body_picture(element, skip_files=skip_files)
        inner = escape(root.text or "", quote=False)
        return inner + "".join(lxml_html.tostring(one, encoding="unicode") for one in root)

    def _body_picture(self, element: Any, *, skip_files: bool) -> None:
        address = element.get("src", "")
        found = self._imported(address, None, skip_files=skip_files)
        if found is None:
            element.drop_tree()
        elif self.behaviour.rehosts_images:
            name = found["url"].rpartition("/")[2]
            element.set("src", f"{self.root}/files/rich/{token_hex(12)}_{name}")

    # Items.

    def slug_for(
        self, collection: ItemCollection, stored: Mapping[str, Any], item: Item | None
    ) -> str:
        """Return the slug that an item gets; a taken one gets a suffix on creation, or is refused.

        Raises:
            RefusedError: it is taken.
        """
        wanted = stored.get("slug") or re.sub(r"\W+", "-", stored["name"].lower()).strip("-")
        taken = {
            each["fieldData"].get("slug")
            for other in collection.items.values()
            if other is not item
            for each in (other.staged, other.live)
            if each is not None
        }
        if self.behaviour.own_slug_refused and item is not None:
            taken.add((item.staged or {})["fieldData"].get("slug"))
        if wanted not in taken:
            return str(wanted)
        if item is None and self.behaviour.slug_conflict == "suffix":
            return f"{wanted}-{token_hex(3)[:5]}"
        raise _invalid("slug", f"Unique value is already in database: '{wanted}'")

    def _make_live(self, item: Item) -> None:
        assert item.staged is not None
        now = self._now()
        item.staged["lastPublished"] = now
        item.staged["isDraft"] = False
        if self.behaviour.publish_touches:
            item.staged["lastUpdated"] = now
        item.live = deepcopy(item.staged)

    def take_down(self, item: Item) -> None:
        if item.live is None:
            raise _not_found("item")
        item.live = None
        if item.staged is not None:
            item.staged["isDraft"] = True
            if not self.behaviour.unpublish_keeps_date:
                item.staged["lastPublished"] = None

    def check_publishable(self, collection: ItemCollection) -> None:
        """Refuse to publish items while the site does not know the collection as it is."""
        if self.sites[collection.site].last_published is None:
            raise _conflict("The site has not been published yet")
        if collection.is_changed:
            raise _conflict("The collection structure changed since the last publish")

    def publish(self, collection: ItemCollection, ids: Sequence[str]) -> dict[str, Any]:
        self.check_publishable(collection)
        done, errors = [], []
        for each in ids:
            item = collection.items.get(each)
            if item is None or item.staged is None:
                errors.append(f"Staging item ID {each} not found.")
            elif item.staged["isArchived"]:
                errors.append(f"Staging item ID {each} is archived and cannot be published.")
            else:
                self._make_live(item)
                done.append(each)
        return {"publishedItemIds": done, "errors": errors}

    def create(self, collection: ItemCollection, given: Any, *, skip_files: bool) -> Item:
        body = _checked(given, _NEW_ITEM)
        stored = self.values(collection, body.get("fieldData"), skip_files=skip_files)
        stored["slug"] = self.slug_for(collection, stored, None)
        now = self._now()
        staged = {
            "id": token_hex(12),
            "cmsLocaleId": body.get("cmsLocaleId"),
            "lastPublished": None,
            "lastUpdated": now,
            "createdOn": now,
            "isArchived": body.get("isArchived", False),
            "isDraft": body.get("isDraft", True),
            "fieldData": {key: value for key, value in stored.items() if value is not None},
        }
        item = Item(staged["id"], staged)
        collection.items[item.id] = item
        return item

    def update(
        self, collection: ItemCollection, item: Item, given: Any, *, skip_files: bool
    ) -> None:
        body = _checked(given, _CHANGED_ITEM)
        assert item.staged is not None
        data = body.get("fieldData", {})
        stored = self.values(collection, data, skip_files=skip_files, item=item)
        if stored.get("slug"):
            stored["slug"] = self.slug_for(collection, stored, item)
        kept = {**item.staged["fieldData"], **stored}
        item.staged["fieldData"] = {key: value for key, value in kept.items() if value is not None}
        item.staged |= {key: body[key] for key in ("isArchived", "isDraft") if key in body}
        item.staged["lastUpdated"] = self._now()

    def staged_item(self, collection: ItemCollection, item_id: str) -> Item:
        found = collection.items.get(item_id)
        if found is None or found.staged is None:
            raise _not_found("item")
        return found

    def live_item(self, collection: ItemCollection, item_id: str) -> Item:
        found = collection.items.get(item_id)
        if found is None or found.live is None:
            raise _not_found("item")
        return found

    def listed(self, call: Call, shown: Iterator[dict[str, Any]]) -> dict[str, Any]:
        query = call.arguments(
            "offset", "limit", "name", "slug", "sortBy", "sortOrder", "cmsLocaleId"
        )
        offset, limit = _number(query, "offset", 0, None), _number(query, "limit", PAGE, PAGE)
        found = [
            item
            for item in shown
            if all(
                item["fieldData"].get(key) == query[key] for key in ("name", "slug") if key in query
            )
        ]
        if (by := query.get("sortBy")) is not None:
            if by not in ("lastPublished", "name", "slug"):
                raise _invalid("sortBy", "Value is not one of lastPublished, name, slug")
            found.sort(key=lambda item: str(item.get(by) or item["fieldData"].get(by) or ""))
        if query.get("sortOrder", "asc") not in ("asc", "desc"):
            raise _invalid("sortOrder", "Value is not one of asc, desc")
        if query.get("sortOrder") == "desc":
            found.reverse()
        page = {"limit": limit, "offset": offset, "total": len(found)}
        return {"items": deepcopy(found[offset : offset + limit]), "pagination": page}


_NEW_ITEM: dict[str, Any] = {
    "id": str, "cmsLocaleId": str, "lastPublished": str, "lastUpdated": str, "createdOn": str,
    "isArchived": bool, "isDraft": bool, "fieldData": dict,
}  # fmt: skip
_CHANGED_ITEM = _NEW_ITEM


class UploadRefusedError(Exception):
    """The store of files refuses a form."""

    def __init__(self, status: int, code: str, message: str = "") -> None:
        super().__init__(message or code)
        self.status = status
        self.code = code


def _form_of(request: Received) -> tuple[dict[str, str], bytes]:
    """Return the fields of a multipart form up to its file, and the file.

    Raises:
        UploadRefusedError: not a form, or one without a file.
    """
    kind = request.headers.get("content-type", "")
    found = re.fullmatch(r'multipart/form-data; boundary="?([^";]+)"?', kind)
    if found is None:
        raise UploadRefusedError(412, "PreconditionFailed", "Bucket POST must be a form")
    mark = b"--" + found[1].encode()
    if not request.body.rstrip(b"\r\n").endswith(mark + b"--"):
        raise UploadRefusedError(400, "MalformedPOSTRequest")
    fields: dict[str, str] = {}
    for part in (b"\r\n" + request.body).split(b"\r\n" + mark)[1:-1]:
        head, _, data = part.partition(b"\r\n\r\n")
        name = re.search(rb'[ ;]name="([^"]*)"', head)
        if name is None:
            raise UploadRefusedError(400, "MalformedPOSTRequest")
        if name[1] == b"file":
            return fields, data
        fields[name[1].decode()] = data.decode()
    raise UploadRefusedError(400, "InvalidArgument", "POST requires exactly one file upload")


def _page_of(collection: ItemCollection, item: Mapping[str, Any]) -> str:
    """Return the page of an item: every field under its slug."""
    shown = [f"<title>{escape(item['fieldData']['name'])}</title>"]
    for schema in collection.fields:
        value = item["fieldData"].get(schema["slug"])
        if schema["type"] == "RichText":
            text = value or ""
        elif schema["type"] == "Image" and value:
            text = f'<img src="{escape(value["url"])}" alt="{escape(value["alt"] or "")}">'
        else:
            text = escape(str(value)) if value is not None else ""
        shown.append(f'<section id="{schema["slug"]}">{text}</section>')
    return "<!doctype html>" + "".join(shown)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("Value must be a string")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("Value must be a list")
    return value


def _plain_text(slug: str, value: Any, limits: Mapping[str, Any]) -> str:
    text = _text(value)
    longest = limits.get("maxLength", 256 if slug in ("name", "slug") else None)
    if longest is not None and len(text) > longest:
        raise ValueError(f"Value must be no longer than {longest} characters")
    if slug == "slug" and not _SLUG.fullmatch(text):
        raise ValueError("Value does not match the pattern of slugs")
    if limits.get("singleLine") and "\n" in text:
        raise ValueError("Value must be a single line")
    return text


def _scalar(kind: str, value: Any, limits: Mapping[str, Any]) -> Any:
    match kind:
        case "Switch":
            if not isinstance(value, bool):
                raise ValueError("Value must be a boolean")
        case "Number":
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ValueError("Value must be a number")
            if limits.get("format") == "integer" and value != int(value):
                raise ValueError("Value must be an integer")
            if not limits.get("minValue", value) <= value <= limits.get("maxValue", value):
                raise ValueError("Value is out of range")
        case "DateTime" | "Date":
            try:
                zone = datetime.fromisoformat(_text(value)).tzinfo
            except ValueError:
                zone = None
            if zone is None:
                raise ValueError("Value must be an ISO 8601 date with a zone")
        case "Link" | "VideoLink":
            if urlsplit(_text(value)).scheme not in ("http", "https", "mailto", "tel"):
                raise ValueError("Value must be a URL")
        case "Email" if not _EMAIL.fullmatch(_text(value)):
            raise ValueError("Value must be an e-mail address")
        case "Phone" if not _PHONE.fullmatch(_text(value)):
            raise ValueError("Value must be a phone number")
        case "Color" if not _COLOR.fullmatch(_text(value)):
            raise ValueError("Value must be a colour")
    return value


def _number(query: Mapping[str, str], name: str, default: int, most: int | None) -> int:
    text = query.get(name, str(default))
    if not text.isdigit() or (most is not None and not 1 <= int(text) <= most):
        raise _invalid(name, "Value is out of range")
    return int(text)


# Routes: tokens and sites.


@_route("GET", "/token/introspect", None)
def _introspect(peer: WebflowPeer, call: Call) -> tuple[int, Any]:
    if not peer.behaviour.introspects:
        raise RefusedError(403, "forbidden", "Forbidden: for apps only")
    limit = peer.behaviour.rate_limit or 60
    return 200, {
        "authorization": {
            "id": token_hex(12),
            "createdOn": peer._now(),
            "lastUsed": peer._now(),
            "grantType": "authorization_code",
            "rateLimit": limit,
            "scope": ",".join(sorted(call.token.scopes)),
            "authorizedTo": {
                "siteIds": sorted(call.token.sites),
                "workspaceIds": [],
                "userIds": [],
            },
        },
        "application": None,
    }


@_route("GET", "/token/authorized_by", "authorized_user:read")
def _authorized_by(peer: WebflowPeer, call: Call) -> tuple[int, Any]:
    person = {"id": "0" * 24, "email": "desk@example.com", "firstName": "Desk", "lastName": "A"}
    return 200, person


def _shown_site(site: Site) -> dict[str, Any]:
    return {
        "id": site.id,
        "workspaceId": "0" * 24,
        "createdOn": "2026-01-01T00:00:00.000Z",
        "displayName": site.short_name.title(),
        "shortName": site.short_name,
        "lastPublished": site.last_published,
        "lastUpdated": "2026-01-01T00:00:00.000Z",
        "previewUrl": None,
        "timeZone": "Europe/Vienna",
        "parentFolderId": None,
        "customDomains": site.custom_domains,
        "dataCollectionEnabled": False,
        "dataCollectionType": "always",
    }


@_route("GET", "/sites", "sites:read")
def _list_sites(peer: WebflowPeer, call: Call) -> tuple[int, Any]:
    return 200, {"sites": [_shown_site(peer.sites[one]) for one in sorted(call.token.sites)]}


@_route("GET", "/sites/{site}", "sites:read")
def _get_site(peer: WebflowPeer, call: Call) -> tuple[int, Any]:
    return 200, _shown_site(peer.site_of(call))


@_route("GET", "/sites/{site}/custom_domains", "sites:read")
def _domains(peer: WebflowPeer, call: Call) -> tuple[int, Any]:
    return 200, {"customDomains": peer.site_of(call).custom_domains}


@_route("POST", "/sites/{site}/publish", "sites:write")
def _publish_site(peer: WebflowPeer, call: Call) -> tuple[int, Any]:
    site = peer.site_of(call)
    body = call.body({"customDomains": list, "publishToWebflowSubdomain": bool})
    known = {one["id"]: one for one in site.custom_domains}
    if unknown := [one for one in body.get("customDomains", []) if one not in known]:
        raise _invalid("customDomains", f"Unknown domains: {unknown}")
    if not body.get("customDomains") and not body.get("publishToWebflowSubdomain"):
        raise RefusedError(400, "no_domains", "Bad Request: No domains to publish to")
    now = peer.behaviour.clock()
    if now - site.published_at < 60:
        raise RefusedError(429, "too_many_requests", "Too Many Requests: One publish a minute")
    site.published_at, site.last_published = now, peer._now()
    for collection in peer.collections.values():
        if collection.site == site.id:
            collection.is_changed = False
            for item in collection.items.values():
                if item.staged is None or item.staged["isArchived"]:
                    item.live = None
                elif not item.staged["isDraft"]:
                    peer._make_live(item)
    domains = [known[one] for one in body.get("customDomains", [])]
    shown = {"customDomains": domains}
    return 202, shown | {"publishToWebflowSubdomain": bool(body.get("publishToWebflowSubdomain"))}


# Routes: collections and items.


def _shown_collection(collection: ItemCollection, *, whole: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": collection.id,
        "displayName": collection.display_name,
        "singularName": collection.display_name.removesuffix("s"),
        "slug": collection.slug,
        "createdOn": "2026-01-01T00:00:00.000Z",
        "lastUpdated": "2026-01-01T00:00:00.000Z",
    }
    return shown | ({"fields": collection.fields} if whole else {})


@_route("GET", "/sites/{site}/collections", "cms:read")
def _list_collections(peer: WebflowPeer, call: Call) -> tuple[int, Any]:
    site = peer.site_of(call)
    found = [one for one in peer.collections.values() if one.site == site.id]
    return 200, {"collections": [_shown_collection(one, whole=False) for one in found]}


@_route("GET", "/collections/{collection}", "cms:read")
def _get_collection(peer: WebflowPeer, call: Call) -> tuple[int, Any]:
    return 200, _shown_collection(peer.collection_of(call), whole=True)


def _many(body: Mapping[str, Any]) -> list[Any]:
    items = body["items"]
    if not 1 <= len(items) <= PAGE:
        raise _invalid("items", f"Between 1 and {PAGE} items")
    return list(items)


def _created(peer: WebflowPeer, call: Call, *, is_live: bool) -> tuple[int, Any]:
    collection = peer.collection_of(call)
    call.arguments("skipInvalidFiles")
    skip = call.flag("skipInvalidFiles", default=True)
    body = call.body({**_NEW_ITEM, "items": list})
    if is_live:
        peer.check_publishable(collection)
    given = _many(body) if "items" in body else [body]
    made = [peer.create(collection, one, skip_files=skip) for one in given]
    if is_live:
        peer.publish(collection, [item.id for item in made])
    shown = [item.staged for item in made]
    return 202, deepcopy({"items": shown} if "items" in body else shown[0])


@_route("POST", "/collections/{collection}/items", "cms:write")
def _create_item(peer: WebflowPeer, call: Call) -> tuple[int, Any]:
    return _created(peer, call, is_live=False)


@_route("POST", "/collections/{collection}/items/live", "cms:write")
def _create_live(peer: WebflowPeer, call: Call) -> tuple[int, Any]:
    return _created(peer, call, is_live=True)


@_route("GET", "/collections/{collection}/items", "cms:read")
def _list_items(peer: WebflowPeer, call: Call) -> tuple[int, Any]:
    items = peer.collection_of(call).items.values()
    return 200, peer.listed(call, (one.staged for one in items if one.staged is not None))


@_route("GET", "/collections/{collection}/items/live", "cms:read")
def _list_live(peer: WebflowPeer, call: Call) -> tuple[int, Any]:
    items = peer.collection_of(call).items.values()
    return 200, peer.listed(call, (one.live for one in items if one.live is not None))


def _changed(peer: WebflowPeer, call: Call, items: Sequence[tuple[Item, Any]]) -> None:
    call.arguments("skipInvalidFiles")
    skip = call.flag("skipInvalidFiles", default=True)
    for item, given in items:
        peer.update(peer.collection_of(call), item, given, skip_files=skip)


@_route("PATCH", "/collections/{collection}/items", "cms:write")
def _update_items(peer: WebflowPeer, call: Call) -> tuple[int, Any]:
    collection = peer.collection_of(call)
    pairs = []
    for given in _many(call.body({"items": list})):
        one = _checked(given, _CHANGED_ITEM)
        pairs.append((peer.staged_item(collection, one.get("id", "")), one))
    _changed(peer, call, pairs)
    return 200, deepcopy({"items": [item.staged for item, _ in pairs]})


@_route("DELETE", "/collections/{collection}/items", "cms:write")
def _delete_items(peer: WebflowPeer, call: Call) -> tuple[int, Any]:
    collection = peer.collection_of(call)
    for one in _many(call.body({"items": list})):
        _delete_staged(peer, collection, _checked(one, {"id": str, "cmsLocaleIds": list})["id"])
    return 204, None


@_route("DELETE", "/collections/{collection}/items/live", "cms:write")
def _delete_live_items(peer: WebflowPeer, call: Call) -> tuple[int, Any]:
    collection = peer.collection_of(call)
    for one in _many(call.body({"items": list})):
        given = _checked(one, {"id": str, "cmsLocaleIds": list})
        peer.take_down(peer.live_item(collection, given["id"]))
    return 204, None


@_route("POST", "/collections/{collection}/items/publish", "cms:write")
def _publish_items(peer: WebflowPeer, call: Call) -> tuple[int, Any]:
    collection = peer.collection_of(call)
    body = call.body({"itemIds": list, "items": list})
    if ("itemIds" in body) == ("items" in body):
        raise _invalid("itemIds", "Either itemIds or items")
    ids = body["itemIds"] if "itemIds" in body else [one["id"] for one in _many(body)]
    if not 1 <= len(ids) <= PAGE or not all(_ID.fullmatch(str(one)) for one in ids):
        raise _invalid("itemIds", "Value must be a list of item ids")
    return 202, peer.publish(collection, ids)


@_route("GET", "/collections/{collection}/items/{item}/live", "cms:read")
def _get_live(peer: WebflowPeer, call: Call) -> tuple[int, Any]:
    return 200, deepcopy(peer.live_item(peer.collection_of(call), call.ids["item"]).live)


@_route("PATCH", "/collections/{collection}/items/{item}/live", "cms:write")
def _update_live(peer: WebflowPeer, call: Call) -> tuple[int, Any]:
    collection = peer.collection_of(call)
    item = peer.staged_item(collection, call.ids["item"])
    if item.live is None:
        raise _conflict(
            "Live PATCH updates can't be applied to items that have never been published"
        )
    peer.check_publishable(collection)
    _changed(peer, call, [(item, call.body(_CHANGED_ITEM))])
    peer._make_live(item)
    return 200, deepcopy(item.live)


@_route("DELETE", "/collections/{collection}/items/{item}/live", "cms:write")
def _unpublish(peer: WebflowPeer, call: Call) -> tuple[int, Any]:
    peer.take_down(peer.live_item(peer.collection_of(call), call.ids["item"]))
    return 204, None


@_route("GET", "/collections/{collection}/items/{item}", "cms:read")
def _get_item(peer: WebflowPeer, call: Call) -> tuple[int, Any]:
    call.arguments("cmsLocaleId")
    return 200, deepcopy(peer.staged_item(peer.collection_of(call), call.ids["item"]).staged)


@_route("PATCH", "/collections/{collection}/items/{item}", "cms:write")
def _update_item(peer: WebflowPeer, call: Call) -> tuple[int, Any]:
    item = peer.staged_item(peer.collection_of(call), call.ids["item"])
    _changed(peer, call, [(item, call.body(_CHANGED_ITEM))])
    return 200, deepcopy(item.staged)


def _delete_staged(peer: WebflowPeer, collection: ItemCollection, item_id: str) -> None:
    item = peer.staged_item(collection, item_id)
    item.staged = None
    if item.live is None or peer.behaviour.delete_removes_live:
        del collection.items[item.id]


@_route("DELETE", "/collections/{collection}/items/{item}", "cms:write")
def _delete_item(peer: WebflowPeer, call: Call) -> tuple[int, Any]:
    call.arguments("cmsLocaleId")
    _delete_staged(peer, peer.collection_of(call), call.ids["item"])
    return 204, None


# Routes: assets.


def _shown_asset(asset: Asset) -> dict[str, Any]:
    return {
        "id": asset.id,
        "contentType": asset.content_type,
        "size": len(asset.data or b""),
        "siteId": asset.site,
        "hostedUrl": asset.hosted_url,
        "originalFileName": asset.name,
        "displayName": asset.display_name or asset.name,
        "lastUpdated": asset.created,
        "createdOn": asset.created,
        "variants": [],
        "altText": asset.alt_text,
    }


@_route("GET", "/sites/{site}/assets", "assets:read")
def _list_assets(peer: WebflowPeer, call: Call) -> tuple[int, Any]:
    site = peer.site_of(call)
    query = call.arguments("offset", "limit", "localeId")
    offset, limit = _number(query, "offset", 0, None), _number(query, "limit", PAGE, PAGE)
    found = [
        one
        for one in peer.assets.values()
        if one.site == site.id and (one.data is not None or peer.behaviour.lists_unfinished_assets)
    ]
    page = {"limit": limit, "offset": offset, "total": len(found)}
    shown = [_shown_asset(one) for one in found[offset : offset + limit]]
    return 200, {"assets": shown, "pagination": page}


@_route("POST", "/sites/{site}/assets", "assets:write")
def _create_asset(peer: WebflowPeer, call: Call) -> tuple[int, Any]:
    site = peer.site_of(call)
    body = call.body({"fileName": str, "fileHash": str, "parentFolder": str})
    name, file_hash = body.get("fileName", ""), body.get("fileHash", "")
    extension = name.rpartition(".")[2].lower()
    if not 0 < len(name) < 100 or "/" in name:
        raise _invalid("fileName", "Value must be shorter than 100 characters")
    if extension not in MEDIA_TYPES:
        raise _invalid("fileName", f"Unsupported file type: {extension}")
    if not re.fullmatch(r"[0-9a-f]{32}", file_hash):
        raise _invalid("fileHash", "Value must be an MD5 hash")
    known = (one for one in peer.finished_assets() if one.file_hash == file_hash)
    asset = next(known, None) if peer.behaviour.deduplicates_assets else None
    if asset is None:
        own = token_hex(12)
        address = f"{peer.root}/files/{site.id}/{own}_{name}"
        kind = MEDIA_TYPES[extension]
        asset = Asset(own, site.id, name, file_hash, kind, address, peer._now())
        peer.assets[own] = asset
    return 200, {
        "uploadDetails": peer._policy(asset),
        "contentType": asset.content_type,
        "id": asset.id,
        "parentFolder": body.get("parentFolder"),
        "uploadUrl": f"{peer.root}/upload",
        "assetUrl": asset.hosted_url,
        "hostedUrl": asset.hosted_url,
        "originalFileName": asset.name,
        "createdOn": asset.created,
        "lastUpdated": asset.created,
    }


@_route("GET", "/assets/{asset}", "assets:read")
def _get_asset(peer: WebflowPeer, call: Call) -> tuple[int, Any]:
    return 200, _shown_asset(peer.asset_of(call))


@_route("PATCH", "/assets/{asset}", "assets:write")
def _update_asset(peer: WebflowPeer, call: Call) -> tuple[int, Any]:
    asset = peer.asset_of(call)
    allowed: dict[str, Any] = {"localeId": str, "displayName": str}
    if peer.behaviour.asset_alt_text:
        allowed["altText"] = str
    body = call.body(allowed)
    asset.display_name = body.get("displayName", asset.display_name)
    asset.alt_text = body.get("altText", asset.alt_text)
    return 200, _shown_asset(asset)


@_route("DELETE", "/assets/{asset}", "assets:write")
def _delete_asset(peer: WebflowPeer, call: Call) -> tuple[int, Any]:
    del peer.assets[peer.asset_of(call).id]
    return 204, None

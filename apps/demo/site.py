"""A small web site with a REST interface like WordPress', on loopback.

It shows what the publisher does: posts appear on its pages, change and go. It is strict where
WordPress is, and as quiet: an unknown category or picture is dropped without an error, a slug that
is taken gets a number, a post in the trash keeps its place. All is in memory.
"""

import base64
import html
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.parser import BytesParser
from email.policy import HTTP
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from threading import RLock, Thread
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from PIL import Image

from apps.media.signatures import extension_of, media_type_of

USERNAME, PASSWORD = "newsroom", "abcd efgh ijkl mnop qrst uvwx"
PREFIX = "/wp-json"
TYPES = {"posts": "post", "pages": "page"}
TAXONOMIES = {"categories": "category", "tags": "post_tag"}
STATUSES = ("publish", "future", "draft", "pending", "private")
ANY = frozenset(STATUSES)
"""`any` leaves the trash out."""
TRASHED = "__trashed"
IMAGES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
MAY = (
    "edit_posts publish_posts upload_files manage_categories edit_others_posts delete_posts "
    "delete_published_posts edit_published_posts edit_pages publish_pages unfiltered_html"
)
UNKNOWN_POST = "Invalid post ID."


@dataclass(frozen=True)
class SiteRequest:
    """A request that the site got.

    Attributes:
        path: without the prefix of the REST interface for those that go there.
        is_rest: it goes there.
    """

    method: str
    path: str
    arguments: Mapping[str, str]
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    is_rest: bool = True

    @property
    def writes(self) -> bool:
        return self.method not in ("GET", "HEAD")


@dataclass(frozen=True)
class SiteResponse:
    """What the site answers; `body` is sent as JSON unless it is bytes."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)


class Refusal(Exception):
    """An error in WordPress' form."""

    def __init__(self, status: int, code: str, message: str, **data: Any) -> None:
        super().__init__(code)
        self.response = SiteResponse(
            status, {"code": code, "message": message, "data": {"status": status, **data}}
        )


class SiteContent:
    """Posts, pages, terms and media of the site; every method may be called by any thread.

    Args:
        url: address of the site.
        now: the current time.
    """

    def __init__(self, url: str, now: Callable[[], datetime]) -> None:
        self.url = url
        self.lock = RLock()
        self.entries: dict[int, dict[str, Any]] = {}
        self.media: dict[int, dict[str, Any]] = {}
        self.files: dict[str, tuple[str, bytes]] = {}
        self.terms: dict[str, dict[int, dict[str, Any]]] = {"categories": {}, "tags": {}}
        self.now = now
        self._last_id = 0
        self.add_term("categories", {"name": "Uncategorized"})

    def next_id(self) -> int:
        self._last_id += 1
        return self._last_id

    def stamp(self) -> str:
        """Return the time as answers show it: UTC, without a zone."""
        return self.now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")

    def visit(self) -> None:
        """Release the posts whose time has come, as every visit does."""
        now = self.stamp()
        for entry in self.entries.values():
            if entry["status"] == "future" and entry["date_gmt"] <= now:
                entry["status"] = "publish"

    # Posts and pages.

    def live(self) -> list[dict[str, Any]]:
        """Return what the public sees, newest first."""
        self.visit()
        shown = [entry for entry in self.entries.values() if entry["status"] == "publish"]
        return sorted(shown, key=lambda entry: (entry["date_gmt"], entry["id"]), reverse=True)

    def by_path(self, path: str) -> dict[str, Any] | None:
        """Return the live entry that a public address shows."""
        return next((one for one in self.live() if one["slug"] == path.strip("/")), None)

    def write(self, entry: dict[str, Any], sent: Mapping[str, Any]) -> None:
        """Take over what was sent, as WordPress does: unknown properties and ids are dropped."""
        for name in ("title", "content", "excerpt"):
            if name in sent:
                value = sent[name]
                entry[name] = str(value.get("raw", "") if isinstance(value, Mapping) else value)
        if not (entry["title"] or entry["content"] or entry["excerpt"]):
            raise Refusal(400, "empty_content", "Content, title, and excerpt are empty.")
        status = sent.get("status", entry["status"])
        if status not in (*STATUSES, "trash"):
            raise Refusal(400, "rest_invalid_param", "Invalid parameter(s): status")
        if "author" in sent and sent["author"] != 1:
            raise Refusal(400, "rest_invalid_author", "Invalid author ID.")
        if entry["status"] == "trash" and "status" in sent:
            entry["slug"] = entry["slug"].removesuffix(TRASHED)
        if sent.get("date_gmt"):
            entry["date_gmt"] = str(sent["date_gmt"]).removesuffix("Z").partition("+")[0]
        elif entry["date_gmt"] is None and status in ("publish", "future"):
            entry["date_gmt"] = self.stamp()
        if status in ("publish", "future"):
            status = "future" if entry["date_gmt"] > self.stamp() else "publish"
        entry["status"] = status
        if "featured_media" in sent:
            entry["featured_media"] = sent["featured_media"] * (
                sent["featured_media"] in self.media
            )
        if entry["type"] == "posts":
            for taxonomy, known in self.terms.items():
                if taxonomy in sent:
                    entry[taxonomy] = sorted({id_ for id_ in sent[taxonomy] if id_ in known})
        if "slug" in sent or (not entry["slug"] and status in ("publish", "future")):
            wanted = slugified(str(sent.get("slug") or entry["title"]))[:200] or str(entry["id"])
            entry["slug"] = self._free_slug(wanted, entry["id"])
        entry["modified_gmt"] = self.stamp()

    def new_entry(self, kind: str, sent: Mapping[str, Any]) -> dict[str, Any]:
        if "id" in sent:
            raise Refusal(400, "rest_post_exists", "Cannot create existing post.")
        entry: dict[str, Any] = {
            "id": self.next_id(),
            "type": kind,
            "slug": "",
            "status": "draft",
            "title": "",
            "content": "",
            "excerpt": "",
            "featured_media": 0,
            "author": 1,
            "date_gmt": None,
            **({"categories": [1], "tags": []} if kind == "posts" else {}),
        }
        self.write(entry, sent)
        self.entries[entry["id"]] = entry
        return entry

    def trash(self, entry: dict[str, Any]) -> None:
        if entry["status"] == "trash":
            raise Refusal(410, "rest_already_trashed", "The post has already been deleted.")
        entry.update(status="trash", slug=entry["slug"] + TRASHED, modified_gmt=self.stamp())

    def _free_slug(self, wanted: str, own: int) -> str:
        everything = (*self.entries.values(), *self.media.values())
        taken = {one["slug"] for one in everything if one["id"] != own}
        number, slug = 1, wanted
        while slug in taken:
            number += 1
            slug = f"{wanted}-{number}"
        return slug

    # Terms.

    def add_term(self, taxonomy: str, sent: Mapping[str, Any]) -> dict[str, Any]:
        name, parent = str(sent.get("name") or "").strip(), int(sent.get("parent") or 0)
        if not name or len(name) > 200:
            code = "db_insert_error" if name else "empty_term_name"
            raise Refusal(500, code, "The term cannot be stored.")
        known = self.terms[taxonomy]
        for term in known.values():
            if term["name"].casefold() == name.casefold() and term["parent"] == parent:
                text = "A term with the name provided already exists with this parent."
                raise Refusal(400, "term_exists", text, term_id=term["id"])
        wanted = slugified(str(sent.get("slug") or name)) or "term"
        number, slug = 1, wanted
        while any(term["slug"] == slug for term in known.values()):
            number += 1
            slug = f"{wanted}-{number}"
        term = {"id": self.next_id(), "name": name, "slug": slug, "parent": parent}
        known[term["id"]] = term
        return term

    # Media.

    def add_media(self, name: str, content: bytes, texts: Mapping[str, str]) -> dict[str, Any]:
        kind = media_type_of(content[:100])
        size = _size_of(content) if kind in IMAGES else None
        if size is None:
            text = "Sorry, you are not allowed to upload this file type."
            raise Refusal(500, "rest_upload_unknown_error", text)
        stem, number = slugified(name.rpartition(".")[0] or name) or "file", 0
        path = f"/wp-content/uploads/{stem}{extension_of(kind)}"
        while path in self.files:
            number += 1
            path = f"/wp-content/uploads/{stem}-{number}{extension_of(kind)}"
        self.files[path] = (kind, content)
        id_ = self.next_id()
        medium = {
            "id": id_,
            "path": path,
            "slug": self._free_slug(
                slugified(texts.get("slug") or texts.get("title") or stem), id_
            ),
            "mime_type": kind,
            "width": size[0],
            "height": size[1],
            "filesize": len(content),
            "title": texts.get("title", stem),
            "caption": texts.get("caption", ""),
            "alt_text": texts.get("alt_text", ""),
            "date_gmt": self.stamp(),
        }
        self.media[id_] = medium
        return medium

    def remove_media(self, medium: Mapping[str, Any]) -> None:
        del self.media[medium["id"]]
        del self.files[medium["path"]]
        for entry in self.entries.values():
            if entry["featured_media"] == medium["id"]:
                entry["featured_media"] = 0


def slugified(text: str) -> str:
    """Return text in the form of addresses."""
    return re.sub(r"[^a-z0-9_-]+", "-", text.lower()).strip("-")


def _size_of(content: bytes) -> tuple[int, int] | None:
    try:
        with Image.open(BytesIO(content)) as picture:
            return picture.size
    except (OSError, ValueError, SyntaxError):
        return None


class StandInSite(ThreadingHTTPServer):
    """The site. A context manager; serves while it is open.

    Args:
        now: the current time, for tests.

    Attributes:
        content: what the site holds.
        requests: all that were answered, or would have been.
    """

    daemon_threads = True

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.content = SiteContent(self.url, now)
        self.password = PASSWORD
        self.requests: list[SiteRequest] = []
        self._thread = Thread(target=self.serve_forever, name="stand-in-site", daemon=True)

    def __enter__(self) -> "StandInSite":
        self._thread.start()
        return self

    def __exit__(self, *details: object) -> None:
        self.shutdown()
        self.server_close()

    def respond(self, request: SiteRequest) -> SiteResponse | None:
        """Return the answer to a request, None for none at all; tests override this."""
        self.requests.append(request)
        with self.content.lock:
            if not request.is_rest:
                return page(self.content, request.path)
            try:
                return RestInterface(self.content, self._is_known(request)).answer(request)
            except Refusal as refusal:
                return refusal.response

    def _is_known(self, request: SiteRequest) -> bool:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            user, _, password = base64.b64decode(token).decode().partition(":")
        except ValueError:
            return False
        return user == USERNAME and password.replace(" ", "") == self.password.replace(" ", "")


class RestInterface:
    """WordPress' REST interface, as much of it as publishing needs.

    Args:
        content: what the site holds.
        is_known: the request came with valid credentials.
    """

    def __init__(self, content: SiteContent, is_known: bool) -> None:
        self.content = content
        self.is_known = is_known

    def answer(self, request: SiteRequest) -> SiteResponse:
        route = request.path.strip("/")
        if not route:
            return SiteResponse(200, self._index())
        parts = route.removeprefix("wp/v2/").split("/")
        if not route.startswith("wp/v2/") or len(parts) > 2:
            raise _no_route()
        name, id_ = parts[0], parts[1] if len(parts) == 2 else None
        if request.writes and not self.is_known:
            code = "rest_cannot_edit" if id_ else "rest_cannot_create"
            raise Refusal(401, code, "Sorry, you are not allowed to do that.")
        if name in TYPES:
            return self._entries(request, name, id_)
        if name in TAXONOMIES:
            return self._terms(request, name, id_)
        if name == "media":
            return self._media(request, id_)
        if request.writes:
            raise _no_route()
        return self._described(request, route)

    def _index(self) -> dict[str, Any]:
        authorize = f"{self.content.url}/wp-admin/authorize-application.php"
        return {
            "name": "Stand-in site",
            "url": self.content.url,
            "home": self.content.url,
            "timezone_string": "UTC",
            "namespaces": ["wp/v2"],
            "authentication": {
                "application-passwords": {"endpoints": {"authorization": authorize}}
            },
        }

    def _described(self, request: SiteRequest, route: str) -> SiteResponse:
        match route.removeprefix("wp/v2/").split("/"):
            case ["users", "me"]:
                self._need_login()
                capabilities = dict.fromkeys(MAY.split(), True)
                user = {"id": 1, "name": "Newsroom", "slug": USERNAME, "roles": ["editor"]}
                return SiteResponse(200, {**user, "capabilities": capabilities})
            case ["settings"]:
                self._need_login()
                return SiteResponse(200, {"default_category": 1, "language": "en_US"})
            case ["types", *which]:
                self._need_context(request)
                return _one_or_all(_types(), which)
            case ["taxonomies", *which]:
                self._need_context(request)
                wanted = request.arguments.get("type")
                known = {k: v for k, v in _taxonomies().items() if wanted in (None, *v["types"])}
                return _one_or_all(known, which)
        raise _no_route()

    def _need_login(self) -> None:
        if not self.is_known:
            raise Refusal(401, "rest_not_logged_in", "You are not currently logged in.")

    def _need_context(self, request: SiteRequest) -> None:
        """Refuse what only editors may see; whoever is not known reads what everybody can."""
        if not self.is_known and request.arguments.get("context") == "edit":
            raise Refusal(401, "rest_forbidden_context", "Sorry, you are not allowed to edit this.")

    # Posts and pages.

    def _entries(self, request: SiteRequest, kind: str, id_: str | None) -> SiteResponse:
        content = self.content
        content.visit()
        if id_ is None:
            if request.method == "POST":
                entry = content.new_entry(kind, _sent(request))
                location = f"{content.url}{PREFIX}/wp/v2/{kind}/{entry['id']}"
                return SiteResponse(201, self._shown(entry), {"Location": location})
            return self._listed(request, kind)
        found = content.entries.get(_number(id_))
        if found is None or found["type"] != kind:
            raise Refusal(404, "rest_post_invalid_id", UNKNOWN_POST)
        if request.method == "DELETE":
            if request.arguments.get("force") == "true":
                del content.entries[found["id"]]
                return SiteResponse(200, {"deleted": True, "previous": self._shown(found)})
            content.trash(found)
        elif request.writes:
            changed = dict(found)
            content.write(changed, _sent(request))
            found.update(changed)
        elif found["status"] != "publish" and not self.is_known:
            raise Refusal(401, "rest_forbidden", "Sorry, you are not allowed to do that.")
        else:
            self._need_context(request)
        return SiteResponse(200, self._shown(found))

    def _listed(self, request: SiteRequest, kind: str) -> SiteResponse:
        arguments = request.arguments
        wanted = set(arguments.get("status", "publish").split(","))
        if not self.is_known and wanted != {"publish"}:
            inner = {"code": "rest_forbidden_status", "data": {"status": 401}}
            raise Refusal(
                400,
                "rest_invalid_param",
                "Invalid parameter(s): status",
                params={"status": "Status is forbidden."},
                details={"status": inner},
            )
        self._need_context(request)
        statuses = (wanted - {"any"}) | (ANY if "any" in wanted else set())
        slugs = set(filter(None, arguments.get("slug", "").split(",")))
        text = arguments.get("search", "").casefold()
        found = [
            entry
            for entry in self.content.entries.values()
            if entry["type"] == kind
            and entry["status"] in statuses
            and (not slugs or entry["slug"] in slugs)
            and text in f"{entry['title']} {entry['excerpt']} {entry['content']}".casefold()
        ]
        if arguments.get("order") != "asc":
            found.reverse()
        return _paged(request, [self._shown(entry) for entry in found])

    def _shown(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        texts = {
            name: {"raw": entry[name], "rendered": entry[name]} if self.is_known else
            {"rendered": entry[name]}
            for name in ("title", "content", "excerpt")
        }  # fmt: skip
        url = self.content.url
        is_out = entry["status"] == "publish"
        link = f"{url}/{entry['slug']}/" if is_out else f"{url}/?p={entry['id']}"
        date = entry["date_gmt"] or entry["modified_gmt"]
        shown = {**entry, **texts, "type": TYPES[entry["type"]], "date": date, "date_gmt": date}
        return {**shown, "link": link, "modified": entry["modified_gmt"], "meta": {}}

    # Terms.

    def _terms(self, request: SiteRequest, taxonomy: str, id_: str | None) -> SiteResponse:
        known = self.content.terms[taxonomy]
        if id_ is None:
            if request.method == "POST":
                term = self.content.add_term(taxonomy, _sent(request))
                return SiteResponse(201, self._term(taxonomy, term))
            self._need_context(request)
            slugs = set(filter(None, request.arguments.get("slug", "").split(",")))
            text = request.arguments.get("search", "").casefold()
            found = [
                self._term(taxonomy, term)
                for term in sorted(known.values(), key=lambda term: str(term["name"]))
                if (not slugs or term["slug"] in slugs) and text in term["name"].casefold()
            ]
            return _paged(request, found)
        term = known.get(_number(id_), {})
        if not term:
            raise Refusal(404, "rest_term_invalid", "Term does not exist.")
        if request.method == "DELETE":
            del known[term["id"]]
            for entry in self.content.entries.values():
                if taxonomy in entry:
                    entry[taxonomy] = [one for one in entry[taxonomy] if one != term["id"]]
            return SiteResponse(200, {"deleted": True, "previous": self._term(taxonomy, term)})
        if request.writes:
            term.update({k: v for k, v in _sent(request).items() if k in ("name", "slug")})
        self._need_context(request)
        return SiteResponse(200, self._term(taxonomy, term))

    def _term(self, taxonomy: str, term: Mapping[str, Any]) -> dict[str, Any]:
        uses = [one for one in self.content.live() if term["id"] in one.get(taxonomy, ())]
        name = html.escape(term["name"], quote=False)
        return {**term, "name": name, "count": len(uses), "taxonomy": TAXONOMIES[taxonomy]}

    # Media.

    def _media(self, request: SiteRequest, id_: str | None) -> SiteResponse:
        content = self.content
        if id_ is None:
            if request.method == "POST":
                medium = content.add_media(*_uploaded(request))
                return SiteResponse(201, self._medium(medium))
            self._need_context(request)
            slugs = set(filter(None, request.arguments.get("slug", "").split(",")))
            found = [
                self._medium(one)
                for one in content.media.values()
                if not slugs or one["slug"] in slugs
            ]
            return _paged(request, found)
        medium = content.media.get(_number(id_), {})
        if not medium:
            raise Refusal(404, "rest_post_invalid_id", UNKNOWN_POST)
        if request.method == "DELETE":
            if request.arguments.get("force") != "true":
                text = "The post does not support trashing. Set 'force=true' to delete."
                raise Refusal(501, "rest_trash_not_supported", text)
            content.remove_media(medium)
            return SiteResponse(200, {"deleted": True, "previous": self._medium(medium)})
        if request.writes:
            texts = ("alt_text", "caption", "title")
            medium.update({k: str(v) for k, v in _sent(request).items() if k in texts})
        self._need_context(request)
        return SiteResponse(200, self._medium(medium))

    def _medium(self, medium: Mapping[str, Any]) -> dict[str, Any]:
        details = {name: medium[name] for name in ("width", "height", "filesize")}
        url = f"{self.content.url}{medium['path']}"
        shown = {name: medium[name] for name in ("id", "slug", "mime_type", "alt_text", "date_gmt")}
        return {
            **shown,
            "type": "attachment",
            "status": "inherit",
            "author": 1,
            "title": {"rendered": medium["title"]},
            "caption": {"rendered": medium["caption"]},
            "media_type": "image",
            "media_details": details,
            "source_url": url,
            "link": f"{self.content.url}/{medium['slug']}/",
        }


def _no_route() -> Refusal:
    text = "No route was found matching the URL and request method."
    return Refusal(404, "rest_no_route", text)


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0


def _sent(request: SiteRequest) -> Mapping[str, Any]:
    try:
        sent = json.loads(request.body or b"{}")
    except ValueError:
        raise Refusal(400, "rest_invalid_json", "Invalid JSON body passed.") from None
    if not isinstance(sent, Mapping):
        raise Refusal(400, "rest_invalid_json", "Invalid JSON body passed.")
    return sent


def _uploaded(request: SiteRequest) -> tuple[str, bytes, dict[str, str]]:
    """Return name, content and texts of an upload, as a form or as the bytes alone."""
    kind = request.headers.get("content-type", "")
    texts: dict[str, str] = {}
    name, content = "", b""
    if kind.startswith("multipart/form-data"):
        head = f"Content-Type: {kind}\r\n\r\n".encode()
        form = BytesParser(policy=HTTP).parsebytes(head + request.body)
        for part in form.iter_parts():
            payload = part.get_payload(decode=True)
            assert isinstance(payload, bytes)
            if part.get_filename():
                name, content = str(part.get_filename()), payload
            else:
                key = part.get_param("name", header="content-disposition")
                texts[str(key)] = payload.decode()
    else:
        found = re.search(r'filename="([^"]+)"', request.headers.get("content-disposition", ""))
        name, content = found[1] if found else "", request.body
    if not name or not content:
        raise Refusal(400, "rest_upload_no_data", "No data supplied.")
    given = request.headers.get("content-md5")
    if given and given.lower() != md5(content, usedforsecurity=False).hexdigest():
        raise Refusal(412, "rest_upload_hash_mismatch", "Content hash did not match expected.")
    return name, content, texts


def _paged(request: SiteRequest, found: list[dict[str, Any]]) -> SiteResponse:
    size = _number(request.arguments.get("per_page", "10"))
    page_no = _number(request.arguments.get("page", "1"))
    if not 1 <= size <= 100:
        raise Refusal(400, "rest_invalid_param", "Invalid parameter(s): per_page")
    pages = -(-len(found) // size)
    if page_no > max(pages, 1):
        text = "The page number requested is larger than the number of pages available."
        raise Refusal(400, "rest_post_invalid_page_number", text)
    headers = {"X-WP-Total": str(len(found)), "X-WP-TotalPages": str(pages)}
    return SiteResponse(200, found[(page_no - 1) * size : page_no * size], headers)


def _one_or_all(known: Mapping[str, Any], which: list[str]) -> SiteResponse:
    if not which:
        return SiteResponse(200, known)
    if which[0] not in known:
        raise _no_route()
    return SiteResponse(200, known[which[0]])


def _types() -> dict[str, Any]:
    return {
        slug: {
            "name": base.capitalize(),
            "slug": slug,
            "rest_base": base,
            "rest_namespace": "wp/v2",
            "hierarchical": slug == "page",
            "taxonomies": ["category", "post_tag"] if slug == "post" else [],
        }
        for base, slug in {**TYPES, "media": "attachment"}.items()
    }


def _taxonomies() -> dict[str, Any]:
    return {
        slug: {
            "name": base.capitalize(),
            "slug": slug,
            "rest_base": base,
            "rest_namespace": "wp/v2",
            "hierarchical": slug == "category",
            "types": ["post"],
        }
        for base, slug in TAXONOMIES.items()
    }


def page(content: SiteContent, path: str) -> SiteResponse:
    """Return what the public gets at an address: the list of posts, a post, or a file."""
    if path in content.files:
        kind, data = content.files[path]
        return SiteResponse(200, data, {"Content-Type": kind})
    if path == "/":
        rows = [
            f'<li><a href="/{entry["slug"]}/">{html.escape(entry["title"])}</a></li>'
            for entry in content.live()
        ]
        body, status = f"<h1>Stand-in site</h1><ul>{''.join(rows)}</ul>", 200
    elif (entry := content.by_path(path)) is not None:
        body, status = "".join(_article(content, entry)), 200
    else:
        body, status = "<h1>Nothing here</h1>", 404
    style = "<style>body{font:1.1em/1.5 serif;max-width:40em;margin:2em auto}img{max-width:100%}"
    document = f"<!doctype html><meta charset=utf-8><title>Stand-in site</title>{style}</style>"
    api = f'<{content.url}{PREFIX}/>; rel="https://api.w.org/"'
    headers = {"Content-Type": "text/html; charset=utf-8", "Link": api}
    return SiteResponse(status, f"{document}{body}".encode(), headers)


def _article(content: SiteContent, entry: Mapping[str, Any]) -> Iterator[str]:
    yield f'<p><a href="/">All stories</a></p><h1>{html.escape(entry["title"])}</h1>'
    if medium := content.media.get(entry["featured_media"]):
        alt = html.escape(medium["alt_text"])
        yield f'<figure><img src="{medium["path"]}" alt="{alt}">'
        yield f"<figcaption>{medium['caption']}</figcaption></figure>"
    yield str(entry["content"])
    for taxonomy, known in content.terms.items():
        names = [known[id_]["name"] for id_ in entry.get(taxonomy, ()) if id_ in known]
        if names:
            yield f"<p>{taxonomy.capitalize()}: {html.escape(', '.join(names))}</p>"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body are two writes; the second is not to wait until the first is acknowledged.
    disable_nagle_algorithm = True

    def _serve(self) -> None:
        assert isinstance(self.server, StandInSite)
        target = urlsplit(self.path)
        arguments = dict(parse_qsl(target.query, keep_blank_values=True))
        path = unquote(target.path)
        plain = arguments.pop("rest_route", None)
        is_rest = plain is not None or path.startswith(PREFIX)
        request = SiteRequest(
            method=arguments.pop("_method", self.command).upper(),
            path=plain or (path.removeprefix(PREFIX) if is_rest else path),
            arguments=arguments,
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(int(self.headers.get("Content-Length") or 0)),
            is_rest=is_rest,
        )
        response = self.server.respond(request)
        if response is None:
            self.close_connection = True
            return
        is_json = not isinstance(response.body, bytes)
        body = json.dumps(response.body).encode() if is_json else response.body
        self.send_response(response.status)
        if is_json:
            self.send_header("Content-Type", "application/json; charset=UTF-8")
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

    def date_time_string(self, timestamp: float | None = None) -> str:
        """Return the time at the site, for the header of an answer."""
        assert isinstance(self.server, StandInSite)
        moment = self.server.content.now() if timestamp is None else None
        return super().date_time_string(moment.timestamp() if moment else timestamp)

    def log_message(self, format: str, *args: object) -> None:
        """Write nothing: the demo prints a table of its own."""

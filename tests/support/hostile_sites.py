"""Answers of sites that no site should give: good ones in which something is changed."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from random import Random
from typing import Any
from urllib.parse import urlsplit

from urllib3 import HTTPHeaderDict

from tests.support.sites import build_identity, build_story, build_upload
from transmitters.cms.base import Platform, RemoteMedia, RemotePost, RemoteState, RetractMode
from transmitters.cms.http import SiteAnswer, SiteClient
from transmitters.http_client import HTTPClient

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 7, 2**63, 2**64 - 1, 1e308),
    *("", "x" * 5000, "a\x00b", "http://[", "9" * 5000, "published", "publish"),
    *([], {}, [[]], [None], [{}], {"a": 1}, {"id": {}}, {"$x": {"a.b": 1}}, [1, "a"]),
)
HEADERS = ("Date", "X-WP-TotalPages", "Location", "Retry-After", "Link")
HEADER_VALUES = (
    *("", "9" * 5000, "\u0663", "-1", "1e9", "http://["),
    "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
    "Mon, 01 Jan 2024 00:00:00 +999999",
    '<http://[>; rel="https://api.w.org/"',
)
STATUSES = (200, 201, 204, 301, 400, 401, 403, 404, 409, 410, 422, 429, 500, 503)
MOST_REQUESTS = 2500
"""Of one call; a list of pages has an end below it."""


class Endless(BaseException):
    """A call asks for ever."""


class HostileClient(SiteClient):
    """Changes half of what a site answers.

    Args:
        random: what is changed, and how.
    """

    def __init__(self, http: HTTPClient, random: Random) -> None:
        super().__init__(http)
        self._random = random
        self.requests = 0

    def request(self, method: str, url: str, **sent: Any) -> SiteAnswer:
        self.requests += 1
        if self.requests > MOST_REQUESTS:
            raise Endless
        answer = self.good_answer(method, url, **sent)
        return self._changed(answer) if self._random.random() < 0.5 else answer

    def good_answer(self, method: str, url: str, **sent: Any) -> SiteAnswer:
        return super().request(method, url, **sent)

    def _changed(self, answer: SiteAnswer) -> SiteAnswer:
        random, data, headers = self._random, deepcopy(answer.data), dict(answer.headers)
        status = answer.status
        for _ in range(random.choice((1, 1, 1, 2, 4))):
            match random.choices(("data", "header", "status"), (85, 8, 7))[0]:
                case "data":
                    place = random.choice(list(_places(data)))
                    data = _put(data, place, deepcopy(random.choice(VALUES)))
                case "header":
                    headers[random.choice(HEADERS)] = random.choice(HEADER_VALUES)
                case "status":
                    status = random.choice(STATUSES)
        return SiteAnswer(status, HTTPHeaderDict(headers), data, answer.text)


def _places(data: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield place
    keys = range(min(len(data), 3)) if isinstance(data, list) else data
    for key in keys if isinstance(data, (dict, list)) else ():
        yield from _places(data[key], (*place, key))


def _put(data: Any, place: tuple[Any, ...], value: Any) -> Any:
    if not place:
        return value
    holder = data
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = value
    return data


GHOST_URL = "http://ghost.example"
STAMP = "2026-01-01T00:00:00.000Z"
GHOST_DOCUMENTS: Mapping[str, Any] = {
    "tags": {"id": "1" * 24, "name": "a", "slug": "a", "count": {"posts": 1}},
    "users": {"id": "1", "email": "a@b.example"},
    "settings": {"key": "timezone", "value": "UTC"},
    "images": {"url": f"{GHOST_URL}/content/images/x.png", "ref": "x"},
    "posts": {
        "id": "2" * 24,
        "title": "t",
        "slug": "s",
        "url": f"{GHOST_URL}/s/",
        "status": "published",
        "visibility": "public",
        "created_at": STAMP,
        "updated_at": STAMP,
        "published_at": STAMP,
        "codeinjection_head": "<!-- publisher-ref:0123456789abcdef -->",
        "tags": [{"id": "1" * 24}],
    },
}


class HostileGhost(HostileClient):
    """A Ghost that has one document of each kind, and takes everything."""

    def good_answer(self, method: str, url: str, **sent: Any) -> SiteAnswer:
        headers = HTTPHeaderDict({"Date": "Mon, 30 Nov 2026 12:00:00 GMT"})
        path = urlsplit(url).path.rpartition("/ghost/api/admin/")[2]
        kind = path.split("/")[0]
        if method == "DELETE":
            return SiteAnswer(204, headers, None)
        if kind == "site":
            return SiteAnswer(200, headers, {"site": {"version": "5.130", "url": GHOST_URL}})
        given = (sent.get("data") or {}).get(kind, [{}])[0]
        document = {**GHOST_DOCUMENTS.get(kind, GHOST_DOCUMENTS["posts"]), **given}
        pages = {"pagination": {"page": 1, "next": None}}
        return SiteAnswer(200, headers, {kind: [document], "meta": pages})


def calls(platform: Platform, taxonomy: str) -> dict[str, Any]:
    """Return everything that is asked of a platform, by name."""
    identity, first_mode = build_identity(), platform.retract_modes[0]
    story, upload = build_story(identity), build_upload()
    picture = RemoteMedia("1", "http://127.0.0.1:9/x.png")
    post = RemotePost("2" * 24 if platform.destination == "ghost" else "1", RemoteState.LIVE)
    return {
        "test": platform.test,
        "test with writes": lambda: platform.test(write=True),
        "look_up": lambda: platform.look_up(identity),
        "read": lambda: platform.read(post.id),
        "create": lambda: platform.create(platform.payload(story), identity),
        "update": lambda: platform.update(post, platform.payload(story), identity),
        "retract": lambda: platform.retract(post, first_mode),
        "delete": lambda: platform.retract(post, RetractMode.DELETE),
        "unschedule": lambda: platform.unschedule(post),
        "discard": lambda: platform.discard(post),
        "find_media": lambda: platform.find_media(upload),
        "upload": lambda: platform.upload(upload),
        "has_media": lambda: platform.has_media(picture),
        "delete_media": lambda: platform.delete_media(picture),
        "taxonomies": platform.taxonomies,
        "terms": lambda: list(platform.terms(taxonomy)),
        "terms_of": lambda: platform.terms_of(post, [taxonomy]),
        "create_term": lambda: platform.create_term(taxonomy, "n", "n"),
    }

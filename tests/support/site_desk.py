"""A desk that publishes to the stand-in site, and what it takes to carry its wishes out."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from io import BytesIO
from random import Random
from typing import Any

from bson import ObjectId
from PIL import Image

from apps.core.service import Document
from apps.demo.site import PASSWORD, USERNAME, SiteRequest, SiteResponse, StandInSite
from apps.lanes import RetryPolicy
from apps.media.storage import MediaStorage
from apps.publisher.lanes import StoredLanes
from apps.publisher.records.wishes import Piece, Wish, Wishes
from apps.publisher.run.claims import RecordClaims
from apps.publisher.run.media import MediaLedger
from apps.publisher.run.public_pages import PublicPages
from apps.publisher.run.results import Result, Results
from apps.publisher.run.run import SiteRun, site_lanes
from apps.publisher.run.steps import Steps
from apps.publisher.run.supersession import Supersession
from apps.publisher.run.terms import TermLedger
from apps.publisher.schema import WishAction
from tests.support.newsdesk import HandClock
from transmitters.base import TransmitSettings
from transmitters.cms.base import MediaLimits, Platform, Site
from transmitters.cms.http import SiteClient
from transmitters.cms.wordpress import WordPress
from transmitters.http_client import HTTPClient
from transmitters.http_connections import NoAnswer

LARGEST_PICTURE = 100_000


class StrictWordPress(WordPress):
    """WordPress, for a site that takes small pictures only."""

    @property
    def media_limits(self) -> MediaLimits:
        return MediaLimits(super().media_limits.mimes, {"image": LARGEST_PICTURE})


OPTIONS: Mapping[str, Any] = {
    "renditions": ["original"],
    "kill_mode": "trash",
    "retract_mode": "trash",
}

RETRIES = RetryPolicy(10, 0.1, Random())

Fault = Callable[[SiteRequest], str | None]
"""Says of a request what goes wrong: `lost` (done, no answer), `refused` (not even read)."""


class FaultySite(StandInSite):
    """The stand-in site behind a line that fails as it is told."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        super().__init__(now)
        self.fault: Fault = lambda request: None
        self.redirects: dict[str, str] = {}

    def respond(self, request: SiteRequest) -> SiteResponse | None:
        if request.path in self.redirects:
            return SiteResponse(301, b"", {"Location": self.redirects[request.path]})
        match self.fault(request):
            case None:
                return super().respond(request)
            case "lost":
                super().respond(request)
                return None
            case "proxy":
                super().respond(request)
                return SiteResponse(502, b"<h1>Bad gateway</h1>")
            case "no_trash":
                message = "The post does not support trashing."
                code = "rest_trash_not_supported"
                body = {"code": code, "message": message, "data": {"status": 501}}
                return SiteResponse(501, body)
            case "invalid":
                body = {"code": "rest_invalid_param", "message": "No", "data": {"status": 400}}
                return SiteResponse(400, body)
            case "down":
                return SiteResponse(503, b"<h1>Down</h1>")
            case "busy":
                body = {"code": "slow_down", "message": "Slow down", "data": {"status": 429}}
                return SiteResponse(429, body, {"Retry-After": "90"})
        return None

    # What the tests look at.

    def writes(self, what: str = "posts") -> list[SiteRequest]:
        """Return the requests that were to change posts, media, categories or tags."""
        return [r for r in self.requests if r.writes and r.path.startswith(f"/wp/v2/{what}")]

    def posts(self, *statuses: str) -> list[dict[str, Any]]:
        """Return the posts in these states, in any state but the trash when none is named."""
        entries = self.content.entries.values()
        return [
            one for one in entries if one["status"] in (statuses or ("publish", "future", "draft"))
        ]

    def post(self) -> dict[str, Any]:
        """Return the one post that there is."""
        (post,) = self.posts()
        return post

    def shows(self, text: str) -> bool:
        """Whether the public can read a text anywhere."""
        return any(text in f"{one['title']} {one['content']}" for one in self.content.live())


class SiteDesk:
    """Publishes items to the stand-in site as the run does, step by step."""

    def __init__(self, db: Any, clock: HandClock, site: FaultySite, notifier: Any) -> None:
        self.db = db
        self.clock = clock
        self.site = site
        self.notifier = notifier
        self.options: dict[str, Any] = dict(OPTIONS)
        self.alerts: list[str] = []
        self.http = HTTPClient(TransmitSettings(http_read_timeout=5, http_total_timeout=10))
        self.pages = PublicPages(lambda url: self.http, lambda: self.http)
        self.lanes = StoredLanes(db, clock)
        self.wishes = Wishes(db, clock, self.lanes, notifier)
        self.storage = MediaStorage(db)
        self.terms = TermLedger(db, clock, "desk")
        self.integration = self.add_integration(site.url)

    def add_integration(self, url: str, name: str = "Stand-in") -> Document:
        integration: Document = {
            "_id": ObjectId(),
            "account": "default",
            "site": ObjectId(),
            "destination": "wordpress",
            "name": name,
            "base_url": url,
            "credentials": {"username": USERNAME, "application_password": PASSWORD},
            "active": True,
            "state": "ok",
        }
        self.db["publisher_integrations"].insert_one(integration)
        return integration

    # Workers.

    def platform(
        self, integration: Mapping[str, Any], client: SiteClient | None = None
    ) -> Platform:
        site_url = integration["base_url"]
        site = Site(
            id=str(integration["_id"]),
            base_url=integration["base_url"],
            credentials=integration["credentials"],
            options=self.options,
            remote={"user": {"id": 1}, "default_category": 1, "api_root": f"{site_url}/wp-json/"},
        )
        return StrictWordPress(site, client or SiteClient(self.http))

    def worker(
        self, db: Any = None, name: str = "worker", client: SiteClient | None = None
    ) -> Steps:
        """Return the steps of a process.

        Args:
            db: the database that it works on.
            client: what it sends requests with.
        """
        db, clock = self.db if db is None else db, self.clock
        claims = RecordClaims(db, clock, timedelta(seconds=60), name)
        results = Results(
            db, clock, claims, self.notifier, lambda text, about: self.alerts.append(text), RETRIES
        )
        return Steps(
            db,
            clock,
            platform_of=lambda integration: self.platform(integration, client),
            claims=claims,
            results=results,
            media=MediaLedger(
                db, clock, self.storage, name, max_pixels=40_000_000, fetch=self.pages.fetch
            ),
            terms=TermLedger(db, clock, name),
            supersession=Supersession(db, Wishes(db, clock, self.lanes, self.notifier)),
            visit=lambda url, site: self.visit(url),
        )

    def site_run(self, lease: int = 60, name: str = "worker") -> SiteRun:
        """Return the run of a process that serves all lanes."""
        kind = site_lanes(lease=timedelta(seconds=lease), threads=4, retries=RETRIES)
        return SiteRun(self.db, self.clock, kind, self.worker(name=name), self.platform)

    def run_all(self, most: int = 40) -> None:
        """Serve the lanes, moving the clock to when the next is due, until none is."""
        run = self.site_run()
        for _ in range(most):
            run.run()
            lanes = self.db["publisher_lanes"].find({"wake_at": {"$type": "date"}})
            due = min((lane["wake_at"] for lane in lanes), default=None)
            if due is None:
                return
            self.clock.at = max(self.clock.at, due)
        raise AssertionError(list(self.db["publisher_lanes"].find()))

    def resume(self) -> None:
        """Let the lane go on, as whoever changes the credentials does."""
        self.lanes.resume(self.integration["_id"])

    def visit(self, url: str) -> int | None:
        try:
            return self.http.request("GET", url, headers={}).status
        except NoAnswer:
            return None

    def run(self, record: Document, name: str = "worker") -> Result | None:
        """Carry out what is due of a record."""
        return self.worker(name=name).carry_out(record["_id"])

    def run_until_settled(
        self, record: Document, most: int = 60, *, holds_lane: bool = False, **worker: Any
    ) -> Document:
        """Carry out what is due, moving the clock to when the next thing is, until nothing is.

        Args:
            holds_lane: whoever had the record before is known to be gone.
        """
        for _ in range(most):
            found = self.record(record)
            due = found["next_attempt_at"]
            if due is None:
                return found
            free_at = (found.get("lease_until") if not holds_lane else None) or due
            self.clock.at = max(self.clock.at, due, free_at)
            self.worker(**worker).carry_out(record["_id"], holds_lane=holds_lane)
        raise AssertionError(f"not settled: {self.record(record)}")

    # Items and wishes.

    def item(self, **fields: Any) -> Document:
        """Store an item as published."""
        item = {
            "_id": f"urn:{ObjectId()}",
            "type": "text",
            "state": "published",
            "headline": "Rivers rise",
            "body_html": "<p>Rivers rose on Friday.</p>",
            "_current_version": 1,
            "_etag": "etag",
            **fields,
        }
        self.db["archive"].insert_one(dict(item))
        row = {**item, "_id": ObjectId(), "item_id": item["_id"], "last_published_version": True}
        self.db["published"].insert_one(row)
        return item

    def change(self, item: Document, **fields: Any) -> Document:
        """Store a new version of an item as published."""
        changed = {**item, **fields, "_current_version": item["_current_version"] + 1}
        shown = {name: value for name, value in changed.items() if name != "_id"}
        self.db["archive"].update_one({"_id": item["_id"]}, {"$set": shown})
        query = {"item_id": item["_id"], "last_published_version": True}
        self.db["published"].update_one(query, {"$set": shown})
        return changed

    def wish(
        self,
        item: Document,
        action: str = "publish",
        integration: Document | None = None,
        **fields: Any,
    ) -> Document:
        """Want something of an item; return its record."""
        piece = Piece(integration or self.integration, item["_id"], item["_id"])
        wish = Wish(WishAction(action), version=item["_current_version"], **fields)
        made = self.wishes.make(piece, wish)
        assert made.record is not None
        return made.record

    def published(self, **fields: Any) -> tuple[Document, Document]:
        """Publish an item; return it and its record."""
        item = self.item(**fields)
        record = self.run_until_settled(self.wish(item))
        assert record["status"] == "published", record["error"]
        return item, record

    def record(self, record: Document) -> Document:
        found = self.db["publishing_records"].find_one({"_id": record["_id"]})
        assert found is not None
        return dict(found)

    def picture(self, color: str = "red", size: tuple[int, int] = (40, 30)) -> Document:
        """Store a picture; return it as an association."""
        content = picture_bytes(color, size)
        media = str(self.storage.put(content, "picture.png"))
        return {
            "type": "picture",
            "headline": "A river",
            "alt_text": "A river",
            "description_text": "The river on Friday",
            "renditions": {"original": {"media": media, "href": f"/api/upload-raw/{media}"}},
        }


def holds_password(text: str) -> bool:
    """Whether a text has the password of the stand-in site in it, with its blanks or without."""
    return PASSWORD in text or PASSWORD.replace(" ", "") in text


def picture_bytes(color: str = "red", size: tuple[int, int] = (40, 30)) -> bytes:
    """Return a PNG of one color, or of `noise`, which no format makes small."""
    file = BytesIO()
    picture = (
        Image.effect_noise(size, 100).convert("RGB")
        if color == "noise"
        else Image.new("RGB", size, color)
    )
    picture.save(file, "PNG")
    return file.getvalue()

"""Feeds of what subscribers have received, in Atom, RSS and JSON Feed."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any
from urllib.parse import quote, urlencode

from bson import ObjectId
from pymongo.database import Database

from apps.content_api.tokens.service import SubscriberTokenService
from apps.core.clock import Clock
from apps.core.errors import BadRequest, NotFound, Unauthorized
from apps.core.ids import same_id
from apps.core.service import Document
from apps.output.feeds.media import FeedMedia
from apps.output.feeds.received import Cursor, ReceivedItems, ReceivedPage
from apps.publish.enqueue.formatting import ItemFormatting, format_settings
from apps.store.by_id import find_by_id
from apps.store.collections import PRODUCTS
from formatters import atom, json_feed, rss
from formatters.base import FormatContext
from formatters.conversions import UNDETERMINED, language_tag
from formatters.feed import Feed, FeedEntry, feed_entry

Writer = Callable[[Feed, Iterable[FeedEntry]], bytes]


class Kind(StrEnum):
    """The last part of a feed's address."""

    ATOM = "atom"
    RSS = "rss"
    JSON = "json"


WRITERS: Mapping[Kind, tuple[str, Writer]] = {
    Kind.ATOM: (atom.MEDIA_TYPE, atom.atom_feed),
    Kind.RSS: (rss.MEDIA_TYPE, rss.rss_feed),
    Kind.JSON: (json_feed.MEDIA_TYPE, json_feed.json_feed),
}
"""Media type and writer of each kind."""


@dataclass(frozen=True)
class Wanted:
    """What a reader asks for, as its address says.

    Attributes:
        product: id of a product, "" for all that the subscriber has received.
        before: where the page begins, "" for the newest entries.
        size: entries of the page, "" for the usual number.
    """

    token: str
    kind: Kind
    product: str = ""
    before: str = ""
    size: str = ""


@dataclass(frozen=True)
class FeedAnswer:
    """A page that can be written.

    Attributes:
        etag: changes with the page.
        modified_at: when the page changed last; None where that does not tell it from the next
            change, which may come within the same second.
        write: returns the document; expensive, so it is called only when somebody lacks it.
    """

    media_type: str
    etag: str
    modified_at: datetime | None
    write: Callable[[], bytes]


class FeedService:
    """Answers the readers of feeds.

    Args:
        db: the database.
        tokens: finds the subscriber that a token stands for.
        received: what subscribers have received.
        media: knows where readers find files.
        formatting: knows what items refer to.
        settings: PUBLIC_URL, FEED_PAGE_SIZE, FEED_PAGE_LIMIT and those of the formats.
    """

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        *,
        tokens: SubscriberTokenService,
        received: ReceivedItems,
        media: FeedMedia,
        formatting: ItemFormatting,
        settings: Mapping[str, Any],
    ) -> None:
        self._db = db
        self._clock = clock
        self._tokens = tokens
        self._received = received
        self._media = media
        self._formatting = formatting
        self._settings = format_settings(settings)
        self._public_url = settings["PUBLIC_URL"]
        self._size = int(settings["FEED_PAGE_SIZE"])
        self._limit = int(settings["FEED_PAGE_LIMIT"])

    def page(self, wanted: Wanted) -> FeedAnswer:
        """Return a page of a feed. Commands do not grow with the number of entries.

        Raises:
            Unauthorized: the token stands for no active subscriber, or has expired.
            NotFound: the subscriber does not list the product.
            BadRequest: an argument makes no sense.
        """
        subscriber = self._tokens.subscriber_of(wanted.token)
        if subscriber is None:
            raise Unauthorized("", {"auth": 1})
        product = self._product(wanted.product, subscriber) if wanted.product else None
        page = self._received.page(
            subscriber["_id"],
            self._clock.now(),
            self._page_size(wanted.size),
            product["_id"] if product else None,
            Cursor.parse(wanted.before) if wanted.before else None,
        )
        feed = self._feed(wanted, subscriber, product, page)
        media_type, writer = WRITERS[wanted.kind]
        return FeedAnswer(
            media_type,
            _etag(wanted.kind, feed, page),
            self._modified_at(page),
            lambda: writer(feed, self._entries(page, subscriber["_id"], wanted.token)),
        )

    def _modified_at(self, page: ReceivedPage) -> datetime | None:
        if page.updated is None or not page.is_settled:
            return None
        is_over = page.updated.replace(microsecond=0) < self._clock.now()
        return page.updated if is_over else None

    def _product(self, id_: str, subscriber: Document) -> Document:
        listed = [*(subscriber.get("products") or ()), *(subscriber.get("api_products") or ())]
        own = next((product for product in listed if same_id(product, id_)), None)
        found = find_by_id(self._db[PRODUCTS], own, {"name": 1})
        if found is None:
            raise NotFound(f"Product {id_} not found")
        return found

    def _page_size(self, wanted: str) -> int:
        if not wanted:
            return self._size
        if not (wanted.isascii() and wanted.isdigit() and int(wanted) > 0):
            raise BadRequest("max_results has to be a number above 0")
        return min(int(wanted), self._limit)

    def _feed(
        self, wanted: Wanted, subscriber: Document, product: Document | None, page: ReceivedPage
    ) -> Feed:
        settings = self._settings
        names = [str(subscriber.get("name")), *([str(product.get("name"))] if product else [])]
        ids: list[ObjectId] = [subscriber["_id"], *([product["_id"]] if product else [])]
        older = replace(wanted, before=page.next.text) if page.next else None
        return Feed(
            id=":".join(["urn", settings.urn_domain, "feed", *map(str, ids)]),
            title=f"{settings.provider_id}: {', '.join(names)}",
            home=self._public_url,
            self_url=self._address(wanted),
            first_url=self._address(replace(wanted, before="")),
            next_url=self._address(older) if older else None,
            author=settings.provider_id,
            language=language_tag(settings.default_language) or UNDETERMINED,
            updated=page.updated or subscriber.get("_created") or self._clock.now(),
        )

    def _address(self, wanted: Wanted) -> str:
        arguments = {
            "product": wanted.product,
            "max_results": wanted.size,
            "before": wanted.before,
        }
        query = urlencode({name: value for name, value in arguments.items() if value})
        path = f"{self._public_url}/feeds/{quote(wanted.token, safe='/')}/{wanted.kind}"
        return f"{path}?{query}" if query else path

    def _entries(self, page: ReceivedPage, subscriber_id: ObjectId, token: str) -> list[FeedEntry]:
        rows = self._media.linked(page.rows, subscriber_id, token)
        references = self._formatting.references(rows)
        context = FormatContext(
            settings=self._settings,
            now=self._clock.now(),
            vocabularies=references.vocabularies,
            users=references.users,
        )
        return [feed_entry(references.trimmed(row), context) for row in rows]


def _etag(kind: Kind, feed: Feed, page: ReceivedPage) -> str:
    """Return a tag that changes with whatever the page shows."""
    parts = [str(kind), feed.title, feed.self_url, feed.next_url, str(page.updated)]
    parts += [f"{row['_id']} {sorted(row.get('associations') or ())}" for row in page.rows]
    return sha256("\n".join(map(str, parts)).encode()).hexdigest()[:32]

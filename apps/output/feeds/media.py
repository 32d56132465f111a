"""Media of feeds: where readers find them, and who may read them.

Readers show pictures on pages that anybody may see, so their addresses do not hold the token of the
feed but a key that opens one file (`apps.content_api.tokens.service.file_key`).
"""

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any
from urllib.parse import quote

from bson import ObjectId
from pymongo.database import Database

from apps.archive.journal.media_references import media_of
from apps.content_api.tokens.service import SubscriberTokenService, file_key
from apps.core.clock import Clock
from apps.core.errors import NotFound, Unauthorized
from apps.core.ids import id_key
from apps.core.service import Document
from apps.core.vocabulary import PubStatus
from apps.media.signatures import extension_of
from apps.media.storage import NOT_STORED, MediaStorage, StoredFile
from apps.output.feeds.received import ReceivedItems
from apps.store.collections import MEDIA_REFERENCES

PATH = "feed_media"
BATCH = 100
"""Items that are looked at together for one that shows a file."""


class FeedMedia:
    """Serves the files that feeds show.

    Args:
        db: the database.
        tokens: finds the subscriber that a key stands for.
        received: what subscribers have received.
        storage: the files.
        settings: PUBLIC_URL, MEDIA_PREFIX.
    """

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        *,
        tokens: SubscriberTokenService,
        received: ReceivedItems,
        storage: MediaStorage,
        settings: Mapping[str, Any],
    ) -> None:
        self._db = db
        self._clock = clock
        self._tokens = tokens
        self._received = received
        self._storage = storage
        self._base = f"{settings['PUBLIC_URL']}/{PATH}"
        # Elsewhere, files are served as the site has arranged it.
        self._are_served_here = settings["MEDIA_PREFIX"] == f"{settings['PUBLIC_URL']}/upload-raw"

    def linked(
        self, rows: Sequence[Document], subscriber_id: ObjectId, token: str
    ) -> Sequence[Document]:
        """Return `rows` with addresses, for readers of a feed, and sizes of what is stored here.

        One command, or none.
        """
        if not self._are_served_here:
            return rows
        wanted = {media for row in rows for media, _ in media_of(row)}
        owner = quote(id_key(subscriber_id), safe="")
        files = {
            media: {
                "href": f"{self._base}/{owner}/{file_key(token, media)}/{media}",
                "size": length,
            }
            for media, length in self._storage.lengths(wanted).items()
        }
        return [_linked(row, files) for row in rows] if files else rows

    def file(self, subscriber_id: str, key: str, name: str) -> StoredFile:
        """Return a file that a feed of the subscriber shows.

        Args:
            name: id of the file; an extension after it does not count.

        Raises:
            Unauthorized: the key is not for this file, or its token no longer counts.
            NotFound: no item that the feed shows has the file, or there is none.
        """
        media = name.partition(".")[0]
        subscriber = self._tokens.subscriber_of_key(subscriber_id, media, key)
        if subscriber is None:
            raise Unauthorized("", {"auth": 1})
        if not self._is_shown(media, subscriber["_id"]):
            raise NotFound(NOT_STORED)
        return self._storage.get(media)

    def _is_shown(self, media: str, subscriber_id: ObjectId) -> bool:
        now = self._clock.now()
        query = {"media_id": media, "published": True}
        items = sorted(self._db[MEDIA_REFERENCES].distinct("item_id", query), reverse=True)
        for start in range(0, len(items), BATCH):
            rows = self._received.rows_of(subscriber_id, items[start : start + BATCH], now)
            if any(media in _shown_media(row) for row in rows):
                return True
        return False


def _shown_media(row: Document) -> set[str]:
    """Return the ids of the files that an entry of a feed links to."""
    if _is_withdrawn(row):
        return set()
    associations = row.get("associations") or {}
    shown = {key: held for key, held in associations.items() if not _is_withdrawn(held)}
    return {media for media, _ in media_of({**row, "associations": shown})}


def _is_withdrawn(item: object) -> bool:
    return isinstance(item, Mapping) and item.get("pubstatus") == PubStatus.CANCELED


def _linked(row: Document, files: Mapping[str, Document]) -> Document:
    """Return an item with what is known of its files: in its renditions, those of what it holds,
    and its text.

    Args:
        files: `href`, without an extension, and `size` by id of the file.
    """
    moved: dict[str, str] = {}
    changed = _with_files(row, files, moved)
    associations = row.get("associations")
    if isinstance(associations, Mapping):
        changed["associations"] = {
            key: _with_files(held, files, moved) if isinstance(held, Mapping) else held
            for key, held in associations.items()
        }
    text = row.get("body_html")
    if isinstance(text, str) and moved:
        # The longest first, as one address may be the beginning of another.
        known = sorted(moved, key=len, reverse=True)
        pattern = re.compile("|".join(map(re.escape, known)))
        changed["body_html"] = pattern.sub(lambda found: moved[found[0]], text)
    return changed


def _with_files(
    item: Mapping[str, Any], files: Mapping[str, Document], moved: dict[str, str]
) -> Document:
    """Return `item` with new addresses of its files; `moved` is told, by the old ones."""
    renditions = item.get("renditions")
    if not isinstance(renditions, Mapping):
        return dict(item)
    changed = dict(renditions)
    for name, rendition in renditions.items():
        if not isinstance(rendition, Mapping) or str(rendition.get("media")) not in files:
            continue
        file = files[str(rendition["media"])]
        href = file["href"] + extension_of(str(rendition.get("mimetype") or ""))
        before = rendition.get("href")
        if isinstance(before, str) and before:
            moved |= {before: href, escape(before): href}
        changed[name] = {**rendition, **file, "href": href}
    return {**item, "renditions": changed}

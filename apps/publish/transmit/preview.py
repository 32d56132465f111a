"""What would be sent for a row, for people to look at (delivery contract 1.2)."""

from base64 import b64encode
from collections.abc import Mapping
from functools import partial
from typing import Any

import structlog
from pymongo.database import Database

from apps.core.errors import DeliveryError, PluginError
from apps.core.registry import Registry
from apps.core.service import Document
from apps.media.storage import MediaStorage
from apps.publish.queue.payloads import Body, Payloads
from apps.publish.queue.rows import fault_of, published_version
from apps.publish.transmit.attempt import (
    NO_SUBSCRIBER,
    NO_SUCH_TYPE,
    NOTHING_TO_SEND,
    UNUSABLE,
    delivery_of,
)
from apps.publish.transmit.destinations import masked, transmit_settings
from apps.routing.subscribers.destination_secrets import secret_keys
from apps.store.by_id import find_by_id
from apps.store.collections import PUBLISHED, SUBSCRIBERS
from transmitters.base import Destination, Preview, Transmitter

LONGEST_BODY = 200_000
"""Characters of a body that are shown; of one that is no text, of its base64."""
LONGEST_LIST = 500
"""Media that are named."""
LONGEST_LINE = 2000
"""Characters of an address, a name or the value of a header."""
NOT_FORMATTED = "The item is not formatted yet: that is tried again before the row is sent"

log = structlog.get_logger(__name__)


class DeliveryPreviews:
    """Shows what the next attempt at a row would send.

    No secret is decrypted for it, and nobody is asked.

    Args:
        db: the database.
        registry: delivery types by name.
        settings: those of the transmitters.
        media: the binaries that deliveries take along.
    """

    def __init__(
        self,
        db: Database[Document],
        registry: Registry[Transmitter],
        settings: Mapping[str, Any],
        media: MediaStorage,
    ) -> None:
        self._subscribers = db[SUBSCRIBERS]
        self._published = db[PUBLISHED]
        self._registry = registry
        self._settings = transmit_settings(settings)
        self._media = media
        self._secrets = secret_keys(registry)
        self._payloads = Payloads(db)

    def of(self, row: Mapping[str, Any]) -> Document:
        """Return what would be sent; two commands.

        `error_message` says why nothing would be.

        Args:
            row: as it is stored.
        """
        told: Document = {"_id": row["_id"], "error_message": None}
        subscriber = find_by_id(self._subscribers, row.get("subscriber_id"))
        if subscriber is None:
            return {**told, "error_message": NO_SUBSCRIBER}
        if fault := fault_of(row):
            return {**told, "error_message": fault}
        body = self._payloads.load([row]).get(row["_id"])
        if body is None:
            reason = NOT_FORMATTED if row.get("unformatted") else NOTHING_TO_SEND
            return {**told, "error_message": reason}
        destination = masked(row, subscriber, self._secrets)
        told |= {"delivery_type": destination.type, "destination": destination.name}
        try:
            return {**told, **shown(self._previewed(row, destination, body))}
        except DeliveryError as error:
            return {**told, "error_message": str(error)}
        except PluginError as error:
            return {**told, "error_message": f"{error}. {NO_SUCH_TYPE}"}
        except Exception:
            # Of a config that others wrote.
            log.exception("delivery.no_preview", row=str(row["_id"]))
            return {**told, "error_message": UNUSABLE}

    def _previewed(self, row: Mapping[str, Any], destination: Destination, body: Body) -> Preview:
        transmitter = self._registry.get(destination.type)(destination, self._settings)
        try:
            open_item = partial(published_version, self._published, row)
            return transmitter.preview(delivery_of(row, body, self._media, open_item))
        finally:
            transmitter.close()


def shown(preview: Preview) -> Document:
    """Return a preview as an answer tells it, cut where it is long."""
    try:
        text, encoding = preview.body.decode(), "utf-8"
    except UnicodeDecodeError:
        text, encoding = b64encode(preview.body).decode(), "base64"
    return {
        "address": preview.address[:LONGEST_LINE],
        "file_name": preview.file_name[:LONGEST_LINE],
        "headers": {name: value[:LONGEST_LINE] for name, value in preview.headers.items()},
        "media": list(preview.media[:LONGEST_LIST]),
        "media_type": preview.media_type,
        "body": text[:LONGEST_BODY],
        "body_encoding": encoding,
        "body_bytes": len(preview.body),
        "is_cut": len(text) > LONGEST_BODY,
        "message": preview.message,
    }

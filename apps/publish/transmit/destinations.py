"""Destinations as the transmit run sees them: secrets resolved, connections kept."""

import time
from collections.abc import Hashable, Iterable, Mapping
from hashlib import sha256
from math import inf
from threading import Lock
from typing import Any

from cachetools import LRUCache
from pymongo.database import Database

from apps.core import json
from apps.core.documents import object_of, objects_of
from apps.core.registry import Registry
from apps.core.service import Document
from apps.core.userinfo import apart, together
from apps.mail.mailer import mail_sender, mail_server
from apps.routing.subscribers.destination_secrets import is_secret
from apps.routing.subscribers.stored_destinations import (
    CONTENT_API_DESTINATION,
    config_of,
    destination_id,
    destination_of,
    subscriber_of,
)
from apps.secrets.vault import UnreadableSecret, Vault, is_encrypted
from apps.store.by_id import find_all_by_id
from apps.store.collections import SUBSCRIBERS
from transmitters.base import MASK, Destination, Mode, TransmitSettings, Transmitter

UNKNOWN_TYPE_MODE = Mode.APPEND
"""How versions are treated where the type of the destination is not known."""
KEPT = 256
"""Transmitters, and so connections, that a process keeps."""


class TransmitterPool:
    """Transmitters by destination; those not used for longest are closed first.

    An instance serves one lane, and a lane one thread, so there is no sharing to guard but the
    pool itself.

    Args:
        registry: delivery types by name.
        settings: see `TransmitSettings`.
    """

    def __init__(self, registry: Registry[Transmitter], settings: TransmitSettings) -> None:
        self._registry = registry
        self._settings = settings
        self._kept = LRUCache[str, Transmitter](KEPT)
        self._lock = Lock()

    def get(self, lane: str, destination: Destination) -> Transmitter:
        """Return the transmitter of a destination; a changed configuration gets a new one.

        Raises:
            PluginError: unknown delivery type.
        """
        cls = self._registry.get(destination.type)
        said = [destination.type, destination.format, dict(destination.config)]
        key = f"{lane}-{sha256(json.dumps(said)).hexdigest()}"
        with self._lock:
            if key in self._kept:
                return self._kept[key]
            transmitter = cls(destination, self._settings)
            dropped = [self._kept.popitem()[1]] if len(self._kept) == KEPT else []
            self._kept[key] = transmitter
        for unused in dropped:
            unused.close()
        return transmitter

    def close(self) -> None:
        """Close every connection."""
        with self._lock:
            kept = list(self._kept.values())
            self._kept.clear()
        for transmitter in kept:
            transmitter.close()


class Subscribers:
    """Subscribers of one transmit run, read once each, and again after a while.

    A run goes on as long as there is work, and a batch for 20 seconds: what is changed of a
    subscriber, such as its secrets, counts for everything within 30 seconds.

    Args:
        db: the database.

    Attributes:
        seconds: after which one is read again.
    """

    seconds = 5.0

    def __init__(self, db: Database[Document]) -> None:
        self._db = db
        self._known: dict[Any, Document | None] = {}
        self._read_at: dict[Any, float] = {}
        self._lock = Lock()

    def load(self, lanes: Iterable[str]) -> None:
        """Read the subscribers of `lanes` that are not known, or not any more; one command."""
        now = time.monotonic()
        with self._lock:
            owners = set(map(_owner, lanes))
            wanted = {o for o in owners if now - self._read_at.get(o, -inf) >= self.seconds}
        if not wanted:
            return
        found = find_all_by_id(self._db[SUBSCRIBERS], wanted)
        with self._lock:
            self._known.update({key: found.get(key) for key in wanted})
            self._read_at.update(dict.fromkeys(wanted, now))

    def of(self, lane: str) -> Document | None:
        """Return the subscriber of a lane, or None when there is none any more."""
        return self._known.get(_owner(lane))


def _owner(lane: str) -> Hashable:
    """Return the id of the subscriber of a lane; None where a row of others names what is none."""
    owner = subscriber_of(lane)
    return owner if isinstance(owner, Hashable) else None


def mode_of(
    lane: str, subscriber: Mapping[str, Any] | None, registry: Registry[Transmitter]
) -> Mode:
    """Return how the destination of a lane treats versions; unknown types are refused row by row.

    Args:
        subscriber: owner of the lane; None when it is gone.
    """
    own = (subscriber or {}).get("destinations") or ()
    wanted = destination_of(lane)
    for destination in (*own, CONTENT_API_DESTINATION):
        if destination_id(destination) == wanted:
            cls = registry.find(str(destination.get("delivery_type")))
            return cls.mode if cls else UNKNOWN_TYPE_MODE
    return UNKNOWN_TYPE_MODE


def resolve(row: Mapping[str, Any], subscriber: Mapping[str, Any], vault: Vault) -> Destination:
    """Return the row's destination with its secrets, the only place where they are decrypted.

    Rows hold none: the subscriber's current configuration counts. Rows that others wrote may hold
    a whole destination that the subscriber does not have; then that counts.

    Raises:
        UnreadableSecret: no key fits; the message names the destination and the secret.
    """
    stored = _stored(row, subscriber)
    config = {key: _opened(stored, key, vault) for key in config_of(stored)}
    return _destination(row, stored, config)


def masked(
    row: Mapping[str, Any], subscriber: Mapping[str, Any], secrets: frozenset[str]
) -> Destination:
    """Return the row's destination as `resolve` does, but with a mask for each secret."""
    stored = _stored(row, subscriber)
    config = apart(config_of(stored))
    hidden = {k: MASK for k, v in config.items() if is_secret(k, secrets) or is_encrypted(v)}
    return _destination(row, stored, {**config, **hidden})


def _stored(row: Mapping[str, Any], subscriber: Mapping[str, Any]) -> Mapping[str, Any]:
    shown = object_of(row, "destination")
    wanted = destination_id(shown)
    own = objects_of(subscriber, "destinations")
    return next((d for d in own if destination_id(d) == wanted), shown)


def _destination(
    row: Mapping[str, Any], stored: Mapping[str, Any], config: Mapping[str, Any]
) -> Destination:
    return Destination(
        id=destination_id(object_of(row, "destination")),
        name=str(stored.get("name") or ""),
        type=str(stored.get("delivery_type") or ""),
        format=str(stored.get("format") or ""),
        config=together(config),
    )


def _opened(destination: Mapping[str, Any], key: str, vault: Vault) -> Any:
    try:
        return vault.decrypt(config_of(destination)[key])
    except UnreadableSecret as error:
        text = f"The secret {key} of destination {destination.get('name')} cannot be read: {error}"
        raise UnreadableSecret(text) from error


def transmit_settings(settings: Mapping[str, Any]) -> TransmitSettings:
    """Return the transmitters' share of the settings."""
    connect, read = settings["HTTP_PUSH_TIMEOUT"]
    return TransmitSettings(
        http_connect_timeout=float(connect),
        http_read_timeout=float(read),
        http_total_timeout=float(settings["HTTP_PUSH_TOTAL_TIMEOUT"]),
        http_kept_bytes=int(settings["HTTP_PUSH_KEPT_BYTES"]),
        http_drained_bytes=int(settings["HTTP_PUSH_DRAINED_BYTES"]),
        allow_private_addresses=settings["TRANSMIT_ALLOW_PRIVATE_ADDRESSES"],
        allowed_networks=tuple(settings["TRANSMIT_ALLOWED_NETWORKS"]),
        connections_per_host=int(settings["TRANSMIT_CONNECTIONS_PER_HOST"]),
        ftp_reply_timeout=float(settings["FTP_REPLY_TIMEOUT"]),
        ftp_total_timeout=float(settings["FTP_TIMEOUT"]),
        event_source=settings["PUBLIC_URL"],
        mail_server=mail_server(settings),
        mail_sender=mail_sender(settings),
        mail_domain=settings["URN_DOMAIN"],
        mail_timeout=float(settings["EMAIL_TIMEOUT"]),
        watermark_image=settings["WATERMARK_IMAGE"],
        file_root=settings["FILE_ROOT"],
        file_timeout=float(settings["FILE_TIMEOUT"]),
        odbc_publish=settings["ODBC_PUBLISH"],
        odbc_timeout=float(settings["ODBC_TIMEOUT"]),
        imatrics_url=settings["IMATRICS_BASE_URL"],
        imatrics_user=settings["IMATRICS_USER"],
        imatrics_key=settings["IMATRICS_KEY"],
    )

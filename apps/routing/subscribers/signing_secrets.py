"""Secrets that sign deliveries: new ones take the place of old ones (delivery contract 7.2)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from pymongo.database import Database

from apps.core.clock import Clock
from apps.core.documents import objects_of
from apps.core.errors import Conflict, NotFound
from apps.core.service import Document, new_etag
from apps.routing.subscribers.stored_destinations import config_of, destination_id
from apps.secrets.vault import UnreadableSecret, Vault
from apps.store.collections import SUBSCRIBERS
from transmitters.http_signatures import SigningSecret, new_secret, secrets_text, signing_secrets

KEY = "signature_v1"
"""Key of `config` with the secrets."""
OLD_IS_VALID = timedelta(hours=24)

TWO_ARE_VALID = (
    "Two secrets of destination {} are valid, the older one {}. Wait for its end, or repeat "
    'the request with {{"replace": "newest"}} if the receiver has not got the newest one, or with '
    '{{"replace": "oldest"}} to end the oldest one now'
)
UNREADABLE = "The secret of destination {} cannot be read. Save a new one with the subscriber"
GONE = "The destination is gone"


class Replaced(StrEnum):
    """Which of two valid secrets a new one takes the place of."""

    NEWEST = "newest"
    OLDEST = "oldest"


@dataclass(frozen=True)
class NewSecret:
    """A secret that was made.

    Attributes:
        old_until: until when the one before is valid; None where there was none.
    """

    secret: str
    old_until: datetime | None


class SigningSecrets:
    """Makes new secrets; two are valid at once, the older one for a day.

    Args:
        db: the database.
        clock: source of time.
        vault: encrypts secrets.
    """

    def __init__(self, db: Database[Document], clock: Clock, vault: Vault) -> None:
        self._subscribers = db[SUBSCRIBERS]
        self._clock = clock
        self._vault = vault

    def rotate(
        self, subscriber_id: Any, destination: str, replaced: Replaced | None = None
    ) -> NewSecret:
        """Give a destination a new secret; two commands, two more each time somebody is faster.

        Args:
            destination: its id.
            replaced: what becomes of the two that are valid, where there are two.

        Raises:
            Conflict: two are valid and nobody says which one ends, or one cannot be read.
            NotFound: somebody has removed the destination.
        """
        while True:
            found = self._subscribers.find_one({"_id": subscriber_id}, {"destinations": 1}) or {}
            own = objects_of(found, "destinations")
            stored = next((d for d in own if destination_id(d) == destination), None)
            if stored is None:
                raise NotFound(GONE)
            now = self._clock.now()
            secrets = self._changed(stored, now, replaced)
            before = found["destinations"]
            after = [self._with(d, secrets) if d is stored else d for d in before]
            # A new etag: secrets that a client has read before are no longer those stored.
            change = {"destinations": after, "_etag": new_etag(), "_updated": now}
            same = {"_id": subscriber_id, "destinations": before}
            if self._subscribers.update_one(same, {"$set": change}).matched_count:
                new, *old = secrets
                return NewSecret(new.key, _moment_of(old[0]) if old else None)

    def _changed(
        self, destination: Mapping[str, Any], now: datetime, replaced: Replaced | None
    ) -> list[SigningSecret]:
        """Return the secrets that a destination has from now on, newest first.

        Raises:
            Conflict: as `rotate`.
        """
        name = destination.get("name")
        try:
            text = self._vault.decrypt(config_of(destination).get(KEY) or "")
        except UnreadableSecret:
            raise Conflict(UNREADABLE.format(name)) from None
        at = int(now.timestamp())
        valid = [s for s in signing_secrets(str(text)) if s.is_valid_at(at) and s.is_usable()]
        if len(valid) > 1 and replaced is None:
            last = valid[-1].until
            until = (
                f"{datetime.fromtimestamp(last, UTC):%Y-%m-%d %H:%M} UTC" if last else "for ever"
            )
            raise Conflict(TWO_ARE_VALID.format(name, until))
        end = at + int(OLD_IS_VALID.total_seconds())
        old = valid[1:] if len(valid) > 1 and replaced is Replaced.NEWEST else valid
        return [new_secret(), *(secret._replace(until=end) for secret in old[:1])]

    def _with(self, destination: Document, secrets: Sequence[SigningSecret]) -> Document:
        sealed = self._vault.encrypt(secrets_text(secrets))
        return {**destination, "config": {**config_of(destination), KEY: sealed}}


def _moment_of(secret: SigningSecret) -> datetime | None:
    """Return until when a secret is valid."""
    return datetime.fromtimestamp(secret.until, UTC) if secret.until else None

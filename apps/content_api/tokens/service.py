"""Makes tokens and finds whom they stand for.

A stored token cannot be used by who reads the database: its `_id` is a hash, and the token itself
is there encrypted, so that those who manage subscribers can see it again. Tokens that others wrote
have themselves as `_id`, until the secrets are rotated.
"""

import hmac
import secrets
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from pymongo.database import Database

from apps.core.caller import Caller
from apps.core.clock import Clock
from apps.core.errors import SchemaIssues
from apps.core.ids import id_forms
from apps.core.service import Document, ResourceService
from apps.core.tokens import hash_token
from apps.secrets.vault import UnreadableSecret, Vault
from apps.store.by_id import find_by_id
from apps.store.collections import SUBSCRIBERS

TOKEN_BYTES = 40
KEY_BYTES = 24
ENCRYPTED = "token"
"""Field that holds the encrypted token."""
MAX_DAYS = 36_500
IN_THE_PAST = "field is read-only"
"""Issue of an `expiry` that is not in the future."""


class SubscriberTokenService(ResourceService):
    """Tokens of subscribers (routing contract 9.1).

    Args:
        vault: encrypts tokens.
    """

    resource = "subscriber_token"

    def __init__(self, db: Database[Document], clock: Clock, *, vault: Vault) -> None:
        super().__init__(db, clock)
        self._vault = vault

    # For those who let subscribers in.

    def subscriber_of(self, token: str) -> Document | None:
        """Return the active subscriber that `token` stands for, None where there is none.

        A token that has expired is removed.
        """
        found = self._find(token)
        if found is None:
            return None
        if self._is_over(found):
            self.collection.delete_one({"_id": found["_id"], "expiry": found["expiry"]})
            return None
        return self._active(found["subscriber"])

    def subscriber_of_key(self, subscriber_id: str, media_id: str, key: str) -> Document | None:
        """Return the active subscriber that has a token of which `key` was made, else None.

        Args:
            media_id: the file that the key is for.
            key: see `file_key`.
        """
        for stored in self.collection.find({"subscriber": {"$in": id_forms(subscriber_id)}}):
            if not self._is_over(stored) and _is_key_of(stored, media_id, key):
                return self._active(stored["subscriber"])
        return None

    def _active(self, subscriber_id: object) -> Document | None:
        found = find_by_id(self.db[SUBSCRIBERS], subscriber_id)
        return found if found and found.get("is_active") is True else None

    def _is_over(self, stored: Mapping[str, Any]) -> bool:
        expiry = stored.get("expiry")
        return expiry is not None and expiry <= self.clock.now()

    def _find(self, token: str) -> Document | None:
        """Return the stored form of `token`."""
        stored = self.collection.find({"_id": {"$in": stored_ids(token)}})
        return next((found for found in stored if _stands_for(found, token)), None)

    # Writes.

    def on_create(self, documents: list[Document], caller: Caller) -> None:
        for document in documents:
            # Whatever the client sent: tokens are made here.
            document["_id"] = new_token()
            document.pop("never_expire", None)
            self._set_expiry(document)

    def _set_expiry(self, document: Document) -> None:
        now, expiry = self.clock.now(), document.pop("expiry", None)
        if expiry is not None and expiry <= now:
            raise SchemaIssues({"expiry": IN_THE_PAST})
        days = document.get("expiry_days") or 0
        if days > MAX_DAYS:
            raise SchemaIssues({"expiry_days": f"max value is {MAX_DAYS}"})
        if days > 0:
            expiry = now + timedelta(days=days)
        if expiry is not None:
            document["expiry"] = expiry

    def create(self, documents: list[Document], caller: Caller) -> list[Any]:
        """Store tokens by their hash, encrypted; return the tokens."""
        self.collection.insert_many(
            {**d, "_id": hash_token(d["_id"]), ENCRYPTED: self._vault.encrypt(d["_id"])}
            for d in documents
        )
        return [document["_id"] for document in documents]

    def rotate_secrets(self) -> tuple[int, list[str]]:
        """Encrypt all tokens with the newest key, and hash those that others wrote.

        Returns:
            How many, and the stored ids of those that no key fits: they work, but are not shown.
        """
        renewed, unreadable = 0, []
        for stored in self.collection.find({ENCRYPTED: {"$exists": True}}, {ENCRYPTED: 1}):
            try:
                token = self._vault.renew(stored[ENCRYPTED])
            except UnreadableSecret:
                unreadable.append(stored["_id"])
                continue
            self.collection.update_one(stored, {"$set": {ENCRYPTED: token}})
            renewed += 1
        return renewed + self._hash_plain(), unreadable

    def _hash_plain(self) -> int:
        """Store tokens that stand there as they are by their hash, encrypted; return how many."""
        plain = list(
            self.collection.find({ENCRYPTED: {"$exists": False}, "_id": {"$type": "string"}})
        )
        for document in plain:
            token = document["_id"]
            stored = {**document, "_id": hash_token(token), ENCRYPTED: self._vault.encrypt(token)}
            # First the one, then the other: the token works throughout.
            self.collection.replace_one({"_id": stored["_id"]}, stored, upsert=True)
            self.collection.delete_one({"_id": token})
        return len(plain)

    # Reads.

    def item_filter(self, lookup: Document) -> Document:
        """Find a token by itself, as URLs name it."""
        if not isinstance(lookup.get("_id"), str):
            return lookup
        found = self._find(lookup["_id"])
        return {**lookup, "_id": found["_id"] if found else None}

    def on_fetched(self, documents: list[Document], caller: Caller) -> None:
        for document in documents:
            self.on_fetched_item(document, caller)

    def on_fetched_item(self, document: Document, caller: Caller) -> None:
        """Show the token where its hash is stored, and its link."""
        encrypted = document.pop(ENCRYPTED, None)
        if encrypted is None:
            return
        try:
            token = self._vault.decrypt(encrypted)
        except UnreadableSecret:
            # No key at hand: it still works, and can be removed by its hash.
            return
        document["_id"] = token
        link = (document.get("_links") or {}).get("self")
        if link:
            link["href"] = f"{self.resource}/{token}"


def new_token() -> str:
    """Return a random token in base64 that can stand in a URL as it is."""
    while True:
        token = b64encode(secrets.token_bytes(TOKEN_BYTES)).decode("ascii")
        # Servers take two slashes in a path for one.
        if "//" not in f"/{token}":
            return token


def file_key(token: str, media_id: str) -> str:
    """Return what opens one file to whoever knows an address with it, as long as `token` counts.

    It tells nothing of the token, so that pictures of a feed may be shown on any page.
    """
    return _file_key(hash_token(token), media_id)


def _file_key(token_hash: str, media_id: str) -> str:
    digest = hmac.digest(token_hash.encode(), f"file {media_id}".encode(), "sha256")
    return urlsafe_b64encode(digest[:KEY_BYTES]).decode("ascii")


def _is_key_of(stored: Mapping[str, Any], media_id: str, key: str) -> bool:
    token_hash = stored["_id"] if ENCRYPTED in stored else hash_token(stored["_id"])
    return hmac.compare_digest(_file_key(token_hash, media_id).encode(), key.encode())


def stored_ids(token: str) -> list[str]:
    """Return the ids under which a token may be stored."""
    return [hash_token(token), token]


def _stands_for(stored: Mapping[str, Any], token: str) -> bool:
    """Whether a stored document is that of `token`; a hash that somebody saw is no token."""
    return bool(
        stored["_id"] == hash_token(token) if ENCRYPTED in stored else stored["_id"] == token
    )

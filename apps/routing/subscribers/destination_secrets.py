"""Secrets in the `config` of destinations, of subscribers and of rows (routing contract 1.2)."""

from collections.abc import Iterable, Mapping
from typing import Any

from bson import ObjectId

from apps.core.documents import objects
from apps.core.registry import Registry
from apps.core.service import Document
from apps.core.userinfo import SUFFIX, apart, without_userinfo
from apps.routing.subscribers.stored_destinations import (
    SECRET_KEYS,
    config_of,
    destination_id,
    shown_config,
)
from apps.secrets.vault import Vault, is_encrypted
from transmitters.base import Transmitter

SERVER = "host"
"""Key of `config` that names whom passwords are told to."""

Destinations = Iterable[Mapping[str, Any]]


def secret_keys(transmitters: Registry[Transmitter]) -> frozenset[str]:
    """Return the keys of `config` that are secret.

    These are the well-known ones and those that a delivery type declares. A key counts for every
    type: the type of a destination may change, and what its old type kept secret stays secret.
    """
    declared = (field for transmitter in transmitters for field in transmitter.fields)
    return SECRET_KEYS | {field.name for field in declared if field.secret}


def without_secrets(destinations: Destinations | None, secrets: frozenset[str]) -> list[Document]:
    """Return copies of stored destinations that anybody may see, each with its `_id`."""
    return [
        {
            **{key: without_userinfo(value) for key, value in destination.items()},
            "_id": destination_id(destination),
            "config": shown_config(destination, secrets),
        }
        for destination in objects(destinations)
    ]


def without_plain_secrets(
    destinations: Destinations | None, secrets: frozenset[str]
) -> list[Document]:
    """Return copies of stored destinations in which every secret is encrypted or left out."""
    return [
        {
            **{key: without_userinfo(value) for key, value in destination.items()},
            "config": {
                key: value
                for key, value in apart(config_of(destination)).items()
                if not is_secret(key, secrets) or is_encrypted(value)
            },
        }
        for destination in objects(destinations)
    ]


def has_plain_secrets(destinations: Destinations | None, secrets: frozenset[str]) -> bool:
    """Whether fixtures or migrations have written a secret as it is."""
    return any(
        is_secret(key, secrets) and not is_encrypted(value)
        for destination in objects(destinations)
        for key, value in apart(config_of(destination)).items()
    )


def sealed(
    destinations: Destinations,
    stored: Destinations | None,
    secrets: frozenset[str],
    vault: Vault,
) -> list[Document]:
    """Return what a client sends as it is stored: complete, and its secrets encrypted.

    Args:
        stored: what it takes the place of.
        secrets: secret keys of `config`.
    """
    return encrypted(complete(destinations, stored, secrets), stored, secrets, vault)


def complete(
    destinations: Destinations, stored: Destinations | None, secrets: frozenset[str]
) -> list[Document]:
    """Return `destinations` as they are stored.

    One with the `_id` of a stored destination keeps the secrets that it does not mention, so that
    what a client has read can be sent back; not those that another receiver would be told. A null
    removes a key of `config`. Every destination gets an `_id` that no other has: a lane and the
    keys of deliveries hang on it.

    Args:
        destinations: as a client sends them.
        stored: those of the subscriber until now.
        secrets: secret keys of `config`.
    """
    known = {destination_id(destination): destination for destination in objects(stored)}
    completed: list[Document] = []
    taken: set[str] = set()
    for destination in destinations:
        has_id = destination.get("_id") not in (None, "")
        earlier = known.get(destination_id(destination)) if has_id else None
        sent = _sent(config_of(destination), earlier, secrets)
        config = {**_secrets_of(earlier, secrets, sent), **sent}
        config = {key: value for key, value in config.items() if value is not None}
        whole = {**destination, "config": config}
        whole["_id"] = _free_id(destination_id(whole), taken)
        taken.add(whole["_id"])
        completed.append(whole)
    return completed


def encrypted(
    destinations: Destinations,
    stored: Destinations | None,
    secrets: frozenset[str],
    vault: Vault,
) -> list[Document]:
    """Return `destinations` with their secrets encrypted.

    A value that is encrypted in the store already stays as it is; a text that only looks like one
    is a secret like any other, so that nobody can have the secret of one destination sent to
    another. The credentials of an address are a secret under a key of their own.

    Args:
        destinations: as `complete` returns them.
        stored: those of the subscriber until now.
    """
    known = {destination_id(destination): destination for destination in objects(stored)}

    def stored_value(key: str, value: Any, before: Mapping[str, Any] | None) -> Any:
        is_plain = is_secret(key, secrets) and not _is_kept(value, key, before)
        return vault.encrypt(value) if is_plain else value

    return [
        {
            **destination,
            "config": {
                key: stored_value(key, value, known.get(destination["_id"]))
                for key, value in config_of(destination).items()
            },
        }
        for destination in destinations
    ]


def _is_kept(value: Any, key: str, destination: Mapping[str, Any] | None) -> bool:
    return is_encrypted(value) and config_of(destination or {}).get(key) == value


def is_secret(key: str, secrets: frozenset[str]) -> bool:
    """Whether a key of `config` holds a secret: one of `secrets`, or credentials of an address."""
    return key in secrets or key.endswith(SUFFIX)


def _secrets_of(
    destination: Mapping[str, Any] | None, secrets: frozenset[str], sent: Mapping[str, Any]
) -> Document:
    """Return the stored secrets of a destination that are told to nobody new."""
    stored = apart(config_of(destination or {}))
    return {
        key: value
        for key, value in stored.items()
        if is_secret(key, secrets) and _is_told_to_the_same(key, stored, sent)
    }


def _sent(
    config: Mapping[str, Any], earlier: Mapping[str, Any] | None, secrets: frozenset[str]
) -> Document:
    """Return what a client sends, without secrets that it has read of another receiver."""
    sent, stored = apart(config), apart(config_of(earlier or {}))

    def is_read(key: str, value: Any) -> bool:
        shows = key.endswith(SUFFIX) or (is_secret(key, secrets) and is_encrypted(value))
        return shows and value is not None and value == stored.get(key)

    return {
        key: value
        for key, value in sent.items()
        if not is_read(key, value) or _is_told_to_the_same(key, stored, sent)
    }


def _is_told_to_the_same(key: str, stored: Mapping[str, Any], sent: Mapping[str, Any]) -> bool:
    """Whether a secret goes to the same receiver as before: who changes that enters it again.

    Credentials belong to their address, other secrets to the server that they open.
    """
    if key.endswith(SUFFIX):
        address = key.removesuffix(SUFFIX)
        return address in sent and sent[address] == stored.get(address)
    return bool(sent.get(SERVER) == stored.get(SERVER))


def _free_id(wanted: str, taken: set[str]) -> str:
    return str(ObjectId()) if wanted in taken else wanted

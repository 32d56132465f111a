"""Credentials of integrations: encrypted in the store, and never shown (cms contract 13.1).

What is encrypted says whose secret it is: a ciphertext opens nothing where it was copied to.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from apps.core.documents import object_of, text_of
from apps.core.errors import PlainError, SchemaIssues
from apps.core.service import Document
from apps.secrets.vault import UnreadableSecret, Vault
from transmitters.cms.base import Platform

CREDENTIALS = "credentials"
"""Field of an integration: the encrypted `values` by key, and what clients are told of them."""

HINTED = 16
"""Characters of a secret from which on its last four are shown."""
LONGEST = 1000
NOT_CONFIGURED = "Credential encryption is not configured"
IS_SHOWN = "is what is shown of credentials; send the keys that change"
NEEDED_AGAIN = "required when base_url changes"


def sealed(
    platform: type[Platform],
    integration: Mapping[str, Any],
    sent: Any,
    vault: Vault,
    now: datetime,
) -> Document:
    """Return the field of an integration in which credentials are stored.

    Args:
        integration: as stored, and as it will be: `_id`, `account`, and what is sealed already.
        sent: by a client: what it leaves out stays, null removes a key, or all of them.

    Raises:
        SchemaIssues: unknown keys, wrong forms, or the mask that clients are shown.
        PlainError: 503, nothing can be encrypted.
    """
    names = {each.name: each for each in platform.credentials}
    changes = dict.fromkeys(names) if sent is None else _checked(sent, set(names))
    stored = object_of(integration, CREDENTIALS)
    before = object_of(stored, "values")
    kept = {key: value for key, value in before.items() if key in names and key not in changes}
    written = {key: value for key, value in changes.items() if value is not None}
    whole = {**_readable(vault, integration, kept), **written}
    _check_form(platform, whole)
    try:
        new = {key: vault.encrypt(_bound(integration, key, v)) for key, v in written.items()}
    except OSError:
        raise PlainError(503, NOT_CONFIGURED) from None
    hints = {key: hint for key, hint in object_of(stored, "hints").items() if key in kept}
    hints |= {key: hint_of(value) for key, value in written.items() if names[key].secret}
    plain = {key: whole[key] for key in whole if not names[key].secret}
    return {"values": {**kept, **new}, "updated_at": now, "hints": hints, "plain": plain}


def checked(platform: type[Platform], sent: Any) -> dict[str, str]:
    """Return credentials that are used and not stored.

    Raises:
        SchemaIssues: as `sealed`.
    """
    changes = _checked(sent, {each.name for each in platform.credentials})
    whole = {key: value for key, value in changes.items() if value is not None}
    _check_form(platform, whole)
    return whole


def _check_form(platform: type[Platform], whole: Mapping[str, str]) -> None:
    """Check the forms of credentials; those that are missing are asked for when they are used.

    Raises:
        SchemaIssues: one has a wrong form.
    """
    found = platform.check_credentials(whole) if whole else {}
    if issues := {key: issue for key, issue in found.items() if key in whole}:
        raise SchemaIssues({CREDENTIALS: issues})


def _checked(sent: Any, known: set[str]) -> Document:
    if not isinstance(sent, Mapping):
        raise SchemaIssues({CREDENTIALS: "must be of dict type"})
    if "set" in sent:
        raise SchemaIssues({CREDENTIALS: IS_SHOWN})
    issues: Document = {}
    for key, value in sent.items():
        if key not in known:
            issues[key] = "unknown field"
        elif value is not None and not isinstance(value, str):
            issues[key] = "must be of string type"
        elif value is not None and not 0 < len(value) <= LONGEST:
            issues[key] = f"must have 1 to {LONGEST} characters"
    if issues:
        raise SchemaIssues({CREDENTIALS: issues})
    return dict(sent)


def _readable(vault: Vault, integration: Mapping[str, Any], kept: Mapping[str, Any]) -> Document:
    """Return what of the stored values can be read, for checks of the whole."""
    values: Document = {}
    for key, value in kept.items():
        try:
            values[key] = _opened(vault, integration, key, value)
        except UnreadableSecret:
            continue
    return values


def hint_of(secret: str) -> str:
    """Return what may be shown of a secret, so that people recognise it."""
    return f"…{secret[-4:]}" if len(secret) >= HINTED else "…"


def shown(integration: Mapping[str, Any]) -> Document:
    """Return what clients are told of the credentials of an integration."""
    stored = object_of(integration, CREDENTIALS)
    values, hints = object_of(stored, "values"), object_of(stored, "hints")
    if not values:
        return {"set": False, "fields": []}
    hint = next((hints[key] for key in sorted(hints)), "…")
    return {
        **object_of(stored, "plain"),
        "set": True,
        "fields": sorted(values),
        "updated_at": stored.get("updated_at"),
        "hint": hint,
    }


def has_credentials(platform: type[Platform], integration: Mapping[str, Any]) -> bool:
    """Whether all credentials that the platform needs are there."""
    values = values_of(integration)
    return all(each.name in values for each in platform.credentials if each.required)


def values_of(integration: Mapping[str, Any]) -> Document:
    """Return the encrypted values of an integration, by key."""
    return object_of(object_of(integration, CREDENTIALS), "values")


def opened(vault: Vault, integration: Mapping[str, Any]) -> dict[str, str]:
    """Return the credentials of a stored integration.

    Raises:
        UnreadableSecret: no key fits, or a value was sealed for something else.
    """
    values = values_of(integration)
    return {key: _opened(vault, integration, key, value) for key, value in values.items()}


def _bound(integration: Mapping[str, Any], key: str, value: str) -> Document:
    return {
        "account": integration["account"],
        "integration": str(integration["_id"]),
        "field": key,
        "value": value,
    }


def _opened(vault: Vault, integration: Mapping[str, Any], key: str, stored: Any) -> str:
    try:
        found = vault.decrypt(stored)
    except OSError:
        # There is no key, and no place for one.
        raise UnreadableSecret("there is no encryption key") from None
    value = text_of(found, "value") if isinstance(found, dict) else ""
    if not value or found != _bound(integration, key, value):
        raise UnreadableSecret("the value was encrypted for something else")
    return value


@dataclass
class Rotation:
    """Outcome of encrypting the credentials of all integrations anew.

    Attributes:
        renewed: how many values are encrypted with the newest key now.
        unreadable: integration and key of those that no key fits.
    """

    renewed: int = 0
    unreadable: list[str] = field(default_factory=list)


def renewed(vault: Vault, integration: Mapping[str, Any], rotation: Rotation) -> Document:
    """Return the encrypted values of an integration, encrypted with the newest key."""
    values: Document = {}
    for key, value in values_of(integration).items():
        try:
            values[key] = vault.renew(value)
            rotation.renewed += 1
        except UnreadableSecret:
            values[key] = value
            rotation.unreadable.append(f"integration {integration['_id']}, {key}")
    return values

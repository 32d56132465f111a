"""Destinations as subscribers and queue rows hold them, and what anybody may see of them."""

from collections.abc import Collection, Mapping
from hashlib import sha256
from typing import Any

from apps.core import json
from apps.core.documents import object_of
from apps.core.ids import id_key, object_id
from apps.core.service import Document
from apps.core.userinfo import SUFFIX, without_userinfo
from apps.core.vocabulary import CONTENT_API
from apps.secrets.vault import is_encrypted
from apps.store.field_names import MARK, field_of, id_of

SECRET_KEYS = frozenset(
    {
        "secret_token",
        "password",
        "apiKey",
        "access_key_id",
        "secret_access_key",
        "signature_v1",
        "connection_string",
    }
)
"""Keys of a destination's config that never leave the subscriber document; so do the credentials of
its addresses, whatever their key."""


CONTENT_API_DESTINATION: Mapping[str, Any] = {
    "name": "content api",
    "delivery_type": CONTENT_API,
    "format": "ninjs",
}
"""Destination of every subscriber that an item is meant for by its API products. It is in no
subscriber's list."""


def is_content_api(destination: Mapping[str, Any]) -> bool:
    """Whether a destination, of a subscriber or a row, is the content API."""
    return destination.get("delivery_type") == CONTENT_API


def destination_id(destination: Mapping[str, Any]) -> str:
    """Return the id of a stored destination: its own, or a hash of what it shows."""
    own = destination.get("_id")
    if own is not None and own != "":
        return own if isinstance(own, str) else id_key(own)
    said = [destination.get(key) for key in ("name", "format", "delivery_type")]
    shown = shown_config(destination)
    return sha256(json.dumps([*said, sorted(shown.items())])).hexdigest()[:24]


def config_of(destination: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the config of a destination; what is no object, in a row of others, is empty."""
    return object_of(destination, "config")


def shown_config(
    destination: Mapping[str, Any], secrets: Collection[str] = SECRET_KEYS
) -> Document:
    """Return what anybody may see of a destination's config; nothing that is encrypted.

    Args:
        secrets: keys that are left out, for values that are stored as they are.
    """
    return {
        key: without_userinfo(value)
        for key, value in config_of(destination).items()
        if key not in secrets and not key.endswith(SUFFIX) and not is_encrypted(value)
    }


def lane_id(subscriber_id: Any, destination: str) -> str:
    """Return the id of the lane: deliveries of one subscriber to one destination keep order."""
    owner = str(subscriber_id)
    if subscriber_id is not None and subscriber_of(owner) != subscriber_id:
        owner = field_of(subscriber_id)
    return f"{owner}:{destination}"


def subscriber_part_of(lane: str) -> str:
    """Return the part of a lane id that names the subscriber."""
    return lane.partition(":")[0]


def subscriber_of(lane: str) -> Any:
    """Return the subscriber id that a lane id names."""
    owner = subscriber_part_of(lane)
    return id_of(owner) if owner.startswith(MARK) else object_id(owner)


def destination_of(lane: str) -> str:
    """Return the destination id that a lane id names. Only that of the subscriber has no colon."""
    return lane.partition(":")[2]


def shown_destination(destination: Mapping[str, Any]) -> Document:
    """Return a destination as rows show it: without secrets."""
    return {
        "_id": destination_id(destination),
        "name": destination.get("name"),
        "format": destination.get("format"),
        "delivery_type": destination.get("delivery_type"),
        "config": shown_config(destination),
    }

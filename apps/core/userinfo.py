"""Credentials inside addresses: `https://user:password@host/`.

They are kept apart from the address, as a secret under a key of their own.
"""

import re
from collections.abc import Mapping
from typing import Any

SUFFIX = "_userinfo"
"""Ends the key under which the credentials of an address are kept."""

_USERINFO = re.compile(r"^\s*([A-Za-z][A-Za-z0-9+.-]*://)([^/?#\s]*)@")


def split_userinfo(value: Any) -> tuple[Any, str | None]:
    """Return an address without its credentials, and these; other values as they are, and None."""
    found = _USERINFO.match(value) if isinstance(value, str) else None
    if found is None:
        return value, None
    return f"{found[1]}{value[found.end() :]}", found[2]


def without_userinfo(value: Any) -> Any:
    """Return an address without its credentials; other values as they are."""
    return split_userinfo(value)[0]


def apart(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a destination's config with the credentials of addresses under keys of their own."""
    result: dict[str, Any] = {}
    for key, value in config.items():
        result[key], userinfo = split_userinfo(value)
        if userinfo is not None:
            result[f"{key}{SUFFIX}"] = userinfo
    return result


def together(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config whose addresses hold their credentials, as transmitters use them."""
    result = {key: value for key, value in config.items() if not key.endswith(SUFFIX)}
    for key in config.keys() - result.keys():
        address = result.get(key.removesuffix(SUFFIX))
        if isinstance(address, str) and "://" in address:
            scheme, _, rest = without_userinfo(address).partition("://")
            result[key.removesuffix(SUFFIX)] = f"{scheme}://{config[key]}@{rest}"
    return result

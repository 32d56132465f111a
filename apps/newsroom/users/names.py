"""What a user is called: display name and sign-off. Pure functions."""

from collections.abc import Mapping
from typing import Any

NAME_FIELDS = frozenset({"first_name", "last_name", "username"})


def display_name(user: Mapping[str, Any]) -> str:
    """Return first and last name, or the user name where there is neither."""
    names = (user.get("first_name"), user.get("last_name"))
    return " ".join(name for name in names if name) or str(user.get("username") or "")


def default_sign_off(user: Mapping[str, Any], mapping: str | None) -> str:
    """Return the mark that a new user leaves on items (resources contract 5).

    Args:
        user: the new user.
        mapping: field to take the mark from, if the installation has one (`SIGN_OFF_MAPPING`).
    """
    if mapping and user.get(mapping):
        return str(user[mapping])
    first, last = user.get("first_name"), user.get("last_name")
    if first and last:
        return f"{first[0]}{last[0]}".upper()
    return str(user["username"])[:3].upper()

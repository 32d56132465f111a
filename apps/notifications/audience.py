"""Who gets a message: its `filters` against the arguments a client connected with."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

SUBSCRIBE_PATH = "/subscribe"
TOKEN_ARGUMENT = "token"  # noqa: S105 - the argument's name

Arguments = Mapping[str, str]


def subscription(path: str) -> Arguments:
    """Return the arguments of a connection's request target; the first value of each counts.

    The token is no argument. Connections elsewhere than `/subscribe` have none.
    """
    place, _, query = path.partition("?")
    if not place.endswith(SUBSCRIBE_PATH):
        return {}
    arguments: dict[str, str] = {}
    for key, value in parse_qsl(query):
        arguments.setdefault(key, value)
    arguments.pop(TOKEN_ARGUMENT, None)
    return arguments


def is_addressed(filters: Any, arguments: Arguments) -> bool:
    """Return whether a client with these arguments gets a message with these `filters`.

    Every key of `include` has to match and no key of `exclude` may. A client without arguments
    gets nothing that has an `include`. Filters that cannot be read address nobody, because they
    were meant to narrow the audience.
    """
    if not filters:
        return True
    if not isinstance(filters, Mapping):
        return False
    include, exclude = filters.get("include") or {}, filters.get("exclude") or {}
    if not isinstance(include, Mapping) or not isinstance(exclude, Mapping):
        return False
    return all(_matches(arguments, *rule) for rule in include.items()) and not any(
        _matches(arguments, *rule) for rule in exclude.items()
    )


def _matches(arguments: Arguments, key: str, values: Any) -> bool:
    listed = values if isinstance(values, list) else [values]
    return key in arguments and arguments[key] in {str(value) for value in listed}

"""What a setting is, and how the environment says its value.

A value that parses as JSON is JSON (`true`, `99`, `{"a": 1}`), anything else is text.
`null` is none.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from ipaddress import ip_network
from math import isfinite
from pathlib import Path
from typing import Any

from apps.core.errors import ConfigurationError


@dataclass(frozen=True)
class Setting:
    """One setting. Made by a function that is called as its form: `text`, `number`, `flag` ...

    Attributes:
        name: also that of the environment variable.
        default: its value where the environment says nothing.
        meaning: for the reference, in Markdown; with the unit, unless the name states it.
        derived: what it follows from where it has no default of its own.
        accepted: what values it takes, in words.
        convert: returns the value of a text; raises ValueError for one that is not taken.
        is_secret: masked wherever settings are shown; may stand in the file `<name>_FILE` names.
    """

    name: str
    default: Any
    meaning: str
    derived: str
    accepted: str
    convert: Callable[[str], Any]
    is_secret: bool = False

    def read(self, variables: Mapping[str, str]) -> Any:
        """Return the value that the environment says, else the default.

        Raises:
            ConfigurationError: it is none that this setting takes, or its file cannot be read.
        """
        file_name = variables.get(f"{self.name}_FILE") if self.is_secret else None
        try:
            if file_name is not None:
                return Path(file_name).read_text(encoding="utf-8").strip()
            if self.name in variables:
                return self.convert(variables[self.name])
        except OSError as error:
            raise ConfigurationError(f"{self.name}_FILE cannot be read: {error}") from error
        except ValueError as error:
            said = repr(parse(variables[self.name]))
            text = f"{self.name} is {said}, but must be {self.accepted}"
            raise ConfigurationError(text) from error
        return deepcopy(self.default)


def read_all(
    settings: Iterable[Setting], variables: Mapping[str, str], renamed: Mapping[str, str]
) -> dict[str, Any]:
    """Return the values of settings by name.

    Args:
        renamed: other names of settings that must not be passed over, to their own.

    Raises:
        ConfigurationError: one line for each bad value or name.
    """
    values: dict[str, Any] = {}
    problems = [f"{name} is called {renamed[name]}" for name in renamed if name in variables]
    for setting in settings:
        try:
            values[setting.name] = setting.read(variables)
        except ConfigurationError as error:
            problems.append(str(error))
    if problems:
        raise ConfigurationError("\n".join(problems))
    return values


def text(name: str, default: str | None, meaning: str, derived: str = "") -> Setting:
    """Return a setting that takes any text; digits too, as they are."""
    return Setting(name, default, meaning, derived, "text", _text)


def secret(name: str, meaning: str, derived: str = "") -> Setting:
    """Return a setting that nobody may see."""
    return Setting(name, None, meaning, derived, "text", _text, is_secret=True)


def number(
    name: str,
    default: float | None,
    meaning: str,
    derived: str = "",
    *,
    least: float | None = None,
) -> Setting:
    """Return a setting that is a count, or an amount in the unit that name or meaning states.

    Args:
        least: with less than that nothing works, nor with none.
    """
    if least is None:
        return Setting(name, default, meaning, derived, "a number", _finite)

    def convert(raw: str) -> Any:
        value = _finite(raw)
        if value is None or value < least:
            raise ValueError(value)
        return value

    return Setting(name, default, meaning, derived, f"a number, {least} or more", convert)


def flag(name: str, default: bool, meaning: str) -> Setting:
    """Return a setting that is true or false; 1 and 0 are taken as well."""
    return Setting(name, default, meaning, "", "true or false", _flag)


def items(name: str, default: list[Any], meaning: str) -> Setting:
    """Return a setting that is a JSON list."""
    return Setting(name, default, meaning, "", "a JSON list", _json(list))


def networks(name: str, default: list[str], meaning: str) -> Setting:
    """Return a setting that is a JSON list of networks in CIDR notation."""

    def convert(raw: str) -> Any:
        value = _json(list)(raw)
        for network in value or ():
            if not isinstance(network, str):
                raise ValueError(network)
            ip_network(network)
        return value

    return Setting(name, default, meaning, "", "a JSON list of networks in CIDR notation", convert)


def table(name: str, default: dict[str, Any], meaning: str) -> Setting:
    """Return a setting that is a JSON object."""
    return Setting(name, default, meaning, "", "a JSON object", _json(dict))


def choice(name: str, default: Any, values: tuple[Any, ...], meaning: str) -> Setting:
    """Return a setting that is one of `values`."""

    def convert(raw: str) -> Any:
        value = parse(raw)
        if value not in values:
            raise ValueError(value)
        return value

    return Setting(name, default, meaning, "", f"one of {values}", convert)


def parse(raw: str) -> Any:
    """Return the JSON value of `raw`, or `raw` itself where it is no JSON."""
    try:
        return json.loads(raw)
    except ValueError:
        return raw


def _text(raw: str) -> str | None:
    return None if parse(raw) is None else raw


def _flag(raw: str) -> bool | None:
    value = _json(bool, int)(raw)
    return None if value is None else bool(value)


def _finite(raw: str) -> Any:
    value = _json(int, float)(raw)
    if value is not None and not isfinite(value):
        raise ValueError(value)
    return value


def _json(*types: type) -> Callable[[str], Any]:
    def convert(raw: str) -> Any:
        value = parse(raw)
        is_stray_bool = isinstance(value, bool) and bool not in types
        if value is not None and (is_stray_bool or not isinstance(value, types)):
            raise ValueError(value)
        return value

    return convert

"""Typed readers of settings from environment variables.

A value that parses as JSON is JSON (`true`, `99`, `{"a": 1}`), anything else is text. Readers
collect what is wrong, so that one start reports every bad setting.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from apps.core.errors import ConfigurationError


def parse(raw: str) -> Any:
    """Return the JSON value of `raw`, or `raw` itself where it is no JSON."""
    try:
        return json.loads(raw)
    except ValueError:
        return raw


class Environment:
    """Read settings by name and remember the bad ones.

    Args:
        variables: the environment, usually `os.environ`.
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self._problems: list[str] = []

    def _read(self, name: str, default: Any, accepted: str, kinds: tuple[type, ...]) -> Any:
        if name not in self._variables:
            return default
        value = parse(self._variables[name])
        if value is None or (isinstance(value, kinds) and not _is_stray_bool(value, kinds)):
            return value
        self._problems.append(f"{name} is {value!r}, but must be {accepted}")
        return default

    def flag(self, name: str, default: bool | None) -> Any:
        """Return a boolean setting."""
        value = self._read(name, default, "true or false", (bool, int))
        return bool(value) if value is not None else None

    def number(self, name: str, default: float | None) -> Any:
        """Return a number: a count, or an amount in the unit that the name states."""
        return self._read(name, default, "a number", (int, float))

    def text(self, name: str, default: str | None) -> Any:
        """Return a text setting. Numbers are taken as text: a token may consist of digits."""
        if name not in self._variables:
            return default
        return self._variables[name] if parse(self._variables[name]) is not None else None

    def choice(self, name: str, default: Any, values: tuple[Any, ...]) -> Any:
        """Return one of `values`."""
        value = self._read(name, default, f"one of {values}", (str, bool, int))
        if value not in values:
            self._problems.append(f"{name} is {value!r}, but must be one of {values}")
        return value

    def table(self, name: str, default: dict[str, Any]) -> Any:
        """Return a JSON object."""
        return self._read(name, default, "a JSON object", (dict,))

    def items(self, name: str, default: list[Any]) -> Any:
        """Return a JSON list."""
        return self._read(name, default, "a JSON list", (list,))

    def secret(self, name: str, default: str | None) -> Any:
        """Return a secret: the value of `name`, or the content of the file `<name>_FILE` names."""
        file_name = self._variables.get(f"{name}_FILE")
        if file_name is None:
            return self.text(name, default)
        try:
            return Path(file_name).read_text(encoding="utf-8").strip()
        except OSError as error:
            self._problems.append(f"{name}_FILE cannot be read: {error}")
            return default

    def check(self) -> None:
        """Raise for all bad settings together.

        Raises:
            ConfigurationError: one line per bad setting.
        """
        if self._problems:
            raise ConfigurationError("\n".join(self._problems))


def _is_stray_bool(value: Any, kinds: tuple[type, ...]) -> bool:
    return isinstance(value, bool) and bool not in kinds

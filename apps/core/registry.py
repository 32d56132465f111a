"""Named plug-in classes of one family, and the settings fields they declare."""

import inspect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

from apps.core.errors import PluginError

T = TypeVar("T")


@dataclass(frozen=True)
class Field:
    """One key of `destination.config` that a plug-in reads.

    The same declaration checks a destination, masks its secrets and documents it.
    """

    name: str
    help: str
    required: bool = False
    secret: bool = False
    default: Any = None


class Registry(Generic[T]):
    """Plug-in classes of one family by their wire name, in registration order.

    Args:
        family: what the plug-ins are, for messages (`formatter`).
        base: the class every plug-in derives from.
        name: attribute of a class that holds its wire name.
    """

    def __init__(self, family: str, base: type[T], name: str = "type") -> None:
        self.family = family
        self.base = base
        self.name = name
        self._classes: dict[str, type[T]] = {}

    @classmethod
    def of(
        cls, family: str, base: type[T], built_in: Iterable[type[T]], name: str = "type"
    ) -> "Registry[T]":
        """Return the built-in classes and those that installed packages offer.

        Packages name them under the entry point group `wiredesk.<family>s`.

        Raises:
            PluginError: a class cannot be loaded or its name is taken.
        """
        registry = cls(family, base, name)
        for plugin in built_in:
            registry.add(plugin)
        registry.discover(f"wiredesk.{family}s")
        return registry

    def add(self, cls: type[T], *, replace: bool = False) -> type[T]:
        """Register `cls` under its wire name.

        Args:
            replace: take the place of a class of the same name.

        Raises:
            PluginError: not a concrete subclass of the base, no name, or the name is taken.
        """
        if not issubclass(cls, self.base) or inspect.isabstract(cls):
            raise PluginError(f"{cls.__name__} is no concrete {self.base.__name__}")
        name = getattr(cls, self.name, None)
        if not name:
            raise PluginError(f"{self.family} {cls.__name__} declares no {self.name}")
        if name in self._classes and not replace:
            taken = self._classes[name].__name__
            raise PluginError(f"{self.family} {name!r} of {cls.__name__} is taken by {taken}")
        self._classes[name] = cls
        return cls

    def discover(self, group: str) -> None:
        """Register the classes that installed packages offer under the entry point `group`.

        Raises:
            PluginError: an entry point cannot be loaded or registered; names it.
        """
        for entry in entry_points(group=group):
            try:
                cls = entry.load()
            except Exception as error:
                raise PluginError(
                    f"{self.family} {entry.name!r} cannot be loaded: {error}"
                ) from error
            self.add(cls)

    def get(self, name: str) -> type[T]:
        """Return the class registered under `name`.

        Raises:
            PluginError: unknown name; the message lists the known ones.
        """
        try:
            return self._classes[name]
        except KeyError:
            known = ", ".join(self._classes)
            raise PluginError(f"unknown {self.family} {name!r}; known: {known}") from None

    def find(self, name: str) -> type[T] | None:
        """Return the class registered under `name`, or None."""
        return self._classes.get(name)

    def __contains__(self, name: object) -> bool:
        return name in self._classes

    def __iter__(self) -> Iterator[type[T]]:
        return iter(self._classes.values())


def missing_fields(fields: tuple[Field, ...], config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the issues of a destination's `config` by field name, empty when it is complete."""
    return {f.name: {"required": 1} for f in fields if f.required and not config.get(f.name)}

"""Output formats: one module each. To add one, write its module and list its class here."""

from apps.core.registry import Registry
from formatters.base import FormatContext, FormatSettings, Formatted, Formatter
from formatters.ninjs import NINJSFormatter

__all__ = [
    "BUILT_IN",
    "FormatContext",
    "FormatSettings",
    "Formatted",
    "Formatter",
    "build_registry",
]

BUILT_IN: tuple[type[Formatter], ...] = (NINJSFormatter,)


def build_registry() -> Registry[Formatter]:
    """Return the built-in formats and those that installed packages offer as `wiredesk.formatters`.

    Raises:
        PluginError: a format cannot be loaded or its name is taken.
    """
    registry = Registry("formatter", Formatter)
    for cls in BUILT_IN:
        registry.add(cls)
    registry.discover("wiredesk.formatters")
    return registry

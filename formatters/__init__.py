"""Output formats. `BUILT_IN` is the one place to register one: see `docs/formatters.md`."""

from apps.core.registry import Registry
from formatters.base import FormatContext, FormatSettings, Formatted, Formatter
from formatters.email import EmailFormatter
from formatters.idml import IDMLFormatter
from formatters.imatrics import IMatricsFormatter
from formatters.jsonld import JSONLDFormatter
from formatters.newsml_12 import NewsML12Formatter
from formatters.newsml_g2 import NewsMLG2Formatter
from formatters.ninjs import (
    FTPNinjsFormatter,
    NewsroomNinjsFormatter,
    NINJS2Formatter,
    NINJSFormatter,
)
from formatters.ninjs3 import NINJS3Formatter
from formatters.nitf import NITFFormatter
from formatters.plain import MarkdownFormatter, TextFormatter

__all__ = [
    "BUILT_IN",
    "FormatContext",
    "FormatSettings",
    "Formatted",
    "Formatter",
    "build_registry",
]

BUILT_IN: tuple[type[Formatter], ...] = (
    NITFFormatter,
    NINJSFormatter,
    NINJS2Formatter,
    NewsML12Formatter,
    NewsMLG2Formatter,
    EmailFormatter,
    NewsroomNinjsFormatter,
    IDMLFormatter,
    FTPNinjsFormatter,
    IMatricsFormatter,
    NINJS3Formatter,
    JSONLDFormatter,
    TextFormatter,
    MarkdownFormatter,
)


def build_registry() -> Registry[Formatter]:
    """Return the built-in formats and those that installed packages offer as `wiredesk.formatters`.

    Raises:
        PluginError: a format cannot be loaded or its name is taken.
    """
    return Registry.of("formatter", Formatter, BUILT_IN)

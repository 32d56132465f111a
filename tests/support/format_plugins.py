"""Output formats that an installed package offers, two of them ill-behaved."""

from pathlib import Path
from typing import Any, NoReturn

from apps.core.errors import FormatError
from formatters.base import FormatContext, Formatted
from formatters.ninjs import NINJSFormatter


class RaisingFormatter(NINJSFormatter):
    """A format that refuses every item."""

    type = "raising"
    name = "Raising"
    error_code = 7999
    error_text = 'Article couldn"t be converted to Nothing'

    def write(self, item: Any, context: FormatContext) -> NoReturn:
        raise FormatError(self.error_code, self.error_text, item_id="x", cause="it will not")


class GreedyFormatter(NINJSFormatter):
    """A format that breaks the rules: it changes what it is handed."""

    type = "greedy"
    name = "Greedy"

    def write(self, item: Any, context: FormatContext) -> list[Formatted]:
        item["extra"]["changed"] = True
        item["associations"]["featuremedia"]["headline"] = "changed"
        item["headline"] = "changed"
        return super().write(item, context)


def install(directory: Path) -> None:
    """Make a package in `directory` that offers the formats; it counts once that is searched."""
    info = directory / "format_plugins-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: format-plugins\nVersion: 1.0\n")
    offered = [
        f"{cls.type} = {__name__}:{cls.__name__}" for cls in (RaisingFormatter, GreedyFormatter)
    ]
    (info / "entry_points.txt").write_text("\n".join(["[wiredesk.formatters]", *offered, ""]))

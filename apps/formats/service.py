"""The list of output formats."""

from pymongo.database import Database

from apps.core.caller import Caller
from apps.core.clock import Clock
from apps.core.registry import Registry
from apps.core.service import Document, ResourceService
from formatters.base import Formatter


class OutputFormatsService(ResourceService):
    """Formats with a display name, sorted by it; nothing is stored.

    Args:
        formatters: output formats by name.
    """

    resource = "output_formats"

    def __init__(
        self, db: Database[Document], clock: Clock, *, formatters: Registry[Formatter]
    ) -> None:
        super().__init__(db, clock)
        self._formatters = formatters

    def computed(self, caller: Caller) -> list[Document]:
        names = [(format.name, format.type) for format in self._formatters if format.name]
        return [
            {"type": type, "name": name}
            for name, type in sorted(names, key=lambda pair: pair[0].lower())
        ]

"""Formats single items, outside of the batches of routing."""

from collections.abc import Mapping, Sequence
from typing import Any

from pymongo.database import Database

from apps.core.clock import Clock
from apps.core.registry import Registry
from apps.core.service import Document
from apps.publish.enqueue.formatting import ItemFormats, format_settings
from apps.publish.enqueue.references import Lookups
from apps.publish.enqueue.snapshot import routing_rules
from apps.store.collections import VOCABULARIES
from formatters.base import Formatter


class ItemFormatting:
    """Builds the formats of items, with all that formatters may ask for.

    Args:
        db: the database.
        clock: source of time.
        formatters: output formats by name.
        settings: those of the formats.

    Attributes:
        formatters: as given.
    """

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        formatters: Registry[Formatter],
        settings: Mapping[str, Any],
    ) -> None:
        self._db = db
        self._clock = clock
        self.formatters = formatters
        self._settings = format_settings(settings)

    def lookups(self, items: Sequence[Document]) -> Lookups:
        """Return what formats need to know of `items`, read at once."""
        vocabularies = list(self._db[VOCABULARIES].find({}))
        lookups = Lookups(self._db, vocabularies, lambda: routing_rules(self._db, vocabularies))
        lookups.load(items)
        return lookups

    def formats_of(self, row: Document, lookups: Lookups | None = None) -> ItemFormats:
        """Return the formats of a published row, or of what has the shape of one.

        Args:
            lookups: hold what the row refers to; read unless given.
        """
        lookups = lookups or self.lookups([row])
        return ItemFormats(row, lookups, self.formatters, self._settings, self._clock.precise())

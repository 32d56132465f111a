"""The part of the object graph that shows items in output formats on request."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pymongo.database import Database

from apps.content_api.tokens.service import SubscriberTokenService
from apps.core.clock import Clock
from apps.core.service import Document, ResourceService
from apps.media.storage import MediaStorage
from apps.output.feeds.media import FeedMedia
from apps.output.feeds.received import ReceivedItems
from apps.output.feeds.service import FeedService
from apps.output.formats.export import ExportService
from apps.output.formats.preview import ItemPreview
from apps.output.formats.service import FormattersService, OutputFormatsService
from apps.publish.enqueue.formatting import ItemFormatting
from apps.validate.validate import ValidateService


@dataclass(frozen=True)
class Output:
    """Services that show items in output formats."""

    preview: ItemPreview
    output_formats: OutputFormatsService
    formatters: FormattersService
    export: ExportService
    feeds: FeedService
    feed_media: FeedMedia

    @property
    def services(self) -> dict[str, ResourceService]:
        """The service behind each resource."""
        return {
            "output_formats": self.output_formats,
            "formatters": self.formatters,
            "export": self.export,
        }


def build_output(
    db: Database[Document],
    clock: Clock,
    formatting: ItemFormatting,
    validator: ValidateService,
    media: MediaStorage,
    tokens: SubscriberTokenService,
    settings: Mapping[str, Any],
) -> Output:
    """Build the services that show items in output formats.

    Args:
        db: the database.
        clock: source of time.
        formatting: builds the formats of items.
        validator: the publish validation.
        media: keeps exports, and the files that feeds show.
        tokens: finds subscribers by what their readers show.
        settings: as `settings.load` returns them.
    """
    preview = ItemPreview(db, formatting)
    formatters = formatting.formatters
    received = ReceivedItems(db)
    feed_media = FeedMedia(
        db, clock, tokens=tokens, received=received, storage=media, settings=settings
    )
    return Output(
        preview=preview,
        output_formats=OutputFormatsService(db, clock, formatters=formatters),
        formatters=FormattersService(
            db, clock, formatters=formatters, preview=preview, validator=validator
        ),
        export=ExportService(
            db, clock, preview=preview, validator=validator, media=media, settings=settings
        ),
        feeds=FeedService(
            db,
            clock,
            tokens=tokens,
            received=received,
            media=feed_media,
            formatting=formatting,
            settings=settings,
        ),
        feed_media=feed_media,
    )

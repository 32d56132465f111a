"""The part of the object graph that shows items in output formats on request."""

from dataclasses import dataclass

from apps.content_api.tokens.service import SubscriberTokenService
from apps.core.service import ResourceService
from apps.graph.foundation import Foundation
from apps.output.feeds.media import FeedMedia
from apps.output.feeds.received import ReceivedItems
from apps.output.feeds.service import FeedService
from apps.output.formats.export import ExportService
from apps.output.formats.preview import ItemPreview
from apps.output.formats.service import FormattersService, OutputFormatsService
from apps.publish.enqueue.formatting import ItemFormatting


@dataclass(frozen=True)
class OutputServices:
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
    base: Foundation, formatting: ItemFormatting, tokens: SubscriberTokenService
) -> OutputServices:
    """Build the services that show items in output formats.

    Args:
        formatting: builds the formats of items.
        tokens: finds subscribers by what their readers show.
    """
    db, clock, settings = base.db, base.clock, base.settings
    preview = ItemPreview(db, formatting)
    formatters = base.formatters
    received = ReceivedItems(db)
    feed_media = FeedMedia(
        db, clock, tokens=tokens, received=received, storage=base.media, settings=settings
    )
    return OutputServices(
        preview=preview,
        output_formats=OutputFormatsService(db, clock, formatters=formatters),
        formatters=FormattersService(
            db, clock, formatters=formatters, preview=preview, validator=base.validator
        ),
        export=ExportService(
            db,
            clock,
            preview=preview,
            validator=base.validator,
            media=base.media,
            settings=settings,
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

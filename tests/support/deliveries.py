"""Builders of what transmitters are handed."""

from typing import Any

from transmitters.base import Delivery, Destination, MediaFile, TransmitSettings

BODY = b'{"guid": "urn:newsml:example.com:2026:story", "version": "2", "type": "text"}'


def build_delivery(**changes: Any) -> Delivery:
    """Return the second version of a text item, formatted as ninjs."""
    values: dict[str, Any] = {
        "key": "5f2b8c1d9e",
        "item_id": "urn:newsml:example.com:2026:story",
        "item_version": 2,
        "content_type": "text",
        "publishing_action": "published",
        "headline": "Harbour reopens after storm",
        "body": BODY,
        "media_type": "application/json",
        "file_extension": "json",
        "sequence_number": 7,
    }
    return Delivery(**{**values, **changes})


def build_destination(type: str, **config: Any) -> Destination:
    """Return a destination of the delivery type with this `config`."""
    return Destination(id="d1", name="Desk feed", type=type, format="ninjs", config=config)


def build_settings(**changes: Any) -> TransmitSettings:
    """Return settings with time-outs that a receiver on a busy machine does not exceed."""
    values: dict[str, Any] = {
        "http_connect_timeout": 5.0,
        "http_read_timeout": 20.0,
        "http_total_timeout": 40.0,
        "ftp_reply_timeout": 20.0,
        "ftp_total_timeout": 40.0,
    }
    return TransmitSettings(**{**values, **changes})


def impatient_settings(**changes: Any) -> TransmitSettings:
    """Return settings with time-outs that tests can wait for."""
    values: dict[str, Any] = {
        "http_connect_timeout": 1.0,
        "http_read_timeout": 0.6,
        "http_total_timeout": 1.0,
        "ftp_reply_timeout": 0.6,
        "ftp_total_timeout": 1.0,
        "mail_timeout": 0.6,
    }
    return build_settings(**{**values, **changes})


class MediaStore:
    """Stored binaries by media id; remembers which were opened."""

    def __init__(self, **files: MediaFile) -> None:
        self.files = files
        self.opened: list[str] = []

    def open(self, media_id: str) -> MediaFile | None:
        self.opened.append(media_id)
        return self.files.get(media_id)

"""Names of the files that hold the renditions of media at a destination (formats contract 3.4)."""

from collections.abc import Mapping
from typing import Any

EXTENSIONS = {
    "image/jpeg": ".jpg",
    "image/jpg": ".jpg",
    "image/png": ".png",
    "image/gif": ".gif",
    "image/tiff": ".tiff",
    "image/webp": ".webp",
    "audio/mpeg": ".mp3",
    "audio/mp3": ".mp3",
    "audio/flac": ".flac",
    "audio/x-flac": ".flac",
    "audio/ogg": ".ogg",
    "audio/wav": ".wav",
    "video/mp4": ".mp4",
    "video/webm": ".webm",
    "video/quicktime": ".mov",
}
"""File name extension by media type, the usual one where there are several."""


def media_file_name(rendition: Mapping[str, Any]) -> str:
    """Return the name of the file that holds a rendition: its media id, with an extension."""
    name = str(rendition["media"]).replace("/", "-")
    if "." in name.rsplit("-", 1)[-1]:
        return name
    return name + EXTENSIONS.get(str(rendition.get("mimetype") or "").lower(), "")

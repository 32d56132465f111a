"""The format `ftp ninjs`: ninjs whose media lie beside it in a directory (formats contract 3.4)."""

from typing import Any

from formatters import ninjs_fields as fields
from formatters.base import Document, FormatContext
from formatters.ninjs import NINJSFormatter

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


class FTPNinjsFormatter(NINJSFormatter):
    """As ninjs, with links to the files that a transfer of media leaves in `associated_path`."""

    type = "ftp ninjs"
    name = "NINJS FTP"
    options = ("packaged", "associated_path", "include_original")

    def rendition_names(self, context: FormatContext) -> list[str]:
        crops = [str(crop.get("name")) for crop in context.vocabularies.get("crop_sizes", ())]
        return ["original", *crops] if context.config.get("include_original") else crops

    def rendition(self, stored: Document, context: FormatContext) -> dict[str, Any]:
        sent = fields.rendition(stored)
        if stored.get("media"):
            directory = str(context.config.get("associated_path") or "").lstrip("/")
            separator = "/" if directory and not directory.endswith("/") else ""
            sent["href"] = f"{directory}{separator}{media_file_name(stored)}"
        return sent


def media_file_name(rendition: Document) -> str:
    """Return the name of the file that holds a rendition: its media id, with an extension."""
    name = str(rendition["media"]).replace("/", "-")
    if "." in name.rsplit("-", 1)[-1]:
        return name
    return name + EXTENSIONS.get(str(rendition.get("mimetype") or "").lower(), "")

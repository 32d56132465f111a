"""The format `ftp ninjs`: ninjs whose media lie beside it in a directory (formats contract 3.4)."""

from typing import Any

from formatters import ninjs_fields as fields
from formatters.base import Document, FormatContext
from formatters.conversions import text_of
from formatters.ninjs import NINJSFormatter
from formatters.ninjs_embeds import filtered, rebuilt

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
    filters_embeds = True

    def document(
        self, item: Document, context: FormatContext, *, is_nested: bool = False
    ) -> dict[str, Any]:
        unwanted = context.unwanted_embeds
        if unwanted is None or is_nested:
            return super().document(item, context, is_nested=is_nested)
        document = super().document(filtered(item, unwanted), context)
        if "body_html" in document:
            sent = document.get("associations", {})
            document["body_html"] = rebuilt(document["body_html"], sent, unwanted)
            document |= fields.figures(document, text_of(item, "language"), context)
        return document

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

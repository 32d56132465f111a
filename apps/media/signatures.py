"""Kinds of files, recognised by their first bytes."""

SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (0, b"II*\x00", "image/tiff"),
    (0, b"MM\x00*", "image/tiff"),
    (8, b"WEBP", "image/webp"),
    (8, b"WAVE", "audio/wav"),
    (0, b"fLaC", "audio/flac"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\xff\xfb", "audio/mpeg"),
    (0, b"OggS", "audio/ogg"),
    (4, b"ftypM4A", "audio/mp4"),
    (4, b"ftypqt", "video/quicktime"),
    (4, b"ftyp", "video/mp4"),
    (0, b"\x1a\x45\xdf\xa3", "video/webm"),
    (0, b"%PDF-", "application/pdf"),
    (
        30,
        b"mimetypeapplication/vnd.adobe.indesign-idml-package",
        "application/vnd.adobe.indesign-idml-package",
    ),
    (0, b"PK\x03\x04", "application/zip"),
)
"""Offset, bytes found there, media type; the first that fits counts."""

EXTENSIONS = {
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/gif": ".gif",
    "image/tiff": ".tiff",
    "image/webp": ".webp",
    "audio/wav": ".wav",
    "audio/flac": ".flac",
    "audio/mpeg": ".mp3",
    "audio/ogg": ".ogg",
    "audio/mp4": ".m4a",
    "video/quicktime": ".mov",
    "video/mp4": ".mp4",
    "video/webm": ".webm",
    "application/pdf": ".pdf",
    "application/vnd.adobe.indesign-idml-package": ".idml",
    "application/zip": ".zip",
}
UNKNOWN = "application/octet-stream"


def media_type_of(content: bytes, claimed: str | None = None) -> str:
    """Return the media type of `content`; what was claimed counts only where nothing is known."""
    for offset, signature, media_type in SIGNATURES:
        if content.startswith(signature, offset):
            return media_type
    return claimed or UNKNOWN


def extension_of(media_type: str) -> str:
    """Return the end of a file's name, with its dot; empty for types without a known one."""
    return EXTENSIONS.get(media_type, "")

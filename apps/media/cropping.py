"""Cut a part out of a picture (resources contract 20.4)."""

from dataclasses import dataclass
from io import BytesIO

from PIL import Image, ImageOps, UnidentifiedImageError

QUALITY = 85
"""Of JPEG; what Pillow makes of it looks like the original at a tenth of its size."""
MAX_PIXELS = 80_000_000
"""Of the whole picture: a larger one would take more memory than a request may have."""
MEDIA_TYPES = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "GIF": "image/gif",
    "TIFF": "image/tiff",
}
"""Formats that a part is written in like the whole; of others it becomes PNG."""
READ = (*MEDIA_TYPES, "WEBP", "BMP")
OF_JPEG = frozenset({"L", "RGB", "CMYK"})

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels of the whole picture."""


class CroppingError(Exception):
    """There is no picture, or nothing of it, to cut out."""


@dataclass(frozen=True)
class CroppedPicture:
    """A part of a picture, as a file of its own.

    Attributes:
        content: the new file.
        media_type: its type.
        width, height: pixels.
    """

    content: bytes
    media_type: str
    width: int
    height: int


def crop(content: bytes, box: Box, width: int = 0, height: int = 0) -> CroppedPicture:
    """Return a part of a picture, upright as viewers show it.

    Args:
        content: the file of the whole picture.
        box: left, top, right, bottom in pixels of the whole; what lies outside it is left out.
        width, height: size to bring the part to; with one of them it keeps its proportions, with
            neither its size.

    Raises:
        CroppingError: not a picture that can be read, too large, or the box is outside it.
    """
    try:
        with Image.open(BytesIO(content), formats=READ) as whole:
            if whole.width * whole.height > MAX_PIXELS:
                raise CroppingError(f"more than {MAX_PIXELS} pixels")
            kind = whole.format if whole.format in MEDIA_TYPES else "PNG"
            upright = ImageOps.exif_transpose(whole)
            part = upright.crop(_inside(upright.size, box))
            profile = whole.info.get("icc_profile")
            part = _resized(part, width, height)
            if kind == "JPEG" and part.mode not in OF_JPEG:
                part, profile = part.convert("RGB"), None
            file = BytesIO()
            options = {"quality": QUALITY} if kind == "JPEG" else {}
            part.save(file, kind, icc_profile=profile, **options)
    except (UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise CroppingError(str(error)) from error
    except (OSError, ValueError, SyntaxError) as error:
        # What Pillow says of files that are cut off or damaged.
        raise CroppingError(f"the file cannot be read: {error}") from error
    return CroppedPicture(file.getvalue(), MEDIA_TYPES[str(kind)], part.width, part.height)


def _inside(size: tuple[int, int], box: Box) -> Box:
    """Return what of `box` lies in a picture of this size."""
    left, top = max(box[0], 0), max(box[1], 0)
    right, bottom = min(box[2], size[0]), min(box[3], size[1])
    if left >= right or top >= bottom:
        raise CroppingError("the box is outside the picture")
    return left, top, right, bottom


def _resized(part: Image.Image, width: int, height: int) -> Image.Image:
    if not width and not height:
        return part
    wanted = (
        width or max(1, round(part.width * height / part.height)),
        height or max(1, round(part.height * width / part.width)),
    )
    if wanted == part.size:
        return part
    if part.mode in ("1", "P"):
        # Colours of a palette cannot be mixed.
        part = part.convert("RGBA")
    return part.resize(wanted, Image.Resampling.LANCZOS)

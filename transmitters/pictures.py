"""Pictures that travel with an item, made smaller and marked (delivery contract 5.3)."""

from io import BytesIO

from PIL import Image, UnidentifiedImageError

QUALITY = 80
"""Of JPEG; what Pillow makes of it looks like the original at a tenth of its size."""
MAX_PIXELS = 40_000_000
"""A larger picture would take more memory than a delivery may have."""
READ = ("JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP")
OF_JPEG = frozenset({"L", "RGB", "CMYK"})
OF_RGB = frozenset({"RGB", "RGBA", "RGBX", "P"})
OPACITY = 0.3
"""Of a watermark."""
HEIGHT = 0.66
"""Where a watermark stands: at the right edge, that share of the free height from the top."""


class PictureError(Exception):
    """No picture that can be read, or one too large."""


def as_jpeg(content: bytes, watermark: bytes | None = None) -> bytes:
    """Return a picture as JPEG, with its colour profile and what its camera wrote.

    Args:
        watermark: a picture to lay over it.

    Raises:
        PictureError: one of them is no picture that can be read, or too large.
    """
    picture = _opened(content)
    profile, camera = picture.info.get("icc_profile"), picture.info.get("exif")
    if picture.mode not in (OF_JPEG if watermark is None else {"RGB"}):
        # A profile is of one colour space.
        profile = profile if picture.mode in OF_RGB else None
        picture = _flat(picture)
    if watermark is not None:
        _mark(picture, _opened(watermark))
    file = BytesIO()
    picture.save(file, "JPEG", quality=QUALITY, icc_profile=profile, exif=camera or b"")
    return file.getvalue()


def _opened(content: bytes) -> Image.Image:
    """Return a picture, its pixels read."""
    try:
        picture = Image.open(BytesIO(content), formats=READ)
        if picture.width * picture.height > MAX_PIXELS:
            raise PictureError(f"it has more than {MAX_PIXELS} pixels")
        picture.load()
    except UnidentifiedImageError as error:
        raise PictureError("it is no picture that can be read") from error
    except Image.DecompressionBombError as error:
        raise PictureError(f"it has more than {MAX_PIXELS} pixels") from error
    except (OSError, ValueError, SyntaxError) as error:
        # What Pillow says of files that are cut off or damaged.
        raise PictureError(f"it cannot be read: {error}") from error
    return picture


def _flat(picture: Image.Image) -> Image.Image:
    """Return a picture in RGB; what is transparent in it becomes white."""
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    layer = picture.convert("RGBA")
    flat = Image.new("RGB", picture.size, "white")
    flat.paste(layer, mask=layer.getchannel("A"))
    return flat


def _mark(picture: Image.Image, watermark: Image.Image) -> None:
    """Lay a watermark over a picture in RGB; one that is larger is made to fit."""
    mark = watermark.convert("RGBA")
    mark.thumbnail(picture.size)
    opacity = mark.getchannel("A").point(lambda value: int(value * OPACITY))
    place = (picture.width - mark.width, int((picture.height - mark.height) * HEIGHT))
    picture.paste(mark.convert("RGB"), place, mask=opacity)

"""Pictures as they travel with mails (delivery contract 5.3)."""

from io import BytesIO
from typing import Any

import pytest
from PIL import Image, ImageCms

import transmitters.pictures as pictures
from transmitters.pictures import PictureError, as_jpeg

RED = (200, 30, 30)
ORIENTATION = 0x0112


def picture(mode: str = "RGB", form: str = "PNG", size: Any = (60, 40), **options: Any) -> bytes:
    file = BytesIO()
    Image.new("RGB", size, RED).convert(mode).save(file, form, **options)
    return file.getvalue()


def opened(content: bytes) -> Image.Image:
    image = Image.open(BytesIO(content))
    assert image.format == "JPEG"
    return image


def test_what_the_camera_wrote_stays() -> None:
    """So it is turned the same way, and its colours mean the same."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

    made = opened(as_jpeg(picture(form="JPEG", exif=exif, icc_profile=profile)))

    assert made.getexif()[ORIENTATION] == 6
    assert made.info["icc_profile"] == profile


def test_a_profile_of_other_colours_does_not_stay() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    mark = picture("RGBA")

    made = opened(as_jpeg(picture("CMYK", "JPEG", icc_profile=profile), mark))

    assert made.mode == "RGB"
    assert "icc_profile" not in made.info


def test_what_is_transparent_becomes_white() -> None:
    file = BytesIO()
    Image.new("RGBA", (60, 40), (*RED, 0)).save(file, "PNG")

    assert opened(as_jpeg(file.getvalue())).getpixel((5, 5)) == (255, 255, 255)


@pytest.mark.parametrize("size", [(1, 1), (60, 40), (2000, 10), (10, 2000)])
def test_a_watermark_of_any_size_fits(size: Any) -> None:
    """It is made smaller where the picture is."""
    made = opened(as_jpeg(picture(), picture("RGBA", size=size)))

    assert made.size == (60, 40)


@pytest.mark.parametrize(
    "odd",
    [b"", b"<svg/>", b"GIF89a", picture()[:60], picture(form="JPEG")[:200], b"\x89PNG\r\n" * 9],
)
def test_what_cannot_be_read(odd: bytes) -> None:
    """Not as a picture, nor as its watermark."""
    with pytest.raises(PictureError):
        as_jpeg(odd)
    with pytest.raises(PictureError):
        as_jpeg(picture(), odd)


def test_what_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused before its pixels take memory."""
    monkeypatch.setattr(pictures, "MAX_PIXELS", 1000)

    with pytest.raises(PictureError, match="more than 1000 pixels"):
        as_jpeg(picture())

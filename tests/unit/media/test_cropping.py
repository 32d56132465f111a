"""Parts of pictures, looked at with the library that cut them and with their headers."""

from io import BytesIO
from typing import Any

import pytest
from PIL import Image

import apps.media.cropping as cropping
from apps.media.cropping import CroppingError, crop
from apps.media.signatures import media_type_of

RED, BLUE = (255, 0, 0), (0, 0, 255)
ORIENTATION = 0x0112


def halves(form: str = "PNG", mode: str = "RGB", **options: Any) -> bytes:
    """Return a picture of 40 by 20 pixels: red on the left, blue on the right."""
    image = Image.new("RGB", (40, 20), RED)
    image.paste(BLUE, (20, 0, 40, 20))
    file = BytesIO()
    image.convert(mode).save(file, form, **options)
    return file.getvalue()


def colour(content: bytes, x: int, y: int) -> Any:
    with Image.open(BytesIO(content)) as image:
        return image.convert("RGB").getpixel((x, y))


def is_near(one: Any, other: Any) -> bool:
    return all(abs(a - b) < 16 for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(
    ("form", "media_type"),
    [
        ("JPEG", "image/jpeg"),
        ("PNG", "image/png"),
        ("GIF", "image/gif"),
        ("TIFF", "image/tiff"),
        ("WEBP", "image/png"),
        ("BMP", "image/png"),
    ],
)
def test_a_part_is_what_the_box_holds(form: str, media_type: str) -> None:
    """In the format of the whole; formats that not every viewer reads become PNG."""
    part = crop(halves(form), (24, 2, 36, 10))

    assert (part.media_type, part.width, part.height) == (media_type, 12, 8)
    assert media_type_of(part.content) == media_type
    assert is_near(colour(part.content, 6, 4), BLUE)


@pytest.mark.parametrize(
    ("width", "height", "size"),
    [(0, 0, (20, 10)), (10, 5, (10, 5)), (10, 10, (10, 10)), (10, 0, (10, 5)), (0, 20, (40, 20))],
)
@pytest.mark.parametrize("mode", ["RGB", "P", "L"])
def test_a_part_is_brought_to_the_size(
    mode: str, width: int, height: int, size: tuple[int, int]
) -> None:
    """With one side it keeps its proportions."""
    part = crop(halves(mode=mode), (0, 0, 20, 10), width, height)

    with Image.open(BytesIO(part.content)) as image:
        assert (part.width, part.height) == image.size == size


def test_a_box_is_cut_at_the_edges() -> None:
    part = crop(halves(), (-5, 10, 60, 90))

    assert (part.width, part.height) == (40, 10)


@pytest.mark.parametrize("box", [(40, 0, 50, 10), (10, 5, 10, 15), (30, 5, 10, 15), (0, 20, 5, 30)])
def test_a_box_outside_the_picture_is_refused(box: Any) -> None:
    with pytest.raises(CroppingError):
        crop(halves(), box)


def test_a_picture_is_upright_first() -> None:
    """As viewers show it: this one lies on its side, red comes to the top."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    part = crop(halves("JPEG", exif=exif, quality=95), (0, 0, 20, 10))

    assert (part.width, part.height) == (20, 10)
    assert is_near(colour(part.content, 10, 5), RED)
    with Image.open(BytesIO(part.content)) as image:
        assert image.getexif().get(ORIENTATION, 1) == 1


def test_transparent_parts_stay_transparent() -> None:
    file = BytesIO()
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(file, "PNG")

    with Image.open(BytesIO(crop(file.getvalue(), (0, 0, 4, 4), 2, 2).content)) as image:
        assert image.getpixel((0, 0)) == (0, 0, 0, 0)


def test_cmyk_stays_cmyk() -> None:
    """Pictures for print are JPEG of four colours."""
    part = crop(halves("JPEG", "CMYK"), (0, 0, 10, 10))

    with Image.open(BytesIO(part.content)) as image:
        assert (image.format, image.mode) == ("JPEG", "CMYK")


@pytest.mark.parametrize(
    "content", [b"", b"no picture", b"%PDF-1.4", halves("JPEG")[:200], halves()[:60]]
)
def test_what_is_no_picture_is_refused(content: bytes) -> None:
    """Neither are files that were cut off."""
    with pytest.raises(CroppingError):
        crop(content, (0, 0, 10, 10))


def test_a_picture_that_is_too_large_is_not_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file may say that it has more pixels than there is memory."""
    monkeypatch.setattr(cropping, "MAX_PIXELS", 40 * 20 - 1)

    with pytest.raises(CroppingError, match="pixels"):
        crop(halves(), (0, 0, 10, 10))

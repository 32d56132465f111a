"""Metadata in the files of pictures, read back by somebody else's code."""

from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from PIL import Image, IptcImagePlugin

from apps.media.iim import UTF8
from apps.media.jpeg import APP1, APP13, Segment, join_jpeg, split_jpeg
from apps.media.photo_metadata import DC, PHOTOSHOP, RDF, TAGS, MetadataError, with_metadata

VALUES = {
    "Headline": ["Flüsse steigen"],
    "Description": ["Höchststand <am> Freitag"],
    "Creator": ["Ada Bell", "Bo Lind"],
    "City": ["Malmö"],
}


def picture(form: str = "JPEG", **options: Any) -> bytes:
    file = BytesIO()
    image = Image.new("RGB", (16, 8))
    image.putdata([(x * 15 % 256, y * 31 % 256, 90) for y in range(8) for x in range(16)])
    image.save(file, form, **options)
    return file.getvalue()


def pixels(content: bytes) -> Any:
    with Image.open(BytesIO(content)) as image:
        return image.tobytes()


def xmp(content: bytes) -> etree._Element:
    with Image.open(BytesIO(content)) as image:
        packet = image.info.get("xmp") or image.info["XML:com.adobe.xmp"]
    return etree.fromstring(packet.encode() if isinstance(packet, str) else packet)


def xmp_texts(content: bytes, name: str) -> list[str]:
    found = xmp(content).find(f".//{name}")
    assert found is not None
    return [entry.text or "" for entry in found.iter(f"{{{RDF}}}li")] or [found.text or ""]


def iim(content: bytes) -> dict[tuple[int, int], Any]:
    with Image.open(BytesIO(content)) as image:
        return dict(IptcImagePlugin.getiptcinfo(image) or {})


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_values_are_in_the_xmp_and_the_picture_is_the_same(form: str) -> None:
    """Texts as they are, names of persons as a list, and every pixel as before."""
    before = picture(form)

    after = with_metadata(before, VALUES)

    assert pixels(after) == pixels(before)
    assert xmp_texts(after, f"{{{PHOTOSHOP}}}Headline") == ["Flüsse steigen"]
    assert xmp_texts(after, f"{{{DC}}}description") == ["Höchststand <am> Freitag"]
    assert xmp_texts(after, f"{{{DC}}}creator") == ["Ada Bell", "Bo Lind"]


def test_jpeg_has_them_as_iim_too() -> None:
    """In UTF-8, and it says so."""
    found = iim(with_metadata(picture(), VALUES))

    assert found[(1, 90)] == UTF8
    assert found[(2, 105)] == "Flüsse steigen".encode()
    assert found[(2, 120)] == "Höchststand <am> Freitag".encode()
    assert found[(2, 80)] == [b"Ada Bell", b"Bo Lind"]


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_writing_again_replaces_and_keeps_the_rest(form: str) -> None:
    """The same values give the same bytes."""
    once = with_metadata(picture(form), VALUES)
    assert with_metadata(once, VALUES) == once

    twice = with_metadata(once, {"Headline": ["Flüsse fallen"]})

    assert xmp_texts(twice, f"{{{PHOTOSHOP}}}Headline") == ["Flüsse fallen"]
    assert xmp_texts(twice, f"{{{PHOTOSHOP}}}City") == ["Malmö"]
    if form == "JPEG":
        assert iim(twice)[(2, 105)] == "Flüsse fallen".encode()
        assert iim(twice)[(2, 90)] == "Malmö".encode()


def test_other_metadata_stay() -> None:
    """Exif, colour profile, foreign XMP, foreign IIM in another encoding."""
    exif = Image.Exif()
    exif[0x010F] = "Camera maker"
    foreign = (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}"><rdf:Description '
        f'rdf:about="" xmlns:photoshop="{PHOTOSHOP}" photoshop:Headline="old" '
        'photoshop:Category="SPO"/></rdf:RDF></x:xmpmeta>'
    )
    before = picture(exif=exif, icc_profile=b"profile", xmp=foreign.encode())
    segments, rest = split_jpeg(before)
    record = b"\x1c\x02\x00\x00\x02\x00\x02" + b"\x1c\x02\x73\x00\x05K\xf6ln!"
    resource = b"8BIM\x04\x04\0\0" + len(record).to_bytes(4) + record + b"\0"
    other = b"8BIM\x03\xf3\0\0" + (3).to_bytes(4) + b"abc\0"
    with_record = join_jpeg(
        [*segments, Segment(APP13, b"Photoshop 3.0\0" + resource + other)], rest
    )

    after = with_metadata(with_record, {"Headline": ["new"]})

    with Image.open(BytesIO(after)) as image:
        assert image.getexif()[0x010F] == "Camera maker"
        assert image.info["icc_profile"] == b"profile"
        assert image.info["photoshop"][0x03F3] == b"abc"
    about = xmp(after).find(f".//{{{RDF}}}Description")
    assert about is not None
    assert about.get(f"{{{PHOTOSHOP}}}Category") == "SPO"
    assert about.get(f"{{{PHOTOSHOP}}}Headline") is None
    assert xmp_texts(after, f"{{{PHOTOSHOP}}}Headline") == ["new"]
    assert iim(after)[(2, 115)] == "Köln!".encode()


def test_long_texts_are_cut_in_iim_alone() -> None:
    """Between two letters, where the standard ends them."""
    text = "ö" * 40
    after = with_metadata(picture(), {"City": [text]})

    assert xmp_texts(after, f"{{{PHOTOSHOP}}}City") == [text]
    assert iim(after)[(2, 90)] == ("ö" * 16).encode()


@pytest.mark.parametrize(
    "content",
    [b"", b"GIF89a", b"\xff\xd8", b"\xff\xd8\xff\xe1\xff\xff", picture()[:30], picture("PNG")[:20]],
)
def test_what_cannot_be_rewritten_is_refused(content: bytes) -> None:
    """Other kinds of files, and broken ones."""
    with pytest.raises(MetadataError):
        with_metadata(content, VALUES)


def test_more_than_a_file_can_hold_is_refused() -> None:
    with pytest.raises(MetadataError, match="do not fit"):
        with_metadata(picture(), {"Description": ["x" * 70_000]})


def test_no_values_change_nothing() -> None:
    assert with_metadata(picture(), {"Headline": []}) == picture()


def test_entities_in_foreign_xmp_are_not_followed() -> None:
    """The text of a local file does not get into a picture."""
    evil = (
        '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]>'
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}"><rdf:Description>'
        f'<p:City xmlns:p="{PHOTOSHOP}">&e;</p:City></rdf:Description></rdf:RDF></x:xmpmeta>'
    )
    segments, rest = split_jpeg(picture())
    packet = Segment(APP1, b"http://ns.adobe.com/xap/1.0/\0" + evil.encode())

    after = with_metadata(join_jpeg([*segments, packet], rest), {"Headline": ["new"]})

    with open("/etc/hostname", "rb") as file:
        assert file.read().strip() not in after


@given(
    st.dictionaries(
        st.sampled_from(sorted(TAGS)),
        st.lists(st.text(min_size=1, max_size=80), min_size=1, max_size=3),
        max_size=5,
    ),
    st.sampled_from(["JPEG", "PNG"]),
)
def test_any_text_leaves_a_file_that_opens(values: dict[str, list[str]], form: str) -> None:
    """Whatever editors write."""
    before = picture(form)
    after = with_metadata(before, values)
    assert pixels(after) == pixels(before)


@given(st.binary(max_size=200), st.sampled_from([b"\xff\xd8\xff\xed", b"\x89PNG\r\n\x1a\n", b""]))
def test_any_file_is_rewritten_or_refused(rest: bytes, start: bytes) -> None:
    """Never another error; what is rewritten begins as it did."""
    try:
        rewritten = with_metadata(start + rest, VALUES)
    except MetadataError:
        return
    assert rewritten.startswith(start)

"""The segments of a JPEG file before the picture itself (ITU-T T.81, annex B)."""

from collections.abc import Iterable
from dataclasses import dataclass

SOI, SOS, EOI = 0xD8, 0xDA, 0xD9
APP0, APP1, APP13 = 0xE0, 0xE1, 0xED
STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})
MAX_DATA_BYTES = 65533
EXIF = b"Exif\0"


@dataclass(frozen=True)
class Segment:
    """A marker with its data, without the length that stands between them."""

    marker: int
    data: bytes

    @property
    def is_head(self) -> bool:
        """Whether it is one that readers expect first."""
        return self.marker == APP0 or (self.marker == APP1 and self.data.startswith(EXIF))


def split_jpeg(content: bytes) -> tuple[list[Segment], bytes]:
    """Return the segments of a file and everything from the first scan on.

    Raises:
        ValueError: it is no JPEG file, or it is cut off.
    """
    if content[:2] != bytes((0xFF, SOI)):
        raise ValueError("no JPEG file")
    segments: list[Segment] = []
    at = 2
    while True:
        if at + 4 > len(content) or content[at] != 0xFF:
            raise ValueError("broken JPEG file")
        marker = content[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if marker in (SOS, EOI):
            return segments, content[at:]
        if marker in STANDALONE:
            raise ValueError("broken JPEG file")
        length = int.from_bytes(content[at + 2 : at + 4])
        end = at + 2 + length
        if length < 2 or end > len(content):
            raise ValueError("JPEG file that is cut off")
        segments.append(Segment(marker, content[at + 4 : end]))
        at = end


def join_jpeg(segments: Iterable[Segment], picture: bytes) -> bytes:
    """Return the file; the reverse of `split_jpeg`.

    Raises:
        ValueError: a segment is too long.
    """
    parts = [bytes((0xFF, SOI))]
    for segment in segments:
        if len(segment.data) > MAX_DATA_BYTES:
            raise ValueError("the metadata do not fit into one segment")
        length = (len(segment.data) + 2).to_bytes(2)
        parts += [bytes((0xFF, segment.marker)), length, segment.data]
    return b"".join([*parts, picture])

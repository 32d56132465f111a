"""Text chunks of PNG files (PNG specification, third edition, 11.3.3.4)."""

from collections.abc import Callable, Iterator
from zlib import crc32, decompressobj

SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEADER, TEXT, END = b"IHDR", b"iTXt", b"IEND"
MOST_TEXT_BYTES = 16 * 1024 * 1024
"""Largest size that a compressed text may unpack to, in bytes."""

Chunk = tuple[bytes, bytes]
"""Type and data."""


def is_png(content: bytes) -> bool:
    """Whether `content` is a PNG file."""
    return content.startswith(SIGNATURE)


def with_text_chunk(content: bytes, keyword: str, rewrite: Callable[[bytes], bytes]) -> bytes:
    """Return a file whose text under `keyword` is what `rewrite` makes of it.

    Args:
        content: a PNG file.
        rewrite: is given the text as stored, empty where there is none.

    Raises:
        ValueError: the file is broken.
    """
    start = keyword.encode() + b"\0"
    text, kept = b"", []
    for kind, data in read_chunks(content):
        if kind == TEXT and data.startswith(start):
            text = text or _text(data[len(start) :])
        else:
            kept.append((kind, data))
    # Not compressed, no language, no translated keyword.
    new = (TEXT, start + b"\0\0\0\0" + rewrite(text))
    return SIGNATURE + b"".join(map(write_chunk, (kept[0], new, *kept[1:])))


def _text(data: bytes) -> bytes:
    """Return the text of an iTXt chunk, from its compression flag on."""
    is_compressed = data[0] == 1
    _language, _, rest = data[2:].partition(b"\0")
    _keyword, _, text = rest.partition(b"\0")
    return decompressobj().decompress(text, MOST_TEXT_BYTES) if is_compressed else text


def read_chunks(content: bytes) -> Iterator[Chunk]:
    """Yield the chunks of a file.

    Raises:
        ValueError: the file is broken or cut off.
    """
    at, kind = len(SIGNATURE), b""
    while kind != END:
        size, kind = int.from_bytes(content[at : at + 4]), content[at + 4 : at + 8]
        if at + 12 + size > len(content) or (at == len(SIGNATURE) and kind != HEADER):
            raise ValueError("broken PNG file")
        yield kind, content[at + 8 : at + 8 + size]
        at += 12 + size


def write_chunk(chunk: Chunk) -> bytes:
    """Return one chunk as it is stored."""
    kind, data = chunk
    return len(data).to_bytes(4) + kind + data + crc32(kind + data).to_bytes(4)

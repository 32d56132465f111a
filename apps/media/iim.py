"""IPTC-IIM 4.2 in the Photoshop image resources of JPEG files."""

from collections.abc import Iterator, Mapping, Sequence
from hashlib import md5

from apps.media.jpeg import APP13, MAX_DATA_BYTES, Segment

PHOTOSHOP = b"Photoshop 3.0\0"
SIGNATURE = b"8BIM"
IPTC_RESOURCE, DIGEST_RESOURCE = 0x0404, 0x0425
TAG_MARKER = 0x1C
ENVELOPE, APPLICATION = 1, 2
CODED_CHARACTER_SET, RECORD_VERSION = 90, 0
UTF8 = b"\x1b%G"
VERSION_4 = b"\x00\x04"
EXTENDED = 0x8000

Dataset = tuple[int, int, bytes]
"""Record, number, value."""
Resource = tuple[int, bytes, bytes]
"""Id, name as stored, data."""


def with_iim(segments: Sequence[Segment], values: Mapping[int, Sequence[bytes]]) -> list[Segment]:
    """Return segments with `values` in their IPTC-IIM record; other datasets and resources stay.

    Args:
        segments: those of a file.
        values: number in record 2 to its values in UTF-8.

    Raises:
        ValueError: a resource or dataset is broken, or they do not fit into the segments.
    """
    others = [s for s in segments if not _is_photoshop(s)]
    stored = b"".join(s.data[len(PHOTOSHOP) :] for s in segments if _is_photoshop(s))
    resources = list(read_resources(stored))
    record = next((data for id, _, data in resources if id == IPTC_RESOURCE), b"")
    written = write_datasets(merged(list(read_datasets(record)), values))
    # Readers compare the digest to tell whether the record was changed behind the XMP's back.
    digest = md5(written, usedforsecurity=False).digest()
    replaced = {IPTC_RESOURCE: written, DIGEST_RESOURCE: digest}
    kept = [resource for resource in resources if resource[0] not in replaced]
    kept += [(id, b"\0\0", data) for id, data in replaced.items()]
    data = b"".join(map(write_resource, kept))
    size = MAX_DATA_BYTES - len(PHOTOSHOP)
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    return [*(Segment(APP13, PHOTOSHOP + part) for part in parts), *others]


def _is_photoshop(segment: Segment) -> bool:
    return segment.marker == APP13 and segment.data.startswith(PHOTOSHOP)


def merged(datasets: Sequence[Dataset], values: Mapping[int, Sequence[bytes]]) -> list[Dataset]:
    """Return datasets in order, `values` in the place of the old ones, all texts in UTF-8."""
    is_utf8 = (ENVELOPE, CODED_CHARACTER_SET, UTF8) in datasets
    envelope = [d for d in datasets if d[0] == ENVELOPE and d[1] != CODED_CHARACTER_SET]
    application = [
        (record, number, value if is_utf8 or number == RECORD_VERSION else in_utf8(value))
        for record, number, value in datasets
        if record == APPLICATION and number not in values
    ]
    if not any(number == RECORD_VERSION for _, number, _ in application):
        application.append((APPLICATION, RECORD_VERSION, VERSION_4))
    application += [(APPLICATION, n, value) for n, texts in values.items() for value in texts]
    application.sort(key=lambda dataset: dataset[1])
    others = [d for d in datasets if d[0] not in (ENVELOPE, APPLICATION)]
    return [*envelope, (ENVELOPE, CODED_CHARACTER_SET, UTF8), *application, *others]


def in_utf8(value: bytes) -> bytes:
    """Return a text of an unknown encoding in UTF-8."""
    try:
        value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1").encode()
    return value


def read_datasets(record: bytes) -> Iterator[Dataset]:
    """Yield the datasets of a record.

    Raises:
        ValueError: the record is broken.
    """
    at = 0
    while at < len(record):
        if record[at] != TAG_MARKER:
            # Padding ends some records.
            if not record[at:].strip(b"\0"):
                return
            raise ValueError("broken IPTC-IIM record")
        number, size = record[at + 1 : at + 3], int.from_bytes(record[at + 3 : at + 5])
        at += 5
        if size & EXTENDED:
            digits = size & ~EXTENDED
            size = int.from_bytes(record[at : at + digits])
            at += digits
        if len(number) < 2 or at + size > len(record):
            raise ValueError("IPTC-IIM record that is cut off")
        yield number[0], number[1], record[at : at + size]
        at += size


def write_datasets(datasets: Sequence[Dataset]) -> bytes:
    """Return the record of `datasets`."""
    return b"".join(
        bytes((TAG_MARKER, record, number)) + _size(len(value)) + value
        for record, number, value in datasets
    )


def _size(length: int) -> bytes:
    if length < EXTENDED:
        return length.to_bytes(2)
    return (EXTENDED | 4).to_bytes(2) + length.to_bytes(4)


def read_resources(data: bytes) -> Iterator[Resource]:
    """Yield the resources of Photoshop segments.

    Raises:
        ValueError: a resource is broken.
    """
    at = 0
    while at < len(data):
        if data[at : at + 4] != SIGNATURE:
            if not data[at:].strip(b"\0"):
                return
            raise ValueError("broken Photoshop resource")
        id = int.from_bytes(data[at + 4 : at + 6])
        name_bytes = _even(1 + data[at + 6])
        name = data[at + 6 : at + 6 + name_bytes]
        at += 6 + name_bytes
        size = int.from_bytes(data[at : at + 4])
        at += 4
        if at + size > len(data):
            raise ValueError("Photoshop resource that is cut off")
        yield id, name, data[at : at + size]
        at += _even(size)


def write_resource(resource: Resource) -> bytes:
    """Return one resource as it is stored."""
    id, name, data = resource
    padding = b"\0" * (len(data) % 2)
    return SIGNATURE + id.to_bytes(2) + name + len(data).to_bytes(4) + data + padding


def _even(size: int) -> int:
    return size + size % 2

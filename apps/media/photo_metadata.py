"""Photo metadata in the file of a picture: IPTC Core as XMP, in JPEG also as IPTC-IIM.

The pixels stay as they are, byte by byte: only the parts of the file that hold metadata are
replaced. Whatever else they hold stays, too.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lxml import etree

from apps.core.text import is_blank, strip_forbidden
from apps.media.iim import with_iim
from apps.media.jpeg import APP1, Segment, join_jpeg, split_jpeg
from apps.media.png import is_png, with_text_chunk

Values = Mapping[str, Sequence[str]]

XMP_HEADER = b"http://ns.adobe.com/xap/1.0/\0"
MAX_XMP_BYTES = 65533 - len(XMP_HEADER)
PNG_KEYWORD = "XML:com.adobe.xmp"

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
DC = "http://purl.org/dc/elements/1.1/"
PHOTOSHOP = "http://ns.adobe.com/photoshop/1.0/"
CORE = "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/"
META = "adobe:ns:meta/"
NAMESPACES = {"rdf": RDF, "dc": DC, "photoshop": PHOTOSHOP, "Iptc4xmpCore": CORE, "x": META}
LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"

BEGIN = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
END = '\n<?xpacket end="w"?>'


class MetadataError(Exception):
    """The file of a picture cannot be rewritten; it is left as it is."""


@dataclass(frozen=True)
class Tag:
    """One property of IPTC Core.

    Attributes:
        xmp: its name in XMP, with the namespace in braces.
        form: of the XMP value: `text`, or the RDF container `Alt`, `Seq` or `Bag`.
        dataset: number in record 2 of IPTC-IIM.
        limit: bytes that IPTC-IIM allows.
    """

    xmp: str
    form: str
    dataset: int
    limit: int


TAGS: Mapping[str, Tag] = {
    "Description": Tag(f"{{{DC}}}description", "Alt", 120, 2000),
    "DescriptionWriter": Tag(f"{{{PHOTOSHOP}}}CaptionWriter", "text", 122, 32),
    "Headline": Tag(f"{{{PHOTOSHOP}}}Headline", "text", 105, 256),
    "Instructions": Tag(f"{{{PHOTOSHOP}}}Instructions", "text", 40, 256),
    "JobId": Tag(f"{{{PHOTOSHOP}}}TransmissionReference", "text", 103, 32),
    "Title": Tag(f"{{{DC}}}title", "Alt", 5, 64),
    "Creator": Tag(f"{{{DC}}}creator", "Seq", 80, 32),
    "CreatorsJobtitle": Tag(f"{{{PHOTOSHOP}}}AuthorsPosition", "text", 85, 32),
    "Sublocation": Tag(f"{{{CORE}}}Location", "text", 92, 32),
    "City": Tag(f"{{{PHOTOSHOP}}}City", "text", 90, 32),
    "ProvinceState": Tag(f"{{{PHOTOSHOP}}}State", "text", 95, 32),
    "Country": Tag(f"{{{PHOTOSHOP}}}Country", "text", 101, 64),
    "CountryCode": Tag(f"{{{CORE}}}CountryCode", "text", 100, 3),
    "Keywords": Tag(f"{{{DC}}}subject", "Bag", 25, 64),
    "Source": Tag(f"{{{PHOTOSHOP}}}Source", "text", 115, 32),
    "CreditLine": Tag(f"{{{PHOTOSHOP}}}Credit", "text", 110, 32),
    "CopyrightNotice": Tag(f"{{{DC}}}rights", "Alt", 116, 128),
}
"""Names of the properties in the IPTC Photo Metadata Standard, with the form of their values."""


def with_metadata(content: bytes, values: Values) -> bytes:
    """Return the file of a picture with `values` in its metadata.

    Args:
        content: a JPEG or PNG file.
        values: tag, one of `TAGS`, to its values; tags that are not named stay as they are.

    Raises:
        MetadataError: another kind of file, a broken one, or more text than it can hold.
    """
    clean = {
        tag: [strip_forbidden(text) for text in texts if not is_blank(text)]
        for tag, texts in values.items()
    }
    wanted = {tag: texts for tag, texts in clean.items() if texts}
    if not wanted:
        return content
    try:
        if content.startswith(b"\xff\xd8"):
            return _in_jpeg(content, wanted)
        if is_png(content):
            return with_text_chunk(content, PNG_KEYWORD, lambda packet: with_xmp(packet, wanted))
    except (ValueError, IndexError, etree.XMLSyntaxError) as error:
        raise MetadataError(str(error)) from error
    raise MetadataError("neither JPEG nor PNG")


def _in_jpeg(content: bytes, values: Values) -> bytes:
    segments, picture = split_jpeg(content)
    packet = next((s.data for s in segments if _is_xmp(s)), XMP_HEADER)
    packet = with_xmp(packet[len(XMP_HEADER) :], values)
    if len(packet) > MAX_XMP_BYTES:
        raise ValueError("the metadata do not fit into one segment")
    kept = [segment for segment in segments if not _is_xmp(segment)]
    # Readers expect JFIF and Exif first.
    head = [s for s in kept if s.is_head]
    rest = [s for s in kept if not s.is_head]
    records = {TAGS[tag].dataset: _limited(tag, texts) for tag, texts in values.items()}
    return join_jpeg([*head, Segment(APP1, XMP_HEADER + packet), *with_iim(rest, records)], picture)


def _is_xmp(segment: Segment) -> bool:
    return segment.marker == APP1 and segment.data.startswith(XMP_HEADER)


def _limited(tag: str, texts: Sequence[str]) -> list[bytes]:
    """Return texts as IPTC-IIM takes them: UTF-8, cut where the standard ends them."""
    limit = TAGS[tag].limit
    return [t.encode()[:limit].decode(errors="ignore").encode() for t in _single(tag, texts)]


def _single(tag: str, texts: Sequence[str]) -> Sequence[str]:
    """Return the texts of a tag: one, unless it may have several."""
    return texts if TAGS[tag].form in ("Seq", "Bag") else [", ".join(texts)]


def with_xmp(packet: bytes, values: Values) -> bytes:
    """Return an XMP packet with `values`; all other properties stay.

    Args:
        packet: the packet as found, empty for none. One that is no XMP is replaced.
    """
    root = _parsed(packet)
    about = root.find(f".//{{{RDF}}}Description")
    if about is None:
        rdf = root if root.tag == f"{{{RDF}}}RDF" else root.find(f".//{{{RDF}}}RDF")
        if rdf is None:
            rdf = etree.SubElement(root, f"{{{RDF}}}RDF", nsmap=NAMESPACES)
        about = etree.SubElement(rdf, f"{{{RDF}}}Description", nsmap=NAMESPACES)
        about.set(f"{{{RDF}}}about", "")
    for tag, texts in values.items():
        _forget(root, TAGS[tag].xmp)
        about.append(_property(TAGS[tag], _single(tag, texts)))
    return f"{BEGIN}{etree.tostring(root, encoding='unicode')}{END}".encode()


def _parsed(packet: bytes) -> etree._Element:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        return etree.fromstring(packet.strip(b"\0 \n\r\t"), parser)
    except etree.XMLSyntaxError:
        return etree.Element(f"{{{META}}}xmpmeta", nsmap=NAMESPACES)


def _forget(root: etree._Element, name: str) -> None:
    """Remove a property in both of its notations."""
    for about in root.iter(f"{{{RDF}}}Description"):
        about.attrib.pop(name, "")
        for child in about.findall(name):
            about.remove(child)


def _property(tag: Tag, texts: Iterable[str]) -> etree._Element:
    element = etree.Element(tag.xmp, nsmap=NAMESPACES)
    if tag.form == "text":
        element.text = "".join(texts)
        return element
    container = etree.SubElement(element, f"{{{RDF}}}{tag.form}")
    for text in texts:
        entry = etree.SubElement(container, f"{{{RDF}}}li")
        entry.text = text
        if tag.form == "Alt":
            entry.set(LANGUAGE, "x-default")
    return element

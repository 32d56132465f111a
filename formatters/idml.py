"""The format `idml`: a package that Adobe InDesign opens (formats contract 3.10)."""

import zipfile
from collections.abc import Iterator
from io import BytesIO
from math import ceil
from typing import Any

from lxml import etree

from apps.core.documents import text_of
from apps.core.text import plain_text
from apps.core.vocabulary import TEXT_TYPES
from formatters.base import Document, FormatContext, Formatted, Formatter
from formatters.body import parse_body
from formatters.conversions import body_with_footer, notices
from formatters.idml_body import Stories, Story
from formatters.idml_resources import (
    BYLINE,
    DOM_VERSION,
    HEADLINE,
    MARGIN,
    PACKAGING,
    PAGE_HEIGHT,
    PAGE_WIDTH,
    graphic,
    inside,
    package_part,
    preferences,
    style_size,
    styles,
    tags,
)
from formatters.nodes import Preformatted
from formatters.xml import add

MEDIA_TYPE = "application/vnd.adobe.indesign-idml-package"
FIRST_MOMENT = (1980, 1, 1, 0, 0, 0)
"""Time of all entries: the same item gives the same bytes."""
AID = 'style="50" type="document" readerVersion="6.0" featureSet="257" product="13.1(255)"'
"""The processing instruction by which InDesign knows its own documents."""
LAYER = "layer_1"
FRAME_WIDTH, FRAME_HEIGHT = PAGE_WIDTH - 2 * MARGIN, PAGE_HEIGHT - 2 * MARGIN
GAP = 6
"""Points between text frames."""


class IDMLFormatter(Formatter):
    """A story as an InDesign document: a text frame for each paragraph, list or table."""

    type = "idml"
    name = "Adobe InDesign (IDML)"
    media_type = MEDIA_TYPE
    file_extension = "idml"
    error_code = 7012
    error_text = 'Article couldn"t be converted to Adobe IDML format'
    item_types = TEXT_TYPES

    def write(self, item: Document, context: FormatContext) -> list[Formatted]:
        self.require(item)
        stories = _stories(item, context)
        spreads = list(_spreads(stories.stories))
        parts = {
            "Resources/Styles.xml": styles(),
            "Resources/Graphic.xml": graphic(),
            "Resources/Preferences.xml": preferences(),
            "XML/Tags.xml": tags(),
            **{f"Stories/Story_{story.id}.xml": story.root for story in stories.stories},
            **{f"Spreads/Spread_spread_{n}.xml": spread for n, spread in enumerate(spreads, 1)},
        }
        design = _design_map(list(parts), stories)
        return [Formatted(_packed({**parts, "designmap.xml": design}))]


def _stories(item: Document, context: FormatContext) -> Stories:
    stories = Stories()
    for notice in notices(item, context):
        stories.add_text(notice, BYLINE, "Notice")
    stories.add_text(text_of(item, "headline"), HEADLINE, "Headline")
    stories.add_text(text_of(item, "byline"), BYLINE, "Byline")
    html = body_with_footer(item)
    if item.get("format") == "preserved":
        text = plain_text(html).replace("\r\n", "\n").strip("\n")
        stories.add_blocks((Preformatted(text),) if text.strip() else ())
    else:
        stories.add_blocks(parse_body(html))
    return stories


def _packed(parts: dict[str, etree._Element]) -> bytes:
    """Return the package; its media type is the first entry, and nothing is compressed."""
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as package:
        package.writestr(zipfile.ZipInfo("mimetype", FIRST_MOMENT), MEDIA_TYPE)
        for name, root in parts.items():
            entry = zipfile.ZipInfo(name, FIRST_MOMENT)
            tree = root.getroottree()
            text = etree.tostring(tree, encoding="UTF-8", xml_declaration=True, standalone=True)
            package.writestr(entry, text)
    return packed.getvalue()


def _design_map(parts: list[str], stories: Stories) -> etree._Element:
    """Return `designmap.xml`, which names all parts, and the links with what they lead to."""
    root = etree.Element("Document", nsmap={"idPkg": PACKAGING})
    root.addprevious(etree.ProcessingInstruction("aid", AID))
    for name, value in (("DOMVersion", DOM_VERSION), ("Self", "document"), ("ActiveLayer", LAYER)):
        root.set(name, value)
    root.set("StoryList", " ".join(story.id for story in stories.stories))
    add(root, "Layer", Self=LAYER, Name="Layer 1", Visible="true", Locked="false")
    kinds = {"Resources/Styles.xml": "Styles", "Resources/Graphic.xml": "Graphic"}
    kinds |= {"Resources/Preferences.xml": "Preferences", "XML/Tags.xml": "Tags"}
    for part in parts:
        kind = kinds.get(part) or ("Story" if part.startswith("Stories/") else "Spread")
        etree.SubElement(root, f"{{{PACKAGING}}}{kind}").set("src", part)
    for number, (source, address) in enumerate(stories.links.items(), start=1):
        _link(root, number, source, address)
    return root


def _link(root: etree._Element, number: int, source: str, address: str) -> None:
    destination = f"HyperlinkURLDestination/address_{number}"
    key = {"DestinationUniqueKey": str(number), "Hidden": "false"}
    named = {"Self": destination, "Name": f"address_{number}"}
    add(root, "HyperlinkURLDestination", DestinationURL=address, **named, **key)
    look = {"Visible": "false", "Highlight": "None", "Width": "Thin"}
    identity = {"Self": f"hyperlink_{number}", "Name": f"hyperlink_{number}", "Source": source}
    properties = add(add(root, "Hyperlink", **identity, **look, **key), "Properties")
    add(properties, "BorderColor", "Black", type="enumeration")
    add(properties, "Destination", destination, type="object")


def _spreads(stories: list[Story]) -> Iterator[etree._Element]:
    """Yield spreads of one page each, filled with text frames from top to bottom."""
    number, top, page = 0, FRAME_HEIGHT, None
    frames = 0
    for story in stories:
        left, previous = _height(story), None
        while left > 0:
            if page is None or top + min(left, style_size(story.style) * 2) > FRAME_HEIGHT:
                if page is not None:
                    yield page.getroottree().getroot()
                number, top = number + 1, 0.0
                page = _page(number)
            height = min(left, FRAME_HEIGHT - top)
            frames += 1
            previous = _frame(page, f"frame_{frames}", story, top, height, previous)
            top, left = top + height + GAP, left - height
    yield (_page(1) if page is None else page).getroottree().getroot()


def _page(number: int) -> Any:
    """Return a new spread with one page; its origin is the middle of the page's left side."""
    root = package_part("Spread")
    unmoved = {"ItemTransform": "1 0 0 1 0 0"}
    spread = inside(root, "Spread", Self=f"spread_{number}", PageCount="1", **unmoved)
    page = add(
        spread,
        "Page",
        Self=f"page_{number}",
        Name=str(number),
        AppliedMaster="n",
        GeometricBounds=f"0 0 {PAGE_HEIGHT} {PAGE_WIDTH}",
        ItemTransform=f"1 0 0 1 0 {-PAGE_HEIGHT / 2}",
    )
    sides = {side: str(MARGIN) for side in ("Top", "Bottom", "Left", "Right")}
    add(page, "MarginPreference", ColumnCount="1", ColumnGutter="12", **sides)
    return spread


def _height(story: Story) -> float:
    """Return how many points the text will about need."""
    size = style_size(story.style)
    line_length = FRAME_WIDTH / (size * 0.5)
    lines = sum(max(1, ceil(len(line) / line_length)) for line in story.text.splitlines() or [""])
    return float(lines * size * 1.25 + size)


def _frame(spread: Any, name: str, story: Story, top: float, height: float, previous: Any) -> Any:
    """Append a text frame; text that does not fit flows on from the story's `previous` frame."""
    before = "n" if previous is None else previous.get("Self")
    frame = add(
        spread,
        "TextFrame",
        Self=name,
        ParentStory=story.id,
        PreviousTextFrame=before,
        NextTextFrame="n",
        ContentType="TextType",
        ItemLayer=LAYER,
        ItemTransform="1 0 0 1 0 0",
    )
    if previous is not None:
        previous.set("NextTextFrame", name)
    path = add(add(add(frame, "Properties"), "PathGeometry"), "GeometryPathType", PathOpen="false")
    points = add(path, "PathPointArray")
    upper = MARGIN + top - PAGE_HEIGHT / 2
    right, lower = MARGIN + FRAME_WIDTH, upper + height
    for x, y in ((MARGIN, upper), (MARGIN, lower), (right, lower), (right, upper)):
        point = f"{x:.4f} {y:.4f}"
        directions = {"LeftDirection": point, "RightDirection": point}
        add(points, "PathPointType", Anchor=point, **directions)
    return frame

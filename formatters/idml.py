"""The format `idml`: a package that Adobe InDesign opens (formats contract 3.10)."""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from math import ceil

from apps.core.documents import text_of
from apps.core.vocabulary import TEXT_TYPES
from formatters.base import Document, FormatContext, Formatted, Formatter
from formatters.body import parse_body, story_nodes
from formatters.conversions import notices
from formatters.idml_body import NO_STYLE, STORY_ATTRIBUTES, Stories, Story
from formatters.idml_resources import (
    ABSTRACT,
    BYLINE,
    DECLARATION,
    DOM_VERSION,
    HEADLINE,
    MARGIN,
    PACKAGING,
    PAGE_HEIGHT,
    PAGE_WIDTH,
    fixed_parts,
    package_part,
    style_size,
)
from formatters.xml import document, element, leaf

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
        parts = dict(fixed_parts())
        parts["XML/BackingStory.xml"] = _backing_story(stories.stories).encode()
        for story in stories.stories:
            parts[f"Stories/Story_{story.id}.xml"] = story.document().encode()
        for number, spread in enumerate(_spreads(stories.stories), 1):
            parts[f"Spreads/Spread_spread_{number}.xml"] = spread.encode()
        parts["designmap.xml"] = _design_map(list(parts), stories).encode()
        return [Formatted(_packed(parts))]


def _stories(item: Document, context: FormatContext) -> Stories:
    stories = Stories()
    for notice in notices(item, context):
        stories.add_text(notice, BYLINE, "Notice")
    stories.add_text(text_of(item, "headline"), HEADLINE, "Headline")
    stories.add_text(text_of(item, "byline"), BYLINE, "Byline")
    stories.add_blocks(parse_body(text_of(item, "abstract")), ABSTRACT, "Abstract")
    stories.add_blocks(story_nodes(item))
    return stories


def _packed(parts: Mapping[str, bytes]) -> bytes:
    """Return the package; its media type is the first entry, and nothing is compressed."""
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as package:
        package.writestr(zipfile.ZipInfo("mimetype", FIRST_MOMENT), MEDIA_TYPE)
        for name, written in parts.items():
            package.writestr(zipfile.ZipInfo(name, FIRST_MOMENT), written)
    return packed.getvalue()


def _backing_story(stories: list[Story]) -> str:
    """Return the structure of the document: an element for each story."""
    marked = "".join(
        element(
            "XMLElement", Self=story.element, MarkupTag=f"XMLTag/{story.tag}", XMLContent=story.id
        )
        for story in stories
    )
    root = element("XMLElement", marked, Self="root", MarkupTag="XMLTag/Root")
    looks = f'AppliedCharacterStyle="{NO_STYLE}"'
    content = f"<CharacterStyleRange {looks}>{root}</CharacterStyleRange>"
    style = 'AppliedParagraphStyle="ParagraphStyle/$ID/NormalParagraphStyle"'
    content = f"<ParagraphStyleRange {style}>{content}</ParagraphStyleRange>"
    story = f'<XmlStory Self="backing_story" {STORY_ATTRIBUTES}>{content}</XmlStory>'
    return package_part("BackingStory", story)


def _design_map(parts: list[str], stories: Stories) -> str:
    """Return `designmap.xml`, which names all parts, and the links with what they lead to."""
    written = [element("Layer", Self=LAYER, Name="Layer 1", Visible="true", Locked="false")]
    for part in parts:
        folder, _, name = part.partition("/")
        kind = {"Stories": "Story", "Spreads": "Spread"}.get(folder, name.removesuffix(".xml"))
        if folder != "META-INF":
            written.append(f'<idPkg:{kind} src="{part}"/>')
    for number, (source, address) in enumerate(stories.links.items(), start=1):
        written.append(_link(number, source, address))
    named = {"DOMVersion": DOM_VERSION, "Self": "document", "ActiveLayer": LAYER}
    story_list = " ".join(["backing_story", *(story.id for story in stories.stories)])
    root = element(
        "Document", "".join(written), **{"xmlns:idPkg": PACKAGING}, **named, StoryList=story_list
    )
    return document(f"<?aid {AID}?>{root}", declaration=DECLARATION)


def _link(number: int, source: str, address: str) -> str:
    destination = f"HyperlinkURLDestination/address_{number}"
    key = {"DestinationUniqueKey": str(number), "Hidden": "false"}
    named = {"Self": destination, "Name": f"address_{number}"}
    look = {"Visible": "false", "Highlight": "None", "Width": "Thin"}
    identity = {"Self": f"hyperlink_{number}", "Name": f"hyperlink_{number}", "Source": source}
    said = leaf("BorderColor", "Black", type="enumeration")
    said += leaf("Destination", destination, type="object")
    properties = element("Properties", said)
    return element("HyperlinkURLDestination", DestinationURL=address, **named, **key) + element(
        "Hyperlink", properties, **identity, **look, **key
    )


@dataclass
class _Frame:
    """A text frame; text that does not fit flows on into the next one of its story."""

    number: int
    story: Story
    top: float
    height: float
    previous: "_Frame | None" = None
    next: "_Frame | None" = None

    def written(self) -> str:
        """Return the frame as XML."""
        upper = MARGIN + self.top - PAGE_HEIGHT / 2
        right, lower = MARGIN + FRAME_WIDTH, upper + self.height
        corners = ((MARGIN, upper), (MARGIN, lower), (right, lower), (right, upper))
        points = "".join([_point(f"{x:.4f} {y:.4f}") for x, y in corners])
        before = f"frame_{self.previous.number}" if self.previous else "n"
        after = f"frame_{self.next.number}" if self.next else "n"
        return (
            f'<TextFrame Self="frame_{self.number}" ParentStory="{self.story.id}"'
            f' PreviousTextFrame="{before}" NextTextFrame="{after}" ContentType="TextType"'
            f' ItemLayer="{LAYER}" ItemTransform="1 0 0 1 0 0"><Properties><PathGeometry>'
            f'<GeometryPathType PathOpen="false"><PathPointArray>{points}</PathPointArray>'
            "</GeometryPathType></PathGeometry></Properties></TextFrame>"
        )


def _point(point: str) -> str:
    return f'<PathPointType Anchor="{point}" LeftDirection="{point}" RightDirection="{point}"/>'


def _spreads(stories: list[Story]) -> list[str]:
    """Return spreads of one page each, filled with text frames from top to bottom."""
    pages: list[list[_Frame]] = []
    top, number = float(FRAME_HEIGHT), 0
    for story in stories:
        left, previous = _height(story), None
        while left > 0:
            if not pages or top + min(left, style_size(story.style) * 2) > FRAME_HEIGHT:
                pages.append([])
                top = 0.0
            height = min(left, FRAME_HEIGHT - top)
            number += 1
            frame = _Frame(number, story, top, height, previous)
            if previous:
                previous.next = frame
            pages[-1].append(frame)
            top, left, previous = top + height + GAP, left - height, frame
    return [_spread(number, page) for number, page in enumerate(pages or [[]], 1)]


def _spread(number: int, frames: list[_Frame]) -> str:
    """Return a spread with one page; its origin is the middle of the page's left side."""
    sides = {side: str(MARGIN) for side in ("Top", "Bottom", "Left", "Right")}
    page = element(
        "Page",
        element("MarginPreference", ColumnCount="1", ColumnGutter="12", **sides),
        Self=f"page_{number}",
        Name=str(number),
        AppliedMaster="n",
        GeometricBounds=f"0 0 {PAGE_HEIGHT} {PAGE_WIDTH}",
        ItemTransform=f"1 0 0 1 0 {-PAGE_HEIGHT / 2}",
    )
    content = page + "".join([frame.written() for frame in frames])
    identity = {"Self": f"spread_{number}", "PageCount": "1", "ItemTransform": "1 0 0 1 0 0"}
    return package_part("Spread", element("Spread", content, **identity))


def _height(story: Story) -> float:
    """Return how many points the text will about need."""
    size = style_size(story.style)
    line_length = FRAME_WIDTH / (size * 0.5)
    lines = sum(max(1, ceil(len(line) / line_length)) for line in story.text.splitlines() or [""])
    return float(lines * size * 1.25 + size)

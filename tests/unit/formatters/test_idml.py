"""InDesign packages (formats contract 3.10)."""

import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from lxml import etree
from simple_idml.idml import IDMLPackage

from apps.core.text import strip_forbidden
from formatters.base import Formatted
from formatters.body import parse_body
from formatters.idml import IDMLFormatter
from formatters.nodes import Embed, ItemList, Node, Picture, Rule, Table, blocks_of
from formatters.plain_body import TextBody
from tests.support.format_items import CONTEXT, EXAMPLES, example_item
from tests.support.format_schemas import check_idml, idml_parts
from tests.support.generated_items import html as any_html

STORY = {"_id": "urn:x:1", "guid": "urn:x:1", "type": "text"}
NORMAL = "Paragraphs%3aNormalParagraph"
FIXED = [
    *("Resources/Styles.xml", "Resources/Graphic.xml", "Resources/Preferences.xml"),
    *("Resources/Fonts.xml", "XML/Tags.xml", "META-INF/container.xml", "XML/BackingStory.xml"),
]


def written(**fields: Any) -> Formatted:
    [formatted] = IDMLFormatter().format({**STORY, **fields}, CONTEXT)
    check_idml(formatted)
    return formatted


def stories(**fields: Any) -> list[tuple[str, str]]:
    """Return style and text of each story."""
    parts = idml_parts(written(**fields))
    return [_story(part) for name, part in parts.items() if name.startswith("Stories/")]


def _story(part: etree._Element) -> tuple[str, str]:
    ranges = list(part.iter("ParagraphStyleRange"))
    style = str(ranges[0].get("AppliedParagraphStyle")) if ranges else ""
    words = [e.text or "" if e.tag == "Content" else "|" for e in part.iter("Content", "Br")]
    return style.removeprefix("ParagraphStyle/"), "".join(words)


def test_the_package() -> None:
    """Entries in their order, the media type first; the same item gives the same bytes.

    Formats scenario 42.
    """
    formatted = written(headline="h", body_html="<p>a</p>")

    assert [
        *FIXED,
        "Stories/Story_story_1.xml",
        "Stories/Story_story_2.xml",
        "Spreads/Spread_spread_1.xml",
        "designmap.xml",
    ] == list(idml_parts(formatted))
    assert formatted.data == written(headline="h", body_html="<p>a</p>").data
    with zipfile.ZipFile(BytesIO(formatted.data)) as package:
        assert b'<?aid style="50" type="document"' in package.read("designmap.xml")


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name.startswith("text")])
def test_example_items(name: str) -> None:
    """Formats scenario 42: each has headline and byline first, and what a list and a table hold."""
    item = example_item(name)

    texts = [text for _, text in stories(**item)]

    notices = {
        "text-embargo": ["EMBARGOED until 04 March 2026 20:00, UTC"],
        "text-corrected": ["CORRECTION: Map attached"],
        "text-killed": ["WITHDRAWN"],
    }
    first = [*notices.get(name, []), item["headline"]]
    assert first == texts[: len(first)]
    if "<table>" in item["body_html"]:
        assert {"red", "9:30", "We wait", "Later"} <= set(texts)


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<p>One <b>two</b></p>", [(NORMAL, "One two")]),
        ("bare text", [(NORMAL, "bare text")]),
        ("<h3>Head</h3>", [("Headings%3aHeading3", "Head")]),
        ("<blockquote><p>q</p></blockquote>", [("Paragraphs%3aBlockquote", "q")]),
        ("<pre>a\n b</pre>", [("Paragraphs%3aPreformatted", "a\u2028 b")]),
        ("<p>a<br>b</p>", [(NORMAL, "a\u2028b")]),
        ("<ul><li>a</li><li><p>b</p></li></ul>", [("Lists%3aBulletList", "a|b")]),
        ("<ol><li>a<ul><li>c</li></ul></li></ol>", [("Lists%3aNumberedList", "a|c")]),
        (
            "<table><tr><td>a</td><td><p>b</p></td></tr></table>",
            [(NORMAL, "ab")],
        ),
        ('<img src="i.jpg" alt="A">', [(NORMAL, "A")]),
        (
            '<div><p>a</p><figure><img src="i.jpg"><figcaption>c</figcaption></figure></div>',
            [(NORMAL, "a"), (NORMAL, "c")],
        ),
        ("<hr>", []),
    ],
)
def test_stories(html: str, expected: list[tuple[str, str]]) -> None:
    """Formats scenario 42: every block is a story; nothing that a reader would see is lost."""
    assert expected == stories(body_html=html)


def test_preformatted_items() -> None:
    """Formats scenario 42: preserved text keeps its lines, in one story."""
    assert [("Paragraphs%3aPreformatted", "a\u2028 b")] == stories(
        type="preformatted", format="preserved", body_html="<pre>a\n b</pre>"
    )


def test_looks() -> None:
    """Bold and italic combine, strong and em are the same; marks have their attributes."""
    html = "<p><strong><em>a</em></strong><u>b</u><s>c</s>H<sub>2</sub>x<sup>3</sup></p>"
    parts = idml_parts(written(body_html=html))

    [story] = [part for name, part in parts.items() if name.startswith("Stories/")]
    looks = {e.findtext("Content"): dict(e.attrib) for e in story.iter("CharacterStyleRange")}
    assert "Bold Italic" == looks["a"]["FontStyle"]
    assert "true" == looks["b"]["Underline"]
    assert "true" == looks["c"]["StrikeThru"]
    assert ("Subscript", "Superscript") == (looks["2"]["Position"], looks["3"]["Position"])


def test_links() -> None:
    """A link leads from its text to its address by one key."""
    parts = idml_parts(written(body_html='<p><a href="https://e.org/?a&b">l</a></p>'))
    design = parts["designmap.xml"]

    link, destination = design.find("Hyperlink"), design.find("HyperlinkURLDestination")
    assert link is not None
    assert destination is not None
    assert "https://e.org/?a&b" == destination.get("DestinationURL")
    assert link.get("DestinationUniqueKey") == destination.get("DestinationUniqueKey")
    assert destination.get("Self") == link.findtext("Properties/Destination")
    assert "Black" == link.findtext("Properties/BorderColor")


def test_tables() -> None:
    """Cells stand in their row and column, past those that reach down from above."""
    html = "<table><tr><td rowspan=2>a</td><td>b</td></tr><tr><td>c</td></tr></table>"
    parts = idml_parts(written(body_html=html))

    [story] = [part for name, part in parts.items() if name.startswith("Stories/")]
    assert {"0:0": "a", "1:0": "b", "1:1": "c"} == {
        str(cell.get("Name")): "".join(c.text or "" for c in cell.iter("Content"))
        for cell in story.iter("Cell")
    }


def test_paragraphs_of_a_long_list_end_where_they_should() -> None:
    """Each item but the last ends its paragraph, also behind a table."""
    items = [f"<li>{number}</li>" for number in range(3000)]
    items[1] = "<li>1<table><tr><td>x</td></tr></table></li>"
    (story,) = stories(body_html=f"<ul>{''.join(items)}</ul>")
    assert story[1].split("|") == ["0", "1", "x", *map(str, range(2, 3000))]


def test_sections_of_tables() -> None:
    """The foot stands last; no cell reaches out of its section."""
    html = (
        "<table><thead><tr><th rowspan=3>h</th></tr></thead><tfoot><tr><td>f</td></tr></tfoot>"
        "<tr><td rowspan=2>a</td></tr><tr><td>b</td></tr></table>"
    )
    parts = idml_parts(written(body_html=html))

    [table] = [
        t for n, part in parts.items() if n.startswith("Stories/") for t in part.iter("Table")
    ]
    assert ["1", "2", "1"] == [
        table.get(f"{section}RowCount") for section in ("Header", "Body", "Footer")
    ]
    assert [("h", "0:0", "1"), ("a", "0:1", "2"), ("b", "1:2", "1"), ("f", "0:3", "1")] == [
        (cell.findtext(".//Content"), cell.get("Name"), cell.get("RowSpan"))
        for cell in table.iter("Cell")
    ]


def test_numbers_of_lists() -> None:
    """A number that does not follow on the one before is told."""
    html = "<ol start=3><li>a</li><li>b<ol><li>x</li></ol></li><li value=9>c</li><li>d</li></ol>"
    parts = idml_parts(written(body_html=html))

    [story] = [part for name, part in parts.items() if name.startswith("Stories/")]
    told = {
        e.findtext(".//Content"): e.get("NumberingStartAt")
        for e in story.iter("ParagraphStyleRange")
    }
    assert told == {"a": "3", "b": None, "x": "1", "c": "9", "d": None}


def test_abstract_and_dateline() -> None:
    """The abstract stands before the body, which begins with the dateline."""
    texts = stories(
        headline="h",
        byline="By Jo",
        abstract="<p>one</p><p>two</p>",
        dateline={"text": "OSLO -"},
        body_html="<p>a</p>",
    )

    abstract = "Custom%3aAbstract"
    assert texts[2:] == [(abstract, "one"), (abstract, "two"), (NORMAL, "OSLO - a")]


def test_other_programs_open_it(tmp_path: Path) -> None:
    """Structure, stories, fonts and styles are where readers of other projects look for them."""
    file = tmp_path / "story.idml"
    file.write_bytes(
        written(headline="h", byline="By Jo", abstract="a", body_html="<p>b</p><h2>c</h2>").data
    )

    with IDMLPackage(str(file)) as package:
        told = package.export_as_tree()
        names = [family.get("Name") for family in package.font_families]
        assert len(package.stories) == len(package.story_ids) == 5
    assert names == ["Minion Pro", "Courier New"]
    assert [(part["tag"], part["content"]) for part in told["content"]] == [
        ("Headline", ["h"]),
        ("Byline", ["By Jo"]),
        ("Abstract", ["a"]),
        ("Body", ["b"]),
        ("Body", ["c"]),
    ]


def test_definitions_stand_apart() -> None:
    """Terms are bold, what is said of them is set in."""
    parts = idml_parts(written(body_html="<dl><dt>t</dt><dd>d</dd></dl>"))

    [story] = [part for name, part in parts.items() if name.startswith("Stories/")]
    term, said = story.iter("ParagraphStyleRange")
    assert (term.findtext(".//Content"), said.findtext(".//Content")) == ("t", "d")
    assert said.get("LeftIndent") == "36"
    assert "Bold" in str(etree.tostring(term))


def test_long_texts_flow_over_pages() -> None:
    """A new spread begins when a page is full; a frame that is too short flows into the next."""
    parts = idml_parts(written(body_html="<p>" + "word " * 3000 + "</p>" + "<p>end</p>" * 60))

    spreads = [part for name, part in parts.items() if name.startswith("Spreads/")]
    frames = [frame for spread in spreads for frame in spread.iter("TextFrame")]
    assert len(spreads) > 2
    assert frames[0].get("NextTextFrame") == frames[1].get("Self")
    assert frames[1].get("PreviousTextFrame") == frames[0].get("Self")
    assert {frame.get("ParentStory") for frame in frames} == {f"story_{n}" for n in range(1, 62)}


@given(any_html)
def test_any_body_keeps_its_text(html: str) -> None:
    """Whatever the markup, the characters of its text are in the stories, in order.

    Formats scenario 42, 51.
    """
    told = "".join(text for _, text in stories(body_html=html))

    assert _visible(TextOnly().write(parse_body(html))) == _visible(told)


class TextOnly(TextBody):
    """The text of a body without what plain text adds to it."""

    def block(self, node: Node) -> str:
        match node:
            case Rule():
                return ""
            case Embed(source, _, caption):
                return self.write(blocks_of(caption.children)) or source
            case Table():
                cells = [
                    self.write(blocks_of(cell.children)) for r in node.rows for cell in r.cells
                ]
                return "".join([self.write(blocks_of(node.caption.children)), *cells])
            case _:
                return super().block(node)

    def picture(self, picture: Picture, caption: str) -> str:
        return (caption or picture.alternative or picture.source) + picture.href

    def link(self, href: str, text: str) -> str:
        return text

    def item_list(self, node: ItemList) -> str:
        return "\n".join(self.write(blocks_of(item.children)) for item in node.items)


def _visible(text: str) -> str:
    return "".join(strip_forbidden(text).replace("|", "").split())

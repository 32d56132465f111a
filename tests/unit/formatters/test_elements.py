"""What becomes of each element of HTML, as `docs/elements.md` says."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from formatters import BUILT_IN
from formatters.elements import TAGS, Kind
from tests.support.format_items import CONTEXT
from tests.support.format_schemas import idml_parts

PAGE = Path(__file__).parents[3] / "docs" / "elements.md"
FORMATS = {formatter.type: formatter for formatter in BUILT_IN}
STORY = {"_id": "urn:x:1", "item_id": "urn:x:1", "guid": "urn:x:1", "type": "text"}
_CODE = re.compile("`+ ?(.*?) ?`+")


def sections() -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield each kind of the page with its elements and the rows of its table."""
    for section in PAGE.read_text(encoding="utf-8").split("\n### ")[1:]:
        name, _, rest = section.partition("\n")
        lines = rest.strip().split("\n")
        table = [line for line in lines if line.startswith("| ")]
        named = next(line for line in lines if line.startswith("`"))
        yield name, _CODE.findall(named), table[2:]


def rows() -> Iterator[tuple[str, str, str]]:
    """Yield markup, a format and what the page says that it makes of it."""
    for _, _, table in sections():
        for row in table:
            html, *told = (_code(cell) for cell in re.split(r"(?<!\\) \| ", row.strip("| ")))
            yield from zip([html] * 4, ("text", "markdown", "nitf", "idml"), told, strict=True)


def _code(cell: str) -> str:
    found = _CODE.fullmatch(cell.strip())
    return (found[1] if found else "").replace("\\|", "|").replace("⏎", "\n").replace("⇥", "\t")


def written(name: str, html: str) -> str:
    """Return what a format makes of a body."""
    [formatted] = FORMATS[name]().format({**STORY, "body_html": html}, CONTEXT)
    if name == "nitf":
        [content] = etree.fromstring(formatted.data).xpath("//*[local-name()='body.content']")
        inner = "".join(etree.tostring(each, encoding="unicode") for each in content)
        return re.sub(r' xmlns(:\w+)?="[^"]*"', "", inner)
    if name == "idml":
        parts = idml_parts(formatted)
        told = [_story(part) for key, part in parts.items() if key.startswith("Stories/")]
        return "\n".join(told)
    return str(formatted.body).strip("\n")


def _story(part: Any) -> str:
    """Return the paragraphs of a story with their styles; cells stand between bars."""
    told = []
    for element in part.iter("ParagraphStyleRange", "Content", "Cell"):
        if element.tag == "ParagraphStyleRange":
            style = element.get("AppliedParagraphStyle").rpartition("%3a")[2]
            number = element.get("NumberingStartAt")
            told.append(f"\n{style}{f' {number}' if number else ''}: ")
        elif element.tag == "Content":
            told.append((element.text or "").replace("\u2028", "⏎"))
    return "; ".join(filter(None, "".join(told).split("\n")))


def test_the_page_has_every_element() -> None:
    """Each kind with all its elements, as the code has them."""
    told = {name: elements for name, elements, _ in sections()}

    assert told == {kind.name.capitalize(): TAGS[kind].split() for kind in Kind}


@pytest.mark.parametrize(("html", "name", "told"), list(rows()))
def test_every_format_makes_of_it_what_the_page_says(html: str, name: str, told: str) -> None:
    """Formats contract 2: one walker for all formats."""
    assert told == written(name, html).replace("⏎", "\n").strip()

"""XML in Superdesk's layout, `config.compat` (formats contract 3.5, 3.6, 3.7)."""

import difflib
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from lxml import etree

from apps.core.errors import FormatError
from formatters.base import Formatted
from formatters.newsml_12 import NewsML12Formatter
from formatters.newsml_g2 import NewsMLG2Formatter
from formatters.nitf import NITFFormatter
from tests.support.format_items import COMPAT_SETTINGS, CONTEXT, FORMATS, example_item
from tests.support.format_schemas import parsed
from tests.support.generated_items import items

LAYOUT = FORMATS / "superdesk"
DOCUMENTS = sorted(LAYOUT.rglob("*.xml"))
DIFFERENCES = json.loads((LAYOUT / "differences.json").read_text("utf-8"))
"""By format and item, what its output has otherwise than that of another item."""
FORMATTERS: dict[str, Any] = {
    "nitf": NITFFormatter,
    "newsml12": NewsML12Formatter,
    "newsmlg2": NewsMLG2Formatter,
}
RICH = {"body.content", "abstract"}
"""Elements whose content is compared as a whole document only."""

OPENINGS = {
    "nitf": """<?xml version="1.0"?><nitf version="-//IPTC//DTD NITF 3.6//EN">""",
    "newsml12": (
        """<?xml version="1.0"?>"""
        """<!DOCTYPE NewsML SYSTEM "http://www.provider.com/dtd/NewsML_1.2.dtd"><NewsML>"""
    ),
    "newsmlg2": (
        """<?xml version="1.0" encoding="UTF-8"?>"""
        """<newsMessage xmlns="http://iptc.org/std/nar/2006-10-01/" """
        """xmlns:x="http://www.w3.org/1999/xhtml" """
        """xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" """
        """xsi:schemaLocation="http://iptc.org/std/nar/2006-10-01/ """
        """http://www.iptc.org/std/NewsML-G2/2.18/specification/"""
        """NewsML-G2_2.18-spec-All-Power.xsd">"""
    ),
}


def written(name: str, example: str) -> Formatted:
    """Return an example item in Superdesk's layout; its package has its members at hand."""
    members = [example_item(member) for member in ("text", "picture", "video")]
    context = replace(
        CONTEXT,
        settings=COMPAT_SETTINGS,
        config={"compat": "superdesk"},
        sequence_number=7,
        members={member["guid"]: member for member in members},
    )
    [formatted] = FORMATTERS[name]().format(example_item(example), context)
    return formatted


def elements(root: etree._Element) -> list[tuple[str, dict[str, str], str, str]]:
    """Return tag, attributes and the text inside and after each element; no indentation."""
    return [
        (str(e.tag), dict(e.attrib), shown(e.text), shown(e.tail))  # type: ignore[arg-type]
        for e in root.iter(etree.Element)
    ]


def lines(root: etree._Element) -> list[str]:
    """Return a line for each element, by its local name; none for what is in rich ones."""
    return [
        " ".join(
            [
                etree.QName(element).localname,
                *(f"{etree.QName(name).localname}={value}" for name, value in element.items()),
                *shown(element.text).splitlines(),
            ]
        )
        for element in root.iter(etree.Element)
        if not any(etree.QName(e).localname in RICH for e in element.iterancestors())
    ]


def shown(text: str | None) -> str:
    return text if text and text.strip() else ""


@pytest.mark.parametrize("path", [f"{file.parent.name}/{file.stem}" for file in DOCUMENTS])
def test_elements(path: str) -> None:
    """The elements, attributes and texts of Superdesk's layout, in its order.

    Formats scenario 37.
    """
    document = etree.parse(LAYOUT / f"{path}.xml").getroot()

    assert elements(document) == elements(parsed(written(*path.split("/"))))


@pytest.mark.parametrize(
    ("name", "base", "example"),
    [
        (name, base, example)
        for name, of_format in DIFFERENCES.items()
        for base, of_base in of_format.items()
        for example in of_base
    ],
)
def test_differences(name: str, base: str, example: str) -> None:
    """Formats scenario 37: what happened to an item changes these elements and no others."""
    before, after = (lines(parsed(written(name, of))) for of in (base, example))

    found = difflib.unified_diff(before, after, n=0, lineterm="")

    # The first two lines name files, those with @ places in them.
    assert DIFFERENCES[name][base][example] == [line for line in list(found)[2:] if line[0] != "@"]


@pytest.mark.parametrize("name", FORMATTERS)
def test_opening(name: str) -> None:
    """Declaration, document type and root element are Superdesk's, but for white space.

    Formats scenario 37.
    """
    opening = "".join(OPENINGS[name].split())

    assert "".join(str(written(name, "text").body).split()).startswith(opening)


@hypothesis_settings(suppress_health_check=list(HealthCheck))
@given(items)
def test_any_item(item: dict[str, Any]) -> None:
    """Whatever the fields hold, the layout is well-formed, and nothing says `None`.

    Formats scenario 37, 50.
    """
    context = replace(CONTEXT, config={"compat": "superdesk"})
    for formatter in FORMATTERS.values():
        if formatter.can_format(item):
            [formatted] = formatter().format(item, context)
            root = parsed(formatted)
            assert all("None" not in e.attrib.values() for e in root.iter(etree.Element))


@pytest.mark.parametrize("name", FORMATTERS)
def test_another_layout_is_refused(name: str) -> None:
    """A layout that is not there is an error that names the option."""
    context = replace(CONTEXT, config={"compat": "other"})

    with pytest.raises(FormatError) as caught:
        FORMATTERS[name]().format(example_item("text"), context)

    assert "config.compat" == caught.value.field


def test_the_body_is_written_in_full() -> None:
    """Lists, tables and links, which Superdesk loses, are there in this layout too.

    Formats scenario 37.
    """
    content = parsed(written("nitf", "text")).find(".//body.content")

    assert content is not None
    for tag in ("ul/li", "hl2", "p/a", "bq/block/p", "table/tr/td"):
        assert content.find(tag) is not None

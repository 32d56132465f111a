"""XML in Superdesk's layout, `config.compat` (formats contract 3.5, 3.6, 3.7)."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from lxml import etree

from apps.core.errors import FormatError
from formatters.base import FormatContext
from formatters.newsml_12 import NewsML12Formatter
from formatters.newsml_g2 import NewsMLG2Formatter
from formatters.nitf import NITFFormatter
from tests.shared_files import shared, shared_names
from tests.support.format_schemas import parsed
from tests.support.generated_items import items
from tests.support.reference_formats import CONTEXT, SETTINGS_OF_REFERENCE, reference

INPUTS = "schemas/reference-output/inputs"
OUTPUTS = "schemas/reference-output"
MEMBERS = ("text", "picture", "video")
FORMATS: dict[str, Any] = {
    "nitf": NITFFormatter,
    "newsml12": NewsML12Formatter,
    "newsmlg2": NewsMLG2Formatter,
}
RICH = {"body.content", "abstract"}
"""Elements whose content is written in full (formats contract F1): only their place is compared."""


def compat() -> FormatContext:
    """Return what the reference outputs were made with: settings, number and archive."""
    members = [reference(f"{INPUTS}/{name}.json") for name in MEMBERS]
    return replace(
        CONTEXT,
        settings=SETTINGS_OF_REFERENCE,
        config={"compat": "superdesk"},
        sequence_number=7,
        members={member["guid"]: member for member in members},
    )


def elements(root: etree._Element) -> Iterator[tuple[str, dict[str, str], str]]:
    """Yield tag, attributes and text of each element, in order, but for rich content."""
    for element in root.iter(etree.Element):
        name = etree.QName(element).localname
        if any(etree.QName(parent).localname in RICH for parent in element.iterancestors()):
            continue
        text = "" if name in RICH else (element.text or "").strip()
        yield str(element.tag), dict(element.attrib), text  # type: ignore[arg-type]


def corrected(found: Any, name: str) -> Any:
    """Return the elements of a reference output, without faults that are mended here too."""
    for tag, attributes, text in found:
        if tag == "EndDate":
            # Formats contract F9: rights that end at the moment of sending.
            continue
        if name == "text-corrected.xml" and tag.endswith("}signal"):
            # Superdesk means to signal corrections, but looks for a state that never is
            # (formats contract F3).
            attributes = {"qcode": "sig:correction"}
        yield tag, attributes, text


@pytest.mark.parametrize(
    ("folder", "name"),
    [(folder, name) for folder in FORMATS for name in shared_names(f"{OUTPUTS}/{folder}", "*.xml")],
)
def test_same_elements_as_superdesk(folder: str, name: str) -> None:
    """The same elements with the same attributes and texts in the same order.

    Formats scenario 37.
    """
    expected = etree.fromstring(shared(f"{OUTPUTS}/{folder}/{name}").read_bytes())
    item = reference(f"{INPUTS}/{name.replace('.xml', '.json')}")

    [formatted] = FORMATS[folder]().format(item, compat())

    actual = etree.fromstring(formatted.data)
    assert list(corrected(elements(expected), name)) == list(elements(actual))


@pytest.mark.parametrize("folder", FORMATS)
def test_same_opening_as_superdesk(folder: str) -> None:
    """Formats scenario 37: declaration, document type and root element are the same to the byte."""
    expected = shared(f"{OUTPUTS}/{folder}/text.xml").read_text("utf-8")

    [formatted] = FORMATS[folder]().format(reference(f"{INPUTS}/text.json"), compat())

    opening = expected[: expected.index("head") if folder == "nitf" else expected.index(">", 200)]
    assert (
        "".join(opening.split())
        == "".join(str(formatted.body).split())[: len("".join(opening.split()))]
    )


@hypothesis_settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(items)
def test_any_item(item: dict[str, Any]) -> None:
    """Whatever the fields hold, the layout is well-formed, and nothing says `None`.

    Formats scenario 37, 50.
    """
    context = replace(CONTEXT, config={"compat": "superdesk"})
    for formatter in FORMATS.values():
        if formatter.can_format(item):
            [formatted] = formatter().format(item, context)
            root = parsed(formatted)
            assert all("None" not in e.attrib.values() for e in root.iter(etree.Element))


@pytest.mark.parametrize("folder", FORMATS)
def test_another_layout_is_refused(folder: str) -> None:
    """A layout that is not there is an error that names the option."""
    context = replace(CONTEXT, config={"compat": "other"})

    with pytest.raises(FormatError) as caught:
        FORMATS[folder]().format(reference(f"{INPUTS}/text.json"), context)

    assert "config.compat" == caught.value.field


def test_the_body_is_written_in_full() -> None:
    """Lists, tables and links, which Superdesk loses, are there in this layout too.

    Formats scenario 37.
    """
    [formatted] = NITFFormatter().format(reference(f"{INPUTS}/text.json"), compat())

    content = etree.fromstring(formatted.data).find(".//body.content")
    assert content is not None
    for tag in ("ul/li", "hl2", "p/a", "bq/block/p", "table/tr/td"):
        assert content.find(tag) is not None

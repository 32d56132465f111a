"""Each field in each format and state, where `docs/formats-matrix.md` says, by readers not ours."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Any

import pytest
from lxml import html

from apps.core.errors import FormatError
from formatters import BUILT_IN
from formatters.atom import atom_feed
from formatters.feed import feed_entry
from formatters.json_feed import json_feed
from formatters.rss import rss_feed
from tests.support.feeds import FEED
from tests.support.format_items import CONTEXT, SPREADSHEET
from tests.support.format_matrix import Cell, matrix
from tests.support.format_readers import READERS, Reader, followed
from tests.support.matrix_items import PICTURE, PICTURE_STORY, STATES, STORY

FORMATS = {formatter.type: formatter for formatter in BUILT_IN}
FEEDS = {"atom": atom_feed, "rss": rss_feed, "json feed": json_feed}
FAMILY = {"ninjs": ("ninjs", "ninjs2", "newsroom ninjs", "ftp ninjs")}
"""Columns that stand for several formats."""
STORIES, PICTURES, BECAME = "Stories", "Pictures of a story", "What became of an item"
ATTACHED = {"email": {"attach_media": True}}
DIGITAL_SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
NOTICES = ("killed", "taken down")
WITHDRAWN = (*NOTICES, "unpublished")
OTHERWISE = {
    *(("ninjs2", row) for row in ("_current_version", "corrected")),
    *(("ftp ninjs", f"renditions.{name}") for name in ("original", "viewImage", "thumbnail")),
    ("newsroom ninjs", "renditions.thumbnail"),
}
"""What a format of the family has otherwise: another count of versions, other files."""


@cache
def read(name: str, state: str, *, has_pictures: bool) -> Reader | None:
    """Return the item in a format and a state, None where it is refused or left out."""
    item = {**(PICTURE_STORY if has_pictures else STORY), **STATES[state]}
    context = replace(CONTEXT, sequence_number=7, config=ATTACHED.get(name, {}))
    if write := FEEDS.get(name):
        # The service of feeds leaves out what is under an embargo.
        entries = [] if state == "under embargo" else [feed_entry(item, context)]
        return READERS[name](write(FEED, entries))
    try:
        [part] = FORMATS[name]().format(item, context)
    except FormatError:
        return None
    return READERS[name](part.data)


def cells(section: str) -> list[Any]:
    """Return the cells of a section, one for each format."""
    return list(_cells(section))


def _cells(section: str) -> Iterator[Any]:
    for cell in matrix(section):
        for name in FAMILY.get(cell.format, (cell.format,)):
            if (name, ".".join(cell.row.split(".")[:2])) in OTHERWISE:
                continue
            yield pytest.param(replace(cell, format=name), id=f"{cell.row}-{name}")


def values(item: Mapping[str, Any], field: str) -> list[str]:
    """Return what a reader has to find of a field."""
    if field == "attachments.title":
        return [SPREADSHEET["title"]]
    return list(dict.fromkeys(map(_needle, followed(item, field))))


def _needle(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    text = str(value).removeprefix(DIGITAL_SOURCE_TYPES)
    return str(html.fromstring(text).text_content()) if text.startswith("<") else text


MOMENT = re.compile(r"\d{4}-?\d\d-?\d\dT\d\d:?\d\d:?\d\d")


def _plain(text: str) -> str:
    """Return a text without what formats may write otherwise: case, blanks, signs in times."""
    if moment := MOMENT.match(text):
        return re.sub(r"\D", "", moment[0])
    return " ".join(text.casefold().split())


def is_found(wanted: str, found: list[str]) -> bool:
    """Whether one of the texts that were found says what was wanted; a number is all of it."""
    plain = _plain(wanted)
    if plain.isdigit() and len(plain) < 5:
        return any(plain == re.sub(r"[N B]", "", text) for text in found)
    return any(plain in _plain(text) or wanted in text for text in found)


def is_there(cell: Cell, state: str) -> bool:
    """Whether a field is there in a state."""
    if cell.format in FEEDS and state in (*WITHDRAWN, "under embargo"):
        return False
    if cell.format == "jsonld" and state == "under embargo":
        return False
    is_of_version = cell.section == PICTURES or cell.row.startswith(("extra.", "attachments"))
    if state in NOTICES and is_of_version:
        return False
    return bool(cell.place) and cell.state in ("", state)


def check(cell: Cell, *items: Mapping[str, Any]) -> None:
    """Fail unless each value is at its place in all states that have one, and else nowhere.

    Args:
        items: which have the field: a story, or pictures of one.
    """
    has_pictures = items[0] is not STORY
    for state, changes in STATES.items():
        known = items if has_pictures else [{**STORY, **changes}]
        wanted = [value for item in known for value in values(item, cell.row)]
        assert wanted
        if has_pictures and (cell.format, state) == ("newsmlg2", "unpublished"):
            # They are no items of their own then; NITF inside the story names them all the same.
            continue
        document = read(cell.format, state, has_pictures=has_pictures)
        if document is None:
            assert not is_there(cell, state)
            continue
        if is_there(cell, state):
            found = document.at(cell.place)
            missing = [value for value in wanted if not is_found(value, found)]
            assert not missing, (state, found)
        elif len(unique := wanted[0]) > 4:
            # Short values, such as an urgency, may stand for something else.
            assert unique.casefold() not in document.everything.casefold(), state


@pytest.mark.parametrize("cell", cells(STORIES))
def test_a_field_of_a_story(cell: Cell) -> None:
    check(cell, STORY)


@pytest.mark.parametrize("cell", cells(PICTURES))
def test_a_field_of_the_pictures_of_a_story(cell: Cell) -> None:
    """Of each picture, but for mails: they have the one that is attached."""
    is_of_all = cell.place and cell.format != "email"
    check(cell, PICTURE, *([PICTURE_STORY["associations"]["editor_0"]] if is_of_all else []))


@pytest.mark.parametrize("cell", cells(BECAME))
def test_what_became_of_an_item(cell: Cell) -> None:
    document = read(cell.format, cell.row, has_pictures=True)
    if cell.words == "refused":
        assert document is None
        return
    assert document is not None
    if cell.place:
        assert is_found(cell.said, document.at(cell.place)), document.at(cell.place)
    elif cell.words:
        assert document.at("title") == []
        assert (cell.words == "tombstone") is ("deleted-entry" in document.source)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("name", [*FORMATS, *FEEDS])
def test_a_withdrawn_picture_is_nowhere(name: str, state: str) -> None:
    document = read(name, state, has_pictures=True)

    for text in ("gonehead", "gonecaption", "gonefile"):
        assert document is None or text not in document.everything.casefold()


def test_the_page_has_every_field_and_format() -> None:
    """Nothing of the two items is left out, and no format."""
    columns = {cell.format for cell in matrix(STORIES)}
    shown = {cell.row.partition(".")[0] for cell in matrix(STORIES)}
    told = {"_id", "item_id", "type", "format", "state", "pubstatus", "operation"}
    family = {name for names in FAMILY.values() for name in names}

    assert columns | family == {*FORMATS, *FEEDS}
    assert set(STORY) - told == shown
    for section in (PICTURES, BECAME):
        assert {cell.format for cell in matrix(section)} == columns
    assert {cell.row for cell in matrix(BECAME)} == set(STATES)

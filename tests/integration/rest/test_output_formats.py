"""The list of output formats (formats contract 1.4)."""

from typing import Any

from apps.graph.build import Graph
from formatters import build_registry

NINE = {
    "Adobe InDesign (IDML)": "idml",
    "Email": "email",
    "NewsML 1.2": "newsml12",
    "NewsML G2": "newsmlg2",
    "Newsroom NINJS": "newsroom ninjs",
    "NINJS": "ninjs",
    "NINJS FTP": "ftp ninjs",
    "NINJSv2": "ninjs2",
    "NITF": "nitf",
}


def test_lists_the_formats_by_name(editor: Any) -> None:
    """Formats scenario 1: exactly nine types, sorted; `imatrics` is not among them."""
    rows = editor.get("output_formats").get_json()["_items"]

    assert [*NINE.items()] == [(row["name"], row["type"]) for row in rows]


def test_lists_what_goes_beyond_them_when_asked(editor: Any) -> None:
    """With `extra`, every format with a display name is listed once."""
    rows = editor.get("output_formats", extra="true").get_json()["_items"]

    expected = sorted(
        ((f.name, f.type) for f in build_registry() if f.name), key=lambda pair: pair[0].lower()
    )
    assert [(row["name"], row["type"]) for row in rows] == expected
    assert ("Markdown", "markdown") in expected


def test_counts_the_formats(editor: Any, graph: Graph) -> None:
    """The total is the number of formats, although none is stored."""
    body = editor.get("output_formats").get_json()

    assert body["_meta"]["total"] == len(body["_items"]) > 0
    assert graph.db["output_formats"].count_documents({}) == 0


def test_needs_a_login(anonymous: Any) -> None:
    """Nobody sees the list without a session."""
    assert anonymous.get("output_formats").status_code == 401


def test_cannot_be_written(admin: Any) -> None:
    """Formats are code, so there is no POST."""
    assert admin.post("output_formats", {"type": "x", "name": "x"}).status_code == 405

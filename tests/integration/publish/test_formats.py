"""Every built-in format through the whole pipeline: published, formatted, written into a file."""

import json
from pathlib import Path

import pytest

from formatters import BUILT_IN
from tests.support.newsdesk import Newsdesk
from tests.support.newsroom import file_in


@pytest.fixture
def eager() -> bool:
    """Tasks run at once."""
    return True


@pytest.mark.parametrize("formatter", BUILT_IN, ids=lambda cls: cls.type)
def test_every_format_reaches_its_destination(
    desk: Newsdesk, tmp_path: Path, formatter: type
) -> None:
    """A story in each format ends as one file with the format's extension."""
    kind: str = formatter.type  # type: ignore[attr-defined]
    desk.newsroom.subscriber("Files", {**file_in(tmp_path), "format": kind})

    desk.published(headline="Rivers rise")

    (file,) = tmp_path.iterdir()
    assert formatter.file_extension == file.suffix[1:]  # type: ignore[attr-defined]
    assert b"rivers rise" in file.read_bytes().lower()
    assert "success" == desk.row()["state"]


def test_newsroom_names_the_products_that_match(desk: Newsdesk, tmp_path: Path) -> None:
    """Products are those that take the item, whoever may have them."""
    product = desk.newsroom.product("Everything")
    destination = {**file_in(tmp_path), "format": "newsroom ninjs"}
    desk.newsroom.subscriber("Files", destination, products=[product])
    desk.newsroom.product("Elsewhere", geo_restrictions="QLD")

    desk.published()

    (file,) = tmp_path.iterdir()
    products = json.loads(file.read_text("utf-8"))["products"]
    assert [{"code": str(product), "name": "Everything"}] == products

"""Names of delivered files."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.deliveries import build_delivery
from transmitters.file_names import file_name


@pytest.mark.parametrize(
    ("item_id", "expected"),
    [
        ("urn:newsml:example.com:2026:a", "urn-newsml-example.com-2026-a-2-7.json"),
        ("tag:localhost:2026:b", "tag-localhost-2026-b-2-7.json"),
        ("plain", "plain-2-7.json"),
        ("a/b\\c", "a-b-c-2-7.json"),
        ("../../etc", "----etc-2-7.json"),
        ("a\x00\n\x7f\x85b", "a----b-2-7.json"),
        ("Zoë 新聞", "Zoë 新聞-2-7.json"),
        ("\ud800", "--2-7.json"),
        ("", "-2-7.json"),
    ],
)
def test_id_is_made_safe(item_id: str, expected: str) -> None:
    """Colons become hyphens, and so does whatever could leave a directory (delivery contract 5)."""
    assert expected == file_name(build_delivery(item_id=item_id))


@pytest.mark.parametrize(
    ("extension", "expected"),
    [
        (None, "ntf"),
        ("", "ntf"),
        ("  ", "ntf"),
        ("txt", "txt"),
        (".txt", "txt"),
        ("a/../b", "a---b"),
        (7, "7"),
        ("x" * 99, "x" * 20),
    ],
)
def test_extension(extension: object, expected: str) -> None:
    """The destination's extension wins unless it is empty; it is made safe like the id."""
    name = file_name(build_delivery(item_id="a", file_extension="ntf"), extension)

    assert f"a-2-7.{expected}" == name


def test_versions_and_numbers_differ() -> None:
    """Each version and each sequence number is a file of its own."""
    names = {
        file_name(build_delivery(item_version=version, sequence_number=number))
        for version in (1, 2)
        for number in (1, 2)
    }

    assert len(names) == 4


def test_long_ids_stay_apart() -> None:
    """Ids too long for a file system are cut, and still told apart."""
    long, longer = (file_name(build_delivery(item_id="é" * size)) for size in (500, 501))

    assert long != longer
    assert len(longer.encode()) <= 200


@given(item_id=st.text(alphabet=st.characters()), extension=st.text(alphabet=st.characters()))
def test_any_name_is_one_safe_component(item_id: str, extension: str) -> None:
    """Whatever the id and the extension, the name is one path component that can be written."""
    name = file_name(build_delivery(item_id=item_id), extension)

    assert 0 < len(name.encode()) <= 200
    assert not re.search(r"[/\\:\x00-\x1f\x7f]|\.\.", name)
    assert name == file_name(build_delivery(item_id=item_id), extension)

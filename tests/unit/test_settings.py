"""Settings: how they are read, and that the reference lists them all."""

import re
from pathlib import Path
from typing import Any

import pytest

import settings
from apps.core.errors import ConfigurationError

REFERENCE = Path(__file__).parent.parent.parent / "docs" / "settings.md"


def test_the_reference_lists_exactly_the_settings() -> None:
    """Every setting is documented, and nothing else is."""
    documented = set(re.findall(r"^\| `([A-Z0-9_]+)` \|", REFERENCE.read_text(), re.MULTILINE))

    assert set(settings.load(environ={})) == documented


@pytest.mark.parametrize(
    ("name", "raw", "value"),
    [
        ("PORT", "8080", 8080),
        ("CELERY_TASK_ALWAYS_EAGER", "true", True),
        ("CELERY_TASK_ALWAYS_EAGER", "1", True),
        ("HTTP_PUSH_TIMEOUT", "[1, 2]", [1, 2]),
        ("SCHEMA", '{"text": {}}', {"text": {}}),
        ("DEFAULT_TIMEZONE", "Europe/Prague", "Europe/Prague"),
        ("CONTENT_EXPIRY_MINUTES", "99", 99),
        ("SECRET_KEY", "12345", "12345"),
        ("CONTENT_EXPIRY_MINUTES", "null", None),
    ],
)
def test_a_value_that_parses_as_json_is_json(name: str, raw: str, value: Any) -> None:
    """Environment variables hold JSON or text."""
    assert value == settings.load(environ={name: raw})[name]


def test_all_bad_settings_are_reported_together() -> None:
    """One start names every wrong setting, its value and the accepted form."""
    bad = {
        "PORT": "high",
        "LEGAL": "ignored",
        "CELERY_TASK_ALWAYS_EAGER": "maybe",
        "SCHEMA": "[]",
        "HTTP_PUSH_TIMEOUT": "5",
        "LOG_LEVEL": "LOUD",
    }

    with pytest.raises(ConfigurationError) as caught:
        settings.load(environ=bad)

    lines = str(caught.value).splitlines()
    named = {line.partition(" is ")[0] for line in lines}
    assert {"PORT", "LOG_LEVEL", "CELERY_TASK_ALWAYS_EAGER", "SCHEMA", "HTTP_PUSH_TIMEOUT"} == named


def test_a_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    """`<NAME>_FILE` names a file that holds the value."""
    file = tmp_path / "key"
    file.write_text("from the file\n")

    assert "from the file" == settings.load(environ={"SECRET_KEY_FILE": str(file)})["SECRET_KEY"]


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({}, "wiredesk"),
        ({"MONGO_URI": "mongodb://host/news?retryWrites=false"}, "news"),
        ({"MONGO_URI": "mongodb://host/news", "MONGO_DBNAME": "other"}, "other"),
    ],
)
def test_the_database_is_named_by_setting_or_address(environ: dict[str, str], name: str) -> None:
    """The name in the address counts when MONGO_DBNAME is not set."""
    assert name == settings.load(environ=environ)["MONGO_DBNAME"]


@pytest.mark.parametrize("part", ["CONTENTAPI_MONGO", "LEGAL_ARCHIVE"])
@pytest.mark.parametrize(
    ("uri", "dbname", "name"),
    [
        (None, None, None),
        (None, "mine", "mine"),
        ("mongodb://host/named", None, "named"),
        ("mongodb://host/named", "mine", "mine"),
    ],
)
def test_a_part_has_a_database_of_its_own_where_one_is_named(
    part: str, uri: str | None, dbname: str | None, name: str | None
) -> None:
    """By its address, by its name on the main server, or by both."""
    given = {f"{part}_URI": uri, f"{part}_DBNAME": dbname}
    environ = {key: value for key, value in given.items() if value}

    assert name == settings.load(environ=environ)[f"{part}_DBNAME"]


def test_a_server_of_its_own_has_a_database_by_default() -> None:
    """Where nothing names the database, it is called after what it holds."""
    uris = {"CONTENTAPI_MONGO_URI": "mongodb://host", "LEGAL_ARCHIVE_URI": "mongodb://host/"}
    loaded = settings.load(environ=uris)

    assert ("contentapi", "legal_archive") == (
        loaded["CONTENTAPI_MONGO_DBNAME"],
        loaded["LEGAL_ARCHIVE_DBNAME"],
    )


def test_overrides_win_over_the_environment() -> None:
    """Programs that embed Wiredesk have the last word."""
    assert 1 == settings.load({"PORT": 1}, environ={"PORT": "2"})["PORT"]

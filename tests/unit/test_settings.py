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


def test_overrides_win_over_the_environment() -> None:
    """Programs that embed Wiredesk have the last word."""
    assert 1 == settings.load({"PORT": 1}, environ={"PORT": "2"})["PORT"]

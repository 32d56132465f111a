"""Settings: how they are read, and that the reference lists them all."""

import json
from pathlib import Path
from typing import Any

import pytest

import settings
from apps.commands.show_settings import reference_of
from apps.core.env import Setting
from apps.core.errors import ConfigurationError

REFERENCE = Path(__file__).parent.parent.parent / "docs" / "settings.md"


def test_the_reference_is_that_of_the_settings() -> None:
    """Every setting is documented with its default and meaning, and nothing else is.

    To mend the page, replace its tables by what `manage.py settings --reference` prints.
    """
    page = REFERENCE.read_text(encoding="utf-8")
    tables = page[page.index("## Processes") : page.index("\n\n## Picture metadata")]

    assert reference_of(settings.SECTIONS) == tables


def test_a_setting_is_stated_once() -> None:
    """Each has a form of its own, and `load` returns all of them."""
    names = [setting.name for setting in settings.SETTINGS]

    assert sorted(settings.load(environ={})) == sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("setting", settings.SETTINGS, ids=lambda setting: setting.name)
def test_a_default_is_a_value_that_the_setting_takes(setting: Setting) -> None:
    """What the reference shows can be set."""
    if setting.default is not None:
        said = setting.default if setting.accepted == "text" else json.dumps(setting.default)
        assert setting.read({setting.name: said}) == setting.default


@pytest.mark.parametrize(("old", "name"), settings.RENAMED.items())
def test_an_earlier_name_is_not_passed_over(old: str, name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{old} is called {name}$"):
        settings.load(environ={old: "false"})

    assert old not in settings.load(environ={name: "[]" if "NETWORKS" in name else "false"})


def test_a_default_belongs_to_one_caller() -> None:
    """Who changes a list of the settings changes nobody else's."""
    settings.load(environ={})["ADMINS"].append("me")

    assert settings.load(environ={})["ADMINS"] == []


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
        ("MONGO_URI", "null", None),
        ("PUBLISH_ASSOCIATIONS_RESEND", "false", False),
    ],
)
def test_a_value_that_parses_as_json_is_json(name: str, raw: str, value: Any) -> None:
    """Environment variables hold JSON or text."""
    assert value == settings.load(environ={name: raw})[name]


def test_all_bad_settings_are_reported_together() -> None:
    """One start names every wrong setting, its value and the accepted form."""
    bad = {
        "PORT": "high",
        "WSPORT": "true",
        "SECRET_KEY_FILE": "/no/such/file",
        "LEGAL": "ignored",
        "CELERY_TASK_ALWAYS_EAGER": "maybe",
        "SCHEMA": "[]",
        "HTTP_PUSH_TIMEOUT": "5",
        "LOG_LEVEL": "LOUD",
    }

    with pytest.raises(ConfigurationError) as caught:
        settings.load(environ=bad)

    lines = str(caught.value).splitlines()
    assert {line.split()[0] for line in lines} == bad.keys() - {"LEGAL"}
    assert "PORT is 'high', but must be a number" in lines


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("TRANSMIT_THREADS", "0"),
        ("TRANSMIT_THREADS", "null"),
        ("LEASE_SECONDS", "-60"),
        ("LEASE_SECONDS", "NaN"),
        ("PORT", "Infinity"),
        ("RETRY_JITTER", "-0.1"),
        ("MAX_TRANSMIT_RETRY_ATTEMPT", "1e999"),
    ],
)
def test_a_number_with_which_nothing_works_is_refused(name: str, raw: str) -> None:
    """At the start, with what is needed; not by a process that breaks at its work."""
    with pytest.raises(ConfigurationError, match=f"^{name} is .*, but must be a number"):
        settings.load(environ={name: raw})


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

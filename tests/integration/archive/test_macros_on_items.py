"""Macros on items at the HTTP edge: on create, on fetch, and those of stages."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.clients import Client
from tests.support.newsroom import Newsroom

SOURCE = "tag:wire:1"
Macro = Callable[..., None]


@pytest.fixture
def settings(settings: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    return {**settings, "MACROS_DIR": str(tmp_path)}


@pytest.fixture
def macro(tmp_path: Path) -> Macro:
    """Write a macro whose callback consists of `lines`."""

    def store(name: str, *lines: str) -> None:
        body = "".join(f"    {line}\n" for line in lines)
        text = f"label = '{name.title()}'\ndef callback(item, stage=None, **context):\n{body}"
        (tmp_path / f"{name}.py").write_text(text)

    return store


@pytest.fixture
def newsroom(graph: Graph) -> Newsroom:
    newsroom = Newsroom(graph.db)
    graph.db["ingest"].insert_one({"_id": SOURCE, "type": "text", "state": "ingested"})
    return newsroom


def on_stages(newsroom: Newsroom, stage: str, **macros: str) -> None:
    newsroom.db["stages"].update_one({"_id": newsroom.desk[stage]}, {"$set": macros})


class TestCreate:
    def test_runs_on_the_complete_item(
        self, admin: Client, newsroom: Newsroom, macro: Macro
    ) -> None:
        """At the end of all that happens on create; the name is not stored.

        Lifecycle contract 1.2.
        """
        macro("shout", "item['headline'] = item['headline'].upper()", "item['guid'] = 'stolen'")

        item = admin.create("archive", newsroom.story(headline="quiet", macro="shout"))

        assert ("QUIET", item["_id"], 1) == (
            item["headline"],
            item["guid"],
            item["_current_version"],
        )
        assert "macro" not in admin.get(f"archive/{item['_id']}").get_json()

    def test_a_save_has_none(self, admin: Client, newsroom: Newsroom, macro: Macro) -> None:
        """It is for creation only; a save that names one is a save."""
        macro("shout", "item['headline'] = 'LOUD'")
        item = admin.create("archive", newsroom.story(headline="quiet"))

        saved = admin.patch(f"archive/{item['_id']}", {"macro": "shout", "ednote": "x"}).get_json()

        assert ("quiet", False) == (saved["headline"], "macro" in saved)

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("unknown", "Macro not found: unknown"),
            ("fails", "Error:no place in macro:Fails"),
        ],
    )
    def test_stores_nothing_when_it_cannot_run(
        self, admin: Client, newsroom: Newsroom, macro: Macro, name: str, text: str
    ) -> None:
        """The answer says which macro, and why."""
        macro("fails", "raise ValueError('no place')")

        answer = admin.post("archive", newsroom.story(macro=name))

        assert (400, text) == (answer.status_code, answer.get_json()["_message"])
        assert 0 == newsroom.db["archive"].count_documents({})


class TestFetch:
    def test_changes_what_is_fetched(self, admin: Client, newsroom: Newsroom, macro: Macro) -> None:
        """Resources contract 12: the item and its state, unless the request says another."""
        macro("prepare", "item.update(headline='Prepared', state='in_progress')")
        body = {"desk": str(newsroom.desk["_id"]), "macro": "prepare"}

        item = admin.create(f"ingest/{SOURCE}/fetch", body)
        other = admin.create(f"ingest/{SOURCE}/fetch", {**body, "state": "submitted"})

        assert ("Prepared", "in_progress") == (item["headline"], item["state"])
        assert ("Prepared", "submitted") == (other["headline"], other["state"])
        source = newsroom.db["ingest"].find_one({"_id": SOURCE}) or {}
        assert "headline" not in source

    def test_obeys_the_stage(self, admin: Client, newsroom: Newsroom, macro: Macro) -> None:
        """What comes to the incoming stage goes through its macro."""
        macro("stamp", "item['ednote'] = stage['name']")
        on_stages(newsroom, "incoming_stage", incoming_macro="stamp")

        item = admin.create(f"ingest/{SOURCE}/fetch", {"desk": str(newsroom.desk["_id"])})

        assert "In" == item["ednote"]


class TestStages:
    @pytest.fixture
    def story(self, admin: Client, newsroom: Newsroom) -> Document:
        return admin.create("archive", newsroom.story(headline="0"))

    def move(self, admin: Client, newsroom: Newsroom, story: Document) -> Any:
        task = {**newsroom.task, "stage": str(newsroom.desk["incoming_stage"])}
        return admin.post(f"archive/{story['_id']}/move", {"task": task})

    def test_run_in_order(
        self, admin: Client, newsroom: Newsroom, macro: Macro, story: Document
    ) -> None:
        """Outgoing of the stage that is left, incoming and onstage of the one that is entered."""
        for name in ("out", "into", "on"):
            macro(name, f"item['headline'] += ' {name}'", "item['state'] = 'killed'")
        on_stages(newsroom, "working_stage", outgoing_macro="out", incoming_macro="never")
        on_stages(
            newsroom,
            "incoming_stage",
            incoming_macro="into",
            onstage_macro="on",
            outgoing_macro="never",
        )

        answer = self.move(admin, newsroom, story)

        assert 201 == answer.status_code, answer.text
        item = admin.get(f"archive/{story['_id']}").get_json()
        assert ("0 out into on", "submitted", 2) == (
            item["headline"],
            item["state"],
            item["_current_version"],
        )

    @pytest.mark.parametrize(
        ("rule", "stage", "name"),
        [
            ("outgoing", "working_stage", "Working"),
            ("incoming", "incoming_stage", "In"),
            ("onstage", "incoming_stage", "In"),
        ],
    )
    def test_refuse_the_move(
        self,
        admin: Client,
        newsroom: Newsroom,
        macro: Macro,
        story: Document,
        rule: str,
        stage: str,
        name: str,
    ) -> None:
        """The message names rule, macro and stage; the item stays where it is.

        Resources contract 12.
        """
        macro("guard", "raise ValueError('not yet')")
        on_stages(newsroom, stage, **{f"{rule}_macro": "guard"})

        answer = self.move(admin, newsroom, story)

        text = f"Error:not yet in {rule} rule:Guard for stage:{name}"
        assert (400, text) == (answer.status_code, answer.get_json()["_message"])
        assert story["task"] == admin.get(f"archive/{story['_id']}").get_json()["task"]

    def test_run_on_a_duplicate(
        self, admin: Client, newsroom: Newsroom, macro: Macro, story: Document
    ) -> None:
        """A copy comes to its stage, the source stays as it is."""
        macro("into", "item['headline'] = 'Copied'")
        on_stages(newsroom, "working_stage", incoming_macro="into")

        body = {"desk": str(newsroom.desk["_id"]), "type": "archive"}
        copied = admin.create(f"archive/{story['_id']}/duplicate", body)

        assert "Copied" == copied["headline"]
        assert "0" == admin.get(f"archive/{story['_id']}").get_json()["headline"]


class TestTranslation:
    @pytest.fixture
    def settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        return {**settings, "UPDATE_TRANSLATION_METADATA_MACRO": "metadata"}

    @pytest.fixture(autouse=True)
    def macros(self, macro: Macro, tmp_path: Path) -> None:
        """Two that know languages, and that of the setting; each says what it got."""
        for name, languages in (
            ("dollars", "from_languages = ['en-CA']\nto_languages = ['en-AU', 'de']\n"),
            ("quotes", "to_languages = ['de']\n"),
        ):
            said = 'f\' {context["from_language"]}>{context["to_language"]}\''
            macro(name, f"item['headline'] += ' {name}' + {said}", "item['guid'] = 'stolen'")
            path = tmp_path / f"{name}.py"
            path.write_text(path.read_text() + languages)
        macro("metadata", "item['headline'] += ' ' + item['language']", "item['language'] = 'xx'")

    @pytest.mark.parametrize(
        ("source", "language", "headline"),
        [
            ("en-CA", "en-AU", "x dollars en-CA>en-AU en-AU"),
            ("en-CA", "de", "x dollars en-CA>de quotes en-CA>de de"),
            ("en", "de", "x quotes en>de de"),
            ("en", "fr", "x fr"),
        ],
    )
    def test_macros_of_its_languages_change_it(
        self, admin: Client, newsroom: Newsroom, source: str, language: str, headline: str
    ) -> None:
        """All of them, then that of the setting; the source stays. Resources contract 12."""
        item = admin.create("archive", newsroom.story(headline="x", language=source))

        body = {"guid": item["_id"], "language": language}
        translated = admin.create("archive/translate", body)

        assert (translated["headline"], translated["language"]) == (headline, language)
        assert translated["_id"] == translated["guid"] != "stolen"
        assert admin.get(f"archive/{item['_id']}").get_json()["headline"] == "x"

    def test_nothing_is_stored_when_one_fails(
        self, admin: Client, newsroom: Newsroom, macro: Macro
    ) -> None:
        """Of a package neither, whichever of its members it fails on."""
        macro("metadata", "if 'bad' in item['headline']: raise ValueError('no')")
        good, bad = (
            admin.create("archive", newsroom.story(headline=text)) for text in ("good", "bad")
        )
        refs = [{"residRef": member["_id"]} for member in (good, bad)]
        groups = [{"id": "root", "refs": [{"idRef": "main"}]}, {"id": "main", "refs": refs}]
        package = newsroom.story(type="composite", headline="x", groups=groups)
        package_id = admin.create("archive", package)["_id"]

        answer = admin.post("archive/translate", {"guid": package_id, "language": "de"})

        message = "Error:no in macro:Metadata"
        assert (answer.status_code, answer.get_json()["_message"]) == (400, message)
        assert newsroom.db["archive"].count_documents({}) == 3

"""Translators are told when their story is corrected (lifecycle contract 5.6)."""

from typing import Any

import pytest

from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.clients import Client, log_in, make_user
from tests.support.dying import complete_abandoned, dies
from tests.support.events import Events
from tests.support.mailbox import Mailbox
from tests.support.newsdesk import Newsdesk


@pytest.fixture
def translator(app: Any, graph: Graph) -> Client:
    make_user(graph, "translator", user_type="administrator", display_name="Tove")
    return log_in(app, "translator")


@pytest.fixture
def translated(desk: Newsdesk, translator: Client) -> tuple[Document, Document]:
    """A published story and its translation by somebody else."""
    story = desk.published()
    request = {"guid": story["_id"], "language": "sv", "desk": desk.newsroom.task["desk"]}
    return story, translator.create("archive/translate", request)


def activities(graph: Graph) -> list[Document]:
    return list(graph.db["activity"].find())


def test_by_activity(
    desk: Newsdesk,
    graph: Graph,
    translator: Client,
    translated: tuple[Document, Document],
    events: Events,
) -> None:
    """The translator sees what was corrected, by whom, and which translation it concerns."""
    story, translation = translated
    graph.db["users"].update_one({"username": "admin"}, {"$set": {"display_name": "Ada Bell"}})

    desk.act("correct", story, headline="Rivers fall")

    (activity,) = translator.get("activity").get_json()["_items"]
    user_id = translator.session["user"]
    assert activity["name"] == "translated:changed"
    assert activity["recipients"] == [{"user_id": user_id, "read": False}]
    assert (activity["item"], activity["resource"]) == (translation["_id"], "archive")
    assert activity["user_name"] == "Ada Bell"
    assert activity["data"] == {
        "headline": "Rivers fall",
        "language": "sv",
        "original": story["_id"],
        "version": 3,
    }
    (told,) = events.named("activity")
    assert told["_dest"] == activity["recipients"]
    assert told["activity"]["item"] == translation["_id"]


def test_by_mail(desk: Newsdesk, translated: tuple[Document, Document], mailbox: Mailbox) -> None:
    """With the corrected text, to the translator alone."""
    desk.act("correct", translated[0], headline="Rivers fall", body_html="<p>They fell.</p>")

    assert mailbox.recipients == [["translator@example.com"]]
    message = mailbox.received[0][1]
    assert message["Subject"] == "Corrected: Rivers fall"
    assert "They fell." in message.get_content()
    assert "- Rivers rise (sv)" in message.get_content()


@pytest.mark.parametrize(
    ("change", "mails"),
    [
        ({"user_preferences": {"email:notification": {"enabled": False}}}, 0),
        ({"user_preferences": {"email:notification": {"enabled": True}}}, 1),
        ({"email": None}, 0),
    ],
)
def test_who_does_not_want_mails_gets_none(
    desk: Newsdesk,
    graph: Graph,
    translated: tuple[Document, Document],
    mailbox: Mailbox,
    change: Document,
    mails: int,
) -> None:
    """The activity is written all the same."""
    graph.db["users"].update_one({"username": "translator"}, {"$set": change})

    desk.act("correct", translated[0])

    assert (len(mailbox.received), len(activities(graph))) == (mails, 1)


@pytest.mark.parametrize("state", ["spiked", "killed", "recalled"])
def test_a_translation_that_is_gone_tells_nobody(
    desk: Newsdesk,
    graph: Graph,
    translated: tuple[Document, Document],
    mailbox: Mailbox,
    state: str,
) -> None:
    story, translation = translated
    graph.db["archive"].update_one({"_id": translation["_id"]}, {"$set": {"state": state}})

    desk.act("correct", story)

    assert (len(mailbox.received), activities(graph)) == (0, [])


def test_users_who_are_switched_off_and_the_author_are_not_told(
    desk: Newsdesk, graph: Graph, translated: tuple[Document, Document], translator: Client
) -> None:
    """Who corrects the story knows."""
    story, _translation = translated
    answer = translator.patch(f"archive/correct/{story['_id']}", {})
    assert answer.status_code == 200, answer.text
    assert activities(graph) == []

    graph.db["users"].update_one({"username": "translator"}, {"$set": {"is_active": False}})
    desk.act("correct", story)
    assert activities(graph) == []


@pytest.mark.parametrize("operation", ["kill", "takedown", "unpublish"])
def test_only_corrections_do(
    desk: Newsdesk, graph: Graph, translated: tuple[Document, Document], operation: str
) -> None:
    desk.act(operation, translated[0])
    assert activities(graph) == []


def test_a_correction_that_dies_tells_once(
    desk: Newsdesk, graph: Graph, translated: tuple[Document, Document]
) -> None:
    """Whatever write it dies before: after the completion everybody was told once, or never."""
    story, _translation = translated
    for before in range(1, 20):
        died = dies(graph, "correct", story, before)
        complete_abandoned(graph)
        corrected = graph.db["published"].count_documents({"state": "corrected"})
        assert len(activities(graph)) == corrected
        mails = graph.db["mails"].count_documents({"subject": {"$regex": "^Corrected"}})
        assert mails == corrected
        if not died:
            return
    pytest.fail("more writes than expected")

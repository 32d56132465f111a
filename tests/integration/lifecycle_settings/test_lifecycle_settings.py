"""Settings of the lifecycle: what each changes, as far as no test of a rule shows it.

Lifecycle contract 7.
"""

from datetime import timedelta
from typing import Any

import pytest

import settings as settings_module
from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.newsdesk import START, HandClock, Newsdesk

DEFAULTS = {
    "PUBLISH_ASSOCIATED_ITEMS": False,
    "COPY_METADATA_FROM_PARENT": False,
    "CONTENT_EXPIRY_MINUTES": 0,
    "PUBLISHED_CONTENT_EXPIRY_MINUTES": 0,
    "SPIKE_EXPIRY_MINUTES": None,
    "ARCHIVED_EXPIRY_MINUTES": 0,
    "PUBLISH_QUEUE_EXPIRY_MINUTES": 20160,
    "MAX_EXPIRY_QUERY_LIMIT": 100,
    "MAX_EXPIRY_LOOPS": 100,
    "DEFAULT_SOURCE_VALUE_FOR_MANUAL_ARTICLES": "Superdesk",
    "DEFAULT_PRIORITY_VALUE_FOR_MANUAL_ARTICLES": 6,
    "DEFAULT_URGENCY_VALUE_FOR_MANUAL_ARTICLES": 3,
    "DEFAULT_GENRE_VALUE_FOR_MANUAL_ARTICLES": [{"qcode": "Article", "name": "Article (news)"}],
    "DEFAULT_LANGUAGE": "en",
    "DEFAULT_CONTENT_TYPE": None,
    "URN_DOMAIN": "127.0.0.1",
    "GENERATE_SHORT_GUID": False,
    "SCHEMA": {},
    "AUTO_PUBLISH_CONTENT_PROFILE": True,
    "VALIDATE_MEDIA_METADATA_ON_PUBLISH": True,
    "DISALLOWED_CHARACTERS": [],
    "WORKFLOW_ALLOW_MULTIPLE_UPDATES": False,
    "WORKFLOW_ALLOW_COPY_TO_PERSONAL": True,
    "ALLOW_UPDATING_SCHEDULED_ITEMS": False,
    "CORRECTIONS_WORKFLOW": False,
    "RESET_PRIORITY_VALUE_FOR_UPDATE_ARTICLES": False,
    "COPY_ON_REWRITE_FIELDS": [],
    "UNPUBLISH_TO_MATCHING_SUBSCRIBERS": True,
    "PICTURE_METADATA_MAPPING": {},
    "FULL_SIGN_OFF": False,
    "LEGAL_ARCHIVE": False,
    "BROADCAST_ENABLED": True,
}
SCRIPT = [{"qcode": "Broadcast Script", "name": "Broadcast Script"}]


@pytest.fixture
def changed() -> Document:
    """Settings that the module's tests change."""
    return {}


@pytest.fixture
def settings(settings: dict[str, Any], changed: Document) -> dict[str, Any]:
    return {**settings, **changed}


def test_defaults() -> None:
    loaded = settings_module.load(environ={})
    assert {name: loaded[name] for name in DEFAULTS} == DEFAULTS


class TestSpikeExpiry:
    @pytest.fixture
    def changed(self, request: pytest.FixtureRequest) -> Document:
        return {"CONTENT_EXPIRY_MINUTES": 60, "SPIKE_EXPIRY_MINUTES": request.param}

    @pytest.mark.parametrize(("changed", "minutes"), [(5, 5), (None, 60)], indirect=["changed"])
    def test_counts_from_the_spike(self, desk: Newsdesk, minutes: int) -> None:
        """None leaves it to the rule of desk and stage."""
        item = desk.act("spike", desk.story())
        stored = desk.db["archive"].find_one({"_id": item["_id"]})
        assert stored["expiry"] == START + timedelta(minutes=minutes)


class TestExpiryBatches:
    @pytest.fixture
    def changed(self) -> Document:
        return {"CONTENT_EXPIRY_MINUTES": 60, "MAX_EXPIRY_QUERY_LIMIT": 2, "MAX_EXPIRY_LOOPS": 2}

    def test_a_run_takes_so_many_batches_of_so_many(
        self, desk: Newsdesk, graph: Graph, clock: HandClock
    ) -> None:
        """The next one goes on."""
        for _ in range(5):
            desk.story()
        clock.advance(minutes=61)
        assert [graph.expiry.run(), graph.expiry.run()] == [4, 1]


class TestUrnDomain:
    @pytest.fixture
    def changed(self) -> Document:
        return {"URN_DOMAIN": "agency.example"}

    def test_is_part_of_ids(self, desk: Newsdesk) -> None:
        item = desk.story()
        assert item["guid"].startswith("urn:newsml:agency.example:2030-01-01T12:00:00")
        assert item["event_id"].startswith("tag:agency.example:2030:")


@pytest.mark.parametrize("changed", [{"BROADCAST_ENABLED": on} for on in (True, False)])
class TestBroadcast:
    def test_a_script_keeps_its_genre(self, desk: Newsdesk, changed: Document) -> None:
        item = desk.story(genre=SCRIPT, broadcast={"status": ""})
        other = {"genre": [{"qcode": "Feature", "name": "Feature"}]}
        answer = desk.client.patch(f"archive/{item['_id']}", other)
        assert answer.status_code == (400 if changed["BROADCAST_ENABLED"] else 200)

    def test_a_script_is_no_update(self, desk: Newsdesk, changed: Document) -> None:
        story, script = desk.published(), desk.story(genre=SCRIPT)
        answer = desk.client.post(f"archive/{story['_id']}/rewrite", {"update": script})
        assert answer.status_code == (400 if changed["BROADCAST_ENABLED"] else 201), answer.text

    def test_a_script_goes_to_wire_subscribers(self, desk: Newsdesk, changed: Document) -> None:
        subscriber = desk.newsroom.subscriber("digital", subscriber_type="digital")
        script = desk.published(genre=SCRIPT)
        body = {"subscribers": [str(subscriber)], "version": 2}
        answer = desk.client.post(f"archive/{script['_id']}/resend", body)
        assert answer.status_code == (400 if changed["BROADCAST_ENABLED"] else 201), answer.text

    def test_a_script_is_not_killed_in_the_archive(self, desk: Newsdesk, changed: Document) -> None:
        row = {"item_id": "x", "archived_id": "x:2", "type": "text", "genre": SCRIPT}
        desk.db["archived"].insert_one(row)
        path = f"archived/{row['_id']}"
        answer = desk.client.delete(path)
        assert answer.status_code == (400 if changed["BROADCAST_ENABLED"] else 204), answer.text

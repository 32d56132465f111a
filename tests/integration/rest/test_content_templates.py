"""Content templates and their use, at the HTTP edge (resources contract 17)."""

from typing import Any

import pytest
from bson import ObjectId

from apps.core.service import Document
from apps.graph.build import Graph
from apps.initial_data import load
from tests.support.clients import Client, log_in, make_user
from tests.support.events import Events
from tests.support.newsroom import Newsroom

NOT_UNIQUE = "Template Name is not unique"


@pytest.fixture
def newsroom(graph: Graph) -> Newsroom:
    return Newsroom(graph.db)


@pytest.fixture
def writer(app: Any, graph: Graph) -> Client:
    make_user(graph, "writer", privileges={"archive": 1}, byline="By Writer")
    return log_in(app, "writer")


def template(client: Client, name: str = "Weather", **fields: Any) -> Document:
    body = {"template_name": name, "template_type": "create", **fields}
    return client.create("content_templates", body)


def refusal(answer: Any) -> tuple[int, Any]:
    body = answer.get_json()
    return answer.status_code, body.get("_message") or body["_issues"]


class TestNames:
    @pytest.mark.parametrize("is_public", [True, False])
    def test_are_unique_within_one_post(self, admin: Client, is_public: bool) -> None:
        """All are checked before any is stored."""
        one = {"template_type": "create", "is_public": is_public, "template_name": "Twice"}

        answer = admin.post("content_templates", [one, {**one, "template_name": " twice "}])

        assert answer.status_code == 400
        assert answer.get_json()["_issues"]["template_name"] == NOT_UNIQUE
        assert admin.get("content_templates").get_json()["_items"] == []

    def test_are_trimmed_and_unique(self, admin: Client, writer: Client) -> None:
        """Among the public ones, and among those of one user, whatever their case.

        Resources scenario R62.
        """
        public = template(admin, "  Weather ", is_public=True)
        own = template(writer, "Weather")

        again = writer.post(
            "content_templates", {"template_name": "WEATHER", "template_type": "create"}
        )
        public_again = admin.post(
            "content_templates",
            {"template_name": "weather", "template_type": "create", "is_public": True},
        )

        assert ("weather", "weather") == (public["template_name"], own["template_name"])
        assert (400, {"template_name": NOT_UNIQUE}) == refusal(again)
        assert {"template_name": NOT_UNIQUE, "is_public": NOT_UNIQUE} == refusal(public_again)[1]

    def test_find_public_templates(self, admin: Client, writer: Client) -> None:
        """The look-up by name is for what everybody shares."""
        template(writer, "Weather")
        public = template(admin, "Weather", is_public=True)

        assert public["_id"] == admin.get("content_templates/Weather").get_json()["_id"]


class TestRights:
    def test_of_personal_templates(self, app: Any, graph: Graph, writer: Client) -> None:
        """Others neither see nor change them."""
        own = template(writer)
        make_user(graph, "other", privileges={"archive": 1})
        other = log_in(app, "other")
        path = f"content_templates/{own['_id']}"

        assert 0 == other.get("content_templates").get_json()["_meta"]["total"]
        assert 1 == writer.get("content_templates").get_json()["_meta"]["total"]
        assert 404 == other.get(path).status_code
        assert 404 == other.patch(path, {"template_name": "x"}, etag=own["_etag"]).status_code
        assert 204 == writer.delete(path).status_code

    def test_of_public_templates(self, admin: Client, writer: Client) -> None:
        """They are for those who may manage them; everybody reads them."""
        public = template(admin, is_public=True)
        path = f"content_templates/{public['_id']}"

        made = writer.post(
            "content_templates",
            {"template_name": "x", "template_type": "create", "is_public": True},
        )
        changed = writer.patch(path, {"template_name": "x"})
        removed = writer.delete(path)

        text = "You dont have the privilege to {} the public template"
        assert (400, text.format("create")) == refusal(made)
        assert {"validator exception": f"400: {text.format('update')}"} == refusal(changed)[1]
        assert (400, text.format("delete")) == refusal(removed)


class TestKinds:
    @pytest.mark.parametrize("field", ["template_desks", "data"])
    def test_kills_have_neither_desk_nor_dateline(
        self, admin: Client, newsroom: Newsroom, field: str
    ) -> None:
        """Resources scenario R62: they are public, for all desks, and stay."""
        values = {"template_desks": [newsroom.task["desk"]], "data": {"dateline": {}}}
        body = {"template_name": "kill", "template_type": "kill", field: values[field]}

        refused = refusal(admin.post("content_templates", body))

        assert refused == (
            400,
            "Invalid kill template. schedule, dateline, template_desks, schedule_desk, "
            "schedule_stage are not allowed",
        )

    def test_kills_are_public_for_ever(self, admin: Client) -> None:
        """Resources scenario R62: neither hidden nor deleted."""
        kill = template(admin, "kill", template_type="kill")
        path = f"content_templates/{kill['_id']}"

        hidden = admin.patch(path, {"is_public": False})
        deleted = admin.delete(path)

        assert kill["is_public"]
        text = "400: Kill templates must be public"
        assert {"validator exception": text} == refusal(hidden)[1]
        assert (400, "Kill templates can not be deleted.") == refusal(deleted)

    def test_highlights_are_for_one_desk(self, admin: Client, newsroom: Newsroom) -> None:
        """Only what items are created with may be for several."""
        desks = [newsroom.task["desk"], str(newsroom._desk("Culture")["_id"])]

        several = template(admin, template_desks=desks)
        refused = admin.post(
            "content_templates",
            {"template_name": "h", "template_type": "highlights", "template_desks": desks},
        )

        assert desks == several["template_desks"]
        text = "Templates that are not create type can only be assigned to one desk!"
        assert (400, text) == refusal(refused)

    def test_changes_are_merged(self, admin: Client, settings: Any) -> None:
        """A PATCH of some data keeps the rest; clients are told."""
        made = template(admin, data={"headline": "a", "slugline": "b"})

        with Events(settings["REDIS_URL"], settings["NOTIFICATION_CHANNEL"]) as events:
            changed = admin.patch(f"content_templates/{made['_id']}", {"data": {"headline": "c"}})
            told = events.named("template:update")

        assert {"headline": "c", "slugline": "b"} == changed.get_json()["data"]
        assert [{"user": admin.session["user"], "desks": []}] == told


class TestUse:
    def test_new_items_start_with_a_template(self, writer: Client, newsroom: Newsroom) -> None:
        """Lifecycle contract 1.2: its fields are rendered; what the request says wins over them."""
        made = template(
            writer,
            data={
                "headline": "{{ item.slugline }} by {{ user.byline }}",
                "ednote": "template",
                "priority": 2,
                "guid": "stolen",
                "state": "published",
            },
        )

        item = writer.create(
            "archive",
            {"template": made["_id"], "slugline": "rain", "ednote": "own", "task": newsroom.task},
        )

        assert ("rain by By Writer", "own", 2, "draft", made["_id"]) == (
            item["headline"],
            item["ednote"],
            item["priority"],
            item["state"],
            item["template"],
        )
        assert item["guid"] != "stolen"

    def test_foreign_and_unknown_templates_are_refused(
        self, admin: Client, writer: Client, graph: Graph
    ) -> None:
        """Nothing is stored."""
        foreign = template(admin)["_id"]

        for name in (foreign, str(ObjectId())):
            answer = writer.post("archive", {"template": name})
            assert (400, f"Template not found: {name}") == refusal(answer)
        assert 0 == graph.db["archive"].count_documents({})

    @pytest.mark.parametrize(
        "text",
        [
            "{% for i in range(99999999) %}x{% endfor %}",
            "{{ 'x' | center(99999999) }}",
            "{{ 9 ** 9 }}",
        ],
    )
    def test_is_refused_when_it_is_saved(self, admin: Client, text: str) -> None:
        """What is no template of the language is told at once; nothing is stored."""
        body = {"template_name": "t", "template_type": "create", "data": {"headline": text}}

        made = template(admin)
        changed = admin.patch(f"content_templates/{made['_id']}", {"data": {"headline": text}})

        assert (
            "Template t cannot be rendered: " in refusal(admin.post("content_templates", body))[1]
        )
        assert "cannot be rendered: " in refusal(changed)[1]["validator exception"]
        assert [None] == [
            row.get("data") for row in admin.get("content_templates").get_json()["_items"]
        ]

    def test_work_is_bounded_for_a_request(
        self, admin: Client, writer: Client, newsroom: Newsroom, graph: Graph
    ) -> None:
        """Whatever the item of the request holds, and however many items it makes."""
        loop = "{% for a in item.keywords %}"
        loops = f"{loop}{loop}{{{{ a }}}}{{% endfor %}}{{% endfor %}}"
        made = template(admin, is_public=True, data={"headline": loops})
        item = {"keywords": ["k"] * 200, "template": made["_id"], "task": newsroom.task}

        applied = admin.post(
            "content_templates_apply",
            {"template_name": "weather", "item": {"keywords": ["k"] * 999}},
        )
        several = writer.post("archive", [item, item, item, item, item])

        text = "Template weather cannot be rendered: it makes too much work"
        assert (400, text) == refusal(applied)
        assert (400, text) == refusal(several)
        assert 0 == graph.db["archive"].count_documents({})

    def test_is_applied_to_an_item_of_the_request(self, admin: Client) -> None:
        """Resources scenario R62: `kill` nulls byline and place; nothing is stored."""
        template(admin, "kill", template_type="kill", data={"headline": "Kill {{ item.slugline }}"})
        item = {"_id": "x", "slugline": "rain", "byline": "By", "place": [{"qcode": "NO"}]}

        applied = admin.create("content_templates_apply", {"template_name": "KILL", "item": item})

        assert ("Kill rain", "rain", None, None) == (
            applied["headline"],
            applied["slugline"],
            applied["byline"],
            applied["place"],
        )
        missing = admin.post("content_templates_apply", {"template_name": "no", "item": {}})
        assert (404, "Template not found: no") == refusal(missing)


@pytest.mark.parametrize("value", ["2026-01-02T03:04:05Z", "x", 5, None, ["x"], {"x": 1}], ids=str)
def test_are_applied_to_items_whatever_they_hold(admin: Client, value: Any) -> None:
    """Of what Eve reads of each document, texts that are times are answered as times."""
    template(admin, "plain", is_public=True, data={"headline": "h"})
    odd = dict.fromkeys(("_updated", "_created", "_etag", "_links", "_current_version"), value)

    answer = admin.post("content_templates_apply", {"template_name": "plain", "item": odd})

    assert answer.status_code == 201
    is_time = value == "2026-01-02T03:04:05Z"
    assert ("2026-01-02T03:04:05+0000" == answer.get_json()["_updated"]) is is_time


class TestInitialData:
    def test_comes_with_templates_of_notices(self, admin: Client, graph: Graph) -> None:
        """Kill, takedown and plain text; what editors made of them stays."""
        load(graph.db, graph.clock, ["content_templates"])
        path = f"content_templates/{admin.get('content_templates/kill').get_json()['_id']}"
        assert 200 == admin.patch(path, {"data": {"headline": "Ours"}}).status_code

        again = load(graph.db, graph.clock, ["content_templates"])

        assert {"content_templates": 0} == again
        listed = admin.get("content_templates").get_json()["_items"]
        assert ["kill", "plain text", "takedown"] == [row["template_name"] for row in listed]
        item = {"headline": "Rain & snow"}
        applied = admin.create("content_templates_apply", {"template_name": "kill", "item": item})
        assert "Ours" == applied["headline"]
        assert "Rain &amp; snow must not be used" in applied["body_html"]

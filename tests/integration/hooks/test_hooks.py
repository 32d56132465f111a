"""In-process hooks at the HTTP edge (end of lifecycle contract 6)."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from blinker import NamedSignal

from apps.core import hooks
from apps.core.errors import BadRequest, ConfigurationError
from apps.core.service import Document
from apps.graph.build import Graph, build_graph
from tests.support.newsdesk import HandClock, Newsdesk

Heard = list[tuple[str, Document]]


@pytest.fixture
def heard() -> Iterator[Heard]:
    """Every hook that is called from here on, with its arguments."""
    calls: Heard = []

    def listener(name: str) -> Callable[..., None]:
        return lambda sender, **arguments: calls.append((name, {"sender": sender, **arguments}))

    with ExitStack() as connected:
        for name, signal in hooks.signals.items():
            connected.enter_context(signal.connected_to(listener(name)))
        yield calls


def names(heard: Heard) -> list[str]:
    """Return what was called, validation apart."""
    return [name for name, _ in heard if name != "item:validate"]


def test_there_is_one_for_each_name() -> None:
    assert set(hooks.signals) == {
        "item:create", "item:update", "item:updated", "item:publish", "item:published",
        "item:validate", "item:rewrite", "item:duplicate", "item:duplicated", "item:move",
        "item:moved", "item:fetched", "item:routed", "item:resend", "item:resent",
        "archived:removed",
    }  # fmt: skip


class TestWhen:
    def test_an_item_is_created_and_saved(self, desk: Newsdesk, heard: Heard) -> None:
        item = desk.story()
        assert desk.client.patch(f"archive/{item['_id']}", {"headline": "New"}).status_code == 200

        assert names(heard) == ["item:create", "item:update", "item:updated"]
        saved = heard[-1][1]
        assert (saved["item"]["headline"], saved["original"]["headline"]) == ("New", "Rivers rise")
        assert "journal" not in saved["item"]

    @pytest.mark.parametrize("operation", ["correct", "kill", "takedown", "unpublish"])
    def test_an_item_is_published(self, desk: Newsdesk, heard: Heard, operation: str) -> None:
        item = desk.published()
        heard.clear()

        desk.act(operation, item)

        assert names(heard) == ["item:publish", "item:published"]
        asked, told = (arguments for name, arguments in heard if name != "item:validate")
        assert asked["sender"] == told["sender"] == f"archive_{operation}"
        assert asked["item"]["operation"] == told["item"]["operation"] == operation
        assert told["after_scheduled"] is False

    def test_a_package_goes_out(self, desk: Newsdesk, heard: Heard) -> None:
        """Its members are asked about, the package itself is not; both are told of."""
        desk.newsroom.validators(item_type="composite")
        member = desk.story()
        groups = [
            {"id": "root", "role": "grpRole:NEP", "refs": [{"idRef": "main"}]},
            {"id": "main", "role": "grpRole:main", "refs": [{"residRef": member["_id"]}]},
        ]
        package = desk.story(type="composite", groups=groups)
        heard.clear()

        desk.act("publish", package)

        calls = [(n, c["item"]["_id"]) for n, c in heard if n != "item:validate"]
        assert calls == [
            ("item:publish", member["_id"]),
            ("item:published", member["_id"]),
            ("item:published", package["_id"]),
        ]

    def test_a_scheduled_item_comes_out(
        self,
        desk: Newsdesk,
        graph: Graph,
        clock: HandClock,
        heard: Heard,
    ) -> None:
        """Once, however often the task runs."""
        desk.act("publish", desk.story(), publish_schedule="2030-01-01T13:00:00+0000")
        heard.clear()
        clock.advance(minutes=61)

        graph.enqueue.run()
        graph.enqueue.run()

        ((name, told),) = heard
        assert (name, told["after_scheduled"], told["item"]["state"]) == (
            ("item:published", True, "published")
        )

    def test_an_update_is_written(self, desk: Newsdesk, heard: Heard) -> None:
        story = desk.published()
        heard.clear()
        update = desk.client.create(f"archive/{story['_id']}/rewrite", {})

        assert names(heard) == ["item:create", "item:rewrite"]
        told = dict(heard)["item:rewrite"]
        assert (told["item"]["_id"], told["original"]["_id"]) == (update["_id"], story["_id"])

    def test_an_item_is_duplicated_and_moved(
        self,
        desk: Newsdesk,
        graph: Graph,
        heard: Heard,
    ) -> None:
        story = desk.story()
        heard.clear()
        target = {"desk": desk.newsroom.task["desk"]}
        copy = desk.client.create(
            f"archive/{story['_id']}/duplicate", {**target, "type": "archive"}
        )
        stage = str(desk.newsroom.desk["incoming_stage"])
        desk.client.create(f"archive/{copy['_id']}/move", {"task": {**target, "stage": stage}})

        assert names(heard) == ["item:duplicate", "item:duplicated", "item:move", "item:moved"]
        assert heard[0][1]["operation"] == "duplicate"
        assert heard[0][1]["original"]["_id"] == story["_id"]

    def test_an_item_is_fetched_or_routed(
        self,
        desk: Newsdesk,
        graph: Graph,
        heard: Heard,
    ) -> None:
        graph.db["ingest"].insert_one({"_id": "in", "guid": "in", "state": "ingested"})
        desk.client.create("ingest/in/fetch", {"desk": desk.newsroom.task["desk"]})
        assert names(heard) == ["item:fetched"]
        heard.clear()

        desk.story(state="routed")

        assert names(heard) == ["item:create", "item:routed"]

    def test_an_item_is_sent_again(self, desk: Newsdesk, heard: Heard) -> None:
        subscriber = desk.newsroom.subscriber("s")
        story = desk.published()
        heard.clear()
        body = {"subscribers": [str(subscriber)], "version": 2}

        desk.client.create(f"archive/{story['_id']}/resend", body)

        assert names(heard) == ["item:resend", "item:resent"]
        assert heard[0][1]["item"]["_id"] == story["_id"]
        assert heard[0][1]["subscribers"] == [subscriber]

    def test_an_archived_item_is_killed(
        self,
        desk: Newsdesk,
        graph: Graph,
        heard: Heard,
    ) -> None:
        graph.db["archived"].insert_one(
            {"item_id": "x", "archived_id": "x:2", "_current_version": 2, "type": "text"}
        )
        row = desk.client.get("archived/x:2").get_json()
        answer = desk.client.patch(f"archived/{row['_id']}", {"operation": "kill"})

        assert answer.status_code == 200, answer.text
        assert names(heard) == ["archived:removed"]


BEFORE = [
    (hooks.item_create, lambda desk, item: desk.client.post("archive", desk.newsroom.story())),
    (
        hooks.item_update,
        lambda desk, item: desk.client.patch(f"archive/{item['_id']}", {"headline": "New"}),
    ),
    (
        hooks.item_publish,
        lambda desk, item: desk.client.patch(f"archive/publish/{item['_id']}", {}),
    ),
    (
        hooks.item_duplicate,
        lambda desk, item: desk.client.post(
            f"archive/{item['_id']}/duplicate",
            {"desk": desk.newsroom.task["desk"], "type": "archive"},
        ),
    ),
]


@pytest.mark.parametrize(("signal", "request_it"), BEFORE)
class TestRefusal:
    def test_nothing_is_stored(
        self,
        desk: Newsdesk,
        graph: Graph,
        signal: NamedSignal,
        request_it: Any,
    ) -> None:
        """A receiver refuses as any rule does, before anything is written."""
        item = desk.story()
        before = state_of(graph)

        def refuse(sender: str, **arguments: Any) -> None:
            raise BadRequest("Not today")

        with signal.connected_to(refuse):
            answer = request_it(desk, item)

        assert answer.status_code == 400
        assert "Not today" in answer.text
        assert state_of(graph) == before

    def test_a_receiver_that_fails_refuses_too(
        self,
        desk: Newsdesk,
        graph: Graph,
        signal: NamedSignal,
        request_it: Any,
    ) -> None:
        """The answer names the hook and keeps the details to itself."""
        item = desk.story()
        before = state_of(graph)

        def fail(sender: str, **arguments: Any) -> None:
            raise ZeroDivisionError("secret detail")

        with signal.connected_to(fail):
            answer = request_it(desk, item)

        assert answer.status_code in (400, 500)
        assert f"The hook {signal.name} failed" in answer.text
        assert "secret detail" not in answer.text
        assert state_of(graph) == before


def state_of(graph: Graph) -> list[Any]:
    """Return what is stored of items."""
    items = [{n: v for n, v in i.items() if n != "_updated"} for i in graph.db["archive"].find()]
    counts = [graph.db[c].count_documents({}) for c in ("archive_versions", "published")]
    return [items, counts]


def test_what_a_receiver_changes_is_stored(desk: Newsdesk, graph: Graph) -> None:
    """On the item, in its version and in what is sent."""

    def stamp(sender: str, item: Document, updates: Document, **rest: Any) -> None:
        updates["ednote"] = f"{item['headline']}, stamped"

    with hooks.item_publish.connected_to(stamp):
        answer = desk.published()

    wanted = "Rivers rise, stamped"
    assert answer["ednote"] == wanted
    version = graph.db["archive_versions"].find_one({"_current_version": 2}) or {}
    row = graph.db["published"].find_one() or {}
    assert (version["ednote"], row["ednote"]) == (wanted, wanted)


def test_what_a_receiver_takes_out_of_a_request_stays_as_it_was(
    desk: Newsdesk, graph: Graph
) -> None:
    """Stored, in the version, and in the answer."""

    def keep_headline(sender: str, updates: Document, **rest: Any) -> None:
        del updates["headline"]

    with hooks.item_publish.connected_to(keep_headline):
        answer = desk.act("publish", desk.story(), headline="New")

    version = graph.db["archive_versions"].find_one({"_current_version": 2}) or {}
    assert [answer["headline"], version["headline"]] == ["Rivers rise"] * 2


def test_validation_messages_of_receivers_refuse(desk: Newsdesk) -> None:
    """They stand after the others, also in the answer of POST `/validate`."""
    item = desk.story()

    def shout(sender: str, response: list[str], error_fields: Document, **rest: Any) -> None:
        response.append("HEADLINE must not shout")
        error_fields["headline"] = "must not shout"

    with hooks.item_validate.connected_to(shout):
        refused = desk.client.patch(f"archive/publish/{item['_id']}", {})
        question = {"act": "publish", "type": "text", "validate": {"headline": "A"}}
        answer = desk.client.create("validate", question)

    assert refused.get_json()["_issues"] == {
        "validator exception": "[['HEADLINE must not shout']]",
        "fields": {"headline": "must not shout"},
    }
    assert answer["errors"] == ["HEADLINE must not shout"]


def test_a_message_alone_refuses(desk: Newsdesk) -> None:
    """Whether or not the receiver names a field."""
    item = desk.story()

    def complain(sender: str, response: list[str], **rest: Any) -> None:
        response.append("NO")

    with hooks.item_validate.connected_to(complain):
        assert desk.client.patch(f"archive/publish/{item['_id']}", {}).status_code == 400


def test_after_the_store_nobody_is_refused(desk: Newsdesk, heard: Heard) -> None:
    """What a receiver raises is logged, and the others are called."""
    item = desk.story()
    heard.clear()

    def fail(sender: str, **arguments: Any) -> None:
        raise ValueError("broken")

    with hooks.item_published.connected_to(fail):
        desk.act("publish", item)

    assert names(heard) == ["item:publish", "item:published"]


class TestModules:
    def test_are_imported(self, settings: dict[str, Any], tmp_path: Any, monkeypatch: Any) -> None:
        """A function of a module that the setting names receives hooks."""
        (tmp_path / "site_hooks.py").write_text(
            "from apps.core.hooks import item_create\n"
            "CREATED = []\n"
            "@item_create.connect\n"
            "def note(sender, item, **rest):\n"
            "    CREATED.append(item)\n"
        )
        monkeypatch.syspath_prepend(str(tmp_path))
        built = build_graph({**settings, "HOOK_MODULES": ["site_hooks"]})
        try:
            import site_hooks  # type: ignore[import-not-found]  # noqa: PLC0415

            built.editing.archive.post([{"headline": "A"}])
            assert [item["headline"] for item in site_hooks.CREATED] == ["A"]
            hooks.item_create.disconnect(site_hooks.note)
        finally:
            built.close()

    def test_one_that_cannot_be_imported_stops_the_start(self, settings: dict[str, Any]) -> None:
        """The message names it."""
        with pytest.raises(ConfigurationError, match="no_such_module"):
            build_graph({**settings, "HOOK_MODULES": ["no_such_module"]})

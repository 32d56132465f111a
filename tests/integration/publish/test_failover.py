"""A failover of the replica set in the middle of a step loses and doubles nothing.

One command after another of each step fails in each way in which a driver sees a failover. A usual
run lets a few of them fail, the campaigns each one.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from pymongo.errors import PyMongoError

from apps.core.service import Document
from apps.graph.build import Graph
from apps.processes.embedded.children import free_port, start, stop
from apps.processes.embedded.servers import MONGO
from apps.publish.transmit import results
from tests.support.clients import Client, first_client
from tests.support.failover import FailoverProxy, Fault
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.newsroom import Newsroom, push
from tests.support.processes import wait_until
from tests.support.receivers import HTTPReceiver
from tests.support.services import empty_services

STRIDE = 17
"""A usual run lets every seventeenth command fail; where it begins differs from fault to fault."""
MOST_COMMANDS = 200
"""More commands than any step has."""

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def settings(settings: dict[str, Any], proxy: FailoverProxy) -> dict[str, Any]:
    return {**settings, "MONGO_URI": proxy.uri}


@pytest.fixture(scope="module")
def replica_set(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a member of a replica set: nothing else lets drivers try a write again."""
    directory = tmp_path_factory.mktemp("replica-set")
    port = free_port()
    command = [part for part in MONGO.command(port, directory) if part != "--standalone"]
    server = start(command, directory / "log")
    uri = f"mongodb://127.0.0.1:{port}/"
    try:
        wait_until(lambda: MONGO.pid_at(uri), 60)
        yield uri
    finally:
        stop([server])


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "TRY_AGAIN_SECONDS", 0)


@pytest.fixture(params=[STRIDE, pytest.param(1, marks=pytest.mark.chaos)], ids=["few", "all"])
def numbers(request: pytest.FixtureRequest, fault: Fault) -> range:
    """Numbers of the commands that fail."""
    first = 1 + 5 * list(Fault).index(fault) % request.param
    return range(first, MOST_COMMANDS, request.param)


@pytest.fixture(params=list(Fault), ids=lambda fault: fault.name.lower())
def fault(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def desk(desk: Newsdesk, receiver: HTTPReceiver) -> Newsdesk:
    """The desk, with two subscribers that take everything."""
    for name in ("s", "t"):
        desk.newsroom.subscriber(name, push(f"{receiver.url}/{name}"))
    return desk


def run(graph: Graph) -> None:
    """Route and deliver, as the ticks of twenty minutes do."""
    for _ in range(3):
        graph.clock.advance(seconds=400)  # type: ignore[attr-defined]
        graph.enqueue.run()
        graph.transmit.run()


def delivered(receiver: HTTPReceiver, item_id: str) -> dict[tuple[str, str], set[str]]:
    """Return the keys of the deliveries of an item, by subscriber and version."""
    keys: dict[tuple[str, str], set[str]] = {}
    for request in receiver.requests:
        body = request.json()
        if body["guid"] == item_id:
            key = request.headers["webhook-id"]
            keys.setdefault((request.path, body["version"]), set()).add(key)
    return keys


def assert_delivered(receiver: HTTPReceiver, item_id: str, versions: list[str]) -> None:
    """Each subscriber got each version under one key, the last one last."""
    keys = delivered(receiver, item_id)
    assert sorted(keys) == sorted((path, v) for path in ("/s", "/t") for v in versions)
    assert Counter(len(of_one) for of_one in keys.values()) == {1: len(keys)}
    for path in ("/s", "/t"):
        sent = [r.json() for r in receiver.requests if r.path == path]
        assert [b["version"] for b in sent if b["guid"] == item_id][-1] == versions[-1]


def assert_whole(graph: Graph, item_id: str) -> None:
    """Everything that belongs to the versions of an item is there, once."""
    stored = graph.db["archive"].find_one({"_id": item_id})
    assert stored is not None
    assert stored.get("journal") is None
    rows = list(graph.db["archive_versions"].find({"_id_document": item_id}))
    found = sorted(row["_current_version"] for row in rows)
    assert found == list(range(1, stored["_current_version"] + 1))
    out = list(graph.db["published"].find({"item_id": item_id}))
    versions = [row["_current_version"] for row in out]
    assert len(versions) == len(set(versions))
    assert sum(bool(row["last_published_version"]) for row in out) == (1 if out else 0)
    assert {row["queue_state"] for row in out} <= {"queued"}
    queued = [
        (row["subscriber_id"], row["item_version"], row["publishing_action"])
        for row in graph.db["publish_queue"].find({"item_id": item_id})
    ]
    assert len(queued) == len(set(queued)) == 2 * len(out)


Act = Callable[[Client, Document], Any]


def publish(client: Client, item: Document) -> Any:
    return client.patch(f"archive/publish/{item['_id']}", {}, item["_etag"])


def correct(client: Client, item: Document) -> Any:
    return client.patch(f"archive/correct/{item['_id']}", {"headline": "c"}, item["_etag"])


def kill(client: Client, item: Document) -> Any:
    return client.patch(f"archive/kill/{item['_id']}", {"headline": "k"}, item["_etag"])


REST, CHAOS = (correct, kill), pytest.mark.chaos


class TestRequest:
    @pytest.mark.parametrize("act", [publish, *(pytest.param(a, marks=CHAOS) for a in REST)])
    def test_is_whole_or_not_done(
        self,
        desk: Newsdesk,
        graph: Graph,
        proxy: FailoverProxy,
        receiver: HTTPReceiver,
        fault: Fault,
        numbers: range,
        act: Act,
    ) -> None:
        """What is answered with an error can be tried again; what is not is delivered."""
        for number in numbers:
            item = desk.story() if act is publish else desk.published()
            graph.enqueue.run()
            graph.transmit.run()
            version = item["_current_version"]
            with proxy.failing(fault, number) as armed:
                answer = act(desk.client, item)
            if armed.hit is None:
                assert answer.status_code == 200
                break
            if answer.status_code != 200:
                assert (answer.status_code, answer.text) == (503, answer.text)
                assert int(answer.headers["Retry-After"]) > 0
            run(graph)
            stored = graph.db["archive"].find_one({"_id": item["_id"]})
            assert stored is not None
            if stored["_current_version"] == version:
                assert answer.status_code == 503
                assert act(desk.client, item).status_code == 200
                run(graph)
            assert_whole(graph, item["_id"])
            out = range(2, version + 2)
            assert_delivered(receiver, item["_id"], [str(v) for v in out])

    def test_save_is_whole_or_not_done(
        self,
        desk: Newsdesk,
        graph: Graph,
        proxy: FailoverProxy,
        fault: Fault,
        numbers: range,
    ) -> None:
        """The same holds for an editor's save."""
        for number in numbers:
            item = desk.story()
            path, change = f"archive/{item['_id']}", {"headline": "saved"}
            with proxy.failing(fault, number) as armed:
                answer = desk.client.patch(path, change, item["_etag"])
            if armed.hit is None:
                break
            assert answer.status_code in (200, 503), answer.text
            run(graph)
            stored = graph.db["archive"].find_one({"_id": item["_id"]})
            assert stored is not None
            if stored["headline"] != "saved":
                assert answer.status_code == 503
                assert desk.client.patch(path, change, item["_etag"]).status_code == 200
            assert_whole(graph, item["_id"])

    def test_creation_is_whole_or_not_done(
        self,
        desk: Newsdesk,
        graph: Graph,
        proxy: FailoverProxy,
        fault: Fault,
        numbers: range,
    ) -> None:
        """And for a new item."""
        for number in numbers:
            story = desk.newsroom.story(guid=f"story-{number}")
            with proxy.failing(fault, number) as armed:
                answer = desk.client.post("archive", story)
            if armed.hit is None:
                break
            assert answer.status_code in (201, 503), answer.text
            run(graph)
            if graph.db["archive"].find_one({"_id": f"story-{number}"}) is None:
                assert answer.status_code == 503
                assert desk.client.post("archive", story).status_code == 201
            assert_whole(graph, f"story-{number}")


class TestRun:
    def test_enqueue_goes_on_at_the_next_tick(
        self,
        desk: Newsdesk,
        graph: Graph,
        proxy: FailoverProxy,
        receiver: HTTPReceiver,
        fault: Fault,
        numbers: range,
    ) -> None:
        """Two versions of an item come out, whatever fails while they are routed."""
        for number in numbers:
            item = desk.published()
            desk.act("correct", item, headline="corrected")
            with proxy.failing(fault, number) as armed, suppress(PyMongoError):
                graph.enqueue.run()
            if armed.hit is None:
                break
            run(graph)
            assert_whole(graph, item["_id"])
            keys = delivered(receiver, item["_id"])
            assert {version for _, version in keys} >= {"3"}
            assert all(len(of_one) == 1 for of_one in keys.values())

    def test_transmit_goes_on_at_the_next_tick(
        self,
        desk: Newsdesk,
        graph: Graph,
        proxy: FailoverProxy,
        receiver: HTTPReceiver,
        fault: Fault,
        numbers: range,
    ) -> None:
        """Everything is delivered under its key, whatever fails while it is sent."""
        for number in numbers:
            item = desk.published()
            graph.enqueue.run()
            with proxy.failing(fault, number) as armed, suppress(PyMongoError):
                graph.transmit.run()
            if armed.hit is None:
                break
            run(graph)
            assert_whole(graph, item["_id"])
            assert_delivered(receiver, item["_id"], ["2"])
            states = {row["state"] for row in desk.rows(item_id=item["_id"])}
            assert states == {"success"}


class TestDriver:
    @pytest.mark.parametrize("fault", [Fault.REFUSED, Fault.UNSENT, Fault.UNANSWERED])
    def test_makes_good_for_one_failure(
        self,
        applications: Any,
        settings: dict[str, Any],
        replica_set: str,
        fault: Fault,
        numbers: range,
    ) -> None:
        """A single failure passes unseen by default, but for updates of many documents."""
        with (
            FailoverProxy(replica_set, options="retryWrites=true") as retried,
            empty_services({**settings, "MONGO_URI": retried.uri}, clock=HandClock()) as graph,
        ):
            newsroom = Newsroom(graph.db)
            newsroom.validators()
            app = applications.serving(graph)
            user = {"user_type": "administrator", "sign_off": "abc"}
            client = first_client(app, graph, "admin", **user)
            for number in numbers:
                item = client.create("archive", newsroom.story())
                with retried.failing(fault, number) as armed:
                    answer = publish(client, item)
                assert answer.status_code == (200 if armed.is_retried else 503)
                if armed.hit is None:
                    break

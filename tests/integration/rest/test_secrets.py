"""Secrets of destinations: nowhere in clear but on their way to the receiver."""

import hmac
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from bson.json_util import dumps
from cryptography.fernet import Fernet

from apps.core.service import Document
from apps.graph.build import Graph, build_graph
from tests.support.clients import Client
from tests.support.newsdesk import Newsdesk
from tests.support.newsroom import Newsroom, push
from tests.support.receivers import HTTPReceiver
from tests.support.rules import Rules, push_destination

ROOT = Path(__file__).parent.parent.parent.parent
PLANTED = "planted-3f9c1"
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Tasks are left for the test to run."""
    return {**settings, "CELERY_TASK_ALWAYS_EAGER": False}


@pytest.fixture
def desk(admin: Client, graph: Graph) -> Newsdesk:
    newsroom = Newsroom(graph.db)
    newsroom.validators()
    return Newsdesk(admin, newsroom)


def everything(graph: Graph) -> str:
    """Return the text of all collections."""
    names = graph.db.list_collection_names()
    return "\n".join(dumps(list(graph.db[name].find({}))) for name in names)


def stored_config(graph: Graph, id_: Any) -> Document:
    found = graph.db["subscribers"].find_one({"_id": ObjectId(str(id_))})
    assert found is not None
    return dict(found["destinations"][0]["config"])


def subscriber(client: Client, url: str = NOWHERE, **config: Any) -> Document:
    """Create an active subscriber over REST that gets everything."""
    rules = Rules(client)
    product = client.create("products", {"name": "everything"})
    destination = {**push_destination(**config)}
    destination["config"]["resource_url"] = url
    return rules.subscriber(
        "Daily", is_active=True, products=[product["_id"]], destinations=[destination]
    )


def run_with(settings: dict[str, Any], keys: list[str], **changes: Any) -> Any:
    """Return the services of a process with other keys."""
    return build_graph({**settings, "ENCRYPTION_KEYS": keys, **changes})


@pytest.mark.parametrize("key", ["secret_token", "password", "apiKey", "secret_access_key"])
def test_a_planted_secret_is_nowhere_in_clear(
    desk: Newsdesk,
    graph: Graph,
    editor: Client,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    key: str,
) -> None:
    """Not in a collection, not in an answer to anybody, not in a log; the receiver gets items."""
    caplog.set_level(logging.DEBUG)
    with HTTPReceiver(answers=[500, 400]) as receiver:
        stored = subscriber(desk.client, receiver.url, **{key: PLANTED})
        path = f"subscribers/{stored['_id']}"
        answers = [
            desk.client.patch(path, {"codes": "a"}).text,
            desk.client.patch(path, {"destinations": stored["destinations"]}).text,
        ]
        item = desk.published()
        graph.enqueue.run()
        graph.transmit.run()
        for client in (desk.client, editor):
            paths = ("subscribers", path, "publish_queue", f"explain/{item['_id']}")
            answers += [client.get(p).text for p in paths]
        assert receiver.wait_for(1)

    assert PLANTED not in str(stored) + "".join(answers)
    assert PLANTED not in everything(graph)
    assert PLANTED not in caplog.text + "".join(capfd.readouterr())


def test_the_receiver_gets_the_secret(desk: Newsdesk, graph: Graph) -> None:
    """What signs or authenticates is what was sent in."""
    with HTTPReceiver() as receiver:
        encrypted = subscriber(desk.client, receiver.url, secret_token=PLANTED)
        plain = desk.newsroom.subscriber("Plain", push(receiver.url, secret_token=PLANTED))
        desk.published()
        graph.enqueue.run()
        graph.transmit.run()
        first, second = receiver.wait_for(2)

    assert stored_config(graph, encrypted["_id"])["secret_token"].startswith("enc:v1:")
    assert PLANTED == stored_config(graph, plain)["secret_token"]
    for request in (first, second):
        signature = hmac.new(PLANTED.encode(), request.body, "sha1").hexdigest()
        assert f"sha1={signature}" == request.headers["x-superdesk-signature"]


class TestSaving:
    def test_plain_secrets_are_encrypted_at_the_next_save(
        self, desk: Newsdesk, graph: Graph
    ) -> None:
        """A client that sends back what it has read encrypts what a migration wrote."""
        id_ = desk.newsroom.subscriber("Old", push(NOWHERE, password=PLANTED), email="a@b.org")
        listed = desk.client.get("subscribers").get_json()["_items"][0]

        answer = desk.client.patch(f"subscribers/{id_}", {"destinations": listed["destinations"]})

        assert 200 == answer.status_code, answer.text
        assert stored_config(graph, id_)["password"].startswith("enc:v1:")

    def test_plain_secrets_are_shown_to_nobody(self, desk: Newsdesk, graph: Graph) -> None:
        """Not to those who may write them either; any save encrypts them, and they still work."""
        with HTTPReceiver() as receiver:
            url = receiver.url.replace("http://", f"http://user:{PLANTED}@")
            destination = push(url, secret_token=PLANTED)
            id_ = desk.newsroom.subscriber("Old", destination, email="a@b.org")
            path = f"subscribers/{id_}"

            read = desk.client.get(path)
            saved = desk.client.patch(path, {"codes": "a"})
            desk.published()
            graph.enqueue.run()
            graph.transmit.run()
            (request,) = receiver.requests
            address = receiver.url

        assert (200, 200) == (read.status_code, saved.status_code), saved.text
        assert PLANTED not in read.text + saved.text + everything(graph)
        assert {"resource_url": address} == read.get_json()["destinations"][0]["config"]
        signature = hmac.new(PLANTED.encode(), request.body, "sha1").hexdigest()
        assert f"sha1={signature}" == request.headers["x-superdesk-signature"]
        assert request.headers["authorization"].startswith("Basic ")

    def test_an_encrypted_value_can_be_sent_back(self, desk: Newsdesk, graph: Graph) -> None:
        """It stays as it is stored."""
        stored = subscriber(desk.client, password=PLANTED)
        before = stored_config(graph, stored["_id"])
        path = f"subscribers/{stored['_id']}"

        read = desk.client.get(path).get_json()
        desk.client.patch(path, {"destinations": read["destinations"]})

        assert before == stored_config(graph, stored["_id"])

    def test_a_secret_cannot_be_moved(self, desk: Newsdesk, graph: Graph) -> None:
        """The encrypted value of another destination is taken for a secret of its own."""
        stored = subscriber(desk.client, password=PLANTED)
        value = stored_config(graph, stored["_id"])["password"]

        destinations = [{**push_destination(password=value), "_id": "thief"}]
        desk.client.patch(f"subscribers/{stored['_id']}", {"destinations": destinations})

        assert value != stored_config(graph, stored["_id"])["password"]


class TestKeys:
    @pytest.mark.parametrize("keys", [[Fernet.generate_key().decode()], []])
    def test_a_lost_key_fails_the_delivery_for_good(
        self,
        desk: Newsdesk,
        graph: Graph,
        settings: dict[str, Any],
        keys: list[str],
        tmp_path: Any,
    ) -> None:
        """The message names destination and secret; nothing is sent, others are not held up."""
        with HTTPReceiver() as receiver:
            subscriber(desk.client, receiver.url, secret_token=PLANTED)
            desk.newsroom.subscriber("Open", push(receiver.url))
            desk.published()
            graph.enqueue.run()
            other = run_with(settings, keys, DATA_DIR=str(tmp_path))
            other.transmit.run()
            other.close()
            receiver.wait_for(1)

        states = {row["state"]: row["error_message"] for row in desk.rows()}
        assert {"failed", "success"} == set(states)
        assert "The secret secret_token of destination" in states["failed"]
        assert "cannot be read" in states["failed"]

    def test_rotation(self, desk: Newsdesk, graph: Graph, settings: dict[str, Any]) -> None:
        """Afterwards the newest key alone opens everything, and plain values are encrypted."""
        subscriber(desk.client, secret_token=PLANTED)
        desk.newsroom.subscriber("Plain", push(NOWHERE, password=PLANTED))
        new = Fernet.generate_key().decode()
        rotating = run_with(settings, [new, *settings["ENCRYPTION_KEYS"]])
        rotation = rotating.routing.subscribers.rotate_secrets()
        rotating.close()
        newest = run_with(settings, [new])
        again = newest.routing.subscribers.rotate_secrets()
        newest.close()

        assert (2, []) == (rotation.renewed, rotation.unreadable)
        assert (2, []) == (again.renewed, again.unreadable)
        assert PLANTED not in everything(graph)

    def test_rotation_names_what_no_key_opens(
        self, desk: Newsdesk, graph: Graph, settings: dict[str, Any]
    ) -> None:
        """The value stays as it is."""
        stored = subscriber(desk.client, secret_token=PLANTED)
        before = stored_config(graph, stored["_id"])
        other = run_with(settings, [Fernet.generate_key().decode()])

        rotation = other.routing.subscribers.rotate_secrets()
        other.close()

        (place,) = rotation.unreadable
        assert place.startswith("Daily, ")
        assert place.endswith(", secret_token")
        assert before == stored_config(graph, stored["_id"])


def test_the_command_rotates(
    desk: Newsdesk, graph: Graph, settings: dict[str, Any], tmp_path: Any
) -> None:
    """`secrets:rotate` says how many; it fails and names those that no key opens, never a value."""
    subscriber(desk.client, secret_token=PLANTED)
    stores = {name: settings[name] for name in ("MONGO_URI", "MONGO_DBNAME", "REDIS_URL")}
    environment = {**os.environ, **stores, "DATA_DIR": str(tmp_path), "NO_BOOTSTRAP": "1"}

    def rotate(*keys: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, str(ROOT / "manage.py"), "secrets:rotate"]
        return subprocess.run(
            command,
            env={**environment, "ENCRYPTION_KEYS": ",".join(keys)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    new, wrong = (Fernet.generate_key().decode() for _ in range(2))
    done, failed = rotate(new, *settings["ENCRYPTION_KEYS"]), rotate(wrong)

    assert (0, "1 secrets encrypted with the newest key\n") == (done.returncode, done.stdout)
    assert (1, True) == (failed.returncode, "No key fits: Daily, " in failed.stderr)
    assert PLANTED not in done.stdout + done.stderr + failed.stdout + failed.stderr


class TestAddresses:
    """Credentials inside an address: `https://user:password@host/`."""

    def test_they_are_nowhere_in_clear(
        self, desk: Newsdesk, graph: Graph, editor: Client, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The address is shown without them, stored encrypted, and used whole."""
        caplog.set_level(logging.DEBUG)
        with HTTPReceiver(answers=[500, 200]) as receiver:
            address = receiver.url
            url = address.replace("http://", f"http://user:{PLANTED}@")
            created = subscriber(desk.client, url)
            desk.published()
            graph.enqueue.run()
            graph.transmit.run()
            stored = everything(graph)
            answers = [
                client.get(path).text
                for client in (desk.client, editor)
                for path in ("subscribers", f"subscribers/{created['_id']}", "publish_queue")
            ]
            (request,) = receiver.requests

        assert PLANTED not in "\n".join([stored, caplog.text, str(created), *answers])
        assert request.headers["authorization"].startswith("Basic ")
        (listed,) = editor.get("subscribers").get_json()["_items"]
        assert {"resource_url": address} == listed["destinations"][0]["config"]

    def test_those_of_previews_are_refused_and_hidden(
        self, desk: Newsdesk, graph: Graph, editor: Client
    ) -> None:
        """Browsers take none. Data from elsewhere may hold some; lists do not show them."""
        address = f"https://user:{PLANTED}@example.com/preview"
        created = subscriber(desk.client)
        path = f"subscribers/{created['_id']}"
        own = {**created["destinations"][0], "preview_endpoint_url": address}

        refused = desk.client.patch(path, {"destinations": [own]})
        graph.db["subscribers"].update_one({}, {"$set": {"destinations.0": own}})

        issues = {"0": {"preview_endpoint_url": "credentials not allowed"}}
        assert {"destinations": issues} == refused.get_json()["_issues"]
        for answer in (desk.client.get("subscribers"), desk.client.get(path), editor.get(path)):
            assert PLANTED not in answer.text
            assert "https://example.com/preview" in answer.text

    def test_they_stay_with_their_address(self, desk: Newsdesk, graph: Graph) -> None:
        """What a client has read may be sent back; another address does not get them."""
        created = subscriber(desk.client, f"http://user:{PLANTED}@127.0.0.1:9/push")
        path = f"subscribers/{created['_id']}"

        for read in (
            desk.client.get("subscribers").get_json()["_items"][0],
            desk.client.get(path).get_json(),
        ):
            answer = desk.client.patch(path, {"destinations": read["destinations"]})
            assert answer.status_code == 200, answer.text
            assert "resource_url_userinfo" in stored_config(graph, created["_id"])
        moved = desk.client.get(path).get_json()["destinations"]
        moved[0]["config"]["resource_url"] = "http://127.0.0.1:8/push"
        answer = desk.client.patch(path, {"destinations": moved})

        assert answer.status_code == 200, answer.text
        assert {"resource_url": "http://127.0.0.1:8/push"} == stored_config(graph, created["_id"])

    @pytest.mark.parametrize("by", ["leaving it out", "sending back what was read"])
    @pytest.mark.parametrize("host", ["spy.example", None])
    def test_a_password_is_told_to_no_other_server(
        self, desk: Newsdesk, graph: Graph, by: str, host: Any
    ) -> None:
        """Whoever changes the server enters the password again."""
        config = {"host": "mail.example", "password": PLANTED, "recipients": "a@b.example"}
        mail = {"name": "m", "format": "email", "delivery_type": "email", "config": config}
        created = Rules(desk.client).subscriber("Daily", destinations=[mail])
        path = f"subscribers/{created['_id']}"
        shown = desk.client.get(path).get_json()["destinations"][0]
        assert {"password", "host"} <= shown["config"].keys()
        if by == "leaving it out":
            del shown["config"]["password"]

        def save(**changes: Any) -> Document:
            change = {**shown, "delivery_type": "ftp", "config": {**shown["config"], **changes}}
            answer = desk.client.patch(path, {"destinations": [change]})
            assert answer.status_code == 200, answer.text
            return stored_config(graph, created["_id"])

        assert "password" in save(port=2525)
        assert "password" not in save(host=host)
        assert "password" in save(host=host, password="new")
        assert PLANTED not in everything(graph)

    def test_what_is_no_name_is_no_server(self, desk: Newsdesk, graph: Graph) -> None:
        """A list with the same name in it is neither the server that it was nor another one."""
        config = {"host": "ftp.example", "password": PLANTED}
        ftp = {"name": "f", "format": "nitf", "delivery_type": "ftp", "config": config}
        created = Rules(desk.client).subscriber("Daily", destinations=[ftp])
        path = f"subscribers/{created['_id']}"
        shown = desk.client.get(path).get_json()["destinations"][0]
        change = {**shown, "config": {**shown["config"], "host": ["ftp.example"]}}

        answer = desk.client.patch(path, {"destinations": [change]})

        issues = {"0": {"config": {"host": "host is not a line of text"}}}
        assert (400, {"destinations": issues}) == (answer.status_code, answer.get_json()["_issues"])
        assert "ftp.example" == stored_config(graph, created["_id"])["host"]

    def test_those_of_fixtures_are_encrypted_by_a_rotation(
        self, desk: Newsdesk, graph: Graph
    ) -> None:
        """Plain ones work, are masked, and `secrets:rotate` takes them out of the address."""
        destination = push(f"http://user:{PLANTED}@127.0.0.1:9/push")
        desk.newsroom.subscriber("Daily", destination)
        desk.published()
        graph.enqueue.run()
        assert "http://127.0.0.1:9/push" == desk.row()["destination"]["config"]["resource_url"]

        rotation = graph.routing.subscribers.rotate_secrets()

        assert 1 == rotation.renewed
        assert PLANTED not in everything(graph)

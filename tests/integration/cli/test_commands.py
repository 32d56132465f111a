"""The commands of `manage.py`, run as an operator runs them."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from apps.graph.build import Graph
from apps.newsroom.auth.passwords import hash_password
from apps.processes.embedded.children import free_port
from tests.support.clients import Client, make_user
from tests.support.newsdesk import Newsdesk
from tests.support.newsroom import Newsroom, file_in, push
from tests.support.receivers import Fault, HTTPReceiver

ROOT = Path(__file__).parent.parent.parent.parent
Command = Callable[..., "subprocess.CompletedProcess[str]"]
STORY = {
    "uri": "urn:example:story:1",
    "type": "text",
    "headline": "Rivers rise",
    "body_html": "<p>Rivers rose.</p>",
    "versioncreated": "2026-03-02T06:10:00Z",
}


def test_creates_the_first_administrator(manage: Command, graph: Graph) -> None:
    """`users:create --admin` makes a user that can log in; the password is stored as a hash."""
    done = manage("users:create", "-u", "root", "-p", "long enough", "-e", "r@x.org", "--admin")

    user = graph.db["users"].find_one({"username": "root"})
    assert (0, "") == (done.returncode, done.stderr)
    assert user is not None
    assert "administrator" == user["user_type"]
    assert user["password"].startswith("$2")


def test_gives_a_user_a_new_password(manage: Command, graph: Graph) -> None:
    """`users:create` over a user needs no old password, hashes whatever it is given, and ends all
    sessions of the user."""
    user = make_user(graph, "root")
    session = {"user": user["_id"], "token_hash": "x", "_updated": graph.clock.now()}
    graph.db["auth"].insert_one(session)
    ready = hash_password("stolen", 4)

    done = manage("users:create", "-u", "root", "-p", ready, "-e", "r@x.org", "--admin")

    stored = graph.db["users"].find_one({"username": "root"})
    assert (0, "updated root\n") == (done.returncode, done.stdout)
    assert stored is not None
    assert ready != stored["password"]
    assert "administrator" == stored["user_type"]
    assert graph.db["auth"].find_one({"user": user["_id"]}) is None


@pytest.mark.parametrize(
    ("password", "minimum", "problem"),
    [
        ("1234", "null", '{"password": {"minlength": 1}}'),
        ("elevencharr", "12", '{"password": {"minlength": 1}}'),
        ("ä" * 37, "null", '{"password": "max length is 72 bytes"}'),
        ("half \udcff", "null", '{"password": "must be a text without NUL"}'),
    ],
)
def test_refuses_a_bad_password(
    manage: Command, graph: Graph, password: str, minimum: str, problem: str
) -> None:
    """Of new users and of those who are there, with what is wrong; nothing is stored."""
    make_user(graph, "root")
    for name in ("root", "other"):
        arguments = ("-u", name, "-p", password, "-e", "r@x.org", "--admin")
        done = manage("users:create", *arguments, PASSWORD_MIN_LENGTH=minimum)
        assert (2, True) == (done.returncode, problem in done.stderr), done.stderr

    assert [("root", "user")] == [
        (user["username"], user["user_type"]) for user in graph.db["users"].find()
    ]


@pytest.mark.parametrize("command", ["publish:transmit", "publish:enqueue", "run", "settings"])
def test_refuses_to_start_with_bad_settings(manage: Command, command: str) -> None:
    """All of them at once, each with what it has to be (delivery contract X21)."""
    bad = {
        "PORT": "high",
        "TRANSMIT_THREADS": "0",
        "HTTP_PUSH_TIMEOUT": "5",
        "LOG_LEVEL": "LOUD",
        "TRANSMIT_IMMEDIATELY": "maybe",
    }

    done = manage(command, **bad)

    assert (done.returncode, done.stdout) == (2, "")
    lines = done.stderr.splitlines()
    assert sorted(line.split()[0] for line in lines) == sorted(bad)
    assert all(", but must be " in line for line in lines)


def test_loads_initial_data_once(manage: Command, graph: Graph) -> None:
    """Loading again adds nothing and leaves what editors changed."""
    first = manage("app:initialize_data")
    graph.db["validators"].update_one({"_id": "publish_text"}, {"$set": {"schema": {}}})
    second = manage("app:initialize_data")

    assert (0, 0) == (first.returncode, second.returncode)
    assert "validators: 0 added" in second.stdout
    stored = graph.db["validators"].find_one({"_id": "publish_text"})
    assert stored is not None
    assert {} == stored["schema"]


def test_imports_publishes_routes_and_delivers(
    manage: Command, graph: Graph, tmp_path: Path
) -> None:
    """The main job by commands alone: import, publish, enqueue, transmit; then there is a file."""
    room = Newsroom(graph.db)
    room.validators()
    out = tmp_path / "out"
    out.mkdir()
    room.subscriber("Files", file_in(out))
    story = tmp_path / "story.json"
    story.write_text(json.dumps(STORY))

    steps = [
        manage("items:import", "--publish", "--desk", "Sports", str(story)),
        manage("publish:enqueue"),
        manage("publish:transmit"),
    ]

    assert [0, 0, 0] == [step.returncode for step in steps], [step.stderr for step in steps]
    files = list(out.iterdir())
    assert ["urn-example-story-1-2-1.json"] == [file.name for file in files]
    assert "Rivers rise" == json.loads(files[0].read_text())["headline"]


@pytest.mark.parametrize("legal", ["true", "false"])
def test_removes_every_delivery_below_zero(manage: Command, graph: Graph, legal: str) -> None:
    """PUBLISH_QUEUE_EXPIRY_MINUTES: 0 is never, a positive one spares what has not ended."""
    rows = [{"item_id": "a", "state": state} for state in ("pending", "in-progress", "success")]
    graph.db["publish_queue"].insert_many(rows)
    for minutes, left in (("0", 3), ("1", 3), ("-1", 0)):
        own = {"PUBLISH_QUEUE_EXPIRY_MINUTES": minutes, "LEGAL_ARCHIVE": legal}
        done = manage("archive:remove_expired", **own)
        assert done.returncode == 0, done.stderr
        assert graph.db["publish_queue"].count_documents({}) == left


class TestTransmit:
    @pytest.fixture
    def settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        return {**settings, "TRANSMIT_IMMEDIATELY": False}

    @pytest.mark.parametrize("immediately", [True, False])
    def test_at_once_or_not(
        self, manage: Command, graph: Graph, admin: Client, immediately: bool
    ) -> None:
        """With tasks that run where they are started, `publish:enqueue` delivers, or does not."""
        desk = Newsdesk(admin, Newsroom(graph.db))
        desk.newsroom.validators()
        eager = {
            "CELERY_TASK_ALWAYS_EAGER": "true",
            "TRANSMIT_IMMEDIATELY": str(immediately).lower(),
        }
        with HTTPReceiver() as receiver:
            desk.newsroom.subscriber("one", push(receiver.url))
            graph.db["published"].update_one(
                {"item_id": desk.published()["_id"]}, {"$set": {"queue_state": "pending"}}
            )
            graph.db["publish_queue"].delete_many({})
            assert manage("publish:enqueue", **eager).returncode == 0
            assert desk.row()["state"] == ("success" if immediately else "pending")
            assert manage("publish:transmit", **eager).returncode == 0
            assert desk.row()["state"] == "success"
            assert len(receiver.requests) == 1

    @pytest.mark.parametrize(
        "fault",
        [Fault.CLOSE, Fault.HANG, Fault.RESET_MID_BODY, Fault.SLOW_HEADERS, Fault.ENDLESS_BODY],
    )
    def test_transmit_ends_whatever_a_receiver_does(
        self, manage: Command, graph: Graph, admin: Client, fault: Fault
    ) -> None:
        """One that closes or hangs is tried again later; others get theirs in the same run."""
        desk = Newsdesk(admin, Newsroom(graph.db))
        desk.newsroom.validators()
        limits = {"HTTP_PUSH_TIMEOUT": "[1, 1]", "HTTP_PUSH_TOTAL_TIMEOUT": "2"}
        with HTTPReceiver() as bad, HTTPReceiver() as good:
            bad.answer(lambda request: fault)
            desk.newsroom.subscriber("bad", push(bad.url))
            desk.newsroom.subscriber("good", push(good.url))
            desk.published()
            assert {row["state"] for row in desk.rows()} == {"pending"}

            done = manage("publish:transmit", **limits)

            assert (done.returncode, done.stdout) == (0, "2 deliveries attempted\n"), done.stderr
            assert len(good.requests) == 1
            states = {
                row["destination"]["config"]["resource_url"]: row["state"] for row in desk.rows()
            }
            assert states[good.url] == "success"
            assert states[bad.url] in ("retrying", "success")


def test_importing_again_changes_nothing(manage: Command, graph: Graph, tmp_path: Path) -> None:
    """A file that was imported already is left alone."""
    story = tmp_path / "story.json"
    story.write_text(json.dumps(STORY))

    done = [manage("items:import", str(story)) for _ in range(2)]

    assert ([0, 0], 1) == ([d.returncode for d in done], graph.db["archive"].count_documents({}))
    first, again = (each.stdout.strip() for each in done)
    assert first == "urn:example:story:1  text  fetched  imported"
    assert again.startswith("urn:example:story:1  text  fetched  unchanged: version ")


def test_names_the_files_that_cannot_be_imported(
    manage: Command, graph: Graph, tmp_path: Path
) -> None:
    """The good files of a batch are imported; the bad ones are named; the status is 1."""
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text(json.dumps(STORY))
    bad.write_text("{")

    done = manage("items:import", str(bad), str(good))

    assert (1, 1) == (done.returncode, graph.db["archive"].count_documents({}))
    assert str(bad) in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["nothing:here"],
        ["items:import"],
        ["users:create", "-u", "x"],
        ["run", "--port", "high"],
        ["run", "browser"],
    ],
)
def test_wrong_use_is_status_2(manage: Command, arguments: list[str]) -> None:
    """Unknown commands and missing options end with status 2 and say what is wrong."""
    done = manage(*arguments)

    assert (2, True) == (done.returncode, bool(done.stderr))


def test_wrong_settings_are_status_2(manage: Command) -> None:
    """All wrong settings are named at once."""
    done = manage("publish:enqueue", PORT="high", LOG_LEVEL="LOUD")

    assert 2 == done.returncode
    assert {"PORT", "LOG_LEVEL"} == {line.split()[0] for line in done.stderr.splitlines()}


def test_runs_the_programs_that_are_named(
    manage: Command, settings: dict[str, Any], tmp_path: Path
) -> None:
    """`run websocket` starts that process alone, on a port that must be free, until SIGTERM."""
    port = str(free_port())
    variables = {name: settings[name] for name in ("MONGO_URI", "MONGO_DBNAME", "REDIS_URL")}
    with subprocess.Popen(
        [sys.executable, str(ROOT / "manage.py"), "run", "websocket"],
        env={**os.environ, **variables, "DATA_DIR": str(tmp_path), "WSPORT": port},
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == f"Websocket  ws://127.0.0.1:{port}\n"
        assert running.stdout.readline() == "Stop with Ctrl-C.\n"
        assert [log.name for log in (tmp_path / "log").iterdir()] == ["websocket.log"]
        taken = manage("run", "websocket", WSPORT=port)
        running.terminate()
        assert running.wait(timeout=60) == 0
    assert (taken.returncode, taken.stderr.startswith(f"WSPORT {port} is taken")) == (2, True)


def test_prints_settings_without_secrets(manage: Command) -> None:
    """Secrets are masked; every other value is shown with its source."""
    done = manage(
        "settings",
        SECRET_KEY="planted-secret",
        LEGAL_ARCHIVE_URI="mongodb://legal:planted-secret@db.example.com/legal",
    )

    assert "planted-secret" not in done.stdout + done.stderr
    assert "LEGAL_ARCHIVE_URI = ********  (environment)" in done.stdout
    assert 'LEGAL_ARCHIVE_DBNAME = "legal"  (default)' in done.stdout
    assert "SECRET_KEY = ********  (environment)" in done.stdout


def test_importing_the_command_line_starts_nothing() -> None:
    """`import manage, app, apps.worker` connects to nothing and prints nothing."""
    code = "import manage, app, apps.worker, apps.notifications.websocket"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "MONGO_URI": "mongodb://127.0.0.1:1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)


def test_imports_into_the_long_term_archive(
    manage: Command, admin: Client, graph: Graph, tmp_path: Path
) -> None:
    """`legal_archive:import` and `legal_publish_queue:import` take everything that is finished."""
    newsroom = Newsroom(graph.db)
    newsroom.validators()
    newsroom.subscriber("s", file_in(tmp_path))
    Newsdesk(admin, newsroom).published()

    off = manage("legal_archive:import")
    assert (off.returncode, off.stdout) == (0, "0 published items imported\n")
    on = {"LEGAL_ARCHIVE": "true"}
    items = manage("legal_archive:import", "--page-size", "1", **on)
    deliveries = manage("legal_publish_queue:import", **on)

    assert (items.returncode, items.stdout) == (0, "1 published items imported\n")
    assert (deliveries.returncode, deliveries.stdout) == (0, "1 deliveries imported\n")
    assert manage("legal_archive:import", "--page-size", "0", **on).returncode == 2


def test_removes_expired_items_of_the_content_api(manage: Command, graph: Graph) -> None:
    """`--expiry` says after how many days; without it the setting counts, 0 removes nothing."""
    old = datetime.now(UTC) - timedelta(days=10)
    graph.db["items"].insert_one({"_id": "old", "_updated": old})

    assert "0 expired items removed" in manage("content_api:remove_expired").stdout
    assert 2 == manage("content_api:remove_expired", "--expiry", "none").returncode
    removed = manage("content_api:remove_expired", "--expiry", "9")

    assert 0 == removed.returncode
    assert "1 expired items removed" in removed.stdout
    assert 0 == graph.db["items"].count_documents({})

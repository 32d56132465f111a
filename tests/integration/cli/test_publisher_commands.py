"""`publisher:...`, as an operator calls it, against the stand-in site."""

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from cryptography.fernet import Fernet

from apps.demo.site import PASSWORD, USERNAME
from apps.graph.build import Graph
from tests.support.clients import Client
from tests.support.processes import has_heard, wait_until
from tests.support.publisher_client import Publisher, put_out
from tests.support.site_desk import FaultySite
from tests.support.worker_processes import process

ROOT = Path(__file__).parent.parent.parent.parent
Command = Callable[..., "subprocess.CompletedProcess[str]"]
STORIES = 20
"""More than a process begins before it ends."""
PATIENCE_SECONDS = 60.0
CREDENTIALS = {"username": USERNAME, "application_password": PASSWORD}


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    # Nothing is carried out but by the commands.
    return {**settings, "TRANSMIT_IMMEDIATELY": False}


@pytest.fixture
def site() -> Iterator[FaultySite]:
    with FaultySite(lambda: datetime.now(UTC)) as open_site:
        yield open_site


@pytest.fixture
def publisher(admin: Client) -> Publisher:
    return Publisher(admin)


@pytest.fixture(autouse=True)
def integration(publisher: Publisher, site: FaultySite) -> dict[str, Any]:
    created = publisher.integration(publisher.site(), base_url=site.url, credentials=CREDENTIALS)
    assert publisher.post(f"integrations/{created['_id']}/test").get_json()["ok"]
    return created


@pytest.fixture
def run(manage: Command, settings: dict[str, Any]) -> Command:
    """Run a command of the publisher with the keys of the test."""
    keys = {"ENCRYPTION_KEYS": ",".join(settings["ENCRYPTION_KEYS"])}
    return lambda name, *arguments, **more: manage(
        f"publisher:{name}", *arguments, **{**keys, **more}
    )


def stories(graph: Graph, *ids: str, **fields: Any) -> None:
    for id_ in ids:
        shown = {"headline": f"Story {id_}", "body_html": f"<p>The story {id_}.</p>", **fields}
        put_out(graph.db, id_, **shown)


def refuse(site: FaultySite, text: str) -> None:
    def fails(request: Any) -> str | None:
        return "invalid" if request.writes and text.encode() in request.body else None

    site.fault = fails


def test_deploys_a_site(run: Command, graph: Graph, site: FaultySite) -> None:
    """Without a worker, and with lines where there is no terminal."""
    stories(graph, "a", "b", "c")
    done = run("deploy", "kestrel")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].endswith("of The Kestrel")
    assert "3 of 3: 3 deployed" in lines
    assert lines[-1] == "completed: 3 of 3: 3 deployed"
    assert len(site.posts()) == 3
    assert run("deploy", "kestrel").stdout.endswith("completed: 0 of 0: 0 deployed\n")
    again = run("deploy", "kestrel", "--full", "--integration", "main")
    assert again.stdout.endswith("completed: 3 of 3: 0 deployed, 3 unchanged\n")
    forced = run("deploy", "kestrel", "--full", "--force", "--item", "a", "--item", "b")
    assert forced.stdout.endswith("completed: 2 of 2: 2 deployed\n")
    assert len(site.posts()) == 3


def test_deployment_that_fails_says_why(run: Command, graph: Graph, site: FaultySite) -> None:
    stories(graph, "a", "b")
    refuse(site, "Story b")
    done = run("deploy", "kestrel", "--full")
    assert done.returncode == 1
    assert done.stdout.endswith("failed: 2 of 2: 1 deployed, 1 failed\n")
    assert " b " in done.stderr
    assert "validation/rest_invalid_param" in done.stderr


def test_deployment_shows_a_bar_on_a_terminal(
    settings: dict[str, Any], graph: Graph, site: FaultySite, tmp_path: Path
) -> None:
    stories(graph, "a", "b")
    names = ("MONGO_URI", "MONGO_DBNAME", "REDIS_URL")
    environment = {**os.environ, **{name: settings[name] for name in names}}
    keys = ",".join(settings["ENCRYPTION_KEYS"])
    environment |= {"DATA_DIR": str(tmp_path), "NO_BOOTSTRAP": "1", "ENCRYPTION_KEYS": keys}
    ours, theirs = pty.openpty()
    command = [sys.executable, str(ROOT / "manage.py"), "publisher:deploy", "kestrel"]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=theirs) as process:
        os.close(theirs)
        output = b""
        while chunk := read(ours):
            output += chunk
        assert process.wait(60) == 0
    os.close(ours)
    assert b"[####################################]  2/2" in output
    assert b"completed: 2 of 2: 2 deployed" in output


def read(terminal: int) -> bytes:
    """Return what a process has written to its terminal; nothing when it has ended."""
    try:
        return os.read(terminal, 4096)
    except OSError:
        return b""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["deploy", "nowhere"], "No site has the id or slug nowhere"),
        (["deploy", "kestrel", "--integration", "x"], "No integration has the id or name x"),
        (["deploy", "kestrel", "--since", "soon"], "since"),
        (["deploy", "kestrel", "--follow"], "No deployment is running"),
        (["test", "x"], "No integration has the id or name x"),
        (["reconcile", "--site", "nowhere"], "No site"),
    ],
)
def test_wrong_use(run: Command, arguments: list[str], says: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_name_that_two_have_is_not_guessed(
    run: Command, publisher: Publisher, integration: dict[str, Any]
) -> None:
    other = publisher.site(slug="other")
    publisher.integration(other, base_url="http://127.0.0.1:9")
    done = run("test", "main")
    assert done.returncode == 2
    assert "More than one integration" in done.stderr
    assert run("test", integration["_id"]).returncode == 0


def test_deployment_that_is_running_is_followed(
    run: Command, publisher: Publisher, graph: Graph, integration: dict[str, Any], site: FaultySite
) -> None:
    stories(graph, "a")
    body = {"site": integration["site"], "deployment_type": "full"}
    id_ = publisher.post("deployments", body).get_json()["_id"]
    refused = run("deploy", "kestrel")
    assert refused.returncode == 1
    assert f"Deployment {id_} is running" in refused.stderr
    followed = run("deploy", "kestrel", "--follow")
    assert followed.returncode == 0
    assert id_ in followed.stdout
    assert len(site.posts()) == 1


def test_dispatch_carries_out_what_is_due(
    run: Command, publisher: Publisher, graph: Graph, integration: dict[str, Any], site: FaultySite
) -> None:
    stories(graph, "a", "b")
    publisher.publish("a")
    publisher.post("deployments", {"site": integration["site"], "deployment_type": "full"})
    done = run("dispatch")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(site.posts()) == 2
    assert "records worked on" in done.stdout


def test_connection_test_says_what_is_wrong(run: Command, site: FaultySite) -> None:
    good = run("test", "main")
    assert good.returncode == 0
    assert "login" in good.stdout
    site.password = "changed"
    bad = run("test", "main")
    assert bad.returncode == 1
    assert "auth/" in bad.stdout
    assert PASSWORD not in bad.stdout + bad.stderr


def test_status_of_an_item(run: Command, graph: Graph, site: FaultySite) -> None:
    assert run("status", "a").returncode == 1
    stories(graph, "a", "b")
    refuse(site, "Story b")
    run("deploy", "kestrel")
    shown = run("status", "a")
    assert shown.returncode == 0
    assert "main" in shown.stdout
    assert "published" in shown.stdout
    assert site.post()["slug"] in shown.stdout
    failed = run("status", "b").stdout
    assert "failed" in failed
    assert "validation/rest_invalid_param" in failed
    stories(graph, "a", _current_version=3)
    assert "2 (stale)" in run("status", "a").stdout


def test_failed_records_are_tried_again(run: Command, graph: Graph, site: FaultySite) -> None:
    stories(graph, "a", "b")
    refuse(site, "Story b")
    run("deploy", "kestrel")
    site.fault = lambda request: None
    done = run("retry-failed", "--site", "kestrel", "--integration", "main")
    assert done.stdout == "1 records are tried again\n"
    run("dispatch")
    assert len(site.posts()) == 2
    assert run("retry-failed").stdout == "0 records are tried again\n"


def test_reconcile_finds_what_was_removed(run: Command, graph: Graph, site: FaultySite) -> None:
    stories(graph, "a", "b")
    assert run("deploy", "kestrel").returncode == 0
    (removed,) = (one for one in site.content.entries.values() if "Story a" in str(one["title"]))
    del site.content.entries[removed["id"]]
    site.requests.clear()
    done = run("reconcile", "--site", "kestrel")
    assert done.returncode == 0
    assert "a: live -> deleted" in done.stdout
    assert done.stdout.endswith("2 posts looked at\n")
    assert not site.writes()
    site.fault = lambda request: "busy"
    site.requests.clear()
    refused = run("reconcile")
    assert refused.returncode == 1
    assert "rate_limited/" in refused.stderr
    # A site that asks everybody to wait is not asked for the next post.
    assert len(refused.stderr.splitlines()) == 1


def test_terms_are_read(run: Command, graph: Graph, site: FaultySite) -> None:
    site.content.add_term("categories", {"name": "Sport"})
    done = run("sync-taxonomies", "main")
    assert (done.returncode, done.stdout) == (0, "main: 2 terms\n")
    assert graph.db["publisher_terms"].find_one({"name": "Sport"})
    site.fault = lambda request: "busy"
    refused = run("sync-taxonomies")
    assert refused.returncode == 1
    assert refused.stderr.startswith("main: rate_limited/")


def test_credentials_get_the_newest_key(
    run: Command, settings: dict[str, Any], graph: Graph
) -> None:
    new, old = Fernet.generate_key().decode(), ",".join(settings["ENCRYPTION_KEYS"])
    done = run("rotate-keys", ENCRYPTION_KEYS=f"{new},{old}")
    assert done.returncode == 0
    assert "encrypted with the newest key" in done.stdout
    assert run("test", "main", ENCRYPTION_KEYS=new).returncode == 0
    lost = run("rotate-keys", ENCRYPTION_KEYS=Fernet.generate_key().decode())
    assert lost.returncode == 1
    assert "No key fits" in lost.stderr


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_deployment_is_ended_and_gone_on_with(
    run: Command,
    settings: dict[str, Any],
    graph: Graph,
    site: FaultySite,
    tmp_path: Path,
    signal_number: int,
) -> None:
    """The step in work is finished: nothing is held, and nothing is done twice."""
    stories(graph, *(f"s{number:02}" for number in range(STORIES)))
    is_asked, may_go_on = Event(), Event()

    def waits(request: Any) -> None:
        if request.writes:
            is_asked.set()
            assert may_go_on.wait(PATIENCE_SECONDS)

    site.fault = waits
    names = ("MONGO_URI", "MONGO_DBNAME", "REDIS_URL")
    keys = {"ENCRYPTION_KEYS": ",".join(settings["ENCRYPTION_KEYS"]), "DATA_DIR": str(tmp_path)}
    own = {**{name: settings[name] for name in names}, **keys, "GRACEFUL_STOP_SECONDS": "600"}
    command = [str(ROOT / "manage.py"), "publisher:deploy", "kestrel"]
    with process(command, {**own, "NO_BOOTSTRAP": "1", "LEASE_SECONDS": 3600}, tmp_path) as child:
        assert is_asked.wait(PATIENCE_SECONDS)
        child.send_signal(signal_number)
        wait_until(lambda: has_heard(child.pid), PATIENCE_SECONDS)
        may_go_on.set()
        status = child.wait(PATIENCE_SECONDS)
    said = (tmp_path / "log").read_text()

    assert status == 0, said
    assert "here with manage.py publisher:deploy kestrel --follow" in said
    assert 0 < len(site.posts()) < STORIES
    for lanes in ("publisher_lanes", "deployment_lanes"):
        assert not graph.db[lanes].find_one({"lease_owner": {"$ne": None}})
    assert not graph.db["publishing_records"].find_one({"lease_owner": {"$ne": None}})

    site.fault = lambda request: None
    done = run("deploy", "kestrel", "--follow")
    assert done.stdout.splitlines()[-1] == f"completed: {STORIES} of {STORIES}: {STORIES} deployed"
    assert len(site.posts()) == STORIES
    creates = [request for request in site.writes() if request.path == "/wp/v2/posts"]
    assert len(creates) == STORIES

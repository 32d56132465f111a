"""Processes that die while they carry out deployments: nothing is missing, nothing done twice."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from apps.core.caller import SYSTEM
from apps.core.service import Document
from apps.graph.publisher import build_publisher, build_site_work
from tests.support.crashes import Crash, CrashingDatabase, StallingDatabase, each_write
from tests.support.deployment_desk import DeploymentDesk, titles
from tests.support.dying import another_process
from tests.support.site_desk import FaultySite

MOST_WRITES = 36
PIECES = ("created", "corrected", "killed", "shown", "wrong")


def prepared(desk: DeploymentDesk, site: FaultySite) -> str:
    """Start a deployment in which each thing that there is happens once; return its id."""
    for id_ in ("corrected", "killed", "shown"):
        desk.change(id_, 1)
    desk.run(desk.start())
    desk.change("created", 1)
    desk.change("corrected", 2, state="corrected")
    desk.change("killed", 2, state="killed")
    desk.change("wrong", 1)
    site.requests.clear()

    def fails(request: Any) -> str | None:
        return "invalid" if request.writes and b"Story wrong" in request.body else None

    site.fault = fails
    return desk.start()


def is_right(desk: DeploymentDesk, site: FaultySite, done: Document) -> None:
    """Check that everything was done once, and counted once."""
    counts = {"total": 5, "done": 3, "retracted": 1, "unchanged": 1, "failed": 1, "skipped": 0}
    assert (done["status"], done["counts"], done["items_deployed"]) == ("failed", counts, 3)
    assert len(done["error_log"].splitlines()) == 1
    assert titles(site) == ["Story corrected", "Story created", "Story shown"]
    assert site.shows("corrected in version 2")
    created = [r for r in site.writes() if b"Story created" in r.body]
    corrected = [r for r in site.writes() if b"corrected in version 2" in r.body]
    assert (len(created), len(corrected)) == (1, 1)
    assert not list(desk.db["deployment_records"].find({"lease_owner": {"$ne": None}}))
    seqs = [record["desired"]["seq"] for record in desk.db["publishing_records"].find()]
    assert sorted(seqs) == [1, 1, 2, 2, 2]


def dies(run: Callable[[], object]) -> bool:
    """Let a process work until it dies; whether it did."""
    try:
        run()
    except Crash:
        return True
    return False


@pytest.mark.parametrize("before", each_write(MOST_WRITES))
def test_dead_before_a_write(desk: DeploymentDesk, site: FaultySite, before: int) -> None:
    id_ = prepared(desk, site)
    process = desk.process(CrashingDatabase(desk.db, before))
    for _ in range(3):
        if dies(process.run):
            break
        desk.graph.site_run.run()
        desk.wake(id_)
    is_right(desk, site, desk.run(id_))


def test_no_deployment_takes_more_writes_than_these_tests_die_at(
    desk: DeploymentDesk, site: FaultySite
) -> None:
    id_ = prepared(desk, site)
    process = desk.process(CrashingDatabase(desk.db, MOST_WRITES))
    for _ in range(3):
        assert not dies(process.run)
        desk.graph.site_run.run()
        desk.wake(id_)
    is_right(desk, site, desk.told(id_))


@pytest.mark.parametrize("before", each_write(3))
def test_dead_while_it_is_asked_for(desk: DeploymentDesk, site: FaultySite, before: int) -> None:
    """What is stored is carried out, also if nobody was told of it."""
    desk.put_out(range(2))
    db: Any = CrashingDatabase(desk.db, before)
    services = build_publisher(another_process(desk.graph, db))
    body = {"site": desk.site_id, "deployment_type": "full"}
    dies(lambda: services.deployments.start(body, SYSTEM))
    stored = list(desk.db["deployment_records"].find())
    if not stored:
        assert before == 1
        return
    desk.clock.advance(seconds=61)
    assert desk.run(str(stored[0]["_id"]))["items_deployed"] == 2


@pytest.mark.parametrize("before", each_write(MOST_WRITES))
def test_process_that_stands_still_while_another_one_goes_on(
    desk: DeploymentDesk, site: FaultySite, before: int
) -> None:
    id_ = prepared(desk, site)
    ended: list[Document] = []

    def meanwhile() -> None:
        desk.clock.advance(minutes=3)
        ended.append(desk.run(id_))

    process = desk.process(StallingDatabase(desk.db, before, meanwhile))
    for _ in range(3):
        process.run()
        desk.graph.site_run.run()
        if not ended:
            desk.wake(id_)
    done = desk.run(id_)
    assert not ended or done["counts"] == ended[0]["counts"]
    is_right(desk, site, done)


def test_items_deployed_by_processes_that_die_at_random(
    desk: DeploymentDesk, site: FaultySite
) -> None:
    """(cms scenario 38) `tests/chaos/test_deployment_killed.py` does it on a larger scale."""
    random, number, times = Random(38), 30, 5
    desk.put_out(range(number))
    id_ = desk.start()
    deaths = 0
    while deaths < times:
        db: Any = CrashingDatabase(desk.db, random.randrange(1, 12 * number // times))
        base = another_process(desk.graph, db)
        work = build_site_work(base, build_publisher(base), lambda: None)
        runs = [work.deployments.run, work.run.run]
        # Both work on one database: they die together, as threads of a process.
        while not any(dies(run) for run in runs):
            desk.move_on()
            assert desk.told(id_)["status"] == "deploying", deaths
        deaths += 1
        desk.move_on()
    done = desk.run(id_, 40 + 4 * number)
    assert (done["status"], done["items_deployed"], done["error_log"]) == ("completed", number, "")
    assert done["counts"]["done"] == done["counts"]["total"] == number
    assert len(titles(site)) == len(set(titles(site))) == number
    assert len([r for r in site.writes() if r.path == "/wp/v2/posts"]) == number

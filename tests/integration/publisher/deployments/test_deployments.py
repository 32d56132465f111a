"""Deployments: many items of a site at once, in full or what has changed (cms contract 4.4)."""

from typing import Any

from tests.support.deployment_desk import DeploymentDesk, titles
from tests.support.events import Events
from tests.support.site_desk import FaultySite

NOTHING = {"total": 0, "done": 0, "unchanged": 0, "failed": 0, "skipped": 0, "retracted": 0}


def refuse(site: FaultySite, *headlines: str) -> None:
    """Let the site refuse posts with these headlines."""

    def fails(request: Any) -> str | None:
        is_post = request.writes and request.path.startswith("/wp/v2/posts")
        return "refused" if is_post and any(h.encode() in request.body for h in headlines) else None

    site.fault = fails


def test_full_deployment_publishes_the_oldest_first(
    desk: DeploymentDesk, site: FaultySite, events: Events
) -> None:
    desk.put_out(range(5))
    id_ = desk.start()
    assert desk.told(id_)["status"] == "pending"
    done = desk.run(id_)
    assert (done["status"], done["items_deployed"], done["error_log"]) == ("completed", 5, "")
    assert done["counts"] == {**NOTHING, "total": 5, "done": 5}
    assert done["started_at"]
    assert done["completed_at"]
    assert done["metadata"]["snapshot_at"]
    assert titles(site) == [f"Story item-00{number}" for number in range(5)]


def test_empty_deployment_is_completed_at_once(desk: DeploymentDesk, site: FaultySite) -> None:
    """(cms scenario 38)"""
    done = desk.run(desk.start())
    assert (done["status"], done["items_deployed"], done["counts"]) == ("completed", 0, NOTHING)

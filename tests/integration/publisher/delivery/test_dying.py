"""Processes that die on the way of a story to a site: one post, and every row comes to its end."""

from collections.abc import Callable

import pytest

from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.crashes import DEATHS
from tests.support.dying import dies_at_sites, dies_routing, dies_transmitting
from tests.support.site_desk import FaultySite
from tests.support.site_newsroom import AUTO, SUBSCRIBER, SiteNewsroom

MOST_WRITES = 60

Dies = Callable[[Graph, int], bool]


def before_it(newsroom: SiteNewsroom, dies: Dies) -> None:
    """Let what comes before a run happen."""
    if dies is not dies_routing:
        newsroom.graph.enqueue.run()
    if dies is dies_at_sites:
        newsroom.graph.transmit.run()


def is_shown_once(newsroom: SiteNewsroom, site: FaultySite, item: Document, text: str) -> None:
    record = newsroom.record(item)
    assert (record["status"], record["error"]) == ("published", None)
    (post,) = [one for one in site.posts() if str(one["id"]) == record["external_id"]]
    assert post["slug"] == record["slug"]
    assert text in post["content"]
    assert sum(one["slug"].startswith(record["slug"]) for one in site.posts("publish")) == 1


@DEATHS
@pytest.mark.parametrize("dies", [dies_routing, dies_transmitting, dies_at_sites])
@pytest.mark.parametrize("way", [SUBSCRIBER, AUTO])
def test_published_corrected_killed(
    newsroom: SiteNewsroom, site: FaultySite, way: str, dies: Dies, stride: int
) -> None:
    """A process dies before one write after another, of each of the three actions.

    Delivery contract H4.
    """
    newsroom.use(way)
    acts = (
        ("publish", {"body_html": "<p>First.</p>"}),
        ("correct", {"body_html": "<p>Second.</p>"}),
        ("kill", {"body_html": "<p>Withdrawn.</p>"}),
    )
    deaths = 0
    for before in range(1, MOST_WRITES, stride):
        item, died = newsroom.desk.story(), False
        for operation, changes in acts:
            newsroom.desk.act(operation, item, **changes)
            before_it(newsroom, dies)
            died |= dies(newsroom.graph, before)
            newsroom.clock.advance(seconds=90)
            newsroom.settle(seconds=130)
            assert set(newsroom.states(item)) <= {"success"}
            if operation != "kill":
                is_shown_once(newsroom, site, item, changes["body_html"])
        assert newsroom.record(item)["status"] == "retracted"
        assert not site.content.live()
        deaths += died
        if not died:
            break
    else:
        raise AssertionError("the run never ends")
    assert deaths or (way, dies) == (AUTO, dies_transmitting)


@DEATHS
def test_killed_behind_a_row_that_waits(
    newsroom: SiteNewsroom, site: FaultySite, stride: int
) -> None:
    """The kill overtakes a story that the site has not taken yet, whoever dies on the way."""
    newsroom.use(SUBSCRIBER)
    for before in range(1, MOST_WRITES, stride):
        site.fault = lambda request: "down"
        item = newsroom.desk.published()
        newsroom.go()
        newsroom.desk.act("kill", item)
        site.fault = lambda request: None
        died = dies_routing(newsroom.graph, before)
        newsroom.clock.advance(seconds=90)
        newsroom.graph.enqueue.run()
        died |= dies_transmitting(newsroom.graph, before)
        died |= dies_at_sites(newsroom.graph, before)
        newsroom.clock.advance(seconds=90)
        newsroom.settle(seconds=130)
        assert newsroom.states(item) == ["canceled", "success"]
        assert newsroom.record(item)["status"] == "retracted"
        assert not site.posts()
        if not died:
            return
    raise AssertionError("the run never ends")

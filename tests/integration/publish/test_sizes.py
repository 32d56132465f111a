"""Stories as large as they may be, and larger (delivery contract X14)."""

import json
from typing import Any

from apps.graph.build import Graph
from apps.routing.subscribers.stored_destinations import lane_id
from tests.support.conservation import Conservation, Recorder, check_manifest
from tests.support.newsdesk import Newsdesk
from tests.support.newsroom import push
from tests.support.receivers import HTTPReceiver

MEGABYTE = 1_000_000


def deliver(graph: Graph) -> None:
    graph.enqueue.run()
    graph.transmit.run()


def test_a_body_of_five_megabytes_goes_out_whole(
    desk: Newsdesk, graph: Graph, receiver: HTTPReceiver
) -> None:
    """In formats of both kinds; a small story behind it, too."""
    receiver.answer(recorder := Recorder())
    formats = ("ninjs", "nitf", "text")
    wanted = [{**push(f"{receiver.url}/{f}"), "_id": f, "format": f} for f in formats]
    subscriber = desk.newsroom.subscriber("all", *wanted)
    body = "<p>" + "river " * (5 * MEGABYTE // 6) + "</p>"

    large = desk.published(body_html=body)
    small = desk.published(headline="small")
    deliver(graph)

    assert Conservation(graph.db).check()["failed"] == 0
    for name in formats:
        arrivals = recorder.arrivals(f"/{name}")
        assert len(arrivals) == 2, name
        assert max(len(each.body) for each in arrivals) > 4.9 * MEGABYTE
        check_manifest(graph.db, {lane_id(subscriber, name): arrivals})
    told = {json.loads(each.body)["guid"] for each in recorder.arrivals("/ninjs")}
    assert told == {large["_id"], small["_id"]}


def test_a_story_that_cannot_be_stored_is_refused(
    desk: Newsdesk, graph: Graph, receiver: HTTPReceiver
) -> None:
    """With the reason; nothing of it is left, and the next one goes out."""
    desk.newsroom.subscriber("all", push(receiver.url))
    before = graph.db["archive"].count_documents({})

    answer = desk.client.post("archive", desk.newsroom.story(body_html="x" * 17 * MEGABYTE))

    assert answer.status_code == 413
    assert graph.db["archive"].count_documents({}) == before
    desk.published()
    deliver(graph)
    assert len(receiver.requests) == 1


def test_a_story_with_two_hundred_pictures_goes_out_whole(
    desk: Newsdesk, graph: Graph, receiver: HTTPReceiver
) -> None:
    desk.newsroom.subscriber("all", push(receiver.url))
    pictures: dict[str, Any] = {
        f"gallery--{number}": {
            "_id": f"urn:x:{number}",
            "guid": f"urn:x:{number}",
            "type": "picture",
            "headline": f"picture {number}",
            "description_text": "river " * 100,
            "renditions": {
                name: {"href": f"https://e.org/{number}", "mimetype": "image/jpeg"}
                for name in ("original", "viewImage", "baseImage", "thumbnail")
            },
        }
        for number in range(200)
    }

    desk.published(associations=pictures)
    deliver(graph)

    assert desk.row()["state"] == "success"
    (request,) = receiver.requests
    assert len(request.json()["associations"]) == 200

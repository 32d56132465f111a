"""Rows that were handed over, and what brings each of them to its end (delivery contract 2.2)."""

from typing import Any

import pytest
from bson import ObjectId

from apps.core.service import Document
from tests.support.newsroom import push
from tests.support.publisher_client import Publisher
from tests.support.receivers import HTTPReceiver
from tests.support.site_desk import FaultySite
from tests.support.site_newsroom import SiteNewsroom


def handed_over(newsroom: SiteNewsroom) -> Document:
    """Publish a story that waits for the site; return its row."""
    newsroom.subscribe()
    newsroom.site.fault = lambda request: "down"
    newsroom.desk.published()
    newsroom.graph.enqueue.run()
    newsroom.graph.transmit.run()
    (row,) = newsroom.desk.rows()
    assert row["state"] == "in-progress"
    return row


def patch(newsroom: SiteNewsroom, row: Document, **changes: Any) -> Any:
    return newsroom.publisher.client.patch(f"publish_queue/{row['_id']}", changes)


def comes_back(newsroom: SiteNewsroom) -> None:
    newsroom.site.fault = lambda request: None
    newsroom.settle()


def test_canceled_before_anything_was_sent(newsroom: SiteNewsroom, site: FaultySite) -> None:
    """The wish goes with the row.

    Delivery contract H5.
    """
    row = handed_over(newsroom)
    assert patch(newsroom, row, state="canceled").status_code == 200
    comes_back(newsroom)
    assert newsroom.states() == ["canceled"]
    assert site.requests == []
    record = newsroom.record()
    assert (record["status"], record["history"][-1]["outcome"]) == ("retracted", "taken_back")


def test_a_correction_that_is_canceled(newsroom: SiteNewsroom, site: FaultySite) -> None:
    """The version that is shown stays, and counts."""
    newsroom.subscribe()
    item = newsroom.desk.published()
    newsroom.go()
    shown = newsroom.record()["published_version"]
    newsroom.desk.act("correct", item, body_html="<p>Rivers rose on Saturday.</p>")
    newsroom.graph.enqueue.run()
    newsroom.graph.transmit.run()
    assert patch(newsroom, newsroom.desk.rows()[-1], state="canceled").status_code == 200
    newsroom.settle()
    record = newsroom.record()
    assert (record["status"], record["published_version"]) == ("published", shown)
    assert not site.shows("Saturday")
    assert newsroom.states() == ["success", "canceled"]


def test_too_late_to_cancel(newsroom: SiteNewsroom) -> None:
    """Something may have been sent."""
    row = handed_over(newsroom)
    newsroom.site.fault = lambda request: "lost" if request.writes else None
    newsroom.graph.site_run.run()
    answer = patch(newsroom, row, state="canceled")
    assert answer.status_code == 400
    assert "409: Transmission has already started" in answer.text
    comes_back(newsroom)
    assert newsroom.states() == ["success"]


def test_a_kill_is_not_canceled(newsroom: SiteNewsroom, site: FaultySite) -> None:
    newsroom.subscribe()
    item = newsroom.desk.published()
    newsroom.go()
    site.fault = lambda request: "down"
    newsroom.desk.act("kill", item)
    newsroom.go()
    assert patch(newsroom, newsroom.desk.rows()[-1], state="canceled").status_code == 400
    comes_back(newsroom)
    assert newsroom.states() == ["success", "success"]
    assert not site.content.live()


def test_others_still_want_it(newsroom: SiteNewsroom, site: FaultySite) -> None:
    """Of two subscribers of one site, one row is canceled."""
    newsroom.subscribe("Another")
    newsroom.subscribe()
    newsroom.desk.published()
    newsroom.graph.enqueue.run()
    newsroom.graph.transmit.run()
    first, _second = newsroom.desk.rows()
    assert patch(newsroom, first, state="canceled").status_code == 200
    newsroom.settle()
    assert newsroom.states() == ["canceled", "success"]
    assert (newsroom.creates(), len(site.content.live())) == (1, 1)


def test_made_pending_by_hand(newsroom: SiteNewsroom, site: FaultySite) -> None:
    """Delivery contract H5."""
    row = handed_over(newsroom)
    assert patch(newsroom, row, state="pending").status_code == 200
    newsroom.graph.transmit.run()
    comes_back(newsroom)
    assert newsroom.states() == ["success"]
    assert newsroom.creates() == 1


def test_a_copy_posted_by_hand(newsroom: SiteNewsroom, site: FaultySite) -> None:
    """Clients send a row again by posting a copy."""
    newsroom.subscribe()
    newsroom.desk.published()
    newsroom.go()
    (row,) = newsroom.desk.rows()
    shown = newsroom.publisher.client.get(f"publish_queue/{row['_id']}").get_json()
    fields = ("item_id", "item_version", "publishing_action", "formatted_item", "subscriber_id")
    copy = {name: shown[name] for name in (*fields, "destination", "content_type")}
    newsroom.publisher.client.create("publish_queue", copy)
    newsroom.settle()
    assert newsroom.states() == ["success", "success"]
    assert newsroom.creates() == 1


def test_resent(newsroom: SiteNewsroom, site: FaultySite) -> None:
    """A resend writes the post again, also where it was changed at the site.

    Delivery contract H2.
    """
    subscriber = newsroom.subscribe()
    item = newsroom.desk.published()
    newsroom.go()
    site.post()["content"] = "Somebody was here"
    body = {"subscribers": [subscriber["_id"]], "version": newsroom.desk.rows()[0]["item_version"]}
    answer = newsroom.publisher.client.post(f"archive/{item['_id']}/resend", body)
    assert answer.status_code == 201, answer.text
    newsroom.settle()
    assert newsroom.states() == ["success", "success"]
    assert site.shows("Rivers rose on Friday.")
    assert newsroom.creates() == 1


def test_the_subscriber_is_switched_off(newsroom: SiteNewsroom, site: FaultySite) -> None:
    """The post goes out; the row ends when the subscriber is back.

    Delivery contract H6.
    """
    row = handed_over(newsroom)
    subscriber = f"subscribers/{row['subscriber_id']}"
    newsroom.publisher.client.patch(subscriber, {"is_active": False})
    site.fault = lambda request: None
    for _ in range(4):
        newsroom.clock.advance(seconds=70)
        newsroom.go()
    assert newsroom.states() == ["pending"]
    assert newsroom.record()["status"] == "published"
    newsroom.publisher.client.patch(subscriber, {"is_active": True})
    newsroom.settle()
    assert newsroom.states() == ["success"]
    assert newsroom.creates() == 1


def test_the_subscriber_is_gone(newsroom: SiteNewsroom) -> None:
    row = handed_over(newsroom)
    newsroom.db["subscribers"].delete_one({"_id": row["subscriber_id"]})
    comes_back(newsroom)
    (row,) = newsroom.desk.rows()
    assert (row["state"], row["error_message"][:24]) == ("failed", "PublishQueueError Error ")


def test_the_record_is_gone(newsroom: SiteNewsroom, site: FaultySite) -> None:
    """The wish is made anew.

    Delivery contract H3.
    """
    handed_over(newsroom)
    newsroom.db["publishing_records"].delete_many({})
    comes_back(newsroom)
    assert newsroom.states() == ["success"]
    assert len(site.content.live()) == 1


def test_the_integration_is_gone(newsroom: SiteNewsroom) -> None:
    handed_over(newsroom)
    path = f"integrations/{newsroom.integration['_id']}"
    assert newsroom.publisher.delete(path, force="true").status_code == 204
    newsroom.site.fault = lambda request: None
    for _ in range(3):
        newsroom.clock.advance(seconds=70)
        newsroom.go()
    (row,) = newsroom.desk.rows()
    assert row["state"] == "failed"
    assert "Error 16001" in row["error_message"]


def test_wrong_credentials_wait(newsroom: SiteNewsroom, site: FaultySite) -> None:
    """The row is open as long as the wish is, and says why; then it goes on by itself."""
    newsroom.subscribe()
    newsroom.desk.published()
    site.password = "other"
    newsroom.go()
    assert newsroom.states() == ["in-progress"]
    (told,) = newsroom.db["activity"].find({"name": "error"})
    assert told["data"]["site"] == "main"
    assert told["data"]["error"].startswith("The site main refuses the credentials")
    site.password = "abcd efgh ijkl mnop qrst uvwx"
    credentials = {"username": "newsroom", "application_password": site.password}
    path = f"integrations/{newsroom.integration['_id']}"
    newsroom.publisher.patch(path, {"credentials": credentials})
    newsroom.settle()
    assert newsroom.states() == ["success"]


def test_a_critical_error_closes_the_subscriber(newsroom: SiteNewsroom) -> None:
    """As of any delivery type (delivery contract 7)."""
    newsroom.subscribe(critical_errors={"16001": True})
    newsroom.publisher.patch(f"integrations/{newsroom.integration['_id']}", {"active": False})
    newsroom.desk.published()
    newsroom.go()
    (row,) = newsroom.desk.rows()
    assert "config/integration_inactive" in row["error_message"]
    assert newsroom.db["subscribers"].find_one({"_id": row["subscriber_id"]})["is_active"] is False


def test_a_dead_site_delays_nobody(newsroom: SiteNewsroom) -> None:
    """Another destination of the same subscriber gets its delivery in the same run."""
    with HTTPReceiver() as receiver:
        newsroom.subscribe(destinations=[newsroom.destination(), push(receiver.url)])
        newsroom.site.fault = lambda request: "down"
        newsroom.desk.published()
        newsroom.graph.enqueue.run()
        newsroom.graph.transmit.run()
        assert len(receiver.requests) == 1
    assert sorted(newsroom.states()) == ["in-progress", "success"]


# What a destination may say.


@pytest.mark.parametrize(
    ("config", "issue"),
    [
        ({}, {"required": 1}),
        ({"integration": None}, {"required": 1}),
        ({"integration": ""}, {"required": 1}),
        ({"integration": "x"}, "value 'x' must exist"),
        ({"integration": 5}, "value '5' must exist"),
        ({"integration": {"a": 1}}, "must exist"),
        ({"integration": [1]}, "must exist"),
    ],
)
@pytest.mark.parametrize("is_active", [True, False])
def test_no_such_integration(
    newsroom: SiteNewsroom, config: Document, issue: Any, is_active: bool
) -> None:
    client = newsroom.publisher.client
    good = newsroom.subscribe()
    bad = {**newsroom.destination(), "config": config}
    body = {name: good[name] for name in ("subscriber_type", "email", "sequence_num_settings")}
    body |= {"name": "Bad", "destinations": [bad], "is_active": is_active}
    for answer in (
        client.post("subscribers", body),
        client.patch(f"subscribers/{good['_id']}", {"destinations": [bad]}),
    ):
        assert answer.status_code == 400, answer.text
        found = answer.get_json()["_issues"]["destinations"]["0"]["config"]["integration"]
        assert issue in found if isinstance(issue, str) else found == issue
    assert client.patch(f"subscribers/{good['_id']}", {"codes": "a"}).status_code == 200


def test_an_integration_of_another_platform_or_account(
    newsroom: SiteNewsroom, stranger: Publisher
) -> None:
    good = newsroom.subscribe()
    path = f"subscribers/{good['_id']}"
    webflow = {**newsroom.destination(), "delivery_type": "webflow"}
    for client in (newsroom.publisher.client, stranger.client):
        answer = client.patch(path, {"destinations": [webflow]})
        assert answer.status_code == 400, answer.text
    moved = {**newsroom.destination(), "name": "moved"}
    assert stranger.client.patch(path, {"destinations": [moved]}).status_code == 400
    assert newsroom.publisher.client.patch(path, {"destinations": [moved]}).status_code == 200


def test_delivery_types_are_told(newsroom: SiteNewsroom) -> None:
    types = newsroom.publisher.client.get("client_config").get_json()["config"]["transmitter_types"]
    own = {each["type"]: each for each in types}
    assert own["wordpress"]["config"] == {"integration": None}
    assert own["wordpress"]["name"] == "WordPress"
    errors = newsroom.publisher.client.get(
        "io_errors", io_type="publish", source_type="wordpress"
    ).get_json()["_items"][0]["source_errors"]
    assert set(errors) == {"16000", "16001", "16002"}


# Rows that others wrote.


@pytest.mark.parametrize(
    "note",
    [
        "x",
        5,
        [],
        {"to": 5},
        {"to": "x", "mark": "y", "look_at": None},
        {"to": str(ObjectId()), "mark": 3, "looks": "x", "at": "y"},
    ],
)
def test_notes_of_odd_shape(newsroom: SiteNewsroom, note: Any) -> None:
    """They hold up nobody, and the row is sent again."""
    row = handed_over(newsroom)
    if isinstance(note, dict):
        note = {"look_at": newsroom.clock.now(), **note}
    newsroom.db["publish_queue"].update_one({"_id": row["_id"]}, {"$set": {"handed_over": note}})
    newsroom.site.fault = lambda request: None
    newsroom.desk.published(headline="Lakes fall")
    newsroom.settle()
    assert newsroom.states() == ["success", "success"]

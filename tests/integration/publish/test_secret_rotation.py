"""Secrets of destinations that are changed while deliveries go on (delivery contract 7.2)."""

import hmac
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId
from standardwebhooks import Webhook, WebhookVerificationError

from apps.core.service import Document
from apps.graph.build import Graph
from apps.publish.transmit.destinations import Subscribers
from tests.support.clients import Client
from tests.support.events import Events
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.newsroom import file_in, push
from tests.support.queues import fill
from tests.support.receivers import HTTPReceiver, Received

pytestmark = pytest.mark.usefixtures("conserved")

FIRST = "whsec_" + "QUFB" * 10


@pytest.fixture
def clock() -> HandClock:
    """Deliveries are signed with the time of the machine, by which receivers check them."""
    return HandClock(datetime.now(UTC))


@pytest.fixture
def subscriber(desk: Newsdesk, receiver: HTTPReceiver) -> ObjectId:
    return desk.newsroom.subscriber("Daily", push(receiver.url))


def rotate(client: Client, subscriber: Any, id: str = "push", **body: Any) -> Any:
    return client.post(f"subscribers/{subscriber}/destinations/{id}/rotate_secret", body)


def rotated(client: Client, subscriber: Any, **body: Any) -> str:
    answer = rotate(client, subscriber, **body)
    assert answer.status_code == 200, answer.text
    return str(answer.get_json()["secret"])


def deliver(desk: Newsdesk, graph: Graph) -> None:
    desk.published()
    graph.enqueue.run()
    graph.transmit.run()


def accepts(secret: str, request: Received) -> bool:
    """Whether a receiver that knows a secret takes a request."""
    try:
        Webhook(secret).verify(request.body.decode(), dict(request.headers))
    except WebhookVerificationError:
        return False
    return True


def test_a_first_secret_signs_from_then_on(
    desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, subscriber: ObjectId
) -> None:
    deliver(desk, graph)
    answer = rotate(desk.client, subscriber)
    deliver(desk, graph)

    before, after = receiver.requests
    assert "webhook-signature" not in before.headers
    assert answer.get_json()["old_valid_until"] is None
    assert accepts(answer.get_json()["secret"], after)


def test_receivers_reject_nothing_while_they_change_over(
    desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, subscriber: ObjectId, clock: HandClock
) -> None:
    """Old and new secret are both good for a day; the newest signature is the first."""
    old = rotated(desk.client, subscriber)
    deliver(desk, graph)
    answer = rotate(desk.client, subscriber).get_json()
    deliver(desk, graph)

    first, second = receiver.requests
    assert (accepts(old, first), accepts(old, second)) == (True, True)
    assert (accepts(answer["secret"], first), accepts(answer["secret"], second)) == (False, True)
    newest, _ = second.headers["webhook-signature"].split()
    newest_alone = {**second.headers, "webhook-signature": newest}
    assert Webhook(answer["secret"]).verify(second.body.decode(), newest_alone) is not None
    with pytest.raises(WebhookVerificationError):
        Webhook(old).verify(second.body.decode(), newest_alone)
    until = (clock.now() + timedelta(hours=24)).strftime("%Y-%m-%dT%H:%M:%S+0000")
    assert answer["old_valid_until"] == until


def test_under_load_nothing_is_rejected(
    desk: Newsdesk,
    graph: Graph,
    receiver: HTTPReceiver,
    subscriber: ObjectId,
    clock: HandClock,
    monkeypatch: Any,
) -> None:
    """One run, in which the secret changes, and then the receiver knows the new one alone.

    The signature of Superdesk is there beside it, of the token that stays. Delivery contract X11.
    """
    monkeypatch.setattr(Subscribers, "seconds", 0.0)
    signed = {"destinations.0.config.secret_token": "token"}
    desk.db["subscribers"].update_one({"_id": subscriber}, {"$set": signed})
    known = [rotated(desk.client, subscriber)]
    fill(graph.db, subscriber, push(receiver.url), clock.at, items=250)
    new: list[str] = []
    rejected: list[int] = []

    def answer(request: Received) -> int:
        count = len(receiver.requests)
        if count == 30:
            new.append(rotated(desk.client, subscriber))
        if count == 150:
            # A batch is of 100 rows: all that began before are out.
            known[:] = new
        own = hmac.new(b"token", request.body, "sha1").hexdigest()
        is_own = request.headers["x-superdesk-signature"] == f"sha1={own}"
        if not accepts(known[0], request) or not is_own:
            rejected.append(count)
            return 403
        return 200

    receiver.answer(answer)
    graph.transmit.run()

    assert known == new
    assert rejected == []
    assert {row["state"] for row in desk.rows()} == {"success"}


def test_an_old_secret_ends_after_a_day(
    desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, subscriber: ObjectId, clock: HandClock
) -> None:
    """Asked for a day ago: the receivers' clocks show what the machine's does."""
    old = rotated(desk.client, subscriber)
    clock.advance(hours=-24, seconds=-1)
    new = rotated(desk.client, subscriber)
    clock.advance(hours=24, seconds=1)
    deliver(desk, graph)

    (request,) = receiver.requests
    assert (accepts(old, request), accepts(new, request)) == (False, True)
    # And a third one is made without being asked for anything.
    assert rotate(desk.client, subscriber).status_code == 200


@pytest.mark.parametrize(("replace", "stays"), [("newest", "first"), ("oldest", "second")])
def test_of_two_that_are_valid_somebody_says_which_one_ends(
    desk: Newsdesk,
    graph: Graph,
    receiver: HTTPReceiver,
    subscriber: ObjectId,
    replace: str,
    stays: str,
) -> None:
    """The receiver may not have got the newest one, or the oldest may be known to others."""
    secrets = {name: rotated(desk.client, subscriber) for name in ("first", "second")}

    refused = rotate(desk.client, subscriber)
    third = rotated(desk.client, subscriber, replace=replace)
    deliver(desk, graph)

    assert refused.status_code == 409
    assert '{"replace": "newest"}' in refused.get_json()["_message"]
    (request,) = receiver.requests
    assert accepts(third, request)
    assert [name for name, secret in secrets.items() if accepts(secret, request)] == [stays]


def test_a_secret_is_shown_once_and_stored_for_nobody_to_read(
    desk: Newsdesk, subscriber: ObjectId, events: Events, capfd: Any
) -> None:
    answer = rotate(desk.client, subscriber)
    secret = answer.get_json()["secret"]
    (message,) = events.named("subscriber:update")

    bare = secret.removeprefix("whsec_")
    stored = str(desk.db["subscribers"].find_one({"_id": subscriber}))
    shown = [desk.client.get(p).text for p in ("subscribers", f"subscribers/{subscriber}")]
    logged = "".join(capfd.readouterr())
    assert message["_id"] == [str(subscriber)]
    for text in (stored, *shown, str(message), logged):
        assert bare not in text


def test_what_else_the_subscriber_has_stays(
    desk: Newsdesk, receiver: HTTPReceiver, clock: HandClock
) -> None:
    """Other destinations and secrets are as they were; what a client has read before is stale."""
    one = push(receiver.url, secret_token="token", signature_v1=FIRST)
    id_ = desk.newsroom.subscriber("x", one)
    both = {"destinations": [one, {**one, "_id": "other", "name": "other"}]}
    assert desk.client.patch(f"subscribers/{id_}", both).status_code == 200
    before = desk.db["subscribers"].find_one({"_id": id_}) or {}
    clock.advance(minutes=1)

    rotated(desk.client, id_)

    after = desk.db["subscribers"].find_one({"_id": id_}) or {}
    changed = {key for key in after if after[key] != before[key]}
    assert changed == {"destinations", "_etag", "_updated"}
    assert after["destinations"][1] == before["destinations"][1]
    kept, new = (d["destinations"][0]["config"] for d in (before, after))
    assert {key for key in new if new[key] != kept[key]} == {"signature_v1"}


def test_secrets_that_clients_have_written_are_old_ones(
    desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, subscriber: ObjectId
) -> None:
    """In clear, as fixtures write them; what is no secret is left out."""
    plain = push(receiver.url, signature_v1=f"{FIRST} nonsense!")
    desk.db["subscribers"].update_one({"_id": subscriber}, {"$set": {"destinations": [plain]}})

    new = rotated(desk.client, subscriber)
    deliver(desk, graph)

    (request,) = receiver.requests
    assert (accepts(FIRST, request), accepts(new, request)) == (True, True)


def test_who_saves_the_subscriber_keeps_the_secrets(
    desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, subscriber: ObjectId
) -> None:
    """A client that sends the destinations back as it has read them, or without secrets."""
    old, new = rotated(desk.client, subscriber), rotated(desk.client, subscriber)
    path = f"subscribers/{subscriber}"

    whole = desk.client.get(path).get_json()["destinations"]
    shown = desk.client.get("subscribers").get_json()["_items"][0]["destinations"]
    for sent in (whole, shown):
        assert desk.client.patch(path, {"destinations": sent}).status_code == 200
    deliver(desk, graph)

    (request,) = receiver.requests
    assert (accepts(old, request), accepts(new, request)) == (True, True)


def test_of_two_at_the_same_time_one_is_asked(
    desk: Newsdesk, graph: Graph, subscriber: ObjectId, monkeypatch: Any
) -> None:
    """Nobody's new secret is lost: who comes second sees that two are valid by then."""
    rotated(desk.client, subscriber)
    seen: list[Any] = []

    class Racing(HandClock):
        def now(self) -> datetime:
            if not seen:
                seen.append(None)
                seen.append(rotated(desk.client, subscriber))
            return super().now()

    secrets = graph.publishing.destinations.action("rotate_secret").run.__self__._secrets
    monkeypatch.setattr(secrets, "_clock", Racing(datetime.now(UTC)))

    assert rotate(desk.client, subscriber).status_code == 409
    assert len(seen) == 2


class TestRefusals:
    def test_of_types_that_sign_nothing(self, desk: Newsdesk, tmp_path: Any) -> None:
        subscriber = desk.newsroom.subscriber("f", file_in(tmp_path))

        answer = rotate(desk.client, subscriber, "file")

        assert (answer.status_code, "File" in answer.get_json()["_message"]) == (409, True)

    @pytest.mark.parametrize(
        "body", [{"replace": "both"}, {"replace": 5}, {"force": True}], ids=str
    )
    def test_of_other_bodies(self, desk: Newsdesk, subscriber: ObjectId, body: Document) -> None:
        before = desk.db["subscribers"].find_one({"_id": subscriber})

        assert rotate(desk.client, subscriber, **body).status_code == 400
        assert desk.db["subscribers"].find_one({"_id": subscriber}) == before

    def test_of_a_secret_that_cannot_be_read(self, desk: Newsdesk, subscriber: ObjectId) -> None:
        """It may be in use: nobody can say what becomes of it."""
        change = {"destinations.0.config.signature_v1": "enc:v1:nonsense"}
        desk.db["subscribers"].update_one({"_id": subscriber}, {"$set": change})

        assert rotate(desk.client, subscriber).status_code == 409

    def test_without_the_privilege(self, editor: Client, subscriber: ObjectId) -> None:
        assert rotate(editor, subscriber).status_code == 403

"""Delivery type `email` against a mail server on loopback (delivery contract 5.3)."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from io import BytesIO
from itertools import chain, count
from json import dumps
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from apps.core.caller import SYSTEM
from apps.core.errors import DeliveryError, PermanentFailure, TemporaryFailure
from apps.core.smtp import MailServer, Security
from tests.suites.transmitter_suite import (
    KeyFarSide,
    KeySuite,
    NetworkFarSide,
    NetworkSuite,
    ThreadSafeSuite,
    TransmitterSuite,
)
from tests.support.certificates import self_signed
from tests.support.deliveries import (
    MediaStore,
    build_delivery,
    build_destination,
    build_settings,
    impatient_settings,
)
from tests.support.mailbox import TAKEN, Mailbox, Stage, bad_mail_server
from transmitters.base import MediaFile, Receipt, TransmitSettings
from transmitters.email import AT_ONCE, MOST_RECIPIENTS, EmailTransmitter
from transmitters.email_message import Attachment, compose, content_of, mail_parts, recipient_of

USER = ("desk", "planted-password")
NOON = datetime(2026, 3, 4, 12, 0, 0, tzinfo=UTC)
EXPECTED_HEADERS = [
    *(b"from", b"to", b"subject", b"date", b"message-id"),
    *(b"mime-version", b"content-type"),
]
FULL, UNKNOWN = "452 4.2.2 Mailbox full", "550 5.1.1 No such user"


def text_of(message: EmailMessage) -> bytes:
    """Return the bytes of the text part."""
    part = message.get_body(("plain",))
    assert part is not None
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    return content


def html_of(message: EmailMessage) -> str | None:
    part = message.get_body(("html",))
    return part.get_content() if part is not None else None


class MailFarSide(NetworkFarSide, KeyFarSide):
    """A mailbox that tells mails apart by their Message-ID."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    @property
    def config(self) -> dict[str, Any]:
        name, password = USER
        return {
            "recipients": "a@one.example; b@one.example",
            "recipients_bcc": "c@two.example",
            "host": "127.0.0.1",
            "port": self._mailbox.port,
            "security": "none",
            "username": name,
            "password": password,
        }

    def documents(self) -> Mapping[str, bytes]:
        return {m["Message-ID"]: text_of(m) for _, m in self._mailbox.received}

    def keys(self) -> list[str]:
        ids = [str(message["Message-ID"]) for _, message in self._mailbox.received]
        return [id_.strip("<>").partition("@")[0] for id_ in ids]

    def accept(self) -> None:
        self._mailbox.answer = lambda address: TAKEN
        self._mailbox.hangs = self._mailbox.resets = None

    def fail_for_now(self) -> None:
        self.fail_saying("Try again")

    def refuse(self) -> None:
        self._mailbox.answer = lambda address: UNKNOWN

    def hang(self) -> None:
        self._mailbox.hangs = Stage.ASKED

    def reset(self) -> None:
        self._mailbox.resets = Stage.OFFERED

    def fail_saying(self, text: str) -> None:
        self._mailbox.answer = lambda address: f"451 {text}"

    def stop(self) -> None:
        self._mailbox.stop()

    def assert_let_go(self) -> None:
        self._mailbox.wait_until_left()


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with Mailbox(user=USER) as mailbox:
        yield mailbox


class TestSuite(TransmitterSuite, NetworkSuite, KeySuite, ThreadSafeSuite):
    transmitter_class = EmailTransmitter

    @pytest.fixture
    def far_side(self, mailbox: Mailbox) -> MailFarSide:
        return MailFarSide(mailbox)

    @pytest.mark.parametrize("value", [None, "", "  ", 7, [], {"a": 1}, " ; "])
    def test_bad_config_is_permanent(  # type: ignore[override]
        self, far_side: MailFarSide, settings: TransmitSettings, value: object
    ) -> None:
        """A mail needs somebody to go to (delivery scenario 33)."""
        config = {**far_side.config, "recipients": value, "recipients_bcc": value}
        with pytest.raises(PermanentFailure) as caught:
            self.build(settings, config).send(build_delivery())
        assert caught.value.code == 11000
        assert "Recipient could not be found for destination" in str(caught.value)


class Post:
    """Sends mails to one mailbox, by the server of the settings unless told otherwise."""

    def __init__(self, mailbox: Mailbox) -> None:
        self.mailbox = mailbox
        self.settings: dict[str, Any] = {
            "mail_server": MailServer("127.0.0.1", mailbox.port, timeout=20.0),
            "mail_sender": "Desk <desk@agency.example>",
            "mail_domain": "agency.example",
        }

    def send(
        self, body: bytes | None = None, *, config: dict[str, Any] | None = None, **fields: Any
    ) -> Receipt:
        wanted = {"recipients": "a@one.example", **(config or {})}
        destination = build_destination("email", **wanted)
        if body is not None:
            fields["body"] = body
        transmitter = EmailTransmitter(destination, build_settings(**self.settings))
        return transmitter.send(build_delivery(**fields))

    def failing(self, *args: Any, **fields: Any) -> DeliveryError:
        with pytest.raises(DeliveryError) as caught:
            self.send(*args, **fields)
        assert caught.value.code == 11000
        return caught.value

    def only(self) -> EmailMessage:
        return self.mailbox.only()


@pytest.fixture
def post() -> Iterator[Post]:
    with Mailbox() as mailbox:
        yield Post(mailbox)


def parts(**changes: Any) -> bytes:
    """Return what the format `email` makes of a story."""
    made = {
        "message_subject": "Harbour reopens",
        "message_text": "The harbour is open.\n",
        "message_html": "<p>The harbour is open.</p>\r",
        "renditions": None,
    }
    return orjson.dumps({**made, **changes})


class TestContent:
    def test_the_format_email_says_all(self, post: Post) -> None:
        """Subject, text and HTML; the reader's program chooses."""
        post.send(parts())

        message = post.only()
        assert message["Subject"] == "Harbour reopens"
        assert message.get_content_type() == "multipart/alternative"
        assert text_of(message) == b"The harbour is open.\r\n"
        assert (html_of(message) or "").strip() == "<p>The harbour is open.</p>"

    def test_without_html(self, post: Post) -> None:
        post.send(parts(message_html=None))

        message = post.only()
        assert message.get_content_type() == "text/plain"
        assert html_of(message) is None

    @pytest.mark.parametrize(
        "body", [b'{"guid": "a"}', b"[1]", b"{", b"<nitf>&amp; \xc3\xa9</nitf>"]
    )
    def test_another_format_is_the_text(self, post: Post, body: bytes) -> None:
        """As text and as HTML that shows the same; the subject names the item."""
        media_type = "application/xml" if body.startswith(b"<") else "application/json"
        post.send(body, item_id="urn:a:1", media_type=media_type)

        message = post.only()
        assert message["Subject"] == "Story: urn:a:1"
        assert text_of(message) == body
        html = html_of(message) or ""
        assert html.startswith("<pre>")
        assert "<nitf>" not in html

    def test_html_is_html(self, post: Post) -> None:
        post.send(b"<p>One</p>", media_type="text/html; charset=utf-8")

        assert (html_of(post.only()) or "").strip() == "<p>One</p>"

    def test_what_is_no_text_is_attached(self, post: Post) -> None:
        """Under the name that other delivery types give the file."""
        body = b"PK\x03\x04" + bytes(range(256))
        post.send(body, item_id="urn:a:1", media_type="application/zip", file_extension="idml")

        (file,) = post.only().iter_attachments()
        assert file.get_content_type() == "application/zip"
        assert file.get_filename() == "urn-a-1-2-7.idml"
        assert file.get_payload(decode=True) == body

    @pytest.mark.parametrize(
        ("subject", "shown"),
        [
            ("Stop\r\nBcc: spy@example.com", "Stop"),
            ("\n\nStop\u2028Bcc: spy@example.com", "Stop"),
            ("Zürich – 新聞 🙂", "Zürich – 新聞 🙂"),
            ("a\x00b\ud800c", "abc"),
            ("", "Story: urn:a:1"),
            (None, "Story: urn:a:1"),
            (7, "Story: urn:a:1"),
            ("word " * 300, ("word " * 100).strip()),
            ("=?utf-8?q?odd?=", "odd"),
        ],
    )
    def test_a_subject_is_one_line(self, post: Post, subject: Any, shown: str) -> None:
        """Cut at the first line end: nothing in it begins a header."""
        body = parts()
        made = {**orjson.loads(body), "message_subject": subject}
        text = dumps(made).encode()
        post.send(text, item_id="urn:a:1")

        message = post.only()
        assert message["Subject"] == shown
        assert message["Bcc"] is None

    @pytest.mark.parametrize(
        "odd", ["a\x00b", "\ud83d", ".\r\n.\r\nQUIT\r\n", "x" * 5000, "é" * 3000]
    )
    def test_odd_texts_arrive(self, post: Post, odd: str) -> None:
        """Whatever a story holds is within what mail servers take."""
        made = {**orjson.loads(parts()), "message_text": odd, "message_html": f"<p>{odd}</p>"}
        post.send(dumps(made).encode())

        clean = odd.replace("\x00", "").replace("\ud83d", "")
        arrived = text_of(post.only()).decode()
        assert arrived.replace("\r\n", "\n").strip() == clean.replace("\r\n", "\n").strip()

    @given(st.text(), st.text(), st.text(max_size=50), st.text(max_size=50))
    def test_any_message_can_be_written(
        self, subject: str, text: str, name: str, file: str
    ) -> None:
        """And read again; in ASCII, with lines that every server takes."""
        made = {"message_subject": subject, "message_text": text, "message_html": text}
        delivery = build_delivery(body=dumps(made).encode(), item_id=name)
        sender = recipient_of("desk@agency.example")
        assert sender is not None
        to = recipient_of(f"{name} <a@one.example>") or sender
        attached = Attachment(file, file, b"x", content_id=file)
        content = replace(content_of(delivery, mail_parts(delivery)), attachments=(attached,))
        message = compose(content, id="<k@a.example>", sender=sender, to=[to], sent_at=NOON)

        written = message.as_bytes()
        assert written.isascii()
        assert max(len(line) for line in written.split(b"\r\n")) <= 998
        assert written.count(b"\r\n") == written.count(b"\r") == written.count(b"\n")
        head = written.partition(b"\r\n\r\n")[0].lower()
        names = [line.partition(b":")[0] for line in head.split(b"\r\n") if line[:1].isalpha()]
        assert sorted(names) == sorted(EXPECTED_HEADERS)


class TestHeaders:
    def test_who_when_and_which(self, post: Post) -> None:
        """The id follows from the key, the date from when it was queued: a repeat is the same."""
        for attempt in (1, 2):
            post.send(key="5f2b8c", queued_at=NOON, attempt=attempt)

        messages = [message for _, message in post.mailbox.received]
        assert [m["Message-ID"] for m in messages] == ["<5f2b8c@agency.example>"] * 2
        assert [m["Date"] for m in messages] == [format_datetime(NOON)] * 2
        assert messages[0]["From"] == "Desk <desk@agency.example>"
        assert post.mailbox.senders == ["desk@agency.example"] * 2

    def test_a_row_that_nobody_knows_the_age_of(self, post: Post) -> None:
        odd: Any = "yesterday"
        post.send(queued_at=odd)
        post.send(queued_at=None)

        assert all(message["Date"] for _, message in post.mailbox.received)

    @pytest.mark.parametrize("key", ["a\r\nBcc: x@y.example", "a b", "", "é", "k" * 500])
    def test_keys_that_others_have_chosen(self, post: Post, key: str) -> None:
        """Rows that clients write may have any key; what follows from it is an id all the same."""
        post.send(key=key)
        post.send(key=key)

        first, second = (message for _, message in post.mailbox.received)
        assert first["Message-ID"] == second["Message-ID"]
        assert first["Message-ID"].endswith("@agency.example>")
        assert len(first["Message-ID"]) < 100
        assert first["Bcc"] is None

    def test_blind_copies_are_not_shown(self, post: Post) -> None:
        """Delivery scenario 33: both lists are split on semicolons."""
        config = {
            "recipients": " a@one.example;Zoë Ng <b@one.example>; ;",
            "recipients_bcc": "c@two.example ;a@one.example",
        }
        post.send(config=config)

        assert post.mailbox.recipients == [["a@one.example", "b@one.example", "c@two.example"]]
        message = post.only()
        assert message["To"] == "a@one.example, Zoë Ng <b@one.example>"
        assert "c@two.example" not in message.as_string()

    def test_blind_copies_only(self, post: Post) -> None:
        post.send(config={"recipients": "", "recipients_bcc": "c@two.example;d@two.example"})

        assert post.mailbox.recipients == [["c@two.example", "d@two.example"]]
        assert post.only()["To"] == "undisclosed-recipients:;"

    def test_a_sender_of_its_own(self, post: Post) -> None:
        post.send(config={"sender": "wire@sports.example"})

        assert post.only()["From"] == "wire@sports.example"

    @pytest.mark.parametrize("sender", ["nobody", "a@b\r\nBcc: c@d.example", 7])
    def test_a_sender_that_is_no_address(self, post: Post, sender: Any) -> None:
        assert isinstance(post.failing(config={"sender": sender}), PermanentFailure)
        assert post.mailbox.received == []


class TestAddresses:
    def test_domains_of_any_language(self, post: Post) -> None:
        """They are asked for in ASCII, which every server understands."""
        post.send(config={"recipients": "info@Zürich.example"})

        assert post.mailbox.recipients == [["info@xn--zrich-kva.example"]]

    def test_names_of_any_language(self, post: Post) -> None:
        """They have a mail of their own, with the same id, where the server takes them."""
        post.send(config={"recipients": "a@one.example;zoë@two.example"})

        assert post.mailbox.recipients == [["a@one.example"], ["zoë@two.example"]]
        (_, plain), (_, other) = post.mailbox.received
        assert plain["Message-ID"] == other["Message-ID"]
        assert plain["To"] == "a@one.example"
        assert post.mailbox.conversations == 1

    def test_a_server_that_takes_ascii_only(self) -> None:
        """It is as if it had refused the address for good; the others have the mail."""
        with Mailbox(takes_unicode=False) as mailbox:
            error = Post(mailbox).failing(config={"recipients": "a@one.example;zoë@two.example"})

            assert mailbox.recipients == [["a@one.example"]]
        assert isinstance(error, PermanentFailure)
        assert "zoë@two.example: 553" in error.cause

    @pytest.mark.parametrize(
        "odd",
        [
            "nobody",
            "a@",
            "@b.example",
            "a b@c.example",
            "a@b@c.example",
            "a@c.example\r\nRCPT TO:<d@e.example>",
            "a@c.example,d@e.example",
            "<a@c.example",
            "a@" + "x" * 70 + ".example",
            "a@..",
        ],
    )
    def test_what_is_no_address(self, post: Post, odd: str) -> None:
        """It is refused for good, and named; the others have the mail."""
        error = post.failing(config={"recipients": f"{odd};b@one.example"})

        assert post.mailbox.recipients == [["b@one.example"]]
        assert isinstance(error, PermanentFailure)
        assert "this is no address" in error.cause
        assert EmailTransmitter.config_issues({"recipients": odd}, SYSTEM)["recipients"]

    def test_a_long_list_goes_out_in_mails_of_a_hundred(self, post: Post) -> None:
        names = [f"a{n}@one.example" for n in range(2 * AT_ONCE + 50)]
        post.send(config={"recipients_bcc": ";".join(names), "recipients": ""})

        assert [len(to) for to in post.mailbox.recipients] == [AT_ONCE, AT_ONCE, 50]
        assert sorted(chain.from_iterable(post.mailbox.recipients)) == sorted(names)

    def test_a_server_that_takes_fewer_at_once(self, post: Post) -> None:
        """Those that were too many follow at once, in the same conversation."""
        asked = count()
        post.mailbox.answer = lambda _: TAKEN if next(asked) % 15 < 10 else "452 Too many"
        names = [f"a{n}@one.example" for n in range(40)]

        post.send(config={"recipients": ";".join(names)})

        assert sorted(chain.from_iterable(post.mailbox.recipients)) == sorted(names)
        assert post.mailbox.conversations == 1

    def test_there_is_an_end_to_lists(self, post: Post) -> None:
        names = ";".join(f"a{n}@one.example" for n in range(MOST_RECIPIENTS + 1))

        assert isinstance(post.failing(config={"recipients": names}), PermanentFailure)
        assert EmailTransmitter.config_issues({"recipients": names}, SYSTEM)
        most = names.rpartition(";")[0]
        assert not EmailTransmitter.config_issues({"recipients": most, "sender": "a@b.c"}, SYSTEM)


class TestRefusals:
    """Delivery contract 5.3: whoever has got the mail gets no other."""

    RECIPIENTS = "a@one.example;b@one.example;c@two.example"

    def refuse(self, mailbox: Mailbox, **refusals: str) -> None:
        mailbox.answer = lambda address: refusals.get(address[0], TAKEN)

    def attempts(self, post: Post, *refusals: dict[str, str], **fields: Any) -> list[Any]:
        """Send once for each, with what the last failure left; return what it came to."""
        outcomes: list[Any] = []
        progress: Mapping[str, Any] = {}
        for refused in refusals:
            self.refuse(post.mailbox, **refused)
            try:
                config = {"recipients": self.RECIPIENTS}
                outcomes.append(post.send(config=config, progress=progress, **fields))
            except DeliveryError as error:
                outcomes.append(error)
                progress = progress if error.progress is None else error.progress
        return outcomes

    def test_only_those_are_tried_again_who_may_take_it_later(self, post: Post) -> None:
        failed, done = self.attempts(post, {"b": FULL}, {})

        assert isinstance(failed, TemporaryFailure)
        assert "b@one.example: 452 4.2.2 Mailbox full" in failed.cause
        assert failed.is_receiver_up
        assert isinstance(done, Receipt)
        assert post.mailbox.recipients == [["a@one.example", "c@two.example"], ["b@one.example"]]
        shown = {(m["To"], m["Message-ID"]) for _, m in post.mailbox.received}
        assert len(shown) == 1

    def test_refused_for_good(self, post: Post) -> None:
        """The others have it: the delivery has failed, and says for whom."""
        (failed,) = self.attempts(post, {"b": UNKNOWN})

        assert isinstance(failed, PermanentFailure)
        assert failed.cause == "not taken for b@one.example: 550 5.1.1 No such user"
        assert failed.response_status == 550

    def test_both(self, post: Post) -> None:
        """Who is refused for good is not asked again, and not forgotten."""
        first, second = self.attempts(post, {"a": UNKNOWN, "b": FULL}, {})

        assert isinstance(first, TemporaryFailure)
        assert post.mailbox.recipients == [["c@two.example"], ["b@one.example"]]
        assert isinstance(second, PermanentFailure)
        assert "a@one.example: refused before" in second.cause

    def test_who_asks_for_it_again_has_the_refused_asked_again(self, post: Post) -> None:
        _, failed, done = self.attempts(post, {"a": UNKNOWN, "b": FULL}, {}, {})

        assert isinstance(failed, PermanentFailure)
        assert isinstance(done, Receipt)
        assert post.mailbox.recipients[-1] == ["a@one.example"]
        assert len(post.mailbox.received) == 3

    def test_nobody_takes_it(self, post: Post) -> None:
        for_now, for_good = self.attempts(
            post, dict.fromkeys("abc", "450 Wait"), dict.fromkeys("abc", UNKNOWN)
        )

        assert isinstance(for_now, TemporaryFailure)
        assert not for_now.is_receiver_up
        assert isinstance(for_good, PermanentFailure)
        assert post.mailbox.received == []

    def test_what_the_server_was_not_asked_says_nothing_of_it(self, post: Post) -> None:
        """The breaker counts answers only."""
        wrong = post.failing(config={"recipients": "nobody"})
        (failed,) = self.attempts(post, {"a": UNKNOWN, "b": FULL})
        gone = post.failing(config={"recipients": "a@one.example"}, progress=failed.progress)

        for error in (wrong, gone):
            assert isinstance(error, PermanentFailure)
            assert (error.response_status, error.is_receiver_up) == (None, False)

    def test_recipients_may_change_between_attempts(self, post: Post) -> None:
        """Who has it keeps having it; whoever comes instead of the refused gets it."""
        (failed,) = self.attempts(post, {"b": UNKNOWN})
        config = {"recipients": "new@one.example;c@two.example;A@one.example"}
        post.send(config=config, progress=failed.progress)

        assert post.mailbox.recipients[-1] == ["new@one.example", "A@one.example"]

    @pytest.mark.parametrize(
        ("answer", "kind"),
        [("552 Too large", PermanentFailure), ("451 Later", TemporaryFailure)],
    )
    def test_the_mail_itself_is_refused(
        self, post: Post, answer: str, kind: type[DeliveryError]
    ) -> None:
        post.mailbox.content_answer = answer

        assert isinstance(post.failing(), kind)

    def test_the_most_recipients_have_room_in_a_row(self, post: Post) -> None:
        """Whatever became of them."""
        post.mailbox.answer = lambda address: TAKEN if int(address[1]) % 2 else UNKNOWN
        names = [f"a{n}@one.example" for n in range(MOST_RECIPIENTS - 1)]
        post.mailbox.answer = lambda a: FULL if a[0] == "b" else [TAKEN, UNKNOWN][int(a[1]) % 2]

        error = post.failing(config={"recipients": ";".join([*names, "b@one.example"])})

        assert len(orjson.dumps(error.progress)) <= 4096
        assert len(error.cause) <= 1000

    @pytest.mark.parametrize("odd", [{"accepted": 7}, {"accepted": "ab"}, {"refused": ["x"]}])
    def test_progress_that_others_wrote(self, post: Post, odd: Any) -> None:
        post.send(progress=odd)

        assert len(post.mailbox.received) == 1


class TestLostAnswers:
    def test_a_goodbye_that_fails_is_no_failure(self, post: Post) -> None:
        """The server has the mail: it goes out once."""
        post.mailbox.goodbye = "451 Not now"

        post.send()

        assert len(post.mailbox.received) == 1

    def test_an_answer_that_is_lost_behind_the_mail(self, post: Post) -> None:
        """Nobody knows whether it was kept: the repeat is the same mail."""
        post.mailbox.resets = Stage.KEPT
        assert isinstance(post.failing(key="k"), TemporaryFailure)
        post.mailbox.resets = None
        post.send(key="k")

        first, second = (message for _, message in post.mailbox.received)
        assert first["Message-ID"] == second["Message-ID"] == "<k@agency.example>"

    def test_a_conversation_that_breaks_after_the_first_mail(self, post: Post) -> None:
        """Who has it is known: the others get it with the next attempt."""
        names = [f"a{n}@one.example" for n in range(AT_ONCE + 5)]
        config = {"recipients": ";".join(names)}

        def answer(address: str) -> str:
            if address == names[AT_ONCE]:
                post.mailbox.resets = Stage.OFFERED
            return TAKEN

        post.mailbox.answer = answer
        error = post.failing(config=config)
        post.mailbox.answer, post.mailbox.resets = (lambda _: TAKEN), None
        post.send(config=config, progress=error.progress)

        assert [len(to) for to in post.mailbox.recipients] == [AT_ONCE, 5]

    @pytest.mark.parametrize("stage", list(Stage))
    def test_a_server_that_hangs(self, post: Post, stage: Stage) -> None:
        post.settings["mail_server"] = MailServer("127.0.0.1", post.mailbox.port, timeout=0.3)
        post.mailbox.hangs = stage

        assert isinstance(post.failing(), TemporaryFailure)

    @pytest.mark.parametrize(
        "says", ["", "2", "220-wait\r\n", "554 Go away\r\n", "HTTP/1.1 400\r\n"]
    )
    def test_what_is_no_mail_server(self, post: Post, says: str) -> None:
        """The attempt ends; what is said before a mail is offered says nothing of the mail."""
        with bad_mail_server(says) as port:
            post.settings["mail_server"] = MailServer("127.0.0.1", port, timeout=0.1)
            assert isinstance(post.failing(), TemporaryFailure)

    def test_a_server_that_talks_on(self, post: Post) -> None:
        """It is hung up on, before it fills the memory."""
        with bad_mail_server(
            "220-" + "x" * 400 + "\r\n" * 1 + ("220-" + "y" * 400 + "\r\n") * 200, 0
        ) as port:
            post.settings["mail_server"] = MailServer("127.0.0.1", port, timeout=5.0)
            error = post.failing()

        assert "the server says too much" in error.cause


class TestServer:
    def test_none_is_set_up(self, post: Post) -> None:
        post.settings["mail_server"] = None

        error = post.failing()
        assert isinstance(error, TemporaryFailure)
        assert "MAIL_SERVER" in error.cause

    def test_its_own_has_nothing_of_the_other(self, post: Post) -> None:
        """Nobody who names a server of theirs is told the password of the common one."""
        secret = MailServer("mail.invalid", 25, username="common", password="planted")
        post.settings["mail_server"] = secret
        own = {"host": "127.0.0.1", "port": post.mailbox.port, "security": "none"}

        post.send(config=own)
        with Mailbox(user=("common", "planted")) as other:
            error = post.failing(config={**own, "port": str(other.port)})

        assert "530" in error.cause

    def test_a_wrong_password(self, mailbox: Mailbox) -> None:
        """It may be mended: the mail waits."""
        config = {**MailFarSide(mailbox).config, "password": "wrong-one"}
        error = Post(mailbox).failing(config=config)

        assert isinstance(error, TemporaryFailure)
        assert "535" in error.cause
        assert "wrong-one" not in str(error)

    @pytest.mark.parametrize(
        ("config", "issue"),
        [
            ({"host": "no host"}, "host"),
            ({"host": ["a"]}, "host"),
            ({"host": "a/b"}, "host"),
            ({"port": "smtp"}, "port"),
            ({"port": 0}, None),
            ({"port": 65536}, "port"),
            ({"port": -1}, "port"),
            ({"security": "ssl"}, "security"),
            ({"security": 7}, "security"),
        ],
    )
    def test_a_server_that_cannot_be(
        self, post: Post, config: dict[str, Any], issue: str | None
    ) -> None:
        """It is named when the subscriber is saved, and fails for good."""
        own = {"host": "127.0.0.1", "security": "none", **config}

        issues = EmailTransmitter.config_issues(own, SYSTEM)

        assert list(issues) == (["host"] if issue else [])
        if issue:
            assert issue in issues["host"]
            assert isinstance(post.failing(config=own), PermanentFailure)

    def test_addresses_that_must_not_be_reached(self, post: Post) -> None:
        """By the address that is connected to; the server of the settings is the operator's."""
        post.settings["allow_private_addresses"] = False
        own = {"host": "localhost", "port": post.mailbox.port, "security": "none"}

        error = post.failing(config=own)
        post.send()

        assert isinstance(error, PermanentFailure)
        assert "not allowed" in error.cause
        post.settings["allowed_networks"] = ("127.0.0.0/8", "::1/128")
        post.send(config=own)

    def test_unknown_hosts(self, post: Post) -> None:
        def unknown(*_: Any, **__: Any) -> list[Any]:
            raise OSError("Name or service not known")

        destination = build_destination("email", recipients="a@b.example", host="mail.invalid")
        transmitter = EmailTransmitter(destination, build_settings(), resolve=unknown)
        with pytest.raises(TemporaryFailure, match=r"cannot resolve mail\.invalid"):
            transmitter.send(build_delivery())


class TestTLS:
    @pytest.fixture(params=[Security.STARTTLS, Security.TLS])
    def security(self, request: pytest.FixtureRequest) -> Security:
        found: Security = request.param
        return found

    def send(self, mailbox: Mailbox, security: str, **options: Any) -> Receipt:
        config = {**MailFarSide(mailbox).config, "security": str(security)}
        settings = impatient_settings(mail_timeout=20.0)
        transmitter = EmailTransmitter(build_destination("email", **config), settings, **options)
        return transmitter.send(build_delivery())

    def test_whoever_has_a_certificate(self, security: Security, tmp_path: Path) -> None:
        """The password goes over TLS only."""
        server, client = self_signed(tmp_path)
        always = security is Security.TLS
        with Mailbox(tls=server, always_tls=always, user=USER) as mailbox:
            self.send(mailbox, security, tls=client)
            assert len(mailbox.received) == 1

    @pytest.mark.parametrize("trust", [None, {"days": -1}, {"address": "127.0.0.2"}])
    def test_whoever_has_none_that_is_valid(
        self, security: Security, tmp_path: Path, trust: dict[str, Any] | None
    ) -> None:
        """That is permanent: it does not become valid by itself."""
        server, client = self_signed(tmp_path, **(trust or {}))
        always = security is Security.TLS
        with Mailbox(tls=server, always_tls=always, user=USER) as mailbox:
            with pytest.raises(PermanentFailure, match="certificate"):
                self.send(mailbox, security, tls=client if trust else None)
            assert mailbox.received == []

    def test_a_server_without(self, security: Security, mailbox: Mailbox) -> None:
        """Nothing is said in the clear instead."""
        with pytest.raises(TemporaryFailure):
            self.send(mailbox, security)
        assert mailbox.received == []


def picture(mode: str = "RGB", form: str = "JPEG", **options: Any) -> bytes:
    file = BytesIO()
    Image.new("RGB", (60, 40), (200, 30, 30)).convert(mode).save(file, form, **options)
    return file.getvalue()


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
FIELDS = st.sampled_from([field.name for field in EmailTransmitter.fields if field.name != "host"])
PARTS = st.sampled_from(["message_subject", "message_text", "message_html", "renditions"])


@given(st.dictionaries(FIELDS, ODD), st.dictionaries(PARTS, ODD), st.dictionaries(FIELDS, ODD))
def test_nothing_of_odd_shape_is_more_than_a_failure(
    config: dict[str, Any], made: dict[str, Any], progress: dict[str, Any]
) -> None:
    """Whatever migrations and plug-ins have written; nobody listens, so nothing is delivered."""
    nobody = MailServer("127.0.0.1", 9, timeout=1.0)
    wanted = {"recipients": "a@one.example", "attach_media": True, **config}
    transmitter = EmailTransmitter(
        build_destination("email", **wanted), build_settings(mail_server=nobody)
    )
    body = dumps({"message_subject": "Open", **made}).encode()
    with pytest.raises(DeliveryError):
        transmitter.send(build_delivery(body=body, progress=progress))
    EmailTransmitter.config_issues(wanted, SYSTEM)
    EmailTransmitter.missing_fields(wanted)
    EmailTransmitter.config_issues({**wanted, "host": config.get("port")}, SYSTEM)


class TestPictures:
    """Delivery scenario 34."""

    RENDITIONS = {"viewImage": {"media": "m1", "href": "x"}, "original": {"media": "m2"}}
    CONFIG = {"attach_media": True, "media_rendition": "viewImage", "media_cid": "photo"}

    def send(self, post: Post, data: bytes, name: str = "harbour.jpg", **config: Any) -> None:
        store = MediaStore(m1=MediaFile(name, "image/jpeg", data))
        post.send(
            parts(renditions=self.RENDITIONS),
            config={**self.CONFIG, **config},
            open_media=store.open,
        )

    def attached(self, post: Post) -> tuple[Any, Image.Image]:
        (file,) = post.only().iter_attachments()
        content = file.get_payload(decode=True)
        assert isinstance(content, bytes)
        return file, Image.open(BytesIO(content))

    def test_one_is_attached(self, post: Post) -> None:
        self.send(post, picture())

        file, image = self.attached(post)
        assert file["Content-ID"] == "<photo>"
        assert file.get_filename() == "harbour.jpg"
        assert file.get_content_type() == "image/jpeg"
        assert (image.format, image.size) == ("JPEG", (60, 40))
        assert html_of(post.only()) is not None

    @pytest.mark.parametrize(
        ("mode", "form"),
        [
            ("RGBA", "PNG"),
            ("P", "GIF"),
            ("L", "PNG"),
            ("CMYK", "JPEG"),
            ("1", "TIFF"),
            ("LA", "PNG"),
        ],
    )
    @pytest.mark.parametrize("marked", [False, True])
    def test_any_picture_becomes_jpeg(
        self, post: Post, tmp_path: Path, mode: str, form: str, marked: bool
    ) -> None:
        self.mark(post, tmp_path)
        self.send(post, picture(mode, form), f"harbour.{form.lower()}", watermark=marked)

        file, image = self.attached(post)
        assert image.format == "JPEG"
        assert file.get_filename() == ("harbour.jpeg" if form == "JPEG" else "harbour.jpg")

    def mark(self, post: Post, directory: Path) -> None:
        file = directory / "mark.png"
        file.write_bytes(picture("RGBA", "PNG"))
        Image.new("RGBA", (20, 10), (0, 0, 0, 255)).save(file)
        post.settings["watermark_image"] = str(file)

    def test_with_a_watermark(self, post: Post, tmp_path: Path) -> None:
        """At the right edge, two thirds down, so that the picture shows through."""
        self.mark(post, tmp_path)
        self.send(post, picture(), watermark=True)

        _, image = self.attached(post)
        marked, bare = image.getpixel((50, 25)), image.getpixel((10, 25))
        assert isinstance(marked, tuple)
        assert isinstance(bare, tuple)
        assert abs(marked[0] - 140) < 12
        assert abs(bare[0] - 200) < 12

    @pytest.mark.parametrize("path", [None, "/nowhere/mark.png"])
    def test_never_without_one_that_is_wanted(self, post: Post, path: str | None) -> None:
        """The mail waits until the operator has put it there."""
        post.settings["watermark_image"] = path
        with pytest.raises(TemporaryFailure, match="WATERMARK_IMAGE"):
            self.send(post, picture(), watermark=True)
        post.settings["watermark_image"] = __file__
        with pytest.raises(PermanentFailure, match="cannot be marked"):
            self.send(post, picture(), watermark=True)

    def test_what_is_no_picture_goes_as_it_is(self, post: Post) -> None:
        self.send(post, b"<svg/>", "chart.svg")

        (file,) = post.only().iter_attachments()
        assert file.get_payload(decode=True) == b"<svg/>"
        assert file.get_filename() == "chart.svg"

    def test_names_of_files_begin_no_header(self, post: Post) -> None:
        self.send(post, picture(), "Zürich\r\nBcc: x@y.example\x00.jpg", media_cid="a\r\nX: <y>")

        (file,) = post.only().iter_attachments()
        assert file.get_filename() == "Zürich--Bcc- x@y.example-.jpg"
        assert file["X"] is None
        assert file["Content-ID"] == "<aX:y>"

    @pytest.mark.parametrize(
        "config", [{"attach_media": False}, {"media_rendition": "16-9"}, {"media_rendition": 7}]
    )
    def test_only_what_is_wanted(self, post: Post, config: dict[str, Any]) -> None:
        """And what the item has; `viewImage` where the rendition has no name."""
        self.send(post, picture(), **config)

        expected = 1 if config.get("media_rendition") == 7 else 0
        assert len(list(post.only().iter_attachments())) == expected

    def test_one_that_is_gone(self, post: Post) -> None:
        with pytest.raises(PermanentFailure, match="m1 is not stored here"):
            post.send(parts(renditions=self.RENDITIONS), config=self.CONFIG)
        assert post.mailbox.received == []

    @pytest.mark.parametrize("odd", [[], "x", {"viewImage": "x"}, {"viewImage": {"media": 7}}])
    def test_renditions_of_odd_shape(self, post: Post, odd: Any) -> None:
        post.send(parts(renditions=odd), config=self.CONFIG)

        assert list(post.only().iter_attachments()) == []


def test_an_operator_sees_no_password_in_what_a_server_says(mailbox: Mailbox) -> None:
    """Also that of the settings."""
    name, password = USER
    server = MailServer("127.0.0.1", mailbox.port, username=name, password=password)
    post = Post(mailbox)
    post.settings["mail_server"] = server
    mailbox.answer = lambda _: f"550 not with {password}"

    assert "550 not with ****" in str(post.failing())

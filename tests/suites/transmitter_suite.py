"""What every transmitter must do, whatever its protocol.

A new transmitter subclasses `TransmitterSuite` in its test module, sets `transmitter_class` and
gives a `far_side` fixture: the receiver under the test's control. Mix in what else applies:

    NetworkSuite      the far side is a server: it may hang, reset, be down, repeat what it knows
    KeySuite          the protocol has room for the idempotency key
    ThreadSafeSuite   the class says that several threads may use one instance
"""

import re
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import pytest

from apps.core.errors import DeliveryError, PermanentFailure, TemporaryFailure
from apps.core.registry import Registry, missing_fields
from tests.support.deliveries import (
    BODY,
    build_delivery,
    build_destination,
    build_settings,
    impatient_settings,
)
from transmitters.base import MASK, Mode, Receipt, TransmitSettings, Transmitter

BOUND = 10.0
"""Seconds within which an attempt must end under `impatient_settings`."""


class FarSide(ABC):
    """The receiver of a transmitter, under control of a test. It accepts until told otherwise."""

    @property
    @abstractmethod
    def config(self) -> dict[str, Any]:
        """A complete `destination.config`, with a value in every secret field."""

    @abstractmethod
    def documents(self) -> Mapping[str, bytes]:
        """Return what has arrived, by what the receiver tells documents apart by."""

    @abstractmethod
    def accept(self) -> None:
        """Accept from now on."""

    @abstractmethod
    def fail_for_now(self) -> None:
        """Fail in a way that may pass."""

    @abstractmethod
    def refuse(self) -> None:
        """Refuse for good."""

    @abstractmethod
    def assert_let_go(self) -> None:
        """Assert that the transmitter holds nothing open."""


class NetworkFarSide(FarSide):
    """A receiver that is a server."""

    @abstractmethod
    def hang(self) -> None:
        """Take deliveries and say nothing."""

    @abstractmethod
    def reset(self) -> None:
        """Break the connection in the middle of a delivery."""

    @abstractmethod
    def fail_saying(self, text: str) -> None:
        """Fail for now with `text` as the reason."""

    @abstractmethod
    def stop(self) -> None:
        """Be down."""


class KeyFarSide(FarSide):
    """A receiver that sees the idempotency key."""

    @abstractmethod
    def keys(self) -> list[str]:
        """Return the key of every delivery that arrived."""


class TransmitterSuite:
    """Rules for all transmitters."""

    transmitter_class: ClassVar[type[Transmitter]]

    @pytest.fixture
    def far_side(self) -> Iterator[FarSide]:
        raise NotImplementedError("a suite needs a receiver")

    @pytest.fixture
    def settings(self) -> TransmitSettings:
        return build_settings()

    @pytest.fixture
    def transmitter(self, far_side: FarSide, settings: TransmitSettings) -> Iterator[Transmitter]:
        transmitter = self.build(settings, far_side.config)
        yield transmitter
        transmitter.close()

    def build(self, settings: TransmitSettings, config: Mapping[str, Any]) -> Transmitter:
        cls = self.transmitter_class
        return cls(build_destination(cls.type, **config), settings)

    def test_declares_itself(self) -> None:
        """The class can be registered, and its declarations are complete."""
        cls = self.transmitter_class
        registry: Registry[Any] = Registry("transmitter", Transmitter)  # type: ignore[type-abstract]
        registry.add(cls)

        assert cls is registry.get(cls.type)
        assert cls.name
        assert isinstance(cls.mode, Mode)
        assert all(isinstance(code, int) and text for code, text in cls.errors.items())
        assert all(field.help for field in cls.fields)

    def test_config_of_suite_is_complete(self, far_side: FarSide) -> None:
        """The suite's own configuration has every required and every secret field."""
        secret = {field.name for field in self.transmitter_class.fields if field.secret}

        assert missing_fields(self.transmitter_class.fields, far_side.config) == {}
        assert secret <= {name for name, value in far_side.config.items() if value}

    def test_preview_asks_nobody_and_shows_no_secret(
        self, far_side: FarSide, settings: TransmitSettings
    ) -> None:
        """What would be sent is told without sending it, with a mask for each secret."""
        secret = {field.name for field in self.transmitter_class.fields if field.secret}
        masks = dict.fromkeys(secret, MASK)
        transmitter = self.build(settings, {**far_side.config, **masks})

        preview = transmitter.preview(build_delivery())
        transmitter.close()

        assert preview.body
        assert far_side.documents() == {}
        shown = str(vars(preview))
        assert not [name for name in secret if str(far_side.config[name]) in shown]

    def test_connection_test_leaves_nothing(
        self, transmitter: Transmitter, far_side: FarSide
    ) -> None:
        """It may be asked for at any time, and a delivery goes as before."""
        if self.transmitter_class.test_connection is Transmitter.test_connection:
            pytest.skip("the type has no test")

        assert transmitter.test_connection()
        assert far_side.documents() == {}
        transmitter.send(build_delivery())
        assert list(far_side.documents().values()) == [BODY]

    def test_delivers(self, transmitter: Transmitter, far_side: FarSide) -> None:
        """A delivery that was accepted gives a receipt, and its bytes have arrived."""
        receipt = transmitter.send(build_delivery())

        assert isinstance(receipt, Receipt)
        assert list(far_side.documents().values()) == [BODY]

    @pytest.mark.parametrize(
        "body", [b"", b"\x00\xff\r\n.\r\n", "Zoë 新聞 🙂".encode(), b"x" * 1_000_000]
    )
    def test_bytes_are_untouched(
        self, transmitter: Transmitter, far_side: FarSide, body: bytes
    ) -> None:
        """The bytes that arrive are the bytes that were formatted, whatever they are."""
        transmitter.send(build_delivery(body=body))

        assert [body] == list(far_side.documents().values())

    def test_repeat_changes_nothing(self, transmitter: Transmitter, far_side: FarSide) -> None:
        """The same delivery sent again, also by another process, makes no second document."""
        transmitter.send(build_delivery())
        once = dict(far_side.documents())
        transmitter.send(build_delivery(attempt=2))
        other = self.build(build_settings(), far_side.config)
        other.send(build_delivery(attempt=3))
        other.close()

        assert once == far_side.documents()

    def test_one_instance_sends_many(self, transmitter: Transmitter, far_side: FarSide) -> None:
        """Different deliveries by one instance are different documents."""
        for number in range(5):
            transmitter.send(build_delivery(key=f"key{number}", sequence_number=number))

        assert len(far_side.documents()) == 5

    def test_temporary_failure(self, transmitter: Transmitter, far_side: FarSide) -> None:
        """A failure that may pass is temporary, told in the words of its code."""
        far_side.fail_for_now()

        with pytest.raises(TemporaryFailure) as caught:
            transmitter.send(build_delivery())
        self.check_text(caught.value)

    def test_recovers(self, transmitter: Transmitter, far_side: FarSide) -> None:
        """After a failure the same instance delivers, as soon as the receiver accepts."""
        far_side.fail_for_now()
        with pytest.raises(TemporaryFailure):
            transmitter.send(build_delivery())
        far_side.accept()
        transmitter.send(build_delivery(attempt=2))

        assert list(far_side.documents().values()) == [BODY]

    def test_permanent_failure(self, far_side: FarSide, settings: TransmitSettings) -> None:
        """A refusal is permanent."""
        far_side.refuse()
        transmitter = self.build(settings, far_side.config)

        with pytest.raises(PermanentFailure) as caught:
            transmitter.send(build_delivery())
        transmitter.close()
        self.check_text(caught.value)

    @pytest.mark.parametrize("value", [None, "", "  ", 7, [], {"a": 1}])
    def test_bad_config_is_permanent(
        self, far_side: FarSide, settings: TransmitSettings, value: object
    ) -> None:
        """A required field without a usable value is a permanent failure, not a crash."""
        required = {f.name for f in self.transmitter_class.fields if f.required}
        transmitter = self.build(settings, {**far_side.config, **dict.fromkeys(required, value)})

        with pytest.raises(PermanentFailure):
            transmitter.send(build_delivery())
        transmitter.close()

    def test_repr_shows_no_config(self, transmitter: Transmitter, far_side: FarSide) -> None:
        """A log line that shows a transmitter or its destination shows no configuration."""
        shown = repr(transmitter) + repr(transmitter.destination)

        assert [v for v in far_side.config.values() if isinstance(v, str) and v in shown] == []

    def test_holds_nothing_after_close(self, transmitter: Transmitter, far_side: FarSide) -> None:
        """After a success, a failure and `close`, nothing is left open; closing twice is fine."""
        transmitter.send(build_delivery())
        far_side.fail_for_now()
        with pytest.raises(TemporaryFailure):
            transmitter.send(build_delivery())
        transmitter.close()
        transmitter.close()

        far_side.assert_let_go()

    def check_text(self, error: DeliveryError) -> None:
        """Assert the form `<Class> Error <code> - <text of the code>:<cause>`."""
        text = self.transmitter_class.errors[error.code]
        start = rf"Publish\w+ Error {error.code} - {re.escape(text)}:"

        assert re.match(start + ".", str(error))
        assert len(error.cause) <= 1000


class NetworkSuite:
    """Rules for transmitters whose far side is a server."""

    def test_down_is_temporary(self, transmitter: Transmitter, far_side: NetworkFarSide) -> None:
        """A receiver that is down is a temporary failure."""
        far_side.stop()

        with pytest.raises(TemporaryFailure):
            transmitter.send(build_delivery())

    def test_connection_test_says_that_it_is_down(
        self, transmitter: Transmitter, far_side: NetworkFarSide
    ) -> None:
        """As a failure of a delivery does."""
        if type(transmitter).test_connection is Transmitter.test_connection:
            pytest.skip("the type has no test")
        far_side.stop()

        with pytest.raises(TemporaryFailure):
            transmitter.test_connection()

    def test_reset_is_temporary(self, transmitter: Transmitter, far_side: NetworkFarSide) -> None:
        """A connection that breaks leaves the outcome unknown: the delivery is to be repeated."""
        far_side.reset()

        with pytest.raises(TemporaryFailure):
            transmitter.send(build_delivery())

    def test_hanging_is_bounded(self, far_side: NetworkFarSide) -> None:
        """A receiver that says nothing costs no more than the time-outs."""
        transmitter = self.build(impatient_settings(), far_side.config)
        far_side.hang()
        started = time.monotonic()

        with pytest.raises(TemporaryFailure):
            transmitter.send(build_delivery())
        assert time.monotonic() - started < BOUND
        transmitter.close()

    def test_idle_connection_cut(self, transmitter: Transmitter, far_side: NetworkFarSide) -> None:
        """A connection that broke down is not used again."""
        far_side.reset()
        for _ in range(3):
            with pytest.raises(TemporaryFailure):
                transmitter.send(build_delivery())
        far_side.accept()
        transmitter.send(build_delivery())

        assert list(far_side.documents().values()) == [BODY]

    def test_no_secret_in_errors(self, transmitter: Transmitter, far_side: NetworkFarSide) -> None:
        """No secret shows in an error or its causes, even if the receiver repeats it."""
        secrets = sorted(set(transmitter.secrets()))
        far_side.fail_saying(f"no access with {' or '.join(secrets)}")

        with pytest.raises(TemporaryFailure) as caught:
            transmitter.send(build_delivery())
        shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
        assert secrets
        assert [secret for secret in secrets if secret in shown] == []
        assert "no access with ****" in str(caught.value)


class KeySuite:
    """Rules for protocols with room for the idempotency key."""

    def test_key_is_sent(self, transmitter: Transmitter, far_side: KeyFarSide) -> None:
        """Every attempt carries the key of its delivery, so that receivers can drop repeats."""
        transmitter.send(build_delivery(key="first"))
        transmitter.send(build_delivery(key="first", attempt=2))
        transmitter.send(build_delivery(key="second"))

        assert far_side.keys() == ["first", "first", "second"]


class ThreadSafeSuite:
    """Rules for classes of which several threads may use one instance."""

    def test_threads_share_an_instance(self, transmitter: Transmitter, far_side: FarSide) -> None:
        """Deliveries sent at the same time all arrive whole."""
        deliveries = [
            build_delivery(key=f"key{n}", sequence_number=n, body=b"%d" % n * 2000)
            for n in range(80)
        ]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(transmitter.send, deliveries))

        assert sorted(d.body for d in deliveries) == sorted(far_side.documents().values())

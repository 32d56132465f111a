"""Tests whether deliveries to a destination could be made (delivery contract 7.2)."""

import time
import traceback
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import structlog

from apps.core.caller import Caller
from apps.core.errors import Conflict, DeliveryError, PermanentFailure
from apps.core.patience import Patience
from apps.core.registry import Registry
from apps.core.service import Document
from apps.publish.destinations.service import Action, Target
from apps.publish.transmit.attempt import NO_SUCH_TYPE, UNUSABLE
from apps.publish.transmit.destinations import resolve, transmit_settings
from apps.secrets.vault import UnreadableSecret, Vault
from transmitters.base import Destination, TransmitSettings, Transmitter

SECONDS = 20.0
"""Time of a test."""
AT_ONCE = 4
"""Tests of a process under way."""
REPLY_SECONDS = 5.0
"""Longest wait for one reply of a receiver."""
BUSY = {"destination": "too many destinations are being tested"}

NO_TEST = (
    "Destinations of type {} cannot be tested. Publish an item for one, and look at its delivery"
)
TOO_SLOW = f"there is no outcome within {SECONDS:g} seconds"
CORRECT = "Correct the destination, then test it again."
LOOK_AFTER = "See that the receiver works and that the destination names it, then test it again."

log = structlog.get_logger(__name__)


class ConnectionTests:
    """Asks receivers for what deliveries need, and leaves nothing there.

    Args:
        registry: delivery types by name.
        vault: decrypts the secrets of destinations.
        settings: those of the transmitters.
    """

    def __init__(
        self, registry: Registry[Transmitter], vault: Vault, settings: Mapping[str, Any]
    ) -> None:
        self._registry = registry
        self._vault = vault
        self._settings = hurried(transmit_settings(settings))
        self._patience = Patience(AT_ONCE, BUSY)

    @property
    def actions(self) -> dict[str, Action]:
        """What can be done with a destination, by name."""
        return {"test": Action(self.test)}

    def test(self, target: Target, body: Mapping[str, Any], caller: Caller) -> Document:
        """Return what a test has come to, after SECONDS at most.

        Raises:
            Conflict: the delivery type has no test.
            TooManyRequests: too many are under way.
        """
        started = time.monotonic()
        try:
            found, is_ok, step = self._found(target), True, ""
        except DeliveryError as error:
            is_final = isinstance(error, PermanentFailure)
            found, is_ok, step = error.cause, False, CORRECT if is_final else LOOK_AFTER
        except TimeoutError:
            found, is_ok, step = TOO_SLOW, False, LOOK_AFTER
        except UnreadableSecret as error:
            found, is_ok, step = str(error), False, "Enter it again with the subscriber."
        return {
            "_id": target.id,
            "is_ok": is_ok,
            "message": f"Destination {target.name}: {found}",
            "next_step": step,
            "ms": round((time.monotonic() - started) * 1000),
        }

    def _found(self, target: Target) -> str:
        """Return what a receiver has said.

        Raises:
            Conflict: the delivery type has no test.
            DeliveryError: deliveries could not be made.
            TimeoutError: it takes too long.
            UnreadableSecret: no key fits.
        """
        destination = resolve({"destination": target.destination}, target.subscriber, self._vault)
        cls = self._registry.find(destination.type)
        if cls is None:
            raise Conflict(f"Type {destination.type} is unknown. {NO_SUCH_TYPE}")
        if not has_test(cls):
            raise Conflict(NO_TEST.format(destination.type))
        return self._patience.ask(lambda: self._asked(cls, destination), SECONDS)

    def _asked(self, cls: type[Transmitter], destination: Destination) -> str:
        transmitter = cls(destination, self._settings)
        try:
            return transmitter.test_connection()
        except DeliveryError:
            raise
        except Exception:  # noqa: BLE001 - logged, without what is secret in it
            trace = transmitter.redact(traceback.format_exc())
            log.error("destination.test_crashed", destination=destination.name, exception=trace)
            raise PermanentFailure(0, "", "", UNUSABLE) from None
        finally:
            transmitter.close()


def has_test(cls: type[Transmitter]) -> bool:
    """Whether destinations of a delivery type can be tested."""
    return cls.test_connection is not Transmitter.test_connection


def hurried(settings: TransmitSettings) -> TransmitSettings:
    """Return the settings of deliveries that somebody waits for."""
    server = settings.mail_server
    return replace(
        settings,
        http_connect_timeout=min(settings.http_connect_timeout, REPLY_SECONDS),
        http_read_timeout=min(settings.http_read_timeout, SECONDS / 2),
        http_total_timeout=min(settings.http_total_timeout, SECONDS),
        ftp_reply_timeout=min(settings.ftp_reply_timeout, REPLY_SECONDS),
        ftp_total_timeout=min(settings.ftp_total_timeout, SECONDS),
        odbc_timeout=min(settings.odbc_timeout, SECONDS),
        mail_timeout=min(settings.mail_timeout, REPLY_SECONDS),
        mail_server=server and replace(server, timeout=min(server.timeout, REPLY_SECONDS)),
    )

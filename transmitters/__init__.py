"""Delivery types. `BUILT_IN` is the one place to register one: see `docs/transmitters.md`."""

from apps.core.registry import Registry
from transmitters.amazon_sqs_fifo import SQSTransmitter
from transmitters.base import (
    Delivery,
    Destination,
    HandedOver,
    MediaFile,
    Mode,
    Receipt,
    Superseded,
    TransmitSettings,
    Transmitter,
)
from transmitters.email import EmailTransmitter
from transmitters.file import FileTransmitter
from transmitters.ftp import FTPTransmitter
from transmitters.http_push import HTTPPushTransmitter
from transmitters.imatrics import IMatricsTransmitter
from transmitters.odbc import ODBCTransmitter
from transmitters.sftp import SFTPTransmitter

__all__ = [
    "BUILT_IN",
    "Delivery",
    "Destination",
    "HandedOver",
    "MediaFile",
    "Mode",
    "Receipt",
    "Superseded",
    "TransmitSettings",
    "Transmitter",
    "build_registry",
]

BUILT_IN: tuple[type[Transmitter], ...] = (
    HTTPPushTransmitter,
    FTPTransmitter,
    SFTPTransmitter,
    FileTransmitter,
    EmailTransmitter,
    ODBCTransmitter,
    SQSTransmitter,
    IMatricsTransmitter,
)


def build_registry() -> Registry[Transmitter]:
    """Return the built-in types and those that installed packages offer as `wiredesk.transmitters`.

    Raises:
        PluginError: a type cannot be loaded or its name is taken.
    """
    return Registry.of("transmitter", Transmitter, BUILT_IN)

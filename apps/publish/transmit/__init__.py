"""From rows of the delivery queue to receipts."""

from apps.publish.transmit.run import TransmitContent, TransmitTurn
from apps.publish.transmit.tasks import transmit

__all__ = ["TransmitContent", "TransmitTurn", "transmit"]

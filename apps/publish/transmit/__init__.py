"""From rows of the delivery queue to receipts."""

from apps.publish.transmit.run import PriorityTurn, TransmitContent, TransmitTurn
from apps.publish.transmit.tasks import transmit, transmit_priority

__all__ = [
    "PriorityTurn",
    "TransmitContent",
    "TransmitTurn",
    "transmit",
    "transmit_priority",
]

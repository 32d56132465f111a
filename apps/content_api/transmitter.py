"""Delivery type `content_api`: a row succeeds once its item can be read in the content API."""

from abc import abstractmethod
from typing import ClassVar

from apps.content_api.backlog import REFUSALS, CopyBacklog
from apps.core.errors import TemporaryFailure
from apps.core.vocabulary import CONTENT_API
from transmitters.base import Delivery, Mode, Receipt, Transmitter


class ContentApiTransmitter(Transmitter):
    """Store what waits of the item; rows whose copy was stored at once never come here.

    The content API keeps one copy for all subscribers, so there is nothing to do for a single one.
    """

    type = CONTENT_API
    name = "Content API"
    fields = ()
    mode = Mode.REPLACE
    errors: ClassVar[dict[int, str]] = {19000: "Content API publish error"}

    @property
    @abstractmethod
    def backlog(self) -> CopyBacklog:
        """The copies that wait."""

    def send(self, delivery: Delivery) -> Receipt:
        """Store the item up to its version.

        Raises:
            TemporaryFailure: it cannot be stored now.
        """
        try:
            self.backlog.carry_out(delivery.item_id, delivery.item_version, delivery.key)
        except REFUSALS as error:
            text = self.errors[19000]
            raise TemporaryFailure(
                19000, "PublishContentAPIError", text, str(error), is_ours=True
            ) from error
        return Receipt()


def transmitter_for(backlog: CopyBacklog) -> type[ContentApiTransmitter]:
    """Return the delivery type of an installation, which knows its backlog."""

    class InstalledTransmitter(ContentApiTransmitter):
        @property
        def backlog(self) -> CopyBacklog:
            return backlog

    return InstalledTransmitter

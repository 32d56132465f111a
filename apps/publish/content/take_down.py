"""Take an item down: recalled, for legal reasons for instance."""

from apps.core.vocabulary import Operation, State
from apps.publish.content.kill import KillPublishService


class TakeDownPublishService(KillPublishService):
    """As a kill, under the name of a takedown."""

    endpoint = "archive_takedown"
    operation = Operation.TAKEDOWN
    result_state = State.RECALLED

"""A client that listens to push notifications, for the demo."""

from threading import Thread

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from apps.core import json


class NotificationListener:
    """Counts the notifications that arrive while it is open. A context manager.

    Args:
        url: address of the websocket process, with a token.
    """

    def __init__(self, url: str) -> None:
        self._socket = connect(url)
        self.received = 0
        self._thread = Thread(target=self._listen, name="demo-notifications", daemon=True)

    def __enter__(self) -> "NotificationListener":
        self._thread.start()
        return self

    def __exit__(self, *details: object) -> None:
        self._socket.close()
        self._thread.join()

    def _listen(self) -> None:
        try:
            for message in self._socket:
                self.received += "event" in json.loads(message)
        except ConnectionClosed:
            return

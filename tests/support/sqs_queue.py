"""A FIFO queue on moto, and what stands between it and its senders."""

from collections.abc import Mapping
from functools import cache
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import boto3
from botocore.config import Config

from tests.support.receivers import Received, Reply

REGION = "eu-west-1"
KEYS = {"access_key_id": "AKIAPLANTED", "secret_access_key": "planted-secret"}
ROOM = 10
"""Messages in an answer of the service, at most."""
HOP_BY_HOP = frozenset({"connection", "content-length", "transfer-encoding"})


class SQSQueue:
    """A queue of its own, which forgets nothing that it was sent.

    Args:
        url: of moto.
        attributes: of the queue.
    """

    def __init__(self, url: str, **attributes: str) -> None:
        self.server = url
        self.name = f"wire-{uuid4().hex}.fifo"
        self._sqs = _client(url)
        own = {"FifoQueue": "true", **attributes}
        self.url = str(self._sqs.create_queue(QueueName=self.name, Attributes=own)["QueueUrl"])
        self._taken: list[dict[str, Any]] = []

    def messages(self) -> list[dict[str, Any]]:
        """Return all messages so far, in order, as a reader gets them.

        They stay there as long as one answer has room for them: moto takes a repeat of one that
        has been taken away for something new.
        """
        while True:
            answer = self._sqs.receive_message(
                QueueUrl=self.url,
                MaxNumberOfMessages=ROOM,
                VisibilityTimeout=0,
                AttributeNames=["All"],
            )
            found = answer.get("Messages", [])
            if len(found) < ROOM:
                return self._taken + found
            for message in found:
                self._taken.append(message)
                handle = message["ReceiptHandle"]
                self._sqs.delete_message(QueueUrl=self.url, ReceiptHandle=handle)

    def bodies(self) -> list[str]:
        """Return the texts of all messages so far."""
        return [message["Body"] for message in self.messages()]

    def config(self, **changes: Any) -> dict[str, Any]:
        """Return the config of a destination that sends to the queue, past nobody."""
        return {
            "region": REGION,
            **KEYS,
            "queue_name": self.name,
            "message_group_id": "wire",
            "endpoint_url": self.server,
            **changes,
        }

    def forward(self, request: Received) -> Reply:
        """Let moto answer a request, for a receiver in between."""
        connection = HTTPConnection(urlsplit(self.server).netloc, timeout=60)
        try:
            headers = _passed_on(request.headers)
            connection.request(request.method, request.path, request.body, headers)
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        return answer.status, _passed_on(dict(answer.getheaders())), body


@cache
def _client(url: str) -> Any:
    """Return a client of moto; it takes long to make."""
    return boto3.session.Session().client(
        "sqs",
        region_name=REGION,
        endpoint_url=url,
        config=Config(ignore_configured_endpoint_urls=True),
        **{f"aws_{name}": value for name, value in KEYS.items()},
    )


def _passed_on(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in HOP_BY_HOP}

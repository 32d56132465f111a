"""Editors who work over HTTP on an installation whose processes come and go."""

import time
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from threading import Event
from typing import Any

import urllib3
from urllib3.exceptions import HTTPError

from apps.core import json

LONGEST_ANSWER_SECONDS = 10.0
PAUSE_SECONDS = 0.2


class Unanswered(Exception):
    """Nobody answered, or the answer was that this is not the time: what was asked may be done."""


@dataclass(frozen=True)
class Acknowledged:
    """An action that was answered with 200: a version of an item is out."""

    item_id: str
    version: int
    operation: str


@dataclass
class Editor:
    """One editor, logged in, who publishes, corrects and kills items of their own.

    Args:
        port: of the REST API.
        name, password: of the user.
        story: body of the request that makes an item.
        random: decides what the editor does.
        pause: seconds between two actions.

    Attributes:
        acknowledged: what was answered with 200, in order.
    """

    port: int
    name: str
    password: str
    story: Mapping[str, Any]
    random: Random
    pause: float = 0.0
    acknowledged: list[Acknowledged] = field(default_factory=list)
    _token: str = ""
    _out: list[str] = field(default_factory=list)

    def work(self, ended: Event) -> None:
        """Act until told to end; what is not answered is done again, or given up."""
        with urllib3.PoolManager(timeout=LONGEST_ANSWER_SECONDS, retries=False) as http:
            while not ended.is_set():
                try:
                    if not self._token:
                        self._log_in(http)
                    self._act(http)
                    ended.wait(self.pause)
                except Unanswered:
                    time.sleep(PAUSE_SECONDS)

    def _log_in(self, http: urllib3.PoolManager) -> None:
        credentials = {"username": self.name, "password": self.password}
        status, body = self._ask(http, "POST", "auth_db", credentials)
        assert status == 201, body
        self._token = body["token"]

    def _act(self, http: urllib3.PoolManager) -> None:
        if not self._out or self.random.random() < 0.4:
            status, body = self._ask(http, "POST", "archive", self.story)
            assert status == 201, body
            self._out.append(body["_id"])
            self._change(http, body["_id"], "publish")
        elif self.random.random() < 0.25:
            item_id = self._out.pop(self.random.randrange(len(self._out)))
            self._change(http, item_id, "kill")
        else:
            self._change(http, self.random.choice(self._out[-8:]), "correct")

    def _change(self, http: urllib3.PoolManager, item_id: str, operation: str) -> None:
        """Do an action on the item as it is now.

        One that was not answered may be done: what the item's state refuses is left alone then.
        """
        status, item = self._ask(http, "GET", f"archive/{item_id}")
        assert status == 200, item
        headers = {"If-Match": item["_etag"]}
        changes = {"headline": f"{operation} {item['_current_version'] + 1}"}
        path = f"archive/{operation}/{item_id}"
        status, body = self._ask(http, "PATCH", path, changes, headers)
        if status == 200:
            done = Acknowledged(item_id, int(body["_current_version"]), operation)
            self.acknowledged.append(done)
        else:
            assert status in (400, 412), (status, body)

    def _ask(
        self,
        http: urllib3.PoolManager,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Any]:
        """Return status and body of an answer.

        Raises:
            Unanswered: there is none, or a 503.
        """
        sent = {"Content-Type": "application/json", **(headers or {})}
        if self._token:
            credentials = b64encode(f"{self._token}:".encode()).decode()
            sent["Authorization"] = f"Basic {credentials}"
        url = f"http://127.0.0.1:{self.port}/api/{path}"
        data = json.dumps(body) if body is not None else None
        try:
            answer = http.request(method, url, body=data, headers=sent)
        except HTTPError as error:
            raise Unanswered from error
        if answer.status == 503:
            raise Unanswered
        return answer.status, answer.json()

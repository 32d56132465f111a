"""Requests with an idempotency key: the first answer again for 24 hours.

Delivery contract 1.3, cms contract 2.1.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from hashlib import sha256
from typing import Any

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from apps.core import json
from apps.core.clock import Clock
from apps.core.errors import PlainError
from apps.core.service import Document
from apps.store.collections import IDEMPOTENT_REQUESTS

LONGEST_KEY = 128
"""Characters of a key."""
OTHER_BODY = "The idempotency key was used with another body"
IN_WORK = "A request with this idempotency key is being carried out. Try again."
KEPT = timedelta(hours=24)
ABANDONED = timedelta(minutes=3)
"""A request that has not been answered for so long never will be: its process is gone."""
RETRY_AFTER_SECONDS = 2

Answer = tuple[int, Document]


class IdempotentRequests:
    """Answers requests once for each key.

    Args:
        db: the database.
        clock: source of time.
        other_body: status of the answer where a key comes with another body.
    """

    def __init__(self, db: Database[Document], clock: Clock, *, other_body: int) -> None:
        self._requests = db[IDEMPOTENT_REQUESTS]
        self._clock = clock
        self._other_body = other_body

    def answer(
        self,
        key: str | None,
        body: Mapping[str, Any],
        owner: object,
        carry_out: Callable[[], Answer],
    ) -> Answer:
        """Return the answer of a request, the first one where it was made before.

        Two commands for a request with a key, none without. A request that raises leaves no answer.

        Args:
            body: what the request asks for.
            owner: whose key it is.
            carry_out: does what is asked; what it returns is kept.

        Raises:
            PlainError: the key belongs to another body, or, 409, to a request under way.
        """
        if key is None:
            return carry_out()
        id_ = sha256(json.dumps([owner, key])).hexdigest()
        digest = digest_of(body)
        if (before := self._begin(id_, digest)) is not None:
            return before
        try:
            status, told = carry_out()
        except Exception:
            self._requests.delete_one({"_id": id_, "answer": None})
            raise
        # As text: what is answered again is the same to the last byte.
        answer = {"status": status, "body": json.dumps(told).decode()}
        self._requests.update_one({"_id": id_}, {"$set": {"answer": answer}})
        return status, told

    def _begin(self, id_: str, digest: str) -> Answer | None:
        """Note that a request is under way; return its answer where it was made before."""
        now = self._clock.now()
        request: Document = {"_id": id_, "digest": digest, "answer": None, "created_at": now}
        try:
            self._requests.insert_one(request)
        except DuplicateKeyError:
            pass
        else:
            return None
        known = self._requests.find_one({"_id": id_}) or request
        answer = known.get("answer")
        limit = KEPT if answer else ABANDONED
        if known["created_at"] <= now - limit:
            same = {"_id": id_, "created_at": known["created_at"]}
            change = {"$set": {"digest": digest, "answer": None, "created_at": now}}
            if self._requests.update_one(same, change).matched_count:
                return None
        if known["digest"] != digest:
            raise PlainError(self._other_body, OTHER_BODY)
        if not answer:
            raise PlainError(409, IN_WORK, retry_after=RETRY_AFTER_SECONDS)
        return int(answer["status"]), dict(json.loads(answer["body"]))


def digest_of(body: Mapping[str, Any]) -> str:
    """Return what tells a body from others, whatever the order of its keys."""
    return sha256(repr(_ordered(body)).encode()).hexdigest()


def _ordered(value: Any) -> Any:
    if isinstance(value, Mapping):
        return [(key, _ordered(value[key])) for key in sorted(value)]
    return [_ordered(each) for each in value] if isinstance(value, list) else value

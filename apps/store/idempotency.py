"""Requests with an idempotency key: the first answer again for 24 hours.

A process may die when half of a request is carried out. Whoever gets it next carries it out under
the same id, and from the same plan: what is written has ids that follow from these, so whatever is
there already is met, and nothing is done twice. Delivery contract 1.3, cms contract 2.1.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from bson import ObjectId
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError, PyMongoError

from apps.core import json
from apps.core.clock import Clock
from apps.core.errors import PlainError, WiredeskError
from apps.core.service import Document
from apps.store.collections import IDEMPOTENT_REQUESTS

LONGEST_KEY = 128
"""Characters of a key."""
OTHER_BODY = "The idempotency key was used with another body. Send this request with a new key."
IN_WORK = "A request with this idempotency key is being carried out. Try again."
KEPT = timedelta(hours=24)
ABANDONED = timedelta(minutes=3)
"""A request that has not been answered for so long never will be: its process is gone."""
RETRY_AFTER_SECONDS = 2
TIME_BYTES, HASH_BYTES = 4, 8
"""An ObjectId begins with its time."""

Answer = tuple[int, Document]


@dataclass(frozen=True)
class IdempotentRequest:
    """A request, the same in each try to carry it out.

    Attributes:
        id: what the request writes is named after it.
        begun_at: when it was tried first.
        is_repeat: an earlier try may have carried out a part of it.
        planned: what an earlier try was to do; None where that is not known.
        keep: keeps a plan, and returns the one that counts; None without a key.
    """

    id: ObjectId
    begun_at: datetime
    is_repeat: bool = False
    planned: Document | None = None
    keep: Callable[[Document], Document] | None = None

    @property
    def has_key(self) -> bool:
        """Whether it can come again."""
        return self.keep is not None

    def id_for(self, id: Any) -> ObjectId:
        """Return the id of what the request makes of a document, the same in each try.

        Args:
            id: of the document.
        """
        own = self.id.binary
        return ObjectId(own[:TIME_BYTES] + sha256(own + repr(id).encode()).digest()[:HASH_BYTES])

    def plan(self, choose: Callable[[], Document]) -> Document:
        """Return what the request is to do; one command in the first try of one with a key.

        Args:
            choose: decides. Where it raises nothing is kept, and the next try decides anew.

        Raises:
            PlainError: 409, another try is at work.
        """
        if self.planned is not None:
            return self.planned
        plan = choose()
        return plan if self.keep is None else self.keep(plan)


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
        carry_out: Callable[[IdempotentRequest], Answer],
    ) -> Answer:
        """Return the answer of a request, the first one where it was made before.

        Two commands for a request with a key, none without, besides that of its plan. A request
        that raises leaves no answer: the next one with its key is a further try.

        Args:
            body: what the request asks for.
            owner: whose key it is.
            carry_out: does what is asked; what it returns is kept.

        Raises:
            PlainError: the key belongs to another body, or, 409, to a request under way.
        """
        if key is None:
            return carry_out(IdempotentRequest(ObjectId(), self._clock.now()))
        id_ = sha256(json.dumps([owner, key])).hexdigest()
        begun = self._begin(id_, digest_of(body))
        if not isinstance(begun, IdempotentRequest):
            return begun
        try:
            status, told = carry_out(begun)
        except Exception as error:
            with suppress(PyMongoError):
                self._give_back(id_, begun, error)
            raise
        # As text: what is answered again is the same to the last byte.
        answer = {"status": status, "body": json.dumps(told).decode()}
        self._requests.update_one(_own(id_, begun), {"$set": {"answer": answer}})
        return status, told

    def _begin(self, id_: str, digest: str) -> IdempotentRequest | Answer:
        """Note that a request is under way; return its answer where it was made before."""
        now = self._clock.now()
        first: Document = {
            "digest": digest,
            "request_id": ObjectId(),
            "begun_at": now,
            "created_at": now,
            "is_free": False,
            "plan": None,
            "answer": None,
        }
        try:
            self._requests.insert_one({"_id": id_, **first})
        except DuplicateKeyError:
            pass
        else:
            return self._under_way(id_, first)
        known = self._requests.find_one({"_id": id_})
        if known is None:
            raise _in_work()
        if self._is_over(known, now):
            is_repeat = known["digest"] == digest and not known["answer"]
            again = _further_try(known, now) if is_repeat else first
            as_read = {"_id": id_, **{name: known.get(name) for name in ("created_at", "is_free")}}
            if self._requests.update_one(as_read, {"$set": again}).matched_count:
                return self._under_way(id_, again, is_repeat=is_repeat)
        if known["digest"] != digest:
            raise PlainError(self._other_body, OTHER_BODY)
        if not known["answer"]:
            raise _in_work()
        return int(known["answer"]["status"]), dict(json.loads(known["answer"]["body"]))

    def _is_over(self, known: Mapping[str, Any], now: datetime) -> bool:
        """Whether nobody carries a request out, and its answer is none to give again."""
        limit = KEPT if known["answer"] else ABANDONED
        return bool(known.get("is_free")) or known["created_at"] <= now - limit

    def _under_way(
        self, id_: str, request: Mapping[str, Any], *, is_repeat: bool = False
    ) -> IdempotentRequest:
        def keep(plan: Document) -> Document:
            own = {"_id": id_, "request_id": request["request_id"], "answer": None}
            unplanned = {**own, "plan": None}
            if self._requests.update_one(unplanned, {"$set": {"plan": plan}}).matched_count:
                return plan
            found = self._requests.find_one(own)
            if found is None:
                raise _in_work()
            return dict(found["plan"])

        id, begun_at, plan = (request[name] for name in ("request_id", "begun_at", "plan"))
        return IdempotentRequest(id, begun_at, is_repeat, plan, keep)

    def _give_back(self, id_: str, begun: IdempotentRequest, error: Exception) -> None:
        """Let the next request with the key be a further try of one that has raised."""
        change: Document = {"is_free": True}
        if isinstance(error, WiredeskError):
            # It was refused: the next one is judged by its own time.
            change["begun_at"] = None
        self._requests.update_one(_own(id_, begun), {"$set": change})


def _own(id_: str, begun: IdempotentRequest) -> Document:
    return {"_id": id_, "request_id": begun.id, "answer": None}


def _further_try(known: Mapping[str, Any], now: datetime) -> Document:
    """Return what is stored of a request that has no answer, for one more try."""
    return {
        "request_id": known["request_id"],
        "begun_at": known["begun_at"] or now,
        "created_at": now,
        "is_free": False,
        "plan": known["plan"],
    }


def _in_work() -> PlainError:
    return PlainError(409, IN_WORK, retry_after=RETRY_AFTER_SECONDS)


def digest_of(body: Mapping[str, Any]) -> str:
    """Return what tells a body from others, whatever the order of its keys."""
    return sha256(repr(_ordered(body)).encode()).hexdigest()


def _ordered(value: Any) -> Any:
    if isinstance(value, Mapping):
        return [(key, _ordered(value[key])) for key in sorted(value)]
    return [_ordered(each) for each in value] if isinstance(value, list) else value

"""Import of ninjs documents into the newsroom."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import Any

from bson import ObjectId

from apps.core import json
from apps.core.clock import moment_of
from apps.core.documents import object_of, text_of, values_of
from apps.core.embargo import embargo_of
from apps.core.errors import BadRequest, ServiceError, ValidationFailed
from apps.core.service import Document, ResourceService
from apps.core.vocabulary import PUBLISH_STATES, PubStatus, State
from apps.importing.ninjs import EMBARGOED, KEPT_FIELDS, item_from_ninjs

ID_IN_URL = re.compile(r"[\w,.:_-]+")
"""Ids that stand in URLs without escaping."""

CORRECTABLE = (State.PUBLISHED, State.CORRECTED)
OF_THE_FIRST_VERSION = ("_id", "guid", "uri", "type", "pubstatus", "rewrite_of", "firstcreated")
"""Fields of a document that later versions of it do not change."""
CLEARED = (
    *("abstract", "byline", "ednote", "embargoed", "usageterms", "copyrightnotice"),
    *("copyrightholder", "description_text", "description_html", "alt_text", "creditline"),
    "original_source",
)
"""Fields that a newer version takes away when it has none."""

NOT_NEWER = "version {} is not newer than {}"
UNKNOWN = "it is canceled, and was never here"
OUT = "it is {}: --publish {}"


class Outcome(StrEnum):
    """What became of a document."""

    IMPORTED = "imported"
    UPDATED = "updated"
    PUBLISHED = "published"
    CORRECTED = "corrected"
    KILLED = "killed"
    SPIKED = "spiked"
    UNCHANGED = "unchanged"


@dataclass(frozen=True)
class Imported:
    """The result of importing one file.

    Attributes:
        item_id: id of the item, also where there is none.
        type: of the item.
        state: of the item; None where there is none.
        outcome: what was done.
        reason: why not more was done, `""` where all was that the caller asked for.
        error: whether that is a refusal.
    """

    item_id: str
    type: str
    state: str | None
    outcome: Outcome
    reason: str = ""
    error: bool = False


class Importer:
    """Turns ninjs files into items on a desk, and newer versions of them into what follows.

    Args:
        services: by resource: `archive`, `archive_rewrite`, `archive_spike`, and to publish
            `archive_publish`, `archive_correct` and `archive_kill`.
        task: desk and stage of the items; empty for personal ones.
        publish: publish what is new, correct what is out, kill what is canceled.
    """

    def __init__(
        self,
        services: Mapping[str, ResourceService],
        task: Mapping[str, ObjectId],
        *,
        publish: bool = False,
    ) -> None:
        self._services = services
        self._archive = services["archive"]
        self._task = task
        self._publishes = publish

    def add(self, file: Path) -> Imported:
        """Import one file; importing it again changes nothing.

        Raises:
            BadRequest: the file holds no ninjs document.
            ServiceError: a rule refuses the item.
            ValidationFailed: the item is not valid.
        """
        item = read_ninjs(file)
        item["_id"] = item_id_for(item["guid"])
        known = self._archive.collection.find_one({"_id": item["_id"]})
        if item.get("pubstatus") == PubStatus.CANCELED:
            return self._cancel(item, known)
        if known is None:
            return self._create(item)
        if not is_newer(item, known):
            versions = (text_of(one, "ingest_version") or "none" for one in (item, known))
            return _unchanged(known, NOT_NEWER.format(*versions))
        return self._renew(item, known)

    def _create(self, item: Document) -> Imported:
        item.update({"state": State.FETCHED, "task": dict(self._task)})
        # What has come in keeps its source.
        item.setdefault("ingest_id", item["guid"])
        story = item.pop("rewrite_of", None)
        status = item.pop("pubstatus", PubStatus.USABLE)
        self._archive.post([{**item, "pubstatus": _stored(status)}])
        done = Imported(item["_id"], item["type"], State.FETCHED, Outcome.IMPORTED)
        try:
            self._link(item, story)
            return self._publish({**item, "pubstatus": status}, done)
        except (ServiceError, ValidationFailed) as refusal:
            return _refused(done, refusal)

    def _link(self, item: Document, story: str | None) -> None:
        """Make an item the update of the story that it evolved from, where that is known."""
        story_id = item_id_for(story) if story else None
        if story_id and self._archive.collection.find_one({"_id": story_id}, {"_id": 1}):
            request = {"original_id": story_id, "update": {"_id": item["_id"]}}
            self._services["archive_rewrite"].post([request])

    def _renew(self, item: Document, known: Document) -> Imported:
        """Bring a newer version into an item."""
        state, status = known.get("state"), item.get("pubstatus")
        changes = _changes(item, known)
        if state in CORRECTABLE:
            if reason := self._why_not_published({**known, **changes, "pubstatus": status}):
                return _unchanged(known, f"the version that is out stays: {reason}")
            if not self._publishes:
                return _unchanged(known, OUT.format(state, "corrects it"))
            stored = self._services["archive_correct"].patch(known["_id"], changes)
            return _done(stored, Outcome.CORRECTED)
        if state in PUBLISH_STATES or state == State.SPIKED:
            return _unchanged(known, f"it is {state}")
        stored = self._archive.patch(known["_id"], {**changes, "pubstatus": _stored(status)})
        done = _done(stored, Outcome.UPDATED)
        try:
            return self._publish({**stored, "pubstatus": status}, done)
        except (ServiceError, ValidationFailed) as refusal:
            return _refused(done, refusal)

    def _publish(self, item: Document, done: Imported) -> Imported:
        """Publish an item that is stored, if that is wanted and allowed."""
        if not self._publishes:
            return done
        if reason := self._why_not_published(item):
            return Imported(done.item_id, done.type, done.state, done.outcome, reason)
        return _done(self._services["archive_publish"].patch(item["_id"], {}), Outcome.PUBLISHED)

    def _why_not_published(self, item: Mapping[str, Any]) -> str:
        """Return why an item is not to go out, `""` where it may."""
        if reason := self._why_held(item):
            return f"it is {reason}"
        held = values_of(item, "associations")
        reason = next(filter(None, map(self._why_held, held)), "")
        return f"what it holds is {reason}" if reason else ""

    def _why_held(self, item: Mapping[str, Any]) -> str:
        if item.get("pubstatus") == PubStatus.WITHHELD:
            return "withheld"
        if until := embargo_of(item, self._archive.clock.now()):
            return f"embargoed until {until.isoformat()}"
        return EMBARGOED if item.get("pubstatus") == EMBARGOED else ""

    def _cancel(self, item: Document, known: Document | None) -> Imported:
        """Withdraw an item that its provider has withdrawn."""
        if known is None:
            return Imported(item["_id"], item["type"], None, Outcome.UNCHANGED, UNKNOWN)
        state = known.get("state")
        if is_newer(known, item):
            versions = (text_of(one, "ingest_version") for one in (item, known))
            return _unchanged(known, NOT_NEWER.format(*versions))
        if state not in PUBLISH_STATES:
            if state == State.SPIKED:
                return _unchanged(known, f"it is {state}")
            self._services["archive_spike"].patch(known["_id"], {})
            return Imported(known["_id"], known["type"], State.SPIKED, Outcome.SPIKED)
        if state in (State.KILLED, State.RECALLED):
            return _unchanged(known, f"it is {state}")
        if not self._publishes:
            return _unchanged(known, OUT.format(state, "kills it"))
        killed = self._services["archive_kill"].patch(known["_id"], _notice(item, known))
        return _done(killed, Outcome.KILLED)


def _stored(status: Any) -> Any:
    """Return the `pubstatus` under which an item is stored: editors publish what is withheld."""
    return PubStatus.WITHHELD if status == EMBARGOED else status or PubStatus.USABLE


def _changes(item: Document, known: Document) -> Document:
    """Return what a newer version of a document changes of its item."""
    changes = {key: value for key, value in item.items() if key not in OF_THE_FIRST_VERSION}
    changes |= {name: None for name in CLEARED if known.get(name) and not item.get(name)}
    extra = object_of(known, "extra")
    kept = {key: value for key, value in extra.items() if key not in KEPT_FIELDS}
    if extra:
        changes["extra"] = kept | object_of(item, "extra")
    before = object_of(known, "associations")
    if gone := before.keys() - object_of(item, "associations").keys():
        changes["associations"] = {**object_of(item, "associations"), **dict.fromkeys(gone)}
    return changes


def _notice(item: Document, known: Document) -> Document:
    """Return what a kill says: the provider's note, else a body that is not the withdrawn one."""
    if note := text_of(item, "ednote"):
        return {"ednote": note, "body_html": f"<p>{escape(note, quote=False)}</p>"}
    body = text_of(item, "body_html")
    return {"body_html": "" if body == text_of(known, "body_html") else body}


def _done(stored: Mapping[str, Any], outcome: Outcome) -> Imported:
    return Imported(str(stored["_id"]), stored["type"], stored["state"], outcome)


def _unchanged(known: Mapping[str, Any], reason: str) -> Imported:
    return Imported(str(known["_id"]), known["type"], known["state"], Outcome.UNCHANGED, reason)


def _refused(done: Imported, refusal: Exception) -> Imported:
    return Imported(done.item_id, done.type, done.state, done.outcome, str(refusal), error=True)


def is_newer(item: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether the version of a document is newer than another one; false where nothing tells."""
    first, second = (_version(text_of(each, "ingest_version")) for each in (item, other))
    return first is not None and second is not None and first[0] == second[0] and first > second


def _version(version: str) -> tuple[int, ...] | None:
    """Return what orders versions: numbers with parts, and times; the first number tells which."""
    parts = version.split(".")
    if all(part.isdecimal() and len(part) < 20 for part in parts):
        return (0, *map(int, parts))
    moment = moment_of(version)
    return None if moment is None else (1, int(moment.timestamp()), moment.microsecond)


def read_ninjs(file: Path) -> Document:
    """Return the item that a ninjs file stands for.

    Raises:
        BadRequest: the file holds no ninjs document.
    """
    try:
        return item_from_ninjs(json.loads(file.read_bytes()))
    except ValueError as error:
        raise BadRequest(f"{file}: {error}") from error


def item_id_for(guid: str) -> str:
    """Return an id for the item with `guid`: the same where it can stand in a URL."""
    if ID_IN_URL.fullmatch(guid):
        return guid
    return f"urn:ninjs:{sha256(guid.encode()).hexdigest()[:32]}"

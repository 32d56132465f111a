"""GET `/site-definition/` (cms contract 2.3)."""

import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from threading import Lock
from typing import Any
from zlib import compress, decompress

import structlog
from pymongo.database import Database
from pymongo.errors import DocumentTooLarge, DuplicateKeyError, OperationFailure

from apps.core import json
from apps.core.clock import Clock
from apps.core.documents import object_of, objects_of, text_of
from apps.core.embargo import EMBARGO_MOMENTS
from apps.core.errors import PlainError
from apps.core.ids import forms_of, id_key
from apps.core.service import Document
from apps.core.vocabulary import State
from apps.store.collections import (
    CONTENT_TYPES,
    PUBLISHED,
    PUBLISHER_INTEGRATIONS,
    PUBLISHER_SITE_CONTENTS,
    PUBLISHER_SITES,
    VOCABULARIES,
)
from apps.store.mongo import is_outage

log = structlog.get_logger(__name__)

KEPT = timedelta(minutes=1)
LOOK_AGAIN = timedelta(seconds=5)
"""After which a process that has something older looks for what another one is counting."""
LONGEST_WAIT, POLL = 10.0, 0.1
"""Seconds to wait for what another process counts for the first time."""
KEPT_SITES = 200
"""Sites whose vocabularies and profiles are held in memory; the one asked for longest ago goes."""

_OF_ADDRESS = r"[^\s@<>\"',;:()]"
# Looked for where a word begins only: from every character of a long one it would take its square.
EMAIL = re.compile(rf"(?<!{_OF_ADDRESS}){_OF_ADDRESS}++@{_OF_ADDRESS}+\.{_OF_ADDRESS}+")
SITE_FIELDS = ("slug", "name", "description", "url", "language", "languages", "timezone", "logo")
URL_STRUCTURE = {
    "post": "/{yyyy}/{mm}/{slug}/",
    "page": "/{slug}/",
    "taxonomy": "/{scheme}/{slug}/",
    "media": "/media/{yyyy}/{mm}/{file}",
}
FIELD_OF = {"categories": "anpa_category", "genre": "genre", "locators": "place"}
"""Fields of items whose terms come from a vocabulary of its own; all others are in `subject`."""
PAGES = "pages"
POSTS = "posts"


class SiteDefinitions:
    """Tells the public of sites that are public.

    What is counted and looked up for a site is so once a minute at most, by all processes together:
    one of them claims the minute, and shares what it finds in the store.

    Args:
        settings: EXCLUDED_VOCABULARY_FIELDS, CONTENTAPI_ENABLED, CONTENTAPI_URL.
        sleep: waits some seconds.
    """

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        settings: Mapping[str, Any],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._db = db
        self._clock = clock
        self._internal = frozenset(settings["EXCLUDED_VOCABULARY_FIELDS"])
        self._items_url = settings["CONTENTAPI_URL"] if settings["CONTENTAPI_ENABLED"] else None
        self._sleep = sleep
        self._shared = db[PUBLISHER_SITE_CONTENTS]
        self._lock = Lock()
        self._kept: OrderedDict[Any, tuple[datetime, Document]] = OrderedDict()

    def all(self) -> Document:
        """Return the definitions of all public sites."""
        sites = list(self._db[PUBLISHER_SITES].find({"public": True}).sort([("_id", 1)]))
        items = [self._definition(site) for site in sites]
        return {"_items": items, "_meta": {"total": len(items)}}

    def of(self, slug: str) -> Document:
        """Return the definition of a public site; of several with this name that of the first.

        Raises:
            PlainError: 404, there is none.
        """
        found = self._db[PUBLISHER_SITES].find({"slug": slug, "public": True})
        site = next(iter(found.sort([("_id", 1)]).limit(1)), None)
        if site is None:
            raise PlainError(404, "There is no such site")
        return self._definition(site)

    def _definition(self, site: Mapping[str, Any]) -> Document:
        shown = {name: site.get(name) for name in SITE_FIELDS}
        structure = {**URL_STRUCTURE, **object_of(site, "url_structure")}
        whole = {
            "site": {"id": str(site["_id"]), **shown, "updated": site.get("_updated")},
            **self._content(site),
            "url_structure": structure,
            "links": {"items": f"{self._items_url}/items"} if self._items_url else {},
        }
        return dict(without_addresses(whole))

    def _content(self, site: Mapping[str, Any]) -> Document:
        """Return what is kept of a site for a while."""
        # Looked up by one request at a time, so that it is no more often than promised.
        with self._lock:
            kept = self._kept.pop(site["_id"], None)
            if kept is None or self._clock.precise() >= kept[0]:
                kept = self._shared_content(site)
            self._kept[site["_id"]] = kept
            if len(self._kept) > KEPT_SITES:
                self._kept.popitem(last=False)
            return kept[1]

    def _shared_content(self, site: Mapping[str, Any]) -> tuple[datetime, Document]:
        """Return what this process, or another one, has counted, and until when it holds.

        One command where another process has; three and the look-ups where it is for this one.
        """
        id_, now = site["_id"], self._clock.precise()
        known = self._shared.find_one({"_id": id_}) or {}
        counted_at = known.get("counted_at")
        if counted_at is not None and now < counted_at + KEPT:
            return counted_at + KEPT, _unpacked(known)
        if self._claim(id_, now):
            return now + KEPT, self._counted(site, now)
        if counted_at is not None:
            return now + LOOK_AGAIN, _unpacked(known)
        for _ in range(round(LONGEST_WAIT / POLL)):
            self._sleep(POLL)
            known = self._shared.find_one({"_id": id_, "content": {"$type": "binData"}}) or {}
            if known:
                return known["counted_at"] + KEPT, _unpacked(known)
        # Whoever claimed it is gone, or slow.
        return now + KEPT, self._counted(site, now)

    def _claim(self, id: Any, now: datetime) -> bool:
        """Take the minute of a site; False where another process has it."""
        free = {"_id": id, "claimed_at": {"$not": {"$gt": now - KEPT}}}
        try:
            self._shared.update_one(free, {"$set": {"claimed_at": now}}, upsert=True)
        except DuplicateKeyError:
            return False
        return True

    def _counted(self, site: Mapping[str, Any], now: datetime) -> Document:
        content: Document = {
            "taxonomies": list(self._taxonomies(site)),
            "content_types": list(self._content_types(site)),
        }
        packed = {"counted_at": now, "content": compress(json.dumps(content), 1)}
        try:
            self._shared.update_one({"_id": site["_id"]}, {"$set": packed})
        except (OperationFailure, DocumentTooLarge) as error:
            if is_outage(error):
                raise
            log.warning("site_definition.not_shared", site=str(site["_id"]), error=str(error))
        return content

    # Taxonomies.

    def _taxonomies(self, site: Mapping[str, Any]) -> Iterable[Document]:
        schemes = [id_ for id_ in site.get("schemes") or () if id_ not in self._internal]
        if not schemes:
            return
        active = {"_id": {"$in": schemes}, "_deleted": {"$ne": True}, "type": "manageable"}
        found = {each["_id"]: each for each in self._db[VOCABULARIES].find(active)}
        fields = {scheme: FIELD_OF.get(scheme, "subject") for scheme in found}
        counts = {field: self._counts(field, site) for field in set(fields.values())}
        for scheme in schemes:
            if scheme in found:
                yield taxonomy_of(found[scheme], counts[fields[scheme]])

    def _counts(self, field: str, site: Mapping[str, Any]) -> dict[tuple[Any, Any], int]:
        """Return how many published items have each term of a field, by scheme and code."""
        query = shown_now(self._clock.now())
        if profiles := site.get("content_types"):
            query["profile"] = {"$in": forms_of(profiles)}
        found = self._db[PUBLISHED].aggregate(
            [
                {"$match": query},
                {"$unwind": f"${field}"},
                {
                    "$group": {
                        "_id": {"scheme": f"${field}.scheme", "qcode": f"${field}.qcode"},
                        "count": {"$sum": 1},
                    }
                },
            ]
        )
        return {(row["_id"].get("scheme"), row["_id"].get("qcode")): row["count"] for row in found}

    # Kinds of content.

    def _content_types(self, site: Mapping[str, Any]) -> Iterable[Document]:
        profiles = site.get("content_types") or ()
        if not profiles:
            return
        named = {"_id": {"$in": forms_of(profiles)}, "enabled": {"$ne": False}}
        found = {id_key(each["_id"]): each for each in self._db[CONTENT_TYPES].find(named)}
        active = {"site": site["_id"], "active": {"$ne": False}}
        shown = {"destination": 1, "target": 1}
        integrations = self._db[PUBLISHER_INTEGRATIONS].find(active, shown)
        destinations = [
            {"destination": each["destination"], "type": each.get("target") or POSTS}
            for each in integrations.sort([("destination", 1), ("name", 1)])
        ]
        for id_ in profiles:
            if (profile := found.get(id_key(id_))) is not None:
                yield content_type_of(profile, destinations)


def _unpacked(shared: Mapping[str, Any]) -> Document:
    return dict(json.loads(decompress(shared["content"])))


def shown_now(now: datetime) -> Document:
    """Return the query of published rows that readers may see now."""
    over = {"$not": {"$gt": now}}
    return {
        "last_published_version": True,
        "state": {"$in": [State.PUBLISHED.value, State.CORRECTED.value]},
        **dict.fromkeys(EMBARGO_MOMENTS, over),
    }


def taxonomy_of(vocabulary: Mapping[str, Any], counts: Mapping[tuple[Any, Any], int]) -> Document:
    """Return a vocabulary as the public sees it: its active terms.

    Args:
        counts: by scheme and code.
    """
    scheme = vocabulary["_id"]
    active = [e for e in objects_of(vocabulary, "items") if e.get("is_active", True) is True]
    terms = []
    for entry in active:
        name, qcode = text_of(entry, "name"), entry.get("qcode")
        own = counts.get((scheme, qcode), 0)
        count = own if scheme not in FIELD_OF else own + counts.get((None, qcode), 0)
        terms.append(
            {
                "id": None if qcode is None else str(qcode),
                "name": name,
                "slug": slug_of(name or str(qcode)),
                "parent": None if entry.get("parent") is None else str(entry["parent"]),
                "count": count,
            }
        )
    return {
        "scheme": scheme,
        "name": text_of(vocabulary, "display_name") or scheme,
        "hierarchical": any(term["parent"] for term in terms),
        "terms": terms,
    }


def content_type_of(profile: Mapping[str, Any], destinations: list[Document]) -> Document:
    """Return a content profile as the public sees it."""
    types = {each["type"] for each in destinations}
    kind = "post" if not types or POSTS in types else "page" if types == {PAGES} else "custom"
    return {
        "id": str(profile["_id"]),
        "name": text_of(profile, "label") or str(profile["_id"]),
        "kind": kind,
        "fields": [
            {
                "name": name,
                "type": text_of(rules, "type") or "string",
                "required": rules.get("required") is True,
            }
            for name, rules in object_of(profile, "schema").items()
            if isinstance(rules, dict) and rules.get("enabled", True) is not False
        ],
        "destinations": destinations,
    }


def slug_of(text: str) -> str:
    """Return a text in the form of addresses."""
    return re.sub(r"[\W_]+", "-", text.lower()).strip("-")


def without_addresses(value: Any) -> Any:
    """Return a value in which no text holds an e-mail address."""
    if isinstance(value, str):
        return EMAIL.sub("", value) if "@" in value else value
    if isinstance(value, dict):
        return {key: without_addresses(each) for key, each in value.items()}
    return [without_addresses(each) for each in value] if isinstance(value, list) else value


def etag_of(definition: Mapping[str, Any]) -> str:
    """Return what tells a definition from others."""
    return sha256(json.dumps(definition)).hexdigest()[:32]

"""Rules of `publisher_sites` (cms contract 3.1)."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pymongo.database import Database

from apps.core.caller import Caller
from apps.core.clock import Clock
from apps.core.documents import object_of
from apps.core.errors import PlainError, SchemaIssues
from apps.core.registry import Registry
from apps.core.schemas import fill_defaults
from apps.core.service import Document
from apps.publisher.accounts import AccountService, forms
from apps.publisher.integrations.options import issues_of_defaults
from apps.publisher.sites.resource import SITE_SCHEMA
from apps.store.collections import PUBLISHER_INTEGRATIONS
from transmitters.cms.base import Platform

HAS_INTEGRATIONS = "The site has integrations"


class SitesService(AccountService):
    """Sites of accounts.

    Args:
        platforms: whose options a site may set for all its integrations.
    """

    resource = "publisher_sites"

    def __init__(self, db: Database[Document], clock: Clock, platforms: Registry[Platform]) -> None:
        super().__init__(db, clock)
        self._platforms = platforms

    def on_create(self, documents: list[Document], caller: Caller) -> None:
        super().on_create(documents, caller)
        fill_defaults(documents, SITE_SCHEMA)
        for document in documents:
            self._check(document, document)

    def on_update(self, updates: Document, original: Document, caller: Caller) -> None:
        self._check(updates, {**original, **updates})

    def _check(self, written: Mapping[str, Any], site: Mapping[str, Any]) -> None:
        issues: Document = {}
        if "url" in written and not is_web_address(written["url"]):
            issues["url"] = "must be a URL that begins with http:// or https://"
        if written.get("logo") and not is_web_address(written["logo"]):
            issues["logo"] = "must be a URL that begins with http:// or https://"
        patterns = object_of(written, "url_structure")
        if wrong := [name for name, text in patterns.items() if not is_pattern(text)]:
            message = "must begin with /, or be a URL that begins with http:// or https://"
            issues["url_structure"] = dict.fromkeys(wrong, message)
        if "timezone" in written and not is_timezone(written["timezone"]):
            issues["timezone"] = "unknown time zone"
        if found := issues_of_defaults(self._platforms, object_of(written, "defaults")):
            issues["defaults"] = found
        if "slug" in written and self._is_taken(site):
            issues["slug"] = {"unique": 1}
        if issues:
            raise SchemaIssues(issues)

    def _is_taken(self, site: Mapping[str, Any]) -> bool:
        other = {"account": site["account"], "slug": site["slug"]}
        found = self.collection.find_one(other, {"_id": 1})
        return found is not None and found["_id"] != site.get("_id")

    def on_delete(self, document: Document, caller: Caller) -> None:
        of_site = {"site": forms(document["_id"])}
        if self.db[PUBLISHER_INTEGRATIONS].find_one(of_site, {"_id": 1}):
            raise PlainError(409, HAS_INTEGRATIONS)


def is_web_address(text: str) -> bool:
    """Whether a text is an address of a web page, without credentials in it."""
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 -- raises where it is none
    except ValueError:
        return False
    is_clean = "@" not in parts.netloc and not any(map(str.isspace, text))
    return parts.scheme in ("http", "https") and bool(parts.hostname) and is_clean


def is_pattern(text: str) -> bool:
    """Whether a text is the path of a page at its site, or its address, with names in braces."""
    return is_web_address(text) or (text.startswith("/") and not text.startswith("//"))


def is_timezone(name: str) -> bool:
    """Whether there is a time zone of this name."""
    try:
        ZoneInfo(name)
    except (LookupError, OSError, ValueError):
        return False
    return bool(name)

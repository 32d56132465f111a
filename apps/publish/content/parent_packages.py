"""Packages follow what they hold (lifecycle contract 5.1 step 26; 5.7).

What goes out again is corrected in every package that is out, at all levels, members before what
holds them. A publish request does it at once. The enqueue run looks again at what it is about to
route: when the process of the request has died in between, the run makes the corrections.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import structlog

from apps.archive.packages import Packages, member_ids, member_refs, package_ids
from apps.core.caller import Caller
from apps.core.errors import EtagMismatch, WiredeskError
from apps.core.service import Document
from apps.core.vocabulary import ItemType, Operation, State
from apps.publish.content.collaborators import Collaborators
from apps.publish.content.package_members import is_behind, is_live, with_members
from apps.publish.content.publication import NestedPublishing, Outgoing, PublishRequest
from apps.store.by_id import find_by_id
from apps.store.collections import ARCHIVE, ARCHIVE_HISTORY, PUBLISHED, USERS

log = structlog.get_logger(__name__)

TRIES = 3
"""Tries at correcting a package that somebody else writes at the same time."""


class ParentPackages:
    """Corrects the packages that hold what has gone out.

    Args:
        collaborators: of the publish services.
        nested: publishes the corrections.
    """

    def __init__(self, collaborators: Collaborators, nested: NestedPublishing) -> None:
        self._collaborators = collaborators
        self._nested = nested
        self._db = collaborators.db
        self._packages = Packages(collaborators.db)

    def follow(self, request: PublishRequest) -> None:
        """Correct the packages around what went out in a request.

        What cannot be corrected now is left to the enqueue run: the request has been carried out.
        """
        held = [
            i for i, gone in request.outgoing.items() if _may_be_in_packages(gone.item, request)
        ]
        for package_id, error in self._correct(held, request):
            log.warning("package.left_to_enqueue_run", package=package_id, error=str(error))

    def catch_up(self, rows: Sequence[Document]) -> None:
        """Make the corrections that a publish request left undone when its process died.

        Usually there are none: one command when no package is behind. Safe to repeat.

        Args:
            rows: published rows that are about to be routed, in routing order.

        Raises:
            EtagMismatch: others keep writing a package; it has to be tried again.
        """
        known = [*self._routed_members(rows), *rows]
        newest = {row["item_id"]: row for row in known if not row.get("revived")}
        holders = self._packages.live_holders(newest)
        behind = [
            row
            for item_id, row in newest.items()
            if any(_shows_older(package, row) for package in holders)
            and item_id not in self._packages.live_above([item_id])
        ]
        for user_id, own in _by_user(behind).items():
            request = PublishRequest(Caller(self._user(user_id)), self._collaborators)
            request.outgoing = {row["item_id"]: self._outgoing(row) for row in own}
            for package_id, error in self._correct(list(request.outgoing), request):
                if isinstance(error, EtagMismatch):
                    raise error
                log.error("package.not_corrected", package=package_id, error=str(error))

    def _routed_members(self, rows: Iterable[Document]) -> Iterator[Document]:
        """Yield the last published rows of what packages among `rows` hold.

        A member that went out while its package was being stored is newer than the package shows.
        """
        packages = [row for row in rows if row.get("type") == ItemType.COMPOSITE]
        ids = {m for row in packages for m in member_ids(row.get("groups"))}
        if ids:
            query = {"item_id": {"$in": sorted(ids)}, "last_published_version": True}
            yield from self._db[PUBLISHED].find({**query, "state": {"$ne": State.SCHEDULED}})

    def _outgoing(self, row: Document) -> Outgoing:
        """Return what a published row says of the item; its history tells what had changed."""
        told = self._db[ARCHIVE_HISTORY].find_one(
            {
                "item_id": row["item_id"],
                "version": row.get("_current_version"),
                "operation": row.get("operation"),
            },
            {"update": 1},
        )
        changes = told["update"] if told else row
        return Outgoing({**row, "_id": row["item_id"]}, changes)

    def _user(self, user_id: str) -> Document | None:
        return find_by_id(self._db[USERS], user_id) if user_id else None

    def _correct(
        self, item_ids: Iterable[str], request: PublishRequest
    ) -> Iterator[tuple[str, WiredeskError]]:
        """Correct each package around the items that is behind; yield those that cannot be.

        A package is corrected once, with all that has changed, after the packages that it holds.
        """
        around = members_first(self._packages.live_above(item_ids))
        around = [package for package in around if package["_id"] not in request.started]
        request.reserve(len(around))
        for package in around:
            try:
                self._correct_one(package, request)
            except WiredeskError as error:
                yield package["_id"], error

    def _correct_one(self, package: Document | None, request: PublishRequest) -> None:
        for tries_left in reversed(range(TRIES)):
            if package is None or not is_live(package):
                return
            behind = [gone for gone in request.outgoing.values() if is_behind(package, gone.item)]
            if not behind:
                return
            try:
                groups = with_members(package.get("groups"), behind)
                self._nested.publish_nested(Operation.CORRECT, {"groups": groups}, package, request)
            except EtagMismatch:
                if not tries_left:
                    raise
                # The member is out: the package follows, on top of what came in between.
                package = self._db[ARCHIVE].find_one({"_id": package["_id"]})
            else:
                return


def members_first(packages: Mapping[str, Document]) -> list[Document]:
    """Return packages so that each comes after those that it holds."""
    ordered: dict[str, Document] = {}
    begun: set[str] = set()

    def add(package_id: str) -> None:
        if package_id not in packages or package_id in begun:
            return
        begun.add(package_id)
        for member_id in member_ids(packages[package_id].get("groups")):
            add(member_id)
        ordered[package_id] = packages[package_id]

    for package_id in sorted(packages):
        add(package_id)
    return list(ordered.values())


def _may_be_in_packages(item: Mapping[str, Any], request: PublishRequest) -> bool:
    links = set(package_ids(item))
    return item.get("state") != State.SCHEDULED and bool(links - set(request.started))


def _shows_older(package: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    """Whether the package says that it holds an older version than that of the published row."""
    version = row.get("_current_version") or 0
    return any(
        ref["residRef"] == row["item_id"]
        and isinstance(ref.get("_current_version"), int)
        and ref["_current_version"] < version
        for ref in member_refs(package.get("groups"))
    )


def _by_user(rows: Iterable[Document]) -> dict[str, list[Document]]:
    grouped: dict[str, list[Document]] = {}
    for row in rows:
        grouped.setdefault(str(row.get("version_creator") or ""), []).append(row)
    return grouped

"""Packages: their structure, their members, and the links between both (lifecycle contract 1.9)."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from typing import Any

from pymongo.database import Database

from apps.archive.journal.follow_ups import addition, subtraction
from apps.core.documents import objects, objects_of
from apps.core.errors import BadRequest, CircularReference, Forbidden, NotFound
from apps.core.service import Document
from apps.core.vocabulary import ItemType, State
from apps.store.collections import ARCHIVE, ARCHIVED, INGEST, LEGAL_ARCHIVE, PUBLISHED

ROOT = "root"
MAIN = "main"
LOCATIONS = frozenset({ARCHIVE, ARCHIVED, PUBLISHED, INGEST, LEGAL_ARCHIVE})
"""Collections whose items may be members of a package."""

EMBARGOED_MEMBER = (
    "Package can't have item which has embargo. "
    "Slugline/Unique Name of the item having embargo: {slugline}/{unique_name}"
)


def is_package(item: Mapping[str, Any]) -> bool:
    """Whether the item holds other items."""
    return item.get("type") == ItemType.COMPOSITE


def member_refs(groups: Any) -> Iterator[dict[str, Any]]:
    """Yield the refs of package groups that name items, in order.

    Groups may have been stored by others: what has another shape is left out.
    """
    for group in objects(groups):
        for ref in objects(group.get("refs")):
            if isinstance(ref.get("residRef"), str):
                yield ref


def member_ids(groups: Any) -> Iterator[str]:
    """Yield the ids of the items that package groups name, in order."""
    for ref in member_refs(groups):
        if ref["residRef"]:
            yield ref["residRef"]


def package_ids(item: Mapping[str, Any]) -> list[str]:
    """Return the ids of the packages that an item is in."""
    ids = (link.get("package") for link in objects_of(item, "linked_in_packages"))
    return [id for id in ids if isinstance(id, str)]


def default_groups() -> list[Document]:
    """Return the groups of a package that was created without any."""
    return [root_group([MAIN]), group(MAIN)]


def root_group(names: Iterable[str]) -> Document:
    """Return the group that puts the others in order."""
    return {"id": ROOT, "role": "grpRole:NEP", "refs": [{"idRef": name} for name in names]}


def group(name: str) -> Document:
    """Return an empty group of members."""
    return {"id": name, "role": f"grpRole:{name}", "refs": []}


def with_newer_versions(groups: Any, versions: Mapping[str, int]) -> list[Document]:
    """Return package groups whose refs show at least these versions of members."""
    result: list[Document] = deepcopy(objects(groups))
    for ref in member_refs(result):
        shown, known = ref.get("_current_version"), versions.get(ref["residRef"])
        if isinstance(shown, int) and known is not None:
            ref["_current_version"] = max(shown, known)
    return result


def without_member(groups: Any, item_id: str) -> list[Document]:
    """Return package groups without the refs to an item."""
    result: list[Document] = deepcopy(objects(groups))
    for entry in result:
        entry["refs"] = [ref for ref in objects_of(entry, "refs") if ref.get("residRef") != item_id]
    return result


def ref_to(item: Mapping[str, Any]) -> Document:
    """Return the ref that puts an item into a package."""
    return {
        "residRef": item["_id"],
        "guid": item.get("guid"),
        "type": item.get("type"),
        "headline": item.get("headline"),
        "slugline": item.get("slugline"),
        "location": ARCHIVE,
        "itemClass": f"icls:{item.get('type')}",
        "renditions": item.get("renditions") or {},
        "_current_version": item.get("_current_version"),
    }


def link_changes(package_id: str, before: Any, after: Any) -> list[Document]:
    """Return the follow-ups that keep `linked_in_packages` of members in step with the groups.

    Args:
        package_id: the package.
        before: its groups as stored; None for a new package.
        after: its groups as they will be.
    """
    old, new = set(member_ids(before)), set(member_ids(after))
    link = {"linked_in_packages": {"package": package_id}}
    added, dropped = sorted(new - old), sorted(old - new)
    changes = [addition(ARCHIVE, {"_id": {"$in": added}}, link)] if added else []
    if dropped:
        changes.append(subtraction(ARCHIVE, {"_id": {"$in": dropped}}, link))
    return changes


def check_groups(groups: Any, package_id: str, *, is_new: bool) -> None:
    """Refuse groups that do not hang together.

    Args:
        groups: the groups as they will be stored.
        package_id: the package itself.
        is_new: an item may stand in several groups of a new package.

    Raises:
        Forbidden: a rule is broken; the message says which.
        BadRequest: a member has no id.
    """
    entries = list(groups or ())
    if not all(_is_named(entry) for entry in entries):
        raise Forbidden("Group is missing id.")
    if not all(_is_ref(ref) for entry in entries for ref in _refs_of(entry)):
        raise BadRequest("Package contains empty ResidRef!")
    roots = [entry for entry in entries if entry["id"] == ROOT]
    if not roots:
        raise Forbidden("Root group is missing.")
    if len(roots) > 1:
        raise Forbidden("Only one root group is allowed.")
    _check_names(roots[0], [entry["id"] for entry in entries if entry["id"] != ROOT])
    _check_refs(entries, package_id, is_new=is_new)


def _is_named(entry: Any) -> bool:
    return isinstance(entry, Mapping) and isinstance(entry.get("id"), str) and bool(entry["id"])


def _refs_of(entry: Mapping[str, Any]) -> Iterable[Any]:
    """Return the refs of a group; what is no list of them counts as one that is no ref."""
    refs = entry.get("refs") or []
    return refs if isinstance(refs, list) else [refs]


def _is_ref(ref: Any) -> bool:
    """Whether an entry of `refs` names a group or an item, by a text."""
    if not isinstance(ref, Mapping):
        return False
    name = ref["residRef"] if "residRef" in ref else ref.get("idRef")
    return isinstance(name, str) and bool(name)


def _check_names(root: Mapping[str, Any], names: list[str]) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise Forbidden(f"{name} group is added multiple times.")
    referenced = [ref["idRef"] for ref in root.get("refs") or () if ref.get("idRef")]
    if len(referenced) != len(names):
        raise Forbidden(
            "The number of groups and of referenced groups in the root group do not match."
        )
    if set(referenced) != set(names):
        raise Forbidden("Not all groups are referenced in the root group.")


def _check_refs(entries: list[Mapping[str, Any]], package_id: str, *, is_new: bool) -> None:
    ids = [[ref["residRef"] for ref in member_refs([entry])] for entry in entries]
    scopes = ids if is_new else [[member for members in ids for member in members]]
    if any(len(set(scope)) < len(scope) for scope in scopes):
        raise Forbidden("Content associated multiple times")
    if any(package_id in members for members in ids):
        raise Forbidden("Trying to self reference as an association.")


class Packages:
    """Packages among the stored items.

    Args:
        db: the main database.
        legal_db: that of the long-term archive, where members may be, too.
    """

    def __init__(self, db: Database[Document], legal_db: Database[Document] | None = None) -> None:
        self._db = db
        self._legal_db = db if legal_db is None else legal_db

    def check(
        self,
        groups: Any,
        package_id: str,
        *,
        is_new: bool,
        known: Mapping[str, Document] | None = None,
    ) -> None:
        """Check groups that a client sent, and fill `guid` and `type` of their refs.

        Args:
            groups: the groups as they will be stored.
            package_id: the package itself.
            is_new: an item may stand in several groups of a new package.
            known: items of `archive` that have been read already.

        Raises:
            Forbidden: the groups do not hang together.
            NotFound: a member does not exist.
            CircularReference: a member holds the package.
            BadRequest: a member has no id, or an embargo.
        """
        check_groups(groups, package_id, is_new=is_new)
        refs = list(member_refs(groups))
        if not refs:
            return
        if not is_new:
            self._check_cycles(package_id, {ref["residRef"] for ref in refs})
        members = self._members(refs, known or {})
        for ref in refs:
            member = members[ref["residRef"]]
            ref["guid"] = member.get("guid", ref["residRef"])
            ref["type"] = member.get("type")
            ref.setdefault("location", ARCHIVE)
        self._check_embargo(members)

    def _members(
        self, refs: Iterable[Document], known: Mapping[str, Document]
    ) -> dict[str, Document]:
        """Return the members by id, one command for each location."""
        places: dict[str, list[str]] = {}
        for ref in refs:
            location = str(ref.get("location") or ARCHIVE)
            places.setdefault(location, []).append(ref["residRef"])
        found: dict[str, Document] = {}
        for location, ids in places.items():
            if location not in LOCATIONS:
                raise BadRequest(f"Invalid location of a package item: {location}")
            if location == ARCHIVE:
                found.update({item_id: known[item_id] for item_id in ids if item_id in known})
            field = "item_id" if location in (ARCHIVED, PUBLISHED) else "_id"
            if missing := [item_id for item_id in ids if item_id not in found]:
                db = self._legal_db if location == LEGAL_ARCHIVE else self._db
                for item in db[location].find({field: {"$in": missing}}):
                    found[item[field]] = item
            for item_id in ids:
                if item_id not in found:
                    raise NotFound(f"Invalid item reference: {item_id}")
        return found

    def _check_cycles(self, package_id: str, members: set[str]) -> None:
        seen, level = {package_id}, [package_id]
        while level:
            holders = self._db[ARCHIVE].find({"groups.refs.residRef": {"$in": level}}, {"_id": 1})
            level = [holder["_id"] for holder in holders if holder["_id"] not in seen]
            seen.update(level)
        for member in sorted(members & (seen - {package_id})):
            raise CircularReference(member)

    def _check_embargo(self, members: Mapping[str, Document]) -> None:
        for item in (*members.values(), *self.below(members.values()).values()):
            if item.get("embargo"):
                raise BadRequest(
                    EMBARGOED_MEMBER.format(
                        slugline=item.get("slugline") or "",
                        unique_name=item.get("unique_name") or "",
                    )
                )

    def below(self, items: Iterable[Mapping[str, Any]]) -> dict[str, Document]:
        """Return all items that packages among `items` hold, at any depth; a command per level."""
        found: dict[str, Document] = {}
        level = set(_members_of(items))
        while level:
            rows = list(self._db[ARCHIVE].find({"_id": {"$in": sorted(level)}}))
            found.update({row["_id"]: row for row in rows})
            level = set(_members_of(rows)) - set(found)
        return found

    def live_holders(self, item_ids: Iterable[str]) -> list[Document]:
        """Return the packages that hold one of the items and are out."""
        query = {
            "groups.refs.residRef": {"$in": sorted(item_ids)},
            "state": {"$in": [State.PUBLISHED, State.CORRECTED]},
            "package_type": {"$in": [None, ""]},
        }
        return list(self._db[ARCHIVE].find(query).sort("_id", 1))

    def live_above(self, item_ids: Iterable[str]) -> dict[str, Document]:
        """Return all packages that are out around the items, at any height; a command per level."""
        found: dict[str, Document] = {}
        level = set(item_ids)
        while level:
            holders = [p for p in self.live_holders(level) if p["_id"] not in found]
            found.update({package["_id"]: package for package in holders})
            level = {p["_id"] for p in holders if p.get("linked_in_packages")}
        return found


def _members_of(items: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for item in items:
        if is_package(item):
            yield from member_ids(item.get("groups"))

"""Packages: who receives one, and which members its own copy holds (routing contract 8.7).

A package goes to those who received a member of it, each with the members it received. What a
subscriber received is in the ledger, not in the delivery queue.
"""

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from bson import ObjectId

from apps.archive.packages import ROOT, member_ids, member_refs
from apps.core.documents import objects
from apps.core.errors import BadRequest
from apps.core.service import Document
from apps.core.vocabulary import SubscriberType
from apps.publish.enqueue.decisions import Item
from apps.publish.enqueue.rules import RoutingContext
from apps.publish.enqueue.subscribers import Recipient, Subscriber

NOT_PUBLISHED = "Package item with id: {} has not been published."
EMPTY = "Corrected package cannot be empty!"
HAS_MEMBERS = "received members of the package"
TAKES_WHOLE = "takes packages whole"


@dataclass(frozen=True)
class Member:
    """An item in a package.

    Attributes:
        version: the one that the package holds; 0 where it does not say.
    """

    id: str
    version: int


def takes_packages(subscriber: Subscriber) -> bool:
    """Whether a subscriber is ever sent packages: wire is not."""
    return subscriber.type != SubscriberType.WIRE


def recipients_of_package(package: Item, routing: RoutingContext) -> list[Recipient]:
    """Return who receives a publication or correction of a package, apart from earlier recipients.

    These are those who received a member in the version that the package holds. Of those who did
    not but match the package by its own metadata, destinations that take packages whole get the
    members that match their subscriber.
    """
    members = members_in(package)
    received = _received(members, routing)
    recipients = [
        _recipient(subscriber, got, routing)
        for subscriber_id, got in received.items()
        if (subscriber := routing.rules.subscribers.get(subscriber_id)) is not None
        and takes_packages(subscriber)
    ]
    return recipients + _whole_only(package, members, set(received), routing)


def followers(package: Item, earlier: list[Recipient], routing: RoutingContext) -> list[Recipient]:
    """Return earlier recipients with the members that their copies hold now.

    Members that left the package are gone from them; a copy may end up without any.

    Args:
        earlier: those that the ledger knows as recipients of the package.
    """
    received = _received(members_in(package), routing)
    entries = routing.ledger.of(package["item_id"])
    result = []
    for recipient in earlier:
        if not takes_packages(recipient.subscriber):
            continue
        id_ = recipient.subscriber.id
        got = received.get(id_, ())
        only_packaged = entries[id_].only_packaged and not got
        if only_packaged:
            got = _matching_members(package, [id_], routing).get(id_, ())
        members = tuple(dict.fromkeys(got))
        result.append(recipient._replace(members=members, only_packaged=only_packaged))
    return result


def withdrawn_from(
    package: Item, earlier: list[Recipient], routing: RoutingContext
) -> list[Recipient]:
    """Return earlier recipients with the members that their last copies held."""
    members = members_in(package)
    received = _received(members, routing)
    entries = routing.ledger.of(package["item_id"])
    result = []
    for recipient in earlier:
        entry = entries[recipient.subscriber.id]
        if takes_packages(recipient.subscriber):
            # Rows that others wrote do not tell what was in the copy.
            had = set(entry.members or received.get(recipient.subscriber.id, ()))
            kept = tuple(member.id for member in members if member.id in had)
            result.append(recipient._replace(members=kept, only_packaged=entry.only_packaged))
    return result


def members_in(package: Item) -> list[Member]:
    """Return the direct members of a package, each once."""
    members = {}
    for ref in member_refs(package.get("groups")):
        version = ref.get("_current_version")
        if isinstance(ref["residRef"], str) and ref["residRef"]:
            members[ref["residRef"]] = Member(ref["residRef"], int(version or 0))
    return list(members.values())


def check_members(package: Item, routing: RoutingContext) -> None:
    """Check that everything in a package exists.

    Raises:
        BadRequest: a member does not.
    """
    for member in members_in(package):
        if member.id not in routing.members:
            raise BadRequest(NOT_PUBLISHED.format(member.id))


def check_not_empty(package: Item) -> None:
    """Check that a corrected package still holds something.

    Raises:
        BadRequest: it does not.
    """
    if not members_in(package):
        raise BadRequest(EMPTY)


def _received(
    members: Iterable[Member], routing: RoutingContext
) -> dict[ObjectId, tuple[str, ...]]:
    """Return who received which members, in the version that is in the package or a newer one."""
    received: dict[ObjectId, tuple[str, ...]] = {}
    for member in members:
        for subscriber_id, entry in routing.ledger.of(member.id).items():
            if entry.version >= member.version:
                received[subscriber_id] = (*received.get(subscriber_id, ()), member.id)
    return received


def _recipient(
    subscriber: Subscriber, members: tuple[str, ...], routing: RoutingContext
) -> Recipient:
    """Return the recipient that has received `members`: with their codes, and as they came."""
    entries = [routing.ledger.of(member)[subscriber.id] for member in members]
    codes = tuple(dict.fromkeys(code for entry in entries for code in entry.codes))
    api_enabled = any(entry.api_enabled for entry in entries)
    return Recipient(subscriber, codes, api_enabled, members=members, reason=HAS_MEMBERS)


def _whole_only(
    package: Item, members: Iterable[Member], served: set[ObjectId], routing: RoutingContext
) -> list[Recipient]:
    if not routing.rules.takers_of_whole_packages:
        return []
    matches = {
        match.subscriber.id: match
        for match in routing.matches(package, SubscriberType.DIGITAL)
        if match.subscriber.id in routing.rules.takers_of_whole_packages
        and match.subscriber.id not in served
    }
    held = _matching_members(package, matches, routing)
    return [
        Recipient(
            matches[id_].subscriber,
            matches[id_].codes,
            matches[id_].api_enabled,
            members=got,
            only_packaged=True,
            reason=TAKES_WHOLE,
        )
        for id_, got in held.items()
    ]


def _matching_members(
    package: Item, subscriber_ids: Iterable[ObjectId], routing: RoutingContext
) -> dict[ObjectId, tuple[str, ...]]:
    """Return the members that match each of the subscribers by what they are."""
    wanted = list(subscriber_ids)
    held: dict[ObjectId, tuple[str, ...]] = {}
    if not wanted:
        return held
    for member_id in dict.fromkeys(member_ids(package.get("groups"))):
        item = routing.members.get(member_id, {})
        for match in routing.rules.matches(item, routing.now, among=wanted):
            id_ = match.subscriber.id
            held[id_] = (*held.get(id_, ()), member_id)
    return held


# The package as a subscriber gets it.


def own_package(package: Item, members: Iterable[str]) -> Document:
    """Return the package with `members` only, as a row of its own; empty groups vanish.

    Subscribers with the same members get the same row, so it is formatted once for all of them.
    """
    kept = set(members)
    held = set(member_ids(package.get("groups")))
    if held <= kept:
        return dict(package)
    variant = sha256("\x00".join(sorted(held & kept)).encode()).hexdigest()[:12]
    groups = _trimmed(package.get("groups"), kept)
    return {**package, "_id": f"{package['_id']}-{variant}", "groups": groups}


def _trimmed(groups: Any, kept: set[str]) -> list[Document]:
    trimmed: list[Document] = []
    for group in objects(deepcopy(groups)):
        refs = objects(group.get("refs"))
        group["refs"] = [r for r in refs if "residRef" not in r or r["residRef"] in kept]
        trimmed.append(group)
    # A group of groups may become empty when those in it do.
    while empty := {g.get("id") for g in trimmed if not g["refs"] and g.get("id") != ROOT}:
        trimmed = [group for group in trimmed if group.get("id") not in empty]
        for group in trimmed:
            group["refs"] = [ref for ref in group["refs"] if ref.get("idRef") not in empty]
    return trimmed

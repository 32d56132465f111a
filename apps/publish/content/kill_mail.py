"""The mail that tells subscribers of a kill or a takedown (delivery contract 7)."""

from collections.abc import Iterable, Mapping
from typing import Any

from apps.core.service import Document
from apps.core.text import plain_text
from apps.core.vocabulary import Operation

HEADERS = {Operation.KILL: "Kill/Takedown", Operation.TAKEDOWN: "Takedown"}
SUBJECTS = {Operation.KILL: "Kill Notification", Operation.TAKEDOWN: "Takedown Notification"}


def kill_mail(
    operation: Operation,
    item: Mapping[str, Any],
    headline: str | None,
    subscribers: Iterable[Mapping[str, Any]],
) -> Document:
    """Return `{subject, text, to}`: one text, and the addresses of each mail that carries it.

    Args:
        operation: `kill` or `takedown`.
        item: the item as it is stored, with the header in its body.
        headline: the headline that was sent with the kill.
        subscribers: all of them, active or not.
    """
    place = next(iter(item.get("place") or ()), None) or {}
    qcode = place.get("qcode")
    header = f"{f'{qcode}:' if qcode else ''}{HEADERS[operation]} Notice"
    body = plain_text(item.get("body_html"), line_feeds=True)
    return {
        "subject": headline or SUBJECTS[operation],
        "text": f"{header}\n{header}\n\n{body}\n",
        "to": addresses(subscribers),
    }


def addresses(subscribers: Iterable[Mapping[str, Any]]) -> list[list[str]]:
    """Return one list of addresses for each subscriber; each address stands in one list only.

    A subscriber whose addresses others have too is in no list of its own. `email` is a comma list.
    """
    seen: set[str] = set()
    lists = []
    for subscriber in subscribers:
        named = (part.strip() for part in str(subscriber.get("email") or "").split(","))
        # Addresses that differ in case only are one mailbox.
        own = {address.lower(): address for address in named if "@" in address}
        new = [address for key, address in own.items() if key not in seen]
        seen.update(own)
        if new:
            lists.append(new)
    return lists

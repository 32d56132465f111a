"""What asks receivers to drop a killed or recalled item: the header of its body, and a mail."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from html import escape
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from apps.core.documents import object_of, objects_of, text_of
from apps.core.service import Document
from apps.core.text import plain_text
from apps.core.vocabulary import Operation

HEADERS = {Operation.KILL: "Kill/Takedown", Operation.TAKEDOWN: "Takedown"}
SUBJECTS = {Operation.KILL: "Kill Notification", Operation.TAKEDOWN: "Takedown Notification"}


def notice(operation: Operation, item: Mapping[str, Any], published_at: datetime) -> str:
    """Return the paragraph that asks receivers to drop the item (lifecycle contract 5.8).

    Args:
        operation: `kill` or `takedown`.
        item: the item as it was sent.
        published_at: when its last version went out.
    """
    located = object_of(object_of(item, "dateline"), "located")
    city = text_of(located, "city")
    try:
        local = published_at.astimezone(ZoneInfo(text_of(located, "tz") or "UTC"))
    except (ZoneInfoNotFoundError, ValueError):
        local = published_at.astimezone(UTC)
    when = local.strftime("%d %b %Y %H:%M %Z")
    slugline, headline = (escape(text_of(item, f), quote=False) for f in ("slugline", "headline"))
    place = f" ex {escape(city, quote=False)}" if city else ""
    return (
        f"<p>Please {operation} story slugged {slugline} headlined {headline}{place} at {when}.</p>"
    )


def kill_mail(
    operation: Operation,
    item: Mapping[str, Any],
    headline: str | None,
    subscribers: Iterable[Mapping[str, Any]],
) -> Document:
    """Return the mail to all subscribers: `{subject, text, to}` (delivery contract 7).

    `to` has the addresses of each message: all in one, as `addresses` says.

    Args:
        operation: `kill` or `takedown`.
        item: the item as it is stored, with the header in its body.
        headline: the headline that was sent with the kill.
        subscribers: all of them, active or not.
    """
    places = objects_of(item, "place")
    qcode = places[0].get("qcode") if places else None
    header = f"{f'{qcode}:' if qcode else ''}{HEADERS[operation]} Notice"
    body = plain_text(text_of(item, "body_html"), line_feeds=True)
    return {
        "subject": headline or SUBJECTS[operation],
        "text": f"{header}\n{header}\n\n{body}\n",
        "to": addresses(subscribers),
    }


def addresses(subscribers: Iterable[Mapping[str, Any]]) -> list[list[str]]:
    """Return the distinct addresses of all subscribers, in one list. `email` is a comma list.

    Those that not every mail server takes are in lists of their own: the refusal of one must not
    keep the others from being told.
    """
    found: dict[str, str] = {}
    for subscriber in subscribers:
        for named in str(subscriber.get("email") or "").split(","):
            address = named.strip()
            if "@" in address:
                # Addresses that differ in case only are one mailbox.
                found.setdefault(address.lower(), address)
    plain = [address for address in found.values() if _is_plain(address)]
    others = [[address] for address in found.values() if not _is_plain(address)]
    return [plain, *others] if plain else others


def _is_plain(address: str) -> bool:
    return address.isascii() and address.isprintable() and not set(address) & set(' "<>()[]:;\\')

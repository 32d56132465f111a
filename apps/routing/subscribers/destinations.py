"""Checks of the destinations of a subscriber (routing contract 2)."""

from collections.abc import Iterable, Mapping
from typing import Any

from apps.core.caller import Caller
from apps.core.registry import Registry
from apps.core.service import Document
from apps.core.userinfo import split_userinfo
from apps.routing.subscribers.stored_destinations import config_of
from formatters.base import Formatter
from transmitters.base import Transmitter
from transmitters.networks import AddressGuard

REQUIRED = ("name", "format", "delivery_type")
PREVIEW = "preview_endpoint_url"
REFUSED = (
    "{} is not allowed: it is not of the public internet. Name a host that is, or have those who "
    "run this server allow its network"
)

Destinations = Iterable[Mapping[str, Any]]


def unstorable(destinations: Destinations) -> Document:
    """Return the issues of destinations that cannot be stored, by position; empty when fine.

    These are a required key that is missing, and credentials in the address of a preview: it is for
    browsers, which take none, and shown to everybody.
    """
    issues = {
        str(number): _storing_issues(destination) for number, destination in enumerate(destinations)
    }
    return {number: issue for number, issue in issues.items() if issue}


def _storing_issues(destination: Mapping[str, Any]) -> Document:
    issues: Document = {key: {"required": 1} for key in REQUIRED if key not in destination}
    if split_userinfo(destination.get(PREVIEW))[1] is not None:
        issues[PREVIEW] = "credentials not allowed"
    return issues


def undeliverable(
    destinations: Destinations,
    formatters: Registry[Formatter],
    transmitters: Registry[Transmitter],
) -> Document:
    """Return the issues of destinations that nothing can be delivered to, by position.

    These are an unknown format, an unknown delivery type, and a key of `config` that the type needs
    and that is missing.
    """
    issues = {
        str(number): _issues(destination, formatters, transmitters)
        for number, destination in enumerate(destinations)
    }
    return {number: issue for number, issue in issues.items() if issue}


def _issues(
    destination: Mapping[str, Any],
    formatters: Registry[Formatter],
    transmitters: Registry[Transmitter],
) -> Document:
    issues: Document = {}
    if destination.get("format") not in formatters:
        issues["format"] = f"unallowed value {destination.get('format')}"
    transmitter = transmitters.find(str(destination.get("delivery_type")))
    if transmitter is None:
        issues["delivery_type"] = f"unallowed value {destination.get('delivery_type')}"
    elif missing := transmitter.missing_fields(config_of(destination)):
        issues["config"] = missing
    return issues


def misconfigured(
    destinations: Destinations,
    transmitters: Registry[Transmitter],
    guard: AddressGuard,
    caller: Caller,
) -> Document:
    """Return what delivery types find wrong with the config of destinations, by position.

    Args:
        guard: which addresses deliveries may go to; names are looked up with each delivery.
        caller: who saves the subscriber.
    """
    found: Document = {}
    for number, destination in enumerate(destinations):
        kind = transmitters.find(str(destination.get("delivery_type")))
        if kind is None:
            continue
        config = config_of(destination)
        refused = {
            key: REFUSED.format(host)
            for key, hosts in kind.hosts(config).items()
            for host in hosts
            if guard.refuses(host)
        }
        if issues := {**refused, **kind.config_issues(config, caller)}:
            found[str(number)] = {"config": issues}
    return found

"""Routes of the destinations of subscribers (delivery contract 7.1)."""

from flask import Flask

from apps.core.caller import Caller
from apps.core.privileges import INTRINSIC
from apps.core.service import Document
from apps.publish.destinations.service import DestinationsService
from apps.publish.destinations.states import DestinationStates
from apps.rest.auth import PrivilegeAuth
from apps.rest.routes import Routes, once, only, sent_body
from apps.routing.subscribers.service import PRIVILEGE
from apps.store.idempotency import IdempotentRequest, IdempotentRequests

ONE = "<subscriber>/destinations/<path:destination>"
"""Destinations have ids of any form."""


def serve_destinations(
    app: Flask,
    destinations: DestinationsService,
    states: DestinationStates,
    idempotent: IdempotentRequests,
    auth: PrivilegeAuth,
) -> None:
    """Add GET `/subscribers/<id>/destinations`, `.../<id>` and POST `.../<id>/<action>` to `app`.

    Args:
        destinations: finds them, and does what is asked.
        states: tells how they do.
        idempotent: answers once what is asked several times.
        auth: finds out who asks.
    """
    routes = Routes(app, auth, "subscribers", "destinations")

    def act(caller: Caller, subscriber: str, destination: str, action: str) -> tuple[int, Document]:
        wanted = destinations.action(action)
        target = destinations.target(subscriber, destination, or_removed=wanted.of_removed)
        body = only(sent_body(), **wanted.fields)

        def carry_out(asked: IdempotentRequest) -> tuple[int, Document]:
            return 200, wanted.run(target, body, asked)

        if wanted.is_once:
            return once(idempotent, body, caller, carry_out)
        return 200, wanted.run(target, body, caller)

    def state(caller: Caller, subscriber: str, destination: str) -> tuple[int, Document]:
        return 200, states.of(destinations.target(subscriber, destination, or_removed=True))

    def all_states(caller: Caller, subscriber: str) -> tuple[int, Document]:
        return 200, {"_items": states.all(destinations.targets(subscriber))}

    routes.add("GET", "<subscriber>/destinations", INTRINSIC, all_states)
    # Without the slash at the end such a path, which may hold some, would take one along.
    routes.add("GET", f"{ONE}/", INTRINSIC, state)
    routes.add("POST", f"{ONE}/<action>/", PRIVILEGE, act)

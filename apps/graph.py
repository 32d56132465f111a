"""The object graph: every service with its collaborators, built in one place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pymongo.database import Database
from pymongo.monitoring import CommandListener

from apps.auth.service import AuthService
from apps.core.clock import Clock, SystemClock
from apps.core.service import Document, ResourceService
from apps.store.indexes import ensure_indexes
from apps.store.mongo import connect
from apps.users.service import UsersService


@dataclass(frozen=True)
class Graph:
    """What the web process, the workers and the commands share."""

    settings: Mapping[str, Any]
    db: Database[Document]
    clock: Clock
    auth: AuthService
    users: UsersService

    @property
    def services(self) -> dict[str, ResourceService]:
        """The service behind each resource that can be written."""
        return {"auth_db": self.auth, "users": self.users}

    def close(self) -> None:
        """Let go of connections."""
        self.db.client.close()


def build_graph(
    settings: Mapping[str, Any],
    *,
    clock: Clock | None = None,
    listeners: Sequence[CommandListener] = (),
) -> Graph:
    """Connect and build every service.

    Args:
        settings: as `settings.load` returns them, with the addresses of both stores.
        clock: source of time; the machine's unless given.
        listeners: pymongo command listeners, for benchmarks.
    """
    clock = clock or SystemClock()
    db = connect(settings, listeners)
    ensure_indexes(db)
    return Graph(
        settings=settings,
        db=db,
        clock=clock,
        auth=AuthService(db, clock, settings),
        users=UsersService(db, clock, settings),
    )

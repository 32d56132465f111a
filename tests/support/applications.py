"""The REST API under test: one application for each set of settings, lent from test to test.

An application takes as long to build as thirty requests, services as one. So each test has services
of its own, with nothing in them that another test has left, and the application that it borrows
finds them when a request comes.
"""

from collections import OrderedDict
from dataclasses import fields, is_dataclass
from operator import attrgetter
from types import SimpleNamespace
from typing import Any

from eve import Eve
from werkzeug.local import LocalProxy

from app import create_app
from apps.graph.build import Graph

APPLICATIONS_KEPT = 8
SERVICES_ONLY = ("MACROS_DIR", "MAIL_PORT")
"""Settings that differ from test to test, and that no application looks at."""


class Applications:
    """Lends applications, each to one test at a time."""

    def __init__(self) -> None:
        self._graph: Graph | None = None
        self._services: dict[str, Any] = {}
        self._kept: OrderedDict[str, Eve] = OrderedDict()

    def serving(self, graph: Graph) -> Eve:
        """Return an application with the settings of `graph` that serves it until the next call."""
        self._graph, self._services = graph, graph.services
        looked_at = {n: value for n, value in graph.settings.items() if n not in SERVICES_ONLY}
        wanted = repr(sorted(looked_at.items()))
        app = self._kept.pop(wanted, None) or create_app(graph=self._stand_in(graph))
        self._kept[wanted] = app
        if len(self._kept) > APPLICATIONS_KEPT:
            self._kept.popitem(last=False)
        return app

    def _stand_in(self, graph: Graph) -> Any:
        """Return what looks like `graph`, and whose parts are those of the graph served then."""

        def part(path: str) -> Any:
            return LocalProxy(lambda: attrgetter(path)(self._graph))

        def service(name: str) -> Any:
            return LocalProxy(lambda: self._services[name])

        def parts(path: str, built: Any) -> Any:
            """Return a stand-in for a dataclass whose parts, too, may be such."""
            names = [field.name for field in fields(built)]
            return SimpleNamespace(
                **{
                    name: parts(f"{path}{name}.", getattr(built, name))
                    if is_dataclass(getattr(built, name))
                    else part(path + name)
                    for name in names
                }
            )

        stand_in = parts("", graph)
        stand_in.settings = graph.settings
        stand_in.services = {name: service(name) for name in graph.services}
        return stand_in

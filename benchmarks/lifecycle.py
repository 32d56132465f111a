"""MongoDB commands of each publish action, next to the limits.

    python benchmarks/lifecycle.py [--mongo URI]

Counted is one request, from the check of its token to its answer, on items that are fresh on the
desk: a story, a story with a picture, packages of 2 and 10 stories. What goes out with an item is
published, corrected and killed with it (`PUBLISH_ASSOCIATED_ITEMS`). Exit status 1 when a count is
over its limit.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tabulate import tabulate

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from app import create_app
from apps.graph.build import Graph, build_graph
from benchmarks.installation import Commands, installed, options
from benchmarks.pipeline import Session, Workload, package_of, seed, with_picture

ITEM_LIMIT = 20
"""Commands of an action on a story with one picture."""

PACKAGE_LIMIT, MEMBER_LIMIT = 12, 4
"""Commands of an action on a package, and for each further item that goes out with it."""

ACTIONS = ("publish", "correct", "kill")


@dataclass(frozen=True)
class Line:
    """One counted request."""

    item: str
    operation: str
    commands: int
    limit: int

    @property
    def is_over(self) -> bool:
        return self.commands > self.limit


def story(session: Session, desk: dict[str, Any], number: int) -> dict[str, Any]:
    """Write a story."""
    return session.create(number, desk)


def limit_of(members: int) -> int:
    """Return the limit for a package."""
    return PACKAGE_LIMIT + MEMBER_LIMIT * members


ITEMS: dict[str, tuple[Workload, int]] = {
    "text": (story, ITEM_LIMIT),
    "text with a picture": (with_picture, ITEM_LIMIT),
    "package of 2": (package_of(2), limit_of(2)),
    "package of 10": (package_of(10), limit_of(10)),
}


def lines(graph: Graph, commands: Commands) -> Iterator[Line]:
    """Do every action with every kind of item; yield what each request cost."""
    session = Session(create_app(graph=graph))
    desk = session.desk()

    def cost(operation: str, item: dict[str, Any], body: dict[str, Any]) -> int:
        before = commands.count.total()
        item.update(session.act(operation, item, body))
        return commands.count.total() - before

    session.publish(session.create(0, desk))  # the first request of a process reads more
    for name, (create, limit) in ITEMS.items():
        item = create(session, desk, 1)
        for operation in ACTIONS:
            graph.enqueue.run()
            yield Line(name, operation, cost(operation, item, {"slugline": operation}), limit)
    yield from _around_packages(graph, session, desk, cost)


def _around_packages(
    graph: Graph, session: Session, desk: dict[str, Any], cost: Any
) -> Iterator[Line]:
    """Yield corrections of what is in packages that are out: these go out again, too."""
    member = session.create(1, desk)
    whole = session.package([member], desk)
    outer = session.package([whole], desk)
    session.publish(outer)
    graph.enqueue.run()
    member = session.item(member["_id"])
    yield Line("member, 2 packages", "correct", cost("correct", member, {}), limit_of(3))
    graph.enqueue.run()
    whole = session.item(whole["_id"])
    groups = session.groups([member, *(session.create(n, desk) for n in range(2))])
    spent = cost("correct", whole, {"groups": groups})
    yield Line("2 new in 2 packages", "correct", spent, limit_of(4))


def main() -> int:
    """Print the table."""
    arguments = options(__doc__).parse_args()
    alone = {"CELERY_TASK_ALWAYS_EAGER": False, "PUBLISH_ASSOCIATED_ITEMS": True}
    with installed("lifecycle", arguments.mongo, **alone) as settings:
        commands = Commands()
        graph = build_graph(settings, listeners=[commands])
        seed(graph, "http://127.0.0.1:9", 1)
        counted = list(lines(graph, commands))
        graph.close()
    rows = [
        (line.item, line.operation, line.commands, line.limit, "over" if line.is_over else "")
        for line in counted
    ]
    print(tabulate(rows, ("item", "request", "commands", "limit", "")))
    return int(any(line.is_over for line in counted))


if __name__ == "__main__":
    sys.exit(main())

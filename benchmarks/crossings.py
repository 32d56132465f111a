"""How much code one story passes: files and functions of a publish request and of its two runs.

    python benchmarks/crossings.py [--mongo URI] [--list]

A text story is published through the REST API, routed to one subscriber, and delivered in ninjs to
one HTTP destination. Each of the three is watched by itself; counted is what is called in the
product: `apps`, `formatters`, `transmitters`, `settings.py` and `app.py`. Another story went the
same way before, so that imports, connections and compiling the rules are not in it. Functions
without a name are not counted. The size of the product is printed, too.
"""

import inspect
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from app import create_app
from apps.graph.build import Graph, build_graph
from benchmarks.installation import installed, options
from benchmarks.pipeline import Session, receiver, seed

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("apps", "formatters", "transmitters")
MODULES = ("settings.py", "app.py")

Crossed = dict[str, set[str]]
"""File, from the root of the repository, to the names of its functions that were called."""


def product_files() -> list[Path]:
    """Return the files of the product."""
    packages = [path for name in PACKAGES for path in sorted((ROOT / name).rglob("*.py"))]
    return [*packages, *(ROOT / name for name in MODULES)]


@contextmanager
def watched() -> Iterator[Crossed]:
    """Watch the body of a `with` block, threads that it starts included."""
    files = {str(path): str(path.relative_to(ROOT)) for path in product_files()}
    seen: set[CodeType] = set()

    def note(frame: FrameType, event: str, _argument: Any) -> None:
        if event == "call":
            seen.add(frame.f_code)

    crossed: Crossed = {}
    threading.setprofile(note)
    sys.setprofile(note)
    try:
        yield crossed
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    for code in seen:
        # Bodies of modules and classes are executed by imports.
        if code.co_filename in files and code.co_flags & inspect.CO_OPTIMIZED:
            functions = crossed.setdefault(files[code.co_filename], set())
            if not code.co_name.startswith("<"):
                functions.add(code.co_qualname)


def crossings(graph: Graph) -> dict[str, Crossed]:
    """Publish, route and deliver a story; return what each of these has called."""
    session = Session(create_app(graph=graph))
    desk = session.desk()
    first, second = session.create(0, desk), session.create(1, desk)
    steps: dict[str, Callable[[], Any]] = {
        "publish request": lambda: session.publish(second),
        "enqueue run": graph.enqueue.run,
        "transmit run": graph.transmit.run,
    }
    session.publish(first)
    graph.enqueue.run()
    graph.transmit.run()
    found: dict[str, Crossed] = {}
    for name, step in steps.items():
        with watched() as crossed:
            step()
        found[name] = crossed
    delivered = graph.db["publish_queue"].count_documents({"state": "success"})
    if delivered != len((first, second)):
        raise RuntimeError(f"{delivered} deliveries, but 2 stories")
    return found


def main() -> int:
    """Print the table."""
    parser = options(__doc__)
    parser.add_argument("--list", action="store_true", help="name files and functions, too")
    arguments = parser.parse_args()
    # Nothing runs by itself: a request must not be counted with the run that it wakes up.
    alone = {"CELERY_TASK_ALWAYS_EAGER": False}
    with installed("crossings", arguments.mongo, **alone) as settings, receiver() as url:
        graph = build_graph(settings)
        seed(graph, url, 1)
        found = crossings(graph)
        graph.close()
    for name, crossed in found.items():
        functions = sum(len(names) for names in crossed.values())
        print(f"{name:<16} {len(crossed):>4} files {functions:>6} functions")
        for file in sorted(crossed) if arguments.list else ():
            print(f"    {file}: {', '.join(sorted(crossed[file]))}")
    files = product_files()
    lines = sum(path.read_bytes().count(b"\n") for path in files)
    print(f"{'product':<16} {len(files):>4} files {lines:>6} lines")
    return 0


if __name__ == "__main__":
    sys.exit(main())

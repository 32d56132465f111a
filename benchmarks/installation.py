"""What benchmarks of the pipeline share: options, the stores they run on, counted commands."""

import argparse
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog
from pymongo.monitoring import CommandListener

import settings as settings_module
from apps.processes.embedded.stores import resolve_stores

ERRORS_ONLY = structlog.make_filtering_bound_logger(50)


class Commands(CommandListener):
    """Counts MongoDB commands by name."""

    def __init__(self) -> None:
        self.count: Counter[str] = Counter()

    def started(self, event: Any) -> None:
        self.count[event.command_name] += 1

    def succeeded(self, event: Any) -> None: ...

    def failed(self, event: Any) -> None: ...


def options(description: str | None) -> argparse.ArgumentParser:
    """Return the parser of the options of every benchmark on stores."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--mongo", help="MongoDB to use instead of the embedded one")
    return parser


def sized_options(
    description: str | None, subscribers: list[int], items: int
) -> argparse.ArgumentParser:
    """Return the parser of a benchmark that is run with some numbers of subscribers.

    Args:
        subscribers: the numbers where none are given.
        items: how many items each of them gets, where it is not given.
    """
    parser = options(description)
    parser.add_argument("--subscribers", type=int, nargs="+", default=subscribers)
    parser.add_argument("--items", type=int, default=items)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    return parser


@contextmanager
def installed(name: str, mongo: str | None, **changes: Any) -> Iterator[dict[str, Any]]:
    """Bring up the stores and yield the settings of an installation; stop what was started.

    Args:
        name: of the benchmark: its database and the directory of embedded stores are its own.
        mongo: address of a MongoDB, None for the embedded one.
        changes: settings that are not the usual ones.
    """
    structlog.configure(wrapper_class=ERRORS_ONLY)
    directory = f"var/benchmark-{name}"
    os.environ["DATA_DIR"] = directory
    stores, close = resolve_stores(mongo, None, Path(directory))
    try:
        yield settings_module.load(
            {
                "MONGO_URI": stores.mongo_uri,
                "MONGO_DBNAME": f"wiredesk_benchmark_{name}",
                "REDIS_URL": stores.redis_url,
                "BCRYPT_GENSALT_WORK_FACTOR": 4,
                **changes,
            }
        )
    finally:
        close()

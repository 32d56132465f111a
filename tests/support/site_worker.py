"""A process that serves CMS sites until it is killed: `python -m tests.support.site_worker FILE`.

Its clock is ahead by as many seconds as the file says, so that nobody has to wait for a retry.
"""

import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

import settings as settings_module
from apps.celery import create_celery
from apps.core.clock import SystemClock
from apps.graph.build import build_graph

PAUSE_SECONDS = 0.05


class ShiftedClock(SystemClock):
    """The machine's clock, ahead by as much as a file says.

    Args:
        file: holds a number of seconds; absent for none.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    @property
    def ahead(self) -> timedelta:
        return timedelta(seconds=float(self._file.read_text()) if self._file.exists() else 0)

    def now(self) -> datetime:
        return super().now() + self.ahead

    def precise(self) -> datetime:
        return super().precise() + self.ahead

    def advance(self, seconds: float) -> None:
        """Move on, in all processes that go by the file."""
        written = self._file.with_suffix(".new")
        written.write_text(str(self.ahead.total_seconds() + seconds))
        written.rename(self._file)


def main(file: str) -> None:
    """Carry out what is due, again and again."""
    graph = build_graph(settings_module.load(), clock=ShiftedClock(Path(file)))
    create_celery(graph.settings, lambda: graph)
    while True:
        graph.site_run.run()
        time.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    main(sys.argv[1])

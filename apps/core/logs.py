"""The form of log lines, the same in every process and for every library."""

import logging
import sys
from typing import TextIO

import structlog
from structlog.typing import Processor

QUIET = ("websockets", "pymongo", "urllib3", "kombu", "amqp")
"""Libraries that log requests, commands or addresses at DEBUG: tokens and passwords with them."""


def configure_logs(level: str) -> None:
    """Write one line per event to standard error, from `level` on.

    The line is JSON, on a terminal it is made for reading. Records of the standard library, those
    of other packages among them, have the same form. Tracebacks go without the values of variables:
    those may be passwords and tokens.

    Args:
        level: DEBUG, INFO, WARNING or ERROR.
    """
    # The real one: Celery puts a logger of its own in the place of `sys.stderr`.
    stream = sys.__stderr__ or sys.stderr
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_renderers(stream),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [kept for kept in root.handlers if not _is_ours(kept)] + [handler]
    root.setLevel(level)
    logging.captureWarnings(True)
    logging.getLogger("celery").setLevel(logging.WARNING)
    for name in QUIET:
        logging.getLogger(name).setLevel(max(logging.INFO, logging.getLevelName(level)))
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def _renderers(stream: TextIO) -> list[Processor]:
    if stream.isatty():
        plain = structlog.dev.plain_traceback
        return [structlog.dev.ConsoleRenderer(exception_formatter=plain)]
    return [
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(default=str),
    ]


def _is_ours(handler: logging.Handler) -> bool:
    return isinstance(handler.formatter, structlog.stdlib.ProcessorFormatter)

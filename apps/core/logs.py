"""The form of log lines, the same in every process."""

import logging
import sys

import structlog


def configure_logs(level: str) -> None:
    """Write one JSON line per event to standard error, from `level` on.

    Tracebacks go without the values of variables: those may be passwords and tokens.

    Args:
        level: DEBUG, INFO, WARNING or ERROR.
    """
    logging.basicConfig(level=level, format="%(levelname)s %(name)s %(message)s")
    logging.getLogger("celery").setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(default=str),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level)),
        # The real one: Celery puts a logger of its own in the place of `sys.stderr`.
        logger_factory=structlog.WriteLoggerFactory(file=sys.__stderr__),
        cache_logger_on_first_use=True,
    )

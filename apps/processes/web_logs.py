"""Log lines of the web server, in the form of all others."""

from typing import Any

from gunicorn.glogging import Logger

import settings as settings_module
from apps.core.logs import configure_logs


class WebLogger(Logger):
    """Gunicorn's logger; its records go where all others go, not through a handler of its own."""

    def setup(self, cfg: Any) -> None:
        """Set the logger up.

        Args:
            cfg: Gunicorn's configuration. The level is that of the settings.
        """
        super().setup(cfg)
        configure_logs(settings_module.load()["LOG_LEVEL"])
        self.error_log.handlers.clear()
        self.error_log.propagate = True

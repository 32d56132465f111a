"""The web process: `create_app` for WSGI servers, `python app.py` for development."""

from collections.abc import Mapping
from typing import Any

from eve import Eve

import settings as settings_module
from apps.graph import Graph, build_graph
from apps.rest.api import create_api
from apps.rest.domain import DOMAIN
from apps.tasks import create_celery


def create_app(settings: Mapping[str, Any] | None = None, graph: Graph | None = None) -> Eve:
    """Return the REST API.

    Args:
        settings: values that win over the environment.
        graph: services to use, for programs that have built them already.

    Raises:
        ConfigurationError: a setting is wrong.
    """
    built = graph or build_graph(settings_module.load(settings))
    app = create_api(built.settings, DOMAIN, built.db, built.services, built.auth)
    app.extensions["graph"] = built
    app.extensions["celery"] = create_celery(built.settings, lambda: built)
    return app

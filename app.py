"""The web process: `create_app` for WSGI servers, `python app.py` for development."""

from collections.abc import Mapping
from typing import Any

from eve import Eve

import settings as settings_module
from apps.graph import Graph, build_graph
from apps.rest.api import create_api
from apps.rest.domain import DOMAIN


def create_app(settings: Mapping[str, Any] | None = None, graph: Graph | None = None) -> Eve:
    """Return the REST API.

    Args:
        settings: values that win over the environment.
        graph: services to use, for programs that have built them already.

    Raises:
        ConfigurationError: a setting is wrong.
    """
    graph = graph or build_graph(settings_module.load(settings))
    app = create_api(graph.settings, DOMAIN, graph.db, graph.services, graph.auth)
    app.extensions["graph"] = graph
    return app

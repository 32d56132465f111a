"""The web process: `create_app` for WSGI servers, `python app.py` for development."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog
from eve import Eve
from werkzeug.serving import make_server

import settings as settings_module
from apps.celery import create_celery
from apps.core.errors import ConfigurationError
from apps.core.logs import configure_logs
from apps.graph.build import Graph, build_graph
from apps.monitoring.processes import ProcessHeartbeat
from apps.processes.embedded.stores import resolve_stores
from apps.rest.api import create_api
from apps.rest.content_api import serve_content_api
from apps.rest.delivery_types import serve_delivery_types
from apps.rest.destinations import serve_destinations
from apps.rest.domain import domain
from apps.rest.feeds import serve_feeds
from apps.rest.formats import serve_exports, serve_previews
from apps.rest.monitoring import serve_monitoring
from apps.rest.publish_queue import serve_publish_queue
from apps.rest.publisher import serve_publisher


def create_app(settings: Mapping[str, Any] | None = None, graph: Graph | None = None) -> Eve:
    """Return the REST API.

    Args:
        settings: values that win over the environment.
        graph: services to use, for programs that have built them already. Otherwise this is a web
            process, which says that it is alive (delivery contract 14.3).

    Raises:
        ConfigurationError: a setting is wrong.
    """
    built = graph or watched(web_services(settings_module.load(settings)))
    if not structlog.is_configured():
        configure_logs(built.settings["LOG_LEVEL"])
    app = create_api(
        built.settings,
        domain(built.settings),
        built.db,
        built.services,
        built.newsroom.auth,
        built.notifier,
        built.media,
    )
    serve_previews(app, built.output.preview, app.auth)
    serve_exports(app, built.media, app.auth)
    serve_delivery_types(app, built.transmitters, app.auth)
    publishing = built.publishing
    serve_publish_queue(
        app,
        publishing.queue,
        publishing.row_actions,
        publishing.previews,
        publishing.idempotent,
        app.auth,
    )
    serve_destinations(
        app,
        publishing.destinations,
        publishing.destination_states,
        publishing.idempotent,
        app.auth,
    )
    serve_publisher(app, built.publisher, app.auth)
    watching = built.monitoring
    serve_monitoring(app, watching.metrics, watching.health, built.settings["METRICS_TOKEN"])
    serve_feeds(app, built.output.feeds, built.output.feed_media)
    if built.settings["CONTENTAPI_ENABLED"]:
        content = built.content_api
        serve_content_api(
            app, content.reading, content.subscriber_token, built.media, app.auth, built.db
        )
    app.extensions["graph"] = built
    app.extensions["celery"] = create_celery(built.settings, lambda: built)
    return app


def web_services(settings: Mapping[str, Any]) -> Graph:
    """Return services whose requests do not wait for a database that hangs."""
    return build_graph(settings, answer_seconds=float(settings["STORE_TIMEOUT_SECONDS"]))


def watched(graph: Graph) -> Graph:
    """Return the services of this process, which from now on tells that it is alive."""
    graph.process.name = "web"
    ProcessHeartbeat(graph.db, graph.process, graph.settings["REDIS_URL"]).start()
    return graph


def main() -> int:
    """Serve the API on HOST:PORT until the process is told to stop.

    Returns:
        2 when a setting is wrong or the port is taken.
    """
    try:
        wanted = settings_module.load()
        stores, close = resolve_stores(
            wanted["MONGO_URI"], wanted["REDIS_URL"], Path(wanted["DATA_DIR"])
        )
        addresses = {"MONGO_URI": stores.mongo_uri, "REDIS_URL": stores.redis_url}
        server = make_server(
            wanted["HOST"], int(wanted["PORT"]), create_app(addresses), threaded=True
        )
    except (ConfigurationError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    try:
        server.serve_forever()
    finally:
        close()
    return 0


if __name__ == "__main__":
    sys.exit(main())

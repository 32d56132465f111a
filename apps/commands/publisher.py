"""`publisher:...`: CMS sites by hand. Commands may run beside the workers."""

import shlex
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import click
from tabulate import tabulate

from apps.commands.context import services, stoppable_services, until_asked
from apps.core.caller import SYSTEM
from apps.core.documents import object_of, text_of
from apps.core.errors import Conflict, PlainError, SchemaIssues
from apps.core.service import Document
from apps.core.stopping import ASKED
from apps.graph.build import Graph
from apps.publisher.accounts import forms, found_by_id
from apps.publisher.records.service import IN_WORK
from apps.publisher.records.status import Wanted
from apps.publisher.schema import RUNNING, DeploymentStatus, DeploymentType, RecordStatus
from apps.store.collections import PUBLISHER_INTEGRATIONS, PUBLISHER_SITES
from transmitters.cms.base import PlatformError

GOES_ON = "Asked to end. The deployment goes on in the workers, or here with"
LOOK_SECONDS = 0.5
"""Time between two looks at a deployment of which nothing is due."""
CHECK_HEADINGS = ("check", "", "class", "message", "help")
STATUS_HEADINGS = ("integration", "destination", "status", "at the site", "version", "address", "")


def found(graph: Graph, collection: str, name: str, field: str) -> Document:
    """Return the site or the integration of an id or a name.

    Raises:
        UsageError: there is none, or more than one.
    """
    known = found_by_id(graph.db[collection], name)
    if known is not None:
        return known
    named = list(graph.db[collection].find({field: name}).limit(2))
    if len(named) == 1:
        return named[0]
    what = collection.removeprefix("publisher_").removesuffix("s")
    reason = "More than one" if named else "No"
    raise click.UsageError(f"{reason} {what} has the id or {field} {name}")


def site_of(graph: Graph, name: str) -> Document:
    return found(graph, PUBLISHER_SITES, name, "slug")


def integration_of(graph: Graph, name: str) -> Document:
    return found(graph, PUBLISHER_INTEGRATIONS, name, "name")


def records_of(graph: Graph, site: str | None, integration: str | None) -> Document:
    """Return the query of the records of a site, an integration, or of all."""
    query: Document = {}
    if site is not None:
        query["site"] = forms(site_of(graph, site)["_id"])
    if integration is not None:
        query["integration"] = integration_of(graph, integration)["_id"]
    return query


# Deployments.


@click.command("publisher:deploy")
@click.argument("site")
@click.option("--full", is_flag=True, help="All that may be shown; else what has changed.")
@click.option("--integration", help="Id or name; all of the site unless given.")
@click.option("--force", is_flag=True, help="Write also what has not changed.")
@click.option("--desk", help="Only items of this desk, by its id.")
@click.option("--content-type", help="Only items of this content profile, by its id.")
@click.option("--since", help="Only what went out since this time (ISO 8601).")
@click.option("--until", help="Only what went out until this time (ISO 8601).")
@click.option("--item", "items", multiple=True, help="Only this item; may be repeated.")
@click.option("--follow", is_flag=True, help="Go on with the one that is running.")
def deploy(site: str, full: bool, integration: str | None, follow: bool, **narrowed: Any) -> int:
    """Publish the items of SITE, an id or a slug, and take off what has been withdrawn.

    The deployment goes on in the workers when the command is ended, and here with --follow.
    """
    force, items = narrowed.pop("force"), list(narrowed.pop("items"))
    with stoppable_services(told="") as graph:
        target = site_of(graph, site)
        only = integration_of(graph, integration)["_id"] if integration else None
        if follow:
            deployment = running(graph, target["_id"], only)
        else:
            body = {
                "site": str(target["_id"]),
                "integration": str(only) if only else None,
                "deployment_type": DeploymentType.FULL if full else DeploymentType.INCREMENTAL,
                "force": force,
                "filter": {**narrowed, "items": items or None},
            }
            deployment = started(graph, body)
        click.echo(f"Deployment {deployment['_id']} of {target['name']}")
        ended = shown(graph, deployment["_id"])
        if ended["status"] in RUNNING:
            click.echo(f"{ended['status']}: {counts_of(ended)}")
            click.echo(f"{GOES_ON} {follow_command(site, integration)}", err=True)
            return 0
    click.echo(f"{ended['status']}: {counts_of(ended)}")
    if log := text_of(ended, "error_log"):
        click.echo(log.rstrip(), err=True)
    return 0 if ended["status"] == DeploymentStatus.COMPLETED else 1


def follow_command(site: str, integration: str | None) -> str:
    """Return the command that goes on with a deployment."""
    only = ["--integration", integration] if integration else []
    return shlex.join(["manage.py", "publisher:deploy", site, *only, "--follow"])


def started(graph: Graph, body: Document) -> Document:
    """Start a deployment, and return it.

    Raises:
        UsageError: something is wrong with what is asked for.
    """
    try:
        return graph.publisher.deployments.start(body, SYSTEM)
    except SchemaIssues as error:
        raise click.UsageError(str(error.payload)) from None


def running(graph: Graph, site: Any, integration: Any) -> Document:
    """Return the deployment that is running.

    Raises:
        UsageError: there is none.
    """
    states = {"$in": [status.value for status in RUNNING]}
    query = {"site": forms(site), "integration": integration, "status": states}
    deployment = graph.publisher.deployments.collection.find_one(query)
    if deployment is None:
        raise click.UsageError("No deployment is running")
    return deployment


def shown(graph: Graph, id: Any) -> Document:
    """Carry a deployment out, show how far it is, and return it when it has ended.

    Or as it is when the process was asked to end. A bar on a terminal, lines elsewhere.
    """
    if not sys.stdout.isatty():
        deployment: Document = {}
        for deployment in carried_out(graph, id):
            if object_of(deployment, "counts").get("total"):
                click.echo(counts_of(deployment))
            for line in waiting_for(graph, deployment):
                click.echo(line)
        return deployment
    with click.progressbar(length=1, show_pos=True, item_show_func=str_or_empty) as bar:
        for deployment in carried_out(graph, id):
            counts = object_of(deployment, "counts")
            bar.length = max(int(counts.get("total") or 0), 1)
            waits = "; ".join(waiting_for(graph, deployment))
            bar.update(ended_in(counts) - bar.pos, waits)
        if not counts.get("total"):
            bar.update(1)
    return deployment


def str_or_empty(text: object) -> str:
    return str(text or "")


def carried_out(graph: Graph, id: Any) -> Iterator[Document]:
    """Work on a deployment, and on all that its sites are to show; yield it whenever it moves."""
    collection, last = graph.publisher.deployments.collection, None
    while True:
        is_last = ASKED.is_set()
        worked = graph.deployment_run.run() + graph.site_run.run()
        deployment = collection.find_one({"_id": id}) or {}
        seen = (deployment.get("status"), deployment.get("counts"))
        if seen != last:
            yield deployment
        last = seen
        if is_last or deployment.get("status") not in RUNNING:
            return
        if not worked:
            ASKED.wait(LOOK_SECONDS)


def ended_in(counts: Mapping[str, Any]) -> int:
    """Return how many rows have ended."""
    names = ("done", "unchanged", "failed", "skipped")
    return sum(int(counts.get(name) or 0) for name in names)


def counts_of(deployment: Mapping[str, Any]) -> str:
    """Return in words how far a deployment is."""
    counts = object_of(deployment, "counts")
    said = [f"{deployment.get('items_deployed') or 0} deployed"]
    names = ("retracted", "unchanged", "failed", "skipped")
    said += [f"{counts[name]} {name}" for name in names if counts.get(name)]
    return f"{ended_in(counts)} of {counts.get('total') or 0}: {', '.join(said)}"


def waiting_for(graph: Graph, deployment: Mapping[str, Any]) -> list[str]:
    """Return which sites let a deployment wait, and why."""
    if deployment.get("status") not in RUNNING:
        return []
    query = {"_id": {"$in": deployment.get("integrations") or []}, "state": {"$nin": ["ok", "new"]}}
    resting = graph.db[PUBLISHER_INTEGRATIONS].find(query)
    return [f"{one['name']} is {one['state']}: {one.get('state_message') or ''}" for one in resting]


@click.command("publisher:dispatch")
def dispatch() -> None:
    """Carry out what is due at sites now: wishes, schedules, deployments."""
    with stoppable_services() as graph:
        records = 0
        while not ASKED.is_set():
            begun = graph.deployment_run.run()
            worked = graph.site_run.run()
            records += worked
            if not begun + worked:
                break
        click.echo(f"{records} records worked on")


# Sites.


@click.command("publisher:test")
@click.argument("integration")
@click.option(
    "--write", is_flag=True, help="Also make a draft and a picture there, and delete them."
)
def test(integration: str, write: bool) -> int:
    """Find out whether INTEGRATION, an id or a name, can be published to."""
    with services() as graph:
        named = integration_of(graph, integration)
        result = graph.publisher.tests.of_stored(named["_id"], SYSTEM, write=write)
    rows = [
        (
            check["name"],
            "ok" if check["ok"] else "failed",
            f"{check['class']}/{check['code']}" if check["class"] else "",
            check["message"],
            check["help"],
        )
        for check in result["checks"]
    ]
    click.echo(tabulate(rows, CHECK_HEADINGS, disable_numparse=True))
    return 0 if result["ok"] else 1


@click.command("publisher:sync-taxonomies")
@click.argument("integration", required=False)
def sync_taxonomies(integration: str | None) -> int:
    """Read the terms of INTEGRATION, an id or a name, or of all that are switched on."""
    failed = False
    with stoppable_services() as graph:
        wanted = [integration_of(graph, integration)] if integration else all_active(graph)
        for each in until_asked(wanted):
            try:
                click.echo(f"{each['name']}: {graph.site_sync.sync(each)} terms")
            except PlatformError as error:
                failed = True
                click.echo(f"{each['name']}: {error.error_class}/{error.code} {error}", err=True)
    return 1 if failed else 0


def all_active(graph: Graph) -> list[Document]:
    active = {"active": {"$ne": False}}
    return list(graph.db[PUBLISHER_INTEGRATIONS].find(active).sort("name", 1))


@click.command("publisher:rotate-keys")
def rotate_keys() -> int:
    """Encrypt the credentials of all sites with the first of ENCRYPTION_KEYS."""
    with services() as graph:
        rotation = graph.publisher.integrations.rotate_secrets()
    click.echo(f"{rotation.renewed} secrets encrypted with the newest key")
    for place in rotation.unreadable:
        click.echo(f"No key fits: {place}", err=True)
    return 1 if rotation.unreadable else 0


@click.command("publisher:metrics")
@click.option("--account", help="Of this account only.")
def metrics(account: str | None) -> int:
    """Print what is measured of CMS sites, in the form that Prometheus reads."""
    with services() as graph:
        click.echo(graph.publisher.metrics.text(account), nl=False)
    return 0


# Records.


@click.command("publisher:status")
@click.argument("item")
def status(item: str) -> int:
    """Show where ITEM, an id, stands at each site."""
    with services() as graph:
        rows = graph.publisher.status.of(Wanted(content=(item,)), SYSTEM)["_items"]
        names = {str(each["_id"]): each["name"] for each in graph.db[PUBLISHER_INTEGRATIONS].find()}
    known = [row for row in rows if row["record"] is not None]
    if not known:
        click.echo(f"{item} is at no site")
        return 1
    table = [
        (
            names.get(row["integration"], row["integration"]),
            row["destination"],
            row["status"],
            row["remote_state"],
            versions_of(row),
            row["external_url"] or "",
            error_of(row),
        )
        for row in known
    ]
    click.echo(tabulate(table, STATUS_HEADINGS, disable_numparse=True))
    return 0


def versions_of(row: Mapping[str, Any]) -> str:
    """Return which version a site shows, and whether that is the one that it should."""
    version = row["published_version"]
    told = "none" if version is None else str(version)
    return f"{told} (stale)" if row["stale"] else told


def error_of(row: Mapping[str, Any]) -> str:
    """Return in one line what is in the way of a record, and when it is tried again."""
    error = row["error"]
    if not error:
        return ""
    again = f", again at {row['retry_at']:%Y-%m-%d %H:%M:%S}" if row["retry_at"] else ""
    return f"{error['class']}/{error['code']}: {error['message']}{again}"


@click.command("publisher:retry-failed")
@click.option("--site", help="Id or slug; all unless given.")
@click.option("--integration", help="Id or name; all unless given.")
def retry_failed(site: str | None, integration: str | None) -> None:
    """Let records that have failed be tried again."""
    count = 0
    with stoppable_services() as graph:
        records = graph.publisher.records
        failed = {**records_of(graph, site, integration), "status": RecordStatus.FAILED}
        for record in until_asked(list(records.collection.find(failed, {"_id": 1}))):
            try:
                records.retry(record["_id"], SYSTEM)
            except (Conflict, PlainError):
                # Somebody was faster.
                continue
            count += 1
    click.echo(f"{count} records are tried again")


@click.command("publisher:reconcile")
@click.option("--site", help="Id or slug; all unless given.")
@click.option("--integration", help="Id or name; all unless given.")
def reconcile(site: str | None, integration: str | None) -> int:
    """Look at the sites what has become of their posts; nothing is written there."""
    looked, unread = 0, set()
    with stoppable_services() as graph:
        records = graph.publisher.records
        sent = {"$or": [{"external_id": {"$type": "string"}}, {"slug": {"$type": "string"}}]}
        query = {**records_of(graph, site, integration), **sent}
        for record in until_asked(list(records.collection.find(query).sort("integration", 1))):
            if record["integration"] in unread:
                continue
            try:
                after = records.reconcile(record["_id"], SYSTEM)
            except PlainError as error:
                click.echo(f"{record['content']}: {error}", err=True)
                if str(error) != IN_WORK:
                    # It would say the same of the others.
                    unread.add(record["integration"])
                continue
            looked += 1
            before, now = record["remote_state"], after["remote_state"]
            if before != now:
                click.echo(f"{record['content']}: {before} -> {now}")
    click.echo(f"{looked} posts looked at")
    return 1 if unread else 0

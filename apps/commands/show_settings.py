"""`settings`: print every setting, its value and where it comes from; or the reference of all."""

import json as stdlib_json
import os
from collections.abc import Iterable, Mapping

import click

import settings as settings_module
from apps.core import json
from apps.core.env import Setting

MASK = "********"


@click.command("settings")
@click.option("--reference", is_flag=True, help="Print the tables of docs/settings.md instead.")
def show_settings(reference: bool) -> None:
    """Print name, value and source of every setting; secrets are masked."""
    if reference:
        click.echo(reference_of(settings_module.SECTIONS))
        return
    for name, value in sorted(settings_module.load().items()):
        source = _source(name)
        shown = MASK if name in settings_module.SECRETS and value else json.dumps(value).decode()
        click.echo(f"{name} = {shown}  ({source})")


def _source(name: str) -> str:
    if name in os.environ:
        return "environment"
    return "file" if f"{name}_FILE" in os.environ else "default"


def reference_of(sections: Mapping[str, Iterable[Setting]]) -> str:
    """Return the reference of settings in Markdown: a table for each section."""
    tables = []
    for title, settings in sections.items():
        rows = [f"| `{s.name}` | {_default(s)} | {s.meaning} |" for s in settings]
        head = ["| setting | default | meaning |", "| --- | --- | --- |"]
        tables.append("\n".join([f"## {title}", "", *head, *rows]))
    return "\n\n".join(tables)


def _default(setting: Setting) -> str:
    if setting.default is None:
        return setting.derived or "none"
    return f"`{stdlib_json.dumps(setting.default)}`"

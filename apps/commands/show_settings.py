"""`settings`: print every setting, its value and where it comes from."""

import os

import click

import settings as settings_module
from apps.core import json

MASK = "********"


@click.command("settings")
def show_settings() -> None:
    """Print name, value and source of every setting; secrets are masked."""
    for name, value in sorted(settings_module.load().items()):
        source = _source(name)
        shown = MASK if name in settings_module.SECRETS and value else json.dumps(value).decode()
        click.echo(f"{name} = {shown}  ({source})")


def _source(name: str) -> str:
    if name in os.environ:
        return "environment"
    return "file" if f"{name}_FILE" in os.environ else "default"

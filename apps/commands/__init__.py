"""The commands of `manage.py`, one module each; each is one call into a service."""

from importlib import import_module

import click
from pymongo.errors import PyMongoError
from redis.exceptions import RedisError

from apps.core.errors import ConfigurationError, WiredeskError

DONE, FAILED, WRONG_USE = 0, 1, 2

COMMANDS = {
    "publish:enqueue": "publishing:enqueue",
    "publish:transmit": "publishing:transmit",
    "archive:remove_expired": "expiry:remove_expired",
    "legal_archive:import": "legal_archive:import_items",
    "legal_publish_queue:import": "legal_archive:import_queue",
    "content_api:remove_expired": "content_api:remove_expired",
    "app:initialize_data": "initialize_data:initialize_data",
    "users:create": "users:create",
    "explain": "explain:explain",
    "secrets:rotate": "secrets:rotate",
    "publisher:deploy": "publisher:deploy",
    "publisher:test": "publisher:test",
    "publisher:status": "publisher:status",
    "publisher:sync-taxonomies": "publisher:sync_taxonomies",
    "publisher:metrics": "publisher:metrics",
    "publisher:dispatch": "publisher:dispatch",
    "publisher:retry-failed": "publisher:retry_failed",
    "publisher:reconcile": "publisher:reconcile",
    "publisher:rotate-keys": "publisher:rotate_keys",
    "items:import": "items:import_items",
    "run": "run:run",
    "demo": "demo:demo",
    "test": "checks:test",
    "check": "checks:check",
    "lock": "lock:lock",
    "schemas": "schemas:schemas",
    "settings": "show_settings:show_settings",
}
"""Command name to the module and function in this package; imported when it is called."""


class Commands(click.Group):
    """Looks commands up in `COMMANDS`, so that each imports only what it needs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, function = COMMANDS[cmd_name].partition(":")
        command = getattr(import_module(f"apps.commands.{module}"), function)
        return command if isinstance(command, click.Command) else None


cli = Commands(name="manage.py", help="Wiredesk, a publishing server for newsrooms.")


def run_command(arguments: list[str]) -> int:
    """Run one command and return its exit status: 0 done, 1 failed, 2 wrong use or settings."""
    try:
        result = cli.main(arguments, prog_name="manage.py", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return WRONG_USE
    except click.Abort:
        return FAILED
    except ConfigurationError as error:
        click.echo(str(error), err=True)
        return WRONG_USE
    except (WiredeskError, PyMongoError, RedisError, OSError) as error:
        click.echo(f"{type(error).__name__}: {error}", err=True)
        return FAILED
    return result if isinstance(result, int) else DONE

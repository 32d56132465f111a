"""`users:create`: create a user, also the first administrator."""

import json

import click

from apps.commands.context import services
from apps.core.errors import SchemaIssues
from apps.core.vocabulary import UserType
from apps.store.collections import USERS


@click.command("users:create")
@click.option("-u", "--username", required=True)
@click.option("-p", "--password", required=True)
@click.option("-e", "--email", required=True)
@click.option("--admin", is_flag=True, help="The user may do everything.")
def create(username: str, password: str, email: str, admin: bool) -> int:
    """Create a user that can log in at once; one of that name gets the password and the role.

    All sessions of that one end.
    """
    user = {
        "username": username,
        "password": password,
        "email": email,
        "user_type": UserType.ADMINISTRATOR if admin else UserType.USER,
        "is_active": True,
        "is_enabled": True,
        "needs_activation": False,
    }
    with services() as graph:
        known = graph.db[USERS].find_one({"username": username}, {"_id": 1})
        try:
            if known:
                graph.newsroom.users.patch(known["_id"], user)
            else:
                graph.newsroom.users.post([user])
        except SchemaIssues as error:
            raise click.UsageError(f"The user is refused: {json.dumps(error.payload)}") from error
    click.echo(f"{'updated' if known else 'created'} {username}")
    return 0

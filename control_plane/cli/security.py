"""`wirechief security ...`: who is blocked after failed SIP logins, and lifting it."""

from __future__ import annotations

from typing import Annotated

import typer

from control_plane.bootstrap.client import Client
from control_plane.bootstrap.installation import installed
from control_plane.cli.app import group
from control_plane.cli.output import JsonOption, print_json, say, table
from control_plane.errors import InvalidField

security_app = group("security")


@security_app.command("blocked")
def blocked(as_json: JsonOption = False) -> None:
    """List the addresses refused now."""
    found = Client(installed()).blocked()
    if as_json:
        print_json(found)
    elif not found:
        say("Nobody is blocked.")
    else:
        columns = ("address", "since", "until", "times", "reason")
        table("", columns, ([str(entry[name]) for name in columns] for entry in found))


@security_app.command("unblock")
def unblock(
    address: Annotated[str | None, typer.Argument(help="An IP address.")] = None,
    everybody: Annotated[bool, typer.Option("--all", help="Lift every block.")] = False,
) -> None:
    """Lift the block of an address, or of all."""
    if everybody == (address is not None):
        raise InvalidField("address", "name one address, or say --all")
    client = Client(installed())
    if address is not None:
        client.unblock(address)
        say(f"{address} is no longer blocked.")
    else:
        say(f"{client.unblock_all()} blocks lifted.")

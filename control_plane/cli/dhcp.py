"""`wirechief handset dhcp-hints`: what a DHCP server should tell handsets."""

from __future__ import annotations

from ipaddress import AddressValueError, IPv4Address
from typing import Annotated

import typer

from control_plane.bootstrap.provisioning import Dialect, dhcp_hints
from control_plane.bootstrap.wiring import wire
from control_plane.cli.handsets import handset_app
from control_plane.cli.output import JsonOption, print_json
from control_plane.errors import InvalidField


@handset_app.command("dhcp-hints")
def handset_dhcp_hints(
    dialect: Annotated[Dialect, typer.Option("--for", help="Which DHCP server.")] = Dialect.DNSMASQ,
    url: Annotated[
        str | None,
        typer.Option("--url", help="Where handsets fetch, ending in /; else where our server is reached."),
    ] = None,
    tftp: Annotated[
        str | None,
        typer.Option("--tftp", metavar="ADDRESS", help="Our TFTP server, for handsets that know no URL."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Print what a DHCP server should tell handsets, as a snippet for its configuration."""
    snippet = dhcp_hints(wire(), dialect, url, None if tftp is None else _address(tftp))
    if as_json:
        print_json({"for": dialect.value, "snippet": snippet})
    else:
        typer.echo(snippet, nl=False)


def _address(text: str) -> IPv4Address:
    try:
        return IPv4Address(text)
    except AddressValueError:
        raise InvalidField("--tftp", "must be an IPv4 address such as 192.0.2.10") from None

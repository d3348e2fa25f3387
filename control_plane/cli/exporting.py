"""`wirechief export`: the node as files, for people who want files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from control_plane.bootstrap.export import export_tree
from control_plane.bootstrap.lab import read_model
from control_plane.bootstrap.wiring import wire
from control_plane.cli.app import app, run
from control_plane.cli.output import JsonOption, print_json, say
from control_plane.render.export import ETC


@app.command("export")
def export(
    directory: Annotated[Path, typer.Argument(help="Where the tree is written.")],
    target: Annotated[
        str, typer.Option("--target", help="Where the tree will stand on the machine that runs Asterisk.")
    ] = ETC,
    address: Annotated[
        str | None,
        typer.Option("--address", help="IPv4 address phones reach that machine at. Default: the lab's."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write into a directory that is not empty.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write a complete /etc/asterisk tree that a plain Asterisk 22 starts with."""
    wiring = wire()
    model = run(read_model(wiring))
    done = export_tree(wiring, model, directory, target=target, address=address, force=force)
    if as_json:
        print_json(
            {"directory": str(done.directory), "files": done.files, "rows": done.rows, "tls": done.tls}
        )
        return
    say(f"{done.directory}: {done.files} files and an AstDB of {done.rows} rows, to stand at {target}.")
    say("They hold passwords: mode 600. The file README among them says what to do with them.")
    if not done.tls:
        say("Without TLS: there is no certificate before the first 'wirechief lab up'.")

"""`wirechief calls`: the last calls with the way each took."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from control_plane.bootstrap.client import Client
from control_plane.bootstrap.installation import installed
from control_plane.cli.app import app
from control_plane.cli.output import JsonOption, print_json, say, table

COLUMNS = ("ended (UTC)", "from", "dialled", "outcome", "way through the call path")


@app.command("calls")
def calls(
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, help="How many at most.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """List the last calls that ended, with the way each took through the call path."""
    found = Client(installed()).calls(limit)
    if as_json:
        print_json(found)
    elif not found:
        say("No call has ended since the control plane started.")
    else:
        table("", COLUMNS, (row for call in found for row in _rows(call)))


def _rows(call: dict[str, Any]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for part in call["parts"]:
        way = " ".join(f"{step['node']}:{step['outcome']}" for step in part["trace"])
        if part["path"]:
            rows.append(("", f"leg {part['path']}", "", part["outcome"], way))
        else:
            ended = call["ended"][:19].replace("T", " ")
            rows.append((ended, part["caller"], part["dialled"], part["outcome"], way))
    return rows

"""`wirechief check`: what the model's call paths reveal before anybody calls."""

from __future__ import annotations

import typer

from control_plane.bootstrap.lab import read_model
from control_plane.bootstrap.wiring import wire
from control_plane.callpath.findings import Severity, findings
from control_plane.cli.app import app, run
from control_plane.cli.output import JsonOption, print_json, say, table

ERRORS_FOUND = 2


@app.command("check")
def check_command(as_json: JsonOption = False) -> None:
    """Look for loops, ways out of restricted phones, dead ends and unreachable emergency numbers.

    Exits 0 when nothing or only warnings were found, 2 when there are errors.
    """
    found = findings(run(read_model(wire())))
    if as_json:
        print_json(
            [
                {"severity": f.severity.value, "rule": f.rule, "subject": f.subject, "text": f.text}
                for f in found
            ]
        )
    elif not found:
        say("Nothing found.")
    else:
        rows = [(f.severity.value, f.rule, f.subject, f.text) for f in found]
        table("", ("severity", "rule", "where", "what"), rows)
    if any(f.severity is Severity.ERROR for f in found):
        raise typer.Exit(ERRORS_FOUND)

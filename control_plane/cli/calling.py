"""`wirechief call`: a real call by headless phones, beside what explain says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from control_plane.bootstrap.callvalues import CallReport, CallRequest
from control_plane.bootstrap.lab import read_model
from control_plane.bootstrap.realcall import real_call
from control_plane.bootstrap.wiring import wire
from control_plane.callpath.compare import NOT_PASSED, Pair, Row
from control_plane.callpath.explain import Behaviour
from control_plane.cli.app import app, run
from control_plane.cli.circumstances import (
    BehaviourOption,
    FromOption,
    LogsInOption,
    Named,
    OrgOption,
    RefuseOption,
    ToOption,
    UnregisteredOption,
    behaviours,
)
from control_plane.cli.output import JsonOption, console, print_json, progress, say
from control_plane.cli.references import caller_and_dialled
from control_plane.errors import InvalidField

AnswerOption = Annotated[
    list[str] | None, typer.Option("--answer", metavar="Z", help="Z answers (the default).")
]
BusyOption = Annotated[list[str] | None, typer.Option("--busy", metavar="Z", help="Z answers 486 Busy Here.")]
RingOption = Annotated[list[str] | None, typer.Option("--ring", metavar="Z", help="Z rings; nobody answers.")]


@app.command("call")
def call(
    from_: FromOption,
    to: ToOption,
    answer: AnswerOption = None,
    refuse: RefuseOption = None,
    busy: BusyOption = None,
    ring: RingOption = None,
    unregistered: UnregisteredOption = None,
    behaviour: BehaviourOption = None,
    seconds: Annotated[float, typer.Option("--seconds", min=0.5, max=600, help="How long to talk.")] = 2.0,
    code: Annotated[
        list[str] | None,
        typer.Option("--code", metavar="DIGITS", help="Typed when a code or a PIN is asked for. Repeatable."),
    ] = None,
    logs_in: LogsInOption = "",
    dtmf: Annotated[
        str, typer.Option("--dtmf", metavar="DIGITS", help="Sent once the call is answered.")
    ] = "",
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Register devices even where a phone holds them now.")
    ] = False,
    sip_log: Annotated[
        Path | None,
        typer.Option(
            "--sip-log",
            metavar="DIR",
            file_okay=False,
            help="Write each phone's SIP messages to a file there. They hold keys: keep them secret.",
        ),
    ] = None,
    org: OrgOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a real call and show both traces, explained and real. Exit 1 when they differ."""
    _require_digits("--code", code or ())
    _require_digits("--as", (logs_in,) if logs_in else ())
    _require_digits("--dtmf", (dtmf,) if dtmf else ())
    wiring = wire()
    model = run(read_model(wiring))
    caller, dialled = caller_and_dialled(model, from_, to, org)
    said: dict[Behaviour, Named] = {
        Behaviour.ANSWER: answer,
        Behaviour.REFUSE: refuse,
        Behaviour.BUSY: busy,
        Behaviour.RING: ring,
        Behaviour.UNREGISTERED: unregistered,
    }
    request = CallRequest(
        caller=caller,
        dialled=dialled,
        behaviour=behaviours(model, org, said, behaviour),
        seconds=seconds,
        codes=tuple(code or ()),
        digits=dtmf,
        take_over=take_over,
        logs_in=logs_in,
        sip_log=sip_log,
    )
    report = real_call(wiring, model, request, progress)
    if as_json:
        print_json(_as_dict(report))
    else:
        _show(report, f"{from_} calls {to}")
        if not report.comparison.equal and sip_log is None:
            say("With --sip-log DIR each phone writes its SIP messages there.")
    if not report.comparison.equal:
        raise typer.Exit(1)


def _require_digits(option: str, values: tuple[str, ...] | list[str]) -> None:
    for value in values:
        if not value or set(value) - set("0123456789*#"):
            raise InvalidField(option, "must be digits, * and #")


def _as_dict(report: CallReport) -> dict[str, Any]:
    comparison = report.comparison
    return {
        "equal": comparison.equal,
        "differences": list(comparison.differences),
        "explained": report.explained.as_json(),
        "real": {
            "outcome": report.outcome,
            "trace": _steps(comparison.trace),
            "legs": [{"path": path, "trace": _steps(rows)} for path, rows in comparison.legs.items()],
            "status": report.status,
            "rang": list(report.rang),
            "answered_by": list(report.answered_by),
        },
    }


def _steps(rows: tuple[Row, ...]) -> list[dict[str, str]]:
    return [{"node": row.real[0], "outcome": row.real[1]} for row in rows if row.real != NOT_PASSED]


def _show(report: CallReport, title: str) -> None:
    made = Table(title=title, title_justify="left", header_style="bold")
    for column in ("node", "explained", "real", "why"):
        made.add_column(column, overflow="fold")
    comparison = report.comparison
    _add(made, comparison.trace)
    for path, rows in comparison.legs.items():
        made.add_section()
        made.add_row(Text(f"leg {path}", style="bold"))
        _add(made, rows)
    console().print(made)
    line = [f"outcome: {report.outcome}"]
    if report.status is not None:
        line.append(f"SIP status {report.status}")
    if report.rang:
        line.append(f"rang: {', '.join(report.rang)}")
    if report.answered_by:
        line.append(f"answered: {', '.join(report.answered_by)}")
    say("; ".join(line))
    for difference in comparison.differences:
        say(f"DIFFERENT: {difference}")
    if comparison.equal:
        say("The real call did what explain says.")


def _add(table: Table, rows: tuple[Row, ...]) -> None:
    for row in rows:
        node = row.explained[0] or row.real[0]
        style = "" if row.equal else "bold red"
        table.add_row(
            Text(node, style="cyan"),
            _outcome(row.explained, node),
            Text(_plain(row.real, node), style),
            row.why,
        )


def _outcome(pair: Pair, node: str) -> Text:
    return Text(_plain(pair, node))


def _plain(pair: Pair, node: str) -> str:
    if pair == NOT_PASSED:
        return "-"
    return pair[1] if pair[0] == node else f"{pair[0]} {pair[1]}"

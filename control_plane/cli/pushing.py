"""`wirechief plan`, `apply` and `drift`: what differs between the model and Asterisk, and ending it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import typer
from rich.text import Text

from control_plane.apply.reports import applied_as_dict
from control_plane.bootstrap.client import Client, RequestRefused
from control_plane.bootstrap.wiring import Wiring, wire
from control_plane.cli.app import app, run, sentence_of
from control_plane.cli.output import JsonOption, complain, console, print_json, say
from control_plane.errors import Unreachable
from control_plane.plan.changes import Drift

NOTHING, ERROR, CHANGES = 0, 1, 2
NODE_AWAY = 503
"""The status of the API's answer where the node cannot be reached."""


@app.command("plan")
def plan(as_json: JsonOption = False) -> None:
    """Show what an apply would do. Exit 0: nothing, 2: changes, 1: error.

    Where the node cannot be reached, what would be published for handsets is shown all the same; exit 1.
    """
    _show_and_exit(read_plan(wire()), as_json, "Nothing to do: Asterisk holds what the model says.")


@app.command("drift")
def drift(as_json: JsonOption = False) -> None:
    """Show only what is not the model's doing: edited, lost or foreign. Exit codes as for plan."""
    found = read_plan(wire())
    steps = [step for step in found["steps"] if step["drift"] != Drift.MODEL_MOVED.value]
    counts: dict[str, int] = {}
    for step in steps:
        counts[step["drift"]] = counts.get(step["drift"], 0) + 1
    _show_and_exit(
        {**found, "steps": steps, "counts": counts},
        as_json,
        "No drift: nobody touched Asterisk but the model.",
    )


@app.command("apply")
def apply(as_json: JsonOption = False) -> None:
    """Push what differs and verify it. Exit 1 when something could not be done."""
    found = push_now(wire())
    if as_json:
        print_json(found)
    elif not found["steps"]:
        say("Nothing to do: Asterisk holds what the model says.")
    else:
        show_steps(found["plan"]["steps"])
        took = f"{found['took_s'] * 1000:.0f} ms"
        say(
            f"{_counted(found['counts'])} in {took}; read back and verified."
            if found["ok"]
            else f"{_counted(found['counts'])} in {took}."
        )
        for problem in found["problems"]:
            say(f"  {problem}")
    if not found["ok"]:
        raise typer.Exit(1)


def read_plan(wiring: Wiring) -> dict[str, Any]:
    """The plan, by the control plane when it runs, else by this process: Asterisk, then handsets' files.

    `unreachable`: why the node's part is missing; None: it is there.
    """
    if wiring.pid_file.running() is None:
        return run(_plan_here(wiring))
    client = Client(wiring)
    publishing = client.publishing_plan()
    try:
        return _plans(client.plan(), publishing)
    except RequestRefused as exc:
        if exc.status != NODE_AWAY:
            raise
        return _without_node(publishing, str(exc))


async def _plan_here(wiring: Wiring) -> dict[str, Any]:
    published = wiring.published()
    try:
        async with wiring.store() as store:
            publishing = (await wiring.publisher(store, published).plan()).as_dict()
            try:
                async with wiring.connected() as link:
                    return _plans((await wiring.reconciler(store, link).plan()).as_dict(), publishing)
            except Unreachable as exc:
                return _without_node(publishing, sentence_of(exc))
    finally:
        await published.close()


def _plans(pushing: dict[str, Any], publishing: dict[str, Any]) -> dict[str, Any]:
    """Both plans as one, for people."""
    counts = Counter(pushing["counts"]) + Counter(publishing["counts"])
    steps = pushing["steps"] + publishing["steps"]
    return {**pushing, "steps": steps, "counts": dict(counts), "unreachable": None}


def _without_node(publishing: dict[str, Any], why: str) -> dict[str, Any]:
    return {**publishing, "unreachable": why}


def push_now(wiring: Wiring) -> dict[str, Any]:
    """Publishes and pushes what differs, by the control plane when it runs, else by this process.

    Handsets' files first: they are brought up to date also where Asterisk cannot be reached, which is then
    the error.
    """
    if wiring.pid_file.running() is not None:
        client = Client(wiring)
        publishing = client.publishing_apply()
        return _applied(client.apply(), publishing)
    return run(_apply_here(wiring))


async def _apply_here(wiring: Wiring) -> dict[str, Any]:
    published = wiring.published()
    try:
        async with wiring.store() as store:
            publishing = applied_as_dict(await wiring.publisher(store, published).apply())
            async with wiring.connected() as link:
                return _applied(applied_as_dict(await wiring.reconciler(store, link).apply()), publishing)
    finally:
        await published.close()


def _applied(pushing: dict[str, Any], publishing: dict[str, Any]) -> dict[str, Any]:
    """What became of both, as one, for people."""
    plans = [found["plan"] for found in (pushing, publishing) if found["plan"] is not None]
    return {
        "ok": pushing["ok"] and publishing["ok"],
        "steps": pushing["steps"] + publishing["steps"],
        "counts": dict(Counter(pushing["counts"]) + Counter(publishing["counts"])),
        "error": pushing["error"] or publishing["error"],
        "problems": pushing["problems"] + publishing["problems"],
        "took_s": pushing["took_s"] + publishing["took_s"],
        "plan": _plans(*plans) if len(plans) == 2 else (plans[0] if plans else None),
    }


def _show_and_exit(found: Mapping[str, Any], as_json: bool, nothing: str) -> None:
    away = found["unreachable"]
    if as_json:
        print_json(found)
    elif not found["steps"]:
        say("Nothing to publish for handsets." if away else nothing)
    else:
        show_steps(found["steps"])
        say(f"{_counted(found['counts'])}: 'wirechief apply' does this.")
    if away:
        complain(f"What the node is to get is not known: {away}")
        raise typer.Exit(ERROR)
    raise typer.Exit(CHANGES if found["steps"] else NOTHING)


_MARKS = {
    "put": "+",
    "delete": "-",
    "write_file": "~",
    "edit_mailbox": "~",
    "reload": "*",
    "publish": "+",
    "withdraw": "-",
}


def show_steps(steps: list[dict[str, Any]]) -> None:
    """Steps in order: what, why, which kind of drift, and the difference; secrets are masked already."""
    out = console()
    for step in steps:
        kind = "" if step["drift"] == Drift.MODEL_MOVED.value else f" [{step['drift']}]"
        calls = "  (calls notice)" if step["touches_calls"] else ""
        head = Text.assemble(
            (f"{_MARKS.get(step['op'], '?')} ", "bold"),
            (step["artefact"], "cyan"),
            (kind, "yellow"),
            (calls, "red"),
        )
        out.print(head, soft_wrap=True)
        out.print(Text(f"    {step['reason']}"), soft_wrap=True)
        for line in step["diff"]:
            out.print(Text(f"      {line}", style="dim"), soft_wrap=True)


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in counts.items())

"""`wirechief explain`: what a call would do and why, without making it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import typer

from control_plane.bootstrap.wiring import Wiring, wire
from control_plane.callpath.explain import Behaviour, Circumstances, Explanation, explain
from control_plane.cli.app import app, run
from control_plane.cli.circumstances import (
    BehaviourOption,
    BusyOption,
    FromOption,
    Named,
    NoAnswerOption,
    OrgOption,
    RefuseOption,
    ToOption,
    UnregisteredOption,
    behaviours,
    show_explanation,
    split_busy,
)
from control_plane.cli.output import JsonOption, print_json
from control_plane.cli.references import caller_and_dialled
from control_plane.domain.model import Model
from control_plane.errors import AsteriskError, InvalidField


class Code(StrEnum):
    """What the caller types when asked for the authorization code."""

    RIGHT = "right"
    WRONG = "wrong"


@app.command("explain")
def explain_command(
    from_: FromOption,
    to: ToOption,
    at: Annotated[
        str | None,
        typer.Option(
            "--at", metavar="TIME", help="When (ISO 8601). No rule of the call path depends on the time yet."
        ),
    ] = None,
    busy: BusyOption = None,
    unregistered: UnregisteredOption = None,
    no_answer: NoAnswerOption = None,
    refuse: RefuseOption = None,
    behaviour: BehaviourOption = None,
    code: Annotated[
        list[Code] | None,
        typer.Option("--code", help="What the caller types when asked for a code. Repeatable."),
    ] = None,
    org: OrgOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what a call will do, node by node, and why."""
    _require_time(at)
    said: dict[Behaviour, Named] = {
        Behaviour.UNREGISTERED: unregistered,
        Behaviour.RING: no_answer,
        Behaviour.REFUSE: refuse,
    }
    codes = tuple(entry is Code.RIGHT for entry in code or ())
    found = run(_explain(from_, to, org, busy, said, behaviour, codes))
    if as_json:
        print_json(found.as_json())
    else:
        show_explanation(found, f"{from_} calls {to}")


def _require_time(text: str | None) -> None:
    if text is None:
        return
    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise InvalidField("--at", "must be a time such as 2026-01-31T09:30") from None


async def _explain(
    from_: str,
    to: str,
    org: str | None,
    busy: Named,
    said: dict[Behaviour, Named],
    pairs: Named,
    codes: tuple[bool, ...],
) -> Explanation:
    wiring = wire()
    async with wiring.store() as store:
        model = (await store.snapshot()).model
    caller, dialled = caller_and_dialled(model, from_, to, org)
    busy_outside, in_call = split_busy(model, org, busy)
    how = behaviours(model, org, {Behaviour.BUSY: busy_outside, **said}, pairs)
    last_used = await last_used_devices(wiring, model)
    return explain(model, caller, dialled, Circumstances(how, in_call, last_used, codes))


async def last_used_devices(wiring: Wiring, model: Model) -> dict[str, str]:
    """ "org/key" -> the device used last, as the node remembers it; empty when it cannot be asked.

    The node is asked only when the answer can matter: some extension has several devices.
    """
    if all(len(devices) < 2 for devices in model.devices.values()):
        return {}
    try:
        async with wiring.connected() as link:
            return {
                key.removeprefix("last/"): device for key, device in (await link.read_rows("last")).items()
            }
    except AsteriskError:
        return {}

"""`wirechief explain`: what a call would do and why, without making it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from control_plane.bootstrap.remembered import Remembered, matters, read_remembered
from control_plane.bootstrap.wiring import Wiring, wire
from control_plane.callpath.explain import Behaviour, Circumstances, Explanation, explain
from control_plane.cli.app import app, run
from control_plane.cli.circumstances import (
    BehaviourOption,
    BusyOption,
    FromOption,
    LogsInOption,
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
        typer.Option("--at", metavar="TIME", help="When (ISO 8601), for business hours; now when not given."),
    ] = None,
    busy: BusyOption = None,
    unregistered: UnregisteredOption = None,
    no_answer: NoAnswerOption = None,
    refuse: RefuseOption = None,
    behaviour: BehaviourOption = None,
    code: Annotated[
        list[Code] | None,
        typer.Option("--code", help="What the caller types when asked for a code or a PIN. Repeatable."),
    ] = None,
    logs_in: LogsInOption = "",
    org: OrgOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what a call will do, node by node, and why."""
    said: dict[Behaviour, Named] = {
        Behaviour.UNREGISTERED: unregistered,
        Behaviour.RING: no_answer,
        Behaviour.REFUSE: refuse,
    }
    codes = tuple(entry is Code.RIGHT for entry in code or ())
    found = run(_explain(from_, to, org, busy, said, behaviour, codes, logs_in, at))
    if as_json:
        print_json(found.as_json())
    else:
        show_explanation(found, f"{from_} calls {to}")


def _time(model: Model, text: str) -> datetime:
    """`text` as a moment; without an offset by the clocks of the sites, where they go alike."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidField("--at", "must be a time such as 2026-01-31T09:30") from None
    if at.tzinfo is not None:
        return at
    zones = {site.time_zone for site in model.sites.values()}
    if len(zones) != 1:
        raise InvalidField("--at", "must name its offset, such as 2026-01-31T09:30+08:00: sites differ")
    return at.replace(tzinfo=ZoneInfo(zones.pop()))


async def _explain(
    from_: str,
    to: str,
    org: str | None,
    busy: Named,
    said: dict[Behaviour, Named],
    pairs: Named,
    codes: tuple[bool, ...],
    logs_in: str,
    at: str | None,
) -> Explanation:
    wiring = wire()
    async with wiring.store() as store:
        model = (await store.snapshot()).model
    caller, dialled = caller_and_dialled(model, from_, to, org)
    busy_outside, in_call = split_busy(model, org, busy)
    how = behaviours(model, org, {Behaviour.BUSY: busy_outside, **said}, pairs)
    known = await _remembered(wiring, model)
    circumstances = Circumstances(
        how,
        in_call,
        known.last_used,
        codes,
        logs_in,
        wiring.clock.now() if at is None else _time(model, at),
        known.began_with,
        known.last_call_ended,
    )
    return explain(model, caller, dialled, circumstances)


async def _remembered(wiring: Wiring, model: Model) -> Remembered:
    """What the node knows of earlier calls; nothing when it cannot be asked, or need not be."""
    if not matters(model):
        return Remembered()
    try:
        async with wiring.connected() as link:
            return await read_remembered(link)
    except AsteriskError:
        return Remembered()

"""`wirechief decommission ...`: an occupier leaves, and everything it has is taken back (R34-R37)."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any

import typer

from control_plane.bootstrap.wiring import Wiring, wire
from control_plane.cli.actor import by
from control_plane.cli.app import group, run
from control_plane.cli.organisations import OrganisationArgument
from control_plane.cli.output import JsonOption, facts, print_json, progress, say
from control_plane.domain.entities import Decommission
from control_plane.domain.model import Model
from control_plane.errors import IllegalTransition, InvalidField
from control_plane.service import leaving
from control_plane.service.decommission import in_words, left_of
from control_plane.service.leaving import Leaving
from control_plane.service.rules import require_organisation
from control_plane.store import SqlStore

decommission_app = group("decommission")

WithinOption = Annotated[float, typer.Option("--within", min=0, help="Seconds to wait at most.")]
WITHIN_S = 120.0
_LOOK_AGAIN_S = 0.2


@decommission_app.command("start")
def start(
    organisation: OrganisationArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Needed: nothing brings back what is taken.")] = False,
    within_s: WithinOption = WITHIN_S,
    as_json: JsonOption = False,
) -> None:
    """Take everything back from an occupier, and wait until Asterisk holds nothing of it.

    Its numbers go to their cooldown; from now on nothing of it can be changed.

    The control plane carries it out and goes on with it. Exit 1 when it is not done in time.
    """
    _carry_out(organisation, Decommission.NONE, within_s, yes=yes, as_json=as_json)


@decommission_app.command("resume")
def resume(
    organisation: OrganisationArgument, within_s: WithinOption = WITHIN_S, as_json: JsonOption = False
) -> None:
    """Try again what is left of a decommission at once. Exit 1 when it is not done in time."""
    _carry_out(organisation, Decommission.FAILED, within_s, yes=True, as_json=as_json)


@decommission_app.command("status")
def status(organisation: OrganisationArgument, as_json: JsonOption = False) -> None:
    """Show how the decommission of an organisation stands, and what it still has."""
    wiring = wire()
    _show(organisation, run(_standing(wiring, organisation)), as_json)


async def _standing(wiring: Wiring, org: str) -> Leaving:
    async with wiring.store() as store:
        return await leaving.standing(store, store, org)


def _carry_out(org: str, before: Decommission, within_s: float, *, yes: bool, as_json: bool) -> None:
    wiring = wire()
    found = run(_carried_out(wiring, org, before, within_s, yes=yes))
    _show(org, found, as_json)
    if wiring.pid_file.running() is None:
        progress("The control plane does not run: 'wirechief lab up' starts it, and it carries this out.")
    if found.status is not Decommission.DECOMMISSIONED:
        raise typer.Exit(1)


async def _carried_out(
    wiring: Wiring, org: str, before: Decommission, within_s: float, *, yes: bool
) -> Leaving:
    async with wiring.store() as store:
        model = (await store.snapshot()).model
        if before is Decommission.NONE:
            _require_staying(model, org, yes=yes)
        else:
            _require_leaving(model, org)
        await leaving.request(store, store, by(), org)
        return await _awaited(store, org, within_s if wiring.pid_file.running() is not None else 0.0)


def _require_staying(model: Model, org: str, *, yes: bool) -> None:
    """Raises: UnknownEntity, Conflict, IllegalTransition (it leaves already), InvalidField (is it meant?)."""
    found = leaving.require_may_leave(model, org)
    if found.decommission in (Decommission.PENDING, Decommission.FAILED):
        raise IllegalTransition(
            f"{found.name} is being decommissioned already: 'wirechief decommission status {org}' says what "
            f"is left, 'wirechief decommission resume {org}' tries it again."
        )
    if not yes and found.decommission is Decommission.NONE:
        raise InvalidField(
            "--yes",
            f"is needed: {in_words(left_of(model, org))} of {found.name} would be taken back, and nothing "
            "brings them back",
        )


def _require_leaving(model: Model, org: str) -> None:
    """Raises: UnknownEntity, IllegalTransition."""
    found = require_organisation(model, org)
    if found.decommission is Decommission.NONE:
        raise IllegalTransition(
            f"{found.name} is not being decommissioned: 'wirechief decommission start {org}' begins it."
        )


async def _awaited(store: SqlStore, org: str, within_s: float) -> Leaving:
    deadline = time.monotonic() + within_s
    while True:
        found = await leaving.standing(store, store, org)
        if found.status is not Decommission.PENDING or time.monotonic() > deadline:
            return found
        await asyncio.sleep(_LOOK_AGAIN_S)


def _show(org: str, found: Leaving, as_json: bool) -> None:
    if as_json:
        print_json(_as_dict(found))
        return
    task = f"{found.task.id}: 'wirechief task show {found.task.id}' has its steps" if found.task else "none"
    facts(
        f"decommission of {org}", {"status": found.status.value, "left": in_words(found.left), "task": task}
    )
    say(found.sentence)


def _as_dict(found: Leaving) -> dict[str, Any]:
    """As the API answers it."""
    task = found.task.id if found.task is not None else None
    return {"status": found.status.value, "sentence": found.sentence, "left": found.left, "task": task}

"""Bring a node to hold a set of artefacts, through the product's own plan and executor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from control_plane.apply.executor import Executor
from control_plane.apply.holdings import Holdings, read_holdings
from control_plane.plan.changes import diff
from control_plane.plan.plan import make_plan
from control_plane.ports import NodeLink
from control_plane.render.artefacts import ArtefactKey


async def push(link: NodeLink, desired: Mapping[ArtefactKey, str], files: Iterable[str]) -> None:
    """Plan against what the node holds now, apply, and require that every step is done."""
    held: Holdings = await read_holdings(link, files)
    observed = {key: held.get(key) or "" for key in held.keys()}  # noqa: SIM118 - not a mapping
    plan = make_plan("lab", 0, diff(desired, {}, observed))

    async def no_ledger(_module: str, _owed: bool) -> None:
        """The tests plan from a fresh reading every time, so nothing has to be remembered."""

    applied = await Executor(link, no_ledger).run(plan)
    assert applied.ok, applied.problems()

"""A plan: the steps for one node, frozen, with a digest that tells whether it is still the same plan."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from control_plane.plan.changes import Change, Drift
from control_plane.plan.steps import Step, order
from control_plane.plan.wording import diff_lines
from control_plane.render.artefacts import ArtefactKey, Unit
from control_plane.render.packed import DIGEST_CHARS, digest

HANDSETS = "handsets"
"""Names the published store where nodes have their names: in plans and in the record of what was pushed."""
MASS_REMOVAL_MIN = 50
"""Fewer foreign artefacts than this are somebody's edit, and go as any drift does."""


@dataclass(frozen=True)
class Plan:
    """Ordered steps that bring `node` to the desired state as of `revision`."""

    node: str
    revision: int
    steps: tuple[Step, ...]

    @property
    def is_empty(self) -> bool:
        return not self.steps

    @cached_property
    def digest(self) -> str:
        """Equal for two plans that do the same to the same state of Asterisk."""
        running = hashlib.sha256(self.node.encode())
        for step in self.steps:
            before, after = (digest(v) if v is not None else "-" for v in (step.before, step.after))
            running.update(f"\0{step.op}\0{step.key}\0{before}\0{after}".encode())
        return running.hexdigest()[:DIGEST_CHARS]

    @property
    def touches_calls(self) -> bool:
        return any(step.touches_calls for step in self.steps)

    @property
    def drift(self) -> tuple[str, ...]:
        """Why each of the steps that no change of the model asks for is there."""
        return tuple(step.reason for step in self.steps if step.drift is not Drift.MODEL_MOVED)

    def counts(self) -> Mapping[str, int]:
        """How many steps of each kind."""
        return Counter(step.op.value for step in self.steps)

    def as_dict(self, steps_shown: int | None = None) -> dict[str, object]:
        """For JSON and people; secrets are masked. `counts` counts all steps; None shows all of them too."""
        return {
            "node": self.node,
            "revision": self.revision,
            "digest": self.digest,
            "touches_calls": self.touches_calls,
            "counts": dict(self.counts()),
            "steps": [step_as_dict(step) for step in self.steps[:steps_shown]],
        }


def step_as_dict(step: Step) -> dict[str, object]:
    """One step for JSON and people; secrets are masked."""
    return {
        "op": step.op.value,
        "artefact": str(step.key),
        "reason": step.reason,
        "drift": step.drift.value,
        "unit": str(step.unit) if step.unit is not None else None,
        "secret": step.secret,
        "touches_calls": step.touches_calls,
        "diff": list(diff_lines(step.key, step.before, step.after)) if step.module is None else [],
    }


def without_mass_removal(plan: Plan, held: int) -> tuple[Plan, int]:
    """`plan` as it may run unasked on a node that holds `held` artefacts, and how many removals it omits.

    When the model knows nothing of most of what Asterisk holds, the model is more likely to be the wrong one
    (an empty or restored database) than Asterisk; such removals wait until somebody applies the plan.
    """
    foreign = sum(step.drift is Drift.FOREIGN for step in plan.steps)
    if foreign < MASS_REMOVAL_MIN or foreign * 2 <= held:
        return plan, 0
    kept = tuple(step for step in plan.steps if step.drift is not Drift.FOREIGN)
    return Plan(plan.node, plan.revision, kept), foreign


def make_plan(
    node: str,
    revision: int,
    changes: Iterable[Change],
    units: Mapping[ArtefactKey, Unit] | None = None,
    reloads_owed: frozenset[str] = frozenset(),
) -> Plan:
    """The plan of these changes."""
    return Plan(node, revision, order(changes, units, reloads_owed))

"""What became of a plan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from control_plane.plan.plan import Plan
from control_plane.plan.steps import Step

PROBLEMS_TOLD = 3


class Outcome(StrEnum):
    """What became of one step."""

    DONE = "done"  # Asterisk holds it, read back
    FAILED = "failed"  # Asterisk refused, or holds something else
    UNKNOWN = "unknown"  # sent, and neither answered nor readable: the next audit tells
    SKIPPED = "skipped"  # not sent
    DEFERRED = "deferred"  # a reload that waits for more of its kind


class StepResult(NamedTuple):
    """One step and what became of it; `why` is a sentence when it is not done."""

    step: Step
    outcome: Outcome
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Applied:
    """A plan that was run. `error` is why it ended early, if it did."""

    plan: Plan
    results: tuple[StepResult, ...]
    error: str | None = None
    took_s: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether Asterisk now holds everything the plan was to bring."""
        fine = (Outcome.DONE, Outcome.DEFERRED)
        return self.error is None and all(result.outcome in fine for result in self.results)

    def counts(self) -> Mapping[str, int]:
        """How many steps had which outcome."""
        return Counter(result.outcome.value for result in self.results)

    @property
    def complaint(self) -> str | None:
        """Why it did not end well, as a sentence; None: it did."""
        return None if self.ok else self.error or "; ".join(self.problems()[:PROBLEMS_TOLD])

    def problems(self) -> tuple[str, ...]:
        """One sentence per step that is not done, without secrets."""
        return tuple(
            f"{result.step.op} {result.step.key}: {result.outcome}{f' ({result.why})' if result.why else ''}"
            for result in self.results
            if result.outcome not in (Outcome.DONE, Outcome.DEFERRED)
        )

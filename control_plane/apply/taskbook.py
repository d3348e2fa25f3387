"""How the push tasks of one node stand, told from what is pushed and seen; written when there is time.

A task is not a queue entry: the push follows the model whatever this book says. Losing it costs nothing, as
the next control plane takes up what the store holds open, and it is done once Asterisk holds everything.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice

from control_plane.apply.outcome import Applied, Outcome, StepResult
from control_plane.plan.plan import Plan, step_as_dict
from control_plane.plan.steps import DIALPLAN_MODULE, VOICEMAIL_MODULE
from control_plane.plan.tasks import STEPS_KEPT, Progress, TaskState
from control_plane.ports import Clock
from control_plane.render.artefacts import ArtefactKey, Holder, Unit

FLUSH_MAX = 500
"""Outcomes written in one transaction."""

PROBLEMS_TOLD = 3

_MODULE_OF = {Holder.MAILBOX: VOICEMAIL_MODULE, Holder.FILE: DIALPLAN_MODULE}
_FINE = (Outcome.DONE, Outcome.DEFERRED)


@dataclass(slots=True)
class _Open:
    """One task under way. `keys` None: it is done when nothing at all is left to push."""

    keys: frozenset[ArtefactKey] | None
    units: frozenset[Unit]
    modules: frozenset[str]
    progress: Progress
    results: dict[ArtefactKey, StepResult] = field(default_factory=dict)
    run_error: str | None = None

    def told(self, *, steps: bool) -> Progress:
        """How it stands."""
        done = sum(result.outcome in _FINE for result in self.results.values())
        shown: tuple[Mapping[str, object], ...] = ()
        if steps:
            # What went wrong is shown first, as only so many are kept.
            ordered = sorted(self.results.values(), key=lambda result: result.outcome in _FINE)
            shown = tuple(_as_dict(result) for result in ordered[:STEPS_KEPT])
        total = max(len(self.results), len(self.keys or ()))
        if self.progress.state is TaskState.DONE:
            done = total  # what a try could not verify, an audit may have found there
        return replace(self.progress, steps_total=total, steps_done=done, steps=shown)

    def problem(self) -> str | None:
        """Why it did not succeed at the last try, as a sentence; None when nothing was wrong."""
        wrong = [result for result in self.results.values() if result.outcome not in _FINE]
        named = (f"{r.step.op} {r.step.key}: {r.why or r.outcome}" for r in wrong[:PROBLEMS_TOLD])
        return self.run_error or "; ".join(named) or None


def _as_dict(result: StepResult) -> dict[str, object]:
    return {**step_as_dict(result.step), "outcome": result.outcome.value, "why": result.why}


@dataclass(frozen=True, slots=True)
class Standing:
    """What is still between the node and the model: this decides whether a task is done."""

    unsettled: Collection[ArtefactKey]
    reloads_owed: Collection[str]
    faults: Mapping[Unit, str]

    def holds_up(self, task: _Open) -> bool:
        """Whether something of the task is not in Asterisk yet."""
        if task.keys is None:
            return bool(self.unsettled or self.reloads_owed)
        return any(key in self.unsettled for key in task.keys) or not task.modules.isdisjoint(
            self.reloads_owed
        )


class TaskBook:
    """The open tasks of one node."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open: dict[int, _Open] = {}
        self._trying: list[_Open] = []
        self._unwritten: dict[int, Callable[[], Progress]] = {}  # steps are put in words when there is time

    @property
    def pending(self) -> bool:
        """Whether outcomes wait to be written."""
        return bool(self._unwritten)

    def live(self) -> dict[int, Progress]:
        """Revision -> how its push stands, without its steps, where the store may not know it yet."""
        found = {revision: replace(make(), steps=()) for revision, make in self._unwritten.items()}
        found.update((revision, task.told(steps=False)) for revision, task in self._open.items())
        return found

    def one(self, revision: int) -> Progress | None:
        """How the push of one revision stands, with its steps; None: the store knows."""
        task = self._open.get(revision)
        if task is not None:
            return task.told(steps=True)
        make = self._unwritten.get(revision)
        return make() if make is not None else None

    def resume(self, tasks: Mapping[int, Progress]) -> None:
        """Take up what the store holds open."""
        for revision, progress in tasks.items():
            if revision not in self._open and revision not in self._unwritten:
                self._open[revision] = _Open(None, frozenset(), frozenset(), progress)

    def take(
        self,
        revisions: Mapping[int, frozenset[Unit]],
        changed: frozenset[ArtefactKey],
        keys_of: Callable[[Unit], Iterable[ArtefactKey]],
    ) -> None:
        """New revisions were rendered: these units, of which these keys changed."""
        if len(revisions) == 1:
            ((revision, units),) = revisions.items()
            self._add(revision, units, changed)
            return
        kept = {unit: changed.intersection(keys_of(unit)) for units in revisions.values() for unit in units}
        # Keys of what is gone: whose they were is no longer known, so all of these wait for them.
        gone = changed.difference(*kept.values())
        for revision, units in revisions.items():
            self._add(revision, units, gone.union(*(kept[unit] for unit in units)))

    def _add(self, revision: int, units: frozenset[Unit], keys: frozenset[ArtefactKey]) -> None:
        if units:
            modules = frozenset(_MODULE_OF[key.holder] for key in keys if key.holder in _MODULE_OF)
            self._open[revision] = _Open(keys, units, modules, Progress())

    def begin(self, plan: Plan) -> None:
        """This plan is about to run."""
        self._trying = []
        if not self._open:
            return
        keyed = any(task.keys is not None for task in self._open.values())
        keys = {step.key for step in plan.steps} if keyed else set()
        modules = {step.module for step in plan.steps if step.module is not None}
        now = self._clock.now()
        for task in self._open.values():
            mine = task.keys is None or not keys.isdisjoint(task.keys) or not modules.isdisjoint(task.modules)
            if mine:
                task.results = {k: r for k, r in task.results.items() if r.outcome in _FINE}
                task.progress = replace(
                    task.progress,
                    state=TaskState.RUNNING,
                    started=task.progress.started or now,
                    attempts=task.progress.attempts + 1,
                )
                self._trying.append(task)

    def note(self, applied: Applied) -> None:
        """The plan was run."""
        trying, self._trying = self._trying, []
        for task in trying:
            task.run_error = applied.error
        whole = [task for task in trying if task.keys is None]
        owners: dict[ArtefactKey, list[_Open]] = {}
        for task in trying:
            for key in task.keys or ():
                owners.setdefault(key, []).append(task)
        for result in applied.results:
            module = result.step.module
            if module is not None:
                found = [task for task in trying if task.keys is None or module in task.modules]
            else:
                found = [*owners.get(result.step.key, ()), *whole]
            for task in found:
                task.results[result.step.key] = result

    def settle(self, standing: Standing) -> None:
        """Close what Asterisk holds now, and tell what failed."""
        now = self._clock.now() if self._open else None
        for revision, task in list(self._open.items()):
            fault = next((standing.faults[unit] for unit in task.units if unit in standing.faults), None)
            if fault is None and not standing.holds_up(task):
                task.progress = replace(
                    task.progress,
                    state=TaskState.DONE,
                    started=task.progress.started or now,
                    finished=now,
                    error=None,
                )
                del self._open[revision]
                self._unwritten[revision] = partial(task.told, steps=True)
                continue
            problem = fault or task.problem()
            tried = task.progress.state is TaskState.RUNNING
            if problem is not None and (tried or task.progress.error != fault):
                task.progress = replace(task.progress, state=TaskState.FAILED, finished=now, error=problem)
                self._unwritten[revision] = partial(task.told, steps=True)

    def unwritten(self) -> dict[int, Callable[[], Progress]]:
        """Outcomes to write now, the oldest first; `written` takes them off."""
        return dict(islice(self._unwritten.items(), FLUSH_MAX))

    def written(self, outcomes: Mapping[int, Callable[[], Progress]]) -> None:
        """These are in the store."""
        for revision, make in outcomes.items():
            if self._unwritten.get(revision) is make:
                del self._unwritten[revision]

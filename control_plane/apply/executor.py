"""Runs a plan on one node: batch by batch in the plan's order, then reads back what it wrote.

An acknowledgement is no evidence (ASTERISK.md section 13 of the notes this follows: `Reload` acknowledges a
queued request, AstDB commits later), so a step is done only when Asterisk was asked and holds the value.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from control_plane.apply.holdings import content_of, text_of
from control_plane.apply.mailboxes import NO_PINS, edit_file, read_mailboxes
from control_plane.apply.outcome import Applied, Outcome, StepResult
from control_plane.errors import AsteriskError, OutcomeUnknown, Rejected, UnsafeValue
from control_plane.plan.plan import Plan
from control_plane.plan.steps import DIALPLAN_MODULE, VOICEMAIL_MODULE, Op, Step, family_of
from control_plane.ports import NodeLink, PhonePins
from control_plane.render.artefacts import Holder, Unit
from control_plane.render.mailboxes import place_of

READ_SINGLY_MAX = 64
"""Up to so many rows are read back one by one; above, whole families are (0.2 s for 30 000 rows)."""

MarkReload = Callable[[str, bool], Awaitable[None]]
"""Remembers durably, before its file is touched, that a module owes a reload; False: it was reloaded.

A push cut between file and reload leaves a file that equals the desired one, so only this tells."""


class Executor:
    """Runs plans on one node, one at a time."""

    def __init__(self, link: NodeLink, mark_reload: MarkReload, pins: PhonePins = NO_PINS) -> None:
        self._link = link
        self._mark_reload = mark_reload
        self._pins = pins

    async def run(self, plan: Plan, *, defer: frozenset[str] = frozenset()) -> Applied:
        """Run `plan` and verify it. Never raises for what Asterisk does: the outcome says it.

        Reloads of the modules in `defer` are left owed, for the caller to do once for several plans.
        """
        clock = asyncio.get_running_loop().time
        started = clock()
        run = _Run(self._link, self._mark_reload, self._pins, defer)
        error: AsteriskError | None = None
        try:
            for batch in _batches(plan.steps):
                await run.batch(batch)
        except AsteriskError as exc:
            error = exc
        try:
            await run.verify()
        except AsteriskError as exc:
            error = error or exc
        results = tuple(run.result(step) for step in plan.steps)
        return Applied(plan, results, str(error) if error is not None else None, clock() - started)


def _batches(steps: Iterable[Step]) -> Iterator[list[Step]]:
    for _, batch in groupby(steps, key=lambda step: (step.phase, step.op)):
        yield list(batch)


class _Run:
    """One run: what was sent, what was refused, what was seen."""

    def __init__(
        self, link: NodeLink, mark_reload: MarkReload, pins: PhonePins, defer: frozenset[str]
    ) -> None:
        self._link = link
        self._mark_reload = mark_reload
        self._pins = pins
        self._defer = defer
        self._sent: dict[int, Step] = {}  # by identity: hashing a step would hash its values
        self._results: dict[int, StepResult] = {}
        self._failed_units: set[Unit] = set()
        self._owed: set[str] = set()

    def result(self, step: Step) -> StepResult:
        return self._results.get(id(step)) or StepResult(step, Outcome.SKIPPED, "an earlier step failed")

    async def batch(self, steps: list[Step]) -> None:
        """Send one batch.

        Raises:
            Unreachable, OutcomeUnknown: the run ends here.
        """
        # What refers to something that was refused would be a row that dials nothing.
        if self._failed_units:
            steps = [step for step in steps if step.unit is None or step.unit not in self._failed_units]
        match steps[0].op if steps else None:
            case Op.PUT:
                await self._bisect(steps, self._put)
            case Op.DELETE:
                await self._bisect(steps, self._delete)
            case Op.WRITE_FILE:
                for step in steps:
                    await self._write_file(step)
            case Op.EDIT_MAILBOX:
                await self._edit_mailboxes(steps)
            case Op.RELOAD:
                for step in steps:
                    await self._reload(step)

    async def _put(self, steps: Sequence[Step]) -> None:
        await self._link.put_rows((step.key.name, step.after or "") for step in steps)

    async def _delete(self, steps: Sequence[Step]) -> None:
        await self._link.delete_rows(step.key.name for step in steps)

    async def _bisect(self, steps: list[Step], send: Callable[[Sequence[Step]], Awaitable[None]]) -> None:
        """Send all; on a refusal halve until the refused rows stand alone, so that one does not stop others.

        A refusal is an answer: sending the other rows again repeats nothing that could be unknown.
        """
        if not steps:
            return
        try:
            await send(steps)
        except (Rejected, UnsafeValue) as exc:
            if len(steps) == 1:
                self._fail(steps[0], str(exc))
                return
            middle = len(steps) // 2
            await self._bisect(steps[:middle], send)
            await self._bisect(steps[middle:], send)
        except OutcomeUnknown:
            self._note_sent(steps)
            raise
        else:
            self._note_sent(steps)

    async def _write_file(self, step: Step) -> None:
        await self._owe(DIALPLAN_MODULE)
        name = step.key.name
        try:
            await self._link.write_config(name, content_of(step.after or ""))
            held = await self._link.read_config(name)
        except OutcomeUnknown:
            self._note_sent([step])
            raise
        except (Rejected, UnsafeValue, ValueError) as exc:
            self._fail(step, str(exc))
            return
        if text_of(held or {}) == (step.after or ""):
            self._done(step)
        else:
            self._fail(step, f"{name} reads back differently from what was written")

    async def _edit_mailboxes(self, steps: list[Step]) -> None:
        await self._owe(VOICEMAIL_MODULE)
        held = await read_mailboxes(self._link, self._pins, [step.key.name for step in steps])
        values = held.values()
        fresh: dict[str, Step] = {}
        for step in steps:
            # A PIN may have been chosen by phone since the plan was made, and must reach the model first.
            if values.get(step.key.name) == step.before:
                fresh[step.key.name] = step
            else:
                self._fail(step, "Asterisk changed it meanwhile")

        async def edit(of_one_file: Sequence[Step]) -> None:
            await edit_file(self._link, held, {step.key.name: step.after for step in of_one_file})

        for _, of_one_file in groupby(sorted(fresh.values(), key=_file), key=_file):
            await self._bisect(list(of_one_file), edit)
        # Only now: a PIN that is gone before its mailbox has the new one would let the older one in.
        edited = [name for name, step in fresh.items() if id(step) in self._sent]
        await self._pins.remove_pins([name for name in edited if name in held.pins])

    async def _reload(self, step: Step) -> None:
        module = step.module or ""
        if module in self._defer:
            self._results[id(step)] = StepResult(step, Outcome.DEFERRED)
            return
        if any(r.outcome is Outcome.FAILED and r.step.op is Op.WRITE_FILE for r in self._results.values()):
            return  # an unfinished dialplan must not come into force
        try:
            await self._link.reload(module)
        except OutcomeUnknown as exc:
            self._results[id(step)] = StepResult(step, Outcome.UNKNOWN, str(exc))
            raise
        except Rejected as exc:
            self._fail(step, str(exc))
            return
        self._done(step)
        await self._mark_reload(module, False)
        self._owed.discard(module)

    async def _owe(self, module: str) -> None:
        if module not in self._owed:
            self._owed.add(module)
            await self._mark_reload(module, True)

    def _note_sent(self, steps: Iterable[Step]) -> None:
        self._sent.update((id(step), step) for step in steps)

    def _done(self, step: Step) -> None:
        self._results[id(step)] = StepResult(step, Outcome.DONE)

    def _fail(self, step: Step, why: str) -> None:
        self._results[id(step)] = StepResult(step, Outcome.FAILED, why)
        if step.unit is not None:
            self._failed_units.add(step.unit)

    async def verify(self) -> None:
        """Read back everything sent and settle its outcome.

        Raises:
            AsteriskError: it cannot be read; the outcome of what was sent stays unknown.
        """
        steps = list(self._sent.values())
        try:
            held = await self._read_back(steps)
        except AsteriskError:
            for step in steps:
                self._results[id(step)] = StepResult(step, Outcome.UNKNOWN, "it could not be read back")
            raise
        for step in steps:
            holder, name = step.key
            if held[holder].get(name) == step.after:
                self._done(step)
            else:
                self._fail(step, "Asterisk does not hold it as it was sent")

    async def _read_back(self, steps: Iterable[Step]) -> Mapping[Holder, Mapping[str, str | None]]:
        names: dict[Holder, list[str]] = {holder: [] for holder in Holder}
        for step in steps:
            holder, name = step.key
            names[holder].append(name)
        return {
            Holder.ROW: await self._read_rows(names[Holder.ROW]),
            Holder.MAILBOX: await self._read_mailboxes(names[Holder.MAILBOX]),
            Holder.FILE: await self._read_files(names[Holder.FILE]),
        }

    async def _read_rows(self, names: Sequence[str]) -> Mapping[str, str | None]:
        if len(names) <= READ_SINGLY_MAX:
            values = await asyncio.gather(*(self._link.read_row(name) for name in names))
            return dict(zip(names, values, strict=True))
        held: dict[str, str | None] = {}
        for family in sorted({family_of(name) for name in names}):
            held.update(await self._link.read_rows(family))
        return held

    async def _read_mailboxes(self, names: Collection[str]) -> Mapping[str, str]:
        return (await read_mailboxes(self._link, self._pins, names)).values() if names else {}

    async def _read_files(self, names: Iterable[str]) -> Mapping[str, str]:
        return {name: text_of(await self._link.read_config(name) or {}) for name in names}


def _file(step: Step) -> str:
    return place_of(step.key.name).file

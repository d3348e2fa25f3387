"""What one node should hold, what it holds, and what is still between the two.

No I/O: the reconciler reads and writes, this keeps the account. Its cost per change is that of the keys
concerned, whatever the number of extensions.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from control_plane.apply.desired import Desired, Source
from control_plane.apply.holdings import Holdings
from control_plane.apply.outcome import Applied, Outcome
from control_plane.plan.changes import Change, change
from control_plane.plan.plan import Plan, make_plan
from control_plane.render.artefacts import ArtefactKey, Unit, in_order
from control_plane.render.packed import digest

SUPERSEDED_S = 10.0
"""How long a replaced value is remembered; AstDB commits about once a second (Asterisk 22 main/db.c)."""

NONE_OWED: frozenset[str] = frozenset()
_NEVER = (None, 0.0)


class Ledger:
    """The account of one node."""

    def __init__(self, node: str, source: Source | None = None) -> None:
        self.desired = Desired(node) if source is None else Desired(node, source)
        self.mirror = Holdings()
        self.trusted = False
        """Whether the mirror is known to be what Asterisk holds; false until an audit after each connect."""
        self._unsettled: dict[ArtefactKey, str | None] = {}  # key -> digest of what was last pushed
        self._superseded: dict[ArtefactKey, tuple[str, float]] = {}
        self._seen_during_read: dict[ArtefactKey, str | None] | None = None
        self._planned: tuple[frozenset[str], Plan] | None = None  # the last plan while it holds

    @property
    def unsettled(self) -> bool:
        return bool(self._unsettled)

    @property
    def unsettled_keys(self) -> Collection[ArtefactKey]:
        """What is not in Asterisk as the model says; a view, not a copy."""
        return self._unsettled.keys()

    def holds(self, unit: Unit) -> bool:
        """Whether Asterisk was seen to hold all that `unit` renders to."""
        keys = self.desired.keys_of(unit)
        return all(self.mirror.get(key) == self.desired.values.get(key) for key in keys)

    @property
    def removals_unsettled(self) -> bool:
        """Whether Asterisk still holds, or may hold, something that should not be there or not be so."""
        return any(self.mirror.get(key) is not None for key in self._unsettled)

    def begin_read(self) -> None:
        """An audit starts reading: from here on, remember what is verified meanwhile."""
        self._seen_during_read = {}

    def abandon_read(self) -> None:
        self._seen_during_read = None

    def adopt(self, read: Holdings) -> list[ArtefactKey]:
        """Make what an audit read the mirror; returns what differs from the desired state.

        What was pushed and verified while the audit was reading counts more than what it read.
        """
        for key, value in (self._seen_during_read or {}).items():
            read.set(key, value)
        self._seen_during_read = None
        differing = list(self.desired.values.differing(read))
        # The mirror shares its strings with the desired state, so it costs a dictionary and no text.
        self.mirror = self.desired.values.adopt(read)
        self.trusted = True
        return differing

    def await_settlement(self, pushed: Mapping[ArtefactKey, str], keys: Iterable[ArtefactKey]) -> None:
        """What an audit found to differ, with the digests last pushed, replaces what was unsettled."""
        self._unsettled = {key: pushed.get(key) for key in keys}
        self._planned = None

    def touch(self, keys: Iterable[ArtefactKey]) -> Iterator[ArtefactKey]:
        """Take note that the desired value of `keys` may have changed; yields those that agree again."""
        self._planned = None
        for key in keys:
            held = self.mirror.get(key)
            if self.desired.values.get(key) == held:
                self._unsettled.pop(key, None)
                yield key
            elif key not in self._unsettled:
                # The mirror was verified, so what it holds is what was pushed.
                self._unsettled[key] = None if held is None else digest(held)

    def observe(self, key: ArtefactKey, value: str | None) -> None:
        """Asterisk was seen to hold `value` under `key` by something else than a push."""
        pushed = self._unsettled.get(key)
        before = self.mirror.get(key)
        if pushed is None and before is not None:
            pushed = digest(before)
        self._see(key, value)
        if value == self.desired.values.get(key):
            self._unsettled.pop(key, None)
        else:
            self._unsettled[key] = pushed

    def _see(self, key: ArtefactKey, value: str | None) -> None:
        self._planned = None
        self.mirror.set(key, value)
        if self._seen_during_read is not None:
            self._seen_during_read[key] = value

    def plan(self, reloads_owed: frozenset[str] = NONE_OWED) -> Plan:
        """What would settle everything unsettled; kept until something moves, for pages that poll."""
        if self._planned is None or self._planned[0] != reloads_owed:
            self._planned = reloads_owed, self._plan(reloads_owed)
        return self._planned[1]

    def _plan(self, reloads_owed: frozenset[str]) -> Plan:
        changes = list(self._changes())
        if self.desired.is_blind:
            # Better a row too many than the phones of an extension that cannot be rendered just now.
            changes = [change for change in changes if change.after is not None]
        return make_plan(self.desired.node, self.desired.revision, changes, self.desired.owners, reloads_owed)

    def _changes(self) -> Iterator[Change]:
        desired, held = self.desired.values.by_holder, self.mirror.by_holder
        for key in in_order(self._unsettled):
            holder, name = key
            replaced, _ = self._superseded.get(key, _NEVER)
            found = change(
                key, desired[holder].get(name), self._unsettled[key], held[holder].get(name), replaced
            )
            if found is not None:
                yield found

    def settle(self, applied: Applied, now: float) -> Iterator[tuple[ArtefactKey, str | None]]:
        """Book a run; yields what Asterisk was seen to hold. `now` in seconds of any steady clock."""
        for result in applied.results:
            step = result.step
            if result.outcome is not Outcome.DONE or step.module is not None:
                continue
            self._see(step.key, step.after)
            self._unsettled.pop(step.key, None)
            if step.before is not None:
                self._superseded[step.key] = (digest(step.before), now)
            yield step.key, step.after

    def forget_superseded(self, now: float) -> None:
        """Drop replaced values that AstDB has long committed over."""
        self._superseded = {k: v for k, v in self._superseded.items() if now - v[1] < SUPERSEDED_S}

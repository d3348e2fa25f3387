"""Whether a real call did what was explained: the two traces side by side; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest

from control_plane.callpath.explain import Explanation, Step

Pair = tuple[str, str]
Trace = tuple[Pair, ...]

ANSWERED, CANCELLED, FEATURE, MAILBOX = "answered", "cancelled", "feature", "mailbox"
TAKEN_UP = frozenset({ANSWERED, FEATURE, MAILBOX})
"""Outcomes at which Asterisk answers the caller."""
REFUSAL = 300
"""SIP status from which on the caller was not answered (RFC 3261, 21)."""
RACES = frozenset({"leg.ring", "leg.trunk", "leg.forward", "member.ring", "group.ring", "main.forward"})
"""Nodes of legs that ring beside others: the first answer wins, the others are cancelled."""
NOT_PASSED: Pair = ("", "")


@dataclass(frozen=True, slots=True)
class Row:
    """One step of both traces; ("", "") where a trace has no such step."""

    explained: Pair
    real: Pair
    why: str
    equal: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """The caller's way and the way of each forwarded leg, by path."""

    trace: tuple[Row, ...]
    legs: Mapping[str, tuple[Row, ...]]
    differences: tuple[str, ...]

    @property
    def equal(self) -> bool:
        return not self.differences


def compare(
    explained: Explanation, trace: Trace, legs: Mapping[str, Trace], status: int | None = None
) -> Comparison:
    """Both ways of one call, and one sentence for each difference.

    Explain says what each leg would do; of several legs that would answer one does, and that is no
    difference. `status` is the SIP status the caller got: a way can be right up to its last node and the
    call fail behind it.
    """
    own = _rows(explained.trace, trace, races=False)
    said = {leg.path: leg.trace for leg in explained.legs}
    below = {
        path: _rows(said.get(path, ()), legs.get(path, ()), races=True) for path in sorted({*said, *legs})
    }
    found = [*_differences("", own)]
    for path, rows in below.items():
        found.extend(_differences(f"leg {path}: ", rows))
    if _answers(below, real=False) and not _answers(below, real=True):
        found.append("explain says that a forward target answers, and none did")
    if explained.outcome in TAKEN_UP and status is not None and status >= REFUSAL:
        found.append(f"explain says that the caller is answered, and the SIP status was {status}")
    return Comparison(own, below, tuple(found))


def _answers(legs: Mapping[str, tuple[Row, ...]], *, real: bool) -> bool:
    return any((r.real if real else r.explained)[1] == ANSWERED for rows in legs.values() for r in rows)


def _rows(steps: tuple[Step, ...], real: Trace, *, races: bool) -> tuple[Row, ...]:
    rows = []
    for step, seen in zip_longest(steps, real):
        said = (step.node, step.outcome) if step is not None else NOT_PASSED
        found = seen if seen is not None else NOT_PASSED
        equal = said == found or (races and _lost_a_race(said, found))
        rows.append(Row(said, found, step.why if step is not None else "", equal))
    return tuple(rows)


def _lost_a_race(explained: Pair, real: Pair) -> bool:
    return explained[0] == real[0] and real[0] in RACES and (explained[1], real[1]) == (ANSWERED, CANCELLED)


def _differences(prefix: str, rows: tuple[Row, ...]) -> Iterator[str]:
    for number, row in enumerate(rows, start=1):
        if not row.equal:
            yield f"{prefix}step {number}: explained {_shown(row.explained)}, real {_shown(row.real)}"
            return  # what follows differs because of this


def _shown(pair: Pair) -> str:
    return ":".join(pair) if pair != NOT_PASSED else "nothing"

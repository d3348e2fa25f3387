"""What differs between the desired state, what was pushed, and what Asterisk holds: a pure three-way diff.

A value is compared as a whole string: rendering is byte-stable, so equal meaning is equal text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from control_plane.render.artefacts import ArtefactKey
from control_plane.render.packed import digest


class Drift(StrEnum):
    """Why Asterisk and the desired state differ."""

    MODEL_MOVED = "model_moved"  # the desired state changed since the last push
    EDITED = "edited"  # Asterisk holds another value than it was given
    LOST = "lost"  # Asterisk does not hold what it was given
    FOREIGN = "foreign"  # Asterisk holds something that nobody rendered


@dataclass(frozen=True, slots=True)
class Change:
    """One artefact to bring from `before` (what Asterisk holds) to `after` (desired); None is absent.

    Values may be secrets, so they are kept out of `repr`.
    """

    key: ArtefactKey
    before: str | None = field(repr=False)
    after: str | None = field(repr=False)
    drift: Drift


def classify(
    desired: str | None, pushed: str | None, observed: str | None, superseded: str | None = None
) -> Drift | None:
    """The kind of difference of one artefact; None when there is none.

    `pushed` and `superseded` are digests: of the value last verified in Asterisk, and of the one it replaced.
    AstDB commits about once a second (Asterisk 22 main/db.c), so a killed Asterisk comes back with rows of a
    second ago: an observed value equal to the superseded one was not edited by a person, it was lost.
    """
    if desired == observed:
        return None
    if pushed is None and desired is not None:
        return Drift.MODEL_MOVED
    if (digest(desired) if desired is not None else None) != pushed:
        return Drift.MODEL_MOVED
    if observed is None:
        return Drift.LOST
    if superseded is not None and digest(observed) == superseded:
        return Drift.LOST
    return Drift.FOREIGN if desired is None else Drift.EDITED


def diff(
    desired: Mapping[ArtefactKey, str],
    pushed: Mapping[ArtefactKey, str],
    observed: Mapping[ArtefactKey, str],
    superseded: Mapping[ArtefactKey, str] | None = None,
) -> tuple[Change, ...]:
    """Every artefact whose observed value is not the desired one, sorted by key; empty when they agree.

    `pushed` holds digests. `observed` must hold owned artefacts only: all in it that is not desired goes.
    """
    return tuple(_differences(desired, pushed, observed, superseded or {}))


def _differences(
    desired: Mapping[ArtefactKey, str],
    pushed: Mapping[ArtefactKey, str],
    observed: Mapping[ArtefactKey, str],
    superseded: Mapping[ArtefactKey, str],
) -> Iterator[Change]:
    for key in sorted(desired.keys() | observed.keys()):
        wanted, held = desired.get(key), observed.get(key)
        drift = classify(wanted, pushed.get(key), held, superseded.get(key))
        if drift is not None:
            yield Change(key, held, wanted, drift)

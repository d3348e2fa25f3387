"""What differs between the desired state, what was pushed, and what Asterisk holds: a pure three-way diff.

A value is compared as a whole string: rendering is byte-stable, so equal meaning is equal text.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from control_plane.render.artefacts import ArtefactKey, in_order
from control_plane.render.packed import digest


class Drift(StrEnum):
    """Why Asterisk and the desired state differ."""

    MODEL_MOVED = "model_moved"  # the desired state changed since the last push
    EDITED = "edited"  # Asterisk holds another value than it was given
    LOST = "lost"  # Asterisk does not hold what it was given
    FOREIGN = "foreign"  # Asterisk holds something that nobody rendered


class Change(NamedTuple):
    """One artefact to bring from `before` (what Asterisk holds) to `after` (desired); None is absent.

    Values may be secrets, so they are kept out of `repr`.
    """

    key: ArtefactKey
    before: str | None
    after: str | None
    drift: Drift

    def __repr__(self) -> str:
        return f"Change({self.key}, {self.drift})"


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


def change(
    key: ArtefactKey, desired: str | None, pushed: str | None, observed: str | None, superseded: str | None
) -> Change | None:
    """What is to be done about one artefact; None when it is as desired. See `classify`."""
    drift = classify(desired, pushed, observed, superseded)
    return None if drift is None else Change(key, observed, desired, drift)


def diff(
    desired: Mapping[ArtefactKey, str],
    pushed: Mapping[ArtefactKey, str],
    observed: Mapping[ArtefactKey, str],
) -> tuple[Change, ...]:
    """Every artefact whose observed value is not the desired one, sorted by key; empty when they agree.

    `pushed` holds digests. `observed` must hold owned artefacts only: all in it that is not desired goes.
    """
    keys = in_order(desired.keys() | observed.keys())
    found = (change(key, desired.get(key), pushed.get(key), observed.get(key), None) for key in keys)
    return tuple(each for each in found if each is not None)

"""How a node's push stands, as one frozen value for status pages and commands."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from control_plane.apply.outcome import Applied
from control_plane.plan.plan import Plan
from control_plane.ports import LinkState

DRIFT_SHOWN = 50
"""Reasons of drift kept for a status page."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a reconciler behaves; times in seconds."""

    poll_s: float = 0.5
    """How late a change is noticed when nobody nudges (another process wrote it)."""
    audit_s: float = 60.0
    auto_apply: bool = True
    """False: report what differs and change nothing until `apply` is called."""
    backoff_first_s: float = 0.5
    backoff_max_s: float = 30.0
    settle_s: float = 0.3
    """How long voicemail reloads and digests wait for more of their kind."""
    erase_again_s: float = 180.0
    """When what a removed extension left is erased a second time: a greeting and a message take less."""
    devices_s: float = 5.0
    """Least time between two looks at whether Asterisk reads and watches newly written devices."""


class Stage(StrEnum):
    """What the reconciler is doing."""

    WAITING = "waiting"  # for the link
    AUDITING = "auditing"  # before anything is known about the node
    PUSHING = "pushing"
    IDLE = "idle"


@dataclass(frozen=True, slots=True)
class Counts:
    """Since the reconciler started."""

    audits: int = 0
    pushes: int = 0
    steps: int = 0
    errors: int = 0


@dataclass(frozen=True, slots=True)
class ReconcilerState:
    """How a node stands now."""

    node: str
    stage: Stage
    link: LinkState
    in_sync: bool
    """Asterisk was seen to hold everything desired as of `revision`."""
    revision: int
    """The newest revision rendered; -1 before the first."""
    revision_pushed: int
    """The newest revision that Asterisk was seen to hold wholly; -1 before the first."""
    last_error: str | None
    """One sentence, without secrets; None when the last turn went well."""
    pending: Plan | None
    """What is not yet in Asterisk; None when nothing is."""
    last_drift: tuple[str, ...] = ()
    """Reasons of the last drift that was not the model's doing, newest audit only."""
    last_applied: Applied | None = None
    faults: tuple[str, ...] = ()
    """What needs a person: units that cannot be rendered, rows that Asterisk cannot read."""
    last_audit_s: float | None = None
    rows: int = 0
    mailboxes: int = 0
    counts: Counts = field(default_factory=Counts)

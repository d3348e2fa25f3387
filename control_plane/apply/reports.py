"""What was done, and who is blocked, as plain values for JSON and people; secrets are masked."""

from __future__ import annotations

from typing import Any

from control_plane.apply.outcome import Applied
from control_plane.observe.attacks import Block

NOTHING_DONE: dict[str, Any] = {
    "ok": True,
    "steps": 0,
    "counts": {},
    "error": None,
    "problems": [],
    "took_s": 0.0,
    "plan": None,
}


def applied_as_dict(applied: Applied | None) -> dict[str, Any]:
    """A push for JSON and people; None: there was nothing to do."""
    if applied is None:
        return NOTHING_DONE.copy()
    return {
        "ok": applied.ok,
        "steps": len(applied.results),
        "counts": dict(applied.counts()),
        "error": applied.error,
        "problems": list(applied.problems()),
        "took_s": round(applied.took_s, 4),
        "plan": applied.plan.as_dict(),
    }


def block_as_dict(block: Block) -> dict[str, Any]:
    """A block for JSON and people."""
    return {
        "address": block.address,
        "since": block.since.isoformat(),
        "until": block.until.isoformat(),
        "times": block.times,
        "reason": block.reason.value,
    }

"""What was done, and who is blocked, as plain values for JSON and people; secrets are masked."""

from __future__ import annotations

from typing import Any

from control_plane.apply.outcome import Applied
from control_plane.observe.attacks import Block
from control_plane.observe.calls import CallRecord

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


def call_as_dict(record: CallRecord) -> dict[str, object]:
    """A call that ended, for JSON; the call itself first, then its forwarded legs."""
    main = record.main
    parts = (*((main,) if main else ()), *record.legs)
    return {
        "call": record.call,
        "ended": record.ended,
        "outcome": main.outcome if main else "unfinished",
        "parts": [
            {
                "path": part.path,
                "organisation": part.org,
                "caller": part.caller,
                "callee": part.callee,
                "dialled": part.dialled,
                "outcome": part.outcome,
                "code": part.code,
                "trace": [{"node": node, "outcome": outcome} for node, outcome in part.trace],
            }
            for part in parts
        ],
    }

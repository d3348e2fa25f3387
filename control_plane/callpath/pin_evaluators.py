"""The evaluators of the nodes at which somebody identifies himself by PIN."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from control_plane.callpath.running import Verdict
from control_plane.callpath.walk import Walk
from control_plane.domain.extension import Extension
from control_plane.domain.pins import PIN_TRIES, PinCount, PinVerdict, verdict_of_call


def pin_of(w: Walk, extension: Extension) -> Verdict:
    """What giving the PIN of `extension` comes to, by what the caller types."""
    count = PinCount(extension.pin_failures, extension.pin_locked)
    most = w.model.pin_failures_max
    found = verdict_of_call(count, w.now.codes, most)
    match found:
        case PinVerdict.RIGHT:
            why = f"the PIN of extension {extension.key} was given"
        case PinVerdict.WRONG:
            why = f"not given in {PIN_TRIES} tries"
        case PinVerdict.LOCKED if count.locked:
            why = f"it is locked since {most} wrong ones in a row: reset the PIN"
        case PinVerdict.LOCKED:
            why = f"it is wrong for the {most}th time in a row, which locks it"
    return found.value, why


def _there(w: Walk) -> Verdict:
    if w.calling.has_mailbox:
        return "yes", f"extension {w.calling.key} has a voicemail"
    return "no", f"extension {w.calling.key} has no voicemail"


PIN_EVALUATORS: Mapping[str, Callable[[Walk], Verdict]] = {
    "mailbox.there": _there,
    "mailbox.pin": lambda w: pin_of(w, w.calling),
    "mailbox.open": lambda w: ("opened", "the messages are played"),
}

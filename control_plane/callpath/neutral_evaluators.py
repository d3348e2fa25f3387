"""The evaluators of logging in at a handset nobody is logged in at."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from control_plane.callpath.pin_evaluators import pin_of
from control_plane.callpath.running import Verdict
from control_plane.callpath.walk import Walk
from control_plane.domain.features import log_in_codes


def _code(w: Walk) -> Verdict:
    codes = log_in_codes(w.model.feature_codes)
    if w.dialled in codes:
        return "yes", f"{w.dialled} logs in"
    return "no", f"{codes[0]} would log in"


def _who(w: Walk) -> Verdict:
    typed = w.now.logs_in
    if not typed:
        return "unknown", "nobody was named"
    extension = w.find_extension(w.org, typed)
    if extension is None:
        return "unknown", f"{w.org} has no extension {typed}"
    if not w.model.is_active(extension):
        return "unknown", f"the number of extension {typed} is not ACTIVE"
    if extension.site != w.here.id:
        return "unknown", f"extension {typed} is at site {extension.site}, the handset at {w.here.id}"
    w.callee = extension
    return "known", f"extension {typed} of {w.org}"


def _free(w: Walk) -> Verdict:
    if w.here.id in w.model.full_sites:
        return "no", f"all {w.here.provisioning.phone_ids} phone IDs of site {w.here.id} are taken"
    return "yes", f"a phone ID of site {w.here.id} is free"


NEUTRAL_EVALUATORS: Mapping[str, Callable[[Walk], Verdict]] = {
    "neutral.code": _code,
    "neutral.who": _who,
    "neutral.pin": lambda w: pin_of(w, w.called),
    "neutral.free": _free,
    "neutral.log_in": lambda w: ("announced", f"extension {w.called.key} is logged in at this handset"),
}

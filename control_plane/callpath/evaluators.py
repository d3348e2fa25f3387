"""One evaluator per node: (outcome, why) from the model and the circumstances.

What a node means is said twice, here and in its dialplan template; the call tests hold the two together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from control_plane.callpath.graph import LAST_RING_S, MAX_HOPS
from control_plane.callpath.group_evaluators import GROUP_EVALUATORS
from control_plane.callpath.neutral_evaluators import NEUTRAL_EVALUATORS
from control_plane.callpath.pin_evaluators import PIN_EVALUATORS
from control_plane.callpath.running import Verdict, dial_legs, dialled
from control_plane.callpath.walk import Attempt, Walk, given
from control_plane.domain.features import Feature, find
from control_plane.domain.model import ExtensionId, chosen, ring_choice
from control_plane.domain.regions import is_e164


def _emergency(w: Walk) -> Verdict:
    if w.dialled in w.here.emergency_numbers:
        return "yes", f"{w.dialled} is an emergency number in {w.here.region}"
    return "no", f"emergency numbers at {w.here.id} are {', '.join(w.here.emergency_numbers)}"


def _feature(w: Walk) -> Verdict:
    if not w.dialled.startswith("*") and not w.dialled.endswith("#"):
        return "none", "neither starts with * nor ends with #"
    found = find(w.model.feature_codes, w.dialled)
    if found is None:
        return "unknown", f"{w.dialled} is no feature code"
    code, digits = found
    if code.feature is not Feature.FORWARD_ON:
        return code.feature.value, code.says
    return _forward_code(w, digits)


def _forward_code(w: Walk, digits: str) -> Verdict:
    if w.calling.restricted:
        return (
            "forward_refused",
            "authorization code dialing is enabled, so forwarding is not available (A60)",
        )
    if not digits:
        if w.calling.forwarding.targets:
            return "forward_on", "the stored targets are used"
        return "forward_refused", "no target is stored"
    if digits in w.here.emergency_numbers or digits == w.calling.key:
        return "forward_refused", "an emergency number or the own extension cannot be a target"
    inside = w.find_extension(w.org, digits) or w.find_group(w.org, digits)
    if inside or is_e164(w.here.numbering.normalise(digits)):
        return "forward_set", f"calls go to {digits}"
    return "forward_refused", f"{digits} is neither an extension nor a number"


def _is_reception(w: Walk) -> bool:
    return w.dialled in w.model.reception_of(w.org, w.here)


def _reception(w: Walk) -> Verdict:
    w.exempt = _is_reception(w)
    if w.exempt:
        return "yes", f"{w.dialled} is reception: no authorization code is asked"
    return "no", "not a reception number"


def _internal(w: Walk) -> Verdict:
    w.callee = w.find_extension(w.org, w.dialled)
    w.group = w.find_group(w.org, w.dialled)
    if w.callee is None and w.group is not None:
        return "group", f"call group {w.dialled} of {w.org}"
    if w.callee is None:
        return "no", f"{w.org} has no extension or call group {w.dialled}"
    return "yes", f"extension {w.dialled} of {w.org}"


def _neutral_reception(w: Walk) -> Verdict:
    if _is_reception(w):
        return "yes", f"{w.dialled} is reception"
    return "no", "nobody is logged in: emergency numbers and reception can be called, and nothing else"


def _neutral_internal(w: Walk) -> Verdict:
    outcome, why = _internal(w)
    return outcome, why if outcome != "no" else f"{why}: reception outside needs a log-in"


def _authorization(w: Walk) -> Verdict:
    if not w.calling.restricted:
        return "unrestricted", f"extension {w.calling.key} may call outside"
    if w.exempt:
        return "exempt", "calls to reception are never asked for a code"
    occupancy = w.model.occupancies.get((w.org, w.here.id))
    if occupancy is None or occupancy.authorization_code is None:
        return "no_code", f"{w.org} has no authorization code at {w.here.id}, so nobody can give it"
    if any(w.now.codes[:2]):
        return "right", "the right code was given"
    return "wrong", "two entries were not the code"


def _destination(w: Walk) -> Verdict:
    w.number = w.here.numbering.normalise(w.dialled)
    if _is_ours(w, w.number):
        return "own_number", f"{w.number} is one of our numbers"
    if w.number.startswith("+") or w.exempt:
        return "outside", f"{w.number} is outside"
    return "unknown", f"{w.dialled} is neither an extension nor a number in {w.here.region} notation"


def _did(w: Walk, e164: str) -> ExtensionId | None:
    number = w.model.numbers.get(e164)
    if number is None or number.org is None or number.extension is None:
        return None
    return number.org, number.extension


def _is_ours(w: Walk, e164: str) -> bool:
    """Whether the number reaches something here: an extension, or as a main number its group features."""
    return _did(w, e164) is not None or w.model.main_number(e164) is not None


def _trunk_of(w: Walk, digits: str) -> Verdict:
    if w.here.trunk is None or w.here.trunk not in w.model.trunks:
        return "unavailable", f"site {w.here.id} has no trunk"
    attempt = w.ring(digits)
    verdict = dialled(w, attempt, None)
    return verdict, f"{digits} through trunk {w.here.trunk}"


def _did_known(w: Walk) -> Verdict:
    if not _is_ours(w, w.number):
        return "no", f"{w.number} is not a number of ours that reaches anything"
    return "yes", f"{w.number} is ours"


def _did_active(w: Walk) -> Verdict:
    number = w.model.numbers[w.number]
    if not number.routes:
        return "no", f"{w.number} is {number.status.value.upper()}"
    if _enter_main(w, w.number):
        return "main", f"{w.number} is the main number of {w.org}"
    owner = _enter_owner(w, w.number)
    return (
        "yes",
        f"{w.number} is {number.status.value.upper()} and belongs to extension {owner[0]}/{owner[1]}",
    )


def _enter_main(w: Walk, e164: str) -> bool:
    """Go on at the main number, if it is one."""
    w.main = w.model.main_number(e164)
    if w.main is None:
        return False
    _enter_org(w, w.main.org)
    return True


def _enter_org(w: Walk, org: str) -> None:
    """Another organisation knows the caller by number only."""
    if org != w.org:
        w.caller_key = None
    w.org = org


def _enter_owner(w: Walk, e164: str) -> ExtensionId:
    """Go on at the extension that has the number."""
    owner = given(_did(w, e164), "a number with an extension")
    _enter_org(w, owner[0])
    w.callee = w.find_extension(*owner)
    return owner


def _active(w: Walk) -> Verdict:
    if w.callee is not None and w.model.is_active(w.callee):
        return "yes", f"extension {w.callee.key} is in service"
    return "no", "the extension's number is not ACTIVE"


def _dnd(w: Walk) -> Verdict:
    if not w.called.dnd:
        return "off", f"extension {w.called.key} takes calls"
    if w.called.dnd_goes_to_voicemail:
        return "voicemail", "do not disturb is on and goes to voicemail"
    return "busy", "do not disturb is on"


def _leg_dnd(w: Walk) -> Verdict:
    if w.called.dnd:
        return "busy", f"extension {w.called.key} does not want to be disturbed: this leg drops out"
    return "off", f"extension {w.called.key} takes calls"


def _forwarding(w: Walk) -> Verdict:
    if w.called.forwarding.enabled and not w.called.restricted:
        return "on", f"extension {w.called.key} forwards its calls"
    return "off", f"extension {w.called.key} does not forward"


def _vip(w: Walk) -> Verdict:
    vips = w.called.forwarding.vip
    if (w.caller_key is not None and w.caller_key in vips) or (w.caller_number in vips):
        w.held = bool(chosen(w.model.devices_of(w.called), w.called.forwarding.vip_ring_devices))
        return "yes", f"{w.caller_key or w.caller_number} is on the VIP list"
    return "no", "the caller is not on the VIP list"


def _forward(w: Walk) -> Verdict:
    targets = w.called.forwarding.targets
    ring_s = None if w.on_leg else w.called.no_answer.ring_timeout_s
    attempt = _forwarded(w, targets, ring_s)
    return dialled(w, attempt, ring_s), f"rings {', '.join(targets)} together"


def _forwarded(w: Walk, targets: tuple[str, ...], ring_s: int | None) -> Attempt:
    extension = w.called
    origin = (extension.org, extension.key)
    return dial_legs(w, targets, origin, ring_s, caller=extension, site=extension.site)


def _devices(w: Walk) -> Verdict:
    extension, devices = w.called, w.model.devices_of(w.called)
    if w.held:
        kinds = ", ".join(extension.forwarding.vip_ring_devices)
        return "held", f"devices rung before forwarding was enabled: {kinds}"
    if not devices:
        return "none", f"extension {extension.key} has no device"
    explicit = ring_choice(extension, devices)
    if explicit or len(devices) == 1:
        return "chosen", ", ".join(d.kind for d in explicit or devices)
    last = w.now.last_used.get(f"{extension.org}/{extension.key}")
    if any(d.id == last for d in devices):
        return "last_used", "the device used last"
    return "default", f"no device used yet: {devices[0].kind}"


def _busy(w: Walk) -> Verdict:
    if w.called.rings_waiting_calls:
        return "free", "call waiting is on"
    name = f"{w.called.org}/{w.called.key}"
    if name == w.origin:
        return "busy", "it is making this very call, and call waiting is off"
    if name in w.now.in_call:
        return "busy", "in a call, and call waiting is off"
    return "free", "not in a call"


def _ring(w: Walk) -> Verdict:
    attempt = w.ring(f"{w.called.org}/{w.called.key}")
    what = dialled(w, attempt, None if w.on_leg else w.called.no_answer.ring_timeout_s)
    return what, f"extension {w.called.key} rings for at most {w.called.no_answer.ring_timeout_s} s"


def _no_answer(w: Walk) -> Verdict:
    action = w.called.no_answer.action
    return action.value, f"no-answer action of extension {w.called.key}"


def _no_answer_forward(w: Walk) -> Verdict:
    number = w.called.no_answer.number or ""  # the action 'forward' has one, by its own rule
    attempt = _forwarded(w, (number,), LAST_RING_S)
    return dialled(w, attempt, LAST_RING_S), f"forwards to {number}"


def _hops(w: Walk) -> Verdict:
    if w.hops > MAX_HOPS:
        return "exceeded", f"forwarded {w.hops} times; {MAX_HOPS} are allowed"
    return "ok", f"forwarding {w.hops} of {MAX_HOPS}"


def _leg_target(w: Walk) -> Verdict:
    w.callee = w.find_extension(w.org, w.dialled)
    if w.callee is not None:
        return "extension", f"extension {w.dialled} of {w.org}"
    w.group = w.find_group(w.org, w.dialled)
    if w.group is not None:
        return "group", f"call group {w.dialled} of {w.org}"
    if not _is_ours(w, w.dialled):
        if not w.dialled.startswith("+"):
            return "unknown", f"{w.dialled} is neither an extension nor a number"
        return "outside", f"{w.dialled} is outside"
    if not w.model.numbers[w.dialled].routes:
        return "inactive_number", f"{w.dialled} is not ACTIVE"
    if _enter_main(w, w.dialled):
        return "main", f"{w.dialled} is the main number of {w.org}"
    owner = _enter_owner(w, w.dialled)
    return "own_number", f"{w.dialled} belongs to extension {owner[0]}/{owner[1]}"


EVALUATORS: Mapping[str, Callable[[Walk], Verdict]] = {
    "out.emergency": _emergency,
    "out.emergency_trunk": lambda w: _trunk_of(w, w.dialled),
    "out.feature": _feature,
    "out.reception": _reception,
    "out.internal": _internal,
    "out.authorization": _authorization,
    "out.destination": _destination,
    "out.trunk": lambda w: _trunk_of(w, w.number),
    "neutral.emergency": _emergency,
    "neutral.emergency_trunk": lambda w: _trunk_of(w, w.dialled),
    "neutral.reception": _neutral_reception,
    "neutral.internal": _neutral_internal,
    "did.known": _did_known,
    "did.active": _did_active,
    "in.active": _active,
    "in.dnd": _dnd,
    "in.forwarding": _forwarding,
    "in.vip": _vip,
    "in.forward": _forward,
    "in.devices": _devices,
    "in.busy": _busy,
    "in.ring": _ring,
    "in.no_answer": _no_answer,
    "in.no_answer_forward": _no_answer_forward,
    "leg.hops": _hops,
    "leg.target": _leg_target,
    "leg.active": _active,
    "leg.dnd": _leg_dnd,
    "leg.forwarding": _forwarding,
    "leg.vip": _vip,
    "leg.forward": _forward,
    "leg.devices": _devices,
    "leg.busy": _busy,
    "leg.ring": _ring,
    "leg.trunk": lambda w: _trunk_of(w, w.dialled),
    **GROUP_EVALUATORS,
    **PIN_EVALUATORS,
    **NEUTRAL_EVALUATORS,
}

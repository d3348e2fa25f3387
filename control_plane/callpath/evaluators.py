"""One evaluator per node: (outcome, why) from the model and the circumstances.

What a node means is said twice, here and in its dialplan template; the call tests hold the two together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from control_plane.callpath.circumstances import Leg, Step
from control_plane.callpath.graph import (
    ANSWERED,
    BUSY,
    CANCELLED,
    ENTRY,
    GRAPH,
    MAX_HOPS,
    UNAVAILABLE,
    End,
)
from control_plane.callpath.walk import Attempt, Walk, together
from control_plane.domain.features import Feature, find
from control_plane.domain.model import ExtensionId, chosen, ring_choice
from control_plane.domain.regions import is_e164

_AS_ATTEMPT: Mapping[str, Attempt] = {
    ANSWERED.name: Attempt.ANSWERED,
    CANCELLED.name: Attempt.RINGING,
    BUSY.name: Attempt.BUSY,
    UNAVAILABLE.name: Attempt.UNAVAILABLE,
}
Verdict = tuple[str, str]


def _emergency(w: Walk) -> Verdict:
    if w.dialled in w.here.emergency_numbers:
        return "yes", f"{w.dialled} is an emergency number in {w.here.region}"
    return "no", f"emergency numbers at {w.here.id} are {', '.join(w.here.emergency_numbers)}"


def _feature(w: Walk) -> Verdict:
    if not w.dialled.startswith("*"):
        return "none", "does not start with *"
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
    if w.find_extension(w.org, digits) or is_e164(w.here.numbering.normalise(digits)):
        return "forward_set", f"calls go to {digits}"
    return "forward_refused", f"{digits} is neither an extension nor a number"


def _reception(w: Walk) -> Verdict:
    occupancy = w.model.occupancies.get((w.org, w.here.id))
    numbers = w.here.reception + (occupancy.reception if occupancy else ())
    w.exempt = w.dialled in numbers
    if w.exempt:
        return "yes", f"{w.dialled} is reception: no authorization code is asked"
    return "no", "not a reception number"


def _internal(w: Walk) -> Verdict:
    w.callee = w.find_extension(w.org, w.dialled)
    if w.callee is None:
        return "no", f"{w.org} has no extension {w.dialled}"
    return "yes", f"extension {w.dialled} of {w.org}"


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
    if _did(w, w.number) is not None:
        return "own_number", f"{w.number} is one of our numbers"
    if w.number.startswith("+") or w.exempt:
        return "outside", f"{w.number} is outside"
    return "unknown", f"{w.dialled} is neither an extension nor a number in {w.here.region} notation"


def _did(w: Walk, e164: str) -> ExtensionId | None:
    number = w.model.numbers.get(e164)
    if number is None or number.org is None or number.extension is None:
        return None
    return number.org, number.extension


def _trunk_of(w: Walk, digits: str) -> Verdict:
    if w.here.trunk is None or w.here.trunk not in w.model.trunks:
        return "unavailable", f"site {w.here.id} has no trunk"
    attempt = w.ring(digits)
    verdict = _dialled(attempt, patient=True)
    return verdict, f"{digits} through trunk {w.here.trunk}"


def _dialled(attempt: Attempt, *, patient: bool) -> str:
    """The outcome of a dial node; a `patient` caller waits until somebody else ends the ringing."""
    if attempt is Attempt.RINGING:
        return "cancelled" if patient else "no_answer"
    return attempt.value


def _did_known(w: Walk) -> Verdict:
    if _did(w, w.number) is None:
        return "no", f"{w.number} is not a number of ours with an extension"
    return "yes", f"{w.number} is ours"


def _did_active(w: Walk) -> Verdict:
    number = w.model.numbers[w.number]
    if not number.routes:
        return "no", f"{w.number} is {number.status.value.upper()}"
    owner = _enter_owner(w, w.number)
    return (
        "yes",
        f"{w.number} is {number.status.value.upper()} and belongs to extension {owner[0]}/{owner[1]}",
    )


def _enter_owner(w: Walk, e164: str) -> ExtensionId:
    """Go on at the extension that has the number; another organisation knows the caller by number only."""
    owner = _did(w, e164)
    assert owner is not None  # noqa: S101 - asked for numbers that have an extension
    if owner[0] != w.org:
        w.caller_key = None
    w.org = owner[0]
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
    attempt = dial_legs(w, targets)
    return _dialled(attempt, patient=bool(w.path)), f"rings {', '.join(targets)} together"


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
    what = _dialled(attempt, patient=bool(w.path))
    return what, f"extension {w.called.key} rings for at most {w.called.no_answer.ring_timeout_s} s"


def _no_answer(w: Walk) -> Verdict:
    action = w.called.no_answer.action
    return action.value, f"no-answer action of extension {w.called.key}"


def _no_answer_forward(w: Walk) -> Verdict:
    number = w.called.no_answer.number or ""  # the action 'forward' has one, by its own rule
    attempt = dial_legs(w, (number,))
    return _dialled(attempt, patient=False), f"forwards to {number}"


def _hops(w: Walk) -> Verdict:
    if w.hops > MAX_HOPS:
        return "exceeded", f"forwarded {w.hops} times; {MAX_HOPS} are allowed"
    return "ok", f"forwarding {w.hops} of {MAX_HOPS}"


def _leg_target(w: Walk) -> Verdict:
    w.callee = w.find_extension(w.org, w.dialled)
    if w.callee is not None:
        return "extension", f"extension {w.dialled} of {w.org}"
    owner = _did(w, w.dialled)
    if owner is None:
        if not w.dialled.startswith("+"):
            return "unknown", f"{w.dialled} is neither an extension nor a number"
        return "outside", f"{w.dialled} is outside"
    if not w.model.numbers[w.dialled].routes:
        return "inactive_number", f"{w.dialled} is not ACTIVE"
    _enter_owner(w, w.dialled)
    return "own_number", f"{w.dialled} belongs to extension {owner[0]}/{owner[1]}"


def run(walk: Walk, node_id: str) -> End:
    """Walk from `node_id` to an end, leaving a step for every node passed."""
    while True:
        outcome, why = EVALUATORS[node_id](walk)
        walk.trace.append(Step(node_id, outcome, why))
        target = GRAPH[node_id].outcomes[outcome]
        if isinstance(target, End):
            return target
        node_id = target


def dial_legs(w: Walk, targets: tuple[str, ...]) -> Attempt:
    """Ring every target on a leg of its own; what the dialling side sees of them together."""
    extension = w.called
    attempts = []
    for target in targets:
        leg = Walk(
            w.model,
            w.now,
            target,
            origin=w.origin,
            caller=extension,
            site=w.model.sites[extension.site],
            org=extension.org,
            caller_key=w.caller_key,
            caller_number=w.caller_number,
            hops=w.hops + 1,
            path=f"{w.path or extension.key}>{target}",
        )
        end = run(leg, ENTRY["leg"])
        w.legs.append(Leg(leg.path, end.name, tuple(leg.trace)))
        w.legs.extend(leg.legs)
        w.rings.extend(leg.rings)
        w.answered_by.extend(leg.answered_by)
        attempts.append(_AS_ATTEMPT[end.name])
    return together(attempts)


EVALUATORS: Mapping[str, Callable[[Walk], Verdict]] = {
    "out.emergency": _emergency,
    "out.emergency_trunk": lambda w: _trunk_of(w, w.dialled),
    "out.feature": _feature,
    "out.reception": _reception,
    "out.internal": _internal,
    "out.authorization": _authorization,
    "out.destination": _destination,
    "out.trunk": lambda w: _trunk_of(w, w.number),
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
}

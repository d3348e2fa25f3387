"""Evaluators of the nodes of call groups and main numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from control_plane.callpath.graph import LAST_RING_S, MAX_GROUPS
from control_plane.callpath.running import Verdict, dial_legs, dialled
from control_plane.callpath.walk import Attempt, Walk, given
from control_plane.domain.extension import Extension
from control_plane.domain.groups import Destination, DestinationKind, MainNumber, Strategy
from control_plane.domain.model import ring_choice
from control_plane.errors import InvalidField

# --- main numbers


def is_open(main: MainNumber, zone: str, at: datetime) -> tuple[str, str]:
    """ "open", "closed" or "holiday" at a moment, by the clocks of a time zone; and that local time."""
    local = at.astimezone(ZoneInfo(zone))
    shown = f"{local:%a %Y-%m-%d %H:%M} {zone}"
    if local.date().isoformat() in main.holidays:
        return "holiday", shown
    minute = local.hour * 60 + local.minute
    spans = main.open_spans().get(local.isoweekday(), ())
    return ("open" if any(opens <= minute < closes for opens, closes in spans) else "closed"), shown


def _hours(w: Walk) -> Verdict:
    if w.now.at is None:
        raise InvalidField("at", "this call depends on the time: say when it is made")
    main = w.called_main
    state, shown = is_open(main, w.model.sites[main.site].time_zone, w.now.at)
    w.destination = main.in_hours if state == "open" else main.out_of_hours
    w.fallback = main.if_not_answered
    return state, f"it is {shown}; open {', '.join(main.hours) or 'never'}"


def _named(destination: Destination) -> str:
    some = f" ({', '.join(destination.members)})" if destination.members else ""
    return f"{destination.kind.value} {destination.target}{some}"


def _destination(w: Walk) -> Verdict:
    destination = given(w.destination, "a destination")
    named = _named(destination)
    match destination.kind:
        case DestinationKind.GROUP:
            _enter_group(w, destination)
            return "group", named
        case DestinationKind.EXTENSION if w.fallback is None and not w.on_leg:
            w.callee = w.find_extension(w.org, destination.target)
            return "handed", f"{named}, by its own settings"
        case DestinationKind.EXTENSION:
            return "rung", named
        case DestinationKind.NUMBER:
            return "number", named
        case DestinationKind.VOICEMAIL if w.on_leg:
            return "unavailable", "a voicemail does not take part in a forwarding: this leg drops out"
        case DestinationKind.VOICEMAIL:
            return "voicemail", named


def _enter_group(w: Walk, destination: Destination) -> None:
    w.group = w.find_group(w.org, destination.target)
    w.only = destination.members


def _onward(w: Walk, destination: Destination | None, origin: str, site: str, ring_s: int) -> Verdict:
    """Ring an extension or a number that a main number or a group names."""
    named = given(destination, "a destination")
    attempt = dial_legs(w, (named.target,), (w.org, origin), ring_s, site=site)
    w.reason = dialled(w, attempt, ring_s)
    return w.reason, f"rings {_named(named)} for at most {ring_s} s"


def _main_forward(w: Walk) -> Verdict:
    main = w.called_main
    return _onward(w, w.destination, main.e164, main.site, main.ring_timeout_s)


def _main_otherwise(w: Walk) -> Verdict:
    w.destination, w.fallback = w.fallback, None
    return _send_on(w, "main number has no rule for that")


def _main_last(w: Walk) -> Verdict:
    return _onward(w, w.destination, w.called_main.e164, w.called_main.site, LAST_RING_S)


def _send_on(w: Walk, nothing: str) -> Verdict:
    destination = w.destination
    if w.on_leg:
        return w.reason, "this leg drops out"
    if destination is None:
        return w.reason, nothing
    if destination.kind is DestinationKind.GROUP:
        _enter_group(w, destination)
    elif destination.kind is DestinationKind.EXTENSION:
        w.callee = w.find_extension(w.org, destination.target)
    return destination.kind.value, _named(destination)


# --- call groups


def _enter(w: Walk) -> Verdict:
    w.groups += 1
    if w.groups > MAX_GROUPS:
        return "exceeded", f"sent on through {w.groups} call groups; {MAX_GROUPS} are allowed"
    return "ok", f"call group {w.hunting.key}"


def _order(w: Walk) -> Verdict:
    group = w.hunting
    w.queue = w.only or group.members
    w.only = ()
    w.left_s = group.total_ring_s
    w.reason, w.so_far = "", Attempt.UNAVAILABLE.value
    w.destination = group.otherwise
    if not w.queue:
        return "empty", f"call group {group.key} has no members"
    if group.strategy is Strategy.ROUND_ROBIN:
        began = w.now.began_with.get(f"{group.org}/{group.key}")
        after = w.queue.index(began) + 1 if began in w.queue else 0
        w.queue = w.queue[after:] + w.queue[:after]
    elif group.strategy is Strategy.LONGEST_IDLE:
        w.queue = tuple(sorted(w.queue, key=lambda m: w.now.last_call_ended.get(f"{group.org}/{m}", 0)))
    return group.strategy.value, ", ".join(w.queue)


def _turn(w: Walk) -> Verdict:
    if w.reason == "no_answer":
        w.so_far = w.reason
        w.left_s -= w.turn_s
    elif w.reason == "busy" and w.so_far == "unavailable":
        w.so_far = w.reason
    group = w.hunting
    if not w.queue:
        return "over", "nobody is left to ring"
    if w.left_s <= 0:
        return "over", f"it rang for {group.total_ring_s} s"
    w.turn_s = group.ring_timeout_s
    if group.strategy is Strategy.RING_ALL:
        w.turn, w.queue = w.queue, ()
        return "all", f"rings {', '.join(w.turn)} together"
    w.turn_s = min(w.turn_s, w.left_s)
    w.turn, w.queue = w.queue[:1], w.queue[1:]
    return "next", f"rings {w.turn[0]} for {w.turn_s} s"


def _ring(w: Walk) -> Verdict:
    group = w.hunting
    attempt = dial_legs(w, w.turn, (group.org, group.key), w.turn_s, site=group.site, entry="member", hops=0)
    w.reason = dialled(w, attempt, w.turn_s)
    return w.reason, f"members of call group {group.key}"


def _otherwise(w: Walk) -> Verdict:
    w.reason = w.so_far
    if w.fallback is not None and not w.on_leg:
        return "main", "the main number says where to"
    return _send_on(w, f"call group {w.hunting.key} names no other destination")


def _group_forward(w: Walk) -> Verdict:
    return _onward(w, w.destination, w.hunting.key, w.hunting.site, LAST_RING_S)


# --- members


def _member_active(w: Walk) -> Verdict:
    w.callee = w.find_extension(w.org, w.dialled)
    if w.callee is not None and w.model.is_active(w.callee):
        return "yes", f"extension {w.dialled} is in service"
    return "no", f"extension {w.dialled} is not in service"


def _member_dnd(w: Walk) -> Verdict:
    if w.called.dnd:
        return "busy", f"extension {w.called.key} does not want to be disturbed"
    return "off", f"extension {w.called.key} takes calls"


def _member_busy(w: Walk) -> Verdict:
    name = f"{w.called.org}/{w.called.key}"
    if name == w.origin:
        return "busy", "it is making this very call"
    if name in w.now.in_call:
        return "busy", "in a call"
    return "free", "not in a call"


def _member_devices(w: Walk) -> Verdict:
    extension = w.called
    devices = w.model.devices_of(extension)
    candidates = ring_choice(extension, devices) or devices
    if not candidates:
        return "none", f"extension {extension.key} has no device"
    if len(candidates) == 1:
        return "chosen", candidates[0].kind.value
    last = w.now.last_used.get(f"{extension.org}/{extension.key}")
    for device in candidates:
        if device.id == last:
            return "last_used", f"the device used last: {device.kind.value}"
    return "default", f"no device used yet: {candidates[0].kind.value}"


def _member_ring(w: Walk) -> Verdict:
    extension: Extension = w.called
    attempt = w.ring(f"{extension.org}/{extension.key}")
    return dialled(w, attempt, None), f"extension {extension.key} rings until its turn is over"


GROUP_EVALUATORS: Mapping[str, Callable[[Walk], Verdict]] = {
    "main.hours": _hours,
    "main.destination": _destination,
    "main.forward": _main_forward,
    "main.otherwise": _main_otherwise,
    "main.last": _main_last,
    "group.enter": _enter,
    "group.order": _order,
    "group.turn": _turn,
    "group.ring": _ring,
    "group.otherwise": _otherwise,
    "group.forward": _group_forward,
    "member.active": _member_active,
    "member.dnd": _member_dnd,
    "member.busy": _member_busy,
    "member.devices": _member_devices,
    "member.ring": _member_ring,
}

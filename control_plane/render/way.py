"""Which ways through the call path the settings of a called place leave open; pure.

A place is an extension, a call group or a main number. The graph says what can follow a node; here is which
of its outcomes are possible where the model is as it is, and who is called after them. What only the moment
decides (who is busy, who answers, the time) stays open. Legs are not followed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from control_plane.callpath.graph import GRAPH, End
from control_plane.domain.extension import Device, Extension
from control_plane.domain.groups import CallGroup, Destination, DestinationKind, MainNumber, Strategy
from control_plane.domain.model import ExtensionId, Model, chosen, ring_choice

_WEEK_MIN = 7 * 24 * 60
_AS_IT_WAS = ("busy", "no_answer", "unavailable")
"""A call that is sent nowhere else ends as its last attempt did."""


@dataclass(frozen=True, slots=True)
class At:
    """A node, and what is settled on the way to it.

    `main` and `called` name the main number and the extension or group in question, `sent_to` is where the
    main number sends the call at this time, `fallback` whether its rule for unanswered calls still applies,
    `only` the members a destination names.
    """

    node: str
    org: str
    main: str = ""
    called: str = ""
    sent_to: Destination | None = None
    fallback: bool = False
    only: tuple[str, ...] = ()

    @property
    def ident(self) -> ExtensionId:
        return self.org, self.called


def main_of(model: Model, at: At) -> MainNumber:
    """The main number the call came to."""
    return model.main_numbers[at.org, at.main]


def group_of(model: Model, at: At) -> CallGroup:
    """The call group the call is in."""
    return model.call_groups[at.ident]


def members_of(model: Model, at: At) -> tuple[str, ...]:
    """Who of the group is rung."""
    return at.only or group_of(model, at).members


def destination_of(model: Model, at: At) -> Destination | None:
    """Where the node sends the call, if it is one that does."""
    match at.node:
        case "main.destination" | "main.forward":
            return at.sent_to
        case "main.otherwise" | "main.last":
            return main_of(model, at).if_not_answered
        case "group.otherwise" if at.fallback:
            return None
        case "group.otherwise" | "group.forward":
            return group_of(model, at).otherwise
        case _:
            return None


def possible(model: Model, at: At) -> tuple[str, ...]:
    """The outcomes of a node that the settings leave open."""
    context = at.node.split(".")[0]
    if context == "in":
        extension = model.extensions.get(at.ident)
        return ("no",) if extension is None else tuple(_at_extension(model, extension, at.node))
    if context == "group":
        return tuple(_at_group(model, at))
    return tuple(_at_main(model, at))


def ways(model: Model, at: At) -> Iterator[tuple[str, At | End]]:
    """(outcome, what follows) of each possible outcome of a node."""
    for outcome in possible(model, at):
        target = GRAPH[at.node].outcomes[outcome]
        yield outcome, target if isinstance(target, End) else _next(model, at, outcome, target)


def reachable(model: Model, start: At) -> tuple[At, ...]:
    """Every node on a possible way from `start`, in the order it is come to."""
    found = {start: None}
    waiting = [start]
    for at in waiting:  # grows while it is walked
        for _, following in ways(model, at):
            if isinstance(following, At) and following not in found:
                found[following] = None
                waiting.append(following)
    return tuple(found)


def _next(model: Model, at: At, outcome: str, target: str) -> At:
    """What follows an outcome; what nothing asks for any more is forgotten, so that ways meet again."""
    match target:
        case "main.destination":
            main = main_of(model, at)
            sent_to = main.in_hours if outcome == "open" else main.out_of_hours
            return At(target, at.org, at.main, sent_to=sent_to, fallback=main.if_not_answered is not None)
        case "main.otherwise" | "main.last":
            return At(target, at.org, at.main)
        case "in.active" | "group.enter":
            destination = destination_of(model, at)
            called = at.called if destination is None else destination.target
            if target == "in.active":
                return At(target, at.org, called=called)
            # The main number's rule is used up by main.otherwise.
            fallback = at.fallback and at.node == "main.destination"
            only = () if destination is None else destination.members
            main_site = at.main if fallback else ""
            return At(target, at.org, main_site, called, fallback=fallback, only=only)
        case _:
            return replace(at, node=target)


def _at_main(model: Model, at: At) -> Iterable[str]:
    destination = destination_of(model, at)
    match at.node:
        case "did.active":
            number = model.numbers.get(main_of(model, at).e164)
            return ("main",) if number is not None and number.routes else ("no",)
        case "main.hours":
            return _hours(main_of(model, at))
        case "main.destination":
            return (_first_kind(at, destination),)
        case "main.otherwise":
            return _AS_IT_WAS if destination is None else (destination.kind.value,)
        case _:
            return GRAPH[at.node].outcomes


def _hours(main: MainNumber) -> Iterator[str]:
    minutes = {
        day * 24 * 60 + minute
        for day, spans in main.open_spans().items()
        for opens, closes in spans
        for minute in range(opens, closes)
    }
    if minutes:
        yield "open"
    if len(minutes) < _WEEK_MIN:
        yield "closed"
    if main.holidays:
        yield "holiday"


def _first_kind(at: At, destination: Destination | None) -> str:
    """An extension is handed the call, or rung, where the main number has a rule for unanswered calls."""
    if destination is None:
        return "unavailable"
    if destination.kind is DestinationKind.EXTENSION:
        return "rung" if at.fallback else "handed"
    return destination.kind.value


def _at_group(model: Model, at: At) -> Iterable[str]:
    group, empty = group_of(model, at), not members_of(model, at)
    match at.node:
        case "group.enter":
            return ("ok",)  # a model with too many groups in a row is not saved
        case "group.order":
            return ("empty",) if empty else (group.strategy.value,)
        case "group.turn":
            return ("all" if group.strategy is Strategy.RING_ALL else "next", "over")
        case "group.otherwise":
            destination = destination_of(model, at)
            if at.fallback:
                return ("main",)
            if destination is not None:
                return (destination.kind.value,)
            return ("unavailable",) if empty else _AS_IT_WAS
        case _:
            return GRAPH[at.node].outcomes


def _at_extension(model: Model, extension: Extension, node: str) -> Iterable[str]:
    devices = model.devices_of(extension)
    forwarding = extension.forwarding
    match node:
        case "in.active":
            return ("yes",) if model.is_active(extension) else ("no",)
        case "in.dnd":
            return (_dnd(extension),)
        case "in.forwarding":
            return ("on",) if forwarding.enabled and not extension.restricted else ("off",)
        case "in.vip":
            return ("yes", "no") if forwarding.vip else ("no",)
        case "in.devices":
            return _choices(extension, devices)
        case "in.busy":
            return ("free",) if extension.rings_waiting_calls else ("free", "busy")
        case "in.no_answer":
            return (extension.no_answer.action.value,)
        case _:
            return GRAPH[node].outcomes


def _dnd(extension: Extension) -> str:
    if not extension.dnd:
        return "off"
    return "voicemail" if extension.dnd_goes_to_voicemail else "busy"


def _choices(extension: Extension, devices: tuple[Device, ...]) -> Iterator[str]:
    """With forwarding on, only a VIP's call gets here, and it rings the devices held for that."""
    forwarding = extension.forwarding
    forwards = forwarding.enabled and not extension.restricted
    if forwards and chosen(devices, forwarding.vip_ring_devices):
        yield "held"
    elif not devices:
        yield "none"
    elif len(devices) == 1 or ring_choice(extension, devices):
        yield "chosen"
    else:
        yield "last_used"
        yield "default"

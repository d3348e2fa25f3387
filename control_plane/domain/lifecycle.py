"""The life of a number: one table of states and events, and what must hold for each step (R21-R33, A21).

Rules that hold over the table: a number that was in use is offered to nobody before its cooldown is over;
only one organisation has it at a time; it is assigned to a person only while ACTIVE, so it is unassigned
before it is deactivated. The clock and every length of time are arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from control_plane.domain.accounts import Role
from control_plane.domain.entities import NumberStatus, PhoneNumber
from control_plane.errors import IllegalTransition


class State(StrEnum):
    """A status of A21; PENDING once for each way it may lead."""

    AVAILABLE = "available"
    RESERVED = "reserved"
    ACTIVATING = "activating"
    ACTIVE = "active"
    DEACTIVATING = "deactivating"
    COOLDOWN = "cooldown"

    @property
    def status(self) -> NumberStatus:
        """What a person sees."""
        return NumberStatus.PENDING if self in _PENDING_TO else NumberStatus(self.value)

    @property
    def pending_to(self) -> NumberStatus | None:
        return _PENDING_TO.get(self)


_PENDING_TO = {State.ACTIVATING: NumberStatus.ACTIVE, State.DEACTIVATING: NumberStatus.RESERVED}
_PENDING_FROM = {status: state for state, status in _PENDING_TO.items()}


class Event(StrEnum):
    """What can happen to a number."""

    NOMINATE = "nominate"
    WITHDRAW = "withdraw"
    LOCK = "lock"
    UNLOCK = "unlock"
    ALLOCATE = "allocate"
    ACTIVATE = "activate"
    CONFIRM = "confirm"
    LABEL = "label"
    ASSIGN = "assign"
    UNASSIGN = "unassign"
    SOFTPHONE = "softphone"
    RESET_PIN = "reset_pin"
    DEACTIVATE = "deactivate"
    DEALLOCATE = "deallocate"
    DECOMMISSION = "decommission"
    COOLDOWN_END = "cooldown_end"


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a guard looks at besides the number.

    `services_free`: how many more numbers of its organisation may be active at its site (A24); None where
    the event uses none. `main_number`: the organisation's main number at the site, where another is or
    becomes one too.
    """

    now: datetime
    services_free: int | None = None
    main_number: str | None = None


@dataclass(frozen=True, slots=True)
class Guard:
    """A condition of a transition: its name in the diagram, and why it does not hold (None: it does)."""

    name: str
    refusal: Callable[[PhoneNumber, Circumstances], str | None]


def _locked(number: PhoneNumber, _: Circumstances) -> str | None:
    if not number.allocation_lock:
        return None
    return "it is locked and cannot be allocated to a different occupier or operator (R33): unlock it first"


def _cooling(number: PhoneNumber, at: Circumstances) -> str | None:
    if number.cooldown_until is None or number.cooldown_until <= at.now:
        return None
    return f"it was in use and rests until {number.cooldown_until:%Y-%m-%d %H:%M} UTC (A21)"


def _second_main(_: PhoneNumber, at: Circumstances) -> str | None:
    if at.main_number is None:
        return None
    return (
        f"{at.main_number} is the main number already, and there can be one for an organisation at a site "
        "(R8): withdraw its nomination first"
    )


def _reaches_extension(number: PhoneNumber, _: Circumstances) -> str | None:
    if number.extension is None:
        return None
    return (
        f"it reaches extension {number.extension}, and a main number reaches none (A8): take that away first"
    )


def _not_entitled(number: PhoneNumber, at: Circumstances) -> str | None:
    if at.services_free is None or at.services_free > 0:
        return None
    return (
        f"{number.org} has no voice service left at {number.site} (R24): add one, or deactivate another "
        "number first"
    )


def _assigned(number: PhoneNumber, _: Circumstances) -> str | None:
    if number.person is None:
        return None
    return f"it is assigned to {number.person} (R26): unassign it first"


def _unassigned(number: PhoneNumber, _: Circumstances) -> str | None:
    return "it is assigned to nobody: assign it first" if number.person is None else None


def _main(number: PhoneNumber, _: Circumstances) -> str | None:
    if not number.main:
        return None
    return "a main number is inbound only and nobody's own (A8): choose another, or withdraw its nomination"


def _was_active(number: PhoneNumber, _: Circumstances) -> str | None:
    return "it was in use" if number.ever_active else None


def _never_active(number: PhoneNumber, _: Circumstances) -> str | None:
    return None if number.ever_active else "it was never in use"


UNLOCKED = Guard("not locked", _locked)
COOLED = Guard("cooldown over", _cooling)
ONE_MAIN = Guard("no other main number", _second_main)
NO_EXTENSION = Guard("reaches no extension", _reaches_extension)
ENTITLED = Guard("a voice service is free", _not_entitled)
UNASSIGNED = Guard("unassigned", _assigned)
ASSIGNED = Guard("assigned", _unassigned)
NOT_MAIN = Guard("not a main number", _main)
NEVER_ACTIVE = Guard("never active", _was_active)
EVER_ACTIVE = Guard("ever active", _never_active)


@dataclass(frozen=True, slots=True)
class Transition:
    """`event` takes a number from `source` to `target` when every guard holds.

    `by`: who may make it happen (A8, A11); nobody: the control plane alone does.
    """

    event: Event
    source: State
    target: State
    by: frozenset[Role]
    guards: tuple[Guard, ...] = ()


_CARRIER = frozenset({Role.CARRIER, Role.OPERATOR_ADMIN})
_OPERATOR = frozenset({Role.OPERATOR_ADMIN})
_OWNER = frozenset({Role.OPERATOR_ADMIN, Role.OCCUPIER_ADMIN})
_SYSTEM: frozenset[Role] = frozenset()
_S, _E = State, Event

# Where an event has several transitions from one state, the first whose guards hold is taken.
TRANSITIONS: tuple[Transition, ...] = (
    Transition(_E.NOMINATE, _S.AVAILABLE, _S.AVAILABLE, _CARRIER),
    Transition(_E.NOMINATE, _S.RESERVED, _S.RESERVED, _CARRIER, (NO_EXTENSION, ONE_MAIN)),
    Transition(_E.WITHDRAW, _S.AVAILABLE, _S.AVAILABLE, _CARRIER),
    Transition(_E.WITHDRAW, _S.RESERVED, _S.RESERVED, _CARRIER),
    *(Transition(_E.LOCK, state, state, _OPERATOR) for state in State),
    *(Transition(_E.UNLOCK, state, state, _OPERATOR) for state in State),
    Transition(_E.ALLOCATE, _S.AVAILABLE, _S.RESERVED, _OPERATOR, (UNLOCKED, ONE_MAIN)),
    Transition(_E.ACTIVATE, _S.RESERVED, _S.ACTIVATING, _OPERATOR, (ENTITLED,)),
    Transition(_E.ACTIVATE, _S.DEACTIVATING, _S.ACTIVATING, _OPERATOR, (ENTITLED,)),
    Transition(_E.CONFIRM, _S.ACTIVATING, _S.ACTIVE, _SYSTEM),
    Transition(_E.CONFIRM, _S.DEACTIVATING, _S.RESERVED, _SYSTEM),
    *(
        Transition(_E.LABEL, state, state, _OWNER)
        for state in (_S.RESERVED, _S.ACTIVATING, _S.ACTIVE, _S.DEACTIVATING)
    ),
    Transition(_E.ASSIGN, _S.ACTIVE, _S.ACTIVE, _OWNER, (NOT_MAIN, UNASSIGNED)),
    Transition(_E.UNASSIGN, _S.ACTIVE, _S.ACTIVE, _OWNER, (ASSIGNED,)),
    Transition(_E.SOFTPHONE, _S.ACTIVE, _S.ACTIVE, _OWNER, (ASSIGNED,)),
    Transition(_E.RESET_PIN, _S.ACTIVE, _S.ACTIVE, _OWNER),
    Transition(_E.DEACTIVATE, _S.ACTIVE, _S.DEACTIVATING, _OPERATOR, (UNASSIGNED,)),
    Transition(_E.DEACTIVATE, _S.ACTIVATING, _S.DEACTIVATING, _OPERATOR),
    Transition(_E.DEALLOCATE, _S.RESERVED, _S.AVAILABLE, _OPERATOR, (NEVER_ACTIVE,)),
    Transition(_E.DEALLOCATE, _S.RESERVED, _S.COOLDOWN, _OPERATOR, (EVER_ACTIVE,)),
    # A node that is away must not keep a number for ever: what it still holds is withdrawn when it is back,
    # and nobody else gets the number before its cooldown is over.
    Transition(_E.DEALLOCATE, _S.DEACTIVATING, _S.COOLDOWN, _OPERATOR),
    *(
        Transition(_E.DECOMMISSION, state, _S.COOLDOWN, _OPERATOR)
        for state in (_S.RESERVED, _S.ACTIVATING, _S.ACTIVE, _S.DEACTIVATING)
    ),
    Transition(_E.COOLDOWN_END, _S.COOLDOWN, _S.AVAILABLE, _SYSTEM, (COOLED,)),
)

_DONE: Mapping[Event, str] = {
    Event.NOMINATE: "nominated as a main number",
    Event.WITHDRAW: "stripped of its nomination",
    Event.LOCK: "locked",
    Event.UNLOCK: "unlocked",
    Event.ALLOCATE: "allocated",
    Event.ACTIVATE: "activated",
    Event.CONFIRM: "confirmed",
    Event.LABEL: "given a name",
    Event.ASSIGN: "assigned",
    Event.UNASSIGN: "unassigned",
    Event.SOFTPHONE: "used by a softphone",
    Event.RESET_PIN: "given its default PIN",
    Event.DEACTIVATE: "deactivated",
    Event.DEALLOCATE: "deallocated",
    Event.DECOMMISSION: "decommissioned",
    Event.COOLDOWN_END: "taken out of its cooldown",
}
_RULES: Mapping[Event, str] = {
    Event.ALLOCATE: "R22",
    Event.ACTIVATE: "R24",
    Event.ASSIGN: "R27",
    Event.UNASSIGN: "R27",
    Event.SOFTPHONE: "R29",
    Event.RESET_PIN: "R30",
    Event.DEACTIVATE: "R26",
}


def state_of(number: PhoneNumber) -> State:
    """The state of the table a number is in."""
    if number.status is NumberStatus.PENDING and number.pending_to is not None:
        return _PENDING_FROM[number.pending_to]
    return State(number.status.value)


def next_state(number: PhoneNumber, event: Event, at: Circumstances) -> State:
    """The state `event` takes the number to.

    Raises:
        IllegalTransition: the table has no such step, or a guard does not hold; the sentence says why and
            what to do first.
    """
    state = state_of(number)
    found = [t for t in TRANSITIONS if t.event is event and t.source is state]
    if not found:
        raise IllegalTransition(_no_transition(number, state, event))
    refusals = []
    for transition in found:
        refusal = next((said for guard in transition.guards if (said := guard.refusal(number, at))), None)
        if refusal is None:
            return transition.target
        refusals.append(refusal)
    raise IllegalTransition(f"{number.e164} cannot be {_DONE[event]}: {refusals[0]}.")


def _no_transition(number: PhoneNumber, state: State, event: Event) -> str:
    targets = {t.target for t in TRANSITIONS if t.event is event and t.target is not t.source}
    rule = f" ({_RULES[event]})" if event in _RULES else ""
    if state in targets:
        return f"{number.e164} cannot be {_DONE[event]}: it is {_shown(state)} already{rule}."
    first = " and then ".join(_said(number, step) for step in _way(state, event)) or "there is no way there"
    return f"{number.e164} is {_shown(state)} and cannot be {_DONE[event]}{rule}: {first} first."


def _shown(state: State) -> str:
    status = state.status.value.upper()
    if state.pending_to is not None:
        return f"{status} (becoming {state.pending_to.value.upper()})"
    return status


def _said(number: PhoneNumber, event: Event) -> str:
    match event:
        case Event.CONFIRM:
            return "wait until Asterisk was seen to follow"
        case Event.COOLDOWN_END:
            until = f"{number.cooldown_until:%Y-%m-%d %H:%M} UTC" if number.cooldown_until else "its end"
            return f"wait for the end of its cooldown ({until})"
        case _:
            return f"{event.value.replace('_', ' ')} it"


def _way(start: State, event: Event) -> tuple[Event, ...]:
    """The fewest events that lead to a state in which `event` is possible; decommissioning is no remedy."""
    goals = {t.source for t in TRANSITIONS if t.event is event}
    ways: dict[State, tuple[Event, ...]] = {start: ()}
    level = [start]
    while level:
        following = []
        for state in level:
            for step in _steps_from(state):
                if step.target not in ways:
                    ways[step.target] = (*ways[state], step.event)
                    following.append(step.target)
        reached = [ways[goal] for goal in following if goal in goals]
        if reached:
            return reached[0]
        level = following
    return ()


def _steps_from(state: State) -> Iterator[Transition]:
    return (t for t in TRANSITIONS if t.source is state and t.event is not Event.DECOMMISSION)


def diagram() -> str:
    """The table as a Mermaid state diagram; steps that stay in their state are left to `rows`."""
    lines = ["stateDiagram-v2", "  [*] --> available"]
    for state in State:
        shown = state.status.value.upper()
        lines.append(f'  state "{shown}" as {state.value}')
    for t in TRANSITIONS:
        if t.source is not t.target:
            guards = f" [{', '.join(g.name for g in t.guards)}]" if t.guards else ""
            lines.append(f"  {t.source.value} --> {t.target.value}: {t.event.value}{guards}")
    return "\n".join(lines) + "\n"


def rows() -> Iterator[tuple[str, str, str, str]]:
    """The whole table for a document: event, from and to which states, who, and what must hold."""
    for event in Event:
        found = [t for t in TRANSITIONS if t.event is event]
        steps = dict.fromkeys(_step(t) for t in found)
        by = ", ".join(role.value for role in Role if any(role in t.by for t in found))
        guards = dict.fromkeys(guard.name for t in found for guard in t.guards)
        yield event.value, "; ".join(steps), by or "the control plane", ", ".join(guards)


def _step(transition: Transition) -> str:
    return transition.source.value + (
        "" if transition.source is transition.target else f" → {transition.target.value}"
    )

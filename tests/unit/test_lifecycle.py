"""The table of a number's life: every state with every event, and what the refusals say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from control_plane.api.rights import RULES
from control_plane.domain.accounts import Role
from control_plane.domain.entities import NumberStatus, PhoneNumber
from control_plane.domain.lifecycle import TRANSITIONS, Circumstances, Event, State, next_state, state_of
from control_plane.errors import IllegalTransition
from control_plane.service.rights import Position

NOW = datetime(2030, 1, 1, tzinfo=UTC)
AT = Circumstances(NOW, services_free=1)
E164 = "+442071838750"


def number(state: State, **values: object) -> PhoneNumber:
    """A number that has been where its state says."""
    owned = state not in (State.AVAILABLE, State.COOLDOWN)
    fields: dict[str, object] = {
        "e164": E164,
        "site": "london",
        "org": "acme" if owned else None,
        "status": state.status,
        "pending_to": state.pending_to,
        "ever_active": state not in (State.AVAILABLE, State.RESERVED),
        "cooldown_until": NOW + timedelta(days=1) if state is State.COOLDOWN else None,
    }
    return PhoneNumber.model_validate(fields | values)


OWNED = {State.RESERVED, State.ACTIVATING, State.ACTIVE, State.DEACTIVATING}
ALLOWED: dict[Event, set[State]] = {
    Event.NOMINATE: {State.AVAILABLE, State.RESERVED},
    Event.WITHDRAW: {State.AVAILABLE, State.RESERVED},
    Event.LOCK: set(State),
    Event.UNLOCK: set(State),
    Event.ALLOCATE: {State.AVAILABLE},
    Event.ACTIVATE: {State.RESERVED, State.DEACTIVATING},
    Event.CONFIRM: {State.ACTIVATING, State.DEACTIVATING},
    Event.LABEL: OWNED,
    Event.ASSIGN: {State.ACTIVE},
    Event.UNASSIGN: set(),  # assigned to nobody
    Event.SOFTPHONE: set(),
    Event.RESET_PIN: {State.ACTIVE},
    Event.DEACTIVATE: {State.ACTIVE, State.ACTIVATING},
    Event.DEALLOCATE: {State.RESERVED, State.DEACTIVATING},
    Event.DECOMMISSION: OWNED,
    Event.COOLDOWN_END: set(),  # not yet over
}
"""What is possible, said again without the table; people and locks aside."""


@pytest.mark.parametrize(("state", "event"), list(product(State, Event)))
def test_every_event_is_possible_or_refused_with_a_sentence(state: State, event: Event) -> None:
    if state in ALLOWED[event]:
        next_state(number(state), event, AT)
        return
    with pytest.raises(IllegalTransition) as refused:
        next_state(number(state), event, AT)
    said = str(refused.value)
    assert said.startswith(E164)
    assert said.endswith(".")
    assert "first" in said or "already" in said or "until" in said, said


@pytest.mark.parametrize(
    ("subject", "event", "said"),
    [
        (
            number(State.AVAILABLE),
            Event.ASSIGN,
            f"{E164} is AVAILABLE and cannot be assigned (R27): allocate it and then activate it and then "
            "wait until Asterisk was seen to follow first.",
        ),
        (
            number(State.RESERVED),
            Event.RESET_PIN,
            f"{E164} is RESERVED and cannot be given its default PIN (R30): activate it and then wait until "
            "Asterisk was seen to follow first.",
        ),
        (number(State.ACTIVE), Event.DEALLOCATE, "cannot be deallocated: deactivate it first."),
        (number(State.ACTIVE, person="ann"), Event.DEACTIVATE, "assigned to ann (R26): unassign it first."),
        (number(State.RESERVED), Event.ALLOCATE, "cannot be allocated"),
        (
            number(State.COOLDOWN),
            Event.ALLOCATE,
            "is COOLDOWN and cannot be allocated (R22): wait for the end of its cooldown (2030-01-02 00:00 "
            "UTC) first.",
        ),
        (
            number(State.AVAILABLE, allocation_lock=True),
            Event.ALLOCATE,
            "it is locked and cannot be allocated to a different occupier or operator (R33): unlock it",
        ),
        (number(State.ACTIVE, main=True), Event.ASSIGN, "a main number is inbound only"),
        (number(State.ACTIVATING), Event.ACTIVATE, "it is PENDING (becoming ACTIVE) already"),
        (number(State.ACTIVE), Event.SOFTPHONE, "it is assigned to nobody: assign it first."),
    ],
)
def test_a_refusal_says_why_and_what_to_do_first(subject: PhoneNumber, event: Event, said: str) -> None:
    with pytest.raises(IllegalTransition) as refused:
        next_state(subject, event, AT)
    assert said in str(refused.value)


def test_a_number_is_activated_only_while_a_voice_service_is_free() -> None:
    assert next_state(number(State.RESERVED), Event.ACTIVATE, AT) is State.ACTIVATING
    with pytest.raises(IllegalTransition, match="acme has no voice service left at london"):
        next_state(number(State.RESERVED), Event.ACTIVATE, Circumstances(NOW, services_free=0))


def test_what_was_in_use_rests_before_anybody_gets_it() -> None:
    """Every way from ACTIVE to AVAILABLE leads through COOLDOWN, and out of that only when it is over."""
    assert next_state(number(State.RESERVED), Event.DEALLOCATE, AT) is State.AVAILABLE
    used = number(State.RESERVED, ever_active=True)
    assert next_state(used, Event.DEALLOCATE, AT) is State.COOLDOWN
    into_the_pool = {(t.source, t.event) for t in TRANSITIONS if t.target is State.AVAILABLE}
    into_the_pool -= {(State.AVAILABLE, event) for event in Event}
    assert into_the_pool == {(State.RESERVED, Event.DEALLOCATE), (State.COOLDOWN, Event.COOLDOWN_END)}
    resting = number(State.COOLDOWN)
    over = Circumstances(NOW + timedelta(days=1))
    with pytest.raises(IllegalTransition, match="rests until 2030-01-02"):
        next_state(resting, Event.COOLDOWN_END, AT)
    assert next_state(resting, Event.COOLDOWN_END, over) is State.AVAILABLE


def test_every_state_can_be_reached_and_left() -> None:
    assert {t.target for t in TRANSITIONS if t.source is not t.target} == set(State)
    assert {t.source for t in TRANSITIONS if t.source is not t.target} == set(State)


@pytest.mark.parametrize("state", State)
def test_a_state_shows_as_its_status(state: State) -> None:
    assert state_of(number(state)) is state
    assert number(state).routes is (state in (State.ACTIVE, State.ACTIVATING))
    pending = state in (State.ACTIVATING, State.DEACTIVATING)
    assert (number(state).status is NumberStatus.PENDING) is pending


def test_the_api_lets_in_whom_the_table_names() -> None:
    operations = {
        Event.ALLOCATE: "allocate_one_number",
        Event.ACTIVATE: "activate_number",
        Event.DEACTIVATE: "deactivate_number",
        Event.DEALLOCATE: "deallocate_number",
        Event.ASSIGN: "assign_number",
        Event.UNASSIGN: "unassign_number",
        Event.RESET_PIN: "reset_number_pin",
    }
    positions = {
        Role.OPERATOR_ADMIN: Position.OPERATOR_ADMIN,
        Role.OCCUPIER_ADMIN: Position.OCCUPIER_ADMIN,
        Role.CARRIER: Position.CARRIER,
    }
    for event, operation in operations.items():
        roles = {role for t in TRANSITIONS if t.event is event for role in t.by}
        assert RULES[operation].who == {positions[role] for role in roles}, event

"""One step in the life of a number, as the table of the life cycle allows it."""

from __future__ import annotations

from control_plane.domain.entities import PhoneNumber
from control_plane.domain.entitlement import numbers_of, services_free
from control_plane.domain.lifecycle import Circumstances, Event, next_state
from control_plane.domain.model import Model
from control_plane.service.number_policy import NumberPolicy
from control_plane.service.rules import require_not_leaving

_OF_THE_LEAVING = frozenset({Event.CONFIRM, Event.DECOMMISSION})
"""What may still happen to the numbers of an organisation that is being decommissioned (R35)."""


def circumstances(
    model: Model, number: PhoneNumber, event: Event, policy: NumberPolicy, org: str | None
) -> Circumstances:
    """What the guards of `event` look at; `org` is who has the number afterwards."""
    now = policy.clock.now()
    main = _other_main(model, number, org) if number.main or event is Event.NOMINATE else None
    if org is None or event is not Event.ACTIVATE:
        return Circumstances(now, main_number=main)
    free = None if is_included(model, number) else services_free(model, org, number.site)
    return Circumstances(now, free, main)


def _other_main(model: Model, number: PhoneNumber, org: str | None) -> str | None:
    if org is None:
        return None
    others = (n for n in numbers_of(model, org, number.site) if n.main and n.e164 != number.e164)
    return next((n.e164 for n in others), None)


def is_included(model: Model, number: PhoneNumber) -> bool:
    """Whether the number is a main number that came with the voice service and uses none of it (A64)."""
    service = model.services.get((number.org or "", number.site))
    return number.main and service is not None and service.main_included


def moved(
    model: Model, number: PhoneNumber, event: Event, policy: NumberPolicy, org: str | None = None
) -> PhoneNumber:
    """The number in the state `event` takes it to, everything else unchanged.

    Raises: IllegalTransition.
    """
    if event not in _OF_THE_LEAVING:
        require_not_leaving(model, org or number.org)
    return stepped(number, event, circumstances(model, number, event, policy, org or number.org))


def stepped(number: PhoneNumber, event: Event, at: Circumstances) -> PhoneNumber:
    """The same where the circumstances are known.

    Raises: IllegalTransition.
    """
    state = next_state(number, event, at)
    return number.model_copy(update={"status": state.status, "pending_to": state.pending_to})

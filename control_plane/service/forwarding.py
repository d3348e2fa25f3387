"""Rules of call forwarding that need more than the extension itself (R60, R91-R98, A60, A91, A94)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from control_plane.callpath.passing import Place, passing_problem
from control_plane.domain.entities import Site
from control_plane.domain.extension import FORWARDING_BLOCKED, ONE_GROUP_ONLY, Extension, NoAnswerAction
from control_plane.domain.model import Model
from control_plane.domain.regions import tidy
from control_plane.errors import Conflict, InvalidField
from control_plane.service.rules import require_no_emergency_number

MAX_EXTENSION_DIGITS = 6


def normalised(changes: Mapping[str, object], model: Model, site: Site) -> dict[str, object]:
    """`changes` of an extension with its outside numbers as E.164, as dialled from its site.

    Raises: InvalidField when a call would be sent to an emergency number (A59).
    """
    result = dict(changes)
    forwarding = result.get("forwarding")
    if isinstance(forwarding, Mapping):
        nested = dict(forwarding)
        for name in ("numbers", "vip"):
            entries = nested.get(name)
            if isinstance(entries, list | tuple) and all(isinstance(entry, str) for entry in entries):
                if name == "numbers":
                    _refuse_emergency(model, entries, "forwarding.numbers")
                nested[name] = tuple(as_e164(entry, site) for entry in entries)
        result["forwarding"] = nested
    no_answer = result.get("no_answer")
    if isinstance(no_answer, Mapping) and isinstance(no_answer.get("number"), str):
        _refuse_emergency(model, (no_answer["number"],), "no_answer.number")
        result["no_answer"] = {**no_answer, "number": as_e164(no_answer["number"], site)}
    return result


def _refuse_emergency(model: Model, numbers: list[str] | tuple[str, ...], field: str) -> None:
    require_no_emergency_number(model, map(tidy, numbers), field, "a forward target")


def as_e164(text: str, site: Site) -> str:
    """What is dialled at `site`, as E.164; what is short enough for an extension stays as it is."""
    digits = tidy(text)
    return digits if len(digits) <= MAX_EXTENSION_DIGITS else site.numbering.normalise(digits)


def settled(before: Extension | None, after: Extension, changes: Mapping[str, object]) -> Extension:
    """`after` with what follows from switching forwarding or the restriction.

    Restricting a phone switches its forwarding off and keeps what was set (A60); switching forwarding on
    remembers the devices that ring now, for VIP callers (A94); switching it off forgets them.
    Raises: Conflict when forwarding is asked for on a restricted phone.
    """
    if after.restricted:
        after = _suspended(before, after, changes)
    on = after.forwarding.enabled
    if on and before is not None and before.forwarding.enabled:
        remembered = before.forwarding.vip_ring_devices
    else:
        remembered = after.ring_devices if on else ()
    if remembered == after.forwarding.vip_ring_devices:
        return after
    forwarding = after.forwarding.model_copy(update={"vip_ring_devices": remembered})
    return after.model_copy(update={"forwarding": forwarding})


def _suspended(before: Extension | None, after: Extension, changes: Mapping[str, object]) -> Extension:
    wants_forwarding = after.forwarding.enabled
    wants_no_answer = after.no_answer.action is NoAnswerAction.FORWARD
    if before is None or before.restricted:
        blocked = wants_forwarding or wants_no_answer
    else:
        blocked = (wants_forwarding and _asks(changes, "forwarding", "enabled")) or (
            wants_no_answer and _asks(changes, "no_answer", "action")
        )
    if blocked:
        raise Conflict(FORWARDING_BLOCKED)
    forwarding = after.forwarding.model_copy(update={"enabled": False})
    no_answer = after.no_answer
    if wants_no_answer:
        no_answer = no_answer.model_copy(update={"action": NoAnswerAction.HANGUP})
    return after.model_copy(update={"forwarding": forwarding, "no_answer": no_answer})


def _asks(changes: Mapping[str, object], field: str, name: str) -> bool:
    nested = changes.get(field)
    return isinstance(nested, Mapping) and name in nested


def require_sound_targets(model: Model, extension: Extension) -> None:
    """Every forward target exists in the organisation, and call groups allow as many (R96, R97).

    Raises: InvalidField.
    """
    for key in extension.forwarding.extensions:
        ident = (extension.org, key)
        if ident not in model.extensions and ident not in model.call_groups and key != extension.key:
            raise InvalidField(
                "forwarding.extensions",
                f"there is no extension or call group {key} in {extension.org}: create it first or choose "
                "another",
            )
    require_group_limits(model, extension)


def require_group_limits(model: Model, extension: Extension) -> None:
    """A forwarding goes to one Group Key at most (R97), and that of a group's member to one target (R96).

    Raises: InvalidField.
    """
    if extension.legacy_multi_forward:
        return
    targets = extension.forwarding.targets
    if sum((extension.org, key) in model.call_groups for key in targets) > 1:
        raise InvalidField("forwarding.extensions", ONE_GROUP_ONLY)
    groups = model.memberships.get((extension.org, extension.key), ())
    if groups and len(targets) > 1:
        raise InvalidField(
            "forwarding",
            f"Maximum 1 forward target, a number or an extension: {extension.key} is a member of call group "
            f"{', '.join(groups)} (R96)",
        )


def require_no_loop(model: Model, extension: Extension) -> None:
    """No loop and no chain deeper than A91 allows runs through `extension` once it is in `model`.

    Raises: Conflict, naming the path.
    """
    if not extension.forwarding.enabled:
        return
    ident = (extension.org, extension.key)
    if model.extensions.get(ident) != extension:
        model = replace(model, extensions={**model.extensions, ident: extension})
    require_sound_passing(model, ident)


def require_sound_passing(model: Model, place: Place) -> None:
    """No loop and no chain that is too long runs through `place` of `model`.

    Raises: Conflict, naming the path.
    """
    problem = passing_problem(model, place)
    if problem is not None:
        raise Conflict(problem)

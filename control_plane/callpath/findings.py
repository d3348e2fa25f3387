"""What the whole model's call paths reveal before anybody calls: unreachable help, ways out, dead ends.

Rules that forbid a change are checked when it is saved; findings are what stands in a model that was saved
and that its operator should know. They come with every plan.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from control_plane.callpath.checks import key_problem
from control_plane.callpath.passing import passing_problems
from control_plane.domain.extension import Extension, NoAnswerAction
from control_plane.domain.groups import CallGroup, DestinationKind
from control_plane.domain.model import Model


class Severity(StrEnum):
    """ERROR: somebody cannot reach help, or calls go wrong. WARNING: allowed, and perhaps not meant."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found; `rule` names what was checked, `subject` where, `text` says it in a sentence."""

    severity: Severity
    rule: str
    subject: str
    text: str


def findings(model: Model) -> tuple[Finding, ...]:
    """Everything found in `model`, errors first; the cost grows with the number of extensions."""
    found = [
        *_emergency(model),
        *_forwarding(model),
        *_codes(model),
        *_ways_out(model),
        *_nothing_rings(model),
        *_stray_targets(model),
        *_silent_groups(model),
        *_main_numbers(model),
        *_neutral_lines(model),
    ]
    return tuple(sorted(found, key=lambda f: (f.severity is not Severity.ERROR, f.rule, f.subject)))


def _emergency(model: Model) -> Iterator[Finding]:
    """R59: every site that has phones reaches emergency numbers, and nothing stands before them."""
    phones = {extension.site for extension in model.extensions.values()}
    phones |= {handset.site for handset in model.handsets.values() if handset.has_neutral_line}
    for site_id in sorted(phones):
        site = model.sites[site_id]
        if site.trunk is None or site.trunk not in model.trunks:
            yield Finding(
                Severity.ERROR,
                "emergency-reachable",
                f"site {site_id}",
                f"Emergency numbers cannot be reached from site {site_id}: it has no trunk. Set one.",
            )
    for org, key in model.extensions:
        problem = key_problem(key)
        if problem:
            yield Finding(Severity.ERROR, "emergency-not-shadowed", f"extension {org}/{key}", f"{problem}.")


def _forwarding(model: Model) -> Iterator[Finding]:
    """A91: loops and long chains; a phone's feature code can make one, which then ends at the hop limit."""
    for problem in passing_problems(model):
        yield Finding(Severity.ERROR, "forwarding-loop", "forwarding", problem)


def _codes(model: Model) -> Iterator[Finding]:
    """R56: a restricted extension whose organisation has no code at the site reaches nobody outside."""
    for extension in model.extensions.values():
        occupancy = model.occupancies.get((extension.org, extension.site))
        if extension.restricted and (occupancy is None or occupancy.authorization_code is None):
            yield Finding(
                Severity.WARNING,
                "authorization-code-missing",
                _name(extension),
                f"Extension {extension.key} is restricted, but {extension.org} has no authorization code at "
                f"{extension.site}: outside calls are impossible from it.",
            )


def _ways_out(model: Model) -> Iterator[Finding]:
    """A60: an internal call from a restricted phone can leave through somebody else's forwarding."""
    restricted: dict[str, list[str]] = {}
    for extension in model.extensions.values():
        if extension.restricted:
            restricted.setdefault(extension.org, []).append(extension.key)
    for extension in model.extensions.values():
        callers = restricted.get(extension.org)
        numbers = _numbers_outside(model, extension)
        if callers and numbers:
            yield Finding(
                Severity.WARNING,
                "restricted-reaches-outside",
                _name(extension),
                f"Restricted extensions of {extension.org} ({', '.join(sorted(callers)[:5])}) reach "
                f"{', '.join(numbers)} without a code by calling {extension.key}, which forwards there.",
            )
    for (org, key), group in model.call_groups.items():
        onward = _number_after(model, group)
        if org in restricted and onward:
            yield Finding(
                Severity.WARNING,
                "restricted-reaches-outside",
                f"call group {org}/{key}",
                f"Restricted extensions of {org} ({', '.join(sorted(restricted[org])[:5])}) reach "
                f"{onward[0]} without a code by calling group {key}, which sends calls there.",
            )


def _numbers_outside(model: Model, extension: Extension) -> list[str]:
    numbers = list(extension.forwarding.numbers) if extension.forwarding.enabled else []
    if extension.restricted:
        numbers = []
    if extension.no_answer.action is NoAnswerAction.FORWARD and extension.no_answer.number:
        numbers.append(extension.no_answer.number)
    return [number for number in numbers if number not in model.numbers]


def _nothing_rings(model: Model) -> Iterator[Finding]:
    """A call path that can only end unanswered."""
    for extension in model.extensions.values():
        forwards = extension.forwarding.enabled and not extension.restricted
        takes = extension.no_answer.action in {NoAnswerAction.FORWARD, NoAnswerAction.VOICEMAIL}
        if not model.devices_of(extension) and not forwards and not takes:
            yield Finding(
                Severity.WARNING,
                "nothing-rings",
                _name(extension),
                f"Calls to extension {extension.key} end at once: it has no device, no forwarding and no "
                "voicemail.",
            )


def _stray_targets(model: Model) -> Iterator[Finding]:
    """Forward targets that were removed since, or are not in service."""
    for extension in model.extensions.values():
        if not extension.forwarding.enabled or extension.restricted:
            continue
        for key in extension.forwarding.extensions:
            target = model.extensions.get((extension.org, key))
            if (extension.org, key) in model.call_groups:
                continue
            if target is None or not model.is_active(target):
                why = "does not exist" if target is None else "is not in service"
                yield Finding(
                    Severity.WARNING,
                    "forward-target-unreachable",
                    _name(extension),
                    f"Extension {extension.key} forwards to {key}, which {why}.",
                )


def _silent_groups(model: Model) -> Iterator[Finding]:
    """R84: a group whose members cannot ring."""
    for (org, key), group in model.call_groups.items():
        members = [model.extensions.get((org, member)) for member in group.members]
        if not any(m is not None and model.is_active(m) and model.devices_of(m) for m in members):
            yield Finding(
                Severity.WARNING,
                "group-rings-nobody",
                f"call group {org}/{key}",
                f"Calls to call group {key} of {org} ring nobody: it has no member with a device in service.",
            )


def _main_numbers(model: Model) -> Iterator[Finding]:
    """R8: a main number that is in service and leads nowhere."""
    for number in model.numbers.values():
        in_service = number.main and number.routes and number.org is not None
        if in_service and model.main_number(number.e164) is None:
            yield Finding(
                Severity.WARNING,
                "main-number-leads-nowhere",
                f"number {number.e164}",
                f"Calls to {number.e164}, the main number of {number.org} at {number.site}, reach nothing: "
                "set up what they meet.",
            )
    for main in model.main_numbers.values():
        for name, destination in main.destinations:
            target = model.extensions.get((main.org, destination.target))
            inside = destination.kind in (DestinationKind.EXTENSION, DestinationKind.VOICEMAIL)
            if inside and (target is None or not model.is_active(target)):
                yield Finding(
                    Severity.WARNING,
                    "main-number-target-unreachable",
                    f"main number {main.org}/{main.site}",
                    f"The main number of {main.org} at {main.site} leads to extension {destination.target} "
                    f"({name}), which is not in service.",
                )


def _neutral_lines(model: Model) -> Iterator[Finding]:
    """R73: handsets nobody is logged in at that reach nobody inside, or somebody outside by reception."""
    logged_out = [h for h in model.handsets.values() if h.has_neutral_line and h.extension is None]
    for org, site_id in sorted({(handset.org, handset.site) for handset in logged_out}):
        where = f"Handsets of {org} at {site_id} nobody is logged in at"
        subject = f"occupancy {org}/{site_id}"
        keys = model.reception_of(org, model.sites[site_id])
        inside = [key for key in keys if (org, key) in model.extensions or (org, key) in model.call_groups]
        if not inside:
            yield Finding(
                Severity.WARNING,
                "neutral-line-without-reception",
                subject,
                f"{where} can call emergency numbers and nobody inside: no reception number there is an "
                "extension or call group. Set one.",
            )
        for key in inside:
            extension, group = model.extensions.get((org, key)), model.call_groups.get((org, key))
            numbers = _numbers_outside(model, extension) if extension is not None else []
            if extension is None and group is not None:
                numbers = _number_after(model, group)
            if numbers:
                yield Finding(
                    Severity.WARNING,
                    "neutral-line-reaches-outside",
                    subject,
                    f"{where} reach {', '.join(numbers)} by calling reception {key}, which forwards there.",
                )


def _number_after(model: Model, group: CallGroup) -> list[str]:
    onward = group.otherwise
    if onward is None or onward.kind is not DestinationKind.NUMBER or onward.target in model.numbers:
        return []
    return [onward.target]


def _name(extension: Extension) -> str:
    return f"extension {extension.org}/{extension.key}"

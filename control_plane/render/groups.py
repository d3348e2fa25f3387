"""Call groups and main numbers as AstDB rows, in the order the dialplan's ARRAY() takes them."""

from __future__ import annotations

from collections.abc import Iterator

from control_plane.domain.groups import CallGroup, Destination, MainNumber
from control_plane.domain.model import Model
from control_plane.render.artefacts import Unit, UnitKind
from control_plane.render.templates import safe


def group_rows(model: Model, node: str, unit: Unit) -> Iterator[tuple[str, str]]:
    """The rows of a call group or of a main number; none when `node` has no such thing."""
    ident = (unit.key[0], unit.key[1])
    if unit.kind is UnitKind.CALL_GROUP:
        group = model.call_groups.get(ident)
        if group is not None and model.sites[group.site].node == node:
            yield _group_row(group)
        return
    main = model.main_numbers.get(ident)
    if main is not None and model.sites[main.site].node == node:
        yield from _main_rows(model, main)


def _group_row(group: CallGroup) -> tuple[str, str]:
    """`group/<org>/<key>`: everything a call to the group needs."""
    fields = (
        group.site,
        group.strategy.value,
        str(group.ring_timeout_s),
        str(group.total_ring_s),
        "&".join(group.members),
        *_destination(group.otherwise),
    )
    return f"group/{group.org}/{group.key}", ",".join(fields)


def _main_rows(model: Model, main: MainNumber) -> Iterator[tuple[str, str]]:
    """`main/<org>/<site>` and below it a row for each weekday with business hours and for each holiday."""
    base = f"main/{main.org}/{main.site}"
    fields = (
        safe("time_zone", model.sites[main.site].time_zone),
        str(main.ring_timeout_s),
        *_destination(main.in_hours),
        *_destination(main.out_of_hours),
        *_destination(main.if_not_answered),
    )
    yield base, ",".join(fields)
    for day, spans in main.open_spans().items():
        yield f"{base}/{day}", "&".join(f"{_clock(opens)}-{_clock(closes)}" for opens, closes in spans)
    for day_off in main.holidays:
        yield f"{base}/{day_off}", "1"


def _destination(destination: Destination | None) -> tuple[str, str, str]:
    if destination is None:
        return "", "", ""
    return destination.kind.value, destination.target, "&".join(destination.members)


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}{minutes % 60:02}"

"""Pictures of what a call to a call group or a main number can meet, and that they leave no way out."""

from __future__ import annotations

import re

from hypothesis import HealthCheck, given, settings

from control_plane.callpath.graph import End
from control_plane.domain.entities import NumberStatus, Organisation, PhoneNumber, Site
from control_plane.domain.extension import Device, Extension, NoAnswer, NoAnswerAction
from control_plane.domain.groups import CallGroup, Destination, DestinationKind, MainNumber
from control_plane.domain.model import Model
from control_plane.domain.regions import RegionCode
from control_plane.render.place_picture import extension_mermaid, group_mermaid, main_number_mermaid
from control_plane.render.way import At, ways
from tests.calls.scenario import SITE, Scenario, build, explained
from tests.calls.test_property import scenarios

MAIN = "+6561000900"
GROUP, EXTENSION = DestinationKind.GROUP, DestinationKind.EXTENSION
VOICEMAIL, NUMBER = DestinationKind.VOICEMAIL, DestinationKind.NUMBER


def to(kind: DestinationKind, target: str, *members: str) -> Destination:
    return Destination(kind=kind, target=target, members=members)


def extension(key: str, **fields: object) -> Extension:
    return Extension.model_validate({"org": "acme", "key": key, "site": "sg", **fields})


def group(key: str, *members: str, **fields: object) -> CallGroup:
    return CallGroup.model_validate({"org": "acme", "key": key, "site": "sg", "members": members, **fields})


def main(**fields: object) -> MainNumber:
    desk = to(EXTENSION, "100")
    values = {"org": "acme", "site": "sg", "e164": MAIN, "in_hours": desk, "out_of_hours": desk, **fields}
    return MainNumber.model_validate(values)


def model(*places: CallGroup | MainNumber, quiet: bool = False) -> Model:
    """Extensions 100 to 102, of which 102 has no device and 101 may want quiet."""
    extensions = (
        extension("100", label="Desk"),
        extension("101", dnd=quiet),
        extension("102", no_answer=NoAnswer(action=NoAnswerAction.VOICEMAIL), voicemail_pin="4711"),
    )
    device = {"org": "acme", "kind": "desktop", "sip_password": "s" * 24}
    return Model.of(
        organisations=[Organisation(id="acme", name="Acme")],
        sites=[Site(id="sg", name="SG", region=RegionCode.SG, time_zone="Asia/Singapore")],
        extensions=extensions,
        devices=[
            Device.model_validate({**device, "id": f"d{key}xxxxxxxx", "extension": key})
            for key in ("100", "101")
        ],
        numbers=[PhoneNumber(e164=MAIN, site="sg", org="acme", main=True, status=NumberStatus.ACTIVE)],
        call_groups=[place for place in places if isinstance(place, CallGroup)],
        main_numbers=[place for place in places if isinstance(place, MainNumber)],
    )


def drawn(picture: str) -> set[str]:
    """The names of every shape."""
    return set(re.findall(r"^ +(\w+)(?:\{\{|\[|\()", picture, re.MULTILINE))


def arrows(picture: str) -> set[tuple[str, str, str]]:
    """(from, label, to) of every arrow."""
    pattern = r"^ +(\w+)(?:\(.*\))? (?:-->|-\.->)(?:\|(.*?)\|)? (\w+)$"
    return set(re.findall(pattern, picture, re.MULTILINE))


def test_a_group_shows_who_rings_how_and_where_the_call_goes_then() -> None:
    sales = group("300", "100", "101", "102", label="Sales", otherwise=to(NUMBER, "+6561234567"))
    picture = group_mermaid(model(sales, quiet=True), sales)
    assert picture.splitlines()[1] == '  call(["Call to group 300 Sales"]) --> group_enter'
    assert '  group_ring_100["100 Desk: desktop"]' in picture
    assert '  group_ring_101["101: does not want to be disturbed"]' in picture
    assert '  group_ring_102["102: has no device"]' in picture
    assert ("group_order", "ring_all", "group_turn") in arrows(picture)
    assert ("group_turn", "all", "group_ring") in arrows(picture)
    assert ("group_otherwise", "number", "group_forward") in arrows(picture)
    assert "number +6561234567" in picture


def test_members_that_ring_in_turn_are_numbered() -> None:
    turns = group("300", "101", "100", strategy="sequential", ring_timeout_s=10, total_ring_s=25)
    picture = group_mermaid(model(turns), turns)
    assert {("group_ring", "1", "group_ring_101"), ("group_ring", "2", "group_ring_100")} <= arrows(picture)
    assert "10 s each, 25 s at most" in picture
    assert ("group_otherwise", "busy", "end_busy") in arrows(picture)


def test_a_group_without_members_rings_nobody() -> None:
    nobody = group("300")
    picture = group_mermaid(model(nobody), nobody)
    assert ("group_order", "empty", "group_otherwise") in arrows(picture)
    assert ("group_otherwise", "unavailable", "end_unavailable") in arrows(picture)
    assert "group_ring" not in drawn(picture)


def test_a_main_number_shows_where_calls_go_at_each_time() -> None:
    reception = main(
        hours=("mon-fri 09:00-17:30",),
        holidays=("2026-12-25",),
        in_hours=to(GROUP, "300", "101"),
        out_of_hours=to(VOICEMAIL, "102"),
        if_not_answered=to(EXTENSION, "100"),
    )
    picture = main_number_mermaid(model(reception, group("300", "100", "101")), reception)
    found = arrows(picture)
    assert ("main_hours", "open", "main_destination") in found
    assert ("main_hours", "closed / holiday", "main_destination_2") in found
    assert ("main_destination_2", "voicemail", "end_voicemail") in found
    assert ("group_otherwise", "main", "main_otherwise") in found
    assert ("main_otherwise", "extension", "in_active") in found
    assert "group_ring_100" not in drawn(picture), "only 101 of the group"
    assert "mon-fri 09:00-17:30 (Asia/Singapore)" in picture
    for title in ("Main number +6561000900", "Call group 300 (only 101)", "Extension 100 Desk"):
        assert re.search(rf'^  subgraph place\d\["{re.escape(title)}"\]$', picture, re.MULTILINE), title


def test_a_main_number_that_is_always_or_never_open_has_no_other_time() -> None:
    always = main(hours=("mon-sun 00:00-24:00",))
    assert {
        label for name, label, _ in arrows(main_number_mermaid(model(always), always)) if name == "main_hours"
    } == {"open"}
    never = main(hours=())
    assert {
        label for name, label, _ in arrows(main_number_mermaid(model(never), never)) if name == "main_hours"
    } == {"closed"}


def test_a_label_cannot_break_the_picture() -> None:
    odd = group("300", "100", label='<b>"x"</b> #1')
    assert "Call to group 300 (b)'x'(/b) 1" in group_mermaid(model(odd), odd).splitlines()[1]


def places(scenario: Scenario, model: Model, to: str, trace: list[tuple[str, str]]) -> tuple[At, int] | None:
    """Where a call comes to a place of the model, and at which step; None where it comes to none."""
    org = scenario.slug
    for index, (node, outcome) in enumerate(trace):
        if (node, outcome) == ("did.active", "main"):
            return At("did.active", org, SITE), index
        if node == "group.enter":
            return At(node, org, called=to), index
        if node == "in.active":
            number = model.numbers.get(to)
            return At(node, org, called=(number.extension or "") if number else to), index
    return None


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(drawn_scenario=scenarios())
def test_every_call_takes_a_way_that_the_picture_has(drawn_scenario: Scenario) -> None:
    model, spec = build(drawn_scenario), drawn_scenario.calls[0]
    trace = [(s.node, s.outcome) for s in explained(drawn_scenario, model, spec).trace]
    begun = places(drawn_scenario, model, spec.to, trace)
    if begun is None:
        return
    following: At | End = begun[0]
    for node, outcome in trace[begun[1] :]:
        assert isinstance(following, At) and following.node == node
        possible = dict(ways(model, following))
        assert outcome in possible, (following, possible, trace)
        following = possible[outcome]
    assert isinstance(following, End)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(drawn_scenario=scenarios())
def test_no_arrow_of_a_picture_is_loose(drawn_scenario: Scenario) -> None:
    model = build(drawn_scenario)
    pictures = [
        *(extension_mermaid(model, each) for each in model.extensions.values()),
        *(group_mermaid(model, each) for each in model.call_groups.values()),
        *(main_number_mermaid(model, each) for each in model.main_numbers.values()),
    ]
    for picture in pictures:
        shapes = drawn(picture)
        assert all({name, target} <= shapes for name, _, target in arrows(picture)), picture
        lines = [line for line in picture.splitlines() if re.match(r" +\w+(\{\{|\[|\(\[)", line)]
        assert len(lines) == len(set(lines)) == len(shapes), "each is drawn once"

"""Organisations, sites, people, occupancies, trunks and numbers on the command line, without a node."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Mapping
from typing import Any

import pytest

from control_plane.api.schemas import OccupancyOut, OrganisationOut, PersonOut, SiteOut, TrunkOut
from control_plane.bootstrap.lab import read_model
from control_plane.bootstrap.wiring import wire
from tests.integration.machine import Machine

LONDON = ("site", "add", "london", "London", "--region", "GB", "--time-zone", "Europe/London")
SPARE = "+6561000900"
CLOSED = ("out_of_hours.kind=extension", "out_of_hours.target=100")


def without_news(answer: Mapping[str, Any]) -> Any:
    """The entity in the answer to a change; the rest says whether it is in force, which nothing is here."""
    assert (answer["in_force"], answer["why_not"]) == (
        False,
        "changes wait for 'wirechief apply' (auto_apply is off)",
    )
    return answer["entity"]


@pytest.mark.parametrize(
    ("group", "add", "key", "shape", "changed"),
    [
        ("organisation", ("birch", "Birch"), ("birch",), OrganisationOut, ("name=Birch Design", "name")),
        (
            "site",
            ("london", "London", "--region", "GB", "--time-zone", "Europe/London", "trunk=carrier"),
            ("london",),
            SiteOut,
            ("name=The City", "name"),
        ),
        (
            "person",
            ("grace", "Grace Hopper", "--org", "acme", "--email", "grace@acme.example"),
            ("grace",),
            PersonOut,
            ("name=Admiral Hopper", "name"),
        ),
        (
            "occupancy",
            ("--org", "hq", "--site", "singapore"),
            ("--org", "hq"),
            OccupancyOut,
            ("reception=9,+6561000100", "reception"),
        ),
        (
            "trunk",
            ("second", "192.0.2.7", "--region", "GB", "port=5062"),
            ("second",),
            TrunkOut,
            ("host=sip.example.com", "host"),
        ),
    ],
)
def test_what_there_is_is_added_shown_changed_and_removed(
    machine: Machine,
    group: str,
    add: tuple[str, ...],
    key: tuple[str, ...],
    shape: Any,
    changed: tuple[str, str],
) -> None:
    before = machine.json(group, "list")
    made = without_news(machine.json(group, "add", *add))
    assert set(made) == set(shape.model_fields), "the same as the API answers"
    assert machine.json(group, "list") == sorted([*before, made], key=lambda e: (e.get("org"), e.get("id")))
    shown = machine.json(group, "show", *key)
    assert {name: shown[name] for name in made} == made
    assignment, field = changed
    after = without_news(machine.json(group, "set", *key, assignment))
    assert after[field] != made[field]
    assert {**after, field: None} == {**made, field: None}
    text = machine.ok(group, "show", *key)
    assert str(after[field] if isinstance(after[field], str) else after[field][0]) in text
    assert "Nothing changed" in machine.ok(group, "set", *key, assignment)
    assert without_news(machine.json(group, "remove", *key)) is None
    assert machine.json(group, "list") == before


def test_lists_are_tables_and_say_so_when_there_is_nothing(machine: Machine) -> None:
    assert "No person: 'wirechief person add' makes one." in machine.ok("person", "list")
    assert machine.json("person", "list") == []
    assert "No call group: 'wirechief group add' makes one." in machine.ok("show", "groups")
    assert "No such number." in machine.ok("number", "list", "--search", "999999")
    assert "No token: 'wirechief token create' makes one." in machine.ok("token", "list")
    acme = next(line for line in machine.ok("organisation", "list").splitlines() if "acme" in line)
    assert [cell.strip() for cell in acme.strip("│").split("│")] == [
        "acme",
        "Acme",
        "occupier",
        "1",
        "0",
        "4",
        "4",
        "",
    ]
    singapore = next(line for line in machine.ok("site", "list").splitlines() if "singapore" in line)
    assert [cell.strip() for cell in singapore.strip("│").split("│")][-3:] == ["carrier", "4", "0"]
    assert machine.json("organisation", "show", "acme")["has"]["extensions"] == 4
    assert machine.json("site", "show", "singapore")["numbers"] == {"active": 4}
    assert machine.json("trunk", "show", "carrier")["sites"] == ["singapore"]
    machine.ok("person", "add", "grace", "Grace Hopper", "--org", "acme")
    machine.ok("number", "assign", "+6561000101", "grace")
    assert machine.json("person", "show", "grace")["numbers"] == ["+6561000101"]
    assert machine.json("person", "list", "--org", "hq") == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["organisation", "show", "nobody"], "no organisation 'nobody'. 'wirechief organisation list' says"),
        (["organisation", "add", "Acme!", "x"], "id: must be 1 to 31 lower-case letters, digits and dashes"),
        (["organisation", "add", "acme", "x"], "organisation acme exists already: choose another"),
        (["organisation", "add", "other", "x", "--kind", "operator"], "hq is the operator already"),
        (["organisation", "set", "acme", "decommission=pending"], "no field that can be set; there are name"),
        (["organisation", "remove", "acme"], "is still used by extension 100"),
        (
            ["site", "add", "x", "X", "--region", "FR", "--time-zone", "Europe/Paris"],
            "'GB', 'US', 'SG', 'AU'",
        ),
        (
            ["site", "add", "x", "X", "--region", "GB", "--time-zone", "Mars"],
            "time_zone: 'Mars' is not an IANA",
        ),
        ([*LONDON, "trunk=none-such"], "trunk: there is no trunk 'none-such': create it first"),
        ([*LONDON, "provisioning.interval_s=1"], "provisioning.interval_s: must be at least 300"),
        (["site", "set", "singapore", "tone=GB"], "tone: is no field that can be set"),
        (["site", "show", "mars"], "There is no site 'mars'. 'wirechief site list' says what there is."),
        (["person", "add", "x", "X", "--org", "nobody"], "There is no organisation 'nobody'."),
        (["person", "add", "x", "X", "--org", "acme", "--email", "x"], "email: must be an e-mail address"),
        (["person", "list", "--org", "nobody"], "There is no organisation 'nobody'."),
        (["occupancy", "show", "--org", "hq"], "must name one occupancy; there are: acme/singapore"),
        (["occupancy", "set", "authorization_code=1"], "there are reception"),
        (["occupancy", "add", "--org", "acme"], "site: occupancy acme/singapore exists already"),
        (["trunk", "set", "carrier", "password=secret"], "password: is no field that can be set"),
        (["trunk", "remove", "carrier"], "Trunk carrier is still used by site singapore"),
        (["number", "remove", "+6561000100"], "+6561000100"),
        (["decommission", "status", "nobody"], "There is no organisation 'nobody'."),
        (["decommission", "start", "acme"], "--yes: is needed: 1 occupancy, 4 numbers, 4 extensions"),
        (["decommission", "start", "hq", "--yes"], "only an occupier can be decommissioned (R34)"),
        (["decommission", "resume", "acme"], "'wirechief decommission start acme' begins it"),
    ],
)
def test_a_mistake_names_the_field_the_rule_and_the_remedy(
    machine: Machine, arguments: list[str], sentence: str
) -> None:
    before = asyncio.run(read_model(wire()))
    assert sentence in machine.refused(*arguments)
    assert asyncio.run(read_model(wire())) == before


def test_the_password_of_a_trunk_and_the_digest_of_a_code_are_never_shown(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("s3cret-of-the-carrier\n"))
    shown = machine.ok("trunk", "set", "carrier", "username=acme", "--password-stdin", "--json")
    model = asyncio.run(read_model(wire()))
    kept, code = model.trunks["carrier"].password, model.occupancies["acme", "singapore"].authorization_code
    assert kept is not None and kept.get_secret_value() == "s3cret-of-the-carrier"
    assert code is not None
    for group, key in (("trunk", ("carrier",)), ("occupancy", ())):
        for arguments in ((group, "list"), (group, "show", *key)):
            shown += machine.ok(*arguments) + machine.ok(*arguments, "--json")
    assert code.id in shown
    assert not [hidden for hidden in ("s3cret", code.salt, code.digest) if hidden in shown]
    assert machine.json("occupancy", "clear-code")["entity"]["authorization_code"] is None


def test_a_number_of_nobody_leaves_the_pool_and_warnings_are_shown(machine: Machine) -> None:
    machine.ok("number", "add", SPARE)
    machine.ok("number", "lock", SPARE)
    assert machine.json("number", "show", SPARE)["warnings"] == ["update_in_progress", "number_locked"]
    assert "update in progress, number locked" in machine.ok("number", "show", SPARE)
    machine.ok("set", "extension", "100", "dnd=true")
    assert machine.json("number", "show", "+6561000100")["warnings"] == ["update_in_progress"]
    machine.ok("number", "unlock", SPARE)
    machine.ok("number", "remove", SPARE)
    assert SPARE not in machine.ok("number", "list")


def test_a_dry_run_of_a_group_and_of_a_main_number_saves_nothing(machine: Machine) -> None:
    machine.ok("number", "add", SPARE, "--main")
    machine.ok("number", "allocate", SPARE, "--org", "acme")
    machine.ok("group", "add", "300", "--org", "acme", "--member", "101")
    machine.ok("main-number", "add", "in_hours.kind=group", "in_hours.target=300", *CLOSED)
    before = asyncio.run(read_model(wire()))
    for arguments, artefact in (
        (("set", "group", "300", "members=101,102"), "row:group/acme/300"),
        (("set", "main-number", "hours=sat 09:00-12:00"), "row:main/acme/singapore/1"),
    ):
        plan = machine.json(*arguments, "--dry-run")
        assert artefact in {step["artefact"] for step in plan["steps"]}
        said = machine.ok(*arguments, "--dry-run")
        assert artefact in said and "Nothing was saved (--dry-run)." in said
    assert "This changes nothing in Asterisk." in machine.ok(
        "set", "group", "300", "members=101", "--dry-run"
    )
    assert "there is no extension 999" in machine.refused("set", "group", "300", "members=999", "--dry-run")
    assert asyncio.run(read_model(wire())) == before


def test_a_dry_run_of_what_everything_stands_on_saves_nothing(machine: Machine) -> None:
    machine.ok("person", "add", "grace", "Grace Hopper", "--org", "acme")
    before = asyncio.run(read_model(wire()))
    for arguments, artefact in (
        (("site", "set", "singapore", "caller_id=+6561000109"), "row:site/singapore"),
        (("occupancy", "set", "reception=9", "--org", "acme"), "row:reception/singapore/acme/9"),
        (("trunk", "set", "carrier", "port=5062"), "row:pbx/aor/trunk-carrier"),
    ):
        (plan,) = machine.json(*arguments, "--dry-run")["plans"]
        assert artefact in {step["artefact"] for step in plan["steps"]}, arguments
        said = machine.ok(*arguments, "--dry-run")
        assert artefact in said and "Nothing was saved (--dry-run)." in said
    for arguments in (("organisation", "set", "acme", "name=Apex"), ("person", "set", "grace", "name=Ada")):
        found = machine.json(*arguments, "--dry-run")
        assert (found["plans"], found["handsets"]["steps"]) == ([], [])
        assert "This changes nothing in Asterisk." in machine.ok(*arguments, "--dry-run")
    assert "no trunk" in machine.refused("site", "set", "singapore", "trunk=nobody", "--dry-run")
    assert asyncio.run(read_model(wire())) == before


def test_pictures_are_named_by_key_or_by_number(machine: Machine) -> None:
    machine.ok("number", "add", SPARE, "--main")
    machine.ok("number", "allocate", SPARE, "--org", "acme")
    machine.ok("group", "add", "300", "--org", "acme", "--member", "101", "--label", "Sales")
    assert f"{SPARE}: reaches nothing" in machine.refused("show", "picture", SPARE)
    machine.ok("main-number", "add", "in_hours.kind=group", "in_hours.target=300", *CLOSED)
    for place, title in (
        ("100", "Call to 100"),
        ("+6561000100", "Call to 100"),
        ("acme/300", "Call to group 300 Sales"),
        ("6100 0900", f"Call to {SPARE}"),
    ):
        assert title in machine.ok("show", "picture", place).splitlines()[1]
    assert machine.json("show", "picture", "300")["mermaid"] == machine.ok("show", "picture", "300")
    assert "There is no extension or call group '999'." in machine.refused("show", "picture", "999")
    assert "is no number of ours" in machine.refused("show", "picture", "+6561999999")


def test_what_a_dhcp_server_should_tell_handsets_is_printed(machine: Machine) -> None:
    """By the provisioning server's own program, of which the control plane uses no code."""
    snippet = machine.ok("handset", "dhcp-hints", "--for", "isc", "--url", "https://pbx.example.com/e/")
    assert 'option tftp-server-name "https://pbx.example.com/e/";' in snippet
    asked = ("--for", "kea", "--tftp", "192.0.2.10")
    assert json.loads(machine.json("handset", "dhcp-hints", *asked)["snippet"])["client-classes"]
    assert "https://localhost:8443/e/" in machine.ok("handset", "dhcp-hints")
    assert "is no URL for handsets: give one as" in machine.refused("handset", "dhcp-hints", "--url", "pbx")
    assert "must be an IPv4 address" in machine.refused("handset", "dhcp-hints", "--tftp", "pbx")


def test_a_decommission_waits_for_the_control_plane_and_is_told_so(machine: Machine) -> None:
    assert machine.json("decommission", "status", "acme")["left"]["numbers"] == 4
    assert machine.run("decommission", "start", "acme", "--yes")[0] == 1
    assert "'wirechief lab up' starts it, and it carries this out" in machine.said
    found = machine.json("decommission", "status", "acme")
    assert (found["status"], found["left"]["numbers"]) == ("pending", 4)
    assert "pending: it still has 1 occupancy, 4 numbers" in machine.ok("decommission", "status", "acme")
    assert machine.json("task", "show", str(found["task"]))["state"] == "queued"
    assert "is being decommissioned already: 'wirechief decommission status acme'" in machine.refused(
        "decommission", "start", "acme", "--yes"
    )
    code, out = machine.run("decommission", "resume", "acme", "--json")
    assert (code, json.loads(out)) == (1, found), "the same task"
    assert "controls relating to its numbers are disabled" in machine.refused(
        "person", "add", "late", "Too Late", "--org", "acme"
    )

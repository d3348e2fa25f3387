"""What people type, as the model's terms: names of extensions, assignments, callers."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from control_plane.callpath.explain import Behaviour, HandsetCaller, InsideCaller, OutsideCaller
from control_plane.cli.app import LISTED_BY, sentence_of
from control_plane.cli.assignments import parse, settable
from control_plane.cli.circumstances import behaviours, split_busy
from control_plane.cli.references import caller_and_dialled, device_of, extension_id, party
from control_plane.domain.entities import NumberStatus, Occupancy, Organisation, PhoneNumber, Site, Trunk
from control_plane.domain.extension import Device, DeviceKind, Extension
from control_plane.domain.model import Model
from control_plane.domain.regions import RegionCode
from control_plane.errors import Conflict, InvalidField, UnknownEntity, Unreachable
from tests.documents import ROOT
from tests.unit.handset_models import MAC, OTHER, handset

DID = "+6561000100"


def extension(org: str, key: str, number: str | None = None) -> Extension:
    return Extension(org=org, key=key, site="sg", number=number)


MODEL = Model.of(
    organisations=[Organisation(id="acme", name="Acme"), Organisation(id="hq", name="HQ")],
    sites=[Site(id="sg", name="SG", region=RegionCode.SG, time_zone="Asia/Singapore", trunk="carrier")],
    trunks=[Trunk(id="carrier", host="127.0.0.2", region=RegionCode.SG)],
    extensions=[extension("acme", "100", DID), extension("acme", "101"), extension("hq", "101")],
    numbers=[PhoneNumber(e164=DID, site="sg", org="acme", extension="100", status=NumberStatus.ACTIVE)],
    handsets=[
        handset(key=None, site="sg", neutral_user="n" * 12, neutral_password="N" * 24),
        handset(OTHER, None, site="sg"),
    ],
    devices=[
        Device(
            id="dxxxxxxxxxxx",
            org="acme",
            extension="100",
            kind=DeviceKind.MOBILE,
            sip_password=SecretStr("s" * 24),
        )
    ],
)


def test_a_key_alone_names_an_extension_where_it_is_unique() -> None:
    assert extension_id(MODEL, "100") == ("acme", "100")


def test_a_key_of_several_organisations_must_say_which() -> None:
    with pytest.raises(
        Conflict, match=r"Extension 101 exists in several organisations: write acme/101 or hq/101\."
    ):
        extension_id(MODEL, "101")
    assert extension_id(MODEL, "hq/101") == ("hq", "101")
    assert extension_id(MODEL, "101", "acme") == ("acme", "101")


@pytest.mark.parametrize("text", ["999", "acme/999", "nobody/100", "", "/"])
def test_an_extension_that_is_not_there_is_named(text: str) -> None:
    with pytest.raises(UnknownEntity, match="There is no extension"):
        extension_id(MODEL, text)


def test_a_caller_outside_reaches_an_extension_through_its_number_and_trunk() -> None:
    assert caller_and_dialled(MODEL, "+65 3123 4567", "100", None) == (
        OutsideCaller("carrier", "+6531234567"),
        DID,
    )
    assert caller_and_dialled(MODEL, "anonymous", DID, None) == (OutsideCaller("carrier", None), DID)


def test_a_caller_inside_dials_what_is_typed() -> None:
    assert caller_and_dialled(MODEL, "100", "*78", None) == (InsideCaller("acme", "100"), "*78")
    assert caller_and_dialled(MODEL, "100", "acme/101", None) == (InsideCaller("acme", "100"), "101")
    assert caller_and_dialled(MODEL, "hq/101", "acme/100", None) == (InsideCaller("hq", "101"), DID)


def test_a_handset_nobody_is_logged_in_at_is_named_by_its_mac_in_any_notation() -> None:
    for written in ("80:5e:c0:12:34:56", "805EC0-123456"):
        assert caller_and_dialled(MODEL, f"handset:{written}", "*11", None) == (HandsetCaller(MAC), "*11")
    assert caller_and_dialled(MODEL, f"handset:{MAC}", "acme/101", None)[1] == "101"
    for wrong, problem in (("12", "MAC"), (OTHER, "no neutral line"), ("805ec0123458", "no handset")):
        with pytest.raises((InvalidField, UnknownEntity), match=problem):
            caller_and_dialled(MODEL, f"handset:{wrong}", "999", None)


def test_an_extension_without_a_number_cannot_be_called_from_outside() -> None:
    with pytest.raises(InvalidField, match="has no number"):
        caller_and_dialled(MODEL, "+6531234567", "acme/101", None)


def test_numbers_in_national_notation_are_read_as_dialled_at_the_site() -> None:
    assert party(MODEL, "31234567") == "+6531234567"


def test_busy_means_a_call_up_inside_and_a_busy_line_outside() -> None:
    assert split_busy(MODEL, None, ["100", "+6531234567"]) == (["+6531234567"], frozenset({"acme/100"}))


def test_what_phones_do_is_told_by_option_or_by_pair() -> None:
    found = behaviours(MODEL, None, {Behaviour.RING: ["100"]}, ["hq/101=refuse"])
    assert found == {"acme/100": Behaviour.RING, "hq/101": Behaviour.REFUSE}


@pytest.mark.parametrize("pair", ["100", "100=", "100=sulk"])
def test_a_pair_that_says_nothing_sensible_names_the_choices(pair: str) -> None:
    with pytest.raises(InvalidField, match="answer, busy, refuse, ring, unregistered"):
        behaviours(MODEL, None, {}, [pair])


def test_a_device_is_named_by_kind_or_sip_user() -> None:
    assert device_of(MODEL, ("acme", "100"), "mobile").id == "dxxxxxxxxxxx"
    assert device_of(MODEL, ("acme", "100"), "dxxxxxxxxxxx").kind is DeviceKind.MOBILE
    with pytest.raises(UnknownEntity):
        device_of(MODEL, ("acme", "100"), "desktop")


def test_assignments_become_a_nested_patch_of_typed_values() -> None:
    assert parse(
        ["dnd=on", "forwarding.extensions=101, 102", "no_answer.ring_timeout_s=5", "label=Front = desk"]
    ) == {
        "dnd": True,
        "forwarding": {"extensions": ("101", "102")},
        "no_answer": {"ring_timeout_s": 5},
        "label": "Front = desk",
    }


def test_none_clears_a_list_or_an_optional_field() -> None:
    assert parse(["forwarding.vip=none", "number="]) == {"forwarding": {"vip": ()}, "number": None}


def test_a_pin_is_a_secret_from_the_moment_it_is_read() -> None:
    assert "4711" not in repr(parse(["voicemail_pin=4711"]))


@pytest.mark.parametrize(
    "name", ["dn", "forwarding", "forwarding.vip_ring_devices", "org", "dnd.x", "forwarding."]
)
def test_a_name_that_cannot_be_set_is_answered_with_those_that_can(name: str) -> None:
    with pytest.raises(InvalidField, match=r"no field that can be set; .*[Tt]here are .*forwarding\.enabled"):
        parse([f"{name}=1"])


def test_every_name_that_can_be_set_can_be_parsed() -> None:
    for name in settable():
        assert parse([f"{name}=1"])


def test_what_is_no_assignment_is_refused() -> None:
    with pytest.raises(InvalidField, match="is not NAME=VALUE"):
        parse(["dnd"])
    with pytest.raises(InvalidField, match="must be true or false"):
        parse(["dnd=maybe"])


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("dndd=true", "dnd"), ("DND=true", "dnd"), ("forward.enabled=true", "forwarding.enabled")],
)
def test_a_slip_of_the_keyboard_is_answered_with_the_field_that_was_meant(typed: str, meant: str) -> None:
    with pytest.raises(InvalidField, match=rf"did you mean {meant}\?"):
        parse([typed])


@pytest.mark.parametrize("typed", ["", "=true"])
def test_an_assignment_without_a_name_is_shown_as_it_was_typed(typed: str) -> None:
    with pytest.raises(InvalidField, match=f"'{typed}': is not NAME=VALUE"):
        parse([typed])


def test_a_number_below_nought_reaches_the_rule_of_its_field() -> None:
    assert parse(["no_answer.ring_timeout_s=-5"]) == {"no_answer": {"ring_timeout_s": -5}}


def test_where_asterisk_cannot_be_reached_the_remedy_is_named() -> None:
    said = sentence_of(Unreachable("Asterisk at 127.0.0.1:5038 cannot be reached: refused."))
    assert said.endswith("'wirechief lab up' starts what does not.")
    assert sentence_of(Unreachable("Do 'wirechief lab up'.")) == "Do 'wirechief lab up'."


@pytest.mark.parametrize("to", ["", " ", "abc", "100;101", "sip:100@x", "acme/"])
def test_what_cannot_be_dialled_is_refused_by_name(to: str) -> None:
    with pytest.raises(InvalidField, match="--to"):
        caller_and_dialled(MODEL, "100", to, None)


def test_the_command_named_for_what_is_not_there_exists() -> None:
    known = (ROOT / "docs/commands.md").read_text()
    for kind, command in LISTED_BY.items():
        assert f"`wirechief {command}" in known
        assert command in sentence_of(UnknownEntity(kind, "x"))


def test_what_belongs_to_a_field_that_cannot_be_set_cannot_be_set_either() -> None:
    assert settable(Occupancy, ("org", "site", "authorization_code")) == ("reception",)

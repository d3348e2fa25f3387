"""What a unit renders to, at the edges of what the model allows."""

from __future__ import annotations

import json

import pytest
from pydantic import SecretStr

from control_plane.domain.entities import NumberStatus, Organisation, PhoneNumber, Site
from control_plane.domain.extension import Device, DeviceKind, Extension, NoAnswer, NoAnswerAction, Transport
from control_plane.domain.model import Model
from control_plane.domain.regions import RegionCode
from control_plane.render.artefacts import ArtefactKey, Holder, Unit, UnitKind
from control_plane.render.shapes import MAX_VALUE_BYTES
from control_plane.render.units import render_unit, touched

NUMBER = "+123456789012345"


def model_with(label: str = "", *, org: str = "acme", site: str = "sg", **fields: object) -> Model:
    extension = Extension.model_validate(
        {"org": org, "key": "123456", "site": site, "label": label, "voicemail_pin": "4711", **fields}
    )
    device = Device(
        id="d" + "x" * 11,
        org=org,
        extension="123456",
        kind=DeviceKind.DESKTOP,
        transport=Transport.TLS,
        srtp=True,
        sip_password=SecretStr("x" * 64),
    )
    return Model.of(
        organisations=[Organisation(id=org, name="x")],
        sites=[
            Site(
                id=site,
                name="s",
                region=RegionCode.SG,
                time_zone="Asia/Singapore",
                media_address="192.168.100.200",
            )
        ],
        extensions=[extension],
        devices=[device],
        numbers=[
            PhoneNumber(e164=NUMBER, site=site, org=org, extension="123456", status=NumberStatus.ACTIVE)
        ],
    )


def rows(model: Model, org: str = "acme") -> dict[str, str]:
    rendered = render_unit(model, "lab", Unit(UnitKind.EXTENSION, (org, "123456")))
    return {k.name: v for k, v in rendered.values.items() if k.holder is Holder.ROW}


def test_the_longest_names_the_model_allows_fit_into_a_row() -> None:
    model = model_with(
        "\N{GRINNING FACE}" * 60,
        org="a" * 31,
        site="b" * 31,
        number=NUMBER,
        no_answer=NoAnswer(action=NoAnswerAction.VOICEMAIL),
    )
    assert max(len(value.encode()) for value in rows(model, "a" * 31).values()) <= MAX_VALUE_BYTES


@pytest.mark.parametrize("label", ['a"b', "a;b", "a<100>b", "a\\", "${SHELL(id)}", "a,b", "a&b", "{{ 7*7 }}"])
def test_a_hostile_label_stays_inside_the_caller_id(label: str) -> None:
    found = rows(model_with(label))
    endpoint = json.loads(found["pbx/endpoint/dxxxxxxxxxxx"])
    name, _, number = endpoint["callerid"].rpartition(" ")
    assert number == "<123456>"
    assert name.startswith('"')
    assert name.endswith('"')
    assert not set(name[1:-1]) & set('"<>\\;')
    assert endpoint["context"] == "from-device"
    assert json.loads(found["pbx/auth/dxxxxxxxxxxx"])["password"] == "x" * 64


def test_a_comma_in_a_label_does_not_shift_the_mailbox_columns() -> None:
    model = model_with("Doe, Jane; x", no_answer=NoAnswer(action=NoAnswerAction.VOICEMAIL))
    rendered = render_unit(model, "lab", Unit(UnitKind.EXTENSION, ("acme", "123456")))
    line = rendered.values[ArtefactKey(Holder.MAILBOX, "acme/123456")]
    assert line.split(",")[0] == "4711"
    assert line.split(",")[2:] == ["", "", "attach=no|maxsecs=59"]


def test_an_inactive_number_leaves_nothing_to_register_or_ring() -> None:
    model = model_with(number="+6561000100")  # the model has no such number, so it is not ACTIVE
    assert set(rows(model)) == {"ext/acme/123456"}
    assert rows(model)["ext/acme/123456"].startswith("inactive,")


def test_a_new_media_address_touches_every_extension_of_the_site() -> None:
    model = model_with()
    site = model.sites["sg"]
    before = site.model_copy(update={"media_address": None})
    assert Unit(UnitKind.EXTENSION, ("acme", "123456")) in touched(model, before, site)

"""What a handset does at which nobody is logged in: its path, its rows, what is found about it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from control_plane.callpath.explain import HandsetCaller, explain
from control_plane.callpath.findings import findings
from control_plane.domain.entities import Organisation, Site, SiteProvisioning, Trunk
from control_plane.domain.extension import Extension, Forwarding, Transport
from control_plane.domain.groups import CallGroup, Destination, DestinationKind
from control_plane.domain.handsets import Handset
from control_plane.domain.model import Model
from control_plane.domain.regions import REGIONS, RegionCode
from control_plane.errors import UnknownEntity
from control_plane.render.artefacts import Unit, UnitKind
from control_plane.render.units import render_unit, touched
from tests.unit.handset_models import MAC, OTHER, handset
from tests.unit.pushing import device, extension

USER, PASSWORD = "nq8w7e6r5t4z", "N" * 24
UNIT = Unit(UnitKind.HANDSET, (MAC,))


def lobby(**values: object) -> Handset:
    neutral: dict[str, Any] = {"neutral_user": USER, "neutral_password": PASSWORD, "name": "Lobby"}
    return handset(key=None, **(neutral | values))


def model(
    *extensions: Extension,
    phone: Handset | None = None,
    region: RegionCode = RegionCode.SG,
    trunk: str | None = "carrier",
    reception: tuple[str, ...] = ("100",),
    groups: tuple[CallGroup, ...] = (),
) -> Model:
    return Model.of(
        organisations=[Organisation(id="acme", name="Acme")],
        sites=[
            Site(
                id="hq",
                name="HQ",
                region=region,
                time_zone="Asia/Singapore",
                trunk=trunk,
                caller_id="+6561999999",
                reception=reception,
                media_address="192.0.2.7",
            )
        ],
        trunks=[Trunk(id="carrier", host="192.0.2.1", region=region)],
        extensions=extensions or (extension("100"),),
        devices=[device("100")],
        handsets=[lobby() if phone is None else phone],
        call_groups=groups,
    )


@pytest.mark.parametrize("region", list(RegionCode))
def test_every_emergency_number_of_every_region_is_reached_first(region: RegionCode) -> None:
    for number in REGIONS[region].emergency:
        explained = explain(model(region=region, reception=(number,)), HandsetCaller(MAC), number)
        assert [s.node for s in explained.trace] == ["neutral.emergency", "neutral.emergency_trunk"]
        assert explained.rings == (number,)


def test_it_keeps_its_line_while_somebody_is_logged_in() -> None:
    """Until it fetched what it is told then, it has nothing else to call for help with."""
    logged_in = handset(neutral_user=USER, neutral_password=PASSWORD)
    assert explain(model(phone=logged_in), HandsetCaller(MAC), "999").outcome == "answered"
    assert f"pbx/endpoint/{USER}" in rows(model(phone=logged_in))


@pytest.mark.parametrize("phone", [handset(key=None), lobby(enabled=False)], ids=["without", "disabled"])
def test_no_line_no_call(phone: Handset) -> None:
    with pytest.raises(UnknownEntity):
        explain(model(phone=phone), HandsetCaller(MAC), "999")
    assert rows(model(phone=phone)) == {}


def rows(found: Model) -> dict[str, str]:
    return {key.name: value for key, value in render_unit(found, "lab", UNIT).values.items()}


@pytest.mark.parametrize("transport", list(Transport))
def test_its_endpoint_belongs_to_the_handset_and_to_no_extension(transport: Transport) -> None:
    found = rows(model(phone=lobby(neutral_transport=transport)))
    assert set(found) == {f"pbx/{kind}/{USER}" for kind in ("auth", "aor", "endpoint")}
    endpoint = json.loads(found[f"pbx/endpoint/{USER}"])
    assert endpoint["context"] == "from-handset"
    assert endpoint["set_var"] == f"WC_ID=acme,hq,{MAC},{USER}"
    assert endpoint["media_address"] == "192.0.2.7"
    assert (endpoint.get("media_encryption") == "sdes") is (transport is Transport.TLS)
    assert json.loads(found[f"pbx/auth/{USER}"])["password"] == PASSWORD


def test_while_its_password_is_rotated_the_one_before_is_taken_too() -> None:
    found = rows(model(phone=lobby(neutral_password_previous="P" * 24)))
    assert json.loads(found[f"pbx/endpoint/{USER}"])["auth"] == f"{USER},{USER}~old"
    passwords = [json.loads(found[f"pbx/auth/{name}"])["password"] for name in (USER, f"{USER}~old")]
    assert passwords == [PASSWORD, "P" * 24]
    assert {json.loads(found[f"pbx/auth/{name}"])["username"] for name in (USER, f"{USER}~old")} == {USER}


def test_its_rows_follow_the_handset_and_the_site() -> None:
    found = model()
    site = found.sites["hq"]
    assert UNIT in touched(found, None, lobby())
    assert UNIT in touched(found, site.model_copy(update={"media_address": None}), site)
    assert rows(Model.of(organisations=found.organisations.values(), sites=[site])) == {}
    assert dict(render_unit(found, "elsewhere", UNIT).values) == {}


def test_a_site_whose_phone_ids_are_all_taken_says_so_while_they_are() -> None:
    """The dialplan refuses a log-in by phone by this row; the journal alone would sound like a success."""
    first, second = Unit(UnitKind.SITE, ("hq",)), handset(OTHER, None, phone_id=2)
    policy = {"provisioning": SiteProvisioning(phone_ids=2)}
    one, both = lobby(phone_id=1), [lobby(phone_id=1), second]
    site = model().sites["hq"].model_copy(update=policy)

    def full(*handsets: Handset) -> bool:
        found = Model.of(organisations=model().organisations.values(), sites=[site], handsets=handsets)
        values = render_unit(found, "lab", first).values
        return "site/hq/full" in {key.name for key in values}

    assert (full(), full(one), full(*both), full(second)) == (False, False, True, False)
    assert first in touched(model(), None, second) and first in touched(model(), second, None)
    assert first in touched(model(), one, one.model_copy(update={"phone_id": None}))
    assert first not in touched(model(), one, one.model_copy(update={"name": "Hall"}))


def test_a_line_has_a_user_and_a_password_or_neither() -> None:
    with pytest.raises(ValueError, match="neutral_user"):
        lobby(neutral_password="")


def test_a_site_with_handsets_alone_must_reach_emergency_too() -> None:
    found = findings(Model.of(sites=[model(trunk=None).sites["hq"]], handsets=[lobby()]))
    assert "emergency-reachable" in {finding.rule for finding in found}


def test_a_lobby_that_reaches_nobody_inside_is_named() -> None:
    assert [f.rule for f in findings(model(reception=("+6588880012",)))] == ["neutral-line-without-reception"]
    assert findings(model()) == ()


def test_reception_that_leads_outside_is_named() -> None:
    away = extension("100", forwarding=Forwarding(enabled=True, numbers=("+6588880007",)))
    assert [f.rule for f in findings(model(away))] == ["neutral-line-reaches-outside"]
    onward = Destination(kind=DestinationKind.NUMBER, target="+6588880007")
    group = CallGroup(org="acme", key="300", site="hq", members=("100",), otherwise=onward)
    found = findings(model(reception=("300",), groups=(group,)))
    assert [f.rule for f in found] == ["neutral-line-reaches-outside"]

"""What looks wrong about a handset although it is allowed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from control_plane.render.handsets.families import CATALOGUE
from control_plane.service.handset_status import warnings_of
from tests.unit.handset_models import PLACE, handset

AUTHORITY = "https://pbx.example.com:8443/c/ca.crt"
MACS = {"grandstream": "000b82123456", "fanvil": "0c383e123456", "gigaset": "7c2f80123456"}


@pytest.mark.parametrize(
    ("model", "vendor", "says"),
    [
        ("GRP2614", "grandstream", "check no certificate"),
        ("X6U", "fanvil", f"install {AUTHORITY} at its web pages"),
        ("N670 IP PRO", "gigaset", f"install {AUTHORITY} at its web pages"),
    ],
)
def test_who_cannot_be_told_of_our_authority_is_named_with_what_to_do(
    model: str, vendor: str, says: str
) -> None:
    phone = handset(MACS[vendor], None, model=model)
    (warning,) = warnings_of(phone, AUTHORITY)
    assert says in warning and "docs/handsets.md, custom_ca" in warning
    assert warnings_of(phone, "") == (), "a public authority is known to every handset"


def test_every_family_without_the_feature_is_warned_of_and_no_other() -> None:
    warned = {
        model.name
        for model in CATALOGUE.models
        if any("authority" in text for text in warnings_of(handset(key=None, model=model.name), AUTHORITY))
    }
    assert warned == {
        model.name
        for model in CATALOGUE.models
        if not CATALOGUE.family(model).softphone and "custom_ca" not in CATALOGUE.family(model).supports
    }
    assert "T54W" not in warned and "GRP2614" in warned


def test_a_mac_of_another_make_and_a_model_that_is_gone_are_named() -> None:
    (warning,) = warnings_of(handset(MACS["fanvil"], None), AUTHORITY)
    assert "Fanvil" in warning or "fanvil" in warning
    (gone,) = warnings_of(handset(model="T999"), "")
    assert "T999" in gone


def test_the_authority_is_where_common_files_are_and_only_one_of_ones_own() -> None:
    assert PLACE.authority_url == ""
    assert replace(PLACE, ca_pem="-----BEGIN CERTIFICATE-----").authority_url == AUTHORITY

"""Models with handsets, for tests: an organisation, two extensions, a phone each, and where they fetch."""

from __future__ import annotations

from dataclasses import replace

from control_plane.domain.entities import Entity, Organisation
from control_plane.domain.handsets import Handset
from control_plane.render.handsets.assemble import Place
from tests.unit.pushing import SITE, device, extension

MAC, OTHER = "805ec0123456", "805ec0123457"
TOKEN, OTHER_TOKEN = "ab" * 20, "cd" * 20
PLACE = Place(
    url="https://pbx.example.com:8443/",
    public_url="https://pbx.example.com:8443/c/",
    sip_host="192.0.2.10",
    sip_port=5060,
    sip_tls_port=5061,
    year=2030,
    ntp_servers=("ntp.example.com",),
)
NEXT_YEAR = replace(PLACE, year=2031)


def handset(mac: str = MAC, key: str | None = "100", **values: object) -> Handset:
    return Handset.model_validate(
        {
            "mac": mac,
            "model": "T54W",
            "org": "acme",
            "site": "hq",
            "extension": key,
            "device": device(key).id if key else None,
            "token": TOKEN if mac == MAC else OTHER_TOKEN,
            "http_user": "httpuser01" if mac == MAC else "httpuser02",
            "http_password": "H" * 24,
            "admin_password": "A" * 24,
            "user_password": "B" * 24,
            **values,
        }
    )


def handset_model() -> list[Entity]:
    """100 "Ada" and 101 "Ben" of Acme, each at a phone."""
    return [
        Organisation(id="acme", name="Acme"),
        SITE,
        extension("100", label="Ada"),
        extension("101", label="Ben"),
        device("100"),
        device("101"),
        handset(),
        handset(OTHER, "101"),
    ]

"""docker/compose.yaml passes on what the program can be told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from control_plane.settings import Settings
from provisioning_server.settings import Settings as ProvisioningSettings

FILE = Path(__file__).parents[2] / "docker" / "compose.yaml"
NOT_FOR_COMPOSE = {"instance", "sip_tls_names", "start_deadline_s"}
"""Names of containers, the certificate and waiting for them are Compose's own business there."""
FIXED = {"state_dir", "asterisk_image", "provisioning_host"}
SECRET = {"smtp_password", "database"}


@pytest.fixture(name="services")
def _services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(FILE.read_text())["services"]
    return found


def told(service: dict[str, Any]) -> set[str]:
    return {
        n.removeprefix("WIRECHIEF_").lower() for n in service["environment"] if n.startswith("WIRECHIEF_")
    }


@pytest.mark.parametrize("name", ["control_plane", "prepare"])
def test_every_setting_reaches_the_control_plane(services: dict[str, Any], name: str) -> None:
    assert told(services[name]) == set(Settings.model_fields) - NOT_FOR_COMPOSE
    fixed = {key for key, value in services[name]["environment"].items() if value is not None}
    assert fixed == {f"WIRECHIEF_{setting.upper()}" for setting in FIXED}


def test_what_the_provisioning_server_can_be_told_there_are_settings_of_its(services: dict[str, Any]) -> None:
    given = {name.removeprefix("provisioning_") for name in told(services["provisioning"])}
    assert given <= set(ProvisioningSettings.model_fields)
    assert {"host", "names", "https_port", "http_port", "tftp_port", "pnp", "trusted_proxies"} <= given


@pytest.mark.parametrize("name", ["node", "carrier"])
def test_a_change_of_an_address_or_port_starts_the_asterisks_anew_and_tells_them_no_secret(
    services: dict[str, Any], name: str
) -> None:
    places = {s for s in Settings.model_fields if s.startswith(("sip_", "rtp_", "ami_", "carrier_"))}
    assert told(services[name]) == (places | {"node"}) - NOT_FOR_COMPOSE
    assert not told(services[name]) & SECRET

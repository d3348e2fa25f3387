"""Settings: their defaults, their rules, and that the documentation has every one."""

from __future__ import annotations

import ipaddress
import json
import os
from pathlib import Path

import pytest
from pydantic import ValidationError
from pydantic_settings import BaseSettings

from control_plane.settings import Settings
from provisioning_server.settings import PREFIX
from provisioning_server.settings import Settings as ProvisioningSettings

DOCUMENT = Path(__file__).parents[2] / "docs" / "settings.md"


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("WIRECHIEF_"):
            monkeypatch.delenv(name)


def described(kind: type[BaseSettings], prefix: str) -> str:
    """The table of the document, from the settings themselves."""
    rows = []
    for name, field in kind.model_fields.items():
        default = "" if field.default_factory or field.default is None else field.default
        value = json.dumps(default) if isinstance(default, tuple) else str(default)
        rows.append(f"| `{prefix}{name.upper()}` | {f'`{value}`' if value else ''} | {field.description} |")
    return "| variable | default | what |\n|---|---|---|\n" + "\n".join(rows) + "\n"


@pytest.mark.parametrize(("kind", "prefix"), [(Settings, "WIRECHIEF_"), (ProvisioningSettings, PREFIX)])
def test_every_setting_is_in_the_document_as_it_is_in_the_code(kind: type[BaseSettings], prefix: str) -> None:
    table = described(kind, prefix)
    assert table in DOCUMENT.read_text(), f"{DOCUMENT} differs: put this table into it\n\n{table}"


def test_everything_is_on_loopback_by_default() -> None:
    settings = Settings()
    for address in (settings.sip_address, settings.ami_host, settings.carrier_address, settings.api_host):
        assert ipaddress.ip_address(address).is_loopback


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WIRECHIEF_SIP_PORT", "5070")
    monkeypatch.setenv("WIRECHIEF_SMTP_PASSWORD", "hunter2")
    settings = Settings()
    assert settings.sip_port == 5070
    assert settings.smtp_password.get_secret_value() == "hunter2"
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sip_port", 0),
        ("database", "mysql://wirechief@192.0.2.1/wirechief"),
        ("database", "wirechief.sqlite3"),
        ("sip_address", "localhost"),
        ("sip_address", "300.1.1.1"),
        ("sip_address", "0.0.0.0"),
        ("ami_host", "192.0.2.1"),
        ("carrier_address", "192.0.2.1"),
        ("instance", "Two Words"),
        ("rtp_port_max", 20001),
        ("sip_tls_names", ("localhost,IP:192.0.2.1",)),
    ],
)
def test_a_setting_against_its_rule_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValidationError, match=field):
        Settings.model_validate({field: value})


def test_manager_interfaces_that_would_collide_are_refused() -> None:
    with pytest.raises(ValidationError, match="carrier_address"):
        Settings.model_validate({"carrier_address": "127.0.0.1"})

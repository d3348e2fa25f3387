"""Where handsets are told to fetch: what is set, else what the certificate of the server is good for."""

from __future__ import annotations

import pytest

from control_plane.bootstrap.reach import provisioning_url, provisioning_warning
from control_plane.settings import Settings
from provisioning_server.settings import Settings as ServerSettings

LOCAL = "https://localhost:8443"


@pytest.mark.parametrize(
    ("given", "url", "warned"),
    [
        ({}, LOCAL, None),
        ({"api_host": "127.77.0.1"}, "https://127.77.0.1:8443", None),
        ({"provisioning_host": "192.0.2.7", "sip_address": "192.0.2.7"}, "https://192.0.2.7:8443", None),
        ({"provisioning_host": "2001:db8::7"}, "https://[2001:db8::7]:8443", None),
        ({"provisioning_host": "0.0.0.0"}, LOCAL, "PROVISIONING_NAMES"),
        ({"provisioning_host": "0.0.0.0", "provisioning_names": ("pbx.example.com",)},
         "https://pbx.example.com:8443", None),
        ({"provisioning_host": "127.77.0.1", "provisioning_names": ("localhost",)}, LOCAL, None),
        ({"provisioning_public_url": "https://prov.example.com", "api_host": "192.0.2.7"},
         "https://prov.example.com", None),
        ({"api_host": "192.0.2.7"}, LOCAL, "PROVISIONING_HOST"),
        ({"sip_address": "192.0.2.7"}, LOCAL, "PROVISIONING_HOST"),
    ],
)  # fmt: skip
def test_what_handsets_are_told_and_who_is_warned(
    given: dict[str, object], url: str, warned: str | None
) -> None:
    settings = Settings.model_validate(given)
    assert provisioning_url(settings) == url
    found = provisioning_warning(settings)
    assert (found is None) if warned is None else (found is not None and warned in found)
    server = {n.removeprefix("provisioning_"): v for n, v in given.items() if n.startswith("provisioning_")}
    if "api_host" in given:
        server.setdefault("host", given["api_host"])
    if warned != "PROVISIONING_HOST":
        assert ServerSettings.model_validate(server).base_url == url, "both say the same"

"""docker/compose.yaml for real: everything in containers, calls, a handset that trusts the one authority."""

from __future__ import annotations

import json
import os
import socket
import ssl
from collections.abc import Iterator

import httpx
import pytest

from tests.integration.composed import UP_S, Composed, command, composed_in
from tests.waiting import wait_until

pytestmark = pytest.mark.asterisk

MAC = "805ec0123456"
SERVICES = {"node", "carrier", "provisioning", "control_plane"}


@pytest.fixture(scope="module")
def composed(asterisk_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composed]:
    program = command()
    if program is None:
        pytest.skip("neither 'docker compose' nor docker-compose is here (docs/lab.md)")
    if os.getuid() != 0:
        pytest.skip("what the containers keep belongs to user 5060: only root can look at it")
    with composed_in(tmp_path_factory.mktemp("state"), asterisk_image, program) as made:
        yield made


def test_a_handset_fetches_from_the_container_and_trusts_the_node_by_the_same_authority(
    composed: Composed,
) -> None:
    settings = composed.settings
    composed.wirechief("handset", "add", MAC, "T54W", "--login", "acme/100")
    composed.wirechief("handset", "enrol", MAC)
    trust = ssl.create_default_context(cafile=str(composed.authority))
    with httpx.Client(verify=trust, trust_env=False) as client:
        bootstrap = client.get(
            f"{composed.base}/{MAC}.cfg", headers={"User-Agent": "Yealink SIP-T54W 96.86.0.70"}
        )
        assert bootstrap.status_code == 200, bootstrap.text
        told = dict(line.split(" = ", 1) for line in bootstrap.text.splitlines() if " = " in line)
        url = told["static.auto_provision.server.url"]
        assert url.startswith(f"{composed.base}/p/"), "it is told the address the server listens on"
        login = (
            told["static.auto_provision.server.username"],
            told["static.auto_provision.server.password"],
        )
        settings_file = client.get(f"{url}{MAC}.cfg", auth=httpx.DigestAuth(*login))
        assert "account.1.password = " in settings_file.text
        authority = client.get(f"{composed.base}/c/ca.crt")
        assert authority.content == composed.authority.read_bytes()
    trust.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        socket.create_connection((settings.sip_address, settings.sip_tls_port), timeout=5) as plain,
        trust.wrap_socket(plain, server_hostname="localhost") as secured,
    ):
        assert secured.version() == "TLSv1.2", "one authority for SIP too"


def test_two_phones_on_the_host_call_each_other_through_it(composed: Composed) -> None:
    said = composed.wirechief_on_the_host("call", "--from", "100", "--to", "101")
    assert "outcome: answered" in said
    assert "The real call did what explain says." in said


def test_every_service_says_that_it_is_well_and_nothing_secret_is_printed(composed: Composed) -> None:
    def all_are_healthy() -> bool:
        found = composed.containers()
        return all("(healthy)" in found[service] for service in SERVICES)

    wait_until(all_are_healthy, f"all of {sorted(SERVICES)} are healthy", UP_S, look_again_s=0.5)
    found = composed.containers()
    assert found.keys() == SERVICES | {"prepare"}
    assert found["prepare"].startswith("Exited (0)")
    printed = composed.compose("logs")
    assert "the control plane listens on" in printed
    devices = json.loads(composed.wirechief("lab", "credentials", "--json"))
    secrets = [*composed.secrets.values(), *(device["sip_password"] for device in devices)]
    assert len(secrets) > len(devices) > 0
    assert not [number for number, secret in enumerate(secrets) if secret in printed]


def test_a_service_that_does_not_answer_is_not_taken_for_well(composed: Composed) -> None:
    check = ("python3", "/opt/wirechief/healthy.py")
    # Asked where nothing listens.
    for service, port in (("control_plane", "API_PORT"), ("provisioning", "PROVISIONING_HTTPS_PORT")):
        composed.compose("exec", "-T", service, *check, service)
        with pytest.raises(AssertionError, match=f"{service} does not answer"):
            composed.compose("exec", "-T", "-e", f"WIRECHIEF_{port}=9", service, *check, service)


def test_the_image_can_use_a_database_elsewhere(composed: Composed) -> None:
    nobody = "WIRECHIEF_DATABASE=postgresql://nobody@127.0.0.1:9/none"
    with pytest.raises(AssertionError, match=r"(?i)connection refused"):
        composed.compose("exec", "-T", "-e", nobody, "control_plane", "wirechief", "lab", "credentials")


def test_the_lab_is_not_ended_from_inside_a_container(composed: Composed) -> None:
    with pytest.raises(AssertionError, match="runs in a container: stop it there"):
        composed.wirechief("lab", "down")
    assert composed.node()["in_sync"] is True


def test_what_was_changed_is_there_and_in_force_after_down_and_up(composed: Composed) -> None:
    composed.wirechief("set", "extension", "102", "dnd=true")
    before = composed.node()["revision"]
    authority = composed.authority.read_bytes()
    composed.compose("down", "-v")
    assert composed.containers() == {}
    composed.up()
    node = composed.node()
    assert node["revision"] == node["revision_pushed"] == before
    assert "do not disturb is on" in composed.wirechief("explain", "--from", "100", "--to", "102")
    assert composed.authority.read_bytes() == authority

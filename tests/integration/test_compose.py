"""docker/compose.yaml for real: everything in containers, and a handset that trusts the one authority.

Only with WIRECHIEF_TEST_COMPOSE set, because the control plane's image has to be built first (docs/lab.md).
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from control_plane.adapters.engine import docker
from control_plane.settings import Settings
from tests.lab import own_settings
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.asterisk,
    pytest.mark.skipif(
        not os.environ.get("WIRECHIEF_TEST_COMPOSE"),
        reason="WIRECHIEF_TEST_COMPOSE is not set: the control plane's image has to be built (docs/lab.md)",
    ),
]

FILE = Path(__file__).parents[2] / "docker" / "compose.yaml"
MAC = "805ec0123456"
UP_S = 120.0


@dataclass(frozen=True)
class Composed:
    """What Compose started."""

    settings: Settings
    command: tuple[str, ...]
    environment: dict[str, str]

    def compose(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self.command, "-p", self.settings.instance, "-f", str(FILE), *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
        return done.stdout

    def wirechief(self, *arguments: str) -> str:
        return self.compose("exec", "-T", "control_plane", "wirechief", *arguments)

    def node(self) -> dict[str, object]:
        """What the control plane says of its node. Raises: httpx.HTTPError, OSError, KeyError."""
        token = json.loads((self.settings.state_dir / "secrets.json").read_text())["api_token"]
        url = f"http://{self.settings.api_host}:{self.settings.api_port}/api/v1/nodes/lab"
        answer = httpx.get(url, headers={"Authorization": f"Bearer {token}"}, trust_env=False)
        found: dict[str, object] = answer.json()
        return found

    @property
    def base(self) -> str:
        return f"https://{self.settings.api_host}:{self.settings.provisioning_https_port}"

    @property
    def authority(self) -> Path:
        return self.settings.state_dir / "provisioning" / "tls" / "ca.crt"


def command() -> tuple[str, ...]:
    """Compose v2 where it is, else v1."""
    there = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0
    if there:
        return ("docker", "compose")
    assert shutil.which("docker-compose"), "neither 'docker compose' nor docker-compose is here"
    return ("docker-compose",)


@pytest.fixture(scope="module")
def composed(asterisk_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composed]:
    settings = own_settings(
        tmp_path_factory.mktemp("state"), asterisk_image=asterisk_image, provisioning_public_url=""
    )
    names = settings.model_fields_set - {"instance", "provisioning_public_url"}
    told = {f"WIRECHIEF_{name.upper()}": str(getattr(settings, name)) for name in names}
    told["WIRECHIEF_PROVISIONING_HOST"] = settings.api_host
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WIRECHIEF_")}
    made = Composed(settings, command(), clean | told)
    try:
        made.compose("up", "-d")
        yield made
    finally:
        made.compose("down")
        # What was written belongs to another user: the engine takes it away.
        docker(
            "run", "--rm", "--user=0", "--entrypoint=rm", f"--volume={settings.state_dir}:/state",
            asterisk_image, "-rf", "/state/node", "/state/carrier",
        )  # fmt: skip


def test_a_handset_fetches_from_the_container_and_trusts_the_node_by_the_same_authority(
    composed: Composed,
) -> None:
    settings = composed.settings

    def is_up() -> bool:
        try:
            return composed.node()["in_sync"] is True
        except (httpx.HTTPError, OSError, KeyError):
            return False

    wait_until(is_up, "the node is in sync", UP_S)
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

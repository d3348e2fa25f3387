"""docker/compose.yaml as a person starts it, on addresses of its own, from an image of this tree."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from control_plane.adapters.engine import docker
from control_plane.settings import Settings
from tests.integration.stack import CLI
from tests.lab import own_settings
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker" / "compose.yaml"
BASE = "wirechief-base:forky"
KEPT = "wirechief-control-plane:test"
TRUSTED = Path("/usr/local/share/ca-certificates")
UP_S = 120.0
BUILD_S = 600.0


def command() -> tuple[str, ...] | None:
    """The program WIRECHIEF_TEST_COMPOSE names, else Compose v2, else v1; None: there is none."""
    named = os.environ.get("WIRECHIEF_TEST_COMPOSE")
    if named:
        return (named,)
    if shutil.which("docker"):
        asked = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
        if asked.returncode == 0:
            return ("docker", "compose")
    return ("docker-compose",) if shutil.which("docker-compose") else None


def run(arguments: Sequence[str], environment: dict[str, str], within_s: float = UP_S) -> str:
    """What a command prints. Raises: AssertionError with what it said when it fails."""
    done = subprocess.run(
        arguments, env=environment, capture_output=True, text=True, check=False, timeout=within_s
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return done.stdout


@dataclass(frozen=True)
class Composed:
    """What Compose started, or will."""

    settings: Settings
    program: tuple[str, ...]
    environment: dict[str, str]

    def compose(self, *arguments: str, within_s: float = UP_S) -> str:
        """One command of Compose's."""
        command = [*self.program, "-p", self.settings.instance, "-f", str(FILE), *arguments]
        return run(command, self.environment, within_s)

    def up(self) -> None:
        """Starts all; returns when the node holds the whole model."""
        self.compose("up", "-d")

        def in_sync() -> bool:
            try:
                return self.node()["in_sync"] is True
            except (httpx.HTTPError, OSError, KeyError):
                return False

        wait_until(in_sync, "the node is in sync", UP_S)

    def wirechief(self, *arguments: str) -> str:
        """The command as run in the container."""
        return self.compose("exec", "-T", "control_plane", "wirechief", *arguments)

    def wirechief_on_the_host(self, *arguments: str) -> str:
        """The same from a clone beside it, with the same settings."""
        told = self.environment | {"PYTHONPATH": str(ROOT)}
        return run([sys.executable, "-c", CLI, *arguments], told)

    def containers(self) -> dict[str, str]:
        """Service -> how its container is, as 'Up 3 seconds (healthy)'."""
        project = f"label=com.docker.compose.project={self.settings.instance}"
        shown = '{{.Label "com.docker.compose.service"}}={{.Status}}'
        lines = docker("ps", "--all", "--filter", project, "--format", shown).splitlines()
        return dict(line.split("=", 1) for line in lines)

    @property
    def secrets(self) -> dict[str, str]:
        """What the control plane made for itself."""
        found: dict[str, str] = json.loads((self.settings.state_dir / "secrets.json").read_text())
        return found

    def node(self) -> dict[str, Any]:
        """What the control plane says of its node. Raises: httpx.HTTPError, OSError, KeyError."""
        url = f"http://{self.settings.api_host}:{self.settings.api_port}/api/v1/nodes/lab"
        headers = {"Authorization": f"Bearer {self.secrets['api_token']}"}
        found: dict[str, Any] = httpx.get(url, headers=headers, trust_env=False).json()
        return found

    @property
    def base(self) -> str:
        """Where the provisioning server is."""
        return f"https://{self.settings.api_host}:{self.settings.provisioning_https_port}"

    @property
    def authority(self) -> Path:
        """The certificate everything is vouched for by."""
        return self.settings.state_dir / "provisioning" / "tls" / "ca.crt"


@contextmanager
def composed_in(state_dir: Path, asterisk_image: str, program: tuple[str, ...]) -> Iterator[Composed]:
    """Builds the control plane's image and starts all; at the end all is gone but what a build keeps."""
    settings = own_settings(state_dir, asterisk_image=asterisk_image, provisioning_public_url="")
    names = settings.model_fields_set - {"instance", "provisioning_public_url"}
    told = {f"WIRECHIEF_{name.upper()}": str(getattr(settings, name)) for name in names}
    told["WIRECHIEF_PROVISIONING_HOST"] = settings.api_host
    image = f"wirechief-control-plane:{settings.instance}"
    told["WIRECHIEF_CONTROL_PLANE_IMAGE"] = image
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WIRECHIEF_")}
    made = Composed(settings, program, clean | told)
    made.compose("build", "--build-arg", f"BASE={_base()}", within_s=BUILD_S)
    try:
        made.up()
        yield made
    finally:
        made.compose("down")
        # What was written belongs to another user: the engine takes it away.
        docker(
            "run", "--rm", "--user=0", "--entrypoint=rm", f"--volume={state_dir}:/state",
            asterisk_image, "-rf", "/state/node", "/state/carrier",
        )  # fmt: skip
        # One of them stays, so that the next build finds what does not change.
        docker("rmi", "--force", KEPT)
        docker("tag", image, KEPT)
        docker("rmi", image)


def _base() -> str:
    """The base image; where this machine trusts authorities of its own, one that does too (docs/lab.md)."""
    if not any(TRUSTED.glob("*.crt")):
        return BASE
    name = "wirechief-base:trusting"
    text = f"FROM {BASE}\nCOPY *.crt {TRUSTED}/\nRUN update-ca-certificates\n"
    subprocess.run(
        ["docker", "build", "-q", "-t", name, "-f", "-", str(TRUSTED)],
        input=text, text=True, capture_output=True, check=True, timeout=UP_S,
    )  # fmt: skip
    return name

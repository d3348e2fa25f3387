"""What an installation is told and keeps to itself: its settings, its secrets, where its files are.

Who only asks the running control plane needs no more, neither database nor Asterisk: those are wired on top.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from control_plane.adapters.secrets import LabSecrets, load_or_make_secrets
from control_plane.bootstrap.locks import PidFile
from control_plane.errors import LabError
from control_plane.settings import Settings


@dataclass(frozen=True)
class Installation:
    """Settings and secrets, and what follows from them alone."""

    settings: Settings
    secrets: LabSecrets = field(repr=False)

    @property
    def state_dir(self) -> Path:
        return self.settings.state_dir

    @property
    def pid_file(self) -> PidFile:
        return PidFile(self.state_dir)

    @property
    def log_file(self) -> Path:
        return self.state_dir / "control-plane.log"

    @property
    def api_url(self) -> str:
        return f"http://{self.settings.api_host}:{self.settings.api_port}"


def read_settings() -> Settings:
    """The settings of the environment.

    Raises:
        LabError: a variable has a value its rule does not allow; the text names it.
    """
    try:
        return Settings()
    except ValidationError as exc:
        first = exc.errors(include_input=False, include_url=False)[0]
        rule = str(first["msg"]).removeprefix("Value error, ")
        names = [f"WIRECHIEF_{str(part).upper()}" for part in first["loc"][:1]] or ["WIRECHIEF_..."]
        raise LabError(f"{names[0]}: {rule[:1].lower()}{rule[1:]}.") from None


def installed(settings: Settings | None = None) -> Installation:
    """The installation of these settings, or of the environment's; makes the secrets at first use.

    Raises:
        LabError: a setting is wrong, or the state directory cannot be used.
    """
    known = settings or read_settings()
    return Installation(known, load_or_make_secrets(known.state_dir))

"""The secrets the lab makes for itself at first start, in one file only its owner can read."""

from __future__ import annotations

import json
import os
import secrets
import tempfile
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from control_plane.errors import LabError

SECRETS_FILE = "secrets.json"
_ENTROPY_BYTES = 24  # 192 bits; 32 characters of the URL-safe alphabet, well within an AMI line


def _generated() -> SecretStr:
    return SecretStr(secrets.token_urlsafe(_ENTROPY_BYTES))


class LabSecrets(BaseModel):
    """Passwords of the manager users (push, carrier, exported trees) the API's bearer token, and the
    X25519 key that opens what handsets send (hex)."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    ami: SecretStr = Field(default_factory=_generated)
    carrier_ami: SecretStr = Field(default_factory=_generated)
    export_ami: SecretStr = Field(default_factory=_generated)
    api_token: SecretStr = Field(default_factory=_generated)
    upload_key: SecretStr = Field(default_factory=lambda: SecretStr(secrets.token_hex(32)))


def load_or_make_secrets(state_dir: Path) -> LabSecrets:
    """The secrets of this state directory; those that are missing are generated and kept (mode 600).

    Idempotent. Entries of the file this version does not know are left as they are.

    Raises:
        LabError: the file cannot be read or written, or is no JSON object.
    """
    path = state_dir / SECRETS_FILE
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        state_dir.chmod(0o700)
        stored = json.loads(path.read_text()) if path.exists() else {}
        loaded = LabSecrets.model_validate(stored)
        wanted = {name: getattr(loaded, name).get_secret_value() for name in LabSecrets.model_fields}
        if not wanted.items() <= stored.items():
            _replace(path, json.dumps(stored | wanted, indent=2) + "\n")
    except OSError as exc:
        raise LabError(
            f"{exc.filename or path} cannot be used ({exc.strerror}): "
            "set WIRECHIEF_STATE_DIR to a directory you may write."
        ) from exc
    except (ValueError, ValidationError, AttributeError):
        # The cause would quote the content, and the content is secret.
        raise LabError(
            f"{path} is damaged: restore it, or remove it and start the lab again to get new secrets."
        ) from None
    return loaded


def _replace(path: Path, text: str) -> None:
    """Writes the whole file or nothing, never readable by others at any moment."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 600
    with os.fdopen(handle, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    Path(name).replace(path)

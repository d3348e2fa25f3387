"""Before the first start under Compose: secrets, and the files the two Asterisks read. Runs as root."""

from __future__ import annotations

import os
import sys

from control_plane.adapters.containers import Lab
from control_plane.adapters.engine import ASTERISK_UID
from control_plane.adapters.secrets import load_or_make_secrets
from control_plane.errors import ControlPlaneError
from control_plane.settings import Settings

settings = Settings()
try:
    Lab(settings, load_or_make_secrets(settings.state_dir)).write_files()
    # Control plane and Asterisk run as this user; the two Asterisks' own directories have it already.
    for path in (settings.state_dir, *settings.state_dir.iterdir()):
        os.chown(path, ASTERISK_UID, ASTERISK_UID)
except ControlPlaneError as exc:
    sys.exit(str(exc))

"""Who makes the changes of a command."""

from __future__ import annotations

import getpass

from control_plane.service.writing import By


def by() -> By:
    """Who the audit log names for changes made here."""
    try:
        return By(f"cli {getpass.getuser()}")
    except (OSError, KeyError):  # no entry for this user id, as in a container
        return By("cli")

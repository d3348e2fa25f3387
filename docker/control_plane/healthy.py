"""Whether a service of docker/compose.yaml answers: exit 0, or 1 with the reason. For health checks.

    healthy.py control_plane    asks of the node, as the commands do
    healthy.py provisioning     as far as TLS goes: a request would stand in the journal

Reads the few settings it needs by itself: the packages take a second of processor time to load, and this
runs every few seconds for as long as the lab is up.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
import sys
from pathlib import Path

PATIENCE_S = 8.0


def setting(name: str, default: str) -> str:
    """A setting as it stands in the environment."""
    return os.environ.get(f"WIRECHIEF_{name}", default)


def control_plane() -> None:
    """Raises OSError, HTTPException or ValueError when it does not answer."""
    secrets = json.loads(Path(setting("STATE_DIR", "/state"), "secrets.json").read_text())
    host, port = setting("API_HOST", "127.0.0.1"), int(setting("API_PORT", "8080"))
    connection = http.client.HTTPConnection(host, port, timeout=PATIENCE_S)
    path = f"/api/v1/nodes/{setting('NODE', 'lab')}"
    connection.request("GET", path, headers={"Authorization": f"Bearer {secrets['api_token']}"})
    answer = connection.getresponse()
    if answer.status != 200:
        raise OSError(f"{path} is answered with {answer.status}")


def provisioning() -> None:
    """Raises OSError or ValueError when it does not answer."""
    host = setting("PROVISIONING_HOST", "127.0.0.1")
    secured = int(setting("PROVISIONING_HTTPS_PORT", "8443"))
    port = secured or int(setting("PROVISIONING_HTTP_PORT", "8069"))
    if not port:
        return  # TFTP alone has nothing that could be asked without being noted
    with socket.create_connection((host, port), PATIENCE_S) as plain:
        if secured:
            trust = ssl.create_default_context()
            # Whose certificate it is is the handsets' business.
            trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
            trust.wrap_socket(plain).close()


CHECKS = {"control_plane": control_plane, "provisioning": provisioning}

if __name__ == "__main__":
    try:
        CHECKS[sys.argv[1]]()
    except (OSError, http.client.HTTPException, ValueError) as exc:
        sys.exit(f"{sys.argv[1]} does not answer: {exc or type(exc).__name__}")

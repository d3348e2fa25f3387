"""Before the first start under Compose: secrets, database with the demo, the files of both Asterisks.

Here is the one authority made that vouches for the node's SIP over TLS and for what handsets fetch: the node
takes its own only where it finds none.

Starts as root, because the state directory is whose the host made it; ends as the user everything runs as.
"""

from __future__ import annotations

import asyncio
import os
import sys

from control_plane.adapters.engine import ASTERISK_UID
from control_plane.bootstrap import provisioning
from control_plane.bootstrap.lab import prepare_database
from control_plane.bootstrap.wiring import wire
from control_plane.errors import ControlPlaneError
from provisioning_server.certificates import Certificates
from provisioning_server.errors import ServerError
from provisioning_server.settings import read_settings


def main() -> None:
    """Idempotent: what is there stays as it is."""
    wiring = wire()
    wiring.lab().write_files()
    # The two Asterisks' own directories have their owner already.
    for path in (wiring.state_dir, *wiring.state_dir.iterdir()):
        os.chown(path, ASTERISK_UID, ASTERISK_UID)
    os.setgroups([])
    os.setgid(ASTERISK_UID)
    os.setuid(ASTERISK_UID)
    Certificates(read_settings()).prepare()
    authority = provisioning.authority(wiring)
    if authority is not None:
        wiring.lab().adopt_authority(*authority)
    # The demo's authorization code is not told: the engine keeps what a container prints.
    if asyncio.run(prepare_database(wiring)).code is not None:
        sys.stdout.write("the demo is loaded: extensions 100 to 103 of acme\n")


try:
    main()
except (ControlPlaneError, ServerError) as exc:
    sys.exit(f"error: {exc}")

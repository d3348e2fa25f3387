"""What PJSIP keeps in memory of AstDB is never older than the last change made through the link."""

from __future__ import annotations

import json

from control_plane.adapters.ami import AmiAddress, AmiLink
from tests.lab import RunningLab
from tests.security.sip_wire import SipSocket

KNOWN, UNKNOWN = 403, 401
"""How REGISTER is answered to an address that belongs to an endpoint without an AOR, and to a stranger."""


async def test_a_trunks_address_is_known_at_once_and_forgotten_at_once(running_lab: RunningLab) -> None:
    s = running_lab.settings
    address = f"{s.sip_address.rpartition('.')[0]}.77"
    link = AmiLink(AmiAddress(s.ami_host, s.ami_port, s.ami_user, running_lab.secrets.ami))
    await link.connect()
    try:
        with SipSocket(address, (s.sip_address, s.sip_port)) as socket:
            assert (await socket.ask("REGISTER", "somebody")).status == UNKNOWN
            await link.put_rows(
                [
                    ("pbx/endpoint/trunk-at-once", json.dumps({"context": "nowhere"})),
                    (
                        "pbx/identify/trunk-at-once",
                        json.dumps({"endpoint": "trunk-at-once", "match": address}),
                    ),
                ]
            )
            assert (await socket.ask("REGISTER", "somebody")).status == KNOWN
            await link.delete_rows(["pbx/identify/trunk-at-once", "pbx/endpoint/trunk-at-once"])
            assert (await socket.ask("REGISTER", "somebody")).status == UNKNOWN
    finally:
        await link.close()

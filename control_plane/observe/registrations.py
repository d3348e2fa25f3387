"""Which devices are registered where: contacts listed by Asterisk, then followed by its events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum


class Reach(StrEnum):
    """What Asterisk knows of a contact."""

    REGISTERED = "registered"  # it said it is there; OPTIONS was not tried or not yet answered
    REACHABLE = "reachable"  # it answers OPTIONS
    UNREACHABLE = "unreachable"  # it does not answer OPTIONS any more


_REACH = {
    "Created": Reach.REGISTERED,
    "NonQualified": Reach.REGISTERED,
    "Unknown": Reach.REGISTERED,
    "Updated": None,  # a REGISTER that renews says nothing new about reach
    "Reachable": Reach.REACHABLE,
    "Unreachable": Reach.UNREACHABLE,
}
"""ContactStatus of Asterisk 22 (res_pjsip/pjsip_options.c, location.c) -> reach; None keeps what it was."""

REMOVED = "Removed"
_US_PER_MS = 1000


@dataclass(frozen=True, slots=True)
class Registration:
    """One registered device; `aor` is its SIP user name."""

    aor: str
    uri: str
    reach: Reach
    since: datetime
    user_agent: str = ""
    roundtrip_ms: float | None = None


class Registrations:
    """The registrations of one node. Not thread-safe; time is an argument."""

    def __init__(self) -> None:
        self._by_aor: dict[str, Registration] = {}

    def __len__(self) -> int:
        return len(self._by_aor)

    def get(self, aor: str) -> Registration | None:
        return self._by_aor.get(aor)

    def all(self) -> tuple[Registration, ...]:
        """Every registration, by SIP user name."""
        return tuple(self._by_aor[aor] for aor in sorted(self._by_aor))

    def reset(self, contacts: Mapping[str, str], now: datetime) -> None:
        """What Asterisk lists now (AOR -> URI) replaces what was known; who stayed keeps what is known."""
        known = self._by_aor
        self._by_aor = {
            aor: held if (held := known.get(aor)) and held.uri == uri
            else Registration(aor, uri, Reach.REGISTERED, now)
            for aor, uri in contacts.items()
        }  # fmt: skip

    def take(self, name: str, headers: Mapping[str, str], now: datetime) -> bool:
        """Fold one AMI event in; whether it was about a registration."""
        aor, uri = headers.get("AOR", ""), headers.get("URI", "")
        if name != "ContactStatus" or not aor:
            return False
        status = headers.get("ContactStatus", "")
        held = self._by_aor.get(aor)
        if status == REMOVED:
            # A device that moved registers the new contact before the old one is removed.
            if held is not None and held.uri == uri:
                del self._by_aor[aor]
            return True
        if status not in _REACH:
            return True
        if held is None or held.uri != uri:
            held = Registration(aor, uri, Reach.REGISTERED, now)
        self._by_aor[aor] = replace(
            held,
            reach=_REACH[status] or held.reach,
            user_agent=headers.get("UserAgent", "") or held.user_agent,
            roundtrip_ms=_milliseconds(headers.get("RoundtripUsec", "")) or held.roundtrip_ms,
        )
        return True


def _milliseconds(roundtrip_us: str) -> float | None:
    return int(roundtrip_us) / _US_PER_MS if roundtrip_us.isdigit() and int(roundtrip_us) else None

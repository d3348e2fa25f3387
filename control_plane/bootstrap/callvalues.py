"""What a call by headless phones is asked for and reports, and what follows from the model alone."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from control_plane.callpath.compare import Comparison
from control_plane.callpath.explain import (
    Behaviour,
    CallerId,
    Explanation,
    HandsetCaller,
    InsideCaller,
    OutsideCaller,
)
from control_plane.domain.features import Feature, find
from control_plane.domain.model import ExtensionId, Model

_ASKING = frozenset({"out.authorization", "mailbox.pin", "neutral.who", "neutral.pin"})
FIRST_REFUSAL = 300
"""RFC 3261 section 21: what is no success is from here on."""
_ASKED = frozenset({"right", "wrong", "locked", "known", "unknown"})


@dataclass(frozen=True, slots=True)
class CallRequest:
    """One call. `behaviour` is by "org/key" or E.164; `codes` are typed when a code is asked for.

    `logs_in` is the extension typed before them, at a handset nobody is logged in at.
    """

    caller: CallerId
    dialled: str
    behaviour: Mapping[str, Behaviour] = field(default_factory=dict)
    seconds: float = 2.0
    codes: tuple[str, ...] = field(default=(), repr=False)
    digits: str = field(default="", repr=False)
    take_over: bool = False
    logs_in: str = ""
    sip_log: Path | None = None
    """The directory where each phone writes its SIP messages; they hold keys."""


@dataclass(frozen=True, slots=True)
class CallReport:
    """What was explained, what was real, and who answered. `status` is the caller's last SIP status."""

    explained: Explanation
    comparison: Comparison
    outcome: str
    status: int | None
    rang: tuple[str, ...]
    answered_by: tuple[str, ...]


def is_right(model: Model, request: CallRequest, digits: str) -> bool:
    """Whether these digits are the authorization code, or the PIN, the caller is asked for."""
    match request.caller:
        case InsideCaller(org, key):
            found = find(model.feature_codes, request.dialled)
            if found is not None and found[0].feature is Feature.VOICEMAIL:
                return digits == model.extensions[org, key].voicemail_pin.get_secret_value()
            occupancy = model.occupancies.get((org, model.extensions[org, key].site))
            code = occupancy.authorization_code if occupancy else None
            if code is None:
                return False
            # As the dialplan checks it; see AuthorizationCode for why SHA-1.
            text = (code.salt + digits).encode()
            return hashlib.sha1(text, usedforsecurity=False).hexdigest() == code.digest
        case HandsetCaller(mac):
            extension = model.extensions.get((model.handsets[mac].org, request.logs_in))
            return extension is not None and digits == extension.voicemail_pin.get_secret_value()
        case OutsideCaller():
            return False


def untold(status: int | None, node: str, sip_log: Path | None) -> str:
    """Where to look when Asterisk told no trace of a call; `status` is the caller's last SIP status.

    `node` is the name of its container.
    """
    messages = f"{sip_log} has the SIP messages" if sip_log else "--sip-log DIR writes the SIP messages"
    if status is None or status < FIRST_REFUSAL:
        what = "Asterisk did not tell what the call did"
    else:
        what = f"The call was refused with SIP status {status} before Asterisk's dialplan was reached"
    return f"{what}: 'docker logs {node}' has why, 'wirechief plan' whether Asterisk is in sync, {messages}."


def ident_of(name: str) -> ExtensionId:
    """(organisation, key) of "org/key"."""
    org, _, key = name.partition("/")
    return org, key


def asks_code(explained: Explanation) -> bool:
    """Whether the caller is asked for an authorization code, a PIN, or who logs in."""
    return any(s.node in _ASKING and s.outcome in _ASKED for s in explained.trace)


def would_ring_for_ever(explained: Explanation) -> bool:
    """Nothing but the caller ends the ringing of a number outside."""
    return bool(explained.trace) and explained.trace[-1].outcome == "cancelled"

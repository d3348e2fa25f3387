"""What a call by headless phones is asked for and reports, and what follows from the model alone."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

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

"""What a handset family is: how it asks, how it logs in, how it is told to ask again, what it is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from control_plane.render.handsets.setup import HandsetFile, HandsetSetup


class HttpLogin(StrEnum):
    """How the family answers a 401 (RFC 7616, RFC 7617). Basic is offered over TLS only."""

    DIGEST = "digest"
    BASIC = "basic"
    NONE = "none"


class Fetch(StrEnum):
    """How a family can fetch its files."""

    HTTPS = "https"
    HTTP = "http"
    TFTP = "tftp"


@dataclass(frozen=True, slots=True)
class CatalogueModel:
    """One line of a vendor's `models.csv`; `hardware_code` is in the family's common file name, if any."""

    vendor: str
    family: str
    name: str
    lines: int
    keys: int
    hardware_code: str = ""
    page: int = 0
    """Keys on one page, for makes that number them page by page."""


@dataclass(frozen=True, slots=True)
class Step:
    """One file a handset asks for when it boots.

    `name` with {mac} (lower case), {MAC}, {model}, {model_lower}, {code}: see `spelled`. `needed`: boot
    ends here without it. `stop_if_found`: what follows is only fetched when the file names it.
    """

    name: str
    needed: bool = False
    stop_if_found: bool = False

    def spelled(self, mac: str, model: CatalogueModel) -> str:
        """The name as this handset asks for it; format specifications work, as in {code:0>12}."""
        return self.name.format(
            mac=mac.lower(),
            MAC=mac.upper(),
            model=model.name,
            model_lower=model.name.lower(),
            code=model.hardware_code,
        )


@dataclass(frozen=True, slots=True)
class Family:
    """One family of a vendor. `resync` and `reboot` are values of the Event header of a SIP NOTIFY."""

    id: str
    vendor: str
    title: str
    login: HttpLogin
    fetches: tuple[Fetch, ...]
    resync: str
    reboot: str
    user_agent: str
    """Regular expression that the family's HTTP User-Agent matches."""
    boot: tuple[Step, ...]
    render: Callable[[HandsetSetup, CatalogueModel], tuple[HandsetFile, ...]]
    supports: frozenset[str]
    """Of FEATURES, what the family's templates express."""
    softphone: bool = False
    blind: bool = False
    """It is told to check no certificate while the server's is of an authority it cannot be told of."""
    admin_login: Callable[[str], str] = str
    """What its administrator types, made of the password that the handset has; most take that itself."""


FEATURES = (
    "tls", "srtp", "stun", "codecs", "dtmf", "mwi", "call_waiting", "blf", "speed_dial", "time_zone",
    "language", "tones", "ntp", "passwords", "emergency", "digit_map", "phonebook", "polling", "custom_ca",
)  # fmt: skip

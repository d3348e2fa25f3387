"""From the model to what one handset is told. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from heapq import nsmallest

from control_plane.domain.entities import Site
from control_plane.domain.extension import Device, Extension, Transport
from control_plane.domain.features import Feature, log_in_codes
from control_plane.domain.handsets import Handset, key_spec
from control_plane.domain.model import Model
from control_plane.domain.regions import Region, RegionCode
from control_plane.render.handsets.digits import excluding
from control_plane.render.handsets.families import CATALOGUE
from control_plane.render.handsets.setup import (
    CA_NAME,
    Contact,
    HandsetSetup,
    KeyKind,
    KeySetup,
    LineSetup,
    Server,
    Srtp,
)

MAX_CONTACTS = 500
"""Handsets with little memory take 500 to 1 000 entries."""
JITTER_SHARE = 10
"""Polls of handsets that were installed together spread over a tenth of the interval."""
_LANGUAGES: Mapping[RegionCode, str] = {}
"""ISO 639-1 by region, where it is not English."""
_CLASSES = {"X": "X", "Z": "[1-9]", "N": "[2-9]"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where this installation serves files and takes SIP: the same for every handset.

    `year`: whose clock changes handsets are told. `url` ends in "/"; a handset's own address is `url`, "p/",
    its token and "/", common files are at `public_url`.
    """

    url: str
    public_url: str
    sip_host: str
    sip_port: int
    sip_tls_port: int
    year: int
    realm: str = "provisioning"
    sip_realm: str = "asterisk"
    ca_pem: str = ""
    ntp_servers: tuple[str, ...] = ()
    stun_server: str | None = None

    @property
    def authority_url(self) -> str:
        """Where the authority that signed the server's certificate is; "": it is a public one."""
        return f"{self.public_url}{CA_NAME}" if self.ca_pem else ""


@dataclass(frozen=True, slots=True)
class Inside:
    """What every handset of an organisation is told of it: whom it can call, and how long extensions are.

    `starts`: with what its extensions begin, at any length.
    """

    contacts: tuple[Contact, ...]
    patterns: tuple[str, ...]
    starts: frozenset[str] = frozenset()


def inside_of(model: Model, org: str, keys: Iterable[str]) -> Inside:
    """An organisation from inside, of its extensions `keys`; at most MAX_CONTACTS contacts, by name."""
    found: list[tuple[str, str, str]] = []
    shapes: set[tuple[str, int]] = set()
    starts: set[str] = set()
    for key in keys:
        extension = model.extensions.get((org, key))
        if extension is None:
            continue
        person = model.people.get(extension.person) if extension.person else None
        name = extension.label or (person.name if person is not None else "") or key
        found.append((name.casefold(), key, name))
        shapes.add((key[0], len(key)))
        starts.update(key[:length] for length in range(1, len(key)))
    return Inside(
        tuple(Contact(name, key) for _, key, name in nsmallest(MAX_CONTACTS, found)),
        tuple(first + "X" * (length - 1) for first, length in sorted(shapes)),
        frozenset(starts),
    )


def own_url(place: Place, handset: Handset) -> str:
    """Where the handset fetches; holds its token, so it is a secret."""
    return f"{place.url}p/{handset.token.get_secret_value()}/"


def device_of(model: Model, handset: Handset) -> tuple[Extension, Device] | None:
    """Extension and device a handset is set up as; None when nobody is logged in or may register (R23)."""
    if handset.device is None or handset.extension is None:
        return None
    extension = model.extensions.get((handset.org, handset.extension))
    if extension is None or not model.is_active(extension):
        return None
    found = (device for device in model.devices_of(extension) if device.id == handset.device)
    device = next(found, None)
    return None if device is None else (extension, device)


def setup_of(model: Model, handset: Handset, place: Place, inside: Inside, sequence: int = 1) -> HandsetSetup:
    """Everything `handset` is told; `inside` is its organisation."""
    site = model.sites[handset.site]
    bound = device_of(model, handset)
    policy = site.provisioning
    stun = policy.stun_server or place.stun_server
    return HandsetSetup(
        mac=handset.mac,
        model=handset.model,
        server=_server(handset, site, place),
        time_zone=site.time_zone,
        year=place.year,
        lines=_neutral_lines(model, handset, place) if bound is None else (_line(model, *bound, place),),
        keys=_keys(handset) if bound is not None else _neutral_keys(handset),
        contacts=inside.contacts if bound is not None else (),
        directory_name=model.organisations[handset.org].name,
        ntp_servers=policy.ntp_servers or place.ntp_servers,
        language=handset.language or policy.language or _LANGUAGES.get(site.region, "en"),
        tone_country=policy.tone_country or site.region.value,
        admin_password=handset.admin_password,
        user_password=handset.user_password,
        emergency=site.emergency_numbers,
        digit_patterns=_patterns(model, inside, site.numbering)
        if bound is not None
        else _neutral_patterns(model, handset, site),
        stun_server=stun if bound is not None and bound[1].stun else None,
        logged_out=bound is None,
        sequence=sequence,
    )


def _server(handset: Handset, site: Site, place: Place) -> Server:
    return Server(
        url=own_url(place, handset),
        public_url=place.public_url,
        user=handset.http_user,
        password=handset.http_password,
        interval_s=_spread(site.provisioning.interval_s, handset.mac),
        ca_pem=place.ca_pem,
        enrol_url=place.url,
    )


def _spread(interval_s: int, mac: str) -> int:
    """The interval and up to a tenth more, always the same for one handset, in whole minutes."""
    share = int.from_bytes(hashlib.sha256(mac.encode()).digest()[:4]) / 2**32
    return int(interval_s * (1 + share / JITTER_SHARE)) // 60 * 60


def _line(model: Model, extension: Extension, device: Device, place: Place) -> LineSetup:
    tls = device.transport is Transport.TLS
    name = extension.label or extension.key
    voicemail = next(code.code for code in model.feature_codes if code.feature is Feature.VOICEMAIL)
    return LineSetup(
        index=1,
        sip_user=device.id,
        sip_password=device.sip_password,
        display_name=name,
        label=name,
        number=extension.key,
        host=place.sip_host,
        port=place.sip_tls_port if tls else place.sip_port,
        transport=device.transport,
        # Asterisk's media_encryption=sdes takes no call without it.
        srtp=Srtp.REQUIRED if device.srtp else Srtp.OFF,
        voicemail_code=voicemail if extension.has_mailbox else None,
        mwi=extension.has_mailbox,
        call_waiting=extension.rings_waiting_calls,
        realm=place.sip_realm,
    )


def _neutral_lines(model: Model, handset: Handset, place: Place) -> tuple[LineSetup, ...]:
    """What it can call with while nobody is logged in (A73)."""
    if not handset.has_neutral_line:
        return ()
    tls = handset.neutral_transport is Transport.TLS
    line = LineSetup(
        index=1,
        sip_user=handset.neutral_user,
        sip_password=handset.neutral_password,
        display_name=handset.name or handset.model,
        label=f"Log in: dial {log_in_codes(model.feature_codes)[0]}",
        number="",
        host=place.sip_host,
        port=place.sip_tls_port if tls else place.sip_port,
        transport=handset.neutral_transport,
        srtp=Srtp.REQUIRED if tls else Srtp.OFF,
        call_waiting=False,
        realm=place.sip_realm,
    )
    return (line,)


def _neutral_keys(handset: Handset) -> tuple[KeySetup, ...]:
    """The line's own key, where the model has any."""
    if not handset.has_neutral_line or not CATALOGUE.model(handset.model).keys:
        return ()
    return (KeySetup(1, KeyKind.LINE),)


def _neutral_patterns(model: Model, handset: Handset, site: Site) -> tuple[str, ...]:
    """Emergency numbers, reception inside and the code to log in: what its neutral line does not refuse."""
    reception = [number for number in model.reception_of(handset.org, site) if number.isdigit()]
    return tuple(dict.fromkeys([*site.emergency_numbers, *reception, log_in_codes(model.feature_codes)[0]]))


def _keys(handset: Handset) -> tuple[KeySetup, ...]:
    """The keys as chosen; a handset without a line key could not show its line, so it comes first."""
    specs = [key_spec(text) for text in handset.keys]
    if CATALOGUE.model(handset.model).keys > len(specs) and not any(
        spec.kind is KeyKind.LINE for spec in specs
    ):
        specs.insert(0, key_spec("line"))
    return tuple(
        KeySetup(index, spec.kind, spec.value, spec.label, spec.line)
        for index, spec in enumerate(specs, start=1)
    )


def _patterns(model: Model, inside: Inside, region: Region) -> tuple[str, ...]:
    """What can be dialled at once: emergency numbers, extensions, feature codes, numbers outside.

    No number outside begins with an emergency number; an extension may. Where none does, the digit map is
    told so: an emergency call then waits for no time-out.
    """
    codes = [code.code for code in model.feature_codes]
    codes += [f"{code.code}X." for code in model.feature_codes if code.takes_digits]
    outside = [_pattern(rule.pattern) for rule in region.rules]
    longer = [number for number in region.emergency if number not in inside.starts]
    own = _excluding(inside.patterns, longer)
    return tuple(dict.fromkeys([*region.emergency, *own, *codes, *_excluding(outside, region.emergency)]))


def _excluding(patterns: Iterable[str], starts: Iterable[str]) -> list[str]:
    found = list(patterns)
    for start in starts:
        found = [part for pattern in found for part in excluding(pattern, start)]
    return found


def _pattern(asterisk: str) -> str:
    """Asterisk's `.` is one or more of anything, a handset's repeats what stands before it."""
    body, open_end = asterisk.removesuffix("."), asterisk.endswith(".")
    return "".join(_CLASSES.get(char, char) for char in body) + ("X." if open_end else "")

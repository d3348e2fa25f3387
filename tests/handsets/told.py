"""What a handset has been told, read back from its files by parsers that know nothing of the templates.

A reader fills in what its family's files say and leaves the rest None; `differences` compares with the
set-up, each value in the unit and with the rounding of the family.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields

from control_plane.domain.extension import Transport
from control_plane.render.handsets.setup import (
    Codec,
    Dtmf,
    HandsetFile,
    HandsetSetup,
    KeyKind,
    KeySetup,
    LineSetup,
    Srtp,
)
from control_plane.render.handsets.zones import Zone, posix_tz, zone_rules
from tests.handsets.boot import Account

Files = Mapping[str, bytes]
"""By name as the handset asks; without the bootstrap."""


@dataclass(frozen=True)
class ToldLine:
    """One account."""

    user: str | None = None
    password: str | None = None
    display_name: str | None = None
    label: str | None = None
    host: str | None = None
    port: int | None = None
    transport: Transport | None = None
    srtp: Srtp | None = None
    outbound_proxy: str | None = None
    """ "" for none."""
    expires_s: int | None = None
    keepalive_s: int | None = None
    codecs: tuple[Codec, ...] | None = None
    dtmf: Dtmf | None = None
    voicemail_code: str | None = None
    """ "" for none."""
    mwi: bool | None = None
    call_waiting: bool | None = None


@dataclass(frozen=True)
class ToldKey:
    """One key that does something."""

    kind: KeyKind
    value: str | None = None
    label: str | None = None
    line: int | None = None


@dataclass(frozen=True)
class Told:
    """One handset."""

    lines: Mapping[int, ToldLine] = field(default_factory=dict)
    keys: Mapping[int, ToldKey] | None = None
    url: str | None = None
    user: str | None = None
    password: str | None = None
    interval_s: int | None = None
    zone: tuple[int, int] | None = None
    """Offset and saving, in seconds."""
    clock_changes: tuple[tuple[int, ...], tuple[int, ...]] | None = None
    """Start and end as (month, week, weekday from Sunday 0, hour)."""
    posix_tz: str | None = None
    time_zone: str | None = None
    language: str | None = None
    tones: str | None = None
    ntp: tuple[str, ...] | None = None
    admin_password: str | None = None
    user_password: str | None = None
    emergency: tuple[str, ...] | None = None
    digit_map: str | None = None
    stun: str | None = None
    """ "" for off."""
    contacts: tuple[tuple[str, str], ...] | None = None
    call_waiting: bool | None = None
    """For the handset as a whole."""
    ca: bool | None = None


OTHER = "other"
"""Tones of a country that a reader has no second source for."""

Reader = Callable[[Files, HandsetSetup], Told]
"""The set-up is given for its MAC and model only: which files are the handset's own."""


def _as_it_is(setup: HandsetSetup) -> HandsetSetup:
    return setup


@dataclass(frozen=True)
class Limits:
    """What a family cannot say exactly. `unit` turns a value into what is left of it."""

    interval: Callable[[int], int] = int
    expires: Callable[[int], int] = int
    shown: Callable[[str], str] = str
    codecs: Callable[[tuple[Codec, ...]], tuple[Codec, ...]] = tuple
    srtp: Callable[[Srtp], Srtp] = Srtp
    keys: Callable[[KeySetup], ToldKey | None] | None = None
    """What becomes of a key; None: nothing."""
    admin: Callable[[str], str] = str
    """What is left of the administrator's password."""
    ntp: int = 2
    """How many time servers."""
    saving: Callable[[int], int] = int
    """Of summer time, in seconds."""
    fit: Callable[[HandsetSetup], HandsetSetup] = _as_it_is
    """A set-up the family can express, from any."""


EXACT = Limits()


def accounts_of(told: Told) -> tuple[Account, ...]:
    """What the handset will register with."""
    return tuple(
        Account(
            user=line.user or "",
            auth_user=line.user or "",
            password=line.password or "",
            host=line.host or "",
            port=line.port or 0,
            transport=line.transport or Transport.UDP,
            index=index,
            display_name=line.display_name or "",
        )
        for index, line in told.lines.items()
    )


def own_files(files: tuple[HandsetFile, ...]) -> dict[str, bytes]:
    """What the handset gets at its own URL."""
    return {file.name: file.content for file in files if not file.bootstrap}


def _line(line: LineSetup, limits: Limits) -> ToldLine:
    return ToldLine(
        user=line.sip_user,
        password=line.sip_password.get_secret_value(),
        display_name=limits.shown(line.display_name),
        label=limits.shown(line.label),
        host=line.host,
        port=line.port,
        transport=line.transport,
        srtp=limits.srtp(line.srtp),
        outbound_proxy=line.outbound_proxy or "",
        expires_s=limits.expires(line.expires_s),
        keepalive_s=line.keepalive_s,
        codecs=limits.codecs(line.codecs),
        dtmf=line.dtmf,
        voicemail_code=line.voicemail_code or "",
        mwi=line.mwi,
        call_waiting=line.call_waiting,
    )


def clock_changes(zone: Zone) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """As `Told.clock_changes`."""
    if zone.changes is None:
        return None
    start, end = ((each.month, each.week, each.weekday, each.hour) for each in zone.changes)
    return start, end


def expected(setup: HandsetSetup, limits: Limits = EXACT) -> Told:
    """All that a handset could be told of `setup`."""
    zone = zone_rules(setup.time_zone, setup.year)
    become = limits.keys or (lambda key: ToldKey(key.kind, key.value, limits.shown(key.label), key.line))
    keys = {key.index: told for key in setup.keys if (told := become(key))}
    return Told(
        lines={line.index: _line(line, limits) for line in setup.lines},
        keys=keys,
        url=setup.server.url,
        user=setup.server.user,
        password=setup.server.password.get_secret_value(),
        interval_s=limits.interval(setup.server.interval_s),
        zone=(zone.offset_s, limits.saving(zone.save_s)),
        clock_changes=clock_changes(zone),
        posix_tz=posix_tz(setup.time_zone, setup.year),
        time_zone=setup.time_zone,
        language=setup.language,
        tones=setup.tone_country,
        ntp=setup.ntp_servers[: limits.ntp],
        admin_password=limits.admin(setup.admin_password.get_secret_value()),
        user_password=setup.user_password.get_secret_value(),
        emergency=setup.emergency,
        stun=setup.stun_server or "",
        contacts=tuple((contact.name, contact.number) for contact in setup.contacts),
        call_waiting=any(line.call_waiting for line in setup.lines),
        ca=bool(setup.server.ca_pem),
    )


def differences(told: Told, wanted: Told) -> Iterator[str]:
    """What the files say otherwise than they should; what a family does not say is no difference."""
    if set(told.lines) != set(wanted.lines):
        yield f"lines {sorted(told.lines)} instead of {sorted(wanted.lines)}"
    for index in set(told.lines) & set(wanted.lines):
        yield from _fields(f"line {index} ", told.lines[index], wanted.lines[index], ())
    if told.keys is not None:
        yield from _keys(told.keys, wanted.keys or {})
    yield from _fields("", told, wanted, ("lines", "keys", "digit_map"))


def _keys(told: Mapping[int, ToldKey], wanted: Mapping[int, ToldKey]) -> Iterator[str]:
    for index in sorted(set(told) | set(wanted)):
        have, want = told.get(index), wanted.get(index)
        if have is None or want is None:
            yield f"key {index}: {have} instead of {want}"
        else:
            yield from _fields(f"key {index} ", have, want, ())


def _fields(where: str, have: object, want: object, skipped: tuple[str, ...]) -> Iterator[str]:
    for one in fields(have):  # type: ignore[arg-type]
        told, wanted = getattr(have, one.name), getattr(want, one.name)
        if one.name not in skipped and told is not None and told != wanted:
            yield f"{where}{one.name}: {told!r} instead of {wanted!r}"


TOLD_BY_FEATURE: Mapping[str, Callable[[Told], object]] = {
    "tls": lambda told: _of_line(told, "transport"),
    "srtp": lambda told: _of_line(told, "srtp"),
    "stun": lambda told: told.stun,
    "codecs": lambda told: _of_line(told, "codecs"),
    "dtmf": lambda told: _of_line(told, "dtmf"),
    "mwi": lambda told: _of_line(told, "mwi"),
    "call_waiting": lambda told: (
        told.call_waiting if told.call_waiting is not None else _of_line(told, "call_waiting")
    ),
    "blf": lambda told: told.keys,
    "speed_dial": lambda told: told.keys,
    "time_zone": lambda told: told.zone or told.posix_tz or told.time_zone,
    "language": lambda told: told.language,
    "tones": lambda told: told.tones,
    "ntp": lambda told: told.ntp,
    "passwords": lambda told: told.admin_password,
    "emergency": lambda told: told.emergency,
    "digit_map": lambda told: told.digit_map,
    "phonebook": lambda told: told.contacts,
    "polling": lambda told: told.interval_s,
    "custom_ca": lambda told: told.ca,
}
"""A feature a family says it supports must be read back from its files."""


def _of_line(told: Told, name: str) -> object:
    return getattr(next(iter(told.lines.values())), name)

"""Which P-value means what, per account, port and key."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Account:
    """The P-values of one account of a telephone, or one port or profile of an adapter; 0: there is none."""

    active: int
    server: int
    outbound_proxy: int
    user: int
    auth: int
    password: int
    display: int
    register: int
    unregister_on_reboot: int
    expiry_minutes: int
    nat: int
    mwi: int
    transport: int
    sips: int
    """URI scheme with TLS: 1 is sips, which Asterisk does not need."""
    srtp: int
    dial_plan: int
    codecs: tuple[int, ...]
    name: int = 0
    voicemail: int = 0
    dtmf_audio: int = 0
    dtmf_rtp: int = 0
    dtmf_info: int = 0
    dtmf: tuple[int, ...] = ()
    """Methods in order of preference."""
    call_waiting_off: int = 0


def _gxp(base: int, extra: int) -> Account:
    """Accounts from the second on: `base` is 400, 500, ... and `extra` 2400, 2500, ..."""
    return Account(
        active=base + 1,
        server=base + 2,
        outbound_proxy=base + 3,
        user=base + 4,
        auth=base + 5,
        password=base + 6,
        display=base + 7,
        register=base + 10,
        unregister_on_reboot=base + 11,
        expiry_minutes=base + 12,
        nat=base + 14,
        mwi=base + 15,
        name=base + 17,
        voicemail=base + 26,
        srtp=base + 43,
        transport=base + 48,
        codecs=tuple(range(base + 51, base + 59)),
        dial_plan=base + 59,
        dtmf_audio=extra + 1,
        dtmf_rtp=extra + 2,
        dtmf_info=extra + 3,
        sips=extra + 29,
    )


_FIRST = Account(
    active=271,
    server=47,
    outbound_proxy=48,
    user=35,
    auth=36,
    password=34,
    display=3,
    register=31,
    unregister_on_reboot=81,
    expiry_minutes=32,
    nat=52,
    mwi=99,
    srtp=183,
    transport=130,
    codecs=(57, 58, 59, 60, 61, 62, 46),
    dial_plan=290,
    sips=2329,
)
"""What telephones and adapters have alike."""
GXP_ACCOUNTS = (
    replace(
        _FIRST,
        name=270,
        voicemail=33,
        codecs=(*_FIRST.codecs, 98),
        dtmf_audio=2301,
        dtmf_rtp=2302,
        dtmf_info=2303,
    ),
    _gxp(400, 2400),
    _gxp(500, 2500),
    _gxp(600, 2600),
    _gxp(1700, 2700),
    _gxp(1800, 2800),
)

HT_ACCOUNTS = (
    replace(_FIRST, dial_plan=4200, dtmf=(850, 851, 852), call_waiting_off=91),
    Account(
        active=401,
        server=747,
        outbound_proxy=748,
        user=735,
        auth=736,
        password=734,
        display=703,
        register=731,
        unregister_on_reboot=752,
        expiry_minutes=732,
        nat=730,
        mwi=709,
        srtp=443,
        transport=830,
        codecs=(757, 758, 759, 760, 761, 762, 814),
        dial_plan=4201,
        dtmf=(860, 861, 862),
        call_waiting_off=791,
        sips=2429,
    ),
)
"""Ports of an adapter with one account a port; profiles of one with two profiles."""


@dataclass(frozen=True, slots=True)
class Port:
    """The P-values of one port of an adapter with profiles."""

    user: int
    auth: int
    password: int
    profile: int
    display: int
    hunt_group: int
    enabled: int


def ht_port(at: int) -> Port:
    """`at` counts from 0."""
    return Port(4060 + at, 4090 + at, 4120 + at, 4150 + at, 4180 + at, 4300 + at, 4595 + at)


@dataclass(frozen=True, slots=True)
class Key:
    """The P-values of one multi-purpose key."""

    mode: int
    account: int
    label: int
    value: int


GXP_KEYS = tuple(Key(323 + at, 301 + 3 * at, 302 + 3 * at, 303 + 3 * at) for at in range(7))
"""Seven: the number an eighth would have is the phonebook's."""

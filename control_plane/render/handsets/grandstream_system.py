"""What a Grandstream device is told as a whole: the same things by P-value and by name."""

from __future__ import annotations

from enum import Enum
from urllib.parse import urlsplit

from control_plane.render.handsets.setup import HandsetSetup
from control_plane.render.handsets.tones import Tone, f1f2, tones_of
from control_plane.render.handsets.units import minutes
from control_plane.render.handsets.zones import posix_tz

MINIMUM_POLL_MINUTES = 60
PHONEBOOK_MINUTES = 720
KEEPALIVE_S = range(10, 161)
LANGUAGES = (
    "ar",
    "de",
    "en",
    "es",
    "fr",
    "he",
    "hr",
    "hu",
    "it",
    "ja",
    "ko",
    "lv",
    "nl",
    "pl",
    "pt",
    "ru",
    "sl",
    "tr",
)
HT_LANGUAGES = {"en": 0, "es": 10, "zh": 4}
_SCHEMES = {"tftp": 0, "http": 1, "https": 2}
_BOOK_SCHEMES = {"http": 1, "tftp": 2, "https": 3}
_TONE_NAMES = ("dial", "ringBack", "busy", "reorder")
_TONE_NUMBERS = (4000, 4001, 4002, 4003)

Settings = list[tuple[int | str, int | str]]


class SystemNames(Enum):
    """Where telephones and adapters differ: P194's value for "every so many minutes", and what there is."""

    GXP = (1, True)
    HT = (3, False)

    def __init__(self, every_minutes: int, phonebook: bool) -> None:
        self.every_minutes = every_minutes
        self.phonebook = phonebook


def _poll_minutes(setup: HandsetSetup) -> int:
    return max(MINIMUM_POLL_MINUTES, minutes(setup.server.interval_s))


def _keepalive_s(setup: HandsetSetup) -> int:
    wanted = min((line.keepalive_s for line in setup.lines), default=30)
    return min(max(wanted, KEEPALIVE_S.start), KEEPALIVE_S.stop - 1)


def _place(url: str) -> tuple[str, str]:
    """Scheme, and the rest without the slash at its end: the device puts one before the file's name."""
    parts = urlsplit(url)
    return parts.scheme, f"{parts.netloc}{parts.path}".rstrip("/")


def _four_tones(setup: HandsetSetup) -> tuple[Tone, Tone, Tone, Tone]:
    tones = tones_of(setup.tone_country)
    return tones.dial, tones.ringback, tones.busy, tones.congestion


def _ntp(setup: HandsetSetup) -> tuple[str, str]:
    first, second = (*setup.ntp_servers, "", "")[:2]
    return first, second


def _passwords(setup: HandsetSetup, admin: int | str, user: int | str) -> Settings:
    """Those there are: an empty one would open the device."""
    words = ((admin, setup.admin_password), (user, setup.user_password))
    return [(name, word.get_secret_value()) for name, word in words if word.get_secret_value()]


def numbered_system(setup: HandsetSetup, names: SystemNames, *, server_only: bool = False) -> Settings:
    """Settings by P-value; `server_only`: where to fetch and as whom, every hour until that worked."""
    scheme, path = _place(setup.server.url)
    settings: Settings = [
        (212, _SCHEMES[scheme]),
        (237, path),
        (1360, setup.server.user),
        (1361, setup.server.password.get_secret_value()),
        (145, 0),
        (1414, 0),
        (194, names.every_minutes),
        (193, MINIMUM_POLL_MINUTES if server_only else _poll_minutes(setup)),
        (8463, 0 if setup.server.ca_pem else 1),
    ]
    if server_only:
        return settings
    ntp = _ntp(setup)
    settings += _passwords(setup, 2, 196)
    settings += [
        (30, ntp[0]),
        (64, "customize"),
        (246, posix_tz(setup.time_zone, setup.year)),
        (76, setup.stun_server or ""),
        (84, _keepalive_s(setup)),
        (4428, 1),
    ]
    settings += [
        (number, f1f2(tone, level_db=-13))
        for number, tone in zip(_TONE_NUMBERS, _four_tones(setup), strict=True)
    ]
    if not names.phonebook:
        return [*settings, (342, HT_LANGUAGES.get(setup.language, 0))]
    settings += [
        (8333, ntp[1]),
        (1362, setup.language if setup.language in LANGUAGES else "en"),
        (91, 0 if any(line.call_waiting for line in setup.lines) else 1),
        (330, _BOOK_SCHEMES[scheme] if setup.contacts else 0),
    ]
    if setup.contacts:
        settings += [
            (331, path),
            (332, PHONEBOOK_MINUTES),
            (6713, setup.server.user),
            (6714, setup.server.password.get_secret_value()),
        ]
    return settings


_NAMED_BOOK_SCHEMES = {"http": "EnabledUseHTTP", "tftp": "EnabledUseTFTP", "https": "EnabledUseHTTPS"}


def named_system(setup: HandsetSetup, *, server_only: bool = False) -> Settings:
    """Settings by name; `server_only` as in `numbered_system`."""
    scheme, path = _place(setup.server.url)
    password = setup.server.password.get_secret_value()
    settings: Settings = [
        ("provisioning.config.protocol", scheme.upper()),
        ("provisioning.config.serverPath", path),
        ("provisioning.config.username", setup.server.user),
        ("provisioning.config.password", password),
        ("provisioning.override.dhcp.allowCommonOptions", "No"),
        ("provisioning.3cxAutoProvision", "No"),
        ("provisioning.auto.mode", "YesUpgradeMin"),
        ("provisioning.auto.minute", MINIMUM_POLL_MINUTES if server_only else _poll_minutes(setup)),
        ("security.validate.serverCertificate", "No" if setup.server.ca_pem else "Yes"),
    ]
    if server_only:
        return settings
    ntp = _ntp(setup)
    waiting = any(line.call_waiting for line in setup.lines)
    settings += _passwords(setup, "users.admin.password", "users.user.password")
    settings += [
        ("dateTime.ntp.server.1", ntp[0]),
        ("dateTime.ntp.server.2", ntp[1]),
        ("dateTime.timezone", "customize"),
        ("dateTime.timezone.custom", posix_tz(setup.time_zone, setup.year)),
        ("language.gui", setup.language if setup.language in LANGUAGES else "en"),
        ("network.stunServer", setup.stun_server or ""),
        ("sip.keepAliveInterval", _keepalive_s(setup)),
        ("sip.notify.challenge", "No"),
        ("call.callWaiting.enable", "Yes" if waiting else "No"),
        ("keys.lock.emergency", ",".join(setup.emergency)),
    ]
    settings += [
        (f"audio.tone.{name}", f1f2(tone, unit_ms=10))
        for name, tone in zip(_TONE_NAMES, _four_tones(setup), strict=True)
    ]
    mode = _NAMED_BOOK_SCHEMES[scheme] if setup.contacts else "Disabled"
    settings.append(("phonebook.download.mode", mode))
    if setup.contacts:
        settings += [
            ("phonebook.download.server", path),
            ("phonebook.download.interval", PHONEBOOK_MINUTES),
            ("phonebook.download.username", setup.server.user),
            ("phonebook.download.password", password),
        ]
    return settings

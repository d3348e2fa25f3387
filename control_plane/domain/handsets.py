"""Handsets that fetch their configuration.

Every secret that ends in a handset's file is at least SECRET_MIN letters and digits: whoever shows such a
file to a person masks each run of that length, and cannot miss one.
"""

from __future__ import annotations

import re
from enum import StrEnum
from ipaddress import ip_network
from typing import Annotated, NamedTuple, Self

from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator

from control_plane.domain.entities import Entity, Instant, Key, Label, Language, Slug
from control_plane.domain.extension import Transport

MAC = re.compile(r"[0-9a-f]{12}")
SOFTPHONE = re.compile(r"s[0-9a-f]{11}")
"""A softphone has no MAC: the published store knows it by "s" and eleven hex digits."""
_MAC_MARKS = re.compile(r"[\s:.\-]")
MODEL_PATTERN = r"[A-Za-z0-9][A-Za-z0-9 ._+-]{0,39}"
SECRET_MIN = 16
SECRET_MAX = 30
"""The shortest limit among the makes for an administrator's password."""
MAX_KEYS = 100
MAX_NETWORKS = 20


def normal_mac(text: str) -> str:
    """A MAC address in any notation as 12 lower-case hex digits.

    Raises:
        ValueError: it is no address of one device.
    """
    mac = _MAC_MARKS.sub("", text).lower()
    if not MAC.fullmatch(mac):
        raise ValueError("must be a MAC address: 12 hex digits, such as 80:5e:c0:12:34:56")
    if int(mac[:2], 16) & 1 or not int(mac, 16):
        raise ValueError("is a group address or empty; a handset's own is on its label")
    return mac


def _handset_id(text: str) -> str:
    return text if SOFTPHONE.fullmatch(text) else normal_mac(text)


def _network(text: str) -> str:
    try:
        return str(ip_network(text.strip(), strict=False))
    except ValueError:
        raise ValueError(f"{text!r} is not a network such as 192.0.2.0/24") from None


HandsetId = Annotated[str, AfterValidator(_handset_id)]
Network = Annotated[str, AfterValidator(_network)]
ModelName = Annotated[str, Field(pattern=f"^{MODEL_PATTERN}$")]


class KeyKind(StrEnum):
    """What a programmable key does."""

    LINE = "line"
    BLF = "blf"
    SPEED_DIAL = "speed_dial"
    VOICEMAIL = "voicemail"
    DND = "dnd"
    FORWARD = "forward"


_NEEDS_VALUE = frozenset({KeyKind.BLF, KeyKind.SPEED_DIAL})
_DIALLABLE = re.compile(r"\+?[0-9*#]{1,20}")


class KeySpec(NamedTuple):
    """One programmable key as people write it: kind:value:label:line, all but the kind may be missing."""

    kind: KeyKind
    value: str = ""
    label: str = ""
    line: int = 1

    def __str__(self) -> str:
        return f"{self.kind}:{self.value}:{self.label}:{self.line}"


def key_spec(text: str) -> KeySpec:
    """`text`, such as "blf:101:Ada" or "speed_dial:+6531234567:Hotel:1", as a key.

    Raises:
        ValueError: it cannot be read.
    """
    parts = [part.strip() for part in text.split(":")]
    kinds = {kind.value: kind for kind in KeyKind}
    if len(parts) > 4 or parts[0] not in kinds:
        raise ValueError(f"must be kind:value:label:line with a kind of {', '.join(kinds)}")
    value, label, line = [*parts[1:], "", "", ""][:3]
    kind = kinds[parts[0]]
    if kind in _NEEDS_VALUE and not value:
        raise ValueError(f"a {kind} key needs what to dial, such as {kind}:101:Ada")
    if value and not _DIALLABLE.fullmatch(value):
        raise ValueError("what a key dials must be 1 to 20 digits, * or #, with a leading + if need be")
    if len(label) > 30 or not label.isprintable():
        raise ValueError("the label of a key must be at most 30 characters, none of them control characters")
    if line and not (line.isascii() and line.isdigit() and 1 <= int(line) <= 16):
        raise ValueError("the line of a key must be 1 to 16")
    return KeySpec(kind, value, label, int(line or "1"))


def _key_text(text: str) -> str:
    return str(key_spec(text))


KeyText = Annotated[str, Field(max_length=80), AfterValidator(_key_text)]


class CertificatePolicy(StrEnum):
    """Whether a handset shows a client certificate when it fetches."""

    OFF = "off"
    OPTIONAL = "optional"
    REQUIRED = "required"


class Handset(Entity):
    """A phone, adapter or softphone that fetches its configuration (R49).

    `device` is the SIP client of `extension` it is set up as; both None: nobody is logged in. `last_device`
    is the one before that, where a handset may still be reached. `token` is the secret part of its address;
    it and the HTTP login stay valid beside new ones (`..._previous`) until the handset was seen to use those.
    The enrolment window lets one fetch by bare MAC get the bootstrap until `window_until`.

    `neutral_user` is the SIP user name of its neutral line, which calls emergency numbers and reception while
    nobody is logged in (A73); "": it has none, as softphones. `neutral_password_previous` works beside the
    new one until the handset was seen to have followed; "" is none.

    `admin_password` and `user_password` are those of its own web pages, where it has both accounts;
    `passwords_shown_at` is when somebody last looked at them, `upload_removed` which of the files it sent was
    removed last, and when; both are there for the audit, which says who.
    """

    mac: HandsetId
    model: ModelName
    org: Slug
    site: Slug
    name: Label = ""
    extension: Key | None = None
    device: str | None = Field(default=None, pattern=r"^[a-z][a-z0-9]{11}$")
    last_device: str | None = Field(default=None, pattern=r"^[a-z][a-z0-9]{11}$")
    phone_id: int | None = Field(default=None, ge=1)
    enabled: bool = True
    keys: tuple[KeyText, ...] = Field(default=(), max_length=MAX_KEYS)
    language: Language | None = None
    allowed: tuple[Network, ...] = Field(default=(), max_length=MAX_NETWORKS)
    certificate: CertificatePolicy = CertificatePolicy.OFF
    token: SecretStr
    token_previous: SecretStr = SecretStr("")
    http_user: str = Field(pattern=r"^[a-z0-9]{8,32}$")
    http_password: SecretStr
    http_user_previous: str = Field(default="", pattern=r"^([a-z0-9]{8,32})?$")
    http_password_previous: SecretStr = SecretStr("")
    rotated_at: Instant | None = None
    admin_password: SecretStr
    user_password: SecretStr
    passwords_shown_at: Instant | None = None
    upload_removed: str = Field(default="", pattern=r"^([0-9]{1,16} at [0-9T:.+-]{20,40})?$")
    neutral_user: str = Field(default="", pattern=r"^([a-z][a-z0-9]{11})?$")
    neutral_password: SecretStr = SecretStr("")
    neutral_password_previous: SecretStr = SecretStr("")
    neutral_rotated_at: Instant | None = None
    neutral_transport: Transport = Transport.TLS
    window_id: str | None = Field(default=None, pattern=r"^[0-9a-f]{32}$")
    window_until: Instant | None = None

    @field_validator("token", "token_previous")
    @classmethod
    def _token_is_long(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value() and not re.fullmatch(r"[0-9a-f]{32,64}", value.get_secret_value()):
            raise ValueError("must be 32 to 64 hex digits")
        return value

    @field_validator(
        "http_password", "http_password_previous", "admin_password", "user_password", "neutral_password",
        "neutral_password_previous",
    )  # fmt: skip
    @classmethod
    def _strong_and_plain(cls, value: SecretStr) -> SecretStr:
        secret = value.get_secret_value()
        plain = secret.isascii() and secret.isalnum()
        if secret and not (plain and SECRET_MIN <= len(secret) <= SECRET_MAX):
            raise ValueError(f"must be {SECRET_MIN} to {SECRET_MAX} letters and digits")
        return value

    @model_validator(mode="after")
    def _pairs_are_whole(self) -> Self:
        if (self.device is None) is not (self.extension is None):
            raise ValueError("device: a handset is set up as a device of an extension, or as none")
        if (self.window_id is None) is not (self.window_until is None):
            raise ValueError("window_until: an enrolment window has an id and an end, or neither")
        if bool(self.neutral_user) is not bool(self.neutral_password.get_secret_value()):
            raise ValueError("neutral_user: a neutral line has a user name and a password, or neither")
        return self

    @property
    def is_softphone(self) -> bool:
        return SOFTPHONE.fullmatch(self.mac) is not None

    @property
    def has_neutral_line(self) -> bool:
        """Whether it can call without a log-in. It keeps the line while somebody is logged in: nobody knows
        when it fetches what it is then told, and until it did it must reach emergency numbers."""
        return self.enabled and bool(self.neutral_user)

    @property
    def is_rotating(self) -> bool:
        """Whether an older token or HTTP login still works."""
        return bool(self.token_previous.get_secret_value() or self.http_user_previous)

"""An extension with its features, and its devices (R71-R116)."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, field_validator, model_validator

from control_plane.domain.entities import KEY_PATTERN, Entity, Instant, Key, Label, PhoneNumberText, Slug
from control_plane.domain.regions import is_e164, tidy

MAX_FORWARD_EXTENSIONS = 10
"""Legs rung at once; each costs a channel, and the row that lists them must stay under 1 000 bytes."""
MAX_VIP_ENTRIES = 200
MAX_NOTIFY_ADDRESSES = 10  # A113
RING_TIMEOUT_MIN_S = 5  # R115
RING_TIMEOUT_MAX_S = 60

FORWARDING_BLOCKED = "Call forwarding is not available while authorization code dialing is enabled"  # A60
ONE_GROUP_ONLY = "Maximum 1 Group Key."  # R97
ONE_NUMBER_ONLY = "Maximum 1 Phone Number."  # R92, exact


def _require_caller(value: str) -> str:
    caller = tidy(value)
    if is_e164(caller) or (caller.isascii() and caller.isdigit() and 2 <= len(caller) <= 6):
        return caller
    raise ValueError("must be an E.164 number or an extension of 2 to 6 digits")


Caller = Annotated[str, AfterValidator(_require_caller)]
EmailAddress = Annotated[str, Field(max_length=254, pattern=r"^[^@\s,;<>\"]+@[^@\s,;<>\"]+$")]


class ExtensionType(StrEnum):
    """A75."""

    NORMAL = "normal"
    CONTACT_CENTER = "contact_center"


class DeviceKind(StrEnum):
    """R76; the order is the ring priority of R89."""

    IP_PHONE = "ip_phone"
    MOBILE = "mobile"
    DESKTOP = "desktop"


DEVICE_PRIORITY = tuple(DeviceKind)


class Transport(StrEnum):
    """R78: UDP and TCP by default, TLS when the device supports it."""

    UDP = "udp"
    TCP = "tcp"
    TLS = "tls"


class Device(Entity):
    """One SIP client of an extension with a credential of its own.

    `id` is also its SIP user name: random, so that an extension number alone is no target.
    """

    id: str = Field(pattern=r"^[a-z][a-z0-9]{11}$")
    org: Slug
    extension: Key
    kind: DeviceKind
    name: Label = ""
    transport: Transport = Transport.UDP
    srtp: bool = False
    stun: bool = False
    sip_password: SecretStr
    sip_password_previous: SecretStr = SecretStr("")
    """Works beside the new one until the handset was seen to have followed; "" is none."""
    rotated_at: Instant | None = None

    @field_validator("sip_password", "sip_password_previous")
    @classmethod
    def _strong_and_plain(cls, value: SecretStr, info: ValidationInfo) -> SecretStr:
        secret = value.get_secret_value()
        if not secret and info.field_name == "sip_password_previous":
            return value
        if not 16 <= len(secret) <= 64 or not (secret.isascii() and secret.isalnum()):
            raise ValueError("must be 16 to 64 letters and digits")
        return value

    @model_validator(mode="after")
    def _srtp_needs_tls(self) -> Self:
        # RFC 4568 section 6: SDES keys travel in the SDP, so signalling in the clear gives them away.
        if self.srtp and self.transport is not Transport.TLS:
            raise ValueError("srtp needs transport tls: the keys travel in the signalling")
        return self


class NoAnswerAction(StrEnum):
    """R111-R114."""

    FORWARD = "forward"
    HANGUP = "hangup"
    RECORD_NUMBER = "record_number"
    VOICEMAIL = "voicemail"


class NoAnswer(Entity):
    """What happens when nobody answers within `ring_timeout_s` seconds (R109-R116, A112)."""

    action: NoAnswerAction = NoAnswerAction.HANGUP
    ring_timeout_s: int = Field(default=20, ge=RING_TIMEOUT_MIN_S, le=RING_TIMEOUT_MAX_S, strict=True)
    number: PhoneNumberText | None = None
    notify: tuple[EmailAddress, ...] = Field(default=(), max_length=MAX_NOTIFY_ADDRESSES)

    @model_validator(mode="after")
    def _forward_needs_a_number(self) -> Self:
        if self.action is NoAnswerAction.FORWARD and self.number is None:
            raise ValueError("number: the action 'forward' needs the number to forward to")
        return self


class Forwarding(Entity):
    """All calls to one number and/or several extensions, except those of the VIP list (R91-R98)."""

    enabled: bool = False
    numbers: tuple[PhoneNumberText, ...] = ()
    extensions: tuple[Key, ...] = Field(default=(), max_length=MAX_FORWARD_EXTENSIONS)
    vip: tuple[Caller, ...] = Field(default=(), max_length=MAX_VIP_ENTRIES)
    vip_ring_devices: tuple[DeviceKind, ...] = ()

    @field_validator("numbers")
    @classmethod
    def _one_number(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(value) > 1:
            raise ValueError(ONE_NUMBER_ONLY)
        return value

    @field_validator("extensions", "vip")
    @classmethod
    def _each_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(value))

    @model_validator(mode="after")
    def _enabled_needs_a_target(self) -> Self:
        if self.enabled and not (self.numbers or self.extensions):
            raise ValueError("forwarding needs a number or an extension to forward to before it is enabled")
        return self

    @property
    def targets(self) -> tuple[str, ...]:
        """Everything rung when forwarding is on: extensions first, then the number."""
        return self.extensions + self.numbers


class DndAction(StrEnum):
    """A99: `auto` is voicemail when the no-answer action is voicemail, else busy."""

    AUTO = "auto"
    BUSY = "busy"
    VOICEMAIL = "voicemail"


class Extension(Entity):
    """One extension: what it is called, what it does with calls.

    `voicemail_pin` also logs in at handsets (R53). `pin_failures` counts wrong ones in a row, wherever they
    were given; `pin_locked`: no PIN is taken until it is reset (A33, A53).
    `legacy_multi_forward` marks a row taken over from elsewhere: the limits that call groups set to forward
    targets (R96, R97) came later and do not hold for it (R98).
    """

    org: Slug
    key: Key
    site: Slug
    label: Label = ""
    type: ExtensionType = ExtensionType.NORMAL
    person: Slug | None = None
    number: PhoneNumberText | None = None
    voicemail_pin: SecretStr = SecretStr("")
    pin_failures: int = Field(default=0, ge=0)
    pin_locked: bool = False
    ring_devices: tuple[DeviceKind, ...] = ()
    primary_device: DeviceKind | None = None
    call_waiting: bool = True
    dnd: bool = False
    dnd_action: DndAction = DndAction.AUTO
    forwarding: Forwarding = Forwarding()
    no_answer: NoAnswer = NoAnswer()
    restricted: bool = False
    legacy_multi_forward: bool = False

    @field_validator("voicemail_pin")
    @classmethod
    def _pin_is_digits(cls, value: SecretStr) -> SecretStr:
        pin = value.get_secret_value()
        if pin and not (pin.isascii() and pin.isdigit() and 4 <= len(pin) <= 10):
            raise ValueError("must be 4 to 10 digits")
        return value

    @field_validator("ring_devices")
    @classmethod
    def _kinds_once(cls, value: tuple[DeviceKind, ...]) -> tuple[DeviceKind, ...]:
        return tuple(kind for kind in DEVICE_PRIORITY if kind in value)

    @model_validator(mode="after")
    def _rules_between_fields(self) -> Self:
        contact_center = self.type is ExtensionType.CONTACT_CENTER
        if contact_center and len(self.ring_devices) > 1:
            raise ValueError("ring_devices: a Contact Center extension rings 1 device")  # R85
        if self.key in self.forwarding.extensions:
            raise ValueError(f"forwarding: extension {self.key} cannot forward to itself")
        if self.has_mailbox and not self.voicemail_pin.get_secret_value():
            raise ValueError("voicemail_pin: a mailbox needs a PIN of 4 to 10 digits")
        return self

    @property
    def has_mailbox(self) -> bool:
        return self.no_answer.action is NoAnswerAction.VOICEMAIL or self.dnd_action is DndAction.VOICEMAIL

    @property
    def dnd_goes_to_voicemail(self) -> bool:
        if self.dnd_action is DndAction.AUTO:
            return self.no_answer.action is NoAnswerAction.VOICEMAIL
        return self.dnd_action is DndAction.VOICEMAIL

    @property
    def rings_waiting_calls(self) -> bool:
        """A100: call waiting is for Normal extensions only."""
        return self.call_waiting and self.type is ExtensionType.NORMAL


__all__ = [
    "DEVICE_PRIORITY",
    "FORWARDING_BLOCKED",
    "KEY_PATTERN",
    "MAX_FORWARD_EXTENSIONS",
    "ONE_GROUP_ONLY",
    "ONE_NUMBER_ONLY",
    "Device",
    "DeviceKind",
    "DndAction",
    "Extension",
    "ExtensionType",
    "Forwarding",
    "NoAnswer",
    "NoAnswerAction",
    "Transport",
]

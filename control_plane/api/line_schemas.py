"""What the API takes and gives about extensions and devices; secrets come out of credentials only."""

from __future__ import annotations

from typing import Annotated, Required

from pydantic import BaseModel, Field, StrictBool
from typing_extensions import TypedDict

from control_plane.api.schemas import E164, Dialled, Out, strict
from control_plane.domain.entities import Key, Label, Slug
from control_plane.domain.extension import (
    MAX_FORWARD_EXTENSIONS,
    MAX_NOTIFY_ADDRESSES,
    MAX_VIP_ENTRIES,
    RING_TIMEOUT_MAX_S,
    RING_TIMEOUT_MIN_S,
    DeviceKind,
    DndAction,
    EmailAddress,
    ExtensionType,
    NoAnswerAction,
    Transport,
)


class ForwardingOut(Out):
    """Where calls go instead, and who is excepted."""

    enabled: bool
    numbers: list[str]
    extensions: list[str]
    vip: list[str]
    vip_ring_devices: list[DeviceKind] = Field(
        description="Devices that rang before forwarding was switched on; VIP callers ring these."
    )


@strict
class ForwardingPatch(TypedDict, total=False):
    """Fields of call forwarding."""

    enabled: StrictBool | None
    numbers: Annotated[list[Dialled], Field(description="At most one.")] | None
    extensions: (
        Annotated[
            list[Key], Field(max_length=MAX_FORWARD_EXTENSIONS, description="And at most one Group Key.")
        ]
        | None
    )
    vip: Annotated[list[Dialled], Field(max_length=MAX_VIP_ENTRIES)] | None


class NoAnswerOut(Out):
    """What happens when nobody answers."""

    action: NoAnswerAction
    ring_timeout_s: int
    number: str | None
    notify: list[str]


@strict
class NoAnswerPatch(TypedDict, total=False):
    """Fields of the no-answer settings."""

    action: NoAnswerAction | None
    ring_timeout_s: Annotated[int, Field(ge=RING_TIMEOUT_MIN_S, le=RING_TIMEOUT_MAX_S, strict=True)] | None
    number: Dialled | None
    notify: Annotated[list[EmailAddress], Field(max_length=MAX_NOTIFY_ADDRESSES)] | None


class ExtensionOut(Out):
    """An extension and what it does with calls; its voicemail PIN does not come out."""

    org: str
    key: str
    site: str
    label: str
    type: ExtensionType
    person: str | None
    number: str | None
    ring_devices: list[DeviceKind]
    primary_device: DeviceKind | None
    call_waiting: bool
    dnd: bool
    dnd_action: DndAction
    forwarding: ForwardingOut
    no_answer: NoAnswerOut
    restricted: bool
    pin_locked: bool = Field(description="Wrong PINs in a row locked it until the PIN is reset or set (A53).")
    legacy_multi_forward: bool = Field(
        description="Taken over from elsewhere: limits of call groups on forward targets do not hold."
    )


class ExtensionShown(ExtensionOut):
    """An extension as it is read."""

    update_in_progress: bool = Field(
        description="A change of it is not in Asterisk yet (R31); its task says why.", default=False
    )


class _ExtensionFields(TypedDict, total=False):
    label: Label | None
    type: ExtensionType | None
    person: Slug | None
    number: E164 | None
    voicemail_pin: Annotated[str, Field(pattern=r"^[0-9]{4,10}$", json_schema_extra={"writeOnly": True})]
    ring_devices: list[DeviceKind] | None
    primary_device: DeviceKind | None
    call_waiting: StrictBool | None
    dnd: StrictBool | None
    dnd_action: DndAction | None
    forwarding: ForwardingPatch | None
    no_answer: NoAnswerPatch | None
    restricted: StrictBool | None


@strict
class ExtensionPatch(_ExtensionFields, total=False):
    """Fields of an extension."""

    site: Slug


@strict
class ExtensionIn(_ExtensionFields, total=False):
    """A new extension."""

    key: Required[Key]
    site: Required[Slug]


class ExtensionCredentials(BaseModel):
    """The secret of an extension."""

    voicemail_pin: str


class DeviceOut(Out):
    """A SIP client of an extension; its password does not come out."""

    id: str
    org: str
    extension: str
    kind: DeviceKind
    name: str
    transport: Transport
    srtp: bool
    stun: bool


@strict
class DevicePatch(TypedDict, total=False):
    """Fields of a device."""

    name: Label | None
    transport: Transport | None
    srtp: StrictBool | None
    stun: StrictBool | None
    sip_password: Annotated[
        str, Field(pattern=r"^[A-Za-z0-9]{16,64}$", json_schema_extra={"writeOnly": True})
    ]


@strict
class DeviceIn(DevicePatch, total=False):
    """A new device; its password is random unless given."""

    kind: Required[DeviceKind]


class DeviceCredentials(BaseModel):
    """What a person types into a softphone."""

    extension: str
    kind: DeviceKind
    sip_user: str
    sip_password: str
    host: str
    port: int
    transport: Transport


class DeviceCreated(BaseModel):
    """A new device with its credentials."""

    device: DeviceOut
    credentials: DeviceCredentials

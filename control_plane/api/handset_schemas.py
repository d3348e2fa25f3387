"""What the API takes and gives about handsets; no secret comes out but in a link."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Required

from pydantic import BaseModel, Field, StrictBool
from typing_extensions import TypedDict

from control_plane.api.node_schemas import PlanOut
from control_plane.api.schemas import Out, strict
from control_plane.domain.entities import Key, Label, Language, Slug
from control_plane.domain.extension import DeviceKind, Transport
from control_plane.domain.handsets import MAX_KEYS, MAX_NETWORKS, SECRET_MAX, SECRET_MIN, CertificatePolicy
from control_plane.observe.registrations import Reach
from control_plane.service.csv_lists import IMPORT_CHARACTERS_MAX, LineOutcome
from control_plane.service.handset_status import Sync
from control_plane.service.handsets import WINDOW_MAX_MINUTES, WINDOW_MIN_MINUTES

Mac = Annotated[
    str,
    Field(
        max_length=24, description="In any notation; kept as 12 hex digits.", examples=["80:5e:c0:12:34:56"]
    ),
]
ModelText = Annotated[str, Field(max_length=40, description="As in /handset-models.", examples=["T54W"])]
KeyLine = Annotated[
    str, Field(max_length=80, description="kind:value:label:line", examples=["blf:101:Ada", "line"])
]


class Rotated(StrEnum):
    """Which secrets get new ones."""

    SIP = "sip"  # the password it registers with: as its device, or on its neutral line
    ACCESS = "access"  # the address and login the handset fetches with
    WEB = "web"  # the passwords of its own web pages
    ALL = "all"


class FetchOut(Out):
    """The newest fetch of a file."""

    name: str
    at: datetime
    status: int
    version: str
    scheme: str
    address: str
    user_agent: str
    count: int


class RegistrationOut(Out):
    """Where the handset's device is registered."""

    aor: str
    uri: str
    reach: Reach
    since: datetime
    user_agent: str
    roundtrip_ms: float | None


class HandsetOut(BaseModel):
    """A handset and how it stands."""

    mac: str
    model: str
    org: str
    site: str
    name: str
    extension: str | None = Field(description="Who is logged in; null: nobody.")
    device: str | None
    phone_id: int | None
    enabled: bool
    keys: list[str]
    language: str | None
    allowed: list[str] = Field(description="Networks it may fetch from; empty: any.")
    certificate: CertificatePolicy
    sync: Sync
    shown_as: str | None = Field(description="Set once it registered with what it fetched (R77).")
    version: str | None = Field(description="Of the settings that are published.")
    version_fetched: str | None = Field(description="Of the settings it fetched last.")
    last_fetch: FetchOut | None
    registration: RegistrationOut | None
    rotating: bool = Field(description="A secret was changed, and the old one still works beside it.")
    window_until: datetime | None = Field(description="It may enrol until then; null: it may not.")
    warnings: list[str]


WebPassword = Annotated[
    str,
    Field(pattern=rf"^[A-Za-z0-9]{{{SECRET_MIN},{SECRET_MAX}}}$", json_schema_extra={"writeOnly": True}),
]


class _HandsetFields(TypedDict, total=False):
    name: Label | None
    keys: Annotated[list[KeyLine], Field(max_length=MAX_KEYS)] | None
    language: Language | None
    enabled: StrictBool | None
    allowed: Annotated[list[Annotated[str, Field(max_length=49)]], Field(max_length=MAX_NETWORKS)] | None
    certificate: CertificatePolicy | None
    admin_password: WebPassword
    user_password: WebPassword


@strict
class HandsetPatch(_HandsetFields, total=False):
    """Fields of a handset."""

    model: ModelText
    site: Slug


@strict
class LoginIn(TypedDict, total=False):
    """Who logs in, as which of the extension's devices."""

    extension: Required[Key]
    kind: DeviceKind | None
    transport: Annotated[Transport, Field(description="New devices: TLS.")] | None


@strict
class HandsetIn(_HandsetFields, total=False):
    """A new handset; softphones need no MAC."""

    mac: Mac | None
    model: Required[ModelText]
    site: Required[Slug]
    login: LoginIn | None


@strict
class HandsetListIn(TypedDict, total=False):
    """A list of handsets."""

    csv: Required[
        Annotated[
            str,
            Field(
                max_length=IMPORT_CHARACTERS_MAX,
                description="mac,model,site,label,extension on each line; a heading may change the order.",
            ),
        ]
    ]
    dry_run: Annotated[StrictBool, Field(description="Say what would happen and write nothing.")]
    partial: Annotated[StrictBool, Field(description="Set up the good lines although others are refused.")]


class HandsetLineOut(Out):
    """One line of an import."""

    line: int
    text: str
    outcome: LineOutcome
    mac: str | None = Field(description="Of the handset; null for a softphone.")
    extension: str | None = Field(description="Who is logged in.")
    why: str | None


class HandsetListOut(BaseModel):
    """What an import did, or would do."""

    applied: bool
    added: int
    present: int
    refused: int
    lines: list[HandsetLineOut]


@strict
class WindowIn(TypedDict, total=False):
    """How long the handset may enrol."""

    minutes: Annotated[int, Field(ge=WINDOW_MIN_MINUTES, le=WINDOW_MAX_MINUTES, strict=True)]


@strict
class RotationIn(TypedDict, total=False):
    """What to change."""

    what: Annotated[
        Rotated,
        Field(description="`sip` is that of its device, or of its neutral line while nobody is logged in."),
    ]


@strict
class NotifyIn(TypedDict, total=False):
    """How the handset is told."""

    reboot: StrictBool


class WebPasswordsOut(BaseModel):
    """Of the accounts of a handset's own web pages; some makes have the first alone."""

    admin: str
    user: str


class NotifiedOut(BaseModel):
    """Where the NOTIFY went."""

    contact: str


class FileOut(BaseModel):
    """One file a handset can fetch."""

    name: str
    bootstrap: bool = Field(description="Served by bare MAC while enrolment is open.")
    secret: bool
    size: int
    etag: str
    fetched: FetchOut | None


class FileContentOut(BaseModel):
    """A file for a person; what could be a secret reads ***."""

    name: str
    content_type: str
    content: str


class UploadOut(BaseModel):
    """A file a handset sent."""

    id: int
    name: str
    at: datetime
    size: int = Field(description="Bytes.")


class LinkOut(BaseModel):
    """A link for a softphone that works once; it is shown once."""

    url: str
    link: str = Field(
        description="Opens the softphone by itself where it has a scheme of its own, else `url`."
    )
    qr_svg: str = Field(description="`link` as a QR code, an SVG document.")
    valid_until: datetime


class ModelOut(BaseModel):
    """One model of the catalogue."""

    name: str
    vendor: str
    family: str
    lines: int
    keys: int
    softphone: bool
    supports: list[str]


class ProvisioningOut(BaseModel):
    """How publishing stands."""

    in_sync: bool
    revision: int
    revision_published: int
    handsets: int
    waiting: int = Field(description="Handsets whose directory is still to be brought up to date.")
    pending: PlanOut | None
    last_error: str | None
    last_drift: list[str]
    faults: list[str]
    late: list[str] = Field(description="Handsets that did not follow a change of their secrets in time.")

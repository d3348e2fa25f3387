"""What the API takes and gives, apart from the entities: no secret ever comes out through these.

`...In` and `...Patch` are typed dictionaries, so that a field that was not given is really absent. In a
patch null takes a field back to its default (RFC 7396).
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Required

from pydantic import BaseModel, ConfigDict, Field, StrictBool, with_config
from typing_extensions import TypedDict

from control_plane.domain.entities import (
    POLL_MAX_S,
    POLL_MIN_S,
    Country,
    Decommission,
    DialledDigits,
    HostName,
    HostPort,
    Key,
    Label,
    Language,
    NamePart,
    NumberStatus,
    OrganisationKind,
    PersonKind,
    Slug,
)
from control_plane.domain.extension import EmailAddress
from control_plane.domain.regions import RegionCode

strict = with_config(ConfigDict(extra="forbid"))

E164 = Annotated[
    str,
    Field(max_length=32, description="An E.164 number with +.", examples=["+6561000100"]),
]
Dialled = Annotated[
    str,
    Field(
        max_length=32, description="E.164, or as dialled from the extension's site.", examples=["+6531234567"]
    ),
]
TimeZoneName = Annotated[
    str, Field(max_length=64, description="An IANA time zone.", examples=["Asia/Singapore"])
]
Port = Annotated[int, Field(ge=1, le=65535, strict=True)]


class Out(BaseModel):
    """Read from an entity's attributes; what is not declared stays inside."""

    model_config = ConfigDict(from_attributes=True)


class OrganisationOut(Out):
    """An operator (landlord) or an occupier (tenant)."""

    id: str
    name: str
    kind: OrganisationKind
    decommission: Decommission


class _OrganisationFields(TypedDict, total=False):
    kind: OrganisationKind | None


@strict
class OrganisationPatch(_OrganisationFields, total=False):
    """Fields of an organisation."""

    name: Label


@strict
class OrganisationIn(_OrganisationFields, total=False):
    """A new organisation."""

    id: Required[Slug]
    name: Required[Label]


class SiteProvisioningOut(Out):
    """What a site decides for its handsets."""

    plain: bool = Field(description="Secrets also over HTTP and TFTP.")
    interval_s: int
    language: str | None
    tone_country: str | None
    ntp_servers: list[str]
    stun_server: str | None
    phone_ids: int = Field(description="How many handsets can be logged in at once.")


@strict
class SiteProvisioningPatch(TypedDict, total=False):
    """Fields of what a site decides for its handsets."""

    plain: StrictBool | None
    interval_s: Annotated[int, Field(ge=POLL_MIN_S, le=POLL_MAX_S, strict=True)] | None
    language: Language | None
    tone_country: Country | None
    ntp_servers: Annotated[list[HostName], Field(max_length=2)] | None
    stun_server: HostPort | None
    phone_ids: Annotated[int, Field(ge=1, le=100_000, strict=True)] | None


class SiteOut(Out):
    """A place with a region, a time zone and a node."""

    id: str
    name: str
    region: RegionCode
    time_zone: str
    node: str
    trunk: str | None
    caller_id: str | None
    media_address: str | None
    reception: list[str]
    provisioning: SiteProvisioningOut
    nominate_main: bool


class _SiteFields(TypedDict, total=False):
    node: Slug | None
    trunk: Slug | None
    caller_id: E164 | None
    media_address: str | None
    reception: list[DialledDigits] | None
    provisioning: SiteProvisioningPatch | None
    nominate_main: StrictBool | None


@strict
class SitePatch(_SiteFields, total=False):
    """Fields of a site."""

    name: Label
    region: RegionCode
    time_zone: TimeZoneName


@strict
class SiteIn(_SiteFields, total=False):
    """A new site."""

    id: Required[Slug]
    name: Required[Label]
    region: Required[RegionCode]
    time_zone: Required[TimeZoneName]


class CodeOut(Out):
    """Which authorization code is in force; its digits are kept nowhere."""

    id: str


class OccupancyOut(Out):
    """What an organisation has at a site."""

    org: str
    site: str
    authorization_code: CodeOut | None
    reception: list[str]


@strict
class OccupancyPatch(TypedDict, total=False):
    """Fields of an occupancy."""

    reception: list[DialledDigits] | None


@strict
class OccupancyIn(OccupancyPatch, total=False):
    """A new occupancy."""

    site: Required[Slug]


@strict
class CodeIn(TypedDict, total=False):
    """The digits of a new authorization code; without them a random one is made."""

    code: Annotated[str, Field(pattern=r"^[0-9]{4,8}$")]


class CodeGiven(BaseModel):
    """A new authorization code; its digits are shown this once."""

    id: str
    code: str


class PersonOut(Out):
    """Somebody an extension is assigned to."""

    id: str
    org: str
    name: str
    email: str | None
    kind: PersonKind


class _PersonFields(TypedDict, total=False):
    email: EmailAddress | None
    kind: PersonKind | None


@strict
class PersonPatch(_PersonFields, total=False):
    """Fields of a person."""

    name: Label


@strict
class PersonIn(_PersonFields, total=False):
    """A new person."""

    id: Annotated[
        Slug | None,
        Field(description="The operator's to choose, once in the whole exchange; else it is made."),
    ]
    name: Required[Label]


class NumberOut(Out):
    """A phone number: its status, whose it is, what it reaches and what it is called."""

    e164: str
    site: str
    org: str | None
    extension: str | None
    status: NumberStatus
    pending_to: NumberStatus | None = Field(
        description="Where PENDING leads once Asterisk was seen to follow."
    )
    main: bool
    label_1: str
    label_2: str
    person: str | None
    softphone: bool
    allocation_lock: bool
    ever_active: bool
    cooldown_until: datetime | None


class _NumberFields(TypedDict, total=False):
    main: StrictBool | None


@strict
class NumberPatch(_NumberFields, total=False):
    """Fields of a phone number; its status has actions of its own."""

    site: Slug
    extension: Key | None
    label_1: NamePart | None
    label_2: NamePart | None
    allocation_lock: StrictBool | None
    softphone: StrictBool | None


@strict
class NumberIn(_NumberFields, total=False):
    """A number for the pool of a site."""

    e164: Required[E164]
    site: Required[Slug]


class TrunkOut(Out):
    """A connection to a carrier; its password does not come out."""

    id: str
    node: str
    host: str
    port: int
    region: RegionCode
    username: str | None


class _TrunkFields(TypedDict, total=False):
    node: Slug | None
    port: Port | None
    username: Annotated[str, Field(pattern=r"^[A-Za-z0-9._+-]{1,64}$")] | None
    password: Annotated[str, Field(max_length=128, json_schema_extra={"writeOnly": True})] | None


@strict
class TrunkPatch(_TrunkFields, total=False):
    """Fields of a trunk."""

    host: Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]{1,253}$")]
    region: RegionCode


@strict
class TrunkIn(_TrunkFields, total=False):
    """A new trunk."""

    id: Required[Slug]
    host: Required[Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]{1,253}$")]]
    region: Required[RegionCode]

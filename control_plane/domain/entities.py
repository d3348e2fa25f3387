"""Organisations, sites, people, numbers, trunks: who is there and what reaches them.

Entities are frozen; a change is a new value. Every rule that concerns one entity alone is here, with the
sentence the user reads; rules between entities are checked where the use case has both.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from ipaddress import AddressValueError, IPv4Address
from typing import Annotated, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from control_plane.domain.regions import REGIONS, Region, RegionCode, is_e164, tidy

SLUG_PATTERN = r"[a-z][a-z0-9-]{0,30}"
KEY_PATTERN = r"[0-9]{2,6}"


class Entity(BaseModel):
    """Base of every entity: frozen, nothing unknown accepted, unchanged defaults validated too."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, str_strip_whitespace=True)


def _require_e164(value: str) -> str:
    number = tidy(value)
    if not is_e164(number):
        raise ValueError("must be an E.164 number: +, country code and number, 7 to 15 digits")
    return number


def _require_time_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{value!r} is not an IANA time zone, such as Asia/Singapore") from None
    return value


def _require_ipv4(value: str) -> str:
    try:
        return str(IPv4Address(value))
    except AddressValueError:
        raise ValueError(f"{value!r} is not an IPv4 address, such as 192.0.2.10") from None


def _require_utc(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("must name its time zone, such as 2025-01-31T09:30:00Z")
    return value.astimezone(UTC)


def require_plain_text(value: str) -> str:
    """`value` when it has no control character: it ends in caller ID names and configuration lines."""
    if not value.isprintable():
        raise ValueError("must not contain control characters or line breaks")
    return value


Slug = Annotated[str, Field(pattern=f"^{SLUG_PATTERN}$")]
Key = Annotated[str, Field(pattern=f"^{KEY_PATTERN}$")]
PhoneNumberText = Annotated[str, AfterValidator(_require_e164)]
IPv4 = Annotated[str, AfterValidator(_require_ipv4)]
TimeZone = Annotated[str, AfterValidator(_require_time_zone)]
Label = Annotated[str, Field(max_length=60), AfterValidator(require_plain_text)]
NamePart = Annotated[str, Field(max_length=30), AfterValidator(require_plain_text)]
Instant = Annotated[datetime, AfterValidator(_require_utc)]
DialledDigits = Annotated[str, Field(pattern=r"^\+?[0-9]{1,15}$")]
Language = Annotated[str, Field(pattern=r"^[a-z]{2}$")]
Country = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
HOST_PATTERN = r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?"
HostName = Annotated[str, Field(pattern=f"^{HOST_PATTERN}$")]
HostPort = Annotated[str, Field(pattern=f"^{HOST_PATTERN}:[0-9]{{1,5}}$")]

DAY_S = 86_400
POLL_MIN_S = 300
POLL_MAX_S = 30 * DAY_S


class OrganisationKind(StrEnum):
    """R1: one operator (landlord), many occupiers (tenants)."""

    OPERATOR = "operator"
    OCCUPIER = "occupier"


class Decommission(StrEnum):
    """How far an occupier is on its way out (R34)."""

    NONE = "none"
    PENDING = "pending"
    FAILED = "failed"
    DECOMMISSIONED = "decommissioned"


class Organisation(Entity):
    """An operator or an occupier (R1). While `decommission` is set, its numbers cannot be changed (R35)."""

    id: Slug
    name: Label
    kind: OrganisationKind = OrganisationKind.OCCUPIER
    decommission: Decommission = Decommission.NONE


class SiteProvisioning(Entity):
    """What a site decides for its handsets.

    `plain`: secrets also over HTTP and TFTP, for a closed network with handsets that cannot do TLS. None for
    language and tones: those of the site's region. `phone_ids`: how many handsets can be logged in at once
    (R49, R52).
    """

    plain: bool = False
    interval_s: int = Field(default=DAY_S, ge=POLL_MIN_S, le=POLL_MAX_S)
    language: Language | None = None
    tone_country: Country | None = None
    ntp_servers: tuple[HostName, ...] = Field(default=(), max_length=2)
    stun_server: HostPort | None = None
    phone_ids: int = Field(default=1000, ge=1, le=100_000)


class Site(Entity):
    """A place with a region, a time zone and the node its phones live on.

    `caller_id` is the number shown when an extension without a number of its own calls out.
    `media_address` is the node's IPv4 address as the phones here reach it: media is bound to it and announced
    from it. None: Asterisk takes media on every interface and announces the one that leads to the phone.
    `nominate_main`: one of the numbers that come with a first voice service becomes the main number (R65).
    """

    id: Slug
    name: Label
    region: RegionCode
    time_zone: TimeZone
    node: Slug = "lab"
    trunk: Slug | None = None
    caller_id: PhoneNumberText | None = None
    media_address: IPv4 | None = None
    reception: tuple[DialledDigits, ...] = ()
    provisioning: SiteProvisioning = SiteProvisioning()
    nominate_main: bool = False

    @property
    def numbering(self) -> Region:
        return REGIONS[self.region]

    @property
    def emergency_numbers(self) -> tuple[str, ...]:
        return self.numbering.emergency


class AuthorizationCode(Entity):
    """A salted SHA-1 digest of the digits, the strongest hash Asterisk's dialplan can check (A56).

    `id` names the code in call records; the digits are never stored.
    """

    id: str = Field(pattern=r"^[a-z0-9]{8}$")
    salt: str = Field(pattern=r"^[a-z0-9]{16}$")
    digest: str = Field(pattern=r"^[0-9a-f]{40}$")


class Occupancy(Entity):
    """What one organisation has at one site: its authorization code (R56) and reception numbers (A59)."""

    org: Slug
    site: Slug
    authorization_code: AuthorizationCode | None = None
    reception: tuple[DialledDigits, ...] = ()


class PersonKind(StrEnum):
    """R2: who a number can be assigned to."""

    OCCUPIER_USER = "occupier_user"
    TEAM_MEMBER = "team_member"


class Person(Entity):
    """Somebody a number or an extension is assigned to (R2); not a login."""

    id: Slug
    org: Slug
    name: Label
    email: str | None = Field(default=None, max_length=254, pattern=r"^[^@\s,;<>\"]+@[^@\s,;<>\"]+$")
    kind: PersonKind = PersonKind.OCCUPIER_USER


class NumberStatus(StrEnum):
    """A21. Only ACTIVE routes, registers or rings (R23)."""

    AVAILABLE = "available"
    RESERVED = "reserved"
    PENDING = "pending"  # asked for, and not yet seen in Asterisk
    ACTIVE = "active"
    COOLDOWN = "cooldown"


class PhoneNumber(Entity):
    """A long number with its status and what it belongs to (R5).

    `pending_to`: where PENDING leads once Asterisk was seen to follow. `main`: nominated as the main number
    of its organisation at its site (R8, A8); such a number is inbound only: it reaches no extension, and no
    extension calls from it. `label_1` and `label_2` are the two-part name (R48), `person` whom it is
    assigned to (R27). `allocation_lock` keeps it from another organisation (R33).
    `ever_active` says that it goes to its cooldown and not straight back to the pool. `pin_reset_at` is when
    its PIN was last reset; the audit says by whom, also where it was that PIN already (R53).
    """

    e164: PhoneNumberText
    site: Slug
    org: Slug | None = None
    extension: Key | None = None
    status: NumberStatus = NumberStatus.AVAILABLE
    pending_to: NumberStatus | None = None
    main: bool = False
    label_1: NamePart = ""
    label_2: NamePart = ""
    person: Slug | None = None
    softphone: bool = False
    ever_active: bool = False
    cooldown_until: Instant | None = None
    allocation_lock: bool = False
    default_pin: SecretStr = SecretStr("")
    pin_reset_at: Instant | None = None

    @model_validator(mode="after")
    def _main_has_no_extension(self) -> Self:
        if self.main and self.extension is not None:
            raise ValueError("extension: a main number is inbound only and belongs to no extension")
        return self

    @model_validator(mode="after")
    def _pending_leads_somewhere(self) -> Self:
        leads = self.pending_to in (NumberStatus.ACTIVE, NumberStatus.RESERVED)
        if leads != (self.status is NumberStatus.PENDING) or (not leads and self.pending_to is not None):
            raise ValueError("pending_to: says where PENDING leads, active or reserved, and nothing else")
        return self

    @property
    def routes(self) -> bool:
        """Whether Asterisk is told to route it (R23): when ACTIVE, and to become so."""
        return NumberStatus.ACTIVE in (self.status, self.pending_to)

    @property
    def name(self) -> str:
        """Both parts of its name."""
        return f"{self.label_1} {self.label_2}".strip()


class Trunk(Entity):
    """A connection to a carrier, identified by its addresses (and by a user name where it asks for one)."""

    id: Slug
    node: Slug = "lab"
    host: str = Field(pattern=r"^[A-Za-z0-9.-]{1,253}$")
    port: int = Field(default=5060, ge=1, le=65535)
    region: RegionCode
    username: str | None = Field(default=None, pattern=r"^[A-Za-z0-9._+-]{1,64}$")
    password: SecretStr | None = None


class Leftover(Entity):
    """What a removed extension left on a node besides what the model renders, until it is erased.

    `devices` are the SIP user names it had. Nobody who gets the same extension later may find any of it.
    """

    node: Slug
    org: Slug
    extension: Key
    devices: tuple[str, ...] = ()

"""Every setting of the control plane and its lab, from the environment (`WIRECHIEF_...`) or given in code.

Nothing listens beyond loopback unless a setting names another address. Secrets that the lab makes for
itself are not here: they are generated at first start and kept in the state directory.
"""

from __future__ import annotations

import os
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr, StringConstraints, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

Port = Annotated[int, Field(ge=1, le=65535)]
Label = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,30}$")]
HostName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$")]


def _ipv4(value: str) -> str:
    try:
        return str(IPv4Address(value))
    except ValueError:
        raise ValueError("must be an IPv4 address in numbers, as 192.0.2.1") from None


def _ip(value: str) -> str:
    try:
        return str(ip_address(value))
    except ValueError:
        raise ValueError("must be an IP address in numbers, as 192.0.2.1 or 2001:db8::1") from None


Address = Annotated[str, AfterValidator(_ipv4)]
AnyAddress = Annotated[str, AfterValidator(_ip)]
Word = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,40}$")]

Network = IPv4Network | IPv6Network


def default_state_dir() -> Path:
    """The XDG state directory of this user, `wirechief` below it."""
    home = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(home) / "wirechief"


class Settings(BaseSettings):
    """The settings, with the defaults of a lab on one machine."""

    model_config = SettingsConfigDict(env_prefix="WIRECHIEF_", extra="forbid", frozen=True)

    state_dir: Path = Field(
        default_factory=default_state_dir,
        description="Database, secrets, AstDB, voicemail, keys, logs. Default: the XDG state directory.",
    )
    database: SecretStr = Field(
        default=SecretStr(""),
        description="postgresql://user:password@host/name. Empty: an SQLite file in state_dir.",
    )
    instance: Label = Field(
        default="lab",
        description="Part of the container names, so that several labs can run on one machine.",
    )
    node: Label = Field(default="lab", description="Name of the Asterisk node the lab runs.")
    asterisk_image: str = Field(
        default="", description="Container image of Asterisk. Empty: the one docker/bootstrap builds."
    )

    sip_address: Address = Field(
        default="127.0.0.1", description="IPv4 address the node takes SIP and RTP on."
    )
    sip_port: Port = Field(default=5060, description="SIP over UDP and TCP.")
    sip_tls_port: Port = Field(default=5061, description="SIP over TLS.")
    sip_tls_names: tuple[HostName, ...] = Field(
        default=("localhost",),
        description="DNS names in the node's certificate, besides sip_address.",
    )
    feature_codes: dict[str, str] = Field(
        default_factory=dict,
        description="Codes dialled on phones, as JSON: any of dnd_on, dnd_off, forward_on, forward_off and "
        'voicemail, such as {"dnd_on": "*60"}. Those not named keep theirs.',
    )
    sip_realm: Word = Field(default="asterisk", description="Realm of every SIP challenge.")
    sip_user_agent: Word = Field(default="wirechief", description="Server name in SIP, without a version.")
    rtp_port_min: Port = Field(default=20000, description="First UDP port for media.")
    rtp_port_max: Port = Field(default=20999, description="Last UDP port for media; a call leg takes two.")

    ami_host: Address = Field(default="127.0.0.1", description="Where the node's manager interface listens.")
    ami_port: Port = Field(default=5038, description="Port of the node's manager interface.")
    ami_user: Word = Field(default="wirechief", description="Manager user of the control plane.")

    carrier_address: Address = Field(default="127.0.0.2", description="IPv4 address of the lab's carrier.")
    carrier_sip_port: Port = Field(default=5060, description="SIP over UDP of the lab's carrier.")
    carrier_ami_port: Port = Field(
        default=5038, description="Manager interface of the lab's carrier, on carrier_address."
    )
    carrier_rtp_port_min: Port = Field(default=21000, description="First UDP port for the carrier's media.")
    carrier_rtp_port_max: Port = Field(default=21999, description="Last UDP port for the carrier's media.")

    api_host: Address = Field(default="127.0.0.1", description="Where the API listens.")
    api_port: Port = Field(default=8080, description="Port of the API.")
    auto_apply: bool = Field(
        default=True, description="Push every change at once. Off: changes wait for an apply."
    )

    smtp_host: str = Field(default="", description="Mail server. Empty: no mail is sent.")
    smtp_port: Port = Field(default=587, description="Port of the mail server.")
    smtp_user: str = Field(default="", description="Login at the mail server. Empty: none.")
    smtp_password: SecretStr = Field(default=SecretStr(""), description="Password of smtp_user.")
    smtp_starttls: bool = Field(default=True, description="Insist on STARTTLS before anything is sent.")
    smtp_tls: bool = Field(
        default=False, description="TLS from the first byte (port 465), instead of STARTTLS."
    )
    smtp_sender: str = Field(default="wirechief@localhost", description="Sender of the mail.")

    guard_max_failures: int = Field(
        default=5,
        ge=0,
        le=1000,
        description="Failed SIP logins from one address within guard_window_s until it is blocked. 0: never.",
    )
    guard_window_s: int = Field(
        default=60, ge=1, le=86400, description="How long a failed SIP login counts, in seconds."
    )
    guard_block_s: int = Field(
        default=900,
        ge=1,
        le=86400,
        description="First block of an address, in seconds; each further one is twice as long, up to a day.",
    )
    guard_allow: tuple[Network, ...] = Field(
        default=(),
        description="Networks never blocked, besides trunks: offices with a fixed address (192.0.2.0/24).",
    )

    provisioning_public_url: str = Field(
        default="",
        pattern=r"^(https?://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~-]+)*)?$",
        description="What handsets reach the provisioning server at. Default: https, the first of "
        "provisioning_names where they are set or it listens on 127.0.0.1, else the address it listens on, "
        "provisioning_https_port. These four are read by the provisioning server too.",
    )
    provisioning_host: AnyAddress | None = Field(
        default=None,
        description="Address the provisioning server listens on. Default: api_host where that is loopback, "
        "else 127.0.0.1.",
    )
    provisioning_names: tuple[HostName, ...] = Field(
        default=("localhost",), description="DNS names of the provisioning server."
    )
    provisioning_https_port: Port = Field(default=8443, description="HTTPS port of the provisioning server.")
    ntp_servers: tuple[HostName, ...] = Field(
        default=("pool.ntp.org",), description="Time servers of handsets, where their site names none."
    )
    stun_server: str = Field(
        default="",
        pattern=r"^([A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?:[0-9]{1,5})?$",
        description="host:port of the STUN server for devices with STUN on, where their site names none.",
    )
    number_cooldown_days: int = Field(
        default=30,
        ge=0,
        le=3650,
        description="Days a number that was in use is offered to nobody after it was given back.",
    )
    pin_failures_max: int = Field(
        default=5,
        ge=1,
        le=100,
        description="Wrong PINs in a row, on phones and by the API, until a PIN is locked.",
    )

    start_deadline_s: float = Field(
        default=30.0, gt=0, description="How long an Asterisk may take to be fully booted, in seconds."
    )

    @field_validator("database")
    @classmethod
    def _database_is_postgresql(cls, value: SecretStr) -> SecretStr:
        address = value.get_secret_value()
        if address and not address.startswith(("postgresql://", "postgres://")):
            raise ValueError("must be empty or look like postgresql://user:password@host/name")
        return value

    @field_validator("sip_address")
    @classmethod
    def _phones_are_told_this_address(cls, address: str) -> str:
        if IPv4Address(address).is_unspecified or IPv4Address(address).is_multicast:
            raise ValueError("must be one address of this machine: phones and the certificate are given it")
        return address

    @field_validator("ami_host", "carrier_address")
    @classmethod
    def _manager_interfaces_stay_on_loopback(cls, address: str) -> str:
        # AMI is in clear text here and its user can rewrite the dialplan.
        if not IPv4Address(address).is_loopback:
            raise ValueError("must be a loopback address (127.x.y.z): the manager interface is in clear text")
        return address

    @model_validator(mode="after")
    def _mail_password_is_encrypted(self) -> Settings:
        encrypted = self.smtp_starttls or self.smtp_tls
        if self.smtp_user and not encrypted and self.smtp_host not in ("localhost", "127.0.0.1", "::1"):
            raise ValueError(
                "smtp_user: its password would travel in the clear; set smtp_starttls or smtp_tls, or leave"
                " smtp_user empty"
            )
        return self

    @model_validator(mode="after")
    def _port_ranges_are_ranges(self) -> Settings:
        if self.rtp_port_max - self.rtp_port_min < 3:
            raise ValueError("rtp_port_max must be at least rtp_port_min + 3: one call needs four ports")
        if self.carrier_rtp_port_max - self.carrier_rtp_port_min < 3:
            raise ValueError(
                "carrier_rtp_port_max must be at least carrier_rtp_port_min + 3: one call needs four ports"
            )
        if self.carrier_address == self.sip_address:
            raise ValueError("carrier_address must differ from sip_address: the node knows the carrier by it")
        return self

"""Every setting of the provisioning server, from the environment (`WIRECHIEF_PROVISIONING_...`)."""

from __future__ import annotations

import os
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from provisioning_server.errors import ServerError

PREFIX = "WIRECHIEF_PROVISIONING_"

Port = Annotated[int, Field(ge=0, le=65535)]
HostName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$")]
Network = IPv4Network | IPv6Network


def _address(value: str) -> str:
    try:
        return str(ip_address(value))
    except ValueError:
        raise ValueError("must be an IP address in numbers, as 192.0.2.1 or 2001:db8::1") from None


Address = Annotated[str, AfterValidator(_address)]


class Uploads(StrEnum):
    """What becomes of a file that a handset wants to store here."""

    REFUSE = "refuse"
    SEAL = "seal"


def default_state_dir() -> Path:
    """The control plane's state directory, where both run on one machine: WIRECHIEF_STATE_DIR or XDG's."""
    named = os.environ.get("WIRECHIEF_STATE_DIR")
    if named:
        return Path(named)
    home = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(home) / "wirechief"


class Settings(BaseSettings):
    """The settings, with the defaults of a lab on one machine. A port of 0 is not listened on."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    state_dir: Path = Field(
        default_factory=default_state_dir,
        description="State directory, shared with the control plane; ours is below `provisioning/`. "
        "Default: WIRECHIEF_STATE_DIR, else the XDG state directory.",
    )
    store: Path | None = Field(
        default=None, description="The published store. Default: `published/store.sqlite3` below state_dir."
    )
    journal: Path | None = Field(
        default=None, description="The journal. Default: `provisioning/journal.sqlite3` below state_dir."
    )

    host: Address = Field(default="127.0.0.1", description="Address that HTTP, HTTPS and TFTP listen on.")
    https_port: Port = Field(default=8443, description="HTTPS. 0: off.")
    http_port: Port = Field(
        default=8069, description="HTTP, for what is no secret and devices that are allowed it. 0: off."
    )
    legacy_tls_port: Port = Field(
        default=0, description="HTTPS for handsets that know TLS 1.0 and 1.1 only. 0: off."
    )
    names: tuple[HostName, ...] = Field(
        default=("localhost",), description="DNS names in our certificate, besides addresses."
    )
    addresses: tuple[Address, ...] = Field(
        default=(), description="Addresses in our certificate, besides host."
    )
    public_url: str = Field(
        default="",
        pattern=r"^(https?://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~-]+)*)?$",
        description="What handsets reach us at, where a proxy or a port mapping is in between. "
        "Default: https, the first of names where they are set or host is 127.0.0.1, else host, https_port.",
    )
    tls_certificate: Path | None = Field(
        default=None, description="Certificate with its chain (PEM), instead of one from our own authority."
    )
    tls_key: Path | None = Field(default=None, description="Key of tls_certificate (PEM, no passphrase).")
    client_ca_file: Path | None = Field(
        default=None,
        description="Manufacturers' authorities (PEM): handsets are asked for their certificate on the HTTPS "
        "port. Default: they are not.",
    )

    trusted_proxies: int = Field(
        default=0, ge=0, le=5, description="Proxies in front of us whose X-Forwarded-For counts."
    )
    uploads: Uploads = Field(
        default=Uploads.REFUSE, description="Files handsets send: refuse, or seal them for the control plane."
    )
    upload_bytes: int = Field(default=262_144, ge=1, le=16_777_216, description="Size of an upload, at most.")
    upload_count: int = Field(
        default=1000, ge=1, le=100_000, description="Uploads that wait for the control plane, at most."
    )

    connections: int = Field(default=8192, ge=1, description="TCP connections at one time.")
    connections_per_address: int = Field(
        default=512,
        ge=1,
        description="TCP connections of one address (an IPv6 /64); without effect behind trusted_proxies.",
    )
    header_s: float = Field(default=10.0, gt=0, description="TLS handshake or request header, in seconds.")
    request_s: float = Field(
        default=60.0, gt=0, description="From the header to the answer's end, in seconds."
    )
    keep_alive_s: float = Field(default=15.0, gt=0, description="How long an idle connection stays.")
    header_bytes: int = Field(default=16_384, ge=1024, description="Request line and header, at most.")

    guesses_per_minute: int = Field(
        default=30,
        ge=1,
        description="Wrong tokens and logins per minute from one address (an IPv6 /64); beyond, answers to "
        "what is wrong come late, and enrolment is closed to it.",
    )
    macs_per_minute: int = Field(
        default=10, ge=1, description="Unknown MAC addresses per minute one address may name in enrolment."
    )
    guesses_per_minute_overall: int = Field(
        default=3000, ge=1, description="The same from everywhere together; beyond, enrolment is closed."
    )

    tftp_port: Port = Field(default=0, description="TFTP (69 where it is used). 0: off.")
    tftp_transfers: int = Field(default=256, ge=1, le=4096, description="TFTP transfers at one time.")
    tftp_transfers_per_address: int = Field(default=16, ge=1, description="Those of one address.")

    pnp: bool = Field(
        default=False, description="Answer handsets that ask by multicast (SUBSCRIBE to 224.0.1.75)."
    )
    pnp_interface: Address = Field(
        default="127.0.0.1", description="Address of the interface on which the group is joined."
    )
    pnp_port: Port = Field(default=5060, description="Port of the group.")
    pnp_allow: tuple[Network, ...] = Field(
        default=(), description="Networks whose handsets get an answer. Empty: none."
    )

    log_requests: bool = Field(
        default=False, description="A log line for every request, not only the refused."
    )

    @model_validator(mode="after")
    def _certificate_and_key_go_together(self) -> Settings:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key: set both or none")
        return self

    @property
    def own_dir(self) -> Path:
        """Where keys, certificates, journal and log of the server are."""
        return self.state_dir / "provisioning"

    @property
    def store_path(self) -> Path:
        return self.store or self.state_dir / "published" / "store.sqlite3"

    @property
    def journal_path(self) -> Path:
        return self.journal or self.own_dir / "journal.sqlite3"

    @property
    def base_url(self) -> str:
        """What handsets reach us at, without a trailing slash."""
        if self.public_url:
            return self.public_url
        # As the control plane has it, which publishes the address (its bootstrap/reach.py).
        usual = self.host in ("127.0.0.1", "::1") or ip_address(self.host).is_unspecified
        named = self.names and ("names" in self.model_fields_set or usual)
        name = self.names[0] if named else self.host
        if self.https_port:
            return f"https://{_in_url(name)}:{self.https_port}"
        return f"http://{_in_url(name)}:{self.http_port}"


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def read_settings() -> Settings:
    """The settings of the environment.

    Raises:
        ServerError: a variable has a value its rule does not allow; the text names it.
    """
    try:
        return Settings()
    except ValidationError as exc:
        first = exc.errors(include_input=False, include_url=False)[0]
        rule = str(first["msg"]).removeprefix("Value error, ")
        names = [f"{PREFIX}{str(part).upper()}" for part in first["loc"][:1]] or [f"{PREFIX}..."]
        raise ServerError(f"{names[0]}: {rule[:1].lower()}{rule[1:]}.") from None

"""Where handsets reach the provisioning server, as far as settings say it. Pure."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

from control_plane.settings import Settings

_USUAL = (IPv4Address("127.0.0.1"), IPv6Address("::1"))
"""What `localhost`, the name in its certificate, stands for."""


def provisioning_host(settings: Settings) -> str:
    """The address the provisioning server listens on: unless told, that of the API where it is loopback."""
    if settings.provisioning_host is not None:
        return settings.provisioning_host
    return settings.api_host if ip_address(settings.api_host).is_loopback else "127.0.0.1"


def provisioning_url(settings: Settings) -> str:
    """What handsets are told, without a slash at its end.

    A name where one is set, else the address it listens on; both are in its certificate.
    """
    if settings.provisioning_public_url:
        return settings.provisioning_public_url
    host = ip_address(provisioning_host(settings))
    place = str(host) if host.version == 4 else f"[{host}]"
    if "provisioning_names" in settings.model_fields_set or host.is_unspecified or host in _USUAL:
        place = settings.provisioning_names[0]
    return f"https://{place}:{settings.provisioning_https_port}"


def provisioning_warning(settings: Settings) -> str | None:
    """Why handsets elsewhere cannot reach what they are told, where settings show that they should."""
    told = settings.provisioning_public_url or "provisioning_names" in settings.model_fields_set
    host = ip_address(provisioning_host(settings))
    if host.is_unspecified and not told:
        return (
            f"Handsets are told {provisioning_url(settings)}, which is this machine alone: set "
            "WIRECHIEF_PROVISIONING_NAMES or WIRECHIEF_PROVISIONING_PUBLIC_URL to what they reach it by."
        )
    elsewhere = not (
        ip_address(settings.api_host).is_loopback and ip_address(settings.sip_address).is_loopback
    )
    if elsewhere and host.is_loopback and not settings.provisioning_public_url:
        return (
            f"The provisioning server listens on {host} alone, and no handset elsewhere can fetch: set "
            "WIRECHIEF_PROVISIONING_HOST."
        )
    return None

"""How the pjsua2 library is set up for a headless phone. Has no types: everything here is `Any`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pjsua2 as pj

from control_plane.adapters.phones.tones import SAMPLE_RATE
from control_plane.adapters.phones.values import MAX_CALLS_PER_PHONE, SipAccount

TRANSPORTS = {
    "udp": pj.PJSIP_TRANSPORT_UDP,
    "tcp": pj.PJSIP_TRANSPORT_TCP,
    "tls": pj.PJSIP_TRANSPORT_TLS,
}


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turn pjsua2's error into a RuntimeError with its sentence."""
    try:
        yield
    except pj.Error as error:
        raise RuntimeError(error.reason or error.title) from error


def library_config(log_file: Path | None) -> Any:
    """No threads of its own, no sound device, no voice detection: a tone must arrive as it was sent."""
    config = pj.EpConfig()
    config.uaConfig.threadCnt = 0
    config.uaConfig.mainThreadOnly = True
    config.uaConfig.maxCalls = MAX_CALLS_PER_PHONE
    config.uaConfig.userAgent = "wirechief phone"
    config.logConfig.level = config.logConfig.consoleLevel = 0
    if log_file is not None:
        config.logConfig.level = 5
        config.logConfig.msgLogging = 1
        config.logConfig.filename = str(log_file)
    config.medConfig.clockRate = SAMPLE_RATE
    config.medConfig.noVad = True
    config.medConfig.ecTailLen = 0
    return config


def transport_config(account: SipAccount) -> Any:
    """Where the phone listens, and what it checks of a TLS peer (the wheel's OpenSSL knows up to TLS 1.2)."""
    config = pj.TransportConfig()
    config.port = account.local_port
    config.boundAddress = account.local_address or ""
    if account.transport == "tls":
        config.tlsConfig.method = pj.PJSIP_TLSV1_2_METHOD
        config.tlsConfig.verifyServer = account.ca_file is not None
        config.tlsConfig.CaListFile = str(account.ca_file or "")
        config.tlsConfig.certFile = str(account.certificate_file or "")
        config.tlsConfig.privKeyFile = str(account.key_file or "")
    return config


def account_config(settings: SipAccount, address: str, transport_id: int) -> Any:
    """Who the phone is; it registers only when told."""
    config = pj.AccountConfig()
    # Without a registrar the address of record is where the phone itself is reached.
    domain = settings.host or address
    name = f'"{quoted(settings.display_name)}" ' if settings.display_name else ""
    config.idUri = f"{name}<sip:{settings.sip_user}@{domain}>"
    if settings.host:
        config.regConfig.registrarUri = uri_of(settings)
    config.regConfig.registerOnAdd = False
    config.regConfig.timeoutSec = settings.expiry_s
    config.regConfig.retryIntervalSec = 0
    if settings.sip_password:
        config.sipConfig.authCreds.append(
            pj.AuthCredInfo("digest", "*", settings.sip_user, 0, settings.sip_password)
        )
    config.sipConfig.transportId = transport_id
    config.natConfig.sipOutboundUse = 0
    config.mwiConfig.enabled = settings.subscribe_mwi
    _configure_media(config.mediaConfig, settings)
    return config


def _configure_media(media: Any, settings: SipAccount) -> None:
    media.transportConfig.port = 0
    media.transportConfig.boundAddress = settings.local_address or ""
    media.lockCodecEnabled = False  # else a second offer follows each answer with two codecs
    media.srtpUse = pj.PJMEDIA_SRTP_MANDATORY if settings.srtp else pj.PJMEDIA_SRTP_DISABLED
    media.srtpSecureSignaling = 0
    media.srtpOpt.keyings.append(pj.PJMEDIA_SRTP_KEYING_SDES)


def uri_of(settings: SipAccount, user: str = "") -> str:
    """URI of a user at the phone's server, or of the server; a complete SIP URI stays as it is."""
    if user.lower().startswith(("sip:", "sips:")):
        return user
    # '#' would start a fragment and must be escaped in the user part (RFC 3261 s25.1).
    at = quote(user, safe="*+-_.!~'()&=$,;?/") + "@" if user else ""
    return f"sip:{at}{settings.host}:{settings.port};transport={settings.transport}"


def operation(code: int) -> Any:
    """The parameter of an answer or hang-up; 0 leaves the code to the state of the call."""
    parameter = pj.CallOpParam()
    parameter.statusCode = code
    return parameter


def quoted(name: str) -> str:
    """Inside of a quoted display name (RFC 3261 s25.1)."""
    return name.replace("\\", "\\\\").replace('"', '\\"')

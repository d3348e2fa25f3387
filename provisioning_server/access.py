"""Who gets what: the one place where that is decided, for HTTP, HTTPS and TFTP alike. No I/O but lookups.

Who is refused cannot tell why. Unknown, disabled, from a wrong network, without or with a wrong login: one
answer, after the same work, at the same time after the question.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

from provisioning_server.certificates import Identity
from provisioning_server.files import PublishedFile
from provisioning_server.guard import Guard, address_of
from provisioning_server.journal import Fetch, Journal
from provisioning_server.login import BasicLogin, DigestLogin, Logins, Verdict
from provisioning_server.names import Area, Asked, asked_for, mac_of, spellings
from provisioning_server.store import Credential, Device, PublishedStore, Route

logger = logging.getLogger(__name__)

NOBODY = Device(
    mac="",
    vendor="",
    enabled=False,
    token_only=False,
    credentials=(Credential(secrets.token_hex(8), secrets.token_hex(16), secrets.token_hex(32)),),
    allowed=(),
    plain=False,
    certificate="required",
    window_id=None,
    window_until=None,
    user_agent=None,
    version="",
)
"""Stands for a device that does not exist, so that looking at it costs what looking at one costs."""


class Scheme(StrEnum):
    """How a request came."""

    HTTPS = "https"
    HTTP = "http"
    TFTP = "tftp"


class Request(NamedTuple):
    """What counts of a request. `target` is path and query as they came; `now` is of one steady clock."""

    method: str
    target: str
    scheme: Scheme
    address: str
    user_agent: str
    login: DigestLogin | BasicLogin | None
    identity: Identity | None
    now: float


class Outcome(StrEnum):
    """What becomes of a request."""

    SERVE = "serve"
    MISSING = "missing"
    """Who asked is known; there is no such file."""
    UNSAFE = "unsafe"
    """Who asked is known; the file is a secret and the way it was asked for is not."""
    UNKNOWN = "unknown"
    """Nothing to be had here: 404, late."""
    LOGIN = "login"
    """Log in first: 401, late."""


class Decision(NamedTuple):
    """What to do. `spend` must be spent before the file is served. `guess`: counts against the address."""

    outcome: Outcome
    device: Device | None = None
    file: PublishedFile | None = None
    spend: str | None = None
    stale: bool = False
    guess: bool = False
    reason: str = ""


# A member of an enumeration is looked up slowly (Python 3.11), and these are for every request.
_SERVE, _RIGHT = Outcome.SERVE, Verdict.RIGHT
_HTTPS, _TFTP = Scheme.HTTPS, Scheme.TFTP
_DEVICE, _COMMON = Area.DEVICE, Area.COMMON


class Access:
    """Decides; `extra` are common files that are not in the store."""

    def __init__(
        self,
        store: PublishedStore,
        journal: Journal,
        logins: Logins,
        guard: Guard,
        extra: dict[str, PublishedFile] | None = None,
    ) -> None:
        self._store = store
        self._journal = journal
        self._logins = logins
        self._guard = guard
        self._extra = extra or {}

    def asked(self, raw_path: bytes) -> Asked | Route | None:
        """What a path asks for, as found out before or out of its text; None when it is no path of ours."""
        known = self._store.route(raw_path) if raw_path.startswith(b"/p/") else None
        return known or asked_for(raw_path)

    def decide(self, asked: Asked | Route | None, request: Request) -> Decision:
        """What to do about a request for `asked`; None is no path of ours.

        Raises:
            StoreUnavailable
        """
        if asked is None:
            return Decision(Outcome.UNKNOWN, reason="path")
        published = self._store.refresh()
        if isinstance(asked, Route):
            if not published:
                return self._at_route(asked, request)
            asked = asked_for(request.target.partition("?")[0].encode("latin-1"))
            if asked is None:
                return Decision(Outcome.UNKNOWN, reason="path")
        area = asked.area
        if area is _DEVICE:
            return self._device(asked, request)
        if area is _COMMON:
            found = self._common(asked.name)
            return Decision(_SERVE, file=found) if found else Decision(Outcome.UNKNOWN, reason="name")
        return self._link(asked, request) if area is Area.LINK else self._enrolment(asked, request)

    def authorised(self, asked: Asked, request: Request) -> Decision:
        """Whether the device of the token is who asks; SERVE without a file when it is.

        Raises:
            StoreUnavailable
        """
        self._store.refresh()
        entry = self._who_asks(self._of_token(asked), request)
        return Decision(_SERVE, entry) if isinstance(entry, Device) else entry

    def is_expected(self, mac: str) -> bool:
        """Whether an enrolment window is open for this MAC address.

        Raises:
            StoreUnavailable
        """
        self._store.refresh()
        device = self._store.device(mac)
        return device is not None and _has_window(device, self._journal)

    def _at_route(self, route: Route, request: Request) -> Decision:
        device = self._who_asks(route.device, request)
        if not isinstance(device, Device):
            return device
        route.file.wanted = True
        return _of_device(device, route.file, request)

    def _device(self, asked: Asked, request: Request) -> Decision:
        device = self._who_asks(self._of_token(asked), request)
        if not isinstance(device, Device):
            return device
        file = self._file_of(device.mac, asked.name)
        if file is None:
            file = self._common(asked.name)
            return Decision(Outcome.MISSING, device) if file is None else _of_device(device, file, request)
        # Of the ways to write a path only this one is kept, so that nobody can make us keep without end.
        if request.target == f"/p/{asked.token}/{file.name}":
            self._store.keep_route(request.target.encode(), Route(_DEVICE, file.name, device, file))
        return _of_device(device, file, request)

    def _of_token(self, asked: Asked) -> Device | None:
        return self._store.device_of_token(hashlib.sha256(asked.token.encode()).hexdigest())

    def _who_asks(self, found: Device | None, request: Request) -> Device | Decision:
        """The device that its token found when it is who asks, or the refusal."""
        device = found or NOBODY
        verdict = self._verdict(device, request)
        fits = _certificate_fits(device, request.identity) & _network_fits(device, request.address)
        if found is not None and found.enabled and fits and verdict is _RIGHT:
            return found
        if found is None:
            reason = "token"
        elif not found.enabled:
            reason = "disabled"
        else:
            reason = f"login {verdict}" if fits else "network or certificate"
        # A disabled handset goes on asking with what is right, from an address it shares with others.
        guess = found is None or not fits or verdict is Verdict.WRONG
        return Decision(Outcome.LOGIN, found, stale=verdict is Verdict.STALE, guess=guess, reason=reason)

    def _verdict(self, device: Device, request: Request) -> Verdict:
        scheme = request.scheme
        if scheme is _TFTP:  # which has no logins: a site that allows it relies on the token
            return Verdict.RIGHT if device.plain else Verdict.NONE
        verdict = self._logins.verdict(
            request.login,
            device.credentials,
            self._store.realm,
            request.method,
            request.target,
            request.now,
            tls=scheme is _HTTPS,
        )
        return _RIGHT if device.token_only else verdict

    def _enrolment(self, asked: Asked, request: Request) -> Decision:
        common = self._common(asked.name)
        if common is not None:
            return Decision(Outcome.SERVE, file=common)
        named, seen = mac_of(asked.name), mac_of(request.user_agent)
        mac = named or seen
        if mac is None or request.method != "GET":
            return Decision(Outcome.UNKNOWN, reason="no MAC" if mac is None else "method")
        if not self._guard.may_enrol(request.address, request.now):
            return Decision(Outcome.UNKNOWN, reason="limit")
        found = self._store.device(mac)
        device = found or NOBODY
        file = self._file_of(mac, asked.name, bootstrap=True)
        if found is None and self._guard.named(request.address, mac, request.now):
            logger.warning(
                "event=limit scheme=%s address=%s reason=MACs", request.scheme.value, request.address
            )
        reason = _why_no_enrolment(device, request, self._journal)
        if seen is not None and seen != mac:
            reason = "two MACs"
        if found is None or reason:
            return Decision(Outcome.UNKNOWN, found, reason=reason)
        if file is None or (file.secret and not _is_safe(device, request)):
            return Decision(Outcome.UNKNOWN, found, reason="no bootstrap")
        return Decision(Outcome.SERVE, device, file, spend=device.window_id)

    def _link(self, asked: Asked, request: Request) -> Decision:
        link = self._store.link(hashlib.sha256(asked.token.encode()).hexdigest())
        device = (self._store.device(link.mac) if link else None) or NOBODY
        file = self._store.file(device.mac, link.name) if link and device.mac else None
        good = (
            link is not None
            and link.valid_until > datetime.now(UTC)
            and not self._journal.is_spent(link.id)
            and device.enabled
            and _network_fits(device, request.address)
        )
        if not good or link is None or file is None:
            return Decision(Outcome.UNKNOWN, guess=link is None, reason="link")
        if request.method != "GET" or not _is_safe(device, request):
            return Decision(Outcome.UNKNOWN, reason="method or clear text")
        return Decision(Outcome.SERVE, device, file, spend=link.id)

    def _file_of(self, mac: str, name: str, *, bootstrap: bool = False) -> PublishedFile | None:
        found = self._store.file(mac, name, bootstrap=bootstrap)
        if found is None:
            for spelling in spellings(name)[1:]:
                found = found or self._store.file(mac, spelling, bootstrap=bootstrap)
        return found

    def _common(self, name: str) -> PublishedFile | None:
        found = self._store.file("", name)
        return self._extra.get(name) if found is None else found


def _of_device(device: Device, file: PublishedFile, request: Request) -> Decision:
    if file.secret and not _is_safe(device, request):
        return Decision(Outcome.UNSAFE, device, reason="clear text")
    return Decision(_SERVE, device, file)


def _is_safe(device: Device, request: Request) -> bool:
    return request.scheme is _HTTPS or device.plain


def _why_no_enrolment(device: Device, request: Request, journal: Journal) -> str:
    """Why a device may not enrol now; "" when it may."""
    if not _has_window(device, journal):
        return "no window"
    if not _network_fits(device, request.address) or not _certificate_fits(device, request.identity):
        return "network or certificate"
    pattern = device.user_agent
    if request.scheme is not Scheme.TFTP and pattern is not None and not pattern.search(request.user_agent):
        return "user agent"
    return ""


def _has_window(device: Device, journal: Journal) -> bool:
    until = device.window_until
    if not device.enabled or device.window_id is None or until is None:
        return False
    return until > datetime.now(UTC) and not journal.is_spent(device.window_id)


def _certificate_fits(device: Device, identity: Identity | None) -> bool:
    """Whether a client certificate says nothing against the device; a shared one says nothing."""
    if device.certificate == "off":
        return True
    mac = identity.mac if identity else None
    if mac is None:
        return device.certificate == "optional"
    return mac == device.mac


def _network_fits(device: Device, address: str) -> bool:
    if not device.allowed:
        return True
    parsed = address_of(address)
    return parsed is not None and any(parsed in network for network in device.allowed)


def noted(asked: Asked | Route, request: Request, decision: Decision, status: int) -> Fetch | None:
    """What the journal is told; None for nothing.

    Whoever has not shown a device's token must not be able to write over what the device itself did: such a
    request stands beside it, as `e/...` or `s/...`, and one that was refused without the name it asked for.
    """
    outcome, device, file, _, _, guess, _ = decision
    if device is None:
        return None
    known = asked.area is _DEVICE
    if file is not None and outcome is _SERVE:
        name, etag, version = file.name, file.etag, device.version
    elif known and outcome is Outcome.LOGIN and not guess and device.enabled:
        return None  # the first half of every login
    else:
        name, etag, version = asked.name if known else "", None, None
    return Fetch(
        device.mac,
        name if known else f"{asked.area}/{name}",
        status,
        request.scheme,
        request.address,
        request.user_agent,
        etag,
        version,
    )

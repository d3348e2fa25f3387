"""The ASGI application: one request in, one answer with its exact length out."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple

from provisioning_server.access import Access, Decision, Outcome, Request, Scheme, noted, source_network
from provisioning_server.errors import JournalUnavailable, StoreUnavailable
from provisioning_server.files import PublishedFile
from provisioning_server.guard import Guard, network_of
from provisioning_server.journal import Journal, printable
from provisioning_server.login import Logins, parse
from provisioning_server.names import Area, Asked, asked_for, masked
from provisioning_server.store import PublishedStore
from provisioning_server.uploads import Inbox

logger = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

REFUSED_S = 0.02
"""From the question to a refusal, whatever it took to find out: longer than that ever takes."""
LIMITED_S = 1.0
"""The same once an address has been wrong too often."""
LATE_PER_NETWORK = 64
"""Refusals that wait for their moment, per network; whoever has more is cut off."""
_AGAIN_S = b"30"
_MAX_AGENT = 256
_RANGE = re.compile(rb"bytes=(\d{0,15})-(\d{0,15})")
_PRIVATE = (b"cache-control", b"private, no-cache")
_PUBLIC = (b"cache-control", b"public, max-age=300")
_PLAIN_TEXT = (b"content-type", b"text/plain; charset=utf-8")
_BODIES = {
    400: b"Bad request\n",
    401: b"Log in first\n",
    403: b"Not this way\n",
    404: b"Not found\n",
    405: b"Only GET and HEAD\n",
    413: b"Too large\n",
    503: b"Try again later\n",
    507: b"Nothing more can be taken now\n",
}


class Answer(NamedTuple):
    """A complete answer."""

    status: int
    headers: Headers
    body: bytes


class Context(NamedTuple):
    """What an application is made of."""

    store: PublishedStore
    journal: Journal
    logins: Logins
    guard: Guard
    access: Access
    inbox: Inbox
    trusted_proxies: int = 0
    log_requests: bool = False


class Application:
    """Answers requests; nothing it raises is the client's to see."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._late: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One ASGI connection; only `http` is spoken."""
        if scope["type"] != "http":
            raise RuntimeError(f"no {scope['type']} here")
        now = time.monotonic()
        request = self._request(scope, now)
        answer = await self._answered(scope, request, receive)
        if (
            answer is None
        ):  # cut off: an answer that never comes costs whoever floods us more than one that does
            scope["state"]["cut"]()
            return
        body = b"" if request.method == "HEAD" else answer.body
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        await send({"type": "http.response.body", "body": body})

    async def _answered(self, scope: Scope, request: Request, receive: Receive) -> Answer | None:
        raw_path: bytes = scope["raw_path"]
        asked = asked_for(raw_path)
        try:
            if request.method in ("GET", "HEAD"):
                decision = self.context.access.decide(asked, request)
                if decision.spend is not None and not await self.context.journal.spend(
                    decision.spend, request.address
                ):
                    decision = Decision(Outcome.UNKNOWN, decision.device, reason="spent")
            elif request.method in ("PUT", "POST") and self.context.inbox.is_open:
                return await self._taken_in(asked, request, scope, receive)
            else:
                return _plain(405, [(b"allow", b"GET, HEAD"), (b"connection", b"close")])
        except (StoreUnavailable, JournalUnavailable) as exc:
            logger.error("event=unavailable reason=%r", printable(str(exc)))
            return _plain(503, [(b"retry-after", _AGAIN_S)])
        return await self._settled(asked, request, decision, scope)

    async def _settled(
        self, asked: Asked | None, request: Request, decision: Decision, scope: Scope
    ) -> Answer | None:
        if decision.outcome in (Outcome.LOGIN, Outcome.UNKNOWN):
            return await self._refused(asked, request, decision, scope["raw_path"])
        file = decision.file
        if decision.outcome is Outcome.UNSAFE:
            answer = _plain(403, [])
        elif file is None:
            answer = _plain(404, [])
        else:
            answer = _file_answer(
                file, scope["headers"], once=decision.spend is not None, own=decision.device is not None
            )
        if asked is not None:
            self._note(asked, request, decision, answer.status)
        if self.context.log_requests:
            self._log(logging.INFO, "served", request, scope["raw_path"], status=answer.status)
        return answer

    async def _refused(
        self, asked: Asked | None, request: Request, decision: Decision, raw_path: bytes
    ) -> Answer | None:
        """The refusal, at its moment; None when too many from there wait for theirs."""
        context = self.context
        if decision.guess and context.guard.guessed(request.address, request.now):
            self._log(logging.WARNING, "limit", request, raw_path, reason=decision.reason)
        if asked is not None:
            self._note(asked, request, decision, 401 if decision.outcome is Outcome.LOGIN else 404)
        network = network_of(request.address)
        if self._late[network] >= LATE_PER_NETWORK and context.guard.too_many(request.address, request.now):
            return None
        late = LIMITED_S if context.guard.too_many(request.address, request.now) else REFUSED_S
        self._late[network] += 1
        try:
            await asyncio.sleep(request.now + late - time.monotonic())
        finally:
            self._late[network] -= 1
            if not self._late[network]:
                del self._late[network]
        if decision.guess or context.log_requests:
            self._log(logging.INFO, "refused", request, raw_path, reason=decision.reason)
        if decision.outcome is Outcome.UNKNOWN:
            return _plain(404, [])
        challenges = context.logins.challenges(
            context.store.realm,
            time.monotonic(),
            tls=request.scheme is Scheme.HTTPS,
            sha256=context.store.offers_sha256,
            user_agent=request.user_agent,
            stale=decision.stale,
        )
        return _plain(401, [(b"www-authenticate", challenge) for challenge in challenges])

    async def _taken_in(
        self, asked: Asked | None, request: Request, scope: Scope, receive: Receive
    ) -> Answer | None:
        """A file a handset stores here: only from a device that has logged in, and only sealed."""
        if asked is None or asked.area is not Area.DEVICE:
            return await self._refused(asked, request, Decision(Outcome.UNKNOWN), scope["raw_path"])
        decision = self.context.access.authorised(asked, request)
        if decision.outcome is not Outcome.SERVE or decision.device is None:
            return await self._refused(asked, request, decision, scope["raw_path"])
        status = await self.context.inbox.take(
            decision.device.mac, asked.name, _header(scope, b"content-length"), receive
        )
        if status == 204:
            return Answer(204, [], b"")
        return _plain(status, [(b"connection", b"close")])

    def _note(self, asked: Asked, request: Request, decision: Decision, status: int) -> None:
        fetch = noted(asked, request, decision, status)
        if fetch is None:
            return
        self.context.journal.fetched(fetch)
        journal = self.context.journal
        if fetch.etag is not None and asked.area is Area.DEVICE and not journal.is_bound(fetch.mac):
            fingerprint = request.identity.fingerprint if request.identity else None
            journal.bind(fetch.mac, fingerprint, source_network(request.address))

    def _log(self, level: int, event: str, request: Request, raw_path: bytes, **more: object) -> None:
        details = " ".join(f"{name}={value!s}".replace(" ", "_") for name, value in more.items())
        logger.log(
            level,
            "event=%s scheme=%s address=%s method=%s path=%s %s",
            event,
            request.scheme.value,
            printable(request.address),
            printable(request.method, 10),
            masked(raw_path),
            details,
        )

    def _request(self, scope: Scope, now: float) -> Request:
        authorization = agent = forwarded = proto = None
        for name, value in scope["headers"]:
            if name == b"authorization":
                authorization = value
            elif name == b"user-agent":
                agent = value
            elif name == b"x-forwarded-for":
                forwarded = value if forwarded is None else forwarded + b"," + value
            elif name == b"x-forwarded-proto":
                proto = value
        address, scheme = (scope["client"] or ("", 0))[0], scope["scheme"]
        proxies = self.context.trusted_proxies
        if proxies:
            address = client_behind(address, forwarded, proxies)
            scheme = _outer_scheme(scheme, proto)
        query: bytes = scope["query_string"]
        target = scope["raw_path"] + b"?" + query if query else scope["raw_path"]
        return Request(
            scope["method"],
            target.decode("latin-1"),
            Scheme.HTTPS if scheme == "https" else Scheme.HTTP,
            address,
            agent[:_MAX_AGENT].decode("latin-1") if agent else "",
            parse(authorization.decode("latin-1")) if authorization else None,
            scope["state"].get("identity"),
            now,
        )


def client_behind(peer: str, forwarded: bytes | None, proxies: int) -> str:
    """The address that the outermost of `proxies` trusted proxies saw.

    Each proxy appends whom it saw, so the one we want is that many from the end; what stands before it was
    the client's to write. With fewer entries than proxies, it is the peer.
    """
    entries = [part.strip() for part in (forwarded or b"").decode("latin-1").split(",") if part.strip()]
    return _bare(entries[-proxies]) if len(entries) >= proxies else peer


def _bare(entry: str) -> str:
    """An address without the port and brackets that some proxies add."""
    if entry.startswith("["):
        return entry[1:].partition("]")[0]
    return entry.partition(":")[0] if entry.count(":") == 1 else entry


def _outer_scheme(scheme: str, proto: bytes | None) -> str:
    last = (proto or b"").split(b",")[-1].strip().lower()
    return "https" if last == b"https" else scheme if not last else "http"


def _plain(status: int, headers: Headers) -> Answer:
    body = _BODIES[status]
    length = (b"content-length", str(len(body)).encode())
    return Answer(status, [_PLAIN_TEXT, length, (b"cache-control", b"no-store"), *headers], body)


def _header(scope: Scope, wanted: bytes) -> bytes | None:
    return next((value for name, value in scope["headers"] if name == wanted), None)


def _file_answer(
    file: PublishedFile, asked_with: list[tuple[bytes, bytes]], *, once: bool, own: bool
) -> Answer:
    """200, 304, 206 or 416 (RFC 9110 13.1.2, 14.2). What is given `once` is given whole."""
    cache = _PRIVATE if own else _PUBLIC
    if not once:
        etag = file.headers[1]
        unless = ranged = if_range = None
        for name, value in asked_with:
            if name == b"if-none-match":
                unless = value
            elif name == b"range":
                ranged = value
            elif name == b"if-range":
                if_range = value
        if unless is not None and _matches(unless, etag[1]):
            return Answer(304, [etag, cache], b"")
        if ranged is not None and (if_range is None or if_range == etag[1]):
            part = _part(file, ranged)
            if part is not None:
                return part
    return Answer(200, [*file.headers, cache], file.content)


def _matches(header: bytes, etag: bytes) -> bool:
    if header == etag or header.strip() == b"*":
        return True
    return etag in (part.strip().removeprefix(b"W/") for part in header.split(b","))


def _part(file: PublishedFile, header: bytes) -> Answer | None:
    """206 or 416 for one range; None for what is better answered whole."""
    match = _RANGE.fullmatch(header.strip())
    if match is None or not (match[1] or match[2]):
        return None
    size = len(file.content)
    if match[1]:
        first, last = int(match[1]), min(int(match[2] or size), size - 1)
        if match[2] and int(match[2]) < first:
            return None
    else:
        first, last = max(0, size - int(match[2])), size - 1
    if first > last:
        return Answer(
            416, [(b"content-range", b"bytes */%d" % size), (b"content-length", b"0"), file.headers[1]], b""
        )
    body = file.content[first : last + 1]
    kept = [header for header in file.headers if header[0] != b"content-length"]
    more = [
        (b"content-range", b"bytes %d-%d/%d" % (first, last, size)),
        (b"content-length", b"%d" % len(body)),
    ]
    return Answer(206, [*kept, *more, _PRIVATE], body)

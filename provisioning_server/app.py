"""The ASGI application: one request in, one answer with its exact length out."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple

from provisioning_server.access import Access, Decision, Outcome, Request, Scheme, noted
from provisioning_server.answers import Answer, file_answer, plain
from provisioning_server.errors import JournalUnavailable, StoreUnavailable
from provisioning_server.guard import Guard, network_of, source_network
from provisioning_server.journal import Journal, printable
from provisioning_server.login import Logins, parse
from provisioning_server.names import Area, Asked, asked_for, masked
from provisioning_server.store import PublishedStore, Route
from provisioning_server.uploads import Inbox

logger = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

REFUSED_S = 0.02
"""From the question to a refusal, whatever it took to find out: longer than that ever takes."""
LIMITED_S = 1.0
"""The same once an address has been wrong too often."""
LATE_PER_NETWORK = 64
"""Refusals that wait for their moment, per network; whoever has more is cut off."""
_AGAIN_S = b"30"
_MAX_AGENT = 256
# A member of an enumeration is looked up slowly (Python 3.11), and these are for every request.
_LOGIN, _UNKNOWN = Outcome.LOGIN, Outcome.UNKNOWN
_DEVICE = Area.DEVICE
_HTTP, _HTTPS = Scheme.HTTP, Scheme.HTTPS


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
        self._access, self._journal = context.access, context.journal
        self._proxies, self._log_requests = context.trusted_proxies, context.log_requests
        self._late: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One ASGI connection; only `http` is spoken."""
        if scope["type"] != "http":
            raise RuntimeError(f"no {scope['type']} here")
        fields: dict[bytes, bytes] = dict(scope["headers"])
        request = self._request(scope, fields, time.monotonic())
        answer = await self._answered(scope, fields, request, receive)
        if answer is None:
            # Cut off: an answer that never comes costs whoever floods us more than one that does.
            scope["state"]["cut"]()
            return
        status, headers, body = answer
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else body})

    async def _answered(
        self, scope: Scope, fields: dict[bytes, bytes], request: Request, receive: Receive
    ) -> Answer | None:
        asked = self._access.asked(scope["raw_path"])
        try:
            if request.method in ("GET", "HEAD"):
                decision = self._access.decide(asked, request)
                if decision.spend is not None and not await self._journal.spend(
                    decision.spend, request.address
                ):
                    decision = Decision(_UNKNOWN, decision.device, reason="spent")
            elif request.method in ("PUT", "POST") and self.context.inbox.is_open:
                return await self._taken_in(asked_for(scope["raw_path"]), request, scope, receive)
            else:
                return plain(405, (b"allow", b"GET, HEAD"), (b"connection", b"close"))
        except (StoreUnavailable, JournalUnavailable) as exc:
            logger.error("event=unavailable reason=%r", printable(str(exc)))
            return plain(503, (b"retry-after", _AGAIN_S))
        outcome, device, file, spent, *_ = decision
        if outcome is _LOGIN or outcome is _UNKNOWN:
            return await self._refused(asked, request, decision, scope["raw_path"])
        if outcome is Outcome.UNSAFE:
            answer = plain(403)
        elif file is None:
            answer = plain(404)
        else:
            answer = file_answer(file, fields, once=spent is not None, own=device is not None)
        if device is not None and asked is not None:
            self._note(asked, request, decision, answer.status)
        if self._log_requests:
            self._log(logging.INFO, "served", request, scope["raw_path"], status=answer.status)
        return answer

    async def _refused(
        self, asked: Asked | Route | None, request: Request, decision: Decision, raw_path: bytes
    ) -> Answer | None:
        """The refusal, at its moment; None when too many from there wait for theirs."""
        context = self.context
        if decision.guess and context.guard.guessed(request.address, request.now):
            self._log(logging.WARNING, "limit", request, raw_path, reason=decision.reason)
        if asked is not None:
            self._note(asked, request, decision, 401 if decision.outcome is _LOGIN else 404)
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
        if decision.outcome is _UNKNOWN:
            return plain(404)
        challenges = context.logins.challenges(
            context.store.realm,
            time.monotonic(),
            tls=request.scheme is Scheme.HTTPS,
            sha256=context.store.offers_sha256,
            user_agent=request.user_agent,
            stale=decision.stale,
        )
        return plain(401, *((b"www-authenticate", challenge) for challenge in challenges))

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
            return Answer(204, (), b"")
        return plain(status, (b"connection", b"close"))

    def _note(self, asked: Asked | Route, request: Request, decision: Decision, status: int) -> None:
        fetch = noted(asked, request, decision, status)
        if fetch is None:
            return
        journal = self._journal
        journal.fetched(fetch)
        if fetch.etag is not None and asked.area is _DEVICE and not journal.is_bound(fetch.mac):
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

    def _request(self, scope: Scope, fields: dict[bytes, bytes], now: float) -> Request:
        address, scheme = (scope["client"] or ("", 0))[0], scope["scheme"]
        if self._proxies:
            forwarded = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for")
            address = client_behind(address, forwarded, self._proxies)
            scheme = _outer_scheme(scheme, fields.get(b"x-forwarded-proto"))
        target, query = scope["raw_path"], scope["query_string"]
        if query:
            target += b"?" + query
        authorization, agent = fields.get(b"authorization"), fields.get(b"user-agent")
        return Request(
            scope["method"],
            target.decode("latin-1"),
            _HTTPS if scheme == "https" else _HTTP,
            address,
            agent[:_MAX_AGENT].decode("latin-1") if agent else "",
            parse(authorization.decode("latin-1")) if authorization else None,
            scope["state"].get("identity"),
            now,
        )


def client_behind(peer: str, forwarded: bytes, proxies: int) -> str:
    """The address that the outermost of `proxies` trusted proxies saw.

    Each proxy appends whom it saw, so the one we want is that many from the end; what stands before it was
    the client's to write. With fewer entries than proxies, it is the peer.
    """
    entries = [part.strip() for part in forwarded.decode("latin-1").split(",") if part.strip()]
    return _bare(entries[-proxies]) if len(entries) >= proxies else peer


def _bare(entry: str) -> str:
    """An address without the port and brackets that some proxies add."""
    if entry.startswith("["):
        return entry[1:].partition("]")[0]
    return entry.partition(":")[0] if entry.count(":") == 1 else entry


def _outer_scheme(scheme: str, proto: bytes | None) -> str:
    last = (proto or b"").split(b",")[-1].strip().lower()
    return "https" if last == b"https" else scheme if not last else "http"


def _header(scope: Scope, wanted: bytes) -> bytes | None:
    return next((value for name, value in scope["headers"] if name == wanted), None)

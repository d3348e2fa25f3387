"""Who may use the API, and how much they may send: checked before a request reaches any route."""

from __future__ import annotations

import hmac
import re
from collections.abc import Awaitable, Callable, Mapping

from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from control_plane.api.caller import remember
from control_plane.api.problems import problem_of, too_large, unauthorized
from control_plane.errors import StoreError
from control_plane.service.rights import Caller, root

SCHEME = "bearer "
MACHINE = "api"
"""What the audit calls who holds the machine's own token."""

Identify = Callable[[str], Awaitable[Caller | None]]
"""Whose token this is; None when it is nobody's, or no longer in force."""


class BearerToken:
    """ASGI middleware that lets in whoever has a token (RFC 6750), and everybody to the open paths.

    The machine's own `token` is the operator's; any other is looked up by `identify`.
    """

    def __init__(
        self, app: ASGIApp, token: SecretStr, identify: Identify, open_paths: frozenset[str]
    ) -> None:
        self._app = app
        self._token = token.get_secret_value().encode()
        self._identify = identify
        self._open_paths = open_paths
        if not self._token:
            raise ValueError("the API token is empty, which would let everybody in")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in self._open_paths:
            await self._app(scope, receive, send)
            return
        try:
            caller = await self._caller(Headers(scope=scope).get("authorization", ""))
        except StoreError as exc:
            await problem_of(exc)(scope, receive, send)
            return
        if caller is None:
            await unauthorized()(scope, receive, send)
            return
        remember(scope, caller)
        await self._app(scope, receive, send)

    async def _caller(self, header: str) -> Caller | None:
        given = header[len(SCHEME) :].strip() if header[: len(SCHEME)].lower() == SCHEME else ""
        # Constant time, so that an answer's delay tells nothing about how much of a guess was right.
        if hmac.compare_digest(given.encode(), self._token):
            return root(MACHINE)
        return await self._identify(given) if given else None


class BodyLimit:
    """ASGI middleware that refuses bodies of more than `max_bytes`, announced or not.

    `larger`: pattern of a whole path -> what is taken there instead.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, larger: Mapping[str, int]) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._larger = {re.compile(pattern): limit for pattern, limit in larger.items()}

    def _limit(self, path: str) -> int:
        found = (limit for pattern, limit in self._larger.items() if pattern.fullmatch(path))
        return next(found, self._max_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._limit(scope["path"])
        announced = Headers(scope=scope).get("content-length", "0")
        if not announced.isdecimal() or int(announced) > limit:
            await too_large()(scope, receive, send)
            return
        await self._app(scope, self._counting(receive, limit), send)

    @staticmethod
    def _counting(receive: Receive, limit: int) -> Receive:
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > limit:
                raise HTTPException(413)
            return message

        return counted

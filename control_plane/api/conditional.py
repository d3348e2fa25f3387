"""Answers 304 where nothing changed since the caller read it (RFC 9110 section 13.1.2).

Only where a route documents it: those whose answer is the entity alone. What also shows how a push or a
handset stands may be another answer under the same version.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fastapi.routing import APIRoute
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

NOT_MODIFIED: Final = 304
_OF_CONTENT: Final = ("content-length", "content-type")


class ConditionalGets:
    """Middleware outside the routes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = Headers(scope=scope).get("if-none-match") if scope["type"] == "http" else None
        if asked is None or scope["method"] not in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        unchanged = False

        async def answer(message: Message) -> None:
            nonlocal unchanged
            if message["type"] == "http.response.start" and message["status"] == 200:
                headers = MutableHeaders(raw=message["headers"])
                unchanged = _documents_it(scope) and is_same(asked, headers)
                if unchanged:
                    message["status"] = NOT_MODIFIED
                    for name in _OF_CONTENT:
                        del headers[name]
            elif message["type"] == "http.response.body" and unchanged:
                message = {**message, "body": b""}
            await send(message)

        await self._app(scope, receive, answer)


def is_same(asked: str, headers: Mapping[str, str]) -> bool:
    """Whether If-None-Match names the ETag of `headers`, by weak comparison; * names any."""
    etag = headers.get("etag")
    if etag is None:
        return False
    tags = {tag.strip().removeprefix("W/") for tag in asked.split(",")}
    return asked.strip() == "*" or etag in tags


def _documents_it(scope: Scope) -> bool:
    route = scope.get("route")
    return isinstance(route, APIRoute) and NOT_MODIFIED in route.responses

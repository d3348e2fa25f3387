"""Who a request comes from: found out from its token before it reaches any route."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request
from starlette.types import Scope

from control_plane.service.rights import Caller

_IN_SCOPE = "wirechief.caller"


def remember(scope: Scope, caller: Caller) -> None:
    """Note in the scope of a request who it comes from."""
    scope[_IN_SCOPE] = caller


async def caller_of(request: Request) -> Caller:
    """Who the request comes from; every request past the token check has one."""
    caller = request.scope[_IN_SCOPE]
    if not isinstance(caller, Caller):
        raise TypeError("a request came in without a caller")
    return caller


Calling = Annotated[Caller, Depends(caller_of)]

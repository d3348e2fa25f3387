"""Every error as application/problem+json (RFC 9457): our own, the framework's, and the unforeseen."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from control_plane.errors import (
    AsteriskError,
    Conflict,
    ControlPlaneError,
    Forbidden,
    IllegalTransition,
    InvalidField,
    InvariantViolation,
    LoginFailed,
    OutcomeUnknown,
    PublishingFailed,
    StalePlan,
    StaleVersion,
    StoreBusy,
    TooMany,
    UnknownEntity,
    Unreachable,
)
from control_plane.service.messages import problems_of

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 1
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="wirechief"'}

# The first match wins: a class stands before those it derives from.
_STATUS: tuple[tuple[type[ControlPlaneError], int, str], ...] = (
    (Forbidden, 403, "forbidden"),
    (LoginFailed, 401, "login-failed"),
    (TooMany, 429, "too-many"),
    (InvalidField, 422, "invalid-field"),
    (InvariantViolation, 422, "invariant-violation"),
    (UnknownEntity, 404, "unknown-entity"),
    (IllegalTransition, 409, "illegal-transition"),
    (Conflict, 409, "conflict"),
    (StaleVersion, 412, "stale-version"),
    (StalePlan, 409, "stale-plan"),
    (StoreBusy, 503, "store-busy"),
    (Unreachable, 503, "asterisk-unreachable"),
    (OutcomeUnknown, 504, "outcome-unknown"),
    (AsteriskError, 502, "asterisk-refused"),
    (PublishingFailed, 503, "publishing-failed"),
)
_REMEDIES = {
    401: "Send the header Authorization: Bearer with a token that is in force: your own, of a log-in, or the "
    "machine's from secrets.json in the state directory.",
    404: "There is nothing at this address; the list of addresses is at /api/v1/openapi.json.",
    405: "This address does not take this method; see the Allow header.",
    413: "The request body is too large: at most 64 KiB are taken, 2 MiB for a list of numbers or handsets.",
    415: "Send the body as application/json or application/merge-patch+json.",
}


class FieldProblem(BaseModel):
    """One field and the rule it breaks."""

    model_config = ConfigDict(json_schema_extra={"additionalProperties": False})

    field: str
    rule: str


class Problem(BaseModel):
    """RFC 9457 section 3: what went wrong and how to mend it."""

    type: str = Field(description="Names the kind of problem; about:blank when the status says it all.")
    title: str
    status: int
    detail: str = Field(description="A sentence for a person.")
    errors: list[FieldProblem] = Field(default=[], description="The fields at fault, if any.")


def problem(
    status: int,
    detail: str,
    *,
    kind: str | None = None,
    errors: Iterable[tuple[str, str]] = (),
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    """The response for one problem."""
    body = Problem(
        type=f"urn:wirechief:problem:{kind}" if kind is not None else "about:blank",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        errors=[FieldProblem(field=field, rule=rule) for field, rule in errors],
    )
    return JSONResponse(body.model_dump(), status, headers, MEDIA_TYPE)


def problem_of(error: ControlPlaneError) -> JSONResponse:
    """The response for one of the program's own errors."""
    status, kind = next(
        ((status, kind) for cls, status, kind in _STATUS if isinstance(error, cls)), (500, "internal")
    )
    errors = error.problems if isinstance(error, InvalidField) else ()
    return problem(status, str(error), kind=kind, errors=errors, headers=_headers(error))


def _headers(error: ControlPlaneError) -> dict[str, str] | None:
    match error:
        case StoreBusy():
            return {"Retry-After": str(RETRY_AFTER_S)}
        case TooMany():
            return {"Retry-After": str(error.retry_after_s)}
        case LoginFailed():
            return CHALLENGE
        case _:
            return None


def too_large() -> JSONResponse:
    """The body exceeds the limit."""
    return problem(413, _REMEDIES[413], headers={"Connection": "close"})


def unauthorized() -> JSONResponse:
    """RFC 6750 section 3: the token is missing or wrong, and the answer does not say which."""
    return problem(401, _REMEDIES[401], headers=CHALLENGE)


async def _own(_: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, ControlPlaneError):
        raise error
    return problem_of(error)


async def _http(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        raise error
    headers = dict(error.headers or {})
    if error.status_code == 405:
        # The framework names the methods of the first route it looked at; RFC 9110 wants all of them.
        headers["Allow"] = ", ".join(sorted(request.app.state.methods_at(request.url.path)))
    return problem(error.status_code, _REMEDIES.get(error.status_code, str(error.detail)), headers=headers)


async def _validation(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, RequestValidationError):
        raise error
    entries: list[dict[str, Any]] = [
        {**e, "loc": _without_source(e["loc"], e["type"])} for e in error.errors()
    ]
    if any(e["type"] == "json_invalid" for e in entries):
        return problem(400, "The body is not valid JSON.", kind="invalid-json")
    if _is_not_json(request, entries):
        return problem(415, _REMEDIES[415])
    found = problems_of(entries)
    return problem(
        422, "; ".join(str(InvalidField(*entry)) for entry in found), kind="invalid-field", errors=found
    )


def _without_source(loc: tuple[int | str, ...], kind: str) -> tuple[int | str, ...]:
    """The field itself: without whether it came in body, query or path, and without names of our classes."""
    if kind == "json_invalid":
        return ()
    head, last = loc[1:-1], loc[-1:] if len(loc) > 1 else ()
    kept = tuple(part for part in head if not (isinstance(part, str) and part[:1].isupper()))
    return kept + last


def _is_not_json(request: Request, entries: list[dict[str, Any]]) -> bool:
    if not any(e["loc"] == () for e in entries):
        return False
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return not (media_type == "application/json" or media_type.endswith("+json"))


async def _unforeseen(request: Request, error: Exception) -> JSONResponse:
    reference = secrets.token_hex(4)
    logger.error("%s %s failed (%s)", request.method, request.url.path, reference, exc_info=error)
    return problem(
        500, f"Something went wrong inside; the log has the details under {reference}.", kind="internal"
    )


def install(app: FastAPI, methods_at: Callable[[str], frozenset[str]]) -> None:
    """Make `app` answer every error as a problem; `methods_at` gives the methods a path takes."""
    app.state.methods_at = methods_at
    app.add_exception_handler(ControlPlaneError, _own)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(Exception, _unforeseen)

"""The OpenAPI document: error responses, headers and the bearer scheme that the routes share."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fastapi.openapi.utils import get_openapi
from starlette.routing import BaseRoute

from control_plane.api.problems import MEDIA_TYPE, FieldProblem, Problem

Responses = dict[int | str, dict[str, Any]]

_ALWAYS = (401, 403, 422, 500, 503)
"""422 too: every address refuses a query parameter that it does not have, or that is given twice."""
_WITH_BODY = (400, 413, 415)


def _errors(*statuses: int) -> Responses:
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": content}
        for status in sorted({*_ALWAYS, *statuses})
    }


def _header(description: str, example: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string"}, "example": example}


_ETAG = {"ETag": _header("The version of the entity, for If-Match.", '"12"')}
_REVISION = {"X-Revision": _header("A revision of the model that has this change.", "12")}
_LOCATION = {"Location": _header("The address of what was made.", "/api/v1/sites/singapore")}

READ_WITH_STATE = _errors(404) | {200: {"headers": _ETAG}}
"""Of what shows more than the entity: how a push stands, what is used."""
READ = READ_WITH_STATE | {304: {"description": "It is as it was.", "headers": _ETAG}}
LIST = _errors(404)
CREATE = _errors(404, 409, *_WITH_BODY) | {201: {"headers": _ETAG | _REVISION | _LOCATION}}
CREATE_MANY = _errors(404, 409, *_WITH_BODY) | {201: {"headers": _REVISION}}
ACT = _errors(404, 409, 412, *_WITH_BODY) | {200: {"headers": _REVISION}}
PATCH = _errors(404, 409, 412, *_WITH_BODY) | {200: {"headers": _ETAG | _REVISION}}
PREVIEW = _errors(404, 409, *_WITH_BODY)
REMOVE = _errors(404) | {204: {"headers": _REVISION}}
REMOVE_DAY = _errors(404, 409) | {204: {"headers": _REVISION}}
DELETE = _errors(404, 409, 412) | {204: {"headers": _REVISION}}
ALWAYS = _errors()
NODE = _errors(404, 502, 504)
APPLY = _errors(404, 409, 502, 504, *_WITH_BODY)
RETRY = _errors(404, 409)
MAILS = _errors(404, 409, 502, 504)
UNBLOCK = _errors(404, 502, 504)
ASK = _errors(404, *_WITH_BODY)
UNDO = _errors(404, 409) | {200: {"headers": _REVISION}}
LOG_IN = _errors(429, *_WITH_BODY)
CREATE_SLOWLY = CREATE | _errors(429)
PASSWORD = _errors(404, 409, 412, 429, *_WITH_BODY) | {204: {"headers": _ETAG | _REVISION}}

_IF_NONE_MATCH = {
    "name": "if-none-match",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "title": "If-None-Match"},
    "description": 'An ETag, such as "12"; the answer is 304 without a body while it is the version.',
}

_DESCRIPTION = """\
The desired state of the exchange, as resources. A change is checked as a whole, kept with an audit entry
under a new revision, and pushed to Asterisk.

* `PATCH` changes only the fields given (JSON merge patch, RFC 7396); null takes a field back to its default.
* `ETag` is the version of one entity; send it back as `If-Match` so as not to overwrite somebody's change,
  or as `If-None-Match` to be answered 304 while nothing changed.
* Every error is a problem (RFC 9457): `detail` is a sentence, `errors` names the fields and their rules.
* Every request carries `Authorization: Bearer` with a token: of a log-in, a named one, or the machine's own
  from the state directory's `secrets.json`.
* What you may not see is answered 404, as if it were not there; what you see and may not do, 403.
"""


def document(title: str, version: str, routes: Sequence[BaseRoute]) -> dict[str, Any]:
    """The OpenAPI document of these routes."""
    found = get_openapi(title=title, version=version, description=_DESCRIPTION, routes=routes)
    schemas = found["components"]["schemas"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for model in (FieldProblem, Problem):
        schemas[model.__name__] = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas[model.__name__].pop("$defs", None)
    found["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    found["security"] = [{"token": []}]
    for path in found["paths"].values():
        for operation in path.values():
            _without_default_validation_error(operation)
            if "304" in operation["responses"]:
                operation.setdefault("parameters", []).append(_IF_NONE_MATCH)
    return found


def _without_default_validation_error(operation: dict[str, Any]) -> None:
    """The framework documents its own 422 shape where a route does not: none of ours answers that."""
    response = operation["responses"].get("422")
    if response is not None and "application/json" in response.get("content", {}):
        del operation["responses"]["422"]

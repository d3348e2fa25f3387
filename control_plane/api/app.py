"""The application: routes, errors, the bearer token and limits, put together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

from fastapi import APIRouter, Depends, FastAPI
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute, compile_path

from control_plane.api import (
    accounts,
    decommission,
    devices,
    documents,
    groups,
    handset_uploads,
    handsets,
    lines,
    mails,
    nodes,
    number_lists,
    numbers,
    pictures,
    places,
    previews,
    problems,
    publishing,
    questions,
    tasks,
    tenants,
    voice,
)
from control_plane.api.access import BearerToken, BodyLimit
from control_plane.api.conditional import ConditionalGets
from control_plane.api.context import ApiPorts, require_known_query
from control_plane.api.rights import authorise, require_rules
from control_plane.service.number_index import NumberIndex

TITLE = "wirechief"
API_VERSION = "1"
PREFIX = "/api/v1"
OPENAPI_PATH = f"{PREFIX}/openapi.json"
LOGIN_PATH = f"{PREFIX}/login"
MAX_BODY_BYTES = 64 * 1024
"""A full VIP list is 4 KiB; the rest is room."""
IMPORT_PATHS = (rf"{PREFIX}/sites/[^/]+/numbers/import", rf"{PREFIX}/organisations/[^/]+/handsets/import")
MAX_IMPORT_BYTES = 2 * 1024 * 1024
"""A list of 10 000 numbers is 0.2 MiB, one of as many handsets 0.5 MiB."""

_ROUTERS = (
    places.organisations,
    decommission.router,
    tenants.occupancies,
    tenants.people,
    lines.extensions,
    devices.devices,
    number_lists.lists,
    groups.call_groups,
    groups.main_numbers,
    previews.router,
    pictures.router,
    lines.numbers,
    numbers.actions,
    voice.pools,
    voice.services,
    places.sites,
    places.trunks,
    handsets.handsets,
    handsets.models,
    handset_uploads.router,
    publishing.router,
    questions.explanations,
    questions.audit,
    nodes.router,
    mails.of_node,
    mails.of_organisation,
    tasks.router,
    accounts.own,
    accounts.accounts,
)


def _operation_id(route: APIRoute) -> str:
    return route.name


@cache
def _routes() -> tuple[BaseRoute, ...]:
    """Every route, the same for each application of this process: they find their ports in the application.

    Making them and the document takes a second of processor time.

    Raises: TypeError: a route has no rule that says who may call it.
    """
    require_rules(route for router in _ROUTERS for route in router.routes)
    checked = [Depends(authorise), Depends(require_known_query)]
    made = APIRouter(generate_unique_id_function=_operation_id)
    for router in _ROUTERS:
        made.include_router(router, prefix=PREFIX, dependencies=checked)
    # Outside the check of rights: api/rights.py OPEN.
    made.include_router(accounts.logins, prefix=PREFIX, dependencies=[Depends(require_known_query)])
    return tuple(made.routes)


@cache
def _document() -> dict[str, Any]:
    return documents.document(TITLE, API_VERSION, _routes())


@cache
def _query_names() -> Mapping[str, frozenset[str]]:
    """Operation -> the query parameters it takes."""
    return {
        operation["operationId"]: frozenset(
            parameter["name"] for parameter in operation.get("parameters", ()) if parameter["in"] == "query"
        )
        for methods in _document()["paths"].values()
        for operation in methods.values()
    }


def _query_names_of(operation: str) -> frozenset[str]:
    return _query_names().get(operation, frozenset())


def _methods_at(path: str) -> frozenset[str]:
    """The methods taken at `path` by the template that names it most closely; none where none fits."""
    paths = _document()["paths"]
    fitting = [template for template in paths if compile_path(template)[0].match(path)]
    # /numbers/export.csv is not the number "export.csv".
    nearest = min(fitting, key=lambda template: template.count("{"), default="")
    return frozenset(method.upper() for method in paths.get(nearest, ()))


class _Application(FastAPI):
    def openapi(self) -> dict[str, Any]:
        return _document()


@asynccontextmanager
async def _warm(app: FastAPI) -> AsyncIterator[None]:
    """What the first request would wait for is made when the process starts.

    The index of numbers (0.5 s of 50 000), and, in a thread of its own, the document that the check of every
    query reads (0.6 s).
    """
    making = asyncio.create_task(app.state.number_index.follow(), name="index of numbers")
    await asyncio.to_thread(_query_names)
    yield
    making.cancel()
    await asyncio.gather(making, return_exceptions=True)


def create_app(ports: ApiPorts) -> FastAPI:
    """The ASGI application of the API, for everything under /api/v1.

    Raises:
        ValueError: the token is empty.
        TypeError: a route has no rule that says who may call it.
    """
    app = _Application(
        lifespan=_warm,
        routes=list(_routes()),
        title=TITLE,
        version=API_VERSION,
        openapi_url=OPENAPI_PATH,
        docs_url=None,  # the framework's pages load their scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False},
    )
    app.state.ports = ports
    app.state.number_index = NumberIndex(ports.store)
    app.state.nodes = ports.nodes
    app.state.query_names = _query_names_of
    problems.install(app, _methods_at)
    app.add_middleware(
        BodyLimit, max_bytes=MAX_BODY_BYTES, larger=dict.fromkeys(IMPORT_PATHS, MAX_IMPORT_BYTES)
    )
    app.add_middleware(ConditionalGets)
    app.add_middleware(
        BearerToken,
        token=ports.token,
        identify=ports.logins.identify,
        open_paths=frozenset({OPENAPI_PATH, LOGIN_PATH}),
    )
    return app

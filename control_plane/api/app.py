"""The application: routes, errors, the bearer token and limits, put together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cached_property
from typing import Any

from fastapi import APIRouter, Depends, FastAPI
from fastapi.routing import APIRoute
from starlette.routing import compile_path

from control_plane.api import (
    accounts,
    decommission,
    devices,
    documents,
    groups,
    handset_uploads,
    handsets,
    lines,
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
    tasks.router,
    accounts.own,
    accounts.accounts,
)


class _Application(FastAPI):
    def openapi(self) -> dict[str, Any]:
        return documents.document(self)

    def methods_at(self, path: str) -> frozenset[str]:
        """The methods taken at `path` by the template that names it most closely; none where none fits."""
        paths = self.openapi()["paths"]
        fitting = [template for template in paths if compile_path(template)[0].match(path)]
        # /numbers/export.csv is not the number "export.csv".
        nearest = min(fitting, key=lambda template: template.count("{"), default="")
        return frozenset(method.upper() for method in paths.get(nearest, ()))

    def query_names(self, operation: str) -> frozenset[str]:
        """The query parameters an operation takes."""
        return self._query_names.get(operation, frozenset())

    @cached_property
    def _query_names(self) -> Mapping[str, frozenset[str]]:
        return {
            operation["operationId"]: frozenset(
                parameter["name"]
                for parameter in operation.get("parameters", ())
                if parameter["in"] == "query"
            )
            for methods in self.openapi()["paths"].values()
            for operation in methods.values()
        }


def _operation_id(route: APIRoute) -> str:
    return route.name


@asynccontextmanager
async def _warm(app: FastAPI) -> AsyncIterator[None]:
    """The index of numbers is made when the process starts, not by the first who asks (0.5 s of 50 000)."""
    making = asyncio.create_task(app.state.number_index.follow(), name="index of numbers")
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
        title="wirechief",
        version=API_VERSION,
        openapi_url=OPENAPI_PATH,
        docs_url=None,  # the framework's pages load their scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
        telemetry={"tracing": False},
    )
    app.state.ports = ports
    app.state.number_index = NumberIndex(ports.store)
    app.state.nodes = ports.nodes
    api = APIRouter(prefix=PREFIX, dependencies=[Depends(authorise), Depends(require_known_query)])
    app.state.query_names = app.query_names
    for router in _ROUTERS:
        api.include_router(router)
    require_rules(route for router in _ROUTERS for route in router.routes)
    app.include_router(api)
    # Outside the check of rights: api/rights.py OPEN.
    app.include_router(accounts.logins, prefix=PREFIX, dependencies=[Depends(require_known_query)])
    problems.install(app, app.methods_at)
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

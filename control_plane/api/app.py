"""The application: routes, errors, the bearer token and limits, put together."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute

from control_plane.api import devices, documents, lines, places, problems, tenants
from control_plane.api.access import BearerToken, BodyLimit
from control_plane.api.context import ApiPorts

API_VERSION = "1"
PREFIX = "/api/v1"
OPENAPI_PATH = f"{PREFIX}/openapi.json"
MAX_BODY_BYTES = 64 * 1024
"""A full VIP list is 4 KiB; the rest is room."""

_ROUTERS = (
    places.organisations,
    tenants.occupancies,
    tenants.people,
    lines.extensions,
    devices.devices,
    lines.numbers,
    places.sites,
    places.trunks,
)


class _Application(FastAPI):
    def openapi(self) -> dict[str, Any]:
        return documents.document(self)


def _operation_id(route: APIRoute) -> str:
    return route.name


def _methods_at(path: str) -> frozenset[str]:
    """The methods some route takes at `path`."""
    below = path.removeprefix(PREFIX)
    routes = (route for router in _ROUTERS for route in router.routes if isinstance(route, APIRoute))
    return frozenset(
        method for route in routes if route.path_regex.match(below) for method in route.methods or ()
    )


def create_app(ports: ApiPorts) -> FastAPI:
    """The ASGI application of the API, for everything under /api/v1.

    Raises:
        ValueError: the token is empty.
    """
    app = _Application(
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
    api = APIRouter(prefix=PREFIX)
    for router in _ROUTERS:
        api.include_router(router)
    app.include_router(api)
    problems.install(app, _methods_at)
    app.add_middleware(BodyLimit, max_bytes=MAX_BODY_BYTES)
    app.add_middleware(BearerToken, token=ports.token, open_paths=frozenset({OPENAPI_PATH}))
    return app

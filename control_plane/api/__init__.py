"""The REST API under /api/v1: thin edges over the use cases."""

from control_plane.api.app import create_app
from control_plane.api.context import ApiPorts

__all__ = ["ApiPorts", "create_app"]

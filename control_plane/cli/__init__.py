"""The command `wirechief`. Each module registers its commands when it is imported."""

from control_plane.cli import (
    calling,
    calls,
    changing,
    checking,
    explaining,
    exporting,
    grouping,
    handsets,
    lab,
    number_listing,
    numbers,
    pushing,
    security,
    services,
    showing,
    tasks,
)
from control_plane.cli.app import main

__all__ = [
    "calling",
    "calls",
    "changing",
    "checking",
    "explaining",
    "exporting",
    "grouping",
    "handsets",
    "lab",
    "main",
    "number_listing",
    "numbers",
    "pushing",
    "security",
    "services",
    "showing",
    "tasks",
]

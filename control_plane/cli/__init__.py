"""The command `wirechief`: each of its commands is imported when it is called."""

from control_plane.cli.app import main

__all__ = ["main"]

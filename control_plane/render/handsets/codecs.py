"""Codecs a family can be told, in the order that was asked for."""

from __future__ import annotations

from collections.abc import Container

from control_plane.render.handsets.setup import Codec


def usable(wanted: tuple[Codec, ...], known: Container[Codec]) -> tuple[Codec, ...]:
    """Those of `wanted` the family knows; PCMU, which every handset has, when it knows none of them."""
    return tuple(codec for codec in wanted if codec in known) or (Codec.PCMU,)

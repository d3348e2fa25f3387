"""Rules of the call path that need no call: keys nobody may have."""

from __future__ import annotations

from control_plane.domain.regions import REGIONS


def key_problem(key: str) -> str | None:
    """Why no extension and no call group can have this key (R71, A59); None when it can.

    Every region's emergency numbers are kept free: a site may be opened anywhere later. Feature codes begin
    with a star, so no key can be one.
    """
    for region in REGIONS.values():
        if key in region.emergency:
            return f"{key} is an emergency number in {region.code}; choose another key"
    return None

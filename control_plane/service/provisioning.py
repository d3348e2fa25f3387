"""Which numbers a site's pool may hold (R3, R14, A14)."""

from __future__ import annotations

import phonenumbers

from control_plane.domain.regions import Region


def provisioning_problem(e164: str, region: Region) -> str | None:
    """Why `e164` cannot be a number of a site in `region`; None when it can."""
    prefix = region.toll_free_prefix(e164)
    if prefix is not None:
        return (
            f"{e164} begins with +{region.calling_code} {prefix}: toll-free and shared-cost numbers are not "
            "provided, only local and national ones (R14); choose another"
        )
    try:
        parsed = phonenumbers.parse(e164, None)
    except phonenumbers.NumberParseException:
        return f"{e164} is no telephone number"
    if not phonenumbers.is_valid_number_for_region(parsed, region.code.value):
        return f"{e164} is no number of {region.code.value}, where the site is"
    return None

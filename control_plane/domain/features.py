"""Codes dialled on a phone to change or reach a feature of the own extension; which digits is a setting."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from control_plane.errors import InvalidField

CODE = re.compile(r"\*[0-9]{1,4}")
"""A star keeps codes apart from extensions and from every number that can be dialled."""


class Feature(StrEnum):
    """What a code does; also the outcome it leaves in the trace."""

    DND_ON = "dnd_on"
    DND_OFF = "dnd_off"
    FORWARD_ON = "forward_on"  # the code alone: stored targets; with digits behind it: to that target
    FORWARD_OFF = "forward_off"
    VOICEMAIL = "voicemail"
    HOT_DESK = "hot_desk"  # logs out; logs in at a handset nobody is logged in at


@dataclass(frozen=True, slots=True)
class FeatureCode:
    """One code; `takes_digits` when a target may follow it directly (*72 then 101). `also` does the same."""

    feature: Feature
    code: str
    says: str
    takes_digits: bool = False
    also: str = ""


FEATURE_CODES = (
    FeatureCode(Feature.DND_ON, "*78", "Do not disturb on"),
    FeatureCode(Feature.DND_OFF, "*79", "Do not disturb off"),
    FeatureCode(
        Feature.FORWARD_ON, "*72", "Forwarding on; with a number behind it, to it", takes_digits=True
    ),
    FeatureCode(Feature.FORWARD_OFF, "*73", "Forwarding off"),
    FeatureCode(Feature.VOICEMAIL, "*97", "Own voicemail"),
    FeatureCode(
        Feature.HOT_DESK,
        "*11",
        "Log out of this handset; where nobody is logged in, log in with extension and PIN (also `00#`)",
        also="00#",
    ),
)
"""The codes where settings name no others."""


def with_codes(chosen: Mapping[str, str]) -> tuple[FeatureCode, ...]:
    """The table with the codes of `chosen`, a mapping from feature name to code; others keep theirs.

    Raises:
        InvalidField: no such feature, not a star and one to four digits, or one code begins with another.
    """
    known = {feature.value for feature in Feature}
    for name, code in chosen.items():
        if name not in known:
            raise InvalidField(
                "feature_codes", f"there is no feature {name!r}; there are {', '.join(sorted(known))}"
            )
        if not CODE.fullmatch(code):
            raise InvalidField(f"feature_codes.{name}", "must be * and one to four digits, such as *78")
    table = tuple(replace(entry, code=chosen.get(entry.feature.value, entry.code)) for entry in FEATURE_CODES)
    for entry in table:
        for other in table:
            if other is not entry and other.code.startswith(entry.code):
                raise InvalidField(
                    f"feature_codes.{other.feature}",
                    f"{other.code} begins with {entry.code}, which is {entry.feature}",
                )
    return table


def log_in_codes(codes: tuple[FeatureCode, ...]) -> tuple[str, ...]:
    """What logs in at a handset nobody is logged in at (A73).

    Without its last character too: many handsets take a `#` for "dial now" and do not send it. Nothing else
    begins like that there, since its line calls nobody abroad.
    """
    [code] = [code for code in codes if code.feature is Feature.HOT_DESK]
    return code.code, code.also, code.also.removesuffix("#")


def find(codes: tuple[FeatureCode, ...], dialled: str) -> tuple[FeatureCode, str] | None:
    """The code `dialled` is, with the digits that follow it; None when it is no feature code."""
    for code in codes:
        if dialled == code.code or (code.also and dialled == code.also):
            return code, ""
        if code.takes_digits and dialled.startswith(code.code):
            return code, dialled[len(code.code) :]
    return None

"""Codes dialled on a phone to change or reach a feature of the own extension."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Feature(StrEnum):
    """What a code does; also the outcome it leaves in the trace."""

    DND_ON = "dnd_on"
    DND_OFF = "dnd_off"
    FORWARD_ON = "forward_on"  # the code alone: stored targets; with digits behind it: to that target
    FORWARD_OFF = "forward_off"
    VOICEMAIL = "voicemail"


@dataclass(frozen=True, slots=True)
class FeatureCode:
    """One code; `takes_digits` when a target may follow it directly (*72 then 101)."""

    feature: Feature
    code: str
    says: str
    takes_digits: bool = False


FEATURE_CODES = (
    FeatureCode(Feature.DND_ON, "*78", "Do not disturb on"),
    FeatureCode(Feature.DND_OFF, "*79", "Do not disturb off"),
    FeatureCode(
        Feature.FORWARD_ON, "*72", "Forwarding on; *72 and a number: forward to it", takes_digits=True
    ),
    FeatureCode(Feature.FORWARD_OFF, "*73", "Forwarding off"),
    FeatureCode(Feature.VOICEMAIL, "*97", "Own voicemail"),
)


def find(dialled: str) -> tuple[FeatureCode, str] | None:
    """The code `dialled` is, with the digits that follow it; None when it is no feature code."""
    for code in FEATURE_CODES:
        if dialled == code.code:
            return code, ""
        if code.takes_digits and dialled.startswith(code.code):
            return code, dialled[len(code.code) :]
    return None

"""Regions as data: how digits dialled in a country become E.164, and which numbers are emergency numbers.

The same table feeds the dialplan and `explain`, so that both read a number alike.
Sources: ITU-T E.164 and the national numbering plans; REQUIREMENTS A59 for the emergency numbers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

E164 = re.compile(r"\+[1-9][0-9]{6,14}")
"""ITU-T E.164: a plus sign, a country code without leading zero, 7 to 15 digits in all."""

SEPARATORS = re.compile(r"[\s().\-]")


class RegionCode(StrEnum):
    """Countries the product has numbering data for."""

    GB = "GB"
    US = "US"
    SG = "SG"
    AU = "AU"


@dataclass(frozen=True, slots=True)
class DialRule:
    """Numbers that match `pattern` lose `strip` digits and gain `prepend`.

    Asterisk notation without the underscore: only X, Z, N, literal digits, `+` and a final `.` (one
    or more) are used, so that the rule has one meaning in Asterisk and in `matches`.
    """

    pattern: str
    strip: int
    prepend: str

    def matches(self, digits: str) -> bool:
        """Whether `digits` fits the pattern, as Asterisk would decide."""
        return re.fullmatch(_as_regex(self.pattern), digits) is not None

    def apply(self, digits: str) -> str:
        return self.prepend + digits[self.strip :]


@dataclass(frozen=True, slots=True)
class Region:
    """One country's numbering facts; `rules` are tried in order, the first match wins.

    `toll_free`: how national numbers begin that the carrier does not provide (R14, A14), without the trunk 0.
    `batch`: numbers are allocated to a first voice service in multiples of this (R64, R67), and only where it
    is more than one may the main number come with them (A67).
    """

    code: RegionCode
    calling_code: str
    emergency: tuple[str, ...]
    rules: tuple[DialRule, ...]
    toll_free: tuple[str, ...]
    batch: int = 1

    def toll_free_prefix(self, e164: str) -> str | None:
        """The prefix that makes `e164` a toll-free number here; None when it is none."""
        national = e164.removeprefix(f"+{self.calling_code}")
        if national == e164:
            return None
        return next((prefix for prefix in self.toll_free if national.startswith(prefix)), None)

    def normalise(self, digits: str) -> str:
        """`digits` as E.164 with `+`, or unchanged when no rule knows them (a short code, say)."""
        for rule in self.rules:
            if rule.matches(digits):
                return rule.apply(digits)
        return digits


def _as_regex(pattern: str) -> str:
    classes = {"X": "[0-9]", "Z": "[1-9]", "N": "[2-9]", ".": "[0-9]+", "+": r"\+"}
    return "".join(classes.get(char, char) for char in pattern)


_INTERNATIONAL = DialRule("+X.", 0, "")

REGIONS: dict[RegionCode, Region] = {
    RegionCode.GB: Region(
        RegionCode.GB,
        "44",
        ("112", "999"),
        (_INTERNATIONAL, DialRule("00ZXXXXX.", 2, "+"), DialRule("0ZXXXXXXX.", 1, "+44")),
        ("300", "800", "808", "845"),
        batch=5,
    ),
    RegionCode.US: Region(
        RegionCode.US,
        "1",
        ("911", "933"),
        (
            _INTERNATIONAL,
            DialRule("011ZXXXXX.", 3, "+"),
            DialRule("1NXXNXXXXXX", 0, "+"),
            DialRule("NXXNXXXXXX", 0, "+1"),
        ),
        ("800", "833", "844", "855", "866", "877", "888"),
    ),
    RegionCode.SG: Region(
        RegionCode.SG,
        "65",
        ("995", "999"),
        (
            _INTERNATIONAL,
            DialRule("00ZZXXXXX.", 3, "+"),
            DialRule("65NXXXXXXX", 0, "+"),
            DialRule("NXXXXXXX", 0, "+65"),
        ),
        ("1800", "800"),
    ),
    RegionCode.AU: Region(
        RegionCode.AU,
        "61",
        ("000", "106", "112"),
        (_INTERNATIONAL, DialRule("0011ZXXXXX.", 4, "+"), DialRule("0ZXXXXXXXX", 1, "+61")),
        ("1800", "1300"),
    ),
}


def tidy(number: str) -> str:
    """`number` without the spaces, dots, dashes and brackets people write in it."""
    return SEPARATORS.sub("", number)


def is_e164(number: str) -> bool:
    return E164.fullmatch(number) is not None

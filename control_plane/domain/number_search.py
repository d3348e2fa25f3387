"""Finding numbers by a part of them, in whatever notation it is written (R43, A43). Pure."""

from __future__ import annotations

import re

from control_plane.domain.regions import Region, tidy
from control_plane.errors import InvalidField

_TRUNK_ZERO = re.compile(r"(\+\s*[0-9]+\s*)\(\s*0\s*\)")
"""The 0 in +44 (0)20: dialled inside the country only, and no part of the number."""

SEARCH_MAX = 40
"""Characters of a search text."""


def national(e164: str, region: Region) -> str | None:
    """`e164` as it is dialled inside its country: 020... for +4420...; None when it is no number of there."""
    for rule in region.rules:
        if rule.prepend == f"+{region.calling_code}" and e164.startswith(rule.prepend):
            dialled = rule.pattern[: rule.strip] + e164.removeprefix(rule.prepend)
            if rule.matches(dialled):
                return dialled
    return None


def searchable(e164: str, region: Region) -> str:
    """The text that a needle is looked for in: "+442071838750 02071838750"."""
    inside = national(e164, region)
    return e164 if inside is None else f"{e164} {inside}"


def needles(text: str) -> tuple[str, ...]:
    """What a person typed, as texts of which one must be part of `searchable`; none: everything is wanted.

    Raises: InvalidField.
    """
    if len(text) > SEARCH_MAX:
        raise InvalidField("search", f"has at most {SEARCH_MAX} characters")
    plain = tidy(_TRUNK_ZERO.sub(r"\1", text))
    digits = plain.removeprefix("+")
    if not plain:
        return ()
    if not (digits.isascii() and digits.isdigit()):
        raise InvalidField("search", "is digits of a number; spaces, -, ( and ) may stand between them")
    if plain.startswith("00") and len(plain) > len("00"):
        # How other countries are dialled, or digits in the middle.
        return plain, f"+{plain.removeprefix('00')}"
    return (plain,)

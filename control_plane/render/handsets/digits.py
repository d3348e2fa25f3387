"""What can be dialled at once, from the neutral notation into each make's digit map."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from control_plane.errors import UnsafeValue

_ELEMENT = re.compile(r"[0-9*#+X]|\[[0-9]+(?:-[0-9])?\]")
_RANGE = re.compile(r"([0-9])-([0-9])")
_PATTERN = re.compile(rf"(?:{_ELEMENT.pattern})+\.?")


@dataclass(frozen=True, slots=True)
class DigitPattern:
    """`elements`: digits, "X" or "[2-9]"; `open_ended`: the last of them once or more, then wait."""

    elements: tuple[str, ...]
    open_ended: bool


@lru_cache(maxsize=1024)  # most handsets have the patterns of their colleagues
def parse_pattern(text: str) -> DigitPattern:
    """The parts of one pattern.

    Raises:
        UnsafeValue: it is not in the notation.
    """
    descending = any(first > last for first, last in _RANGE.findall(text))
    if descending or not _PATTERN.fullmatch(text):
        raise UnsafeValue("digit_patterns", f"{text!r} is not digits, X, [2-9] and a trailing dot")
    return DigitPattern(tuple(_ELEMENT.findall(text)), text.endswith("."))


def repeated_dot(text: str) -> str:
    """As in MGCP (RFC 3435 2.1.5): x any digit, "." none or more of the one before, T waits."""
    pattern = parse_pattern(text)
    elements = [element.replace("X", "x") for element in pattern.elements]
    return "".join(elements) + (f"{elements[-1]}.T" if pattern.open_ended else "")


def mgcp_map(patterns: tuple[str, ...]) -> str:
    """Alternatives in the notation of `repeated_dot`: 1xx|00xx.T."""
    return "|".join(repeated_dot(pattern) for pattern in patterns)


def grandstream_map(patterns: tuple[str, ...]) -> str:
    """{ 1xx | 00x+ }: "+" is one or more of the one before; a plus sign is escaped."""
    alternatives = []
    for text in patterns:
        pattern = parse_pattern(text)
        elements = [element.replace("X", "x").replace("+", "\\+") for element in pattern.elements]
        alternatives.append("".join(elements) + ("+" if pattern.open_ended else ""))
    return f"{{ {' | '.join(alternatives)} }}"


def regular_expression(text: str) -> str:
    """One pattern as a regular expression that matches all of a dialled number."""
    pattern = parse_pattern(text)
    elements = [
        "[0-9]" if element == "X" else element if element[0] == "[" else re.escape(element)
        for element in pattern.elements
    ]
    return f"^{''.join(elements)}{'+' if pattern.open_ended else ''}$"

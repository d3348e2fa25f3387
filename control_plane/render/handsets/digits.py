"""What can be dialled at once, from the neutral notation into each make's digit map.

A map never sends a number at once that may be the beginning of a longer one: such a number waits for the
time-out. Where only some of a pattern's numbers may go on, it is split, and the others are sent at once. A
map that gets longer than a make takes becomes coarser: patterns wait whole instead of being split.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from control_plane.errors import UnsafeValue

_ELEMENT = re.compile(r"[0-9*#+X]|\[[0-9]+(?:-[0-9])?\]")
_RANGE = re.compile(r"([0-9])-([0-9])")
_PATTERN = re.compile(rf"(?:{_ELEMENT.pattern})+\.?")
_DIGITS = "0123456789"
MAPS_KEPT = 64
"""Handsets of one organisation at one site have one map, and are rendered one after the other."""

_Keys = frozenset[str]
_ANY = ("X.", "*X.", "#X.", "+X.")
"""Whatever can be dialled, by time-out."""


@dataclass(frozen=True, slots=True)
class DigitPattern:
    """`elements`: digits, "X" or "[2-9]"; `open_ended`: the last of them once or more, then wait.

    `waits`: complete, but sent by time-out alone, because a longer number may be meant.
    """

    elements: tuple[str, ...]
    open_ended: bool
    waits: bool = False


Write = Callable[[Iterable[DigitPattern]], str]
"""Patterns in a make's notation, alternatives parted by |."""


@dataclass(frozen=True, slots=True)
class Limit:
    """What a make takes at most of a whole map."""

    characters: int
    alternatives: int | None = None

    def allows(self, text: str) -> bool:
        """Whether a map is short enough."""
        parts = text.count("|") + 1
        return len(text) <= self.characters and (self.alternatives is None or parts <= self.alternatives)


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


def digit_map(patterns: Iterable[str]) -> tuple[DigitPattern, ...]:
    """The patterns, each once, so that none is sent at once while a longer number is possible.

    Raises:
        UnsafeValue: one is not in the notation.
    """
    return _flat(_parts(tuple(patterns)).values())


def fitted(write: Write, patterns: Iterable[str], emergency: Iterable[str], limit: Limit) -> str:
    """The map of emergency numbers and patterns as `write` puts it, as coarse as `limit` makes necessary.

    Patterns that have most to gain wait whole, one after the other; where that is not enough, it is the
    emergency numbers and any other number by time-out. Never is anything sent earlier than in the fine map.

    Raises:
        UnsafeValue: one is not in the notation.
    """
    return _fitted(write, tuple(patterns), tuple(emergency), limit)


@lru_cache(maxsize=MAPS_KEPT)
def _fitted(write: Write, patterns: tuple[str, ...], emergency: tuple[str, ...], limit: Limit) -> str:
    parts = dict(_parts((*emergency, *patterns)))
    for pattern in sorted(parts, key=lambda each: len(write(parts[each])), reverse=True):
        text = write(_flat(parts.values()))
        if limit.allows(text):
            return text
        if len(parts[pattern]) > 1:
            parts[pattern] = (replace(pattern, waits=True),)
    anything = [(parse_pattern(text),) for text in _ANY]
    first = [parts[parse_pattern(text)] for text in emergency]
    texts = (write(_flat(found)) for found in (parts.values(), [*first, *anything], anything))
    return next((text for text in texts if limit.allows(text)), write(_flat(anything)))


def _flat(parts: Iterable[Iterable[DigitPattern]]) -> tuple[DigitPattern, ...]:
    return tuple(dict.fromkeys(part for each in parts for part in each))


@lru_cache(maxsize=MAPS_KEPT)
def _parts(patterns: tuple[str, ...]) -> dict[DigitPattern, tuple[DigitPattern, ...]]:
    """Each pattern once, and what it becomes in the map."""
    parsed = [parse_pattern(text) for text in dict.fromkeys(patterns)]
    return {
        pattern: (pattern,) if pattern.open_ended else tuple(_settled(pattern, parsed)) for pattern in parsed
    }


@lru_cache(maxsize=1024)
def excluding(text: str, start: str) -> tuple[str, ...]:
    """Patterns for the numbers of one pattern that are longer than `start` and do not begin with it.

    Numbers as long as `start` or shorter are left alone.
    Raises:
        UnsafeValue: it is not in the notation.
    """
    pattern = parse_pattern(text)
    if len(pattern.elements) <= len(start):
        return (text,)
    keys = [_keys(element) for element in pattern.elements]
    head, tail = keys[: len(start)], keys[len(start) :]
    dot = "." if pattern.open_ended else ""
    rest = _without(head, [frozenset(key) for key in start])
    return tuple("".join(_element(each) for each in [*one, *tail]) + dot for one in rest)


def _settled(pattern: DigitPattern, others: Iterable[DigitPattern]) -> Iterator[DigitPattern]:
    """A pattern that ends, in parts: those that are sent at once, then those that wait."""
    parts = [[_keys(element) for element in pattern.elements]]
    waiting: list[list[_Keys]] = []
    for other in others:
        begins = _beginning(other, len(pattern.elements))
        if begins is None:
            continue
        waiting += [common for part in parts if (common := _common(part, begins))]
        parts = [rest for part in parts for rest in _without(part, begins)]
    for part in parts:
        yield DigitPattern(tuple(_element(each) for each in part), open_ended=False)
    for part in waiting:
        yield DigitPattern(tuple(_element(each) for each in part), open_ended=False, waits=True)


def _beginning(pattern: DigitPattern, length: int) -> list[_Keys] | None:
    """How its numbers that are longer than `length` begin; None when it has none."""
    keys = [_keys(element) for element in pattern.elements]
    if pattern.open_ended:
        return (keys + [keys[-1]] * length)[:length]
    return keys[:length] if len(keys) > length else None


def _common(one: list[_Keys], other: list[_Keys]) -> list[_Keys]:
    """What both have; empty for nothing."""
    both = [first & second for first, second in zip(one, other, strict=True)]
    return both if all(both) else []


def _without(one: list[_Keys], other: list[_Keys]) -> list[list[_Keys]]:
    """What is in `one` and not in `other`, in parts that have nothing in common."""
    if not _common(one, other):
        return [one]
    parts = []
    for place, (first, second) in enumerate(zip(one, other, strict=True)):
        if first - second:
            same = [one[before] & other[before] for before in range(place)]
            parts.append([*same, first - second, *one[place + 1 :]])
    return parts


def _keys(element: str) -> _Keys:
    if element == "X":
        return frozenset(_DIGITS)
    if element[0] != "[":
        return frozenset(element)
    inside = element[1:-1]
    spread = _RANGE.sub(lambda found: _DIGITS[int(found[1]) : int(found[2]) + 1], inside)
    return frozenset(spread)


def _element(keys: _Keys) -> str:
    """The shortest way to write a set of keys; more than one are digits."""
    text = "".join(sorted(keys))
    if len(text) == 1:
        return text
    if text == _DIGITS:
        return "X"
    return f"[{text[0]}-{text[-1]}]" if text in _DIGITS else f"[{text}]"


def repeated_dot(pattern: DigitPattern) -> str:
    """As in MGCP (RFC 3435 2.1.5): x any digit, "." none or more of the one before, T waits."""
    elements = [element.replace("X", "x") for element in pattern.elements]
    if pattern.open_ended:
        return f"{''.join(elements)}{elements[-1]}.T"
    return "".join(elements) + ("T" if pattern.waits else "")


def mgcp(patterns: Iterable[DigitPattern]) -> str:
    """Alternatives in the notation of `repeated_dot`: 1xx|112T|00xx.T."""
    return "|".join(repeated_dot(pattern) for pattern in patterns)


def mgcp_map(patterns: Iterable[str]) -> str:
    """The patterns' map in the notation of `mgcp`."""
    return mgcp(digit_map(patterns))


def repeated_plus(pattern: DigitPattern, plus: str = "\\+") -> str:
    """x any digit, "+" one or more of the one before, `plus` a plus sign.

    What has to wait is written as if it went on: these makes send what ends at once, and what goes on by
    time-out. The server refuses the numbers this lets through beside.
    """
    elements = [element.replace("+", plus).replace("X", "x") for element in pattern.elements]
    return "".join(elements) + ("+" if pattern.open_ended or pattern.waits else "")


def grandstream_map(patterns: Iterable[str]) -> str:
    """{ 1xx | 00x+ }, in the notation of `repeated_plus`."""
    return f"{{ {' | '.join(repeated_plus(pattern) for pattern in digit_map(patterns))} }}"


def regular_expression(pattern: DigitPattern) -> str:
    """One pattern as a regular expression, without anchors."""
    elements = [
        "[0-9]" if element == "X" else element if element[0] == "[" else re.escape(element)
        for element in pattern.elements
    ]
    return f"{''.join(elements)}{'+' if pattern.open_ended else ''}"

"""Handsets that are dialled at, key by key: when each make's digit map sends, and what it lets through.

Written from the makes' descriptions of their maps, and for the worst case where those are silent: what
matches an alternative that ends is sent at once, whatever other alternatives there are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

_WORDS = {"x": "[0-9]", "*": r"\*", "#": "#", "+": r"\+"}


@dataclass(frozen=True)
class Alternative:
    """`ends`: sent at the last digit; otherwise by time-out or key."""

    expression: re.Pattern[str]
    ends: bool


Map = tuple[Alternative, ...]


def sent_early(digit_map: Map, dialled: str) -> str | None:
    """What is sent before the whole of `dialled` was keyed; None: nothing."""
    starts = (dialled[:length] for length in range(1, len(dialled)))
    return next((start for start in starts if is_sent_at_once(digit_map, start)), None)


def is_sent_at_once(digit_map: Map, dialled: str) -> bool:
    """Whether the last digit sends it."""
    return any(one.ends and one.expression.fullmatch(dialled) for one in digit_map)


def is_let_through(digit_map: Map, dialled: str) -> bool:
    """Whether it is sent at all, at once or later."""
    return any(one.expression.fullmatch(dialled) for one in digit_map)


def _compiled(parts: Iterable[str], ends: bool) -> Alternative:
    return Alternative(re.compile("".join(parts)), ends)


def _words(text: str) -> list[str]:
    """Sets stay, x and marks become expressions."""
    found = re.findall(r"\[[0-9-]+\]|.", text)
    return [word if word[0] == "[" else _WORDS.get(word, word) for word in found]


def mgcp(text: str) -> Map:
    """RFC 3435 2.1.5: the first full match is sent; T waits; a dot is any number of the one before."""
    found = []
    for alternative in text.split("|"):
        timed = alternative.endswith("T")
        words: list[str] = []
        for word in _words(alternative.removesuffix("T")):
            if word == ".":
                words[-1] += "*"
            else:
                words.append(word)
        found.append(_compiled(words, not timed))
    return tuple(found)


def sipura(text: str) -> Map:
    """S0 sends at once; what is complete and could go on waits for the short timer."""
    assert text.startswith("(") and text.endswith(")")
    found = []
    for alternative in text[1:-1].split("|"):
        ends = alternative.endswith("S0")
        words: list[str] = []
        for word in _words(alternative.removesuffix("S0")):
            if word == ".":
                words[-1] += "*"
            else:
                words.append(word)
        found.append(_compiled(words, ends))
    return tuple(found)


def _plus(alternative: str) -> Alternative:
    """A plus is one or more of the one before, with a backslash one to dial."""
    repeated = False
    words: list[str] = []
    for word in re.findall(r"\\\+|\[[0-9-]+\]|.", alternative):
        if word == "+":
            words[-1] += "+"
            repeated = True
        else:
            words.append(r"\+" if word == r"\+" else word if word[0] == "[" else _WORDS.get(word, word))
    return _compiled(words, not repeated)


def braces(text: str) -> Map:
    """Grandstream, Htek."""
    assert text.startswith("{ ") and text.endswith(" }")
    return tuple(_plus(alternative) for alternative in text[2:-2].split(" | "))


def mitel(text: str) -> Map:
    """The last two take anything that is ended with a key."""
    *told, numbers, codes = text.split("|")
    assert (numbers, codes) == ("x+#", "xx+*")
    return tuple(_plus(alternative) for alternative in told)


def snom(text: str) -> Map:
    """|expression|address|flags: d dials at once."""
    rules = re.findall(r"\|\^\((.*?)\)\$\|sip:\\1@\\d\|(d?)(?: |$)", text)
    assert " ".join(rf"|^({one})$|sip:\1@\d|{flags}" for one, flags in rules) == text
    return tuple(_compiled([expression], flags == "d") for expression, flags in rules)


NOTATIONS: dict[str, Callable[[str], Map]] = {
    "yealink": mgcp,
    "poly": mgcp,
    "panasonic": mgcp,
    "cisco": sipura,
    "grandstream": braces,
    "htek": braces,
    "mitel": mitel,
    "snom": snom,
}
"""By vendor."""
PLUS_CANNOT_BE_DIALLED = frozenset({"mitel"})

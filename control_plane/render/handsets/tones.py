"""Call progress tones by country (ITU-T E.180 supplement 2): what is played, not how a make writes it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tone:
    """Frequencies in Hz, and (on, off) pairs in milliseconds; no pairs: without a break."""

    hz: tuple[int, ...]
    cadence_ms: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Tones:
    """One country's."""

    dial: Tone
    ringback: Tone
    busy: Tone
    congestion: Tone


_EUROPEAN = Tones(
    Tone((425,)),
    Tone((425,), ((1000, 4000),)),
    Tone((425,), ((480, 480),)),
    Tone((425,), ((240, 240),)),
)
_AMERICAN = Tones(
    Tone((350, 440)),
    Tone((440, 480), ((2000, 4000),)),
    Tone((480, 620), ((500, 500),)),
    Tone((480, 620), ((250, 250),)),
)
_COUNTRIES = {
    "AU": Tones(
        Tone((413, 438)),
        Tone((413, 438), ((400, 200), (400, 2000))),
        Tone((425,), ((375, 375),)),
        Tone((425,), ((375, 375),)),
    ),
    "CA": _AMERICAN,
    "DE": _EUROPEAN,
    "ES": Tones(
        Tone((425,)),
        Tone((425,), ((1500, 3000),)),
        Tone((425,), ((200, 200),)),
        Tone((425,), ((200, 200), (200, 200), (200, 600))),
    ),
    "FR": Tones(
        Tone((440,)),
        Tone((440,), ((1500, 3500),)),
        Tone((440,), ((500, 500),)),
        Tone((440,), ((250, 250),)),
    ),
    "GB": Tones(
        Tone((350, 440)),
        Tone((400, 450), ((400, 200), (400, 2000))),
        Tone((400,), ((375, 375),)),
        Tone((400,), ((400, 350), (225, 525))),
    ),
    "IT": Tones(
        Tone((425,), ((200, 200), (600, 1000))),
        Tone((425,), ((1000, 4000),)),
        Tone((425,), ((500, 500),)),
        Tone((425,), ((200, 200),)),
    ),
    "SG": Tones(
        Tone((425,)),
        Tone((425,), ((400, 200), (400, 2000))),
        Tone((425,), ((750, 750),)),
        Tone((425,), ((250, 250),)),
    ),
    "US": _AMERICAN,
}


def tones_of(country: str) -> Tones:
    """The tones of an ISO 3166 country; 425 Hz, as in most of the world, for one that is not listed."""
    return _COUNTRIES.get(country, _EUROPEAN)


def f1f2(tone: Tone, *, level_db: int | None = None, unit_ms: int = 1) -> str:
    """As Grandstream and Htek write it: f1=400@-13,f2=450@-13,c=400/200-400/2000; - 0/0 is without a break.

    `unit_ms`: what one count of the cadence is worth; `level_db`: None leaves levels out.
    """
    level = "" if level_db is None else f"@{level_db}"
    frequencies = ",".join(f"f{number}={hz}{level}" for number, hz in enumerate(tone.hz, 1))
    pairs = tone.cadence_ms or ((0, 0),)
    return f"{frequencies},c={'-'.join(f'{on // unit_ms}/{off // unit_ms}' for on, off in pairs)};"

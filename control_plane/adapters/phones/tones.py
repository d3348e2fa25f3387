"""Is this tone in that audio? Pure arithmetic, and reading the end of a WAV file that is still growing."""

from __future__ import annotations

import array
import math
import sys
from collections.abc import Sequence
from pathlib import Path

WAV_HEADER_BYTES = 44
"""RIFF + fmt + data headers as pjmedia writes them (`sizeof(pjmedia_wave_hdr)`)."""

SAMPLE_RATE = 8000
"""Hz; the conference bridge of a phone runs at the rate of G.711."""

HEARD_SHARE = 0.8
"""A tone that holds this share of the energy is heard; G.711 leaves a pure tone above 0.99."""

AUDIBLE_RMS = 50.0
"""Of 32767 (-56 dBFS): below it there is only quantisation noise."""


def tone_share(samples: Sequence[int], rate: int, hz: float) -> float:
    """Share of the energy of `samples` that lies at `hz`, from 0.0 to 1.0 (Goertzel); silence has 0.0.

    Frequencies nearer than about 1/duration cannot be told apart: 0.3 s separates 3 to 4 Hz.
    Raises:
        ValueError: `hz` is not between 0 and half of `rate`.
    """
    if not 0 < hz < rate / 2:
        raise ValueError(f"hz: {hz:g} is not between 0 and half the sample rate {rate}.")
    energy = math.fsum(float(s) * s for s in samples)
    if energy == 0:
        return 0.0
    coefficient = 2 * math.cos(2 * math.pi * hz / rate)
    before, last = 0.0, 0.0
    for sample in samples:
        before, last = last, sample + coefficient * last - before
    power = last * last + before * before - coefficient * last * before
    # A full-scale sine of n samples has energy n/2 and Goertzel power (n/2)^2.
    return min(1.0, 2 * power / (len(samples) * energy))


def rms(samples: Sequence[int]) -> float:
    """Root mean square of the samples; 0.0 of none."""
    return math.sqrt(math.fsum(float(s) * s for s in samples) / len(samples)) if samples else 0.0


def is_heard(samples: Sequence[int], rate: int, hz: float) -> bool:
    """True when the tone is what a listener hears: loud enough, and nearly all there is."""
    return rms(samples) >= AUDIBLE_RMS and tone_share(samples, rate, hz) >= HEARD_SHARE


def wav_tail(path: Path, seconds: float, rate: int = SAMPLE_RATE) -> tuple[int, ...]:
    """The last `seconds` of a mono 16-bit WAV file; () when there is not yet that much.

    The file may still be written: its header, whose length is then 0, is skipped and not believed.
    """
    wanted = 2 * int(seconds * rate)
    try:
        with path.open("rb") as wav:
            size = wav.seek(0, 2) - WAV_HEADER_BYTES
            if size < wanted:
                return ()
            wav.seek(WAV_HEADER_BYTES + (size - size % 2) - wanted)
            samples = array.array("h", wav.read(wanted))
    except FileNotFoundError:
        return ()
    if sys.byteorder == "big":
        samples.byteswap()
    return tuple(samples)

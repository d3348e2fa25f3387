"""A call that is up, with a tone each way, so that it can be told whether both ends hear each other."""

from __future__ import annotations

import array
import wave
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from control_plane.adapters.phones import PhoneCall
from control_plane.adapters.phones.tones import SAMPLE_RATE, is_heard

CALLER_HZ, CALLEE_HZ = 440, 880
HEARD_S = 10.0
WINDOW_S = 0.05
GAP_S = 0.2


def _gaps(path: Path, hz: float) -> Iterator[float]:
    """Where, in seconds, a recording is without the tone for GAP_S or longer."""
    size, silent, begun = int(WINDOW_S * SAMPLE_RATE), 0, False
    with wave.open(str(path)) as recording:
        for index in range(recording.getnframes() // size):
            heard = is_heard(array.array("h", recording.readframes(size)), SAMPLE_RATE, hz)
            begun = begun or heard
            silent = silent + 1 if begun and not heard else 0
            if silent * WINDOW_S >= GAP_S:
                yield (index + 1) * WINDOW_S - GAP_S
    if not begun:
        yield 0.0


@dataclass(frozen=True)
class Talk:
    """Both ends of a call that is up."""

    caller: PhoneCall
    callee: PhoneCall
    told: Callable[[], Mapping[str, str]]
    """Waits for what Asterisk tells of the call once it is over."""

    def is_heard(self) -> bool:
        """Whether each end hears the tone of the other now."""
        return self.caller.hears(CALLEE_HZ, HEARD_S) and self.callee.hears(CALLER_HZ, HEARD_S)

    @contextmanager
    def recorded(self, folder: Path) -> Iterator[Callable[[], list[str]]]:
        """Record both ends; afterwards the function tells each silence: GAP_S without the other's tone.

        A shorter one may be a packet that came late on a machine with much to do. A recording begins with
        silence, which does not count.
        """
        ends = (
            (self.caller, CALLEE_HZ, folder / "caller.wav"),
            (self.callee, CALLER_HZ, folder / "callee.wav"),
        )
        for call, _, path in ends:
            call.record(path)
        yield lambda: [f"{path.stem} at {at:.2f} s" for _, hz, path in ends for at in _gaps(path, hz)]
        for call, _, path in ends:
            call.stop_recording(path)

    def hangup(self) -> None:
        self.caller.hangup()
        self.callee.wait_ended()
        self.told()

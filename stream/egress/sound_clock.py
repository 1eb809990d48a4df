"""When live sound is to be heard, on the clock of the pictures that it came with.

Both come with clocks of their own, and nothing that is known here tells one from the other: what
arrives together belongs together, as for those who watch by WebRTC. The network brings some of it
late and nothing early, so clocks are compared by the median of what came last.
"""

from collections import deque
from dataclasses import dataclass, field
from statistics import median

from stream.egress.encoder import RATE
from stream.egress.webrtc import SOUND_LAG

COMPARED = 48
"""Pictures, or frames of sound, whose arrival counts: one to two seconds of them."""

JUMP = 0.040
"""Seconds between sound and picture that are put right at once: less is seen by nobody."""

FOLLOW = 0.002
"""How far each frame of sound moves towards the pictures: crystals drift by less."""


@dataclass(slots=True)
class _Lateness:
    """How much later than by its own clock something arrives, in seconds."""

    _last: deque[float] = field(default_factory=lambda: deque(maxlen=COMPARED))

    def add(self, time: float, arrived: float) -> None:
        self._last.append(arrived - time)

    @property
    def seconds(self) -> float | None:
        return median(self._last) if self._last else None


@dataclass(slots=True)
class SoundClock:
    """Arrivals are seconds of time.monotonic()."""

    _pictures: _Lateness = field(default_factory=_Lateness)
    _sounds: _Lateness = field(default_factory=_Lateness)
    _shift: float | None = None

    def picture(self, pts: int, arrived: float) -> None:
        """A picture was sent. pts: in units of 1/90000 s."""
        self._pictures.add(pts / RATE, arrived)

    def sound(self, time: float, arrived: float) -> int | None:
        """When a frame of sound begins, in the pictures' units; None before the first picture.

        time: seconds, by the sound's own clock.
        """
        self._sounds.add(time, arrived)
        sounds, pictures = self._sounds.seconds, self._pictures.seconds
        if sounds is None or pictures is None:
            return None
        wanted = sounds - SOUND_LAG - pictures
        if self._shift is None or abs(wanted - self._shift) > JUMP:
            self._shift = wanted
        else:
            self._shift += FOLLOW * (wanted - self._shift)
        return round((time + self._shift) * RATE)

"""When live sound is to be heard, on the clock of the pictures that it came with.

Both come with clocks of their own, and nothing that is known here tells one from the other but when
they came (see Session.hear): what belongs together came together, as for those who watch by WebRTC.
"""

from dataclasses import dataclass, field

from stream.egress.encoder import RATE
from stream.lateness import Lateness, Shift


@dataclass(slots=True)
class SoundClock:
    """Arrivals are seconds of time.monotonic()."""

    _pictures: Lateness = field(default_factory=Lateness)
    _sounds: Lateness = field(default_factory=Lateness)
    _shift: Shift = field(default_factory=Shift)

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
        return round((time + self._shift.towards(sounds - pictures)) * RATE)

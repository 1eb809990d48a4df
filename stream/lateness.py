"""How clocks that are read nowhere but in what arrives stand to ours."""

from collections import deque
from dataclasses import dataclass, field
from statistics import median

COMPARED = 48
"""Pictures, or frames of sound, whose arrival counts: one to two seconds of them."""

JUMP = 0.040
"""Seconds between sound and picture that are put right at once: less is seen by nobody."""

FOLLOW = 0.002
"""How far each frame of sound moves towards the pictures: crystals drift by less."""


@dataclass(slots=True)
class Lateness:
    """How much later than by its own clock something arrives, in seconds.

    The network brings some of it late and nothing early, so it is the median of what came last.
    """

    _last: deque[float] = field(default_factory=lambda: deque(maxlen=COMPARED))

    def add(self, time: float, arrived: float) -> None:
        self._last.append(arrived - time)

    def forget(self) -> None:
        self._last.clear()

    @property
    def seconds(self) -> float | None:
        return median(self._last) if self._last else None


@dataclass(slots=True)
class Shift:
    """By how much sound is moved: as little at a time as nobody hears, or at once by much."""

    _seconds: float | None = None

    def towards(self, wanted: float) -> float:
        """Seconds, for the next frame of sound."""
        if self._seconds is None or abs(wanted - self._seconds) > JUMP:
            self._seconds = wanted
        else:
            self._seconds += FOLLOW * (wanted - self._seconds)
        return self._seconds

"""Whether a single call is to use all threads or one.

Two threads that share one call wait for each other. Where others want the cores too, each wait
lasts until the kernel has let both run, so that all threads are hardly faster than one, and take
turns on every core from whatever else runs: the same masks a second, and pictures that are later.
"""

import statistics
from collections import deque

EXPLORE = 16
"""Of so many calls one is made the other way, to see what it takes now."""

REMEMBERED = 5
"""Calls of each way whose times count: the others of the machine come and go."""

GAIN = 1.15
"""How much faster all threads must be than one to be worth the cores that they take."""


class Width:
    def __init__(self) -> None:
        self._seconds: dict[bool, deque[float]] = {
            wide: deque(maxlen=REMEMBERED) for wide in (True, False)
        }
        self._calls = 0

    @property
    def pays(self) -> bool:
        """By what is known, all threads do."""
        wide, narrow = self._seconds[True], self._seconds[False]
        if not wide or not narrow:
            return True
        return statistics.median(narrow) >= GAIN * statistics.median(wide)

    def next(self) -> bool:
        """Whether the next call that is timed is to use all threads."""
        self._calls += 1
        return self.pays != (self._calls % EXPLORE == 0)

    def took(self, wide: bool, seconds: float) -> None:
        """seconds: how long a call took that all others resemble."""
        self._seconds[wide].append(seconds)

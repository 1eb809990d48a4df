"""Whether the device has time for one more session; arithmetic on measured times, nothing else."""

from collections import deque
from statistics import median

from stream.errors import Busy

REMEMBERED = 15
"""Turns whose median is a stream's service time: one slow turn changes nothing, and a second or
so after an object was added the time is right again."""

RETRY_AFTER = 10
"""Seconds after which a refused client may ask again; sessions last minutes."""


class Admission:
    """Service times of the streams that track something; the others cost nothing.

    min_rate: masks a second that each stream must keep.
    """

    def __init__(self, min_rate: float) -> None:
        self._min_rate = min_rate
        self._times: dict[int, deque[float]] = {}

    def measured(self, stream: int, seconds: float) -> None:
        """The device's time that one turn of the stream took: its share, if it was in a batch."""
        self._times.setdefault(stream, deque(maxlen=REMEMBERED)).append(seconds)

    def forget(self, stream: int) -> None:
        """The stream tracks nothing any more."""
        self._times.pop(stream, None)

    def service_time(self, stream: int) -> float | None:
        return median(times) if (times := self._times.get(stream)) else None

    def check(self) -> None:
        """Raise Busy when one more stream would take the others below the rate.

        All streams have a turn before one has its second, so each one's rate is one over the sum
        of all service times. A new stream is taken to cost the median of the present ones. Where
        none is tracked there is nobody to slow down, and it may come in.
        """
        present = [median(times) for times in self._times.values()]
        if not present:
            return
        total = sum(present) + median(present)
        if total * self._min_rate > 1:
            raise Busy(
                f"the model is busy; sessions with something tracked: {len(present)}. With one "
                f"more each would get {1 / total:.1f} masks a second, and {self._min_rate:g} are "
                "the least",
                retry_after=RETRY_AFTER,
            )

"""One clock for pictures from sources whose own clocks jump, drift and start again."""

from dataclasses import dataclass

TICKS = 90_000
"""A second, in RTP's unit for video."""

JUMP = 1.0
"""Seconds between a source's clock and ours that are a jump; buffering stays below."""

FOLLOW = 0.002
"""How far one picture's arrival moves the source's clock against ours: a camera's crystal is
followed within a minute, the network's jitter is not."""


@dataclass(slots=True)
class StreamClock:
    """Times that never go back, as far apart as the source says.

    jumps: of the source's clock while it was connected.
    """

    jumps: int = 0
    _began: float | None = None
    _offset: float | None = None
    _last: int = -1
    _pts: float | None = None

    def restart(self) -> None:
        """The next picture comes over a new connection, with a clock of its own."""
        self._offset = self._pts = None

    def tick(self, pts: float | None, now: float) -> int:
        """The picture's time in TICKS. pts: the source's, in seconds; None: it has none.

        now: time.monotonic() at its arrival.
        """
        if self._began is None:
            self._began = now
        elapsed = now - self._began
        stands = pts == self._pts  # some cameras' clocks do
        self._pts = pts
        if pts is None or stands:
            self._offset, time = None, elapsed
        elif self._offset is None:
            self._offset, time = elapsed - pts, elapsed
        else:
            error = elapsed - (pts + self._offset)
            if abs(error) > JUMP:
                self.jumps += 1
                self._offset, time = elapsed - pts, elapsed
            else:
                self._offset += FOLLOW * error
                time = pts + self._offset
        self._last = max(self._last + 1, round(time * TICKS))
        return self._last


@dataclass(slots=True)
class Pace:
    """When the pictures of a source that does not pace itself are due. Seconds.

    A source that is late is not hurried afterwards: the clock moves on with it.
    """

    late: float = 0.25
    _offset: float | None = None
    _last: float | None = None

    def wait(self, pts: float, now: float) -> float:
        """How long the picture has still to wait, 0 when it is due."""
        if self._offset is None or self._last is None or abs(pts - self._last) > JUMP * 10:
            self._offset = now - pts
        self._last = pts
        due = pts + self._offset
        if now - due > self.late:
            self._offset = now - pts
        return max(due - now, 0.0)

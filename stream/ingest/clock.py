"""One clock for pictures from sources whose own clocks jump, drift and start again, and when the
sound that comes with them is to be heard."""

from dataclasses import dataclass, field

from stream.lateness import Lateness, Shift

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


APART = 1.0
"""Seconds between the arrivals of sound and pictures of one time: more shows that their times do
not belong to one clock."""

SLACK = 0.010
"""Seconds by which sound may begin before the last one's end, as it is moved to follow the
pictures; what overlaps more was heard already, as at the end of a film that is played again."""


@dataclass(slots=True)
class SoundArrival:
    """When sound arrives that keeps in step with the pictures of its source: see Session.hear.

    Sources send either earlier or later than the other, so their times are believed, not their
    coming; of sources whose times are nonsense it is the other way round.
    """

    _pictures: Lateness = field(default_factory=Lateness)
    _sounds: Lateness = field(default_factory=Lateness)
    _shift: Shift = field(default_factory=Shift)
    _end: float = float("-inf")

    def restart(self) -> None:
        """What comes next comes over a new connection, with a clock of its own."""
        self._pictures.forget()
        self._sounds.forget()

    def picture(self, pts: float | None, now: float) -> None:
        if pts is not None:
            _add(self._pictures, pts, now)

    def sound(self, pts: float, seconds: float, now: float) -> float | None:
        """By time.monotonic(); None: it was heard already.

        pts: the source's time, in seconds. seconds: how long it lasts.
        """
        _add(self._sounds, pts, now)
        sounds, pictures = self._sounds.seconds, self._pictures.seconds
        assert sounds is not None
        is_common = pictures is not None and abs(pictures - sounds) < APART
        wanted = pictures if is_common and pictures is not None else sounds
        arrived = pts + self._shift.towards(wanted)
        if arrived < self._end - SLACK:
            return None
        self._end = arrived + seconds
        return arrived


def _add(lateness: Lateness, pts: float, now: float) -> None:
    known = lateness.seconds
    if known is not None and abs(now - pts - known) > JUMP:
        lateness.forget()
    lateness.add(pts, now)


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

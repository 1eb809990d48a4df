"""When the machine cannot keep up: what is given up first, and when it comes back.

Quality steps down in order: fewer masks, then a cheaper encoder and a lower bitrate, then a smaller
picture, then fewer pictures. It comes back up the same way, more slowly, and waits longer before a
step up that did not hold the last time. Pure: the times are the caller's.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from stream.limits import MASK_LATE, MAX_AGE

PERIOD = 1 / 30
"""Seconds a picture may take when 30 come a second."""

TOO_OLD = 0.100
"""Seconds from a picture's arrival to its leaving the encoder: a third of what is allowed."""

FRESH = 0.060
"""Below this there is room for more."""

TOO_MANY_DROPS = 0.1
"""Share of the pictures that were passed over since the last was still at work."""

DOWN_AFTER, UP_AFTER = 1.0, 3.0
"""Seconds that overload, or room for more, must last; begun anew after each step. From the last
step to the best it takes half a minute."""

SEVERE_STEPS = 2
"""Steps down at once where it is severe, and each second: what is measured then is of the new
quality already. At 2560x1440 with one core of two taken away, one step in 2 s took 14 s, with
pictures up to 645 ms old; one a second 10 s."""

FOLLOW, FADE = 0.1, 0.95
"""How far a quick piece of work moves an expected time, and what each skipped one leaves of it:
with 0.8, two skipped ones were enough to send a picture that was 348 ms old in the end."""

LONGEST_WAIT = 60.0
"""Seconds before a step up that has failed again and again."""


LONGEST_INTERVAL = MASK_LATE / 2
"""Between two pictures for the tracker. The first one's mask comes after a while and is shown until
the second one's comes; were it older than MASK_LATE by then, an effect that hides something would
hide everything for a part of each second, at the very worst time. So it was with 1 s: of a person
at a webcam 44 to 69 % of the pictures were shown, and never for longer than 0.7 s; with 0.7 s and
masks that take 0.4 s, 57 %; with 0.5 s, 95 %."""


@dataclass(frozen=True, slots=True)
class Level:
    """tracker_interval: least seconds between two pictures for the tracker. share: of the bitrate.
    fast: the cheaper preset. scale: of the picture's sides. every: n-th picture is sent."""

    tracker_interval: float = 0.0
    share: float = 1.0
    fast: bool = False
    scale: float = 1.0
    every: int = 1


LADDER: Sequence[Level] = (
    Level(),
    Level(tracker_interval=0.2),
    Level(tracker_interval=LONGEST_INTERVAL),
    Level(tracker_interval=LONGEST_INTERVAL, share=0.7, fast=True),
    Level(tracker_interval=LONGEST_INTERVAL, share=0.5, fast=True),
    Level(tracker_interval=LONGEST_INTERVAL, share=0.5, fast=True, scale=0.75),
    Level(tracker_interval=LONGEST_INTERVAL, share=0.35, fast=True, scale=0.5),
    Level(tracker_interval=LONGEST_INTERVAL, share=0.35, fast=True, scale=0.5, every=2),
    Level(tracker_interval=LONGEST_INTERVAL, share=0.25, fast=True, scale=0.5, every=3),
)


@dataclass(slots=True)
class Load:
    """Since the last look. age: seconds, the 90th percentile of how old a picture was when it had
    been encoded. encode: seconds, of one picture. arrived, dropped: pictures; those that were left
    out on purpose do not count as dropped."""

    age: float
    encode: float
    arrived: int
    dropped: int

    @property
    def is_too_much(self) -> bool:
        drops = self.dropped > max(TOO_MANY_DROPS * self.arrived, 1)
        return self.age > TOO_OLD or self.encode > PERIOD or drops

    @property
    def is_severe(self) -> bool:
        return self.age > 1.5 * TOO_OLD or self.dropped > self.arrived / 3 > 1

    @property
    def leaves_room(self) -> bool:
        return self.age < FRESH and self.encode < PERIOD / 2 and self.dropped <= 1


@dataclass(slots=True)
class Overload:
    """`look` about once a second or more often; `level` is what to do. now: seconds, of a clock
    that only goes forward."""

    position: int = 0
    _since: float | None = None
    """Since when the load has been too much (position may fall) or has left room."""
    _was_too_much: bool = False
    _waits: dict[int, float] = field(default_factory=dict)
    """Seconds before a step up to a position that did not hold before."""
    _went_up: float | None = None

    @property
    def level(self) -> Level:
        return LADDER[self.position]

    def look(self, load: Load, now: float) -> Level:
        is_too_much = load.is_too_much
        if not is_too_much and not load.leaves_room:
            self._since = None
        elif self._since is None or is_too_much != self._was_too_much:
            self._since, self._was_too_much = now, is_too_much
        elif is_too_much and now - self._since >= DOWN_AFTER:
            self._step_down(now, SEVERE_STEPS if load.is_severe else 1)
            if load.is_severe:
                self._since = now
        elif not is_too_much and now - self._since >= self._wait(self.position - 1):
            self._step_up(now)
        return self.level

    def _wait(self, position: int) -> float:
        return self._waits.get(position, UP_AFTER)

    def _step_down(self, now: float, steps: int) -> None:
        self._since = None
        wait = self._wait(self.position)
        if self._went_up is not None and now - self._went_up < 2 * wait:
            self._waits[self.position] = min(wait * 2, LONGEST_WAIT)
        self._went_up = None
        self.position = min(self.position + steps, len(LADDER) - 1)

    def _step_up(self, now: float) -> None:
        self._since = now
        if self._went_up is not None:  # the last step up has held
            self._waits[self.position] = max(self._wait(self.position) / 2, UP_AFTER)
        if self.position > 0:
            self.position -= 1
            self._went_up = now


@dataclass(slots=True)
class Ages:
    """How old pictures were when they left, since the last `take`."""

    _ages: list[float] = field(default_factory=list)

    def add(self, age: float) -> None:
        if len(self._ages) < 1000:
            self._ages.append(age)

    def take(self) -> float:
        """The 90th percentile, 0 without any; begins afresh."""
        ages, self._ages = sorted(self._ages), []
        return ages[int(0.9 * (len(ages) - 1))] if ages else 0.0


@dataclass(slots=True)
class Expected:
    """How long the next piece of some work will take, in seconds, by those before: a machine that
    has just become slow is believed at once, one that has become faster after a while.

    What takes longer than MAX_AGE counts as that: it is too long in any case."""

    seconds: float = 0.0

    def took(self, seconds: float) -> None:
        seconds = min(seconds, MAX_AGE)
        self.seconds = max(seconds, self.seconds + FOLLOW * (seconds - self.seconds))

    def skipped(self) -> None:
        """It was not done, for it would take too long: what nothing confirms is believed less, so
        that it is tried again."""
        self.seconds *= FADE

"""One bitrate for all viewers of a stream.

Every receiver tells what its network carries (REMB). The stream follows the lowest of these, so
that nobody loses anything, as long as that one is within reach of the best: a viewer who gets less
than a quarter of what the best one could get, or less than FLOOR, loses pictures instead of making
everybody's ugly. All bitrates are bits per second.
"""

from collections.abc import Iterable

START = 2_500_000
"""Until a receiver has told: enough for 720p from the first picture on."""

FLOOR = 300_000
"""Below this, 640x480 is not worth looking at."""

RAMP = 5.0
"""Seconds in which a receiver's estimate only says how far it has got: it begins low and rises with
what comes, whatever its network carries."""

REACH = 4

HEADROOM = 0.9
"""Share of the estimate for the picture; the rest is for headers, retransmissions and sound."""


def shared(estimates: Iterable[int], cap: int) -> int:
    """What to encode at. estimates: of all viewers, in any order."""
    known = list(estimates)
    if not known:
        return min(START, cap)
    within = [estimate for estimate in known if estimate >= max(FLOOR, max(known) / REACH)]
    return int(min(max(min(within, default=FLOOR) * HEADROOM, FLOOR), cap))


def held_back(guesses: Iterable[int], known: Iterable[int]) -> list[int]:
    """Estimates that are guessed, made no higher than the best that is known, so that they slow the
    stream down but make nobody count as too slow for it."""
    best = max(known, default=None)
    return [guess if best is None else min(guess, best) for guess in guesses]


LOSS_HIGH, LOSS_LOW, RISE = 0.10, 0.02, 1.05


def after_loss(estimate: int, lost: float, cap: int) -> int:
    """The next estimate for a receiver that tells no bitrate, by what it lost since the last, 0 to
    1 (draft-ietf-rmcat-gcc-02 section 6). cap: what the stream can be encoded at."""
    if lost > LOSS_HIGH:
        return max(int(estimate * (1 - lost / 2)), 1)
    if lost < LOSS_LOW:
        return min(int(estimate * RISE), int(cap / HEADROOM) + 1)
    return estimate


class Budget:
    """What a viewer who is too slow for the stream may get: a bucket of bits that fills at its
    bitrate. Times in seconds, of any clock that only goes forward."""

    def __init__(self) -> None:
        self._bits = 0.0
        self._filled: float | None = None

    def fill(self, bitrate: int, now: float) -> float:
        """The bits there are now; never more than a second's worth."""
        if self._filled is None:
            self._bits = bitrate / 2
        else:
            self._bits = min(self._bits + bitrate * (now - self._filled), bitrate)
        self._filled = now
        return self._bits

    def spend(self, size: int) -> None:
        """size: bytes. The account may be overdrawn once, then it must fill up first."""
        self._bits -= size * 8

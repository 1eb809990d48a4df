"""Sound put on the pictures' clock, whatever the network does."""

import random
from itertools import pairwise

import pytest

from stream.egress.encoder import RATE
from stream.egress.sound_clock import SoundClock
from stream.lateness import JUMP

PICTURES, SOUNDS = 1000.0, -7.0
"""Where the two clocks stand when ours is at 0."""


def run(
    clock: SoundClock, begin: float, seconds: float, jitter: float = 0.0, late: float = 0.0
) -> list[float]:
    """Both arrive for so long, late by up to `jitter`; returns by how many seconds each frame of
    sound is off. late: by which all sound comes later."""
    draw = random.Random(0)
    arrivals = [(begin + n / 30, True) for n in range(round(seconds * 30))]
    arrivals += [(begin + n / 50, False) for n in range(round(seconds * 50))]
    wrong = []
    for at, is_picture in sorted(arrivals):
        arrived = at + jitter * draw.random()
        if is_picture:
            clock.picture(round((at + PICTURES) * RATE), arrived)
            continue
        pts = clock.sound(at + SOUNDS, arrived + late)
        if pts is not None:
            wrong.append(pts / RATE - PICTURES - at)
    return wrong


def test_there_is_no_time_before_the_first_picture() -> None:
    clock = SoundClock()
    assert clock.sound(5.0, 0.1) is None
    clock.picture(90_000, 0.2)
    assert clock.sound(5.1, 0.2) == pytest.approx(90_000, abs=1)


def test_what_arrives_together_belongs_together() -> None:
    assert run(SoundClock(), 0.0, 3.0) == pytest.approx([0.0] * 149, abs=1e-4)


def test_jitter_moves_nothing() -> None:
    wrong = run(SoundClock(), 0.0, 20.0, jitter=0.060)
    assert max(map(abs, wrong[50:])) < JUMP
    steps = [after - before for before, after in pairwise(wrong[50:])]
    assert max(map(abs, steps)) < 0.001, "nobody hears it"


def test_a_first_picture_that_was_late_is_forgotten() -> None:
    clock = SoundClock()
    clock.picture(round((PICTURES - 0.5) * RATE), 0.0)
    wrong = run(clock, 0.0, 3.0)
    assert wrong[0] == pytest.approx(-0.5, abs=0.3)
    assert wrong[-1] == pytest.approx(0.0, abs=0.001)


def test_a_burst_after_a_stall_keeps_its_own_times() -> None:
    clock = SoundClock()
    run(clock, 0.0, 3.0)
    for index in range(15):  # 0.3 s of sound at once
        pts = clock.sound(3.0 + index / 50 + SOUNDS, 3.3)
        assert pts == pytest.approx((3.0 + index / 50 + PICTURES) * RATE, abs=10)


def test_a_source_that_falls_behind_is_followed() -> None:
    clock = SoundClock()
    run(clock, 0.0, 3.0)
    wrong = run(clock, 3.0, 5.0, late=0.2)
    assert wrong[-1] == pytest.approx(0.2, abs=0.001)

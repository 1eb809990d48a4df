"""Quality goes down in order, comes back slowly, and does not swing."""

from itertools import pairwise

import pytest

from stream.compose.privacy import Evidence, Extent
from stream.overload import (
    DOWN_AFTER,
    LADDER,
    LONGEST_WAIT,
    PERIOD,
    TOO_OLD,
    UP_AFTER,
    Ages,
    Expected,
    Load,
    Overload,
)

CALM = Load(age=0.02, encode=0.005, arrived=30, dropped=0)
BUSY = Load(age=TOO_OLD * 1.2, encode=0.02, arrived=30, dropped=0)
BETWEEN = Load(age=0.08, encode=0.02, arrived=30, dropped=2)


def feed(overload: Overload, load: Load, begin: float, seconds: float) -> list[int]:
    """A look every half second; the positions."""
    positions = []
    for at in range(int(seconds * 2)):
        overload.look(load, begin + at / 2)
        positions.append(overload.position)
    return positions


def test_the_ladder_gives_up_one_thing_after_another() -> None:
    for before, after in pairwise(LADDER):
        assert after.tracker_interval >= before.tracker_interval
        assert after.share <= before.share
        assert after.fast >= before.fast
        assert after.scale <= before.scale
        assert after.every >= before.every
    full = LADDER[0]
    starts = [
        next(at for at, level in enumerate(LADDER) if getattr(level, name) != getattr(full, name))
        for name in ("tracker_interval", "share", "scale", "every")
    ]
    assert starts == sorted(set(starts))
    assert all(level.fast == (level.share < 1) for level in LADDER)


def test_masks_of_every_step_are_young_enough_to_be_believed() -> None:
    takes = 0.4  # of a tracker that is held up, as on a machine that is overloaded
    for level in LADDER:
        oldest = level.tracker_interval + takes
        assert Evidence({1: Extent(0.2, at_border=False)}, 0, oldest, reaches=True).is_usable


def test_a_severe_overload_steps_down_four_times_as_fast() -> None:
    slow, fast = Overload(), Overload()
    severe = Load(age=TOO_OLD * 1.6, encode=0.02, arrived=30, dropped=0)
    for second in range(4):
        slow.look(BUSY, second)
        fast.look(severe, second)
    assert (slow.position, fast.position) == (2, 6)
    dropping = Overload()
    for second in range(4):
        dropping.look(Load(age=0.02, encode=0.02, arrived=30, dropped=11), second)
    assert dropping.position == 6
    fast.look(CALM, 4)
    fast.look(severe, 5)
    assert fast.position == 6, "one bad look after a good one changes nothing"
    for second in range(6, 12):
        fast.look(severe, second)
    assert fast.position == len(LADDER) - 1


def test_calm_changes_nothing_and_one_bad_look_neither() -> None:
    overload = Overload()
    assert set(feed(overload, CALM, 0, 60)) == {0}
    feed(overload, BUSY, 60, 0.5)
    assert set(feed(overload, CALM, 60.5, 10)) == {0}


def test_each_sign_of_overload_steps_down_to_the_end() -> None:
    for load in (
        BUSY,
        Load(age=0.02, encode=PERIOD * 1.1, arrived=30, dropped=0),
        Load(age=0.02, encode=0.005, arrived=30, dropped=10),
    ):
        overload = Overload()
        positions = feed(overload, load, 0, 3 * DOWN_AFTER * len(LADDER))
        assert positions == sorted(positions)
        assert max(b - a for a, b in pairwise(positions)) == 1
        assert positions[-1] == len(LADDER) - 1


def test_it_comes_back_up_more_slowly() -> None:
    overload = Overload()
    feed(overload, BUSY, 0, 4)
    down = overload.position
    assert down > 0
    assert set(feed(overload, BETWEEN, 4, 60)) == {down}, "neither bad nor good: it stays"
    positions = feed(overload, CALM, 64, UP_AFTER - 1)
    assert set(positions) == {down}
    positions = feed(overload, CALM, 68, UP_AFTER * (down + 2))
    assert positions[-1] == 0


def test_from_the_last_step_to_the_best_it_takes_half_a_minute() -> None:
    overload = Overload(position=len(LADDER) - 1)
    assert feed(overload, CALM, 0, 30)[-1] == 0
    assert feed(Overload(position=len(LADDER) - 1), CALM, 0, 20)[-1] > 0


def test_a_step_that_did_not_hold_does_not_slow_down_the_others() -> None:
    overload, now = Overload(position=6), 0.0
    while overload._wait(5) < LONGEST_WAIT:  # a load that lets it come up to the sixth step only
        overload.look(BUSY if overload.position < 6 else CALM, now)
        now += 1
    began = now
    while overload.position > 0:
        overload.look(CALM, now)
        now += 1
    assert now - began < LONGEST_WAIT + 6 * (UP_AFTER + 1)


def test_a_step_up_that_does_not_hold_is_tried_less_and_less_often() -> None:
    overload = Overload()
    changes: list[float] = []
    before = 0
    for at in range(1200):  # a machine that carries level 1, and no more
        now = at / 2
        overload.look(BUSY if overload.position < 1 else CALM, now)
        if overload.position < before:
            changes.append(now)
        before = overload.position
    waits = [b - a for a, b in pairwise(changes)]
    assert waits == sorted(waits)
    assert waits[-1] >= LONGEST_WAIT
    assert waits[0] < 3 * UP_AFTER


def test_ages_are_summed_up_and_bounded() -> None:
    ages = Ages()
    assert ages.take() == 0.0
    for at in range(5000):
        ages.add(at / 1000)
    assert 0.85 < ages.take() < 0.95
    assert ages.take() == 0.0


def test_a_slow_machine_is_believed_at_once_and_a_quick_one_later() -> None:
    expected = Expected()
    expected.took(0.1)
    assert expected.seconds == 0.1
    expected.took(0.02)
    assert 0.08 < expected.seconds < 0.1
    for _ in range(60):
        expected.took(0.02)
    assert expected.seconds == pytest.approx(0.02, abs=0.001)
    expected.took(5.0)
    skips = 0
    while expected.seconds > 0.1:
        expected.skipped()
        skips += 1
    assert skips < 30, "after a second it is tried again"

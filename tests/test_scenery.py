"""What a camera that stands still knows of its background, and what that does to masks."""

import numpy as np
import pytest

from stream.compose.scenery import LEAST, MOST, SUREST, TRUSTED, Scenery

ROWS, COLUMNS = 90, 160
"""Of the grid, and of masks: none is resized. A cell of the scenery is 2 x 2 of it."""

WALL = np.kron(np.random.default_rng(5).integers(40, 200, (9, 16)), np.ones((10, 10)))
SKIN, SHIRT = 230, 20
HOME = slice(30, 70), slice(40, 80)


def planes(luma, u=128):
    return (
        luma.astype(np.uint8),
        np.full_like(luma, u, np.uint8),
        np.full_like(luma, 128, np.uint8),
    )


def room():
    return WALL.copy()


def with_object(where=HOME, code=SKIN, behind=WALL):
    picture = behind.copy()
    picture[where] = code
    return picture


def mask(*areas, inside=5.0):
    logits = np.full((ROWS, COLUMNS), -10, np.float32)
    for area in areas:
        logits[area] = inside
    return logits


class Show:
    """Pictures one after the other, with masks of their own unless told otherwise."""

    def __init__(self):
        self.scenery = Scenery()
        self.index = -1

    def see(self, luma, u=128):
        self.index += 1
        self.scenery.see(planes(luma, u), self.index)

    def tell(self, luma, logits, u=128):
        self.see(luma, u)
        self.scenery.learn(logits[None], self.index)

    def corrected(self, logits, index=None, moved=None, flow=None, **kind):
        index = self.index if index is None else index
        moved = logits if moved is None else moved
        flow = np.zeros((ROWS, COLUMNS, 2), np.float32) if flow is None else flow
        return self.scenery.corrected(moved, logits, flow, index, **kind)


@pytest.fixture
def show():
    """The object was at home, and has been seen beside it, so what is behind is known."""
    made = Show()
    beside = slice(30, 70), slice(100, 140)
    for area in (HOME, beside, HOME, beside, HOME) * 3:
        made.tell(with_object(area), mask(area))
    return made


HAND = slice(40, 60), slice(80, 90)
"""Beside the object at home."""


def test_a_wall_that_a_mask_takes_in_is_taken_out(show):
    wrong = mask(HOME, HAND, inside=2.5)
    show.see(with_object())
    result = show.corrected(wrong)
    assert (result[42:58, 84:88] < 0).all()
    assert (result[32:68, 42:78] > 0).all(), "the object stays"


def test_a_part_of_the_object_that_a_mask_leaves_out_is_put_in(show):
    logits = mask(HOME)
    logits[HAND] = -2.5
    picture = with_object()
    picture[HAND] = SKIN
    show.see(picture)
    assert (show.corrected(logits)[42:58, 82:88] > 0).all()


def test_something_else_beside_the_object_stays_hidden(show):
    logits = mask(HOME)
    logits[HAND] = -2.5
    picture = with_object()
    picture[HAND] = SHIRT  # a colour that no object ever had
    show.see(picture)
    assert (show.corrected(logits)[42:58, 82:88] <= 0.5).all()


def test_masks_that_are_sure_are_changed_by_little(show):
    show.see(with_object())
    logits = mask(HOME, HAND, inside=8.0)
    result = show.corrected(logits)
    assert LEAST - 1e-3 <= (result - logits).min() < (result - logits).max() <= MOST + 1e-3
    assert (result[HAND] > 0).all()


def test_what_changed_as_flow_does_not_explain_overrules_a_sure_mask(show):
    """The hand was there when the mask was made, and is gone; flow has not noticed."""
    picture = with_object()
    picture[HAND] = SKIN
    show.see(picture)
    of = show.index
    logits = mask(HOME, HAND, inside=8.0)
    show.see(with_object())
    result = show.corrected(logits, of)
    assert (result[42:58, 84:88] < 0).all()
    assert (result[32:68, 42:78] > 0).all()


def test_what_stands_still_is_not_dragged_along(show):
    """Flow says that all of it has come from far to the right, where no object was."""
    show.see(with_object())
    of = show.index
    show.see(with_object())
    flow = np.zeros((ROWS, COLUMNS, 2), np.float32)
    flow[..., 0] = 60
    moved = mask()
    result = show.corrected(mask(HOME), of, moved, flow)
    assert (result[36:64, 46:74] > 0).all()


@pytest.mark.parametrize("kind", ["grows", "shrinks"])
def test_masks_neither_grow_nor_shrink_where_they_must_not(show, kind):
    logits = mask(HOME, HAND, inside=2.5)
    logits[30:70, 76:80] = -2.5
    show.see(with_object())
    free, bound = show.corrected(logits), show.corrected(logits, **{kind: False})
    of = show.index
    show.see(with_object())
    moved, flow = mask(), np.full((ROWS, COLUMNS, 2), 60, np.float32)
    assert show.corrected(mask(HOME), of, moved, flow, grows=False).max() < 0
    change = bound - logits
    assert (change <= 1e-5).all() if kind == "grows" else (change >= -1e-5).all()
    assert not np.array_equal(free, bound)


def test_a_camera_that_moves_leaves_masks_alone(show):
    show.see(np.roll(with_object(), 37, axis=1))
    logits = mask((HOME[0], slice(77, 117)), HAND, inside=2.5)
    assert np.array_equal(show.corrected(logits), logits)


def test_a_lamp_that_is_turned_on_leaves_masks_alone(show):
    show.see(np.minimum(with_object() * 1.4 + 30, 255))
    logits = mask(HOME, HAND, inside=2.5)
    assert np.array_equal(show.corrected(logits), logits)


def test_the_new_light_is_learned(show):
    def lit(picture):
        return np.minimum(picture * 0.7, 255)

    for _ in range(SUREST + 3):
        show.tell(lit(with_object()), mask(HOME))
    show.see(lit(with_object()))
    wrong = mask(HOME, inside=2.5)
    wrong[40:60, 84:92] = 2.5
    assert (show.corrected(wrong)[44:56, 86:90] < 0).all()


def test_what_somebody_points_at_is_not_taken_for_background_though_it_always_stood_there(show):
    cup = slice(10, 26), slice(110, 130)
    wanted = mask(HOME, cup, inside=2.5)
    show.see(with_object())
    assert (show.corrected(wanted)[12:24, 112:128] < 0).all(), "it is known as background"
    show.scenery.trust()
    for _ in range(TRUSTED):
        show.tell(with_object(), wanted)
    assert (show.corrected(wanted)[12:24, 112:128] > 0).all()


def test_an_object_that_was_missed_for_a_while_is_not_eaten_for_ever(show):
    """It stood still beside a smaller mask, so it was learned."""
    missed = slice(30, 70), slice(60, 80)
    for _ in range(5):
        show.tell(with_object(), mask((HOME[0], slice(40, 60))))
    whole = mask(HOME, inside=2.5)
    for _ in range(8):
        show.tell(with_object(), whole)
    assert (show.corrected(whole)[missed] > 0).all()


def test_nothing_is_learned_while_no_object_is_seen(show):
    for _ in range(SUREST):
        show.tell(with_object(), mask())
    whole = mask(HOME, inside=2.5)
    show.see(with_object())
    assert (show.corrected(whole)[HOME] > 0).all()


def test_another_size_begins_anew(show):
    show.index += 1
    show.scenery.see(planes(room()[:60, :100]), show.index)
    logits = mask(HOME)[:60, :100]
    flow = np.zeros((60, 100, 2), np.float32)
    assert np.array_equal(show.scenery.corrected(logits, logits, flow, show.index), logits)


def test_masks_of_a_picture_that_is_not_remembered_stay(show):
    logits = mask(HOME)
    assert show.corrected(logits, index=10**6) is logits


def test_a_mask_of_a_picture_that_was_dropped_is_set_against_the_background_but_teaches_nothing(
    show,
):
    wrong = mask(HOME, HAND, inside=2.5)
    show.see(with_object())
    dropped = show.index + 1
    show.index += 1
    show.see(with_object())
    for _ in range(SUREST):
        show.scenery.learn(mask(HOME, HAND)[None], dropped)
    assert (show.corrected(wrong, dropped)[42:58, 84:88] < 0).all()


def test_memory_is_bounded(show):
    for _ in range(200):
        show.tell(with_object(), mask(HOME))
    assert len(show.scenery._seen) <= 64

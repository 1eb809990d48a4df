"""Where the tracker looks, and what it finds of something small."""

import cv2
import numpy as np
import pytest
from clips import iou, picture, truth
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.engine import kept_bytes
from stream.frames import Image, Masks
from stream.prompts import MaskPrompt, Point
from stream.track import catalog
from stream.track.networks.base import HIDDEN_LOGIT, Network
from stream.track.tracker import DETAIL, Tracker
from stream.track.window import (
    NARROWEST,
    OUTSIDE_LOGIT,
    PATIENCE,
    WHOLE,
    Box,
    Square,
    around,
    box_of,
    choose,
    resample,
    see,
)

shares = st.floats(0, 1, width=32)
SMALL = Box(0.5, 0.5, 0.05, 0.05)


@given(shares, shares, st.floats(0.01, 0.26), st.floats(0.01, 0.26))
def test_a_new_window_lies_in_the_picture_and_suits_what_it_was_laid_around(
    x: float, y: float, width: float, height: float
) -> None:
    box = Box(x * (1 - width), y * (1 - height), width, height)
    square = around(box)
    assert min(square.x, square.y) >= 0
    assert max(square.x, square.y) + square.side <= 1 + 1e-9
    assert NARROWEST <= square.side < 1
    assert square.fits(box)


def test_what_is_large_is_looked_at_in_the_whole_picture() -> None:
    assert around(Box(0.2, 0.2, 0.5, 0.3)) == WHOLE
    assert WHOLE.fits(Box(0.0, 0.0, 1.0, 1.0))


def test_the_window_stays_until_its_objects_come_near_its_border() -> None:
    window = around(SMALL)
    assert choose(window, [Box(0.53, 0.5, 0.05, 0.05)], 0) == window
    moved = choose(window, [Box(0.61, 0.5, 0.05, 0.05)], 0)
    assert moved.x > window.x
    assert choose(window, [Box(0.4, 0.4, 0.25, 0.2)], 0).side > window.side
    assert choose(window, [SMALL, Box(0.0, 0.0, 0.1, 0.1)], 0) == WHOLE


def test_what_is_hidden_is_waited_for_and_then_looked_for_everywhere() -> None:
    window = around(SMALL)
    assert choose(window, [None], PATIENCE) == window
    assert choose(window, [None], PATIENCE + 1) == WHOLE
    assert choose(WHOLE, [], 0) == WHOLE


def test_a_mask_keeps_its_place_through_a_window() -> None:
    y, x = np.mgrid[0:96, 0:96]
    whole = (20 - np.hypot(x - 40, y - 50)).astype(np.float32)
    square = Square(0.125, 0.25, 0.5)
    inside = resample(whole, WHOLE, square, 96)
    assert np.unravel_index(inside.argmax(), inside.shape) in [
        (52, 56),
        (53, 57),
        (52, 57),
        (53, 56),
    ]
    back = resample(inside, square, WHOLE, 96)
    assert np.array_equal(back[24:72, 12:60] > 0, whole[24:72, 12:60] > 0)
    assert (back[:23] <= OUTSIDE_LOGIT).all()
    assert (back[:, 61:] <= OUTSIDE_LOGIT).all()
    found, true = box_of(inside, square), box_of(whole, WHOLE)
    assert found is not None
    assert true is not None
    assert found.x == pytest.approx(true.x, abs=1 / 96)
    assert found.width == pytest.approx(true.width, abs=2 / 96)


def test_the_masks_of_what_is_hidden_stay_as_low_as_they_are() -> None:
    hidden = np.full((96, 96), HIDDEN_LOGIT, np.float32)
    assert (resample(hidden, Square(0.1, 0.1, 0.3), WHOLE, 192) == HIDDEN_LOGIT).all()
    assert box_of(hidden, WHOLE) is None


def test_a_window_shows_its_part_of_the_picture() -> None:
    ramp = np.zeros((768, 768, 3), np.uint8)
    ramp[..., 0] = np.arange(768)[None] // 4
    seen = see(ramp, Square(0.5, 0.25, 0.25), 384)
    assert seen.shape == (384, 384, 3)
    assert seen[:, 0, 0].mean() == pytest.approx(96, abs=1)
    assert seen[:, -1, 0].mean() == pytest.approx(144, abs=1)


# What follows tracks a dog of 12 % of the picture's side that walks through a blurred room.

SHARE = 0.12
FRAMES = 18


def corner(index: int) -> tuple[int, int]:
    return 60 + 24 * index, 200 + 12 * index


def scene(index: int) -> tuple[Image, np.ndarray]:
    room = cv2.resize(picture("dog", 0).rgb, (DETAIL, DETAIL))
    room = cv2.GaussianBlur(room, (0, 0), 12)[:, ::-1].copy()
    side = round(SHARE * DETAIL)
    dog = cv2.resize(picture("dog", index).rgb, (side, side), interpolation=cv2.INTER_AREA)
    mask = cv2.resize(truth("dog", index).astype(np.uint8), (side, side)) > 0
    x, y = corner(index)
    room[y : y + side, x : x + side][mask] = dog[mask]
    full = np.zeros((DETAIL, DETAIL), bool)
    full[y : y + side, x : x + side] = mask
    return Image(room, DETAIL, DETAIL, index), full


def shrunk(image: Image, size: int) -> Image:
    rgb = cv2.resize(image.rgb, (size, size), interpolation=cv2.INTER_AREA)
    return Image(rgb.astype(np.uint8), image.width, image.height, image.index)


@pytest.fixture(scope="module")
def network() -> Network:
    return catalog.load("nano")


@pytest.fixture
def tracker(network: Network) -> Tracker:
    return Tracker(network, windowed=True)


def middle_of(mask: np.ndarray) -> Point:
    y, x = np.nonzero(mask)
    return Point(1, float(np.median(x)), float(np.median(y)))


def walk(tracker: Tracker, first: int, last: int) -> list[float]:
    found = []
    for index in range(first, last):
        image, mask = scene(index)
        found.append(iou(tracker.step(image).logits[0], mask))
    return found


def test_something_small_is_found_better_in_a_window(network: Network, tracker: Tracker) -> None:
    image, mask = scene(0)
    plain = Tracker(network)
    size = plain.image_size
    plain.step(shrunk(image, size), [MaskPrompt(1, mask)])
    masks = tracker.step(image, [MaskPrompt(1, mask)])
    assert masks.logits.shape == (1, DETAIL // 4, DETAIL // 4)
    whole = []
    for index in range(1, FRAMES):
        image, mask = scene(index)
        whole.append(iou(plain.step(shrunk(image, size)).logits[0], mask))
    windowed = walk(tracker, 1, FRAMES)
    assert np.mean(windowed) > np.mean(whole) + 0.05
    assert min(windowed) > 0.5


def test_a_click_on_something_small_is_looked_at_closely(
    network: Network, tracker: Tracker
) -> None:
    image, mask = scene(0)
    masks = tracker.step(image, [middle_of(mask)])
    plain = Tracker(network)
    coarse = plain.step(shrunk(image, plain.image_size), [middle_of(mask)])
    assert iou(masks.logits[0], mask) > iou(coarse.logits[0], mask)


def test_windows_keep_no_more_as_time_goes_on(tracker: Tracker) -> None:
    image, mask = scene(0)
    tracker.step(image, [MaskPrompt(1, mask)])
    sizes = []
    for index in range(1, 80):
        # To and fro, so that windows are laid again and again.
        image, _ = scene(abs((index + 17) % 34 - 17))
        tracker.step(image)
        sizes.append(kept_bytes(tracker))
    # How many memories there are depends a little on where the last window was laid.
    assert max(sizes[40:]) <= 1.01 * max(sizes[:40])


def test_what_leaves_the_window_is_found_elsewhere_with_a_click(tracker: Tracker) -> None:
    image, mask = scene(0)
    tracker.step(image, [MaskPrompt(1, mask)])
    walk(tracker, 1, 4)
    image, mask = scene(FRAMES - 1)  # a leap across the picture
    tracker.step(image)
    tracker.prompt([middle_of(mask)])
    assert iou(tracker.masks().logits[0], mask) > 0.5
    image, mask = scene(FRAMES - 2)
    assert iou(tracker.step(image).logits[0], mask) > 0.5


def test_a_late_click_and_an_undo_work_across_windows(tracker: Tracker) -> None:
    image, mask = scene(0)
    tracker.step(image, [MaskPrompt(1, mask)])
    walk(tracker, 1, 12)
    before: Masks = tracker.masks()
    tracker.prompt([middle_of(scene(6)[1])], index=6)
    assert iou(tracker.masks().logits[0], scene(11)[1]) > 0.5
    tracker.undo()
    np.testing.assert_array_equal(tracker.masks().logits, before.logits)
    assert min(walk(tracker, 12, FRAMES)) > 0.5


def test_a_restored_tracker_goes_on_in_its_window(network: Network, tracker: Tracker) -> None:
    image, mask = scene(0)
    tracker.step(image, [MaskPrompt(1, mask)])
    walk(tracker, 1, 8)
    twin = Tracker(network, windowed=True)
    twin.restore(tracker.snapshot())
    assert min(walk(twin, 8, FRAMES)) > 0.5


def test_the_official_way_has_no_windows(network: Network) -> None:
    with pytest.raises(ValueError, match="official"):
        Tracker(network, "official", windowed=True)

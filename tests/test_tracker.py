"""The tracker on a real clip, with the embedded model."""

from dataclasses import replace

import numpy as np
import pytest
from clips import SIZE, centre, iou, picture, truth

from benchmarks.engine import kept_bytes
from stream.errors import InputError, LimitError, PromptError, UnknownObject
from stream.frames import Masks
from stream.limits import MAX_OBJECTS, MAX_POINTS, MAX_UNDO
from stream.prompts import Box, MaskPrompt, Point
from stream.track import catalog
from stream.track.networks.base import HIDDEN_LOGIT, Network
from stream.track.tracker import MAX_CONDITIONING, Tracker


@pytest.fixture(scope="module")
def network() -> Network:
    return catalog.load("nano")


@pytest.fixture
def tracker(network: Network) -> Tracker:
    return Tracker(network)


def click(object_id: int = 1, index: int = 0) -> Point:
    return Point(object_id, *centre("dog", index))


def test_a_click_finds_the_dog_and_tracking_keeps_it(tracker: Tracker) -> None:
    masks = tracker.step(picture("dog", 0), [click()])
    assert masks.object_ids == (1,)
    assert masks.logits.shape == (1, SIZE // 4, SIZE // 4)
    assert masks.logits.dtype == np.float32
    assert iou(masks.logits[0], truth("dog", 0)) > 0.6
    for index in range(1, 20):
        masks = tracker.step(picture("dog", index))
        assert masks.index == index
    assert iou(masks.logits[0], truth("dog", 19)) > 0.6
    assert masks.scores[0] > 0


def test_a_box_and_a_mask_find_it_too(tracker: Tracker) -> None:
    mask = truth("dog", 0)
    ys, xs = np.nonzero(mask)
    box = Box(1, float(xs.min()), float(ys.min()), float(xs.max()) + 1, float(ys.max()) + 1)
    masks = tracker.step(picture("dog", 0), [box, MaskPrompt(2, mask)])
    assert iou(masks.logits[0], mask) > 0.6
    assert iou(masks.logits[1], mask) > 0.9


def test_a_picture_without_objects_gives_no_masks(tracker: Tracker) -> None:
    masks = tracker.step(picture("dog", 0))
    assert masks.object_ids == ()
    assert masks.logits.shape == (0, SIZE // 4, SIZE // 4)


def run(tracker: Tracker, first: int, last: int) -> Masks:
    for index in range(first, last):
        masks = tracker.step(picture("dog", index))
    return masks


def test_objects_come_and_go_without_touching_the_others(network: Network) -> None:
    alone, busy = Tracker(network), Tracker(network)
    alone.step(picture("dog", 0), [click()])
    busy.step(picture("dog", 0), [click()])
    run(alone, 1, 3)
    run(busy, 1, 2)
    busy.step(picture("dog", 2), [Point(2, 700, 60)])
    a, b = run(alone, 3, 6), run(busy, 3, 6)
    np.testing.assert_allclose(b.logits[0], a.logits[0], atol=1e-4)
    busy.remove(2)
    assert busy.object_ids == (1,)
    np.testing.assert_allclose(run(busy, 6, 9).logits, run(alone, 6, 9).logits, atol=1e-4)


def test_undo_takes_a_correction_back(network: Network) -> None:
    plain, undone = Tracker(network), Tracker(network)
    for tracker in (plain, undone):
        tracker.step(picture("dog", 0), [click()])
    run(plain, 1, 3)
    run(undone, 1, 3)
    wrong = Point(1, *centre("dog", 2), positive=False)
    before = undone.prompt([]).logits
    assert np.abs(undone.prompt([wrong]).logits - before).max() > 1
    undone.undo()
    np.testing.assert_array_equal(run(undone, 3, 6).logits, run(plain, 3, 6).logits)


def test_undo_takes_a_new_object_back_and_ends_at_nothing(tracker: Tracker) -> None:
    tracker.step(picture("dog", 0), [click()])
    assert tracker.can_undo
    tracker.undo()
    assert tracker.object_ids == ()
    assert not tracker.can_undo
    with pytest.raises(InputError, match="nothing to undo"):
        tracker.undo()


def test_a_removed_object_does_not_come_back_by_undo(tracker: Tracker) -> None:
    tracker.step(picture("dog", 0), [click(1), click(2)])
    tracker.prompt([Point(1, 10, 10, positive=False)])
    tracker.remove(1)
    tracker.undo()
    assert tracker.object_ids == ()
    assert not tracker.can_undo


def test_reset_forgets_everything(tracker: Tracker) -> None:
    tracker.step(picture("dog", 0), [click()])
    tracker.reset()
    assert tracker.object_ids == ()
    assert not tracker.can_undo


def test_an_object_that_leaves_is_hidden_and_found_when_it_returns(tracker: Tracker) -> None:
    tracker.step(picture("dog", 0), [MaskPrompt(1, truth("dog", 0))])
    run(tracker, 1, 6)
    black = np.zeros_like(picture("dog", 0).rgb)
    away = [tracker.step(replace(picture("dog", i), rgb=black)) for i in range(6, 14)]
    back = run(tracker, 14, 18)
    assert all((masks.logits == HIDDEN_LOGIT).all() for masks in away)
    assert all(masks.scores[0] <= 0 for masks in away)
    assert iou(back.logits[0], truth("dog", 17)) > 0.6


def test_nothing_changes_when_one_prompt_of_several_is_bad(tracker: Tracker) -> None:
    tracker.step(picture("dog", 0), [click()])
    for bad, error in [
        (Point(1, 5000, 1), PromptError),
        (Point(9, 5, 5, positive=False), PromptError),
        (MaskPrompt(1, np.zeros((3, 3), bool)), PromptError),
    ]:
        with pytest.raises(error):
            tracker.step(picture("dog", 1), [click(2), bad])
    assert tracker.object_ids == (1,)
    with pytest.raises(UnknownObject, match=r"no object 7; there are \[1\]"):
        tracker.remove(7)


def test_prompts_before_the_first_picture_and_pictures_of_a_wrong_size(tracker: Tracker) -> None:
    with pytest.raises(InputError, match="no picture yet"):
        tracker.prompt([click()])
    image = picture("dog", 0)
    with pytest.raises(InputError, match=rf"wanted \({SIZE}, {SIZE}, 3\)"):
        tracker.step(replace(image, rgb=image.rgb[:100]))


def test_objects_and_points_are_limited(tracker: Tracker) -> None:
    with pytest.raises(LimitError, match="objects"):
        tracker.step(picture("dog", 0), [click(i) for i in range(MAX_OBJECTS + 1)])
    with pytest.raises(LimitError, match="points"):
        tracker.step(picture("dog", 0), [click()] * (MAX_POINTS + 1))
    assert tracker.object_ids == ()


def test_memory_does_not_grow(tracker: Tracker) -> None:
    """Neither with frames nor with corrections."""
    tracker.step(picture("dog", 0), [click(1), click(2)])
    sizes = []
    for index in range(1, 60):
        corrections = [click(1, index % 30)] if index % 2 else []
        tracker.step(replace(picture("dog", index % 30), index=index), corrections)
        sizes.append(kept_bytes(tracker._objects, tracker._undo, tracker._frames))
    assert max(sizes[50:]) <= max(sizes[35:45]) * 1.01
    assert len(tracker._undo) <= MAX_UNDO
    assert len(tracker._objects[1].bank.conditioning) == MAX_CONDITIONING

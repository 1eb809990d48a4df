"""What `live` adds to the official predictor: a person edits a picture that moves on."""

from dataclasses import replace

import numpy as np
import pytest
from clips import centre, iou, picture, truth

from stream.frames import Masks
from stream.limits import KEPT_FRAMES
from stream.prompts import Box, MaskPrompt, Point
from stream.track import catalog
from stream.track.networks.base import Network
from stream.track.networks.sam2 import Sam2Network
from stream.track.tracker import MAX_CONDITIONING, Tracker, step_together
from stream.training.checkpoint import nano_model


@pytest.fixture(scope="module")
def network() -> Network:
    return catalog.load("nano")


def run(tracker: Tracker, first: int, last: int, clip: str = "dog") -> Masks:
    for index in range(first, last):
        masks = tracker.step(picture(clip, index))
    return masks


def started(network: Network, frames: int) -> Tracker:
    tracker = Tracker(network)
    tracker.step(picture("dog", 0), [MaskPrompt(1, truth("dog", 0))])
    run(tracker, 1, frames)
    return tracker


def cover(tracker: Tracker, frames: int) -> list[Masks]:
    """Somebody holds a hand before the camera."""
    image = picture("dog", 0)
    black = replace(image, rgb=np.zeros_like(image.rgb))
    return [tracker.step(replace(black, index=100 + i)) for i in range(frames)]


def test_a_correction_is_remembered_for_good(network: Network) -> None:
    tracker = started(network, 3)
    tracker.prompt([Point(1, *centre("dog", 2))])
    run(tracker, 3, 20)
    assert [memory.index for memory in tracker._objects[1].bank.conditioning] == [0, 2]


def test_corrections_are_bounded_and_the_first_prompt_stays(network: Network) -> None:
    tracker = started(network, 2)
    for index in range(2, 10):
        tracker.step(picture("dog", index), [Point(1, *centre("dog", index))])
    kept = [memory.index for memory in tracker._objects[1].bank.conditioning]
    assert len(kept) == MAX_CONDITIONING
    assert kept == [0, 7, 8, 9]


def test_a_hidden_object_keeps_the_memories_in_which_it_was_seen(network: Network) -> None:
    tracker = started(network, 8)
    before = tracker._objects[1].bank.recall(tracker._objects[1].clock + 1)
    assert all(masks.scores[0] <= 0 for masks in cover(tracker, 20))
    after = tracker._objects[1].bank.recall(tracker._objects[1].clock)
    assert after.spatial_distances == before.spatial_distances
    assert all(a is b for a, b in zip(after.spatial, before.spatial, strict=True))
    assert iou(run(tracker, 8, 11).logits[0], truth("dog", 10)) > 0.6


def test_a_click_on_a_lost_object_brings_it_back_under_its_id(network: Network) -> None:
    tracker = started(network, 4)
    cover(tracker, 3)
    swan = replace(picture("blackswan", 0), index=200)
    masks = tracker.step(swan, [Point(1, *centre("blackswan", 0))])
    assert masks.object_ids == (1,)
    assert masks.scores[0] > 0
    assert iou(masks.logits[0], truth("blackswan", 0)) > 0.5


def test_a_late_click_lands_on_the_picture_that_was_seen(network: Network) -> None:
    """The click is given at frame 6 but was made on frame 2, where the point was on the dog."""
    punctual, late = Tracker(network), Tracker(network)
    for index in range(7):
        prompts = [Point(1, *centre("dog", 2))] if index == 2 else []
        expected = punctual.step(picture("dog", index), prompts)
        late.step(picture("dog", index))
    found = late.prompt([Point(1, *centre("dog", 2))], index=2)
    assert found.index == 6
    np.testing.assert_array_equal(found.logits, expected.logits)
    np.testing.assert_array_equal(run(late, 7, 9).logits, run(punctual, 7, 9).logits)


def test_a_late_correction_is_brought_forward_and_leaves_the_others_alone(
    network: Network,
) -> None:
    punctual, late = started(network, 3), started(network, 3)
    for tracker in (punctual, late):
        tracker.prompt([Box(2, 600, 20, 800, 200)])
    punctual.prompt([Point(1, *centre("dog", 2), positive=False)])
    expected, before = run(punctual, 3, 6), run(late, 3, 6)
    found = late.prompt([Point(1, *centre("dog", 2), positive=False)], index=2)
    np.testing.assert_array_equal(found.logits[0], expected.logits[0])
    np.testing.assert_array_equal(found.logits[1], before.logits[1])
    late.undo()
    np.testing.assert_array_equal(late.masks().logits, before.logits)


def test_a_click_older_than_the_kept_frames_lands_on_the_oldest(network: Network) -> None:
    tracker = Tracker(network)
    run(tracker, 0, KEPT_FRAMES + 4)
    tracker.prompt([Point(1, *centre("dog", 4))], index=0)
    assert tracker._objects[1].clock == KEPT_FRAMES - 1


def test_undo_remove_and_reset_leave_the_others_bit_identical(network: Network) -> None:
    alone, busy = started(network, 2), started(network, 2)
    for index in range(2, 8):
        expected = alone.step(picture("dog", index))
        busy.step(picture("dog", index), [Point(index, 100.0 * index, 60)])
        if index % 2:
            busy.undo()
        else:
            busy.remove(index)
        np.testing.assert_array_equal(busy.masks().logits[0], expected.logits[0])
    busy.reset()
    assert busy.masks().object_ids == ()


def test_sessions_step_together_as_they_would_alone(network: Network) -> None:
    clips = ("dog", "blackswan", "dog")
    together, alone = ([Tracker(network, c) for c in ("live", "live", "official")] for _ in "ab")
    for index in range(6):
        for group in (together, alone):
            if index == 1:
                for tracker, clip in zip(group, clips, strict=True):
                    tracker.prompt([MaskPrompt(1, truth(clip, 0)), Point(2, 50, 50)])
        images = [picture(clip, index) for clip in clips]
        found = step_together(together, images)
        for tracker, image, masks in zip(alone, images, found, strict=True):
            np.testing.assert_array_equal(masks.logits, tracker.step(image).logits)


@pytest.mark.slow
def test_a_batch_equals_one_by_one_under_torch() -> None:
    """What CUDA runs, on the CPU. Rounding feeds back through memories kept in bfloat16, so each
    step starts from the same memories."""
    model = nano_model()
    batched = Tracker(Sam2Network(model, batched=True))
    single = Tracker(Sam2Network(model, batched=False))
    prompts = [MaskPrompt(1, truth("dog", 0)), Point(2, 700, 60), Box(3, 100, 100, 300, 300)]
    batched.step(picture("dog", 0), prompts)
    for index in range(1, 8):
        single.restore(batched.snapshot())
        ours, reference = (t.step(picture("dog", index)) for t in (batched, single))
        scale = np.abs(reference.logits[reference.logits > -1000]).max()
        np.testing.assert_allclose(ours.logits, reference.logits, atol=1e-5 * max(scale, 1))

"""A tracker that goes on from bytes goes on exactly."""

import numpy as np
import pytest
from clips import centre, picture, truth

from stream.errors import InputError
from stream.prompts import MaskPrompt, Point
from stream.track import catalog
from stream.track.networks.base import Network
from stream.track.networks.sam2 import Sam2Network
from stream.track.tracker import Tracker
from stream.training.checkpoint import nano_model


@pytest.fixture(scope="module", params=["onnx", "torch"])
def network(request: pytest.FixtureRequest) -> Network:
    return catalog.load("nano") if request.param == "onnx" else Sam2Network(nano_model())


def tracked(network: Network, frames: int) -> Tracker:
    tracker = Tracker(network)
    first = [Point(1, *centre("dog", 0)), MaskPrompt(7, truth("dog", 0))]
    tracker.step(picture("dog", 0), first)
    for index in range(1, frames):
        tracker.step(picture("dog", index))
    return tracker


def test_a_restored_tracker_gives_the_same_masks_to_the_last_bit(network: Network) -> None:
    tracker = tracked(network, 5)
    tracker.prompt([Point(1, *centre("dog", 4))])
    twin = Tracker(network)
    twin.restore(tracker.snapshot())
    assert twin.object_ids == (1, 7)
    for index in range(5, 9):
        ours, theirs = tracker.step(picture("dog", index)), twin.step(picture("dog", index))
        np.testing.assert_array_equal(theirs.logits, ours.logits)
        np.testing.assert_array_equal(theirs.scores, ours.scores)


def test_a_restored_object_takes_clicks(network: Network) -> None:
    twin = Tracker(network)
    twin.restore(tracked(network, 3).snapshot())
    masks = twin.step(picture("dog", 3), [Point(1, *centre("dog", 3))])
    assert (masks.logits[0] > 0).any()


def test_a_tracker_without_objects_has_a_snapshot_too(network: Network) -> None:
    twin = tracked(network, 1)
    twin.restore(Tracker(network).snapshot())
    assert twin.object_ids == ()


def test_damaged_data_are_refused_and_change_nothing(network: Network) -> None:
    tracker = tracked(network, 2)
    data = tracker.snapshot()
    rng = np.random.default_rng(0)
    damaged = [b"", b"nothing", data[: len(data) // 2], data[:-30]]
    for _ in range(40):
        flipped = bytearray(data)
        flipped[rng.integers(len(data))] ^= 0xFF
        damaged.append(bytes(flipped))
    for attempt in damaged:
        try:
            Tracker(network).restore(attempt)
        except InputError:
            with pytest.raises(InputError, match="snapshot"):
                tracker.restore(attempt)
    assert tracker.object_ids == (1, 7)


def test_another_networks_snapshot_is_refused(network: Network) -> None:
    smaller = Tracker(Sam2Network(nano_model(image_size=256)))
    with pytest.raises(InputError, match=r"shape \[256, 7, 16\]"):
        Tracker(network).restore(smaller.snapshot())

"""Our tracker against the official SAM2VideoPredictor: the same logits on every frame."""

from collections.abc import Iterator

import pytest
import torch
from sam2.sam2_video_predictor import SAM2VideoPredictor

from benchmarks import random_sam
from benchmarks.davis import DATA, clips
from benchmarks.parity import Result, compare, images, scenarios, table
from stream.track.networks.sam2 import Sam2Network
from stream.training.checkpoint import nano_model

TOLERANCE = 1e-4
DOG = clips(DATA, ["dog"])[0]
SCENARIOS = scenarios(DOG)
FRAMES = 20
"""More than the object pointers that are heeded, 16. Memories are forgotten after 7 already."""

FEWER = {
    "click and corrections": 12,
    "two points at once": 10,
    "box": 10,
    "box, then a click": 10,
    "mask": 10,
    "two objects": 10,
    "object added at frame 10": 14,
    "correction at frame 15": 18,
    "correction that sticks": 18,
}
"""Frames of scenarios that differ from others only in their beginning."""


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """torch's threads wait in a spin, which costs other processes of the machine dearly."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def nano() -> SAM2VideoPredictor:
    model = nano_model(cls=SAM2VideoPredictor)
    assert isinstance(model, SAM2VideoPredictor)
    return model


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
def test_nano_equals_the_official_predictor(nano: SAM2VideoPredictor, name: str) -> None:
    scenario = SCENARIOS[name]
    pictures = images(DOG, scenario, nano.image_size, FEWER.get(name, FRAMES))
    result = compare(nano, Sam2Network(nano), scenario, pictures)
    assert result.worst <= TOLERANCE
    assert result.mean_logit > 1
    assert FEWER.get(name, FRAMES) > max(scenario.prompts) + 1
    if scenario.away:
        assert min(result.scores) <= 0 < result.scores[-1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size", "frames"),
    [
        ("click and corrections", 256, 8),
        ("object added at frame 10", 256, 12),
        ("leaves and returns", 256, FRAMES),
        ("click and corrections", 512, 3),
    ],
)
def test_the_catalogue_builds_tiny_as_its_own_package_does(
    name: str, size: int, frames: int
) -> None:
    scenario = SCENARIOS[name]
    pictures = images(DOG, scenario, size, frames)
    result = compare(random_sam.official(size), random_sam.ours(size), scenario, pictures)
    assert result.worst <= TOLERANCE
    assert result.mean_logit > 1
    if scenario.away:
        assert min(result.scores) <= 0 < result.scores[-1]
    else:
        assert result.hidden == 0


def test_the_table_says_how_large_the_logits_are() -> None:
    one = Result(worst=3e-5, sizes=[8.0, 10.0], scores=[2.0, -1.0, 3.0])
    head, line = table({"nano: a click": one}).splitlines()
    assert head.split() == ["scenario", "max", "diff", "mean", "|logit|", "frames", "hidden"]
    assert line.split() == ["nano:", "a", "click", "3.0e-05", "9.00", "3", "1"]

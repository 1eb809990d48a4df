"""Our tracker against the official SAM2VideoPredictor: the same logits on every frame."""

from collections.abc import Iterator

import pytest
import torch
from sam2.sam2_video_predictor import SAM2VideoPredictor

from benchmarks.davis import DATA, clips
from benchmarks.parity import difference, images, scenarios
from stream.track.catalog import sam21_model
from stream.training.checkpoint import nano_model

TOLERANCE = 1e-4
DOG = clips(DATA, ["dog"])[0]
SCENARIOS = scenarios(DOG)
FRAMES = 20


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


@pytest.fixture(scope="module")
def random_tiny() -> SAM2VideoPredictor:
    model = sam21_model("sam2.1-tiny", 256, SAM2VideoPredictor, seed=0)
    assert isinstance(model, SAM2VideoPredictor)
    return model


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
def test_nano_equals_the_official_predictor(nano: SAM2VideoPredictor, name: str) -> None:
    scenario = SCENARIOS[name]
    pictures = images(DOG, scenario, nano.image_size, FRAMES)
    worst, scores = difference(nano, scenario, pictures)
    assert worst <= TOLERANCE
    if scenario.away:
        assert min(scores) <= 0 < scores[-1]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["click and corrections", "mask", "object added at frame 10"])
def test_random_tiny_equals_the_official_predictor(
    random_tiny: SAM2VideoPredictor, name: str
) -> None:
    scenario = SCENARIOS[name]
    pictures = images(DOG, scenario, random_tiny.image_size, 12)
    worst, _ = difference(random_tiny, scenario, pictures)
    assert worst <= TOLERANCE

"""The benchmark of late masks, on a drawn scene whose answers are known."""

import cv2
import numpy as np
import pytest

from benchmarks import late
from benchmarks.edges import planes

WIDTH, HEIGHT = 320, 240


def drawn(count: int = 24) -> late.Scene:
    """A body, and beside it a hand that goes up and down by 20 pixels a picture."""
    random = np.random.default_rng(2)
    wall = random.integers(0, 120, (12, 16, 3), np.uint8)
    wall = cv2.resize(wall, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST)
    skin = cv2.resize(random.integers(160, 240, (24, 32, 3), np.uint8), (WIDTH, HEIGHT))
    opacity, pictures, logits = [], [], []
    for number in range(count):
        inside = np.zeros((HEIGHT, WIDTH), np.uint8)
        cv2.rectangle(inside, (110, 60), (190, HEIGHT), 255, -1)
        away = number % 12
        top = 60 + 20 * min(away, 12 - away)
        cv2.rectangle(inside, (190, top), (226, top + 36), 255, -1)
        rgb = np.where(inside[..., None] > 0, skin, wall)
        small = cv2.resize(inside, (96, 96), interpolation=cv2.INTER_AREA).astype(np.float32)
        pictures.append(planes(rgb))
        opacity.append(inside)
        logits.append(small / 255 * 10 - 5)
    return late.Scene("drawn", pictures, opacity, logits)


def test_what_is_learned_of_the_background_makes_late_masks_better() -> None:
    figures, shown = late.measure(drawn())
    assert shown.shape == (HEIGHT, 3 * WIDTH, 3)
    in_time, without, learned = (figures[way] for way in ("in_time", "without", "with"))
    assert without["room_far"] > 0.5 > in_time["room_far"], "the hand's trail"
    assert learned["room_far"] < 0.2 * without["room_far"]
    assert learned["hidden_far"] < 0.2 * without["hidden_far"]


def test_errors_are_in_percent_of_the_persons_area() -> None:
    truth = np.zeros((100, 100), np.uint8)
    truth[:, 40:60] = 255
    assert late.errors(truth, truth) == [0, 0, 0, 0]
    wide = truth.copy()
    wide[:, 60:80] = 255
    assert late.errors(wide, truth) == pytest.approx([100, 0, 60, 0], abs=6)
    assert late.errors(np.zeros_like(truth), truth) == pytest.approx([0, 100, 0, 20], abs=11)


def test_clips_are_played_without_a_jump() -> None:
    assert late.to_and_fro(4) == [0, 1, 2, 3, 2, 1, 0, 1, 2, 3]


def test_what_is_missing_is_told(
    tmp_path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["late", "--data", str(tmp_path)])
    assert late.main() == 2
    assert "video/webcam" in capsys.readouterr().err

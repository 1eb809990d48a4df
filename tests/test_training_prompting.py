"""Prompts drawn from masks lie where a person would put them."""

import numpy as np
import pytest

from stream.training.prompting import boxes, click_in, corrections, first_clicks, join

S = 64


def mask(x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    drawn = np.zeros((S, S), bool)
    drawn[y0:y1, x0:x1] = True
    return drawn


def at(masks: np.ndarray, found: dict) -> list[bool]:
    """Whether the last point of each object lies in its mask."""
    last = found["point_coords"][:, -1].numpy().astype(int)
    return [bool(m[y, x]) for m, (x, y) in zip(masks, last, strict=True)]


@pytest.mark.parametrize("random", [None, np.random.default_rng(0)])
def test_first_clicks_are_inside(random: np.random.Generator | None) -> None:
    masks = np.stack([mask(3, 4, 20, 9), mask(40, 40, 41, 60)])
    for _ in range(20):
        found = first_clicks(masks, random)
        assert at(masks, found) == [True, True]
        assert found["point_labels"].tolist() == [[1], [1]]


def test_the_middle_is_the_pixel_farthest_from_the_border() -> None:
    assert click_in(mask(10, 20, 31, 41), None) == (20.0, 30.0)


def test_a_box_touches_its_mask_and_noise_stays_small() -> None:
    masks = np.stack([mask(10, 20, 30, 50)])
    exact = boxes(masks, None)
    assert exact["point_coords"].tolist() == [[[10, 20], [29, 49]]]
    assert exact["point_labels"].tolist() == [[2, 3]]
    random = np.random.default_rng(1)
    for _ in range(30):
        off = (boxes(masks, random)["point_coords"] - exact["point_coords"]).abs().numpy()
        assert (off[..., 0] <= 4).all()
        assert (off[..., 1] <= 6).all()


def test_corrections_go_to_the_error_with_the_right_label() -> None:
    truth = np.stack([mask(10, 10, 30, 30), mask(10, 10, 20, 20), mask(5, 5, 9, 9)])
    found = np.stack([mask(10, 10, 20, 30), mask(10, 10, 40, 20), mask(5, 5, 9, 9)])
    wrong = np.stack([mask(20, 10, 30, 30), mask(20, 10, 40, 20), mask(5, 5, 9, 9)])
    for random in (None, np.random.default_rng(2)):
        clicks = corrections(found, truth, ~truth, random)
        assert at(wrong, clicks) == [True, True, True]
        assert clicks["point_labels"].tolist() == [[1], [0], [1]]


def test_a_mask_of_an_absent_object_gets_a_negative_click() -> None:
    nothing = np.zeros((1, S, S), bool)
    seen = np.stack([mask(1, 1, 9, 9)])
    clicks = corrections(seen, nothing, ~nothing, np.random.default_rng(0))
    assert at(seen, clicks) == [True]
    assert clicks["point_labels"].tolist() == [[0]]
    clicks = corrections(nothing, nothing, ~nothing, np.random.default_rng(0))
    assert clicks["point_labels"].tolist() == [[0]]


def test_clicks_elsewhere_name_the_object_or_the_others() -> None:
    truth, other = mask(10, 10, 30, 30), mask(40, 40, 50, 50)
    random = np.random.default_rng(3)
    labels = set()
    for _ in range(40):
        clicks = corrections(truth[None], truth[None], other[None], random, elsewhere=1.0)
        label = int(clicks["point_labels"][0, 0])
        assert at(np.stack([truth if label else other]), clicks) == [True]
        labels.add(label)
    assert labels == {0, 1}


def test_points_are_joined_in_order() -> None:
    masks = np.stack([mask(10, 10, 30, 30)])
    both = join(boxes(masks, None), first_clicks(masks, None))
    assert both["point_labels"].tolist() == [[2, 3, 1]]
    assert both["point_coords"].shape == (1, 3, 2)

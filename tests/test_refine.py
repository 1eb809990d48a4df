"""The matte at a low resolution, and its way there and back, for sizes of every kind."""

import cv2
import numpy as np
import pytest

from stream.compose.flow import grid_size
from stream.compose.refine import Enlarger, Guide, coefficients, reduced

SIZES = [(1280, 720), (854, 480), (848, 480), (960, 540), (1920, 1080), (480, 854), (641, 359)]


def smooth(width, height, seed=0):
    small = np.random.default_rng(seed).integers(0, 256, (9, 16), np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


@pytest.mark.parametrize("size", SIZES)
def test_a_reduced_plane_is_the_mean_of_what_each_pixel_covers(size):
    plane = smooth(*size)
    exact = cv2.resize(plane.astype(np.float32), grid_size(*size), interpolation=cv2.INTER_AREA)
    found = reduced(plane, grid_size(*size))
    assert np.abs(found - exact).max() <= 4
    assert np.abs(found - exact).mean() <= 0.6
    assert abs(found.mean() - exact.mean()) <= 0.5, "to no side"


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("place", [(0.5, 0.5), (0.1, 0.9)])
def test_opacity_around_the_object_is_that_of_the_whole_picture(size, place):
    """Against the definition, in floats: slope and offset between pixel centres, times luma."""
    luma, (columns, rows) = smooth(*size), grid_size(*size)
    y, x = np.mgrid[:rows, :columns]
    away = np.hypot((x + 0.5) / columns - place[0], (y + 0.5) / rows - place[1])
    offset = np.clip((0.2 - away) * 20, 0, 1).astype(np.float32)
    slope = (offset * (1 - offset)).astype(np.float32)
    large = [cv2.resize(field, size, interpolation=cv2.INTER_LINEAR) for field in (slope, offset)]
    exact = np.clip(large[0] * luma + large[1] * 255, 0, 255)
    found = Enlarger().opacity(slope, offset, luma)
    assert found.shape == luma.shape
    assert np.abs(found - exact).max() <= 1
    assert not Enlarger().opacity(0 * slope, 0 * offset, luma).any()


def test_the_mask_is_drawn_to_where_the_colours_change():
    """A bright disc under a mask whose edge is three pixels of the grid too far out."""
    y, x = np.mgrid[:180, :320]
    away = np.hypot(x - 160, y - 90)
    bright = (away < 50).astype(np.float32)
    luma = (60 + 120 * cv2.GaussianBlur(bright, (0, 0), 0.7)).astype(np.uint8)
    grey = np.full_like(luma, 128)
    mask = np.clip((53 - away) * 0.15 + 0.5, 0, 1).astype(np.float32)
    found = coefficients(Guide((luma, grey, grey)), mask)
    opacity = found.slope * (luma / np.float32(255)) + found.offset
    wrong_before = ((mask > 0.5) != (bright > 0)).sum()
    wrong_after = ((opacity > 0.5) != (bright > 0)).sum()
    assert wrong_before > 800
    assert wrong_after < wrong_before / 5
    edge = (away > 49) & (away < 51)
    contrast = cv2.resize(found.contrast[..., 0], luma.shape[::-1])
    assert 0.3 < contrast[edge].mean() <= 130 / 255, "object less background, 120 codes"
    assert np.abs(found.contrast[..., 1:]).max() < 0.01
    assert not found.slope[away > 90].any()

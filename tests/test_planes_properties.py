"""What holds of planes whatever is in them: odd sizes, padded rows, every opacity."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from picture_helpers import EVERYWHERE, contents, disc, masks, picture

from stream.compose.canvas import Canvas, inverse, scaled
from stream.compose.compositor import Compositor
from stream.compose.effects import EFFECTS, FIXED_TARGET, Effect
from stream.compose.matte import Matte
from stream.compose.planes import Planes, blend, halve

SIZES = st.tuples(st.integers(1, 70), st.integers(1, 50))
SEEDS = st.integers(0, 2**16)


def plane(random, size, padding=0):
    width, height = size
    return random.integers(0, 256, (height, width + padding), np.uint8)[:, :width]


@given(SIZES, SEEDS, st.integers(0, 3), st.sampled_from([0, 255, None]))
@settings(max_examples=150, deadline=None)
def test_blend_lies_between_front_and_back_and_is_exact_at_both_ends(size, seed, padding, level):
    random = np.random.default_rng(seed)
    front, back, alpha = (plane(random, size, padding) for _ in range(3))
    if level is not None:
        alpha[...] = level
    former = front.copy(), back.copy()
    out = np.empty((size[1], size[0] + padding), np.uint8)[:, : size[0]]
    blend(front, back, alpha, out)
    assert np.array_equal(out[alpha == 0], back[alpha == 0])
    assert np.array_equal(out[alpha == 255], front[alpha == 255])
    assert (out >= np.minimum(front, back).astype(int) - 1).all()
    assert (out <= np.maximum(front, back).astype(int) + 1).all()
    assert np.array_equal(front, former[0])
    assert np.array_equal(back, former[1])
    blend(front, back, alpha, front)
    assert np.array_equal(front, out), "in place, as on a canvas"


@given(SIZES, SEEDS)
@settings(max_examples=100, deadline=None)
def test_halved_planes_have_ceiled_sizes_and_stay_within_range(size, seed):
    random = np.random.default_rng(seed)
    full = plane(random, size)
    half = halve(full)
    assert half.shape == ((size[1] + 1) // 2, (size[0] + 1) // 2)
    assert full.min() <= half.min()
    assert half.max() <= full.max()
    for level in (0, 255):  # of a matte, whose ends are exact in all planes
        assert (halve(np.full_like(full, level)) == level).all()


@given(SIZES, SEEDS, st.floats(0, 1))
@settings(max_examples=100, deadline=None)
def test_mattes_keep_size_and_range(size, seed, share):
    found = Matte.of(plane(np.random.default_rng(seed), size))
    assert np.array_equal(inverse(inverse(found)).luma, found.luma)
    less = scaled(found, share)
    for part, whole in zip(less.planes, found.planes, strict=True):
        assert part.shape == whole.shape
        assert (part <= whole).all()
    assert not scaled(found, 0.0).luma.any()


@given(SIZES, SEEDS, st.sampled_from([0, 255]))
@settings(max_examples=60, deadline=None)
def test_a_canvas_keeps_the_source_bit_by_bit_or_nothing_of_it(size, seed, level):
    source = picture(*size, seed=seed)
    before = contents(source)
    over = Planes(*(np.full_like(p, 7) for p in Planes.of(source)))
    canvas = Canvas(source)
    canvas.put(over, Matte(*(np.full_like(p, level) for p in (before[0], before[1]))))
    wanted = before if level else over
    assert all(map(np.array_equal, canvas.now, wanted))
    assert all(map(np.array_equal, contents(source), before)), "never written to"


HALVES = sorted(set(EFFECTS) - FIXED_TARGET)


@pytest.mark.parametrize("name", HALVES)
@pytest.mark.parametrize("size", [(160, 120), (161, 91)])
def test_an_object_that_is_everywhere_keeps_or_loses_every_bit(name, size):
    """Opacity 1: nothing of an effect on the background; opacity 0: nothing of one on objects."""
    source = picture(*size)
    for target, given_masks in (("background", masks(EVERYWHERE)), ("object", None)):
        compositor = Compositor()
        still = np.full((8, 8, 3), 90, np.uint8)
        compositor.set_effects((Effect(name, background="still", target=target),), {"still": still})
        if target == "object":
            # One that goes out over the border by and by has left, and nothing is hidden any more.
            for radius in (0.3, 0.25, 0.2, 0.15, 0.1):
                compositor.compose(source, masks(disc(0.0, 0.5, radius)))
            given_masks = masks(np.full((64, 64), -1024))
        after = compositor.compose(source, given_masks)
        assert all(map(np.array_equal, contents(after), contents(source))), target


@pytest.mark.parametrize("name", ["picture", "video", "colour", "cutout"])
def test_where_the_object_is_not_only_the_background_is(name):
    for size in ((160, 120), (161, 91)):
        compositor = Compositor()
        compositor.set_effects(
            (Effect(name, background="still"),), {"still": np.full((8, 8, 3), 90, np.uint8)}
        )
        after = contents(compositor.compose(picture(*size), masks(disc(radius=0.1))))
        for samples in after:
            rows, columns = samples.shape
            corners = np.concatenate(
                [samples[: rows // 4].ravel(), samples[:, : columns // 4].ravel()]
            )
            assert np.ptp(corners) == 0


LIMITED_TOLERANCE = 1
"""Levels by which rounding may leave the range."""


SPILL = {"picture", "video", "colour", "cutout"}
"""Take the old background's colour out of the edge, a few levels beyond the range on wild noise."""


@pytest.mark.parametrize("name", sorted(set(EFFECTS) - SPILL - {"none"}))
@given(seed=SEEDS, strength=st.floats(0, 1), target=st.sampled_from(["usual", "both"]))
@settings(max_examples=6, deadline=None)
def test_limited_range_stays_limited(name, seed, strength, target):
    """Luma 16 to 235 and chroma 16 to 240, whatever is in the picture and what is done to it."""
    random = np.random.default_rng(seed)
    source = picture(160, 90, seed=seed)
    for samples, most in zip(Planes.of(source), (235, 240, 240), strict=True):
        samples[...] = random.choice([16, 60, most], size=samples.shape)
    on = "both" if target == "both" and name not in FIXED_TARGET else None
    effect = Effect(name, strength, background="still", target=on)
    compositor = Compositor()
    still = random.integers(0, 256, (40, 60, 3), np.uint8)
    compositor.set_effects((effect,), {"still": still})
    for x in (0.4, 0.45):
        result = compositor.compose(source, masks(disc(x)))
    for samples, most in zip(Planes.of(result), (235, 240, 240), strict=True):
        assert samples.min() >= 16 - LIMITED_TOLERANCE
        assert samples.max() <= most + LIMITED_TOLERANCE

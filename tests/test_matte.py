import numpy as np
import pytest
from picture_helpers import EMPTY, EVERYWHERE, chroma_mean, disc, masks, opacity

from stream.compose.matte import SOFT_EDGE, Matte, matte, present, union


@pytest.mark.parametrize(
    ("width", "height"), [(1280, 720), (641, 359), (359, 641), (64, 64), (3, 1)]
)
@pytest.mark.parametrize("edge", [SOFT_EDGE, 0.5])
def test_matte_is_bilinear_between_pixel_centres(width, height, edge):
    logits = np.random.default_rng(2).normal(0, 5, (64, 64)).astype(np.float32)
    exact = 255 * opacity(logits, width, height, edge)
    assert np.abs(matte(logits, width, height, edge) - exact).max() <= 2


def test_matte_equals_torch_interpolate():
    torch = pytest.importorskip("torch")
    logits = disc(0.4, 0.6, 0.3)
    large = torch.nn.functional.interpolate(
        torch.from_numpy(logits)[None, None], (359, 641), mode="bilinear", align_corners=False
    )
    exact = 255 * np.clip(large[0, 0].numpy() / (2 * SOFT_EDGE) + 0.5, 0, 1)
    assert np.abs(matte(logits, 641, 359) - exact).max() <= 1


def test_matte_is_exact_away_from_the_edge():
    alpha = matte(disc(), 640, 480)
    assert alpha[240, 320] == 255
    assert alpha[0, 0] == alpha[-1, -1] == 0
    assert not matte(EMPTY, 640, 480).any()
    assert (matte(EVERYWHERE, 640, 480) == 255).all()


@pytest.mark.parametrize(("width", "height"), [(640, 480), (641, 359)])
def test_chroma_matte_lies_on_the_luma_matte(width, height):
    luma = matte(disc(0.3, 0.7, 0.2), width, height)
    both = Matte.of(luma)
    assert np.abs(both.chroma - chroma_mean(luma)).max() <= 0.5
    assert [plane.shape for plane in both.planes] == [luma.shape, *[both.chroma.shape] * 2]


def test_hidden_objects_are_left_out():
    everyone = masks(EMPTY, disc(), np.full((64, 64), -0.01), ids=(7, 8, 9))
    assert [object_id for object_id, _ in present(everyone)] == [8]
    assert present(None) == present(masks()) == present(masks(EMPTY)) == []


def test_union_is_the_largest_logit_of_the_objects_present():
    left, right = disc(0.3), disc(0.6)
    assert np.array_equal(union(masks(left, EMPTY, right)), np.maximum(left, right))
    assert union(None) is None
    assert union(masks()) is None
    assert union(masks(EMPTY, EMPTY)) is None


def test_logits_that_are_no_numbers_count_as_background():
    broken = np.full((64, 64), np.nan, np.float32)
    assert union(masks(broken)) is None
    assert np.array_equal(union(masks(broken, disc())), disc())

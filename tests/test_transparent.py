"""Objects cut out with an opacity of their own, against what was drawn."""

import av
import cv2
import numpy as np
import pytest
from picture_helpers import BT709, EMPTY, disc, masks, picture

from stream.compose.matte import matte
from stream.compose.planes import Planes, pixels
from stream.compose.transparent import Transparent

WIDTH, HEIGHT = 640, 360
OBJECT, ROOM = (200, 170, 40), (30, 60, 180)


def drawn():
    """A ball with a soft edge before a wall: the picture, and the ball's opacity, 0 to 1."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    away = np.hypot(columns + 0.5 - 320, rows + 0.5 - 180)
    alpha = np.clip((90 - away) / 5 + 0.5, 0, 1)[..., None]
    noise = np.random.default_rng(0).normal(0, 6, (HEIGHT, WIDTH, 1))
    rgb = alpha * OBJECT + (1 - alpha) * ROOM + noise
    source = av.VideoFrame.from_ndarray(rgb.clip(0, 255).astype(np.uint8), "rgb24")
    return source.reformat(format="yuv420p"), alpha[..., 0]


def off():
    """The ball's mask as a tracker gives it: coarse, and four pixels too far right."""
    rows, columns = np.mgrid[:96, :96]
    away = np.hypot((columns + 0.5) * WIDTH / 96 - 324, (rows + 0.5) * HEIGHT / 96 - 180)
    return np.clip((90 - away) * 0.1, -8, 8).astype(np.float32)


def over_white(cut):
    planes = Planes.of(cut)
    alpha = pixels(cut.planes[3]) / 255
    y = planes.y * alpha + 235 * (1 - alpha)
    small = cv2.resize(alpha, planes.u.shape[::-1], interpolation=cv2.INTER_AREA)
    return y, *(p * small + 128 * (1 - small) for p in (planes.u, planes.v))


def test_its_edge_is_better_than_that_of_the_mask_alone():
    source, truth = drawn()
    cut = Transparent().cut(source, masks(off()), 0)
    assert cut.format.name == "yuva420p"
    plain = matte(off(), WIDTH, HEIGHT) / 255
    ours = pixels(cut.planes[3]) / 255
    assert np.abs(ours - truth).sum() < 0.5 * np.abs(plain - truth).sum()


def test_over_white_no_rim_of_the_old_wall_is_left():
    source, truth = drawn()
    cut = Transparent().cut(source, masks(off()), 0)
    ball = av.VideoFrame.from_ndarray(np.full((2, 2, 3), OBJECT, np.uint8), "rgb24")
    code = Planes.of(ball.reformat(format="yuv420p")).u[0, 0]
    small = cv2.resize(truth, (WIDTH // 2, HEIGHT // 2), interpolation=cv2.INTER_AREA)
    wanted = small * code + (1 - small) * 128
    edge = (small > 0.02) & (small < 0.98)
    bare = small * Planes.of(source).u + (1 - small) * 128  # by the true opacity, even
    got = over_white(cut)[1]
    assert np.abs(got - wanted)[edge].mean() < 0.5 * np.abs(bare - wanted)[edge].mean()


def test_nothing_of_the_room_is_in_it_not_even_where_it_is_transparent():
    source, _ = drawn()
    planes = Planes.of(source)
    planes.y[:, ::16] = 235  # stripes, here and there all over the wall
    planes.y[:, 200:440] = np.where(planes.y[:, 200:440] == 235, 90, planes.y[:, 200:440])
    cut = Planes.of(Transparent().cut(source, masks(off()), 0))
    assert np.ptp(cut.y[:, :160].astype(int), axis=1).max() <= 8
    assert cut.u[:, :60].max() < 110, "of the ball's colour, where the wall's is 190"


@pytest.mark.parametrize("given", [None, masks(), masks(EMPTY)])
def test_without_an_object_it_is_black_and_transparent(given):
    cut = Transparent().cut(picture(64, 48), given, 0)
    assert not pixels(cut.planes[3]).any()
    assert (Planes.of(cut).y == 16).all()


@pytest.mark.parametrize("format", ["yuv420p", "yuv422p10le", "yuva420p", "rgb24"])
@pytest.mark.parametrize("size", [(64, 48), (65, 47), (1, 1)])
def test_any_picture_keeps_its_size_times_and_tags(format, size):
    source = picture(*size, full=format == "yuv420p", format=format, matrix=BT709)
    cut = Transparent(pixel_aspect=100.0).cut(source, masks(disc()), 0)
    assert (cut.width, cut.height, cut.pts, cut.time_base) == (*size, source.pts, source.time_base)
    if format != "rgb24":
        assert cut.colorspace == BT709
        assert cut.color_range == source.color_range


def test_it_is_steadied_over_time():
    """The mask jumps to and fro by two pixels before a still picture; the edge does not."""
    source, _ = drawn()
    left, right = (np.roll(off(), by, axis=1) for by in (-1, 1))
    transparent = Transparent()
    edges = []
    for index in range(12):
        cut = transparent.cut(source, masks(left if index % 2 else right), index)
        edges.append(pixels(cut.planes[3])[180, 380:450].sum() / 255)
    alone = [matte(each, WIDTH, HEIGHT)[180, 380:450].sum() / 255 for each in (left, right)]
    assert np.ptp(edges[4:]) < 0.25 * abs(alone[0] - alone[1])

"""The effect blur: a lens out of focus, which shows no detail and takes nothing of the object."""

from fractions import Fraction

import cv2
import numpy as np
import pytest
from composed import KINDS, assert_close, compositor, cutout, mixture, shares
from picture_helpers import chroma_mean, contents, disc, masks, opacity, picture, save

from stream.compose.blur import HIGHLIGHT, PRIVATE, STRONGEST, _lens, blurred
from stream.compose.matte import Matte
from stream.compose.planes import Planes


def blurred_reference(planes, opacities, sigma):
    """Normalised convolution of each plane at its full size, in floats."""
    bright = 1 + (HIGHLIGHT - 1) * (planes[0] / 255.0) ** 4
    brightness = (bright, *[chroma_mean(bright)] * 2)
    result = []
    for plane, share, light, scale in zip(
        planes, opacities, brightness, (1, 0.5, 0.5), strict=True
    ):
        kernel = _lens(sigma * scale, sigma * scale)
        weight = (1 - share) * light
        total = cv2.filter2D(weight, -1, kernel)
        result.append(cv2.filter2D(plane * weight, -1, kernel) / (total + 1e-9))
    return result


@pytest.mark.parametrize(("width", "height", "full", "matrix"), KINDS)
@pytest.mark.parametrize("strength", [0, 0.5])
def test_blur_is_normalised_convolution(width, height, full, matrix, strength):
    source, logits = picture(width, height, full, matrix), disc(0.4, 0.6, 0.3)
    result = compositor("blur", strength).compose(source, masks(logits))
    opacities = shares(cutout(source, logits).matte)
    sigma = max(width, height) * (PRIVATE + (STRONGEST - PRIVATE) * strength)
    front = contents(source)
    expected = mixture(front, blurred_reference(front, opacities, sigma), opacities)
    assert_close(result, expected, most=16, mean=2)


def lamp(level=235):
    """A small lamp before a dark wall."""
    source = picture(1280, 720)
    y, u, v = Planes.of(source)
    y[...], u[...], v[...] = 40, 128, 128
    cv2.circle(y, (640, 360), 12, level, -1)
    return source


def test_a_lamp_becomes_a_disc():
    """Flat within and with a rim that is steeper than a Gaussian's of the same spread."""
    luma = Planes.of(compositor("blur", 0.5).compose(lamp(), None)).y.astype(float) - 40
    sigma = 1280 * (PRIVATE + STRONGEST) / 2
    rows, columns = np.mgrid[:720, :1280]
    away = np.hypot(columns - 640, rows - 360) / sigma
    peak = luma.max()
    assert luma[away < 0.7].min() > 0.75 * peak, "a Gaussian has 0.78 of its peak there, at most"
    assert luma[(away > 0.95) & (away < 1.05)].mean() > 0.7 * peak, "where a Gaussian has 0.61"
    assert luma[away > 2.6].max() <= 0.05 * peak + 1


def test_lamps_outshine_what_is_around_them():
    """Twice as bright a lamp makes a disc that is far more than twice as bright."""
    dim, bright = (
        Planes.of(compositor("blur", 0).compose(lamp(level), None)).y.max() - 40.0
        for level in (110, 235)
    )
    assert bright > 1.5 * dim * (235 - 40) / (110 - 40)


def test_an_object_does_not_glow_where_the_mask_is_a_little_too_small():
    source = picture(1280, 720)
    y, u, v = Planes.of(source)
    ball = opacity(disc(0.5, 0.5, 0.2), 1280, 720, 0.01) > 0
    y[...], u[...], v[...] = np.where(ball, 235, 16), 128, 128
    behind = blurred(Planes.of(source), Matte.of(np.where(ball, 255, 0).astype(np.uint8)), 0, 1)
    inner = cv2.erode(ball.astype(np.uint8) * 255, np.ones((7, 7), np.uint8))  # 3 pixels off
    glows = blurred(Planes.of(source), Matte.of(inner), 0, 1)
    assert np.abs(glows.y[~ball].astype(int) - behind.y[~ball]).max() <= 8


def test_blur_does_not_leak_the_colour_of_the_object():
    """A white object on black, seen through a mask a little larger than itself."""
    source = picture(640, 360)
    y, u, v = Planes.of(source)
    white = opacity(disc(0.5, 0.5, 0.2), 640, 360, 0.01) > 0
    y[...], u[...], v[...] = np.where(white, 235, 16), 128, 128
    logits = disc(0.5, 0.5, 0.25)
    result = compositor("blur").compose(source, masks(logits))
    outside = (opacity(logits, 640, 360, 0.8) == 0) & ~white
    assert Planes.of(result).y[outside].max() <= 17


@pytest.mark.parametrize("strength", [0, 0.1, 0.5, 1])
def test_blur_hides_letters_at_every_strength(strength):
    source = picture(1280, 720)
    y, u, v = Planes.of(source)
    y[...], u[...], v[...] = 235, 128, 128
    page = np.full((720, 1280), 235, np.uint8)
    for row in range(8):
        cv2.putText(page, "SECRET 12345", (40, 90 * row + 75), 0, 2.4, 16, 6)
    np.copyto(y, page)
    result = compositor("blur", strength).compose(source, None)
    save(result, f"letters_{strength}")
    words = np.s_[50, 90:260]  # through the middle of "SECRET"
    contrast = [np.ptp(plane[words].astype(int)) for plane in (page, Planes.of(result).y)]
    assert contrast[0] > 200
    assert contrast[1] < 20
    strokes = [np.abs(np.diff(p[:, 60:500].astype(int))).max() for p in (page, Planes.of(result).y)]
    assert strokes[1] < strokes[0] / 50


def test_more_strength_blurs_more():
    source = picture(640, 480)
    detail = [
        cv2.Laplacian(Planes.of(compositor("blur", s).compose(source, None)).y, cv2.CV_64F).std()
        for s in (0, 0.5, 1)
    ]
    assert detail[0] > detail[1] > detail[2]


def test_blur_is_round_on_the_screen_when_pixels_are_not():
    def widths(aspect):
        source = picture(640, 640)
        y, u, v = Planes.of(source)
        y[...], u[...], v[...] = 16, 128, 128
        across = round(10 / aspect) if aspect == 2 else 10
        y[310:330, 320 - across : 320 + across] = 235
        luma = Planes.of(compositor("blur", 0, aspect=aspect).compose(source, None)).y
        bright = luma > (int(luma.max()) + 16) / 2
        return bright.any(axis=0).sum(), bright.any(axis=1).sum()

    columns, rows = widths(1.0)
    assert columns == pytest.approx(rows, abs=2)
    columns, rows = widths(Fraction(2))
    assert columns * 2 == pytest.approx(rows, rel=0.12)
    for broken in (0, -1, 1e6, 1e-6, float("nan")):
        assert widths(broken) == widths(1.0)

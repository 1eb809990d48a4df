"""Pictures, masks and effects in, pictures out: every effect beside a plain reference of it."""

import itertools
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from composed import (
    BACKGROUND,
    BACKGROUNDS,
    KINDS,
    USES,
    assert_close,
    compositor,
    cutout,
    mixture,
    shares,
)
from picture_helpers import (
    BT601,
    BT709,
    DATA,
    EMPTY,
    EVERYWHERE,
    FULL,
    LIMITED,
    contents,
    disc,
    masks,
    opacity,
    per_plane,
    picture,
    save,
)

from stream.compose.backdrop import cover
from stream.compose.colour_space import ColourSpace
from stream.compose.compositor import Compositor
from stream.compose.effects import EFFECTS, GREEN, HIDES_BACKGROUND, HIDING, Effect
from stream.compose.overlay import CONTOUR
from stream.compose.palette import colour
from stream.compose.planes import Planes

PERSON = (
    *((270, 95), (280, 62), (305, 55), (335, 62), (345, 95), (335, 160), (400, 195), (452, 290)),
    *((452, 340), (405, 345), (420, 480), (195, 480), (205, 320), (148, 320), (170, 240)),
    *((215, 190), (290, 165)),
)
"""Outline, drawn by hand, of the person in the webcam picture below."""

REPLACES = ("picture", "video", "colour", "cutout")


@pytest.mark.parametrize(("width", "height", "full", "matrix"), KINDS)
@pytest.mark.parametrize("name", ["picture", "colour", "cutout"])
def test_background_is_replaced_as_in_floats(name, width, height, full, matrix):
    source, logits = picture(width, height, full, matrix), disc(0.4, 0.6, 0.3)
    result = compositor(name).compose(source, masks(logits))
    space = ColourSpace.of(source)
    if name == "picture":
        back = list(space.planes(cover(BACKGROUND, width, height, 1)))
        exact = contents_of_rgb(cover(BACKGROUND, width, height, 1), space)
        for plane, other in zip(back, exact, strict=True):
            assert np.abs(plane - other).max() <= 1.5
    else:
        codes = space.codes(GREEN if name == "colour" else "#000000")
        back = list(codes)
    cut = cutout(source, logits)
    expected = mixture(contents(source), back, shares(cut.matte))
    for plane, other, alpha in zip(Planes.of(result), expected, cut.matte.planes, strict=True):
        difference = np.abs(plane - other)
        certain = (alpha == 0) | (alpha == 255)
        assert difference[certain].max() <= 0.51, "bit-identical up to the float's rounding"
        # At the edge the old background's colour is taken out as well.
        assert difference.max() <= 0.25 * 0.35 * 255 + 3
    assert np.mean((cut.matte.luma > 0) & (cut.matte.luma < 255)) < 0.2


def contents_of_rgb(rgb, space):
    """Planes of an RGB picture, in floats."""
    yuv = rgb @ space.matrix()[:, :3].T + space.matrix()[:, 3]
    y, u, v = (np.clip(yuv[..., channel], 0, 255) for channel in range(3))
    return [y, per_plane(u)[1], per_plane(v)[1]]


@pytest.mark.parametrize(("width", "height", "full", "matrix"), KINDS)
def test_overlay_tints_and_outlines(width, height, full, matrix):
    source, strength = picture(width, height, full, matrix), 0.4
    logits = disc(0.3, 0.4, 0.2), disc(0.75, 0.9, 0.25)
    result = compositor("overlay", strength).compose(source, masks(*logits, ids=(3, 8)))
    expected = contents(source)
    radius = max(1, round(min(width, height) * CONTOUR))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2)
    for object_id, mask in zip((3, 8), logits, strict=True):
        alpha = cutout(source, mask).matte.luma / 255
        outline = cv2.morphologyEx(alpha, cv2.MORPH_GRADIENT, kernel)
        paint = ColourSpace.of(source).codes(colour(object_id))
        expected = mixture(paint, expected, per_plane(np.maximum(alpha * strength, outline)))
    assert_close(result, expected, most=3, mean=0.6)


def test_overlay_touches_nothing_but_the_objects():
    source = picture(641, 359)
    result = compositor("overlay").compose(source, masks(disc(0.5, 0.5, 0.2)))
    far = opacity(disc(0.5, 0.5, 0.25), 641, 359, 0.01) == 0
    assert np.array_equal(Planes.of(result).y[far], Planes.of(source).y[far])
    inside = Planes.of(result).y[179, 320], Planes.of(source).y[179, 320]
    assert inside[0] != inside[1]


@pytest.mark.parametrize("given", [None, masks(), masks(EMPTY), masks(EMPTY - 5, EMPTY)])
@pytest.mark.parametrize("name", ["none", "overlay"])
def test_picture_stays_as_it_is_without_objects(name, given):
    for source in (picture(641, 359), picture(64, 48, full=True, format="yuvj420p")):
        result = compositor(name).compose(source, given)
        assert result.format.name == "yuv420p"
        assert result.color_range == source.color_range
        for plane, other in zip(Planes.of(result), contents(source), strict=True):
            assert np.array_equal(plane, other)


@pytest.mark.parametrize(
    "given", [None, masks(), masks(EMPTY), masks(EMPTY, np.full((64, 64), -0.5))]
)
@pytest.mark.parametrize("size", [(640, 480), (641, 359), (33, 17)])
@pytest.mark.parametrize("name", sorted(HIDING))
def test_without_objects_the_whole_picture_is_hidden(name, size, given):
    """What is shown must not depend on any detail of the picture."""
    results = []
    for seed in (1, 2):
        source = picture(*size)
        noise = np.random.default_rng(seed).integers(16, 236, size[::-1], np.uint8)
        np.copyto(Planes.of(source).y, noise)
        results.append(Planes.of(compositor(name, 0).compose(source, given)).y.astype(int))
    if name in ("blur", "erase") and min(size) > 100:  # the mean of noise is all that is left
        assert results[0].std() < 3
    elif name == "pixelate" and min(size) > 100:
        assert results[0].std() < 8
    elif name in REPLACES:
        assert np.array_equal(*results)
    if name == "colour":
        assert np.ptp(results[0]) == 0
    if name == "cutout":
        assert (results[0] == 16).all()


@pytest.mark.parametrize("name", EFFECTS)
@pytest.mark.parametrize(
    "given", [None, masks(disc()), masks(EVERYWHERE), masks(disc(0, 0), disc(1, 1))]
)
@pytest.mark.parametrize("size", [(1, 1), (2, 2), (3, 5), (17, 400), (1024, 2)])
def test_any_size_is_composed(name, given, size):
    source = picture(*size)
    before = contents(source)
    result = compositor(name).compose(source, given)
    assert (result.width, result.height) == size
    assert [p.shape for p in Planes.of(result)] == [p.shape for p in before]


@pytest.mark.parametrize("name", EFFECTS)
@pytest.mark.parametrize(
    "format", ["yuv420p", "nv12", "yuv422p", "yuv422p10le", "yuv444p", "yuv420p10le", "rgb24"]
)
def test_result_has_size_times_and_tags_and_the_source_is_untouched(name, format):
    source = picture(322, 182, format=format, matrix=BT709, full=format != "rgb24")
    source.color_trc, source.color_primaries = 1, 1
    bytes_before = [bytes(plane) for plane in source.planes]
    result = compositor(name).compose(source, masks(disc()))
    assert [bytes(plane) for plane in source.planes] == bytes_before
    assert result.format.name == "yuv420p"
    assert (result.width, result.height) == (322, 182)
    assert (result.pts, result.time_base) == (12345, Fraction(1, 90000))
    assert (result.color_trc, result.color_primaries) == (1, 1)
    rgb = format == "rgb24"
    assert (result.colorspace, result.color_range) == ((BT601, LIMITED) if rgb else (BT709, FULL))


@pytest.mark.parametrize("name", ["overlay", "blur", "picture", "colour", "cutout"])
def test_result_shares_no_memory_between_calls(name):
    made = compositor(name)
    first = made.compose(picture(320, 180), masks(disc()))
    before = contents(first)
    made.compose(picture(320, 180, seed=4), masks(disc(0.2)))
    assert all(itertools.starmap(np.array_equal, zip(before, Planes.of(first), strict=True)))


def scene_cut(width, height):
    return picture(width, height, seed=77)


def settled(made, source):
    """What is hidden at first comes back by and by."""
    for _ in range(13):
        source.pts += 3000
        result = made.compose(source, masks(disc()))
    return result


def test_effect_and_size_may_change_at_any_picture():
    """What is kept from one picture to the next must not show up in the wrong one."""
    made = Compositor()
    neighbours = [(320, 200, False, BT601), (320, 200, True, BT601), (320, 200, True, BT709)]
    sizes = [(320, 240, True, BT709), (250, 240, True, BT709)]
    kinds = [*neighbours, *sizes, *KINDS[:3]]  # one difference at a time
    for name in EFFECTS:
        made.set_effects((Effect(name, background=USES.get(name)),), BACKGROUNDS)
        for width, height, full, matrix in kinds:
            source = picture(width, height, full, matrix)
            expected = settled(compositor(name), source)
            for _ in range(2):
                made.compose(scene_cut(width, height), None)  # and nothing of it stays
                result = settled(made, source)
                for plane, other in zip(Planes.of(result), Planes.of(expected), strict=True):
                    assert np.abs(plane.astype(int) - other).max() <= (
                        2 if name != "video" else 255
                    )


@pytest.mark.parametrize(
    ("width", "height", "aspect"),
    [(160, 90, 1), (90, 160, 1), (100, 100, 2), (333, 200, 0.5), (1, 1, 1)],
)
def test_cover_fills_the_picture_without_distortion(width, height, aspect):
    background = np.zeros((300, 400, 3), np.uint8)
    cv2.circle(background, (200, 150), 40, (255, 255, 255), -1)
    covered = cover(background, width, height, aspect)
    assert covered.shape == (height, width, 3)
    if min(width, height) > 1:
        rows, columns = np.nonzero(covered[..., 0] > 127)
        assert np.ptp(columns) * aspect == pytest.approx(np.ptp(rows), abs=2 + 2 * aspect)
        assert columns.mean() == pytest.approx(width / 2, abs=1.5)
        assert rows.mean() == pytest.approx(height / 2, abs=1.5)


def test_real_webcam_picture():
    """A hand-made outline of the person; the pictures are kept to be looked at."""
    with av.open(str(DATA / "video" / "webcam" / "student.mkv")) as container:
        source = next(itertools.islice(container.decode(video=0), 30, None))
    assert source.format.name == "yuvj420p"
    mask = cv2.fillPoly(np.zeros((480, 640), np.uint8), [np.array(PERSON)], 255)
    logits = cv2.resize(mask, (64, 64), interpolation=cv2.INTER_AREA).astype(np.float32) / 16 - 8
    for name in EFFECTS:
        result = compositor(name).compose(source, masks(logits))
        save(result, f"webcam_{name}")
        assert (result.pts, result.color_range) == (source.pts, FULL)
        y, original = Planes.of(result).y, Planes.of(source).y
        chest = np.s_[230:300, 260:340]
        if name in HIDES_BACKGROUND or name in ("none", "contour", "glow", "spotlight"):
            assert np.array_equal(y[chest], original[chest])
        if name in HIDES_BACKGROUND:
            wall = np.s_[20:200, 470:640]  # with the edge of a blue board
            assert np.abs(np.diff(y[wall].astype(int), axis=1)).max() < (
                40 if name in ("picture", "video") else 6
            )

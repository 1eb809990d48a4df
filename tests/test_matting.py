"""The matte against what was drawn: at 720p, where the grid is a quarter of the picture."""

import cv2
import numpy as np
import pytest

from stream.compose import matting, spill
from stream.compose.colour_space import ColourSpace
from stream.compose.compositor import Compositor
from stream.compose.effects import Effect
from stream.compose.matte import Matte, matte
from stream.compose.matting import Matting
from stream.compose.planes import Planes, halve
from tests.picture_helpers import masks, picture

WIDTH, HEIGHT, CELLS = 1280, 720, 96
RADIUS, SPEED, LATE = 170, 6, 3
y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)


FULL, LIMITED = (ColourSpace(0.299, 0.114, full) for full in (True, False))


def texture(seed, low, high):
    small = np.random.default_rng(seed).uniform(low, high, (45, 80)).astype(np.float32)
    return cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)


ROOM, FRONT = texture(1, 40, 90), texture(2, 150, 210)


def opacity(number, soft=1.0):
    """Of a disc that goes to the right; its edge is `soft` pixels wide."""
    away = np.hypot(x - 400 - SPEED * number, y - 360)
    return np.clip((RADIUS - away) / soft + 0.5, 0, 1)


def drawn(number, soft=1.0, u=(128, 128)):
    """u: codes of the room and of the disc."""
    alpha = opacity(number, soft)
    front = np.roll(FRONT, SPEED * number, axis=1)
    small = halve(np.uint8(np.rint(255 * alpha))) / 255
    chroma = np.uint8(np.rint(u[0] + (u[1] - u[0]) * small))
    luma = np.uint8(np.rint(ROOM + (front - ROOM) * alpha))
    return Planes(luma, chroma, np.full_like(chroma, 128))


def coarse(number, seed=None):
    """Logits as the model's: they rise by a tenth a pixel of 480p, and err by a few pixels."""
    away = np.hypot(x - 400 - SPEED * number, y - 360)
    logits = cv2.resize(
        np.clip((RADIUS - away) / 15, -8, 8), (CELLS, CELLS), 0, 0, 0, cv2.INTER_AREA
    )
    if seed is None:
        return logits
    noise = np.random.default_rng(seed).normal(0, 0.5, (12, 12)).astype(np.float32)
    return logits + cv2.resize(noise, (CELLS, CELLS), interpolation=cv2.INTER_CUBIC)


def overlap(found, truth):
    return (found & truth).sum() / (found | truth).sum()


def test_a_late_coarse_mask_becomes_the_object_where_it_is_now():
    made = Matting()
    for number in range(12):
        made.see(drawn(number), number)
        of = max(0, number - LATE)
        found = made.cutout(None, coarse(of, seed=of), of).matte.luma
        truth = opacity(number) > 0.5
        if number > LATE:
            late = matte(coarse(of, seed=of), WIDTH, HEIGHT) > 127
            assert overlap(late, truth) < 0.92
            assert overlap(found > 127, truth) > 0.97
            front, back = (np.nonzero(found[360] > 127)[0][end] for end in (-1, 0))
            centre = 400 + SPEED * number
            assert front == pytest.approx(centre + RADIUS, abs=4), "the edge that goes first"
            assert back == pytest.approx(centre - RADIUS, abs=4), "leaves nothing behind"


def test_the_object_is_whole_and_the_room_is_clear():
    made = Matting()
    made.see(drawn(0), 0)
    found = made.cutout(None, coarse(0), 0).matte.luma
    away = np.hypot(x - 400, y - 360)
    assert (found[away < RADIUS - 20] == 255).all()
    assert (found[away > RADIUS + 20] == 0).all()


def changes(steady, monkeypatch):
    """Mean change of opacity near the edge of a still picture, from mask to mask."""
    monkeypatch.setattr(matting, "STEADY", steady)
    made, former, found = Matting(), None, []
    for number in range(8):
        made.see(drawn(0, soft=12.0), number)
        luma = made.cutout(None, coarse(0, seed=number), number).matte.luma.astype(float)
        if former is not None and number > 2:
            found.append(np.abs(luma - former)[(luma > 0) & (luma < 255)].mean())
        former = luma
    return np.mean(found)


def test_still_edges_stand_still_though_the_mask_wobbles(monkeypatch):
    assert changes(matting.STEADY, monkeypatch) < 0.5 * changes(0.0, monkeypatch)


@pytest.mark.parametrize(("soft", "left"), [(2.0, 0.3), (8.0, 0.4), (24.0, 0.45)])
def test_the_old_backgrounds_colour_is_taken_out_of_the_edge(soft, left):
    """Before a background of the disc's own colour no edge would be seen, were the matte exact."""
    source = drawn(0, soft=soft, u=(90, 160))
    made = Matting()
    made.see(source, 0)
    cut = made.cutout(None, coarse(0), 0)
    share = cut.matte.chroma / 255
    mixed = np.uint8(np.rint(source.u * share + 160 * (1 - share)))
    result = Planes(source.y.copy(), mixed.copy(), source.v.copy())
    spill.remove(result, cut.matte, cut.contrast, FULL)
    edge = (share > 0.1) & (share < 0.9)
    before, after = (np.abs(u[edge] - 160.0).mean() for u in (mixed, result.u))
    assert edge.sum() > 400
    assert before > 6
    assert after < left * before
    still = Matte(np.full_like(source.y, 255), np.full_like(source.u, 255))
    spill.remove(result, still, cut.contrast, FULL)
    assert np.array_equal(result.v, source.v)


@pytest.mark.parametrize("remove", [spill.remove, spill.remove_uncovered])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_edge_stays_in_the_pictures_range(remove, sign):
    """White before black and the reverse: what is taken out would lead beyond either end."""
    alpha = np.uint8(np.rint(opacity(0, soft=24.0) * 255))
    cut = Matte.of(alpha)
    contrast = np.full((90, 160, 3), 0.3 * sign, np.float32)
    near = (226, 230, 230) if sign > 0 else (25, 25, 25)
    for space, changed in ((LIMITED, 9), (FULL, 12)):
        result = Planes.flat(near, WIDTH, HEIGHT)
        remove(result, cut, contrast, space)
        for plane, start, (least, greatest) in zip(result, near, space.ranges, strict=True):
            assert least <= plane.min() <= plane.max() <= greatest
            assert np.abs(plane.astype(int) - start).max() >= changed, "it is taken out at all"


def test_codes_beyond_the_range_are_left_where_they_are():
    """Many cameras use them; cut off at the edge alone they would make a rim."""
    alpha = np.uint8(np.rint(opacity(0, soft=24.0) * 255))
    result = Planes.flat((250, 128, 128), WIDTH, HEIGHT)
    spill.remove(result, Matte.of(alpha), np.full((90, 160, 3), 0.3, np.float32), LIMITED)
    assert (result.y == 250).all()


def test_what_effects_below_have_changed_is_not_taken_out_again():
    """Of a picture made grey and put before grey, nothing is coloured."""
    made = Compositor()
    grey = Effect("desaturate", 1.0, target="both")
    made.set_effects((grey, Effect("colour", colour="#808080")), {})
    source = picture(WIDTH, HEIGHT)
    for plane, drawn_plane in zip(Planes.of(source), drawn(0, 12.0, (90, 160)), strict=True):
        plane[...] = drawn_plane
    result = Planes.of(made.compose(source, masks(coarse(0))))
    assert np.ptp(result.y) > 20
    assert max(np.abs(plane.astype(int) - 128).max() for plane in (result.u, result.v)) <= 1

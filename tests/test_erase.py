"""What is shown where an object was erased, against what was drawn behind it."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from picture_helpers import disc, masks, picture

from stream.compose.camera import camera_motion, enlarged, farthest
from stream.compose.compositor import Compositor
from stream.compose.effects import Effect
from stream.compose.flow import Motion
from stream.compose.planes import Planes

WIDTH, HEIGHT = 640, 360
RANDOM = np.random.default_rng(0)
WALL = cv2.resize(
    RANDOM.integers(60, 200, (80, 120), np.uint8), (960, 640), interpolation=cv2.INTER_CUBIC
)
RADIUS = 0.1 * WIDTH


def seen(matrix, ball=None, wall=WALL, level=235):
    """A picture of the wall by a camera, and the luma of the wall alone. matrix: [2, 3], takes
    pixels of the picture to those of the wall; ball: its centre in the picture."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    luma = cv2.warpAffine(wall, np.float64(matrix), (WIDTH, HEIGHT), flags=flags)
    source = picture(WIDTH, HEIGHT)
    planes = Planes.of(source)
    planes.y[...], planes.u[...], planes.v[...] = luma, 128, 128
    if ball is not None:
        cv2.circle(planes.y, ball, round(RADIUS), level, -1)
    return source, luma.astype(int)


def ball_mask(centre, ids=(1,)):
    rows, columns = np.mgrid[:96, :96]
    away = np.hypot(
        (columns + 0.5) * WIDTH / 96 - centre[0], (rows + 0.5) * HEIGHT / 96 - centre[1]
    )
    return np.clip((RADIUS - away) * 0.3, -8, 8).astype(np.float32)


def at(x, y, turn=0.0, zoom=1.0):
    matrix = cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), turn, zoom)
    matrix[:, 2] += x, y
    return matrix


@pytest.mark.parametrize(
    "way",
    [
        lambda i: at(100 + 4 * i, 100),
        lambda i: at(100 + 0.3 * i, 100 + 0.2 * i),
        lambda i: at(100, 100, turn=0.4 * i),
        lambda i: at(100, 100, zoom=1 + 0.006 * i),
        lambda i: at(100 + 3 * np.sin(i), 100 + 2 * np.cos(1.7 * i)),  # a hand that trembles
    ],
    ids=["pan", "slowly", "turn", "zoom", "hand"],
)
def test_what_was_seen_goes_along_with_the_camera(way):
    made = Compositor()
    made.set_effect(Effect("erase"))
    errors = []
    for i in range(40):
        centre = (80 + 12 * i, 180)
        source, wall = seen(way(i), centre)
        result = made.compose(source, masks(ball_mask(centre)))
        if i >= 25:  # over ground that was seen before
            part = np.s_[140:220, centre[0] - 40 : centre[0] + 40]
            assert np.abs(Planes.of(result).u.astype(int) - 128).max() <= 2
            errors.append(np.abs(Planes.of(result).y[part] - wall[part]).mean())
    bare = np.abs(235 - wall).mean()
    assert np.mean(errors) < 0.15 * bare
    assert max(errors) < 0.3 * bare


def test_motion_of_the_camera_is_told_in_spite_of_a_large_object():
    motion = Motion()
    for i in range(2):
        source, _ = seen(at(100 + 6 * i, 100 + 2 * i), (200 - 10 * i, 180))
        luma = cv2.resize(Planes.of(source).y, (320, 180), interpolation=cv2.INTER_AREA)
        step = motion.see(luma, i)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.circle(mask, (190, 180), 80, 255, -1)
    found = enlarged(camera_motion(step, mask), 2, 2)
    # What is in the picture at x was 6 pixels farther right in the one before.
    assert found[:2, 2] == pytest.approx([6, 2], abs=0.5)
    assert farthest(found, WIDTH, HEIGHT) == pytest.approx(np.hypot(6, 2), abs=0.8)
    assert camera_motion(step, np.full_like(mask, 255)) is None, "nothing of the wall to go by"


def test_nothing_is_kept_over_a_cut():
    made = Compositor()
    made.set_effect(Effect("erase"))
    made.compose(seen(at(0, 0))[0], masks(ball_mask((80, 180))))
    other = np.full_like(WALL, 90)
    other[:, ::40] = 130
    for i in range(1, 30):  # until all has faded in again
        source, _ = seen(at(0, 0), (320, 180), other)
        source.pts = 12345 + 3000 * i
        result = made.compose(source, masks(ball_mask((320, 180))))
    assert np.abs(Planes.of(result).y[160:200, 300:340] - 100.0).max() < 45


SLIDERS = {
    "above": lambda i: (Effect("erase"), Effect("contour", i / 20, objects=(2,))),
    "below": lambda i: (Effect("desaturate", i / 20, target="both"), Effect("erase")),
    "added": lambda i: (Effect("erase"), *[Effect("glow")] * (i > 10)),
}


@pytest.mark.parametrize("name", SLIDERS)
def test_sliders_and_other_effects_leave_what_was_seen(name):
    made = Compositor()
    for i in range(20):
        made.set_effects(SLIDERS[name](i), {})
        centre = (140 if i < 4 else 420, 180)
        source, wall = seen(at(100, 100), centre)
        result = made.compose(source, masks(ball_mask(centre)))
        if i >= 4:
            part = np.s_[150:210, 390:450]
            assert np.abs(Planes.of(result).y[part] - wall[part]).mean() < 3


def test_what_is_below_changes_what_was_seen_too():
    """The wall goes dark under a spotlight, and so does the part of it that was seen before."""
    made = Compositor()
    for i, strength in enumerate((0.0, 0.0, 1.0)):
        made.set_effects((Effect("spotlight", strength, target="both"), Effect("erase")), {})
        centre = (420 if i else 140, 180)
        result = made.compose(seen(at(100, 100), centre)[0], masks(ball_mask(centre)))
    assert Planes.of(result).y[170:190, 410:430].max() < 60


def test_what_another_effect_hides_is_never_taken_for_background():
    """Somebody white is pixelated; somebody black, who is erased, steps before him, and he walks
    away behind: what is shown in place of the black one is not the white one as he was."""
    made = Compositor()
    made.set_effects((Effect("erase", objects=(1,)), Effect("pixelate", objects=(2,))), {})
    for i in range(20):
        black, white = (460 - 40 * max(8 - i, 0), 180), (460, 180 + 15 * max(i - 8, 0))
        source, _ = seen(at(100, 100), white)
        cv2.circle(Planes.of(source).y, black, round(RADIUS), 20, -1)
        given = masks(ball_mask(black), ball_mask(white), ids=(1, 2))
        result = made.compose(source, given)
    assert Planes.of(result).y[150:210, 430:490].max() < 225


def test_an_effect_that_comes_to_hide_somebody_forgets_how_he_looked():
    """Nobody had told of the white one, who was seen and is behind the other one now."""
    made = Compositor()
    made.set_effects((Effect("erase", objects=(1,)),), {})
    for i in range(14):
        black = (460 - 26 * (13 - i), 180)
        source, _ = seen(at(100, 100))
        luma = Planes.of(source).y
        cv2.circle(luma, (460, 180), 30, 235, -1)
        cv2.circle(luma, black, round(RADIUS), 20, -1)
        result = made.compose(source, masks(ball_mask(black)))
    assert Planes.of(result).y[160:200, 440:480].mean() > 220, "he is shown: so far nobody minds"
    hides = Effect("pixelate", objects=(2,))
    made.set_effects((Effect("erase", objects=(1,)), hides), {})
    given = masks(ball_mask(black), np.full((96, 96), -8, np.float32), ids=(1, 2))
    result = made.compose(source, given)
    assert Planes.of(result).y[160:200, 440:480].max() < 220


def test_what_was_never_seen_is_made_up_from_around():
    """A wall that goes from dark to light, never seen whole: no ghost of one grey is left on it."""
    slope = np.tile(np.linspace(40, 220, 960).astype(np.uint8), (640, 1))
    made = Compositor()
    made.set_effect(Effect("erase"))
    for _ in range(3):
        source, wall = seen(at(100, 100), (320, 200), slope)
        result = made.compose(source, masks(ball_mask((320, 200))))
    assert np.abs(Planes.of(result).y - wall).max() <= 15
    assert np.abs(Planes.of(result).v.astype(int) - 128).max() <= 2


@pytest.mark.parametrize("size", [(64, 48), (65, 47), (9, 7), (1, 1), (2, 300)])
def test_any_size_under_a_moving_camera(size):
    made = Compositor()
    made.set_effect(Effect("erase"))
    for i in range(4):
        result = made.compose(picture(*size, seed=0), masks(disc(0.3 + 0.1 * i)))
    assert (result.width, result.height) == size


def test_of_a_late_mask_more_is_taken_in_the_more_its_object_moved():
    """The flow may be off by a part of it, and what is left over would be remembered."""
    widths = []
    for lag in (1, 6):
        compositor = Compositor()
        compositor.set_effects((Effect("erase"),), {})
        for number in range(14):
            centre = (200 + 6 * number, 180)
            source, _ = seen(at(100, 100), centre)
            of = max(0, number - lag)
            mask = replace(masks(ball_mask((200 + 6 * of, 180))), index=of)
            result = compositor.compose(source, mask, number, lag / 30)
        row = Planes.of(result).y[180].astype(int) - Planes.of(source).y[180]
        changed = np.flatnonzero(np.abs(row) > 8)
        widths.append(changed.max() - changed.min())
    assert widths[0] >= 2 * RADIUS
    assert widths[1] >= widths[0] + 45, "without it 27"


def test_where_nothing_was_ever_seen_it_is_black():
    compositor = Compositor()
    compositor.set_effects((Effect("erase"),), {})
    source = picture(WIDTH, HEIGHT)
    for _ in range(2):
        result = compositor.compose(source, masks(np.full((96, 96), 8, np.float32)))
    y, u, v = Planes.of(result)
    assert (y == 16).all()
    assert (u == 128).all()
    assert (v == 128).all()

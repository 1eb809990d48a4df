"""Each effect against what it is meant to do, drawn small; stacks; per object; by target."""

import cv2
import numpy as np
import pytest
from picture_helpers import EMPTY, contents, disc, masks, picture, save

from stream.compose.compositor import Compositor
from stream.compose.effects import EFFECTS, HIDING, Effect, check_stack
from stream.compose.planes import Planes
from stream.errors import EffectError, LimitError

INSIDE, OUTSIDE = np.s_[160:200, 300:340], np.s_[:60, :120]
CHROMA_INSIDE, CHROMA_OUTSIDE = np.s_[80:100, 150:170], np.s_[:30, :60]


def composed(*stack, source=None, given=None, count=1):
    made = Compositor()
    clip = np.stack([np.full((40, 60, 3), level, np.uint8) for level in (40, 200)]), 10.0
    made.set_effects(stack, {"clip": clip, "wide": np.full((50, 200, 3), 250, np.uint8)})
    source = source or picture(640, 360)
    for _ in range(count):
        result = made.compose(source, masks(disc()) if given is None else given)
    return source, result, made


def planes_of(*stack, **kind):
    source, result, _ = composed(*stack, **kind)
    return Planes.of(source), Planes.of(result)


@pytest.mark.parametrize(
    "name", ["blur", "pixelate", "desaturate", "spotlight", "colour", "overlay"]
)
@pytest.mark.parametrize("target", ["object", "background", "both"])
def test_target_is_changed_and_the_rest_is_bit_identical(name, target):
    before, after = planes_of(Effect(name, 1.0, target=target))
    plane, inside, outside = (
        ("u", CHROMA_INSIDE, CHROMA_OUTSIDE) if name == "desaturate" else ("y", INSIDE, OUTSIDE)
    )
    for area, is_target in ((inside, target != "background"), (outside, target != "object")):
        old, new = getattr(before, plane)[area], getattr(after, plane)[area]
        assert np.array_equal(old, new) != is_target


def test_mask_is_white_on_black_in_the_pictures_range():
    for full, black, white in ((False, 16, 235), (True, 0, 255)):
        _, after = planes_of(Effect("mask"), source=picture(640, 360, full))
        assert (after.y[INSIDE] == white).all()
        assert (after.y[OUTSIDE] == black).all()
        assert (after.u == 128).all()


def test_alpha_stands_beside_the_picture():
    before, after = planes_of(Effect("alpha"))
    assert (after.y[170:190, 470:490] == 235).all()
    assert (after.y[:30, 340:] == 16).all()
    halved = before.y[:, ::2][:, 0:320].astype(int)
    assert np.abs(after.y[:, :320] - halved).mean() < 4
    assert (after.u[:, 161:] == 128).all()


def test_contour_and_glow_leave_the_middle_and_the_far_alone():
    for name in ("contour", "glow"):
        before, after = planes_of(Effect(name, 0.5))
        for area in (INSIDE, OUTSIDE):
            assert np.array_equal(before.y[area], after.y[area])
        assert not np.array_equal(before.y, after.y)


RED = "#d02010"


@pytest.mark.parametrize("target", ["object", "background", "both"])
def test_overlay_takes_its_colour_to_its_target(target):
    """Where all of a tint is there, and nowhere else, the colour is the tint's."""
    _, after = planes_of(Effect("overlay", 1.0, RED, target=target))
    _, wanted = planes_of(Effect("colour", 1.0, RED, target="both"))
    for area, is_target in (
        (CHROMA_INSIDE, target != "background"),
        (CHROMA_OUTSIDE, target != "object"),
    ):
        assert np.array_equal(after.v[area], wanted.v[area]) == is_target


@pytest.mark.parametrize("name", ["overlay", "contour", "glow"])
def test_a_colour_that_is_given_is_every_objects(name):
    both = masks(disc(0.25, 0.5, 0.1), disc(0.75, 0.5, 0.1), ids=(3, 8))
    source = picture(640, 360)
    for plane in Planes.of(source):
        plane[...] = 128
    _, given = planes_of(Effect(name, 1.0, RED), source=source, given=both)
    _, own = planes_of(Effect(name, 1.0), source=source, given=both)
    left, right = np.s_[:, :160], np.s_[:, 160:]
    assert given.v[left].max() == given.v[right].max() > 150
    assert own.v[left].max() != own.v[right].max()


def test_a_background_without_a_colour_is_tinted_green():
    _, usual = planes_of(Effect("overlay", 0.5, target="background"))
    _, green = planes_of(Effect("overlay", 0.5, "#00b140", target="background"))
    assert all(map(np.array_equal, usual, green))


def test_desaturate_leaves_luma_and_spotlight_darkens():
    before, after = planes_of(Effect("desaturate", 1.0, target="both"))
    assert np.array_equal(before.y, after.y)
    assert (after.u == 128).all()
    before, after = planes_of(Effect("spotlight", 1.0))
    assert after.y[OUTSIDE].mean() < 16 + 0.15 * (before.y[OUTSIDE].mean() - 16) + 2


def test_pixels_are_square_blocks_of_their_means():
    before, after = planes_of(Effect("pixelate", 0.0, target="both"))
    side = 16
    for row in range(0, 320, side):
        block = np.s_[row : row + side, 64 : 64 + side]
        assert np.ptp(after.y[block]) == 0
        assert after.y[block][0, 0] == pytest.approx(before.y[block].mean(), abs=1)


def test_video_goes_on_with_the_pictures_time_and_starts_again():
    made = Compositor()
    clip = np.stack([np.full((40, 60, 3), level, np.uint8) for level in (40, 200)]), 10.0
    made.set_effects((Effect("video", background="clip"),), {"clip": clip})
    levels = []
    for number in range(8):
        source = picture(640, 360)
        source.pts = number * 9000 // 2  # 20 a second
        levels.append(int(Planes.of(made.compose(source, masks(disc()))).y[0, 0]))
    assert levels[:2] == levels[4:6] == [levels[0]] * 2
    assert levels[2:4] == levels[6:8] == [levels[2]] * 2
    assert levels[2] > levels[0] + 80


def test_contain_shows_all_of_the_picture_where_it_is_put():
    wide = {"background": "wide", "fit": "contain"}
    _, after = planes_of(Effect("picture", **wide), given=masks(disc(0.5, 0.5, 0.05)))
    bright = after.y[:, 5] > 150
    assert bright.sum() == pytest.approx(160, abs=2)
    assert np.flatnonzero(bright).mean() == pytest.approx(179.5, abs=1)
    _, after = planes_of(Effect("picture", position=(0.5, 0.0), **wide))
    assert np.flatnonzero(after.y[:, 5] > 150).max() < 162


def test_erase_shows_what_was_seen_behind_before():
    made = Compositor()
    made.set_effect(Effect("erase"))
    empty = picture(640, 360)
    hidden = picture(640, 360)
    Planes.of(hidden).y[120:240, 440:520] = 235
    at = masks(disc(0.75, 0.5, 0.2))
    first = masks(disc(0.1, 0.5, 0.05))
    made.compose(empty, first)
    result = made.compose(hidden, at)
    back = Planes.of(result).y[130:230, 450:510].astype(int)
    # The background was seen whole on the first picture.
    assert np.abs(back - Planes.of(empty).y[130:230, 450:510]).max() <= 2


@pytest.mark.parametrize("short", [0, 6])
@pytest.mark.parametrize("steepness", [60.0, 8.0])
def test_erase_takes_what_the_mask_missed_at_the_border(short, steepness):
    """A bright ball, with a mask that ends `short` pixels within it, and vaguely."""
    made = Compositor()
    made.set_effect(Effect("erase"))
    source = picture(640, 360)
    planes = Planes.of(source)
    planes.y[...], planes.u[...], planes.v[...] = 60, 128, 128
    empty = planes.y.copy()
    cv2.circle(planes.y, (320, 180), 80, 235, -1, cv2.LINE_AA)
    rows, columns = np.mgrid[:64, :64]
    away = np.hypot((columns + 0.5) * 10 - 320, (rows + 0.5) * 5.625 - 180)
    logits = np.clip((80 - short - away) / 640 * steepness, -20, 20)
    for _ in range(3):
        result = made.compose(source, masks(logits))
        assert np.abs(Planes.of(result).y.astype(int) - empty).max() <= 3
    save(result, f"erase_{short}_{steepness:.0f}")


def test_effects_stack_in_their_order():
    both = (Effect("desaturate", 1.0, target="both"), Effect("colour", colour="#00ff00"))
    _, after = planes_of(*both)
    assert (after.u[CHROMA_INSIDE] == 128).all()
    assert not (after.u[CHROMA_OUTSIDE] == 128).any()
    _, after = planes_of(*reversed(both))
    assert (after.u == 128).all()


def test_an_effect_may_be_for_one_object_alone():
    left, right = disc(0.25, 0.5, 0.1), disc(0.75, 0.5, 0.1)
    both = masks(left, right, ids=(3, 8))
    before, after = planes_of(Effect("pixelate", 1.0, objects=(8,)), given=both)
    at_left, at_right = np.s_[160:200, 140:180], np.s_[160:200, 460:500]
    assert np.array_equal(before.y[at_left], after.y[at_left])
    assert not np.array_equal(before.y[at_right], after.y[at_right])
    before, after = planes_of(Effect("colour", objects=(3,)), given=both)
    assert np.array_equal(before.y[at_left], after.y[at_left])
    assert np.ptp(after.y[at_right]) == 0


def test_hiding_an_object_that_is_not_tracked_hides_all():
    before, after = planes_of(Effect("pixelate", 1.0, objects=(9,)))
    assert not np.array_equal(before.y[OUTSIDE], after.y[OUTSIDE])
    before, after = planes_of(Effect("colour", objects=(9,)))
    assert np.ptp(after.y) == 0


@pytest.mark.parametrize("name", sorted(set(EFFECTS) - HIDING - {"mask", "alpha"}))
def test_effects_that_hide_nothing_show_the_picture_without_objects(name):
    if name in ("overlay", "spotlight", "desaturate"):
        for target in ("object", "background"):
            before, after = planes_of(Effect(name, target=target), given=masks(EMPTY))
            assert np.array_equal(before.y, after.y)


def test_strength_may_change_at_any_picture_without_a_new_backdrop():
    made = Compositor()
    background = np.random.default_rng(0).integers(0, 256, (90, 160, 3), np.uint8)
    made.set_effects((Effect("picture", 0.1, background="a"),), {"a": background})
    backdrop = made._scene[0].backdrop
    made.set_effects((Effect("picture", 0.9, background="a"), Effect("overlay")), {"a": background})
    assert made._scene[0].backdrop is backdrop


def test_copies_are_counted():
    assert composed(Effect("none"))[2].copies == 0
    assert composed(Effect("blur"))[2].copies == 2, "its blurred picture, and the mixture"
    assert composed(Effect("blur"), Effect("overlay"), Effect("spotlight"))[2].copies == 4


def test_stacks_that_make_no_sense_are_refused():
    with pytest.raises(EffectError, match="no effect"):
        check_stack(())
    with pytest.raises(LimitError):
        check_stack((Effect(),) * 9)
    for effect, what in [
        (Effect("blur", target="sky"), "target"),
        (Effect("contour", target="background"), "always"),
        (Effect("blur", fit="stretch"), "fit"),
        (Effect("picture", position=(0.5, 1.5)), "position"),
        (Effect("picture", position=0.5), "position"),
        (Effect("blur", objects=()), "objects"),
        (Effect("blur", objects=(1, "2")), "objects"),
    ]:
        with pytest.raises(EffectError, match=what):
            check_stack((effect,))


def test_every_effect_is_drawn_to_be_looked_at():
    for name in EFFECTS:
        if name not in ("picture", "video"):
            source, result, _ = composed(Effect(name))
            save(result, f"effect_{name}")
            assert [p.shape for p in Planes.of(result)] == [p.shape for p in contents(source)]

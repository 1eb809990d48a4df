import colorsys
import itertools
import math
import re

import numpy as np
import pytest

from stream.compose.compositor import Compositor
from stream.compose.effects import EFFECTS, HIDES_BACKGROUND, Effect, check
from stream.compose.palette import colour
from stream.errors import EffectError


@pytest.mark.parametrize("name", EFFECTS)
@pytest.mark.parametrize("strength", [0, 0.5, 1, 1.0])
def test_known_effects_pass(name, strength):
    check(Effect(name, strength, "#ABcdef", "room"))


def test_default_effect_is_the_overlay():
    assert Effect().name == "overlay"
    assert Compositor().effect == Effect()
    assert set(EFFECTS) > HIDES_BACKGROUND


@pytest.mark.parametrize("name", ["", "sparkle", "Blur", None, 3, ["blur"]])
def test_unknown_effect_names_the_known_ones(name):
    with pytest.raises(EffectError, match=", ".join(EFFECTS)):
        check(Effect(name))


@pytest.mark.parametrize("strength", [-0.01, 1.01, math.nan, math.inf, "0.5", None, True, [0.5]])
def test_strength_must_be_a_share(strength):
    with pytest.raises(EffectError, match="strength"):
        check(Effect("blur", strength))


@pytest.mark.parametrize(
    "text", ["", "green", "#00b14", "#00b1400", "00b140", "#00b14g", "#00b140\n", 0, True]
)
def test_colour_must_be_six_hexadecimal_digits(text):
    with pytest.raises(EffectError, match="#rrggbb"):
        check(Effect("colour", colour=text))


def test_background_must_be_a_name():
    with pytest.raises(EffectError, match="background"):
        check(Effect("picture", background=5))


@pytest.mark.parametrize(
    "background",
    [
        None,
        np.zeros((9, 16), np.uint8),
        np.zeros((9, 16, 4), np.uint8),
        np.zeros((9, 16, 3), np.float32),
        np.zeros((0, 16, 3), np.uint8),
    ],
)
def test_picture_needs_a_background_picture(background):
    with pytest.raises(EffectError, match="background"):
        Compositor().set_effect(Effect("picture"), background)


def test_refused_effect_leaves_the_former_one():
    compositor = Compositor()
    compositor.set_effect(Effect("blur", 0.7))
    for effect in (Effect("sparkle"), Effect("picture"), Effect("blur", 2)):
        with pytest.raises(EffectError):
            compositor.set_effect(effect)
    assert compositor.effect == Effect("blur", 0.7)


def test_colours_of_neighbouring_ids_differ():
    def hue_value(object_id):
        text = colour(object_id)
        assert re.fullmatch(r"#[0-9a-f]{6}", text)
        return np.array([*bytes.fromhex(text[1:])], float)

    assert colour(1) == colour(1)
    colours = [hue_value(object_id) for object_id in range(16)]
    assert min(np.abs(a - b).sum() for a, b in itertools.combinations(colours, 2)) > 60
    assert min(np.abs(a - b).sum() for a, b in itertools.pairwise(colours)) > 200
    assert all(colorsys.rgb_to_hsv(*(c / 255))[1] > 0.5 for c in colours)
    assert len({colour(object_id) for object_id in range(200)}) > 190

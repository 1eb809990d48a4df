import pytest

from stream.compose.effect_fields import effect, stack, value, written
from stream.compose.effects import Effect
from stream.errors import EffectError, LimitError


def test_json_becomes_effects():
    given = {"name": "pixelate", "strength": 1, "target": "both", "objects": [1, 2]}
    assert effect(given) == Effect("pixelate", 1, target="both", objects=(1, 2))
    assert effect({"name": "blur"}) == Effect("blur")
    assert stack("blur") == (Effect("blur"),)
    assert stack({"name": "blur"}) == (Effect("blur"),)
    assert stack(["blur", {"name": "picture", "fit": "contain", "position": [0, 1]}]) == (
        Effect("blur"),
        Effect("picture", fit="contain", position=(0, 1)),
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "None is unknown"),
        ({"name": ["blur"]}, "unknown"),
        ({"name": "blur", "glow": 1}, "field 'glow'; known are background"),
        ({"name": "blur", "objects": "1"}, "objects"),
        ({"name": "blur", "position": [1]}, "position"),
        ([], "no effect"),
        (None, "wanted"),
        (3, "wanted"),
        ([["blur"]], "wanted"),
    ],
)
def test_what_is_no_effect_is_refused(given, message):
    with pytest.raises(EffectError, match=message):
        stack(given)


def test_too_many_are_refused():
    with pytest.raises(LimitError):
        stack(["none"] * 9)


def test_what_is_written_on_a_command_line():
    assert written("blur", {}) == {"name": "blur"}
    usual = {"strength": 0.2, "fit": "contain"}
    text = "picture:background=C:/a:b.png:position=0,0.5:strength=1:objects=3,4"
    assert written(text, usual) == {
        "name": "picture",
        "strength": 1.0,
        "fit": "contain",
        "background": "C:/a:b.png",
        "position": (0.0, 0.5),
        "objects": (3, 4),
    }
    assert written("blur:glow=3", {}) == {"name": "blur:glow=3"}, "no effect's name"
    for field, bad in (("strength", "much"), ("objects", "cat"), ("position", "left")):
        with pytest.raises(EffectError, match=f"{field} is '{bad}'"):
            value(field, bad)

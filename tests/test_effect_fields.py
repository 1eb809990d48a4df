import json

import pytest

from stream.compose.effect_fields import (
    as_json,
    as_text,
    effect,
    of_texts,
    stack,
    told,
    value,
    written,
)
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


def test_texts_share_what_is_usual():
    assert of_texts(["blur", "pixelate:strength=1"], {"strength": "0.2", "objects": "1"}) == (
        Effect("blur", 0.2, objects=(1,)),
        Effect("pixelate", 1, objects=(1,)),
    )
    with pytest.raises(EffectError, match="strength is 'x'"):
        of_texts(["blur"], {"strength": "x"})
    with pytest.raises(LimitError):
        of_texts(["none"] * 9, {})


ALL_UNUSUAL = Effect("picture", 1.0, "#0000ff", "room", "both", (1, 2), "contain", (0.0, 0.25))


@pytest.mark.parametrize(
    "given",
    [
        (Effect("blur"),),
        (Effect("blur", 0.2),),
        (Effect("blur"), ALL_UNUSUAL),
        (ALL_UNUSUAL, Effect("pixelate", objects=(3,))),
    ],
)
def test_effects_that_are_written_are_read_again(given):
    assert stack(json.loads(json.dumps(as_json(given)))) == given
    assert of_texts([as_text(each) for each in given], {}) == given
    assert stack(json.loads(json.dumps([told(each) for each in given]))) == given


def test_what_is_written_is_short():
    assert as_json((Effect("blur"),)) == "blur"
    assert as_json((Effect("blur"), Effect("none", objects=(1,)))) == [
        "blur",
        {"name": "none", "objects": (1,)},
    ]
    assert as_text(Effect("pixelate", 1, objects=(1, 2))) == "pixelate:strength=1:objects=1,2"

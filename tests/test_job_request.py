"""What a job may be asked, and how the hosted endpoint's fields become that."""

import contextlib
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stream.errors import EffectError, InputError, LimitError, PromptError, SegstreamError
from stream.jobs.request import parse
from stream.prompts import Box, Point, Text
from stream.server import hosted

RELAXED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

WORDS = ("object", "person")


def prompts(*given: Any, **more: Any) -> dict[str, Any]:
    return {"prompts": list(given), **more}


def test_prompts_of_all_kinds() -> None:
    request = parse(
        prompts(
            {"text": "the man"},
            {"object": 2, "frame": 3, "box": [1, 2, 30, 40.5], "negative": [[5, 6]]},
            {"object": 3, "point": [1, 1], "points": [[2, 2], [3, 3]]},
            effect={"name": "blur", "strength": 1},
            exports=["coco", "mask", "coco"],
        )
    )
    assert request.names == {1: "person", 2: "object", 3: "object"}
    assert request.exports == ("coco", "mask")
    assert [effect.name for effect in request.effects] == ["blur"]
    schedule = request.schedule()
    request.check_words(WORDS)
    due = [schedule.due(Fraction(i, 25)) for i in range(5)]
    assert due[0] == [
        Text(1, "the man"), Point(3, 1, 1), Point(3, 2, 2), Point(3, 3, 3)
    ]  # fmt: skip
    assert due[3] == [Box(2, 1, 2, 30, 40.5), Point(2, 5, 6, False)]
    assert due[1] == due[2] == due[4] == []


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ([], InputError),
        ({}, PromptError),
        (prompts(), PromptError),
        (prompts("x"), PromptError),
        (prompts({}), PromptError),
        (prompts({"object": 1}), PromptError),
        (prompts({"object": 0, "text": "person"}), PromptError),
        (prompts({"object": 256, "text": "person"}), PromptError),
        (prompts({"object": True, "text": "person"}), PromptError),
        (prompts({"frame": -1, "text": "person"}), PromptError),
        (prompts({"frame": 1.5, "text": "person"}), PromptError),
        (prompts({"text": ""}), PromptError),
        (prompts({"text": "x" * 61}), PromptError),
        (prompts({"text": 7}), PromptError),
        (prompts({"point": [1]}), PromptError),
        (prompts({"point": [1, "2"]}), PromptError),
        (prompts({"point": [1, float("nan")]}), PromptError),
        (prompts({"point": [1, 10**400]}), PromptError),
        (prompts({"points": [1, 2]}), PromptError),
        (prompts({"points": "x"}), PromptError),
        (prompts({"box": [1, 2, 3]}), PromptError),
        (prompts({"negative": [[1, 2]]}), PromptError),
        (prompts({"text": "person", "where": 1}), PromptError),
        (prompts({"text": "person"}, {"text": "dog"}), PromptError),
        (prompts({"text": "person"}, exports=[]), InputError),
        (prompts({"text": "person"}, exports=["gif"]), InputError),
        (prompts({"text": "person"}, exports=[["mask"]]), InputError),
        (prompts({"text": "person"}, effect="sparkle"), EffectError),
        (prompts({"text": "person"}, effect=[]), EffectError),
        (prompts({"text": "person"}, effect={"name": "contour", "target": "both"}), EffectError),
        (prompts({"text": "person"}, effect=["none", "video"]), EffectError),
        (prompts({"text": "person"}, effect=["none"] * 9), LimitError),
        (prompts({"text": "person"}, effect={"name": ["blur"]}), EffectError),
        (prompts({"text": "person"}, effect={"glow": 1}), EffectError),
        (prompts({"text": "person"}, effect={"name": "picture"}), EffectError),
        (
            prompts({"text": "person"}, effect={"name": "picture", "background": "../x"}),
            EffectError,
        ),
        (prompts({"text": "person"}, more=1), InputError),
        (prompts(*[{"object": i, "point": [1, 1]} for i in range(1, 18)]), LimitError),
        (prompts(*[{"point": [1, 1]}] * 1001), LimitError),
    ],
)
def test_what_is_refused(body: Any, kind: type[SegstreamError]) -> None:
    with pytest.raises(kind):
        parse(body)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["object", "frame", "text", "point", "points", "negative", "box", "name"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def fields(*names: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=dict.fromkeys(names, anything))


@RELAXED
@given(fields("prompts", "effect", "exports"))
def test_anything_is_understood_or_refused(body: dict[str, Any]) -> None:
    with contextlib.suppress(SegstreamError):
        parse(body).schedule()


@RELAXED
@given(fields("prompt", "coordinates", "remove_coordinates", "overlay_mask"))
def test_any_call_is_understood_or_refused(call: dict[str, Any]) -> None:
    with contextlib.suppress(SegstreamError):
        parse(hosted.read(call))


def test_a_prompt_on_a_frame_that_is_not_there() -> None:
    schedule = parse(prompts({"frame": 10, "point": [1, 1]})).schedule()
    schedule.check_frames(11)
    with pytest.raises(PromptError, match="10 frames"):
        schedule.check_frames(10)
    schedule.check_over(5)  # seconds say nothing before there were frames
    schedule.due(Fraction(0))
    with pytest.raises(PromptError, match="frame 10"):
        schedule.check_over(Fraction(0))


def test_a_model_is_named() -> None:
    wanted = {"prompts": [{"point": [1, 1]}]}
    assert parse(wanted).model is None
    assert parse({**wanted, "model": "sam2.1-tiny@512"}).model == "sam2.1-tiny@512"
    for wrong in (1, "", "x" * 61, ["nano"]):
        with pytest.raises(InputError, match="model is"):
            parse({**wanted, "model": wrong})


def test_unknown_words() -> None:
    with pytest.raises(PromptError, match="object, person"):
        parse(prompts({"text": "zebra"})).check_words(WORDS)


@pytest.mark.parametrize(
    ("coordinates", "points"),
    [
        ("[834,74]", [[834, 74]]),
        ("[[839,74],[844,20]]", [[839, 74], [844, 20]]),
        (" [[839, 74], [844.5, 20]] ", [[839, 74], [844.5, 20]]),
        ([834, 74], [[834, 74]]),
        ([[839, 74], [844, 20]], [[839, 74], [844, 20]]),
    ],
)
def test_coordinates_in_all_forms(coordinates: Any, points: Any) -> None:
    found = hosted.read({"coordinates": coordinates, "remove_coordinates": coordinates})
    assert found["prompts"] == [{"points": points, "negative": points}]
    assert found["exports"] == ["overlay"]
    parse(found)


def test_a_prompt_goes_before_coordinates() -> None:
    for coordinates in ("[1,2]", [3, 4], "nonsense", "1", None):
        found = hosted.read(
            {"prompt": "man", "coordinates": coordinates, "remove_coordinates": coordinates}
        )
        assert found["prompts"] == [{"text": "man"}]
    for empty in ("", "  ", None):
        found = hosted.read({"prompt": empty, "coordinates": "[1,2]", "remove_coordinates": empty})
        assert found["prompts"] == [{"points": [[1, 2]], "negative": []}]


@pytest.mark.parametrize(
    ("given", "export"),
    [(True, "overlay"), (False, "mask"), ("true", "overlay"), ("False", "mask"), (0, "mask")],
)
def test_overlay_or_mask(given: Any, export: str) -> None:
    assert hosted.read({"prompt": "man", "overlay_mask": given})["exports"] == [export]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"prompt": ""},
        {"prompt": 7},
        {"coordinates": "1"},
        {"coordinates": "[1]"},
        {"coordinates": "[[1,2],3]"},
        {"coordinates": [[1, True]]},
        {"coordinates": {"x": 1}},
        {"coordinates": "[" * 100_000},
        {"remove_coordinates": "[1,2]"},
        {"prompt": "man", "overlay_mask": "maybe"},
        {"prompt": "man", "overlay_mask": [True]},
    ],
)
def test_calls_that_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        hosted.read(fields)

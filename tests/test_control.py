"""Control messages: what is read, what is refused, what is told."""

import json
import math
import random

import pytest

from stream.compose.effects import EFFECTS, Effect
from stream.compose.palette import colour
from stream.errors import (
    EffectError,
    InputError,
    LimitError,
    PromptError,
    SegstreamError,
    UnknownObject,
)
from stream.limits import MAX_MESSAGE
from stream.messages import (
    Accepted,
    AddBox,
    AddPoint,
    AddText,
    Rejected,
    RemoveObject,
    Reset,
    SetEffect,
    Sighting,
    State,
    Stats,
    Undo,
)
from stream.server.control import Parsed, encode, hello, parse


def read(**message: object) -> Parsed:
    return parse(json.dumps(message))


@pytest.mark.parametrize(
    ("message", "request_"),
    [
        ({"type": "point", "x": 3, "y": 4.5}, AddPoint(3, 4.5, True, None)),
        (
            {"type": "point", "x": 0, "y": 0, "positive": False, "object": 2},
            AddPoint(0, 0, False, 2),
        ),
        (
            {"type": "box", "x0": 1, "y0": 2, "x1": 3, "y1": 4, "object": None},
            AddBox(1, 2, 3, 4, None),
        ),
        ({"type": "text", "text": "the person"}, AddText("the person")),
        ({"type": "remove", "object": 3}, RemoveObject(3)),
        ({"type": "undo"}, Undo()),
        ({"type": "clear"}, Reset()),
        ({"type": "effect", "name": "blur"}, SetEffect(Effect("blur"))),
        (
            {"type": "effect", "name": "picture", "strength": 1, "background": "room"},
            SetEffect(Effect("picture", 1, background="room")),
        ),
        ({"type": "undo", "unknown": "fields are left to later versions"}, Undo()),
    ],
)
def test_requests(message: dict[str, object], request_: object) -> None:
    assert read(**message) == Parsed(None, request_)  # type: ignore[arg-type]
    assert read(id=7, **message) == Parsed(7, request_)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("message", "error", "text"),
    [
        ({}, InputError, "unknown type null"),
        ({"type": "dance"}, InputError, "dance"),
        ({"type": ["point"]}, InputError, "unknown type"),
        ({"type": "point", "x": 1}, PromptError, "y is null"),
        ({"type": "point", "x": "1", "y": 2}, PromptError, 'x is "1"'),
        ({"type": "point", "x": True, "y": 2}, PromptError, "x is true"),
        ({"type": "point", "x": math.nan, "y": 2}, PromptError, "x is NaN"),
        ({"type": "point", "x": 1, "y": math.inf}, PromptError, "y is Infinity"),
        ({"type": "point", "x": 1e7, "y": 2}, PromptError, "x is"),
        ({"type": "point", "x": 10**400, "y": 2}, PromptError, "x is"),
        ({"type": "point", "x": 1, "y": 2, "positive": 1}, PromptError, "positive"),
        ({"type": "point", "x": 1, "y": 2, "object": -1}, InputError, "object is -1"),
        ({"type": "point", "x": 1, "y": 2, "object": 1.5}, InputError, "object is 1.5"),
        ({"type": "point", "x": 1, "y": 2, "object": 2**60}, InputError, "object is"),
        ({"type": "box", "x0": 1, "y0": 2, "x1": 3}, PromptError, "y1 is null"),
        ({"type": "text"}, PromptError, "text is null"),
        ({"type": "text", "text": "  "}, PromptError, "wanted a word"),
        ({"type": "text", "text": "x" * 61}, PromptError, "at most 60"),
        ({"type": "remove"}, InputError, "object is null"),
        ({"type": "effect"}, EffectError, "None"),
        ({"type": "effect", "name": "sparkle"}, EffectError, "sparkle"),
        ({"type": "effect", "name": ["blur"]}, EffectError, "blur"),
        ({"type": "effect", "name": "blur", "strength": 1.5}, EffectError, "strength is 1.5"),
        ({"type": "effect", "name": "blur", "strength": math.nan}, EffectError, "strength is nan"),
        ({"type": "effect", "name": "colour", "colour": "green"}, EffectError, "colour is"),
        ({"type": "effect", "name": "picture", "background": 3}, EffectError, "background is 3"),
    ],
)
def test_refusals_name_what_is_wrong(
    message: dict[str, object], error: type[SegstreamError], text: str
) -> None:
    parsed = read(id=5, **message)
    assert parsed.number == 5
    assert isinstance(parsed.request, error), parsed
    assert text in str(parsed.request)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", InputError),
        ("hello", InputError),
        ("[1]", InputError),
        ("3", InputError),
        ("[" * 50_000, InputError),
        ('{"type":' * 5_000, InputError),
        ('{"x": ' + "1" * 5_000 + "}", InputError),
        (b'{"type":"undo"}', InputError),
        ('{"type":"undo","id":"a"}', InputError),
        ('{"type":"undo","id":NaN}', InputError),
        (" " * (MAX_MESSAGE + 1), LimitError),
    ],
)
def test_what_is_no_request(text: str | bytes, error: type[SegstreamError]) -> None:
    parsed = parse(text)
    assert parsed.number is None
    assert type(parsed.request) is error
    encode(Rejected(None, parsed.request))


def test_mutated_messages_are_read_or_refused() -> None:
    chance = random.Random(4)
    seeds = [
        '{"type":"point","x":10.5,"y":20,"positive":true,"object":null,"id":3}',
        '{"type":"box","x0":1,"y0":2,"x1":30,"y1":40,"object":2}',
        '{"type":"effect","name":"picture","strength":0.5,"colour":"#00b140","background":"a"}',
        '{"type":"remove","object":1}',
    ]
    values = ["null", "NaN", "-1e999", "[]", "{}", '"\\ud800"', "true", "1e308", "-0", '"é\u2028"']
    for _ in range(4000):
        text = chance.choice(seeds)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(text) + 1)
            text = text[:at] + chance.choice([*values, chr(chance.randrange(128)), ""]) + text[at:]
            cut = chance.randrange(len(text) + 1)
            text = text[:cut] + text[cut + chance.randint(0, 3) :]
        parsed = parse(text)
        if isinstance(parsed.request, SegstreamError):
            told = json.loads(encode(Rejected(parsed.number, parsed.request)))
            assert told["code"]
            assert told["message"]


def test_events_read_as_the_protocol_says() -> None:
    def told(event: object) -> object:
        return json.loads(encode(event))  # type: ignore[arg-type]

    assert told(Accepted(3)) == {"type": "ok", "id": 3}
    assert told(Accepted(4, 1)) == {"type": "ok", "id": 4, "object": 1}
    assert told(Rejected(None, UnknownObject("no object 9"))) == {
        "type": "error",
        "id": None,
        "code": "unknown_object",
        "message": "no object 9",
    }
    named = {2: "person", 7: "cat"}
    assert told(State((Sighting(2, True, 0.123456),), Effect("colour"), False, named)) == {
        "type": "state",
        "objects": [
            {"id": 2, "name": "person", "colour": colour(2), "visible": True, "area": 0.1235}
        ],
        "effect": {"name": "colour", "strength": 0.5, "colour": "#00b140", "background": None},
        "can_undo": False,
    }
    drops = {"tracker": 1, "compose": 2, "egress": 3}
    assert told(Stats(640, 480, 29.97, 30.0, 12.34, 5.678, None, drops)) == {
        "type": "stats",
        "width": 640,
        "height": 480,
        "fps_in": 30.0,
        "fps_out": 30.0,
        "fps_tracker": 12.3,
        "latency_ms": 5.7,
        "mask_age_ms": None,
        "drops": drops,
    }
    assert json.loads(hello("abc", "nano", ("room", "upload-1"), ("person",))) == {
        "type": "hello",
        "session": "abc",
        "model": "nano",
        "effects": list(EFFECTS),
        "backgrounds": ["room", "upload-1"],
        "words": ["person"],
    }


def test_error_text_is_bounded() -> None:
    assert len(encode(Rejected(1, InputError("x" * 100_000)))) < 1000

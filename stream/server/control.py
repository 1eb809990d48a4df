"""The control channel's messages (docs/protocol.md), as pure functions between text and words."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from stream.compose import effect_fields
from stream.compose.effects import EFFECTS, Effect, check_stack
from stream.compose.palette import colour
from stream.errors import EffectError, InputError, LimitError, PromptError, SegstreamError
from stream.limits import MAX_EFFECTS, MAX_MESSAGE, MAX_WORD
from stream.messages import (
    Accepted,
    AddBox,
    AddPoint,
    AddText,
    Event,
    Rejected,
    RemoveObject,
    Request,
    Reset,
    SetEffect,
    State,
    Stats,
    Undo,
)

MAX_COORDINATE = 1e6
"""Far outside any picture; keeps arithmetic on coordinates finite."""

MAX_ERROR = 500
"""Characters of an error's text: what was wrong is repeated, not what was long."""

MAX_ID = 2**53
"""The largest integer that every JSON reader keeps exact."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """`number` is the request's own `id`, to be repeated in the answer."""

    number: int | None
    request: Request | SegstreamError


def parse(text: str | bytes) -> Parsed:
    """Read one message. Never raises: what is wrong with it stands in the request's place."""
    try:
        message = _decode(text)
        number = _id(message, "id", optional=True)
    except SegstreamError as error:
        return Parsed(None, error)
    try:
        return Parsed(number, _request(message))
    except SegstreamError as error:
        return Parsed(number, error)
    except RecursionError:
        return Parsed(number, InputError("message is nested too deeply"))


def hello(
    session: str,
    model: str,
    backgrounds: Sequence[str],
    words: Sequence[str],
    phrases: bool = False,
) -> str:
    """The first message on a channel. phrases: any phrase will do where a word does."""
    return _text(
        "hello",
        session=session,
        model=model,
        effects=EFFECTS,
        backgrounds=backgrounds,
        words=words,
        **({"phrases": True} if phrases else {}),
    )


def encode(event: Event) -> str:
    """The message that tells an event."""
    match event:
        case Accepted(number, None):
            return _text("ok", id=number)
        case Accepted(number, object_id):
            return _text("ok", id=number, object=object_id)
        case Rejected(number, error):
            return _text("error", id=number, code=error.code, message=str(error)[:MAX_ERROR])
        case State(objects, effect, can_undo, names, more):
            shown = [
                {
                    "id": sighting.object_id,
                    "name": names.get(sighting.object_id),
                    "colour": colour(sighting.object_id),
                    "visible": sighting.visible,
                    "area": round(sighting.area, 4),
                }
                for sighting in objects
            ]
            first, *others = map(effect_fields.told, (effect, *more))
            # A lone effect is told as ever; clients that know no stack go on understanding it.
            stack = {"effects": [first, *others]} if others else {}
            return _text("state", objects=shown, effect=first, **stack, can_undo=can_undo)
        case Stats():
            rounded = {
                key: round(value, 1) if isinstance(value, float) else value
                for key, value in asdict(event).items()
            }
            return _text("stats", **rounded)


def _text(kind: str, **fields: object) -> str:
    return json.dumps({"type": kind, **fields}, separators=(",", ":"), allow_nan=False)


def _decode(text: str | bytes) -> Mapping[str, Any]:
    if not isinstance(text, str):
        raise InputError("binary message; wanted JSON text")
    if len(text) > MAX_MESSAGE:
        raise LimitError(f"message of {len(text)} characters; at most {MAX_MESSAGE} are read")
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"message is no JSON: {str(error)[:100]}") from error
    if not isinstance(message, dict):
        raise InputError('message is no JSON object; wanted one like {"type": "undo"}')
    return message


def _request(message: Mapping[str, Any]) -> Request:
    match message.get("type"):
        case "point":
            positive = message.get("positive", True)
            if not isinstance(positive, bool):
                raise PromptError(f"positive is {_shown(positive)}; wanted true or false")
            x, y = _coordinate(message, "x"), _coordinate(message, "y")
            object_id = _id(message, "object", optional=True)
            return AddPoint(x, y, positive, object_id, _id(message, "rtp", optional=True))
        case "box":
            x0, y0 = _coordinate(message, "x0"), _coordinate(message, "y0")
            x1, y1 = _coordinate(message, "x1"), _coordinate(message, "y1")
            object_id = _id(message, "object", optional=True)
            return AddBox(x0, y0, x1, y1, object_id, _id(message, "rtp", optional=True))
        case "text":
            return AddText(_word(message))
        case "remove":
            object_id = _id(message, "object", optional=False)
            assert object_id is not None
            return RemoveObject(object_id)
        case "undo":
            return Undo()
        case "clear":
            return Reset()
        case "effect":
            return _set_effect(message)
        case other:
            raise InputError(
                f"unknown type {_shown(other)}; "
                "wanted point, box, text, remove, undo, clear or effect"
            )


def _coordinate(message: Mapping[str, Any], key: str) -> float:
    value = _number(message.get(key))
    if value is None or abs(value) > MAX_COORDINATE:
        raise PromptError(f"{key} is {_shown(message.get(key))}; wanted a position in pixels")
    return value


def _word(message: Mapping[str, Any]) -> str:
    word = message.get("text")
    if not isinstance(word, str) or not 0 < len(word.strip()) <= MAX_WORD:
        raise PromptError(
            f"text is {_shown(word)}; wanted a word such as person, at most {MAX_WORD} characters"
        )
    return word


def _id(message: Mapping[str, Any], key: str, *, optional: bool) -> int | None:
    value = message.get(key)
    if value is None and optional:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_ID:
        raise InputError(f"{key} is {_shown(value)}; wanted a whole number from 0")
    return value


def _set_effect(message: Mapping[str, Any]) -> SetEffect:
    """One effect in the message itself, or several in its list `effects`."""
    given = message.get("effects")
    if given is None:
        return SetEffect(_effect(message))
    if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
        raise EffectError(f"effects is {_shown(given)}; wanted a list of effects")
    if len(given) > MAX_EFFECTS:
        raise LimitError(f"{len(given)} effects are given; at most {MAX_EFFECTS} can be stacked")
    stack = tuple(map(_effect, given))
    check_stack(stack)
    return SetEffect(stack[0], stack[1:])


def _effect(message: Mapping[str, Any]) -> Effect:
    """Other fields of the message are not the effect's."""
    fields = {key: message[key] for key in effect_fields.FIELDS if key in message}
    return effect_fields.effect(fields)


def _number(value: object) -> float | None:
    """A finite number, else None: JSON as Python reads it also knows NaN, 1e999 and true."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _shown(value: object) -> str:
    """A value as it was sent, shortened: it goes back into an error message."""
    return json.dumps(value)[:60]

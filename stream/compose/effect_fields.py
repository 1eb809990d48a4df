"""Effects as people and programs write them, in JSON or on a command line -> checked effects."""

import re
from collections.abc import Mapping
from typing import Any

from stream.compose.effects import Effect, Stack, check, check_stack
from stream.errors import EffectError, LimitError
from stream.limits import MAX_EFFECTS

FIELDS = ("name", "strength", "colour", "background", "target", "objects", "fit", "position")

_LISTS = frozenset({"objects", "position"})


def effect(given: Mapping[str, Any]) -> Effect:
    """Of fields as JSON has them; what is not given is as usual, but a name is to be.

    Raises EffectError.
    """
    if unknown := sorted(set(map(str, given)) - set(FIELDS)):
        raise EffectError(
            f"the effect has a field {unknown[0]!r:.60}; known are {', '.join(sorted(FIELDS))}"
        )
    fields: dict[str, Any] = {"name": None}
    fields |= {
        key: tuple(value) if key in _LISTS and isinstance(value, list) else value
        for key, value in given.items()
    }
    made = Effect(**fields)
    check(made)
    return made


def stack(given: object) -> Stack:
    """Of a name, an object of fields, or a list of either, the lowest effect first.

    Raises EffectError, LimitError.
    """
    each = given if isinstance(given, list) else [given]
    if len(each) > MAX_EFFECTS:
        raise LimitError(f"{len(each)} effects are given; at most {MAX_EFFECTS} can be stacked")
    made = tuple(effect(_fields(one)) for one in each)
    check_stack(made)
    return made


def _fields(given: object) -> Mapping[str, Any]:
    if isinstance(given, str):
        return {"name": given}
    if not isinstance(given, dict):
        raise EffectError(f'effect is {given!r:.60}; wanted {{"name": "blur"}}')
    return given


_FIELD = re.compile(rf":({'|'.join(FIELDS[1:])})=")


def written(text: str, usual: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of NAME:FIELD=VALUE:FIELD=VALUE…, such as pixelate:target=both:objects=1,2.

    usual: fields of those that the text does not have. Raises EffectError.
    """
    name, *rest = _FIELD.split(text)
    fields = dict(zip(rest[::2], rest[1::2], strict=True))
    return {"name": name, **usual, **{key: value(key, text) for key, text in fields.items()}}


def value(field: str, text: str) -> object:
    """Of a field as it is written on a command line. Raises EffectError."""
    try:
        match field:
            case "strength":
                return float(text)
            case "objects":
                return tuple(map(int, text.split(",")))
            case "position":
                return tuple(map(float, text.split(",")))
    except ValueError:
        wanted = {"strength": "a number", "objects": "numbers, such as 1,2"}
        raise EffectError(
            f"{field} is {text!r:.60}; wanted {wanted.get(field, 'X,Y, each from 0 to 1')}"
        ) from None
    return text

"""Effects as people and programs write them, in JSON, on a command line or in a URL -> checked
effects, and back."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from stream.compose.effects import GREEN, Effect, Stack, check, check_stack
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


def of_texts(texts: Sequence[str], usual: Mapping[str, str]) -> Stack:
    """Of NAME:FIELD=VALUE… each, the lowest effect first.

    usual: fields of those that do not have them, as they are written. Raises EffectError,
    LimitError.
    """
    fields = {field: value(field, text) for field, text in usual.items()}
    return stack([written(text, fields) for text in texts])


def check_backgrounds(stack: Stack, known: Sequence[str]) -> None:
    """Raise EffectError where a background is named, or needed, that is not among `known`."""
    for effect in stack:
        is_shown = effect.name in ("picture", "video")
        if (is_shown or effect.background is not None) and effect.background not in known:
            raise EffectError(
                f"background {effect.background!r:.60} is unknown; known are {', '.join(known)}"
            )


def as_json(stack: Stack) -> object:
    """The shortest that `stack` makes the same of: a name where the rest is as usual."""
    each = [{"name": effect.name, **_unusual(effect)} for effect in stack]
    short = [fields if len(fields) > 1 else fields["name"] for fields in each]
    return short if len(short) > 1 else short[0]


def as_text(effect: Effect) -> str:
    """What `written` makes the same of."""
    parts = [effect.name]
    for field, given in _unusual(effect).items():
        shown = ",".join(map(str, given)) if isinstance(given, tuple) else given
        parts.append(f"{field}={shown}")
    return ":".join(parts)


def told(effect: Effect) -> dict[str, Any]:
    """What clients are told of it; of the newer fields only those that are not as usual, so that
    clients that know none of them see what they know."""
    return {
        "name": effect.name,
        "strength": effect.strength,
        "colour": effect.colour or (GREEN if effect.name == "colour" else None),
        "background": effect.background,
        **_unusual(effect),
    }


def _unusual(effect: Effect) -> dict[str, Any]:
    usual = Effect()
    return {
        field: getattr(effect, field)
        for field in FIELDS[1:]
        if getattr(effect, field) != getattr(usual, field)
    }


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

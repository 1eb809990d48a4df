"""What can be done to the picture around, or on, the objects."""

import re
from dataclasses import dataclass

from stream.errors import EffectError

EFFECTS = ("none", "overlay", "blur", "picture", "colour", "cutout")

HIDES_BACKGROUND = frozenset({"blur", "picture", "colour", "cutout"})
"""Effects that must never show the background, even when no mask is at hand."""

_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


@dataclass(frozen=True, slots=True)
class Effect:
    """name: one of EFFECTS.

    strength: 0 to 1; how opaque an overlay's tint is, or how far out of focus a blur is.
    colour: "#rrggbb", of the effect "colour".
    background: the name of the picture of the effect "picture".
    """

    name: str = "overlay"
    strength: float = 0.5
    colour: str = "#00b140"
    background: str | None = None


def check(effect: Effect) -> None:
    """Raise EffectError unless every field of the effect has a meaning."""
    if effect.name not in EFFECTS:
        raise EffectError(f"effect {effect.name!r} is unknown; known are {', '.join(EFFECTS)}")
    if not _is_share(effect.strength):
        raise EffectError(f"strength is {effect.strength!r}; wanted a number from 0 to 1")
    if not (isinstance(effect.colour, str) and _COLOUR.fullmatch(effect.colour)):
        raise EffectError(f"colour is {effect.colour!r}; wanted #rrggbb, like #00b140")
    if not (effect.background is None or isinstance(effect.background, str)):
        raise EffectError(f"background is {effect.background!r}; wanted a name")


def _is_share(number: object) -> bool:
    if isinstance(number, bool) or not isinstance(number, int | float):
        return False
    return 0 <= number <= 1  # False for NaN

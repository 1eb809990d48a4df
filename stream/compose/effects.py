"""What can be done to the picture around, or on, the objects."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from stream.errors import EffectError, LimitError
from stream.limits import MAX_EFFECTS, MAX_OBJECTS

TARGETS = ("object", "background", "both")

USUAL_TARGET = {
    "none": "both",
    "overlay": "object",
    "blur": "background",
    "picture": "background",
    "colour": "background",
    "cutout": "background",
    "contour": "object",
    "glow": "object",
    "mask": "both",
    "alpha": "both",
    "video": "background",
    "pixelate": "object",
    "spotlight": "background",
    "desaturate": "background",
    "erase": "object",
}
"""Every effect, with what it is put on unless told otherwise."""

EFFECTS = tuple(USUAL_TARGET)

FIXED_TARGET = frozenset({"none", "contour", "glow", "mask", "alpha", "erase"})
"""Effects that make sense on one target only."""

HIDING = frozenset({"blur", "picture", "colour", "cutout", "video", "pixelate", "erase"})
"""Effects whose target must never be seen, even when no mask is at hand."""

HIDES_BACKGROUND = frozenset(name for name in HIDING if USUAL_TARGET[name] == "background")
"""Those of HIDING that hide the background unless told otherwise."""

GREEN = "#00b140"
"""Where a colour is needed and none was given."""

FITS = ("cover", "contain")

_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


@dataclass(frozen=True, slots=True)
class Effect:
    """name: one of EFFECTS.

    strength: 0 to 1; how opaque a tint, how strong a blur, how large the pixels, how dark the
    rest, how grey.
    colour: "#rrggbb", of the effects "colour", "overlay", "contour" and "glow"; None: each object
    has one of its own, and a background is GREEN.
    background: the name of the picture or video of the effects "picture" and "video".
    target: "object", "background" or "both"; None: the usual one.
    objects: ids of those that it is for; None: all.
    fit: "cover" fills the picture, "contain" shows all of the background picture.
    position: x and y, 0 to 1, of what is left over or cut off; (0.5, 0.5) is the middle.
    """

    name: str = "overlay"
    strength: float = 0.5
    colour: str | None = None
    background: str | None = None
    target: str | None = None
    objects: tuple[int, ...] | None = None
    fit: str = "cover"
    position: tuple[float, float] = (0.5, 0.5)

    @property
    def on(self) -> str:
        """The target, the usual one if none was given."""
        return self.target or USUAL_TARGET[self.name]

    @property
    def hides(self) -> bool:
        return self.name in HIDING

    @property
    def hides_background(self) -> bool:
        """The room would be seen if this effect failed."""
        return self.hides and self.on in ("background", "both")


Stack = tuple[Effect, ...]
"""Effects one over the other, the first at the bottom."""


def check(effect: Effect) -> None:
    """Raise EffectError unless every field of the effect has a meaning."""
    if effect.name not in EFFECTS:
        raise EffectError(f"effect {effect.name!r:.60} is unknown; known are {', '.join(EFFECTS)}")
    if not _is_share(effect.strength):
        raise EffectError(f"strength is {effect.strength!r}; wanted a number from 0 to 1")
    if effect.colour is not None and not _is_colour(effect.colour):
        raise EffectError(f"colour is {effect.colour!r:.60}; wanted #rrggbb, like #00b140")
    if not (effect.background is None or isinstance(effect.background, str)):
        raise EffectError(f"background is {effect.background!r}; wanted a name")
    if effect.target is not None and effect.target not in TARGETS:
        raise EffectError(f"target is {effect.target!r:.60}; wanted {', '.join(TARGETS)}")
    if effect.name in FIXED_TARGET and effect.on != USUAL_TARGET[effect.name]:
        raise EffectError(f"effect {effect.name} is always on {USUAL_TARGET[effect.name]}")
    if effect.fit not in FITS:
        raise EffectError(f"fit is {effect.fit!r:.60}; wanted {' or '.join(FITS)}")
    _check_position(effect.position)
    _check_objects(effect.objects)


def check_stack(stack: Stack) -> None:
    """Raise EffectError unless every effect has a meaning, LimitError when there are too many."""
    if not stack:
        raise EffectError("no effect is given; wanted one at the least, such as none")
    if len(stack) > MAX_EFFECTS:
        raise LimitError(f"{len(stack)} effects are given; at most {MAX_EFFECTS} can be stacked")
    for effect in stack:
        check(effect)


def _check_position(position: object) -> None:
    if not isinstance(position, tuple) or len(position) != 2 or not all(map(_is_share, position)):
        raise EffectError(f"position is {position!r}; wanted x and y, each from 0 to 1")


def _check_objects(objects: Sequence[object] | None) -> None:
    if objects is None:
        return
    if not isinstance(objects, tuple) or not 0 < len(objects) <= MAX_OBJECTS:
        raise EffectError(f"objects are {objects!r}; wanted 1 to {MAX_OBJECTS} numbers")
    if any(isinstance(id, bool) or not isinstance(id, int) or id < 0 for id in objects):
        raise EffectError(f"objects are {objects!r}; wanted whole numbers from 0")


def _is_colour(text: object) -> bool:
    return isinstance(text, str) and _COLOUR.fullmatch(text) is not None


def _is_share(number: object) -> bool:
    if isinstance(number, bool) or not isinstance(number, int | float):
        return False
    return 0 <= number <= 1  # False for NaN

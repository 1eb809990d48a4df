"""A stack of effects made ready: each with what it shows in place of the picture."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream.compose.backdrop import BLACK, Backdrop, Colour, Still
from stream.compose.effects import GREEN, Effect, Stack
from stream.compose.moving import Moving
from stream.errors import EffectError

Picture = NDArray[np.uint8]
Video = tuple[Picture, float]
Backgrounds = Mapping[str | None, Picture | Video | None]
"""By the name that effects call them: uint8 [H, W, 3] RGB, or [N, H, W, 3] and pictures a second.
Not to be written to afterwards."""


@dataclass(frozen=True, slots=True)
class Layer:
    """backdrop: of effects that replace; None for those that change what is there."""

    effect: Effect
    backdrop: Backdrop | None
    background: Picture | Video | None


def layers(stack: Stack, backgrounds: Backgrounds, former: tuple[Layer, ...]) -> tuple[Layer, ...]:
    """Raises EffectError when a picture or video is missing or is none.

    former: layers in use, whose backdrops are kept where nothing about them has changed, so that
    a slider that is dragged draws no picture anew.
    """
    return tuple(_layer(effect, backgrounds.get(effect.background), former) for effect in stack)


def _layer(effect: Effect, background: Picture | Video | None, former: tuple[Layer, ...]) -> Layer:
    for layer in former:
        if layer.background is background and _look(layer.effect) == _look(effect):
            return Layer(effect, layer.backdrop, background)
    return Layer(effect, _backdrop(effect, background), background)


def _look(effect: Effect) -> tuple[object, ...]:
    return effect.name, effect.colour, effect.background, effect.fit, effect.position


def _backdrop(effect: Effect, background: Picture | Video | None) -> Backdrop | None:
    match effect.name:
        case "picture" | "video":
            # Either takes either: what was uploaded decides, not what it was called.
            if background is None:
                raise EffectError(f"effect {effect.name!r} needs a background; choose one")
            if isinstance(background, tuple):
                return Moving(*background, effect.fit, effect.position)
            _check(background)
            return Still(background, effect.fit, effect.position)
        case "colour":
            return Colour(effect.colour or GREEN)
        case "cutout":
            return Colour(BLACK)
        case _:
            return None


def _check(background: Picture) -> None:
    if background.dtype != np.uint8 or background.ndim != 3 or background.shape[2] != 3:
        raise EffectError(
            f"background is {background.dtype} {background.shape}; wanted uint8 (height, width, 3)"
        )
    if background.size == 0:
        raise EffectError("background picture is empty")

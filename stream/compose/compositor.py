"""Puts an effect on pictures, given the masks of their objects."""

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from stream.compose import effects
from stream.compose.backdrop import BLACK, Backdrop
from stream.compose.blur import blurred
from stream.compose.colour_space import ColourSpace
from stream.compose.effects import Effect
from stream.compose.matte import Logits, Matte, matte, present, union
from stream.compose.overlay import tint
from stream.compose.palette import colour
from stream.compose.picture import blank_like, to_native
from stream.compose.planes import Planes, blend
from stream.errors import EffectError
from stream.frames import Masks

MIN_PIXEL_ASPECT = 0.25
"""Narrower pixels, and wider than its inverse, are no format's but broken metadata."""


class Compositor:
    """Works on YUV 4:2:0 planes; the picture is never converted to RGB.

    `compose` is for one thread; `set_effect` may be called from another.
    """

    def __init__(self, pixel_aspect: float = 1.0) -> None:
        """pixel_aspect: width over height of a pixel, so that backgrounds keep their shape."""
        plausible = MIN_PIXEL_ASPECT <= pixel_aspect <= 1 / MIN_PIXEL_ASPECT
        self._pixel_aspect = pixel_aspect if plausible else 1.0
        self._reformatter = VideoReformatter()
        self._scene: tuple[Effect, Backdrop | None] = (Effect(), None)

    @property
    def effect(self) -> Effect:
        return self._scene[0]

    def set_effect(self, effect: Effect, background: NDArray[np.uint8] | None = None) -> None:
        """Use `effect` from the next picture on.

        background: uint8 [H, W, 3] RGB, for the effect "picture"; not to be written to afterwards.
        Raises EffectError, with the former effect still in place.
        """
        effects.check(effect)
        self._scene = (effect, _backdrop(effect, background))

    def compose(self, picture: av.VideoFrame, masks: Masks | None) -> av.VideoFrame:
        """The picture with the effect, as yuv420p of the same size, times, matrix and range.

        masks: of this picture or a recent one. An effect that hides the background hides the
        whole picture when there are none, or when no object is to be seen in them.
        Never writes into `picture`; returns it if there is nothing to do.
        """
        effect, backdrop = self._scene
        native = to_native(picture, self._reformatter)
        if effect.name in effects.HIDES_BACKGROUND:
            return self._hide_background(native, union(masks), effect, backdrop)
        objects = present(masks) if effect.name == "overlay" else []
        if objects or native.format.name != "yuv420p":
            return _paint(native, objects, effect.strength)
        return native

    def _hide_background(
        self,
        native: av.VideoFrame,
        logits: Logits | None,
        effect: Effect,
        backdrop: Backdrop | None,
    ) -> av.VideoFrame:
        result = blank_like(native)
        source, target = Planes.of(native), Planes.of(result)
        size = native.width, native.height
        objects = None if logits is None else Matte.of(matte(logits, *size))
        if backdrop is None:
            behind = blurred(source, objects, effect.strength, self._pixel_aspect)
        else:
            behind = backdrop.planes(*size, ColourSpace.of(native), self._pixel_aspect)
        if objects is None:
            behind.copy_to(target)
        else:
            for front, back, alpha, out in zip(source, behind, objects.planes, target, strict=True):
                blend(front, back, alpha, out)
        return result


def _paint(
    native: av.VideoFrame, objects: list[tuple[int, Logits]], strength: float
) -> av.VideoFrame:
    """A copy of the picture with each object in its colour."""
    result = blank_like(native)
    target = Planes.of(result)
    Planes.of(native).copy_to(target)
    space = ColourSpace.of(native)
    for object_id, logits in objects:
        tint(target, logits, space.codes(colour(object_id)), strength)
    return result


def _backdrop(effect: Effect, background: NDArray[np.uint8] | None) -> Backdrop | None:
    """What replaces the background; None where the effect keeps it or blurs it."""
    match effect.name:
        case "picture":
            if background is None:
                raise EffectError("effect 'picture' needs a background picture; choose one")
            if background.dtype != np.uint8 or background.ndim != 3 or background.shape[2] != 3:
                raise EffectError(
                    f"background is {background.dtype} {background.shape}; "
                    "wanted uint8 (height, width, 3)"
                )
            if background.size == 0:
                raise EffectError("background picture is empty")
            return Backdrop(background=background)
        case "colour":
            return Backdrop(effect.colour)
        case "cutout":
            return Backdrop(BLACK)
        case _:
            return None

"""Puts effects on pictures, given the masks of their objects."""

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from stream.compose.canvas import Canvas
from stream.compose.effects import Effect, Stack, check_stack
from stream.compose.layers import draw
from stream.compose.picture import plausible_aspect, to_native
from stream.compose.planes import Planes
from stream.compose.scene import Backgrounds, Layer, layers
from stream.compose.view import Viewer
from stream.frames import Masks

USUAL_RATE = 30
"""Pictures a second where they carry no times."""


class Compositor:
    """Works on YUV 4:2:0 planes; the picture is never converted to RGB.

    `compose` is for one thread; `set_effect` and `set_effects` may be called from another.
    """

    def __init__(self, pixel_aspect: float = 1.0) -> None:
        """pixel_aspect: width over height of a pixel, so that backgrounds keep their shape."""
        self._pixel_aspect = plausible_aspect(pixel_aspect)
        self._reformatter = VideoReformatter()
        self._scene: tuple[Layer, ...] = (Layer(Effect(), None, None),)
        self._viewer = Viewer()
        self._count = 0
        self.copies = 0

    @property
    def effect(self) -> Effect:
        """The lowest of the stack."""
        return self._scene[0].effect

    @property
    def effects(self) -> Stack:
        return tuple(layer.effect for layer in self._scene)

    def set_effect(self, effect: Effect, background: NDArray[np.uint8] | None = None) -> None:
        """Use one effect alone; otherwise as set_effects."""
        self.set_effects((effect,), {effect.background: background})

    def set_effects(self, stack: Stack, backgrounds: Backgrounds) -> None:
        """Use `stack` from the next picture on, its first effect at the bottom.

        backgrounds: by the names that the effects give.
        Raises EffectError or LimitError, with the former effects still in place.
        """
        check_stack(stack)
        self._scene = layers(stack, backgrounds, self._scene)

    def trust_masks(self) -> None:
        """Somebody has pointed at something: the next masks are right, whatever was taken for
        background before. May be called from another thread."""
        self._viewer.matting.trust()

    def compose(
        self,
        picture: av.VideoFrame,
        masks: Masks | None,
        index: int | None = None,
        age: float = 0.0,
    ) -> av.VideoFrame:
        """The picture with the effects, as yuv420p of the same size, times, matrix and range.

        masks: of this picture, or of a recent one, which `index` tells. index: of this picture in
        its source, rising; None: the masks are its own. age: of the masks, in seconds.
        An effect that hides something hides the whole picture in the same way while there are no
        masks that can be believed (stream.compose.privacy).
        Never writes into `picture`; returns it if there is nothing to do.
        """
        scene = self._scene
        native = to_native(picture, self._reformatter)
        canvas = Canvas(native)
        self._count = self._count + 1 if index is None else index
        own = self._count if index is None else None
        self._viewer.begin(scene)
        view = self._viewer.look(
            Planes.of(native), masks, self._count, own, age, self._time(picture)
        )
        for layer in scene:
            draw(layer, canvas, view, native, self._pixel_aspect)
        self._viewer.end()
        self.copies = canvas.copies
        return canvas.result()

    def _time(self, picture: av.VideoFrame) -> float:
        if picture.pts is None or picture.time_base is None:
            return self._count / USUAL_RATE
        return float(picture.pts * picture.time_base)

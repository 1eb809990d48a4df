"""Objects taken out of the picture, filled from when the background was seen, else from around."""

import cv2
import numpy as np

from stream.compose.canvas import Canvas, inverse
from stream.compose.matte import Matte
from stream.compose.planes import Plane, Planes

MOVES = 0.35
"""Median motion in pixels of the grid at which the camera moves, and nothing seen before fits."""


class Plate:
    """The background as it was last seen, pixel by pixel. For one camera position."""

    def __init__(self) -> None:
        self._seen: Planes | None = None
        self._known: Matte | None = None

    def forget(self) -> None:
        self._seen = self._known = None

    def learn(self, picture: Planes, objects: Matte | None) -> None:
        """Remember what no object hides. objects: their matte, grown; None: there are none."""
        if self._seen is None or self._seen.y.shape != picture.y.shape:
            self._seen = Planes(*(np.zeros_like(plane) for plane in picture))
            self._known = Matte(np.zeros_like(picture.y), np.zeros_like(picture.u))
        assert self._known is not None
        hidden = objects or Matte(np.zeros_like(picture.y), np.zeros_like(picture.u))
        free: tuple[Plane, Plane] = tuple(  # type: ignore[assignment]
            cv2.inRange(alpha, 0, 0) for alpha in (hidden.luma, hidden.chroma)
        )
        for plane, seen, mask in zip(picture, self._seen, (free[0], free[1], free[1]), strict=True):
            cv2.copyTo(plane, mask, seen)
        for known, mask in ((self._known.luma, free[0]), (self._known.chroma, free[1])):
            cv2.bitwise_or(known, mask, dst=known)

    def fill(self, canvas: Canvas, objects: Matte, around: Planes) -> None:
        """Erase. around: what is shown where the background was never seen."""
        behind = around
        if self._seen is not None and self._known is not None:
            behind = Planes(*(plane.copy() for plane in around))
            known = (self._known.luma, self._known.chroma, self._known.chroma)
            for seen, mask, out in zip(self._seen, known, behind, strict=True):
                cv2.copyTo(seen, mask, out)
            canvas.copies += 1
        canvas.put(behind, inverse(objects))

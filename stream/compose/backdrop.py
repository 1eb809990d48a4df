"""What stands behind the objects in place of the real background."""

from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.compose.colour_space import ColourSpace
from stream.compose.planes import Planes

BLACK = "#000000"


def cover(
    background: NDArray[np.uint8], width: int, height: int, pixel_aspect: float
) -> NDArray[np.uint8]:
    """The middle of a picture uint8 [H, W, 3], as large as fills width x height undistorted.

    pixel_aspect: width over height of a pixel of the result; the background's are square.
    """
    rows, columns = background.shape[:2]
    shape = width * pixel_aspect / height
    part_width = min(columns, max(1, round(rows * shape)))
    part_height = min(rows, max(1, round(columns / shape)))
    left, top = (columns - part_width) // 2, (rows - part_height) // 2
    part = background[top : top + part_height, left : left + part_width]
    shrinks = part_width >= width and part_height >= height
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    resized = cv2.resize(part, (width, height), interpolation=interpolation)
    return cast(NDArray[np.uint8], resized)


class Backdrop:
    """The planes of one colour or one picture, kept for the size they were last asked in."""

    def __init__(self, colour: str = BLACK, background: NDArray[np.uint8] | None = None) -> None:
        self._colour = colour
        self._background = background
        self._kept: tuple[tuple[int, int, ColourSpace], Planes] | None = None

    def planes(self, width: int, height: int, space: ColourSpace, pixel_aspect: float) -> Planes:
        key = (width, height, space)
        if self._kept is None or self._kept[0] != key:
            self._kept = key, self._draw(width, height, space, pixel_aspect)
        return self._kept[1]

    def _draw(self, width: int, height: int, space: ColourSpace, pixel_aspect: float) -> Planes:
        if self._background is None:
            return Planes.flat(space.codes(self._colour), width, height)
        return space.planes(cover(self._background, width, height, pixel_aspect))

"""What stands behind the objects in place of the real background."""

from typing import Protocol, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.compose.colour_space import ColourSpace
from stream.compose.planes import Planes

BLACK = "#000000"
MIDDLE = (0.5, 0.5)


class Backdrop(Protocol):
    """Anything that can be shown in the background's place."""

    def planes(
        self, width: int, height: int, space: ColourSpace, pixel_aspect: float, time: float
    ) -> Planes:
        """Of that size. time: of the picture, in seconds; what moves goes by it."""


def cover(
    background: NDArray[np.uint8],
    width: int,
    height: int,
    pixel_aspect: float,
    position: tuple[float, float] = MIDDLE,
) -> NDArray[np.uint8]:
    """A part of a picture uint8 [H, W, 3], as large as fills width x height undistorted.

    pixel_aspect: width over height of a pixel of the result; the background's are square.
    position: which part, 0 the left or upper end to 1.
    """
    rows, columns = background.shape[:2]
    shape = width * pixel_aspect / height
    part_width = min(columns, max(1, round(rows * shape)))
    part_height = min(rows, max(1, round(columns / shape)))
    left = round((columns - part_width) * position[0])
    top = round((rows - part_height) * position[1])
    return _resized(background[top : top + part_height, left : left + part_width], width, height)


def contain(
    background: NDArray[np.uint8],
    width: int,
    height: int,
    pixel_aspect: float,
    position: tuple[float, float] = MIDDLE,
) -> NDArray[np.uint8]:
    """The whole picture, undistorted and as large as fits, on black; otherwise as `cover`."""
    rows, columns = background.shape[:2]
    scale = min(width * pixel_aspect / columns, height / rows)
    part_width = min(width, max(1, round(columns * scale / pixel_aspect)))
    part_height = min(height, max(1, round(rows * scale)))
    left, top = (
        round((width - part_width) * position[0]),
        round((height - part_height) * position[1]),
    )
    result = np.zeros((height, width, 3), np.uint8)
    part = _resized(background, part_width, part_height)
    result[top : top + part_height, left : left + part_width] = part
    return result


def _resized(picture: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    shrinks = picture.shape[1] >= width and picture.shape[0] >= height
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    resized = cv2.resize(picture, (width, height), interpolation=interpolation)
    return cast(NDArray[np.uint8], resized)


PLACED = {"cover": cover, "contain": contain}


class Colour:
    """The planes of one colour, kept for the size they were last asked in."""

    def __init__(self, colour: str = BLACK) -> None:
        self._colour = colour
        self._kept: tuple[tuple[int, int, ColourSpace], Planes] | None = None

    def planes(
        self, width: int, height: int, space: ColourSpace, pixel_aspect: float, time: float
    ) -> Planes:
        key = (width, height, space)
        if self._kept is None or self._kept[0] != key:
            self._kept = key, Planes.flat(space.codes(self._colour), width, height)
        return self._kept[1]


class Still:
    """The planes of one picture uint8 [H, W, 3] RGB, kept for the size last asked for."""

    def __init__(
        self,
        background: NDArray[np.uint8],
        fit: str = "cover",
        position: tuple[float, float] = MIDDLE,
    ) -> None:
        self._background = background
        self._place = PLACED[fit]
        self._position = position
        self._kept: tuple[tuple[int, int, ColourSpace], Planes] | None = None

    def planes(
        self, width: int, height: int, space: ColourSpace, pixel_aspect: float, time: float
    ) -> Planes:
        key = (width, height, space)
        if self._kept is None or self._kept[0] != key:
            rgb = self._place(self._background, width, height, pixel_aspect, self._position)
            self._kept = key, space.planes(rgb)
        return self._kept[1]

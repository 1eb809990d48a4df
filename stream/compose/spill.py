"""The old background's colour taken out of the edge.

A pixel of opacity a is a x object + (1 - a) x old background. Where the mean colours of the two
are known near by, object = pixel + (1 - a) x (object - old background); so what is shown over a
new background gets a x (1 - a) x that contrast added. Needs no division, so it cannot run wild
where a is small.
"""

from collections.abc import Callable
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.compose.colour_space import ColourSpace
from stream.compose.matte import Matte
from stream.compose.planes import Planes

Floats = NDArray[np.float32]
Cells = NDArray[np.intp]

MOST = 0.35
"""Largest contrast that is believed, of 1: beyond, the mean colours are of other things."""


def remove(picture: Planes, matte: Matte, contrast: Floats, space: ColourSpace) -> None:
    """In place, on a picture whose background has been replaced.

    space: of the picture; codes are not taken out of its range.
    contrast: float32 [h, w, 3], object less old background in y, u and v, at any size.
    """
    _add_to_edge(picture, matte, contrast, space, lambda alpha: alpha * (1 - alpha))


def remove_uncovered(picture: Planes, matte: Matte, contrast: Floats, space: ColourSpace) -> None:
    """The same on the source itself, for whoever puts it over something else by the matte:
    object = pixel + (1 - a) x contrast, where a is not 0."""
    _add_to_edge(picture, matte, contrast, space, lambda alpha: 1 - alpha)


def _add_to_edge(
    picture: Planes,
    matte: Matte,
    contrast: Floats,
    space: ColourSpace,
    share: Callable[[Floats], Floats],
) -> None:
    """share: of the contrast that is added, by opacity, both 0 to 1.

    Edges are few of the pixels, so these are looked up one by one, by their cells of chroma.
    Tried: whole planes around the edge in bytes, twice the time for somebody before a webcam.
    """
    soft = np.flatnonzero(cv2.inRange(matte.chroma, 1, 254).view(np.bool_))
    if not soft.size:
        return
    rows, columns = np.divmod(soft, matte.chroma.shape[1])
    amounts = _sampled(contrast, rows, columns, matte.chroma.shape)
    luma, chroma = _pixels(rows, columns, picture.y.shape), (rows, columns)
    places = (luma, chroma, chroma)
    parts = zip(picture, matte.planes, places, amounts, space.ranges, strict=True)
    for plane, alpha, at, amount, (least, greatest) in parts:
        opacity = alpha[at] * np.float32(1 / 255)
        old = plane[at]
        new = np.rint(old + share(opacity) * amount)
        # What was beyond the range already stays: a rim at the range's end would be seen.
        plane[at] = np.clip(new, np.minimum(old, least), np.maximum(old, greatest))


def _pixels(rows: Cells, columns: Cells, shape: tuple[int, ...]) -> tuple[Cells, Cells]:
    """The four pixels of luma under each cell of chroma, as indices of [2, 2, N]; the last ones
    twice where a side is odd."""
    y, x = 2 * rows, 2 * columns
    down = np.stack([y, np.minimum(y + 1, shape[0] - 1)])[:, None]
    across = np.stack([x, np.minimum(x + 1, shape[1] - 1)])
    return down, across


WIDE = 128


def _sampled(contrast: Floats, rows: Cells, columns: Cells, shape: tuple[int, int]) -> Floats:
    """float32 [3, N]: the contrast at these cells of a plane of `shape`, in codes."""
    down, across = (a / b for a, b in zip(contrast.shape[:2], shape, strict=True))
    y, x = (rows + 0.5) * down - 0.5, (columns + 0.5) * across - 0.5
    # In a block, since OpenCV takes no side over 32,767; what fills it up is left out again.
    points = np.resize(np.column_stack([x, y]).astype(np.float32), (-(-len(x) // WIDE), WIDE, 2))
    edge = cv2.BORDER_REPLICATE
    found = cv2.remap(contrast, points, cast(Any, None), cv2.INTER_LINEAR, borderMode=edge)
    inside = np.clip(found.reshape(-1, 3)[: len(x)], -MOST, MOST)
    return np.ascontiguousarray(inside.T) * np.float32(255)

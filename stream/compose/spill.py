"""The old background's colour taken out of the edge.

A pixel of opacity a is a x object + (1 - a) x old background. Where the mean colours of the two
are known near by, object = pixel + (1 - a) x (object - old background); so what is shown over a
new background gets a x (1 - a) x that contrast added. Needs no division, so it cannot run wild
where a is small.
"""

from collections.abc import Callable
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.compose.matte import Matte
from stream.compose.planes import Plane, Planes

MOST = 0.35
"""Largest contrast that is believed, of 1: beyond, the mean colours are of other things."""


def remove(picture: Planes, matte: Matte, contrast: NDArray[np.float32]) -> None:
    """In place, on a picture whose background has been replaced.

    contrast: float32 [h, w, 3], object less old background in y, u and v, at any size.
    """
    _add_to_edge(picture, matte, contrast, lambda alpha: _product(alpha, _not(alpha)))


def remove_uncovered(picture: Planes, matte: Matte, contrast: NDArray[np.float32]) -> None:
    """The same on the source itself, for whoever puts it over something else by the matte:
    object = pixel + (1 - a) x contrast, where a is not 0."""
    _add_to_edge(picture, matte, contrast, _not)


def _add_to_edge(
    picture: Planes,
    matte: Matte,
    contrast: NDArray[np.float32],
    share: Callable[[Plane], Plane],
) -> None:
    """share: of the contrast that is added, of 255, by opacity."""
    left, top, right, bottom = _edge(matte.chroma)
    if right <= left or bottom <= top:
        return
    rows, columns = matte.chroma.shape
    x, y = contrast.shape[1] / columns, contrast.shape[0] / rows
    # The contrast is smooth, so its own cells may be cut out whole.
    x0, y0 = int(left * x), int(top * y)
    x1, y1 = max(x0 + 1, round(right * x)), max(y0 + 1, round(bottom * y))
    part = cv2.split(np.clip(contrast[y0:y1, x0:x1], -MOST, MOST))
    height, width = picture.y.shape
    areas = (
        np.s_[2 * top : min(2 * bottom, height), 2 * left : min(2 * right, width)],
        np.s_[top:bottom, left:right],
        np.s_[top:bottom, left:right],
    )
    for plane, alpha, area, amount in zip(picture, matte.planes, areas, part, strict=True):
        _add(plane[area], share(alpha[area]), cast(NDArray[np.float32], amount))


def _add(plane: Plane, share: Plane, amount: NDArray[np.float32]) -> None:
    size = plane.shape[1], plane.shape[0]
    # In bytes, of either sign by itself: a fourth of the time of floats, and half a level off.
    for sign, put in ((255, cv2.add), (-255, cv2.subtract)):
        part = np.clip(amount * np.float32(sign), 0, 255).astype(np.uint8)
        if part.any():
            large = cv2.resize(part, size, interpolation=cv2.INTER_LINEAR)
            put(plane, _product(share, large), dst=plane)


def _product(one: Plane, other: Plane) -> Plane:
    return cast(Plane, cv2.multiply(one, other, scale=1 / 255))


def _not(alpha: Plane) -> Plane:
    return cast(Plane, cv2.bitwise_not(alpha))


def _edge(alpha: Plane) -> tuple[int, int, int, int]:
    """left, top, right, bottom of all that is neither 0 nor 255; right and bottom not included."""
    soft = cv2.inRange(alpha, 1, 254)
    x, y, width, height = cv2.boundingRect(soft)
    return x, y, x + width, y + height

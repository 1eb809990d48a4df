"""Each object tinted and outlined in its own colour."""

import math
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.compose.matte import Logits, Matte, matte
from stream.compose.planes import Plane, Planes

CRISP_EDGE = 0.2
"""Logit of the ramp's ends: an outline is to be sharp, other than the edge of a cut-out."""

CONTOUR = 1 / 300
"""Half the contour's width, as a share of the picture's shorter side: 2 pixels of 720p."""


def tint(picture: Planes, logits: Logits, codes: tuple[int, int, int], strength: float) -> None:
    """Paint one object of logits [s, s] into the picture, in place.

    codes: y, u, v of its colour. strength: opacity of the tint, 0 to 1; the contour is opaque.
    """
    height, width = picture.y.shape
    radius = max(1, round(min(width, height) * CONTOUR))
    left, top, right, bottom = _bounds(logits, width, height, radius)
    inside = matte(logits, width, height, CRISP_EDGE)[top:bottom, left:right]
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    contour = cv2.morphologyEx(inside, cv2.MORPH_GRADIENT, kernel)
    opacity = Matte.of(cast(Plane, cv2.max(cv2.convertScaleAbs(inside, alpha=strength), contour)))
    region = picture.crop(left, top, right, bottom)
    for pixels, alpha, code in zip(region, opacity.planes, codes, strict=True):
        cv2.multiply(pixels, cv2.bitwise_not(alpha), dst=pixels, scale=1 / 255)
        cv2.add(pixels, cv2.convertScaleAbs(alpha, alpha=code / 255), dst=pixels)


def _bounds(logits: Logits, width: int, height: int, margin: int) -> tuple[int, int, int, int]:
    """left, top, right, bottom in pixels of all that may be painted; left and top are even."""
    rows, columns = logits.shape
    reached = logits > -CRISP_EDGE
    left, right = _span(np.flatnonzero(reached.any(axis=0)), width / columns, margin, width)
    top, bottom = _span(np.flatnonzero(reached.any(axis=1)), height / rows, margin, height)
    return left, top, right, bottom


def _span(cells: NDArray[np.intp], scale: float, margin: int, size: int) -> tuple[int, int]:
    """Pixels within one cell of the given ones: that far does bilinear sampling look."""
    first = math.floor((cells[0] - 0.5) * scale) - margin
    last = math.ceil((cells[-1] + 1.5) * scale) + margin
    return max(0, first) // 2 * 2, min(size, last)

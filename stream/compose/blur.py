"""The background out of focus, as if the objects had not been there."""

import math
from typing import cast

import cv2
import numpy as np

from stream.compose.matte import Matte
from stream.compose.planes import Plane, Planes, bounds, halve

PRIVATE, STRONGEST = 0.025, 0.06
"""Sigma at strength 0 and at strength 1, as a share of the picture's longer side.
The lower one already hides faces, and letters as high as a tenth of the picture."""

FAINT = 0.25
"""Share of background, of 255, that the mean of all background counts as everywhere."""

SMALL_SIGMA = 2.5
"""Sigma in pixels that a reduced picture must still have, so that enlarging it shows no grid."""


def blurred(picture: Planes, matte: Matte | None, strength: float, pixel_aspect: float) -> Planes:
    """The background of `picture`, continued behind the objects, out of focus.

    matte: of the objects; None means that everything is background.
    strength: 0 to 1. pixel_aspect: width over height of a pixel.

    Normalised convolution: the picture times its background share (1 - matte), and that share
    itself, are blurred and then divided, so that no colour of an object reaches its surroundings.
    Done at a reduced size, where a wide Gaussian costs little.
    """
    height, width = picture.y.shape
    longer = max(width * pixel_aspect, height)
    sigma = max(longer * (PRIVATE + (STRONGEST - PRIVATE) * strength), 2 * SMALL_SIGMA)
    halvings = math.floor(math.log2(sigma / SMALL_SIGMA))
    chroma_halvings = halvings - 1  # chroma comes at half the size
    steps = (halvings, chroma_halvings, chroma_halvings)

    if matte is None:
        small = [_reduce(plane, n) for plane, n in zip(picture, steps, strict=True)]
        share = np.full_like(small[0], 255)
    else:
        left, top, right, bottom = bounds(matte.luma)
        area = left // 4 * 4, top // 4 * 4, right, bottom
        chroma_area = tuple((end + i // 2) // 2 for i, end in enumerate(area))
        areas = (area, chroma_area, chroma_area)
        parts = zip(picture, matte.planes, areas, steps, strict=True)
        small = [_weighted(plane, alpha, where, n) for plane, alpha, where, n in parts]
        share = _reduce(cast(Plane, cv2.bitwise_not(matte.luma)), halvings)

    stack = cv2.merge([*small, share]).astype(np.float32)
    scale = 2.0**-halvings
    soft = cv2.GaussianBlur(stack, (0, 0), sigma * scale / pixel_aspect, sigmaY=sigma * scale)
    *weighted, total = cv2.split(soft)
    # Where no background is near its mean is shown, which an erased object leaves behind.
    sums = [float(plane.sum()) for plane in weighted]
    most = max(float(total.sum()), 1.0)
    weighted = [w + np.float32(FAINT * s / most) for w, s in zip(weighted, sums, strict=True)]
    total = total + np.float32(FAINT)
    y, u, v = (
        _enlarge(cast(Plane, cv2.divide(w, total, scale=255, dtype=cv2.CV_8U)), n, plane)
        for w, n, plane in zip(weighted, steps, picture, strict=True)
    )
    return Planes(y, u, v)


def _weighted(plane: Plane, alpha: Plane, area: tuple[int, ...], halvings: int) -> Plane:
    """The plane times 1 - alpha, reduced. area: left, top, right and bottom of where alpha is not
    0; left and top are even, so that halves outside it are of the plane alone."""
    left, top, right, bottom = area
    part = np.s_[top:bottom, left:right]
    reduced = halve(plane) if halvings else plane.copy()
    if right > left and bottom > top:
        inside = cast(Plane, cv2.multiply(plane[part], cv2.bitwise_not(alpha[part]), scale=1 / 255))
        if halvings:
            inside = halve(inside)
            part = np.s_[top // 2 : (bottom + 1) // 2, left // 2 : (right + 1) // 2]
        reduced[part] = inside
    return _reduce(reduced, max(halvings - 1, 0))


def _reduce(plane: Plane, halvings: int) -> Plane:
    for _ in range(halvings):
        plane = halve(plane)
    return plane


def _enlarge(small: Plane, halvings: int, like: Plane) -> Plane:
    """Undo _reduce; what `halve` had added at the right and at the bottom is cut off."""
    rows, columns = small.shape
    size = (columns << halvings, rows << halvings)
    large = cast(Plane, cv2.resize(small, size, interpolation=cv2.INTER_LINEAR))
    return large[: like.shape[0], : like.shape[1]]

"""The background out of focus, as if the objects had not been there."""

import math
from typing import cast

import cv2
import numpy as np

from stream.compose.matte import Matte
from stream.compose.planes import Area, Plane, Planes, bounds, halve

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
        share = cast(Plane, cv2.bitwise_not(matte.luma))
        chroma_share = cast(Plane, cv2.bitwise_not(matte.chroma))
        seen = _weighted(picture, Planes(share, chroma_share, chroma_share), bounds(matte.luma))
        small = [_reduce(plane, n) for plane, n in zip(seen, steps, strict=True)]
        share = _reduce(share, halvings)

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


def _weighted(picture: Planes, share: Planes, area: Area) -> Planes:
    """A copy, times the share within the area; outside it is 1."""
    result = Planes(*(plane.copy() for plane in picture))
    parts = (planes.crop(*area) for planes in (result, share))
    for plane, weight in zip(*parts, strict=True):
        if plane.size:
            cv2.multiply(plane, weight, dst=plane, scale=1 / 255)
    return result


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

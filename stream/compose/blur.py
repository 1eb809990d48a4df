"""The background out of focus, as through a wide lens, as if the objects had not been there."""

import math
from functools import lru_cache
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.compose.matte import Matte
from stream.compose.planes import Area, Plane, Planes, bounds, halve

PRIVATE, STRONGEST = 0.025, 0.06
"""Spread (standard deviation along an axis) at strength 0 and at strength 1, as a share of the
picture's longer side. The lower one already hides faces, and letters as high as a tenth of the
picture."""

DISC, RIM = 1.7, 0.53
"""A lens makes a disc of every point: its radius, and the sigma of its soft rim, as shares of the
spread. With a hard rim letters could be worked out of it again: it keeps a twentieth of the
contrast of their strokes, this one less than a level of 255."""

HIGHLIGHT = 6.0
"""How many times as much as black the brightest counts: film and sensors clip lamps and windows,
which are far brighter than their codes say and stand out as discs."""

FAINT = 0.25
"""Share of background, of 255, that the mean of all background counts as everywhere."""

BESIDE = 0.02
"""How much a cell beside an object counts: the matte may end a little within the object, and its
colour would glow around it. Not nothing, for there may be no other background."""

SMALL_SIGMA = 2.5
"""Sigma in pixels that a reduced picture must still have, so that enlarging it shows no grid."""


def blurred(picture: Planes, matte: Matte | None, strength: float, pixel_aspect: float) -> Planes:
    """The background of `picture`, continued behind the objects, out of focus.

    matte: of the objects; None means that everything is background.
    strength: 0 to 1. pixel_aspect: width over height of a pixel.

    Normalised convolution: the picture times its background share (1 - matte), and that share
    itself, are blurred and then divided, so that no colour of an object reaches its surroundings.
    Done at a reduced size, where a wide kernel costs little.
    """
    height, width = picture.y.shape
    longer = max(width * pixel_aspect, height)
    sigma = max(longer * (PRIVATE + (STRONGEST - PRIVATE) * strength), 2 * SMALL_SIGMA)
    halvings = math.floor(math.log2(sigma / SMALL_SIGMA))

    steps = (halvings, halvings - 1, halvings - 1)
    # Chroma has the size of luma's halves. The smallest spread asks for one halving at the least.
    halves = Planes(halve(picture.y), picture.u, picture.v)
    if matte is None:
        share = np.full_like(halves.y, 255)
    else:
        area = bounds(matte.chroma)
        halves = Planes(*(_weighted(plane, matte.chroma, area) for plane in halves))
        share = cast(Plane, cv2.bitwise_not(matte.chroma))
    *small, share = (_reduce(plane, halvings - 1) for plane in (*halves, share))

    stack = cv2.merge([*small, share]).astype(np.float32)
    if matte is not None:
        stack *= _beside(share)[..., None]
    stack *= _highlights(stack[..., 0], stack[..., 3])[..., None]
    spread = sigma * 2.0**-halvings
    soft = cv2.filter2D(stack, -1, _lens(spread / pixel_aspect, spread))
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


@lru_cache(maxsize=8)
def _lens(across: float, down: float) -> NDArray[np.float32]:
    """What becomes of a point. across, down: its spread in pixels along either axis."""
    half_width, half_height = (math.ceil((DISC + 2 * RIM) * spread) for spread in (across, down))
    y, x = np.mgrid[-half_height : half_height + 1, -half_width : half_width + 1]
    away = np.hypot(x / across, y / down)
    disc = np.clip((DISC - away) * min(across, down) + 0.5, 0, 1).astype(np.float32)
    soft = cv2.GaussianBlur(
        disc, (0, 0), RIM * across, sigmaY=RIM * down, borderType=cv2.BORDER_CONSTANT
    )
    return cast(NDArray[np.float32], soft / soft.sum())


def _beside(share: Plane) -> NDArray[np.float32]:
    """How much each cell counts by what is beside it. share: of background, 0 to 255."""
    clear = cv2.erode(share, np.ones((3, 3), np.uint8))
    counts = np.maximum(clear * np.float32(1 / 255), np.float32(BESIDE))
    return cast(NDArray[np.float32], counts)


def _highlights(luma: NDArray[np.float32], share: NDArray[np.float32]) -> NDArray[np.float32]:
    """How much each cell counts by its brightness. luma: times share, which is 0 to 255."""
    bright = np.square(np.square(luma / (share + np.float32(FAINT))))
    return np.float32(1) + np.float32(HIGHLIGHT - 1) * np.minimum(bright, 1)


def _weighted(plane: Plane, alpha: Plane, area: Area) -> Plane:
    """The plane times 1 - alpha, a new array. area: where alpha is not 0."""
    left, top, right, bottom = area
    part = np.s_[top:bottom, left:right]
    weighted = plane.copy()
    if weighted[part].size:
        rest = cv2.bitwise_not(alpha[part])
        cv2.multiply(plane[part], rest, dst=weighted[part], scale=1 / 255)
    return weighted


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

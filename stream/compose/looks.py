"""Looks: what an effect shows in place of the picture. Each is planes of the picture's size."""

from typing import cast

import cv2
import numpy as np

from stream.compose.matte import Matte
from stream.compose.planes import Plane, Planes, bounds, halve

COARSEST, FINEST = 0.08, 0.025
"""Side of a block at strength 1 and 0, as a share of the picture's longer side. The finer one
already leaves a face that fills a third of the picture's height with under ten blocks."""

DARKEST = 0.9
"""How much light a spotlight of strength 1 takes from the rest."""


def pixelated(picture: Planes, strength: float) -> Planes:
    """In square blocks, each the mean of what it covers."""
    height, width = picture.y.shape
    share = FINEST + (COARSEST - FINEST) * strength
    side = max(2, round(max(width, height) * share / 2) * 2)  # even: chroma's blocks lie on luma's
    return Planes(
        *(_blocks(p, n) for p, n in zip(picture, (side, side // 2, side // 2), strict=True))
    )


def _blocks(plane: Plane, side: int) -> Plane:
    rows, columns = (-(-length // side) for length in plane.shape)
    below, right = rows * side - plane.shape[0], columns * side - plane.shape[1]
    whole = cv2.copyMakeBorder(plane, 0, below, 0, right, cv2.BORDER_REPLICATE)
    means = cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA)
    large = cv2.resize(means, whole.shape[::-1], interpolation=cv2.INTER_NEAREST)
    return cast(Plane, large)[: plane.shape[0], : plane.shape[1]]


def dimmed(picture: Planes, strength: float, black: int) -> Planes:
    """With less light. black: luma's code for it."""
    keep = 1 - DARKEST * strength
    return _towards(picture, (black, 128, 128), keep)


def tinted(picture: Planes, strength: float, codes: tuple[int, int, int]) -> Planes:
    """With so much of a colour. codes: its y, u and v."""
    return _towards(picture, codes, 1 - strength)


def greyed(picture: Planes, strength: float) -> Planes:
    """With less colour; luma is the picture's own."""
    u, v = (_nearer(plane, 128, 1 - strength) for plane in (picture.u, picture.v))
    return Planes(picture.y, u, v)


def _towards(picture: Planes, codes: tuple[int, int, int], keep: float) -> Planes:
    y, u, v = (_nearer(plane, code, keep) for plane, code in zip(picture, codes, strict=True))
    return Planes(y, u, v)


def _nearer(plane: Plane, code: int, keep: float) -> Plane:
    return cast(Plane, cv2.convertScaleAbs(plane, alpha=keep, beta=code * (1 - keep)))


def silhouette(matte: Matte | None, like: Planes, black: int, white: int) -> Planes:
    """The matte itself, white on black, in the picture's range."""
    grey = np.full_like(like.u, 128)
    if matte is None:
        return Planes(np.full_like(like.y, black), grey, grey)
    y = cv2.convertScaleAbs(matte.luma, alpha=(white - black) / 255, beta=black)
    return Planes(cast(Plane, y), grey, grey)


def side_by_side(picture: Planes, silhouette: Planes) -> Planes:
    """The picture in the left half and the matte in the right one, each squeezed to it."""
    y, u, v = (_halves(left, right) for left, right in zip(picture, silhouette, strict=True))
    return Planes(y, u, v)


def _halves(left: Plane, right: Plane) -> Plane:
    rows, columns = left.shape
    result = np.empty_like(left, shape=(rows, columns))
    middle = columns // 2
    if middle:
        size = (middle, rows)
        result[:, :middle] = cv2.resize(left, size, interpolation=cv2.INTER_AREA)
    size = (columns - middle, rows)
    result[:, middle:] = cv2.resize(right, size, interpolation=cv2.INTER_AREA)
    return result


def grown(luma: Plane, share: float) -> Matte:
    """Opacity that reaches farther out by a share of the picture's longer side."""
    radius = max(1, round(max(luma.shape) * share))
    square = cv2.getStructuringElement(cv2.MORPH_RECT, (2 * radius + 1, 2 * radius + 1))
    wide = cast(Plane, cv2.dilate(luma, square))
    return Matte(wide, halve(wide))


FAINTEST = 26
"""Opacity, of 255, from which on a pixel may hold something of the object: a tenth."""


def covered(luma: Plane, share: float) -> Matte:
    """All that may be the object's, as a whole, with a margin of a share of the picture's longer
    side and a soft end beyond it."""
    radius = max(1, round(max(luma.shape) * share))
    soft = max(1, radius // 2)
    side = 2 * (radius + soft) + 1
    result = np.zeros_like(luma, order="C")
    left, top, right, bottom = bounds(luma)
    if right > left:
        area = np.s_[max(0, top - side) : bottom + side, max(0, left - side) : right + side]
        _, whole = cv2.threshold(luma[area], FAINTEST - 1, 255, cv2.THRESH_BINARY)
        wide = cv2.dilate(whole, cv2.getStructuringElement(cv2.MORPH_RECT, (side, side)))
        result[area] = cv2.blur(wide, (2 * soft + 1, 2 * soft + 1))
    return Matte(result, halve(result))


def nothing(like: Planes) -> Matte:
    """The matte of no object."""
    return Matte(np.zeros_like(like.y), np.zeros_like(like.u))

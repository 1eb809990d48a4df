"""Where in the picture a tracker looks: at all of it, or at a square around its objects.

A network sees little of what is small: a car 20 pixels wide is 5 cells of its mask. In a window the
same network sees it three times as large. The window moves seldom, because memories are tied to
places in it and have to be encoded anew (stream.track.objects.settle).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

CONTEXT = 3.0
"""The window's side as a multiple of the longer side of what it is laid around."""

NARROWEST = 0.3
"""Of the picture's side: a window sees some of its surroundings whatever the object's size."""

BORDER = 0.1
"""Share of the window that its objects keep clear of, or a new one is laid."""

SHARES = (0.15, 0.65)
"""Of the window's side that the longer side of its objects may have."""

WIDEST = 0.8
"""Of the picture's side: a window that is hardly smaller than the picture gains nothing."""

PATIENCE = 8
"""Frames on which an object may be hidden before it is looked for in the whole picture."""

OUTSIDE_LOGIT = -10.0
"""Where a window does not reach, there is no object; as sure as a mask that a person gave."""


@dataclass(frozen=True, slots=True)
class Box:
    """x, y, width, height in shares of the picture's sides."""

    x: float
    y: float
    width: float
    height: float

    def join(self, other: "Box") -> "Box":
        """The smallest box around both."""
        x, y = min(self.x, other.x), min(self.y, other.y)
        right = max(self.x + self.width, other.x + other.width)
        bottom = max(self.y + self.height, other.y + other.height)
        return Box(x, y, right - x, bottom - y)


@dataclass(frozen=True, slots=True)
class Square:
    """A part of the picture, in shares of its sides; of the picture's own aspect ratio, so that
    a network sees the same shapes in it as in the whole."""

    x: float = 0.0
    y: float = 0.0
    side: float = 1.0

    def cut(self, array: NDArray[Any]) -> NDArray[Any]:
        """This part of [H, W, ...], to the nearest pixel."""
        height, width = array.shape[:2]
        top, left = round(self.y * height), round(self.x * width)
        bottom, right = round((self.y + self.side) * height), round((self.x + self.side) * width)
        return array[top:bottom, left:right]

    def holds(self, box: Box) -> bool:
        """The box lies in it, as far from its border as `fits` wants."""
        border = BORDER * self.side
        return (
            (self.x == 0 or box.x >= self.x + border)
            and (self.y == 0 or box.y >= self.y + border)
            and (self.x + self.side >= 1 or box.x + box.width <= self.x + self.side - border)
            and (self.y + self.side >= 1 or box.y + box.height <= self.y + self.side - border)
        )

    def fits(self, box: Box) -> bool:
        """It still suits objects in this box: they are neither near its border nor too large or
        too small in it."""
        share = max(box.width, box.height) / self.side
        is_small = share < SHARES[0] and self.side > NARROWEST
        is_large = share > SHARES[1] and self != WHOLE
        return self.holds(box) and not is_small and not is_large

    def around(self, box: Box) -> "Square":
        """One of this size whose middle is the box's, or as near to it as the picture allows."""
        room = 1 - self.side
        x = min(max(0.0, box.x + box.width / 2 - self.side / 2), room)
        y = min(max(0.0, box.y + box.height / 2 - self.side / 2), room)
        return Square(x, y, self.side)


WHOLE = Square()


def around(box: Box) -> Square:
    """The window for objects in this box; the whole picture where a window would be of no use."""
    side = max(CONTEXT * max(box.width, box.height), NARROWEST)
    return WHOLE if side > WIDEST else Square(side=side).around(box)


def choose(now: Square, seen: Iterable[Box | None], longest_hidden: int) -> Square:
    """Where to look next.

    now: where the tracker looks. seen: the boxes of its objects there; None for hidden ones.
    longest_hidden: frames since the object that is hidden for longest was seen.
    """
    boxes = [box for box in seen if box is not None]
    if longest_hidden > PATIENCE:
        return WHOLE
    if not boxes:
        return now
    union = boxes[0]
    for box in boxes[1:]:
        union = union.join(box)
    return now if now.fits(union) else around(union)


def box_of(logits: NDArray[np.float32], square: Square) -> Box | None:
    """Around what is positive in [h, w], which lie over `square`; None: nothing is."""
    rows, columns = logits.shape
    x, y, width, height = cv2.boundingRect((logits > 0).astype(np.uint8))
    if not width:
        return None
    across, down = square.side / columns, square.side / rows
    return Box(square.x + x * across, square.y + y * down, width * across, height * down)


def resample(
    logits: NDArray[np.float32], source: Square, target: Square, side: int
) -> NDArray[np.float32]:
    """Logits [h, h] over `source` as [side, side] over `target`, OUTSIDE_LOGIT where they do not
    reach; those of a hidden object stay as low everywhere as they are."""
    cells = logits.shape[0]
    if source == target and cells == side:
        return logits
    scale = target.side / source.side * cells / side
    shift = [(t - s) / source.side * cells for t, s in ((target.x, source.x), (target.y, source.y))]
    middle = 0.5 * scale - 0.5
    matrix = np.array([[scale, 0, middle + shift[0]], [0, scale, middle + shift[1]]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(logits, matrix, (side, side), None, flags, cv2.BORDER_REPLICATE)
    # Centres of the cells along each axis, in the source's cells.
    at = [scale * np.arange(side) + middle + offset for offset in shift]
    beyond = [(axis < -0.5) | (axis > cells - 0.5) for axis in at]
    outside = beyond[1][:, None] | beyond[0][None, :]
    result: NDArray[np.float32] = moved.astype(np.float32, copy=False)
    result[outside] = np.minimum(result[outside], OUTSIDE_LOGIT)
    return result


def see(picture: NDArray[np.uint8], square: Square, side: int) -> NDArray[np.uint8]:
    """This part of a picture [D, D, 3] at a network's size: [side, side, 3]."""
    part = square.cut(picture)
    if part.shape[:2] == (side, side):
        return np.ascontiguousarray(part)
    smooth = cv2.INTER_AREA if part.shape[0] > side else cv2.INTER_CUBIC
    return cv2.resize(part, (side, side), interpolation=smooth).astype(np.uint8, copy=False)

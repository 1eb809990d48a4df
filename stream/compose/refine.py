"""A coarse mask made to follow the picture: matting at a low resolution.

Two steps. Colour lines: around each pixel the mean colours of the object and of what is behind it
are taken under the mask; where they differ, the pixel's own colour says how much of it is object.
Then a fast guided filter (He and Sun, arXiv 1505.00996) makes opacity a linear function of luma
within small windows, whose coefficients are enlarged and applied to the luma of the full picture:
so the edge is as sharp as the object's there, though all the work was done on small pictures.

Measured with masks of 96 x 96, one to four pictures late (docs/compositing.md): the guided filter
alone left boundary F where flow had brought it, the colour lines before it raised it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.compose.flow import grid_size
from stream.compose.planes import Area, Plane, Planes, halve

Floats = NDArray[np.float32]
Mat = NDArray[np.floating[Any] | np.integer[Any]]

COLOUR_RADIUS = 2
"""Of the windows for mean colours, at half the grid's size: as far as the mask may be off. Tried: 3
(0.003 of boundary F less), and 5 at the grid's own size (the same F and flicker, 0.5 ms more for
somebody before a webcam)."""

LEAST_APART = np.float32(0.6)
"""The means are of mixtures where the mask is soft, so their difference is too small, by how much
the mask tells; but the object may be sharper than it, so no more than this is made up for. Without,
half of the old background's colour stayed in the edge, with it a quarter to a third."""

CHROMA_WEIGHT = 3.0
"""Chroma spans about a third of luma's range, and shadows change it less."""

WEIGHTS = (np.float32(1), np.float32(CHROMA_WEIGHT**2), np.float32(CHROMA_WEIGHT**2))

UNIT = np.float32(1 / 255)

CONTRAST = 0.015
"""Squared distance of the mean colours (0 to 1) at which the picture is believed half."""

GUIDE_RADIUS = 1
GUIDE_SMOOTHNESS = 1e-3
"""Variance of luma (0 to 1) below which a window is taken for flat."""


@dataclass(frozen=True, slots=True)
class Guide:
    """The picture at the grid's size: its planes y, u and v, all uint8 [h, w]."""

    small: tuple[Plane, Plane, Plane]

    @classmethod
    def of(cls, picture: Planes) -> "Guide":
        height, width = picture.y.shape
        size = grid_size(width, height)
        y, u, v = (reduced(plane, size) for plane in picture)
        return cls((y, u, v))

    @property
    def luma(self) -> Plane:
        return self.small[0]


@dataclass(frozen=True, slots=True)
class Coefficients:
    """Opacity = slope x luma + offset, both float32 [h, w], luma and opacity 0 to 1.

    contrast: float32 [ceil(h / 2), ceil(w / 2), 3], the object's mean colour less that behind it,
    where both are near and the picture is believed; else towards 0. bounds: beyond which all is 0;
    they may reach beyond the grid.
    """

    slope: Floats
    offset: Floats
    contrast: Floats
    bounds: Area


REACH = 2 * COLOUR_RADIUS + 2 + 2 * GUIDE_RADIUS + 1
"""Pixels of the grid beyond which a mask that is 0 stays 0."""


def coefficients(guide: Guide, mask: Floats) -> Coefficients:
    """mask: float32 [h, w], 0 to 1, of the object at the grid's size.

    Worked out around the object alone; all is 0 elsewhere, as it would be anyway.
    """
    x, y, columns, rows = cv2.boundingRect(cv2.inRange(mask, 1e-6, 2))
    left, top = max(0, x - REACH) // 2 * 2, max(0, y - REACH) // 2 * 2
    right, bottom = x + columns + REACH, y + rows + REACH
    area = np.s_[top:bottom, left:right]
    slope, offset = np.zeros_like(mask), np.zeros_like(mask)
    halves = np.s_[top // 2 : (bottom + 1) // 2, left // 2 : (right + 1) // 2]
    contrast = np.zeros(((mask.shape[0] + 1) // 2, (mask.shape[1] + 1) // 2, 3), np.float32)
    slope[area], offset[area], contrast[halves] = _coefficients(
        [plane[area] for plane in guide.small], mask[area]
    )
    return Coefficients(slope, offset, contrast, (left, top, right, bottom))


def _coefficients(small: Sequence[Plane], mask: Floats) -> tuple[Floats, Floats, Floats]:
    """slope, offset, contrast. small: y, u and v under the mask, uint8."""
    # Plane by plane: numpy is ten times as slow on a last axis of three, and merging, to have
    # OpenCV work on several at once, costs more than it saves.
    line, contrast, belief = _colour_line(small, mask)
    y, u, v = (plane.astype(np.float32) * UNIT for plane in small)
    along = y * line[0] + u * line[1] + v * line[2] + line[3]
    opacity = mask + belief * (np.clip(along, 0, 1) - mask)

    mean, mean_opacity, product, square = (
        _window(field, GUIDE_RADIUS) for field in (y, opacity, y * opacity, y * y)
    )
    variance = square - mean * mean
    slope = (product - mean * mean_opacity) / (variance + np.float32(GUIDE_SMOOTHNESS))
    offset = mean_opacity - slope * mean
    return _window(slope, GUIDE_RADIUS), _window(offset, GUIDE_RADIUS), contrast


def _colour_line(small: Sequence[Plane], mask: Floats) -> tuple[list[Floats], Floats, Floats]:
    """Opacity as a linear function of y, u and v: three slopes and an offset; contrast [h, w, 3];
    how far they are to be believed, 0 to 1."""
    half, mask = [halve(plane) for plane in small], halve(mask)
    share = _window(mask, COLOUR_RADIUS)
    one, least = np.float32(1), np.float32(0.001)
    per_inside, per_behind = one / (share + least), one / (one + least - share)
    distance, offset = np.full_like(mask, 1e-6), np.zeros_like(mask)
    contrast: list[Floats] = []
    slopes: list[Floats] = []
    for plane, weight in zip(half, WEIGHTS, strict=True):
        part = _window(plane * (mask * UNIT), COLOUR_RADIUS)
        behind = (_window(plane, COLOUR_RADIUS) * UNIT - part) * per_behind
        difference = part * per_inside - behind
        slope = difference * weight
        distance += slope * difference
        offset -= slope * behind
        slopes.append(slope)
        contrast.append(difference)
    # Each mean is of mixtures: how much of the object is in the one, less how much in the other.
    squares = _window(mask * mask, COLOUR_RADIUS)
    apart = squares * per_inside - (share - squares) * per_behind
    near = np.minimum(one, np.float32(8) * np.minimum(share, one - share))
    belief = distance / (distance + np.float32(CONTRAST)) * near
    believed = belief / np.maximum(apart, LEAST_APART)
    pure = cast(Floats, cv2.merge([plane * believed for plane in contrast]))
    shape = small[0].shape
    line = [_doubled(field / distance, shape) for field in (*slopes, offset)]
    return line, pure, _doubled(belief, shape)


def _doubled(field: Floats, shape: tuple[int, ...]) -> Floats:
    rows, columns = field.shape
    large = cv2.resize(field, (2 * columns, 2 * rows), interpolation=cv2.INTER_LINEAR)
    return cast(Floats, large[: shape[0], : shape[1]])


def _window(field: Mat, radius: int) -> Floats:
    """The mean around each pixel, float32."""
    side = 2 * radius + 1
    found = cv2.boxFilter(field, cv2.CV_32F, (side, side), borderType=cv2.BORDER_REPLICATE)
    return cast(Floats, found)


def reduced(plane: Plane, size: tuple[int, int]) -> Plane:
    """The plane at `size`, width and height.

    By halves as far as they lead, and the rest between the pixels that are left: OpenCV has SIMD
    for these two. The mean of what each pixel covers costs 1 ms more at 854 x 480; it is taken
    where sides are odd, and halves would lie askew. Smaller planes come in blocks, as chroma
    covers luma.
    """
    columns, rows = size
    times = plane.shape[1] / columns
    while times >= 2 and plane.shape[0] >= 2 * rows and not (plane.shape[0] | plane.shape[1]) % 2:
        plane, times = halve(plane), times / 2
    if plane.shape == (rows, columns):
        return plane
    between = cv2.INTER_LINEAR if 1 < times < 2 else cv2.INTER_AREA
    return cast(Plane, cv2.resize(plane, size, interpolation=between))


ROUND = 2
"""Cells around the object that are enlarged with it, so that none is bounded by the part's end."""


class Enlarger:
    """Coefficients onto the full picture, around the object alone. Keeps its large arrays: fresh
    ones cost 5 ms of page faults a picture of 720p, the arithmetic 1 ms.

    Tried: in strips, and in each only where an edge runs through it. A third of the arithmetic for
    a person before a webcam, and 1 ms slower, for its many small calls.
    """

    def __init__(self) -> None:
        self._arrays: list[Floats] = [np.empty(0, np.float32)] * 2

    def opacity(self, slope: Floats, offset: Floats, luma: Plane) -> Plane:
        """uint8 [height, width], of the full picture with this luma; a new array."""
        opacity = np.zeros_like(luma, order="C")
        reached = cv2.inRange(offset + np.maximum(slope, 0), 1e-9, 1e9)
        x, y, columns, rows = cv2.boundingRect(reached)
        if not columns:
            return opacity
        left, top = max(0, x - ROUND), max(0, y - ROUND)
        right, bottom = x + columns + ROUND, y + rows + ROUND
        down, across = (a / b for a, b in zip(luma.shape, slope.shape, strict=True))
        area = (
            slice(int(top * down), math.ceil(bottom * down)),
            slice(int(left * across), math.ceil(right * across)),
        )
        pixels, part = luma[area], np.s_[top:bottom, left:right]
        whole = bool(down % 1 or across % 1)  # cells do not end where pixels do
        large_slope, large_offset = (
            self._enlarged(i, field, luma.shape)[area]
            if whole
            else self._enlarged(i, field[part], pixels.shape)
            for i, field in enumerate((slope, offset * np.float32(255)))
        )
        cv2.multiply(pixels, large_slope, dst=large_slope, dtype=cv2.CV_32F)
        cv2.add(large_slope, large_offset, dst=opacity[area], dtype=cv2.CV_8U)
        return opacity

    def _enlarged(self, number: int, field: Floats, shape: tuple[int, ...]) -> Floats:
        size = shape[0] * shape[1]
        if self._arrays[number].size < size:
            self._arrays[number] = np.empty(size, np.float32)
        large = self._arrays[number][:size].reshape(shape)
        cv2.resize(field, shape[::-1], dst=large, interpolation=cv2.INTER_LINEAR)
        return large

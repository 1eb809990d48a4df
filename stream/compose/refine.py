"""A coarse mask made to follow the picture: matting at a low resolution.

Two steps. Colour lines: around each pixel the mean colours of the object and of what is behind it
are taken under the mask; where they differ, the pixel's own colour says how much of it is object.
Then a fast guided filter (He and Sun, arXiv 1505.00996) makes opacity a linear function of luma
within small windows, whose coefficients are enlarged and applied to the luma of the full picture:
so the edge is as sharp as the object's there, though all the work was done on small pictures.

Measured with masks of 96 x 96, one to four pictures late (docs/compositing.md): the guided filter
alone left boundary F where flow had brought it, the colour lines before it raised it.
"""

from dataclasses import dataclass
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.compose.flow import grid_size
from stream.compose.planes import Plane, Planes

Floats = NDArray[np.float32]
Mat = NDArray[np.floating[Any] | np.integer[Any]]

COLOUR_RADIUS = 5
"""Of the windows for mean colours, in pixels of the grid: as far as the mask may be off."""

CHROMA_WEIGHT = 3.0
"""Chroma spans about a third of luma's range, and shadows change it less."""

WEIGHTS = (np.float32(1), np.float32(CHROMA_WEIGHT**2), np.float32(CHROMA_WEIGHT**2))

CONTRAST = 0.02
"""Squared distance of the mean colours (0 to 1) at which the picture is believed half."""

GUIDE_RADIUS = 2
GUIDE_SMOOTHNESS = 1e-3
"""Variance of luma (0 to 1) below which a window is taken for flat."""


@dataclass(frozen=True, slots=True)
class Guide:
    """The picture at the grid's size.

    luma: uint8 [h, w]. planes: y, u and v, float32 [h, w], 0 to 1; means: their local means.
    """

    luma: Plane
    planes: tuple[Floats, ...]
    means: tuple[Floats, ...]

    @classmethod
    def of(cls, picture: Planes) -> "Guide":
        height, width = picture.y.shape
        size = grid_size(width, height)
        small = [cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in picture]
        planes = [plane.astype(np.float32) * np.float32(1 / 255) for plane in small]
        means = cv2.split(_window(cv2.merge(planes), COLOUR_RADIUS))
        return cls(
            cast(Plane, small[0]),
            tuple(cast(Floats, plane) for plane in planes),
            tuple(cast(Floats, plane) for plane in means),
        )

    def crop(self, area: tuple[slice, slice]) -> "Guide":
        planes, means = (
            tuple(plane[area] for plane in group) for group in (self.planes, self.means)
        )
        return Guide(self.luma[area], planes, means)


@dataclass(frozen=True, slots=True)
class Coefficients:
    """Opacity = slope x luma + offset, both float32 [h, w], luma and opacity 0 to 1.

    contrast: float32 [h, w, 3], the object's mean colour less that behind it, where both are
    near and the picture is believed; else towards 0.
    """

    slope: Floats
    offset: Floats
    contrast: Floats


REACH = COLOUR_RADIUS + 2 * GUIDE_RADIUS + 1
"""Pixels of the grid beyond which a mask that is 0 stays 0."""


def coefficients(guide: Guide, mask: Floats) -> Coefficients:
    """mask: float32 [h, w], 0 to 1, of the object at the grid's size.

    Worked out around the object alone; all is 0 elsewhere, as it would be anyway.
    """
    x, y, columns, rows = cv2.boundingRect(cv2.inRange(mask, 1e-6, 2))
    area = np.s_[
        max(0, y - REACH) : y + rows + REACH,
        max(0, x - REACH) : x + columns + REACH,
    ]
    found = _coefficients(guide.crop(area), mask[area])
    slope, offset = np.zeros_like(mask), np.zeros_like(mask)
    contrast = np.zeros((*mask.shape, 3), np.float32)
    slope[area], offset[area], contrast[area] = found.slope, found.offset, found.contrast
    return Coefficients(slope, offset, contrast)


def _coefficients(guide: Guide, mask: Floats) -> Coefficients:
    # Plane by plane: numpy is ten times as slow on a last axis of three.
    under = cv2.split(
        _window(cv2.merge([mask, *(plane * mask for plane in guide.planes)]), COLOUR_RADIUS)
    )
    share, inside = under[0], under[1:]
    per_inside, per_behind = 1 / (share + np.float32(0.001)), 1 / (np.float32(1.001) - share)
    distance, along = np.zeros_like(mask), np.zeros_like(mask)
    contrast = []
    for plane, total, part, weight in zip(guide.planes, guide.means, inside, WEIGHTS, strict=True):
        behind = (total - part) * per_behind
        difference = part * per_inside - behind
        weighted = difference * weight
        distance += weighted * difference
        along += (plane - behind) * weighted
        contrast.append(difference)
    near = np.minimum(1, 8 * np.minimum(share, 1 - share))
    belief = distance / (distance + np.float32(CONTRAST)) * near
    opacity = mask + belief * (np.clip(along / (distance + np.float32(1e-6)), 0, 1) - mask)
    y = guide.planes[0]

    means = _window(cv2.merge([y, opacity, y * opacity, y * y]), GUIDE_RADIUS)
    mean, mean_opacity, product, square = cv2.split(means)
    slope = (product - mean * mean_opacity) / (square - mean * mean + GUIDE_SMOOTHNESS)
    both = _window(cv2.merge([slope, mean_opacity - slope * mean, mean, mean]), GUIDE_RADIUS)
    smooth_slope, smooth_offset, *_ = cv2.split(both)
    believed = cv2.merge([plane * belief for plane in contrast])
    return Coefficients(
        cast(Floats, smooth_slope), cast(Floats, smooth_offset), cast(Floats, believed)
    )


def _window(field: Mat, radius: int) -> Floats:
    side = 2 * radius + 1
    return cast(Floats, cv2.boxFilter(field, -1, (side, side), borderType=cv2.BORDER_REPLICATE))


class Enlarger:
    """Coefficients onto the full picture. Keeps its large arrays: fresh ones cost 5 ms of page
    faults a picture of 720p, the arithmetic 1 ms."""

    def __init__(self) -> None:
        self._slope: Floats = np.empty((0, 0), np.float32)
        self._offset: Floats = np.empty((0, 0), np.float32)

    def opacity(self, slope: Floats, offset: Floats, luma: Plane) -> Plane:
        """uint8 [height, width], of the full picture with this luma; a new array."""
        if self._slope.shape != luma.shape:
            self._slope = np.empty(luma.shape, np.float32)
            self._offset = np.empty(luma.shape, np.float32)
        size = luma.shape[1], luma.shape[0]
        cv2.resize(slope, size, dst=self._slope, interpolation=cv2.INTER_LINEAR)
        cv2.resize(offset * np.float32(255), size, dst=self._offset)
        opacity = np.zeros_like(luma, order="C")
        area = self._object(slope, offset, size)
        large_slope = self._slope[area]
        cv2.multiply(luma[area], large_slope, dst=large_slope, dtype=cv2.CV_32F)
        cv2.add(large_slope, self._offset[area], dst=opacity[area], dtype=cv2.CV_8U)
        return opacity

    def _object(self, slope: Floats, offset: Floats, size: tuple[int, int]) -> tuple[slice, slice]:
        """Where opacity may be above 0, in the full picture."""
        rows, columns = slope.shape
        reached = cv2.inRange(offset + np.maximum(slope, 0), 0, 1e9)
        x, y, width, height = cv2.boundingRect(reached)
        across, down = size[0] / columns, size[1] / rows
        return (
            slice(max(0, int((y - 1) * down)), int((y + height + 1) * down) + 1),
            slice(max(0, int((x - 1) * across)), int((x + width + 1) * across) + 1),
        )

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

CONTRAST = 0.02
"""Squared distance of the mean colours (0 to 1) at which the picture is believed half."""

GUIDE_RADIUS = 2
GUIDE_SMOOTHNESS = 1e-3
"""Variance of luma (0 to 1) below which a window is taken for flat."""


@dataclass(frozen=True, slots=True)
class Guide:
    """The picture at the grid's size.

    luma: uint8 [h, w]. colours: float32 [h, w, 3], y, u and v as 0 to 1; means: their local means.
    """

    luma: Plane
    colours: Floats
    means: Floats

    @classmethod
    def of(cls, picture: Planes) -> "Guide":
        height, width = picture.y.shape
        size = grid_size(width, height)
        small = [cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in picture]
        colours = cv2.merge([plane.astype(np.float32) for plane in small]) / np.float32(255)
        return cls(cast(Plane, small[0]), colours, _window(colours, COLOUR_RADIUS))


@dataclass(frozen=True, slots=True)
class Coefficients:
    """Opacity = slope x luma + offset, both float32 [h, w], luma and opacity 0 to 1.

    contrast: float32 [h, w, 3], the object's mean colour less that behind it, where both are
    near and the picture is believed; else towards 0.
    """

    slope: Floats
    offset: Floats
    contrast: Floats


def coefficients(guide: Guide, mask: Floats) -> Coefficients:
    """mask: float32 [h, w], 0 to 1, of the object at the grid's size."""
    y = guide.colours[..., 0]
    under = _window(cv2.merge([mask, *cv2.split(guide.colours * mask[..., None])]), COLOUR_RADIUS)
    share, inside = under[..., :1], under[..., 1:]
    behind = (guide.means - inside) / (1.001 - share)
    contrast = inside / (share + 0.001) - behind
    weighted = contrast * np.array([1, CHROMA_WEIGHT, CHROMA_WEIGHT], np.float32) ** 2
    distance = cv2.transform(contrast * weighted, np.ones((1, 3), np.float32))
    along = cv2.transform((guide.colours - behind) * weighted, np.ones((1, 3), np.float32))
    near = np.minimum(1, 8 * np.minimum(share, 1 - share)[..., 0])
    belief = distance / (distance + CONTRAST) * near
    opacity = mask + belief * (np.clip(along / (distance + 1e-6), 0, 1) - mask)

    means = _window(cv2.merge([y, opacity, y * opacity, y * y]), GUIDE_RADIUS)
    mean, mean_opacity, product, square = cv2.split(means)
    slope = (product - mean * mean_opacity) / (square - mean * mean + GUIDE_SMOOTHNESS)
    both = _window(cv2.merge([slope, mean_opacity - slope * mean, mean, mean]), GUIDE_RADIUS)
    return Coefficients(
        np.ascontiguousarray(both[..., 0]),
        np.ascontiguousarray(both[..., 1]),
        contrast * belief[..., None],
    )


def _window(field: Mat, radius: int) -> Floats:
    side = 2 * radius + 1
    return cast(Floats, cv2.boxFilter(field, -1, (side, side), borderType=cv2.BORDER_REPLICATE))


def enlarge(slope: Floats, offset: Floats, luma: Plane) -> Plane:
    """Opacity uint8 [height, width] of the full picture with this luma."""
    size = luma.shape[1], luma.shape[0]
    large_slope = cv2.resize(slope, size, interpolation=cv2.INTER_LINEAR)
    large_offset = cv2.resize(offset * np.float32(255), size, interpolation=cv2.INTER_LINEAR)
    cv2.multiply(luma, large_slope, dst=large_slope, dtype=cv2.CV_32F)
    return cast(Plane, cv2.add(large_slope, large_offset, dtype=cv2.CV_8U))

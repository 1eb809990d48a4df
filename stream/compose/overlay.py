"""Objects tinted, outlined and lit in their colours. All paint in place, near the object alone."""

from typing import cast

import cv2

from stream.compose.matte import Matte
from stream.compose.planes import Area, Plane, Planes, halve

Codes = tuple[int, int, int]
"""y, u and v of a colour."""

CONTOUR = 1 / 300
"""Half the contour's width, as a share of the picture's shorter side: 2 pixels of 720p."""

WIDEST_CONTOUR = 4.0
"""How many times as wide the contour of strength 1 is."""

GLOW = (0.01, 0.04)
"""How far a glow of strength 0 and 1 reaches, as a share of the picture's shorter side."""


def tint(picture: Planes, matte: Plane, codes: Codes, strength: float) -> None:
    """Tint one object and outline it. matte: uint8 [height, width].

    strength: opacity of the tint, 0 to 1; the contour is opaque.
    """
    radius = _radius(picture, CONTOUR)
    area = _bounds(matte, radius)
    inside = _cut(matte, area)
    line = _outline(inside, radius)
    _paint(
        picture,
        cast(Plane, cv2.max(cv2.convertScaleAbs(inside, alpha=strength), line)),
        codes,
        area,
    )


def contour(picture: Planes, matte: Plane, codes: Codes, strength: float) -> None:
    """Outline one object, the wider the stronger."""
    radius = _radius(picture, CONTOUR * (1 + (WIDEST_CONTOUR - 1) * strength))
    area = _bounds(matte, radius)
    _paint(picture, _outline(_cut(matte, area), radius), codes, area)


def glow(picture: Planes, matte: Plane, codes: Codes, strength: float) -> None:
    """Light around one object that fades outwards, the farther the stronger."""
    reach = _radius(picture, GLOW[0] + (GLOW[1] - GLOW[0]) * strength)
    area = _bounds(matte, 3 * reach)
    inside = _cut(matte, area)
    rows, columns = inside.shape
    quarter = max(columns // 4, 1), max(rows // 4, 1)
    small = cv2.resize(inside, quarter, interpolation=cv2.INTER_AREA)
    side = 2 * max(1, round(reach / 4)) + 1
    wide = cv2.dilate(small, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
    soft = cv2.GaussianBlur(wide, (0, 0), max(reach / 4, 0.5))
    halo = cv2.resize(soft, (columns, rows), interpolation=cv2.INTER_LINEAR)
    outside = cv2.multiply(halo, cv2.bitwise_not(inside), scale=1 / 255)
    _paint(picture, cast(Plane, outside), codes, area)


def _radius(picture: Planes, share: float) -> int:
    height, width = picture.y.shape
    return max(1, int(min(height, width) * share + 0.5))


def _outline(matte: Plane, radius: int) -> Plane:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return cast(Plane, cv2.morphologyEx(matte, cv2.MORPH_GRADIENT, kernel))


def _bounds(matte: Plane, margin: int) -> Area:
    """All that may be painted: the object and a margin around it."""
    height, width = matte.shape
    x, y, columns, rows = cv2.boundingRect(matte)
    left, top = max(0, x - margin) // 2 * 2, max(0, y - margin) // 2 * 2
    # Four pixels at the least: what is reduced to a quarter must not vanish.
    return left, top, min(width, x + columns + margin + 4), min(height, y + rows + margin + 4)


def _cut(matte: Plane, area: Area) -> Plane:
    left, top, right, bottom = area
    return matte[top:bottom, left:right]


def _paint(picture: Planes, opacity: Plane, codes: Codes, area: Area) -> None:
    region = picture.crop(*area)
    alphas = Matte(opacity, halve(opacity)).planes
    for pixels, alpha, code in zip(region, alphas, codes, strict=True):
        cv2.multiply(pixels, cv2.bitwise_not(alpha), dst=pixels, scale=1 / 255)
        cv2.add(pixels, cv2.convertScaleAbs(alpha, alpha=code / 255), dst=pixels)

"""A picture as its three 8-bit planes, YUV 4:2:0, and the arithmetic on them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import av
import cv2
import numpy as np
from av.video.plane import VideoPlane
from numpy.typing import NDArray

Plane = NDArray[np.uint8]
Field = TypeVar("Field", Plane, NDArray[np.float32])


@dataclass(frozen=True, slots=True)
class Planes:
    """y: uint8 [height, width]; u, v: uint8 [ceil(height / 2), ceil(width / 2)].

    Rows may be padded, so the arrays need not be contiguous.
    """

    y: Plane
    u: Plane
    v: Plane

    def __iter__(self) -> Iterator[Plane]:
        return iter((self.y, self.u, self.v))

    @classmethod
    def of(cls, picture: av.VideoFrame) -> "Planes":
        """The planes of a yuv420p, yuvj420p or yuva420p picture, without a copy."""
        y, u, v = (pixels(plane) for plane in picture.planes[:3])
        return cls(y, u, v)

    @classmethod
    def flat(cls, codes: tuple[int, int, int], width: int, height: int) -> "Planes":
        """A picture that is (y, u, v) everywhere."""
        chroma = ((height + 1) // 2, (width + 1) // 2)
        shapes = ((height, width), chroma, chroma)
        y, u, v = (np.full(shape, c, np.uint8) for shape, c in zip(shapes, codes, strict=True))
        return cls(y, u, v)

    def crop(self, left: int, top: int, right: int, bottom: int) -> "Planes":
        """A view of the rectangle; left and top must be even."""
        luma = np.s_[top:bottom, left:right]
        chroma = np.s_[top // 2 : (bottom + 1) // 2, left // 2 : (right + 1) // 2]
        return Planes(self.y[luma], self.u[chroma], self.v[chroma])

    def copy_to(self, out: "Planes") -> None:
        for source, target in zip(self, out, strict=True):
            np.copyto(target, source)


def pixels(plane: VideoPlane) -> Plane:
    """uint8 [height, width] of one plane of 8 bits, without a copy and without its padding."""
    stride = abs(plane.line_size)
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, stride)
    if plane.line_size < 0:  # stored bottom row first
        rows = rows[::-1]
    return rows[:, : plane.width]


def blend(front: Plane, back: Plane, alpha: Plane, out: Plane) -> None:
    """`out` becomes front where alpha is 255, back where it is 0, and their mixture between.

    All uint8 of one shape; out must not be back. Exact where alpha is 0 or 255, elsewhere within 1
    of the exact value: each half is rounded, because that is what OpenCV has in SIMD.
    """
    # One new array only: fresh memory costs more in page faults than the arithmetic.
    rest = cv2.bitwise_not(alpha)
    cv2.multiply(back, rest, dst=rest, scale=1 / 255)
    cv2.multiply(front, alpha, dst=out, scale=1 / 255)
    cv2.add(out, rest, dst=out)


Area = tuple[int, int, int, int]
"""left, top, right, bottom; left and top are even."""

MOST = 0.5
"""Share of the picture from which on it pays to look where opacity is not whole either."""


def mix(front: Planes, back: Planes, opacity: Planes, out: Planes) -> None:
    """`blend` of whole pictures; out may be front, but not back.

    Where opacity is 0 or 255 all around, pixels are copied, at a fifth of the cost.
    """
    area, outside = bounds(opacity.y), back
    height, width = opacity.y.shape
    if (area[2] - area[0]) * (area[3] - area[1]) > MOST * width * height:
        solid = cast(Plane, cv2.bitwise_not(opacity.y))
        area, outside = bounds(solid), front
    parts = (planes.crop(*area) for planes in (front, back, opacity, out))
    for arguments in zip(*parts, strict=True):
        if arguments[0].size:
            blend(*arguments)
    if outside is not out:
        for rest in around(area, width, height):
            outside.crop(*rest).copy_to(out.crop(*rest))


def bounds(plane: Plane) -> Area:
    """Around all that is not 0, with an even right and bottom unless they are the picture's."""
    height, width = plane.shape
    x, y, columns, rows = cv2.boundingRect(plane)
    right, bottom = (x + columns + 1) // 2 * 2, (y + rows + 1) // 2 * 2
    return x // 2 * 2, y // 2 * 2, min(right, width), min(bottom, height)


def around(area: Area, width: int, height: int) -> tuple[Area, ...]:
    """What is left of a picture without the area: above and below it, left and right of it."""
    left, top, right, bottom = area
    return (
        (0, 0, width, top),
        (0, bottom, width, height),
        (0, top, left, bottom),
        (right, top, width, bottom),
    )


def halve(plane: Field) -> Field:
    """The mean of each 2 x 2 block: what a chroma sample covers of the luma plane.

    An odd last row or column counts twice, so the result is [ceil(H / 2), ceil(W / 2)].
    """
    height, width = plane.shape
    if height % 2 or width % 2:
        padded: Any = cv2.copyMakeBorder(plane, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    else:
        padded = plane
    size = ((width + 1) // 2, (height + 1) // 2)
    return cast(Field, cv2.resize(padded, size, interpolation=cv2.INTER_AREA))

"""Objects taken out of the picture, filled from when the background was seen, else from around."""

from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.compose.camera import Transform, camera_motion, enlarged, farthest
from stream.compose.flow import Step
from stream.compose.matte import Matte
from stream.compose.planes import Area, Plane, Planes, bounds, halve

MOVED = 0.15
"""Pixels of the grid by which the camera must have moved before what was seen is moved as well:
each time makes it a little less sharp."""

HALVINGS = 2
"""How often a picture is reduced before what was never seen is made up for it."""

NEAR_BY = 4
"""A cell of which this part is known counts as known: what is nearest tells, not what is far."""

SOLID = 255

NOTHING = (16, 128, 128)
"""Shown where nothing of what is behind was ever seen, as codes y, u and v: black."""


class Plate:
    """The background as it was last seen, pixel by pixel; it goes along with the camera."""

    def __init__(self) -> None:
        self._seen: Planes | None = None
        self._known: Matte | None = None
        self._pending: Transform = np.eye(3)

    def follow(self, step: Step | None, objects: Matte | None) -> None:
        """Heed that the camera may have moved; forget all where that cannot be told.

        step: to the picture before. objects: of the newest picture. To be called for every picture.
        """
        if self._seen is None or self._known is None:
            return
        motion = None if step is None else camera_motion(step, objects.luma if objects else None)
        if step is None or motion is None:
            self._seen = self._known = None
            self._pending = np.eye(3)
            return
        self._pending = self._pending @ motion
        rows, columns = step.flow.shape[:2]
        if farthest(self._pending, columns, rows) > MOVED:
            height, width = self._seen.y.shape
            luma = enlarged(self._pending, width / columns, height / rows)
            chroma = enlarged(luma, 0.5, 0.5)
            self._seen = Planes(*map(_moved, self._seen, (luma, chroma, chroma)))
            known = map(_moved, (self._known.luma, self._known.chroma), (luma, chroma))
            # What lies between the known and the unknown is a mixture of both.
            self._known = Matte(*(cast(Plane, cv2.inRange(each, SOLID, SOLID)) for each in known))
            self._pending = np.eye(3)

    def learn(self, picture: Planes, objects: Matte | None) -> None:
        """Remember what no object hides. objects: their matte, grown; None: there are none."""
        if self._seen is None or self._known is None or self._seen.y.shape != picture.y.shape:
            self._seen = Planes(*(np.zeros_like(plane, order="C") for plane in picture))
            self._known = Matte(*(np.zeros_like(p, order="C") for p in (picture.y, picture.u)))
            self._pending = np.eye(3)
        if objects is None:
            picture.copy_to(self._seen)
            self._known.luma[...] = self._known.chroma[...] = SOLID
            return
        free = [cast(Plane, cv2.inRange(alpha, 0, 0)) for alpha in (objects.luma, objects.chroma)]
        for plane, seen, mask in zip(picture, self._seen, (free[0], free[1], free[1]), strict=True):
            cv2.copyTo(plane, mask, seen)
        for known, mask in zip((self._known.luma, self._known.chroma), free, strict=True):
            cv2.bitwise_or(known, mask, dst=known)

    def behind(self) -> Planes:
        """What stands, or may stand, behind the objects. Not to be written to."""
        assert self._seen is not None
        assert self._known is not None
        if not self._known.luma.any():
            return Planes.flat(NOTHING, *reversed(self._seen.y.shape))
        holes = bounds(cast(Plane, cv2.bitwise_not(self._known.luma)))
        if holes[2] <= holes[0]:
            return self._seen
        return _filled(self._seen, self._known, holes)


def _moved(plane: Plane, motion: Transform) -> Plane:
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = plane.shape[1], plane.shape[0]
    return cast(Plane, cv2.warpAffine(plane, motion[:2], size, flags=flags))


def _filled(seen: Planes, known: Matte, holes: Area) -> Planes:
    """With what is not known made up, from coarse to fine, of what is known around it.

    holes: where something is not known; all of the picture tells what is around them.
    """
    # Luma and chroma are known in slightly different places, at the edges of what moved along.
    (y,) = _made_up_planes((seen.y,), known.luma, HALVINGS)
    u, v = _made_up_planes((seen.u, seen.v), known.chroma, HALVINGS - 1)
    left, top, right, bottom = holes
    result = Planes(*(plane.copy() for plane in seen))
    luma, chroma = np.s_[top:bottom, left:right], _chroma(holes)
    for plane, made, mask, area, times in (
        (result.y, y, known.luma, luma, HALVINGS),
        (result.u, u, known.chroma, chroma, HALVINGS - 1),
        (result.v, v, known.chroma, chroma, HALVINGS - 1),
    ):
        size = made.shape[1] << times, made.shape[0] << times
        levels = cv2.convertScaleAbs(made, alpha=255)
        large = cv2.resize(levels, size, interpolation=cv2.INTER_LINEAR)[area]
        cv2.copyTo(large, cv2.bitwise_not(mask[area]), plane[area])
    return result


def _made_up_planes(
    planes: tuple[Plane, ...], known: Plane, halvings: int
) -> list[NDArray[np.float32]]:
    small = [_reduced(plane, known, halvings) for plane in (*planes, known)]
    stack = cv2.merge(small).astype(np.float32) * np.float32(1 / 255)
    made = _made_up(stack)
    return [made[..., channel] for channel in range(len(planes))]


def _chroma(area: Area) -> tuple[slice, slice]:
    left, top, right, bottom = area
    return np.s_[top // 2 : (bottom + 1) // 2, left // 2 : (right + 1) // 2]


def _reduced(plane: Plane, known: Plane, halvings: int) -> Plane:
    reduced = cast(Plane, cv2.bitwise_and(plane, known))  # known is 0 or 255
    for _ in range(halvings):
        reduced = halve(reduced)
    return reduced


def _made_up(stack: NDArray[np.float32]) -> NDArray[np.float32]:
    """What each cell holds, of the neighbours where it is not known ("push-pull": Grossman and
    Dally, Point Sample Rendering, 1998). stack: float32 [h, w, c + 1], c channels times how far
    the cell is known, and that itself, 0 to 1. Returns [h, w, c]."""
    colours, share = stack[..., :-1], stack[..., -1:]
    own = colours / np.maximum(share, np.float32(1e-6))
    if min(stack.shape[:2]) < 2 or share.min() >= 1:
        return cast(NDArray[np.float32], own)
    reduced = cast(NDArray[np.float32], cv2.pyrDown(stack))
    reduced *= 1 / np.maximum(reduced[..., -1:], np.float32(1 / NEAR_BY))
    coarse = _made_up(reduced)
    size = stack.shape[1], stack.shape[0]
    around = cv2.resize(coarse, size, interpolation=cv2.INTER_LINEAR).reshape(own.shape)
    return cast(NDArray[np.float32], own * share + around * (1 - share))

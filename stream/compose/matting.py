"""Masks of a recent picture -> mattes of this one: moved, refined, steadied."""

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.compose.flow import Motion, Step, move
from stream.compose.matte import Logits, Matte
from stream.compose.planes import Area, Plane, Planes
from stream.compose.refine import Coefficients, Enlarger, Guide, coefficients
from stream.compose.scenery import Scenery

Floats = NDArray[np.float32]

Objects = tuple[int, ...] | None
"""Ids of the objects that one matte is of, together; None: all of them."""

RAMP = 0.65
"""Logit at which the coarse mask is wholly the object's. The picture decides within the ramp, so
it may be wider than that of a matte without a picture to go by."""

BAND = 5
"""Pixels of the grid from the mask's outline beyond which nothing is in doubt, whatever the logits
say: where the model was unsure, in the middle of a pair of jeans, the room shone through. Tried: a
ramp of one width everywhere, 0.016 of boundary F less."""

STEADY = 0.85
"""Share of the former matte, moved, that a new one keeps where the picture has not changed."""

AGREES = 0.8
"""Where old and new opacity differ by this much the new one counts alone, at half of it fully
steadied: the mask has changed its mind, and an afterglow would look worse."""

MOVING = 90
"""Percentile of an object's motion that tells how far it moved: a tenth of it may be an outlier."""

CLEAR, SOLID = 0.2, 0.8
"""Opacities below and above which a pixel is background or object alone: no veil, no holes."""


@dataclass(frozen=True, slots=True)
class Cutout:
    """matte: of the picture's size. contrast: of refine.Coefficients."""

    matte: Matte
    contrast: NDArray[np.float32]


@dataclass(slots=True)
class _Trail:
    """What is kept of one matte from picture to picture."""

    linear: tuple[Floats, Floats]  # slope and offset, [h, w]
    bounds: Area  # of all that is not 0
    is_used: bool = True


class Matting:
    """The mattes of one stream. For every picture: `see`, then `cutout` for each set of objects."""

    def __init__(self) -> None:
        self._motion = Motion()
        self._enlarger = Enlarger()
        self._trails: dict[Objects, _Trail] = {}
        self._planes: Planes | None = None
        self._guide: Guide | None = None
        self._step: Step | None = None
        self._scenery = Scenery()

    def see(self, picture: Planes, index: int) -> None:
        """Take the next picture. index: rises from picture to picture."""
        self._planes, self._guide = picture, Guide.of(picture)
        self._step = self._motion.see(self._guide.luma, index)
        self._scenery.see(self._guide.small, index)
        if self._step is None or self._step.is_cut:
            self._trails.clear()
            self._scenery.forget()
        self._trails = {key: trail for key, trail in self._trails.items() if trail.is_used}
        for trail in self._trails.values():
            trail.is_used = False

    @property
    def step(self) -> Step | None:
        """From the newest picture to the one before; None when that was of another size."""
        return self._step

    def learn(self, logits: Logits, index: int) -> None:
        """Take the masks of all objects, [n, s, s], of the picture `index`."""
        self._scenery.learn(logits, index)

    def trust(self) -> None:
        """Believe the next masks whatever was seen before; called on any thread."""
        self._scenery.trust()

    def reaches(self, index: int) -> bool:
        """Whether masks of that picture can be moved to this one."""
        return self._motion.back_to(index) is not None

    def cutout(
        self,
        objects: Objects,
        logits: Logits,
        index: int,
        grows: bool = True,
        shrinks: bool = True,
    ) -> Cutout | None:
        """The matte of logits [s, s] that belong to the picture `index`; None: not `reaches`.

        grows, shrinks: whether what is known of the background may change the mask so.
        """
        coarse = self.moved(logits, index)
        if coarse is None:
            return None
        assert self._planes is not None
        assert self._guide is not None
        flow = self._motion.back_to(index)
        assert flow is not None
        coarse = self._scenery.corrected(coarse, logits, flow, index, grows, shrinks)
        mask = ramp(coarse)
        found = coefficients(self._guide, mask)
        linear = self._steadied(objects, found)
        luma = self._cleared(linear, self._planes.y)
        return Cutout(Matte.of(luma), found.contrast)

    def moved(self, logits: Logits, index: int) -> Logits | None:
        """Logits of the picture `index`, [h, w] at the grid's size, where their objects are now."""
        flow = self._motion.back_to(index)
        if flow is None:
            return None
        rows, columns = flow.shape[:2]
        coarse = cast(Logits, cv2.resize(logits, (columns, rows), interpolation=cv2.INTER_LINEAR))
        return move(coarse, flow) if flow.any() else coarse

    def drift(self, logits: Logits, index: int) -> float:
        """How far the object has moved since, a share of the picture's longer side; most of it may
        stand still. logits: as for `cutout`."""
        coarse, flow = self.moved(logits, index), self._motion.back_to(index)
        if coarse is None or flow is None:
            return 0.0
        far = np.linalg.norm(flow[coarse > 0], axis=-1)
        return float(np.percentile(far, MOVING) / max(flow.shape)) if far.size else 0.0

    def _steadied(self, objects: Objects, found: Coefficients) -> tuple[Floats, Floats]:
        assert self._guide is not None
        new = found.slope, found.offset
        trail, step = self._trails.get(objects), self._step
        reached = found.bounds
        if trail is not None and step is not None:
            # Where the former matte, moved, or the new one is not 0.
            far = int(np.abs(step.flow).max()) + 2
            reached = _around(trail.bounds, reached, far)
            area = np.s_[reached[1] : reached[3], reached[0] : reached[2]]
            moved = [move(field, step.flow, area) for field in trail.linear]
            slope, offset = moved[0] - new[0][area], moved[1] - new[1][area]
            luma = self._guide.luma[area].astype(np.float32) * np.float32(1 / 255)
            apart = np.abs(slope * luma + offset)
            share = np.float32(STEADY) * step.trust[area]
            share *= np.clip(2 - apart * np.float32(2 / AGREES), 0, 1)
            new[0][area] += share * slope
            new[1][area] += share * offset
        self._trails[objects] = _Trail(new, _used(new, reached))
        return new

    def _cleared(self, linear: tuple[Floats, Floats], luma: Plane) -> Plane:
        """Full-size opacity, stretched so that CLEAR becomes 0 and SOLID 1."""
        gain = np.float32(1 / (SOLID - CLEAR))
        slope, offset = linear
        return self._enlarger.opacity(slope * gain, (offset - np.float32(CLEAR)) * gain, luma)


def _around(one: Area, other: Area, far: int) -> Area:
    left, top, right, bottom = zip(one, other, strict=True)
    return max(0, min(left) - far), max(0, min(top) - far), max(right) + far, max(bottom) + far


def _used(linear: tuple[Floats, Floats], within: Area) -> Area:
    """The bounds of all that is not 0, of which nothing lies elsewhere."""
    left, top, right, bottom = within
    slope, offset = (field[top:bottom, left:right] for field in linear)
    x, y, columns, rows = cv2.boundingRect(((slope != 0) | (offset != 0)).view(np.uint8))
    return left + x, top + y, left + x + columns, top + y + rows


def ramp(logits: Logits) -> Floats:
    """Opacity 0 to 1 of a coarse mask: a ramp around its outline, 1 inside, 0 outside."""
    inside = (logits > 0).view(np.uint8)
    square = np.ones((2 * BAND + 1, 2 * BAND + 1), np.uint8)
    surely, maybe = (f(inside, square).astype(np.float32) for f in (cv2.erode, cv2.dilate))
    mask = logits * np.float32(0.5 / RAMP) + np.float32(0.5)
    return cast(Floats, np.minimum(np.maximum(mask, surely, out=mask), maybe, out=mask))

"""How the picture moved: optical flow between pictures, at a low resolution.

Flow goes backwards: what is at x in the newer picture was at x + flow(x) in the older one, so that
anything known of the older picture is brought to the newer one by sampling it there. Flow over
several pictures is the chain of the flows from each to the one before it. Tried: flow straight
from the newest picture to one four pictures older; on DAVIS its boundary F was 0.016 lower and
its flicker a third higher, since DIS loses what moved far.
"""

from collections import deque
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.compose.planes import Field, Plane, halve

Flow = NDArray[np.float32]

GRID_SIDE = 320
"""Longer side, in pixels, of the low resolution: a quarter of 720p."""

# Tried: flow on a picture of 256 pixels, enlarged. 0.5 ms less, but 0.011 of boundary F.

STRIDE, ITERATIONS = 5, 16
"""Of DIS: pixels of half the grid between its patches, and steps for each. The preset's 4 and 12
cost 0.4 ms more for 0.004 of boundary F; 6 loses 0.008. That each flow begins from the one before
is worth 0.01."""

KEPT_STEPS = 64
"""Pictures that a mask may be late: a second at 60 a second. 0.7 MB each at 16:9."""

NEAR = 3
"""A mask's picture that was dropped is taken for one composited at most so many before it."""

SAME_SCENE = 0.6
"""Correlation of two pictures, one moved onto the other, below which it is another scene. On DAVIS
neighbours reach 0.85 at the least; the ends of two different clips at most 0.5."""

KNOWN = 0.25
"""Mean trust below which it is another scene too, though something large in it may look the same.
On DAVIS neighbours reach 0.33 at the least (a car that drifts), the ends of two clips 0.13."""

SAME_PICTURE = 0.85
"""Correlation from which on little trust means another light, not another scene: a lamp was turned
on, or somebody took a photograph. The ends of two clips reach 0.75 at the most."""

BLINDED = 0.8
"""Share of one picture that may have a single code, white as a rule, for a flash to be told from a
cut: of a picture that is all white nothing can be said."""

FLAT = 3.0
"""Standard deviation of luma below which a picture has nothing to correlate."""

FARTHEST = 0.2
"""Median motion from one picture to the next, as a share of the width, that is still believed."""


@dataclass(frozen=True, slots=True)
class Step:
    """From one picture to the one before it.

    flow: float32 [h, w, 2], x and y in pixels of the grid.
    small: the same at half the grid's size, in its pixels, which is all that was measured.
    trust: float32 [h, w], 0 where the moved picture does not look like this one, 1 where it does.
    motion: median of how far the picture moved, in pixels of the grid.
    is_cut: this picture does not show the former scene, or moved too far to be followed.
    """

    flow: Flow
    small: Flow
    trust: NDArray[np.float32]
    motion: float
    is_cut: bool


def grid_size(width: int, height: int) -> tuple[int, int]:
    """Width and height of the low resolution of a picture."""
    scale = min(1.0, GRID_SIDE / max(width, height))
    return max(round(width * scale), 1), max(round(height * scale), 1)


@cache
def positions(width: int, height: int) -> Flow:
    """float32 [height, width, 2]: x and y of every pixel; not to be written to."""
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return np.dstack([x, y])


ALL = slice(None), slice(None)


def move(field: Field, flow: Flow, area: tuple[slice, slice] = ALL) -> Field:
    """What belongs to the older picture, brought to the newer one. field: [h, w] or [h, w, c].

    area: of the newer picture, which alone is worked out and returned.
    """
    rows, columns = flow.shape[:2]
    where = positions(columns, rows)[area] + flow[area]
    linear, edge = cv2.INTER_LINEAR, cv2.BORDER_REPLICATE
    return cast(Field, cv2.remap(cast(Any, field), where, cast(Any, None), linear, borderMode=edge))


def likeness(one: Plane, other: Plane) -> float:
    """Correlation of two pictures, -1 to 1; brightness and contrast do not matter.

    Two flat pictures are alike; a flat one and another are not.
    """
    (mean, deviation), (other_mean, other_deviation) = (
        (float(value[0, 0]) for value in cv2.meanStdDev(picture)) for picture in (one, other)
    )
    if deviation < FLAT or other_deviation < FLAT:
        return float(deviation < 2 * FLAT and other_deviation < 2 * FLAT)
    product = cv2.mean(cv2.multiply(one, other, dtype=cv2.CV_32F))[0]
    return (product - mean * other_mean) / (deviation * other_deviation)


class Motion:
    """The flow of one stream. `see` is given every picture that is composited, in order."""

    def __init__(self) -> None:
        self._dis: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        # The preset's 2 would find motion only of blocks of 32 pixels of what it is given.
        self._dis.setFinestScale(0)
        self._dis.setPatchStride(STRIDE)
        self._dis.setGradientDescentIterations(ITERATIONS)
        self._newest: Plane | None = None
        self._steps: deque[tuple[int, Step | None]] = deque(maxlen=KEPT_STEPS)
        self._chain: tuple[int, Flow] | None = None  # at half the grid's size
        self._back: Flow | None = None  # the same at the grid's

    def see(self, luma: Plane, index: int) -> Step | None:
        """The step from this picture to the one seen before; None when there was none like it.

        luma: uint8 [h, w] at the grid's size. index: rises from picture to picture.
        """
        # A small picture's plane comes as it is, with padding between its rows, which DIS refuses.
        luma = np.ascontiguousarray(luma)
        former, self._newest = self._newest, luma
        if former is None or former.shape != luma.shape or self._steps[-1][0] >= index:
            self._steps.clear()
            self._steps.append((index, None))
            self._chain = self._back = None
            return None
        step = self._step(luma, former)
        if step.is_cut:
            step = _flashed(luma, former) or step
        self._steps.append((index, step))
        if self._chain is not None:
            target, flow = self._chain
            self._chain = target, step.small + move(flow, step.small)
            self._back = None
        return step

    def back_to(self, index: int) -> Flow | None:
        """From the newest picture to an older one.

        None when the way there is not known: too old, or of another size, or before a cut.
        """
        target = self._nearest(index)
        if target is None:
            return None
        flow: Flow | None = None
        for seen, step in reversed(self._steps):
            if seen == target:
                break
            if step is None or step.is_cut:
                return None
            if self._chain is None or self._chain[0] != target:
                flow = step.small if flow is None else flow + move(step.small, flow)
        else:
            return None
        assert self._newest is not None
        if flow is not None:
            self._chain, self._back = (target, flow), None
        elif self._chain is None or self._chain[0] != target:
            return np.zeros((*self._newest.shape, 2), np.float32)
        if self._back is None:
            self._back = _doubled(self._chain[1], self._newest.shape)
        return self._back

    def _nearest(self, index: int) -> int | None:
        """The last picture seen up to `index`. One seen after it may lie behind a cut, and a mask
        from the future belongs to no picture that is known."""
        if not self._steps or index > self._steps[-1][0]:
            return None
        before = (seen for seen, _ in reversed(self._steps) if seen <= index)
        target = next(before, None)
        return target if target is not None and index - target <= NEAR else None

    def _step(self, luma: Plane, former: Plane) -> Step:
        still = likeness(luma, former)
        if min(luma.shape) < 24:  # DIS takes nothing under 12, and is given half
            return _unmoved(luma, former, still)
        now, before = halve(luma), halve(former)
        small = np.asarray(self._dis.calc(now, before, self._expected(now)), np.float32)
        flow = _doubled(small, luma.shape)
        moved = move(former, flow)
        alike = likeness(luma, moved)
        if alike <= still:  # a flash, or a still picture: flow has nothing to add
            return _unmoved(luma, former, still)
        motion = float(np.median(np.hypot(*np.moveaxis(flow[::8, ::8], -1, 0))))
        trust = _trust(luma, moved, alike)
        far = motion > FARTHEST * luma.shape[1]
        return Step(flow, small, trust, motion, _is_cut(alike, trust) or far)

    def _expected(self, now: Plane) -> Flow:
        """What moved goes on to move. Always an array, and a new one: DIS writes into it, and goes
        by one of former pictures, of another size perhaps, where none is given (OpenCV 5.0)."""
        _, step = self._steps[-1]
        most = max(now.shape)
        if step is None or step.is_cut or not cv2.checkRange(step.small, True, -most, most)[0]:
            return np.zeros((*now.shape, 2), np.float32)
        return step.small.copy()


def _doubled(flow: Flow, shape: tuple[int, ...]) -> Flow:
    rows, columns = flow.shape[:2]
    large = cv2.resize(flow, (2 * columns, 2 * rows), interpolation=cv2.INTER_LINEAR)
    return cast(Flow, large[: shape[0], : shape[1]] * np.float32(2))


UNLIKE = 24
"""Difference in luma at which a moved pixel is another one; noise and shading stay below half."""


TRUST = np.clip(1 - np.arange(256, dtype=np.float32) / np.float32(UNLIKE), 0, 1)
"""By difference."""


def _unmoved(luma: Plane, former: Plane, alike: float) -> Step:
    flow, small = (np.zeros((*plane.shape, 2), np.float32) for plane in (luma, halve(luma)))
    trust = _trust(luma, former, alike)
    return Step(flow, small, trust, 0.0, _is_cut(alike, trust))


def _is_cut(alike: float, trust: NDArray[np.float32]) -> bool:
    return alike < SAME_SCENE or float(trust.mean()) < KNOWN


def _trust(luma: Plane, moved: Plane, alike: float) -> NDArray[np.float32]:
    trust = _agreement(luma, moved)
    if alike >= SAME_PICTURE and float(trust.mean()) < KNOWN:
        trust = _agreement(luma, _relit(moved, luma))
    return trust


def _flashed(luma: Plane, former: Plane) -> Step | None:
    """The step between two pictures of one scene where nothing but the light has changed, though it
    was too bright for the camera in one of them; None: it is another scene.

    The darker one is given the brighter one's histogram: clipped as that is it then looks alike.
    """
    darker, brighter = sorted((luma, former), key=np.mean)
    counts, wanted = (np.bincount(plane.ravel(), minlength=256) for plane in (darker, brighter))
    if wanted.max() > BLINDED * brighter.size:
        return None
    curve = np.searchsorted(np.cumsum(wanted), np.cumsum(counts)).astype(np.uint8)
    alike = cast(Plane, cv2.LUT(darker, curve))
    trust = _agreement(brighter, alike)
    if likeness(brighter, alike) < SAME_PICTURE or float(trust.mean()) < KNOWN:
        return None
    flow, small = (np.zeros((*plane.shape, 2), np.float32) for plane in (luma, halve(luma)))
    return Step(flow, small, trust, 0.0, is_cut=False)


def _agreement(luma: Plane, moved: Plane) -> NDArray[np.float32]:
    difference = cv2.blur(cv2.absdiff(luma, moved), (5, 5))
    return cast(NDArray[np.float32], cv2.LUT(difference, TRUST))


def _relit(picture: Plane, like: Plane) -> Plane:
    """The picture with the brightness and contrast of another one."""
    (mean, deviation), (wanted, wanted_deviation) = (
        (float(value[0, 0]) for value in cv2.meanStdDev(plane)) for plane in (picture, like)
    )
    gain = wanted_deviation / max(deviation, FLAT)
    return cast(Plane, cv2.addWeighted(picture, gain, picture, 0, wanted - gain * mean))

"""What stands behind the objects of a camera that stands still, and what it says of late masks.

A camera on a desk or a wall sees one background all the time. It is learned, cell by cell, of what
no mask covered at its own time; then a cell's colour tells at once, not when the next mask comes,
whether it is background or object: by how likely it is of what is known to stand there, against how
likely it is of the objects. That is added to the mask's logits, so it decides where the mask is in
doubt: at its edges, and where it is wrong by little. Where the picture has changed as flow does not
explain, around a hand that is waved, the mask is of what is no more, and colours count for more.

With a camera that moves what was learned is not seen again, which is noticed, and nothing is added.
Figures: benchmarks/late.py, docs/compositing.md.
"""

from collections import deque
from collections.abc import Sequence
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.compose.flow import KEPT_STEPS, NEAR, Flow, move
from stream.compose.matte import Logits
from stream.compose.planes import Plane, halve

Floats = NDArray[np.float32]
Colours = Sequence[Plane]
"""y, u and v, uint8 [h, w], all of half the grid's size: a cell is as wide as a colour line's."""

MARGIN = 1
"""Cells around a mask that are not taken for background, and that do not stand still with it. Masks
are off by more, but not for long, and what is learned must be seen again."""

SURE = 2
"""Masks, less those that spoke against it, that must have shown a cell alike before it is known."""

SUREST = 30
"""Most that are counted, so that what changes for good is learned anew in some seconds."""

INSIDE = 1.0
"""Logit from which on a mask speaks against what is known where it covers a cell that shows that:
it may be of an object that was taken for background."""

ALIKE = 14
"""Difference up to which a cell shows the same as before: noise, and slow changes of light."""

CHANGE = 0.25
"""Share of the newest picture in what is known of a cell that shows the same."""

CHROMA = 2
"""Times that a difference in chroma counts as one in luma: shadows change it less."""

SPREAD = 4.0
"""Standard deviation of the difference of a cell that shows what stands behind."""

BINS = (16, 32, 32)
"""Of luma and chroma, to count the objects' colours in."""

NEWEST = np.float32(0.2)
"""Share of the newest mask in what is known of the objects' colours."""

ANY_BEHIND, ANY_OBJECT = 0.05, 0.1
"""Share of what stands behind, and of the objects, that may have any colour at all."""

LEAST, MOST = np.float32(-3), np.float32(3)
"""Logits by which colours may change a mask that flow has moved; where it is surer it stays."""

OVERRULED = np.float32(6)
"""Logits more, either way, where the picture has changed as flow does not explain."""

EXPLAINED, UNEXPLAINED = 10, 26
"""Differences between a picture and a former one, moved, up to which flow explains it, and from
which on it does not."""

BETTER = 4
"""How much more like this picture the former one must be unmoved than moved, to be taken so."""

REACH = 4
"""Cells around a mask to which colours may extend it."""

KNOWN_AGAIN = 0.9
"""Share of what is known that must be seen again, off the objects, for any of it to be believed."""

TRUSTED = 3
"""Masks after a change of the objects that are right whatever was known: one may have been chosen
that was background before."""

CODES = 256
SQUARE, WIDE = (np.ones((2 * far + 1, 2 * far + 1), np.uint8) for far in (MARGIN, REACH))


class Scenery:
    """For every picture `see`, for every new mask `learn`; then `corrected` for any objects."""

    def __init__(self) -> None:
        self._seen: deque[tuple[int, Colours]] = deque(maxlen=KEPT_STEPS)
        self.forget()

    def forget(self) -> None:
        """All that was learned: this is another scene."""
        self._behind: Colours | None = None
        self._sure = np.zeros((0, 0), np.int16)  # of each cell: masks for it, less those against
        self._learned: int | None = None
        self._density: Floats | None = None
        self._likely = np.zeros(0, np.float32)  # log density of the objects' colours, by bin
        self.trust()

    def trust(self) -> None:
        """Believe the next masks whatever is known. Called on any thread."""
        self._trusted = TRUSTED

    def see(self, small: Colours, index: int) -> None:
        """The next picture: its planes at the grid's size."""
        colours = tuple(halve(plane) for plane in small)
        if self._seen and self._seen[-1][1][0].shape != colours[0].shape:
            self._seen.clear()
            self.forget()
        self._seen.append((index, colours))

    def learn(self, logits: Logits, index: int) -> None:
        """Of the picture `index`, what no object hides. logits: [n, s, s] of all of them; where
        none is seen nothing is learned, for one may be there all the same."""
        colours = self._at(index)
        if index == self._learned or colours is None or not (logits > 0).any():
            return
        self._learned = index
        together = np.maximum.reduce(list(logits))
        logits = cast(Logits, cv2.resize(together, colours[0].shape[::-1]))
        inside = logits > INSIDE
        self._count(colours, inside)
        covered = (logits > 0).astype(np.uint8)
        free = cv2.dilate(covered, SQUARE) == 0
        if self._behind is None:
            self._behind = tuple(plane.copy() for plane in colours)
            self._sure = free.astype(np.int16)
            return
        same = difference(colours, self._behind) <= ALIKE
        self._sure[free & same] += 1
        self._sure[(free & ~same) | (inside & same)] -= 1
        new = free & (self._sure <= 0)
        for plane, behind in zip(colours, self._behind, strict=True):
            mixed = cv2.addWeighted(plane, CHANGE, behind, 1 - CHANGE, 0)
            np.copyto(behind, cast(Plane, mixed), where=free & same)
            np.copyto(behind, plane, where=new)
        self._sure[new] = 1
        np.clip(self._sure, 0, SUREST, out=self._sure)
        if self._trusted:
            self._trusted -= 1
            self._sure[covered > 0] = 0

    def _count(self, colours: Colours, inside: NDArray[np.bool_]) -> None:
        """Which colours the objects have."""
        size = int(np.prod(BINS))
        counts = np.bincount(_bins(colours)[inside], minlength=size).astype(np.float32)
        density = counts * np.float32(size / CODES**3 / max(counts.sum(), 1))
        if self._density is not None:
            density = NEWEST * density + (1 - NEWEST) * self._density
        self._density = density
        self._likely = np.log(density + np.float32(ANY_OBJECT / CODES**3))

    def corrected(
        self,
        moved: Logits,
        logits: Logits,
        flow: Flow,
        index: int,
        grows: bool = True,
        shrinks: bool = True,
    ) -> Logits:
        """Logits of this picture, [h, w] of the grid.

        moved: logits [s, s] of the picture `index`, moved by `flow`, [h, w, 2]. grows, shrinks:
        whether the mask may.
        """
        then, now = self._at(index, NEAR), self._seen[-1][1]
        if then is None:
            return moved
        small = halve(moved)
        still = cast(Logits, cv2.resize(logits, small.shape[::-1]))
        near = cast(Plane, cv2.dilate(((small > 0) | (still > 0)).view(np.uint8), WIDE))
        x, y, columns, rows = cv2.boundingRect(near)
        if not columns:
            return moved
        area = np.s_[y : y + rows, x : x + columns]
        result, unexplained = small[area], np.zeros((rows, columns), np.float32)
        if then is not now:
            result, unexplained = _followed(now, then, small, still, flow, area)
        evidence = self._evidence(now, near, area)
        if evidence is not None:
            more = OVERRULED * unexplained
            most = (MOST + more) * near[area]
            result = result + np.minimum(np.maximum(evidence, LEAST - more), most)
        if not grows:
            result = np.minimum(result, small[area])
        if not shrinks:
            result = np.maximum(result, small[area])
        change = cv2.resize(result - small[area], (2 * columns, 2 * rows))
        whole = moved.copy()
        part = whole[2 * y : 2 * (y + rows), 2 * x : 2 * (x + columns)]
        part += change[: part.shape[0], : part.shape[1]]
        return whole

    def _evidence(
        self, now: Colours, near: Plane, area: tuple[slice, slice]
    ) -> NDArray[np.float32] | None:
        """Of each cell, how much likelier its colour is an object's than what stands behind, as a
        logit; 0 where that is not known. None: what is known is not seen now.

        near: 1 where objects may be.
        """
        if self._behind is None:
            return None
        apart = difference(now, self._behind)
        known = cv2.inRange(self._sure, SURE, SUREST)
        away = cv2.multiply(known, 1 - near)
        again = cv2.bitwise_and(away, cv2.inRange(apart, 0, ALIKE))
        if cv2.countNonZero(again) <= KNOWN_AGAIN * cv2.countNonZero(away):
            return None
        bins = _bins([plane[area] for plane in now])
        evidence = np.take(self._likely, bins) - cv2.LUT(apart[area], BEHIND)
        return cast(Floats, evidence * (known[area] > 0))

    def _at(self, index: int, near: int = 0) -> Colours | None:
        """That picture, or the one seen last before it, by no more than `near`."""
        before = ((seen, colours) for seen, colours in reversed(self._seen) if seen <= index)
        seen, colours = next(before, (index - near - 1, None))
        return colours if index - seen <= near else None


def _followed(
    now: Colours,
    then: Colours,
    moved: Logits,
    still: Logits,
    flow: Flow,
    area: tuple[slice, slice],
) -> tuple[Logits, Floats]:
    """Logits of an area: those of what stood there, if it looks more like this picture than what
    flow says has moved there. And how little either looks like it, 0 to 1."""
    brought = move(cast(Floats, cv2.merge(then)), flow[::2, ::2] * np.float32(0.5), area)
    here = [plane[area] for plane in now]
    followed = difference(here, cast(Colours, cv2.split(brought)))
    stood = difference(here, [plane[area] for plane in then])
    better = cv2.LUT(cv2.subtract(followed, stood), IS_BETTER)
    share = better * (1 - cv2.LUT(stood, IS_UNEXPLAINED))
    unexplained = cv2.LUT(cv2.min(followed, stood), IS_UNEXPLAINED)
    # A rim that a mask takes in of what is behind stands still indeed, when the object has gone.
    inner = cv2.erode(still[area], SQUARE)
    logits = moved[area] + share * (inner - moved[area])
    return logits, cast(Floats, unexplained)


def difference(one: Colours, other: Colours) -> Plane:
    """The greatest of the three planes', uint8."""
    y, u, v = (cv2.absdiff(a, b) for a, b in zip(one, other, strict=True))
    chroma = cv2.max(u, v)
    return cast(Plane, cv2.max(y, cv2.convertScaleAbs(chroma, alpha=CHROMA)))


def _bins(colours: Colours) -> NDArray[np.int32]:
    """The number of each cell's bin."""
    y, u, v = (cv2.LUT(plane, table) for plane, table in zip(colours, PLACES, strict=True))
    return cast(NDArray[np.int32], y + u + v)


def _places() -> list[NDArray[np.int32]]:
    """By code of y, u and v: what it adds to the number of a colour's bin."""
    codes, (_, across, deep) = np.arange(CODES), BINS
    steps = across * deep, deep, 1
    pairs = zip(BINS, steps, strict=True)
    return [(codes * count // CODES * step).astype(np.int32) for count, step in pairs]


PLACES = _places()


def _ramp(first: float, last: float) -> Floats:
    """By difference: 0 up to the first, 1 from the last on."""
    ramp = np.interp(np.arange(CODES), (first, last), (0, 1))
    return cast(Floats, ramp.astype(np.float32))


IS_BETTER = _ramp(BETTER, 2 * BETTER)
IS_UNEXPLAINED = _ramp(EXPLAINED, UNEXPLAINED)


def _behind() -> Floats:
    """By difference: log density of the colours of a cell that shows what stands behind."""
    bell = np.exp(-0.5 * (np.arange(CODES) / SPREAD) ** 2) / (np.sqrt(2 * np.pi) * SPREAD) ** 3
    likely = np.log(CHROMA**2 * bell + ANY_BEHIND / CODES**3)
    return cast(Floats, likely.astype(np.float32))


BEHIND = _behind()

"""When masks may be believed: what decides whether an effect that hides may show anything.

In doubt everything is hidden, at once; when the doubt is over, what may be seen fades in. Pure: it
is told what is known of each picture, and time is the pictures'.
"""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace

from stream.limits import MASK_LATE

FADE = 0.3
"""Seconds in which what was hidden comes back."""

LONGEST_STEP = 0.1
"""Seconds that one picture may move the fade on, whatever its time says."""

LOSS = 0.3
"""An object that shrinks below this share of itself from one mask to the next is lost, not small:
at ten masks a second nobody walks away so fast."""

LEAVING = 0.4
"""Share of its largest area that is left of an object whose next mask may be empty: it has gone out
over the picture's border by and by. One that vanishes as a whole is lost, though it may touch the
border, as everybody at a desk does."""

GROWTH, GROWTH_LEAST = 2.0, 0.08
"""A mask that grows by this factor, and by this share of the picture, has run out into the room."""

SETTLED, RECOVERED = 4, 0.6
"""Successive masks that must agree before a grown one is believed, and the share of its former
size with which a lost object is back."""

SHRUNK_SETTLED = 12
"""Successive masks after which a lost object is believed to be smaller: a second."""

STEADY_SIZE = 1.3
"""Masks agree whose areas differ by no more than this factor."""


OLD, FAR = 0.5, 0.06
"""Age in seconds of a mask, and how far its objects have moved since, as a share of the picture's
longer side, beyond which it is not believed: flow leaves parts of it behind on what moved away.
While they are still it is believed until it is late. On a busy machine, at five masks a second,
masks become nearly so old before the next one comes."""


@dataclass(frozen=True, slots=True)
class Extent:
    """Of one object's mask. area: its share of the picture. at_border: it touches the picture's."""

    area: float
    at_border: bool


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known when a picture is composited.

    extents: of each object that is asked for, by id; of one that is hidden, area 0.
    index: of the picture that the masks belong to.
    age: seconds from that picture to this one.
    reaches: the masks could be moved to this picture: no cut, no jump between.
    drift: how far the objects have moved since, a share of the picture's longer side.
    """

    extents: Mapping[int, Extent]
    index: int
    age: float
    reaches: bool
    drift: float = 0.0

    @property
    def is_usable(self) -> bool:
        is_off = self.age > OLD and self.drift > FAR
        return self.reaches and self.age <= MASK_LATE and not is_off


@dataclass(frozen=True, slots=True)
class Opening:
    """How far each kind of effect may show what it does not hide, 0 (hide all) to 1.

    objects: of an effect that hides what is around them. rest: of one that hides the objects.
    """

    objects: float
    rest: float


@dataclass(frozen=True, slots=True)
class _Belief:
    """The size an object is believed to have, and how its masks have differed since.

    latest: area of the newest mask. doubts: successive masks that disagree with the belief but
    agree with each other. largest: area it was ever believed to have.
    """

    area: float
    latest: float
    at_border: bool
    largest: float
    doubts: int = 0
    has_left: bool = False

    @property
    def is_lost(self) -> bool:
        return self.latest <= self.area * (RECOVERED if self.doubts else LOSS)

    @property
    def has_grown(self) -> bool:
        return self.area > 0 and self.latest > max(self.area * GROWTH, self.area + GROWTH_LEAST)


class Privacy:
    """The state of one set of objects. `judge` is called for every picture."""

    def __init__(self) -> None:
        self._beliefs: dict[int, _Belief] = {}
        self._index: int | None = None
        self._refused: int | None = None
        self._fades: tuple[float, float] | None = None
        self._time: float | None = None

    def of(self, objects: Sequence[int]) -> "Privacy":
        """The state of some of its objects alone: in doubt of what this one is in doubt of."""
        part = copy(self)
        part._beliefs = {id: self._beliefs[id] for id in objects if id in self._beliefs}
        return part

    def judge(self, evidence: Evidence | None, time: float) -> Opening:
        """evidence: None when there is no mask. time: of the picture, in seconds."""
        elapsed = 0.0 if self._time is None else min(max(time - self._time, 0.0), LONGEST_STEP)
        self._time = time
        if evidence is None or not self._may_use(evidence):
            self._fades = (0.0, 0.0)
            return Opening(0.0, 0.0)
        if evidence.index != self._index:
            self._index = evidence.index
            self._beliefs = {
                object_id: _updated(self._beliefs.get(object_id), extent)
                for object_id, extent in evidence.extents.items()
            }
        visible = any(extent.area > 0 for extent in evidence.extents.values())
        beliefs = self._beliefs.values()
        objects = visible and not any(belief.has_grown for belief in beliefs)
        rest = all(belief.has_left or not belief.is_lost for belief in beliefs)
        self._fades = _faded(self._fades, (objects, rest), elapsed)
        return Opening(*self._fades)

    def _may_use(self, evidence: Evidence) -> bool:
        """Masks that were refused once stay so: an object that comes back to where they saw it
        would show the picture for a moment."""
        if not evidence.is_usable or not evidence.extents:
            self._refused = evidence.index
        return evidence.index != self._refused


def _faded(
    former: tuple[float, float] | None, may_show: tuple[bool, bool], elapsed: float
) -> tuple[float, float]:
    if former is None:  # nothing was hidden before
        return float(may_show[0]), float(may_show[1])
    objects, rest = (
        min(1.0, value + elapsed / FADE) if may else 0.0
        for value, may in zip(former, may_show, strict=True)
    )
    return objects, rest


def _updated(belief: _Belief | None, extent: Extent) -> _Belief:
    if belief is None or not belief.area or (belief.has_left and extent.area):
        return _believed(extent, extent.area)
    seen = replace(belief, latest=extent.area, at_border=extent.at_border)
    if not extent.area:
        # Left over the border by and by; else it counts as lost.
        leaves = belief.at_border and belief.latest <= LEAVING * belief.largest
        was_lost = belief.latest == 0
        has_left = belief.has_left or (leaves and not was_lost)
        return replace(seen, at_border=False, doubts=1, has_left=has_left)
    if not seen.is_lost and not seen.has_grown:
        return _believed(extent, belief.largest)
    agrees = belief.latest / STEADY_SIZE <= extent.area <= belief.latest * STEADY_SIZE
    doubts = belief.doubts + 1 if agrees and belief.doubts else 1
    if doubts >= (SETTLED if seen.has_grown else SHRUNK_SETTLED):
        return _believed(extent, belief.largest)
    return replace(seen, doubts=doubts)


def _believed(extent: Extent, largest: float) -> _Belief:
    return _Belief(extent.area, extent.area, extent.at_border, max(largest, extent.area))

"""What a person asks of a session, and what the session tells in return."""

from collections.abc import Mapping
from dataclasses import dataclass

from stream.compose.effects import Effect
from stream.errors import SegstreamError


@dataclass(frozen=True, slots=True)
class AddPoint:
    """A click, in pixels of the source picture; object_id None starts a new object.

    rtp: timestamp of the returned picture that the person saw; None: the newest.
    """

    x: float
    y: float
    positive: bool
    object_id: int | None
    rtp: int | None = None


@dataclass(frozen=True, slots=True)
class AddBox:
    """A drag, in pixels of the source picture; object_id and rtp as for a click."""

    x0: float
    y0: float
    x1: float
    y1: float
    object_id: int | None
    rtp: int | None = None


@dataclass(frozen=True, slots=True)
class AddText:
    """A word for a new object: all that it names in the picture."""

    word: str


@dataclass(frozen=True, slots=True)
class RemoveObject:
    object_id: int


@dataclass(frozen=True, slots=True)
class Undo:
    """Take the last prompt back."""


@dataclass(frozen=True, slots=True)
class Reset:
    """Forget all objects."""


@dataclass(frozen=True, slots=True)
class SetEffect:
    """more: effects over the first one."""

    effect: Effect
    more: tuple[Effect, ...] = ()


Request = AddPoint | AddBox | AddText | RemoveObject | Undo | Reset | SetEffect


@dataclass(frozen=True, slots=True)
class Accepted:
    """The answer to a request. object_id: of the object that a point or box was added to."""

    number: int | None
    object_id: int | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """The answer to a request that changed nothing, or, without a number, what went wrong."""

    number: int | None
    error: SegstreamError


@dataclass(frozen=True, slots=True)
class Sighting:
    """One tracked object on the newest picture. area: its share of the picture, 0 to 1."""

    object_id: int
    visible: bool
    area: float


@dataclass(frozen=True, slots=True)
class State:
    """names: of the objects that were asked for by a word. more: effects over the first one."""

    objects: tuple[Sighting, ...]
    effect: Effect
    can_undo: bool
    names: Mapping[int, str]
    more: tuple[Effect, ...] = ()


@dataclass(frozen=True, slots=True)
class Stats:
    """One second of a session. Times in milliseconds; None where nothing was measured.

    width, height: of the newest picture. latency_ms: from its arrival to its leaving the
    compositor, median. drops: pictures by the stage that had no time for them.
    """

    width: int
    height: int
    fps_in: float
    fps_out: float
    fps_tracker: float
    latency_ms: float | None
    mask_age_ms: float | None
    drops: Mapping[str, int]


Event = Accepted | Rejected | State | Stats

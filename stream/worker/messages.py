"""What a session asks of the tracker, and what it is told in return."""

from dataclasses import dataclass

from stream.errors import SegstreamError
from stream.frames import Masks
from stream.messages import RemoveObject, Reset, Sighting, Undo
from stream.prompts import Prompt


@dataclass(frozen=True, slots=True)
class AddPrompt:
    """`new`: the prompt starts the object; otherwise the object must be tracked already.

    index: of the frame that the person saw; None: the newest that was tracked.
    """

    prompt: Prompt
    new: bool
    index: int | None = None


Command = AddPrompt | RemoveObject | Undo | Reset


@dataclass(frozen=True, slots=True)
class Done:
    """A command was applied, or, with an error, was not and changed nothing."""

    token: int
    error: SegstreamError | None


@dataclass(frozen=True, slots=True)
class Update:
    """What is tracked now.

    masks: of every tracked object; None when there is none.
    received: when the masks' picture was decoded, time.monotonic().
    commanded: commands were applied since the last update.
    """

    masks: Masks | None
    sightings: tuple[Sighting, ...]
    can_undo: bool
    received: float
    commanded: bool


@dataclass(frozen=True, slots=True)
class Failed:
    """The tracker broke on this session, which starts again with no objects."""

    error: SegstreamError


Report = Done | Update | Failed

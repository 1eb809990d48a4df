"""What goes into the tracker's worker and what comes out; plain data, so that it may cross a
process's border."""

from dataclasses import dataclass

from stream.errors import SegstreamError
from stream.frames import Masks
from stream.messages import RemoveObject, Reset, Sighting, Undo
from stream.prompts import Prompt


@dataclass(frozen=True, slots=True)
class AddPrompt:
    """`new`: the prompt starts the object; otherwise the object must be tracked already."""

    prompt: Prompt
    new: bool


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

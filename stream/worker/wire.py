"""What the server and its worker process say to each other, pickled over a pipe.

Pictures and masks are not among it: they lie in shared memory (stream.worker.shm), and messages
name the buffer. A buffer belongs to one side at a time: a picture's to the worker from `Picture`
to `Released`, masks' to the server from `Result` to `Fetched`. So nothing torn is ever read.

A `stream` is a number that the server gives to each session that it opens; no number comes twice.
"""

from dataclasses import dataclass

from stream.errors import SegstreamError
from stream.messages import Sighting
from stream.worker.messages import Command, Done


@dataclass(frozen=True, slots=True)
class Attach:
    """Use the shared memory of this name; the answer is Attached."""

    memory: str
    slots: int


@dataclass(frozen=True, slots=True)
class Open:
    """Begin a stream in a slot of the shared memory. snapshot: go on from there."""

    stream: int
    slot: int
    snapshot: bytes | None


@dataclass(frozen=True, slots=True)
class Close:
    """Forget a stream; the answer is Closed."""

    stream: int


@dataclass(frozen=True, slots=True)
class Picture:
    """The newest picture of a stream lies in its picture buffer `buffer`.

    width, height: of the source picture. received: time.monotonic() of its decoding.
    """

    stream: int
    buffer: int
    index: int
    width: int
    height: int
    received: float


@dataclass(frozen=True, slots=True)
class Do:
    """Apply a command after all earlier ones; a Result tells how it went."""

    stream: int
    token: int
    command: Command


@dataclass(frozen=True, slots=True)
class Fetched:
    """The masks in a buffer were read; it may be written again."""

    stream: int
    buffer: int


@dataclass(frozen=True, slots=True)
class Ping:
    """Say that you are alive; the answer, Pong, comes between two steps."""


@dataclass(frozen=True, slots=True)
class Stop:
    """End the process."""


ToWorker = Attach | Open | Close | Picture | Do | Fetched | Ping | Stop


@dataclass(frozen=True, slots=True)
class Hello:
    """The network is loaded. image_size: side of the pictures that it takes. step_seconds: one
    step with one object, if measured. words: that objects can be asked for by. phrases: any phrase
    will do as well."""

    image_size: int
    step_seconds: float | None
    words: tuple[str, ...]
    phrases: bool = False


@dataclass(frozen=True, slots=True)
class Unusable:
    """The network could not be loaded; the worker ends."""

    error: SegstreamError


@dataclass(frozen=True, slots=True)
class Attached:
    """The shared memory is mapped and its name no longer needed."""


@dataclass(frozen=True, slots=True)
class Released:
    """A picture buffer may be written again. seen: the tracker saw its picture."""

    stream: int
    buffer: int
    seen: bool


@dataclass(frozen=True, slots=True)
class Found:
    """The masks of N objects; their logits lie in a mask buffer. See stream.frames.Masks."""

    buffer: int
    object_ids: tuple[int, ...]
    scores: tuple[float, ...]
    ious: tuple[float, ...]
    index: int


@dataclass(frozen=True, slots=True)
class Result:
    """One turn of a stream. It is one message, so that a worker's death cannot split it: whoever
    knows that a command is done also holds the snapshot with its effect.

    done: the commands that were answered. failed: all objects were forgotten, and why.
    found: None when nothing is tracked. seconds: the device's time that the turn took.
    snapshot: of the stream after this turn, where one was due; empty when nothing is tracked.
    """

    stream: int
    done: tuple[Done, ...]
    failed: SegstreamError | None
    found: Found | None
    sightings: tuple[Sighting, ...]
    can_undo: bool
    received: float
    seconds: float | None
    snapshot: bytes | None


@dataclass(frozen=True, slots=True)
class Closed:
    """A stream is forgotten and its slot is free."""

    stream: int


@dataclass(frozen=True, slots=True)
class Pong:
    pass


FromWorker = Hello | Unusable | Attached | Released | Result | Closed | Pong
